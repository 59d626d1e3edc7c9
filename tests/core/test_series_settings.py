"""What the settings of series say, as the API tells them: −1 is no limit, and what is not understood is not guessed."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from runner.core.coupon_reads import Unread
from runner.core.model import Exchange
from runner.core.series_settings import Moment, SeriesSettings, moment_of, read_series_settings

ITEM: dict[str, Any] = {
    "id": 415446,
    "description": "Welcome",
    "discountType": "ABS",
    "discountValue": 50,
    "clientHandlingType": "DISC_CODE",
    "maxCreate": 1000,
    "numIssued": 880,
    "numUploadedNonIssued": 0,
    "isMultipleVouchersPerUserAllowed": True,
    "maxVouchersPerUser": -1,
    "minDaysBetweenVouchers": -1,
    "doNotResendExistingVoucher": True,
    "mutualExclusiveSeriesIds": "[-1]",
    "validTillDate": "2026-12-31T23:59:59Z",
    "fixedExpiryDate": None,
    "externalIssual": False,
    "smsTemplate": "",
    "isSMSDisabled": True,
}


def answer(*items: Any, status: int = 200, **more: Any) -> Exchange:
    body = json.dumps({"entity": list(items), "warnings": [], **more}).encode()
    return Exchange(left=True, status=status, body=body, complete=True)


def read(**changes: Any) -> SeriesSettings:
    found = read_series_settings(answer({**ITEM, **changes}))
    assert not isinstance(found, Unread)
    return found[415446]


def test_a_series_without_limits_has_none():
    """−1 is None, and so is what is not told or not understood."""
    one = read()
    assert (one.cap, one.min_days, one.excludes, one.coupons_end) == (None, None, frozenset(), None)
    assert (one.external, one.resends, one.messages, one.several) == (False, False, False, True)
    odd = read(
        maxVouchersPerUser="many", minDaysBetweenVouchers=None, mutualExclusiveSeriesIds="?", validTillDate="soon"
    )
    assert (odd.cap, odd.min_days, odd.excludes, odd.valid_till) == (None, None, frozenset(), None)


@pytest.mark.parametrize(
    ("changes", "stock"),
    [
        ({}, 120),
        ({"numIssued": 1200}, 0),
        ({"maxCreate": -1}, None),
        ({"numIssued": None}, None),
        ({"clientHandlingType": "DISC_CODE_PIN", "numUploadedNonIssued": 7}, 7),
        ({"clientHandlingType": "DISC_CODE_PIN", "numUploadedNonIssued": None}, None),
        ({"clientHandlingType": "GENERIC"}, None),
        ({"clientHandlingType": "SOMETHING_NEW"}, None),
    ],
)
def test_the_stock_depends_on_where_the_codes_come_from(changes, stock):
    """Generated: what may be created less what was issued. Uploaded: what is left. One shared code: without end."""
    assert read(**changes).stock == stock


def test_one_each_and_a_largest_number_are_one_cap():
    """The smaller one counts."""
    assert read(isMultipleVouchersPerUserAllowed=False).cap == 1
    assert read(maxVouchersPerUser=3).cap == 3
    assert read(maxVouchersPerUser=3, isMultipleVouchersPerUserAllowed=False).cap == 1


def test_money_and_percentages_are_kept_apart():
    """ABS is money, PERC a percentage; anything else has no value."""
    assert (read().money, read().percentage) == (Decimal(50), None)
    percent = read(discountType="PERC", discountValue=12.5)
    assert (percent.money, percent.percentage) == (None, Decimal("12.5"))
    assert read(discountType="GIFT").money is None
    assert read(discountValue="a lot").money is None


def test_messages_are_on_when_there_is_a_text_and_nobody_switched_them_off():
    """A template alone sends nothing when it is disabled."""
    assert read(smsTemplate="Hello {{voucher}}", isSMSDisabled=False).messages
    assert read(smsTemplate="Hello {{voucher}}", isSMSDisabled=None).messages
    assert not read(smsTemplate="Hello {{voucher}}").messages
    assert not read(isSMSDisabled=False).messages


def test_the_flags_and_lists_of_a_series():
    """External issue, re-sending, mutual exclusion as text or list; never with itself."""
    one = read(externalIssual=True, doNotResendExistingVoucher=False, mutualExclusiveSeriesIds="[1, 415446, 2]")
    assert (one.external, one.resends, one.excludes) == (True, True, {1, 2})
    assert read(mutualExclusiveSeriesIds=[3]).excludes == {3}


def test_a_time_without_a_zone_is_somewhere_on_earth_and_a_date_is_a_whole_day():
    """So that nothing is called expired while it may still be valid where the series lives."""
    noon = 1_795_435_200.0  # 2026-11-23T12:00:00Z
    assert moment_of("2026-11-23T12:00:00Z") == Moment(noon, noon)
    assert moment_of("2026-11-23T17:30:00+05:30") == Moment(noon, noon)
    assert moment_of(int(noon * 1000)) == Moment(noon, noon)
    assert moment_of("2026-11-23 12:00:00") == Moment(noon - 14 * 3600, noon + 12 * 3600)
    assert moment_of("2026-11-23") == Moment(noon - 26 * 3600, noon + 24 * 3600)
    assert [moment_of(value) for value in (0, -1, None, True, "", "soon", 10**20)] == [None] * 7


def test_series_that_the_api_does_not_name_are_missing_and_an_odd_answer_says_nothing():
    """An error 707 for one series is the same as its absence; a part that cannot be read makes the whole unread."""
    assert read_series_settings(answer()) == {}
    error = Exchange(left=True, status=200, complete=True, body=b'{"errors":[{"code":707,"message":"no series"}]}')
    assert read_series_settings(error) == {}
    assert isinstance(read_series_settings(answer(ITEM, "odd")), Unread)
    assert isinstance(read_series_settings(replace(answer(ITEM), status=403)), Unread)
    assert isinstance(read_series_settings(Exchange(left=True, status=200, complete=True, body=b"<html>")), Unread)
