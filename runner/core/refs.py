"""The `_ref` cell of our files: which order of which ledger a line stands for, and what its target is made of.

    cr1-<ledger>-<order>-<base>[w]-<check>            REHEARSAL1-… when the ledger is a rehearsal's

`base` = target − the count printed on the line (`m` in front when negative), `w` when the line prints no count, `check`
a keyed digest of all before it, so that a cell that was damaged, or made by hand, is noticed.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from hmac import compare_digest

from runner.core.model import Ref

REF_COLUMN = "_ref"

_SHAPE = re.compile(
    r"(cr1|REHEARSAL1)-([0-9A-Za-z]{1,40})-([0-9A-Za-z]{1,64})-(m?)(\d{1,12})(w?)-([0-9a-f]{8})", re.ASCII
)
_PART = re.compile(r"[0-9A-Za-z]+", re.ASCII)

_DAMAGED = (
    "This reference was changed or cut, so it cannot tell which coupons the line stands for. "
    "Copy the cell again from the file that the program wrote, or send the line without it in the original file."
)


def _check(body: str, key: bytes) -> str:
    return blake2b(body.encode(), digest_size=4, key=key, person=b"ref").hexdigest()


def write_ref(ref: Ref, key: bytes) -> str:
    """The text of a `_ref` cell. `key`: the ledger's 32 bytes.

    Raises:
        ValueError: the ledger id or order key holds anything but ASCII letters and digits.
    """
    if not _PART.fullmatch(ref.ledger) or not _PART.fullmatch(ref.order):
        raise ValueError("a reference is made of letters and digits only")
    base = f"m{-ref.base}" if ref.base < 0 else str(ref.base)
    body = f"{'REHEARSAL1' if ref.rehearsal else 'cr1'}-{ref.ledger}-{ref.order}-{base}{'w' if ref.whole else ''}"
    return f"{body}-{_check(body, key)}"


def read_ref(text: str, key: bytes, ledger_id: str) -> Ref | str:
    """What a `_ref` cell says to the ledger in use, or a sentence why it is refused.

    A rehearsal has a ledger of its own, so a rehearsal's reference meets its own ledger only in a rehearsal.
    """
    text = text.strip()
    found = _SHAPE.fullmatch(text)
    if found is None:
        return _DAMAGED
    mark, ledger, order, minus, base, whole, check = found.groups()
    rehearsal = mark == "REHEARSAL1"
    if ledger != ledger_id:
        if rehearsal:
            return (
                "This line comes from a rehearsal, or from one that has ended: its coupons do not exist here. "
                "Use the original file, or a file that a run on this ledger wrote."
            )
        return (
            f"This line belongs to another ledger ({ledger}; the one in use is {ledger_id}), which knows what was "
            "issued for it. Run it with that ledger (--ledger, --org)."
        )
    if not compare_digest(_check(text[: -len(check) - 1], key), check):
        return _DAMAGED
    return Ref(ledger, order, -int(base) if minus else int(base), bool(whole), rehearsal)
