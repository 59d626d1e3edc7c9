"""When the next call may go: the pace of the key, and how long to wait before asking again.

Owns no clock and no chance: both arrive as arguments. Never sleeps, and never decides what is asked for. Times are
seconds on any clock that does not step back; waits are seconds.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple

from runner.errors import UsageError

CUSTOMER_ROUNDS = 6
"""Rounds for a customer whom another action keeps busy (code 521) before the row is given up for this run."""

GUARD = 0.018
"""Share of a window by which slots are spread wider than the limit asks, and by which a call may be sent late."""

LATE = 0.35
"""Share of `GUARD` by which a call may be late unsaid; the rest is for calls that arrive faster than those before."""

AHEAD = 0.02
"""How long before it is due a slot may be taken, in seconds: what a process took and does not use is lost."""

BLOCK_SECONDS = 0.05
"""At high rates a process takes several slots at once, but no more than fall into this time."""

MOST_OF_A_KEY = 0.8
"""A run that takes more of a key's limit than this leaves too little for tills that live on the same key."""

_NEVER = -1e12
_WEIGHT = 4.0
_MUCH_LARGER = 4.0
_UNSEEN_SECONDS = 5.0
_LONGEST_UNSEEN_SECONDS = 7200.0
_PARTS = 12
_MOST_KEPT = 64
_SLOWEST = 1 / 64
_RECOVERY_PER_WINDOW = 0.1
_WINDOW_WITHOUT_RATE = 10.0
_UNITS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600}
_SHORT = {1.0: "s", 60.0: "m", 3600.0: "h"}
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,3})?)\s*%", re.ASCII)
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


def write_rate(rate: Rate) -> str:
    """A rate as `parse_rate` reads it."""
    return f"{rate.calls}/{_SHORT.get(rate.window_seconds) or f'{rate.window_seconds:g}s'}"


def parse_leave(text: str) -> float:
    """A share of the limit that stays for others, as a person writes it: `20%`. Raises `UsageError`."""
    match = _SHARE.fullmatch(text.strip())
    if match is None or float(match.group(1)) >= 100:
        raise UsageError(f'the share "{text}" is not understood: write a percentage below 100, such as 20%')
    return float(match.group(1)) / 100


def tills_refused(calls: int, limit: Rate | None, used: Rate | None) -> str:
    """Why whoever else uses the key would be refused during a run of so many calls, and what to do; "" if nobody would.

    Args:
        limit: of the key. used: what the run takes of it.
    """
    if (
        limit is None
        or used is None
        or used.calls <= MOST_OF_A_KEY * limit.calls
        or calls <= MOST_OF_A_KEY * limit.calls
    ):
        return ""
    return (
        f"tills on this key would be refused: the run takes {used.calls:,} of the {limit.calls:,} calls that"
        f" {write_rate(limit)} allows. Give it a key of its own, or leave them a share (--leave 20%; --leave 0% when"
        " nobody else uses the key)."
    )


def leave_share(rate: Rate, share: float) -> Rate:
    """What is left of a limit when `share` of it (0 to below 1) stays for others: at least one call."""
    return Rate(max(1, int(rate.calls * (1 - share) + 1e-9)), rate.window_seconds)


@dataclass(slots=True)
class Member:
    """One process that uses the key. `remaining`: calls that it still has to make, about.

    `hungry`: it waits for a slot, as seen at `seen`. `served`: slots that it got, each divided by its weight.
    `gave_way`: the slot that it left to another last.
    """

    pid: int
    rate: Rate | None
    seen: float
    remaining: float = 0.0
    hungry: bool = False
    served: float = 0.0
    gave_way: float = _NEVER


class Slots(NamedTuple):
    """Slots that were given to one process: `number` of them, `gap` apart, the first at `first`.

    `serial`: of the first, counted over the life of the key; for `PaceState.late`.
    """

    first: float
    gap: float
    number: int
    serial: int


class Wait(NamedTuple):
    """No slot yet: ask again at `until`."""

    until: float


