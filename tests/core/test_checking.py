"""Problems by kind, the cells that they are about, what was repaired, and how many rejected rows are too many."""

from __future__ import annotations

import pytest

from runner.core.check_tables import CheckedFile, judge, sheet_names, stem_of
from runner.core.checking import (
    EXAMPLES,
    MaxRejected,
    ProblemTally,
    in_order,
    percent,
    places_of_problem,
    repair_of,
    shown_value,
    widespread,
)
from runner.core.columns import Role
from runner.core.model import Kind, Place, Problem
from runner.errors import UsageError

SHORT = "A mobile needs at least 5 digits with its country code; this one has {}."


def tally(*rows: tuple[Problem, ...]) -> ProblemTally:
    made = ProblemTally()
    for number, problems in enumerate(rows, start=2):
        made.add(Place(0, "", number), problems)
    return made


# ---------------------------------------------------------------- kinds


def test_problems_that_differ_in_cells_and_numbers_only_are_one_kind_with_the_first_rows_as_examples():
    rows = [(Problem("Mobile", "1" * n, SHORT.format(n)),) for n in (1, 2, 3, 4)]
    (one,) = tally(*rows).kinds()
    assert (one.rows, one.column, one.reason) == (4, "Mobile", SHORT.format(1))
    assert [example.place.row for example in one.examples] == [2, 3, 4][:EXAMPLES]
    assert [example.value for example in one.examples] == ["1", "11", "111"]


def test_a_cell_that_the_sentence_quotes_is_no_part_of_the_kind():
    """Else everybody's shared address would be a kind of its own."""
    rows = [(Problem(None, text, f"rows {n} and {n + 1} share the email {text} but differ in mobile"),)
            for n, text in ((2, "ann1@example.com"), (7, "bob@example.com"))]  # fmt: skip
    assert [one.rows for one in tally(*rows).kinds()] == [2]


def test_the_same_problem_under_two_headings_is_two_kinds():
    """It is mended in two columns."""
    assert len(tally((Problem("Mobile", "1", "bad"), Problem("Phone", "1", "bad"))).kinds()) == 2


def test_the_commonest_kind_comes_first_and_a_row_counts_once_for_a_kind():
    kinds = tally((Problem("a", "x", "rare"),), *[(Problem("b", "x", "often"), Problem("b", "y", "often"))] * 3).kinds()
    assert [(one.reason, one.rows) for one in kinds] == [("often", 3), ("rare", 1)]


def test_kinds_without_number_are_counted_as_others_and_no_row_is_lost():
    """A message that never repeats must not fill the memory."""
    words = [f"reason {chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)}" for n in range(1_500)]
    kinds = tally(*[(Problem(None, None, word),) for word in words]).kinds()
    assert len(kinds) == 1_001
    assert sum(one.rows for one in kinds) == 1_500
    assert kinds[0].reason.startswith("Other problems")


def test_one_problem_of_most_rows_is_told_apart_from_many_problems():
    """One wrong setting is no thousand wrong cells; whoever mends it may find the others gone."""
    kinds = tally(*[(Problem("Mobile", "1", "same"),)] * 6).kinds()
    found = widespread(kinds, 10)
    assert found is not None
    assert found.reason == "same"
    assert widespread(kinds, 12) is None
    assert widespread(tally((Problem("Mobile", "1", "same"),)).kinds(), 1) is None


def test_what_concerns_the_whole_row_comes_before_its_cells():
    ragged = Problem(None, None, "This row has 6 cells, but the header has 5.")
    cell = Problem("count", "two", "This is not a count.")
    assert in_order([cell, ragged]) == [ragged, cell]
    assert in_order([cell, cell._replace(column="x")]) == [cell, cell._replace(column="x")]


# ---------------------------------------------------------------- cells


@pytest.mark.parametrize(
    ("problem", "places"),
    [
        (Problem("Mobile", "12", "short"), [1]),
        (Problem("_ref", "x", "unknown"), []),
        (Problem(None, None, "no customer"), []),
        (Problem(None, "919000000001", "shared"), [1]),
        (Problem(None, "ann@example.com", "shared"), [2]),
        (Problem("Qty", "two", "no count"), [4]),
        (Problem("Qty", "elsewhere", "no count"), [3]),
    ],
)
def test_a_problem_leads_to_its_cell(problem, places):
    """By heading, of two equal headings to the one with that cell; by value where only a value is named."""
    cells = ["Ann", "12" if problem.value == "12" else "+91 90000-00001", "Ann@Example.com", "2", "two"]
    assert places_of_problem(problem, ["Name", "Mobile", "E-mail", "Qty", "Qty"], cells) == places


