"""What a job file may say: every key with its default and unit, what is wrong with a job, and which date it is for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import NamedTuple

from runner.core.hours import read_clock
from runner.core.wording import closest


class Shape(StrEnum):
    """What the value of a key looks like."""

    TEXT = "text"
    PATH = "path"
    PATHS = "path or list of paths"
    CAMPAIGN = "text with a date"
    ZONE = "time zone"
    CLOCK = "time of day"
    WHOLE = "whole number"
    SERIES = "number or list of numbers"
    WORDS = "list of words"
    CHOICE = "one word"
    FLAG = "true or false"
    DURATION = "duration"
    RATE = "rate"
    THRESHOLD = "number or share"


class Empty(StrEnum):
    """What it means when no file matches a job's input, or the files hold no row."""

    OK = "ok"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKey:
    """One key of a job file. `example` is TOML. `option`: the setting that it becomes; None for what only a job has."""

    name: str
    shape: Shape
    what: str
    default: str
    example: str
    unit: str = ""
    option: str | None = None
    required: bool = False
    choices: tuple[str, ...] = ()
    least: int = 1

    @property
    def table(self) -> str:
        """The table that it stands in; "" at the top of the file."""
        return self.name.rpartition(".")[0]

    @property
    def leaf(self) -> str:
        """Its name within its table."""
        return self.name.rpartition(".")[2]


