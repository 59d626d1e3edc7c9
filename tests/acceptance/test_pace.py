"""The limit of a key over real sockets: nearly all of it is used, none of it exceeded, whoever shares it."""

from __future__ import annotations

import bisect
import signal
from datetime import datetime

import pytest

from tests.acceptance.desk import Desk, Server, mobile, until

LIMIT, WINDOW = 50, 2.5
RATE = "20/s"


def times_of(server: Server, *statuses: int) -> list[float]:
    """When calls came that were answered so."""
    posts = server.truth()["posts"]
    return sorted(datetime.fromisoformat(one["at"]).timestamp() for one in posts if one["status"] in statuses)


def list_of(desk: Desk, name: str, first: int, orders: int) -> tuple[str | object, ...]:
    """What a run of so many orders is given."""
    source = desk.write(f"{name}.csv", [f"{mobile(10 * (first + n) + 7)},415446,1" for n in range(orders)])
    return (source, "--campaign", name, "--rate", RATE, "--yes", "--max-coupons", "500", "--reports", "csv")


@pytest.mark.parametrize("kind", ["sliding", pytest.param("fixed", marks=pytest.mark.soak)])
def test_two_campaigns_on_one_key_and_a_kill_stay_just_below_a_limit_that_is_enforced(desk: Desk, kind: str) -> None:
    """No 429 from a server that counts; nearly the whole limit is used while both run, and after the kill."""
    config = f'latency_seconds = 0.05\n[limits]\nlimit = {LIMIT}\nwindow_seconds = {WINDOW}\nkind = "{kind}"\n'
    with desk.serving(config) as server:
        desk.init(server)
        first = desk.start("run", *list_of(desk, "first", 0, 45))  # type: ignore[arg-type]
        second = desk.start("run", *list_of(desk, "second", 1000, 35))  # type: ignore[arg-type]
        until(lambda: server.posts() >= 40, "both are at work")
        first.signal(signal.SIGKILL)
        first.wait()
        assert second.wait() == 0
        assert desk.run("resume", "--yes", expect=None).wait() in (0, 5)
        assert not times_of(server, 429)
        came = times_of(server, 200)
        fullest = max(bisect.bisect_left(came, start + WINDOW) - at for at, start in enumerate(came))
        assert fullest <= LIMIT
        both = [at for at in came if at <= came[39]]
        assert (len(both) - 1) / (both[-1] - both[0]) >= 0.8 * 20


def test_two_ledgers_with_one_key_share_its_limit(desk: Desk) -> None:
    """Each process alone would use all of it: together no 429 and no window above the limit."""
    config = f"latency_seconds = 0.05\n[limits]\nlimit = {LIMIT}\nwindow_seconds = {WINDOW}\n"
    with desk.serving(config) as server:
        desk.init(server)
        other = ("--ledger", desk.folder / "other" / "ledger.db")
        desk.run("init", "--org", "acme", "--api-url", server.url, *other)
        first = desk.start("run", *list_of(desk, "first", 0, 45))  # type: ignore[arg-type]
        second = desk.start("run", *list_of(desk, "second", 1000, 45), *other)  # type: ignore[arg-type]
        assert (first.wait(), second.wait()) == (0, 0)
        assert not times_of(server, 429)
        came = times_of(server, 200)
        assert len(came) == 90
        assert max(bisect.bisect_left(came, start + WINDOW) - at for at, start in enumerate(came)) <= LIMIT


@pytest.mark.parametrize("retry_after", ["none", "date"])
def test_what_a_lower_limit_of_the_key_taught_is_told_at_the_end(desk: Desk, retry_after: str) -> None:
    """All is issued; the terminal and summary.json say that the API throttled, and what it let through."""
    config = f'[limits]\nlimit = 6\nwindow_seconds = 1\nretry_after = "{retry_after}"\n'
    with desk.serving(config) as server:
        desk.init(server)
        source, *words = list_of(desk, "throttled", 0, 10)
        run = desk.run("run", source, *words, "--json")  # type: ignore[arg-type]
        assert len(times_of(server, 200)) == 10
        refused = len(times_of(server, 429))
        assert refused
        assert "the API throttled" in run.err
        assert "--rate" in run.err
        told = run.json["throttled"]
        assert told["calls"] == refused
        assert 1 <= told["in_the_minute_before"] <= 10


@pytest.mark.soak
def test_a_share_of_the_limit_may_stay_for_others(desk: Desk) -> None:
    """A fifth of 100 a minute: the plan reckons with 80."""
    with desk.serving() as server:
        desk.init(server)
        source = desk.write("tills.csv", [f"{mobile(10 * n + 7)},415446,1" for n in range(3)])
        words = ("plan", source, "--campaign", "tills", "--rate", "100/m")
        plan = desk.run(*words, "--leave", "20%", "--json").json
        assert plan["rate"] == "80/m"
        assert plan["pace_advice"] == ""
        refused = desk.run(*words, "--leave", "20", expect=2)
        assert "such as 20%" in refused.err
