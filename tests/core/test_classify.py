"""What each documented answer means: every sample of the seed document, every code, every status."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner.core.classify import classify
from runner.core.codes import TWINS, CodeTable
from runner.core.model import CallState, CodeClass, Coupon, Exchange, Outcome, Scope

TABLE = CodeTable.default()
ISSUED, REFUSED, IN_DOUBT = CallState.ISSUED, CallState.REFUSED, CallState.IN_DOUBT
RETRY, FINAL, UNKNOWN = CodeClass.RETRY, CodeClass.FINAL, CodeClass.UNKNOWN
ROW, CUSTOMER, SERIES, RUN = Scope.ROW, Scope.CUSTOMER, Scope.SERIES, Scope.RUN
HTML = "<html><body><h1>Gateway</h1></body></html>"
XML = "<response><status><success>false</success><code>401</code></status></response>"


def answered(body: Any, *, asked: int = 1, status: int = 200, **headers: str) -> Outcome:
    """The outcome of an answer; a string or bytes is sent as it is, anything else as JSON."""
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    exchange = Exchange(left=True, status=status, headers=named, body=raw, complete=True)
    return classify(exchange, asked=asked, table=TABLE)


def coupons(count: int) -> list[dict[str, Any]]:
    """Coupons as the API lists them."""
    return [{"code": f"CODE{n}", "couponId": 1000 + n} for n in range(count)]


def failure(code: Any, message: str = "said so") -> dict[str, Any]:
    """An element of `errors` or `warnings`."""
    return {"status": False, "code": code, "message": message}


def counted(success: int, failed: int, **more: Any) -> dict[str, Any]:
    """A body with counts."""
    return {"totalCount": success + failed, "successCount": success, "failureCount": failed, **more}


def brief(outcome: Outcome) -> tuple[Any, ...]:
    """State, known, held, code, class, scope, agreeing."""
    why = outcome.reason
    return (
        str(outcome.state), len(outcome.coupons), outcome.held,
        *((why.code, str(why.klass), str(why.scope), why.agreeing) if why else ()),
    )  # fmt: skip


# ── the seed document ────────────────────────────────────────────────────────────────────────────────────────────────

CUSTOMER_BODY = {
    "id": 555567088,
    "profiles": [
        {
            "firstName": "Sample",
            "identifiers": [
                {"type": "mobile", "value": "919000000001"},
                {"type": "externalId", "value": "000003873472"},
            ],
            "commChannels": [],
            "userId": 555567088,
            "accountId": "",
            "identifiersAll": [
                {"type": "mobile", "value": "919000000001"},
                {"type": "externalId", "value": "000003873472"},
            ],
        }
    ],
}
CONFIG = {"id": 0, "numTotal": 0, "numUploadedNonIssued": 0, "discountValue": 500, "customPropertyMap": {}}

SEED = [
    ("generated codes", 2, {
        "coupons": [{"code": "3084294818", "couponId": 1237263304}, {"code": "5686061236", "couponId": 1237263305}],
        "couponConfig": CONFIG, **counted(2, 0), "customer": CUSTOMER_BODY, "errors": [], "warnings": [],
    }, ("issued", 2, 0)),
    ("generic code", 1, {
        "coupons": [{"code": "DECATH10", "couponId": 1239821361}], "couponConfig": CONFIG, **counted(1, 0),
        "customer": CUSTOMER_BODY, "errors": [], "warnings": [],
    }, ("issued", 1, 0)),
    ("invalid series", 2, {"errors": [failure(707, "Coupon Series ID is invalid")]},
     ("refused", 0, 0, "707", "final", "series", 1)),
    ("invalid count", 501, {"errors": [failure(677)]}, ("refused", 0, 0, "677", "final", "row", 0)),
    ("no such customer", 1, {"errors": [failure(701)]}, ("refused", 0, 0, "701", "final", "row", 0)),
    ("partial success", 2, {
        "coupons": [{"code": "2YQWCWQXZ6NTMTAJLCXNP1T6CYMN", "couponId": 96004050}], "couponConfig": CONFIG,
        **counted(1, 1), "customer": CUSTOMER_BODY, "errors": [failure(5004)], "warnings": [],
    }, ("issued", 1, 0, "5004", "final", "row", 0)),
    ("expired", 1, {"errors": [{"status": False, "message": "Coupon has expired", "code": 713}]},
     ("refused", 0, 0, "713", "final", "series", 3)),
    ("has one already", 1, {"errors": [{"status": False, "message": "user already has a coupon", "code": 709}]},
     ("refused", 0, 0, "709", "final", "row", 0)),
    ("series is mandatory", 1, {"errors": [failure(756)]}, ("refused", 0, 0, "756", "final", "row", 0)),
    ("one generic coupon", 2, {"errors": [failure(5004)], "warnings": []},
     ("refused", 0, 0, "5004", "final", "row", 0)),
    ("most per customer", 2, {"errors": [failure(5002)], "warnings": []},
     ("refused", 0, 0, "5002", "final", "row", 0)),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "body", "expected"), [row[1:] for row in SEED], ids=[row[0] for row in SEED])
def test_each_sample_of_the_seed_document(asked: int, body: dict[str, Any], expected: tuple[Any, ...]) -> None:
    """State, coupons known, coupons held, and the principal code with its class, scope and agreeing answers."""
    assert brief(answered(body, asked=asked)) == expected


def test_the_seeds_samples_without_their_outer_brace_are_not_json_and_in_doubt() -> None:
    """As two samples are printed, they are no JSON: what cannot be read may have issued."""
    assert brief(answered('"errors": [{"status": false, "code": 5004}],\n"warnings": []\n}', asked=2))[:4] == (
        "in_doubt", 0, 2, "unreadable_answer",
    )  # fmt: skip


def test_coupons_and_customer_come_as_text() -> None:
    """Ids and codes are text, leading zeros kept, identifiers each once."""
    outcome = answered(SEED[0][2], asked=2, x_cap_request_id="req-1")
    assert outcome.coupons == (Coupon("1237263304", "3084294818"), Coupon("1237263305", "5686061236"))
    assert outcome.customer is not None
    assert outcome.customer.id == "555567088"
    assert outcome.customer.identifiers == (("mobile", "919000000001"), ("externalId", "000003873472"))
    assert (outcome.request_id, outcome.status, outcome.flags, outcome.codes) == ("req-1", 200, (), ())


# ── codes ────────────────────────────────────────────────────────────────────────────────────────────────────────────

CODES = [
    ("5005 702", "refused 0 5005 retry series 0"),
    ("521", "refused 0 = retry customer 0"),
    ("429 4001", "refused 0 = retry run 0"),
    ("677 701 709 740 742 750 756 721 8015", "refused 0 = final row 0"),
    ("5004 679", "refused 0 5004 final row 0"),
    ("5002 621", "refused 0 5002 final row 0"),
    ("5006 678", "refused 0 5006 final row 0"),
    ("707", "refused 0 = final series 1"),
    ("712 713 714 777 788 795 799", "refused 0 = final series 3"),
    ("5001 626", "refused 0 5001 final series 3"),
    ("401 498 403 404 405 413 415 4000 320001 715 735", "refused 0 = final run 0"),
    ("748 500 722 730 786 787 789 790 791 792 793 794 796 797 798", "in_doubt 1 = unknown row 0"),
    ("31337 999 ERR_ODD", "refused 0 = final row 3"),
]


@pytest.mark.parametrize("status", [200, 201, 400, 422])
@pytest.mark.parametrize(("code", "expected"), [(code, want) for codes, want in CODES for code in codes.split()])
def test_a_code_alone_means_the_same_with_any_status_that_decides(code: str, expected: str, status: int) -> None:
    """Decided from the body whenever it parses; codes as number, text or with a fraction."""
    state, held, principal, *rest = expected.split()
    want = (state, 0, int(held), code if principal == "=" else principal, *rest[:2], int(rest[2]))
    spellings: list[Any] = [code, f" {code} "]
    if code.isdigit():
        spellings += [int(code), float(code), f"{code}.0"]
    for spelling in spellings:
        outcome = answered({"errors": [failure(spelling)]}, status=status)
        assert brief(outcome) == want
        assert outcome.codes == (code,)
        assert outcome.reason is not None
        assert outcome.reason.message == "said so"


@pytest.mark.parametrize("status", [301, 302, 303, 408, 500, 502, 503, 504, 520, 521, 522, 523, 524, 599])
def test_beside_an_open_status_only_a_listed_code_is_believed(status: int) -> None:
    """A listed code decides; an unlisted one leaves it in doubt."""
    assert brief(answered({"errors": [failure(5005)]}, status=status, asked=3))[:4] == ("refused", 0, 0, "5005")
    assert brief(answered({"errors": [failure(31337)]}, status=status, asked=3))[:5] == (
        "in_doubt", 0, 3, f"http_{status}", "unknown",
    )  # fmt: skip


@pytest.mark.parametrize("status", [401, 403, 405, 413, 415, 429, 498])
def test_an_unlisted_code_does_not_hide_a_status_that_every_row_would_get(status: int) -> None:
    """Wrong credentials in an unknown wrapping still stop the run after one call."""
    why = answered({"errors": [failure(31337)]}, status=status).reason
    assert why is not None
    assert why.scope is RUN


@pytest.mark.parametrize(
    ("codes", "principal"),
    [
        ((722, 401), "722"), ((401, 707), "401"), ((707, 713), "707"), ((713, 707), "707"), ((713, 701), "713"),
        ((701, 5005), "701"), ((5005, 31337), "31337"), ((521, 5005), "5005"), ((5005, 429), "429"),
    ],
)  # fmt: skip
def test_of_several_codes_unknown_then_run_then_series_then_row_then_retry_counts(
    codes: tuple[int, ...], principal: str
) -> None:
    """The order of API.md, whichever comes first; all codes are kept."""
    for order in (codes, codes[::-1]):
        outcome = answered({"errors": [failure(code) for code in order]})
        assert outcome.reason is not None
        assert outcome.reason.code == principal
        assert outcome.codes == tuple(map(str, order))


@pytest.mark.parametrize(
    ("message", "state"),
    [
        ("Maximum coupons per user exceeded", "refused"), ("issual limit per customer reached", "refused"),
        ("limit of the series exceeded", "refused"), ("Unable to issue coupon", "in_doubt"), ("", "in_doubt"),
        ("request time limit exceeded for customer", "in_doubt"), ("rate limit per customer exceeded", "in_doubt"),
        ("limit reached, try again later for this user", "in_doubt"),
    ],
)  # fmt: skip
def test_730_is_final_for_the_row_when_its_text_names_a_limit(message: str, state: str) -> None:
    """A limit on time or pace is not such a limit."""
    outcome = answered({"errors": [failure(730, message)]})
    assert str(outcome.state) == state
    assert outcome.reason is not None
    assert (outcome.reason.klass, outcome.reason.scope) == (FINAL if state == "refused" else UNKNOWN, ROW)


@pytest.mark.parametrize(("confirmed", "state"), [(False, "in_doubt"), (True, "refused")])
def test_a_code_that_a_configuration_adds_is_believed_like_an_unlisted_one_unless_confirmed(
    confirmed: bool, state: str
) -> None:
    """Beside a 500, and beside coupons, only the word that Capillary confirmed it makes it proof."""
    change = {"class": "final", "scope": "series", "nothing_issued": confirmed}
    table = TABLE.with_overrides({"31337": change})
    raw = json.dumps({"errors": [failure(31337)]}).encode()
    outcomes = [
        classify(Exchange(left=True, status=status, body=raw, complete=True), asked=2, table=table)
        for status in (200, 500)
    ]
    assert [str(outcome.state) for outcome in outcomes] == ["refused", state]
    assert outcomes[0].reason is not None
    assert (outcomes[0].reason.scope, outcomes[0].reason.agreeing) == (SERIES, 3)
    raw = json.dumps({"coupons": coupons(1), "errors": [failure(31337)]}).encode()
    partial = classify(Exchange(left=True, status=200, body=raw, complete=True), asked=2, table=table)
    assert partial.held == (0 if confirmed else 1)


# ── partial answers ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("warning", TWINS)
def test_a_warning_twin_explains_the_shortfall(warning: str) -> None:
    """Partial success by the seed's table: the code is in `warnings` only."""
    body = {"coupons": coupons(2), "errors": [], "warnings": [failure(int(warning))]}
    outcome = answered(body, asked=5)
    assert brief(outcome)[:4] == ("issued", 2, 0, TWINS[warning])
    assert outcome.codes == (warning,)


