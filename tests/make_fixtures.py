"""Writes tests/fixtures: python -m tests.make_fixtures (LibreOffice is needed for what only it can write).

`sheets`: one small file for each kind of file that people bring; what each has to give stands in
`tests/adapters/test_formats.py`. `lists`: one for each thing that people do inside a sheet; what becomes of its rows
stands in `tests/app/test_lists.py`.
"""

from __future__ import annotations

import gzip
import shutil
import struct
import subprocess
import tempfile
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

from openpyxl import Workbook

FOLDER = Path(__file__).resolve().parent / "fixtures" / "sheets"
LISTS = FOLDER.parent / "lists"

CSV = "mobile,name\n919000000001,Ann\n919000000002,Bob\n"
NAMES = "mobile;name\n919000000001;{}\n919000000002;{}\n"
RUSSIAN = (
    "mobile,имя,город\n919000000001,Иван Петров,Москва\n919000000002,Ольга Кузнецова,Казань\n"
    "919000000003,Сергей Смирнов,Новосибирск\n"
)
POLISH = "mobile,name\n919000000001,Łukasz Żółć\n919000000002,Grzegorz Wiśniewski\n"

_MACRO = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE script:module PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "module.dtd">
<script:module xmlns:script="http://openoffice.org/2000/script" script:name="Module1" script:language="StarBasic">
Sub Main
  Dim hide(0) As New com.sun.star.beans.PropertyValue
  hide(0).Name = "Hidden"
  hide(0).Value = True
  book = StarDesktop.loadComponentFromURL("file://{source}", "_blank", 0, hide())
  Dim how(1) As New com.sun.star.beans.PropertyValue
  how(0).Name = "FilterName"
  how(1).Name = "Password"
  how(1).Value = "secret"
  how(0).Value = "MS Excel 97"
  book.storeToURL("file://{target}/protected.xls", how())
  how(0).Value = "calc8"
  book.storeToURL("file://{target}/protected.ods", how())
  book.close(True)
  StarDesktop.terminate()
End Sub
</script:module>"""
_LIBRARY = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE library:library PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "library.dtd">
<library:library xmlns:library="http://openoffice.org/2000/library" library:name="Standard" library:readonly="false"
 library:passwordprotected="false"><library:element library:name="Module1"/></library:library>"""


def customers() -> Workbook:
    """Every kind of cell, a row that a person hid, one that a filter hid, a hidden column and a hidden sheet."""
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = "List"
    for row in (
        ("mobile", "externalId", "note", "count", "secret"),
        (919000000001, 7, "plain numbers", 1, "a"),
        ("919000000002", "0008", "texts", 2, "b"),
        (919000000003, 9, "a row that a person hid", 1, "c"),
        (919000000004, 10, "a row that a filter hid", 1, "d"),
        (919000000005, 11, "Zoë  “quoted”", 1.5, "e"),
        (None, None, None, None, None),
        (True, "=1/0", "a truth value and an error", 1000, "f"),
    ):
        sheet.append(row)
    for number in range(2, 7):
        sheet.cell(row=number, column=2).number_format = "0000"
    sheet["D8"].number_format = "#,##0"
    sheet.row_dimensions[4].hidden = True
    sheet.auto_filter.ref = "A1:E8"
    sheet.auto_filter.add_filter_column(2, ["plain numbers"])
    sheet.row_dimensions[5].hidden = True
    sheet.column_dimensions["E"].hidden = True
    book.create_sheet("Old").append(["mobile"])
    book["Old"].append([919000000009])
    book["Old"].sheet_state = "hidden"
    return book


