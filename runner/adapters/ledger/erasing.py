# ruff: noqa: S608 — put together from fixed texts of this module; every value is a parameter
"""Erasing personal data: of one person for good, or of runs that are long over. Hashes, counters and history stay.

Everything that `schema` marks erasable is set to NULL here and nowhere else. What was erased is then taken out of the
file's bytes as well (`compact`), which SQLite does by rewriting it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

import orjson
import sqlalchemy as sa

from runner.adapters.ledger.events import append_event
from runner.adapters.ledger.files import LedgerFile, transaction
from runner.core.merging import FORGOTTEN
from runner.errors import LedgerFailed

_COMPACT = "compact"
"""In `meta`: something was erased, and its bytes are not out of the file yet."""

# Of orders.
_OF_ORDERS = {
    ("orders", "value"): "UPDATE orders SET value = NULL WHERE id IN {ids} AND value IS NOT NULL",
    ("orders", "others"): "UPDATE orders SET others = NULL WHERE id IN {ids} AND others IS NOT NULL",
    ("coupons", "coupon_id"): "UPDATE coupons SET coupon_id = NULL WHERE order_id IN {ids} AND coupon_id IS NOT NULL",
    ("coupons", "code"): "UPDATE coupons SET code = NULL WHERE order_id IN {ids} AND code IS NOT NULL",
    ("calls", "message"): "UPDATE calls SET message = NULL WHERE order_id IN {ids} AND message IS NOT NULL",
    ("closures", "message"): "UPDATE closures SET message = NULL WHERE order_id IN {ids} AND message IS NOT NULL",
    ("evidence", "seen"): "UPDATE evidence SET seen = NULL WHERE order_id IN {ids} AND seen IS NOT NULL",
    ("revocation_coupons", "message"): (
        "UPDATE revocation_coupons SET message = NULL WHERE message IS NOT NULL"
        " AND coupon IN (SELECT id FROM coupons WHERE order_id IN {ids})"
    ),
    ("revocations", "message"): (
        "UPDATE revocations SET message = NULL WHERE message IS NOT NULL AND id IN (SELECT r.revocation_id"
        " FROM revocation_coupons r JOIN coupons c ON c.id = r.coupon WHERE c.order_id IN {ids})"
    ),
}
# Of rows.
_OF_ROWS = {
    ("rows", "cells"): "UPDATE rows SET cells = NULL WHERE id IN {ids} AND cells IS NOT NULL",
    ("rows", "problems"): "UPDATE rows SET problems = NULL WHERE id IN {ids} AND problems IS NOT NULL",
}
ERASED = frozenset({*_OF_ORDERS, *_OF_ROWS})
"""Table and column of everything that is erased."""

_IDS = "(SELECT value FROM json_each(?1))"
"""A JSON array of numbers, the first parameter, in place of the word `{ids}`."""
_CHUNK = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonFacts:
    """A person of an org: all her numbers (merged ones too), orders and the rows of their lines.

    `scopes`: campaign key → name. `doubts`: calls in doubt or under way. `runs`: run → folder that its reports are in.
    `forgotten`: when, or None. `issued` in coupons.
    """

    persons: tuple[int, ...]
    orders: tuple[int, ...]
    rows: tuple[int, ...]
    scopes: dict[str, str]
    doubts: int
    issued: int
    runs: dict[str, str]
    forgotten: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What was erased. `clean`: nothing of it is left in the bytes of the ledger's files."""

    rows: int
    orders: int
    coupons: int
    clean: bool


def person_facts(ledger: LedgerFile, org_id: int, hashes: Collection[bytes]) -> list[PersonFacts]:
    """The people whom the hashes of identifiers lead to, each with everything that is hers."""
    with closing(ledger.connect(readonly=True)) as conn:
        roots = set()
        for digest in hashes:
            found = conn.exec_driver_sql(
                "SELECT person_id FROM identity WHERE org_id = ? AND hash = ?", (org_id, digest)
            ).scalar()
            if found is not None:
                roots.add(_root(conn, int(found)))
        return [_facts(conn, org_id, root) for root in sorted(roots)]


def _root(conn: sa.Connection, person: int) -> int:
    while (
        into := conn.exec_driver_sql("SELECT merged_into FROM persons WHERE id = ?", (person,)).scalar()
    ) is not None:
        person = int(into)
    return person


