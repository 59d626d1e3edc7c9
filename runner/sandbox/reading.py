"""The reads (series, lookup, coupon details, a customer's coupons) and the revocation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson

from runner.sandbox.answers import Answer, entry, error_answer, gateway_json, message_for
from runner.sandbox.asking import IDENTIFIERS, as_whole, canonical, read_customer, well_formed
from runner.sandbox.catalogue import Catalogue
from runner.sandbox.config import SandboxConfig, SeriesConfig
from runner.sandbox.issuing import stock_left, whole
from runner.sandbox.truth import Truth

MOST_REVOKED = 50
MOST_REVOKED_BY_CUSTOMER = 100
_UPLOADED = 1_000_000
_HANDLING = {"generated": "DISC_CODE", "uploaded": "DISC_CODE_PIN", "generic": "GENERIC"}
_CLUSTER = timezone(timedelta(hours=5, minutes=30))
_FOREVER = datetime(2036, 12, 31, 23, 59, 59, tzinfo=UTC)
_PARAMETERS = {"id": "id", "mobile": "mobile", "email": "email", "external_Id": "externalId"}

Query = Mapping[str, Sequence[str]]
"""Parameters of a URL: name → values."""


class Reader:
    """Answers what is known, as late and as incompletely as the configuration says."""

    def __init__(
        self, truth: Truth, config: SandboxConfig, catalogue: Catalogue, *, clock: Callable[[], float]
    ) -> None:
        self._truth, self._config, self._catalogue, self._clock = truth, config, catalogue, clock

    def _until_ms(self) -> int:
        return int((self._clock() - self._config.reading.lag_seconds) * 1000)

    def series(self, query: Query) -> Answer:
        """``GET /v2/coupon/series?ids=1&ids=2``; without ids, all that are named or were issued from."""
        found = [_whole(part) for value in query.get("ids", ()) for part in value.split(",")]
        ids = [one for one in found if one is not None]
        if len(ids) < len(found):
            return gateway_json(400, "Bad Request", "/v2/coupon/series", "ids must be integers")
        if not ids:
            ids = sorted({*self._config.series, *self._truth.series_ids()})
        known = [one for one in ids if 0 < one < 2**53 and self._catalogue.series_exists(one)]
        warnings = [entry(707) for one in ids if one not in known]
        return Answer({"entity": [self._series_entity(one) for one in known], "warnings": warnings})

    def _series_entity(self, series_id: int) -> dict[str, Any]:
        series = self._catalogue.series(series_id)
        new = self._truth.series_issued(series_id)
        issued = series.issued_before + new
        uploaded = 0 if series.kind != "uploaded" else series.stock if series.stock >= 0 else _UPLOADED
        return {
            "id": series_id,
            "orgId": self._config.org_id,
            "campaignId": series.campaign_id,
            "description": series.description or f"Series {series_id}",
            "discountType": series.discount_type,
            "discountValue": whole(series.discount_value),
            "clientHandlingType": _HANDLING[series.kind],
            "maxCreate": -1 if series.kind == "uploaded" else series.max_create,
            "numIssued": issued,
            "numUploadedTotal": uploaded,
            "numUploadedNonIssued": max(0, uploaded - issued) if stock_left(series, new) != 0 else 0,
            "isMultipleVouchersPerUserAllowed": series.allow_multiple,
            "maxVouchersPerUser": series.max_per_customer,
            "minDaysBetweenVouchers": series.min_days,
            "doNotResendExistingVoucher": not series.resend_existing,
            "mutualExclusiveSeriesIds": f"[{','.join(map(str, series.excludes or (-1,)))}]",
            "validTillDate": _valid_till(series),
            "expiryStrategyType": series.expiry_type,
            "expiryStrategyValue": series.expiry_value,
            "fixedExpiryDate": None if series.fixed_expiry is None else int(series.fixed_expiry.timestamp() * 1000),
            "externalIssual": series.external,
            "smsTemplate": "Your coupon is {{voucher}}" if series.messages else "",
            "isSMSDisabled": not series.messages,
        }

    def lookup(self, query: Query) -> Answer:
        """``GET /v2/customers/lookup``: a customer's id; 8015 when there is none."""
        kind, value = _one(query, "identifierName"), _one(query, "identifierValue")
        if kind not in IDENTIFIERS or not value or _repeated(query, "identifierName", "identifierValue", "source"):
            return gateway_json(400, "Bad Request", "/v2/customers/lookup", "identifierName and identifierValue")
        found = self._find(kind, value)
        return error_answer(8015) if found is None else Answer({"entity": found, "warnings": []})

    def _find(self, kind: str, value: str) -> int | None:
        if not well_formed(kind, value):
            return None
        with self._truth.transaction():
            return self._catalogue.find_or_create(kind, canonical(kind, value))

    def coupon_details(self, query: Query) -> Answer:
        """``GET /v2/coupon``: code, series, end and the call's metadata; no coupon id, as documented."""
        rows: list[tuple[str, int, int, str | None]] = []
        asked = False
        wanted = _one(query, "includeIssualDetails", "false")
        if wanted not in ("true", "false") or _repeated(query, "includeIssualDetails"):
            return gateway_json(400, "Bad Request", "/v2/coupon", "includeIssualDetails must be true or false")
        for column in ("issuedToIds", "couponIds", "couponCodes"):
            texts = [part.strip() for value in query.get(column, ()) for part in value.split(",")]
            if not texts:
                continue
            asked = True
            if column != "couponCodes" and not all(well_formed("id", one) for one in texts):
                return gateway_json(400, "Bad Request", "/v2/coupon", f"{column} must be integers")
            if "" in query[column]:
                return gateway_json(400, "Bad Request", "/v2/coupon", f"{column} must not be empty")
            if column == "issuedToIds" and self._config.reading.ignore_issued_to_ids:
                continue
            values: list[int] | list[str] = texts if column == "couponCodes" else [int(one) for one in texts]
            rows += self._truth.coupons_where(column, values, self._until_ms())
        if not asked:
            return gateway_json(400, "Bad Request", "/v2/coupon", "couponIds, couponCodes or issuedToIds is needed")
        return Answer(
            {"data": [self._detail(*row, details=wanted == "true") for row in rows], "errors": [], "warnings": []}
        )

    def _detail(self, code: str, series_id: int, _made: int, metadata: str | None, *, details: bool) -> dict[str, Any]:
        found: dict[str, Any] = {
            "code": code,
            "seriesId": series_id,
            "validTill": _valid_till(self._catalogue.series(series_id)),
        }
        if details:
            told = {} if self._config.reading.drop_metadata or metadata is None else orjson.loads(metadata)
            names = ("sourceType", "sourceId", "sourceActivity", "notes", "reason")
            found["couponIssualDetails"] = {name: told.get(name) for name in names}
        return found

    def customer_coupons(self, query: Query) -> Answer:
        """``GET /v2/customers/coupons``: pages of a customer's coupons, newest first unless asked otherwise."""
        named = [(kind, value) for name, kind in _PARAMETERS.items() for value in query.get(name, ())]
        most = self._config.reading.page_limit
        limit, offset = _whole(_one(query, "limit", str(most))), _whole(_one(query, "offset", "0"))
        order = _one(query, "sort_order", "DESC")
        problem = ""
        if len(named) != 1 or not named[0][1]:
            problem = "exactly one of id, mobile, email, external_Id is needed"
        elif limit is None or limit < 1 or offset is None or offset < 0:
            problem = "limit is a whole number from 1, offset from 0"
        elif order not in ("ASC", "DESC") or _repeated(query, "limit", "offset", "sort_order"):
            problem = "sort_order is ASC or DESC; limit, offset and sort_order are given once"
        if problem or limit is None or offset is None:
            return gateway_json(400, "Bad Request", "/v2/customers/coupons", problem)
        limit = min(limit, most)
        found = self._find(*named[0])
        if found is None:
            return error_answer(8015)
        total, rows = self._truth.page_of_coupons(
            found, before_ms=self._until_ms(), limit=limit, offset=offset, newest_first=order == "DESC"
        )
        coupons = [
            {
                "id": coupon_id,
                "code": code,
                "seriesId": series_id,
                "createdDate": datetime.fromtimestamp(made / 1000, _CLUSTER).strftime("%Y-%m-%d %H:%M:%S"),
                "createdDateISO": datetime.fromtimestamp(made / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "validTill": _valid_till(self._catalogue.series(series_id)),
                "redemptionsLeft": 0 if redeemed else 1,
            }
            for coupon_id, code, series_id, made, redeemed in rows
        ]
        first, last, identifiers = self._truth.customer(found)
        customer: dict[str, Any] = {"id": found, "firstname": first, "lastname": last}
        customer |= dict(identifiers)
        customer["coupons"] = coupons
        pagination = {"limit": limit, "offset": offset, "total": total}
        return Answer({"entity": {"pagination": pagination, "customers": [customer]}, "warnings": [], "errors": []})

    def revoke(self, raw: bytes) -> Answer:
        """``POST /v2/coupon/revoke``: by at most 50 codes, or (dangerous, and counted) all of a customer's."""
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError:
            body = None
        series_id = as_whole(body.get("couponSeriesId")) if isinstance(body, dict) else None
        if not isinstance(body, dict) or series_id is None:
            return gateway_json(400, "Bad Request", "/v2/coupon/revoke", "couponSeriesId must be an integer")
        codes, customer = body.get("couponCodes"), read_customer(body.get("customer"))
        if isinstance(customer, str):
            return gateway_json(400, "Bad Request", "/v2/coupon/revoke", customer)
        if codes is None and body.get("customer") is not None:
            return self._revoke_all(series_id, *customer)
        if not isinstance(codes, list) or not codes or not all(isinstance(code, str) for code in codes):
            return gateway_json(400, "Bad Request", "/v2/coupon/revoke", "couponCodes must be a list of texts")
        if len(codes) > MOST_REVOKED:
            message = f"at most {MOST_REVOKED} codes can be revoked at once"
            return gateway_json(400, "Bad Request", "/v2/coupon/revoke", message)
        revoked: list[dict[str, Any]] = []
        failed: dict[int, list[str]] = {}
        with self._truth.transaction():
            for code in codes:
                problem, found = self._revocable(code, series_id)
                if found is None:
                    failed.setdefault(problem, []).append(code)
                    continue
                self._truth.revoke(found[0], int(self._clock() * 1000))
                revoked.append({"couponId": found[0], "couponCode": code, "issuedToUserId": found[1]})
        return _revoked(len(codes), revoked, failed)

    def _revocable(self, code: str, series_id: int) -> tuple[int, tuple[int, int] | None]:
        """An error code, or the coupon's id and its holder (error codes from the vendor's coupon tables)."""
        found = self._truth.coupon_by_code(code)
        if found is None or found[1] != series_id or self._catalogue.series(series_id).kind == "generic":
            return 702, None
        coupon_id, _series, owner, revoked, redeemed = found
        if revoked:
            return 660, None
        return (711, None) if redeemed else (0, (coupon_id, owner))

    def _revoke_all(self, series_id: int, kind: str, value: str) -> Answer:
        self._truth.take_turn("revokes_without_codes")
        owner = self._truth.find_customer(kind, value) if kind else None
        if owner is None:
            return error_answer(701)
        with self._truth.transaction():
            coupons = self._truth.unredeemed_codes(owner, series_id, MOST_REVOKED_BY_CUSTOMER + 1)
            if len(coupons) > MOST_REVOKED_BY_CUSTOMER:
                return error_answer(709, f"more than {MOST_REVOKED_BY_CUSTOMER} unredeemed coupons")
            for coupon_id, _code in coupons:
                self._truth.revoke(coupon_id, int(self._clock() * 1000))
        told = [{"couponId": one, "couponCode": code, "issuedToUserId": owner} for one, code in coupons]
        return _revoked(len(told), told, {})


def _revoked(total: int, revoked: list[dict[str, Any]], failed: dict[int, list[str]]) -> Answer:
    failures = [
        {"errorCode": code, "errorMessage": message_for(code), "couponCodes": codes} for code, codes in failed.items()
    ]
    entity = {
        "totalCount": total,
        "failedCount": sum(len(codes) for codes in failed.values()),
        "revokedCoupons": revoked,
        "failedToRevoke": failures,
    }
    return Answer({"entity": entity, "warnings": [], "errors": []})


def _one(query: Query, name: str, default: str = "") -> str:
    values = query.get(name, ())
    return values[0] if values else default


def _repeated(query: Query, *names: str) -> bool:
    return any(len(query.get(name, ())) > 1 for name in names)


def _whole(text: str) -> int | None:
    """A whole number of at most 64 bits, plainly written; ``None`` for anything else."""
    return as_whole(int(text)) if re.fullmatch(r"-?[0-9]{1,19}", text) else None


def _valid_till(series: SeriesConfig) -> str:
    return (series.valid_till or _FOREVER).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
