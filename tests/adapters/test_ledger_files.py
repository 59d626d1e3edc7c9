"""Creating, opening and migrating a ledger; what is said when it cannot be used."""

from __future__ import annotations

import errno
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from runner.adapters.ledger import migrations, schema
from runner.adapters.ledger.failures import sentence_for, translate
from runner.adapters.ledger.files import LedgerFile, transaction
from runner.adapters.ledger.keyfile import key_path
from runner.adapters.ledger.locks import ScopeLock
from runner.errors import ForeignLedger, LedgerFailed, LedgerVersion, NoLedger, UsageError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_ledger_is_for_its_owner_only(path: Path, keys: Path) -> None:
    """Folders 0700, files 0600, the key outside the ledger."""
    ledger = LedgerFile.create(path, key_folder=keys)
    assert [mode(p) for p in (path.parent, path, keys, key_path(keys, ledger.ledger_id))] == [
        0o700,
        0o600,
        0o700,
        0o600,
    ]
    assert (len(ledger.ledger_id), len(ledger.nonce), len(ledger.key)) == (12, 6, 32)
    assert ledger.key not in path.read_bytes()


@pytest.mark.parametrize("rehearsal", [False, True])
def test_an_opened_ledger_is_the_one_that_was_created(path: Path, keys: Path, rehearsal: bool) -> None:
    """Identity, key and kind come back."""
    created = LedgerFile.create(path, key_folder=keys, rehearsal=rehearsal)
    opened = LedgerFile.open(path, key_folder=keys)
    for name in ("ledger_id", "nonce", "key", "rehearsal"):
        assert getattr(opened, name) == getattr(created, name)
    assert opened.rehearsal is rehearsal


def test_opening_changes_no_byte(path: Path, keys: Path) -> None:
    """Reading commands may open a ledger at any time, beside a live run."""
    LedgerFile.create(path, key_folder=keys)
    before = path.read_bytes()
    LedgerFile.open(path, key_folder=keys)
    assert path.read_bytes() == before
    assert {p.name for p in path.parent.iterdir()} <= {"ledger.db", "ledger.db-wal", "ledger.db-shm"}


def test_a_ledger_is_never_created_over_another(path: Path, keys: Path) -> None:
    """`init` twice: the second time is refused and touches nothing."""
    ledger = LedgerFile.create(path, key_folder=keys)
    with pytest.raises(UsageError, match="already"):
        LedgerFile.create(path, key_folder=keys)
    assert LedgerFile.open(path, key_folder=keys).key == ledger.key


def test_a_missing_ledger_is_not_created_silently(path: Path, keys: Path) -> None:
    """Earlier runs would be unknown: the message names the path and `init`."""
    with pytest.raises(NoLedger, match="coupon-runner init") as caught:
        LedgerFile.open(path, key_folder=keys)
    assert str(path) in caught.value.message
    assert not path.exists()


def test_a_ledger_without_its_key_is_refused(path: Path, keys: Path) -> None:
    """Without the key nobody would be known, and everybody issued again."""
    ledger = LedgerFile.create(path, key_folder=keys)
    key_path(keys, ledger.ledger_id).unlink()
    with pytest.raises(ForeignLedger, match="missing"):
        LedgerFile.open(path, key_folder=keys)


