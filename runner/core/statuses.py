"""What becomes of a line: one of seven words, the first that fits, and the reason.

A report of a run counts the calls of that run and of earlier ones, as they stand now, against the target that this run
loaded. Everything is judged for the *order* first (`judge_order`); then its coupons are dealt out to its lines in row
order (`deal`), and each line gets its word (`judge_line`). Sums over lines are sums over orders: nothing is counted
twice, because lines that repeat another line hold nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from runner.core.merging import RESENT, RESENT_REASON
from runner.core.model import CallState, CodeClass, Scope
from runner.core.orders import missing_of
from runner.core.policy import UNKNOWN_CUSTOMER


class LineStatus(StrEnum):
    """What became of a line, in the order in which the words are tried."""

    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    IN_DOUBT = "in_doubt"
    ISSUED = "issued"
    PARTIAL = "partial"
    FAILED = "failed"
    NOT_SENT = "not_sent"


STATUS_WORDS: Mapping[LineStatus, str] = {
    LineStatus.ISSUED: "all that the row wants is issued",
    LineStatus.PARTIAL: "some issued, some missing",
    LineStatus.FAILED: "none issued; asking again as it is will not help",
    LineStatus.NOT_SENT: "can be sent again as it is",
    LineStatus.IN_DOUBT: "perhaps issued; held, and not asked for again",
    LineStatus.DUPLICATE: "says the same as another row",
    LineStatus.REJECTED: "not valid: correct it in failures",
}
"""The words of the reports, in plain ones."""


class Cause(NamedTuple):
    """Why something is missing, in doubt or worth a look: a code as text ("" when there is none) and a sentence."""

    code: str
    message: str


class CallFacts(NamedTuple):
    """A call as the ledger stores it. Times are seconds since the epoch, UTC; `klass` and `scope` belong to `code`.

    `evidence`: of a call in doubt, what the newest read of the API said of it.
    """

    key: str
    order_id: int
    run_id: int
    number: int
    quantity: int
    state: str
    known: int
    held: int
    began: float
    ended: float | None
    http: int | None
    code: str | None
    klass: str | None
    scope: str | None
    message: str | None
    flags: tuple[str, ...] | None
    request_id: str | None
    evidence: str | None = None


class OrderState(NamedTuple):
    """An order as one run sees it.

    `target`: as this run loaded it. `calls`: of this run and earlier ones, of this order and of those merged into it,
    oldest first. `closure`: this run asks no more for the order, or no run ever will. `series_state`: how the run left
    the series ("" when it never said). `twice`: it was issued under two names of one person before that was known, and
    no other line of the run says so. `kind`, `tried`: by what its customer is named, and the kinds by which the API did
    not know her before that. `another`: she may be, or is by now, named by another identifier than her last call was.
    """

    run_id: int
    target: int
    calls: Sequence[CallFacts]
    closure: Cause | None
    series_state: str
    series_cause: Cause | None
    twice: bool = False
    kind: str = ""
    tried: Sequence[str] = ()
    another: bool = False


class OrderVerdict(NamedTuple):
    """An order's figures and reason, for one run. `doubts`: the calls that hold something.

    `cause`: why something is missing, or what was surprising when nothing is. `doubt`: why something is in doubt.
    `final`: what is missing is not asked for again by itself: a person is needed. `attempts`: calls that were or may
    have been sent. `flags`: surprises that its calls recorded.
    """

    target: int
    issued: int
    before: int
    held: int
    missing: int
    cause: Cause
    doubt: Cause
    final: bool
    attempts: int
    first_sent: float | None
    last_answer: float | None
    request_id: str
    doubts: tuple[CallFacts, ...]
    flags: tuple[str, ...]


class Share(NamedTuple):
    """One line's part of its order. Coupons; the order's coupons stand in the order of their calls."""

    target: int
    issued: int
    before: int
    held: int
    missing: int


class LineVerdict(NamedTuple):
    """A line's word, its part of the order, and the reason. `again`: it may be asked for again as it is."""

    status: LineStatus
    share: Share
    cause: Cause
    again: bool


NOTHING = Share(0, 0, 0, 0, 0)
"""What a line holds that repeats another line."""

