"""report.xlsx and failures.xlsx: the rows of the CSV files as a spreadsheet may see them, and the first sheet."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
from collections.abc import Iterator
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from runner.adapters import report_workbook, workbook_sheets
from runner.adapters.ledger import schema
from runner.adapters.ledger.reports import RunReader
from runner.adapters.report_files import WorkbookOptions, Written, write_reports
from runner.core import workbook_summary, workbook_tables
from runner.core.codes import CodeTable
from runner.core.neutralising import restore
from runner.errors import Fatal
from tests.adapters.report_ledger import ReportLedger
from tests.adapters.workbook_reading import open_book, parts_of, sheets_of, table_of

RUN = "20261121T000000Z-may-0001"
INDIA = timezone(timedelta(hours=5, minutes=30), "IST")
WORKBOOKS = {"report.xlsx", "failures.xlsx"}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[ReportLedger]:
    made = ReportLedger(tmp_path)
    made.simple(2, target=2)
    made.call(2, ["A", "=B"])
    made.simple(3, target=3, series=535521)
    made.call(3, ["C"], held=1, quantity=2, state="in_doubt", code="timeout", message="no answer")
    made.simple(4)
    row = made.row(5, ("00919000000005", '=HYPERLINK("http://example.com")', "415446", "1"))
    made.order(5)
    made.line(row, 5, target=1)
    made.call(5, [], state="refused", code="5002", class_="final", scope="row", message="+max coupon per user exceeded")
    made.reject(6, ("9.19E+11", "Ms\x07 Bell\nof Ealing", "415446", "1"), ("Mobile", "9.19E+11", "digits were lost"))
    yield made
    made.conn.close()


def write(ledger: ReportLedger, folder: Path, *, workbooks: bool = True) -> Written:
    codes = CodeTable.default()
    options = WorkbookOptions(codes=codes, zone=INDIA) if workbooks else None
    with RunReader(ledger.file, RUN) as reader:
        return write_reports(reader, folder, advise=codes.advice, workbooks=options)


def csv_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def text_of(path: Path, sheet: str = "Summary") -> str:
    return "\n".join(str(cell) for row in sheets_of(path)[sheet] for cell in row if cell is not None)


# ── what the sheets hold ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_sheets_hold_the_rows_of_the_csv_files(ledger: ReportLedger, tmp_path: Path) -> None:
    """Same columns in the same order, same rows; only times, control characters and the type of figures differ."""
    write(ledger, tmp_path / "out")
    path = tmp_path / "out" / "report.xlsx"
    assert list(sheets_of(path)) == ["Summary", "Results", "Failures", "Coupons", "In doubt"]
    times = {"_first_sent", "_last_answer", "began", "ended", "time"}
    for sheet, name in (
        ("Results", "results"),
        ("Failures", "failures"),
        ("Coupons", "coupons"),
        ("In doubt", "in_doubt"),
    ):
        expected = csv_of(tmp_path / "out" / f"{name}.csv")
        found = table_of(path, sheet)
        assert list(found[0]) == list(expected[0])
        for one, other in zip(found, expected, strict=True):
            for heading, cell in other.items():
                if heading not in times:
                    assert str(one[heading]) == cell.replace("\x07", "")


def test_times_are_local_and_name_their_zone(ledger: ReportLedger, tmp_path: Path) -> None:
    """The CSV files keep UTC."""
    write(ledger, tmp_path / "out")
    (first, *_) = table_of(tmp_path / "out" / "report.xlsx", "Results")
    (same, *_) = csv_of(tmp_path / "out" / "results.csv")
    assert (first["_first_sent"], same["_first_sent"]) == ("2026-09-22 19:43:21 IST", "2026-09-22T14:13:21.000Z")
    assert "IST (UTC+05:30); the CSV files have UTC" in text_of(tmp_path / "out" / "report.xlsx")


def test_identifiers_and_codes_are_text_and_figures_are_numbers(ledger: ReportLedger, tmp_path: Path) -> None:
    """No spreadsheet makes 9.19E+11 of a mobile, and sums of our figures work."""
    write(ledger, tmp_path / "out")
    book = open_book(tmp_path / "out" / "report.xlsx")
    sheet = book["Results"]
    types = {}
    for header, cell in zip(sheet[1], sheet[2], strict=True):
        types[header.value] = (cell.data_type, cell.number_format)
    for heading in ("Mobile", "Series", "Qty", "_series", "_codes", "_coupon_ids", "_ref"):
        assert types[heading] == ("s", "@"), heading
    for heading in ("_row", "_target", "_issued", "_missing", "_in_doubt", "_attempts"):
        assert types[heading][0] == "n", heading
    assert sheet.cell(5, 1).value == "00919000000005"
    frame = pd.read_excel(tmp_path / "out" / "report.xlsx", sheet_name="Results", engine="openpyxl")
    assert (frame["_issued"].sum(), frame["_in_doubt"].sum(), frame["_missing"].sum()) == (3, 1, 3)


def test_nothing_is_ever_a_formula(ledger: ReportLedger, tmp_path: Path) -> None:
    """Cells, codes, messages of the API, and headings too; they are neutralised as in the CSV files."""
    ledger.update(schema.runs, 1, files=_files("Mobile", "=cmd()", "Series", "Qty"), reason="=1+1")
    write(ledger, tmp_path / "out")
    for name in WORKBOOKS:
        for part, text in parts_of(tmp_path / "out" / name).items():
            if "worksheets" in part:
                assert "<f" not in text, part
                assert 't="e"' not in text, part
        for sheet in open_book(tmp_path / "out" / name):
            assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)
    result = table_of(tmp_path / "out" / "report.xlsx", "Results")
    assert result[0]["_codes"] == "A; =B"
    assert result[3]["'=cmd()"] == '\'=HYPERLINK("http://example.com")'
    assert result[3]["_error_message"] == "'+max coupon per user exceeded"


def test_control_characters_are_left_out_and_it_is_said(ledger: ReportLedger, tmp_path: Path) -> None:
    """The whole cell stands in the CSV file. One cell of the input is in two sheets."""
    write(ledger, tmp_path / "out")
    assert table_of(tmp_path / "out" / "report.xlsx", "Results")[4]["Name"] == "Ms Bell\nof Ealing"
    assert "2 cells held control characters" in text_of(tmp_path / "out" / "report.xlsx")
    assert csv_of(tmp_path / "out" / "results.csv")[4]["Name"] == "Ms\x07 Bell\nof Ealing"


def test_names_with_control_characters_do_not_break_the_workbook(ledger: ReportLedger, tmp_path: Path) -> None:
    """Campaign, file, heading and reason come from outside as well."""
    ledger.update(schema.scopes, 1, campaign="May\x01 <&> 2026")
    ledger.update(schema.runs, 1, files=_files("Mobile", "Na\x02me", "Series", "Qty"), reason="why\x03")
    write(ledger, tmp_path / "out")
    assert "Coupons for May <&> 2026" in text_of(tmp_path / "out" / "report.xlsx")
    assert sheets_of(tmp_path / "out" / "failures.xlsx")["Failures"][0][1] == "Name"


@pytest.mark.parametrize(
    "cell", ["a < b & c > d", "</t></is></c>", " blanks around ", "two\nlines", '"', "]]>", "é 🎁"]
)
def test_a_cell_comes_back_as_it_was(tmp_path: Path, cell: str) -> None:
    """Whatever it holds that means something in XML, or stands at its ends."""
    ledger = ReportLedger(tmp_path)
    ledger.row(2, ("919000000002", cell, "415446", "1"), rejected=1, problems="[]")
    write(ledger, tmp_path / "out")
    ledger.conn.close()
    assert table_of(tmp_path / "out" / "report.xlsx", "Results")[0]["Name"] == cell
    assert table_of(tmp_path / "out" / "failures.xlsx", "Failures")[0]["Name"] == cell


def test_a_cell_that_is_too_long_is_cut_with_a_mark_and_it_is_said(tmp_path: Path) -> None:
    """The mark names the file that has all of it."""
    ledger = ReportLedger(tmp_path)
    ledger.row(2, ("919000000002", "x" * 40_000, "415446", "1"), rejected=1, problems="[]")
    write(ledger, tmp_path / "out")
    ledger.conn.close()
    name = table_of(tmp_path / "out" / "report.xlsx", "Results")[0]["Name"]
    assert len(name) == 32_767
    assert name.endswith("[cut here: 40,000 characters; in full in results.csv]")
    assert "are cut, with a mark" in text_of(tmp_path / "out" / "report.xlsx")


def test_a_long_list_of_codes_leads_to_the_sheet_of_coupons(tmp_path: Path) -> None:
    """Which has them all."""
    ledger = ReportLedger(tmp_path)
    ledger.simple(2, target=60)
    ledger.call(2, [f"C{number:02}" for number in range(60)])
    write(ledger, tmp_path / "out")
    ledger.conn.close()
    assert table_of(tmp_path / "out" / "report.xlsx", "Results")[0]["_codes"] == "see Coupons"
    assert len(table_of(tmp_path / "out" / "report.xlsx", "Coupons")) == 60


# ── how they look ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tables_have_frozen_headings_filters_and_widths(ledger: ReportLedger, tmp_path: Path) -> None:
    """Over all their rows and columns; `_ref` is narrow and grey; sentences are wrapped in rows high enough."""
    write(ledger, tmp_path / "out")
    book = open_book(tmp_path / "out" / "report.xlsx")
    for name in ("Results", "Failures", "Coupons", "In doubt"):
        sheet = book[name]
        assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", sheet.dimensions)
        assert all(5 <= dimension.width <= 60 for dimension in sheet.column_dimensions.values())
    failures = book["Failures"]
    headings = {cell.value: cell for cell in failures[1]}
    ref, advice = headings["_ref"], headings["_advice"]
    assert ref.column == failures.max_column
    assert failures.column_dimensions[ref.column_letter].width < 10
    assert failures.cell(3, ref.column).font.color.rgb.endswith(workbook_sheets.GREY)
    assert failures.cell(3, advice.column).alignment.wrap_text
    assert failures.row_dimensions[3].height >= 2 * workbook_sheets.ROW_POINTS


def test_each_status_has_its_colour_and_keeps_its_word(ledger: ReportLedger, tmp_path: Path) -> None:
    """Who sees no colours reads the word."""
    write(ledger, tmp_path / "out")
    sheet = open_book(tmp_path / "out" / "report.xlsx")["Results"]
    column = next(cell.column for cell in sheet[1] if cell.value == "_status")
    shown = [(sheet.cell(row, column).value, sheet.cell(row, column).fill.fgColor.rgb[2:]) for row in range(2, 7)]
    words = ["issued", "in_doubt", "not_sent", "failed", "rejected"]
    assert shown == [(word, workbook_sheets.STATUS_COLOURS[word]) for word in words]
    assert len(set(workbook_sheets.STATUS_COLOURS.values())) == 7


def test_numbers_stored_as_text_are_no_warning(ledger: ReportLedger, tmp_path: Path) -> None:
    """A green triangle on each mobile would ask to make it a number. Its place in the sheet's XML is prescribed."""
    write(ledger, tmp_path / "out")
    for name, part in (("report.xlsx", "xl/worksheets/sheet2.xml"), ("failures.xlsx", "xl/worksheets/sheet1.xml")):
        text = parts_of(tmp_path / "out" / name)[part]
        extent = open_book(tmp_path / "out" / name).worksheets[int(part[-5]) - 1].dimensions
        assert f'<ignoredError sqref="{extent}" numberStoredAsText="1"' in text
        assert text.index("<pageMargins") < text.index("<ignoredErrors>")
        assert text.index("</sheetData>") < text.index("<autoFilter")


