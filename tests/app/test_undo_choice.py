"""Rows, customers and series of a run, as a person names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.adapters.ledger.revoking import Choice
from runner.adapters.ledger.runs import RunFacts, find_run
from runner.app.undo_choice import UndoRequest, choose
from runner.errors import UsageError
from tests.adapters.report_ledger import ReportLedger

RUN = "20261121T000000Z-may-0001"


@pytest.fixture
def built(tmp_path: Path) -> ReportLedger:
    built = ReportLedger(tmp_path)
    for row in (2, 3):
        built.call(built.simple(row), [f"CODE{row}"])
    return built


def chosen(built: ReportLedger, *rows: str, **more: object) -> Choice:
    run: RunFacts | None = find_run(built.file, RUN)
    assert run is not None
    return choose(built.file, run, UndoRequest(run=RUN, rows=rows, **more))  # type: ignore[arg-type]


def refused(built: ReportLedger, *rows: str, **more: object) -> str:
    with pytest.raises(UsageError) as caught:
        chosen(built, *rows, **more)
    return caught.value.message


def test_without_a_choice_it_is_the_whole_run(built: ReportLedger) -> None:
    """All series, all orders."""
    assert chosen(built) == Choice(1)


def test_rows_and_customers_narrow_each_other(built: ReportLedger) -> None:
    """What fits both is chosen; nothing that fits is refused, never everything."""
    assert chosen(built, "2", "3").orders == (2, 3)
    assert chosen(built, "2", "3", customers=("+91 90000 00003",)).orders == (3,)
    assert "sent no call for that" in refused(built, "2", customers=("919000000003",))
    assert "its series are 415446" in refused(built, series=(7,))


def test_a_row_that_holds_nothing_of_its_own_is_refused_by_name(built: ReportLedger) -> None:
    """A duplicate names the row that it repeats; a rejected row has no coupon."""
    first = built.row(8, ("x",))
    built.order(8)
    built.line(first, 8, target=1)
    built.call(8, ["CODE8"])
    built.line(built.row(9, ("x",)), 8, target=1, role="duplicate", same_as=first)
    built.reject(10, ("x",), ("Mobile", "x", "no mobile"))
    assert "repeats row 8" in refused(built, "9")
    assert "was rejected" in refused(built, "10")
    assert "has no such row" in refused(built, "77")
    assert len(refused(built, "9", "10", "x").splitlines()) == 3


def test_rows_that_share_an_order_are_undone_together(built: ReportLedger) -> None:
    """Their coupons are one order's: half of it cannot be told apart."""
    built.order(8, target=2)
    built.line(built.row(8, ("x",)), 8, target=2, requested=1)
    built.line(built.row(9, ("x",)), 8, target=2, role="added", requested=1)
    built.call(8, ["A", "B"])
    assert "one order with row 9" in refused(built, "8")
    assert chosen(built, "8", "9").orders == (8,)


def test_a_row_number_of_several_sheets_names_its_sheet(built: ReportLedger) -> None:
    """`May!2`; without the sheet it is refused with what to write."""
    row = built.row(2, ("x",), sheet="June")
    built.order(20)
    built.line(row, 20, target=1)
    built.call(20, ["CODE20"])
    assert "--row 'June!2'" in refused(built, "2")
    assert chosen(built, "June!2").orders == (20,)
