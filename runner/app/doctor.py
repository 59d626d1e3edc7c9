"""`doctor`: looks at settings, ledger, disk, clock, credentials and API, changes nothing, and says what to do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runner.adapters import machine
from runner.adapters.hosts import check_url
from runner.adapters.jobfiles import JobFile, find_inputs
from runner.adapters.ledger import schema
from runner.adapters.ledger.files import LedgerFile, schema_of
from runner.adapters.ledger.keyfile import key_path
from runner.app.conversation import Request
from runner.app.jobs import dated_request
from runner.app.place import Place, open_api, open_ledger, open_org, place_of, read_credentials, real_api
from runner.core.checks import (
    Check,
    Level,
    check_answer,
    check_clock,
    check_mount,
    check_reach,
    check_rights,
    check_space,
    split_message,
)
from runner.core.jobspec import Empty
from runner.core.model import Exchange
from runner.core.mounts import mount_of
from runner.core.wording import counted
from runner.errors import CouponRunnerError, NoLedger, SettingsError, UsageError
from runner.ports import Clock
from runner.settings import Options, resolve

_INIT = "coupon-runner init --org NAME --api-url URL"
_ANY_SERIES = 1
"""The series that is asked for where none is known: any answer shows whether the credentials are accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found. `request`, `job`: None when the settings could not be read."""

    checks: list[Check]
    request: Request | None
    job: JobFile | None


def examine(
    flags: Mapping[str, Any], environment: Mapping[str, str], settings: Path, *, job: Path | None, clock: Clock
) -> Examined:
    """Check everything that a run needs; with a job, what that job needs.

    Raises:
        UsageError: the job file is not there, or is no TOML.
    """
    try:
        request, job_file, checks = _configure(flags, environment, settings, job, clock)
    except SettingsError as error:
        problems = [Check("settings", Level.FAIL, line, "Correct it.") for line in error.message.splitlines()]
        says = "nothing more was looked at, since the settings cannot be read"
        return Examined(checks=[*problems, Check("the rest", Level.WARN, says)], request=None, job=None)
    place = place_of(request.options, environment)
    checks += [*_ledger(place, request.options, clock), *_disk(place, request.options)]
    if place.rehearsal:
        checks.append(Check("API", Level.OK, "the sandbox of this machine, which needs no credentials"))
    else:
        checks += _api(request.options, environment, clock)
    return Examined(checks=checks, request=request, job=job_file)


def _configure(
    flags: Mapping[str, Any], environment: Mapping[str, str], settings: Path, job: Path | None, clock: Clock
) -> tuple[Request, JobFile | None, list[Check]]:
    if job is None:
        options = resolve(flags, environment, settings)
        request = Request(options=options, flags=flags, environment=environment, settings=settings)
        return request, None, [_settings(settings, options)]
    job_file, on, request = dated_request(
        job, None, flags=flags, environment=environment, settings=settings, clock=clock
    )
    checks = [_settings(settings, request.options)]
    date_words = f", date {on}" if on is not None else ""
    checks.append(Check("job", Level.OK, f"{job}{date_words}, campaign {request.options.campaign}"))
    if request.options.max_coupons is None:
        remedy = "Write max_coupons under [guards]: the most that one run may ever issue."
        checks.append(Check("cap", Level.FAIL, "the job has none, so it does not start unattended", remedy))
    else:
        checks.append(Check("cap", Level.OK, f"at most {counted(request.options.max_coupons, 'coupon')} a run"))
    try:
        files = find_inputs(job_file.spec.input, on, environment)
    except UsageError as error:
        checks.append(Check("input", Level.FAIL, error.message, "See above."))
    else:
        empty_is_wrong = not files and job_file.spec.empty is Empty.FAIL
        remedy = 'Wait for it, or write empty = "ok" if a day without one is a good day.' if empty_is_wrong else ""
        level = Level.WARN if empty_is_wrong else Level.OK
        checks.append(Check("input", level, f"{counted(len(files), 'file')} for this date", remedy))
    return request, job_file, checks


def _settings(path: Path, options: Options) -> Check:
    org = f", organisation {options.org}" if options.org is not None else ""
    if path.is_file():
        return Check("settings", Level.OK, f"{path}{org}")
    remedy = "Name it with --settings, or write it with `coupon-runner init`."
    return Check("settings", Level.WARN, f"there is no settings file at {path}{org}", remedy, _INIT)


# ── ledger ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _ledger(place: Place, options: Options, clock: Clock) -> Iterator[Check]:
    """There, of this version, opened with its key, knowing the organisation; kept by its file system, and private."""
    path = place.ledger
    if not path.is_file():
        if place.rehearsal:
            yield Check("ledger", Level.OK, f"{path} is made by the first rehearsal")
            return
        remedy = "If this organisation has never been run, create it with `coupon-runner init`; else name it: --ledger."
        yield Check("ledger", Level.FAIL, f"there is none at {path}: earlier runs would be unknown", remedy, _INIT)
        yield _file_system(place)
        return
    opened = None
    try:
        version = schema_of(path)
        if 0 < version < schema.SCHEMA_VERSION:
            says = f"{path} has schema {version}, this program {schema.SCHEMA_VERSION}: the next command migrates it"
            yield Check("ledger", Level.WARN, says, "Nothing is to be done; a backup is made beside it first.")
        else:
            opened = open_ledger(place, clock)
            yield Check("ledger", Level.OK, f"{path}, schema {version}")
    except CouponRunnerError as error:
        yield Check("ledger", Level.FAIL, *split_message(error.message))
    seen = [("the ledger", path), ("its folder", path.parent)]
    if opened is not None:
        key = key_path(place.keys, opened.ledger_id)
        yield Check("key", Level.OK, f"{key}: belongs to this ledger; back up both together")
        seen += [("its key", key)]
        if not place.rehearsal:
            yield _organisation(opened, options)
    yield check_rights([machine.rights_of(what, one) for what, one in seen])
    yield _file_system(place)


def _organisation(ledger: LedgerFile, options: Options) -> Check:
    try:
        return Check("organisation", Level.OK, f"{open_org(ledger, options).name} is known to the ledger")
    except UsageError as error:
        command = f"coupon-runner init --org {options.org}" if isinstance(error, NoLedger) else ""
        return Check("organisation", Level.FAIL, *split_message(error.message), command)


def _file_system(place: Place) -> Check:
    real = os.path.realpath(place.ledger)
    return check_mount(real, mount_of(real, machine.mounts()), rehearsal=place.rehearsal)


def _disk(place: Place, options: Options) -> Iterator[Check]:
    """Room for the ledger and for the reports, and the right to write these."""
    ledger, out = machine.existing(place.ledger.parent), machine.existing(options.out)
    yield check_space("disk", str(ledger), machine.free_bytes(ledger))
    reports = check_space("reports", str(out), machine.free_bytes(out))
    if reports.level is Level.OK and not machine.rights_of("the reports' folder", out).writable:
        remedy = "Give your user the right to write there, or name another folder with --out."
        reports = Check("reports", Level.FAIL, f"{out} cannot be written", remedy)
    yield reports


# ── API ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _api(options: Options, environment: Mapping[str, str], clock: Clock) -> Iterator[Check]:
    """Reach, clock and credentials: one GET without them, one with them; nothing is ever issued."""
    from runner.adapters.knocking import knock  # aiohttp takes its time to load

    if options.api_url is None:
        remedy = "Give --api-url, or set it with `coupon-runner init`."
        yield Check("API", Level.FAIL, "no address is set", remedy, _INIT)
    else:
        try:
            url = check_url(options.api_url, options.allowed_hosts)
            knocked = asyncio.run(knock(url))
        except SettingsError as error:
            yield Check("API", Level.FAIL, *split_message(error.message))
        else:
            yield Check("API", Level.OK, url)
            yield check_reach(urlsplit(url).netloc, knocked)
            yield check_clock(knocked, clock.wall())
            if knocked.status is not None:
                yield _credentials(options, environment)
                return
    try:
        read_credentials(environment)
    except SettingsError as error:
        yield Check("credentials", Level.FAIL, *split_message(error.message))
    else:
        yield Check("credentials", Level.WARN, "are set, and were not tried", "Mend the lines above first.")


def _credentials(options: Options, environment: Mapping[str, str]) -> Check:
    try:
        return check_answer(asyncio.run(_read(options, environment)))
    except CouponRunnerError as error:
        return Check("credentials", Level.FAIL, *split_message(error.message))


async def _read(options: Options, environment: Mapping[str, str]) -> Exchange:
    async with open_api(options, real_api(options, environment)) as api:
        await api.sign_in()
        return await api.read_series(options.series[:1] or [_ANY_SERIES])