PARTIAL = [
    ("error explains", {"coupons": coupons(2), "errors": [failure(5005)]}, "issued 2 0 5005"),
    ("counts explain", {"coupons": coupons(2), **counted(2, 3)}, "issued 2 0 unexplained"),
    ("only the success count", {"coupons": coupons(2), "successCount": 2}, "issued 2 0 unexplained"),
    ("only the failure count", {"coupons": coupons(2), "failureCount": 3}, "issued 2 0 unexplained"),
    ("failure count goes part of the way", {"coupons": coupons(2), "failureCount": 1}, "in_doubt 2 2 short_answer"),
    ("a lower total", {"coupons": coupons(2), **counted(2, 0)}, "issued 2 0 unexplained"),
    ("total above the counts", {"coupons": coupons(2), "successCount": 2, "failureCount": 0, "totalCount": 5},
     "in_doubt 2 3 short_answer"),
    ("nothing explains", {"coupons": coupons(2)}, "in_doubt 2 3 short_answer"),
    ("unlisted code without counts", {"coupons": coupons(2), "errors": [failure(31337)]}, "in_doubt 2 3 short_answer"),
    ("unlisted code with counts", {"coupons": coupons(2), "errors": [failure(31337)], **counted(2, 3)},
     "issued 2 0 unexplained"),
    ("unknown code without counts", {"coupons": coupons(2), "errors": [failure(722)]}, "in_doubt 2 3 722"),
    ("unknown code with counts", {"coupons": coupons(2), "errors": [failure(722)], **counted(2, 3)}, "issued 2 0 722"),
    ("unknown warning", {"coupons": coupons(2), "errors": [failure(5005)], "warnings": [failure(748)]},
     "in_doubt 2 3 748"),
    ("success above the list", {"coupons": coupons(2), **counted(5, 0)}, "in_doubt 2 3 count_above_list"),
    ("success above the list, error for the rest", {"coupons": coupons(2), **counted(3, 2), "errors": [failure(5005)]},
     "in_doubt 2 1 5005"),
    ("success below the list", {"coupons": coupons(2), **counted(1, 4)}, "in_doubt 2 3 short_answer"),
    ("failures deny the list", {"coupons": coupons(2), "failureCount": 5}, "in_doubt 2 3 short_answer"),
    ("success above asked", {"coupons": coupons(2), **counted(9, 0)}, "in_doubt 2 3 count_above_list"),
    ("null among the coupons", {"coupons": [*coupons(2), None], "errors": [failure(5005)]}, "in_doubt 2 1 5005"),
    ("empty coupon", {"coupons": [*coupons(2), {"code": "", "couponId": None}], "failureCount": 3},
     "in_doubt 2 1 short_answer"),
    ("coupon without id", {"coupons": [{"code": "A"}, {"couponId": 7}], "errors": [failure(5005)]}, "issued 2 0 5005"),
    ("zero is no id", {"coupons": [{"code": "A", "couponId": 0}, {"code": "B", "couponId": 0}],
                       "errors": [failure(5005)]}, "issued 2 0 5005"),
    ("same code without ids", {"coupons": [{"code": "A"}, {"code": "A"}], "errors": [failure(5005)]},
     "in_doubt 1 1 5005"),
    ("same code with ids", {"coupons": [{"code": "A", "couponId": 1}, {"code": "A", "couponId": 2}],
                            "errors": [failure(5005)]}, "issued 2 0 5005"),
    ("unreadable coupon, counts that do not see it", {"coupons": [*coupons(2), None], "successCount": 2},
     "in_doubt 2 3 short_answer"),
    ("one id twice", {"coupons": [*coupons(2), coupons(1)[0]], **counted(3, 2)}, "in_doubt 2 1 count_above_list"),
    ("coupons are no list", {"coupons": "A1", "errors": [failure(5005)]}, "in_doubt 0 5 short_answer"),
    ("one coupon, not in a list", {"coupons": {"code": "A", "couponId": 1}, "failureCount": 4},
     "issued 1 0 unexplained"),
]  # fmt: skip


