"""What is read from a workbook's own XML: its sheets and formats, and row by row what is hidden and how it is written.

Streamed through expat. A part that claims or unpacks to more than a workbook can hold, is there twice, or declares
entities is refused before anything else reads it.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import IO, NamedTuple
from xml.parsers import expat

from runner.adapters.sources import BROKEN_ARCHIVE, cut_off
from runner.core.input_limits import InputLimits
from runner.core.number_formats import format_of
from runner.core.sheet_cells import RawCell
from runner.errors import InputRefused

MAX_PART_BYTES = 2 * 1024**3
MAX_RATIO = 500
"""A sheet unpacks to some ten times its size; what unpacks to five hundred times was made to fill a disk."""

_RATIO_FROM_BYTES = 32 * 1024**2
_BLOCK_BYTES = 256 * 1024
ROW = b"<row "
"""How a row begins in a sheet's XML."""
_LONGEST_ROW = 4 * 1024 * 1024
_WORKSHEET = "/worksheet"

_TEXT = r"(?:[^<&]|&(?:amp|lt|gt|quot|apos|#\d+|#x[0-9a-fA-F]+);)*+"
_PLAIN_CELL = (
    r'<c r="[A-Z]{1,3}\d+"(?: s="\d+")?(?: t="[a-zA-Z]+")?'
    r'(?:/>|>(?:<v>[^<&]*+</v>|<v/>|<is><t(?: xml:space="preserve")?>' + _TEXT + "</t></is>)?</c>)"
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
    + _TEXT
    + "</t></is>)</c>"
)


class SheetPart(NamedTuple):
    """A worksheet of the workbook: its name, whether it is hidden, and the part of the archive that holds it."""

    name: str
    hidden: bool
    part: str


class RawRow(NamedTuple):
    """A row as the sheet's XML has it, with the cells that hold something. `number`: as the spreadsheet shows it."""

    number: int
    hidden: bool
    cells: list[RawCell]


@dataclass(slots=True)
class SheetLayout:
    """What the beginning of a sheet says of it, filled in while its rows are read.

    `hidden_columns`: ranges from 0, the end not included. `rows_hidden`: rows are hidden unless they say otherwise.
    """

    hidden_columns: list[range] = field(default_factory=list)
    rows_hidden: bool = False

    def hides(self, column: int) -> bool:
        """Whether a column is hidden."""
        return any(column in columns for columns in self.hidden_columns)


