"""A series' own cap (`max_total`): never passed, and it holds up its series only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.engine import EXIT_OF_STOP, StopKind
from tests.engine.world import OTHER, SERIES, Fault, World, drive, line
from tests.fakes.virtual_clock import VirtualClock


def _held(world: World, series: int) -> int:
    return sum(order.issued + order.held for order in world.ledger.orders.values() if order.series == series)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_the_limit_of_a_series_is_reached_exactly_and_the_other_series_go_on(concurrency: int) -> None:
    """Ten of forty; all of the others; and the run ends with exit 4."""

    async def scenario(clock: VirtualClock) -> None:
        lines = [line(n, (SERIES, OTHER)[n % 2]) for n in range(80)]
        world = World(clock, lines, series_limits={SERIES: 10}, concurrency=concurrency)
        stop = await world.go()
        assert stop is not None
        assert (stop.kind, EXIT_OF_STOP[stop.kind]) == (StopKind.GUARD, 4)
        assert f"10 coupons of series {SERIES}" in stop.message
        assert (_held(world, SERIES), _held(world, OTHER)) == (10, 40)
        assert not any(order.closed for order in world.ledger.orders.values())

    drive(scenario)


def test_coupons_of_the_whole_campaign_count_under_the_limit() -> None:
    """Those that earlier runs issued, or may have."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(40)], series_limits={SERIES: 10}, series_issued={SERIES: 7})
        assert await world.go() is not None
        assert _held(world, SERIES) == 3

    drive(scenario)


def test_an_order_is_not_cut_to_fit_under_the_limit() -> None:
    """Room for two, and the next order wants four: it is left whole."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n, target=4) for n in range(5)], series_limits={SERIES: 10}, concurrency=1)
        assert await world.go() is not None
        assert world.counts() == [4, 4]

    drive(scenario)


def test_a_limit_that_suffices_stops_nothing() -> None:
    """Exactly as many as are wanted."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(10)], series_limits={SERIES: 10})
        assert await world.go() is None

    drive(scenario)


def test_what_a_refused_order_had_reserved_is_free_for_the_next_of_its_series() -> None:
    """Four customers do not exist, the fifth gets hers."""

    async def scenario(clock: VirtualClock) -> None:
        lines = [line(n, target=10) for n in range(5)]
        world = World(clock, lines, [Fault.ROW_REFUSED] * 4, series_limits={SERIES: 10}, concurrency=4)
        assert await world.go() is None
        assert world.held(4) == 10

    drive(scenario)


@pytest.mark.parametrize("fault", [Fault.EMPTY_QUEUE, Fault.LOCKED, Fault.THROTTLED, Fault.NEVER_LEFT])
def test_a_limited_series_that_waits_ends_all_the_same(fault: Fault) -> None:
    """An empty queue, a busy customer, a throttle, a pause: the coupons within the limit come, and the run ends."""

    async def scenario(clock: VirtualClock) -> None:
        lines = [line(n, (SERIES, OTHER)[n % 2]) for n in range(20)]
        world = World(clock, lines, [fault] * 3, series_limits={SERIES: 4})
        stop = await world.go()
        assert stop is not None
        assert stop.kind is StopKind.GUARD
        assert (_held(world, SERIES), _held(world, OTHER)) == (4, 10)

    drive(scenario)


@given(
    targets=st.lists(st.integers(1, 700), min_size=1, max_size=12),
    faults=st.lists(st.sampled_from([Fault.NONE, *Fault]), max_size=16),
    most=st.integers(0, 2000),
    cap=st.one_of(st.none(), st.integers(0, 3000)),
    concurrency=st.sampled_from([1, 3, 8]),
)
def test_the_limit_holds_through_partial_answers_doubts_and_refusals(
    targets: list[int], faults: list[Fault], most: int, cap: int | None, concurrency: int
) -> None:
    """Truth never above it; and where the series was left, its next order would not have fitted."""

    async def scenario(clock: VirtualClock) -> None:
        lines = [line(n, (SERIES, OTHER)[n % 2], target) for n, target in enumerate(targets)]
        world = World(clock, lines, faults, series_limits={SERIES: most}, max_coupons=cap, concurrency=concurrency)
        stop = await world.go()
        truth = sum(order.issued for order in world.ledger.orders.values() if order.series == SERIES)
        assert truth <= _held(world, SERIES) <= most
        assert cap is None or world.api.total_held() <= cap
        world.check()
        if stop is not None and "max_total" in stop.message:
            left = [o.target - o.issued - o.held for o in world.ledger.orders.values() if o.series == SERIES]
            assert _held(world, SERIES) + max(left) > most

    drive(scenario)
