"""One look through a sheet's XML: which rows there are and, of ordinary ones, of which kinds their cells are.

Rows that are written alike but for their digits and texts have the same *shape*, found by deleting both from whole
blocks at once: a list of a million rows has a handful. What their cells hold comes from calamine then, and is believed
only where it is of the kinds that the shape says (`Shape.texts`). Whatever is written otherwise the parser reads.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from runner.adapters.workbook_rows import ROW, TEXT, RowBlocks, RowCollector, column_of
from runner.adapters.workbook_xml import Package, RawRow, SheetLayout
from runner.core.number_formats import is_date_format
from runner.core.sheet_cells import EXACT, RawCell, cell_text, shows_digits

CAREFUL_KEPT = 50_000
"""Cells of rows that are not ordinary which are kept from the look; with more, the sheet is read a second time."""

_MOST_SHAPES = 60_000
_BLANK = -1
"""The shape of a row that holds nothing."""

_DIGITS = b"0123456789"
_LETTERS = bytes.maketrans(_DIGITS, b"abcdefghij")
_FIGURES = bytes.maketrans(b"abcdefghij", _DIGITS)
_STYLE = re.compile(rb' s="(\d{1,9})"')
_TEXT = re.compile(rb'<t(?: xml:space="preserve")?>[^<&]*</t>')
_TEXT_WITH_ENTITIES = re.compile(f'<t(?: xml:space="preserve")?>{TEXT}</t>'.encode())
_UNTOLD = (b' ht="0', b'<row r=""', b"<v></v>")
"""What would read as something else without its digits, or as something with them: no height, no number, no value."""

_INLINE = b"<is><t/></is>"
_TEXTS = frozenset({b"s", b"inlineStr"})
_KINDS = _TEXTS | {b"", b"n"}

_ORDINARY = re.compile(
    rb'r=""'
    rb'(?: (?:spans|s|customFormat|customHeight|xac:dyDescent|outlineLevel|collapsed)="[\w:. -]*"'
    rb'| ht="\.?"| hidden="false")*+'
    rb'(?:/>|>((?:<c r="[A-Z]{1,3}"(?: s="[a-j]*")?(?: t="[a-zA-Z]+")?(?:/>|>(?:<v></v>|<is><t/></is>)?</c>))*+)</row>)'
    rb"\s*"
)
"""What is left, without digits and texts, of a row that is not hidden, of whole numbers and texts, without formulas."""

_CELL = re.compile(rb'<c r="([A-Z]+)"(?: s="([a-j]*)")?(?: t="([a-zA-Z]+)")?(?:/>|>(<v></v>|<is><t/></is>)?</c>)')

Value = int | float | str | bool | datetime | date | time | timedelta
"""What calamine makes of a cell."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The kinds of a row's filled cells, in their order: column from 0, and style of a number (None: a text)."""

    cells: tuple[tuple[int, int | None], ...]

    def texts(
        self, rows: Sequence[Sequence[Value]], columns: range, shift: int, formats: Sequence[str]
    ) -> list[list[str]] | None:
        """What a person sees in rows of this shape; None where calamine found something of another kind in any.

        Args:
            rows: calamine's values of each, from column `shift` on.
            columns: those that are wanted, from 0.
            formats: number format of each style.
        """
        found: list[Sequence[str]] = [[""] * len(rows)] * len(columns)
        values = dict(enumerate(zip(*rows, strict=False), start=shift))
        for column, style in self.cells:
            if column not in values:
                return None
            read = values[column]
            seen: Sequence[str] | None
            if style is None:
                seen = [value for value in read if type(value) is str]
                seen = seen if len(seen) == len(rows) else None
            else:
                seen = _numbers(read, style, formats[style] if style < len(formats) else "General")
            if seen is None:
                return None
            found[column - columns.start] = seen
        return list(map(list, zip(*found, strict=True)))


