"""Workbooks and lists of series as a command takes them in: which sheet, what is hidden, who gets which series."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from runner.adapters.sheets import EmptyTable
from runner.app.input_files import NOTHING_TOLD, Asker, Opened, Told, list_of_record, open_input
from runner.errors import InputRefused, UsageError
from runner.settings import Options
from tests.app.test_intake import Desk
from tests.books import save_book
from tests.open_documents import save_document

CUSTOMERS = [("mobile", "Series"), ("919000000001", "Welcome"), ("919000000002", 415446)]
NO_SERIES = [("mobile",), ("919000000001",), ("919000000002",)]
SERIES = [("series_id", "name", "count", "max_total", "value"), (415446, "Welcome", 2, 30, 1.5), (535521, "Big")]


def opened(
    *paths: Path, choose: Callable[[str, str], str] | None = None, told: Told = NOTHING_TOLD, **given: Any
) -> Opened:
    options = Options(**{name: value for name, value in given.items() if value is not None})
    return open_input(paths, options=options, asker=Asker(choose=choose), told=told)


def rows_of(opened: Opened, number: int = 0) -> list[list[str]]:
    return [cells for chunk in opened.tables[number].rows() for _, cells in chunk]


class Answers:
    """Answers a person's questions in their order, and keeps them."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.questions: list[str] = []

    def __call__(self, question: str, suggestion: str) -> str:
        self.questions.append(question)
        return self.answers.pop(0) if self.answers else suggestion


@pytest.fixture
def save(tmp_path: Path):
    def save_sheets(name: str = "list.xlsx", *, hidden: Sequence[str] = (), **sheets: Any) -> Path:
        return save_book(tmp_path / name, sheets, hidden=hidden)

    return save_sheets


@pytest.fixture
def filtered(tmp_path: Path) -> Path:
    """A list with one row filtered out and the column of counts hidden."""
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = "L"
    for row in [("mobile", "Qty", "note"), (1, 5, "x"), (2, 6, "y")]:
        sheet.append(list(row))
    sheet.row_dimensions[3].hidden = True
    sheet.column_dimensions["B"].hidden = True
    book.save(tmp_path / "list.xlsx")
    return tmp_path / "list.xlsx"


# ── the sheet ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_only_sheet_that_names_customers_is_read_and_it_is_said(save):
    """And why it is that one."""
    found = opened(save(notes=[("what",), ("x",)], May=CUSTOMERS))
    assert [table.sheet for table in found.tables] == ["May"]
    assert any("'May', the only one whose columns name customers" in note for note in found.notes)


def test_headings_whose_meaning_was_told_tell_the_sheet(desk, save):
    """By --map, and from the campaign's first run on; a heading of series or counts tells nothing."""
    path = save(notes=[("what", "Kind"), ("x", "y")], May=[("Contact", "Kind"), ("919000000001", "415446")])
    told = ["mobile=Contact", "series_id=Kind"]
    with pytest.raises(UsageError, match="'notes', 'May'"):
        desk.take(path, load=True)
    assert desk.take(path, map=told, load=True).files[0]["sheet"] == "May"
    assert desk.take(path).files[0]["sheet"] == "May"


def test_several_sheets_with_customers_are_asked_about_once(save):
    """The answer goes into the command that is suggested next."""
    path = save(May=CUSTOMERS, June=NO_SERIES)
    person = Answers("June")
    found = opened(path, choose=person)
    assert (found.tables[0].sheet, len(person.questions), found.asked) == ("June", 1, {"sheet": "June"})
    with pytest.raises(UsageError, match=r"'May', 'June'\. Say which one with --sheet NAME"):
        opened(path)
    with pytest.raises(UsageError, match="no sheet 'July'"):
        opened(path, choose=Answers("July"))


