"""The sandbox's OpenAPI page says exactly what it answers: no status, media type or shape besides.

The client of these tests holds every answer of every test against the page; here it is shown that the page is narrow,
that every fault and every documented code is on it, and that no request leads off it.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from runner.sandbox import describe, parse_config
from runner.sandbox.faults import KINDS

ISSUE = "/v2/coupon/issue/multiple"
MOBILE = "919000000001"
SEED_CODES = [701, 707, 709, 713, 756, 5004, 5001, 5002, 5005, 5006, 677]
"""The error codes of the seed document's table and samples."""

OTHER_CODES = [498, 521, 712, 714, 715, 721, 722, 735, 740, 748, 777, 786, 799, 4000, 8015]
BROKEN = ("cut", "hang", "half_body", "half_headers")
NO_WAITS = {"late_seconds": 0, "drip_seconds": 0}


def references(part: Any) -> list[str]:
    """Every $ref within."""
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [one for value in part.values() for one in references(value)]
    return [one for value in part for one in references(value)] if isinstance(part, list) else []


@pytest.mark.parametrize("page", [describe(), describe(parse_config({}))], ids=["with faults", "without"])
def test_the_page_is_whole(page):
    """Each shape is a valid JSON Schema, each reference leads somewhere, and no shape stands there unused."""
    for schema in page["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    used = set(references(page))
    assert used == {f"#/components/schemas/{name}" for name in page["components"]["schemas"]}


def test_the_page_lists_every_endpoint_of_the_api(start):
    """With the method that the API has; another method is 405 and names the right one, another address 404."""
    client = start()
    listed = {(method.upper(), path) for path, methods in client.page.page["paths"].items() for method in methods}
    assert listed == {
        ("POST", ISSUE), ("POST", "/v3/oauth/token/generate"), ("GET", "/v2/coupon/series"),
        ("GET", "/v2/customers/lookup"), ("GET", "/v2/coupon"), ("GET", "/v2/customers/coupons"),
        ("POST", "/v2/coupon/revoke"), ("GET", "/_truth"), ("POST", "/_redeem"), ("GET", "/_openapi.json"),
    }  # fmt: skip
    for method, path in listed:
        wrong = client.send("GET" if method == "POST" else "POST", path)
        assert (wrong.status, wrong.headers["Allow"]) == (405, method)
    assert client.send("GET", "/v2/nothing").status == 404
    assert client.send("GET", "/_nothing").status == 404


def test_the_page_that_is_served_is_that_of_this_sandbox(start, tmp_path):
    """Without faults it promises the plain shapes only; with any it lists them; credentials show when needed."""
    plain = start().send("GET", "/_openapi.json").json
    assert plain == json.loads(json.dumps(describe(parse_config({}))))
    assert "x-faults" not in plain
    assert {} in plain["security"]
    for n, config in enumerate([{"answers": ["5005"]}, {"chaos": {}}, {"reading": {"answers": ["504"]}}]):
        served = start(config, truth_path=tmp_path / f"{n}.db").send("GET", "/_openapi.json").json
        assert set(served["x-faults"]) == set(KINDS)
    by_flag = start({}, truth_path=tmp_path / "chaos.db", chaos=7).send("GET", "/_openapi.json").json
    assert "x-faults" in by_flag
    locked = start({"auth": {"user": "u", "password": "p"}}, truth_path=tmp_path / "locked.db")
    assert {} not in locked.send("GET", "/_openapi.json").json["security"]


# ---------------------------------------------------------------- every endpoint's answers, by the name of their shape


def world(client):
    """Coupons of two series for one customer; the codes of the first series."""
    codes = [coupon["code"] for coupon in client.issue(1, 3, key="first").json["coupons"]]
    client.issue(2, 1, {"email": "one@example.com"})
    return codes


ANSWERS: list[tuple[str, str, Any, str]] = [
    ("POST", ISSUE, {"seriesId": 1, "count": 2, "customer": {"mobile": MOBILE}}, "Issued"),
    ("POST", ISSUE, {"seriesId": 3, "count": 2, "customer": {"mobile": MOBILE}}, "Issued"),
    ("POST", ISSUE, {"seriesId": 4, "customer": {"externalId": "000000000001"}}, "Issued"),
    ("POST", ISSUE, {"seriesId": 9, "customer": {"mobile": MOBILE}}, "ErrorAlone"),
    ("POST", ISSUE, {"customer": {"mobile": MOBILE}}, "ErrorAlone"),
    ("POST", ISSUE, {"seriesId": [1, 2], "customer": {"mobile": MOBILE}}, "GatewayError"),
    ("POST", "/v3/oauth/token/generate", {"key": "k", "secret": "s"}, "Token"),
    ("POST", "/v3/oauth/token/generate", {"key": "", "secret": "s"}, "NoToken"),
    ("POST", "/v3/oauth/token/generate", {"key": "k"}, "GatewayError"),
    ("GET", "/v2/coupon/series?ids=1&ids=2&ids=3&ids=4&ids=9", None, "SeriesAnswer"),
    ("GET", "/v2/coupon/series", None, "SeriesAnswer"),
    ("GET", "/v2/coupon/series?ids=x", None, "GatewayError"),
    ("GET", f"/v2/customers/lookup?source=INSTORE&identifierName=mobile&identifierValue={MOBILE}", None, "LookedUp"),
    ("GET", "/v2/customers/lookup?identifierName=mobile&identifierValue=919000000009", None, "ErrorAlone"),
    ("GET", "/v2/customers/lookup?identifierName=mobile", None, "GatewayError"),
    ("GET", "/v2/coupon?issuedToIds=77&includeIssualDetails=true", None, "CouponDetails"),
    ("GET", "/v2/coupon?couponIds=1", None, "CouponDetails"),
    ("GET", "/v2/coupon", None, "GatewayError"),
    ("GET", f"/v2/customers/coupons?mobile={MOBILE}&limit=2&sort_order=ASC", None, "CustomerCoupons"),
    ("GET", "/v2/customers/coupons?id=78", None, "ErrorAlone"),
    ("GET", "/v2/customers/coupons?id=77&limit=0", None, "GatewayError"),
    ("POST", "/v2/coupon/revoke", {"couponSeriesId": 1, "couponCodes": ["CODE", "NOSUCHCODE"]}, "Revoked"),
    ("POST", "/v2/coupon/revoke", {"couponSeriesId": 1, "customer": {"mobile": MOBILE}}, "Revoked"),
    ("POST", "/v2/coupon/revoke", {"couponSeriesId": 1, "customer": {}}, "ErrorAlone"),
    ("POST", "/v2/coupon/revoke", {"couponSeriesId": 1}, "GatewayError"),
    ("GET", "/_truth", None, "Truth"),
    ("GET", "/_truth?summary=1", None, "TruthSummary"),
    ("POST", "/_redeem", {"couponCodes": ["CODE"]}, "Redeemed"),
    ("POST", "/_redeem", {"couponCodes": [1]}, "GatewayError"),
]  # fmt: skip
CONFIG: dict[str, Any] = {
    "unknown_series": "refuse",
    "unknown_customers": "refuse",
    "series": [
        {"id": 1},
        {"id": 2, "kind": "uploaded", "stock": 9, "valid_till": "2035-01-01"},
        {"id": 3, "allow_multiple": False},
        {"id": 4, "kind": "generic", "discount_type": "PERC", "discount_value": 12.5},
    ],
    "customers": [{"id": 77, "mobile": MOBILE, "email": "one@example.com", "external_id": "000000000001"}],
}


@pytest.mark.parametrize(("method", "path", "body", "shape"), ANSWERS)
def test_an_answer_has_the_shape_that_the_page_names(start, method, path, body, shape):
    """And no key may be missing, added, or of another type: the shapes are as narrow as the answers."""
    client = start(CONFIG)
    codes = world(client)
    sent = json.loads(json.dumps(body).replace("CODE", codes[0], 1))
    answer = client.send(method, path, sent).json
    assert client.page.named(shape, answer) is None
    for spoilt in spoilt_copies(answer):
        assert client.page.named(shape, spoilt) is not None, f"{shape} lets this pass: {spoilt}"


OPTIONAL = ("mobile", "email", "externalId", "warnings", "couponIssualDetails")


def spoilt_copies(answer: dict[str, Any]) -> list[Any]:
    """The answer with one thing wrong: a key gone, one too many, a value of another type, anywhere within."""
    found: list[Any] = []

    def visit(path: list[Any], part: Any) -> None:
        if isinstance(part, dict):
            if part and path[-1:] not in (["series"], ["identifiers"], ["calls"], ["customers"], ["posts_by_fault"],
                                          ["issued_by_series"]):  # fmt: skip
                needed = [key for key in part if key not in OPTIONAL]
                found.extend(changed(path, lambda target, key=key: target.pop(key)) for key in needed)
                found.append(changed(path, lambda target: target.update(unheard=1)))
            for key, value in part.items():
                visit([*path, key], value)
        elif isinstance(part, list):
            for n, value in enumerate(part[:1]):
                visit([*path, n], value)
        elif path:
            wrong = {"of": "another type"}
            found.append(changed(path[:-1], lambda target: target.__setitem__(path[-1], wrong)))

    def changed(path: list[Any], change: Any) -> Any:
        whole = copy.deepcopy(answer)
        target = whole
        for step in path:
            target = target[step]
        change(target)
        return whole

    visit([], answer)
    assert found
    return found


# ---------------------------------------------------------------- every code


@pytest.mark.parametrize("code", SEED_CODES + OTHER_CODES)
def test_every_code_comes_alone_in_the_seeds_shape(start, code):
    client = start({"answers": [f"code_{code}"]})
    reply = client.issue()
    assert client.page.named("ErrorAlone", reply.json) is None
    assert (reply.status, reply.codes) == (200, [code])


@pytest.mark.parametrize("where", ["errors", "warnings"])
@pytest.mark.parametrize(
    "series",
    [
        {"allow_multiple": False},
        {"max_per_customer": 1},
        {"max_create": 1},
        {"kind": "uploaded", "stock": 1, "exhausted_code": 5005},
        {"max_create": 1, "exhausted_code": 5006},
    ],
)
def test_every_twin_of_the_seeds_table_comes_with_coupons_and_counts(start, series, where):
    client = start({"partial_in": where, "series": [{"id": 1} | series]})
    body = client.issue(1, 2).json
    assert client.page.named("Issued", body) is None
    assert [len(body[name]) for name in ("errors", "warnings")] == [int(where == "errors"), int(where == "warnings")]


@pytest.mark.parametrize(
    ("config", "status", "media"),
    [
        ({"auth": {"user": "u", "password": "p"}}, 401, "application/xml"),
        ({"auth": {"key": "k", "secret": "s", "ended": "http_498"}}, 498, "application/json"),
        ({"limits": {"limit": 0, "retry_after": "seconds"}}, 200, "application/json"),
        ({"limits": {"limit": 1, "retry_after": "seconds"}}, 429, "application/json"),
        ({"limits": {"limit": 1, "kind": "fixed", "retry_after": "date"}}, 429, "application/json"),
    ],
)
def test_a_refusal_before_the_call_is_on_the_page_of_every_endpoint(start, config, status, media):
    """No credentials, an ended token, the key's limit: for every signed call alike."""
    client = start(config)
    token = {"X-CAP-API-OAUTH-TOKEN": "ended"} if status == 498 else {}
    client.get("/v2/coupon/series", **token)
    for method, path, body, _ in ANSWERS:
        if path.startswith("/v2/"):
            reply = client.send(method, path, body, **token)
            assert status in (200, reply.status)
            assert status == 200 or reply.headers["Content-Type"] == media


# ---------------------------------------------------------------- every fault


def fault_of_each_kind() -> list[str]:
    """Every kind once, the lost ones with coupons issued first too; those that take any number with one."""
    names = [{"code": "5005", "http": "http_418"}.get(name, name) for name in KINDS]
    return names + [f"commit_then_{name}" for name in KINDS if KINDS[name].unknown_outcome and name.isidentifier()
                    and name not in ("code", "http")]  # fmt: skip


@pytest.mark.parametrize("fault", [name for name in fault_of_each_kind() if not name.endswith(BROKEN)])
def test_a_fault_answers_what_the_page_says_of_it(start, fault):
    """Status, media type, shape; where nothing could be given (half of one, an unknown customer) an error alone."""
    client = start({"answers": [fault], "repeat_last": True, "faults": NO_WAITS,
                    "customers": [{"mobile": "919000000009", "unknown": True}]})  # fmt: skip
    base = fault.removeprefix("commit_then_")
    kind = {"5005": "code", "http_418": "http"}.get(base, base)
    told = client.page.page["x-faults"][kind]["answer"]
    for count, customer in ((4, None), (1, None), (2, {"mobile": "919000000009"})):
        reply = client.issue(1, count, customer)
        none_given = customer is not None or (count == 1 and KINDS[kind].commit == "part")
        expected = 200 if none_given and told["status"] == 201 else told["status"]
        assert reply.status == (418 if expected == "any" else expected)
        assert reply.headers["Content-Type"].partition(";")[0] == told["mediaType"]
        if "body" in told:
            with pytest.raises(ValueError):  # noqa: PT011 - json's own
                reply.json  # noqa: B018
        elif "shape" in told:
            shapes = [told["shape"], *(["ErrorAlone"] if none_given else [])]
            assert any(client.page.named(shape, reply.json) is None for shape in shapes), reply.raw[:500]


@pytest.mark.parametrize("fault", [name for name in fault_of_each_kind() if name.endswith(BROKEN)])
def test_a_fault_of_the_connection_has_no_answer_on_the_page(start, fault):
    """Whatever bytes come are no whole answer, and the page promises none."""
    client = start({"answers": [fault], "faults": {"hang_seconds": 0.01}})
    assert client.page.page["x-faults"][fault.removeprefix("commit_then_")]["answer"] is None
    head, _, body = client.raw_issue().partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    assert not body or (length is not None and len(body) < int(length[1]))


READS = ["/v2/coupon/series", "/v2/customers/lookup?identifierName=mobile&identifierValue=919000000001",
         "/v2/coupon?issuedToIds=1", "/v2/customers/coupons?mobile=919000000001"]  # fmt: skip


def test_the_faults_of_the_other_endpoints_are_on_the_page_too(start):
    """Every kind that leaves a whole answer, ordered for each read, for tokens and for revocations."""
    names = [name for name in fault_of_each_kind() if not name.endswith((*BROKEN, "huge_body"))]
    script = {"answers": names}
    client = start({"reading": script, "auth": script, "revoking": script, "faults": NO_WAITS})
    for name in names:
        replies = [client.send("GET", path) for path in READS]
        replies.append(client.send("POST", "/v3/oauth/token/generate", {"key": "k", "secret": "s"}))
        replies.append(client.send("POST", "/v2/coupon/revoke", {"couponSeriesId": 1, "couponCodes": ["X"]}))
        assert len({reply.status for reply in replies}) == 1, name


# ---------------------------------------------------------------- whatever else is sent


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", ISSUE, {"seriesId": 2**70, "customer": {"mobile": MOBILE}}),
        ("POST", ISSUE, {"seriesId": 1, "customer": {"id": 2**70}}),
        ("POST", ISSUE, {"seriesId": 0, "count": "2", "customer": {"mobile": MOBILE}}),
        ("POST", "/v2/coupon/revoke", {"couponSeriesId": 2**64 - 1, "customer": {"mobile": MOBILE}}),
        ("POST", "/v2/coupon/revoke", {"couponSeriesId": 1, "couponCodes": ["X"], "customer": {"name": "x"}}),
        ("POST", "/v2/coupon/revoke", {"couponSeriesId": 1, "customer": {"mobile": MOBILE, "email": "a@example.com"}}),
        ("POST", "/v3/oauth/token/generate", {"key": 1, "secret": 2}),
        ("POST", "/v3/oauth/token/generate", []),
        ("POST", "/_redeem", None),
        ("POST", "/_redeem", []),
        ("GET", "/v2/coupon/series?ids=", None),
        ("GET", "/v2/coupon/series?ids=9999999999999999999999", None),
        ("GET", "/v2/coupon?couponIds=1&includeIssualDetails=perhaps", None),
        ("GET", "/v2/coupon?issuedToIds=&couponIds=1", None),
        ("GET", "/v2/coupon?couponCodes=&couponIds=1", None),
        ("GET", "/v2/customers/coupons?mobile=&email=one@example.com", None),
        ("GET", "/v2/customers/coupons?id=1&sort_order=upwards", None),
        ("GET", "/v2/customers/coupons?id=1&offset=9999999999999999999999", None),
        ("GET", "/v2/customers/lookup?identifierName=mobile&identifierName=email&identifierValue=1", None),
    ],
)
def test_what_cannot_be_meant_is_http_400_and_not_half_understood(start, method, path, body):
    """Nothing is issued, revoked or counted as such a revocation."""
    client = start()
    client.issue()
    assert client.send(method, path, body).status == 400
    totals = client.truth()["totals"]
    assert (totals["coupons"], totals["revoked"], totals["redeemed"], totals["revokes_without_codes"]) == (1, 0, 0, 0)


