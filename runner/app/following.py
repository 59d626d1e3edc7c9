"""`show --follow`: one look after the other at a run, from another process, until it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner.adapters.hosts import is_loopback
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.live import LiveFigures, read_live
from runner.adapters.ledger.locks import ScopeLock
from runner.adapters.ledger.runs import RunFacts, RunState, find_run
from runner.app.conversation import Request
from runner.app.looking import named_run
from runner.app.place import REHEARSAL
from runner.app.steering import holder_of, paused_now
from runner.core.forecast import DONE, NOT_KNOWN, Ahead, Forecast, Parked, forecast
from runner.core.pacing import Rate, leave_share, parse_leave, parse_rate
from runner.core.steering import Command, Paused
from runner.ports import Beat, Clock, Waiting
from runner.settings import REAL_RATE

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
        budget = float(run.args.get("queue_budget", 3 * 3600.0))
        waiting = tuple(Waiting(series, code, since, since + budget) for series, code, since in figures.waiting)
        paused = paused_now(self._ledger, run, holder_of(self._ledger, run))
        ahead = _forecast(run, figures, first, seconds, waiting, self._clock.wall())
        return Beat(
            target=figures.target,
            issued=figures.issued,
            in_doubt=figures.in_doubt,
            missing=figures.missing,
            failed_orders=figures.failed_orders,
            calls=figures.calls,
            calls_per_second=max(0, figures.calls - first.calls) / seconds if seconds > 0 else 0.0,
            eta_seconds=ahead.seconds,
            decided_by=str(ahead),
            waiting=waiting,
            state=_state(run, figures, paused),
            in_flight=figures.in_flight,
            paused_by=paused.by if paused is not None else "",
            paused_since=paused.since if paused is not None else None,
        )


def _state(run: RunFacts, figures: LiveFigures, paused: Paused | None) -> str:
    if paused is not None:
        return "paused"
    return "issuing" if figures.open or run.state is not RunState.RUNNING else "finishing"


def _forecast(
    run: RunFacts,
    figures: LiveFigures,
    first: LiveFigures,
    seconds: float,
    waiting: Sequence[Waiting],
    wall: float,
) -> Forecast:
    """When the run ends, by what came since the first look: only its own process knows how long a call takes."""
    calls, gained = figures.calls - first.calls, figures.issued - first.issued
    rate = _rate_of(run)
    parked = [Parked(one.series, (one.until or wall) - wall) for one in waiting]
    if not figures.open:
        return DONE
    if gained <= 0 or calls <= 0 or seconds <= 0:
        return (
            forecast(Ahead(calls=0, pace_per_second=None, answers_per_second=None, parked=parked))
            if parked
            else NOT_KNOWN
        )
    return forecast(
        Ahead(
            calls=figures.open * calls / gained,
            pace_per_second=rate.calls / rate.window_seconds if rate is not None else None,
            answers_per_second=calls / seconds,
            parked=parked,
        )
    )


def _rate_of(run: RunFacts) -> Rate | None:
    """The pace that a run was given: by the last `set-rate`, else as it was begun."""
    told = [one["choice"] for one in run.overrides if one.get("what") == Command.SET_RATE]
    loopback = run.name.startswith(REHEARSAL) or is_loopback(str(run.args.get("api_url") or ""))
    written = told[-1] if told else run.args.get("rate") or ("none" if loopback else REAL_RATE)
    rate, leave = parse_rate(str(written)), run.args.get("leave")
    return leave_share(rate, parse_leave(str(leave))) if rate is not None and leave is not None else rate


def _is_held(ledger: LedgerFile, run: RunFacts) -> bool:
    return ScopeLock.holder_of(ledger.path, org=run.org_key, campaign=run.campaign_key) is not None
