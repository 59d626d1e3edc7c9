"""The cells of a series and of a count: what they ask for, or a sentence why they cannot be read."""

from __future__ import annotations

import re

from runner.core.trimming import trim

MAX_SERIES = 2**31 - 1
"""The API documents `seriesId` as an integer; above this a spreadsheet has run two ids into one number."""

MAX_COUNT = 1_000_000
"""Coupons for one person from one series: more is a mistake in the file, not a campaign."""

MAX_PER_ROW = 10_000
"""Coupons that one count cell may ask for unless somebody says more: an id of a series under the count is above it."""

_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+|\d{1,2}(?:,\d{2})+,\d{3}")
"""One number with its digits grouped, in thousands or in lakhs."""

_FULL_WIDTH = frozenset("０１２３４５６７８９")  # noqa: RUF001

_MOST_DIGITS = 40

_SEPARATORS = re.compile(r"[\s,;]+")
_COUNT = re.compile(r"(\d{1,12})(?:\.0{1,2})?")
_ENDS_SEEN = " \t\r\n"
_GROUPED_COUNT = re.compile(
    r"[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d{0,2}(?:[ \u00a0\u2009\u202f]\d{3})+|[1-9]\d?(?:,\d{2})+,\d{3}"
)
"""Grouped in thousands or lakhs, by commas or blanks: never by a point, which may be that of decimals."""


def read_series(text: str) -> tuple[int, ...] | str:
    """The series ids of a cell, in their order, or a sentence. Several are separated by comma, semicolon or blank.

    `415446,535521` is two; `415,446` may be one with its thousands grouped or two, and is refused.
    """
    text = trim(text).removeprefix("'")
    if _GROUPED.fullmatch(text):
        joined = text.replace(",", "")
        if len(joined) > _MOST_DIGITS or int(joined) > MAX_SERIES:
            return too_large(joined)
        listed = text.replace(",", "; ")
        return f"This can be one series or several. Write {joined} for the one, or {listed} for several."
    series: list[int] = []
    for part in _SEPARATORS.split(text):
        if not part:
            continue
        if not part.isdecimal() or not part.strip("0０"):  # noqa: RUF001 - the full-width zero
            return (
                f"'{part}' is not a series id. It is a positive whole number such as 415446, without sign or decimals."
            )
        number = int(part) if len(part) <= _MOST_DIGITS else MAX_SERIES + 1
        if number > MAX_SERIES:
            return too_large(part)
        if number in series:
            return f"Series {number} stands twice in this cell. Name it once, and use the count for more coupons."
        series.append(number)
    return tuple(series) if series else "This cell names no series. Write the series id, for example 415446."


def too_large(digits: str) -> str:
    """Why a number is no series, though it may be two: a spreadsheet makes 415446535521 of `415446,535521`."""
    ids = f"{digits[:6]}; {digits[6:]}" if len(digits) == 12 and digits[6] != "0" else "415446; 535521"
    return (
        "This number is too large for a series id. A spreadsheet makes one number of two ids such as "
        f"415446,535521: format the column as text and write the ids apart, for example {ids}."
    )


def read_count(text: str, most: int = MAX_COUNT) -> int | str:
    """The coupons that a count cell asks for, or a sentence. `2.0`, as programs write it, is 2; `1,200` is 1200.

    `most`: the largest count that is taken for one.
    """
    text = trim(text).removeprefix("'")
    if _GROUPED_COUNT.fullmatch(text):
        text = "".join(filter(str.isdecimal, text))
    found = _COUNT.fullmatch(text)
    if found is None:
        return "This is not a count. Write a positive whole number such as 2, or leave the cell empty for the default."
    count = int(found[1])
    if count < 1:
        return "A count is at least 1. Delete the row if this customer is to get no coupon."
    if count > MAX_COUNT:
        return f"This count is above {MAX_COUNT:,}. Check the cell: it may hold an identifier or a date."
    if count > most:
        return (
            f"This count is above {most:,}, the most that one row may ask for. Check the cell: it may hold a series or "
            "a date. If it is right, raise the limit with --max-per-row."
        )
    return count


def repaired_series(cell: str) -> str:
    """What does not belong to a series cell that was read, and was left out or read as plain digits; "" for nothing."""
    return " and ".join(_repaired(cell))


def repaired_count(cell: str) -> str:
    """The same for a count cell."""
    if cell.isascii() and cell.isdecimal():
        return ""
    done = _repaired(cell)
    text = trim(cell).removeprefix("'")
    if _GROUPED_COUNT.fullmatch(text):
        done.append("separators of thousands")
    elif "." in text:
        done.append(".0 at the end")
    return " and ".join(done)


def _repaired(cell: str) -> list[str]:
    if cell.isascii() and cell.isdecimal():
        return []
    text = trim(cell)
    done = ["invisible or no-break blanks"] if text != cell.strip(_ENDS_SEEN) else []
    if text.startswith("'"):
        done.append("an apostrophe in front")
    if any(sign.isdecimal() and not sign.isascii() for sign in text):
        done.append("full-width digits" if any(sign in _FULL_WIDTH for sign in text) else "digits of another script")
    return done
