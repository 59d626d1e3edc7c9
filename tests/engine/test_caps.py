"""Caps on coupons and money: the truth never passes them, through partial answers, doubts, kills and resumes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from runner.core.guards import Threshold
from runner.core.model import CallState, Coupon, Outcome, Settlement
from runner.engine import EXIT_OF_STOP, StopKind
from tests.engine.world import OTHER, SERIES, THIRD, Fault, World, drive, line
from tests.fakes.scripted_api import Posted
from tests.fakes.virtual_clock import VirtualClock

ORDERS = 300
MOST = 1_000
MOST_VALUE = 5_000
VALUES = {SERIES: 3, OTHER: 7, THIRD: 5}
FAULTS = [
    *([Fault.NONE] * 6),
    *(Fault.PARTIAL_ERROR, Fault.PARTIAL_TWIN, Fault.PARTIAL_SILENT),
    *(Fault.COMMIT_THEN_LOST, Fault.LOST_BEFORE_COMMIT, Fault.COMMIT_THEN_504, Fault.CUT_BODY),
    *(Fault.LOCKED, Fault.EMPTY_QUEUE, Fault.ROW_REFUSED),
]


class Books:
    """One run of a file that asks for much more than its caps allow, executed again and again."""

    def __init__(self, clock: VirtualClock, seed: int) -> None:
        self.chance = random.Random(seed)
        quantities = [self.chance.choice((1, 2, 3, 5, 8, 20)) for _ in range(ORDERS)]
        lines = [line(n, (SERIES, OTHER, THIRD)[n % 3], quantity) for n, quantity in enumerate(quantities)]
        self.world = World(clock, lines, lambda _: self.chance.choice(FAULTS), seconds=lambda _: self.chance.random())
        self.world.api._on_post = lambda _: self.check()
        self.most = 0

    def check(self) -> None:
        """The truth at this moment, and the ledger's bounds of it."""
        truth = self.world.api.total_held()
        worth = sum(VALUES[series] * len(ids) for (_, series), ids in self.world.api.truth.items())
        self.most = max(self.most, truth)
        assert truth <= MOST, f"{truth:,} coupons issued"
        assert worth <= MOST_VALUE, f"coupons worth {worth:,} issued"

    async def execute(self, dies_after: float | None) -> bool:
        """One process; True when it came to its end."""
        world, ledger = self.world, self.world.ledger
        spent = dict.fromkeys(VALUES, 0)
        for call in ledger.calls.values():
            spent[ledger.orders[call.order].series] += call.known + call.held
        engine = world.build(
            concurrency=64,
            max_coupons=MOST,
            spent=sum(spent.values()),
            max_value=MOST_VALUE,
            spent_value=sum(VALUES[series] * count for series, count in spent.items()),
            values=VALUES,
            max_errors=Threshold(None, None),
            doubts_share=1.0,
            doubts_in_a_row=50,
            queue_budget_seconds=120.0,
        )
        task = asyncio.create_task(engine.run())
        done, _ = await asyncio.wait({task}, timeout=dies_after)
        if not done:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            ledger.crash()
        ledger.recover()
        self.check()
        world.check()
        if done:
            stop = task.result()
            assert stop is None or EXIT_OF_STOP[stop.kind] == 4, stop
        return bool(done)

    async def settle(self, share: float) -> None:
        """Reading tells the truth of some of the doubts."""
        ledger, posted = self.world.ledger, {post.key: post for post in self.world.api.posts}
        for key, call in list(ledger.calls.items()):
            if call.state is not CallState.IN_DOUBT or self.chance.random() > share:
                continue
            issued = tuple(Coupon(number, f"C{number}") for number in posted[key].coupon_ids)
            outcome = Outcome(state=CallState.ISSUED if issued else CallState.REFUSED, coupons=issued)
            order = ledger.orders[call.order]
            ledger.settle(Settlement(key, call.order, order.person, call.run, outcome, (), 0.0))
        await ledger.flush()


def _trial(seed: int) -> Books:
    kept: list[Books] = []

    async def scenario(clock: VirtualClock) -> None:
        books = Books(clock, seed)
        kept.append(books)
        for _ in range(4):
            await books.execute(books.chance.uniform(0.1, 4.0))
            await books.settle(books.chance.choice((0.0, 0.5)))
        async with asyncio.timeout(24 * 3600):
            for _ in range(3):
                assert await books.execute(None)
                await books.settle(1.0)

    drive(scenario, seed=seed)
    return kept[0]


