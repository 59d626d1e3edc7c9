"""One cell of an identifier column of a file: read, repaired where that is certain, refused where it is damaged.

`core.identity` says what a name is, whoever tells it; here is what a spreadsheet and a hurried hand do to names.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from runner.core.identity import MOBILE_MAX_DIGITS, MOBILE_MIN_DIGITS, is_plain_email, read_identifier
from runner.core.mobiles import APOSTROPHES, PhoneFormat, Standing, plain_mobile, read_mobile
from runner.core.model import Identifier, Kind
from runner.core.trimming import INVISIBLE, trim

KEPT_DIGITS = 15
"""Digits that a spreadsheet keeps of a number; it makes zeros of the others."""

_AS_TEXT = "Format the column as text and enter it again from its source."

ROUNDED_MOBILE = "000000"
"""What 9.19E+11 ends in when it was typed out again."""

_LEAST_ROUNDED = 11
_CERTAINLY_ROUNDED = KEPT_DIGITS + 3

_UNSEEN = re.compile(f"[{INVISIBLE}]")
_ODD_BLANKS = re.compile("[^\\S \t\r\n]")
_FULL_WIDTH = {ord("０") + digit: str(digit) for digit in range(10)}  # noqa: RUF001 - the full-width zero
_SCHEMES = {Kind.EMAIL: re.compile(r"mailto:\s*", re.IGNORECASE), Kind.MOBILE: re.compile(r"tel:\s*", re.IGNORECASE)}
_POINT_ZERO = re.compile(r"(\+?\d{1,20})\.0")
_NOTHING = frozenset(
    {"null", "none", "nil", "nan", "na", "n/a", "n.a.", "undefined", "unknown", "(blank)", "(null)", "<null>", "-1"}
)
"""Words that programs and people write where there is no id. Whoever bears one in the API is a stranger to all rows."""

_TEXT_AS_FORMULA = re.compile(r'="([^"]*)"')
"""How programs write a text into CSV so that a spreadsheet does not take it for a number."""

_FORMULA = re.compile(r"=\s*[A-Za-z$(+\-@\"'\d]")

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec)[a-z]{0,6}"
_DATE = re.compile(
    r"(?:\d{4}-\d{1,2}-\d{1,2}|\d{4}/\d{1,2}/\d{1,2}|\d{1,2}/\d{1,2}/(?:\d{4}|\d{2})|\d{1,2}-\d{1,2}-(?:19|20)\d{2}"
    rf"|\d{{1,2}}\.\d{{1,2}}\.(?:19|20)\d{{2}}|\d{{1,2}}[- ]{_MONTH}(?:[- ,]+\d{{2,4}})?|{_MONTH}-\d{{2}})"
    r"(?:[T ]+\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[ap]m)?)?",
    re.IGNORECASE,
)


class CellRead(NamedTuple):
    """What a cell is: an identifier, or a sentence that says why not and what to do.

    `repaired`: what was repaired in it ("" mostly). `warning`: what is odd about it, although it is used.
    `code_added`: a mobile got the region's country code.
    """

    found: Identifier | str
    repaired: str = ""
    warning: str = ""
    code_added: bool = False


def read_plain(kind: Kind, cell: str, region: str | None, written: PhoneFormat | None = None) -> Identifier | None:
    """What `read_cell` makes of an ordinary cell, at a fraction of its cost; None says nothing: ask it."""
    if kind is Kind.MOBILE:
        if cell.isascii() and cell.isdecimal() and not cell.endswith(ROUNDED_MOBILE):
            number = plain_mobile(cell, region, written)
            return None if number is None else Identifier(kind, number, number)
    elif kind is Kind.EMAIL:
        if cell[:1] != "'" and is_plain_email(cell):
            return Identifier(kind, cell.lower(), cell)
    elif cell.isascii() and cell.isalnum() and not (cell.isalpha() or len(cell) > KEPT_DIGITS) and cell.strip("0"):
        return Identifier(kind, cell, cell)
    return None


def read_cell(kind: Kind, cell: str, region: str | None, written: PhoneFormat | None = None) -> CellRead:
    """A cell that is not blank. Raises nothing, whatever it holds."""
    if (plain := read_plain(kind, cell, region, written)) is not None:
        return CellRead(plain, "", "", plain.value != cell if kind is Kind.MOBILE else False)
    text, repaired = repair(kind, cell)
    if (damage := _damage(kind, text)) is not None:
        return CellRead(damage)
    if kind is Kind.MOBILE:
        return _read_mobile(text, repaired, region, written)
    found = read_identifier(kind, text, region)
    return CellRead(found, "" if isinstance(found, str) else repaired)


def repair(kind: Kind, cell: str) -> tuple[str, str]:
    """(the text without what certainly does not belong to it, what that was, "" when nothing was repaired)."""
    done: list[str] = []
    text = trim(cell)
    if text != cell.strip(" \t\r\n"):
        done.append("invisible or no-break blanks")
    if told := _TEXT_AS_FORMULA.fullmatch(text):
        text = trim(told[1])
        done.append('="" around it')
    without = _UNSEEN.sub("", text)
    if kind is Kind.EMAIL:
        without = _ODD_BLANKS.sub("", without)
    if without != text or (kind is Kind.MOBILE and _ODD_BLANKS.search(text)):
        done.append("invisible or no-break blanks")
    text = without
    if text[:1] in APOSTROPHES and text[:1] and (kind is not Kind.EXTERNAL_ID or text[1:].isdecimal()):
        text = text[1:]
        done.append("an apostrophe in front")
    scheme = _SCHEMES.get(kind)
    if scheme is not None and (found := scheme.match(text)):
        text = text[found.end() :]
        done.append(found[0].strip().lower())
    digits = text.translate(_FULL_WIDTH)
    if digits != text and (kind is Kind.MOBILE or (kind is Kind.EXTERNAL_ID and digits.isdecimal())):
        text = digits
        done.append("full-width digits")
    if kind is Kind.MOBILE and (tail := _POINT_ZERO.fullmatch(text)):
        text = tail[1]
        done.append(".0 at the end")
    return text, " and ".join(dict.fromkeys(done))


def _damage(kind: Kind, text: str) -> str | None:
    if text.upper() in ("TRUE", "FALSE"):
        return "This is a truth value, not a name or number: the columns may have shifted, or a formula stands here."
    if _FORMULA.match(text):
        return (
            "This is a formula whose result is not in the file. Open the file in the program that wrote it, save it "
            "with values, and give it again."
        )
    if kind is Kind.EMAIL:
        return None
    if _DATE.fullmatch(text):
        return (
            "This is a date. If a number or an id was entered, the spreadsheet made a date of it and the number may "
            f"be lost. {_AS_TEXT}"
        )
    if kind is Kind.EXTERNAL_ID:
        if text.casefold() in _NOTHING or not any(map(str.isalnum, text)) or not text.strip("0"):
            return "This says that there is no id, and is none. Enter the id, or leave the cell empty."
        if _POINT_ZERO.fullmatch(text):
            return (
                "This id ends in .0, as a program writes that took the id for a quantity; whether the id really ends "
                "so cannot be told. Format the column as text and remove the .0."
            )
        if text.isdecimal() and len(text) >= _CERTAINLY_ROUNDED and not text[KEPT_DIGITS:].strip("0"):
            return rounded_sentence(len(text))
    return None


def rounded_sentence(digits: int) -> str:
    """Why an id of so many digits that ends in zeros is not what was entered."""
    return (
        f"A spreadsheet keeps {KEPT_DIGITS} digits of a number and has made zeros of the others: this id has {digits} "
        f"and its last ones are lost. {_AS_TEXT}"
    )


def _read_mobile(text: str, repaired: str, region: str | None, written: PhoneFormat | None) -> CellRead:
    if text.endswith(ROUNDED_MOBILE) and len(text) >= _LEAST_ROUNDED and text.isdecimal() and text.strip("0"):
        return CellRead(
            "This number ends in a run of zeros, as a spreadsheet leaves of one that it has shortened (9.19E+11). "
            "Enter it again from its source; if it is right as it stands, write + in front of its country code."
        )
    number, standing, code_added = read_mobile(text, region, written)
    if not number or not number.strip("0") or not MOBILE_MIN_DIGITS <= len(number) <= MOBILE_MAX_DIGITS:
        return CellRead(read_identifier(Kind.MOBILE, text, region))  # which has the words for it
    if standing is Standing.VALID:
        return CellRead(Identifier(Kind.MOBILE, number, number), repaired, "", code_added)
    if standing is Standing.NOT_VALID:
        return CellRead(Identifier(Kind.MOBILE, number, number), repaired, NOT_VALID, code_added)
    if standing is Standing.NOT_POSSIBLE:
        return CellRead(
            "There is no such number: its country code does not exist, or numbers there have another length. Correct "
            "it, or leave the cell empty."
        )
    if region is None:
        return CellRead(
            "This number has no country code that is certain. Say which country such numbers are from with --region, "
            "for example --region IN, or write + and the country code in front."
        )
    return CellRead(
        f"This is no number of the region {region}, and no country code in front of it is certain. Correct it; a "
        "number of another country is written with + and its country code."
    )


NOT_VALID = "a possible number that no operator is known to give out"
"""The warning about a mobile that phonenumbers calls possible and not valid."""
