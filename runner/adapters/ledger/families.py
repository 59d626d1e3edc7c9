"""Orders of one run that turned out to be one person's: who survived, who belongs together, which line came first.

A merge is rare, so the families of a campaign are read once and kept: memory grows with merges, not with rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import orjson
import sqlalchemy as sa

from runner.core.merging import SURPLUS
from runner.core.statuses import CallFacts

_CHUNK = 5_000

_FAMILIES = """
SELECT o.id, o.closed, s.id, s.key, s.closed FROM orders o JOIN orders s ON s.id = o.merged_into
WHERE o.merged_into IS NOT NULL AND o.scope_id = ?
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
        for member, closed, root, root_key, root_closed in conn.exec_driver_sql(_FAMILIES, (scope_id,)):
            families._root[member] = families._root[root] = root
            families._members.setdefault(root, [root]).append(member)
            families._root_keys[root] = root_key
            families._root_closed[root] = root_closed
            if closed == SURPLUS:
                families._surplus.add(member)
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
