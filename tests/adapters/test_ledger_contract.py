"""The promises of the port `Ledger`, each on the ledger on SQLite and on the fake in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner.core.model import (
    CallStart,
    CallState,
    CodeClass,
    Coupon,
    CustomerFacts,
    FallBack,
    Identifier,
    Kind,
    Order,
    Outcome,
    Reason,
    Scope,
    Settlement,
)
from runner.errors import LedgerFailed
from runner.ports import Ledger
from tests.adapters.ledger_world import SqliteWorld
from tests.fakes.memory_ledger import Line, MemoryLedger, Snapshot

RUN = 1
SERIES = 415446
NOT_ELIGIBLE = Reason(code="709", message="not eligible", klass=CodeClass.FINAL, scope=Scope.ROW)
LOST = Reason(code="timeout", message="no answer came", klass=CodeClass.UNKNOWN, scope=Scope.ROW)


def mobile(number: int) -> Identifier:
    return Identifier(Kind.MOBILE, f"9190000000{number:02}", f"9190000000{number:02}")


def line(number: int, target: int = 1, series: int = SERIES) -> Line:
    return Line((mobile(number),), series, target)


def issued(*ids: str, customer: str = "", **more: object) -> Outcome:
    facts = CustomerFacts(customer, ()) if customer else None
    coupons = tuple(Coupon(id_, f"CODE{id_}") for id_ in ids)
    return replace(Outcome(state=CallState.ISSUED, coupons=coupons, status=200, customer=facts), **more)  # type: ignore[arg-type]


REFUSED = Outcome(state=CallState.REFUSED, status=200, reason=NOT_ELIGIBLE, codes=("709",))


def in_doubt(held: int, *ids: str) -> Outcome:
    coupons = tuple(Coupon(id_, f"CODE{id_}") for id_ in ids)
    return Outcome(state=CallState.IN_DOUBT, coupons=coupons, held=held, reason=LOST)


class World:
    """A ledger and what the suite does with it."""

    def __init__(self, ledger: Ledger, backing: MemoryLedger | SqliteWorld) -> None:
        self.ledger = ledger
        self.load = backing.load
        self.recover = backing.recover
        self.together = backing.together
        self._backing = backing

    async def start(self, order_id: int, quantity: int = 1, *, run: int = RUN) -> CallStart:
        order = await self.ledger.order(order_id)
        number = order.calls + 1
        return CallStart(f"{order.key}-{number}-{self._backing.nonce}", order_id, number, quantity, run)

    async def begin(self, order_id: int, quantity: int = 1, *, run: int = RUN) -> CallStart:
        start = await self.start(order_id, quantity, run=run)
        assert await self.ledger.begin(start)
        return start

    async def settle(self, start: CallStart, outcome: Outcome, *, names: tuple[Identifier, ...] = ()) -> None:
        self.queue(start, outcome, names=names)
        await self.ledger.flush()

    def queue(self, start: CallStart, outcome: Outcome, *, names: tuple[Identifier, ...] = ()) -> None:
        person = self.snapshot().orders[start.order_id].person
        if outcome.customer is not None and outcome.customer.id:
            names = (Identifier(Kind.CUSTOMER_ID, outcome.customer.id, outcome.customer.id), *names)
        self.ledger.settle(Settlement(start.key, start.order_id, person, start.run, outcome, names, 0.02))

    def snapshot(self) -> Snapshot:
        return self._backing.snapshot()

    def counters(self, order_id: int) -> tuple[int, int]:
        order = self.snapshot().orders[order_id]
        return order.issued, order.held


@pytest.fixture(params=["sqlite", "memory"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param == "memory":
        memory = MemoryLedger()
        yield World(memory, memory)
        return
    sqlite = SqliteWorld(tmp_path)
    yield World(sqlite.ledger, sqlite)
    try:
        await sqlite.ledger.close()
    except LedgerFailed:
        pass  # the test has made it fail and has seen it


async def test_a_begun_call_is_recorded_and_holds_its_quantity(world: World) -> None:
    """What was begun is `sending` and not missing any more, before a byte of it leaves."""
    (order,) = world.load(RUN, [line(1, target=3)])
    start = await world.begin(order, 2)
    assert world.snapshot().calls[start.key].state == "sending"
    assert world.counters(order) == (0, 2)
    assert await world.ledger.open_series(RUN) == {SERIES: 1}


async def test_no_call_begins_for_more_than_is_missing(world: World) -> None:
    """target − issued − in doubt is the most that a call may ask for; a refused begin records nothing."""
    (order,) = world.load(RUN, [line(1, target=3)])
    await world.begin(order, 2)
    assert not await world.ledger.begin(await world.start(order, 2))
    assert len(world.snapshot().calls) == 1
    assert world.counters(order) == (0, 2)


async def test_of_two_begins_at_one_time_only_one_gets_the_last_coupon(world: World) -> None:
    """Two callers with the same knowledge of an order: one begins, the other reads the order again."""
    (order,) = world.load(RUN, [line(1)])
    start = await world.start(order)
    other = start._replace(key=start.key + "x")
    assert sorted(await asyncio.gather(world.ledger.begin(start), world.ledger.begin(other))) == [False, True]
    assert world.counters(order) == (0, 1)


async def test_only_the_refused_begins_of_a_batch_are_refused(world: World) -> None:
    """Begins that come together do not share their fate."""
    orders = world.load(RUN, [line(n) for n in range(1, 7)])
    for full in orders[::2]:
        await world.begin(full)
    starts = [await world.start(order) for order in orders]
    assert await asyncio.gather(*map(world.ledger.begin, starts)) == [False, True] * 3
    assert all(world.counters(order) == (0, 1) for order in orders)


async def test_an_issued_call_moves_its_quantity_from_held_to_issued(world: World) -> None:
    """The counters move in the call's own transaction, and the coupons are recorded in their order."""
    (order,) = world.load(RUN, [line(1, target=2)])
    start = await world.begin(order, 2)
    await world.settle(start, issued("71", "72"))
    assert world.counters(order) == (2, 0)
    assert [(c.position, c.id, c.state) for c in world.snapshot().coupons[start.key]] == [
        (0, "71", "issued"),
        (1, "72", "issued"),
    ]


