"""Which call goes when.

The first alone, a new series alone, one call of a customer, 500 at most, only what is missing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runner.core.model import CallStart, Exchange, Identifier, Kind
from runner.core.pacing import Rate
from runner.engine import StopKind
from tests.engine.world import OTHER, SERIES, THIRD, Fault, World, customer, drive, line, mobile
from tests.fakes.scripted_api import Posted
from tests.fakes.virtual_clock import VirtualClock


def test_the_first_call_of_a_run_goes_alone() -> None:
    """Wrong credentials cost one call, however many workers there are and however many series."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n, series) for n in range(8) for series in (SERIES, OTHER)], concurrency=8)
        assert await world.go() is None
        first, *others = world.posts()
        assert first.ended is not None
        assert all(post.began >= first.ended for post in others)
        assert world.most_at_once() > 2

    drive(scenario)


def test_a_series_that_nothing_is_known_of_has_one_call_alone() -> None:
    """Then it is open, and the workers share it."""

    async def scenario(clock: VirtualClock) -> None:
        lines = [line(n, series) for n in range(40) for series in (SERIES, OTHER, THIRD)]
        world = World(clock, lines, seconds=lambda post: 5.0 if post.series == OTHER else 0.1, concurrency=8)
        assert await world.go() is None
        for series in (SERIES, OTHER, THIRD):
            first, *others = world.posts(series=series)
            assert first.ended is not None
            assert all(post.began >= first.ended for post in others)
            assert world.most_at_once(others) > 1
        slow = world.posts(series=OTHER)[0]
        assert any(slow.began < post.began < slow.began + 5 for post in world.posts(series=SERIES))  # others go on

    drive(scenario)


def test_a_large_order_goes_in_calls_of_at_most_500() -> None:
    """1,200 is 500, 500 and 200, one after the other."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(1, target=1200)])
        assert await world.go() is None
        assert world.counts() == [500, 500, 200]
        assert world.held(1) == 1200
        world.check()

    drive(scenario)


@pytest.mark.parametrize("partial", [Fault.PARTIAL_ERROR, Fault.PARTIAL_TWIN])
def test_after_a_partial_answer_only_what_is_missing_is_asked_for(partial: Fault) -> None:
    """Ten asked, five issued: the next call asks for five."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(1, target=10)], [partial])
        assert await world.go() is None
        assert world.counts() == [10, 5]
        assert world.held(1) == 10

    drive(scenario)


def test_a_difference_that_nothing_explains_is_held_and_not_asked_for() -> None:
    """Ten counted, five listed: five are in doubt."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(1, target=10)], [Fault.PARTIAL_SILENT])
        assert await world.go() is None
        assert world.counts() == [10]
        world.check()
        assert world.ledger.orders[1].held == 5

    drive(scenario)


@pytest.mark.parametrize(
    "fault",
    [Fault.COMMIT_THEN_LOST, Fault.LOST_BEFORE_COMMIT, Fault.COMMIT_THEN_TIMEOUT, Fault.GATEWAY_504, Fault.CUT_BODY],
)
def test_a_lost_answer_is_held_and_never_asked_for_again(fault: Fault) -> None:
    """The rest of the order, which that call did not ask for, goes on."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(1, target=700), line(2)], [fault])
        assert await world.go() is None
        assert world.counts(1) == [500, 200]
        assert world.ledger.orders[1].held == 500
        assert world.held(2) == 1
        world.check()

    drive(scenario)


def test_two_orders_of_one_customer_are_never_under_way_at_once() -> None:
    """A customer's calls follow each other, whatever their series; another customer's need not wait."""

    async def scenario(clock: VirtualClock) -> None:
        series = [SERIES, OTHER, THIRD]
        lines = [line(n, one) for n in (1, 2, 3) for one in series]
        world = World(clock, lines, seconds=lambda post: 0.1 + post.series % 7 / 10, concurrency=8)
        assert await world.go() is None
        for number in (1, 2, 3):
            assert len(world.posts(number)) == 3
            assert world.most_at_once(world.posts(number)) == 1
        assert world.most_at_once() > 1
        assert world.api.breaches == []

    drive(scenario)


def test_a_customer_with_many_series_does_not_block_the_workers() -> None:
    """Her calls go one at a time beside those of the others."""

    async def scenario(clock: VirtualClock) -> None:
        many = [line(1, 1000 + n) for n in range(30)]
        world = World(clock, [*many, *(line(n, 1000 + n % 30) for n in range(2, 92))], seconds=1.0, concurrency=4)
        assert await world.go() is None
        others = [post for post in world.posts() if post.customer != customer(1)]
        assert world.most_at_once(world.posts(1)) == 1
        assert world.most_at_once(others) >= 3
        ended = max(post.ended or 0.0 for post in world.posts())
        began = world.posts()[0].began
        assert ended - began <= 45  # 120 calls of a second on four workers; 30 of them one after the other

    drive(scenario)


