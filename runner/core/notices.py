"""What is said of rows that are used all the same, or that are no rows of customers: counted, with the first ones.

Memory does not grow with the file: of each kind the number is kept, and where the first of them stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

SHOWN = 5
"""Rows that a sentence names."""


class About(StrEnum):
    """What a notice is about. In the order in which it is said."""

    NO_CUSTOMER = "no customer"
    WARNING = "warning"
    REPAIRED = "repaired"


class Notice(NamedTuple):
    """So many rows of which the same is to be said. `rows`: the first of them."""

    about: About
    column: str | None
    what: str
    count: int  # type: ignore[assignment]  # shadows tuple.count, which nobody calls on a notice
    rows: tuple[int, ...]

    def sentence(self) -> str:
        """For a person, without the name of the file."""
        listed = ", ".join(f"{row:,}" for row in self.rows)
        more = f" and {self.count - len(self.rows):,} more" if self.count > len(self.rows) else ""
        where = f"row{'' if self.count == 1 else 's'} {listed}{more}"
        if self.about is About.NO_CUSTOMER:
            return f"left out, since {'it is' if self.count == 1 else 'they are'} no customer: {where} ({self.what})"
        if self.about is About.REPAIRED:
            return f"repaired in {self.column!r}: {self.what}, in {where}"
        return f"used, but look at them in {self.column!r}: {self.what}, in {where}"


_ORDER: Mapping[About, int] = MappingProxyType({about: number for number, about in enumerate(About)})


@dataclass(slots=True)
class Notices:
    """Collects the notices of one table."""

    _found: dict[tuple[About, str | None, str], list[int]] = field(default_factory=dict)
    _counts: dict[tuple[About, str | None, str], int] = field(default_factory=dict)
    _latest: tuple[int, list[tuple[About, str | None, str]]] = field(default_factory=lambda: (0, []))

    def see(self, about: About, column: str | None, what: str, row: int) -> None:
        """One row."""
        key = (about, column, what)
        self._counts[key] = self._counts.get(key, 0) + 1
        rows = self._found.setdefault(key, [])
        if len(rows) < SHOWN:
            rows.append(row)
        if self._latest[0] != row:
            self._latest = (row, [])
        self._latest[1].append(key)

    def take_back(self, row: int) -> None:
        """What was said of this row, the latest, is not said after all: it turned out to be none of a customer."""
        if self._latest[0] != row:
            return
        for key in self._latest[1]:
            self._counts[key] -= 1
            if self._found[key][-1:] == [row]:
                self._found[key].pop()
            if not self._counts[key]:
                del self._counts[key], self._found[key]
        self._latest = (0, [])

    def all(self) -> tuple[Notice, ...]:
        """What is to be said, what was left out first."""
        made = (Notice(*key, self._counts[key], tuple(rows)) for key, rows in self._found.items())
        return tuple(sorted(made, key=lambda notice: _ORDER[notice.about]))
