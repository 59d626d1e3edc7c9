"""What becomes of a line, the sums of a run, the proof that they add up, and the exit codes that follow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.orders import missing_of
from runner.core.statuses import (
    NEVER_TRIED,
    NOTHING,
    CallFacts,
    Cause,
    LineStatus,
    OrderState,
    OrderVerdict,
    Share,
    deal,
    judge_duplicate,
    judge_elsewhere,
    judge_line,
    judge_order,
    name_row,
)
from runner.core.totals import DoesNotAddUp, Tally, Totals, exit_codes, principal_exit, prove


def call(known: int = 0, held: int = 0, state: str = "issued", run_id: int = 2, **facts: Any) -> CallFacts:
    values: dict[str, Any] = {
        "key": "k",
        "order_id": 1,
        "run_id": run_id,
        "number": 1,
        "quantity": max(1, known + held),
        "state": state,
        "known": known,
        "held": held,
        "began": 100.0,
        "ended": 101.0,
        "http": 200,
        "code": None,
        "klass": None,
        "scope": None,
        "message": None,
        "flags": None,
        "request_id": None,
    }
    return CallFacts(**(values | facts))


def order(target: int, *calls: CallFacts, **facts: Any) -> OrderVerdict:
    values: dict[str, Any] = {"closure": None, "series_state": "", "series_cause": None}
    return judge_order(OrderState(run_id=2, target=target, calls=calls, **(values | facts)))


def word(target: int, *calls: CallFacts, **facts: Any) -> tuple[str, str, bool]:
    """The only line of an order: its status, its code, and whether it may be asked for again as it is."""
    judged = order(target, *calls, **facts)
    verdict = judge_line(deal([target], judged)[0], judged)
    return verdict.status.value, verdict.cause.code, verdict.again


Facts = dict[str, Any]
REFUSED: Facts = {"state": "refused", "code": "677", "klass": "final", "scope": "row", "message": "limit reached"}
NO_QUEUE: Facts = {"state": "refused", "code": "5005", "klass": "retry", "scope": "series", "message": "no coupons"}
LOST: Facts = {"state": "in_doubt", "code": "timeout", "klass": "unknown", "scope": "row", "message": "no answer"}


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (word(2, call(2)), ("issued", "", False)),
        (word(2, call(1), call(1)), ("issued", "", False)),
        (word(2, call(2, run_id=1)), ("issued", "", False)),
        (word(2, call(1), call(held=1, **LOST)), ("in_doubt", "timeout", False)),
        (word(5, call(2), call(held=1, **LOST)), ("in_doubt", "timeout", False)),
        (word(1, call(held=1, state="sending")), ("in_doubt", "", False)),
        (word(2, call(1, code="5005", klass="retry", scope="series")), ("partial", "5005", True)),
        (word(2, call(1), closure=Cause("677", "limit")), ("partial", "677", False)),
        (word(2, call(1), series_state="closed", series_cause=Cause("707", "none")), ("partial", "707", False)),
        (word(1, call(**REFUSED), closure=Cause("677", "limit reached")), ("failed", "677", False)),
        (word(1, call(**REFUSED)), ("failed", "677", False)),
        (word(1, closure=Cause("customer_busy", "six rounds")), ("failed", "customer_busy", False)),
        (word(1, closure=Cause("held_back", "expired")), ("failed", "held_back", False)),
        (word(1, closure=Cause("resent", "held before")), ("failed", "resent", False)),
        (word(1, series_state="closed", series_cause=Cause("707", "no such series")), ("failed", "707", False)),
        (word(1, call(**NO_QUEUE)), ("not_sent", "5005", True)),
        (word(1, series_state="exhausted", series_cause=Cause("5005", "none")), ("not_sent", "5005", True)),
        (word(1, series_state="parked", series_cause=Cause("5005", "none")), ("not_sent", "5005", True)),
        (word(1, closure=Cause("5005", "none")), ("not_sent", "5005", True)),
        (word(1, call(state="never_left", code="not_reached", klass="retry")), ("not_sent", "not_reached", True)),
        (word(1), ("not_sent", "", True)),
        (word(1, call(**(REFUSED | {"run_id": 1}))), ("not_sent", "", True)),
        (word(1, call(**(REFUSED | {"code": "403", "scope": "run"}))), ("not_sent", "403", True)),
    ],
)
def test_a_line_gets_the_first_word_that_fits(what: tuple[str, str, bool], expected: tuple[str, str, bool]) -> None:
    """In doubt before issued, issued before partial, partial before failed, failed before not sent."""
    assert what == expected


def test_a_doubt_is_never_called_partial_or_not_sent() -> None:
    """While something is in doubt a line must not come back in failures, or its coupon would be issued twice."""
    judged = order(500, call(1), call(held=1, **LOST), closure=Cause("677", "limit"))
    assert judge_line(deal([500], judged)[0], judged).status is LineStatus.IN_DOUBT


def test_earlier_runs_count_as_issued_and_are_told_apart() -> None:
    """`before` is what earlier runs brought, as their calls stand now."""
    judged = order(5, call(2, run_id=1), call(3))
    assert (judged.issued, judged.before, judged.missing) == (5, 2, 0)


def test_a_target_below_what_is_issued_changes_nothing_and_is_said() -> None:
    """Nothing is missing, nothing is asked back, and the line says why."""
    judged = order(2, call(5, run_id=1))
    assert (judged.issued, judged.missing) == (5, 0)
    assert "target 2 is below the 5 already issued" in judged.cause.message


def test_a_call_that_never_left_is_no_attempt() -> None:
    """Attempts, first and last times speak of calls that were or may have been sent."""
    judged = order(
        1, call(state="never_left", began=50.0), call(**REFUSED, began=60.0), call(1, began=70.0, ended=75.0)
    )
    assert (judged.attempts, judged.first_sent, judged.last_answer) == (2, 60.0, 101.0)


def test_a_line_never_tried_says_so() -> None:
    """A line without any call of this run names no code of an older one."""
    assert order(1).cause == NEVER_TRIED


def test_lines_that_add_up_are_dealt_coupons_in_row_order() -> None:
    """The first line gets up to what it asked for, then the next; the doubt follows what is issued."""
    assert deal([2, 3, 4], order(9, call(3), call(held=1, **LOST))) == [
        Share(target=2, issued=2, before=0, held=0, missing=0),
        Share(target=3, issued=1, before=0, held=1, missing=1),
        Share(target=4, issued=0, before=0, held=0, missing=4),
    ]


def test_coupons_above_the_target_stay_with_the_last_line() -> None:
    """Nothing that was issued disappears from the report, whatever the file asks for."""
    assert [share.issued for share in deal([1, 1], order(2, call(5)))] == [1, 4]


def test_a_doubt_of_one_line_is_not_the_reason_of_another() -> None:
    """The line in doubt names the doubt, the line that misses something names what it misses it for."""
    judged = order(3, call(1), call(held=1, **LOST), call(**REFUSED), closure=Cause("677", "limit"))
    verdicts = [judge_line(share, judged) for share in deal([1, 1, 1], judged)]
    assert [(verdict.status.value, verdict.cause.code) for verdict in verdicts] == [
        ("issued", ""),
        ("in_doubt", "timeout"),
        ("failed", "677"),
    ]


@given(
    requested=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    target=st.integers(0, 200),
    issued=st.integers(0, 120),
    before=st.integers(0, 120),
    held=st.integers(0, 60),
)
def test_shares_add_up_to_their_order(requested: list[int], target: int, issued: int, before: int, held: int) -> None:
    """Whatever the lines ask for: target, issued, before, in doubt and missing are each dealt out once."""
    calls = [call(min(before, issued), run_id=1), call(issued - min(before, issued)), call(held=held, **LOST)]
    judged = order(target, *calls)
    shares = deal(requested, judged)
    assert len(shares) == len(requested)
    sums = [sum(column) for column in zip(*shares, strict=True)]
    assert sums == [target, issued, min(before, issued), held, missing_of(target, issued, held)]
    assert all(min(share) >= 0 and share.before <= share.issued for share in shares)


def test_a_repeated_line_names_the_first_and_holds_nothing() -> None:
    """A duplicate is told with the row that it repeats, and counts no coupon a second time."""
    verdict = judge_duplicate(name_row(17, "May"))
    assert (verdict.status, verdict.cause.message, verdict.share) == (
        "duplicate",
        "same as row 17 of sheet May",
        NOTHING,
    )


def test_one_person_under_two_names_is_named_and_a_surplus_needs_a_person() -> None:
    """Both issued before it was known: code `surplus`; otherwise the line is an ordinary duplicate."""
    assert judge_duplicate("row 17", same_person=True).cause == Cause("", "same person as row 17")
    assert judge_duplicate("row 17", same_person=True, surplus=True).cause.code == "surplus"


def test_a_line_covered_by_another_campaign_names_it() -> None:
    """The note of the overlap is the line's message."""
    verdict = judge_elsewhere("campaign April, run 20261023T031500Z-april-4f9a")
    assert verdict.status is LineStatus.DUPLICATE
    assert "campaign April" in verdict.cause.message


