"""The writer's thread: its history, its witness, how it fails, and that its statements stay fast."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from runner.adapters.ledger import schema, statements
from runner.adapters.ledger.engine_ledger import SqliteLedger
from runner.adapters.ledger.events import Head, append_event, head_of, verify_chain
from runner.adapters.ledger.files import LedgerFile, transaction
from runner.adapters.ledger.one_statement import OneStatement
from runner.adapters.ledger.witness import read_witness, witness_path, write_witness
from runner.core.keys import code_hash, coupon_hash
from runner.core.model import (
    CallStart,
    CallState,
    CodeClass,
    Coupon,
    CustomerFacts,
    Outcome,
    Reason,
    Scope,
    Settlement,
)
from runner.errors import LedgerFailed
from tests.adapters.ledger_world import SqliteWorld
from tests.adapters.test_ledger_contract import mobile
from tests.fakes.memory_ledger import Line

REASON = Reason(code="701", message="no such customer", klass=CodeClass.FINAL, scope=Scope.ROW)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SqliteWorld]:
    world = SqliteWorld(tmp_path)
    yield world
    try:
        await world.ledger.close()
    except LedgerFailed:
        pass  # the test has made it fail


def lines(count: int) -> list[Line]:
    return [Line((mobile(number),), 1, 1) for number in range(count)]


def call(order: int) -> CallStart:
    return CallStart(f"order{order}-1-nonce", order, 1, 1, 1)


def answer(order: int) -> Settlement:
    outcome = Outcome(
        state=CallState.ISSUED,
        coupons=(Coupon(f"7{order}", f"CODE{order}"),),
        status=200,
        customer=CustomerFacts(f"10{order}", ()),
    )
    return Settlement(f"order{order}-1-nonce", order, order, 1, outcome, (mobile(order - 1),), 0.02)


async def issue(world: SqliteWorld, orders: list[int]) -> None:
    async def one(order: int) -> None:
        assert await world.ledger.begin(call(order))
        world.ledger.settle(answer(order))

    await asyncio.gather(*map(one, orders))
    await world.ledger.flush()


def bodies(world: SqliteWorld) -> list[dict[str, list]]:
    with closing(world.file.connect(readonly=True)) as conn:
        return [json.loads(body) for body in conn.execute(sa.select(schema.events.c.body)).scalars()]


async def test_begins_that_wait_together_are_one_commit(world: SqliteWorld) -> None:
    """Group commit: far fewer syncs than calls."""
    before = len(bodies(world))
    await issue(world, world.load(1, lines(50)))
    assert len(bodies(world)) - before <= 6


async def test_the_history_tells_calls_and_coupons_without_personal_data(world: SqliteWorld) -> None:
    """Call keys, order ids, quantities, states, digests: enough to derive the tables, nothing about a person."""
    (order,) = world.load(1, lines(1))
    await issue(world, [order])
    told = {key: value for body in bodies(world) for key, value in body.items()}
    assert told["begin"] == [["order1-1-nonce", 1, 1, 1, 1]]
    ((key, of, state, held, new, *_, coupons, number),) = told["settle"]
    assert (key, of, number, state, held, new) == ("order1-1-nonce", order, 1, "issued", 0, 1)
    assert coupons == [[coupon_hash(world.file.key, "71").hex(), "issued", code_hash(world.file.key, "CODE1")]]
    ((org, person, names),) = told["names"]
    assert (org, person, len(names) % 16) == (1, 1, 0)
    text = re.sub(r"[0-9a-f]{16,}", "digests", json.dumps(told))
    assert not any(secret in text for secret in ("919000", "CODE1", '"71"', "101"))


async def test_the_history_is_a_chain_that_shows_what_was_changed(world: SqliteWorld) -> None:
    """A body changed, a link removed, the end cut off: each is found."""
    await issue(world, world.load(1, lines(3)))
    with closing(world.file.connect()) as conn:
        sound = verify_chain(conn)
        assert (sound.problem, sound.head) == (None, head_of(conn))
        for change, says in [
            ("UPDATE events SET body = replace(body, '\"begin\"', '\"begun\"') WHERE seq = 2", "event 2 was changed"),
            ("UPDATE events SET at = at + 1 WHERE seq = 2", "event 2 was changed"),
            ("DELETE FROM events WHERE seq = 2", "event 2 is missing"),
            (f"DELETE FROM events WHERE seq = {sound.head.seq}", "the history ends at"),
        ]:
            conn.exec_driver_sql("BEGIN")
            conn.exec_driver_sql(change)
            problem = verify_chain(conn, expected=sound.head).problem
            conn.rollback()
            assert problem is not None
            assert says in problem


async def test_other_processes_add_to_the_same_chain(world: SqliteWorld) -> None:
    """A load, a recovery, another campaign's run: the newest link is read where the next is added."""
    orders = world.load(1, lines(2))
    await issue(world, orders[:1])
    with closing(world.file.connect()) as conn:
        with transaction(conn):
            append_event(conn, 1, {"loaded": 2}, at=3.0)
        await issue(world, orders[1:])
        assert verify_chain(conn).problem is None


