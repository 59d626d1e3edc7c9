"""Which coupons may be revoked, and what answers and reads mean for each of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.coupon_reads import CouponDetail, Revocation, Unread, read_revocation
from runner.core.merging import CouponState
from runner.core.model import Exchange
from runner.core.undoing import (
    MOST_AT_ONCE,
    STANDING_WORDS,
    Fate,
    Judged,
    RevocationState,
    SeriesUndo,
    Standing,
    Survey,
    Waits,
    foreign_codes,
    judge_by_reading,
    portions,
    standing_of,
    understand,
)

WAITS = Waits(answered=120.0, settled=900.0)
CODES = st.lists(st.text("ABC", min_size=1, max_size=3), unique=True, min_size=1, max_size=MOST_AT_ONCE)


def detail(code: str, series: int = 7) -> CouponDetail:
    return CouponDetail(code, series, None, None)


@pytest.mark.parametrize(
    ("state", "code", "under_way", "handling", "shared", "standing"),
    [
        ("issued", "A", False, "DISC_CODE", False, Standing.REVOCABLE),
        ("issued", "A", False, "DISC_CODE_PIN", False, Standing.REVOCABLE),
        ("issued", "A", True, "DISC_CODE", False, Standing.IN_DOUBT),
        ("issued", "A", False, "GENERIC", False, Standing.GENERIC),
        ("issued", "A", False, "", False, Standing.UNKNOWN_SERIES),
        ("issued", "A", False, None, False, Standing.UNKNOWN_SERIES),
        ("issued", "A", False, "DISC_CODE", True, Standing.SHARED),
        ("issued", None, False, "DISC_CODE", False, Standing.ERASED),
        ("issued", "", False, "DISC_CODE", False, Standing.ERASED),
        ("resent", "A", False, "DISC_CODE", False, Standing.RESENT),
        ("repeated", "A", False, "DISC_CODE", False, Standing.RESENT),
        ("revoked", "A", False, "DISC_CODE", False, Standing.REVOKED),
        ("replaced", "A", False, "DISC_CODE", False, Standing.REVOKED),
        ("redeemed", "A", False, "DISC_CODE", False, Standing.REDEEMED),
    ],
)
def test_how_a_coupon_stands(
    state: str, code: str | None, under_way: bool, handling: str | None, shared: bool, standing: Standing
) -> None:
    """Whatever is not surely one coupon, received by this run and still there, is not sent."""
    assert standing_of(state, code, under_way=under_way, handling=handling, shared=shared) is standing


def test_every_standing_has_its_words_and_every_state_a_standing() -> None:
    """Nothing falls through."""
    assert set(STANDING_WORDS) == set(Standing)
    for state in CouponState:
        assert standing_of(state, "A", under_way=False, handling="DISC_CODE") in Standing


@given(st.lists(st.integers(), max_size=180), st.integers(1, 60))
def test_portions_keep_everything_in_order_and_none_is_too_large(items: list[int], most: int) -> None:
    """50 at once by default: what the endpoint allows."""
    found = list(portions(items, most))
    assert [one for portion in found for one in portion] == items
    assert all(0 < len(portion) <= most for portion in found)
    assert all(len(portion) == most for portion in found[:-1])


@given(CODES, st.data())
def test_a_partial_revocation_is_understood_code_by_code(codes: list[str], data: st.DataObject) -> None:
    """Revoked, revoked before, redeemed, refused; a code that is on neither list, or on both, is in doubt."""
    lists = data.draw(st.lists(st.sampled_from(["yes", "660", "711", "702", "none", "both"]), min_size=len(codes)))
    told = dict(zip(codes, lists, strict=False))
    revoked = frozenset(code for code, what in told.items() if what in ("yes", "both"))
    failed = {
        code: ("702" if what == "both" else what, "m") for code, what in told.items() if what not in ("yes", "none")
    }
    state, judged = understand(codes, Revocation(revoked, failed))
    fates = {"yes": Fate.REVOKED, "660": Fate.REVOKED, "711": Fate.REDEEMED, "702": Fate.REFUSED}
    assert {code: one.fate for code, one in judged.items()} == {code: fates.get(what) for code, what in told.items()}
    assert (state is RevocationState.IN_DOUBT) is any(what in ("none", "both") for what in told.values())


def test_codes_that_were_not_asked_for_change_nothing() -> None:
    """An answer may name what it likes."""
    state, judged = understand(["A"], Revocation(frozenset({"A", "B"}), {"C": ("711", "m")}))
    assert (state, judged) == (RevocationState.DONE, {"A": Judged(Fate.REVOKED)})


def test_an_answer_that_says_nothing_leaves_all_in_doubt_and_a_refusal_as_a_whole_does_nothing() -> None:
    """What may be tried again is left; what was refused for good is told apart."""
    assert understand(["A", "B"], None)[0] is RevocationState.IN_DOUBT
    assert {one.fate for one in understand(["A", "B"], None)[1].values()} == {None}
    for unread, fate in (
        (Unread("busy", again=True), Fate.LEFT),
        (Unread("no access", for_all=True), Fate.LEFT),
        (Unread("400: codes"), Fate.REFUSED),
    ):
        state, judged = understand(["A"], unread)
        assert (state, judged["A"].fate) == (RevocationState.REFUSED, fate)


@pytest.mark.parametrize(
    ("exchange", "in_doubt"),
    [
        (Exchange(left=False, failure="refused"), False),
        (Exchange(left=True, failure="timeout"), True),
        (Exchange(left=True, status=200, body=b'{"entity":{"revo', complete=False, failure="reset"), True),
        (Exchange(left=True, status=200, body=b"", complete=True), True),
        (Exchange(left=True, status=504, body=b"<html>", complete=True), True),
        (Exchange(left=True, status=502, body=b"{}", complete=True), True),
        (Exchange(left=True, status=302, body=b"", complete=True), True),
        (Exchange(left=True, status=429, body=b"{}", complete=True), False),
        (Exchange(left=True, status=401, body=b"<response/>", complete=True), False),
        (Exchange(left=True, status=400, body=b"{}", complete=True), False),
    ],
)
def test_what_became_of_a_revocation_is_never_guessed(exchange: Exchange, in_doubt: bool) -> None:
    """No answer, half an answer, a gateway's answer: in doubt; never left or refused: surely nothing."""
    state, judged = understand(["A"], read_revocation(exchange))
    assert (state is RevocationState.IN_DOUBT) is in_doubt
    assert (judged["A"].fate is None) is in_doubt


