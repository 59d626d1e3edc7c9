"""The ear of a live run: once a second it looks for words that other processes left for it, and carries them out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from runner.adapters.ledger.control import answer, take_back, unanswered
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.runs import RunFacts
from runner.core.pacing import Rate, parse_rate, write_rate
from runner.core.steering import (
    Command,
    Paused,
    Told,
    is_stale,
    pause_answer,
    rate_answer,
    resume_answer,
    stop_answer,
)
from runner.errors import LedgerFailed
from runner.holding import Hold
from runner.pace import Pace
from runner.ports import Clock, Progress

LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Helm:
    """What a word can move. `under_way`: calls without an answer now. `stopping`: whether the run is at its end.

    `stop`: ends the run like a first signal, for this reason. `wake`: the run looks again which calls may go.
    """

    hold: Hold
    pace: Pace
    under_way: Callable[[], int]
    stopping: Callable[[], bool]
    stop: Callable[[str], None]
    wake: Callable[[], None]
    grace_seconds: float


class Listener:
    """Listens for one execution of a run."""

    def __init__(self, ledger: LedgerFile, run: RunFacts, helm: Helm, *, clock: Clock, progress: Progress) -> None:
        self._ledger = ledger
        self._run = run
        self._helm = helm
        self._clock = clock
        self._say = progress.say
        self._since = clock.wall()
        self._deaf = False

    async def listen(self) -> None:
        """Until it is cancelled. A word is answered when it is carried out, and both are one step in the ledger."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            try:
                for told in await asyncio.to_thread(unanswered, self._ledger, self._run.id):
                    await self._hear(told)
                self._deaf = False
            except LedgerFailed as error:  # whoever writes calls meets it too, and ends the run
                if not self._deaf:
                    self._say(f"nobody can steer this run just now: {error.message}")
                self._deaf = True

    async def _hear(self, told: Told) -> None:
        if is_stale(told, since=self._since):
            await asyncio.to_thread(take_back, self._ledger, self._run.id, told.seq, at=self._clock.wall())
        elif told.command is Command.PAUSE:
            await self._pause(told)
        elif told.command is Command.RESUME:
            await self._resume(told)
        elif told.command is Command.STOP:
            await self._stop(told)
        else:
            await self._set_rate(told)

    async def _pause(self, told: Told) -> None:
        hold = self._helm.hold
        before = hold.paused
        hold.hold(Paused(told.user, self._clock.wall()))  # first, so that the answer counts all that is under way
        said = pause_answer(self._helm.under_way(), before)
        if not await self._answer(told, said, changes=before is None):
            if before is None:
                self._release()
        elif before is None:
            detail = said.partition(": ")[2]
            self._say(f"paused by {told.user}: {detail}; `coupon-runner resume {self._run.name}` goes on")

    async def _resume(self, told: Told) -> None:
        state = self._helm.hold.paused
        if await self._answer(told, resume_answer(state), changes=state is not None) and state is not None:
            self._release()
            self._say(f"{told.user} lets it go on")

    async def _stop(self, told: Told) -> None:
        stopping = self._helm.stopping()
        said = stop_answer(self._helm.under_way(), self._helm.grace_seconds, stopping=stopping)
        if await self._answer(told, said, changes=not stopping) and not stopping:
            self._say(f"stopped by {told.user}: {said.partition(': ')[2]}")
            self._helm.stop(f"stopped by {told.user} (coupon-runner stop)")

    async def _set_rate(self, told: Told) -> None:
        pace, rate = self._helm.pace, parse_rate(told.argument)
        said = rate_answer(_written(pace.share_of(rate)), _written(pace.rate))
        if await self._answer(told, said, changes=True):
            pace.change_rate(rate)
            self._helm.wake()
            self._say(f"{told.user} changed the pace: {said}")

    def _release(self) -> None:
        self._helm.hold.release()
        self._helm.wake()

    async def _answer(self, told: Told, said: str, *, changes: bool) -> bool:
        """Whether the word still holds; then it is recorded, and who gave it, if it changes anything."""
        at = self._clock.wall()
        choice = {"choice": told.argument} if told.argument else {}
        override = {"what": told.command.value, "at": at, **told.by, **choice} if changes else None
        return await asyncio.to_thread(answer, self._ledger, self._run, told.seq, said, override=override, at=at)


def _written(rate: Rate | None) -> str:
    return write_rate(rate) if rate is not None else ""
