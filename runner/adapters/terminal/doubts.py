"""Settled doubts as text: what became of each call, and why."""

from __future__ import annotations

from collections.abc import Sequence

from runner.adapters.terminal.texts import clean
from runner.core.model import CallState

_WORDS = {
    CallState.ISSUED: "issued",
    CallState.REFUSED: "not issued",
    CallState.IN_DOUBT: "in doubt",
}
_SHOWN = 50
"""Calls that a terminal gets one by one; the reports hold them all."""


def calls_text(calls: Sequence[tuple[str, int, CallState, str]]) -> str:
    """Two lines a call: what became of it, its series and key; and why."""
    lines = []
    for key, series, state, why in calls[:_SHOWN]:
        lines += [f"{_WORDS.get(state, state.value):<10}  series {series}  call {key}", f"            {clean(why)}"]
    if len(calls) > _SHOWN:
        lines.append(f"... and {len(calls) - _SHOWN:,} more: see in_doubt.csv of the run")
    return "\n".join(lines)
