"""Who issued coupons that an older copy of the ledger does not know."""

from __future__ import annotations

import pytest

from runner.core.coupon_reads import CouponDetail, CustomerCoupon
from runner.core.recovering import OURS, Reads, read_call_key, reads_of, shows_known_key, sort_unknown

KEY = "0123456789abcdef01234567-2-a1b2c3"


def coupon(number: int, code: str, series: int = 7) -> CustomerCoupon:
    return CustomerCoupon(str(number), code, series, None, False)


def detail(code: str, source: str | None = KEY, kind: str | None = OURS, series: int = 7) -> CouponDetail:
    return CouponDetail(code, series, kind, source)


def test_a_key_is_read_in_its_parts() -> None:
    """Digest of the order, number of the call, nonce of the ledger."""
    assert read_call_key(KEY) == ("0123456789abcdef01234567", 2, "a1b2c3")


@pytest.mark.parametrize(
    "text", ["", "x", KEY + "0", KEY[1:], KEY.replace("-2-", "-0-"), KEY.upper(), KEY + "\n", "order-2-a1b2c3"]
)
def test_what_is_no_key_of_ours_is_none(text: str) -> None:
    """Somebody else's sourceId must not be taken for a call."""
    assert read_call_key(text) is None


def test_coupons_with_our_key_are_that_calls() -> None:
    """Proven or not: nobody else knows such a key."""
    listed = [coupon(1, "A"), coupon(2, "B"), coupon(3, "C")]
    found = sort_unknown(listed[1:], listed, [detail(c) for c in "ABC"], proven=False, silent=())
    assert found.calls == {KEY: listed[1:]}
    assert (found.others, found.unexplained) == (0, [])


@pytest.mark.parametrize(
    ("shown", "proven", "silent", "others"),
    [
        (detail("A", None, None), True, (), 1),
        (detail("A", None, None), False, (), 0),
        (detail("A", None, None), True, (7,), 0),
        (detail("A", "till-1", "POS"), True, (7,), 1),
        (detail("A", "till-1", "POS"), False, (), 0),
        (None, True, (), 0),
        (detail("A", KEY, series=8), True, (), 0),
    ],
    ids=[
        "no source, where sources are shown",
        "no source, and nobody knows whether sources are shown",
        "no source, in a series that we issue from without saying so",
        "another program's",
        "another program's, and nobody knows whether ours are shown",
        "not shown at all",
        "shown for another series only",
    ],
)
def test_a_coupon_is_somebody_elses_only_where_ours_would_say_so(
    shown: CouponDetail | None, proven: bool, silent: tuple[int, ...], others: int
) -> None:
    """Everything else stays unexplained, and the ledger read-only."""
    one = coupon(1, "A")
    found = sort_unknown([one], [one], [shown] if shown is not None else [], proven=proven, silent=silent)
    assert (found.calls, found.others, len(found.unexplained)) == ({}, others, 1 - others)


def test_a_code_that_two_calls_gave_alike_is_nobodys() -> None:
    """A generic code: the read of origins names no coupon id, so nobody can say which is which."""
    listed = [coupon(1, "A"), coupon(2, "A")]
    other = KEY.replace("-2-", "-3-")
    found = sort_unknown(listed[1:], listed, [detail("A"), detail("A", other)], proven=True, silent=())
    assert (found.calls, found.unexplained) == ({}, listed[1:])
    short = sort_unknown(listed, listed, [detail("A")], proven=True, silent=())
    assert (short.calls, short.unexplained) == ({}, listed)


def test_only_a_key_that_the_ledger_knows_proves_that_keys_are_shown() -> None:
    """Any text might stand there."""
    assert shows_known_key([detail("A")], {KEY})
    assert not shows_known_key([detail("A")], {KEY + "x"})
    assert not shows_known_key([detail("A", KEY, "POS")], {KEY})


def test_the_cost_is_one_or_two_reads_a_customer() -> None:
    """And the time at the key's pace, at most."""
    assert reads_of(300, 100 / 60) == Reads(300, 600, 360.0)
    assert reads_of(3, None).seconds == 0.0
