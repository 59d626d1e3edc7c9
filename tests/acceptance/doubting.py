"""One trial of doubts: an API that loses most answers and shows what it issued late, partly or without keys.

The ledger must never say "not issued" of what was issued, nor "issued" of what was not: its book is held against the
sandbox's truth, order by order. What it cannot know may stay in doubt.
"""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass

from runner.sandbox import keys_seen_again
from tests.acceptance.desk import Desk, mobile

SERIES = range(600001, 600011)
OPTIONS = [
    *("--yes", "--max-coupons", "1000000", "--timeout", "0.4s", "--reports", "csv", "--json"),
    *("--concurrency", "40", "--settle-after", "3s", "--settle-wait", "5s"),
]

LIES = """
[chaos]
lost = 0.6
hang_seconds = 0.6
late_seconds = 0.5
drip_seconds = 0.1
[reading]
"""

APIS = {
    "shows the keys": ("", []),
    "shows them two seconds late": ("lag_seconds = 2", []),
    "drops the metadata": ("drop_metadata = true", []),
    "drops the metadata, and time may settle": ("drop_metadata = true", ["--settle-by-time"]),
    "ignores issuedToIds": ("ignore_issued_to_ids = true", []),
    "gets no metadata": ("", ["--no-metadata"]),
    "drops the metadata and is late": ("drop_metadata = true\nlag_seconds = 2", ["--settle-by-time"]),
}
"""What the reads of an API are like: its configuration and the options of the runs."""


@dataclass
class Figures:
    """What a trial did."""

    doubts: int = 0
    settled_issued: int = 0
    settled_missing: int = 0
    left: int = 0

    def __str__(self) -> str:
        return (
            f"{self.doubts} doubts: {self.settled_issued} settled as issued, {self.settled_missing} as not,"
            f" {self.left} left in doubt"
        )


def doubt_trial(desk: Desk, *, api: str, seed: int, orders: int, rounds: int) -> Figures:
    """Run, settle and go on a few times; then hold the books together. AssertionError: a doubt was settled wrongly."""
    chance = random.Random(seed)
    reading, options = APIS[api]
    rows = [f"{mobile(n)},{chance.choice(SERIES)},{chance.choice((1, 1, 2, 5))}" for n in range(1, orders + 1)]
    file = desk.write("orders.csv", rows)
    with desk.serving(LIES + reading + "\n", seed=seed) as server:
        desk.init(server)
        for _ in range(rounds):
            desk.run("run", file, "--campaign", "doubts", *OPTIONS, *options, expect=None)
            desk.run("reconcile", "--json", *OPTIONS[-4:], expect=None)
        truth = server.truth()
    with closing(sqlite3.connect(f"file:{desk.ledger}?mode=ro", uri=True, timeout=10)) as ledger:
        book = ledger.execute("SELECT value, series, target, issued, held FROM orders").fetchall()
        settled = dict(ledger.execute("SELECT verdict, count(*) FROM evidence GROUP BY verdict").fetchall())
        left = ledger.execute("SELECT count(*) FROM calls WHERE state = 'in_doubt'").fetchone()[0]
        doubts = ledger.execute("SELECT count(DISTINCT order_id || '-' || number) FROM evidence").fetchone()[0]
    assert keys_seen_again(truth) == {}, "a call was posted twice"
    held = {
        (name.partition(":")[2], int(series)): entry["issued"]
        for name, owner in truth["identifiers"].items()
        for series, entry in truth["customers"][str(owner)]["series"].items()
    }
    for value, series, target, issued, in_doubt in book:
        really = held.pop((value, series), 0)
        assert issued <= really <= issued + in_doubt, f"settled wrongly: {(value, series, target, issued, really)}"
        assert really <= target, f"{value} holds {really} of series {series}, {target} were to be issued"
    assert not held
    return Figures(doubts, settled.get("issued", 0), settled.get("refused", 0), left)
