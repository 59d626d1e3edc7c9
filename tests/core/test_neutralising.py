"""Cells that a spreadsheet would run are harmless in our files, and come back as they were."""
# ruff: noqa: RUF001 - full-width signs are what is tested

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.core.neutralising import neutralise, restore

LIKE_CELLS = st.one_of(st.text(), st.text("'=+-@\t\r\n 1aＡ＝", max_size=8))


@given(LIKE_CELLS)
@example("'=1")
@example("''=1")
@example("'")
@example("'tis")
@example("' =1")
def test_what_was_neutralised_is_restored_exactly(cell):
    assert restore(neutralise(cell)) == cell


@given(LIKE_CELLS, LIKE_CELLS)
def test_different_cells_stay_different(one, other):
    """Else two customers could become one in our files."""
    assert (neutralise(one) == neutralise(other)) == (one == other)


@pytest.mark.parametrize(
    "cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\rx", " =1", "＝1+1", "＠a", "+91a", "-5x", "="]
)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(cell):
    assert neutralise(cell) == "'" + cell


@pytest.mark.parametrize(
    "cell",
    [
        *("", "919000000001", "+919000000001", "+91 90000-00001", "+91 (0) 90000.00001", "-5", "-5.25", "+5", "1e-5"),
        *("-", "--", "tom@example.com", "O'Neil", "'quoted'", "a=b", "12%", "-1,200.50"),
    ],
)
def test_phones_numbers_and_ordinary_text_are_left_alone(cell):
    assert neutralise(cell) == cell
    assert restore(cell) == cell


def test_what_already_looks_neutralised_is_escaped():
    assert neutralise("'=1") == "''=1"
    assert restore("'=1") == "=1"
