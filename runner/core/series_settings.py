"""What the API says of series: `GET /v2/coupon/series` (API.md, "Reading").

Owns the shape of that answer. A number that is −1 in it means "no limit" and is None here, as is whatever the answer
does not tell. Raises nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from runner.core.coupon_reads import Unread, parse_read, whole
from runner.core.model import Exchange

GENERATED, UPLOADED, GENERIC = "DISC_CODE", "DISC_CODE_PIN", "GENERIC"
"""The words of `clientHandlingType`."""

MONEY, PERCENTAGE = "ABS", "PERC"
"""The words of `discountType`."""

UNKNOWN_SERIES = "707"

_MOST = 2**53
_MOST_VALUE = Decimal(10**12)
_DAY = 86_400.0
_WEST, _EAST = 12 * 3600.0, 14 * 3600.0
"""How far the zones of the earth lie from UTC: a time without a zone may be so much later or earlier than it reads."""


class Moment(NamedTuple):
    """A time that the API told, in seconds since the epoch.

    `earliest` and `latest` differ where it has no zone, or is a day.
    """

    earliest: float
    latest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSettings:
    """One series as it is set up. None: no limit, or not told.

    `value`: what a coupon is worth, or its percentage where `discount` is `PERC`. `most_created`, `issued`, `left`:
    coupons that may ever be created, were issued by anybody, and of uploaded codes those that are left. `several`:
    whether a customer may hold more than one; `most_each`: how many. `resends`: who holds one is given that one again.
    """

    id: int
    description: str = ""
    handling: str = ""
    discount: str = ""
    value: Decimal | None = None
    most_created: int | None = None
    issued: int | None = None
    left: int | None = None
    several: bool = True
    most_each: int | None = None
    min_days: int | None = None
    resends: bool = False
    excludes: frozenset[int] = frozenset()
    valid_till: Moment | None = None
    coupons_end: Moment | None = None
    external: bool = False
    messages: bool = False

    @property
    def stock(self) -> int | None:
        """Coupons that it can still give; None: without end, or nobody can tell."""
        if self.handling == UPLOADED:
            return self.left
        if self.handling != GENERATED or self.most_created is None or self.issued is None:
            return None
        return max(0, self.most_created - self.issued)

    @property
    def cap(self) -> int | None:
        """How many coupons of it one customer may hold; None: any number."""
        return self.most_each if self.several else min(1, self.most_each if self.most_each is not None else 1)

    @property
    def money(self) -> Decimal | None:
        """What one coupon is worth, where it is money."""
        return self.value if self.discount == MONEY else None

    @property
    def percentage(self) -> Decimal | None:
        """What one coupon takes off in percent, where it does."""
        return self.value if self.discount == PERCENTAGE else None


def read_series_settings(exchange: Exchange) -> dict[int, SeriesSettings] | Unread:
    """Series → its settings, of those that the API knows."""
    parsed, codes, unread = parse_read(exchange)
    if unread is not None and codes == {UNKNOWN_SERIES} and not unread.for_all and not unread.again:
        return {}
    if unread is not None:
        return unread
    entity = parsed.get("entity")
    if not isinstance(entity, list):
        return Unread("the answer holds no list of series")
    found = {}
    for item in entity:
        number = whole(item.get("id")) if isinstance(item, dict) else None
        if number is None:
            return Unread("the answer holds a series that cannot be read")
        found[number] = _settings(number, item)
    return found


def read_handling(exchange: Exchange) -> dict[int, str] | Unread:
    """Series → its `clientHandlingType` (DISC_CODE, DISC_CODE_PIN, GENERIC), of those that the API knows."""
    found = read_series_settings(exchange)
    return found if isinstance(found, Unread) else {number: one.handling for number, one in found.items()}


def read_issued(exchange: Exchange) -> dict[int, int] | Unread:
    """Series → how many coupons of it were issued by anybody (`numIssued`), of those that tell it."""
    found = read_series_settings(exchange)
    if isinstance(found, Unread):
        return found
    return {number: one.issued for number, one in found.items() if one.issued is not None}


def _settings(number: int, item: Mapping[str, Any]) -> SeriesSettings:
    template = item.get("smsTemplate")
    return SeriesSettings(
        id=number,
        description=item["description"].strip() if isinstance(item.get("description"), str) else "",
        handling=str(item.get("clientHandlingType") or ""),
        discount=str(item.get("discountType") or ""),
        value=_value(item.get("discountValue")),
        most_created=limit_of(item.get("maxCreate")),
        issued=limit_of(item.get("numIssued")),
        left=limit_of(item.get("numUploadedNonIssued")),
        several=item.get("isMultipleVouchersPerUserAllowed") is not False,
        most_each=limit_of(item.get("maxVouchersPerUser")),
        min_days=limit_of(item.get("minDaysBetweenVouchers")) or None,
        resends=item.get("doNotResendExistingVoucher") is False,
        excludes=frozenset(numbers_of(item.get("mutualExclusiveSeriesIds")) or ()) - {number},
        valid_till=moment_of(item.get("validTillDate")),
        coupons_end=moment_of(item.get("fixedExpiryDate")),
        external=item.get("externalIssual") is True,
        messages=isinstance(template, str) and bool(template.strip()) and item.get("isSMSDisabled") is not True,
    )


def limit_of(value: object) -> int | None:
    """A number of coupons or days; None for −1 and for what is no such number."""
    found = whole(value)
    return found if found is not None and 0 <= found < _MOST else None


def moment_of(value: object) -> Moment | None:
    """A time as ISO text or in milliseconds since 1970; None for 0 and anything else.

    A text without a zone is a time somewhere on earth, one without a clock time a whole day there.
    """
    try:
        if isinstance(value, str) and value.strip():
            text = value.strip()
            told = datetime.fromisoformat(text)
            length = _DAY if len(text) <= len("2026-11-23") else 0.0
            if told.tzinfo is not None:
                return Moment(told.timestamp(), told.timestamp() + length)
            at = told.replace(tzinfo=UTC).timestamp()
            return Moment(at - _EAST, at + length + _WEST)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            at = datetime.fromtimestamp(value / 1000, UTC).timestamp()
            return Moment(at, at)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def numbers_of(value: object) -> list[int] | None:
    """A list of series, given as a list or as JSON text; −1 stands for none. None when it is neither."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else []
        except (ValueError, RecursionError):
            return None
    if value is None:
        return []
    if not isinstance(value, list):
        return None
    found = [whole(one) for one in value]
    if any(one is None or not -1 <= one < _MOST for one in found):
        return None
    return [one for one in found if one is not None and one > 0]


def _value(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        told = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return told.normalize() + 0 if told.is_finite() and 0 <= told <= _MOST_VALUE else None
