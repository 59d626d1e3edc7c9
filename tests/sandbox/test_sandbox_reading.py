"""The reads and the revocation answer as the reference describes, as late and incompletely as configured."""

from __future__ import annotations

from datetime import datetime

ISSUE = "/v2/coupon/issue/multiple"
MOBILE = "919000000001"
SERIES_KEYS = {
    "id", "orgId", "campaignId", "description", "discountType", "discountValue", "clientHandlingType", "maxCreate",
    "numIssued", "numUploadedTotal", "numUploadedNonIssued", "isMultipleVouchersPerUserAllowed", "maxVouchersPerUser",
    "minDaysBetweenVouchers", "doNotResendExistingVoucher", "mutualExclusiveSeriesIds", "validTillDate",
    "expiryStrategyType", "expiryStrategyValue", "fixedExpiryDate", "externalIssual", "smsTemplate", "isSMSDisabled",
}  # fmt: skip


def coupons(client, **query):
    return client.get("/v2/customers/coupons", {"mobile": MOBILE} | query).json["entity"]


def details(client, **query):
    owner = client.get("/v2/customers/lookup", {"identifierName": "mobile", "identifierValue": MOBILE}).json["entity"]
    query = {"issuedToIds": owner, "includeIssualDetails": "true"} | query
    return client.get("/v2/coupon", query).json["data"]


def test_series_are_told_with_their_limits_and_stock(start):
    """Handling type by kind; numIssued and the uploaded stock follow what was issued."""
    client = start(
        {
            "unknown_series": "refuse",
            "series": [
                {"id": 1, "max_create": 10, "max_per_customer": 4, "description": "Generated"},
                {"id": 2, "kind": "uploaded", "stock": 5, "resend_existing": False, "valid_till": "2035-05-05"},
                {"id": 3, "kind": "generic", "discount_type": "PERC", "discount_value": 10, "external": True},
            ],
        }
    )
    client.issue(1, 3)
    client.issue(2, 2)
    reply = client.get("/v2/coupon/series", [("ids", 1), ("ids", 2), ("ids", 3), ("ids", 4)]).json
    one, two, three = reply["entity"]
    assert set(one) == SERIES_KEYS
    assert (one["clientHandlingType"], one["maxCreate"], one["numIssued"], one["maxVouchersPerUser"]) == (
        "DISC_CODE", 10, 3, 4,
    )  # fmt: skip
    assert (two["clientHandlingType"], two["numUploadedTotal"], two["numUploadedNonIssued"]) == ("DISC_CODE_PIN", 5, 3)
    assert two["validTillDate"] == "2035-05-05T23:59:59Z"
    assert two["doNotResendExistingVoucher"] is True
    assert (three["clientHandlingType"], three["discountType"], three["discountValue"]) == ("GENERIC", "PERC", 10)
    assert three["externalIssual"] is True
    assert [warning["code"] for warning in reply["warnings"]] == [707]


def test_all_series_are_told_when_none_is_named(start):
    client = start({"series": [{"id": 9}]})
    client.issue(4)
    assert [entry["id"] for entry in client.get("/v2/coupon/series").json["entity"]] == [4, 9]


def test_a_customer_is_looked_up_by_any_identifier(start):
    client = start(
        {"unknown_customers": "refuse", "customers": [{"id": 77, "mobile": MOBILE, "email": "a@example.com"}]}
    )

    def lookup(name, value):
        query = {"source": "INSTORE", "identifierName": name, "identifierValue": value}
        return client.get("/v2/customers/lookup", query).json

    assert lookup("mobile", MOBILE) == {"entity": 77, "warnings": []}
    assert lookup("email", "A@example.com")["entity"] == 77
    assert lookup("mobile", "919000000002")["errors"][0]["code"] == 8015


def test_coupon_details_carry_the_calls_metadata_and_no_coupon_id(start):
    client = start()
    client.issue(1, 2, key="my-call")
    found = details(client)
    assert len(found) == 2
    assert set(found[0]) == {"code", "seriesId", "validTill", "couponIssualDetails"}
    assert found[0]["couponIssualDetails"]["sourceId"] == "my-call"
    assert set(found[0]["couponIssualDetails"]) == {"sourceType", "sourceId", "sourceActivity", "notes", "reason"}
    assert "couponIssualDetails" not in details(client, includeIssualDetails="false")[0]


def test_coupon_details_can_be_asked_by_id_or_code(start):
    client = start()
    coupon = client.issue().json["coupons"][0]
    for query in ({"couponIds": coupon["couponId"]}, {"couponCodes": coupon["code"]}):
        assert [one["code"] for one in client.get("/v2/coupon", query).json["data"]] == [coupon["code"]]


def test_a_cluster_may_ignore_the_customer_or_drop_the_metadata(start, tmp_path):
    ignoring = start({"reading": {"ignore_issued_to_ids": True}})
    coupon = ignoring.issue(key="my-call").json["coupons"][0]
    assert details(ignoring) == []
    assert len(ignoring.get("/v2/coupon", {"couponCodes": coupon["code"]}).json["data"]) == 1
    dropping = start({"reading": {"drop_metadata": True}}, truth_path=tmp_path / "other.db")
    dropping.issue(key="my-call")
    assert set(details(dropping)[0]["couponIssualDetails"].values()) == {None}


