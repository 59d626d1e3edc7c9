"""The one place that asks the machine what time it is, waits, and draws a random number."""

from __future__ import annotations

import random
import time


class SystemClock:
    """The machine's own clock, as `ports.Clock`. A virtual one takes its place in tests."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait; nothing to wait for (zero, a moment already past) still lets others run once."""
        import asyncio  # commands that wait for nothing do without it

        await asyncio.sleep(max(0.0, seconds))

    def chance(self) -> float:
        return random.random()  # noqa: S311 - spreads retries over time; nothing is kept secret by it
