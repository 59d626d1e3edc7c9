"""A record is a valid row or a rejected one with all its problems; nothing is guessed and nothing is dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.columns import Columns, assign_columns
from runner.core.model import Kind, Place, Problem, Ref, RejectedRow, Row
from runner.core.refs import write_ref
from runner.core.rows import RowReader
from runner.core.series_cells import read_count, read_series
from runner.core.series_list import ListedSeries, SeriesList
from runner.core.sheet_cells import DoubtfulCell
from runner.errors import InputRefused, UsageError

KEY = b"k" * 32
LEDGER = "0a1b2c3d4e5f"
ORDER = "00112233445566778899aabb"
HERE = Place(0, "", 17)


def reader(*headers, identify_by=(Kind.MOBILE,), series=(), count=1, region=None) -> RowReader:
    columns = assign_columns(headers, {})
    assert isinstance(columns, Columns)
    return RowReader(
        columns,
        identify_by=identify_by,
        region=region,
        default_series=series,
        default_count=count,
        ledger_id=LEDGER,
        key=KEY,
    )


PLAIN = reader("mobile", "series_id", "count")


def row(cells, reader=PLAIN) -> Row:
    found = reader.read(HERE, cells)
    assert isinstance(found, Row), found
    return found


def problems(cells, reader=PLAIN) -> tuple[Problem, ...]:
    found = reader.read(HERE, cells)
    assert isinstance(found, RejectedRow), found
    assert found.place == HERE
    return found.problems


def ref(base, *, whole=False, ledger=LEDGER):
    return write_ref(Ref(ledger, ORDER, base, whole, False), KEY)


def test_a_plain_row_is_read():
    found = row(["919000000001", "415446", "2"])
    assert found == Row(HERE, ("919000000001", "415446", "2"), found.identifiers, found.sent, (415446,), 2)
    assert found.identifiers == (found.sent,)
    assert found.sent == (Kind.MOBILE, "919000000001", "919000000001")


def test_all_problems_of_a_row_are_told_together():
    found = problems(["9.19E+11", "", "2.5"])
    assert [problem.column for problem in found] == ["mobile", "series_id", "count"]
    assert [problem.value for problem in found] == ["9.19E+11", "", "2.5"]


def test_a_rejected_row_keeps_its_cells_and_what_the_run_would_have_used():
    found = reader("mobile", "note", series=(1, 2), count=3).read(HERE, ["x", " y "])
    assert isinstance(found, RejectedRow)
    assert (found.cells, found.series_text, found.count_text) == (("x", " y "), "1,2", "3")
    found = PLAIN.read(HERE, ["x", " 7 ", " 2 "])
    assert isinstance(found, RejectedRow)
    assert (found.series_text, found.count_text) == ("7", "2")


@pytest.mark.parametrize(
    ("cell", "series"),
    [
        ("415446", (415446,)),
        (" 415446 ", (415446,)),
        ("'415446", (415446,)),
        ("415446,535521", (415446, 535521)),
        ("415446, 535521", (415446, 535521)),
        ("415446;535521", (415446, 535521)),
        ("415446 535521\n1", (415446, 535521, 1)),
        ("415, 446", (415, 446)),
        ("1,2", (1, 2)),
        ("415446,535", (415446, 535)),
        ("４１５４４６", (415446,)),  # noqa: RUF001 - full-width digits
        ("7;", (7,)),
    ],
)
def test_a_series_cell_names_one_or_several_in_order(cell, series):
    assert read_series(cell) == series


@pytest.mark.parametrize("cell", ["415,446", "1,234,567", "4,15,446", "12,345"])
def test_digits_grouped_like_one_number_are_ambiguous_and_refused(cell):
    """415,446 may be series 415446 as Excel shows it, or series 415 and 446."""
    assert "one series or several" in str(read_series(cell))


@pytest.mark.parametrize("cell", ["-415446", "+415446", "415446.0", "0", "00", "a", "415446,x", "4e5", "415446|2", "²"])
def test_a_series_is_a_positive_whole_number_without_sign_or_decimals(cell):
    assert "not a series id" in str(read_series(cell))


def test_a_number_that_excel_made_of_two_series_is_caught():
    assert "too large" in str(read_series("415446535521"))
    assert "too large" in str(read_series("9" * 5000))


def test_the_same_series_twice_in_a_cell_is_refused():
    assert "stands twice" in str(read_series("415446,535521,415446"))


def test_a_blank_series_cell_in_a_present_column_is_rejected_whatever_the_default():
    [problem] = problems(["919000000001", " "], reader("mobile", "series", series=(1,)))
    assert problem.column == "series"
    assert "names no series" in problem.message


def test_without_a_series_column_the_default_holds():
    assert row(["919000000001"], reader("mobile", series=(415446, 2))).series == (415446, 2)


def test_no_series_at_all_is_a_problem_of_the_file():
    with pytest.raises(InputRefused, match="--series"):
        reader("mobile", "count")


@pytest.mark.parametrize(
    ("cell", "count"),
    [("2", 2), ("2.0", 2), (" 3 ", 3), ("'4", 4), ("1000000", 1000000), ("", 9), ("1,200", 1200), ("1,00,000", 100000)],
)
def test_the_count_is_the_cell_and_a_blank_cell_is_the_default(cell, count):
    assert row(["919000000001", "1", cell], reader("mobile", "series", "count", count=9)).count == count


@pytest.mark.parametrize(
    "cell", ["2.5", "0", "-1", "two", "1000001", "9" * 5000, "1e3", "2,0", "1.200", "1,20", "+2", "²"]
)
def test_a_count_is_a_positive_whole_number(cell):
    assert isinstance(read_count(cell), str)
    [problem] = problems(["919000000001", "1", cell])
    assert problem.column == "count"


def test_a_row_has_to_name_its_customer():
    [problem] = problems(["", "1", "1"])
    assert problem == (None, None, "This row names no customer. Fill in mobile, or delete the row.")


BOTH = reader("email", "mobile", "externalId", "series", identify_by=(Kind.EXTERNAL_ID, Kind.MOBILE))


def test_the_first_kind_of_identify_by_that_the_row_has_is_sent_and_all_are_kept():
    found = row(["a@example.com", "919000000001", "007", "1"], BOTH)
    assert [identifier.kind for identifier in found.identifiers] == [Kind.MOBILE, Kind.EMAIL, Kind.EXTERNAL_ID]
    assert found.sent.written == "007"
    assert row(["a@example.com", "919000000001", "", "1"], BOTH).sent.written == "919000000001"


def test_a_row_without_any_kind_of_identify_by_is_rejected_naming_what_it_has():
    [problem] = problems(["a@example.com", "", " ", "1"], BOTH)
    assert "by email only" in problem.message
    assert "externalId or mobile" in problem.message


def test_an_invalid_identifier_rejects_the_row_even_when_another_is_sent():
    """A damaged cell says that the row is not what it was: which cell to trust would be a guess."""
    [problem] = problems(["nobody", "919000000001", "007", "1"], BOTH)
    assert problem.column == "email"


def test_identify_by_needs_a_column_of_the_file():
    with pytest.raises(InputRefused, match="identified by email, but the file names them by mobile"):
        reader("mobile", "series", identify_by=(Kind.EMAIL,))


@pytest.mark.parametrize(
    "defaults", [{"count": 0}, {"count": 1000001}, {"series": (1, 1)}, {"series": (0,)}, {"region": "in"}]
)
def test_defaults_that_are_none_are_refused_before_any_row(defaults):
    with pytest.raises(UsageError):
        reader("mobile", "series_id", **defaults)


@pytest.mark.parametrize("cells", [["919000000001", "1"], ["919000000001", "1", "2", ""], []])
def test_a_ragged_row_is_rejected_with_the_numbers_and_not_shifted(cells):
    [problem] = problems(cells)
    assert f"{len(cells)} cells, but the header has 3" in problem.message
    found = PLAIN.read(HERE, cells)
    assert found.cells == tuple(cells)


def test_blank_cells_beyond_the_header_have_their_own_remedy():
    """No comma inside a cell split it: nothing stands there."""
    [problem] = problems(["919000000001", "7", "2", "", " "])
    assert "5 cells, but the header has 3. Those beyond the header are blank: delete the separators" in problem.message
    assert problems(["919000000001"])[0].message.startswith("This row has 1 cell, but the header has 3.")


@pytest.mark.parametrize("cell", ["415,446,535,521", "415446535521", "4" * 6000, "1" + ",234" * 2000])
def test_a_number_too_large_for_a_series_is_not_offered_as_one(cell):
    found = read_series(cell)
    assert isinstance(found, str)
    assert "for the one" not in found


def test_two_ids_that_became_one_number_are_shown_apart():
    assert "for example 415446; 535521" in str(read_series("415446535521"))
    assert "for example 415446; 535522" in str(read_series("415,446,535,522"))


def test_repaired_counts_and_series_are_noticed_and_those_of_a_total_are_not():
    read = reader("mobile", "series", "count")
    read.read(Place(0, "", 2), ["919000000001", "'7", "1,200"])
    read.read(Place(0, "", 3), ["", "7", "2.0"])
    read.notices.take_back(3)
    assert [(one.column, one.what, one.count, one.rows) for one in read.notices.all()] == [
        ("series", "an apostrophe in front", 1, (2,)),
        ("count", "separators of thousands", 1, (2,)),
    ]


OURS = reader("mobile", "series", "count", "_row", "_series", "_ref", series=(8, 9), count=5)


def test_a_line_of_ours_carries_its_reference_and_only_the_persons_cells():
    found = row(["919000000001", "7", "2", "17", "7", ref(3)], OURS)
    assert found.ref == Ref(LEDGER, ORDER, 3, False, False)
    assert (found.cells, found.series, found.count, found.counted) == (("919000000001", "7", "2"), (7,), 2, True)


def test_a_line_of_ours_that_printed_no_count_asks_for_none_of_its_own():
    found = row(["919000000001", "7", "", "17", "7", ref(3, whole=True)], OURS)
    assert (found.count, found.counted) == (0, False)
    other = reader("mobile", "_series", "_ref")
    assert row(["919000000001", "7", ref(3, whole=True)], other).counted is False


def test_a_count_deleted_from_a_line_of_ours_is_rejected():
    """Its default would be added to what the reference says."""
    [problem] = problems(["919000000001", "7", " ", "17", "7", ref(3)], OURS)
    assert "was deleted" in problem.message


def test_a_count_added_to_a_line_that_had_none_is_rejected():
    """It may be meant as the total or on top: issuing on a guess could issue too much."""
    [problem] = problems(["919000000001", "7", "2", "17", "7", ref(3, whole=True)], OURS)
    assert "total or comes on top" in problem.message


def test_a_reference_that_is_refused_rejects_its_row():
    for text in ("nonsense", ref(3, ledger="ffff"), ref(3)[:-1] + "x"):
        [problem] = problems(["919000000001", "7", "2", "17", "7", text], OURS)
        assert (problem.column, problem.value) == ("_ref", text)


def test_a_line_of_ours_from_a_cell_with_several_series_is_one_of_them():
    assert row(["919000000001", "7,8", "2", "17", "8", ref(0)], OURS).series == (8,)
    for named in ("", "9", "7,8"):
        [problem] = problems(["919000000001", "7,8", "2", "17", named, ref(0)], OURS)
        assert "stands for one series" in problem.message


def test_an_edited_series_cell_wins_over_ours():
    """What the person wrote is meant; that it leads to another order is for the planner to see."""
    assert row(["919000000001", "9", "2", "17", "8", ref(0)], OURS).series == (9,)


def test_a_line_of_ours_without_series_column_has_the_series_that_we_printed():
    found = reader("mobile", "_series", "_ref", series=(8, 9))
    assert row(["919000000001", "8", ref(1, whole=True)], found).series == (8,)
    [problem] = problems(["919000000001", "", ref(1, whole=True)], found)
    assert "stands for one series" in problem.message
    [problem] = problems(["919000000001", "", ""], reader("mobile", "_series", "_ref"))
    assert problem.column == "_series"


def test_a_row_added_to_a_file_of_ours_is_an_ordinary_row():
    found = row(["919000000001", "7,8", "", "", "", ""], OURS)
    assert (found.ref, found.series, found.count, found.counted) == (None, (7, 8), 5, True)


def test_cells_of_a_file_of_ours_are_restored_and_others_are_not():
    ours = reader("mobile", "note", "_ref", series=(1,))
    assert row(["'+919000000001x"[:14], "'=1", ""], ours).cells[1] == "=1"
    assert row(["919000000001", "'=1"], reader("mobile", "note", series=(1,))).cells[1] == "'=1"


READERS = [PLAIN, BOTH, OURS, reader("mobile", "email", series=(1,), region="IN")]
CELL = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", " ", "919000000001", "9000000001", "a@example.com", "7", "7,8", "2", ref(1), ref(1, whole=True)]
    ),
)


@given(st.sampled_from(READERS), st.lists(CELL, max_size=7))
def test_any_cells_are_a_row_or_a_rejected_row_with_sentences(reader, cells):
    """Nothing raises; a row names its customer by what stands in it; a rejected one says why."""
    found = reader.read(HERE, cells)
    if isinstance(found, RejectedRow):
        assert found.problems
        assert all(problem.message.endswith(".") for problem in found.problems)
        return
    assert found.sent in found.identifiers
    assert found.series
    assert found.count >= 1 or not found.counted
    written = "".join(found.cells)
    for identifier in found.identifiers:
        inside = identifier.written[-9:] if identifier.kind is Kind.MOBILE else identifier.written
        digits = "".join(sign for sign in written if sign.isdecimal())
        assert inside in written or inside in digits or not written.isascii()


LISTED = SeriesList(
    (
        ListedSeries(415446, "Welcome", 2, None, None, 2),
        ListedSeries(535521, "Big one", 5, None, None, 3),
        ListedSeries(600709, "", None, None, None, 4),
    )
)


def listed_reader(*headers, series=(), count=1) -> RowReader:
    columns = assign_columns(headers, {})
    assert isinstance(columns, Columns)
    return RowReader(
        columns,
        identify_by=(Kind.MOBILE,),
        region=None,
        default_series=series,
        default_count=count,
        ledger_id=LEDGER,
        key=KEY,
        series_list=LISTED,
    )


@pytest.mark.parametrize(
    ("cells", "series", "count", "counts"),
    [
        (("big ONE", ""), (535521,), 5, ()),
        (("600709", ""), (600709,), 3, ()),
        (("Welcome", "7"), (415446,), 7, ()),
        (("Welcome; 535521", "7"), (415446, 535521), 7, ()),
        (("Welcome; 535521; 600709", ""), (415446, 535521, 600709), 2, (2, 5, 3)),
    ],
)
def test_a_count_is_the_cells_else_the_lists_else_the_default(cells, series, count, counts):
    """For each series of the row by itself."""
    found = row(["919000000001", *cells], listed_reader("mobile", "series", "count", count=3))
    assert (found.series, found.count, found.counts) == (series, count, counts)


def test_every_series_of_the_list_only_where_nobody_names_one():
    """No series column and no `--series`."""
    every = row(["919000000001"], listed_reader("mobile"))
    assert (every.series, every.counts) == (LISTED.ids, (2, 5, 1))
    assert row(["919000000001"], listed_reader("mobile", series=(600709,))).series == (600709,)
    assert problems(["919000000001", ""], listed_reader("mobile", "series"))[0].column == "series"
    assert problems(["919000000001", "", ""], listed_reader("mobile", "_series", "_ref"))


def test_a_rejected_row_of_a_list_prints_no_count_that_it_would_not_have_had():
    """Its count comes from the list again when it is corrected and comes back."""
    reading = listed_reader("mobile", "series")
    found = [reading.read(HERE, ["x", cell]) for cell in ("Welcome", "600709", "Welcome; big one", "?")]
    assert [one.count_text for one in found if isinstance(one, RejectedRow)] == ["2", "1", "", ""]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_doubtful_cell_rejects_its_row_and_stays_doubtful_when_the_row_comes_back(at):
    """As plain text a date would be a mobile, 415,446 one series and a lost number an id."""
    cells = ["919000000001", "415446", "2"]
    cells[at] = DoubtfulCell(cells[at], "because")
    found = PLAIN.read(HERE, cells)
    assert isinstance(found, RejectedRow)
    assert [(problem.value, problem.message) for problem in found.problems] == [(cells[at], "because")]
    again = PLAIN.read(HERE, [str(cell) for cell in found.cells])
    assert isinstance(again, RejectedRow)
    assert "could not be trusted" in again.problems[0].message


def test_a_doubt_in_a_column_that_nothing_reads_harms_nobody():
    """A date in the column of birthdays."""
    reading = reader("mobile", "born", "series_id")
    found = row(["919000000001", DoubtfulCell("2026-05-01", "a date"), "415446"], reading)
    assert found.cells[1] == "2026-05-01"
    grouped = DoubtfulCell("415446", "one or two", series_only=True)
    assert problems(["919000000001", "", grouped], reading)[0].message == "one or two"
    assert row(["919000000001", "415446", DoubtfulCell("12", "x", series_only=True)]).count == 12
