"""The orders of one page of a report: their calls, reasons, shares and coupons, judged by `core.statuses`.

An order's figures are those of its own calls and of the orders that were merged with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson
import sqlalchemy as sa

from runner.adapters.ledger.families import Families
from runner.adapters.ledger.report_coupons import CouponReader, as_json
from runner.core.merging import SAME_PERSON, SURPLUS
from runner.core.planned import LineRole
from runner.core.report_lines import CODES_IN_A_CELL, Holding
from runner.core.statuses import CLOSED_FOR_GOOD, CallFacts, Cause, OrderState, OrderVerdict, Share, deal, judge_order

_CALLS = """
SELECT key, order_id, run_id, number, quantity, state, known, held, began, ended, http, code, class, scope, message,
    flags, request_id, CASE state WHEN 'in_doubt' THEN (SELECT why FROM evidence AS e
        WHERE e.order_id = calls.order_id AND e.number = calls.number ORDER BY e.id DESC LIMIT 1) END
FROM calls WHERE order_id IN (SELECT value FROM json_each(?)) AND run_id <= ?
"""
_CLOSURES = """
SELECT order_id, code, message FROM closures WHERE run_id = ? AND order_id IN (SELECT value FROM json_each(?))
"""
_SERIES = "SELECT series, state, code, message FROM series_states WHERE run_id = ?"
_SHARING = """
SELECT l.order_id, l.id, l.requested, r.row FROM lines l JOIN rows r ON r.id = l.row_id
WHERE l.run_id = ? AND l.role IN ('first', 'added') AND l.order_id IN (SELECT value FROM json_each(?))
ORDER BY l.row_id, l.id
"""


_SHARES = frozenset({LineRole.FIRST.value, LineRole.ADDED.value})
_UNSAID: tuple[str, Cause | None] = ("", None)


class FoundLine(NamedTuple):
    """One row of the page's query: a row × one of its lines (the line's columns are None for a rejected row)."""

    row_id: int
    file: int
    sheet: str
    row: int
    cells: str | None
    rejected: int
    line_id: int | None
    order_id: int
    requested: int
    target: int
    counted: int
    role: str
    same_as: int | None
    note: str | None
    key: str
    series: int
    kind: str
    value: str | None
    closed: str | None
    merged_into: int | None
    calls: int
    tried: str | None
    falls_back: int | None


class Sharing(NamedTuple):
    """The lines of one order that share its coupons, in row order."""

    line_ids: Sequence[int | None]
    requested: Sequence[int]
    rows: tuple[int, ...]


class JudgedOrder(NamedTuple):
    """An order of the page: its verdict, the lines that share it, their shares, and what the only line of it holds."""

    order: OrderVerdict
    sharing: Sharing | None
    shares: list[Share]
    holding: Holding


class OrderReader:
    """Judges the orders of one page after the other. `adds_up`: some orders have several lines that share."""

    def __init__(self, conn: sa.Connection, run_id: int, coupons: CouponReader, *, adds_up: bool, codes: bool) -> None:
        self._conn = conn
        self._run_id = run_id
        self._coupons = coupons
        self._adds_up = adds_up
        self._codes = codes

    def judge(self, found: Sequence[FoundLine], families: Families) -> dict[int, JudgedOrder]:
        merged = bool(families)
        lines: dict[int, FoundLine] = {}
        for row in found:
            order_id = row.order_id
            if row.role in _SHARES and order_id not in lines:
                first = families.first_line(order_id) if merged else None
                if first is None or first.order_id == order_id:
                    lines[order_id] = row
        if not lines:
            return {}
        # Whose figures each order's calls go to: its own, or those of the family's order that has the first line.
        owner = {order_id: order_id for order_id in lines}
        if merged:
            owner = {member: order_id for order_id in lines for member in families.members(order_id)}
        calls, by_key = self._calls(owner)
        closures, series = self._reasons(lines, calls, owner)
        sharing = self._sharing(owner) if self._adds_up else {}
        coupons = self._coupons.of_page(calls, by_key, owner, codes=self._codes)
        judged = {}
        for order_id, row in lines.items():
            of_order = calls.get(order_id, [])
            closure = closures.get(order_id)
            if closure is None and (merged or row.closed is not None):
                closure = _closed_for_good(families.closed(order_id, row.closed))
            state, cause = series.get(row.series, _UNSAID)
            twice = merged and families.is_twice(order_id, of_order)
            facts = OrderState(self._run_id, row.target, of_order, closure, state, cause, twice)
            if row.tried is not None or row.falls_back:
                facts = facts._replace(kind=row.kind, tried=orjson.loads(row.tried or "[]"), another=True)
            order = judge_order(facts)
            sharers = sharing.get(order_id)
            holding = Holding(
                coupons.counted.get(order_id, []) if order.issued <= CODES_IN_A_CELL else None,
                coupons.uncounted.get(order_id, ()),
                coupons.revoked.get(order_id, 0),
                0,
                families.members(order_id) if merged else (order_id,),
            )
            requested = (row.requested,) if sharers is None else sharers.requested
            judged[order_id] = JudgedOrder(order, sharers, deal(requested, order), holding)
        return judged

    def _calls(self, owner: Mapping[int, int]) -> tuple[dict[int, list[CallFacts]], dict[str, CallFacts]]:
        calls: dict[int, list[CallFacts]] = {}
        by_key: dict[str, CallFacts] = {}
        several = set()
        replaced = self._coupons.replaced(list(owner))
        for row in self._conn.exec_driver_sql(_CALLS, (as_json(list(owner)), self._run_id)).all():
            call = CallFacts._make(row)
            if call.flags is not None:
                call = call._replace(flags=tuple(orjson.loads(row[15])))
            if replaced:
                call = call._replace(known=call.known - replaced.get(call.key, 0))
            by_key[call.key] = call
            order_id = owner[call.order_id]
            of_order = calls.get(order_id)
            if of_order is None:
                calls[order_id] = [call]
            else:
                of_order.append(call)
                several.add(order_id)
        for order_id in several:
            calls[order_id].sort(key=_age)
        return calls, by_key

    def _reasons(
        self, lines: Mapping[int, FoundLine], calls: Mapping[int, Sequence[CallFacts]], owner: Mapping[int, int]
    ) -> tuple[dict[int, Cause], dict[int, tuple[str, Cause | None]]]:
        """Closures of orders that miss something, and how this run left its series; nothing when none misses any."""
        short = {
            order_id
            for order_id, row in lines.items()
            if sum([call.known + call.held for call in calls.get(order_id, ())]) < row.target
        }
        if not short:
            return {}, {}
        closures: dict[int, Cause] = {}
        ids = as_json([member for member, order_id in owner.items() if order_id in short])
        for order_id, code, message in self._conn.exec_driver_sql(_CLOSURES, (self._run_id, ids)):
            if code not in (SURPLUS, SAME_PERSON):
                closures[owner[order_id]] = Cause(code, message or "")
        series = {
            number: (state, Cause(code, message or "") if code else None)
            for number, state, code, message in self._conn.exec_driver_sql(_SERIES, (self._run_id,))
        }
        return closures, series

    def _sharing(self, owner: Mapping[int, int]) -> dict[int, Sharing]:
        """The lines of those orders of the page that have several."""
        wanted = as_json(list(owner))
        grouped: dict[int, list[tuple[int, int, int]]] = {}
        for order_id, line_id, requested, row in self._conn.exec_driver_sql(_SHARING, (self._run_id, wanted)):
            grouped.setdefault(order_id, []).append((line_id, requested, row))
        return {
            order_id: Sharing(*(tuple(column) for column in zip(*lines, strict=True)))
            for order_id, lines in grouped.items()
            if len(lines) > 1
        }


def _age(call: CallFacts) -> tuple[float, int]:
    return call.began, call.number


def _closed_for_good(code: str | None) -> Cause | None:
    return Cause(code, CLOSED_FOR_GOOD[code]) if code is not None and code in CLOSED_FOR_GOOD else None
