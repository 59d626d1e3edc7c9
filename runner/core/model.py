"""The values that every other module speaks in: rows, orders, calls, exchanges and what they mean.

All are frozen. Words follow the vocabulary of the product: a *row* is a line of the input, an *order* is
campaign × person × series with a target, a *call* is one POST that is posted at most once, ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

MAX_PER_CALL = 500
"""Coupons that one call may ask for (the endpoint's documented maximum)."""


class Kind(StrEnum):
    """The ways to name a customer. `CUSTOMER_ID` is learnt from answers and never read from a file."""

    MOBILE = "mobile"
    EMAIL = "email"
    EXTERNAL_ID = "externalId"
    CUSTOMER_ID = "id"


class Identifier(NamedTuple):
    """One name of a customer: `value` is canonical and compares; `written` is what is sent."""

    kind: Kind
    value: str
    written: str


class Place(NamedTuple):
    """Where a row stands: number of the file in the run (from 0), sheet ("" for text files), row as shown."""

    file: int
    sheet: str
    row: int


class Problem(NamedTuple):
    """One reason why a row is not valid: the heading (None: the row as a whole), the cell, and a sentence."""

    column: str | None
    value: str | None
    message: str


class Ref(NamedTuple):
    """The content of a `_ref` cell: which order of which ledger, and base = target − the count printed there.

    `whole`: the line printed no count, so the target is `base` itself.
    """

    ledger: str
    order: str
    base: int
    whole: bool
    rehearsal: bool


class Row(NamedTuple):
    """A valid row. `identifiers` holds every identifier of the row; `sent` is the one that names it to the API.

    `count` is what the row asks of each of its series: cell, else default; `counts` where the defaults of its series
    differ, in their order. `counted` is False when a row with a `_ref` prints no count.
    """

    place: Place
    cells: tuple[str, ...]
    identifiers: tuple[Identifier, ...]
    sent: Identifier
    series: tuple[int, ...]
    count: int  # type: ignore[assignment]  # shadows tuple.count, which nobody calls on a row
    ref: Ref | None = None
    counted: bool = True
    counts: tuple[int, ...] = ()


class RejectedRow(NamedTuple):
    """A row that is not valid, with all its problems, and the series and count that the run would have used."""

    place: Place
    cells: tuple[str, ...]
    problems: tuple[Problem, ...]
    series_text: str
    count_text: str


class Order(NamedTuple):
    """An order as the engine sees it. `person` is the lane: one call of a person at a time. `calls`: so far.

    `others`: (kind, value as sent) of the row's other identifiers that may name her when the API does not know this
    one, in their order. `tried`: the kinds by which it did not know her.
    """

    id: int
    key: str
    series: int
    person: int
    kind: Kind
    value: str
    target: int
    issued: int
    held: int
    calls: int
    closed: bool = False
    others: tuple[tuple[Kind, str], ...] = ()
    tried: tuple[Kind, ...] = ()


class CallState(StrEnum):
    """What is known of a call. `NEVER_LEFT`: no byte of it was sent. `IN_DOUBT`: it may have issued."""

    SENDING = "sending"
    ISSUED = "issued"
    REFUSED = "refused"
    NEVER_LEFT = "never_left"
    IN_DOUBT = "in_doubt"


class Source(StrEnum):
    """Who says what became of a call: its own answer, a later read of the API, or a person."""

    ANSWER = "answer"
    READ = "read"
    PERSON = "person"


class CallStart(NamedTuple):
    """A call about to be posted. It must be durable in the ledger before its first byte leaves."""

    key: str
    order_id: int
    number: int
    quantity: int
    run: int


class Coupon(NamedTuple):
    """One coupon of an answer. `id` is the API's couponId as text, "" when the answer gave none."""

    id: str
    code: str


class CustomerFacts(NamedTuple):
    """What an answer says of the customer: the surviving customer id ("" if absent) and her identifiers as given."""

    id: str
    identifiers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What the adapter saw of one POST, uninterpreted.

    `left`: False only when it is certain that no byte of the request was written. `status`: None when no status line
    came. `headers`: lower-case names. `complete`: the whole body came. `failure`: None or a short word for what broke
    (timeout, reset, refused, dns, tls, protocol, too_large, cancelled; credentials: the API grants no token, so that no
    call can leave). `seconds`: from the start to the end of the exchange; `seconds_to_leave`: until its first byte was
    written, since a connection or a token may have to come first (0.0: at once, or it never left).
    """

    left: bool
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False
    failure: str | None = None
    detail: str = ""
    seconds: float = 0.0
    seconds_to_leave: float = 0.0


class CodeClass(StrEnum):
    """What a code means for the order: nothing more was issued and it may be asked again, final, or not known."""

    RETRY = "retry"
    FINAL = "final"
    UNKNOWN = "unknown"


class Scope(StrEnum):
    """Whom a code concerns."""

    ROW = "row"
    CUSTOMER = "customer"
    SERIES = "series"
    RUN = "run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why something is missing or in doubt: the principal code (a number as text, or a pseudo-code such as `http_504`).

    `agreeing`: how many such answers in a row close the series (1: at once; 0: never by itself).
    """

    code: str
    message: str
    klass: CodeClass
    scope: Scope
    agreeing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an exchange means. `held`: coupons that may have been issued beyond those listed (0 when certain).

    `state` is ISSUED when at least one coupon is listed and nothing is held, IN_DOUBT when something is held
    (the coupons listed count all the same), REFUSED when nothing was issued, NEVER_LEFT when nothing was sent.
    `reason`: None when everything asked for was issued. `codes`: every code of the answer, as text.
    `flags`: surprises, e.g. `more_than_asked`, `counts_contradict`.
    """

    state: CallState
    coupons: tuple[Coupon, ...] = ()
    held: int = 0
    reason: Reason | None = None
    codes: tuple[str, ...] = ()
    status: int | None = None
    customer: CustomerFacts | None = None
    retry_after_seconds: float | None = None
    request_id: str = ""
    flags: tuple[str, ...] = ()


class FallBack(NamedTuple):
    """An order's customer is to be named by another of the row's identifiers, since the API does not know this one.

    `calls`: of the order so far, the last of which was refused. `skipped`: how many of the order's `others` come before
    the one that names her, which the API does not know either. `names`: what a look-up told of her (canonical).
    """

    order_id: int
    person: int
    run: int
    calls: int
    skipped: int
    names: tuple[Identifier, ...]


class Settlement(NamedTuple):
    """An outcome to be recorded for a call of an order, with the identifiers that the answer named (canonical)."""

    call_key: str
    order_id: int
    person: int
    run: int
    outcome: Outcome
    names: tuple[Identifier, ...]
    seconds: float
