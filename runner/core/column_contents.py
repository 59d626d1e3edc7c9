"""Whether columns hold what their headings say: swapped ones are refused with the candidates, before a row is read.

Judged by whole columns of the first rows; a single odd cell is the business of its row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from runner.core.columns import Columns, Role
from runner.core.trimming import trim

_LEAST_CELLS = 3
_MOSTLY = 0.8
_LARGE_COUNT = 10_000
_LONG_SERIES = 11


def _digits(cell: str) -> int:
    return sum(sign.isdecimal() for sign in cell)


def _like_mobile(cell: str) -> bool:
    return 7 <= _digits(cell) <= 15 and not any(sign.isalpha() or sign == "@" for sign in cell)


def _like_email(cell: str) -> bool:
    return "@" in cell


_FITS: Mapping[Role, Callable[[str], bool]] = MappingProxyType({Role.MOBILE: _like_mobile, Role.EMAIL: _like_email})


def _wrong(role: Role, cell: str) -> str | None:
    """What a cell of a column of that role surely is instead."""
    if role is Role.EMAIL:
        return None if _like_email(cell) else "no addresses with @"
    if _like_email(cell):
        return "addresses with @" if role is not Role.EXTERNAL_ID else None
    if role in (Role.SERIES, Role.COUNT) and cell.isdecimal() and len(cell) >= _LONG_SERIES:
        return "numbers as long as mobiles"
    return None


def contents_problem(columns: Columns, records: Sequence[Sequence[str]]) -> list[str]:
    """A sentence for each column that does not hold what it is taken for. `records`: the cells of the first rows."""
    held = {
        index: [text for cells in records if index < len(cells) and (text := trim(cells[index]))]
        for index in columns.originals
    }
    problems = []
    for role, index in columns.roles.items():
        cells = held.get(index, [])
        wrong = [what for cell in cells if (what := _wrong(role, cell)) is not None]
        if len(cells) < _LEAST_CELLS or len(wrong) < _MOSTLY * len(cells):
            continue
        problems.append(_sentence(role, index, wrong[0], len(wrong), len(cells), columns, held))
    if not problems and (swapped := _swapped_counts(columns, held)) is not None:
        problems.append(swapped)
    return problems


def _sentence(
    role: Role, index: int, what: str, wrong: int, cells: int, columns: Columns, held: Mapping[int, Sequence[str]]
) -> str:
    heading = trim(columns.headers[index])
    fits = _FITS.get(role)
    candidates = [
        trim(columns.headers[other])
        for other, texts in held.items()
        if fits is not None and other != index and texts and sum(map(fits, texts)) >= _MOSTLY * len(texts)
    ]
    said = f"The column {heading!r} is taken for the {role}, but holds {what} ({wrong:,} of {cells:,} cells looked at)."
    if not candidates:
        return f'{said} Say which column it is with --map {role}="Heading", or rename the heading {heading!r}.'
    named = " or ".join(map(repr, candidates))
    return f'{said} It could be {named}: say which with --map {role}="{candidates[0]}", or correct the headings.'


def _swapped_counts(columns: Columns, held: Mapping[int, Sequence[str]]) -> str | None:
    """Ids of series under the count, and counts under the series: every customer would get hundreds of thousands."""
    if Role.SERIES not in columns.roles or Role.COUNT not in columns.roles:
        return None
    series, counts = (held.get(columns.roles[role], []) for role in (Role.SERIES, Role.COUNT))
    if min(len(series), len(counts)) < _LEAST_CELLS:
        return None
    large = sum(cell.isdecimal() and int(cell[:18]) >= _LARGE_COUNT for cell in counts)
    small = sum(cell.isdecimal() and len(cell) <= 3 for cell in series)
    if large < _MOSTLY * len(counts) or small < _MOSTLY * len(series):
        return None
    names = {role: trim(columns.headers[columns.roles[role]]) for role in (Role.SERIES, Role.COUNT)}
    return (
        f"The columns {names[Role.SERIES]!r} and {names[Role.COUNT]!r} seem to be swapped: the counts look like ids of "
        f'series. Correct the headings, or say --map series_id="{names[Role.COUNT]}" --map '
        f'count="{names[Role.SERIES]}".'
    )
