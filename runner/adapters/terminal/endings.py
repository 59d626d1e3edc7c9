"""The last line of a command: why its exit code is what it is, and the exact command to run next."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from runner.adapters.terminal.texts import clean, one_line
from runner.core.merging import SURPLUS
from runner.core.statuses import LineStatus
from runner.core.totals import (
    ALL_ISSUED,
    FATAL,
    GUARD,
    IN_DOUBT,
    INPUT_REFUSED,
    LOCKED,
    NEEDS_A_PERSON,
    SEND_AGAIN,
    SIGNALS,
    USAGE,
    Totals,
)
from runner.core.wording import counted

PROGRAM = "coupon-runner"

_SIGNAL_WORDS = {
    129: "the terminal went away (SIGHUP)",
    130: "stopped by Ctrl-C (SIGINT)",
    143: "asked to end (SIGTERM)",
}
_WITHOUT_REASON = {
    USAGE: "the command cannot start as it was given",
    INPUT_REFUSED: "the input was refused",
    GUARD: "stopped by a guard",
    FATAL: "nothing more can be done until something outside is mended",
    LOCKED: "another process holds this campaign",
}
_WITHOUT_TOTALS = {
    ALL_ISSUED: "done",
    NEEDS_A_PERSON: "some rows need a person",
    IN_DOUBT: "some calls are in doubt",
    SEND_AGAIN: "what is left can be sent again as it is",
}
_IN_FAILURES = (LineStatus.REJECTED, LineStatus.FAILED, LineStatus.PARTIAL)


def last_line(
    exit_code: int,
    *,
    why: str = "",
    totals: Totals | None = None,
    run: str = "",
    out: str = "",
    campaign: str = "",
    options: Sequence[str] = (),
    command: str = "",
    this_command: str = "",
    next_command: str | None = None,
    next_when: str = "",
    failures: str = "failures.csv",
) -> str:
    """One line: "exit 75: series 415446 gave no coupons for 3 h; 120 rows not sent. Next: coupon-runner resume RUN".

    `why`: the stop's or error's sentence; a message of several lines is to be printed before, and is only counted here.
    `totals`, `run`, `out` (folder of the reports), `campaign`: of the run, when there is one. `options`: what each
    suggested command needs beside, such as ("--org", "acme"). `command`: the word after the program, for its help.
    `this_command`: what was typed, to be repeated. `next_command` overrides what would be suggested,
    `next_when` says what must be true before it is run: "COUPON_RUNNER_API_KEY is set". `failures`: the file that is
    to be corrected.
    """
    reason = _reason(exit_code, why, totals, out)
    when, after = (
        (f", once {next_when}" if next_when else "", next_command)
        if next_command
        else _next(exit_code, totals, run, out, campaign, options, command, this_command, failures)
    )
    text = f"exit {exit_code}: {reason}"
    if after:
        text += f"{'' if text.endswith(('.', '?', '!')) else '.'} Next{when}: {after}"
    return clean(text)


def next_after_an_error(exit_code: int, *, command: str = "", this_command: str = "") -> str:
    """The command that the last line suggests after an error that names none itself; "" when there is none."""
    return _next(exit_code, None, "", "", "", (), command, this_command)[1]


def command_line(*words: str) -> str:
    """A command of this program as it can be pasted into a shell of this machine."""
    every = [PROGRAM, *(word for word in words if word)]
    return subprocess.list2cmdline(every) if os.name == "nt" else shlex.join(every)


def exit_words(code: int) -> str:
    """What an exit code says of a run, in a few words."""
    return _SIGNAL_WORDS.get(code) or _WITHOUT_REASON.get(code) or _WITHOUT_TOTALS.get(code, "ended")


def _reason(exit_code: int, why: str, totals: Totals | None, out: str) -> str:
    lines = [line for line in why.splitlines() if line.strip()]
    given = f"{counted(len(lines), 'problem')}, listed above" if len(lines) > 1 else one_line(why)
    parts = [_SIGNAL_WORDS[exit_code]] if exit_code in SIGNALS else []
    parts += [given] if given and not (exit_code in SIGNALS and given.startswith("stopped by SIG")) else []
    if totals is not None:
        parts += _all_is_well(totals) if exit_code == ALL_ISSUED else _facts(exit_code, totals, out)
    if not given and exit_code in _WITHOUT_REASON:
        parts.insert(0, _WITHOUT_REASON[exit_code])
    if exit_code == INPUT_REFUSED and "nothing was sent" not in " ".join(parts).lower():
        parts.append("nothing was sent")
    if not parts:
        parts = [_WITHOUT_TOTALS.get(exit_code, "ended")]
    # A sentence that goes on loses its full stop: "…for 3 h; 120 rows not sent".
    return "; ".join([part.rstrip(".") for part in parts[:-1]] + parts[-1:])


def _all_is_well(totals: Totals) -> list[str]:
    new = totals.coupons.issued - totals.coupons.before
    if new:
        return [f"{counted(new, 'coupon')} issued in this run", "nothing is missing or in doubt, nothing is left to do"]
    return [
        f"nothing new was issued: {counted(totals.coupons.issued, 'coupon')} issued by earlier runs, nothing is missing"
    ]


def _facts(exit_code: int, totals: Totals, out: str) -> list[str]:
    """What is left, the code's own thing first: each is said whenever it holds, whatever the exit code."""
    person, doubt, again = _person_words(totals), "", ""
    if totals.coupons.in_doubt:
        doubt = f"{counted(totals.coupons.in_doubt, 'coupon')} in doubt"
        if exit_code == IN_DOUBT:
            where = f", see {Path(out) / 'in_doubt.csv'}" if out else ""
            doubt += f" (perhaps issued, so held and not asked for again{where})"
    if totals.again:
        only = totals.again == totals.lines.get(LineStatus.NOT_SENT, 0)
        again = f"{counted(totals.again, 'row')} not sent" + ("" if only else " or not complete")
    order = (again, doubt, person) if exit_code in (SEND_AGAIN, *SIGNALS) else (doubt, person, again)
    order = (person, doubt, again) if exit_code == NEEDS_A_PERSON else order
    return [fact for fact in order if fact]


