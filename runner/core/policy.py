"""What happened → what next, and for whom: the order, the customer, the series or the run.

`judge` reads one outcome; `SeriesTrack` remembers what a series' answers have said so far. Neither waits nor sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from runner.core.model import CallState, CodeClass, Kind, Order, Outcome, Reason, Scope


class Step(StrEnum):
    """What follows for the order whose call was answered."""

    DONE = "done"  # nothing is missing
    GO_ON = "go_on"  # ask for what is still missing, at once
    CLOSE_ORDER = "close_order"  # final for the row
    FALL_BACK = "fall_back"  # the API does not know this identifier of the row, which has another
    WAIT_CUSTOMER = "wait_customer"  # later, this customer only
    PARK_SERIES = "park_series"  # later, the whole series
    DOUBT_SERIES = "doubt_series"  # final for the row, and perhaps for its series
    CLOSE_SERIES = "close_series"  # final for the row and all of its series
    SLOW_DOWN = "slow_down"  # later, everything slower
    PAUSE_RUN = "pause_run"  # nothing ever left: one probe at a time until something does
    RENEW_TOKEN = "renew_token"  # noqa: S105 - a step, not a secret
    STOP_RUN = "stop_run"  # every row would get this


class Verdict(NamedTuple):
    """A step and the reason it rests on (None when all went well)."""

    step: Step
    reason: Reason | None


UNKNOWN_CUSTOMER = frozenset({"701", "8015"})
"""Codes that say: nobody is known by this identifier."""

TOKEN_CODES = frozenset({"401", "498", "http_401", "http_498"})


def judge(outcome: Outcome, *, missing: int, track: SeriesTrack) -> Verdict:
    """What follows from an outcome. `missing`: of the order, after the outcome. Updates `track`, the series' memory.

    A doubt holds its quantity and stops nothing by itself: what is missing beyond it may be asked for.
    """
    reason = outcome.reason
    if outcome.state is CallState.NEVER_LEFT:
        hopeless = reason is not None and reason.klass is CodeClass.FINAL
        return Verdict(Step.STOP_RUN if hopeless else Step.PAUSE_RUN, reason)
    if outcome.coupons:
        track.saw_coupons()
    if reason is None or (outcome.state is CallState.IN_DOUBT and reason.klass is CodeClass.UNKNOWN):
        return Verdict(Step.GO_ON if missing else Step.DONE, reason)
    if reason.klass is CodeClass.RETRY:
        if reason.scope is Scope.SERIES:
            return Verdict(Step.PARK_SERIES, reason)
        if reason.scope is Scope.RUN:
            return Verdict(Step.SLOW_DOWN, reason)
        if not missing:
            return Verdict(Step.DONE, reason)
        return Verdict(Step.GO_ON if outcome.coupons else Step.WAIT_CUSTOMER, reason)
    if reason.scope is Scope.RUN:
        return Verdict(Step.RENEW_TOKEN if reason.code in TOKEN_CODES else Step.STOP_RUN, reason)
    if reason.agreeing and not outcome.coupons:
        closes = track.saw_code(reason.code, reason.agreeing)
        return Verdict(Step.CLOSE_SERIES if closes else Step.DOUBT_SERIES, reason)
    if not outcome.coupons:
        track.saw_answer()
    return Verdict(Step.CLOSE_ORDER if missing else Step.DONE, reason)


def fall_back(verdict: Verdict, outcome: Outcome, order: Order) -> Verdict:
    """FALL_BACK where an order would be closed because nobody is known by its identifier, and its row has another.

    `order`: after the outcome. Only where nothing of it is issued or in doubt: whatever may have come is read, later,
    by the identifier under which it was asked for.
    """
    step, reason = verdict
    if step is not Step.CLOSE_ORDER or reason is None or reason.code not in UNKNOWN_CUSTOMER:
        return verdict
    if order.others and outcome.state is CallState.REFUSED and not order.issued and not order.held:
        return Verdict(Step.FALL_BACK, reason)
    return Verdict(step, nobody_knows(reason, [*order.tried, order.kind])) if order.tried else verdict


def nobody_knows(reason: Reason, tried: Sequence[Kind], problem: str | None = None) -> Reason:
    """The reason to close an order whose customer was looked for by several identifiers.

    `tried`: the kinds of these. `problem`: why it cannot be told who the next one leads to.
    """
    kinds = " nor ".join(dict.fromkeys(tried))
    told = f"not found by {kinds}" if problem is None else f"not found by {kinds}, and {problem}"
    return replace(reason, message=f"{reason.message} ({told})")


class SeriesState(StrEnum):
    """Untested (one call alone) → open → doubtful (one at a time) → parked (one probe at a time) or over."""

    UNTESTED = "untested"
    OPEN = "open"
    DOUBTFUL = "doubtful"
    PARKED = "parked"
    CLOSED = "closed"
    EXHAUSTED = "exhausted"
    CAPPED = "capped"


@dataclass(slots=True)
class SeriesTrack:
    """What the answers of one series have said in this run. `in_flight`: its calls under way."""

    state: SeriesState = SeriesState.UNTESTED
    in_flight: int = 0
    code: str | None = None
    agreeing: int = 0

    def may_start(self) -> bool:
        """Whether a worker may begin a call of this series now (probes of a parked series do not ask)."""
        if self.state is SeriesState.OPEN:
            return True
        return self.state in (SeriesState.UNTESTED, SeriesState.DOUBTFUL) and self.in_flight == 0

    @property
    def over(self) -> bool:
        """Nothing more is asked of the series in this run."""
        return self.state in (SeriesState.CLOSED, SeriesState.EXHAUSTED, SeriesState.CAPPED)

    def saw_coupons(self) -> None:
        """Coupons came: the series is well."""
        self.saw_answer()

    def saw_answer(self) -> None:
        """An answer that says nothing against the series."""
        self.code, self.agreeing = None, 0
        if self.state in (SeriesState.UNTESTED, SeriesState.DOUBTFUL):
            self.state = SeriesState.OPEN

    def saw_code(self, code: str, agreeing: int) -> bool:
        """A code that may be final for the series; True when it is, by `agreeing` such answers in a row."""
        self.agreeing = self.agreeing + 1 if code == self.code else 1
        self.code = code
        if self.agreeing >= agreeing:
            self.state = SeriesState.CLOSED
            return True
        if not self.over and self.state is not SeriesState.PARKED:
            self.state = SeriesState.DOUBTFUL
        return False
