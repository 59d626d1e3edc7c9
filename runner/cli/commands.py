"""The commands: each turns its flags into options, calls one function of `runner.app`, and shows what came back."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner import __version__
from runner.adapters.clock import SystemClock
from runner.adapters.terminal.endings import command_line, last_line
from runner.cli import flags as f
from runner.cli.printing import print_json, print_text
from runner.cli.requests import app, lasting_flags, layers_of, request_of, say_if_behind, talk_of
from runner.cli.steering import end_steered
from runner.cli.variables import from_environment
from runner.core.totals import GUARD
from runner.core.wording import counted
from runner.errors import InputRefused, SettingsError, UsageError
from runner.settings import state_folder

if TYPE_CHECKING:
    from runner.adapters.report_files import Written
    from runner.adapters.sheets import EmptyTable
    from runner.app.conversation import Planned, Request
    from runner.app.jobs import JobRequest
    from runner.app.running import Ended
    from runner.cli.conversation import TerminalConversation


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if version:
        sys.stdout.write(f"coupon-runner {__version__}\n")
        raise typer.Exit(0)


def _end(ended: Ended, request: Request, talk: TerminalConversation, *, began: float, quiet: bool) -> int:
    """Show a run's outcome: summary to stderr (or JSON to stdout), then the last line."""
    written = ended.written
    why = ended.why
    from runner.adapters.terminal.summary_view import show_summary
    from runner.app.place import REHEARSAL, code_table
    from runner.core.face_value import values_of_run
    from runner.core.series_list import names_of_record

    if request.options.json_output:
        sys.stdout.write((written.folder / "summary.json").read_text(encoding="utf-8"))
    elif not quiet:
        show_summary(
            written.totals,
            console=talk.console,
            run=ended.run.name,
            campaign=ended.run.campaign,
            org=ended.run.org,
            rehearsal=ended.run.name.startswith(REHEARSAL),
            out=str(written.folder),
            reports=[path.name for path in written.files],
            why=why,
            seconds=time.monotonic() - began,
            codes=code_table(request.options),
            series_names=names_of_record(ended.run.args.get("series_list")),
            values=values_of_run(ended.run.args),
        )
    options = lasting_flags(request)
    if ended.run.name.startswith(REHEARSAL):
        options.append("--sandbox")
    if ended.exit_code == GUARD and "--max-coupons" in why:
        sums = written.totals.coupons  # the cap is remembered: without a higher one the run would stop there again
        options += ["--max-coupons", str(sums.issued - sums.before + sums.in_doubt + sums.missing)]
    if ended.exit_code == GUARD and ended.stop is not None:
        options += ended.stop.go_on
    line = last_line(
        ended.exit_code,
        why=why,
        totals=written.totals,
        run=ended.run.name,
        out=str(written.folder),
        campaign=ended.run.campaign,
        options=options,
        failures=_failures_of(ended),
    )
    sys.stderr.write(line + "\n")
    return ended.exit_code


def _failures_of(ended: Ended) -> str:
    """The file of failures to be corrected: a workbook for whoever brought one, where it was written."""
    workbook = any(file.get("sheet") for file in ended.run.files)
    written = {path.name for path in ended.written.files}
    return "failures.xlsx" if workbook and "failures.xlsx" in written else "failures.csv"


def _end_plan(planned: Planned, request: Request, what: list[str]) -> int:
    """0, or 1 when some rows are rejected, 3 when no row is valid or an overlap would be refused. `what`: to be run."""
    from runner.cli.conversation import plan_document
    from runner.core.checking import MaxRejected

    plan = planned.plan
    document = plan_document(planned) if request.options.json_output else {}
    if plan.rows == plan.rejected:
        raise InputRefused("No row of the input is valid. Correct the rows and plan again.", details=document)
    if not document:
        sys.stdout.write(f"{planned.code}\n")
    if request.options.max_rejected is not None:
        limit = MaxRejected.of(request.options.max_rejected)
        if limit.is_exceeded(plan.rejected, plan.rows):
            raise InputRefused(f"{limit.sentence(plan.rejected, plan.rows)}.", details=document)
    if plan.overlaps and request.options.overlap == "refuse":
        raise InputRefused(
            "Customers hold the same series from another campaign (listed above), and --overlap refuse is set.",
            details=document,
        )
    back = sum(one.orders for one in plan.held_back) if not planned.preflight.ignored else 0
    code = 1 if plan.rejected or back else 0
    words = ["run", *what]
    for name, value in {**request.flags, **planned.intake.asked}.items():
        if name in ("yes", "json", "fresh", "progress", "plan", "probe"):
            continue
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif name == "map":
            pairs = value.splitlines() if isinstance(value, str) else value  # asked, or given
            words += [word for pair in pairs for word in (flag, pair)]
        elif value is not False:
            words += [flag, str(value)]
        elif name == "metadata":
            words.append("--no-metadata")
    why = f"{counted(plan.missing, 'coupon')} would be issued"
    if plan.rejected:
        why = f"{plan.rejected:,} of {counted(plan.rows, 'row')} {'is' if plan.rejected == 1 else 'are'} rejected"
    if back:
        why += f"; {counted(back, 'order')} cannot succeed and would be held back"
    following = command_line(*words, "--plan", planned.code)
    if document:
        print_json({**document, "error": None, "exit_code": code, "next": following})
    sys.stderr.write(last_line(code, why=why, next_command=following) + "\n")
    return code


