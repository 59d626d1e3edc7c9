"""What a person is shown after a run, and the last line: why this exit code, and the exact command to run next."""

from __future__ import annotations

import errno
import io
import re
import shlex
from dataclasses import replace
from decimal import Decimal

import pytest
from rich.cells import cell_len

from runner.adapters.terminal.endings import command_line, last_line
from runner.adapters.terminal.screens import put, screen_for
from runner.adapters.terminal.summary_view import show_summary
from runner.core.face_value import FaceValue
from runner.core.totals import Coupons, Totals

RUN = "20261123T031500Z-birthday-4f9a1c"
OUT = f"coupon-runs/{RUN}"
COMMANDS_OF_TODAY = {"init", "plan", "run", "resume", "abandon", "report", "runs", "show", "find", "sandbox"}

TOTALS = Totals(
    rows=12_000,
    line_count=11_700,
    rejected=300,
    rows_seen=12_000,
    lines={
        "issued": 11_388,
        "partial": 40,
        "failed": 80,
        "not_sent": 120,
        "in_doubt": 12,
        "duplicate": 60,
        "rejected": 300,
    },
    coupons=Coupons(target=23_280, issued=22_000, before=1_200, in_doubt=80, missing=1_205, revoked=7, above=5),
    series={
        415446: Coupons(target=20_000, issued=19_000, in_doubt=80, missing=925, above=5),
        535521: Coupons(target=3_280, issued=3_000, missing=280),
    },
    again=120,
    for_a_person=420,
    errors={"5002": 80, "5005": 120, "701": 25, "http_504": 12},
    flags={"more_than_asked": 1},
    ledger_issued=22_000,
    ledger_in_doubt=80,
)
NOTHING_LEFT = replace(
    TOTALS,
    lines={"issued": 11_700},
    coupons=Coupons(target=22_000, issued=22_000, before=1_200),
    again=0,
    for_a_person=0,
)


def shown(totals: Totals = TOTALS, *, width: int = 80, **options) -> str:
    stream = io.StringIO()
    given = {
        "run": RUN,
        "campaign": "birthday",
        "org": "acme",
        "rehearsal": False,
        "out": OUT,
        "reports": ["results.csv", "failures.csv", "in_doubt.csv", "summary.json"],
    }
    show_summary(totals, console=screen_for(stream, width=width, is_terminal=False), **{**given, **options})
    return stream.getvalue()


def flat(text: str) -> str:
    return " ".join(text.split())


def test_the_coupons_add_up_and_say_what_this_run_issued():
    text = flat(shown())
    assert (
        "23,280 wanted + 5 held above their target = 22,000 issued + 80 in doubt + 1,205 missing"
        " 22,000 issued = 20,800 in this run + 1,200 before; 7 of them revoked since"
    ) in text


def test_what_is_issued_is_worth_so_much_where_that_is_known():
    """By the list of series or the API; nothing is said where nobody knows."""
    text = flat(shown(values={415446: FaceValue(Decimal(50)), 535521: FaceValue(percent=Decimal(10))}))
    assert "Issued 19,000 coupons, worth 950,000; 3,000 coupons that take off a percentage" in text
    assert "worth" not in shown()


def test_every_status_has_its_rows_in_plain_words_and_a_sum():
    lines = [flat(line) for line in shown().splitlines()]
    assert "issued 11,388 all that the row wants is issued" in lines
    assert "not sent 120 can be sent again as it is" in lines
    assert "in doubt 12 perhaps issued; held, and not asked for again" in lines
    assert "rejected 300 not valid: correct it in failures" in lines
    assert "all 12,000" in lines


def test_a_status_without_rows_is_left_out():
    assert "partial" not in shown(NOTHING_LEFT)


def test_rows_of_several_series_are_said_to_count_once_for_each():
    text = flat(shown(replace(TOTALS, rows=7_000)))
    assert "7,000 rows; a row that names several series counts once for each of them below: 12,000" in text


def test_codes_come_with_their_rows_advice_and_who_can_mend_it():
    text = flat(shown())
    assert "5002 80 The customer holds as many coupons of the series as it allows." in text
    assert "raise the maximum per customer" in text
    assert "(whoever owns the series settings)" in text
    assert text.index("5005 120") < text.index("5002 80") < text.index("701 25") < text.index("http_504 12")


