"""What the plan prints as understood: counts, lengths and shapes of the columns that have a role, never a cell."""

from hypothesis import given
from hypothesis import strategies as st

from runner.adapters import profiling
from runner.adapters.profiling import ColumnProfile, Profiler, profile, shape_of
from runner.core.columns import Columns, Role, assign_columns


def columns(*headers) -> Columns:
    found = assign_columns(headers, {})
    assert isinstance(found, Columns)
    return found


def chunk(*rows):
    return [(number, list(row)) for number, row in enumerate(rows, start=2)]


def test_a_profile_counts_over_all_chunks():
    chunks = [
        chunk(("919000000001", "7", "x"), ("919000000002", "7", "y"), (" ", "", "")),
        chunk(("9190000000012", "8", ""), ("919000000001",), ()),
    ]
    assert profile(chunks, columns("Mobile No.", "Series", "note")) == (
        ColumnProfile(
            role=Role.MOBILE,
            heading="Mobile No.",
            filled=4,
            blank=2,
            distinct=3,
            distinct_exact=True,
            shortest=12,
            longest=13,
            looks_like="12 digits, 13 digits",
        ),
        ColumnProfile(
            role=Role.SERIES,
            heading="Series",
            filled=3,
            blank=3,
            distinct=2,
            distinct_exact=True,
            shortest=1,
            longest=1,
            looks_like="1 digit",
        ),
    )


def test_a_table_of_blanks_has_a_profile_too():
    [found] = profile([chunk(("", "x"), ("", "y"))], columns("mobile", "note"))
    assert (found.filled, found.blank, found.shortest, found.longest, found.looks_like) == (0, 2, 0, 0, "")


def test_distinct_cells_are_counted_to_a_bound_and_said_to_be_more(monkeypatch):
    """So that memory does not grow with the file."""
    monkeypatch.setattr(profiling, "DISTINCT_BOUND", 3)
    profiler = Profiler(columns("mobile"))
    for number in range(10):
        profiler.add(chunk((str(number),)))
    [found] = profiler.profiles()
    assert (found.distinct, found.distinct_exact) == (3, False)
    assert len(profiler._sums[Role.MOBILE].seen) == 3


def test_shapes_say_what_cells_look_like():
    cells = ["919000000001", "+91 90000-00001", "tom@example.com", "A7", "two"]
    shapes = ["12 digits", "12 digits with signs between", "an address with @", "letters and digits"]
    assert [shape_of(cell) for cell in cells] == [*shapes, "text without digits"]


@given(st.text(min_size=4))
def test_a_shape_gives_nothing_of_the_cell_away(cell):
    """Only its number of digits: cells of equal length and kind look the same."""
    other = "".join("5" if sign.isdecimal() else sign for sign in cell)
    assert shape_of(cell) == shape_of(other)
