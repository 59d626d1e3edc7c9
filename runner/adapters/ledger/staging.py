# ruff: noqa: S608 — put together from fixed texts of this module; every value is a parameter
"""A run's input between reading and loading: temporary tables beside the ledger, decided cluster by cluster.

Nothing here is durable before `load`, which is one transaction: a process killed while loading has loaded nothing.
Memory does not grow with the file: rows go to temporary tables and come back one cluster of connected rows at a time.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from typing import NamedTuple

import orjson
import sqlalchemy as sa

from runner.adapters.ledger import job_runs
from runner.adapters.ledger.events import append_event
from runner.adapters.ledger.files import LedgerFile, transaction
from runner.core.jobspec import EarlierRun, JobMark
from runner.core.keys import name_hash, order_key
from runner.core.merging import root_of
from runner.core.model import Kind, Place, Problem, Ref, RejectedRow, Row
from runner.core.planning import (
    Decisions,
    Duplicates,
    Known,
    LineRole,
    Name,
    OrderFacts,
    Overlap,
    OverlapSeen,
    Plan,
    PlannedOrder,
    SeriesPlan,
    StagedRow,
    decide,
)

BATCH = 1_000
"""Clusters decided together: their people and orders are looked up in one query each."""

EXAMPLES = 20
"""Rejected rows and overlapping rows that a plan shows by number."""

TEMPORARY = """
CREATE TEMP TABLE t_rows(seq INTEGER PRIMARY KEY, file INT, sheet TEXT, row INT, cells TEXT, problems TEXT,
    series_text TEXT, count_text TEXT, kind TEXT, value TEXT, hash BLOB, series TEXT, count INT,
    counted INT, ref TEXT, cluster INT, counts TEXT);
CREATE TEMP TABLE t_names(hash BLOB, seq INT, kind TEXT, value TEXT);
CREATE TEMP TABLE t_links(mark, seq INT);
CREATE TEMP TABLE t_merged(person INTEGER PRIMARY KEY, root INT);
CREATE TEMP TABLE t_moves(seq INTEGER PRIMARY KEY, cluster INT);
CREATE TEMP TABLE t_people(no INTEGER PRIMARY KEY, person_id INT, name BLOB);
CREATE TEMP TABLE t_known(hash BLOB, no INT, person_id INT);
CREATE TEMP TABLE t_orders(no INTEGER PRIMARY KEY, person_no INT, existing INT, key TEXT, series INT, kind TEXT,
    value TEXT, target INT, issued INT, held INT, missing INT, skipped INT);
