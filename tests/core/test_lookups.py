"""What the answer to a customer look-up means: her id, nobody, or why it cannot be told; never a guess."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.lookups import NOBODY, LookUp, read_lookup
from runner.core.model import Exchange


def _answer(body: Any, status: int = 200, **facts: Any) -> LookUp:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    seen: dict[str, Any] = {"left": True, "status": status, "body": raw, "complete": True} | facts
    return read_lookup(Exchange(**seen))


def _errors(*codes: object) -> dict[str, Any]:
    return {"entity": None, "errors": [{"code": code, "message": "Said so", "status": False} for code in codes]}


@pytest.mark.parametrize("entity", [77, "77", {"id": 77}, {"id": "77", "firstname": "A"}])
def test_the_entity_of_an_answer_is_the_customers_id(entity: object):
    """API.md: {"entity": <customer id>, "warnings": []}."""
    assert _answer({"entity": entity, "warnings": []}) == LookUp("77", None)


@pytest.mark.parametrize("code", [8015, "8015", 8015.0])
def test_8015_says_that_the_api_knows_nobody_by_this_name(code: object):
    """Then the row stays as it is."""
    assert _answer(_errors(code)) == NOBODY
    assert _answer(_errors(code), status=404) == NOBODY


@pytest.mark.parametrize(
    "body",
    [
        {"entity": None},
        {"entity": 0},
        {"entity": -1},
        {"entity": True},
        {"entity": 7.5},
        {"entity": "a7"},
        {"entity": [7]},
        {"entity": 10**30},
        {},
        [],
        {"entity": 7, "errors": [{"code": 999, "message": "no"}]},
        {"entity": 7, "errors": [{"code": 8015, "message": "no"}]},
        _errors(8015, 999),
        b"",
        b"<html></html>",
        b'{"entity": 7',
        b"\xff\xfe",
    ],
)
def test_an_answer_that_is_not_clear_says_nothing_about_the_customer(body: object):
    """A wrong id would make one person of two."""
    found = _answer(body)
    assert found.customer is None
    assert found.problem is not None
    assert "cannot be read" in found.problem


@pytest.mark.parametrize(("status", "body"), [(403, {}), (404, b"gone"), (405, {}), (200, _errors(4000))])
def test_without_access_no_customer_can_be_looked_up(status: int, body: object):
    """Every other look-up would get this answer too."""
    found = _answer(body, status)
    assert found.for_all
    assert not found.again
    assert "no access" in str(found.problem)


@pytest.mark.parametrize(("status", "body"), [(401, b"<xml/>"), (498, {}), (200, _errors(498)), (200, _errors(401))])
def test_an_ended_token_may_be_renewed_before_the_look_ups_are_given_up(status: int, body: object):
    """One new token, then the same question."""
    found = _answer(body, status)
    assert (found.token_ended, found.for_all) == (True, True)


@pytest.mark.parametrize(
    ("status", "body"), [(429, {}), (408, {}), (500, {}), (503, {}), (504, b"x"), (200, _errors(429))]
)
def test_a_read_that_found_the_api_busy_may_be_asked_again(status: int, body: object):
    """It is a read: nothing is issued by asking twice."""
    found = _answer(body, status)
    assert (found.again, found.for_all, found.customer) == (True, False, None)


@pytest.mark.parametrize("facts", [{"status": None}, {"complete": False}, {"status": None, "failure": "timeout"}])
def test_a_lost_answer_may_be_asked_for_again(facts: dict[str, Any]):
    """Whatever part of the body came counts for nothing."""
    found = _answer({"entity": 77}, **facts) if "status" not in facts else read_lookup(Exchange(left=True, **facts))
    assert found.again
    assert found.customer is None


def test_no_token_at_all_ends_the_look_ups():
    """The API grants none."""
    found = read_lookup(Exchange(left=False, failure="credentials"))
    assert (found.for_all, found.again) == (True, False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([8015, "8015", 77]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["entity", "errors", "warnings", "code", "id", "message"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(body=JSON, status=st.sampled_from([200, 201, 302, 400, 401, 404, 429, 500, 503]), complete=st.booleans())
def test_whatever_comes_is_an_id_or_nobody_or_a_reason(body: object, status: int, complete: bool):
    """Exactly one of the three, and nothing is raised."""
    found = _answer(json.dumps(body).encode(), status, complete=complete)
    assert found.customer is None or (found.customer.isdigit() and found.customer[0] != "0")
    assert (found.customer is None) or (found.problem is None and status < 300 and complete)
    assert found.problem is not None or found.customer is not None or found == NOBODY
