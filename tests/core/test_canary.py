"""The canary: which orders go first, and what differs between the ledger and what the API shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.canary import Sent, Shown, choose, compare
from runner.core.coupon_reads import CouponDetail, CouponPage, CustomerCoupon
from runner.core.model import Coupon, Kind

CALL = "a-1-n"
SENT = Sent(
    order=1,
    row="row 2",
    series=415446,
    person=1,
    kind=Kind.MOBILE,
    value="919000000001",
    asked=2,
    calls=(CALL,),
    coupons=((CALL, Coupon("11", "C11")), (CALL, Coupon("12", "C12"))),
    held=0,
    code="",
    message="",
)


def _coupon(number: int, series: int = 415446) -> CustomerCoupon:
    return CustomerCoupon(str(number), f"C{number}", series, None, False)


def _detail(number: int, call: str | None = CALL, series: int = 415446) -> CouponDetail:
    return CouponDetail(f"C{number}", series, "coupon-runner", call)


HERS = Shown(
    CouponPage("7", (_coupon(11), _coupon(12), _coupon(5, 535521)), 3),
    True,
    (_detail(11), _detail(12), _detail(5, "x-1-n", 535521)),
)


def _with(*coupons: CustomerCoupon, details: tuple[CouponDetail, ...] | None = None, same: bool = True) -> Shown:
    return Shown(CouponPage("7", coupons, len(coupons)), same, details)


def test_coupons_that_the_api_shows_as_recorded_differ_in_nothing() -> None:
    """Whatever else she holds; both calls were shown."""
    assert compare(SENT, HERS) == ((), True, 2)


def test_an_api_that_shows_no_calls_is_compared_by_customer_series_and_code() -> None:
    """Nothing is proven of the calls then, and nothing differs."""
    assert compare(SENT, HERS._replace(details=None)) == ((), True, 0)
    bare = tuple(detail._replace(source=None) for detail in HERS.details or ())
    assert compare(SENT, HERS._replace(details=bare)) == ((), True, 0)


def test_a_coupon_that_is_missing_may_only_be_late() -> None:
    """It is looked for again."""
    found = compare(SENT, _with(_coupon(11)))
    assert found.differences == ("row 2, series 415446: the API does not show the coupon C12 among the customer's",)
    assert found.again


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (HERS._replace(same_person=False), "another customer than the one that the answers named"),
        (_with(_coupon(11), _coupon(12, 535521)), "shows the coupon C12 in series 535521"),
        (HERS._replace(details=(_detail(11), _detail(12), _detail(13))), "shows 3 coupons of one call, 2 recorded"),
        (HERS._replace(details=(_detail(11), _detail(12, series=9))), "a coupon of this call in series 9"),
        (HERS._replace(details=(_detail(11), _detail(12, "b-1-n"))), "shows the coupon C12 under another call"),
    ],
)
def test_another_customer_series_or_call_and_more_than_recorded_are_differences(shown: Shown, words: str) -> None:
    """They do not go away by waiting."""
    found = compare(SENT, shown)
    assert any(words in difference for difference in found.differences), found
    assert not found.again


def test_more_than_asked_is_a_difference() -> None:
    """As the answers told it."""
    (told,) = compare(SENT._replace(asked=1), HERS).differences
    assert told == "row 2, series 415446: 1 coupon asked for, 2 issued and 0 in doubt"


def test_a_code_that_all_share_is_told_apart_by_its_ids() -> None:
    """A generic series: one code for everybody; another customer's id is not hers."""
    shared = ((CALL, Coupon("11", "SAME")), (CALL, Coupon("12", "SAME")))
    sent = SENT._replace(coupons=shared)
    hers = [CustomerCoupon(number, "SAME", 415446, None, False) for number in ("12", "11")]
    assert not compare(sent, _with(*hers)).differences
    assert len(compare(sent, _with(hers[0], hers[1]._replace(id="13"))).differences) == 1
    unnamed = SENT._replace(coupons=tuple((CALL, Coupon("", "SAME")) for _ in range(2)))
    assert not compare(unnamed, _with(*hers)).differences
    assert len(compare(unnamed, _with(hers[0])).differences) == 1


def test_what_became_of_an_order_is_told_in_one_line() -> None:
    """Its row and series, how many of how many, the first codes, and why something is missing."""
    assert SENT.words() == "row 2, series 415446: 2 of 2 issued (C11, C12)"
    refused = SENT._replace(coupons=(), code="701", message="Customer not found")
    assert refused.words() == "row 2, series 415446: 0 of 2 issued, 701 Customer not found"
    many = SENT._replace(asked=7, coupons=tuple((CALL, Coupon(str(n), f"C{n}")) for n in range(7)))
    assert many.words().endswith("7 of 7 issued (C0, C1, C2, C3, C4 and 2 more)")


def test_the_orders_are_spread_over_the_series() -> None:
    """One of each in turn; series that were met before come last."""
    orders = {1: [10, 11, 12], 2: [20], 3: [30, 31]}
    assert choose(orders, 4) == {1: {10, 11}, 2: {20}, 3: {30}}
    assert choose(orders, 2, met=[1]) == {2: {20}, 3: {30}}
    assert choose(orders, 99) == {series: set(numbers) for series, numbers in orders.items()}
    assert choose(orders, 0) == {}


@given(
    lengths=st.lists(st.integers(1, 6), max_size=6),
    number=st.integers(0, 40),
)
def test_never_more_orders_than_asked_for_and_no_series_twice_before_each_once(lengths: list[int], number: int) -> None:
    """Whatever the series hold."""
    orders = {series: list(range(100 * series, 100 * series + length)) for series, length in enumerate(lengths)}
    chosen = choose(orders, number)
    assert sum(map(len, chosen.values())) == min(number, sum(lengths))
    most = max(map(len, chosen.values()), default=0)
    assert all(len(chosen.get(series, ())) >= min(length, most - 1) for series, length in enumerate(lengths))
