"""Reads one run for its reports: what it is, its lines page by page, its sums.

Every page is a short read transaction of its own, so a report disturbs no live run, and memory does not grow with the
run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from runner.adapters.ledger.events import Head, head_of
from runner.adapters.ledger.families import Families
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.report_coupons import NOT_COUNTED, CouponReader, reading
from runner.adapters.ledger.report_pages import Page, PageReader
from runner.adapters.ledger.runs import RunFacts, read_run
from runner.adapters.ledger.schema import runs
from runner.core.merging import SURPLUS
from runner.core.report_lines import CouponFacts, FileShape, RejectedLine, ReportLine, shape_file
from runner.core.totals import Tally, Totals
from runner.errors import UsageError

CACHE_KIB = 8_192

_CALL_SUMS = """
WITH own(id) AS (
    SELECT coalesce(o.merged_into, o.id) FROM lines l JOIN orders o ON o.id = l.order_id
    WHERE l.run_id = :run AND l.role <> 'elsewhere'),
family(id) AS (
    SELECT id FROM own
    UNION SELECT o.id FROM orders o WHERE o.scope_id = :scope AND o.merged_into IN (SELECT id FROM own))
SELECT coalesce(sum(known), 0) - (
    SELECT count(*) FROM coupons p INDEXED BY coupons_replaced JOIN orders o ON o.id = p.order_id
    WHERE p.replaced_by IS NOT NULL AND p.replaced_by <= :run AND coalesce(o.merged_into, o.id) IN own),
    coalesce(sum(held), 0)
