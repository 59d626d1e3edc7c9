"""A spreadsheet's cell as the text that a person sees, and why some texts must not be taken for an identifier."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from runner.core.number_formats import is_date_format, is_grouped, shown_integer
from runner.core.series_cells import MAX_SERIES, too_large

EXACT = 10**15
"""A spreadsheet keeps fifteen digits of a number: above this the last ones may be others than were entered."""

_AS_TEXT = "Format the column as text and enter it again from its source."


DOUBT_MARK = "#? "
"""Stands before a doubtful cell in our reports.

A date or 415,446 as plain text would come back as a mobile or a series.
"""

HAS_DECIMALS = f"This is a number with decimals, so it is no identifier and no count. {_AS_TEXT}"


class DoubtfulCell(str):
    """The text of a cell that is not, or may not be, what somebody entered, with the reason and the remedy.

    `series_only`: it is certain, but for a list of series.
    """

    __slots__ = ("series_only", "why")

    why: str
    series_only: bool

    def __new__(cls, text: str, why: str, *, series_only: bool = False) -> DoubtfulCell:
        """A text with its doubt."""
        cell = super().__new__(cls, text)
        cell.why = why
        cell.series_only = series_only
        return cell


class RawCell(NamedTuple):
    """A cell as the sheet's XML has it.

    `column` from 0. `type`: its `t` (n when absent). `style`: index of its format. `value`: text of `v`, None when
    there is none. `formula`: its text, None when the cell has none.
    """

    column: int
    type: str
    style: int
    value: str | None
    formula: str | None


def doubt_of(cell: str, *, series: bool = False) -> str | None:
    """Why a cell must not be read (as a series, if asked), else None."""
    if isinstance(cell, DoubtfulCell) and (series or not cell.series_only):
        return cell.why
    if cell.startswith(DOUBT_MARK):
        return (
            f"This cell could not be trusted when it was read from a spreadsheet, and still begins with "
            f"{DOUBT_MARK.strip()}. Write what is meant instead."
        )
    return None


def marked(cell: str, *, series: bool = False) -> str:
    """The cell as a report shows it: one that is doubtful says so, since its text alone could be read the next time."""
    doubtful = isinstance(cell, DoubtfulCell) and (series or not cell.series_only)
    return f"{DOUBT_MARK}{cell}" if doubtful else cell


def is_uncalculated(raw: RawCell) -> bool:
    """A formula without a result: the program that wrote it did not calculate, and nobody has opened it since."""
    if raw.formula is None:
        return False
    return raw.value is None if raw.type in ("str", "b", "e") else not raw.value


def is_plain_number(written: str) -> bool:
    """Whether a number without a format of its own is seen as it stands in the XML."""
    return written.isdecimal() and len(written) <= 15 and written[0] != "0"


def shows_digits(code: str) -> bool:
    """Whether a number format shows every whole number from 0 as its bare digits."""
    return code in ("General", "0", "@")


def cell_text(raw: RawCell, code: str, text: str) -> str:
    """What a person sees in a cell.

    Args:
        raw: the cell.
        code: its number format.
        text: what the reader of values found in it, as text: taken for texts and dates.
    """
    if raw.type == "n" and code == "General" and raw.value is not None and raw.value.isdecimal():
        if is_plain_number(raw.value):
            return raw.value  # by far the most
    elif is_uncalculated(raw):
        return DoubtfulCell(
            f"={raw.formula}",
            "This formula was never calculated, so the cell has no value yet. Open the file in Excel, save it, and "
            "give it again; or paste the values.",
        )
    if raw.type == "e":
        return DoubtfulCell(
            raw.value or "#ERROR",
            "This is an error value of the spreadsheet. Mend the formula, or type the value itself.",
        )
    if raw.type == "b":
        return DoubtfulCell(
            "TRUE" if raw.value == "1" else "FALSE",
            "This is a truth value, not text or a number: the columns may have shifted, or a formula stands here.",
        )
    if raw.type == "d":
        return _date(text)
    if raw.type != "n":
        return text
    return _number(raw.value, code, text) if raw.value else ""


def _date(text: str) -> DoubtfulCell:
    return DoubtfulCell(
        text,
        "The spreadsheet holds a date here. If a number was entered, it was made into a date and may be lost. "
        f"{_AS_TEXT}",
    )


def _number(written: str, code: str, text: str) -> str:
    if is_date_format(code):
        return _date(text)
    try:
        value = Decimal(written.strip())
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        return DoubtfulCell(written, f"This is not a number that can be read. {_AS_TEXT}")
    if abs(value) >= EXACT:
        digits = f"{value:.0f}" if value < 10**40 else written
        return DoubtfulCell(
            digits,
            f"A spreadsheet keeps 15 digits of a number and this one has {len(digits.lstrip('-'))}: its last digits "
            f"may be lost. {_AS_TEXT}",
        )
    whole = int(value)
    seen = shown_integer(whole, code)
    if seen is None:
        return DoubtfulCell(
            f"{value.normalize():f}",
            "The number format of this cell shows another number than the cell holds. Format the column as text "
            "and enter what is meant.",
        )
    if value != whole:
        shown = f"{value.normalize():f}"
        return DoubtfulCell(shown, HAS_DECIMALS)
    if is_grouped(code) and whole > MAX_SERIES:
        return DoubtfulCell(seen, too_large(str(whole)), series_only=True)
    if is_grouped(code) and abs(whole) >= 1000:
        return DoubtfulCell(
            seen,
            f"The spreadsheet shows {whole:,} here, which can be one series or several. Format the column as text and "
            f"write {whole} for the one, or {f'{whole:,}'.replace(',', '; ')} for several.",
            series_only=True,
        )
    return seen
