"""Identifiers of lines that we wrote, damaged by a spreadsheet: restored from the ledger by an intact `_ref`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.adapters.ledger import schema
from runner.adapters.ledger.originals import originals_of
from runner.app.restoring import SHOWN, Restorer
from runner.core.columns import Columns, assign_columns
from runner.core.model import Ref
from runner.core.refs import write_ref
from tests.adapters.report_ledger import ReportLedger

HEADINGS = ("Mobile", "Customer No", "Series", "Qty")
ROLES = {"Mobile": "mobile", "Customer No": "externalId", "Series": "series_id", "Qty": "count"}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[ReportLedger]:
    made = ReportLedger(tmp_path, headings=HEADINGS)
    files = [{"name": "may.csv", "sha256": "0" * 64, "sheet": "", "headers": HEADINGS, "roles": ROLES, "rows": 9}]
    made.update(schema.runs, 1, files=json.dumps(files))
    yield made
    made.conn.close()


def add(ledger: ReportLedger, number: int, mobile: str, customer: str) -> None:
    row = ledger.row(number, (mobile, customer, "415446", "1"))
    ledger.order(number, mobile=mobile)
    ledger.line(row, number, target=1)


def ref(ledger: ReportLedger, number: int) -> str:
    return write_ref(Ref(ledger.file.ledger_id, f"{number:024x}", 0, False, False), ledger.file.key)


def restorer(ledger: ReportLedger, *headings: str) -> Restorer:
    columns = assign_columns(headings or (*HEADINGS, "_ref"), {"externalId": "Customer No"})
    assert isinstance(columns, Columns)
    return Restorer(ledger.file, columns)


def test_each_identifier_is_restored_from_its_own_column(ledger: ReportLedger) -> None:
    """By role, so that a heading may have been renamed; other cells stay as they are, and the note says which."""
    add(ledger, 2, "919000000002", "000123456")
    add(ledger, 3, "919000000003", "C-3")
    restored = restorer(ledger)
    rows = restored.restored(
        [
            (2, ["9.19E+11", "123456", "415446", "1", ref(ledger, 2)]),
            (3, ["919000000003", "C-3", "4.15E+05", "1", ref(ledger, 3)]),
        ]
    )
    assert [cells[:4] for _, cells in rows] == [
        ["919000000002", "000123456", "415446", "1"],
        ["919000000003", "C-3", "4.15E+05", "1"],
    ]
    assert restored.note("failures.xlsx") == (
        "failures.xlsx: 2 cells that a spreadsheet had damaged were restored from the ledger "
        "(row 2, Mobile: 9.19E+11; row 2, Customer No: …3456)"
    )


def test_a_corrected_cell_stays_corrected(ledger: ReportLedger) -> None:
    """It leads to another customer, and what follows from that is decided elsewhere."""
    add(ledger, 2, "919000000002", "000123456")
    restored = restorer(ledger)
    rows = [(2, ["919000000099", "123457", "415446", "1", ref(ledger, 2)])]
    assert restored.restored(rows) == rows
    assert restored.note("failures.xlsx") is None


@pytest.mark.parametrize("cell", ["", "cr1-000000000000-00-0-00000000", "half a reference"])
def test_without_an_intact_ref_nothing_is_restored(ledger: ReportLedger, cell: str) -> None:
    """There is nothing to go by."""
    add(ledger, 2, "919000000002", "000123456")
    rows = [(2, ["9.19E+11", "123456", "415446", "1", cell])]
    assert restorer(ledger).restored(rows) == rows


def test_a_file_that_we_did_not_write_is_left_alone(ledger: ReportLedger) -> None:
    """It has no `_ref`."""
    rows = [(2, ["9.19E+11", "123456", "415446", "1"])]
    assert restorer(ledger, *HEADINGS).restored(rows) is rows


def test_a_ragged_record_is_left_to_be_rejected(ledger: ReportLedger) -> None:
    """Which of its cells is which is not certain."""
    add(ledger, 2, "919000000002", "000123456")
    rows = [(2, ["9.19E+11", "123456", "415446", ref(ledger, 2)])]
    assert restorer(ledger).restored(rows) == rows


def test_after_cells_were_erased_only_what_is_left_can_restore(ledger: ReportLedger) -> None:
    """The name that is sent, while it is there; then nothing."""
    add(ledger, 2, "919000000002", "000123456")
    ledger.update(schema.rows, 1, cells=None)
    rows = [(2, ["9.19E+11", "123456", "415446", "1", ref(ledger, 2)])]
    assert restorer(ledger).restored(rows)[0][1][:2] == ["919000000002", "123456"]
    ledger.update(schema.orders, 2, value=None)
    assert restorer(ledger).restored(rows) == rows


def test_an_order_of_two_numbers_that_both_fit_is_left_alone(ledger: ReportLedger) -> None:
    """Two rows of one person with two mobiles: which one was meant is not certain."""
    add(ledger, 2, "919000000002", "C-2")
    ledger.line(ledger.row(3, ("919000000003", "C-2", "415446", "1")), 2, target=1)
    rows = [(2, ["9.19E+11", "C-2", "415446", "1", ref(ledger, 2)])]
    assert restorer(ledger).restored(rows) == rows
    assert originals_of(ledger.file, [f"{2:024x}"]) == {
        f"{2:024x}": {"mobile": ["919000000003", "919000000002", "919000000002"], "externalId": ["C-2", "C-2"]}
    }


def test_a_lost_plus_comes_back_and_a_neutralised_cell_stays(ledger: ReportLedger) -> None:
    """What we put in front of a cell is no damage."""
    add(ledger, 2, "+919000000002", "-C2")
    rows = [(2, ["919000000002", "'-C2", "415446", "1", ref(ledger, 2)])]
    assert restorer(ledger).restored(rows)[0][1][:2] == ["+919000000002", "'-C2"]


def test_very_many_restored_cells_are_counted(ledger: ReportLedger) -> None:
    """The note stays a sentence."""
    for number in range(2, 16):
        add(ledger, number, f"91900000{number:04}", f"C{number}")
    restored = restorer(ledger)
    restored.restored([(n, ["9.19E+11", f"C{n}", "415446", "1", ref(ledger, n)]) for n in range(2, 16)])
    note = restored.note("failures.xlsx")
    assert note is not None
    assert note.count("row ") == SHOWN
    assert note.endswith("and 4 more)")
