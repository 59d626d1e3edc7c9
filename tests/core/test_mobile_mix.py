"""Mobiles with and without their country code: noticed when they could be one customer, and not otherwise."""

from __future__ import annotations

import pytest

from runner.core.mobile_mix import Mixed, MobileMix


def _found(*numbers: str) -> Mixed | None:
    mix = MobileMix()
    for number in numbers:
        mix.see(number)
    return mix.found()


def test_numbers_with_and_without_their_country_code_are_a_mixture():
    """Counted, with the country whose numbers those without it would be."""
    mixed = _found("919000000001", "919000000002", "9000000003")
    assert mixed == Mixed(91, "IN", 2, 1)
    assert "2 of the mobiles begin with the country code 91 and 1 seems to lack it" in mixed.sentence()


@pytest.mark.parametrize(
    "numbers",
    [
        (),
        ("919000000001", "919000000002"),
        ("9000000001", "9000000002"),
        ("919000000001", "4740000001"),
        ("919000000001", "12015550123"),
        ("919000000001", "123456"),
        ("1234567890123", "1234567890"),
    ],
    ids=["none", "all with", "all without", "two countries", "a longer code", "a short code", "no numbers at all"],
)
def test_what_cannot_be_one_customer_is_no_mixture(numbers: tuple[str, ...]):
    """Numbers of several countries, each with its code, are none; nor is what is no number anywhere."""
    assert _found(*numbers) is None


def test_the_country_of_most_numbers_is_named():
    """Where two countries could be meant."""
    many = [f"9190000000{n:02d}" for n in range(20)]
    mixed = _found("4740000001", "40000001", *many, "9000000003")
    assert mixed is not None
    assert (mixed.region, mixed.with_code, mixed.without) == ("IN", 20, 1)


def test_a_single_number_among_very_many_is_noticed():
    """Every number counts; what is kept is one for each length and beginning."""
    mix = MobileMix()
    for number in range(5_000):
        mix.see(f"91900000{number:04d}")
    mix.see("8000000001")
    assert mix.found() == Mixed(91, "IN", 5_000, 1)
    assert len(mix._groups) == 2
