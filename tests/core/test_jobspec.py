"""What a job file may say, which date a job is for, and what a job refuses."""

from __future__ import annotations

import re
import tomllib
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.columns import MAPPABLE
from runner.core.hours import read_clock
from runner.core.job_dates import DATE_SIGNS, date_problem, due_date, fill_date, read_day, uses_date
from runner.core.job_keys import KEYS, TABLES, Shape, key_of_option
from runner.core.job_writing import commented_job, job_name_problem
from runner.core.jobspec import (
    EarlierRun,
    Empty,
    JobMark,
    mark_of,
    read_spec,
    repeated_file,
    runs_before,
    series_beyond,
)
from runner.settings import Options, read_duration

LEAST = 'input = "in/list.csv"\ncampaign = "may"\n'


def _problems(text: str) -> list[tuple[str, str]]:
    return [(problem.key, problem.text) for problem in read_spec(tomllib.loads(text))[1]]


# ── the schema ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _document(*keys: Any) -> str:
    """A job file out of the examples of these keys."""
    tables = {table: [f"{key.leaf} = {key.example}" for key in keys if key.table == table] for table in ("", *TABLES)}
    return "\n".join("\n".join([f"[{table}]" if table else "", *lines]) for table, lines in tables.items() if lines)


def test_the_example_of_every_key_is_valid_and_becomes_its_setting():
    """All of them together, and the settings take what they give."""
    spec, problems = read_spec(tomllib.loads(_document(*KEYS)))
    assert problems == []
    options = {key.option for key in KEYS if key.option is not None}
    assert set(spec.settings) == options | {"map"}
    Options.model_validate(dict(spec.settings))
    assert (spec.allowed_series, spec.min_new, spec.due, spec.empty) == ((415446, 535521), 1, time(22, 30), Empty.OK)
    assert spec.settings["map"] == {
        "mobile": "Ph No", "email": "E-mail ID", "externalId": "Member ID", "series_id": "Offer", "count": "Qty"
    }  # fmt: skip


@pytest.mark.parametrize("key", [key for key in KEYS if key.option is not None], ids=lambda key: key.name)
def test_a_key_has_the_default_and_the_choices_of_its_setting(key):
    """What the schema says of a default is what happens without the key."""
    field = Options.model_fields[key.option]
    if isinstance(field.default, float):
        assert read_duration(key.default) == field.default
    elif isinstance(field.default, bool):
        assert key.default == str(field.default).lower()
    elif field.default not in (None, ()):
        assert key.default == str(field.default)
    if key.shape is Shape.CHOICE:
        words = {word for one in (field.annotation, *get_args(field.annotation)) for word in get_args(one)}
        assert set(key.choices) == {word for word in words if isinstance(word, str)}


def test_every_column_that_can_be_mapped_has_a_key():
    """Under [columns]."""
    assert {key.leaf for key in KEYS if key.table == "columns"} == {role.value for role in MAPPABLE}


def test_no_job_may_consent_or_hold_a_secret():
    """Consent is given for each run, and credentials stand in the environment."""
    options = {key.option for key in KEYS} | {key.leaf for key in KEYS}
    assert not options & {"yes", "plan", "same_org", "fresh", "json", "sandbox", "api_key", "api_secret"}


