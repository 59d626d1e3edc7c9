"""`MemoryLedger`: the port `Ledger` in memory, with the one property of the real one that matters to a crash.

What is queued (settlements, closings, series) is *volatile* until the next begin or flush; `crash` drops it, and
`recover` puts calls that were being sent in doubt, as a new process does. Under the same contract suite as the
ledger on SQLite.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from runner.core import merging
from runner.core.merging import CouponState, Half, Seen
from runner.core.model import CallStart, CallState, FallBack, Identifier, Kind, Order, Reason, Settlement
from runner.core.orders import ALLOWED
from runner.errors import LedgerFailed


class Line(NamedTuple):
    """One line of a file: who (the first identifier is the one sent), which series, and the order's target.

    `fall_back`: the other identifiers may name her too.
    """

    names: tuple[Identifier, ...]
    series: int
    target: int
    fall_back: bool = False

    @property
    def others(self) -> tuple[Identifier, ...]:
        """By which else she may be named."""
        return self.names[1:] if self.fall_back else ()


class CouponFacts(NamedTuple):
    """A recorded coupon, without its code."""

    position: int
    id: str
    state: str


class OrderFacts(NamedTuple):
    """An order as the ledger holds it. `sent`: kind and value; `others`: how many more may name her."""

    person: int
    series: int
    target: int
    issued: int
    held: int
    calls: int
    closed: str | None
    merged_into: int | None
    run: int
    sent: tuple[str, str | None]
    others: int
    tried: tuple[str, ...]


class CallFacts(NamedTuple):
    """A call as the ledger holds it."""

    order: int
    run: int
    state: str
    quantity: int
    known: int
    held: int
    code: str | None
    flags: tuple[str, ...]


class Snapshot(NamedTuple):
    """Everything durable that the contract speaks of."""

    orders: dict[int, OrderFacts]
    calls: dict[str, CallFacts]
    coupons: dict[str, tuple[CouponFacts, ...]]
    closures: dict[tuple[int, int], str]
    series: dict[tuple[int, int], str]
    notes: dict[tuple[int, int], str]


@dataclass(slots=True)
class _Order:
    scope: int
    key: str
    series: int
    person: int
    sent: Identifier
    target: int
    run: int
    issued: int = 0
    held: int = 0
    calls: int = 0
    closed: str | None = None
    merged_into: int | None = None
    others: tuple[Identifier, ...] = ()
    tried: tuple[Kind, ...] = ()
    rows: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Call:
    order: int
    run: int
    state: CallState
    quantity: int
    held: int
    known: int = 0
    code: str | None = None
    flags: tuple[str, ...] = ()
    coupons: list[tuple[int, str, str, CouponState]] = field(default_factory=list)


class MemoryLedger:
    """See the module. One org; a run is loaded into campaign 1 unless told otherwise."""

    def __init__(self, *, nonce: str = "aaaaaa") -> None:
        self.nonce = nonce
        self.orders: dict[int, _Order] = {}
        self.calls: dict[str, _Call] = {}
        self._identity: dict[tuple[str, str], int] = {}
        self._merged: dict[int, int] = {}
        self._persons = 0
        self._rows = 0
        self._closures: dict[tuple[int, int], str] = {}
        self._series: dict[tuple[int, int], str] = {}
        self._notes: dict[tuple[int, int], str] = {}
        self._volatile: list[Settlement | tuple[int, int, Reason] | tuple[int, int, str, Reason | None]] = []
        self._holders: dict[str, list[_Call]] = {}
        self._failure: LedgerFailed | None = None

    # ------------------------------------------------------------ for tests

    def load(self, run: int, lines: Sequence[Line], *, scope: int = 1) -> list[int]:
        """Load a file's lines, one row each, durably; the ids of their orders. Any name finds a person's order."""
        ids = []
        for number, line in enumerate(lines, start=2):
            person = self._person(line.names)
            found = [
                i
                for i, o in self.orders.items()
                if (o.scope, o.person, o.series) == (scope, person, line.series) and o.merged_into is None
            ]
            if found:
                order = self.orders[found[0]]
                order.target, order.run = line.target, run
                kept = bool(order.tried) and self._touched(found[0])
                if not kept:
                    order.sent, order.tried = line.names[0], ()
                order.others = () if kept else line.others
                if order.closed not in merging.FOR_GOOD:
                    order.closed = None
            else:
                key = f"{len(self.orders) + 1:024x}"
                order = _Order(scope, key, line.series, person, line.names[0], line.target, run, others=line.others)
                found = [len(self.orders) + 1]
                self.orders[found[0]] = order
            self._rows += 1
            order.rows.setdefault(run, number)
            ids.append(found[0])
        return ids

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is queued inside becomes durable at one moment, as it does here anyway."""
        yield

    def crash(self) -> None:
        """The process dies: what was queued and not yet durable is lost."""
        self._volatile.clear()

    def recover(self, *, scope: int = 1) -> int:
        """What a process does that has just acquired the campaign's lock: calls being sent come in doubt. How many."""
        interrupted = [
            call
            for call in self.calls.values()
            if call.state is CallState.SENDING and self.orders[call.order].scope == scope
        ]
        for call in interrupted:
            call.state, call.code = CallState.IN_DOUBT, "interrupted"
        return len(interrupted)

    def snapshot(self) -> Snapshot:
        """What is durable."""
        return Snapshot(
            {
                i: OrderFacts(
                    *(o.person, o.series, o.target, o.issued, o.held, o.calls, o.closed, o.merged_into, o.run),
                    *((o.sent.kind, o.sent.written), len(o.others), o.tried),
                )
                for i, o in self.orders.items()
            },
            {
                key: CallFacts(c.order, c.run, c.state, c.quantity, c.known, c.held, c.code, c.flags)
                for key, c in self.calls.items()
            },
            {
                key: tuple(sorted(CouponFacts(position, id_, state) for position, id_, _, state in c.coupons))
                for key, c in self.calls.items()
                if c.coupons
            },
            dict(self._closures),
            dict(self._series),
            dict(self._notes),
        )

    # ------------------------------------------------------------ ports.Ledger

    async def open_series(self, run: int) -> Mapping[int, int]:
        self._check()
        missing: dict[int, int] = {}
        for _, order in self._open(run):
            missing[order.series] = missing.get(order.series, 0) + order.target - order.issued - order.held
        return missing

    async def open_orders(self, run: int, series: int, after: int, limit: int) -> Sequence[Order]:
        self._check()
        found = [i for i, order in self._open(run) if order.series == series and i > after]
        return [self._order(i) for i in sorted(found)[:limit]]

    async def order(self, order_id: int) -> Order:
        await self.flush()
        return self._order(self._root(order_id))

    async def begin(self, start: CallStart) -> bool:
        self._check()
        await asyncio.sleep(0)
        self._settle_all()
        order = self.orders[start.order_id]
        missing = order.target - order.issued - order.held
        if order.closed or order.merged_into or missing < start.quantity or start.number <= order.calls:
            return False
        if start.key in self.calls:
            raise self._fail(f"the call {start.key} was begun before")
        self.calls[start.key] = _Call(start.order_id, start.run, CallState.SENDING, start.quantity, held=start.quantity)
        order.held += start.quantity
        order.calls = start.number
        return True

    async def fall_back(self, item: FallBack) -> Order:
        await self.flush()
        self._learn(item)
        order = self.orders[item.order_id]
        at_rest = not (order.closed or order.merged_into or self._touched(item.order_id))
        if at_rest and order.calls == item.calls and order.others:
            skipped = [one.kind for one in order.others[: item.skipped]]
            order.tried = (*order.tried, order.sent.kind, *skipped)
            order.sent, *others = order.others[item.skipped :]
            order.others = tuple(others)
        return self._order(self._root(item.order_id))

    def settle(self, settlement: Settlement) -> None:
        self._check()
        self._volatile.append(settlement)

    def close_order(self, run: int, order_id: int, reason: Reason) -> None:
        self._check()
        self._volatile.append((run, order_id, reason))

    def set_series(self, run: int, series: int, state: str, reason: Reason | None) -> None:
        self._check()
        self._volatile.append((run, series, state, reason))

    async def flush(self) -> None:
        self._check()
        await asyncio.sleep(0)
        self._settle_all()

    async def close(self) -> None:
        """Make everything queued durable."""
        await self.flush()

    # ------------------------------------------------------------ the rest

    def _check(self) -> None:
        if self._failure is not None:
            raise LedgerFailed(self._failure.message)

    def _fail(self, what: str) -> LedgerFailed:
        self._failure = LedgerFailed(f"The ledger in memory failed: {what}.")
        return self._failure

    def _root(self, order_id: int) -> int:
        return self.orders[order_id].merged_into or order_id

    def _open(self, run: int) -> list[tuple[int, _Order]]:
        return [
            (i, o)
            for i, o in self.orders.items()
            if o.run == run and not o.closed and not o.merged_into and o.target > o.issued + o.held
        ]

    def _order(self, i: int) -> Order:
        o = self.orders[i]
        return Order(
            i,
            o.key,
            o.series,
            o.person,
            o.sent.kind,
            o.sent.written,
            o.target,
            o.issued,
            o.held,
            o.calls,
            bool(o.closed),
            tuple((one.kind, one.written) for one in o.others),
            o.tried,
        )

    def _touched(self, i: int) -> bool:
        """Something came of an order, or may have."""
        order = self.orders[i]
        return bool(order.issued + order.held) or any(c.known + c.held for c in self.calls.values() if c.order == i)

    def _settle_all(self) -> None:
        queued, self._volatile = self._volatile, []
        for item in queued:
            if isinstance(item, Settlement):
                self._settle(item)
                self._learn(item)
            elif len(item) == 3:
                self._close(*item)
            else:
                self._series[item[0], item[1]] = item[2]

    def _close(self, run: int, order_id: int, reason: Reason) -> None:
        root = self._root(order_id)
        if self.orders[root].closed not in merging.FOR_GOOD:
            self.orders[root].closed = reason.code
        self._closures[run, root] = reason.code

    def _settle(self, settlement: Settlement) -> None:
        outcome = settlement.outcome
        call = self.calls.get(settlement.call_key)
        if call is None or call.order != settlement.order_id:
            raise self._fail(f"there is no call {settlement.call_key} of order {settlement.order_id}")
        states, flags = merging.sort_coupons(outcome.coupons, self._seen(settlement, call))
        new = states.count(CouponState.ISSUED)
        resent = merging.only_resent(states)
        state = merging.settled_state(outcome, known_before=call.known, new=new, resent=resent)
        if state not in ALLOWED[call.state]:
            raise self._fail(f"the call {settlement.call_key} cannot go from {call.state} to {state}")
        order = self.orders[self._root(call.order)]
        order.held += outcome.held - call.held
        order.issued += new
        reason = merging.RESENT_REASON if resent else outcome.reason
        call.state, call.held, call.known = state, outcome.held, call.known + new
        call.code = reason.code if reason else None
        call.flags = tuple(sorted({*call.flags, *outcome.flags, *flags}))
        for position, (coupon, what) in enumerate(zip(outcome.coupons, states, strict=True)):
            if what is not None:
                call.coupons.append((position, coupon.id, coupon.code, what))
                self._holders.setdefault(coupon.id, []).append(call)
        if resent:
            self._close(settlement.run, call.order, merging.RESENT_REASON)

    def _seen(self, settlement: Settlement, call: _Call) -> dict[int, set[Seen]]:
        seen: dict[int, set[Seen]] = {}
        codes = [code for _, id_, code, _ in call.coupons if not id_]
        mine = self.orders[call.order]
        for position, coupon in enumerate(settlement.outcome.coupons):
            if not coupon.id:
                if coupon.code in codes:
                    codes.remove(coupon.code)
                    seen[position] = {Seen.SAME_CALL}
                continue
            holders = self._holders.get(coupon.id, ())
            hers = [
                c
                for c in holders
                if (self.orders[c.order].person, self.orders[c.order].series) == (mine.person, mine.series)
            ]
            if call in hers:
                seen[position] = {Seen.SAME_CALL}
            elif hers:
                seen[position] = {Seen.SAME_CUSTOMER}
            elif holders:
                seen[position] = {Seen.ANOTHER}
        return seen

    def _person(self, names: Sequence[Identifier]) -> int:
        for name in names:
            if (name.kind, name.value) in self._identity:
                person = self._identity[name.kind, name.value]
                break
        else:
            self._persons += 1
            person = self._persons
        for name in names:
            self._identity.setdefault((name.kind, name.value), person)
        return merging.root_of(person, self._merged)

    def _learn(self, settlement: Settlement | FallBack) -> None:
        names = [(name.kind, name.value) for name in settlement.names]
        for kind, value in names:
            known = merging.root_of(self._identity.setdefault((kind, value), settlement.person), self._merged)
            told = merging.root_of(settlement.person, self._merged)
            if known != told:
                self._merge(min(known, told), max(known, told))

    def _merge(self, older: int, younger: int) -> None:
        self._merged[younger] = older
        mine = {(o.scope, o.series): i for i, o in self.orders.items() if o.person == older and not o.merged_into}
        theirs = [i for i, o in self.orders.items() if o.person == younger]
        for i in theirs:
            order = self.orders[i]
            survivor = mine.get((order.scope, order.series))
            if order.merged_into is None and survivor is not None:
                self._merge_orders(survivor, i)
                for other in theirs:
                    if self.orders[other].merged_into == i:
                        self.orders[other].merged_into = survivor
        for i in theirs:
            self.orders[i].person = older

    def _merge_orders(self, survivor: int, other: int) -> None:
        kept, gone = self.orders[survivor], self.orders[other]
        decision = merging.merge_orders(_half(kept), _half(gone))
        later, place = (other, kept) if decision.older_line_first else (survivor, gone)
        run = self.orders[later].run
        row = place.rows.get(place.run)
        self._notes[run, later] = f"same person as {'another row' if row is None else f'row {row}'}"
        kept.target, kept.issued, kept.held = decision.target, decision.issued, decision.held
        kept.closed, kept.run = decision.closed, decision.run
        gone.target = gone.issued = gone.held = 0
        gone.merged_into = survivor
        if gone.closed not in merging.FOR_GOOD:
            gone.closed = decision.other_code
        if decision.surplus:
            self._closures[decision.run, later] = merging.SURPLUS


def _half(order: _Order) -> Half:
    row = order.rows.get(order.run)
    return Half(
        target=order.target,
        issued=order.issued,
        held=order.held,
        closed=order.closed,
        run=order.run,
        line=None if row is None else (order.run, row),
    )