def test_more_codes_than_are_shown_are_counted():
    errors = {str(code): 20 - position for position, code in enumerate(range(9000, 9013))}
    text = flat(shown(replace(TOTALS, errors=errors)))
    assert "and 3 more codes on 27 rows" in text


def test_surprises_are_said():
    text = flat(shown(surprises=["2 customers turned out to be one."]))
    assert "1 x the API issued more coupons than were asked for" in text
    assert "2 customers turned out to be one." in text


def test_the_reports_are_named_with_their_folder_in_one_piece():
    text = shown()
    assert f"Reports   {OUT}\n" in text
    assert "failures.csv  what is missing and why" in flat(text).replace("failures.csv ", "failures.csv  ")
    assert "coupons.csv" not in text


def test_each_series_has_its_line_those_in_need_first():
    lines = [line.split() for line in shown().splitlines()]
    assert lines.index(["415446", "20,000", "19,000", "80", "925"]) < lines.index(
        ["535521", "3,280", "3,000", "0", "280"]
    )


def test_why_it_stopped_and_how_long_it_took_are_said():
    text = flat(shown(why="series 415446 gave no coupons for 3 h", seconds=11_532))
    assert "Stopped series 415446 gave no coupons for 3 h" in text
    assert "Took 3 h 12 min" in text


def test_a_rehearsal_is_marked():
    assert shown(rehearsal=True).startswith("REHEARSAL")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_screen_and_none_is_coloured(width):
    text = shown(width=width, why="the queue of the series is empty " * 9, surprises=["word " * 60])
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "\x1b" not in text


