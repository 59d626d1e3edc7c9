"""Calls under way follow rate × latency, give way when the API shows that it is overloaded, and come back."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.concurrency import LEAST, Concurrency


def flow(
    most: int, seconds: float, *, per_second: float | None, calls: int = 400, concurrency: Concurrency | None = None
) -> Concurrency:
    """Calls at a pace, each answered after so many seconds, as many under way as may be."""
    found = concurrency or Concurrency(most)
    under_way, now, due = list[float](), 1000.0, 1000.0
    for _ in range(calls):
        if len(under_way) >= found.allowed:
            now = max(now, heapq.heappop(under_way))
            found.answered(seconds, now, under_way=len(under_way) + 1, per_second=per_second)
        now = max(now, due)
        while under_way and under_way[0] <= now:
            heapq.heappop(under_way)
            found.answered(seconds, now, under_way=len(under_way) + 1, per_second=per_second)
        heapq.heappush(under_way, now + seconds)
        due = now + (1 / per_second if per_second else 0.0)
    return found


@pytest.mark.parametrize("per_second", [1.67, 5.0, 25.0])
@pytest.mark.parametrize("seconds", [0.1, 0.5, 2.0])
def test_as_many_are_under_way_as_rate_times_latency_asks_for_with_room(per_second: float, seconds: float) -> None:
    """Never fewer than the pace needs, and not much more."""
    allowed = flow(1000, seconds, per_second=per_second).allowed
    assert allowed >= min(per_second * seconds + 1, 1000)
    assert allowed <= max(LEAST, 2 * per_second * seconds + 3)


def test_never_more_than_the_owner_allowed() -> None:
    """Slow answers at a high pace would take a hundred."""
    assert flow(16, 4.0, per_second=25.0).allowed == 16


def test_when_answers_take_longer_at_a_steady_pace_more_are_under_way() -> None:
    """From half a second to one: what the pace needs is there again within a few answers."""
    found = flow(64, 0.5, per_second=5.0)
    assert flow(64, 0.7, per_second=5.0, concurrency=found).allowed >= 0.7 * 5.0 + 1


def test_without_a_rate_all_that_the_owner_allowed_are_under_way_however_long_answers_take() -> None:
    """The more are asked, the longer each takes: that is no overload."""
    found = Concurrency(256)
    for number in range(1000):
        found.answered(0.001 + number / 1000, 1000.0 + number, under_way=256)
        assert found.allowed == 256


def test_a_throttle_takes_three_in_ten_away_once_for_all_that_were_under_way() -> None:
    """Thirty answers of one moment count once; the answers that follow bring it back, one for each round."""
    found = Concurrency(100)
    for number in range(30):
        found.answered(0.5, 1000.0 + number / 100, under_way=100, throttled=True)
    assert found.allowed == 70
    rounds = 0
    while found.allowed < 100:
        rounds += 1
        for _ in range(found.allowed):
            found.answered(0.5, 1001.0 + rounds, under_way=found.allowed)
        assert rounds <= 31
    assert rounds >= 29


def test_throttles_that_go_on_leave_one_call_at_a_time() -> None:
    """Never none."""
    found = Concurrency(64)
    for number in range(100):
        found.answered(0.1, 1000.0 + number, under_way=found.allowed, throttled=True)
    assert found.allowed == 1


def test_one_busy_customer_slows_nobody_and_many_do() -> None:
    """521 now and then is one customer's; one answer in five is the API's trouble."""
    few, many = Concurrency(32), Concurrency(32)
    for number in range(400):
        few.answered(0.05, 1000.0 + number, under_way=32, busy=number % 50 == 0)
        many.answered(0.05, 1000.0 + number, under_way=32, busy=number % 5 == 0)
    assert few.allowed == 32
    assert many.allowed < 16


def test_answers_that_take_much_longer_than_before_lower_it_and_it_comes_back() -> None:
    """From 0.2 s to 3 s at 25 calls a second: an API that is overloaded is not asked for more at once."""
    found = flow(200, 0.2, per_second=25.0)
    for number in range(30):
        found.answered(3.0, 2000.0 + number, under_way=found.allowed, per_second=25.0)
    lowered = found.allowed
    assert lowered < 2 * 25 * 3.0 / 2
    for number in range(3000):
        found.answered(0.2, 3000.0 + number / 25, under_way=found.allowed, per_second=25.0)
    assert found.allowed >= 25 * 0.2 + 1


@given(
    most=st.integers(1, 1000),
    answers=st.lists(
        st.tuples(st.floats(0, 100), st.booleans(), st.booleans(), st.one_of(st.none(), st.floats(0.001, 1000))),
        max_size=60,
    ),
)  # fmt: skip
def test_whatever_is_answered_at_least_one_call_may_go_and_never_more_than_allowed(
    most: int, answers: list[tuple[float, bool, bool, float | None]]
) -> None:
    found = Concurrency(most)
    for number, (seconds, throttled, busy, per_second) in enumerate(answers):
        found.answered(
            seconds, 1000.0 + number, under_way=found.allowed, throttled=throttled, busy=busy, per_second=per_second
        )
        assert 1 <= found.allowed <= most