def test_the_summary_draws_charts_only_where_there_is_something_to_compare(
    ledger: ReportLedger, tmp_path: Path
) -> None:
    """Rows by status; how much of each series is issued when there are several."""
    write(ledger, tmp_path / "out")
    charts = [text for part, text in parts_of(tmp_path / "out" / "report.xlsx").items() if "charts/chart" in part]
    assert [("Rows by status" in text, "each series" in text) for text in charts] == [(True, False), (False, True)]
    (tmp_path / "one").mkdir()
    one = ReportLedger(tmp_path / "one")
    one.simple(2)
    one.call(2, ["A"])
    write(one, tmp_path / "plain")
    one.conn.close()
    assert not [part for part in parts_of(tmp_path / "plain" / "report.xlsx") if "chart" in part]


def test_a_chart_shows_the_figures_of_its_table(ledger: ReportLedger, tmp_path: Path) -> None:
    """Its references lead to the words and numbers of the sheet, without the sum."""
    write(ledger, tmp_path / "out")
    sheet = open_book(tmp_path / "out" / "report.xlsx")["Summary"]
    first = next(cell.row for (cell,) in sheet.iter_rows(max_col=1) if cell.value == "Status")
    text = parts_of(tmp_path / "out" / "report.xlsx")["xl/charts/chart1.xml"]
    assert f"'Summary'!$A${first + 1}:$A${first + 5}" in text
    assert f"'Summary'!$B${first + 1}:$B${first + 5}" in text
    assert sheet.cell(first + 6, 1).value == "all"
    assert sheet.cell(first + 6, 2).value == sum(sheet.cell(first + row, 2).value for row in range(1, 6)) == 5


