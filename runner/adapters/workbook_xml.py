"""A workbook's archive and the XML in it: its sheets, links and formats, each part streamed through expat.

A part that claims or unpacks to more than a workbook can hold, is there twice, or declares entities is refused before
anything else reads it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, NamedTuple, Self
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
_WORKSHEET = "/worksheet"


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

    def __enter__(self) -> Self:
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
                custom[number_of(attributes.get("numFmtId"))] = attributes.get("formatCode", "")
            elif element == "cellXfs":
                inside = True
            elif element in ("cellStyles", "cellStyleXfs", "dxfs"):
                inside = False
            elif element == "xf" and inside:
                numbers.append(number_of(attributes.get("numFmtId")))

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


def number_of(text: str | None) -> int:
    """An attribute's number; 0 where it has none."""
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else 0


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
