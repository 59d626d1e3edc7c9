"""What `--json` prints is what docs/json.md says: the same keys, of the types that it names, and no other."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runner.adapters.terminal.progress import JsonProgress
from runner.cli.requests import app
from runner.ports import Beat, Waiting
from tests.acceptance.desk import PASSWORD, ROOT, USER, Desk, Reports, mobile, until

WORKBOOKS = True

PAGE = ROOT / "docs" / "json.md"
TYPES: dict[str, Callable[[object], bool]] = {
    "text": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
    "list of text": lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    "list of number": lambda value: isinstance(value, list) and all(isinstance(one, int) for one in value),
    "null": lambda value: value is None,
}
PRINTS_NO_DATA = {"completion"}
"""Commands that print a script, or nothing but sentences."""


@dataclass
class Table:
    """One table of the page: path of a key → the types that it may have; and which of them were met."""

    types: dict[str, list[str]] = field(default_factory=dict)
    met: set[str] = field(default_factory=set)

    def check(self, value: Any, path: str = "") -> Iterator[str]:
        """Everything in which a document differs from the table; remembers what it met."""
        if isinstance(value, list):
            for one in value:
                if isinstance(one, dict | list):
                    yield from self.check(one, f"{path}[]")
        if not isinstance(value, dict):
            return
        before = f"{path}." if path else ""
        own = {name.removeprefix(before): kinds for name, kinds in self.types.items() if name.startswith(before)}
        own = {name: kinds for name, kinds in own.items() if re.fullmatch(r"<?\w+>?", name)}
        anything = next((name for name in own if name.startswith("<")), "")
        for name, kinds in own.items():
            if name not in value and name != anything and "absent" not in kinds:
                yield f"{before}{name} is not there"
        for name, inner in value.items():
            known = name if name in own else anything
            if not known:
                yield f"{before}{name} is not documented"
                continue
            self.met.add(before + known)
            kinds = [kind for kind in own[known] if kind != "absent"]
            if not any(TYPES[kind](inner) for kind in kinds):
                yield f"{before}{name} is {inner!r}, not {' or '.join(kinds)}"
            yield from self.check(inner, before + known)


def tables() -> dict[str, Table]:
    """Heading of the page → its table."""
    found: dict[str, Table] = {}
    for part in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        rows = re.findall(r"^\| `([^`]+)` \| ([a-z ]+) \|", body, re.MULTILINE)
        assert len(rows) == body.count("\n| `"), f"{heading}: a row that cannot be read"
        found[heading] = Table({path: kinds.split(" or ") for path, kinds in rows})
    return found


LIMITS = f'[[series]]\nid = 415446\nmax_per_customer = 3\n[[customers]]\nmobile = "{mobile(2)}"\nanswers = ["cut"]\n'
ROWS = [f"{mobile(1)},415446,2", f"{mobile(2)},415446,1", f"{mobile(3)},415446,5", "nobody,415446,1"]


class Office:
    """A desk where something of every kind has happened in rehearsals, so that every key has something to say."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        desk.environment["COUPON_RUNNER_SETTLE_WAIT"] = "0s"
        self.list = desk.write("list.csv", ROWS)
        self.series = desk.write("series.csv", ["415446,Welcome,2,10,5"], header="series_id,name,count,value,max_total")
        self.limits = desk.config(LIMITS)
        self.run = str(self.rehearse(self.list, "--sandbox-config", self.limits, "--ignore-preflight", expect=5)["run"])

    def rehearse(self, *words: str | Path, expect: int = 0) -> Any:
        """A rehearsal, agreed to; its summary."""
        return self.json("run", *words, "--sandbox", "--yes", "--reports", "csv", expect=expect)

    def odd(self) -> list[str | Path]:
        """What names a list whose series say something worth telling: a limit, a percentage, messages."""
        settings = "id = 12\nmax_per_customer = 1\n[[series]]\nid = 13\nmessages = true\ndiscount_type = 'PERC'\n"
        file = self.desk.write("odd.csv", [f"{mobile(15)},12,2", f"{mobile(16)},13,1", f"{mobile(17)},12,1"])
        config = self.desk.config(f"[[series]]\n{settings}", "odd.toml")
        return [file, "--campaign", "odd", "--sandbox", "--sandbox-config", config]

    def json(self, *words: str | Path, expect: int | None = 0, **variables: str) -> Any:
        """What a command prints with `--json`, whole."""
        return self.desk.run(*words, "--json", expect=expect, **variables).json