def test_a_customers_coupons_come_in_pages_newest_first(start):
    """Limit and offset are told back with the total; ids over all pages are complete and never repeat."""
    client = start()
    made = [client.issue(series, 3).json["coupons"] for series in (1, 2)]
    ids = [coupon["couponId"] for group in made for coupon in group]
    first = coupons(client, limit=4)
    second = coupons(client, limit=4, offset=4)
    assert first["pagination"] == {"limit": 4, "offset": 0, "total": 6}
    told = [coupon["id"] for page in (first, second) for coupon in page["customers"][0]["coupons"]]
    assert told == sorted(ids, reverse=True)
    assert [coupon["id"] for coupon in coupons(client, sort_order="ASC")["customers"][0]["coupons"]] == sorted(ids)
    one = first["customers"][0]["coupons"][0]
    assert {"id", "code", "seriesId", "createdDate", "createdDateISO", "validTill", "redemptionsLeft"} == set(one)
    created = datetime.fromisoformat(one["createdDateISO"]).timestamp()
    assert 0 <= client.clock.now - created < 1


def test_a_page_holds_at_most_a_hundred(start):
    client = start()
    client.issue(1, 150)
    page = coupons(client, limit=500)
    assert (page["pagination"]["limit"], len(page["customers"][0]["coupons"])) == (100, 100)


def test_an_unknown_customer_has_no_coupons_to_tell(start):
    client = start({"unknown_customers": "refuse"})
    assert client.get("/v2/customers/coupons", {"mobile": MOBILE}).codes == [8015]


def test_new_coupons_appear_in_the_reads_only_after_the_lag(start):
    client = start({"reading": {"lag_seconds": 60}})
    client.issue()
    assert coupons(client)["pagination"]["total"] == 0
    assert details(client) == []
    client.clock.now += 61
    assert coupons(client)["pagination"]["total"] == 1
    assert len(details(client)) == 1


def test_reads_can_fail_and_be_throttled(start):
    client = start({"reading": {"answers": ["504_html", "429_seconds:3", "401_xml"]}})
    assert [client.get("/v2/coupon/series").status for _ in range(4)] == [504, 429, 401, 200]


def revoke(client, series, codes, **more):
    return client.send("POST", "/v2/coupon/revoke", {"couponSeriesId": series, "couponCodes": codes} | more)


def test_a_revocation_tells_what_it_took_and_what_it_could_not(start):
    """Unknown, redeemed, revoked before, of another series: each listed with its code."""
    client = start()
    body = client.issue(1, 3).json
    good, used, gone = (coupon["code"] for coupon in body["coupons"])
    foreign = client.issue(2).json["coupons"][0]["code"]
    client.send("POST", "/_redeem", {"couponCodes": [used]})
    assert revoke(client, 1, [gone]).json["entity"]["failedCount"] == 0
    entity = revoke(client, 1, [good, used, gone, foreign, "NOSUCHCODE"]).json["entity"]
    assert (entity["totalCount"], entity["failedCount"]) == (5, 4)
    assert entity["revokedCoupons"] == [
        {"couponId": body["coupons"][0]["couponId"], "couponCode": good, "issuedToUserId": body["customer"]["id"]}
    ]
    failed = {entry["errorCode"]: entry["couponCodes"] for entry in entity["failedToRevoke"]}
    assert failed == {711: [used], 660: [gone], 702: [foreign, "NOSUCHCODE"]}
    totals = client.truth()["totals"]
    assert (totals["coupons"], totals["revoked"], totals["redeemed"]) == (4, 2, 1)
    assert coupons(client)["pagination"]["total"] == 2, "revoked coupons are not read back"


def test_a_generic_code_cannot_be_revoked_singly(start):
    client = start({"series": [{"id": 1, "kind": "generic", "code": "SHARED10"}]})
    client.issue()
    assert revoke(client, 1, ["SHARED10"]).json["entity"]["failedCount"] == 1
    assert client.truth()["totals"]["revoked"] == 0


def test_more_than_fifty_codes_or_none_are_refused(start):
    client = start()
    assert revoke(client, 1, ["X"] * 51).status == 400
    assert revoke(client, 1, []).status == 400
    assert client.send("POST", "/v2/coupon/revoke", {"couponSeriesId": 1}).status == 400


def test_a_revocation_without_codes_takes_everything_and_is_counted(start):
    """As dangerous as on the real API; the truth's totals tell that it happened."""
    client = start()
    client.issue(1, 3)
    reply = client.send("POST", "/v2/coupon/revoke", {"couponSeriesId": 1, "customer": {"mobile": MOBILE}})
    assert len(reply.json["entity"]["revokedCoupons"]) == 3
    assert client.truth()["totals"]["revokes_without_codes"] == 1


def test_a_revocations_answer_can_be_lost_after_it_was_done(start):
    client = start({"revoking": {"answers": ["commit_then_504_html", "504_html"]}})
    first, second = (coupon["code"] for coupon in client.issue(1, 2).json["coupons"])
    assert revoke(client, 1, [first]).status == 504
    assert revoke(client, 1, [second]).status == 504
    assert client.truth()["totals"]["revoked"] == 1


def test_a_revoked_coupon_frees_the_customers_limit(start):
    client = start({"series": [{"id": 1, "max_per_customer": 1}]})
    code = client.issue().json["coupons"][0]["code"]
    assert client.issue().codes == [5002]
    revoke(client, 1, [code])
    assert client.issue().codes == []


def test_the_reads_need_accept_but_no_content_type(start):
    client = start()
    assert client.send("GET", "/v2/coupon/series", Content_Type="text/plain").status == 200
    assert client.send("GET", "/v2/coupon/series", Accept="text/html").status == 415
    assert client.send("POST", ISSUE, client.ask()).status == 200