@pytest.mark.parametrize("org", [None, 'The "Acme" \\ Co'])
def test_a_fresh_job_file_holds_every_key_and_is_valid_as_it_is_and_uncommented(org):
    """What it shows of each key is what may be written."""
    text = commented_job("birthday", org=org)
    spec, problems = read_spec(tomllib.loads(text))
    assert problems == []
    assert (spec.input, spec.campaign) == (("in/birthday-{date:%Y-%m-%d}*.csv",), "birthday-{date:%Y-%m}")
    assert spec.settings.get("org") == org
    assert spec.settings["max_coupons"] == 1000
    uncommented = re.sub(r"^# (?=[A-Za-z_]+ = )", "", text, flags=re.MULTILINE)
    everything = tomllib.loads(uncommented)
    assert read_spec(everything)[1] == []
    written = {f"{name}.{leaf}" for name in TABLES for leaf in everything[name]} | (everything.keys() - TABLES.keys())
    assert written == {key.name for key in KEYS}
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("name", ["birthday", "night-2_b", "7"])
def test_a_jobs_name_may_be_a_files_name(name):
    """Letters, digits, dash and underscore."""
    assert job_name_problem(name) is None


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a.toml", "-x", "n\u00e4chtlich", "a" * 65, "a b"])
def test_any_other_name_of_a_job_is_refused(name):
    """It could lead to another folder, or be no file's name somewhere."""
    assert job_name_problem(name) is not None


