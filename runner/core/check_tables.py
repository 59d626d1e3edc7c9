"""The check report as tables and sentences: each row with what is wrong beside it, every problem, and a first page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from runner.core.checking import MaxRejected, ProblemKind, in_order, percent, places_of_problem, repair_of, widespread
from runner.core.columns import IDENTIFIERS, Role
from runner.core.model import Kind, Place, Problem
from runner.core.neutralising import neutralise
from runner.core.notices import Notice
from runner.core.plan import Plan
from runner.core.sheet_cells import DOUBT_MARK
from runner.core.statuses import name_row
from runner.core.trimming import trim
from runner.core.wording import counted
from runner.core.workbook_summary import Block, Summary
from runner.core.workbook_tables import Column, Look

CHECK_COLUMN = "_check"
"""The heading by which a check report is known when it comes back."""

BESIDE = ("_row", CHECK_COLUMN, "_why")
"""What stands in front of the person's own columns in the workbook: where they look first."""

CSV_COLUMNS = ("_file", "_sheet", "_row", CHECK_COLUMN, "_columns", "_why")
PROBLEM_COLUMNS = ("file", "sheet", "row", "column", "value", "what is wrong, and what to do")
REPAIR_COLUMNS = ("file", "sheet", "row", "column", "value", "read as", "what was repaired")

MOST_ROWS = 100_000
"""More rows than this are not shown one by one, only those that are worth a look."""

LAST_ROW = 1_048_576
"""Where a sheet of a workbook ends."""

OK, REJECTED, REPAIRED, DUPLICATE = "ok", "rejected", "repaired", "duplicate"

_KINDS_SHOWN = 40
_SHEET_NAME = 31


class CheckedFile(NamedTuple):
    """One table of the input. `sheet`: "" for text. `kinds`: kind of identifier → place of its cell.

    `series_at`, `count_at`: places of those cells, None without such a column.
    """

    name: str
    sheet: str
    headings: tuple[str, ...]
    kinds: Mapping[Kind, int]
    series_at: int | None = None
    count_at: int | None = None

    @property
    def places(self) -> dict[int, Role]:
        """The cells that are read."""
        found = {index: role for role, kind in IDENTIFIERS.items() if (index := self.kinds.get(kind)) is not None}
        others = ((self.series_at, Role.SERIES), (self.count_at, Role.COUNT))
        return found | {index: role for index, role in others if index is not None}


class Repaired(NamedTuple):
    """A cell that was repaired. `at`: its place. `cell`: as it was. `what` was repaired, and what it was read as."""

    at: int
    cell: str
    what: str
    read: str

    @property
    def sentence(self) -> str:
        """For a person, without the heading."""
        return f"read as {self.read} (repaired: {self.what})"


class Judged(NamedTuple):
    """A row and what the check says of it.

    `bad`: places of the cells that are wrong. `repaired`: every cell that was repaired. `why`: all reasons, the one
    that makes the others moot first. `problems`: with the place of the cell, None for the row as a whole.
    """

    place: Place
    cells: Sequence[str]
    word: str
    why: str
    bad: tuple[int, ...]
    repaired: tuple[Repaired, ...]
    problems: tuple[tuple[int | None, Problem], ...]


def file_of_record(record: Mapping[str, object], mapping: Mapping[str, str]) -> CheckedFile:
    """A file as the run will record it. `mapping`: heading → role, as it was understood."""
    headings = tuple(str(heading) for heading in record["headers"])  # type: ignore[attr-defined]
    roles = record.get("roles") or mapping
    words = {role.value: role for role in (*IDENTIFIERS, Role.SERIES, Role.COUNT)}
    places: dict[Role, int] = {}
    for index, heading in enumerate(headings):
        if (role := words.get(str(roles.get(heading, "")))) is not None:  # type: ignore[attr-defined]
            places.setdefault(role, index)
    kinds = {IDENTIFIERS[role]: index for role, index in places.items() if role in IDENTIFIERS}
    name, sheet = str(record["name"]), str(record["sheet"])
    return CheckedFile(name, sheet, headings, kinds, places.get(Role.SERIES), places.get(Role.COUNT))