@pytest.mark.parametrize("seed", range(16))
def test_a_cap_is_never_passed_by_64_at_once_through_lies_kills_and_resumes(seed: int) -> None:
    """At every call and at the end; and what fits under it is issued: at most one order's worth of room is left."""
    books = _trial(seed)
    worth = sum(VALUES[series] * len(ids) for (_, series), ids in books.world.api.truth.items())
    assert books.world.api.total_held() > MOST - 40 or worth > MOST_VALUE - 7 * 40


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 400))
def test_a_cap_is_never_passed_whatever_the_seed(seed: int) -> None:
    """The same with many seeds."""
    assert _trial(seed).most <= MOST


def _many(clock: VirtualClock, answer: Callable[[Posted], Fault], **options: object) -> World:
    return World(clock, [line(n) for n in range(400)], answer, concurrency=8, **options)  # type: ignore[arg-type]


def test_the_cap_on_money_is_reserved_before_anything_is_sent() -> None:
    """Room for 99.5 of coupons of 10: nine, and the run ends with exit 4 and names its flag."""

    async def scenario(clock: VirtualClock) -> None:
        world = _many(clock, lambda _: Fault.NONE, max_value=99_500_000, values={SERIES: 10_000_000})
        stop = await world.go()
        assert stop is not None
        assert (stop.kind, world.api.total_held()) == (StopKind.GUARD, 9)
        assert stop.message == "the cap of 99.5 in money leaves no room for the next order (--max-value)"

    drive(scenario)


def test_orders_that_are_left_out_are_not_called_and_not_closed() -> None:
    """Every other of 400; the rest is issued."""

    async def scenario(clock: VirtualClock) -> None:
        world = _many(clock, lambda _: Fault.NONE, left_out=range(1, 401, 2))
        assert await world.go() is None
        assert {number for number, order in world.ledger.orders.items() if order.issued} == set(range(2, 401, 2))
        assert not any(order.closed for order in world.ledger.orders.values())

    drive(scenario)


def test_a_run_of_chosen_orders_sends_those_only_and_waits_for_nobody() -> None:
    """One is issued, a busy customer and an empty queue are left for later: seconds, and nothing is over."""

    async def scenario(clock: VirtualClock) -> None:
        lines = [line(n, (SERIES, OTHER, THIRD)[n % 3]) for n in range(60)]
        faults = {OTHER: Fault.LOCKED, THIRD: Fault.EMPTY_QUEUE}
        world = World(clock, lines, lambda post: faults.get(post.series, Fault.NONE))
        began = clock.now()
        only = {SERIES: frozenset({1, 4}), OTHER: frozenset({2}), THIRD: frozenset({3, 6})}
        assert await world.go(only=only) is None
        assert clock.now() - began < 5
        assert world.counts(series=SERIES) == [1, 1]
        assert world.counts(series=OTHER) == [1]
        assert 1 <= len(world.counts(series=THIRD)) <= 2
        assert not any(order.closed for order in world.ledger.orders.values())
        assert world.series_state(THIRD) is None

    drive(scenario)


def test_a_fifth_of_errors_is_allowed_and_more_stops_the_run() -> None:
    """Once fifty answers came; throttling, busy customers and empty queues are neither answers nor errors."""

    async def scenario(clock: VirtualClock) -> None:
        few = _many(clock, lambda post: Fault.ROW_REFUSED if int(post.customer[-3:]) % 6 == 0 else Fault.NONE)
        assert await few.go() is None

        many = _many(clock, lambda post: Fault.ROW_REFUSED if int(post.customer[-3:]) % 4 == 0 else Fault.NONE)
        stop = await many.go()
        assert stop is not None
        assert (stop.kind, EXIT_OF_STOP[stop.kind]) == (StopKind.GUARD, 4)
        assert 50 <= len(many.posts()) < 50 + 2 * 8
        assert "refused for good (2" in stop.message
        assert "701" in stop.message
        assert stop.message.endswith("more than --max-errors 20%")

        waiting = iter([Fault.THROTTLED, Fault.LOCKED, Fault.EMPTY_QUEUE] * 40)
        slow = _many(clock, lambda _: next(waiting, Fault.NONE), max_errors=Threshold(0, 0.0))
        assert await slow.go() is None

    drive(scenario)


def test_a_number_of_errors_stops_the_run_from_the_first_one_on() -> None:
    """`--max-errors 2` lets two pass."""

    async def scenario(clock: VirtualClock) -> None:
        world = _many(clock, lambda _: Fault.ROW_REFUSED, max_errors=Threshold(2, None))
        stop = await world.go(concurrency=1)
        assert stop is not None
        assert len(world.posts()) == 3

    drive(scenario)
