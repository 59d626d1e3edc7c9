"""A paused run: nothing begins, what is under way finishes, no budget is used up, and a release is no burst."""

from __future__ import annotations

import asyncio

import pytest

from runner.core.pacing import Rate
from runner.core.steering import Paused
from runner.engine import Stop, StopKind
from runner.holding import Hold
from tests.engine.world import OTHER, SERIES, Fault, World, drive, line
from tests.fakes.virtual_clock import VirtualClock

ANN = Paused("ann", 5.0)


class Helm:
    """A run that is paused and let go on from outside."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.hold = world.hold = Hold(world.clock)
        self.task = asyncio.create_task(world.go())

    def pause(self) -> None:
        self.hold.hold(ANN)

    def release(self) -> None:
        self.hold.release()
        assert self.world.engine is not None
        self.world.engine.wake()


def test_nothing_begins_while_paused_and_what_is_under_way_finishes() -> None:
    """The calls under way are answered and settled; after the release the rest is issued, once."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(100)], seconds=2.0, concurrency=4)
        helm = Helm(world)
        await clock.sleep(5.0)
        helm.pause()
        assert world.engine is not None
        assert world.engine.under_way == 4
        begun = len(world.posts())
        await clock.sleep(900.0)
        assert len(world.posts()) == begun
        assert world.engine.under_way == 0
        assert len(world.ledger.settled) == begun
        beat = world.progress.beats[-1]
        assert (beat.state, beat.paused_by, beat.paused_since) == ("paused", "ann", 5.0)
        helm.release()
        assert await helm.task is None
        assert world.api.total_held() == len(world.posts()) == 100
        assert world.progress.beats[-1].paused_by == ""

    drive(scenario)


@pytest.mark.parametrize("paused_seconds", [0.0, 900.0])
def test_paused_time_does_not_use_up_the_budget_of_a_series(paused_seconds: float) -> None:
    """A queue that is empty for most of its budget, paused for longer than that, still has the rest of it."""

    async def scenario(clock: VirtualClock) -> None:
        full: list[bool] = []
        world = World(
            clock, [line(1), line(2)], lambda _: Fault.NONE if full else Fault.EMPTY_QUEUE, queue_budget_seconds=600.0
        )
        helm = Helm(world)
        await clock.sleep(500.0)
        if paused_seconds:
            helm.pause()
            probes = len(world.posts())
            await clock.sleep(paused_seconds)
            assert len(world.posts()) == probes
            helm.release()
        await clock.sleep(50.0)
        full.append(True)
        assert await helm.task is None
        assert world.api.total_held() == 2

    drive(scenario)


def test_paused_time_does_not_use_up_the_budget_of_an_api_out_of_reach() -> None:
    """Nothing is tried while the run is paused, and it does not give up because of that."""

    async def scenario(clock: VirtualClock) -> None:
        up: list[bool] = []
        gone = lambda _: Fault.NONE if up else Fault.NEVER_LEFT  # noqa: E731
        world = World(clock, [line(n) for n in range(9)], gone, reach_budget_seconds=600.0)
        helm = Helm(world)
        await clock.sleep(300.0)
        helm.pause()
        tried = len(world.posts())
        await clock.sleep(900.0)
        assert len(world.posts()) == tried
        helm.release()
        await clock.sleep(200.0)
        up.append(True)
        assert await helm.task is None
        assert world.api.total_held() == 9

    drive(scenario)


def test_a_release_is_no_burst() -> None:
    """After a pause of a quarter of an hour no window of a minute holds more than the pace allows."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(200)], rate=Rate(60, 60.0), concurrency=16)
        helm = Helm(world)
        await clock.sleep(60.0)
        helm.pause()
        paused = clock.now()
        await clock.sleep(900.0)
        helm.release()
        assert await helm.task is None
        began = sorted(post.began for post in world.posts())
        assert not [one for one in began if paused < one < paused + 900.0]
        assert max(sum(start <= one < start + 60.0 for one in began) for start in began) <= 60
        assert world.api.total_held() == 200

    drive(scenario)


def test_a_paused_run_can_be_stopped() -> None:
    """It ends at once, and what is left is not sent."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(50)], rate=Rate(60, 60.0))
        helm = Helm(world)
        await clock.sleep(10.0)
        helm.pause()
        await clock.sleep(10.0)
        assert world.engine is not None
        world.engine.stop(Stop(kind=StopKind.REQUESTED, message="enough"))
        stop = await asyncio.wait_for(helm.task, 1.0)
        assert stop is not None
        assert stop.message == "enough"
        assert 0 < len(world.posts()) < 50

    drive(scenario)


def test_another_pace_holds_within_two_seconds_also_for_who_waits_for_a_slower_one() -> None:
    """From one call an hour to a hundred a minute; no window holds more than the faster of the two."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(120)], rate=Rate(1, 3600.0))
        helm = Helm(world)
        await clock.sleep(600.0)
        before = len(world.posts())
        changed = clock.now()
        world.pace.change_rate(Rate(100, 60.0))
        helm.hold.release()
        assert await helm.task is None
        began = sorted(post.began for post in world.posts())
        assert before == 1
        assert began[1] - changed <= 2.0
        assert max(sum(start <= one < start + 60.0 for one in began) for start in began) <= 100
        assert clock.now() - changed < 90.0

    drive(scenario)


def test_a_beat_says_when_it_ends_and_what_decides_it() -> None:
    """The pace, while it does; then the budget of the series that waits; the forecast comes true."""

    async def scenario(clock: VirtualClock) -> None:
        lines = [line(n) for n in range(200)] + [line(n, OTHER) for n in range(5)]
        empty = lambda post: Fault.EMPTY_QUEUE if post.series == OTHER else Fault.NONE  # noqa: E731
        world = World(clock, lines, empty, rate=Rate(60, 60.0), queue_budget_seconds=100.0)
        began = clock.now()
        helm = Helm(world)
        await clock.sleep(60.0)
        beat = world.progress.beats[-1]
        assert beat.decided_by == "pace"
        assert beat.eta_seconds is not None
        promised = beat.eta_seconds + 60.0
        await helm.task
        assert clock.now() - began == pytest.approx(promised, rel=0.1)
        assert world.series_state(OTHER) == "exhausted"
        assert world.series_state(SERIES) != "exhausted"

    async def waiting(clock: VirtualClock) -> None:
        empty = lambda post: Fault.EMPTY_QUEUE if post.series == OTHER else Fault.NONE  # noqa: E731
        world = World(clock, [line(1), line(1, OTHER)], empty, queue_budget_seconds=1000.0)
        began = clock.now()
        helm = Helm(world)
        await clock.sleep(300.0)
        beat = world.progress.beats[-1]
        assert beat.decided_by == f"series {OTHER}"
        assert beat.eta_seconds == pytest.approx(700.0, abs=2.0)
        await helm.task
        assert clock.now() - began >= 1000.0

    drive(scenario)
    drive(waiting)
