"""Doubts as the ledger has them: what a read found is recorded once, whatever it was known by before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from runner.adapters.ledger.doubts import claimed_of, doubts_of, find_call, known_calls, record_finding
from runner.core.keys import call_key
from runner.core.model import CallStart, CallState, Coupon, Identifier, Kind, Outcome, Settlement, Source
from tests.adapters.ledger_world import NOW, ORG, SqliteWorld
from tests.fakes.memory_ledger import Line

MAY = Identifier(Kind.MOBILE, "919000000001", "919000000001")


def in_a_ledger(folder: Path, work: Callable[[SqliteWorld, str], Any], *, quantity: int = 2) -> Any:
    """Do something with a ledger that holds one call of one order in doubt; `work` gets its key."""

    async def scenario() -> Any:
        world = SqliteWorld(folder)
        (order_id,) = world.load(1, [Line(series=7, target=quantity, names=(MAY,))])
        order = await world.ledger.order(order_id)
        key = call_key(order.key, 1, world.nonce)
        assert await world.ledger.begin(CallStart(key, order_id, 1, quantity, 1))
        lost = Outcome(state=CallState.IN_DOUBT, held=quantity)
        world.ledger.settle(Settlement(key, order_id, order.person, 1, lost, (), 0.5))
        await world.ledger.flush()
        try:
            return work(world, key)
        finally:
            await world.ledger.close()

    return asyncio.run(scenario())


def find(world: SqliteWorld, key: str, state: CallState, *coupons: Coupon, held: int = 0, **more: Any) -> bool:
    call = find_call(world.file, key)
    assert call is not None
    outcome = Outcome(state=state, coupons=coupons, held=held)
    words = {"source": Source.READ, "method": "metadata", "why": "read", "seen": None, "at": NOW} | more
    return record_finding(world.file, call, outcome, **words)


def book(world: SqliteWorld) -> tuple[Any, ...]:
    """Issued and held of the order, known and state of the call, its coupons."""
    with closing(world.file.connect(readonly=True)) as conn:
        order = conn.exec_driver_sql("SELECT issued, held FROM orders").one()
        call = conn.exec_driver_sql("SELECT known, state FROM calls").one()
        return (*order, *call, conn.exec_driver_sql("SELECT count(*) FROM coupons").scalar_one())


def test_a_coupon_found_by_its_code_and_later_by_its_id_counts_once(tmp_path: Path) -> None:
    """The list that tells ids may come later than the details that tell codes."""

    def work(world: SqliteWorld, key: str) -> None:
        find(world, key, CallState.IN_DOUBT, Coupon("", "A"), held=1)
        assert book(world) == (1, 1, 1, "in_doubt", 1)
        find(world, key, CallState.ISSUED, Coupon("11", "A"), Coupon("12", "B"))
        assert book(world) == (2, 0, 2, "issued", 2)

    in_a_ledger(tmp_path, work)


def test_coupons_of_a_persons_word_take_the_place_of_those_that_a_read_finds_later(tmp_path: Path) -> None:
    """Two were said to be issued, and two are found: it is these."""

    def work(world: SqliteWorld, key: str) -> None:
        find(world, key, CallState.ISSUED, Coupon("", ""), Coupon("", ""), source=Source.PERSON, method="word")
        assert book(world) == (2, 0, 2, "issued", 2)
        find(world, key, CallState.ISSUED, Coupon("11", "A"), Coupon("12", "B"))
        assert book(world) == (2, 0, 2, "issued", 2)

    in_a_ledger(tmp_path, work)


def test_a_recorded_coupon_is_claimed_by_its_id_or_by_the_code_that_it_was_first_known_by(tmp_path: Path) -> None:
    """So it is nobody else's and does not look unexplained."""

    def work(world: SqliteWorld, key: str) -> None:
        find(world, key, CallState.IN_DOUBT, Coupon("", "A"), held=1)
        person = find_call(world.file, key).person  # type: ignore[union-attr]
        shown = [Coupon("11", "A"), Coupon("12", "B"), Coupon("13", "A")]
        assert claimed_of(world.file, person, shown) == {"11"}

    in_a_ledger(tmp_path, work)


def test_a_doubt_that_stays_is_told_once_with_each_new_reason(tmp_path: Path) -> None:
    """Reading a hundred times keeps no hundred lines."""

    def work(world: SqliteWorld, key: str) -> None:
        for why in ("nothing yet", "nothing yet", "the settling time is over"):
            assert not find(world, key, CallState.IN_DOUBT, held=2, why=why)
        with closing(world.file.connect(readonly=True)) as conn:
            kept = conn.exec_driver_sql("SELECT why FROM evidence ORDER BY id").scalars().all()
        assert kept == ["nothing yet", "the settling time is over"]
        assert [call.key for call in doubts_of(world.file, 1)] == [key]

    in_a_ledger(tmp_path, work)


def test_a_known_call_is_one_that_its_own_answer_settled(tmp_path: Path) -> None:
    """What a read or a person said proves nothing about what the API shows."""

    def work(world: SqliteWorld, key: str) -> None:
        def known() -> list[str]:
            found = known_calls(world.file, ORG, url="http://127.0.0.1", newest=5, before=NOW + 1, older=5)
            return [one.call for one in found]

        assert known() == []
        find(world, key, CallState.ISSUED, Coupon("11", "A"), Coupon("12", "B"))
        assert known() == []
        with closing(world.file.connect()) as conn:
            conn.exec_driver_sql("DELETE FROM evidence")
        assert known() == [key]

    in_a_ledger(tmp_path, work)