@app.command("run")
def run(
    context: typer.Context,
    files: f.Files = None,
    job: f.Job = None,
    date: f.Date = None,
    campaign: f.Campaign = None,
    org: f.Org = None,
    series: f.Series = None,
    series_file: f.SeriesFile = None,
    sheet: f.Sheet = None,
    hidden: f.Hidden = None,
    encoding: f.Encoding = None,
    count: f.Count = None,
    map: f.Map = None,  # noqa: A002 - the flag's name
    identify_by: f.IdentifyBy = None,
    fall_back: f.FallBack = None,
    region: f.Region = None,
    phone_format: f.PhoneFormat = None,
    max_per_row: f.MaxPerRow = None,
    short_ids: f.ShortIds = None,
    duplicates: f.DuplicatesFlag = None,
    overlap: f.OverlapFlag = None,
    unfinished: f.Unfinished = None,
    reissue_revoked: f.ReissueRevoked = None,
    ignore_preflight: f.IgnorePreflight = None,
    messages_ok: f.MessagesOk = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="the same as `plan`")] = False,
    plan: f.PlanCode = None,
    yes: f.Yes = None,
    max_rejected: f.MaxRejected = None,
    probe: f.Probe = None,
    max_coupons: f.MaxCoupons = None,
    max_per_customer: f.MaxPerCustomer = None,
    max_value: f.MaxValue = None,
    max_errors: f.MaxErrors = None,
    max_in_doubt: f.MaxInDoubt = None,
    deadline: f.Deadline = None,
    between: f.Between = None,
    timezone: f.Timezone = None,
    canary: f.Canary = None,
    limit: f.Limit = None,
    rate: f.RateFlag = None,
    leave: f.Leave = None,
    concurrency: f.Concurrency = None,
    sandbox: f.Sandbox = None,
    fresh: f.Fresh = None,
    sandbox_config: f.SandboxConfig = None,
    api_url: f.ApiUrl = None,
    same_org: f.SameOrg = None,
    same_api: f.SameApi = None,
    metadata: f.Metadata = None,
    attribution: f.Attribution = None,
    timeout: f.Timeout = None,
    grace: f.Grace = None,
    queue_budget: f.QueueBudget = None,
    reach_budget: f.ReachBudget = None,
    settle_wait: f.SettleWait = None,
    settle_after: f.SettleAfter = None,
    settle_by_time: f.SettleByTime = None,
    out: f.Out = None,
    reports: f.Reports = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
    progress: f.ProgressFlag = None,
    verbose: f.Verbose = 0,
    quiet: f.Quiet = False,
) -> int:
    """Plan, get consent, issue, and account for every row.

    Example: coupon-runner run birthday.csv --campaign birthday-2026-11 --series 415446

    Example of a job: coupon-runner run --job jobs/nightly.toml --yes
    """
    job, date = _job_of(context, files, job, date)
    if job is not None:
        of_job = _job_request(locals())
        began = time.monotonic()
        talk = talk_of(of_job.request, quiet=quiet, verbose=verbose)
        if dry_run:
            return _plan_job(of_job, job, date, talk)
        done = of_job.run(clock=SystemClock(), conversation=talk)
        if isinstance(done, str):
            return _end_nothing(done, of_job.request)
        return _end(done, of_job.request, talk, began=began, quiet=quiet)
    request = request_of(locals())
    began = time.monotonic()
    paths = _paths(files, date)
    talk = talk_of(request, quiet=quiet, verbose=verbose)
    if dry_run:
        return _plan(paths, request, talk)
    from runner.adapters.sheets import EmptyTable
    from runner.app.issuing import run_files

    try:
        _, ended = run_files(paths, request, clock=SystemClock(), conversation=talk)
    except EmptyTable as error:
        return _end_empty(error, request)
    return _end(ended, request, talk, began=began, quiet=quiet)


