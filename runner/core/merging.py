"""What an answer reveals about what was known already: coupons seen before, and two persons who turn out to be one.

Pure decisions; the ledger (real or in memory) asks them and writes what they say.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from runner.core.model import CallState, CodeClass, Coupon, Outcome, Reason, Scope

RESENT = "resent"
"""Pseudo-code: the API answered with a coupon that the customer held before. Never asked again."""

SURPLUS = "surplus"
"""Pseudo-code of an order whose person had been issued the same under another name before that was known."""

SAME_PERSON = "same_person"
"""Pseudo-code of an order that was merged into an older one before both had been issued anything."""

FORGOTTEN = "forgotten"
"""Pseudo-code of an order whose person was forgotten at her request."""

INTERRUPTED = "interrupted"
"""Pseudo-code of a call whose process ended before an answer was recorded."""

FOR_GOOD = frozenset({RESENT, FORGOTTEN})
"""Codes that close an order beyond the run that closed it."""

KNOWN_FOR_ANOTHER = "known_for_another"
"""Flag: a coupon id of the answer is recorded for another customer. Counted all the same."""

RESENT_REASON = Reason(
    code=RESENT,
    message="The answer holds only coupons that this customer had before: the series re-sends existing coupons.",
    klass=CodeClass.FINAL,
    scope=Scope.ROW,
)


class Seen(StrEnum):
    """Where a coupon of an answer is recorded already."""

    SAME_CALL = "same_call"
    SAME_CUSTOMER = "same_customer"
    ANOTHER = "another"


class CouponState(StrEnum):
    """What a recorded coupon is: new, held by the customer before this call, or listed twice in one answer.

    What becomes of a new one later: revoked (it still counts as issued), redeemed, or replaced, when a later run asked
    again for what was revoked.
    """

    ISSUED = "issued"
    RESENT = "resent"
    REPEATED = "repeated"
    REVOKED = "revoked"
    REDEEMED = "redeemed"
    REPLACED = "replaced"


def sort_coupons(
    coupons: Sequence[Coupon], seen: Mapping[int, Collection[Seen]]
) -> tuple[tuple[CouponState | None, ...], tuple[str, ...]]:
    """What each coupon of an answer counts as, by position, and the flags that follow.

    Args:
        coupons: the answer's list.
        seen: position → where that coupon is recorded already; absent: nowhere.

    Returns:
        For each position its state (None: recorded for this call already, nothing to add), and flags.
        Only ids are compared within an answer and with other calls: a generic code repeats by its nature.
    """
    states: list[CouponState | None] = []
    flags: set[str] = set()
    ids: set[str] = set()
    for position, coupon in enumerate(coupons):
        where = seen.get(position, ())
        if coupon.id and coupon.id in ids:
            states.append(None if Seen.SAME_CALL in where else CouponState.REPEATED)
            continue
        ids.add(coupon.id)
        if Seen.SAME_CALL in where:
            states.append(None)
        elif Seen.SAME_CUSTOMER in where:
            states.append(CouponState.RESENT)
            flags.add(RESENT)
        else:
            states.append(CouponState.ISSUED)
            if Seen.ANOTHER in where:
                flags.add(KNOWN_FOR_ANOTHER)
    if CouponState.REPEATED in states:
        flags.add(CouponState.REPEATED)
    return tuple(states), tuple(sorted(flags))


def only_resent(states: Sequence[CouponState | None]) -> bool:
    """Whether every coupon of an answer was one that the customer held before (a repeated one says nothing more)."""
    return CouponState.RESENT in states and all(state in {CouponState.RESENT, CouponState.REPEATED} for state in states)


def settled_state(outcome: Outcome, *, known_before: int, new: int, resent: bool) -> CallState:
    """The state to record for a call.

    Args:
        known_before: coupons recorded for this call by an earlier, doubtful answer.
        new: coupons that this answer adds.
        resent: the answer listed nothing but coupons of earlier calls.

    A call with a coupon is never REFUSED, whatever a later answer says of the rest; an answer of re-sent
    coupons issued nothing.
    """
    state = outcome.state
    if state is CallState.ISSUED and resent and known_before + new == 0:
        return CallState.REFUSED
    if state is CallState.REFUSED and known_before + new > 0:
        return CallState.ISSUED
    return state


class Half(NamedTuple):
    """One of two orders found to be one person's. `line`: (run, row) of its first line, None when it has none.

    `run` is the newest run that loaded it (0: none); rows are numbered across runs.
    """

    target: int
    issued: int
    held: int
    closed: str | None
    run: int
    line: tuple[int, int] | None


class Merged(NamedTuple):
    """The surviving order after a merge. `older_line_first`: the younger order's line is the one that says so.

    `surplus`: both had issued or held something by then; `other_code` is the code of the order that is merged away.
    """

    target: int
    issued: int
    held: int
    closed: str | None
    run: int
    older_line_first: bool
    surplus: bool
    other_code: str


def merge_orders(older: Half, younger: Half) -> Merged:
    """Decide what becomes of two orders of one person, campaign and series; the older person's order survives.

    Issued and held are summed. The target is the earlier row's within one run; the newest run's otherwise, because
    the latest file says what a person is to hold. What closed either for good closes the survivor.
    """
    if older.run != younger.run:
        older_first = older.run > younger.run
    else:
        older_first = younger.line is None or (older.line is not None and older.line <= younger.line)
    run = max(older.run, younger.run)
    closed = older.closed if older.run == run else None
    for code in (older.closed, younger.closed):
        if code in FOR_GOOD:
            closed = code
    surplus = older.issued + older.held > 0 and younger.issued + younger.held > 0
    return Merged(
        target=older.target if older_first else younger.target,
        issued=older.issued + younger.issued,
        held=older.held + younger.held,
        closed=closed,
        run=run,
        older_line_first=older_first,
        surplus=surplus,
        other_code=SURPLUS if surplus else SAME_PERSON,
    )


def root_of(person: int, merged_into: Mapping[int, int]) -> int:
    """The person who survived every merge of `person`. `merged_into` holds at least the chain from `person` on."""
    while person in merged_into:
        person = merged_into[person]
    return person
