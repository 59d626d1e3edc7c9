"""The sandbox's OpenAPI page: every endpoint, every answer in its exact shape, and what each ordered fault answers."""

from __future__ import annotations

from typing import Any

from runner.sandbox.asking import IDENTIFIERS, ISSUE_PATH
from runner.sandbox.config import SandboxConfig
from runner.sandbox.faults import KINDS, FaultKind
from runner.sandbox.shapes import MOST_INTEGER, Schema, answered, asked, odd, own, ref, whole

OPENAPI_PATH = "/_openapi.json"
JSON, HTML, XML = "application/json", "text/html", "application/xml"
ODD_SHAPES = ("WithNulls", "WithTexts", "WithoutCounts")
"""Bodies that only faults of the issue endpoint give."""

_ABOUT = """\
The vendor's coupon API as coupon-runner's sandbox serves it. Every call needs `Accept: application/json`, a POST
`Content-Type: application/json` too (415). Business errors come as HTTP 200 with an `errors` array. An address that is
not listed is 404, another method 405, both with a body of the shape GatewayError. Paths that begin with `/_` are the
sandbox's own. What no shape can say: `GET /v2/coupon` needs at least one of its three lists, and
`GET /v2/customers/coupons` exactly one identifier (400)."""
_NO_SHAPE = {"empty_200": "no body", "gzip_garbage": "marked gzip, which it is not", "cut_json": "half a JSON document"}
_SHAPES = {
    "partial_unexplained": "WithoutCounts",
    "no_counts": "WithoutCounts",
    "nulls": "WithNulls",
    "codes_as_strings": "WithTexts",
    "722_half": "ErrorAlone",
    "code": "ErrorAlone",
    "503_4001": "ErrorAlone",
    "500_json": "GatewayError",
    "empty_object": "EmptyObject",
}
_REASONS = {400: "Cannot be meant", 401: "Credentials are refused", 415: "Accept or Content-Type is not JSON"}


def describe(config: SandboxConfig | None = None, *, chaos: bool | int | None = None) -> dict[str, Any]:
    """The page of a sandbox with this configuration: with faults when it can give any; ``None``: with everything."""
    faults = config is None or _orders_faults(config) or (chaos is not None and chaos is not False)
    required = config is not None and config.auth.required
    page = {
        "openapi": "3.1.0",
        "info": {"title": "Coupon API (sandbox)", "version": "2", "description": _ABOUT},
        "security": [*([] if required else [{}]), {"basic": []}, {"token": []}],
        "paths": _paths(faults),
        "components": {
            "schemas": asked() | answered() | own() | (odd() if faults else {}),
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "user, and the md5 of the password in hex"},
                "token": {"type": "apiKey", "in": "header", "name": "X-CAP-API-OAUTH-TOKEN"},
            },
        },
    }
    if faults:
        page["x-faults"] = {kind.name: _fault(kind) for kind in KINDS.values()}
    return page


def _orders_faults(config: SandboxConfig) -> bool:
    scripts = [config.answers, config.revoking_answers, config.auth.answers, config.reading.answers]
    scripts += [series.answers for series in (config.series_defaults, *config.series.values())]
    scripts += [customer.answers for customer in config.customers]
    return config.chaos is not None or any(scripts)


def _fault(kind: FaultKind) -> dict[str, Any]:
    """What a fault of the issue endpoint does; ``answer`` is null when no whole answer arrives."""
    told: dict[str, Any] = {"meaning": kind.meaning, "answer": None}
    if kind.wire in ("cut", "hang", "half_body", "half_headers"):
        return told
    status = kind.status or (503 if kind.name == "503_4001" else 200)
    media = XML if kind.name == "401_xml" else JSON
    if kind.name == "http" or (media == JSON and 300 <= status < 600 and kind.name not in _SHAPES):
        media = JSON if kind.name.startswith("429") else HTML
    if kind.name == "html_200":
        media = HTML
    answer: dict[str, Any] = {"status": "any" if kind.name == "http" else status, "mediaType": media}
    if kind.name in _NO_SHAPE:
        answer["body"] = _NO_SHAPE[kind.name]
    elif media == JSON:
        answer["shape"] = _SHAPES.get(kind.name, "Throttled" if status == 429 else "Issued")
    told["answer"] = answer
    return told