def plans(office: Office) -> Iterator[Any]:
    """With a list of series and a repaired cell; refused: an overlap, no valid row; with another identifier."""
    rows = office.desk.write("plain.csv", [mobile(11), f"{mobile(12)}.0"], header="mobile")
    yield office.json("plan", rows, "--series-file", office.series, "--sandbox", "--campaign", "other")
    yield office.json("plan", office.list, "--sandbox", "--campaign", "other", "--overlap", "refuse", expect=3)
    yield office.json("plan", *office.odd(), expect=1)
    yield office.json("plan", office.desk.write("bad.csv", ["nobody,1,1"]), "--sandbox", expect=3)
    yield office.json("run", office.list, "--dry-run", "--sandbox", expect=1)
    with office.desk.serving(f'[[customers]]\nmobile = "{mobile(3)}"\nunknown = true\n') as server:
        other = Desk(office.desk.folder / "other", office.desk.starter)
        other.init(server)
        held = other.write("held.csv", [f"{mobile(2)},415446,1"])
        other.run("run", held, "--campaign", "held", "--yes", "--max-coupons", "1")
        office.desk.init(server)
        yield office.json("plan", office.list, "--campaign", "c", expect=1)
        named = office.desk.write("named.csv", [f"{mobile(3)},a@example.com,7"], header="mobile,email,series_id")
        yield office.json("plan", named, "--campaign", "d", "--identify-by", "mobile,email", "--fall-back")


def summaries(office: Office) -> Iterator[Any]:
    """A run, its rest, an overlap that was allowed, a file written again, a run given up."""
    yield office.json("report", office.run, "--reports", "csv")
    yield office.rehearse(*office.odd(), expect=1)
    resent = "[[series]]\nid = 9\nresend_existing = true\n"
    words: list[str | Path] = ["--sandbox-config", office.desk.config(resent, "resent.toml"), "--campaign", "again"]
    file = office.desk.write("again.csv", [f"{mobile(21)},9,1"])
    yield office.rehearse(file, *words)
    yield office.rehearse(file, *words[:3], "more", "--overlap", "allow", expect=1)
    stopped = office.rehearse(office.desk.write("long.csv", [f"{mobile(n)},7,1" for n in (31, 32)]), "--limit", "1",
                              expect=75)  # fmt: skip
    yield stopped
    yield office.json("abandon", stopped["run"], "--why", "wrong list")


def refusals(office: Office) -> Iterator[Any]:
    """Flags, files, settings, a run that is not there, and several problems at once."""
    yield office.json("jump", expect=2)
    yield office.json("run", expect=2)
    yield office.json("run", "none.csv", "--sandbox", "--yes", expect=2)
    yield office.json("run", office.list, "--campaign", "c", expect=2)
    yield office.json("show", "none", "--sandbox", expect=2)
    yield office.json("run", office.list, "--sandbox", "--campaign", "other", "--overlap", "refuse", "--yes", expect=3)
    yield office.desk.run("runs", "--last", "x", expect=2, COUPON_RUNNER_JSON="1").json
    several = office.json("runs", "--sandbox", expect=2, COUPON_RUNNER_RATE="x", COUPON_RUNNER_COUNT="0")
    assert len(several["error"].splitlines()) == 2
    yield several


def shown(office: Office) -> Iterator[Any]:
    """One that was allowed to overlap."""
    more = office.rehearse(office.desk.write("more.csv", ROWS[:1]), "--campaign", "more", "--overlap", "allow")
    yield office.json("show", more["run"])
    yield office.json("show", office.run)


def found(office: Office) -> Iterator[Any]:
    """Issued, in doubt, and a row that has no order."""
    for text in (mobile(1), mobile(2), "nobody", mobile(99)):
        yield office.json("find", text, "--sandbox")
    yield office.json("find", mobile(1), "--live", "--sandbox")