def test_another_ledgers_key_is_refused(path: Path, keys: Path, tmp_path: Path) -> None:
    """A key put in the wrong place is noticed by its fingerprint."""
    ledger = LedgerFile.create(path, key_folder=keys)
    other = LedgerFile.create(tmp_path / "other.db", key_folder=keys)
    shutil.copy(key_path(keys, other.ledger_id), key_path(keys, ledger.ledger_id))
    with pytest.raises(ForeignLedger, match="does not belong"):
        LedgerFile.open(path, key_folder=keys)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"mobile,series_id\n" * 400, "not a ledger"), (b"", "not a ledger"), (None, "damaged")],
    ids=["a spreadsheet", "an empty file", "overwritten in the middle"],
)
def test_what_is_no_sound_ledger_is_refused_with_a_sentence(
    path: Path, keys: Path, content: bytes | None, says: str
) -> None:
    """The message names the file and what to do."""
    LedgerFile.create(path, key_folder=keys)
    if content is None:
        content = path.read_bytes()[:4096] + b"\xff" * (path.stat().st_size - 4096)
    for beside in path.parent.glob("*-*"):
        beside.unlink()
    path.write_bytes(content)
    with pytest.raises(LedgerFailed, match=says) as caught:
        LedgerFile.open(path, key_folder=keys)
    assert str(path) in caught.value.message


def test_another_programs_database_is_refused_and_left_alone(path: Path, keys: Path) -> None:
    """Not even its journal mode is changed."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    with pytest.raises(LedgerFailed, match="not a ledger"):
        LedgerFile.open(path, key_folder=keys)
    assert path.read_bytes() == before


def test_a_newer_ledger_is_refused(path: Path, keys: Path) -> None:
    """An old program must not write what it does not understand."""
    ledger = LedgerFile.create(path, key_folder=keys)
    with closing(ledger.connect()) as conn:
        conn.exec_driver_sql(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
    with pytest.raises(LedgerVersion, match="update coupon-runner"):
        LedgerFile.open(path, key_folder=keys)


def test_the_writers_connection_survives_a_power_cut(path: Path, keys: Path) -> None:
    """Write-ahead log, synced at each commit, foreign keys checked."""
    with closing(LedgerFile.create(path, key_folder=keys).connect()) as conn:
        settings = {
            name: conn.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "temp_store", "cache_size")
        }
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 600_000,
        "temp_store": 1,
        "cache_size": -6144,
    }


def test_a_reader_cannot_write(path: Path, keys: Path) -> None:
    """Whoever only reads is refused by the database itself."""
    ledger = LedgerFile.create(path, key_folder=keys)
    with closing(ledger.connect(readonly=True)) as conn, pytest.raises(LedgerFailed, match="cannot be written"):
        conn.execute(sa.delete(schema.meta))


def test_a_transaction_that_fails_leaves_nothing(path: Path, keys: Path) -> None:
    """All or nothing, and the connection can be used again."""
    with closing(LedgerFile.create(path, key_folder=keys).connect()) as conn:
        twice = [{"key": "acme", "name": "Acme"}] * 2
        with pytest.raises(LedgerFailed, match="rules"), transaction(conn):
            conn.execute(sa.insert(schema.orgs), twice)
        with transaction(conn):
            conn.execute(sa.insert(schema.orgs).values(key="other", name="Other"))
        assert conn.execute(sa.select(schema.orgs.c.key)).scalars().all() == ["other"]


# ---------------------------------------------------------------- an older ledger


FIRST_SCHEMA_LACKS = """
DROP TABLE evidence;
DROP TABLE api_facts;
DROP TABLE revocations;
DROP TABLE revocation_coupons;
DROP INDEX coupons_revoked;
DROP INDEX coupons_replaced;
ALTER TABLE coupons DROP COLUMN replaced_by;
DROP TABLE lost_heads;
DROP TABLE recovered;
DROP TABLE control;
ALTER TABLE persons DROP COLUMN forgotten;
ALTER TABLE orders DROP COLUMN others;
ALTER TABLE orders DROP COLUMN tried;
PRAGMA user_version = 1;
"""
"""What turns a ledger of today into one of version 1: every table, column and index that came later goes."""


@pytest.fixture
def older(path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> LedgerFile:
    """A ledger of version 1, opened by a program whose schema is two versions ahead."""
    monkeypatch.setattr(schema, "SCHEMA_VERSION", 1)
    ledger = LedgerFile.create(path, key_folder=keys)
    with closing(ledger.connect()) as conn, transaction(conn):
        conn.execute(sa.insert(schema.orgs).values(id=1, key="acme", name="Acme"))
        conn.execute(
            sa.insert(schema.scopes).values(
                org_id=1,
                key="may",
                campaign="May",
                url="http://127.0.0.1",
                credentials="-",
                identity_version=1,
                identify_by="[]",
                mapping="{}",
                created=0,
            )
        )

    def add_notes(conn: sa.Connection) -> None:
        conn.exec_driver_sql("ALTER TABLE orgs ADD COLUMN note TEXT")

    def fill_notes(conn: sa.Connection) -> None:
        conn.exec_driver_sql("UPDATE orgs SET note = 'migrated'")

    monkeypatch.setattr(schema, "SCHEMA_VERSION", 3)
    monkeypatch.setattr(migrations, "MIGRATIONS", {1: add_notes, 2: fill_notes})
    return ledger


def notes(path: Path) -> object:
    with closing(sqlite3.connect(path)) as conn:
        try:
            return conn.execute("SELECT note FROM orgs").fetchall()
        except sqlite3.OperationalError:
            return "no such column"


def test_an_older_ledger_migrates_after_a_backup(older: LedgerFile, keys: Path) -> None:
    """Each step in turn, once; the backup beside it is the ledger as it was."""
    LedgerFile.open(older.path, key_folder=keys, wall=lambda: 1_780_000_000.0)
    assert notes(older.path) == [("migrated",)]
    (backup,) = older.path.parent.glob("*.backup")
    assert backup.name == "ledger.db.v1-20260528T202640Z.backup"
    assert notes(backup) == "no such column"
    assert mode(backup) == 0o600
    LedgerFile.open(older.path, key_folder=keys)
    assert len(list(older.path.parent.glob("*.backup"))) == 1


def test_an_older_ledger_in_use_is_not_migrated(older: LedgerFile, keys: Path) -> None:
    """Whoever works on a campaign goes on; the other is told who it is."""
    lock = ScopeLock.acquire(older.path, org="acme", campaign="may", run="20261123T031500Z-may-4f9a1c")
    with lock, pytest.raises(LedgerVersion, match=r"in use.*20261123T031500Z-may-4f9a1c"):
        LedgerFile.open(older.path, key_folder=keys)
    assert notes(older.path) == "no such column"
    LedgerFile.open(older.path, key_folder=keys)


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(
    older: LedgerFile, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All steps are one transaction."""
    broken = {**migrations.MIGRATIONS, 2: lambda conn: conn.exec_driver_sql("UPDATE nowhere SET x = 1")}
    monkeypatch.setattr(migrations, "MIGRATIONS", broken)
    with pytest.raises(LedgerFailed):
        LedgerFile.open(older.path, key_folder=keys)
    assert notes(older.path) == "no such column"


