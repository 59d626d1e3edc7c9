"""The ledger's history as a chain: one event for each batch of the writer, each hash covering the one before it.

A body tells in JSON what the batch did, in call keys, order ids, quantities, states and coupon hashes: enough to derive
calls, coupons and counters again, and no personal data, so that erasing a person leaves the chain valid.
Several processes write to one ledger: the newest link is read inside the transaction that adds the next.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson
import sqlalchemy as sa

from runner.adapters.ledger.schema import events

_NEWEST = "SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1"
_APPEND = "INSERT INTO events (seq, run_id, at, body, hash) VALUES (?, ?, ?, ?, ?)"
_PAGE = 500

START = bytes(16)
"""What stands for the hash before the first event."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest link of the chain."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """What a walk over the chain found. `problem`: None, or one sentence about the first link that does not hold."""

    events: int
    head: Head
    problem: str | None


def link_hash(before: bytes, seq: int, run_id: int | None, at: float, body: bytes) -> bytes:
    """The hash (16 bytes) of a link: over the hash before it, its number, run, time and body."""
    digest = blake2b(before, digest_size=16, person=b"event")
    digest.update(struct.pack(">qqd", seq, -1 if run_id is None else run_id, at))
    digest.update(body)
    return digest.digest()


def head_of(conn: sa.Connection) -> Head:
    """The newest link; number 0 and `START` when there is none."""
    row = conn.exec_driver_sql(_NEWEST).first()
    return Head(0, START) if row is None else Head(row[0], row[1])


def holds(conn: sa.Connection, link: Head) -> bool:
    """Whether a link is a part of this history, or of the lost one that a recovery has accounted for."""
    found = conn.exec_driver_sql("SELECT hash FROM events WHERE seq = ?", (link.seq,)).scalar()
    if found is not None and bytes(found) == link.hash:
        return True
    lost = conn.exec_driver_sql(
        "SELECT EXISTS (SELECT 1 FROM lost_heads WHERE seq = ? AND hash = ?)", (link.seq, link.hash)
    )
    return bool(lost.scalar_one())


def append_body(conn: sa.Connection, run_id: int | None, body: bytes, *, at: float) -> Head:
    """Add a link with a body that is JSON already. Only inside a write transaction."""
    before = head_of(conn)
    seq = before.seq + 1
    at = float(at)
    digest = link_hash(before.hash, seq, run_id, at, body)
    conn.exec_driver_sql(_APPEND, (seq, run_id, at, body.decode(), digest))
    return Head(seq, digest)


def append_event(conn: sa.Connection, run_id: int | None, body: Mapping[str, Any], *, at: float) -> Head:
    """Add a link for what a load, an abandon, a recovery and the like did. Only inside a write transaction.

    Args:
        run_id: the run concerned, if there is one.
        body: JSON values; keys name what was done. Never personal data: digests, ids and counts.
        at: seconds since the epoch, UTC.
    """
    return append_body(conn, run_id, orjson.dumps(dict(body)), at=at)


def verify_chain(conn: sa.Connection, *, expected: Head | None = None) -> ChainCheck:
    """Walk the whole chain in short pages.

    Args:
        expected: a head seen earlier (manifest, witness): the chain must still hold it.
    """
    before, count, problem = Head(0, START), 0, None
    table = events.c
    while problem is None:
        page = conn.execute(
            sa.select(table.seq, table.run_id, table.at, table.body, table.hash)
            .where(table.seq > before.seq)
            .order_by(table.seq)
            .limit(_PAGE)
        ).all()
        if not page:
            break
        for seq, run_id, at, body, digest in page:
            if seq != before.seq + 1:
                problem = f"event {before.seq + 1} is missing"
            elif link_hash(before.hash, seq, run_id, at, str(body).encode()) != digest:
                problem = f"event {seq} was changed"
            elif expected is not None and seq == expected.seq and digest != expected.hash:
                problem = f"event {seq} is not the one that was recorded elsewhere"
            if problem is not None:
                break
            before, count = Head(seq, digest), count + 1
    if problem is None and expected is not None and before.seq < expected.seq:
        problem = f"the history ends at event {before.seq}, but event {expected.seq} is recorded elsewhere"
    return ChainCheck(count, before, problem)
