"""What holds for every answer: no exception, sums that fit, and never "refused" for what may have been issued."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from runner.core.classify import classify
from runner.core.codes import TWINS, CodeTable
from runner.core.model import CallState, CodeClass, Exchange, Outcome

TABLE = CodeTable.default()
STATUSES = st.one_of(
    st.none(),
    st.sampled_from([200, 201, 204, 301, 307, 400, 401, 403, 404, 408, 429, 500, 503, 504]),
    st.integers(0, 999),
)
CODES = st.one_of(
    st.sampled_from([5005, 5004, 521, 707, 713, 701, 722, 748, 401, 4001, 700, 200, 0]),
    st.sampled_from([*TABLE.rules, *TWINS]), st.integers(-5, 10**6), st.floats(), st.text(max_size=5),
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(["5", 5.0, "", 0, -1])
)
COUNTS = st.one_of(st.integers(-2, 12), SCALARS)
ENTRY = st.one_of(
    SCALARS,
    st.fixed_dictionaries({}, optional={"code": st.one_of(CODES, SCALARS), "message": SCALARS, "status": SCALARS}),
)
COUPON = st.one_of(
    SCALARS,
    st.fixed_dictionaries({"code": st.one_of(st.sampled_from("ABC"), SCALARS)}, optional={"couponId": SCALARS}),
    st.fixed_dictionaries({"couponId": st.integers(1, 9), "code": st.sampled_from("ABC")}),
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "coupons": st.one_of(st.lists(COUPON, max_size=6), COUPON, JSON),
        "errors": st.one_of(st.lists(ENTRY, max_size=3), ENTRY, JSON),
        "warnings": st.one_of(st.lists(ENTRY, max_size=3), ENTRY, JSON),
        "successCount": COUNTS, "failureCount": COUNTS, "totalCount": COUNTS,
        "customer": st.one_of(JSON, st.fixed_dictionaries({"id": SCALARS, "profiles": JSON})),
        "code": CODES, "status": JSON, "message": SCALARS,
    },
)  # fmt: skip


def classified(body: bytes, status: int | None, asked: int, *, complete: bool = True) -> Outcome:
    """The outcome of an exchange that left."""
    exchange = Exchange(left=True, status=status, body=body, complete=complete)
    return classify(exchange, asked=asked, table=TABLE)


def assert_sound(outcome: Outcome, asked: int) -> None:
    """What `model.Outcome` promises."""
    known = len(outcome.coupons)
    assert 0 <= outcome.held <= asked
    if known + outcome.held > asked:
        assert "more_than_asked" in outcome.flags
        assert outcome.held == 0
    if outcome.held:
        assert outcome.state is CallState.IN_DOUBT
    elif known:
        assert outcome.state is CallState.ISSUED
    else:
        assert outcome.state is CallState.REFUSED
    assert (outcome.reason is None) == (known >= asked)
    ids = [coupon.id for coupon in outcome.coupons if coupon.id]
    assert len(ids) == len(set(ids))
    json.dumps(repr(outcome)).encode()  # storable: no lone surrogate anywhere
    for text in (*outcome.codes, *(part for coupon in outcome.coupons for part in coupon)):
        text.encode()
    if outcome.reason:
        outcome.reason.message.encode()
        assert outcome.reason.message
        assert outcome.held or outcome.reason.klass is not CodeClass.UNKNOWN


@given(body=BODIES, status=STATUSES, asked=st.integers(1, 8))
def test_any_json_object_at_any_status_gives_a_sound_outcome(
    body: dict[str, Any], status: int | None, asked: int
) -> None:
    """Nulls anywhere, wrong types, codes of any class, counts that lie."""
    assert_sound(classified(json.dumps(body).encode(), status, asked), asked)


@given(body=JSON, status=STATUSES, asked=st.integers(1, 8))
def test_any_json_at_any_status_gives_a_sound_outcome(body: Any, status: int | None, asked: int) -> None:
    """Arrays, numbers and text where an object should be."""
    assert_sound(classified(json.dumps(body).encode(), status, asked), asked)


@given(
    body=st.one_of(st.binary(max_size=40), st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace"))),
    status=STATUSES, asked=st.integers(1, 500), complete=st.booleans(),
)  # fmt: skip
def test_any_bytes_at_any_status_give_a_sound_outcome(
    body: bytes, status: int | None, asked: int, complete: bool
) -> None:
    """Never an exception; an accepted call that cannot be read is in doubt as a whole."""
    outcome = classified(body, status, asked, complete=complete)
    assert_sound(outcome, asked)
    if status is None or (200 <= status < 300 and not body.strip().startswith(b"{")):
        assert outcome.held == asked


@given(body=BODIES, status=st.sampled_from([200, 201, 400, 500]), asked=st.integers(1, 8), cut=st.integers(1, 60))
def test_a_cut_object_is_never_read_as_a_refusal_of_an_accepted_call(
    body: dict[str, Any], status: int, asked: int, cut: int
) -> None:
    """The beginning of an object is no object."""
    raw = json.dumps(body).encode()
    outcome = classified(raw[: max(0, len(raw) - cut)], status, asked, complete=False)
    if status < 300:
        assert (outcome.state, outcome.held) == (CallState.IN_DOUBT, asked)


class Told(NamedTuple):
    """An exchange, and how many coupons the API had really issued when it said so."""

    exchange: Exchange
    asked: int
    issued: int


LISTED = [code for code, rule in TABLE.rules.items() if code.isdigit() and rule.klass is not CodeClass.UNKNOWN]
OPEN = [code for code, rule in TABLE.rules.items() if code.isdigit() and rule.klass is CodeClass.UNKNOWN]
OPEN_STATUSES = [301, 302, 303, 408, 500, 502, 503, 504, 520, 522, 524, 599]


@st.composite
def tellings(draw: st.DrawFn) -> Told:
    """Whatever the documents say that an API, its gateway and the network can make of a truth.

    Honest where it is certain: a listed coupon exists, a success count is the number issued, a failure count the number
    not issued, a code that explains is only given when something is missing. Everything else may be left out or lost.
    """
    asked = draw(st.integers(1, 8))
    issued = draw(st.integers(0, asked))
    how = draw(st.sampled_from(["body", "body", "body", "lost", "page", "open_json", "refusal"]))
    if how == "lost":
        failure = draw(st.sampled_from(["timeout", "reset", "protocol", "too_large", "cancelled"]))
        status = draw(st.sampled_from([None, 200, 502]))
        return Told(
            Exchange(left=True, status=status, body=draw(st.sampled_from([b"", b'{"cou'])), failure=failure),
            asked,
            issued,
        )
    if how == "page":
        status = draw(st.sampled_from([200, 201, 202, *OPEN_STATUSES]))
        return Told(Exchange(left=True, status=status, body=b"<html>", complete=True), asked, issued)
    if how == "refusal":
        status = draw(st.sampled_from([307, 308, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 498]))
        return Told(
            Exchange(left=True, status=status, body=draw(st.sampled_from([b"", b"{}", b"<x/>"])), complete=True),
            asked,
            0,
        )
    if how == "open_json":
        body: dict[str, Any] = draw(
            st.sampled_from([{}, {"error": "Odd"}, {"errors": [{"code": 31337}]}, {"code": 401}])
        )
        if draw(st.booleans()):
            body = body | {"successCount": 0, "failureCount": 0, "totalCount": 0}
        status = draw(st.sampled_from(OPEN_STATUSES))
        return Told(Exchange(left=True, status=status, body=json.dumps(body).encode(), complete=True), asked, issued)
    return Told(_told_in_a_body(draw, asked, issued), asked, issued)


def _told_in_a_body(draw: st.DrawFn, asked: int, issued: int) -> Exchange:
    body: dict[str, Any] = {}
    listed = draw(st.one_of(st.just(issued), st.integers(0, issued)))
    coupons: list[Any] = [{"code": f"C{n}", "couponId": 100 + n} for n in range(listed)]
    truthful_about_all = listed == issued
    if not truthful_about_all and draw(st.booleans()):
        # An unlisted coupon shows as something that cannot be read.
        odd = st.sampled_from([None, {}, "C9", {"code": None}])
        coupons += [draw(odd) for _ in range(issued - listed)]
        truthful_about_all = True
    if draw(st.booleans()) and coupons:
        coupons.append(coupons[0])
    if draw(st.booleans()) or coupons:
        body["coupons"] = coupons
    counts = draw(st.sampled_from(["none", "success", "failure", "all", "total"]))
    if counts in ("success", "all"):
        body["successCount"] = draw(st.sampled_from([issued, str(issued), float(issued)]))
    if counts in ("failure", "all"):
        body["failureCount"] = asked - issued
    if counts in ("total", "all"):
        body["totalCount"] = asked
    tells = truthful_about_all or counts in ("success", "all")
    if issued < asked and tells and draw(st.booleans()):
        # A code that explains comes with the truth about what was issued: a list, a count, or elements one can see.
        code = draw(st.sampled_from(LISTED))
        where = "warnings" if code in TWINS.values() and draw(st.booleans()) else "errors"
        body.setdefault(where, []).append({"status": False, "code": draw(st.sampled_from([code, int(code)]))})
    if draw(st.booleans()):
        body.setdefault("errors", []).append({"code": draw(st.sampled_from(OPEN)), "message": "could not finish"})
    if draw(st.booleans()):
        body.setdefault("errors", []).append(None)
    if issued and "coupons" in body and listed and draw(st.booleans()):
        body.setdefault("errors", []).append({"code": 31337})
    status = draw(st.sampled_from([200, 200, 201, *OPEN_STATUSES] + [400, 422] * (listed > 0)))
    return Exchange(left=True, status=status, body=json.dumps(body).encode(), complete=True)


@given(told=tellings())
def test_nothing_that_may_have_been_issued_is_ever_called_refused(told: Told) -> None:
    """For any truth and any way of telling it: known ≤ issued ≤ known + held."""
    outcome = classify(told.exchange, asked=told.asked, table=TABLE)
    assert_sound(outcome, told.asked)
    known = len(outcome.coupons)
    assert known <= told.issued <= known + outcome.held
    if outcome.state in (CallState.REFUSED, CallState.NEVER_LEFT):
        assert told.issued == 0


@given(asked=st.integers(1, 500), status=st.sampled_from([200, 201, 202]), counts=st.booleans(), warned=st.booleans())
def test_all_that_was_asked_for_is_issued(asked: int, status: int, counts: bool, warned: bool) -> None:
    """A 2xx that lists as many coupons as were asked for needs nothing else, warnings or not."""
    body: dict[str, Any] = {"coupons": [{"code": "C", "couponId": n} for n in range(1, asked + 1)]}
    if counts:
        body |= {"successCount": asked, "failureCount": 0, "totalCount": asked}
    if warned:
        body["warnings"] = [{"code": 748}]
    outcome = classified(json.dumps(body).encode(), status, asked)
    assert (outcome.state, len(outcome.coupons), outcome.held, outcome.reason) == (CallState.ISSUED, asked, 0, None)
    assert outcome.flags == ()