def _numbers(read: Sequence[Value], style: int, code: str) -> list[str] | None:
    """Whole numbers of one column as a person sees them; None where one is none, or is beyond what is exact."""
    if shows_digits(code):
        exact = [value for value in read if type(value) is float and 0 <= value < EXACT]
        return list(map(str, map(int, exact))) if len(exact) == len(read) else None
    dated = is_date_format(code)
    seen = []
    for value in read:
        if type(value) is float and 0 <= value < EXACT:
            seen.append(cell_text(RawCell(0, "n", style, str(int(value)), None), code, str(value)))
        elif dated and isinstance(value, datetime | date | time | timedelta):
            seen.append(cell_text(RawCell(0, "n", style, "1", None), code, text_of(value)))
        else:
            return None
    return seen


def text_of(value: Value) -> str:
    """A value of calamine's as text."""
    if isinstance(value, str):
        return value
    return value.isoformat(sep=" ") if isinstance(value, datetime) else str(value)


@dataclass(slots=True)
class SheetScan:
    """What a look found. Rows that hold nothing are left out.

    `first`, `last`: rows; `left`, `right`: columns from 0; -1 where nothing is filled. `hidden`: rows. `careful`: the
    rows that are not ordinary by their number, None when there were too many to be kept.
    """

    layout: SheetLayout = field(default_factory=SheetLayout)
    first: int = -1
    last: int = -1
    left: int = -1
    right: int = -1
    hidden: list[int] = field(default_factory=list)
    careful: dict[int, RawRow] | None = field(default_factory=dict)
    shapes: list[Shape] = field(default_factory=list)
    rows: array[int] = field(default_factory=lambda: array("I"))
    _shape_of: array[int] = field(default_factory=lambda: array("H"))
    _odd: list[int] = field(default_factory=list)
    _kept: int = 0

    def runs(self, most: int) -> Iterator[RawRow | tuple[Sequence[int], Sequence[int]]]:
        """All rows in order: ordinary ones together, at most `most`, as their numbers and the places of their shapes.

        Only when `careful` is not None.
        """
        assert self.careful is not None  # noqa: S101 - see above
        at, end = 0, len(self.rows)
        for odd in (*self._odd, end):
            while at < odd:
                upto = min(odd, at + most)
                yield self.rows[at:upto], self._shape_of[at:upto]
                at = upto
            if odd < end:
                yield self.careful[self.rows[odd]]
                at = odd + 1

    def texts(
        self,
        places: Sequence[int],
        rows: Sequence[Sequence[Value]],
        columns: range,
        shift: int,
        formats: Sequence[str],
    ) -> Sequence[list[str]] | None:
        """As `Shape.texts`, for ordinary rows of any shapes. `places`: of the shape of each."""
        different = set(places)
        if len(different) == 1:
            return self.shapes[places[0]].texts(rows, columns, shift, formats)
        found: list[list[str]] = [[]] * len(rows)
        for place in different:
            own = [index for index, other in enumerate(places) if other == place]
            texts = self.shapes[place].texts([rows[index] for index in own], columns, shift, formats)
            if texts is None:
                return None
            for index, cells in zip(own, texts, strict=True):
                found[index] = cells
        return found

    def add_ordinary(self, numbers: Sequence[int], shapes: Sequence[int]) -> None:
        """Ordinary rows that hold something, in order."""
        self.rows.extend(numbers)
        self._shape_of.extend(shapes)
        self._extend(numbers[0], numbers[-1])
        for shape in set(shapes):
            cells = self.shapes[shape].cells
            self._widen(cells[0][0], cells[-1][0])

    def add_careful(self, row: RawRow) -> None:
        """A row that the parser read."""
        self._odd.append(len(self.rows))
        self.rows.append(row.number)
        self._shape_of.append(0)
        self._extend(row.number, row.number)
        self._widen(row.cells[0].column, row.cells[-1].column)
        if row.hidden:
            self.hidden.append(row.number)
        self._kept += len(row.cells)
        if self._kept > CAREFUL_KEPT:
            self.careful = None
        if self.careful is not None:
            self.careful[row.number] = row

    def _extend(self, first: int, last: int) -> None:
        self.first = first if self.first < 0 else self.first
        self.last = last

    def _widen(self, left: int, right: int) -> None:
        self.left = left if self.left < 0 else min(self.left, left)
        self.right = max(self.right, right)


