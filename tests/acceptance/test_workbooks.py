"""Workbooks and lists of series from the command line, up to who really holds what."""

from __future__ import annotations

import json
import re
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

from openpyxl import Workbook

from tests.acceptance.desk import SAMPLES, Desk
from tests.books import save_book
from tests.make_demo import CUSTOMERS, DEMO, write

WORKBOOKS = True

SERIES = [("series_id", "name", "count", "max_total", "value"), (415446, "Welcome", 2, 5, 100), (535521, "Big", 1)]


def _customers(count: int, *more: object) -> list[tuple[object, ...]]:
    return [("Mobile No.",), *((919000000001 + number, *more) for number in range(count))]


def test_every_series_of_the_list_up_to_its_limit_and_the_rest_when_the_limit_is_raised(desk: Desk) -> None:
    """Said first; exit 4 with the other series issued in full; the same list with a higher limit issues the rest."""
    book = save_book(desk.folder / "list.xlsx", {"customers": _customers(4), "series": SERIES})
    plan = desk.run("plan", book, "--sandbox", "--campaign", "may", expect=0)
    assert plan.err.find("EACH CUSTOMER GETS EVERY SERIES") < plan.err.find("Campaign")
    assert "its limit of 5 coupons in this campaign (max_total) does not suffice, 3 coupons" in " ".join(
        plan.err.split()
    )
    reports = desk.rehearse(book, "--campaign", "may", expect=4)
    assert reports.summary["state"] == "stopped"
    assert sorted(reports.statuses()) == ["issued"] * 6 + ["not_sent"] * 2
    held = desk.rehearsed_holdings()
    assert sum(series.get(415446, 0) for series in held.values()) == 4
    assert all(series[535521] == 1 for series in held.values())
    again = desk.issue("resume", "--sandbox", "--yes", expect=4)
    assert sorted(again.statuses()) == ["issued"] * 6 + ["not_sent"] * 2
    without = desk.write("list.csv", [f"91900000000{n},415446,2" for n in range(1, 5)])
    desk.rehearse(without, "--campaign", "may", "--unfinished", "abandon", expect=4)
    assert desk.rehearsed_holdings() == held
    raised = [SERIES[0], (415446, "Welcome", 2, 8, 100), SERIES[2]]
    book = save_book(desk.folder / "list.xlsx", {"customers": _customers(4), "series": raised})
    desk.rehearse(book, "--campaign", "may", "--unfinished", "abandon", expect=0)
    assert all(series == {415446: 2, 535521: 1} for series in desk.rehearsed_holdings().values())


def test_hidden_rows_without_a_terminal_are_refused_until_said_and_recorded(desk: Desk) -> None:
    """Exit 3 and nothing sent; then only the rows that are seen get coupons."""
    book = Workbook()
    sheet = book.worksheets[0]
    for row in _customers(3):
        sheet.append(list(row))
    sheet.row_dimensions[3].hidden = True
    path = desk.folder / "filtered.xlsx"
    book.save(path)
    words: list[str | Path] = [path, "--series", "415446", "--campaign", "may"]
    refused = desk.run("run", *words, "--sandbox", "--yes", expect=3)
    assert "1 hidden row" in refused.last_line
    assert "--hidden include" in refused.last_line
    reports = desk.rehearse(*words, "--hidden", "exclude")
    assert [line["_row"] for line in reports.results] == ["2", "4"]
    assert {line["_sheet"] for line in reports.results} == {"Sheet"}
    assert set(desk.rehearsed_holdings()) == {"mobile:919000000001", "mobile:919000000003"}
    with closing(sqlite3.connect(desk.folder / "state" / "coupon-runner" / "rehearsal" / "ledger.db")) as ledger:
        (recorded,) = json.loads(ledger.execute("SELECT overrides FROM runs").fetchone()[0])
    assert (recorded["what"], recorded["choice"], recorded["rows"]) == ("hidden", "exclude", 1)
    assert recorded["user"]
    desk.rehearse(*words, "--hidden", "include")
    assert len(desk.rehearsed_holdings()) == 3


def test_a_plan_code_stands_for_the_sheet_the_hidden_rows_and_the_list_of_series(desk: Desk) -> None:
    """Another sheet with the same customers, or another limit, is another plan."""
    sheets = {"May": _customers(2), "June": _customers(2), "series": SERIES}
    book = save_book(desk.folder / "list.xlsx", sheets)
    words: list[str | Path] = [book, "--sandbox", "--campaign", "may"]
    refused = desk.run("plan", *words, expect=2)
    assert "Say which one with --sheet NAME" in refused.last_line
    planned = desk.run("plan", *words, "--sheet", "May", expect=0)
    code = planned.out.strip()
    assert f"--sheet May --sandbox --plan {code}" in planned.last_line
    assert "stale" in desk.run("run", *words, "--sheet", "June", "--plan", code, expect=3).last_line
    desk.run("run", *words, "--sheet", "may", "--plan", code, expect=0)


def test_lines_that_we_wrote_remember_the_list_they_came_from(desk: Desk) -> None:
    """A corrected failures file names series as the list does, without giving it again."""
    rows = [("Mobile No.", "Series"), (919000000001, "Welcome"), (919000000002, "Gold")]
    book = save_book(desk.folder / "list.xlsx", {"customers": rows, "series": SERIES})
    reports = desk.rehearse(book, "--campaign", "may", expect=1)
    failures = reports.folder / "failures.csv"
    failures.write_text(failures.read_text(encoding="utf-8").replace("Gold", " big"), encoding="utf-8")
    desk.rehearse(failures, "--campaign", "may", expect=0)
    assert desk.rehearsed_holdings() == {
        "mobile:919000000001": {415446: 2},
        "mobile:919000000002": {535521: 1},
    }


def test_the_demo_workbook_shows_what_it_is_for(desk: Desk) -> None:
    """Named series, a dry one, two rows that are held back, and damaged ones: each rejected with its reason."""
    reports = desk.rehearse(DEMO, "--sandbox-config", SAMPLES / "demo-sandbox.toml", "--campaign", "demo", expect=1)
    assert reports.lines() == {"issued": 19, "failed": 4, "duplicate": 1, "rejected": 9}
    held_back = [line["member"][:9] for line in reports.results if line["_error_code"] == "held_back"]
    assert held_back == ["Sample 18", "Sample 20"]
    reasons = {line["member"]: line["_error_message"] for line in reports.results if line["_status"] == "rejected"}
    words = {"22": "last digits are lost", "23": "a date here", "24": "the name of no series", "26": "error value"}
    for number, word in words.items():
        assert any(member.startswith(f"Sample {number}") and word in why for member, why in reasons.items())
    twice = desk.rehearse(DEMO, "--sandbox-config", SAMPLES / "demo-sandbox.toml", "--campaign", "demo", expect=1)
    assert twice.summary["coupons"]["before"] == reports.summary["coupons"]["issued"] == 1231


def test_the_demo_workbook_is_what_its_script_writes_and_holds_artificial_customers_only(tmp_path: Path) -> None:
    """So that a change of it can be read."""
    write(tmp_path / "demo.xlsx")
    with zipfile.ZipFile(tmp_path / "demo.xlsx") as made, zipfile.ZipFile(DEMO) as shipped:
        assert made.namelist() == shipped.namelist()
        for name in made.namelist():
            assert made.read(name) == shipped.read(name), name
    numbers = re.findall(r"\d{12}", " ".join(str(cell) for row in CUSTOMERS for cell in row))
    assert all(number.startswith("9190000000") or number == "415446535521" for number in numbers)
