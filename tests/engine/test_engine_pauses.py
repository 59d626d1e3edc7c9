"""What concerns the whole run: too fast, out of reach, answers lost in a row, a token that ended."""

from __future__ import annotations

import pytest

from runner.core.model import Exchange
from runner.core.pacing import Rate
from runner.engine import EXIT_OF_STOP, StopKind
from tests.engine.world import OTHER, SERIES, Fault, World, drive, line
from tests.fakes.scripted_api import Posted
from tests.fakes.virtual_clock import VirtualClock


def test_too_fast_slows_everything_and_waits_as_long_as_the_api_says() -> None:
    """429 with Retry-After: nothing is sent before that time, and more slowly after it; all is issued in the end."""

    async def scenario(clock: VirtualClock) -> None:
        lines = [line(n, series) for n in range(60) for series in (SERIES, OTHER)]
        world = World(clock, lines, [Fault.NONE] * 40 + [Fault.THROTTLED], concurrency=8)
        assert await world.go() is None
        (throttled,) = [post for post in world.posts() if post.fault is Fault.THROTTLED]
        assert throttled.ended is not None
        before = [post for post in world.posts() if post.began <= throttled.ended]  # begun in that very moment
        after = [post for post in world.posts() if post.began > throttled.ended]
        assert min(post.began for post in after) >= throttled.ended + 1
        fast = len(before) / (throttled.ended - before[0].began)
        slow = len(after[:20]) / (after[20].began - after[0].began)
        assert slow < 0.7 * fast
        assert world.api.total_held() == 120

    drive(scenario)


def test_the_rate_holds_for_every_call() -> None:
    """100 a minute: no minute has more, probes and rounds included."""

    async def scenario(clock: VirtualClock) -> None:
        faults = [Fault.NONE, Fault.EMPTY_QUEUE, Fault.LOCKED, Fault.NONE, Fault.NEVER_LEFT] * 20
        lines = [line(n) for n in range(300)]
        world = World(clock, lines, faults, rate=Rate(100, 60.0), concurrency=8, customer_rounds=50)
        assert await world.go() is None
        times = [post.began for post in world.posts()]
        assert max(sum(1 for t in times if start <= t < start + 60) for start in times) <= 100
        assert world.api.total_held() == 300

    drive(scenario)


def test_an_api_that_only_throttles_stops_the_run_when_the_budget_is_over() -> None:
    """What is left can be sent again as it is."""

    async def scenario(clock: VirtualClock) -> None:
        began = clock.now()
        world = World(clock, [line(1), line(2)], lambda _: Fault.THROTTLED, throttle_budget_seconds=300.0)
        stop = await world.go()
        assert stop is not None
        assert stop.kind is StopKind.THROTTLED
        assert EXIT_OF_STOP[stop.kind] == 75
        assert 300 <= clock.now() - began <= 900
        assert all(order.closed is None and order.held == 0 for order in world.ledger.orders.values())

    drive(scenario)


def test_an_answer_to_a_call_ends_a_spell_of_throttling_even_without_a_coupon() -> None:
    """Throttled now and again in an hour, with customers refused in between: no budget is over."""

    async def scenario(clock: VirtualClock) -> None:
        script = [Fault.THROTTLED, Fault.ROW_REFUSED, Fault.THROTTLED, Fault.NONE]
        world = World(clock, [line(1), line(2)], script, seconds=500.0, concurrency=1, throttle_budget_seconds=600.0)
        assert await world.go() is None
        assert world.closed(1) == "701"
        assert world.held(2) == 1

    drive(scenario)


