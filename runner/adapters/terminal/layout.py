"""Lines that fit: folding at blanks, packing, and aligned columns. Works on plain text; widths are terminal cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.cells import cell_len

from runner.adapters.terminal.texts import clean, one_line

GAP = "  "
DETAIL_INDENT = "    "
LEAST_TEXT_WIDTH = 20
"""A wrapping column narrower than this is unreadable: its text goes below the line instead."""


def pad(text: str, width: int, *, right: bool = False) -> str:
    """The text filled up with blanks to `width` cells (wide signs take two)."""
    blanks = " " * max(0, width - cell_len(text))
    return blanks + text if right else text + blanks


def fold(text: str, width: int, *, first: str = "", then: str | None = None) -> list[str]:
    """The text in lines of at most `width` cells, broken at blanks only, so that paths, ids and commands can be copied.

    `first` stands before the first line, `then` before the others (default: as many blanks as `first` is wide). A word
    wider than the room stays whole.
    """
    then = " " * cell_len(first) if then is None else then
    lines, line, empty = [], first, True
    for word in clean(text).split():
        if not empty and cell_len(line) + 1 + cell_len(word) > width:
            lines.append(line)
            line, empty = then, True
        line += word if empty else f" {word}"
        empty = False
    return [*lines, line.rstrip()]


def pack(parts: Sequence[str], width: int, *, first: str = "", separator: str = ", ") -> list[str]:
    """Short parts in lines of at most `width` cells; a part is split only when it alone is wider than a line."""
    indent = " " * cell_len(first)
    lines: list[str] = []
    line = first
    empty = True
    for index, part in enumerate(parts):
        piece = one_line(part) + (separator.rstrip() if index < len(parts) - 1 else "")
        blank = "" if empty else separator[len(separator.rstrip()) :]
        if not empty and cell_len(line + blank + piece) > width:
            lines.append(line)
            line, empty, blank = indent, True, ""
        if empty and cell_len(line + piece) > width:
            *whole, line = fold(piece, width, first=line, then=indent)
            lines += whole
        else:
            line += blank + piece
        empty = False
    return [*lines, line]


class Column(NamedTuple):
    """One column of a table. `right`: numbers; `wraps`: long text, folded within its column."""

    key: str
    heading: str
    right: bool = False
    wraps: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tabulated:
    """A table as lines. `heading` is "" when there is nothing to head."""

    heading: str
    lines: tuple[str, ...]


def tabulate(
    rows: Sequence[Mapping[str, str]], columns: Sequence[Column], *, width: int | None, indent: str = ""
) -> Tabulated:
    """Aligned columns within `width` cells; None: one line a row however wide, for another program.

    Columns that are empty in every row are left out. What does not fit side by side is never cut: the last columns go
    below their row, each with its heading, indented.
    """
    cells = [{column.key: one_line(row.get(column.key, "")) for column in columns} for row in rows]
    shown = [column for column in columns if any(row[column.key] for row in cells)]
    if not shown:
        return Tabulated(heading="", lines=())
    widths = {
        column.key: max(cell_len(column.heading), *(cell_len(row[column.key]) for row in cells)) for column in shown
    }
    below: list[Column] = []
    if width is not None:
        least = {
            column.key: max(
                LEAST_TEXT_WIDTH,
                cell_len(column.heading),
                *(cell_len(word) for row in cells for word in row[column.key].split()),
            )
            for column in shown
            if column.wraps
        }
        shown, below, widths = _fit(shown, widths, least, width - cell_len(indent))
    lines: list[str] = []
    for row in cells:
        lines += _row_lines(row, shown, widths, indent)
        if width is not None:
            lines += _lines_below(row, below, width, indent + DETAIL_INDENT)
    heading = indent + GAP.join(pad(column.heading, widths[column.key], right=column.right) for column in shown)
    return Tabulated(heading=heading.rstrip(), lines=tuple(lines))


def _fit(
    columns: Sequence[Column], widths: Mapping[str, int], least: Mapping[str, int], room: int
) -> tuple[list[Column], list[Column], dict[str, int]]:
    """(columns side by side, columns below, widths). The widest wrapping column takes the room that is left, if that is
    at least `least`; otherwise it goes below, and after it the last of the others, until the rest fits.
    """
    shown, below, fitted = list(columns), list[Column](), dict(widths)
    while len(shown) > 1:
        total = sum(fitted[column.key] for column in shown) + len(GAP) * (len(shown) - 1)
        if total <= room:
            break
        widest = max((column for column in shown if column.wraps), key=lambda column: fitted[column.key], default=None)
        if widest is not None:
            left = room - (total - fitted[widest.key])
            if left >= least[widest.key]:
                fitted[widest.key] = left
                break
        moved = widest or shown[-1]
        shown.remove(moved)
        below.append(moved)
    return shown, sorted(below, key=list(columns).index), fitted


def _lines_below(row: Mapping[str, str], below: Sequence[Column], width: int, indent: str) -> list[str]:
    """The cells that stand below their row, with their headings: short ones side by side, long texts by themselves."""
    short = [f"{column.heading} {row[column.key]}" for column in below if row[column.key] and not column.wraps]
    lines = pack(short, width, first=indent) if short else []
    for column in below:
        if row[column.key] and column.wraps:
            lines += fold(row[column.key], width, first=f"{indent}{column.heading}: ", then=indent + DETAIL_INDENT)
    return lines


def _row_lines(row: Mapping[str, str], shown: Sequence[Column], widths: Mapping[str, int], indent: str) -> list[str]:
    """One row; a cell folded in its column makes further lines with the others blank."""
    folded = [
        fold(row[column.key], widths[column.key])
        if cell_len(row[column.key]) > widths[column.key]
        else [row[column.key]]
        for column in shown
    ]
    lines = []
    for depth in range(max(map(len, folded))):
        parts = [
            pad(cell[depth] if depth < len(cell) else "", widths[column.key], right=column.right)
            for column, cell in zip(shown, folded, strict=True)
        ]
        lines.append((indent + GAP.join(parts)).rstrip())
    return lines