NO_CAUSE = Cause("", "")
NEVER_TRIED = Cause("", "never tried: the run ended before its turn")
UNFINISHED = Cause("", "the run ended before all of it was issued")
QUEUE_EMPTY = frozenset({"5005", "702"})
"""Codes that say "nothing in the queue just now": no verdict on the row, however long it lasted."""

CLOSED_FOR_GOOD: Mapping[str, str] = {
    RESENT: RESENT_REASON.message,
    "forgotten": "the person was forgotten at her request, so nothing is issued any more",
}
"""Closing codes that outlast the run which set them, each with its sentence."""

FLAG_SENTENCES = {
    "more_than_asked": "the API issued more coupons than were asked for",
    "counts_contradict": "the counts in the API's answer contradict the coupons it lists",
    "known_for_another": "the API gave a coupon that another customer holds already",
    "resent": "the API gave a coupon again that this customer held before; it is not counted",
    "found_again": "it was found again after the ledger had been put back from an older copy",
    "repeated": "the API listed a coupon twice in one answer; it is counted once",
    "repeated_coupon": "the API listed a coupon twice in one answer; it is counted once",
    "unreadable_coupon": "the API listed a coupon that cannot be read; it is held as in doubt",
    "surplus": "two names turned out to be one customer after coupons were issued to both",
    "same_person": "two names in the list turned out to be one customer, who is issued to once",
    "appeared_later": "a coupon appeared after its call was settled without it",
}
"""What a surprise means, where a line names it. Others are named as they are."""


def judge_order(facts: OrderState) -> OrderVerdict:
    """Add up an order's calls and find why something is missing or in doubt."""
    issued = before = held = attempts = 0
    first_sent: float | None = None
    last_answer: float | None = None
    last: CallFacts | None = None
    doubts: tuple[CallFacts, ...] = ()
    flags: tuple[str, ...] = ()
    run_id = facts.run_id
    for call in facts.calls:
        known = call.known
        issued += known
        if call.run_id < run_id:
            before += known
        if call.held:
            held += call.held
            doubts += (call,)
        if call.flags:
            flags += call.flags
        if call.state != CallState.NEVER_LEFT:
            attempts += 1
            if first_sent is None or call.began < first_sent:
                first_sent = call.began
        ended = call.ended
        if ended is not None and (last_answer is None or ended > last_answer):
            last_answer = ended
        last = call
    missing = missing_of(facts.target, issued, held)
    shown = doubts[-1] if doubts else last
    if missing:
        cause, final = _why_missing(facts, last)
    else:
        cause, final = _cause_when_issued(facts, issued, flags), False
    return OrderVerdict(
        facts.target,
        issued,
        before,
        held,
        missing,
        cause,
        _cause_of_doubt(doubts[-1]) if doubts else NO_CAUSE,
        final,
        attempts,
        first_sent,
        last_answer,
        (shown.request_id or "") if shown is not None else "",
        doubts,
        flags,
    )


def _cause_of_doubt(call: CallFacts) -> Cause:
    if call.state == CallState.SENDING:
        return Cause(call.code or "", "sent, or about to be, when this was written: no answer is recorded")
    return Cause(call.code or "", call.message or "it may have issued: no clear answer was seen")


def _cause_when_issued(facts: OrderState, issued: int, flags: tuple[str, ...]) -> Cause:
    target = facts.target
    if facts.twice:
        return Cause("surplus", "coupons were issued to the same person under another name before that was known")
    if flags:
        return Cause("", "; ".join(FLAG_SENTENCES.get(flag, flag) for flag in dict.fromkeys(flags)))
    if issued > target:
        return Cause("", f"the target {target:,} is below the {issued:,} already issued: nothing more was asked for")
    return Cause("", name_fall_back(facts.kind, facts.tried)) if facts.tried and issued else NO_CAUSE


def name_fall_back(kind: str, tried: Sequence[str]) -> str:
    """Why an order was issued by another identifier of its row than the one that is sent first."""
    were = "was" if len(tried) == 1 else "were"
    return f"issued by {kind}, since the {' and the '.join(tried)} {were} not found (701)"


