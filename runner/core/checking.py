"""What is wrong with the rows of an input: problems by kind, which cells they are about, and how many are too many."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from runner.core.columns import IDENTIFIERS, Role
from runner.core.guards import Threshold, parse_threshold
from runner.core.model import Place, Problem
from runner.core.series_cells import read_count, read_series, repaired_count, repaired_series
from runner.core.trimming import trim
from runner.core.values import repair
from runner.core.wording import counted

EXAMPLES = 3
"""Rows that stand for all of their kind."""

_KINDS_KEPT = 1_000
_OTHERS = Problem(None, None, "Other problems, too different to be counted one by one: the check report has them all.")

DEFAULT_MAX_REJECTED = "10%"
"""What is let through where nobody is at the terminal and nothing else was said."""

_VARIES = re.compile(r"'[^']*'|\d[\d,.]*")
"""What differs between two sentences that give the same reason: quoted cells and numbers."""

_ROWS_NAMED = re.compile(r"(?:\b(?:rows?|and|of sheet|of)\b|[#,;\s])+")
_TELLING_DIGITS = 5
_SHOWN_CHARACTERS = 40


class Example(NamedTuple):
    """A row that has a problem: where, under which heading (None: the row as a whole), and the cell."""

    place: Place
    column: str | None
    value: str | None


class ProblemKind(NamedTuple):
    """Problems that are one and the same to whoever has to mend them. `reason`: a sentence that stands for all."""

    column: str | None
    reason: str
    rows: int
    examples: tuple[Example, ...]

    @property
    def text(self) -> str:
        """The reason with the heading that it is about: "Mobile: …"."""
        return f"{self.column}: {self.reason}" if self.column else self.reason


class ProblemTally:
    """Counts the problems of rejected rows by kind while they pass by; memory does not grow with the file."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str | None, str], int] = {}
        self._first: dict[tuple[str | None, str], Problem] = {}
        self._examples: dict[tuple[str | None, str], list[Example]] = {}

    def add(self, place: Place, problems: Sequence[Problem]) -> None:
        """All problems of one row: a kind counts once for it."""
        seen = set()
        for problem in problems:
            kind = kind_of(problem)
            if kind not in self._rows and len(self._rows) >= _KINDS_KEPT:
                problem = _OTHERS._replace(value=problem.value)  # noqa: PLW2901
                kind = kind_of(problem)
            if kind in seen:
                continue
            seen.add(kind)
            self._rows[kind] = self._rows.get(kind, 0) + 1
            self._first.setdefault(kind, problem)
            examples = self._examples.setdefault(kind, [])
            if len(examples) < EXAMPLES:
                examples.append(Example(place, problem.column, problem.value))

    def kinds(self) -> tuple[ProblemKind, ...]:
        """Every kind, the commonest first."""
        ordered = sorted(self._rows.items(), key=lambda item: -item[1])  # stable: equal ones as the file has them
        return tuple(
            ProblemKind(self._first[kind].column, self._first[kind].message, rows, tuple(self._examples[kind]))
            for kind, rows in ordered
        )


def kind_of(problem: Problem) -> tuple[str | None, str]:
    """What two problems have in common that are mended in the same way: cells and numbers are no part of it."""
    message = problem.message
    if problem.value and len(problem.value) > 1:
        message = message.replace(problem.value, "#")
    return problem.column, _ROWS_NAMED.sub(" ", _VARIES.sub("#", message))


def widespread(kinds: Sequence[ProblemKind], rows: int) -> ProblemKind | None:
    """The problem that most rows of the input have: one cause, whose removal may make all the others moot."""
    return next((one for one in kinds if 2 * one.rows > rows and one.rows > 1), None)


def in_order(problems: Sequence[Problem]) -> list[Problem]:
    """The problems of one row: what concerns the row as a whole first, since the others may go with it."""
    return sorted(problems, key=lambda one: one.column is not None or one.value is not None)


