"""A word to a live run from another process: left in the ledger, and waited for until the run has answered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from runner.adapters.ledger.control import take_back, tell, word, words_to
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.locks import Holder, ScopeLock
from runner.adapters.ledger.runs import UNFINISHED, RunFacts, RunState, newest_run
from runner.app.conversation import Request
from runner.app.looking import named_run
from runner.app.place import open_ledger, open_org, owner_of_process, place_of
from runner.core.pacing import parse_rate
from runner.core.steering import Command, Paused, Told, paused
from runner.errors import LockHeld, UsageError
from runner.ports import Clock

PATIENCE_SECONDS = 5.0
"""How long the run has to answer before the word is taken back."""

_LOOK_SECONDS = 0.1
_HEARD = frozenset({"org", "ledger", "settings", "sandbox", "yes", "json", "progress"})
"""Flags of `resume` that say where the run is and how to answer; no other is heard by a live run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steered:
    """What a live run said to a word."""

    run: RunFacts
    command: Command
    argument: str
    answer: str

    def document(self) -> dict[str, object]:
        """The same, for programs."""
        return {
            "run": self.run.name,
            "command": self.command.value,
            "argument": self.argument,
            "answer": self.answer,
            "exit_code": 0,
        }


def steer(command: Command, name: str, request: Request, *, clock: Clock, argument: str = "") -> Steered:
    """Tell a live run something, and wait for what it says to it.

    Raises:
        UsageError: no such run, it is not live, or the rate is not understood. LockHeld: its process does not answer.
    """
    if command is Command.SET_RATE:
        parse_rate(argument)
    ledger, run = named_run(name, request, clock=clock)
    holder = holder_of(ledger, run)
    if holder is None or holder.run != run.name:
        raise _why_not(run, holder, command)
    return _steer(ledger, run, holder, command, argument, clock)


def unpause(name: str | None, request: Request, *, clock: Clock) -> Steered | None:
    """Let a live run go on that is paused; None when there is none such, so that `resume` means something else.

    Raises:
        UsageError: flags are given that only a new process could follow.
    """
    place = place_of(request.options, request.environment, run=name)
    if not place.ledger.is_file():
        return None
    ledger = open_ledger(place, clock)
    if name is not None:
        ledger, run = named_run(name, request, clock=clock)
    else:
        found = newest_run(ledger, org_id=open_org(ledger, request.options).id, unfinished=True)
        if found is None:
            return None
        run = found
    holder = holder_of(ledger, run)
    if holder is None or holder.run != run.name or paused_now(ledger, run, holder) is None:
        return None
    told = [flag for flag, value in request.flags.items() if value is not None and flag not in _HEARD]
    given = [f"--{flag.replace('_', '-')}" for flag in told]
    if given:
        pace = " (`coupon-runner set-rate` changes its pace)" if "--rate" in given else ""
        raise UsageError(
            f"The run {run.name} is live and paused: `resume` only lets it go on, and {', '.join(given)} would need a"
            f" new process{pace}. Leave {'it' if len(given) == 1 else 'them'} out. Nothing was changed."
        )
    return _steer(ledger, run, holder, Command.RESUME, "", clock)


def holder_of(ledger: LedgerFile, run: RunFacts) -> Holder | None:
    """Who holds the lock of a run's campaign at this moment."""
    return ScopeLock.holder_of(ledger.path, org=run.org_key, campaign=run.campaign_key)


def paused_now(ledger: LedgerFile, run: RunFacts, holder: Holder | None) -> Paused | None:
    """Who paused a run that its process holds, and since when; None when it is not paused, or not live."""
    if holder is None or holder.run != run.name:
        return None
    return paused(words_to(ledger, run.id), since=float(run.owner.get("since") or 0.0))


def _steer(ledger: LedgerFile, run: RunFacts, holder: Holder, command: Command, argument: str, clock: Clock) -> Steered:
    seq = tell(ledger, run.id, command, argument, by=owner_of_process(), at=clock.wall())
    told = asyncio.run(_until_answered(ledger, run, seq, clock))
    if told.answer is None:
        raise LockHeld(
            f"The run {run.name} did not answer within {PATIENCE_SECONDS:g} s ({holder}): its process is just"
            " beginning, writes reports, or does something else with it (undo, reconcile). Nothing was changed.",
            next_command=f"coupon-runner show {run.name}",
        )
    return Steered(run=run, command=command, argument=argument, answer=told.answer)


async def _until_answered(ledger: LedgerFile, run: RunFacts, seq: int, clock: Clock) -> Told:
    """The word when it is answered, or when it was taken back because nobody did."""
    began = clock.now()
    while True:
        told = word(ledger, run.id, seq)
        if told.done_at is not None:
            return told
        if clock.now() - began >= PATIENCE_SECONDS:
            take_back(ledger, run.id, seq, at=clock.wall())
            return word(ledger, run.id, seq)  # it may have been answered just before
        await clock.sleep(_LOOK_SECONDS)


def _why_not(run: RunFacts, holder: Holder | None, command: Command) -> UsageError:
    """Why a run cannot be steered."""
    what = "change its pace" if command is Command.SET_RATE else f"{command.value} it"
    if holder is not None:
        state = f"another process works on its campaign ({holder})"
    elif run.state in (RunState.READY, RunState.RUNNING):
        state = "its process has ended without a word"
    else:
        state = f"it is {run.state.value}{f' ({run.reason})' if run.reason else ''}"
    goes_on = run.state in UNFINISHED and holder is None
    return UsageError(
        f"The run {run.name} is not live, so nobody can {what}: {state}. Nothing was changed.",
        next_command=f"coupon-runner {'resume' if goes_on else 'show'} {run.name}",
    )
