"""The commands about this machine: `doctor` looks whether all is well, `completion` teaches a shell the words."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.adapters.clock import SystemClock
from runner.adapters.terminal.endings import PROGRAM, command_line, last_line
from runner.cli import flags as f
from runner.cli.printing import print_json
from runner.cli.requests import app
from runner.settings import settings_path

if TYPE_CHECKING:
    from runner.core.checks import Check

_HEADINGS = {
    "crontab": "crontab (crontab -e)",
    "systemd_service": "systemd, the service",
    "systemd_timer": "systemd, the timer",
    "kubernetes": "Kubernetes",
}


@app.command("doctor")
def doctor(
    job: Annotated[
        Path | None,
        typer.Option("--job", metavar="JOB.toml", help="check this job, and print how to start it every day"),
    ] = None,
    org: f.Org = None,
    api_url: f.ApiUrl = None,
    out: f.Out = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
) -> int:
    """Check settings, ledger, disk, clock, credentials and reach of the API; say what to do. Changes nothing.

    The credentials are tried with a GET. Ends with 0, or with 2 when something fails.

    Example: coupon-runner doctor

    Example of a job, with crontab, systemd and Kubernetes: coupon-runner doctor --job jobs/nightly.toml
    """
    environment = dict(os.environ)
    given: dict[str, Any] = {"org": org, "api_url": api_url, "out": out, "ledger": ledger, "json": json_output}
    flags = {name: value for name, value in given.items() if value is not None}
    from runner.adapters.terminal.doctor_view import checks_sum, checks_text
    from runner.adapters.terminal.screens import put_all, screen_for, width_of
    from runner.app.doctor import examine
    from runner.app.unattended import snippets_of
    from runner.core.checks import exit_of

    found = examine(flags, environment, settings_path(settings, environment), job=job, clock=SystemClock())
    snippets: dict[str, str] = {}
    if found.request is not None and found.job is not None:
        commands = {info.name for info in app.registered_commands}
        snippets = snippets_of(found.job, found.request, reconcile="reconcile" in commands)
    code = exit_of(found.checks)
    following, when = _next(found.checks, code, {**flags, "settings": settings, "job": job, "json": None})
    as_json = found.request.options.json_output if found.request is not None else json_output
    if as_json:
        print_json(
            {
                "checks": [check._asdict() for check in found.checks],
                "snippets": snippets or None,
                "exit_code": code,
                "next": following,
            }
        )
    else:
        # With a job the snippets are the data, and the checks a message beside them.
        stream = sys.stderr if snippets else sys.stdout
        put_all(screen_for(stream), checks_text(found.checks, width=width_of(stream)).splitlines())
        _print_snippets(snippets)
    sys.stderr.write(last_line(code, why=checks_sum(found.checks), next_command=following, next_when=when) + "\n")
    return code


def _next(checks: Sequence[Check], code: int, given: Mapping[str, object]) -> tuple[str | None, str]:
    """The command to run next, and what must be true before: what mends something, or this one again.

    `given`: the flags that came, None for one that is not repeated.
    """
    from runner.core.checks import Level

    if code:
        mends = next((check.command for check in checks if check.level is Level.FAIL and check.command), "")
        pairs = ((f"--{name.replace('_', '-')}", str(value)) for name, value in given.items() if value is not None)
        words = [word for pair in pairs for word in pair]
        return (mends, "") if mends else (command_line("doctor", *words), "that is mended")
    return (command_line("plan", "--job", str(given["job"])), "") if given["job"] is not None else (None, "")


def _print_snippets(snippets: dict[str, str]) -> None:
    """Each under its heading, which is a comment, as it can be copied: not folded."""
    from runner.adapters.terminal.screens import put_all, screen_for

    screen = screen_for(sys.stdout)
    for number, (name, text) in enumerate(snippets.items()):
        heading = f"# ---- {_HEADINGS[name]} "
        put_all(screen, [*([""] if number else []), heading.ljust(79, "-"), *text.splitlines()])


class Shell(StrEnum):
    """The shells whose completion is known."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command("completion")
def completion(
    shell: Annotated[Shell, typer.Argument(help="the shell that is to complete commands and flags")],
) -> int:
    """Print the script that makes a shell complete commands and flags.

    Example: coupon-runner completion bash

    For this bash: eval "$(coupon-runner completion bash)"

    To keep it: coupon-runner completion bash > ~/.local/share/bash-completion/completions/coupon-runner

    In fish: coupon-runner completion fish > ~/.config/fish/completions/coupon-runner.fish
    """
    from typer._completion_shared import get_completion_script  # how typer itself makes it

    script = get_completion_script(prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE, shell=shell.value)
    sys.stdout.write(script + "\n")
    return 0


COMPLETE_VARIABLE = f"_{PROGRAM.replace('-', '_').upper()}_COMPLETE"
"""By this variable the script asks the program for words."""


def learn_completion() -> None:
    """Let the parser of flags answer the scripts that `completion` printed; costs nothing when none asks."""
    if COMPLETE_VARIABLE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