class Package:
    """A workbook's archive, checked. Use as a context manager."""

    values_by_calamine = True
    program = "an Excel workbook"
    remedy = "Open it in Excel, which may repair it, and save it again as .xlsx, or save it as CSV UTF-8."

    def __init__(self, name: str, stream: IO[bytes], limits: InputLimits) -> None:
        self._name = name
        self._limits = limits
        try:
            self._zip = zipfile.ZipFile(stream)
            infos = self._zip.infolist()
        except BROKEN_ARCHIVE as error:
            raise cut_off(name, "an Excel workbook or a zip archive") from error
        self._check(infos)

    def __enter__(self) -> Package:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def damaged(self, what: str) -> InputRefused:
        """The sentence for a workbook that cannot be read."""
        return InputRefused(f"{self._name} begins like {self.program} but is damaged: {what}. {self.remedy}")

    def _check(self, infos: list[zipfile.ZipInfo]) -> None:
        names = [info.filename for info in infos]
        if len(set(names)) < len(names):
            raise self.damaged("a part of it is there twice, so that programs read different things")
        if any(info.flag_bits & 1 for info in infos):
            raise InputRefused(f"{self._name} is protected by a password. Save it without one and give that file.")
        self._check_kind(infos)
        for info in infos:
            large = info.file_size > _RATIO_FROM_BYTES and info.file_size > MAX_RATIO * max(1, info.compress_size)
            if info.file_size > MAX_PART_BYTES or large:
                raise self._too_large(info.file_size)
        if sum(info.file_size for info in infos) > self._limits.unpacked:
            raise InputRefused(self._limits.too_large(self._name))

    def _check_kind(self, infos: list[zipfile.ZipInfo]) -> None:
        if "_rels/.rels" not in [info.filename for info in infos]:
            raise InputRefused(
                f"{self._name} is an archive, but no Excel workbook. Open it in Excel and save it as .xlsx or CSV "
                "UTF-8."
            )

    def _too_large(self, size: int) -> InputRefused:
        return InputRefused(
            f"{self._name} unpacks to {size:,} bytes, more than a workbook is read with. Delete the sheets that are "
            "not needed, or save the list as CSV UTF-8."
        )

    def sheets(self) -> list[SheetPart]:
        """The worksheets, in the workbook's order. Charts are left out."""
        main = next(
            (_inside("", target) for kind, target in self._links("_rels/.rels").values() if kind.endswith("Document")),
            "xl/workbook.xml",
        )
        if main.endswith(".bin"):
            raise InputRefused(f"{self._name} is a binary workbook (.xlsb). Save it in Excel as .xlsx or CSV UTF-8.")
        folder, _, leaf = main.rpartition("/")
        links = self._links(f"{folder}/_rels/{leaf}.rels" if folder else f"_rels/{leaf}.rels")
        sheets: list[SheetPart] = []

        def start(element: str, attributes: dict[str, str]) -> None:
            if element == "sheet":
                kind, target = links.get(attributes.get("id", ""), ("", ""))
                if kind.endswith(_WORKSHEET):
                    hidden = attributes.get("state", "visible") != "visible"
                    sheets.append(SheetPart(attributes.get("name", ""), hidden, _inside(folder, target)))

        self._read_whole(main, start)
        if not sheets:
            raise self.damaged("it has no worksheet")
        return sheets

    def formats(self) -> list[str]:
        """The number format of each cell style, by the style's number."""
        part = next((name for name in self._zip.namelist() if name.lower() == "xl/styles.xml"), None)
        custom: dict[int, str] = {}
        numbers: list[int] = []
        inside = False

        def start(element: str, attributes: dict[str, str]) -> None:
            nonlocal inside
            if element == "numFmt":
                custom[_number(attributes.get("numFmtId"))] = attributes.get("formatCode", "")
            elif element == "cellXfs":
                inside = True
            elif element in ("cellStyles", "cellStyleXfs", "dxfs"):
                inside = False
            elif element == "xf" and inside:
                numbers.append(_number(attributes.get("numFmtId")))

        if part is not None:
            self._read_whole(part, start)
        return [format_of(number, custom.get(number)) for number in numbers]

    def _links(self, part: str) -> dict[str, tuple[str, str]]:
        links: dict[str, tuple[str, str]] = {}

        def start(element: str, attributes: dict[str, str]) -> None:
            if element == "Relationship":
                links[attributes.get("Id", "")] = (attributes.get("Type", ""), attributes.get("Target", ""))

        self._read_whole(part, start)
        return links

    def _read_whole(
        self, part: str, start: Callable[[str, dict[str, str]], None], end: Callable[[str], None] | None = None
    ) -> None:
        parser = new_parser(self)

        def begin(name: str, attributes: dict[str, str]) -> None:
            start(local_name(name), {local_name(key): value for key, value in attributes.items()})

        parser.StartElementHandler = begin
        if end is not None:
            parser.EndElementHandler = lambda name: end(local_name(name))
        for _ in self.feed(part, parser.Parse):
            pass

    def feed(self, part: str, parse: Callable[[bytes, bool], object]) -> Iterator[None]:
        """Hand a part on, block by block."""
        try:
            with self._zip.open(part) as stream:
                while block := stream.read(_BLOCK_BYTES):
                    parse(block, False)
                    yield
                parse(b"", True)
                yield
        except KeyError as error:
            raise self.damaged(f"its part {part} is missing") from error
        except expat.ExpatError as error:
            raise self.damaged(f"its part {part} is not well formed in line {error.lineno}") from error
        except BROKEN_ARCHIVE as error:
            raise self.damaged(f"its part {part} cannot be unpacked") from error

    def check_part(self, part: str) -> None:
        """Unpack a part to its end once, so that it is as long as it says and well formed; nothing if it is absent."""
        if part in self._zip.namelist():
            for _ in self.feed(part, new_parser(self).Parse):
                pass

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
            self._style = _number(attributes.get("s"))
            self._value = self._formula = None
        elif element == "v":
            self._into, self._value = "v", ""
        elif element == "f":
            self._into, self._formula = "f", ""
        elif element == "is":
            self._value = "(text)"
        elif element == "row":
            before = self._number
            self._number = _number(attributes.get("r")) or before + 1
            if self._number <= before:
                raise self._package.damaged(f"row {self._number} comes after row {before}")
            hidden = attributes.get("hidden")
            self._hidden = self._layout.rows_hidden if hidden is None else hidden in ("1", "true")
            self._hidden = self._hidden or attributes.get("ht") in ("0", "0.0")
            self._cells, self._column = [], -1
        elif element == "col":
            if attributes.get("hidden") in ("1", "true") or attributes.get("width") in ("0", "0.0"):
                columns = range(_number(attributes.get("min")) - 1, _number(attributes.get("max")))
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


def new_parser(package: Package) -> expat.XMLParserType:
    """A parser that refuses documents with types and entities of their own."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True

    def refuse(*_: object) -> None:
        raise package.damaged("it declares a document type, which no spreadsheet program writes")

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    return parser


def local_name(name: str) -> str:
    """A name without its namespace."""
    return name.rpartition(" ")[2]


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else 0


def column_of(place: str) -> int:
    """The column of a reference such as AB12, from 0."""
    column = 0
    for sign in place:
        if not "A" <= sign <= "Z":
            break
        column = column * 26 + ord(sign) - 64
    return column - 1


def _inside(folder: str, target: str) -> str:
    """A link's target as the name of a part."""
    if target.startswith("/"):
        return target[1:]
    parts = folder.split("/") if folder else []
    for step in target.split("/"):
        if step == "..":
            parts = parts[:-1]
        elif step != ".":
            parts.append(step)
    return "/".join(parts)
