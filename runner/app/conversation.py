"""What a command and a person say to each other: the request as it came, the plan as it is shown, the questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.adapters.ledger.runs import RunCounts, RunFacts
from runner.adapters.ledger.scopes import Org
from runner.app.checking import CheckFound
from runner.app.intake import Intake
from runner.core.forecast import NOTHING_AHEAD, Ahead
from runner.core.jobspec import DatedJob
from runner.core.plan import Plan
from runner.core.preflight import NOT_CHECKED, Findings, HeldBack
from runner.ports import Beat, Progress
from runner.settings import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan as it is shown. `code`: consent to exactly this. `unfinished`: the campaign's run that comes first.

    `pace_advice`: why others on the key would be refused, "" if nobody would. `short`: by how many coupons the list's
    limits of series fall short of what is to be issued. `check`: what is wrong with the rows. `preflight`: what the
    settings of the series say. `ahead`: what decides how long it will take, but for guards.
    """

    plan: Plan
    code: str
    intake: Intake
    org: Org
    rehearsal: bool
    unfinished: RunFacts | None
    rate: str | None
    pace_advice: str
    cap: int | None
    concurrency: int
    short: Mapping[int, int]
    check: CheckFound = field(default_factory=CheckFound)
    preflight: Findings = NOT_CHECKED
    ahead: Ahead = NOTHING_AHEAD
    options: Options = field(default_factory=Options)


class Conversation:
    """What the commands say to and ask of a person; the command line implements it. Nobody there.

    `present` is False.
    """

    present: bool = False

    def show_plan(self, planned: Planned) -> None:
        """Show what a run would do."""

    def show_resume(self, run: RunFacts, counts: RunCounts) -> None:
        """Show what is left of an unfinished run, and whose it is."""

    def show_check(self, run: RunFacts, held_back: Sequence[HeldBack], findings: Findings) -> None:
        """Show what the settings of the series say of what is left of an unfinished run."""

    def note(self, sentence: str) -> None:
        """Say something worth a line."""

    def confirm(self, question: str) -> bool:
        """Yes or no; only asked when somebody is present."""
        del question
        return False

    def choose(self, question: str, suggestion: str) -> str:
        """A word; only asked when somebody is present."""
        del question
        return suggestion

    @contextmanager
    def watching(self) -> Iterator[Progress]:
        """Watch a run while it is live."""
        yield _Unwatched()


class _Unwatched:
    def beat(self, beat: Beat) -> None:
        """Nobody watches."""

    def say(self, message: str) -> None:
        """Nobody listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A command as it came: the flags given, the environment, the settings file, and the options that they make.

    `job`: of `--job`, for its date.
    """

    options: Options
    flags: Mapping[str, Any]
    environment: Mapping[str, str]
    settings: Path
    job: DatedJob | None = None
