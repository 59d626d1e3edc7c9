"""Writes the check report of a plan: the person's own rows with the bad cells marked, as a workbook and as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from runner.adapters.file_set import FileSet
from runner.core.check_tables import (
    CSV_COLUMNS,
    LAST_ROW,
    OK,
    CheckCounts,
    CheckedFile,
    CheckFacts,
    Judged,
    first_page,
    problem_columns,
    problem_rows,
    repair_columns,
    repair_rows,
    sheet_columns,
    sheet_names,
    stem_of,
)
from runner.core.checking import ProblemKind
from runner.core.neutralising import neutralise
from runner.core.plan import Plan
from runner.core.report_lines import FileShape, merge_columns
from runner.core.reporting import Cell
from runner.core.workbook_summary import Summary
from runner.core.workbook_tables import CellMaker, Changes, Local

if TYPE_CHECKING:
    from runner.adapters.workbook_sheets import TableSheet

_PAGE = 500
_SUMMARY, _PROBLEMS, _REPAIRED = "Summary", "Problems", "Repaired"


def write_check(
    folder: Path,
    rows: Iterable[Judged],
    *,
    plan: Plan,
    kinds: Sequence[ProblemKind],
    files: Sequence[CheckedFile],
    facts: CheckFacts,
    every: bool,
    workbook: bool,
    at: float,
    local: Local,
) -> tuple[Path, ...]:
    """Write the report and return its files: the workbook, if wanted, first.

    Args:
        folder: created when it is not there; a report of the same name is replaced.
        rows: all of them (`every`), or those that are worth a look; taken once, a page in memory at a time.

    Raises:
        OSError: it cannot be written; a report that was there stays as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = stem_of(list(dict.fromkeys(file.name for file in files)))
    counts = CheckCounts()
    with ExitStack() as stack:
        report = stack.enter_context(FileSet(folder))
        book = _Workbook(f"{stem}.check.xlsx", files, facts, report, at=at, local=local) if workbook else None
        if book is not None:
            stack.callback(book.close)
        table = _Csv(report, f"{stem}.check.csv", files)
        for page in _pages(rows):
            for judged in page:
                counts.words[judged.word] = counts.words.get(judged.word, 0) + 1
                counts.repaired += len(judged.repaired)
            table.write(page)
            if book is not None:
                book.write(page)
        if book is not None:
            page_in_words = first_page(
                plan, kinds, counts, files, facts, every=every, sheets=book.sheets, beyond=book.beyond
            )
            book.save(page_in_words)
        written = report.publish()
    return tuple(sorted(written, key=lambda path: path.suffix != ".xlsx"))


def _pages(rows: Iterable[Judged]) -> Iterator[list[Judged]]:
    page: list[Judged] = []
    for row in rows:
        page.append(row)
        if len(page) >= _PAGE:
            yield page
            page = []
    if page:
        yield page


class _Csv:
    """The same rows as CSV: the input's own columns first, in the order of the first file that has them."""

    def __init__(self, report: FileSet, name: str, files: Sequence[CheckedFile]) -> None:
        self._files = files
        self._several = len({file.name for file in files}) > 1
        headings, self._sources, _ = merge_columns([FileShape(file.name, file.headings, {}) for file in files])
        self._table = report.open_table(name)
        ours = CSV_COLUMNS if self._several else CSV_COLUMNS[1:]
        self._table.write([[*map(neutralise, headings), *ours]])

    def write(self, page: Sequence[Judged]) -> None:
        self._table.write(map(self._row, page))

    def _row(self, judged: Judged) -> list[Cell]:
        file = self._files[judged.place.file]
        cells = judged.cells
        row: list[Cell] = [
            neutralise(cells[source]) if source is not None and source < len(cells) else ""
            for source in self._sources[judged.place.file]
        ]
        places = judged.bad or [one.at for one in judged.repaired]
        marked = [file.headings[index] for index in places if index < len(file.headings)]
        if self._several:
            row.append(neutralise(file.name))
        word = "" if judged.word == OK else judged.word
        row += [
            neutralise(judged.place.sheet),
            judged.place.row,
            word,
            neutralise("; ".join(marked)),
            neutralise(judged.why),
        ]
        return row


class _Workbook:
    """The workbook: a first page, each file's own sheet with its cells marked, every problem and every repair."""

    def __init__(
        self, name: str, files: Sequence[CheckedFile], facts: CheckFacts, report: FileSet, *, at: float, local: Local
    ) -> None:
        from runner.adapters.workbook_sheets import Book  # openpyxl is loaded when a workbook is wanted

        self._files = files
        self._report = report
        self._stream = report.open_stream(name)
        self._book = Book(name, scratch=report.scratch, title=f"Check of {files[0].name}", at=at)
        self._first = self._book.sheet(f"REHEARSAL {_SUMMARY}" if facts.rehearsal else _SUMMARY)
        self._problem_columns, self._repair_columns = problem_columns(), repair_columns()
        self.sheets = sheet_names(files, [_SUMMARY, _PROBLEMS, _REPAIRED])
        self._tables = [
            self._book.table(sheet, sheet_columns(file), freeze="D2")
            for sheet, file in zip(self.sheets, files, strict=True)
        ]
        self._problems = self._book.table(_PROBLEMS, self._problem_columns)
        self._repaired: TableSheet | None = None
        self.beyond = 0
        self._maker = CellMaker(Changes(), local=local, whole=name.replace(".xlsx", ".csv"))

    def write(self, page: Sequence[Judged]) -> None:
        for judged in page:
            file = self._files[judged.place.file]
            if judged.problems:
                self._add(self._problems, self._maker.rows(self._problem_columns, problem_rows(judged, file)))
            if judged.repaired:
                self._repaired = self._repaired or self._book.table(_REPAIRED, self._repair_columns)
                self._add(self._repaired, self._maker.rows(self._repair_columns, repair_rows(judged, file)))
            self._add(self._tables[judged.place.file], [self._row(judged, file)])

    def _add(self, table: TableSheet, rows: Iterable[Sequence[Cell | None]]) -> None:
        for row in rows:
            if table.rows < LAST_ROW - 1:  # the first one holds the headings
                table.write([row])
            else:
                self.beyond += 1

    def _row(self, judged: Judged, file: CheckedFile) -> list[Cell | None]:
        from runner.adapters.workbook_sheets import MarkedCell

        width = len(file.headings)
        cells: list[Cell | None] = [self._maker.text(neutralise(cell)) or None for cell in judged.cells[:width]]
        cells += [None] * (width - len(cells))
        for places, mark in (([one.at for one in judged.repaired], "mended"), (judged.bad, "bad")):
            for index in places:
                if index < width:
                    cells[index] = MarkedCell(cells[index] or "", mark)
        word = MarkedCell(judged.word, judged.word) if judged.word != OK else None
        return [judged.place.row, word, self._maker.text(judged.why) or None, *cells]

    def save(self, page: Summary) -> None:
        from runner.adapters.report_workbook import draw_summary

        draw_summary(self._first, self._book, page)
        self._book.save(self._stream)

    def close(self) -> None:
        self._book.close()
