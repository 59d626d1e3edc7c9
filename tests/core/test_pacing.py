"""The pace never exceeds the limit, wastes next to none of it, and gives way when the API says so."""

from __future__ import annotations

import bisect
import heapq
import json
import random
from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.pacing import (
    AHEAD,
    BLOCK_SECONDS,
    CUSTOMER_ROUNDS,
    GUARD,
    PaceState,
    Rate,
    Slots,
    Wait,
    customer_wait,
    leave_share,
    parse_leave,
    parse_rate,
    reach_wait,
    series_wait,
    tills_refused,
    write_rate,
)
from runner.errors import UsageError

RATES = st.builds(Rate, st.integers(1, 200), st.sampled_from([1.0, 6.0, 60.0, 3600.0]))
STARTS = st.floats(0, 10**6)


def most_in_a_window(times: list[float], window: float) -> int:
    """The largest number of times in any closed interval of the window's length."""
    ordered = sorted(times)
    return max((bisect.bisect_right(ordered, time + window) - index for index, time in enumerate(ordered)), default=0)


class Pace:
    """A key that one process uses: it asks until it has a slot."""

    def __init__(self, rate: Rate | None) -> None:
        self.state = PaceState()
        self.rate = rate
        self.state.join("own", 0.0, rate)

    def change_rate(self, rate: Rate | None) -> None:
        self.rate = rate

    def next_slot(self, now: float) -> float:
        """When the next call goes."""
        self.state.join("own", now, self.rate)
        while isinstance(asked := self.state.take("own", now), Wait):
            assert asked.until > now
            now = asked.until
        self.last = asked
        return max(now, asked.first)

    def throttled(self, now: float, retry_after: float | None = None) -> None:
        self.state.throttled(now, retry_after)

    @property
    def blocked_until(self) -> float:
        return self.state.blocked_until

    @property
    def calls_per_second(self) -> float | None:
        return self.state.calls_per_second


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
            pace.state.late(pace.last.first, pace.last.serial, sent[-1])
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


# ── several processes on one key ─────────────────────────────────────────────────────────────────────────────────────


def share(
    state: PaceState, demands: dict[str, float], start: float, seconds: float, *, dies: dict[str, float] | None = None
) -> list[tuple[float, str]]:
    """Processes that each ask again as soon as they may: (slot, whose). `demands`: remaining calls by name.

    Args:
        dies: when a process asks no more, whatever it was waiting for.
    """
    chance, given = random.Random(7), list[tuple[float, str]]()
    asking = [(start + chance.random() * 0.001, name) for name in demands]
    heapq.heapify(asking)
    while (asked := heapq.heappop(asking))[0] < start + seconds:
        now, name = asked
        if dies and now >= dies.get(name, float("inf")):
            if not asking:
                break
            continue
        state.members[name].remaining = demands[name]
        got = state.take(name, now, more=True)
        if isinstance(got, Wait):
            heapq.heappush(asking, (got.until + chance.random() * 0.002, name))
        else:
            given.append((max(now, got.first), name))
            heapq.heappush(asking, (max(now, got.first) + chance.random() * 0.002, name))
    return given


def joined(rates: Mapping[str, Rate | None]) -> PaceState:
    """A key with these processes."""
    state = PaceState()
    for pid, (name, rate) in enumerate(rates.items(), start=1):
        state.join(name, 1000.0, rate, pid=pid)
    return state


@pytest.mark.parametrize("rate", [Rate(100, 60.0), Rate(60, 6.0), Rate(20, 1.0)])
def test_two_processes_together_use_the_limit_and_never_exceed_it(rate: Rate) -> None:
    """At least 98 % of it, and about half each."""
    given = share(joined({"a": rate, "b": rate}), {"a": 500, "b": 500}, 1000.0, 10 * rate.window_seconds)
    assert len(given) >= 0.98 * 10 * rate.calls
    assert most_in_a_window([slot for slot, _ in given], rate.window_seconds) <= rate.calls
    assert sum(name == "a" for _, name in given) == pytest.approx(len(given) / 2, abs=2)


def test_a_much_smaller_job_overtakes_a_larger_one_which_is_never_starved() -> None:
    """Four slots of five are the nightly job's, one of five the backfill's, and none is wasted."""
    given = share(joined(dict.fromkeys(("nightly", "backfill"), Rate(100, 60.0))), {"nightly": 200, "backfill": 9e5},
                  1000.0, 600.0)  # fmt: skip
    names = [name for _, name in given]
    assert names.count("nightly") / len(names) == pytest.approx(0.8, abs=0.02)
    assert all("backfill" in names[at : at + 6] for at in range(len(names) - 6))
    assert len(names) >= 0.98 * 1000


