"""Calls wait for their turns: first come, first served, at the pace of all processes that share the key."""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from runner.core.pacing import GUARD, PaceState, Rate
from runner.pace import OwnState, Pace
from tests.fakes.virtual_clock import VirtualClock, run_virtually

T = TypeVar("T")
RATE = Rate(100, 60.0)


class Shared(OwnState):
    """A state for several processes; the next `busy` changes find another one at it."""

    busy = 0

    def change(self, work: Callable[[PaceState], T]) -> tuple[T] | None:
        if self.busy:
            self.busy -= 1
            return None
        return super().change(work)


def most_in_a_window(times: list[float], window: float) -> int:
    """The largest number of times in any closed interval of the window's length."""
    ordered = sorted(times)
    return max(bisect.bisect_right(ordered, time + window) - index for index, time in enumerate(ordered))


async def call(pace: Pace, clock: VirtualClock, until: float, sent: list[float], *, seconds: float = 1.0) -> None:
    """One worker: it waits for its turn, and its call takes a while."""
    while True:
        turn = await pace.turn()
        if clock.now() >= until:
            return
        pace.sent(turn)
        sent.append(clock.now())
        await clock.sleep(seconds)


def work(
    clock: VirtualClock, paces: list[Pace], seconds: float, *, workers: int = 32, latency: float = 1.0
) -> tuple[Any, list[list[float]]]:
    """Every process with so many workers, for so long; when each one's calls went."""
    sent: list[list[float]] = [[] for _ in paces]
    until = clock.now() + seconds
    tasks = [
        call(pace, clock, until, times, seconds=latency) for pace, times in zip(paces, sent, strict=True)
        for _ in range(workers)
    ]  # fmt: skip
    return asyncio.gather(*tasks), sent


@pytest.mark.parametrize("rate", [RATE, Rate(60, 6.0), Rate(250, 10.0), Rate(20, 1.0), Rate(300, 1.0)])
def test_at_least_98_percent_of_the_limit_is_used_and_no_window_is_above_it(rate: Rate) -> None:
    """Many workers whose calls take a second, for ten windows."""

    async def scenario(clock: VirtualClock) -> None:
        latency = min(1.0, 16 * rate.window_seconds / rate.calls)
        done, (sent,) = work(clock, [Pace(rate, clock)], 10 * rate.window_seconds, latency=latency)
        await done
        assert len(sent) >= 0.98 * 10 * rate.calls
        assert most_in_a_window(sent, rate.window_seconds) <= rate.calls

    run_virtually(scenario)


@pytest.mark.parametrize("rate", [RATE, Rate(250, 10.0), Rate(300, 1.0)])
def test_two_processes_on_one_key_use_it_as_one_does(rate: Rate) -> None:
    """At least 98 % together, no window above the limit, and no process goes short."""

    async def scenario(clock: VirtualClock) -> None:
        store = Shared()
        paces = [Pace(rate, clock, store=store, name=name) for name in ("a", "b")]
        done, sent = work(clock, paces, 10 * rate.window_seconds, latency=16 * rate.window_seconds / rate.calls)
        await done
        together = sent[0] + sent[1]
        assert len(together) >= 0.98 * 10 * rate.calls
        assert most_in_a_window(together, rate.window_seconds) <= rate.calls
        assert min(map(len, sent)) >= 0.4 * len(together)

    run_virtually(scenario)


def test_a_process_that_comes_back_after_it_was_killed_keeps_the_distance_of_the_one_before() -> None:
    """What the killed one had sent counts for whoever comes next, without a word from it."""

    async def scenario(clock: VirtualClock) -> None:
        store, sent = Shared(), list[float]()
        for name in ("killed", "resumed"):
            pace = Pace(RATE, clock, store=store, name=name)
            tasks = [asyncio.create_task(call(pace, clock, 1e9, sent)) for _ in range(16)]
            await clock.sleep(45.2)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert most_in_a_window(sent, 60.0) <= 100
        assert len(sent) >= 0.98 * 90.4 * 100 / 60

    run_virtually(scenario)


def test_turns_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    """Nobody who waits is overtaken within a process."""

    async def scenario(clock: VirtualClock) -> None:
        pace, order = Pace(RATE, clock), list[int]()

        async def one(number: int) -> None:
            await pace.turn()
            order.append(number)

        await asyncio.gather(*(one(number) for number in range(20)))
        assert order == list(range(20))

    run_virtually(scenario)


