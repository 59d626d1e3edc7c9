"""The `_ref` cell: it says which order a line stands for, and does not let itself be altered or used elsewhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.model import Ref
from runner.core.refs import read_ref, write_ref

KEY = b"k" * 32
LEDGER = "0a1b2c3d4e5f"
ORDER = "00112233445566778899aabb"
REFS = st.builds(
    Ref,
    st.just(LEDGER),
    st.text("0123456789abcdef", min_size=24, max_size=24),
    st.integers(-(10**12) + 1, 10**12 - 1),
    st.booleans(),
    st.booleans(),
)


@given(REFS)
def test_what_was_written_is_read(ref):
    assert read_ref(write_ref(ref, KEY), KEY, LEDGER) == ref


@given(REFS, st.data())
def test_a_reference_with_any_sign_changed_is_refused(ref, data):
    """Also its base: an edited base would be an invented target."""
    text = write_ref(ref, KEY)
    at = data.draw(st.integers(0, len(text) - 1))
    sign = data.draw(st.sampled_from("0123456789abcdefmwR-").filter(lambda sign: sign != text[at]))
    assert isinstance(read_ref(text[:at] + sign + text[at + 1 :], KEY, LEDGER), str)


@given(REFS, st.integers(0, 60))
def test_a_reference_that_was_cut_is_refused(ref, length):
    text = write_ref(ref, KEY)
    assert isinstance(read_ref(text[: min(length, len(text) - 1)], KEY, LEDGER), str)


@given(st.text())
def test_any_other_text_is_refused_with_a_sentence(text):
    assert isinstance(read_ref(text, KEY, LEDGER), str)


def test_a_reference_is_readable():
    """Ledger, order and base stand in it in clear, and no spreadsheet takes it for a number or a formula."""
    text = write_ref(Ref(LEDGER, ORDER, 3, whole=True, rehearsal=False), KEY)
    assert text.startswith(f"cr1-{LEDGER}-{ORDER}-3w-")


def test_blanks_around_a_reference_are_forgiven():
    ref = Ref(LEDGER, ORDER, 3, whole=False, rehearsal=False)
    assert read_ref(f" {write_ref(ref, KEY)}\n", KEY, LEDGER) == ref


def test_a_reference_of_another_ledger_is_refused_naming_both():
    found = read_ref(write_ref(Ref("ffffffffffff", ORDER, 3, whole=False, rehearsal=False), KEY), KEY, LEDGER)
    assert "another ledger" in str(found)
    assert "ffffffffffff" in str(found)
    assert LEDGER in str(found)


def test_a_rehearsals_reference_is_marked_and_refused_by_another_ledger():
    """A rehearsal's coupons do not exist: its lines must not count for a real run."""
    text = write_ref(Ref("ffffffffffff", ORDER, 3, whole=False, rehearsal=True), KEY)
    assert text.startswith("REHEARSAL1-")
    assert "rehearsal" in str(read_ref(text, KEY, LEDGER))


def test_a_reference_under_another_key_is_refused():
    text = write_ref(Ref(LEDGER, ORDER, 3, whole=False, rehearsal=False), b"x" * 32)
    assert "changed or cut" in str(read_ref(text, KEY, LEDGER))


@pytest.mark.parametrize("part", ["", "a-b", "ä", "a b"])
def test_only_letters_and_digits_make_a_reference(part):
    with pytest.raises(ValueError, match="letters and digits"):
        write_ref(Ref(part, ORDER, 1, whole=False, rehearsal=False), KEY)