def test_the_summary_says_what_became_of_the_run(ledger: ReportLedger, tmp_path: Path) -> None:
    """Sums, series, codes with advice and fixer, reasons, who and when."""
    ledger.update(schema.runs, 1, owner='{"user": "meera", "host": "office-2", "pid": 7}', ended=1_790_100_000.0)
    write(ledger, tmp_path / "out")
    text = text_of(tmp_path / "out" / "report.xlsx")
    for part in (
        "3 of 7 coupons are issued (42%).",
        "meera on office-2",
        "2026-09-22 23:30:00 IST",
        "7 wanted = 3 issued + 1 in doubt + 3 missing",
        "The customer holds as many coupons of the series as it allows.",
        "whoever owns the series settings",
        "Mobile: digits were lost",
        "535521",
    ):
        assert part in text, part


def test_a_rehearsal_says_so_first(tmp_path: Path) -> None:
    """The first sheet of both workbooks and the title begin with it."""
    ledger = ReportLedger(tmp_path, rehearsal=True)
    ledger.simple(2)
    write(ledger, tmp_path / "out")
    ledger.conn.close()
    report = sheets_of(tmp_path / "out" / "report.xlsx")
    assert next(iter(report)) == "REHEARSAL Summary"
    assert str(report["REHEARSAL Summary"][0][0]).startswith("REHEARSAL")
    assert list(sheets_of(tmp_path / "out" / "failures.xlsx")) == ["REHEARSAL Failures"]


