"""Files as people really bring them, one for each kind: what each gives, to the cell, or the sentence against it."""

from __future__ import annotations

import csv
import gzip
import io
import random
import sys
import tempfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from runner.adapters import containers
from runner.adapters.sheets import EmptyTable, InputFile, Table, open_file
from runner.core.input_limits import InputLimits
from runner.core.sheet_cells import doubt_of
from runner.errors import CouponRunnerError, InputRefused, UsageError
from tests.books import raw_parts, zip_parts
from tests.open_documents import save_document

FOLDER = Path(__file__).resolve().parent.parent / "fixtures" / "sheets"

ANN, BOB = (2, ["919000000001", "Ann"]), (3, ["919000000002", "Bob"])
A, B = (2, ["919000000001", "a"]), (3, ["919000000002", "b"])


def records(table: Table) -> list[tuple[int, list[str]]]:
    return [record for chunk in table.rows() for record in chunk]


def read_all(file: InputFile) -> list[list[tuple[int, list[str]]]]:
    return [records(file.table(number)) for number in range(len(file.sheets))]


def refusal(path: Path, **options) -> str:
    with pytest.raises(InputRefused) as caught:
        read_all(open_file(path, **options))
    assert caught.value.message.startswith(path.name)
    return caught.value.message


TEXTS = {
    "plain.csv": ("UTF-8", ",", [ANN, BOB]),
    "tabs.tsv": ("UTF-8", "\t", [ANN, BOB]),
    "bars.txt": ("UTF-8", "|", [ANN, BOB]),
    "bom.csv": ("UTF-8 with BOM", ",", [ANN, BOB]),
    "utf16-le.txt": ("UTF-16", "\t", [ANN, BOB]),
    "utf16-be.csv": ("UTF-16", ",", [ANN, BOB]),
    "utf16-no-mark.csv": ("UTF-16 without a byte order mark", ",", [ANN, BOB]),
    "windows-1252.csv": (
        *("Windows-1252", ";"),
        [(2, ["919000000001", "René Müller"]), (3, ["919000000002", "Zoë – “x”"])],
    ),
    "sep.csv": ("UTF-8", ";", [(2, ["919000000001", "a,b"])]),
    "sep-caret.csv": ("UTF-8", "^", [(2, ["919000000001", "a,b;c"])]),
    "quotes.csv": (
        *("UTF-8", ","),
        [(2, ["919000000001", 'two\r\nlines, and "quotes"']), (3, ["919000000002", "b"])],
    ),
    "cr-only.csv": ("UTF-8", ",", [A, B]),
    "mixed-ends.csv": ("UTF-8", ",", [A, B, (4, ["919000000003", "c"])]),
    "ragged.csv": (
        *("UTF-8", ","),
        [(2, ["919000000001", "a"]), (3, ["919000000002", "b", "1", "x"]), (4, ["919000000003", "c", "1"])],
    ),
    "trailing-comma.csv": ("UTF-8", ",", [(2, ["919000000001", "a", ""]), (3, ["919000000002", "b", ""])]),
    "csv-called.xls": ("UTF-8", ",", [ANN, BOB]),
    "list.csv.gz": ("UTF-8", ",", [ANN, BOB]),
    "list.zip": ("UTF-8", ",", [ANN, BOB]),
}

NOTES = {
    "utf16-no-mark.csv": "every other byte of it is empty",
    "windows-1252.csv": "not UTF-8 (first in line 2, byte 17 of the line), so it is read as Windows-1252",
    "cyrillic.csv": "not UTF-8 (first in line 1, byte 8 of the line), so it is read as Windows-1251",
    "list.zip": "read is folder/customers.csv, the only file in it",
}

