"""Events replayed: what they add up to, and what they cannot have meant."""

from __future__ import annotations

from typing import Any

import pytest

from runner.core.auditing import DETAILS, CallPlace, CallSoFar, Findings, Replay, Verdict, check

PLACE = CallPlace(1, 1)


def begin(order: int = 1, number: int = 1, quantity: int = 3) -> dict[str, Any]:
    return {"begin": [[f"o{order}-{number}-n", order, 1, number, quantity]]}


def settle(
    state: str, held: int = 0, *digests: str, order: int = 1, number: int = 1, code: str | None = None, by: str = ""
) -> dict[str, Any]:
    call = [f"o{order}-{number}-n", order, state, held, len(digests), 0.1, 200, code, None, None, None, None, None,
            [[digest, "issued"] for digest in digests], number]  # fmt: skip
    return {"settle": [call], **({"by": by} if by else {})}


def replayed(*bodies: dict[str, Any], run: int | None = 1) -> Replay:
    replay = Replay()
    for seq, body in enumerate(bodies, start=1):
        replay.apply(seq, run, body)
    return replay


def test_a_call_holds_its_quantity_until_its_answer_says_otherwise() -> None:
    """Sending holds all; in doubt holds what the answer left open; a later part of the answer adds its coupons."""
    assert replayed(begin()).calls[PLACE] == CallSoFar("o1-1-n", 1, 3, "sending", 0, 3)
    doubtful = replayed(begin(), settle("in_doubt", 2, "aa"))
    assert doubtful.calls[PLACE] == CallSoFar("o1-1-n", 1, 3, "in_doubt", 1, 2, 200)
    found = replayed(begin(), settle("in_doubt", 2, "aa"), settle("issued", 0, "bb", "cc", by="read"))
    assert found.calls[PLACE] == CallSoFar("o1-1-n", 1, 3, "issued", 3, 0, 200)
    assert [coupon.digest for coupon in found.coupons] == ["aa", "bb", "cc"]
    assert found.problems.count == 0


def test_a_call_of_a_process_that_died_is_in_doubt_with_all_it_held() -> None:
    """An event names such calls by their keys."""
    replay = replayed(begin(), begin(2), settle("issued", 0, "aa", "bb", "cc"), {"interrupted": ["o2-1-n"], "scope": 1})
    assert replay.calls[CallPlace(2, 1)] == CallSoFar("o2-1-n", 1, 3, "in_doubt", 0, 3, code="interrupted")
    assert replay.problems.count == 0


@pytest.mark.parametrize(
    ("bodies", "problem"),
    [
        ([begin(), begin()], "begun twice"),
        ([settle("issued", 0, "aa")], "never begun"),
        ([begin(), settle("refused"), settle("in_doubt", 3)], "which nothing may do"),
        ([begin(), settle("refused"), settle("issued", 0, "aa")], ""),
        ([begin(), settle("issued", 0, "aa"), settle("refused")], "which nothing may do"),
        ([begin(), settle("issued", 0, "aa"), settle("issued", 0, "bb", by="read")], ""),
        ([begin(), settle("never_left"), settle("issued", 0, "aa", by="person")], "which nothing may do"),
        ([begin(), settle("issued"), {"interrupted": ["o1-1-n"]}], "not under way"),
    ],
)  # fmt: skip
def test_what_events_cannot_have_meant_is_told(bodies: list[dict[str, Any]], problem: str) -> None:
    """A call begins once; states follow each other as the core's tables allow, by an answer or by a read."""
    found = replayed(*bodies).problems
    assert bool(found.count) is bool(problem)
    assert problem in " ".join(found.details)


def test_a_page_leaves_nothing_at_hand_but_what_is_in_flight() -> None:
    """So memory does not grow with the history; a settled call that is spoken of again is asked for."""
    replay = replayed(begin(), begin(2), settle("issued", 0, "aa"))
    replay.let_go()
    assert list(replay.calls) == [CallPlace(2, 1)]
    assert replay.coupons == []
    assert replay.wanted([settle("issued", 0, "bb"), settle("issued", 0, "cc", order=2)]) == {PLACE}


