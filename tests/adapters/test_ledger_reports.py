"""What a ledger says of a run: lines judged page by page, sums, live figures, and everything about one customer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.adapters.ledger import report_coupons, report_pages, schema
from runner.adapters.ledger.files import transaction
from runner.adapters.ledger.finding import find_customer
from runner.adapters.ledger.history import list_runs, show_run
from runner.adapters.ledger.reports import RunReader
from runner.core.keys import name_hash
from runner.core.report_lines import ReportLine
from runner.core.totals import DoesNotAddUp, Totals, exit_codes, prove
from runner.errors import UsageError
from tests.adapters.report_ledger import ReportLedger

RUN = "20261121T000000Z-may-0001"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[ReportLedger]:
    made = ReportLedger(tmp_path)
    yield made
    made.conn.close()


def read(ledger: ReportLedger, run: str = RUN) -> dict[int, ReportLine]:
    """The run's lines by row number; its sums are proved on the way, both ways of reading agreeing."""
    with RunReader(ledger.file, run) as reader:
        lines = {line.at.row: line for line in reader.lines()}
        prove(reader.totals())
    return lines


def sums(ledger: ReportLedger, run: str = RUN) -> Totals:
    with RunReader(ledger.file, run) as reader:
        return reader.totals()


def words(lines: dict[int, ReportLine]) -> dict[int, str]:
    return {row: line.verdict.status.value for row, line in lines.items()}