@pytest.mark.parametrize("status", [200, 201, 400, 500])
@pytest.mark.parametrize(("body", "expected"), [row[1:] for row in PARTIAL], ids=[row[0] for row in PARTIAL])
def test_of_five_coupons_some_came(body: dict[str, Any], expected: str, status: int) -> None:
    """What is listed is known whatever the status; the rest is missing when explained, else held."""
    outcome = answered(body, asked=5, status=status)
    state, known, held, code = expected.split()
    if outcome.coupons or status == 200:
        assert brief(outcome)[:4] == (state, int(known), int(held), code)
    else:
        assert outcome.held > 0


def test_an_unknown_code_closed_by_counts_may_be_asked_again() -> None:
    """The counts say what the code left open, so nothing can be issued twice."""
    why = answered({"coupons": coupons(2), "errors": [failure(722)], **counted(2, 3)}, asked=5).reason
    assert why is not None
    assert (why.klass, why.scope) == (RETRY, CUSTOMER)


def test_more_coupons_than_asked_are_all_recorded_and_flagged() -> None:
    """A surprise is never absorbed."""
    outcome = answered({"coupons": coupons(3), **counted(3, 0)}, asked=2)
    assert (outcome.state, len(outcome.coupons), outcome.held, outcome.reason) == (ISSUED, 3, 0, None)
    assert outcome.flags == ("more_than_asked",)


