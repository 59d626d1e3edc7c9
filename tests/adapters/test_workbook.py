"""Workbooks.

The text that a person sees, row numbers as Excel shows them, what is hidden, and damage refused by name.
"""

from __future__ import annotations

import contextlib
import random
import re
import tempfile
import zipfile
from datetime import date, datetime, time
from html import escape
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from runner.adapters import workbook, workbook_rows, workbook_scan, workbook_xml
from runner.adapters.sheets import EmptyTable, Table, open_file
from runner.core.input_limits import InputLimits
from runner.core.sheet_cells import doubt_of
from runner.errors import CouponRunnerError, InputRefused
from tests.books import raw_parts, save_book, zip_parts


def records(table: Table) -> list[tuple[int, list[str]]]:
    return [record for chunk in table.rows() for record in chunk]


def cells_of(path: Path) -> list[list[str]]:
    return [cells for _, cells in records(open_file(path).table(0))]


def read_all(path: Path) -> None:
    file = open_file(path)
    for number in range(len(file.sheets)):
        records(file.table(number))


def refusal(path: Path) -> str:
    with pytest.raises(InputRefused) as caught:
        read_all(path)
    assert path.name in caught.value.message
    return caught.value.message


@pytest.fixture
def book(tmp_path):
    def save(rows, **options) -> Path:
        return save_book(tmp_path / "list.xlsx", {"L": rows}, **options)

    return save


@pytest.fixture
def raw(tmp_path):
    def save(sheet: str, **options) -> Path:
        return zip_parts(tmp_path / "raw.xlsx", raw_parts(sheet, **options))

    return save


def test_a_sheet_is_a_table_like_any_other(book):
    """Told by content, whatever the file is called."""
    path = book([("mobile", "note"), (919000000001, "a"), ("919000000002", None)])
    renamed = path.rename(path.with_name("list.csv"))
    table = open_file(renamed).table(0)
    assert (table.name, table.sheet, table.headers, table.header_row) == ("list.csv", "L", ("mobile", "note"), 1)
    assert len(table.sha256) == 64
    assert records(table) == [(2, ["919000000001", "a"]), (3, ["919000000002", ""])]
    assert records(table) == records(table)


def test_row_numbers_are_those_that_excel_shows(tmp_path):
    """Blank rows above, between and columns to the left do not shift anything."""
    written = Workbook()
    sheet = written.worksheets[0]
    sheet["C4"], sheet["D4"] = "mobile", "note"
    sheet["C6"], sheet["D9"] = 919000000001, "b"
    sheet["D10"] = "  "
    written.save(tmp_path / "list.xlsx")
    table = open_file(tmp_path / "list.xlsx").table(0)
    assert (table.headers, table.header_row) == (("mobile", "note"), 4)
    assert records(table) == [(6, ["919000000001", ""]), (9, ["", "b"])]


def test_rows_without_numbers_are_counted(raw):
    """Some programs leave the references out: cells and rows then follow each other."""
    sheet = '<row><c t="str"><v>mobile</v></c></row><row><c><v>7</v></c><c><v>8</v></c></row>'
    assert records(open_file(raw(sheet)).table(0)) == [(2, ["7", "8"])]


def test_numbers_keep_what_their_format_shows(tmp_path):
    """Leading zeros; and 919876543210 is that text in a numeric cell."""
    written = Workbook()
    sheet = written.worksheets[0]
    sheet.append(["externalId"])
    for row, (value, code) in enumerate([(3873472, "0" * 12), (919876543210, "General"), (7, "@")], start=2):
        sheet.cell(row=row, column=1, value=value).number_format = code
    written.save(tmp_path / "list.xlsx")
    assert cells_of(tmp_path / "list.xlsx") == [["000003873472"], ["919876543210"], ["7"]]


