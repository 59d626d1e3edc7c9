"""The ledger's secret key: 32 random bytes in `<folder>/<ledger id>.key`, outside the ledger, for its owner only.

Whoever has a copy of the ledger alone cannot find out whose order or coupon a digest stands for. Without the key the
ledger knows nobody, and everybody would be issued again: a missing or different key is refused, never replaced.
"""

from __future__ import annotations

import hmac
import os
import secrets
from hashlib import blake2b
from pathlib import Path

from runner.errors import ForeignLedger

KEY_BYTES = 32


def fingerprint(key: bytes) -> str:
    """16 hexadecimal digits by which a ledger knows its key again; nothing about the key follows from them."""
    return blake2b(key, digest_size=8, person=b"fingerprint").hexdigest()


def key_path(folder: Path, ledger_id: str) -> Path:
    """Where the key of a ledger lies."""
    return folder / f"{ledger_id}.key"


def write_key(folder: Path, ledger_id: str) -> bytes:
    """Create a ledger's key file (0600, folder 0700) and give the key. Synced to disk before it returns.

    Raises:
        FileExistsError: the ledger has a key already; it is not touched.
        OSError: the folder or file cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = secrets.token_bytes(KEY_BYTES)
    descriptor = os.open(key_path(folder, ledger_id), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key


def read_key(folder: Path, ledger_id: str, expected: str, ledger: Path) -> bytes:
    """The key of a ledger.

    Args:
        expected: the fingerprint that the ledger holds.
        ledger: the ledger's path, for the message.

    Raises:
        ForeignLedger: the key file is missing, cannot be read or is another ledger's.
    """
    path = key_path(folder, ledger_id)
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        raise ForeignLedger(
            f"The key of the ledger {ledger} is missing: {path} does not exist. Put it back from your backup or from "
            "the machine where the ledger was created; without it the ledger cannot tell who was issued what."
        ) from None
    except OSError as error:
        raise ForeignLedger(
            f"The key {path} of the ledger {ledger} cannot be read ({error.strerror}): check its rights and owner."
        ) from error
    if len(key) != KEY_BYTES or not hmac.compare_digest(fingerprint(key), expected):
        raise ForeignLedger(
            f"The key {path} does not belong to the ledger {ledger}. Put back the key that was created with this "
            "ledger, or name the ledger that this key belongs to."
        )
    return key
