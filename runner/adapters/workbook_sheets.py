"""Workbooks through openpyxl, a row in memory at a time: sheets of text that no spreadsheet reinterprets.

openpyxl makes all of a workbook but the rows of its tables, of which there may be a hundred thousand: their XML is
written as it is, at a sixth of the time, and put into the sheet where its rows belong. An archive's bytes depend on
what it holds, not on when it was written.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from openpyxl import Workbook
from openpyxl.cell import Cell as SheetCell
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet._write_only import WriteOnlyWorksheet
from openpyxl.worksheet._writer import WorksheetWriter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.page import PageMargins
from openpyxl.worksheet.worksheet import Worksheet
from openpyxl.writer.excel import ExcelWriter

from runner.core.reporting import Cell
from runner.core.statuses import LineStatus
from runner.core.workbook_tables import Column, Look, clean_text, sheet_widths

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

MARKS: Mapping[str, tuple[str, str]] = {
    "bad": ("FF9C91", "7A0C00"),
    "mended": ("BBD7F5", "0B3A66"),
    "rejected": (STATUS_COLOURS[LineStatus.REJECTED.value], "000000"),
    "duplicate": (STATUS_COLOURS[LineStatus.DUPLICATE.value], "000000"),
    "repaired": ("CFE2F3", "000000"),
}
"""Marks of single cells: fill and colour of the text."""

DARK, GREY, LIGHT = "22384D", "6B7680", "EDF1F4"
FACE = "Calibri"
ROW_POINTS = 15.0
MOST_LINES, MOST_LINES_OF_CODES = 8, 3
"""A row is at most so many lines high; the cell holds the rest of its text all the same."""

TEXT_FORMAT = "@"
A4 = 9
LAST_ROW = 1_048_576
_TOP = Alignment(vertical="top")
_WRAPPED = Alignment(vertical="top", wrap_text=True)
NUMBERS = Alignment(vertical="top", horizontal="right", indent=1)
_CLIPPED = Alignment(vertical="top", horizontal="fill")
"""A text that is too long for its column ends there, instead of running over the empty cell beside it."""


class MarkedCell(str):
    """The text of a cell that is to stand out, with its mark (of `MARKS`; any other is none). It may be empty."""

    __slots__ = ("mark",)

    mark: str

    def __new__(cls, text: object, mark: str) -> MarkedCell:
        """A text with its mark."""
        cell = super().__new__(cls, text)
        cell.mark = mark
        return cell


class Book:
    """One workbook being written. `scratch` gives the files in which its sheets wait for the end."""

    def __init__(self, name: str, *, scratch: Scratch, title: str, at: float) -> None:
        self._name = name
        self._scratch = scratch
        self._workbook = Workbook(write_only=True)
        moment = datetime.fromtimestamp(int(at))  # noqa: DTZ006 - a property of the file, replaced just below
        self._workbook.properties.title = clean_text(title)
        self._workbook.properties.creator = "coupon-runner"
        self._workbook.properties.created = self._workbook.properties.modified = moment
        self._tables: list[TableSheet] = []
        self._begun: list[WriteOnlyWorksheet] = []

    def table(
        self,
        title: str,
        columns: Sequence[Column],
        *,
        prompts: Mapping[str, str] | None = None,
        freeze: str = "A2",
    ) -> TableSheet:
        """A sheet with headings, to be filled row by row. `prompts`: heading → what is said when a cell is entered.

        `freeze`: the first cell that moves when one scrolls.
        """
        made = TableSheet(
            self.sheet(title), columns, self._scratch(f"{self._name}.rows{len(self._tables)}"), prompts or {}, freeze
        )
        self._tables.append(made)
        return made

    def sheet(self, title: str) -> Worksheet:
        """An empty sheet behind the others. Its form must be set before `begin`, its rows after."""
        # A write-only sheet, which has of a worksheet all that is used here.
        return cast("Worksheet", self._workbook.create_sheet(title))

    def begin(self, sheet: Worksheet, extent: str = "") -> Path:
        """From here on the sheet takes rows. `extent`: where numbers are stored as text. Returns where it waits."""
        path = self._scratch(f"{self._name}.{len(self._begun)}")
        writer = _SheetWriter(sheet, path, extent)
        sheet._writer = writer  # type: ignore[attr-defined]  # instead of one that waits in the system's own folder
        self._begun.append(cast("WriteOnlyWorksheet", sheet))
        writer.write_top()
        return path

    def close(self) -> None:
        """No more rows, whether it is saved or not: what is still open is thrown away with its file."""
        begun = [sheet.close for sheet in self._begun if not sheet.closed]
        for close in (*(table.close for table in self._tables), *begun):
            try:
                close()
            except OSError:
                pass  # the disk is full, and that was said when it stopped the save

    def save(self, stream: Any) -> None:
        """Write the archive; `stream` needs nothing but `write` and `flush`."""
        rows = {}
        for table in self._tables:
            table.finish()
            rows[self.begin(table.sheet, table.extent)] = table.path
            table.sheet.append(table.headings())
        with _Archive(stream, rows) as archive:
            ExcelWriter(self._workbook, archive).write_data()


class TableSheet:
    """A table in a sheet: frozen headings, a filter, widths after the first rows, texts as texts.

    `path`: where its rows wait, as XML.
    """

    def __init__(
        self,
        sheet: Worksheet,
        columns: Sequence[Column],
        path: Path,
        prompts: Mapping[str, str],
        freeze: str = "A2",
    ) -> None:
        self.sheet = sheet
        self._freeze = freeze
        self.path = path
        self.rows = 0
        self._columns = columns
        self._prompts = prompts
        self._first: list[Sequence[Cell | None]] | None = []
        self._file = path.open("w", encoding="utf-8", newline="\n")
        looks = {
            Look.NUMBER: styled(sheet, alignment=NUMBERS, text=False),
            Look.WIDE: styled(sheet, alignment=_WRAPPED),
            Look.CODES: styled(sheet, alignment=_WRAPPED),
            Look.QUIET: styled(sheet, alignment=_CLIPPED, font=font(color=GREY, size=8)),
        }
        plain = styled(sheet, alignment=_TOP)
        self._styles = [looks.get(column.look, plain).style_id for column in columns]
        self._letters = [get_column_letter(index) for index in range(1, len(columns) + 1)]
        self._status = {
            status: styled(sheet, alignment=_TOP, fill=PatternFill("solid", fgColor=colour)).style_id
            for status, colour in STATUS_COLOURS.items()
        }
        self._marks = {
            mark: styled(
                sheet, alignment=_TOP, fill=PatternFill("solid", fgColor=fill), font=font(bold=True, color=colour)
            ).style_id
            for mark, (fill, colour) in MARKS.items()
        }
        self._is_status = [column.look is Look.STATUS for column in columns]
        most = {Look.WIDE: MOST_LINES, Look.CODES: MOST_LINES_OF_CODES}
        self._wrapped = [(index, most[column.look]) for index, column in enumerate(columns) if column.look in most]
        self._widths: list[int] = []

    @property
    def extent(self) -> str:
        """The cells from the first heading to the last cell."""
        return f"A1:{self._letters[-1]}{self.rows + 1}"

    def write(self, rows: Iterable[Sequence[Cell | None]]) -> None:
        """Add rows, as `core.workbook_tables.CellMaker` gives them."""
        for row in rows:
            self.rows += 1
            if self._first is None:
                self._append(self.rows + 1, row)
                continue
            self._first.append(row)
            if len(self._first) >= LOOKED_AT:
                self._start()

    def close(self) -> None:
        """No more rows. Harmless when closed already."""
        self._file.close()

    def finish(self) -> None:
        """All rows are there: the form of the sheet follows."""
        if self._first is not None:
            self._start()
        self.close()
        sheet = self.sheet
        for letter, column, width in zip(self._letters, self._columns, self._widths, strict=True):
            sheet.column_dimensions[letter].width = width
            if column.look is not Look.NUMBER:
                sheet.column_dimensions[letter].number_format = TEXT_FORMAT  # also for what is filled in later
            if column.heading in self._prompts and not column.own:
                prompt = DataValidation(promptTitle=column.heading, prompt=self._prompts[column.heading])
                prompt.showInputMessage = True
                prompt.add(f"{letter}1:{letter}{LAST_ROW}")
                sheet.data_validations.append(prompt)
        sheet.freeze_panes = self._freeze
        sheet.print_title_rows = "1:1"
        sheet.auto_filter.ref = self.extent
        sheet.page_setup.orientation, sheet.page_setup.paperSize, sheet.page_setup.scale = "landscape", A4, 60
        sheet.page_margins = PageMargins(left=0.4, right=0.4, top=0.5, bottom=0.5)

    def headings(self) -> list[SheetCell]:
        """The first row: the input's own columns dark, ours light."""
        return [
            put(
                styled(
                    self.sheet,
                    font=font(bold=True, color="FFFFFF" if column.own else DARK),
                    fill=PatternFill("solid", fgColor=DARK if column.own else "D5DEE6"),
                    alignment=NUMBERS if column.look is Look.NUMBER else _TOP,
                ),
                column.heading,
            )
            for column in self._columns
        ]

    def _start(self) -> None:
        rows, self._first = self._first or [], None
        self._widths = sheet_widths(self._columns, rows)
        for number, row in enumerate(rows, start=2):
            self._append(number, row)

    def _append(self, number: int, row: Sequence[Cell | None]) -> None:
        """A row as high as its sentences need, and no higher for a long list of codes."""
        lines, given = 1, False
        for index, most in self._wrapped:
            text = row[index]
            if text is not None:
                given = True
                lines = max(lines, min(lines_of(str(text), self._widths[index]), most))
        height = f' ht="{lines * ROW_POINTS:g}" customHeight="1"' if given else ""
        written = [f'<row r="{number}"{height}>']
        for value, letter, style, is_status in zip(row, self._letters, self._styles, self._is_status, strict=True):
            if value is None:
                continue
            if isinstance(value, int):
                written.append(f'<c r="{letter}{number}" s="{style}"><v>{value}</v></c>')
                continue
            shown = self._status.get(value, style) if is_status else style
            if isinstance(value, MarkedCell):
                shown = self._marks.get(value.mark, style)
            if not value:
                written.append(f'<c r="{letter}{number}" s="{shown}"/>')
                continue
            space = ' xml:space="preserve"' if value[0].isspace() or value[-1].isspace() or "\n" in value else ""
            text = escape(value)
            written.append(f'<c r="{letter}{number}" s="{shown}" t="inlineStr"><is><t{space}>{text}</t></is></c>')
        written.append("</row>")
        self._file.write("".join(written))


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
    cell.value = clean_text(value) if isinstance(value, str) else value
    if isinstance(value, str):
        cell.data_type = "s"
    return cell


