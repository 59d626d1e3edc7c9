"""Guards as processes: each stops the run before damage, names itself, the figure and what would let it go on."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.desk import Desk, Process, Terminal, mobile

RULES = ["--yes", "--max-coupons", "1000"]


def _rows(count: int, *, first: int = 1, series: tuple[int, ...] = (415446,), each: int = 1) -> list[str]:
    return [f"{mobile(number)},{series[number % len(series)]},{each}" for number in range(first, first + count)]


def _next(done: Process) -> list[str]:
    """The words of the suggested command, without the program's name."""
    return done.last_line.rpartition("coupon-runner ")[2].split()


def _clock(minutes: int) -> str:
    return f"{datetime.now(UTC) + timedelta(minutes=minutes):%H:%M}"


# ── caps ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_customer_gets_no_more_than_her_cap_over_all_series_and_runs_of_the_campaign(desk: Desk) -> None:
    """Two fit, the third order is not sent (exit 4) and not cut; the cap holds for the next list; a higher one goes on.

    What is left out is told by its number, and the suggested command names the cap under which it fits.
    """
    with desk.serving() as server:
        desk.init(server)
        rows = [f"{mobile(1)},{series},{count}" for series, count in ((1, 1), (2, 1), (3, 2))]
        words = ["--campaign", "c", "--max-per-customer", "3"]
        stopped = desk.run("run", desk.write("a.csv", [*rows, *_rows(5, first=2)]), *words, *RULES, expect=4)
        assert "left out: 1 order that would bring 1 customer above 3 coupons" in stopped.last_line
        assert "1 row not sent" in stopped.last_line
        assert stopped.last_line.endswith("--max-per-customer 4")
        assert server.issued() == 2 + 5
        more = desk.write("b.csv", [f"{mobile(1)},4,2"])
        assert "above 3 coupons" in desk.run("run", more, *words, *RULES, "--unfinished", "abandon", expect=4).last_line
        assert server.issued() == 7
        done = desk.run("resume", "--yes", "--max-per-customer", "4")
        assert done.last_line.startswith("exit 0")
        assert server.issued() == 9


def test_a_cap_on_money_counts_what_each_series_is_worth(desk: Desk) -> None:
    """The list of series tells it, or the API: of two values the higher one counts. A resume takes a higher cap."""
    with desk.serving("[[series]]\nid = 7\ndiscount_value = 20\n[[series]]\nid = 8\ndiscount_value = 0.5\n") as server:
        desk.init(server)
        listed = desk.write("l.csv", ["7,30", "8,0.5"], header="series_id,value")
        rows = desk.write("a.csv", [f"{mobile(number)},{7 + number % 2},1" for number in range(1, 41)])
        words: list[str | Path] = ["--campaign", "c", "--series-file", listed, "--max-value", "100.25"]
        stopped = desk.run("run", rows, *words, *RULES, "--concurrency", "8", expect=4)
        assert "the cap of 100.25 in money leaves no room for the next order (--max-value)" in stopped.last_line
        series = [coupon for one in server.truth()["customers"].values() for coupon in one["series"]]
        assert 30 * series.count("7") + 0.5 * series.count("8") <= 100.25
        assert series.count("7") == 3
        assert stopped.last_line.endswith("--max-value 610")
        desk.run(*_next(stopped), "--yes")
        assert server.issued() == 40