class PaceState:
    """The pace of one key: evenly spread slots, so that no window of the limit's length ever holds more than its calls.

    That holds for calls sent at their slots, and for calls sent late by up to `tolerance`; whoever sends later than
    that says so by `late`, and the call that would share its window with too many keeps its distance. What the way to
    the API takes may then differ from call to call by most of `GUARD`. Time that nobody used is not made up for, but
    for a moment (`slack`), so there is never a burst.

    Several processes share one state; the lowest of their limits holds. When several wait, a much smaller job gets
    `_WEIGHT` slots for each one of a larger, and nobody's slot is wasted for that. Without a rate a slot is now, until
    the API throttles: from then on the pace is half of what it was, and grows again.
    """

    __slots__ = (
        "_after", "_anew", "_factor", "_index", "_lately", "_learnt_gap", "_recent", "_seen", "blocked_until", "due",
        "learnt", "members",
    )  # fmt: skip

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.due = self.blocked_until = self._seen = _NEVER
        self.learnt: Rate | None = None
        self._factor = 1.0
        self._learnt_gap = 0.0
        self._recent: deque[float] = deque(maxlen=64)
        self._lately: list[tuple[int, int]] = []
        self._anew: float | None = None
        self._index = 0
        self._after: list[tuple[int, float]] = []

    @classmethod
    def begun_anew(cls, now: float) -> PaceState:
        """A state instead of one that was lost: the first slot comes a gap later, since one may just have been used."""
        state = cls()
        state._anew = now
        return state

    # ── who uses it ──────────────────────────────────────────────────────────────────────────────────────────────────

    def join(self, name: str, now: float, rate: Rate | None, *, pid: int = 0, remaining: float = 0.0) -> None:
        """A process uses the key, or says anew how. Another rate forgets what was learnt from throttling."""
        me = self.members.get(name)
        if me is None:
            self.members[name] = Member(pid, rate, now, remaining)
        else:
            changed = me.rate != rate
            me.rate, me.remaining, me.seen = rate, remaining, now
            if changed:
                self._learnt_gap, self._factor = 0.0, 1.0
                self.due = min(self.due, now + AHEAD + self.gap)  # nobody waits for a slot of a slower pace
        if self._anew is not None:
            self.due, self._anew = max(self.due, self._anew + self.gap), None

    def leave(self, name: str) -> None:
        """A process uses the key no more."""
        self.members.pop(name, None)

    def drop_dead(self, now: float, alive: Callable[[int], bool]) -> None:
        """Forget processes that have ended. `alive`: whether there is a process of that id on this machine."""
        for name, one in list(self.members.items()):
            unseen = now - one.seen
            if unseen > _LONGEST_UNSEEN_SECONDS or (unseen > _UNSEEN_SECONDS and not alive(one.pid)):
                del self.members[name]

    @property
    def gap(self) -> float:
        """Seconds between two slots when nothing is throttled; 0.0 without a limit."""
        gaps = [one.rate.window_seconds * (1 + GUARD) / one.rate.calls for one in self.members.values() if one.rate]
        return max(gaps, default=self._learnt_gap)

    @property
    def window(self) -> float:
        """The shortest window of the limits, in seconds."""
        windows = [one.rate.window_seconds for one in self.members.values() if one.rate]
        return min(windows, default=_WINDOW_WITHOUT_RATE)

    @property
    def lowest(self) -> str | None:
        """The process whose limit holds; None when there is no limit."""
        limited = [(one.rate.calls / one.rate.window_seconds, name) for name, one in self.members.items() if one.rate]
        return min(limited)[1] if limited else None

    @property
    def tolerance(self) -> float:
        """How late a call may be sent before it has to be said (`late`), in seconds."""
        return LATE * GUARD * self.window

    @property
    def slack(self) -> float:
        """How long a slot that nobody came for may still be used, in seconds: a process that was held up catches up."""
        return min(0.05 * self.window, 1.0)

    @property
    def calls_per_second(self) -> float | None:
        """The pace at this moment; None when there is no limit."""
        gap = self.gap
        return self._factor / gap if gap else None

    # ── slots ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, name: str, now: float, *, more: bool = False, most: int = 1) -> Slots | Wait:
        """Take the next slots for a process that has joined, or learn when to ask again.

        Every slot is given once. A slot may lie a little before now (its call is late by that) or up to `AHEAD` after.

        Args:
            more: whether others of the process still wait for one.
            most: slots that it would take at once; it gets no more than `BLOCK_SECONDS` hold, and at least one.
        """
        self._recover(now)
        me, gap = self.members[name], self.gap / self._factor
        due = max(self.due, self.blocked_until)
        slot = due if now - due <= self.slack else now
        slot = max(slot, self._not_before())
        if not me.hungry:
            me.served = max(me.served, min((one.served for one in self._rivals(name, now, gap)), default=0.0))
        me.seen = now
        me.hungry = True
        if slot > now + AHEAD:
            return Wait(slot)
        before = [one for one in self._rivals(name, now, gap) if one.served < me.served]
        if before and me.gave_way != self.due:
            me.gave_way = self.due
            return Wait(max(now, slot) + min(0.05, max(0.25 * gap, 0.002)))
        count = max(1, min(most, int(BLOCK_SECONDS / gap))) if gap else most
        if self._after:
            count = max(1, min(count, min(at for at, _ in self._after) - self._index))
        me.served += count / self._weight(name, now, gap)
        me.hungry = more
        self.due = slot + count * gap
        index = self._index
        self._index += count
        if self._after:
            self._after = [(at, moment) for at, moment in self._after if at >= self._index]
        if gap:
            self.late(slot, index, now)
        if gap:
            self._note(now, count)
        else:
            self._recent.append(now)
        return Slots(slot, gap, count, index)

    def note(self, now: float) -> None:
        """A call of the only process, which has no limit, goes now."""
        self._recent.append(now)

    def late(self, slot: float, index: int, now: float) -> None:
        """A call is sent only now: the one that would share its window with too many before it keeps its distance.

        Args:
            slot, index: the slot that it had, and its number.
        """
        if now - slot <= self.tolerance:
            return
        for rate in {one.rate for one in self.members.values() if one.rate is not None}:
            distance = (1 + (1 - LATE) * GUARD) * rate.window_seconds
            self._keep(index + rate.calls, now + distance)

    def _keep(self, index: int, not_before: float) -> None:
        """Remember when a slot may come at the earliest, unless an earlier slot's moment makes it as late anyway."""
        gap = self.gap
        kept: list[tuple[int, float]] = []
        for at, moment in sorted([*self._after, (index, not_before)]):
            if kept and moment <= kept[-1][1] + (at - kept[-1][0]) * gap:
                continue
            kept.append((at, moment))
        if len(kept) > _MOST_KEPT:  # rather too slow than too much to remember
            kept = [*kept[: _MOST_KEPT - 1], (kept[_MOST_KEPT - 1][0], max(moment for _, moment in kept))]
        self._after = kept

    def _not_before(self) -> float:
        """When the next slot may come at the earliest, because of calls that were sent late a window before."""
        return max((moment for index, moment in self._after if index <= self._index), default=_NEVER)

    def _rivals(self, name: str, now: float, gap: float) -> list[Member]:
        """Others that wait for a slot, and were there at the last one."""
        since = now - gap - 2 * AHEAD - BLOCK_SECONDS
        return [one for other, one in self.members.items() if other != name and one.hungry and one.seen >= since]

    def _weight(self, name: str, now: float, gap: float) -> float:
        mine = self.members[name].remaining
        smaller = any(one.remaining >= _MUCH_LARGER * max(mine, 1.0) for one in self._rivals(name, now, gap))
        return _WEIGHT if smaller else 1.0

    # ── throttling ───────────────────────────────────────────────────────────────────────────────────────────────────

    def throttled(self, now: float, retry_after: float | None = None) -> None:
        """The API said "too fast": a pause, and half the pace from then on.

        The pause is `retry_after` seconds, else a twelfth of the window (at least a second and one gap). Answers to
        calls that were under way together count once: while blocked, only the block can grow.
        """
        self._recover(now)
        if now >= self.blocked_until:
            let_through = self._let_through(now) - 1
            if let_through > 0:
                self.learnt = Rate(let_through, self.window)
            if not self.gap:
                self._learnt_gap = 1 / max(self._observed(now), 0.1)
            self._factor = max(self._factor / 2, _SLOWEST)
        pause = max(self.window / 12, self.gap / self._factor, 1.0) if retry_after is None else retry_after
        self.blocked_until = max(self.blocked_until, now + pause)

    def _recover(self, now: float) -> None:
        """Additive: a tenth of the pace for each window that is not blocked; a learnt pace has no upper end."""
        free = now - max(self._seen, self.blocked_until)
        first = self._seen == _NEVER
        self._seen = max(self._seen, now)
        if free <= 0 or first or (self._factor == 1.0 and not self._learnt_gap):
            return
        self._factor += _RECOVERY_PER_WINDOW * free / self.window
        if not self._learnt_gap or any(one.rate for one in self.members.values()):
            self._factor = min(1.0, self._factor)

    def _observed(self, now: float) -> float:
        """Slots a second, as they were taken lately."""
        recent = [slot for slot in self._recent if slot > now - _WINDOW_WITHOUT_RATE]
        return len(recent) / max(now - recent[0], 0.05) if recent else 0.0

    def _note(self, now: float, count: int) -> None:
        """Count slots by twelfths of the window."""
        number = int(now * _PARTS / self.window)
        if self._lately and self._lately[-1][0] == number:
            self._lately[-1] = (number, self._lately[-1][1] + count)
        else:
            self._lately = [*self._lately[-_PARTS:], (number, count)]

    def _let_through(self, now: float) -> int:
        """Slots given in the last window."""
        if not self._lately:
            return round(self._observed(now) * _WINDOW_WITHOUT_RATE)
        oldest = int(now * _PARTS / self.window) - _PARTS
        return sum(count for number, count in self._lately if number > oldest)

    # ── kept outside of a process ────────────────────────────────────────────────────────────────────────────────────

    def record(self) -> dict[str, Any]:
        """The state as a document that `of_record` understands."""
        return {
            "due": self.due,
            "blocked_until": self.blocked_until,
            "index": self._index,
            "after": [list(one) for one in self._after],
            "factor": self._factor,
            "learnt_gap": self._learnt_gap,
            "seen": self._seen,
            "learnt": list(self.learnt) if self.learnt else None,
            "lately": [list(one) for one in self._lately],
            "members": {
                name: [one.pid, *(one.rate or (0, 0.0)), one.seen, one.remaining, one.hungry, one.served, one.gave_way]
                for name, one in self.members.items()
            },
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> PaceState:
        """The state that a record tells of.

        Raises:
            ValueError, TypeError, KeyError: it is no such record.
        """
        state = cls()
        state.due, state.blocked_until = float(record["due"]), float(record["blocked_until"])
        state._index, state._factor = int(record["index"]), float(record["factor"])
        state._after = [(int(index), float(moment)) for index, moment in record["after"]]
        state._learnt_gap, state._seen = float(record["learnt_gap"]), float(record["seen"])
        state.learnt = Rate(int(record["learnt"][0]), float(record["learnt"][1])) if record["learnt"] else None
        state._lately = [(int(number), int(count)) for number, count in record["lately"]]
        for name, (pid, calls, window, seen, remaining, hungry, served, gave_way) in record["members"].items():
            rate = Rate(int(calls), float(window)) if calls else None
            state.members[name] = Member(pid, rate, seen, remaining, bool(hungry), served, gave_way)
        if not all(isfinite(one) for one in (state.due, state.blocked_until, state._factor)):
            raise ValueError("not a number")
        if state._factor < _SLOWEST:
            raise ValueError("a pace that stands still")
        return state

    def after_restart(self, now: float, away_seconds: float, then: float) -> None:
        """The machine was started anew: its clock begins elsewhere, and no process is left.

        Args:
            now: by the new clock.
            away_seconds: since the record was written at `then` by the old clock, as the calendar says.
        """
        shift = now - then - max(0.0, away_seconds)
        self.due, self.blocked_until, self._seen = self.due + shift, self.blocked_until + shift, self._seen + shift
        self.members.clear()
        self._lately.clear()
        self._after = [(index, moment + shift) for index, moment in self._after]


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
