"""What the engine needs from outside, as small protocols.

Each has a real adapter and a fake, under one contract suite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from runner.core.model import CallStart, Exchange, FallBack, Order, Reason, Settlement
from runner.core.pacing import PaceState

T = TypeVar("T")


class Ledger(Protocol):
    """The durable truth of every order, call and coupon, as the engine uses it while a run is live.

    `settle`, `close_order` and `set_series` are queued and applied first-in-first-out in the same writer as `begin`:
    a later `begin` that returned implies that they are durable. Every method raises `errors.LedgerFailed`
    once the writer has failed; nothing may be sent after that.
    """

    async def open_series(self, run: int) -> Mapping[int, int]:
        """Coupons still missing of the run's open orders, by series."""
        ...

    async def open_orders(self, run: int, series: int, after: int, limit: int) -> Sequence[Order]:
        """The next open orders of one series of a run by ascending id.

        Not closed, target > issued + held, id > `after`.
        """
        ...

    async def order(self, order_id: int) -> Order:
        """One order as it stands after everything queued so far; after a merge, the order that survived."""
        ...

    async def begin(self, start: CallStart) -> bool:
        """Durably record a call as sending and hold its quantity; True once it is synced to disk.

        False, and nothing recorded, when the order no longer misses that many coupons, is closed or was merged away:
        the caller reads the order again.
        """
        ...

    def settle(self, settlement: Settlement) -> None:
        """Record what became of a call: state, coupons, what stays held, names learnt. Applied exactly once.

        A settlement that finds no call in state sending (or in doubt, for a late answer) is a fatal failure.
        """
        ...

    async def fall_back(self, item: FallBack) -> Order:
        """Name an order's customer by another of the row's identifiers, and learn what a look-up told of her.

        Durable once it returns, as is whatever was queued before. The order as it stands then: named as before when it
        is closed, has had another call, or something of it is issued or in doubt or was at any time; the order that
        survived when the look-up showed that she has one already.
        """
        ...

    def close_order(self, run: int, order_id: int, reason: Reason) -> None:
        """Ask no more for an order in this run, and why."""
        ...

    def set_series(self, run: int, series: int, state: str, reason: Reason | None) -> None:
        """Record that a series is open, parked, closed or exhausted in this run, and why."""
        ...

    async def flush(self) -> None:
        """Return when everything queued so far is durable."""
        ...


class CouponApi(Protocol):
    """The one call that issues, and the reads beside it. Never retries, never follows a redirect, never interprets."""

    async def issue(self, *, call_key: str, series: int, count: int, kind: str, value: str) -> Exchange:
        """Post one call. Returns what was seen whatever happens; raises nothing but cancellation."""
        ...

    async def read_series(self, series: Sequence[int]) -> Exchange:
        """GET the series' settings: used to probe whether the API answers."""
        ...

    async def refresh_credentials(self, *, seen: str | None) -> bool:
        """Get a fresh token unless a newer one than `seen` is there already. False: the API refuses the credentials."""
        ...

    def credentials_version(self) -> str | None:
        """Which token calls are sent under now; None for Basic, which cannot be refreshed."""
        ...


class Clock(Protocol):
    """Monotonic seconds, wall time and sleep. A virtual one drives the tests."""

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    def chance(self) -> float:
        """A uniform number in [0, 1): the only source of jitter."""
        ...


class PaceStore(Protocol):
    """Where the pace of a key is kept between its calls, for all processes that use the key."""

    def change(self, work: Callable[[PaceState], T]) -> tuple[T] | None:
        """Do something with the state while nobody else does; None, and nothing done, while somebody else is at it.

        Raises `errors.Fatal` when the state cannot be kept.
        """
        ...


class Waiting(NamedTuple):
    """A parked series with the reason's code; since when its queue is empty, and when the run gives it up.

    Moments in seconds since the epoch, UTC; None: not known.
    """

    series: int
    code: str
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """The state of a live run for whoever shows it. Coupons, except `calls` (answered POSTs) and `rejected_orders`.

    `waiting`: series that are parked. `state`: issuing, pausing, paused, throttled, settling, finishing. `decided_by`:
    what `eta_seconds` follow from, as `core.forecast.Forecast` writes it. `paused_by`, `paused_since`: who paused the
    run, "" when nobody did, and since when (seconds since the epoch).
    """

    target: int
    issued: int
    in_doubt: int
    missing: int
    failed_orders: int
    calls: int
    calls_per_second: float
    eta_seconds: float | None
    waiting: tuple[Waiting, ...]
    state: str
    in_flight: int
    decided_by: str = ""
    paused_by: str = ""
    paused_since: float | None = None


class Progress(Protocol):
    """Whoever watches a run: a bar, plain lines, nothing."""

    def beat(self, beat: Beat) -> None:
        """A new state of the run, at most a few times a second."""
        ...

    def say(self, message: str) -> None:
        """One event worth a line: a series parked, a pause, a token renewed."""
        ...
