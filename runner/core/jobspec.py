"""What a job file says, what is wrong with it, and what a job refuses of its list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from enum import StrEnum
from typing import NamedTuple

from runner.core.hours import read_clock
from runner.core.job_dates import date_problem, uses_date
from runner.core.job_keys import BY_NAME, COLUMNS, KEYS, PATHS, TABLES, JobKey, Shape
from runner.core.wording import closest


class Empty(StrEnum):
    """What it means when no file matches a job's input, or the files hold no row."""

    OK = "ok"
    FAIL = "fail"


class JobProblem(NamedTuple):
    """One thing that is wrong. `key`: its name with its tables, "" when it is about the whole file."""

    key: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A job as its file says it. `settings`: by the name of the option; paths still hold their variables and dates."""

    input: tuple[str, ...]
    campaign: str
    timezone: str | None
    due: time | None
    empty: Empty
    allowed_series: tuple[int, ...] | None
    min_new: int | None
    settings: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMark:
    """What the ledger remembers of the job that a run belongs to. `date`: ISO; None for a job without a time zone."""

    name: str
    template: str
    date: str | None

    def record(self) -> dict[str, object]:
        """As it stands in the arguments of the run."""
        return {"name": self.name, "template": self.template, "date": self.date}


def mark_of(record: object) -> JobMark | None:
    """A mark out of a run's arguments; None when the run belongs to no job."""
    match record:
        case {"name": str(name), "template": str(template), "date": None | str() as day}:
            return JobMark(name=name, template=template, date=day)
        case _:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedJob:
    """A job for one date: what a run needs to know of it beside its options. `campaign`: with the date in it."""

    mark: JobMark
    campaign: str
    empty: Empty
    allowed_series: tuple[int, ...] | None
    min_new: int | None


def read_spec(document: Mapping[str, object]) -> tuple[JobSpec, list[JobProblem]]:
    """What a parsed job file says, and all its problems. With problems the spec holds what could be read."""
    problems: list[JobProblem] = []
    values: dict[str, object] = {}
    for name, value in _flatten(document, problems):
        key = BY_NAME.get(name)
        if key is None:
            problems.append(JobProblem(name, f"unknown key{_suggest(name)}"))
            continue
        problem = _problem_of(key, value)
        if problem is not None:
            problems.append(JobProblem(name, problem))
        else:
            values[name] = _tidy(key, value)
    problems += [
        JobProblem("", f"{key.name} is missing: {_lower(key.what)}. Write for example {key.leaf} = {key.example}")
        for key in KEYS
        if key.required and key.name not in values and not any(problem.key == key.name for problem in problems)
    ]
    headings = {name.partition(".")[2]: value for name, value in values.items() if name.startswith(f"{COLUMNS}.")}
    settings = {key.option: values[key.name] for key in KEYS if key.option is not None and key.name in values}
    if headings:
        settings["map"] = headings
    allowed: tuple[int, ...] | None = values.get("allowed_series")  # type: ignore[assignment]
    spec = JobSpec(
        input=values.get("input", ()),  # type: ignore[arg-type]
        campaign=str(values.get("campaign", "")),
        timezone=values.get("timezone"),  # type: ignore[arg-type]
        due=read_clock(str(values["due"])) if "due" in values else None,
        empty=Empty(str(values.get("empty", Empty.FAIL))),
        allowed_series=allowed,
        min_new=values.get("guards.min_new"),  # type: ignore[arg-type]
        settings=settings,
    )
    problems += _disagreements(spec, document)
    return spec, problems


def _flatten(document: Mapping[str, object], problems: list[JobProblem]) -> Iterator[tuple[str, object]]:
    for name, value in document.items():
        if name in TABLES:
            if isinstance(value, dict):
                yield from ((f"{name}.{leaf}", inner) for leaf, inner in value.items())
            else:
                problems.append(JobProblem(name, f"must be a table, written [{name}]"))
        else:
            yield name, value


def _suggest(name: str) -> str:
    leaf = name.rpartition(".")[2]
    elsewhere = [key.name for key in KEYS if key.leaf == leaf and key.name != name]
    if elsewhere:
        table, _, only = elsewhere[0].rpartition(".")
        where = f"in [{table}]" if table else "at the top, above the first [table]"
        return f"; {only} stands {where}"
    leaves = {key.leaf: key.name for key in KEYS}
    # A table's name before it is alike in many keys and says nothing: it counts only where the rest is right.
    meant = closest(leaf, [*leaves, *TABLES])
    return f" (did you mean {leaves.get(meant, meant)}?)" if meant else "; docs/jobs.md lists every key"