def _facts(conn: sa.Connection, org_id: int, root: int) -> PersonFacts:
    family = conn.exec_driver_sql(
        "WITH RECURSIVE down(id) AS (SELECT ? UNION SELECT p.id FROM down CROSS JOIN persons p"
        " ON p.merged_into = down.id AND p.org_id = ?) SELECT id FROM down ORDER BY id",
        (root, org_id),
    )
    persons = tuple(int(one) for one in family.scalars())
    orders = tuple(
        conn.exec_driver_sql(
            "SELECT id FROM orders WHERE person_id IN (SELECT value FROM json_each(?)) ORDER BY id", (_json(persons),)
        ).scalars()
    )
    chosen = (_json(orders),)
    rows = conn.exec_driver_sql(
        "SELECT DISTINCT row_id FROM lines WHERE order_id IN (SELECT value FROM json_each(?)) ORDER BY 1", chosen
    )
    rows_of_her = tuple(rows.scalars())
    scopes = conn.exec_driver_sql(
        "SELECT DISTINCT s.key, s.campaign FROM orders o JOIN scopes s ON s.id = o.scope_id"
        " WHERE o.id IN (SELECT value FROM json_each(?)) ORDER BY s.id",
        chosen,
    )
    scopes_of_her = {str(key): str(campaign) for key, campaign in scopes}
    doubts = _doubts(conn, orders)
    issued = conn.exec_driver_sql(
        "SELECT coalesce(sum(issued), 0) FROM orders WHERE id IN (SELECT value FROM json_each(?))", chosen
    ).scalar_one()
    runs = conn.exec_driver_sql(
        "SELECT DISTINCT r.name, coalesce(r.out, '') FROM lines l JOIN runs r ON r.id = l.run_id"
        " WHERE l.order_id IN (SELECT value FROM json_each(?)) ORDER BY r.id",
        chosen,
    )
    runs_of_her = {str(name): str(out) for name, out in runs}
    forgotten = conn.exec_driver_sql("SELECT forgotten FROM persons WHERE id = ?", (root,)).scalar()
    return PersonFacts(
        persons=persons,
        orders=orders,
        rows=rows_of_her,
        scopes=scopes_of_her,
        doubts=doubts,
        issued=int(issued),
        runs=runs_of_her,
        forgotten=forgotten,
    )


def _doubts(conn: sa.Connection, orders: Sequence[int]) -> int:
    """Calls and revocations of some orders that are in doubt or under way."""
    found = conn.exec_driver_sql(
        f"SELECT (SELECT count(*) FROM calls WHERE order_id IN {_IDS} AND state IN ('sending', 'in_doubt'))"
        " + (SELECT count(*) FROM coupons c JOIN revocation_coupons r ON r.coupon = c.id AND r.outcome IS NULL"
        f"    WHERE c.order_id IN {_IDS})",
        (_json(orders),),
    )
    return int(found.scalar_one())


def identity_hashes(ledger: LedgerFile, persons: Collection[int]) -> frozenset[bytes]:
    """The keyed hashes of all identifiers that are known to be these persons'."""
    with closing(ledger.connect(readonly=True)) as conn:
        found = conn.exec_driver_sql(
            "SELECT hash FROM identity WHERE person_id IN (SELECT value FROM json_each(?))", (_json(persons),)
        )
        return frozenset(bytes(one) for one in found.scalars())


def cells_of_rows(ledger: LedgerFile, rows: Sequence[int]) -> list[list[str]]:
    """The cells of rows, those that are not erased."""
    found: list[list[str]] = []
    with closing(ledger.connect(readonly=True)) as conn:
        for start in range(0, len(rows), _CHUNK):
            query = "SELECT cells FROM rows WHERE id IN (SELECT value FROM json_each(?)) AND cells IS NOT NULL"
            for (cells,) in conn.exec_driver_sql(query, (_json(rows[start : start + _CHUNK]),)):
                found.append(orjson.loads(cells))
    return found


