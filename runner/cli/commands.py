"""The commands: each turns its flags into options, calls one function of `runner.app`, and shows what came back."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from runner import __version__
from runner.adapters.clock import SystemClock
from runner.adapters.report_files import Written
from runner.adapters.terminal.endings import command_line, last_line
from runner.adapters.terminal.screens import put_all, screen_for, width_of
from runner.adapters.terminal.summary_view import show_summary
from runner.adapters.terminal.tables import find_text, runs_text, show_text
from runner.app.issuing import Planned, Request, abandon_run, plan_files, resume_run, run_files
from runner.app.jobs import JobRequest, init_job, request_of_job
from runner.app.looking import find_of_customer, list_of_runs, rewrite_reports, show_of_run
from runner.app.place import REHEARSAL, code_table, place_of
from runner.app.running import Ended
from runner.app.setup import init_org
from runner.cli import flags as f
from runner.cli.conversation import TerminalConversation, plan_document
from runner.core.totals import GUARD
from runner.errors import InputRefused, SettingsError, UsageError
from runner.settings import resolve, settings_path, state_folder

app = typer.Typer(
    name="coupon-runner",
    help="Issue coupons from spreadsheets: each coupon exactly once, and the truth about every row.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

_NOT_OPTIONS = frozenset({"files", "run", "why", "settings", "verbose", "quiet", "customer", "last", "dry_run"}) | {
    *("job", "job_name", "date"),
}


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if version:
        sys.stdout.write(f"coupon-runner {__version__}\n")
        raise typer.Exit(0)


def _request(given: dict[str, Any]) -> Request:
    """The options of a command: its parameters as they were given, over environment and settings file."""
    flags, environment, path = _layers(given)
    return Request(options=resolve(flags, environment, path), flags=flags, environment=environment, settings=path)


def _layers(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str], Path]:
    """Flags, environment and the path of the settings file."""
    environment = dict(os.environ)
    flags = {name: value for name, value in given.items() if name not in _NOT_OPTIONS and value is not None}
    if "json_output" in flags:
        flags["json"] = flags.pop("json_output")
    return flags, environment, settings_path(given.get("settings"), environment)


def _talk(request: Request, *, quiet: bool = False, verbose: int = 0) -> TerminalConversation:
    talk = TerminalConversation(request.options, code_table(request.options), quiet=quiet)
    if verbose:
        talk.show_place(request.settings, place_of(request.options, request.environment))
    return talk


def _print_json(document: object) -> None:
    sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")


def _print_text(text: str) -> None:
    put_all(screen_for(sys.stdout), text.splitlines())


def _lasting(request: Request) -> list[str]:
    """The flags that a suggested command needs as well, to meet the same ledger and organisation."""
    given = dict(request.flags)
    if request.job is not None and not request.options.sandbox:
        given.setdefault("org", request.options.org)
    return [
        word
        for name in ("ledger", "org", "settings")
        if (value := given.get(name)) is not None
        for word in (f"--{name}", str(value))
    ]


def _end(ended: Ended, request: Request, talk: TerminalConversation, *, began: float, quiet: bool) -> int:
    """Show a run's outcome: summary to stderr (or JSON to stdout), then the last line."""
    written = ended.written
    why = ended.why
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
        )
    options = _lasting(request)
    if ended.run.name.startswith(REHEARSAL):
        options.append("--sandbox")
    if ended.exit_code == GUARD and "--max-coupons" in why:
        sums = written.totals.coupons  # the cap is remembered: without a higher one the run would stop there again
        options += ["--max-coupons", str(sums.issued - sums.before + sums.in_doubt + sums.missing)]
    line = last_line(
        ended.exit_code,
        why=why,
        totals=written.totals,
        run=ended.run.name,
        out=str(written.folder),
        campaign=ended.run.campaign,
        options=options,
    )
    sys.stderr.write(line + "\n")
    return ended.exit_code


def _end_plan(planned: Planned, request: Request, what: list[str]) -> int:
    """0, or 1 when some rows are rejected, 3 when no row is valid or an overlap would be refused. `what`: to be run."""
    plan = planned.plan
    if plan.rows == plan.rejected:
        raise InputRefused("No row of the input is valid. Correct the rows and plan again.")
    if request.options.json_output:
        _print_json(plan_document(planned))
    else:
        sys.stdout.write(f"{planned.code}\n")
    if plan.overlaps and request.options.overlap == "refuse":
        raise InputRefused(
            "Customers hold the same series from another campaign (listed above), and --overlap refuse is set."
        )
    code = 1 if plan.rejected else 0
    words = ["run", *what]
    for name, value in {**request.flags, **planned.intake.asked}.items():
        if name in ("yes", "json", "fresh", "progress", "plan"):
            continue
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif name == "map":
            words += [word for pair in value for word in (flag, pair)]
        elif value is not False:
            words += [flag, str(value)]
    why = (
        f"{plan.rejected:,} of {plan.rows:,} rows are rejected" if code else f"{plan.missing:,} coupons would be issued"
    )
    following = last_line(code, why=why, next_command=command_line(*words, "--plan", planned.code))
    sys.stderr.write(following + "\n")
    return code


