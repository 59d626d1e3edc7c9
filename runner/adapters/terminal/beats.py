"""The state of a live run in words, for the bar and for plain lines."""

from __future__ import annotations

from datetime import tzinfo

from runner.adapters.terminal.texts import clock_time, listed, pace
from runner.core.codes import CodeTable
from runner.core.wording import counted, duration
from runner.ports import Beat

SERIES_SHOWN = 3
REASONS_SHOWN = 3


def coupons_text(beat: Beat) -> str:
    """How many coupons of how many."""
    return f"{beat.issued:,} of {counted(beat.target, 'coupon')} issued"


def figures(beat: Beat) -> list[str]:
    """The numbers beside it, each with its word."""
    parts = [f"in doubt {beat.in_doubt:,}", f"failed orders {beat.failed_orders:,}", pace(beat.calls_per_second)]
    return [*parts, f"{counted(beat.in_flight, 'call')} under way"] if beat.state == "finishing" else parts


def end_text(beat: Beat, wall: float, zone: tzinfo | None) -> str:
    """When it will end, as far as anybody knows; "" when nothing is left to wait for."""
    if beat.state == "finishing":
        return "when the calls under way are answered" if beat.in_flight else ""
    if beat.state == "pausing":
        return "not known while it pauses"
    if beat.eta_seconds is None:
        return "not known yet"
    if beat.eta_seconds <= 0:
        return ""
    if beat.eta_seconds < 1:
        return "in a moment"
    return f"about {clock_time(wall + beat.eta_seconds, wall, zone)} (in {duration(beat.eta_seconds)})"


def waiting_texts(beat: Beat, codes: CodeTable) -> list[str]:
    """Which series wait and why, those with one reason together; the first few of each, and how many more."""
    by_code: dict[str, list[str]] = {}
    for series, code in beat.waiting:
        by_code.setdefault(code, []).append(str(series))
    groups = sorted(by_code.items(), key=lambda item: -len(item[1]))
    texts = [
        f"series {listed(series, SERIES_SHOWN)}" + (f": {codes.meaning(code).rstrip('.')} ({code})" if code else "")
        for code, series in groups[:REASONS_SHOWN]
    ]
    more = sum(len(series) for _, series in groups[REASONS_SHOWN:])
    return [*texts, f"and {more:,} more series"] if more else texts
