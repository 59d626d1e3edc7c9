"""The exact shapes of whatever goes into the sandbox and comes out of it, as JSON Schema for its OpenAPI page."""

from __future__ import annotations

from typing import Any

from runner.sandbox.asking import IDENTIFIERS, METADATA_LENGTHS
from runner.sandbox.reading import MOST_REVOKED

Schema = dict[str, Any]

MOST_INTEGER = 2**63 - 1
"""Larger whole numbers are no numbers that the API could keep: HTTP 400."""


def ref(name: str) -> Schema:
    """A shape by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def whole(*, least: int = -MOST_INTEGER, most: int = MOST_INTEGER) -> Schema:
    """A whole number."""
    return {"type": "integer", "minimum": least, "maximum": most}


def _object(properties: Schema, *, optional: tuple[str, ...] = ()) -> Schema:
    """An object with exactly these keys."""
    needed = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


def _list(items: Schema, **more: int) -> Schema:
    return {"type": "array", "items": items, **more}


def _map(values: Schema, keys: str = "") -> Schema:
    names: Schema = {"propertyNames": {"pattern": keys}} if keys else {}
    return {"type": "object", "additionalProperties": values, **names}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, _NULL]}


_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_NUMBER: Schema = {"type": "number"}
_NULL: Schema = {"type": "null"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_LIMIT: Schema = {"type": "integer", "minimum": -1, "description": "-1: no limit"}
_ID: Schema = {"type": "integer", "minimum": 1}
_MOMENT: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$"}
_LOCAL_MOMENT: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"}
_NOTHING: Schema = _list({}, maxItems=0)
_EMPTY_MAP: Schema = {"type": "object", "maxProperties": 0}
_ENTRIES = _list(ref("Entry"))


def _issued(coupon: Schema, entries: Schema, warnings: Schema) -> Schema:
    return _object(
        {
            "coupons": _list(coupon),
            "couponConfig": ref("CouponConfig"),
            "totalCount": _COUNT,
            "failureCount": _COUNT,
            "successCount": _COUNT,
            "customer": ref("Customer"),
            "errors": entries,
            "warnings": warnings,
        }
    )


def asked() -> dict[str, Schema]:
    """What may be sent. A value that the API answers with a code of its own is within the shape, on purpose."""
    metadata = {name: {"type": "string", "maxLength": most} for name, most in METADATA_LENGTHS.items()}
    customer = _object(dict.fromkeys(IDENTIFIERS, _TEXT), optional=IDENTIFIERS)
    customer["properties"]["id"] = {"anyOf": [_TEXT, whole()]}
    customer |= {"maxProperties": 1, "description": "Exactly one identifier; none is answered with 701."}
    codes = _list(_TEXT, minItems=1, maxItems=MOST_REVOKED)
    return {
        "AskedCustomer": customer,
        "IssueRequest": {
            "type": "object",
            "properties": {
                "seriesId": _or_null(whole() | {"description": "missing: 756; unknown: 707"}),
                "count": _or_null(whole() | {"description": "1 when absent; 0: 756; below 0 or above 500: 677"}),
                "customer": _or_null(ref("AskedCustomer")),
                "metadata": _or_null(_object(metadata, optional=tuple(METADATA_LENGTHS))),
            },
            "examples": [
                {"seriesId": 415446, "count": 2, "customer": {"mobile": "919000000001"}},
                {"seriesId": 415446, "count": 2, "customer": {"email": "customer@example.com"}},
                {"seriesId": 18426, "customer": {"externalId": "000000000001"}, "metadata": {"sourceId": "call-1"}},
            ],
        },
        "TokenRequest": {
            "type": "object",
            "properties": {"key": _TEXT, "secret": _TEXT},
            "required": ["key", "secret"],
            "examples": [{"key": "key", "secret": "secret"}],
        },
        "RevokeRequest": {
            "type": "object",
            "properties": {"couponSeriesId": whole(), "customer": _or_null(ref("AskedCustomer"))},
            "required": ["couponSeriesId"],
            "anyOf": [
                {"properties": {"couponCodes": codes}, "required": ["couponCodes"]},
                {
                    "description": "Revokes every coupon of the series that the customer holds.",
                    "properties": {"couponCodes": _NULL, "customer": ref("AskedCustomer")},
                    "required": ["customer"],
                },
            ],
            "examples": [
                {"couponSeriesId": 415446, "couponCodes": ["7KQ2M9XW4B"]},
                {"couponSeriesId": 415446, "customer": {"mobile": "919000000001"}},
            ],
        },
        "RedeemRequest": {
            "type": "object",
            "properties": {"couponCodes": _list(_TEXT)},
            "required": ["couponCodes"],
            "examples": [{"couponCodes": ["7KQ2M9XW4B"]}],
        },
    }


def answered() -> dict[str, Schema]:
    """What the API answers, without faults."""
    identifier = _object({"type": {"enum": ["mobile", "email", "externalId"]}, "value": _TEXT})
    profile = {
        "firstName": _TEXT,
        "lastName": _TEXT,
        "fields": _EMPTY_MAP,
        "allFields": _EMPTY_MAP,
        "identifiers": _list(identifier),
        "commChannels": _NOTHING,
        "userId": _ID,
        "accountId": _TEXT,
        "autoUpdateTime": _MOMENT,
        "identifiersAll": _list(identifier),
    }
    gateway = {"status": {"type": "integer", "minimum": 400}, "error": _TEXT, "message": _TEXT, "path": _TEXT}
    token = {"accessToken": _TEXT, "ttlSeconds": _ID}
    refusal = _object({"code": {"const": 320001}, "message": _TEXT})
    return {
        "Entry": _object({"status": {"const": False}, "code": _COUNT, "message": _TEXT}),
        "ErrorAlone": _object(
            {"errors": _list(ref("Entry"), minItems=1, maxItems=1), "warnings": _NOTHING}, optional=("warnings",)
        ),
        "Coupon": _object({"code": _TEXT, "couponId": _ID}),
        "CouponConfig": _coupon_config(),
        "Customer": _object({"id": _ID, "profiles": _list(_object(profile), minItems=1, maxItems=1)}),
        "Issued": _issued(ref("Coupon"), _ENTRIES, _ENTRIES),
        "GatewayError": _object(gateway),
        "Throttled": _object({"message": _TEXT}),
        "Token": _object({"data": _object(token), "errors": _NULL}),
        "NoToken": _object({"data": _NULL, "errors": _list(refusal, minItems=1, maxItems=1)}),
        "Series": _series(),
        "SeriesAnswer": _object({"entity": _list(ref("Series")), "warnings": _ENTRIES}),
        "LookedUp": _object({"entity": _ID, "warnings": _NOTHING}),
        **_coupon_reads(),
        **_revocation(),
    }


def _coupon_config() -> Schema:
    return _object(
        {
            "customPropertyMap": _EMPTY_MAP,
            "id": _COUNT,
            "description": _TEXT,
            "discountCode": _TEXT,
            "info": _TEXT,
            "discountUpto": _NUMBER,
            "discountValue": _NUMBER,
            "issueToLoyalty": _FLAG,
            "numUploadedNonIssued": _COUNT,
            "numUploadedTotal": _COUNT,
            "redemptionValidAfterDays": _COUNT,
            "ownerId": _COUNT,
            "ownerValidity": _COUNT,
            "alphaNumeric": _FLAG,
            "shortCodeLength": _COUNT,
            "randomCodeLength": _COUNT,
            "fixedExpiryDate": _COUNT,
            "numTotal": _COUNT,
            "latestIssualTime": _COUNT,
            "latestRedemptionTime": _COUNT,
            "discountOn": _TEXT,
            "discountType": {"enum": ["ABS", "PERC"]},
            "externalIssual": _FLAG,
            "updateProductData": _FLAG,
        }
    )


def _series() -> Schema:
    return _object(
        {
            "id": _ID,
            "orgId": _ID,
            "campaignId": whole(),
            "description": _TEXT,
            "discountType": {"enum": ["ABS", "PERC"]},
            "discountValue": _NUMBER,
            "clientHandlingType": {"enum": ["DISC_CODE", "DISC_CODE_PIN", "GENERIC"]},
            "maxCreate": _LIMIT,
            "numIssued": _COUNT,
            "numUploadedTotal": _COUNT,
            "numUploadedNonIssued": _COUNT,
            "isMultipleVouchersPerUserAllowed": _FLAG,
            "maxVouchersPerUser": _LIMIT,
            "minDaysBetweenVouchers": _LIMIT,
            "doNotResendExistingVoucher": _FLAG,
            "mutualExclusiveSeriesIds": {"type": "string", "pattern": r"^\[-?\d+(,-?\d+)*\]$"},
            "validTillDate": _MOMENT,
            "expiryStrategyType": _TEXT,
            "expiryStrategyValue": _COUNT,
            "fixedExpiryDate": _or_null(_ID | {"description": "milliseconds since 1970"}),
            "externalIssual": _FLAG,
            "smsTemplate": _TEXT,
            "isSMSDisabled": _FLAG,
        }
    )


def _coupon_reads() -> dict[str, Schema]:
    names = ("sourceType", "sourceId", "sourceActivity", "notes", "reason")
    detail = {
        "code": _TEXT,
        "seriesId": _ID,
        "validTill": _MOMENT,
        "couponIssualDetails": _object({name: _or_null(_TEXT) for name in names}),
    }
    coupon = {
        "id": _ID,
        "code": _TEXT,
        "seriesId": _ID,
        "createdDate": _LOCAL_MOMENT,
        "createdDateISO": _MOMENT,
        "validTill": _MOMENT,
        "redemptionsLeft": _COUNT,
    }
    identifiers = {"mobile": _TEXT, "email": _TEXT, "externalId": _TEXT}
    customer = {"id": _ID, "firstname": _TEXT, "lastname": _TEXT, **identifiers, "coupons": _list(_object(coupon))}
    page = {
        "pagination": _object({"limit": _ID, "offset": _COUNT, "total": _COUNT}),
        "customers": _list(_object(customer, optional=tuple(identifiers)), minItems=1, maxItems=1),
    }
    details = _list(_object(detail, optional=("couponIssualDetails",)))
    return {
        "CouponDetails": _object({"data": details, "errors": _NOTHING, "warnings": _NOTHING}),
        "CustomerCoupons": _object({"entity": _object(page), "warnings": _NOTHING, "errors": _NOTHING}),
    }


def _revocation() -> dict[str, Schema]:
    revoked = _object({"couponId": _ID, "couponCode": _TEXT, "issuedToUserId": _ID})
    failed = _object({"errorCode": _ID, "errorMessage": _TEXT, "couponCodes": _list(_TEXT, minItems=1)})
    entity = _object(
        {
            "totalCount": _COUNT,
            "failedCount": _COUNT,
            "revokedCoupons": _list(revoked),
            "failedToRevoke": _list(failed),
        }
    )
    return {"Revoked": _object({"entity": entity, "warnings": _NOTHING, "errors": _NOTHING})}


def own() -> dict[str, Schema]:
    """The sandbox's own pages, which the real API does not have."""
    names = ("customers", "coupons", "revoked", "redeemed", "posts", "posts_without_key", "keys", "keys_seen_again")
    totals = dict.fromkeys((*names, "revokes_without_codes", "overlaps"), _COUNT)
    totals |= {"issued_by_series": _map(_COUNT, r"^\d+$"), "posts_by_fault": _map(_COUNT)}
    coupon = {
        "couponId": _ID,
        "code": _TEXT,
        "call": _or_null(_TEXT),
        "post": _ID,
        "created": _MOMENT,
        "revoked": _or_null(_MOMENT),
        "redeemed": _or_null(_MOMENT),
    }
    held = _object({"issued": _COUNT, "held": _COUNT, "coupons": _list(_object(coupon))})
    customer = _object({"identifiers": _map(_list(_TEXT)), "series": _map(held, r"^\d+$")})
    post = {
        "post": _ID,
        **{name: _or_null(_TEXT) for name in ("request_id", "source_id", "who", "fault")},
        **{name: _or_null(whole()) for name in ("series", "asked", "status")},
        "at": _MOMENT,
        "codes": _list(_TEXT),
        "issued": _COUNT,
        "resent": _COUNT,
    }
    return {
        "TruthTotals": _object(totals),
        "TruthSummary": _object({"totals": ref("TruthTotals")}),
        "Truth": _object(
            {
                "totals": ref("TruthTotals"),
                "customers": _map(customer, r"^\d+$"),
                "identifiers": _map(_ID),
                "calls": _map(_ID),
                "posts": _list(_object(post)),
            }
        ),
        "Redeemed": _object({"redeemed": _COUNT}),
        "Description": {"type": "object", "required": ["openapi", "info", "paths"]},
    }


def odd() -> dict[str, Schema]:
    """Bodies that only a fault gives."""
    text_coupon = _object({"code": _TEXT, "couponId": {"type": "string", "pattern": r"^\d+$"}})
    text_entries = _list(_object({"status": _FLAG, "code": {"type": "string", "pattern": r"^\d+$"}, "message": _TEXT}))
    null_entries = {"type": "array", "items": _or_null(ref("Entry")), "contains": _NULL}
    null_coupons = _issued(_or_null(ref("Coupon")), null_entries, _NULL)
    null_coupons["properties"]["coupons"] |= {"contains": _NULL}
    uncounted = _issued(ref("Coupon"), _ENTRIES, _ENTRIES)
    for name in ("totalCount", "failureCount", "successCount"):
        del uncounted["properties"][name]
        uncounted["required"].remove(name)
    error = {"errors": text_entries, "warnings": _NOTHING}
    return {
        "WithNulls": {"anyOf": [null_coupons, _object({"errors": null_entries, "warnings": _NULL})]},
        "WithTexts": {
            "anyOf": [_issued(text_coupon, text_entries, text_entries), _object(error, optional=("warnings",))]
        },
        "WithoutCounts": uncounted,
        "EmptyObject": {"type": "object", "maxProperties": 0},
    }
