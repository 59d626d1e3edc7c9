"""Following a run: only what changed is shown, and looking never takes much of the time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from runner.adapters.clock import SystemClock
from runner.adapters.ledger.runs import RunState, find_run
from runner.adapters.ledger.schema import runs
from runner.app.conversation import Request
from runner.app.following import EVERY_SECONDS, Follower, Look
from runner.cli import following
from runner.ports import Beat
from runner.settings import Options
from tests.adapters.report_ledger import ReportLedger

RUN = "20261121T000000Z-may-0001"
BEAT = Beat(
    target=9,
    issued=1,
    in_doubt=0,
    missing=8,
    failed_orders=0,
    calls=1,
    calls_per_second=1.0,
    eta_seconds=8.0,
    waiting=(),
    state="issuing",
    in_flight=1,
)


class Ticking(SystemClock):
    """A clock that moves by so many seconds whenever it is asked."""

    def __init__(self, step: float) -> None:
        self._now, self._step = 0.0, step

    def now(self) -> float:
        self._now += self._step
        return self._now


@pytest.fixture
def ledger(tmp_path) -> ReportLedger:
    made = ReportLedger(tmp_path)
    made.call(made.simple(2, target=3), ["A", "B"])
    return made


def request_on(ledger: ReportLedger, **flags: object) -> Request:
    """A command on this ledger."""
    flags = {"ledger": str(ledger.file.path), **flags}
    environment = {"XDG_CONFIG_HOME": str(ledger.file.path.parent), "XDG_STATE_HOME": str(ledger.file.path.parent)}
    (keys,) = (ledger.file.path.parent / "keys").iterdir()
    (ledger.file.path.parent / "coupon-runner").mkdir(exist_ok=True)
    (ledger.file.path.parent / "coupon-runner" / keys.name).write_bytes(keys.read_bytes())
    return Request(options=Options(**flags), flags=flags, environment=environment, settings=Path("none"))  # type: ignore[arg-type]


def test_a_state_that_did_not_change_is_not_shown_again(ledger, monkeypatch, capsys):
    """However often it is looked: pace and time left alone are no change."""
    run = find_run(ledger.file, RUN)
    assert run is not None
    states = [BEAT, replace(BEAT, calls_per_second=2.0, eta_seconds=4.0), replace(BEAT, issued=2, missing=7)]
    looks = [Look(beat=beat, over=False, run=run, wait_seconds=0.0) for beat in states]
    looks.append(replace(looks[-1], over=True))

    class Scripted:
        name = RUN

        def __init__(self, *_args: object, **_more: object) -> None:
            pass

        def look(self) -> Look:
            return looks.pop(0)

    monkeypatch.setattr(following, "Follower", Scripted)
    assert following.follow_run(RUN, request_on(ledger, json=True), options=(), clock=SystemClock()) == 0
    *shown, end = map(json.loads, capsys.readouterr().out.splitlines())
    assert [state["issued"] for state in shown] == [1, 2]
    assert (end["type"], end["run"]["run"]) == ("end", RUN)


@pytest.mark.parametrize(("step", "waits"), [(0.01, EVERY_SECONDS), (3.0, 12.0)])
def test_a_run_that_takes_long_to_look_at_is_looked_at_less_often(ledger, step, waits):
    """At most one part in five of the time."""
    follower = Follower(RUN, request_on(ledger), clock=Ticking(step))
    assert follower.look().wait_seconds == pytest.approx(waits)


def test_pace_and_end_are_reckoned_from_what_was_seen_since_the_first_look(ledger):
    """Not known at first; nobody holds the campaign, so it is over."""
    ledger.update(runs, 1, state=RunState.RUNNING.value)
    ledger.simple(3, target=9)
    follower = Follower(RUN, request_on(ledger), clock=Ticking(1.0))
    first = follower.look()
    assert (first.beat.eta_seconds, first.beat.calls_per_second, first.over) == (None, 0.0, True)
    ledger.call(3, ["C", "D"])
    second = follower.look()
    assert (second.beat.issued, second.beat.missing) == (4, 8)
    assert second.beat.calls_per_second == pytest.approx(0.5)
    assert second.beat.eta_seconds == pytest.approx(8.0)
