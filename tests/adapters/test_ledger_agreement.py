"""Whatever happens in whatever order, the ledger on SQLite and the fake agree, and counters equal the sums of calls."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.core.model import (
    CallStart,
    CallState,
    CodeClass,
    Coupon,
    CustomerFacts,
    FallBack,
    Identifier,
    Kind,
    Outcome,
    Reason,
    Scope,
    Settlement,
)
from tests.adapters.ledger_world import SqliteWorld
from tests.fakes.memory_ledger import Line, MemoryLedger, Snapshot

EXAMPLES = settings.default.max_examples * 3 // 10 if settings.default is not None else 30
"""Histories of one kind: few in `make test`, since each is written to disk, many in the soak."""

REASON = Reason(code="709", message="not eligible", klass=CodeClass.FINAL, scope=Scope.ROW)

small = st.integers(0, 5)
outcomes = st.builds(
    lambda state, ids, held, customer: Outcome(
        state=state,
        coupons=tuple(Coupon(id_, f"C{id_}") for id_ in ids) if state in {CallState.ISSUED, CallState.IN_DOUBT} else (),
        held=held if state is CallState.IN_DOUBT else 0,
        reason=None if state is CallState.ISSUED else REASON,
        customer=CustomerFacts(customer, ()) if customer else None,
    ),
    st.sampled_from([CallState.ISSUED, CallState.ISSUED, CallState.REFUSED, CallState.IN_DOUBT, CallState.NEVER_LEFT]),
    st.lists(st.sampled_from(["", "1", "2", "3", "4", "5", "6", "7"]), min_size=1, max_size=3),
    st.integers(1, 2),
    st.sampled_from(["", "", "", "1001", "1002"]),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("load"), st.lists(st.tuples(small, st.integers(1, 2), st.integers(1, 4)), max_size=3)),
        st.tuples(st.just("begin"), small, st.integers(1, 3)),
        st.tuples(st.just("begin"), small, st.integers(1, 3)),
        st.tuples(st.just("settle"), small, outcomes),
        st.tuples(st.just("settle"), small, outcomes),
        st.tuples(st.just("close"), small),
        st.tuples(st.just("fall back"), small, st.sampled_from(["", "", "1001", "1002"])),
        st.tuples(st.just("takeover")),
    ),
    max_size=25,
)


def name(number: int) -> Identifier:
    return Identifier(Kind.MOBILE, f"91900000000{number}", f"91900000000{number}")


def address(number: int) -> Identifier:
    return Identifier(Kind.EMAIL, f"person{number}@example.com", f"Person{number}@example.com")


def root(snapshot: Snapshot, order: int) -> int:
    return snapshot.orders[order].merged_into or order


def assert_counters_equal_sums(snapshot: Snapshot) -> None:
    """For every order: issued and held are the sums over its calls and those of the orders merged into it."""
    for number, order in snapshot.orders.items():
        calls = [c for c in snapshot.calls.values() if root(snapshot, c.order) == number]
        assert (order.issued, order.held) == (sum(c.known for c in calls), sum(c.held for c in calls))
        assert order.merged_into is None or snapshot.orders[order.merged_into].merged_into is None
    for key, call in snapshot.calls.items():
        assert call.known == sum(c.state == "issued" for c in snapshot.coupons.get(key, ()))


class Pair:
    """Both ledgers, given the same orders."""

    def __init__(self, folder: Path) -> None:
        self.sqlite = SqliteWorld(folder)
        self.memory = MemoryLedger(nonce=self.sqlite.nonce)
        self.run = 1
        self.load([(n, 1, 2) for n in range(6)])

    def load(self, lines: list[tuple[int, int, int]]) -> None:
        entries = [
            Line((name(person), address(person)), series, target, fall_back=True)
            if person % 2
            else Line((name(person),), series, target)
            for person, series, target in lines
        ]
        assert self.sqlite.load(self.run, entries) == self.memory.load(self.run, entries)

    async def both(self, step: tuple[Any, ...]) -> None:
        now = self.memory.snapshot()
        if step[0] == "load":
            self.run += 1
            self.load(step[1])
        elif step[0] == "begin":
            order = 1 + step[1] % len(now.orders)
            number = now.orders[order].calls + 1
            start = CallStart(f"o{order}-{number}-{len(now.calls)}", order, number, step[2], self.run)
            assert await self.sqlite.ledger.begin(start) == await self.memory.begin(start)
        elif step[0] == "close":
            order = 1 + step[1] % len(now.orders)
            self.sqlite.ledger.close_order(self.run, order, REASON)
            self.memory.close_order(self.run, order, REASON)
        elif step[0] == "fall back":
            order = 1 + step[1] % len(now.orders)
            names = (Identifier(Kind.CUSTOMER_ID, step[2], step[2]),) if step[2] else ()
            facts = now.orders[order]
            item = FallBack(order, facts.person, self.run, facts.calls, 0, names)
            one, other = await self.sqlite.ledger.fall_back(item), await self.memory.fall_back(item)
            assert one._replace(key="") == other._replace(key="")
        elif step[0] == "takeover":
            await self.sqlite.ledger.flush()
            assert self.sqlite.recover() == self.memory.recover()
        else:
            self.settle(now, step[1], step[2])
        await asyncio.gather(self.sqlite.ledger.flush(), self.memory.flush())

    def settle(self, now: Snapshot, which: int, outcome: Outcome) -> None:
        """Settle a call that waits for it: one being sent, or a doubtful one that is issued or refused now."""
        late = outcome.state in {CallState.ISSUED, CallState.REFUSED}
        waiting = [key for key, c in now.calls.items() if c.state == "sending" or (late and c.state == "in_doubt")]
        if not waiting:
            return
        key = waiting[which % len(waiting)]
        call = now.calls[key]
        if outcome.held > call.quantity:
            return
        facts = outcome.customer
        names = (Identifier(Kind.CUSTOMER_ID, facts.id, facts.id),) if facts is not None else ()
        settlement = Settlement(key, call.order, now.orders[call.order].person, call.run, outcome, names, 0.01)
        self.sqlite.ledger.settle(settlement)
        self.memory.settle(settlement)


@settings(max_examples=EXAMPLES)
@given(steps)
def test_the_ledger_and_the_fake_agree_on_every_history(history: list[tuple[Any, ...]]) -> None:
    """Loads, begins, settlements, closings, fall backs, takeovers: equal orders, calls, coupons, closures and notes."""

    async def play(folder: Path) -> None:
        pair = Pair(folder)
        try:
            for step in history:
                await pair.both(step)
                assert pair.sqlite.snapshot() == pair.memory.snapshot()
            assert_counters_equal_sums(pair.memory.snapshot())
        finally:
            await pair.sqlite.ledger.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder)))


@settings(max_examples=EXAMPLES // 3)
@given(st.integers(2, 24), st.randoms(use_true_random=False))
def test_many_at_once_never_hold_or_issue_more_than_the_target(workers: int, random: Any) -> None:
    """Workers that race for the same orders, settling as they like: never above the target, and sums stay equal."""

    async def play(folder: Path) -> None:
        world = SqliteWorld(folder)
        orders = world.load(1, [Line((name(n % 10)._replace(value=str(n)),), 1, 3) for n in range(8)])
        numbers = iter(range(1, 10_000))

        async def work() -> None:
            for _ in range(6):
                order = await world.ledger.order(random.choice(orders))
                start = CallStart(
                    f"o{order.id}-{order.calls + 1}-{next(numbers)}", order.id, order.calls + 1, random.randint(1, 3), 1
                )
                if await world.ledger.begin(start):
                    ids = tuple(Coupon(str(next(numbers)), "C") for _ in range(random.randint(1, start.quantity)))
                    held = random.randint(0, start.quantity - len(ids))
                    state = CallState.IN_DOUBT if held else CallState.ISSUED
                    outcome = Outcome(state=state, coupons=ids, held=held, reason=REASON)
                    world.ledger.settle(Settlement(start.key, order.id, order.person, 1, outcome, (), 0.01))

        try:
            await asyncio.gather(*(work() for _ in range(workers)))
            await world.ledger.flush()
            snapshot = world.snapshot()
            assert_counters_equal_sums(snapshot)
            assert all(order.issued + order.held <= order.target for order in snapshot.orders.values())
        finally:
            await world.ledger.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder)))