def test_when_the_smaller_job_has_ended_without_a_word_the_larger_gets_every_slot() -> None:
    """A process that died while it waited costs nobody a slot."""
    rates = dict.fromkeys(("nightly", "backfill"), Rate(100, 60.0))
    given = share(joined(rates), {"nightly": 200, "backfill": 9e5}, 1000.0, 600.0, dies={"nightly": 1300.0})
    late = [name for slot, name in given if slot >= 1301.0]
    assert set(late) == {"backfill"}
    assert len(late) >= 0.98 * 299 * 100 / 60


def test_jobs_of_like_size_share_evenly() -> None:
    """Nobody overtakes somebody who has three times as much left."""
    given = share(joined(dict.fromkeys(("a", "b"), Rate(100, 60.0))), {"a": 100, "b": 300}, 1000.0, 300.0)
    assert sum(name == "a" for _, name in given) == pytest.approx(len(given) / 2, abs=2)


def test_the_lower_limit_holds_for_both_while_both_are_there() -> None:
    """After the slower one has left, the limit of the faster one holds again."""
    state = joined({"slow": Rate(50, 60.0), "fast": Rate(100, 60.0)})
    assert state.lowest == "slow"
    assert len(share(state, {"fast": 500, "slow": 0}, 1000.0, 60.0, dies={"slow": 0.0})) <= 50
    state.leave("slow")
    assert state.lowest == "fast"
    assert len(share(state, {"fast": 500}, 1060.0, 60.0)) >= 97


def test_a_process_that_has_died_is_forgotten_and_one_that_is_paused_is_not() -> None:
    """A dead one has no process of its number any more; nothing is concluded from a moment's silence."""
    state = joined({"slow": Rate(50, 60.0), "fast": Rate(100, 60.0)})
    state.drop_dead(1001.0, lambda _: False)
    state.drop_dead(2000.0, lambda _: True)
    assert set(state.members) == {"slow", "fast"}
    state.drop_dead(2000.0, lambda pid: pid == 2)
    assert set(state.members) == {"fast"}


def test_a_throttle_of_one_process_slows_all() -> None:
    """Half the slots are given afterwards, whoever asks."""
    state = joined(dict.fromkeys(("a", "b"), Rate(100, 60.0)))
    share(state, {"a": 1, "b": 1}, 1000.0, 60.0)
    state.throttled(1060.0, 0.0)
    assert len(share(state, {"a": 500, "b": 500}, 1060.0, 60.0)) == pytest.approx(52.5, abs=3)


def test_what_was_let_through_before_a_throttle_is_remembered() -> None:
    """A server that allows 48 a minute teaches about that, whatever the rate says."""
    pace, sent = Pace(Rate(100, 60.0)), list[float]()
    now = 1000.0
    while len([one for one in sent if one > now - 60.0]) < 48:
        now = pace.next_slot(now)
        sent.append(now)
    now = pace.next_slot(now)
    pace.throttled(now)
    assert pace.state.learnt is not None
    assert pace.state.learnt.calls == pytest.approx(48, abs=2)
    assert pace.state.learnt.window_seconds == 60.0


@given(
    rate=RATES,
    late=st.lists(st.floats(0, 0.2), min_size=1, max_size=30),
    asked=st.lists(st.floats(0, 3), min_size=1, max_size=30),
    way=st.lists(st.floats(0, 1), min_size=1, max_size=30),
)  # fmt: skip
def test_calls_that_are_sent_late_push_those_behind_them(
    rate: Rate, late: list[float], asked: list[float], way: list[float]
) -> None:
    """However late within a fifth of a window, no window ever holds more than the limit; nor does it at the API.

    The way there may take one call longer than another by most of the guard (1.1 % of a window).
    """
    pace, now, sent, arrived = Pace(rate), 1000.0, list[float](), list[float]()
    for index in range(3 * min(rate.calls, 60)):
        now = pace.next_slot(now + asked[index % len(asked)] * rate.window_seconds / rate.calls * (index % 7 == 0))
        now += late[index % len(late)] * rate.window_seconds * (index % 5 == 0)
        pace.state.late(pace.last.first, pace.last.serial, now)
        sent.append(now)
        arrived.append(now + way[index % len(way)] * 0.011 * rate.window_seconds)
    assert most_in_a_window(sent, rate.window_seconds) <= rate.calls
    assert most_in_a_window(arrived, rate.window_seconds) <= rate.calls


@given(rate=RATES, idle=st.floats(0, 5))
def test_neither_at_the_start_nor_after_a_pause_is_there_a_burst(rate: Rate, idle: float) -> None:
    """One call at first; whoever was away makes up for a twentieth of a window and a second at most, however long."""
    state = joined({"a": rate})
    assert isinstance(state.take("a", 1000.0), Slots)
    now = 1000.0 + idle * rate.window_seconds
    taken = 0
    while isinstance(state.take("a", now), Slots):
        taken += 1
    lost = min(0.05 * rate.window_seconds, 1.0) + AHEAD
    assert taken <= 1 + lost / state.gap


