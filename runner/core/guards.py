"""What bounds a run: caps on coupons and money, reserved before sending so that none is overrun, and its errors.

An order is not cut to fit: its whole missing quantity is reserved before its first call, or it waits.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from runner.core.policy import Step, Verdict
from runner.core.wording import counted
from runner.errors import UsageError

MILLION = 1_000_000
"""Money is counted in millionths, since the list of series may tell six decimals."""

ERRORS = "20%"
"""The default of `--max-errors`."""

ERRORS_AFTER = 50
"""Answers before a share of errors counts."""


class Cap:
    """At most `limit` coupons, or money, over a run and all its resumes (None: no cap). `spent`.

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
    VALUE = "value"


class Guards:
    """The caps of the run and the caps of its series together: an order reserves with all of them, or with none.

    `limits`: the most coupons of a series over its whole campaign. `issued`: those issued or in doubt there already.
    `most_value`: the most money over the run and its resumes. `spent_value`: what it issued or may have, by `values`,
    the worth of one coupon by series, all in millionths.
    """

    def __init__(
        self,
        limit: int | None,
        spent: int = 0,
        *,
        limits: Mapping[int, int] | None = None,
        issued: Mapping[int, int] | None = None,
        most_value: int | None = None,
        spent_value: int = 0,
        values: Mapping[int, int] | None = None,
    ) -> None:
        self._run = Cap(limit, spent)
        self._series = {series: Cap(most, (issued or {}).get(series, 0)) for series, most in (limits or {}).items()}
        self._money = Cap(most_value, spent_value) if most_value is not None else None
        self._values = values or {}

    @property
    def reserved(self) -> int:
        """Coupons reserved under the cap of the run."""
        return self._run.reserved

    def reserve(self, order_id: int, series: int, quantity: int) -> Bound | None:
        """Reserve all that an order misses; None when it fits, else the cap that it does not fit under."""
        own, money = self._series.get(series), self._money
        if own is not None and not own.fits(order_id, quantity):
            return Bound.SERIES
        if money is not None and not money.fits(order_id, quantity * self._values[series]):
            return Bound.VALUE
        if not self._run.reserve(order_id, quantity):
            return Bound.RUN
        if own is not None:
            own.reserve(order_id, quantity)
        if money is not None:
            money.reserve(order_id, quantity * self._values[series])
        return None

    def spend(self, order_id: int, series: int, quantity: int) -> None:
        """Of an order's reservation, `quantity` coupons were issued or may have been."""
        self._run.spend(order_id, quantity)
        if (own := self._series.get(series)) is not None:
            own.spend(order_id, quantity)
        if self._money is not None:
            self._money.spend(order_id, quantity * self._values[series])

    def release(self, order_id: int, series: int) -> None:
        """The order asks no more for now."""
        self._run.release(order_id)
        if (own := self._series.get(series)) is not None:
            own.release(order_id)
        if self._money is not None:
            self._money.release(order_id)


def short_of(limits: Mapping[int, int], issued: Mapping[int, int], missing: Mapping[int, int]) -> dict[int, int]:
    """By how many coupons the caps of series fall short of what a plan would issue. Only series that fall short."""
    short = {
        series: asked - max(0, limits[series] - issued.get(series, 0))
        for series, asked in missing.items()
        if series in limits
    }
    return {series: lack for series, lack in short.items() if lack > 0}


# ── money ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def millionths(amount: Decimal) -> int:
    """An amount of money as a whole number; what a list cannot tell is rounded up, so that a cap is never passed."""
    return math.ceil(amount * MILLION)


def money(amount: int) -> str:
    """Millionths as a person writes them: "2,406,000", "99.5"."""
    whole, rest = divmod(amount, MILLION)
    return f"{whole:,}" + (f".{rest:06}".rstrip("0") if rest else "")


# ── one customer's coupons ───────────────────────────────────────────────────────────────────────────────────────────


class Holder(NamedTuple):
    """A customer whose orders ask for more than a cap allows: what she holds in the campaign, and her open orders.

    `orders`: number and missing coupons of each, the oldest first.
    """

    held: int
    orders: Sequence[tuple[int, int]]