KEYS: tuple[JobKey, ...] = (
    JobKey(
        name="input",
        shape=Shape.PATHS,
        what="The file or files to issue; wildcards (* ? [] **), ${VARIABLE} and {date} may be used. Several files are "
        "one run. Files whose names begin with ~$ or a dot are left out by wildcards",
        default="required",
        example='"in/customers-{date:%Y-%m-%d}*.csv"',
        required=True,
    ),
    JobKey(
        name="campaign",
        shape=Shape.CAMPAIGN,
        what="The name within which each customer counts once per series; {date} or {date:%Y-%m} is the due date",
        default="required",
        example='"birthday-{date:%Y-%m}"',
        required=True,
    ),
    JobKey(
        name="sheet",
        shape=Shape.TEXT,
        what="The sheet of a workbook that holds the customers, where it cannot be told",
        default="the only one there is",
        example='"Customers"',
        option="sheet",
    ),
    JobKey(
        name="hidden",
        shape=Shape.CHOICE,
        what="Hidden rows, columns and sheets of a workbook: read them too, or leave them out",
        default="refused until said",
        example='"exclude"',
        option="hidden",
        choices=("include", "exclude"),
    ),
    JobKey(
        name="encoding",
        shape=Shape.TEXT,
        what="The encoding of text files, where it is not certain by itself",
        default="found",
        example='"windows-1250"',
        option="encoding",
    ),
    JobKey(
        name="series_file",
        shape=Shape.PATH,
        what="A list of series (CSV or workbook); ${VARIABLE} and {date} may be used",
        default="none",
        example='"series.csv"',
        option="series_file",
    ),
    JobKey(
        name="org",
        shape=Shape.TEXT,
        what="The organisation whose customers these are",
        default="the default organisation of the settings",
        example='"acme"',
        option="org",
    ),
    JobKey(
        name="timezone",
        shape=Shape.ZONE,
        what="Where the job's days begin and end; needed for {date}, due, min_new, between and a deadline by the clock",
        default="none",
        unit="IANA name",
        example='"Asia/Kolkata"',
        option="timezone",
    ),
    JobKey(
        name="due",
        shape=Shape.CLOCK,
        what="When the job is due each day: {date} is the day of the last due moment before the start, so that a retry "
        "after midnight is still yesterday's",
        default="the calendar day",
        unit="HH:MM in timezone",
        example='"22:30"',
    ),
    JobKey(
        name="empty",
        shape=Shape.CHOICE,
        what="When no file matches, or the files hold no row: ok (exit 0, nothing to do) or fail (exit 3)",
        default="fail",
        example='"ok"',
        choices=("ok", "fail"),
    ),
    JobKey(
        name="series",
        shape=Shape.SERIES,
        what="The series of rows without a series column",
        default="none",
        unit="series ids",
        example="[415446]",
        option="series",
    ),
    JobKey(
        name="allowed_series",
        shape=Shape.SERIES,
        what="Any other series in the input refuses the whole of it (exit 3); no flag overrides this",
        default="any",
        unit="series ids",
        example="[415446, 535521]",
    ),
    JobKey(
        name="count",
        shape=Shape.WHOLE,
        what="Coupons for each row and series without a count of its own",
        default="1",
        unit="coupons",
        example="1",
        option="count",
    ),
    JobKey(
        name="identify_by",
        shape=Shape.WORDS,
        what="Which identifier is sent, the first that a row has; needed when the files have several",
        default="the only one there is",
        example='["mobile"]',
        option="identify_by",
        choices=("mobile", "email", "externalId"),
    ),
    JobKey(
        name="fall_back",
        shape=Shape.FLAG,
        what="Name a customer whom the API does not know (701) by her row's next identifier of `identify_by`",
        default="false",
        example="true",
        option="fall_back",
    ),
    JobKey(
        name="region",
        shape=Shape.TEXT,
        what="The country of mobiles written without a country code",
        default="none",
        unit="two letters",
        example='"IN"',
        option="region",
    ),
    JobKey(
        name="phone_format",
        shape=Shape.CHOICE,
        what="Whether mobiles in plain digits have their country code (international) or lack it (national); needed "
        "where a column has both and it is not certain. Fixed with the campaign's first run",
        default="found out",
        example='"international"',
        option="phone_format",
        choices=("international", "national"),
    ),
    JobKey(
        name="max_per_row",
        shape=Shape.WHOLE,
        what="The largest count that a row may ask for; a row above it is rejected",
        default="10000",
        unit="coupons",
        example="500",
        option="max_per_row",
    ),
    JobKey(
        name="short_ids",
        shape=Shape.CHOICE,
        what="External ids with fewer digits than the others of their column, as lost zeros leave them",
        default="refuse",
        example='"accept"',
        option="short_ids",
        choices=("refuse", "accept"),
    ),
    JobKey(
        name="duplicates",
        shape=Shape.CHOICE,
        what="The same customer and series twice: the counts must agree, or are added up",
        default="agree",
        example='"agree"',
        option="duplicates",
        choices=("agree", "add"),
    ),
    JobKey(
        name="overlap",
        shape=Shape.CHOICE,
        what="Customers who hold the series from another campaign; other dates of this job are always allowed. "
        "ask refuses when nobody is at a terminal",
        default="ask",
        example='"refuse"',
        option="overlap",
        choices=("ask", "refuse", "skip", "allow"),
    ),
    JobKey(
        name="unfinished",
        shape=Shape.CHOICE,
        what="What comes first when the campaign has an unfinished run",
        default="resume",
        example='"resume"',
        option="unfinished",
        choices=("resume", "abandon", "refuse"),
    ),
    JobKey(
        name="columns.mobile",
        shape=Shape.TEXT,
        what="The heading of the column of mobiles",
        default="found by synonyms",
        example='"Ph No"',
    ),
    JobKey(
        name="columns.email",
        shape=Shape.TEXT,
        what="The heading of the column of e-mail addresses",
        default="found by synonyms",
        example='"E-mail ID"',
    ),
    JobKey(
        name="columns.externalId",
        shape=Shape.TEXT,
        what="The heading of the column of external ids",
        default="found by synonyms",
        example='"Member ID"',
    ),
    JobKey(
        name="columns.series_id",
        shape=Shape.TEXT,
        what="The heading of the column of series",
        default="found by synonyms",
        example='"Offer"',
    ),
    JobKey(
        name="columns.count",
        shape=Shape.TEXT,
        what="The heading of the column of counts",
        default="found by synonyms",
        example='"Qty"',
    ),
    JobKey(
        name="api.url",
        shape=Shape.TEXT,
        what="The address of the API",
        default="the organisation's",
        example='"https://eu.api.capillarytech.com"',
        option="api_url",
    ),
    JobKey(
        name="api.timeout",
        shape=Shape.DURATION,
        what="The deadline of a call; one that passes it is in doubt",
        default="60s",
        unit="s, m, h",
        example='"60s"',
        option="timeout",
    ),
    JobKey(
        name="api.metadata",
        shape=Shape.FLAG,
        what="Send each call's key as metadata, by which the call can be found again",
        default="true",
        example="true",
        option="metadata",
    ),
    JobKey(
        name="api.attribution",
        shape=Shape.TEXT,
        what="Attribute the issue to a till, store or other entity",
        default="none",
        unit="TYPE=CODE",
        example='"TILL=till.01"',
        option="attribution",
    ),
    JobKey(
        name="pace.rate",
        shape=Shape.RATE,
        what="The pace of all calls together",
        default="100/m (none on this machine)",
        unit="calls/s, /m, /h",
        example='"100/m"',
        option="rate",
    ),
    JobKey(
        name="pace.leave",
        shape=Shape.TEXT,
        what="The share of the limit that stays for whoever else uses the key",
        default="nothing",
        unit="%",
        example='"20%"',
        option="leave",
    ),
    JobKey(
        name="pace.concurrency",
        shape=Shape.WHOLE,
        what="How many calls may be in flight",
        default="16",
        unit="calls",
        example="16",
        option="concurrency",
    ),
    JobKey(
        name="retry.queue_budget",
        shape=Shape.DURATION,
        what="Give a series up for this run after so long without a coupon",
        default="3h",
        unit="s, m, h",
        example='"3h"',
        option="queue_budget",
    ),
    JobKey(
        name="retry.reach_budget",
        shape=Shape.DURATION,
        what="Give the API up after so long out of reach",
        default="10m",
        unit="s, m, h",
        example='"10m"',
        option="reach_budget",
    ),
    JobKey(
        name="retry.customer_rounds",
        shape=Shape.WHOLE,
        what="How often a customer who is busy (521) is asked for in one run",
        default="6",
        unit="rounds",
        example="6",
        option="customer_rounds",
    ),
    JobKey(
        name="guards.max_coupons",
        shape=Shape.WHOLE,
        what="A run of this job and its resumes never issue more (exit 4); needed to run unattended",
        default="none",
        unit="coupons",
        example="5000",
        option="max_coupons",
    ),
    JobKey(
        name="guards.max_per_customer",
        shape=Shape.WHOLE,
        what="The most coupons that a customer may hold of the campaign, over all series; an order beyond is left out "
        "(exit 4)",
        default="none",
        unit="coupons",
        example="3",
        option="max_per_customer",
    ),
    JobKey(
        name="guards.max_value",
        shape=Shape.WHOLE,
        what="A run of this job and its resumes never issue more in money, by the value of each series (exit 4)",
        default="none",
        unit="money",
        example="250000",
        option="max_value",
    ),
    JobKey(
        name="guards.max_errors",
        shape=Shape.THRESHOLD,
        what="More answers that refuse for good than this stop the run (exit 4); a share counts once 50 answers came",
        default="20%",
        unit="answers, or share of them",
        example='"20%"',
        option="max_errors",
    ),
    JobKey(
        name="guards.max_in_doubt",
        shape=Shape.THRESHOLD,
        what="More lost answers than this, in a row, or as a share of at least 200: pause, settle and probe; the run "
        "stops when that fails (exit 4 or 6)",
        default="20,1%",
        unit="answers, or share of them",
        example='"20,1%"',
        option="max_in_doubt",
    ),
    JobKey(
        name="guards.deadline",
        shape=Shape.TEXT,
        what="No call begins after it: a time since the start, or the next such time of day (exit 75)",
        default="none",
        unit="s, m, h, or HH:MM in timezone",
        example='"06:00"',
        option="deadline",
    ),
    JobKey(
        name="guards.between",
        shape=Shape.TEXT,
        what="The only hours in which calls begin; started outside them, the job sends nothing (exit 75)",
        default="all day",
        unit="HH:MM-HH:MM in timezone",
        example='"09:00-21:00"',
        option="between",
    ),
    JobKey(
        name="guards.canary",
        shape=Shape.WHOLE,
        what="So many orders first, spread over the series, read back from the API and compared, before any other is "
        "sent; a difference stops the run (exit 4)",
        default="none",
        unit="orders",
        example="5",
        option="canary",
    ),
    JobKey(
        name="guards.max_rejected",
        shape=Shape.THRESHOLD,
        what="More rejected rows than this refuse the input (exit 3)",
        default="10% where nobody is at the terminal",
        unit="rows, or a share of all",
        example='"10%"',
        option="max_rejected",
    ),
    JobKey(
        name="guards.messages_ok",
        shape=Shape.FLAG,
        what="Series may send their messages at whatever hour this runs; needed for such series without between",
        default="false",
        example="true",
        option="messages_ok",
    ),
    JobKey(
        name="guards.min_new",
        shape=Shape.WHOLE,
        what="Fewer orders (customer and series) that earlier dates of this job did not have refuse the input (exit "
        "3): it is probably yesterday's file again",
        default="none",
        unit="orders",
        example="1",
    ),
    JobKey(
        name="reports.out",
        shape=Shape.PATH,
        what="The folder of the reports; ${VARIABLE} and {date} may be used",
        default="coupon-runs",
        example='"coupon-runs"',
        option="out",
    ),
    JobKey(
        name="reports.files",
        shape=Shape.CHOICE,
        what="Which reports are written: all of them, or no workbooks",
        default="all",
        example='"all"',
        option="reports",
        choices=("all", "csv"),
    ),
)
"""Every key of a job file, in the order in which it is shown. Relative paths start where the command is started."""

PATHS = tuple(key for key in KEYS if key.shape is Shape.PATH)
BY_NAME: Mapping[str, JobKey] = {key.name: key for key in KEYS}
COLUMNS = "columns"
TABLES: Mapping[str, str] = {
    COLUMNS: "which column is what, where synonyms do not tell",
    "api": "where the calls go",
    "pace": "how fast",
    "retry": "how long to wait for what may still come",
    "guards": "what stops or refuses a run",
    "reports": "where the reports are written",
}
"""The tables of a job file, each with a word about it."""


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


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


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


def key_of_option(option: str) -> str:
    """The key of a job file that becomes this option."""
    if option == "map":
        return COLUMNS
    return next((key.name for key in KEYS if key.option == option), option)


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


# ── dates ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_FIELD = re.compile(r"\{([^{}]*)\}")
_VARIABLE = re.compile(r"\$\{[^{}]*\}")
DATE_SIGNS = "YymdjbBaAGVu"
"""What may follow % in {date:…}: parts of a date, never of a time."""


def _without_variables(text: str) -> str:
    return _VARIABLE.sub("", text)


def uses_date(text: str) -> bool:
    """Whether a text holds {date}."""
    return "{date" in _without_variables(text)


def date_problem(text: str) -> str | None:
    """What is wrong with the braces of a text, or None."""
    plain = _without_variables(text)
    for field in _FIELD.findall(plain):
        name, colon, form = field.partition(":")
        if name != "date" or (colon and not form):
            return f"{{{field}}} is not known: write {{date}}, or {{date:%Y-%m}} for a part of it"
        if wrong := [
            sign for sign in re.findall(r"%(.?)", form.replace("%%", "")) if sign not in DATE_SIGNS or not sign
        ]:
            known = " ".join(f"%{sign}" for sign in DATE_SIGNS)
            return f"%{wrong[0]} in {{{field}}} is no part of a date; known are {known}"
        if form and "%" not in form.replace("%%", ""):
            return f"{{{field}}} holds no part of the date: write for example {{date:%Y-%m}}"
    if "{" in _FIELD.sub("", plain) or "}" in _FIELD.sub("", plain):
        return "a brace is not closed: write {date} or {date:%Y-%m}"
    return None


