"""What coupons are worth: the list of series before the API, money before percentages, nothing made up."""

from __future__ import annotations

from decimal import Decimal

from runner.core.face_value import FaceValue, tell_worth, values_of_run

MONEY, PERCENT = FaceValue(Decimal(50)), FaceValue(percent=Decimal(10))


def test_money_is_added_up_and_the_rest_is_counted_apart():
    """As the plan and the summary say it."""
    assert tell_worth({1: 48_120}, {1: MONEY}) == "48,120 coupons, worth 2,406,000"
    assert tell_worth({1: 1, 2: 1}, {1: MONEY, 2: PERCENT}) == (
        "1 coupon, worth 50; 1 coupon that takes off a percentage"
    )
    assert tell_worth({1: 2, 3: 4}, {1: MONEY}) == "2 coupons, worth 100; 4 coupons of series whose value is not known"
    assert tell_worth({3: 4}, {}) == ""
    assert tell_worth({1: 0}, {1: MONEY}) == ""


def test_the_list_of_series_is_believed_before_the_api():
    """Whoever wrote the list knows what a coupon is worth to them."""
    args = {
        "series_list": {"entries": [[1, "Welcome", None, None, "75", 2], [2, "", None, None, None, 3]]},
        "preflight": {"values": {"1": "50", "2": "20"}, "percentages": {"3": "10"}},
    }
    assert values_of_run(args) == {
        1: FaceValue(Decimal(75)),
        2: FaceValue(Decimal(20)),
        3: FaceValue(percent=Decimal(10)),
    }
    assert values_of_run({}) == {}
