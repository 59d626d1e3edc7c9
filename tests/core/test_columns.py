"""Which heading is which: synonyms, `--map`, refusals, and the columns of files that we wrote."""
# ruff: noqa: RUF001 - full-width signs are what is tested

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.columns import ADDED_COLUMNS, IDENTIFIERS, SYNONYMS, Columns, Role, assign_columns, is_ours, role_of
from runner.core.model import Kind


def assigned(*headers, **mapping) -> Columns:
    found = assign_columns(headers, mapping)
    assert isinstance(found, Columns), found
    return found


def refused(*headers, **mapping) -> str:
    found = assign_columns(headers, mapping)
    assert isinstance(found, list), found
    return "\n".join(found)


@pytest.mark.parametrize(
    ("heading", "role"),
    [
        ("mobile", Role.MOBILE),
        ("Mobile No.", Role.MOBILE),
        ("MOBILE_NUMBER", Role.MOBILE),
        (" Ph. No ", Role.MOBILE),
        ("Ph #", Role.MOBILE),
        ("MSISDN", Role.MOBILE),
        ("E-mail", Role.EMAIL),
        ("Email ID", Role.EMAIL),
        ("ExternalId", Role.EXTERNAL_ID),
        ("external_id", Role.EXTERNAL_ID),
        ("Ext. Cust ID", Role.EXTERNAL_ID),
        ("series_id", Role.SERIES),
        ("Coupon Series", Role.SERIES),
        ("Series\nID", Role.SERIES),
        ("Qty", Role.COUNT),
        ("Quantity", Role.COUNT),
        ("No. of Coupons", Role.COUNT),
        ("Ｍｏｂｉｌｅ", Role.MOBILE),
        *((word, Role.MOBILE) for word in ("N° de téléphone", "Numéro de mobile", "Téléphone portable")),
        *((word, Role.MOBILE) for word in ("Teléfono móvil", "Núm. de celular", "Nomor Handphone", "No. HP")),
        *((word, Role.MOBILE) for word in ("मोबाइल नं.", "मोबाइल नंबर", "رقم الموبايل", "No. Telepon")),
        *((word, Role.COUNT) for word in ("Nb", "Qté", "Cant.", "Cantidad", "Qtd", "Jumlah Kupon", "संख्या", "العدد")),
        ("Customer ID", None),
        ("User ID", None),
        ("id", None),
        ("Name", None),
        ("Nombre", None),  # a name in Spanish, a number in French
        ("", None),
    ],
)
def test_a_heading_means_a_role_whatever_its_case_blanks_dots_and_dashes(heading, role):
    assert role_of(heading) is role


def test_no_synonym_belongs_to_two_roles():
    for role, words in SYNONYMS.items():
        assert [role_of(word) for word in words] == [role] * len(words)


def test_columns_say_where_each_role_stands_and_what_is_the_persons_own():
    columns = assigned("Name", "Mobile No.", "Coupon Series", "", "Qty")
    assert columns.roles == {Role.MOBILE: 1, Role.SERIES: 2, Role.COUNT: 4}
    assert columns.original_headers == ("Name", "Mobile No.", "Coupon Series", "", "Qty")
    assert columns.kinds == (Kind.MOBILE,)
    assert columns.mapping == {"Mobile No.": "mobile", "Coupon Series": "series_id", "Qty": "count"}
    assert not columns.ours


def test_what_is_only_copied_is_said_so_that_a_column_that_was_meant_is_missed_in_time():
    """A heading that nobody understood would else be one coupon each, in silence."""
    columns = assigned("Name", "Mobile", "Coupons each", "", "Customer ID")
    assert columns.unread == ("Name", "Coupons each", "")
    assert columns.unread_sentence(1) == (
        "only copied, and not read: 'Name', 'Coupons each' (none of them is taken for the count: each row asks for 1)"
    )
    assert columns.unread_sentence(None) == "only copied, and not read: 'Name', 'Coupons each'"
    assert assigned("Mobile", "Name", "Qty").unread_sentence(1) == "only copied, and not read: 'Name'"
    assert assigned("Mobile", "Qty").unread_sentence(1) is None
    assert "'c11' and 3 more" in str(assigned("Mobile", *(f"c{n}" for n in range(15))).unread_sentence(None))


def test_headings_twice_or_blank_that_mean_nothing_are_just_columns():
    assert assigned("mobile", "note", "note", "", "").originals == (0, 1, 2, 3, 4)


