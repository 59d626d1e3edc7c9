"""Writes tests/fixtures/sheets: python -m tests.make_fixtures (LibreOffice is needed for what only it can write).

One small file for each kind of spreadsheet that people bring; what each has to give stands in `test_formats.py`.
"""

from __future__ import annotations

import gzip
import shutil
import struct
import subprocess
import tempfile
import zipfile
from pathlib import Path

from openpyxl import Workbook

FOLDER = Path(__file__).resolve().parent / "fixtures" / "sheets"

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


if __name__ == "__main__":
    main()