def _paths(faults: bool) -> dict[str, Any]:
    def operation(summary: str, shapes: list[str], **more: Any) -> Schema:
        body = more.pop("body", None)
        signed = more.pop("signed", True)
        named = [*more.pop("parameters", []), _REQUEST_ID, *(_ATTRIBUTION if signed else ())]
        found: Schema = {"summary": summary, "parameters": named}
        if body is not None:
            found["requestBody"] = {"required": True, "content": {JSON: {"schema": ref(body)}}}
        statuses = [400, 401, 415] if signed else [400, 415]
        found["responses"] = _responses(shapes, statuses, faults)
        return found | more

    def page(summary: str, shapes: list[str], **more: Any) -> Schema:
        body = more.pop("body", None)
        found: Schema = {"summary": summary, "tags": ["sandbox only"], "security": []} | more
        found["responses"] = {"200": {"description": "The page", "content": _json(shapes)}}
        if body is not None:
            found["requestBody"] = {"required": True, "content": {JSON: {"schema": ref(body)}}}
            found["responses"]["400"] = {"description": _REASONS[400], "content": _json(["GatewayError"])}
        return found

    issued = ["Issued", "ErrorAlone", *(ODD_SHAPES if faults else ())]
    issue = operation("Issue coupons of a series to a customer", issued, body="IssueRequest")
    if faults:
        issue["responses"]["201"] = _answer("Some were issued (fault partial_201)", _json(["Issued"]))
    token = operation("A new token", ["Token", "NoToken"], body="TokenRequest", security=[], signed=False)
    revoke = operation("Revoke coupons", ["Revoked", "ErrorAlone"], body="RevokeRequest")
    asked_by = {"issuedToIds": _IDS, "couponIds": _IDS, "couponCodes": _NAME}
    details = [_one_of("coupons", asked_by, most=len(asked_by)), _INCLUDE]
    summary = {"name": "summary", "in": "query", "schema": {"type": "string"}, "description": "1: the totals only"}
    return {
        ISSUE_PATH: {"post": issue},
        "/v3/oauth/token/generate": {"post": token},
        "/v2/coupon/series": {
            "get": operation(
                "Settings and stock of series", ["SeriesAnswer", "ErrorAlone"], parameters=[_IDS_OF_SERIES]
            )
        },
        "/v2/customers/lookup": {
            "get": operation("A customer's id; 8015: nobody", ["LookedUp", "ErrorAlone"], parameters=_LOOKUP)
        },
        "/v2/coupon": {"get": operation("Coupons by holder, id or code", ["CouponDetails", "ErrorAlone"],
                                        parameters=details)},
        "/v2/customers/coupons": {
            "get": operation("Pages of a customer's coupons", ["CustomerCoupons", "ErrorAlone"], parameters=_PAGED)
        },
        "/v2/coupon/revoke": {"post": revoke},
        "/_truth": {"get": page("Who holds what, and every call seen", ["Truth", "TruthSummary"],
                                parameters=[summary])},
        "/_redeem": {"post": page("Mark coupons as redeemed, as a shop would", ["Redeemed"], body="RedeemRequest")},
        OPENAPI_PATH: {"get": page("This page", ["Description"])},
    }  # fmt: skip


