"""Which sheet of a workbook holds the customers, and which one lists series: told, the only one that can, or asked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from runner.core.columns import IDENTIFIERS, role_of
from runner.core.keys import scope_key
from runner.core.refs import REF_COLUMN
from runner.core.trimming import trim

SERIES_SHEET = "series"
"""The name of a sheet beside the customers that lists the series."""


class SheetSeen(NamedTuple):
    """A sheet before it is read. `headers`: its headings, () when it is blank. `rows`: there are some below.

    `name` is "" for a text file, which has one. `top`: its first filled rows with their numbers, headings included.
    """

    name: str
    hidden: bool
    headers: tuple[str, ...]
    rows: bool
    top: tuple[tuple[int, tuple[str, ...]], ...] = ()


class SheetChosen(NamedTuple):
    """The sheet to read, by its number from 0, and a sentence that says why ("" when there was no choice)."""

    number: int
    why: str


class SheetUnclear(NamedTuple):
    """Several sheets could be meant: their names, and what to say about it."""

    names: tuple[str, ...]
    message: str


def names_customers(headers: Sequence[str], told: Collection[str] = ()) -> bool:
    """Whether a heading names a customer by itself, by what was told (`--map`), or because we wrote the file."""
    wanted = {trim(heading) for heading in told}
    return any(role_of(heading) in IDENTIFIERS or trim(heading) in wanted | {REF_COLUMN} for heading in headers)


def is_series_sheet(seen: SheetSeen, told: Collection[str] = ()) -> bool:
    """Whether a sheet is the list of series beside the customers: by its name, and because it names no customer."""
    return scope_key(seen.name) == SERIES_SHEET and not names_customers(seen.headers, told)


def hidden_customers(seen: Sequence[SheetSeen], told: Collection[str] = ()) -> tuple[str, ...]:
    """The hidden sheets that could be meant, so that somebody has to say whether they are: customers, or series."""
    return tuple(
        one.name
        for one in seen
        if one.hidden and one.rows and (names_customers(one.headers, told) or is_series_sheet(one, told))
    )


def find_sheet(
    seen: Sequence[SheetSeen], *, wanted: str | None, told: Collection[str] = (), hidden_too: bool = False
) -> SheetChosen | SheetUnclear:
    """The sheet with the customers. `wanted`: `--sheet`. `told`: the headings that `--map` names."""
    if wanted is not None:
        return _named(seen, wanted)
    able = [index for index, one in enumerate(seen) if hidden_too or not one.hidden]
    candidates = [index for index in able if seen[index].rows and not is_series_sheet(seen[index], told)]
    if not candidates:
        with_header = [index for index in able if seen[index].headers and not is_series_sheet(seen[index], told)]
        return SheetChosen((with_header or able or [0])[0], "")
    if len(candidates) == 1:
        only = candidates[0]
        others = [index for index in able if index != only and not is_series_sheet(seen[index], told)]
        return SheetChosen(only, f"the sheet {seen[only].name!r}, the only one with rows" if others else "")
    naming = [index for index in candidates if names_customers(seen[index].headers, told)]
    if len(naming) == 1:
        only = naming[0]
        heading = next(trim(heading) for heading in seen[only].headers if names_customers((heading,), told))
        return SheetChosen(
            only, f"the sheet {seen[only].name!r}, the only one whose columns name customers ({heading!r})"
        )
    names = tuple(seen[index].name for index in naming or candidates)
    what = f"{len(names)} of its sheets name customers" if naming else f"{len(names)} of its sheets hold rows"
    return SheetUnclear(names, f"{what}: {_listed(names)}")


def _named(seen: Sequence[SheetSeen], wanted: str) -> SheetChosen | SheetUnclear:
    exact = [index for index, one in enumerate(seen) if one.name == wanted]
    fits = exact or [index for index, one in enumerate(seen) if scope_key(one.name) == scope_key(wanted)]
    if len(fits) == 1:
        return SheetChosen(fits[0], "")
    names = tuple(one.name for one in seen)
    return SheetUnclear(names, f"it has no sheet {wanted!r}, but {_listed(names)}")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown
