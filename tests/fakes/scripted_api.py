"""A `ports.CouponApi` whose answers follow a script and which keeps the truth of who holds what, for property tests.

    api = ScriptedApi(clock, script=[Fault.NONE, Fault.COMMIT_THEN_LOST, Fault.PARTIAL_ERROR])
    ...                                  # the engine runs; when the script is over, everything is issued
    assert api.held("mobile", "919000000001", 415446) == 2
    assert api.breaches == []            # no key posted twice, no two calls of a customer at once, none above 500

The truth is its own: it is counted when a call is carried out, not read from what was answered.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from runner.core.lookups import NOBODY, LookUp
from runner.core.model import Exchange
from runner.ports import Clock

MOST_PER_CALL = 500


class Fault(StrEnum):
    """What becomes of one call. `…_LOST`, `…_TIMEOUT` and `CUT_…` hide from the caller whether it was carried out."""

    NONE = "issued in full"
    COMMIT_THEN_LOST = "carried out, then the connection is reset"
    LOST_BEFORE_COMMIT = "the connection is reset, nothing is carried out"
    COMMIT_THEN_TIMEOUT = "carried out, the answer comes too late"
    COMMIT_THEN_504 = "carried out, a gateway answers 504 with HTML"
    GATEWAY_504 = "not carried out, a gateway answers 504 with HTML"
    CUT_BODY = "carried out, the answer breaks off half way"
    NEVER_LEFT = "the connection is refused, no byte left"
    PARTIAL_ERROR = "about half is issued, 5005 in errors says why"
    PARTIAL_TWIN = "about half is issued, the twin 702 in warnings says why"
    PARTIAL_SILENT = "about half is issued and listed, the counts claim all, no code says why"
    EMPTY_QUEUE = "5005, nothing is issued"
    LOCKED = "521, another action of the customer is running"
    THROTTLED = "429 with Retry-After: 1"
    UNAUTHORISED = "401 with XML: the token has ended"
    ROW_REFUSED = "701, the customer does not exist"
    SERIES_REFUSED = "707, the series does not exist"


CARRIED_OUT = frozenset(
    {
        Fault.NONE,
        Fault.COMMIT_THEN_LOST,
        Fault.COMMIT_THEN_TIMEOUT,
        Fault.COMMIT_THEN_504,
        Fault.CUT_BODY,
        Fault.PARTIAL_ERROR,
        Fault.PARTIAL_TWIN,
        Fault.PARTIAL_SILENT,
    }
)
_PARTIAL = frozenset({Fault.PARTIAL_ERROR, Fault.PARTIAL_TWIN, Fault.PARTIAL_SILENT})


@dataclass(slots=True, kw_only=True)
class Posted:
    """One call as it arrived: what it asked for, what befell it, when it began and ended, what it issued in truth."""

    key: str
    series: int
    count: int
    customer: str
    fault: Fault
    began: float
    ended: float | None = None
    coupon_ids: list[str] = field(default_factory=list)


Script = Iterable[Fault] | Callable[[Posted], Fault]


class ScriptedApi:
    """The fake.

    Args:
        clock: virtual; a call takes `seconds` on it.
        script: one fault a call in the order in which they arrive, then `Fault.NONE`; or a function that is shown each
            call (its `fault` is NONE) and names one.
        seconds: how long a call takes, or a function of the call that says so.
        same_person: identifiers, as (kind, value), that are one customer, by her name.
        on_post: called when a call arrives, before anything is carried out: the place to assert that it is durable.
        unknown: identifiers, as (kind, value), by which nobody is known: 701, and 8015 for a look-up. May be changed.
        oauth: whether there is a token that can be renewed; `refuse_credentials` makes renewing fail.
    """

    def __init__(
        self,
        clock: Clock,
        script: Script = (),
        *,
        seconds: float | Callable[[Posted], float] = 0.05,
        same_person: Mapping[tuple[str, str], str] | None = None,
        on_post: Callable[[Posted], None] | None = None,
        unknown: Collection[tuple[str, str]] = (),
        oauth: bool = False,
    ) -> None:
        self._clock = clock
        self._choose = script if callable(script) else None
        self._script = iter(()) if callable(script) else iter(script)
        self._seconds = seconds
        self._same_person = dict(same_person or {})
        self._on_post = on_post
        self.unknown = set(unknown)
        self.look_ups: list[tuple[str, str]] = []
        self.look_up_problem: str | None = None
        """Why no look-up can be answered."""
        self._token = 1 if oauth else None
        self._in_flight: set[str] = set()
        self._customer_ids: dict[str, int] = {}
        self._next_coupon = 0
        self.refuse_credentials = False
        self.posts: list[Posted] = []
        """Every call that was attempted, in order, those that never left among them."""
        self.reads: list[tuple[int, ...]] = []
        self.refreshes = 0
        self.breaches: list[str] = []
        """Sentences: what no caller may do, and did."""
        self.truth: dict[tuple[str, int], list[str]] = {}
        """Coupon ids by customer and series."""
        self._seen: Counter[str] = Counter()

    def held(self, kind: str, value: str, series: int) -> int:
        """Coupons of a series that a customer holds in truth."""
        return len(self.truth.get((self._customer(kind, value), series), ()))

    def issued_by(self, call_key: str) -> int:
        """Coupons that a call has issued in truth."""
        return sum(len(post.coupon_ids) for post in self.posts if post.key == call_key)

    def total_held(self) -> int:
        """All coupons issued in truth."""
        return sum(len(coupons) for coupons in self.truth.values())

    async def issue(self, *, call_key: str, series: int, count: int, kind: str, value: str) -> Exchange:
        customer = self._customer(kind, value)
        post = Posted(
            key=call_key, series=series, count=count, customer=customer, fault=Fault.NONE, began=self._clock.now()
        )
        post.fault = self._choose(post) if self._choose is not None else next(self._script, Fault.NONE)
        if (kind, value) in self.unknown and post.fault in CARRIED_OUT:
            hidden = post.fault in (Fault.COMMIT_THEN_LOST, Fault.COMMIT_THEN_TIMEOUT, Fault.CUT_BODY)
            post.fault = Fault.LOST_BEFORE_COMMIT if hidden else Fault.ROW_REFUSED
        self._note_breaches(post)
        self.posts.append(post)
        if self._on_post is not None:
            self._on_post(post)
        mine = customer not in self._in_flight
        self._in_flight.add(customer)
        try:
            seconds = self._seconds(post) if callable(self._seconds) else self._seconds
            await self._clock.sleep(seconds / 2)
            if post.fault in CARRIED_OUT:
                self._carry_out(post)
            await self._clock.sleep(seconds / 2)
        except asyncio.CancelledError:
            # Whoever gives up waiting does not stop the server: the request had left, and is carried out all the same.
            if post.fault in CARRIED_OUT and not post.coupon_ids:
                self._carry_out(post)
            raise
        finally:
            if mine:
                self._in_flight.discard(customer)
            post.ended = self._clock.now()
        return self._answer(post, kind, value, post.ended - post.began)

    async def read_series(self, series: Sequence[int]) -> Exchange:
        self.reads.append(tuple(series))
        await self._clock.sleep(0.01)
        return _json(200, {"entity": [{"id": number} for number in series], "warnings": []}, 0.01)

    async def look_up(self, kind: str, value: str) -> LookUp:
        """Who a customer is, as the engine asks before it names her by another identifier."""
        self.look_ups.append((kind, value))
        await self._clock.sleep(0.01)
        if self.look_up_problem is not None:
            return LookUp(None, self.look_up_problem)
        return (
            NOBODY
            if (kind, value) in self.unknown
            else LookUp(str(self._customer_id(self._customer(kind, value))), None)
        )

    async def refresh_credentials(self, *, seen: str | None) -> bool:
        if self._token is None or self.refuse_credentials:
            return False
        if seen == str(self._token):
            self._token += 1
            self.refreshes += 1
            await self._clock.sleep(0.01)
        return True

    def credentials_version(self) -> str | None:
        return None if self._token is None else str(self._token)

    def _customer(self, kind: str, value: str) -> str:
        return self._same_person.get((kind, value), f"{kind}:{value}")

    def _customer_id(self, customer: str) -> int:
        return self._customer_ids.setdefault(customer, 7_000_000 + len(self._customer_ids))

    def name_of(self, kind: str, value: str) -> str:
        """By which name the truth has a customer."""
        return self._customer(kind, value)

    def _note_breaches(self, post: Posted) -> None:
        self._seen[post.key] += 1
        if self._seen[post.key] > 1:
            self.breaches.append(f"call {post.key} was posted {self._seen[post.key]} times")
        if not 1 <= post.count <= MOST_PER_CALL:
            self.breaches.append(f"call {post.key} asked for {post.count} coupons")
        if post.customer in self._in_flight:
            self.breaches.append(f"call {post.key} met another call of {post.customer} under way")

    def _carry_out(self, post: Posted) -> None:
        count = post.count // 2 if post.fault in _PARTIAL else post.count
        for _ in range(count):
            self._next_coupon += 1
            post.coupon_ids.append(str(self._next_coupon))
        self.truth.setdefault((post.customer, post.series), []).extend(post.coupon_ids)

    def _answer(self, post: Posted, kind: str, value: str, seconds: float) -> Exchange:
        match post.fault:
            case Fault.NEVER_LEFT:
                return Exchange(left=False, failure="refused", seconds=seconds)
            case Fault.COMMIT_THEN_LOST | Fault.LOST_BEFORE_COMMIT:
                return Exchange(left=True, failure="reset", seconds=seconds)
            case Fault.COMMIT_THEN_TIMEOUT:
                return Exchange(left=True, failure="timeout", seconds=seconds)
            case Fault.COMMIT_THEN_504 | Fault.GATEWAY_504:
                return _text(504, "text/html", b"<html><body>504 Gateway Time-out</body></html>", seconds)
            case Fault.UNAUTHORISED:
                return _text(401, "application/xml", b"<response><status>401</status></response>", seconds)
            case Fault.THROTTLED:
                headers = {"retry-after": "1", "content-type": "application/json"}
                return Exchange(left=True, status=429, headers=headers, body=b"", complete=True, seconds=seconds)
            case Fault.EMPTY_QUEUE:
                return _refusal(5005, "Coupon queue is empty", seconds)
            case Fault.LOCKED:
                return _refusal(521, "Multiple actions are running for the same customer", seconds)
            case Fault.ROW_REFUSED:
                return _refusal(701, "Customer not found", seconds)
            case Fault.SERIES_REFUSED:
                return _refusal(707, "Coupon series not found", seconds)
            case Fault.NONE | Fault.PARTIAL_ERROR | Fault.PARTIAL_TWIN | Fault.PARTIAL_SILENT | Fault.CUT_BODY:
                exchange = _json(200, self._document(post, kind, value), seconds)
                if post.fault is not Fault.CUT_BODY:
                    return exchange
                half = exchange.body[: len(exchange.body) // 2]
                return Exchange(
                    left=True, status=200, headers=exchange.headers, body=half, failure="reset", seconds=seconds
                )

    def _document(self, post: Posted, kind: str, value: str) -> dict[str, Any]:
        issued = len(post.coupon_ids)
        short = post.count - issued
        errors, warnings = [], []
        if short and post.fault is Fault.PARTIAL_ERROR:
            errors.append({"status": False, "code": 5005, "message": "Coupon queue is empty"})
        if short and post.fault is Fault.PARTIAL_TWIN:
            warnings.append({"status": False, "code": 702, "message": "Coupons are not available"})
        explained = short if post.fault is not Fault.PARTIAL_SILENT else 0
        customer_id = self._customer_id(post.customer)
        names = [{"type": kind, "value": value}]
        return {
            "coupons": [{"code": f"C{coupon}", "couponId": int(coupon)} for coupon in post.coupon_ids],
            "totalCount": post.count,
            "successCount": post.count - explained,
            "failureCount": explained,
            "customer": {"id": customer_id, "profiles": [{"identifiers": names, "identifiersAll": names}]},
            "errors": errors,
            "warnings": warnings,
        }


def _json(status: int, document: object, seconds: float) -> Exchange:
    return _text(status, "application/json", orjson.dumps(document), seconds)


def _text(status: int, content_type: str, body: bytes, seconds: float) -> Exchange:
    headers = {"content-type": content_type}
    return Exchange(left=True, status=status, headers=headers, body=body, complete=True, seconds=seconds)


def _refusal(code: int, message: str, seconds: float) -> Exchange:
    return _json(200, {"errors": [{"status": False, "code": code, "message": message}]}, seconds)