# ── problems ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('campain = "x"', "did you mean campaign"),
        ('rate = "1/m"', "rate stands in [pace]"),
        ("max_coupon = 1", "did you mean guards.max_coupons"),
        ('[guards]\ntimezone = "UTC"', "timezone stands at the top"),
        ("[guard]\nmax_coupons = 1", "did you mean guards"),
        ("[columns]\nmobil = 'x'", "did you mean columns.mobile"),
        ("frobnicate = 1", "docs/jobs.md lists every key"),
        ("yes = true", "unknown key"),
    ],
)
def test_an_unknown_key_is_an_error_that_says_what_may_be_meant(line, said):
    """Also where a known key stands in the wrong table."""
    ((_, text),) = _problems(LEAST + line)
    assert said in text


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('count = "two"', "count"),
        ("count = 0", "count"),
        ("count = true", "count"),
        ("count = 1.0", "count"),
        ("series = true", "series"),
        ("series = []", "series"),
        ('series = "415446"', "series"),
        ("series = [0]", "series"),
        ("allowed_series = [1, true]", "allowed_series"),
        ('identify_by = ["phone"]', "identify_by"),
        ('identify_by = ["mobile", "mobile"]', "identify_by"),
        ('empty = "maybe"', "empty"),
        ('overlap = "permit"', "overlap"),
        ("org = 1", "org"),
        ('org = " "', "org"),
        ('timezone = "UTC"\ndue = "24:00"', "due"),
        ('timezone = "UTC"\ndue = 22:30:00', "due"),
        ("pace = 1", "pace"),
        ('api.metadata = "yes"', "api.metadata"),
        ("api.timeout = true", "api.timeout"),
        ("pace.rate = 100", "pace.rate"),
        ("columns.mobile = 3", "columns.mobile"),
        ('reports.out = "out-{day}"', "reports.out"),
        ("series = [1, 2]\nallowed_series = [2, 3]", "series"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named_with_its_key(line, key):
    """Nothing is taken for something else: true is no number, a number is no text."""
    ((found, _),) = _problems(LEAST + line)
    assert found == key


@pytest.mark.parametrize("value", ["1", "[]", '["a.csv", 1]', '""', '"in/{dat}.csv"'])
def test_an_input_that_names_no_file_is_an_error(value):
    """A path in quotes, or a list of them."""
    ((key, _),) = _problems(f'campaign = "may"\ninput = {value}')
    assert key == "input"


def test_all_problems_are_told_together_and_what_is_missing_too():
    """One reading is enough to correct a file."""
    found = _problems('count = 0\nunknow = 1\n[guards]\nmin_new = "x"\n')
    assert [key for key, _ in found] == ["count", "unknow", "guards.min_new", "", ""]
    assert {text.partition(" is missing")[0] for key, text in found if not key} == {"input", "campaign"}


@pytest.mark.parametrize(
    "line",
    ['due = "22:30"', "guards.min_new = 1", 'reports.out = "x/{date}"'],
)
def test_a_job_that_depends_on_the_date_needs_a_time_zone(line):
    """On which day a job runs decides which campaign it issues for: that is not guessed."""
    assert "needs timezone" in _problems(LEAST + line)[0][1]
    assert _problems(LEAST + 'timezone = "UTC"\n' + line) == []


@pytest.mark.parametrize(("key", "value"), [("campaign", "may-{date}"), ("input", "in/{date:%d}.csv")])
def test_a_date_in_campaign_or_input_needs_a_time_zone(key, value):
    """As above."""
    text = LEAST.replace({"campaign": "may", "input": "in/list.csv"}[key], value)
    ((found, _),) = _problems(text)
    assert found == key


# ── dates ────────────────────────────────────────────────────────────────────────────────────────────────────────────

KOLKATA, BERLIN, SANTIAGO = ZoneInfo("Asia/Kolkata"), ZoneInfo("Europe/Berlin"), ZoneInfo("America/Santiago")


def _at(zone: ZoneInfo, written: str, fold: int = 0) -> float:
    return datetime.fromisoformat(written).replace(tzinfo=zone, fold=fold).timestamp()


@pytest.mark.parametrize(
    ("start", "due", "day"),
    [
        ("2026-11-23T22:30", "22:30", "2026-11-23"),  # the very moment
        ("2026-11-23T22:29:59", "22:30", "2026-11-22"),
        ("2026-11-24T00:10", "22:30", "2026-11-23"),  # a retry after midnight
        ("2026-11-24T22:29", "22:30", "2026-11-23"),  # and one a day late
        ("2026-11-23T00:00", "00:00", "2026-11-23"),
        ("2026-11-23T00:00", None, "2026-11-23"),
        ("2026-11-23T23:59:59", None, "2026-11-23"),
        ("2026-03-01T05:00", "06:00", "2026-02-28"),
        ("2027-01-01T05:00", "06:00", "2026-12-31"),
    ],
)
def test_the_date_of_a_job_is_that_of_the_last_due_moment_before_the_start(start, due, day):
    """In the job's time zone; without a due time it is the calendar day there."""
    clock = read_clock(due) if due is not None else None
    assert due_date(_at(KOLKATA, start), KOLKATA, clock) == date.fromisoformat(day)


def test_the_calendar_day_is_that_of_the_jobs_time_zone():
    """20:00 in UTC is the next day in Kolkata."""
    start = _at(ZoneInfo("UTC"), "2026-11-23T20:00")
    assert due_date(start, ZoneInfo("UTC"), None) == date(2026, 11, 23)
    assert due_date(start, KOLKATA, None) == date(2026, 11, 24)


def test_a_due_time_that_the_clocks_skip_is_due_right_after_the_gap():
    """02:30 does not exist in Berlin on 29 March 2026: it is due at 03:30, one hour after 01:30."""
    before, after = _at(BERLIN, "2026-03-29T03:29"), _at(BERLIN, "2026-03-29T03:30")
    assert due_date(before, BERLIN, time(2, 30)) == date(2026, 3, 28)
    assert due_date(after, BERLIN, time(2, 30)) == date(2026, 3, 29)


def test_a_due_time_that_comes_twice_is_due_at_its_first():
    """02:30 comes twice in Berlin on 25 October 2026."""
    assert due_date(_at(BERLIN, "2026-10-25T02:29"), BERLIN, time(2, 30)) == date(2026, 10, 24)
    assert due_date(_at(BERLIN, "2026-10-25T02:30"), BERLIN, time(2, 30)) == date(2026, 10, 25)
    assert due_date(_at(BERLIN, "2026-10-25T02:10", fold=1), BERLIN, time(2, 30)) == date(2026, 10, 25)


@given(
    st.sampled_from([KOLKATA, BERLIN, SANTIAGO, ZoneInfo("Pacific/Apia")]),
    st.integers(1_200_000_000, 2_000_000_000),
    st.none() | st.times().map(lambda at: at.replace(second=0, microsecond=0)),
)
def test_dates_never_run_backwards_and_each_due_moment_begins_its_own(zone, start, due):
    """Whatever the clocks do there: a later start never has an earlier date, and none is skipped by a start on time."""
    today = due_date(start, zone, due)
    assert today <= due_date(start + 3600, zone, due)
    assert today < due_date(start + 86_400 * 2 + 7200, zone, due) <= today + timedelta(days=4)


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("birthday", "birthday"),
        ("birthday-{date}", "birthday-2026-03-09"),
        ("b-{date:%Y-%m}", "b-2026-03"),
        ("{date:%d%m%y}-{date:%j}", "090326-068"),
        ("week {date:%G-%V-%u}", "week 2026-11-1"),
        ("{date:100%% %b %B %a %A}", "100% Mar March Mon Monday"),
        ("${FOLDER}/{date}/${FILE}", "${FOLDER}/2026-03-09/${FILE}"),
    ],
)
def test_a_template_becomes_the_text_of_its_date(template, filled):
    """Variables stay for the machine to fill."""
    assert date_problem(template) is None
    assert fill_date(template, date(2026, 3, 9)) == filled
    assert uses_date(template) == ("{date" in template)


