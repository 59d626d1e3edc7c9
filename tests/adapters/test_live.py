"""A live run read in short pages: the same figures whatever the page, and those of `show` when nobody works on it."""

from __future__ import annotations

from typing import Any

import pytest

from runner.adapters.ledger.history import show_run
from runner.adapters.ledger.live import LiveFigures, read_live
from tests.adapters.report_ledger import ReportLedger

RUN = "20261121T000000Z-may-0001"


@pytest.fixture
def ledger(tmp_path) -> ReportLedger:
    """Issued, in doubt, under way, closed, of a parked and an exhausted series, merged, rejected, and a duplicate."""
    made = ReportLedger(tmp_path)
    made.call(made.simple(2, target=3), ["A", "B"])
    made.call(made.simple(3, target=4), state="in_doubt", held=4, quantity=4)
    made.call(made.simple(4, target=2), state="sending", held=2, quantity=2, ended=None)
    made.simple(5, target=5)
    made.close_order(5, "701", "no such customer")
    made.simple(6, target=6, series=535521)
    made.series(535521, "parked", "5005", "empty")
    made.simple(7, target=7, series=7)
    made.series(7, "exhausted", "5005", "empty")
    made.simple(8, target=1)
    made.simple(9, target=1, merged_into=8)
    made.order(90, target=2, run_id=None)
    made.call(90, ["C"])
    made.simple(10, target=2, merged_into=90)
    made.reject(11, ["nobody"], ["Mobile", "nobody", "is no mobile"])
    made.line(made.row(12, ["919000000002"]), 2, target=3, role="duplicate")
    return made


def test_the_figures_are_the_same_whatever_the_page(ledger):
    """A row of its own in each read, or all in one."""
    whole = read_live(ledger.file, 1)
    assert [read_live(ledger.file, 1, page_rows=rows) for rows in (1, 2, 3, 5)] == [whole] * 4


def test_what_is_under_way_is_missing_and_not_in_doubt(ledger):
    """An answer that is still awaited is nobody's doubt; a closed order's and an exhausted series' rest is not open."""
    assert read_live(ledger.file, 1) == LiveFigures(
        target=3 + 4 + 2 + 5 + 6 + 7 + 1 + 2,
        issued=3,
        in_doubt=4,
        missing=1 + 2 + 5 + 6 + 7 + 1 + 1,
        open=1 + 2 + 6 + 1 + 1,
        calls=4,
        failed_orders=1,
        in_flight=1,
        waiting=((535521, "5005", 1_790_000_000.0),),
    )


def test_nobody_at_work_they_are_the_figures_of_show(ledger):
    """Merged orders count once, as there."""
    ledger.conn.exec_driver_sql("UPDATE calls SET state = 'in_doubt' WHERE state = 'sending'")
    ledger.conn.commit()
    live, shown = read_live(ledger.file, 1), show_run(ledger.file, RUN).series

    def of_show(name: str) -> int:
        return sum(getattr(one, name) for one in shown)

    names = ("target", "issued", "in_doubt", "missing")
    found: dict[str, Any] = {name: getattr(live, name) for name in names}
    assert found == {name: of_show(name) for name in names}


def test_a_run_without_a_row_has_no_figures(tmp_path):
    assert read_live(ReportLedger(tmp_path).file, 1) == LiveFigures(
        target=0, issued=0, in_doubt=0, missing=0, open=0, calls=0, failed_orders=0, in_flight=0, waiting=()
    )


def test_counting_what_is_under_way_reads_no_settled_call(ledger):
    """By the index of unsettled calls: a run of a million calls is looked at every two seconds."""
    from runner.adapters.ledger import live

    plan = ledger.conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {live._UNDERWAY}", (1,)).all()
    assert "calls_unsettled" in str(plan)
