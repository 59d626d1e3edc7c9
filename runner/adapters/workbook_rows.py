"""The rows of an Excel sheet's XML: row by row what is hidden, and how each cell is written.

Most rows are read by patterns, what is written otherwise by the parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from xml.parsers import expat

from runner.adapters.workbook_xml import Package, RawRow, SheetLayout, local_name, new_parser, number_of
from runner.core.sheet_cells import RawCell

ROW = b"<row "
"""How a row begins in a sheet's XML."""
_LONGEST_ROW = 4 * 1024 * 1024
TEXT = r"(?:[^<&]|&(?:amp|lt|gt|quot|apos|#\d+|#x[0-9a-fA-F]+);)*+"
"""Character data of well-formed XML, with entities."""

_PLAIN_CELL = (
    r'<c r="[A-Z]{1,3}\d+"(?: s="\d+")?(?: t="[a-zA-Z]+")?'
    r'(?:/>|>(?:<v>[^<&]*+</v>|<v/>|<is><t(?: xml:space="preserve")?>' + TEXT + "</t></is>)?</c>)"
)
_PLAIN_ROW = re.compile(
    (
        r'<row r="(\d{1,8})"'
        r'(?: (?:spans|s|customFormat|customHeight|x14ac:dyDescent|outlineLevel|collapsed)="[\w:. -]*"'
        r'|(?: ht="[1-9][\d.]*")|(?: hidden="(?:0|false)"))*+'
        r"(?:/>|>((?:" + _PLAIN_CELL + r")*+)</row>)"
    ).encode()
)
"""A row that is not hidden, with numbers, shared and inline texts, and without formulas."""

_CELL = re.compile(
    r'<c r="([A-Z]+)\d+"(?: s="(\d+)")?(?: t="([a-zA-Z]+)")?>(?:<v>([^<&]+)</v>|(<is>)<t[^>]*>'
    + TEXT
    + "</t></is>)</c>"
)


class ExcelBook(Package):
    """A workbook as Excel writes it: .xlsx or .xlsm."""

    def rows(self, part: str, layout: SheetLayout) -> Iterator[RawRow]:
        """The rows of a sheet that hold something or are hidden, in their order."""
        collector = RowCollector(self, layout)
        for _ in self.feed(part, _ShortWay(collector).parse):
            if collector.done:
                rows, collector.done = collector.done, []
                yield from rows


