"""The truth: who holds which coupons, and which calls were seen, in one SQLite file.

Every change is committed before the answer that tells of it leaves, and nothing is kept in memory between calls, so
that a killed server loses nothing and a second one may take over the file. Only process death is guarded against:
``synchronous=OFF``.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS customers(id INTEGER PRIMARY KEY, first_name TEXT NOT NULL, last_name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS identifiers(
  kind TEXT NOT NULL, value TEXT NOT NULL, customer_id INTEGER NOT NULL, PRIMARY KEY(kind, value)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS identifiers_of ON identifiers(customer_id);
CREATE TABLE IF NOT EXISTS coupons(
  id INTEGER PRIMARY KEY, code TEXT NOT NULL, series_id INTEGER NOT NULL, customer_id INTEGER NOT NULL,
  post INTEGER NOT NULL, created_ms INTEGER NOT NULL, revoked_ms INTEGER, redeemed_ms INTEGER);
CREATE INDEX IF NOT EXISTS coupons_of ON coupons(customer_id, series_id);
CREATE INDEX IF NOT EXISTS coupons_by_code ON coupons(code);
CREATE TABLE IF NOT EXISTS posts(
  n INTEGER PRIMARY KEY, request_id TEXT, source_id TEXT, metadata TEXT, who TEXT, series_id INTEGER, asked INTEGER,
  at_ms INTEGER NOT NULL, fault TEXT, status INTEGER, codes TEXT, issued INTEGER NOT NULL DEFAULT 0,
  resent INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS series(id INTEGER PRIMARY KEY, issued INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS progress(scope TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tokens(digest TEXT PRIMARY KEY, ends_ms INTEGER NOT NULL) WITHOUT ROWID;
"""

_DETAILS = {
    "issuedToIds": "SELECT c.code, c.series_id, c.created_ms, p.metadata FROM coupons c LEFT JOIN posts p ON p.n=c.post"
    " WHERE c.customer_id IN (SELECT value FROM json_each(?)) AND c.revoked_ms IS NULL AND c.created_ms<=?"
    " ORDER BY c.id",
    "couponIds": "SELECT c.code, c.series_id, c.created_ms, p.metadata FROM coupons c LEFT JOIN posts p ON p.n=c.post"
    " WHERE c.id IN (SELECT value FROM json_each(?)) AND c.revoked_ms IS NULL AND c.created_ms<=? ORDER BY c.id",
    "couponCodes": "SELECT c.code, c.series_id, c.created_ms, p.metadata FROM coupons c LEFT JOIN posts p ON p.n=c.post"
    " WHERE c.code IN (SELECT value FROM json_each(?)) AND c.revoked_ms IS NULL AND c.created_ms<=? ORDER BY c.id",
}
_PAGE = (
    "SELECT id, code, series_id, created_ms, redeemed_ms FROM coupons"
    " WHERE customer_id=? AND revoked_ms IS NULL AND created_ms<=?"
)
_NEWEST_FIRST = _PAGE + " ORDER BY id DESC LIMIT ? OFFSET ?"
_OLDEST_FIRST = _PAGE + " ORDER BY id LIMIT ? OFFSET ?"

VERSION = 1
FIRST_CUSTOMER = 555_000_001
FIRST_COUPON = 1_237_000_001
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
CODE_LENGTH = 10
_BITS = 5 * CODE_LENGTH
_MASK = (1 << _BITS) - 1


class TruthError(RuntimeError):
    """The truth file is not one that this sandbox wrote; the message names it and the remedy."""


def code_for(coupon_id: int, salt: int) -> str:
    """The ten characters of a coupon: a bijection of its id, so that no two coupons share them."""
    x = (coupon_id ^ salt) & _MASK
    for factor in (0x2545F4914F6CD, 0x1B873593CC9E5):  # odd, so that each step is invertible
        x = (x * factor) & _MASK
        x ^= x >> 23
    return "".join(ALPHABET[(x >> shift) & 31] for shift in range(0, _BITS, 5))