def rejected_rows_with(ledger: LedgerFile, org_id: int, is_hers: Callable[[Sequence[str]], bool]) -> list[int]:
    """The org's rejected rows, which lead to nobody, whose cells are hers. `is_hers` judges a row's cells."""
    found: list[int] = []
    with closing(ledger.connect(readonly=True)) as conn:
        after = 0
        query = (
            "SELECT r.id, r.cells FROM rows r JOIN runs u ON u.id = r.run_id JOIN scopes s ON s.id = u.scope_id"
            " WHERE s.org_id = ? AND r.rejected AND r.cells IS NOT NULL AND r.id > ? ORDER BY r.id LIMIT 1000"
        )
        while page := conn.exec_driver_sql(query, (org_id, after)).all():
            after = page[-1][0]
            found += [row_id for row_id, cells in page if is_hers(orjson.loads(cells))]
    return found


def forget(
    ledger: LedgerFile, facts: PersonFacts, more_rows: Collection[int], *, at: float, leave_doubts: bool = False
) -> tuple[int, int, int]:
    """Erase a person, close her orders for good and mark her, in one transaction with an event.

    The caller holds the locks of her campaigns. `more_rows`: rejected rows that are hers too. `leave_doubts`: orders
    with something in doubt are closed all the same, and keep what it takes to find out.

    Returns:
        How many rows, orders and coupons were erased.

    Raises:
        LedgerFailed: something of hers came in doubt meanwhile, or the ledger cannot be written.
    """
    with closing(ledger.connect()) as conn:
        conn.exec_driver_sql("PRAGMA secure_delete = ON")
        with transaction(conn):
            doubts = _doubts(conn, facts.orders)
            if doubts and not leave_doubts:
                raise LedgerFailed("A call of this customer came in doubt just now; nothing was erased. Try again.")
            if doubts:
                counts = erase_settled(conn, facts.orders)
            else:
                counts = _erase(conn, orders=facts.orders, rows=sorted({*facts.rows, *more_rows}))
            conn.exec_driver_sql(
                f"UPDATE orders SET closed = ?2 WHERE id IN {_IDS} AND merged_into IS NULL",
                (_json(facts.orders), FORGOTTEN),
            )
            conn.exec_driver_sql(
                f"UPDATE persons SET forgotten = coalesce(forgotten, ?2) WHERE id IN {_IDS}",
                (_json(facts.persons), at),
            )
            body = {"forget": {"persons": facts.persons, "orders": facts.orders}}
            append_event(conn, None, body, at=at)
            _owe_compacting(conn)
    return counts


def erase_settled(conn: sa.Connection, orders: Collection[int]) -> tuple[int, int, int]:
    """Erase orders of a forgotten person and the rows of their lines, inside the caller's write transaction.

    Orders with a call or a revocation under way or in doubt keep what it takes to find out; `forget` erases them later.

    Returns:
        How many rows, orders and coupons were erased.
    """
    settled = [order for order in orders if not _doubts(conn, [order])]
    rows = conn.exec_driver_sql(f"SELECT DISTINCT row_id FROM lines WHERE order_id IN {_IDS}", (_json(settled),))
    counts = _erase(conn, orders=settled, rows=rows.scalars().all())
    _owe_compacting(conn)
    return counts


@dataclass(frozen=True, slots=True, kw_only=True)
class OldRun:
    """A run that is over for long enough, with nothing in doubt and nothing left to ask."""

    id: int
    name: str
    scope_key: str
    campaign: str
    org_key: str
    ended: float
    out: str
    rows: int


def old_runs(ledger: LedgerFile, org_id: int, *, before: float) -> list[OldRun]:
    """Runs that ended before a time, whose cells, identifiers or codes are not all erased yet, oldest first."""
    query = """
SELECT u.id, u.name, s.key, s.campaign, g.key, u.ended, coalesce(u.out, ''),
    (SELECT count(*) FROM rows r WHERE r.run_id = u.id)
FROM runs u JOIN scopes s ON s.id = u.scope_id JOIN orgs g ON g.id = s.org_id
WHERE s.org_id = ? AND u.state IN ('finished', 'abandoned') AND u.ended < ?
    AND NOT EXISTS (SELECT 1 FROM calls c WHERE c.run_id = u.id AND c.state IN ('sending', 'in_doubt'))
    AND NOT EXISTS (SELECT 1 FROM orders o JOIN calls c ON c.order_id = o.id
        WHERE o.run_id = u.id AND c.state IN ('sending', 'in_doubt'))
    AND NOT EXISTS (SELECT 1 FROM revocations v WHERE v.run_id = u.id AND v.state IN ('sending', 'in_doubt'))
    AND (EXISTS (SELECT 1 FROM rows r WHERE r.run_id = u.id AND (r.cells IS NOT NULL OR r.problems IS NOT NULL))
        OR EXISTS (SELECT 1 FROM orders o WHERE o.run_id = u.id AND o.value IS NOT NULL))
ORDER BY u.id
"""
    with closing(ledger.connect(readonly=True)) as conn:
        return [
            OldRun(
                id=row[0], name=row[1], scope_key=row[2], campaign=row[3], org_key=row[4], ended=row[5], out=row[6],
                rows=row[7],
            )
            for row in conn.exec_driver_sql(query, (org_id, before))
        ]  # fmt: skip


