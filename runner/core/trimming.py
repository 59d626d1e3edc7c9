"""What counts as nothing at the ends of a cell: white space, and signs that nobody sees."""

from __future__ import annotations

import re

INVISIBLE = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
"""Soft hyphen, zero-width blanks, direction marks and the byte order mark, as the inside of a regular character set."""

_ENDS = re.compile(f"^[\\s{INVISIBLE}]+|[\\s{INVISIBLE}]+$")


def trim(text: str) -> str:
    """The text without white space (no-break blanks too) and invisible signs at its ends."""
    text = text.strip()
    return text if text.isascii() else _ENDS.sub("", text)