async def test_the_witness_says_how_far_the_history_had_come(world: SqliteWorld) -> None:
    """Written at the end whatever happens, 0600, and only with the ledger's key."""
    await issue(world, world.load(1, lines(2)))
    await world.ledger.close()
    with closing(world.file.connect(readonly=True)) as conn:
        head = head_of(conn)
    path, name, key = world.file.path, world.file.ledger_id, world.file.key
    assert read_witness(path, ledger_id=name, key=key) == head
    assert stat.S_IMODE(witness_path(path).stat().st_mode) == 0o600
    assert read_witness(path, ledger_id=name, key=bytes(32)) is None
    write_witness(path, ledger_id=name, key=key, head=Head(head.seq - 1, head.hash))
    assert read_witness(path, ledger_id=name, key=key) == head


async def test_a_full_disk_fails_everybody_who_waits_and_everybody_later(
    world: SqliteWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent without a ledger; what was recorded before is still there."""
    orders = world.load(1, lines(60))
    orders = [*orders, *world.load(2, [line._replace(series=2) for line in lines(60)])]
    connect = world.file.connect

    def small(*, readonly: bool = False) -> sa.Connection:
        conn = connect(readonly=readonly)
        if not readonly:
            pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
            conn.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        return conn

    monkeypatch.setattr(world.file, "connect", small)
    ledger = SqliteLedger(world.file)
    results = await asyncio.gather(*(ledger.begin(call(order)) for order in orders), return_exceptions=True)
    assert not all(result is True for result in results)
    with pytest.raises(LedgerFailed, match="disk is full"):
        await ledger.begin(call(orders[1]))
    with pytest.raises(LedgerFailed):
        ledger.settle(answer(orders[1]))
    with pytest.raises(LedgerFailed):
        await ledger.flush()
    with pytest.raises(LedgerFailed):
        await ledger.open_series(1)
    with pytest.raises(LedgerFailed, match="disk is full"):
        await ledger.close()
    recorded = world.snapshot().calls
    assert all(
        (f"order{order}-1-nonce" in recorded) == (result is True) for order, result in zip(orders, results, strict=True)
    )


async def test_a_call_is_never_begun_twice(world: SqliteWorld) -> None:
    """A key that is there already is a fault that stops everything, even with coupons missing."""
    (order,) = world.load(1, [Line((mobile(1),), 1, 5)])
    assert await world.ledger.begin(call(order))
    with pytest.raises(LedgerFailed, match="break its own rules"):
        await world.ledger.begin(call(order)._replace(number=2))
    with pytest.raises(LedgerFailed):
        await world.ledger.flush()


async def test_a_closed_ledger_has_written_everything_and_takes_nothing_more(world: SqliteWorld) -> None:
    """`close` is the last flush."""
    (order,) = world.load(1, lines(1))
    assert await world.ledger.begin(call(order))
    world.ledger.settle(answer(order))
    await world.ledger.close()
    assert world.snapshot().calls["order1-1-nonce"].state == "issued"
    with pytest.raises(LedgerFailed, match="closed"):
        world.ledger.settle(answer(order))


async def test_a_begin_is_on_disk_when_it_returns(world: SqliteWorld) -> None:
    """Another connection sees it: the mark is there before the first byte leaves."""
    (order,) = world.load(1, lines(1))
    assert await world.ledger.begin(call(order))
    with closing(sqlite3.connect(world.file.path)) as conn:
        assert conn.execute("SELECT state FROM calls").fetchall() == [("sending",)]


STATEMENTS = sorted(name for name, text in vars(statements).items() if name[0].isupper() and isinstance(text, str))


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_reads_a_whole_table(name: str, tmp_path: Path) -> None:
    """Each one starts from its batch and finds its rows by key, however many millions there are."""
    file = LedgerFile.create(tmp_path / "ledger.db", key_folder=tmp_path)
    statement = getattr(statements, name)
    numbered = [number for number in range(1, 9) if f"?{number}" in statement]
    count = max(numbered) if numbered else statement.count("?")
    with closing(file.connect(readonly=True)) as conn:
        plan = conn.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, ("[]",) * count).all()
    tables = {table.name for table in schema.metadata.sorted_tables} | {"o", "c", "i", "mine", "r", "s"}
    assert not [row[3] for row in plan if row[3].startswith("SCAN") and row[3].split()[1] in tables]


async def test_a_writer_ahead_of_the_loop_does_not_lose_a_cancelled_begin(world: SqliteWorld) -> None:
    """Cancelled after its commit: the call is taken back as never sent, and the coupon is missing again."""
    (order,) = world.load(1, lines(1))
    task = asyncio.create_task(world.ledger.begin(call(order)))
    await asyncio.sleep(0)
    while not world.snapshot().calls:  # committed by the writer's thread, not yet told to the loop
        pass
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await world.ledger.flush()
    await world.ledger.flush()
    assert world.snapshot().calls["order1-1-nonce"].state == "never_left"
    assert world.snapshot().orders[order].held == 0


def tables(world: SqliteWorld) -> dict[str, list[tuple]]:
    """Every table that the hot path writes, without times and the digests over them."""
    left_out = {"began", "ended", "at", "hash", "key", "body"}  # each ledger has a secret of its own
    with closing(world.file.connect(readonly=True)) as conn:
        return {
            table.name: [
                tuple(value for name, value in row.items() if name not in left_out)
                for row in conn.execute(sa.select(table).order_by(*table.primary_key)).mappings()
            ]
            for table in (schema.orders, schema.calls, schema.coupons, schema.events)
        }


async def test_the_ordinary_batch_is_one_statement_and_writes_what_the_careful_way_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same orders, calls, coupons and history; and the ordinary batch does go the short way."""
    ways: list[bool] = []
    apply = OneStatement.apply

    def watched(self: OneStatement, *args, **kwargs):
        applied = apply(self, *args, **kwargs)
        ways.append(applied is not None)
        return applied

    written = []
    for name, way in (("short", watched), ("careful", lambda self, *args, **kwargs: None)):
        monkeypatch.setattr(OneStatement, "apply", way)
        world = SqliteWorld(tmp_path / name)
        for order in world.load(1, lines(5)):
            await issue(world, [order])
        await world.ledger.close()
        written.append(tables(world))
    assert ways
    assert all(ways)
    short, careful = written
    assert short == careful


@pytest.mark.parametrize("what", ["seen coupon", "foreign name", "closed order", "another process"])
async def test_what_is_not_ordinary_goes_the_careful_way(
    world: SqliteWorld, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A coupon that is recorded, a name of somebody else, an order that may not be called, a history that went on."""
    ways: list[bool] = []
    apply = OneStatement.apply

    def watched(self: OneStatement, *args, **kwargs):
        applied = apply(self, *args, **kwargs)
        ways.append(applied is not None)
        return applied

    monkeypatch.setattr(OneStatement, "apply", watched)
    one, two = world.load(1, lines(2))
    await issue(world, [one])
    assert all(ways)
    ways.clear()
    if what == "closed order":
        world.ledger.close_order(1, two, REASON)
        assert not await world.ledger.begin(call(two))
        assert not any(ways)
        return
    if what == "another process":
        with closing(world.file.connect()) as conn, transaction(conn):
            append_event(conn, None, {"elsewhere": 1}, at=0.0)
        assert await world.ledger.begin(call(two))
        assert ways == [False]
        return
    assert await world.ledger.begin(call(two))
    told = answer(one if what == "seen coupon" else two)
    names = (mobile(0),) if what == "foreign name" else ()
    world.ledger.settle(told._replace(call_key=call(two).key, order_id=two, person=two, names=names))
    await world.ledger.flush()
    assert ways == [True, False]
