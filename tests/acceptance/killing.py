"""One trial: 120 orders against a sandbox that lies, the runner killed again and again, two books compared at the end.

The sandbox's truth says who really holds what; the ledger says what the runner believes. Nothing else is believed.
"""

from __future__ import annotations

import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.sandbox import keys_seen_again
from tests.acceptance.desk import Desk, Process, Server, mobile, process_has_ended

ORDERS = 120
SERIES = range(500001, 500041)
SETTLE_WORDS = ["--settle-after", "3s", "--settle-wait", "6s"]
"""The sandbox commits late by less than a second: three are as good here as a quarter of an hour elsewhere."""
RUN_WORDS = [
    *("--yes", "--max-coupons", "1000000", "--timeout", "0.7s", "--queue-budget", "60s", "--json"),
    *SETTLE_WORDS,
]

LIES = """
latency_seconds = [0.0, 0.03]
[chaos]
lost = 0.15
short = 0.25
hang_seconds = 0.9
late_seconds = 0.8
drip_seconds = 0.1
"""


@dataclass
class Figures:
    """What a trial did."""

    kills: int = 0
    starts: int = 0
    looks: int = 0
    posts: int = 0
    coupons: int = 0
    issued: int = 0
    in_doubt: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.starts} starts, {self.looks} looks beside them, {self.posts} calls,"
            f" {self.coupons:,} coupons = {self.issued:,} issued + {self.coupons - self.issued:,} of {self.in_doubt:,}"
            f" in doubt, {self.seconds:.0f} s"
        )


@dataclass
class Looker:
    """Somebody who looks at the run all the while: `show` and `find`, each a process of its own."""

    desk: Desk
    figures: Figures
    problems: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Looker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)

    def _look(self) -> None:
        commands = [["show", "--json"], ["find", mobile(1), "--json"], ["show"], ["find", mobile(7)]]
        while not self._over.wait(0.2):
            command = commands[self.figures.looks % len(commands)]
            process = self.desk.start(*command)
            code = process.wait()
            if code == 2 and "has no run yet" in process.last_line:
                continue
            self.figures.looks += 1
            if code != 0:
                self.problems.append(f"{command}: exit {code}: {process.err}")


def write_orders(desk: Desk, chance: random.Random) -> Path:
    """100 customers, 20 of them with two series; every tenth order is for more than 500 coupons."""
    rows = []
    for number in range(1, 101):
        first, second = chance.sample(SERIES, 2)
        series = f'"{first},{second}"' if number % 5 == 0 else str(first)
        count = chance.randint(501, 1300) if number % 10 == 3 else chance.choice((1, 1, 2, 3, 7, 40))
        rows.append(f"{mobile(number)},{series},{count}")
    chance.shuffle(rows)
    return desk.write("orders.csv", rows)


def kill_trial(desk: Desk, *, seed: int, kills: int, undo: bool = False) -> Figures:
    """Run, kill, go on, until it ends; then hold the books together. AssertionError: a promise is broken.

    `undo`: at last every run is undone, killed in the middle too, and nothing may be left.
    """
    chance = random.Random(seed)
    figures = Figures()
    began = time.monotonic()
    file = write_orders(desk, chance)
    with desk.serving(LIES, seed=seed) as server:
        desk.init(server)
        with Looker(desk, figures) as looker:
            _kill_until_it_ends(desk, server, file, chance, figures, kills)
            _hold_the_books_together(desk, server, figures)
            _settle_until_nothing_is_left(desk, figures, chance)
        assert not looker.problems, looker.problems
        _hold_the_books_together(desk, server, figures)
        assert figures.in_doubt == 0, f"{figures.in_doubt} coupons are still in doubt"
        assert figures.issued == figures.coupons, "the ledger and the truth disagree"
        desk.run("audit")  # 0: whatever the kills did, the history tells the same as the tables
        if undo:
            _undo_everything(desk, server, chance)
            desk.run("audit")
    figures.seconds = time.monotonic() - began
    return figures