async def test_a_partial_answer_leaves_the_rest_missing(world: World) -> None:
    """Fewer coupons and nothing in doubt: the next call may ask for exactly the difference."""
    (order,) = world.load(RUN, [line(1, target=5)])
    await world.settle(await world.begin(order, 5), issued("71", "72", reason=NOT_ELIGIBLE))
    assert world.counters(order) == (2, 0)
    assert not await world.ledger.begin(await world.start(order, 4))
    assert await world.ledger.begin(await world.start(order, 3))


async def test_what_is_in_doubt_stays_held(world: World) -> None:
    """A lost answer may have issued: its quantity is not missing, however often the order is asked for."""
    (order,) = world.load(RUN, [line(1, target=2)])
    start = await world.begin(order, 2)
    await world.settle(start, in_doubt(2))
    assert world.snapshot().calls[start.key].state == "in_doubt"
    assert world.counters(order) == (0, 2)
    assert not await world.ledger.begin(await world.start(order, 1))


async def test_a_call_that_never_left_releases_what_it_held(world: World) -> None:
    """Nothing was sent, so everything is missing again."""
    (order,) = world.load(RUN, [line(1)])
    await world.settle(await world.begin(order), Outcome(state=CallState.NEVER_LEFT, reason=LOST))
    assert world.counters(order) == (0, 0)
    assert await world.ledger.begin(await world.start(order))


async def test_a_late_answer_settles_a_doubt_and_counts_each_coupon_once(world: World) -> None:
    """Coupons that the doubtful answer had listed are not counted again when the whole answer is known."""
    (order,) = world.load(RUN, [line(1, target=3)])
    start = await world.begin(order, 3)
    await world.settle(start, in_doubt(2, "71"))
    assert world.counters(order) == (1, 2)
    await world.settle(start, issued("71", "72", "73"))
    assert world.counters(order) == (3, 0)
    assert world.snapshot().calls[start.key][2:6] == ("issued", 3, 3, 0)
    assert [c.id for c in world.snapshot().coupons[start.key]] == ["71", "72", "73"]


