"""A process killed at any moment has issued nothing twice and lost nothing. More seeds and kills: `make soak`."""

from __future__ import annotations

from tests.acceptance.killing import kill_trial


def test_eight_kills_issue_nothing_twice_and_lose_nothing(desk):
    """120 orders, 15 % lost or late answers, 25 % short or empty queues, SIGKILL and `resume`, looks beside it.

    No customer holds more than the target, no call is posted twice, and for every order
    issued ≤ truth ≤ issued + in doubt.
    """
    figures = kill_trial(desk, seed=7, kills=8)
    assert figures.kills == 8
    assert figures.looks > 3
