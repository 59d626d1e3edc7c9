"""`runs`, `show` and `find` as text: aligned, within the width, nothing lost; for a pipe one plain line a row."""

from __future__ import annotations

import io
from datetime import timedelta, timezone
from typing import Any

import pytest
from rich.cells import cell_len

from runner.adapters.terminal.layout import Column, fold, pack, tabulate
from runner.adapters.terminal.screens import width_of
from runner.adapters.terminal.tables import find_text, runs_text, show_text
from runner.adapters.terminal.texts import clock_time, moment, pace, percent
from runner.core.wording import counted, duration

IST = timezone(timedelta(hours=5, minutes=30), "IST")
RUN = "20261123T031500Z-birthday-4f9a1c"
RUNS: list[dict[str, Any]] = [
    {
        "run": RUN,
        "org": "acme",
        "campaign": "birthday",
        "state": "finished",
        "started": 1795403700.0,
        "exit_code": 1,
        "target": 23_280,
        "issued": 22_000,
        "in_doubt": 80,
        "missing": 1_200,
        "reason": None,
    },
    {
        "run": "20261122T031500Z-diwali-4f9a1d",
        "org": "acme",
        "campaign": "diwali of a long name",
        "state": "stopped",
        "started": "2026-11-22T03:15:00.000Z",
        "exit_code": 75,
        "target": 1_000,
        "issued": 0,
        "in_doubt": 0,
        "missing": 1_000,
        "reason": "series 415446 gave no coupon for its whole budget; its rest is not sent",
    },
]
FOUND = [
    {
        "row": 1712,
        "series": 535521,
        "status": "partial",
        "target": 1_200,
        "issued": 2,
        "in_doubt": 0,
        "missing": 1_198,
        "run": RUN,
        "campaign": "birthday",
        "started": 1795403700.0,
        "file": "list.csv",
        "sheet": "May",
        "code": "5002",
        "message": "max coupons per customer reached for this series " * 3,
        "codes": ["ABC123", "DEF456"],
    }
]
SHOWN = {
    "run": RUN,
    "state": "finished",
    "started": 1795403700.0,
    "exit_code": 1,
    "files": ["a.csv", "b.csv"],
    "coupons": {"target": 23_280, "issued": 22_000, "in_doubt": 80},
    "series": [
        {
            "series": 415446,
            "state": "exhausted",
            "target": 20_000,
            "issued": 19_000,
            "code": "5005",
            "message": "empty " * 20,
        }
    ],
    "overrides": [{"what": "same-org", "who": "somebody", "when": "2026-11-23"}],
}


def words(text: str) -> list[str]:
    return text.split()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_of_a_table_is_wider_than_the_terminal_and_nothing_is_lost(width):
    for text, expected in (
        (runs_text(RUNS, width=width, zone=IST), [RUN, "23,280", "22,000", "1,200", "stopped", "75", "birthday"]),
        (find_text(FOUND, width=width, zone=IST), [RUN, "1712", "535521", "1,198", "May", "DEF456"]),
        (show_text(SHOWN, width=width, zone=IST), [RUN, "19,000", "5005", "same-org", "somebody"]),
    ):
        assert max(map(cell_len, text.splitlines())) <= width
        assert set(expected) <= {word.strip(",") for word in words(text)}
        assert "\t" not in text
        assert "\x1b" not in text


def test_a_reason_that_does_not_fit_stands_whole_below_its_row():
    assert RUNS[1]["reason"] in " ".join(words(runs_text(RUNS, width=80)))


def test_for_a_pipe_each_row_is_one_aligned_line_with_utc_times_and_plain_numbers():
    heading, first, second = runs_text(RUNS, width=None).splitlines()
    assert first.split() == [*f"{RUN} finished 1 23280 22000 80 1200 2026-11-23T03:15:00.000Z acme birthday".split()]
    assert second.endswith("its rest is not sent")
    assert heading.index("wanted") + len("wanted") == first.index("23280") + len("23280")
    assert heading.index("campaign") == first.rindex("birthday") == second.index("diwali of")
    assert len(find_text(FOUND, width=None).splitlines()) == 2


