"""Who is who: canonical forms of identifiers, what is refused as damaged, and what an answer's names are worth."""
# ruff: noqa: RUF001 - full-width signs and odd dashes are what is tested

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from runner.core.identity import (
    canonical_email,
    canonical_external_id,
    email_problem,
    is_plain_email,
    names_of_answer,
    read_identifier,
)
from runner.core.model import CustomerFacts, Identifier, Kind

ATOM = st.text("abcXYZ019_!#$%&'*+-/=?^`{|}~", min_size=1, max_size=70)
LABEL = st.one_of(
    st.text("abcXYZ019-", min_size=1, max_size=8),
    st.text("az-", min_size=60, max_size=66),
    st.sampled_from(["xn--p1ai", "xn--", "ab--c", "example", "test", "LOCAL", "com", "C", "c0m", "co", "arpa", "1"]),
)
NEARLY_ADDRESSES = st.builds(
    lambda local, domain: ".".join(local) + "@" + ".".join(domain),
    st.lists(ATOM, min_size=1, max_size=4),
    st.lists(LABEL, min_size=1, max_size=6),
)


def accepted(address: str) -> bool:
    try:
        validate_email(address, check_deliverability=False)
    except EmailNotValidError:
        return False
    return True


@given(st.one_of(NEARLY_ADDRESSES, st.text(max_size=20), st.emails()))
@example("a@b.com\n")
@example("a" * 245 + "@b.com")
@example("a" * 248 + "@b.com")
@example("a@b.invalid")
@example("a@ab--c.com")
@example("a@b.ＴＥＳＴ")
def test_the_fast_path_accepts_no_address_that_the_library_refuses(address):
    """A plain address that skips email-validator is one that email-validator accepts."""
    if is_plain_email(address):
        assert accepted(address)


@given(NEARLY_ADDRESSES)
def test_an_address_is_valid_exactly_when_the_library_says_so(address):
    """Whichever path is taken, the verdict is email-validator's."""
    assert (email_problem(address) is None) == (accepted(address) and len(address) <= 255)


def test_ordinary_addresses_take_the_fast_path():
    """Otherwise a file of addresses costs forty times as much."""
    assert is_plain_email("first.last+tag@mail.example.com")
    assert is_plain_email("O_Neil-1@EXAMPLE.co")


def test_an_address_compares_in_lower_case_and_is_sent_as_written():
    found = read_identifier(Kind.EMAIL, " Tom.Hills@Example.COM\u00a0", None)
    assert found == Identifier(Kind.EMAIL, "tom.hills@example.com", "Tom.Hills@Example.COM")


@given(st.one_of(st.text(max_size=20), NEARLY_ADDRESSES))
def test_a_canonical_address_is_final(text):
    """To make a canonical form canonical again changes nothing, else one person would have two names."""
    assert canonical_email(canonical_email(text)) == canonical_email(text)


@pytest.mark.parametrize("address", ["nobody", "a@b", "a b@example.com", "a@example.test", "@example.com", "a@@b.com"])
def test_what_is_no_address_is_refused_with_a_sentence(address):
    found = read_identifier(Kind.EMAIL, address, None)
    assert isinstance(found, str)
    assert found.startswith("This is not an e-mail address: ")


def test_an_address_has_at_most_255_characters():
    assert "at most 255" in str(read_identifier(Kind.EMAIL, "a" * 250 + "@example.com", None))


def test_an_external_id_is_exact_but_for_blanks_around_it():
    """Leading zeros and case matter: it is never a number."""
    assert canonical_external_id(" 000003873472\u200b\u00a0") == "000003873472"
    assert read_identifier(Kind.EXTERNAL_ID, "00Ab 1.0", None) == Identifier(Kind.EXTERNAL_ID, "00Ab 1.0", "00Ab 1.0")
    assert read_identifier(Kind.EXTERNAL_ID, "12E45", None) == Identifier(Kind.EXTERNAL_ID, "12E45", "12E45")


@pytest.mark.parametrize("text", ["a\nb", "a\u200bb", "a\tb"])
def test_an_external_id_with_an_invisible_sign_inside_is_refused(text):
    assert "invisible character" in str(read_identifier(Kind.EXTERNAL_ID, text, None))


@pytest.mark.parametrize("kind", [Kind.MOBILE, Kind.EMAIL, Kind.EXTERNAL_ID])
@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("#N/A", "error value"),
        ("#REF!", "error value"),
        ("#DIV/0!", "error value"),
        ("######", "error value"),
        ("9.19E+11", "shortened"),
        ("9,19E+11", "shortened"),
    ],
)
def test_what_a_spreadsheet_damaged_is_refused_for_every_kind(kind, text, word):
    assert word in str(read_identifier(kind, text, None))


@given(st.sampled_from([Kind.MOBILE, Kind.EMAIL, Kind.EXTERNAL_ID]), st.text(), st.sampled_from([None, "IN", "US"]))
def test_any_text_is_an_identifier_or_a_sentence(kind, text, region):
    """No cell raises, and no refusal repeats the cell: a message never names a customer."""
    found = read_identifier(kind, text, region)
    if isinstance(found, Identifier):
        assert found.kind is kind
        assert found.written.strip() == found.written
    else:
        assert found.endswith(".")


def test_a_customer_id_is_never_read_from_a_file():
    assert isinstance(read_identifier(Kind.CUSTOMER_ID, "555567088", None), str)


def names(id_, *pairs, region=None):
    return names_of_answer(CustomerFacts(id_, pairs), region)


def test_an_answer_names_its_customer_canonically_and_each_name_once():
    """Whatever the answer calls the kinds; kinds that are not known are left out."""
    found = names(
        "555567088",
        ("mobile", "+91 90000 00001"),
        ("mobile", "919000000001"),
        ("email", "Tom@Example.com"),
        ("external id", " 0007 "),
        ("external_id", "0007"),
        ("cardNumber", "123456"),
        ("", "x"),
    )
    assert found == (
        Identifier(Kind.CUSTOMER_ID, "555567088", "555567088"),
        Identifier(Kind.MOBILE, "919000000001", "919000000001"),
        Identifier(Kind.EMAIL, "tom@example.com", "Tom@Example.com"),
        Identifier(Kind.EXTERNAL_ID, "0007", "0007"),
    )


@pytest.mark.parametrize("nobody", ["", "0", "00", "-1", "null", "None"])
def test_an_id_that_means_nobody_names_nobody(nobody):
    """Else everyone without an id would be one person."""
    assert names(nobody) == ()


@pytest.mark.parametrize("pair", [("mobile", "NA"), ("mobile", "000000"), ("email", "none"), ("externalId", " ")])
def test_placeholders_in_an_answer_name_nobody(pair):
    """Two customers without an address are not one person."""
    assert names("", pair) == ()


def test_a_mobile_of_an_answer_that_reads_two_ways_is_left_out():
    """6591234567 is a mobile of Singapore and, without its country code, one of India: a wrong name would merge two."""
    assert names("", ("mobile", "6591234567"), region="IN") == ()
    assert [name.value for name in names("", ("mobile", "6591234567"))] == ["6591234567"]
    assert [name.value for name in names("", ("mobile", "9000000001"), region="IN")] == ["919000000001"]


@given(st.text(), st.lists(st.tuples(st.text(), st.text())), st.sampled_from([None, "IN"]))
@example("1", [("mobile", "0" * 400)], "IN")
def test_no_answer_raises(id_, pairs, region):
    names_of_answer(CustomerFacts(id_, tuple(pairs)), region)
