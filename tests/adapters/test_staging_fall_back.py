"""What a load makes of an order that may fall back to another identifier, or did."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from runner.adapters.ledger.audit import audit_ledger
from runner.adapters.ledger.falling_back import fall_back
from runner.adapters.ledger.files import transaction
from runner.core.auditing import Verdict
from runner.core.model import FallBack, Kind, Row
from tests.adapters.staging_world import World, identifier, row

MOBILE, EMAIL = identifier("m1").written, identifier("e1").written


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def sent(world: World) -> list[tuple[str, str, list[list[str]] | None, list[str] | None]]:
    """Kind, value, others and kinds tried of every order."""
    return [
        (kind, value, json.loads(others or "null"), json.loads(tried or "null"))
        for kind, value, others, tried in world.query("SELECT kind, value, others, tried FROM orders ORDER BY id")
    ]


def named_by(world: World) -> list[tuple[str, list[str]]]:
    """What the history tells of orders' names: kind and what was tried."""
    bodies = [json.loads(body) for (body,) in world.query("SELECT body FROM events ORDER BY seq")]
    return [(kind, tried) for body in bodies for _, kind, _, tried in body.get("named_by", ())]


def go_by_email(world: World) -> None:
    """The mobile of the only order was refused (701), and its customer is named by e-mail from now on."""
    with closing(world.file.connect()) as conn, transaction(conn):
        told = fall_back(conn, [FallBack(1, 1, 1, 0, 0, ())], key=world.file.key)
        assert [one[1] for one in told] == ["email"]


def load(world: World, *rows: Row, on: bool = True) -> None:
    world.load(rows, fall_back=on)


def test_the_other_identifiers_are_kept_in_the_order_of_identify_by(world: World):
    """Of a row with several; as they were written; without the option none is."""
    address = identifier("e2")._replace(written="Customer2@Example.com")
    second = row(3, "x2 e2 m2")
    identifiers = tuple(address if one.kind is Kind.EMAIL else one for one in second.identifiers)
    load(world, row(2, "m1"), second._replace(identifiers=identifiers))
    mobile = identifier("m2").written
    others = [["email", "Customer2@Example.com"], ["externalId", "X0002"]]
    assert sent(world) == [("mobile", MOBILE, None, None), ("mobile", mobile, others, None)]
    load(world, row(2, "m1"), second, on=False)
    assert [one[2] for one in sent(world)] == [None, None]


def test_the_plan_counts_orders_with_another_identifier(world: World):
    """Only those that are still to be issued; None says that nobody falls back."""
    rows = [row(2, "m1 e1"), row(3, "m2"), row(4, "e3 x3")]
    assert world.look(rows, fall_back=True).with_others == 2
    assert world.look(rows).with_others is None
    load(world, *rows)
    world.issue_all()
    assert world.look(rows, fall_back=True).with_others == 0


@pytest.mark.parametrize("on", [True, False], ids=["with the option", "without it"])
def test_an_order_keeps_the_identifier_that_its_coupons_went_to(world: World, on: bool):
    """A raised count asks by it; the key stays, and nothing else may be tried any more."""
    load(world, row(2, "m1 e1 x1"))
    key = world.orders()[0][0]
    go_by_email(world)
    world.change("UPDATE orders SET issued = 1")
    load(world, row(2, "m1 e1 x1", count=5), on=on)
    assert sent(world) == [("email", EMAIL, None, ["mobile"])]
    assert world.orders() == [(key, 415446, 5, 1)]
    assert named_by(world) == []


def test_an_order_of_which_nothing_came_is_named_by_its_first_identifier_again(world: World):
    """The history says so, and the audit holds the table against it."""
    load(world, row(2, "m1 e1"))
    go_by_email(world)
    load(world, row(2, "m1 e1"))
    assert sent(world) == [("mobile", MOBILE, [["email", EMAIL]], None)]
    assert named_by(world) == [("mobile", [])]
    names = next(check for check in audit_ledger(world.file, []).checks if check.name == "names")
    assert names.verdict is Verdict.OK


CALL = (
    "INSERT INTO calls (key, order_id, run_id, number, quantity, state, known, held, began)"
    " SELECT key || '-1-aaaaaa', id, 1, 1, 1, ?, ?, ?, 1 FROM orders"
)


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("in doubt", [(CALL, "in_doubt", 0, 1), ("UPDATE orders SET held = 1",)]),
        ("issued, revoked, and asked for again", [(CALL, "issued", 1, 0)]),
        (
            "a doubt that a read settled, which is read again",
            [
                (CALL, "refused", 0, 0),
                (
                    (
                        'INSERT INTO evidence (order_id, number, at, "by", method, verdict, found, why)'
                        " VALUES (1, 1, 1, 'read', 'metadata', 'refused', 0, 'none shown')"
                    ),
                ),
            ],
        ),
    ],
)
def test_whatever_came_of_an_order_keeps_its_identifier(world: World, what: str, changes: list[tuple[object, ...]]):
    """Neither a load nor a fall back names its customer otherwise: its calls are read by what they were sent by."""
    load(world, row(2, "m1 e1 x1"))
    go_by_email(world)
    for sql, *values in changes:
        world.change(str(sql), *values)
    with closing(world.file.connect()) as conn, transaction(conn):
        for calls in (0, 1):
            assert fall_back(conn, [FallBack(1, 1, 1, calls, 0, ())], key=world.file.key) == [], what
    load(world, row(2, "m1 e1 x1", count=3))
    assert sent(world) == [("email", EMAIL, None, ["mobile"])], what


def test_a_purged_identifier_comes_back_with_the_file_that_has_it(world: World):
    """The kind is known still; a file that does not tell it names her by what it has."""
    load(world, row(2, "m1 e1"))
    go_by_email(world)
    world.change("UPDATE orders SET issued = 1, value = NULL, others = NULL")
    load(world, row(2, "m1 e1", count=2))
    assert sent(world) == [("email", EMAIL, None, ["mobile"])]
    world.change("UPDATE orders SET value = NULL")
    load(world, row(2, "m1", count=3))
    assert sent(world) == [("mobile", MOBILE, None, None)]
    assert named_by(world) == [("mobile", [])]


def test_a_forgotten_customer_has_no_other_identifier(world: World):
    """Nothing is issued to her, and nothing is kept."""
    load(world, row(2, "m1 e1"))
    world.change("UPDATE persons SET forgotten = 1")
    world.change("UPDATE orders SET closed = 'forgotten', value = NULL, others = NULL")
    load(world, row(2, "m1 e1"))
    load(world, row(2, "m1 e1", series=(535521,)))
    assert [one[1:3] for one in sent(world)] == [(None, None), (None, None)]
