"""The right sheet: told, the only one that can be meant, or asked about; never the first by chance."""

from collections.abc import Sequence

from runner.core.sheet_choice import (
    SheetChosen,
    SheetSeen,
    SheetUnclear,
    find_sheet,
    hidden_customers,
    is_series_sheet,
    names_customers,
)

CUSTOMERS = SheetSeen("May", False, ("Mobile", "city"), True)
OTHERS = SheetSeen("June", False, ("Mobile", "city"), True)
NOTES = SheetSeen("notes", False, ("what", "when"), True)
BLANK = SheetSeen("Sheet2", False, (), False)
SERIES = SheetSeen(" Series", False, ("series_id", "name"), True)
HIDDEN = SheetSeen("old", True, ("Mobile",), True)


def number_of(seen: list[SheetSeen], *, wanted: str | None, told: Sequence[str] = ()) -> int:
    found = find_sheet(seen, wanted=wanted, told=told)
    assert isinstance(found, SheetChosen), found
    return found.number


def test_a_text_file_is_its_only_sheet():
    """Nothing to say."""
    assert find_sheet([SheetSeen("", False, ("a",), True)], wanted=None) == SheetChosen(0, "")


def test_the_only_sheet_with_rows_is_meant():
    """Blank ones, hidden ones and the list of series beside it do not count."""
    assert number_of([BLANK, SERIES, HIDDEN, NOTES], wanted=None) == 3
    assert find_sheet([SERIES, CUSTOMERS], wanted=None) == SheetChosen(1, "")


def test_the_only_sheet_that_names_customers_is_meant_and_it_is_said_why():
    """By its heading."""
    found = find_sheet([NOTES, CUSTOMERS], wanted=None)
    assert found == SheetChosen(1, "the sheet 'May', the only one whose columns name customers ('Mobile')")
    assert number_of([NOTES, BLANK], wanted=None, told=("what",)) == 0
    assert names_customers(("_ref",))


def test_several_sheets_with_customers_are_asked_about():
    """The sentence lists them, and the others are not among them."""
    found = find_sheet([CUSTOMERS, OTHERS, NOTES], wanted=None)
    assert isinstance(found, SheetUnclear)
    assert found.names == ("May", "June")
    assert "'May', 'June'" in found.message


def test_several_sheets_none_of_which_names_customers_are_asked_about():
    """Headings may be told by `--map`."""
    found = find_sheet([NOTES, NOTES._replace(name="more")], wanted=None)
    assert isinstance(found, SheetUnclear)
    assert found.names == ("notes", "more")


def test_a_sheet_that_is_named_is_taken_whatever_it_holds():
    """Exactly, else whatever its case."""
    assert number_of([CUSTOMERS, OTHERS], wanted="June") == 1
    assert number_of([CUSTOMERS, OTHERS], wanted=" june ") == 1
    assert number_of([CUSTOMERS, HIDDEN], wanted="old") == 1
    both = [OTHERS, OTHERS._replace(name="JUNE")]
    assert number_of(both, wanted="JUNE") == 1
    assert isinstance(find_sheet(both, wanted="june"), SheetUnclear)


def test_a_sheet_that_is_not_there_is_not_replaced_by_another():
    """The names that there are, are listed."""
    found = find_sheet([CUSTOMERS], wanted="July")
    assert isinstance(found, SheetUnclear)
    assert "no sheet 'July', but 'May'" in found.message


def test_hidden_sheets_count_when_a_person_said_so():
    """Then two sheets may be meant where one was."""
    assert number_of([CUSTOMERS, HIDDEN], wanted=None) == 0
    assert isinstance(find_sheet([CUSTOMERS, HIDDEN], wanted=None, hidden_too=True), SheetUnclear)


def test_hidden_sheets_that_could_be_meant_need_a_decision():
    """Customers and lists of series; a hidden sheet of notes, or without rows, does not."""
    hidden_series, hidden_notes = SERIES._replace(hidden=True), NOTES._replace(hidden=True)
    seen = [CUSTOMERS, HIDDEN, hidden_series, hidden_notes, HIDDEN._replace(name="empty", rows=False)]
    assert hidden_customers(seen) == ("old", " Series")


def test_a_sheet_called_series_that_names_customers_is_no_list_of_series():
    """Its columns say what it is."""
    assert is_series_sheet(SERIES)
    assert not is_series_sheet(SERIES._replace(headers=("mobile", "series_id")))
    assert not is_series_sheet(CUSTOMERS)


def test_where_no_sheet_has_rows_the_one_with_a_header_is_meant():
    """So that the sentence names it."""
    header_only = CUSTOMERS._replace(rows=False)
    assert number_of([BLANK, header_only], wanted=None) == 1
    assert number_of([BLANK], wanted=None) == 0
