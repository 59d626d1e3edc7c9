"""What bounds a run and how it ends: the cap, the limit, memory, a stop, a ledger that fails."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.model import Settlement
from runner.engine import EXIT_OF_STOP, Stop, StopKind
from runner.errors import LedgerFailed
from tests.engine.world import OTHER, SERIES, Fault, World, drive, line
from tests.fakes.scripted_api import Posted
from tests.fakes.virtual_clock import WALL_START, VirtualClock

_STOP = Stop(kind=StopKind.REQUESTED, message="stopped by SIGTERM")


def test_the_cap_is_reached_exactly_and_never_overrun() -> None:
    """Ten coupons, one each: ten calls, exit 4."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(40)], max_coupons=10, concurrency=8)
        stop = await world.go()
        assert stop is not None
        assert stop.kind is StopKind.GUARD
        assert EXIT_OF_STOP[stop.kind] == 4
        assert world.api.total_held() == 10

    drive(scenario)


def test_an_order_is_not_cut_to_fit_under_the_cap() -> None:
    """Room for three and the next order wants four: it is left whole."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n, target=4) for n in range(5)], max_coupons=11, concurrency=1)
        stop = await world.go()
        assert stop is not None
        assert world.counts() == [4, 4]

    drive(scenario)


def test_an_order_above_500_reserves_all_that_it_misses_before_its_first_call() -> None:
    """1,200 do not begin under a cap of 1,000."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(1, target=1200)], max_coupons=1000)
        stop = await world.go()
        assert stop is not None
        assert stop.kind is StopKind.GUARD
        assert world.posts() == []

    drive(scenario)


def test_what_a_refused_order_had_reserved_is_free_for_the_next() -> None:
    """Five orders of ten under a cap of ten: four customers do not exist, the fifth gets hers."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(
            clock, [line(n, target=10) for n in range(5)], [Fault.ROW_REFUSED] * 4, max_coupons=10, concurrency=4
        )
        assert await world.go() is None
        assert world.held(4) == 10

    drive(scenario)


def test_coupons_of_earlier_executions_of_the_run_count_under_its_cap() -> None:
    """A resumed run has spent some of it already."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(40)], max_coupons=10, spent=7)
        stop = await world.go()
        assert stop is not None
        assert world.api.total_held() == 3

    drive(scenario)


@given(
    targets=st.lists(st.integers(1, 700), min_size=1, max_size=12),
    faults=st.lists(st.sampled_from([Fault.NONE, *Fault]), max_size=16),
    cap=st.integers(0, 3000),
    concurrency=st.sampled_from([1, 3, 8]),
)
def test_the_cap_holds_through_partial_answers_doubts_and_refusals(
    targets: list[int], faults: list[Fault], cap: int, concurrency: int
) -> None:
    """Truth never above the cap; and when it did not stop the run, the next order would not have fitted."""

    async def scenario(clock: VirtualClock) -> None:
        lines = [line(n, (SERIES, OTHER)[n % 2], target) for n, target in enumerate(targets)]
        world = World(
            clock, lines, faults, max_coupons=cap, concurrency=concurrency, seconds=lambda p: 0.1 + p.count / 9
        )
        stop = await world.go()
        assert world.api.total_held() <= cap
        world.check()
        if stop is None:
            assert world.engine is not None
            assert world.engine.reserved == 0
        elif stop.kind is StopKind.GUARD:
            spent = sum(order.issued + order.held for order in world.ledger.orders.values())
            left = [o.target - o.issued - o.held for o in world.ledger.orders.values() if not o.closed]
            assert spent + max(left) > cap

    drive(scenario)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_the_limit_bounds_the_orders_of_a_run(concurrency: int) -> None:
    """Seven orders, each in full, the partial and the large one too; what is left is sent the next time: exit 75."""

    async def scenario(clock: VirtualClock) -> None:
        lines = [line(n, target=600 if n % 2 else 4) for n in range(30)]
        world = World(clock, lines, [Fault.NONE, Fault.PARTIAL_ERROR], limit=7, concurrency=concurrency)
        stop = await world.go()
        assert stop is not None
        assert stop.kind is StopKind.LIMIT
        assert EXIT_OF_STOP[stop.kind] == 75
        asked = {post.customer for post in world.posts()}
        assert len(asked) == 7
        assert all(o.issued in (0, o.target) for o in world.ledger.orders.values())

    drive(scenario)


def test_a_limit_that_is_not_reached_stops_nothing() -> None:
    """Exactly as many orders as the limit."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(7)], limit=7)
        assert await world.go() is None

    drive(scenario)


def test_a_stop_lets_calls_in_flight_finish_and_begins_no_other() -> None:
    """Their answers are settled before the run returns."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(40)], seconds=10.0)
        engine = world.build()
        running = asyncio.create_task(engine.run())
        await clock.sleep(14)
        engine.stop(_STOP)
        stopped_at = clock.now()
        assert await running is _STOP
        assert len(world.posts()) == 5
        assert all(post.began <= stopped_at for post in world.posts())
        assert clock.now() - stopped_at < 10
        assert {call.state for call in world.ledger.calls.values()} == {"issued"}
        assert sum(order.issued for order in world.ledger.orders.values()) == 5

    drive(scenario)