def test_what_is_no_entry_is_doubtful(book):
    """Dates, times, truth values, errors, formulas that nobody calculated, and lost digits."""
    day, moment = date(2026, 5, 1), datetime(2026, 5, 1, 12, 30)  # noqa: DTZ001 - dates of a spreadsheet have no zone
    values = [day, moment, time(3, 4), True, "#N/A", "=1+1", 1.5, 10**15]
    found = [row[0] for row in cells_of(book([["mobile"], *([value] for value in values)]))]
    assert found[:7] == ["2026-05-01", "2026-05-01 12:30:00", "03:04:00", "TRUE", "#N/A", "=1+1", "1.5"]
    assert all(doubt_of(cell) for cell in found)


def test_shared_texts_and_formulas_are_read_as_excel_writes_them(raw):
    """Rich text in one piece; a formula's text and number; entities; blank texts."""
    shared = "<si><t>mobile</t></si><si><r><t>91</t></r><r><t xml:space='preserve'>9 &amp;</t></r></si><si><t/></si>"
    sheet = (
        '<row r="1"><c r="A1" t="s"><v>0</v></c></row><row r="2"><c r="A2" t="s"><v>1</v></c></row>'
        '<row r="3"><c r="A3" t="str"><f>A1&amp;1</f><v>x1</v></c></row>'
        '<row r="4"><c r="A4" t="s"><v>2</v></c></row>'
        '<row r="5"><c r="A5"><f>3+4</f><v>7</v></c></row><row r="6"><c r="A6" s="1"><v>7</v></c></row>'
    )
    path = raw(sheet, shared=shared, formats=["000"])
    assert records(open_file(path).table(0)) == [(2, ["919 &"]), (3, ["x1"]), (5, ["7"]), (6, ["007"])]


def test_hidden_rows_columns_and_sheets_are_seen(tmp_path):
    """A filter hides rows, a person hides columns: what is shown can be read without them."""
    written = Workbook()
    sheet = written.worksheets[0]
    sheet.title = "L"
    for row in [("mobile", "secret", "note"), (1, "a", "x"), (2, "b", "y"), (3, "c", None)]:
        sheet.append(list(row))
    sheet.row_dimensions[3].hidden = True
    sheet.row_dimensions[9].hidden = True
    sheet.column_dimensions["B"].hidden = True
    written.create_sheet("old").sheet_state = "hidden"
    written.create_sheet("older").sheet_state = "veryHidden"
    written.save(tmp_path / "list.xlsx")
    file = open_file(tmp_path / "list.xlsx")
    assert [(one.name, one.hidden) for one in file.sheets] == [("L", False), ("old", True), ("older", True)]
    table = file.table(0)
    assert (table.hidden_rows, table.hidden_columns) == (1, (1,))
    assert [row for row, _ in records(table)] == [2, 3, 4]
    shown = table.without_hidden()
    assert (shown.headers, shown.hidden_rows, shown.hidden_columns) == (("mobile", "note"), 0, ())
    assert records(shown) == [(2, ["1", "x"]), (4, ["3", ""])]


def test_rows_of_no_height_and_columns_of_no_width_are_hidden(raw):
    """Also where a sheet hides all rows that do not say otherwise; a header's row above does not count."""
    sheet = (
        '<row r="1"><c r="A1" t="str"><v>mobile</v></c></row><row r="2" ht="0"><c r="A2"><v>1</v></c></row>'
        '<row r="3" hidden="0"><c r="A3"><v>2</v></c></row><row r="4"><c r="B4"><v>3</v></c></row>'
    )
    before = '<sheetFormatPr zeroHeight="1"/><cols><col min="2" max="3" width="0"/></cols>'
    table = open_file(raw(sheet, before=before)).table(0)
    assert (table.hidden_rows, table.hidden_columns) == (2, (1,))
    assert records(table.without_hidden()) == [(3, ["2"])]


def test_blank_and_header_only_sheets_have_their_own_sentences(tmp_path):
    """A nightly job may expect an empty list: `EmptyTable`."""
    file = open_file(save_book(tmp_path / "list.xlsx", {"blank": [], "header": [("mobile",)]}))
    assert [(one.headers, one.rows) for one in file.sheets] == [((), False), (("mobile",), False)]
    with pytest.raises(EmptyTable, match="sheet 'blank' is empty"):
        file.table(0)
    with pytest.raises(EmptyTable, match="header in row 1 and no rows below"):
        file.table(1)