REFUSED = {
    "utf16-cut.csv": "is not UTF-16 text: line 3, character 17 of the line cannot be read",
    "polish-1250.csv": "line 2, byte 14 of the line cannot be read, and which other encoding it is in is not certain",
    "two-encodings.csv": "damaged: line 5, byte 16 of the line cannot be read. It was cut, or put together",
    "sep-other.csv": "its first line, sep=,, says one separator, but the headings are separated by semicolon",
    "sep-none.csv": "its first line, sep=, says no separator",
    "nul.csv": "holds a NUL byte in line 2, byte 15 of the line",
    "open-quote.csv": "the double quote opened in line 3 is never closed",
    "empty.csv": "is empty: it has 0 bytes",
    "blank.csv": "holds nothing but blank lines",
    "header-only.csv": "has a header in row 1 and no rows below it",
    "page-called.xls": "is a web page or XML document, whatever its name says",
    "xml-2003-called.xls": "is an Excel 2003 XML spreadsheet",
    "cut.csv.gz": "begins like a gzip file but is no complete archive: its end is missing",
    "twice.gz": "holds an archive inside an archive (gzip)",
    "nested.zip": "holds an archive inside an archive (zip)",
    "two.zip": "is a zip archive of 2 files (a.csv, b.csv), so it is not certain which is the list",
    "none.zip": "is a zip archive without a file in it",
    "not-read.7z": "is a 7-Zip archive, which is not read",
    "cut.xlsx": "is no complete archive: its end is missing. It is still being written",
    "cut.xls": "begins like an old Excel workbook (.xls) but is damaged",
    "entities.xlsx": "declares a document type",
    "protected.xlsx": "is protected by a password",
    "protected.xls": "is protected by a password",
    "protected.ods": "is protected by a password",
}

WORKBOOKS = ("customers.xlsx", "customers.xlsm", "customers.xls", "customers.ods", "workbook-called.csv",
             "workbook.zip", "workbook.xlsx.gz")  # fmt: skip


def test_every_fixture_has_its_outcome():
    """None is left without one."""
    known = {*TEXTS, *REFUSED, *WORKBOOKS, "cyrillic.csv"}
    assert {path.name for path in FOLDER.iterdir()} == known


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_read_to_the_cell(name):
    """Told by content, whatever it is called and packed in; rows are numbered as a spreadsheet shows them."""
    file = open_file(FOLDER / name)
    table = file.table(0)
    assert (table.name, table.encoding, table.delimiter, records(table)) == (name, *TEXTS[name])
    assert table.headers[:2] == ("mobile", "name")
    assert [NOTES[name] in note for note in file.notes] == ([True] if name in NOTES else [])


def test_another_alphabet_is_told_by_its_language():
    """And it is said, since it was assumed."""
    file = open_file(FOLDER / "cyrillic.csv")
    assert [cells[1] for _, cells in records(file.table(0))] == ["Иван Петров", "Ольга Кузнецова", "Сергей Смирнов"]
    assert NOTES["cyrillic.csv"] in file.notes[0]


def test_a_person_may_say_the_encoding():
    """Where it is not certain; it is still checked to the last byte."""
    file = open_file(FOLDER / "polish-1250.csv", encoding="cp1250")
    assert records(file.table(0))[0] == (2, ["919000000001", "Łukasz Żółć"])
    assert file.notes == ("polish-1250.csv: read as Windows-1250, as --encoding says",)
    assert "is not ascii text: line 2, byte 14" in refusal(FOLDER / "polish-1250.csv", encoding="ascii")
    assert records(open_file(FOLDER / "bom.csv", encoding="cp1250").table(0)) == [ANN, BOB]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_a_sentence(name):
    """With the file's name, what is wrong, and what to do."""
    message = refusal(FOLDER / name)
    assert REFUSED[name] in message
    remedies = (
        "Export",
        "Save",
        "save",
        "give",
        "Write",
        "Close",
        "Unpack",
        "Start again",
        "Correct",
        "no rows below it",
    )
    assert any(word in message for word in remedies)
    assert isinstance(_error_of(FOLDER / name), EmptyTable) == (name in ("empty.csv", "blank.csv", "header-only.csv"))


def _error_of(path: Path) -> Exception:
    with pytest.raises(InputRefused) as caught:
        read_all(open_file(path))
    return caught.value


LIST = [
    (2, ["919000000001", "0007", "plain numbers", "1", "a"]),
    (3, ["919000000002", "0008", "texts", "2", "b"]),
    (4, ["919000000003", "0009", "a row that a person hid", "1", "c"]),
    (5, ["919000000004", "0010", "a row that a filter hid", "1", "d"]),
    (6, ["919000000005", "0011", "Zoë  “quoted”", "1.5", "e"]),
]


