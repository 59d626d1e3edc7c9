"""The canary: the first few orders of a run, and whether the API shows of them what was recorded.

Owns the choice of the orders and the comparison. An order is compared by the coupons that its calls in this run
brought; what the API shows of the customer besides is not the canary's business. Raises nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from runner.core.coupon_reads import CouponDetail, CouponPage, CustomerCoupon
from runner.core.model import Coupon, Kind
from runner.core.wording import counted

CODES_SHOWN = 5


class Sent(NamedTuple):
    """An order of the canary as the ledger has it.

    `row`: the first row that asks for it. `asked`: what this run may ask for. `coupons`: those that its calls in this
    run brought, each with the call's key. `held`: in doubt. `code`, `message`: why something is missing.
    """

    order: int
    row: str
    series: int
    person: int
    kind: Kind
    value: str
    asked: int
    calls: tuple[str, ...]
    coupons: tuple[tuple[str, Coupon], ...]
    held: int
    code: str
    message: str

    def words(self) -> str:
        """What became of it: "row 2, series 415446: 2 of 2 issued (C1, C2)"."""
        codes = [coupon.code for _, coupon in self.coupons]
        shown = ", ".join(codes[:CODES_SHOWN]) + (
            f" and {len(codes) - CODES_SHOWN:,} more" * (len(codes) > CODES_SHOWN)
        )
        parts = [f"{len(codes):,} of {self.asked:,} issued" + (f" ({shown})" if codes else "")]
        parts += [f"{self.held:,} in doubt"] if self.held else []
        parts += [f"{self.code} {self.message}".strip()] if self.code and len(codes) < self.asked else []
        return f"{self.row}, series {self.series}: {', '.join(parts)}"


class Shown(NamedTuple):
    """What the API shows of a customer. `same_person`: False when the ledger knows the id as another person's.

    `details`: None when this API shows no calls.
    """

    page: CouponPage
    same_person: bool
    details: Sequence[CouponDetail] | None


class Compared(NamedTuple):
    """`differences`: sentences. `again`: all of them may only be late. `proven`: coupons whose calls were shown."""

    differences: tuple[str, ...]
    again: bool
    proven: int


def choose(
    open_orders: Mapping[int, Sequence[int]], number: int, *, met: Iterable[int] = ()
) -> dict[int, frozenset[int]]:
    """So many orders by series, in turn; `met`: the series of orders that were sent before come last."""
    before = set(met)
    queues = [
        (series, iter(orders)) for series, orders in sorted(open_orders.items(), key=lambda one: one[0] in before)
    ]
    chosen: dict[int, set[int]] = {}
    while queues and number > 0:
        left = []
        for series, orders in queues:
            order = next(orders, None)
            if order is not None and number > 0:
                chosen.setdefault(series, set()).add(order)
                number -= 1
                left.append((series, orders))
        queues = left
    return {series: frozenset(orders) for series, orders in chosen.items()}


def compare(sent: Sent, shown: Shown) -> Compared:
    """What differs between what was recorded of an order and what the API shows of its customer."""
    where = f"{sent.row}, series {sent.series}"
    final: list[str] = []
    late: list[str] = []
    if not shown.same_person:
        final.append(f"{where}: the API shows another customer than the one that the answers named")
    if len(sent.coupons) + sent.held > sent.asked:
        asked = counted(sent.asked, "coupon")
        final.append(f"{where}: {asked} asked for, {len(sent.coupons):,} issued and {sent.held:,} in doubt")
    listed = list(shown.page.coupons)
    for _, coupon in sent.coupons:
        found = next((one for one in listed if _same(coupon, one)), None)
        if found is None:
            late.append(f"{where}: the API does not show the coupon {coupon.code} among the customer's")
            continue
        listed.remove(found)
        if found.series != sent.series:
            final.append(f"{where}: the API shows the coupon {coupon.code} in series {found.series}")
    proven = 0
    if shown.details is not None:
        final += _calls_differ(sent, shown.details, where)
        proven = sum(detail.source in sent.calls for detail in shown.details)
    return Compared((*final, *late), not final, proven)


def _calls_differ(sent: Sent, details: Sequence[CouponDetail], where: str) -> list[str]:
    """More coupons than recorded under one of our calls, or a recorded one under another call or series."""
    told = []
    for call in sent.calls:
        recorded = [coupon.code for key, coupon in sent.coupons if key == call]
        shown = [detail for detail in details if detail.source == call]
        if len(shown) > len(recorded):
            told.append(
                f"{where}: the API shows {counted(len(shown), 'coupon')} of one call, {len(recorded):,} recorded"
            )
        told += [
            f"{where}: the API shows a coupon of this call in series {detail.series}"
            for detail in shown
            if detail.series != sent.series
        ]
        sources = {detail.code: detail.source for detail in details if detail.source}
        told += [
            f"{where}: the API shows the coupon {code} under another call"
            for code in dict.fromkeys(recorded)
            if code not in {detail.code for detail in shown} and sources.get(code) not in (None, *sent.calls)
        ]
    return told


def _same(coupon: Coupon, shown: CustomerCoupon) -> bool:
    """By the id where both tell one, else by the code."""
    return shown.id == coupon.id if shown.id and coupon.id else shown.code == coupon.code