def test_a_whole_number_may_be_written_with_a_fraction_of_zero(start):
    """As JSON Schema has it: 2.0 is the number 2."""
    assert start().issue(1.0, 2.0).json["successCount"] == 2


# ---------------------------------------------------------------- schemathesis (make soak)

RUNS: dict[str, dict[str, Any]] = {
    "everything accepted": {},
    "only what is named": CONFIG,
    "with credentials": {"auth": {"user": "u", "password": "p", "ended": "401"}},
    "without valid credentials": {"auth": {"key": "key", "secret": "secret", "ended": "401"}},
    "with a limit": {"limits": {"limit": 3, "window_seconds": 0.05}},
    "every shape with faults": {"answers": ["ok"], "partial_in": "warnings"},
}


@pytest.mark.soak
@pytest.mark.parametrize("config", RUNS.values(), ids=RUNS)
def test_schemathesis_finds_no_undocumented_answer(start, tmp_path, config, request):
    """All its checks, with requests that fit the page and requests that do not."""
    command = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert command is not None, "install requirements-soak.txt (make soak does)"
    client = start(config, clock=time.time)
    password = hashlib.md5(b"p", usedforsecurity=False).hexdigest()
    basic = f"Basic {base64.b64encode(f'u:{password}'.encode()).decode()}"
    headers = {"Accept": "application/json"} | ({"Authorization": basic} if "user" in config.get("auth", {}) else {})
    settings = tmp_path / "schemathesis.toml"
    lines = ["[headers]", *(f"{name} = {json.dumps(value)}" for name, value in headers.items())]
    settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
    seed = request.config.getoption("--hypothesis-seed", None) or "1"
    words = [command, "--config-file", str(settings), "run", f"{client.url}/_openapi.json", "--no-color"]
    words += ["--phases", "examples,coverage,fuzzing", "--max-examples", "100", "--seed", str(seed)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-8000:]
    tested = re.search(r"Tested: (\d+)", told)
    assert tested is not None
    assert int(tested[1]) >= 9