# ── failures.xlsx ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_failures_has_one_sheet_of_text_that_says_what_failures_csv_says(ledger: ReportLedger, tmp_path: Path) -> None:
    """A second sheet would make it unclear which one comes back. Headings are in the first row, `_ref` at the end."""
    write(ledger, tmp_path / "out")
    book = open_book(tmp_path / "out" / "failures.xlsx")
    (sheet,) = book.worksheets
    expected = csv_of(tmp_path / "out" / "failures.csv")
    found = table_of(tmp_path / "out" / "failures.xlsx", "Failures")
    assert [list(row.values()) for row in found] == [
        [cell.replace("\x07", "") for cell in row.values()] for row in expected
    ]
    assert list(found[0]) == list(expected[0])
    assert all(cell.data_type == "s" for row in sheet.iter_rows() for cell in row if cell.value is not None)
    assert sheet.cell(1, sheet.max_column).value == "_ref"


def test_empty_cells_of_failures_are_text_as_well(ledger: ReportLedger, tmp_path: Path) -> None:
    """What somebody fills in keeps its zeros."""
    write(ledger, tmp_path / "out")
    sheet = open_book(tmp_path / "out" / "failures.xlsx").active
    assert sheet is not None
    assert {dimension.number_format for dimension in sheet.column_dimensions.values()} == {"@"}