def lines_of(text: str, width: int) -> int:
    """How many lines a text takes in a column that is `width` digits wide: letters are a little narrower."""
    return sum(max(1, -(-len(line) * 100 // (width * 112))) for line in text.split("\n"))


class _SheetWriter(WorksheetWriter):
    """Writes one sheet into a private file of ours, and says where numbers are stored as text on purpose."""

    def __init__(self, sheet: Worksheet, path: Path, extent: str) -> None:
        super().__init__(sheet, out=str(path))
        self._path = path
        self._extent = extent

    def write_drawings(self) -> None:
        if self._extent:
            # Else a spreadsheet marks each identifier with a warning triangle. Its place is before the drawings.
            ignored = Element("ignoredErrors")
            ignored.append(Element("ignoredError", sqref=self._extent, numberStoredAsText="1"))
            self.xf.send(ignored)
        super().write_drawings()

    def cleanup(self) -> None:
        self._path.unlink(missing_ok=True)


class _Archive(ZipFile):
    """A zip whose entries bear no time, so that the same content gives the same bytes.

    `rows`: file of a sheet → file of the rows that belong into it, behind its heading.
    """

    def __init__(self, stream: Any, rows: Mapping[Path, Path]) -> None:
        super().__init__(stream, "w", ZIP_DEFLATED)
        self._rows = rows

    def write(self, filename: Any, arcname: Any = None, *_: Any, **__: Any) -> None:
        """A sheet, with its rows in place."""
        path = Path(filename)
        info = self._entry(str(arcname))
        rows = self._rows.get(path)
        if rows is None:
            super().writestr(info, path.read_bytes())
            return
        before, end, after = path.read_bytes().rpartition(b"</sheetData>")
        info.file_size = len(before) + len(end) + len(after) + rows.stat().st_size  # whether it is a large entry
        with rows.open("rb") as source, self.open(info, "w") as target:
            target.write(before)
            shutil.copyfileobj(source, target, 1 << 16)
            target.write(end + after)

    def writestr(self, zinfo_or_arcname: Any, data: Any, *_: Any, **__: Any) -> None:
        """Any other part."""
        super().writestr(self._entry(str(zinfo_or_arcname)), data)

    @staticmethod
    def _entry(name: str) -> ZipInfo:
        info = ZipInfo(name)
        info.compress_type = ZIP_DEFLATED
        return info
