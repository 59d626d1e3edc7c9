"""What the API says of series: `GET /v2/coupon/series` (API.md, "Reading").

Owns the shape of that answer. A number that is −1 in it means "no limit" and is None here. Raises nothing.
"""

from __future__ import annotations

from runner.core.coupon_reads import Unread, parse_read, whole
from runner.core.model import Exchange


def read_handling(exchange: Exchange) -> dict[int, str] | Unread:
    """Series → its `clientHandlingType` (DISC_CODE, DISC_CODE_PIN, GENERIC), of those that the API knows."""
    parsed, _, unread = parse_read(exchange)
    if unread is not None:
        return unread
    entity = parsed.get("entity")
    if not isinstance(entity, list):
        return Unread("the answer holds no list of series")
    found = {}
    for item in entity:
        number = whole(item.get("id")) if isinstance(item, dict) else None
        if number is not None:
            found[number] = str(item.get("clientHandlingType") or "")
    return found


def read_issued(exchange: Exchange) -> dict[int, int] | Unread:
    """Series → how many coupons of it were issued by anybody (`numIssued`), of those that tell it."""
    parsed, _, unread = parse_read(exchange)
    if unread is not None:
        return unread
    entity = parsed.get("entity")
    if not isinstance(entity, list):
        return Unread("the answer holds no list of series")
    found = {}
    for item in entity:
        number = whole(item.get("id")) if isinstance(item, dict) else None
        issued = whole(item.get("numIssued")) if isinstance(item, dict) else None
        if number is not None and issued is not None and issued >= 0:
            found[number] = issued
    return found