class Truth:
    """The one writer's view of the file. Times are milliseconds since 1970, UTC."""

    def __init__(self, path: Path, *, seed: int = 0, code_prefix: str = "") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.code_prefix = code_prefix
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # a rehearsal puts real identifiers into it
        self._db = sqlite3.connect(path, isolation_level=None, timeout=10)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=OFF")
            self._db.executescript(_SCHEMA)
            self._db.execute("INSERT OR IGNORE INTO facts VALUES ('version', ?)", (VERSION,))
            salt = random.Random(seed).getrandbits(_BITS)
            self._db.execute("INSERT OR IGNORE INTO facts VALUES ('salt', ?)", (salt,))
            facts = dict(self._db.execute("SELECT name, value FROM facts"))
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise TruthError(f"{path}: is no truth file of this sandbox ({error}); name another file") from error
        if facts["version"] != VERSION:
            self._db.close()
            raise TruthError(f"{path}: was written by another version of the sandbox; name another file")
        self._salt: int = facts["salt"]
        self._execute = self._db.execute

    def close(self) -> None:
        """Close the file; everything is in it already."""
        self._db.close()

    def __enter__(self) -> Truth:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; committed on leaving."""
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._execute("ROLLBACK")
            raise
        self._execute("COMMIT")

    # Customers.

    def find_customer(self, kind: str, value: str) -> int | None:
        """The customer to whom an identifier leads; kind ``id`` is the customer id itself."""
        if kind == "id":
            row = self._execute("SELECT id FROM customers WHERE id=?", (int(value),)).fetchone()
        else:
            row = self._execute(
                "SELECT customer_id FROM identifiers WHERE kind=? AND value=?", (kind, value)
            ).fetchone()
        return row[0] if row else None

    def create_customer(
        self,
        identifiers: Iterable[tuple[str, str]],
        *,
        customer_id: int = 0,
        first_name: str = "Sample",
        last_name: str = "Customer",
    ) -> int:
        """A new customer with these identifiers; its id is unique."""
        if not customer_id:
            (top,) = self._execute("SELECT max(id) FROM customers").fetchone()
            customer_id = max(FIRST_CUSTOMER, (top or 0) + 1)
        self._execute("INSERT INTO customers VALUES (?, ?, ?)", (customer_id, first_name, last_name))
        for kind, value in identifiers:
            self._execute("INSERT INTO identifiers VALUES (?, ?, ?)", (kind, value, customer_id))
        return customer_id

    def tie(self, identifiers: Iterable[tuple[str, str]], customer_id: int, first_name: str, last_name: str) -> int:
        """Make all these identifiers one customer's, merging those that were several; gives the survivor's id."""
        pairs = list(identifiers)
        with self.transaction():
            found = sorted({one for pair in pairs if (one := self.find_customer(*pair)) is not None})
            survivor = customer_id or (found[0] if found else 0)
            if not survivor or self.find_customer("id", str(survivor)) is None:
                survivor = self.create_customer((), customer_id=survivor, first_name=first_name, last_name=last_name)
            else:
                self._execute(
                    "UPDATE customers SET first_name=?, last_name=? WHERE id=?", (first_name, last_name, survivor)
                )
            for loser in found:
                if loser != survivor:
                    self._execute("UPDATE coupons SET customer_id=? WHERE customer_id=?", (survivor, loser))
                    self._execute("UPDATE identifiers SET customer_id=? WHERE customer_id=?", (survivor, loser))
                    self._execute("DELETE FROM customers WHERE id=?", (loser,))
            for kind, value in pairs:
                self._execute("INSERT OR REPLACE INTO identifiers VALUES (?, ?, ?)", (kind, value, survivor))
        return survivor

    def customer(self, customer_id: int) -> tuple[str, str, list[tuple[str, str]]]:
        """First name, last name, identifiers (kind, value)."""
        first, last = self._execute("SELECT first_name, last_name FROM customers WHERE id=?", (customer_id,)).fetchone()
        pairs = self._execute("SELECT kind, value FROM identifiers WHERE customer_id=?", (customer_id,)).fetchall()
        return first, last, pairs

    # Calls.

    def record_post(
        self,
        *,
        request_id: str | None,
        source_id: str | None,
        metadata: str | None,
        who: str | None,
        series_id: int | None,
        asked: int | None,
        at_ms: int,
        fault: str | None,
    ) -> int:
        """One POST to the issue endpoint has been seen; gives its number."""
        cursor = self._execute(
            "INSERT INTO posts(request_id, source_id, metadata, who, series_id, asked, at_ms, fault)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (request_id, source_id, metadata, who, series_id, asked, at_ms, fault),
        )
        return cursor.lastrowid or 0

    def finish_post(self, n: int, *, status: int | None, codes: list[str], issued: int, resent: int = 0) -> None:
        """What became of a POST; ``status`` is ``None`` when no answer was meant to leave."""
        self._execute(
            "UPDATE posts SET status=?, codes=?, issued=?, resent=? WHERE n=?",
            (status, ",".join(codes), issued, resent, n),
        )

    def prepare_posts_of(self) -> None:
        """Make ``posts_of`` fast; only random faults need it."""
        self._execute("CREATE INDEX IF NOT EXISTS posts_of ON posts(who, series_id)")

    def posts_of(self, who: str, series_id: int) -> int:
        """How many POSTs were seen for a customer and a series."""
        found: int = self._execute(
            "SELECT count(*) FROM posts WHERE who=? AND series_id=?", (who, series_id)
        ).fetchone()[0]
        return found

    def take_turn(self, scope: str) -> int:
        """Count up under a name, from 0; survives a restart. Places in lists of answers are kept so."""
        row = self._execute(
            "INSERT INTO progress VALUES (?, 1) ON CONFLICT(scope) DO UPDATE SET value=value+1 RETURNING value",
            (scope,),
        ).fetchall()
        return int(row[0][0]) - 1

    def since_first(self, scope: str, now_ms: int) -> int:
        """Milliseconds since this was first asked under a name."""
        self._execute("INSERT OR IGNORE INTO progress VALUES (?, ?)", (scope, now_ms))
        first: int = self._execute("SELECT value FROM progress WHERE scope=?", (scope,)).fetchone()[0]
        return now_ms - first

    # Coupons.

    def held(self, customer_id: int, series_id: int) -> tuple[int, int]:
        """How many coupons of a series a customer holds (revoked ones not), and when the newest was made (ms)."""
        count, newest = self._execute(
            "SELECT count(*), max(created_ms) FROM coupons WHERE customer_id=? AND series_id=? AND revoked_ms IS NULL",
            (customer_id, series_id),
        ).fetchone()
        return count, newest or 0

    def held_coupons(self, customer_id: int, series_id: int, most: int) -> list[tuple[int, str]]:
        """The newest coupons that a customer holds of a series: (coupon id, code)."""
        return self._execute(
            "SELECT id, code FROM coupons WHERE customer_id=? AND series_id=? AND revoked_ms IS NULL"
            " ORDER BY id DESC LIMIT ?",
            (customer_id, series_id, most),
        ).fetchall()

    def series_issued(self, series_id: int) -> int:
        """How many coupons of a series were ever issued."""
        row = self._execute("SELECT issued FROM series WHERE id=?", (series_id,)).fetchone()
        return row[0] if row else 0

    def series_ids(self) -> list[int]:
        """Every series of which a coupon was issued."""
        return [row[0] for row in self._execute("SELECT id FROM series ORDER BY id")]

    def add_coupons(
        self, *, customer_id: int, series_id: int, count: int, post: int, now_ms: int, shared_code: str | None
    ) -> list[tuple[int, str]]:
        """Issue ``count`` coupons: (coupon id, code), each id unique, each code too unless it is shared."""
        (top,) = self._execute("SELECT max(id) FROM coupons").fetchone()
        first = max(FIRST_COUPON, (top or 0) + 1)
        prefix, salt = self.code_prefix, self._salt
        made = [
            (coupon_id, prefix + (shared_code if shared_code is not None else code_for(coupon_id, salt)))
            for coupon_id in range(first, first + count)
        ]
        statement = "INSERT INTO coupons(id, code, series_id, customer_id, post, created_ms) VALUES (?, ?, ?, ?, ?, ?)"
        for coupon_id, code in made:
            self._execute(statement, (coupon_id, code, series_id, customer_id, post, now_ms))
        self._execute(
            "INSERT INTO series VALUES (?, ?) ON CONFLICT(id) DO UPDATE SET issued=issued+excluded.issued",
            (series_id, count),
        )
        return made

    # Reading for the API.

    def coupons_where(
        self, column: str, values: list[int] | list[str], before_ms: int
    ) -> list[tuple[str, int, int, str | None]]:
        """Code, series, created (ms), metadata (JSON) of unrevoked coupons made until then, oldest first."""
        return self._execute(_DETAILS[column], (json.dumps(values), before_ms)).fetchall()

    def page_of_coupons(
        self, customer_id: int, *, before_ms: int, limit: int, offset: int, newest_first: bool
    ) -> tuple[int, list[tuple[int, str, int, int, int | None]]]:
        """How many there are, and one page of (id, code, series, created ms, redeemed ms)."""
        total: int = self._execute(
            "SELECT count(*) FROM coupons WHERE customer_id=? AND revoked_ms IS NULL AND created_ms<=?",
            (customer_id, before_ms),
        ).fetchone()[0]
        page = _NEWEST_FIRST if newest_first else _OLDEST_FIRST
        return total, self._execute(page, (customer_id, before_ms, limit, offset)).fetchall()

    # Revoking and redeeming.

    def coupon_by_code(self, code: str) -> tuple[int, int, int, bool, bool] | None:
        """Id, series, customer, revoked, redeemed of the newest coupon with a code."""
        row = self._execute(
            "SELECT id, series_id, customer_id, revoked_ms IS NOT NULL, redeemed_ms IS NOT NULL FROM coupons"
            " WHERE code=? ORDER BY id DESC LIMIT 1",
            (code,),
        ).fetchone()
        return (row[0], row[1], row[2], bool(row[3]), bool(row[4])) if row else None

    def unredeemed_codes(self, customer_id: int, series_id: int, most: int) -> list[tuple[int, str]]:
        """(coupon id, code) of what a revocation by customer would take."""
        return self._execute(
            "SELECT id, code FROM coupons WHERE customer_id=? AND series_id=? AND revoked_ms IS NULL"
            " AND redeemed_ms IS NULL ORDER BY id LIMIT ?",
            (customer_id, series_id, most),
        ).fetchall()

    def revoke(self, coupon_id: int, now_ms: int) -> None:
        """Mark a coupon as revoked."""
        self._execute("UPDATE coupons SET revoked_ms=? WHERE id=?", (now_ms, coupon_id))

    def redeem(self, codes: list[str], now_ms: int) -> int:
        """Mark coupons as redeemed, as a shop would; gives how many were."""
        return self._execute(
            "UPDATE coupons SET redeemed_ms=? WHERE code IN (SELECT value FROM json_each(?)) AND revoked_ms IS NULL",
            (now_ms, json.dumps(codes)),
        ).rowcount

    # Tokens.

    def add_token(self, digest: str, ends_ms: int) -> None:
        """Remember a token by its digest."""
        self._execute("INSERT OR REPLACE INTO tokens VALUES (?, ?)", (digest, ends_ms))

    def token_ends_ms(self, digest: str) -> int | None:
        """When a token ends; ``None`` for one that was never issued."""
        row = self._execute("SELECT ends_ms FROM tokens WHERE digest=?", (digest,)).fetchone()
        return row[0] if row else None
