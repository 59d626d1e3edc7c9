"""What is read from an OpenDocument spreadsheet (.ods): row by row, and what a person sees of each cell."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import IO

from runner.adapters.sources import BROKEN_ARCHIVE
from runner.adapters.workbook_xml import Package, RawRow, SheetLayout, SheetPart, local_name, new_parser
from runner.core.input_limits import InputLimits
from runner.core.sheet_cells import RawCell
from runner.errors import InputRefused

MAX_COLUMNS = 16_384
MAX_ROWS = 1 << 24

_CONTENT = "content.xml"
_TYPE = "urn:oasis:names:tc:opendocument:xmlns:office:1.0 value-type"
_CALC_TYPE = "urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0 value-type"
_TYPES = {"float": "n", "percentage": "n", "currency": "n", "date": "d", "time": "d", "boolean": "b", "string": "s"}

_GENERAL, _GROUPED, _OTHER, _DECIMALS = range(4)
FORMATS = ["General", "#,##0", "0%", "0.00", *("0" * digits for digits in range(1, 16))]
"""The formats that what is seen of a number is told apart by, so that a workbook's cells all read alike."""

_GAPS = re.compile(r"[ \t\r\n]+")
_SEPARATORS = re.compile("[,. '’\u00a0\u202f]")
_SHORT = re.compile(r"-?\d(?:[.,]\d+)?E\+?\d+")
_WITH_DECIMALS = re.compile(r"(-?\d+)[.,]0+")


class OpenDocument(Package):
    """An .ods spreadsheet, checked. Use as a context manager."""

    values_by_calamine = False
    program = "a spreadsheet of LibreOffice (.ods)"
    remedy = "Open it in LibreOffice or Excel, and save it again as .ods or .xlsx, or as CSV UTF-8."

    def __init__(self, name: str, stream: IO[bytes], limits: InputLimits) -> None:
        super().__init__(name, stream, limits)

    def _check_kind(self, infos: list[zipfile.ZipInfo]) -> None:
        names = [info.filename for info in infos]
        manifest = b""
        if "META-INF/manifest.xml" in names:
            try:
                with self._zip.open("META-INF/manifest.xml") as part:
                    manifest = part.read(1024 * 1024)
            except BROKEN_ARCHIVE as error:
                raise self.damaged("its part META-INF/manifest.xml cannot be unpacked") from error
        if b"encryption-data" in manifest or "encrypted-package" in names:
            raise InputRefused(
                f"{self._name} is protected by a password, so it cannot be read. In LibreOffice choose File > Save As, "
                "take the hook off 'Save with password', and give that file."
            )

    def sheets(self) -> list[SheetPart]:
        """The sheets, in the document's order."""
        found: list[SheetPart] = []
        hidden_styles: set[str] = set()
        style, depth, spreadsheet = "", 0, False

        def start(element: str, attributes: dict[str, str]) -> None:
            nonlocal style, depth, spreadsheet
            if element == "spreadsheet":
                spreadsheet = True
            elif element == "style":
                style = attributes.get("name", "")
            elif element == "table-properties" and attributes.get("display") == "false":
                hidden_styles.add(style)
            elif element == "table":
                if depth == 0:
                    hidden = attributes.get("style-name", "") in hidden_styles
                    found.append(SheetPart(attributes.get("name", ""), hidden, str(len(found))))
                depth += 1

        def end(element: str) -> None:
            nonlocal depth
            if element == "table":
                depth -= 1

        self._read_whole(_CONTENT, start, end)
        if not spreadsheet or not found:
            raise InputRefused(f"{self._name} is an OpenDocument file, but no spreadsheet. {self.remedy}")
        return found

    def formats(self) -> list[str]:
        """The formats that the styles of its cells stand for."""
        return FORMATS

    def rows(self, part: str, layout: SheetLayout) -> Iterator[RawRow]:
        """The rows of a sheet that hold something, in their order."""
        collector = _Collector(self, int(part), layout)
        parser = new_parser(self)
        parser.StartElementHandler = collector.start
        parser.EndElementHandler = collector.end
        parser.CharacterDataHandler = collector.text
        for _ in self.feed(_CONTENT, parser.Parse):
            done, collector.done = collector.done, []
            for row, times in done:
                for again in range(times):
                    yield row._replace(number=row.number + again) if again else row
            if collector.over:
                return


