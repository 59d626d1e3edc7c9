"""Trying again by rules: first a wait, then an attempt, until it is settled or given up; all on the clock's time."""

from __future__ import annotations

import pytest

from runner import retrying
from tests.fakes.virtual_clock import VirtualClock, run_virtually


class Attempts:
    """Gives the results in turn, and notes when it was asked."""

    def __init__(self, clock: VirtualClock, *results: str) -> None:
        self.clock = clock
        self.results = list(results)
        self.times: list[float] = []

    async def __call__(self) -> str:
        self.times.append(self.clock.now())
        return self.results.pop(0)


def test_the_result_that_led_here_is_the_first_attempt() -> None:
    """Nothing is tried before the first wait; the waits are those of the rule."""

    async def scenario(clock: VirtualClock) -> None:
        began = clock.now()
        attempt = Attempts(clock, "busy", "busy", "free")
        asked: list[tuple[int, float]] = []

        def wait(attempts: int, seconds: float) -> float:
            asked.append((attempts, seconds))
            return 10.0 * attempts

        outcome = await retrying.until(
            attempt,
            first="busy",
            settled=lambda result: result == "free",
            wait_seconds=wait,
            give_up=lambda *_: False,
            clock=clock,
        )
        assert outcome == (True, "free")
        assert [time - began for time in attempt.times] == [10, 30, 60]
        assert asked == [(1, 0.0), (2, 10.0), (3, 30.0)]

    run_virtually(scenario)


@pytest.mark.parametrize(("most", "times"), [(1, 0), (2, 1), (6, 5)])
def test_giving_up_gives_back_the_last_result(most: int, times: int) -> None:
    """After so many attempts, the first one counted; with no wait after the last."""

    async def scenario(clock: VirtualClock) -> None:
        began = clock.now()
        attempt = Attempts(clock, *(f"busy {n}" for n in range(2, 9)))
        outcome = await retrying.until(
            attempt,
            first="busy 1",
            settled=lambda result: result == "free",
            wait_seconds=lambda *_: 7.0,
            give_up=lambda attempts, _: attempts >= most,
            clock=clock,
        )
        assert outcome == (False, f"busy {most}")
        assert len(attempt.times) == times
        assert clock.now() - began == 7.0 * times

    run_virtually(scenario)


def test_giving_up_by_time_counts_from_the_beginning() -> None:
    """A budget of a minute, a try every 25 seconds: the third try is the first after it."""

    async def scenario(clock: VirtualClock) -> None:
        attempt = Attempts(clock, *("busy" for _ in range(9)))
        settled, _ = await retrying.until(
            attempt,
            first="busy",
            settled=lambda result: result == "free",
            wait_seconds=lambda *_: 25.0,
            give_up=lambda _, seconds: seconds >= 60.0,
            clock=clock,
        )
        assert not settled
        assert len(attempt.times) == 3

    run_virtually(scenario)


def test_a_first_result_that_is_settled_needs_no_attempt() -> None:
    """And no wait."""

    async def scenario(clock: VirtualClock) -> None:
        began = clock.now()
        attempt = Attempts(clock)
        outcome = await retrying.until(
            attempt,
            first="free",
            settled=lambda result: result == "free",
            wait_seconds=lambda *_: 7.0,
            give_up=lambda *_: True,
            clock=clock,
        )
        assert outcome == (True, "free")
        assert clock.now() == began

    run_virtually(scenario)


def test_an_exception_of_an_attempt_is_not_tried_again() -> None:
    """It is a mistake or a failed ledger, not an answer."""

    async def scenario(clock: VirtualClock) -> None:
        calls = []

        async def broken() -> str:
            calls.append(1)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await retrying.until(
                broken,
                first="busy",
                settled=lambda result: result == "free",
                wait_seconds=lambda *_: 1.0,
                give_up=lambda *_: False,
                clock=clock,
            )
        assert calls == [1]

    run_virtually(scenario)