@app.command("run")
def run(
    files: f.Files = None,
    job: f.Job = None,
    date: f.Date = None,
    campaign: f.Campaign = None,
    org: f.Org = None,
    series: f.Series = None,
    series_file: f.SeriesFile = None,
    sheet: f.Sheet = None,
    hidden: f.Hidden = None,
    count: f.Count = None,
    map: f.Map = None,  # noqa: A002 - the flag's name
    identify_by: f.IdentifyBy = None,
    region: f.Region = None,
    duplicates: f.DuplicatesFlag = None,
    overlap: f.OverlapFlag = None,
    unfinished: f.Unfinished = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="the same as `plan`")] = False,
    plan: f.PlanCode = None,
    yes: f.Yes = None,
    max_coupons: f.MaxCoupons = None,
    limit: f.Limit = None,
    rate: f.RateFlag = None,
    concurrency: f.Concurrency = None,
    sandbox: f.Sandbox = None,
    fresh: f.Fresh = None,
    sandbox_config: f.SandboxConfig = None,
    api_url: f.ApiUrl = None,
    same_org: f.SameOrg = None,
    metadata: f.Metadata = None,
    attribution: f.Attribution = None,
    timeout: f.Timeout = None,
    grace: f.Grace = None,
    queue_budget: f.QueueBudget = None,
    reach_budget: f.ReachBudget = None,
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
    if job is not None:
        of_job = _job_request(locals())
        began = time.monotonic()
        talk = _talk(of_job.request, quiet=quiet, verbose=verbose)
        if dry_run:
            return _plan_job(of_job, job, date, talk)
        done = of_job.run(clock=SystemClock(), conversation=talk)
        if isinstance(done, str):
            return _end_nothing(done, of_job.request)
        return _end(done, of_job.request, talk, began=began, quiet=quiet)
    request = _request(locals())
    began = time.monotonic()
    paths = _paths(files, date)
    talk = _talk(request, quiet=quiet, verbose=verbose)
    if dry_run:
        return _plan(paths, request, talk)
    _, ended = run_files(paths, request, clock=SystemClock(), conversation=talk)
    return _end(ended, request, talk, began=began, quiet=quiet)


@app.command("plan")
def plan(
    files: f.Files = None,
    job: f.Job = None,
    date: f.Date = None,
    campaign: f.Campaign = None,
    org: f.Org = None,
    series: f.Series = None,
    series_file: f.SeriesFile = None,
    sheet: f.Sheet = None,
    hidden: f.Hidden = None,
    count: f.Count = None,
    map: f.Map = None,  # noqa: A002 - the flag's name
    identify_by: f.IdentifyBy = None,
    region: f.Region = None,
    duplicates: f.DuplicatesFlag = None,
    overlap: f.OverlapFlag = None,
    unfinished: f.Unfinished = None,
    max_coupons: f.MaxCoupons = None,
    limit: f.Limit = None,
    rate: f.RateFlag = None,
    concurrency: f.Concurrency = None,
    sandbox: f.Sandbox = None,
    fresh: f.Fresh = None,
    sandbox_config: f.SandboxConfig = None,
    api_url: f.ApiUrl = None,
    same_org: f.SameOrg = None,
    metadata: f.Metadata = None,
    attribution: f.Attribution = None,
    timeout: f.Timeout = None,
    grace: f.Grace = None,
    queue_budget: f.QueueBudget = None,
    reach_budget: f.ReachBudget = None,
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
    if job is not None:
        of_job = _job_request(locals())
        return _plan_job(of_job, job, date, _talk(of_job.request, quiet=quiet, verbose=verbose))
    request = _request(locals())
    return _plan(_paths(files, date), request, _talk(request, quiet=quiet, verbose=verbose))


def _job_request(given: dict[str, Any]) -> JobRequest:
    """What a command with `--job` asks for."""
    if given["files"]:
        raise UsageError("Give files or --job, not both: the job names its own input.")
    flags, environment, path = _layers(given)
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
        _print_json({"run": None, "exit_code": 0, "reason": why})
    sys.stderr.write(last_line(0, why=why) + "\n")
    return 0


def _plan(files: list[Path], request: Request, talk: TerminalConversation) -> int:
    planned = plan_files(files, request, clock=SystemClock(), conversation=talk)
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
    limit: f.Limit = None,
    rate: f.RateFlag = None,
    concurrency: f.Concurrency = None,
    sandbox: f.Sandbox = None,
    sandbox_config: f.SandboxConfig = None,
    api_url: f.ApiUrl = None,
    same_org: f.SameOrg = None,
    timeout: f.Timeout = None,
    grace: f.Grace = None,
    queue_budget: f.QueueBudget = None,
    reach_budget: f.ReachBudget = None,
    reports: f.Reports = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
    progress: f.ProgressFlag = None,
    verbose: f.Verbose = 0,
    quiet: f.Quiet = False,
) -> int:
    """Go on with an unfinished run, without its file.

    Example: coupon-runner resume 20261123T031500Z-birthday-4f9a1c
    """
    request = _request(locals())
    began = time.monotonic()
    talk = _talk(request, quiet=quiet, verbose=verbose)
    ended = resume_run(run, request, clock=SystemClock(), conversation=talk)
    return _end(ended, request, talk, began=began, quiet=quiet)


