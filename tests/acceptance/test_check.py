"""The check report of a plan, the limit of rejected rows, and the probe of a few customers."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from tests.acceptance.desk import Desk, mobile

WORKBOOKS = True

RED, BLUE, ORANGE = "00FF9C91", "00BBD7F5", "00FAD3B0"
HEADER = "name,mobile,series_id,count"
ROWS = [
    f"Ann,{mobile(1)},415446,1",
    "Bob,12,415446,two",
    f"=1+1,'{mobile(3)},415446,1",
    f"Dee,{mobile(1)},415446,1",
    f"Eve,{mobile(5)},415446,1,extra",
    "Fay,,415446,1",
]


def checked(folder: Path, stem: str = "list") -> list[dict[str, str]]:
    """The rows of a check report as CSV."""
    with (folder / f"{stem}.check.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def planned(desk: Desk) -> Path:
    """The folder of a check report with a row of every kind."""
    desk.run("plan", desk.write("list.csv", ROWS, header=HEADER), "--sandbox", expect=1)
    return desk.folder / "coupon-runs"


# ---------------------------------------------------------------- what it says


def test_the_workbook_is_the_persons_own_list_with_the_bad_cells_red_and_the_reason_in_front(planned):
    book = load_workbook(planned / "list.check.xlsx")
    assert book.sheetnames == ["REHEARSAL Summary", "list", "Problems", "Repaired"]
    sheet = book["list"]
    rows: list[list[Any]] = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert rows[0] == ["_row", "_check", "_why", *HEADER.split(",")]
    assert [row[0] for row in rows[1:]] == [2, 3, 4, 5, 6, 7]
    assert [row[1] for row in rows[1:]] == [None, "rejected", "repaired", "duplicate", "rejected", "rejected"]
    assert rows[2][3:] == ["Bob", "12", "415446", "two"]
    assert rows[2][2].splitlines()[0].startswith("mobile: A mobile needs at least 5 digits")
    assert rows[2][2].splitlines()[1].startswith("count: This is not a count.")
    fills = {cell.coordinate: cell.fill.fgColor.rgb for row in sheet.iter_rows(min_row=2) for cell in row
             if cell.fill.fill_type == "solid"}  # fmt: skip
    assert {at for at, fill in fills.items() if fill == RED} == {"E3", "G3", "E7"}
    assert {at for at, fill in fills.items() if fill == BLUE} == {"E4"}
    assert {at for at, fill in fills.items() if fill == ORANGE} == {"B3", "B6", "B7"}
    assert sheet.freeze_panes == "D2"


def test_the_first_page_says_how_many_and_what_and_the_last_lists_every_problem(planned):
    book = load_workbook(planned / "list.check.xlsx")
    page = [str(cell.value) for row in book.worksheets[0].iter_rows() for cell in row if cell.value is not None]
    assert "3 of 6 rows have to be corrected (50%)." in page
    assert any("Nothing was sent" in text for text in page)
    assert any("1 cell was repaired" in text for text in page)
    problems = [[cell.value for cell in row] for row in book["Problems"].iter_rows(min_row=2)]
    assert [row[2:5] for row in problems] == [
        [3, "mobile", "12"],
        [3, "count", "two"],
        [6, None, None],
        [7, "mobile", None],
    ]


def test_a_cell_that_would_be_run_as_a_formula_is_text_in_both_files(planned):
    cell = load_workbook(planned / "list.check.xlsx")["list"]["D4"]
    assert (cell.value, cell.data_type) == ("'=1+1", "s")
    assert checked(planned)[2]["name"] == "'=1+1"


def test_the_csv_says_the_same_behind_the_original_columns(planned):
    rows = checked(planned)
    assert list(rows[0]) == [*HEADER.split(","), "_sheet", "_row", "_check", "_columns", "_why"]
    assert [row["_check"] for row in rows] == ["", "rejected", "repaired", "duplicate", "rejected", "rejected"]
    assert rows[1]["_columns"] == "mobile; count"
    assert rows[3]["_why"] == "same as row 2"
    assert rows[4]["_why"].endswith("Cells beyond the header: extra")


def test_the_plan_names_the_report_and_with_json_every_rejected_row(desk):
    file = desk.write("list.csv", ROWS, header=HEADER)
    process = desk.run("plan", file, "--sandbox", "--out", "elsewhere", expect=1)
    assert "Check report  elsewhere/list.check.xlsx and elsewhere/list.check.csv" in process.err
    data = desk.run("plan", file, "--sandbox", "--json", expect=1).json
    assert data["check"]["report"] == ["coupon-runs/list.check.xlsx", "coupon-runs/list.check.csv"]
    assert [row["row"] for row in data["check"]["rejected"]] == [3, 6, 7]
    assert data["check"]["rejected"][0]["problems"][1]["value"] == "two"
    assert data["check"]["rejected_left_out"] == 0
    assert data["reasons_of_all"] is True


def test_every_repaired_cell_is_listed_one_by_one_in_all_three_forms(desk):
    """Also those of rows that are rejected for something else; a total that is left out is none."""
    rows = [
        f'A,{mobile(1)}.0,\'415446,"1,200"',
        f"B,'{mobile(2)},415446,two",
        'Total,,,"1,201"',
        *(f"C,{mobile(n)},415446,2.0" for n in range(3, 9)),
    ]
    file = desk.write("list.csv", rows, header=HEADER)
    process = desk.run("plan", file, "--sandbox", "--json", expect=1)
    check = process.json["check"]
    assert [(one["row"], one["column"], one["value"], one["read_as"]) for one in check["repaired"]] == [
        (2, "mobile", f"{mobile(1)}.0", mobile(1)),
        (2, "series_id", "'415446", "415446"),
        (2, "count", "1,200", "1200"),
        (3, "mobile", f"'{mobile(2)}", mobile(2)),
        *((row, "count", "2.0", "2") for row in range(5, 11)),
    ]
    assert check["repaired_left_out"] == 0
    assert check["noticed"][0] == {
        "file": "list.csv", "about": "no customer", "column": None, "what": "a total", "rows": 1, "examples": [4],
    }  # fmt: skip
    page = load_workbook(desk.folder / "coupon-runs" / "list.check.xlsx").worksheets[0]
    said = {str(cell.value) for row in page.iter_rows() for cell in row}
    assert "left out, since it is no customer: row 4 (a total)" in said
    assert "repaired in 'count': separators of thousands, in row 2" in process.err
    assert "repaired in 'count': .0 at the end, in rows 5, 6, 7, 8, 9 and 1 more" in process.err
    listed = load_workbook(desk.folder / "coupon-runs" / "list.check.xlsx")["Repaired"]
    assert [[cell.value for cell in row[2:]] for row in listed.iter_rows(min_row=2, max_row=4)] == [
        [2, "mobile", f"{mobile(1)}.0", mobile(1), ".0 at the end"],
        [2, "series_id", "'415446", "415446", "an apostrophe in front"],
        [2, "count", "1,200", "1200", "separators of thousands"],
    ]
    assert listed.max_row == 11
    why = [row["_why"] for row in checked(desk.folder / "coupon-runs")]
    assert why[0].splitlines()[2] == "count: read as 1200 (repaired: separators of thousands)"
    assert why[1].splitlines()[1] == f"mobile: read as {mobile(2)} (repaired: an apostrophe in front)"


def test_of_many_rejected_rows_the_commonest_problems_are_shown_with_examples(desk):
    rows = [f"{mobile(n)},415446,1" for n in range(1, 10)] + ["12,415446,1"] * 9 + ["12345,415446,two"] * 3
    text = " ".join(desk.run("plan", desk.write("list.csv", rows), "--sandbox", expect=1).err.split())
    assert "9 x mobile: A mobile needs at least 5 digits with its country code; this one has 2." in text
    assert "e.g. row 11, mobile '12'; row 12, mobile '12'; row 13, mobile '12'" in text
    assert "3 x count: This is not a count." in text


def test_several_files_are_one_report_with_a_sheet_each(desk):
    first, second = desk.write("a.csv", ["12,415446,1"]), desk.write("b.csv", [f"{mobile(1)},415446,1"])
    desk.run("plan", first, second, "--sandbox", expect=1)
    folder = desk.folder / "coupon-runs"
    assert load_workbook(folder / "a-and-1-more.check.xlsx").sheetnames[1:] == ["a", "b", "Problems"]
    assert [row["_file"] for row in checked(folder, "a-and-1-more")] == ["a.csv", "b.csv"]


def test_a_report_that_cannot_be_written_is_said_and_harms_no_plan(desk):
    (desk.folder / "taken").write_text("a file", encoding="utf-8")
    file = desk.write("list.csv", [f"{mobile(1)},415446,1"])
    process = desk.run("plan", file, "--sandbox", "--out", "taken")
    assert "the check report could not be written to taken" in process.err
    assert process.out.startswith("REHEARSAL-")


@pytest.mark.parametrize("name", ["list.check.xlsx", "list.check.csv"])
def test_a_check_report_that_comes_back_is_refused(desk, planned, name):
    """Its cells are made harmless for spreadsheets, so an id could come back changed."""
    process = desk.run("plan", planned / name, "--sandbox", expect=3)
    assert "is a check report that this program wrote" in process.err


# ---------------------------------------------------------------- too many rejected rows


BAD = [f"{mobile(1)},415446,1", "12,415446,1"]
CONSENT = ("--campaign", "c", "--yes", "--max-coupons", "9")


def test_where_nobody_is_at_the_terminal_too_many_rejected_rows_refuse_the_input(desk):
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("list.csv", BAD)
        process = desk.run("run", file, *CONSENT, expect=3)
        assert "1 of 2 rows is rejected (50%), and at most 10% may be (--max-rejected)" in process.last_line
        assert "coupon-runs/list.check.xlsx shows each of them" in process.last_line
        assert (desk.folder / "coupon-runs" / "list.check.xlsx").is_file()
        assert server.posts() == 0


def test_a_higher_limit_or_a_plan_that_was_looked_at_lets_them_through(desk):
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("list.csv", BAD)
        desk.run("run", file, *CONSENT, "--max-rejected", "1", expect=1)
        code = desk.run("plan", file, "--campaign", "d", "--overlap", "allow", expect=1).out.strip()
        desk.run("run", file, "--campaign", "d", "--overlap", "allow", "--plan", code, expect=1)
        assert server.issued() == 2


def test_a_limit_that_is_given_holds_for_plans_and_rehearsals_too(desk):
    file = desk.write("list.csv", BAD)
    desk.rehearse(file, expect=1)
    for words in (["plan", file], ["run", file, "--yes"]):
        process = desk.run(*words, "--sandbox", "--fresh", "--max-rejected", "20%", expect=3)
        assert "at most 20% may be" in process.last_line


# ---------------------------------------------------------------- the probe


def test_a_plan_says_of_a_few_customers_whether_they_exist_and_hold_the_series_already(desk, tmp_path):
    config = f'[[customers]]\nmobile = "{mobile(1)}"\nunknown = true\n'
    with desk.serving(config) as server:
        other = Desk(tmp_path / "other", desk.starter)
        other.init(server)
        held = other.write("held.csv", [f"{mobile(30)},415446,1"])
        other.run("run", held, "--campaign", "held", "--yes", "--max-coupons", "1")
        desk.init(server)
        file = desk.write("list.csv", [f"{mobile(n)},415446,1" for n in range(1, 31)])
        probed = desk.run("plan", file, "--campaign", "c", "--json").json["probe"]
        assert (probed["asked"], probed["told"], probed["problem"]) == (20, 20, None)
        assert [row["row"] for row in probed["unknown"]] == [2]
        assert [row["row"] for row in probed["holding"]] == [31]
        text = desk.run("plan", file, "--campaign", "c").err
        assert "Probe: 19 of 20 customers looked up exist, 1 already holds this series" in " ".join(text.split())
        assert "looking up" not in desk.run("plan", file, "--campaign", "c", "--no-probe").err
        assert server.posts() == 1


def test_what_this_ledger_issued_is_not_taken_for_somebody_elses(desk):
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("list.csv", [f"{mobile(1)},415446,1"])
        desk.run("run", file, "--campaign", "c", "--yes", "--max-coupons", "1")
        more = desk.write("more.csv", [f"{mobile(1)},415446,2"])
        assert desk.run("plan", more, "--campaign", "c", "--json").json["probe"]["holding"] == []


def test_an_api_that_does_not_answer_costs_a_plan_one_sentence(desk):
    with desk.serving() as server:
        desk.init(server)
    file = desk.write("list.csv", [f"{mobile(n)},415446,1" for n in range(1, 4)])
    process = desk.run("plan", file, "--campaign", "c")
    assert "the customers could not be looked up" in " ".join(process.err.split())
    assert "looking up" not in desk.run("plan", file, "--sandbox").err
