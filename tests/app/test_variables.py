"""Every flag is COUPON_RUNNER_<FLAG> in the environment too, and means the same there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.cli import run_command, running
from runner.cli.requests import app, talk_of
from runner.cli.variables import parser_of
from runner.settings import OPTION_NAMES

Got = dict[str, Any]
Run = Callable[..., Got]

VALUES = {
    "job": "night.toml",
    "date": "2026-11-20",
    "campaign": "birthday",
    "org": "acme",
    "series": "415446,535521",
    "series-file": "series.csv",
    "sheet": "Customers",
    "hidden": "exclude",
    "count": "3",
    "map": "mobile=Ph No",
    "identify-by": "email",
    "region": "IN",
    "duplicates": "add",
    "overlap": "skip",
    "unfinished": "refuse",
    "plan": "plan-0123456789",
    "max-coupons": "50",
    "max-rejected": "25%",
    "max-per-customer": "3",
    "max-value": "2500.5",
    "between": "09:00-21:00",
    "timezone": "Asia/Kolkata",
    "max-errors": "10%",
    "max-in-doubt": "7",
    "canary": "5",
    "deadline": "2h",
    "limit": "4",
    "rate": "50/m",
    "leave": "20%",
    "concurrency": "2",
    "sandbox-config": "faults.toml",
    "api-url": "http://127.0.0.1:9",
    "metadata": "no",
    "probe": "no",
    "encoding": "cp1252",
    "attribution": "TILL=till.01",
    "timeout": "30s",
    "grace": "5s",
    "queue-budget": "1h",
    "reach-budget": "1m",
    "settle-wait": "30s",
    "settle-after": "20m",
    "phone-format": "international",
    "max-per-row": "7",
    "short-ids": "accept",
    "out": "elsewhere",
    "reports": "csv",
    "ledger": "other.db",
    "settings": "mine.toml",
    "progress": "plain",
}
"""A value other than the default of each flag that takes one; the others are given alone, and "1" as variables."""

OFF = {"metadata": "--no-metadata", "probe": "--no-probe"}
"""Flags that are on by default, and what turns them off."""


class _Stop(Exception):
    """The command has got as far as the test wants it to."""


@pytest.fixture
def got(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command until it would begin to work; what it understood by then."""
    for name, folder in (("HOME", "."), ("XDG_STATE_HOME", "state"), ("XDG_CONFIG_HOME", "config")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.chdir(tmp_path)
    seen: Got = {}

    def stop_at(name: str) -> Callable[..., Any]:
        def stop(*words: Any, **named: Any) -> Any:
            request = next((word for word in words if hasattr(word, "options")), None)
            known = {"at": name, "words": tuple(word for word in words if not hasattr(word, "options"))}
            if request is not None:
                known |= {"options": request.options, "settings": request.settings, "words": ()}
            seen.update(known)
            raise _Stop

        return stop

    def talking(*words: Any, **named: Any) -> Any:
        seen["talk"] = named
        return talk_of(*words, **named)

    for name in ("issuing.run_files", "issuing.plan_files", "resuming.resume_run", "jobs.request_of_job"):
        monkeypatch.setattr(f"runner.app.{name}", stop_at(name.partition(".")[2]))
    monkeypatch.setattr(running, "talk_of", talking)

    def run(*words: str, **variables: str) -> Got:
        seen.clear()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            run_command(words)
        assert "at" in seen, "the command refused its parameters"
        return dict(seen)

    return run


def _flags(command: str) -> list[str]:
    parameters = parser_of(app).commands[command].params
    return [word[2:] for one in parameters if one.param_type_name == "option" for word in one.opts if word[:2] == "--"]


def _stands_alone(command: str, flag: str) -> bool:
    one = next(one for one in parser_of(app).commands[command].params if f"--{flag}" in one.opts)
    return bool(one.is_flag or one.count)


@pytest.mark.parametrize(
    ("command", "flag"), [(command, flag) for command in ("run", "plan", "resume") for flag in _flags(command)]
)
def test_a_variable_means_what_its_flag_means(command: str, flag: str, got: Run):
    """For each flag of the commands that plan and issue."""
    value = VALUES.get(flag)
    assert value is not None or _stands_alone(command, flag), f"give --{flag} a value in VALUES"
    words = [OFF[flag]] if flag in OFF else [f"--{flag}"] + ([value] if value is not None else [])
    file = ["list.csv"] if command != "resume" and flag not in ("job", "date") else []
    beside = ["--job", "night.toml"] if flag == "date" else []
    by_flag = got(command, *file, *beside, *words)
    by_variable = got(command, *file, *beside, **{f"COUPON_RUNNER_{flag.upper().replace('-', '_')}": value or "1"})
    assert by_variable == by_flag
    if flag == "dry-run":
        assert by_flag["at"] == "plan_files"
    elif flag not in ("job", "date"):
        assert by_flag != got(command, *file)


def test_a_flag_beats_its_variable(got: Run):
    """Also where no setting stands behind it."""
    named = got("run", "--job", "one.toml", "--date", "2026-11-20", COUPON_RUNNER_JOB="other.toml")
    assert named["words"] == (Path("one.toml"), "2026-11-20")


def test_a_job_in_a_variable_gives_way_to_files_on_the_command_line(got: Run):
    """A cron's environment does not stop a person from running a file by hand."""
    by_hand = got("run", "list.csv", COUPON_RUNNER_JOB="night.toml", COUPON_RUNNER_DATE="2026-11-20")
    assert by_hand == got("run", "list.csv")


def test_the_variable_of_a_flag_without_a_setting_is_read_by_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """`runs --last` is no setting; what it says of a wrong value names no other."""
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("COUPON_RUNNER_LAST", "many")
    assert run_command(["runs", "--sandbox"]) == 2
    assert "Invalid value for '--last'" in capsys.readouterr().err


def test_every_flag_of_every_command_has_a_variable():
    """But for the name of a new job file, whose variable is the job that is run."""
    without = []
    for name, command in parser_of(app).commands.items():
        takes_settings = any(one.name == "settings" for one in command.params)
        for one in command.params:
            words = [word[2:].replace("-", "_") for word in one.opts if word.startswith("--")]
            settled = takes_settings and any(word in OPTION_NAMES for word in words)
            if one.param_type_name == "option" and not one.envvar and not settled:
                without.append((name, *words))
    assert without == [("init", "job")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["resmue"], "No such command 'resmue' (did you mean resume?)"),
        (["jump"], "No such command 'jump'. Next"),
        (["run", "--sandbx"], "No such option: --sandbx (did you mean --sandbox?)"),
        (["run", "--colour"], "No such option: --colour. Next"),
        (["run", "--max"], "No such option: --max. Next"),
    ],
)
def test_an_unknown_command_or_flag_names_what_is_close_and_nothing_else(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    """The dashes that all flags share do not count as alike."""
    assert run_command(words) == 2
    assert said in capsys.readouterr().err
