"""Columns as wholes: swapped ones are refused with the candidates, and damage shows that no cell shows alone."""

import pytest

from runner.core.column_contents import contents_problem
from runner.core.column_evidence import ColumnEvidence
from runner.core.columns import Columns, assign_columns
from runner.core.mobiles import PhoneFormat
from runner.core.model import Kind
from runner.core.values import read_cell


def problems(headers, *rows):
    columns = assign_columns(headers, {})
    assert isinstance(columns, Columns)
    return contents_problem(columns, rows)


MOBILES = [f"91900000000{n}" for n in range(1, 6)]
EMAILS = [f"customer{n}@example.com" for n in range(1, 6)]


def test_emails_under_mobile_are_refused_naming_where_the_mobiles_are():
    [first, second] = problems(("Mobile", "E-mail"), *zip(EMAILS, MOBILES, strict=True))
    assert "'Mobile' is taken for the mobile, but holds addresses with @ (5 of 5 cells looked at)" in first
    assert "'E-mail'" in first
    assert "'E-mail' is taken for the email" in second


def test_one_odd_cell_is_the_business_of_its_row():
    assert problems(("Mobile", "Series"), *[(mobile, "415446") for mobile in MOBILES], (EMAILS[0], "415446")) == []


def test_two_rows_prove_nothing():
    assert problems(("Mobile",), (EMAILS[0],), (EMAILS[1],)) == []


def test_without_a_candidate_the_remedy_is_still_named():
    [only] = problems(("Mobile", "Name"), *[(email, "A") for email in EMAILS])
    assert '--map mobile="Heading"' in only


def test_series_and_counts_that_changed_places_are_refused():
    """Each customer would get 415,446 coupons of series 2."""
    [only] = problems(("Mobile", "Series", "Qty"), *[(mobile, "2", "415446") for mobile in MOBILES])
    assert "seem to be swapped" in only
    assert problems(("Mobile", "Series", "Qty"), *[(mobile, "415446", "2") for mobile in MOBILES]) == []


def test_mobiles_under_the_series_are_refused():
    [only] = problems(("Email", "Series"), *zip(EMAILS, MOBILES, strict=True))
    assert "numbers as long as mobiles" in only


# ── ids ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def damage(*cells, **options):
    evidence = ColumnEvidence(None, **options)
    for cell in cells:
        evidence.see(Kind.EXTERNAL_ID, cell, False)
    return evidence.damage()


FULL = [f"1000{n:03}" for n in range(20)]


def test_a_column_of_one_width_with_some_shorter_lost_zeros():
    found = damage(*FULL, "123456")
    assert found is not None
    assert "have 7 digits and this one has 6" in str(found.problem("123456"))
    assert found.problem(FULL[0]) is None
    assert found.problem("AB1") is None


@pytest.mark.parametrize(
    "cells",
    [
        FULL,
        [*FULL, "12345678"],  # a longer one: these are counted up
        [*FULL[:5], "100001", "100002", "100003", "100004"],  # no one width
        [*FULL, "12"],  # zeros lost from 12 would be five
        [str(number) for number in range(1, 200)],
        ["AB1", *FULL],
        [],
    ],
)
def test_ids_of_other_widths_are_taken_as_they_stand(cells):
    assert damage(*cells) is None


def test_somebody_may_say_that_short_ids_are_right():
    assert damage(*FULL, "123456", short_ids=True) is None


def test_long_ids_that_all_end_in_zeros_were_rounded():
    """A sixteenth digit is 0 by chance once in ten; in all of a column it is a spreadsheet's."""
    rounded = ["1234567890123450", "1234567890123460", "1234567890123470"]
    found = damage(*rounded)
    assert found is not None
    assert "keeps 15 digits" in str(found.problem(rounded[0]))
    assert damage(*rounded, "1234567890123471") is None


# ── mobiles ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def ambiguous(*cells, region="IN", written=None):
    evidence = ColumnEvidence(region, written=written)
    for cell in cells:
        if Kind.MOBILE in evidence.kinds:
            evidence.see(Kind.MOBILE, cell, read_cell(Kind.MOBILE, cell, region, written).code_added)
    return evidence.ambiguous_mobiles()


def test_a_number_of_two_countries_is_ambiguous_where_the_column_has_country_codes():
    assert "1 of the mobiles is a number of IN without country code" in str(ambiguous("6591234567", "447400123456"))
    assert ambiguous("6591234567", "919000000001") is not None


@pytest.mark.parametrize(
    "cells",
    [
        ("6591234567",),
        ("6591234567", "9000000001"),
        ("6591234567", "9000000001", "919000000001"),  # a list of one country, written both ways
        ("9000000001", "447400123456"),
        ("6591234567", "+447400123456"),
    ],
)
def test_a_column_that_is_written_one_way_is_not_ambiguous(cells):
    assert ambiguous(*cells) is None


def test_a_format_that_was_told_settles_it():
    assert ambiguous("6591234567", "447400123456", written=PhoneFormat.INTERNATIONAL) is None