def _why_missing(facts: OrderState, last: CallFacts | None) -> tuple[Cause, bool]:
    """The reason for what is missing, and whether it is final. An empty queue is never final, whoever recorded it."""
    closure = facts.closure
    if closure is not None and closure.code not in QUEUE_EMPTY:
        return closure, True
    if facts.series_state == "closed":
        return facts.series_cause or Cause("", "the series was closed in this run"), True
    if facts.series_state in ("parked", "exhausted"):
        return facts.series_cause or closure or Cause("5005", "no coupon in the queue of this series"), False
    if closure is not None:
        return closure, False
    if last is None or last.run_id != facts.run_id:
        return NEVER_TRIED, False
    if last.held:
        return UNFINISHED, False
    if facts.another and last.code in UNKNOWN_CUSTOMER:  # the run ended before she was asked for by it
        return Cause(last.code or "", last.message or UNFINISHED.message), False
    # A reason of the run's (credentials, throttling) says nothing about the row, however final it is for the run.
    final = (
        last.klass == CodeClass.FINAL
        and last.scope != Scope.RUN
        and last.state in (CallState.REFUSED, CallState.ISSUED)
    )
    return Cause(last.code or "", last.message or UNFINISHED.message), final


def deal(requested: Sequence[int], order: OrderVerdict) -> list[Share]:
    """An order's coupons, dealt to its lines in row order: first what is issued, then what is in doubt.

    `requested`: what each line asks for, in row order; the last line answers for whatever they leave of the target.
    Coupons beyond the target stay with the last line. The shares add up to the order.
    """
    if len(requested) == 1:
        return [Share(order.target, order.issued, order.before, order.held, order.missing)]
    shares = []
    target, issued, before, held = order.target, order.issued, order.before, order.held
    last = len(requested) - 1
    for position, asked in enumerate(requested):
        is_last = position == last
        own = target if is_last else min(asked, target)
        got = issued if is_last else min(own, issued)
        earlier = min(got, before)
        doubtful = held if is_last else min(own - got, held)
        shares.append(Share(own, got, earlier, doubtful, missing_of(own, got, doubtful)))
        target, issued, before, held = target - own, issued - got, before - earlier, held - doubtful
    return shares


def judge_line(share: Share, order: OrderVerdict) -> LineVerdict:
    """A line's word from its share and its order: in doubt, issued, partial, failed or not sent, what fits first."""
    if share.held:
        return LineVerdict(LineStatus.IN_DOUBT, share, order.doubt, False)
    if not share.missing:
        # While the order misses something, its reason belongs to the lines that miss it.
        return LineVerdict(LineStatus.ISSUED, share, NO_CAUSE if order.missing else order.cause, False)
    again = not order.final
    if share.issued:
        return LineVerdict(LineStatus.PARTIAL, share, order.cause, again)
    return LineVerdict(LineStatus.NOT_SENT if again else LineStatus.FAILED, share, order.cause, again)


SAME_PERSON_AS = "same person as"
"""How the message of a line begins whose customer turned out, while a run went on, to be another line's."""


def judge_duplicate(same_as: str, *, same_person: bool = False, surplus: bool = False) -> LineVerdict:
    """A line that repeats another one. `same_as`: the row it repeats, as `name_row` says it, or a whole sentence.

    `same_person`: another name of the same person. `surplus`: both orders had issued before that was known, which needs
    a person (`undo`).
    """
    if surplus:
        message = f"{SAME_PERSON_AS} {same_as}; coupons were issued to both before that was known"
        return LineVerdict(LineStatus.DUPLICATE, NOTHING, Cause("surplus", message), False)
    message = f"{SAME_PERSON_AS} {same_as}" if same_person else f"same as {same_as}"
    return LineVerdict(LineStatus.DUPLICATE, NOTHING, Cause("", message), False)


def judge_elsewhere(note: str) -> LineVerdict:
    """A line that was skipped because another campaign covers it; `note` names campaign and run."""
    return LineVerdict(LineStatus.DUPLICATE, NOTHING, Cause("", note or "covered by another campaign"), False)


def name_row(row: int, sheet: str, file: str = "") -> str:
    """A row as people name it: "row 17", "row 17 of sheet May", "row 17 of sheet May of list.xlsx"."""
    return f"row {row}" + (f" of sheet {sheet}" if sheet else "") + (f" of {file}" if file else "")


def name_rows(rows: Iterable[int]) -> str:
    """Several row numbers in one cell, separated so that no spreadsheet reads them as one number: "17; 23"."""
    return "; ".join(map(str, rows))
