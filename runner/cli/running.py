"""The commands of a run: run, plan, resume and abandon."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.adapters.clock import SystemClock
from runner.adapters.terminal.endings import last_line
from runner.cli import flags as f
from runner.cli.ending import end_empty, end_nothing, end_plan, end_run
from runner.cli.requests import app, layers_of, request_of, talk_of
from runner.cli.steering import end_steered
from runner.cli.variables import from_environment
from runner.core.wording import counted
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.app.conversation import Request
    from runner.app.jobs import JobRequest
    from runner.cli.conversation import TerminalConversation


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
            return end_nothing(done, of_job.request)
        return end_run(done, of_job.request, talk, began=began, quiet=quiet)
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
        return end_empty(error, request)
    return end_run(ended, request, talk, began=began, quiet=quiet)


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
        return end_nothing(planned, of_job.request)
    talk.show_plan(planned)
    return end_plan(planned, of_job.request, ["--job", str(job), *(("--date", date) if date is not None else ())])


def _plan(files: list[Path], request: Request, talk: TerminalConversation) -> int:
    from runner.adapters.sheets import EmptyTable
    from runner.app.issuing import plan_files

    try:
        planned = plan_files(files, request, clock=SystemClock(), conversation=talk)
    except EmptyTable as error:
        return end_empty(error, request)
    talk.show_plan(planned)
    return end_plan(planned, request, [str(file) for file in files])


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
    return end_run(ended, request, talk, began=began, quiet=quiet)


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
