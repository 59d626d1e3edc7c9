"""`show --follow`: one look after the other at a run, from another process, until it has ended."""

from __future__ import annotations

from dataclasses import dataclass

from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.live import LiveFigures, read_live
from runner.adapters.ledger.locks import ScopeLock
from runner.adapters.ledger.runs import RunFacts, RunState, find_run
from runner.app.conversation import Request
from runner.app.looking import named_run
from runner.ports import Beat, Clock

EVERY_SECONDS = 2.0
_SHARE = 4
"""Looking takes at most one part in so many of the time, however long the run's list is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look. `over`: nobody works on the run any more. `wait_seconds`: until the next look."""

    beat: Beat
    over: bool
    run: RunFacts
    wait_seconds: float


class Follower:
    """Looks at one run; remembers what it saw first, for the pace.

    Raises:
        UsageError: no such run.
    """

    def __init__(self, name: str | None, request: Request, *, clock: Clock) -> None:
        self._ledger, self._run = named_run(name, request, clock=clock)
        self._clock = clock
        self._began: tuple[float, LiveFigures] | None = None

    @property
    def name(self) -> str:
        """The run's whole name."""
        return self._run.name

    def look(self) -> Look:
        """The run at this moment."""
        began = self._clock.now()
        held = _is_held(self._ledger, self._run)  # before its state: who ends a run writes that first
        run = find_run(self._ledger, self._run.name) or self._run
        figures = read_live(self._ledger, run.id)
        now = self._clock.now()
        if self._began is None:
            self._began = now, figures
        over = run.state not in (RunState.READY, RunState.RUNNING) or not held
        return Look(
            beat=self._beat(run, figures, now),
            over=over,
            run=run,
            wait_seconds=max(EVERY_SECONDS, _SHARE * (now - began)),
        )

    def _beat(self, run: RunFacts, figures: LiveFigures, now: float) -> Beat:
        assert self._began is not None  # noqa: S101 - set by the first look
        since, first = self._began
        seconds = now - since
        gained = figures.issued - first.issued
        eta = None
        if not figures.open:
            eta = 0.0
        elif gained > 0 and seconds > 0:
            eta = figures.open * seconds / gained
        return Beat(
            target=figures.target,
            issued=figures.issued,
            in_doubt=figures.in_doubt,
            missing=figures.missing,
            failed_orders=figures.failed_orders,
            calls=figures.calls,
            calls_per_second=max(0, figures.calls - first.calls) / seconds if seconds > 0 else 0.0,
            eta_seconds=eta,
            waiting=figures.waiting,
            state="issuing" if figures.open or run.state is not RunState.RUNNING else "finishing",
            in_flight=figures.in_flight,
        )


def _is_held(ledger: LedgerFile, run: RunFacts) -> bool:
    return ScopeLock.holder_of(ledger.path, org=run.org_key, campaign=run.campaign_key) is not None
