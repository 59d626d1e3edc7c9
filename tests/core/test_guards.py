"""The cap on coupons: reserved before anything is sent, so that calls under way never overrun it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.guards import (
    MILLION,
    Bound,
    Cap,
    Errors,
    Guards,
    Holder,
    Threshold,
    leave_out,
    millionths,
    money,
    parse_threshold,
    short_of,
)
from runner.core.model import CodeClass, Reason, Scope
from runner.core.policy import Step, Verdict
from runner.errors import UsageError


def test_an_order_fits_whole_or_not_at_all() -> None:
    """Room for three is no room for four."""
    cap = Cap(10, spent=7)
    assert not cap.reserve(1, 4)
    assert cap.reserve(2, 3)
    assert not cap.reserve(3, 1)


def test_what_was_reserved_and_not_used_is_free_again() -> None:
    """Two of five were issued: three are free."""
    cap = Cap(5)
    assert cap.reserve(1, 5)
    cap.spend(1, 2)
    assert cap.reserved == 3
    assert not cap.reserve(2, 1)
    cap.release(1)
    assert cap.reserve(2, 3)
    assert not cap.reserve(3, 1)


def test_an_order_that_has_its_reservation_need_not_fit_again() -> None:
    """The second call of a large order goes under the reservation of the first."""
    cap = Cap(1200)
    assert cap.reserve(1, 1200)
    cap.spend(1, 500)
    assert cap.reserve(1, 700)
    assert cap.reserved == 700


def test_an_order_that_misses_more_than_it_reserved_needs_room_for_the_rest() -> None:
    """Another row turned out to be the same person's."""
    cap = Cap(10)
    assert cap.reserve(1, 4)
    assert not cap.reserve(1, 11)
    assert cap.reserved == 4
    assert cap.reserve(1, 6)
    assert cap.reserved == 6
    assert not cap.reserve(2, 5)


def test_without_a_cap_everything_fits() -> None:
    """And nothing is counted."""
    cap = Cap(None)
    assert cap.reserve(1, 10**9)
    cap.spend(1, 10**9)
    cap.release(1)
    assert cap.reserved == 0


_STEPS = st.lists(
    st.tuples(st.sampled_from(["reserve", "spend", "release"]), st.integers(1, 4), st.integers(0, 40)), max_size=40
)


@given(limit=st.integers(0, 100), steps=_STEPS)
def test_spent_and_reserved_never_pass_the_cap(limit: int, steps: list[tuple[str, int, int]]) -> None:
    """As long as nobody spends more than was reserved, whatever the order of things."""
    cap, mine, spent = Cap(limit), dict[int, int](), 0
    for what, order, quantity in steps:
        if what == "reserve" and cap.reserve(order, quantity):
            mine[order] = max(quantity, mine.get(order, 0))
        elif what == "spend":
            used = min(quantity, mine.get(order, 0))
            cap.spend(order, used)
            spent += used
            if used:
                mine[order] -= used
        elif what == "release":
            cap.release(order)
            mine.pop(order, None)
        assert cap.reserved == sum(mine.values())
        assert spent + cap.reserved <= limit


def test_an_order_reserves_under_the_cap_of_the_run_and_of_its_series_or_under_neither() -> None:
    """What the series refuses takes no room of the run, and the other way round."""
    guards = Guards(10, limits={7: 3, 8: 100}, issued={7: 1})
    assert guards.reserve(1, 7, 3) is Bound.SERIES
    assert guards.reserved == 0
    assert guards.reserve(2, 7, 2) is None
    assert guards.reserve(3, 8, 9) is Bound.RUN
    assert guards.reserve(4, 8, 8) is None
    assert guards.reserve(5, 9, 1) is Bound.RUN


