"""The empty spreadsheet: its columns, what each means, and its example rows, which are known when they come back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple

from runner.core.columns import IDENTIFIERS, Columns
from runner.core.identity import canonical_email
from runner.core.model import Kind, Problem, RejectedRow, Row
from runner.core.trimming import trim

CUSTOMERS, SERIES, NOTES = "Customers", "series", "Notes"

EXAMPLE_IDENTIFIERS: Mapping[Kind, str] = MappingProxyType(
    {Kind.MOBILE: "910000000000", Kind.EMAIL: "example-row@example.com", Kind.EXTERNAL_ID: "EXAMPLE-ROW"}
)
"""Nobody's: no operator gives such a number, and example.com is set apart. A row that holds one is never issued."""

_EXAMPLES = frozenset(EXAMPLE_IDENTIFIERS.values())
_CANONICAL = frozenset(
    canonical_email(text) if kind is Kind.EMAIL else text for kind, text in EXAMPLE_IDENTIFIERS.items()
)
EXAMPLES = _EXAMPLES | _CANONICAL
"""Identifiers of the example row, as they are written and as they compare."""

_EXAMPLE_OF_SERIES = "EXAMPLE: this row is left out"
SERIES_HEADINGS = ("series_id", "name", "count", "max_total", "value")
SERIES_EXAMPLE = ("415446", _EXAMPLE_OF_SERIES, "1", "5000", "100.00")


class Heading(NamedTuple):
    """A column of the template: its heading, the cell of the example row, and what it means."""

    name: str
    example: str
    meaning: str


_IDENTIFIER_MEANINGS: Mapping[Kind, str] = {
    Kind.MOBILE: "The customer's mobile in digits, with the country code: 91 and ten digits in India.",
    Kind.EMAIL: "The customer's e-mail address, one in a cell.",
    Kind.EXTERNAL_ID: "The customer's id in your own system, exactly as it is stored there, zeros in front too.",
}


def headings_of(kinds: Sequence[Kind]) -> tuple[Heading, ...]:
    """The columns of the sheet of customers, for these kinds of identifier."""
    own = [Heading(kind.value, EXAMPLE_IDENTIFIERS[kind], _IDENTIFIER_MEANINGS[kind]) for kind in kinds]
    return (
        *own,
        Heading(
            "series_id",
            "415446",
            (
                "The coupon series, a number. Several in one cell: 415446;535521. Delete the column to give every"
                " customer the same, with --series or the sheet 'series'."
            ),
        ),
        Heading("count", "1", "How many coupons of each series; empty means 1."),
    )


def notes_of(kinds: Sequence[Kind]) -> list[tuple[str, str]]:
    """What the sheet of notes says, line by line: about what, and the sentence."""
    lines = [(f"Column {one.name} of {CUSTOMERS}", one.meaning) for one in headings_of(kinds)]
    lines += [
        (
            "The example row",
            "Stands there to be looked at. Write over it or leave it: it is left out when it comes back.",
        ),
        (
            "Your own columns",
            "May stand beside these (a name, a city): they come back in the reports, and nothing is read from them.",
        ),
        (
            "Same customer twice",
            "Rows that name one customer and series must ask for the same count: they are one order.",
        ),
        (
            f"The sheet '{SERIES}'",
            (
                "Not needed. A list of the series that may be issued: with names that people know, a count for rows"
                " without one (count), the most coupons that the campaign may issue (max_total), and what one is worth"
                " (value)."
            ),
        ),
        (
            "Text, not numbers",
            (
                "The cells are formatted as text, so that no digit is lost. Paste values only (Ctrl+Shift+V), which"
                " keeps that format."
            ),
        ),
        (
            "Before anything is sent",
            "coupon-runner plan FILE --campaign NAME says what would be issued, and what is wrong.",
        ),
    ]
    return lines


def may_hold_example(records: Iterable[Sequence[str]]) -> bool:
    """Whether some cell of these records is an identifier of the example row: False for by far the most."""
    return not _EXAMPLES.isdisjoint(chain.from_iterable(records))


def is_example(columns: Columns, cells: Sequence[str]) -> bool:
    """Whether a record is the template's example row: its identifiers are the example's, and nobody else's."""
    if _EXAMPLES.isdisjoint(cells):
        return False  # by far the most
    told = [
        (trim(cells[columns.roles[role]]), EXAMPLE_IDENTIFIERS[kind])
        for role, kind in IDENTIFIERS.items()
        if role in columns.roles and columns.roles[role] < len(cells)
    ]
    filled = [(cell, example) for cell, example in told if cell]
    return bool(filled) and all(cell == example for cell, example in filled)


def without_example(row: Row | RejectedRow, columns: Columns) -> Row | RejectedRow:
    """The row, rejected when it still holds an identifier of the example row beside one of a customer."""
    if not isinstance(row, Row):
        return row
    for identifier in row.identifiers:
        if identifier.value in _CANONICAL:
            role = next(role for role, kind in IDENTIFIERS.items() if kind is identifier.kind)
            heading = columns.headers[columns.roles[role]]
            message = (
                "This is the identifier of the template's example row, which is nobody's. Write the customer's own, or"
                " empty the cell."
            )
            count = "" if row.counts else str(row.count)
            series = ",".join(map(str, row.series))
            return RejectedRow(row.place, row.cells, (Problem(heading, identifier.written, message),), series, count)
    return row


def is_series_example(cells: Sequence[str]) -> bool:
    """Whether a record of a list of series is the template's example row."""
    return any(trim(cell) == _EXAMPLE_OF_SERIES for cell in cells)


def left_out(rows: Sequence[int]) -> str:
    """The sentence about example rows that were met."""
    if len(rows) == 1:
        return f"row {rows[0]} is the template's example row and was left out"
    shown = ", ".join(map(str, rows[:5])) + (" …" if len(rows) > 5 else "")
    return f"{len(rows):,} rows are the template's example row and were left out (rows {shown})"