def test_whoever_gives_up_waiting_takes_no_turn_from_the_others() -> None:
    """Nine of ten are cancelled; the last one goes a gap after the first."""

    async def scenario(clock: VirtualClock) -> None:
        pace = Pace(RATE, clock)
        await pace.turn()
        began = clock.now()
        tasks = [asyncio.create_task(pace.turn()) for _ in range(10)]
        await clock.sleep(0.1)
        for task in tasks[:9]:
            task.cancel()
        await tasks[9]
        assert clock.now() - began <= 60 * (1 + GUARD) / 100 + 0.001

    run_virtually(scenario)


def test_without_a_rate_no_turn_waits_and_the_store_is_left_alone() -> None:
    """A thousand turns in one moment."""

    async def scenario(clock: VirtualClock) -> None:
        pace, began = Pace(None, clock), clock.now()
        for _ in range(1000):
            pace.sent(await pace.turn())
        assert clock.now() == began
        assert pace.calls_per_second is None

    run_virtually(scenario)


def test_without_a_rate_a_throttle_teaches_one() -> None:
    """From then on turns are spread."""

    async def scenario(clock: VirtualClock) -> None:
        pace = Pace(None, clock)
        for _ in range(40):
            await pace.turn()
            await clock.sleep(0.05)
        pace.throttled(clock.now(), 2.0)
        began = clock.now()
        await pace.turn()
        assert clock.now() - began >= 2.0
        assert pace.calls_per_second == pytest.approx(10.0, rel=0.1)

    run_virtually(scenario)


def test_a_throttle_learnt_by_one_process_holds_the_others_back() -> None:
    """Retry-After of ten seconds, said to one: the other waits as well, even for a slot that it had waited for."""

    async def scenario(clock: VirtualClock) -> None:
        store = Shared()
        one, other = (Pace(RATE, clock, store=store, name=name) for name in ("one", "other"))
        await one.turn()
        waiting = asyncio.create_task(other.turn())
        await clock.sleep(0.1)
        began = clock.now()
        one.throttled(began, 10.0)
        await waiting
        assert clock.now() - began >= 10.0
        assert other.calls_per_second == pytest.approx(100 / 60 / (1 + GUARD) / 2, rel=0.1)

    run_virtually(scenario)


def test_a_turn_that_was_nearly_there_waits_for_the_end_of_a_throttle_too() -> None:
    """The slot was taken already, a few milliseconds ahead."""

    async def scenario(clock: VirtualClock) -> None:
        pace = Pace(RATE, clock)
        await pace.turn()
        await clock.sleep(60 * (1 + GUARD) / 100 - 0.015)
        waiting = asyncio.create_task(pace.turn())
        await clock.sleep(0.005)
        began = clock.now()
        pace.throttled(began, 10.0)
        await waiting
        assert clock.now() - began >= 10.0

    run_virtually(scenario)


def test_what_cannot_be_said_while_another_process_is_at_it_is_said_with_the_next_turn() -> None:
    """A throttle is never forgotten."""

    async def scenario(clock: VirtualClock) -> None:
        store = Shared()
        pace = Pace(RATE, clock, store=store, name="one")
        await pace.turn()
        store.busy = 3
        pace.throttled(clock.now(), 30.0)
        assert store.state.blocked_until < clock.now()
        began = clock.now()
        await pace.turn()
        assert clock.now() - began >= 30.0

    run_virtually(scenario)


def test_two_limits_on_one_key_are_told_and_the_lower_one_holds() -> None:
    """Said once by each, with both limits; and again when it is over."""

    async def scenario(clock: VirtualClock) -> None:
        store, said_fast, said_slow = Shared(), list[str](), list[str]()
        fast = Pace(RATE, clock, store=store, name="fast", say=said_fast.append)
        slow = Pace(Rate(50, 60.0), clock, store=store, name="slow", say=said_slow.append)
        await fast.turn()
        for _ in range(3):
            await slow.turn()
            await fast.turn()
        assert (len(said_fast), len(said_slow)) == (1, 1)
        assert all("50/m" in said[0] and "100/m" in said[0] for said in (said_fast, said_slow))
        assert "the lower one holds for both, 50/m" in said_fast[0]
        began = clock.now()
        for _ in range(10):
            await fast.turn()
        assert clock.now() - began >= 9 * 60 / 50
        slow.close()
        await fast.turn()
        assert said_fast[1:] == ["no other process uses this key at another pace any more: 100/m holds"]

    run_virtually(scenario)


