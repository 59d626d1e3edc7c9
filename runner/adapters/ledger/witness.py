"""The witness: a small file beside the ledger that says how far its history had come.

Written after a commit, at most once a second and at the end. A ledger whose history is behind its witness was put back
from an older copy. A keyed code keeps anybody without the ledger's key from writing one.
"""

from __future__ import annotations

import hmac
import os
from hashlib import blake2b
from pathlib import Path

import orjson

from runner.adapters.ledger.events import Head


def witness_path(ledger: Path) -> Path:
    """Where the witness of a ledger lies."""
    return ledger.with_name(f"{ledger.name}.witness")


def _code(key: bytes, ledger_id: str, head: Head) -> str:
    text = f"{ledger_id}:{head.seq}:{head.hash.hex()}"
    return blake2b(text.encode(), digest_size=16, key=key, person=b"witness").hexdigest()


def read_witness(ledger: Path, *, ledger_id: str, key: bytes) -> Head | None:
    """How far the history had come; None when there is no witness, or none that this ledger's key made."""
    try:
        content = orjson.loads(witness_path(ledger).read_bytes())
        head = Head(int(content["seq"]), bytes.fromhex(content["hash"]))
        code = str(content["code"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    if content.get("ledger") != ledger_id or not hmac.compare_digest(code, _code(key, ledger_id, head)):
        return None
    return head


def write_witness(ledger: Path, *, ledger_id: str, key: bytes, head: Head, anew: bool = False) -> None:
    """Replace the witness (0600) in one step, synced; one that is further along stays (another process wrote it).

    Args:
        anew: replace any: the history that it told of is lost, and a recovery has accounted for it.

    Raises:
        OSError: it cannot be written.
    """
    there = read_witness(ledger, ledger_id=ledger_id, key=key)
    if not anew and there is not None and there.seq >= head.seq:
        return
    path = witness_path(ledger)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    body = {"ledger": ledger_id, "seq": head.seq, "hash": head.hash.hex(), "code": _code(key, ledger_id, head)}
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps(body))
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
