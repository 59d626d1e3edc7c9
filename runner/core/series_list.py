"""The list of series that comes with the customers: ids and names, counts, limits and values, read strictly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

from runner.core.columns import SYNONYMS, Role, squeeze
from runner.core.keys import scope_key
from runner.core.series_cells import read_count, read_series
from runner.core.sheet_cells import HAS_DECIMALS, doubt_of
from runner.core.trimming import trim

MAX_TOTAL = 1_000_000_000

HEADINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "series_id": (*SYNONYMS[Role.SERIES], "id"),
        "name": (
            *("name", "names", "series name", "coupon name", "coupon series name", "title", "description"),
            *("series description", "coupon"),
        ),
        "count": SYNONYMS[Role.COUNT],
        "max_total": (
            *("max total", "maximum total", "max", "maximum", "max coupons", "limit", "total limit", "cap", "budget"),
            *("max issued", "total"),
        ),
        "value": ("value", "face value", "coupon value", "amount", "worth"),
    }
)
"""The columns of a list of series, and the headings that mean them."""

_ROLES = {squeeze(word): role for role, words in HEADINGS.items() for word in words}
_TOTAL = re.compile(r"(\d{1,12})(?:\.0+)?")
_VALUE = re.compile(r"\d{1,12}(?:\.\d{1,6})?")
_PARTS = re.compile(r"[;\n\r]+")


class ListedSeries(NamedTuple):
    """One series of the list. None where its cell is blank."""

    id: int
    name: str
    count: int | None  # type: ignore[assignment]  # shadows tuple.count, which nobody calls on it
    max_total: int | None
    value: Decimal | None
    row: int


@dataclass(frozen=True, slots=True)
class SeriesList:
    """The series of a list, in its order."""

    entries: tuple[ListedSeries, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """All ids, in the list's order."""
        return tuple(entry.id for entry in self.entries)

    @property
    def counts(self) -> dict[int, int]:
        """Coupons for each customer, of the series that say so."""
        return {entry.id: entry.count for entry in self.entries if entry.count is not None}

    @property
    def limits(self) -> dict[int, int]:
        """The most coupons of a series in the campaign, of the series that say so."""
        return {entry.id: entry.max_total for entry in self.entries if entry.max_total is not None}

    @property
    def values(self) -> dict[int, Decimal]:
        """What one coupon is worth, of the series that say so."""
        return {entry.id: entry.value for entry in self.entries if entry.value is not None}

    def named(self) -> dict[str, tuple[int, ...]]:
        """The ids that a name means, by the form in which names compare."""
        names: dict[str, tuple[int, ...]] = {}
        for entry in self.entries:
            if entry.name:
                key = scope_key(entry.name)
                names[key] = (*names.get(key, ()), entry.id)
        return names


def names_of_record(record: Mapping[str, Any] | None) -> dict[int, str]:
    """The names of series by id, out of a list of series as a run remembers it."""
    return {int(entry[0]): str(entry[1]) for entry in (record or {}).get("entries", ()) if entry[1]}


class SeriesNames:
    """Reads the series cells of customers by a list: ids and names, of that list only."""

    def __init__(self, listed: SeriesList) -> None:
        self._names = listed.named()
        self._ids = frozenset(listed.ids)

    def read(self, text: str) -> tuple[int, ...] | str:
        """The series of a cell, or a sentence. Several names are separated by semicolons or commas.

        A name may hold blanks, and commas where it stands alone or between semicolons.
        """
        whole = self._by_name(text)
        if whole is not None:
            return whole if isinstance(whole, str) else (whole,)
        if not any(sign.isalpha() for sign in text):
            return self._listed(read_series(text))
        found: list[int] = []
        for part in filter(trim, _PARTS.split(text)):
            single = self._by_name(part)
            if isinstance(single, str):
                return single
            series = (single,) if single is not None else self._between_commas(part)
            if isinstance(series, str):
                return series
            found += series
        return self._listed(_once(found))

    def _between_commas(self, part: str) -> tuple[int, ...] | str:
        found: list[int] = []
        for piece in filter(trim, part.split(",")):
            single = self._by_name(piece)
            if isinstance(single, str):
                return single
            if single is None:
                if any(sign.isalpha() for sign in piece):
                    return (
                        f"'{trim(piece)}' is the name of no series in the list. Write a name or an id as the list has "
                        "it; several are separated by semicolons."
                    )
                series = read_series(piece)
                if isinstance(series, str):
                    return series
                found += series
            else:
                found.append(single)
        return tuple(found)

    def _by_name(self, text: str) -> int | str | None:
        ids = self._names.get(scope_key(trim(text)))
        if ids is None:
            return None
        if len(ids) > 1:
            return f"The name '{trim(text)}' means {len(ids)} series ({', '.join(map(str, ids))}). Write the id."
        return ids[0]

    def _listed(self, series: tuple[int, ...] | str) -> tuple[int, ...] | str:
        if isinstance(series, str):
            return series
        for number in series:
            if number not in self._ids:
                return f"Series {number} is not in the list of series. Correct the cell, or add it to the list."
        return series