def test_entering_a_ref_cell_says_to_leave_it(ledger: ReportLedger, tmp_path: Path) -> None:
    """Without a second sheet and without a note that hides cells."""
    write(ledger, tmp_path / "out")
    sheet = open_book(tmp_path / "out" / "failures.xlsx").active
    assert sheet is not None
    (prompt,) = sheet.data_validations.dataValidation
    assert "Leave this column as it is" in prompt.prompt
    assert prompt.showInputMessage
    assert str(prompt.sqref).startswith(sheet.cell(1, sheet.max_column).column_letter)


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_workbooks_appear_with_the_other_files_and_the_manifest_vouches_for_them(
    ledger: ReportLedger, tmp_path: Path
) -> None:
    """Named first, since people open them; private; no part is left behind."""
    written = write(ledger, tmp_path / "out")
    assert [path.name for path in written.files][:2] == ["report.xlsx", "failures.xlsx"]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert manifest["files"].keys() >= WORKBOOKS
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in written.files}
    if os.name != "nt":
        assert {path.stat().st_mode & 0o777 for path in written.files} == {0o600}
    assert json.loads((tmp_path / "out" / "summary.json").read_bytes())["reports"][:2] == [
        "report.xlsx",
        "failures.xlsx",
    ]


def test_the_same_ledger_gives_the_same_bytes(ledger: ReportLedger, tmp_path: Path) -> None:
    """An archive bears no time of its own, so that a changed checksum means a changed report."""
    write(ledger, tmp_path / "out")
    before = {name: (tmp_path / "out" / name).read_bytes() for name in WORKBOOKS}
    write(ledger, tmp_path / "out")
    assert {name: (tmp_path / "out" / name).read_bytes() for name in WORKBOOKS} == before


def test_reports_without_workbooks_remove_those_of_an_earlier_report(ledger: ReportLedger, tmp_path: Path) -> None:
    """What no longer agrees with the tables must not lie beside them."""
    write(ledger, tmp_path / "out")
    written = write(ledger, tmp_path / "out", workbooks=False)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in written.files}
    assert not WORKBOOKS & {path.name for path in written.files}


def test_a_workbook_that_somebody_works_in_is_not_removed(ledger: ReportLedger, tmp_path: Path) -> None:
    """A corrected failures.xlsx is work; only an untouched one goes."""
    write(ledger, tmp_path / "out")
    book = open_book(tmp_path / "out" / "failures.xlsx")
    book.save(tmp_path / "out" / "failures.xlsx")
    write(ledger, tmp_path / "out", workbooks=False)
    assert {path.name for path in (tmp_path / "out").iterdir()} & WORKBOOKS == {"failures.xlsx"}