def judge(
    place: Place,
    cells: Sequence[str],
    problems: Sequence[Problem],
    names: Mapping[Kind, str],
    repeats: str,
    file: CheckedFile,
    restored: Mapping[str, str],
) -> Judged:
    """What the check says of a row. `restored`: heading → the damaged text that was restored from the ledger."""
    located: list[tuple[int | None, Problem]] = []
    for problem in in_order(problems):
        places = places_of_problem(problem, file.headings, cells)
        if not places and problem.column is None and problem.value is None and len(cells) == len(file.headings):
            places = [index for index in file.kinds.values() if not cells[index].strip()]  # whom nobody named
        located += [(index, problem) for index in places] or [(None, problem)]
    bad = tuple(dict.fromkeys(index for index, _ in located if index is not None))
    repaired = _repaired(cells, names, file, restored, bad)
    reasons = [_with_heading(problem) for problem in dict.fromkeys(problem for _, problem in located)]
    word = REJECTED if problems else DUPLICATE if repeats else REPAIRED if repaired else OK
    if not problems:
        reasons = [repeats] if repeats else []
    reasons += [f"{file.headings[one.at]}: {one.sentence}" for one in repaired]
    cells = [_as_it_was(cell) if problems else cell for cell in cells]
    if beyond := cells[len(file.headings) :]:
        reasons.append(f"Cells beyond the header: {' | '.join(beyond)}")
    return Judged(place, cells, word, "\n".join(reasons), bad, repaired, tuple(located))


def _repaired(
    cells: Sequence[str],
    names: Mapping[Kind, str],
    file: CheckedFile,
    restored: Mapping[str, str],
    bad: Sequence[int],
) -> tuple[Repaired, ...]:
    """Every repaired cell, whether its row is used or not; in a row whose cells may have shifted there is none."""
    if len(cells) != len(file.headings):
        return ()
    found = []
    for index, role in sorted(file.places.items()):
        cell, before = cells[index], restored.get(file.headings[index])
        if before is not None:
            found.append(Repaired(index, before, "restored from the ledger", cell))
        elif index not in bad and trim(cell):
            used = names.get(IDENTIFIERS[role], "") if role in IDENTIFIERS else ""
            if (repair := repair_of(role, cell, used)) is not None:
                found.append(Repaired(index, cell, *repair))
    return tuple(found)


def _as_it_was(cell: str) -> str:
    """A doubtful cell without the mark that reports give it: this report is not read again."""
    return cell.removeprefix(DOUBT_MARK)


def _with_heading(problem: Problem) -> str:
    return f"{problem.column}: {problem.message}" if problem.column else problem.message


# ---------------------------------------------------------------- tables


def sheet_columns(file: CheckedFile) -> tuple[Column, ...]:
    """The columns of a file's sheet."""
    looks = (Look.NUMBER, Look.STATUS, Look.WIDE)
    beside = [Column(heading, False, look) for heading, look in zip(BESIDE, looks, strict=True)]
    own = [Column(neutralise(heading), True, Look.TEXT) for heading in file.headings]
    return (*beside, *own)


def problem_columns() -> tuple[Column, ...]:
    """The columns of the list of all problems."""
    return _listing(PROBLEM_COLUMNS)


def repair_columns() -> tuple[Column, ...]:
    """The columns of the list of all repaired cells."""
    return _listing(REPAIR_COLUMNS)


def _listing(headings: Sequence[str]) -> tuple[Column, ...]:
    looks = {"row": Look.NUMBER, headings[-1]: Look.WIDE}
    return tuple(Column(heading, False, looks.get(heading, Look.TEXT)) for heading in headings)