def test_merges_lead_to_the_last_survivor_in_one_step() -> None:
    """Order 3 into 2, then 2 into 1: both lead to 1, and closings that follow are the survivor's."""
    replay = replayed(
        {"merge": [[2, 3, [[2, 3, 5, 1, 0, "surplus"]]]]},
        {"merge": [[1, 2, [[1, 2, 4, 2, 0, "same_person"]]]]},
        {"close": [[1, 3, "709"]]},
    )
    assert replay.persons == {3: 2, 2: 1}
    assert replay.merged == {3: 1, 2: 1}
    assert [(one.survivor, one.target, one.surplus) for one in replay.merges] == [(2, 5, True), (1, 4, False)]
    assert replay.closings == [(1, 1, "709")]


def test_what_an_order_is_named_by_is_told_page_by_page() -> None:
    """The kind, the beginning of the name's digest, and what was tried; an empty list when the first stands again."""
    replay = replayed({"named_by": [[1, "email", "aa", ["mobile"]]]}, {"named_by": [[1, "mobile", "bb", []]]})
    assert [(one.kind, one.digest, one.tried) for one in replay.named] == [
        ("email", "aa", '["mobile"]'),
        ("mobile", "bb", "[]"),
    ]
    replay.let_go()
    assert replay.named == []


def test_whoever_was_forgotten_under_one_name_is_forgotten_under_all() -> None:
    """As the merge tells it; of an older version's merge the older name takes over from the younger one."""
    old = replayed({"forget": {"persons": [3], "orders": []}}, {"merge": [[2, 3, []]]}, {"merge": [[1, 2, []]]})
    assert old.forgotten == {1, 2, 3}
    assert replayed({"forget": {"persons": [1], "orders": []}}, {"merge": [[1, 2, [], [7]]]}).forgotten == {1, 2}
    assert replayed({"merge": [[1, 2, []]]}).forgotten == set()


def test_surprises_of_a_call_stay_and_a_later_exit_code_is_kept() -> None:
    """Flags of every settlement together, in order; a run made resumable keeps the code that it ended with."""
    first, then = settle("in_doubt", 2, "aa"), settle("issued", 0, "bb", by="read")
    first["settle"][0][11], then["settle"][0][11] = ["resent", "late"], ["appeared_later"]
    assert replayed(begin(), first, then).calls[PLACE].flags == '["appeared_later","late","resent"]'
    replay = replayed({"state": "finished", "exit_code": 5, "exit_codes": [5]}, {"state": "stopped", "runs": [1]})
    assert (replay.states, replay.exit_codes) == ({1: ("stopped", 5)}, {1: [5]})


def test_a_run_is_in_the_state_that_its_newest_event_says() -> None:
    """Loaded is ready; a settled doubt makes the runs that it names resumable, not the one whose call it was."""
    replay = replayed({"load": {}}, {"state": "running", "exit_code": None}, {"state": "finished", "exit_code": 5})
    assert replay.states == {1: ("finished", 5)}
    replay.apply(9, 1, {"state": "stopped", "runs": [4]})
    assert replay.states == {1: ("finished", 5), 4: ("stopped", None)}


def test_a_load_of_an_older_version_has_no_digests() -> None:
    """Which is told as a limit and not as a finding."""
    old = replayed({"load": {"orders": 1, "digest": "x"}})
    assert old.loads[1].digests is None
    lines = {"first": 1, "last": 2, "digests": ["aa"]}
    new = replayed({"load": {"orders": 1, "rows": 3, "rejected": 1, "lines": lines}, "overrides": "bb"})
    assert (new.loads[1].digests, new.loads[1].rows, new.overrides) == (("aa",), 3, {1: "bb"})


def test_many_findings_are_counted_and_the_first_are_told() -> None:
    """A ledger with a million differences still gives a page that can be read."""
    findings = Findings()
    for number in range(DETAILS + 5):
        findings.add(f"order {number}")
    told = check("orders", findings, good="all well", bad="{count} orders differ")
    assert told.verdict is Verdict.WRONG
    assert told.sentence == f"{DETAILS + 5} orders differ"
    assert told.details[-1] == "and 5 more"
    assert len(told.details) == DETAILS + 1
    assert check("orders", Findings(), good="all well", bad="").sentence == "all well"