@app.command("plan")
def plan(
    context: typer.Context,
    files: f.Files = None,
    job: f.Job = None,
    date: f.Date = None,
    campaign: f.Campaign = None,
    org: f.Org = None,
    series: f.Series = None,
    series_file: f.SeriesFile = None,
    sheet: f.Sheet = None,
    hidden: f.Hidden = None,
    encoding: f.Encoding = None,
    count: f.Count = None,
    map: f.Map = None,  # noqa: A002 - the flag's name
    identify_by: f.IdentifyBy = None,
    fall_back: f.FallBack = None,
    region: f.Region = None,
    phone_format: f.PhoneFormat = None,
    max_per_row: f.MaxPerRow = None,
    short_ids: f.ShortIds = None,
    duplicates: f.DuplicatesFlag = None,
    overlap: f.OverlapFlag = None,
    unfinished: f.Unfinished = None,
    reissue_revoked: f.ReissueRevoked = None,
    ignore_preflight: f.IgnorePreflight = None,
    messages_ok: f.MessagesOk = None,
    max_rejected: f.MaxRejected = None,
    probe: f.Probe = None,
    max_coupons: f.MaxCoupons = None,
    max_per_customer: f.MaxPerCustomer = None,
    max_value: f.MaxValue = None,
    max_errors: f.MaxErrors = None,
    max_in_doubt: f.MaxInDoubt = None,
    deadline: f.Deadline = None,
    between: f.Between = None,
    timezone: f.Timezone = None,
    canary: f.Canary = None,
    limit: f.Limit = None,
    rate: f.RateFlag = None,
    leave: f.Leave = None,
    concurrency: f.Concurrency = None,
    sandbox: f.Sandbox = None,
    fresh: f.Fresh = None,
    sandbox_config: f.SandboxConfig = None,
    api_url: f.ApiUrl = None,
    same_org: f.SameOrg = None,
    same_api: f.SameApi = None,
    metadata: f.Metadata = None,
    attribution: f.Attribution = None,
    timeout: f.Timeout = None,
    grace: f.Grace = None,
    queue_budget: f.QueueBudget = None,
    reach_budget: f.ReachBudget = None,
    settle_wait: f.SettleWait = None,
    settle_after: f.SettleAfter = None,
    settle_by_time: f.SettleByTime = None,
    out: f.Out = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
    verbose: f.Verbose = 0,
    quiet: f.Quiet = False,
) -> int:
    """Say what a run would do, and send nothing.

    Prints a plan code, which `run --plan` takes as consent to exactly this.

    Example: coupon-runner plan birthday.csv --campaign birthday-2026-11 --series 415446
    """
    job, date = _job_of(context, files, job, date)
    if job is not None:
        of_job = _job_request(locals())
        return _plan_job(of_job, job, date, talk_of(of_job.request, quiet=quiet, verbose=verbose))
    request = request_of(locals())
    return _plan(_paths(files, date), request, talk_of(request, quiet=quiet, verbose=verbose))


def _job_of(
    context: typer.Context, files: list[Path] | None, job: Path | None, date: str | None
) -> tuple[Path | None, str | None]:
    """The job and its date; one that is named by a variable gives way to files on the command line."""
    if files and job is not None and from_environment(context, "job"):
        job = None
    if job is None and date is not None and from_environment(context, "date"):
        date = None
    return job, date


def _job_request(given: dict[str, Any]) -> JobRequest:
    """What a command with `--job` asks for."""
    if given["files"]:
        raise UsageError("Give files or --job, not both: the job names its own input.")
    flags, environment, path = layers_of(given)
    from runner.app.jobs import request_of_job

    return request_of_job(
        given["job"], given["date"], flags=flags, environment=environment, settings=path, clock=SystemClock()
    )


def _paths(files: list[Path] | None, date: str | None) -> list[Path]:
    """The files of a command without `--job`."""
    if not files:
        raise UsageError("Name a file to issue, or a job with --job JOB.toml.")
    if date is not None:
        raise UsageError("--date is for a job: give it with --job JOB.toml.")
    return files


def _plan_job(of_job: JobRequest, job: Path, date: str | None, talk: TerminalConversation) -> int:
    planned = of_job.plan(clock=SystemClock(), conversation=talk)
    if isinstance(planned, str):
        return _end_nothing(planned, of_job.request)
    talk.show_plan(planned)
    return _end_plan(planned, of_job.request, ["--job", str(job), *(("--date", date) if date is not None else ())])