CREATE TEMP TABLE t_lookups(no INTEGER PRIMARY KEY, hash BLOB, kind TEXT, value TEXT);
CREATE TEMP TABLE t_lines(seq INT, order_no INT, requested INT, counted INT, role TEXT, same_as INT, note TEXT);
"""


class PlanChanged(Exception):
    """Another run of the organisation was loaded, or customers turned out to be one, since the input was decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """The scope that an input is planned for. Keys as `core.keys.scope_key` gives them.

    Ids None while unknown to the ledger.
    """

    org_key: str
    campaign_key: str
    org_id: int | None
    scope_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to be loaded: its id as people see it and what is recorded with it (JSON values)."""

    name: str
    started: float
    args: Mapping[str, object]
    files: Sequence[Mapping[str, object]]
    owner: Mapping[str, object]
    out: str
    overrides: Sequence[Mapping[str, object]]


class Asked(NamedTuple):
    """A customer to be looked up: `kind` and `value` as they are sent, `digest` of the name, `number` in the list."""

    number: int
    digest: bytes
    kind: str
    value: str


class Staging:
    """Rows in, a plan out, then one loading transaction. Use as a context manager; closing forgets everything."""

    def __init__(self, ledger: LedgerFile) -> None:
        self._ledger = ledger
        self._key = ledger.key
        self._connection = ledger.connect()
        with self._temporary():
            for statement in TEMPORARY.split(";"):
                if statement.strip():
                    self._connection.exec_driver_sql(statement)
        self._rows = 0
        self._revision: int | None = None
        self._people = 0
        self._orders = 0
        self._runs: dict[int, tuple[bool, str]] = {}
        self._expected: frozenset[int] = frozenset()
        self._names: dict[int, bytes] = {}

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget everything that is staged, and give its memory back. A second time does nothing."""
        self._connection.close()

    @contextmanager
    def _temporary(self) -> Iterator[None]:
        """A transaction over temporary tables only.

        Never a lock on the ledger, whose state it sees as of one moment.
        """
        self._connection.exec_driver_sql("BEGIN")
        try:
            yield
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()

    @property
    def rows(self) -> int:
        """Rows staged so far, rejected ones included."""
        return self._rows

    def add(self, rows: Iterable[Row | RejectedRow]) -> None:
        """Stage a chunk of rows, in the order of the input."""
        staged: list[tuple[object, ...]] = []
        names: list[tuple[object, ...]] = []
        for row in rows:
            self._rows += 1
            seq = self._rows
            cells = _json(row.cells)
            place = row.place
            if isinstance(row, RejectedRow):
                problems = _json(row.problems)
                texts = (problems, row.series_text, row.count_text)
                staged.append((seq, *place, cells, *texts, None, None, None, None, None, None, None, seq, None))
                continue
            sent_hash = b""
            for identifier in row.identifiers:
                digest = name_hash(self._key, identifier.kind.value, identifier.value)
                names.append((digest, seq, identifier.kind.value, identifier.value))
                if identifier.kind is row.sent.kind:
                    sent_hash = digest
            ref = _json(row.ref) if row.ref is not None else None
            series = str(row.series[0]) if len(row.series) == 1 else ",".join(map(str, row.series))
            staged.append(
                (
                    seq,
                    *place,
                    cells,
                    None,
                    series,
                    "" if row.counts else str(row.count),
                    row.sent.kind.value,
                    row.sent.written,
                    sent_hash,
                    series,
                    row.count,
                    int(row.counted),
                    ref,
                    seq,
                    _json(row.counts) if row.counts else None,
                )
            )
        with self._temporary():
            if staged:
                self._connection.exec_driver_sql(f"INSERT INTO t_rows VALUES ({','.join('?' * 17)})", staged)
            if names:
                self._connection.exec_driver_sql("INSERT INTO t_names VALUES (?,?,?,?)", names)

    def scopes_of_refs(self) -> list[tuple[int, str]]:
        """The campaigns (scope id, name) that the `_ref` cells of the input lead to.

        More than one cannot be run together.
        """
        found = self._connection.exec_driver_sql(
            "SELECT DISTINCT s.id, s.campaign FROM t_rows r JOIN orders o ON o.key = json_extract(r.ref, '$[1]')"
            " JOIN scopes s ON s.id = o.scope_id WHERE r.ref IS NOT NULL"
        )
        return [(int(scope), str(campaign)) for scope, campaign in found]

    def ref_rows(self) -> tuple[int, int]:
        """How many valid rows carry a `_ref`, and how many do not."""
        query = "SELECT count(ref), count(*) - count(ref) FROM t_rows WHERE problems IS NULL"
        with_ref, without = self._connection.exec_driver_sql(query).one()
        return int(with_ref), int(without)

    # ── a job ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def earlier_runs(self, org_id: int, mark: JobMark) -> list[EarlierRun]:
        """The runs of a job that the ledger knows."""
        return job_runs.earlier_runs(self._connection, org_id, mark)

    def mark_of_campaign(self, scope_id: int) -> JobMark | None:
        """The job that a campaign was last run by."""
        return job_runs.mark_of_campaign(self._connection, scope_id)

    def series_texts(self) -> list[str]:
        """The different series cells of the input, as the run would use them."""
        return job_runs.series_texts(self._connection)

    def expect_overlap(self, scopes: frozenset[int]) -> None:
        """Overlap with these campaigns is no question from now on: they are other dates of the same job."""
        self._expected = scopes

    def count_expected_overlap(self) -> int:
        """The planned orders whose customers hold the series from a campaign in which that is expected."""
        return job_runs.count_of_other_dates(self._connection, sorted(self._expected)) if self._expected else 0

    def count_new_orders(self, day: str, before: Sequence[int]) -> int:
        """The planned orders that no earlier date of a job had."""
        return job_runs.count_new_orders(self._connection, day, before)

    # ── looking customers up ─────────────────────────────────────────────────────────────────────────────────────────

    def find_unmet(self, campaign: Campaign, *, first: Kind) -> int:
        """List the customers that are named by another kind than `first` and may be known under another name; how many.

        Left out are those whose coupons came: the answers named their customer ids, so a look-up would add nothing.
        """
        connection = self._connection
        org = campaign.org_id if campaign.org_id is not None else -1
        with self._temporary():
            self._follow_merged(campaign.org_id)
            connection.exec_driver_sql("DELETE FROM t_lookups")
            connection.exec_driver_sql(
                "INSERT INTO t_lookups(hash, kind, value) SELECT r.hash, r.kind, min(r.value) FROM t_rows r"
                " LEFT JOIN identity i ON i.org_id = ? AND i.hash = r.hash LEFT JOIN t_merged m ON m.person = "
                "i.person_id"
                " WHERE r.hash IS NOT NULL AND r.kind <> ? AND NOT EXISTS (SELECT 1 FROM orders o"
                "   WHERE o.person_id = coalesce(m.root, i.person_id) AND o.issued > 0)"
                " GROUP BY r.hash ORDER BY min(r.seq)",
                (org, first.value),
            )
            connection.exec_driver_sql("CREATE INDEX IF NOT EXISTS temp.t_rows_hash ON t_rows(hash)")
            connection.exec_driver_sql("CREATE INDEX IF NOT EXISTS temp.t_names_seq ON t_names(seq)")
            return int(connection.exec_driver_sql("SELECT count(*) FROM t_lookups").scalar_one())

    def unmet(self, after: int, limit: int) -> list[Asked]:
        """The next customers to be looked up, above number `after`."""
        found = self._connection.exec_driver_sql(
            "SELECT no, hash, kind, value FROM t_lookups WHERE no > ? ORDER BY no LIMIT ?", (after, limit)
        )
        return [Asked(*row) for row in found]

    def answer_lookups(self, answers: Iterable[tuple[Asked, str | None, str | None]]) -> None:
        """Take in what look-ups said: (who was asked for, her customer id or None, why it cannot be told or None)."""
        known, unknown = [], []
        for asked, customer, problem in answers:
            if problem is not None:
                reason = (
                    f"it cannot be told whether this customer got her coupons under another identifier: {problem};"
                    " run again when the look-up works, or fill in the identifier that the campaign sends"
                )
                unknown.append((_json([Problem(None, None, reason)]), asked.digest))
            elif customer is not None:
                digest = name_hash(self._key, Kind.CUSTOMER_ID.value, customer)
                known.append((digest, Kind.CUSTOMER_ID.value, customer, asked.digest))
        with self._temporary():
            for statement, values in (
                ("INSERT INTO t_names SELECT ?, seq, ?, ? FROM t_rows WHERE hash = ?", known),
                (
                    "DELETE FROM t_names WHERE seq IN (SELECT seq FROM t_rows WHERE hash = ?)",
                    [one[1:] for one in unknown],
                ),
                ("UPDATE t_rows SET problems = ?, hash = NULL WHERE hash = ?", unknown),
            ):
                if values:
                    self._connection.exec_driver_sql(statement, values)

    # ── deciding ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def plan(
        self, campaign: Campaign, *, identify_by: Sequence[Kind], duplicates: Duplicates, overlap: Overlap
    ) -> Plan:
        """Decide everything that is staged against the ledger as it is now. May be called again after `PlanChanged`."""
        connection = self._connection
        with self._temporary():
            for table in ("t_people", "t_known", "t_orders", "t_lines", "t_links"):
                connection.exec_driver_sql(f"DELETE FROM {table}")
            connection.exec_driver_sql(
                "UPDATE t_rows SET problems = NULL WHERE problems IS NOT NULL AND hash IS NOT NULL"
            )
            self._people = self._orders = 0
            self._runs = {}
            self._revision = self._current_revision(campaign.org_id)
            self._follow_merged(campaign.org_id)
            self._find_clusters(campaign.org_id)
            total = _Totals()
            digest = 0
            batch: list[list[StagedRow]] = []
            for cluster in self._clusters(campaign):
                batch.append(cluster)
                if len(batch) >= BATCH:
                    digest += self._decide_batch(batch, campaign, identify_by, duplicates, overlap, total)
                    batch = []
            if batch:
                digest += self._decide_batch(batch, campaign, identify_by, duplicates, overlap, total)
            return self._count(campaign, total, digest)

    def _current_revision(self, org_id: int | None) -> int | None:
        if org_id is None:
            return None
        found = self._connection.execute(sa.text("SELECT revision FROM orgs WHERE id = :id"), {"id": org_id})
        return int(found.scalar_one())

    def _follow_merged(self, org_id: int | None) -> None:
        """People who turned out to be another: few, and `identity` still leads to who they were."""
        pairs = self._connection.exec_driver_sql(
            "SELECT id, merged_into FROM persons WHERE org_id = ? AND merged_into IS NOT NULL", (org_id or -1,)
        )
        into = {int(person): int(other) for person, other in pairs}
        roots = [(person, root_of(person, into)) for person in into]
        self._connection.exec_driver_sql("DELETE FROM t_merged")
        if roots:
            self._connection.exec_driver_sql("INSERT INTO t_merged VALUES (?, ?)", roots)

    def _find_clusters(self, org_id: int | None) -> None:
        """Give connected rows one number: the least `seq` among them, spread until it rests.

        Rows are connected by an identifier that they share, or by identifiers that the ledger knows to be one person's.
        """
        connection = self._connection
        connection.exec_driver_sql("INSERT INTO t_links SELECT hash, seq FROM t_names")
        connection.exec_driver_sql(
            "INSERT INTO t_links SELECT coalesce(m.root, i.person_id), n.seq FROM t_names n"
            " JOIN identity i ON i.org_id = ? AND i.hash = n.hash LEFT JOIN t_merged m ON m.person = i.person_id",
            (org_id if org_id is not None else -1,),
        )
        connection.exec_driver_sql("CREATE INDEX IF NOT EXISTS temp.t_links_mark ON t_links(mark, seq)")
        connection.exec_driver_sql("CREATE INDEX IF NOT EXISTS temp.t_names_seq ON t_names(seq)")
        connection.exec_driver_sql("UPDATE t_rows SET cluster = seq")
        # `INSERT INTO t_moves` first, since sqlite3 does not count what an UPDATE after WITH changes.
        while True:
            connection.exec_driver_sql("DELETE FROM t_moves")
            connection.exec_driver_sql(
                "INSERT INTO t_moves WITH least AS (SELECT k.mark, min(r.cluster) AS c FROM t_links k"
                "   JOIN t_rows r ON r.seq = k.seq GROUP BY k.mark HAVING count(*) > 1 AND min(r.cluster) < "
                "max(r.cluster))"
                " SELECT k.seq, min(l.c) FROM least l JOIN t_links k ON k.mark = l.mark GROUP BY k.seq"
            )
            moved = connection.exec_driver_sql(
                "UPDATE t_rows SET cluster = m.cluster FROM t_moves m WHERE m.seq = t_rows.seq AND m.cluster < "
                "t_rows.cluster"
            ).rowcount
            if not moved:
                return

    def _clusters(self, campaign: Campaign) -> Iterator[list[StagedRow]]:
        rows = self._connection.exec_driver_sql(
            "SELECT r.cluster, r.seq, r.file, r.sheet, r.row, r.kind, r.value, r.hash, r.series, r.count, "
            "r.counted, r.ref, r.counts,"
            " n.kind, n.value, n.hash, coalesce(m.root, i.person_id)"
            " FROM t_rows r JOIN t_names n ON n.seq = r.seq"
            " LEFT JOIN identity i ON i.org_id = ? AND i.hash = n.hash LEFT JOIN t_merged m ON m.person = i.person_id"
            " WHERE r.hash IS NOT NULL ORDER BY r.cluster, r.seq",
            (campaign.org_id if campaign.org_id is not None else -1,),
        )
        kinds = {kind.value: kind for kind in Kind}
        for _, in_cluster in groupby(rows, key=lambda row: row[0]):
            cluster = []
            for seq, same_row in groupby(in_cluster, key=lambda row: row[1]):
                parts = list(same_row)
                _, _, file, sheet, number, kind, value, digest, series, count, counted, ref, counts = parts[0][:13]
                cluster.append(
                    StagedRow(
                        seq=seq,
                        place=Place(file, sheet, number),
                        names=tuple(Name(kinds[part[13]], part[14], part[15], part[16]) for part in parts),
                        sent_kind=kinds[kind],
                        sent_value=value,
                        sent_hash=digest,
                        series=tuple(int(one) for one in series.split(",")),
                        count=count,
                        counted=bool(counted),
                        ref=Ref(*json.loads(ref)) if ref is not None else None,
                        counts=tuple(json.loads(counts)) if counts is not None else (),
                    )
                )
            yield cluster

    def _decide_batch(
        self,
        clusters: Sequence[Sequence[StagedRow]],
        campaign: Campaign,
        identify_by: Sequence[Kind],
        duplicates: Duplicates,
        overlap: Overlap,
        total: _Totals,
    ) -> int:
        known = self._known(clusters, campaign)
        rejected: list[tuple[str, int]] = []
        people: list[tuple[object, ...]] = []
        names: list[tuple[object, ...]] = []
        orders: list[tuple[object, ...]] = []
        lines: list[tuple[object, ...]] = []
        digest = 0
        for cluster in clusters:
            decisions = decide(cluster, known, identify_by=identify_by, duplicates=duplicates, overlap=overlap)
            first_person, first_order = self._people + 1, self._orders + 1
            for person in decisions.people:
                self._people += 1
                people.append((self._people, person.person, person.name.hash))
                names.extend((name.hash, self._people, person.person) for name in person.names)
            for order, person_index in zip(decisions.orders, decisions.order_people, strict=True):
                self._orders += 1
                key = self._order_key(order, campaign)
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
                    )
                )
                mark = blake2b(f"{key}:{order.target}:{missing}".encode(), digest_size=16).digest()
                digest += int.from_bytes(mark)
            total.see(decisions, {row.seq: row for row in cluster})
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
                rejected.append((_json(problems), seq))
        connection = self._connection
        for statement, values in (
            ("INSERT INTO t_people VALUES (?,?,?)", people),
            ("INSERT INTO t_known VALUES (?,?,?)", names),
            (f"INSERT INTO t_orders VALUES ({','.join('?' * 12)})", orders),
            ("INSERT INTO t_lines VALUES (?,?,?,?,?,?,?)", lines),
            ("UPDATE t_rows SET problems = ? WHERE seq = ?", rejected),
        ):
            if values:
                connection.exec_driver_sql(statement, values)
        return digest

    def _order_key(self, order: PlannedOrder, campaign: Campaign) -> str:
        if order.existing is not None:
            return order.existing.key
        # A person keeps the name that she was first sent by, whatever else this file calls her.
        name = self._names.get(order.person, order.name.hash) if order.person is not None else order.name.hash
        return order_key(self._key, campaign.org_key, campaign.campaign_key, order.series, name)

    def _known(self, clusters: Sequence[Sequence[StagedRow]], campaign: Campaign) -> Known:
        """Orders of all people known in these clusters, over every campaign of the org, and those that `_ref`s name."""
        people = {
            name.person for cluster in clusters for row in cluster for name in row.names if name.person is not None
        }
        keys = {row.ref.order for cluster in clusters for row in cluster if row.ref is not None}
        orders: dict[tuple[int, int], list[OrderFacts]] = {}
        by_key: dict[str, OrderFacts] = {}
        self._names = {}
        if people:
            named = "SELECT id, name FROM persons WHERE id IN (SELECT value FROM json_each(?))"
            self._names = {row[0]: row[1] for row in self._connection.exec_driver_sql(named, (_json(list(people)),))}
            for facts in self._facts("o.person_id IN (SELECT value FROM json_each(?))", list(people), campaign):
                orders.setdefault((facts.person, facts.series), []).append(facts)
        if keys and campaign.scope_id is not None:
            wanted = list(keys)
            of_keys = (
                "SELECT coalesce(k.merged_into, k.id) FROM orders k WHERE k.key IN (SELECT value FROM json_each(?))"
            )
            condition = f"o.id IN ({of_keys})"
            found = {facts.id: facts for facts in self._facts(condition, wanted, campaign) if facts.other is None}
            roots = self._connection.exec_driver_sql(
                "SELECT key, coalesce(merged_into, id) FROM orders WHERE key IN (SELECT value FROM json_each(?))",
                (_json(wanted),),
            )
            by_key = {key: found[root] for key, root in roots if root in found}
        return Known(orders, by_key, self._sent_as(people))

    def _sent_as(self, people: Collection[int]) -> dict[int, list[tuple[Kind, str]]]:
        """Under which identifiers these people's coupons were issued, or are in doubt, over all campaigns."""
        found: dict[int, list[tuple[Kind, str]]] = {}
        if people:
            rows = self._connection.exec_driver_sql(
                "SELECT person_id, kind, value FROM orders WHERE person_id IN (SELECT value FROM json_each(?))"
                " AND issued + held > 0 AND value IS NOT NULL",
                (_json(list(people)),),
            )
            for person, kind, value in rows:
                found.setdefault(person, []).append((Kind(kind), value))
        return found

    def _facts(self, condition: str, values: Sequence[object], campaign: Campaign) -> Iterator[OrderFacts]:
        rows = self._connection.exec_driver_sql(
            "SELECT o.id, o.key, o.person_id, o.series, o.target, o.issued, o.held, o.closed, o.scope_id, o.run_id"
            f" FROM orders o WHERE o.merged_into IS NULL AND {condition}",
            (_json(values),),
        )
        for order, key, person, series, target, issued, held, closed, scope, run in rows.all():
            if scope in self._expected:
                continue
            unfinished, where = self._run_of(run)
            other = where if scope != campaign.scope_id else None
            yield OrderFacts(order, key, person, series, target, issued, held, closed, unfinished, other)

    def _run_of(self, run: int | None) -> tuple[bool, str]:
        """Whether a run is unfinished, and how it is named where its orders overlap; asked once a plan."""
        if run is None:
            return False, "another campaign"
        found = self._runs.get(run)
        if found is None:
            row = self._connection.exec_driver_sql(
                "SELECT s.campaign, r.name, r.state, date(r.started, 'unixepoch'), json_extract(r.files, '$[0].name')"
                " FROM runs r JOIN scopes s ON s.id = r.scope_id WHERE r.id = ?",
                (run,),
            ).one()
            where = f"campaign {row[0]}, run {row[1]}, file {row[4]}, {row[3]}"
            found = self._runs[run] = (row[2] in ("ready", "running", "stopped"), where)
        return found

    def _count(self, campaign: Campaign, total: _Totals, digest: int) -> Plan:
        connection = self._connection
        by_series = connection.exec_driver_sql(
            "SELECT series, sum(missing > 0), sum(target), sum(issued), sum(held), sum(missing) FROM t_orders"
            " WHERE NOT skipped GROUP BY series ORDER BY series"
        ).all()
        calls: dict[int, int] = {
            row[0]: row[1]
            for row in connection.exec_driver_sql(
                "SELECT series, sum((missing + 499) / 500) FROM t_orders GROUP BY series"
            )
        }
        series = tuple(
            SeriesPlan(
                series=row[0],
                orders=row[1],
                target=row[2],
                issued=row[3],
                held=row[4],
                missing=row[5],
                calls=calls[row[0]],
            )
            for row in by_series
        )
        rejected = connection.exec_driver_sql("SELECT count(*) FROM t_rows WHERE problems IS NOT NULL").scalar_one()
        duplicates = connection.exec_driver_sql(
            "SELECT count(*) FROM (SELECT seq FROM t_lines GROUP BY seq HAVING min(role IN ('duplicate', 'elsewhere')))"
        ).scalar_one()
        orders, below, skipped = connection.exec_driver_sql(
            "SELECT count(*), coalesce(sum(target < issued), 0), coalesce(sum(skipped), 0) FROM t_orders"
        ).one()
        examples = connection.exec_driver_sql(
            f"SELECT file, sheet, row, problems FROM t_rows WHERE problems IS NOT NULL ORDER BY seq LIMIT {EXAMPLES}"
        )
        return Plan(
            rows=self._rows,
            rejected=rejected,
            duplicate_rows=duplicates,
            lines=connection.exec_driver_sql("SELECT count(*) FROM t_lines").scalar_one(),
            orders=orders,
            target=sum(one.target for one in series),
            issued=sum(one.issued for one in series),
            held=sum(one.held for one in series),
            missing=sum(one.missing for one in series),
            calls=sum(one.calls for one in series),
            skipped=skipped,
            below=below,
            leavers=self._leavers(campaign),
            series=series,
            overlaps=total.overlaps(),
            examples=tuple(
                (Place(row[0], row[1], row[2]), tuple(Problem(*one) for one in json.loads(row[3]))) for row in examples
            ),
            digest=f"{digest % 2**128:032x}",
        )

    def _leavers(self, campaign: Campaign) -> int | None:
        with_ref, _ = self.ref_rows()
        if with_ref:
            return None
        if campaign.scope_id is None:
            return 0
        left: int = self._connection.exec_driver_sql(
            "SELECT count(*) FROM orders WHERE scope_id = ? AND issued + held > 0 AND merged_into IS NULL"
            " AND id NOT IN (SELECT existing FROM t_orders WHERE existing IS NOT NULL)",
            (campaign.scope_id,),
        ).scalar_one()
        return left

    # ── loading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def load(self, run: NewRun, campaign: Campaign, plan: Plan) -> int:
        """Load the decided input as a run in state `ready`, in one transaction; returns its number in the ledger.

        Raises PlanChanged, with nothing written, when the ledger has moved since `plan` in a way that could change it.
        """
        connection = self._connection
        org_id, scope_id = campaign.org_id, campaign.scope_id
        with transaction(connection):
            if self._current_revision(org_id) != self._revision or self._people_moved(org_id):
                raise PlanChanged
            run_id = connection.execute(
                sa.text(
                    "INSERT INTO runs(name, scope_id, state, args, files, totals, started, owner, out, overrides)"
                    " VALUES (:name, :scope, 'ready', :args, :files, :totals, :started, :owner, :out, "
                    ":overrides) RETURNING id"
                ),
                {
                    "name": run.name,
                    "scope": scope_id,
                    "args": _json(run.args),
                    "files": _json(list(run.files)),
                    "totals": _json(
                        {"rows": plan.rows, "lines": plan.lines, "missing": plan.missing, "leavers": plan.leavers}
                    ),
                    "started": run.started,
                    "owner": _json(run.owner),
                    "out": run.out,
                    "overrides": _json(list(run.overrides)),
                },
            ).scalar_one()
            base = {
                name: connection.exec_driver_sql(f"SELECT coalesce(max(id), 0) FROM {name}").scalar_one()
                for name in ("persons", "orders", "rows")
            }
            values = {"org": org_id, "scope": scope_id, "run": run_id, **{f"{name}0": at for name, at in base.items()}}
            for statement in LOADING:
                connection.execute(sa.text(statement), values)
            loaded = connection.exec_driver_sql(
                "SELECT key, series, target FROM t_orders WHERE NOT skipped ORDER BY no"
            )
            mark = blake2b(digest_size=16)
            for order in loaded:
                mark.update(f"{order[0]}:{order[1]}:{order[2]};".encode())
            counts = {"orders": plan.orders, "target": plan.target, "missing": plan.missing}
            append_event(connection, run_id, {"load": {**counts, "digest": mark.hexdigest()}}, at=run.started)
        return int(run_id)

    def _people_moved(self, org_id: int | None) -> bool:
        """Whether an identifier of the input leads to another person now than when it was decided."""
        self._follow_merged(org_id)
        moved = self._connection.exec_driver_sql(
            "SELECT EXISTS (SELECT 1 FROM t_known k JOIN identity i ON i.org_id = ? AND i.hash = k.hash"
            " LEFT JOIN t_merged m ON m.person = i.person_id WHERE coalesce(m.root, i.person_id) IS NOT k.person_id)",
            (org_id,),
        ).scalar_one()
        return bool(moved)


