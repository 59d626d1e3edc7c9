"""The pace of a key in a small file of the user's state folder: what all of the user's processes that use it share.

A change is: lock, read, change, write, unlock, all without waiting; whoever finds the file locked asks again. Its lock
dies with its process. A file that cannot be understood is begun anew one gap later, which is as slow as the limit asks.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import orjson

from runner.adapters.ledger.locks import try_lock, unlock
from runner.core.pacing import PaceState
from runner.errors import Fatal

T = TypeVar("T")

_SIZE = 4096
"""The file never grows while it is used: a disk that fills up then does not stop the pace."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_SAME_BOOT_SECONDS = 300.0


def pace_path(folder: Path, *, host: str, fingerprint: str) -> Path:
    """The file of a key at a host."""
    digest = blake2b(f"pace:{len(host)}:{host}:{fingerprint}".encode(), digest_size=12).hexdigest()
    return folder / f"{digest}.pace"


def why_unusable(path: Path) -> str | None:
    """Why a pace cannot be kept there, in the system's words; None when it can. Makes the file and its folder."""
    try:
        descriptor = _open(path)
        try:
            if try_lock(descriptor, shared=False):
                unlock(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return os.strerror(error.errno or 5)
    return None


def _open(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)


def boot_id() -> str:
    """Which start of the machine this is; "" where the system does not tell."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def process_alive(pid: int) -> bool:
    """Whether there is such a process. On Windows, where asking is not harmless: always."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


class PaceFile:
    """A `ports.PaceStore` in a file.

    Args:
        now: monotonic seconds, the same for all processes of this machine.
        wall: seconds since the epoch: how long the machine was away between two starts.
        boot: which start of the machine this is.
        alive: whether there is a process of that id.
    """

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        boot: str | None = None,
        alive: Callable[[int], bool] = process_alive,
    ) -> None:
        self._path = path
        self._now = now
        self._wall = wall
        self._boot = boot_id() if boot is None else boot
        self._alive = alive
        self._descriptor = -1

    def change(self, work: Callable[[PaceState], T]) -> tuple[T] | None:
        try:
            if self._descriptor < 0:
                self._descriptor = _open(self._path)
            if not try_lock(self._descriptor, shared=False):
                return None
            try:
                state = self._read()
                done = work(state)
                self._write(state)
            finally:
                unlock(self._descriptor)
        except OSError as error:
            raise Fatal(
                f"The pace of the key is kept in {self._path}, which cannot be used: {os.strerror(error.errno or 5)}."
                " Without it several processes would exceed the key's limit together. Nothing more is sent; make room,"
                " or give yourself the right to write there."
            ) from None
        return (done,)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self) -> PaceState:
        now = self._now()
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        text = os.read(self._descriptor, 16 * _SIZE).rstrip(b" \n\0")
        if not text:
            return PaceState()
        try:
            record = orjson.loads(text)
            state = PaceState.of_record(record)
            boot, then, wall = str(record["boot"]), float(record["now"]), float(record["wall"])
        except (ValueError, TypeError, KeyError):
            return PaceState.begun_anew(now)
        away = self._wall() - wall
        # Where the system does not tell its starts: the calendar and the clock tell of the same time, or they do not.
        same = boot == self._boot if boot or self._boot else away - (now - then) < _SAME_BOOT_SECONDS
        # A container may have a clock of its own, and a machine that was put back from an image an older one.
        if not same or now < then:
            state.after_restart(now, away, then)
        state.drop_dead(now, self._alive)
        return state

    def _write(self, state: PaceState) -> None:
        record = {**state.record(), "boot": self._boot, "now": self._now(), "wall": self._wall()}
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        text = orjson.dumps(record)
        os.write(self._descriptor, text.ljust(max(_SIZE, -(-len(text) // _SIZE) * _SIZE)))