def followed(office: Office) -> Iterator[Any]:
    """A run that has ended; what comes before is of the kind of --progress json."""
    yield office.json("show", office.run, "--follow")


def steered(office: Office) -> Iterator[Any]:
    """A run that is told all there is to tell."""
    with office.desk.serving("latency_seconds = 0.2\n") as server:
        office.desk.init(server)
        rows = office.desk.write("many.csv", [f"{mobile(n)},415446,1" for n in range(1, 200)])
        words = ("--campaign", "long", "--yes", "--max-coupons", "999", "--concurrency", "1", "--reports", "csv")
        run = office.desk.start("run", rows, *words)
        office.desk.until_posts(server, 1)
        name = office.json("runs")[0]["run"]
        for command in ("pause", "resume", "stop"):
            if command == "stop":
                yield office.json("set-rate", name, "300/m")
            yield office.json(command, name)
        assert run.wait() == 75


def examined(office: Office) -> Iterator[Any]:
    """A rehearsal, where all is well, with a job; and a machine on which nothing was set up."""
    job = office.desk.config('input = "none*.csv"\ncampaign = "c"\nguards.max_coupons = 1\n', "daily.toml")
    yield office.json("doctor", "--job", job, COUPON_RUNNER_SANDBOX="1")
    yield office.json("doctor", expect=2)


def nothing_to_do(office: Office) -> Iterator[Any]:
    """A job whose input is empty on a good day."""
    job = office.desk.config('input = "none*.csv"\ncampaign = "c"\nempty = "ok"\nseries = [1]\n', "job.toml")
    yield office.json("run", "--job", job, "--sandbox", "--yes")
    yield office.json("plan", "--job", job, "--sandbox")


def progress(office: Office) -> Iterator[Any]:
    """One object a line, of a run; and of a moment when a series waits, which a run may be too quick to show."""
    config = office.desk.config('[[series]]\nid = 8\nanswers = ["5005", "ok"]\n', "wait.toml")
    file = office.desk.write("wait.csv", [f"{mobile(41)},8,1"])
    words: list[str | Path] = [
        "--sandbox",
        "--sandbox-config",
        config,
        "--yes",
        "--progress",
        "json",
        "--reports",
        "csv",
    ]
    done = office.desk.run("run", file, *words)
    yield from (json.loads(line) for line in done.err.splitlines() if line.startswith("{"))
    stream = io.StringIO()
    with JsonProgress(stream) as display:
        figures = {
            "target": 1,
            "issued": 0,
            "in_doubt": 0,
            "missing": 1,
            "failed_orders": 0,
            "calls": 1,
            "in_flight": 0,
        }
        rest = {"calls_per_second": 1.0, "eta_seconds": None, "state": "issuing"}
        display.beat(Beat(**figures, **rest, waiting=(Waiting(8, "5005"),)))  # type: ignore[arg-type]
    yield json.loads(stream.getvalue())


def first_line_of_the_sandbox(office: Office) -> Iterator[Any]:
    """Read as soon as it is there."""
    serving = office.desk.start("sandbox", "--port", "0", "--json")
    until(lambda: "\n" in serving.out, "the sandbox is listening")
    yield serving.json
    serving.signal(15)
    assert serving.wait() == 0


def settled(office: Office) -> Iterator[Any]:
    """Read, and still in doubt."""
    yield office.json("reconcile", office.run, "--sandbox", expect=5)


def resolved(office: Office) -> Iterator[Any]:
    """By a person's word."""
    (doubt,) = Reports(office.desk.folder / "coupon-runs" / office.run).table("in_doubt.csv")
    yield office.json("resolve", office.run, doubt["call_key"], "--not-issued", "--why", "looked it up", "--sandbox")


def undone(office: Office) -> Iterator[Any]:
    """What would be revoked, and what was."""
    words = ["undo", office.run, "--sandbox", "--even-in-doubt"]
    yield office.json(*words)
    yield office.json(*words, "--yes", expect=None)


