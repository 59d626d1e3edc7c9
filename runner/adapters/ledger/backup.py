"""A copy of the ledger while others write to it: one moment of it, checked, and under its name only when it is whole.

The copy says in itself that it is one (`files.COPIED`), so that putting it back is noticed on any machine, with a
witness or without.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from runner.adapters.ledger.failures import through_the_door
from runner.adapters.ledger.files import COPIED, LedgerFile
from runner.errors import LedgerFailed, UsageError

_STEP_PAGES = 2_048
"""Copied at a time: 8 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A backup as it stands. `events`: number of the newest one in it; `size` in bytes."""

    path: Path
    events: int
    size: int


def back_up(ledger: LedgerFile, target: Path, *, step: Callable[[], None] = lambda: None) -> Copied:
    """Copy the ledger to `target` (0600; its folder, if new, 0700), which must not be there.

    The source is read in one snapshot of the write-ahead log: writers go on, and the copy is of one moment however long
    it takes. `step` is called after each part, for tests.

    Raises:
        UsageError: there is a file at `target`.
        LedgerFailed: it cannot be read or written, or the copy is not whole.
    """
    if target.exists():
        raise UsageError(f"There is a file at {target} already; it was not touched. Name another.")
    unfinished = target.with_name(f".{target.name}.unfinished")
    with through_the_door(target):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in _with_logs(unfinished):
            leftover.unlink(missing_ok=True)
        os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            events = _copy(ledger.path, unfinished, step)
            with unfinished.open("rb+") as file:
                os.fsync(file.fileno())
            unfinished.rename(target)
            _sync_folder(target.parent)
        finally:
            for leftover in _with_logs(unfinished):
                leftover.unlink(missing_ok=True)
    return Copied(path=target, events=events, size=target.stat().st_size)


def _copy(source_path: Path, unfinished: Path, step: Callable[[], None]) -> int:
    uri = f"file:{quote(str(source_path.absolute()))}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=600, isolation_level=None)) as source:
        # A transaction of its own holds the snapshot: without it, the copy would begin anew with each commit of others.
        source.execute("BEGIN")
        newest = source.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        with closing(sqlite3.connect(unfinished, isolation_level=None)) as copy:
            source.backup(copy, pages=_STEP_PAGES, progress=lambda *_: step(), sleep=0)
            source.execute("ROLLBACK")
            copy.execute("PRAGMA journal_mode = DELETE").fetchone()  # one file that needs no other beside it
            copy.execute("PRAGMA synchronous = FULL")
            copy.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (COPIED, str(newest[0])))
            (verdict,) = copy.execute("PRAGMA quick_check(1)").fetchone()
            copied = copy.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    if verdict != "ok" or copied != newest:
        raise LedgerFailed(
            f"The copy of the ledger {source_path} is not whole ({verdict}), so it was thrown away. Check the disk that"
            " it was to be written to, and the ledger with `coupon-runner audit`."
        )
    return int(newest[0])


def _with_logs(path: Path) -> list[Path]:
    return [path, *(path.with_name(f"{path.name}{end}") for end in ("-journal", "-wal", "-shm"))]


def _sync_folder(folder: Path) -> None:
    """Make a new name last; Windows has no such thing."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
