"""Words → functions. The one place where an exception becomes a sentence and an exit code.

Data goes to stdout; the plan, progress and messages to stderr. The last line on stderr says why the exit code is what it is,
and the exact command to run next.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import click
import orjson
import typer
from click.core import ParameterSource
from rich.console import Console

from runner import __version__
from runner.errors import CouponRunnerError, UsageError
from runner.settings import Options, resolve, settings_path

app = typer.Typer(
    name="coupon-runner",
    help="Issue coupons from spreadsheets: each coupon exactly once, and the truth about every row.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

FILES = "Input"
WHO = "Customers and campaign"
SAFETY = "Consent and bounds"
API = "API"
OUTPUT = "Output"

Settings = Annotated[Path | None, typer.Option("--settings", help="settings file (default: the user's config folder)")]
Org = Annotated[str | None, typer.Option(help="the organisation whose customers these are")]
Ledger = Annotated[str | None, typer.Option(help="path or sqlite:///path of the ledger (default: the user's state folder)")]
Campaign = Annotated[str | None, typer.Option(help="each customer counts once per series within it")]
Series = Annotated[str | None, typer.Option(metavar="ID[,ID]", help="series for rows without a series column")]
Count = Annotated[int | None, typer.Option(help="coupons per row and series without a count (default 1)")]
Map = Annotated[
    list[str] | None,
    typer.Option(metavar="ROLE=HEADING", help='which column is what, e.g. --map mobile="Ph No"; may be repeated'),
]
IdentifyBy = Annotated[
    str | None, typer.Option(metavar="KIND[,KIND]", help="the identifier that is sent: mobile, email or externalId")
]
Region = Annotated[str | None, typer.Option(help="country of mobiles written without country code, e.g. IN")]
DuplicatesFlag = Annotated[
    str | None, typer.Option("--duplicates", metavar="agree|add", help="same customer and series twice: must agree, or add up")
]
OverlapFlag = Annotated[
    str | None,
    typer.Option("--overlap", metavar="ask|refuse|skip|allow", help="customers who hold the series from another campaign"),
]
Unfinished = Annotated[
    str | None,
    typer.Option(metavar="resume|abandon|refuse", help="what to do first with the campaign's unfinished run (default resume)"),
]
Limit = Annotated[int | None, typer.Option(help="at most N orders now, the rest later (exit 75)")]
RateFlag = Annotated[str | None, typer.Option("--rate", metavar="N/s|m|h", help="pace of all calls (default 100/m; none on loopback)")]
Concurrency = Annotated[int | None, typer.Option(help="calls in flight at most (default 16)")]
MaxCoupons = Annotated[int | None, typer.Option(help="cap: this run and its resumes never issue more (exit 4)")]
ApiUrl = Annotated[str | None, typer.Option(help="address of the API, e.g. https://eu.api.capillarytech.com")]
Sandbox = Annotated[
    bool | None,
    typer.Option("--sandbox", "--rehearse", help="rehearse against an API on this machine; nothing real is issued"),
]
Fresh = Annotated[bool | None, typer.Option("--fresh", help="with --sandbox: forget all earlier rehearsals first")]
SandboxConfig = Annotated[Path | None, typer.Option(help="with --sandbox: answers and faults by series or customer (TOML)")]
SameOrg = Annotated[bool | None, typer.Option("--same-org", help="the address or credentials changed, the customers did not")]
Metadata = Annotated[bool | None, typer.Option("--metadata/--no-metadata", help="send the call's key as metadata (default yes)")]
Attribution = Annotated[str | None, typer.Option(metavar="TYPE=CODE", help="attribute the issue, e.g. TILL=till.01")]
Timeout = Annotated[str | None, typer.Option(metavar="60s", help="deadline of a call; one that passes is in doubt")]
Grace = Annotated[str | None, typer.Option(metavar="25s", help="after the first Ctrl-C, for calls in flight")]
QueueBudget = Annotated[str | None, typer.Option(metavar="3h", help="give a series up after so long without a coupon")]
ReachBudget = Annotated[str | None, typer.Option(metavar="10m", help="give the API up after so long out of reach")]
Out = Annotated[Path | None, typer.Option(help="folder of the reports (default ./coupon-runs)")]
PlanCode = Annotated[str | None, typer.Option("--plan", metavar="CODE", help="consent to exactly this plan")]
Yes = Annotated[bool | None, typer.Option("--yes", "-y", help="do not ask; without a terminal a cap or plan code is needed too")]
Json = Annotated[bool | None, typer.Option("--json", help="data as JSON on stdout")]
ProgressFlag = Annotated[str | None, typer.Option("--progress", metavar="auto|bar|plain|json|none", help="how a live run is shown")]
Verbose = Annotated[int, typer.Option("--verbose", "-v", count=True, help="say more")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="only the last line")]
Files = Annotated[list[Path], typer.Argument(metavar="FILE…", help="CSV files", show_default=False)]


def main() -> None:
    """The console script."""
    raise SystemExit(run_command(sys.argv[1:]))


def run_command(arguments: Sequence[str]) -> int:
    """Run one command; every error ends as a sentence on stderr and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a Windows console without UTF-8 must not end a run
    try:
        result = app(list(arguments), prog_name="coupon-runner", standalone_mode=False)
        return int(result) if isinstance(result, int) else 0
    except CouponRunnerError as error:
        return _say_error(error.message, error.exit_code, error.next_command)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 2
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        usage = f"{context.command_path} --help" if context is not None else "coupon-runner --help"
        return _say_error(error.format_message(), 2, usage)
    except click.exceptions.Exit as error:
        return int(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _say_error("Stopped before anything was sent.", 130, None)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _say_error(message: str, code: int, next_command: str | None) -> int:
    following = f" Next: {next_command}" if next_command else ""
    print(f"exit {code}: {message}{following}", file=sys.stderr)
    return code