@pytest.mark.parametrize(
    ("body", "flags"),
    [
        ({"coupons": coupons(2), **counted(1, 1)}, ("counts_contradict",)),
        ({"coupons": coupons(2), "failureCount": 1}, ("counts_contradict",)),
        ({"coupons": coupons(2), "successCount": 2, "failureCount": 0, "totalCount": 3}, ("counts_contradict",)),
        ({"coupons": [*coupons(2), coupons(1)[0]], **counted(2, 0)}, ("repeated_coupon",)),
        ({"coupons": [*coupons(2), None], **counted(2, 0)}, ("unreadable_coupon",)),
        ({"coupons": coupons(2)}, ()),
    ],
)
def test_counts_that_contradict_the_list_are_flagged(body: dict[str, Any], flags: tuple[str, ...]) -> None:
    """The list wins; the contradiction is on record."""
    outcome = answered(body, asked=2)
    assert (outcome.state, len(outcome.coupons), outcome.held) == (ISSUED, 2, 0)
    assert outcome.flags == flags


# ── no coupons, no codes ─────────────────────────────────────────────────────────────────────────────────────────────

SILENT = [
    ("empty object", {}, "in_doubt 3 no_counts"),
    ("nulls", {"coupons": None, "errors": None, "warnings": None, "successCount": None}, "in_doubt 3 no_counts"),
    ("all zeros", counted(0, 0), "in_doubt 3 short_answer"),
    ("counted failures", counted(0, 3), "refused 0 unexplained"),
    ("some failures", {"failureCount": 2}, "in_doubt 1 short_answer"),
    ("success without coupons", counted(3, 0), "in_doubt 3 count_above_list"),
    ("success beside an error", counted(3, 0, errors=[failure(707)]), "in_doubt 3 count_above_list"),
    ("error without a code", {"errors": [{"message": "it went wrong"}]}, "in_doubt 3 no_counts"),
    ("null error", {"errors": [None]}, "in_doubt 3 no_counts"),
    ("an error that reports success", {"errors": [{"status": True, "code": 700}]}, "in_doubt 3 no_counts"),
    ("a status of success contradicts its code", {"errors": [{"status": True, "code": 5005}]}, "in_doubt 3 no_counts"),
    ("code 200 is no error", {"errors": [failure(200)], "code": 200}, "in_doubt 3 no_counts"),
    ("unknown code with counts", counted(0, 3, errors=[failure(722)]), "refused 0 722"),
    ("unknown code with some counts", {"failureCount": 1, "errors": [failure(722)]}, "in_doubt 2 722"),
    ("a coupon elsewhere", {"data": {"coupons": coupons(3)}}, "in_doubt 3 no_counts"),
    ("errors as an object", {"errors": failure(5005)}, "refused 0 5005"),
    ("errors by name", {"errors": {"0": failure(5005), "1": None}}, "refused 0 5005"),
    ("errors as a number", {"errors": 5005}, "refused 0 5005"),
    ("errors as text", {"errors": "went wrong"}, "in_doubt 3 no_counts"),
    ("an ended token at the top", {"code": 498, "message": "token"}, "refused 0 498"),
    ("an ended token in the status", {"status": {"success": False, "code": "498"}}, "refused 0 498"),
    ("a row's code at the top is none", {"code": 701}, "in_doubt 3 no_counts"),
]


