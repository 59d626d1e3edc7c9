"""The commands that settle doubts: reconcile and resolve."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner.adapters.clock import SystemClock
from runner.adapters.terminal.endings import command_line, last_line
from runner.cli import flags as f
from runner.cli.printing import print_json, print_text
from runner.cli.requests import app, lasting_flags, request_of, talk_of
from runner.core.model import CallState
from runner.core.wording import counted
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.app.settling import Reconciled, Resolved, Word


@app.command("reconcile")
def reconcile_command(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="run id (default: every campaign of the org)", show_default=False),
    ] = None,
    org: f.Org = None,
    rate: f.RateFlag = None,
    settle_wait: f.SettleWait = None,
    settle_after: f.SettleAfter = None,
    settle_by_time: f.SettleByTime = None,
    same_org: f.SameOrg = None,
    api_url: f.ApiUrl = None,
    sandbox: f.Sandbox = None,
    sandbox_config: f.SandboxConfig = None,
    timeout: f.Timeout = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
    verbose: f.Verbose = 0,
    quiet: f.Quiet = False,
) -> int:
    """Settle calls in doubt by reading the API, and write the reports concerned again. Issues nothing.

    Example: coupon-runner reconcile 20261123T031500Z-birthday-4f9a1c
    """
    request = request_of(locals())
    talk = talk_of(request, quiet=quiet, verbose=verbose)
    from runner.adapters.terminal.doubts import calls_text
    from runner.app.settling import reconcile

    done = reconcile(run, request, clock=SystemClock(), conversation=talk)
    settled = done.settled
    flags = lasting_flags(request)
    following = ""
    if settled.open:
        first = settled.open[0].call
        words = ("resolve", run or done.written[-1], first.key, "--not-issued", "--why", "…") if done.written else ()
        following = command_line(*words, *flags) if words else ""
    elif done.resumable:
        following = command_line("resume", done.resumable[-1], *flags)
    if request.options.json_output:
        print_json({**_reconciled_document(done), "error": None, "next": following or None})
    elif not quiet:
        print_text(
            calls_text(
                [(a.call.key, a.call.doubt.series, a.finding.state, a.finding.why) for a in settled.accounts.values()]
            )
        )
    why = settled.sentence()
    if settled.open and not settled.problem:
        why += "; reading again later may settle the rest, or a person who knows (resolve)"
    elif done.resumable:
        why += f"; {counted(settled.missing_again, 'coupon')} may be asked for again"
    elif done.busy and not settled.accounts:
        why = "; ".join(done.busy)
    sys.stderr.write(last_line(done.exit_code, why=why, next_command=following or None) + "\n")
    return done.exit_code


def _reconciled_document(done: Reconciled) -> dict[str, object]:
    """What a program is told of a settling."""
    settled = done.settled
    return {
        "exit_code": done.exit_code,
        "calls": [
            {
                "call": account.call.key,
                "series": account.call.doubt.series,
                "quantity": account.call.doubt.quantity,
                "state": account.finding.state.value,
                "found": len(account.finding.coupons),
                "in_doubt": account.finding.held,
                "method": account.finding.method.value,
                "why": account.finding.why,
            }
            for account in settled.accounts.values()
        ],
        "reads": settled.reads,
        "problem": settled.problem,
        "busy": list(done.busy),
        "resumable": list(done.resumable),
        "reports": list(done.written),
    }


@app.command("resolve")
def resolve_command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="run id")],
    call: Annotated[
        str | None, typer.Argument(metavar="CALL", help="the call's key, as in in_doubt.csv", show_default=False)
    ] = None,
    issued: Annotated[int | None, typer.Option(help="the call did issue so many coupons", min=1)] = None,
    not_issued: Annotated[bool, typer.Option("--not-issued", help="the call issued nothing")] = False,
    why: Annotated[str | None, typer.Option(metavar="TEXT", help="how you know, for the record")] = None,
    from_file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="in_doubt.csv with resolve_issued and resolve_why filled in"),
    ] = None,
    rate: f.RateFlag = None,
    same_org: f.SameOrg = None,
    api_url: f.ApiUrl = None,
    sandbox: f.Sandbox = None,
    sandbox_config: f.SandboxConfig = None,
    timeout: f.Timeout = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
    verbose: f.Verbose = 0,
    quiet: f.Quiet = False,
) -> int:
    """Settle calls in doubt by what a person knows, for instance from the vendor's support.

    What the API shows is read first; a word that it contradicts is refused.

    Example: coupon-runner resolve 20261123T031500Z-birthday-4f9a1c 5f0c…-1-0a1b2c --not-issued --why "ticket 4711"
    """
    request = request_of(locals())
    words = _words(call, issued, not_issued, why, from_file)
    talk = talk_of(request, quiet=quiet, verbose=verbose)
    from runner.adapters.terminal.doubts import calls_text
    from runner.app.settling import resolve

    done = resolve(run, words, request, clock=SystemClock(), conversation=talk)
    following = command_line("resume", done.resumable[-1], *lasting_flags(request)) if done.resumable else None
    if request.options.json_output:
        print_json({**_resolved_document(done), "error": None, "next": following})
    elif not quiet:
        print_text(
            calls_text(
                [
                    (c.key, c.doubt.series, CallState.ISSUED if w.issued else CallState.REFUSED, shown)
                    for c, w, shown in done.words
                ]
            )
        )
    sentence = f"{counted(len(done.words), 'call')} settled by your word"
    sys.stderr.write(last_line(0, why=sentence, next_command=following) + "\n")
    return 0


def _words(
    call: str | None, issued: int | None, not_issued: bool, why: str | None, from_file: Path | None
) -> list[Word]:
    """What the person says, from the flags or from a file."""
    from runner.app.settling import Word, read_words

    if from_file is not None:
        if call is not None or issued is not None or not_issued or why is not None:
            raise UsageError("Give a call with --issued or --not-issued and --why, or --from FILE, not both.")
        return read_words(from_file)
    problems = []
    if call is None:
        problems.append("Which call? Give its key (call_key in in_doubt.csv), or --from FILE for many.")
    if (issued is None) is not not_issued:
        problems.append("Say what became of it: --issued N, or --not-issued.")
    if why is None or not why.strip():
        problems.append("Say how you know: --why TEXT.")
    if problems:
        raise UsageError("\n".join(problems))
    assert call is not None and why is not None  # noqa: S101, PT018 - checked above
    return [Word(call, issued or 0, why.strip())]


def _resolved_document(done: Resolved) -> dict[str, object]:
    """What a program is told of a person's word."""
    return {
        "exit_code": 0,
        "calls": [
            {"call": call.key, "issued": word.issued, "why": word.why, "shown": shown}
            for call, word, shown in done.words
        ],
        "resumable": list(done.resumable),
        "reports": list(done.written),
    }
