"""The invariant of an order, and the table that owns a call's states.

    missing = max(0, target − issued − in doubt)            only `missing` may ever be asked for

Planning, retry, resume, re-run and reports all read `missing_of`; nothing else computes it.
"""

from __future__ import annotations

from collections.abc import Mapping

from runner.core.model import MAX_PER_CALL, CallState

ALLOWED: Mapping[CallState, frozenset[CallState]] = {
    CallState.SENDING: frozenset({CallState.ISSUED, CallState.REFUSED, CallState.NEVER_LEFT, CallState.IN_DOUBT}),
    CallState.IN_DOUBT: frozenset({CallState.ISSUED, CallState.REFUSED}),
    CallState.REFUSED: frozenset({CallState.ISSUED}),
    CallState.ISSUED: frozenset(),
    CallState.NEVER_LEFT: frozenset(),
}
"""From a state to those that may follow. Leaving IN_DOUBT needs proof (a late answer is proof) or a person's recorded
word; REFUSED becomes ISSUED when a later read finds the coupon."""

ALLOWED_BY_READ: Mapping[CallState, frozenset[CallState]] = {
    CallState.IN_DOUBT: frozenset({CallState.ISSUED, CallState.REFUSED, CallState.IN_DOUBT}),
    CallState.REFUSED: frozenset({CallState.ISSUED}),
    CallState.ISSUED: frozenset({CallState.ISSUED}),
}
"""What a read of the API, or a person's recorded word, may change of a call that nobody is posting any more: a part of
a doubt is found and the rest stays in doubt; a coupon appears after the call was settled without it."""


def missing_of(target: int, issued: int, held: int) -> int:
    """How many coupons may still be asked for: never below 0, never what is issued or in doubt."""
    return max(0, target - issued - held)


def next_quantity(target: int, issued: int, held: int) -> int:
    """What the order's next call asks for: what is missing, at most 500; 0 when nothing is."""
    return min(MAX_PER_CALL, missing_of(target, issued, held))


def calls_for(missing: int) -> int:
    """How many calls it takes when all goes well: 1,200 → 3 (500, 500, 200)."""
    return -(-missing // MAX_PER_CALL)
