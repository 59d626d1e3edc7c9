"""Locks die with their process, and say who holds them."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.adapters.ledger.locks import OrgLock, ScopeLock, lock_folder
from runner.errors import LockHeld

HOLD = """
import sys, pathlib
from runner.adapters.ledger.locks import OrgLock, ScopeLock
kind, ledger = sys.argv[1], pathlib.Path(sys.argv[2])
if kind == "scope":
    lock = ScopeLock.acquire(ledger, org="acme", campaign="may", run="run-1", wall=lambda: 1_780_000_000.0)
else:
    lock = OrgLock.acquire(ledger, org="acme")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_elsewhere(kind: str, ledger: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a lock until it is killed or the block ends."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, kind, str(ledger)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def test_a_campaign_in_use_names_its_holder(ledger: Path) -> None:
    """Process, host, user, since when, which run, and what to do."""
    with held_elsewhere("scope", ledger) as process:
        with pytest.raises(LockHeld) as caught:
            ScopeLock.acquire(ledger, org="acme", campaign="may", shown="May")
        message = caught.value.message
        assert f"process {process.pid}" in message
        for part in ("“May”", os.uname().nodename, "2026-05-28 20:26:40 UTC", "run-1", "coupon-runner show run-1"):
            assert part in message
        assert caught.value.exit_code == 7


def test_a_killed_process_leaves_no_lock(ledger: Path) -> None:
    """SIGKILL at any moment: the next one gets the lock, with nothing to clear away."""
    with held_elsewhere("scope", ledger) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with ScopeLock.acquire(ledger, org="acme", campaign="may") as lock:
            assert lock.holder.pid == os.getpid()


def test_looking_at_the_holder_takes_nothing(ledger: Path) -> None:
    """`show` and `find` ask who works on a campaign and disturb nobody."""
    assert ScopeLock.holder_of(ledger, org="acme", campaign="may") is None
    with held_elsewhere("scope", ledger) as process:
        holder = ScopeLock.holder_of(ledger, org="acme", campaign="may")
        assert holder is not None
        assert (holder.pid, holder.run) == (process.pid, "run-1")
    assert ScopeLock.holder_of(ledger, org="acme", campaign="may") is None


def test_two_tries_in_one_process_exclude_each_other_too(ledger: Path) -> None:
    """The upload page runs several jobs in one process."""
    with ScopeLock.acquire(ledger, org="acme", campaign="may"), pytest.raises(LockHeld):
        ScopeLock.acquire(ledger, org="acme", campaign="may")
    ScopeLock.acquire(ledger, org="acme", campaign="may").release()


def test_campaigns_and_orgs_do_not_lock_each_other(ledger: Path) -> None:
    """Names that run together when put side by side are still different campaigns."""
    with (
        ScopeLock.acquire(ledger, org="acme", campaign="may"),
        ScopeLock.acquire(ledger, org="acmem", campaign="ay"),
        ScopeLock.acquire(ledger, org="acme", campaign="june"),
        OrgLock.acquire(ledger, org="acme"),
    ):
        pass


def test_the_run_is_named_once_it_is_known(ledger: Path) -> None:
    """A lock is taken before its run has a name."""
    with ScopeLock.acquire(ledger, org="acme", campaign="may") as lock:
        lock.name_run("run-2")
        holder = ScopeLock.holder_of(ledger, org="acme", campaign="may")
        assert holder is not None
        assert holder.run == "run-2"


def test_an_org_is_loaded_by_one_at_a_time(ledger: Path) -> None:
    """The second waits, here for an instant, and is told who loads."""
    with held_elsewhere("org", ledger), pytest.raises(LockHeld, match="being loaded"):
        OrgLock.acquire(ledger, org="acme", wait_seconds=0)
    OrgLock.acquire(ledger, org="acme", wait_seconds=0).release()


def test_an_org_is_loaded_as_soon_as_the_other_has_ended(ledger: Path) -> None:
    """Waiting ends with the holder."""
    with held_elsewhere("org", ledger) as process:
        process.kill()
        OrgLock.acquire(ledger, org="acme", wait_seconds=30).release()


def test_lock_files_are_for_their_owner_only(ledger: Path) -> None:
    """They name a user and a host."""
    with ScopeLock.acquire(ledger, org="acme", campaign="may"):
        (file,) = lock_folder(ledger).iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(lock_folder(ledger).stat().st_mode) == 0o700
        assert "acme" not in file.name
