"""Tables out of Excel workbooks: values by calamine, and beside each what only the sheet's XML tells.

Both readings walk through a sheet together; where they do not agree about a cell, the file is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from datetime import date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

from python_calamine import CalamineError, CalamineWorkbook

from runner.adapters.delimited import Record, changed, stamp_of, unreadable
from runner.adapters.workbook_xml import Package, SheetLayout, SheetPart
from runner.core.sheet_cells import RawCell, cell_text
from runner.errors import InputRefused

MAX_CELLS = 30_000_000
"""Cells of the rectangle around everything filled, which calamine holds in memory: some 24 bytes each."""

_TEXT_TYPES = frozenset({"s", "inlineStr", "str"})

Value = int | float | str | bool | datetime | date | time | timedelta


class SheetRead(NamedTuple):
    """A sheet after its first reading.

    `headers`: () when it is blank. `header_row`: its number. `rows`: there are some below. `hidden_rows`: how many of
    these are hidden. `hidden_columns`: indexes of headings. `records`: all rows below the header, or only those shown.
    """

    name: str
    hidden: bool
    headers: tuple[str, ...]
    header_row: int
    rows: bool
    hidden_rows: int
    hidden_columns: tuple[int, ...]
    records: Callable[[bool], Iterator[Record]]


def read_workbook(file: Path, stamp: tuple[int, int, int]) -> list[SheetRead]:
    """All worksheets of a workbook.

    Raises:
        InputRefused: it is damaged, protected, too large, or no workbook.
    """
    try:
        with file.open("rb") as stream, Package(file.name, stream) as package:
            sheets = package.sheets()
            formats = package.formats()
            package.check_part("xl/sharedStrings.xml")
            reader = _Reader(file, stamp, formats)
            return [reader.survey(package, sheet) for sheet in sheets]
    except OSError as error:
        raise unreadable(file, error) from error


class _Reader:
    def __init__(self, file: Path, stamp: tuple[int, int, int], formats: list[str]) -> None:
        self._file = file
        self._stamp = stamp
        self._formats = formats

    def survey(self, package: Package, sheet: SheetPart) -> SheetRead:
        """Look through a sheet once: how far it goes, where its header is, and what is hidden."""
        layout = SheetLayout()
        first = last = left = right = -1
        hidden: list[int] = []
        for number, is_hidden, cells in package.rows(sheet.part, layout):
            first, last = (number if first < 0 else first), number
            left = cells[0].column if left < 0 else min(left, cells[0].column)
            right = max(right, cells[-1].column)
            if is_hidden:
                hidden.append(number)
        if first < 0:
            return SheetRead(sheet.name, sheet.hidden, (), 0, False, 0, (), lambda _: iter(()))
        if (last - first + 1) * (right - left + 1) > MAX_CELLS:
            raise InputRefused(
                f"{self._file.name}, sheet {sheet.name!r}: something stands in row {last:,}, column {right + 1:,}, so "
                f"that the sheet is {last - first + 1:,} rows by {right - left + 1:,} columns large. Delete what "
                "stands far outside the list, or save the list as CSV UTF-8."
            )
        columns = range(left, right + 1)
        with closing(self._records(sheet, columns, hidden_too=True)) as records:
            header_row, headers = next(records, (0, []))
            below = next(records, None)
        return SheetRead(
            name=sheet.name,
            hidden=sheet.hidden,
            headers=tuple(str(cell) for cell in headers),
            header_row=header_row,
            rows=below is not None,
            hidden_rows=sum(number > header_row for number in hidden),
            hidden_columns=tuple(column - left for column in columns if layout.hides(column)),
            records=partial(self._below, sheet, columns, header_row),
        )

    def _below(self, sheet: SheetPart, columns: range, header_row: int, hidden_too: bool) -> Iterator[Record]:
        return (record for record in self._records(sheet, columns, hidden_too=hidden_too) if record[0] > header_row)

    def _records(self, sheet: SheetPart, columns: range, *, hidden_too: bool) -> Generator[Record]:
        """Both readings together: every row with something in it, its cells as texts."""
        try:
            with self._file.open("rb") as stream, self._file.open("rb") as other:
                if stamp_of(stream.fileno()) != self._stamp:
                    raise changed(self._file)
                with Package(self._file.name, stream) as package, CalamineWorkbook.from_filelike(other) as book:
                    found = book.get_sheet_by_name(sheet.name)
                    yield from self._merge(package, sheet, columns, found.start, found.iter_rows(), hidden_too)
                if stamp_of(stream.fileno()) != self._stamp:
                    raise changed(self._file)
        except CalamineError as error:
            raise InputRefused(
                f"{self._file.name}, sheet {sheet.name!r} cannot be read: {error}. Open it in Excel and save it again "
                "as .xlsx, or save it as CSV UTF-8."
            ) from error
        except OSError as error:
            raise unreadable(self._file, error) from error

    def _merge(
        self,
        package: Package,
        sheet: SheetPart,
        columns: range,
        start: tuple[int, int] | None,
        values: Iterator[list[Value]],
        hidden_too: bool,
    ) -> Iterator[Record]:
        at, row = 0, list[Value]()
        left, shift = columns.start, start[1] if start is not None else 0
        width, formats = len(columns), self._formats
        for number, hidden, raw_cells in package.rows(sheet.part, SheetLayout()):
            while at < number:
                row, at = next(values, []), at + 1
            if hidden and not hidden_too:
                continue
            cells = [""] * width
            for raw in raw_cells:
                place = raw.column - shift
                value: Value = row[place] if 0 <= place < len(row) else ""
                code = formats[raw.style] if raw.style < len(formats) else "General"
                cells[raw.column - left] = self._text(sheet, number, raw, code, value)
            if "".join(cells).strip():
                yield number, cells

    def _text(self, sheet: SheetPart, number: int, raw: RawCell, code: str, value: Value) -> str:
        if raw.type in _TEXT_TYPES:
            agree = isinstance(value, str)
        elif raw.type == "n" and raw.value and isinstance(value, int | float | str):
            agree = _same_number(raw.value, value)
        else:
            agree = True
        if not agree:
            raise InputRefused(
                f"{self._file.name}, sheet {sheet.name!r}, row {number:,}, column {raw.column + 1}: two readings of "
                "the cell differ. Open the file in Excel and save it again as .xlsx, or save it as CSV UTF-8."
            )
        return cell_text(raw, code, _as_text(value))


def _same_number(written: str, value: float | str) -> bool:
    try:
        return not isinstance(value, str) and float(written) == value
    except ValueError:
        return False


def _as_text(value: Value) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return str(value)
