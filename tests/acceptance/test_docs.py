"""The command lines of README.md and docs/ exist, and those that are cheap are run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typer

from runner.cli import _USAGE_PROBLEM
from runner.cli.requests import app
from runner.settings import SECRETS, Options
from tests.acceptance.desk import PASSWORD, ROOT, USER, Desk, Reports, Server, mobile, until

WORKBOOKS = True

PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
SHELLS = ("sh", "")
REAL_API = "https://eu.api.capillarytech.com"
PAST = {"2026-11-20": "2025-03-20"}
"""A date of the examples and one that has certainly been, whatever this machine's clock says."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page and the heading that it stands under."""

    page: str
    heading: str
    language: str
    text: str

    @property
    def lines(self) -> list[str]:
        """Its commands, continued lines joined, without blank lines and comments of their own."""
        joined = self.text.replace("\\\n", " ")
        return [line.strip() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    heading = ""
    fenced = r"^(?P<in> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=in)```$"
    for found in re.finditer(
        rf"^## (?P<heading>[^\n]*)$|{fenced}", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        if found["heading"] is not None:
            heading = found["heading"]
        else:
            yield Block(page, heading, found["language"], found["text"])


def commands_in(line: str) -> Iterator[list[str]]:
    """Each command of ours in a line of shell: the words after `coupon-runner`, up to what ends a command."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split = True
    words: list[str] | None = None
    for word in lexer:
        if re.fullmatch(r"[;&|<>]+", word):
            if words is not None:
                yield words
            words = None
        elif words is not None:
            words.append(word)
        elif re.fullmatch(r"(\S*/bin/)?coupon-runner", word):
            words = []
    if words is not None:
        yield words


PROGRAM: Any = typer.main.get_command(app)
"""The program as its parser of flags knows it; `commands`: name → command."""


def flags_of(command: Any) -> set[str]:
    """Every flag that a command takes."""
    options = [one for one in command.params if one.param_type_name == "option"]
    return {flag for option in options for flag in (*option.opts, *option.secondary_opts)} | {"--help", "-h"}


def problem_of(words: list[str]) -> str:
    """Why the program would not take these words; empty when it would."""
    if not words or words[0].startswith("-"):
        return "" if set(words) <= flags_of(PROGRAM) else f"no such flag: {words}"
    command = PROGRAM.commands.get(words[0])
    if command is None:
        return f"no such command: {words[0]}"
    try:
        command.make_context(words[0], words[1:], resilient_parsing=False)
    except typer.Exit:  # --help
        return ""
    except _USAGE_PROBLEM as error:
        return f"{' '.join(words)}: {error}"
    return ""


# ---------------------------------------------------------------- what is written


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_is_one_that_the_program_takes(page: str) -> None:
    """Command, flags and the form of their values; in blocks and within sentences."""
    lines = [line for block in blocks(page) if block.language in SHELLS for line in block.lines]
    known = {f"coupon-runner {name}" for name in PROGRAM.commands}  # a sentence may name a command by itself
    text = re.sub(r"^ *```.*?^ *```$", "", (ROOT / page).read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    spans = {" ".join(span.split()) for span in re.findall(r"`([^`]*coupon-runner [^`]*)`", text)}
    lines += sorted(spans - known)
    assert [problem for line in lines for words in commands_in(line) if (problem := problem_of(words))] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_flag_variable_and_target_that_a_sentence_names_exists(page: str) -> None:
    """`--flag`, `command --flag`, `COUPON_RUNNER_…` and `make target`."""
    text = (ROOT / page).read_text("utf-8")
    known = PROGRAM.commands
    every = {flag for command in known.values() for flag in flags_of(command)} | flags_of(PROGRAM)
    foreign = {"docs/sandbox.md": {"--config", "--code-prefix"}, "docs/performance.md": {"--virtual"}}.get(page, set())
    problems = []
    for span in re.findall(r"`([^`\n]+)`", text):
        words = span.split()
        if words[:2] == ["python", "-m"]:
            continue  # a benchmark's own flags
        flags = {word for word in words if re.fullmatch(r"--[a-z-]+", word)}
        own = flags_of(known[words[0]]) if words[0] in known else every
        problems += [f"{span}: {flag}" for flag in sorted(flags - own - foreign)]
    variables = {f"COUPON_RUNNER_{name.upper()}" for one, info in Options.model_fields.items()
                 for name in (one, info.alias or one)}  # fmt: skip
    secrets = {f"COUPON_RUNNER_{name}{twin}" for name in SECRETS for twin in ("", "_FILE")}
    others = {f"COUPON_RUNNER_{name}" for name in ("SETTINGS", "VERBOSE", "QUIET", "DATE", "JOB", "DRY_RUN", "LAST")}
    named = set(re.findall(r"COUPON_RUNNER_[A-Z_]*[A-Z]", text))
    problems += sorted(named - variables - secrets - others)
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    problems += sorted(set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)) - set(targets))
    assert problems == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_within_the_project_leads_somewhere(page: str) -> None:
    """Files, and headings of pages."""
    text = (ROOT / page).read_text("utf-8")
    missing = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        if not file.exists():
            missing.append(target)
        elif anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
            missing += [] if anchor in anchors else [target]
    assert missing == []


def test_a_command_that_does_not_exist_would_be_found() -> None:
    """The checks above are not blind."""
    line = "cd x && /opt/bin/coupon-runner run a.csv --jump; coupon-runner leap | head  # a comment"
    assert [words[0] for words in commands_in(line)] == ["run", "leap"]
    assert all(problem_of(words) for words in commands_in(line))
    assert problem_of(["run", "a.csv", "--limit", "many"])
    assert problem_of(["run", "a.csv", "--limit", "1"]) == ""


# ---------------------------------------------------------------- what is run


@dataclass(frozen=True)
class Recipe:
    """What must have happened before the lines under a heading are run.

    `config`: of the sandbox that stands for the API. `exits`: how a line begins → exit code, beside those in comments.
    """

    before: Callable[[Desk, Server], object] = lambda desk, server: None
    config: str = ""
    initialised: bool = True
    exits: dict[str, int] = field(default_factory=dict)


LISTED = ["run", "--campaign", "birthday", "--series", "415446", "--yes", "--max-coupons", "9"]


def _customers(desk: Desk, *numbers: int, name: str = "customers.csv") -> Path:
    return desk.write(name, [f"{mobile(number)},415446" for number in numbers], header="mobile,series_id")


def _some_issued(desk: Desk, server: Server) -> None:
    desk.run(*LISTED, desk.write("customers.csv", [mobile(1), mobile(2)], header="mobile"), "--limit", "1", expect=75)


def _ran(code: int, *more: str) -> Callable[[Desk, Server], object]:
    def before(desk: Desk, server: Server) -> None:
        desk.run(*LISTED, _customers(desk, 1, 2, 3), *more, expect=code)

    return before


def _north_and_south(desk: Desk, server: Server) -> None:
    _customers(desk, 1, 2, name="north.csv")
    desk.run(*LISTED, _customers(desk, 2, 3, name="south.csv"))


def _killed(desk: Desk, server: Server) -> None:
    live = desk.start(*LISTED, _customers(desk, 1, 2, 3))
    until(lambda: any(post["fault"] == "hang" for post in server.truth()["posts"]), "a call is under way")
    live.signal(9)
    live.wait()


def _at_home(desk: Desk, server: Server) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        desk.environment.pop(name)
    desk.init(server)
    _ran(0)(desk, server)


def _put_back(desk: Desk, server: Server) -> None:
    """The ledger is a backup of before the last run, which ended an hour ago."""
    desk.run(*LISTED, _customers(desk, 1, 2))
    copy = desk.folder / "safe.backup"
    desk.run("backup", copy)
    desk.run(*LISTED, _customers(desk, 1, 2, 3))
    for beside in desk.ledger.parent.glob("ledger.db-*"):
        beside.unlink()
    shutil.copy(copy, desk.ledger)
    for file in (desk.ledger.with_name("ledger.db.witness"), *desk.folder.glob("coupon-runs/*/manifest.json")):
        os.utime(file, (file.stat().st_mtime - 3600,) * 2)


def _jobs(desk: Desk, server: Server) -> None:
    shutil.copytree(ROOT / "jobs", desk.folder / "jobs")
    desk.environment["COUPON_IN"] = str(desk.folder)
    _customers(desk, 1, 2, name="birthdays-2025-03-20.csv")


def _marketing(desk: Desk, server: Server) -> None:
    desk.run("init", "--org", "acme", "--api-url", server.url, "--region", "IN")
    desk.environment |= {"COUPON_RUNNER_API_USER": USER, "COUPON_RUNNER_API_PASSWORD": PASSWORD}
    desk.write("customers.csv", ["9000000001", "9000000002"], header="Mobile No.")


def _cron(desk: Desk, server: Server) -> None:
    (desk.folder / "jobs").mkdir()
    (desk.folder / "data" / "in").mkdir(parents=True)
    _customers(desk, 1, 2, name="data/in/birthday.csv")
    _customers(desk, 3, name="data/in/birthdays-2025-03-20.csv")


def _millions(desk: Desk, server: Server) -> None:
    _customers(desk, 1, 2, 3, name="millions.csv")
    desk.environment["COUPON_RUNNER_LIMIT"] = "2"  # stands for a Ctrl-C


def _answers(*answers: str) -> str:
    return f'[[customers]]\nmobile = "{mobile(2)}"\nanswers = {list(answers)}\n'


RECIPES: dict[tuple[str, str], Recipe] = {
    ("README.md", "Five minutes for marketing operations"): Recipe(_marketing, initialised=False),
    ("README.md", "Five minutes for whoever owns the cron"): Recipe(_cron, initialised=False),
    ("README.md", "Five minutes for the campaign backfill"): Recipe(_millions, exits={"coupon-runner run ": 75}),
    ("docs/cookbook.md", "The wrong series, and some rows have it already"): Recipe(_some_issued),
    ("docs/cookbook.md", "Some rows failed, and I have corrected them"): Recipe(_ran(1), _answers("709")),
    ("docs/cookbook.md", "The queue was empty all night"): Recipe(
        _ran(75, "--queue-budget", "0s"), '[[series]]\nid = 415446\nanswers = ["5005"]\n'
    ),
    ("docs/cookbook.md", 'The plan says "cannot succeed", or that the stock is short'): Recipe(
        lambda desk, server: _customers(desk, 1, 2, 3),
        '[[series]]\nid = 415446\nkind = "uploaded"\nstock = 2\n',
        exits={"coupon-runner run ": 1},
    ),
    ("docs/cookbook.md", "Two colleagues, one campaign"): Recipe(_north_and_south),
    ("docs/cookbook.md", "An answer was lost"): Recipe(_ran(5), _answers("cut")),
    ("docs/cookbook.md", "The machine was killed in the middle"): Recipe(_killed, _answers("hang")),
    ("docs/cookbook.md", "The ledger moves to another machine"): Recipe(_at_home, initialised=False),
    ("docs/cookbook.md", "The nightly job got an empty file"): Recipe(_jobs),
    ("docs/cookbook.md", '"Did anyone get two?"'): Recipe(_ran(0)),
    ("docs/cookbook.md", "300 rows got coupons of the wrong series"): Recipe(_ran(0)),
    ("docs/cookbook.md", "The disk died, and I have a backup"): Recipe(_put_back),
    ("docs/cookbook.md", "A customer wants to be forgotten"): Recipe(_ran(0)),
    ("docs/jobs.md", ""): Recipe(_jobs),
}
"""Where commands stand that are run, one after the other, on a desk of their own."""

NOT_RUN = {
    ("README.md", "Two commands"): "they are `make demo` and `make test`, and a PATH",
    ("docs/sandbox.md", "Start it"): "serves until it is stopped; tests/sandbox does it",
    ("docs/sandbox.md", "Series as they really are"): "needs an organisation's credentials; tests/app does it",
    ("docs/performance.md", "Measured"): "takes minutes",
}
"""Where commands stand that are not run, and why."""


def _with_commands() -> set[tuple[str, str]]:
    every = [block for page in PAGES for block in blocks(page) if block.language in SHELLS]
    return {(block.page, block.heading) for block in every if any(map(_is_run, block.lines))}


def _is_run(line: str) -> bool:
    return line.startswith(("coupon-runner ", "tar ", "mv ", "export "))


def test_every_command_line_is_run_or_known_not_to_be() -> None:
    """A new section with commands says what must have happened before, or why they are not run."""
    assert _with_commands() - set(NOT_RUN) == set(RECIPES)


@pytest.mark.parametrize(("page", "heading"), RECIPES, ids=[heading or page for page, heading in RECIPES])
def test_the_commands_under_a_heading_work_one_after_the_other(desk: Desk, page: str, heading: str) -> None:
    """On a desk where what the heading says has happened; each ends with 0 or the exit code that its comment names."""
    recipe = RECIPES[page, heading]
    if heading.startswith("The ledger moves") and sys.platform != "linux":
        pytest.skip("the folders are those of Linux")
    with ExitStack() as stack:
        server = stack.enter_context(desk.serving(recipe.config))
        desk.environment |= {"COUPON_RUNNER_REPORTS": "csv", "COUPON_RUNNER_SETTLE_WAIT": "0s"}
        if recipe.initialised:
            desk.init(server)
        recipe.before(desk, server)
        for block in blocks(page):
            if block.heading != heading:
                continue
            if block.language == "toml" and page == "README.md":
                desk.config(_here(block.text, desk, server), "jobs/birthday.toml")
            for line in block.lines if block.language in SHELLS else ():
                if _is_run(line):
                    _run(desk, server, line, recipe.exits)


def _here(text: str, desk: Desk, server: Server) -> str:
    """What an example names, as it is on this desk."""
    text = text.replace(REAL_API, server.url).replace("/data/", f"{desk.folder}/data/")
    for date, past in PAST.items():
        text = text.replace(date, past)
    return text


def _run(desk: Desk, server: Server, line: str, exits: dict[str, int]) -> None:
    code = int(found[1]) if (found := re.search(r"#.*\bexit (\d+)", line)) else 0
    code = next((number for start, number in exits.items() if line.startswith(start)), code)
    runs = sorted(path.name for path in (desk.folder / "coupon-runs").glob("2*"))
    text = re.sub(r"\bRUN\b", runs[-1] if runs else "RUN", _here(line, desk, server))
    if re.search(r"\bCALL\b", text):
        (doubt,) = Reports(desk.folder / "coupon-runs" / runs[-1]).table("in_doubt.csv")
        text = re.sub(r"\bCALL\b", doubt["call_key"], text)
    if text.startswith("export "):
        made = dict(word.split("=", 1) for word in shlex.split(text, comments=True)[1:])
        desk.environment |= made
        return
    if not text.startswith("coupon-runner "):
        subprocess.run(["sh", "-ec", text], cwd=desk.folder, env=desk.environment, check=True)
        return
    ((command, *words),) = commands_in(text)
    if command in ("run", "resume") and not {"--yes", "-y"} & set(words):  # what a person says on the terminal
        words += ["--yes", "--max-coupons", "99"] if command == "run" else ["--yes"]
    desk.run(command, *words, expect=code)
