"""What the operating system saw: a call's "sending" is written and synced before the first byte of its request."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.desk import ROOT, Desk, mobile

CALLS = 40
KEY = re.compile(rb"X-CAP-REQUEST-ID: ([0-9a-z-]+)", re.IGNORECASE)
_LINE = re.compile(rb"^(\d+)\s+(.*)$")
_RESUMED = re.compile(rb"^<\.\.\. (\w+) resumed>")


@dataclass
class Trace:
    """One pass over strace's output, in the order in which things happened.

    `synced`: when the bytes written to the ledger's log so far had been synced. `written`: bytes of each write.
    """

    synced: dict[bytes, int]
    sent: dict[bytes, int]
    syncs: int


def read_trace(path: Path, keys: set[bytes]) -> Trace:
    """When each call's key was on disk, and when its request went out, by line of the trace."""
    waiting: set[bytes] = set()
    begun: dict[bytes, set[bytes]] = {}
    trace = Trace({}, {}, 0)
    for number, line in enumerate(path.read_bytes().splitlines()):
        found = _LINE.match(line)
        if found is None:
            continue
        thread, rest = found.groups()
        resumed = _RESUMED.match(rest)
        name = resumed.group(1) if resumed else rest.partition(b"(")[0]
        if name == b"pwrite64" and not resumed and b"ledger.db-wal>" in rest:
            waiting |= {key for key in keys if key in rest and key not in trace.synced}
        elif name in (b"fdatasync", b"fsync"):
            if not resumed and b"ledger.db-wal>" not in rest:
                continue
            if not resumed:
                begun[thread] = set(waiting)  # only what was written before a sync began is on disk when it ends
            if b"unfinished" not in rest and thread in begun:
                trace.syncs += 1
                done = begun.pop(thread)
                waiting -= done
                for key in done:
                    trace.synced.setdefault(key, number)
        elif name in (b"sendto", b"sendmsg", b"write", b"writev") and not resumed:
            for key in KEY.findall(rest):
                trace.sent.setdefault(key, number)
    return trace


@pytest.mark.soak
@pytest.mark.skipif(not shutil.which("strace"), reason="there is no strace on this machine")
def test_a_call_is_synced_before_it_is_sent(desk: Desk) -> None:
    """For each of the calls: its key in a write to the log, then a sync of the log, and only then its request."""
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("list.csv", [f"{mobile(number)},415446,1" for number in range(CALLS)])
        output = desk.folder / "trace"
        kinds = "trace=pwrite64,fdatasync,fsync,sendto,sendmsg,write,writev"
        words = ["run", str(file), "--campaign", "c", "--yes", "--max-coupons", "99", "--concurrency", "4"]
        subprocess.run(
            [
                "strace",
                "-f",
                "-y",
                "-s",
                "5000",
                "-e",
                kinds,
                "-o",
                str(output),
                sys.executable,
                "-m",
                "runner",
                *words,
            ],
            cwd=desk.folder,
            env={**desk.environment, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            check=True,
            capture_output=True,
        )
        keys = {key.encode() for key in server.truth()["calls"]}
    assert len(keys) == CALLS
    trace = read_trace(output, keys)
    assert trace.sent.keys() == trace.synced.keys() == keys
    assert all(trace.synced[key] < trace.sent[key] for key in keys)
    between = sorted(trace.sent[key] - trace.synced[key] for key in keys)
    print(f"{len(keys)} calls, {trace.syncs} syncs of the log; lines between sync and send: {between[0]}–{between[-1]}")
