"""The commands that look: report, runs, show and find."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.adapters.clock import SystemClock
from runner.adapters.terminal.endings import command_line, last_line
from runner.cli import flags as f
from runner.cli.printing import print_json, print_text
from runner.cli.requests import app, lasting_flags, request_of, say_if_behind

if TYPE_CHECKING:
    from runner.adapters.report_files import Written


@app.command("report")
def report(
    run: f.Run = None,
    org: f.Org = None,
    sandbox: f.Sandbox = None,
    out: f.Out = None,
    reports: f.Reports = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="also reports that still hold what was erased from the ledger since")
    ] = False,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
) -> int:
    """Write a run's reports again, from the ledger alone.

    Example: coupon-runner report 20261123T031500Z-birthday-4f9a1c
    """
    request = request_of(locals())
    from runner.adapters.report_files import ERASED
    from runner.app.looking import rewrite_reports

    name, written = rewrite_reports(run, request, clock=SystemClock(), over_fuller=replace)
    _print_paths(written, as_json=request.options.json_output)
    why = f"the reports of {name} are written, revision {written.revision}"
    if written.folder.name.endswith(ERASED):
        why += f", to {written.folder}: those that were there still hold what was erased since (--replace)"
    sys.stderr.write(last_line(0, why=why) + "\n")
    return 0


def _print_paths(written: Written, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write((written.folder / "summary.json").read_text(encoding="utf-8"))
    else:
        sys.stdout.write("".join(f"{path}\n" for path in written.files))


def _end_unfound(what: str, following: str) -> int:
    """Nothing to look at is no error, but said. What is found speaks for itself: then stderr stays silent."""
    sys.stderr.write(last_line(0, why=what, next_command=following or None) + "\n")
    return 0


@app.command("runs")
def runs(
    org: f.Org = None,
    last: Annotated[int, typer.Option(min=1, help="how many, the newest first")] = 20,
    sandbox: f.Sandbox = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
) -> int:
    """List the runs, the newest first.

    Example: coupon-runner runs --last 5
    """
    request = request_of(locals())
    from runner.adapters.terminal.screens import width_of
    from runner.adapters.terminal.tables import runs_text
    from runner.app.looking import list_of_runs

    found = list_of_runs(request, clock=SystemClock(), limit=last)
    say_if_behind(request, due=True)
    if request.options.json_output:
        print_json(found)
    elif found:
        print_text(runs_text(found, width=width_of(sys.stdout)))
    return 0 if found else _end_unfound("no run is recorded in this ledger", "")


@app.command("show")
def show(
    run: f.Run = None,
    follow: f.Follow = False,
    org: f.Org = None,
    sandbox: f.Sandbox = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
    progress: f.ProgressFlag = None,
) -> int:
    """Show one run as it stands, while it goes on or after.

    Example: coupon-runner show 20261123T031500Z-birthday-4f9a1c
    """
    request = request_of(locals())
    if follow:
        from runner.cli.following import follow_run

        return follow_run(run, request, options=lasting_flags(request), clock=SystemClock())
    from runner.adapters.terminal.screens import width_of
    from runner.adapters.terminal.tables import show_text
    from runner.app.looking import show_of_run

    found = show_of_run(run, request, clock=SystemClock())
    say_if_behind(request, run=run)
    if request.options.json_output:
        print_json(found)
    else:
        print_text(show_text(found, width=width_of(sys.stdout)))
    return 0


@app.command("find")
def find(
    customer: Annotated[
        str,
        typer.Argument(metavar="CUSTOMER", help="mobile, e-mail, external id, customer id, or a text from a cell"),
    ],
    live: Annotated[
        bool, typer.Option("--live", help="ask the API for her coupons too, each marked ours or not ours")
    ] = False,
    org: f.Org = None,
    region: f.Region = None,
    sandbox: f.Sandbox = None,
    sandbox_config: f.SandboxConfig = None,
    api_url: f.ApiUrl = None,
    rate: f.RateFlag = None,
    timeout: f.Timeout = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
) -> int:
    """Show every row a customer was in, what became of it, and every coupon she got.

    Example: coupon-runner find 919000000001 --live
    """
    request = request_of(locals())
    from runner.adapters.terminal.screens import width_of
    from runner.adapters.terminal.tables import find_text, live_text
    from runner.app.looking import find_of_customer

    found = find_of_customer(customer, request, clock=SystemClock(), live=live)
    say_if_behind(request)
    if found["forgotten"]:
        sys.stderr.write(f"This customer was forgotten on {str(found['forgotten'])[:10]}: nothing more is issued.\n")
    if request.options.json_output:
        print_json(found)
    rows: Any = found["rows"]
    if rows and not request.options.json_output:
        print_text(find_text(rows, width=width_of(sys.stdout)))
    if live and not request.options.json_output:
        print_text("\n" + live_text(found, width=width_of(sys.stdout)))
    if rows:
        return 0
    return _end_unfound(
        "this customer is in no row of any run of the organisation", command_line("runs", *lasting_flags(request))
    )
