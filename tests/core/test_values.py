"""Cells of identifier columns as spreadsheets and hands leave them: read, repaired where certain, or refused."""
# ruff: noqa: RUF001 - full-width signs and odd dashes are what is tested

import phonenumbers
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from runner.core import mobiles
from runner.core.identity import canonical_mobile
from runner.core.mobiles import PhoneFormat, Standing, read_mobile
from runner.core.model import Identifier, Kind
from runner.core.values import NOT_VALID, read_cell, repair

KINDS = (Kind.MOBILE, Kind.EMAIL, Kind.EXTERNAL_ID)
FORMATS = (None, PhoneFormat.INTERNATIONAL, PhoneFormat.NATIONAL)


def value(kind, cell, region=None, written=None):
    found = read_cell(kind, cell, region, written).found
    assert isinstance(found, Identifier), found
    return found.value


def refusal(kind, cell, region=None, written=None):
    found = read_cell(kind, cell, region, written).found
    assert isinstance(found, str), found
    assert cell.strip() not in found
    return found


# ── mobiles ──────────────────────────────────────────────────────────────────────────────────────────────────────────

SPELLINGS = [
    *("+91 90000-00001", "090000 00001", "00919000000001", "+91 (0)90000 00001", "9000000001", "919000000001"),
    *(
        "'9000000001",
        "9000000001.0",
        "９００００００００１",
        "90000\u00a000001",
        "9000000001\u200b",
        "tel:+919000000001",
    ),
]


@pytest.mark.parametrize("cell", SPELLINGS)
@pytest.mark.parametrize("written", [None, PhoneFormat.NATIONAL])
def test_two_spellings_of_one_number_are_one_customer(cell, written):
    assert value(Kind.MOBILE, cell, "IN", written) == "919000000001"


@pytest.mark.parametrize("cell", ["919000000001", "+91 90000 00001", "0091 9000000001", "447400123456", "14155552671"])
def test_without_a_region_what_is_international_passes(cell):
    assert value(Kind.MOBILE, cell) == canonical_mobile(cell, None)


@pytest.mark.parametrize("cell", ["9000000001", "09000000001", "9876543210", "98765", "9109000000001"])
def test_without_a_region_nothing_else_passes(cell):
    """9876543210 would be a possible number of Iran: a guess about a stranger."""
    assert "--region" in refusal(Kind.MOBILE, cell)


@pytest.mark.parametrize("cell", ["98765", "5003456789", "85212345678", "99999999999999", "20261123"])
def test_what_is_no_number_of_the_region_nor_of_another_country_is_refused(cell):
    assert "no number of the region IN" in refusal(Kind.MOBILE, cell, "IN")


@pytest.mark.parametrize("cell", ["+999123456", "+91 12345", "+1 415 555"])
def test_a_number_that_is_not_possible_is_refused(cell):
    assert "no such number" in refusal(Kind.MOBILE, cell, "IN")


@pytest.mark.parametrize("cell", ["+91 10000-00001", "00911000000001", "911000000001"])
def test_a_number_that_is_possible_and_not_valid_is_used_with_a_warning(cell):
    """Numbering plans change before libraries know."""
    read = read_cell(Kind.MOBILE, cell, "IN")
    assert isinstance(read.found, Identifier)
    assert (read.found.value, read.warning) == ("911000000001", NOT_VALID)


def test_a_format_says_what_plain_digits_are():
    """6591234567 is a mobile of Singapore and, without its country code, one of India."""
    assert value(Kind.MOBILE, "6591234567", "IN") == "916591234567"
    assert value(Kind.MOBILE, "6591234567", "IN", PhoneFormat.NATIONAL) == "916591234567"
    assert value(Kind.MOBILE, "6591234567", "IN", PhoneFormat.INTERNATIONAL) == "6591234567"
    for written in FORMATS:
        assert value(Kind.MOBILE, "+6591234567", "IN", written) == "6591234567"
    assert "no such number" in refusal(Kind.MOBILE, "447400123456", "IN", PhoneFormat.NATIONAL)


REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)


