"""Which of the coupons that the API shows of a customer this ledger received, by which call and for which row."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import closing
from typing import NamedTuple

import orjson

from runner.adapters.ledger.files import LedgerFile
from runner.core.keys import coupon_hash

_OF_ORDERS = """
SELECT k.hash, k.call_key, k.state, u.name, s.campaign, o.series,
    (SELECT json_array(r.row, r.sheet, json_extract(v.files, '$[' || r.file || '].name'))
     FROM lines l JOIN rows r ON r.id = l.row_id JOIN runs v ON v.id = l.run_id
     WHERE l.order_id = o.id AND l.run_id <= c.run_id ORDER BY l.run_id DESC, l.row_id LIMIT 1)
FROM orders o JOIN scopes s ON s.id = o.scope_id JOIN coupons k ON k.order_id = o.id
JOIN calls c ON c.order_id = k.order_id AND c.key = k.call_key JOIN runs u ON u.id = c.run_id
WHERE o.key IN (SELECT value FROM json_each(?)) ORDER BY k.id
"""
_OF_ANYBODY = "SELECT call_key FROM coupons WHERE hash = ? AND state NOT IN ('resent', 'repeated') LIMIT 1"


class Owned(NamedTuple):
    """A coupon that this ledger received: its call, run and campaign, and the row that asked for it."""

    call: str
    state: str
    run: str
    campaign: str
    series: int
    file: str
    sheet: str
    row: int


class Owner(NamedTuple):
    """What the ledger knows of one coupon: received for this customer, for another (`elsewhere`: her call), or not."""

    owned: Owned | None
    elsewhere: str


def owners_of(
    ledger: LedgerFile, order_keys: Collection[str], coupons: Collection[tuple[str, str]]
) -> Mapping[tuple[str, str], Owner]:
    """Each coupon (id, code) → what the ledger knows of it. `order_keys`: the customer's orders.

    They are compared by keyed hashes, so this works for a customer whose codes were erased.
    """
    found: dict[tuple[str, str], Owner] = {}
    with closing(ledger.connect(readonly=True)) as conn:
        known: dict[bytes, Owned] = {}
        for digest, call, state, run, campaign, series, place in conn.exec_driver_sql(
            _OF_ORDERS, (orjson.dumps(list(order_keys)).decode(),)
        ):
            row, sheet, file = orjson.loads(place) if place else (0, "", "")
            owned = Owned(call, state, run, campaign, series, file or "", sheet, row)
            if bytes(digest) not in known or state not in ("resent", "repeated"):
                known[bytes(digest)] = owned
        for coupon in coupons:
            # By the id, else by the code: an answer without ids was recorded by its codes.
            digests = [coupon_hash(ledger.key, text) for text in coupon if text]
            mine = next((known[digest] for digest in digests if digest in known), None)
            other = None
            if mine is None and coupon[0]:
                other = conn.exec_driver_sql(_OF_ANYBODY, (digests[0],)).scalar()
            found[coupon] = Owner(mine, other or "")
    return found
