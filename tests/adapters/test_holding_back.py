"""Orders that cannot succeed, found among the staged ones: which they are, what is left, and how they are loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from runner.adapters.ledger.holding_back import HoldingBack
from runner.adapters.ledger.staging import Staging
from runner.core.auditing import Replay
from runner.core.model import Place, RejectedRow, Row
from runner.core.plan import Plan
from runner.core.preflight import Hold, Why
from tests.adapters.staging_world import OTHER_SERIES, SERIES, World, row


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def told(*holds: Hold, exclusions: Mapping[int, frozenset[int]] | None = None, send: bool = False) -> HoldingBack:
    return HoldingBack(holds, exclusions or {}, send)


def load(
    world: World, rows: Iterable[Row | RejectedRow], what: HoldingBack, *, campaign: str = "May", again: bool = False
) -> Plan:
    where = world.campaign(campaign)
    with Staging(world.file) as staging:
        staging.add(rows)
        world.plan(staging, where)
        plan = staging.hold_back(what)
        if again:
            plan = world.plan(staging, where)
        staging.load(world.new_run(), where, plan)
        return plan


def closed(world: World) -> list[tuple[Any, ...]]:
    """(mobile, series, why it is closed) of each order, and the message."""
    found = world.query(
        "SELECT o.value, o.series, o.closed, k.message FROM orders o LEFT JOIN closures k ON k.order_id = o.id"
        " AND k.run_id = o.run_id ORDER BY o.id"
    )
    return [tuple(one) for one in found]


EXPIRED = Hold(SERIES, Why.EXPIRED, "it expired")
ONE_EACH = Hold(SERIES, Why.TOO_MANY, "one each", most=1)


def test_a_whole_series_is_held_back_and_the_rest_is_as_it_was(world):
    """Coupons, calls and orders are those that are left; the reason has its orders, coupons and rows."""
    rows = [row(2, "m1", count=3), row(3, "m2", series=(OTHER_SERIES,)), row(4, "m3")]
    plan = load(world, rows, told(EXPIRED))
    assert (plan.target, plan.missing, plan.back, plan.calls) == (5, 1, 4, 1)
    assert [(one.series, one.orders, one.missing, one.back) for one in plan.series] == [
        (SERIES, 0, 0, 4),
        (OTHER_SERIES, 1, 1, 0),
    ]
    (held,) = plan.held_back
    assert (held.series, held.why, held.orders, held.coupons) == (SERIES, "expired", 2, 4)
    assert held.rows == (Place(0, "", 2), Place(0, "", 4))


def test_what_is_held_back_is_loaded_closed_with_its_reason(world):
    """Closed for this run only: nobody asks for it; the next run that names it opens it again."""
    rows = [row(2, "m1", count=3), row(3, "m2", series=(OTHER_SERIES,))]
    load(world, rows, told(EXPIRED))
    assert closed(world) == [
        ("919000000001", SERIES, "held_back", "it expired"),
        ("919000000002", OTHER_SERIES, None, None),
    ]
    world.change("UPDATE runs SET state = 'finished'")
    load(world, rows, told())
    assert [one[2] for one in closed(world)] == [None, None]


def test_the_history_tells_which_orders_were_held_back(world):
    """So that an audit can make the closings again, a range of numbers for a whole series."""
    load(world, [row(number, f"m{number}") for number in range(2, 30)], told(EXPIRED))
    replay = Replay()
    from orjson import loads

    for seq, run, body in world.query("SELECT seq, run_id, body FROM events ORDER BY seq"):
        replay.apply(seq, run, loads(body))
    recorded = world.query("SELECT run_id, order_id, code FROM closures ORDER BY order_id")
    assert replay.closings == [tuple(one) for one in recorded]
    assert len(recorded) == 28
    (body,) = world.query("SELECT body FROM events WHERE json_extract(body, '$.load') IS NOT NULL")
    assert len(loads(body[0])["load"]["held_back"]) == 1


def test_a_cap_for_each_customer_counts_what_she_holds_from_any_campaign(world):
    """Less what was revoked; a customer within it is not touched."""
    world.load([row(2, "m1"), row(3, "m2")], campaign="April")
    world.issue_all()
    rows = [row(2, "m1"), row(3, "m3"), row(4, "m4", count=2)]
    plan = load(world, rows, told(ONE_EACH))
    assert [place.row for place in plan.held_back[0].rows] == [2, 4]
    assert plan.missing == 1
    world.change("UPDATE runs SET state = 'finished'")
    (order,) = world.query("SELECT id FROM orders WHERE issued = 1 ORDER BY id LIMIT 1")
    world.change(
        "INSERT INTO coupons(call_key, order_id, position, hash, state) VALUES ('k', ?, 0, x'00', 'revoked')", order[0]
    )
    plan = load(world, rows, told(ONE_EACH))
    assert [place.row for place in plan.held_back[0].rows] == [4]


def test_an_order_that_needs_only_the_rest_is_within_the_cap_by_what_it_will_hold(world):
    """Two of three issued: one more makes three; a raised target makes four."""
    cap = Hold(SERIES, Why.TOO_MANY, "three each", most=3)
    world.load([row(2, "m1", count=2)])
    world.issue_all()
    assert load(world, [row(2, "m1", count=3)], told(cap)).missing == 1
    world.change("UPDATE runs SET state = 'finished'")
    plan = load(world, [row(2, "m1", count=4)], told(cap))
    assert (plan.missing, plan.back) == (0, 2)


def test_who_got_a_coupon_too_lately_is_held_back(world):
    """By the call that issued it, in whichever campaign."""
    world.load([row(2, "m1"), row(3, "m2")], campaign="April")
    world.issue_all()
    for number, ended in ((1, 500.0), (2, 700.0)):
        world.change(
            "INSERT INTO calls(order_id, number, key, run_id, quantity, state, known, held, began, ended)"
            " SELECT id, 1, 'k' || id || '-1-n', run_id, 1, 'issued', 1, 0, 0, ? FROM orders WHERE value = ?",
            ended,
            f"91900000000{number}",
        )
    too_soon = Hold(SERIES, Why.TOO_SOON, "too soon", newest_after=600.0)
    plan = load(world, [row(2, "m1"), row(3, "m2"), row(4, "m3")], told(too_soon))
    assert [place.row for place in plan.held_back[0].rows] == [3]


def test_of_series_that_exclude_each_other_a_customer_gets_the_first_and_none_beside_what_she_holds(world):
    """The later row waits; a holder of the other series, from any campaign, gets none."""
    world.load([row(2, "m3", series=(OTHER_SERIES,))], campaign="April")
    world.issue_all()
    rows = [row(2, "m1"), row(3, "m1", series=(OTHER_SERIES,)), row(4, "m2", series=(OTHER_SERIES,)), row(5, "m3")]
    plan = load(world, rows, told(exclusions={SERIES: frozenset({OTHER_SERIES})}))
    assert [(one.series, one.why, [place.row for place in one.rows]) for one in plan.held_back] == [
        (SERIES, "excluded", [5]),
        (OTHER_SERIES, "excluded", [3]),
    ]
    assert plan.missing == 2


def test_an_order_is_held_back_for_one_reason_only(world):
    """The first that was told; so the sums hold."""
    plan = load(world, [row(2, "m1", count=2)], told(EXPIRED, ONE_EACH))
    assert [one.why for one in plan.held_back] == ["expired"]
    assert plan.back == 2


def test_what_is_sent_nonetheless_is_told_and_stays_in_the_plan(world):
    """`send`: the same reasons and rows, and every order open."""
    plan = load(world, [row(2, "m1", count=3)], told(EXPIRED, send=True))
    assert (plan.missing, plan.back, plan.held_back[0].coupons) == (3, 0, 3)
    assert [one[2] for one in closed(world)] == [None]


def test_planning_again_holds_the_same_back_and_another_choice_is_another_plan(world):
    """The plan of a ledger that moved meanwhile still leaves them out; the digest tells such plans apart."""
    rows = [row(2, "m1"), row(3, "m2", series=(OTHER_SERIES,))]
    plan = load(world, rows, told(EXPIRED), again=True)
    assert (plan.missing, plan.back) == (1, 1)
    with Staging(world.file) as staging:
        staging.add(rows)
        free = world.plan(staging, world.campaign("June"))
        digests = {free.digest}
        for what in (told(EXPIRED), told(Hold(OTHER_SERIES, Why.EXPIRED, "it expired")), told()):
            plan = staging.hold_back(what)
            digests.add(plan.digest)
        assert plan.digest == free.digest
        assert (plan.missing, len(digests)) == (2, 3)