def fill_date(text: str, day: date | None) -> str:
    """The text with its dates. `day` may be None for a text without any."""
    if day is None:
        return text
    kept: list[str] = []

    def put_aside(match: re.Match[str]) -> str:
        kept.append(match[0])
        return "\0"

    def put_date(match: re.Match[str]) -> str:
        form = match[1].partition(":")[2]
        return day.strftime(form) if form else day.isoformat()

    filled = _FIELD.sub(put_date, _VARIABLE.sub(put_aside, text))
    return re.sub("\0", lambda _: kept.pop(0), filled)


def read_day(text: str) -> date | None:
    """A date written YYYY-MM-DD; None when it is none."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII) is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def due_date(start: float, zone: tzinfo, due: time | None) -> date:
    """The day of the last due moment at or before the start (seconds since the epoch), in the job's time zone.

    Without `due` it is the calendar day. A due time that the clocks skip falls on the moment after the gap, one that
    comes twice on its first.
    """
    here = datetime.fromtimestamp(start, UTC).astimezone(zone)
    if due is None:
        return here.date()
    day = here.date()
    while datetime.combine(day, due, tzinfo=zone).astimezone(UTC).timestamp() > start:
        day -= timedelta(days=1)
    return day


# ── what a job refuses ───────────────────────────────────────────────────────────────────────────────────────────────


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


# ── writing one ──────────────────────────────────────────────────────────────────────────────────────────────────────

_GIVEN = ("timezone", "empty", "guards.max_coupons")
"""Keys that a fresh job file sets, beside the required ones, so that it runs as it is."""


def job_name_problem(name: str) -> str | None:
    """What is wrong with the name of a job, or None: it becomes the name of a file."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name, re.ASCII):
        return None
    return "a job's name is made of letters, digits, - and _, at most 64, and begins with a letter or digit"


