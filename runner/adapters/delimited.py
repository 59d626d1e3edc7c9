"""Records out of delimited text by the strict `csv` module, the delimiter, and where a quote went wrong."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, NamedTuple

from runner.adapters.sources import Source, changed
from runner.core.columns import role_of
from runner.core.table_finding import find_headings
from runner.errors import InputRefused

Record = tuple[int, list[str]]
"""The number of a record as a spreadsheet shows it (the first is 1; a quoted cell may span lines), and its cells."""

DELIMITERS = (",", ";", "\t", "|")
_DELIMITER_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}

_SAMPLE_RECORDS = 200
_SAMPLE_SIGNS = 64 * 1024

_TOLD = re.compile(r'"?sep=(?:(?P<sign>[^\r\n])(?P=sign)*)?"?(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
"""A first line that is for Excel, which does not show it."""


class Dialect(NamedTuple):
    """How records stand in a text. `codec`: of Python. `told`: its first line is `sep=` and says the delimiter.

    `padded`: every row ends in one separator more than the header.
    """

    codec: str
    delimiter: str
    padded: bool = False
    told: bool = False


def read_records(source: Source, dialect: Dialect) -> Iterator[Record]:
    """All records with something in them, numbered as a spreadsheet does: blank lines count, `sep=` does not."""
    try:
        with source.reading() as stream:
            text = _text(stream, dialect)
            reader = csv.reader(text, delimiter=dialect.delimiter, strict=True)
            record_line = 1
            try:
                for number, cells in enumerate(reader, start=1):
                    record_line = reader.line_num + 1
                    if "".join(cells).strip():
                        yield number, cells
            except csv.Error as error:
                raise _bad_quoting(source, dialect, record_line, error) from error
    except UnicodeError as error:
        raise changed(source.name) from error  # every byte was checked when the file was opened


def _text(stream: IO[bytes], dialect: Dialect) -> io.TextIOWrapper:
    text = io.TextIOWrapper(stream, encoding=dialect.codec, newline="")
    if dialect.told:
        text.readline()
    return text


def _bad_quoting(source: Source, dialect: Dialect, record_line: int, error: csv.Error) -> InputRefused:
    with source.reading() as stream:
        text = _text(stream, dialect)  # named, since it closes the stream when it goes
        opened, line, closed = _follow_quotes(text, dialect.delimiter, record_line)
    record_line, opened, line = (number + dialect.told for number in (record_line, opened, line))
    if "field limit" in str(error) and (closed or opened == dialect.told):
        return InputRefused(
            f"{source.name}: a cell of the record that begins in line {record_line} has more than "
            f"{csv.field_size_limit():,} characters, which no spreadsheet writes. Look at that line."
        )
    if not closed:
        return InputRefused(
            f"{source.name}: the double quote opened in line {opened} is never closed. Close it; a quote that "
            'belongs to the text is written twice ("").'
        )
    return InputRefused(
        f"{source.name}: in line {line} something follows the closing quote of a cell (its quote was opened in line "
        f'{opened}). A quote that belongs to the text is written twice (""); one that is missing has to be added.'
    )


def _follow_quotes(lines: Iterable[str], delimiter: str, record_line: int) -> tuple[int, int, bool]:
    """(line of the last quote that opened a cell in the record, line where reading stopped, whether it was closed)."""
    opened, at_start, inside, closing = 0, True, False, False
    number = length = 0
    for number, line in enumerate(lines, start=1):
        if number < record_line:
            continue
        length += len(line)
        if length > 2 * csv.field_size_limit():
            break
        for sign in line:
            if inside and closing:
                closing = False
                if sign == '"':
                    continue
                inside, at_start = False, sign == delimiter
                if not at_start and sign not in "\r\n":
                    return opened, number, True
            elif inside:
                closing = sign == '"'
            elif at_start and sign == '"':
                opened, inside = number, True
            else:
                at_start = sign == delimiter
        if not inside:
            return opened, number, True
    return opened, number, closing


def find_dialect(source: Source, codec: str) -> Dialect:
    """How the records of a text are separated: as its first line `sep=;` says, else as its header and rows show.

    Raises:
        InputRefused: it is not certain.
    """
    with source.reading() as stream:
        text = io.TextIOWrapper(stream, encoding=codec, newline="")
        sample = text.read(_SAMPLE_SIGNS)
    if (told := _TOLD.match(sample)) is not None:
        delimiter = told["sign"] or ""
        if not delimiter or delimiter.isalnum() or delimiter in '"\r\n ':
            raise InputRefused(
                f"{source.name}: its first line, {told[0].strip()}, says no separator that can be used. Write sep=; "
                "(or the separator that the file has), or delete that line."
            )
        records = _sample_records(sample[told.end() :], delimiter, len(sample) == _SAMPLE_SIGNS)[0]
        if records and (other := _separates(records[0], delimiter)) is not None:
            raise InputRefused(
                f"{source.name}: its first line, {told[0].strip()}, says one separator, but the headings are separated "
                f"by {_DELIMITER_NAMES[other]}. Correct that line, or delete it."
            )
        padded = _is_padded(records)
        return Dialect(codec, delimiter, padded, told=True)
    delimiter, padded = find_delimiter(source.name, sample, cut=len(sample) == _SAMPLE_SIGNS)
    return Dialect(codec, delimiter, padded)


def _separates(header: Sequence[str], told: str) -> str | None:
    """What separates headings that mean something in the only cell of a header, else None."""
    if len(header) != 1:
        return None
    others = (one for one in DELIMITERS if one != told and one in header[0])
    return next((one for one in others if any(map(role_of, header[0].split(one)))), None)


def _is_padded(records: Sequence[Sequence[str]]) -> bool:
    """Whether every row ends in one separator more than the header."""
    width = len(records[0]) if records else 0
    return len(records) > 1 and all(len(row) == width + 1 and not row[-1].strip() for row in records[1:])


def find_delimiter(name: str, sample: str, *, cut: bool) -> tuple[str, bool]:
    """(delimiter, whether every row ends in one separator more than the header).

    Judged by what makes the header a header: headings that mean something come first, then rows as wide as the header.
    """
    candidates = []
    for delimiter in DELIMITERS:
        records, broken = _sample_records(sample, delimiter, cut)
        if not records:
            continue
        # Titles above the headings say nothing about what separates the cells.
        at = find_headings(tuple(enumerate(records))).last
        records = records[at:]
        if len(records[0]) < 2:
            continue
        header, rows = records[0], records[1:]
        width = len(header)
        padded = not at and _is_padded(records)
        fitting = sum(len(row) == width + padded for row in rows) / len(rows) if rows else 1.0
        meaning = sum(role_of(heading) is not None for heading in header)
        candidates.append(((meaning, not broken, fitting), delimiter, padded))
    if not candidates:
        return DELIMITERS[0], False  # one column: there is nothing to separate
    best = max(score for score, _, _ in candidates)
    winners = [(delimiter, padded) for score, delimiter, padded in candidates if score == best]
    if len(winners) > 1:
        names = " and ".join(_DELIMITER_NAMES[delimiter] for delimiter, _ in winners)
        raise InputRefused(
            f"{name}: {names} separate its cells equally well, so it is not certain which is meant. "
            "Save it with only one of them in the header line."
        )
    return winners[0]


def _sample_records(sample: str, delimiter: str, cut: bool) -> tuple[list[list[str]], bool]:
    records: list[list[str]] = []
    try:
        for cells in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, strict=True):
            if "".join(cells).strip():
                records.append(cells)
            if len(records) == _SAMPLE_RECORDS:
                return records, False
    except csv.Error as error:
        # At the end of a sample that was cut, an open quote says nothing.
        return records, not (cut and "unexpected end" in str(error))
    return (records[:-1] if cut and len(records) > 1 else records), False
