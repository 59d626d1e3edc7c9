"""Writes sample_inputs/demo.xlsx, the same each time: python -m tests.make_demo

Customers with mixed errors on one sheet, the list of their series on another, as a spreadsheet comes from Excel.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from openpyxl import Workbook
from openpyxl.styles import Font
from openpyxl.worksheet.worksheet import Worksheet

DEMO = Path(__file__).resolve().parent.parent / "sample_inputs" / "demo.xlsx"

# The dates of a spreadsheet have no zone.
A_DATE = datetime(2026, 11, 23)  # noqa: DTZ001
CREATED = datetime(2026, 1, 1)  # noqa: DTZ001

SERIES = [
    ("series_id", "name", "count", "max_total", "value"),
    (415446, "Welcome", None, 5000, 100),
    (535521, "Birthday", 2, 50, 250),
    (600709, "Newsletter", None, None, 50),
    (600504, "One each", None, 10, 500),
    (600502, "Five at most", None, None, 75),
]

CUSTOMERS = [
    ("member", "Mobile No.", "city", "Series", "Qty"),
    ("Sample 01", 919000000001, "Sampleton", "Welcome", 1),
    ("Sample 02 (a series id)", 919000000002, "Sampleton", 415446, 2),
    ("Sample 03 (the mobile as text)", "919000000003", "Testville", "welcome", 1),
    ("Sample 04 (two series in one cell)", 919000000004, "Testville", "Welcome; Birthday", 1),
    ("Sample 05 (a wholesaler: three calls)", 919000000005, "Exampleburg", "Welcome", 1200),
    ("Sample 06", 919000000006, "Sampleton", "Welcome", 3),
    ("Sample 07 (no count: the list says)", 919000000007, "Sampleton", "Birthday", None),
    ("Sample 03 again", 919000000003, "Testville", "Welcome", 1),
    ("Sample 08 (not a customer)", 919000000008, "Testville", "Welcome", 1),
    ("Sample 09", 919000000009, "Sampleton", "Birthday", 1),
    ("Sample 10", 919000000010, "Sampleton", "Birthday", 2),
    ("Sample 11", 919000000011, "Exampleburg", "Birthday", 1),
    ("Sample 12 (a letter in the mobile)", "91900O000012", "Exampleburg", "Welcome", 1),
    ("Sample 13 (a count of zero)", 919000000013, "Sampleton", "Welcome", 0),
    ("Sample 14 (no series)", 919000000014, "Sampleton", None, 1),
    ("Sample 15 (count in words)", 919000000015, "Testville", "Welcome", "two"),
    ("Sample 16", 919000000016, "Sampleton", "Newsletter", 1),
    ("Sample 17 (has that coupon already)", 919000000017, "Sampleton", "Newsletter", 1),
    ("Sample 18 (one coupon each)", 919000000018, "Testville", "One each", 3),
    ("Sample 19", 919000000019, "Testville", "One each", 1),
    ("Sample 20 (five coupons at most)", 919000000020, "Exampleburg", "Five at most", 8),
    ("Sample 21", 919000000021, "Exampleburg", "Five at most", 5),
    ("Sample 22 (digits lost in Excel)", "9.19E+11", "Testville", "Welcome", 2),
    ("Sample 23 (a date where the mobile was)", A_DATE, "Exampleburg", "Welcome", 3),
    ("Sample 24 (a series that is not in the list)", 919000000024, "Sampleton", "Anniversary", 1),
    ("Sample 25 (two ids made one number)", 919000000025, "Testville", 415446535521, 2),
    ("Sample 26 (a formula's error)", "#N/A", "Exampleburg", "Welcome", 3),
    ("Sample 27", 919000000027, "Sampleton", "Welcome", 1),
    ("Sample 28", 919000000028, "Testville", "Birthday", 2),
    ("Sample 29", 919000000029, "Exampleburg", "Welcome", 3),
    ("Sample 30 (leading zeros by format)", 919000000030, "Sampleton", "Welcome", 1),
    ("Sample 31", 919000000031, "Testville", "Welcome", 2),
]


def write(path: Path) -> None:
    """The workbook, without anything that changes from one time to the next."""
    book = Workbook()
    customers = book.worksheets[0]
    customers.title = "customers"
    _fill(customers, CUSTOMERS, [44, 16, 14, 20, 8])
    for row in customers.iter_rows(min_row=2, min_col=2, max_col=2):
        for cell in row:
            cell.number_format = "dd/mm/yyyy" if isinstance(cell.value, datetime) else "0"
    customers.cell(row=len(CUSTOMERS) - 1, column=2).number_format = "000000000000"
    _fill(book.create_sheet("series"), SERIES, [12, 16, 8, 12, 8])
    book.properties.created = book.properties.modified = CREATED
    draft = path.with_suffix(".draft")
    book.save(draft)
    with zipfile.ZipFile(draft) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in sorted(source.namelist(), key=lambda name: (name != "[Content_Types].xml", name)):
            content = source.read(name)
            if name == "docProps/core.xml":  # saving stamps the time
                content = _without_time(content)
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(info, content)
    draft.unlink()


def _fill(sheet: Worksheet, rows: Sequence[tuple[object, ...]], widths: list[int]) -> None:
    for row in rows:
        sheet.append(list(row))
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    for index, width in enumerate(widths):
        sheet.column_dimensions["ABCDE"[index]].width = width
    sheet.freeze_panes = "A2"


def _without_time(core: bytes) -> bytes:
    before, mark, rest = core.partition(b"<dcterms:modified")
    inside, close, after = rest.partition(b"</dcterms:modified>")
    return before + mark + inside.partition(b">")[0] + b">2026-01-01T00:00:00Z" + close + after


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else DEMO)