@pytest.mark.parametrize(("body", "expected"), [row[1:] for row in SILENT], ids=[row[0] for row in SILENT])
def test_of_three_coupons_none_came(body: dict[str, Any], expected: str) -> None:
    """Nothing is refused that the answer does not prove refused."""
    state, held, code = expected.split()
    outcome = answered(body, asked=3)
    assert brief(outcome)[:4] == (state, 0, int(held), code)


STATUSES = [
    (401, XML, "refused 401 final run 0"), (401, {}, "refused 401 final run 0"), (498, XML, "refused 498 final run 0"),
    (403, HTML, "refused http_403 final run 0"), (404, HTML, "refused http_404 final run 0"),
    (404, {"status": 404, "error": "Not Found"}, "refused http_404 final run 0"),
    (405, HTML, "refused http_405 final run 0"), (413, HTML, "refused http_413 final run 0"),
    (415, XML, "refused http_415 final run 0"), (307, "", "refused redirect final run 0"),
    (308, {}, "refused redirect final run 0"), (400, HTML, "refused http_400 final run 0"),
    (422, "", "refused http_422 final run 0"), (400, {"message": "Bad"}, "refused no_code final row 3"),
    (422, {"errors": [{"message": "Bad"}]}, "refused no_code final row 3"), (409, HTML, "refused http_409 final row 3"),
    (429, HTML, "refused 429 retry run 0"), (429, {"message": "slow"}, "refused 429 retry run 0"),
    (503, {"errors": [failure(4001)]}, "refused 4001 retry run 0"), (503, {"code": 4001}, "refused 4001 retry run 0"),
    (503, HTML, "in_doubt http_503 unknown row 0"), (500, {"code": 401}, "in_doubt http_500 unknown row 0"),
    (500, counted(0, 2), "in_doubt http_500 unknown row 0"), (499, HTML, "in_doubt http_499 unknown row 0"),
    *((status, page, f"in_doubt http_{status} unknown row 0")
      for status in (100, 300, 301, 302, 303, 408, 500, 502, 504, 520, 521, 522, 523, 524, 599, 700)
      for page in (HTML, "", {"status": status, "error": "Odd"})),
    *((status, page, "in_doubt unreadable_answer unknown row 0")
      for status in (200, 201, 204)
      for page in (HTML, XML, "", "[]", "null", "7", '"x"', '{"coupons": [{"c', b"\xff{}")),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "expected"), STATUSES)
