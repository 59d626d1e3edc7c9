"""Reading our workbooks back, as tests need it: sheets as rows of values, the parts of the archive as text."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from openpyxl import load_workbook


def open_book(path: Path) -> Any:
    """The workbook as openpyxl reads it."""
    return load_workbook(path)


def sheets_of(path: Path) -> dict[str, list[list[Any]]]:
    """Every sheet's rows, values as openpyxl reads them."""
    book = load_workbook(path)
    return {sheet.title: [[cell.value for cell in row] for row in sheet.iter_rows()] for sheet in book}


def table_of(path: Path, sheet: str) -> list[dict[str, Any]]:
    """A sheet's rows by their headings; an empty cell is ""."""
    header, *rows = sheets_of(path)[sheet]
    return [{heading: "" if cell is None else cell for heading, cell in zip(header, row, strict=True)} for row in rows]


def parts_of(path: Path) -> dict[str, str]:
    """The archive's XML parts."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}
