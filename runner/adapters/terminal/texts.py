"""Numbers, times and names in words, alike everywhere on the screen. Pure: times arrive as arguments."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo

_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Signs that turn the direction of writing: they can make a name read as another one."""


def clean(text: str) -> str:
    """The text with nothing in it that commands a terminal: controls become a blank (white space) or `?`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_clean_sign, text))


def _clean_sign(sign: str) -> str:
    if sign in "\t\n\r\v\f\x85\u2028\u2029":
        return " "
    if sign in _DIRECTIONS:
        return ""
    return "?" if unicodedata.category(sign) in ("Cc", "Cs") else sign


def one_line(text: str) -> str:
    """The text in one clean line, its white space narrowed to single blanks."""
    return " ".join(clean(text).split())


def listed(items: Iterable[str], limit: int) -> str:
    """The first `limit` items and how many more there are: "3, 17, 20 and 9 more"."""
    every = list(items)
    shown = ", ".join(every[:limit])
    return f"{shown} and {len(every) - limit:,} more" if len(every) > limit else shown


def percent(part: int, whole: int) -> str:
    """A share, rounded down, so that 100% means all of it. "100%" when there is nothing to do."""
    return f"{math.floor(100 * part / whole)}%" if whole > 0 else "100%"


def pace(calls_per_second: float) -> str:
    """A rate in the unit that a person can picture: "96.4 calls/s", "50 calls/min"."""
    if calls_per_second >= 9.95:
        return f"{calls_per_second:,.0f} calls/s"
    if calls_per_second >= 1:
        return f"{calls_per_second:.1f} calls/s"
    return f"{calls_per_second * 60:.0f} calls/min"


def local(wall_seconds: float, zone: tzinfo | None = None) -> datetime:
    """Seconds since the epoch as a local time that knows its zone (`zone` None: the machine's)."""
    return datetime.fromtimestamp(wall_seconds, UTC).astimezone(zone)


def stamp(wall_seconds: float, zone: tzinfo | None = None) -> str:
    """A local time with its zone: "2026-11-23 08:45:00 IST"."""
    return f"{local(wall_seconds, zone):%Y-%m-%d %H:%M:%S %Z}"


def minute(wall_seconds: float, zone: tzinfo | None = None) -> str:
    """A local time to the minute with its zone: "2026-11-23 08:45 IST"."""
    return f"{local(wall_seconds, zone):%Y-%m-%d %H:%M %Z}"


def clock_time(wall_seconds: float, now_seconds: float, zone: tzinfo | None = None) -> str:
    """A near time as people say it: "16:42" today, "Tue 16:42" within six days, else "2026-12-01 16:42"."""
    then, now = local(wall_seconds, zone), local(now_seconds, zone)
    days = (then.date() - now.date()).days
    if days == 0:
        return f"{then:%H:%M}"
    return f"{then:%a %H:%M}" if 0 < days < 7 else f"{then:%Y-%m-%d %H:%M}"


def utc(wall_seconds: float) -> str:
    """A time for programs, with milliseconds: "2026-11-23T03:15:00.250Z"."""
    at = datetime.fromtimestamp(wall_seconds, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(value: object, zone: tzinfo | None = None) -> str:
    """A time of a row as local time: seconds since the epoch or ISO 8601; anything else as it stands."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return minute(value, zone)
    text = "" if value is None else str(value)
    if re.match(r"\d{4}-\d\d-\d\dT", text):
        try:
            return minute(datetime.fromisoformat(text).timestamp(), zone)
        except ValueError:
            return text
    return text