def test_a_sheet_is_named_with_a_flag(save):
    """One that is not there is refused, and a text file has none."""
    path = save(May=CUSTOMERS, June=NO_SERIES)
    assert opened(path, sheet="june").tables[0].sheet == "June"
    with pytest.raises(UsageError, match="it has no sheet 'July', but 'May', 'June'"):
        opened(path, sheet="July", choose=Answers("May"))
    text = path.with_name("list.csv")
    text.write_text("mobile\n1\n")
    with pytest.raises(UsageError, match="none of the files is a workbook"):
        opened(text, sheet="May")


def test_a_workbook_without_rows_is_empty(save):
    """As an empty CSV is."""
    with pytest.raises(EmptyTable, match="no rows below"):
        opened(save(May=[("mobile",)], series=SERIES))


# ── hidden ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_hidden_rows_and_columns_without_a_terminal_are_refused_until_said(filtered):
    """Counted, and named: exit 3."""
    with pytest.raises(InputRefused, match=r"1 hidden row and 1 hidden column \(Qty\).*--hidden include") as caught:
        opened(filtered)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("choice", "cells"), [("include", [["1", "5", "x"], ["2", "6", "y"]]), ("exclude", [["1", "x"]])]
)
def test_hidden_rows_and_columns_are_the_owners_choice(filtered, choice, cells):
    """Told or asked; said aloud, and recorded with the run."""
    person = Answers(choice)
    assert opened(filtered, hidden=choice).asked == {}
    for found in (opened(filtered, hidden=choice), opened(filtered, choose=person)):
        assert rows_of(found) == cells
        assert found.hidden == choice
        assert found.overrides == [{"what": "hidden", "choice": choice, "rows": 1, "columns": ["Qty"], "sheets": []}]
        assert any("1 hidden row" in note and f"--hidden {choice}" in note for note in found.notes)
    assert (found.asked, len(person.questions)) == ({"hidden": choice}, 1)
    with pytest.raises(UsageError, match="none of include, exclude"):
        opened(filtered, choose=Answers("maybe"))


def test_a_hidden_column_that_nothing_reads_needs_no_decision(filtered):
    """A remark that somebody hid; but one that --map names does."""
    book = load_workbook(filtered)
    book.worksheets[0]["B1"] = "remark"
    book.worksheets[0].row_dimensions[3].hidden = False
    book.save(filtered)
    found = opened(filtered)
    assert (found.hidden, found.overrides, rows_of(found)[0]) == (None, [], ["1", "5", "x"])
    with pytest.raises(InputRefused, match="hidden column"):
        opened(filtered, told=Told.of([("remark", "count")]))


def test_a_hidden_sheet_that_could_be_meant_needs_a_decision(save):
    """Included, it counts like a visible one; excluded or without customers, it is only said."""
    path = save(May=CUSTOMERS, old=NO_SERIES, lookup=[("city",), ("x",)], hidden=["old", "lookup"])
    with pytest.raises(InputRefused, match=r"1 hidden sheet that could be meant \('old'\)"):
        opened(path)
    found = opened(path, hidden="exclude")
    assert found.tables[0].sheet == "May"
    assert any("'old', 'lookup'" in note and "not read" in note for note in found.notes)
    person = Answers("include", "old")
    found = opened(path, choose=person)
    assert (found.tables[0].sheet, len(person.questions)) == ("old", 2)
    assert opened(path, sheet="May").hidden is None
    assert any("is hidden, and --sheet names it" in note for note in opened(path, sheet="old").notes)


def test_a_workbook_whose_customers_are_all_hidden(save):
    """Nothing is read of it unless somebody says so."""
    path = save(front=[], May=CUSTOMERS, hidden=["May"])
    with pytest.raises(InputRefused, match="could be meant"):
        opened(path)
    assert opened(path, hidden="include").tables[0].sheet == "May"
    with pytest.raises(EmptyTable):
        opened(path, hidden="exclude")


# ── the list of series ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_sheet_called_series_beside_the_customers_is_their_list(save):
    """It is no second list of customers."""
    found = opened(save(May=CUSTOMERS, Series=SERIES))
    assert found.listed is not None
    assert found.listed.series.ids == (415446, 535521)
    assert list_of_record(found.listed.record()) == found.listed
    assert any("the list of series is the sheet 'Series' of list.xlsx: 2 series" in note for note in found.notes)


