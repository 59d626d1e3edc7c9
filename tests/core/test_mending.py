"""Identifiers that a spreadsheet damaged: restored only when exactly that damage makes the cell of the original."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.mending import looks_damaged, mend, name_mended

MOBILE = "919000000001"


@pytest.mark.parametrize(
    ("cell", "original"),
    [
        ("9.19E+11", MOBILE),
        ("9.19e+11", MOBILE),
        ("9,19E+11", MOBILE),
        ("9.19000000001E+11", MOBILE),
        ("9E+11", MOBILE),
        (" 9.19E+11 ", MOBILE),
        ("9.19E+11", "+919000000001"),
        ("919000000001.0", MOBILE),
        ("919000000001,0", MOBILE),
        ("1234", "0001234"),
        ("01234", "0001234"),
        ("1234.0", "0001234"),
        (MOBILE, "+919000000001"),
        ("12345678901234500000", "12345678901234567890"),
        ("12345678901234600000", "12345678901234567890"),
        ("1.2345678901235E+19", "12345678901234567890"),
    ],
)
def test_what_a_spreadsheet_leaves_of_a_number_is_restored(cell: str, original: str):
    """Scientific notation, lost zeros and plus, a decimal zero, fifteen digits."""
    assert looks_damaged(cell)
    assert mend(cell, [original]) == original


@pytest.mark.parametrize(
    ("cell", "original"),
    [
        ("9.20E+11", MOBILE),
        ("9.19E+12", MOBILE),
        ("9.191E+11", MOBILE),
        ("919000000002", MOBILE),
        ("9190000000010", MOBILE),
        ("919000000001.5", MOBILE),
        ("12345678901234567891", "12345678901234567890"),
        ("12345678901234000000", "12345678901234567890"),
        ("919000000000", MOBILE),
        ("1234", "001235"),
        ("Ravi", MOBILE),
        ("", MOBILE),
        ("9.19E+11", "customer9@example.com"),
        ("1E+2", "12"),
        ("1.5E+0", "2"),
    ],
)
def test_a_cell_that_says_something_else_is_left_as_it_is(cell: str, original: str):
    """A correction must win, and what does not round to the original is no damage of it."""
    assert mend(cell, [original]) is None


def test_a_whole_cell_needs_nothing():
    """Even when another row of the order wrote the same number differently."""
    assert mend(MOBILE, ["+919000000001", MOBILE]) is None
    assert mend("", []) is None


def test_of_two_numbers_that_fit_none_is_chosen():
    """A guess could give the coupon to somebody else."""
    assert mend("9.19E+11", [MOBILE, "919000000002"]) is None


def test_of_two_ways_to_write_one_number_the_first_is_taken():
    """They are the same customer; the newest row's comes first."""
    assert mend("9.19E+11", ["+919000000001", MOBILE]) == "+919000000001"


@given(st.integers(min_value=10**5, max_value=10**30), st.integers(min_value=0, max_value=12))
def test_every_number_shown_with_fewer_digits_is_restored_and_its_neighbour_in_the_last_digit_is_not(
    number: int, decimals: int
):
    """Rounding to any precision is undone; one unit further is another number."""
    shown = f"{Decimal(number):.{decimals}E}"
    mantissa, _, exponent = shown.partition("E+")
    unit = Decimal(1).scaleb(int(exponent) - decimals)
    rounded = Decimal(mantissa).scaleb(int(exponent))
    assert mend(shown, [str(number)]) == str(number)
    assert mend(shown, [str(int(rounded + max(unit, Decimal(1))))]) is None


def test_the_note_names_rows_and_columns_and_no_whole_identifier():
    """Ten are named, the others counted."""
    assert name_mended([(5, "Mobile", "9.19E+11")], 10) == (
        "1 cell that a spreadsheet had damaged was restored from the ledger (row 5, Mobile: 9.19E+11)"
    )
    note = name_mended([(row, "Id", "919000000001") for row in range(2, 15)], 10)
    assert note.startswith("13 cells that a spreadsheet had damaged were restored from the ledger (row 2, Id: …0001;")
    assert note.endswith("; and 3 more)")
    assert MOBILE not in note
