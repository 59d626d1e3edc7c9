"""Where a job runs on this machine: the plain values that its crontab, systemd and Kubernetes snippets are made of."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from runner import __version__
from runner.adapters.jobfiles import JobFile, variables_of
from runner.app.conversation import Request
from runner.app.place import owner_of_process
from runner.core.snippets import UnattendedJob, crontab, kubernetes, systemd_service, systemd_timer
from runner.settings import PREFIX, config_folder, state_folder

_LASTING = ("org", "ledger", "settings", "api_url")
"""Flags of `doctor` that every start of the job needs as well."""


def snippets_of(job: JobFile, request: Request, *, reconcile: bool) -> dict[str, str]:
    """The four snippets by name. `reconcile`: whether the program has that command."""
    about = unattended(job, request, reconcile=reconcile)
    return {
        "crontab": crontab(about),
        "systemd_service": systemd_service(about),
        "systemd_timer": systemd_timer(about),
        "kubernetes": kubernetes(about),
    }


def unattended(job: JobFile, request: Request, *, reconcile: bool) -> UnattendedJob:
    """A job as it would be started here: by this program, this user, in this folder, with this ledger."""
    options, environment = request.options, request.environment
    given: dict[str, object] = {**request.flags, "settings": _told_settings(request)}
    flags = [
        word
        for name in _LASTING
        if (value := given.get(name)) is not None
        for word in (f"--{name.replace('_', '-')}", _absolute(name, str(value)))
    ]
    return UnattendedJob(
        name=job.name,
        file=str(job.path.absolute()),
        program=_program(),
        folder=str(Path.cwd()),
        settings=str(config_folder(environment).parent.absolute()),
        state=str(state_folder(environment).parent.absolute()),
        user=str(owner_of_process()["user"]),
        zone=job.spec.timezone,
        due=job.spec.due,
        cap=options.max_coupons,
        oauth=not _has_basic(environment),
        variables={name: environment[name] for name in variables_of(job.spec)},
        org=request.flags.get("org"),
        flags=flags,
        reconcile=reconcile,
        version=__version__,
    )


def _told_settings(request: Request) -> Path | None:
    """The settings file, when it is not the one that is found by itself."""
    return None if request.settings == config_folder(request.environment) / "settings.toml" else request.settings


def _absolute(name: str, value: str) -> str:
    return str(Path(value).absolute()) if name in ("ledger", "settings") and "://" not in value else value


def _has_basic(environment: Mapping[str, str]) -> bool:
    return any(environment.get(f"{PREFIX}API_USER{twin}") for twin in ("", "_FILE"))


def _program() -> list[str]:
    """This program as words that need no PATH."""
    started = Path(sys.argv[0])
    if started.name.startswith("coupon-runner") and started.is_file():
        return [str(started.absolute())]
    beside = Path(sys.executable).with_name("coupon-runner")
    return [str(beside)] if beside.is_file() else [sys.executable, "-m", "runner"]