class _Collector:
    """expat's calls for one sheet, made into rows, each with how often it stands there."""

    def __init__(self, book: OpenDocument, wanted: int, layout: SheetLayout) -> None:
        self._book = book
        self._wanted = wanted
        self._layout = layout
        self._names: dict[str, str] = {}
        self.done: list[tuple[RawRow, int]] = []
        self.over = False
        self._table = -1
        self._depth = 0
        self._inside = False
        self._columns = 0
        self._number = 0
        self._times = 1
        self._hidden = False
        self._cells: list[RawCell] = []
        self._column = 0
        self._cell: dict[str, str] | None = None
        self._below = 0
        self._paragraphs: list[str] = []
        self._aside = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        element = self._names.get(name) or self._names.setdefault(name, local_name(name))
        if self._cell is not None:
            self._below += 1
            self._in_cell(element, attributes)
        elif element == "table":
            if self._depth == 0:
                self._table += 1
                self._inside = self._table == self._wanted
            self._depth += 1
        elif not self._inside or self._depth != 1:
            return
        elif element == "table-column":
            times = _repeated(attributes, "columns")
            if _plain(attributes).get("visibility", "visible") != "visible":
                self._layout.hidden_columns.append(range(self._columns, self._columns + times))
            self._columns += times
        elif element == "table-row":
            self._times = _repeated(attributes, "rows")
            self._hidden = _plain(attributes).get("visibility", "visible") != "visible"
            self._cells, self._column = [], 0
        elif element in ("table-cell", "covered-table-cell"):
            self._cell, self._below, self._paragraphs, self._aside = attributes, 0, [], 0

    def _in_cell(self, element: str, attributes: dict[str, str]) -> None:
        if element in ("annotation", "table", "shape", "frame", "custom-shape") or self._aside:
            self._aside += 1  # a note on the cell, or what lies above it
        elif element == "p" and self._below == 1:
            self._paragraphs.append("")
        elif self._paragraphs and element in ("s", "tab", "line-break"):
            signs = {"s": " " * min(_int_of(_plain(attributes).get("c"), 1), 1000), "tab": "\t", "line-break": "\n"}
            self._paragraphs[-1] += signs[element]

    def text(self, text: str) -> None:
        if self._cell is not None and self._paragraphs and self._below and not self._aside:
            self._paragraphs[-1] += _GAPS.sub(" ", text)

    def end(self, name: str) -> None:
        element = self._names[name]
        if self._cell is not None:
            if self._below:
                self._below -= 1
                self._aside = max(0, self._aside - 1)
            else:
                self._end_cell(self._cell)
                self._cell = None
        elif element == "table":
            self._depth -= 1
            if self._depth == 0 and self._inside:
                self._inside, self.over = False, True
        elif element == "table-row" and self._inside and self._depth == 1:
            if self._cells:
                if self._number + self._times > MAX_ROWS:
                    raise self._book.damaged(f"it says that the same row stands there {self._times:,} times")
                self.done.append((RawRow(self._number + 1, self._hidden, self._cells), self._times))
            self._number += self._times

    def _end_cell(self, attributes: dict[str, str]) -> None:
        times = _repeated(attributes, "columns")
        found = _raw_cell(attributes, self._paragraphs)
        if found is not None:
            if self._column + times > MAX_COLUMNS:
                raise self._book.damaged(f"row {self._number + 1:,} has more than {MAX_COLUMNS:,} columns")
            self._cells += [found._replace(column=self._column + place) for place in range(times)]
        self._column += times


def _raw_cell(attributes: dict[str, str], paragraphs: list[str]) -> RawCell | None:
    """A cell as a workbook's readers know it, in column 0; None when it is blank."""
    plain = _plain(attributes)
    formula = plain.get("formula")
    seen = "\n".join(paragraphs)
    kind = _TYPES.get(attributes.get(_TYPE, ""), "s" if seen else "")
    if attributes.get(_CALC_TYPE) == "error":
        return RawCell(0, "e", _GENERAL, seen or "#ERROR", None)
    if kind == "":
        return RawCell(0, "n", _GENERAL, None, formula) if formula is not None else None
    if kind == "n":
        value = plain.get("value", "")
        if value in ("0", "1") and seen and not any(sign.isdecimal() for sign in seen):
            return RawCell(0, "b", _GENERAL, value, None)  # TRUE, WAHR, VRAI: a number under a format that says so
        return RawCell(0, "n", _format_of(value, seen if paragraphs else None), value, formula)
    if kind == "b":
        return RawCell(0, "b", _GENERAL, "1" if plain.get("boolean-value") == "true" else "0", None)
    text = plain.get("string-value", seen) if kind == "s" else (plain.get("date-value") or plain.get("time-value", ""))
    return RawCell(0, kind, _GENERAL, text, None) if text else None


def _format_of(value: str, seen: str | None) -> int:
    """Which of `FORMATS` shows a number as it is seen; None: nobody has shown it yet."""
    try:
        number = Decimal(value)
    except InvalidOperation:
        return _GENERAL
    if seen is None or not number.is_finite() or number != number.to_integral_value() or abs(number) >= 10**18:
        return _GENERAL
    whole, seen = int(number), seen.strip()
    if seen == str(whole) or _SHORT.fullmatch(seen):
        return _GENERAL  # 9.2E+11 says how much room there was: the whole number is in the cell
    if seen.isascii() and seen.isdecimal() and int(seen) == whole and len(seen) <= 15:
        return _DECIMALS + len(seen)
    if (decimals := _WITH_DECIMALS.fullmatch(seen)) is not None and int(decimals[1]) == whole:
        return _DECIMALS
    return _GROUPED if _SEPARATORS.sub("", seen) == str(whole) else _OTHER


def _plain(attributes: dict[str, str]) -> dict[str, str]:
    return {local_name(key): value for key, value in attributes.items()}


def _repeated(attributes: dict[str, str], what: str) -> int:
    return _int_of(attributes.get(f"urn:oasis:names:tc:opendocument:xmlns:table:1.0 number-{what}-repeated"), 1)


def _int_of(text: str | None, default: int) -> int:
    return max(1, int(text)) if text is not None and text.isdecimal() and len(text) < 10 else default
