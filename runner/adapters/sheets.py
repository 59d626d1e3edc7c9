"""Tables of text out of files: which bytes, which delimiter, which header, which record has which number.

Decides nothing about a cell. CSV goes through the strict `csv` module: bytes that cannot be decoded, a quote that is
never closed, and everything else that would make a reader guess is refused with the line where it stands. The sheets of
a workbook give the same `Table`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path

from runner.adapters.containers import ZIP, open_source
from runner.adapters.delimited import Record, find_dialect, read_records
from runner.adapters.encodings import SAVE_AS_CSV, TextEncoding, find_encoding
from runner.adapters.old_workbook import OLE
from runner.adapters.sources import Source, digest_of
from runner.adapters.workbook import SheetRead, read_workbook
from runner.core.columns import is_ours
from runner.core.input_limits import InputLimits
from runner.core.sheet_choice import SheetSeen
from runner.core.table_finding import LOOKED_AT
from runner.errors import InputRefused

CHUNK_ROWS = 2_000
"""Records handed on at a time: enough to spread the cost of a chunk, little enough to be nothing in memory."""

_SAMPLE_BYTES = 64 * 1024

_OTHER_FORMATS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"{\\rtf", "a rich text document"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"SQLite format 3", "a database"),
    (b"PAR1", "a Parquet file"),
)
_FLAT_XML = ((b"urn:schemas-microsoft-com:office:spreadsheet", "an Excel 2003 XML spreadsheet"),)


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

    `name`: the file's name without folder. `sha256`: of its bytes, unpacked, hexadecimal. `sheet`: "" for text files.
    `headers`: as they stand there. `header_row`: the record that holds them. `ours`: this program wrote the file.
    `hidden_rows`: how many rows below the header a spreadsheet hides, `hidden_columns`: which of `headers` it hides;
    `records_shown`: the records without the hidden rows.
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

    def below(self, headers: tuple[str, ...], header_row: int) -> Table:
        """The table whose headings stand further down, in the record of that number."""
        shown = self.records_shown

        def from_there(records: Callable[[], Iterator[Record]]) -> Iterator[Record]:
            return (record for record in records() if record[0] > header_row)

        return replace(
            self,
            headers=headers,
            header_row=header_row,
            ours=is_ours(headers),
            records=partial(from_there, self.records),
            records_shown=None if shown is None else partial(from_there, shown),
        )

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
    """A file that was opened. `sheets`: what is in it (one, named "", in a text file).

    `sha256`: of its bytes, unpacked: the same list has the same one, however it was packed. `notes`: what had to be
    assumed or unpacked to read it, as sentences.
    """

    name: str
    sha256: str
    sheets: tuple[SheetSeen, ...]
    table: Callable[[int], Table]
    """The table of a sheet by its place. Raises `EmptyTable` when it has no row."""
    notes: tuple[str, ...] = field(default=())

    @property
    def is_workbook(self) -> bool:
        """Whether it has sheets with names."""
        return self.sheets[0].name != ""


def open_table(path: str | os.PathLike[str]) -> Table:
    """The table of a text file, or of the first sheet of a workbook. Raises as `open_file`."""
    return open_file(path).table(0)


def open_file(
    path: str | os.PathLike[str], *, limits: InputLimits | None = None, encoding: str | None = None
) -> InputFile:
    """A file, told by content and not by name, after one pass over it; "-" is standard input.

    Args:
        limits: of what is unpacked and read.
        encoding: of text, as a codec of Python; None to find it.

    Raises:
        UsageError: there is no such file, it is a folder, or it may not be read.
        InputRefused: it is neither a workbook nor text that can be read, or has no header. `EmptyTable`: it has no row.
    """
    limits = limits or InputLimits()
    notes: list[str] = []
    source = open_source(Path(path), limits, notes)
    with source.reading() as stream:
        head = stream.read(_SAMPLE_BYTES)
    if head.startswith((ZIP, OLE)):
        return _open_workbook(source, limits, notes)
    _refuse_other_formats(source.name, head)
    text = find_encoding(source, encoding)
    if text.assumed:
        notes.append(f"{source.name}: {text.assumed}")
    table, top = _open_text(source, text, limits)
    seen = SheetSeen("", False, table.headers, True, top)
    return InputFile(name=source.name, sha256=text.sha256, sheets=(seen,), table=lambda _: table, notes=tuple(notes))


def _open_workbook(source: Source, limits: InputLimits, notes: list[str]) -> InputFile:
    sha256 = digest_of(source)
    sheets = read_workbook(source, limits)
    return InputFile(
        name=source.name,
        sha256=sha256,
        sheets=tuple(SheetSeen(one.name, one.hidden, one.headers, one.rows, one.top) for one in sheets),
        table=lambda index: _sheet_table(source.name, sha256, sheets[index]),
        notes=tuple(notes),
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
    if not head:
        raise EmptyTable(f"{name} is empty: it has 0 bytes. Export it again.")
    for start, what in _OTHER_FORMATS:
        if head.startswith(start):
            raise InputRefused(f"{name} is {what}, and only workbooks and CSV are read. {SAVE_AS_CSV}")
    plain = head.removeprefix(b"\xef\xbb\xbf")
    if plain[:2] in (b"\xff\xfe", b"\xfe\xff"):
        plain = plain[2:].replace(b"\0", b"")
    beginning = plain.lstrip()[:2000].lower()
    if beginning.startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<table", b"<meta", b"<style", b"<?xml")):
        what = next((what for word, what in _FLAT_XML if word in beginning), "a web page or XML document")
        raise InputRefused(
            f"{name} is {what}, whatever its name says. Open it in Excel and save it as .xlsx or CSV UTF-8."
        )


def _open_text(
    source: Source, text: TextEncoding, limits: InputLimits
) -> tuple[Table, tuple[tuple[int, tuple[str, ...]], ...]]:
    """The table, its header the first record, and its first records."""
    name = source.name
    dialect = find_dialect(source, text.codec)
    top = tuple((number, tuple(cells)) for number, cells in islice(read_records(source, dialect), LOOKED_AT))
    if not top:
        raise EmptyTable(f"{name} holds nothing but blank lines. Export it again.")
    header_row, headers = top[0]
    if len(top) == 1:
        raise _no_rows(name, header_row, headers)

    def below() -> Iterator[Record]:
        count = 0
        for record in read_records(source, dialect):
            if record[0] > header_row:
                count += 1
                if count > limits.rows:
                    raise InputRefused(limits.too_many(name))
                yield record

    table = Table(
        name=name,
        sha256=text.sha256,
        sheet="",
        headers=(*headers, "") if dialect.padded else headers,
        header_row=header_row,
        encoding=text.label,
        delimiter=dialect.delimiter,
        ours=is_ours(headers),
        records=below,
    )
    return table, top
