"""Cells of CSV tables as sheets hold them: text is text, figures are numbers, times are local, nothing goes unsaid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from runner.core.reporting import COUPON_COLUMNS, RESULT_COLUMNS
from runner.core.workbook_tables import (
    CELL_LIMIT,
    CellMaker,
    Changes,
    Look,
    clean_text,
    columns_of,
    name_zone,
    sheet_widths,
    short_zone,
    tell_time,
)

INDIA = timezone(timedelta(hours=5, minutes=30), "IST")


def india(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).astimezone(INDIA)


def made(header: list[str], ours: int, *rows: list[str | int]) -> tuple[list[list[str | int | None]], Changes]:
    changes = Changes()
    maker = CellMaker(changes, local=india, whole="results.csv")
    return list(maker.rows(columns_of(header, ours), rows)), changes


def test_identifiers_stay_text_and_our_figures_are_numbers():
    """A series is an identifier; what the input holds is text whatever its heading is called."""
    rows, _ = made(["mobile", "_target", "_series", "_target"], 2, ["919000000001", 3, 415446, 3])
    assert rows == [["919000000001", "3", "415446", 3]]


def test_several_rows_in_one_cell_stay_text():
    """ "17; 23" is no number, and no spreadsheet may make one of it."""
    rows, _ = made(["_row"], 1, ["17; 23"])
    assert rows == [["17; 23"]]


def test_times_are_local_and_name_their_zone():
    """The input's own column of that name is left as it is."""
    cell = "2026-11-23T03:15:00.250Z"
    rows, _ = made(["time", "_first_sent", "_last_answer"], 2, [cell, cell, ""])
    assert rows == [[cell, "2026-11-23 08:45:00 IST", None]]


def test_a_long_list_of_codes_leads_to_the_sheet():
    """Not to the CSV file that the heading of the column means elsewhere."""
    rows, _ = made(["_codes", "_coupon_ids"], 2, ["see coupons", "A; B"])
    assert rows == [["see Coupons", "A; B"]]


def test_control_characters_are_left_out_and_counted_once_a_cell():
    """Line breaks and tabs are none; what is empty without them is an empty cell."""
    rows, changes = made(["a", "b", "c", "d"], 0, ["x\x00y\x1f", "\x07", "line\r\nline\ttab", "half \ud800 a pair"])
    assert rows == [["xy", None, "line\nline\ttab", "half  a pair"]]
    assert (changes.controls, changes.cut) == (3, 0)


def test_a_text_that_looks_like_an_escape_is_shown_as_it_is():
    """A spreadsheet would read _x0041_ as the letter A."""
    rows, _ = made(["a"], 0, ["id_x0041_7"])
    assert rows == [["id_x005F_x0041_7"]]
    assert clean_text("a_x1") == "a_x1"


@pytest.mark.parametrize("sign", ["a", "é", "\U0001f381"])
def test_a_cell_that_is_too_long_is_cut_with_a_mark_and_counted(sign: str):
    """Counted as spreadsheets do, in UTF-16 units, never half of a character."""
    rows, changes = made(["a"], 0, [sign * 40_000])
    (cell,) = rows[0]
    assert isinstance(cell, str)
    assert cell.endswith(" … [cut here: 40,000 characters; in full in results.csv]")
    assert CELL_LIMIT - 1 <= len(cell.encode("utf-16-le")) // 2 <= CELL_LIMIT
    assert (changes.controls, changes.cut) == (0, 1)


def test_a_cell_of_exactly_the_limit_is_whole():
    """The limit is what a cell can hold."""
    rows, changes = made(["a"], 0, ["x" * CELL_LIMIT])
    assert rows == [["x" * CELL_LIMIT]]
    assert changes == Changes()


def test_every_column_of_ours_has_a_look_that_fits():
    """Figures, times, statuses, sentences and what only programs read."""
    looks = {column.heading: column.look for column in columns_of([*RESULT_COLUMNS, *COUPON_COLUMNS], 99)}
    assert [heading for heading, look in looks.items() if look is Look.TIME] == ["_first_sent", "_last_answer", "time"]
    assert [heading for heading, look in looks.items() if look is Look.STATUS] == ["_status", "state"]
    assert [heading for heading, look in looks.items() if look is Look.WIDE] == ["_error_message", "_advice"]
    assert [heading for heading, look in looks.items() if look is Look.QUIET] == ["_request_id", "_ref"]
    assert looks["_series"] is looks["code"] is looks["coupon_id"] is looks["customer"] is Look.TEXT


def test_widths_follow_headings_and_cells_within_bounds():
    """Neither a strip nor a screen wide."""
    columns = columns_of(["a", "member", "notes", "_error_message"], 1)
    assert sheet_widths(columns, [["1", "Customer 17", "x" * 500, "y"], [None, None, None, None]]) == [7, 12, 36, 46]


def test_a_zone_is_named_by_its_short_name_or_its_distance():
    """Windows has names such as "India Standard Time", and some zones have none but a number."""
    winter, summer = 1_795_402_800.0, 1_782_000_000.0
    berlin = ZoneInfo("Europe/Berlin")
    assert tell_time(winter, lambda at: datetime.fromtimestamp(at, berlin)) == "2026-11-23 04:00:00 CET"
    assert tell_time(summer, lambda at: datetime.fromtimestamp(at, berlin)).endswith(" CEST")
    assert name_zone(india(winter)) == "IST (UTC+05:30)"
    assert name_zone(datetime.fromtimestamp(winter, UTC)) == "UTC"
    long = timezone(timedelta(hours=-3, minutes=-30), "Newfoundland Standard Time")
    assert short_zone(datetime.fromtimestamp(winter, long)) == "UTC-03:30"
    assert name_zone(datetime.fromtimestamp(winter, long)) == "UTC-03:30"