def test_a_call_is_durable_before_it_is_posted() -> None:
    """What the API is shown stands in the ledger as being sent, with its quantity held."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n, target=3) for n in range(6)])
        seen = []

        def look(post: Posted) -> None:
            call = world.ledger.calls[post.key]
            seen.append((call.state, call.held, call.quantity == post.count))

        world.api = type(world.api)(clock, on_post=look)
        assert await world.go() is None
        assert seen == [("sending", 3, True)] * 6

    drive(scenario)


def test_a_begin_that_is_refused_because_the_order_was_closed_sends_nothing() -> None:
    """Somebody closed it meanwhile: the others go on."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(1), line(2), line(3)], concurrency=1)

        async def close(start: object) -> None:
            world.ledger.orders[2].closed = "forgotten"

        world.ledger.on_begin = close
        assert await world.go() is None
        assert [post.customer for post in world.posts()] == [customer(1), customer(3)]

    drive(scenario)


def test_a_begin_that_is_refused_because_less_is_missing_asks_for_that() -> None:
    """The order is read again."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(1, target=5)])

        async def lower(start: object) -> None:
            world.ledger.orders[1].target = 2

        world.ledger.on_begin = lower
        assert await world.go() is None
        assert world.counts() == [2]

    drive(scenario)


def test_a_begin_that_is_refused_for_no_visible_reason_ends_the_run() -> None:
    """The order reads as before: asking again would go on for ever."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(1), line(2)])

        async def refuse(start: CallStart) -> bool:
            return False

        world.ledger.begin = refuse  # type: ignore[method-assign]  # a fake bent for this test
        stop = await world.go()
        assert stop is not None
        assert stop.kind is StopKind.FAILED
        assert world.posts() == []

    drive(scenario)


def _names_of_asha(facts: object) -> tuple[Identifier, ...]:
    return tuple(Identifier(Kind.MOBILE, mobile(n), mobile(n)) for n in (1, 2))


ASHA = {("mobile", mobile(1)): "asha", ("mobile", mobile(2)): "asha"}


def test_an_order_that_turns_out_to_be_another_rows_is_not_sent_and_gives_back_its_reservation() -> None:
    """An answer shows that rows 1 and 2 are one person: she is issued once, and nothing stays reserved for row 2."""

    async def scenario(clock: VirtualClock) -> None:
        lines = [line(1, target=3), line(2, target=3)]
        world = World(clock, lines, same_person=ASHA, names_of=_names_of_asha, concurrency=1, max_coupons=6)
        assert await world.go() is None
        assert world.ledger.orders[2].merged_into == 1
        assert world.counts() == [3]
        assert world.engine is not None
        assert world.engine.reserved == 0

    drive(scenario)


def test_an_order_that_misses_more_once_another_row_is_found_to_be_the_same_person_is_asked_for_that() -> None:
    """The earlier row wants five and joins the order of the later one, which had three of three by then."""

    async def scenario(clock: VirtualClock) -> None:
        names: list[Identifier] = []
        world = World(
            clock, [line(2, target=2)], same_person=ASHA, names_of=lambda _: tuple(names), concurrency=1, max_coupons=99
        )
        assert await world.go() is None
        names.extend(_names_of_asha(None))
        world.load([line(1, target=5), line(2, target=3)])
        assert await world.go() is None
        assert world.counts() == [2, 1, 2]
        assert world.held(1) == 5
        assert world.engine is not None
        assert world.engine.reserved == 0

    drive(scenario)


def test_a_call_that_left_late_for_want_of_a_connection_keeps_the_next_ones_away() -> None:
    """Three calls in six seconds; the first leaves two seconds after its turn: the fourth arrives six after it."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(6)], rate=Rate(3, 6.0))
        issue = world.api.issue

        async def connecting(**call: Any) -> Exchange:
            late = 0.0 if world.api.posts else 2.0
            await clock.sleep(late)
            return replace(await issue(**call), seconds_to_leave=late)

        world.api.issue = connecting  # type: ignore[method-assign]
        assert await world.go() is None
        began = [post.began for post in world.posts()]
        assert all(later - earlier > 6.0 for earlier, later in zip(began, began[3:], strict=False))

    drive(scenario)
