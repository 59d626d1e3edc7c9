"""Tables of text out of files: which bytes, which delimiter, which header, which record has which number.

Decides nothing about a cell. CSV goes through the strict `csv` module: bytes that are not UTF-8, a quote that is never
closed, and everything else that would make a reader guess is refused with the line where it stands. The sheets of a
workbook give the same `Table`.
"""

from __future__ import annotations

import codecs
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO

from runner.adapters.delimited import Record, find_delimiter, read_records, stamp_of, unreadable
from runner.adapters.workbook import SheetRead, read_workbook
from runner.core.columns import is_ours
from runner.core.sheet_choice import SheetSeen
from runner.errors import InputRefused, UsageError

CHUNK_ROWS = 2_000
"""Records handed on at a time: enough to spread the cost of a chunk, little enough to be nothing in memory."""

_SAMPLE_BYTES = 64 * 1024
_BLOCK_BYTES = 1024 * 1024

_SAVE_AS_CSV = "In Excel choose File > Save As > CSV UTF-8 and give that file."

_WORKBOOK = b"PK\x03\x04"
_OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")

_OTHER_FORMATS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "compressed with gzip"),
    (b"%PDF", "a PDF document"),
    (b"{\\rtf", "a rich text document"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)


class EmptyTable(InputRefused):
    """The file holds no row: it is empty, or has a header only. Nothing is wrong with it otherwise.

    `ours`: this program wrote it, and wrote no row into it because nothing was missing.
    """

    def __init__(self, message: str, *, ours: bool = False) -> None:
        super().__init__(message)
        self.ours = ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of a file, open to be read any number of times, a chunk in memory at a time.

    `name`: the file's name without folder. `sha256`: of its bytes, hexadecimal. `sheet`: "" for text files. `headers`:
    as they stand there. `header_row`: the record that holds them. `ours`: this program wrote the file. `hidden_rows`:
    how many rows below the header a spreadsheet hides, `hidden_columns`: which of `headers` it hides; `records_shown`:
    the records without the hidden rows.
    """

    name: str
    sha256: str
    sheet: str
    headers: tuple[str, ...]
    header_row: int
    encoding: str
    delimiter: str
    ours: bool
    records: Callable[[], Iterator[Record]]
    hidden_rows: int = 0
    hidden_columns: tuple[int, ...] = ()
    records_shown: Callable[[], Iterator[Record]] | None = None

    def without_hidden(self) -> Table:
        """The table as a person sees it: hidden rows and columns are left out."""
        shown = self.records_shown or self.records
        hidden = set(self.hidden_columns)
        kept = [index for index in range(len(self.headers)) if index not in hidden]

        def records() -> Iterator[Record]:
            for number, cells in shown():
                seen = [cells[index] for index in kept]
                if "".join(seen).strip():
                    yield number, seen

        headers = tuple(self.headers[index] for index in kept)
        return replace(self, headers=headers, records=records, hidden_rows=0, hidden_columns=(), records_shown=None)

    def rows(self) -> Iterator[list[Record]]:
        """The records below the header in chunks of at most `CHUNK_ROWS`; empty lines are left out, numbers stay true.

        Cells are texts as they stand in the file; a record may have more or fewer than the header.

        Raises:
            InputRefused: the file is damaged from some line on, or changed since it was opened.
        """
        chunk: list[Record] = []
        for record in self.records():
            chunk.append(record)
            if len(chunk) == CHUNK_ROWS:
                yield chunk
                chunk = []
        if chunk:
            yield chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """A file that was opened. `sheets`: what is in it (one, named "", in a text file). `sha256`: of its bytes."""

    name: str
    sha256: str
    sheets: tuple[SheetSeen, ...]
    table: Callable[[int], Table]
    """The table of a sheet by its place. Raises `EmptyTable` when it has no row."""

    @property
    def is_workbook(self) -> bool:
        """Whether it has sheets with names."""
        return self.sheets[0].name != ""


def open_table(path: str | os.PathLike[str]) -> Table:
    """The table of a text file, or of the first sheet of a workbook. Raises as `open_file`."""
    return open_file(path).table(0)


def open_file(path: str | os.PathLike[str]) -> InputFile:
    """A file, told by content and not by name, after one pass over it.

    Raises:
        UsageError: there is no such file, it is a folder, or it may not be read.
        InputRefused: it is neither a workbook nor CSV in UTF-8, or has no header. `EmptyTable`: it has no row.
    """
    file = Path(path)
    try:
        if file.is_dir():
            raise UsageError(f"{file} is a folder. Name the file in it.")
        with file.open("rb") as stream:
            before = stamp_of(stream.fileno())
            head = stream.read(_SAMPLE_BYTES)
            if head.startswith(_WORKBOOK):
                return _open_workbook(file, before, _digest(head, stream))
            if head.startswith(_OLD_OFFICE):
                raise _old_office(file.name, head, stream)
            _refuse_other_formats(file.name, head)
            sha256 = _check_text(file.name, head, stream)
    except OSError as error:
        raise unreadable(file, error) from error
    table = _open_csv(file, before, head, sha256)
    seen = SheetSeen("", False, table.headers, True)
    return InputFile(name=file.name, sha256=sha256, sheets=(seen,), table=lambda _: table)


def _digest(head: bytes, stream: IO[bytes]) -> str:
    digest = hashlib.sha256(head)
    while block := stream.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _old_office(name: str, head: bytes, stream: IO[bytes]) -> InputRefused:
    block, found = head, _ENCRYPTED in head
    while block and not found:
        tail, block = block[-len(_ENCRYPTED) :], stream.read(_BLOCK_BYTES)
        found = _ENCRYPTED in tail + block
    if found:
        return InputRefused(
            f"{name} is protected by a password, so it cannot be read. In Excel choose File > Info > Protect Workbook "
            f"and remove it, or save the list without one. {_SAVE_AS_CSV}"
        )
    return InputRefused(
        f"{name} is an old Excel workbook (.xls) or another old Office file. Save it in Excel as .xlsx, or as CSV: "
        f"{_SAVE_AS_CSV}"
    )


def _open_workbook(file: Path, stamp: tuple[int, int, int], sha256: str) -> InputFile:
    sheets = read_workbook(file, stamp)
    return InputFile(
        name=file.name,
        sha256=sha256,
        sheets=tuple(SheetSeen(one.name, one.hidden, one.headers, one.rows) for one in sheets),
        table=lambda index: _sheet_table(file.name, sha256, sheets[index]),
    )


def _sheet_table(name: str, sha256: str, sheet: SheetRead) -> Table:
    if not sheet.headers:
        raise EmptyTable(f"{name}, sheet {sheet.name!r} is empty: no cell holds anything.")
    if not sheet.rows:
        raise _no_rows(f"{name}, sheet {sheet.name!r}", sheet.header_row, sheet.headers)
    return Table(
        name=name,
        sha256=sha256,
        sheet=sheet.name,
        headers=sheet.headers,
        header_row=sheet.header_row,
        encoding="",
        delimiter="",
        ours=is_ours(sheet.headers),
        records=partial(sheet.records, True),
        hidden_rows=sheet.hidden_rows,
        hidden_columns=sheet.hidden_columns,
        records_shown=partial(sheet.records, False),
    )


def _no_rows(where: str, header_row: int, headers: Sequence[str]) -> EmptyTable:
    if is_ours(headers):
        return EmptyTable(f"{where} lists no failed rows: nothing to do.", ours=True)
    return EmptyTable(f"{where} has a header in row {header_row} and no rows below it.")


def _refuse_other_formats(name: str, head: bytes) -> None:
    if not head.strip():
        if not head:
            raise EmptyTable(f"{name} is empty: it has 0 bytes. Export it again.")
        return
    for start, what in _OTHER_FORMATS:
        if head.startswith(start):
            raise InputRefused(
                f"{name} is {what}, and only Excel workbooks (.xlsx) and CSV in UTF-8 are read. {_SAVE_AS_CSV}"
            )
    beginning = head.removeprefix(codecs.BOM_UTF8).lstrip()[:200].lower()
    if beginning.startswith((b"<!doctype", b"<html", b"<table", b"<?xml")):
        raise InputRefused(
            f"{name} is a web page or XML document, whatever its name says. Open it in Excel and save it as CSV UTF-8."
        )


def _check_text(name: str, head: bytes, stream: IO[bytes]) -> str:
    """The sha256 of all bytes, after making sure that they are UTF-8 text without NUL."""
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")(errors="strict")
    offset = 0
    block = head
    while True:
        digest.update(block)
        if (nul := block.find(b"\0")) >= 0:
            where = _position(stream, offset + nul)
            raise InputRefused(
                f"{name} holds a NUL byte in {where}: it is no text file, or was damaged. Export it again as CSV UTF-8."
            )
        undecided = len(decoder.getstate()[0])
        try:
            decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            where = _position(stream, offset - undecided + error.start)
            raise InputRefused(
                f"{name} is not UTF-8 text: {where} cannot be read. Another encoding is not guessed, since a wrong "
                f"guess changes what is read. {_SAVE_AS_CSV}"
            ) from error
        if not block:
            return digest.hexdigest()
        offset += len(block)
        block = stream.read(_BLOCK_BYTES)


def _position(stream: IO[bytes], offset: int) -> str:
    """Line and byte in the line (both from 1) of a byte of the file, as words."""
    stream.seek(0)
    lines, line_start, done, last = 1, 0, 0, b""
    while done < offset:
        block = stream.read(min(_BLOCK_BYTES, offset - done))
        breaks = block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n")
        if last == b"\r" and block[:1] == b"\n":
            breaks -= 1  # one line end on the border of two blocks
        lines += breaks
        line_start = max(line_start, done + 1 + max(block.rfind(b"\n"), block.rfind(b"\r")))
        last = block[-1:]
        done += len(block)
    return f"line {lines}, byte {offset - line_start + 1} of the line"


def _open_csv(file: Path, stamp: tuple[int, int, int], head: bytes, sha256: str) -> Table:
    sample = head.decode("utf-8-sig", errors="ignore")  # the cut at its end may fall into a character
    delimiter, padded = find_delimiter(file.name, sample, cut=len(head) == _SAMPLE_BYTES)

    def all_records() -> Iterator[Record]:
        return read_records(file, delimiter, stamp)

    first = next(all_records(), None)
    if first is None:
        raise EmptyTable(f"{file.name} holds nothing but blank lines. Export it again.")
    header_row, headers = first
    if next((number for number, _ in all_records() if number > header_row), None) is None:
        raise _no_rows(file.name, header_row, headers)
    return Table(
        name=file.name,
        sha256=sha256,
        sheet="",
        headers=(*headers, "") if padded else tuple(headers),
        header_row=header_row,
        encoding="UTF-8 with BOM" if head.startswith(codecs.BOM_UTF8) else "UTF-8",
        delimiter=delimiter,
        ours=is_ours(headers),
        records=lambda: (record for record in all_records() if record[0] > header_row),
    )
