"""Workbooks through openpyxl, a row in memory at a time: sheets of text that no spreadsheet reinterprets, and archives
whose bytes depend on what they hold and not on when they were written.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any, cast
from xml.etree.ElementTree import Element
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from openpyxl import Workbook
from openpyxl.cell import Cell as SheetCell
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet._writer import WorksheetWriter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.page import PageMargins
from openpyxl.worksheet.worksheet import Worksheet
from openpyxl.writer.excel import ExcelWriter

from runner.core.reporting import Cell
from runner.core.statuses import LineStatus
from runner.core.workbook_tables import Column, Look, sheet_widths

Scratch = Callable[[str], Path]
"""A name → an empty private file beside the reports, which is gone when they are written."""

LOOKED_AT = 200
"""Rows that are kept before the first is written, to choose the widths of the columns."""

STATUS_COLOURS: Mapping[str, str] = {
    LineStatus.ISSUED.value: "C6E7CF",
    LineStatus.PARTIAL.value: "FFE9A8",
    LineStatus.FAILED.value: "F8C4C0",
    LineStatus.NOT_SENT.value: "CFE2F3",
    LineStatus.IN_DOUBT.value: "DDD2EE",
    LineStatus.DUPLICATE.value: "E3E6E8",
    LineStatus.REJECTED.value: "FAD3B0",
}
"""Fills of the status cells; the word stays beside the colour."""

DARK, GREY, LIGHT = "22384D", "6B7680", "EDF1F4"
FACE = "Calibri"
ROW_POINTS = 15.0
MOST_LINES = 8
"""A row is at most so many lines high; the cell holds the rest of its text all the same."""

TEXT_FORMAT = "@"
A4 = 9
_TOP = Alignment(vertical="top")
_WRAPPED = Alignment(vertical="top", wrap_text=True)
_CLIPPED = Alignment(vertical="top", horizontal="fill")
"""A text that is too long for its column ends there, instead of running over the empty cell beside it."""


class Book:
    """One workbook being written. `scratch` gives the files in which its sheets wait for the end."""

    def __init__(self, name: str, *, scratch: Scratch, title: str, at: float) -> None:
        self._name = name
        self._scratch = scratch
        self._workbook = Workbook(write_only=True)
        moment = datetime.fromtimestamp(int(at))  # noqa: DTZ006 - a property of the file, replaced just below
        self._workbook.properties.title = title
        self._workbook.properties.creator = "coupon-runner"
        self._workbook.properties.created = self._workbook.properties.modified = moment
        self._sheets = 0
        self._tables: list[TableSheet] = []

    def table(self, title: str, columns: Sequence[Column], *, prompts: Mapping[str, str] | None = None) -> TableSheet:
        """A sheet with headings, to be filled row by row. `prompts`: heading → what is said when a cell is entered."""
        made = TableSheet(self.sheet(title), columns, self._begin, prompts or {})
        self._tables.append(made)
        return made

    def sheet(self, title: str) -> Worksheet:
        """An empty sheet behind the others. Its form must be set before `begin`, its rows after."""
        # A write-only sheet, which has of a worksheet all that is used here.
        return cast("Worksheet", self._workbook.create_sheet(title))

    def begin(self, sheet: Worksheet) -> None:
        """From here on the sheet takes rows."""
        self._begin(sheet, lambda: "")

    def save(self, stream: Any) -> None:
        """Write the archive; `stream` needs nothing but `write` and `flush`."""
        for table in self._tables:
            table.finish()
        with _Archive(stream, "w", ZIP_DEFLATED) as archive:
            ExcelWriter(self._workbook, archive).write_data()

    def _begin(self, sheet: Worksheet, texts: Callable[[], str]) -> None:
        self._sheets += 1
        writer = _SheetWriter(sheet, self._scratch(f"{self._name}.{self._sheets}"), texts)
        sheet._writer = writer  # type: ignore[attr-defined]  # instead of one that writes to the system's temporary folder
        writer.write_top()


class TableSheet:
    """A table in a sheet: frozen headings, a filter, widths after the first rows, texts as texts."""

    def __init__(
        self,
        sheet: Worksheet,
        columns: Sequence[Column],
        begin: Callable[[Worksheet, Callable[[], str]], None],
        prompts: Mapping[str, str],
    ) -> None:
        self._sheet = sheet
        self._columns = columns
        self._begin = begin
        self._prompts = prompts
        self._first: list[Sequence[Cell | None]] | None = []
        self._at = 0
        self.rows = 0
        looks = {
            Look.NUMBER: lambda: styled(sheet, alignment=_TOP, text=False),
            Look.WIDE: lambda: styled(sheet, alignment=_WRAPPED),
            Look.CODES: lambda: styled(sheet, alignment=_WRAPPED),
            Look.QUIET: lambda: styled(sheet, alignment=_CLIPPED, font=font(color=GREY, size=8)),
        }
        self._texts = [looks.get(column.look, lambda: styled(sheet, alignment=_TOP))() for column in columns]
        self._wrapped: list[tuple[int, int]] = []
        self._codes = [index for index, column in enumerate(columns) if column.look is Look.CODES]
        self._status = {
            status: styled(sheet, alignment=_TOP, fill=PatternFill("solid", fgColor=colour))
            for status, colour in STATUS_COLOURS.items()
        }
        self._is_status = [column.look is Look.STATUS for column in columns]

    def write(self, rows: Iterable[Sequence[Cell | None]]) -> None:
        """Add rows, as `core.workbook_tables.CellMaker` gives them."""
        for row in rows:
            self.rows += 1
            if self._first is not None:
                self._first.append(row)
                if len(self._first) >= LOOKED_AT:
                    self._start()
                continue
            self._append(row)

    def finish(self) -> None:
        """What follows the last row."""
        if self._first is not None:
            self._start()
        self._sheet.auto_filter.ref = self._extent()

    def _start(self) -> None:
        rows, self._first = self._first or [], None
        sheet = self._sheet
        for index, (column, width) in enumerate(
            zip(self._columns, sheet_widths(self._columns, rows), strict=True), start=1
        ):
            dimension = sheet.column_dimensions[get_column_letter(index)]
            dimension.width = width
            if column.look is Look.WIDE:
                self._wrapped.append((index - 1, width))
            if column.look is not Look.NUMBER:
                dimension.number_format = TEXT_FORMAT  # also for cells that somebody fills in later
            if column.heading in self._prompts and not column.own:
                prompt = DataValidation(promptTitle=column.heading, prompt=self._prompts[column.heading])
                prompt.showInputMessage = True
                prompt.add(f"{get_column_letter(index)}1:{get_column_letter(index)}1048576")
                sheet.data_validations.append(prompt)
        sheet.freeze_panes = "A2"
        sheet.print_title_rows = "1:1"
        sheet.page_setup.orientation, sheet.page_setup.paperSize, sheet.page_setup.scale = "landscape", A4, 60
        sheet.page_margins = PageMargins(left=0.4, right=0.4, top=0.5, bottom=0.5)
        self._begin(sheet, self._extent)
        self._at = 1
        sheet.append([self._heading(column) for column in self._columns])
        for row in rows:
            self._append(row)

    def _append(self, row: Sequence[Cell | None]) -> None:
        """A row as high as its sentences need, and no higher for a long list of codes."""
        self._at += 1
        lines = 1
        for index, width in self._wrapped:
            text = row[index]
            if text is not None:
                lines = max(lines, lines_of(str(text), width))
        if lines == 1 and not any(row[index] is not None for index in self._codes):
            self._sheet.append(self._cells(row))
            return
        self._sheet.row_dimensions[self._at].height = min(lines, MOST_LINES) * ROW_POINTS
        self._sheet.append(self._cells(row))
        del self._sheet.row_dimensions[self._at]

    def _heading(self, column: Column) -> SheetCell:
        ours = not column.own
        cell = styled(
            self._sheet,
            font=font(bold=True, color=DARK if ours else "FFFFFF"),
            fill=PatternFill("solid", fgColor="D5DEE6" if ours else DARK),
            alignment=Alignment(vertical="center", horizontal="right" if column.look is Look.NUMBER else None),
        )
        return put(cell, column.heading)

    def _cells(self, row: Sequence[Cell | None]) -> list[SheetCell | None]:
        """The row in the cells of its columns, which are used again for the next row."""
        cells: list[SheetCell | None] = []
        for value, cell, is_status in zip(row, self._texts, self._is_status, strict=True):
            if value is None:
                cells.append(None)
            else:
                cells.append(put(self._status.get(str(value), cell) if is_status else cell, value))
        return cells

    def _extent(self) -> str:
        return f"A1:{get_column_letter(len(self._columns))}{self.rows + 1}"


def font(**look: Any) -> Font:
    """The workbook's own face, otherwise as asked for."""
    return Font(name=FACE, **{"size": 11, **look})


