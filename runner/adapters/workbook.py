"""Tables out of Excel workbooks: values by calamine, and beside each what only the sheet's XML tells.

Both readings walk through a sheet together; where they do not agree about a cell, the file is refused.
"""

from __future__ import annotations

import zipfile
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import islice
from typing import IO, NamedTuple, Protocol

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from runner.adapters.delimited import Record
from runner.adapters.old_workbook import OLE, OldWorkbook
from runner.adapters.open_document import OpenDocument
from runner.adapters.sources import BROKEN_ARCHIVE, Source
from runner.adapters.workbook_rows import ExcelBook
from runner.adapters.workbook_scan import SheetScan, Value, scan, text_of
from runner.adapters.workbook_xml import RawRow, SheetLayout, SheetPart
from runner.core.input_limits import InputLimits
from runner.core.sheet_cells import RawCell, cell_text, is_plain_number
from runner.core.table_finding import LOOKED_AT
from runner.errors import InputRefused

MAX_CELLS = 30_000_000
"""Cells of the rectangle around everything filled, which calamine holds in memory: some 24 bytes each."""

_AT_ONCE = 2_000
"""Rows of a sheet whose cells become texts together."""

_TEXT_TYPES = frozenset({"s", "inlineStr", "str"})


class SheetRead(NamedTuple):
    """A sheet after its first reading.

    `headers`: () when it is blank. `header_row`: its number. `rows`: there are some below. `hidden_rows`: how many of
    these are hidden. `hidden_columns`: indexes of headings. `records`: all rows below the header, or only those
    shown. `top`: the first filled rows, header included.
    """

    name: str
    hidden: bool
    headers: tuple[str, ...]
    header_row: int
    rows: bool
    hidden_rows: int
    hidden_columns: tuple[int, ...]
    records: Callable[[bool], Iterator[Record]]
    top: tuple[tuple[int, tuple[str, ...]], ...] = ()


class _Book(Protocol):
    """What the formats have in common. `values_by_calamine`: texts are not in `rows`, but come from there."""

    values_by_calamine: bool

    def sheets(self) -> list[SheetPart]: ...

    def formats(self) -> list[str]: ...

    def rows(self, part: str, layout: SheetLayout) -> Iterator[RawRow]: ...


def read_workbook(source: Source, limits: InputLimits) -> list[SheetRead]:
    """All worksheets of a workbook: .xlsx, .xlsm, .xls or .ods, told by content.

    Raises:
        InputRefused: it is damaged, protected, too large, or no workbook.
    """
    with source.reading() as stream, _opened(source.name, stream, limits) as book:
        sheets = book.sheets()
        reader = _Reader(source, limits, book.formats())
        if isinstance(book, ExcelBook):
            book.check_part("xl/sharedStrings.xml")
        return [reader.survey(book, sheet) for sheet in sheets]


def _opened(name: str, stream: IO[bytes], limits: InputLimits) -> ExcelBook | OpenDocument | OldWorkbook:
    head = stream.read(len(OLE))
    stream.seek(0)
    if head == OLE:
        return OldWorkbook(name, stream)
    try:
        with zipfile.ZipFile(stream) as archive:
            document = "[Content_Types].xml" not in archive.namelist()
    except BROKEN_ARCHIVE:
        document = False
    stream.seek(0)
    return OpenDocument(name, stream, limits) if document else ExcelBook(name, stream, limits)