def test_a_ledger_too_old_to_migrate_is_refused(older: LedgerFile, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that this program does not have."""
    monkeypatch.setattr(migrations, "MIGRATIONS", {2: migrations.MIGRATIONS[2]})
    with pytest.raises(LedgerVersion, match="version in between"):
        LedgerFile.open(older.path, key_folder=keys)


SECOND_SCHEMA_LACKS = """
ALTER TABLE orders DROP COLUMN others;
ALTER TABLE orders DROP COLUMN tried;
PRAGMA user_version = 2;
"""


@pytest.mark.parametrize("lacks", [FIRST_SCHEMA_LACKS, SECOND_SCHEMA_LACKS], ids=["first", "second"])
def test_an_older_schema_becomes_todays(path: Path, keys: Path, lacks: str) -> None:
    """Every table and column that a new ledger has is there after the migration of an old one."""
    new = LedgerFile.create(path.with_name("new.db"), key_folder=keys)
    old = LedgerFile.create(path, key_folder=keys)
    with closing(sqlite3.connect(old.path)) as conn:
        conn.executescript(lacks)
    opened = LedgerFile.open(path, key_folder=keys)
    with closing(new.connect()) as one, closing(opened.connect()) as other:
        wanted, found = sa.inspect(one), sa.inspect(other)
        assert set(found.get_table_names()) == set(wanted.get_table_names())
        for table in wanted.get_table_names():
            columns = {column["name"] for column in wanted.get_columns(table)}
            assert {column["name"] for column in found.get_columns(table)} == columns, table
            indexes = {index["name"] for index in wanted.get_indexes(table)}
            assert {index["name"] for index in found.get_indexes(table)} == indexes, table
        assert other.exec_driver_sql("PRAGMA user_version").scalar_one() == schema.SCHEMA_VERSION


# ---------------------------------------------------------------- the door of errors

PRIMARY = {
    name: code
    for name, code in vars(sqlite3).items()
    if name.startswith("SQLITE_") and isinstance(code, int) and name.count("_") == 1
}
RESULTS = {
    name: PRIMARY[name]
    for name in [
        "SQLITE_ERROR",
        "SQLITE_INTERNAL",
        "SQLITE_PERM",
        "SQLITE_ABORT",
        "SQLITE_BUSY",
        "SQLITE_LOCKED",
        "SQLITE_NOMEM",
        "SQLITE_READONLY",
        "SQLITE_INTERRUPT",
        "SQLITE_IOERR",
        "SQLITE_CORRUPT",
        "SQLITE_FULL",
        "SQLITE_CANTOPEN",
        "SQLITE_PROTOCOL",
        "SQLITE_SCHEMA",
        "SQLITE_TOOBIG",
        "SQLITE_CONSTRAINT",
        "SQLITE_MISMATCH",
        "SQLITE_MISUSE",
        "SQLITE_NOLFS",
        "SQLITE_AUTH",
        "SQLITE_FORMAT",
        "SQLITE_RANGE",
        "SQLITE_NOTADB",
    ]
}
EXTENDED = {
    name: code
    for name, code in vars(sqlite3).items()
    if name.startswith("SQLITE_")
    and isinstance(code, int)
    and code > 0xFF
    and name.split("_")[1]
    in {
        "BUSY",
        "LOCKED",
        "READONLY",
        "IOERR",
        "CORRUPT",
        "CANTOPEN",
        "CONSTRAINT",
    }
}


@pytest.mark.parametrize("name", sorted({**RESULTS, **EXTENDED}))
def test_every_code_of_sqlite_has_a_sentence(name: str, path: Path) -> None:
    """What failed, where, and what to do: for primary and extended codes alike."""
    code = {**RESULTS, **EXTENDED}[name]
    error = sqlite3.OperationalError("near a cell of somebody")
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    wrapped = sa.exc.OperationalError("SELECT secret", {"value": "919000000001"}, error)
    message = translate(wrapped, path).message
    assert str(path) in message
    assert not any(word in message for word in ("SELECT", "919000000001", "somebody"))
    assert message.count(".") >= 2 or ":" in message


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("SQLITE_FULL", "disk is full"),
        ("SQLITE_BUSY_SNAPSHOT", "locked"),
        ("SQLITE_READONLY_DBMOVED", "cannot be written"),
        ("SQLITE_CORRUPT_INDEX", "damaged"),
        ("SQLITE_NOTADB", "not a ledger"),
        ("SQLITE_IOERR_FSYNC", "disk failed"),
    ],
)
def test_the_common_failures_are_told_apart(name: str, says: str, path: Path) -> None:
    """Each has its own remedy."""
    assert says in sentence_for(getattr(sqlite3, name), name, path)


def test_a_full_disk_is_the_same_sentence_from_the_file_system(path: Path) -> None:
    """Keys, backups and the witness are written without SQLite."""
    error = OSError(errno.ENOSPC, "No space left on device")
    assert "disk is full" in translate(error, path).message
