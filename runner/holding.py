"""A run that somebody paused: its own time stands still, so that nothing begins and no budget is used up."""

from __future__ import annotations

import asyncio

from runner.core.steering import Paused
from runner.pace import Pace, Turn
from runner.ports import Clock

_EARLY_SECONDS = 1e-6
"""What adding and subtracting floats may leave over of a wait that is done."""


class Hold:
    """Whether the run is paused, and the run's own time. Used from one event loop."""

    def __init__(self, clock: Clock) -> None:
        self.paused: Paused | None = None
        self.clock: Clock = _HeldClock(clock, self)
        self.true_clock = clock
        self._released = asyncio.Event()
        self._released.set()
        self._since = 0.0
        self._lost = 0.0

    def hold(self, paused: Paused) -> None:
        """Pause. A second time changes nothing."""
        if self.paused is None:
            self._since = self.true_clock.now()
            self.paused = paused
            self._released.clear()

    def release(self) -> None:
        """Go on: time runs again from where it stood."""
        if self.paused is not None:
            self._lost += self.true_clock.now() - self._since
            self.paused = None
            self._released.set()

    async def until_released(self) -> None:
        """Return when the run is not paused; at once when it is not."""
        await self._released.wait()

    def now(self) -> float:
        """Monotonic seconds without those that the run was paused."""
        return (self.true_clock.now() if self.paused is None else self._since) - self._lost


class _HeldClock:
    """`ports.Clock` by the run's own time: `now` and `sleep` know nothing of pauses; `wall` and chance are the true."""

    def __init__(self, true: Clock, hold: Hold) -> None:
        self._true = true
        self._hold = hold
        self.now = hold.now
        self.wall = true.wall
        self.chance = true.chance

    async def sleep(self, seconds: float) -> None:
        until = self.now() + seconds
        await self._true.sleep(seconds)
        while True:
            if self._hold.paused is not None:
                await self._hold.until_released()
            left = until - self.now()
            if left <= _EARLY_SECONDS:
                return
            await self._true.sleep(left)


async def until_turn(pace: Pace, hold: Hold) -> Turn:
    """The turn of a call that may go: by the pace of the key, and never while the run is paused.

    A turn that came in a pause is not used, and another is waited for, so that a release is no burst.
    """
    while True:
        await hold.until_released()
        turn = await pace.turn()
        if hold.paused is None:
            return turn
