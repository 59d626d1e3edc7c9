"""A spreadsheet's cell is the text that a person sees.

What may not be what was entered is doubtful, with the remedy.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.number_formats import format_of, is_date_format, is_grouped, shown_integer
from runner.core.sheet_cells import DOUBT_MARK, DoubtfulCell, RawCell, cell_text, doubt_of, marked


def number(written: str, code: str = "General", text: str = "") -> str:
    return cell_text(RawCell(0, "n", 0, written, None), code, text)


@pytest.mark.parametrize(
    ("value", "code", "seen"),
    [
        (3873472, "000000000000", "000003873472"),
        (919876543210, "General", "919876543210"),
        (919876543210, "0", "919876543210"),
        (919876543210, "@", "919876543210"),
        (919876543210, "#", "919876543210"),
        (919876543210, "0.00E+00", "919876543210"),
        (919876543210, "#,##0", "919876543210"),
        (919876543210, "0.00", "919876543210"),
        (919876543210, "[Red]0;[Blue]-0", "919876543210"),
        (9876543210, '"91"0000000000', "919876543210"),
        (919876543210, '"+"0', "+919876543210"),
        (1234567890, "00000-00000", "12345-67890"),
        (123456789, "000\\-00\\-0000", "123-45-6789"),
        (5551234567, "[<=9999999]###-####;(###) ###-####", "(555) 123-4567"),
        (5551234, "[<=9999999]###-####;(###) ###-####", "555-1234"),
        (42, "00000;-0;0", "00042"),
        (0, "0", "0"),
    ],
)
def test_a_whole_number_is_the_digits_that_its_format_shows(value, code, seen):
    """Leading zeros and literals are seen; groups, decimals and the short form only say how much room there was."""
    assert shown_integer(value, code) == seen


@pytest.mark.parametrize("code", ["0%", "0,", "#,##0,,", "# ?/?", "dd/mm/yyyy", "date", "[h]:mm", "0.00%"])
def test_a_format_that_shows_another_number_shows_none(code):
    """Percent, thousands, fractions and dates: what is seen is not what the cell holds."""
    assert shown_integer(12, code) is None
    assert doubt_of(number("12", code, "x"))


@pytest.mark.parametrize(
    ("code", "is_date"),
    [
        ("dd/mm/yyyy", True),
        ("[$-409]d-mmm-yy;@", True),
        ("[h]:mm:ss", True),
        ("General", False),
        ('0" days"', False),
        ("[Red]0", False),
        ("0.00E+00", False),
        ("[$₹-4009] #,##0", False),
    ],
)
def test_dates_are_told_by_their_format(code, is_date):
    """Letters in quotes, colours and currencies are no date."""
    assert is_date_format(code) is is_date


def test_formats_that_are_named_by_number_only():
    """Custom codes win; the built-in dates are dates."""
    assert format_of(164, "0000") == "0000"
    assert (format_of(1, None), format_of(3, None), format_of(999, None)) == ("0", "#,##0", "General")
    assert all(is_date_format(format_of(index, None)) for index in (14, 22, 47, 30))


@given(st.integers(0, 10**15 - 1), st.integers(1, 18))
def test_a_padded_number_keeps_every_digit(value, width):
    """Zeros in front, never fewer digits than the number has."""
    seen = shown_integer(value, "0" * width)
    assert seen is not None
    assert int(seen) == value
    assert len(seen) == max(width, len(str(value)))


@pytest.mark.parametrize("written", ["919876543210", "919876543210.0", "9.1987654321E11", " 919876543210 "])
def test_however_a_workbook_writes_a_number_it_is_the_same_digits(written):
    """Programs write numbers in several ways."""
    assert number(written) == "919876543210"
    assert doubt_of(number(written)) is None


@pytest.mark.parametrize("written", ["1000000000000000", "9.1987654321012346E+17", "12345678901234567890"])
def test_a_number_that_may_have_lost_digits_is_doubtful(written):
    """From 10^15 on a spreadsheet does not keep them all."""
    assert "last digits may be lost" in (doubt_of(number(written)) or "")
    assert doubt_of(number("999999999999999")) is None


def test_decimals_are_doubtful():
    """919876543210.5 is no mobile, and 98765.4321 not the mobile 987654321."""
    cell = number("98765.4321")
    assert cell == "98765.4321"
    assert "decimals" in (doubt_of(cell) or "")


def test_two_series_that_became_one_grouped_number_are_doubtful_as_series_only():
    """415446 shown as 415,446 may be 415 and 446; as a count or identifier it is certain."""
    cell = number("415446", "#,##0")
    assert cell == "415446"
    assert doubt_of(cell) is None
    assert "415446 for the one, or 415; 446 for several" in (doubt_of(cell, series=True) or "")
    assert is_grouped("#,##0")
    assert not is_grouped("0")
    assert doubt_of(number("446", "#,##0"), series=True) is None


@pytest.mark.parametrize(
    ("raw", "text", "shown", "why"),
    [
        (RawCell(0, "n", 0, "46143", None), "2026-05-01", "2026-05-01", "a date"),
        (RawCell(0, "d", 0, "2026-05-01", None), "2026-05-01", "2026-05-01", "a date"),
        (RawCell(0, "b", 0, "1", None), "True", "TRUE", "truth value"),
        (RawCell(0, "e", 0, "#N/A", None), "", "#N/A", "error value"),
        (RawCell(0, "n", 0, "", "A1+1"), "", "=A1+1", "never calculated"),
        (RawCell(0, "n", 0, None, "A1+1"), "", "=A1+1", "never calculated"),
        (RawCell(0, "str", 0, None, "A1&1"), "", "=A1&1", "never calculated"),
        (RawCell(0, "n", 0, "abc", None), "", "abc", "not a number"),
        (RawCell(0, "n", 0, "NaN", None), "", "NaN", "not a number"),
    ],
)
def test_what_is_no_entry_is_doubtful_and_named(raw, text, shown, why):
    """The row that holds it where an identifier, series or count was meant is rejected with this sentence."""
    cell = cell_text(raw, "dd/mm/yyyy" if raw.value == "46143" else "General", text)
    assert cell == shown
    assert why in (doubt_of(cell) or "")


@pytest.mark.parametrize(
    "raw", [RawCell(0, "s", 0, "5", None), RawCell(0, "str", 0, "x", "A1"), RawCell(0, "str", 0, "", "A1")]
)
def test_texts_are_texts(raw):
    """A formula's text too, even an empty one: it was calculated."""
    assert doubt_of(cell_text(raw, "General", "007")) is None
    assert cell_text(raw, "General", "007") == "007"


def test_a_calculated_number_is_a_number():
    """A formula with its result."""
    assert cell_text(RawCell(0, "n", 0, "7", "3+4"), "General", "") == "7"
    assert cell_text(RawCell(0, "n", 0, None, None), "General", "") == ""


def test_a_doubtful_cell_stays_doubtful_as_plain_text():
    """In a report it is marked, and the mark is read again: 2026-05-01 would be eight digits of a mobile."""
    cell = marked(number("46143", "dd/mm/yyyy", "2026-05-01"))
    assert cell == f"{DOUBT_MARK}2026-05-01"
    assert doubt_of(str(cell)) is not None
    assert marked("2026-05-01") == "2026-05-01"
    grouped = DoubtfulCell("415446", "why", series_only=True)
    assert (marked(grouped), marked(grouped, series=True)) == ("415446", f"{DOUBT_MARK}415446")