def examples_of(region):
    number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    if number is None:
        return st.nothing()
    national = phonenumbers.national_significant_number(number)
    code = str(number.country_code)
    tail = st.text("0123456789", min_size=0, max_size=5)
    starts = st.sampled_from([national, code + national, "0" + national, code + "0" + national])
    return st.builds(lambda start, end: start[: len(start) - len(end)] + end, starts, tail)


LIKE_NUMBERS = st.sampled_from(REGIONS).flatmap(
    lambda region: st.tuples(
        st.one_of(examples_of(region), st.text("0123456789", min_size=1, max_size=17)),
        st.sampled_from([region, "IN", None]),
    )
)


@given(LIKE_NUMBERS, st.sampled_from(FORMATS))
@example(("9109000000001", None), None)
@example(("390612345678", None), None)
def test_what_is_called_valid_is_valid_by_the_library(case, written):
    """The fast path gives the verdict of phonenumbers, and a canonical number is one that the library writes so."""
    digits, region = case
    read = read_mobile(digits, region, written)
    if read.standing is Standing.VALID:
        parsed = phonenumbers.parse(f"+{read.number}", None)
        assert phonenumbers.is_valid_number(parsed)
        assert phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) == f"+{read.number}"


@given(LIKE_NUMBERS)
def test_the_fast_path_for_country_codes_gives_the_verdict_of_phonenumbers(case):
    """Where one country has a code for itself, its own patterns leave no choice."""
    digits, _ = case
    if mobiles._is_mobile_abroad(digits):
        parsed = phonenumbers.parse(f"+{digits}", None)
        assert phonenumbers.is_valid_number(parsed)
        assert phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) == f"+{digits}"


@given(LIKE_NUMBERS)
def test_an_accepted_mobile_is_who_it_was_by_the_rules_of_names(case):
    """Files are read more strictly than names are compared, and never otherwise: no ledger has to be migrated."""
    digits, region = case
    found = read_cell(Kind.MOBILE, digits, region).found
    if isinstance(found, Identifier):
        assert found.value == canonical_mobile(digits, region)


@given(st.lists(LIKE_NUMBERS.map(lambda case: case[0]), min_size=1, max_size=5))
def test_a_column_of_mobiles_is_ordinary_when_each_of_them_is(column):
    """Many at once get the verdict of each by itself."""
    assert mobiles.are_mobiles_abroad(column) == all(map(mobiles._is_mobile_abroad, column))
    many = [*column[:1] * 3, f"91{9_000_000_001}"]
    assert mobiles.are_mobiles_abroad(many) == all(map(mobiles._is_mobile_abroad, many))


def test_ordinary_numbers_take_the_fast_path():
    """Otherwise a file of a million mobiles takes half a minute longer."""
    assert mobiles._is_mobile_abroad("919000000001")
    assert mobiles._is_mobile_abroad("971500000001")


# ── repaired ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "cell", "repaired", "word"),
    [
        (Kind.MOBILE, "919000000001.0", "919000000001", ".0"),
        (Kind.MOBILE, "'919000000001", "919000000001", "apostrophe"),
        (Kind.MOBILE, "\u00a0919000000001", "919000000001", "no-break"),
        (Kind.MOBILE, "９１9000000001", "919000000001", "full-width"),
        (Kind.EMAIL, "mailto:Tom@example.com", "Tom@example.com", "mailto:"),
        (Kind.EMAIL, "tom\u200b@example.com", "tom@example.com", "invisible"),
        (Kind.EMAIL, "tom@\u00a0example.com", "tom@example.com", "no-break"),
        (Kind.EMAIL, "'tom@example.com", "tom@example.com", "apostrophe"),
        (Kind.EXTERNAL_ID, "'00123", "00123", "apostrophe"),
        (Kind.EXTERNAL_ID, '="00123"', "00123", '="" around it'),
        (Kind.MOBILE, '="919000000001"', "919000000001", '="" around it'),
        (Kind.EMAIL, '="tom@example.com"', "tom@example.com", '="" around it'),
        (Kind.EXTERNAL_ID, "AB\u200b12", "AB12", "invisible"),
        (Kind.EXTERNAL_ID, "００12", "0012", "full-width"),
    ],
)
def test_what_is_certain_is_repaired_and_said(kind, cell, repaired, word):
    assert repair(kind, cell)[0] == repaired
    read = read_cell(kind, cell, None)
    assert isinstance(read.found, Identifier)
    assert read.found.written == repaired
    assert word in read.repaired


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        *((Kind.MOBILE, "919000000001"), (Kind.MOBILE, "+91 90000-00001"), (Kind.EMAIL, " tom@example.com ")),
        *((Kind.EXTERNAL_ID, "AB 12"), (Kind.EXTERNAL_ID, "'AB"), (Kind.EXTERNAL_ID, "0012")),
    ],
)
def test_what_is_only_a_way_of_writing_is_not_called_repaired(kind, cell):
    """An externalId is exact: its apostrophe stays unless it marks digits as text."""
    assert repair(kind, cell) == (cell.strip(), "")


