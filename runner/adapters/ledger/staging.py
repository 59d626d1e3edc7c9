# ruff: noqa: S608 — put together from fixed texts of this module; every value is a parameter
"""A run's input between reading and loading: temporary tables beside the ledger, decided cluster by cluster.

Nothing here is durable before `load`, which is one transaction: a process killed while loading has loaded nothing.
Memory does not grow with the file: rows go to temporary tables and come back one cluster of connected rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, islice

from runner.adapters.ledger import checked, job_runs, unmet
from runner.adapters.ledger.clusters import find_clusters, read_clusters
from runner.adapters.ledger.deciding import Deciding
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.holding_back import HoldingBack, hold_back
from runner.adapters.ledger.known_orders import KnownOrders
from runner.adapters.ledger.loading import load_run
from runner.adapters.ledger.plan_sums import count_refs, sum_up
from runner.adapters.ledger.staged import (
    AS_READ,
    AS_WRITTEN,
    Asked,
    Campaign,
    NewRun,
    as_json,
    create_tables,
    current_revision,
    follow_merged,
    temporary,
)
from runner.core.columns import Role
from runner.core.jobspec import EarlierRun, JobMark
from runner.core.keys import name_hash, name_hashes
from runner.core.model import Kind, Place, Problem, RejectedRow, Row
from runner.core.plain_rows import PlainRows
from runner.core.plan import OverlapSeen, Plan
from runner.core.planned import Duplicates, Overlap

_PLAIN_AT_ONCE = 100


@cache
def _insert_plain(rows: int) -> str:
    """A statement for so many plain rows: what they share first, then what each has."""
    values = []
    for first in range(5, 5 + 7 * rows, 7):
        seq, row, cells, value, digest, series, count = (f"?{first + at}" for at in range(7))
        values.append(f"({seq},?1,?2,{row},{cells},{series},{count},?3,{value},{digest},{series},{count},1,?4)")
    return (
        "INSERT INTO t_rows(seq, file, sheet, row, cells, series_text, count_text, kind, value, hash, series, count,"
        f" counted, plain) VALUES {','.join(values)}"
    )


def is_plain(row: Row) -> bool:
    """Whether a row is nothing but one name, sent as it compares, and one series: by far the most are."""
    return (
        len(row.identifiers) == 1
        and len(row.series) == 1
        and row.ref is None
        and row.counted
        and not row.counts
        and row.sent.value == row.sent.written
    )


def _as_plain(row: Row) -> PlainRows:
    place, sent = row.place, row.sent
    return PlainRows(
        place.file,
        place.sheet,
        sent.kind,
        (place.row,),
        (row.cells,),
        (sent.value,),
        row.series,
        (row.count,),
        as_written=False,
    )


def _rejected(seq: int, row: RejectedRow) -> tuple[object, ...]:
    texts = (as_json(row.problems), row.series_text, row.count_text)
    return (seq, *row.place, as_json(row.cells), *texts, *[None] * 7, seq, None, 0)


class Staging:
    """Rows in, a plan out, then one loading transaction. Use as a context manager; closing forgets everything.

    `reissue_revoked`: the campaign's revoked coupons, of orders of this input, are asked for again.
    """

    def __init__(self, ledger: LedgerFile, *, reissue_revoked: bool = False) -> None:
        self._ledger = ledger
        self._key = ledger.key
        self._connection = ledger.connect()
        create_tables(self._connection)
        self._rows = 0
        self._revision: int | None = None
        self._expected: frozenset[int] = frozenset()
        self._reissue_revoked = reissue_revoked
        self._holding_back: HoldingBack | None = None
        self._summed_up: Plan | None = None
        self._planned: tuple[Campaign, tuple[OverlapSeen, ...], int, bool] | None = None

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget everything that is staged, and give its memory back. A second time does nothing."""
        self._connection.close()

    @property
    def rows(self) -> int:
        """Rows staged so far, rejected ones included."""
        return self._rows

    def add(self, rows: Iterable[Row | RejectedRow | PlainRows]) -> None:
        """Stage a chunk of rows, in the order of the input."""
        staged: list[tuple[object, ...]] = []
        names: list[tuple[object, ...]] = []
        with temporary(self._connection):
            for row in rows:
                if isinstance(row, PlainRows):
                    self._add_plain(row)
                elif isinstance(row, RejectedRow):
                    self._rows += 1
                    staged.append(_rejected(self._rows, row))
                elif is_plain(row):
                    self._add_plain(_as_plain(row))
                else:
                    self._rows += 1
                    staged.append(self._careful(self._rows, row, names))
            if staged:
                self._connection.exec_driver_sql(f"INSERT INTO t_rows VALUES ({','.join('?' * 18)})", staged)
            if names:
                self._connection.exec_driver_sql("INSERT INTO t_names VALUES (?,?,?,?,?)", names)

    def _add_plain(self, rows: PlainRows) -> None:
        """Many rows with a statement: binding values is most of what staging costs."""
        first, many = self._rows + 1, len(rows.numbers)
        self._rows += many
        plain = AS_WRITTEN if rows.as_written else AS_READ
        same = (rows.file, rows.sheet, rows.kind.value, plain)
        hashes = map(bytearray, name_hashes(self._key, rows.kind.value, rows.values))  # bytes are bound by a detour
        cells = map(as_json, rows.cells)
        columns = zip(
            range(first, first + many), rows.numbers, cells, rows.values, hashes, rows.series, rows.counts, strict=True
        )
        while part := list(islice(columns, _PLAIN_AT_ONCE)):
            self._connection.exec_driver_sql(_insert_plain(len(part)), (*same, *chain.from_iterable(part)))

    def _careful(self, seq: int, row: Row, names: list[tuple[object, ...]]) -> tuple[object, ...]:
        sent_hash = b""
        for identifier in row.identifiers:
            digest = name_hash(self._key, identifier.kind.value, identifier.value)
            written = identifier.written if identifier.written != identifier.value else None
            names.append((digest, seq, identifier.kind.value, identifier.value, written))
            if identifier.kind is row.sent.kind:
                sent_hash = digest
        series = ",".join(map(str, row.series))
        return (
            seq,
            *row.place,
            as_json(row.cells),
            None,
            series,
            "" if row.counts else str(row.count),
            row.sent.kind.value,
            row.sent.written,
            sent_hash,
            series,
            row.count,
            int(row.counted),
            as_json(row.ref) if row.ref is not None else None,
            seq,
            as_json(row.counts) if row.counts else None,
            0,
        )

    def forget_rows(self) -> None:
        """Begin anew: the input is read again, since what it means was answered meanwhile."""
        with temporary(self._connection):
            for table in ("t_rows", "t_names"):
                self._connection.exec_driver_sql(f"DELETE FROM {table}")
            self._connection.exec_driver_sql("DROP INDEX IF EXISTS temp.t_rows_plain")
        self._rows = 0

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
        return count_refs(self._connection)

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
        """List the customers that are named by another kind than `first` and may be known under another name."""
        return unmet.find_unmet(self._connection, campaign, first=first)

    def unmet(self, after: int, limit: int) -> list[Asked]:
        """The next customers to be looked up, above number `after`."""
        return unmet.unmet(self._connection, after, limit)

    def answer_lookups(self, answers: Iterable[tuple[Asked, str | None, str | None]]) -> None:
        """Take in what look-ups said: (who was asked for, her customer id or None, why it cannot be told or None)."""
        unmet.answer_lookups(self._connection, self._key, answers)

    # ── deciding and loading ─────────────────────────────────────────────────────────────────────────────────────────

    def plan(
        self,
        campaign: Campaign,
        *,
        identify_by: Sequence[Kind],
        duplicates: Duplicates,
        overlap: Overlap,
        fall_back: bool = False,
    ) -> Plan:
        """Decide everything that is staged against the ledger as it is now. May be called again after `PlanChanged`.

        Arguments as `core.planning.decide` has them.
        """
        connection = self._connection
        with temporary(connection):
            for table in ("t_people", "t_known", "t_orders", "t_lines", "t_links", "t_back", "t_reasons"):
                connection.exec_driver_sql(f"DELETE FROM {table}")
            connection.exec_driver_sql(
                "UPDATE t_rows SET problems = NULL WHERE problems IS NOT NULL AND hash IS NOT NULL"
            )
            self._revision = current_revision(connection, campaign.org_id)
            follow_merged(connection, campaign.org_id)
            find_clusters(connection, campaign.org_id)
            deciding = Deciding(
                connection,
                self._key,
                campaign,
                KnownOrders(connection, campaign, self._expected, reissue_revoked=self._reissue_revoked),
                identify_by=identify_by,
                duplicates=duplicates,
                overlap=overlap,
                fall_back=fall_back,
            )
            deciding.decide_all(read_clusters(connection, campaign))
            self._planned = campaign, deciding.overlaps(), deciding.digest, fall_back
            return self._sum_up()

    def hold_back(self, told: HoldingBack) -> Plan:
        """Hold orders of the plan back, which then stands for what is left; later plans of this input do so too.

        May be called again with something else. Only after `plan`.
        """
        before, self._holding_back = self._holding_back, told
        if self._summed_up is not None and not any(
            one is not None and (one.holds or one.exclusions) for one in (before, told)
        ):
            return self._summed_up
        with temporary(self._connection):
            return self._sum_up()

    def _sum_up(self) -> Plan:
        assert self._planned is not None  # noqa: S101 - plan comes first
        campaign, overlaps, digest, fall_back = self._planned
        if self._holding_back is not None:
            digest += hold_back(self._connection, self._holding_back)
        self._summed_up = sum_up(
            self._connection, campaign, rows=self._rows, overlaps=overlaps, digest=digest, fall_back=fall_back
        )
        return self._summed_up

    # ── what was decided, row by row ─────────────────────────────────────────────────────────────────────────────────

    def rejected_rows(self) -> Iterator[tuple[Place, tuple[Problem, ...]]]:
        """Every rejected row of the plan with its problems, in the order of the input."""
        return checked.rejected_rows(self._connection)

    def checked_rows(
        self, columns: Mapping[int, Mapping[Role, int]], *, every: bool, restored: Iterable[Place] = ()
    ) -> Iterator[checked.CheckedRow]:
        """The rows of the plan in order, all of them or those that are worth a look; see `checked.checked_rows`."""
        return checked.checked_rows(self._connection, columns, every=every, restored=restored)

    def count_orders_to_issue(self) -> int:
        """The planned orders that a run would ask for."""
        return checked.count_orders_to_issue(self._connection)

    def orders_at(self, places: Sequence[int]) -> list[checked.Probed]:
        """The orders to be issued at these places (from 0, rising), in the order of the input."""
        return checked.orders_at(self._connection, places)

    def load(self, run: NewRun, campaign: Campaign, plan: Plan) -> int:
        """Load the decided input as a run in state `ready`, in one transaction; returns its number in the ledger.

        Raises PlanChanged, with nothing written, when the ledger has moved since `plan` in a way that could change it.
        """
        return load_run(self._connection, run, campaign, plan, revision=self._revision, key=self._key)
