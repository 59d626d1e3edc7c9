"""The ledger fails while a run is live: nothing is posted that it does not know, and the sentence says what to do.

The real engine, adapter and ledger against a server that keeps the truth, as in `test_fault_matrix`.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from runner.adapters.coupon_api import CouponApi
from runner.adapters.ledger import files
from runner.adapters.ledger.engine_ledger import SqliteLedger
from runner.adapters.ledger.files import LedgerFile
from runner.app.loading import after_the_newest
from runner.core.codes import CodeTable
from runner.core.model import Identifier, Kind
from runner.engine import EXIT_OF_STOP, Engine, EngineOptions, Stop
from runner.errors import LedgerFailed
from runner.pace import Pace
from tests.adapters.calling import CREDENTIALS
from tests.adapters.ledger_world import NOW, SqliteWorld
from tests.adapters.raw_server import RawServer
from tests.adapters.test_fault_matrix import SERIES, Bank, Hasty, Watching
from tests.fakes.memory_ledger import Line

ORDERS = 300


def load(world: SqliteWorld) -> None:
    names = [f"91900{number:07d}" for number in range(ORDERS)]
    world.load(1, [Line((Identifier(Kind.MOBILE, name, name),), SERIES, 1) for name in names])


async def issue(world: SqliteWorld, api: CouponApi) -> Stop | None:
    """One execution of run 1, as a process does it."""
    world.recover()
    ledger = SqliteLedger(world.file)
    engine = Engine(
        ledger=ledger,
        api=api,
        clock=Hasty(),
        progress=Watching(),
        pace=Pace(None, Hasty()),
        codes=CodeTable.default(),
        names_of=lambda _: (),
        options=EngineOptions(run=1, nonce=world.nonce, concurrency=4, target=ORDERS),
    )
    try:
        return await engine.run()
    finally:
        try:
            await ledger.close()
        except LedgerFailed:
            pass  # what the engine was told already


def check(world: SqliteWorld, bank: Bank) -> tuple[int, int]:
    """No call twice or unknown, and issued ≤ truth ≤ issued + held for each. Returns issued and held."""
    ledger = world.snapshot()
    keys = [key for key, _ in bank.came]
    assert len(keys) == len(set(keys))
    assert set(keys) <= set(ledger.calls)
    for key, call in ledger.calls.items():
        assert call.known <= bank.committed[key] <= call.known + call.held
    return sum(order.issued for order in ledger.orders.values()), sum(order.held for order in ledger.orders.values())


def bank_of_one() -> Bank:
    """A server that issues a coupon a call."""
    bank = Bank(Hasty())
    commit = bank.commit
    bank.commit = lambda key, count=1: commit(key, count)  # type: ignore[method-assign]  # orders here are for one
    return bank


def full_disk(world: SqliteWorld, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the sixth page on there is no room for more."""
    connect = LedgerFile.connect

    def small(self: LedgerFile, *, readonly: bool = False) -> sa.Connection:
        conn = connect(self, readonly=readonly)
        if not readonly:
            pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
            conn.exec_driver_sql(f"PRAGMA max_page_count = {pages + 6}")
        return conn

    monkeypatch.setattr(LedgerFile, "connect", small)
    return lambda: monkeypatch.setattr(LedgerFile, "connect", connect)


