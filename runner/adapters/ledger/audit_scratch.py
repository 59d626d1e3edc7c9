"""One moment of the ledger beside its history replayed: a private database of SQLite's own, gone when it is closed.

The ledger is attached read-only and read as of one moment, also while a run goes on. The replay's tables (`h_…`) lie in
a temporary file without a name: memory does not grow with the ledger, and nothing is left behind.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson

from runner.adapters.ledger.events import START, Head, link_hash
from runner.adapters.ledger.failures import through_the_door
from runner.adapters.ledger.falling_back import name_as_sent
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.loaded import evidence_told
from runner.adapters.ledger.settling import NAME_BYTES
from runner.core.auditing import CallPlace, CallSoFar, Replay
from runner.core.keys import code_hash, coupon_hash
from runner.core.merging import root_of
from runner.core.model import Kind

PAGE = 500
_CACHE_KIB = 16_384

_TABLES = """
CREATE TABLE h_calls(order_id INT, number INT, key TEXT, run_id INT, quantity INT, state TEXT, known INT, held INT,
    http INT, code TEXT, request_id TEXT, flags TEXT, PRIMARY KEY (order_id, number)) WITHOUT ROWID;
CREATE TABLE h_codes(order_id INT, number INT, hash BLOB, code TEXT);
CREATE TABLE h_names(org_id INT, hash BLOB, person INT);
CREATE TABLE h_named(order_id INTEGER PRIMARY KEY, kind TEXT, hash BLOB, tried TEXT);
CREATE TABLE h_evidence(order_id INT, number INT, digest TEXT, n INT,
    PRIMARY KEY (order_id, number, digest)) WITHOUT ROWID;
CREATE TABLE h_revoking(key TEXT, order_id INT, number INT, hash BLOB, n INT,
    PRIMARY KEY (key, order_id, number, hash)) WITHOUT ROWID;
CREATE TABLE h_fates(key TEXT, order_id INT, number INT, hash BLOB, fate TEXT,
    PRIMARY KEY (key, order_id, number, hash, fate)) WITHOUT ROWID;
CREATE TABLE h_coupons(order_id INT, number INT, hash BLOB, state TEXT, n INT,
    PRIMARY KEY (order_id, number, hash, state)) WITHOUT ROWID;
CREATE TABLE h_sums(order_id INTEGER PRIMARY KEY, known INT, held INT, newest INT, calls INT);
CREATE TABLE h_closings(run_id INT, order_id INT, code TEXT, PRIMARY KEY (run_id, order_id, code)) WITHOUT ROWID;
CREATE TABLE h_closed(order_id INT, run_id INT, code TEXT, PRIMARY KEY (order_id, run_id, code)) WITHOUT ROWID;
CREATE TABLE h_roots(person INTEGER PRIMARY KEY, root INT);
CREATE TABLE h_merges(seq INT, survivor INT, other INTEGER PRIMARY KEY, target INT, surplus INT);
CREATE TABLE h_made(order_id INTEGER PRIMARY KEY, target INT);
CREATE TABLE h_recovered(order_id INTEGER PRIMARY KEY);
CREATE TABLE h_targets(order_id INTEGER PRIMARY KEY, run_id INT, target INT, most INT);
"""
_KINDS = frozenset(map(str, Kind))
_KNOWN = """
SELECT c.order_id, c.number, c.key, c.run_id, c.quantity, c.state, c.known, c.held,
    c.http, c.code, c.request_id, c.flags
FROM json_each(?) AS j JOIN h_calls AS c ON c.order_id = j.value ->> 0 AND c.number = j.value ->> 1
"""
_EVENTS = "SELECT seq, run_id, at, body, hash FROM ledger.events WHERE seq > ? ORDER BY seq LIMIT ?"
_COUNT = """
INSERT INTO h_coupons VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """A link of the history that something else remembers, and what: "the witness", "manifest.json of run …"."""

    head: Head
    where: str


@dataclass(slots=True)
class Chain:
    """What the walk over the history found."""

    head: Head
    first: float | None = None
    last: float | None = None
    problems: list[str] = field(default_factory=list)
    denied: list[tuple[Seen, str]] = field(default_factory=list)
    lost: list[tuple[Seen, str]] = field(default_factory=list)


