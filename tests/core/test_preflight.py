"""The check before a run: what cannot succeed and is held back, what must be known, what refuses every call."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from runner.core.coupon_reads import Unread
from runner.core.model import Exchange
from runner.core.pacing import Rate
from runner.core.preflight import (
    Asked,
    Findings,
    WantedOrder,
    Why,
    find_excluded,
    find_holds,
    find_remarks,
    least_seconds,
    refusal_of,
    values_of_record,
)
from runner.core.series_settings import GENERATED, GENERIC, UPLOADED, Moment, SeriesSettings

DAY = 86_400.0
NOW, END = 1000 * DAY, 1001 * DAY


def series(**changes: Any) -> SeriesSettings:
    return SeriesSettings(**{"id": 7, "handling": GENERATED, "discount": "ABS", "value": Decimal(50), **changes})


def holds(**changes: Any) -> list[tuple[Why, int | None, float | None]]:
    found = find_holds([7], {7: series(**changes)}, now=NOW, end=END)
    return [(one.why, one.most, one.newest_after) for one in found]


def remarks(missing: int = 10, cap: int | None = None, **changes: Any) -> list[Why]:
    found = find_remarks([Asked(7, missing)], {7: series(**changes)}, now=NOW, end=END, cap=cap)
    return [one.why for one in found]


def at(seconds: float) -> Moment:
    return Moment(seconds, seconds)


def test_a_well_series_holds_nothing_back_and_needs_no_remark():
    """Without limits, valid for long."""
    assert holds(valid_till=at(END + 1)) == []
    assert remarks(valid_till=at(END + 1)) == []


def test_a_series_that_the_api_does_not_know_is_held_back_whole():
    """It answers 707 to every call."""
    (one,) = find_holds([7], {}, now=NOW, end=END)
    assert (one.series, one.why, one.most) == (7, Why.UNKNOWN, None)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"external": True}, Why.EXTERNAL),
        ({"valid_till": at(NOW - 1)}, Why.EXPIRED),
        ({"most_created": 5, "issued": 5}, Why.EMPTY),
        ({"handling": UPLOADED, "left": 0}, Why.EMPTY),
    ],
)
def test_what_is_true_of_the_whole_series_holds_it_back_whole(changes, why):
    """Managed elsewhere, expired, nothing left."""
    assert holds(**changes) == [(why, None, None)]


def test_nothing_is_called_expired_while_it_may_still_be_valid_somewhere():
    """A time without a zone counts from its latest meaning; a possible end before the run's is a remark."""
    unclear = Moment(NOW - DAY, NOW + 1)
    assert holds(valid_till=unclear) == []
    assert remarks(valid_till=unclear) == [Why.EXPIRING]


def test_customers_who_would_hold_too_many_are_held_back():
    """Above the cap; above one where everybody gets the same code; not twice for one of both."""
    assert holds(most_each=3) == [(Why.TOO_MANY, 3, None)]
    assert holds(several=False) == [(Why.TOO_MANY, 1, None)]
    assert holds(handling=GENERIC) == [(Why.GENERIC, 1, None)]
    assert holds(handling=GENERIC, several=False) == [(Why.TOO_MANY, 1, None)]


def test_customers_who_got_one_too_lately_are_held_back():
    """Only when they still will have when the run ends."""
    assert holds(min_days=3) == [(Why.TOO_SOON, None, END - 3 * DAY)]
    assert remarks(min_days=3) == [Why.MIN_DAYS]


def test_too_little_stock_is_damage_and_a_cap_on_the_run_counts():
    """Some customers would get theirs and others not."""
    assert remarks(11, most_created=15, issued=5) == [Why.SHORT]
    assert remarks(10, most_created=15, issued=5) == []
    assert remarks(11, cap=10, most_created=15, issued=5) == []
    assert remarks(11, handling=UPLOADED, left=10) == [Why.SHORT]
    assert remarks(11, handling=UPLOADED) == []
    (short,) = find_remarks([Asked(7, 11)], {7: series(handling=UPLOADED, left=10)}, now=NOW, end=END)
    assert short.damage
    assert "1 would be refused" in short.sentence


