"""From an older schema to today's: one function per version, in one transaction, after a backup beside the ledger.

`MIGRATIONS[n]` brings version n to n + 1. `orgs.key`, `scopes.org_id` and `scopes.key` must stay as they are since
version 1: they name the locks that must be free.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from runner.adapters.ledger import schema
from runner.adapters.ledger.locks import OrgLock, ScopeLock
from runner.errors import LedgerVersion, LockHeld

Migration = Callable[[sa.Connection], None]


def _to_2(conn: sa.Connection) -> None:
    """Evidence of settled doubts, what is known of an API, revocations, who was forgotten, and what came with them."""
    schema.metadata.create_all(conn)
    conn.exec_driver_sql("ALTER TABLE persons ADD COLUMN forgotten REAL")
    conn.exec_driver_sql("ALTER TABLE coupons ADD COLUMN replaced_by INTEGER")
    for table in schema.metadata.sorted_tables:
        for index in table.indexes:
            index.create(conn, checkfirst=True)  # `create_all` leaves tables alone that were there


def _to_3(conn: sa.Connection) -> None:
    """By which other identifiers an order's customer may be named, and by which the API did not know her."""
    conn.exec_driver_sql("ALTER TABLE orders ADD COLUMN others TEXT")
    conn.exec_driver_sql("ALTER TABLE orders ADD COLUMN tried TEXT")


MIGRATIONS: Mapping[int, Migration] = {1: _to_2, 2: _to_3}
"""Version → what brings it to the next one."""


def migrate(
    conn: sa.Connection,
    path: Path,
    *,
    from_version: int,
    to_version: int,
    wall: Callable[[], float],
    steps: Mapping[int, Migration] | None = None,
) -> None:
    """Bring the ledger to `to_version`, holding every campaign's lock, after a backup `<name>.v<old>-<time>.backup`.

    Raises:
        LedgerVersion: a step is missing, or somebody uses the ledger.
        LedgerFailed: a step failed; the ledger is as it was.
    """
    steps = MIGRATIONS if steps is None else steps
    missing = [version for version in range(from_version, to_version) if version not in steps]
    if missing:
        raise LedgerVersion(
            f"The ledger {path} has schema {from_version}, which this coupon-runner cannot bring to {to_version}: "
            "open it once with a version in between."
        )
    with ExitStack() as stack:
        try:
            for org, campaign in conn.exec_driver_sql(
                "SELECT o.key, s.key FROM orgs AS o LEFT JOIN scopes AS s ON s.org_id = o.id ORDER BY o.key, s.key"
            ).all():
                if campaign is not None:
                    stack.enter_context(ScopeLock.acquire(path, org=org, campaign=campaign, run="migration", wall=wall))
            for (org,) in conn.exec_driver_sql("SELECT key FROM orgs ORDER BY key").all():
                stack.enter_context(OrgLock.acquire(path, org=org, run="migration", wait_seconds=0.25, wall=wall))
        except LockHeld as held:
            raise LedgerVersion(
                f"The ledger {path} was written by an older coupon-runner and must be brought up to date, but it is in "
                f"use. {held.message}"
            ) from held
        _back_up(path, from_version, wall())
        conn.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            version = int(conn.exec_driver_sql("PRAGMA user_version").scalar_one())
            for step in range(version, to_version):  # another process may have been faster
                steps[step](conn)
            conn.exec_driver_sql(f"PRAGMA user_version = {max(version, to_version)}")
            conn.commit()
        except BaseException:
            conn.rollback()
            raise


def _back_up(path: Path, version: int, at: float) -> None:
    """A consistent copy (0600) beside the ledger, under its final name only when it is whole."""
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    copy = path.with_name(f"{path.name}.v{version}-{stamp}.backup")
    unfinished = copy.with_name(f"{copy.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(unfinished)) as target:
        source.backup(target)
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())
    unfinished.replace(copy)