@pytest.mark.parametrize(
    ("what", "fault"),
    [
        ("a parked series", Fault.EMPTY_QUEUE),
        ("a busy customer", Fault.LOCKED),
        ("a pause", Fault.NEVER_LEFT),
        ("a throttle", Fault.THROTTLED),
    ],
)
def test_a_stop_waits_for_no_wait(what: str, fault: Fault) -> None:
    """Whatever the run waits for, it ends at once."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(40)], lambda _: fault)
        engine = world.build()
        running = asyncio.create_task(engine.run())
        await clock.sleep(25.0)
        engine.stop(_STOP)
        stopped_at = clock.now()
        assert await running is _STOP
        assert clock.now() - stopped_at < 1
        assert len(asyncio.all_tasks()) == 1  # nothing is left behind

    drive(scenario)


def test_the_first_reason_to_stop_is_kept() -> None:
    """A signal during a stop changes nothing."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(1)])
        engine = world.build()
        engine.stop(_STOP)
        engine.stop(Stop(kind=StopKind.GUARD, message="later"))
        assert await engine.run() is _STOP
        assert world.posts() == []

    drive(scenario)


def test_a_run_that_is_cancelled_leaves_its_calls_as_being_sent() -> None:
    """The grace is over: the next start finds them in doubt, and nothing is left behind in this one."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(40)], seconds=10.0)
        running = asyncio.create_task(world.build().run())
        await clock.sleep(14)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1
        assert world.ledger.recover() == 4
        world.check()

    drive(scenario)


def test_a_ledger_that_cannot_begin_stops_everything() -> None:
    """Nothing is sent after it, and the error is the end's."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(40)], concurrency=4)
        world.ledger.fail_begin_at = 11
        stop = await world.go()
        assert stop is not None
        assert stop.kind is StopKind.FAILED
        assert isinstance(stop.error, LedgerFailed)
        assert EXIT_OF_STOP[stop.kind] == 6
        assert 10 <= len(world.posts()) == len(world.ledger.begun) <= 13  # with those that began in the same moment

    drive(scenario)


def test_a_ledger_that_cannot_settle_stops_everything() -> None:
    """Calls whose answers could not be recorded stay as being sent: they hold their quantity."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n, target=3) for n in range(40)], concurrency=4)
        world.ledger.fail_settle_at = 6
        stop = await world.go()
        assert stop is not None
        assert stop.kind is StopKind.FAILED
        assert len(world.posts()) <= 9
        world.check()

    drive(scenario)


def test_a_ledger_that_cannot_be_read_stops_everything() -> None:
    """Also when it is a task in the background that meets it."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(400)], concurrency=2)

        def look(_: Settlement) -> None:
            if len(world.ledger.settled) == 9:
                world.ledger.fail("the file is gone")

        world.ledger.on_settle = look
        stop = await world.go()
        assert stop is not None
        assert stop.kind is StopKind.FAILED
        assert len(world.posts()) <= 11

    drive(scenario)


def test_a_mistake_of_our_own_ends_the_run_and_is_shown() -> None:
    """An unforeseen exception is raised, not swallowed; the other calls are settled."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(40)], concurrency=4)

        def look(_: Settlement) -> None:
            if len(world.ledger.settled) == 9:
                raise ZeroDivisionError

        world.ledger.on_settle = look
        with pytest.raises(ZeroDivisionError):
            await world.go()
        assert len(world.posts()) <= 12

    drive(scenario)


@pytest.mark.parametrize("many_series", [1, 2, 5, 30])
@pytest.mark.parametrize("fault", [Fault.NONE, Fault.EMPTY_QUEUE, Fault.LOCKED])
def test_memory_does_not_grow_with_the_file(many_series: int, fault: Fault) -> None:
    """At most twice the concurrency is read ahead, or one order a series when there are more series than that."""

    async def scenario(clock: VirtualClock) -> None:
        began = clock.now()
        lines = [line(n, 1000 + n % many_series) for n in range(600)]

        def answer(post: Posted) -> Fault:
            odd = post.series % 2 == 0 if fault is Fault.EMPTY_QUEUE else int(post.customer[-2:]) % 3 == 0
            return fault if odd and clock.now() < began + 20 else Fault.NONE

        world = World(clock, lines, answer, concurrency=4)
        assert await world.go() is None
        assert world.ledger.most_read_ahead <= max(8, many_series)
        assert world.api.total_held() == 600

    drive(scenario)


def test_the_state_of_a_run_adds_up() -> None:
    """Coupons issued, in doubt and missing; orders refused; series that wait."""

    async def scenario(clock: VirtualClock) -> None:
        faults = [Fault.NONE, Fault.COMMIT_THEN_LOST, Fault.ROW_REFUSED, Fault.PARTIAL_SILENT]
        world = World(clock, [line(n, target=4) for n in range(10)], faults, concurrency=1)
        assert await world.go() is None
        last = world.progress.beats[-1]
        assert (last.target, last.issued, last.in_doubt, last.missing) == (40, 30, 6, 4)
        assert (last.failed_orders, last.calls, last.in_flight) == (1, 10, 0)
        assert last.state == "finishing"
        assert all(beat.issued + beat.in_doubt + beat.missing == beat.target for beat in world.progress.beats)

    drive(scenario)


def test_a_parked_series_is_shown_as_waiting_since_when_and_how_long() -> None:
    """As long as it waits, and no longer; its code, and both moments by the wall clock."""

    async def scenario(clock: VirtualClock) -> None:
        began = clock.now()
        world = World(
            clock, [line(n) for n in range(20)], lambda _: Fault.EMPTY_QUEUE if clock.now() < began + 60 else Fault.NONE
        )
        assert await world.go() is None
        (waiting,) = {one for beat in world.progress.beats for one in beat.waiting}
        assert waiting[:2] == (SERIES, "5005")
        assert waiting.since == pytest.approx(WALL_START + 0.05)
        assert waiting.until == pytest.approx(WALL_START + 0.05 + 3 * 3600)
        assert world.progress.beats[-1].waiting == ()

    drive(scenario)
