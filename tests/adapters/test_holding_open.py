"""Orders of an unfinished run that cannot succeed any more: the same are found as when a run is planned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from runner.adapters.ledger.holding_back import HoldingBack
from runner.adapters.ledger.holding_open import OpenOrders
from runner.adapters.ledger.staging import Staging
from runner.core.model import Place, Row
from runner.core.preflight import Asked, HeldBack, Hold, Why
from tests.adapters.staging_world import OTHER_SERIES, SERIES, World, row


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def told(*holds: Hold, exclusions: Mapping[int, frozenset[int]] | None = None, send: bool = False) -> HoldingBack:
    return HoldingBack(holds, exclusions or {}, send)


EXPIRED = Hold(SERIES, Why.EXPIRED, "it expired")
ONE_EACH = Hold(SERIES, Why.TOO_MANY, "one each", most=1)
TOO_SOON = Hold(SERIES, Why.TOO_SOON, "too soon", newest_after=600.0)
EACH_OTHER = {SERIES: frozenset({OTHER_SERIES})}

LISTS: dict[str, list[Row]] = {
    "two series": [row(2, "m1", count=3), row(3, "m2", series=(OTHER_SERIES,)), row(4, "m3")],
    "one customer twice": [row(2, "m1"), row(3, "m1", series=(OTHER_SERIES,)), row(4, "m2", series=(OTHER_SERIES,))],
    "more than a call": [row(2, "m1", count=1200), row(3, "m2", count=2), row(4, "m4")],
}


def earlier_campaign(world: World) -> None:
    """One of April's customers holds a coupon of each kind, got at 700."""
    world.load([row(2, "m3"), row(3, "m2", series=(OTHER_SERIES,))], campaign="April")
    world.issue_all()
    world.change(
        "INSERT INTO calls(order_id, number, key, run_id, quantity, state, known, held, began, ended)"
        " SELECT id, 1, 'k' || id || '-1-n', run_id, 1, 'issued', 1, 0, 0, 700.0 FROM orders"
    )


@pytest.mark.parametrize("rows", LISTS.values(), ids=LISTS.keys())
@pytest.mark.parametrize(
    "what",
    [
        told(EXPIRED),
        told(ONE_EACH),
        told(TOO_SOON),
        told(exclusions=EACH_OTHER),
        told(ONE_EACH, TOO_SOON, exclusions=EACH_OTHER),
        told(EXPIRED, send=True),
    ],
    ids=["expired", "one each", "too soon", "each other", "all of them", "sent nonetheless"],
)
def test_what_a_run_that_was_not_begun_yet_holds_back_is_what_its_plan_would(world, rows, what):
    """By reason, order, coupon and row; what is left, and in how many calls."""
    earlier_campaign(world)
    where = world.campaign("May")
    with Staging(world.file) as staging:
        staging.add(rows)
        world.plan(staging, where)
        planned = staging.hold_back(what)
        plan = world.plan(staging, where)
        staging.hold_back(told())
        staging.load(world.new_run(), where, world.plan(staging, where))
    (run,) = world.query("SELECT max(id) FROM runs")
    with OpenOrders(world.file, run[0]) as orders:
        assert orders.hold_back(what) == planned.held_back == plan.held_back
        left = [Asked(one.series, one.missing) for one in planned.series if one.missing]
        assert orders.asked() == left
        assert orders.calls() == planned.calls
        assert len(list(orders.held_back())) == sum(one.orders for one in planned.held_back)


def test_what_is_done_closed_or_in_doubt_is_not_held_back(world):
    """Only what may still be asked for is looked at; what is in doubt counts as held by her."""
    world.load([row(number, f"m{number - 1}", count=2) for number in range(2, 8)])
    world.change("UPDATE orders SET issued = 2 WHERE id = 1")
    world.change("UPDATE orders SET closed = '709' WHERE id = 2")
    world.change("UPDATE orders SET held = 2 WHERE id = 3")
    world.change("UPDATE orders SET held = 1 WHERE id = 4")
    world.change("UPDATE orders SET issued = 1 WHERE id = 5")
    with OpenOrders(world.file, 1) as orders:
        assert orders.asked() == [Asked(SERIES, 4)]
        assert orders.hold_back(told(Hold(SERIES, Why.TOO_MANY, "two each", most=2))) == ()
        (held,) = orders.hold_back(told(ONE_EACH))
        assert held == HeldBack(SERIES, "too_many", "one each", 3, 4, tuple(Place(0, "", n) for n in (5, 6, 7)))
        found = list(orders.held_back())
        assert [order for order, _ in found] == [4, 5, 6]
        assert {(why.code, why.message) for _, why in found} == {("held_back", "one each")}
        assert (orders.asked(), orders.calls()) == ([], 0)


def test_however_many_are_held_back_they_are_told_page_by_page(world):
    """Each once, in order."""
    world.load([row(number, f"m{number - 1}") for number in range(2, 2503)])
    with OpenOrders(world.file, 1) as orders:
        orders.hold_back(told(EXPIRED))
        assert [order for order, _ in orders.held_back()] == list(range(1, 2502))
