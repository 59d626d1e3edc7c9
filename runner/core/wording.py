"""Numbers with their nouns and lengths of time in words: "1 row", "12,000 rows", "2 h 5 min"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

CLOSE = 0.75
"""How alike two words must be (difflib's ratio) before one is suggested for the other."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 row", "12,000 rows"."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def series_word(series: int, names: Mapping[int, str]) -> str:
    """A series by its id, and its name where a list of series tells one: "415446 Birthday"."""
    name = " ".join("".join(sign if sign.isprintable() else " " for sign in names.get(series, "")).split())
    return f"{series} {name}" if name else str(series)


def closest(word: str, known: Iterable[str]) -> str | None:
    """What somebody probably meant who wrote an unknown word; None unless it is close, since a far guess misleads."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=CLOSE)
    return found[0] if found else None


def duration(seconds: float) -> str:
    """A length of time in at most two units: "45 s", "3 min 12 s", "2 h 5 min", "3 d 4 h"."""
    left = max(0, round(seconds))
    if left < 60:
        return f"{left} s"
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if left >= size:
            rest = left % size // smaller
            return f"{left // size} {unit}" + (f" {rest} {name}" if rest else "")
    return f"{left} s"