def _problem_of(key: JobKey, value: object) -> str | None:
    """What is wrong with a value, or None. Durations, rates and addresses are checked where all settings are."""
    match key.shape:
        case Shape.PATHS:
            given = value if isinstance(value, list) else [value]
            if not given or not all(isinstance(one, str) and one.strip() for one in given):
                return f"must be a path in quotes, or a list of them, not {_shown(value)}"
            return next((problem for one in given if (problem := date_problem(str(one))) is not None), None)
        case Shape.WHOLE:
            if isinstance(value, bool) or not isinstance(value, int) or value < key.least:
                return f"must be a whole number, {key.least} or more, not {_shown(value)}"
        case Shape.SERIES:
            given = value if isinstance(value, list) else [value]
            if not given or not all(isinstance(one, int) and not isinstance(one, bool) and one > 0 for one in given):
                return f"must be a series id such as 415446, or a list of them, not {_shown(value)}"
        case Shape.WORDS:
            given = value if isinstance(value, list) else [value]
            if not given or not all(one in key.choices for one in given) or len(set(given)) < len(given):
                return f"must be a list of {', '.join(key.choices)}, each once at most, not {_shown(value)}"
        case Shape.CHOICE:
            if value not in key.choices:
                return f"must be one of {', '.join(key.choices)}, not {_shown(value)}"
        case Shape.FLAG:
            if not isinstance(value, bool):
                return f"must be true or false without quotes, not {_shown(value)}"
        case Shape.DURATION:
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                return f'must be a duration such as "25s", "10m" or "3h", not {_shown(value)}'
        case Shape.THRESHOLD:
            if isinstance(value, bool) or not isinstance(value, int | str):
                return f'must be a number such as 20, or a share such as "5%", not {_shown(value)}'
        case Shape.CLOCK:
            if not isinstance(value, str) or read_clock(value) is None:
                return f'must be a time of day in quotes such as "22:30", not {_shown(value)}'
        case Shape.TEXT | Shape.PATH | Shape.CAMPAIGN | Shape.ZONE | Shape.RATE:
            if not isinstance(value, str) or not value.strip():
                return f"must be text in quotes, not {_shown(value)}"
            if key.shape in (Shape.CAMPAIGN, Shape.PATH):
                return date_problem(value)
    return None


def _tidy(key: JobKey, value: object) -> object:
    if key.shape in (Shape.PATHS, Shape.SERIES, Shape.WORDS):
        return tuple(value) if isinstance(value, list) else (value,)
    return value


def _disagreements(spec: JobSpec, document: Mapping[str, object]) -> list[JobProblem]:
    """What is wrong between keys."""
    problems = []
    if "timezone" not in document:
        texts = {"campaign": spec.campaign, "input": "".join(spec.input)}
        texts |= {key.name: str(spec.settings.get(str(key.option), "")) for key in PATHS}
        needs = [name for name, text in texts.items() if uses_date(text)]
        needs += ["due"] if spec.due is not None else []
        needs += ["guards.min_new"] if spec.min_new is not None else []
        if needs:
            reason = "needs timezone: on which day a job runs is not guessed. Write for example"
            problems.append(JobProblem(needs[0], f'{reason} timezone = "Asia/Kolkata"'))
    if spec.allowed_series is not None:
        series: Sequence[int] = spec.settings.get("series", ())  # type: ignore[assignment]
        if beyond := [str(one) for one in series if one not in spec.allowed_series]:
            problems.append(JobProblem("series", f"{', '.join(beyond)} is not among allowed_series"))
    return problems


def _shown(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


# ── what a job refuses ──────────────────────────────────────────────────────────────────────────────────────────────


def series_beyond(texts: Sequence[str], allowed: Sequence[int]) -> list[int]:
    """The series named in the input's series cells that the job does not allow; what is no number is no series."""
    parts = {part.strip() for text in texts for part in re.split(r"[,;|\s]+", text)}
    named = {int(part) for part in parts if part.isascii() and part.isdigit()}
    return sorted(named - set(allowed))


class EarlierRun(NamedTuple):
    """A run of the job that the ledger knows. `files`: the sha256 of each."""

    id: int
    run: str
    scope: int
    campaign: str
    date: str | None
    files: frozenset[str]


def repeated_file(
    files: Mapping[str, str], scope: int | None, earlier: Sequence[EarlierRun]
) -> tuple[str, EarlierRun] | None:
    """The first file whose bytes another date of the job had already, with the run that did; None when all are new.

    `files`: sha256 → name. Within the same campaign the same bytes are harmless: nothing of them is missing.
    """
    here = {digest for run in earlier if run.scope == scope for digest in run.files}
    for digest, name in files.items():
        if digest in here:
            continue
        for run in earlier:
            if run.scope != scope and digest in run.files:
                return name, run
    return None


def runs_before(day: str, earlier: Sequence[EarlierRun]) -> list[int]:
    """The runs of the job's last date before `day`: what its file is compared with, to see whether it is a new one."""
    dates = [run.date for run in earlier if run.date is not None and run.date < day]
    return [run.id for run in earlier if dates and run.date == max(dates)]
