"""The state of a live run in words, for the bar and for plain lines."""

from __future__ import annotations

from datetime import tzinfo

from runner.adapters.terminal.texts import clock_time, listed, pace
from runner.core.codes import CodeTable
from runner.core.forecast import decided_words
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
    if beat.state == "paused":
        since = "" if beat.paused_since is None else f" since {clock_time(beat.paused_since, wall, zone)}"
        return f"after somebody lets it go on (paused by {beat.paused_by}{since})"
    if beat.eta_seconds is None:
        return "not known yet"
    if beat.eta_seconds <= 0:
        return ""
    if beat.eta_seconds < 1:
        return "in a moment"
    end = f"about {clock_time(wall + beat.eta_seconds, wall, zone)} (in {duration(beat.eta_seconds)})"
    decided = decided_words(beat.decided_by)
    return f"{end}, {decided}" if decided else end


def waiting_texts(beat: Beat, codes: CodeTable, wall: float, zone: tzinfo | None) -> list[str]:
    """Which series wait, since when and how long; those without times by reason. The first few, and how many more."""
    timed = [one for one in beat.waiting if one.since is not None and one.until is not None]
    if timed and len(timed) == len(beat.waiting):
        texts = [
            f"series {one.series} {_why(one.code, codes)} since {clock_time(one.since or 0, wall, zone)},"
            f" gives up {clock_time(one.until or 0, wall, zone)}"
            for one in timed[:SERIES_SHOWN]
        ]
        more = len(timed) - SERIES_SHOWN
        return [*texts, f"and {more:,} more series"] if more > 0 else texts
    by_code: dict[str, list[str]] = {}
    for one in beat.waiting:
        by_code.setdefault(one.code, []).append(str(one.series))
    groups = sorted(by_code.items(), key=lambda item: -len(item[1]))
    texts = [
        f"series {listed(series, SERIES_SHOWN)}" + (f": {codes.meaning(code).rstrip('.')} ({code})" if code else "")
        for code, series in groups[:REASONS_SHOWN]
    ]
    more = sum(len(series) for _, series in groups[REASONS_SHOWN:])
    return [*texts, f"and {more:,} more series"] if more else texts


def _why(code: str, codes: CodeTable) -> str:
    """ "empty", or what another code means."""
    return "empty" if code in ("5005", "") else f"waits ({codes.meaning(code).rstrip('.')}, {code})"