def test_a_file_of_ours_is_recognised(book):
    """By its `_ref` column."""
    assert open_file(book([("mobile", "_ref"), (1, "x")])).table(0).ours


def test_a_protected_workbook_is_told_so(tmp_path):
    """Excel wraps it into the old container."""
    path = tmp_path / "list.xlsx"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(3000) + "EncryptedPackage".encode("utf-16-le"))
    assert "protected by a password" in refusal(path)
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(3000))
    assert "old Excel workbook (.xls)" in refusal(path)


def test_other_archives_are_told_so(tmp_path):
    """OpenDocument that is no spreadsheet, a binary workbook."""
    path = tmp_path / "list.xlsx"
    assert "OpenDocument" in refusal(zip_parts(path, {"mimetype": "x", "content.xml": "<x/>"}))
    assert "no Excel workbook" in refusal(zip_parts(path, {"[Content_Types].xml": "<x/>"}))
    binary = raw_parts("")
    binary["_rels/.rels"] = binary["_rels/.rels"].replace("workbook.xml", "workbook.bin")
    assert "binary workbook (.xlsb)" in refusal(zip_parts(path, binary))


ROWS = '<row r="1"><c r="A1" t="str"><v>mobile</v></c></row><row r="2"><c r="A2"><v>1</v></c></row>'
BROKEN = {
    "not well formed": {"xl/worksheets/sheet1.xml": "<worksheet><sheetData>"},
    "no worksheet": {"xl/workbook.xml": "<workbook><sheets/></workbook>"},
    "declares a document type": {"xl/sharedStrings.xml": '<!DOCTYPE x [<!ENTITY a "aaaa">]><sst>&a;</sst>'},
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_damaged_workbook_is_refused_and_says_what_is_wrong(tmp_path, what):
    """With the way to mend it."""
    message = refusal(zip_parts(tmp_path / "list.xlsx", raw_parts(ROWS) | BROKEN[what]))
    assert what in message
    assert "save it again" in message


@pytest.mark.parametrize(
    ("sheet", "word"),
    [
        ('<row r="2"><c r="A2"><v>1</v></c></row><row r="2"><c r="A2"><v>2</v></c></row>', "row 2 comes after row 2"),
        ('<row r="1"><c r="B1"><v>1</v></c><c r="B1"><v>2</v></c></row>', "not in their order"),
    ],
)
def test_a_cell_that_stands_twice_is_refused(raw, sheet, word):
    """One program would read the first, another the second."""
    assert word in refusal(raw(sheet))


def test_a_missing_part_and_a_cut_file_are_refused(tmp_path):
    """A download that was broken off."""
    parts = raw_parts(ROWS)
    del parts["xl/worksheets/sheet1.xml"]
    assert "is missing" in refusal(zip_parts(tmp_path / "list.xlsx", parts))
    whole = zip_parts(tmp_path / "whole.xlsx", raw_parts(ROWS)).read_bytes()
    (tmp_path / "cut.xlsx").write_bytes(whole[: len(whole) // 2])
    assert "no complete archive" in refusal(tmp_path / "cut.xlsx")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_part_that_is_there_twice_is_refused(tmp_path):
    """Two programs would read two different lists."""
    path = zip_parts(tmp_path / "list.xlsx", raw_parts(ROWS))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", raw_parts(ROWS)["xl/worksheets/sheet1.xml"])
    assert "there twice" in refusal(path)


def test_what_unpacks_to_too_much_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    """By its size, its sum, and by how well it is compressed."""
    path = zip_parts(tmp_path / "list.xlsx", raw_parts(ROWS) | {"xl/media/x": bytes(40 * 1024**2)})
    assert "unpacks to 41,943,040 bytes" in refusal(path)
    monkeypatch.setattr(workbook_xml, "MAX_RATIO", 10**6)
    assert open_file(path).sheets[0].rows
    with pytest.raises(InputRefused, match=r"unpacks to more than 40 MB \(max_unpacked in the settings\)"):
        open_file(path, limits=InputLimits(unpacked=40 * 10**6))


def test_a_part_that_lies_about_its_size_is_refused(tmp_path):
    """It is unpacked as far as it says, and then its checksum is wrong."""
    path = zip_parts(
        tmp_path / "list.xlsx", raw_parts(ROWS) | {"xl/sharedStrings.xml": "<sst>" + " " * 9000 + "</sst>"}
    )
    data = path.read_bytes()
    assert data.count((9011).to_bytes(4, "little")) == 2
    path.write_bytes(data.replace((9011).to_bytes(4, "little"), (11).to_bytes(4, "little")))
    assert "is damaged" in refusal(path)


def test_a_cell_far_outside_the_list_is_named_and_refused(raw, monkeypatch):
    """The rectangle around everything filled would fill the memory."""
    monkeypatch.setattr(workbook, "MAX_CELLS", 1000)
    sheet = ROWS + '<row r="900"><c r="CC900"><v>1</v></c></row>'
    assert "something stands in row 900, column 81" in refusal(raw(sheet))


def test_two_readings_that_differ_refuse_the_file(raw, monkeypatch):
    """A reader that reads a number otherwise than it is written is not believed."""
    monkeypatch.setattr(workbook, "_same_number", lambda *_: False)
    with_care(monkeypatch)
    assert "row 2, column 1: two readings of the cell differ" in refusal(raw(ROWS))


def test_a_cell_that_says_it_stands_in_another_row_refuses_the_file(raw):
    """One program goes by the row, another by the cell: whose count it is cannot be told."""
    rows = "".join(f'<row r="{at}"><c r="A{at}"><v>{at}</v></c></row>' for at in range(2, 9))
    sheet = '<row r="1"><c r="A1" t="str"><v>mobile</v></c></row>' + rows.replace('r="A5"', 'r="A6"', 1)
    assert "two readings of the cell differ" in refusal(raw(sheet))


def test_a_workbook_that_changes_after_it_was_opened_is_refused(book):
    """What was hashed and planned would not be what is read."""
    table = open_file(book([("mobile",), (1,)])).table(0)
    book([("mobile",), (1,), (2,)])
    with pytest.raises(InputRefused, match="changed while it was being read"):
        records(table)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.integers(1, 4))
def test_a_workbook_with_flipped_bytes_is_a_table_or_a_refusal(seed, cuts):
    """Never a traceback, and never cells that were not written."""
    chance = random.Random(seed)
    shared = "<si><t>mobile</t></si><si><t>919000000001</t></si>"
    sheet = ROWS + '<row r="3"><c r="A3" t="s"><v>1</v></c></row>'
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.xlsx"
        if seed % 2:  # inside the archive: the XML itself
            parts: dict[str, str | bytes] = dict(raw_parts(sheet, shared=shared))
            name = chance.choice(sorted(parts))
            content = bytearray(str(parts[name]).encode())
            for _ in range(cuts):
                content[chance.randrange(len(content))] = chance.randrange(256)
            zip_parts(path, parts | {name: bytes(content)})
        else:
            data = bytearray(zip_parts(path, raw_parts(sheet, shared=shared)).read_bytes())
            for _ in range(cuts):
                data[chance.randrange(4, len(data))] = chance.randrange(256)
            path.write_bytes(bytes(data))
        with contextlib.suppress(CouponRunnerError):
            read_all(path)


ODD_ROWS = {
    "a comment with a row": '<!-- <row r="2"><c r="A2"><v>2</v></c></row> --><row r="3"><c r="A3"><v>3</v></c></row>',
    "hidden": '<row r="2" hidden="1"><c r="A2"><v>2</v></c></row><row r="3" hidden="0"><c r="B3"><v>3</v></c></row>',
    "no height": '<row r="2" ht="0"><c r="A2"><v>2</v></c></row><row r="3" ht="15.5"><c r="A3"><v>3</v></c></row>',
    "inline texts": '<row r="2"><c r="A2" t="inlineStr"><is><t>a &amp; b</t></is></c><c r="B2"><v>5</v></c></row>',
    "rich inline texts": '<row r="2"><c r="A2" t="inlineStr"><is><r><t>a</t></r><r><t>b</t></r></is></c></row>',
    "a formula": '<row r="2"><c r="A2"><f>1+1</f><v>2</v></c></row><row r="3"><c r="A3"><f>1+1</f></c></row>',
    "blank cells": '<row r="2"><c r="A2" s="1"/><c r="B2"><v>7</v></c></row><row r="3"/><row r="4"><c r="A4"/></row>',
    "no number": '<row><c r="A2"><v>2</v></c></row><row r="7"><c r="A7"><v>7</v></c></row><row><c><v>8</v></c></row>',
    "other attributes": '<row r="2" spans="1:2" ht="12.8" customHeight="1" x="y"><c r="B2" s="1"><v>7</v></c></row>',
    "no value at the right": '<row r="2"><c r="A2"><v>2</v></c><c r="D2"><v></v></c></row>',
    "an error": '<row r="2"><c r="A2" t="e"><v>#N/A</v></c><c r="B2" t="b"><v>1</v></c></row>',
}


@pytest.mark.parametrize("what", ODD_ROWS)
def test_rows_read_by_patterns_are_those_that_the_parser_reads(raw, monkeypatch, what):
    """The short way is a faster one, and no other one."""
    with_care(monkeypatch)
    head = '<row r="1"><c r="A1" t="str"><v>mobile</v></c><c r="B1" t="str"><v>note</v></c></row>'
    file = open_file(raw(head + ODD_ROWS[what], formats=["000"]))
    found = [(table, records(table)) for table in (file.table(0), file.table(0).without_hidden())]
    monkeypatch.setattr(workbook_rows, "_PLAIN_ROW", re.compile(b"(?!)"))
    again = open_file(raw(head + ODD_ROWS[what], formats=["000"]))
    assert [records(table) for table in (again.table(0), again.table(0).without_hidden())] == [one for _, one in found]
    assert again.table(0).hidden_rows == found[0][0].hidden_rows


@pytest.mark.parametrize("what", ODD_ROWS)
def test_a_first_look_sees_the_same_rows_and_columns(raw, what):
    """The same rows, the same hidden ones and the same first and last columns as reading every cell finds."""
    path = raw('<row r="1"><c r="A1"><v>1</v></c></row>' + ODD_ROWS[what], formats=["000"])
    with path.open("rb") as stream, workbook_rows.ExcelBook("list.xlsx", stream, InputLimits()) as package:
        part = package.sheets()[0].part
        look = workbook_scan.scan(package, part, 100)
        whole = list(package.rows(part, workbook_xml.SheetLayout()))
    assert list(look.rows) == [row.number for row in whole]
    assert look.hidden == [row.number for row in whole if row.hidden]
    assert (look.left, look.right) == (
        min(row.cells[0].column for row in whole),
        max(row.cells[-1].column for row in whole),
    )


def with_care(monkeypatch) -> None:
    """No row counts as ordinary, so that every one is read by its cells, in a second reading."""
    monkeypatch.setattr(workbook_scan, "_ORDINARY", re.compile(b"(?!)"))
    monkeypatch.setattr(workbook_scan, "CAREFUL_KEPT", -1)


FORMATS = [
    "General",
    "0",
    "@",
    "000000000000",
    "#,##0",
    "0.00",
    "yyyy-mm-dd",
    '"ID "0',
    "0%",
    "h:mm",
    "[<100]0;General",
]
CELL_VALUES = (
    "1",
    "0",
    "42",
    "007",
    "100",
    "45000",
    "919000000001",
    "999999999999999",
    "1234567890123456",
    "-5",
    "2.5",
)
CELL_TEXTS = ("", "a", "12", "a &amp; b", "&#65;", "x  y", "ü", "007")


@st.composite
def sheet_rows(draw):
    """Rows as programs write them: numbers under many formats, inline and shared texts, blank and odd cells, gaps."""
    number, rows = 1, []
    ordinary = draw(st.booleans())
    kinds = ("n", "n", "inline", "shared", "blank", *(() if ordinary else ("formula", "str", "b", "empty")))
    values = draw(st.sampled_from((CELL_VALUES, CELL_VALUES[:7], CELL_VALUES[:9])))
    for _ in range(draw(st.integers(1, 12))):
        number += draw(st.sampled_from((1, 1, 1, 1, 2, 5)))
        cells = ""
        for letter in sorted(draw(st.sets(st.sampled_from("ABCD")))):
            kind = draw(st.sampled_from(kinds))
            style = draw(st.sampled_from(("", *(f' s="{index}"' for index in range(len(FORMATS) + 1)))))
            value = draw(st.sampled_from(values))
            text = draw(st.sampled_from(CELL_TEXTS))
            typed = draw(st.sampled_from(("", ' t="n"')))
            at = f'<c r="{letter}{number}"{style}'
            cells += {
                "n": f"{at}{typed}><v>{value}</v></c>",
                "inline": f'{at} t="inlineStr"><is><t>{text}</t></is></c>',
                "shared": f'{at} t="s"><v>{draw(st.integers(0, 2))}</v></c>',
                "formula": f"{at}><f>1+1</f><v>{value}</v></c>",
                "blank": f"{at}/>",
                "str": f'{at} t="str"><v>{text}</v></c>',
                "b": f'{at} t="b"><v>1</v></c>',
                "empty": f"{at}><v></v></c>",
            }[kind]
        odd = () if ordinary else (' ht="0"', ' hidden="1"', ' hidden="0"')
        attributes = draw(st.sampled_from(("", ' spans="1:4"', ' ht="15.5" hidden="false"', *odd)))
        rows.append(f'<row r="{number}"{attributes}>{cells}</row>' if cells else f'<row r="{number}"{attributes}/>')
    return "".join(rows)


@given(rows=sheet_rows(), hidden=st.booleans())
def test_rows_of_one_shape_read_at_once_are_those_read_with_care(rows, hidden):
    """The same rows, the same texts and the same doubts, whatever the cells and their formats are."""
    head = '<row r="1"><c r="A1" t="str"><v>mobile</v></c></row><row r="1000"><c r="A1000"><v>7</v></c></row>'
    first, last = head.split('<row r="1000">')
    shared = "<si><t>one</t></si><si><t/></si><si><r><t>t</t></r><r><t>wo</t></r></si>"
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        sheet = first + rows + '<row r="1000">' + last
        path = zip_parts(
            Path(folder) / "list.xlsx", raw_parts(sheet, shared=shared, formats=list(map(escape, FORMATS)))
        )

        def read() -> object:
            table = open_file(path).table(0)
            found = records(table if hidden else table.without_hidden())
            return (
                [(row, cells, [doubt_of(cell, series=True) for cell in cells]) for row, cells in found],
                (table.headers, table.hidden_rows, table.hidden_columns),
            )

        at_once = read()
        with_care(patch)
        assert read() == at_once


def test_ordinary_cells_read_at_once_are_those_read_with_care(raw, monkeypatch):
    """Numbers and texts of every kind, in columns with and without a format of their own, give the same texts."""
    values = ("100", "1", "0", "-5", "2.5", "007", "1E3", "919000000001", "123456789012345", "1234567890123456", "12")
    rows = "".join(
        f'<row r="{at}"><c r="A{at}"><v>{value}</v></c><c r="B{at}" s="1"><v>{value}</v></c>'
        f'<c r="C{at}" t="str"><v>{value}</v></c><c r="D{at}" t="str"><f>A{at}</f></c>'
        f'<c r="E{at}" t="inlineStr"><is><t>{value}</t></is></c>'
        f'<c r="F{at}"><f>1+1</f><v>{value}</v></c><c r="G{at}" s="2"><v>{value}</v></c></row>'
        for at, value in enumerate(values, start=1)
    )
    formats = ["000000000000", "yyyy-mm-dd"]
    at_once = cells_of(raw(rows, formats=formats))
    monkeypatch.setattr(workbook, "is_plain_number", lambda _: False)
    with_care(monkeypatch)
    carefully = cells_of(raw(rows, formats=formats))
    assert at_once == carefully
    assert all(doubt_of(cells[3]) for cells in at_once)  # a formula that was never calculated
    assert [[doubt_of(cell) for cell in cells] for cells in at_once] == [
        [doubt_of(cell) for cell in cells] for cells in carefully
    ]
