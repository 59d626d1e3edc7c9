"""Tables out of files: what is there is read exactly, and what would have to be guessed is refused with its place."""

import csv
import hashlib
import io
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.adapters.sheets import CHUNK_ROWS, EmptyTable, Table, open_table
from runner.errors import InputRefused, UsageError


@pytest.fixture
def write(tmp_path):
    def write_bytes(data: bytes, name: str = "list.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write_bytes


def records(table: Table) -> list[tuple[int, list[str]]]:
    return [record for chunk in table.rows() for record in chunk]


def refusal(path, kind=InputRefused) -> str:
    with pytest.raises(kind) as caught:
        records(open_table(path))
    return caught.value.message


def test_a_table_says_what_it_is(write):
    data = "mobile;série\r\n919000000001;7\r\n".encode("utf-8-sig")
    table = open_table(write(data))
    assert (table.name, table.sheet, table.headers) == ("list.csv", "", ("mobile", "série"))
    assert table.sha256 == hashlib.sha256(data).hexdigest()
    assert (table.encoding, table.delimiter, table.header_row, table.ours) == ("UTF-8 with BOM", ";", 1, False)
    assert records(table) == [(2, ["919000000001", "7"])]


def test_a_table_is_read_as_often_as_wanted(write):
    table = open_table(write(b"mobile\n1\n2\n"))
    assert records(table) == records(table) == [(2, ["1"]), (3, ["2"])]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_delimiter_and_line_end_is_found(write, delimiter, end):
    lines = [delimiter.join(line) for line in (["Name, full", "mobile", "x|y"], ["Ann", "1", ""], ["Bob", "2", "3"])]
    if delimiter in ",|":
        lines = [line.replace("Name, full", "Name").replace("x|y", "x") for line in lines]
    table = open_table(write(end.join(lines).encode()))
    assert table.delimiter == delimiter
    assert [cells[1] for _, cells in records(table)] == ["1", "2"]


def test_commas_inside_cells_do_not_hide_the_semicolon(write):
    table = open_table(write(b"mobile;series_id\n919000000001;415446,535521\n919000000002;1,2\n"))
    assert table.delimiter == ";"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"mobile;series_id,x\n1;2,3\n", "headings that mean something"),
        (b"a;b,c\n1;2\n3;4\n", "rows as wide as the header"),
        (b'a;b,c\n"x;y";z\n', "quotes that are well formed"),
    ],
)
def test_what_tells_the_delimiter(write, data, why):
    """Where a header could be split in two ways, the way that makes sense of it is the one that is meant."""
    assert open_table(write(data)).delimiter == ";", why


def test_a_delimiter_that_nothing_decides_is_refused(write):
    assert "comma and semicolon separate its cells equally well" in refusal(write(b"a;b,c\nx;y,z\n"))


def test_one_column_needs_no_delimiter(write):
    assert records(open_table(write(b"mobile\n919000000001\n"))) == [(2, ["919000000001"])]


def test_row_numbers_are_those_that_a_spreadsheet_shows(write):
    """Blank lines count and are left out; a quoted cell with line breaks is one row."""
    data = b'mobile,note\r\n1,"a\nb"\r\n\r\n,\r\n" "," "\r\n2,c\r\n'
    assert records(open_table(write(data))) == [(2, ["1", "a\nb"]), (6, ["2", "c"])]


def test_the_header_is_the_first_line_with_something_in_it(write):
    table = open_table(write(b"\n\nmobile\n1\n"))
    assert (table.headers, table.header_row, records(table)) == (("mobile",), 3, [(4, ["1"])])


def test_cells_are_texts_as_they_stand(write):
    """Doubled quotes, leading zeros, blanks, and what looks like a number or nothing."""
    data = b'mobile,a,b,c\n007," x ","say ""hi""",NA\n1.0,,null,1e5\n'
    assert records(open_table(write(data))) == [(2, ["007", " x ", 'say "hi"', "NA"]), (3, ["1.0", "", "null", "1e5"])]


def test_ragged_rows_are_handed_on_as_they_are(write):
    """Nothing is padded or shifted here: the row reader rejects them."""
    table = open_table(write(b"mobile,a,b\n1\n2,x,y,z\n3,x,y\n"))
    assert [len(cells) for _, cells in records(table)] == [1, 4, 3]


def test_one_separator_too_many_on_every_row_is_one_blank_column(write):
    table = open_table(write(b"mobile,a\n1,x,\n2,y,\n"))
    assert table.headers == ("mobile", "a", "")
    assert open_table(write(b"mobile,a\n1,x,\n2,y\n")).headers == ("mobile", "a")


def test_a_file_of_ours_is_recognised(write):
    assert open_table(write(b"mobile,_ref\n1,x\n")).ours


def test_rows_come_in_chunks(write):
    table = open_table(write(b"mobile\n" + b"1\n" * (2 * CHUNK_ROWS + 1)))
    assert [len(chunk) for chunk in table.rows()] == [CHUNK_ROWS, CHUNK_ROWS, 1]


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"mobile,name\r\n1,Ren\x81\r\n", "line 2, byte 6 of the line"),
        (b"mobile,name\r1,a\r2,Ren\x81", "line 3, byte 6 of the line"),
        (b"mobile,name\n1,Ren\xc3", "line 2, byte 6 of the line"),
        (b"\xe9", "line 1, byte 1 of the line"),
        (b"mobile\n" + b"1\n" * 40_000 + b"\xe9\n", "line 40002, byte 1 of the line"),
        (b"mobile\r\n" + b"1\r\n" * 800_000 + b"12\xe9\r\n", "line 800002, byte 3 of the line"),
        (b"m" * (64 * 1024 - 1) + "é".encode() + b"\n\xff", "line 2, byte 1 of the line"),
    ],
)
def test_bytes_that_are_not_utf8_are_refused_with_their_place_and_never_replaced(write, data, where):
    message = refusal(write(data))
    assert where in message
    assert "Save As > CSV UTF-8" in message


