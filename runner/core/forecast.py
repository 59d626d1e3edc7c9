"""When a run will end, and which limit decides it: pace, answers, a series that waits, reads, or a guard's hours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

READS_A_DOUBT = 3
"""Reads that settle one call in doubt: the customer's coupons, what issued them, now and then the series."""

_NEARLY = 0.9
"""A run that comes so near to its pace is held back by it, and not by its answers."""

_ENOUGH_CALLS = 20
"""Calls without which nothing is concluded from how many were answered of late."""


class Limit(StrEnum):
    """What decides when a run ends."""

    PACE = "pace"
    ANSWERS = "answers"
    SERIES = "series"
    READS = "reads"
    HOURS = "hours"


class Parked(NamedTuple):
    """A series that waits for coupons: it gives up after so many seconds, unless its queue is filled before."""

    series: int
    seconds_left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """What is left to do, and how fast it can go.

    `calls`: of series that do not wait. `pace_per_second`: what the pace allows, `answers_per_second`: what the API
    answers at this concurrency; None: no limit, or not known. `doubts`: calls to be settled by reads at the end.
    `open_seconds`: until a guard ends the run whatever is left.
    """

    calls: float
    pace_per_second: float | None
    answers_per_second: float | None
    parked: Sequence[Parked] = ()
    doubts: int = 0
    open_seconds: float | None = None


NOTHING_AHEAD = Ahead(calls=0, pace_per_second=None, answers_per_second=None)


class Forecast(NamedTuple):
    """Seconds until the end (None: not known yet), what decides them (None: nothing), and which series if one does."""

    seconds: float | None
    limit: Limit | None
    series: int | None = None

    def __str__(self) -> str:
        """As programs read it: "pace", "series 415446", "" when nothing decides."""
        if self.limit is None:
            return ""
        return f"{self.limit} {self.series}" if self.series is not None else str(self.limit)


NOT_KNOWN = Forecast(None, None)
DONE = Forecast(0.0, None)


def forecast(ahead: Ahead) -> Forecast:
    """When everything is done: calls and parked series side by side, then the reads, or the guard before all that.

    The largest part decides; of pace and answers the pace, when they are nearly alike.
    """
    parts: list[Forecast] = []
    if ahead.calls > 0:
        sending = _sending(ahead)
        if sending.seconds is None:
            return NOT_KNOWN if ahead.open_seconds is None else Forecast(ahead.open_seconds, Limit.HOURS)
        parts.append(sending)
    parts += [Forecast(max(0.0, one.seconds_left), Limit.SERIES, one.series) for one in ahead.parked]
    longest = _longest(parts)
    reads = Forecast(_reading(ahead), Limit.READS)
    seconds = (longest.seconds or 0.0) + (reads.seconds or 0.0)
    if ahead.open_seconds is not None and ahead.open_seconds < seconds:
        return Forecast(ahead.open_seconds, Limit.HOURS)
    decides = _longest([longest, reads])
    return decides._replace(seconds=seconds) if seconds > 0 else DONE


def _longest(parts: Iterable[Forecast]) -> Forecast:
    return max(parts, key=lambda part: part.seconds or 0.0, default=DONE)


def _sending(ahead: Ahead) -> Forecast:
    by_pace = ahead.calls / ahead.pace_per_second if ahead.pace_per_second else None
    by_answers = ahead.calls / ahead.answers_per_second if ahead.answers_per_second else None
    if by_pace is not None and (by_answers is None or by_pace >= _NEARLY * by_answers):
        return Forecast(by_pace, Limit.PACE)
    return NOT_KNOWN if by_answers is None else Forecast(by_answers, Limit.ANSWERS)


def _reading(ahead: Ahead) -> float:
    """Reads go one after the other, at the pace of all calls."""
    gap = 1 / ahead.pace_per_second if ahead.pace_per_second else 0.0
    return ahead.doubts * READS_A_DOUBT * gap


def answers_per_second(
    *, concurrency: int, latency_seconds: float | None, pace_per_second: float | None, calls: int, seconds: float
) -> float | None:
    """How many calls a second the API answers: as seen of late, or, where the pace held them back, by their latency.

    Args:
        latency_seconds: of a call, on average; None before the first answer.
        calls, seconds: those that were answered of late, and in how long.
    """
    seen = calls / seconds if calls >= _ENOUGH_CALLS and seconds > 0 else None
    if seen is not None and (pace_per_second is None or seen < _NEARLY * pace_per_second):
        return seen
    return concurrency / latency_seconds if latency_seconds else None


def decided_words(decided_by: str) -> str:
    """What decides the end, for people; `decided_by` as `Forecast` writes it. "" for nothing."""
    limit, _, series = decided_by.partition(" ")
    if limit == Limit.PACE:
        return "decided by the pace"
    if limit == Limit.ANSWERS:
        return "decided by how fast calls are answered"
    if limit == Limit.SERIES:
        return f"when series {series} gives up waiting, at the latest"
    if limit == Limit.READS:
        return "decided by the reads that settle what is in doubt"
    return "when its hours end; the rest is left" if limit == Limit.HOURS else ""