def test_on_a_terminal_times_are_local_and_numbers_of_rows_and_series_stay_bare():
    text = find_text(FOUND, width=120, zone=IST)
    assert "2026-11-23 08:45 IST" in text
    assert "2026-11-22 08:45 IST" in runs_text(RUNS, width=120, zone=IST)
    assert "1712" in text
    assert "535521" in text


def test_no_rows_are_said_in_a_sentence():
    assert runs_text([], width=80) == "No run is recorded in this ledger."
    assert find_text([], width=None) == "This customer is in no run of this ledger."


def test_show_names_each_fact_once_and_its_tables_after_them():
    text = show_text(SHOWN, width=80, zone=IST)
    assert "coupons    23,280 target, 22,000 issued, 80 in doubt" in text
    assert "files      a.csv, b.csv" in text
    assert text.index("files") < text.index("\nseries\n") < text.index("\noverrides\n")


def test_control_characters_in_rows_do_not_reach_the_terminal():
    text = find_text([{**FOUND[0], "file": "a\x1b[31m\tb\n.csv"}], width=None)
    assert "a?[31m b .csv" in text
    assert len(text.splitlines()) == 2


def test_folding_keeps_every_word_whole_and_fits():
    text = "coupon-runner resume " + RUN + " " + "and some more words " * 5
    lines = fold(text, 40, first="- ")
    assert " ".join(lines).split() == ["-", *text.split()]
    assert max(map(len, lines)) <= 40


def test_folding_counts_wide_signs_as_two_cells():
    lines = fold("優惠券 " * 20, 30)
    assert max(map(cell_len, lines)) <= 30
    assert len(lines) > 4


def test_packing_breaks_between_parts():
    lines = pack(["in doubt 12", "failed orders 3", "96 calls/s"], 31, first="    ")
    assert lines == ["    in doubt 12,", "    failed orders 3, 96 calls/s"]


def test_a_column_that_is_empty_everywhere_is_left_out():
    table = tabulate([{"a": "1", "b": ""}], [Column("a", "A"), Column("b", "B")], width=80)
    assert (table.heading, table.lines) == ("A", ("1",))


def test_a_long_text_takes_the_room_that_is_left_or_goes_below():
    columns = [Column("a", "A"), Column("text", "text", wraps=True)]
    side = tabulate([{"a": "x" * 10, "text": "word " * 20}], columns, width=50)
    below = tabulate([{"a": "x" * 40, "text": "word " * 20}], columns, width=50)
    assert side.heading == "A           text"
    assert all(line.startswith((" " * 12, "x" * 10)) for line in side.lines)
    assert below.heading == "A"
    assert below.lines[1].startswith("    text: word")


def test_the_width_of_a_pipe_is_not_known_and_that_of_a_terminal_is(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "100")
    assert width_of(Terminal()) == 100
    assert width_of(io.StringIO()) is None
    closed = io.StringIO()
    closed.close()
    assert width_of(closed) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (192, "3 min 12 s"),
        (7500, "2 h 5 min"),
        (3 * 86400 + 3600, "3 d 1 h"),
    ],
)
def test_a_length_of_time_is_said_in_two_units(seconds, text):
    assert duration(seconds) == text


def test_numbers_are_said_as_people_say_them():
    assert counted(1, "row") == "1 row"
    assert counted(12_000, "row") == "12,000 rows"
    assert percent(999, 1000) == "99%"
    assert percent(0, 0) == "100%"
    assert (pace(1500), pace(1.67), pace(0.5)) == ("1,500 calls/s", "1.7 calls/s", "30 calls/min")


def test_an_end_is_named_by_the_day_only_when_it_is_not_today():
    now = 1795403700.0
    assert clock_time(now + 600, now, IST) == "08:55"
    assert clock_time(now + 86_400, now, IST) == "Tue 08:45"
    assert clock_time(now + 30 * 86_400, now, IST) == "2026-12-23 08:45"


def test_a_text_that_is_no_time_stays_as_it_is():
    assert moment("2026-13-99T", IST) == "2026-13-99T"
    assert moment("yesterday", IST) == "yesterday"
    assert moment(None, IST) == ""
