"""What the columns of a table hold, summed up for the plan: how many cells, how different, what they look like.

Works on whole columns of a chunk, with pandas where cells have to be trimmed or left out: to import it takes as long as
to plan thirty thousand rows. Nothing of it is personal: counts, lengths and shapes such as "12 digits", never a cell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from runner.core.columns import Columns, Role

DISTINCT_BOUND = 50_000
"""Different cells that are counted exactly; from here on there are "at least" so many."""

_SAMPLED = 40
"""Cells of a chunk, spread evenly, whose shape is looked at."""

_SHAPES_SHOWN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnProfile:
    """One column that has a role. Lengths are characters of trimmed, filled cells (0 when all are blank).

    `distinct` is exact when `distinct_exact`, else a lower bound. `looks_like`: the commonest shapes of a sample.
    """

    role: Role
    heading: str
    filled: int
    blank: int
    distinct: int
    distinct_exact: bool
    shortest: int
    longest: int
    looks_like: str


@dataclass(slots=True)
class _Sums:
    filled: int = 0
    blank: int = 0
    seen: set[int] = field(default_factory=set)
    shortest: int = 0
    longest: int = 0
    shapes: Counter[str] = field(default_factory=Counter)


class Profiler:
    """Adds up chunks as they pass, in memory that does not grow with the table."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._sums = {role: _Sums() for role in columns.roles}

    def add(self, chunk: Sequence[tuple[int, Sequence[str]]]) -> None:
        """One chunk of `Table.rows()`. A cell that a ragged record lacks counts as blank."""
        width = len(self._columns.headers)
        records = [cells if len(cells) >= width else (*cells, *[""] * (width - len(cells))) for _, cells in chunk]
        for role, index in self._columns.roles.items():
            sums = self._sums[role]
            column = _filled([cells[index] for cells in records])
            sums.filled += len(column)
            sums.blank += len(records) - len(column)
            if not column:
                continue
            if len(sums.seen) < DISTINCT_BOUND:
                sums.seen.update(map(hash, set(column)))
            lengths = set(map(len, column))
            sums.shortest = min(sums.shortest, *lengths) if sums.longest else min(lengths)
            sums.longest = max(sums.longest, *lengths)
            for cell, many in Counter(column[:: max(1, len(column) // _SAMPLED)]).items():
                sums.shapes[shape_of(cell)] += many

    def profiles(self) -> tuple[ColumnProfile, ...]:
        """The columns with a role, in the order of the roles."""
        return tuple(
            ColumnProfile(
                role=role,
                heading=self._columns.headers[index],
                filled=sums.filled,
                blank=sums.blank,
                distinct=min(len(sums.seen), DISTINCT_BOUND),
                distinct_exact=len(sums.seen) < DISTINCT_BOUND,
                shortest=sums.shortest,
                longest=sums.longest,
                looks_like=", ".join(shape for shape, _ in sums.shapes.most_common(_SHAPES_SHOWN)),
            )
            for (role, index), sums in zip(self._columns.roles.items(), self._sums.values(), strict=True)
        )


def _filled(column: list[str]) -> Sequence[str]:
    """The cells that are not blank, trimmed: a column that is so already as it is, any other by pandas."""
    if "" not in column and list(map(str.strip, column)) == column:
        return column
    import pandas as pd

    trimmed = pd.Series(column, dtype=object).str.strip()
    found: list[str] = trimmed[trimmed != ""].tolist()
    return found


def profile(chunks: Iterable[Sequence[tuple[int, Sequence[str]]]], columns: Columns) -> tuple[ColumnProfile, ...]:
    """The profile of a whole table.."""
    profiler = Profiler(columns)
    for chunk in chunks:
        profiler.add(chunk)
    return profiler.profiles()


def shape_of(cell: str) -> str:
    """What a trimmed cell looks like, in words that give nothing of it away."""
    digits = sum(sign.isdecimal() for sign in cell)
    if digits == len(cell):
        return f"{digits} digit" + "s" * (digits != 1)
    if "@" in cell:
        return "an address with @"
    if digits and digits == sum(sign.isalnum() for sign in cell):
        return f"{digits} digits with signs between"
    return "letters and digits" if digits else "text without digits"
