"""Files → tables: which sheet of a workbook is meant, what of it is hidden, and the list of series beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from runner.adapters.containers import STDIN
from runner.adapters.sheets import EmptyTable, InputFile, Table, open_file
from runner.core.check_tables import CHECK_COLUMN
from runner.core.columns import IDENTIFIERS, role_of, squeeze
from runner.core.refs import REF_COLUMN
from runner.core.series_list import ListedSeries, SeriesList, is_series_heading, read_series_list
from runner.core.sheet_choice import (
    SERIES_SHEET,
    SheetSeen,
    SheetUnclear,
    find_sheet,
    hidden_customers,
    is_series_sheet,
)
from runner.core.table_finding import find_headings
from runner.core.template import is_series_example
from runner.core.trimming import trim
from runner.errors import InputRefused, UsageError
from runner.settings import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """How to ask a person, or None when nobody is there to answer. `choose` gets a question and a suggestion."""

    choose: Callable[[str, str], str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRead:
    """A list of series, and where it came from: file, sheet ("" for text) and the sha256 of the file's bytes."""

    series: SeriesList
    name: str
    sheet: str
    sha256: str

    def record(self) -> dict[str, object]:
        """What the run remembers of it."""
        entries = [
            [one.id, one.name, one.count, one.max_total, None if one.value is None else str(one.value), one.row]
            for one in self.series.entries
        ]
        return {"name": self.name, "sheet": self.sheet, "sha256": self.sha256, "entries": entries}


