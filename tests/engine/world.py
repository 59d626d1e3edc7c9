"""A run in memory: ledger, API, clock and engine, with what a test wants to look at afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.core.codes import CodeTable
from runner.core.model import CallStart, CustomerFacts, Identifier, Kind, Order, Settlement
from runner.core.pacing import Rate
from runner.engine import Engine, EngineOptions, Stop
from runner.errors import LedgerFailed
from runner.holding import Hold
from runner.pace import Pace
from runner.ports import Beat
from tests.fakes.memory_ledger import Line, MemoryLedger
from tests.fakes.scripted_api import Fault, Posted, ScriptedApi
from tests.fakes.virtual_clock import VirtualClock, run_virtually

SERIES, OTHER, THIRD = 415446, 535521, 611111


def mobile(number: int) -> str:
    """The number-th made-up mobile."""
    return f"9190000{number:05d}"


def line(number: int, series: int = SERIES, target: int = 1) -> Line:
    """A line of a file: the number-th customer."""
    return Line((Identifier(Kind.MOBILE, mobile(number), mobile(number)),), series, target)


def customer(number: int) -> str:
    """The name under which the fake API knows the number-th customer."""
    return f"mobile:{mobile(number)}"


@dataclass
class Watching:
    """`ports.Progress` that remembers."""

    beats: list[Beat] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def beat(self, beat: Beat) -> None:
        self.beats.append(beat)

    def say(self, message: str) -> None:
        self.said.append(message)


class WatchedLedger(MemoryLedger):
    """A ledger that counts what was read ahead and can fail or be looked at around each begin and settlement."""

    def __init__(self) -> None:
        super().__init__()
        self.read_ahead: set[int] = set()
        self.most_read_ahead = 0
        self.begun: list[CallStart] = []
        self.settled: list[Settlement] = []
        self.fail_begin_at: int | None = None
        self.fail_settle_at: int | None = None
        self.on_begin: Callable[[CallStart], Awaitable[None]] | None = None
        self.on_settle: Callable[[Settlement], None] | None = None

    async def open_orders(self, run: int, series: int, after: int, limit: int) -> Sequence[Order]:
        found = await super().open_orders(run, series, after, limit)
        self.read_ahead.update(order.id for order in found)
        self.most_read_ahead = max(self.most_read_ahead, len(self.read_ahead))
        return found

    async def begin(self, start: CallStart) -> bool:
        self.read_ahead.discard(start.order_id)
        if self.on_begin is not None:
            await self.on_begin(start)
        if self.fail_begin_at is not None and len(self.begun) + 1 >= self.fail_begin_at:
            raise self.fail("disk full")
        begun = await super().begin(start)
        if begun:
            self.begun.append(start)
        return begun

    def settle(self, settlement: Settlement) -> None:
        if len(self.settled) + 1 == self.fail_settle_at:
            raise self.fail("disk full")
        super().settle(settlement)
        self.settled.append(settlement)
        if self.on_settle is not None:
            self.on_settle(settlement)

    def fail(self, why: str) -> LedgerFailed:
        """From now on every method raises, as after a full disk."""
        return self._fail(why)


class World:
    """Everything around an engine. `lines` are loaded as run 1; `answer` is the API's script.

    Args:
        seconds: how long a call takes.
        options: fields of `EngineOptions`.
    """

    def __init__(
        self,
        clock: VirtualClock,
        lines: Sequence[Line] = (),
        answer: Any = (),
        *,
        seconds: float | Callable[[Posted], float] = 0.05,
        oauth: bool = False,
        rate: Rate | None = None,
        same_person: Mapping[tuple[str, str], str] | None = None,
        unknown: Collection[tuple[str, str]] = (),
        names_of: Callable[[CustomerFacts], tuple[Identifier, ...]] = lambda _: (),
        **options: Any,
    ) -> None:
        self.clock = clock
        self.ledger = WatchedLedger()
        self.progress = Watching()
        self.api = ScriptedApi(
            clock, answer, seconds=seconds, oauth=oauth, same_person=same_person, on_post=self._count, unknown=unknown
        )
        self.pace = Pace(rate, clock)
        self.names_of = names_of
        self.options: dict[str, Any] = {"concurrency": 4, **options}
        self.run_number = 0
        self.engine: Engine | None = None
        self.settle: Callable[[], Awaitable[str]] | None = None
        self.hold: Hold | None = None
        if lines:
            self.load(lines)

    def load(self, lines: Sequence[Line]) -> list[int]:
        """A new run of these lines."""
        self.run_number += 1
        return self.ledger.load(self.run_number, lines)

    def build(self, **options: Any) -> Engine:
        """An engine for the newest run."""
        orders = self.ledger.orders.values()
        self.engine = Engine(
            ledger=self.ledger,
            api=self.api,
            clock=self.clock,
            progress=self.progress,
            pace=self.pace,
            codes=CodeTable.default(),
            names_of=self.names_of,
            look_up=self.api.look_up,
            settle=self.settle,
            hold=self.hold,
            options=EngineOptions(
                **{
                    "run": self.run_number,
                    "nonce": self.ledger.nonce,
                    "target": sum(order.target for order in orders),
                    "issued": sum(order.issued for order in orders),
                    "in_doubt": sum(order.held for order in orders),
                    **self.options,
                    **options,
                }
            ),
        )
        return self.engine

    async def go(self, **options: Any) -> Stop | None:
        """Drive the newest run to its end: within four hours of virtual time, or it is stuck."""
        async with asyncio.timeout(4 * 3600):
            return await self.build(**options).run()

    def _count(self, _: Posted) -> None:
        assert len(self.api.posts) < 10_000, "it asks without end"

    # ── what came of it ──────────────────────────────────────────────────────────────────────────────────────────────

    def posts(self, number: int | None = None, series: int | None = None) -> list[Posted]:
        """The calls that were attempted, of one customer or series if named."""
        return [
            post
            for post in self.api.posts
            if (number is None or post.customer == customer(number)) and (series is None or post.series == series)
        ]

    def counts(self, number: int | None = None, series: int | None = None) -> list[int]:
        """What each of them asked for."""
        return [post.count for post in self.posts(number, series)]

    def held(self, number: int, series: int = SERIES) -> int:
        """Coupons that a customer holds in truth."""
        return self.api.held("mobile", mobile(number), series)

    def closed(self, number: int, series: int = SERIES) -> str | None:
        """Why the customer's order was closed."""
        return next(
            order.closed
            for order in self.ledger.orders.values()
            if order.series == series and order.sent.value == mobile(number)
        )

    def series_state(self, series: int = SERIES) -> str | None:
        """What the ledger says of a series in the newest run."""
        return self.ledger.snapshot().series.get((self.run_number, series))

    def most_at_once(self, posts: Sequence[Posted] | None = None) -> int:
        """How many of these calls were under way together at most."""
        moments = []
        for post in self.api.posts if posts is None else posts:
            moments.append((post.began, 1))
            moments.append((post.ended if post.ended is not None else float("inf"), -1))
        most = now = 0
        for _, step in sorted(moments):
            now += step
            most = max(most, now)
        return most

    def check(self) -> None:
        """What holds at every instant.

        Issued ≤ truth ≤ issued + held, and the API saw nothing that no caller may do.
        """
        assert self.api.breaches == []
        for order in self.ledger.orders.values():
            truth = self.api.held(order.sent.kind.value, order.sent.written, order.series)
            assert order.issued <= truth <= order.issued + order.held


def drive(scenario: Callable[[VirtualClock], Awaitable[None]], *, seed: int = 0) -> None:
    """Run a scenario on virtual time."""
    run_virtually(scenario, seed=seed)


__all__ = ["OTHER", "SERIES", "THIRD", "Fault", "Watching", "World", "customer", "drive", "line", "mobile"]
