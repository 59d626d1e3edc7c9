# ruff: noqa: S608 — put together from fixed texts of this module; every value is a parameter
"""An order's customer named by the row's next identifier, and by its first again: guarded, and told to the history.

Never once a call of the order may have issued: it is read by the identifier under which it was sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from runner.adapters.ledger.events import append_event
from runner.adapters.ledger.settling import NAME_BYTES
from runner.core.identity import canonical_email, canonical_external_id
from runner.core.keys import name_hash
from runner.core.model import FallBack, Kind
from runner.core.undoing import portions

_IN_AN_EVENT = 1_000

TOUCHED = """
(orders.issued + orders.held > 0
    OR EXISTS (SELECT 1 FROM calls c WHERE c.order_id = orders.id AND c.known + c.held > 0)
    OR EXISTS (SELECT 1 FROM evidence e WHERE e.order_id = orders.id))
"""
"""Something came of the order, or may have: a coupon (also one that was revoked since), a doubt, or one that a read or
a person settled, which is read again. Not so: calls that the API itself refused."""

_FREE = f"""
SELECT kind, others, tried FROM orders WHERE id = ? AND calls = ? AND others IS NOT NULL
    AND closed IS NULL AND merged_into IS NULL AND NOT {TOUCHED}
"""
_NAME = "UPDATE orders SET kind = ?, value = ?, others = ?, tried = ? WHERE id = ?"

_ERASED_BUT_TOLD = """
(SELECT json_extract(j.value, '$[1]') FROM json_each(t.others) j WHERE json_extract(j.value, '$[0]') = orders.kind)
"""
_KEPT = f"(orders.tried IS NOT NULL AND coalesce(orders.value, {_ERASED_BUT_TOLD}) IS NOT NULL AND {TOUCHED})"

KIND_OF_LOAD = f"CASE WHEN {_KEPT} THEN orders.kind ELSE t.kind END"
VALUE_OF_LOAD = f"CASE WHEN {_KEPT} THEN coalesce(orders.value, {_ERASED_BUT_TOLD}) ELSE t.value END"
OTHERS_OF_LOAD = f"CASE WHEN NOT {_KEPT} THEN t.others END"
TRIED_OF_LOAD = f"CASE WHEN {_KEPT} THEN orders.tried END"
"""What an order that a file names again (`t`: as the file has it) is sent by: as its coupons were, else as the file
says."""

_SET_BACK = f"""
SELECT orders.id, t.kind, t.value FROM t_orders t JOIN orders ON orders.id = t.existing
WHERE NOT t.skipped AND orders.tried IS NOT NULL AND NOT {_KEPT} ORDER BY orders.id
"""


Named = tuple[int, str, str, Sequence[str]]
"""What the history keeps: the order, by which kind its customer is named from now on, the beginning of the name's keyed
hash in hexadecimal, and the kinds by which the API did not know her."""


def name_as_sent(key: bytes, kind: str, value: str) -> bytes:
    """The digest of an identifier as it was sent: a mobile and a customer id are sent in their canonical form."""
    canonical = {Kind.EMAIL: canonical_email, Kind.EXTERNAL_ID: canonical_external_id}.get(Kind(kind), str)
    return name_hash(key, kind, canonical(str(value)))


def fall_back(conn: sa.Connection, items: Sequence[FallBack], *, key: bytes) -> list[Named]:
    """Name customers by another identifier, where nothing can have come of their orders; what was done.

    An order that has changed meanwhile (another call, something issued or in doubt, closed, merged) stays as it is.

    Args:
        key: the ledger's, for the digests of names.
    """
    told = []
    for item in items:
        found = conn.exec_driver_sql(_FREE, (item.order_id, item.calls)).first()
        if found is None:
            continue
        others: list[Any] = orjson.loads(found.others)
        skipped = [kind for kind, _ in others[: item.skipped]]
        kind, value = others[item.skipped]
        left = others[item.skipped + 1 :]
        tried = [*orjson.loads(found.tried or "[]"), found.kind, *skipped]
        conn.exec_driver_sql(_NAME, (kind, value, _json(left) if left else None, _json(tried), item.order_id))
        told.append(_named(key, item.order_id, kind, value, tried))
    return told


def name_found(conn: sa.Connection, order_id: int, found: tuple[str, str], *, key: bytes) -> Named | None:
    """An order of which a recovery found coupons by another of its identifiers fell back to that; None: it did not."""
    kind, others, tried = conn.exec_driver_sql("SELECT kind, others, tried FROM orders WHERE id = ?", (order_id,)).one()
    left: list[Any] = orjson.loads(others or "[]")
    if list(found) not in left:
        return None
    before = [kind, *(one for one, _ in left[: left.index(list(found))])]
    all_tried = [*orjson.loads(tried or "[]"), *before]
    conn.exec_driver_sql(_NAME, (*found, None, _json(all_tried), order_id))
    return _named(key, order_id, *found, all_tried)


def tell_set_back(conn: sa.Connection, run_id: int, *, key: bytes, at: float) -> None:
    """Tell the history which orders a load is about to name by their file's first identifier again."""
    if not conn.exec_driver_sql("SELECT EXISTS (SELECT 1 FROM orders WHERE tried IS NOT NULL)").scalar_one():
        return
    named = [_named(key, order, kind, value, ()) for order, kind, value in conn.exec_driver_sql(_SET_BACK)]
    for some in portions(named, _IN_AN_EVENT):
        append_event(conn, run_id, {"named_by": some}, at=at)


def _named(key: bytes, order: int, kind: str, value: str, tried: Sequence[str]) -> Named:
    return (order, kind, name_as_sent(key, kind, value)[:NAME_BYTES].hex(), tried)


def _json(values: Sequence[Any]) -> str:
    return orjson.dumps(values).decode()