def test_without_a_code_the_status_decides(status: int, body: Any, expected: str) -> None:
    """What leaves the outcome open holds everything asked for; what refuses holds nothing."""
    state, *rest = expected.split()
    assert brief(answered(body, asked=2, status=status)) == (
        state, 0, 2 if state == "in_doubt" else 0, *rest[:3], int(rest[3]),
    )  # fmt: skip


def test_a_refusing_status_does_not_deny_what_the_body_counts() -> None:
    """400 with a success count is in doubt, not refused."""
    assert brief(answered(counted(1, 1), asked=2, status=400))[:3] == ("in_doubt", 0, 1)
    assert brief(answered({"coupons": [None]}, asked=2, status=401))[:3] == ("in_doubt", 0, 1)


# ── exchanges that broke ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["dns", "refused", "tls", "timeout", None])
def test_what_never_left_may_be_asked_again(kind: str | None) -> None:
    """No byte was written: nothing can have been issued."""
    outcome = classify(Exchange(left=False, failure=kind, detail="no route"), asked=5, table=TABLE)
    assert brief(outcome) == ("never_left", 0, 0, "not_reached", "retry", "run", 0)
    assert outcome.reason is not None
    assert outcome.reason.message == "no route"


def test_what_was_cancelled_before_it_left_says_nothing_about_the_network() -> None:
    """A stop is no reason to pause a run."""
    outcome = classify(Exchange(left=False, failure="cancelled"), asked=5, table=TABLE)
    assert brief(outcome) == ("never_left", 0, 0, "cancelled", "retry", "customer", 0)


@pytest.mark.parametrize(
    ("kind", "code"), [("timeout", "timeout"), ("reset", "connection_lost"), ("cancelled", "connection_lost")]
)
@pytest.mark.parametrize("status", [None, 200])
def test_a_lost_reply_holds_everything(kind: str, code: str, status: int | None) -> None:
    """An exchange that may have left and was not answered whole may have issued all."""
    lost = Exchange(left=True, status=status, body=b'{"coupons":[{"co', complete=False, failure=kind)
    assert brief(classify(lost, asked=5, table=TABLE))[:5] == ("in_doubt", 0, 5, code, "unknown")


def test_a_body_without_a_status_is_not_believed() -> None:
    """No status line, no answer."""
    odd = Exchange(left=True, status=None, body=json.dumps({"errors": [failure(707)]}).encode(), complete=True)
    assert brief(classify(odd, asked=1, table=TABLE))[:3] == ("in_doubt", 0, 1)