# ── refused ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kinds", "cell", "word"),
    [
        (KINDS, "9.19E+11", "shortened"),
        (KINDS, "#N/A", "error value"),
        (KINDS, "TRUE", "truth value"),
        (KINDS, "=VLOOKUP(A2,B:C,2)", "formula"),
        (KINDS[::2], "2026-11-23", "date"),
        (KINDS[::2], "2026-11-23 00:00:00", "date"),
        (KINDS[::2], "23/11/2026", "date"),
        (KINDS[::2], "01-Mar-26", "date"),
        (KINDS[::2], "Mar-01", "date"),
        (KINDS[:1], "23.11.2026", "date"),
        (KINDS[:1], "919000000000", "run of zeros"),
        (KINDS[:1], "919876000000", "run of zeros"),
        (KINDS[2:], "1234567.0", ".0"),
        (KINDS[2:], "123456789012345000", "keeps 15 digits"),
        *(
            (KINDS[2:], nobody, "there is no id")
            for nobody in ("NULL", "n/a", "NA", "None", "-", "--", "0", "000", "-1")
        ),
    ],
)
def test_damage_is_refused_with_reason_and_remedy(kinds, cell, word):
    for kind in kinds:
        message = refusal(kind, cell, "IN")
        assert word in message
        assert message.endswith(".")


def test_a_number_with_its_plus_may_end_in_zeros():
    """The remedy that the refusal names."""
    assert value(Kind.MOBILE, "+919000000000") == "919000000000"


@pytest.mark.parametrize("cell", ["12E45", "MAR01", "A-1/2", "1-2", "x=1", "00012", "Ärger"])
def test_an_external_id_is_exact_where_nothing_is_damaged(cell):
    assert value(Kind.EXTERNAL_ID, cell) == cell


# ── any cell ─────────────────────────────────────────────────────────────────────────────────────────────────────────

ODD = st.text(st.sampled_from("0123456789+-.,'@=#() \u00a0\u200b０９Ee/:ANaz\t\n\x00"), max_size=24)


@given(
    st.sampled_from(KINDS),
    st.one_of(ODD, st.text(max_size=30)),
    st.sampled_from([None, "IN", "US"]),
    st.sampled_from(FORMATS),
)
def test_any_cell_is_a_customer_who_stands_in_it_or_a_sentence(kind, cell, region, written):
    """No traceback, and no customer that is not in the file: of a mobile the last digits, of the rest every sign."""
    found = read_cell(kind, cell, region, written).found
    if isinstance(found, str):
        assert found.endswith(".")
        return
    assert found.kind is kind
    if kind is Kind.MOBILE:
        ascii_digits = "".join(str(int(sign)) for sign in cell if sign.isdecimal())
        assert found.value[-4:] in ascii_digits
    else:
        assert found.written in cell or set(found.written) <= set(cell) | set("0123456789")


@given(st.one_of(st.emails(), st.from_regex(r"[A-Za-z0-9.'_+-]{1,12}@[A-Za-z0-9.-]{1,14}", fullmatch=True)))
def test_an_address_has_the_verdict_of_the_library(address):
    """Whichever path is taken. An apostrophe in front is taken off first."""
    try:
        validate_email(address.removeprefix("'"), check_deliverability=False)
        valid = len(address.removeprefix("'")) <= 255
    except EmailNotValidError:
        valid = False
    assert isinstance(read_cell(Kind.EMAIL, address, None).found, Identifier) == valid
