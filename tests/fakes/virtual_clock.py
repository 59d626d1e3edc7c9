"""A clock and an event loop whose time jumps to the next timer when nothing is ready: hours pass in milliseconds.

    def test_a_parked_series_is_probed_after_its_pause():
        async def scenario(clock: VirtualClock) -> None:
            started = clock.now()
            await clock.sleep(3600)               # everything due before runs first, in order; no real time passes
            assert clock.now() == started + 3600

        run_virtually(scenario)

Works with plain asyncio: tasks, futures, `asyncio.sleep`, `asyncio.wait`, `asyncio.timeout`, queues, executors. There
are no sockets in it, so that nothing under test can reach a network. Code that waits for ever fails with `NothingDue`.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

WALL_START = 1795403700.0
"""2026-11-23T03:15:00Z: the wall time at which every virtual clock starts."""

_MONOTONIC_START = 1000.0  # not zero, so that nobody takes a moment for a duration unseen
_STUCK_THREAD_SECONDS = 30.0


class NothingDue(AssertionError):
    """Every task waits for something that nobody will bring about: no timer, no thread, nothing ready."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop without sockets. Time stands still while code runs and while a thread of an executor works.

    Args:
        patience_seconds: real time to wait for threads that the loop does not know of (started by the code under
            test, reporting by `call_soon_threadsafe`) before time jumps.
    """

    def __init__(self, patience_seconds: float = 0.0) -> None:
        super().__init__()
        self._virtual_now = _MONOTONIC_START
        self._clock_resolution = 1e-9
        self._patience_seconds = patience_seconds
        self._woken = threading.Event()
        self._threads_busy = 0
        self._selector: VirtualLoop | None = self  # the base class waits by its selector: all that is different here

    _scheduled: list[asyncio.TimerHandle]  # the base class's heap of timers

    def time(self) -> float:
        return self._virtual_now

    def select(self, timeout: float | None) -> list[Any]:
        """Instead of waiting for `timeout` seconds: jump to the next timer. Called by the base class."""
        if timeout is not None and timeout <= 0:
            return []
        real_seconds = _STUCK_THREAD_SECONDS if self._threads_busy else self._patience_seconds
        woken = self._woken.wait(real_seconds) if real_seconds else self._woken.is_set()
        self._woken.clear()
        if woken:
            return []
        if timeout is None:
            raise NothingDue("every task waits, and no timer or thread will ever wake one")
        self._virtual_now += timeout
        if self._scheduled and self._scheduled[0].when() - self._virtual_now < 1e-6:
            # Exactly the moment asked for, without what adding and subtracting floats left over.
            self._virtual_now = max(self._virtual_now, self._scheduled[0].when())
        return []

    # The base class's types vary between Python versions.
    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        future = super().run_in_executor(executor, func, *args)
        self._threads_busy += 1
        future.add_done_callback(self._thread_done)
        return future

    # `timeout` is how newer versions of the base class call it.
    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self._threads_busy += 1  # the base class waits for a thread that waits for the others
        try:
            await super().shutdown_default_executor()
        finally:
            self._threads_busy -= 1

    def close(self) -> None:
        super().close()
        self._selector = None

    def _thread_done(self, _future: asyncio.Future[Any]) -> None:
        self._threads_busy -= 1

    def _write_to_self(self) -> None:
        self._woken.set()

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no sockets, so there are no events."""


class VirtualClock:
    """`ports.Clock` on the loop's virtual time. `wall` runs along with it; `chance` is a seeded sequence."""

    def __init__(self, seed: int = 0) -> None:
        self._chance = random.Random(seed)
        self._wall_offset = WALL_START - _MONOTONIC_START

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return self.now() + self._wall_offset

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    def chance(self) -> float:
        return self._chance.random()

    def step_wall(self, seconds: float) -> None:
        """The machine's wall clock is set forward or back; monotonic time notices nothing."""
        self._wall_offset += seconds


def run_virtually(
    scenario: Callable[[VirtualClock], Awaitable[T]], *, seed: int = 0, patience_seconds: float = 0.0
) -> T:
    """Run a coroutine function on a virtual loop and give back its result; tasks left over are cancelled."""

    async def main() -> T:
        return await scenario(VirtualClock(seed))

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(patience_seconds)) as runner:
        return runner.run(main())
