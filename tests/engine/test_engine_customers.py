"""A customer whom another action keeps busy (521).

She waits, nobody else does, and after six rounds her row is given up.
"""

from __future__ import annotations

from itertools import pairwise

from tests.engine.world import OTHER, SERIES, Fault, World, drive, line, mobile
from tests.fakes.scripted_api import Posted
from tests.fakes.virtual_clock import VirtualClock


def _busy(*numbers: int):
    """A script: these customers are busy for ever."""
    names = {f"mobile:{mobile(n)}" for n in numbers}
    return lambda post: Fault.LOCKED if post.customer in names else Fault.NONE


def test_a_busy_customer_waits_alone_and_is_given_up_after_six_rounds() -> None:
    """1, 2, 4, 8 and 16 seconds between her calls; the others are done in the first second."""

    async def scenario(clock: VirtualClock) -> None:
        began = clock.now()
        world = World(clock, [line(n) for n in range(40)], _busy(7))
        assert await world.go() is None
        posts = world.posts(7)
        assert len(posts) == 6
        gaps = [later.began - earlier.began for earlier, later in pairwise(posts)]
        assert all(0.9 * 2**n <= gap <= 1.1 * 2**n + 1 for n, gap in enumerate(gaps))
        assert world.closed(7) == "521"
        assert all(world.held(n) == 1 for n in range(40) if n != 7)
        assert max(post.ended or 0.0 for post in world.posts() if post not in posts) < began + 2

    drive(scenario)


def test_a_customer_who_is_free_again_is_issued() -> None:
    """Three busy answers, then coupons."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(1), line(2)], [Fault.NONE, Fault.LOCKED, Fault.LOCKED, Fault.LOCKED])
        assert await world.go() is None
        assert world.held(1) == world.held(2) == 1
        assert len(world.posts()) == 5

    drive(scenario)


def test_many_busy_customers_do_not_hold_up_the_others() -> None:
    """A hundred of them, many times the number of workers, stand first in the file."""

    async def scenario(clock: VirtualClock) -> None:
        began = clock.now()
        world = World(clock, [line(n) for n in range(200)], _busy(*range(1, 101)), concurrency=2)
        assert await world.go() is None
        others = [post for post in world.posts() if post.fault is Fault.NONE]
        assert len(others) == 100
        assert max(post.ended or 0.0 for post in others) < began + 30
        assert len(world.posts()) == 700

    drive(scenario)


def test_six_rounds_are_six_even_when_nothing_else_is_known_of_the_series() -> None:
    """Every customer of an untested series is busy: it takes one call at a time, and ends."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(12)], _busy(*range(12)))
        assert await world.go() is None
        assert [len(world.posts(n)) for n in range(12)] == [6] * 12
        assert world.most_at_once() == 1

    drive(scenario)


def test_a_round_that_comes_due_in_a_parked_series_waits_for_the_series() -> None:
    """No second probe, and the rounds so far are remembered."""

    async def scenario(clock: VirtualClock) -> None:
        began = clock.now()

        def answer(post: Posted) -> Fault:
            if post.customer.endswith(mobile(1)):
                return Fault.LOCKED
            return Fault.EMPTY_QUEUE if began + 0.5 < clock.now() < began + 100 else Fault.NONE

        world = World(clock, [line(n) for n in range(60)], answer, seconds=lambda _: 0.2, concurrency=3)
        assert await world.go() is None
        parked = [post for post in world.posts() if began + 1.5 < post.began < began + 100]
        assert world.most_at_once(parked) == 1
        assert len(world.posts(1)) == 6
        assert world.closed(1) == "521"

    drive(scenario)


def test_a_round_that_comes_due_after_the_series_closed_sends_nothing() -> None:
    """The order stays as it is, and the run ends."""

    async def scenario(clock: VirtualClock) -> None:
        closing = Fault.SERIES_REFUSED
        lines = [line(1), line(2), line(3), line(1, OTHER)]
        script = {mobile(2): Fault.LOCKED, mobile(3): closing}

        def answer(post: Posted) -> Fault:
            return script.get(post.customer.removeprefix("mobile:"), Fault.NONE)

        world = World(clock, lines, answer)
        assert await world.go() is None
        assert len(world.posts(2)) == 1
        assert world.closed(2) is None
        assert world.series_state(SERIES) == "closed"

    drive(scenario)
