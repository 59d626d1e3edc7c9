"""`show --follow` shows a run from another process until it ends, and disturbs nothing."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.acceptance.desk import Desk, Process, Server, Terminal, mobile, until

ROWS = [f"{mobile(number)},415446,1" for number in range(1, 7)]
CAP = ["--yes", "--max-coupons", "99", "--reports", "csv"]
SLOW = "[[series]]\nid = 415446\nanswers = [" + ", ".join(['"late:0.4"'] * 6) + "]\n"


@contextmanager
def going_on(desk: Desk) -> Iterator[tuple[Process, Server]]:
    """A run that takes two or three seconds, and its server."""
    with desk.serving(SLOW) as server:
        desk.init(server)
        run = desk.start("run", desk.write("list.csv", ROWS), "--campaign", "c", *CAP, "--concurrency", "1", "--json")
        desk.until_posts(server, 1)
        yield run, server


@dataclass
class Watched:
    """One run that three watched: in a pipe, as a program, and on a terminal."""

    desk: Desk
    pipe: Process
    program: Process
    terminal: tuple[int, str]
    issued: int


@pytest.fixture(scope="module")
def watched(tmp_path_factory, starter) -> Iterator[Watched]:
    desk = Desk(tmp_path_factory.mktemp("follow") / "desk", starter)
    try:
        with going_on(desk) as (run, server):
            run.signal(signal.SIGSTOP)  # until all three look at it
            pipe, program = desk.start("show", "--follow"), desk.start("show", "--follow", "--json")
            terminal = Terminal(desk, "show", "--follow")
            until(lambda: "coupons issued" in pipe.out and program.out and terminal.shows, "each shows something")
            run.signal(signal.SIGCONT)
            assert (run.wait(), pipe.wait(), program.wait()) == (0, 0, 0)
            yield Watched(desk, pipe, program, terminal.end(), server.issued())
    finally:
        desk.end()


def test_in_a_pipe_each_change_is_a_line_and_the_end_is_told(watched):
    """Coupons only grow; the whole run stands below; the exit code is 0, and the run's own is said."""
    lines = [line for line in watched.pipe.out.splitlines() if "coupons issued" in line]
    issued = [int(found[1]) for line in lines if (found := re.search(r"issuing: (\d+) of 6", line))]
    assert issued == sorted(issued)
    assert issued
    assert len({line.partition("  ")[2] for line in lines}) == len(lines)
    assert "state          finished" in watched.pipe.out
    assert "is finished with exit code 0 (done)" in watched.pipe.last_line
    assert watched.issued == 6


def test_for_a_program_each_state_is_one_json_object_a_line(watched):
    """The last one is of the type `end` and holds what `show --json` holds."""
    *states, end = [json.loads(line) for line in watched.program.out.splitlines()]
    assert states
    assert {state["type"] for state in states} == {"progress"}
    assert all(state["target"] == 6 for state in states)
    shown = watched.desk.run("show", end["run"]["run"], "--json").json
    assert (end["type"], bool(end["time"]), end["run"]) == ("end", True, shown)


def test_on_a_terminal_it_is_one_picture_drawn_again_within_80_columns_and_without_colour(watched):
    """The picture goes away at the end, and the run stands there."""
    code, text = watched.terminal
    assert code == 0
    assert re.search(r"issuing .*\d+ of 6 coupons issued", text)
    assert "\x1b[2K" in text  # a line cleared to be drawn again
    assert not re.search(r"\x1b\[3\dm", text)
    plain = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", text.split("exit 0:")[0])
    assert max(len(line) for line in re.split(r"[\r\n]+", plain) if "/" not in line) <= 80


def test_ctrl_c_leaves_quietly_and_the_run_goes_on(desk):
    """130, and not a word on stderr."""
    with going_on(desk) as (run, server):
        watching = desk.start("show", "--follow", "--progress", "plain")
        until(lambda: "coupons issued" in watching.out, "something is shown")
        watching.signal(signal.SIGINT)
        assert watching.wait() == 130
        assert watching.err == ""
        assert run.wait() == 0
        assert server.issued() == 6


def test_a_finished_run_is_shown_once(desk):
    """And one that stopped says with which words, and how it goes on."""
    file = desk.write("list.csv", ROWS)
    desk.run("run", file, "--sandbox", "--yes", "--limit", "1", "--reports", "csv", expect=75)
    seen = desk.run("show", "--sandbox", "--follow")
    assert "coupons issued (" not in seen.out
    assert seen.out.startswith("run ")
    assert "exit code 75 (what is left can be sent again as it is): the limit of 1 order is reached" in seen.last_line
    assert "coupon-runner resume REHEARSAL-" in seen.last_line
    assert seen.last_line.endswith("--sandbox")


def test_a_run_whose_process_died_is_not_waited_for(desk):
    """It is said that nobody works on it any more, and how it goes on."""
    with going_on(desk) as (run, _):
        watching = desk.start("show", "--follow")
        until(lambda: "coupons issued" in watching.out, "something is shown")
        run.signal(signal.SIGKILL)
        run.wait()
        assert watching.wait() == 0
        assert "nobody works on" in watching.last_line
        assert "Next: coupon-runner resume " in watching.last_line
