"""When a run ends, and which limit decides it."""

from __future__ import annotations

import pytest

from runner.core.forecast import (
    DONE,
    NOT_KNOWN,
    Ahead,
    Forecast,
    Limit,
    Parked,
    answers_per_second,
    decided_words,
    forecast,
)


def ahead(calls: float = 600, pace: float | None = None, answers: float | None = None, **more: object) -> Ahead:
    return Ahead(calls=calls, pace_per_second=pace, answers_per_second=answers, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "seconds", "decides"),
    [
        (ahead(pace=100 / 60), 360, "pace"),
        (ahead(pace=100 / 60, answers=50), 360, "pace"),
        (ahead(pace=50, answers=10), 60, "answers"),
        (ahead(answers=20), 30, "answers"),
        (ahead(pace=10, answers=9.5), 60, "pace"),
        (ahead(pace=10, parked=[Parked(7, 30), Parked(8, 90)]), 90, "series 8"),
        (ahead(pace=10, parked=[Parked(7, 30)]), 60, "pace"),
        (ahead(0, pace=1, parked=[Parked(7, -5)]), 0, ""),
        (ahead(10, pace=1, doubts=20), 70, "reads"),
        (ahead(100, pace=1, doubts=20), 160, "pace"),
        (ahead(pace=1, open_seconds=300), 300, "hours"),
        (ahead(pace=10, open_seconds=300), 60, "pace"),
        (ahead(open_seconds=300), 300, "hours"),
        (ahead(0), 0, ""),
    ],
    ids=lambda value: None if isinstance(value, Ahead) else str(value),
)
def test_the_longest_part_decides(given: Ahead, seconds: float, decides: str) -> None:
    """Calls beside parked series, then the reads; a guard's hours before all that."""
    found = forecast(given)
    assert found.seconds == pytest.approx(seconds)
    assert str(found) == decides


def test_without_a_pace_and_before_the_first_answer_nobody_knows() -> None:
    """And nothing is guessed; with nothing to do it is over."""
    assert forecast(ahead()) == NOT_KNOWN
    assert forecast(ahead(0)) == DONE
    assert str(NOT_KNOWN) == ""


@pytest.mark.parametrize(
    ("pace", "calls", "expected"),
    [
        (None, 300, 30.0),  # as seen: 300 calls in 10 s
        (100.0, 300, 30.0),  # the pace would allow more
        (31.0, 300, 160.0),  # the pace held them back: 16 at once, 0.1 s each
        (None, 5, 160.0),  # too few to conclude from
    ],
)
def test_how_fast_calls_are_answered_is_what_was_seen_unless_the_pace_held_them_back(pace, calls, expected) -> None:
    """Then, and before enough was seen, it follows from concurrency and latency."""
    found = answers_per_second(concurrency=16, latency_seconds=0.1, pace_per_second=pace, calls=calls, seconds=10.0)
    assert found == pytest.approx(expected)


def test_without_a_latency_it_is_not_known_how_fast_calls_are_answered() -> None:
    """Nobody divides by nothing."""
    assert answers_per_second(concurrency=16, latency_seconds=None, pace_per_second=1.0, calls=0, seconds=0.0) is None


def test_people_read_what_decides() -> None:
    """One sentence for each limit, and none for nothing."""
    told = [decided_words(str(Forecast(1.0, limit, 7 if limit is Limit.SERIES else None))) for limit in Limit]
    assert told == [
        "decided by the pace",
        "decided by how fast calls are answered",
        "when series 7 gives up waiting, at the latest",
        "decided by the reads that settle what is in doubt",
        "when its hours end; the rest is left",
    ]
    assert decided_words("") == ""
