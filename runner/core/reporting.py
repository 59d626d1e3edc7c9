"""The reports as plain tables: rows of text and numbers, in the order in which a file holds them.

CSV files are written from these rows, and workbooks can be: nothing here knows how a table is stored. Cells that came
from outside (the input, the API) are neutralised; numbers, times and our own words are not.

Columns of the input come first, in order, with the headings of the first file that has them. With several files,
columns of one role (all the mobiles, all the counts) share one column, so that what we wrote can be read again. Columns
that we added to an earlier file which came back are not the input's. Rows of several files are told apart by a `_file`
column, which exists only then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from runner.core.columns import ADDED_COLUMNS, Role
from runner.core.model import Problem, Ref
from runner.core.neutralising import neutralise
from runner.core.refs import REF_COLUMN, write_ref
from runner.core.report_lines import CouponFacts, FileShape, RejectedLine, ReportLine, RowFacts, merge_columns
from runner.core.statuses import (
    NEVER_TRIED,
    UNFINISHED,
    CallFacts,
    LineStatus,
    LineVerdict,
    name_rows,
)
from runner.core.trimming import trim

SEE_COUPONS = "see coupons"
FILE_COLUMN = "_file"

RESULT_COLUMNS = tuple(heading for heading in ADDED_COLUMNS if heading != FILE_COLUMN)
FAILURE_COLUMNS = (
    *("_row", "_sheet", "_status", "_target", "_issued", "_missing"),
    *("_error_code", "_error_message", "_advice", REF_COLUMN),
)
RESOLVE_COLUMNS = ("resolve_issued", "resolve_why")
"""Blank in what we write: what a person who knows fills in before `resolve --from` reads it."""
DOUBT_COLUMNS = (
    *("rows", "sheet", "file", "series", "kind", "customer", "call_key", "run", "state", "quantity", "known"),
    *("in_doubt", "began", "ended", "http", "code", "message", "request_id", "evidence"),
    *RESOLVE_COLUMNS,
)
COUPON_COLUMNS = (
    *("row", "sheet", "file", "series", "kind", "customer", "code", "coupon_id", "call_key", "run", "time", "state"),
)

Cell = str | int
Advise = Callable[[str], str]
"""What to do about a code: one sentence, "" when there is nothing to say."""


def write_time(seconds: float | None) -> str:
    """A time as UTC ISO 8601 with milliseconds, e.g. "2026-11-23T03:15:00.250Z"; "" for None."""
    if seconds is None:
        return ""
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{_write_second(whole)}.{thousandths:03}Z"


@lru_cache(maxsize=4096)  # calls cluster: thousands share a second, and formatting a date is slow
def _write_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


class Tables:
    """The tables of one run: their headings, and their rows from judged lines.

    `ledger_id`, `key`, `rehearsal` make the `_ref` cells. `advise`: code → what to do about it. `again`: what to do
    about a line that was not sent and has no code, e.g. the command that goes on.
    """

    def __init__(
        self,
        files: Sequence[FileShape],
        *,
        ledger_id: str,
        key: bytes,
        rehearsal: bool,
        advise: Advise,
        again: str,
    ) -> None:
        self._files = files
        self._several = len(files) > 1
        self._ledger_id, self._key, self._rehearsal = ledger_id, key, rehearsal
        self._advise, self._again = advise, again
        self._advice: dict[str, str] = {}
        self._places: dict[tuple[int, str], tuple[str, str]] = {}
        self._headings, self._sources, self._role_columns = merge_columns(files)
        self._width = width = len(self._headings)
        # The common case, one file: its cells are copied without looking each one up.
        self._straight = [sources == list(range(width)) for sources in self._sources]
        # Failures always have a series and a count column: the input's, else added behind its columns.
        self._extra: list[str] = []
        self._failure_series = self._column_or_extra(Role.SERIES)
        self._failure_count = self._column_or_extra(Role.COUNT)

    def _column_or_extra(self, role: Role) -> int:
        column = self._role_columns.get(role)
        if column is None:
            column = self._width + len(self._extra)
            self._extra.append(role.value)
        return column

    # ------------------------------------------------------------- headings

    @property
    def result_header(self) -> list[str]:
        """Headings of results: one line a line, rejected rows included."""
        return [neutralise(heading) for heading in self._headings] + self._with_file(RESULT_COLUMNS)

    @property
    def failure_header(self) -> list[str]:
        """Headings of failures: one line an order, rejected rows one line a row."""
        return [neutralise(heading) for heading in self._headings] + self._extra + self._with_file(FAILURE_COLUMNS)

    @property
    def doubt_header(self) -> list[str]:
        """Headings of in_doubt: one line a doubtful call."""
        return list(DOUBT_COLUMNS)

    @property
    def coupon_header(self) -> list[str]:
        """Headings of coupons: one line a coupon."""
        return list(COUPON_COLUMNS)

    def _with_file(self, columns: Sequence[str]) -> list[str]:
        return [FILE_COLUMN, *columns] if self._several else list(columns)

    # ------------------------------------------------------------- rows

    def result_row(self, line: ReportLine) -> list[Cell]:
        """A line of results. The input's cells as they were; base of `_ref` = target − the count printed there."""
        at, order = line.at, line.order
        verdict = line.verdict
        status, share, cause, _ = verdict
        row: list[Cell] = self._original(at)
        if self._several:
            # A file without a series column got its series otherwise; where another file has the column, it says which.
            column = self._role_columns.get(Role.SERIES)
            if column is not None and Role.SERIES not in self._files[at.file].roles:
                row[column] = line.series
        row += self._place(at)
        codes = ids = ""
        coupons = line.holding.coupons
        if coupons is None:
            codes = ids = SEE_COUPONS if share.issued else ""
        elif len(coupons) == 1:  # by far the most frequent
            codes, ids = neutralise(coupons[0].code), neutralise(coupons[0].id)
        elif coupons:
            codes = neutralise("; ".join([coupon.code for coupon in coupons]))
            ids = neutralise("; ".join([coupon.id for coupon in coupons]))
        count = line.printed if self._prints_count(at) else None
        if not line.order_key:
            ref = ""
        elif count is None:
            ref = self._ref(line.order_key, order.target, True)
        else:
            ref = self._ref(line.order_key, order.target - count, False)
        if status is LineStatus.DUPLICATE:
            sent: tuple[Cell, ...] = (0, "", "", "")
        else:
            sent = (
                order.attempts,
                write_time(order.first_sent),
                write_time(order.last_answer),
                neutralise(order.request_id),
            )
        row += (
            line.series,
            status,
            share.target,
            share.issued,
            share.before,
            share.missing,
            share.held,
            line.holding.revoked,
            codes,
            ids,
            cause.code,
            neutralise(cause.message) if cause.message else "",
            self._advice_for(verdict) if status is not LineStatus.ISSUED or cause.code else "",
        )
        row += sent
        row.append(ref)
        return row

    def rejected_result_row(self, line: RejectedLine) -> list[Cell]:
        """A rejected row in results: its cells as they were and all its problems; it has no figures and no `_ref`."""
        at = line.at
        row: list[Cell] = self._original(at)
        row += self._place(at)
        row += (neutralise(line.series_text), LineStatus.REJECTED.value, "", "", "", "", "", "", "", "", "")
        row += (neutralise(name_problems(line.problems)), REJECTED_ADVICE, "", "", "", "", "")
        return row

    def failure_row(self, line: ReportLine) -> list[Cell]:
        """An order that misses something: the input's cells, narrowed to this order's series and what is missing."""
        at, order = line.at, line.order
        row: list[Cell] = self._original(at)
        row += [""] * len(self._extra)
        row[self._failure_series] = line.series
        row[self._failure_count] = order.missing
        place = self._place(at)
        if len(line.rows) > 1:
            place[-2] = name_rows(line.rows)
        row += place
        row += (
            line.verdict.status.value,
            order.target,
            order.issued,
            order.missing,
            line.verdict.cause.code,
            neutralise(line.verdict.cause.message),
            self._advice_for(line.verdict),
            self._ref(line.order_key, order.target - order.missing, False) if line.order_key else "",
        )
        return row

    def rejected_failure_row(self, line: RejectedLine) -> list[Cell]:
        """A rejected row in failures: its cells as they were; columns that its file lacks hold what would have been
        used.
        """
        at = line.at
        row: list[Cell] = self._original(at)
        row += [""] * len(self._extra)
        shape = self._files[at.file]
        if Role.SERIES not in shape.roles:
            row[self._failure_series] = neutralise(line.series_text)
        if Role.COUNT not in shape.roles:
            row[self._failure_count] = neutralise(line.count_text)
        row += self._place(at)
        row += (
            LineStatus.REJECTED.value,
            "",
            "",
            "",
            "",
            neutralise(name_problems(line.problems)),
            REJECTED_ADVICE,
            "",
        )
        return row

    def doubt_rows(self, line: ReportLine, run_names: Mapping[int, str]) -> Iterator[list[Cell]]:
        """The doubtful calls of a line's order, each with all that support needs to find it."""
        for call in line.order.doubts:
            yield self._doubt_row(line, call, run_names)

    def _doubt_row(self, line: ReportLine, call: CallFacts, run_names: Mapping[int, str]) -> list[Cell]:
        at = line.at
        file, sheet = self._names_of(at)
        return [
            name_rows(line.rows) if len(line.rows) > 1 else at.row,
            sheet,
            file,
            line.series,
            line.kind,
            neutralise(line.customer),
            call.key,
            run_names.get(call.run_id, ""),
            call.state,
            call.quantity,
            call.known,
            call.held,
            write_time(call.began),
            write_time(call.ended),
            "" if call.http is None else call.http,
            call.code or "",
            neutralise(line.order.doubt.message if call is line.order.doubts[-1] else call.message or ""),
            neutralise(call.request_id or ""),
            neutralise(call.evidence or ""),
            *("" for _ in RESOLVE_COLUMNS),
        ]

    def coupon_rows(self, line: ReportLine, coupons: Sequence[CouponFacts]) -> list[list[Cell]]:
        """A line's coupons, one row each."""
        at = line.at
        file, sheet = self._names_of(at)
        front: list[Cell] = [
            at.row,
            sheet,
            file,
            line.series,
            line.kind,
            neutralise(line.customer),
        ]
        return [
            [*front, neutralise(code), neutralise(number), call_key, run, write_time(at_seconds), state]
            for number, code, call_key, run, at_seconds, state in coupons
        ]

    # ------------------------------------------------------------- cells

    def _original(self, at: RowFacts) -> list[Cell]:
        cells = at.cells
        if self._straight[at.file] and len(cells) == self._width:
            return [neutralise(cell) for cell in cells]
        # Erased rows have no cells, ragged ones too few or too many: the columns keep their places.
        present = len(cells)
        return [
            neutralise(cells[source]) if source is not None and source < present else ""
            for source in self._sources[at.file]
        ]

    def _place(self, at: RowFacts) -> list[Cell]:
        name, sheet = self._names_of(at)
        return [name, at.row, sheet] if self._several else [at.row, sheet]

    def _names_of(self, at: RowFacts) -> tuple[str, str]:
        """File and sheet as they are written; a run has few, and millions of rows name them."""
        names = self._places.get((at.file, at.sheet))
        if names is None:
            names = neutralise(self._files[at.file].name), neutralise(at.sheet)
            self._places[at.file, at.sheet] = names
        return names

    def _prints_count(self, at: RowFacts) -> bool:
        """Whether the row shows its count: a default that came from elsewhere is not on the line."""
        column = self._files[at.file].roles.get(Role.COUNT)
        return column is not None and column < len(at.cells) and trim(at.cells[column]) != ""

    def _ref(self, order_key: str, base: int, whole: bool) -> str:
        return write_ref(Ref(self._ledger_id, order_key, base, whole, self._rehearsal), self._key)

    def _advice_for(self, verdict: LineVerdict) -> str:
        code = verdict.cause.code
        if not code:
            return self._again if verdict.again and verdict.cause in (NEVER_TRIED, UNFINISHED) else ""
        known = self._advice.get(code)
        if known is None:
            known = self._advice[code] = neutralise(self._advise(code))
        return known


REJECTED_ADVICE = "Correct the cells named here and feed this file back."


def name_problems(problems: Sequence[Problem]) -> str:
    """All problems of a row in one cell: "Mobile: …; Count: …"."""
    return "; ".join(
        f"{problem.column}: {problem.message}" if problem.column else problem.message for problem in problems
    )
