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
_METADATA_LENGTHS = {"sourceType": 50, "sourceId": 50, "sourceActivity": 50, "notes": 250, "reason": 250}


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
    ask.refusal = _metadata(ask, body) or _customer(ask, body) or _series(ask, body) or _count(ask, body)
    if ask.refusal is None and not ask.kind:
        ask.refusal = error_answer(701)
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


def _bad(message: str) -> Answer:
    return gateway_json(400, "Bad Request", ISSUE_PATH, message)


def _metadata(ask: Ask, body: dict[str, Any]) -> Answer | None:
    metadata = body.get("metadata")
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        return _bad("metadata must be an object")
    for name, value in metadata.items():
        if name not in _METADATA_LENGTHS:
            return _bad(f"metadata.{name} is not known")
        if not isinstance(value, str) or len(value) > _METADATA_LENGTHS[name]:
            return _bad(f"metadata.{name} must be text of at most {_METADATA_LENGTHS[name]} characters")
    ask.metadata = metadata
    ask.source_id = metadata.get("sourceId")
    return None


def _customer(ask: Ask, body: dict[str, Any]) -> Answer | None:
    customer = body.get("customer")
    if customer is None or customer == {}:
        return None  # told after series and count, as 701
    if not isinstance(customer, dict) or len(customer) != 1 or next(iter(customer)) not in IDENTIFIERS:
        return _bad("customer must hold exactly one of mobile, email, externalId")
    ((kind, value),) = customer.items()
    if kind == "id" and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return _bad(f"customer.{kind} must be text")
    if well_formed(kind, value):
        ask.kind, ask.value = kind, canonical(kind, value)
    return None  # one that is not well formed names nobody: 701


def _series(ask: Ask, body: dict[str, Any]) -> Answer | None:
    series = body.get("seriesId")
    if series is None:
        return error_answer(756)
    if isinstance(series, bool) or not isinstance(series, int):
        return _bad("seriesId must be one integer")
    if not 0 < series < 2**53:
        return error_answer(707)
    ask.series_id = series
    return None


def _count(ask: Ask, body: dict[str, Any]) -> Answer | None:
    count = body.get("count", 1)
    if count is None:
        return None
    if isinstance(count, bool) or not isinstance(count, int):
        return _bad("count must be an integer")
    if count == 0:
        return error_answer(756, COUNT_ABOVE_ZERO)
    if not 1 <= count <= MOST_COUPONS:
        return error_answer(677)
    ask.count = count
    return None