async def test_a_late_answer_with_codes_alone_counts_as_many_as_are_new(world: World) -> None:
    """Without ids the same code may stand for several coupons; those of the earlier answer are not added again."""
    (order,) = world.load(RUN, [line(1, target=3)])
    start = await world.begin(order, 3)
    generic = Coupon("", "WELCOME")
    await world.settle(start, replace(in_doubt(2), coupons=(generic,)))
    await world.settle(start, replace(issued(), coupons=(generic,) * 3))
    assert world.counters(order) == (3, 0)
    assert len(world.snapshot().coupons[start.key]) == 3


async def test_a_doubt_proved_empty_keeps_the_coupons_it_had(world: World) -> None:
    """A call with a coupon is never refused, whatever becomes of the rest of it."""
    (order,) = world.load(RUN, [line(1, target=2)])
    start = await world.begin(order, 2)
    await world.settle(start, in_doubt(1, "71"))
    await world.settle(start, REFUSED)
    assert world.snapshot().calls[start.key].state == "issued"
    assert world.counters(order) == (1, 0)


async def test_a_coupon_found_after_a_refusal_is_recorded(world: World) -> None:
    """REFUSED becomes ISSUED when a later read finds the coupon."""
    (order,) = world.load(RUN, [line(1)])
    start = await world.begin(order)
    await world.settle(start, REFUSED)
    await world.settle(start, issued("71"))
    assert world.counters(order) == (1, 0)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (issued("71"), issued("71")),
        (issued("71"), REFUSED),
        (REFUSED, REFUSED),
        (REFUSED, in_doubt(1)),
        (in_doubt(1), Outcome(state=CallState.NEVER_LEFT)),
        (Outcome(state=CallState.NEVER_LEFT), issued("71")),
    ],
)
async def test_a_settlement_that_the_table_forbids_stops_everything(
    world: World, first: Outcome, then: Outcome
) -> None:
    """Nothing is sent on a ledger that has contradicted itself, and the contradiction is not recorded."""
    (order, other) = world.load(RUN, [line(1), line(2)])
    start = await world.begin(order)
    await world.settle(start, first)
    before = world.counters(order)
    with pytest.raises(LedgerFailed):
        await world.settle(start, then)
    with pytest.raises(LedgerFailed):
        await world.ledger.begin(CallStart("later", other, 1, 1, RUN))
    assert world.counters(order) == before


async def test_a_settlement_without_its_call_stops_everything(world: World) -> None:
    """An answer to a call that the ledger has never heard of is never ignored."""
    (order, other) = world.load(RUN, [line(1), line(2)])
    unknown = CallStart("unheard-of", order, 1, 1, RUN)
    with pytest.raises(LedgerFailed):
        await world.settle(unknown, issued("71"))
    with pytest.raises(LedgerFailed):
        world.ledger.close_order(RUN, other, NOT_ELIGIBLE)


async def test_a_settlement_of_another_order_stops_everything(world: World) -> None:
    """A call's coupons cannot end up with somebody else."""
    (order, other) = world.load(RUN, [line(1), line(2)])
    start = await world.begin(order)
    with pytest.raises(LedgerFailed):
        await world.settle(start._replace(order_id=other), issued("71"))


