"""Signals: the first stops cleanly with reports, the second leaves at once and what was under way is in doubt."""

from __future__ import annotations

import signal

import pytest

from tests.acceptance.desk import mobile, until

WORDS = ["--campaign", "c", "--yes", "--max-coupons", "99", "--concurrency", "2"]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=lambda value: str(value),
)
def test_the_first_signal_stops_cleanly_and_resume_goes_on(desk, number, code):
    """No new calls; those in flight finish and are settled; reports are written; `resume` issues the rest, once."""
    with desk.serving("latency_seconds = 0.1\n") as server:
        desk.init(server)
        file = desk.write("list.csv", [f"{mobile(n)},415446,1" for n in range(1, 13)])
        live = desk.start("run", file, *WORDS, "--json")
        desk.until_posts(server, 3)
        live.signal(number)
        assert live.wait() == code
        reports = desk.reports_of(live)
        lines = reports.lines()
        assert lines.keys() == {"issued", "not_sent"}
        assert lines["issued"] == server.issued() < 12
        assert reports.summary["exit_codes"][0] == code
        assert f"resume {live.json['run']}" in live.last_line
        desk.run("resume", "--yes", "--concurrency", "16")
        assert (server.posts(), server.issued()) == (12, 12)


def test_the_second_signal_leaves_at_once_and_the_calls_are_in_doubt(desk):
    """Nobody waits for the answer that hangs; it is never asked for again."""
    config = (
        f'[reading]\nlag_seconds = 3600\n[[customers]]\nmobile = "{mobile(2)}"\nanswers = ["commit_then_hang:30"]\n'
    )
    with desk.serving(config) as server:
        desk.init(server)
        file = desk.write("list.csv", [f"{mobile(n)},415446,1" for n in range(1, 4)])
        live = desk.start("run", file, *WORDS)
        until(lambda: server.issued() == 3, "three coupons are issued")
        live.signal(signal.SIGTERM)
        until(lambda: "no new calls" in live.err, "the first signal is understood")
        live.signal(signal.SIGINT)
        assert live.wait() == 143
        assert "leaving at once: calls in flight are in doubt" in live.err
        reports = desk.issue("resume", "--yes", "--settle-wait", "0s", expect=5)
        assert reports.statuses() == ["issued", "in_doubt", "issued"]
        reports = desk.issue("run", file, *WORDS, "--settle-wait", "0s", expect=5)
        assert reports.statuses() == ["issued", "in_doubt", "issued"]
        assert (server.posts(), server.issued()) == (3, 3)


def test_a_call_without_answer_within_the_grace_is_in_doubt(desk):
    """--grace bounds how long the first signal waits."""
    with desk.serving('answers = ["ok", "commit_then_hang:30"]\n') as server:
        desk.init(server)
        file = desk.write("list.csv", [f"{mobile(n)},415446,1" for n in range(1, 3)])
        live = desk.start("run", file, *WORDS, "--grace", "0.2s", "--json")
        desk.until_posts(server, 2)
        live.signal(signal.SIGTERM)
        assert live.wait() == 143
        assert desk.reports_of(live).lines() == {"issued": 1, "in_doubt": 1}
        assert 5 in desk.reports_of(live).summary["exit_codes"]
