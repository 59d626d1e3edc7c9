"""Every key of a job file: what it means, its default and unit, and the option that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


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


def key_of_option(option: str) -> str:
    """The key of a job file that becomes this option."""
    if option == "map":
        return COLUMNS
    return next((key.name for key in KEYS if key.option == option), option)
