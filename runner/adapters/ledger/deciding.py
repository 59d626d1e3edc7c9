# ruff: noqa: S608 — put together from fixed texts of this module; every value is a parameter
"""From staged rows to decided orders and lines: cluster by cluster, against the ledger as it is at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from runner.adapters.ledger.clusters import PlainRow, PlainRun
from runner.adapters.ledger.known_orders import KnownOrders
from runner.adapters.ledger.staged import EXAMPLES, Campaign, as_json
from runner.core.keys import order_key, order_keys
from runner.core.model import Kind
from runner.core.plan import OverlapSeen
from runner.core.planned import Decisions, Duplicates, LineRole, Overlap, PlannedOrder, StagedRow
from runner.core.planning import decide

BATCH = 1_000
"""Clusters decided together: their people and orders are looked up in one query each."""

_FIRST = LineRole.FIRST.value
_RUN = (
    (
        "INSERT INTO t_orders SELECT :orders + k.key, :people + k.key, NULL, k.value, r.series, r.kind, r.value,"
        " r.count, 0, 0, r.count, 0, 0, NULL FROM json_each(:keys) k CROSS JOIN t_rows r ON r.seq = :first + k.key"
    ),
    "INSERT INTO t_people SELECT :people + seq - :first, NULL, hash FROM t_rows WHERE seq >= :first AND seq < :end",
    "INSERT INTO t_known SELECT hash, :people + seq - :first, NULL FROM t_rows WHERE seq >= :first AND seq < :end",
    (
        f"INSERT INTO t_lines SELECT seq, :orders + seq - :first, count, 1, '{_FIRST}', NULL, NULL FROM t_rows"
        " WHERE seq >= :first AND seq < :end"
    ),
)
"""What is written down of a run of plain rows."""

_Rows = list[tuple[object, ...]]


def _weight(target: int, missing: int) -> int:
    """What an order's key counts in the digest: an odd number, another one for each target and what is missing of it.

    The keys are digests by a secret key, so a sum of their multiples is as hard to meet by accident as they are.
    """
    return 1 + 2 * (target * 0x9E3779B97F4A7C15F39CC0605CEDC835 + missing * 0xC2B2AE3D27D4EB4F165667B19E3779F9)


class Deciding:
    """One plan in the making. `digest` stands for every order, its target and what is missing, in whatever order."""

    def __init__(
        self,
        connection: sa.Connection,
        key: bytes,
        campaign: Campaign,
        ledger: KnownOrders,
        *,
        identify_by: Sequence[Kind],
        duplicates: Duplicates,
        overlap: Overlap,
        fall_back: bool,
    ) -> None:
        self._connection = connection
        self._key = key
        self._campaign = campaign
        self._ledger = ledger
        self._identify_by = identify_by
        self._duplicates = duplicates
        self._overlap = overlap
        self._fall_back = fall_back
        self._people = 0
        self._orders = 0
        self._overlapping: dict[str, int] = {}
        self._overlapping_rows: dict[str, list[int]] = {}
        self.digest = 0

    def decide_all(self, clusters: Iterable[list[StagedRow] | PlainRow | PlainRun]) -> None:
        """Decide all clusters, and write down in the temporary tables what became of them."""
        batch: list[list[StagedRow] | PlainRow | PlainRun] = []
        size = 0
        for cluster in clusters:
            batch.append(cluster)
            size += len(cluster.digests) if isinstance(cluster, PlainRun) else 1
            if size >= BATCH:
                self._decide_batch(batch)
                batch, size = [], 0
        if batch:
            self._decide_batch(batch)

    def overlaps(self) -> tuple[OverlapSeen, ...]:
        """Where customers of the input hold the series from another campaign."""
        return tuple(
            OverlapSeen(where=where, orders=count, rows=tuple(self._overlapping_rows[where]))
            for where, count in self._overlapping.items()
        )

    def _decide_batch(self, clusters: Sequence[list[StagedRow] | PlainRow | PlainRun]) -> None:
        known = self._ledger.of_people_in([cluster for cluster in clusters if isinstance(cluster, list)])
        rejected: list[tuple[str, int]] = []
        people: list[tuple[object, ...]] = []
        names: list[tuple[object, ...]] = []
        orders: list[tuple[object, ...]] = []
        lines: list[tuple[object, ...]] = []
        for cluster in clusters:
            if isinstance(cluster, PlainRun):
                self._decide_run(cluster)
                continue
            if isinstance(cluster, PlainRow):
                self._decide_plain(cluster, people, names, orders, lines)
                continue
            decisions = decide(
                cluster,
                known,
                identify_by=self._identify_by,
                duplicates=self._duplicates,
                overlap=self._overlap,
                fall_back=self._fall_back,
            )
            first_person, first_order = self._people + 1, self._orders + 1
            for person in decisions.people:
                self._people += 1
                people.append((self._people, person.person, person.name.hash))
                names.extend((name.hash, self._people, person.person) for name in person.names)
            for order, person_index in zip(decisions.orders, decisions.order_people, strict=True):
                self._orders += 1
                key = self._order_key(order)
                existing = order.existing
                missing = order.missing
                orders.append(
                    (
                        self._orders,
                        first_person + person_index,
                        existing.id if existing else None,
                        key,
                        order.series,
                        order.kind.value,
                        order.value,
                        order.target,
                        existing.issued if existing else 0,
                        existing.held if existing else 0,
                        missing,
                        int(order.skipped),
                        existing.replaced if existing and not order.skipped else 0,
                        as_json(order.others) if order.others else None,
                    )
                )
                self._add_to_digest(key, order.target, missing)
            self._see_overlaps(decisions, {row.seq: row for row in cluster})
            lines.extend(
                (
                    line.seq,
                    first_order + line.order,
                    line.requested,
                    int(line.counted),
                    line.role.value,
                    line.same_as,
                    line.note,
                )
                for line in decisions.lines
            )
            for seq, problems in decisions.rejected.items():
                rejected.append((as_json(problems), seq))
        connection = self._connection
        for statement, values in (
            ("INSERT INTO t_people VALUES (?,?,?)", people),
            ("INSERT INTO t_known VALUES (?,?,?)", names),
            (f"INSERT INTO t_orders VALUES ({','.join('?' * 14)})", orders),
            ("INSERT INTO t_lines VALUES (?,?,?,?,?,?,?)", lines),
            ("UPDATE t_rows SET problems = ? WHERE seq = ?", rejected),
        ):
            if values:
                connection.exec_driver_sql(statement, values)

    def _decide_run(self, run: PlainRun) -> None:
        """The same for many of them, by a few statements."""
        people, orders, many = self._people + 1, self._orders + 1, len(run.digests)
        self._people += many
        self._orders += many
        campaign = self._campaign
        keys = order_keys(self._key, campaign.org_key, campaign.campaign_key, run.series, run.digests)
        weights = {count: _weight(count, count) for count in set(run.counts)}
        self.digest += sum(int(key, 16) * weights[count] for key, count in zip(keys, run.counts, strict=True))
        values = {"first": run.first, "end": run.first + many, "people": people, "orders": orders}
        for statement in _RUN:
            told = {**values, "keys": as_json(keys)} if ":keys" in statement else values
            self._connection.exec_driver_sql(statement, told)

    def _decide_plain(self, row: PlainRow, people: _Rows, names: _Rows, orders: _Rows, lines: _Rows) -> None:
        """What `decide` makes of such a row, without its detours; a test compares the two."""
        self._people += 1
        self._orders += 1
        key = order_key(self._key, self._campaign.org_key, self._campaign.campaign_key, row.series, row.name)
        count, no = row.asked, self._orders
        people.append((self._people, None, row.name))
        names.append((row.name, self._people, None))
        orders.append((no, self._people, None, key, row.series, row.kind, row.value, count, 0, 0, count, 0, 0, None))
        lines.append((row.seq, no, count, row.counted, _FIRST, None, None))
        self._add_to_digest(key, count, count)

    def _add_to_digest(self, key: str, target: int, missing: int) -> None:
        self.digest += int(key, 16) * _weight(target, missing)

    def _order_key(self, order: PlannedOrder) -> str:
        if order.existing is not None:
            return order.existing.key
        # A person keeps the name that she was first sent by, whatever else this file calls her.
        name = self._ledger.names.get(order.person, order.name.hash) if order.person is not None else order.name.hash
        return order_key(self._key, self._campaign.org_key, self._campaign.campaign_key, order.series, name)

    def _see_overlaps(self, decisions: Decisions, rows: Mapping[int, StagedRow]) -> None:
        if not any(order.elsewhere for order in decisions.orders):
            return
        for line in decisions.lines:
            order = decisions.orders[line.order]
            for facts in order.elsewhere:
                where = facts.other or ""
                if line.role in (LineRole.FIRST, LineRole.ELSEWHERE):
                    self._overlapping[where] = self._overlapping.get(where, 0) + 1
                shown = self._overlapping_rows.setdefault(where, [])
                if len(shown) < EXAMPLES:
                    shown.append(rows[line.seq].place.row)
