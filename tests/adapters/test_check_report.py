"""The check report beyond what a small plan shows: large inputs, several sheets, reports that cannot be written."""

from __future__ import annotations

import csv
import sqlite3
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from runner.adapters import check_report
from runner.adapters.check_report import write_check
from runner.adapters.ledger import checked
from runner.adapters.ledger.staging import Staging
from runner.core.check_tables import MOST_ROWS, CheckedFile, CheckFacts, judge
from runner.core.checking import ProblemTally, repair_of
from runner.core.columns import Role
from runner.core.model import Identifier, Kind, Place, Problem, Row
from runner.core.plan import Plan
from runner.core.planned import Duplicates, Overlap
from runner.core.trimming import trim
from tests.adapters.staging_world import IDENTIFY_BY, World, rejected_row, row

FILE = CheckedFile("list.csv", "", ("mobile", "series_id", "count"), {Kind.MOBILE: 0})
FACTS = CheckFacts(campaign="May", org="Acme", rehearsal=False, written="2026-11-23 08:00:00 UTC")


def plan_of(rows: int, rejected: int) -> Plan:
    return Plan(rows=rows, rejected=rejected, duplicate_rows=0, lines=rows - rejected, orders=0, target=0, issued=0,
                held=0, missing=0, calls=0, skipped=0, below=0, leavers=0, series=(), overlaps=(), examples=(),
                digest="")  # fmt: skip


def written(folder, rows, *, rejected: int, total: int, every: bool, workbook: bool = True, files=(FILE,)):
    tally = ProblemTally()
    for one in rows:
        if one.problems:
            tally.add(one.place, [problem for _, problem in one.problems])
    return write_check(
        folder, iter(rows), plan=plan_of(total, rejected), kinds=tally.kinds(), files=files, facts=FACTS, every=every,
        workbook=workbook, at=0.0, local=lambda seconds: datetime.fromtimestamp(seconds, UTC),
    )  # fmt: skip


def bad(number: int):
    cells = ("12", "415446", "1")
    return judge(Place(0, "", number), cells, (Problem("mobile", "12", "Too short."),), {}, "", FILE, {})


def test_of_a_large_input_only_the_rows_worth_a_look_are_shown_and_that_is_said(tmp_path):
    files = written(tmp_path, [bad(n) for n in range(2, 1_202)], rejected=1_200, total=MOST_ROWS + 1, every=False)
    book = load_workbook(files[0])
    assert book["list"].max_row == book["Problems"].max_row == 1_201
    page = " ".join(str(cell.value) for line in book["Summary"].iter_rows() for cell in line if cell.value is not None)
    assert "100,001 rows are more than 100,000" in page
    assert "rejected or repaired only, all of them" in page
    with files[1].open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) == 1_200


def test_what_a_sheet_has_no_room_for_is_said_and_in_the_csv(tmp_path, monkeypatch):
    monkeypatch.setattr(check_report, "LAST_ROW", 11)
    files = written(tmp_path, [bad(n) for n in range(2, 22)], rejected=20, total=MOST_ROWS + 1, every=False)
    book = load_workbook(files[0])
    assert book["list"].max_row == book["Problems"].max_row == 11
    page = " ".join(str(cell.value) for line in book["Summary"].iter_rows() for cell in line if cell.value is not None)
    assert "20 more lines are in the check report as CSV only, which has all of them" in page
    with files[1].open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) == 20


def test_without_workbooks_there_is_the_csv_alone(tmp_path):
    assert [path.name for path in written(tmp_path, [bad(2)], rejected=1, total=1, every=True, workbook=False)] == [
        "list.check.csv"
    ]