# ---------------------------------------------------------------- sums and exit codes


def totals(*lines: tuple[int, OrderVerdict], rejected: int = 0, **counted: int) -> Totals:
    """The sums of one-line orders of the given series, beside a ledger that agrees unless told otherwise."""
    tally = Tally()
    for series, judged in lines:
        tally.rows_seen += 1
        share = deal([judged.target], judged)[0]
        tally.add_line(series, judge_line(share, judged), 0)
        tally.add_flags(judged)
    for _ in range(rejected):
        tally.add_rejected()
    facts = {
        "rows": len(lines) + rejected,
        "line_count": len(lines),
        "rejected": rejected,
        "ledger_issued": sum(judged.issued for _, judged in lines),
        "ledger_in_doubt": sum(judged.held for _, judged in lines),
    }
    return tally.totals(**(facts | counted))


ISSUED = (1, order(2, call(2)))
FAILED = (1, order(1, closure=Cause("677", "limit")))
UNSENT = (2, order(3))
DOUBTFUL = (2, order(1, call(held=1, **LOST)))
PARTIAL = (2, order(3, call(1), closure=Cause("677", "limit")))
PARTIAL_AGAIN = (2, order(3, call(1, code="5005", klass="retry", scope="series")))


def test_sums_are_those_of_the_orders() -> None:
    """Each coupon is counted once, over all and per series."""
    found = totals(ISSUED, FAILED, UNSENT, DOUBTFUL, rejected=2)
    prove(found)
    coupons = found.coupons
    assert (coupons.target, coupons.issued, coupons.in_doubt, coupons.missing) == (7, 2, 1, 4)
    assert {series: one.target for series, one in found.series.items()} == {1: 3, 2: 4}
    assert found.lines == {
        "rejected": 2,
        "duplicate": 0,
        "in_doubt": 1,
        "issued": 1,
        "partial": 0,
        "failed": 1,
        "not_sent": 1,
    }


