"""What reading the API proves about a call whose answer was lost: issued, not issued, or still in doubt.

Owns the proof (API.md, "Reading"; RULES.md 25 and 26). A wrong "not issued" would issue twice, so *none* needs all of
its conditions, and whatever does not fit leaves the call in doubt with the reason. Reads nothing and knows no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import NamedTuple

from runner.core.coupon_reads import CouponDetail, CustomerCoupon
from runner.core.model import CallState, CodeClass, Coupon, Outcome, Reason, Scope

LAGS = 3.0
"""How many times the measured lag of the look-up must have passed before "none" means anything."""

LATE_SECONDS = 120.0
"""For how long after its answer was lost a call may still have issued, where only the time tells its coupons."""

SLACK_SECONDS = 2.0
"""Times of coupons come in whole seconds, and clocks are compared through a header that does too."""

NOT_FOUND_CODE = "not_found"
"""Pseudo-code of a call that was settled as not issued because the API shows nothing of it."""

APPEARED_LATER = "appeared_later"
"""Flag: a read found a coupon of a call that had been settled without it."""


class Method(StrEnum):
    """How a doubt was settled, or left."""

    METADATA = "metadata"
    WINDOW = "window"
    WORD = "word"


class Doubt(NamedTuple):
    """A call to be settled. `known`: coupons of it that are recorded already; `written`: seconds since the epoch, UTC.

    `ended`: when its exchange ended without an answer; None when the process died first. `keyed`: whether the call
    carried its key as metadata.
    """

    call: str
    series: int
    quantity: int
    known: int
    began: float
    ended: float | None
    keyed: bool = True


class Shown(NamedTuple):
    """What the API showed of the doubt's customer. `details`: None when they cannot be read, with `unread` saying why.

    `claimed`: coupons (by id, else by code) that the ledger records for calls of this customer, this one's included.
    """

    coupons: Sequence[CustomerCoupon]
    details: Sequence[CouponDetail] | None
    unread: str = ""
    claimed: Collection[str] = frozenset()


class Measures(NamedTuple):
    """What known calls have shown of the look-up. Times in seconds; `shown_after`: since the epoch, by our clock.

    `metadata`: the same read showed another settled call's key. `shown_after`: when the newest known call began whose
    key that read has shown; None: none was shown. `listed_after`: the same for the customers' lists, which show
    coupons without a key. `lag_seconds`: the longest that a known coupon was not shown.
    `skew_seconds`: the API's clock minus ours.
    """

    metadata: bool = False
    shown_after: float | None = None
    listed_after: float | None = None
    lag_seconds: float = 0.0
    skew_seconds: float = 0.0


class Surroundings(NamedTuple):
    """What else happened around the call, for settling by time alone. `generic`: None when the series is not known.

    `rivals`: another doubtful call of this customer and series. `others_active`: another campaign issued meanwhile.
    """

    generic: bool | None = None
    rivals: bool = False
    others_active: bool = False


class Rules(NamedTuple):
    """Settings. `settle_after_seconds`: the least time since the POST before "none" is a proof (RULES.md 26).

    `by_time`: the owner lets the time window settle *some* and *none* as well (`--settle-by-time`).
    """

    settle_after_seconds: float = 900.0
    by_time: bool = False


class Finding(NamedTuple):
    """What the reads prove. `state`: IN_DOUBT with `held` coupons when something stays open.

    `coupons`: all that were found for the call by its key, those recorded already included; by the window only
    new ones.
    `why`: one sentence.
    """

    state: CallState
    coupons: tuple[Coupon, ...]
    held: int
    method: Method
    why: str
    flags: tuple[str, ...] = ()


def judge(
    doubt: Doubt, shown: Shown, measures: Measures, surroundings: Surroundings, rules: Rules, *, now: float
) -> Finding:
    """What the reads say of a doubtful call.

    By metadata first; by the time window only for an API that does not show the metadata.

    Args:
        now: our clock when the customer was read, seconds since the epoch.
    """
    mine = _of_call(doubt, shown)
    settled_by_time = _time_passed(doubt, measures, rules, now)
    if mine:
        return _by_metadata(doubt, mine, shown, measures, settled_by_time)
    missing = _lacking_for_none(doubt, shown, measures, settled_by_time)
    keys_tell = doubt.keyed and measures.metadata and shown.details is not None
    if keys_tell and not unexplained_of(doubt, shown, measures, until_now=True):
        if missing is None and not doubt.known:
            why = "the API shows no coupon of this call, although it shows later ones of other calls"
            return Finding(CallState.REFUSED, (), 0, Method.METADATA, why)
        if missing is None:
            missing = "the API does not show the coupons that the call is known to have issued"
        return _open(doubt, Method.METADATA, f"the API shows no coupon of this call, but {missing}")
    return _by_window(doubt, shown, measures, surroundings, rules, settled_by_time)


def outcome_of(finding: Finding, doubt: Doubt) -> Outcome:
    """A finding as what is recorded for its call."""
    reason = None
    # A key shows all coupons of its call, a time window only those that were not recorded yet.
    found = len(finding.coupons) + (doubt.known if finding.method is Method.WINDOW else 0)
    if finding.state is CallState.REFUSED or (finding.state is CallState.ISSUED and found < doubt.quantity):
        reason = Reason(code=NOT_FOUND_CODE, message=finding.why, klass=CodeClass.RETRY, scope=Scope.CUSTOMER)
    elif finding.state is CallState.IN_DOUBT:
        reason = Reason(code=NOT_FOUND_CODE, message=finding.why, klass=CodeClass.UNKNOWN, scope=Scope.ROW)
    return Outcome(
        state=finding.state,
        coupons=finding.coupons,
        held=finding.held,
        reason=reason,
        codes=(reason.code,) if reason is not None else (),
        flags=finding.flags,
    )


def contradiction(call: str, issued: int, *, shown: int, unexplained: Sequence[CustomerCoupon]) -> str:
    """Why a person's word about a call is refused: the API shows something else; "" when it does not.

    Args:
        issued: how many coupons the call issued, by the person's word.
        shown: how many the API shows of it, those recorded already included.
        unexplained: coupons of the series from the call's window that nothing explains.
    """
    if shown > issued:
        said = f"the API shows {_coupons(shown)} of this call, not {issued}"
        return f"call {call}: {said}; `coupon-runner reconcile` records them"
    if not issued and unexplained:
        codes = ", ".join(coupon.code for coupon in unexplained[:5])
        more = f" and {len(unexplained) - 5} more" if len(unexplained) > 5 else ""
        return (
            f"call {call}: the customer has {_coupons(len(unexplained))} of this series from about that time which"
            f" nothing explains ({codes}{more}): find out where they come from; if they are this call's, say --issued"
        )
    return ""


def waits_until(doubt: Doubt, measures: Measures, rules: Rules) -> float:
    """When "none" becomes a proof at the earliest, as far as time is concerned; seconds since the epoch."""
    return doubt.began + max(rules.settle_after_seconds, LAGS * measures.lag_seconds)


def _of_call(doubt: Doubt, shown: Shown) -> list[Coupon]:
    """The coupons that carry the call's key, each with its id where the customer's list tells it."""
    ids: dict[str, list[str]] = {}
    for coupon in shown.coupons:
        if coupon.series == doubt.series and coupon.id:
            ids.setdefault(coupon.code, []).append(coupon.id)
    found = []
    for detail in shown.details or ():
        if detail.source == doubt.call and detail.series == doubt.series:
            of_code = ids.get(detail.code)
            found.append(Coupon(of_code.pop(0) if of_code else "", detail.code))
    return found


def _by_metadata(
    doubt: Doubt, mine: list[Coupon], shown: Shown, measures: Measures, settled_by_time: str | None
) -> Finding:
    found = len(mine)
    flags = ("more_than_asked",) if found > doubt.quantity else ()
    if found >= doubt.quantity:
        why = f"the API shows {_coupons(found)} with this call's key"
        return Finding(CallState.ISSUED, tuple(mine), 0, Method.METADATA, why, flags)
    missing = _lacking_for_none(doubt, shown, measures, settled_by_time)
    if missing is None and found < doubt.known:
        missing = "fewer than the call is known to have issued"
    if missing is None and unexplained_of(doubt, shown, measures, until_now=True):
        missing = "coupons of this series from about that time carry no key"
    if missing is None:
        why = f"the API shows {found} of {doubt.quantity} coupons with this call's key, and later ones of other calls"
        return Finding(CallState.ISSUED, tuple(mine), 0, Method.METADATA, why)
    held = doubt.quantity - max(found, doubt.known)
    why = f"the API shows {found} of {doubt.quantity} coupons with this call's key; for the rest, {missing}"
    state = CallState.IN_DOUBT if held else CallState.ISSUED
    return Finding(state, tuple(mine), held, Method.METADATA, why)


def _lacking_for_none(doubt: Doubt, shown: Shown, measures: Measures, settled_by_time: str | None) -> str | None:
    """What is lacking before "none is shown" proves that none was issued; None when nothing is."""
    if shown.details is None:
        return shown.unread or "the details of her coupons cannot be read"
    if _incomplete(shown):
        return "the details leave out coupons that the customer holds"
    if not _is_later(measures.shown_after, doubt):
        return "the look-up has not shown any coupon issued after this call yet"
    return settled_by_time


def _is_later(began: float | None, doubt: Doubt) -> bool:
    """Whether a call that began then was posted after the doubtful one.

    A call that began in the instant in which the doubtful one's end was written down was posted after it: a batch of
    the ledger writes ends first, and a call is posted when its beginning is durable.
    """
    if began is None:
        return False
    return began > doubt.began if doubt.ended is None else began >= doubt.ended


def _time_passed(doubt: Doubt, measures: Measures, rules: Rules, now: float) -> str | None:
    """None once the settling time since the POST has passed; else how long it takes yet."""
    left = waits_until(doubt, measures, rules) - now
    if left <= 0:
        return None
    minutes = max(1, -int(-left // 60))
    return f"it may still appear: {minutes} min of the settling time are left"


def _incomplete(shown: Shown) -> bool:
    """Whether the customer holds a coupon that the details do not show."""
    listed = Counter((coupon.series, coupon.code) for coupon in shown.coupons)
    detailed = Counter((detail.series, detail.code) for detail in shown.details or ())
    return any(detailed[key] < count for key, count in listed.items())


def unexplained_of(doubt: Doubt, shown: Shown, measures: Measures, *, until_now: bool = False) -> list[CustomerCoupon]:
    """Coupons of the series from the call's window that neither the ledger nor a key explains.

    `until_now`: and later ones: before "none" is believed, each of them may be the call's, written very late.
    """
    start, end = _window(doubt, measures)
    end = float("inf") if until_now else end
    explained = Counter(
        (detail.series, detail.code) for detail in shown.details or () if detail.source not in (None, doubt.call)
    )
    left = []
    for coupon in shown.coupons:
        if coupon.series != doubt.series or (coupon.id or coupon.code) in shown.claimed:
            continue
        if explained[coupon.series, coupon.code] > 0:
            explained[coupon.series, coupon.code] -= 1
            continue
        if any(
            d.source == doubt.call and (d.series, d.code) == (coupon.series, coupon.code) for d in shown.details or ()
        ):
            continue
        if coupon.created is None or start <= coupon.created <= end:
            left.append(coupon)
    return left


def _window(doubt: Doubt, measures: Measures) -> tuple[float, float]:
    """When the call may have issued, by the API's clock."""
    start = doubt.began + measures.skew_seconds - SLACK_SECONDS
    end = (doubt.ended if doubt.ended is not None else doubt.began) + measures.skew_seconds
    return start, end + LATE_SECONDS + SLACK_SECONDS