def test_a_cap_on_money_is_refused_where_the_worth_is_not_known(desk: Desk) -> None:
    """Neither the list nor the API tells it: nothing is sent, and the sentence says where to write it."""
    with desk.serving('[[series]]\nid = 7\ndiscount_type = "PERC"\n') as server:
        desk.init(server)
        rows = desk.write("a.csv", _rows(2, series=(7,)))
        refused = desk.run("run", rows, "--campaign", "c", *RULES, "--max-value", "10", expect=2)
        assert "is not known of 1 series (7)" in refused.last_line
        assert server.posts() == 0


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_too_many_errors_stop_the_run_and_a_resume_goes_on(desk: Desk) -> None:
    """A quarter of the customers do not exist: it stops soon after fifty answers, and counts anew when resumed."""
    unknown = "".join(f'[[customers]]\nmobile = "{mobile(number)}"\nunknown = true\n' for number in range(4, 200, 4))
    with desk.serving(unknown) as server:
        desk.init(server)
        words = ["--campaign", "c", *RULES, "--concurrency", "4"]
        stopped = desk.run("run", desk.write("a.csv", _rows(120)), *words, expect=4)
        assert "refused for good (2" in stopped.last_line
        assert "more than --max-errors 20%" in stopped.last_line
        assert 50 <= server.posts() < 60
        desk.run("resume", "--yes", "--max-errors", "100%", expect=1)
        assert server.issued() == 90


def test_lost_answers_stop_the_run_when_one_call_alone_is_lost_as_well(desk: Desk) -> None:
    """Every answer is lost, and reads are answered: a few doubts, not forty, and exit 4."""
    with desk.serving('answers = ["cut"]\nrepeat_last = true\n') as server:
        desk.init(server)
        words = ["--max-in-doubt", "3", "--reach-budget", "1s", "--settle-wait", "0s", "--concurrency", "1"]
        stopped = desk.run("run", desk.write("a.csv", _rows(40)), "--campaign", "c", *RULES, *words, expect=4)
        assert "though it answers reads (--max-in-doubt)" in stopped.last_line
        assert 3 < server.posts() < 10


# ── hours ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_outside_its_hours_a_run_sends_nothing_and_says_when_they_begin(desk: Desk) -> None:
    """Exit 75 at once, before the file is read; the same command works later; a plan may be made at any hour."""
    with desk.serving() as server:
        desk.init(server)
        rows = desk.write("a.csv", _rows(2))
        hours = f"{_clock(60)}-{_clock(120)}"
        words: list[str | Path] = [rows, "--campaign", "c", *RULES[1:], "--between", hours, "--timezone", "UTC"]
        early = desk.run("run", *words, "--yes", expect=75)
        assert f"outside the hours {hours} (--between): nothing was sent" in early.last_line
        assert f"Next, once it is {datetime.now(UTC) + timedelta(hours=1):%Y-%m-%d}" in early.last_line
        assert server.posts() == 0
        assert "a run that began now would send nothing" in desk.run("plan", *words).err
        other = ["--between", f"{_clock(-60)}-{_clock(60)}", "--timezone", "UTC"]
        desk.run("run", rows, "--campaign", "c", *RULES, *other)
        assert server.issued() == 2


def test_hours_without_a_time_zone_are_refused(desk: Desk) -> None:
    """The machine's own zone is not guessed: messages would go out at night."""
    rows = desk.write("a.csv", _rows(1))
    refused = desk.run("run", rows, "--sandbox", "--yes", "--between", "09:00-21:00", expect=2)
    assert "--timezone Asia/Kolkata" in refused.last_line


def test_a_deadline_ends_the_run_and_the_rest_goes_later(desk: Desk) -> None:
    """Calls under way finish, no other begins; exit 75, and the reports say so."""
    with desk.serving("latency_seconds = [0.1, 0.1]\n") as server:
        desk.init(server)
        words = ["--campaign", "c", *RULES, "--concurrency", "1", "--json", "--deadline", "3s"]
        stopped = desk.run("run", desk.write("a.csv", _rows(60)), *words, expect=75)
        assert "is over (--deadline 3s)" in stopped.last_line
        lines = desk.reports_of(stopped).lines()
        assert lines == {"issued": server.issued(), "not_sent": 60 - server.issued()}
        assert 0 < server.issued() < 60
        desk.run("resume", "--yes", "--deadline", "1h", "--concurrency", "16")
        assert server.issued() == 60


