"""Limits of series, one call of a customer at a time, rate limits, credentials."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

ISSUE = "/v2/coupon/issue/multiple"
JSON_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
OTHER = {"mobile": "919000000002"}


async def together(url, bodies):
    async with aiohttp.ClientSession(headers=JSON_HEADERS) as session:

        async def post(body):
            async with session.post(url + ISSUE, json=body) as response:
                return await response.json()

        return await asyncio.gather(*(post(body) for body in bodies))


def test_overlapping_calls_of_one_customer_are_refused_with_521(start):
    """One of three goes through; another customer's call beside them does too; the truth counts the overlaps."""
    client = start({"latency_seconds": 0.1})
    bodies = [client.ask() for _ in range(3)] + [client.ask(customer=OTHER)]
    answers = asyncio.run(together(client.url, bodies))
    codes = sorted(str([entry["code"] for entry in answer["errors"]]) for answer in answers[:3])
    assert codes == ["[521]", "[521]", "[]"]
    assert answers[3]["errors"] == []
    assert client.truth()["totals"]["overlaps"] == 2
    assert client.issued() == 2


def test_the_same_person_under_two_identifiers_overlaps_too(start):
    client = start({"latency_seconds": 0.1, "customers": [{"mobile": "919000000001", "email": "one@example.com"}]})
    bodies = [client.ask(), client.ask(customer={"email": "one@example.com"})]
    answers = asyncio.run(together(client.url, bodies))
    assert sorted(len(answer["errors"]) for answer in answers) == [0, 1]


def test_calls_that_follow_each_other_do_not_overlap(start):
    client = start({"latency_seconds": [0.0, 0.01]})
    assert [client.issue().codes for _ in range(3)] == [[], [], []]


def test_at_most_so_many_coupons_for_a_customer(start):
    """The last call that fits is partial, the next is 5002 alone; other customers are not touched."""
    client = start({"series": [{"id": 1, "max_per_customer": 3}]})
    assert client.issue(1, 2).json["successCount"] == 2
    partial = client.issue(1, 2).json
    assert (partial["successCount"], partial["errors"][0]["code"]) == (1, 5002)
    assert list(client.issue(1, 2).json) == ["errors", "warnings"]
    assert client.issue(1, 3, OTHER).json["successCount"] == 3


@pytest.mark.parametrize("series", [{"max_create": 3}, {"kind": "uploaded", "stock": 3}])
def test_a_series_ends_when_its_stock_is_used_up(start, series):
    client = start({"series": [{"id": 1, "exhausted_code": 799} | series]})
    assert client.issue(1, 2).json["successCount"] == 2
    assert client.issue(1, 2, OTHER).json["successCount"] == 1
    assert client.issue(1, 1, OTHER).codes == [799]


def test_days_must_pass_between_two_issues(start):
    client = start({"series": [{"id": 1, "min_days": 2}]})
    assert client.issue().codes == []
    client.clock.now += 86400
    assert client.issue().codes == [709]
    client.clock.now += 86400
    assert client.issue().codes == []


def test_a_series_that_resends_calls_the_old_coupon_a_success(start):
    """The same coupon id again, successCount 1, nothing new in the truth."""
    client = start({"series": [{"id": 1, "resend_existing": True}]})
    first, second = client.issue().json, client.issue().json
    assert first["coupons"] == second["coupons"]
    assert second["successCount"] == 1
    assert second["errors"] == []
    assert client.issued() == 1
    assert [post["resent"] for post in client.truth()["posts"]] == [0, 1]


def test_series_defaults_hold_for_series_that_are_not_named(start):
    client = start({"series_defaults": {"max_per_customer": 1}, "series": [{"id": 2, "max_per_customer": -1}]})
    assert client.issue(1, 2).json["successCount"] == 1
    assert client.issue(2, 2).json["successCount"] == 2


def test_unknown_customers_and_series_can_be_refused(start):
    client = start(
        {
            "unknown_series": "refuse",
            "unknown_customers": "refuse",
            "series": [{"id": 1}],
            "customers": [{"mobile": "919000000001"}, {"mobile": "919000000009", "unknown": True}],
        }
    )
    assert client.issue().codes == []
    assert client.issue(2).codes == [707]
    assert client.issue(1, 1, OTHER).codes == [701]
    assert client.issue(1, 1, {"mobile": "919000000009"}).codes == [701]


def test_a_sliding_window_lets_the_next_call_in_when_the_oldest_has_left(start):
    client = start({"limits": {"limit": 2, "window_seconds": 60, "retry_after": "seconds"}})
    assert client.issue().status == 200
    client.clock.now += 40
    assert client.issue().status == 200
    refused = client.issue()
    assert (refused.status, refused.headers["Retry-After"]) == (429, "20")
    client.clock.now += 21
    assert [client.issue().status, client.issue().status] == [200, 429]


def test_a_fixed_window_starts_anew_at_its_border(start):
    client = start({"limits": {"limit": 2, "window_seconds": 60, "kind": "fixed", "retry_after": "date"}})
    client.clock.now = 6_000_000_059.0
    assert [client.issue().status, client.issue().status] == [200, 200]
    refused = client.issue()
    assert refused.status == 429
    assert parsedate_to_datetime(refused.headers["Retry-After"]).timestamp() == 6_000_000_060
    client.clock.now += 1
    assert [client.issue().status for _ in range(3)] == [200, 200, 429]


