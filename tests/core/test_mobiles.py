"""Mobiles: one number in all its spellings is one customer, and nothing is guessed."""
# ruff: noqa: RUF001 - full-width signs and odd dashes are what is tested

import phonenumbers
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from runner.core import mobiles
from runner.core.identity import canonical_mobile, read_identifier, region_problem
from runner.core.model import Identifier, Kind

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)


def examples_of(region):
    number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    if number is None:
        return st.nothing()
    national = phonenumbers.national_significant_number(number)
    code = str(number.country_code)
    tail = st.text("0123456789", min_size=0, max_size=4)
    starts = st.sampled_from([national, code + national, "0" + national, code + "0" + national, "1" + national])
    return st.builds(lambda start, end: start[: len(start) - len(end)] + end, starts, tail)


LIKE_NUMBERS = st.sampled_from(REGIONS).flatmap(
    lambda region: st.tuples(
        st.one_of(examples_of(region), st.text("0123456789", min_size=1, max_size=17)),
        st.just(region),
    )
)


@given(LIKE_NUMBERS)
@example(("4401234567", "GB"))
@example(("0612345678", "IT"))
@example(("390612345678", "IT"))
@example(("919000000001", "IN"))
@example(("9190000000", "IN"))
def test_the_fast_path_gives_the_verdict_of_phonenumbers(case):
    """Where a region's own patterns leave no choice, phonenumbers says the same, in every region."""
    digits, region = case
    fast = mobiles._read_fast(digits, region)
    if fast is not None:
        assert fast == mobiles._read_national(digits, region)


@pytest.mark.parametrize(
    ("digits", "region"), [("919000000001", "IN"), ("9000000001", "IN"), ("447400123456", "GB"), ("971500000001", "AE")]
)
def test_ordinary_numbers_take_the_fast_path(digits, region):
    assert mobiles._read_fast(digits, region) is not None


@pytest.mark.parametrize(
    "text",
    [
        "919000000001",
        "+919000000001",
        "+91 90000-00001",
        " (+91) 90000.00001 ",
        "0091 9000000001",
        "+00919000000001",
        "'919000000001",
        "\u00a0919000000001\u200b",
        "９１９００００００００１",
        "＋91 ９0000 00001",
        "+91‑90000–00001",
        "+91 (0) 90000 00001",
    ],
)
@pytest.mark.parametrize("region", [None, "IN", "US"])
def test_spellings_of_one_international_number_are_one_customer(text, region):
    """What carries its country code means the same in every region, and what is sent is its digits."""
    found = read_identifier(Kind.MOBILE, text, region)
    assert found == Identifier(Kind.MOBILE, "919000000001", "919000000001")


@pytest.mark.parametrize("text", ["9000000001", "09000000001", "90000 00001", "919000000001"])
def test_with_a_region_its_national_numbers_get_the_country_code(text):
    assert canonical_mobile(text, "IN") == "919000000001"


@pytest.mark.parametrize("text", ["9000000001", "09000000001", "919000000001", "4407700900123", "11223569865"])
def test_without_a_region_plain_digits_stay_as_they_are(text):
    """Only `+` and `00` say that a number is international: the rest is not interpreted."""
    assert canonical_mobile(text, None) == text


@pytest.mark.parametrize(
    ("text", "digits"),
    [("+4407700900123", "447700900123"), ("+44 (0)7700 900123", "447700900123"), ("+390612345678", "390612345678")],
)
def test_a_trunk_zero_is_dropped_and_an_italian_zero_is_kept(text, digits):
    assert canonical_mobile(text, None) == digits


@pytest.mark.parametrize("text", ["447700900123", "11223569865", "5003456789"])
def test_a_number_that_is_not_valid_in_the_region_stays_its_digits(text):
    """To put 91 in front of a British number that lost its `+` would send a coupon to a stranger."""
    assert canonical_mobile(text, "IN") == text


@pytest.mark.parametrize("text", ["+999123456", "00999123456", "+0000000", "000000"])
def test_an_international_number_that_nobody_has_stays_its_digits(text):
    assert canonical_mobile(text, "IN") == text.lstrip("+")


@given(st.text("+0123456789 -().", max_size=20))
def test_without_a_region_a_canonical_form_is_final(text):
    """What the API repeats of what was sent is the same name."""
    once = canonical_mobile(text, None)
    assert canonical_mobile(once, None) == once


@given(st.text("0123456789", min_size=5, max_size=15), st.sampled_from(["IN", "GB", "US", "IT", None]))
def test_no_digit_of_an_accepted_number_is_invented_but_the_country_code(digits, region):
    """The canonical number ends in what was written, but for zeros and prefixes dialled in front."""
    found = read_identifier(Kind.MOBILE, digits, region)
    assume(not isinstance(found, str))
    assert isinstance(found, Identifier)
    assert found.value == digits or found.value[-5:] == digits[-5:]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("919999999999.0", "decimals"),
        ("919999999999,00", "decimals"),
        ("TRUE", "truth value"),
        ("false", "truth value"),
        ("-141884", "minus"),
        ("9190000O0001", "holds 'O'"),
        ("919000000001/919000000002", "holds '/'"),
        ("919000000001x12", "holds 'x'"),
        ("1234", "at least 5 digits"),
        ("1234567890123456", "at most 15 digits"),
        ("+91 9000000001 9000000002", "at most 15 digits"),
        ("0000000000", "nothing but zeros"),
        ("-", "no digits"),
        ("+", "no digits"),
        ("91²9000000", "holds '²'"),
        ("91\x009000000", "holds U+0000"),
    ],
)
def test_what_is_no_mobile_is_refused_with_the_remedy(text, word):
    found = read_identifier(Kind.MOBILE, text, None)
    assert isinstance(found, str)
    assert word in found
    assert "919000000001" not in found


def test_a_region_is_two_capital_letters_that_phonenumbers_knows():
    assert region_problem("IN") is None
    assert region_problem(None) is None
    assert "two capital letters" in str(region_problem("india"))
