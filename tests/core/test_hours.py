"""Hours and deadlines: by the clock of a time zone, over midnight and over the changes of summer time."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.hours import Hours, closes_at, ends_at, opens_at, parse_deadline, parse_hours, read_clock
from runner.errors import UsageError

KOLKATA, BERLIN = ZoneInfo("Asia/Kolkata"), ZoneInfo("Europe/Berlin")
DAY = parse_hours("09:00-21:00")
NIGHT = parse_hours("22:00-06:00")


def _at(text: str, zone: ZoneInfo = KOLKATA) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@pytest.mark.parametrize(
    ("now", "closes"),
    [
        ("2026-11-23T09:00", "2026-11-23T21:00"),
        ("2026-11-23T20:59", "2026-11-23T21:00"),
        ("2026-11-23T21:00", None),
        ("2026-11-23T08:59", None),
    ],
)
def test_the_hours_begin_with_their_first_minute_and_end_before_their_last(now, closes):
    """By the clock of the zone, whatever the machine's."""
    assert closes_at(DAY, _at(now), KOLKATA) == (None if closes is None else _at(closes))


def test_hours_may_go_over_midnight():
    """The early morning belongs to the evening before."""
    assert closes_at(NIGHT, _at("2026-11-23T23:30"), KOLKATA) == _at("2026-11-24T06:00")
    assert closes_at(NIGHT, _at("2026-11-24T05:59"), KOLKATA) == _at("2026-11-24T06:00")
    assert closes_at(NIGHT, _at("2026-11-24T06:00"), KOLKATA) is None


def test_when_the_hours_begin_again_is_known():
    """The same day before them, the next day after them."""
    assert opens_at(DAY, _at("2026-11-23T03:00"), KOLKATA) == _at("2026-11-23T09:00")
    assert opens_at(DAY, _at("2026-11-23T21:00"), KOLKATA) == _at("2026-11-24T09:00")
    assert opens_at(NIGHT, _at("2026-11-24T06:00"), KOLKATA) == _at("2026-11-24T22:00")


def test_a_night_in_which_the_clocks_change_has_an_hour_less_or_more():
    """The times are those of the clock on the wall."""
    spring, autumn = _at("2026-03-28T23:00", BERLIN), _at("2026-10-24T23:00", BERLIN)
    assert closes_at(NIGHT, spring, BERLIN) == spring + 6 * 3600
    assert closes_at(NIGHT, autumn, BERLIN) == autumn + 8 * 3600


@given(
    start=st.integers(0, 1439),
    length=st.integers(1, 1439),
    minutes=st.integers(0, 40_000),
)
def test_a_moment_is_inside_or_outside_and_the_next_change_is_right(start: int, length: int, minutes: int) -> None:
    """Inside until the end, outside until the begin, for any hours of a zone without changes."""
    first, last = divmod(start, 60), divmod((start + length) % 1440, 60)
    hours, now = Hours(time(*first), time(*last)), _at("2026-11-01T00:00") + 60 * minutes
    closes = closes_at(hours, now, KOLKATA)
    inside = (minutes - start) % 1440 < length
    assert (closes is not None) == inside
    if closes is not None:
        assert closes == now + 60 * (length - (minutes - start) % 1440)
    begins = (start - minutes) % 1440 or 1440
    assert opens_at(hours, now, KOLKATA) == now + 60 * begins


def test_a_deadline_is_a_time_since_the_start_or_the_next_such_time_of_day():
    """A time of day that is now is tomorrow's: a run that begins at its deadline would send nothing."""
    began = _at("2026-11-23T22:15")
    assert ends_at(parse_deadline("90m"), began, KOLKATA) == began + 5400
    assert ends_at(parse_deadline("22:30"), began, KOLKATA) == began + 900
    assert ends_at(parse_deadline("04:30"), began, KOLKATA) == _at("2026-11-24T04:30")
    assert ends_at(parse_deadline("22:15"), began, KOLKATA) == began + timedelta(days=1).total_seconds()


@pytest.mark.parametrize(
    "text", ["", "9-21", "09:00", "09:00-24:00", "09:00-09:00", "09:00-21:00-22:00", "21:00 to 09:00"]
)
def test_hours_that_are_none_are_refused_with_an_example(text):
    """Nothing about the hours in which messages go out is guessed."""
    with pytest.raises(UsageError, match="such as 09:00-21:00"):
        parse_hours(text)


@pytest.mark.parametrize("text", ["", "3", "0h", "soon", "25:00", "3 weeks"])
def test_a_deadline_that_is_none_is_refused_with_examples(text):
    """A bare number could be anything."""
    with pytest.raises(UsageError, match="such as 3h, or a time such as 04:30"):
        parse_deadline(text)


def test_hours_are_written_as_they_are_read():
    """In messages."""
    assert str(parse_hours(" 09:00 - 21:00")) == "09:00-21:00"
    assert read_clock("9:00") is None