def test_reads_count_towards_the_limit(start):
    client = start({"limits": {"limit": 1}})
    assert client.get("/v2/coupon/series").status == 200
    assert client.issue().status == 429


def basic(user, password):
    digest = hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()
    return "Basic " + base64.b64encode(f"{user}:{digest}".encode()).decode()


def test_basic_takes_the_md5_of_the_password(start):
    client = start({"auth": {"user": "till", "password": "open sesame"}})

    def status(header):
        return client.send("POST", ISSUE, client.ask(), Authorization=header).status

    assert status(basic("till", "open sesame")) == 200
    plain = base64.b64encode(b"till:open sesame").decode()
    for wrong in (basic("till", "wrong"), basic("other", "open sesame"), f"Basic {plain}", "Bearer x", ""):
        assert status(wrong) == 401
    assert client.issued() == 1


def test_a_call_without_credentials_gets_401_in_xml(start):
    reply = start({"auth": {"required": True}}).issue()
    assert reply.status == 401
    assert reply.raw.startswith(b"<?xml")


def token(client, key="key", secret="secret"):
    return client.send("POST", "/v3/oauth/token/generate", {"key": key, "secret": secret}).json


def test_a_token_is_given_for_the_right_pair_and_opens_the_api(start):
    client = start({"auth": {"key": "key", "secret": "secret", "ttl_seconds": 300}})
    found = token(client)
    assert set(found) == {"data", "errors"}
    assert found["errors"] is None
    assert set(found["data"]) == {"accessToken", "ttlSeconds"}
    assert found["data"]["ttlSeconds"] == 300
    reply = client.send("POST", ISSUE, client.ask(), X_CAP_API_OAUTH_TOKEN=found["data"]["accessToken"])
    assert reply.json["successCount"] == 1


def test_a_wrong_pair_gets_320001_and_no_data(start):
    found = token(start({"auth": {"key": "key", "secret": "secret"}}), secret="wrong")
    assert found["data"] is None
    assert found["errors"][0]["code"] == 320001


@pytest.mark.parametrize(("ended", "status", "code"), [("498", 200, 498), ("http_498", 498, 498), ("401", 401, None)])
def test_an_ended_or_foreign_token_is_refused_and_nothing_is_issued(start, ended, status, code):
    client = start({"auth": {"required": True, "ttl_seconds": 60, "ended": ended}})
    good = token(client)["data"]["accessToken"]
    assert client.send("POST", ISSUE, client.ask(), X_CAP_API_OAUTH_TOKEN=good).json["successCount"] == 1
    client.clock.now += 61
    for refused in (good, "never-issued"):
        reply = client.send("POST", ISSUE, client.ask(), X_CAP_API_OAUTH_TOKEN=refused)
        assert reply.status == status
        assert reply.codes == [code] if code else reply.raw.startswith(b"<?xml")
    assert client.issued() == 1


def test_a_token_outlives_a_restart(start):
    config = {"auth": {"required": True}}
    client = start(config)
    good = token(client)["data"]["accessToken"]
    client.sandbox.stop()
    again = start(config)
    assert again.send("POST", ISSUE, again.ask(), X_CAP_API_OAUTH_TOKEN=good).status == 200


def test_without_credentials_configured_anyone_may_call(start):
    client = start()
    assert client.send("POST", ISSUE, client.ask(), X_CAP_API_OAUTH_TOKEN="anything").status == 200
    assert client.send("POST", ISSUE, client.ask(), Authorization="Basic anything").status == 200
    assert token(client, "any", "pair")["data"]["accessToken"]


def test_unknown_paths_are_404_and_wrong_methods_405(start):
    client = start()
    assert client.get("/v2/elsewhere").status == 404
    assert client.get(ISSUE).status == 405


def test_a_series_that_is_excluded_by_another_gives_nothing_to_its_holders(start):
    """Whoever holds the other one's coupon is refused, until that is revoked; others are not touched."""
    client = start({"series": [{"id": 1}, {"id": 2, "excludes": [1, 7]}]})
    code = client.issue(1).json["coupons"][0]["code"]
    assert client.issue(2).codes == [742]
    assert client.issue(2, 1, OTHER).codes == []
    assert client.issue(1).codes == [], "it excludes in one direction"
    told = client.get("/v2/coupon/series", [("ids", 1), ("ids", 2)]).json["entity"]
    assert [series["mutualExclusiveSeriesIds"] for series in told] == ["[-1]", "[1,7]"]
    client.send("POST", "/v2/coupon/revoke", {"couponSeriesId": 1, "couponCodes": [code]})
    assert client.issue(2).codes == [742], "one coupon of series 1 is still held"


@pytest.mark.parametrize(
    ("series", "name"), [({"max_create": 10}, "maxCreate"), ({"kind": "uploaded", "stock": 10}, "numUploadedTotal")]
)
def test_what_a_series_issued_before_is_gone_from_its_stock(start, series, name):
    """Seven of ten are gone: three are left, and the settings say so."""
    client = start({"series": [{"id": 1, "issued_before": 7} | series]})
    assert client.issue(1, 5).json["successCount"] == 3
    (told,) = client.get("/v2/coupon/series", {"ids": 1}).json["entity"]
    assert (told[name], told["numIssued"], told["numUploadedNonIssued"]) == (10, 10, 0)
    assert client.issue(1).codes == [5001]