def test_two_headings_for_one_role_are_refused_naming_both_and_the_remedy():
    message = refused("Mobile", "Phone")
    assert "'Mobile' (column 1) and 'Phone' (column 2)" in message
    assert '--map mobile="Mobile"' in message


def test_map_decides_between_two_headings():
    assert assigned("Mobile", "Phone", mobile="phone").roles == {Role.MOBILE: 1}


def test_two_columns_with_the_same_heading_have_to_be_renamed():
    """`--map` cannot tell them apart."""
    assert "Rename or delete" in refused("mobile", "mobile")
    assert "Rename all but one" in refused("tel 1", "tel 1", mobile="tel 1")


def test_map_wins_over_what_a_heading_means():
    columns = assigned("Phone", "Email", mobile="Email")
    assert columns.roles == {Role.MOBILE: 1}


def test_a_mapped_heading_is_found_exactly_first_and_forgivingly_then():
    assert assigned("ph_no", "Ph No", mobile="Ph No").roles == {Role.MOBILE: 1}
    assert assigned("CUSTOMER  REF", "x", externalId="customer ref").roles == {Role.EXTERNAL_ID: 0}
    assert assigned("m", "s", mobile="m", series="s").roles[Role.SERIES] == 1


def test_map_to_a_heading_that_is_not_there_is_refused_listing_the_headings():
    message = refused("Mobile", "Name", email="E Mail Address")
    assert "no such heading" in message
    assert "'Mobile', 'Name'" in message


def test_every_problem_is_told_at_once():
    message = refused("a", "b", mobile="x", colour="a", email="a", externalId="a", SERIES="b", series_id="b")
    assert "--map mobile" in message
    assert "does not know 'colour'" in message
    assert "A column has one role" in message
    assert "series_id more than once" in message


def test_no_column_that_names_the_customer_is_refused():
    assert "No column names the customer" in refused("Name", "Series")


@pytest.mark.parametrize("heading", ["Customer ID", "user_id", "ID", "Cust. Id"])
def test_a_customer_id_or_user_id_is_asked_about_and_never_assumed(heading):
    message = refused(heading, "Series")
    assert f'--map externalId="{heading}"' in message
    assert assigned(heading, externalId=heading).roles == {Role.EXTERNAL_ID: 0}


def test_a_customer_id_beside_a_mobile_is_only_a_column_and_said_to_be_unused():
    columns = assigned("Customer ID", "Mobile")
    assert columns.roles == {Role.MOBILE: 1}
    assert columns.uncertain == ("Customer ID",)


def test_a_file_without_header_is_refused_without_repeating_its_first_customer():
    message = refused("919000000001", "tom@example.com", "415446")
    assert "first line looks like a row" in message
    assert "919000000001" not in message
    assert "tom@example.com" not in refused("tom@example.com", "x", mobile="y")


def test_a_file_that_we_wrote_is_recognised_and_our_columns_are_not_the_persons():
    headers = ["Mobile", "series", "_comment", *ADDED_COLUMNS]
    columns = assigned(*headers)
    assert columns.ours
    assert columns.original_headers == ("Mobile", "series", "_comment")
    assert columns.roles[Role.REF] == headers.index("_ref")
    assert columns.added["_series"] == headers.index("_series")
    assert "_ref" not in columns.mapping


def test_without_a_ref_column_headings_like_ours_are_the_persons_own():
    columns = assigned("mobile", "_row", "_series")
    assert not columns.ours
    assert columns.originals == (0, 1, 2)
    assert columns.added == {}


def test_our_own_column_twice_is_refused():
    assert "'_ref' of our own is there twice" in refused("mobile", "_ref", "_ref")


def test_a_neutralised_heading_of_a_file_of_ours_is_restored():
    assert assigned("mobile", "'=x", "_ref").headers == ("mobile", "=x", "_ref")
    assert assigned("mobile", "'=x").headers == ("mobile", "'=x")


@given(st.lists(st.one_of(st.text(), st.sampled_from(["mobile", "Email", "_ref", "series", "count", " "])), max_size=8))
def test_any_headings_are_columns_or_sentences(headers):
    """Every column is the person's or ours, no two roles share one, and a customer is always named by something."""
    found = assign_columns(headers, {})
    if isinstance(found, list):
        assert found
        assert all(isinstance(sentence, str) for sentence in found)
    else:
        assert sorted([*found.originals, *found.added.values()]) == list(range(len(headers)))
        assert len(set(found.roles.values())) == len(found.roles)
        assert set(found.roles) & set(IDENTIFIERS)
        assert found.ours == is_ours(headers)
