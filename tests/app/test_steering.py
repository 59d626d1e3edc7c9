"""Whoever steers a run is told what it said, or that it did not answer and that nothing was changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runner.adapters.clock import SystemClock
from runner.adapters.ledger import control
from runner.adapters.ledger.locks import ScopeLock
from runner.adapters.ledger.runs import RunFacts, RunState, find_run
from runner.adapters.ledger.schema import runs
from runner.app.steering import PATIENCE_SECONDS, steer, unpause
from runner.core.steering import Command
from runner.errors import LockHeld, UsageError
from tests.adapters.report_ledger import ReportLedger
from tests.app.test_following import RUN, request_on


class Hurried(SystemClock):
    """A clock whose sleep takes no time; `meanwhile` happens at the second of them."""

    def __init__(self, meanwhile=lambda: None) -> None:
        self._slept = 0.0
        self._sleeps = 0
        self._meanwhile = meanwhile

    def now(self) -> float:
        return self._slept

    async def sleep(self, seconds: float) -> None:
        self._slept += seconds
        self._sleeps += 1
        if self._sleeps == 2:
            self._meanwhile()


@pytest.fixture
def ledger(tmp_path) -> ReportLedger:
    made = ReportLedger(tmp_path)
    made.simple(2)
    made.update(runs, 1, state=RunState.RUNNING.value)
    return made


@pytest.fixture
def live(ledger: ReportLedger) -> Iterator[RunFacts]:
    """The run, whose process holds its campaign."""
    run = find_run(ledger.file, RUN)
    assert run is not None
    with ScopeLock.acquire(ledger.file.path, org=run.org_key, campaign=run.campaign_key, run=run.name):
        yield run


def test_a_run_that_does_not_answer_within_five_seconds_is_not_steered(ledger: ReportLedger, live: RunFacts) -> None:
    """The word is taken back, so that it cannot act later, when nobody expects it any more."""
    clock = Hurried()
    with pytest.raises(LockHeld, match=r"did not answer within 5 s .*Nothing was changed"):
        steer(Command.STOP, RUN, request_on(ledger), clock=clock)
    assert clock.now() == pytest.approx(PATIENCE_SECONDS, abs=0.2)
    (word,) = control.words_to(ledger.file, live.id)
    assert word.done_at is not None
    assert not control.answer(ledger.file, live, word.seq, "stopping", override=None, at=0.0)


def test_what_the_run_says_is_passed_on(ledger: ReportLedger, live: RunFacts) -> None:
    """As soon as it has said it."""
    clock = Hurried(lambda: control.answer(ledger.file, live, 1, "paused: all quiet", override=None, at=1.0))
    steered = steer(Command.PAUSE, RUN, request_on(ledger), clock=clock)
    assert steered.answer == "paused: all quiet"
    assert clock.now() < 1.0


@pytest.mark.usefixtures("live")
def test_a_pace_that_is_not_understood_never_reaches_the_run(ledger: ReportLedger) -> None:
    """It is refused where it was typed."""
    with pytest.raises(UsageError, match="not understood"):
        steer(Command.SET_RATE, RUN, request_on(ledger), clock=Hurried(), argument="fast")
    assert control.words_to(ledger.file, 1) == []


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (RunState.RUNNING, "its process has ended without a word"),
        (RunState.FINISHED, "it is finished"),
        (RunState.ABANDONED, "it is abandoned"),
    ],
)
def test_a_run_that_is_not_live_is_not_steered(ledger: ReportLedger, state: RunState, words: str) -> None:
    """It is said why, and nothing is left behind that could act on a later process."""
    ledger.update(runs, 1, state=state.value)
    with pytest.raises(UsageError, match=words):
        steer(Command.PAUSE, RUN, request_on(ledger), clock=Hurried())
    assert control.words_to(ledger.file, 1) == []


def test_a_campaign_that_another_run_holds_is_named(ledger: ReportLedger) -> None:
    """The word would not reach the run that was meant."""
    run = find_run(ledger.file, RUN)
    assert run is not None
    with (
        ScopeLock.acquire(ledger.file.path, org=run.org_key, campaign=run.campaign_key, run="another"),
        pytest.raises(UsageError, match=r"another process works on its campaign .*run another"),
    ):
        steer(Command.PAUSE, RUN, request_on(ledger), clock=Hurried())


def test_resume_of_a_live_run_that_is_not_paused_means_what_it_always_meant(
    ledger: ReportLedger, live: RunFacts
) -> None:
    """Nothing is told to it; of a paused one it is the word that lets it go on."""
    assert unpause(RUN, request_on(ledger), clock=Hurried()) is None
    assert control.words_to(ledger.file, live.id) == []
    seq = control.tell(ledger.file, live.id, Command.PAUSE, "", by={"user": "ann"}, at=1.0)
    control.answer(ledger.file, live, seq, "paused", override=None, at=2e9)
    clock = Hurried(lambda: control.answer(ledger.file, live, seq + 1, "going on", override=None, at=2e9))
    steered = unpause(RUN, request_on(ledger), clock=clock)
    assert steered is not None
    assert (steered.command, steered.answer) == (Command.RESUME, "going on")
    seq = control.tell(ledger.file, live.id, Command.PAUSE, "", by={"user": "ann"}, at=1.0)
    control.answer(ledger.file, live, seq, "paused", override=None, at=2e9)
    with pytest.raises(UsageError, match="only lets it go on, and --limit would need a new process"):
        unpause(RUN, request_on(ledger, limit=3), clock=Hurried())
    with pytest.raises(UsageError, match="and --deadline, --canary would need a new process"):
        unpause(RUN, request_on(ledger, deadline="3h", canary=5), clock=Hurried())
