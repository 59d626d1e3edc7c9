"""One batch of the writer: what has queued up becomes a handful of statements and one link of the history.

Applied in a fixed order: settlements, merges, closings, fall backs, series, begins. That is always valid: a call's
begin has returned before its settlement is queued, and an order has at most one call in flight. Runs inside the
caller's write transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson
import sqlalchemy as sa

from runner.adapters.ledger import statements as sql
from runner.adapters.ledger.events import Head, append_body
from runner.adapters.ledger.falling_back import fall_back
from runner.adapters.ledger.settling import Closing, Uneven, close_order, learn_names, settle
from runner.core.model import CallStart, FallBack, Reason, Settlement
from runner.errors import LedgerFailed


class SeriesChange(NamedTuple):
    """A series comes to another state in a run, and why."""

    run: int
    series: int
    state: str
    reason: Reason | None


@dataclass(slots=True)
class Batch:
    """What the writer took from its queue, by kind, each in the order of arrival."""

    settlements: list[Settlement] = field(default_factory=list)
    closings: list[Closing] = field(default_factory=list)
    fall_backs: list[FallBack] = field(default_factory=list)
    series: list[SeriesChange] = field(default_factory=list)
    begins: list[CallStart] = field(default_factory=list)

    def singly(self) -> list[Batch]:
        """The same, one item at a time, in the order in which a batch applies them."""
        return [
            *(Batch(settlements=[item]) for item in self.settlements),
            *(Batch(closings=[item]) for item in self.closings),
            *(Batch(fall_backs=[item]) for item in self.fall_backs),
            *(Batch(series=[item]) for item in self.series),
            *(Batch(begins=[item]) for item in self.begins),
        ]

    @property
    def run(self) -> int | None:
        """The run that the history names for this batch; items carry their own."""
        for items in (self.begins, self.settlements, self.closings, self.fall_backs, self.series):
            for item in items:
                return item.run
        return None


class Applied(NamedTuple):
    """What a batch did: for each begin whether it was recorded, and the newest link."""

    begun: Sequence[bool]
    head: Head


def apply_batch(conn: sa.Connection, batch: Batch, *, key: bytes, orgs: Mapping[int, int], at: float) -> Applied:
    """Write a batch and its link of the history.

    Args:
        key: the ledger's key, for digests of names and coupons.
        orgs: run → org.
        at: seconds since the epoch, UTC: when these calls began and ended.

    Raises:
        Uneven: apply it one item at a time, after a rollback.
        LedgerFailed: a settlement found no call in a state that allows it: a fault that must stop everything.
    """
    body: list[bytes] = []
    if batch.settlements:
        body.append(b'"settle":' + settle(conn, batch.settlements, key=key, at=at))
    if batch.settlements or batch.fall_backs:
        learnt = learn_names(conn, [*batch.settlements, *batch.fall_backs], key=key, orgs=orgs)
        if learnt.names:
            body.append(b'"names":' + orjson.dumps(learnt.names))
        if learnt.merges:
            body.append(b'"merge":' + orjson.dumps(learnt.merges))
    if batch.closings:
        for closing in batch.closings:
            close_order(conn, closing)
        body.append(b'"close":' + orjson.dumps([(c.run, c.order_id, c.reason.code) for c in batch.closings]))
    if batch.fall_backs and (named := fall_back(conn, batch.fall_backs, key=key)):
        body.append(b'"named_by":' + orjson.dumps(named))
    if batch.series:
        for item in batch.series:
            code, message = (item.reason.code, item.reason.message) if item.reason else (None, None)
            conn.exec_driver_sql(sql.SET_SERIES, (item.run, item.series, item.state, code, message, at))
        body.append(
            b'"series":' + orjson.dumps([(s.run, s.series, s.state, s.reason and s.reason.code) for s in batch.series])
        )
    begun: Sequence[bool] = ()
    if batch.begins:
        payload, begun = _begin(conn, batch.begins, at)
        body.append(b'"begin":' + payload)
    head = append_body(conn, batch.run, b"{" + b",".join(body) + b"}", at=at)
    return Applied(begun, head)


def _begin(conn: sa.Connection, starts: Sequence[CallStart], at: float) -> tuple[bytes, Sequence[bool]]:
    """Record the calls that their orders allow: what was recorded, as JSON, and for each start whether it was."""
    if len({start.order_id for start in starts}) < len(starts):
        raise Uneven
    payload = orjson.dumps([(s.key, s.order_id, s.run, s.number, s.quantity) for s in starts])
    recorded = conn.exec_driver_sql(sql.BEGIN_CALLS, (payload.decode(), at)).rowcount
    moved = conn.exec_driver_sql(sql.BEGIN_ORDERS, (payload.decode(),)).rowcount
    if recorded != moved:
        raise LedgerFailed("The ledger recorded other calls than its orders allow. Keep it and report this fault.")
    if recorded == len(starts):
        return payload, [True] * len(starts)
    found = {int(position) for position in conn.exec_driver_sql(sql.BEGUN, (payload.decode(),)).scalars()}
    return (
        orjson.dumps([(s.key, s.order_id, s.run, s.number, s.quantity) for i, s in enumerate(starts) if i in found]),
        [i in found for i in range(len(starts))],
    )
