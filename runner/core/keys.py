"""Names made of digests: order keys, call keys, keyed hashes of names and coupons.

The key is 32 random bytes kept outside the ledger (a file beside the settings, or beside a rehearsal's ledger):
without it nobody can find out from a copied or purged ledger whose order or coupon a digest stands for.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from hashlib import blake2b
from itertools import pairwise

from runner.core.model import Kind

_REMEMBERED = 1_000
"""Series whose part of an order's key is kept."""


def scope_key(name: str) -> str:
    """Org and campaign names compare in this form: NFC, trimmed, case-folded, inner white space as one blank."""
    return unicodedata.normalize("NFC", " ".join(unicodedata.normalize("NFC", name).split()).casefold())


def name_hash(key: bytes, kind: Kind | str, value: str) -> bytes:
    """The keyed hash (16 bytes) under which the identity table knows an identifier."""
    return blake2b(f"{kind}:{value}".encode(), digest_size=16, key=key, person=b"name").digest()


def name_hashes(key: bytes, kind: Kind | str, values: Iterable[str]) -> list[bytes]:
    """`name_hash` of many identifiers of one kind, at a fraction of its cost."""
    begun = blake2b(f"{kind}:".encode(), digest_size=16, key=key, person=b"name")
    hashes = []
    for value in values:
        digest = begun.copy()
        digest.update(value.encode())
        hashes.append(digest.digest())
    return hashes


def coupon_hash(key: bytes, coupon: str) -> bytes:
    """The keyed hash (16 bytes) of a coupon id, or of a code where an answer gave no id."""
    return blake2b(coupon.encode(), digest_size=16, key=key, person=b"coupon").digest()


def code_hash(key: bytes, code: str) -> str:
    """What the history knows of the code of a coupon that has an id beside it: 16 hexadecimal digits."""
    return blake2b(code.encode(), digest_size=8, key=key, person=b"code").hexdigest()


def name_problem(name: str) -> str | None:
    """Why a text cannot be the name of an org or a campaign, or None: a sign that nobody sees is no part of a name.

    But the two joiners after a letter that is not ASCII: the scripts of India and Persia are written with them.
    """
    for before, sign in pairwise(f" {name}"):
        joins = sign in "\u200c\u200d" and not before.isascii() and unicodedata.category(before)[0] in "LM"
        if not joins and (unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp") or sign in _BLANK):
            return f"a name is one line of visible text, and this one holds {_SIGNS.get(sign, f'U+{ord(sign):04X}')}"
    return None


_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
"""Signs that count as letters, marks or symbols, and show nothing."""

_SIGNS = {"\0": "a NUL", "\n": "a line break", "\r": "a line break", "\t": "a tab", "\x1b": "an escape character"}


def order_key(key: bytes, org: str, campaign: str, series: int, person: bytes) -> str:
    """The order's key (24 hexadecimal digits): a digest of org, campaign, series and the person's name hash.

    `org` and `campaign` as `scope_key` gives them. Not of the file, the row number, the count or an occurrence.
    """
    text = f"{len(org)}:{org}{len(campaign)}:{campaign}{series}:".encode() + person
    return blake2b(text, digest_size=12, key=key, person=b"order").hexdigest()


def order_keys(key: bytes, org: str, campaign: str, series: Iterable[int], people: Iterable[bytes]) -> list[str]:
    """`order_key` of many orders, at a fraction of its cost. `series` and `people` belong together in pairs."""
    begun: dict[int, blake2b] = {}
    keys = []
    for one, person in zip(series, people, strict=True):
        if (base := begun.get(one)) is None:
            text = f"{len(org)}:{org}{len(campaign)}:{campaign}{one}:".encode()
            base = blake2b(text, digest_size=12, key=key, person=b"order")
            if len(begun) < _REMEMBERED:
                begun[one] = base
        digest = base.copy()
        digest.update(person)
        keys.append(digest.hexdigest())
    return keys


def call_key(order: str, number: int, nonce: str) -> str:
    """A call's key: order digest, number of the call in its order, ledger nonce; below 50 characters.

    It is the ledger's primary key, `metadata.sourceId` and `X-CAP-REQUEST-ID` in one.
    """
    return f"{order}-{number}-{nonce}"


def call_number(key: str) -> int:
    """The number of a call in its order, out of its key."""
    return int(key.split("-", 2)[1])