async def test_a_resent_coupon_is_no_new_one_and_ends_the_order(world: World) -> None:
    """A coupon that the customer held before, and nothing else: refused as `resent`, asked no more, in any run."""
    (order,) = world.load(RUN, [line(1, target=2)])
    await world.settle(await world.begin(order), issued("71"))
    start = await world.begin(order)
    await world.settle(start, issued("71"))
    snapshot = world.snapshot()
    assert world.counters(order) == (1, 0)
    assert (snapshot.calls[start.key].state, snapshot.calls[start.key].code) == ("refused", "resent")
    assert [c.state for c in snapshot.coupons[start.key]] == ["resent"]
    assert snapshot.orders[order].closed == "resent"
    assert snapshot.closures == {(RUN, order): "resent"}
    assert not await world.ledger.begin(await world.start(order))
    world.ledger.close_order(RUN, order, NOT_ELIGIBLE)
    world.load(2, [line(1, target=2)])
    assert (await world.ledger.order(order)).closed


async def test_a_resent_coupon_beside_a_new_one_counts_the_new_one(world: World) -> None:
    """The order is not closed: what is new was issued, and what is still missing may be asked for."""
    (order,) = world.load(RUN, [line(1, target=3)])
    await world.settle(await world.begin(order), issued("71"))
    start = await world.begin(order, 2)
    await world.settle(start, issued("71", "72"))
    assert world.counters(order) == (2, 0)
    assert world.snapshot().calls[start.key].flags == ("resent",)
    assert await world.ledger.begin(await world.start(order))


async def test_a_coupon_resent_in_another_campaign_is_recognised(world: World) -> None:
    """Customer and series decide, not the campaign."""
    (here,) = world.load(RUN, [line(1)])
    (there,) = world.load(2, [line(1)], scope=2)
    assert here != there
    await world.settle(await world.begin(here), issued("71"))
    await world.settle(await world.begin(there, run=2), issued("71"))
    assert world.counters(there) == (0, 0)


async def test_a_coupon_known_for_another_customer_counts_and_is_flagged(world: World) -> None:
    """Surprising, but this customer got it: flagged, never absorbed."""
    (one, other) = world.load(RUN, [line(1), line(2)])
    await world.settle(await world.begin(one), issued("71"))
    start = await world.begin(other)
    await world.settle(start, issued("71"))
    assert world.counters(other) == (1, 0)
    assert world.snapshot().calls[start.key].flags == ("known_for_another",)


async def test_a_surprise_stays_when_a_later_answer_settles_the_call(world: World) -> None:
    """What the first, doubtful answer held is still worth a look; a later one only adds to it."""
    (one, other) = world.load(RUN, [line(1), line(2, target=2)])
    await world.settle(await world.begin(one), issued("71"))
    start = await world.begin(other, 2)
    await world.settle(start, in_doubt(1, "71"))
    await world.settle(start, issued("71", "72", flags=("counts_contradict",)))
    assert world.snapshot().calls[start.key].flags == ("counts_contradict", "known_for_another")


async def test_one_coupon_for_two_customers_at_the_same_moment_is_flagged_too(world: World) -> None:
    """Two answers in one batch are compared with each other as well."""
    (one, other) = world.load(RUN, [line(1), line(2)])
    first, second = await world.begin(one), await world.begin(other)
    with world.together():
        world.queue(first, issued("71"))
        world.queue(second, issued("71"))
    await world.ledger.flush()
    assert world.snapshot().calls[second.key].flags == ("known_for_another",)


async def test_the_same_id_in_another_series_is_a_surprise_and_no_resend(world: World) -> None:
    """A coupon belongs to one series: this one is counted for its customer, and flagged."""
    (one, other) = world.load(RUN, [line(1), line(1, series=535521)])
    await world.settle(await world.begin(one), issued("71"))
    start = await world.begin(other)
    await world.settle(start, issued("71"))
    assert world.counters(other) == (1, 0)
    assert world.snapshot().calls[start.key].flags == ("known_for_another",)


async def test_settlements_of_one_batch_each_move_their_own_order(world: World) -> None:
    """Many answers that are recorded at one moment are still one by one."""
    orders = world.load(RUN, [line(n, target=3) for n in range(1, 6)])
    starts = [await world.begin(order, 3) for order in orders]
    outcomes = [issued("71", "72", "73"), issued("74"), in_doubt(2, "75"), REFUSED, Outcome(state=CallState.NEVER_LEFT)]
    with world.together():
        for start, outcome in zip(starts, outcomes, strict=True):
            world.queue(start, outcome)
    await world.ledger.flush()
    assert [world.counters(order) for order in orders] == [(3, 0), (1, 0), (1, 2), (0, 0), (0, 0)]
    states = [world.snapshot().calls[start.key].state for start in starts]
    assert states == ["issued", "issued", "in_doubt", "refused", "never_left"]