def _kill_until_it_ends(
    desk: Desk, server: Server, file: Path, chance: random.Random, figures: Figures, kills: int
) -> None:
    options = [*RUN_WORDS, "--concurrency", "6" if kills <= 10 else "2"]
    words: list[str | Path] = ["run", file, "--campaign", "kills", *options]
    calls_a_kill = max(1, 110 // kills)
    while True:
        before = _posts(server)
        process = desk.start(*words)
        figures.starts += 1
        if figures.kills < kills:
            early = chance.random() < 0.25
            wanted = before + chance.randint(1, 2 * calls_a_kill)
            patience = chance.uniform(0.0, 0.5) if early else chance.uniform(1.0, 6.0)
            _wait_for(server, process, wanted=1 << 60 if early else wanted, seconds=patience)
            threading.Event().wait(chance.uniform(0, 0.01))
            process.signal(signal.SIGKILL)
        code = process.wait()
        figures.kills += code == -signal.SIGKILL
        if code == -signal.SIGKILL or (code == 75 and figures.starts < kills + 20):
            words = ["resume", *options] if chance.random() < 0.8 else words
        elif code == 2 and words[0] == "resume":  # killed before its run was loaded: there is nothing to resume yet
            assert "Nothing to resume" in process.last_line, process.err
            words = ["run", file, "--campaign", "kills", *options]
        else:
            assert code in (0, 5), f"exit {code}: {process.err}"
            return


def _settle_until_nothing_is_left(desk: Desk, figures: Figures, chance: random.Random) -> None:
    """A later coupon for somebody else, `reconcile`, `resume`: until every doubt is settled and everything issued.

    `reconcile` is killed in the middle as well, before it may end.
    """
    code = 5 if figures.in_doubt else 0
    for number in range(12):
        if not code:
            return
        later = desk.write(f"later{number}.csv", [f"{mobile(9000 + number)},500099,1"])
        desk.start("run", later, "--campaign", "later", *RUN_WORDS).wait()
        killed = desk.start("reconcile", "--json", *SETTLE_WORDS)
        threading.Event().wait(chance.uniform(0.2, 1.5))
        killed.signal(signal.SIGKILL)
        killed.wait()
        if desk.start("reconcile", "--json", *SETTLE_WORDS).wait() == 5:
            continue
        ended = desk.start("resume", *RUN_WORDS)
        code = ended.wait()
        if code == 2 and "Nothing to resume" in ended.last_line:
            return
        assert code in (0, 5), f"exit {code}: {ended.err}"


def _undo_everything(desk: Desk, server: Server, chance: random.Random) -> None:
    """Every run is undone, each time killed once on the way: nothing is left at the API."""
    for run in desk.run("runs", "--last", "500", "--json").json:
        words = ["undo", run["run"], "--yes", "--json"]
        killed = desk.start(*words)
        threading.Event().wait(chance.uniform(0.3, 2.0))
        killed.signal(signal.SIGKILL)
        killed.wait()
        code = 5
        for _ in range(5):
            if code == 5:
                code = desk.start(*words).wait()
        assert code == 0, f"{words}: exit {code}"
    left = [
        coupon["code"]
        for customer in server.truth()["customers"].values()
        for entry in customer["series"].values()
        for coupon in entry["coupons"]
        if not coupon["revoked"]
    ]
    assert not left, f"{len(left)} coupons are left, {left[:3]} among them"


def _wait_for(server: Server, process: Process, *, wanted: int, seconds: float) -> None:
    idle, give_up = threading.Event(), time.monotonic() + seconds
    while time.monotonic() < give_up and _posts(server) < wanted and not process_has_ended(process):
        idle.wait(0.005)


def _posts(server: Server) -> int:
    with closing(sqlite3.connect(f"file:{server.truth_path}?mode=ro", uri=True, timeout=10)) as truth:
        return int(truth.execute("SELECT count(*) FROM posts").fetchone()[0])


def _hold_the_books_together(desk: Desk, server: Server, figures: Figures) -> None:
    truth = server.truth()
    with closing(sqlite3.connect(f"file:{desk.ledger}?mode=ro", uri=True, timeout=10)) as ledger:
        of_trial = "SELECT value, series, target, issued, held FROM orders WHERE series <> 500099"
        orders = ledger.execute(of_trial).fetchall()
        calls = dict(ledger.execute("SELECT key, state FROM calls").fetchall())
        coupons = ledger.execute("SELECT call_key, code FROM coupons").fetchall()
    held = {
        (name.partition(":")[2], int(series)): entry["issued"]
        for name, owner in truth["identifiers"].items()
        for series, entry in truth["customers"][str(owner)]["series"].items()
        if int(series) != 500099
    }
    assert len(orders) == ORDERS
    assert keys_seen_again(truth) == {}, "a call was posted twice"
    assert set(truth["calls"]) <= set(calls), "a call was posted that the ledger does not know"
    assert "sending" not in calls.values(), "a call was left under way"
    for value, series, target, issued, in_doubt in orders:
        really = held.pop((value, series), 0)
        assert really <= target, f"{value} holds {really} of series {series}, {target} were to be issued"
        assert issued <= really <= issued + in_doubt, (value, series, target, issued, in_doubt, really)
        assert issued + in_doubt == target, f"ended, but {value} misses some of series {series}"
    assert not any(held.values()), f"issued to nobody's order: {held}"
    real = Counter(
        (coupon["call"], coupon["code"])
        for customer in truth["customers"].values()
        for series in customer["series"].values()
        for coupon in series["coupons"]
    )
    assert not Counter(coupons) - real, "the ledger holds a coupon that was never issued"
    figures.posts = len(truth["posts"])
    figures.coupons = _coupons_of(truth)
    figures.issued = sum(order[3] for order in orders)
    figures.in_doubt = sum(order[4] for order in orders)


def _coupons_of(truth: dict[str, Any]) -> int:
    """Coupons of the trial's orders, without those that were issued later to somebody else."""
    return sum(
        entry["issued"]
        for customer in truth["customers"].values()
        for series, entry in customer["series"].items()
        if int(series) != 500099
    )