def test_a_problem_whose_column_a_ragged_row_lacks_leads_nowhere():
    assert places_of_problem(Problem("Qty", "", "x"), ["Name", "Qty"], ["Ann"]) == []


@pytest.mark.parametrize(
    ("role", "cell", "what", "read"),
    [
        (Role.MOBILE, "919000000001.0", ".0 at the end", "919000000001"),
        (Role.MOBILE, "'919000000001", "an apostrophe in front", "919000000001"),
        (Role.MOBILE, "91\u00a09000000001", "invisible or no-break blanks", "91\u00a09000000001"),
        (Role.MOBILE, "\uff19\uff11" + "9000000001", "full-width digits", "919000000001"),
        (Role.MOBILE, "tel:919000000001", "tel:", "919000000001"),
        (Role.EMAIL, "mailto:ann@example.com", "mailto:", "ann@example.com"),
        (Role.EXTERNAL_ID, "\u200bX1", "invisible or no-break blanks", "X1"),
        (Role.SERIES, "'415446, 535521\u00a0", "invisible or no-break blanks and an apostrophe in front",
         "415446; 535521"),
        (Role.SERIES, "４１５４４６", "full-width digits", "415446"),  # noqa: RUF001
        (Role.COUNT, "2.0", ".0 at the end", "2"),
        (Role.COUNT, "'2", "an apostrophe in front", "2"),
        (Role.COUNT, "1,200", "separators of thousands", "1200"),
        (Role.COUNT, "1\u00a0200", "separators of thousands", "1200"),
        (Role.COUNT, "٣", "digits of another script", "3"),
    ],
)  # fmt: skip
def test_a_cell_that_was_read_as_something_else_is_listed_as_repaired(role, cell, what, read):
    assert repair_of(role, cell) == (what, read)


def test_an_identifier_that_was_repaired_is_shown_as_it_is_used():
    assert repair_of(Role.MOBILE, "09000000001.0", "919000000001") == (".0 at the end", "919000000001")


@pytest.mark.parametrize(
    ("role", "cell"),
    [
        (Role.MOBILE, "919000000001"),
        (Role.MOBILE, "+91 (90000) 00-001"),
        (Role.MOBILE, "09000000001"),
        (Role.EMAIL, " Ann@Example.com "),
        (Role.EXTERNAL_ID, "X1 "),
        (Role.SERIES, "415446, 535521 "),
        (Role.SERIES, "415446"),
        (Role.COUNT, " 2 "),
        (Role.COUNT, "2"),
    ],
)
def test_another_way_to_write_the_same_is_no_repair(role, cell):
    """Else a column of +91 … would be a thousand repairs, and the true ones would drown."""
    assert repair_of(role, cell, "919000000001") is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("two", "'two'"),
        ("9.19E+11", "…E+11"),
        ("919000000001", "…0001"),
        ("ann@example.com", "….com"),
        ("  ", "blank"),
        ("a\tb", "'a b'"),
        ("x" * 50, f"'{'x' * 40}…'"),
    ],
)
def test_a_cell_on_the_screen_names_nobody(value, shown):
    """A log is no place for somebody's number or address; what is no identifier is shown as it is."""
    assert shown_value(value) == shown


# ---------------------------------------------------------------- the row


FILE = CheckedFile("list.csv", "", ("name", "mobile", "count"), {Kind.MOBILE: 1}, None, 2)


def test_a_rejected_row_has_its_cells_and_all_its_reasons():
    problems = (Problem("mobile", "12", "Too short."), Problem("count", "two", "No count."))
    judged = judge(Place(0, "", 7), ("Ann", "12", "two"), problems, {}, "", FILE, {})
    assert (judged.word, judged.bad) == ("rejected", (1, 2))
    assert judged.why == "mobile: Too short.\ncount: No count."


def test_a_row_that_names_nobody_has_the_blank_cell_marked():
    judged = judge(Place(0, "", 7), ("Ann", " ", "1"), (Problem(None, None, "No customer."),), {}, "", FILE, {})
    assert (judged.bad, judged.why) == ((1,), "No customer.")


def test_cells_beyond_the_header_are_not_lost():
    judged = judge(Place(0, "", 7), ("A", "B", "1", "x", "y"), (Problem(None, None, "Ragged."),), {}, "", FILE, {})
    assert judged.why == "Ragged.\nCells beyond the header: x | y"


def test_the_mark_of_a_doubtful_cell_is_not_shown_as_if_it_had_stood_there():
    judged = judge(Place(0, "", 7), ("A", "#? 43210", "1"), (Problem("mobile", "43210", "A date."),), {}, "", FILE, {})
    assert judged.cells[1] == "43210"