class RowBlocks:
    """Blocks of a sheet's XML, cut anew so that each ends before a row begins.

    `plain`: what was seen so far is UTF-8, without comments and the like, which could hold rows that are none.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False
        self.plain = True

    def whole(self, block: bytes, final: bool) -> bytes:
        """What has come so far and was not given yet, up to the last row that begins in it, or (`final`) all of it."""
        block = self._rest + block
        end = len(block) if final else block.rfind(ROW)
        if end < 0 or len(block) - end > _LONGEST_ROW:
            end = len(block)
        self._rest, block = block[end:], block[:end]
        if not self._begun and block:
            self._begun, head = True, block[:200].lower()
            self.plain = b"encoding=" not in head or b"utf-8" in head
        self.plain = self.plain and b"<!" not in block
        return block


class _ShortWay:
    """Rows as nearly every program writes them, read by patterns; the parser gets what is written otherwise.

    What a pattern matches is well formed by itself, so that the rest is so when the whole is. Blank rows with formats,
    from columns that were formatted to their end, are left out.
    """

    def __init__(self, collector: RowCollector) -> None:
        self._collector = collector
        self._parser = collector.parser()
        self._blocks = RowBlocks()

    def parse(self, block: bytes, final: bool) -> None:
        """Take the next block in."""
        block = self._blocks.whole(block, final)
        if not self._blocks.plain or self._collector.may_hide():
            self._parser.Parse(block, final)
            return
        at = 0
        for found in _PLAIN_ROW.finditer(block):
            if found.start() > at:
                self._parser.Parse(block[at : found.start()], False)
            at = found.end()
            if found[2] and b"</c>" in found[2]:
                try:
                    cells = found[2].decode()
                    self._collector.add(int(found[1]), _CELL.findall(cells))
                except UnicodeDecodeError:
                    self._parser.Parse(found[0], False)  # which says where
        self._parser.Parse(block[at:], final)


class _ColumnNumbers(dict[str, int]):
    """Letters of a column → its number from 0, worked out once."""

    def __missing__(self, letters: str) -> int:
        self[letters] = column = column_of(letters)
        return column


class RowCollector:
    """expat's calls for one sheet, made into rows."""

    def __init__(self, package: Package, layout: SheetLayout) -> None:
        self._package = package
        self._layout = layout
        self._names: dict[str, str] = {}
        self._columns = _ColumnNumbers()
        self.done: list[RawRow] = []
        self._number = 0
        self._hidden = False
        self._cells: list[RawCell] = []
        self._column = -1
        self._type = "n"
        self._style = 0
        self._value: str | None = None
        self._formula: str | None = None
        self._into: str | None = None

    def parser(self) -> expat.XMLParserType:
        """A parser that calls this collector."""
        parser = new_parser(self._package)
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.text
        return parser

    def start(self, name: str, attributes: dict[str, str]) -> None:
        element = self._names.get(name) or self._names.setdefault(name, local_name(name))
        if element == "c":
            before = self._column
            place = attributes.get("r")
            self._column = before + 1 if place is None else column_of(place)
            if self._column <= before:
                raise self._package.damaged(f"the cells of row {self._number} are not in their order")
            self._type = attributes.get("t", "n")
            self._style = number_of(attributes.get("s"))
            self._value = self._formula = None
        elif element == "v":
            self._into, self._value = "v", ""
        elif element == "f":
            self._into, self._formula = "f", ""
        elif element == "is":
            self._value = "(text)"
        elif element == "row":
            before = self._number
            self._number = number_of(attributes.get("r")) or before + 1
            if self._number <= before:
                raise self._package.damaged(f"row {self._number} comes after row {before}")
            hidden = attributes.get("hidden")
            self._hidden = self._layout.rows_hidden if hidden is None else hidden in ("1", "true")
            self._hidden = self._hidden or attributes.get("ht") in ("0", "0.0")
            self._cells, self._column = [], -1
        elif element == "col":
            if attributes.get("hidden") in ("1", "true") or attributes.get("width") in ("0", "0.0"):
                columns = range(number_of(attributes.get("min")) - 1, number_of(attributes.get("max")))
                self._layout.hidden_columns.append(columns)
        elif element == "sheetFormatPr":
            self._layout.rows_hidden = attributes.get("zeroHeight") in ("1", "true")

    def may_hide(self) -> bool:
        """Whether rows are hidden unless they say otherwise."""
        return self._layout.rows_hidden

    def add(self, number: int, found: list[tuple[str, str, str, str, str]]) -> None:
        """A plain row: column, style, type, value, and whether it is an inline text, of each cell."""
        self.pass_over((number,))
        columns = [self._columns[letters] for letters, *_ in found]
        if columns != sorted(set(columns)):
            raise self._package.damaged(f"the cells of row {number} are not in their order")
        if columns:
            cells = [
                RawCell(column, kind or "n", int(style) if style else 0, "(text)" if inline else value, None)
                for column, (_, style, kind, value, inline) in zip(columns, found, strict=True)
            ]
            self.done.append(RawRow(number, False, cells))

    def pass_over(self, numbers: Sequence[int]) -> None:
        """Plain rows that somebody else read: their numbers, none of which may come out of order."""
        for before, number in pairwise((self._number, *numbers)):
            if number <= before:
                raise self._package.damaged(f"row {number} comes after row {before}")
        self._number = numbers[-1]

    def text(self, text: str) -> None:
        if self._into == "v":
            self._value = (self._value or "") + text
        elif self._into == "f":
            self._formula = (self._formula or "") + text

    def end(self, name: str) -> None:
        element = self._names[name]
        if element == "c":
            if self._value or self._formula is not None:
                self._cells.append(RawCell(self._column, self._type, self._style, self._value, self._formula))
        elif element in ("v", "f"):
            self._into = None
        elif element == "row" and self._cells:
            self.done.append(RawRow(self._number, self._hidden, self._cells))


def column_of(place: str) -> int:
    """The column of a reference such as AB12, from 0."""
    column = 0
    for sign in place:
        if not "A" <= sign <= "Z":
            break
        column = column * 26 + ord(sign) - 64
    return column - 1
