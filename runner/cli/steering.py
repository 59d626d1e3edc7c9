"""The commands that steer a live run from another terminal: pause, stop, set-rate; and `resume` of a paused one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from runner.adapters.clock import SystemClock
from runner.adapters.terminal.endings import command_line, last_line
from runner.cli import flags as f
from runner.cli.printing import print_json
from runner.cli.requests import app, lasting_flags, request_of
from runner.core.steering import Command

if TYPE_CHECKING:
    from runner.app.conversation import Request
    from runner.app.steering import Steered

LiveRun = Annotated[str, typer.Argument(metavar="RUN", help="run id, or a part that only one run has")]


@app.command("pause")
def pause(
    run: LiveRun,
    org: f.Org = None,
    sandbox: f.Sandbox = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
) -> int:
    """Let a live run begin no more calls until `resume`. Its process stays, and no budget runs meanwhile.

    Example: coupon-runner pause 20261123T031500Z-birthday-4f9a1c
    """
    request = request_of(locals())
    from runner.app.steering import steer

    return end_steered(steer(Command.PAUSE, run, request, clock=SystemClock()), request)


@app.command("stop")
def stop(
    run: LiveRun,
    org: f.Org = None,
    sandbox: f.Sandbox = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
) -> int:
    """Stop a live run as Ctrl-C does: no new calls, those under way finish. It ends with reports and exit 75.

    Example: coupon-runner stop 20261123T031500Z-birthday-4f9a1c
    """
    request = request_of(locals())
    from runner.app.steering import steer

    return end_steered(steer(Command.STOP, run, request, clock=SystemClock()), request)


@app.command("set-rate")
def set_rate(
    run: LiveRun,
    rate: Annotated[str, typer.Argument(metavar="N/s|m|h", help="the new pace of all calls, or none")],
    org: f.Org = None,
    sandbox: f.Sandbox = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
) -> int:
    """Change the pace of a live run; `resume` remembers it.

    Example: coupon-runner set-rate 20261123T031500Z-birthday-4f9a1c 300/m
    """
    given = {name: value for name, value in locals().items() if name != "rate"}
    request = request_of(given)
    from runner.app.steering import steer

    return end_steered(steer(Command.SET_RATE, run, request, clock=SystemClock(), argument=rate), request)


def end_steered(steered: Steered, request: Request) -> int:
    """Say what the run answered, and what may follow."""
    if request.options.json_output:
        print_json(steered.document())
    name = steered.run.name
    more = lasting_flags(request)
    from runner.app.place import REHEARSAL

    if name.startswith(REHEARSAL) and request.options.sandbox:
        more.append("--sandbox")
    follows = {Command.PAUSE: ["resume", name], Command.STOP: ["show", name, "--follow"]}.get(steered.command)
    following = command_line(*follows, *more) if follows else None
    sys.stderr.write(last_line(0, why=f"{name}: {steered.answer}", next_command=following) + "\n")
    return 0
