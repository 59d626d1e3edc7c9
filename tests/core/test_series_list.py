"""The list of series: read as a whole or refused with all its problems; names and ids lead to its series only."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.series_list import ListedSeries, SeriesList, SeriesNames, read_series_list
from runner.core.sheet_cells import HAS_DECIMALS, DoubtfulCell

HEADERS = ("series_id", "name", "count", "max_total", "value")


def read(*rows, headers=HEADERS) -> SeriesList:
    found = read_series_list(headers, [(number, row) for number, row in enumerate(rows, start=2)])
    assert isinstance(found, SeriesList), found
    return found


def problems(*rows, headers=HEADERS) -> list[str]:
    found = read_series_list(headers, [(number, row) for number, row in enumerate(rows, start=2)])
    assert isinstance(found, list), found
    return found


def test_every_column_is_read():
    """What is blank is not said."""
    listed = read(("415446", "Welcome", "2", "5000", "99.50"), (" 535521 ", "", "", "", ""))
    assert listed.entries == (
        ListedSeries(415446, "Welcome", 2, 5000, Decimal("99.50"), 2),
        ListedSeries(535521, "", None, None, None, 3),
    )
    assert (listed.ids, listed.counts, listed.limits) == ((415446, 535521), {415446: 2}, {415446: 5000})


def test_headings_have_synonyms_and_other_columns_are_ignored():
    """Whatever their case and order."""
    listed = read(("x", "7", "Gold", "9"), headers=("remark", "Coupon Series ID", "Series Name", "Max. Total"))
    assert listed.entries[0][:4] == (7, "Gold", None, 9)
    assert read(("7",), headers=("ID",)).ids == (7,)


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        (("name", "count"), "no column names the series"),
        (("", ""), "all blank"),
        (("series_id", "Series No"), "more than one column could be series_id"),
        (("series_id", "limit", "budget"), "more than one column could be max_total"),
    ],
)
def test_headings_that_would_be_a_guess_refuse_the_list(headers, word):
    """Which is which is said by renaming."""
    assert word in problems(("1",) * len(headers), headers=headers)[0]


@pytest.mark.parametrize(
    ("row", "where", "word"),
    [
        (("x", "", "", "", ""), "column 'series_id', x", "not a series id"),
        (("", "Gold", "", "", ""), "column 'series_id'", "names no series"),
        (("1;2", "", "", "", ""), "column 'series_id', 1;2", "one series"),
        (("1", "", "0", "", ""), "column 'count', 0", "at least 1"),
        (("1", "", "", "0", ""), "column 'max_total', 0", "whole number from 1"),
        (("1", "", "", "many", ""), "column 'max_total', many", "whole number from 1"),
        (("1", "", "", "", "10%"), "column 'value', 10%", "plain number"),
        (("1", "", "", "", "1,000"), "column 'value', 1,000", "plain number"),
        (("1", "2026", "", "", ""), "column 'name', 2026", "taken for an id"),
        (("1", "", DoubtfulCell("TRUE", "because"), "", ""), "column 'count', TRUE", "because"),
        (("1", "", "", "", DoubtfulCell("2026-05-01", "a date")), "column 'value', 2026-05-01", "a date"),
        (("1",), "row 2", "1 cells, but the header has 5"),
    ],
)
def test_a_cell_that_cannot_be_read_refuses_the_list_with_its_place(row, where, word):
    """A series that were left out would be one that customers do not get."""
    (problem,) = problems(row)
    assert problem.startswith("row 2")
    assert where in problem
    assert word in problem


def test_all_problems_of_a_list_are_told_together():
    """In the order of its rows."""
    found = problems(("x", "", "0", "", ""), ("1", "", "", "", "?"))
    assert [problem[:5] for problem in found] == ["row 2", "row 2", "row 3"]


def test_a_series_that_stands_twice_refuses_the_list():
    """Naming both rows."""
    assert problems(("7", "a", "", "", ""), ("7", "b", "", "", "")) == [
        "series 7 stands in row 2 and in row 3. Keep one of them."
    ]


def test_a_list_without_rows_is_refused():
    """It would forbid everything."""
    assert problems() == ["it has no row below its header."]


def test_a_value_may_have_decimals_in_a_spreadsheet():
    """Where an identifier may not."""
    assert read(("1", "", "", "", DoubtfulCell("99.5", HAS_DECIMALS))).entries[0].value == Decimal("99.5")


NAMES = SeriesNames(
    read(
        ("415446", "Welcome", "", "", ""),
        ("535521", "Birthday, big", "", "", ""),
        ("600709", "Twin", "", "", ""),
        ("600504", "TWIN ", "", "", ""),
    )
)


@pytest.mark.parametrize(
    ("cell", "series"),
    [
        ("Welcome", (415446,)),
        (" wELCOME  ", (415446,)),
        ("415446", (415446,)),
        ("Birthday,  big", (535521,)),
        ("Welcome; birthday, BIG", (415446, 535521)),
        ("Welcome, 600504", (415446, 600504)),
        ("415446, 535521", (415446, 535521)),
        ("600709;Welcome", (600709, 415446)),
    ],
)
def test_a_series_is_named_by_id_or_by_name_whatever_its_case(cell, series):
    """Several are separated by semicolons or commas; a name may hold blanks and commas itself."""
    assert NAMES.read(cell) == series


@pytest.mark.parametrize(
    ("cell", "word"),
    [
        ("Twin", "means 2 series (600709, 600504)"),
        ("Welcome; twin", "means 2 series"),
        ("Gold", "'Gold' is the name of no series in the list"),
        ("Welcome; Gold", "'Gold' is the name of no series"),
        ("Welcome 415446", "name of no series"),
        ("999", "Series 999 is not in the list"),
        ("Welcome, 999", "Series 999 is not in the list"),
        ("Welcome; 415446", "stands twice"),
        ("", "names no series"),
        (";", "names no series"),
    ],
)
def test_what_the_list_does_not_say_rejects_the_row(cell, word):
    """Never the nearest name."""
    found = NAMES.read(cell)
    assert isinstance(found, str)
    assert word in found


@given(st.text(max_size=12))
def test_whatever_a_cell_holds_it_is_series_of_the_list_or_a_sentence(cell):
    """And each at most once."""
    found = NAMES.read(cell)
    if not isinstance(found, str):
        assert set(found) <= {415446, 535521, 600709, 600504}
        assert len(set(found)) == len(found) > 0