def test_what_an_order_gives_back_is_free_under_both_caps() -> None:
    """One of two was issued, the other is free again; coupons in doubt stay spent."""
    guards = Guards(2, limits={7: 2})
    assert guards.reserve(1, 7, 2) is None
    guards.spend(1, 7, 1)
    guards.release(1, 7)
    assert guards.reserve(2, 7, 2) is Bound.SERIES
    assert guards.reserve(2, 7, 1) is None
    guards.spend(2, 7, 1)
    assert guards.reserve(3, 7, 1) is Bound.SERIES
    assert guards.reserve(3, 8, 1) is Bound.RUN


def test_a_series_without_a_limit_is_bound_by_the_run_only() -> None:
    """And without a cap of the run by nothing."""
    guards = Guards(None, limits={7: 1})
    assert guards.reserve(1, 8, 10**9) is None
    guards.spend(1, 8, 10**9)
    guards.release(1, 8)


def test_a_plan_says_by_how_much_the_limits_fall_short() -> None:
    """What other runs of the campaign issued counts; a limit that is passed already leaves no room."""
    limits, issued = {7: 10, 8: 10, 9: 10}, {7: 4, 9: 12}
    assert short_of(limits, issued, {7: 7, 8: 10, 9: 1, 6: 99}) == {7: 1, 9: 1}


@given(limit=st.integers(0, 60), most=st.integers(0, 30), steps=_STEPS)
def test_no_cap_is_passed_whatever_the_order_of_things(
    limit: int, most: int, steps: list[tuple[str, int, int]]
) -> None:
    """Two series, of which one has a limit: its coupons never pass it, and all together never the cap."""
    guards, mine, spent = Guards(limit, limits={1: most}), dict[int, int](), {0: 0, 1: 0}
    for what, order, quantity in steps:
        series = order % 2
        if what == "reserve" and guards.reserve(order, series, quantity) is None:
            mine[order] = max(quantity, mine.get(order, 0))
        elif what == "spend":
            used = min(quantity, mine.get(order, 0))
            guards.spend(order, series, used)
            spent[series] += used
            mine[order] = mine.get(order, 0) - used
        elif what == "release":
            guards.release(order, series)
            mine.pop(order, None)
        of_series = sum(left for other, left in mine.items() if other % 2 == 1)
        assert spent[1] + of_series <= most
        assert sum(spent.values()) + sum(mine.values()) <= limit


# ── money ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_reserves_what_its_coupons_are_worth():
    """Of its own series; what it gives back is free again, and what another cap refuses takes no room."""
    guards = Guards(4, most_value=100, values={7: 30, 8: 1})
    assert guards.reserve(1, 7, 4) is Bound.VALUE
    assert guards.reserve(1, 7, 3) is None
    assert guards.reserve(2, 8, 2) is Bound.RUN
    assert guards.reserve(2, 8, 1) is None
    guards.spend(1, 7, 1)
    guards.release(1, 7)
    guards.release(2, 8)
    assert guards.reserve(3, 7, 3) is Bound.VALUE
    assert guards.reserve(3, 7, 2) is None


def test_what_earlier_executions_spent_counts_under_the_cap_on_money():
    """They count over resumes."""
    guards = Guards(None, most_value=100, spent_value=90, values={7: 11})
    assert guards.reserve(1, 7, 1) is Bound.VALUE


@given(st.decimals(min_value=0, max_value=10**9, places=6))
def test_money_is_exact_in_millionths(amount: Decimal) -> None:
    """And reads as it was written."""
    assert millionths(amount) == amount * MILLION
    assert Decimal(money(millionths(amount)).replace(",", "")) == amount


def test_what_is_finer_than_a_millionth_is_rounded_up():
    """A cap is never passed by rounding."""
    assert millionths(Decimal("0.0000001")) == 1
    assert money(2_406_000 * MILLION) == "2,406,000"


