"""Every answer that the seed document shows comes in exactly that shape."""

from __future__ import annotations

from typing import Any

import pytest

FULL_KEYS = ["coupons", "couponConfig", "totalCount", "failureCount", "successCount", "customer", "errors", "warnings"]
CONFIG_KEYS = {
    "customPropertyMap", "id", "description", "discountCode", "info", "discountUpto", "discountValue",
    "issueToLoyalty", "numUploadedNonIssued", "numUploadedTotal", "redemptionValidAfterDays", "ownerId",
    "ownerValidity", "alphaNumeric", "shortCodeLength", "randomCodeLength", "fixedExpiryDate", "numTotal",
    "latestIssualTime", "latestRedemptionTime", "discountOn", "discountType", "externalIssual", "updateProductData",
}  # fmt: skip
PROFILE_KEYS = {
    "firstName", "lastName", "fields", "allFields", "identifiers", "commChannels", "userId", "accountId",
    "autoUpdateTime", "identifiersAll",
}  # fmt: skip
TIED = {"customers": [{"id": 555567088, "mobile": "919000000001", "external_id": "000000000001"}]}


def shape_of_a_success(body: dict[str, Any]) -> None:
    assert list(body) == FULL_KEYS
    assert set(body["couponConfig"]) == CONFIG_KEYS
    assert set(body["customer"]) == {"id", "profiles"}
    assert set(body["customer"]["profiles"][0]) == PROFILE_KEYS
    assert all(set(coupon) == {"code", "couponId"} for coupon in body["coupons"])


def test_a_full_success_lists_coupons_counts_config_and_customer(start):
    """Two coupons of a generated series, in the order of the seed's keys."""
    reply = start({"series": [{"id": 415446, "description": "Voucher", "discount_value": 500}]}).issue(415446, 2)
    body = reply.json
    assert reply.status == 200
    shape_of_a_success(body)
    assert (body["totalCount"], body["successCount"], body["failureCount"]) == (2, 2, 0)
    assert body["errors"] == []
    assert body["warnings"] == []
    assert body["couponConfig"]["discountValue"] == 500
    assert body["couponConfig"]["description"] == "Voucher"
    assert body["couponConfig"]["numTotal"] == 0, "zeros, as in every sample"
    codes = [coupon["code"] for coupon in body["coupons"]]
    assert len(set(codes)) == 2
    assert all(len(code) == 10 for code in codes)


def test_an_uploaded_series_answers_like_a_generated_one(start):
    body = start({"series": [{"id": 5, "kind": "uploaded", "stock": 3}]}).issue(5, 2).json
    shape_of_a_success(body)
    assert body["successCount"] == 2


def test_the_customer_carries_every_identifier_twice(start):
    """``identifiers`` and ``identifiersAll`` hold the mobile and the external id that are one person's."""
    customer = start(TIED).issue().json["customer"]
    profile = customer["profiles"][0]
    expected = [{"type": "externalId", "value": "000000000001"}, {"type": "mobile", "value": "919000000001"}]
    assert customer["id"] == profile["userId"] == 555567088
    assert sorted(profile["identifiers"], key=lambda one: one["type"]) == expected
    assert profile["identifiersAll"] == profile["identifiers"]


def test_a_generic_series_gives_one_shared_code_with_new_coupon_ids(start):
    client = start({"series": [{"id": 7, "kind": "generic", "code": "SHARED10", "discount_type": "PERC"}]})
    bodies = [client.issue(7, 1, {"mobile": f"91900000000{n}"}).json for n in (1, 2)]
    for body in bodies:
        shape_of_a_success(body)
    assert [body["coupons"][0]["code"] for body in bodies] == ["SHARED10", "SHARED10"]
    assert bodies[0]["coupons"][0]["couponId"] != bodies[1]["coupons"][0]["couponId"]
    assert bodies[0]["couponConfig"]["discountType"] == "PERC"


def test_a_partial_success_holds_the_coupons_and_the_reason_in_errors(start):
    """The seed's sample: a series that allows one coupon a customer, asked for two."""
    body = start({"series": [{"id": 1, "allow_multiple": False}]}).issue(1, 2).json
    shape_of_a_success(body)
    assert (body["totalCount"], body["failureCount"], body["successCount"]) == (2, 1, 1)
    assert body["errors"] == [
        {
            "status": False,
            "code": 5004,
            "message": "Issue only one coupon. Since isAllowMultipleVouchersPerUser=false.",
        }
    ]
    assert body["warnings"] == []


@pytest.mark.parametrize(
    ("series", "count", "code", "twin"),
    [
        ({"allow_multiple": False}, 2, 5004, 679),
        ({"max_per_customer": 1}, 2, 5002, 621),
        ({"max_create": 1}, 2, 5001, 626),
        ({"answers": ["partial_warning:1"]}, 2, 5005, 702),
    ],
)
def test_a_partial_success_may_put_the_twin_code_into_warnings(start, series, count, code, twin):
    """The seed's table: warning code in front of the error code."""
    body = start({"partial_in": "warnings", "series": [{"id": 1} | series]}).issue(1, count).json
    shape_of_a_success(body)
    assert body["errors"] == []
    assert [warning["code"] for warning in body["warnings"]] == [twin]
    assert len(body["coupons"]) == 1


def test_a_series_may_put_its_own_reasons_into_warnings(start):
    """What a series says of `partial_in` counts for it alone."""
    client = start(
        {"series": [{"id": 1, "allow_multiple": False, "partial_in": "warnings"}, {"id": 2, "allow_multiple": False}]}
    )
    own, other = client.issue(1, 2).json, client.issue(2, 2).json
    assert (own["errors"], [warning["code"] for warning in own["warnings"]]) == ([], [679])
    assert ([error["code"] for error in other["errors"]], other["warnings"]) == ([5004], [])


