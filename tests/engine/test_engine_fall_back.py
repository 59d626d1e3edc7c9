"""A customer whom the API does not know by one identifier is named by the row's next one, in the same order."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from runner.core.guards import Threshold
from runner.core.identity import names_of_answer
from runner.core.model import FallBack, Identifier, Kind, Order, Reason
from runner.engine import StopKind
from tests.engine.world import SERIES, World, drive, mobile
from tests.fakes.memory_ledger import Line
from tests.fakes.scripted_api import Fault
from tests.fakes.virtual_clock import VirtualClock

KINDS = (Kind.MOBILE, Kind.EMAIL, Kind.EXTERNAL_ID)


def names(number: int) -> tuple[Identifier, ...]:
    """All that a row says of its customer."""
    values = (mobile(number), f"person{number}@example.com", f"id-{number}")
    return tuple(Identifier(kind, value, value) for kind, value in zip(KINDS, values, strict=True))


def row(number: int, target: int = 1, *, kinds: int = 2, fall_back: bool = True) -> Line:
    """A row with its first so many identifiers."""
    return Line(names(number)[:kinds], SERIES, target, fall_back)


def unknown(*numbers: int, kinds: int = 1) -> set[tuple[str, str]]:
    """The first so many identifiers of these customers lead to nobody."""
    return {(name.kind.value, name.value) for number in numbers for name in names(number)[:kinds]}


def world_of(
    clock: VirtualClock, lines: Collection[Line], gone: set[tuple[str, str]], answer: Any = (), **more: Any
) -> World:
    """Lines whose customers `gone` are not known by; answers tell customer ids, as real ones do."""
    return World(clock, list(lines), answer, unknown=gone, names_of=lambda facts: names_of_answer(facts, None), **more)


def closings_of(world: World) -> list[str]:
    """What is said of each order that is closed, as it comes."""
    said: list[str] = []
    close = world.ledger.close_order

    def note(run: int, order_id: int, reason: Reason) -> None:
        said.append(reason.message)
        close(run, order_id, reason)

    world.ledger.close_order = note  # type: ignore[method-assign]
    return said


def sent(world: World) -> list[str]:
    """Whom the calls named, in their order."""
    return [post.customer.partition(":")[0] for post in world.api.posts]


def test_a_customer_unknown_by_mobile_is_issued_to_by_email() -> None:
    """701 by mobile, then the next call of the same order names her by e-mail: another key, the same order."""

    async def scenario(clock: VirtualClock) -> None:
        world = world_of(clock, [row(1, target=3)], unknown(1))
        assert await world.go() is None
        assert sent(world) == ["mobile", "email"]
        assert [post.count for post in world.api.posts] == [3, 3]
        assert len({post.key for post in world.api.posts}) == 2
        (order,) = world.ledger.orders.values()
        assert (order.issued, order.closed, order.tried) == (3, None, (Kind.MOBILE,))
        assert {post.key.split("-")[0] for post in world.api.posts} == {order.key}
        world.check()

    drive(scenario)


def test_without_the_option_a_701_closes_the_order() -> None:
    """Nothing is looked up and nobody is named otherwise."""

    async def scenario(clock: VirtualClock) -> None:
        world = world_of(clock, [row(1, fall_back=False)], unknown(1))
        assert await world.go() is None
        assert (sent(world), world.api.look_ups, world.closed(1)) == (["mobile"], [], "701")

    drive(scenario)


def test_an_identifier_that_leads_to_nobody_costs_no_call() -> None:
    """The look-up tells: the third identifier is sent, the second is only named as tried."""

    async def scenario(clock: VirtualClock) -> None:
        world = world_of(clock, [row(1, kinds=3)], unknown(1, kinds=2))
        assert await world.go() is None
        assert sent(world) == ["mobile", "externalId"]
        (order,) = world.ledger.orders.values()
        assert order.tried == (Kind.MOBILE, Kind.EMAIL)

    drive(scenario)


def test_when_nobody_is_known_by_any_identifier_the_order_is_closed_and_says_what_was_tried() -> None:
    """One order, one error, all kinds in its message."""

    async def scenario(clock: VirtualClock) -> None:
        world = world_of(clock, [row(1, kinds=3)], unknown(1, kinds=3))
        closings = closings_of(world)
        assert await world.go() is None
        assert (sent(world), world.closed(1)) == (["mobile"], "701")
        assert "not found by mobile nor email nor externalId" in closings[0]

    drive(scenario)


def test_a_701_by_the_last_identifier_names_all_of_them() -> None:
    """The look-up knew her, the call did not: the order is over, and says by what she was looked for."""

    async def scenario(clock: VirtualClock) -> None:
        answers = {"mobile": Fault.ROW_REFUSED, "email": Fault.ROW_REFUSED}
        world = world_of(clock, [row(1)], set(), lambda post: answers[post.customer.partition(":")[0]])
        closings = closings_of(world)
        assert await world.go() is None
        assert (sent(world), world.ledger.orders[1].closed) == (["mobile", "email"], "701")
        assert closings == ["Customer not found (not found by mobile nor email)"]

    drive(scenario)


def test_another_refusal_is_no_reason_to_fall_back() -> None:
    """A series that is closed, or a customer who may have no more, is not asked for by another name."""

    async def scenario(clock: VirtualClock) -> None:
        world = world_of(clock, [row(1)], set(), [Fault.SERIES_REFUSED])
        assert await world.go() is None
        assert (sent(world), world.api.look_ups) == (["mobile"], [])

    drive(scenario)


@pytest.mark.parametrize("first", [Fault.COMMIT_THEN_LOST, Fault.LOST_BEFORE_COMMIT, Fault.PARTIAL_ERROR])
def test_an_order_with_coupons_or_a_doubt_keeps_its_identifier(first: Fault) -> None:
    """What was, or may have been, issued by mobile is read by mobile: a later 701 closes the order."""

    async def scenario(clock: VirtualClock) -> None:
        world = world_of(clock, [row(1, target=600)], set(), [first, Fault.ROW_REFUSED])
        assert await world.go() is None
        assert set(sent(world)) == {"mobile"}
        (order,) = world.ledger.orders.values()
        assert (order.sent.kind, order.tried, order.closed) == (Kind.MOBILE, (), "701")
        world.check()

    drive(scenario)


def test_the_ledger_knows_the_identifier_before_a_call_is_sent_by_it() -> None:
    """At each POST the order names in the ledger whom the call names: whoever reads later reads the right customer."""

    async def scenario(clock: VirtualClock) -> None:
        world = world_of(clock, [row(n) for n in range(1, 6)], unknown(1, 3, 5))

        def check(post: Any) -> None:
            order = world.ledger.orders[world.ledger.calls[post.key].order]
            assert post.customer == f"{order.sent.kind}:{order.sent.written}"

        world.api._on_post = check
        assert await world.go() is None
        assert sorted(sent(world)) == ["email"] * 3 + ["mobile"] * 5

    drive(scenario)


def test_whoever_has_an_order_under_another_name_is_not_issued_to_again() -> None:
    """The look-up says who she is, and she got hers already: the two orders are one, and nothing is sent."""

    async def scenario(clock: VirtualClock) -> None:
        first, second = row(1, kinds=1), row(2)
        same = {("mobile", mobile(1)): "Ann", ("email", "person2@example.com"): "Ann"}
        world = world_of(clock, [first, second], unknown(2), concurrency=1, same_person=same)
        assert await world.go() is None
        assert world.api.held("mobile", mobile(1), SERIES) == 1
        assert len(world.api.posts) == 2  # by mobile 1, and by mobile 2, which nobody has
        assert [order.merged_into for order in world.ledger.orders.values()] == [None, 1]

    drive(scenario)


def test_when_the_look_up_cannot_be_asked_the_order_is_closed_with_the_reason() -> None:
    """Whether she got hers under another name cannot be told, so nothing is sent."""

    async def scenario(clock: VirtualClock) -> None:
        world = world_of(clock, [row(1)], unknown(1))
        world.api.look_up_problem = "these credentials have no access to the look-up"
        closings = closings_of(world)
        assert await world.go() is None
        assert sent(world) == ["mobile"]
        assert closings[0].endswith(
            "(not found by mobile, and who the email leads to cannot be told: these credentials have no access to the"
            " look-up)"
        )

    drive(scenario)


def test_a_customer_found_by_her_next_identifier_is_no_error() -> None:
    """`--max-errors` counts orders that failed, not identifiers."""

    async def scenario(clock: VirtualClock) -> None:
        lines = [row(n) for n in range(1, 9)]
        world = world_of(clock, lines, unknown(*range(1, 9)), max_errors=Threshold(0, None))
        assert await world.go() is None
        world = world_of(clock, lines, unknown(*range(1, 9), kinds=2), max_errors=Threshold(2, None))
        stop = await world.go()
        assert stop is not None
        assert stop.kind is StopKind.GUARD

    drive(scenario)


def test_limit_and_cap_hold_for_orders_that_fall_back() -> None:
    """An order counts once under `--limit`, and its coupons once under the cap, whoever it names."""

    async def scenario(clock: VirtualClock) -> None:
        lines = [row(n, target=2) for n in range(1, 6)]
        world = world_of(clock, lines, unknown(*range(1, 6)), limit=2)
        stop = await world.go()
        assert stop is not None
        assert stop.kind is StopKind.LIMIT
        assert world.api.total_held() == 4
        world = world_of(clock, lines, unknown(*range(1, 6)), max_coupons=4)
        stop = await world.go()
        assert stop is not None
        assert stop.kind is StopKind.GUARD
        assert world.api.total_held() == 4

    drive(scenario)


def test_the_next_run_asks_for_more_by_the_identifier_that_the_coupons_went_to() -> None:
    """A raised target goes to the same customer, without asking by mobile first; the key of the order stays."""

    async def scenario(clock: VirtualClock) -> None:
        world = world_of(clock, [row(1, target=2)], unknown(1))
        assert await world.go() is None
        world.load([row(1, target=5)])
        assert await world.go() is None
        assert sent(world) == ["mobile", "email", "email"]
        assert [post.count for post in world.api.posts] == [2, 2, 3]
        assert len(world.ledger.orders) == 1

    drive(scenario)


def test_the_next_run_tries_the_first_identifier_again_when_nothing_came_of_the_order() -> None:
    """She was registered meanwhile."""

    async def scenario(clock: VirtualClock) -> None:
        world = world_of(clock, [row(1)], unknown(1), [Fault.NONE, Fault.ROW_REFUSED])
        assert await world.go() is None
        assert sent(world) == ["mobile", "email"]
        world.api.unknown.clear()
        world.load([row(1)])
        assert await world.go() is None
        assert sent(world) == ["mobile", "email", "mobile"]
        assert world.ledger.orders[1].issued == 1

    drive(scenario)


def test_an_order_that_changed_meanwhile_goes_on_as_it_is() -> None:
    """The ledger refuses the other name when the order was merged or closed since: nothing is sent by it."""

    async def scenario(clock: VirtualClock) -> None:
        world = world_of(clock, [row(1)], unknown(1))
        fall_back = world.ledger.fall_back

        async def close_first(item: FallBack) -> Order:
            world.ledger.orders[item.order_id].closed = "forgotten"
            return await fall_back(item)

        world.ledger.fall_back = close_first  # type: ignore[method-assign]
        assert await world.go() is None
        assert (sent(world), world.closed(1)) == (["mobile"], "forgotten")

    drive(scenario)
