"""Reading a POST to the issue endpoint: what it asks for, or why it cannot be read.

Stricter than the real API may be, so that a client's mistake is loud here and not first seen there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from runner.sandbox.answers import COUNT_ABOVE_ZERO, Answer, error_answer, gateway_json

ISSUE_PATH = "/v2/coupon/issue/multiple"
MOST_COUPONS = 500
IDENTIFIERS = ("mobile", "email", "externalId", "id")
METADATA_LENGTHS = {"sourceType": 50, "sourceId": 50, "sourceActivity": 50, "notes": 250, "reason": 250}
"""What metadata may hold, with the most characters of each."""


@dataclass(slots=True)
class Ask:
    """One issue call. ``refusal`` is the answer when it cannot be carried out as it was written."""

    request_id: str | None = None
    source_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    kind: str = ""
    value: str = ""
    series_id: int = 0
    count: int = 1
    refusal: Answer | None = None

    @property
    def who(self) -> str | None:
        """The customer as named by the call."""
        return f"{self.kind}:{self.value}" if self.kind else None


def read_ask(raw: bytes, request_id: str | None) -> Ask:
    """Read a body; the order of the checks decides which error is told first (inferred)."""
    ask = Ask(request_id=request_id)
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        ask.refusal = _bad("JSON parse error: the body is no JSON document")
        return ask
    if not isinstance(body, dict):
        ask.refusal = _bad("JSON parse error: the body is no object")
        return ask
    unreadable = _metadata(ask, body) or _customer(ask, body) or _series(ask, body) or _count(ask, body)
    ask.refusal = unreadable or _codes(ask, body)
    return ask


def canonical(kind: str, value: str) -> str:
    """The form under which an identifier is kept: e-mail addresses in lower case."""
    return value.lower() if kind == "email" else value


def well_formed(kind: str, value: str) -> bool:
    """Whether the API could know an identifier of this form at all."""
    if kind == "mobile":
        return value.isascii() and value.isdigit() and len(value) <= 32
    if kind == "email":
        return len(value) <= 255 and "@" in value.strip("@") and not any(char.isspace() for char in value)
    if kind == "id":
        return value.isascii() and value.isdigit() and len(value) <= 15
    return 0 < len(value) <= 255 and value == value.strip()


def as_whole(value: object) -> int | None:
    """A value of JSON as a whole number that the API could keep (64 bits, signed; 2.0 is 2); ``None`` for any other."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if -(2**63) < value < 2**63 else None


def read_customer(customer: object) -> tuple[str, str] | str:
    """The identifier of a ``customer`` object as (kind, value), both empty when it names nobody; else what is wrong."""
    if customer is None or customer == {}:
        return "", ""
    if not isinstance(customer, dict) or len(customer) != 1 or next(iter(customer)) not in IDENTIFIERS:
        return "customer must hold exactly one of mobile, email, externalId"
    ((kind, value),) = customer.items()
    if kind == "id" and (number := as_whole(value)) is not None:
        value = str(number)
    if not isinstance(value, str):
        return f"customer.{kind} must be text"
    return (kind, canonical(kind, value)) if well_formed(kind, value) else ("", "")


def _bad(message: str) -> Answer:
    return gateway_json(400, "Bad Request", ISSUE_PATH, message)


def _metadata(ask: Ask, body: dict[str, Any]) -> Answer | None:
    metadata = body.get("metadata")
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        return _bad("metadata must be an object")
    for name, value in metadata.items():
        if name not in METADATA_LENGTHS:
            return _bad(f"metadata.{name} is not known")
        if not isinstance(value, str) or len(value) > METADATA_LENGTHS[name]:
            return _bad(f"metadata.{name} must be text of at most {METADATA_LENGTHS[name]} characters")
    ask.metadata = metadata
    ask.source_id = metadata.get("sourceId")
    return None


def _customer(ask: Ask, body: dict[str, Any]) -> Answer | None:
    found = read_customer(body.get("customer"))
    if isinstance(found, str):
        return _bad(found)
    ask.kind, ask.value = found  # one that names nobody is told after series and count, as 701
    return None


def _series(ask: Ask, body: dict[str, Any]) -> Answer | None:
    series = body.get("seriesId")
    if series is None:
        return None  # told after what cannot be meant, as 756
    found = as_whole(series)
    if found is None:
        return _bad("seriesId must be one integer")
    ask.series_id = found
    return None


def _count(ask: Ask, body: dict[str, Any]) -> Answer | None:
    count = body.get("count")
    found = 1 if count is None else as_whole(count)
    if found is None:
        return _bad("count must be an integer")
    ask.count = found
    return None


def _codes(ask: Ask, body: dict[str, Any]) -> Answer | None:
    """What can be meant and is refused with a code."""
    if body.get("seriesId") is None:
        return error_answer(756)
    if not 0 < ask.series_id < 2**53:
        return error_answer(707)
    if ask.count == 0:
        return error_answer(756, COUNT_ABOVE_ZERO)
    if not 1 <= ask.count <= MOST_COUPONS:
        return error_answer(677)
    return None if ask.kind else error_answer(701)
