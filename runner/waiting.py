"""When no call may go at all, and how the run finds out that one may again.

Owns what concerns the run as a whole: its first call alone, nothing ever leaving, answers lost in a row, throttling.
What concerns one series or one customer is the engine's. Never sends a call itself: it lets one through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum

from runner import retrying
from runner.core.model import CallState, Outcome, Reason
from runner.core.pacing import reach_wait
from runner.core.policy import Step, Verdict
from runner.ports import Clock, CouponApi, Progress


class StopKind(StrEnum):
    """Why a run ended before everything was asked for."""

    GUARD = "guard"
    LIMIT = "limit"
    THROTTLED = "throttled"
    REQUESTED = "requested"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The end of a run before its time: kind, a sentence for people, and the error behind it, if any."""

    kind: StopKind
    message: str
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Budgets in seconds; `doubts_in_a_row`: by completion, before the API is probed with a read."""

    reach_budget_seconds: float
    throttle_budget_seconds: float
    doubts_in_a_row: int


class Pauses:
    """How many calls may be under way now. `saw` is told of every answer.

    `spawn`, `wake` and `stop` are the engine's.
    """

    def __init__(
        self,
        *,
        api: CouponApi,
        clock: Clock,
        progress: Progress,
        patience: Patience,
        spawn: Callable[[Coroutine[None, None, None]], None],
        wake: Callable[[], None],
        stop: Callable[[Stop], None],
    ) -> None:
        self._api = api
        self._clock = clock
        self._progress = progress
        self._patience = patience
        self._spawn = spawn
        self._wake = wake
        self._stop = stop
        self._most: int | None = 1  # the run's first call goes alone
        self._probe: asyncio.Future[bool] | None = None
        self._doubts = 0
        self._throttled_since: float | None = None
        self.pausing = False

    def lets_through(self, in_flight: int) -> bool:
        """Whether one more call may start beside those in flight."""
        return self._most is None or in_flight < self._most

    def saw(self, outcome: Outcome, verdict: Verdict, series: int) -> None:
        """Take note of an answer: it may pause the run, slow it down, or end a pause."""
        step, reason = verdict
        if self._probe is not None and not self._probe.done():
            self._most = 0
            self._probe.set_result(step is not Step.PAUSE_RUN)
        elif not self.pausing and step not in (Step.PAUSE_RUN, Step.RENEW_TOKEN):
            self._most = None
        if step is Step.PAUSE_RUN:
            self._pause_until_reached(reason)
        elif step is Step.SLOW_DOWN:
            self._slow_down(reason)
        elif outcome.state in (CallState.ISSUED, CallState.REFUSED):
            self._throttled_since = None
        if outcome.state is CallState.IN_DOUBT:
            self._count_doubt(series)
        elif outcome.state is not CallState.NEVER_LEFT:
            self._doubts = 0

    def _slow_down(self, reason: Reason | None) -> None:
        """429 and 503/4001: the pace has slowed; when no call at all is answered for the budget, the run stops."""
        now = self._clock.now()
        if self._throttled_since is None:
            self._throttled_since = now
            self._progress.say(f"throttled by the API ({reason.code if reason else 429}): slowing down")
        elif now - self._throttled_since > self._patience.throttle_budget_seconds:
            self._stop(Stop(kind=StopKind.THROTTLED, message="the API kept throttling and gave nothing (429)"))

    def _pause_until_reached(self, reason: Reason | None) -> None:
        """Nothing leaves this machine: all wait, one call at a time finds out."""
        if self.pausing:
            return
        why = reason.message if reason is not None else "the API cannot be reached"
        self._pause(f"pausing: {why}")
        self._spawn(self._try_until(self._let_one_through, Stop(kind=StopKind.UNREACHABLE, message=why)))

    async def _let_one_through(self) -> bool:
        """Whichever order is next is the probe; its answer, or one to a call still under way, is the result."""
        self._probe = asyncio.get_running_loop().create_future()
        self._most = 1
        self._wake()
        return await self._probe

    def _count_doubt(self, series: int) -> None:
        """After several doubts in a row a read probes the API, since each probing call would be a new doubt."""
        self._doubts += 1
        if self._doubts < self._patience.doubts_in_a_row or self.pausing:
            return

        async def read() -> bool:
            exchange = await self._api.read_series([series])
            return exchange.status is not None and exchange.status < 500 and exchange.complete

        self._pause(f"{self._doubts} answers in a row were lost: pausing, and reading until the API answers")
        message = "the API lost the answers of many calls in a row and does not answer reads either"
        self._spawn(self._try_until(read, Stop(kind=StopKind.UNREACHABLE, message=message)))

    def _pause(self, message: str) -> None:
        self.pausing = True
        self._most = 0
        self._progress.say(message)

    async def _try_until(self, attempt: Callable[[], Coroutine[None, None, bool]], otherwise: Stop) -> None:
        """Try until it succeeds and go on, or stop when the budget is over."""
        reached, _ = await retrying.until(
            attempt,
            first=False,
            settled=bool,
            wait_seconds=lambda attempts, _: reach_wait(attempts, self._clock.chance()),
            give_up=lambda _, seconds: seconds >= self._patience.reach_budget_seconds,
            clock=self._clock,
        )
        self.pausing = False
        self._probe = None
        if reached:
            self._most = None
            self._doubts = 0
            self._progress.say("the API answers again: going on")
        else:
            self._stop(otherwise)
        self._wake()
