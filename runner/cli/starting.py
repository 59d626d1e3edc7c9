"""The commands to begin with: --version, init, and the sandbox as a server."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner import __version__
from runner.adapters.clock import SystemClock
from runner.adapters.terminal.endings import command_line, last_line
from runner.cli import flags as f
from runner.cli.printing import print_json
from runner.cli.requests import app, request_of, talk_of
from runner.errors import SettingsError, UsageError
from runner.settings import state_folder

if TYPE_CHECKING:
    pass


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if version:
        sys.stdout.write(f"coupon-runner {__version__}\n")
        raise typer.Exit(0)


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
