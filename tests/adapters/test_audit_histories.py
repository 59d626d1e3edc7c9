"""Whatever happens in whatever order, an audit of the ledger finds nothing wrong: it never cries wolf."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.adapters.ledger.audit import audit_ledger
from runner.adapters.ledger.audit_scratch import Seen
from runner.adapters.ledger.events import append_body, append_event
from runner.adapters.ledger.falling_back import name_as_sent
from runner.adapters.ledger.files import transaction
from runner.adapters.ledger.loaded import describe_load
from runner.adapters.ledger.merging import surviving_person
from runner.adapters.ledger.runs import newest_head
from runner.adapters.ledger.settling import NAME_BYTES, settle
from runner.core.auditing import Verdict
from runner.core.keys import call_key, name_hash
from runner.core.model import (
    CallStart,
    CallState,
    CodeClass,
    Coupon,
    FallBack,
    Identifier,
    Kind,
    Outcome,
    Reason,
    Scope,
    Settlement,
    Source,
)
from tests.adapters.ledger_world import NOW, SqliteWorld
from tests.adapters.test_ledger_agreement import address, name, steps
from tests.fakes.memory_ledger import Line

REASON = Reason(code="709", message="not eligible", klass=CodeClass.FINAL, scope=Scope.ROW)


class History:
    """A ledger on which steps are taken as the engine takes them."""

    def __init__(self, folder: Path) -> None:
        self.world = SqliteWorld(folder)
        self.run = 0
        self.load([(number, 1, 2) for number in range(6)])

    def load(self, lines: list[tuple[int, int, int]]) -> None:
        """A run, recorded as the program records it. A list names an order once: duplicates were sorted out."""
        self.run += 1
        unique: dict[tuple[int, int], int] = {}
        for person, series, target in lines:
            unique[self._owner(person), series] = target
        entries = [
            Line((name(person), address(person)), series, target, fall_back=True)
            for (person, series), target in unique.items()
        ]
        before = self.world.snapshot().orders
        self.world.load(self.run, entries)
        self._tell_names(entries)
        after = self.world.snapshot().orders
        set_back = [order for order, facts in before.items() if facts.tried and not after[order].tried]
        with closing(self.world.file.connect()) as conn, transaction(conn):
            for order in set_back:
                kind, value = after[order].sent
                digest = name_as_sent(self.world.file.key, kind, value or "")[:NAME_BYTES].hex()
                append_event(conn, self.run, {"named_by": [[order, kind, digest, []]]}, at=NOW)
        with closing(self.world.file.connect()) as conn, transaction(conn):
            told = {"load": describe_load(conn.exec_driver_sql, self.run), "state": "running"}
            append_event(conn, self.run, told, at=NOW)

    def _tell_names(self, entries: list[Line]) -> None:
        with closing(self.world.file.connect()) as conn, transaction(conn):
            for one in {name for line in entries for name in line.names}:
                digest = name_hash(self.world.file.key, one.kind, one.value)
                owner = conn.exec_driver_sql("SELECT person_id FROM identity WHERE hash = ?", (digest,)).scalar_one()
                append_event(conn, self.run, {"names": [[1, owner, digest[:NAME_BYTES].hex()]]}, at=NOW)

    def _owner(self, number: int) -> int:
        """The least of the persons' numbers who turned out to be one with this one."""
        with closing(self.world.file.connect(readonly=True)) as conn:
            owners = [self._survivor(conn, one) for one in range(6)]
        return owners.index(owners[number]) if owners[number] is not None else number

    def _survivor(self, conn: sa.Connection, number: int) -> int | None:
        digest = name_hash(self.world.file.key, name(number).kind, name(number).value)
        person = conn.exec_driver_sql("SELECT person_id FROM identity WHERE hash = ?", (digest,)).scalar()
        return surviving_person(conn, int(person)) if person is not None else None

    async def take(self, step: tuple[Any, ...]) -> None:
        snapshot = self.world.snapshot()
        if step[0] == "load":
            if step[1]:
                self.load(step[1])
        elif step[0] == "begin":
            order = 1 + step[1] % len(snapshot.orders)
            number = snapshot.orders[order].calls + 1
            with closing(self.world.file.connect(readonly=True)) as conn:
                key = conn.exec_driver_sql("SELECT key FROM orders WHERE id = ?", (order,)).scalar_one()
            start = CallStart(call_key(key, number, self.world.nonce), order, number, step[2], self.run)
            await self.world.ledger.begin(start)
        elif step[0] == "close":
            self.world.ledger.close_order(self.run, 1 + step[1] % len(snapshot.orders), REASON)
        elif step[0] == "fall back":
            order = 1 + step[1] % len(snapshot.orders)
            names = (Identifier(Kind.CUSTOMER_ID, step[2], step[2]),) if step[2] else ()
            facts = snapshot.orders[order]
            await self.world.ledger.fall_back(FallBack(order, facts.person, self.run, facts.calls, 0, names))
        elif step[0] == "takeover":
            await self.world.ledger.flush()
            self.world.recover()
        elif step[0] == "read":
            self._read(step[1])
        else:
            self._settle(step[1], step[2])
        await self.world.ledger.flush()

    def _settle(self, which: int, outcome: Outcome) -> None:
        now = self.world.snapshot()
        late = outcome.state in {CallState.ISSUED, CallState.REFUSED}
        waiting = [key for key, c in now.calls.items() if c.state == "sending" or (late and c.state == "in_doubt")]
        if not waiting:
            return
        key = sorted(waiting)[which % len(waiting)]
        call = now.calls[key]
        if outcome.held > call.quantity:
            return
        names: tuple[Identifier, ...] = ()
        if outcome.customer is not None:
            names = (Identifier(Kind.CUSTOMER_ID, outcome.customer.id, outcome.customer.id),)
        person = now.orders[call.order].person
        self.world.ledger.settle(Settlement(key, call.order, person, call.run, outcome, names, 0.1))

    def _read(self, which: int) -> None:
        """A read that finds a part of a doubt, as `reconcile` records it."""
        now = self.world.snapshot()
        doubtful = sorted(key for key, call in now.calls.items() if call.state == "in_doubt")
        if not doubtful:
            return
        key = doubtful[which % len(doubtful)]
        call = now.calls[key]
        left = call.held - 1
        coupon = Coupon(f"read-{key}-{call.known}", "R")
        outcome = Outcome(state=CallState.IN_DOUBT if left else CallState.ISSUED, coupons=(coupon,), held=left)
        found = Settlement(key, call.order, now.orders[call.order].person, call.run, outcome, (), 0.0)
        with closing(self.world.file.connect()) as conn, transaction(conn):
            payload = settle(conn, [found], key=self.world.file.key, at=NOW, by=Source.READ)
            append_body(conn, call.run, b'{"settle":' + payload + b',"by":"read"}', at=NOW)


@settings(max_examples=25, deadline=None)
@given(first=steps, reads=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=4), last=steps)
def test_after_any_history_every_check_holds(
    first: list[tuple[Any, ...]], reads: list[tuple[int, int]], last: list[tuple[Any, ...]]
) -> None:
    """Loads, begins, all kinds of answers, reads, merges, fall backs, closings, dead processes: nothing is WRONG."""
    taken = [*first, *last]
    for place, which in reads:
        taken.insert(place, ("read", which))

    async def live(folder: Path) -> None:
        history = History(folder)
        for step in taken:
            await history.take(step)
        await history.world.ledger.close()
        head = newest_head(history.world.file)
        audited = audit_ledger(history.world.file, [Seen(head, "the test")])
        wrong = [(one.name, one.details) for one in audited.checks if one.verdict is Verdict.WRONG]
        assert wrong == []

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder)))