def places_of_problem(problem: Problem, headings: Sequence[str], cells: Sequence[str]) -> list[int]:
    """The cells that a problem is about: those under its heading, or those that hold the value that it names.

    Of several columns with one heading, the one whose cell it is. None for a problem of the row as a whole.
    """
    if problem.column is not None:
        under = [index for index, heading in enumerate(headings) if heading == problem.column and index < len(cells)]
        exact = [index for index in under if cells[index] == (problem.value or "")]
        return (exact or under)[:1]
    if not problem.value:
        return []
    wanted = _bare(problem.value)
    return [index for index, cell in enumerate(cells) if wanted and _bare(cell) == wanted]


def _bare(text: str) -> str:
    """A text by its letters and digits only."""
    return "".join(sign for sign in text.casefold() if sign.isalnum())


def repair_of(role: Role, cell: str, used: str = "") -> tuple[str, str] | None:
    """(what was repaired in a cell that is read, what it was read as); None when it means what stands there.

    Blanks, dashes and brackets within a number, a plus or a country code are ways to write it, and no repair; nor is
    white space around a cell. `used`: the identifier as it is used, where it is known.
    """
    if cell == used or (cell.isascii() and cell.isalnum()):
        return None  # by far the most
    text = cell
    if role is Role.SERIES:
        what, read = repaired_series(cell), read_series(cell)
        text = "; ".join(map(str, read)) if isinstance(read, tuple) else trim(cell)
    elif role is Role.COUNT:
        what, text = repaired_count(cell), str(read_count(cell))
    else:
        text, what = repair(IDENTIFIERS[role], cell)
    return (what, used or text) if what else None


def shown_value(value: str) -> str:
    """A cell as it may stand on a screen or in a log: what may be somebody's number or address is shortened."""
    text = "".join(sign if sign.isprintable() else " " for sign in trim(value))
    if not text:
        return "blank"
    if "@" in text or sum(sign.isdecimal() for sign in text) >= _TELLING_DIGITS:
        return f"…{text[-4:]}"
    return f"'{text}'" if len(text) <= _SHOWN_CHARACTERS else f"'{text[:_SHOWN_CHARACTERS]}…'"


# ---------------------------------------------------------------- too many


class MaxRejected(NamedTuple):
    """How many rows may be rejected: `--max-rejected` as it was written, and what it means."""

    written: str
    most: Threshold

    @classmethod
    def of(cls, text: str) -> MaxRejected:
        """A number of rows ("50"), a share of all rows ("10%"), or both. Raises `UsageError`."""
        return cls(text.strip(), parse_threshold(text))

    def is_exceeded(self, rejected: int, rows: int) -> bool:
        """Whether more rows are rejected than may be."""
        number, share = self.most
        if number is not None and rejected > number:
            return True
        return share is not None and rejected > round(share * rows, 6)  # 29% of 100 rows are 29, not 28.999…

    def sentence(self, rejected: int, rows: int) -> str:
        """What is too many, in words."""
        return (
            f"{rejected:,} of {counted(rows, 'row')} {'is' if rejected == 1 else 'are'} rejected"
            f" ({percent(rejected, rows)}), and at most {self.written} may be (--max-rejected)"
        )


def percent(part: int, whole: int) -> str:
    """A share in words: "12%", "0.4%"; never 0% of something, nor 100% of less than all."""
    if not part or not whole:
        return "0%"
    share = 100 * part / whole
    if share < 0.1:
        return "less than 0.1%"
    if part < whole and share >= 99.95:
        return "more than 99.9%"
    return f"{share:.1f}%".replace(".0%", "%")


def commonest(kinds: Iterable[ProblemKind], files: Mapping[int, str]) -> list[dict[str, object]]:
    """The kinds of problems for programs, whole. `files`: number of a file → its name."""
    return [
        {
            "column": one.column,
            "reason": one.reason,
            "rows": one.rows,
            "examples": [
                {
                    "file": files.get(example.place.file),
                    "sheet": example.place.sheet,
                    "row": example.place.row,
                    "column": example.column,
                    "value": example.value,
                }
                for example in one.examples
            ],
        }
        for one in kinds
    ]
