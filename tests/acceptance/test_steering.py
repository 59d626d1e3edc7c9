"""A live run is steered from another process: pause, resume, stop and set-rate, each answered within two seconds."""

from __future__ import annotations

import json
import shlex
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.acceptance.desk import Desk, Process, Server, mobile, until

CAP = ["--yes", "--max-coupons", "9999", "--reports", "csv"]
SLOW = "latency_seconds = 0.1\n"
ANSWERED_SECONDS = 2.0
"""From the word's standing in the ledger to its answer."""


@contextmanager
def live(desk: Desk, *words: str, rows: int = 120, config: str = SLOW) -> Iterator[tuple[Process, Server, str]]:
    """A run that takes a while, once three calls have come; its server; its id."""
    with desk.serving(config) as server:
        desk.init(server)
        file = desk.write("list.csv", [f"{mobile(number)},415446,1" for number in range(1, rows + 1)])
        words = words or ("--concurrency", "2")
        run = desk.start("run", file, "--campaign", "c", *CAP, *words, "--progress", "plain", "--json")
        desk.until_posts(server, 3)
        yield run, server, name_of(run)


def name_of(run: Process) -> str:
    """The id of a run that has begun."""
    return next(line.removeprefix("run ") for line in run.err.splitlines() if line.startswith("run "))


def until_nothing_is_under_way(desk: Desk, name: str) -> None:
    """Every call that was begun has its answer."""
    until(lambda: "sending" not in desk.run("show", name, "--json").json["calls"], "no call is under way")


def answered_within(ledger) -> list[float]:
    """How long each word waited for its answer, in seconds."""
    with closing(sqlite3.connect(ledger)) as conn:
        return [float(one) for (one,) in conn.execute("SELECT done_at - at FROM control WHERE answer NOT NULL")]


def test_a_run_is_paused_let_go_on_and_stopped_from_another_process(desk):
    """Paused, nothing is sent; `show` says by whom; stopped, it ends with 75; `resume` issues the rest, once."""
    with live(desk) as (run, server, name):
        assert "call" in desk.run("pause", name).last_line
        until_nothing_is_under_way(desk, name)
        posts = server.posts()
        shown = desk.run("show", name, "--json").json
        assert shown["state"] == "running"
        assert shown["paused"].startswith("by ")
        assert "paused already, by " in desk.run("pause", name[-6:]).last_line  # a part of the id will do
        assert server.posts() == posts < 120
        refused = desk.run("resume", "--rate", "9/m", expect=2)
        assert "set-rate" in refused.last_line
        assert "going on" in desk.run("resume").last_line
        desk.until_posts(server, posts + 3)
        assert "stopping: " in desk.run("stop", name).last_line
        assert run.wait() == 75
        reports = desk.reports_of(run)
        assert reports.lines().keys() == {"issued", "not_sent"}
        assert reports.summary["exit_codes"] == [75]
        assert f"stopped by {shown['owner'].split(' ')[0]} (coupon-runner stop)" in run.last_line
        assert f"coupon-runner resume {name}" in run.last_line
        desk.run("resume", "--yes", "--concurrency", "64")
        assert (server.posts(), server.issued()) == (120, 120)
        told = [one["what"] for one in desk.run("audit", "--json").json["overrides"]]
        assert told == ["pause", "resume", "stop"]
        assert [one["what"] for one in desk.run("show", name, "--json").json["overrides"]] == told
        assert max(answered_within(desk.ledger)) <= ANSWERED_SECONDS


@pytest.mark.soak
def test_another_pace_holds_at_once_and_resume_remembers_it(desk):
    """Two calls an hour after none; the process that goes on begins with what was set last."""
    with live(desk) as (run, server, name):
        assert "2/h now, without a limit before" in desk.run("set-rate", name, "2/h").last_line
        until_nothing_is_under_way(desk, name)
        posts = server.posts()
        assert "paused" in desk.run("pause", name).last_line
        assert server.posts() <= posts + 1
        desk.run("stop", name)
        assert run.wait() == 75
        again = desk.start("resume", "--yes", "--progress", "plain", "--concurrency", "64")
        until(lambda: "issuing" in again.err, "the run goes on")
        assert server.posts() <= posts + 2
        assert "without a limit now, 2/h before" in desk.run("set-rate", name, "none").last_line
        assert again.wait() == 0
        assert (server.posts(), server.issued()) == (120, 120)