@app.command("abandon")
def abandon(
    run: Annotated[str, typer.Argument(metavar="RUN", help="run id")],
    why: Annotated[str, typer.Option(metavar="TEXT", help="the reason, for the record")],
    sandbox: f.Sandbox = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
) -> int:
    """End an unfinished run for good. What it issued, and what is in doubt, stays as it is.

    Example: coupon-runner abandon 20261123T031500Z-birthday-4f9a1c --why "wrong list"
    """
    request = _request(locals())
    ended = abandon_run(run, why, request, clock=SystemClock())
    if request.options.json_output:
        sys.stdout.write((ended.written.folder / "summary.json").read_text(encoding="utf-8"))
    left = ended.written.totals.coupons.missing
    sys.stderr.write(
        last_line(0, why=f"{ended.run.name} is abandoned; {left:,} coupons of it will not be issued") + "\n"
    )
    return 0


@app.command("report")
def report(
    run: f.Run = None,
    sandbox: f.Sandbox = None,
    out: f.Out = None,
    reports: f.Reports = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
) -> int:
    """Write a run's reports again, from the ledger alone.

    Example: coupon-runner report 20261123T031500Z-birthday-4f9a1c
    """
    request = _request(locals())
    name, written = rewrite_reports(run, request, clock=SystemClock())
    _print_paths(written, as_json=request.options.json_output)
    sys.stderr.write(last_line(0, why=f"the reports of {name} are written, revision {written.revision}") + "\n")
    return 0


def _print_paths(written: Written, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write((written.folder / "summary.json").read_text(encoding="utf-8"))
    else:
        sys.stdout.write("".join(f"{path}\n" for path in written.files))


@app.command("runs")
def runs(
    org: f.Org = None,
    last: Annotated[int, typer.Option(help="how many, the newest first")] = 20,
    sandbox: f.Sandbox = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
) -> int:
    """List the runs, the newest first.

    Example: coupon-runner runs --last 5
    """
    request = _request(locals())
    found = list_of_runs(request, clock=SystemClock(), limit=last)
    if request.options.json_output:
        _print_json(found)
    else:
        _print_text(runs_text(found, width=width_of(sys.stdout)))
    return 0


@app.command("show")
def show(
    run: f.Run = None,
    sandbox: f.Sandbox = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
) -> int:
    """Show one run as it stands, while it goes on or after.

    Example: coupon-runner show 20261123T031500Z-birthday-4f9a1c
    """
    request = _request(locals())
    found = show_of_run(run, request, clock=SystemClock())
    if request.options.json_output:
        _print_json(found)
    else:
        _print_text(show_text(found, width=width_of(sys.stdout)))
    return 0


@app.command("find")
def find(
    customer: Annotated[
        str,
        typer.Argument(metavar="CUSTOMER", help="mobile, e-mail, external id, customer id, or a text from a cell"),
    ],
    org: f.Org = None,
    region: f.Region = None,
    sandbox: f.Sandbox = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
) -> int:
    """Show every row a customer was in, what became of it, and every coupon she got.

    Example: coupon-runner find 919000000001
    """
    request = _request(locals())
    found = find_of_customer(customer, request, clock=SystemClock())
    if request.options.json_output:
        _print_json(found)
    elif found["rows"]:
        rows: Any = found["rows"]
        _print_text(find_text(rows, width=width_of(sys.stdout)))
    else:
        sys.stderr.write("This customer is in no row of any run of the organisation.\n")
    return 0


@app.command("init")
def init(
    org: f.Org = None,
    api_url: f.ApiUrl = None,
    region: f.Region = None,
    rate: f.RateFlag = None,
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
    request = _request(locals())
    if job_name is not None:
        written = init_job(job_name, request, folder=Path())
        if request.options.json_output:
            _print_json({"job": job_name, "file": str(written)})
        else:
            sys.stdout.write(f"job       {written}\n")
        following = command_line("plan", "--job", str(written))
        sys.stderr.write(last_line(0, why=f"{written} is written; edit it", next_command=following) + "\n")
        return 0
    made = init_org(request, clock=SystemClock(), conversation=_talk(request))
    document = {
        "org": made.org,
        "settings": str(made.settings),
        "ledger": str(made.ledger),
        "ledger_created": made.ledger_created,
        "default": made.default,
    }
    if request.options.json_output:
        _print_json(document)
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
) -> int:
    """Serve the API on this machine, to rehearse and test against. GET /_truth tells who holds what.

    Example: coupon-runner sandbox --port 8765 --chaos 7
    """
    from runner.sandbox import SandboxConfigError, TruthError, load_config, serve  # the other commands do without it

    path = truth or state_folder(os.environ) / "sandbox" / "truth.db"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def ready(url: str) -> None:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        sys.stderr.write(f"the sandbox serves {url}; its truth is {path} and {url}/_truth; Ctrl-C ends it\n")

    try:
        serve(
            truth_path=path,
            config=load_config(sandbox_config),
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