def list_of_record(record: Mapping[str, Any] | None) -> ListRead | None:
    """A list of series as a run remembers it."""
    if not record:
        return None
    entries = tuple(
        ListedSeries(number, name, count, most, None if value is None else Decimal(value), row)
        for number, name, count, most, value, row in record["entries"]
    )
    return ListRead(series=SeriesList(entries), name=record["name"], sheet=record["sheet"], sha256=record["sha256"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The input, opened. `hidden`: what was decided about hidden parts, None when there are none that matter.

    `overrides`: decisions of a person that the run records. `asked`: flag → value of what was asked and answered.
    """

    tables: list[Table]
    listed: ListRead | None
    hidden: str | None
    notes: list[str]
    overrides: list[dict[str, object]]
    asked: dict[str, str]


@dataclass(slots=True)
class _Hidden:
    """What is hidden in the sheets that are read, in words, and counted."""

    words: list[str] = field(default_factory=list)
    rows: int = 0
    columns: list[str] = field(default_factory=list)
    sheets: list[str] = field(default_factory=list)

    def see(self, table: Table, told: Told) -> None:
        columns = [trim(table.headers[index]) for index in table.hidden_columns if _matters(table.headers[index], told)]
        words = [_count(table.hidden_rows, "hidden row")] if table.hidden_rows else []
        if columns:
            words.append(f"{_count(len(columns), 'hidden column')} ({', '.join(columns)})")
        if words:
            self.words.append(f"{table.name}, sheet {table.sheet!r} has {' and '.join(words)}")
            self.rows += table.hidden_rows
            self.columns += columns

    def see_sheets(self, name: str, sheets: Sequence[str]) -> None:
        if sheets:
            listed = ", ".join(map(repr, sheets))
            self.words.append(f"{name} has {_count(len(sheets), 'hidden sheet')} that could be meant ({listed})")
            self.sheets += sheets


@dataclass(frozen=True, slots=True)
class Told:
    """The headings that somebody said the meaning of. `names`: those of them that name a customer."""

    headings: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, roles: Iterable[tuple[str, str]]) -> Told:
        """From headings and the words of their roles."""
        pairs = [(trim(heading), squeeze(role)) for heading, role in roles]
        return cls(
            frozenset(heading for heading, _ in pairs),
            frozenset(heading for heading, role in pairs if role in {squeeze(kind) for kind in IDENTIFIERS}),
        )


NOTHING_TOLD = Told()


def open_input(paths: Sequence[Path], *, options: Options, asker: Asker, told: Told = NOTHING_TOLD) -> Opened:
    """Open every file and find the tables in it, in order.

    Args:
        told: what is known of headings beside what they mean by themselves.

    Raises:
        UsageError: which sheet is meant is not certain. InputRefused: a file that cannot be used, or hidden parts that
            nobody decided about. EmptyTable: no file holds a row.
    """
    notes: list[str] = []
    empty: list[EmptyTable] = []
    files = [_with_headings(file, told) for file in _open_files(paths, options, notes, empty)]
    if options.sheet is not None and files and not any(file.is_workbook for file in files):
        raise UsageError(f"--sheet {options.sheet}: none of the files is a workbook. Leave --sheet out.")
    chooser = _Chooser(files, options, asker, told)
    hidden = chooser.find_hidden()
    decided = _decide(hidden, options, asker)
    include = decided == "include"
    tables = chooser.tables(hidden_too=include, notes=notes, empty=empty)
    lists = chooser.lists(hidden_too=include)
    if decided == "exclude":
        tables = [_without_hidden(table, told) for table in tables]
        lists = [_without_hidden(table, told) for table in lists]
    if not tables:
        raise next((error for error in empty if not error.ours), empty[0])
    listed = _read_lists(lists)
    if options.series_file is not None and _series_sheets(files, told, hidden_too=True):
        notes.append(f"the sheet {SERIES_SHEET!r} of the workbook is not read, since --series-file is given")
    if listed is not None:
        where = f"the sheet {listed.sheet!r} of {listed.name}" if listed.sheet else listed.name
        notes.append(f"the list of series is {where}: {len(listed.series.entries):,} series")
    notes.extend(error.message for error in empty)
    answers = set(chooser.answers.values())
    asked = {"sheet": answers.pop()} if len(answers) == 1 else {}
    overrides: list[dict[str, object]] = []
    if decided is not None:
        verb = "read like the others" if include else "left out"
        notes.extend(f"{words}: {verb} (--hidden {decided})" for words in hidden.words)
        what = {"rows": hidden.rows, "columns": hidden.columns, "sheets": hidden.sheets}
        overrides.append({"what": "hidden", "choice": decided, **what})
        if options.hidden is None:
            asked["hidden"] = decided
    return Opened(tables=tables, listed=listed, hidden=decided, notes=notes, overrides=overrides, asked=asked)


def _with_headings(file: InputFile, told: Told) -> InputFile:
    """The file with its headings where they stand: below titles, and in two rows where cells were merged."""
    found = [find_headings(one.top, told.headings) if one.top else None for one in file.sheets]
    moved = [one is not None and (bool(one.above) or one.first != one.last) for one in found]
    if not any(moved):
        return file

    def table(number: int) -> Table:
        opened, headings = file.table(number), found[number]
        if headings is None or not moved[number]:
            return opened
        if not sheets[number].rows:
            where = f"{file.name}, sheet {opened.sheet!r}" if opened.sheet else file.name
            raise EmptyTable(f"{where} has a header in row {headings.last} and no rows below it.")
        return opened.below(headings.headers, headings.last)

    sheets = tuple(
        one._replace(headers=headings.headers, rows=one.top[-1][0] > headings.last)
        if headings is not None and is_moved
        else one
        for one, headings, is_moved in zip(file.sheets, found, moved, strict=True)
    )
    return replace(file, sheets=sheets, table=table)


def _titles(seen: SheetSeen, told: Told) -> str | None:
    """What is said of the rows above the table, else None."""
    found = find_headings(seen.top, told.headings) if seen.top else None
    if found is None or not (found.above or found.first != found.last):
        return None
    where = f"in row {found.last:,}" if found.first == found.last else f"in rows {found.first:,} and {found.last:,}"
    if not found.above:
        return f"the headings stand {where}, read as one"
    shown = ", ".join(f"{row:,}" for row in found.above[:5]) + (" …" if len(found.above) > 5 else "")
    plural = "s" if len(found.above) > 1 else ""
    return f"the headings stand {where}; above them row{plural} {shown} {'are' if plural else 'is'} left out as titles"


def _open_files(paths: Sequence[Path], options: Options, notes: list[str], empty: list[EmptyTable]) -> list[InputFile]:
    """Open every file; of identical ones the first is read, and it is said."""
    files: list[InputFile] = []
    seen: dict[str, str] = {}
    for path in paths:
        try:
            file = open_file(path, limits=options.input_limits, encoding=options.encoding)
        except EmptyTable as error:
            empty.append(error)
            continue
        if file.sha256 in seen:
            notes.append(f"{path} is the same as {seen[file.sha256]}, byte for byte: read once")
            continue
        if any(CHECK_COLUMN in cells for one in file.sheets for _, cells in one.top if REF_COLUMN not in cells):
            raise InputRefused(
                f"{file.name} is a check report that this program wrote, and is for reading only. Correct the cells in"
                " your own file, and give that one."
            )
        seen[file.sha256] = file.name if path == STDIN else str(path)
        notes.extend(file.notes)
        files.append(file)
    return files


class _Chooser:
    """Which sheets are read: asked about once, chosen first among the visible ones, to know what they hide."""

    def __init__(self, files: Sequence[InputFile], options: Options, asker: Asker, told: Told) -> None:
        self._files = files
        self._options = options
        self._asker = asker
        self._told = told
        self._series_file = open_series_file(options.series_file, options) if options.series_file is not None else None
        self.answers: dict[str, str] = {}

    def find_hidden(self) -> _Hidden:
        """What somebody has to decide about."""
        hidden = _Hidden()
        for file in self._files:
            if file.is_workbook and self._options.sheet is None:
                hidden.see_sheets(file.name, hidden_customers(file.sheets, self._told.names))
        if hidden.sheets and self._options.hidden == "include":
            chosen = self.tables(hidden_too=True, notes=[], empty=[])
        else:
            # Which sheet is meant is asked when it is known whether the hidden ones count.
            chosen = self.tables(hidden_too=False, notes=[], empty=[], certain_only=bool(hidden.sheets))
        for table in (*chosen, *self.lists(hidden_too=self._options.hidden == "include")):
            hidden.see(table, self._told)
        return hidden

    def tables(
        self, *, hidden_too: bool, notes: list[str], empty: list[EmptyTable], certain_only: bool = False
    ) -> list[Table]:
        """The customers' table of each file."""
        tables: list[Table] = []
        for file in self._files:
            number = self._number(file, hidden_too, notes, certain_only)
            if number is None:
                continue
            try:
                tables.append(file.table(number))
            except EmptyTable as error:
                empty.append(error)
                continue
            chosen = file.sheets[number]
            if (titles := _titles(chosen, self._told)) is not None:
                notes.append(f"{file.name}: {titles}")
            if chosen.hidden and self._options.sheet is not None:
                notes.append(f"{file.name}: the sheet {chosen.name!r} is hidden, and --sheet names it")
            unread = [one.name for one in file.sheets if one.hidden and one != chosen]
            if unread:
                names = ", ".join(map(repr, unread))
                notes.append(f"{file.name}: {_count(len(unread), 'hidden sheet')} not read: {names}")
        return tables

    def _number(self, file: InputFile, hidden_too: bool, notes: list[str], certain_only: bool) -> int | None:
        wanted = self.answers.get(file.sha256, self._options.sheet) if file.is_workbook else None
        found = find_sheet(file.sheets, wanted=wanted, told=self._told.names, hidden_too=hidden_too)
        if isinstance(found, SheetUnclear):
            if certain_only:
                return None
            if self._asker.choose is None or wanted is not None:
                raise UsageError(f"{file.name}: {found.message}. Say which one with --sheet NAME.")
            question = f"{file.name}: {found.message}. Which one is meant"
            answer = self._asker.choose(question, found.names[0])
            found = find_sheet(file.sheets, wanted=answer)
            if isinstance(found, SheetUnclear):
                raise UsageError(f"{file.name}: {found.message}. Say which one with --sheet NAME.")
            self.answers[file.sha256] = file.sheets[found.number].name
        if found.why:
            notes.append(f"{file.name}: read is {found.why}")
        return found.number

    def lists(self, *, hidden_too: bool) -> list[Table]:
        """The lists of series: `--series-file`, else the sheets `series` of the workbooks."""
        if self._series_file is None:
            return _series_sheets(self._files, self._told, hidden_too=hidden_too)
        return [_table_of_list(self._series_file, _sheet_of_list(self._series_file, hidden_too))]


def _series_sheets(files: Sequence[InputFile], told: Told, *, hidden_too: bool) -> list[Table]:
    return [
        _table_of_list(file, number)
        for file in files
        for number, one in enumerate(file.sheets)
        if one.headers and is_series_sheet(one, told.names) and (hidden_too or not one.hidden)
    ]


def open_series_file(path: Path, options: Options) -> InputFile:
    """The file of `--series-file`. An empty one is a mistake, never a quiet night: `InputRefused`, not `EmptyTable`."""
    try:
        return open_file(path, limits=options.input_limits, encoding=options.encoding)
    except EmptyTable as error:
        raise InputRefused(f"--series-file: {error.message}") from error


def _table_of_list(file: InputFile, number: int) -> Table:
    try:
        return file.table(number)
    except EmptyTable as error:
        raise InputRefused(f"The list of series is empty: {error.message}") from error


def _sheet_of_list(file: InputFile, hidden_too: bool) -> int:
    """The sheet of `--series-file`: the one called series, the only one with ids of series, or the only one."""
    able = [number for number, one in enumerate(file.sheets) if one.rows and (hidden_too or not one.hidden)]
    named = [number for number in able if trim(file.sheets[number].name).casefold() == SERIES_SHEET]
    listing = [number for number in able if any(map(is_series_heading, file.sheets[number].headers))]
    for several in (named, listing, able):
        if len(several) == 1:
            return several[0]
    if not able:
        return 0
    names = ", ".join(repr(file.sheets[number].name) for number in able)
    raise UsageError(f"{file.name}: which of its sheets lists the series is not certain ({names}). Call it 'series'.")


def _decide(hidden: _Hidden, options: Options, asker: Asker) -> str | None:
    """What is to be done about hidden parts: told, asked, or refused. None when there are none."""
    if not hidden.words:
        return None
    if options.hidden is not None:
        return options.hidden
    found = "; ".join(hidden.words)
    if asker.choose is None:
        raise InputRefused(
            f"{found}. Whether they belong to the list cannot be told: say --hidden include (read them like the "
            "others) or --hidden exclude (leave them out). Nothing was sent."
        )
    answer = asker.choose(f"{found}. Read them like the others (include), or leave them out (exclude)", "exclude")
    if answer not in ("include", "exclude"):
        raise UsageError(f"{answer!r} is none of include, exclude.")
    return answer


def _without_hidden(table: Table, told: Told) -> Table:
    if not table.hidden_rows and not any(_matters(table.headers[index], told) for index in table.hidden_columns):
        return table
    return table.without_hidden()


def _matters(heading: str, told: Told) -> bool:
    """Whether a column is read for more than to be copied."""
    name = trim(heading)
    return role_of(name) is not None or is_series_heading(name) or name in told.headings | {REF_COLUMN}


def _read_lists(tables: Sequence[Table]) -> ListRead | None:
    """The list of series. Several workbooks may bring the same one, never two different ones."""
    found: list[ListRead] = []
    for table in tables:
        where = f"{table.name}, sheet {table.sheet!r}" if table.sheet else table.name
        records = [record for chunk in table.rows() for record in chunk]
        filled = [record for record in records if not is_series_example(record[1])]
        if not filled and records:
            continue  # the sheet of a template that nobody filled in
        read = read_series_list(table.headers, filled)
        if isinstance(read, list):
            shown = "\n".join(f"{where}, list of series: {problem}" for problem in read[:20])
            more = f"\nand {len(read) - 20:,} more" if len(read) > 20 else ""
            raise InputRefused(f"{shown}{more}")
        found.append(ListRead(series=read, name=table.name, sheet=table.sheet, sha256=table.sha256))
    if len({one.series for one in found}) > 1:
        names = " and ".join(f"{one.name}, sheet {one.sheet!r}" for one in found)
        raise InputRefused(f"{names} hold different lists of series. Run the files one by one, or give --series-file.")
    return found[0] if found else None


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
