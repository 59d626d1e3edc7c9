"""What follows from an outcome, and what a series remembers of its answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.codes import CodeTable
from runner.core.model import CallState, CodeClass, Coupon, Kind, Order, Outcome, Reason, Scope
from runner.core.policy import SeriesState, SeriesTrack, Step, Verdict, fall_back, judge, nobody_knows

_TABLE = CodeTable.default()


def reason(code: str) -> Reason:
    rule = _TABLE.look_up(code)
    assert rule is not None
    return Reason(code=code, message=rule.meaning, klass=rule.klass, scope=rule.scope, agreeing=rule.agreeing)


def refused(code: str) -> Outcome:
    return Outcome(state=CallState.REFUSED, reason=reason(code))


def issued(coupons: int, code: str | None = None, held: int = 0) -> Outcome:
    listed = tuple(Coupon(str(n), f"C{n}") for n in range(coupons))
    state = CallState.IN_DOUBT if held else CallState.ISSUED
    return Outcome(state=state, coupons=listed, held=held, reason=reason(code) if code else None)


def open_track() -> SeriesTrack:
    return SeriesTrack(state=SeriesState.OPEN)


@pytest.mark.parametrize(
    ("what", "outcome", "missing", "step"),
    [
        ("all issued", issued(3), 0, Step.DONE),
        ("a part of a large order", issued(500), 700, Step.GO_ON),
        ("doubt about all", issued(0, "timeout", held=3), 0, Step.DONE),
        ("doubt about a call, more is missing", issued(0, "timeout", held=500), 700, Step.GO_ON),
        ("some listed, some in doubt", issued(2, "short_answer", held=1), 0, Step.DONE),
        ("the queue is empty", refused("5005"), 3, Step.PARK_SERIES),
        ("the queue ran empty", issued(2, "5005"), 1, Step.PARK_SERIES),
        ("the customer is busy", refused("521"), 3, Step.WAIT_CUSTOMER),
        ("not explained, nothing came", refused("unexplained"), 3, Step.WAIT_CUSTOMER),
        ("not explained, some came", issued(2, "unexplained"), 1, Step.GO_ON),
        ("too fast", refused("429"), 3, Step.SLOW_DOWN),
        ("not available for the moment", refused("4001"), 3, Step.SLOW_DOWN),
        ("no such customer", refused("701"), 3, Step.CLOSE_ORDER),
        ("the customer's limit, some came", issued(2, "5002"), 1, Step.CLOSE_ORDER),
        ("no such series", refused("707"), 3, Step.CLOSE_SERIES),
        ("expired, for the first time", refused("713"), 3, Step.DOUBT_SERIES),
        ("the token ended", refused("401"), 3, Step.RENEW_TOKEN),
        ("the token ended, in the body's words", refused("498"), 3, Step.RENEW_TOKEN),
        ("the key may not", refused("403"), 3, Step.STOP_RUN),
        ("no such address", refused("http_404"), 3, Step.STOP_RUN),
        ("nothing left", Outcome(state=CallState.NEVER_LEFT, reason=reason("not_reached")), 3, Step.PAUSE_RUN),
        ("cancelled", Outcome(state=CallState.NEVER_LEFT, reason=reason("cancelled")), 3, Step.PAUSE_RUN),
        ("no token", Outcome(state=CallState.NEVER_LEFT, reason=reason("credentials")), 3, Step.STOP_RUN),
    ],
)
def test_each_outcome_has_one_step(what: str, outcome: Outcome, missing: int, step: Step) -> None:
    """Whom it concerns decides who waits or ends: the order, the customer, the series, the run."""
    assert judge(outcome, missing=missing, track=open_track()).step is step


def test_every_code_leads_to_a_step_of_its_scope() -> None:
    """Whatever the table lists: final codes end something, retries wait for something, doubt ends nothing."""
    closing = {Step.CLOSE_ORDER, Step.CLOSE_SERIES, Step.DOUBT_SERIES}
    for code, rule in _TABLE.rules.items():
        if rule.klass is CodeClass.UNKNOWN:
            assert judge(issued(0, code, held=1), missing=1, track=open_track()).step is Step.GO_ON
            continue
        step = judge(refused(code), missing=1, track=open_track()).step
        if rule.scope is Scope.RUN:
            final = {Step.STOP_RUN, Step.RENEW_TOKEN}
            assert step in (final if rule.klass is CodeClass.FINAL else {Step.SLOW_DOWN})
        elif rule.klass is CodeClass.FINAL:
            assert step in closing
        else:
            assert step is (Step.PARK_SERIES if rule.scope is Scope.SERIES else Step.WAIT_CUSTOMER)


def test_a_series_is_closed_by_as_many_answers_alike_as_its_code_needs() -> None:
    """713 thrice, in a row."""
    track = open_track()
    steps = [judge(refused("713"), missing=1, track=track).step for _ in range(3)]
    assert steps == [Step.DOUBT_SERIES, Step.DOUBT_SERIES, Step.CLOSE_SERIES]
    assert track.state is SeriesState.CLOSED
    assert track.over


@pytest.mark.parametrize("between", [issued(1), refused("701"), refused("714"), issued(1, "5002")])
def test_another_answer_in_between_starts_the_count_anew(between: Outcome) -> None:
    """A coupon, a refusal of the row alone, another series code."""
    track = open_track()
    for outcome in (refused("713"), refused("713"), between, refused("713"), refused("713")):
        step = judge(outcome, missing=1, track=track).step
    assert step is Step.DOUBT_SERIES
    assert not track.over


@pytest.mark.parametrize("between", [refused("5005"), refused("521"), refused("429"), issued(0, "timeout", held=1)])
def test_an_answer_that_says_nothing_about_the_series_keeps_the_count(between: Outcome) -> None:
    """Doubt, a busy customer, throttling."""
    track = open_track()
    for outcome in (refused("713"), refused("713"), between, refused("713")):
        step = judge(outcome, missing=1, track=track).step
    assert step is Step.CLOSE_SERIES


def test_a_new_series_takes_one_call_at_a_time_until_an_answer_says_something() -> None:
    """Coupons open it, and so does a refusal of the row alone; a busy customer, doubt and throttling do not."""
    track = SeriesTrack()
    assert track.may_start()
    track.in_flight = 1
    assert not track.may_start()
    for outcome in (refused("521"), refused("429"), issued(0, "timeout", held=1)):
        judge(outcome, missing=1, track=track)
        assert track.state is SeriesState.UNTESTED
    judge(refused("701"), missing=1, track=track)
    assert track.state is SeriesState.OPEN
    assert track.may_start()


def test_a_doubtful_series_takes_one_call_at_a_time_and_opens_again() -> None:
    """After the first answer that may close it."""
    track = open_track()
    judge(refused("713"), missing=1, track=track)
    assert track.state is SeriesState.DOUBTFUL
    track.in_flight = 1
    assert not track.may_start()
    judge(issued(1), missing=0, track=track)
    assert track.state is SeriesState.OPEN


@pytest.mark.parametrize("state", [SeriesState.PARKED, SeriesState.CLOSED, SeriesState.EXHAUSTED])
def test_a_late_answer_does_not_open_a_series_that_is_parked_or_over(state: SeriesState) -> None:
    """Coupons of a call that was under way say nothing about the queue now."""
    track = SeriesTrack(state=state)
    judge(issued(1), missing=0, track=track)
    judge(refused("714"), missing=1, track=track)
    assert track.state is state
    assert not track.may_start()


# ── another identifier ───────────────────────────────────────────────────────────────────────────────────────────────

EMAIL = ((Kind.EMAIL, "ann@example.com"),)


def an_order(*, issued: int = 0, held: int = 0, others: tuple[tuple[Kind, str], ...] = EMAIL) -> Order:
    return Order(1, "key", 7, 1, Kind.MOBILE, "919000000001", 3, issued, held, 1, others=others)


@pytest.mark.parametrize("code", ["701", "8015"])
def test_a_customer_who_is_not_known_is_named_by_the_next_identifier(code: str) -> None:
    """Instead of closing her order, while nothing of it is issued or in doubt."""
    verdict = Verdict(Step.CLOSE_ORDER, reason(code))
    assert fall_back(verdict, refused(code), an_order()).step is Step.FALL_BACK
    assert fall_back(verdict, refused(code), an_order(others=())) == verdict


@given(issued_before=st.integers(0, 2), held=st.integers(0, 2), code=st.sampled_from(["701", "8015", "709", "5002"]))
def test_an_order_with_coupons_or_a_doubt_is_never_named_otherwise(issued_before: int, held: int, code: str) -> None:
    """And only these two codes say that nobody is known."""
    verdict = Verdict(Step.CLOSE_ORDER, reason(code))
    step = fall_back(verdict, refused(code), an_order(issued=issued_before, held=held)).step
    assert (step is Step.FALL_BACK) == (code in ("701", "8015") and not issued_before and not held)


@given(step=st.sampled_from([one for one in Step if one is not Step.CLOSE_ORDER]), code=st.sampled_from(["701", "707"]))
def test_whatever_else_follows_stays_as_it_is(step: Step, code: str) -> None:
    """A series that closes, a pause, a stop: none of it is about an identifier."""
    verdict = Verdict(step, reason(code))
    assert fall_back(verdict, refused(code), an_order()) == verdict


def test_a_doubt_or_coupons_beside_a_701_are_no_proof_that_she_is_not_known() -> None:
    """Whatever the answer says of the customer, its call may have issued."""
    verdict = Verdict(Step.CLOSE_ORDER, reason("701"))
    for outcome in (issued(1, "701"), issued(0, "701", held=1)):
        assert fall_back(verdict, outcome, an_order()) == verdict


def test_the_reason_names_every_kind_that_was_tried_once() -> None:
    """In their order; a problem with the next one is told with it."""
    known = reason("701")
    told = nobody_knows(known, [Kind.MOBILE, Kind.EMAIL, Kind.MOBILE])
    assert told.message == f"{known.message} (not found by mobile nor email)"
    assert told.code == "701"
    assert nobody_knows(known, [Kind.MOBILE], "no access").message.endswith("(not found by mobile, and no access)")