LOADING = (
    "INSERT INTO persons(id, org_id, name) SELECT :persons0 + no, :org, name FROM t_people WHERE person_id IS NULL",
    (
        "INSERT OR IGNORE INTO identity(org_id, hash, person_id)"
        " SELECT :org, hash, coalesce(person_id, :persons0 + no) FROM t_known ORDER BY hash"
    ),
    (
        "UPDATE orders SET target = t.target, run_id = :run,"
        " closed = CASE WHEN closed IN ('resent', 'forgotten') THEN closed END, kind = t.kind, value = t.value"
        " FROM t_orders t WHERE t.existing = orders.id AND NOT t.skipped"
    ),
    (
        "INSERT INTO orders(id, scope_id, key, series, person_id, kind, value, target, run_id)"
        " SELECT :orders0 + t.no, :scope, t.key, t.series, coalesce(p.person_id, :persons0 + p.no), t.kind, t.value,"
        " CASE WHEN t.skipped THEN 0 ELSE t.target END, :run FROM t_orders t JOIN t_people p ON p.no = t.person_no"
        " WHERE t.existing IS NULL ORDER BY t.no"
    ),
    (
        "INSERT INTO rows(id, run_id, file, sheet, row, cells, problems, rejected, series_text, count_text)"
        " SELECT :rows0 + seq, :run, file, sheet, row, cells, problems, problems IS NOT NULL, series_text, count_text"
        " FROM t_rows ORDER BY seq"
    ),
    (
        "INSERT INTO lines(run_id, row_id, order_id, requested, target, before, counted, role, same_as, note)"
        " SELECT :run, :rows0 + l.seq, coalesce(o.existing, :orders0 + o.no), l.requested, o.target, o.issued, "
        "l.counted, l.role,"
        " :rows0 + l.same_as, l.note FROM t_lines l JOIN t_orders o ON o.no = l.order_no ORDER BY l.seq, l.order_no"
    ),
    "UPDATE orgs SET revision = revision + 1 WHERE id = :org",
)


def _json(value: object) -> str:
    return orjson.dumps(value, default=list).decode()  # named tuples as lists


class _Totals:
    """What the decisions tell beyond what the tables hold: where overlaps are."""

    def __init__(self) -> None:
        self._orders: dict[str, int] = {}
        self._rows: dict[str, list[int]] = {}

    def see(self, decisions: Decisions, rows: Mapping[int, StagedRow]) -> None:
        if not any(order.elsewhere for order in decisions.orders):
            return
        for line in decisions.lines:
            order = decisions.orders[line.order]
            for facts in order.elsewhere:
                where = facts.other or ""
                if line.role in (LineRole.FIRST, LineRole.ELSEWHERE):
                    self._orders[where] = self._orders.get(where, 0) + 1
                shown = self._rows.setdefault(where, [])
                if len(shown) < EXAMPLES:
                    shown.append(rows[line.seq].place.row)

    def overlaps(self) -> tuple[OverlapSeen, ...]:
        return tuple(
            OverlapSeen(where=where, orders=count, rows=tuple(self._rows[where]))
            for where, count in self._orders.items()
        )