def test_a_full_disk_leaves_the_old_workbooks(
    ledger: ReportLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All files appear, or none; nothing that waited is left behind."""
    write(ledger, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    ledger.call(4, ["D"])
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(Fatal, match=r"disk .* is full"):
        write(ledger, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


# ── large runs ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> int:
    for module in (report_workbook, workbook_summary, workbook_tables):
        monkeypatch.setattr(module, "MAX_LINES", 5)
    return 5


def fill(folder: Path, *, issued: int, failed: int = 0, each: int = 1) -> ReportLedger:
    ledger = ReportLedger(folder)
    for row in range(2, 2 + issued + failed):
        ledger.simple(row, target=each)
        if row < 2 + issued:
            ledger.call(row, [f"C{row}-{number}" for number in range(each)])
        else:
            ledger.call(row, [], state="refused", code="5002", class_="final", scope="row", message="enough")
    return ledger


@pytest.mark.usefixtures("small_limit")
def test_as_many_lines_as_the_limit_are_all_in_the_workbook(tmp_path: Path) -> None:
    """The limit itself is within."""
    ledger = fill(tmp_path, issued=4, failed=1)
    write(ledger, tmp_path / "out")
    ledger.conn.close()
    assert len(table_of(tmp_path / "out" / "report.xlsx", "Results")) == 5
    assert "What this workbook leaves out" not in text_of(tmp_path / "out" / "report.xlsx")


@pytest.mark.usefixtures("small_limit")
def test_one_line_more_leaves_summary_failures_and_in_doubt(tmp_path: Path) -> None:
    """And the summary says that the rest is CSV; its sums are over all lines."""
    ledger = fill(tmp_path, issued=5, failed=1)
    write(ledger, tmp_path / "out")
    ledger.conn.close()
    path = tmp_path / "out" / "report.xlsx"
    assert list(sheets_of(path)) == ["Summary", "Failures", "In doubt"]
    assert "6 lines are more than 5: this workbook holds summary, failures and in doubt only." in text_of(path)
    assert "6 wanted = 5 issued" in text_of(path)
    assert len(table_of(path, "Failures")) == len(table_of(tmp_path / "out" / "failures.xlsx", "Failures")) == 1
    assert len(csv_of(tmp_path / "out" / "results.csv")) == 6


@pytest.mark.usefixtures("small_limit")
def test_too_many_failures_are_never_half_given_back(tmp_path: Path) -> None:
    """The sheet says how many of how many it holds, and there is no failures.xlsx, not even an earlier one."""
    ledger = fill(tmp_path, issued=0, failed=5)
    write(ledger, tmp_path / "out")
    assert (tmp_path / "out" / "failures.xlsx").exists()
    ledger.simple(9)
    write(ledger, tmp_path / "out")
    ledger.conn.close()
    path = tmp_path / "out" / "report.xlsx"
    assert len(table_of(path, "Failures")) == 5
    assert "The sheet Failures holds the first 5 of 6 rows: all are in failures.csv." in text_of(path)
    assert "Correct failures.csv and run it" in text_of(path)
    assert not (tmp_path / "out" / "failures.xlsx").exists()
    assert "failures.xlsx" not in json.loads((tmp_path / "out" / "summary.json").read_bytes())["reports"]


@pytest.mark.usefixtures("small_limit")
def test_more_coupons_than_a_sheet_holds_are_said_to_be_in_the_csv_file(tmp_path: Path) -> None:
    """Few lines can have very many coupons."""
    ledger = fill(tmp_path, issued=3, each=2)
    write(ledger, tmp_path / "out")
    ledger.conn.close()
    path = tmp_path / "out" / "report.xlsx"
    assert len(table_of(path, "Coupons")) == 5
    assert "The sheet Coupons holds the first 5 of 6 rows: all are in coupons.csv." in text_of(path)


def test_widths_are_found_and_rows_kept_beyond_those_that_are_looked_at(tmp_path: Path) -> None:
    """The rows that wait for the widths come before the others, in order."""
    count = workbook_sheets.LOOKED_AT + 3
    ledger = ReportLedger(tmp_path)
    for row in range(2, 2 + count):
        ledger.reject(row, (f"9190{row}", "", "415446", "1"), ("Mobile", None, "too short"))
    write(ledger, tmp_path / "out")
    ledger.conn.close()
    found = table_of(tmp_path / "out" / "report.xlsx", "Results")
    assert [row["_row"] for row in found] == list(range(2, 2 + count))
    assert [restore(row["Mobile"]) for row in found] == [f"9190{row}" for row in range(2, 2 + count)]


def _files(*headings: str) -> str:
    return json.dumps([{"name": "may\x04.csv", "sha256": "0" * 64, "sheet": "", "headers": headings, "rows": 9}])