class _Reader:
    def __init__(self, source: Source, limits: InputLimits, formats: list[str]) -> None:
        self._source = source
        self._limits = limits
        self._formats = formats
        self._plain = defaultdict(lambda: True, {style: code == "General" for style, code in enumerate(formats)})
        self._kept: tuple[str, CalamineSheet] | None = None

    def survey(self, book: _Book, sheet: SheetPart) -> SheetRead:
        """Look through a sheet once: how far it goes, where its header is, and what is hidden."""
        most = self._limits.rows + 1  # the header
        if isinstance(book, ExcelBook):
            found = scan(book, sheet.part, most)
        else:
            found = SheetScan(careful=None)
            for row in book.rows(sheet.part, found.layout):
                found.add_careful(row)
                if len(found.rows) > most:
                    break
        if len(found.rows) > most:
            raise InputRefused(self._limits.too_many(f"{self._source.name}, sheet {sheet.name!r}"))
        first, last, left, right = found.first, found.last, found.left, found.right
        if first < 0:
            return SheetRead(sheet.name, sheet.hidden, (), 0, False, 0, (), lambda _: iter(()))
        if (last - first + 1) * (right - left + 1) > MAX_CELLS:
            raise InputRefused(
                f"{self._source.name}, sheet {sheet.name!r}: something stands in row {last:,}, column {right + 1:,}, "
                f"so that the sheet is {last - first + 1:,} rows by {right - left + 1:,} columns large. Delete what "
                "stands far outside the list, or save the list as CSV UTF-8."
            )
        columns = range(left, right + 1)
        with closing(self._records(sheet, found, columns, hidden_too=True)) as records:
            top = tuple((number, tuple(map(str, cells))) for number, cells in islice(records, LOOKED_AT))
        header_row, headers = top[0] if top else (0, ())
        return SheetRead(
            name=sheet.name,
            hidden=sheet.hidden,
            headers=headers,
            header_row=header_row,
            rows=len(top) > 1,
            hidden_rows=sum(number > header_row for number in found.hidden),
            hidden_columns=tuple(column - left for column in columns if found.layout.hides(column)),
            records=partial(self._below, sheet, found, columns, header_row),
            top=top,
        )

    def _below(
        self, sheet: SheetPart, found: SheetScan, columns: range, header_row: int, hidden_too: bool
    ) -> Iterator[Record]:
        records = self._records(sheet, found, columns, hidden_too=hidden_too)
        return (record for record in records if record[0] > header_row)

    def _records(self, sheet: SheetPart, found: SheetScan, columns: range, *, hidden_too: bool) -> Generator[Record]:
        """Both readings together: every row with something in it, its cells as texts."""
        with self._source.reading() as stream, _opened(self._source.name, stream, self._limits) as book:
            if not book.values_by_calamine:
                yield from self._merge(book, sheet, columns, None, iter(()), hidden_too)
                return
            with self._calamine(sheet):
                values = self._values_of(sheet)
                upto: int | None = 0
                if found.careful is not None:
                    upto = yield from self._at_once(sheet, found, columns, values, hidden_too)
                if upto is not None:
                    merged = self._merge(book, sheet, columns, values.start, values.iter_rows(), hidden_too)
                    yield from (record for record in merged if record[0] > upto)

    def _at_once(
        self, sheet: SheetPart, scan: SheetScan, columns: range, read: CalamineSheet, hidden_too: bool
    ) -> Generator[Record, None, int | None]:
        """Rows of one shape together. Returns the row above those that have to be read with care, None when all are."""
        values, at = read.iter_rows(), 0
        shift = read.start[1] if read.start is not None else 0
        for run in scan.runs(_AT_ONCE):
            first = run.number if isinstance(run, RawRow) else run[0][0]
            next(islice(values, first - 1 - at, first - 1 - at), None)
            if isinstance(run, RawRow):
                row, at = next(values, []), first
                if hidden_too or not run.hidden:
                    cells = self._cells(sheet, run, row, columns, shift, values_by_calamine=True)
                    if "".join(cells).strip():
                        yield first, cells
                continue
            numbers, shapes = run
            many = numbers[-1] - first + 1
            rows, at = list(islice(values, many)), numbers[-1]
            if len(rows) < many:
                return first - 1
            if many > len(numbers):
                rows = [rows[number - first] for number in numbers]
            texts = scan.texts(shapes, rows, columns, shift, self._formats)
            if texts is None:
                return first - 1
            for record in zip(numbers, texts, strict=True):
                if "".join(record[1]).strip():
                    yield record
        return None

    def _values_of(self, sheet: SheetPart) -> CalamineSheet:
        """A sheet as calamine reads it, whole. The one that was read last is kept for the next time, once."""
        if self._kept is not None and self._kept[0] == sheet.name:
            found, self._kept = self._kept[1], None
            return found
        with self._source.reading() as stream, CalamineWorkbook.from_filelike(stream) as read:
            found = read.get_sheet_by_name(sheet.name)
        self._kept = (sheet.name, found)
        return found

    @contextmanager
    def _calamine(self, sheet: SheetPart) -> Iterator[None]:
        """What calamine says of a damaged workbook, as a sentence."""
        try:
            yield
        except CalamineError as error:
            raise self._unreadable(sheet, str(error)) from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # how its own mistakes arrive, and they have no name to import
                raise
            raise self._unreadable(sheet, "its inside is damaged") from error

    def _unreadable(self, sheet: SheetPart, what: str) -> InputRefused:
        return InputRefused(
            f"{self._source.name}, sheet {sheet.name!r} cannot be read: {what}. Open it in Excel and save it again "
            "as .xlsx, or save it as CSV UTF-8."
        )

    def _merge(
        self,
        book: _Book,
        sheet: SheetPart,
        columns: range,
        start: tuple[int, int] | None,
        values: Iterator[list[Value]],
        hidden_too: bool,
    ) -> Iterator[Record]:
        at, row = 0, list[Value]()
        shift = start[1] if start is not None else 0
        for raw in book.rows(sheet.part, SheetLayout()):
            while at < raw.number:
                row, at = next(values, []), at + 1
            if hidden_too or not raw.hidden:
                cells = self._cells(sheet, raw, row, columns, shift, values_by_calamine=book.values_by_calamine)
                if "".join(cells).strip():
                    yield raw.number, cells

    def _cells(
        self, sheet: SheetPart, raw: RawRow, row: list[Value], columns: range, shift: int, *, values_by_calamine: bool
    ) -> list[str]:
        """A row's cells as texts. `row`: calamine's values of it, from column `shift` on."""
        left, formats, plain = columns.start, self._formats, self._plain
        cells = [""] * len(columns)
        filled = len(row)
        for cell in raw.cells:
            column, kind, style, written, formula = cell
            place = column - shift
            if formula is None and 0 <= place < filled:
                # What `_text` makes of nearly every cell, without its detours.
                found = row[place]
                if kind in _TEXT_TYPES:
                    if type(found) is str:
                        cells[column - left] = found
                        continue
                elif (
                    kind == "n"
                    and written
                    and plain[style]
                    and is_plain_number(written)
                    and isinstance(found, int | float)
                    and _same_number(written, found)
                ):
                    cells[column - left] = written
                    continue
            code = formats[style] if style < len(formats) else "General"
            if not values_by_calamine:
                cells[column - left] = cell_text(cell, code, written or "")
                continue
            value: Value = row[place] if 0 <= place < filled else ""
            cells[column - left] = self._text(sheet, raw.number, cell, code, value)
        return cells

    def _text(self, sheet: SheetPart, number: int, raw: RawCell, code: str, value: Value) -> str:
        if raw.type in _TEXT_TYPES:
            agree = isinstance(value, str)
        elif raw.type == "n" and raw.value and isinstance(value, int | float | str):
            agree = _same_number(raw.value, value)
        else:
            agree = True
        if not agree:
            raise InputRefused(
                f"{self._source.name}, sheet {sheet.name!r}, row {number:,}, column {raw.column + 1}: two readings of "
                "the cell differ. Open the file in Excel and save it again as .xlsx, or save it as CSV UTF-8."
            )
        return cell_text(raw, code, text_of(value))


def _same_number(written: str, value: float | str) -> bool:
    try:
        return not isinstance(value, str) and float(written) == value
    except ValueError:
        return False