@pytest.mark.parametrize(
    ("wrong", "sums"),
    [
        ({"line_count": 5}, "4 lines by status, but 6 lines and rejected rows"),
        ({"rows": 5}, "4 rows with an outcome, but 5 rows loaded"),
        ({"ledger_issued": 3}, "2 coupons issued by line, but 3 coupons issued by call"),
        ({"ledger_in_doubt": 0}, "1 coupons in doubt by line, but 0 coupons in doubt by call"),
    ],
)
def test_a_lost_row_or_coupon_is_noticed_before_the_program_says_done(wrong: dict[str, int], sums: str) -> None:
    """The error names both sums; a report that does not add up is never published as if it did."""
    with pytest.raises(DoesNotAddUp) as caught:
        prove(totals(ISSUED, UNSENT, DOUBTFUL, rejected=1, **wrong))
    assert sums in str(caught.value)


def test_coupons_that_do_not_add_up_to_the_target_are_noticed() -> None:
    """Target + what is above it = issued + in doubt + missing, with nothing below zero."""
    good = totals(UNSENT)
    with pytest.raises(DoesNotAddUp, match="a target of 9 coupons, but 0 issued"):
        prove(replace(good, coupons=replace(good.coupons, target=9, above=-6)))


@pytest.mark.parametrize(
    ("lines", "stopped", "codes"),
    [
        ([ISSUED], (), (0,)),
        ([], (), (0,)),
        ([ISSUED, FAILED], (), (1,)),
        ([UNSENT], (), (75,)),
        ([PARTIAL], (), (1,)),
        ([PARTIAL_AGAIN], (), (75,)),
        ([DOUBTFUL], (), (5,)),
        ([FAILED, UNSENT, DOUBTFUL], (), (5, 1, 75)),
        ([UNSENT, DOUBTFUL], (4,), (4, 5, 75)),
        ([UNSENT], (6, 4), (6, 4, 75)),
        ([UNSENT, FAILED], (143,), (143, 1, 75)),
        ([ISSUED], (75, 1, 5, 0), (0,)),
    ],
)
def test_exit_codes_that_hold_come_in_order_of_precedence(
    lines: list[tuple[int, OrderVerdict]], stopped: tuple[int, ...], codes: tuple[int, ...]
) -> None:
    """Signal > 6 > 4 > 5 > 1 > 75 > 0; what follows from the lines is found from the lines, not remembered."""
    found = exit_codes(totals(*lines), stopped)
    assert found == codes
    assert principal_exit(found[::-1]) == codes[0]