def test_nothing_ever_left_pauses_the_run_with_one_probe() -> None:
    """The network is gone for five minutes: one call at a time finds out, then all go on."""

    async def scenario(clock: VirtualClock) -> None:
        down: dict[str, float] = {}

        def answer(post: Posted) -> Fault:
            if len(world.api.posts) == 20:
                down["from"] = clock.now()
            gone = bool(down) and clock.now() < down["from"] + 300
            return Fault.NEVER_LEFT if gone else Fault.NONE

        lines = [line(n, series) for n in range(30) for series in (SERIES, OTHER)]
        world = World(clock, lines, answer, concurrency=8)
        assert await world.go() is None
        lost = [post for post in world.posts() if post.fault is Fault.NEVER_LEFT]
        probes = [post for post in lost if post.began > down["from"] + 0.5]
        assert len(lost) - len(probes) <= 8
        assert 8 <= len(probes) <= 16
        assert world.most_at_once(probes) == 1
        assert world.api.total_held() == 60
        assert all(order.held == 0 for order in world.ledger.orders.values())
        assert clock.now() < down["from"] + 340
        assert "pausing" in {beat.state for beat in world.progress.beats}

    drive(scenario)


def test_an_api_out_of_reach_for_the_whole_budget_stops_the_run() -> None:
    """Nothing is in doubt and nothing refused; exit 6."""

    async def scenario(clock: VirtualClock) -> None:
        began = clock.now()
        world = World(clock, [line(n) for n in range(20)], lambda _: Fault.NEVER_LEFT, reach_budget_seconds=600.0)
        stop = await world.go()
        assert stop is not None
        assert stop.kind is StopKind.UNREACHABLE
        assert EXIT_OF_STOP[stop.kind] == 6
        assert 600 <= clock.now() - began <= 640
        assert world.most_at_once() == 1
        assert all(order.closed is None and order.held == 0 for order in world.ledger.orders.values())

    drive(scenario)


def test_an_api_out_of_reach_stops_the_run_also_when_all_that_is_left_is_parked() -> None:
    """A probe of the dry series serves as the probe of the run; its own budget is not what ends it."""

    async def scenario(clock: VirtualClock) -> None:
        began = clock.now()
        faults = lambda post: Fault.EMPTY_QUEUE if clock.now() < began + 20 else Fault.NEVER_LEFT  # noqa: E731
        world = World(clock, [line(n) for n in range(20)], faults, reach_budget_seconds=600.0)
        stop = await world.go()
        assert stop is not None
        assert stop.kind is StopKind.UNREACHABLE
        assert clock.now() - began < 900

    drive(scenario)


def test_a_customers_round_finds_out_that_the_api_is_in_reach_again() -> None:
    """The only order left waits for its busy customer when the network goes."""

    async def scenario(clock: VirtualClock) -> None:
        faults = [Fault.NONE, Fault.LOCKED, Fault.NEVER_LEFT, Fault.NEVER_LEFT, Fault.LOCKED]
        world = World(clock, [line(1), line(2)], faults)
        assert await world.go() is None
        assert world.held(2) == 1

    drive(scenario)


def test_after_twenty_lost_answers_in_a_row_a_read_finds_out_whether_the_api_answers() -> None:
    """No call goes while it does not: each would be a new doubt."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(60)], [Fault.NONE] + [Fault.COMMIT_THEN_LOST] * 20, concurrency=1)
        silent = iter([True, True, True, False])
        read = world.api.read_series
        reads = []

        async def read_series(series):
            reads.append(clock.now())
            return Exchange(left=True, failure="timeout") if next(silent) else await read(series)

        world.api.read_series = read_series  # type: ignore[method-assign]  # a fake bent for this test
        assert await world.go() is None
        assert len(reads) == 4
        posts = world.posts()
        lost = [post for post in posts if post.fault is Fault.COMMIT_THEN_LOST]
        assert len(lost) == 20
        assert lost[-1].ended is not None
        assert posts[posts.index(lost[-1]) + 1].began >= reads[-1]
        assert reads[0] >= lost[-1].ended
        world.check()
        assert sum(order.held for order in world.ledger.orders.values()) == 20

    drive(scenario)


def test_doubts_that_do_not_come_in_a_row_pause_nothing() -> None:
    """Every answer that arrives starts the count anew."""

    async def scenario(clock: VirtualClock) -> None:
        faults = ([Fault.NONE] + [Fault.COMMIT_THEN_LOST] * 19) * 3
        world = World(clock, [line(n) for n in range(100)], faults, concurrency=1)
        assert await world.go() is None
        assert world.api.reads == []

    drive(scenario)


def test_reads_that_stay_silent_stop_the_run_when_the_budget_is_over() -> None:
    """Twenty answers are lost, reads do not come back either."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(60)], lambda _: Fault.COMMIT_THEN_LOST, reach_budget_seconds=60.0)

        async def silent(series):
            return Exchange(left=True, status=504, complete=True)

        world.api.read_series = silent  # type: ignore[method-assign]  # a fake bent for this test
        stop = await world.go()
        assert stop is not None
        assert stop.kind is StopKind.UNREACHABLE
        assert 20 <= len(world.posts()) < 20 + 4
        world.check()

    drive(scenario)


