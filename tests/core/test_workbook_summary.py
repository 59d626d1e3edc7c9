"""The first sheet of a report, in words: what happened, what is to be done, what is left out; and the sums add up."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from runner.core.codes import CodeTable
from runner.core.face_value import FaceValue
from runner.core.model import Problem
from runner.core.totals import Coupons, Totals
from runner.core.workbook_summary import (
    REASONS_KEPT,
    REASONS_SHOWN,
    SERIES_SHOWN,
    Block,
    Extent,
    Reasons,
    RunInWords,
    Summary,
    summarise,
)
from runner.core.workbook_tables import MAX_LINES, Changes

START = 1_795_402_800.0


def totals(**facts: Any) -> Totals:
    """Of a small run: 10 rows, two series, something of everything."""
    known: dict[str, Any] = {
        "rows": 10,
        "line_count": 10,
        "rejected": 1,
        "rows_seen": 10,
        "lines": {"issued": 5, "partial": 1, "failed": 1, "not_sent": 1, "in_doubt": 1, "duplicate": 1, "rejected": 1},
        "coupons": Coupons(target=20, issued=14, before=2, in_doubt=1, missing=5),
        "series": {
            415446: Coupons(target=12, issued=12),
            535521: Coupons(target=8, issued=2, before=2, in_doubt=1, missing=5),
        },
        "again": 1,
        "for_a_person": 3,
        "errors": {"5002": 1, "701": 2, "http_504": 1},
        "flags": {},
        "ledger_issued": 14,
        "ledger_in_doubt": 1,
    }
    return Totals(**{**known, **facts})


def run(**facts: Any) -> RunInWords:
    known: dict[str, Any] = {
        "name": "20261123T031500Z-may-4f9a1c",
        "org": "Acme",
        "campaign": "May",
        "state": "finished",
        "reason": "",
        "files": [{"name": "may.xlsx", "sheet": "List", "rows": 9}, {"name": "late.csv", "sheet": "", "rows": 1}],
        "owner": {"user": "meera", "host": "office-2", "pid": 7},
        "started": START,
        "ended": START + 60,
        "live": False,
        "rehearsal": False,
    }
    return RunInWords(**{**known, **facts})


def extent(**there: int) -> Extent:
    csv = {"Results": "results.csv", "Failures": "failures.csv", "Coupons": "coupons.csv", "In doubt": "in_doubt.csv"}
    counts = {sheet: there.get(sheet.lower().replace(" ", "_"), 1) for sheet in csv}
    held = {sheet: min(count, MAX_LINES) for sheet, count in counts.items()}
    return Extent(held=held, there=counts, csv=csv, failures_file=counts["Failures"] <= MAX_LINES)


def said(
    of: RunInWords | None = None,
    sums: Totals | None = None,
    *,
    codes: tuple[int, ...] = (5, 1, 75),
    reasons: Reasons | None = None,
    changes: Changes | None = None,
    held: Extent | None = None,
) -> Summary:
    return summarise(
        of or run(),
        sums or totals(),
        codes,
        codes=CodeTable.default(),
        reasons=reasons or Reasons(),
        changes=changes or Changes(),
        extent=held or extent(),
        local=lambda seconds: datetime.fromtimestamp(seconds, UTC),
    )


def block(summary: Summary, title: str) -> Block:
    return next(one for one in summary.blocks if one.title == title)


def test_it_says_first_what_happened_and_what_to_do():
    """How many coupons of how many, and a sentence for each kind of row that is not finished."""
    summary = said()
    assert (summary.sheet, summary.title, summary.banner) == ("Summary", "Coupons for May", "")
    assert summary.headline == "14 of 20 coupons are issued (70%)."
    assert [step.partition(".")[0] for step in summary.steps] == [
        "3 rows need a person",
        "1 coupon is in doubt: sent, and the answer was lost",
        "1 row can be sent again as it is: coupon-runner resume 20261123T031500Z-may-4f9a1c",
    ]
    assert "Correct failures.xlsx and run it" in summary.steps[0]


def test_a_run_with_nothing_left_says_so():
    """And nothing else."""
    done = totals(
        again=0, for_a_person=0, errors={}, lines={"issued": 10}, coupons=Coupons(target=20, issued=20), series={}
    )
    summary = said(sums=done, codes=(0,))
    assert summary.headline == "20 of 20 coupons are issued (100%)."
    assert summary.steps == ("There is nothing left to do.",)
    assert dict(summary.facts)["Outcome"] == "finished: everything that was wanted is issued (exit code 0)"
    assert summary.notes == ()


def test_a_rehearsal_begins_with_its_name():
    """Sheet and title; a banner says what it is worth."""
    summary = said(run(rehearsal=True))
    assert summary.sheet == "REHEARSAL Summary"
    assert summary.title.startswith("REHEARSAL")
    assert "not whether customers exist" in summary.banner


def test_a_live_run_has_no_outcome_yet_and_nothing_to_do():
    """Its figures move on."""
    summary = said(run(live=True, state="running", ended=None), totals(for_a_person=0), codes=())
    assert summary.headline.startswith("The run was still going on")
    facts = dict(summary.facts)
    assert facts["Outcome"] == "running"
    assert "Ended" not in facts
    assert not any("resume" in step for step in summary.steps)


def test_facts_name_run_files_person_and_local_times_with_their_zone():
    """Empty ones are left out."""
    facts = dict(said().facts)
    assert facts == {
        "Campaign": "May",
        "Organisation": "Acme",
        "Run": "20261123T031500Z-may-4f9a1c",
        "Outcome": "finished: some calls are in doubt (exit code 5)",
        "Files": "may.xlsx, sheet List (9 rows)\nlate.csv (1 row)",
        "Started by": "meera on office-2",
        "Started": "2026-11-23 03:00:00 UTC",
        "Ended": "2026-11-23 03:01:00 UTC",
        "Times are in": "UTC",
    }
    stopped = dict(said(run(state="stopped", reason="the cap is reached"), codes=(4, 5)).facts)
    assert stopped["Outcome"] == "stopped: by a guard (exit code 4)"
    assert stopped["Stopped because"] == "the cap is reached"


def test_every_exit_code_of_a_run_has_words():
    """A number alone means nothing to who reads a workbook."""
    for code in (0, 1, 4, 5, 6, 75, 129, 130, 143):
        assert ":  (" not in dict(said(codes=(code,)).facts)["Outcome"]


def test_coupons_are_given_in_words_and_figures():
    """What came from earlier runs, was revoked, or lies above its target, only where there is some."""
    shown = block(said(), "Coupons")
    assert shown.headings == ("", "Wanted", "Issued", "In doubt", "Missing", "Before this run")
    assert shown.rows == (("All series", 20, 14, 1, 5, 2),)
    assert shown.sentence.startswith("20 wanted = 14 issued + 1 in doubt + 5 missing")
    more = block(said(sums=totals(coupons=Coupons(target=2, issued=4, revoked=1, above=2))), "Coupons")
    assert more.headings[-2:] == ("Revoked since", "Above target")
    assert said(sums=totals(coupons=Coupons(target=2, issued=4, above=2))).headline == (
        "4 coupons are issued; 2 were wanted."
    )


def test_rows_add_up_by_status_each_with_its_meaning():
    """The sum of the table is its last row, and the chart is of the others."""
    shown = block(said(), "Rows")
    *rows, last = shown.rows
    assert last == ("all", 11, "")
    assert sum(int(row[1]) for row in rows) == 11
    assert {row[0] for row in rows} >= {"not sent", "in doubt"}
    assert all(row[2] for row in rows)
    assert (shown.chart, shown.charted, shown.summed) == ("status", 7, True)
    assert "counts once for each of them: 11 = 5 issued" in shown.sentence
    only = block(said(sums=totals(lines={"issued": 10})), "Rows")
    assert (only.chart, only.sentence) == ("", "10 rows of input = 10 issued")


def test_series_stand_with_the_unfinished_first_and_add_up():
    """One alone needs neither chart nor sum."""
    shown = block(said(), "Series")
    assert shown.rows == (("535521", 8, 2, 1, 5), ("415446", 12, 12, 0, 0), ("all", 20, 14, 1, 5))
    assert (shown.chart, shown.charted) == ("series", 2)
    one = block(said(sums=totals(series={415446: Coupons(target=12, issued=12)})), "Series")
    assert (one.rows, one.chart, one.summed) == ((("415446", 12, 12, 0, 0),), "", False)


def test_series_stand_with_the_names_that_a_list_of_series_told():
    """In one line, whatever the name holds."""
    shown = block(said(run(series_names={415446: "Wel\x01come\n back", 999: "Other"})), "Series")
    assert [row[0] for row in shown.rows] == ["535521", "415446 Wel come back", "all"]


def test_very_many_series_are_summed_up():
    """The sum is over all of them, shown or not."""
    many = {number: Coupons(target=2, issued=1, missing=1) for number in range(1, SERIES_SHOWN + 51)}
    shown = block(said(sums=totals(series=many)), "Series")
    assert shown.rows[-2:] == (("50 more", 100, 50, 0, 50), ("all", 500, 250, 0, 250))
    assert len(shown.rows) == SERIES_SHOWN + 2
    assert shown.charted == 12


def test_codes_say_what_they_mean_what_to_do_and_who_can_do_it():
    """The commonest first."""
    rows = block(said(), "Reasons, by code").rows
    assert [(row[0], row[1]) for row in rows] == [("701", 2), ("5002", 1), ("http_504", 1)]
    assert rows[0][2:] == (
        "The customer does not exist in this organisation.",
        "Correct the mobile (with country code), e-mail or external id, or register the customer first.",
        "marketing",
    )


def test_reasons_for_rejecting_rows_are_counted_without_their_cells():
    """One row counts once for each of its reasons; the rest of very many is summed up."""
    reasons = Reasons()
    reasons.add([Problem("Qty", "0", "A count is at least 1."), Problem("Qty", "0", "A count is at least 1.")])
    reasons.add([Problem("Qty", "x", "A count is at least 1."), Problem(None, None, "This row names no customer.")])
    assert block(said(reasons=reasons), "Why rows were rejected").rows == (
        ("rejected", 2, "Qty: A count is at least 1."),
        ("rejected", 1, "This row names no customer."),
    )
    for number in range(REASONS_KEPT + 5):
        reasons.add([Problem(None, None, f"reason {number}")])
    assert len(reasons.rows) == REASONS_KEPT + 1
    rows = block(said(reasons=reasons), "Why rows were rejected").rows
    assert len(rows) == REASONS_SHOWN + 1
    assert sum(int(row[1]) for row in rows) == sum(reasons.rows.values()) == REASONS_KEPT + 8


def test_a_workbook_of_more_than_the_limit_says_what_is_in_csv_only():
    """Summary, failures and in doubt remain, and a part of the failures is never given back as if it were all."""
    lines = {"issued": 50_000, "failed": 150_000}
    there = extent(failures=150_000, results=200_000, coupons=50_000)
    held = {"Failures": MAX_LINES, "In doubt": 1}
    summary = said(
        sums=totals(lines=lines), held=Extent(held=held, there=there.there, csv=there.csv, failures_file=False)
    )
    assert summary.notes[0].startswith("200,000 lines are more than 100,000: this workbook holds summary, failures and")
    assert summary.notes[1] == ("The sheet Failures holds the first 100,000 of 150,000 rows: all are in failures.csv.")
    assert "no failures.xlsx" in summary.notes[2]
    assert "Correct failures.csv and run it" in summary.steps[0]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (Changes(controls=1), "1 cell held control characters"),
        (Changes(controls=2), "2 cells held control characters"),
        (Changes(cut=1), "1 cell held more than a workbook's cell can and is cut"),
        (Changes(cut=3), "3 cells held more than a workbook's cell can and are cut"),
    ],
)
def test_what_cells_could_not_hold_is_said(changes: Changes, sentence: str):
    """With the place where it stands in full."""
    (note,) = said(changes=changes).notes
    assert note.startswith(sentence)
    assert "CSV files" in note


def test_surprises_are_worth_a_look():
    """The flags of the calls, in their sentences."""
    assert said(sums=totals(flags={"more_than_asked": 2})).steps[-1] == (
        "Worth a look: 2 × the API issued more coupons than were asked for."
    )


def test_it_says_what_the_coupons_are_worth_and_what_was_held_back():
    """Money where the values are known; a reason a line, and that somebody sent it nonetheless."""
    held = {
        "series": 415446,
        "why": "expired",
        "message": "the series expired on 2026-10-31",
        "orders": 2,
        "coupons": 3,
    }
    facts = dict(said(run(values={415446: FaceValue(Decimal(50))}, preflight={"held_back": [held]})).facts)
    assert facts["Issued"] == "12 coupons, worth 600; 2 coupons of series whose value is not known"
    assert facts["Held back"] == "2 orders of series 415446: the series expired on 2026-10-31"
    ignored = dict(said(run(preflight={"held_back": [held], "ignored": True})).facts)
    assert ignored["Held back"].startswith("nothing (--ignore-preflight)")
    assert "Issued" not in ignored
    assert "Held back" not in dict(said().facts)
    unread = dict(said(run(preflight={"problem": "no access"})).facts)
    assert unread["Held back"] == "the settings of the series were not known: no access"