@pytest.mark.soak
def test_who_follows_a_run_sees_who_paused_it(desk):
    """As a line and as JSON, until it goes on."""
    with live(desk) as (run, _, name):
        watching, program = desk.start("show", name, "--follow"), desk.start("show", name, "--follow", "--json")
        desk.run("pause", name)
        until(lambda: "paused by " in watching.out and " since " in watching.out, "the pause is shown")
        until(lambda: '"state": "paused"' in program.out, "the pause is told")
        until(lambda: "(paused by " in run.err, "the run itself says it too")
        desk.run("stop", name)
        assert (run.wait(), watching.wait(), program.wait()) == (75, 0, 0)
        paused = [state for line in program.out.splitlines() if (state := json.loads(line)).get("state") == "paused"]
        assert all(state["paused_by"] and state["paused_since"] for state in paused)
        assert "exit code 75" in watching.last_line


def test_a_run_that_was_killed_while_paused_goes_on_unpaused(desk):
    """A pause is its process's; nobody can steer what is not live, and it is said why and what to do."""
    with live(desk) as (run, server, name):
        desk.run("pause", name)
        run.signal(signal.SIGKILL)
        run.wait()
        dead = desk.run("pause", name, expect=2)
        assert "is not live" in dead.last_line
        assert "its process has ended without a word" in dead.last_line
        assert f"Next: coupon-runner resume {name}" in dead.last_line
        assert desk.run("show", name, "--json").json["paused"] == ""
        desk.run("resume", "--yes", "--concurrency", "64", "--settle-wait", "0s", expect=None)
        assert server.issued() == server.posts() == 120
        over = desk.run("stop", name, expect=2)
        assert "is finished" in over.last_line
        assert desk.run("set-rate", name, "fast", expect=2).last_line.count("not understood") == 1
        assert "knows no run" in desk.run("pause", "20200101T000000Z-none", expect=2).err
        assert "is one of acme" in desk.run("stop", name, "--org", "other", expect=2).last_line


def test_a_rehearsal_is_found_by_its_id(desk):
    """Its ledger is another one, and no flag is needed."""
    file = desk.write("list.csv", [f"{mobile(number)},415446,1" for number in range(1, 200)])
    words = ["--sandbox", "--sandbox-config", desk.config(SLOW), "--yes", "--concurrency", "1", "--reports", "csv"]
    run = desk.start("run", file, *words, "--progress", "plain")
    until(lambda: "issuing" in run.err, "the rehearsal is live")
    assert "REHEARSAL-" in desk.run("stop", name_of(run)).last_line
    assert run.wait() == 75


@pytest.mark.parametrize("command", ["stop", "pause"])
def test_a_run_that_settles_doubts_listens_too(desk, command):
    """Paused, it reads nothing; stopped, it does not wait for the reads' sake."""
    config = "[reading]\nlag_seconds = 3600\n[[series]]\nid = 415446\nanswers = ['ok', 'ok', 'commit_then_cut']\n"
    with live(desk, "--settle-wait", "10m", rows=3, config=config) as (run, _, name):
        until(lambda: "in_doubt" in desk.run("show", name, "--json").json["calls"], "a call is in doubt")
        if command == "pause":
            assert "paused: no call is under way" in desk.run("pause", name).last_line
            assert desk.run("show", name, "--json").json["paused"]
            until(lambda: "paused: 2 of 3" in run.err or "(paused by" in run.err, "the run says it")
        desk.run("stop", name)
        assert run.wait() == 5


def test_what_is_to_be_run_next_meets_the_same_ledger(desk):
    """A run that is not live, in a ledger that is not where it usually is: the command named can be pasted."""
    elsewhere = ["--ledger", str(desk.folder / "else where" / "ledger.db")]
    with desk.serving() as server:
        desk.init(server)
        desk.run("init", "--org", "acme", "--api-url", server.url, *elsewhere)
        file = desk.write("list.csv", [f"{mobile(n)},1,1" for n in range(1, 4)])
        words = ["--campaign", "c", "--yes", "--max-coupons", "9", "--limit", "1", "--json", *elsewhere]
        run = desk.run("run", file, *words, expect=75).json["run"]
        for command in (["pause", run[-6:]], ["stop", run], ["set-rate", run, "5/s"]):
            last = desk.run(*command, *elsewhere, expect=2).last_line
            assert f"Next: coupon-runner resume {run} --ledger '{elsewhere[1]}'" in last
        following = shlex.split(last.partition("Next: coupon-runner ")[2])
        desk.run(*following, "--yes")
        assert server.issued() == 3
