"""The clock that the engine's tests rely on keeps time as asyncio does, without waiting."""

from __future__ import annotations

import asyncio
import time

import pytest

from runner.adapters.clock import SystemClock
from runner.ports import Clock
from tests.fakes.virtual_clock import WALL_START, NothingDue, VirtualClock, run_virtually


def test_both_clocks_are_clocks() -> None:
    """Type-checked: each can stand where the port is asked for."""
    clocks: list[Clock] = [SystemClock(), VirtualClock()]
    assert len(clocks) == 2


def test_hours_pass_in_no_time_and_in_order() -> None:
    """Whoever sleeps shorter wakes first, each at exactly its moment, and no real time passes."""

    async def scenario(clock: VirtualClock) -> list[tuple[str, float]]:
        woken: list[tuple[str, float]] = []
        start = clock.now()

        async def sleeper(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append((name, clock.now() - start))

        await asyncio.gather(sleeper("night", 36_000.1), sleeper("soon", 0.3), sleeper("hour", 3600), sleeper("now", 0))
        return woken

    began = time.monotonic()
    assert run_virtually(scenario) == [
        ("now", 0.0),
        ("soon", pytest.approx(0.3)),
        ("hour", 3600.0),
        ("night", pytest.approx(36_000.1)),
    ]
    assert time.monotonic() - began < 5


def test_code_that_is_ready_runs_before_time_moves() -> None:
    """A thousand steps of a busy task take no virtual time."""

    async def scenario(clock: VirtualClock) -> float:
        start = clock.now()
        for _ in range(1000):
            await asyncio.sleep(0)
        return clock.now() - start

    assert run_virtually(scenario) == 0.0


def test_timeouts_of_asyncio_end_at_their_virtual_moment() -> None:
    """`asyncio.timeout` and `asyncio.wait` run on the same time."""

    async def scenario(clock: VirtualClock) -> float:
        start = clock.now()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.Event().wait()
        await asyncio.wait([asyncio.create_task(clock.sleep(100))], timeout=30)
        return clock.now() - start

    assert run_virtually(scenario) == 90.0


def test_a_wait_that_nobody_can_end_fails_instead_of_hanging() -> None:
    """A lost wake-up shows as a red test, at once."""

    async def scenario(_clock: VirtualClock) -> None:
        await asyncio.Event().wait()

    with pytest.raises(NothingDue):
        run_virtually(scenario)


def test_time_stands_still_while_a_thread_works() -> None:
    """A ledger that writes in a thread is not overtaken by timers."""

    async def scenario(clock: VirtualClock) -> float:
        start = clock.now()
        timer = asyncio.create_task(clock.sleep(0.001))
        await asyncio.to_thread(lambda: sum(range(200_000)))
        took = clock.now() - start
        await timer
        return took

    assert run_virtually(scenario) == 0.0


def test_wall_time_runs_along_and_can_be_set_back() -> None:
    """Setting the wall clock back moves no monotonic time."""

    async def scenario(clock: VirtualClock) -> None:
        assert clock.wall() == WALL_START
        await clock.sleep(10)
        assert clock.wall() == WALL_START + 10
        before = clock.now()
        clock.step_wall(-3600)
        assert clock.wall() == WALL_START - 3590
        assert clock.now() == before

    run_virtually(scenario)


def test_chance_repeats_by_its_seed() -> None:
    """The same seed draws the same numbers, another one others, all within [0, 1)."""
    first, again, other = VirtualClock(7), VirtualClock(7), VirtualClock(8)
    drawn = [first.chance() for _ in range(5)]
    assert drawn == [again.chance() for _ in range(5)]
    assert drawn != [other.chance() for _ in range(5)]
    assert all(0 <= number < 1 for number in drawn)


async def test_the_real_clock_moves_forward_and_never_sleeps_a_negative_time() -> None:
    """A pause whose end has passed already ends at once."""
    clock = SystemClock()
    before = clock.now()
    await clock.sleep(-5)
    assert before <= clock.now() < before + 5
    assert abs(clock.wall() - time.time()) < 60
    assert 0 <= clock.chance() < 1
