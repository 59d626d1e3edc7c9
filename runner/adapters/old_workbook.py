"""What is read from an old Excel workbook (.xls): its sheets and formats, and row by row how its cells are written.

Read here and not by calamine, which tells neither formats nor what is hidden, and stops dead at some damage.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import IO, NamedTuple

from runner.adapters.workbook_xml import RawRow, SheetLayout, SheetPart
from runner.core.number_formats import format_of
from runner.core.sheet_cells import RawCell
from runner.errors import InputRefused

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
MAX_BYTES = 512 * 1024**2
"""Above the largest workbook that the format can hold."""

_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_EXCEL_97 = 0x0600
_FREE = 0xFFFFFFFA  # and above: no sector

_BOF, _EOF, _FILEPASS, _BOUNDSHEET, _FORMAT, _XF = 0x809, 0x0A, 0x2F, 0x85, 0x41E, 0xE0
_ROW, _COLINFO, _DEFAULT_HEIGHT = 0x208, 0x7D, 0x225
_NUMBER, _RK, _MULRK, _FORMULA, _BOOLERR = 0x203, 0x27E, 0xBD, 0x06, 0x205
_SST, _CONTINUE, _LABEL_SHARED, _LABEL, _RICH_LABEL, _STRING = 0xFC, 0x3C, 0xFD, 0x204, 0xD6, 0x207

_ERRORS = {0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!", 42: "#N/A"}


class OldWorkbook:
    """An .xls workbook, checked. Use as a context manager."""

    values_by_calamine = False

    def __init__(self, name: str, stream: IO[bytes]) -> None:
        self._name = name
        data = stream.read(MAX_BYTES + 1)
        if _ENCRYPTED in data:
            raise self._protected()
        if len(data) > MAX_BYTES:
            raise self.damaged("it is larger than the format allows")
        try:
            self._book = _stream_of(data)
            self._read_globals()
        except (struct.error, IndexError, ValueError, KeyError) as error:
            raise self.damaged("its beginning cannot be read") from error

    def __enter__(self) -> OldWorkbook:
        return self

    def __exit__(self, *_: object) -> None:
        self._book = b""

    def damaged(self, what: str) -> InputRefused:
        """The sentence for a workbook that cannot be read."""
        return InputRefused(
            f"{self._name} begins like an old Excel workbook (.xls) but is damaged, or is another old Office file: "
            f"{what}. If it is still being written or copied, wait; else open it in Excel and save it as .xlsx, or as "
            "CSV UTF-8."
        )

    def _protected(self) -> InputRefused:
        return InputRefused(
            f"{self._name} is protected by a password, so it cannot be read. In Excel choose File > Info > Protect "
            "Workbook and remove it, or save the list without one, for example as CSV UTF-8."
        )

    def _read_globals(self) -> None:
        self._sheets: list[SheetPart] = []
        self._formats: list[int] = []
        self._codes: dict[int, str] = {}
        shared: list[bytes] = []
        before = 0
        for place, (kind, body) in enumerate(_records(self._book, 0)):
            if place == 0 and kind != _BOF:
                raise ValueError("no workbook begins here")
            if kind == _BOF and _u16(body, 0) != _EXCEL_97:
                raise InputRefused(
                    f"{self._name} is a workbook of Excel 95 or older. Open it in Excel and save it as .xlsx or CSV "
                    "UTF-8."
                )
            if kind == _FILEPASS:
                raise self._protected()
            if kind == _BOUNDSHEET:
                offset, state, what, length, wide = struct.unpack_from("<IBBBB", body)
                if what == 0:
                    name = _text(body, 8, length, wide)
                    self._sheets.append(SheetPart(name, state & 3 != 0, str(offset)))
            elif kind == _FORMAT:
                number, length, wide = struct.unpack_from("<HHB", body)
                self._codes[number] = _text(body, 5, length, wide)
            elif kind == _XF:
                self._formats.append(_u16(body, 2))
            elif kind == _SST or (kind == _CONTINUE and before in (_SST, _CONTINUE) and shared):
                shared.append(body)
            before = kind
        self._texts = _shared_texts(shared) if shared else []
        if not self._sheets:
            raise self.damaged("it has no worksheet")

    def sheets(self) -> list[SheetPart]:
        """The worksheets, in the workbook's order. Charts and macros are left out."""
        return self._sheets

    def formats(self) -> list[str]:
        """The number format of each cell style, by the style's number."""
        return [format_of(number, self._codes.get(number)) for number in self._formats]

    def rows(self, part: str, layout: SheetLayout) -> Iterator[RawRow]:
        """The rows of a sheet that hold something, in their order."""
        try:
            sheet = self._read_sheet(int(part), layout)
        except (struct.error, IndexError, ValueError) as error:
            raise self.damaged("a sheet of it cannot be read to its end") from error
        for number in sorted(sheet.cells):
            cells = sorted(sheet.cells[number])
            if any(one.column == other.column for one, other in pairwise(cells)):
                raise self.damaged(f"row {number + 1} has the same cell twice")
            yield RawRow(number + 1, sheet.hidden.get(number, layout.rows_hidden), cells)

    def _read_sheet(self, offset: int, layout: SheetLayout) -> _Sheet:
        sheet = _Sheet({}, {})
        depth = 0
        waiting: tuple[int, RawCell] | None = None  # a formula whose text comes in a record of its own
        for kind, body in _records(self._book, offset, nested=True):
            if kind in (_BOF, _EOF):
                depth += 1 if kind == _BOF else -1
                if depth == 0:
                    return sheet
            elif depth > 1:
                continue  # a chart inside the sheet
            elif kind == _ROW:
                number, height, flags = _u16(body, 0), _u16(body, 6), _u16(body, 12)
                sheet.hidden[number] = bool(flags & 0x20) or height & 0x7FFF == 0
            elif kind == _DEFAULT_HEIGHT:
                layout.rows_hidden = bool(_u16(body, 0) & 2)
            elif kind == _COLINFO:
                first, last, width, _, flags = struct.unpack_from("<HHHHH", body)
                if flags & 1 or width == 0:
                    layout.hidden_columns.append(range(first, last + 1))
            elif kind == _STRING:
                if waiting is not None:
                    row, cell = waiting
                    text, waiting = _text(body, 3, _u16(body, 0), body[2]), None
                    if text:
                        sheet.cells.setdefault(row, []).append(cell._replace(value=text))
            else:
                for row, cell in self._cells(kind, body):
                    if kind == _FORMULA and cell.type == "str":
                        waiting = (row, cell)
                    elif cell.value:
                        sheet.cells.setdefault(row, []).append(cell)
        raise ValueError("the sheet has no end")

    def _cells(self, kind: int, body: bytes) -> Iterator[tuple[int, RawCell]]:
        """The cells of a record, if it holds any: (row from 0, cell)."""
        if kind == _MULRK:
            row, first = struct.unpack_from("<HH", body)
            for place in range((len(body) - 6) // 6):
                style, packed = struct.unpack_from("<HI", body, 4 + 6 * place)
                yield row, RawCell(first + place, "n", style, _number_text(_unpack(packed)), None)
            return
        if kind not in (_NUMBER, _RK, _FORMULA, _BOOLERR, _LABEL_SHARED, _LABEL, _RICH_LABEL):
            return
        row, column, style = struct.unpack_from("<HHH", body)
        if kind == _LABEL_SHARED:
            yield row, RawCell(column, "s", style, self._texts[struct.unpack_from("<I", body, 6)[0]], None)
        elif kind in (_LABEL, _RICH_LABEL):
            yield row, RawCell(column, "s", style, _text(body, 9, _u16(body, 6), body[8]), None)
        elif kind == _RK:
            yield row, RawCell(column, "n", style, _number_text(_unpack(struct.unpack_from("<I", body, 6)[0])), None)
        elif kind == _BOOLERR:
            yield row, _bool_or_error(column, style, body[6], error=body[7] == 1)
        elif kind == _NUMBER or body[12:14] != b"\xff\xff":
            yield row, RawCell(column, "n", style, _number_text(struct.unpack_from("<d", body, 6)[0]), None)
        elif body[6] == 0:
            yield row, RawCell(column, "str", style, "", None)
        elif body[6] in (1, 2):
            yield row, _bool_or_error(column, style, body[8], error=body[6] == 2)


class _Sheet(NamedTuple):
    cells: dict[int, list[RawCell]]
    hidden: dict[int, bool]


def _bool_or_error(column: int, style: int, value: int, *, error: bool) -> RawCell:
    if error:
        return RawCell(column, "e", style, _ERRORS.get(value, "#ERROR"), None)
    return RawCell(column, "b", style, str(value), None)


def _unpack(packed: int) -> float:
    """A number in four bytes: a short integer or the upper half of a double, perhaps a hundredth of it."""
    if packed & 2:
        signed = packed - (1 << 32) if packed & 0x80000000 else packed
        number = float(signed >> 2)
    else:
        number = float(struct.unpack("<d", struct.pack("<Q", (packed & 0xFFFFFFFC) << 32))[0])
    return number / 100 if packed & 1 else number


def _shared_texts(parts: list[bytes]) -> list[str]:
    """The table of texts that cells refer to; a text may go on in the next part, in one or two bytes a sign."""
    found: list[str] = []
    at, start = 0, 8

    def take(size: int) -> bytes:
        nonlocal at, start
        taken = b""
        while True:
            piece = parts[at][start : start + size - len(taken)]
            taken += piece
            start += len(piece)
            if len(taken) == size:
                return taken
            at, start = at + 1, 0

    for _ in range(struct.unpack_from("<I", parts[0], 4)[0]):
        if start >= len(parts[at]):
            at, start = at + 1, 0
        length, flags = struct.unpack("<HB", take(3))
        runs = struct.unpack("<H", take(2))[0] if flags & 8 else 0
        more = struct.unpack("<I", take(4))[0] if flags & 4 else 0
        text = ""
        while len(text) < length:
            if start >= len(parts[at]):
                at, start = at + 1, 1
                flags = parts[at][0]
            width = 2 if flags & 1 else 1
            raw = take(min((length - len(text)) * width, (len(parts[at]) - start) // width * width))
            if not raw:
                raise ValueError("a text has no end")
            text += _units(raw) if width == 2 else raw.decode("latin-1")
        found.append(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le"))
        take(4 * runs + more)
    return found


def _units(raw: bytes) -> str:
    """One sign for each two bytes, so that signs above the first plane count as two, as the format counts them."""
    return "".join(map(chr, struct.unpack(f"<{len(raw) // 2}H", raw)))


def _number_text(number: float) -> str:
    return str(int(number)) if abs(number) < 1e17 and number == int(number) else repr(number)


def _text(body: bytes, start: int, length: int, wide: int) -> str:
    if wide & 1:
        return body[start : start + 2 * length].decode("utf-16-le")
    return body[start : start + length].decode("latin-1")


def _u16(body: bytes, at: int) -> int:
    return int(struct.unpack_from("<H", body, at)[0])


def _records(book: bytes, at: int, *, nested: bool = False) -> Iterator[tuple[int, bytes]]:
    """The records of a part of the workbook, to its end (or, `nested`, for as long as they are asked for)."""
    while at + 4 <= len(book):
        kind, length = struct.unpack_from("<HH", book, at)
        if at + 4 + length > len(book):
            break
        yield kind, book[at + 4 : at + 4 + length]
        if kind == _EOF and not nested:
            return
        at += 4 + length
    raise ValueError("the workbook is cut off")


def _stream_of(data: bytes) -> bytes:
    """The workbook out of the small file system that an old Office file is.

    Raises:
        ValueError, struct.error, IndexError: there is none, or it is damaged.
    """
    size = 1 << struct.unpack_from("<H", data, 30)[0]
    if size not in (512, 4096):
        raise ValueError("no size of sectors")
    fat_sectors, directory_at = struct.unpack_from("<I4xI", data, 44)[0], struct.unpack_from("<I", data, 48)[0]
    cutoff, mini_fat_at, _, more_at, _ = struct.unpack_from("<IIIII", data, 56)

    def sector(number: int) -> bytes:
        start = (number + 1) * size
        if number >= _FREE or start >= len(data):
            raise ValueError("a sector lies outside the file")
        return data[start : start + size].ljust(size, b"\0")

    numbers = list(struct.unpack_from("<109I", data, 76))
    seen: set[int] = set()
    while more_at < _FREE:
        if more_at in seen:
            raise ValueError("sectors go round in a circle")
        seen.add(more_at)
        more = struct.unpack(f"<{size // 4}I", sector(more_at))
        numbers += more[:-1]
        more_at = more[-1]
    fat: list[int] = []
    for number in numbers[:fat_sectors]:
        fat += struct.unpack(f"<{size // 4}I", sector(number))

    def chain(at: int, table: list[int]) -> Iterator[int]:
        steps = 0
        while at < _FREE:
            steps += 1
            if steps > len(table):
                raise ValueError("sectors go round in a circle")
            yield at
            at = table[at]

    def whole(at: int) -> bytes:
        return b"".join(map(sector, chain(at, fat)))

    directory = whole(directory_at)
    root: tuple[int, int] | None = None
    found: tuple[int, int] | None = None
    for start in range(0, len(directory) - 127, 128):
        length, kind = _u16(directory, start + 64), directory[start + 66]
        name = directory[start : start + max(0, min(length, 64) - 2)].decode("utf-16-le", "replace").casefold()
        first, bytes_long = struct.unpack_from("<II", directory, start + 116)
        if kind == 5 and root is None:
            root = (first, bytes_long)
        elif kind == 2 and (name == "workbook" or (name == "book" and found is None)):
            found = (first, bytes_long)
    if found is None or root is None:
        raise ValueError("it holds no workbook")
    first, bytes_long = found
    if bytes_long >= cutoff:
        book = whole(first)
    else:
        small = whole(root[0])
        mini: list[int] = []
        for number in chain(mini_fat_at, fat):
            mini += struct.unpack(f"<{size // 4}I", sector(number))
        book = b"".join(small[64 * number : 64 * number + 64] for number in chain(first, mini))
    if len(book) < bytes_long:
        raise ValueError("the workbook is cut off")
    return book[:bytes_long]
