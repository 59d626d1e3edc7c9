"""Locks that die with their process: one per campaign while it is worked on, one per org while it compares and loads.

The lock is the operating system's (flock, or a locked byte on Windows), on a file that is never removed: removing it
would let two processes hold locks on two files of one name. What the file *says* (who, since when) is only for people.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Self

from runner.errors import LockHeld

_PATIENCE_SECONDS = 0.25
"""How long `acquire` bears with whoever only looks (`holder_of` holds a shared lock for an instant)."""

_POLL_SECONDS = 0.02

if sys.platform == "win32":
    import msvcrt

    _LOCKED_BYTE = 1 << 30  # far behind the content, so that others can read who holds the lock

    def try_lock(descriptor: int, *, shared: bool) -> bool:
        """Lock an open file for this process; False when another has it."""
        del shared  # Windows' byte locks know no shared kind
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Give a lock back and keep the file open."""
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def try_lock(descriptor: int, *, shared: bool) -> bool:
        """Lock an open file for this process; False when another has it."""
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Give a lock back and keep the file open."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lock. `since`: seconds since the epoch. `run`: the run's name, "" before there is one."""

    pid: int
    host: str
    user: str
    since: float
    run: str = ""

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        run = f", run {self.run}" if self.run else ""
        return f"process {self.pid} of {self.user} on {self.host}, since {since}{run}"


def lock_folder(ledger: Path) -> Path:
    """The folder of a ledger's lock files."""
    return ledger.with_name(f"{ledger.name}.locks")


def _lock_path(ledger: Path, kind: str, *names: str) -> Path:
    text = kind + "".join(f":{len(name)}:{name}" for name in names)
    return lock_folder(ledger) / f"{blake2b(text.encode(), digest_size=12).hexdigest()}.lock"


def _open(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _read_holder(descriptor: int) -> Holder | None:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        return Holder(**json.loads(os.read(descriptor, 65536)))
    except (OSError, ValueError, TypeError):
        return None  # empty, or caught while it was being written


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"  # a container's user need not have a name


class _FileLock:
    """An exclusive lock on one file, released by `release`, at the end of a `with`, or with the process."""

    def __init__(self, path: Path, descriptor: int, holder: Holder) -> None:
        self._path = path
        self._descriptor = descriptor
        self.holder = holder
        self._write()

    @classmethod
    def _take(cls, path: Path, *, run: str, wait_seconds: float, wall: Callable[[], float]) -> Self | Holder | None:
        """The lock, or who holds it (None: a holder that cannot be read)."""
        descriptor = _open(path)
        until = time.monotonic() + wait_seconds
        while not try_lock(descriptor, shared=False):
            if time.monotonic() >= until:
                holder = _read_holder(descriptor)
                os.close(descriptor)
                return holder
            time.sleep(_POLL_SECONDS)
        holder = Holder(pid=os.getpid(), host=socket.gethostname(), user=_user(), since=wall(), run=run)
        return cls(path, descriptor, holder)

    def _write(self) -> None:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, json.dumps(asdict(self.holder)).encode())

    def name_run(self, run: str) -> None:
        """Say which run the lock is held for, once there is one: others read it in their message."""
        self.holder = Holder(**{**asdict(self.holder), "run": run})
        self._write()

    def release(self) -> None:
        """Give the lock back. A second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class ScopeLock(_FileLock):
    """The right to change a campaign's orders. Who has just acquired it may call `recovery.recover_scope`."""

    @classmethod
    def acquire(
        cls,
        ledger: Path,
        *,
        org: str,
        campaign: str,
        run: str = "",
        shown: str = "",
        wall: Callable[[], float] = time.time,
    ) -> Self:
        """Take the campaign's lock.

        Args:
            ledger: the ledger's file; the lock lies in `<ledger>.locks/`.
            org, campaign: as `core.keys.scope_key` gives them.
            run: the run that it is taken for, if there is one already.
            shown: the campaign as people wrote it, for the message.

        Raises:
            LockHeld: another process, or another user of this one, holds it.
        """
        path = _lock_path(ledger, "scope", org, campaign)
        got = cls._take(path, run=run, wait_seconds=_PATIENCE_SECONDS, wall=wall)
        if got is None or isinstance(got, Holder):
            raise LockHeld(_sentence(f"The campaign “{shown or campaign}” is in use", got))
        return got

    @staticmethod
    def holder_of(ledger: Path, *, org: str, campaign: str) -> Holder | None:
        """Who holds the campaign's lock at this moment; None when nobody does. Changes nothing."""
        return _holder_of(_lock_path(ledger, "scope", org, campaign))


class OrgLock(_FileLock):
    """Comparing with all campaigns of an org and loading are one step: held from the first look to the last row."""

    @classmethod
    def acquire(
        cls,
        ledger: Path,
        *,
        org: str,
        run: str = "",
        wait_seconds: float = 600.0,
        wall: Callable[[], float] = time.time,
    ) -> Self:
        """Take the org's lock, waiting for whoever loads at the moment.

        Raises:
            LockHeld: it was not free within `wait_seconds`.
        """
        got = cls._take(_lock_path(ledger, "org", org), run=run, wait_seconds=wait_seconds, wall=wall)
        if got is None or isinstance(got, Holder):
            raise LockHeld(_sentence("Another file of this organisation is being loaded", got))
        return got


def _sentence(what: str, holder: Holder | None) -> str:
    who = str(holder) if holder else "another process"
    look = f"; `coupon-runner show {holder.run}` says how far it is" if holder and holder.run else ""
    return f"{what}: {who}. Wait until it has ended{look}. Nothing was changed."


def _holder_of(path: Path) -> Holder | None:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        if try_lock(descriptor, shared=True):
            return None
        return _read_holder(descriptor) or Holder(pid=0, host="unknown", user="unknown", since=0.0)
    finally:
        os.close(descriptor)