class Scratch:
    """The ledger at one moment, and its history replayed beside it. Made by `open_scratch`."""

    def __init__(self, connection: sqlite3.Connection, ledger: LedgerFile) -> None:
        self.ledger = ledger
        self.replay = Replay()
        self._connection = connection

    def ask(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> sqlite3.Cursor:
        """One statement over `h_…` tables and the ledger's, read as of the moment."""
        with through_the_door(self.ledger.path):
            return self._connection.execute(statement, values)

    def one(self, statement: str, values: Sequence[Any] = ()) -> tuple[Any, ...]:
        """The only row of a statement."""
        return tuple(self.ask(statement, values).fetchone())

    def write(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Into the tables of the replay."""
        with through_the_door(self.ledger.path):
            self._connection.executemany(statement, rows)

    def walk(self, remembered: Sequence[Seen]) -> Chain:
        """Check every link, replay every event, and look for the links that others remember."""
        wanted: dict[int, list[Seen]] = {}
        for seen in remembered:
            wanted.setdefault(seen.head.seq, []).append(seen)
        chain = Chain(Head(0, START))
        while page := self.ask(_EVENTS, (chain.head.seq, PAGE)).fetchall():
            bodies = [self._link(chain, wanted, event) for event in page]
            told = [(event[0], event[1], body) for event, body in zip(page, bodies, strict=True) if body is not None]
            self._replay_page(told)
        for seq, seen_there in wanted.items():
            if seq > chain.head.seq:
                for seen in seen_there:
                    self._deny(
                        chain,
                        seen,
                        f"{seen.where} knows event {seq:,}, but the history ends at event {chain.head.seq:,}: its end"
                        " was cut off, or an older copy was put back",
                    )
        self._finish()
        return chain

    def _link(self, chain: Chain, wanted: Mapping[int, list[Seen]], event: Sequence[Any]) -> dict[str, Any] | None:
        seq, run, at, body, digest = event
        if not chain.problems:
            if seq != chain.head.seq + 1:
                chain.problems.append(f"event {chain.head.seq + 1:,} is missing")
            elif link_hash(chain.head.hash, seq, run, at, str(body).encode()) != digest:
                chain.problems.append(f"event {seq:,} was changed, or one before it was")
        for seen in wanted.get(seq, ()):
            if seen.head.hash != digest:
                told = f"event {seq:,} is not the one that {seen.where} knows"
                self._deny(chain, seen, f"{told}: the ledger was changed, or another copy went on")
        chain.head = Head(seq, digest)
        chain.first = at if chain.first is None else chain.first
        chain.last = at
        try:
            parsed = orjson.loads(body)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            self.replay.problems.add(f"event {seq:,} cannot be read")
            return None
        return parsed

    def _deny(self, chain: Chain, seen: Seen, sentence: str) -> None:
        """A link that is not in the history, unless it is of the lost one that a recovery has accounted for."""
        (lost,) = self.one(
            "SELECT count(*) FROM lost_heads WHERE seq = ? AND hash = ?", (seen.head.seq, seen.head.hash)
        )
        (chain.lost if lost else chain.denied).append((seen, sentence))

    def _replay_page(self, page: Sequence[tuple[int, int | None, dict[str, Any]]]) -> None:
        replay = self.replay
        try:
            wanted = replay.wanted(body for _, _, body in page)
        except (TypeError, ValueError, IndexError, KeyError):
            wanted = set()
        if wanted:
            for row in self.ask(_KNOWN, (orjson.dumps([tuple(place) for place in wanted]).decode(),)):
                replay.calls[CallPlace(row[0], row[1])] = CallSoFar(*row[2:])
        for seq, run, body in page:
            try:
                replay.apply(seq, run, body)
            except (TypeError, ValueError, IndexError, KeyError, AttributeError):
                replay.problems.add(f"event {seq:,} cannot be understood")
        self.write(
            "INSERT OR REPLACE INTO h_calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(*place, *call) for place, call in replay.calls.items()],
        )
        self.write(_COUNT, [(*told.call, bytes.fromhex(told.digest), told.state, 1) for told in replay.coupons])
        for call, digest, before, after, named in replay.changed:
            steps = ((digest, before, -1), (named or digest, after, 1))
            self.write(_COUNT, [(*call, bytes.fromhex(one), state, n) for one, state, n in steps])
        self.write(
            "INSERT INTO h_codes VALUES (?, ?, ?, ?)",
            [(*one.call, bytes.fromhex(one.digest), one.code) for one in replay.coupons if one.code is not None],
        )
        self.write("INSERT OR IGNORE INTO h_closings VALUES (?, ?, ?)", replay.closings)
        self.write("INSERT INTO h_names VALUES (?, ?, ?)", list(_each_name(replay.names)))
        self.write(
            "INSERT OR REPLACE INTO h_named VALUES (?, ?, ?, ?)",
            [(one.order, one.kind, bytes.fromhex(one.digest), one.tried) for one in replay.named],
        )
        self.write("INSERT INTO h_evidence VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET n = n + 1", replay.evidence)
        self.write(
            "INSERT INTO h_revoking VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET n = n + 1",
            [(*place, bytes.fromhex(digest)) for *place, digest in replay.revoking],
        )
        self.write(
            "INSERT OR IGNORE INTO h_fates VALUES (?, ?, ?, ?, ?)",
            [(*place, bytes.fromhex(digest), fate) for *place, digest, fate in replay.fates],
        )
        replay.let_go()

    def _finish(self) -> None:
        """Small tables of the replay, and sums that several checks read."""
        replay = self.replay
        into = {int(p): int(q) for p, q in self.ask("SELECT id, merged_into FROM persons WHERE merged_into NOT NULL")}
        circles = [person for person in into if not _ends(person, into)]
        self.write(
            "INSERT INTO h_roots VALUES (?, ?)",
            [(person, root_of(person, into)) for person in into if person not in circles],
        )
        self.ask("CREATE INDEX h_codes_of ON h_codes(order_id, number, hash)")
        self.ask("CREATE INDEX h_names_of ON h_names(org_id, hash)")
        self.write("INSERT OR REPLACE INTO h_merges VALUES (?, ?, ?, ?, ?)", [tuple(merge) for merge in replay.merges])
        self.write("INSERT INTO h_made VALUES (?, ?)", list(replay.made.items()))
        self.write("INSERT INTO h_recovered VALUES (?)", [(order,) for order in replay.recovered])
        self.ask(
            "INSERT INTO h_sums SELECT order_id, sum(known), sum(held), max(number), count(*) FROM calls"
            " GROUP BY order_id"
        )
        self.ask(  # the columns beside max() are those of its row
            "INSERT INTO h_targets SELECT order_id, max(run_id), target, 0 FROM lines WHERE role <> 'elsewhere'"
            " GROUP BY order_id"
        )
        self.ask(
            "UPDATE h_targets SET most = m.most FROM (SELECT order_id, max(target) AS most FROM lines"
            " WHERE role <> 'elsewhere' GROUP BY order_id) AS m WHERE m.order_id = h_targets.order_id"
        )


def _each_name(told: Iterable[tuple[int, int, str]]) -> Iterator[tuple[int, bytes, int]]:
    for org, person, text in told:
        digests = bytes.fromhex(text)
        for at in range(0, len(digests), NAME_BYTES):
            yield org, digests[at : at + NAME_BYTES], person


def _in_order(flags: str) -> str | None:
    """A JSON list as the replay writes it."""
    found = parsed(flags)
    return json.dumps(sorted(map(str, found)), separators=(",", ":")) if isinstance(found, list) else None


def _told_of_evidence(at: float, by: str, method: str, verdict: str, found: int, why: str, who: str | None) -> str:
    row = {"at": at, "by": by, "method": method, "verdict": verdict, "found": found, "why": why, "who": who}
    return evidence_told({**row, "order_id": 0, "number": 0})[2]


def _ends(person: int, into: Mapping[int, int]) -> bool:
    """Whether a person's merges lead somewhere: an edited table may hold a circle."""
    seen = {person}
    while person in into:
        person = into[person]
        if person in seen:
            return False
        seen.add(person)
    return True


@contextmanager
def open_scratch(ledger: LedgerFile) -> Iterator[Scratch]:
    """The ledger as of now, for one audit.

    Raises:
        LedgerFailed: the ledger cannot be read, or there is no room for the replay's tables.
    """
    with through_the_door(ledger.path):
        connection = sqlite3.connect("", uri=True, isolation_level=None)  # "": a temporary file without a name
        try:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.execute("PRAGMA temp_store = FILE")
            connection.execute("PRAGMA busy_timeout = 60000")
            connection.executescript(_TABLES)
            key = ledger.key
            for name, function in (
                ("name_of", lambda kind, value: name_as_sent(key, kind, value) if kind in _KINDS else None),
                ("coupon_of", lambda coupon: coupon_hash(key, str(coupon))),
                ("code_of", lambda code: code_hash(key, str(code))),
                ("up_to", lambda digest: bytes(digest) + b"\xff" * NAME_BYTES),
                ("in_order", _in_order),
                ("told_of", _told_of_evidence),
            ):
                connection.create_function(name, -1, function, deterministic=True)
            connection.execute("ATTACH ? AS ledger", (f"file:{quote(str(ledger.path.absolute()))}?mode=ro",))
            connection.execute("PRAGMA ledger.cache_size = -6144")
            connection.execute("BEGIN")
            connection.execute("SELECT max(seq) FROM ledger.events").fetchone()  # from here on: this moment
            yield Scratch(connection, ledger)
        finally:
            connection.close()


def parsed(text: str | None) -> Any:
    """A JSON column that somebody may have edited; None when it cannot be read."""
    try:
        return json.loads(text or "null")
    except ValueError:
        return None