@pytest.mark.parametrize(
    "template",
    ["{day}", "{date:}", "{date:%H}", "{date:%}", "{date:%-d}", "{date:x}", "{date", "date}", "{{date}}", "{}"],
)
def test_a_template_that_cannot_be_filled_is_refused(template):
    """A time is no part of a date: a job started twice in a night would be two campaigns."""
    assert date_problem(template) is not None


def test_every_sign_of_a_date_is_a_part_of_a_date():
    """Two moments of one day look alike."""
    for sign in DATE_SIGNS:
        early, late = (datetime.fromisoformat(f"2026-03-09T{at}Z") for at in ("01:02:03", "23:59:59"))
        assert early.strftime(f"%{sign}") == late.strftime(f"%{sign}") != f"%{sign}"


@pytest.mark.parametrize("text", ["7:30", "24:00", "12:60", "12.30", "noon", "", "12:30:00", "\u0661\u0662:30"])
def test_a_time_of_day_is_written_in_one_way(text):
    """HH:MM."""
    assert read_clock(text) is None


@pytest.mark.parametrize("text", ["23.11.2026", "2026-11-31", "20261123", "2026-W48-1", "today", ""])
def test_a_date_is_written_in_one_way(text):
    """YYYY-MM-DD."""
    assert read_day(text) is None
    assert read_day("2026-11-23") == date(2026, 11, 23)


# ── what a job refuses ───────────────────────────────────────────────────────────────────────────────────────────────


def test_series_that_a_job_does_not_allow_are_found_in_any_cell():
    """Also among several, and in a row that is rejected for another reason."""
    assert series_beyond(["415446", "415446,535521", "", "what?"], [415446, 535521]) == []
    assert series_beyond(["415446, 9", "7|415446", "600709; 7"], [415446]) == [7, 9, 600709]


def _run(number: int, scope: int, day: str | None, *files: str) -> EarlierRun:
    return EarlierRun(number, f"run-{number}", scope, f"campaign-{scope}", day, frozenset(files))


def test_a_file_that_another_date_had_is_a_repeated_one():
    """By its bytes, whatever it is called; in its own campaign it is harmless, since nothing of it is missing."""
    earlier = [_run(1, 10, "2026-11-21", "aa"), _run(2, 11, "2026-11-22", "bb", "cc")]
    assert repeated_file({"dd": "new.csv"}, None, earlier) is None
    assert repeated_file({"dd": "new.csv", "cc": "list.csv"}, None, earlier) == ("list.csv", earlier[1])
    assert repeated_file({"cc": "list.csv"}, 11, earlier) is None
    assert repeated_file({"aa": "list.csv"}, 11, earlier) == ("list.csv", earlier[0])
    again = [*earlier, _run(3, 11, "2026-11-22", "aa")]
    assert repeated_file({"aa": "list.csv"}, 11, again) is None, "this campaign had it already, as it was told"


