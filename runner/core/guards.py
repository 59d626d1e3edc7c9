"""What bounds a run: caps on coupons, of the run and of its series. Reserved before sending, so that none is overrun.

An order is not cut to fit: its whole missing quantity is reserved before its first call, or it waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Cap:
    """At most `limit` coupons over a run and all its resumes (None: no cap). `spent`.

    Issued or in doubt so far by the run.
    """

    def __init__(self, limit: int | None, spent: int = 0) -> None:
        self._limit = limit
        self._spent = spent
        self._reserved: dict[int, int] = {}
        self._reserved_total = 0

    @property
    def reserved(self) -> int:
        """Coupons reserved by orders under way."""
        return self._reserved_total

    def fits(self, order_id: int, quantity: int) -> bool:
        """Whether there is room for all that an order misses."""
        if self._limit is None:
            return True
        more = quantity - self._reserved.get(order_id, 0)
        return more <= 0 or self._spent + self._reserved_total + more <= self._limit

    def reserve(self, order_id: int, quantity: int) -> bool:
        """Reserve all that an order misses, or what it lacks of that by now; True when it fits."""
        if not self.fits(order_id, quantity):
            return False
        more = quantity - self._reserved.get(order_id, 0)
        if self._limit is not None and more > 0:
            self._reserved[order_id] = quantity
            self._reserved_total += more
        return True

    def spend(self, order_id: int, quantity: int) -> None:
        """Of an order's reservation, `quantity` coupons were issued or may have been."""
        if self._limit is None:
            return
        self._spent += quantity
        part = min(quantity, self._reserved.get(order_id, 0))
        if part:
            self._reserved[order_id] -= part
            self._reserved_total -= part

    def release(self, order_id: int) -> None:
        """The order asks no more for now: what it did not use is free again."""
        self._reserved_total -= self._reserved.pop(order_id, 0)


class Bound(StrEnum):
    """Which cap leaves no room."""

    RUN = "run"
    SERIES = "series"


class Guards:
    """The cap of the run and the caps of its series together: an order reserves with both, or with neither.

    `limits`: the most coupons of a series over its whole campaign. `issued`: those issued or in doubt there already.
    """

    def __init__(
        self,
        limit: int | None,
        spent: int = 0,
        *,
        limits: Mapping[int, int] | None = None,
        issued: Mapping[int, int] | None = None,
    ) -> None:
        self._run = Cap(limit, spent)
        self._series = {series: Cap(most, (issued or {}).get(series, 0)) for series, most in (limits or {}).items()}

    @property
    def reserved(self) -> int:
        """Coupons reserved under the cap of the run."""
        return self._run.reserved

    def reserve(self, order_id: int, series: int, quantity: int) -> Bound | None:
        """Reserve all that an order misses; None when it fits, else the cap that it does not fit under."""
        own = self._series.get(series)
        if own is not None and not own.fits(order_id, quantity):
            return Bound.SERIES
        if not self._run.reserve(order_id, quantity):
            return Bound.RUN
        if own is not None:
            own.reserve(order_id, quantity)
        return None

    def spend(self, order_id: int, series: int, quantity: int) -> None:
        """Of an order's reservation, `quantity` coupons were issued or may have been."""
        self._run.spend(order_id, quantity)
        if (own := self._series.get(series)) is not None:
            own.spend(order_id, quantity)

    def release(self, order_id: int, series: int) -> None:
        """The order asks no more for now."""
        self._run.release(order_id)
        if (own := self._series.get(series)) is not None:
            own.release(order_id)


def short_of(limits: Mapping[int, int], issued: Mapping[int, int], missing: Mapping[int, int]) -> dict[int, int]:
    """By how many coupons the caps of series fall short of what a plan would issue. Only series that fall short."""
    short = {
        series: asked - max(0, limits[series] - issued.get(series, 0))
        for series, asked in missing.items()
        if series in limits
    }
    return {series: lack for series, lack in short.items() if lack > 0}
