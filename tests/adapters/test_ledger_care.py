"""Copying a ledger while it is written to, erasing from it, and what a kill in the middle leaves."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from runner.adapters.ledger import schema
from runner.adapters.ledger.backup import back_up
from runner.adapters.ledger.erasing import ERASED, PersonFacts, compact, forget, person_facts
from runner.adapters.ledger.events import append_event, verify_chain
from runner.adapters.ledger.files import LedgerFile, transaction
from runner.adapters.ledger.keyfile import key_path
from runner.adapters.ledger.runs import newest_head
from runner.adapters.ledger.witness import write_witness
from runner.core.keys import name_hash
from runner.errors import ForeignLedger, UsageError
from tests.adapters.ledger_world import NOW, ORG

ROOT = Path(__file__).resolve().parents[2]
SECRET = "erased.person@example.com"


@pytest.fixture
def ledger(tmp_path: Path) -> LedgerFile:
    """A ledger with one campaign, one run and an org."""
    ledger = LedgerFile.create(tmp_path / "state" / "ledger.db", key_folder=tmp_path / "keys")
    with closing(ledger.connect()) as conn, transaction(conn):
        conn.execute(sa.insert(schema.orgs).values(id=ORG, key="acme", name="Acme"))
        conn.execute(
            sa.insert(schema.scopes).values(
                id=1, org_id=ORG, key="may", campaign="May", url="http://127.0.0.1", credentials="-",
                identity_version=1, identify_by='["email"]', mapping="{}", created=NOW,
            )
        )  # fmt: skip
        conn.execute(
            sa.insert(schema.runs).values(
                id=1, name="run-1", scope_id=1, state="finished", args="{}", files="[]", totals="{}", started=NOW,
                ended=NOW,
            )
        )  # fmt: skip
    return ledger


def fill_in(ledger: LedgerFile) -> bytes:
    """One customer, with something in every column that may be erased; the hash of her name."""
    digest = name_hash(ledger.key, "email", SECRET)
    key = "ab" * 12
    with closing(ledger.connect()) as conn, transaction(conn):
        for table, values in (
            (schema.persons, {"id": 1, "org_id": ORG, "name": digest}),
            (schema.identity, {"org_id": ORG, "hash": digest, "person_id": 1}),
            (
                schema.orders,
                {"id": 1, "scope_id": 1, "key": key, "series": 7, "person_id": 1, "kind": "email", "value": SECRET,
                 "target": 1, "issued": 1, "calls": 1, "run_id": 1},
            ),
            (schema.rows, {"id": 1, "run_id": 1, "file": 0, "sheet": "", "row": 2, "cells": f'["{SECRET}"]',
                           "problems": f'[["email", "{SECRET}", "?"]]'}),
            (
                schema.lines,
                {"run_id": 1, "row_id": 1, "order_id": 1, "requested": 1, "target": 1, "before": 0, "counted": 1,
                 "role": "first"},
            ),
            (
                schema.calls,
                {"order_id": 1, "number": 1, "key": f"{key}-1-a1b2c3", "run_id": 1, "quantity": 1, "state": "issued",
                 "known": 1, "held": 0, "began": NOW, "ended": NOW, "message": SECRET},
            ),
            (
                schema.coupons,
                {"id": 1, "call_key": f"{key}-1-a1b2c3", "order_id": 1, "position": 0, "coupon_id": SECRET,
                 "code": SECRET, "hash": b"0" * 16, "state": "issued"},
            ),
            (schema.closures, {"run_id": 1, "order_id": 1, "code": "x", "message": SECRET}),
            (
                schema.evidence,
                {"order_id": 1, "number": 1, "at": NOW, "by": "read", "method": "metadata", "verdict": "issued",
                 "found": 1, "why": "shown", "seen": SECRET},
            ),
            (
                schema.revocations,
                {"id": 1, "key": "r-1", "run_id": 1, "series": 7, "state": "done", "quantity": 1, "began": NOW,
                 "message": SECRET},
            ),
            (
                schema.revocation_coupons,
                {"revocation_id": 1, "coupon": 1, "shown": 1, "outcome": "revoked", "message": SECRET},
            ),
        ):  # fmt: skip
            conn.execute(sa.insert(table).values(values))
        append_event(conn, 1, {"told": 1}, at=NOW)
    return digest


def facts_of(ledger: LedgerFile, digest: bytes) -> PersonFacts:
    (found,) = person_facts(ledger, ORG, [digest])
    return found


def bytes_of(ledger: LedgerFile) -> bytes:
    return b"".join(path.read_bytes() for path in ledger.path.parent.glob("ledger.db*") if path.is_file())


# ---------------------------------------------------------------- erasing


def test_every_column_that_the_schema_calls_erasable_is_erased() -> None:
    """A column with personal data that is added later must be erased too."""
    text = (ROOT / "runner/adapters/ledger/schema.py").read_text(encoding="utf-8")
    erasable = set()
    for part in re.split(r"^\w+ = sa\.Table\(", text, flags=re.MULTILINE)[1:]:
        table = re.search(r'"(\w+)"', part)
        assert table is not None
        erasable |= {(table[1], name) for name in re.findall(r'sa\.Column\("(\w+)".*# erasable', part)}
    assert len(erasable) > 7
    assert erasable == ERASED


def test_what_is_erased_is_in_no_byte_of_the_file_or_its_log(ledger: LedgerFile) -> None:
    """Nor in the free space that an earlier change left; the hashes stay, the chain is valid, the person is marked."""
    digest = fill_in(ledger)
    with closing(ledger.connect()) as conn:
        conn.exec_driver_sql("PRAGMA secure_delete = OFF")
        conn.exec_driver_sql(
            "INSERT INTO rows (id, run_id, file, sheet, row, cells) VALUES (9, 1, 0, '', 9, ?)", (SECRET,)
        )
        conn.exec_driver_sql("DELETE FROM rows WHERE id = 9")
    assert SECRET.encode() in bytes_of(ledger)
    assert forget(ledger, facts_of(ledger, digest), (), at=NOW) == (1, 1, 1)
    assert compact(ledger) is True
    assert SECRET.encode() not in bytes_of(ledger)
    facts = facts_of(ledger, digest)
    assert facts.forgotten == NOW
    with closing(ledger.connect(readonly=True)) as conn:
        assert verify_chain(conn).problem is None
        assert conn.exec_driver_sql("SELECT closed, issued FROM orders").one() == ("forgotten", 1)
        assert conn.exec_driver_sql("SELECT count(*) FROM coupons WHERE hash IS NOT NULL").scalar() == 1


def test_bytes_that_a_reader_still_needs_are_cleaned_later(ledger: LedgerFile) -> None:
    """An open read transaction keeps the log; it is said, and the next call does it."""
    digest = fill_in(ledger)
    with closing(ledger.connect(readonly=True)) as reader:
        reader.exec_driver_sql("BEGIN")
        reader.exec_driver_sql("SELECT count(*) FROM rows").scalar()
        forget(ledger, facts_of(ledger, digest), (), at=NOW)
        assert compact(ledger, patience_seconds=0.05) is False
        assert SECRET.encode() in bytes_of(ledger)
        reader.exec_driver_sql("ROLLBACK")
    assert compact(ledger) is True
    assert SECRET.encode() not in bytes_of(ledger)


KILLED = """
import os, signal, sys
from pathlib import Path
from runner.adapters.ledger import backup, erasing
from runner.adapters.ledger.files import LedgerFile
what, path, keys = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
ledger = LedgerFile.open(path, key_folder=keys)
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
if what == "backup":
    backup.back_up(ledger, path.with_name("safe.backup"), step=die)