def styled(
    sheet: Worksheet,
    *,
    alignment: Alignment = _TOP,
    font: Font | None = None,
    fill: PatternFill | None = None,
    text: bool = True,
) -> SheetCell:
    """A cell with a form and no value, which may be used again for each row."""
    cell: SheetCell = WriteOnlyCell(sheet)
    cell.alignment = alignment
    if font is not None:
        cell.font = font
    if fill is not None:
        cell.fill = fill
    cell.number_format = TEXT_FORMAT if text else "#,##0"
    return cell


def put(cell: SheetCell, value: Cell) -> SheetCell:
    """The cell with this value: a text stays a text, whatever it looks like (a formula, an error, a number)."""
    cell.value = value
    if isinstance(value, str):
        cell.data_type = "s"
    return cell


def lines_of(text: str, width: int) -> int:
    """How many lines a text takes in a column that is `width` digits wide: letters are a little narrower than digits."""
    return sum(max(1, -(-len(line) * 100 // (width * 112))) for line in text.split("\n"))


class _SheetWriter(WorksheetWriter):
    """Writes one sheet into a private file of ours, and says where numbers are stored as text on purpose."""

    def __init__(self, sheet: Worksheet, path: Path, texts: Callable[[], str]) -> None:
        super().__init__(sheet, out=str(path))
        self._path = path
        self._texts = texts

    def write_drawings(self) -> None:
        extent = self._texts()
        if extent:
            # Else a spreadsheet marks each identifier with a warning triangle. Its place is before the drawings.
            ignored = Element("ignoredErrors")
            ignored.append(Element("ignoredError", sqref=extent, numberStoredAsText="1"))
            self.xf.send(ignored)
        super().write_drawings()

    def cleanup(self) -> None:
        self._path.unlink(missing_ok=True)


class _Archive(ZipFile):
    """A zip whose entries bear no time, so that the same content gives the same bytes."""

    def write(self, filename: Any, arcname: Any = None, *_: Any, **__: Any) -> None:
        info = self._entry(str(arcname))
        info.file_size = Path(filename).stat().st_size
        with Path(filename).open("rb") as source, self.open(info, "w") as target:
            shutil.copyfileobj(cast("IO[bytes]", source), target, 1 << 16)

    def writestr(self, zinfo_or_arcname: Any, data: Any, *_: Any, **__: Any) -> None:
        super().writestr(self._entry(str(zinfo_or_arcname)), data)

    @staticmethod
    def _entry(name: str) -> ZipInfo:
        info = ZipInfo(name)
        info.compress_type = ZIP_DEFLATED
        return info