def _end_nothing(why: str, request: Request) -> int:
    """Nothing to do is no failure of this job: said plainly."""
    if request.options.json_output:
        print_json({"run": None, "exit_code": 0, "reason": why})
    sys.stderr.write(last_line(0, why=why) + "\n")
    return 0


def _end_empty(error: EmptyTable, request: Request) -> int:
    """Our own file without a row says that all is well; anybody else's was probably exported wrongly."""
    if not error.ours:
        raise error
    return _end_nothing(error.message, request)


def _plan(files: list[Path], request: Request, talk: TerminalConversation) -> int:
    from runner.adapters.sheets import EmptyTable
    from runner.app.issuing import plan_files

    try:
        planned = plan_files(files, request, clock=SystemClock(), conversation=talk)
    except EmptyTable as error:
        return _end_empty(error, request)
    talk.show_plan(planned)
    return _end_plan(planned, request, [str(file) for file in files])


@app.command("resume")
def resume(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="run id (default: the newest unfinished one)", show_default=False),
    ] = None,
    org: f.Org = None,
    yes: f.YesResume = None,
    max_coupons: f.MaxCoupons = None,
    max_per_customer: f.MaxPerCustomer = None,
    max_value: f.MaxValue = None,
    max_errors: f.MaxErrors = None,
    max_in_doubt: f.MaxInDoubt = None,
    deadline: f.Deadline = None,
    between: f.Between = None,
    timezone: f.Timezone = None,
    canary: f.Canary = None,
    ignore_preflight: f.IgnorePreflight = None,
    messages_ok: f.MessagesOk = None,
    limit: f.Limit = None,
    rate: f.RateFlag = None,
    leave: f.Leave = None,
    concurrency: f.Concurrency = None,
    sandbox: f.Sandbox = None,
    sandbox_config: f.SandboxConfig = None,
    api_url: f.ApiUrl = None,
    same_org: f.SameOrg = None,
    timeout: f.Timeout = None,
    grace: f.Grace = None,
    queue_budget: f.QueueBudget = None,
    reach_budget: f.ReachBudget = None,
    settle_wait: f.SettleWait = None,
    settle_after: f.SettleAfter = None,
    settle_by_time: f.SettleByTime = None,
    reports: f.Reports = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
    progress: f.ProgressFlag = None,
    verbose: f.Verbose = 0,
    quiet: f.Quiet = False,
) -> int:
    """Go on with an unfinished run, without its file; a live one that was paused goes on in its own process.

    Example: coupon-runner resume 20261123T031500Z-birthday-4f9a1c
    """
    request = request_of(locals())
    began = time.monotonic()
    talk = talk_of(request, quiet=quiet, verbose=verbose)
    from runner.app.resuming import resume_run
    from runner.app.steering import unpause

    if (steered := unpause(run, request, clock=SystemClock())) is not None:
        return end_steered(steered, request)
    ended = resume_run(run, request, clock=SystemClock(), conversation=talk)
    return _end(ended, request, talk, began=began, quiet=quiet)


@app.command("abandon")
def abandon(
    run: Annotated[str, typer.Argument(metavar="RUN", help="run id")],
    why: Annotated[str, typer.Option(metavar="TEXT", help="the reason, for the record")],
    org: f.Org = None,
    sandbox: f.Sandbox = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
) -> int:
    """End an unfinished run for good. What it issued, and what is in doubt, stays as it is.

    Example: coupon-runner abandon 20261123T031500Z-birthday-4f9a1c --why "wrong list"
    """
    request = request_of(locals())
    from runner.app.resuming import abandon_run

    ended = abandon_run(run, why, request, clock=SystemClock())
    if request.options.json_output:
        sys.stdout.write((ended.written.folder / "summary.json").read_text(encoding="utf-8"))
    left = ended.written.totals.coupons.missing
    sys.stderr.write(
        last_line(0, why=f"{ended.run.name} is abandoned; {counted(left, 'coupon')} of it will not be issued") + "\n"
    )
    return 0


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


