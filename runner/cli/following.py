"""`show --follow` on a terminal, in a pipe or for a program: a new state whenever there is one, until the run ends."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from runner.adapters.ledger.runs import UNFINISHED, RunFacts
from runner.adapters.terminal.endings import command_line, exit_words, last_line
from runner.adapters.terminal.progress import JsonProgress, ProgressDisplay, progress_for
from runner.adapters.terminal.screens import width_of
from runner.adapters.terminal.tables import show_text
from runner.adapters.terminal.texts import utc
from runner.app.conversation import Request
from runner.app.following import Follower
from runner.app.looking import show_of_run
from runner.app.place import REHEARSAL, code_table
from runner.cli.printing import print_json, print_text
from runner.core.totals import SEND_AGAIN
from runner.ports import Beat, Clock


def follow_run(name: str | None, request: Request, *, options: Sequence[str], clock: Clock) -> int:
    """Show a run until it ends; 0 then, whatever its own exit code is, and 130 when Ctrl-C left before.

    `options`: what a suggested command needs besides, to meet the same ledger.
    """
    follower = Follower(name, request, clock=clock)
    as_json = request.options.json_output or request.options.progress == "json"
    with _ctrl_c() as left, _display(request, as_json, clock) as display:
        shown: Beat | None = None
        while not (look := follower.look()).over:
            state = replace(look.beat, eta_seconds=None, calls_per_second=0.0)
            if state != shown:
                display.beat(look.beat)
                shown = state
            if left.wait(look.wait_seconds):
                return 128 + signal.SIGINT
    found = show_of_run(follower.name, request, clock=clock)
    if as_json:
        print_json({"type": "end", "time": utc(clock.wall()), "run": found}, one_line=True)
    else:
        print_text(show_text(found, width=width_of(sys.stdout)))
    sys.stderr.write(_ending(look.run, options) + "\n")
    return 0


def _display(request: Request, as_json: bool, clock: Clock) -> ProgressDisplay:
    """What is shown goes to stdout, since it is what was asked for."""
    codes = code_table(request.options)
    if as_json:
        return JsonProgress(sys.stdout, clock=clock, interval_seconds=0.0)
    return progress_for(
        request.options.progress,
        stream=sys.stdout,
        is_terminal=sys.stdout.isatty(),
        clock=clock,
        codes=codes,
        interval_seconds=0.0,
    )


@contextmanager
def _ctrl_c() -> Iterator[threading.Event]:
    """Set once Ctrl-C was pressed: whoever only looks leaves without a word."""
    left = threading.Event()
    before = None
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGINT, lambda _number, _frame: left.set())
    try:
        yield left
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def _ending(run: RunFacts, options: Sequence[str]) -> str:
    more = [*options, *(["--sandbox"] if run.name.startswith(REHEARSAL) and "--sandbox" not in options else [])]
    resume = command_line("resume", run.name, *more)
    if run.state in UNFINISHED and run.exit_code is None:
        why = f"nobody works on {run.name} any more, and it has not ended: what was sent is in the ledger"
        return last_line(0, why=why, next_command=resume)
    code = f" with exit code {run.exit_code} ({exit_words(run.exit_code)})" if run.exit_code is not None else ""
    reason = f": {run.reason}" if run.reason else ""
    again = run.state in UNFINISHED or run.exit_code == SEND_AGAIN
    return last_line(0, why=f"{run.name} is {run.state.value}{code}{reason}", next_command=resume if again else None)
