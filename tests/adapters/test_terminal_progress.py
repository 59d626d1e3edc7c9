"""What somebody watching a run sees, and that watching never disturbs it."""

from __future__ import annotations

import errno
import io
import json
import re
import sys
from dataclasses import replace
from datetime import timedelta, timezone

import pytest
from rich.cells import cell_len

from runner.adapters.terminal.bar import BarProgress
from runner.adapters.terminal.progress import JsonProgress, NoProgress, PlainProgress, progress_for
from runner.ports import Beat, Waiting

IST = timezone(timedelta(hours=5, minutes=30), "IST")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-7]|9[0-7]|38|4[0-7])(?:;[0-9;]*)?m")

BEAT = Beat(
    target=12_000,
    issued=7_340,
    in_doubt=12,
    missing=4_648,
    failed_orders=3,
    calls=900,
    calls_per_second=96.4,
    eta_seconds=720.0,
    waiting=(Waiting(415446, "5005"),),
    state="issuing",
    in_flight=16,
)


class HandClock:
    """A clock that moves when the test says so; it starts at 2026-11-23 03:15 UTC."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> float:
        return 1000.0 + self.passed

    def wall(self) -> float:
        return 1795403700.0 + self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds

    def chance(self) -> float:
        return 0.5


class GoneStream(io.StringIO):
    """A terminal that was closed, a log on a full disk: every write fails."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def write(self, text: str) -> int:
        raise OSError(self._number, "fails")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def bar_of(*beats: Beat, width: int = 80, messages=()) -> str:
    stream = io.StringIO()
    with BarProgress(stream, clock=HandClock(), zone=IST, width=width) as bar:
        for beat in beats:
            bar.beat(beat)
        for message in messages:
            bar.say(message)
    return stream.getvalue()


def test_the_bar_says_issued_of_target_doubts_failures_pace_end_and_what_waits_and_why():
    shown = ESCAPE.sub("", bar_of(BEAT))
    assert "7,340 of 12,000 coupons issued" in shown
    assert "61%" in shown
    assert "in doubt 12, failed orders 3, 96 calls/s" in shown
    assert "about 08:57 (in 12 min)" in shown
    assert "series 415446: The queue of the series is empty (5005)" in shown


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_of_the_bar_is_wider_than_the_terminal(width):
    huge = replace(
        BEAT,
        target=2_000_000_000,
        issued=1_234_567_890,
        in_doubt=12_345_678,
        failed_orders=1_234_567,
        calls_per_second=12_345.6,
        eta_seconds=9e5,
        waiting=tuple(Waiting(9_000_000_000 + n, code) for n in range(9) for code in ("5005", "521", "429", "4001")),
        state="throttled",
    )
    shown = bar_of(huge, width=width, messages=["the queue of the series is empty " * 9])
    lines = ESCAPE.sub("", shown).replace("\r", "\n").split("\n")
    assert max(map(cell_len, lines)) <= width
    if width == 80:
        assert any(len(line) > 60 for line in lines)


@pytest.mark.parametrize("state", ["pausing", "throttled", "finishing"])
def test_the_state_is_a_word_and_not_only_a_colour(state):
    assert state in ESCAPE.sub("", bar_of(replace(BEAT, state=state)))


def test_a_pausing_run_promises_no_end():
    shown = ESCAPE.sub("", bar_of(replace(BEAT, state="pausing")))
    assert "not known while it pauses" in shown
    assert "08:57" not in shown


def test_a_paused_run_says_by_whom_and_since_when():
    """On the bar and in a plain line; no end is promised, and programs are told too."""
    paused = replace(BEAT, state="paused", paused_by="ann", paused_since=1795403100.0)
    shown = ESCAPE.sub("", bar_of(paused))
    assert "after somebody lets it go on (paused by ann since 08:35)" in shown
    assert "about" not in shown
    stream = io.StringIO()
    with PlainProgress(stream, clock=HandClock(), zone=IST) as display:
        display.beat(paused)
    assert "paused: 7,340 of 12,000" in stream.getvalue()
    assert "(paused by ann since 08:35)" in stream.getvalue()
    stream = io.StringIO()
    with JsonProgress(stream, clock=HandClock()) as display:
        display.beat(paused)
    told = json.loads(stream.getvalue())
    assert (told["state"], told["paused_by"], told["paused_since"]) == ("paused", "ann", "2026-11-23T03:05:00.000Z")