EXPIRED = {"series": [{"id": 1, "valid_till": "2020-01-01"}]}
ALONE = [
    ({"unknown_series": "refuse"}, {}, 707, "Coupon Series ID is invalid", ["errors"]),
    ({}, {"count": 501}, 677, "Invalid coupon count. Minimum 1 and Maximum 500.", ["errors"]),
    ({}, {"count": -1}, 677, "Invalid coupon count. Minimum 1 and Maximum 500.", ["errors"]),
    (
        {"unknown_customers": "refuse"}, {}, 701,
        "The customer could not be found. Please check mobile, email, external id passed", ["errors"],
    ),
    (EXPIRED, {}, 713, "Coupon has expired", ["errors"]),
    ({}, {"series": ...}, 756, "seriesId is mandatory to set", ["errors"]),
    ({}, {"series": None}, 756, "seriesId is mandatory to set", ["errors"]),
    ({}, {"count": 0}, 756, "count should be greater than 0", ["errors"]),
    (
        {"series": [{"id": 1, "kind": "generic"}]}, {"count": 2}, 5004,
        "Cannot issue more than one GENERIC coupon code.", ["errors", "warnings"],
    ),
    (
        {"series": [{"id": 1, "max_per_customer": 0}]}, {}, 5002, "max coupon per user exceeded",
        ["errors", "warnings"],
    ),
    ({"series": [{"id": 1, "external": True}]}, {}, 707, "Coupon Series ID is invalid", ["errors"]),
    ({"series": [{"id": 1, "max_create": 0}]}, {}, 5001, "Maximum number of series has been created", ["errors"]),
    ({"series": [{"id": 1, "kind": "uploaded", "stock": 0}]}, {}, 5001, None, ["errors"]),
    ({"answers": ["712"]}, {}, 712, None, ["errors"]),
    ({"answers": ["5005"]}, {}, 5005, None, ["errors"]),
    ({"answers": ["999"]}, {}, 999, None, ["errors"]),
]  # fmt: skip


@pytest.mark.parametrize(("config", "asked", "code", "message", "keys"), ALONE)
def test_an_error_alone_has_no_coupons_and_no_counts(start, config, asked, code, message, keys):
    """HTTP 200, one entry of status, code and message, nothing issued."""
    client = start(config)
    reply = client.issue(**asked)
    assert reply.status == 200
    assert list(reply.json) == keys
    (entry,) = reply.json["errors"]
    assert set(entry) == {"status", "code", "message"}
    assert entry["status"] is False
    assert entry["code"] == code
    assert message is None or entry["message"] == message
    assert client.issued() == 0


def test_a_customer_who_has_the_coupon_gets_709_message_first(start):
    client = start({"series": [{"id": 1, "allow_multiple": False}]})
    client.issue()
    (entry,) = client.issue().json["errors"]
    assert list(entry) == ["status", "message", "code"], "the order of the seed's sample"
    assert (entry["code"], entry["message"]) == (709, "Coupon processing failed: user already has a coupon")


@pytest.mark.parametrize(
    "body",
    [
        b'{"seriesId": 415446,535521, "count": 2, "customer": {"mobile": "919000000001"}}',
        b'{"seriesId": [415446,535521], "count": 2, "customer": {"mobile": "919000000001"}}',
        b'{"seriesId": "415446", "customer": {"mobile": "919000000001"}}',
        b'{"seriesId": 1, "count": "2", "customer": {"mobile": "919000000001"}}',
        b'{"seriesId": 1, "customer": {"mobile": "919000000001", "email": "a@example.com"}}',
        b'{"seriesId": 1, "customer": {"mobile": 919000000001}}',
        b"not json",
        b"[]",
    ],
)
def test_a_body_that_cannot_be_meant_is_http_400(start, body):
    """Two series in one request among them; nothing is issued, no ``errors`` array is there."""
    client = start()
    reply = client.send("POST", "/v2/coupon/issue/multiple", body)
    assert reply.status == 400
    assert "errors" not in reply.json
    assert client.issued() == 0


@pytest.mark.parametrize("customer", [{}, {"mobile": "+919000000001"}, {"mobile": ""}, {"email": "nobody"}])
def test_an_identifier_that_names_nobody_is_701(start, customer):
    assert start().issue(customer=customer).codes == [701]


def test_metadata_longer_than_the_api_takes_is_refused(start):
    """A call key above 50 characters must be loud here."""
    assert start().issue(key="x" * 51).status == 400


def test_count_is_one_when_it_is_absent(start):
    assert start().issue(count=...).json["successCount"] == 1


def test_500_coupons_can_be_asked_for_at_once(start):
    client = start()
    body = client.issue(count=500).json
    assert body["successCount"] == 500
    assert len({coupon["couponId"] for coupon in body["coupons"]}) == 500
    assert len({coupon["code"] for coupon in body["coupons"]}) == 500


@pytest.mark.parametrize(
    "headers", [{"Accept": "*/*"}, {"Content_Type": "text/plain"}, {"Accept": "text/html", "Content_Type": "text/xml"}]
)
def test_content_type_and_accept_are_mandatory(start, headers):
    """415 and nothing issued."""
    client = start()
    assert client.send("POST", "/v2/coupon/issue/multiple", client.ask(), **headers).status == 415
    assert client.issued() == 0


def test_the_request_id_comes_back_or_is_made_up(start):
    client = start({"answers": ["ok", "ok", "504_html"]})
    assert client.issue(key="my-key").headers["X-CAP-REQUEST-ID"] == "my-key"
    assert client.send("POST", "/v2/coupon/issue/multiple", client.ask()).headers["X-CAP-REQUEST-ID"]
    assert client.issue(key="other").headers["X-CAP-REQUEST-ID"] == "other"