def _once(series: Sequence[int]) -> tuple[int, ...] | str:
    for index, number in enumerate(series):
        if number in series[:index]:
            return f"Series {number} stands twice in this cell. Name it once, and use the count for more coupons."
    return tuple(series) if series else "This cell names no series. Write the series id, for example 415446."


def is_series_heading(heading: str) -> bool:
    """Whether a heading of a list of series means the id."""
    return _ROLES.get(squeeze(heading)) == "series_id"


def read_series_list(headers: Sequence[str], records: Iterable[tuple[int, Sequence[str]]]) -> SeriesList | list[str]:
    """The list, or every reason why it cannot be used, each with its row, column and cell.

    `records`: number and cells. A list is used as a whole or not at all: a series that were left out would be one that
    customers do not get.
    """
    columns, problems = _columns(headers)
    entries: list[ListedSeries] = []
    if problems:
        return problems
    for row, cells in records:
        if len(cells) != len(headers):
            problems.append(f"row {row}: it has {len(cells)} cells, but the header has {len(headers)}.")
            continue
        entry = _entry(row, columns, headers, cells, problems)
        if entry is not None:
            entries.append(entry)
    problems += _clashes(entries)
    if not entries and not problems:
        problems.append("it has no row below its header.")
    return problems or SeriesList(tuple(entries))


def _columns(headers: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    columns: dict[str, int] = {}
    problems: list[str] = []
    for index, heading in enumerate(headers):
        role = _ROLES.get(squeeze(heading))
        if role is not None and columns.setdefault(role, index) != index:
            problems.append(
                f"more than one column could be {role}: '{trim(headers[columns[role]])}' (column {columns[role] + 1}) "
                f"and '{trim(heading)}' (column {index + 1}). Rename the one that is not meant."
            )
    if "series_id" not in columns:
        shown = ", ".join(f"'{trim(heading)}'" for heading in headers if trim(heading)) or "all blank"
        problems.append(f"no column names the series. Call it series_id; the headings are {shown}.")
    return columns, problems


def _entry(
    row: int, columns: Mapping[str, int], headers: Sequence[str], cells: Sequence[str], problems: list[str]
) -> ListedSeries | None:
    before = len(problems)

    def tell(role: str, message: str) -> None:
        index = columns[role]
        problems.append(f"row {row}, column '{trim(headers[index])}', {cells[index]!s:.80}: {message}")

    def cell(role: str) -> str:
        text = cells[columns[role]] if role in columns else ""
        doubt = doubt_of(text, series=role == "series_id")
        if doubt is not None and not (role == "value" and doubt == HAS_DECIMALS) and role != "name":
            tell(role, doubt)
            return ""
        return trim(text)

    def whole(role: str, least: str) -> int | None:
        text = cell(role)
        if not text:
            return None
        found = _TOTAL.fullmatch(text.removeprefix("'"))
        if found is None or not 1 <= int(found[1]) <= MAX_TOTAL:
            tell(role, least)
            return None
        return int(found[1])

    series = 0
    if text := cell("series_id"):
        read = read_series(text)
        if isinstance(read, str):
            tell("series_id", read)
        elif len(read) > 1:
            tell("series_id", "a row of the list is one series. Give each its own row.")
        else:
            series = read[0]
    elif len(problems) == before:
        tell("series_id", "this row names no series. Write its id, or delete the row.")
    count: int | None = None
    if text := cell("count"):
        found = read_count(text)
        if isinstance(found, str):
            tell("count", found)
        else:
            count = found
    total = whole("max_total", f"write a whole number from 1 to {MAX_TOTAL:,}, or leave the cell empty for no limit.")
    value: Decimal | None = None
    if text := cell("value"):
        if _VALUE.fullmatch(text):
            value = Decimal(text)
        else:
            tell("value", "write what one coupon is worth as a plain number such as 250 or 99.50, or leave it empty.")
    name = cell("name")
    if name.isdecimal() and series and int(name) != series:
        tell("name", "a name made of digits would be taken for an id. Put a word into it.")
    return ListedSeries(series, name, count, total, value, row) if len(problems) == before else None


def _clashes(entries: Sequence[ListedSeries]) -> list[str]:
    first: dict[int, int] = {}
    problems = []
    for entry in entries:
        earlier = first.setdefault(entry.id, entry.row)
        if earlier != entry.row:
            problems.append(f"series {entry.id} stands in row {earlier} and in row {entry.row}. Keep one of them.")
    return problems
