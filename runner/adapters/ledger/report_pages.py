"""Pages of judged lines: what the tables hold of a few hundred rows at a time, put together for `core.statuses`.

One page is read in one short transaction and judged at once. Words and figures come from the core; here facts only
meet: calls of an order and of those merged into it, closures and series of the run, coupons, and the lines that share
an order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import orjson
import sqlalchemy as sa

from runner.adapters.ledger.families import Families
from runner.adapters.ledger.report_coupons import CouponReader, as_json, reading
from runner.adapters.ledger.report_orders import FoundLine, JudgedOrder, OrderReader, Sharing
from runner.core.model import Problem
from runner.core.planned import LineRole
from runner.core.report_lines import HOLDS_NOTHING, Holding, RejectedLine, ReportLine, RowFacts
from runner.core.statuses import (
    NO_CAUSE,
    SAME_PERSON_AS,
    LineVerdict,
    OrderVerdict,
    judge_duplicate,
    judge_elsewhere,
    judge_line,
    name_row,
)

PAGE_ROWS = 500
PAGE_CALLS = 4_000
"""How much is read at once at most: rows of a page, and their calls (but all of one row)."""

_ROWS = """
SELECT r.id, r.file, r.sheet, r.row, {cells}, r.rejected, l.id, l.order_id, l.requested, l.target, l.counted, l.role,
    l.same_as, l.note, o.key, o.series, o.kind, o.value, o.closed, o.merged_into, o.calls, o.tried,
    o.others NOT NULL
