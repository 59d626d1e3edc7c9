"""The rules of retry, handed to tenacity: the only module that knows it.

What is tried again is a *round* (a new call with a new key), a probe or a read; never a POST that may have left.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, RetryError, retry_if_result

from runner.ports import Clock

T = TypeVar("T")


async def until(
    attempt: Callable[[], Awaitable[T]],
    *,
    first: T,
    settled: Callable[[T], bool],
    wait_seconds: Callable[[int, float], float],
    give_up: Callable[[int, float], bool],
    clock: Clock,
) -> tuple[bool, T]:
    """Await `attempt` until its result is `settled`, or until `give_up`; returns (settled?, the last result).

    `first` is the result that led here: it counts as the first attempt, so a wait comes before the next.
    `wait_seconds` and `give_up` get the number of attempts made so far (from 1) and the seconds since the first began,
    by `clock`; the wait also goes through `clock`, so a virtual one drives tests without waiting.
    """
    began = clock.now()
    had_first = False

    async def next_attempt() -> T:
        nonlocal had_first
        if not had_first:
            had_first = True
            return first
        return await attempt()

    def wait(state: RetryCallState) -> float:
        return wait_seconds(state.attempt_number, clock.now() - began)

    def stop(state: RetryCallState) -> bool:
        return give_up(state.attempt_number, clock.now() - began)

    retrying = AsyncRetrying(
        sleep=clock.sleep,
        wait=wait,
        stop=stop,
        retry=retry_if_result(lambda result: not settled(result)),
    )
    try:
        return True, await retrying(next_attempt)
    except RetryError as error:
        return False, error.last_attempt.result()