def test_a_series_file_comes_before_a_sheet_of_that_name(save, tmp_path):
    """CSV or workbook; it is said that the sheet is not read."""
    path = save(May=CUSTOMERS, series=SERIES)
    text = tmp_path / "series.csv"
    text.write_text("series_id,name\n7,Gold\n")
    found = opened(path, series_file=text)
    assert found.listed is not None
    assert found.listed.series.ids == (7,)
    assert any("not read, since --series-file is given" in note for note in found.notes)
    other = save("other.xlsx", notes=[("what",), ("x",)], ours=SERIES)
    again = opened(path, series_file=other)
    assert again.listed is not None
    assert again.listed.sheet == "ours"
    with pytest.raises(UsageError, match="which of its sheets lists the series is not certain"):
        opened(path, series_file=save("two.xlsx", one=SERIES, two=SERIES))


def test_a_list_that_cannot_be_used_refuses_the_run_with_every_problem(save, tmp_path):
    """File, sheet, row, column and cell."""
    with pytest.raises(InputRefused) as caught:
        opened(save(May=CUSTOMERS, series=[*SERIES, ("x", "a", 0)]))
    assert "list.xlsx, sheet 'series', list of series: row 4, column 'series_id', x: " in caught.value.message
    assert "row 4, column 'count', 0: " in caught.value.message
    empty = tmp_path / "series.csv"
    for text in ("", "series_id\n"):
        empty.write_text(text)
        with pytest.raises(InputRefused) as caught:
            opened(save(May=CUSTOMERS), series_file=empty)
        assert not isinstance(caught.value, EmptyTable)


def test_hidden_rows_of_a_list_of_series_need_a_decision_too(tmp_path, save):
    """A series that nobody sees would be issued, or forgotten."""
    path = save("series.xlsx", series=SERIES)
    book = load_workbook(path)
    book.worksheets[0].row_dimensions[3].hidden = True
    book.save(path)
    customers = save(May=CUSTOMERS)
    with pytest.raises(InputRefused, match="sheet 'series' has 1 hidden row"):
        opened(customers, series_file=path)
    found = opened(customers, series_file=path, hidden="exclude").listed
    assert found is not None
    assert found.series.ids == (415446,)


def test_two_workbooks_may_bring_the_same_list_and_not_two(save):
    """Which one counts would be a guess."""
    one, two = save("one.xlsx", May=CUSTOMERS, series=SERIES), save("two.xlsx", June=NO_SERIES, series=SERIES)
    assert opened(one, two).listed is not None
    other = save("two.xlsx", June=NO_SERIES, series=SERIES[:2])
    with pytest.raises(InputRefused, match="hold different lists of series"):
        opened(one, other)


# ── into orders ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def orders_of(desk: Desk) -> list[tuple[int, int]]:
    with desk.ledger.connect() as connection:
        found = connection.exec_driver_sql("SELECT series, target FROM orders ORDER BY id").all()
    return [(int(series), int(target)) for series, target in found]


def test_customers_name_a_series_by_id_or_name_and_the_list_has_the_default_count(desk, save):
    """Count: cell, else list, else --count."""
    rows = [("mobile", "Series", "Qty"), (1001, "welcome", None), (1002, "BIG", None), (1003, "Welcome", 7)]
    rows = [(f"91900000{row[0]}" if row[0] != "mobile" else "mobile", *row[1:]) for row in rows]
    intake = desk.take(save(May=rows, series=SERIES), count=3, load=True)
    assert orders_of(desk) == [(415446, 2), (535521, 3), (415446, 7)]
    assert intake.first == ()


def test_without_a_series_column_each_customer_gets_every_series_and_that_is_said_first(desk, save):
    """Each series with its own count."""
    intake = desk.take(save(May=NO_SERIES, series=SERIES), load=True)
    assert orders_of(desk) == [(415446, 2), (535521, 1)] * 2
    assert "EACH CUSTOMER GETS EVERY SERIES" in intake.first[0]
    assert "2 series (415446 Welcome, 535521 Big)" in intake.first[0]


