"""Where the table stands: headings below titles and in two rows, rows that are no customers; nobody is lost by it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.table_finding import find_headings, is_total, no_customer

HEADERS = ("Name", "Mobile", "Series", "Qty")
ROW = ("A", "919000000001", "415446", "2")


def numbered(*records):
    return [(number, cells) for number, cells in enumerate(records, start=1) if any(cells)]


def test_headings_in_the_first_row_are_the_headings():
    found = find_headings(numbered(HEADERS, ROW))
    assert (found.headers, found.first, found.last, found.above) == (HEADERS, 1, 1, ())


def test_headings_are_found_below_titles_and_blank_rows():
    titles = (("Customers of Diwali", "", "", ""), ("", "", "", ""), ("Confidential", "", "", "as of May"))
    found = find_headings(numbered(*titles, HEADERS, ROW))
    assert (found.headers, found.last, found.above) == (HEADERS, 4, (1, 3))


def test_a_title_that_says_mobile_is_no_heading():
    """One cell alone above a row of headings."""
    found = find_headings(numbered(("Mobile", "", "", ""), HEADERS, ROW))
    assert (found.headers, found.above) == (HEADERS, (1,))


def test_a_list_with_one_column_has_its_heading_in_the_first_row():
    assert find_headings([(1, ("mobile",)), (2, ("919000000001",))]).above == ()


def test_without_a_heading_that_names_customers_the_first_row_is_taken_and_refused_later():
    """What it holds is told by the refusal; a row of customers is never skipped as a title."""
    assert find_headings(numbered(ROW, ROW)).headers == ROW
    assert find_headings(numbered(("a", "b"), ("c", "d"))).headers == ("a", "b")


def test_the_heading_that_somebody_names_is_found_too():
    titled = numbered(("List", ""), ("Kontakt", "x"), ("919000000001", ""))
    assert find_headings(titled).last == 1
    assert find_headings(titled, {"Kontakt"}).last == 2


def test_our_own_file_begins_where_its_headings_are():
    assert find_headings(numbered(("mobile", "_ref"), ("919000000001", "x"))).last == 1


def test_two_rows_of_headings_as_merged_cells_leave_them_are_read_as_one():
    """Upwards merged: the lower row has Series and Qty; sidewards merged: the upper one has only the group."""
    down = find_headings(numbered(("Mobile", "Coupon", ""), ("", "Series", "Qty"), ROW[1:]))
    assert (down.headers, down.first, down.last, down.above) == (("Mobile", "Series", "Qty"), 1, 2, ())
    up = find_headings(numbered(("Series", "Whom", ""), ("", "Mobile", "Email"), ("415446", "919000000001", "")))
    assert (up.headers, up.first, up.last) == (("Series", "Mobile", "Email"), 1, 2)


def test_a_row_of_a_customer_is_never_taken_for_headings():
    """A blank identifier beside words is a row to be rejected, and counted."""
    assert find_headings(numbered(HEADERS, ("Mobile Shop", "", "415446", "2"))).last == 1
    assert find_headings(numbered(HEADERS, ("Series", "919000000001", "Qty", ""))).last == 1


@pytest.mark.parametrize(
    ("cells", "word"),
    [
        (("TOTAL", "", "", "350"), "a total"),
        (("Grand Total:", "", "", "1,200"), "a total"),
        (("", "Total", "", "350"), "a total"),
        (("Gesamt", "", "", "350"), "a total"),
        (("योग", "", "", "350"), "a total"),
        (("Total customers", "1203", "", ""), "a total"),
        (("Prepared by: R", "", "", ""), "'Prepared by'"),
        (("Note: send before Diwali", "", "", ""), "'Note:'"),
        (("*** End of report ***", "", "", ""), "'End of report'"),
        (("Page 1 of 3",), "'Page 1 of 3'"),
        (("-----", "", "", ""), "signs"),
        (HEADERS, "the headings once more"),
    ],
)
def test_totals_notes_and_headings_again_are_no_customers(cells, word):
    assert word in str(no_customer(cells, HEADERS, named=False))


def test_the_heading_of_a_single_column_once_more_is_no_customer():
    """Not even where it could be an id: nobody is called like the column."""
    assert no_customer(("externalId",), ("externalId",), named=True) == "the headings once more"


@pytest.mark.parametrize(
    "cells",
    [
        ("Total", "9190000O0001", "415446", "2"),
        ("A", "", "", ""),
        ("", "98765", "", ""),
        ("Chosen in the meeting", "", "", ""),
        ("Totally Fine Ltd", "", "", "2"),
        ("", "", "", ""),
        ("tom@", "", "", ""),
    ],
)
def test_a_row_that_could_be_a_customers_is_not_left_out(cells):
    """It is rejected with its reason, so that somebody can correct it."""
    assert no_customer(cells, HEADERS, named=False) is None


@given(st.lists(st.sampled_from(["TOTAL", "350", "", "Prepared by", "Note: x", "-", "A"]), min_size=1, max_size=6))
def test_a_row_that_names_somebody_is_never_left_out(cells):
    """But for the headings once more, which name nobody."""
    assert no_customer(cells, HEADERS, named=True) is None


@given(st.lists(st.lists(st.text(max_size=8), min_size=1, max_size=4), min_size=1, max_size=6))
def test_any_sheet_has_headings(records):
    """Nothing raises, and the headings are rows of the sheet."""
    found = find_headings([(number, tuple(cells)) for number, cells in enumerate(records, start=1)])
    assert 1 <= found.first <= found.last <= len(records)
    assert all(number < found.first for number in found.above)


def test_only_a_word_for_it_is_a_total():
    assert is_total(" Sub-Total : ")
    assert not is_total("Total Recall Cinema")