def test_a_refused_token_is_renewed_once_however_many_calls_met_it() -> None:
    """Eight calls under the old token are refused; all follow under the new one."""

    async def scenario(clock: VirtualClock) -> None:
        ended = {"at": float("inf")}

        def answer(post: Posted) -> Fault:
            if len(world.api.posts) == 10:
                ended["at"] = clock.now()
            old = world.api.credentials_version() == "1"
            return Fault.UNAUTHORISED if old and clock.now() >= ended["at"] else Fault.NONE

        world = World(clock, [line(n) for n in range(40)], answer, oauth=True, concurrency=8)
        assert await world.go() is None
        assert world.api.refreshes == 1
        assert 2 <= len([post for post in world.posts() if post.fault is Fault.UNAUTHORISED]) <= 8
        assert world.api.total_held() == 40

    drive(scenario)


def test_a_refused_fresh_token_stops_the_run() -> None:
    """Two calls, one after the other: the second under the new token."""

    async def scenario(clock: VirtualClock) -> None:
        lines = [line(n, series) for n in range(20) for series in (SERIES, OTHER)]
        world = World(clock, lines, lambda _: Fault.UNAUTHORISED, oauth=True, concurrency=8)
        stop = await world.go()
        assert stop is not None
        assert stop.kind is StopKind.REFUSED
        assert world.api.refreshes == 1
        assert len(world.posts()) == 2
        assert all(order.closed is None for order in world.ledger.orders.values())

    drive(scenario)


def test_a_token_that_served_before_may_end_as_often_as_it_likes() -> None:
    """Every tenth call finds its token ended, for hours."""

    async def scenario(clock: VirtualClock) -> None:
        faults = ([Fault.NONE] * 9 + [Fault.UNAUTHORISED]) * 20
        world = World(clock, [line(n) for n in range(181)], faults, oauth=True, concurrency=3)
        assert await world.go() is None
        assert world.api.refreshes == 20
        assert world.api.total_held() == 181

    drive(scenario)


def test_refused_credentials_that_cannot_be_renewed_stop_the_run_after_one_call() -> None:
    """User and password, or a key that is given no new token."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(40)], lambda _: Fault.UNAUTHORISED, concurrency=8)
        stop = await world.go()
        assert stop is not None
        assert stop.kind is StopKind.REFUSED
        assert len(world.posts()) == 1

    drive(scenario)


@pytest.mark.parametrize("left_before", [0, 12])
def test_a_key_that_is_given_no_token_stops_the_run(left_before: int) -> None:
    """The calls never left, nothing will, and no pause would change that."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(40)], oauth=True)
        issue = world.api.issue

        async def refused(**call):
            if len(world.api.posts) < left_before:
                return await issue(**call)
            return Exchange(left=False, failure="credentials", detail="the request for a token was refused (HTTP 401)")

        world.api.issue = refused  # type: ignore[method-assign]  # a fake bent for this test
        began = clock.now()
        stop = await world.go()
        assert stop is not None
        assert stop.kind is StopKind.REFUSED
        assert "credentials" in stop.message
        assert clock.now() - began < 5
        assert {call.state for call in world.ledger.calls.values()} <= {"issued", "never_left"}
        assert all(order.closed is None and order.held == 0 for order in world.ledger.orders.values())

    drive(scenario)