# ── canary ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_canary_goes_first_is_read_back_and_the_rest_follows(desk: Desk) -> None:
    """One order of each series, compared by customer, series, code and call; with --yes the run goes on by itself."""
    with desk.serving() as server:
        desk.init(server)
        rows = desk.write("a.csv", _rows(30, series=(7, 8, 9)))
        done = desk.run("run", rows, "--campaign", "c", *RULES, "--canary", "3")
        assert "3 coupons read back: customer, series, code and call as recorded" in done.err
        assert [f"series {one}: 1 of 1 issued" in done.err for one in (7, 8, 9)] == [True] * 3
        assert server.issued() == 30
        first = [post["series"] for post in server.truth()["posts"]][:3]
        assert sorted(first) == [7, 8, 9]


@pytest.mark.soak
def test_a_canary_that_is_not_shown_stops_the_run_and_nothing_else_is_sent(desk: Desk) -> None:
    """Exit 4; a resume compares again, and only `--canary 0` goes on without."""
    with desk.serving("[reading]\nlag_seconds = 30\n") as server:
        desk.init(server)
        rows = desk.write("a.csv", _rows(10, series=(7, 8)))
        more = ["--canary", "2", "--settle-wait", "0.5s"]
        for words in (["run", rows, "--campaign", "c", *RULES, *more], ["resume", "--yes"]):
            stopped = desk.run(*words, expect=4)
            assert "the API does not show the coupon" in stopped.last_line
            assert stopped.last_line.endswith("--canary 0")
            assert server.posts() == 2
        desk.run(*_next(stopped), "--yes")
        assert server.issued() == 10


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ('[reading]\nanswers = ["ok", "403"]\nrepeat_last = true\n', "could not be read back"),
        ('answers = ["701"]\nrepeat_last = true\n', "none of the 2 orders of the canary was issued: 701"),
    ],
)
def test_a_canary_that_proves_nothing_stops_the_run_too(desk: Desk, config: str, words: str) -> None:
    """No access to the coupons, or not one issued: with --yes nobody is there to judge it (exit 4)."""
    with desk.serving(config) as server:
        desk.init(server)
        rows = desk.write("a.csv", _rows(10, series=(7, 8)))
        stopped = desk.run("run", rows, "--campaign", "c", *RULES, "--canary", "2", "--ignore-preflight", expect=4)
        assert words in stopped.last_line
        assert server.posts() == 2


def test_a_canary_of_a_killed_run_is_over_before_anything_else_is_sent(desk: Desk) -> None:
    """Killed in the middle of it, the resume completes it, reads it back, and then goes on."""
    with desk.serving("latency_seconds = [0.2, 0.2]\n") as server:
        desk.init(server)
        rows = desk.write("a.csv", _rows(9, series=(7, 8, 9)))
        process = desk.start("run", rows, "--campaign", "c", *RULES, "--canary", "4", "--concurrency", "1")
        desk.until_posts(server, 2)
        process.signal(9)
        process.wait()
        done = desk.run("resume", "--yes", "--concurrency", "4")
        assert "canary: 4 orders first" in done.err
        assert "4 coupons read back" in done.err
        assert server.issued() == 9


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this machine has no pseudo-terminals")
def test_on_a_terminal_the_canary_is_shown_and_the_person_is_asked(desk: Desk) -> None:
    """What was issued, with its codes, above the question; no is exit 4, a resume asks again, yes goes on."""
    with desk.serving() as server:
        desk.init(server)
        rows = desk.write("a.csv", _rows(9, series=(7, 8, 9)))
        words: list[str | Path] = ["run", rows, "--campaign", "c", "--canary", "3"]
        code, shown = Terminal(desk, *words, columns=100, typed="y\nn\n").end()
        assert code == 4, shown
        assert shown.index("series 7: 1 of 1 issued (") < shown.index("Go on with the other 6 coupons? [y/N]")
        assert "stopped after the canary, as answered (--canary)" in shown
        assert server.posts() == 3
        code, shown = Terminal(desk, "resume", columns=100, typed="y\ny\n").end()
        assert code == 0, shown
        assert "3 coupons read back" in shown
        assert (server.posts(), server.issued()) == (9, 9)