@given(CODES, st.data(), st.floats(0, 2000))
def test_reading_never_proves_that_a_coupon_is_revoked(codes: list[str], data: st.DataObject, age: float) -> None:
    """Whatever is shown or not: it is left over once nothing can be under way any more, and asked for again."""
    before = {code: data.draw(st.booleans()) for code in codes}
    there = {code for code in codes if data.draw(st.booleans())}
    judged = judge_by_reading(before, [detail(code) for code in there], series=7, age=age, waits=WAITS)
    for code, one in judged.items():
        wait = WAITS.answered if before[code] or code in there else WAITS.settled
        assert one.fate is (Fate.LEFT if age >= wait else None)


def test_a_code_of_another_series_is_not_the_coupon() -> None:
    """It neither proves that ours is there, nor may it be revoked in our name."""
    shown = [detail("A", series=8), detail("B")]
    assert foreign_codes(["A", "B"], shown, 7) == {"A"}
    judged = judge_by_reading({"A": False, "B": False}, shown, series=7, age=WAITS.answered, waits=WAITS)
    assert (judged["A"].fate, judged["B"].fate) == (None, Fate.LEFT)


def test_the_sums_of_a_survey_leave_out_what_the_customers_held_before() -> None:
    """Re-sent coupons are none of this run's."""
    one = SeriesUndo(7, "DISC_CODE")
    one.standing.update({Standing.REVOCABLE: 3, Standing.IN_DOUBT: 1, Standing.RESENT: 5, Standing.REDEEMED: 2})
    one.fates.update({Fate.REVOKED: 4})
    survey = Survey("run", "May", "Acme", unfinished=False, series={7: one})
    assert (one.coupons, survey.to_revoke, survey.became(Fate.REVOKED), survey.became(Fate.REFUSED)) == (6, 4, 4, 0)
