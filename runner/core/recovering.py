"""What a customer's coupons tell of calls that the ledger no longer knows, after an older copy of it was put back."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from runner.core.coupon_reads import CouponDetail, CustomerCoupon

FOUND_AGAIN = "found_again"
"""Flag of a call that a recovery found, or found more coupons of."""

OURS = "coupon-runner"
"""What our calls name as the type of their source."""

LATER_STATES = ("redeemed", "revoked", "replaced")
"""What a coupon comes to after it was issued; a later one of these never goes back to an earlier one."""

_KEY = re.compile(r"([0-9a-f]{24})-([1-9]\d{0,8})-([0-9a-f]{6})", re.ASCII)


class CallName(NamedTuple):
    """A call's key in its parts: digest of the order, number of the call in it, nonce of the ledger."""

    order: str
    number: int
    nonce: str


def read_call_key(text: str) -> CallName | None:
    """The parts of a call's key, or None for a text that is none."""
    found = _KEY.fullmatch(text)
    return CallName(found[1], int(found[2]), found[3]) if found is not None else None


@dataclass(slots=True)
class Sorted:
    """Coupons that the ledger does not know, sorted. `calls`: key → coupons that call issued.

    `others`: shown to be issued by somebody else. `unexplained`: nothing shows who issued them.
    """

    calls: dict[str, list[CustomerCoupon]] = field(default_factory=dict)
    others: int = 0
    unexplained: list[CustomerCoupon] = field(default_factory=list)


def sort_unknown(
    unknown: Sequence[CustomerCoupon],
    listed: Sequence[CustomerCoupon],
    details: Sequence[CouponDetail],
    *,
    proven: bool,
    silent: Collection[int],
) -> Sorted:
    """Who issued coupons that the ledger does not know.

    A read of details names no coupon id, so coupons are told apart by code and series; where several share both (a
    generic code) and came by different calls, nobody can say which is which.

    Args:
        unknown: those of `listed` that are in question.
        listed: all coupons of the customer.
        details: what the API shows of her coupons' origins.
        proven: whether this API has shown the key of a call that the ledger knows; only then is a coupon without one
            somebody else's.
        silent: series that we may have issued from without saying who we are (`--no-metadata`).
    """
    sources: dict[tuple[str, int], list[CouponDetail]] = {}
    for detail in details:
        sources.setdefault((detail.code, detail.series), []).append(detail)
    alike: dict[tuple[str, int], int] = {}
    for coupon in listed:
        alike[coupon.code, coupon.series] = alike.get((coupon.code, coupon.series), 0) + 1
    found = Sorted()
    for coupon in unknown:
        shown = sources.get((coupon.code, coupon.series), [])
        told = {(one.source_type, one.source) for one in shown}
        if len(told) != 1 or len(shown) != alike[coupon.code, coupon.series]:
            found.unexplained.append(coupon)
            continue
        kind, source = next(iter(told))
        if kind == OURS and source is not None and read_call_key(source) is not None:
            found.calls.setdefault(source, []).append(coupon)
        elif not proven or (coupon.series in silent and kind != OURS and not source):
            found.unexplained.append(coupon)
        else:
            found.others += 1
    return found


def shows_known_key(details: Sequence[CouponDetail], known: Collection[str]) -> bool:
    """Whether a read showed the key of a call that the ledger knows: so this API shows metadata."""
    return any(detail.source_type == OURS and detail.source in known for detail in details)


class Reads(NamedTuple):
    """What a recovery costs: at least one read for each customer, two where her coupons are not all known."""

    least: int
    most: int
    seconds: float


def reads_of(customers: int, per_second: float | None) -> Reads:
    """The reads for so many customers. `per_second`: the pace of the key; None: no limit."""
    most = 2 * customers
    return Reads(customers, most, most / per_second if per_second else 0.0)


class Problem(NamedTuple):
    """Something that a recovery could not settle. `what`: one sentence, without a person's name. `call`: "" if none."""

    what: str
    call: str = ""


def sum_up(problems: Sequence[Problem], limit: int = 20) -> Mapping[str, int]:
    """Sentence → how often, the first few kinds."""
    counts: dict[str, int] = {}
    for problem in problems:
        counts[problem.what] = counts.get(problem.what, 0) + 1
    return dict(list(counts.items())[:limit])
