"""The first orders of a run in the ledger: which may go, which were sent, and what came of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import closing

import orjson

from runner.adapters.ledger.files import LedgerFile
from runner.core.canary import Sent
from runner.core.keys import name_hash
from runner.core.model import Coupon, Kind
from runner.core.statuses import name_row

# Whatever was not sent, or was refused to be begun with, shows nothing.
_TRIED = "SELECT DISTINCT order_id FROM calls WHERE run_id = ? AND state <> 'never_left' LIMIT ?"

_SERIES = """
SELECT DISTINCT series FROM orders WHERE run_id = ?1 AND closed IS NULL AND target > issued + held
    AND merged_into IS NULL
    AND series NOT IN (SELECT series FROM series_states WHERE run_id = ?1 AND state = 'closed') ORDER BY series
"""
_OPEN = """
SELECT id FROM orders INDEXED BY orders_open WHERE run_id = ? AND series = ? AND closed IS NULL
    AND target > issued + held AND merged_into IS NULL ORDER BY id
"""
_SENT = """
SELECT o.id, o.series, o.person_id, o.kind, coalesce(o.value, ''), o.target, o.issued, o.held,
    (SELECT json_array(r.row, r.sheet) FROM lines l JOIN rows r ON r.id = l.row_id
     WHERE l.order_id = o.id AND l.run_id = ?1 ORDER BY l.row_id LIMIT 1)
FROM orders o WHERE o.id IN (SELECT coalesce(merged_into, id) FROM orders WHERE id IN (SELECT value FROM json_each(?2)))
ORDER BY o.id
"""
_CALLS = """
SELECT key, known, held, state, coalesce(code, ''), coalesce(message, '') FROM calls
WHERE order_id = ? AND run_id = ? ORDER BY number
"""
_COUPONS = """
SELECT call_key, coalesce(coupon_id, ''), coalesce(code, '') FROM coupons
WHERE order_id = ? AND state = 'issued' ORDER BY id
"""


def tried_orders(ledger: LedgerFile, run_id: int, most: int) -> list[int]:
    """The orders that a run has sent something for, at most so many."""
    with closing(ledger.connect(readonly=True)) as conn:
        return sorted(int(order) for (order,) in conn.exec_driver_sql(_TRIED, (run_id, most)))


def first_orders(ledger: LedgerFile, run_id: int, number: int, *, but: Collection[int] = ()) -> dict[int, list[int]]:
    """The first open orders of each series of a run, at most so many. `but`: left out."""
    found: dict[int, list[int]] = {}
    with closing(ledger.connect(readonly=True)) as conn:
        for (series,) in conn.exec_driver_sql(_SERIES, (run_id,)).all():
            orders = found.setdefault(int(series), [])
            for (order,) in conn.exec_driver_sql(_OPEN, (run_id, series)):
                if len(orders) == number:
                    break
                if order not in but:
                    orders.append(int(order))
    return {series: orders for series, orders in found.items() if orders}


def read_sent(ledger: LedgerFile, run_id: int, orders: Sequence[int]) -> list[Sent]:
    """What a run's calls brought for these orders."""
    sent = []
    with closing(ledger.connect(readonly=True)) as conn:
        listed = orjson.dumps(list(orders)).decode()
        for order, series, person, kind, value, target, issued, held, place in conn.exec_driver_sql(
            _SENT, (run_id, listed)
        ).all():
            calls = conn.exec_driver_sql(_CALLS, (order, run_id)).all()
            keys = tuple(str(call[0]) for call in calls if call[3] != "never_left")
            own = [
                (str(call), Coupon(str(number), str(code)))
                for call, number, code in conn.exec_driver_sql(_COUPONS, (order,))
                if call in keys
            ]
            known, doubt = sum(call[1] for call in calls), sum(call[2] for call in calls)
            row, sheet = orjson.loads(place) if place else (0, "")
            sent.append(
                Sent(
                    order=order,
                    row=name_row(row, sheet),
                    series=series,
                    person=person,
                    kind=Kind(kind),
                    value=value,
                    asked=target - (issued + held - known - doubt),
                    calls=keys,
                    coupons=tuple(own),
                    held=doubt,
                    code=calls[-1][4] if calls else "",
                    message=calls[-1][5] if calls else "",
                )
            )
    return sent


def is_same_person(ledger: LedgerFile, org_id: int, person: int, customer: str) -> bool:
    """Whether a customer id of the API is known as nobody else's."""
    digest = name_hash(ledger.key, Kind.CUSTOMER_ID, customer)
    with closing(ledger.connect(readonly=True)) as conn:
        found = conn.exec_driver_sql(
            "SELECT coalesce(p.merged_into, p.id) FROM identity i JOIN persons p ON p.id = i.person_id"
            " WHERE i.org_id = ? AND i.hash = ?",
            (org_id, digest),
        ).scalar()
        root = conn.exec_driver_sql("SELECT coalesce(merged_into, id) FROM persons WHERE id = ?", (person,)).scalar()
    return found is None or found == root
