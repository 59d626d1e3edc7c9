"""Which order is next: a queue for each series, read ahead a little, taken in turn, one call of a customer at a time.

Holds at most twice the concurrency of orders that were not begun (or one a series, where there are more series than
that), however long the file is. Never sends, never waits for anything but the ledger.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runner.core.model import Order, Reason
from runner.core.policy import SeriesTrack
from runner.ports import Ledger


@dataclass(eq=False, slots=True)
class SeriesQueue:
    """One series of the run: what its answers said, the orders read ahead of its cursor, and those that ask `again`.

    `waiting`: orders of it that wait for their customers. `dry_since`, `reason`: since when its queue is empty, and
    what the API said last. `left`: it is over and nobody looks at it any more. `capped`: its own cap left no room
    for an order, so that no other is begun before it is known whether any is given back. `missing`: coupons that it
    may still be asked for.
    """

    number: int
    track: SeriesTrack = field(default_factory=SeriesTrack)
    ahead: deque[Order] = field(default_factory=deque)
    again: deque[Order] = field(default_factory=deque)
    after: int = 0
    read_all: bool = False
    reading: bool = False
    listed: bool = True
    left: bool = False
    capped: bool = False
    waiting: int = 0
    dry_since: float | None = None
    reason: Reason | None = None
    missing: int = 0

    @property
    def finished(self) -> bool:
        """Nothing of it waits to be taken, here or in the ledger."""
        return self.read_all and not self.ahead and not self.again


class Queues:
    """The orders of a run that wait for a worker.

    Args:
        spawn: runs a coroutine in the background.
        wake: tells all who wait that something has changed.
        left: series that are not asked.
        left_out: orders that are not asked for, sorted.
        only: no others are, by series.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        run: int,
        concurrency: int,
        spawn: Callable[[Coroutine[None, None, None]], None],
        wake: Callable[[], None],
        left: frozenset[int] = frozenset(),
        left_out: Sequence[int] = (),
        only: Mapping[int, frozenset[int]] | None = None,
    ) -> None:
        self._ledger = ledger
        self._run = run
        self._left = left
        self._left_out = left_out
        self._only = only
        self._most = 2 * concurrency
        self._spawn = spawn
        self._wake = wake
        self._series: dict[int, SeriesQueue] = {}
        self._turns: deque[SeriesQueue] = deque()
        self.lanes: set[int] = set()
        """Customers who have a call under way."""

    async def open(self) -> None:
        """Learn which series the run has."""
        for number, missing in (await self._ledger.open_series(self._run)).items():
            if number not in self._left and (self._only is None or number in self._only):
                self._series[number] = SeriesQueue(number, missing=missing)
        self._turns.extend(self._series.values())

    def __getitem__(self, number: int) -> SeriesQueue:
        return self._series[number]

    def __iter__(self) -> Iterator[SeriesQueue]:
        return iter(self._series.values())

    @property
    def empty(self) -> bool:
        """Every series is over, or was read to its end and has nothing left."""
        return all(series.track.over or series.finished for series in self._turns)

    @property
    def asking_again(self) -> bool:
        """Whether an order that was begun waits to be taken again."""
        return any(series.again for series in self._turns)

    def take(self, admit: Callable[[Order], bool], *, fresh: bool) -> Order | None:
        """The next order that may be called now, series by series; None when there is none at this moment.

        Args:
            admit: asked last of all; an order that it refuses stays where it is.
            fresh: whether orders that were not begun yet may be taken.
        """
        for _ in range(len(self._turns)):
            series = self._turns[0]
            self._turns.rotate(-1)
            if series.track.over or series.finished:
                self._turns.pop()
                series.listed = False
            elif series.track.may_start():
                order = self.first_of(series, admit, fresh=fresh)
                if order is not None:
                    return order
        return None

    def first_of(self, series: SeriesQueue, admit: Callable[[Order], bool], *, fresh: bool) -> Order | None:
        """The next order of one series whose customer has no call under way, those that ask again first."""
        order = self._first_free(series.again)
        if order is None and fresh and not series.capped:
            self._read_ahead(series)
            order = self._first_free(series.ahead)
        if order is None or admit(order):
            return order
        series.ahead.appendleft(order)
        return None

    def put_back(self, order: Order, series: SeriesQueue) -> bool:
        """An order asks again; False when its series is over and it is not kept."""
        if series.track.over:
            return False
        series.again.append(order)
        if not series.listed:
            series.listed = True
            self._turns.append(series)
        return True

    def drop(self, series: SeriesQueue) -> list[Order]:
        """A series is over: what was read ahead stays in the ledger; the orders of it that were begun."""
        begun = list(series.again)
        series.again.clear()
        series.ahead.clear()
        return begun

    def _first_free(self, orders: deque[Order]) -> Order | None:
        """The first order whose customer has no call under way; the others keep their places."""
        for index, order in enumerate(orders):
            if order.person not in self.lanes:
                del orders[index]
                return order
        return None

    def _read_ahead(self, series: SeriesQueue) -> None:
        """Fill the share of a series when half of it is used. Shares grow as series end, and never shrink."""
        share = max(1, self._most // max(1, len(self._turns)))
        if not series.reading and not series.read_all and len(series.ahead) <= share // 2:
            series.reading = True
            self._spawn(self._read(series, share - len(series.ahead)))

    async def _read(self, series: SeriesQueue, limit: int) -> None:
        orders = await self._ledger.open_orders(self._run, series.number, series.after, limit)
        series.reading = False
        series.read_all = len(orders) < limit
        if orders:
            series.after = orders[-1].id
            if self._only is not None:
                wanted = self._only[series.number]
                series.read_all = series.read_all or series.after >= max(wanted)
                orders = [order for order in orders if order.id in wanted]
            if self._left_out:
                orders = [order for order in orders if not self._is_left_out(order.id)]
            if not series.track.over:
                series.ahead.extend(orders)
        self._wake()

    def _is_left_out(self, order: int) -> bool:
        place = bisect_left(self._left_out, order)
        return place < len(self._left_out) and self._left_out[place] == order
