"""The pace of a key in a live process: its calls wait here for their turns, first come, first served.

What a turn is and when it comes is `core.pacing.PaceState`; where that is kept, so that other processes share it, is a
`PaceStore`. Without a rate nothing waits and nothing is kept.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from runner.core.pacing import PaceState, Rate, Slots, Wait, leave_share, write_rate
from runner.ports import Clock, PaceStore

T = TypeVar("T")

_BUSY_SECONDS = 0.002
_EARLY_SECONDS = 0.0005
_NAP_SECONDS = 1.0
_MOST_AT_ONCE = 512


class Turn(NamedTuple):
    """One call may go: at `slot`. `serial`: its number, as `Slots.serial`."""

    slot: float
    serial: int


class OwnState:
    """A `PaceStore` for one process: nobody else knows of it."""

    def __init__(self) -> None:
        self.state = PaceState()

    def change(self, work: Callable[[PaceState], T]) -> tuple[T] | None:
        return (work(self.state),)


class Pace:
    """All calls of a key in this process, whatever they ask: each awaits a `turn` before it is sent.

    Args:
        rate: the limit; None: none, until the API throttles.
        store: where the state is; None: this process is the only one.
        leave: share of the limit that stays for others.
        say: told when the limit of another process holds, and when it does no more.
    """

    def __init__(
        self,
        rate: Rate | None,
        clock: Clock,
        *,
        store: PaceStore | None = None,
        leave: float = 0.0,
        say: Callable[[str], None] | None = None,
        name: str | None = None,
    ) -> None:
        self._leave = leave
        self._rate = leave_share(rate, leave) if rate is not None else None
        self._clock = clock
        self._own = OwnState() if store is None else None
        self._store: PaceStore = self._own or store  # type: ignore[assignment]
        self._say = say
        self._name = name or f"{os.getpid()}@{socket.gethostname()}"  # containers count their processes anew
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._remaining = 0.0
        self._block: Slots | None = None
        self._used = 0
        self._most = 1
        self._later: list[Callable[[PaceState], None]] = []
        self._tolerance = self._slack = 0.0
        self._others: tuple[int, Rate] | None = None
        self._calls_per_second: float | None = None
        self._blocked_until = float("-inf")
        self._free = self._own.state if self._own is not None and rate is None else None
        self.throttles = 0
        self.learnt: Rate | None = None
        if self._own is not None:
            self.change_rate(rate)

    # ── before a call ────────────────────────────────────────────────────────────────────────────────────────────────

    async def turn(self) -> Turn:
        """Wait until a call may go. A turn that is not used is lost; one that was waited for too long is not given."""
        if self._free is not None:
            now = self._clock.now()
            self._free.note(now)
            return Turn(now, 0)
        if not self._waiting:
            self._lock = asyncio.Lock()  # of the loop that runs now: a command may have several, one after another
        self._waiting += 1
        try:
            async with self._lock:
                return await self._next_turn()
        finally:
            self._waiting -= 1

    def sent(self, turn: Turn, *, at: float | None = None) -> None:
        """The call of a turn leaves now, or left at that moment, as its exchange tells: if late, others keep away."""
        if self._tolerance and (moment := self._clock.now() if at is None else at) - turn.slot > self._tolerance:
            self._change(lambda state: state.late(turn.slot, turn.serial, moment))

    async def _next_turn(self) -> Turn:
        clock = self._clock
        while True:
            now = clock.now()
            turn = self._from_block(now)
            if turn is None:
                asked = self._ask(now)
                if isinstance(asked, Slots):
                    self._block, self._used = asked, 0
                    continue
                # Nobody sleeps for long: the pace may be changed meanwhile.
                await clock.sleep(min(asked.until - now, _NAP_SECONDS) if asked is not None else _BUSY_SECONDS)
                continue
            if turn.slot - now > _EARLY_SECONDS:
                await clock.sleep(turn.slot - now)
            if clock.now() >= self._blocked_until:
                return turn

    def _from_block(self, now: float) -> Turn | None:
        """A slot taken already that is not over."""
        block = self._block
        if block is None:
            return None
        while self._used < block.number:
            turn = Turn(block.first + self._used * block.gap, block.serial + self._used)
            self._used += 1
            if not block.gap or now - turn.slot <= self._slack:
                return turn
        self._block = None
        return None

    def _ask(self, now: float) -> Slots | Wait | None:
        """Ask for slots; None while another process is just asking."""
        # A process that used up what it took last may take twice as much: at a low demand nothing is wasted.
        self._most = min(2 * self._most, _MOST_AT_ONCE) if self._waiting > 1 else 1

        def take(state: PaceState) -> Slots | Wait:
            self._join(state, now)
            return state.take(self._name, now, more=self._waiting > 1, most=self._most)

        return self._try(take)

    # ── after an answer, and from outside ────────────────────────────────────────────────────────────────────────────

    def throttled(self, now: float, retry_after: float | None = None) -> None:
        """The API said "too fast" to this process: all that use the key slow down."""
        self.throttles += 1
        self._block = self._free = None

        def slow_down(state: PaceState) -> None:
            self._join(state, now)
            state.throttled(now, retry_after)

        self._change(slow_down)

    def change_rate(self, rate: Rate | None) -> None:
        """Another limit from the next turn on; what was learnt from throttling is forgotten."""
        self._rate = self.share_of(rate)
        self._block = None
        self._free = self._own.state if self._own is not None and rate is None else None
        now = self._clock.now()
        self._change(lambda state: self._join(state, now))

    def share_of(self, rate: Rate | None) -> Rate | None:
        """What of a limit is used here, when a part of it is left to others."""
        return leave_share(rate, self._leave) if rate is not None else None

    def expect(self, calls: float) -> None:
        """How many calls are still to be made, about: a much smaller job on the key goes first."""
        self._remaining = calls

    def close(self) -> None:
        """This process uses the key no more."""
        self._block = None
        if self._own is None:
            self._change(lambda state: state.leave(self._name))

    @property
    def rate(self) -> Rate | None:
        """The limit that this process keeps: what it was given without what it leaves to others."""
        return self._rate

    @property
    def calls_per_second(self) -> float | None:
        """The pace at this moment, of all processes together; None when there is no limit."""
        return self._calls_per_second

    @property
    def blocked_until(self) -> float:
        """Until when no call goes, because the API throttles."""
        return self._blocked_until

    def throttling_told(self) -> str | None:
        """What the API's throttling taught; None when there was none."""
        if not self.throttles:
            return None
        times = "once" if self.throttles == 1 else f"{self.throttles:,} times"
        if self.learnt is None:
            return f"the API throttled {times} (429)"
        limit = write_rate(self.learnt)
        return f"the API throttled {times} (429), last after about {limit}: --rate {limit} would spare that"

    # ── the state ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _join(self, state: PaceState, now: float) -> None:
        state.join(self._name, now, self._rate, pid=os.getpid(), remaining=self._remaining)

    def _change(self, work: Callable[[PaceState], None]) -> None:
        """Do something with the state; later, together with what comes next, when another process is at it."""

        def done(state: PaceState) -> bool:
            work(state)
            return True

        if self._try(done) is None:
            self._later.append(work)

    def _try(self, work: Callable[[PaceState], T]) -> T | None:
        """Do what was left for later, and something else; None, and nothing done, when another process is at it."""

        def all_of_it(state: PaceState) -> T:
            for one in self._later:
                one(state)
            done = work(state)
            self._look(state)
            return done

        changed = self._store.change(all_of_it)
        if changed is None:
            return None
        self._later.clear()
        return changed[0]

    def _look(self, state: PaceState) -> None:
        """Remember what the state says, and tell whose limit holds when that changes."""
        self._calls_per_second = state.calls_per_second
        self._blocked_until = state.blocked_until
        self._tolerance = state.tolerance if state.gap else 0.0
        self._slack = state.slack
        self.learnt = state.learnt
        if len(state.members) > 1 or self._others is not None:
            self._tell_whose(state)

    def _tell_whose(self, state: PaceState) -> None:
        """With several limits the lowest holds for all."""
        own = self._rate
        others = [(one.pid, one.rate) for name, one in state.members.items() if name != self._name and one.rate != own]
        limits = [(pid, rate) for pid, rate in others if rate is not None]
        now = min(limits, key=lambda one: one[1].calls / one[1].window_seconds, default=None)
        if now == self._others or self._say is None:
            return
        self._others = now
        mine = write_rate(own) if own is not None else "no limit"
        if now is None:
            self._say(f"no other process uses this key at another pace any more: {mine} holds")
            return
        theirs = write_rate(now[1])
        lower = own is None or now[1].calls / now[1].window_seconds < own.calls / own.window_seconds
        self._say(
            f"process {now[0]} uses this key with a limit of {theirs}, this one with {mine}: while both run, the lower"
            f" one holds for both, {theirs if lower else mine}"
        )
