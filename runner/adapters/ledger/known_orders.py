# ruff: noqa: S608 — put together from fixed texts of this module; every value is a parameter
"""What the ledger knows of the people of an input: their orders in every campaign, and who got them under what name."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from runner.adapters.ledger.staged import Campaign, as_json
from runner.core.model import Kind
from runner.core.planned import Known, OrderFacts, StagedRow


class _Run(NamedTuple):
    campaign: str
    name: str
    day: str
    files: tuple[str, ...]
    unfinished: bool


class KnownOrders:
    """Reads for one plan of one campaign. `expected`: campaigns that overlap with it without a question.

    `names`: by person, the hash by which those of the last clusters were first sent. `reissue_revoked`: the campaign's
    revoked coupons count as issued no more.
    """

    def __init__(
        self,
        connection: sa.Connection,
        campaign: Campaign,
        expected: frozenset[int],
        *,
        reissue_revoked: bool = False,
    ) -> None:
        self._connection = connection
        self._campaign = campaign
        self._expected = expected
        self._reissue_revoked = reissue_revoked
        self._runs: dict[int, _Run] = {}
        self.names: dict[int, bytes] = {}

    def of_people_in(self, clusters: Sequence[Sequence[StagedRow]]) -> Known:
        """Orders of all people known in these clusters, over every campaign of the org, and those that `_ref`s name."""
        people = {
            name.person for cluster in clusters for row in cluster for name in row.names if name.person is not None
        }
        keys = {row.ref.order for cluster in clusters for row in cluster if row.ref is not None}
        orders: dict[tuple[int, int], list[OrderFacts]] = {}
        by_key: dict[str, OrderFacts] = {}
        forgotten: set[int] = set()
        self.names = {}
        if people:
            named = "SELECT id, name, forgotten FROM persons WHERE id IN (SELECT value FROM json_each(?))"
            for person, name, forgotten_at in self._connection.exec_driver_sql(named, (as_json(list(people)),)):
                self.names[person] = name
                if forgotten_at is not None:
                    forgotten.add(person)
            for facts in self._facts("o.person_id IN (SELECT value FROM json_each(?))", list(people)):
                orders.setdefault((facts.person, facts.series), []).append(facts)
        if keys and self._campaign.scope_id is not None:
            wanted = list(keys)
            of_keys = (
                "SELECT coalesce(k.merged_into, k.id) FROM orders k WHERE k.key IN (SELECT value FROM json_each(?))"
            )
            condition = f"o.id IN ({of_keys})"
            found = {facts.id: facts for facts in self._facts(condition, wanted) if facts.other is None}
            roots = self._connection.exec_driver_sql(
                "SELECT key, coalesce(merged_into, id) FROM orders WHERE key IN (SELECT value FROM json_each(?))",
                (as_json(wanted),),
            )
            by_key = {key: found[root] for key, root in roots if root in found}
        return Known(orders, by_key, self._sent_as(people), forgotten)

    def _sent_as(self, people: Collection[int]) -> dict[int, list[tuple[Kind, str]]]:
        """Under which identifiers these people's coupons were issued, or are in doubt, over all campaigns."""
        found: dict[int, list[tuple[Kind, str]]] = {}
        if people:
            rows = self._connection.exec_driver_sql(
                "SELECT person_id, kind, value FROM orders WHERE person_id IN (SELECT value FROM json_each(?))"
                " AND issued + held > 0 AND value IS NOT NULL",
                (as_json(list(people)),),
            )
            for person, kind, value in rows:
                found.setdefault(person, []).append((Kind(kind), value))
        return found

    def _facts(self, condition: str, values: Sequence[object]) -> Iterator[OrderFacts]:
        rows = self._connection.exec_driver_sql(
            "SELECT o.id, o.key, o.person_id, o.series, o.target, o.issued, o.held, o.closed, o.scope_id, o.run_id"
            f" FROM orders o WHERE o.merged_into IS NULL AND {condition}",
            (as_json(values),),
        )
        found = [row for row in rows.all() if row[8] not in self._expected]
        own = [row[0] for row in found if row[8] == self._campaign.scope_id]
        revoked = self._revoked(own) if self._reissue_revoked else {}
        issuers = self._issuers([row[0] for row in found if row[8] != self._campaign.scope_id])
        for order, key, person, series, target, issued, held, closed, scope, run in found:
            other = None
            if scope != self._campaign.scope_id:
                other = self._where(*issuers.get(order, (run, None)))
            unfinished = run is not None and self._run(run).unfinished
            gone = revoked.get(order, 0)
            yield OrderFacts(order, key, person, series, target, issued - gone, held, closed, unfinished, other, gone)

    def _revoked(self, orders: Sequence[int]) -> dict[int, int]:
        """Of some orders the revoked coupons, with those of orders merged into them."""
        found = self._connection.exec_driver_sql(
            "SELECT r.id, count(*) FROM orders r JOIN orders o ON o.person_id = r.person_id AND o.series = r.series"
            " AND coalesce(o.merged_into, o.id) = r.id JOIN coupons p INDEXED BY coupons_revoked ON p.order_id = o.id"
            " WHERE r.id IN (SELECT value FROM json_each(?)) AND p.state = 'revoked' GROUP BY r.id",
            (as_json(list(orders)),),
        )
        return {int(order): int(count) for order, count in found}

    def _issuers(self, orders: Sequence[int]) -> dict[int, tuple[int, int | None]]:
        """Of orders with coupons: the run whose call issued them last, else left them in doubt, and the row's file.

        Calls stay with the order that they were made for, also when that turned out to be this customer's by another
        name: it has the same person, campaign and series.
        """
        if not orders:
            return {}
        found = self._connection.exec_driver_sql(
            "SELECT o.id, c.run_id, (SELECT min(r.file) FROM lines l JOIN rows r ON r.id = l.row_id"
            "   WHERE l.order_id = k.id AND l.run_id = c.run_id), max((c.known > 0) * 1e12 + c.began)"
            " FROM orders o JOIN orders k ON k.person_id = o.person_id AND k.series = o.series"
            " AND k.scope_id = o.scope_id JOIN calls c ON c.order_id = k.id"
            " WHERE o.id IN (SELECT value FROM json_each(?)) AND c.known + c.held > 0 GROUP BY o.id",
            (as_json(list(orders)),),
        )
        return {row[0]: (row[1], row[2]) for row in found}

    def _where(self, run: int | None, file: int | None) -> str:
        """How a run is named where its orders overlap."""
        if run is None:
            return "another campaign"
        facts = self._run(run)
        name = facts.files[file or 0] if (file or 0) < len(facts.files) else "unknown"
        return f"campaign {facts.campaign}, run {facts.name}, file {name}, {facts.day}"

    def _run(self, run: int) -> _Run:
        """A run as an overlap names it; asked once a plan."""
        found = self._runs.get(run)
        if found is None:
            campaign, name, state, day, files = self._connection.exec_driver_sql(
                "SELECT s.campaign, r.name, r.state, date(r.started, 'unixepoch'), r.files"
                " FROM runs r JOIN scopes s ON s.id = r.scope_id WHERE r.id = ?",
                (run,),
            ).one()
            names = tuple(str(one.get("name", "")) for one in json.loads(files))
            found = self._runs[run] = _Run(campaign, name, day, names, state in ("ready", "running", "stopped"))
        return found
