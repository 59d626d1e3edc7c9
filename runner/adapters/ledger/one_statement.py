# ruff: noqa: S608 — put together from fixed texts; every value is a column of the row that is inserted
"""The ordinary batch in one statement: begun, applied, committed and synced without the interpreter in between.

Each return from SQLite to Python waits for the interpreter lock, which the event loop holds nearly always: a dozen
statements a batch made the calls wait three times as long as the disk did. So a temporary view takes the whole batch as
one row, and its trigger applies the very statements of `statements.py`. Whatever is not ordinary makes the trigger
raise, which undoes all of it; `batches.apply_batch`, the careful way, then applies the batch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import orjson

from runner.adapters.ledger import statements as sql
from runner.adapters.ledger.batches import Applied, Batch
from runner.adapters.ledger.events import Head, link_hash
from runner.adapters.ledger.settling import describe, digests_of, names_of, names_told

VIEW = """
CREATE TEMP VIEW one_batch(before, settle, messages, coupons, coupon_hashes, names, name_hashes, begins, at, seq,
    run_id, body, hash) AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
"""


def _of(statement: str, *columns: str) -> str:
    """A statement of the careful way, its parameters taken from the view's row."""
    for number, column in enumerate(columns, start=1):
        statement = statement.replace(f"?{number}", f"NEW.{column}")
    return statement.strip()


_BEGIN = "CREATE TEMP TRIGGER apply_one_batch INSTEAD OF INSERT ON one_batch BEGIN\n"
_OTHERS_WROTE = """
SELECT RAISE(ABORT, 'another process wrote')
WHERE (SELECT hash FROM events ORDER BY seq DESC LIMIT 1) IS NOT NEW.before
"""
_LINK = "INSERT INTO events (seq, run_id, at, body, hash) VALUES (NEW.seq, NEW.run_id, NEW.at, NEW.body, NEW.hash)"
_COUPON_SEEN = f"""
SELECT RAISE(ABORT, 'a coupon is recorded already') FROM json_each(NEW.coupons) AS j
WHERE EXISTS (SELECT 1 FROM coupons AS c
    WHERE c.hash = substr(NEW.coupon_hashes, j.key * {sql.HASH_BYTES} + 1, {sql.HASH_BYTES}))
"""
_EARLIER_ANSWER = f"""
SELECT RAISE(ABORT, 'a call has an earlier answer') FROM json_each(NEW.settle) AS j
CROSS JOIN calls AS c ON c.order_id = {sql.at(1)} AND c.number = {sql.at(14)} WHERE c.known > 0
"""
_FOREIGN_NAME = f"""
SELECT RAISE(ABORT, 'a name belongs to another person')
WHERE EXISTS ({_of(sql.FOREIGN_NAMES, "names", "name_hashes")})
"""
_ALL_OF = "SELECT RAISE(ABORT, 'not all of them') WHERE changes() <> json_array_length(NEW.{column})"

TRIGGER = ";\n".join(
    (
        _BEGIN + _OTHERS_WROTE,
        _COUPON_SEEN.strip(),
        _EARLIER_ANSWER.strip(),
        _of(sql.SETTLE_ORDERS, "settle"),
        _of(sql.SETTLE_CALLS, "settle", "at"),
        _ALL_OF.format(column="settle"),
        _of(sql.SETTLE_MESSAGES, "messages"),
        _of(sql.ADD_COUPONS, "coupons", "coupon_hashes"),
        _of(sql.ADD_NAMES, "names", "name_hashes"),
        _FOREIGN_NAME.strip(),
        _of(sql.BEGIN_CALLS, "begins", "at"),
        _ALL_OF.format(column="begins"),
        _of(sql.BEGIN_ORDERS, "begins"),
        _ALL_OF.format(column="begins"),
        _LINK + ";\nEND",
    )
)

_APPLY = "INSERT INTO one_batch VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class OneStatement:
    """Applies ordinary batches on one connection, which nothing else has in a transaction."""

    def __init__(self, connection: sqlite3.Connection, *, key: bytes) -> None:
        self._connection = connection
        self._key = key
        connection.execute(VIEW)
        connection.execute(TRIGGER)

    def apply(self, batch: Batch, *, orgs: Mapping[int, int], at: float, before: Head) -> Applied | None:
        """Apply and commit a batch; None, and nothing written, when it is not ordinary and needs the careful way.

        Args:
            before: the newest link of the history as this process knows it; another process may have gone on.
            at: seconds since the epoch, UTC.

        Raises:
            sqlite3.Error: the ledger cannot be written.
        """
        settlements, begins = batch.settlements, batch.begins
        if batch.closings or batch.fall_backs or batch.series:
            return None
        if len({start.order_id for start in begins}) < len(begins):
            return None
        if len({settlement.order_id for settlement in settlements}) < len(settlements):
            return None
        digests = digests_of(settlements, self._key)
        told = describe(settlements, digests, key=self._key)
        if len(set(told.hashes)) < len(told.hashes) or any(coupon[3] is None for coupon in told.coupons):
            return None
        names, name_hashes = names_of(settlements, self._key, orgs)
        settle = orjson.dumps(told.calls)
        started = orjson.dumps([(s.key, s.order_id, s.run, s.number, s.quantity) for s in begins])
        parts = [b'"settle":' + settle] if settlements else []
        if names:
            parts.append(b'"names":' + orjson.dumps(names_told(names, name_hashes)))
        if begins:
            parts.append(b'"begin":' + started)
        body = b"{" + b",".join(parts) + b"}"
        seq = before.seq + 1
        digest = link_hash(before.hash, seq, batch.run, at, body)
        row = (
            before.hash,
            settle.decode(),
            orjson.dumps(told.messages).decode(),
            orjson.dumps(told.coupons).decode(),
            b"".join(told.hashes),
            orjson.dumps(names).decode(),
            b"".join(name_hashes),
            started.decode(),
            at,
            seq,
            batch.run,
            body.decode(),
            digest,
        )
        try:
            self._connection.execute(_APPLY, row)
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorname == "SQLITE_CONSTRAINT_TRIGGER":
                return None
            raise
        return Applied([True] * len(begins), Head(seq, digest))
