"""Names made of digests: order keys, call keys, keyed hashes of names and coupons.

The key is 32 random bytes kept outside the ledger (a file beside the settings, or beside a rehearsal's ledger):
without it nobody can find out from a copied or purged ledger whose order or coupon a digest stands for.
"""

from __future__ import annotations

import unicodedata
from hashlib import blake2b

from runner.core.model import Kind


def scope_key(name: str) -> str:
    """Org and campaign names compare in this form: NFC, trimmed, case-folded, inner white space as one blank."""
    return unicodedata.normalize("NFC", " ".join(unicodedata.normalize("NFC", name).split()).casefold())


def name_hash(key: bytes, kind: Kind | str, value: str) -> bytes:
    """The keyed hash (16 bytes) under which the identity table knows an identifier."""
    return blake2b(f"{kind}:{value}".encode(), digest_size=16, key=key, person=b"name").digest()


def coupon_hash(key: bytes, coupon: str) -> bytes:
    """The keyed hash (16 bytes) of a coupon id, or of a code where an answer gave no id."""
    return blake2b(coupon.encode(), digest_size=16, key=key, person=b"coupon").digest()


def name_problem(name: str) -> str | None:
    """Why a text cannot be the name of an org or a campaign, or None: a sign that nobody sees is no part of a name."""
    for sign in name:
        if unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp"):
            return f"a name is one line of visible text, and this one holds {_SIGNS.get(sign, f'U+{ord(sign):04X}')}"
    return None


_SIGNS = {"\0": "a NUL", "\n": "a line break", "\r": "a line break", "\t": "a tab", "\x1b": "an escape character"}


def order_key(key: bytes, org: str, campaign: str, series: int, person: bytes) -> str:
    """The order's key (24 hexadecimal digits): a digest of org, campaign, series and the person's name hash.

    `org` and `campaign` as `scope_key` gives them. Not of the file, the row number, the count or an occurrence.
    """
    text = f"{len(org)}:{org}{len(campaign)}:{campaign}{series}:".encode() + person
    return blake2b(text, digest_size=12, key=key, person=b"order").hexdigest()


def call_key(order: str, number: int, nonce: str) -> str:
    """A call's key: order digest, number of the call in its order, ledger nonce; below 50 characters.

    It is the ledger's primary key, `metadata.sourceId` and `X-CAP-REQUEST-ID` in one.
    """
    return f"{order}-{number}-{nonce}"


def call_number(key: str) -> int:
    """The number of a call in its order, out of its key."""
    return int(key.split("-", 2)[1])