def commented_job(name: str, *, org: str | None) -> str:
    """A job file that holds every key: what it means, its default and unit. What has a default is commented out."""
    values = {
        "input": f'"in/{name}-{{date:%Y-%m-%d}}*.csv"',
        "campaign": f'"{name}-{{date:%Y-%m}}"',
        "timezone": '"UTC"',
        "empty": '"fail"',
        "guards.max_coupons": "1000",
    }
    if org is not None:
        values["org"] = '"' + org.replace("\\", "\\\\").replace('"', '\\"') + '"'
    lines = [
        f"# The job {name}: coupon-runner run --job jobs/{name}.toml --yes",
        "# Lines that begin with # and a key show its default or an example; take the # away to set it.",
        "# Relative paths start in the folder where the command is started. docs/jobs.md tells more.",
    ]
    table = ""
    for key in KEYS:
        if key.table != table:
            table = key.table
            lines += ["", f"[{table}] # {TABLES[table]}"]
        words = f"{key.what}."
        about = "required" if key.required else f"default: {key.default}"
        unit = f"; {key.unit}" if key.unit else ""
        given = key.required or key.name in _GIVEN or key.name in values
        shown = f"{key.leaf} = {values.get(key.name, key.example)}"
        lines += ["", *_comment(f"{words} ({about}{unit})"), shown if given else f"# {shown}"]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> Iterator[str]:
    line = "#"
    for word in text.split():
        if len(line) + 1 + len(word) > 110:
            yield line
            line = "#"
        line += f" {word}"
    yield line