FROM family JOIN calls ON order_id = family.id WHERE run_id <= :run
"""


class RunReader:
    """One run of a ledger, for its reports. Use as a context manager; every iteration reads the ledger afresh.

    Raises:
        UsageError: the ledger has no such run.
        LedgerFailed: the ledger cannot be read.
    """

    def __init__(self, ledger: LedgerFile, run_name: str) -> None:
        self.ledger = ledger
        self._conn = ledger.connect(readonly=True)
        try:
            # A report passes over each page of the ledger once or twice: a large cache would only cost memory.
            self._conn.exec_driver_sql(f"PRAGMA cache_size = -{CACHE_KIB}")
            self.run = run_of(self._conn, run_name)
        except BaseException:
            self._conn.close()
            raise
        self.shapes: tuple[FileShape, ...] = tuple(
            shape_file(str(file.get("name", "")), file.get("headers", ()), self.run.mapping) for file in self.run.files
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._conn.close()

    def head(self) -> Head:
        """The newest link of the ledger's history."""
        return head_of(self._conn)

    def erased(self) -> int:
        """How much of what the reports print was erased since: rows without cells, orders without an identifier."""
        rows_and_orders = (
            "SELECT (SELECT count(*) FROM rows WHERE run_id = ?1 AND cells IS NULL) + (SELECT count(*) FROM orders o"
            " WHERE o.value IS NULL AND o.id IN (SELECT l.order_id FROM lines l WHERE l.run_id = ?1))"
        )
        return int(self._conn.exec_driver_sql(rows_and_orders, (self.run.id,)).scalar_one())

    @cached_property
    def run_names(self) -> Mapping[int, str]:
        """Names of this run and the earlier ones of its campaign, by number."""
        earlier = sa.select(runs.c.id, runs.c.name).where(
            runs.c.scope_id == self.run.scope_id, runs.c.id <= self.run.id
        )
        return {row.id: row.name for row in self._conn.execute(earlier)}

    def pages(self, *, cells: bool = True, coupons: bool = True) -> Iterator[Page]:
        """All lines and rejected rows in the order of the input. Without `cells` or `coupons` these stay empty."""
        return iter(self._reader(cells=cells, coupons=coupons))

    def of_rows(self, row_ids: Sequence[int]) -> dict[tuple[int, int], ReportLine]:
        """The lines of some rows (their numbers in the ledger), without cells and codes, by row and series."""
        return self._reader(cells=False, coupons=False).of_rows(row_ids)

    def _reader(self, *, cells: bool, coupons: bool) -> PageReader:
        return PageReader(
            self._conn,
            run_id=self.run.id,
            scope_id=self.run.scope_id,
            run_names=self.run_names,
            file_names=[shape.name for shape in self.shapes],
            cells=cells,
            coupons=coupons,
        )

    def lines(self) -> Iterator[ReportLine]:
        """The judged lines, in the order of the input."""
        for page in self.pages():
            for line in page:
                if isinstance(line, ReportLine):
                    yield line

    def rejected(self) -> Iterator[RejectedLine]:
        """The rejected rows, in the order of the input."""
        for page in self.pages(coupons=False):
            for line in page:
                if isinstance(line, RejectedLine):
                    yield line

    def doubts(self) -> Iterator[ReportLine]:
        """The first line of each order with doubtful calls, which are in its `order.doubts`."""
        for page in self.pages(cells=False, coupons=False):
            for line in page:
                if isinstance(line, ReportLine) and line.first and line.order.doubts:
                    yield line

    def coupons(self, line: ReportLine) -> Iterator[Sequence[CouponFacts]]:
        """A line's coupons in pages: those dealt to it and, with its order's last line, those that do not count."""
        holding = line.holding
        if holding.coupons is not None:
            if holding.coupons:
                yield holding.coupons
            if holding.uncounted:
                yield holding.uncounted
            return
        position, start = 0, holding.offset
        end = start + line.verdict.share.issued
        coupons = CouponReader(self._conn, self.run.id, self.run_names)
        for page in coupons.of_order(holding.order_ids):
            chosen = []
            for coupon in page:
                if coupon.state in NOT_COUNTED:
                    if line.last:
                        chosen.append(coupon)
                    continue
                if start <= position and (position < end or line.last):
                    chosen.append(coupon)
                position += 1
            if chosen:
                yield chosen

    def totals(self, tally: Tally | None = None) -> Totals:
        """The run's sums: a tally of its lines (made now if None) beside what the ledger counts by itself."""
        if tally is None:
            tally = Tally()
            for page in self.pages(cells=False, coupons=False):
                tally.add_page(page)
        run = {"run": self.run.id, "scope": self.run.scope_id}
        with reading(self._conn):
            rows, rejected = self._conn.execute(
                sa.text("SELECT count(*), coalesce(sum(rejected), 0) FROM rows WHERE run_id = :run"), run
            ).one()
            lines = self._conn.execute(sa.text("SELECT count(*) FROM lines WHERE run_id = :run"), run).scalar_one()
            issued, held = self._conn.execute(sa.text(_CALL_SUMS), run).one()
            surplus = tally.flags[SURPLUS] > 0
            undo = Families.of_run(self._conn, self.run.scope_id, self.run.id).to_undo(self._conn) if surplus else None
        found = tally.totals(rows=rows, line_count=lines, rejected=rejected, ledger_issued=issued, ledger_in_doubt=held)
        return replace(found, undo=undo)

    def line_count(self) -> int:
        """Lines and rejected rows: how many lines a report has."""
        query = (
            "SELECT (SELECT count(*) FROM lines WHERE run_id = :run)"
            " + (SELECT coalesce(sum(rejected), 0) FROM rows WHERE run_id = :run)"
        )
        return int(self._conn.execute(sa.text(query), {"run": self.run.id}).scalar_one())

    def throttled(self) -> tuple[int, int]:
        """How many calls the API refused as too many (429), and how many began in the minute before the first one."""
        run = {"run": self.run.id}
        times, first = self._conn.execute(
            sa.text("SELECT count(*), min(began) FROM calls WHERE run_id = :run AND http = 429"), run
        ).one()
        if not times:
            return 0, 0
        before = self._conn.execute(
            sa.text("SELECT count(*) FROM calls WHERE run_id = :run AND began > :first - 60 AND began < :first"),
            {**run, "first": first},
        )
        return int(times), int(before.scalar_one())

    def is_live(self) -> bool:
        """Whether the run may be changing while it is read: neither stopped, finished nor abandoned."""
        state = self._conn.execute(sa.select(runs.c.state).where(runs.c.id == self.run.id)).scalar_one()
        return state in ("ready", "running")


def run_of(conn: sa.Connection, run_name: str) -> RunFacts:
    """A run by the id that people see. Raises UsageError when the ledger has none of this name."""
    found = read_run(conn, run_name)
    if found is None:
        raise UsageError(f"This ledger has no run {run_name}. `coupon-runner runs` lists the runs that it has.")
    return found
