"""What `GET /v2/coupon/series` says of real series, in the words of the sandbox's configuration.

Owns the translation, and says whatever the answer leaves open: a limit that is not told is no limit, and is named.
Raises nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from runner.core.coupon_reads import Unread, parse_read, whole
from runner.core.model import Exchange
from runner.core.series_settings import numbers_of

_KINDS = {"DISC_CODE": "generated", "DISC_CODE_PIN": "uploaded", "GENERIC": "generic"}
_LIMITS = {"maxCreate": "max_create", "maxVouchersPerUser": "max_per_customer", "minDaysBetweenVouchers": "min_days"}
_FLAGS = {"isMultipleVouchersPerUserAllowed": "allow_multiple", "externalIssual": "external"}


_MOST = 2**53


class LiveSeries(NamedTuple):
    """One series as it is set up. `settings`: one [[series]] table. `open`: what could not be copied, in sentences."""

    id: int
    org: int | None
    settings: dict[str, Any]
    open: tuple[str, ...]


def read_live_series(exchange: Exchange, asked: Sequence[int]) -> tuple[LiveSeries, ...] | Unread:
    """The series of an answer in the order in which they were asked for, without those that the API does not know."""
    parsed, _, unread = parse_read(exchange)
    if unread is not None:
        return unread
    entity = parsed.get("entity")
    if not isinstance(entity, list):
        return Unread("the answer holds no list of series")
    told = {whole(item.get("id")): item for item in entity if isinstance(item, dict)}
    return tuple(_live(number, told[number]) for number in dict.fromkeys(asked) if number in told)


def _live(number: int, item: Mapping[str, Any]) -> LiveSeries:
    """One element of `entity`."""
    settings: dict[str, Any] = {"id": number}
    unclear: list[str] = []

    def leave_open(name: str, instead: str) -> None:
        value = item.get(name)
        said = "not told" if value is None else f"{value!r}, which is not understood"
        unclear.append(f"series {number}: {name} is {said}; the sandbox takes {instead}")

    handling = item.get("clientHandlingType")
    kind = _KINDS.get(str(handling))
    if kind is None:
        leave_open("clientHandlingType", "a generated series")
    settings["kind"] = kind or "generated"
    if isinstance(item.get("description"), str) and item["description"].strip():
        settings["description"] = item["description"]
    if item.get("discountType") in ("ABS", "PERC"):
        settings["discount_type"] = item["discountType"]
    else:
        leave_open("discountType", "ABS")
    value = item.get("discountValue")
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e9:
        settings["discount_value"] = value
    else:
        leave_open("discountValue", "100")
    for name, word in _LIMITS.items():
        limit = _whole(item.get(name), least=-1)
        if limit is None:
            leave_open(name, "no limit")
        elif limit != -1:
            settings[word] = limit
    for name, word in _FLAGS.items():
        if isinstance(item.get(name), bool):
            settings[word] = item[name]
        else:
            leave_open(name, "true" if word == "allow_multiple" else "false")
    if isinstance(item.get("doNotResendExistingVoucher"), bool):
        settings["resend_existing"] = not item["doNotResendExistingVoucher"]
    else:
        leave_open("doNotResendExistingVoucher", "true")
    _stock(item, settings, leave_open)
    _times(item, settings, leave_open)
    excludes = numbers_of(item.get("mutualExclusiveSeriesIds"))
    if excludes is None:
        leave_open("mutualExclusiveSeriesIds", "none")
    elif excludes:
        settings["excludes"] = excludes
    campaign = _whole(item.get("campaignId"), least=-1)
    if campaign is not None:
        settings["campaign_id"] = campaign
    return LiveSeries(number, _whole(item.get("orgId"), least=1), settings, tuple(unclear))


def _stock(item: Mapping[str, Any], settings: dict[str, Any], leave_open: Any) -> None:
    """What was issued already, and of an uploaded series how many codes there are."""
    if settings["kind"] != "uploaded":
        issued = _whole(item.get("numIssued"))
        if issued is None:
            leave_open("numIssued", "0")
        else:
            settings["issued_before"] = issued
        return
    settings.pop("max_create", None)  # its stock is what was uploaded
    total, left = _whole(item.get("numUploadedTotal")), _whole(item.get("numUploadedNonIssued"))
    if total is None or left is None or left > total:
        leave_open("numUploadedNonIssued", "stock without end")
        return
    settings["stock"], settings["issued_before"] = total, total - left


def _times(item: Mapping[str, Any], settings: dict[str, Any], leave_open: Any) -> None:
    """When the series ends, and how its coupons expire."""
    ends = _moment(item.get("validTillDate"))
    if ends is None:
        leave_open("validTillDate", "no end")
    else:
        settings["valid_till"] = ends
    fixed = _moment(item.get("fixedExpiryDate"))
    if fixed is not None:
        settings["fixed_expiry"] = fixed
    if isinstance(item.get("expiryStrategyType"), str) and item["expiryStrategyType"].strip():
        settings["expiry_type"] = item["expiryStrategyType"]
    days = _whole(item.get("expiryStrategyValue"))
    if days is not None:
        settings["expiry_value"] = days


def _moment(value: object) -> datetime | None:
    """A time as ISO text (UTC unless it says otherwise) or in milliseconds since 1970; None for 0 and anything else."""
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value.strip())
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return datetime.fromtimestamp(value / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def _whole(value: object, *, least: int = 0) -> int | None:
    """A whole number that the sandbox takes; None for anything else."""
    found = whole(value)
    return found if found is not None and least <= found < _MOST else None


def toml_of(settings: Mapping[str, Any], series: Sequence[Mapping[str, Any]]) -> str:
    """A configuration file of the sandbox that says exactly this."""
    lines = [f"{name} = {_toml(value)}" for name, value in settings.items()]
    for table in series:
        lines += ["", "[[series]]", *(f"{name} = {_toml(value)}" for name, value in table.items())]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return f"[{', '.join(_toml(one) for one in value)}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
