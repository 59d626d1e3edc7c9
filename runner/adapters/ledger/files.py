"""The ledger as a file: creating, opening, connecting. Opening changes nothing but what a migration must.

Owns the path, the identity (`ledger_id`, `nonce`), the key and the settings of every connection; knows no orders.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from runner.adapters.ledger import events, migrations, schema
from runner.adapters.ledger.failures import through_the_door, translate
from runner.adapters.ledger.keyfile import fingerprint, read_key, write_key
from runner.adapters.ledger.witness import read_witness, witness_path
from runner.errors import ForeignLedger, LedgerFailed, LedgerVersion, NoLedger, UsageError

_OLDEST_SQLITE = (3, 35, 0)  # UPDATE … FROM and RETURNING
_BUSY_MILLISECONDS = 600_000
_CACHE_KIB = 6_144
"""A connection's page cache: small, since memory must not grow with the file; the operating system caches the rest."""
_CHECKPOINT_PAGES = 8192
"""32 MB of log before its pages move into the file: keys are digests, so a page is written many times before that."""


COPIED = "copied"
"""In `meta`: the number of the newest event when this file was copied by `backup`. A ledger in use has none."""


class LedgerFile:
    """An open ledger. `key` is the secret of its digests; `rehearsal`: nothing in it was issued by a real API.

    `behind`: "" or a sentence why this is an older copy. Such a ledger is read and not written, until `recover` says so
    by `mending`.
    """

    def __init__(self, path: Path, *, ledger_id: str, nonce: str, key: bytes, rehearsal: bool) -> None:
        self.path = path
        self.ledger_id = ledger_id
        self.nonce = nonce
        self.key = key
        self.rehearsal = rehearsal
        self.behind = ""
        self.mending = False
        self._engines: dict[bool, sa.Engine] = {}

    @classmethod
    def create(
        cls, path: Path, *, key_folder: Path, rehearsal: bool = False, wall: Callable[[], float] = time.time
    ) -> LedgerFile:
        """Create a ledger (folder 0700, file 0600) and its key file, and open it.

        Raises:
            UsageError: there is a ledger at `path` already.
            LedgerFailed: the folder, the file or the key cannot be written.
        """
        _check_library()
        ledger_id, nonce = secrets.token_hex(6), secrets.token_hex(3)
        with through_the_door(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            path.chmod(0o600)  # an empty file that was there before
            ledger = cls(path, ledger_id=ledger_id, nonce=nonce, key=b"", rehearsal=rehearsal)
            with closing(ledger.connect()) as conn, transaction(conn):
                if sa.inspect(conn).get_table_names():
                    raise UsageError(f"There is a ledger at {path} already; it was not touched.")
                ledger.key = write_key(key_folder, ledger_id)
                schema.metadata.create_all(conn)
                facts = {
                    "ledger_id": ledger_id,
                    "nonce": nonce,
                    "key_fingerprint": fingerprint(ledger.key),
                    "created": repr(wall()),
                    "rehearsal": "1" if rehearsal else "0",
                }
                conn.execute(sa.insert(schema.meta), [{"name": name, "value": value} for name, value in facts.items()])
                events.append_event(conn, None, {"created": ledger_id, "nonce": nonce}, at=wall())
                conn.exec_driver_sql(f"PRAGMA user_version = {schema.SCHEMA_VERSION}")
        return ledger

    @classmethod
    def open(cls, path: Path, *, key_folder: Path, wall: Callable[[], float] = time.time) -> LedgerFile:
        """Open an existing ledger; an older one migrates when nobody uses it, after a backup beside it.

        Raises:
            NoLedger: there is no file at `path`.
            LedgerVersion: it is newer than this program, or older and in use.
            ForeignLedger: its key is missing or another one's.
            LedgerFailed: it is damaged, or no ledger.
        """
        _check_library()
        if not path.is_file():
            raise NoLedger(
                f"There is no ledger at {path}: earlier runs would be unknown, and their coupons issued again. "
                "If this organisation has never been run, create it with `coupon-runner init`; otherwise name the "
                "ledger that the earlier runs used (--ledger).",
                next_command="coupon-runner init",
            )
        ledger = cls(path, ledger_id="", nonce="", key=b"", rehearsal=False)
        with through_the_door(path), closing(ledger.connect(readonly=True)) as conn:
            version = int(conn.exec_driver_sql("PRAGMA user_version").scalar_one())
            if version == 0 or not sa.inspect(conn).has_table("meta"):
                raise LedgerFailed(
                    f"The file {path} is not a ledger of coupon-runner (it holds other tables, or `init` was cut "
                    "short before anything was in it). Name the right file; a file of 0 bytes may be deleted."
                )
            if version > schema.SCHEMA_VERSION:
                raise LedgerVersion(
                    f"The ledger {path} was written by a newer coupon-runner (schema {version}, this one knows "
                    f"{schema.SCHEMA_VERSION}): update coupon-runner on this machine."
                )
            if version < schema.SCHEMA_VERSION:
                with closing(ledger.connect()) as writer:
                    migrations.migrate(writer, path, from_version=version, to_version=schema.SCHEMA_VERSION, wall=wall)
            facts = {row.name: row.value for row in conn.execute(sa.select(schema.meta.c.name, schema.meta.c.value))}
        missing = {"ledger_id", "nonce", "key_fingerprint", "rehearsal"} - facts.keys()
        if missing:
            lacking = ", ".join(sorted(missing))
            raise LedgerFailed(f"The ledger {path} is damaged: it lacks {lacking}. Put back the newest backup.")
        ledger.ledger_id = facts["ledger_id"]
        ledger.nonce = facts["nonce"]
        ledger.rehearsal = facts["rehearsal"] == "1"
        ledger.key = read_key(key_folder, ledger.ledger_id, facts["key_fingerprint"], path)
        if not ledger.rehearsal:
            with through_the_door(path), closing(ledger.connect(readonly=True)) as conn:
                ledger.behind = _why_behind(conn, ledger, facts.get(COPIED))
        return ledger

    def connect(self, *, readonly: bool = False) -> sa.Connection:
        """A connection of its own, usable from any one thread at a time; close it.

        Statements outside `transaction` see and commit each by itself. Whatever fails is raised as `LedgerFailed`.
        A writer's connection is WAL with `synchronous=FULL` (asserted); `readonly` refuses every change.

        Raises:
            ForeignLedger: a writer's connection to an older copy.
        """
        if not readonly:
            self.check_newest()
        engine = self._engines.get(readonly)
        if engine is None:
            engine = self._engines[readonly] = _engine(self.path, readonly=readonly)
        return engine.connect()

    def check_newest(self) -> None:
        """Refuse to change an older copy, or to write reports from it: what it forgot would be issued again.

        Raises:
            ForeignLedger: it is one.
        """
        if self.behind and not self.mending:
            raise ForeignLedger(
                f"{self.behind} What was issued since would be issued again, so it is only read from. Put the newest"
                " copy in its place, with the file ending in -wal if there is one; where there is none,"
                " `coupon-runner recover` reads back what can still be told. Nothing was sent.",
                next_command="coupon-runner recover",
            )


def _why_behind(conn: sa.Connection, ledger: LedgerFile, copied: str | None) -> str:
    """A sentence when the witness knows more than the ledger, or when it is a backup that nobody went on with."""
    head = events.head_of(conn)
    witness = read_witness(ledger.path, ledger_id=ledger.ledger_id, key=ledger.key)
    if witness is not None and not events.holds(conn, witness):
        return (
            f"The ledger {ledger.path} had {witness.seq:,} events when {witness_path(ledger.path).name} beside it was"
            f" written; it has {head.seq:,} now, or others: it was put back from an older copy."
        )
    if copied is not None and (witness is None or witness.seq < int(copied)):
        return (
            f"The ledger {ledger.path} is a backup that was put back from an older copy; nothing beside it tells what"
            " was issued after that copy was made."
        )
    return ""


def schema_of(path: Path) -> int:
    """The version of the schema of the file at `path`; 0 for a file that is no ledger. Migrates nothing.

    Raises:
        LedgerFailed: it cannot be read.
    """
    with through_the_door(path), closing(_engine(path, readonly=True).connect()) as conn:
        version = int(conn.exec_driver_sql("PRAGMA user_version").scalar_one())
        return version if version and sa.inspect(conn).has_table("meta") else 0


def is_rehearsal(path: Path) -> bool | None:
    """Whether the ledger at `path` is a rehearsal's, told without its key; None when it is no ledger, or not there."""
    if not path.is_file():
        return None
    try:
        if not schema_of(path):
            return None
        with through_the_door(path), closing(_engine(path, readonly=True).connect()) as conn:
            told = conn.execute(sa.select(schema.meta.c.value).where(schema.meta.c.name == "rehearsal")).scalar()
    except LedgerFailed:
        return None  # opening it says what is wrong with it
    return None if told is None else told == "1"


@contextmanager
def transaction(conn: sa.Connection) -> Iterator[sa.Connection]:
    """One immediate write transaction: committed and synced at the end, rolled back on any exception."""
    conn.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        yield conn
        conn.commit()
    except BaseException:
        try:
            conn.rollback()
        except LedgerFailed:
            pass  # SQLite has rolled back by itself (disk full, I/O error); the first error is the one that counts
        raise


def _check_library() -> None:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise UsageError(
            f"This Python carries SQLite {sqlite3.sqlite_version}; coupon-runner needs 3.35 or newer. "
            "Install a newer Python (any from python.org will do)."
        )


def _engine(path: Path, *, readonly: bool) -> sa.Engine:
    mode = "ro" if readonly else "rw"  # never `rwc`: only `create` brings a ledger into being
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            uri,
            uri=True,
            timeout=_BUSY_MILLISECONDS / 1000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.NullPool)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: Any) -> None:
        with through_the_door(path):
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
            connection.execute("PRAGMA temp_store = FILE")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.execute("PRAGMA foreign_keys = ON")
            if readonly:
                connection.execute("PRAGMA query_only = ON")
                return
            (journal,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
            if journal != "wal" or synchronous != 2:
                raise LedgerFailed(
                    f"The file system of {path} does not allow a write-ahead log, without which a power cut could "
                    "lose what was sent. Move the ledger to a local disk."
                )

    @sa.event.listens_for(engine, "handle_error")
    def door(context: sa.engine.ExceptionContext) -> None:
        if isinstance(context.original_exception, sqlite3.Error):
            raise translate(context.original_exception, path) from context.original_exception

    return engine