def test_a_new_list_is_compared_with_the_last_date_before_it():
    """All runs of that date: a correction belongs to it."""
    earlier = [_run(1, 10, "2026-11-20"), _run(2, 11, "2026-11-21"), _run(3, 11, "2026-11-21"), _run(4, 12, None)]
    assert runs_before("2026-11-22", earlier) == [2, 3]
    assert runs_before("2026-11-21", earlier) == [1]
    assert runs_before("2026-11-20", earlier) == []


def test_a_run_remembers_its_job_and_one_without_a_job_has_none():
    """As JSON in its arguments."""
    mark = JobMark(name="nightly", template="b-{date}", date="2026-11-23")
    assert mark_of(mark.record()) == mark
    assert mark_of(None) is None
    assert mark_of({"name": "nightly"}) is None


def test_a_setting_leads_back_to_its_key():
    """For messages that name the line of the job file."""
    assert [key_of_option(name) for name in ("rate", "max_coupons", "map")] == [
        "pace.rate",
        "guards.max_coupons",
        "columns",
    ]


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _reference() -> str:
    """Every key as docs/jobs.md is to list it: one Markdown table for each table of the file."""
    parts = []
    for table, about in {"": "at the top of the file, above the first table", **TABLES}.items():
        title = f"### `[{table}]`: {about}" if table else f"### {about[0].upper()}{about[1:]}"
        lines = ["| key | what it says | default | unit | example |", "| --- | --- | --- | --- | --- |"]
        lines += [
            f"| `{key.leaf}` | {_escaped(key.what)} | {key.default} | {key.unit or key.shape.value} | `{key.example}` |"
            for key in KEYS
            if key.table == table
        ]
        parts.append("\n".join([title, "", *lines]))
    return "\n\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    """Text in a Markdown table: what would be emphasis or mark-up stays as it is written."""
    return re.sub(r"(\*+|\[\]|\$\{\w+\}|\{[^{}]*\}|~\$)", r"`\1`", text)


PAGE = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text(encoding="utf-8")


def test_the_page_about_jobs_lists_every_key_as_the_schema_has_it():
    """docs/jobs.md: what it says, default, unit and example of each."""
    listed = PAGE.partition("<!-- every key -->\n")[2].partition("<!-- end of every key -->")[0]
    assert listed.strip() == _reference().strip()
    assert all(f"| `{key.leaf}` |" in listed for key in KEYS)


def test_the_jobs_of_the_pages_are_valid():
    """What is shown may be copied."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    shown = [text for page in (PAGE, readme) for text in re.findall(r"```toml\n(.*?)```", page, re.DOTALL)]
    assert len([text for text in shown if "campaign" in text]) >= 2
    assert [read_spec(tomllib.loads(text))[1] for text in shown if "campaign" in text] == [[], []]


def test_the_page_names_every_part_of_a_date():
    """As many as the program knows."""
    assert " ".join(f"%{sign}" for sign in sorted(DATE_SIGNS)) == " ".join(
        sorted(re.search(r"is a part of it \(`([^`]*)`\)", PAGE)[1].split())  # type: ignore[index]
    )


@pytest.mark.parametrize("line", ["colour = 1", "[guards]\nsomething = 1", "[guards]\nmin = 1"])
def test_a_key_that_is_not_close_to_any_gets_no_suggestion(line: str):
    """A far guess misleads; the table's name, which all its keys share, does not make one close."""
    _, problems = read_spec(tomllib.loads(f'input = "x.csv"\ncampaign = "c"\n{line}\n'))
    (message,) = [one.text for one in problems if one.text.startswith("unknown key")]
    assert message == "unknown key; docs/jobs.md lists every key"
