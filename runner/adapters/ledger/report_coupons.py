"""The coupons of a run's orders, read for its reports: many orders' few at once, or one order's many in pages.

Coupons of an order stand in the order in which they were recorded. Calls of later runs are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import orjson
import sqlalchemy as sa

from runner.core.report_lines import CODES_IN_A_CELL, CouponFacts
from runner.core.statuses import CallFacts

AT_ONCE = 5_000
"""How many coupons of one order are read at once."""

NOT_COUNTED = frozenset({"resent", "repeated", "replaced"})
"""States of coupons that an answer listed and that are no new ones, or that a run replaced and that never count again.
"""

# In a report of an earlier run than the one that replaced it, a coupon is what it was until then: revoked.
_FEW = """
SELECT order_id, coupon_id, code, call_key, CASE WHEN replaced_by > ? THEN 'revoked' ELSE state END FROM coupons
WHERE order_id IN (SELECT value FROM json_each(?)) ORDER BY id
"""
_MANY = """
SELECT p.id, p.coupon_id, p.code, p.call_key, CASE WHEN p.replaced_by > ? THEN 'revoked' ELSE p.state END, c.run_id,
    coalesce(c.ended, c.began)
FROM coupons p JOIN calls c ON c.order_id = p.order_id AND c.key = p.call_key
WHERE p.order_id IN (SELECT value FROM json_each(?)) AND p.id > ? AND c.run_id <= ? ORDER BY p.id LIMIT ?
"""
_REVOKED = """
SELECT p.order_id, count(*) FROM coupons p JOIN calls c ON c.order_id = p.order_id AND c.key = p.call_key
WHERE p.order_id IN (SELECT value FROM json_each(?)) AND (p.state = 'revoked' OR p.replaced_by > ?) AND c.run_id <= ?
GROUP BY p.order_id
"""
_REPLACED = """
SELECT call_key, count(*) FROM coupons INDEXED BY coupons_replaced
WHERE order_id IN (SELECT value FROM json_each(?)) AND replaced_by IS NOT NULL AND replaced_by <= ? GROUP BY call_key
"""


@dataclass(slots=True)
class PageCoupons:
    """Coupons of a page's orders, by order: those that count, those that do not, and how many are revoked of all.

    Orders with more coupons than fit in a cell have only their `revoked` here.
    """

    counted: dict[int, list[CouponFacts]] = field(default_factory=dict)
    uncounted: dict[int, list[CouponFacts]] = field(default_factory=dict)
    revoked: dict[int, int] = field(default_factory=dict)


class CouponReader:
    """Reads coupons for one run. `run_names`: run number → name."""

    def __init__(self, conn: sa.Connection, run_id: int, run_names: Mapping[int, str]) -> None:
        self._conn = conn
        self._run_id = run_id
        self._run_names = run_names

    def of_page(
        self,
        calls: Mapping[int, Sequence[CallFacts]],
        by_key: Mapping[str, CallFacts],
        owner: Mapping[int, int],
        *,
        codes: bool,
    ) -> PageCoupons:
        """The coupons of a page. `calls`: by order; `by_key`: the same by key; `owner`: order → the one that shows it.

        `codes`: False reads how many are revoked and nothing else.
        """
        found = PageCoupons()
        few: list[int] = []
        many: list[int] = []
        for of_order in calls.values():
            fits = codes and sum([call.known for call in of_order]) <= CODES_IN_A_CELL
            (few if fits else many).extend({call.order_id for call in of_order})
        if few:
            self._few(few, by_key, owner, found)
        if many:
            for order_id, number in self._conn.exec_driver_sql(_REVOKED, (as_json(many), self._run_id, self._run_id)):
                shown = owner[order_id]
                found.revoked[shown] = found.revoked.get(shown, 0) + number
        return found

    def _few(
        self, few: Sequence[int], by_key: Mapping[str, CallFacts], owner: Mapping[int, int], found: PageCoupons
    ) -> None:
        names, counted = self._run_names, found.counted
        rows = self._conn.exec_driver_sql(_FEW, (self._run_id, as_json(few))).all()
        for order_id, number, code, call_key, state in rows:
            call = by_key.get(call_key)
            if call is None:
                continue  # of a later run
            shown = owner[order_id]
            coupon = CouponFacts(
                number or "", code or "", call_key, names.get(call.run_id, ""), call.ended or call.began, state
            )
            if state in NOT_COUNTED:
                found.uncounted.setdefault(shown, []).append(coupon)
                continue
            so_far = counted.get(shown)
            if so_far is None:
                counted[shown] = [coupon]
            else:
                so_far.append(coupon)
            if state == "revoked":
                found.revoked[shown] = found.revoked.get(shown, 0) + 1

    def replaced(self, order_ids: Sequence[int]) -> dict[str, int]:
        """Call → how many of its coupons were revoked and replaced by this run or an earlier one: they never count."""
        found = self._conn.exec_driver_sql(_REPLACED, (as_json(order_ids), self._run_id))
        return {row[0]: row[1] for row in found}

    def of_order(self, order_ids: Sequence[int]) -> Iterator[list[CouponFacts]]:
        """All coupons of an order and those merged with it, page by page."""
        ids, after = as_json(order_ids), 0
        while rows := self._conn.exec_driver_sql(_MANY, (self._run_id, ids, after, self._run_id, AT_ONCE)).all():
            after = rows[-1][0]
            yield [
                CouponFacts(number or "", code or "", key, self._run_names.get(run, ""), at, state)
                for _, number, code, key, state, run, at in rows
            ]

    def count_revoked(self, order_ids: Sequence[int], offset: int, issued: int) -> int:
        """How many are revoked of the `issued` coupons that follow the first `offset` ones of an order."""
        position = revoked = 0
        for page in self.of_order(order_ids):
            for coupon in page:
                if coupon.state not in NOT_COUNTED:
                    revoked += coupon.state == "revoked" and offset <= position < offset + issued
                    position += 1
        return revoked


def as_json(numbers: Sequence[int]) -> str:
    """Numbers as one parameter, for `json_each`."""
    return orjson.dumps(list(numbers)).decode()


@contextmanager
def reading(conn: sa.Connection) -> Iterator[None]:
    """One read transaction: what is read inside is of one moment, and no writer waits for it."""
    conn.exec_driver_sql("BEGIN")
    try:
        yield
    finally:
        conn.rollback()
