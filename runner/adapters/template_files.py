"""Writes the empty spreadsheet, as a workbook or as CSV; a file that is there already is never touched."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner.core.model import Kind
from runner.core.template import (
    CUSTOMERS,
    NOTES,
    SERIES,
    SERIES_EXAMPLE,
    SERIES_HEADINGS,
    headings_of,
    notes_of,
)
from runner.core.workbook_tables import Column, Look
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.adapters.workbook_sheets import Book


def write_template(path: Path, kinds: Sequence[Kind], *, as_csv: bool, at: float) -> None:
    """Write an empty list for these kinds of identifier.

    Raises:
        UsageError: the file is there already, or cannot be written.
    """
    if path.exists():
        raise _is_there(path)
    content = _csv(kinds) if as_csv else _workbook(kinds, at)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise _is_there(path) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from None


def _is_there(path: Path) -> UsageError:
    return UsageError(f"{path} is there already and was not changed. Name another file.")


def _csv(kinds: Sequence[Kind]) -> bytes:
    headings = headings_of(kinds)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([one.name for one in headings])
    writer.writerow([one.example for one in headings])
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def _workbook(kinds: Sequence[Kind], at: float) -> bytes:
    from runner.adapters.workbook_sheets import Book  # openpyxl is loaded when a workbook is wanted

    with tempfile.TemporaryDirectory(prefix="coupon-runner-") as folder:

        def scratch(name: str) -> Path:
            path = Path(folder) / name
            path.touch(mode=0o600)
            return path

        book = Book("template", scratch=scratch, title="Customers and coupon series", at=at)
        try:
            return _filled(book, kinds)
        finally:
            book.close()


def _filled(book: Book, kinds: Sequence[Kind]) -> bytes:
    headings = headings_of(kinds)
    customers = book.table(CUSTOMERS, [Column(one.name, True, Look.TEXT) for one in headings])
    customers.write([[one.example for one in headings]])
    series = book.table(SERIES, [Column(name, True, Look.TEXT) for name in SERIES_HEADINGS])
    series.write([SERIES_EXAMPLE])
    notes = book.table(NOTES, [Column("About", False, Look.TEXT), Column("What it means", False, Look.WIDE)])
    notes.write([list(line) for line in notes_of(kinds)])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()
