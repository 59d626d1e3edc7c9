"""Revoked coupons that a run asks for again: stamped in the transaction that loads it, they never count any more."""

from __future__ import annotations

import sqlalchemy as sa

from runner.adapters.ledger.events import append_event
from runner.core.keys import call_number
from runner.core.undoing import portions

_IN_AN_EVENT = 1_000

# Only orders of which the plan says so; with them the coupons of orders that were merged into them.
_STAMP = """
UPDATE coupons SET state = 'replaced', replaced_by = ?
WHERE state = 'revoked' AND order_id IN (
    SELECT o.id FROM t_orders t JOIN orders r ON r.id = t.existing
    JOIN orders o ON o.person_id = r.person_id AND o.series = r.series AND coalesce(o.merged_into, o.id) = r.id
    WHERE t.replaced > 0)
RETURNING order_id, call_key, hash
"""
_LESS = """
UPDATE orders SET issued = orders.issued - t.replaced FROM t_orders t WHERE t.existing = orders.id AND t.replaced > 0
"""


def replace_revoked(connection: sa.Connection, run_id: int, *, at: float) -> None:
    """Stamp the revoked coupons of the staged orders as replaced by this run, and count them as issued no more.

    Inside the transaction of the load, before anything else reads what the orders hold.
    """
    if not connection.exec_driver_sql("SELECT EXISTS (SELECT 1 FROM t_orders WHERE replaced > 0)").scalar_one():
        return
    stamped = connection.exec_driver_sql(_STAMP, (run_id,)).all()
    connection.exec_driver_sql(_LESS)
    told = [[order, call_number(key), bytes(digest).hex(), "revoked", "replaced"] for order, key, digest in stamped]
    for some in portions(told, _IN_AN_EVENT):
        append_event(connection, run_id, {"replaced": run_id, "coupons": some}, at=at)
