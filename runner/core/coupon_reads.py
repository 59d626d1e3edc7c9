"""What the reads of coupons say: a customer's coupons, the metadata of the calls that issued them, revocations.

Owns the shapes of `GET /v2/customers/coupons`, `GET /v2/coupon` and `POST /v2/coupon/revoke` (API.md, "Reading"). A
read that failed, was throttled, came back as HTML or says something else is `Unread`: it decides nothing. Raises
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from runner.core.answer import one_line, read_answer
from runner.core.lookups import NOT_FOUND
from runner.core.model import Exchange

_TOKEN_ENDED = frozenset({"401", "498"})
_NO_ACCESS = frozenset({"403", "4000", "320001"})
_BUSY = frozenset({"429", "4001"})
_NOBODY = frozenset({NOT_FOUND, "701"})


class Unread(NamedTuple):
    """A read that says nothing. `again`: it may be read later; `for_all`: every such read would end like this."""

    problem: str
    again: bool = False
    for_all: bool = False
    token_ended: bool = False
    retry_after_seconds: float | None = None


class CustomerCoupon(NamedTuple):
    """One coupon of a customer. `created`: seconds since the epoch, UTC, by the API's clock; None when not told."""

    id: str
    code: str
    series: int
    created: float | None
    redeemed: bool


class CouponPage(NamedTuple):
    """One page of a customer's coupons. `customer`: her id, None when the API knows nobody or names none.

    `total`: of all pages, None when not told. `known`: False when the API knows nobody by this identifier.
    """

    customer: str | None
    coupons: tuple[CustomerCoupon, ...]
    total: int | None
    known: bool = True


class CouponDetail(NamedTuple):
    """One coupon with what the call that issued it said of itself. `source`: the call's key, None when not told."""

    code: str
    series: int
    source_type: str | None
    source: str | None


class Revocation(NamedTuple):
    """What a revocation did, by code. `failed`: code → (the API's code, its message)."""

    revoked: frozenset[str]
    failed: Mapping[str, tuple[str, str]]


def read_coupon_page(exchange: Exchange) -> CouponPage | Unread:
    """The meaning of one page of `GET /v2/customers/coupons`."""
    parsed, codes, unread = parse_read(exchange)
    if unread is not None and codes and codes <= _NOBODY:
        return CouponPage(None, (), 0, known=False)
    if unread is not None:
        return unread
    entity = parsed.get("entity")
    customers = entity.get("customers") if isinstance(entity, dict) else None
    if not isinstance(entity, dict) or not isinstance(customers, list) or len(customers) > 1:
        return Unread("the answer holds no customer's coupons in the documented shape")
    pagination = entity.get("pagination")
    total = whole(pagination.get("total")) if isinstance(pagination, dict) else None
    if not customers:
        return CouponPage(None, (), total)
    customer = customers[0]
    listed = customer.get("coupons") if isinstance(customer, dict) else None
    if listed is None and isinstance(customer, dict):
        listed = []
    if not isinstance(listed, list):
        return Unread("the answer holds no list of coupons")
    coupons = [_coupon(item) for item in listed]
    if None in coupons:
        return Unread("the answer holds a coupon that cannot be read")
    return CouponPage(_id(customer.get("id")), tuple(one for one in coupons if one is not None), total)


def read_details(exchange: Exchange) -> tuple[CouponDetail, ...] | Unread:
    """The meaning of `GET /v2/coupon` with details: every coupon that it shows."""
    parsed, _, unread = parse_read(exchange)
    if unread is not None:
        return unread
    data = parsed.get("data")
    if not isinstance(data, list):
        return Unread("the answer holds no list of coupons")
    found = []
    for item in data:
        series = whole(item.get("seriesId")) if isinstance(item, dict) else None
        code = _text(item.get("code")) if isinstance(item, dict) else ""
        if series is None or not code:
            return Unread("the answer holds a coupon that cannot be read")
        told = item.get("couponIssualDetails")
        details = told if isinstance(told, dict) else {}
        source, kind = _text(details.get("sourceId")) or None, _text(details.get("sourceType")) or None
        found.append(CouponDetail(code, series, kind, source))
    return tuple(found)


