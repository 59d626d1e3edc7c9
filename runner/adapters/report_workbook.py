"""report.xlsx and failures.xlsx: which sheets they have, and the first one drawn as a page to be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openpyxl.chart import BarChart, Reference
from openpyxl.chart.label import DataLabelList
from openpyxl.chart.marker import DataPoint
from openpyxl.chart.text import RichText
from openpyxl.chart.text import Text as ChartText
from openpyxl.chart.title import Title
from openpyxl.drawing.text import (
    CharacterProperties,
    Paragraph,
    ParagraphProperties,
    RegularTextRun,
)
from openpyxl.drawing.text import Font as DrawingFont
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.worksheet.page import PageMargins
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet

from runner.adapters.workbook_sheets import (
    A4,
    DARK,
    FACE,
    GREY,
    LIGHT,
    ROW_POINTS,
    STATUS_COLOURS,
    Book,
    Scratch,
    TableSheet,
    font,
    lines_of,
    put,
    styled,
)
from runner.core.codes import CodeTable
from runner.core.report_lines import RejectedLine
from runner.core.reporting import Cell
from runner.core.totals import Totals
from runner.core.workbook_summary import REHEARSAL, Block, Extent, Reasons, RunInWords, Summary, summarise
from runner.core.workbook_tables import MAX_LINES, CellMaker, Changes, Column, Local, Look, columns_of

REPORT = "report.xlsx"
FAILURES = "failures.xlsx"
WORKBOOKS = (REPORT, FAILURES)

_SHEET_OF: Mapping[str, str] = {
    "results.csv": "Results",
    "failures.csv": "Failures",
    "coupons.csv": "Coupons",
    "in_doubt.csv": "In doubt",
}
_PROMPTS = {
    "_ref": "Leave this column as it is: it says which coupons the line stands for, so that the file may come back any "
    "number of times."
}


class Workbooks:
    """Both workbooks of one run, filled beside the CSV tables.

    `headers`: CSV file → its headings and how many of them are ours. `lines`: lines and rejected rows of the run.
    """

    def __init__(
        self,
        run: RunInWords,
        *,
        codes: CodeTable,
        local: Local,
        headers: Mapping[str, tuple[Sequence[Cell], int]],
        lines: int,
        scratch: Scratch,
    ) -> None:
        self._codes, self._local = codes, local
        self._run = run
        self._reasons = Reasons()
        self._changes = Changes()
        at = run.ended if run.ended is not None else run.started
        self._report = Book(REPORT, scratch=scratch, title=f"Coupons for {run.campaign}", at=at)
        self._failures = Book(FAILURES, scratch=scratch, title=f"Failures of {run.campaign}", at=at)
        mark = f"{REHEARSAL} " if run.rehearsal else ""
        self._summary = self._report.sheet(f"{mark}Summary")
        names = (
            _SHEET_OF if lines <= MAX_LINES else {n: s for n, s in _SHEET_OF.items() if s in ("Failures", "In doubt")}
        )
        self._sheets: dict[str, _Sheet] = {}
        for name in names:
            columns = columns_of(*headers[name])
            maker = CellMaker(self._changes, local=local, whole=name)
            self._sheets[name] = _Sheet(self._report.table(_SHEET_OF[name], columns), columns, maker)
        columns = columns_of(*headers["failures.csv"])
        # Shown and counted once: the same cells stand in the report's sheet.
        maker = CellMaker(Changes(), local=local, whole="failures.csv")
        all_text = tuple(_as_text(column) for column in columns)
        self._back = _Sheet(self._failures.table(f"{mark}Failures", all_text, prompts=_PROMPTS), all_text, maker)
        self._there = dict.fromkeys(_SHEET_OF, 0)

    def write(self, name: str, rows: Sequence[Sequence[Cell]]) -> None:
        """Rows of a CSV table, as they were written there."""
        self._there[name] += len(rows)
        if name in self._sheets:
            self._sheets[name].write(rows)
        if name == "failures.csv":
            self._back.write(rows)

    def reject(self, line: RejectedLine) -> None:
        """A rejected row, for the reasons in the summary."""
        self._reasons.add(line.problems)

    def close(self) -> None:
        """No more rows, whatever happened."""
        self._report.close()
        self._failures.close()

    def finish(self, totals: Totals, exit_codes: Sequence[int]) -> dict[str, Book]:
        """The workbooks that are to be saved, by name: failures.xlsx only when it holds all failures."""
        whole = self._there["failures.csv"] <= MAX_LINES
        summary = summarise(
            self._run,
            totals,
            exit_codes,
            codes=self._codes,
            reasons=self._reasons,
            changes=self._changes,
            extent=Extent(
                held={_SHEET_OF[name]: sheet.rows for name, sheet in self._sheets.items()},
                there={_SHEET_OF[name]: rows for name, rows in self._there.items()},
                csv={sheet: name for name, sheet in _SHEET_OF.items()},
                failures_file=whole,
            ),
            local=self._local,
        )
        draw_summary(self._summary, self._report, summary)
        return {REPORT: self._report} | ({FAILURES: self._failures} if whole else {})


def _as_text(column: Column) -> Column:
    return Column(column.heading, column.own, Look.TEXT) if column.look is Look.NUMBER else column


class _Sheet:
    """A table of the report: as many rows as a sheet may hold, each made into cells."""

    def __init__(self, table: TableSheet, columns: Sequence[Column], maker: CellMaker) -> None:
        self._table = table
        self._columns = columns
        self._maker = maker

    @property
    def rows(self) -> int:
        return self._table.rows

    def write(self, rows: Sequence[Sequence[Cell]]) -> None:
        room = MAX_LINES - self._table.rows
        if room > 0:
            self._table.write(self._maker.rows(self._columns, rows[:room]))


# ---------------------------------------------------------------- the first sheet

_WIDTHS = (18, 11, 11, 11, 11, 16, 16, 16, 24)
"""Of the columns A to I, in characters. Numbers stand in B to E, charts from F on."""

_LAST = len(_WIDTHS)
_CHART_ROWS = 10
_ROW_CM = 0.529
_CHART_CM = 15.2
_SPANS: Mapping[str, tuple[tuple[int, int], ...]] = {
    "Status": ((1, 1), (2, 2), (3, 5)),
    "Code": ((1, 1), (2, 2), (3, 5), (6, 8), (9, 9)),
    "In rows": ((1, 1), (2, 6), (7, 9)),
}
"""First heading of a block → the columns that each of its own spans."""


def draw_summary(sheet: Worksheet, book: Book, summary: Summary) -> None:
    """Draw a first page into an empty sheet of a book."""
    _Page(sheet, book).draw(summary)


class _Page:
    """Draws the summary from top to bottom, a row at a time."""

    def __init__(self, sheet: Worksheet, book: Book) -> None:
        self._sheet = sheet
        self._book = book
        self._at = 0

    def draw(self, summary: Summary) -> None:
        sheet = self._sheet
        for letter, width in zip("ABCDEFGHI", _WIDTHS, strict=True):
            sheet.column_dimensions[letter].width = width
        sheet.sheet_view.showGridLines = False
        sheet.page_setup.orientation, sheet.page_setup.paperSize = "portrait", A4
        sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
        sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
        sheet.page_margins = PageMargins(left=0.4, right=0.4, top=0.5, bottom=0.5)
        self._book.begin(sheet)
        self._across(summary.title, font=font(bold=True, size=18, color=DARK), height=28)
        if summary.banner:
            fill = PatternFill("solid", fgColor="FFE9A8")
            self._across(summary.banner, font=font(bold=True, color="7A4B00"), fill=fill, height=20)
        self._across(summary.headline, font=font(bold=True, size=13), height=22)
        for step in summary.steps:
            self._across(f"→ {step}")
        self._blank()
        for label, text in summary.facts:
            self._spanned([label, text], [(1, 1), (2, _LAST)], fonts=[font(color=GREY), None])
        for block in summary.blocks:
            self._block(block)
        if summary.notes:
            self._title("What this workbook leaves out")
            for note in summary.notes:
                self._across(f"• {note}")

    def _block(self, block: Block) -> None:
        self._title(block.title)
        for sentence in block.sentence.splitlines():
            self._across(sentence, font=font(color=GREY))
        spans = list(_SPANS.get(block.headings[0], tuple((n, n) for n in range(1, len(block.headings) + 1))))
        if block.headings[-1] == "Reason":
            spans[-1] = (3, _LAST)
        heading = PatternFill("solid", fgColor=DARK)
        first = self._at + 1
        self._spanned(
            block.headings,
            spans,
            fonts=[font(bold=True, color="FFFFFF")] * len(spans),
            fills=[heading] * len(spans),
            right=_number_columns(block),
        )
        for number, row in enumerate(block.rows):
            last = block.summed and number == len(block.rows) - 1
            colour = STATUS_COLOURS.get(str(row[0]).replace(" ", "_"))
            fills = [PatternFill("solid", fgColor=colour) if colour else None, *[None] * (len(spans) - 1)]
            if last:
                fills = [PatternFill("solid", fgColor=LIGHT)] * len(spans)
            self._spanned(row, spans, fonts=[font(bold=True) if last else None] * len(spans), fills=fills)
        if block.chart:
            chart = _status_chart if block.chart == "status" else _series_chart
            rows = max(_CHART_ROWS, self._at - first + 1, 5 + 3 * block.charted // 2)
            made = chart(self._sheet, first, block)
            made.width, made.height = _CHART_CM, rows * _ROW_CM  # type: ignore[assignment]  # the stubs say int
            self._sheet.add_chart(made, f"F{first}")
            while self._at < first + rows:
                self._blank()

    def _title(self, text: str) -> None:
        self._blank()
        self._across(text, font=font(bold=True, size=13, color=DARK), height=21)

    def _blank(self) -> None:
        self._at += 1
        self._sheet.append([])

    def _across(
        self, text: str, *, font: Font | None = None, fill: PatternFill | None = None, height: float = 0.0
    ) -> None:
        self._spanned([text], [(1, _LAST)], fonts=[font], fills=[fill], height=height)

    def _spanned(
        self,
        values: Sequence[Cell],
        spans: Sequence[tuple[int, int]],
        *,
        fonts: Sequence[Font | None] | None = None,
        fills: Sequence[PatternFill | None] | None = None,
        right: Iterable[int] = (),
        height: float = 0.0,
    ) -> None:
        """One row of cells, each over the columns of its span; high enough for its longest text."""
        self._at += 1
        cells: list[Any] = [None] * _LAST
        lines = 1
        right = frozenset(right)
        for index, (value, (first, last)) in enumerate(zip(values, spans, strict=False)):
            number = isinstance(value, int)
            across = "right" if number or index in right else "left"
            vertical = "center" if height else "top"
            indent = 1 if index or across == "right" else 0
            alignment = Alignment(vertical=vertical, wrap_text=True, horizontal=across, indent=indent)
            for column in range(first, last + 1):
                cell = styled(
                    self._sheet,
                    alignment=alignment,
                    font=fonts[index] if fonts else None,
                    fill=fills[index] if fills else None,
                    text=not number,
                )
                cells[column - 1] = put(cell, value) if column == first else cell
            if last > first:
                self._sheet.merged_cells.add(f"{'ABCDEFGHI'[first - 1]}{self._at}:{'ABCDEFGHI'[last - 1]}{self._at}")
            lines = max(lines, lines_of(str(value), sum(_WIDTHS[first - 1 : last])))
        self._sheet.row_dimensions[self._at].height = max(height, lines * ROW_POINTS)
        self._sheet.append(cells)


def _number_columns(block: Block) -> list[int]:
    return [index for index, cell in enumerate(block.rows[0]) if isinstance(cell, int)] if block.rows else []


def _status_chart(sheet: Worksheet, first: int, block: Block) -> BarChart:
    """How many rows have which status; each bar says its number."""
    chart = _bars(sheet, first, block, columns=(2, 2), titles=False)
    chart.title = _chart_title("Rows by status")
    series = chart.series[0]
    series.graphicalProperties.solidFill = "9FB0BE"
    for index, row in enumerate(block.rows[: block.charted]):
        point = DataPoint(idx=index)
        point.graphicalProperties.solidFill = _BAR_COLOURS.get(str(row[0]).replace(" ", "_"), "9FB0BE")
        series.dPt.append(point)
    series.dLbls = DataLabelList()
    series.dLbls.showVal = True
    for name in ("showSerName", "showCatName", "showLegendKey", "showPercent"):
        setattr(series.dLbls, name, False)
    chart.legend = None
    chart.y_axis.delete = True
    return chart


def _series_chart(sheet: Worksheet, first: int, block: Block) -> BarChart:
    """How much of each series is issued: shares, since series differ in size by far."""
    chart = _bars(sheet, first, block, columns=(3, 5), titles=True)
    chart.title = _chart_title("How much of each series is issued")
    chart.grouping = "percentStacked"
    chart.overlap = 100
    for series, status in zip(chart.series, ("issued", "in_doubt", "failed"), strict=True):
        series.graphicalProperties.solidFill = _BAR_COLOURS[status]
    chart.legend.position = "b"
    chart.y_axis.number_format = "0%"
    return chart


def _bars(sheet: Worksheet, first: int, block: Block, *, columns: tuple[int, int], titles: bool) -> BarChart:
    chart = BarChart()
    chart.type = "bar"
    chart.gapWidth = 40
    last = first + block.charted
    start = first if titles else first + 1
    data = Reference(sheet, min_col=columns[0], max_col=columns[1], min_row=start, max_row=last)
    chart.add_data(data, titles_from_data=titles)
    chart.set_categories(Reference(sheet, min_col=1, min_row=first + 1, max_row=last))
    chart.x_axis.scaling.orientation = "maxMin"  # the first row on top
    chart.x_axis.delete = False
    chart.y_axis.delete = False
    chart.y_axis.crosses = "max"  # with the first row on top, this is the bottom
    chart.y_axis.majorGridlines = None
    return chart


def _chart_title(text: str) -> Title:
    look = CharacterProperties(sz=1100, b=True, solidFill=DARK, latin=DrawingFont(typeface=FACE))
    paragraph = Paragraph(pPr=ParagraphProperties(defRPr=look), r=[RegularTextRun(rPr=look, t=text)])
    return Title(tx=ChartText(rich=RichText(p=[paragraph])), overlay=False)


_BAR_COLOURS = {
    "issued": "4C9F70",
    "partial": "E0B030",
    "failed": "C8544C",
    "not_sent": "5B9BD5",
    "in_doubt": "8E6FBF",
    "duplicate": "A0A8AE",
    "rejected": "E08A3C",
}
