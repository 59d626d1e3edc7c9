"""What the answer to a customer look-up means: her id, nobody, or a reason why it cannot be told.

Owns the reading of one answer (API.md, "Reading"). Never guesses: an answer that is not clear says nothing about who
the customer is, and then her row cannot be used.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from runner.core.answer import one_line, read_answer
from runner.core.model import Exchange

NOT_FOUND = "8015"
"""The API knows nobody by this identifier."""

_TOKEN_ENDED = frozenset({"401", "498"})
_NO_ACCESS = frozenset({"403", "4000", "320001"})
_BUSY = frozenset({"429", "4001"})
_LATER = frozenset({408, 429})


class LookUp(NamedTuple):
    """What a look-up said. `customer`: her id, None for nobody or nothing. `problem`: why it cannot be told, else None.

    `again`: the same question may be answered later. `for_all`: every look-up would get this answer. `token_ended`: it
    may be answered under a new token.
    """

    customer: str | None
    problem: str | None
    again: bool = False
    for_all: bool = False
    token_ended: bool = False


NOBODY = LookUp(None, None)


def read_lookup(exchange: Exchange) -> LookUp:
    """The meaning of an exchange that asked for a customer's id. Raises nothing."""
    status = exchange.status
    if status is None or not exchange.complete:
        no_token = exchange.failure == "credentials"
        why = "the API gives no token" if no_token else f"no answer came ({exchange.failure or 'connection lost'})"
        return LookUp(None, why, again=not no_token, for_all=no_token)
    answer = read_answer(exchange.body, exchange.headers)
    entries = (*answer.errors, *answer.warnings, *answer.general) if answer is not None else ()
    codes = {entry.code for entry in entries if entry.code}
    shown = ", ".join(sorted(codes)) or f"HTTP {status}"
    message = next((one_line(entry.message) for entry in entries if entry.message), "")
    said = f"{shown}: {message}" if message else shown
    if status in (401, 498) or codes & _TOKEN_ENDED:
        return LookUp(None, f"the API refuses the credentials ({said})", for_all=True, token_ended=True)
    if (status in (403, 404, 405) and NOT_FOUND not in codes) or codes & _NO_ACCESS:
        return LookUp(None, f"these credentials have no access to the look-up ({said})", for_all=True)
    if status in _LATER or status >= 500 or codes & _BUSY:
        return LookUp(None, f"the API did not answer the question ({said})", again=True)
    customer = _customer_id(exchange.body)
    errors = {entry.code for entry in answer.errors} if answer is not None else set()
    if NOT_FOUND in codes and customer is None and errors <= {NOT_FOUND}:
        return NOBODY
    if customer is not None and 200 <= status < 300 and not errors:
        return LookUp(customer, None)
    return LookUp(None, f"the API's answer cannot be read ({said})")


def _customer_id(body: bytes) -> str | None:
    """The id that the answer's `entity` holds, as text; None when it holds none that is a positive whole number."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    entity = parsed.get("entity") if isinstance(parsed, dict) else None
    if isinstance(entity, dict):
        entity = entity.get("id")
    text = str(entity) if isinstance(entity, int | str) and not isinstance(entity, bool) else ""
    text = text.strip()
    return text if text.isascii() and text.isdigit() and text[0] != "0" and len(text) <= 19 else None
