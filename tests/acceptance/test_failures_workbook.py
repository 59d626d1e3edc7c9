"""failures.xlsx goes to a spreadsheet and comes back: edited, saved, damaged; what is missing is issued, once."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.desk import Desk, Reports, mobile
from tests.adapters.workbook_reading import open_book

WORKBOOKS = True

ROWS = [f"{mobile(1)},415446,5", f"{mobile(2)},415446,2", f"{mobile(3)},415446,4", "91900O000004,415446,1"]
LIMITED = "[[series]]\nid = 415446\nmax_per_customer = 3\n"
OFFICE = shutil.which("soffice") or shutil.which("libreoffice")


@pytest.fixture
def first(desk: Desk) -> Reports:
    """A run with two partial orders and a rejected row."""
    reports = desk.rehearse(
        desk.write("list.csv", ROWS), "--sandbox-config", desk.config(LIMITED), "--ignore-preflight", expect=1
    )
    assert reports.lines() == {"issued": 1, "partial": 2, "rejected": 1}
    return reports


def edit(path: Path, cells: dict[tuple[int, str], object]) -> None:
    """Change cells (row, heading) as a person would in a spreadsheet, and save."""
    book = open_book(path)
    sheet = book.worksheets[0]
    columns = {cell.value: cell.column for cell in sheet[1]}
    for (row, heading), value in cells.items():
        sheet.cell(row, columns[heading]).value = value
    book.save(path)


def test_it_comes_back_as_it_is_and_issues_exactly_what_was_missing(desk, first):
    """Untouched, and a second time without harm; the rejected row is still rejected."""
    failures = first.folder / "failures.xlsx"
    again = desk.rehearse(failures, expect=1)
    assert again.lines() == {"issued": 2, "rejected": 1}
    assert desk.rehearsed_truth()["totals"]["coupons"] == 5 + 2 + 4
    posts = desk.rehearsed_truth()["totals"]["posts"]
    desk.rehearse(failures, expect=1)
    assert desk.rehearsed_truth()["totals"]["posts"] == posts


def test_edited_and_damaged_it_issues_to_the_right_customers(desk, first):
    """A count raised, a mobile corrected, one shown as 9.19E+11 and one made a number: each cell means what it should.

    What was restored is said with its row and column.
    """
    failures = first.folder / "failures.xlsx"
    edit(
        failures, {(2, "mobile"): "9.19E+11", (3, "mobile"): int(mobile(3)), (3, "count"): 2, (4, "mobile"): mobile(4)}
    )
    done = desk.run("run", failures, "--sandbox", "--yes", "--json")
    assert "1 cell that a spreadsheet had damaged was restored from the ledger (row 2, mobile: 9.19E+11)" in " ".join(
        done.err.split()
    )
    assert desk.rehearsed_holdings() == {
        f"mobile:{mobile(number)}": {415446: count} for number, count in ((1, 5), (2, 2), (3, 5), (4, 1))
    }
    posts = desk.rehearsed_truth()["totals"]["posts"]
    desk.run("run", failures, "--sandbox", "--yes", "--json")
    assert desk.rehearsed_truth()["totals"]["posts"] == posts


def test_a_damaged_cell_that_is_not_the_lines_customer_is_not_restored(desk, first):
    """9.20E+11 is none of ours: the row is rejected instead of given to anybody."""
    failures = first.folder / "failures.xlsx"
    edit(failures, {(2, "mobile"): "9.20E+11", (4, "mobile"): mobile(4)})
    reports = desk.rehearse(failures, expect=1)
    assert reports.lines() == {"issued": 2, "rejected": 1}
    assert desk.rehearsed_holdings()[f"mobile:{mobile(1)}"] == {415446: 3}


def test_reports_csv_writes_no_workbook(desk):
    """By flag or by setting; `report` writes them later."""
    plain = desk.rehearse(desk.write("list.csv", ROWS[:1]), "--reports", "csv")
    assert not list(plain.folder.glob("*.xlsx"))
    desk.run("report", "--sandbox")
    assert {path.name for path in plain.folder.glob("*.xlsx")} == {"report.xlsx", "failures.xlsx"}
    desk.run("report", "--sandbox", COUPON_RUNNER_REPORTS="csv")
    assert not list(plain.folder.glob("*.xlsx"))


def test_a_plan_code_holds_whichever_reports_are_written(desk):
    """They are no part of what is agreed to."""
    file = desk.write("list.csv", ROWS[:1])
    code = desk.run("plan", file, "--sandbox").out.strip()
    desk.run("run", file, "--sandbox", "--plan", code, "--reports", "csv")


@pytest.mark.soak
@pytest.mark.skipif(OFFICE is None, reason="LibreOffice is not installed, so its round trip cannot be tried")
@pytest.mark.parametrize("through", [["xlsx"], ["ods", "xlsx"]])
def test_saved_by_libreoffice_it_issues_exactly_what_was_missing(desk, first, through):
    """Every cell survives, zeros and `_ref` too; then a corrected row and a raised count are issued."""
    office = str(OFFICE)
    path = first.folder / "failures.xlsx"
    before = [[cell.value for cell in row] for row in open_book(path).worksheets[0].iter_rows()]
    for step, form in enumerate(through):
        folder = desk.folder / f"saved-{step}"
        profile = f"-env:UserInstallation=file://{desk.folder}/office"
        command = [office, profile, "--headless", "--convert-to", form, "--outdir", str(folder), str(path)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        path = folder / f"failures.{form}"
    after = [[cell.value for cell in row] for row in open_book(path).worksheets[0].iter_rows()]
    assert after == before
    edit(path, {(3, "count"): "2", (4, "mobile"): mobile(4)})
    desk.run("run", path, "--sandbox", "--yes", "--json")
    assert desk.rehearsed_holdings() == {
        f"mobile:{mobile(number)}": {415446: count} for number, count in ((1, 5), (2, 2), (3, 5), (4, 1))
    }
