"""What a real series' settings become in the sandbox, and what is said of settings that the API does not tell."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.coupon_reads import Unread
from runner.core.live_series import LiveSeries, read_live_series, toml_of
from runner.core.model import Exchange
from runner.sandbox import parse_config

WHOLE: dict[str, Any] = {
    "id": 5,
    "orgId": 4711,
    "campaignId": -1,
    "description": "Sample voucher",
    "discountType": "PERC",
    "discountValue": 12.5,
    "clientHandlingType": "DISC_CODE",
    "maxCreate": 100,
    "numIssued": 40,
    "numUploadedTotal": 0,
    "numUploadedNonIssued": 0,
    "isMultipleVouchersPerUserAllowed": False,
    "maxVouchersPerUser": 3,
    "minDaysBetweenVouchers": 7,
    "doNotResendExistingVoucher": True,
    "mutualExclusiveSeriesIds": "[6, 7]",
    "validTillDate": "2035-05-05T00:00:00+05:30",
    "expiryStrategyType": "DAYS",
    "expiryStrategyValue": 30,
    "fixedExpiryDate": 1620518400000,
    "externalIssual": False,
    "smsTemplate": "",
    "isSMSDisabled": True,
}
COPIED = {
    "id": 5,
    "kind": "generated",
    "description": "Sample voucher",
    "discount_type": "PERC",
    "discount_value": 12.5,
    "max_create": 100,
    "issued_before": 40,
    "max_per_customer": 3,
    "min_days": 7,
    "allow_multiple": False,
    "external": False,
    "resend_existing": False,
    "valid_till": datetime(2035, 5, 5, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    "fixed_expiry": datetime(2021, 5, 9, tzinfo=UTC),
    "expiry_type": "DAYS",
    "expiry_value": 30,
    "excludes": [6, 7],
    "campaign_id": -1,
}


def answer(*items: Any) -> Exchange:
    return Exchange(left=True, status=200, body=json.dumps({"entity": items, "warnings": []}).encode(), complete=True)


def one(**changes: Any) -> LiveSeries:
    item = {name: value for name, value in (WHOLE | changes).items() if value is not ...}
    found = read_live_series(answer(item), [5])
    assert not isinstance(found, Unread)
    return found[0]


def test_every_setting_that_the_api_tells_is_copied():
    """And nothing is left open."""
    assert one() == LiveSeries(5, 4711, COPIED, ())


@pytest.mark.parametrize(
    ("changes", "copied"),
    [
        ({"clientHandlingType": "GENERIC"}, {"kind": "generic", "max_create": 100, "issued_before": 40}),
        (
            {"clientHandlingType": "DISC_CODE_PIN", "numUploadedTotal": 50, "numUploadedNonIssued": 8},
            {"kind": "uploaded", "stock": 50, "issued_before": 42, "max_create": None},
        ),
        ({"maxCreate": -1, "maxVouchersPerUser": -1}, {"max_create": None, "max_per_customer": None}),
        ({"doNotResendExistingVoucher": False}, {"resend_existing": True}),
        ({"externalIssual": True}, {"external": True}),
        ({"mutualExclusiveSeriesIds": "[-1]"}, {"excludes": None}),
        ({"mutualExclusiveSeriesIds": "[]"}, {"excludes": None}),
        ({"mutualExclusiveSeriesIds": [8]}, {"excludes": [8]}),
        ({"validTillDate": 2061849600000}, {"valid_till": datetime(2035, 5, 4, tzinfo=UTC)}),
        ({"fixedExpiryDate": 0}, {"fixed_expiry": None}),
        ({"fixedExpiryDate": None}, {"fixed_expiry": None}),
        ({"maxVouchersPerUser": "4"}, {"max_per_customer": 4}),
    ],
)
def test_a_setting_means_what_the_api_means_by_it(changes, copied):
    """The kind by its handling; what was uploaded and is left; −1 as no limit; times as text or milliseconds."""
    found = one(**changes)
    assert found.open == ()
    assert {name: found.settings.get(name) for name in copied} == copied


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("maxCreate", None, "series 5: maxCreate is not told; the sandbox takes no limit"),
        ("maxVouchersPerUser", "many", "series 5: maxVouchersPerUser is 'many', which is not understood;"),
        ("clientHandlingType", "NEW", "series 5: clientHandlingType is 'NEW', which is not understood;"),
        ("isMultipleVouchersPerUserAllowed", ..., "isMultipleVouchersPerUserAllowed is not told;"),
        ("doNotResendExistingVoucher", 1, "doNotResendExistingVoucher is 1, which is not understood;"),
        ("validTillDate", "soon", "validTillDate is 'soon', which is not understood; the sandbox takes no end"),
        ("mutualExclusiveSeriesIds", "6;7", "mutualExclusiveSeriesIds is '6;7', which is not understood;"),
        ("discountType", ..., "discountType is not told; the sandbox takes ABS"),
        ("discountValue", -1, "discountValue is -1, which is not understood;"),
        ("numIssued", ..., "numIssued is not told; the sandbox takes 0"),
    ],
)
def test_what_the_api_leaves_open_is_named_and_never_guessed_in_silence(name, value, sentence):
    (told,) = one(**{name: value}).open
    assert sentence in told


def test_an_uploaded_series_whose_stock_makes_no_sense_says_so():
    """More codes left than were ever uploaded."""
    found = one(clientHandlingType="DISC_CODE_PIN", numUploadedTotal=5, numUploadedNonIssued=6)
    assert "stock" not in found.settings
    assert "numUploadedNonIssued is 6, which is not understood; the sandbox takes stock without end" in found.open[0]


def test_series_come_in_the_order_asked_for_and_unknown_ones_are_left_out():
    found = read_live_series(answer({"id": 2}, {"id": 1}, None, {"id": "x"}), [1, 9, 2, 1])
    assert not isinstance(found, Unread)
    assert [series.id for series in found] == [1, 2]


@pytest.mark.parametrize(
    "exchange",
    [
        Exchange(left=True, failure="timeout"),
        Exchange(left=True, status=403, body=b"{}", complete=True),
        Exchange(left=True, status=200, body=b"<html>", complete=True),
        Exchange(left=True, status=200, body=b'{"entity": 5}', complete=True),
    ],
)
def test_an_answer_that_says_nothing_copies_nothing(exchange):
    assert isinstance(read_live_series(exchange, [5]), Unread)


anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.lists(st.integers(), max_size=3)
)


@given(st.dictionaries(st.sampled_from(sorted(set(WHOLE) - {"id"})), anything))
def test_whatever_the_api_tells_the_file_is_one_that_the_sandbox_takes(changes):
    """Written as TOML and read again it says the same, and the sandbox has no objection."""
    found = one(**changes)
    text = toml_of({"org_id": 7}, [found.settings])
    assert tomllib.loads(text) == {"org_id": 7, "series": [found.settings]}
    assert parse_config(tomllib.loads(text)).series[5].id == 5