def _person_words(totals: Totals) -> str:
    """ "12 rows need a person (8 rejected, 4 failed)"."""
    if not totals.for_a_person:
        return ""
    kinds = [f"{totals.lines[status]:,} {status}" for status in _IN_FAILURES if totals.lines.get(status)]
    kinds += [f"{totals.flags[SURPLUS]:,} {SURPLUS}"] if totals.flags.get(SURPLUS) else []
    verb = "needs" if totals.for_a_person == 1 else "need"
    return f"{counted(totals.for_a_person, 'row')} {verb} a person" + (f" ({', '.join(kinds)})" if kinds else "")


def _next(
    exit_code: int,
    totals: Totals | None,
    run: str,
    out: str,
    campaign: str,
    options: Sequence[str],
    command: str,
    this_command: str,
    failures: str = "",
) -> tuple[str, str]:
    """(", under which condition", command); the command is "" when there is nothing to run."""
    show = command_line("show", run, *options) if run else command_line("runs", *options)
    resume = command_line("resume", run, *options) if run else this_command
    match exit_code:
        case code if code == ALL_ISSUED:
            return "", ""
        case code if code == USAGE:
            return "", command_line(command, "--help")
        case code if code == INPUT_REFUSED:
            return ", once that is corrected", this_command
        case code if code == LOCKED:
            return (", when it has ended", this_command) if this_command else ("", command_line("runs", *options))
        case code if code == FATAL:
            return ", when that is mended", resume
        case code if code == GUARD:
            return (", if that is meant", resume) if resume else ("", show)
    return _next_after_a_run(exit_code, totals, run, out, campaign, options, failures) or ("", show)


def _next_after_a_run(
    exit_code: int,
    totals: Totals | None,
    run: str,
    out: str,
    campaign: str,
    options: Sequence[str],
    failures: str,
) -> tuple[str, str] | None:
    """Go on with what can be sent as it is, or correct what needs it first; None: look at it."""
    if not run:
        return None
    resume = "", command_line("resume", run, *options)
    if totals is None:
        return resume if exit_code in (SEND_AGAIN, *SIGNALS) else None
    if totals.again and exit_code != NEEDS_A_PERSON:
        return resume
    if totals.undo is not None and exit_code == NEEDS_A_PERSON:
        return "", command_line("undo", totals.undo[0], "--row", totals.undo[1], *options)
    if out and any(totals.lines.get(status) for status in _IN_FAILURES):
        within = ("--campaign", campaign) if campaign else ()
        file = str(Path(out) / failures)
        return f", once {failures} is corrected", command_line("run", file, *within, *options)
    return resume if totals.again else None