async def test_generic_codes_repeat_without_being_surprising(world: World) -> None:
    """A code without an id says nothing about whose it is: counted for everyone, each time it is listed."""
    (one, other) = world.load(RUN, [line(1, target=2), line(2)])
    generic = replace(issued(), coupons=(Coupon("", "WELCOME"), Coupon("", "WELCOME")))
    await world.settle(await world.begin(one, 2), generic)
    start = await world.begin(other)
    await world.settle(start, replace(generic, coupons=generic.coupons[:1]))
    assert (world.counters(one), world.counters(other)) == ((2, 0), (1, 0))
    assert world.snapshot().calls[start.key].flags == ()


async def test_an_id_listed_twice_in_one_answer_counts_once(world: World) -> None:
    """The second is recorded as repeated."""
    (order,) = world.load(RUN, [line(1, target=2)])
    start = await world.begin(order, 2)
    await world.settle(start, issued("71", "71"))
    assert world.counters(order) == (1, 0)
    assert [c.state for c in world.snapshot().coupons[start.key]] == ["issued", "repeated"]


async def test_a_closed_order_is_asked_no_more_in_this_run_but_in_the_next(world: World) -> None:
    """`close_order` is durable with the next begin, and names its reason for the reports."""
    (order, other) = world.load(RUN, [line(1), line(2)])
    world.ledger.close_order(RUN, order, NOT_ELIGIBLE)
    await world.begin(other)
    assert world.snapshot().closures == {(RUN, order): "709"}
    assert await world.ledger.open_series(RUN) == {}
    assert not await world.ledger.begin(await world.start(order))
    world.load(2, [line(1)])
    assert await world.ledger.begin(await world.start(order, run=2))


async def test_the_latest_state_of_a_series_is_kept(world: World) -> None:
    """One state a series and run."""
    world.load(RUN, [line(1)])
    world.ledger.set_series(RUN, SERIES, "parked", LOST)
    world.ledger.set_series(RUN, SERIES, "open", None)
    await world.ledger.flush()
    assert world.snapshot().series == {(RUN, SERIES): "open"}


async def test_open_orders_come_in_pages_by_ascending_id_without_the_finished(world: World) -> None:
    """A keyset cursor sees every open order of its series once, however many were finished on the way."""
    orders = world.load(RUN, [line(n) for n in range(1, 8)])
    (elsewhere,) = world.load(2, [line(9, series=535521)])
    await world.settle(await world.begin(orders[1]), issued("71"))
    await world.begin(orders[3])
    world.ledger.close_order(RUN, orders[4], NOT_ELIGIBLE)
    await world.ledger.flush()
    seen: list[int] = []
    while page := await world.ledger.open_orders(RUN, SERIES, seen[-1] if seen else 0, 2):
        seen.extend(order.id for order in page)
    assert seen == [orders[0], orders[2], orders[5], orders[6]]
    (other,) = await world.ledger.open_orders(2, 535521, 0, 10)
    assert (other.id, other.kind, other.value, other.target) == (elsewhere, Kind.MOBILE, "919000000009", 1)


async def test_an_order_is_read_after_everything_queued_before(world: World) -> None:
    """`order` sees a settlement that was queued a moment ago."""
    (order,) = world.load(RUN, [line(1, target=2)])
    start = await world.begin(order)
    world.queue(start, issued("71"))
    read = await world.ledger.order(order)
    assert (read.issued, read.held, read.calls) == (1, 0, 1)


