"""Jobs: a job file with its date and input becomes a request like any other; `init --job` writes a commented one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from runner.adapters.jobfiles import JobFile, fill_variables, find_inputs, read_job, write_new
from runner.adapters.sheets import EmptyTable
from runner.app.conversation import Conversation, Planned, Request
from runner.app.issuing import plan_files, run_files
from runner.app.running import Ended
from runner.core.job_dates import due_date, fill_date, read_day
from runner.core.job_keys import PATHS, key_of_option
from runner.core.job_writing import commented_job, job_name_problem
from runner.core.jobspec import DatedJob, Empty, JobMark
from runner.errors import InputRefused, SettingsError, UsageError
from runner.ports import Clock
from runner.settings import JobLayer, Options, resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A command with `--job`: the request, the files that the job's input names on its date, and how it names them."""

    request: Request
    files: list[Path]
    looked_for: str
    empty: Empty
    about: str

    def plan(self, *, clock: Clock, conversation: Conversation) -> Planned | str:
        """Plan the job, or say why there is nothing to do.

        Raises:
            InputRefused: there is nothing, and the job calls that a failure; and as `plan_files`.
        """
        if not self.files:
            return self._nothing(f"no file matches {self.looked_for}")
        conversation.note(self.about)
        try:
            return plan_files(self.files, self.request, clock=clock, conversation=conversation)
        except EmptyTable as error:
            return self._nothing(error.message)

    def run(self, *, clock: Clock, conversation: Conversation) -> Ended | str:
        """Run the job, or say why there is nothing to do.

        Raises:
            InputRefused: there is nothing, and the job calls that a failure; and as `run_files`.
        """
        if not self.files:
            return self._nothing(f"no file matches {self.looked_for}")
        conversation.note(self.about)
        try:
            return run_files(self.files, self.request, clock=clock, conversation=conversation)[1]
        except EmptyTable as error:
            return self._nothing(error.message)

    def _nothing(self, why: str) -> str:
        why = why.rstrip(".")
        if self.empty is Empty.FAIL:
            raise InputRefused(
                f"Nothing to issue: {why}. The job says empty = fail, so this is a failure and nothing was sent; if it"
                ' may happen, write empty = "ok".'
            )
        return f"nothing to issue: {why}"


def dated_request(
    path: Path,
    day: str | None,
    *,
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    settings: Path,
    clock: Clock,
) -> tuple[JobFile, date | None, Request]:
    """A job file, its date (the given one, else that of its last due moment) and the request that it makes then.

    Raises:
        SettingsError: problems of job file, settings, environment and flags, all together.
        UsageError: no job file, or no such date.
    """
    job = read_job(path, environment)
    given: dict[str, Any] = dict(job.spec.settings)
    if job.zone is None:
        given.pop("timezone", None)  # a zone that there is not is a problem of the job already
    problems = job.problems
    on: date | None = None
    if not problems:
        on = _date_of(job, day, clock)
        given["campaign"] = fill_date(job.spec.campaign, on)
        for key in PATHS:
            if key.option in given:
                given[key.option] = Path(fill_variables(fill_date(given[key.option], on), environment)).expanduser()

    def told(option: str) -> str:
        return job.told("campaign" if option == "campaign" else key_of_option(option))

    options = resolve(flags, environment, settings, JobLayer(values=given, told=told, problems=problems))
    mark = JobMark(name=job.name, template=job.spec.campaign, date=on.isoformat() if on is not None else None)
    dated = DatedJob(
        mark=mark,
        campaign=given["campaign"],
        empty=job.spec.empty,
        allowed_series=job.spec.allowed_series,
        min_new=job.spec.min_new,
    )
    return job, on, Request(options=options, flags=flags, environment=environment, settings=settings, job=dated)


def request_of_job(
    path: Path,
    day: str | None,
    *,
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    settings: Path,
    clock: Clock,
) -> JobRequest:
    """The request that a job makes on a date, with the files of its input.

    Raises:
        SettingsError, UsageError: as `dated_request`.
        UsageError: the folder of its input is not there.
    """
    job, on, request = dated_request(path, day, flags=flags, environment=environment, settings=settings, clock=clock)
    assert request.job is not None  # noqa: S101 - made with it
    return JobRequest(
        request=request,
        files=find_inputs(job.spec.input, on, environment),
        looked_for=" or ".join(fill_variables(fill_date(one, on), environment) for one in job.spec.input),
        empty=job.spec.empty,
        about=_about(job, on, request.job, request.options),
    )


def _date_of(job: JobFile, given: str | None, clock: Clock) -> date | None:
    """The date of a job without problems.

    Raises:
        UsageError: the given one is none, is not due yet, or the job has no time zone.
    """
    day = read_day(given) if given is not None else None
    if given is not None and day is None:
        raise UsageError(f"--date {given}: write a date as YYYY-MM-DD, such as 2026-11-23.")
    if job.zone is None:
        if day is not None:
            raise UsageError(f"--date {day}: the job {job.path} has no timezone, so it has no dates; add one to it.")
        return None
    last = due_date(clock.wall(), job.zone, job.spec.due)
    if day is not None and day > last:
        due = f" at {job.spec.due:%H:%M}" if job.spec.due is not None else ""
        raise UsageError(
            f"--date {day}: the job {job.path} is not due for that date yet; its last one was {last}{due}"
            f" ({job.spec.timezone}). --date repeats a past one."
        )
    return day or last


def _about(job: JobFile, on: date | None, dated: DatedJob, options: Options) -> str:
    date_words = f", date {on} ({job.spec.timezone})" if on is not None else ""
    words = f"job {job.name}{date_words}, campaign {options.campaign}"
    if options.campaign != dated.campaign:
        words += f" as told, not {dated.campaign} as the job says: its other dates and min_new do not count"
    return words


def init_job(name: str, request: Request, *, folder: Path) -> Path:
    """Write `jobs/NAME.toml` below a folder, with every key and what it means; nothing is ever overwritten.

    Raises:
        UsageError: the name cannot be a file's, a flag means something else, or the file is there already.
    """
    if (problem := job_name_problem(name)) is not None:
        raise UsageError(f"--job {name}: {problem}.")
    if others := sorted(set(request.flags) - {"org", "json"}):
        flags = ", ".join(f"--{other.replace('_', '-')}" for other in others)
        raise SettingsError(f"init --job writes a job file and nothing else: leave {flags} out, and edit the file.")
    path = folder / "jobs" / f"{name}.toml"
    write_new(path, commented_job(name, org=request.flags.get("org")))
    return path
