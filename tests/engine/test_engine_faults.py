"""Faults of the machine and of the whole API, on virtual time: sleep, clocks that are set, nothing but lost answers."""

from __future__ import annotations

import pytest

from runner.core.model import Exchange
from runner.engine import EXIT_OF_STOP, StopKind
from runner.waiting import slept_seconds
from tests.engine.world import Fault, World, drive, line
from tests.fakes.scripted_api import Posted
from tests.fakes.virtual_clock import VirtualClock

HOURS = 3600.0


def test_a_machine_that_slept_says_so_and_settles_what_it_lost_before_anything_goes() -> None:
    """Seven hours with twelve calls under way: pause, a read, one call alone, settle, go on. Nothing is asked twice."""

    async def scenario(clock: VirtualClock) -> None:
        asleep = {"at": float("inf"), "settled": 0.0}

        def answer(post: Posted) -> Fault:
            number = len(world.api.posts)  # the first alone, then twelve at a time
            if number == 48:
                asleep["at"] = clock.now()
                clock.step_wall(7 * HOURS)
            return Fault.COMMIT_THEN_TIMEOUT if 37 <= number <= 48 else Fault.NONE

        def seconds(post: Posted) -> float:
            return 30.0 if post.fault is Fault.COMMIT_THEN_TIMEOUT else 0.05

        async def settle() -> str:
            await clock.sleep(3.0)
            asleep["settled"] = clock.now()
            assert world.engine is not None
            assert world.engine.snapshot().in_flight == 0
            return "12 calls in doubt read: 12 issued"

        world = World(clock, [line(n) for n in range(100)], answer, seconds=seconds, concurrency=12)
        world.settle = settle
        assert await world.go() is None
        lost = [post for post in world.posts() if post.fault is Fault.COMMIT_THEN_TIMEOUT]
        assert len(lost) == 12
        said = world.progress.said
        assert said[0].startswith("slept 7 h: pausing")
        assert said[1:] == [
            "the API answers again: 12 calls in doubt, settling",
            "12 calls in doubt read: 12 issued",
            "the API answers again: going on",
        ]
        went = [post.began for post in world.posts() if asleep["at"] < post.began < asleep["settled"]]
        assert len(went) == 1
        assert world.api.reads
        assert sum(order.held for order in world.ledger.orders.values()) == 12
        assert world.api.total_held() == 100
        world.check()

    drive(scenario)


def test_a_machine_that_slept_between_two_calls_asks_nothing_twice_and_goes_on() -> None:
    """No call was under way: one read, and on."""

    async def scenario(clock: VirtualClock) -> None:
        def answer(_: Posted) -> Fault:
            if len(world.api.posts) == 5:
                clock.step_wall(100.0)
            return Fault.NONE

        world = World(clock, [line(n) for n in range(40)], answer, concurrency=1)
        assert await world.go() is None
        assert [message[:12] for message in world.progress.said] == ["slept 1 min ", "the API answ"]
        assert len(world.posts()) == world.api.total_held() == 40

    drive(scenario)


@pytest.mark.parametrize("seconds", [-2 * HOURS, -30.0, 45.0])
def test_a_clock_that_is_set_changes_nothing(seconds: float) -> None:
    """Back by hours, or forward by less than a minute: no pause, no wait, no call more or less."""

    async def scenario(clock: VirtualClock) -> None:
        def answer(_: Posted) -> Fault:
            if len(world.api.posts) == 10:
                clock.step_wall(seconds)
            return Fault.NONE

        began = clock.now()
        world = World(clock, [line(n) for n in range(200)], answer, concurrency=4)
        assert await world.go() is None
        assert world.progress.said == []
        assert world.api.reads == []
        assert len(world.posts()) == world.api.total_held() == 200
        assert clock.now() - began < 5

    drive(scenario)