async def test_a_settlement_is_durable_when_a_later_begin_returns(world: World) -> None:
    """First in, first out: the next call's begin implies the last call's settlement."""
    (order, other) = world.load(RUN, [line(1), line(2)])
    start = await world.begin(order)
    following = await world.start(other)
    world.queue(start, issued("71"))
    await world.ledger.begin(following)
    assert world.counters(order) == (1, 0)


async def test_calls_being_sent_come_in_doubt_only_for_who_takes_over_the_campaign(world: World) -> None:
    """`recover` concerns its own campaign, keeps what is held, and finds nothing the second time."""
    (here,) = world.load(RUN, [line(1)])
    (there,) = world.load(2, [line(2)], scope=2)
    mine, other = await world.begin(here), await world.begin(there, run=2)
    assert world.recover(scope=1) == 1
    assert world.recover(scope=1) == 0
    calls = world.snapshot().calls
    assert (calls[mine.key].state, calls[other.key].state) == ("in_doubt", "sending")
    assert world.counters(here) == (0, 1)
    await world.settle(mine, issued("71"))
    assert world.counters(here) == (1, 0)


async def test_two_names_of_one_customer_become_one_order(world: World) -> None:
    """An answer names the same customer id for both rows: the older order takes over, the other is asked no more."""
    (older, younger) = world.load(RUN, [line(1), line(2)])
    await world.settle(await world.begin(older), issued("71", customer="1001"))
    start = await world.begin(younger)
    await world.settle(start, REFUSED, names=(Identifier(Kind.CUSTOMER_ID, "1001", "1001"),))
    orders = world.snapshot().orders
    assert orders[younger].merged_into == older
    assert orders[younger].person == orders[older].person
    assert (orders[younger].closed, orders[younger].target) == ("same_person", 0)
    assert world.counters(older) == (1, 0)
    assert world.snapshot().notes == {(RUN, younger): "same person as row 2"}
    assert (await world.ledger.order(younger)).id == older
    assert not await world.ledger.begin(start._replace(key="again", number=9))


async def test_a_customer_issued_twice_before_it_was_known_is_a_surplus(world: World) -> None:
    """Both had been issued: the sum stands on the older order, the later line says `surplus`."""
    (older, younger) = world.load(RUN, [line(1), line(2)])
    await world.settle(await world.begin(older), issued("71", customer="1001"))
    await world.settle(await world.begin(younger), issued("72", customer="1001"))
    snapshot = world.snapshot()
    assert world.counters(older) == (2, 0)
    assert snapshot.orders[younger].closed == "surplus"
    assert snapshot.closures == {(RUN, younger): "surplus"}
    assert snapshot.notes == {(RUN, younger): "same person as row 2"}


async def test_a_call_in_flight_when_its_order_is_merged_away_settles_on_the_survivor(world: World) -> None:
    """Held goes over with the merge, and the answer that comes later counts there."""
    (older, younger, third) = world.load(RUN, [line(1, target=3), line(2, target=3), line(3)])
    flying = await world.begin(younger, 2)
    await world.settle(await world.begin(older), issued("71", customer="1001"))
    await world.settle(
        await world.begin(third), REFUSED, names=(mobile(2), Identifier(Kind.CUSTOMER_ID, "1001", "1001"))
    )
    assert world.counters(older) == (1, 2)
    await world.settle(flying, issued("72", "73"))
    assert world.counters(older) == (3, 0)
    assert world.counters(younger) == (0, 0)


async def test_calls_of_two_merged_orders_may_end_together(world: World) -> None:
    """Two settlements of one batch that move the same order's counters are both counted."""
    (older, younger, third) = world.load(RUN, [line(1, target=4), line(2, target=4), line(3)])
    one, other = await world.begin(older), await world.begin(younger, 2)
    await world.settle(await world.begin(third), REFUSED, names=(mobile(1), mobile(2)))
    with world.together():
        world.queue(one, issued("71"))
        world.queue(other, issued("72", "73"))
    await world.ledger.flush()
    assert world.counters(older) == (3, 0)


