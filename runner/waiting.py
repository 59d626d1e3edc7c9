"""When no call may go at all, and how the run finds out that one may again.

Owns what concerns the run as a whole: its first call alone, nothing ever leaving, too many answers lost, throttling, a
machine that slept. What concerns one series or one customer is the engine's. Never sends a call itself: it lets one
through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum

from runner import retrying
from runner.core.model import CallState, Outcome, Reason
from runner.core.pacing import reach_wait
from runner.core.policy import Step, Verdict
from runner.core.wording import counted, duration
from runner.ports import Clock, CouponApi, Progress

SLEPT_SECONDS = 60.0
"""A machine whose clock ran on for longer than this between two beats was asleep (or the process was stopped)."""


class StopKind(StrEnum):
    """Why a run ended before everything was asked for."""

    GUARD = "guard"
    LIMIT = "limit"
    HOURS = "hours"
    THROTTLED = "throttled"
    REQUESTED = "requested"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The end of a run before its time: kind, a sentence for people, and the error behind it, if any.

    `go_on`: the flags with which a resume would not stop there again.
    """

    kind: StopKind
    message: str
    error: BaseException | None = None
    go_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Budgets in seconds. What makes too many doubts, so that the API is probed with a read first.

    `doubts_in_a_row`: as the answers complete. `doubts_share`: of the calls, once `doubts_after` of them have ended.
    """

    reach_budget_seconds: float
    throttle_budget_seconds: float
    doubts_in_a_row: int
    doubts_share: float
    doubts_after: int


class Pauses:
    """How many calls may be under way now. `saw` is told of every answer.

    `spawn`, `wake` and `stop` are the engine's. `turn`: waited for before each read, as before a call. `settle`: reads
    what became of the calls in doubt, and says it.
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
        settle: Callable[[], Awaitable[str]] | None = None,
        turn: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._turn = turn
        self._api = api
        self._clock = clock
        self._say = progress.say
        self._patience = patience
        self._spawn = spawn
        self._wake = wake
        self._stop = stop
        self._settle = settle
        self._most: int | None = 1  # the run's first call goes alone
        self._probe: asyncio.Future[bool] | None = None
        self._in_a_row = 0
        self._doubts = 0
        self._ended = 0
        self._reads_answered = False
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
            self._probe.set_result(step is not Step.PAUSE_RUN and outcome.state is not CallState.IN_DOUBT)
        elif not self.pausing and step not in (Step.PAUSE_RUN, Step.RENEW_TOKEN):
            self._most = None
        if step is Step.PAUSE_RUN:
            self._pause_until_reached(reason)
        elif step is Step.SLOW_DOWN:
            self._slow_down(reason)
        elif outcome.state in (CallState.ISSUED, CallState.REFUSED):
            self._throttled_since = None
        if outcome.state is not CallState.NEVER_LEFT:
            self._count(outcome.state is CallState.IN_DOUBT, series)

    def woke(self, seconds: float, series: int | None) -> None:
        """The machine slept: connections are gone, answers perhaps lost. Nothing goes before the API answers again.

        `series`: any of the run's, for the read that finds out; None: there is nothing to ask for.
        """
        self._say(f"slept {duration(seconds)}: pausing until the API answers and the calls under way have ended")
        if not self.pausing and series is not None:
            self._pause_until_answered(series)

    def _slow_down(self, reason: Reason | None) -> None:
        """429 and 503/4001: the pace has slowed; when no call at all is answered for the budget, the run stops."""
        now = self._clock.now()
        if self._throttled_since is None:
            self._throttled_since = now
            self._say(f"throttled by the API ({reason.code if reason else 429}): slowing down")
        elif now - self._throttled_since > self._patience.throttle_budget_seconds:
            self._stop(Stop(kind=StopKind.THROTTLED, message="the API kept throttling and gave nothing (429)"))

    def _pause_until_reached(self, reason: Reason | None) -> None:
        """Nothing leaves this machine: all wait, one call at a time finds out."""
        if self.pausing:
            return
        why = "the API cannot be reached" + (f" ({reason.message})" if reason is not None and reason.message else "")
        self._say(f"pausing: {why}")
        self._pause()
        self._spawn(self._try_until(self._let_one_through, lambda: Stop(kind=StopKind.UNREACHABLE, message=why)))

    async def _let_one_through(self) -> bool:
        """Whichever order is next is the probe; its answer, or one to a call still under way, is the result."""
        self._probe = asyncio.get_running_loop().create_future()
        self._most = 1
        self._wake()
        return await self._probe

    def _count(self, doubt: bool, series: int) -> None:
        """Too many doubts, in a row or among all: first a read probes the API, since each call may be a new doubt."""
        self._in_a_row = self._in_a_row + 1 if doubt else 0
        self._ended += 1
        self._doubts += doubt
        many = self._ended >= self._patience.doubts_after and self._doubts > self._patience.doubts_share * self._ended
        if not doubt or self.pausing or not (many or self._in_a_row >= self._patience.doubts_in_a_row):
            return
        told = f"{self._in_a_row} answers in a row were lost"
        if self._in_a_row < self._patience.doubts_in_a_row:
            told = f"{self._doubts:,} of the last {self._ended:,} answers were lost"
        self._say(f"{told}: pausing, and reading until the API answers")
        self._pause_until_answered(series)

    def _pause_until_answered(self, series: int) -> None:
        """A read finds out whether the API answers, then one call alone whether it answers calls; a doubt waits on."""

        async def attempt() -> bool:
            if self._turn is not None:
                await self._turn()
            exchange = await self._api.read_series([series])
            self._reads_answered = exchange.status is not None and exchange.status < 500 and exchange.complete
            return self._reads_answered and await self._let_one_through()

        self._reads_answered = False
        self._pause()
        self._spawn(self._try_until(attempt, self._not_answered))

    def _not_answered(self) -> Stop:
        lost = f"the API lost the answers of {counted(self._doubts, 'call')}"
        if not self._doubts:
            return Stop(kind=StopKind.UNREACHABLE, message="the API does not answer")
        if self._reads_answered:
            message = f"{lost} and of each that tried again, though it answers reads (--max-in-doubt)"
            return Stop(kind=StopKind.GUARD, message=message)
        return Stop(kind=StopKind.UNREACHABLE, message=f"{lost} and does not answer reads either")

    def _pause(self) -> None:
        self.pausing = True
        self._most = 0

    async def _try_until(
        self, attempt: Callable[[], Coroutine[None, None, bool]], otherwise: Callable[[], Stop]
    ) -> None:
        """Try until it succeeds and go on, or stop when the budget is over."""
        reached, _ = await retrying.until(
            attempt,
            first=False,
            settled=bool,
            wait_seconds=lambda attempts, _: reach_wait(attempts, self._clock.chance()),
            give_up=lambda _, seconds: seconds >= self._patience.reach_budget_seconds,
            clock=self._clock,
        )
        if reached and self._doubts and self._settle is not None:
            self._say(f"the API answers again: {counted(self._doubts, 'call')} in doubt, settling")
            self._say(await self._settle())
        self.pausing = False
        self._probe = None
        if reached:
            self._most = None
            self._in_a_row = self._doubts = self._ended = 0
            self._say("the API answers again: going on")
        else:
            self._stop(otherwise())
        self._wake()


def slept_seconds(earlier: tuple[float, float], now: tuple[float, float], beat_seconds: float) -> float:
    """How long the machine slept between two beats; 0.0 when it did not. Moments: (monotonic, wall) seconds.

    Asleep, the monotonic clock of Linux and macOS stands still and the wall clock does not; a process that was stopped
    misses both. A wall clock that was set back shows nothing; one set forward looks like sleep, which costs one read.
    """
    gap = max(now[0] - earlier[0], now[1] - earlier[1]) - beat_seconds
    return gap if gap > SLEPT_SECONDS else 0.0
