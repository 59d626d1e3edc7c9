"""The one door through which errors of SQLite and SQLAlchemy leave the ledger: as `LedgerFailed`, with a sentence.

Everything that comes from a connection of `files.LedgerFile` passes `translate`; nobody else looks at SQLite's codes.
A sentence names the ledger's path and the remedy, never a statement, a parameter or a cell.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from runner.errors import LedgerFailed

_AGAIN = "Whatever was sent is recorded; `coupon-runner resume` goes on from there."

_SENTENCES = {
    sqlite3.SQLITE_FULL: f"The disk is full at {{path}}. Free space on that file system. {_AGAIN}",
    sqlite3.SQLITE_BUSY: (
        f"The ledger {{path}} stayed locked by another program for ten minutes. End that program (a backup, "
        f"an open SQLite browser). {_AGAIN}"
    ),
    sqlite3.SQLITE_LOCKED: f"The ledger {{path}} is locked within this program. {_AGAIN}",
    sqlite3.SQLITE_READONLY: (
        f"The ledger {{path}} or its folder cannot be written: give your user the right to write both, or check "
        f"whether the file system was mounted read-only. {_AGAIN}"
    ),
    sqlite3.SQLITE_PERM: "The ledger {path} cannot be used by your user: check the rights of the file and its folder.",
    sqlite3.SQLITE_AUTH: "The ledger {path} cannot be used by your user: check the rights of the file and its folder.",
    sqlite3.SQLITE_CANTOPEN: (
        "The ledger {path} cannot be opened: check that the file and its folder exist and that your user may "
        "read and write both."
    ),
    sqlite3.SQLITE_CORRUPT: (
        "The ledger {path} is damaged. Send nothing more for its campaigns, keep the file and the `-wal` and `-shm` "
        "files beside it, and put back the newest backup: what was issued after it was made would be issued again, so "
        "look through the reports written since then first."
    ),
    sqlite3.SQLITE_NOTADB: (
        "The file {path} is not a ledger: it is no SQLite database, or its beginning was overwritten. Check the path; "
        "if it is the right one, put back the newest backup: what was issued after it was made would be issued again."
    ),
    sqlite3.SQLITE_IOERR: (
        f"The disk failed while the ledger {{path}} was read or written. Check the disk and its connection. {_AGAIN}"
    ),
    sqlite3.SQLITE_NOMEM: f"There was no memory left to work on the ledger {{path}}. End other programs. {_AGAIN}",
    sqlite3.SQLITE_NOLFS: "The ledger {path} is larger than its file system allows: move it to another one.",
    sqlite3.SQLITE_TOOBIG: "A value is larger than the ledger {path} can hold. Look for a cell of many megabytes.",
    sqlite3.SQLITE_INTERRUPT: f"Work on the ledger {{path}} was interrupted. {_AGAIN}",
    sqlite3.SQLITE_PROTOCOL: (
        f"The ledger {{path}} could not be locked. It must lie on a local disk, not on a network file system. {_AGAIN}"
    ),
    sqlite3.SQLITE_CONSTRAINT: (
        "The ledger {path} refused a change that would break its own rules ({name}). Nothing of that change was "
        "kept. This is a fault of the program: please report it, and keep the ledger as it is."
    ),
    sqlite3.SQLITE_SCHEMA: "The tables of the ledger {path} changed while it was in use. Start the command again.",
}

_OTHER = (
    "The ledger {path} could not be read or written ({name}). Check the disk and the rights of the file and its folder."
)

_FAULT = (
    "The program failed while it worked on the ledger {path} ({name}). Nothing of that change was kept. Please "
    "report it; `coupon-runner resume` goes on from what is recorded."
)

_OF_OS = {
    28: _SENTENCES[sqlite3.SQLITE_FULL],  # ENOSPC
    122: _SENTENCES[sqlite3.SQLITE_FULL],  # EDQUOT: the user's share of the disk is used up
    30: _SENTENCES[sqlite3.SQLITE_READONLY],  # EROFS
    13: _SENTENCES[sqlite3.SQLITE_PERM],  # EACCES
    1: _SENTENCES[sqlite3.SQLITE_PERM],  # EPERM
    2: _SENTENCES[sqlite3.SQLITE_CANTOPEN],  # ENOENT
}


def sentence_for(code: int, name: str, path: Path) -> str:
    """The whole message for one of SQLite's result codes (extended codes are reduced to their primary one)."""
    return _SENTENCES.get(code & 0xFF, _OTHER).format(path=path, name=name)


def translate(error: BaseException, path: Path) -> LedgerFailed:
    """What a person is told about an error of sqlite3, SQLAlchemy or the operating system.

    Args:
        error: anything raised while the ledger was used; a `LedgerFailed` comes back as it is.
        path: the ledger's file, named in the message.
    """
    if isinstance(error, LedgerFailed):
        return error
    if isinstance(error, sa.exc.DBAPIError) and error.orig is not None:
        error = error.orig
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(error, sqlite3.Error) and isinstance(code, int):
        return LedgerFailed(sentence_for(code, getattr(error, "sqlite_errorname", str(code)), path))
    if isinstance(error, OSError):
        template = _OF_OS.get(error.errno or 0, _OTHER)
        return LedgerFailed(template.format(path=path, name=error.strerror or type(error).__name__))
    return LedgerFailed(_FAULT.format(path=path, name=type(error).__name__))


@contextmanager
def through_the_door(path: Path) -> Iterator[None]:
    """Whatever SQLite, SQLAlchemy or the operating system raises inside leaves as `LedgerFailed`."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise translate(error, path) from error