async def test_orders_that_only_the_younger_person_had_change_hands(world: World) -> None:
    """Keys and counters stay; the lane is the surviving person's."""
    (older, younger) = world.load(RUN, [line(1), line(2, series=535521)])
    await world.settle(await world.begin(older), issued("71", customer="1001"))
    await world.settle(await world.begin(younger), issued("72", customer="1001"))
    orders = world.snapshot().orders
    assert orders[younger].merged_into is None
    assert orders[younger].person == orders[older].person
    assert world.counters(younger) == (1, 0)


async def test_three_names_of_one_customer_lead_to_one_order(world: World) -> None:
    """An order merged away earlier follows its survivor: one step leads from each to the last one."""
    (first, second, third) = world.load(RUN, [line(1), line(2), line(3)])
    await world.settle(await world.begin(third), REFUSED, names=(mobile(2),))
    assert world.snapshot().orders[third].merged_into == second
    await world.settle(await world.begin(second), REFUSED, names=(mobile(1),))
    orders = world.snapshot().orders
    assert (orders[second].merged_into, orders[third].merged_into) == (first, first)
    assert len({orders[order].person for order in (first, second, third)}) == 1


async def test_a_cancelled_begin_holds_nothing(world: World) -> None:
    """Whoever is cancelled while it begins has sent nothing: nothing stays held for it."""
    (order,) = world.load(RUN, [line(1)])
    task = asyncio.create_task(world.ledger.begin(await world.start(order)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await world.ledger.flush()
    await world.ledger.flush()
    assert world.counters(order) == (0, 0)


EMAIL = Identifier(Kind.EMAIL, "ann@example.com", "Ann@Example.com")
ID = Identifier(Kind.EXTERNAL_ID, "0042", "0042")
NOBODY_KNOWN = Outcome(
    state=CallState.REFUSED,
    status=200,
    reason=Reason(code="701", message="not found", klass=CodeClass.FINAL, scope=Scope.ROW),
    codes=("701",),
)


def row_of_three(number: int = 1, target: int = 2) -> Line:
    """A row whose customer may be named by mobile, e-mail or id."""
    return Line((mobile(number), EMAIL, ID), SERIES, target, fall_back=True)


async def fall_back(world: World, order_id: int, *, skipped: int = 0, names: tuple[Identifier, ...] = ()) -> Order:
    facts = world.snapshot().orders[order_id]
    return await world.ledger.fall_back(FallBack(order_id, facts.person, RUN, facts.calls, skipped, names))


async def test_an_order_falls_back_to_the_next_identifier_as_it_was_written(world: World) -> None:
    """Durable when it returns: key and number go on, the kind that failed is noted, what is left may follow."""
    (order,) = world.load(RUN, [row_of_three()])
    before = await world.ledger.order(order)
    await world.settle(await world.begin(order, 2), NOBODY_KNOWN)
    named = await fall_back(world, order)
    assert (named.kind, named.value, named.tried) == (Kind.EMAIL, "Ann@Example.com", (Kind.MOBILE,))
    assert (named.key, named.calls, named.others) == (before.key, 1, ((Kind.EXTERNAL_ID, "0042"),))
    assert world.snapshot().orders[order].sent == ("email", "Ann@Example.com")
    await world.settle(await world.begin(order, 2), issued("1", "2"))
    assert world.counters(order) == (2, 0)


async def test_identifiers_that_lead_to_nobody_are_passed_over(world: World) -> None:
    """They are noted as tried, and there is no way back to them in this run."""
    (order,) = world.load(RUN, [row_of_three()])
    named = await fall_back(world, order, skipped=1)
    assert (named.kind, named.value, named.others) == (Kind.EXTERNAL_ID, "0042", ())
    assert named.tried == (Kind.MOBILE, Kind.EMAIL)
    assert await fall_back(world, order) == named


@pytest.mark.parametrize("outcome", [issued("1"), in_doubt(2), None], ids=["issued", "in doubt", "under way"])
async def test_an_order_of_which_something_came_keeps_its_identifier(world: World, outcome: Outcome | None) -> None:
    """Coupons, a doubt, or a call without an answer: each is read by the identifier under which it was sent."""
    (order,) = world.load(RUN, [row_of_three(target=3)])
    start = await world.begin(order, 2)
    if outcome is not None:
        await world.settle(start, outcome)
    assert (await fall_back(world, order)).kind is Kind.MOBILE
    assert world.snapshot().orders[order].sent == ("mobile", mobile(1).written)


async def test_an_order_that_had_another_call_meanwhile_keeps_its_identifier(world: World) -> None:
    """Whoever asks for it knew the order as it was before."""
    (order,) = world.load(RUN, [row_of_three()])
    early = world.snapshot().orders[order]
    await world.settle(await world.begin(order), NOBODY_KNOWN)
    same = await world.ledger.fall_back(FallBack(order, early.person, RUN, early.calls, 0, ()))
    assert same.kind is Kind.MOBILE


async def test_a_closed_order_keeps_its_identifier(world: World) -> None:
    """Nothing more is asked for it."""
    (order,) = world.load(RUN, [row_of_three()])
    world.ledger.close_order(RUN, order, NOT_ELIGIBLE)
    assert (await fall_back(world, order)).kind is Kind.MOBILE


async def test_an_order_without_another_identifier_keeps_its_own(world: World) -> None:
    """A row with one identifier, or a run without the option."""
    lone, without = world.load(RUN, [line(1), Line((mobile(2), EMAIL), SERIES, 1)])
    assert (await fall_back(world, lone)).kind is Kind.MOBILE
    assert (await fall_back(world, without)).kind is Kind.MOBILE


async def test_a_look_up_leads_to_the_order_that_she_has_already(world: World) -> None:
    """Who she is was found out in time: the older order survives with its coupons, and nothing is missing."""
    first, second = world.load(RUN, [line(9, target=2), row_of_three(1)])
    await world.settle(await world.begin(first, 2), issued("1", "2", customer="77"))
    await world.settle(await world.begin(second, 2), NOBODY_KNOWN)
    fresh = await fall_back(world, second, names=(Identifier(Kind.CUSTOMER_ID, "77", "77"),))
    assert (fresh.id, fresh.issued, fresh.target) == (first, 2, 2)
    assert world.snapshot().orders[second].merged_into == first
    assert await world.ledger.open_series(RUN) == {}


async def test_a_fall_back_sees_what_was_queued_before_it(world: World) -> None:
    """In one batch with the settlement that forbids it, it comes second."""
    (order,) = world.load(RUN, [row_of_three(target=3)])
    start = await world.begin(order, 2)
    facts = world.snapshot().orders[order]
    with world.together():
        world.queue(start, in_doubt(1))
        asked = asyncio.ensure_future(world.ledger.fall_back(FallBack(order, facts.person, RUN, facts.calls, 0, ())))
        await asyncio.sleep(0)
    assert (await asked).kind is Kind.MOBILE


async def test_settlements_and_begins_of_other_orders_share_the_batch_of_a_fall_back(world: World) -> None:
    """Whatever comes together is applied together, each to its own order."""
    orders = world.load(RUN, [row_of_three(1), *(line(n) for n in range(2, 6))])
    await world.settle(await world.begin(orders[0], 2), NOBODY_KNOWN)
    facts = world.snapshot().orders[orders[0]]
    starts = [await world.begin(order) for order in orders[1:3]]
    later = [await world.start(order) for order in orders[3:]]
    with world.together():
        for number, start in enumerate(starts):
            world.queue(start, issued(str(number + 10)))
        asked = asyncio.ensure_future(
            world.ledger.fall_back(FallBack(orders[0], facts.person, RUN, facts.calls, 0, ()))
        )
        begun = [asyncio.ensure_future(world.ledger.begin(start)) for start in later]
        await asyncio.sleep(0)
    assert (await asked).kind is Kind.EMAIL
    assert await asyncio.gather(*begun) == [True, True]
    assert [world.counters(order) for order in orders] == [(0, 0), (1, 0), (1, 0), (0, 1), (0, 1)]
