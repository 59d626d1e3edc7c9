"""The command that a refusal prints is one that a person can run as it stands, and the flags about talking work."""

from __future__ import annotations

import shlex

import pytest

from runner.cli import run_command
from tests.acceptance.desk import mobile

ROWS = [f"{mobile(1)},415446,1", f"{mobile(2)},415446,2"]


def printed(process) -> list[str]:
    """The words of the command that the last line suggests."""
    return shlex.split(process.last_line.rpartition(": coupon-runner ")[2])


def test_a_run_that_nobody_agreed_to_names_the_code_of_the_plan_it_showed(desk):
    """Run as printed, it issues exactly that plan."""
    with desk.serving() as server:
        desk.init(server)
        refused = desk.run("run", desk.write("list.csv", ROWS), "--campaign", "c", expect=2)
        desk.run(*printed(refused))
        assert server.issued() == 3


def test_a_run_without_a_cap_names_the_cap_of_its_plan(desk):
    """Run as printed, it issues what the plan said and no more."""
    with desk.serving() as server:
        desk.init(server)
        refused = desk.run("run", desk.write("list.csv", ROWS), "--campaign", "c", "--yes", expect=2)
        assert printed(refused)[-2:] == ["--max-coupons", "3"]
        desk.run(*printed(refused))
        assert server.issued() == 3


def test_a_run_that_its_cap_stopped_names_the_cap_that_lets_it_end(desk):
    """The old cap is remembered, so `resume` alone would stop at it again."""
    file = desk.write("list.csv", ROWS)
    stopped = desk.run("run", file, "--sandbox", "--yes", "--max-coupons", "1", expect=4)
    desk.run(*printed(stopped), "--yes")
    assert desk.rehearsed_truth()["totals"]["coupons"] == 3


def test_an_overlap_names_the_way_that_issues_nothing_twice(desk):
    """Leaving these customers out; a rehearsal also says how to forget the earlier ones."""
    file = desk.write("list.csv", ROWS)
    desk.rehearse(file, "--campaign", "c")
    refused = desk.run("run", file, "--sandbox", "--yes", "--campaign", "other", expect=3)
    assert "--fresh" in refused.last_line
    desk.run(*printed(refused))
    assert desk.rehearsed_truth()["totals"]["coupons"] == 3


@pytest.mark.parametrize(
    ("words", "following"),
    [
        (["jump"], ["--help"]),
        (["show", "20990101T000000Z-none-000000", "--sandbox"], ["runs"]),
        (["plan", "list.csv", "--campaign", "c", "--api-url", "http://127.0.0.1:9"], ["init"]),
    ],
)
def test_what_does_not_exist_leads_to_a_command_that_does(desk, words, following):
    """An unknown command, an unknown run, a ledger that is not there."""
    desk.write("list.csv", ROWS)
    assert printed(desk.run(*words, expect=2)) == following


def test_quiet_leaves_the_last_line_only(desk):
    """As a flag and as a variable."""
    file = desk.write("list.csv", ROWS)
    assert len(desk.run("run", file, "--sandbox", "--yes", "-q").err.splitlines()) == 1
    assert len(desk.run("plan", file, "--sandbox", COUPON_RUNNER_QUIET="1").err.splitlines()) == 1


def test_verbose_says_first_what_the_command_works_with(desk):
    """As a flag and as a variable: settings, ledger, organisation, API and pace."""
    file = desk.write("list.csv", ROWS)
    for spoken in (
        desk.run("plan", file, "--sandbox", "-v", "--rate", "30/m"),
        desk.run("plan", file, "--sandbox", "--rate", "30/m", COUPON_RUNNER_VERBOSE="1"),
    ):
        first = [line.split()[0] for line in spoken.err.splitlines()[:5]]
        assert first == ["settings", "ledger", "org", "api", "pace"]
        assert "30/m" in spoken.err.splitlines()[4]


def test_the_summary_of_a_run_with_nothing_missing_calls_its_failures_empty(desk):
    """Nobody is told to correct a file without rows."""
    done = desk.run("run", desk.write("list.csv", ROWS), "--sandbox", "--yes")
    assert "failures.csv   empty" in done.err
    assert "correct it and run it again" not in done.err


def test_a_fault_of_the_program_ends_with_6_and_without_anybodys_name(monkeypatch, capsys):
    """Not with 1, which would say that some rows need a person, and not with the exception's own text."""

    def fail(*_args, **_more):
        raise RuntimeError("somebody@example.com")

    monkeypatch.setattr("runner.app.looking.list_of_runs", fail)
    assert run_command(["runs"]) == 6
    said = capsys.readouterr().err
    assert said.startswith("exit 6: The program failed at test_what_next.py line ")
    assert said.endswith("Next: coupon-runner runs\n")
    assert "Traceback" not in said
    assert "somebody" not in said