@pytest.mark.parametrize("name", WORKBOOKS)
def test_a_workbook_of_every_program_gives_the_same_cells(name):
    """Numbers as their formats show them, and what is hidden: also in .xls and .ods, also packed."""
    file = open_file(FOLDER / name)
    assert [(sheet.name, sheet.hidden) for sheet in file.sheets] == [("List", False), ("Old", True)]
    table = file.table(0)
    assert table.headers == ("mobile", "externalId", "note", "count", "secret")
    assert (table.hidden_rows, table.hidden_columns) == (2, (4,))
    *plain, (number, odd) = records(table)
    assert plain == LIST
    assert (number, odd[0], odd[2:]) == (8, "TRUE", ["a truth value and an error", "1000", "f"])
    assert all(map(doubt_of, (odd[0], odd[1], plain[4][1][3])))
    assert (doubt_of(odd[3]), doubt_of(odd[3], series=True) is not None) == (None, True)
    assert records(table.without_hidden()) == [(at, row[:4]) for at, row in [*plain, (number, odd)] if at not in (4, 5)]
    assert records(file.table(1)) == [(2, ["919000000009"])]


def test_a_list_has_one_fingerprint_however_it_is_packed():
    """So that the same file is known again when it comes compressed."""
    assert open_file(FOLDER / "plain.csv").sha256 == open_file(FOLDER / "list.csv.gz").sha256
    assert open_file(FOLDER / "customers.xlsx").sha256 == open_file(FOLDER / "workbook.zip").sha256


def test_a_list_comes_through_standard_input(monkeypatch):
    """Named "-"; packed, too. Nothing is waited for where a person sits at the terminal."""
    for name in ("plain.csv", "list.zip"):
        pipe = io.BytesIO((FOLDER / name).read_bytes())
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe, isatty=lambda: False))
        table = open_file("-").table(0)
        assert (table.name, records(table), records(table)) == ("standard input", [ANN, BOB], [ANN, BOB])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(UsageError, match="nothing is piped into it"):
        open_file("-")


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("packed", ["gz", "zip", "pipe"])
def test_what_unpacks_to_too_much_is_refused_while_it_is_unpacked(tmp_path, monkeypatch, packed):
    """A bomb of gigabytes is given up after the first megabytes, whatever it says of its size."""
    path, asked = tmp_path / f"bomb.{packed}", []
    bomb = bytes(40 * 1024**2)
    if packed == "gz":
        path.write_bytes(gzip.compress(bomb))
    elif packed == "zip":
        zip_parts(path, {"list.csv": bomb})
    limits = InputLimits(unpacked=3 * 1024**2)
    if packed == "pipe":

        def read(size: int) -> bytes:
            asked.append(size)
            return bytes(size)

        pipe = SimpleNamespace(read=read)
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe, isatty=lambda: False))
        path = containers.STDIN
    else:
        monkeypatch.setattr(containers, "BLOCK_BYTES", 1024**2)
    with pytest.raises(InputRefused, match=r"unpacks to more than 3.1 MB \(max_unpacked in the settings\)"):
        open_file(path, limits=limits)
    assert len(asked) <= 4


def test_more_rows_than_are_read_are_refused(tmp_path):
    """Text and workbooks; the limit is a setting, and the sentence says which."""
    limits = InputLimits(rows=1)
    assert "more than 1 rows (max_rows in the settings)" in refusal(FOLDER / "plain.csv", limits=limits)
    for name in ("customers.xlsx", "customers.xls", "customers.ods"):
        assert "sheet 'List' has more than 4 rows" in refusal(FOLDER / name, limits=InputLimits(rows=4))
    assert len(records(open_file(FOLDER / "plain.csv", limits=InputLimits(rows=2)).table(0))) == 2