# ── one customer's coupons ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_oldest_orders_of_a_customer_go_first_and_none_is_cut():
    """What she holds in the campaign counts; a smaller order goes where a larger one does not fit."""
    left = leave_out(5, [Holder(2, [(10, 2), (11, 4), (12, 1)]), Holder(5, [(3, 1)]), Holder(0, [(1, 5)])])
    assert list(left.ids) == [3, 11]
    assert (left.customers, left.needed) == (2, 9)
    assert left.sentence(5) == (
        "left out: 2 orders that would bring 2 customers above 5 coupons of this campaign (--max-per-customer)"
    )


@given(
    most=st.integers(0, 30),
    holders=st.lists(st.tuples(st.integers(0, 40), st.lists(st.integers(1, 20), max_size=6)), max_size=8),
)
def test_no_customer_comes_above_the_cap_whatever_she_holds(most: int, holders: list[tuple[int, list[int]]]) -> None:
    """By the orders that are sent; under the cap that is named as needed all of them fit."""
    numbers = iter(range(10_000))
    given = [Holder(held, [(next(numbers), missing) for missing in orders]) for held, orders in holders]
    left = leave_out(most, given)
    assert list(left.ids) == sorted(left.ids)
    for held, orders in given:
        sent = sum(missing for order, missing in orders if order not in set(left.ids))
        assert sent == 0 or held + sent <= most
    assert not leave_out(max(most, left.needed), [one for one in given if one.held <= most]).ids


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _refused(step: Step = Step.CLOSE_ORDER, code: str = "701") -> Verdict:
    return Verdict(step, Reason(code=code, message="", klass=CodeClass.FINAL, scope=Scope.ROW))


@pytest.mark.parametrize(
    ("text", "threshold"),
    [("20", (20, None)), ("0", (0, None)), ("5%", (None, 0.05)), ("0.5 %", (None, 0.005)), ("20, 1%", (20, 0.01))],
)
def test_a_threshold_is_a_number_a_share_or_both(text, threshold):
    """As a person writes it."""
    assert parse_threshold(text) == Threshold(*threshold)


@pytest.mark.parametrize("text", ["", "-1", "many", "101%", "1%,2%", "3,4", "5%%", "1e3"])
def test_a_threshold_that_is_none_is_refused(text):
    """With what may be written."""
    with pytest.raises(UsageError, match="write"):
        parse_threshold(text)


def test_a_share_of_errors_counts_once_fifty_answers_came():
    """Ten of fifty are a fifth; eleven are more."""
    errors = Errors(parse_threshold("20%"))
    assert not any(errors.saw(_refused(), lost=False) for _ in range(11))
    assert not any(errors.saw(Verdict(Step.DONE, None), lost=False) for _ in range(39))
    assert errors.saw(_refused(), lost=False)
    assert errors.sentence() == "12 of 51 answers refused for good (24%; 701 12 times), more than --max-errors 20%"


@pytest.mark.parametrize(
    "step",
    [
        *(Step.WAIT_CUSTOMER, Step.PARK_SERIES, Step.SLOW_DOWN, Step.PAUSE_RUN, Step.RENEW_TOKEN, Step.STOP_RUN),
        Step.FALL_BACK,
    ],
)
def test_who_has_to_wait_is_neither_an_error_nor_an_answer(step):
    """Else an empty queue would stop the run, or hide the errors."""
    errors = Errors(parse_threshold("0"))
    assert not errors.saw(_refused(step), lost=False)
    assert errors.answers == 0


def test_a_lost_answer_is_no_answer():
    """It is in doubt, which has a guard of its own."""
    errors = Errors(parse_threshold("0"))
    assert not errors.saw(Verdict(Step.GO_ON, None), lost=True)
    assert errors.answers == 0


@pytest.mark.parametrize("step", [Step.CLOSE_ORDER, Step.DOUBT_SERIES, Step.CLOSE_SERIES])
def test_what_is_refused_for_good_is_an_error(step):
    """The row's fault or the series': the order gets nothing."""
    assert Errors(parse_threshold("0")).saw(_refused(step), lost=False)
    assert not Errors(parse_threshold("1")).saw(_refused(step), lost=False)
