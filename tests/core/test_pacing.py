"""The pace never exceeds the limit, wastes next to none of it, and gives way when the API says so."""

from __future__ import annotations

import bisect
import heapq
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.core.pacing import (
    CUSTOMER_ROUNDS,
    GUARD,
    Pace,
    Rate,
    customer_wait,
    parse_rate,
    reach_wait,
    series_wait,
)
from runner.errors import UsageError

RATES = st.builds(Rate, st.integers(1, 200), st.sampled_from([1.0, 6.0, 60.0, 3600.0]))
STARTS = st.floats(0, 10**6)


def most_in_a_window(times: list[float], window: float) -> int:
    """The largest number of times in any closed interval of the window's length."""
    ordered = sorted(times)
    return max((bisect.bisect_right(ordered, time + window) - index for index, time in enumerate(ordered)), default=0)


def slots_of(pace: Pace, start: float, seconds: float) -> list[float]:
    """Slots of one who asks again as soon as a slot has come."""
    slots, now = [], start
    while (slot := pace.next_slot(now)) < start + seconds:
        slots.append(slot)
        now = slot
    return slots


@given(
    rate=RATES, start=STARTS, gaps=st.lists(st.floats(0, 30), min_size=1, max_size=150),
    late=st.lists(st.floats(0, 1), min_size=1, max_size=20),
)  # fmt: skip
def test_no_window_ever_holds_more_than_the_limit(
    rate: Rate, start: float, gaps: list[float], late: list[float]
) -> None:
    """Whoever asks, whenever, and sends late by up to the guard."""
    pace, now, sent = Pace(rate), start, []
    for index, gap in enumerate(gaps):
        now += gap * rate.window_seconds / rate.calls
        for _ in range(index % 3 + 1):
            slot = pace.next_slot(now)
            assert slot >= now
            sent.append(slot + late[index % len(late)] * GUARD * 0.99 * rate.window_seconds)
    assert most_in_a_window(sent, rate.window_seconds) <= rate.calls


@given(
    rate=RATES, start=STARTS,
    steps=st.lists(st.tuples(st.floats(0, 5), st.one_of(st.none(), st.just("429"), st.floats(0, 100))), max_size=80),
)  # fmt: skip
def test_no_window_holds_more_than_the_limit_whatever_is_throttled(
    rate: Rate, start: float, steps: list[tuple[float, object]]
) -> None:
    """Slowing down and recovering never makes up for lost time; nothing goes before Retry-After is over."""
    pace, now, slots, blocked = Pace(rate), start, list[float](), 0.0
    for step, event in steps:
        now += step * rate.window_seconds / rate.calls
        if event is None:
            slot = pace.next_slot(now)
            assert slot >= blocked
            slots.append(slot)
        else:
            seconds = event if isinstance(event, float) else None
            pace.throttled(now, seconds)
            blocked = max(blocked, now + (seconds or 0.0))
    assert most_in_a_window(slots, rate.window_seconds) <= rate.calls


@pytest.mark.parametrize("rate", [Rate(100, 60.0), Rate(20, 1.0), Rate(60, 6.0), Rate(1500, 60.0), Rate(1, 1.0)])
def test_at_least_98_percent_of_the_limit_is_used_when_there_is_demand(rate: Rate) -> None:
    """Ten windows with somebody always waiting."""
    slots = slots_of(Pace(rate), 5000.0, 10 * rate.window_seconds)
    assert len(slots) >= 0.98 * 10 * rate.calls
    assert most_in_a_window(slots, rate.window_seconds) <= rate.calls


def test_many_workers_whose_calls_take_longer_than_a_gap_use_the_limit_too() -> None:
    """Thirty-two workers, a call of 3 s each, 100 a minute: latency costs nothing."""
    pace, free, slots = Pace(Rate(100, 60.0)), [0.0] * 32, list[float]()
    while (now := heapq.heappop(free)) < 600.0:
        slots.append(pace.next_slot(now))
        heapq.heappush(free, slots[-1] + 3.0)
    assert len([slot for slot in slots if slot < 600.0]) >= 0.98 * 1000


def test_there_is_no_burst_at_the_start_nor_after_a_rest() -> None:
    """The first call goes at once, the next one a gap later, also after an hour of nothing."""
    pace = Pace(Rate(60, 60.0))
    for now in (10.0, 4000.0):
        slots = [pace.next_slot(now) for _ in range(10)]
        assert slots[0] == now
        assert min(later - earlier for earlier, later in pairwise(slots)) >= 1.0


def test_without_a_rate_nothing_waits() -> None:
    """A loopback address has no limit."""
    pace = Pace(None)
    assert [pace.next_slot(7.0) for _ in range(1000)] == [7.0] * 1000
    assert pace.calls_per_second is None


def test_a_throttle_halves_the_pace_once_for_all_calls_under_way_and_recovers_by_and_by() -> None:
    """Thirty answers of one moment count once; after ten windows the whole pace is back, never more."""
    pace = Pace(Rate(60, 60.0))
    full = pace.calls_per_second
    assert full is not None
    pace.next_slot(0.0)
    for _ in range(30):
        pace.throttled(1.0)
    assert pace.calls_per_second == pytest.approx(full / 2)
    assert pace.blocked_until == pytest.approx(6.0)
    assert len(slots_of(pace, 1.0, 66.0)) == pytest.approx(30, abs=4)
    slots_of(pace, 67.0, 600.0)
    assert pace.calls_per_second == pytest.approx(full)


