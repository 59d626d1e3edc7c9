"""The commands that care for the ledger: backup, recover, forget, purge."""

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
from runner.core.wording import counted
from runner.errors import UsageError
from runner.settings import read_duration

if TYPE_CHECKING:
    from runner.app.care import Forgotten, Purged
    from runner.app.recovering import Recovered

Yes = Annotated[bool | None, typer.Option("--yes", "-y", help="do not ask")]


@app.command("backup")
def backup_command(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="where to (default: a new file beside the ledger); a folder: a new file in it",
            show_default=False,
        ),
    ] = None,
    sandbox: f.Sandbox = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
) -> int:
    """Copy the ledger, also while a run goes on. Its key is a file of its own: keep both.

    Example: coupon-runner backup /mnt/safe/coupons-2026-11-23.backup
    """
    request = request_of(locals())
    from runner.app.care import back_up_ledger

    done = back_up_ledger(file, request, clock=SystemClock())
    if request.options.json_output:
        print_json(
            {
                "backup": str(done.copy.path),
                "key": str(done.key),
                "events": done.copy.events,
                "bytes": done.copy.size,
                "error": None,
                "exit_code": 0,
                "next": None,
            }
        )
    else:
        print_text(f"{done.copy.path}\n{done.key}")
    why = f"the ledger is copied and checked; keep the key {done.key} as well, apart from it: neither is of use alone"
    sys.stderr.write(last_line(0, why=why) + "\n")
    return 0


@app.command("recover")
def recover_command(
    org: f.Org = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="this ledger was put back from an older copy, though nothing shows it")
    ] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="go on although not everything could be read back; needs --why")
    ] = False,
    why: Annotated[
        str | None, typer.Option(metavar="TEXT", help="with --accept-loss: the reason, for the record")
    ] = None,
    yes: Yes = None,
    rate: f.RateFlag = None,
    same_org: f.SameOrg = None,
    api_url: f.ApiUrl = None,
    region: f.Region = None,
    timeout: f.Timeout = None,
    out: f.Out = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
    verbose: f.Verbose = 0,
    quiet: f.Quiet = False,
) -> int:
    """Read back what a ledger has forgotten that was put back from an older copy. Issues nothing; can be interrupted.

    Example: coupon-runner recover --out /mnt/safe/coupon-runs
    """
    request = request_of(locals())
    talk = talk_of(request, quiet=quiet, verbose=verbose)
    from runner.app.recovering import Choices, recover

    choices = Choices(anyway=anyway, accept_loss=accept_loss, why=why)
    done = recover(choices, request, clock=SystemClock(), conversation=talk)
    flags = lasting_flags(request)
    following = None
    if done.other_orgs and not done.done:
        following = command_line("recover", "--org", done.other_orgs[0], *flags)
    elif not done.done and done.needed:
        following = command_line("recover", *flags)
    if request.options.json_output:
        print_json({**_recovered_document(done), "error": None, "next": following})
    elif done.needed and not quiet:
        print_text("\n".join(f"{count:>7,}  {what}" for what, count in done.reasons().items()))
    sys.stderr.write(last_line(done.exit_code, why=_recovered_words(done), next_command=following) + "\n")
    return done.exit_code


def _recovered_words(done: Recovered) -> str:
    if not done.needed:
        return (
            "nothing shows that this ledger is an older copy, so nothing was read; if it was put back from one all the"
            " same, say so with --anyway"
        )
    found = (
        f"{counted(done.from_api, 'coupon')} read back from the API and {done.from_reports:,} from reports,"
        f" {counted(done.customers, 'customer')} read"
    )
    if done.done:
        return f"{found}; the ledger can be used again, its next calls have other keys than all before"
    reasons = [f"{counted(sum(done.reasons().values()), 'thing')} could not be told"] if done.problems else []
    reasons += [f"stopped early: {done.stopped}"] if done.stopped else []
    reasons += [f"{counted(done.left, 'customer')} not read yet"] if done.left and not done.stopped else []
    reasons += [f"the customers of {', '.join(done.other_orgs)} are to be read too"] if done.other_orgs else []
    return f"{found}; the ledger stays read-only: {'; '.join(reasons)}. To go on without, --accept-loss --why TEXT"


