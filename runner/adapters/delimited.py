"""Records out of delimited text by the strict `csv` module, the delimiter, and where a quote went wrong."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from runner.core.columns import role_of
from runner.errors import CouponRunnerError, InputRefused, UsageError

Record = tuple[int, list[str]]
"""The number of a record as a spreadsheet shows it (the first is 1; a quoted cell may span lines), and its cells."""

DELIMITERS = (",", ";", "\t", "|")
_DELIMITER_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}

_SAMPLE_RECORDS = 200


def unreadable(file: Path, error: OSError) -> CouponRunnerError:
    """What the operating system says of a file, as a sentence."""
    if isinstance(error, FileNotFoundError):
        return UsageError(f"There is no file {file}. Check the path; relative ones start at the current folder.")
    if isinstance(error, PermissionError):
        return UsageError(f"{file} may not be read by this user. Change its permissions, or close it in Excel.")
    return UsageError(
        f"{file} cannot be read: {error.strerror or type(error).__name__}. Check the disk or the network."
    )


def stamp_of(descriptor: int) -> tuple[int, int, int]:
    """What changes when a file is written: its inode, size in bytes and time of change."""
    status = os.fstat(descriptor)
    return status.st_ino, status.st_size, status.st_mtime_ns


def read_records(file: Path, delimiter: str, stamp: tuple[int, int, int]) -> Iterator[Record]:
    """All records with something in them, numbered as a spreadsheet numbers them: blank lines count."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            if stamp_of(text.fileno()) != stamp:
                raise changed(file)
            reader = csv.reader(text, delimiter=delimiter, strict=True)
            record_line = 1
            try:
                for number, cells in enumerate(reader, start=1):
                    record_line = reader.line_num + 1
                    if "".join(cells).strip():
                        yield number, cells
            except csv.Error as error:
                raise _bad_quoting(file, delimiter, record_line, error) from error
            if stamp_of(text.fileno()) != stamp:
                raise changed(file)
    except UnicodeDecodeError as error:
        raise changed(file) from error  # every byte was checked when the file was opened
    except OSError as error:
        raise unreadable(file, error) from error


def changed(file: Path) -> InputRefused:
    """The sentence for a file that somebody writes while it is read."""
    return InputRefused(
        f"{file.name} changed while it was being read: another program may still be writing it. "
        "Start again when it is done."
    )


def _bad_quoting(file: Path, delimiter: str, record_line: int, error: csv.Error) -> InputRefused:
    with file.open(encoding="utf-8-sig", newline="") as text:
        opened, line, closed = _follow_quotes(text, delimiter, record_line)
    if "field limit" in str(error) and (closed or not opened):
        return InputRefused(
            f"{file.name}: a cell of the record that begins in line {record_line} has more than "
            f"{csv.field_size_limit():,} characters, which no spreadsheet writes. Look at that line."
        )
    if not closed:
        return InputRefused(
            f"{file.name}: the double quote opened in line {opened} is never closed. Close it; a quote that "
            'belongs to the text is written twice ("").'
        )
    return InputRefused(
        f"{file.name}: in line {line} something follows the closing quote of a cell (its quote was opened in line "
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


def find_delimiter(name: str, sample: str, *, cut: bool) -> tuple[str, bool]:
    """(delimiter, whether every row ends in one separator more than the header).

    Judged by what makes the header a header: headings that mean something come first, then rows as wide as the header.
    """
    candidates = []
    for delimiter in DELIMITERS:
        records, broken = _sample_records(sample, delimiter, cut)
        if not records or len(records[0]) < 2:
            continue
        header, rows = records[0], records[1:]
        width = len(header)
        padded = bool(rows) and all(len(row) == width + 1 and not row[-1].strip() for row in rows)
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