def test_a_nul_is_refused_with_its_place(write):
    assert "NUL byte in line 2, byte 4 of the line" in refusal(write(b"mobile,name\n1,a\0b"))


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b'mobile,name\n1,a\n2,"b\nc\n3,d\n', 3),
        (b'mobile,name\n1,"a\nb"\n2,"x""\n3,c\n', 4),
        (b'mobile,name\n1,"a\nb","' + b"x\n" * 200_000, 3),
    ],
)
def test_a_quote_that_is_never_closed_is_refused_naming_the_line_where_it_opened(write, data, line):
    assert f"the double quote opened in line {line} is never closed" in refusal(write(data))


def test_text_after_a_closing_quote_is_refused_naming_both_lines(write):
    message = refusal(write(b'mobile,name\n1,a\n2,"b\nc" x\n3,d\n'))
    assert "in line 4 something follows" in message
    assert "opened in line 3" in message


def test_a_cell_of_a_size_that_no_spreadsheet_writes_is_refused(write):
    assert "line 2 has more than 131,072 characters" in refusal(write(b"mobile,x\n1," + b"a" * 200_000 + b"\n"))


@pytest.mark.parametrize(
    ("data", "word"),
    [(b"", "0 bytes"), (b"\n \n", "blank lines"), (b"\xef\xbb\xbf", "blank"), (b"mobile\n\n", "no rows")],
)
def test_a_file_without_rows_is_refused_as_empty(write, data, word):
    """As its own kind of refusal: for a nightly job an empty list may be no mistake."""
    assert word in refusal(write(data), EmptyTable)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Excel workbook"),
        (b"%PDF-1.7", "PDF"),
        (b"\n <!DOCTYPE html><table>", "web page"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>", "XML"),
    ],
)
def test_other_formats_are_told_by_content_whatever_the_name_says(write, data, word):
    message = refusal(write(data, "list.csv"))
    assert "list.csv" in message
    assert word in message
    assert "CSV UTF-8" in message


def test_a_workbook_by_name_only_is_read_as_what_it_is(write):
    assert open_table(write(b"mobile\n1\n", "list.xlsx")).headers == ("mobile",)


def test_what_is_not_there_or_a_folder_is_told_so(tmp_path):
    assert f"There is no file {tmp_path / 'none.csv'}" in refusal(tmp_path / "none.csv", UsageError)
    assert f"{tmp_path} is a folder" in refusal(tmp_path, UsageError)


def test_a_pipe_by_name_is_refused_with_the_way_to_pipe_it_in(tmp_path):
    """It is not opened, since nobody may ever write into it."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match=r"is a pipe, which can be read only once. Give - instead"):
        open_table(tmp_path / "pipe")


def test_a_file_that_may_not_be_read_is_told_so(write, monkeypatch):
    path = write(b"mobile\n1\n")

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "may not be read by this user" in refusal(path, UsageError)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs permissions that bind this user")
def test_permissions_of_the_file_are_respected(write):
    path = write(b"mobile\n1\n")
    path.chmod(0)
    assert "may not be read" in refusal(path, UsageError)


def test_a_file_that_changes_after_it_was_opened_is_refused(write):
    """What was hashed and planned would not be what is read."""
    path = write(b"mobile\n1\n")
    table = open_table(path)
    path.write_bytes(b"mobile\n1\n2\n")
    with pytest.raises(InputRefused, match="changed while it was being read"):
        records(table)


def test_a_file_that_grows_while_it_is_read_is_refused(write):
    path = write(b"mobile\n" + b"1\n" * (CHUNK_ROWS + 1))
    rows = open_table(path).rows()
    next(rows)
    with path.open("ab") as stream:
        stream.write(b"2\n")
    with pytest.raises(InputRefused, match="changed while it was being read"):
        list(rows)


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
CELLS = st.one_of(TEXT, st.text(',;\t|"\n\r a', max_size=6))


@given(
    st.lists(st.lists(CELLS, min_size=2, max_size=4), min_size=1, max_size=6),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.booleans(),
)
def test_whatever_pythons_csv_writer_wrote_is_read_back(rows, delimiter, quoting, bom):
    """Any text in any cell, with any delimiter: the same cells under the same numbers."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting)
    writer.writerows([["mobile", "series_id", "note"], *rows])
    wanted = [(number, row) for number, row in enumerate(rows, start=2) if "".join(row).strip()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.csv"
        path.write_bytes(text.getvalue().encode("utf-8-sig" if bom else "utf-8"))
        if not wanted:
            refusal(path, EmptyTable)
        else:
            table = open_table(path)
            assert table.delimiter == delimiter
            assert table.headers[:3] == ("mobile", "series_id", "note")
            assert records(table) == wanted


@example(b"\x01\r\xae")  # Windows-1252
@given(st.one_of(st.binary(max_size=60), st.text('mobile,;"\r\n1 \t|', max_size=60).map(str.encode)))
def test_any_bytes_are_a_table_or_a_refusal(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.csv"
        path.write_bytes(data)
        try:
            found = records(open_table(path))
        except InputRefused:
            return
    codecs = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp1252")  # those that so few bytes can be read as
    texts = [data.decode(codec, errors="ignore").replace('"', "") for codec in codecs]
    cells = [cell.replace('"', "") for _, row in found for cell in row]
    assert any(all(cell in text for cell in cells) for text in texts)