def _recovered_document(done: Recovered) -> dict[str, object]:
    return {
        "needed": done.needed,
        "done": done.done,
        "exit_code": done.exit_code,
        "customers": done.customers,
        "left": done.left,
        "nameless": done.nameless,
        "reads": done.reads,
        "coupons": {"from_api": done.from_api, "from_reports": done.from_reports, "others": done.others},
        "problems": [{"problem": what, "count": count} for what, count in done.reasons().items()],
        "calls": sorted({problem.call for problem in done.problems if problem.call}),
        "reports": done.reports,
        "other_orgs": done.other_orgs,
        "stopped": done.stopped,
    }


@app.command("forget")
def forget_command(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="mobile, e-mail, external id or customer id")],
    org: f.Org = None,
    region: f.Region = None,
    yes: Yes = None,
    sandbox: f.Sandbox = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
) -> int:
    """Erase a customer from the ledger for good, over all campaigns; she is never issued to again.

    Example: coupon-runner forget 919000000001
    """
    request = request_of(locals())
    from runner.app.care import forget_customer
    from runner.core.reporting import write_time

    done = forget_customer(customer, request, clock=SystemClock(), conversation=talk_of(request))
    if request.options.json_output:
        print_json({**_forgotten_document(done), "error": None, "exit_code": 0, "next": None})
    _say_holding(done.holding)
    before = f" (she had been forgotten on {write_time(done.before)[:10]} already)" if done.before is not None else ""
    what = f"{counted(done.erased.rows, 'row')}, {counted(done.erased.orders, 'order')} and"
    why = f"the customer is forgotten{before}: {what} {counted(done.erased.coupons, 'coupon')} erased"
    sys.stderr.write(last_line(0, why=why + _not_clean(clean=done.erased.clean)) + "\n")
    return 0


def _forgotten_document(done: Forgotten) -> dict[str, object]:
    from runner.core.reporting import write_time

    return {
        "rows": done.erased.rows,
        "orders": done.erased.orders,
        "coupons": done.erased.coupons,
        "clean": done.erased.clean,
        "before": write_time(done.before),
        "holding": list(done.holding),
    }


@app.command("purge")
def purge_command(
    older_than: Annotated[
        str | None,
        typer.Option(metavar="400d", help="runs that ended longer ago (default: the retention of the settings file)"),
    ] = None,
    org: f.Org = None,
    yes: Yes = None,
    sandbox: f.Sandbox = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
) -> int:
    """Erase cells, identifiers and codes of old runs. What was issued stays known, so nobody is issued to twice.

    Example: coupon-runner purge --older-than 400d
    """
    request = request_of(locals())
    from runner.app.care import purge_runs

    done = purge_runs(_age(older_than), request, clock=SystemClock(), conversation=talk_of(request))
    if request.options.json_output:
        print_json({**_purged_document(done), "error": None, "exit_code": 0, "next": None})
    for sentence in done.busy:
        sys.stderr.write(f"left out: {sentence}\n")
    _say_holding(done.holding)
    what = f"{counted(done.erased.rows, 'row')}, {counted(done.erased.orders, 'order')} and"
    why = f"{counted(len(done.runs), 'run')} purged: {what} {counted(done.erased.coupons, 'coupon')} erased"
    why = why if done.runs else "no run is old enough and over: nothing was erased"
    sys.stderr.write(last_line(0, why=why + _not_clean(clean=done.erased.clean)) + "\n")
    return 0


def _purged_document(done: Purged) -> dict[str, object]:
    return {
        "runs": list(done.runs),
        "busy": list(done.busy),
        "rows": done.erased.rows,
        "orders": done.erased.orders,
        "coupons": done.erased.coupons,
        "clean": done.erased.clean,
        "holding": list(done.holding),
    }


def _age(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = read_duration(text)
    except ValueError:
        seconds = None
    if not isinstance(seconds, float):
        raise UsageError(f"--older-than: {text!r} is no age: write days, such as 400d")
    return seconds


def _say_holding(paths: tuple[str, ...]) -> None:
    if paths:
        sys.stderr.write("these still hold what was erased, and are yours to delete:\n")
        sys.stderr.write("".join(f"  {path}\n" for path in paths))


def _not_clean(*, clean: bool) -> str:
    if clean:
        return ""
    return "; somebody reads the ledger just now, so its bytes are not clean yet: run this again when nobody does"
