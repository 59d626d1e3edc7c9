"""Undoing a run: which of its coupons may be revoked, in what portions, and what an answer means for each of them.

A code is revoked only when it stands for exactly one coupon, which this run received: never a shared code, never a
coupon that the customer held before. A wrong "revoked" would let a later run issue again beside a coupon that still
works, so only an answer that says it counts, never a read that shows nothing; asking again is harmless, since the API
tells what is revoked already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeVar

from runner.core.coupon_reads import CouponDetail, Revocation, Unread
from runner.core.merging import CouponState

T = TypeVar("T")

MOST_AT_ONCE = 50
"""Codes that one revocation may name (the endpoint's documented maximum)."""

REVOKED_BEFORE = "660"
"""The API's code for a coupon that is revoked already."""

REDEEMED_BEFORE = "711"
"""The API's code for a coupon that was redeemed."""

GENERIC = "GENERIC"
"""`clientHandlingType` of a series whose customers share one code."""

_UNANSWERED = "unanswered"


class Standing(StrEnum):
    """What may be done with one coupon of a run. Only what is `REVOCABLE` is ever sent."""

    REVOCABLE = "revocable"
    IN_DOUBT = "in_doubt"
    REVOKED = "revoked"
    REDEEMED = "redeemed"
    RESENT = "resent"
    GENERIC = "generic"
    UNKNOWN_SERIES = "unknown_series"
    SHARED = "shared"
    ERASED = "erased"


STANDING_WORDS: Mapping[Standing, str] = {
    Standing.REVOCABLE: "can be revoked",
    Standing.IN_DOUBT: "a revocation of it is unanswered",
    Standing.REVOKED: "revoked already",
    Standing.REDEEMED: "redeemed",
    Standing.RESENT: "the customer held it before this run: never revoked",
    Standing.GENERIC: "generic series: all customers share one code, which cannot be revoked singly",
    Standing.UNKNOWN_SERIES: "the kind of the series cannot be read, and a shared code must not be revoked",
    Standing.SHARED: "its code stands for another coupon as well",
    Standing.ERASED: "its code is not in the ledger (erased, or never told)",
}
"""The standings in plain words."""

STAYS = (Standing.GENERIC, Standing.UNKNOWN_SERIES, Standing.SHARED, Standing.ERASED)
"""Standings of coupons that were to be undone and cannot be: a person is needed."""


class Fate(StrEnum):
    """What a revocation did to one coupon. `LEFT`: nothing, it may be asked for again with a new key."""

    REVOKED = "revoked"
    REDEEMED = "redeemed"
    REFUSED = "refused"
    LEFT = "left"


class Judged(NamedTuple):
    """A coupon's fate, and the API's code and message for it. `fate`: None while it is in doubt."""

    fate: Fate | None
    code: str = ""
    message: str = ""


class RevocationState(StrEnum):
    """What is known of one POST to the revocation endpoint. A refused one did nothing at all."""

    SENDING = "sending"
    DONE = "done"
    REFUSED = "refused"
    IN_DOUBT = "in_doubt"


STATE_AFTER: Mapping[Fate, CouponState] = {Fate.REVOKED: CouponState.REVOKED, Fate.REDEEMED: CouponState.REDEEMED}
"""Fate → the coupon's state from then on; other fates change nothing."""


def standing_of(
    state: str, code: str | None, *, under_way: bool, handling: str | None, shared: bool = False
) -> Standing:
    """What may be done with a coupon.

    Args:
        state: as the ledger has it (`core.merging.CouponState`).
        code: None once erased.
        under_way: a revocation of it is unanswered.
        handling: the series' `clientHandlingType`; None or "" when it cannot be read.
        shared: the ledger, or the API, knows the code for another coupon too.
    """
    if state in (CouponState.REVOKED, CouponState.REPLACED):
        return Standing.REVOKED
    if state == CouponState.REDEEMED:
        return Standing.REDEEMED
    if state != CouponState.ISSUED:
        return Standing.RESENT
    if under_way:
        return Standing.IN_DOUBT
    if not code:
        return Standing.ERASED
    if not handling:
        return Standing.UNKNOWN_SERIES
    if handling == GENERIC:
        return Standing.GENERIC
    return Standing.SHARED if shared else Standing.REVOCABLE


def portions(items: Iterable[T], most: int = MOST_AT_ONCE) -> Iterator[list[T]]:
    """The items in their order, at most so many at once."""
    portion: list[T] = []
    for item in items:
        portion.append(item)
        if len(portion) == most:
            yield portion
            portion = []
    if portion:
        yield portion


def understand(codes: Sequence[str], said: Revocation | Unread | None) -> tuple[RevocationState, dict[str, Judged]]:
    """What an answer means: the state of the POST, and for each code asked for its fate.

    Args:
        said: as `core.coupon_reads.read_revocation` gives it; None when nobody can tell.
    """
    if said is None:
        return RevocationState.IN_DOUBT, dict.fromkeys(codes, Judged(None, _UNANSWERED))
    if isinstance(said, Unread):
        fate = Fate.LEFT if said.again or said.for_all else Fate.REFUSED
        return RevocationState.REFUSED, {code: Judged(fate, "", said.problem) for code in codes}
    judged = {code: _judge(code, said) for code in codes}
    open_ones = any(one.fate is None for one in judged.values())
    return (RevocationState.IN_DOUBT if open_ones else RevocationState.DONE), judged


def _judge(code: str, said: Revocation) -> Judged:
    """A code that the answer does not list, or lists on both sides, is in doubt."""
    failure = said.failed.get(code)
    if code in said.revoked:
        return Judged(Fate.REVOKED) if failure is None else Judged(None, *failure)
    if failure is None:
        return Judged(None, _UNANSWERED, "the answer does not name it")
    if failure[0] == REVOKED_BEFORE:
        return Judged(Fate.REVOKED, *failure)
    return Judged(Fate.REDEEMED if failure[0] == REDEEMED_BEFORE else Fate.REFUSED, *failure)


class Waits(NamedTuple):
    """Times in seconds since a doubtful revocation was posted.

    `answered`: it is over at the server, so that a coupon which was ever seen may be asked for again. `settled`: so may
    one that was never seen by the reads.
    """

    answered: float
    settled: float


def judge_by_reading(
    codes: Mapping[str, bool], shown: Collection[CouponDetail], *, series: int, age: float, waits: Waits
) -> dict[str, Judged]:
    """What reading the coupons again proves about an unanswered revocation.

    Args:
        codes: code → whether the read just before the POST showed it.
        shown: what the same read shows now.
        age: seconds since the revocation was posted.

    One that is still there was not, once enough time has passed. That one is not shown proves nothing, however often it
    was shown before: a read may lag, or fail for all. It is asked for again with a new key, and the answer tells.
    """
    there = {detail.code for detail in shown if detail.series == series}
    judged = {}
    for code, shown_before in codes.items():
        if code in there:
            over, why = age >= waits.answered, "it is still there"
        elif shown_before:
            over, why = age >= waits.answered, "it is not shown any more, which proves nothing"
        else:
            over, why = age >= waits.settled, _UNANSWERED
        judged[code] = Judged(Fate.LEFT, "", why) if over else Judged(None, _UNANSWERED)
    return judged


def foreign_codes(codes: Collection[str], shown: Collection[CouponDetail], series: int) -> frozenset[str]:
    """Codes that the API shows for a coupon of another series as well: they do not stand for one coupon."""
    return frozenset(detail.code for detail in shown if detail.code in codes and detail.series != series)


@dataclass(slots=True)
class SeriesUndo:
    """One series of what is to be undone: how its coupons stood, and what became of them in this execution."""

    series: int
    handling: str
    standing: Counter[Standing] = field(default_factory=Counter)
    fates: Counter[Fate] = field(default_factory=Counter)

    @property
    def coupons(self) -> int:
        """How many the run received, those left out that the customers held before."""
        return self.standing.total() - self.standing[Standing.RESENT]


@dataclass(slots=True)
class Survey:
    """What an undo would do. `doubts`: calls in doubt, and the coupons that they hold. `unfinished`: it may go on.

    `unread`: why the kinds of the series cannot be read, "" when they can.
    """

    run: str
    campaign: str
    org: str
    unfinished: bool
    series: dict[int, SeriesUndo] = field(default_factory=dict)
    doubts: tuple[int, int] = (0, 0)
    unread: str = ""

    def count(self, *standings: Standing) -> int:
        """Coupons of these standings, over all series."""
        return sum(one.standing[standing] for one in self.series.values() for standing in standings)

    def became(self, fate: Fate) -> int:
        """Coupons that came to this in this execution."""
        return sum(one.fates[fate] for one in self.series.values())

    @property
    def to_revoke(self) -> int:
        """Coupons that are asked for, those of unanswered revocations among them."""
        return self.count(Standing.REVOCABLE, Standing.IN_DOUBT)