def problem_rows(judged: Judged, file: CheckedFile) -> Iterator[list[str | int]]:
    """The problems of one row, a line each."""
    for index, problem in judged.problems:
        heading = file.headings[index] if index is not None and index < len(file.headings) else problem.column or ""
        value = judged.cells[index] if index is not None else problem.value or ""
        file_name, sheet = neutralise(file.name), neutralise(file.sheet)
        yield [file_name, sheet, judged.place.row, neutralise(heading), neutralise(value), problem.message]


def repair_rows(judged: Judged, file: CheckedFile) -> Iterator[list[str | int]]:
    """The repaired cells of one row, a line each."""
    for one in judged.repaired:
        texts = [neutralise(text) for text in (file.headings[one.at], one.cell, one.read)]
        yield [neutralise(file.name), neutralise(file.sheet), judged.place.row, *texts, one.what]


def sheet_names(files: Sequence[CheckedFile], taken: Iterable[str]) -> list[str]:
    """A name for each file's sheet: the sheet's own, else the file's; short enough, allowed, and each once."""
    used = {name.casefold() for name in taken}
    names = []
    for file in files:
        wanted = re.sub(r"[\[\]:*?/\\\x00-\x1f]", " ", file.sheet or file.name.rpartition(".")[0] or file.name)
        wanted = wanted.strip(" '")[:_SHEET_NAME].strip(" '") or "Rows"
        name, number = wanted, 1
        while name.casefold() in used or name.casefold() == "history":  # Excel keeps that name for itself
            number += 1
            name = f"{wanted[: _SHEET_NAME - len(str(number)) - 1]} {number}"
        used.add(name.casefold())
        names.append(name)
    return names


def stem_of(names: Sequence[str]) -> str:
    """What the check report is called after: the first file, and how many more there are."""
    stem = re.sub(r"(?i)(\.(csv|tsv|txt|xlsx|xlsm|xls|ods|gz|zip))+$", "", names[0]) or names[0]
    stem = re.sub(r"[/\\\x00-\x1f]", "_", stem)
    return stem if len(names) == 1 else f"{stem}-and-{len(names) - 1}-more"


# ---------------------------------------------------------------- the first page


@dataclass(slots=True)
class CheckCounts:
    """Rows by what the check says of them, as they were written; and how many cells were repaired."""

    words: dict[str, int] = field(default_factory=dict)
    repaired: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFacts:
    """What the first page says of the plan beside its counts.

    `noticed`: file and what is to be said of rows that are odd or are no customers.
    """

    campaign: str
    org: str
    rehearsal: bool
    written: str
    probe: Sequence[str] = ()
    limit: MaxRejected | None = None
    noticed: Sequence[tuple[str, Notice]] = ()


def first_page(
    plan: Plan,
    kinds: Sequence[ProblemKind],
    counts: CheckCounts,
    files: Sequence[CheckedFile],
    facts: CheckFacts,
    *,
    every: bool,
    sheets: Sequence[str],
    beyond: int = 0,
) -> Summary:
    """The first sheet, in words. `every`: all rows are in the sheets, and not only those worth a look.

    `beyond`: lines that no sheet had room for.
    """
    repaired = counts.words.get(REPAIRED, 0)
    notes = []
    if not every:
        notes.append(
            f"{plan.rows:,} rows are more than {MOST_ROWS:,}: the sheets hold the rows that are rejected or repaired"
            " only, all of them. Every other row can be used as it is."
        )
    if beyond:
        notes.append(
            f"A sheet ends with row {LAST_ROW:,}: {counted(beyond, 'more line is', 'more lines are')} in the check"
            " report as CSV only, which has all of them."
        )
    return Summary(
        sheet="Summary",
        title=("REHEARSAL: " if facts.rehearsal else "") + f"Check of {', '.join(_names(files))}",
        banner="Nothing was sent: no coupon is issued by a check.",
        headline=_headline(plan),
        steps=tuple(_steps(plan, kinds, counts.repaired, facts, sheets)),
        facts=(
            ("Campaign", facts.campaign),
            ("Organisation", facts.org),
            ("Checked", facts.written),
            *((f"Probe{'' if not number else ' '}", text) for number, text in enumerate(facts.probe)),
        ),
        blocks=tuple(
            block
            for block in (_rows_block(plan, repaired), _kinds_block(kinds, files), _noticed_block(facts.noticed))
            if block is not None
        ),
        notes=tuple(notes),
    )


