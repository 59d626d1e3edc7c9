"""What the process of a live run does with the words that others leave for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from runner.adapters.ledger import control
from runner.adapters.ledger.runs import RunFacts, find_run
from runner.app.listening import LOOK_SECONDS, Helm, Listener
from runner.core.pacing import Rate
from runner.core.steering import Command, Told, paused
from runner.errors import LedgerFailed
from runner.holding import Hold
from runner.pace import Pace
from tests.adapters.report_ledger import ReportLedger
from tests.engine.world import Watching
from tests.fakes.virtual_clock import VirtualClock, run_virtually

RUN = "20261121T000000Z-may-0001"
ANN = {"user": "ann", "host": "desk", "pid": 1}


@dataclass
class Live:
    """A run that listens; what it was made to do."""

    ledger: ReportLedger
    clock: VirtualClock
    run: RunFacts
    hold: Hold
    pace: Pace
    progress: Watching = field(default_factory=Watching)
    stopped: list[str] = field(default_factory=list)
    woken: int = 0

    def helm(self) -> Helm:
        """Three calls are under way."""

        def wake() -> None:
            self.woken += 1

        return Helm(
            hold=self.hold,
            pace=self.pace,
            under_way=lambda: 3,
            stopping=lambda: bool(self.stopped),
            stop=self.stopped.append,
            wake=wake,
            grace_seconds=25.0,
        )

    def tell(self, command: Command, argument: str = "", *, ago: float = 0.0) -> int:
        """Leave a word; its number."""
        at = self.clock.wall() - ago
        return control.tell(self.ledger.file, self.run.id, command, argument, by=ANN, at=at)

    async def answer(self, seq: int) -> str | None:
        """What it says within two seconds."""
        await self.clock.sleep(2 * LOOK_SECONDS)
        return self.word(seq).answer

    def word(self, seq: int) -> Told:
        """The word as it stands."""
        return control.word(self.ledger.file, self.run.id, seq)

    def overrides(self) -> list[tuple[str, str]]:
        """What the history keeps of it: what was done, and by whom."""
        run = find_run(self.ledger.file, RUN)
        assert run is not None
        return [(str(one["what"]), str(one["user"])) for one in run.overrides]


@pytest.fixture
def ledger(tmp_path) -> ReportLedger:
    made = ReportLedger(tmp_path)
    made.simple(2)
    return made


def while_it_listens(
    ledger: ReportLedger, scenario: Callable[[Live], Awaitable[None]], rate: Rate | None = None
) -> Live:
    """Run a scenario beside a listener, on virtual time."""

    async def main(clock: VirtualClock) -> Live:
        run = find_run(ledger.file, RUN)
        assert run is not None
        live = Live(ledger, clock, run, Hold(clock), Pace(rate, clock))
        listener = Listener(ledger.file, run, live.helm(), clock=clock, progress=live.progress)
        task = asyncio.create_task(listener.listen())
        await scenario(live)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return live

    return run_virtually(main)


def test_pause_and_resume_are_answered_and_recorded(ledger: ReportLedger) -> None:
    """By whom; a second word of the same kind changes nothing and is not recorded as an act."""

    async def scenario(live: Live) -> None:
        assert await live.answer(live.tell(Command.PAUSE)) == "paused: 3 calls under way finish first"
        assert live.hold.paused is not None
        assert live.hold.paused.by == "ann"
        assert await live.answer(live.tell(Command.PAUSE)) == "it was paused already, by ann"
        assert await live.answer(live.tell(Command.RESUME)) == "going on"
        assert live.hold.paused is None
        assert live.woken == 1
        assert await live.answer(live.tell(Command.RESUME)) == "it was not paused"
        assert live.overrides() == [("pause", "ann"), ("resume", "ann")]

    while_it_listens(ledger, scenario)


def test_stop_acts_once(ledger: ReportLedger) -> None:
    """As a first signal; a second `stop` is told so."""

    async def scenario(live: Live) -> None:
        assert await live.answer(live.tell(Command.STOP)) == "stopping: 3 calls under way have 25 s to finish"
        assert await live.answer(live.tell(Command.STOP)) == "it is stopping already"
        assert live.stopped == ["stopped by ann (coupon-runner stop)"]
        assert live.overrides() == [("stop", "ann")]

    while_it_listens(ledger, scenario)


def test_another_pace_is_set_and_recorded_with_its_figure(ledger: ReportLedger) -> None:
    """And who waits for a slot is woken."""

    async def scenario(live: Live) -> None:
        assert await live.answer(live.tell(Command.SET_RATE, "300/m")) == "the pace is 300/m now, 100/m before"
        assert live.pace.rate == Rate(300, 60.0)
        assert live.woken == 1
        assert await live.answer(live.tell(Command.SET_RATE, "none")) == "the pace is without a limit now, 300/m before"
        assert live.pace.rate is None
        run = find_run(ledger.file, RUN)
        assert run is not None
        assert [one["choice"] for one in run.overrides] == ["300/m", "none"]

    while_it_listens(ledger, scenario, Rate(100, 60.0))


@pytest.mark.parametrize("command", [Command.PAUSE, Command.STOP, Command.SET_RATE])
def test_a_word_that_was_taken_back_is_not_carried_out(ledger: ReportLedger, command, monkeypatch) -> None:
    """Not even when that happens while the run is about to answer."""
    read = control.unanswered

    def taken_back_meanwhile(*given) -> list[Told]:
        words = read(*given)
        for one in words:
            assert control.take_back(ledger.file, 1, one.seq, at=one.at)
        return words

    monkeypatch.setattr("runner.app.listening.unanswered", taken_back_meanwhile)

    async def scenario(live: Live) -> None:
        assert await live.answer(live.tell(command, "300/m" if command is Command.SET_RATE else "")) is None
        assert (live.hold.paused, live.stopped, live.pace.rate) == (None, [], Rate(100, 60.0))
        assert live.overrides() == []

    while_it_listens(ledger, scenario, Rate(100, 60.0))


def test_a_word_to_an_earlier_process_is_taken_back(ledger: ReportLedger) -> None:
    """Whoever gave it died before it could be answered; the next process does not stop because of it."""

    async def scenario(live: Live) -> None:
        seq = live.tell(Command.STOP, ago=3600.0)
        assert await live.answer(seq) is None
        assert live.word(seq).done_at is not None
        assert live.stopped == []

    while_it_listens(ledger, scenario)


def test_others_see_that_it_is_paused(ledger: ReportLedger) -> None:
    """By the same words, read from the ledger."""

    async def scenario(live: Live) -> None:
        since = live.clock.wall()
        await live.answer(live.tell(Command.PAUSE))
        state = paused(control.words_to(ledger.file, live.run.id), since=since)
        assert state is not None
        assert state.by == "ann"
        assert state.since == pytest.approx(since + LOOK_SECONDS)
        assert paused(control.words_to(ledger.file, live.run.id), since=live.clock.wall()) is None

    while_it_listens(ledger, scenario)


def test_a_ledger_that_cannot_be_read_for_a_while_is_said_once_and_the_run_goes_on(ledger, monkeypatch) -> None:
    """Words are heard again as soon as it can."""
    read, broken = control.unanswered, [True]

    def sometimes(*given) -> list[Told]:
        if broken:
            raise LedgerFailed("The disk failed.")
        return read(*given)

    monkeypatch.setattr("runner.app.listening.unanswered", sometimes)

    async def scenario(live: Live) -> None:
        seq = live.tell(Command.PAUSE)
        assert await live.answer(seq) is None
        assert live.progress.said == ["nobody can steer this run just now: The disk failed."]
        broken.clear()
        assert await live.answer(seq) == "paused: 3 calls under way finish first"

    while_it_listens(ledger, scenario)