def audited(office: Office) -> Iterator[Any]:
    """With an override, by a campaign that was allowed to overlap."""
    office.rehearse(office.desk.write("more.csv", ROWS[:1]), "--campaign", "more", "--overlap", "allow")
    yield office.json("audit", "--sandbox")


def recovered(office: Office) -> Iterator[Any]:
    """A ledger that is none of an older copy, and one that a person takes for one."""
    office.json("init", "--org", "acme", "--api-url", "http://127.0.0.1:9")
    yield office.json("recover")
    office.desk.environment |= {"COUPON_RUNNER_API_USER": USER, "COUPON_RUNNER_API_PASSWORD": PASSWORD}
    yield office.json("recover", "--anyway", "--yes")


def manifests(office: Office) -> Iterator[Any]:
    """Of the first run."""
    yield json.loads((office.desk.folder / "coupon-runs" / office.run / "manifest.json").read_text())


DOCUMENTS: dict[str, Callable[[Office], Iterator[Any]]] = {
    "Refusals and errors": refusals,
    "`plan`": plans,
    "`run`, `resume`, `abandon`, `report`": summaries,
    "`run --job` with nothing to do": nothing_to_do,
    "`runs`": lambda office: iter([office.json("runs", "--sandbox")]),
    "`show`": shown,
    "`show --follow`": followed,
    "`pause`, `stop`, `set-rate`": steered,
    "`doctor`": examined,
    "`find`": found,
    "`reconcile`": settled,
    "`resolve`": resolved,
    "`undo`": undone,
    "`audit`": audited,
    "`backup`": lambda office: iter([office.json("backup", "--sandbox")]),
    "`recover`": recovered,
    "`forget`": lambda office: iter([office.json("forget", mobile(1), "--yes", "--sandbox")]),
    "`purge`": lambda office: iter([office.json("purge", "--older-than", "0d", "--yes", "--sandbox")]),
    "`template`": lambda office: iter([office.json("template")]),
    "`init`": lambda office: iter([office.json("init", "--org", "acme", "--api-url", "http://127.0.0.1:9")]),
    "`init --job`": lambda office: iter([office.json("init", "--job", "nightly")]),
    "`sandbox`": first_line_of_the_sandbox,
    "`--progress json`": progress,
    "`manifest.json`": manifests,
}
"""Heading of the page → documents that together show every key of its table. A new command adds one line."""


SHOWN_ELSEWHERE = {
    "`recover`": {"problems[].problem", "problems[].count"},
    "`undo`": {"refusals[].code", "refusals[].message", "refusals[].coupons"},
}
"""Keys that these documents do not show, since it takes a refusal of the API; they are still of the page."""


@pytest.fixture
def office(desk: Desk) -> Office:
    return Office(desk)


@pytest.mark.parametrize("heading", DOCUMENTS)
def test_the_documents_have_the_documented_keys_and_no_others(office: Office, heading: str) -> None:
    """Nested ones too, each of a documented type; and no table names a key that nobody prints."""
    table = tables()[heading]
    problems = [problem for document in DOCUMENTS[heading](office) for problem in table.check(document)]
    assert problems == []
    assert sorted(set(table.types) - table.met - SHOWN_ELSEWHERE.get(heading, set())) == []


def test_every_table_of_the_page_is_compared_with_what_is_printed() -> None:
    """The list above and the headings of the page are one."""
    assert list(tables()) == list(DOCUMENTS)


def test_every_command_that_prints_data_has_the_flag_and_a_table() -> None:
    """A command without `--json` must be known to print no data."""
    named = " ".join(tables())
    for info in app.registered_commands:
        assert info.callback is not None
        name = info.name or info.callback.__name__
        if name not in PRINTS_NO_DATA:
            assert "json_output" in info.callback.__annotations__, name
            assert re.search(rf"`{name}\b", named), name


def test_a_refusal_on_stdout_says_the_same_as_the_last_line_on_stderr(office: Office) -> None:
    """The sentence and the command to run next; without --json stdout is empty."""
    refused = office.desk.run("show", "none", "--sandbox", "--json", expect=2)
    assert refused.last_line == f"exit 2: {refused.json['error']} Next: {refused.json['next']}"
    assert office.desk.run("show", "none", "--sandbox", expect=2).out == ""