def _names(files: Sequence[CheckedFile]) -> list[str]:
    names = list(dict.fromkeys(file.name for file in files))
    return names if len(names) <= 3 else [*names[:3], f"{len(names) - 3:,} more"]


def _headline(plan: Plan) -> str:
    if plan.rejected:
        verb = "row has to be corrected" if plan.rejected == 1 else "rows have to be corrected"
        return f"{plan.rejected:,} of {plan.rows:,} {verb} ({percent(plan.rejected, plan.rows)})."
    return f"Every row can be used ({counted(plan.rows, 'row')})."


def _steps(
    plan: Plan, kinds: Sequence[ProblemKind], repaired: int, facts: CheckFacts, sheets: Sequence[str]
) -> Iterator[str]:
    if plan.rejected:
        common = widespread(kinds, plan.rows)
        if common is not None:
            yield (
                f"First of all: {percent(common.rows, plan.rows)} of the rows have one and the same problem, so it is"
                f" probably one mistake and not many. {common.text}"
            )
        shown = " and ".join(f"'{name}'" for name in sheets[:3])
        yield (
            "The sheet 'Problems' lists every problem with its row, column and cell. In the sheet"
            f"{'s' if len(sheets[:3]) > 1 else ''} {shown} the cells are red, with the reason in front of the row."
        )
        yield "Correct the cells in your own file (not in this one), and plan it again."
        if facts.limit is not None and facts.limit.is_exceeded(plan.rejected, plan.rows):
            too_many = facts.limit.sentence(plan.rejected, plan.rows)
            yield f"A run where nobody is at the terminal would send nothing: {too_many}."
    if repaired:
        were = counted(repaired, "cell was", "cells were")
        yield f"{were} repaired where it was certain what was meant: in blue, and one by one in the sheet 'Repaired'."


def _rows_block(plan: Plan, repaired: int) -> Block:
    rows = [
        ("rejected", plan.rejected, "not used until it is corrected"),
        ("duplicate", plan.duplicate_rows, "says the same as an earlier row"),
        ("used", plan.used, f"stands for coupons{f' ({repaired:,} of them repaired)' if repaired else ''}"),
    ]
    return Block(
        title="Rows",
        headings=("Status", "Rows", "Meaning"),
        rows=(*(row for row in rows if row[1]), ("all", plan.rows, "")),
        summed=True,
    )


def _kinds_block(kinds: Sequence[ProblemKind], files: Sequence[CheckedFile]) -> Block | None:
    if not kinds:
        return None
    several = len({file.name for file in files}) > 1
    rows: list[tuple[str | int, ...]] = [
        (one.rows, one.text, "\n".join(_example(one, index, files, several) for index in range(len(one.examples))))
        for one in kinds[:_KINDS_SHOWN]
    ]
    rest = kinds[_KINDS_SHOWN:]
    if rest:
        rows.append(
            (sum(one.rows for one in rest), f"{len(rest):,} more kinds of problems: see the sheet 'Problems'", "")
        )
    return Block(
        title="What is wrong, the commonest first",
        sentence="A row can have several problems.",
        headings=("In rows", "What is wrong, and what to do", "For example"),
        rows=tuple(rows),
    )


def _noticed_block(noticed: Sequence[tuple[str, Notice]]) -> Block | None:
    if not noticed:
        return None
    rows = tuple((one.count, one.sentence(), neutralise(name)) for name, one in noticed)
    return Block(
        title="Rows that are no customers, or worth a look",
        headings=("In rows", "What is said of them", "File"),
        rows=rows,
    )


def _example(one: ProblemKind, index: int, files: Sequence[CheckedFile], several: bool) -> str:
    place, _, value = one.examples[index]
    where = name_row(place.row, place.sheet, files[place.file].name if several else "")
    return f"{where}: {value}" if value else where