@app.command("init")
def init(
    org: f.Org = None,
    api_url: f.ApiUrl = None,
    region: f.Region = None,
    rate: f.RateFlag = None,
    same_api: f.SameApi = None,
    out: f.Out = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
    job_name: Annotated[
        str | None, typer.Option("--job", metavar="NAME", help="write jobs/NAME.toml instead, every key explained")
    ] = None,
) -> int:
    """Create settings and ledger for an organisation. Running it again changes nothing.

    Example: coupon-runner init --org acme --api-url https://eu.api.capillarytech.com --region IN

    Example of a job: coupon-runner init --job birthday
    """
    request = request_of(locals())
    from runner.app.jobs import init_job
    from runner.app.setup import init_org

    if job_name is not None:
        written = init_job(job_name, request, folder=Path())
        if request.options.json_output:
            print_json({"job": job_name, "file": str(written)})
        else:
            sys.stdout.write(f"job       {written}\n")
        following = command_line("plan", "--job", str(written))
        sys.stderr.write(last_line(0, why=f"{written} is written; edit it", next_command=following) + "\n")
        return 0
    made = init_org(request, clock=SystemClock(), conversation=talk_of(request))
    document = {
        "org": made.org,
        "settings": str(made.settings),
        "ledger": str(made.ledger),
        "ledger_created": made.ledger_created,
        "settings_written": made.settings_written,
        "default": made.default,
    }
    if request.options.json_output:
        print_json(document)
    else:
        sys.stdout.write(
            f"ledger    {made.ledger}{' (new)' if made.ledger_created else ''}\nsettings  {made.settings}\n"
        )
    words = "; set COUPON_RUNNER_API_KEY and COUPON_RUNNER_API_SECRET (or _API_USER and _API_PASSWORD) next"
    following = last_line(0, why=f"{made.org} is set up{words}", next_command="coupon-runner plan FILE --campaign NAME")
    sys.stderr.write(following + "\n")
    return 0


@app.command("sandbox")
def sandbox(
    port: Annotated[int, typer.Option(help="port to listen on; 0: any free one")] = 8765,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="makes codes and chances repeatable")] = 0,
    chaos: Annotated[
        int | None, typer.Option(metavar="SEED", help="a mix of all faults at random, by this seed")
    ] = None,
    sandbox_config: f.SandboxAnswers = None,
    truth: Annotated[Path | None, typer.Option(help="file of its truth (default: in the user's state folder)")] = None,
    like_live: f.LikeLive = False,
    series: f.LiveSeries = None,
    api_url: f.ApiUrl = None,
    org: f.Org = None,
    settings: f.Settings = None,
    print_config: f.PrintConfig = False,
    openapi: f.PrintOpenApi = False,
    json_output: Annotated[bool, typer.Option("--json", help="its address as one line of JSON on stdout")] = False,
) -> int:
    """Serve the API on this machine, to rehearse and test against. GET /_truth tells who holds what.

    Example: coupon-runner sandbox --port 8765 --chaos 7

    Example: coupon-runner sandbox --like-live --series 415446,535521
    """
    from runner.sandbox import (  # the other commands do without it
        SandboxConfigError,
        TruthError,
        describe,
        load_config,
        serve,
    )

    given = {"series": series, "api_url": api_url, "org": org, "settings": settings}
    request = request_of({**given, "sandbox_config": sandbox_config, "json_output": json_output or None})
    sandbox_config, json_output = request.options.sandbox_config, request.options.json_output
    copied = None
    from runner.app.like_live import copy_live_series

    if like_live:
        copied = copy_live_series(request.options, request.environment, clock=SystemClock())
        for note in copied.notes:
            sys.stderr.write(f"{note}\n")
    elif series is not None or print_config:
        raise UsageError("--series and --print-config go with --like-live, which copies real series' settings.")
    if copied is not None and print_config:
        sys.stdout.write(copied.as_toml())
        return 0
    if openapi:
        try:
            print_json(describe(load_config(sandbox_config, beneath=copied.config if copied else None), chaos=chaos))
        except SandboxConfigError as error:
            raise SettingsError(str(error)) from None
        return 0
    path = truth or state_folder(os.environ) / "sandbox" / "truth.db"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def ready(url: str) -> None:
        if json_output:
            print_json({"url": url, "truth": str(path)}, one_line=True)
        else:
            sys.stdout.write(f"{url}\n")
            sys.stdout.flush()
        sys.stderr.write(f"the sandbox serves {url}; its truth is {path} and {url}/_truth; Ctrl-C ends it\n")

    try:
        serve(
            truth_path=path,
            config=load_config(sandbox_config, beneath=copied.config if copied else None),
            seed=seed,
            chaos=chaos,
            host=host,
            port=port,
            code_prefix="",
            on_ready=ready,
        )
    except (SandboxConfigError, TruthError) as error:
        raise SettingsError(str(error)) from None
    except OSError as error:
        raise SettingsError(
            f"The sandbox cannot listen on {host} port {port}: {error.strerror}. Choose another --port."
        ) from None
    return 0