def test_the_end_says_what_decides_it():
    """For people a sentence, for programs a word."""
    beat = replace(BEAT, decided_by="series 415446")
    assert "about 08:57 (in 12 min), when series 415446 gives up waiting" in ESCAPE.sub("", bar_of(beat, width=120))
    stream = io.StringIO()
    with JsonProgress(stream, clock=HandClock()) as display:
        display.beat(beat)
    assert json.loads(stream.getvalue())["decided_by"] == "series 415446"


def test_issued_in_doubt_and_missing_differ_by_sign_and_not_only_by_colour():
    line = next(line for line in ESCAPE.sub("", bar_of(BEAT)).splitlines() if "issuing" in line)
    drawn = line.split()[1]
    assert len(set(drawn)) == 3
    assert abs(drawn.count(drawn[0]) / len(drawn) - 7340 / 12000) < 0.05


def test_a_run_is_at_100_percent_only_when_everything_is_issued():
    assert "99%" in bar_of(replace(BEAT, issued=11_999))
    assert "100%" in bar_of(replace(BEAT, issued=12_000))


def test_no_color_is_honoured_by_the_bar(monkeypatch):
    assert COLOUR.search(bar_of(BEAT))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not COLOUR.search(bar_of(BEAT))


def test_a_series_that_waits_says_since_when_and_when_it_gives_up():
    """The budget is never a secret; the first few of many."""
    wall = HandClock().wall()
    waiting = tuple(Waiting(n, "5005", wall - 600.0, wall + 10_200.0) for n in (415446, 2, 3, 4, 5))
    stream = io.StringIO()
    with PlainProgress(stream, clock=HandClock(), zone=IST) as display:
        display.beat(replace(BEAT, waiting=waiting))
    told = stream.getvalue().partition("waiting: ")[2].splitlines()[0].split("; ")
    assert told[0] == "series 415446 empty since 08:35, gives up 11:35"
    assert told[3:] == ["and 2 more series"]


def test_many_waiting_series_are_counted_and_not_cut():
    waiting = (*(Waiting(n, "5005") for n in range(1, 9)), Waiting(50, "429"))
    shown = ESCAPE.sub("", bar_of(replace(BEAT, waiting=waiting)))
    assert "series 1, 2, 3 and 5 more: The queue" in shown
    assert "series 50: The key's limit" in shown


def test_events_stand_above_the_bar_with_their_local_time_and_no_markup():
    shown = ESCAPE.sub("", bar_of(BEAT, messages=["series 415446 waits: [red]5005\x1b[31m\x07"]))
    assert "08:45:00  series 415446 waits: [red]5005?[31m?" in shown


def test_the_cursor_is_never_left_hidden():
    """A process that is killed cannot show it again."""
    shown = bar_of(BEAT)
    before_first_line = shown[: shown.index("issuing")]
    assert before_first_line.rindex("\x1b[?25h") > before_first_line.rindex("\x1b[?25l")


def test_after_an_exception_the_terminal_is_clean_and_the_last_state_stays():
    stream = io.StringIO()

    def interrupted_run() -> None:
        with BarProgress(stream, clock=HandClock(), zone=IST, width=80) as bar:
            bar.beat(BEAT)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_run()
    shown = stream.getvalue()
    assert shown.rindex("7,340 of 12,000") > shown.rindex("\x1b[2K")
    assert shown.endswith("\n")
    assert shown.rfind("\x1b[?25l") < shown.rindex("\x1b[?25h")


def test_the_bar_leaves_nothing_behind_at_an_ordinary_end():
    shown = bar_of(BEAT)
    assert "7,340" not in shown[shown.rindex("\x1b[2K") :]


def test_what_a_library_writes_to_stderr_goes_above_the_bar_and_stdout_is_left_alone(monkeypatch):
    stream, out = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "stdout", out)
    with BarProgress(stream, clock=HandClock(), width=80) as bar:
        bar.beat(BEAT)
        print("a warning", file=sys.stderr)
        print("data")
        assert stream.getvalue().rindex("issuing") > stream.getvalue().rindex("a warning")
    assert sys.stderr is stream
    assert "a warning" in stream.getvalue()
    assert out.getvalue() == "data\n"


