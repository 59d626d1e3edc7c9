"""What a live run may be told from outside, and what it is by what it was told: paused by whom, since when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from runner.core.wording import counted


class Command(StrEnum):
    """A word to a live run."""

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    SET_RATE = "set-rate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A word to a run, as the ledger keeps it. Times in seconds since the epoch, UTC.

    `by`: user, host and pid of who gave it. `done_at`: when it was dealt with; `answer`: what the run said to it, None
    when it was taken back unanswered.
    """

    seq: int
    command: Command
    argument: str
    at: float
    by: Mapping[str, object]
    done_at: float | None = None
    answer: str | None = None

    @property
    def user(self) -> str:
        """Who gave it."""
        return str(self.by.get("user") or "somebody")


@dataclass(frozen=True, slots=True)
class Paused:
    """Who paused a run, and since when (seconds since the epoch, UTC)."""

    by: str
    since: float


def paused(told: Iterable[Told], *, since: float) -> Paused | None:
    """Whether a run stands still by what it was told since its process began to work on it.

    A second pause changes nothing, whoever gave it; a word that was taken back never counted.
    """
    state: Paused | None = None
    for one in sorted(told, key=lambda one: one.seq):
        if one.done_at is None or one.answer is None or one.done_at < since:
            continue
        if one.command is Command.PAUSE:
            state = state or Paused(one.user, one.done_at)
        elif one.command is Command.RESUME:
            state = None
    return state


def is_stale(one: Told, *, since: float) -> bool:
    """Whether a word was meant for an earlier process of the run: it is never carried out by the next."""
    return one.at < since


def pause_answer(under_way: int, state: Paused | None) -> str:
    """What a run says to `pause`. `state`: as it was before."""
    if state is not None:
        return f"it was paused already, by {state.by}"
    if not under_way:
        return "paused: no call is under way"
    first = "finishes" if under_way == 1 else "finish"
    return f"paused: {counted(under_way, 'call')} under way {first} first"


def resume_answer(state: Paused | None) -> str:
    """What a run says to `resume`."""
    return "going on" if state is not None else "it was not paused"


def stop_answer(under_way: int, grace_seconds: float, *, stopping: bool) -> str:
    """What a run says to `stop`. `stopping`: it was at its end already."""
    if stopping:
        return "it is stopping already"
    if not under_way:
        return "stopping: no call is under way"
    has = "has" if under_way == 1 else "have"
    return f"stopping: {counted(under_way, 'call')} under way {has} {grace_seconds:g} s to finish"


def rate_answer(rate: str, before: str) -> str:
    """What a run says to `set-rate`. Rates as people write them; `before`: "" when it had none."""
    return f"the pace is {_shown(rate)} now, {_shown(before)} before"


def _shown(rate: str) -> str:
    return "without a limit" if rate in ("", "none") else rate