def _responses(shapes: list[str], statuses: list[int], faults: bool) -> Schema:
    """What an endpoint may answer; with faults also whatever can be ordered there."""
    pages: Schema = {HTML: {"schema": {"type": "string"}}} if faults else {}
    extra = [name for name in ("ErrorAlone", "EmptyObject") if faults and name not in shapes]
    found: Schema = {"200": _answer("Done, or refused with a code", _json([*shapes, *extra]) | pages)}
    for number in statuses:
        content = {XML: {"schema": {"type": "string"}}} if number == 401 else _json(["GatewayError"])
        found[str(number)] = _answer(_REASONS[number], content | pages)
    if "401" in found:  # the key's limit and an ended token concern signed calls only
        found["429"] = _answer("Too many calls for this key", _json(["Throttled"]) | pages, _RETRY_AFTER)
        found["498"] = _answer("The token has ended", _json(["ErrorAlone"]) | pages)
    if faults:
        found.setdefault("401", _answer("Credentials are refused", {XML: {"schema": {"type": "string"}}} | pages))
        found.setdefault("429", _answer("Too many calls", _json(["Throttled"]) | pages, _RETRY_AFTER))
        found["500"] = _answer("Failed; what was done is not known", _json(["GatewayError"]) | pages)
        found["503"] = _answer("Not available; with 4001 nothing was done", _json(["ErrorAlone"]) | pages)
        location = {"Location": {"schema": {"type": "string"}, "required": True}}
        for status in ("301", "302", "303", "307", "308"):
            found[status] = _answer("Redirect to itself", dict(pages), location)
        for status in ("3XX", "4XX", "5XX"):
            found[status] = _answer("Any other status that is ordered", dict(pages))
    return found


def _answer(description: str, content: Schema, headers: Schema | None = None) -> Schema:
    named = {"X-CAP-REQUEST-ID": {"schema": {"type": "string", "minLength": 1}, "required": True}}
    return {"description": description, "headers": named | (headers or {}), "content": content}


def _json(shapes: list[str]) -> Schema:
    schema = ref(shapes[0]) if len(shapes) == 1 else {"anyOf": [ref(name) for name in shapes]}
    return {JSON: {"schema": schema}}


def _query(name: str, schema: Schema, *, required: bool = False) -> Schema:
    return {"name": name, "in": "query", "schema": schema, "required": required}


def _one_of(name: str, parameters: Schema, *, most: int) -> Schema:
    """At least one of these parameters, at most so many; ``name`` itself is never sent."""
    schema = {
        "type": "object",
        "properties": parameters,
        "minProperties": 1,
        "maxProperties": most,
        "additionalProperties": False,
    }
    return _query(name, schema, required=True) | {"style": "form", "explode": True}


_IDS: Schema = {"type": "string", "pattern": "^[0-9]{1,15}(,[0-9]{1,15})*$", "description": "numbers between commas"}
_NAME: Schema = {"type": "string", "minLength": 1}
_INCLUDE = _query("includeIssualDetails", {"enum": ["true", "false"]})
_LOOKUP = [
    _query("source", {"type": "string"}),
    _query("identifierName", {"enum": list(IDENTIFIERS)}, required=True),
    _query("identifierValue", {"type": "string", "minLength": 1}, required=True),
]
_PAGED = [
    _one_of("customer", dict.fromkeys(("id", "mobile", "email", "external_Id"), _NAME), most=1),
    _query("limit", {"type": "integer", "minimum": 1, "maximum": MOST_INTEGER}),
    _query("offset", {"type": "integer", "minimum": 0, "maximum": MOST_INTEGER}),
    _query("sort_order", {"enum": ["ASC", "DESC"]}),
]
_IDS_OF_SERIES = _query("ids", {"type": "array", "items": whole()}) | {"style": "form", "explode": True}
_REQUEST_ID: Schema = {"name": "X-CAP-REQUEST-ID", "in": "header", "schema": {"type": "string"}}
_ATTRIBUTION: list[Schema] = [
    {"name": f"X-CAP-API-ATTRIBUTION-ENTITY-{part}", "in": "header", "schema": {"type": "string"}}
    for part in ("TYPE", "CODE")
]
_RETRY_AFTER: Schema = {"Retry-After": {"schema": {"type": "string", "minLength": 1}}}