FROM (SELECT * FROM rows WHERE run_id = ? AND id > ? ORDER BY id LIMIT ?) r
LEFT JOIN lines l ON l.run_id = r.run_id AND l.row_id = r.id
LEFT JOIN orders o ON o.id = l.order_id
ORDER BY r.id, l.id
"""
_CHOSEN = _ROWS.replace("AND id > ? ORDER BY id LIMIT ?", "AND id IN (SELECT value FROM json_each(?))")
_PROBLEMS = "SELECT id, problems, series_text, count_text FROM rows WHERE id IN (SELECT value FROM json_each(?))"
_SAME_AS = "SELECT id, row, sheet, file FROM rows WHERE id IN (SELECT value FROM json_each(?))"

Page = list[ReportLine | RejectedLine]


class PageReader:
    """Reads and judges one run's pages. `run_names`: run number → name; `file_names`: of the run's files.

    `coupons`: codes are read too. `cells`: the input's cells are read too.
    """

    def __init__(
        self,
        conn: sa.Connection,
        *,
        run_id: int,
        scope_id: int,
        run_names: Mapping[int, str],
        file_names: Sequence[str],
        cells: bool,
        coupons: bool,
    ) -> None:
        self._conn = conn
        self._run_id = run_id
        self._scope_id = scope_id
        self._coupons = CouponReader(conn, run_id, run_names)
        self._file_names = file_names
        self._rows_sql = _ROWS.format(cells="r.cells" if cells else "NULL")
        with reading(conn):
            self._families = Families.of_run(conn, scope_id, run_id)
            adds_up = conn.exec_driver_sql(
                "SELECT EXISTS (SELECT 1 FROM lines WHERE run_id = ? AND role = 'added')", (run_id,)
            ).scalar_one()
        self._merged = bool(self._families)
        self._orders = OrderReader(conn, run_id, self._coupons, adds_up=bool(adds_up), codes=coupons)

    def __iter__(self) -> Iterator[Page]:
        after = 0
        while True:
            with reading(self._conn):
                rows = self._conn.exec_driver_sql(self._rows_sql, (self._run_id, after, PAGE_ROWS)).all()
                if not rows:
                    return
                found = _within_limits([FoundLine._make(row) for row in rows])
                page = self._judge(found)
            after = found[-1].row_id
            yield page

    def of_rows(self, row_ids: Sequence[int]) -> dict[tuple[int, int], ReportLine]:
        """The lines of some rows, by row and series."""
        chosen: dict[tuple[int, int], ReportLine] = {}
        sql = _CHOSEN.format(cells="NULL")
        for start in range(0, len(row_ids), PAGE_ROWS):
            with reading(self._conn):
                told = as_json(list(row_ids[start : start + PAGE_ROWS]))
                found = [FoundLine._make(row) for row in self._conn.exec_driver_sql(sql, (self._run_id, told)).all()]
                found = [row for row in found if row.line_id is not None and not row.rejected]
                page = self._judge(found)
            for row, line in zip(found, page, strict=True):
                if isinstance(line, ReportLine):
                    chosen[row.row_id, line.series] = line
        return chosen

    def _judge(self, found: Sequence[FoundLine]) -> Page:
        if any(row.merged_into is not None and not self._families.knows(row.order_id) for row in found):
            # Merged while the pages go by.
            self._families = Families.of_run(self._conn, self._scope_id, self._run_id)
        self._merged = bool(self._families)
        judged = self._orders.judge(found, self._families)
        problems = self._problems(found)
        same_as = self._same_as(found)
        page: Page = []
        before = 0
        for row in found:
            cells = orjson.loads(row.cells) if row.cells is not None else ()
            at = RowFacts(row.file, row.sheet, row.row, cells)
            if row.rejected:
                page.append(RejectedLine(at, *problems[row.row_id]))
            elif row.line_id is not None:
                page.append(self._line(row, at, judged, same_as, row.row_id != before))
            before = row.row_id
        return page

    def _line(
        self,
        row: FoundLine,
        at: RowFacts,
        judged: Mapping[int, JudgedOrder],
        same_as: Mapping[int, tuple[int, str, int]],
        starts_row: bool,
    ) -> ReportLine:
        order_id = row.order_id
        printed = row.requested if row.counted else None
        if row.role == LineRole.ELSEWHERE:
            return self._repeat(row, at, judge_elsewhere(row.note or ""), row.target, "", printed, starts_row)
        key = row.key
        if self._merged:
            key = self._families.root_key(order_id, key)
            first = self._families.first_line(order_id)
            if first is not None and first.order_id != order_id:
                place = self._name(first.row, first.sheet, first.file, row.file)
                surplus = self._families.is_surplus(order_id, first.order_id)
                verdict = judge_duplicate(place, same_person=True, surplus=surplus)
                return self._repeat(row, at, verdict, first.target, key, printed, starts_row)
        if row.role == LineRole.DUPLICATE:
            known = same_as.get(row.same_as or 0)
            place = self._name(*known, row.file) if known is not None else "an earlier row"
            verdict = judge_duplicate(place, same_person=(row.note or "").startswith(SAME_PERSON_AS))
            return self._repeat(row, at, verdict, row.target, key, printed, starts_row)
        own = judged[order_id]
        if own.sharing is not None:
            return self._shared_line(row, at, own, own.sharing, key, printed, starts_row)
        verdict = judge_line(own.shares[0], own.order)
        share = verdict.share
        speaks = share.missing > 0 and not share.held
        customer, rows = row.value or "", (row.row,)
        line = (at, row.series, key, row.kind, customer, printed, verdict, own.order, speaks, True, True, rows)
        return ReportLine(*line, own.holding, starts_row)

    def _shared_line(
        self,
        row: FoundLine,
        at: RowFacts,
        own: JudgedOrder,
        sharing: Sharing,
        key: str,
        printed: int | None,
        starts_row: bool,
    ) -> ReportLine:
        position = sharing.line_ids.index(row.line_id)
        share = own.shares[position]
        offset = sum(earlier.issued for earlier in own.shares[:position])
        first, last = position == 0, position == len(own.shares) - 1
        speaker = next((place for place, one in enumerate(own.shares) if one.missing and not one.held), -1)
        coupons, uncounted, revoked, _, order_ids = own.holding
        if coupons is not None:
            coupons = coupons[offset:] if last else coupons[offset : offset + share.issued]
        if revoked:
            revoked = self._coupons.count_revoked(order_ids, offset, share.issued)
        holding = Holding(coupons, uncounted if last else (), revoked, offset, order_ids)
        return ReportLine(
            *(at, row.series, key, row.kind, row.value or "", printed, judge_line(share, own.order), own.order),
            *(position == speaker, first, last, sharing.rows, holding, starts_row),
        )

    def _repeat(
        self,
        row: FoundLine,
        at: RowFacts,
        verdict: LineVerdict,
        target: int,
        key: str,
        printed: int | None,
        starts_row: bool,
    ) -> ReportLine:
        """A line that holds nothing; the order's target is all that its `_ref` needs."""
        order = OrderVerdict(target, 0, 0, 0, 0, NO_CAUSE, NO_CAUSE, False, 0, None, None, "", (), ())
        return ReportLine(
            *(at, row.series, key, row.kind, row.value or "", printed, verdict, order, False, False, False, (row.row,)),
            *(HOLDS_NOTHING, starts_row),
        )

    def _name(self, row: int, sheet: str, file: int, own_file: int) -> str:
        return name_row(row, sheet, self._file_names[file] if file != own_file else "")

    # ------------------------------------------------------------- orders

    # ------------------------------------------------------------- rows

    def _problems(self, found: Sequence[FoundLine]) -> dict[int, tuple[list[Problem], str, str]]:
        ids = [row.row_id for row in found if row.rejected]
        if not ids:
            return {}
        return {
            number: ([Problem(*problem) for problem in orjson.loads(problems or "[]")], series, count)
            for number, problems, series, count in self._conn.exec_driver_sql(_PROBLEMS, (as_json(ids),))
        }

    def _same_as(self, found: Sequence[FoundLine]) -> dict[int, tuple[int, str, int]]:
        ids = {row.same_as for row in found if row.role == LineRole.DUPLICATE and row.same_as is not None}
        if not ids:
            return {}
        return {
            number: (row, sheet, file)
            for number, row, sheet, file in self._conn.exec_driver_sql(_SAME_AS, (as_json(list(ids)),))
        }


def _within_limits(found: list[FoundLine]) -> list[FoundLine]:
    """The first rows whose orders have not too many calls together; whole rows, at least one."""
    calls = 0
    for position, row in enumerate(found):
        calls += row.calls or 0
        if calls > PAGE_CALLS and position and row.row_id != found[0].row_id:
            return [one for one in found[:position] if one.row_id != row.row_id]
    return found