def purge(ledger: LedgerFile, runs: Sequence[OldRun], *, at: float) -> tuple[int, int, int]:
    """Erase the cells of runs, and what is kept of the orders that no later run named, in one transaction.

    The caller holds the locks of their campaigns.

    Returns:
        How many rows, orders and coupons were erased.
    """
    ids = [run.id for run in runs]
    with closing(ledger.connect()) as conn:
        conn.exec_driver_sql("PRAGMA secure_delete = ON")
        with transaction(conn):
            rows = conn.exec_driver_sql(f"SELECT id FROM rows WHERE run_id IN {_IDS}", (_json(ids),)).scalars().all()
            orders = (
                conn.exec_driver_sql(
                    f"SELECT o.id FROM orders o LEFT JOIN orders root ON root.id = o.merged_into"
                    f" WHERE coalesce(root.run_id, o.run_id) IN {_IDS}",
                    (_json(ids),),
                )
                .scalars()
                .all()
            )
            counts = _erase(conn, orders=orders, rows=rows)
            append_event(conn, None, {"purge": {"runs": ids, "rows": counts[0], "orders": counts[1]}}, at=at)
            _owe_compacting(conn)
    return counts


def _erase(conn: sa.Connection, *, orders: Sequence[int], rows: Sequence[int]) -> tuple[int, int, int]:
    done: dict[tuple[str, str], int] = {}
    for statements, ids in ((_OF_ORDERS, orders), (_OF_ROWS, rows)):
        for what, statement in statements.items():
            for start in range(0, len(ids), _CHUNK):
                chosen = _json(ids[start : start + _CHUNK])
                done[what] = done.get(what, 0) + conn.exec_driver_sql(statement.format(ids=_IDS), (chosen,)).rowcount
    return done.get(("rows", "cells"), 0), done.get(("orders", "value"), 0), done.get(("coupons", "code"), 0)


def _owe_compacting(conn: sa.Connection) -> None:
    conn.exec_driver_sql("INSERT OR REPLACE INTO meta (name, value) VALUES (?, '1')", (_COMPACT,))


def compact(ledger: LedgerFile, *, patience_seconds: float = 5.0) -> bool:
    """Take what was erased out of the bytes of the ledger and its log; True when nothing of it is left.

    The file is rewritten, while others who write wait. Nothing is done when nothing was erased since the last time;
    what a kill leaves undone the next call does.

    Args:
        patience_seconds: how long to wait for readers of an older state.
    """
    with closing(ledger.connect()) as conn:
        if conn.exec_driver_sql("SELECT 1 FROM meta WHERE name = ?", (_COMPACT,)).first() is None:
            return True
        conn.exec_driver_sql("PRAGMA secure_delete = ON")
        conn.exec_driver_sql("VACUUM")
        if not _empty_log(conn, patience_seconds):
            return False
        with transaction(conn):
            conn.exec_driver_sql("DELETE FROM meta WHERE name = ?", (_COMPACT,))
    return True


def _empty_log(conn: sa.Connection, patience_seconds: float) -> bool:
    """Move the log into the file and cut it to nothing; False while somebody reads an older state."""
    conn.exec_driver_sql(f"PRAGMA busy_timeout = {int(patience_seconds * 1000)}")
    raw = conn.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)  # noqa: S101
    busy, _, _ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def _json(values: Iterable[int]) -> str:
    return orjson.dumps(list(values)).decode()
