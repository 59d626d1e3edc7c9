"""The template's example row: known exactly when it comes back, and never issued in whatever form."""

from __future__ import annotations

import pytest

from runner.core.columns import Columns, assign_columns
from runner.core.model import Identifier, Kind, Place, RejectedRow, Row
from runner.core.template import (
    EXAMPLE_IDENTIFIERS,
    SERIES_EXAMPLE,
    headings_of,
    is_example,
    is_series_example,
    left_out,
    notes_of,
    without_example,
)

ALL = (Kind.MOBILE, Kind.EMAIL, Kind.EXTERNAL_ID)
MOBILE, EMAIL, OWN = (EXAMPLE_IDENTIFIERS[kind] for kind in ALL)


def columns(*headings: str) -> Columns:
    made = assign_columns(headings or [one.name for one in headings_of(ALL)], {})
    assert isinstance(made, Columns)
    return made


@pytest.mark.parametrize("kinds", [ALL, (Kind.MOBILE,), (Kind.EMAIL,), (Kind.EXTERNAL_ID, Kind.MOBILE)])
def test_the_row_that_the_template_holds_is_its_example(kinds):
    headings = headings_of(kinds)
    assert is_example(columns(*[one.name for one in headings]), [one.example for one in headings])


@pytest.mark.parametrize(
    ("cells", "example"),
    [
        ([f" {MOBILE} ", "", "", "1", "9"], True),
        ([MOBILE, EMAIL, OWN, "", ""], True),
        ([MOBILE, "ann@example.com", "", "1", "1"], False),
        (["919000000001", EMAIL, "", "1", "1"], False),
        (["", "", "", "415446", "1"], False),
        (["919000000001", "", "", "415446", "1"], False),
        ([MOBILE], True),
    ],
)
def test_a_row_is_the_example_by_its_identifiers_alone(cells, example):
    """With another series or count it is the example still; with anybody's identifier it is not."""
    if cells[0] == f" {MOBILE} ":
        cells = [MOBILE, *cells[1:]]
    assert is_example(columns(), cells) is example


@pytest.mark.parametrize(
    "identifier",
    [
        Identifier(Kind.MOBILE, MOBILE, MOBILE),
        Identifier(Kind.EMAIL, EMAIL.lower(), EMAIL.upper()),
        Identifier(Kind.EXTERNAL_ID, OWN, OWN),
    ],
)
def test_a_row_that_holds_an_example_identifier_beside_a_customers_is_rejected(identifier):
    """Half filled in: issuing would give a customer's coupons to nobody, or to whoever is called so."""
    customer = Identifier(Kind.MOBILE, "919000000001", "919000000001")
    names = (identifier,) if identifier.kind is Kind.MOBILE else (customer, identifier)
    row = Row(Place(0, "", 2), ("x",), names, names[0], (415446,), 1)
    made = without_example(row, columns())
    assert isinstance(made, RejectedRow)
    assert (made.problems[0].column, made.problems[0].value) == (identifier.kind.value, identifier.written)
    assert (made.series_text, made.count_text) == ("415446", "1")


def test_every_other_row_stays_as_it_is():
    name = Identifier(Kind.MOBILE, "919000000001", "919000000001")
    row = Row(Place(0, "", 2), ("x",), (name,), name, (415446,), 1)
    rejected = RejectedRow(Place(0, "", 3), ("x",), (), "", "")
    assert without_example(row, columns()) is row
    assert without_example(rejected, columns()) is rejected


def test_the_example_of_the_list_of_series_is_known_by_its_own_words():
    assert is_series_example(SERIES_EXAMPLE)
    assert not is_series_example(("415446", "Example", "1", "5000", "100.00"))


def test_the_notes_say_what_every_column_means():
    lines = notes_of(ALL)
    for heading in headings_of(ALL):
        assert [about for about, _ in lines if f"Column {heading.name} " in about]
    assert all(text for _, text in lines)


def test_rows_left_out_are_named():
    assert left_out([2]) == "row 2 is the template's example row and was left out"
    assert left_out([2, 4]) == "2 rows are the template's example row and were left out (rows 2, 4)"
    assert left_out(list(range(2, 9))).endswith("(rows 2, 3, 4, 5, 6 …)")