def _by_window(
    doubt: Doubt,
    shown: Shown,
    measures: Measures,
    surroundings: Surroundings,
    rules: Rules,
    settled_by_time: str | None,
) -> Finding:
    """By the times of the customer's coupons alone: only what cannot be anything else."""
    candidates = unexplained_of(doubt, shown, measures)
    need = doubt.quantity - doubt.known
    said = f"the API tells no call's key; the customer has {_coupons(len(candidates))} from about that time"
    problem = None
    if surroundings.generic is None:
        problem = "the kind of the series cannot be read"
    elif surroundings.generic:
        problem = "a shared code cannot be told apart by its time"
    elif surroundings.rivals:
        problem = "another call of this customer and series is in doubt as well"
    elif surroundings.others_active:
        problem = "another campaign issued at that time"
    elif any(coupon.created is None for coupon in candidates):
        problem = "the time of a coupon is not told"
    if problem is not None:
        return _open(doubt, Method.WINDOW, f"{said}; {problem}")
    found = tuple(Coupon(coupon.id, coupon.code) for coupon in candidates)
    if len(found) == need and need:
        return Finding(CallState.ISSUED, found, 0, Method.WINDOW, f"{said}, exactly what this call asked for")
    if len(found) > need:
        return _open(doubt, Method.WINDOW, f"{said}, more than this call asked for: somebody else issued too")
    if not rules.by_time:
        word = "some" if found else "none"
        why = f"{said}, {word} of {need}: only a person can tell (resolve), or --settle-by-time"
        return _open(doubt, Method.WINDOW, why)
    if settled_by_time is not None:
        return _open(doubt, Method.WINDOW, f"{said}; {settled_by_time}")
    if not _is_later(measures.listed_after, doubt):
        why = f"{said}; the look-up has not shown any coupon issued after this call yet"
        return _open(doubt, Method.WINDOW, why)
    state = CallState.ISSUED if found or doubt.known else CallState.REFUSED
    return Finding(state, found, 0, Method.WINDOW, f"{said}: settled by time, as the owner allowed")


def _open(doubt: Doubt, method: Method, why: str) -> Finding:
    return Finding(CallState.IN_DOUBT, (), doubt.quantity - doubt.known, method, why)


def _coupons(count: int) -> str:
    return "1 coupon" if count == 1 else f"{count:,} coupons"
