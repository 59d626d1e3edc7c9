"""When calls may go: the hours of the day (`--between`) and the moment at which a run is to end (`--deadline`).

Owns no clock: moments are seconds since the epoch, UTC, and arrive as arguments, as does the time zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from runner.errors import UsageError

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


class Hours(NamedTuple):
    """Hours of each day, from `start` until before `end`; an end that is not later is the next day's."""

    start: time
    end: time

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"


def parse_hours(text: str) -> Hours:
    """`09:00-21:00`, `22:00-06:00`. Raises `UsageError`."""
    first, dash, last = text.partition("-")
    start, end = read_clock(first.strip()), read_clock(last.strip())
    if not dash or start is None or end is None or start == end:
        raise UsageError(f'the hours "{text}" are not understood: write from and to, such as 09:00-21:00')
    return Hours(start, end)


def parse_deadline(text: str) -> float | time:
    """Seconds from the start (`3h`, `90m`), or a time of day (`04:30`). Raises `UsageError`."""
    clock = read_clock(text.strip())
    if clock is not None:
        return clock
    found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*(s|m|min|h|d)\s*", text, re.ASCII)
    if found is None or not float(found[1]):
        raise UsageError(
            f'the deadline "{text}" is not understood: write a duration such as 3h, or a time such as 04:30'
        )
    return float(found[1]) * _UNITS[found[2]]


def read_clock(text: str) -> time | None:
    """A time of day written HH:MM; None when it is none."""
    found = re.fullmatch(r"(\d\d):(\d\d)", text, re.ASCII)
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        return None
    return time(int(found[1]), int(found[2]))


def closes_at(hours: Hours, now: float, zone: tzinfo) -> float | None:
    """The end of the hours that it is now; None: it is outside them."""
    return next((end for start, end in _days(hours, now, zone) if start <= now < end), None)


def opens_at(hours: Hours, now: float, zone: tzinfo) -> float:
    """When the hours begin next."""
    return min(start for start, _ in _days(hours, now, zone) if start > now)


def ends_at(deadline: float | time, began: float, zone: tzinfo) -> float:
    """The moment of a deadline of what began then; a time of day is the next one."""
    if isinstance(deadline, float):
        return began + deadline
    day = datetime.fromtimestamp(began, UTC).astimezone(zone).date()
    moments = (datetime.combine(day + timedelta(days), deadline, zone).timestamp() for days in range(3))
    return min(moment for moment in moments if moment > began)


def _days(hours: Hours, now: float, zone: tzinfo) -> Iterator[tuple[float, float]]:
    """Begin and end of the hours, from those of yesterday on."""
    today = datetime.fromtimestamp(now, UTC).astimezone(zone).date()
    for days in range(-1, 4):
        first = today + timedelta(days)
        last = first if hours.end > hours.start else first + timedelta(1)
        yield (
            datetime.combine(first, hours.start, zone).timestamp(),
            datetime.combine(last, hours.end, zone).timestamp(),
        )
