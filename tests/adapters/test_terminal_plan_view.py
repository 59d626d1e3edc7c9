"""What a person is shown before saying yes: everything that decides, in few lines, nothing cut in silence."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from rich.cells import cell_len

from runner.adapters.terminal.plan_view import ColumnSeen, SeriesSeen, coupons_sum, plan_json, rows_sum, show_plan
from runner.adapters.terminal.screens import screen_for
from runner.core.forecast import Forecast, Limit
from runner.core.model import Place, Problem
from runner.core.plan import OverlapSeen, Plan, SeriesPlan
from runner.core.preflight import Findings, HeldBack, Remark, Why

COLUMNS = (
    ColumnSeen("Ph No", "mobile", "11,940 filled, 60 blank, 11,640 different, 12 digits"),
    ColumnSeen("Qty", "count", "11,000 filled, 1,000 blank, 1 digit"),
)


def series_of(count: int) -> tuple[SeriesPlan, ...]:
    return tuple(
        SeriesPlan(series=415446 + n, orders=100 + n, target=1000, issued=50, held=2, missing=948, calls=110 + n)
        for n in range(count)
    )


SECRET = "98765432101234"


def rejected(count: int) -> tuple[tuple[Place, tuple[Problem, ...]], ...]:
    message = "A mobile needs at least 5 digits with its country code; this one has {}. Enter the whole number."
    return tuple((Place(0, "", n + 2), (Problem("Ph No", SECRET, message.format(n % 5)),)) for n in range(count))


def plan_of(series: tuple[SeriesPlan, ...] = series_of(2), **changes) -> Plan:
    sums = {key: sum(getattr(one, key) for one in series) for key in ("target", "issued", "missing", "calls", "orders")}
    plan = Plan(
        rows=12_000,
        rejected=300,
        duplicate_rows=60,
        lines=11_700,
        held=sum(one.held for one in series),
        skipped=0,
        below=0,
        leavers=0,
        series=series,
        overlaps=(),
        examples=rejected(25),
        digest="d" * 32,
        **sums,
    )
    return replace(plan, **changes)


def shown(plan: Plan, *, width: int = 80, is_terminal: bool = False, **options) -> str:
    stream = io.StringIO()
    given = {"campaign": "birthday", "org": "acme", "rehearsal": False, "files": ["list.csv"], "columns": COLUMNS}
    show_plan(plan, console=screen_for(stream, width=width, is_terminal=is_terminal), **{**given, **options})
    return stream.getvalue()


def flat(text: str) -> str:
    return " ".join(text.split())


def test_both_sums_are_there_and_add_up():
    plan = plan_of()
    assert rows_sum(plan) == "12,000 rows = 11,640 used + 300 rejected + 60 duplicates"
    assert coupons_sum(plan) == "2,000 wanted - 100 issued before - 4 in doubt = 1,896 to issue"
    assert rows_sum(plan) in flat(shown(plan))
    assert coupons_sum(plan) in flat(shown(plan))


def test_the_coupons_sum_adds_up_when_a_target_is_below_what_is_issued():
    text = coupons_sum(plan_of(target=100, issued=130, held=10, missing=20))
    assert text == "100 wanted - 130 issued before - 10 in doubt + 60 held above their target = 20 to issue"


def test_the_coupons_sum_adds_up_when_closed_orders_are_not_asked_for_again():
    text = coupons_sum(plan_of(target=100, issued=30, held=10, missing=20))
    assert text == "100 wanted - 30 issued before - 10 in doubt - 40 not to be asked for again = 20 to issue"


def test_campaign_org_file_columns_pace_and_end_are_named():
    text = flat(shown(plan_of(), rate="100 calls/min", until="about 16:42 IST", cap=500, unfinished="Run X waits."))
    assert "birthday (of acme)" in text
    assert "list.csv" in text
    assert "Ph No mobile 11,940 filled, 60 blank, 11,640 different, 12 digits" in text
    assert "at least 221 calls for 201 orders, at most 100 calls/min, until about 16:42 IST" in text
    assert "at most 500 coupons in this run: 1,396 of those to issue will be left" in text
    assert "Run X waits." in text


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (Limit.PACE, "about 3 h 12 min at 100/m, decided by the pace; until 04:31"),
        (Limit.ANSWERS, "about 3 h 12 min at most 100/m, decided by how fast calls are answered; until 04:31"),
        (Limit.HOURS, "about 3 h 12 min at most 100/m, when its hours end; the rest is left; until 04:31"),
    ],
)
def test_how_long_it_takes_is_said_with_what_decides_it(limit, words):
    ahead = Forecast(11520.0, limit)
    text = flat(shown(plan_of(), rate="100/m", until="04:31", ahead=ahead))
    assert f"at least 221 calls for 201 orders; {words}" in text
    document = plan_json(
        plan_of(), campaign="c", org="o", rehearsal=False, files=["f"], columns=COLUMNS, rate="100/m", ahead=ahead
    )
    assert (document["seconds"], document["decided_by"]) == (11520.0, str(limit))


def test_each_series_has_its_figures_and_the_table_its_sum():
    lines = [line.split() for line in shown(plan_of()).splitlines()]
    assert ["415446", "100", "1,000", "50", "2", "948", "110"] in lines
    assert ["415447", "101", "1,000", "50", "2", "948", "111"] in lines
    assert ["all", "2", "201", "2,000", "100", "4", "1,896", "221"] in lines


def test_beyond_twelve_series_the_rest_is_summed_up_and_counted():
    lines = [line.split() for line in shown(plan_of(series_of(15))).splitlines()]
    assert sum(bool(line) and line[0].isdigit() and len(line[0]) == 6 for line in lines) == 12
    assert ["3", "more", "339", "3,000", "150", "6", "2,844", "369"] in lines
    assert ["all", "15", "1,605", "15,000", "750", "30", "14,220", "1,755"] in lines


def test_overlaps_say_where_how_many_and_which_rows():
    overlap = OverlapSeen(
        where="campaign diwali, run 20261101T040000Z-diwali-aa11bb, october.csv, 2026-11-01",
        orders=42,
        rows=(3, 1700, 20, 21, 22, 40, 41),
    )
    text = flat(shown(plan_of(overlaps=(overlap,))))
    assert "Already issued elsewhere: 42 orders" in text
    assert "42 orders: campaign diwali, run 20261101T040000Z-diwali-aa11bb, october.csv, 2026-11-01" in text
    assert "rows 3, 1700, 20, 21, 22 and 2 more" in text


def test_it_is_said_when_others_on_the_key_would_be_refused():
    """Beside the calls, as a note."""
    assert "Note tills would be refused" in flat(shown(plan_of(), pace_advice="tills would be refused"))
    assert "Note" not in shown(plan_of())


def test_more_overlaps_than_are_shown_are_counted():
    overlaps = tuple(OverlapSeen(where=f"campaign c{n}", orders=10, rows=(n,)) for n in range(13))
    text = flat(shown(plan_of(overlaps=overlaps)))
    assert "130 orders whose customer" in text
    assert "and 30 more orders in 3 more places" in text


def test_the_first_ten_rejected_rows_are_shown_and_the_others_counted():
    text = flat(shown(plan_of()))
    assert "300 rows rejected" in text
    assert "row 2: Ph No …1234: A mobile needs at least 5 digits" in text
    assert "row 11: " in text
    assert "row 12: " not in text
    assert "and 290 more rows" in text


def test_reasons_that_differ_only_in_numbers_are_one_and_are_said_to_be_of_the_first_rows():
    text = flat(shown(plan_of()))
    assert "Commonest reasons among the first 25 rejected rows" in text
    assert "25 x Ph No: A mobile needs at least 5 digits" in text
    assert text.count("Enter the whole number.") == 1


def test_reasons_counted_over_all_rows_are_taken_as_they_are():
    text = flat(shown(plan_of(), reasons={f"reason {n}": n for n in range(1, 13)}))
    assert "Commonest reasons (a row can have several)" in text
    assert text.index("12 x reason 12") < text.index("3 x reason 3")
    assert "and 2 more reasons" in text


def test_few_rejected_rows_are_shown_with_the_whole_advice():
    text = flat(shown(plan_of(rejected=2, examples=rejected(2))))
    assert text.count("Enter the whole number.") == 2
    assert "Commonest" not in text


def test_with_several_files_a_rejected_row_names_its_file():
    examples = ((Place(1, "May", 7), (Problem(None, None, "This row names no customer."),)),)
    text = flat(shown(plan_of(rejected=1, examples=examples), files=["a.csv", "b.xlsx"]))
    assert "row 7 of sheet May of b.xlsx: This row names no customer." in text


def test_a_rejected_row_shows_its_cell_but_for_what_may_be_somebodys_number():
    text = shown(plan_of(rejected=2, examples=rejected(2)))
    assert "row 2: Ph No …1234: A mobile needs" in flat(text)
    count = ((Place(0, "", 7), (Problem("Qty", "two", "This is not a count."),)),)
    assert "row 7: Qty 'two': This is not a count." in flat(shown(plan_of(rejected=1, examples=count)))
    assert SECRET not in text


def test_leavers_lowered_targets_and_skipped_orders_are_said():
    text = flat(shown(plan_of(leavers=17, below=3, skipped=4)))
    assert "17 orders of earlier runs of this campaign hold coupons, but are in no row now" in text
    assert "3 orders ask for fewer coupons than were issued already" in text
    assert "4 orders are skipped" in text


def test_a_part_of_a_campaign_says_nothing_of_leavers():
    assert "in no row" not in flat(shown(plan_of(leavers=None)))


def test_a_rehearsal_says_that_it_checks_the_file_and_not_whether_customers_exist():
    text = flat(shown(plan_of(), rehearsal=True))
    assert text.startswith("REHEARSAL")
    assert "checks the file, not whether the customers or the series exist" in text
    assert "REHEARSAL" not in shown(plan_of())


def test_nothing_missing_is_said_plainly():
    done = SeriesPlan(series=1, orders=0, target=10, issued=10, held=0, missing=0, calls=0)
    assert "Calls none: nothing is missing" in flat(shown(plan_of((done,), rejected=0, examples=())))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_screen(width):
    overlaps = (OverlapSeen(where="campaign diwali and everything else " * 5, orders=1, rows=(1,)),)
    columns = (*COLUMNS, ColumnSeen("ग्राहक संख्या " * 4, "externalId", "何でも " * 30))
    plan = plan_of(series_of(20), overlaps=overlaps, leavers=1, below=1, skipped=1)
    text = shown(plan, width=width, columns=columns, unfinished="word " * 50, cap=5, rehearsal=True)
    assert max(cell_len(line) for line in text.splitlines()) <= width


def test_without_a_terminal_there_is_no_escape_and_on_one_no_color_is_honoured(monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b" not in shown(plan_of(), rehearsal=True)
    assert "\x1b[1;33m" in shown(plan_of(), rehearsal=True, is_terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "33m" not in shown(plan_of(), rehearsal=True, is_terminal=True)


def test_names_from_outside_cannot_command_the_terminal_or_the_markup():
    text = shown(
        plan_of(), campaign="[red]x\x1b[31m\u202e", files=["a\x07.csv"], columns=[ColumnSeen("Ph\nNo", "mobile", "")]
    )
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert "[red]x?[31m" in text
    assert "Ph No" in text


def test_the_json_holds_every_series_and_figure_without_cells():
    data: dict[str, Any] = plan_json(
        plan_of(series_of(15), leavers=None),
        campaign="birthday",
        org="acme",
        rehearsal=True,
        files=["list.csv"],
        columns=COLUMNS,
        cap=500,
    )
    text = json.dumps(data)
    assert SECRET not in text
    assert data["rows"] == {"total": 12_000, "used": 11_640, "rejected": 300, "duplicates": 60}
    sums = {"target": 15_000, "issued_before": 750, "in_doubt": 30, "to_issue": 14_220, "replaced": 0, "held_back": 0}
    assert data["coupons"] == sums
    assert len(data["series"]) == 15
    assert len(data["rejected_examples"]) == 25
    assert data["reasons_of_all"] is False
    assert data["leavers"] is None
    assert data["max_coupons"] == 500


LISTED = {
    415446: SeriesSeen("Welcome", Decimal("1.5"), 900, 48),
    415447: SeriesSeen("Big", Decimal(100), None, 0),
}


def test_what_has_to_be_read_first_stands_first():
    """Before the campaign."""
    text = shown(plan_of(), first=["EACH CUSTOMER GETS EVERY SERIES of the list."])
    assert text.startswith("EACH CUSTOMER GETS EVERY SERIES of the list.")


def test_the_list_of_series_names_them_and_says_what_the_coupons_are_worth():
    """Coupons to issue × value, and the sum when every series has a value."""
    text = flat(shown(plan_of(), width=120, listed_series=LISTED))
    assert "415446 Welcome 100 1,000 50 2 948 110 1,422.0" in text
    assert "415447 Big" in text
    assert "96,222.0" in text
    assert "face value" not in shown(plan_of())
    partly = flat(shown(plan_of(), width=120, listed_series={415447: LISTED[415447]}))
    assert "94,800" in partly
    assert "96,222" not in partly


def test_what_is_to_be_issued_is_worth_so_much_and_a_percentage_says_so():
    """Money is added up; what is no money, or not known, is counted apart."""
    of_the_api = {415446: SeriesSeen(percent=Decimal(10)), 415447: SeriesSeen(value=Decimal(50))}
    text = flat(shown(plan_of(), width=120, listed_series=of_the_api))
    assert "948 coupons, worth 47,400; 948 coupons that take off a percentage" in text
    assert "1,000 50 2 948 110 10 %" in text
    assert "948 coupons, worth 94,800; 948 coupons of series whose value is not known" in flat(
        shown(plan_of(), width=120, listed_series={415447: LISTED[415447]})
    )
    assert "Worth" not in shown(plan_of())


TWELVE = tuple(Place(0, "", number) for number in range(2, 14))
BACK = HeldBack(415446, "expired", "the series expired on 2026-10-31", 12, 30, TWELVE)
FINDINGS = Findings(
    checked=True,
    remarks=(
        Remark(415447, Why.RESENDS, "who holds one is sent that one again"),
        Remark(415447, Why.SHORT, "10 coupons are left of it and 948 are to be issued: 938 would be refused"),
    ),
)


def test_what_is_held_back_is_told_with_its_rows_before_anything_is_agreed():
    """How much, why, which rows; the sum of the coupons still holds; what would do damage comes before what is odd."""
    plan = replace(plan_of(), back=30, missing=plan_of().missing - 30, held_back=(BACK,))
    text = flat(shown(plan, width=120, findings=FINDINGS))
    assert "- 30 held back" in text
    assert "12 orders (30 coupons) cannot succeed, as the series are set up: held back, not sent" in text
    assert "Series 415446: 12 orders (30 coupons), the series expired on 2026-10-31; rows 2, 3, 4, 5, 6, 7" in text
    assert "8, 9 and 4 more" in text
    assert text.index("938 would be refused") < text.index("who holds one is sent")
    ignored = flat(shown(plan, width=120, findings=replace(FINDINGS, ignored=True)))
    assert "are sent nonetheless (--ignore-preflight)" in ignored
    sheets = BACK._replace(orders=2, rows=(Place(0, "May", 2), Place(0, "June", 3)))
    several = flat(shown(replace(plan, held_back=(sheets,)), width=120, files=["list.xlsx"]))
    assert "rows 2 of May list.xlsx, 3 of June list.xlsx" in several


def test_settings_that_could_not_be_read_are_said_and_nothing_is_held_back():
    """One sentence, which names the reason."""
    text = flat(shown(plan_of(), findings=Findings(problem="these credentials have no access to this read (HTTP 403)")))
    assert "The settings of the series are not known: these credentials have no access to this read" in text


def test_programs_are_told_what_is_held_back_with_its_first_rows():
    """Series, reason, sums and rows; the remarks beside them."""
    plan = replace(plan_of(), back=30, held_back=(BACK,))
    document: Any = plan_json(
        plan, campaign="c", org="o", rehearsal=False, files=["f.csv"], columns=COLUMNS, findings=FINDINGS
    )
    (told,) = document["preflight"]["held_back"]
    assert (told["series"], told["why"], told["orders"], told["coupons"]) == (415446, "expired", 12, 30)
    assert told["rows"][0] == {"file": "f.csv", "sheet": "", "row": 2}
    remarks = document["preflight"]["remarks"]
    assert [(one["why"], one["damage"]) for one in remarks] == [("resends", False), ("short", True)]


def test_a_limit_of_a_series_that_does_not_suffice_is_said():
    """By how many coupons."""
    text = flat(shown(plan_of(), listed_series=LISTED))
    assert "Series 415446 Welcome: its limit of 900 coupons in this campaign (max_total) does not suffice" in text
    assert "48 coupons of those to issue will be left" in text
    assert text.count("does not suffice") == 1


def test_programs_get_the_list_of_series_too():
    """Names, values as text (they are money), limits, and what falls short."""
    document = plan_json(
        plan_of(),
        campaign="c",
        org="o",
        rehearsal=False,
        files=["f"],
        columns=COLUMNS,
        first=["x"],
        listed_series=LISTED,
    )
    series = document["series"]
    assert isinstance(series, list)
    wanted = {"name": "Welcome", "value": "1.5", "face_value": "1422.0", "max_total": 900, "short": 48}
    assert wanted.items() <= series[0].items()
    assert document["first"] == ["x"]