def test_empty_rows_with_a_format_cost_next_to_nothing(tmp_path):
    """Somebody formatted whole columns: 200,000 rows of borders are no rows, and no callback a cell."""
    empty = "".join(f'<row r="{n}" spans="1:3"><c r="A{n}" s="1"/><c r="B{n}" s="1"/></row>' for n in range(3, 200_003))
    rows = '<row r="1"><c r="A1" t="str"><v>mobile</v></c></row><row r="2"><c r="A2"><v>7</v></c></row>'
    last = '<row r="200003"><c r="A200003"><v>8</v></c></row>'
    path = zip_parts(tmp_path / "styled.xlsx", raw_parts(rows + empty + last, formats=["000"]))
    calls = 0

    def count(frame, event, _):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        found = records(open_file(path).table(0))
    finally:
        sys.setprofile(None)
    assert found == [(2, ["7"]), (200_003, ["8"])]
    assert calls < 20_000


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('<table:table-row table:number-rows-repeated="999999999">{}</table:table-row>', "999,999,999 times"),
        ('<table:table-row><table:table-cell table:number-columns-repeated="99999"/>{}</table:table-row>', "16,384"),
    ],
)
def test_a_document_that_repeats_itself_without_end_is_refused(tmp_path, row, said):
    """One line of XML can stand for a billion cells."""
    cell = '<table:table-cell office:value-type="string"><text:p>x</text:p></table:table-cell>'
    path = save_document(tmp_path / "list.ods", [["mobile"]], after=row.format(cell))
    assert said in refusal(path)


# ── the same list in every format ────────────────────────────────────────────────────────────────────────────────────

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp", "Cn"]), max_size=5)
ROWS = st.lists(
    st.tuples(st.integers(0, 10**14).map(lambda tail: 9 * 10**14 + tail), NAMES, st.integers(1, 999)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.booleans())
def test_the_same_list_saved_as_csv_xlsx_and_ods_gives_the_same_cells(rows, as_text):
    """So it gives the same order keys: rows, numbers and texts are alike to the sign."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cells = [[str(mobile) if as_text else mobile, f"x{text}", count] for mobile, text, count in rows]
        table = [["mobile", "name", "count"], *cells]
        with (folder / "list.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(table)
        book = Workbook()
        for row in table:
            book.worksheets[0].append(row)
        for cell in book.worksheets[0]["B"]:
            cell.data_type = "s"  # a text that begins with = is one
        book.save(folder / "list.xlsx")
        save_document(folder / "list.ods", table)
        found = [records(open_file(folder / f"list.{kind}").table(0)) for kind in ("csv", "xlsx", "ods")]
        assert found[0] == found[1] == found[2]
        assert [cells[0] for _, cells in found[0]] == [str(mobile) for mobile, _, _ in rows]


# ── whatever comes ───────────────────────────────────────────────────────────────────────────────────────────────────

KINDS = ("customers.xlsx", "customers.xls", "customers.ods", "list.csv.gz", "list.zip", "workbook.zip")


@settings(max_examples=120, deadline=None)
@given(name=st.sampled_from(KINDS), seed=st.integers(0, 2**32), flips=st.integers(1, 4), cut=st.booleans())
def test_a_damaged_file_is_a_table_or_a_refusal(name, seed, flips, cut):
    """Never a traceback, and never a customer that is not in the file."""
    chance = random.Random(seed)
    data = bytearray((FOLDER / name).read_bytes())
    for _ in range(flips):
        data[chance.randrange(2, len(data))] = chance.randrange(256)
    if cut:
        del data[chance.randrange(4, len(data)) :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            found = read_all(open_file(path, limits=InputLimits(unpacked=50_000_000)))
        except CouponRunnerError:
            return
    if not name.endswith(".xls"):  # archives carry checksums, an old workbook has none
        mobiles = {f"91900000000{digit}" for digit in range(1, 10)} | {"TRUE", ""}
        assert {cells[0] for sheet in found for _, cells in sheet} <= mobiles


@settings(max_examples=120, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["", "gz", "zip"]))
def test_any_bytes_in_any_packing_are_a_table_or_a_refusal(data, packed):
    """Text in any encoding, or no text at all."""
    content = data
    if packed == "gz":
        content = gzip.compress(data)
    elif packed == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("list.csv", data)
        content = buffer.getvalue()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list"
        path.write_bytes(content)
        try:
            file = open_file(path)
            found, encoding = read_all(file)[0], file.table(0).encoding
        except CouponRunnerError:
            return
    codec = {"UTF-8": "utf-8", "UTF-8 with BOM": "utf-8", "Windows-1252": "cp1252"}.get(encoding)
    if codec is not None:
        text = data.decode(codec).replace('"', "")
        assert all(cell.replace('"', "") in text for _, row in found for cell in row)
