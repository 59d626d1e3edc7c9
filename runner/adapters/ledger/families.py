"""Orders of one run that turned out to be one person's: who survived, who belongs together, which line came first.

A merge is rare, so the families of a campaign are read once and kept: memory grows with merges, not with rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import orjson
import sqlalchemy as sa

from runner.core.merging import SURPLUS
from runner.core.statuses import CallFacts

_CHUNK = 5_000

_FAMILIES = """
SELECT o.id, o.closed, s.id, s.key, s.closed, s.target, s.issued + s.held
FROM orders o JOIN orders s ON s.id = o.merged_into
WHERE o.merged_into IS NOT NULL AND o.scope_id = ?
"""
_REVOKED = """
SELECT count(*) FROM coupons WHERE state = 'revoked' AND order_id IN (SELECT value FROM json_each(?))
"""
_LATER = """
SELECT DISTINCT order_id FROM closures WHERE code = ? AND order_id IN (SELECT value FROM json_each(?))
"""
_ISSUED_BY = """
SELECT u.name, r.sheet, r.row FROM calls c JOIN runs u ON u.id = c.run_id
    JOIN lines l ON l.run_id = c.run_id AND l.order_id = c.order_id JOIN rows r ON r.id = l.row_id
WHERE c.order_id IN (SELECT value FROM json_each(?)) AND c.known > 0 AND l.role = 'first'
    AND EXISTS (SELECT 1 FROM coupons p WHERE p.order_id = c.order_id AND p.call_key = c.key AND p.state = 'issued')
ORDER BY c.run_id, l.id LIMIT 1
"""
_LINES = """
SELECT l.order_id, l.row_id, r.row, r.sheet, r.file, l.target FROM lines l JOIN rows r ON r.id = l.row_id
WHERE l.run_id = ? AND l.role <> 'elsewhere' AND l.order_id IN (SELECT value FROM json_each(?)) ORDER BY l.row_id, l.id
"""


class FirstLine(NamedTuple):
    """The first line of a family in the run: it shows what the family holds, against its own target."""

    order_id: int
    row_id: int
    row: int
    sheet: str
    file: int
    target: int


class Families:
    """Who is whose other name, as the ledger says now, and where the run's lines of them stand."""

    def __init__(self) -> None:
        self._root: dict[int, int] = {}
        self._members: dict[int, list[int]] = {}
        self._root_keys: dict[int, str] = {}
        self._root_closed: dict[int, str | None] = {}
        self._surplus: set[int] = set()
        self._first: dict[int, FirstLine] = {}
        self._with_lines: set[int] = set()

    @classmethod
    def of_run(cls, conn: sa.Connection, scope_id: int, run_id: int) -> Self:
        """The families of a campaign, with their lines in one run. Call inside one read transaction."""
        families = cls()
        above: dict[int, int] = {}
        for member, closed, root, root_key, root_closed, target, held in conn.exec_driver_sql(_FAMILIES, (scope_id,)):
            above[root] = held - target
            families._root[member] = families._root[root] = root
            families._members.setdefault(root, [root]).append(member)
            families._root_keys[root] = root_key
            families._root_closed[root] = root_closed
            if closed == SURPLUS:
                families._surplus.add(member)
        families._forget_undone(conn, above)
        orders = list(families._root)
        for start in range(0, len(orders), _CHUNK):
            chosen = orjson.dumps(orders[start : start + _CHUNK]).decode()
            for found in conn.exec_driver_sql(_LINES, (run_id, chosen)):
                line = FirstLine(*found)
                root = families._root[line.order_id]
                known = families._first.get(root)
                if known is None or line.row_id < known.row_id:
                    families._first[root] = line
                families._with_lines.add(line.order_id)
        return families

    def _forget_undone(self, conn: sa.Connection, above: Mapping[int, int]) -> None:
        """A surplus is none any more when as many coupons of the family were revoked as were above its target."""
        for root in {self._root[member] for member in self._surplus}:
            ids = orjson.dumps(self._members[root]).decode()
            revoked = int(conn.exec_driver_sql(_REVOKED, (ids,)).scalar_one())
            if revoked and revoked >= above[root]:
                self._surplus.difference_update(self._members[root])

    def to_undo(self, conn: sa.Connection) -> tuple[str, str] | None:
        """The run that issued the first surplus with a line in the run, and the row of it, as `undo` takes them."""
        for root in sorted({self._root[member] for member in self._surplus}):
            members = self._members[root]
            if not self._with_lines.intersection(members):
                continue
            told = orjson.dumps(members).decode()
            later = list(conn.exec_driver_sql(_LATER, (SURPLUS, told)).scalars()) or members[1:]
            found = conn.exec_driver_sql(_ISSUED_BY, (orjson.dumps(later).decode(),)).first()
            if found is not None:
                return found[0], f"{found[1]}!{found[2]}" if found[1] else str(found[2])
        return None

    def __bool__(self) -> bool:
        """Whether there is any family."""
        return bool(self._root)

    def knows(self, order_id: int) -> bool:
        """Whether the order belongs to a family."""
        return order_id in self._root

    def first_line(self, order_id: int) -> FirstLine | None:
        """The first line of the order's family; None when the order is nobody's other name."""
        root = self._root.get(order_id)
        return None if root is None else self._first.get(root)

    def members(self, order_id: int) -> tuple[int, ...]:
        """The order and those that are the same person's."""
        root = self._root.get(order_id)
        return (order_id,) if root is None else tuple(self._members[root])

    def root_key(self, order_id: int, own: str) -> str:
        """The key of the order that survived, `own` when there is no other."""
        root = self._root.get(order_id)
        return own if root is None else self._root_keys[root]

    def closed(self, order_id: int, own: str | None) -> str | None:
        """The closing code of the order that survived."""
        root = self._root.get(order_id)
        return own if root is None else self._root_closed[root]

    def is_surplus(self, order_id: int, first_order_id: int) -> bool:
        """Whether this order's line is the one to say that both had been issued before they were known to be one."""
        return order_id in self._surplus or (first_order_id in self._surplus and self._root.get(order_id) == order_id)

    def is_twice(self, order_id: int, calls: Sequence[CallFacts]) -> bool:
        """Whether the family was issued twice and no other line of the run can say so. `calls`: of the whole family."""
        if order_id not in self._root:
            return False
        members = self._members[self._root[order_id]]
        if not self._surplus.intersection(members) or len(self._with_lines.intersection(members)) > 1:
            return False
        return len({call.order_id for call in calls if call.known or call.held}) > 1