@pytest.mark.parametrize(
    ("names", "repeats", "restored", "word", "why"),
    [
        ({Kind.MOBILE: "919000000001"}, "", {}, "ok", ""),
        ({Kind.MOBILE: "919000000002"}, "", {}, "ok", ""),
        ({Kind.MOBILE: "919000000001"}, "same as row 2", {}, "duplicate", "same as row 2"),
        (
            {Kind.MOBILE: "919000000001"},
            "",
            {"mobile": "9.19E+11"},
            "repaired",
            "mobile: read as 919000000001 (repaired: restored from the ledger)",
        ),
    ],
)
def test_a_row_that_can_be_used_says_what_is_to_be_known_of_it(names, repeats, restored, word, why):
    judged = judge(Place(0, "", 7), ("A", "919000000001", "1"), (), names, repeats, FILE, restored)
    assert (judged.word, judged.why, judged.bad) == (word, why, ())


def test_every_repaired_cell_is_listed_whether_its_row_is_used_or_not():
    cells = ("A", "'919000000001", "1,200")
    used = judge(Place(0, "", 7), cells, (), {Kind.MOBILE: "919000000001"}, "", FILE, {})
    assert [(one.at, one.cell, one.what, one.read) for one in used.repaired] == [
        (1, "'919000000001", "an apostrophe in front", "919000000001"),
        (2, "1,200", "separators of thousands", "1200"),
    ]
    assert used.why.splitlines() == [
        "mobile: read as 919000000001 (repaired: an apostrophe in front)",
        "count: read as 1200 (repaired: separators of thousands)",
    ]
    rejected = judge(Place(0, "", 7), ("A", "12", "1,200"), (Problem("mobile", "12", "Too short."),), {}, "", FILE, {})
    assert (rejected.word, rejected.bad, [one.at for one in rejected.repaired]) == ("rejected", (1,), [2])
    repeated = judge(Place(0, "", 7), cells, (), {}, "same as row 2", FILE, {})
    assert (repeated.word, len(repeated.repaired)) == ("duplicate", 2)


def test_in_a_row_whose_cells_may_have_shifted_nothing_is_said_to_be_repaired():
    judged = judge(Place(0, "", 7), ("A", "x", "1,200", "y"), (Problem(None, None, "Ragged."),), {}, "", FILE, {})
    assert judged.repaired == ()


def test_sheets_are_named_after_the_input_each_once_and_as_a_workbook_allows():
    files = [FILE._replace(name=name, sheet=sheet) for name, sheet in
             [("a.csv", ""), ("b.xlsx", "A"), ("c.xlsx", "x/y:z"), ("d.xlsx", "History"), ("summary.csv", ""),
              ("e" * 40 + ".csv", ""), ("e" * 40 + "f.csv", "")]]  # fmt: skip
    names = sheet_names(files, ["Summary", "Problems"])
    assert names == ["a", "A 2", "x y z", "History 2", "summary 2", "e" * 31, "e" * 29 + " 2"]


def test_the_report_is_called_after_the_first_file():
    assert stem_of(["list.csv"]) == "list"
    assert stem_of(["list.CSV.gz"]) == "list"
    assert stem_of([".csv"]) == ".csv"
    assert stem_of(["a.b.xlsx", "c.csv", "d.csv"]) == "a.b-and-2-more"


# ---------------------------------------------------------------- too many


@pytest.mark.parametrize(
    ("text", "rejected", "rows", "too_many"),
    [
        ("10%", 10, 100, False),
        ("10%", 11, 100, True),
        ("29%", 29, 100, False),
        ("0%", 1, 1_000_000, True),
        ("100%", 5, 5, False),
        ("5", 5, 10, False),
        ("5", 6, 1_000_000, True),
        ("50,10%", 51, 1_000, True),
        ("50,10%", 11, 100, True),
        ("50,10%", 10, 100, False),
    ],
)
def test_more_rejected_rows_than_allowed_are_too_many(text, rejected, rows, too_many):
    assert MaxRejected.of(text).is_exceeded(rejected, rows) is too_many


def test_the_sentence_names_the_figures_and_the_flag():
    assert MaxRejected.of("10%").sentence(14, 100) == (
        "14 of 100 rows are rejected (14%), and at most 10% may be (--max-rejected)"
    )


@pytest.mark.parametrize("text", ["", "x", "10 %%", "-1", "101%", "1.5"])
def test_a_limit_that_cannot_be_read_is_refused(text):
    with pytest.raises(UsageError):
        MaxRejected.of(text)


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (0, 5, "0%"),
        (1, 3, "33.3%"),
        (1, 1_000_000, "less than 0.1%"),
        (99_999, 100_000, "more than 99.9%"),
        (5, 5, "100%"),
    ],
)
def test_a_share_is_never_rounded_to_nothing_or_all(part, whole, words):
    assert percent(part, whole) == words