def write_texts() -> None:
    """Text files in what people's programs write, and what they are packed in."""
    for name, content in {
        "plain.csv": CSV.encode(),
        "tabs.tsv": CSV.replace(",", "\t").encode(),
        "bars.txt": CSV.replace(",", "|").encode(),
        "bom.csv": CSV.encode("utf-8-sig"),
        "utf16-le.txt": CSV.replace(",", "\t").encode("utf-16"),
        "utf16-be.csv": b"\xfe\xff" + CSV.encode("utf-16-be"),
        "utf16-no-mark.csv": CSV.encode("utf-16-le"),
        "utf16-cut.csv": CSV.encode("utf-16")[:-1],
        "windows-1252.csv": NAMES.format("René Müller", "Zoë – “x”").encode("cp1252"),
        "cyrillic.csv": RUSSIAN.encode("cp1251"),
        "polish-1250.csv": POLISH.encode("cp1250"),
        "two-encodings.csv": (CSV + "919000000003,René\n").encode() + "919000000004,Zoë\n".encode("cp1252"),
        "sep.csv": b"sep=;\r\nmobile;name\r\n919000000001;a,b\r\n",
        "sep-caret.csv": b"sep=^\nmobile^name\n919000000001^a,b;c\n",
        "sep-other.csv": b"sep=,\nmobile;name\n919000000001;a\n",
        "sep-none.csv": b"sep=\nmobile;name\n919000000001;a\n",
        "quotes.csv": b'mobile,name\r\n919000000001,"two\r\nlines, and ""quotes"""\r\n919000000002,b\r\n',
        "cr-only.csv": b"mobile,name\r919000000001,a\r919000000002,b\r",
        "mixed-ends.csv": b"mobile,name\r\n919000000001,a\n919000000002,b\r919000000003,c",
        "nul.csv": b"mobile,name\n919000000001,a\0b\n",
        "open-quote.csv": b'mobile,name\n919000000001,a\n919000000002,"b\n919000000003,c\n',
        "ragged.csv": b"mobile,name,count\n919000000001,a\n919000000002,b,1,x\n919000000003,c,1\n",
        "trailing-comma.csv": b"mobile,name\n919000000001,a,\n919000000002,b,\n",
        "empty.csv": b"",
        "blank.csv": b"\r\n , \r\n\r\n",
        "header-only.csv": b"mobile,name\n",
        "page-called.xls": b"<html><body><table><tr><td>mobile</td></tr><tr><td>919000000001</td></tr></table></body>",
        "csv-called.xls": CSV.encode(),
        "xml-2003-called.xls": b'<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?>'
        b'<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"/>',
        "list.csv.gz": gzip.compress(CSV.encode(), mtime=0),
        "cut.csv.gz": gzip.compress(CSV.encode() * 500, mtime=0)[:-20],
        "twice.gz": gzip.compress(gzip.compress(CSV.encode(), mtime=0), mtime=0),
        "not-read.7z": b"7z\xbc\xaf\x27\x1c\0\x04",
    }.items():
        (FOLDER / name).write_bytes(content)


def write_archives(workbook: bytes) -> None:
    """What comes in a zip archive, and workbooks with something wrong in their archive."""
    _zip("list.zip", {"folder/": b"", "folder/customers.csv": CSV.encode(), "__MACOSX/folder/._customers.csv": b"x"})
    _zip("workbook.zip", {"customers.xlsx": workbook})
    _zip("two.zip", {"a.csv": CSV.encode(), "b.csv": CSV.encode()})
    _zip("none.zip", {"folder/": b""})
    _zip("nested.zip", {"inner.zip": (FOLDER / "list.zip").read_bytes()})
    (FOLDER / "workbook-called.csv").write_bytes(workbook)
    (FOLDER / "workbook.xlsx.gz").write_bytes(gzip.compress(workbook, mtime=0))
    (FOLDER / "cut.xlsx").write_bytes(workbook[:2000])
    with zipfile.ZipFile(FOLDER / "customers.xlsx") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    entities = b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'
    sheet = "xl/worksheets/sheet1.xml"
    _zip("entities.xlsx", {**parts, sheet: parts[sheet].replace(b"<worksheet", entities + b"<worksheet", 1)})