@pytest.mark.parametrize(
    ("monotonic", "wall", "slept"),
    [
        (0.5, 0.5, 0.0),
        (0.5, 7 * HOURS + 0.5, 7 * HOURS),  # asleep
        (900.5, 900.5, 900.0),  # stopped and continued
        (0.5, -HOURS, 0.0),  # set back
        (30.0, 30.0, 0.0),  # a busy machine
        (120.5, -HOURS, 120.0),  # stopped, and set back meanwhile
    ],
)
def test_sleep_is_what_either_clock_missed(monotonic: float, wall: float, slept: float) -> None:
    """Beyond the half second between two beats, and beyond a minute."""
    assert slept_seconds((1000.0, 5e8), (1000.0 + monotonic, 5e8 + wall), 0.5) == pytest.approx(slept)


def test_an_api_that_loses_every_answer_but_reads_well_stops_the_run_with_few_doubts() -> None:
    """20 in a row, then one call at a time and ever more slowly for the budget: exit 4, since each is a new doubt."""

    async def scenario(clock: VirtualClock) -> None:
        began = clock.now()
        world = World(clock, [line(n) for n in range(500)], lambda _: Fault.GATEWAY_504, reach_budget_seconds=600.0)
        stop = await world.go()
        assert stop is not None
        assert (stop.kind, EXIT_OF_STOP[stop.kind]) == (StopKind.GUARD, 4)
        assert "though it answers reads (--max-in-doubt)" in stop.message
        assert 600 <= clock.now() - began <= 660
        assert 20 <= len(world.posts()) <= 60
        assert world.most_at_once(world.posts()[30:]) == 1
        assert len(world.posts()) == len({post.key for post in world.posts()})
        world.check()

    drive(scenario)


def test_an_api_that_answers_nothing_at_all_stops_the_run_with_exit_6() -> None:
    """Calls and reads alike come back as 503: no call goes while reads do not answer."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(500)], lambda _: Fault.GATEWAY_504, reach_budget_seconds=600.0)

        async def unavailable(series):
            return Exchange(left=True, status=503, body=b"<html>", complete=True)

        world.api.read_series = unavailable  # type: ignore[method-assign]  # a fake bent for this test
        stop = await world.go()
        assert stop is not None
        assert (stop.kind, EXIT_OF_STOP[stop.kind]) == (StopKind.UNREACHABLE, 6)
        assert "does not answer reads either" in stop.message
        assert 20 <= len(world.posts()) < 20 + 4
        world.check()

    drive(scenario)


def test_an_api_that_lost_every_answer_for_three_minutes_is_gone_on_with() -> None:
    """The calls that tried again are few; all that is not in doubt is issued, and the doubts were settled first."""

    async def scenario(clock: VirtualClock) -> None:
        began = clock.now()
        told: list[float] = []

        async def settle() -> str:
            told.append(clock.now())
            return "read"

        def answer(post: Posted) -> Fault:
            return Fault.COMMIT_THEN_504 if 1 < clock.now() - began < 181 else Fault.NONE

        world = World(clock, [line(n) for n in range(300)], answer, concurrency=4)
        world.settle = settle
        assert await world.go() is None
        lost = [post for post in world.posts() if post.fault is Fault.COMMIT_THEN_504]
        assert 20 <= len(lost) <= 20 + 4 + 12
        assert len(told) == 1
        assert [post for post in world.posts() if post.began > told[0]]
        assert sum(order.held for order in world.ledger.orders.values()) == len(lost)
        assert world.api.total_held() == len(world.posts()) == 300
        world.check()

    drive(scenario)


def test_more_than_one_doubt_in_a_hundred_pauses_the_run_although_they_do_not_come_in_a_row() -> None:
    """Three of two hundred: a read and one call alone, then on; the count starts anew."""

    async def scenario(clock: VirtualClock) -> None:
        lost = {50, 100, 150, 260}

        def answer(_: Posted) -> Fault:
            return Fault.COMMIT_THEN_LOST if len(world.api.posts) in lost else Fault.NONE

        world = World(clock, [line(n) for n in range(420)], answer, concurrency=1)
        assert await world.go() is None
        assert world.progress.said[0].startswith("4 of the last 261 answers were lost: pausing")
        assert len(world.api.reads) == 1
        assert len(world.posts()) == world.api.total_held() == 420

    drive(scenario)
