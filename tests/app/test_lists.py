"""What people do inside a sheet, one list for each: what becomes of every row, or the sentence against the list."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.scopes import create_org
from runner.adapters.ledger.staging import Staging
from runner.app.input_files import Asker
from runner.app.intake import take_in
from runner.core.check_tables import file_of_record, judge
from runner.core.notices import About
from runner.errors import CouponRunnerError
from runner.settings import Options
from tests.make_fixtures import LIST_TEXTS, LISTS


class Outcome(NamedTuple):
    """What became of the rows of a list.

    `used`: (row, the identifier as it is sent, series, count). `rejected`: (row, heading, beginning of the reason).
    `left_out`: (rows, why they are no customers). `repaired`: (row, heading, what it was read as). `notes`: to be said.
    """

    used: list[tuple[int, str, str, int]]
    rejected: list[tuple[int, str | None, str]]
    left_out: list[tuple[tuple[int, ...], str]]
    repaired: list[tuple[int, str, str]]
    notes: tuple[str, ...]


class Reader:
    """Reads lists as a command would."""

    def __init__(self, folder: Path) -> None:
        self._ledger = LedgerFile.create(folder / "l.db", key_folder=folder / "keys", rehearsal=False)
        self._org = create_org(self._ledger, "Acme", at=0.0)

    def read(self, name: str, **options: Any) -> Outcome:
        given = Options(**({"campaign": "May", "series": "415446"} | options))
        with Staging(self._ledger) as staging:
            intake = take_in(
                [LISTS / name], staging, ledger=self._ledger, org=self._org, options=given, asker=Asker(choose=None)
            )
            [file] = [file_of_record(record, intake.mapping) for record in intake.files]
            rows = staging._connection.exec_driver_sql(
                "SELECT row, value, series, count FROM t_rows WHERE problems IS NULL ORDER BY seq"
            ).all()
            places = {0: {role: index for index, role in file.places.items()}}
            judged = [
                judge(one.place, one.cells, one.problems, one.names, "", file, {})
                for one in staging.checked_rows(places, every=True)
            ]
            rejected = [
                (place.row, one.column, one.message) for place, problems in staging.rejected_rows() for one in problems
            ]
        notices = [notice for _, found in intake.noticed for notice in found]
        return Outcome(
            [(row, value, series, int(count)) for row, value, series, count in rows],
            rejected,
            [(one.rows, one.what) for one in notices if one.about is About.NO_CUSTOMER],
            [(one.place.row, file.headings[cell.at], cell.read) for one in judged for cell in one.repaired],
            intake.notes,
        )


Expected = tuple[list[Any], list[Any], list[Any], list[Any], list[str]]
"""As `Outcome`; reasons by their beginning, and of the notes what has to be among them."""

IN = {"region": "IN"}
BY_MOBILE = {"identify_by": "mobile"}
ONE_CUSTOMER = [(2, "919000000001", "415446", 2)]
NO_COUNT, NO_ROOM = "This is not a count.", "This number is too large for a series id."

ODD_USED = [
    (2, "919876543210", "415446", 1),
    (3, "919876543211", "415446", 2),
    (4, "919876543212", "415446", 1),
    (5, "919876543213", "415446", 1),
    (6, "919876543214", "415446", 1),
]
ODD_REJECTED = [
    (7, "Mobile", "The spreadsheet holds a date here."),
    (8, "Mobile", "This is a truth value"),
    (9, "Mobile", "This number ends in a run of zeros"),
    (10, "Mobile", "This is a number with decimals"),
    (11, "External ID", "A spreadsheet keeps 15 digits of a number and this one has 20"),
    (12, "Series", NO_ROOM),
    (13, "Series", "The spreadsheet shows 415,446 here, which can be one series or several."),
    (14, "Qty", ""),
    (15, "Qty", "The spreadsheet holds a date here."),
]
TITLED: Expected = (
    [(5, "919000000001", "415446", 1), (7, "919000000002", "415446", 2)],
    [],
    [((9,), "a total"), ((11,), "a note, 'Prepared by'")],
    [],
    ["the headings stand in rows 3 and 4; above them row 1 is left out as titles", "not read: 'Name', 'Remarks'"],
)
SEVERAL: Expected = (
    [(2, "919000000001", "415446", 1), (3, "919000000002", "415446", 1)],
    *([], [], []),
    ["read is the sheet 'List', the only one whose columns name customers ('Mobile')"],
)
ALL_HIDDEN = [(row, f"91900000000{row - 1}", "415446", 2) for row in range(2, 7)]
SHOWN_ONLY = [(row, f"91900000000{row - 1}", "415446", 1) for row in (2, 4, 6)]
FOUND_HIDDEN = "sheet 'List' has 2 hidden rows and 1 hidden column (Qty)"
EXCLUDED: Expected = (
    SHOWN_ONLY,
    [],
    [],
    [],
    [f"{FOUND_HIDDEN}: left out", "1 hidden sheet that could be meant ('Last year')"],
)
INCLUDED: Expected = (ALL_HIDDEN, [], [], [], [f"{FOUND_HIDDEN}: read like the others"])

OUTCOMES: list[tuple[str, dict[str, Any], Expected]] = [
    # which column is what
    ("vendor-headings.csv", BY_MOBILE, (ONE_CUSTOMER, [], [], [], [])),
    ("vendor-headings.csv", {"identify_by": "externalId"}, ([(2, "000017", "415446", 2)], [], [], [], [])),
    ("more-headings.csv", {"identify_by": "email"}, ([(2, "ann@example.com", "415446", 2)], [], [], [], [])),
    ("french.csv", {}, (ONE_CUSTOMER, [], [], [], ["not read: 'Nom'"])),
    ("spanish.csv", {}, (ONE_CUSTOMER, [], [], [], ["not read: 'Nombre'"])),
    ("portuguese.csv", {}, (ONE_CUSTOMER, [], [], [], ["not read: 'Nome'"])),
    ("indonesian.csv", {}, (ONE_CUSTOMER, [], [], [], ["not read: 'Nama'"])),
    ("hindi.csv", {}, (ONE_CUSTOMER, [], [], [], ["not read: 'नाम'"])),
    ("arabic.csv", {}, (ONE_CUSTOMER, [], [], [], ["not read: 'الاسم'"])),
    ("customer-id.csv", {"map": "externalId=Customer ID"}, ([(2, "1001", "415446", 1)], [], [], [], [])),
    (
        *("user-id.csv", {}),
        ([(2, "919000000001", "415446", 1)], [], [], [], ["not used, since nobody said what it is: User ID"]),
    ),
    (
        "two-phones.csv",
        {"map": "mobile=Phone"},
        ([(2, "919000000002", "415446", 1)], [], [], [], ["not read: 'Mobile'"]),
    ),
    # where the table is
    *((f"titled.{kind}", {}, TITLED) for kind in ("xlsx", "xls", "ods")),
    *((f"several-sheets.{kind}", {}, SEVERAL) for kind in ("xlsx", "xls", "ods")),
    *((f"hidden-parts.{kind}", {"hidden": "exclude"}, EXCLUDED) for kind in ("xlsx", "xls", "ods")),
    *((f"hidden-parts.{kind}", {"hidden": "include", "sheet": "List"}, INCLUDED) for kind in ("xlsx", "xls", "ods")),
    (
        *("repeated-heading.csv", {}),
        (
            [(2, "919000000001", "415446", 1), (4, "919000000002", "415446", 1)],
            *([], [((3,), "the headings once more")], [], []),
        ),
    ),
    (
        *("separators-behind.csv", {}),
        (
            [(3, "919000000002", "415446", 1)],
            [
                (2, None, "This row has 3 cells, but the header has 2. Those beyond the header are blank"),
                (4, None, "This row has 4 cells, but the header has 2. Those beyond the header are blank"),
            ],
            *([], [], []),
        ),
    ),
    # values
    (
        *("phones.csv", IN),
        (
            [
                *((row, "919876543210", "415446", 1) for row in range(2, 7)),
                (7, "919876543211", "415446", 2),
                (9, "911111111111", "415446", 1),
            ],
            [
                (8, "Mobile", "This is no number of the region IN"),
                (10, "Mobile", "There is no such number"),
                (11, "Mobile", "This is not a mobile number: it holds '/'."),
            ],
            *([], []),
            ["used, but look at them in 'Mobile': a possible number that no operator is known to give out, in row 9"],
        ),
    ),
    (
        *("no-region.csv", {}),
        (
            [(2, "919876543210", "415446", 1), (3, "919876543211", "415446", 1)],
            [(4, "Mobile", "This number has no country code that is certain. Say which country")],
            *([], [], []),
        ),
    ),
    (
        *("damage.csv", IN | BY_MOBILE),
        (
            [(13, "919876543215", "415446", 1)],
            [
                (2, "Mobile", "A spreadsheet has shortened this number and its last digits are lost."),
                (3, "Mobile", "This number ends in a run of zeros"),
                (4, "Mobile", "This is an error value of the spreadsheet."),
                (5, "Mobile", "This is a truth value"),
                (6, "Mobile", "This is a formula whose result is not in the file."),
                (7, "Mobile", "This is a date."),
                (8, "External ID", "A spreadsheet has shortened this number and its last digits are lost."),
                (9, "External ID", "This is a date."),
                (10, "External ID", "This id ends in .0"),
                (11, "External ID", "A spreadsheet keeps 15 digits of a number and has made zeros of the others"),
                (12, "External ID", "This says that there is no id, and is none."),
            ],
            *([], [], []),
        ),
    ),
    (
        *("short-ids.csv", {}),
        (
            [(row, f"{3870 + row:06}", "415446", 1) for row in range(2, 10)],
            [(10, "External ID", "The other ids of this column have 6 digits and this one has 4")],
            *([], [], []),
        ),
    ),
    (
        *("short-ids.csv", {"short_ids": "accept"}),
        (
            [*((row, f"{3870 + row:06}", "415446", 1) for row in range(2, 10)), (10, "3880", "415446", 1)],
            [],
            [],
            [],
            [],
        ),
    ),
    (
        *("repairs.csv", IN | BY_MOBILE),
        (
            [(row, f"91987654321{row - 2}", "415446", count) for row, count in enumerate((2, 1200, 3, 1, 1), start=2)],
            *([], []),
            [
                *((2, "Mobile", "919876543210"), (2, "Email", "ann@example.com"), (2, "Qty", "2")),
                *((3, "Mobile", "919876543211"), (3, "Qty", "1200")),
                *((4, "Mobile", "919876543212"), (4, "Email", "cid@example.com"), (4, "Qty", "3")),
                *((5, "Mobile", "919876543213"), (6, "Mobile", "919876543214")),
            ],
            ["repaired in 'Mobile': full-width digits, in row 5", "repaired in 'Email': mailto:, in row 2"],
        ),
    ),
    (
        *("emails.csv", {}),
        (
            [
                (2, "ann@example.com", "415446", 1),
                (3, "ANN@example.com", "415446", 1),
                (6, "ja\u0308n@example.com", "415446", 1),
            ],
            [
                (4, "Email", "This is not an e-mail address: The part after the @-sign is not valid."),
                (5, "Email", "This is not an e-mail address: The part after the @-sign contains invalid"),
            ],
            *([], [], []),
        ),
    ),
    (
        *("counts.csv", {}),
        (
            [(row, f"91900000000{row - 1}", "415446", n) for row, n in enumerate((2, 2, 1200, 1200, 1), start=2)],
            [
                (7, "Qty", "This count is above 10,000"),
                (8, "Qty", NO_COUNT),
                (9, "Qty", "A count is at least 1."),
                *((row, "Qty", NO_COUNT) for row in range(10, 16)),
                (16, "Qty", "This count is above 10,000"),
            ],
            [],
            [(3, "Qty", "2"), (4, "Qty", "1200"), (5, "Qty", "1200")],
            [],
        ),
    ),
    (
        *("joined-series.csv", {}),
        (
            [(2, "919000000001", "415446,535521", 1)],
            [(3, "Series", NO_ROOM), (4, "Series", "This can be one series or several."), (5, "Series", NO_ROOM)],
            *([], [], []),
        ),
    ),
    *((f"odd-numbers.{kind}", IN | BY_MOBILE, (ODD_USED, ODD_REJECTED, [], [], [])) for kind in ("xlsx", "xls")),
    (
        *("odd-numbers.ods", IN | BY_MOBILE),
        (
            [one for one in ODD_USED if one[0] != 5],
            [(5, "Mobile", "The number format of this cell shows another number"), *ODD_REJECTED],
            *([], [], []),
        ),
    ),
    (
        *("uncalculated.xlsx", {}),
        (
            [(4, "919000000003", "415446", 1)],
            [(2, "Qty", "This formula was never calculated"), (3, "Mobile", "This formula was never calculated")],
            *([], [], []),
        ),
    ),
]

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("customer-id.csv", {}, "'Customer ID' may be the id of another system: if it is the externalId, say so with"),
    ("two-phones.csv", {}, "'Mobile' (column 1) and 'Phone' (column 2). Say which with --map mobile=\"Mobile\""),
    (
        "swapped.csv",
        BY_MOBILE,
        "'Mobile' is taken for the mobile, but holds addresses with @ (3 of 3 cells looked at).",
    ),
    *(
        (f"hidden-parts.{kind}", {}, f"{FOUND_HIDDEN}. Whether they belong to the list cannot be told")
        for kind in ("xlsx", "xls", "ods")
    ),
    ("several-sheets.xlsx", {"sheet": "Lst"}, "it has no sheet 'Lst', but 'Read me', 'List', 'Pivot'"),
]


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Reader:
    return Reader(tmp_path_factory.mktemp("lists"))


@pytest.mark.parametrize(("name", "options", "expected"), OUTCOMES, ids=[f"{one[0]} {one[1]}" for one in OUTCOMES])
def test_every_row_is_used_rejected_or_left_out_as_it_should_be(reader, name, options, expected):
    """To the cell: who is sent what, whose row is rejected for which reason, what was repaired."""
    used, rejected, left_out, repaired, notes = expected
    found = reader.read(name, **options)
    assert found.used == used
    assert [one[:2] for one in found.rejected] == [one[:2] for one in rejected]
    assert all(one[2].startswith(other[2]) for one, other in zip(found.rejected, rejected, strict=True))
    assert found.left_out == left_out
    assert found.repaired == repaired
    said = "\n".join(found.notes)
    assert [note for note in notes if note not in said] == []


@pytest.mark.parametrize(("name", "options", "words"), REFUSED, ids=[f"{one[0]} {one[1]}" for one in REFUSED])
def test_what_would_be_a_guess_refuses_the_list_with_the_remedy(reader, name, options, words):
    with pytest.raises(CouponRunnerError) as caught:
        reader.read(name, **options)
    assert caught.value.message.startswith(name)
    assert words in caught.value.message


def test_every_list_has_its_outcome():
    """None is left without one."""
    assert {path.name for path in LISTS.iterdir()} == {one[0] for one in (*OUTCOMES, *REFUSED)}


def test_the_lists_are_what_their_script_writes():
    """As text; what programs wrote differs in its dates."""
    for name, content in LIST_TEXTS.items():
        assert (LISTS / name).read_text(encoding="utf-8") == content
