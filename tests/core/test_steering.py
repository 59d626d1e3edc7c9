"""What a live run is by what it was told, and what it answers."""

from __future__ import annotations

import pytest

from runner.core.steering import (
    Command,
    Paused,
    Told,
    is_stale,
    pause_answer,
    paused,
    rate_answer,
    resume_answer,
    stop_answer,
)

ANN: dict[str, object] = {"user": "ann"}
BEN: dict[str, object] = {"user": "ben"}


def told(
    seq: int,
    command: Command,
    by: dict[str, object] = ANN,
    *,
    done_at: float | None = 0.0,
    answer: str | None = "yes",
) -> Told:
    """A word that was given and answered at its own number of seconds."""
    at = float(seq) if done_at == 0.0 else done_at
    return Told(seq=seq, command=command, argument="", at=float(seq), by=by, done_at=at, answer=answer)


PAUSE, RESUME = Command.PAUSE, Command.RESUME


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], None),
        ([told(5, PAUSE)], Paused("ann", 5.0)),
        ([told(5, PAUSE), told(6, PAUSE, BEN)], Paused("ann", 5.0)),
        ([told(5, PAUSE), told(6, RESUME), told(7, PAUSE, BEN)], Paused("ben", 7.0)),
        ([told(6, RESUME), told(5, PAUSE)], None),
        ([told(5, PAUSE), told(6, Command.SET_RATE)], Paused("ann", 5.0)),
        ([told(5, PAUSE, answer=None)], None),
        ([told(5, PAUSE, done_at=None, answer=None)], None),
        ([told(3, PAUSE)], None),
    ],
    ids=["nothing", "paused", "first counts", "again", "order", "other words", "taken back", "unheard", "before"],
)
def test_a_run_is_paused_by_who_paused_it_first_since_its_process_began(words, expected) -> None:
    """Words that were taken back or not heard, and those to an earlier process, count for nothing."""
    assert paused(words, since=4.0) == expected


def test_a_word_to_an_earlier_process_is_stale() -> None:
    """The process that goes on with the run must not stop because of it."""
    assert is_stale(told(3, Command.STOP), since=4.0)
    assert not is_stale(told(4, Command.STOP), since=4.0)


def test_a_run_says_what_a_word_did() -> None:
    """How many calls finish first; and that a word changed nothing."""
    ann = Paused("ann", 5.0)
    assert pause_answer(0, None) == "paused: no call is under way"
    assert pause_answer(1, None) == "paused: 1 call under way finishes first"
    assert pause_answer(3, None) == "paused: 3 calls under way finish first"
    assert pause_answer(3, ann) == "it was paused already, by ann"
    assert (resume_answer(ann), resume_answer(None)) == ("going on", "it was not paused")
    assert stop_answer(0, 25.0, stopping=False) == "stopping: no call is under way"
    assert stop_answer(1, 25.0, stopping=False) == "stopping: 1 call under way has 25 s to finish"
    assert stop_answer(2, 0.5, stopping=False) == "stopping: 2 calls under way have 0.5 s to finish"
    assert stop_answer(2, 25.0, stopping=True) == "it is stopping already"
    assert rate_answer("300/m", "100/m") == "the pace is 300/m now, 100/m before"
    assert rate_answer("none", "100/m") == "the pace is without a limit now, 100/m before"