def scan(package: Package, part: str, most_rows: int) -> SheetScan:
    """Look through a sheet once. It ends early when there are more than `most_rows` rows.

    Raises:
        InputRefused: its XML is damaged.
    """
    found = SheetScan()
    look = _Look(found, package)
    for _ in package.feed(part, look.parse):
        if len(found.rows) > most_rows:
            break
    return found


class _Look:
    """Blocks of XML in, rows into a `SheetScan` out."""

    def __init__(self, found: SheetScan, package: Package) -> None:
        self._found = found
        self._collector = RowCollector(package, found.layout)
        self._parser = self._collector.parser()
        self._blocks = RowBlocks()
        self._known: dict[bytes, int] = {}

    def parse(self, block: bytes, final: bool) -> None:
        """Take the next block in."""
        block = self._blocks.whole(block, final)
        rows = [] if self._collector.may_hide() or not self._blocks.plain else block.split(ROW)
        shapes = self._shapes(block) if len(rows) > 1 and _may_be_ordinary(block) else []
        if len(shapes) != len(rows) or not rows:
            self._read_carefully(block)
        else:
            self._read_carefully(rows[0])
            at, end = 1, len(rows)
            while at < end:
                upto = at
                while upto < end and shapes[upto] is not None:
                    upto += 1
                self._add(rows[at:upto], shapes[at:upto])
                if upto < end:
                    self._read_carefully(ROW + rows[upto])
                at = upto + 1
        if final:
            self._parser.Parse(b"", True)

    def _read_carefully(self, xml: bytes) -> None:
        self._parser.Parse(xml, False)
        rows, self._collector.done = self._collector.done, []
        for row in rows:
            self._found.add_careful(row)

    def _add(self, rows: Sequence[bytes], shapes: Sequence[int | None]) -> None:
        """Ordinary rows that follow each other; those that hold nothing are left out."""
        numbers = [int(row[3 : row.index(b'"', 3)]) for row in rows]
        if _BLANK in shapes:
            numbers = [number for number, shape in zip(numbers, shapes, strict=True) if shape != _BLANK]
            shapes = [shape for shape in shapes if shape != _BLANK]
        if numbers:
            self._collector.pass_over(numbers)
            self._found.add_ordinary(numbers, shapes)  # type: ignore[arg-type]  # none is None here

    def _shapes(self, block: bytes) -> list[int | None]:
        """The shapes of a block's rows, as places in `SheetScan.shapes`; None for those that are not ordinary."""
        left = (_TEXT_WITH_ENTITIES if b"&" in block else _TEXT).sub(b"<t/>", block)
        for style in set(_STYLE.findall(left)):
            left = left.replace(b' s="%b"' % style, b' s="%b"' % style.translate(_LETTERS))
        marks = left.translate(None, _DIGITS).split(ROW)
        for mark in set(marks).difference(self._known):
            if (shape := self._shape_of(mark)) is not None:
                self._known[mark] = shape
        return list(map(self._known.get, marks))

    def _shape_of(self, mark: bytes) -> int | None:
        found = _ORDINARY.fullmatch(mark)
        if found is None or len(self._known) >= _MOST_SHAPES:
            return None
        cells: list[tuple[int, int | None]] = []
        for letters, style, kind, value in _CELL.findall(found[1] or b""):
            if not value:
                continue
            if kind not in _KINDS or (value == _INLINE) != (kind == b"inlineStr"):
                return None
            text = kind in _TEXTS
            cells.append((column_of(letters.decode()), None if text else int(style.translate(_FIGURES) or 0)))
        columns = [column for column, _ in cells]
        if columns != sorted(set(columns)):
            return None
        if not cells:
            return _BLANK
        self._found.shapes.append(Shape(tuple(cells)))
        return len(self._found.shapes) - 1


def _may_be_ordinary(block: bytes) -> bool:
    """Whether nothing in it would be lost with its digits."""
    if any(text in block for text in _UNTOLD):
        return False
    try:
        block.decode()
    except UnicodeDecodeError:
        return False  # the parser says where
    return True
