"""The invariant of an order, and the table of what a call may become."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.core.model import MAX_PER_CALL, CallState
from runner.core.orders import ALLOWED, calls_for, missing_of, next_quantity

_NUMBERS = st.integers(0, 5000)


@given(target=_NUMBERS, issued=_NUMBERS, held=_NUMBERS)
def test_missing_is_what_is_neither_issued_nor_in_doubt_and_never_negative(target: int, issued: int, held: int) -> None:
    """Asking for all of it reaches the target exactly, unless it was passed already."""
    missing = missing_of(target, issued, held)
    assert missing >= 0
    assert issued + held + missing == max(target, issued + held)


@given(target=_NUMBERS, issued=_NUMBERS, held=_NUMBERS)
def test_a_call_asks_for_at_most_500_of_what_is_missing(target: int, issued: int, held: int) -> None:
    """And for something whenever something is missing."""
    missing, quantity = missing_of(target, issued, held), next_quantity(target, issued, held)
    assert quantity <= min(missing, MAX_PER_CALL) == quantity
    assert (quantity > 0) is (missing > 0)


def test_a_call_is_bounded_by_what_the_endpoint_takes() -> None:
    """500, as its documentation says."""
    assert MAX_PER_CALL == 500
    assert next_quantity(1200, 0, 0) == 500
    assert next_quantity(1200, 1000, 0) == 200


@given(target=_NUMBERS)
def test_the_number_of_calls_is_how_often_one_asks_until_nothing_is_missing(target: int) -> None:
    """1,200 take three."""
    issued = calls = 0
    while quantity := next_quantity(target, issued, 0):
        issued, calls = issued + quantity, calls + 1
    assert calls == calls_for(target)
    assert issued == target


def test_a_call_leaves_doubt_only_for_a_known_end_and_never_for_never_left() -> None:
    """What was sent cannot have stayed here; nothing returns to being sent."""
    assert set(ALLOWED) == set(CallState)
    assert ALLOWED[CallState.IN_DOUBT] == {CallState.ISSUED, CallState.REFUSED}
    assert ALLOWED[CallState.SENDING] == set(CallState) - {CallState.SENDING}
    assert ALLOWED[CallState.REFUSED] == {CallState.ISSUED}  # a later read finds the coupon
    assert not ALLOWED[CallState.ISSUED]
    assert not ALLOWED[CallState.NEVER_LEFT]
