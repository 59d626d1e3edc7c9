"""How many calls may be under way: what rate × latency asks for, less while the API shows that it is overloaded.

Owns no clock and sends nothing: it is told of every answer. Never above what the owner allowed, never below one.
"""

from __future__ import annotations

from math import ceil

LEAST = 4
"""So many may always be under way as far as rate × latency goes: a few slow answers must not hold up a slow pace."""

_HEADROOM = 2.0
_BACK_OFF = 0.7
_LATELY = 0.2
_LONG = 0.01
_RISEN = 2.0
_RISEN_SECONDS = 0.25
_FIRST_ANSWERS = 20
_BUSY_SHARE = 0.1


class Concurrency:
    """How many calls may be under way now, by additive increase and multiplicative decrease.

    Without a rate only 429 and busy customers lower it: how long an answer then takes depends on how many are asked.

    Args:
        most: what the owner allowed (`--concurrency`).
    """

    __slots__ = ("_answers", "_busy", "_lately", "_limit", "_long", "_lowered", "allowed", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.allowed = most
        self._limit = float(most)
        self._lately = 0.0
        self._long = 0.0
        self._busy = 0.0
        self._answers = 0
        self._lowered = float("-inf")

    def answered(
        self,
        seconds: float,
        now: float,
        *,
        under_way: int,
        throttled: bool = False,
        busy: bool = False,
        per_second: float | None = None,
    ) -> None:
        """Learn from the answer to a call that took `seconds`.

        Args:
            under_way: calls that were under way until now, this one too.
            throttled, busy: it said 429, or that the customer is busy (521).
            per_second: the pace of the key now; None without a limit.
        """
        self._busy += _LATELY / 4 * (busy - self._busy)
        if per_second is None and not throttled and self._limit >= self.most and self._busy <= _BUSY_SHARE:
            self.allowed = self.most
            return
        if not throttled:  # a refusal at the door says nothing of how long the work takes
            self._measure(seconds)
        risen = (
            per_second is not None
            and self._answers > _FIRST_ANSWERS
            and under_way > 1
            and self._lately > _RISEN * self._long + _RISEN_SECONDS
        )
        if throttled or risen or (busy and self._busy > _BUSY_SHARE):
            if now - seconds >= self._lowered:  # answers to calls that were under way together count once
                self._limit = max(1.0, min(self._limit, float(self.allowed)) * _BACK_OFF)
                self._lowered = now
        else:
            self._limit = min(float(self.most), self._limit + 1 / max(self._limit, 1.0))
        wanted = self.most if per_second is None else max(LEAST, ceil(_HEADROOM * per_second * self._lately) + 2)
        self.allowed = max(1, min(self.most, int(self._limit), wanted))

    def _measure(self, seconds: float) -> None:
        self._answers += 1
        if self._answers == 1:
            self._lately = self._long = seconds
            return
        self._lately += _LATELY * (seconds - self._lately)
        # What is usual follows slowly upwards, so that a rise is seen, and at once downwards.
        self._long = min(self._lately, self._long + _LONG * (seconds - self._long))