def test_with_a_series_column_or_flag_nobody_gets_every_series(desk, save):
    """A blank cell is a mistake, not a wish for all."""
    blank = [("mobile", "Series"), ("919000000001", None), ("919000000002", "Big")]
    assert desk.take(save(May=blank, series=SERIES), load=True).first == ()
    assert orders_of(desk) == [(535521, 1)]
    desk.take(save("two.xlsx", May=NO_SERIES, series=SERIES), campaign="June", series=["535521"], load=True)
    assert orders_of(desk)[1:] == [(535521, 1)] * 2
    with pytest.raises(UsageError, match="--series 7: the list of series does not have it"):
        desk.take(save("two.xlsx", May=NO_SERIES, series=SERIES), campaign="July", series=["7"])


def test_two_files_of_which_one_names_series_are_not_guessed_about(desk, save, tmp_path):
    """Every series for the customers of the other?"""
    text = tmp_path / "more.csv"
    text.write_text("mobile\n919000000009\n")
    with pytest.raises(InputRefused, match=r"list\.xlsx has a series column and more\.csv has none"):
        desk.take(save(May=CUSTOMERS, series=SERIES), text)


def test_the_limits_of_a_list_stay_with_the_campaign(desk, save, tmp_path):
    """A later file without the list is bound by them; its names are read only in lines that we wrote."""
    taken = desk.take(save(May=CUSTOMERS, series=SERIES), load=True)
    with desk.ledger.connect() as connection:
        args = orjson.dumps({"series_list": taken.listed.record() if taken.listed else None}).decode()
        connection.exec_driver_sql("UPDATE runs SET args = ?", (args,))
    text = "mobile,series_id\n919000000005,999\n919000000006,Welcome\n"
    later = desk.take(desk.write("later.csv", text), load=True, run="later")
    assert orders_of(desk)[2:] == [(999, 1)]
    assert later.listed is not None
    assert later.listed.series.limits == {415446: 30}
    ours = desk.write("failures.csv", f"mobile,Series,count,_ref\n919000000001,welcome,1,{desk.ref()}\n")
    assert desk.take(ours, load=False, campaign=None).listed == later.listed
    assert desk.rows == 1


MOBILES = st.integers(0, 1999).map(lambda number: f"91900000{number:04d}")
LINES = st.lists(
    st.tuples(MOBILES, st.sampled_from(["415446", "535521", "415446; 535521"]), st.sampled_from(["", "1", "3"])),
    min_size=1,
    max_size=8,
    unique_by=lambda line: line[0],
)


@settings(max_examples=25, deadline=None)
@given(lines=LINES, as_numbers=st.booleans(), shuffled=st.randoms(use_true_random=False))
def test_the_same_list_as_csv_xlsx_and_ods_gives_the_same_orders(lines, as_numbers, shuffled):
    """Identifiers as text or as numbers, in another order.

    The same keys and targets, so that nothing is issued twice.
    """
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        text = desk.write("list.csv", "mobile,series_id,count\n" + "".join(f'{m},"{s}",{c}\n' for m, s, c in lines))
        desk.take(text, load=True)
        with desk.ledger.connect() as connection:
            query = "SELECT key, target FROM orders ORDER BY key"
            before = connection.exec_driver_sql(query).all()
        others = list(lines)
        shuffled.shuffle(others)

        def cell(value: str) -> object:
            return int(value) if as_numbers and value.isdecimal() else value or None

        rows = [("mobile", "series_id", "count"), *([cell(value) for value in line] for line in others)]
        book = save_book(Path(folder) / "list.xlsx", {"Sheet1": rows})
        document = save_document(Path(folder) / "list.ods", [["" if c is None else c for c in row] for row in rows])
        for path in (book, document):
            desk.take(path, load=True, run=f"again, as {path.suffix}")
            with desk.ledger.connect() as connection:
                assert connection.exec_driver_sql(query).all() == before
