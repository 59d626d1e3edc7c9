"""What bounds a run: the cap on coupons. Reserved before sending, so that calls in flight never overrun it.

An order is not cut to fit: its whole missing quantity is reserved before its first call, or it waits.
"""

from __future__ import annotations


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

    def reserve(self, order_id: int, quantity: int) -> bool:
        """Reserve all that an order misses, or what it lacks of that by now; True when it fits."""
        if self._limit is None:
            return True
        more = quantity - self._reserved.get(order_id, 0)
        if more <= 0:
            return True
        if self._spent + self._reserved_total + more > self._limit:
            return False
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
