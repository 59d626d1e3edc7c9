"""The words and shapes of the answers: messages, twin codes, bodies.

Owns what an answer looks like, and nothing about when it is given. Shapes and messages come from the seed document
"Issue multiple coupons to a customer from a series"; where that is silent, from the vendor's coupon error tables,
or they are inferred and say so here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

Body = dict[str, Any]

MESSAGES: dict[int, str] = {
    498: "Access token has expired",
    521: "Multiple actions are running for the same customer",
    660: "Coupon code has been revoked",
    677: "Invalid coupon count. Minimum 1 and Maximum 500.",
    701: "The customer could not be found. Please check mobile, email, external id passed",
    702: "Coupon code is invalid",
    703: "Coupon not issued to this customer",
    707: "Coupon Series ID is invalid",
    709: "Coupon processing failed: user already has a coupon",
    711: "Coupon is already used",
    712: "Coupon Series / Campaign has expired",
    713: "Coupon has expired",
    714: "Campaign over",
    715: "The coupon is not valid for this organization",
    721: "Unable to issue coupon. Customer is invalid",
    722: "Unable to issue coupon",
    742: "The customer has a coupon of a mutually exclusive series",
    748: "coupon service timed out",
    756: "seriesId is mandatory to set",
    4001: "Service is temporarily unavailable",
    5001: "Maximum number of series has been created",
    5002: "max coupon per user exceeded",
    5004: "Issue only one coupon. Since isAllowMultipleVouchersPerUser=false.",
    5005: "Queue is empty for series",
    5006: "Unable to issue certain number of coupons",
    8015: "Customer not found for the given identifier",
    320001: "Invalid key or secret",
}
"""Code → message. Any other code may be asked for too; its message is then neutral."""

GENERIC_ONCE = "Cannot issue more than one GENERIC coupon code."
COUNT_ABOVE_ZERO = "count should be greater than 0"
TOO_SOON = "Coupon processing failed: minimum days between coupons not over"

TWINS: dict[int, int] = {5005: 702, 5004: 679, 5001: 626, 5002: 621, 5006: 678}
"""Error code → its twin in ``warnings`` when only some coupons were issued (the seed's code table)."""

_MESSAGE_FIRST = frozenset({709, 713})  # the seed's samples put the message before the code here
_WITH_WARNINGS = frozenset({5002, 5004})  # and carry "warnings": [] beside the errors here


@dataclass(slots=True)
class Answer:
    """One HTTP answer before it meets the wire: ``body`` is a JSON object, or bytes that are sent as they are."""

    body: Body | bytes
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The body's bytes."""
        return self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)

    def codes(self) -> list[str]:
        """Every code in ``errors`` and ``warnings``, as text, for the truth."""
        if isinstance(self.body, bytes):
            return []
        entries = [*(self.body.get("errors") or ()), *(self.body.get("warnings") or ())]
        return [str(entry["code"]) for entry in entries if isinstance(entry, dict) and "code" in entry]


def message_for(code: int) -> str:
    """The message that goes with a code."""
    return MESSAGES.get(code, f"The request failed with code {code}")


def entry(code: int, message: str | None = None) -> Body:
    """One element of ``errors`` or ``warnings``; the order of its keys varies by code, as in the seed."""
    text = message if message is not None else message_for(code)
    if code in _MESSAGE_FIRST:
        return {"status": False, "message": text, "code": code}
    return {"status": False, "code": code, "message": text}


def error_body(code: int, message: str | None = None) -> Body:
    """An error alone: no coupons, no counts (the seed's shape)."""
    body: Body = {"errors": [entry(code, message)]}
    if code in _WITH_WARNINGS:
        body["warnings"] = []
    return body


def error_answer(code: int, message: str | None = None, *, status: int = 200) -> Answer:
    """An error alone as an answer; business errors come as HTTP 200."""
    return Answer(error_body(code, message), status)


def gateway_json(status: int, error: str, path: str, message: str = "") -> Answer:
    """What the web framework in front of the API answers by itself: no ``errors`` array (inferred)."""
    return Answer({"status": status, "error": error, "message": message, "path": path}, status)


def gateway_html(status: int, reason: str) -> Answer:
    """What a load balancer answers."""
    page = f"<html><head><title>{status} {reason}</title></head><body><h1>{status} {reason}</h1></body></html>\r\n"
    return Answer(page.encode(), status, "text/html")


def unauthorized_xml() -> Answer:
    """401 in XML, although JSON was asked for."""
    page = (
        '<?xml version="1.0" encoding="UTF-8"?><response><status><success>false</success><code>401</code>'
        "<message>Invalid login credentials</message></status></response>"
    )
    return Answer(page.encode(), 401, "application/xml")


def throttled(retry_after: str | None = None) -> Answer:
    """429; its body and ``Retry-After`` are undocumented (inferred)."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Answer({"message": "API rate limit exceeded"}, 429, headers=headers)


def coupon_config(description: str, discount_type: str, discount_value: float, external: bool) -> Body:
    """``couponConfig``: zeros wherever the seed's samples have zeros, so useless for stock, as on the real API."""
    return {
        "customPropertyMap": {},
        "id": 0,
        "description": description,
        "discountCode": "NO_VALUE",
        "info": description,
        "discountUpto": 0,
        "discountValue": discount_value,
        "issueToLoyalty": False,
        "numUploadedNonIssued": 0,
        "numUploadedTotal": 0,
        "redemptionValidAfterDays": 0,
        "ownerId": 0,
        "ownerValidity": 0,
        "alphaNumeric": False,
        "shortCodeLength": 0,
        "randomCodeLength": 0,
        "fixedExpiryDate": 0,
        "numTotal": 0,
        "latestIssualTime": 0,
        "latestRedemptionTime": 0,
        "discountOn": "BILL",
        "discountType": discount_type,
        "externalIssual": external,
        "updateProductData": False,
    }


def customer_body(
    customer_id: int, first_name: str, last_name: str, identifiers: list[tuple[str, str]], updated: str
) -> Body:
    """``customer`` with one profile, its identifiers listed twice as in the seed."""
    listed = [{"type": kind, "value": value} for kind, value in identifiers]
    return {
        "id": customer_id,
        "profiles": [
            {
                "firstName": first_name,
                "lastName": last_name,
                "fields": {},
                "allFields": {},
                "identifiers": listed,
                "commChannels": [],
                "userId": customer_id,
                "accountId": "",
                "autoUpdateTime": updated,
                "identifiersAll": listed,
            }
        ],
    }


def issued_body(
    *,
    coupons: list[tuple[int, str]],
    asked: int,
    config: Body,
    customer: Body,
    errors: list[Body],
    warnings: list[Body],
) -> Body:
    """Full or partial success; ``coupons`` are (coupon id, code)."""
    return {
        "coupons": [{"code": code, "couponId": coupon_id} for coupon_id, code in coupons],
        "couponConfig": config,
        "totalCount": asked,
        "failureCount": max(0, asked - len(coupons)),
        "successCount": len(coupons),
        "customer": customer,
        "errors": errors,
        "warnings": warnings,
    }