def test_a_report_is_replaced_whole_or_stays_and_leaves_nothing_else_behind(tmp_path):
    written(tmp_path, [bad(2)], rejected=1, total=1, every=True)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(before) == ["list.check.csv", "list.check.xlsx"]

    def broken():
        yield bad(2)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_check(tmp_path, broken(), plan=plan_of(2, 2), kinds=(), files=(FILE,), facts=FACTS, every=True,
                    workbook=True, at=0.0, local=lambda seconds: datetime.fromtimestamp(seconds, UTC))  # fmt: skip
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_each_file_has_its_own_sheet_and_in_the_csv_columns_of_one_heading_are_one(tmp_path):
    other = CheckedFile("b.xlsx", "May", ("count", "mobile", "city"), {Kind.MOBILE: 1})
    second = judge(Place(1, "May", 5), ("1", "12", "Pune"), (Problem("mobile", "12", "Too short."),), {}, "", other, {})
    files = written(tmp_path, [bad(2), second], rejected=2, total=2, every=True, files=(FILE, other))
    assert [path.name for path in files] == ["list-and-1-more.check.xlsx", "list-and-1-more.check.csv"]
    book = load_workbook(files[0])
    assert [cell.value for cell in book["May"][1]] == ["_row", "_check", "_why", "count", "mobile", "city"]
    assert book["May"]["E2"].fill.fgColor.rgb == "00FF9C91"
    with files[1].open(encoding="utf-8-sig", newline="") as file:
        first, last = csv.DictReader(file)
    assert list(first) == [*FILE.headings, "city", "_file", "_sheet", "_row", "_check", "_columns", "_why"]
    assert (last["mobile"], last["series_id"], last["count"], last["city"], last["_file"]) == (
        "12", "", "1", "Pune", "b.xlsx")  # fmt: skip


# ---------------------------------------------------------------- out of the staged rows


@pytest.fixture
def staging(tmp_path):
    world = World(tmp_path)
    with Staging(world.file) as staging:
        otherwise = Identifier(Kind.MOBILE, "919000000009", "919000000009")
        staging.add([
            row(2, "m1"), rejected_row(3), row(4, "m2 e2"), row(5, "m1"),
            Row(Place(0, "", 6), ("'919000000009", "415446", "1"), (otherwise,), otherwise, (415446,), 1),
            row(7, "m3", count=2), row(8, "m3", count=3),
        ])  # fmt: skip
        staging.plan(world.campaign(), identify_by=IDENTIFY_BY, duplicates=Duplicates.AGREE, overlap=Overlap.ASK)
        yield staging


def test_every_row_comes_back_in_order_with_what_was_decided(staging):
    rows = list(staging.checked_rows({0: {Role.MOBILE: 0}}, every=True))
    assert [one.place.row for one in rows] == [2, 3, 4, 5, 6, 7, 8]
    assert [bool(one.problems) for one in rows] == [False, True, False, False, False, True, True]
    assert [one.repeats for one in rows if one.repeats] == ["same as row 2"]
    assert rows[2].names == {Kind.MOBILE: "919000000002", Kind.EMAIL: "customer2@example.com"}


def test_of_a_large_input_come_the_rejected_rows_and_those_with_a_cell_that_may_have_been_repaired(staging):
    rows = list(staging.checked_rows({0: {Role.MOBILE: 0}}, every=False))
    assert [one.place.row for one in rows] == [3, 6, 7, 8]
    restored = list(staging.checked_rows({}, every=False, restored=[Place(0, "", 4), Place(0, "other", 5)]))
    assert [one.place.row for one in restored] == [3, 4, 7, 8]
    assert [place.row for place, _ in staging.rejected_rows()] == [3, 7, 8]


ODD_CELLS = st.tuples(
    st.sampled_from(["", "'", "mailto:", "MailTo:", "tel:"]),
    st.text(st.sampled_from("0123456789+-(). '\u00a0\u200b\uff12,@axm"), max_size=12),
).map("".join)


@given(cells=st.lists(st.tuples(*[ODD_CELLS] * 5), min_size=1, max_size=20))
def test_no_repaired_cell_of_a_large_input_is_missed(cells):
    """What SQLite looks for is in every cell that is said to be repaired."""
    database = sqlite3.connect(":memory:")
    for texts in cells:
        for role, cell in zip(checked._ODD, texts, strict=True):
            if trim(cell) and repair_of(role, cell) is not None:
                found = [database.execute("SELECT ? GLOB ?", (cell, one)).fetchone()[0] for one in checked._ODD[role]]
                assert any(found), (role, cell)


def test_orders_to_be_looked_up_are_those_that_would_be_asked_for(staging):
    assert staging.count_orders_to_issue() == 3
    found = staging.orders_at([0, 2])
    assert [(one.place.row, one.value, one.known) for one in found] == [(2, "919000000001", 0), (6, "919000000009", 0)]
    assert staging.orders_at([]) == []