class Failing(io.StringIO):
    """A stream whose every write fails in one way."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def write(self, text: str) -> int:
        raise OSError(self._number, "fails")


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO])
def test_a_reader_that_went_away_does_not_change_how_a_command_ends(number):
    screen = screen_for(Failing(number))
    put(screen, "first")
    put(screen, "second")


def test_a_full_disk_under_the_output_is_not_hidden():
    with pytest.raises(OSError, match="fails"):
        put(screen_for(Failing(errno.ENOSPC)), "data")


# ── the last line ────────────────────────────────────────────────────────────────────────────────────────────────────


def line_of(exit_code: int, why: str = "", totals: Totals | None = TOTALS, **options) -> str:
    return last_line(exit_code, why=why, totals=totals, run=RUN, out=OUT, campaign="birthday", **options)


def test_exit_0_says_what_this_run_issued_and_that_nothing_is_left():
    assert line_of(0, totals=NOTHING_LEFT) == (
        "exit 0: 20,800 coupons issued in this run; nothing is missing or in doubt, nothing is left to do"
    )


def test_exit_0_with_nothing_new_says_so():
    again = replace(NOTHING_LEFT, coupons=Coupons(target=22_000, issued=22_000, before=22_000))
    assert line_of(0, totals=again) == (
        "exit 0: nothing new was issued: 22,000 coupons issued by earlier runs, nothing is missing"
    )


def test_exit_1_counts_the_rows_that_need_a_person_and_feeds_failures_back():
    assert line_of(1) == (
        "exit 1: 420 rows need a person (300 rejected, 80 failed, 40 partial); 80 coupons in doubt; 120 rows not sent."
        f" Next, once failures.csv is corrected: coupon-runner run {OUT}/failures.csv --campaign birthday"
    )


def test_exit_1_for_a_surprise_only_looks_at_the_run():
    surprise = replace(NOTHING_LEFT, for_a_person=1)
    assert line_of(1, totals=surprise) == f"exit 1: 1 row needs a person. Next: coupon-runner show {RUN}"


def test_exit_2_repeats_the_message_and_shows_the_help_or_the_remedy():
    assert last_line(2, why="--count takes a whole number.", command="run") == (
        "exit 2: --count takes a whole number. Next: coupon-runner run --help"
    )
    assert last_line(2, why="There is no ledger for acme.", next_command="coupon-runner init --org acme") == (
        "exit 2: There is no ledger for acme. Next: coupon-runner init --org acme"
    )


def test_a_message_of_several_lines_is_counted_in_the_last_line():
    assert last_line(2, why="one\ntwo\n\nthree\n").startswith("exit 2: 3 problems, listed above.")


def test_exit_3_says_that_nothing_was_sent_and_repeats_the_command():
    assert last_line(3, why="42 orders overlap.", this_command="coupon-runner run list.csv --campaign x") == (
        "exit 3: 42 orders overlap; nothing was sent."
        " Next, once that is corrected: coupon-runner run list.csv --campaign x"
    )


def test_exit_4_goes_on_only_if_that_is_meant():
    line = line_of(4, "the cap of 3,000 coupons is reached (--max-coupons)")
    assert line.startswith("exit 4: the cap of 3,000 coupons is reached (--max-coupons); ")
    assert line.endswith(f"Next, if that is meant: coupon-runner resume {RUN}")


def test_exit_5_says_what_in_doubt_means_and_where_the_calls_are_listed():
    assert line_of(5, totals=replace(TOTALS, again=0, for_a_person=0, lines={"in_doubt": 12})) == (
        f"exit 5: 80 coupons in doubt (perhaps issued, so held and not asked for again, see {OUT}/in_doubt.csv)."
        f" Next: coupon-runner show {RUN}"
    )


def test_exit_5_with_rows_that_can_be_sent_goes_on_with_them():
    assert line_of(5).endswith(f"Next: coupon-runner resume {RUN}")


def test_exit_6_resumes_when_it_is_mended():
    line = line_of(6, "401: the API does not accept the credentials.")
    assert line.startswith("exit 6: 401: the API does not accept the credentials; 80 coupons in doubt")
    assert line.endswith(f"Next, when that is mended: coupon-runner resume {RUN}")


def test_exit_7_waits_for_the_other_process():
    assert last_line(7, why="Process 4711 holds the campaign.", this_command="coupon-runner run list.csv") == (
        "exit 7: Process 4711 holds the campaign. Next, when it has ended: coupon-runner run list.csv"
    )


def test_exit_75_names_the_reason_what_is_left_and_the_resume_line():
    left = replace(TOTALS, coupons=Coupons(target=120, missing=120), for_a_person=0, lines={"not_sent": 120})
    assert line_of(75, "series 415446 gave no coupons for 3 h", left) == (
        f"exit 75: series 415446 gave no coupons for 3 h; 120 rows not sent. Next: coupon-runner resume {RUN}"
    )


def test_rows_that_are_partly_issued_are_not_called_not_sent():
    assert "130 rows not sent or not complete" in line_of(75, totals=replace(TOTALS, again=130))


@pytest.mark.parametrize(("code", "word"), [(129, "SIGHUP"), (130, "Ctrl-C"), (143, "SIGTERM")])
def test_a_signal_is_named_and_the_run_goes_on_by_resume(code, word):
    for totals in (TOTALS, None):
        line = line_of(code, totals=totals)
        assert line.startswith(f"exit {code}: ")
        assert word in line
        assert line.endswith(f"Next: coupon-runner resume {RUN}")


def test_a_signal_with_nothing_left_does_not_suggest_a_resume_that_would_be_refused():
    assert "resume" not in line_of(130, totals=NOTHING_LEFT)


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 6, 7, 75, 129, 130, 143])
@pytest.mark.parametrize("totals", [TOTALS, NOTHING_LEFT, None])
@pytest.mark.parametrize("run", [RUN, ""])
def test_every_exit_code_has_one_line_with_a_reason_and_only_commands_that_exist(code, totals, run):
    for this_command in ("coupon-runner run list.csv", ""):
        line = last_line(code, totals=totals, run=run, out=OUT if run else "", command="run", this_command=this_command)
        assert "\n" not in line
        assert line.startswith(f"exit {code}: ")
        assert len(line.split(": ", 1)[1]) > 3
        assert set(re.findall(r"coupon-runner ([a-z]+)", line)) <= COMMANDS_OF_TODAY
        if code in (1, 4, 5) or (code in (6, 75, 129, 130, 143) and (run or this_command)):
            assert re.search(r"Next.*: coupon-runner ", line)


def test_a_suggested_command_can_be_pasted_into_a_shell():
    out = "my  runs/x's folder"
    line = last_line(1, totals=TOTALS, run=RUN, out=out, campaign="birthday & more", options=("--org", "a b"))
    words = shlex.split(line.split(": ")[-1])
    assert words == ["coupon-runner", "run", f"{out}/failures.csv", "--campaign", "birthday & more", "--org", "a b"]
    assert command_line("show", RUN) == f"coupon-runner show {RUN}"


def test_the_last_line_cannot_be_broken_by_what_comes_from_outside():
    for line in (
        last_line(6, why="the API said \x1b[2J\x07"),
        last_line(1, totals=TOTALS, run=RUN, out=OUT, campaign="birthday\n\x1b[2J"),
    ):
        assert line.isprintable()