def test_every_row_is_told_in_the_order_of_the_input(ledger: ReportLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows come in their order whatever the order of the orders, page borders or not; none twice, none left out."""
    monkeypatch.setattr(report_pages, "PAGE_ROWS", 3)
    for row in (9, 4, 7, 2, 5):
        ledger.simple(row)
        ledger.call(row, [f"C{row}"])
    ledger.reject(3, ("x", "", "", ""), ("Mobile", "x", "no digits"))
    with RunReader(ledger.file, RUN) as reader:
        rows = [line.at.row for page in reader.pages() for line in page]
        assert rows == [9, 4, 7, 2, 5, 3]
        assert [line.problems[0].message for line in reader.rejected()] == ["no digits"]
        prove(reader.totals())


def test_pages_stay_small_when_orders_have_many_calls(ledger: ReportLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory follows neither rows nor calls: a page ends early, and still nothing is lost."""
    monkeypatch.setattr(report_pages, "PAGE_CALLS", 3)
    for row in (2, 3, 4, 5):
        ledger.simple(row, target=2)
        ledger.call(row, ["A"])
        ledger.call(row, ["B"])
    with RunReader(ledger.file, RUN) as reader:
        assert [[line.at.row for line in page] for page in reader.pages()] == [[2], [3], [4], [5]]


def test_words_follow_calls_closures_and_series(ledger: ReportLedger) -> None:
    """Issued, in doubt, partial, failed and not sent, each from what the tables hold."""
    for row in range(2, 8):
        ledger.simple(row, target=2, series=415446 if row < 7 else 535521)
    ledger.call(2, ["A", "B"])
    ledger.call(3, ["C"], held=1, state="in_doubt", code="timeout", class_="unknown", scope="row", message="no answer")
    ledger.call(4, ["D"])
    ledger.close_order(4, "677", "limit reached")
    ledger.call(5, state="refused", code="701", class_="final", scope="row", message="unknown customer")
    ledger.series(535521, "exhausted", "5005", "no coupon in the queue")
    lines = read(ledger)
    assert words(lines) == {2: "issued", 3: "in_doubt", 4: "partial", 5: "failed", 6: "not_sent", 7: "not_sent"}
    assert [lines[row].verdict.cause.code for row in range(2, 8)] == ["", "timeout", "677", "701", "", "5005"]
    assert [call.held for call in lines[3].order.doubts] == [1]


def test_a_closed_series_fails_its_untried_lines(ledger: ReportLedger) -> None:
    """Failed with the series' own code and no attempt of the line's own."""
    ledger.simple(2)
    ledger.series(415446, "closed", "707", "series not found")
    line = read(ledger)[2]
    assert (line.verdict.status, line.verdict.cause.code, line.order.attempts) == ("failed", "707", 0)


def test_a_report_counts_calls_up_to_its_run_as_they_stand_now(ledger: ReportLedger) -> None:
    """A later run's coupons are not an earlier run's; an earlier doubt that was settled counts for both."""
    ledger.simple(2, target=2)
    key = ledger.call(2, ["A"])
    second = ledger.run(2)
    ledger.line(ledger.row(2, ("919000000002", "", "415446", "5"), run=2), 2, target=5, run=2)
    ledger.call(2, ["B", "C"], run=2)
    first, later = read(ledger)[2], read(ledger, second)[2]
    assert (first.order.target, first.order.issued, first.order.before, first.verdict.status) == (2, 1, 0, "partial")
    assert (later.order.target, later.order.issued, later.order.before, later.order.missing) == (5, 3, 1, 2)
    assert [coupon.code for coupon in first.holding.coupons or ()] == ["A"]
    with transaction(ledger.conn):
        ledger.conn.execute(schema.calls.update().where(schema.calls.c.key == key).values(known=2))
    assert (read(ledger)[2].order.issued, read(ledger, second)[2].order.before) == (2, 2)


def test_a_duplicate_names_the_row_it_repeats_and_counts_nothing(ledger: ReportLedger) -> None:
    """With sheet and file when these differ; sums stay those of one order."""
    first = ledger.row(17, ("919000000001", "", "415446", "2"), sheet="May")
    again = ledger.row(18, ("919000000001", "", "415446", "2"), sheet="May")
    ledger.order(1, target=2)
    ledger.line(first, 1, target=2)
    ledger.line(again, 1, target=2, role="duplicate", same_as=first)
    ledger.call(1, ["A", "B"])
    lines = read(ledger)
    assert words(lines) == {17: "issued", 18: "duplicate"}
    assert lines[18].verdict.cause.message == "same as row 17 of sheet May"
    assert sums(ledger).coupons.issued == 2


def test_an_order_skipped_for_another_campaign_is_a_duplicate_without_figures(ledger: ReportLedger) -> None:
    """It names campaign and run, and what this campaign issued to the same order earlier is not counted here."""
    row = ledger.row(2, ("919000000001", "", "415446", "2"))
    ledger.order(1, target=0)
    ledger.line(row, 1, target=2, role="elsewhere", note="campaign April, run r-1, file april.csv, 2026-10-01")
    ledger.call(1, ["A"])
    line = read(ledger)[2]
    assert (line.verdict.status, line.order_key) == ("duplicate", "")
    assert "campaign April, run r-1" in line.verdict.cause.message
    assert sums(ledger).coupons.target == 0


def test_rows_that_add_up_share_their_orders_coupons_in_row_order(ledger: ReportLedger) -> None:
    """Each row lists its own codes; one of them speaks for the order in failures."""
    first = ledger.row(2, ("919000000001", "", "415446", "2"))
    other = ledger.row(9, ("919000000001", "", "415446", "3"))
    ledger.order(1, target=5)
    ledger.line(first, 1, target=5, requested=2)
    ledger.line(other, 1, target=5, requested=3, role="added", same_as=first)
    ledger.call(1, ["A", "B", "C"], states=["issued", "issued", "revoked"])
    lines = read(ledger)
    assert words(lines) == {2: "issued", 9: "partial"}
    assert [[coupon.code for coupon in line.holding.coupons or ()] for line in lines.values()] == [["A", "B"], ["C"]]
    assert [(line.speaks, line.first, line.last, line.holding.revoked) for line in lines.values()] == [
        (False, True, False, 0),
        (True, False, True, 1),
    ]
    assert lines[9].rows == (2, 9)
    assert sums(ledger).coupons.revoked == 1


def merge(ledger: ReportLedger, *, surplus: bool) -> None:
    """Orders 1 (row 5) and 2 (row 3) turn out to be one person's; the older person's order survives."""
    ledger.update(schema.orders, 2, merged_into=1, target=0, issued=0, held=0, closed="surplus" if surplus else None)


def test_one_person_under_two_names_is_shown_by_the_earlier_row(ledger: ReportLedger) -> None:
    """The earlier row shows what both orders hold against its own target; the later one names it."""
    for order, row in ((2, 3), (1, 5)):
        ledger.order(order, target=order)
        ledger.line(ledger.row(row, (f"91900000{order:04}", "", "415446", str(order))), order, target=order)
    ledger.call(1, ["A"])
    merge(ledger, surplus=False)
    lines = read(ledger)
    assert words(lines) == {3: "partial", 5: "duplicate"}
    assert (lines[3].order.target, lines[3].order.issued, lines[3].order.missing) == (2, 1, 1)
    assert lines[5].verdict.cause == ("", "same person as row 3")
    assert {line.order_key for line in lines.values()} == {f"{1:024x}"}
    assert exit_codes(sums(ledger)) == (75,)


def test_two_names_that_were_both_issued_are_a_surplus(ledger: ReportLedger) -> None:
    """The later line carries the code and a person is needed: exit 1, every coupon still counted once."""
    for order, row in ((1, 3), (2, 5)):
        ledger.order(order)
        ledger.line(ledger.row(row, (f"91900000{order:04}", "", "415446", "1")), order, target=1)
        ledger.call(order, [f"C{order}"])
    merge(ledger, surplus=True)
    lines = read(ledger)
    assert words(lines) == {3: "issued", 5: "duplicate"}
    assert lines[5].verdict.cause.code == "surplus"
    found = sums(ledger)
    assert (found.coupons.target, found.coupons.issued, found.coupons.above) == (1, 2, 1)
    assert exit_codes(found) == (1,)


def test_a_surplus_does_not_close_what_the_order_still_misses(ledger: ReportLedger) -> None:
    """The closure of a surplus marks the order that was merged away, not the one that lives on."""
    for order, row in ((1, 3), (2, 5)):
        ledger.order(order, target=4)
        ledger.line(ledger.row(row, (f"91900000{order:04}", "", "415446", "4")), order, target=4)
        ledger.call(order, [f"C{order}"])
    ledger.close_order(2, "surplus", "issued twice before it was known")
    merge(ledger, surplus=True)
    line = read(ledger)[3]
    assert (line.verdict.status, line.verdict.again, line.order.missing) == ("partial", True, 2)


def test_a_surplus_with_an_earlier_runs_row_is_said_by_the_only_line(ledger: ReportLedger) -> None:
    """No other line of the run can say it, so the order's own line does."""
    ledger.simple(1)
    ledger.call(1, ["A"])
    second = ledger.run(2)
    ledger.order(2)
    ledger.line(ledger.row(4, ("919000000002", "", "415446", "1"), run=2), 2, target=1, run=2)
    ledger.call(2, ["B"], run=2)
    merge(ledger, surplus=True)
    line = read(ledger, second)[4]
    assert (line.verdict.status, line.verdict.cause.code, line.order.before) == ("issued", "surplus", 1)
    assert exit_codes(sums(ledger, second)) == (1,)
    assert read(ledger)[1].verdict.cause.code == ""


def test_re_sent_and_repeated_coupons_are_listed_and_not_counted(ledger: ReportLedger) -> None:
    """A coupon that the customer held before is no new one, but the report says that it was in the answer."""
    ledger.simple(2, target=1)
    ledger.call(2, ["A", "B"], states=["issued", "resent"], flags='["resent"]')
    line = read(ledger)[2]
    assert [coupon.code for coupon in line.holding.coupons or ()] == ["A"]
    assert [coupon.code for coupon in line.holding.uncounted] == ["B"]
    assert sums(ledger).flags == {"resent": 1}


def test_many_coupons_of_one_order_are_read_in_pages(ledger: ReportLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order with more coupons than fit in a cell streams them, dealt to its rows as the small ones are."""
    monkeypatch.setattr(report_coupons, "AT_ONCE", 7)
    first = ledger.row(2, ("919000000001", "", "415446", "20"))
    other = ledger.row(9, ("919000000001", "", "415446", "40"))
    ledger.order(1, target=60)
    ledger.line(first, 1, target=60, requested=20)
    ledger.line(other, 1, target=60, requested=40, role="added")
    states = ["issued"] * 15 + ["revoked"] * 10 + ["issued"] * 35 + ["repeated"]
    ledger.call(1, [f"C{number}" for number in range(61)], states=states, quantity=61)
    with RunReader(ledger.file, RUN) as reader:
        lines = list(reader.lines())
        codes = [[coupon.code for page in reader.coupons(line) for coupon in page] for line in lines]
        prove(reader.totals())
        assert reader.totals().coupons.revoked == 10
    assert [line.holding.coupons for line in lines] == [None, None]
    assert codes == [[f"C{number}" for number in range(20)], [f"C{number}" for number in range(20, 61)]]
    assert [line.holding.revoked for line in lines] == [5, 5]


def test_a_call_that_belongs_to_no_line_is_noticed(ledger: ReportLedger) -> None:
    """A row that lost its line makes the sums disagree: the report does not pretend."""
    ledger.simple(2)
    ledger.row(3, ("919000000003", "", "415446", "1"))
    with RunReader(ledger.file, RUN) as reader, pytest.raises(DoesNotAddUp, match="1 rows with an outcome, but 2 rows"):
        prove(reader.totals())


def test_erased_cells_and_codes_leave_the_figures(ledger: ReportLedger) -> None:
    """A forgotten customer's row is still counted; what was erased is empty."""
    ledger.simple(2)
    ledger.call(2, ["A"])
    with transaction(ledger.conn):
        ledger.conn.execute(schema.rows.update().values(cells=None))
        ledger.conn.execute(schema.orders.update().values(value=None))
        ledger.conn.execute(schema.coupons.update().values(code=None, coupon_id=None))
    line = read(ledger)[2]
    assert (line.at.cells, line.customer, line.verdict.status) == ((), "", "issued")
    assert [(coupon.code, coupon.id) for coupon in line.holding.coupons or ()] == [("", "")]


def test_reading_holds_no_transaction_between_pages(ledger: ReportLedger) -> None:
    """A long report pins nothing: between two pages the ledger's log can be checkpointed completely."""
    for row in range(2, 6):
        ledger.simple(row)
    with RunReader(ledger.file, RUN) as reader:
        pages = reader.pages()
        next(pages)
        ledger.simple(9)
        busy, *_ = ledger.conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        assert busy == 0


def test_a_run_that_is_not_there_is_told_with_the_remedy(ledger: ReportLedger) -> None:
    """The sentence names the command that lists the runs."""
    with pytest.raises(UsageError, match="coupon-runner runs"):
        RunReader(ledger.file, "20200101T000000Z-nobody-0000")


def test_runs_are_listed_newest_first(ledger: ReportLedger) -> None:
    """With org, campaign, state and files."""
    ledger.run(2, state="stopped", exit_code=75)
    assert [(run.name[-4:], run.campaign, run.state, run.exit_code, run.files) for run in list_runs(ledger.file)] == [
        ("0002", "May", "stopped", 75, ("may.csv",)),
        ("0001", "May", "finished", None, ("may.csv",)),
    ]
    assert list_runs(ledger.file, org_key="nobody") == []


def test_a_live_runs_figures_agree_with_its_report(ledger: ReportLedger) -> None:
    """`show` counts by the database what the report counts by lines, merged orders included."""
    for order, row in ((2, 3), (1, 5)):
        ledger.order(order, target=order)
        ledger.line(ledger.row(row, (f"91900000{order:04}", "", "415446", str(order))), order, target=order)
    ledger.call(1, ["A"])
    merge(ledger, surplus=False)
    ledger.simple(8, target=4, series=535521)
    ledger.call(8, ["B"], held=2, quantity=3, state="in_doubt")
    ledger.series(535521, "parked", "5005", "no coupon in the queue")
    ledger.reject(9, ("x",), (None, None, "no customer"))
    shown, report = show_run(ledger.file, RUN), sums(ledger)
    assert [
        (one.series, one.target, one.issued, one.before, one.in_doubt, one.missing, one.state, one.code)
        for one in shown.series
    ] == [(415446, 2, 1, 0, 0, 1, "", ""), (535521, 4, 1, 0, 2, 1, "parked", "5005")]
    assert [(one.target, one.issued, one.in_doubt, one.missing) for one in report.series.values()] == [
        (one.target, one.issued, one.in_doubt, one.missing) for one in shown.series
    ]
    assert (shown.rows, shown.rejected, shown.calls) == (4, 1, {"issued": 1, "in_doubt": 1})


def test_an_earlier_runs_figures_leave_out_what_came_later(ledger: ReportLedger) -> None:
    """`show` of an earlier run counts as its report does; a later run tells what came before it."""
    ledger.simple(2, target=2)
    ledger.call(2, ["A"])
    second = ledger.run(2)
    ledger.line(ledger.row(2, ("919000000002", "", "415446", "5"), run=2), 2, target=5, run=2)
    ledger.call(2, ["B", "C"], run=2)
    assert [(one.issued, one.before, one.missing) for one in show_run(ledger.file, RUN).series] == [(1, 0, 1)]
    assert [(one.issued, one.before, one.missing) for one in show_run(ledger.file, second).series] == [(3, 1, 2)]


def test_a_customer_is_found_through_every_name_and_campaign(ledger: ReportLedger) -> None:
    """By keyed hash of any of her names, through merges: every row with its run and file, every call and coupon."""
    ledger.simple(2)
    ledger.call(2, ["A"])
    second = ledger.run(2)
    ledger.line(ledger.row(7, ("919000000002", "", "415446", "1"), run=2), 2, target=1, run=2)
    ledger.simple(3)
    ledger.update(schema.persons, 2, merged_into=1)
    ledger.update(schema.orders, 3, person_id=1)
    for mobile in ("919000000002", "919000000003"):
        found = find_customer(ledger.file, "acme", hashes=[name_hash(ledger.file.key, "mobile", mobile)])
        assert found.persons == 1
        assert [order.customer for order in found.orders] == ["919000000002", "919000000003"]
        assert [(row.run, row.file, row.row) for row in found.orders[0].rows] == [
            (RUN, "may.csv", 2),
            (second, "may.csv", 7),
        ]
        assert [coupon.code for coupon in found.orders[0].coupons] == ["A"]
        assert [call.known for call in found.orders[0].calls] == [1]
    elsewhere = find_customer(ledger.file, "other org", hashes=[name_hash(ledger.file.key, "mobile", "919000000002")])
    assert (elsewhere.persons, elsewhere.orders) == (0, ())


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("Customer", [2]),
        ("cUSTOMER 2", [2]),
        ("91 (90000) 00044", [4]),
        ("91-9000 (111)", []),
        ("919000000044", [4]),
        ("50%_\\", [5]),
        ('say "x"', [5]),
        ("Żółć", [6]),
        ("żÓŁĆ", [6]),
        ("nobody at all", []),
        ("%", [5]),
    ],
)
def test_a_customer_is_found_by_text_in_the_cells(ledger: ReportLedger, text: str, rows: list[int]) -> None:
    """Whatever its case and signs; digits in rejected rows however they are spaced; nothing that only looks alike."""
    ledger.simple(2)
    ledger.reject(4, ("+91 90000-000 44", ""), ("Mobile", "+91 90000-000 44", "two numbers"))
    ledger.reject(5, ('50%_\\ and say "x"',), (None, None, "no customer"))
    ledger.reject(6, ("Żółć",), (None, None, "no customer"))
    found = find_customer(ledger.file, "acme", text=text)
    assert [row.row for row in found.other_rows] == rows
    assert find_customer(ledger.file, "other org", text=text).other_rows == ()
