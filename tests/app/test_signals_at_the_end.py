"""A signal that comes when everything is sent and the reports are being written."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from runner.adapters.report_files import write_reports
from runner.app import issuing, running
from runner.cli import run_command


@pytest.fixture
def issue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of a rehearsal in a folder of its own."""
    for name, folder in (("HOME", "."), ("XDG_STATE_HOME", "state"), ("XDG_CONFIG_HOME", "config")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "list.csv"
    file.write_text("mobile\n919000000001\n")
    return ["run", str(file), "--series", "415446", "--sandbox", "--yes", "--reports", "csv"]


def test_a_signal_while_the_reports_are_written_waits_for_them(
    issue: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is sent any more, so the run ends as it would have, with reports and its last line."""
    handler = signal.getsignal(signal.SIGINT)

    def interrupted(*words: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return write_reports(*words, **named)

    monkeypatch.setattr(running, "write_reports", interrupted)
    assert run_command(issue) == 0
    said = capsys.readouterr().err
    assert "SIGINT: nothing is sent any more, the reports are being written" in said
    assert said.splitlines()[-1].startswith("exit 0: 1 coupon issued")
    assert len(list(tmp_path.glob("coupon-runs/*/results.csv"))) == 1
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_while_no_run_is_live_ends_with_a_last_line_that_claims_nothing(
    name: str, issue: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says that it was stopped and where to look, and not that nothing was sent, which it cannot know."""
    number = getattr(signal, name)

    def interrupted(*_: Any, **__: Any) -> Any:
        os.kill(os.getpid(), number)

    kept = signal.signal(number, lambda *_: None)  # so that a fault here ends the test and not its process
    monkeypatch.setattr(issuing, "take_in", interrupted)
    try:
        assert run_command(issue) == 128 + number
        assert signal.getsignal(number) not in (signal.SIG_DFL, signal.default_int_handler)
    finally:
        signal.signal(number, kept)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"exit {128 + number}: ")
    assert "what was sent, if anything, is in the ledger" in last
    assert last.endswith("coupon-runner runs")
