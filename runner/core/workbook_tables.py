"""What the sheets of a workbook hold: the rows of the CSV tables, made to be read in a spreadsheet and safe in one.

Columns and their order are those of `core.reporting`. Identifiers and codes stay text, so that no spreadsheet makes
9.19E+11 of them; our own figures are numbers; times are local and name their zone. What a cell of a workbook cannot
hold is taken out and counted, never dropped unsaid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from runner.core.refs import REF_COLUMN
from runner.core.reporting import SEE_COUPONS, Cell

MAX_LINES = 100_000
"""Rows that a sheet holds at most. Above as many lines the report holds summary, failures and in doubt only."""

CELL_LIMIT = 32_767
"""What a cell of a workbook can hold, counted in UTF-16 units as spreadsheets do."""

SEE_SHEET = "see Coupons"

Local = Callable[[float], datetime]
"""Seconds since the epoch → a local time that knows its zone."""

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What XML cannot hold. A lone surrogate could come from an API message only."""

_ESCAPE_LIKE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
"""`_x0041_` in a cell would be shown as "A"."""


class Look(StrEnum):
    """How a column is shown. `QUIET`: narrow and grey, for programs. `WIDE`: wrapped, for sentences."""

    TEXT = "text"
    NUMBER = "number"
    TIME = "time"
    STATUS = "status"
    WIDE = "wide"
    CODES = "codes"
    QUIET = "quiet"


_LOOKS = {
    look: frozenset(headings.split())
    for look, headings in {
        Look.NUMBER: "_row row rows _target _issued _issued_before _missing _in_doubt _revoked _attempts"
        " quantity known in_doubt",
        Look.TIME: "_first_sent _last_answer began ended time",
        Look.STATUS: "_status state",
        Look.WIDE: "_error_message _advice message",
        Look.CODES: "_codes _coupon_ids",
        Look.QUIET: f"{REF_COLUMN} _request_id",
    }.items()
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a sheet: its heading as it is written, whether it is the input's own, and how it is shown."""

    heading: str
    own: bool
    look: Look


def columns_of(header: Sequence[Cell], ours: int) -> tuple[Column, ...]:
    """The columns of a table. `ours`: how many at its end are this program's; those before are the input's own."""
    first = len(header) - ours
    return tuple(
        Column(str(heading), index < first, Look.TEXT if index < first else look_of(str(heading)))
        for index, heading in enumerate(header)
    )


def look_of(heading: str) -> Look:
    """How one of our own columns is shown."""
    return next((look for look, headings in _LOOKS.items() if heading in headings), Look.TEXT)


@dataclass(slots=True)
class Changes:
    """What cells of a workbook could not hold: cells with control characters taken out, and cells that were cut."""

    controls: int = 0
    cut: int = 0


class CellMaker:
    """Cells of CSV tables → cells of sheets. `whole`: which file holds a cut cell in full."""

    def __init__(self, changes: Changes, *, local: Local, whole: str) -> None:
        self._changes = changes
        self._whole = whole
        self._tell = lru_cache(maxsize=8192)(lambda text: tell_time(datetime.fromisoformat(text).timestamp(), local))

    def rows(self, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> Iterator[list[Cell | None]]:
        """The rows as a sheet holds them; None for an empty cell. Numbers stay numbers in columns of that look only."""
        numbers = [column.look is Look.NUMBER for column in columns]
        times = [index for index, column in enumerate(columns) if column.look is Look.TIME]
        codes = [index for index, column in enumerate(columns) if column.look is Look.CODES]
        for row in rows:
            made: list[Cell | None] = []
            for cell, number in zip(row, numbers, strict=True):
                if isinstance(cell, int):
                    made.append(cell if number else str(cell))
                elif not cell:
                    made.append(None)
                else:
                    made.append(self.text(cell) or None)
            for index in times:
                if row[index]:
                    made[index] = self._tell(row[index][:19] + "Z")  # type: ignore[index]  # times are text
            for index in codes:
                if row[index] == SEE_COUPONS:
                    made[index] = SEE_SHEET
            yield made

    def text(self, cell: str) -> str:
        """A text as a cell can hold it."""
        if len(cell) < CELL_LIMIT // 2 and cell.isprintable() and "_x" not in cell:
            # A status is a StrEnum; files want the plain text.
            return str(cell)
        clean = clean_text(cell)
        self._changes.controls += _FORBIDDEN.search(cell) is not None
        if _units(clean) <= CELL_LIMIT:
            return clean
        self._changes.cut += 1
        mark = f" … [cut here: {len(cell):,} characters; in full in {self._whole}]"
        kept = clean.encode("utf-16-le")[: 2 * (CELL_LIMIT - _units(mark))].decode("utf-16-le", "ignore")
        return kept + mark


def clean_text(text: str) -> str:
    """A text without what a workbook cannot hold; line breaks become those of a cell."""
    text = _FORBIDDEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _ESCAPE_LIKE.sub("_x005F_", text)


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def tell_time(seconds: float, local: Local) -> str:
    """A local time with its zone: "2026-11-23 08:45:00 IST"."""
    at = local(seconds)
    return f"{at:%Y-%m-%d %H:%M:%S} {short_zone(at)}"


def short_zone(at: datetime) -> str:
    """The zone in a word: its abbreviation where it has one, else its distance from UTC."""
    name = at.tzname() or ""
    return name if name.isascii() and name.isalpha() and len(name) <= 5 else _distance(at)


def name_zone(at: datetime) -> str:
    """The zone in full: "IST (UTC+05:30)"."""
    short, distance = short_zone(at), _distance(at)
    return short if short == distance or short == "UTC" else f"{short} ({distance})"


def _distance(at: datetime) -> str:
    minutes = round(at.utcoffset().total_seconds() / 60) if at.utcoffset() is not None else 0  # type: ignore[union-attr]
    if not minutes:
        return "UTC"
    return f"UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def sheet_widths(columns: Sequence[Column], rows: Sequence[Sequence[Cell | None]]) -> list[int]:
    """A width for each column, in characters, after the headings and the first rows."""
    widths = []
    for index, column in enumerate(columns):
        if column.look in _FIXED:
            widths.append(_FIXED[column.look])
            continue
        longest = max((len(str(row[index])) for row in rows if row[index] is not None), default=0)
        # The filter's button covers the end of a heading.
        widths.append(max(_NARROWEST, min(max(longest + 1, len(column.heading) + 3), _WIDEST)))
    return widths


_FIXED = {Look.WIDE: 46, Look.QUIET: 9, Look.CODES: 26}
_NARROWEST, _WIDEST = 7, 36