def test_a_series_or_coupons_that_expire_before_the_run_can_end_are_damage():
    """By the pace; what comes later would be refused, or be born expired."""
    for why, changes in ((Why.EXPIRING, {"valid_till": at(END)}), (Why.COUPONS_EXPIRING, {"coupons_end": at(END)})):
        (one,) = find_remarks([Asked(7, 1)], {7: series(**changes)}, now=NOW, end=END)
        assert (one.why, one.damage) == (why, True)
    assert least_seconds(600, Rate(100, 60.0)) == 360.0
    assert least_seconds(600, None) == 0.0


def test_what_is_odd_is_said_and_stops_nothing():
    """Re-sending, exclusion by series that are not in the plan, messages."""
    assert remarks(resends=True, excludes=frozenset({8}), messages=True) == [Why.RESENDS, Why.EXCLUDES, Why.MESSAGES]
    both = {7: series(excludes=frozenset({8})), 8: series(id=8)}
    assert find_remarks([Asked(7, 1), Asked(8, 1)], both, now=NOW, end=END) == ()
    assert remarks(0, resends=True, messages=True) == []


def test_of_two_series_that_exclude_each_other_the_earlier_row_is_kept():
    """Whichever of them names the other; what is held back excludes nothing."""
    rules = {1: frozenset({2}), 3: frozenset({2})}
    assert find_excluded([WantedOrder(10, 1), WantedOrder(11, 2)], [], rules) == {11: 1}
    assert find_excluded([WantedOrder(10, 2), WantedOrder(11, 1)], [], rules) == {11: 2}
    assert find_excluded([WantedOrder(10, 1), WantedOrder(11, 2), WantedOrder(12, 3)], [], rules) == {11: 1}
    assert find_excluded([WantedOrder(10, 1), WantedOrder(11, 4)], [], rules) == {}


def test_who_holds_an_excluding_series_gets_none_of_the_other():
    """Only in the direction that the series says."""
    rules = {1: frozenset({2})}
    assert find_excluded([WantedOrder(10, 1)], [2], rules) == {10: 2}
    assert find_excluded([WantedOrder(10, 2)], [1], rules) == {}
    assert find_excluded([WantedOrder(10, 1)], [1], rules) == {}


def exchange(status: int | None) -> Exchange:
    return Exchange(left=True, status=status, complete=status is not None, failure=None if status else "credentials")


@pytest.mark.parametrize(
    ("status", "unread", "refuses"),
    [
        (401, Unread("no", for_all=True, token_ended=True), True),
        (None, Unread("the API gives no token", for_all=True), True),
        (415, Unread("no"), True),
        (413, Unread("no"), True),
        (302, Unread("no"), True),
        (307, Unread("no"), True),
        (403, Unread("no", for_all=True), False),
        (404, Unread("no", for_all=True), False),
        (405, Unread("no", for_all=True), False),
        (503, Unread("no", again=True), False),
        (None, Unread("no answer came", again=True), False),
        (400, Unread("no"), False),
    ],
)
def test_what_is_final_for_every_call_is_told_apart_from_a_read_without_access(status, unread, refuses):
    """Credentials, request and redirects refuse calls too; no access to this read, or no answer, says nothing."""
    assert (refusal_of(exchange(status), unread) is not None) is refuses


def test_a_plan_code_covers_which_reasons_there_are_and_not_how_much_of_each():
    """Stock moves by the minute: only its being short or not makes a plan another one."""
    short = {7: series(handling=UPLOADED, left=10)}
    shorter = {7: series(handling=UPLOADED, left=9)}
    codes = [
        Findings(remarks=find_remarks([Asked(7, missing)], known, now=NOW, end=END)).code_parts()
        for known, missing in ((short, 11), (shorter, 11), (short, 10))
    ]
    assert codes[0] == codes[1] != codes[2]


def test_values_come_back_from_what_a_run_recorded():
    """Exactly, as decimal numbers; a run of an older version has none."""
    findings = Findings(settings={7: series(value=Decimal("0.10")), 8: series(id=8, discount="PERC")})
    assert values_of_record(findings.record()) == {7: Decimal("0.10")}
    assert findings.percentages == {8: Decimal(50)}
    assert values_of_record(None) == {}
