"""The program's group of commands, and how the parameters of a command become its request."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from runner.adapters.clock import SystemClock
from runner.cli.variables import own_variables
from runner.settings import OPTION_NAMES, resolve, settings_path

if TYPE_CHECKING:
    from runner.app.conversation import Request
    from runner.cli.conversation import TerminalConversation

app = typer.Typer(
    name="coupon-runner",
    help="Issue coupons from spreadsheets: each coupon exactly once, and the truth about every row.",
    no_args_is_help=True,
    add_completion=False,
    suggest_commands=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

_PARAMETERS = (OPTION_NAMES - {"json"}) | {"json_output"}
"""Parameters that are settings; a command's others (which run, which customer) are its own."""


def request_of(given: dict[str, Any]) -> Request:
    """The options of a command: its parameters as they were given, over environment and settings file."""
    from runner.app.conversation import Request

    flags, environment, path = layers_of(given)
    return Request(options=resolve(flags, environment, path), flags=flags, environment=environment, settings=path)


def layers_of(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str], Path]:
    """Flags, environment and the path of the settings file."""
    environment = {name: value for name, value in os.environ.items() if name not in own_variables(app)}
    flags = {name: value for name, value in given.items() if name in _PARAMETERS and value is not None}
    if "json_output" in flags:
        flags["json"] = flags.pop("json_output")
    return flags, environment, settings_path(given.get("settings"), environment)


def talk_of(request: Request, *, quiet: bool = False, verbose: int = 0) -> TerminalConversation:
    """The person at this terminal, or nobody; told first which settings and ledger are used when they asked for it."""
    from runner.app.place import code_table, place_of
    from runner.cli.conversation import TerminalConversation

    talk = TerminalConversation(request.options, code_table(request.options), quiet=quiet)
    if verbose:
        talk.show_place(request.settings, place_of(request.options, request.environment))
    return talk


def lasting_flags(request: Request) -> list[str]:
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


def say_if_behind(request: Request, *, run: str | None = None, due: bool = False) -> None:
    """Who reads from an older copy of the ledger is told so; with `due`, also which runs are older than is to be kept.

    Args:
        run: the run that the command names, which leads to its ledger.
    """
    from runner.app.care import overdue
    from runner.app.place import open_ledger, place_of

    clock = SystemClock()
    place = place_of(request.options, request.environment, run=run)
    if place.rehearsal or not place.ledger.is_file():
        return
    sentences = [open_ledger(place, clock).behind, overdue(request, clock=clock) if due else ""]
    sys.stderr.write("".join(f"{sentence}\n" for sentence in sentences if sentence))
