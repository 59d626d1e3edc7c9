"""When the next call may go: the pace of the key, and how long to wait before asking again.

Owns no clock and no chance: both arrive as arguments. Never sleeps, and never decides what is asked for. Times are
seconds on any clock that does not step back; waits are seconds.
"""

from __future__ import annotations

import re
from collections import deque
from typing import NamedTuple

from runner.errors import UsageError

CUSTOMER_ROUNDS = 6
"""Rounds for a customer whom another action keeps busy (code 521) before the row is given up for this run."""

GUARD = 0.01
"""Share of a window by which slots are spread wider than the limit asks, and by which a call may be sent late."""

_SLOWEST = 1 / 64
_RECOVERY_PER_WINDOW = 0.1
_WINDOW_WITHOUT_RATE = 10.0
_UNITS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600}
_RATE = re.compile(r"(\d{1,7})\s*/\s*(\d{1,5})?\s*([a-z]+)", re.ASCII)


class Rate(NamedTuple):
    """At most `calls` in any `window_seconds`."""

    calls: int
    window_seconds: float


def parse_rate(text: str) -> Rate | None:
    """A rate as a person writes it: `100/m`, `20/s`, `6000/h`, `60/6s`; None for `none`. Raises `UsageError`."""
    written = text.strip().lower()
    if written == "none":
        return None
    match = _RATE.fullmatch(written)
    if match is None or match.group(3) not in _UNITS:
        raise UsageError(
            f'the rate "{text}" is not understood: write calls per second, minute or hour, such as 20/s, 100/m or'
            " 6000/h, or none"
        )
    calls, times = int(match.group(1)), int(match.group(2) or 1)
    if calls == 0 or times == 0:
        raise UsageError(f'the rate "{text}" would never send a call: write at least 1/h, or use none for no limit')
    return Rate(calls, float(times * _UNITS[match.group(3)]))


class Pace:
    """Slots for calls, evenly spread: no window of the rate's length ever holds more than its calls.

    That holds for calls sent at their slots, and for calls sent late by up to `GUARD` of a window. Time that nobody
    used is not made up for, so there is never a burst. Without a rate a slot is now, until the API throttles: from then
    on the pace is half of what it was, and grows again.

    A wait for a slot can outlast a throttle. After waiting, a caller asks for another slot while `now < blocked_until`.
    """

    __slots__ = ("_factor", "_gap", "_learnt", "_next", "_recent", "_seen", "_window", "blocked_until")

    def __init__(self, rate: Rate | None = None) -> None:
        self._recent: deque[float] = deque(maxlen=64)
        self._next = self._seen = self.blocked_until = float("-inf")
        self.change_rate(rate)

    def change_rate(self, rate: Rate | None) -> None:
        """Another limit from the next slot on; what was learnt from throttling is forgotten."""
        self._gap = rate.window_seconds * (1 + GUARD) / rate.calls if rate else 0.0
        self._window = rate.window_seconds if rate else _WINDOW_WITHOUT_RATE
        self._learnt, self._factor = not rate, 1.0

    @property
    def calls_per_second(self) -> float | None:
        """The pace at this moment; None when there is no limit."""
        return self._factor / self._gap if self._gap else None

    def next_slot(self, now: float) -> float:
        """Take the next slot: the time, `now` or later, at which this call may go. Every slot is given once."""
        self._recover(now)
        slot = max(now, self._next, self.blocked_until)
        if self._gap:
            self._next = slot + self._gap / self._factor
        else:
            self._recent.append(slot)
        return slot

    def throttled(self, now: float, retry_after: float | None = None) -> None:
        """The API said "too fast": a pause, and half the pace from then on.

        The pause is `retry_after` seconds, else a twelfth of the window (at least a second and one gap). Answers to
        calls that were under way together count once: while blocked, only the block can grow.
        """
        self._recover(now)
        if now >= self.blocked_until:
            if not self._gap:
                self._gap = 1 / max(self._observed(now), 0.1)
            self._factor = max(self._factor / 2, _SLOWEST)
        pause = max(self._window / 12, self._gap / self._factor, 1.0) if retry_after is None else retry_after
        self.blocked_until = max(self.blocked_until, now + pause)

    def _recover(self, now: float) -> None:
        """Additive: a tenth of the pace for each window that is not blocked; a learnt pace has no upper end."""
        free = now - max(self._seen, self.blocked_until)
        self._seen = max(self._seen, now)
        if free <= 0 or not self._gap or free == float("inf"):
            return
        self._factor += _RECOVERY_PER_WINDOW * free / self._window
        if not self._learnt:
            self._factor = min(1.0, self._factor)

    def _observed(self, now: float) -> float:
        """Slots a second, as they were taken lately."""
        recent = [slot for slot in self._recent if slot > now - _WINDOW_WITHOUT_RATE]
        return len(recent) / max(now - recent[0], 0.05) if recent else 0.0


def series_wait(attempt: int, parked_seconds: float, chance: float) -> float:
    """Seconds until the next probe of a parked series: 1, 2, 4, then 6 or 8 % of the time parked, at most 60; ± 10 %.

    A series that is dry for a minute costs at most 14 probes and goes on within 8 s of its return. `attempt` from 1.
    """
    wait = (1.0, 2.0, 4.0)[attempt - 1] if 1 <= attempt <= 3 else max(6.0, 0.08 * parked_seconds)
    return min(60.0, _jittered(min(60.0, wait), chance))


def customer_wait(attempt: int, chance: float) -> float:
    """Seconds before a busy customer is asked for again: 1 s, doubling to 30 s; ± 10 %. `attempt` from 1."""
    return _jittered(_doubling(attempt, 30.0), chance)


def reach_wait(attempt: int, chance: float) -> float:
    """Seconds before the next try when nothing reaches the API: 1 s, doubling to 30 s; ± 10 %. `attempt` from 1."""
    return _jittered(_doubling(attempt, 30.0), chance)


def _doubling(attempt: int, most: float) -> float:
    return min(most, 2.0 ** min(max(attempt, 1) - 1, 16))


def _jittered(wait: float, chance: float) -> float:
    """± 10 % by a uniform `chance` in [0, 1), so that many waiting runs do not ask together."""
    return wait * (0.9 + 0.2 * chance)