def test_a_slot_is_taken_only_when_it_is_nearly_due() -> None:
    """So that whoever dies has taken next to nothing, and whoever comes later need not wait behind him."""
    state = joined({"a": Rate(100, 60.0), "b": Rate(100, 60.0)})
    first = state.take("a", 1000.0)
    assert isinstance(first, Slots)
    wait = state.take("a", 1000.0)
    assert isinstance(wait, Wait)
    assert wait.until == pytest.approx(1000 + 0.6 * (1 + GUARD), abs=0.001)
    assert isinstance(state.take("b", wait.until - AHEAD / 2), Slots)


def test_at_high_rates_several_slots_are_taken_at_once_but_only_a_moments_worth() -> None:
    """A thousand a second: fifty at once at most; a hundred a minute: one."""
    state = joined({"a": Rate(1000, 1.0)})
    slots = state.take("a", 1000.0, most=512)
    assert isinstance(slots, Slots)
    assert 40 <= slots.number <= BLOCK_SECONDS * 1000
    alone = joined({"a": Rate(100, 60.0)}).take("a", 1000.0, most=512)
    assert isinstance(alone, Slots)
    assert alone.number == 1


def test_a_state_that_was_written_down_goes_on_where_it_was() -> None:
    """Through JSON; a resumed process waits for the gap that the killed one left."""
    state = joined({"a": Rate(60, 60.0), "b": None})
    state.take("a", 1000.0)
    state.throttled(1000.2, 5.0)
    again = PaceState.of_record(json.loads(json.dumps(state.record())))
    assert again.record() == state.record()
    assert again.blocked_until == 1005.2
    wait = again.take("a", 1000.3)
    assert isinstance(wait, Wait)
    assert wait.until == 1005.2


@pytest.mark.parametrize("damage", ["due", "members", "factor"])
def test_a_record_that_cannot_be_is_refused(damage: str) -> None:
    """Nothing is made of half a record."""
    record = joined({"a": Rate(60, 60.0)}).record()
    record[damage] = {"due": "soon", "members": {"a": [1, 2]}, "factor": 0}[damage]
    with pytest.raises((ValueError, TypeError, KeyError)):
        PaceState.of_record(record)


def test_after_a_restart_of_the_machine_a_block_lasts_for_what_is_left_of_it() -> None:
    """The new clock begins near zero; ten of the thirty seconds were over by the calendar, and nobody is left."""
    state = joined({"a": Rate(60, 60.0)})
    state.throttled(1000.0, 30.0)
    state.after_restart(5.0, 10.0, 1000.0)
    assert state.blocked_until == 25.0
    assert not state.members
    state.after_restart(6.0, -500.0, 5.0)  # a calendar that was set back: no time is taken for over
    assert state.blocked_until == 26.0


def test_instead_of_a_lost_state_a_new_one_begins_a_gap_later() -> None:
    """A call may just have been sent."""
    state = PaceState.begun_anew(1000.0)
    state.join("a", 1000.0, Rate(60, 60.0))
    wait = state.take("a", 1000.0)
    assert isinstance(wait, Wait)
    assert wait.until == pytest.approx(1001.0, abs=0.05)


# ── what people write and read ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", ["100/m", "20/s", "6000/h", "60/6s"])
def test_a_rate_is_shown_as_it_is_written(text: str) -> None:
    rate = parse_rate(text)
    assert rate is not None
    assert write_rate(rate) == text


def test_a_share_stays_for_others_and_at_least_one_call_for_us() -> None:
    """20 % of 100 a minute are 80 a minute."""
    assert leave_share(Rate(100, 60.0), parse_leave("20%")) == Rate(80, 60.0)
    assert leave_share(Rate(100, 60.0), parse_leave(" 0 % ")) == Rate(100, 60.0)
    assert leave_share(Rate(3, 60.0), parse_leave("99.5%")) == Rate(1, 60.0)


@pytest.mark.parametrize("text", ["20", "100%", "-5%", "a fifth", "0.2", "150%", ""])
def test_what_is_no_share_is_refused_with_the_right_way_to_write_it(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_leave(text)
    assert "such as 20%" in refused.value.message


@pytest.mark.parametrize(
    ("calls", "used", "told"), [(1000, 100, True), (1000, 81, True), (1000, 80, False), (80, 100, False)]
)
def test_it_is_said_when_tills_on_the_key_would_be_refused(calls: int, used: int, told: bool) -> None:
    """More than 80 % of the limit, by a run that is long enough to take it."""
    sentence = tills_refused(calls, Rate(100, 60.0), Rate(used, 60.0))
    assert bool(sentence) is told
    assert not told or ("tills on this key would be refused" in sentence and "--leave" in sentence)
    assert not tills_refused(calls, None, None)


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