def test_what_is_left_to_others_is_left_after_a_change_of_rate_too() -> None:
    """A fifth of 100 a minute, then a fifth of 50."""

    async def scenario(clock: VirtualClock) -> None:
        pace = Pace(RATE, clock, leave=0.2)
        assert pace.rate == Rate(80, 60.0)
        pace.change_rate(Rate(50, 60.0))
        assert pace.rate == Rate(40, 60.0)
        done, (sent,) = work(clock, [pace], 60.0)
        await done
        assert 39 <= len(sent) <= 40

    run_virtually(scenario)


def test_a_call_that_leaves_late_keeps_the_next_ones_away() -> None:
    """Ten calls are held up for five seconds each (a slow disk): still no window above the limit."""

    async def scenario(clock: VirtualClock) -> None:
        pace, sent = Pace(RATE, clock), list[float]()

        async def one(number: int) -> None:
            turn = await pace.turn()
            if number % 30 == 10:
                await clock.sleep(5.0)
            pace.sent(turn)
            sent.append(clock.now())

        await asyncio.gather(*(one(number) for number in range(300)))
        assert most_in_a_window(sent, 60.0) <= 100

    run_virtually(scenario)


def test_a_call_that_had_to_wait_for_its_connection_is_known_to_be_late_afterwards() -> None:
    """Its exchange tells when it left: the call a limit behind it keeps its distance from that moment."""

    async def scenario(clock: VirtualClock) -> None:
        pace = Pace(Rate(3, 6.0), clock)
        first = await pace.turn()
        began = clock.now()
        pace.sent(first)
        await clock.sleep(1.5)  # answered only now
        pace.sent(first, at=began + 1.0)
        for _ in range(3):
            pace.sent(await pace.turn())
        assert clock.now() > began + 1.0 + 6.0

    run_virtually(scenario)


def test_what_throttling_taught_is_told_at_the_end() -> None:
    """How often, after how many calls, and which rate would spare it; nothing when there was none."""

    async def scenario(clock: VirtualClock) -> None:
        pace = Pace(RATE, clock)
        assert pace.throttling_told() is None
        for _ in range(61):
            await pace.turn()
        pace.throttled(clock.now())
        told = pace.throttling_told()
        assert told is not None
        assert told.startswith("the API throttled once (429), last after about 60/m")
        assert "--rate 60/m" in told

    run_virtually(scenario)


def test_one_pace_serves_several_event_loops_one_after_another() -> None:
    """A command may settle first and issue then."""
    pace = Pace(Rate(1000, 1.0), _Still())
    for _ in range(2):
        asyncio.run(_all_of(pace))


def test_whoever_waits_for_a_turn_goes_on_within_two_seconds_of_a_faster_pace() -> None:
    """Also without any limit from then on, and with a state that others share."""

    async def scenario(clock: VirtualClock) -> None:
        for rate in (RATE, None):
            pace = Pace(Rate(1, 3600.0), clock, store=Shared())
            await pace.turn()
            waiting = asyncio.create_task(pace.turn())
            await clock.sleep(60.0)
            assert not waiting.done()
            pace.change_rate(rate)
            began = clock.now()
            await waiting
            assert clock.now() - began <= 2.0

    run_virtually(scenario)


def test_a_limit_that_is_lifted_leaves_no_turn_that_is_over_before_it_is_used() -> None:
    """With a state that others share, on a clock that runs on between two looks."""

    async def scenario(_: VirtualClock) -> None:
        clock = _Running()
        pace = Pace(RATE, clock, store=Shared())
        pace.change_rate(None)
        clock.looks = 0
        for _turn in range(100):
            await pace.turn()
        assert clock.looks < 1000

    run_virtually(scenario)


async def _all_of(pace: Pace) -> None:
    await asyncio.gather(*(pace.turn() for _ in range(20)))


class _Still:
    """A clock of which no time is left over by waiting."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += max(0.0, seconds)
        await asyncio.sleep(0)

    def chance(self) -> float:
        return 0.5


class _Running(_Still):
    """A clock that runs on by ten microseconds with each look; nobody may look without end."""

    looks = 0

    def now(self) -> float:
        self.time += 1e-5
        self.looks += 1
        assert self.looks < 10_000, "it asks without end"
        return self.time