if what == "before the end of forget":
    erasing.append_event = die
if what == "before the bytes are clean":
    erasing.compact = die
(facts,) = erasing.person_facts(ledger, 1, [bytes.fromhex(sys.argv[4])])
erasing.forget(ledger, facts, (), at=1.0)
erasing.compact(ledger)
"""


def killed(ledger: LedgerFile, keys: Path, what: str, digest: bytes) -> None:
    """Do something in a process that kills itself in the middle of it."""
    words = [sys.executable, "-c", KILLED, what, str(ledger.path), str(keys), digest.hex()]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_backup_that_is_killed_leaves_nothing_under_its_name(ledger: LedgerFile, tmp_path: Path) -> None:
    """And the next one works."""
    digest = fill_in(ledger)
    killed(ledger, tmp_path / "keys", "backup", digest)
    target = ledger.path.with_name("safe.backup")
    assert not target.exists()
    back_up(ledger, target)
    assert {path.name for path in target.parent.glob("*safe*")} == {"safe.backup"}


@pytest.mark.parametrize("what", ["before the end of forget", "before the bytes are clean"])
def test_forgetting_that_is_killed_is_whole_or_not_at_all(ledger: LedgerFile, tmp_path: Path, what: str) -> None:
    """Erased with its event, or untouched; in both cases doing it again ends clean."""
    digest = fill_in(ledger)
    killed(ledger, tmp_path / "keys", what, digest)
    with closing(ledger.connect(readonly=True)) as conn:
        erased = conn.exec_driver_sql("SELECT value IS NULL FROM orders").scalar()
        events = conn.exec_driver_sql("SELECT count(*) FROM events WHERE body LIKE '%forget%'").scalar()
        cells = conn.exec_driver_sql("SELECT cells IS NULL FROM rows").scalar()
        assert erased == events == cells == (what == "before the bytes are clean")
    forget(ledger, facts_of(ledger, digest), (), at=NOW)
    assert compact(ledger) is True
    assert SECRET.encode() not in bytes_of(ledger)


# ---------------------------------------------------------------- copies


def test_a_backup_is_one_moment_while_others_write(ledger: LedgerFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part of the copy is followed by a commit of somebody else, who never waits; the copy is whole and older."""
    monkeypatch.setattr("runner.adapters.ledger.backup._STEP_PAGES", 4)
    before = newest_head(ledger).seq
    steps: list[int] = []

    def write() -> None:
        with closing(ledger.connect()) as conn, transaction(conn):
            append_event(conn, 1, {"step": len(steps), "weight": "x" * 5000}, at=NOW)
        steps.append(1)
        assert len(steps) < 200, "the copy begins anew with each commit"

    done = back_up(ledger, ledger.path.with_name("safe") / "one.backup", step=write)
    assert len(steps) > 3
    assert done.events == before
    assert newest_head(ledger).seq == before + len(steps)
    assert stat.S_IMODE(done.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(done.path.parent.stat().st_mode) == 0o700
    with closing(sqlite3.connect(done.path)) as copy:
        assert copy.execute("SELECT max(seq) FROM events").fetchone() == (before,)
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_backup_is_never_written_over_a_file(ledger: LedgerFile, tmp_path: Path) -> None:
    """It might be the only good copy."""
    target = tmp_path / "one.backup"
    target.write_text("mine")
    with pytest.raises(UsageError, match="was not touched"):
        back_up(ledger, target)
    assert target.read_text() == "mine"


def put_back(ledger: LedgerFile, copy: Path, keys: Path) -> LedgerFile:
    for beside in ledger.path.parent.glob("ledger.db-*"):
        beside.unlink()
    ledger.path.write_bytes(copy.read_bytes())
    return LedgerFile.open(ledger.path, key_folder=keys)


def witness(ledger: LedgerFile) -> None:
    write_witness(ledger.path, ledger_id=ledger.ledger_id, key=ledger.key, head=newest_head(ledger))


def test_a_copy_is_only_read_from(ledger: LedgerFile, tmp_path: Path) -> None:
    """Without a witness nobody can tell what came after it; with one that is no further, nothing did."""
    keys = tmp_path / "keys"
    copy = back_up(ledger, tmp_path / "one.backup").path
    opened = put_back(ledger, copy, keys)
    with pytest.raises(ForeignLedger, match=r"older copy.*coupon-runner recover"):
        opened.connect()
    opened.connect(readonly=True).close()
    witness(opened)
    same = LedgerFile.open(ledger.path, key_folder=keys)
    same.connect().close()
    with closing(same.connect()) as conn, transaction(conn):
        append_event(conn, 1, {"on": 1}, at=NOW)
    witness(same)
    assert put_back(ledger, copy, keys).behind
    assert key_path(keys, ledger.ledger_id).is_file()
