"""The empty spreadsheet: written, filled in, read again."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from openpyxl import load_workbook

from tests.acceptance.desk import Desk, mobile

WORKBOOKS = True


def filled(desk: Desk, name: str = "list.xlsx", *words: str) -> Path:
    """A template with one customer below the example row, who gets two coupons."""
    desk.run("template", name, *words)
    path = desk.folder / name
    book = load_workbook(path)
    sheet = book["Customers"]
    for column, value in zip("ABC", (mobile(1), "415446", "2"), strict=True):
        sheet[f"{column}3"] = value
    book.save(path)
    return path


def test_its_columns_are_text_and_it_has_an_example_row_a_list_of_series_and_notes(desk):
    desk.run("template", "list.xlsx", "--identify-by", "mobile,email")
    book = load_workbook(desk.folder / "list.xlsx")
    assert book.sheetnames == ["Customers", "series", "Notes"]
    sheet = book["Customers"]
    assert [cell.value for cell in sheet[1]] == ["mobile", "email", "series_id", "count"]
    assert {sheet.column_dimensions[letter].number_format for letter in "ABCD"} == {"@"}
    assert [cell.data_type for cell in sheet[2]] == ["s"] * 4
    assert book["Notes"].max_row > 8


def test_filled_in_it_is_read_and_the_example_row_is_not_issued(desk):
    reports = desk.rehearse(filled(desk))
    assert [(row["mobile"], row["_row"], row["_issued"]) for row in reports.results] == [(mobile(1), "3", "2")]
    assert desk.rehearsed_holdings() == {f"mobile:{mobile(1)}": {415446: 2}}


def test_the_example_row_that_is_left_out_is_said(desk):
    process = desk.run("plan", filled(desk), "--sandbox")
    assert "row 2 is the template's example row and was left out" in process.err


def test_nothing_but_the_example_row_is_no_list(desk):
    for name in ("list.xlsx", "list.csv"):
        desk.run("template", name)
        process = desk.run("plan", name, "--sandbox", expect=3)
        assert "holds nothing but the template's example row" in process.last_line


def test_half_an_example_row_is_rejected(desk):
    file = desk.write(
        "list.csv", [f"{mobile(1)},example-row@example.com,415446,1"], header="mobile,email,series_id,count"
    )
    process = desk.run("plan", file, "--sandbox", "--identify-by", "mobile", expect=3)
    assert "the template's example row, which is nobody's" in " ".join(process.err.split())


def test_its_list_of_series_counts_once_it_is_filled_in(desk):
    path = filled(desk)
    book = load_workbook(path)
    book["series"]["A3"], book["series"]["B3"] = "415446", "Birthday"
    book.save(path)
    assert "415446 Birthday" in desk.run("plan", path, "--sandbox").err


@pytest.mark.parametrize("name", ["list.xlsx", "list.csv"])
def test_a_file_that_is_there_is_never_touched(desk, name):
    (desk.folder / name).write_text("mine", encoding="utf-8")
    process = desk.run("template", name, expect=2)
    assert "is there already and was not changed" in process.last_line
    assert (desk.folder / name).read_text(encoding="utf-8") == "mine"


def test_the_csv_is_its_twin(desk):
    desk.run("template", "--csv")
    lines = (desk.folder / "customers-template.csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines == ["mobile,series_id,count", "910000000000,415446,1"]


@pytest.mark.soak
def test_saved_by_libreoffice_it_is_read_alike(desk, tmp_path):
    """Text stays text on the way, and the example row the example row."""
    soffice = shutil.which("soffice")
    assert soffice is not None
    path = filled(desk)
    words = ["--headless", f"-env:UserInstallation=file://{tmp_path}/office", "--convert-to", "xlsx", "--outdir"]
    subprocess.run([soffice, *words, str(tmp_path), str(path)], check=True, capture_output=True, timeout=100)
    reports = desk.rehearse(tmp_path / "list.xlsx")
    assert [(row["mobile"], row["_issued"]) for row in reports.results] == [(mobile(1), "2")]
