"""Workbooks through openpyxl, a row in memory at a time: sheets of text that no spreadsheet reinterprets, and archives
whose bytes depend on what they hold and not on when they were written.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any, cast
from xml.etree.ElementTree import Element
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet._write_only import WriteOnlyWorksheet
from openpyxl.worksheet._writer import WorksheetWriter
from openpyxl.worksheet.datavalidation import DataValidation
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
TEXT_FORMAT = "@"
_TOP = Alignment(vertical="top")
_WRAPPED = Alignment(vertical="top", wrap_text=True)
_LINE = Border(bottom=Side(style="thin", color="9FB0BE"))


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

    def sheet(self, title: str) -> WriteOnlyWorksheet:
        """An empty sheet behind the others. Its form must be set before `begin`, its rows after."""
        return cast("WriteOnlyWorksheet", self._workbook.create_sheet(title))

    def begin(self, sheet: WriteOnlyWorksheet) -> None:
        """From here on the sheet takes rows."""
        self._begin(sheet, lambda: "")

    def save(self, stream: Any) -> None:
        """Write the archive; `stream` needs nothing but `write` and `flush`."""
        for table in self._tables:
            table.finish()
        with _Archive(stream, "w", ZIP_DEFLATED) as archive:
            ExcelWriter(self._workbook, archive).write_data()

    def _begin(self, sheet: WriteOnlyWorksheet, texts: Callable[[], str]) -> None:
        self._sheets += 1
        writer = _SheetWriter(sheet, self._scratch(f"{self._name}.{self._sheets}"), texts)
        sheet._writer = writer
        writer.write_top()


class TableSheet:
    """A table in a sheet: frozen headings, a filter, widths after the first rows, texts as texts."""

    def __init__(
        self,
        sheet: WriteOnlyWorksheet,
        columns: Sequence[Column],
        begin: Callable[[WriteOnlyWorksheet, Callable[[], str]], None],
        prompts: Mapping[str, str],
    ) -> None:
        self._sheet = sheet
        self._columns = columns
        self._begin = begin
        self._prompts = prompts
        self._first: list[Sequence[Cell | None]] | None = []
        self.rows = 0
        plain = _cell(sheet, alignment=_TOP)
        looks = {
            Look.NUMBER: lambda: _cell(sheet, alignment=_TOP, text=False),
            Look.WIDE: lambda: _cell(sheet, alignment=_WRAPPED),
            Look.CODES: lambda: _cell(sheet, alignment=_TOP),
            Look.QUIET: lambda: _cell(sheet, alignment=_TOP, font=Font(color=GREY, size=8)),
        }
        self._texts = [looks.get(column.look, lambda: _cell(sheet, alignment=_TOP))() for column in columns]
        self._plain = plain
        self._status = {
            status: _cell(sheet, alignment=_TOP, fill=PatternFill("solid", fgColor=colour))
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
            self._sheet.append(self._cells(row))

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
            if column.look is not Look.NUMBER:
                dimension.number_format = TEXT_FORMAT  # also for cells that somebody fills in later
            if column.heading in self._prompts and not column.own:
                prompt = DataValidation(promptTitle=column.heading, prompt=self._prompts[column.heading])
                prompt.showInputMessage = True
                prompt.add(f"{get_column_letter(index)}1:{get_column_letter(index)}1048576")
                sheet.data_validations.append(prompt)
        sheet.freeze_panes = "A2"
        sheet.print_title_rows = "1:1"
        landscape(sheet)
        self._begin(sheet, self._extent)
        sheet.append([self._heading(column) for column in self._columns])
        for row in rows:
            sheet.append(self._cells(row))

    def _heading(self, column: Column) -> WriteOnlyCell:
        ours = not column.own
        cell = _cell(
            self._sheet,
            font=Font(bold=True, color=DARK if ours else "FFFFFF"),
            fill=PatternFill("solid", fgColor="D5DEE6" if ours else DARK),
            alignment=Alignment(vertical="center"),
        )
        return put(cell, column.heading)

    def _cells(self, row: Sequence[Cell | None]) -> Iterator[WriteOnlyCell | None]:
        for value, cell, is_status in zip(row, self._texts, self._is_status, strict=True):
            if value is None:
                yield None
            elif is_status:
                yield put(self._status.get(str(value), cell), value)
            else:
                yield put(cell, value)

    def _extent(self) -> str:
        return f"A1:{get_column_letter(len(self._columns))}{self.rows + 1}"


def _cell(
    sheet: WriteOnlyWorksheet,
    *,
    alignment: Alignment = _TOP,
    font: Font | None = None,
    fill: PatternFill | None = None,
    border: Border | None = None,
    text: bool = True,
) -> WriteOnlyCell:
    cell = WriteOnlyCell(sheet)
    cell.alignment = alignment
    if font is not None:
        cell.font = font
    if fill is not None:
        cell.fill = fill
    if border is not None:
        cell.border = border
    cell.number_format = TEXT_FORMAT if text else "#,##0"
    return cell


styled = _cell


def put(cell: WriteOnlyCell, value: Cell) -> WriteOnlyCell:
    """The cell with this value: a text stays a text, whatever it looks like (a formula, an error, a number)."""
    cell.value = value
    if isinstance(value, str):
        cell.data_type = "s"
    return cell


def landscape(sheet: WriteOnlyWorksheet) -> None:
    """Printed on as many pages as it needs, but one in width."""
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = 9
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True


class _SheetWriter(WorksheetWriter):  # type: ignore[misc]  # openpyxl has no types
    """Writes one sheet into a private file of ours, and says where numbers are stored as text on purpose."""

    def __init__(self, sheet: WriteOnlyWorksheet, path: Path, texts: Callable[[], str]) -> None:
        super().__init__(sheet, out=str(path))
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
        Path(self.out).unlink(missing_ok=True)


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