@dataclass(slots=True)
class LeftOut:
    """Orders that would give a customer more than `--max-per-customer`. `needed`: the cap under which all would fit."""

    ids: array[int] = field(default_factory=lambda: array("q"))
    customers: int = 0
    needed: int = 0

    def sentence(self, most: int) -> str:
        """Why they are not sent."""
        return (
            f"left out: {counted(len(self.ids), 'order')} that would bring {counted(self.customers, 'customer')} above"
            f" {counted(most, 'coupon')} of this campaign (--max-per-customer)"
        )


def leave_out(most: int, holders: Iterable[Holder]) -> LeftOut:
    """The orders that do not fit under a cap on each customer's coupons: the oldest go first, none is cut."""
    left = LeftOut()
    for holder in holders:
        room, before = most - holder.held, len(left.ids)
        for order, missing in holder.orders:
            if missing <= room:
                room -= missing
            else:
                left.ids.append(order)
        if len(left.ids) > before:
            left.customers += 1
            left.needed = max(left.needed, holder.held + sum(missing for _, missing in holder.orders))
    left.ids = array("q", sorted(left.ids))
    return left


# ── errors and doubts ────────────────────────────────────────────────────────────────────────────────────────────────


class Threshold(NamedTuple):
    """`--max-errors` and `--max-in-doubt`: a number, a share of one, or both; None: not given."""

    number: int | None
    share: float | None


def parse_threshold(text: str) -> Threshold:
    """`20`, `5%`, `0.5%` or both, `20,5%`. Raises `UsageError`."""
    count: int | None = None
    share: float | None = None
    for part in text.split(","):
        written = part.strip()
        if count is None and re.fullmatch(r"\d{1,9}", written, re.ASCII):
            count = int(written)
        elif share is None and re.fullmatch(r"\d{1,3}(\.\d{1,4})?\s*%", written, re.ASCII):
            share = float(written.rstrip("% ")) / 100
        else:
            raise UsageError(
                f'"{text}" is not understood: write a number such as 20, a share such as 5%, or both, 20,5%'
            )
    if share is not None and share > 1:
        raise UsageError(f'"{text}" is more than all: write at most 100%')
    return Threshold(count, share)


_ERRORS = frozenset({Step.CLOSE_ORDER, Step.DOUBT_SERIES, Step.CLOSE_SERIES})
_NEITHER = frozenset(
    {Step.FALL_BACK, Step.WAIT_CUSTOMER, Step.PARK_SERIES, Step.SLOW_DOWN, Step.PAUSE_RUN, Step.RENEW_TOKEN}
)


class Errors:
    """Answers that refused something for good, among all that said something: `--max-errors`, of one execution.

    Throttling, busy customers, empty queues, lost answers and an identifier that has another after it count neither as
    errors nor as answers.
    """

    def __init__(self, most: Threshold, *, after: int = ERRORS_AFTER) -> None:
        self._most = most
        self._after = after
        self._codes: Counter[str] = Counter()
        self.answers = 0

    @property
    def count(self) -> int:
        """Errors so far."""
        return self._codes.total()

    def saw(self, verdict: Verdict, *, lost: bool) -> bool:
        """Take note of an answer; True when there are too many errors. `lost`: it left the call in doubt."""
        step, reason = verdict
        if step in _NEITHER or step is Step.STOP_RUN or (lost and step not in _ERRORS):
            return False
        self.answers += 1
        if step not in _ERRORS:
            return False
        self._codes[reason.code if reason is not None else ""] += 1
        number, share = self._most
        many = share is not None and self.answers >= self._after and self.count > share * self.answers
        return many or (number is not None and self.count > number)

    def sentence(self) -> str:
        """What was seen, and which flag bounds it."""
        code, times = self._codes.most_common(1)[0]
        told = f"{self.count:,} of {counted(self.answers, 'answer')} refused for good"
        most = ",".join(
            part
            for part in (
                "" if self._most.number is None else str(self._most.number),
                "" if self._most.share is None else f"{self._most.share * 100:g}%",
            )
            if part
        )
        return f"{told} ({self.count / self.answers:.0%}; {code} {times:,} times), more than --max-errors {most}"