def _zip(name: str, parts: dict[str, bytes]) -> None:
    with zipfile.ZipFile(FOLDER / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, content in parts.items():
            archive.writestr(zipfile.ZipInfo(part, (2026, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)


def write_by_libreoffice(workbook: bytes) -> None:
    """What only an office program can write: .xls, .ods, and both with a password."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "customers.xlsx"
        source.write_bytes(workbook)
        office = ["soffice", "--headless", "--norestore", f"-env:UserInstallation=file://{folder}/home"]
        for kind in ("xls", "ods"):
            _run([*office, "--convert-to", kind, "--outdir", str(FOLDER), str(source)])
        basic = Path(folder) / "home" / "user" / "basic" / "Standard"
        macro = _MACRO.replace("{source}", str(source)).replace("{target}", str(FOLDER))
        (basic / "Module1.xba").write_text(macro, encoding="utf-8")
        (basic / "script.xlb").write_text(_LIBRARY, encoding="utf-8")
        _run([*office, "macro:///Standard.Module1.Main"])
        whole = (FOLDER / "customers.xls").read_bytes()
        (FOLDER / "cut.xls").write_bytes(whole[: len(whole) // 2])


LIST_TEXTS = {
    "vendor-headings.csv": "Id Mobile,Id Email,Id External,Coupon Series,Nos\n"
    "919000000001,ann@example.com,000017,415446,2\n",
    "more-headings.csv": "MSISDN;E-mail ID;Ext. Cust ID;Coupon Series;Qty\n"
    "919000000001;ann@example.com;000017;415446;2\n",
    "french.csv": "Nom;N° de téléphone;Qté\nAnne;919000000001;2\n",
    "spanish.csv": "Nombre;Teléfono móvil;Cant.\nAna;919000000001;2\n",
    "portuguese.csv": "Nome;Nº de telemóvel;Qtd\nAna;919000000001;2\n",
    "indonesian.csv": "Nama,No. HP,Jumlah Kupon\nAna,919000000001,2\n",
    "hindi.csv": "नाम,मोबाइल नं.,संख्या\nअना,919000000001,2\n",
    "arabic.csv": "الاسم,رقم الموبايل,العدد\nآنا,919000000001,2\n",  # noqa: RUF001
    "customer-id.csv": "Customer ID,Qty\n1001,1\n",
    "user-id.csv": "User ID,Mobile\n1001,919000000001\n",
    "two-phones.csv": "Mobile,Phone\n919000000001,919000000002\n",
    "swapped.csv": "Mobile,Email\n" + "".join(f"c{n}@example.com,91900000000{n}\n" for n in range(1, 4)),
    "repeated-heading.csv": "mobile\n919000000001\nmobile\n919000000002\n",
    "phones.csv": "Mobile,Qty\n+91 98765-43210,1\n098765 43210,1\n0091 98765 43210,1\n+91 (0) 98765 43210,1\n"
    "9876543210,1\n(098765) 43211,2\n12345,1\n+91 1111111111,1\n+999 12345678,1\n9876543212 / 9876543213,1\n",
    "no-region.csv": "Mobile\n+91 98765 43210\n00919876543211\n9876543212\n",
    "damage.csv": "External ID,Mobile\nA1,9.19E+11\nA2,919876000000\nA3,#N/A\nA4,TRUE\nA5,=A1\nA6,2026-11-23\n"
    "3.87E+06,919876543210\n12-Mar,919876543211\n3873472.0,919876543212\n123456789012345000,919876543213\n"
    "N/A,919876543214\nA7,919876543215\n",
    "short-ids.csv": "External ID\n" + "".join(f"{n:06}\n" for n in range(3872, 3880)) + "3880\n",
    "repairs.csv": 'Mobile,Email,Qty\n9876543210.0,mailto:Ann@example.com,2.0\n\'9876543211,bob@example.com,"1,200"\n'
    "98765\u00a043212,cid@example.com\u200b,'3\n\uff19\uff18765432\uff11\uff13,dee@example.com,1\n"
    "tel:9876543214,eve@example.com,1\n",
    "emails.csv": "Email\nann@example.com\nANN@example.com\nbob@example\ncid@example.com;dee@example.com\n"
    "ja\u0308n@example.com\n",
    "counts.csv": "Mobile,Qty\n"
    + "".join(
        f'91900000000{n},"{cell}"\n' for n, cell in enumerate(("2", "2.0", "1,200", "1 200", "", "1,00,000"), start=1)
    )
    + "".join(
        f'91900000001{n},"{cell}"\n'
        for n, cell in enumerate(("2.5", "0", "-1", "\u22121", "two", "1e3", "1.200", "1,20", "10001"), start=1)
    ),
    "joined-series.csv": 'Mobile,Series\n919000000001,"415446,535521"\n919000000002,415446535521\n'
    '919000000003,"415,446"\n'
    '919000000004,"415,446,535,521"\n',
    "separators-behind.csv": "mobile,qty\n919000000001,1,\n919000000002,1\n919000000003,1,,\n",
}
"""What people do inside a sheet, as text: what becomes of each row stands in `tests/app/test_lists.py`."""


def titled() -> Workbook:
    """Titles, blank rows and a blank column, headings in merged cells, one with a line break; total and notes below."""
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = "Diwali"
    sheet["B1"] = "Diwali campaign, north"
    sheet.merge_cells("B1:F1")
    for cell, text in (("B3", "Customer"), ("D3", "Offer"), ("F3", "Remarks")):
        sheet[cell] = text
    for cells in ("B3:C3", "D3:E3", "F3:F4"):
        sheet.merge_cells(cells)
    for cell, text in (("B4", "Name"), ("C4", "Mobile\nNo."), ("D4", "Coupon Series"), ("E4", "Qty")):
        sheet[cell] = text
    for number, row in enumerate((("Ann", 919000000001, 415446, 1, None), ("Bob", 919000000002, 415446, 2, "ok"))):
        for column, value in enumerate(row, start=2):
            sheet.cell(row=5 + 2 * number, column=column, value=value)
    sheet["B9"], sheet["C9"], sheet["E9"] = "Total", 1838000000003, 3
    sheet["B11"] = "Prepared by: marketing"
    return book


def several_sheets() -> Workbook:
    """The list between a page of notes and a summary such as a pivot table leaves."""
    book = Workbook()
    book.worksheets[0].title = "Read me"
    book["Read me"].append(["This is the list for Diwali"])
    book["Read me"].append(["Ask marketing"])
    sheet = book.create_sheet("List")
    for row in (("Mobile", "City"), (919000000001, "Pune"), (919000000002, "Delhi")):
        sheet.append(row)
    pivot = book.create_sheet("Pivot")
    for line in (("Row Labels", "Count of Mobile"), ("Delhi", 1), ("Pune", 1), ("Grand Total", 2)):
        pivot.append(line)
    return book


def hidden_parts() -> Workbook:
    """A row that a filter hides, one that a person hid, a hidden column that is read, a hidden sheet of customers."""
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = "List"
    sheet.append(("Mobile", "Qty", "City"))
    for number in range(1, 6):
        sheet.append((919000000000 + number, 2, "Pune" if number != 2 else "Delhi"))
    sheet.auto_filter.ref = "A1:C6"
    sheet.auto_filter.add_filter_column(2, ["Pune"])
    sheet.row_dimensions[3].hidden = True
    sheet.row_dimensions[5].hidden = True
    sheet.column_dimensions["B"].hidden = True
    old = book.create_sheet("Last year")
    old.append(("Mobile",))
    old.append((919000000009,))
    old.sheet_state = "hidden"
    return book


def odd_numbers() -> Workbook:
    """Mobiles as text, as numbers and under formats; what a spreadsheet makes of ids, series and counts."""
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.append(("Mobile", "External ID", "Series", "Qty"))
    rows: tuple[tuple[Any, ...], ...] = (
        (9876543210, "0001", 415446, 1, {}),
        ("98765 43211", "0002", "415446", 2.0, {}),
        (919876543212, "0003", 415446, 1, {1: "0.00E+00"}),
        (9876543213, "0004", 415446, 1, {1: '"+91 "00000 00000'}),
        (9876543214, 5, 415446, 1, {2: "0000"}),
        (date(2026, 11, 23), "0006", 415446, 1, {1: "yyyy-mm-dd"}),
        (True, "0007", 415446, 1, {}),
        (919876000000, "0008", 415446, 1, {}),
        (9876543215.5, "0009", 415446, 1, {}),
        (9876543216, 12345678901234567890, 415446, 1, {2: "0"}),
        (9876543217, "0011", 415446535521, 1, {3: "#,##0"}),
        (9876543218, "0012", 415446, 1, {3: "#,##0"}),
        (9876543219, "0013", 415446, 0.5, {4: "0%"}),
        (9876543220, "0014", 415446, date(2026, 1, 2), {4: "d-mmm"}),
    )
    for number, (*cells, formats) in enumerate(rows, start=2):
        sheet.append(cells)
        for column, code in formats.items():
            sheet.cell(row=number, column=column).number_format = code
    return book


def uncalculated() -> Workbook:
    """Formulas that no program has calculated, as scripts write them."""
    book = Workbook()
    sheet = book.worksheets[0]
    for row in (("Mobile", "Qty"), (919000000001, "=1+1"), ("=A2", 1), (919000000003, 1)):
        sheet.append(row)
    return book


LIST_BOOKS = {
    "titled": titled,
    "several-sheets": several_sheets,
    "hidden-parts": hidden_parts,
    "odd-numbers": odd_numbers,
    "uncalculated": uncalculated,
}
CONVERTED = ("titled", "several-sheets", "hidden-parts", "odd-numbers")
"""Those of which LibreOffice writes an .xls and an .ods; it would calculate the formulas."""


def write_lists() -> None:
    """What people do inside a sheet: as text, by openpyxl, and by LibreOffice."""
    LISTS.mkdir(parents=True, exist_ok=True)
    for name, content in LIST_TEXTS.items():
        (LISTS / name).write_text(content, encoding="utf-8", newline="")
    for name, made in LIST_BOOKS.items():
        made().save(LISTS / f"{name}.xlsx")
    with tempfile.TemporaryDirectory() as folder:
        office = ["soffice", "--headless", "--norestore", f"-env:UserInstallation=file://{folder}/home"]
        sources = [str(LISTS / f"{name}.xlsx") for name in CONVERTED]
        for kind in ("xls", "ods"):
            _run([*office, "--convert-to", kind, "--outdir", str(LISTS), *sources])


def _encrypted_package() -> bytes:
    """The container that Excel puts a workbook with a password into: two streams, whose content nobody can read."""
    names = [("Root Entry", 5, 0xFFFFFFFE, 0), ("EncryptionInfo", 2, 2, 4096), ("EncryptedPackage", 2, 10, 4096)]
    directory = b""
    for name, kind, first, size in names:
        wide = name.encode("utf-16-le")
        entry = wide.ljust(64, b"\0") + struct.pack("<HBB", len(wide) + 2, kind, 1) + b"\xff" * 12
        directory += entry.ljust(116, b"\0") + struct.pack("<IQ", first, size)
    chains = [[0xFFFFFFFD], [0xFFFFFFFE]]
    chains += [[*range(first + 1, first + 8), 0xFFFFFFFE] for first in (2, 10)]
    fat = [sector for chain in chains for sector in chain]
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".ljust(24, b"\0")
    head += struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6).ljust(20, b"\0")
    head += struct.pack("<IIIIIIIII", 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0, 0) + b"\xff" * 432
    table = b"".join(struct.pack("<I", sector) for sector in fat).ljust(512, b"\xff")
    return head + table + directory.ljust(512, b"\0") + bytes(range(256)) * 32


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def main() -> None:
    """Write them all anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_texts()
    path = FOLDER / "customers.xlsx"
    customers().save(path)
    shutil.copy(path, FOLDER / "customers.xlsm")
    write_archives(path.read_bytes())
    (FOLDER / "protected.xlsx").write_bytes(_encrypted_package())
    write_by_libreoffice(path.read_bytes())
    write_lists()


if __name__ == "__main__":
    main()
