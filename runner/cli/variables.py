"""Every flag has a variable, COUPON_RUNNER_<FLAG>: settings read theirs, and all other flags are given theirs here."""

from __future__ import annotations

from functools import cache
from typing import Any

import typer

from runner.settings import OPTION_NAMES, PREFIX

_MEANS_SOMETHING_ELSE = frozenset({("init", "job")})
"""`init --job` takes a name for a new file, and COUPON_RUNNER_JOB is the job that is run."""


@cache
def parser_of(app: typer.Typer) -> Any:
    """The parser of all commands, whose flags read their variables. Commands that are added later are not in it."""
    root = typer.main.get_command(app)
    commands: dict[str, Any] = root.commands  # type: ignore[attr-defined]  # several commands make a group
    for name, command in commands.items():
        takes_settings = any(parameter.name == "settings" for parameter in command.params)
        for parameter in command.params:
            flags = _flags_of(parameter)
            if parameter.envvar is None and not (takes_settings and OPTION_NAMES.intersection(flags)):
                words = [flag for flag in flags if (name, flag) not in _MEANS_SOMETHING_ELSE]
                parameter.envvar = [f"{PREFIX}{word.upper()}" for word in words] or None
                parameter.show_envvar = False  # --help says it once for all flags
    return root


@cache
def own_variables(app: typer.Typer) -> frozenset[str]:
    """The variables that the parser of flags reads, and the settings do not."""
    parameters = (parameter for command in parser_of(app).commands.values() for parameter in command.params)
    every = (parameter.envvar or () for parameter in parameters)
    found = {name for names in every for name in ([names] if isinstance(names, str) else names)}
    return frozenset(found - {f"{PREFIX}{option.upper()}" for option in OPTION_NAMES})


def from_environment(context: typer.Context, parameter: str) -> bool:
    """Whether a parameter's value came from its variable, and not from the command line."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "ENVIRONMENT"


def _flags_of(parameter: Any) -> list[str]:
    """The names of a flag with underscores; none for an argument."""
    if parameter.param_type_name != "option":
        return []
    return [word[2:].replace("-", "_") for word in parameter.opts if word.startswith("--")]