def test_an_object_that_came_whole_counts_although_the_transfer_broke_off() -> None:
    """The beginning of an object is never an object: only blanks can be missing."""
    body = json.dumps({"coupons": coupons(2), **counted(2, 0)}).encode() + b"   "
    cut = Exchange(left=True, status=200, body=body, complete=False, failure="too_large")
    assert classify(cut, asked=2, table=TABLE).state is ISSUED


def test_a_cut_body_leaves_the_decision_to_a_refusing_status() -> None:
    """401 is 401 with half a page."""
    cut = Exchange(left=True, status=401, body=XML.encode()[:20], complete=False, failure="reset")
    assert brief(classify(cut, asked=2, table=TABLE))[:4] == ("refused", 0, 0, "401")


# ── odd JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_digit_of_an_id_is_lost() -> None:
    """Ids beyond 64 bits, which fast parsers round, stay two coupons."""
    first, second = "123456789012345678901234567890", "123456789012345678901234567891"
    body = f'{{"coupons":[{{"code":"A","couponId":{first}}},{{"code":"B","couponId":{second}}}],"successCount":2}}'
    outcome = answered(body, asked=2)
    assert outcome.coupons == (Coupon(first, "A"), Coupon(second, "B"))


@pytest.mark.parametrize(
    "raw",
    [
        b'\xef\xbb\xbf{"coupons":[{"code":"A","couponId":"7"}]}',
        b'{"coupons":[{"code":" A ","couponId":7.0}]}',
        b'{"coupons":[{"code":"A","couponId":7,"rate":NaN}]}',
        b'{"coupons":[{"code":"A","couponId":7.0}],"big":1e999}',
    ],
)
def test_json_as_others_write_it_is_read(raw: bytes) -> None:
    """Byte order mark, NaN, numbers as text and text as numbers."""
    assert answered(raw).coupons == (Coupon("7", "A"),)


def test_a_character_set_that_the_header_names_is_honoured() -> None:
    """A name in Latin-1 does not put a coupon in doubt."""
    raw = '{"coupons":[{"code":"A","couponId":7}],"customer":{"firstName":"José"}}'.encode("latin-1")
    assert answered(raw).state is IN_DOUBT
    assert answered(raw, content_type="application/json; charset=ISO-8859-1").state is ISSUED


def test_text_can_always_be_stored_and_messages_are_one_bearable_line() -> None:
    """Lone surrogates and control characters are written out; a message is at most 300 characters."""
    outcome = answered(b'{"coupons":[{"code":"A\\ud800\\u0000","couponId":7}]}')
    assert outcome.coupons == (Coupon("7", "A\\ud800\\x00"),)
    why = answered({"errors": [failure(701, "no\n such \t customer " + "x" * 10_000)]}).reason
    assert why is not None
    assert why.message.startswith("no such customer xxx")
    assert len(why.message) == 300


def test_a_body_too_deep_to_parse_is_in_doubt() -> None:
    """No recursion error escapes."""
    assert brief(answered('{"coupons":' + "[" * 100_000, asked=2))[:3] == ("in_doubt", 0, 2)


# ── Retry-After ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("retry_after", "date", "seconds"),
    [
        ("30", None, 30.0), (" 7 ", None, 7.0), ("1.5", None, 1.5), ("0", None, 0.0),
        ("Mon, 23 Nov 2026 04:00:30 GMT", "Mon, 23 Nov 2026 04:00:00 GMT", 30.0),
        ("Mon, 23 Nov 2026 03:00:00 GMT", "Mon, 23 Nov 2026 04:00:00 GMT", 0.0),
        ("Mon, 23 Nov 2026 04:00:30 GMT", None, None), ("Mon, 23 Nov 2026 04:00:30 GMT", "yesterday", None),
        ("soon", "Mon, 23 Nov 2026 04:00:00 GMT", None), ("-5", None, None), ("nan", None, None), ("", None, None),
        ("9" * 400, None, None), ("Mon, 23 Nov 2026 04:00:30", "Mon, 23 Nov 2026 04:00:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_both_forms(retry_after: str, date: str | None, seconds: float | None) -> None:
    """A number of seconds, or a date against the answer's own Date; without one a date is ignored."""
    headers = {"retry-after": retry_after} | ({"date": date} if date else {})
    exchange = Exchange(left=True, status=429, headers=headers, complete=True)
    assert classify(exchange, asked=1, table=TABLE).retry_after_seconds == seconds