def test_rejected_rows_and_a_surplus_need_a_person() -> None:
    """Exit 1, although every coupon that could be issued was."""
    assert exit_codes(totals(ISSUED, rejected=1)) == (1,)
    tally = Tally()
    tally.add_line(1, judge_duplicate("row 17", same_person=True, surplus=True), 0)
    found = tally.totals(rows=1, line_count=1, rejected=0, ledger_issued=0, ledger_in_doubt=0)
    assert exit_codes(found) == (1,)
    assert found.flags == {"surplus": 1}


def test_more_coupons_than_asked_for_are_flagged_and_need_a_person() -> None:
    """The line stays issued; the surprise is counted, said and looked at."""
    judged = order(1, call(2, flags=("more_than_asked",)))
    found = totals((1, judged))
    assert found.flags == {"more_than_asked": 1}
    assert exit_codes(found) == (1,)
    assert "more coupons than were asked for" in judged.cause.message


def test_a_line_that_was_issued_by_another_identifier_says_so() -> None:
    """Only when something was issued; a reason why something is missing comes first."""
    told = {"kind": "email", "tried": ["mobile"]}
    assert order(2, call(2), **told).cause.message == ("issued by email, since the mobile was not found (701)")
    both = {"kind": "externalId", "tried": ["mobile", "email"]}
    assert "the mobile and the email were not found" in order(2, call(2), **both).cause.message
    assert order(2, call(**REFUSED), **told).cause.message == "limit reached"


def test_a_customer_who_was_not_asked_for_by_her_other_identifier_yet_may_be_sent_again() -> None:
    """The run ended between the 701 and the next call; once the order is closed, it is final as ever."""
    unknown: Facts = {**REFUSED, "code": "701", "message": "not found"}
    assert word(2, call(**unknown), another=True) == ("not_sent", "701", True)
    assert word(2, call(**unknown)) == ("failed", "701", False)
    assert word(2, call(**unknown), another=True, closure=Cause("701", "not found by any")) == ("failed", "701", False)
    assert word(2, call(**REFUSED), another=True) == ("failed", "677", False)
