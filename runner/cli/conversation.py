"""What a command says to and asks of a person, on a terminal or into a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from runner.adapters.ledger.runs import RunCounts, RunFacts
from runner.adapters.profiling import ColumnProfile
from runner.adapters.terminal.asking import ask, confirm, is_terminal
from runner.adapters.terminal.bar import BarProgress
from runner.adapters.terminal.plan_view import ColumnSeen, SeriesSeen, plan_json, show_plan
from runner.adapters.terminal.preflight_view import show_preflight
from runner.adapters.terminal.progress import progress_for
from runner.adapters.terminal.screens import screen_for
from runner.adapters.terminal.texts import minute, stamp
from runner.app.checking import check_document
from runner.app.conversation import Conversation, Planned
from runner.app.guarding import end_of
from runner.app.input_files import list_of_record
from runner.app.place import Place
from runner.core.codes import CodeTable
from runner.core.forecast import Forecast, forecast
from runner.core.preflight import Findings, HeldBack
from runner.core.probing import say
from runner.core.wording import counted
from runner.errors import NotNow
from runner.ports import Progress
from runner.settings import Options


class TerminalConversation(Conversation):
    """Messages to stderr; questions only where stdin and stderr are both a terminal. `quiet`: only the last line."""

    def __init__(self, options: Options, codes: CodeTable, *, quiet: bool = False) -> None:
        self.present = is_terminal()
        self._options = options
        self._codes = codes
        self._quiet = quiet
        self.console: Console = screen_for(sys.stderr)
        self._bar: BarProgress | None = None

    def show_plan(self, planned: Planned) -> None:
        """Show what a run would do."""
        if not self._quiet:
            check = planned.check
            show_plan(
                planned.plan,
                console=self.console,
                kinds=check.kinds,
                report=[str(path) for path in check.report],
                probe=say(check.probe, file_names(planned)) if check.probe is not None else (),
                **plan_words(planned),  # type: ignore[arg-type]
            )
            for note in planned.intake.notes:
                self.note(note)

    def show_place(self, settings: Path, place: Place) -> None:
        """Show what the command works with: its settings file, ledger, organisation, API and pace."""
        api = "the sandbox of this machine" if place.rehearsal else self._options.api_url or "not set"
        self.note(
            f"settings  {settings}{'' if settings.is_file() else ' (not there)'}\n"
            f"ledger    {place.ledger}{'' if place.ledger.is_file() else ' (not there)'}\n"
            f"org       {self._options.org or 'not set'}\n"
            f"api       {api}\n"
            f"pace      {self._options.rate or 'the default'}, at most "
            f"{counted(self._options.concurrency, 'call')} in flight"
        )

    def show_resume(self, run: RunFacts, counts: RunCounts) -> None:
        """Show what is left of an unfinished run, and whose it is."""
        user, host = run.owner.get("user", "unknown"), run.owner.get("host", "unknown")
        files = ", ".join(str(file.get("name", "")) for file in run.files)
        self.note(
            f"run {run.name}: campaign {run.campaign}, {files}, begun {stamp(run.started)} by {user} on {host}\n"
            f"{counts.issued:,} of {counted(counts.target, 'coupon')} issued, {counts.held:,} in doubt,"
            f" {counts.missing:,} left to issue to {counted(counts.open_orders, 'order')}"
        )

    def show_check(self, run: RunFacts, held_back: Sequence[HeldBack], findings: Findings) -> None:
        """Show what the settings of the series say of what is left of an unfinished run."""
        if not self._quiet:
            listed = list_of_record(run.args.get("series_list"))
            names = {one.id: one.name for one in listed.series.entries} if listed is not None else {}
            files = [str(file.get("name", "")) for file in run.files]
            show_preflight(self.console, held_back, findings, files, names)

    def note(self, sentence: str) -> None:
        """Say something worth a line."""
        if not self._quiet:
            with self._aside():
                self.console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def confirm(self, question: str) -> bool:
        """Yes or no, with no as the default."""
        with self._aside():
            return confirm(question)

    def _aside(self) -> AbstractContextManager[None]:
        return self._bar.aside() if self._bar is not None else nullcontext()

    def choose(self, question: str, suggestion: str) -> str:
        """A word; Enter takes the suggestion."""
        return ask(f"{question}:", suggestion)

    @contextmanager
    def watching(self) -> Iterator[Progress]:
        """Show a run while it is live."""
        mode = "none" if self._quiet else self._options.progress
        with progress_for(mode, stream=sys.stderr, is_terminal=sys.stderr.isatty(), codes=self._codes) as progress:
            self._bar = progress if isinstance(progress, BarProgress) else None
            try:
                yield progress
            finally:
                self._bar = None


def columns_seen(understood: Sequence[tuple[str, Sequence[ColumnProfile]]]) -> list[ColumnSeen]:
    """What was understood of the columns, in words; the file is named when there are several."""
    seen = []
    for file, profiles in understood:
        for profile in profiles:
            heading = profile.heading if len(understood) == 1 else f"{file}: {profile.heading}"
            parts = [f"{profile.filled:,} filled"]
            if profile.blank:
                parts.append(f"{profile.blank:,} blank")
            parts.append(f"{'' if profile.distinct_exact else 'at least '}{profile.distinct:,} different")
            if profile.looks_like:
                parts.append(profile.looks_like)
            seen.append(ColumnSeen(heading, str(profile.role), ", ".join(parts)))
    return seen


def plan_words(planned: Planned) -> dict[str, object]:
    """What the views need to know of a plan beside its counts."""
    ahead = forecast_of(planned, time.time())
    until = ""
    if ahead.seconds is not None and ahead.seconds >= 60:
        until = minute(time.time() + ahead.seconds)
    unfinished = ""
    if planned.unfinished is not None:
        unfinished = f"the unfinished run {planned.unfinished.name} comes first: its rest is issued before this file"
    return {
        "campaign": planned.intake.campaign,
        "org": planned.org.name,
        "rehearsal": planned.rehearsal,
        "files": file_names(planned),
        "columns": columns_seen(planned.intake.understood),
        "rate": planned.rate or "",
        "pace_advice": planned.pace_advice,
        "until": until,
        "ahead": ahead,
        "unfinished": unfinished,
        "cap": planned.cap,
        "first": planned.intake.first,
        "listed_series": series_seen(planned),
        "findings": planned.preflight,
    }


def forecast_of(planned: Planned, now: float) -> Forecast:
    """When a run that begins now would end."""
    try:
        end = end_of(planned.options, now)
    except NotNow:
        end = None
    return forecast(replace(planned.ahead, open_seconds=end.at - now if end is not None else None))


def series_seen(planned: Planned) -> dict[int, SeriesSeen]:
    """What the list of series says, and the API of what the list leaves open, by id."""
    listed, told = planned.intake.listed, planned.preflight
    seen = {number: SeriesSeen(value=one.money, percent=one.percentage) for number, one in told.settings.items()}
    for entry in listed.series.entries if listed is not None else ():
        api = seen.get(entry.id, SeriesSeen())
        value = entry.value if entry.value is not None else api.value
        percent = api.percent if value is None else None
        short = planned.short.get(entry.id, 0)
        seen[entry.id] = SeriesSeen(entry.name, value, entry.max_total, short, percent)
    return seen


def plan_document(planned: Planned) -> dict[str, object]:
    """A plan as JSON data."""
    reasons = {one.text: one.rows for one in planned.check.kinds}
    return {
        "plan_code": planned.code,
        **plan_json(planned.plan, reasons=reasons, **plan_words(planned)),  # type: ignore[arg-type]
        **check_document(planned.check, planned.plan, file_names(planned), planned.intake.noticed),
    }


def file_names(planned: Planned) -> list[str]:
    """The names of the files in the order of `Place.file`."""
    return [str(file["name"]) for file in planned.intake.files]