@pytest.mark.parametrize("mode", ["bar", "plain", "json"])
@pytest.mark.parametrize("number", [errno.EIO, errno.EPIPE, errno.ENOSPC])
def test_a_terminal_that_went_away_does_not_disturb_the_run(mode, number):
    with progress_for(
        mode, stream=GoneStream(number), is_terminal=True, clock=HandClock(), interval_seconds=0
    ) as display:
        for _ in range(3):
            display.beat(BEAT)
            display.say("a message")


def test_a_closed_stream_does_not_disturb_the_run():
    stream = io.StringIO()
    with PlainProgress(stream, clock=HandClock(), interval_seconds=0) as display:
        display.beat(BEAT)
        stream.close()
        display.beat(BEAT)


def plain(clock: HandClock, **options) -> tuple[io.StringIO, PlainProgress]:
    stream = io.StringIO()
    return stream, PlainProgress(stream, clock=clock, zone=IST, **options)


def test_plain_lines_come_soon_then_at_most_every_interval_and_at_the_end():
    clock = HandClock()
    stream, display = plain(clock)
    counts = []
    with display:
        for half_seconds in range(2 * 65 + 1):
            clock.passed = half_seconds / 2
            display.beat(replace(BEAT, issued=half_seconds))
            counts.append(len(stream.getvalue().splitlines()))
    shown_at = [n / 2 for n in range(1, len(counts)) if counts[n] > counts[n - 1]]
    assert shown_at == [2.0, 32.0, 62.0]
    assert "130 of 12,000" in stream.getvalue().splitlines()[-1]
    assert len(stream.getvalue().splitlines()) == 4


def test_a_plain_line_says_everything_with_a_local_time_and_no_escape():
    clock = HandClock()
    stream, display = plain(clock, interval_seconds=0)
    display.beat(BEAT)
    assert stream.getvalue() == (
        "2026-11-23 08:45:00 IST  issuing: 7,340 of 12,000 coupons issued (61%), in doubt 12, failed orders 3,"
        " 96 calls/s, ends about 08:57 (in 12 min); waiting: series 415446: The queue of the series is empty (5005)\n"
    )


def test_each_event_is_one_plain_line_at_once():
    stream, display = plain(HandClock())
    display.say("pausing:\nthe API\tcannot be reached\x1b[2J")
    assert stream.getvalue() == "2026-11-23 08:45:00 IST  pausing: the API cannot be reached?[2J\n"


def test_a_short_run_still_shows_its_last_state():
    stream, display = plain(HandClock())
    with display:
        display.beat(BEAT)
    assert stream.getvalue().count("7,340 of 12,000") == 1


def test_a_stream_that_cannot_write_a_sign_gets_an_escape_instead():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    PlainProgress(stream, clock=HandClock(), zone=IST).say("नमस्ते")
    PlainProgress(stream, clock=HandClock(), zone=IST).say("still there")
    assert b"\\u0928" in raw.getvalue()
    assert b"still there" in raw.getvalue()


def test_json_lines_are_one_object_each_with_utc_times():
    stream = io.StringIO()
    with JsonProgress(stream, clock=HandClock()) as display:
        display.beat(BEAT)
        display.say("series 415446\nwaits")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["type"] == "progress"
    assert first["time"] == "2026-11-23T03:15:00.000Z"
    assert (first["target"], first["issued"], first["in_doubt"], first["missing"]) == (12_000, 7_340, 12, 4_648)
    assert first["waiting"] == [{"series": 415446, "code": "5005", "since": None, "gives_up": None}]
    assert first["eta_seconds"] == 720.0
    assert second == {"type": "message", "time": "2026-11-23T03:15:00.000Z", "message": "series 415446\nwaits"}


def test_the_mode_auto_is_a_bar_only_on_a_terminal_that_can_move_its_cursor(monkeypatch):
    def kind(mode, is_terminal):
        return type(progress_for(mode, stream=io.StringIO(), is_terminal=is_terminal, clock=HandClock()))

    assert kind("auto", True) is BarProgress
    assert kind("auto", False) is PlainProgress
    assert kind("bar", False) is PlainProgress
    assert kind("plain", True) is PlainProgress
    assert kind("json", True) is JsonProgress
    assert kind("none", True) is NoProgress
    monkeypatch.setenv("TERM", "dumb")
    assert kind("auto", True) is PlainProgress


def test_no_progress_writes_nothing():
    stream = io.StringIO()
    with progress_for("none", stream=stream, is_terminal=True) as display:
        display.beat(BEAT)
        display.say("anything")
    assert stream.getvalue() == ""