def test_each_further_throttle_slows_more_but_never_to_a_standstill() -> None:
    """Twenty in a row leave a sixty-fourth of the pace."""
    pace = Pace(Rate(64, 64.0))
    for _ in range(20):
        pace.throttled(pace.blocked_until if pace.blocked_until > 0 else 0.0)
    assert pace.calls_per_second == pytest.approx(1 / 64 / (1 + GUARD))


@pytest.mark.parametrize("rate", [None, Rate(100, 60.0)])
def test_retry_after_is_honoured_and_only_grows(rate: Rate | None) -> None:
    """A later, shorter demand does not shorten an earlier one."""
    pace = Pace(rate)
    pace.throttled(10.0, 120.0)
    pace.throttled(11.0, 5.0)
    assert pace.next_slot(12.0) == 130.0
    pace.throttled(131.0, 0.0)
    assert pace.blocked_until == 131.0


def test_without_a_rate_a_throttle_teaches_one_which_then_grows() -> None:
    """Half of what was sent lately, then a tenth of it more every ten seconds, without an upper end."""
    pace = Pace(None)
    for n in range(64):
        pace.next_slot(n / 20)
    pace.throttled(64 / 20)
    learnt = pace.calls_per_second
    assert learnt is not None
    assert learnt == pytest.approx(10.0, rel=0.05)
    start = pace.blocked_until
    slots = slots_of(pace, start, 300.0)
    assert len([slot for slot in slots if slot < start + 1]) <= 11
    assert pace.calls_per_second is not None
    assert pace.calls_per_second > 3 * learnt


def test_the_rate_can_be_changed_while_it_runs() -> None:
    """The next slot but one follows the new rate."""
    pace = Pace(Rate(60, 60.0))
    pace.next_slot(0.0)
    pace.change_rate(Rate(600, 60.0))
    slots = slots_of(pace, 0.0, 60.0)
    assert 0.98 * 590 <= len(slots) <= 600
    pace.change_rate(None)
    assert pace.next_slot(100.0) == pace.next_slot(100.0) == 100.0


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/m", Rate(100, 60.0)), ("20/s", Rate(20, 1.0)), ("6000/h", Rate(6000, 3600.0)), ("none", None),
        (" 100 / MIN ", Rate(100, 60.0)), ("60/6s", Rate(60, 6.0)), ("5/second", Rate(5, 1.0)),
        ("9/hour", Rate(9, 3600.0)),
    ],
)  # fmt: skip
def test_a_rate_is_written_as_calls_per_time(text: str, rate: Rate | None) -> None:
    """Seconds, minutes, hours, or several of them."""
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text", ["", "100", "fast", "0/m", "-5/m", "1.5/s", "100/day", "5/0s", "1/m/s", "1e3/m", "\uff11/m"]
)
def test_what_is_no_rate_is_refused_with_the_right_way_to_write_it(text: str) -> None:
    """The message repeats what was written."""
    with pytest.raises(UsageError) as refused:
        parse_rate(text)
    assert f'the rate "{text}"' in refused.value.message
    assert "none" in refused.value.message


@settings(max_examples=300)
@given(dry=st.floats(0, 60), chances=st.lists(st.floats(0, 1, exclude_max=True), min_size=20, max_size=20))
def test_a_series_dry_for_up_to_a_minute_costs_14_probes_and_resumes_within_8_seconds(
    dry: float, chances: list[float]
) -> None:
    """Probe after probe, each answered at once."""
    parked, probes = 0.0, 0
    while probes == 0 or parked < dry:
        probes += 1
        parked += series_wait(probes, parked, chances[probes - 1])
    assert probes <= 14
    assert parked - dry <= 8.0


@given(attempt=st.integers(1, 10**6), parked=st.floats(0, 10**7), chance=st.floats(0, 1, exclude_max=True))
def test_a_wait_is_never_longer_than_a_minute_nor_shorter_than_its_first(
    attempt: int, parked: float, chance: float
) -> None:
    """Bounds of all waits, jitter included."""
    assert 0.9 <= series_wait(attempt, parked, chance) <= 60.0
    assert 0.9 <= customer_wait(attempt, chance) <= 33.0
    assert 0.9 <= reach_wait(attempt, chance) <= 33.0


def test_waits_grow_as_documented() -> None:
    """Without jitter: 1, 2, 4, 6 s, then 8 % of the time parked; 1 s doubling to 30 s."""
    assert [series_wait(n, 10.0, 0.5) for n in (1, 2, 3, 4, 5)] == [1.0, 2.0, 4.0, 6.0, 6.0]
    assert series_wait(50, 500.0, 0.5) == pytest.approx(40.0)
    assert series_wait(50, 5000.0, 0.5) == 60.0
    assert [customer_wait(n, 0.5) for n in range(1, CUSTOMER_ROUNDS + 1)] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert [reach_wait(n, 0.5) for n in (1, 3, 6, 100)] == [1.0, 4.0, 30.0, 30.0]


def test_jitter_is_ten_percent_either_way() -> None:
    """So that many waiting runs do not ask together."""
    assert customer_wait(1, 0.0) == pytest.approx(0.9)
    assert customer_wait(1, 0.999999) == pytest.approx(1.1, rel=1e-4)