def test_a_disk_that_fills_up_ends_the_run_and_the_next_one_finishes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 6; after space is freed every order is issued or in doubt, and no call was posted twice."""

    async def scenario() -> None:
        world, bank = SqliteWorld(tmp_path), bank_of_one()
        await world.ledger.close()
        load(world)
        free = full_disk(world, monkeypatch)
        async with RawServer(bank.stage(None)) as server, CouponApi(server.url, CREDENTIALS) as api:
            stop = await issue(world, api)
            assert stop is not None
            assert EXIT_OF_STOP[stop.kind] == 6
            assert "The disk is full at" in stop.message
            assert str(world.file.path) in stop.message
            sent = len(bank.came)
            assert 0 < sent < ORDERS
            free()
            assert await issue(world, api) is None
        issued, held = check(world, bank)
        assert issued + held == ORDERS
        assert {call.state for call in world.snapshot().calls.values()} <= {"issued", "in_doubt"}
        assert held <= 8
        assert len(bank.came) == ORDERS

    asyncio.run(scenario())


def test_a_ledger_that_another_program_keeps_locked_ends_the_run_with_its_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BEGIN EXCLUSIVE held beyond our patience (ten minutes, shortened here): nothing is posted, exit 6."""
    monkeypatch.setattr(files, "_BUSY_MILLISECONDS", 60)

    async def scenario() -> None:
        world, bank = SqliteWorld(tmp_path), bank_of_one()
        await world.ledger.close()
        load(world)
        async with RawServer(bank.stage(None)) as server, CouponApi(server.url, CREDENTIALS) as api:
            world.recover()
            with closing(sqlite3.connect(world.file.path, isolation_level=None)) as other:
                other.execute("BEGIN EXCLUSIVE")
                monkeypatch.setattr(world, "recover", lambda: 0)
                stop = await issue(world, api)
                other.execute("ROLLBACK")
            assert stop is not None
            assert EXIT_OF_STOP[stop.kind] == 6
            assert "stayed locked by another program" in stop.message
            assert bank.came == []
            assert await issue(world, api) is None
        assert check(world, bank) == (ORDERS, 0)

    asyncio.run(scenario())


def test_another_programs_short_lock_is_waited_for(tmp_path: Path) -> None:
    """A backup or a browser that holds the ledger for a moment delays the run and nothing else."""

    async def scenario() -> None:
        world, bank = SqliteWorld(tmp_path), bank_of_one()
        await world.ledger.close()
        load(world)
        async with RawServer(bank.stage(None)) as server, CouponApi(server.url, CREDENTIALS) as api:
            with closing(sqlite3.connect(world.file.path, isolation_level=None, check_same_thread=False)) as other:
                going = asyncio.create_task(issue(world, api))
                await server.arrived.wait()
                await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
                asyncio.get_running_loop().call_later(0.1, other.execute, "ROLLBACK")
                assert await going is None
        assert check(world, bank) == (ORDERS, 0)

    asyncio.run(scenario())


# ---------------------------------------------------------------- a clock that is set back


@pytest.mark.parametrize(
    ("now", "begins"),
    [
        (NOW + 1, NOW + 1),
        (NOW, NOW),
        (NOW - 1, NOW + 1),
        (NOW - 3600, NOW + 1),
        (NOW - 90_000, NOW - 90_000),  # the clock was wrong before: nobody wants runs of next year from now on
    ],
)
def test_a_run_begins_after_the_newest_although_the_clock_was_set_back(
    tmp_path: Path, now: float, begins: float
) -> None:
    """The names of runs sort in the order in which they began."""

    async def scenario() -> LedgerFile:
        world = SqliteWorld(tmp_path)
        await world.ledger.close()
        load(world)
        return world.file

    assert after_the_newest(asyncio.run(scenario()), now) == begins


def test_history_may_go_back_in_time_without_harm(tmp_path: Path) -> None:
    """Each batch tells its own time; what comes first in the chain came first, whatever the clock said."""

    async def scenario() -> None:
        world, bank = SqliteWorld(tmp_path), bank_of_one()
        await world.ledger.close()
        load(world)
        wall = iter(range(10_000, 0, -1))
        async with RawServer(bank.stage(None)) as server, CouponApi(server.url, CREDENTIALS) as api:
            steps = SqliteLedger(world.file, wall=lambda: NOW + next(wall))
            engine = Engine(
                ledger=steps, api=api, clock=Hasty(), progress=Watching(), pace=Pace(None, Hasty()),
                codes=CodeTable.default(),
                names_of=lambda _: (),
                options=EngineOptions(run=1, nonce=world.nonce, concurrency=4, target=ORDERS),
            )  # fmt: skip
            assert await engine.run() is None
            await steps.close()
        assert check(world, bank) == (ORDERS, 0)
        with closing(world.file.connect(readonly=True)) as conn:
            told = conn.exec_driver_sql("SELECT at FROM events ORDER BY seq").scalars().all()[2:]
            assert told == sorted(told, reverse=True)
            assert json.loads(conn.exec_driver_sql("SELECT body FROM events ORDER BY seq DESC").scalars().first() or "")

    asyncio.run(scenario())