def read_revocation(exchange: Exchange) -> Revocation | Unread | None:
    """The meaning of an answer to a revocation; None when nobody can tell what it did: it is in doubt.

    `Unread`: certainly nothing was revoked (it never left, or was refused as a whole), and why.
    """
    if not exchange.left and exchange.status is None:
        return Unread(f"it never left ({exchange.failure or 'no connection'})", again=True)
    parsed, codes, unread = parse_read(exchange)
    status = exchange.status or 0
    entity = parsed.get("entity")
    if isinstance(entity, dict) and isinstance(entity.get("revokedCoupons"), list | None):
        revoked = {_text(one.get("couponCode")) for one in entity.get("revokedCoupons") or () if isinstance(one, dict)}
        failed: dict[str, tuple[str, str]] = {}
        for item in entity.get("failedToRevoke") or ():
            if isinstance(item, dict):
                for code in item.get("couponCodes") or ():
                    failed[_text(code)] = (_text(item.get("errorCode")), one_line(item.get("errorMessage")))
        return Revocation(frozenset(revoked - {""}), failed)
    if unread is None or status >= 500 or status in (408, 0) or not exchange.complete or 300 <= status < 304:
        return None
    if codes or status >= 400:
        return unread
    return None


def skew_of(exchange: Exchange, *, started: float) -> float | None:
    """The API's clock minus ours, in seconds, from the `Date` header; None without one.

    Args:
        started: our clock when the exchange began, seconds since the epoch; the answer lies half its time later.
    """
    text = exchange.headers.get("date", "")
    try:
        told = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    told = told if told.tzinfo is not None else told.replace(tzinfo=UTC)
    return told.timestamp() + 0.5 - (started + exchange.seconds / 2)  # the header is cut to whole seconds


def parse_read(exchange: Exchange) -> tuple[dict[str, Any], frozenset[str], Unread | None]:
    """The body of any read as JSON, its codes, and why it says nothing (None when it says something)."""
    status = exchange.status
    if status is None or not exchange.complete:
        no_token = exchange.failure == "credentials"
        why = "the API gives no token" if no_token else f"no answer came ({exchange.failure or 'connection lost'})"
        return {}, frozenset(), Unread(why, again=not no_token, for_all=no_token)
    answer = read_answer(exchange.body, exchange.headers)
    entries = (*answer.errors, *answer.general) if answer is not None else ()
    codes = frozenset(entry.code for entry in entries if entry.code)
    message = next((entry.message for entry in entries if entry.message), "")
    said = ", ".join(sorted(codes)) or f"HTTP {status}"
    said = f"{said}: {message}" if message else said
    if status in (401, 498) or codes & _TOKEN_ENDED:
        refused = Unread(f"the API refuses the credentials ({said})", for_all=True, token_ended=True)
        return {}, codes, refused
    if (status in (403, 404, 405) and not codes & _NOBODY) or codes & _NO_ACCESS:
        return {}, codes, Unread(f"these credentials have no access to this read ({said})", for_all=True)
    if status in (408, 429) or status >= 500 or codes & _BUSY:
        wait = exchange.headers.get("retry-after", "")
        seconds = float(wait) if wait.isdecimal() else None
        return {}, codes, Unread(f"the API did not answer the question ({said})", True, retry_after_seconds=seconds)
    try:
        parsed = json.loads(exchange.body)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        return {}, codes, Unread(f"the answer cannot be read (HTTP {status})", again=True)
    if codes or not 200 <= status < 300:
        return parsed, codes, Unread(f"the API refused the question ({said})")
    return parsed, codes, None


def _coupon(item: Any) -> CustomerCoupon | None:
    if not isinstance(item, dict):
        return None
    series, code, number = whole(item.get("seriesId")), _text(item.get("code")), _id(item.get("id"))
    if series is None or not code:
        return None
    left = whole(item.get("redemptionsLeft"))
    return CustomerCoupon(number or "", code, series, _time(item.get("createdDateISO")), left == 0)


def _time(value: Any) -> float | None:
    try:
        told = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return told.timestamp() if told.tzinfo is not None else None


def whole(value: Any) -> int | None:
    """A whole number out of JSON, given as number or text; None for anything else."""
    if isinstance(value, bool):
        return None
    text = str(value).strip() if isinstance(value, int | str) else ""
    text = text.removesuffix(".0")
    return int(text) if text.lstrip("-").isascii() and text.lstrip("-").isdigit() and len(text) < 19 else None


def _id(value: Any) -> str | None:
    number = whole(value)
    return str(number) if number is not None and number > 0 else None


def _text(value: Any) -> str:
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
