"""Mobiles in canonical form, through phonenumbers: who writes a number in two ways is one customer.

phonenumbers costs some 30 µs a number; where a region's own patterns leave no choice a fast path gives its verdict.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import phonenumbers

from runner.core.trimming import INVISIBLE, trim

FORGIVEN = re.compile(f"[\\s{INVISIBLE}()\\[\\].\\-‐‑‒–—―−﹣－．（）［］]")  # noqa: RUF001 - dashes as people type them
APOSTROPHES = "'‘’`´＇"  # noqa: RUF001 - what programs make of the apostrophe that marks text
PLUS = "+＋"  # noqa: RUF001 - the full-width sign of East Asian keyboards
MINUS = "-‐‑‒–—―−﹣－"  # noqa: RUF001


class _Regional(NamedTuple):
    """What the fast path needs of a region's numbering plan, taken from phonenumbers."""

    code: str
    general: re.Pattern[str]
    mobile: re.Pattern[str]
    lengths: frozenset[int]
    trunk: re.Pattern[str]
    dialled_abroad: re.Pattern[str]


def region_problem(region: str | None) -> str | None:
    """A sentence when `region` is not a country that phonenumbers knows (two letters such as IN), else None."""
    if region is None or region in phonenumbers.SUPPORTED_REGIONS:
        return None
    return f"'{region}' is not a region. Give the country's two capital letters, for example IN, AE or GB."


@lru_cache(maxsize=8)
def _regional(region: str) -> _Regional | None:
    return _plan_of(region)


def _plan_of(region: str) -> _Regional | None:
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    if metadata is None or metadata.mobile is None or metadata.general_desc is None:
        return None
    if not metadata.mobile.national_number_pattern or not metadata.general_desc.national_number_pattern:
        return None
    never = "(?!)"
    # `trunk` and `dialled_abroad` only ever send a number to the slow path: numbering plans change every month, and a
    # prefix that is also the start of a mobile must not be decided here.
    return _Regional(
        code=str(metadata.country_code),
        general=re.compile(metadata.general_desc.national_number_pattern),
        mobile=re.compile(metadata.mobile.national_number_pattern),
        lengths=frozenset(metadata.mobile.possible_length or metadata.general_desc.possible_length),
        trunk=re.compile(metadata.national_prefix_for_parsing or never),
        dialled_abroad=re.compile(metadata.international_prefix or never),
    )


def _read_fast(digits: str, region: str) -> str | None:
    """The canonical form where a region's own mobile pattern leaves no choice, else None: ask phonenumbers."""
    plan = _regional(region)
    if plan is None or plan.dialled_abroad.match(digits):
        return None
    if not digits.startswith(plan.code):
        national, clear = digits, True
    else:
        national = digits[len(plan.code) :]
        clear = plan.general.fullmatch(digits) is None
    if (
        clear
        and len(national) in plan.lengths
        and plan.mobile.fullmatch(national)
        and plan.general.fullmatch(national)
        and not plan.trunk.match(national)
    ):
        return plan.code + national
    return None


def _read_international(digits: str) -> str | None:
    """E.164 digits of a number that begins with its country code; None when phonenumbers cannot place it."""
    try:
        number = phonenumbers.parse("+" + digits, None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]


def _read_national(digits: str, region: str) -> str | None:
    """E.164 digits of a number as it is written inside a region; None when it is no valid number there.

    Valid, not merely possible: a foreign number without its `+` often has a possible length at home, and to place it
    there would be a guess about a stranger.
    """
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]


def _bare_digits(text: str) -> tuple[bool, str] | None:
    """(written with `+`, ASCII digits) of a number as people type it; None when something else is in it."""
    text = trim(text)
    if text[:1] in APOSTROPHES:
        text = text[1:]
    text = FORGIVEN.sub("", text)
    plus = text[:1] != "" and text[0] in PLUS
    if plus:
        text = text[1:]
    if not text.isdecimal():
        return None
    if not text.isascii():
        text = "".join(str(unicodedata.decimal(sign)) for sign in text)
    return plus, text


def _place(plus: bool, digits: str, region: str | None) -> str:
    if plus:
        # "+00 91 …" is what a hurried hand makes of both prefixes at once.
        return _read_international(digits.removeprefix("00")) or digits
    if digits.startswith("00"):
        return _read_international(digits[2:]) or digits
    if region is None:
        return digits
    return _read_national(digits, region) or digits


def canonical_mobile(text: str, region: str | None) -> str:
    """The canonical form of a mobile: E.164 digits without `+`; "" when the text is not a number at all.

    White space, dashes, dots, brackets, full-width digits and an apostrophe in front are forgiven; `00` in front means
    `+`. With a `region` (two capital letters) a number that is valid there without its country code gets it; without
    one only `+` and `00` are interpreted. A number that phonenumbers cannot place stays its digits. A canonical form
    is final: it is not to be read again with a region.
    """
    if text.isascii() and text.isdecimal() and not text.startswith("00"):
        if region is None:
            return text
        return _read_fast(text, region) or _read_national(text, region) or text
    found = _bare_digits(text)
    return "" if found is None else _place(*found, region)


def has_two_readings(value: str, region: str | None) -> bool:
    """True for digits that are a valid number abroad as they stand, and another one when read inside `region`."""
    if region is None or not value.isdecimal():
        return False
    at_home = canonical_mobile(value, region)
    if at_home == value:
        return False
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse("+" + value, None))
    except phonenumbers.NumberParseException:
        return False


class PhoneFormat(StrEnum):
    """How the plain digits of a column are written: with their country code, or as within the region."""

    INTERNATIONAL = "international"
    NATIONAL = "national"


class Standing(StrEnum):
    """What phonenumbers says of a mobile in a file.

    `UNPLACED`: plain digits that are no number of the region, and none that begins with its country code for certain.
    """

    VALID = "valid"
    NOT_VALID = "not valid"
    NOT_POSSIBLE = "not possible"
    UNPLACED = "unplaced"


class MobileRead(NamedTuple):
    """A mobile of a file: its canonical digits, and whether there can be such a number.

    `code_added`: plain digits got the region's country code.
    """

    number: str
    standing: Standing
    code_added: bool = False


class _Abroad(NamedTuple):
    """Mobiles with their country code: how long they are, one by itself, and many of them, each with a line end."""

    lengths: frozenset[int]
    one: re.Pattern[str]
    many: re.Pattern[str]


@lru_cache(maxsize=2000)
def _abroad(start: str, shared: bool) -> _Abroad | None:
    """The mobiles that begin with these three digits, which tell the country: no country's code begins another's.

    Only where one country has the code for itself; `shared`: of the main one elsewhere. Found out when it is asked for:
    the numbering plans of all countries together take a quarter of a second.
    """
    codes = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
    code = next((int(start[:end]) for end in (1, 2, 3) if start[0] != "0" and int(start[:end]) in codes), None)
    if code is None or (not shared and len(codes[code]) != 1) or (plan := _plan_of(codes[code][0])) is None:
        return None

    def mobile(end: str) -> str:
        return f"{plan.code}(?!{plan.trunk.pattern})(?=(?:{plan.general.pattern}){end})(?:{plan.mobile.pattern}){end}"

    return _Abroad(
        lengths=frozenset(length + len(plan.code) for length in plan.lengths),
        one=re.compile(mobile("\\Z"), re.ASCII),
        many=re.compile(f"(?:{mobile(chr(10))})*+", re.ASCII),
    )


def plain_mobile(digits: str, region: str | None, written: PhoneFormat | None) -> str | None:
    """The canonical form of an ordinary valid mobile in plain ASCII digits; None says nothing: ask `read_mobile`."""
    if region is not None and written is not PhoneFormat.INTERNATIONAL:
        return None if digits.startswith("00") else _read_fast(digits, region)
    return digits if _is_mobile_abroad(digits) else None


def are_mobiles_abroad(column: Sequence[str]) -> bool:
    """True for plain ASCII digits that are all ordinary mobiles with their country codes; False says nothing."""
    starts = {digits[:3] for digits in column}
    if len(starts) > 1 or (found := _abroad_of(min(starts, default=""), shared=False)) is None:
        return all(map(_is_mobile_abroad, column))
    lines = "\n".join(column)
    return found.lengths.issuperset(map(len, column)) and found.many.fullmatch(f"{lines}\n") is not None


def is_valid_abroad(digits: str) -> bool:
    """Whether digits are a valid number as they stand, with nothing to be left out."""
    if _is_mobile_abroad(digits):
        return True
    return _standing(f"+{digits}", None) is Standing.VALID and _read_international(digits) == digits


def country_code(region: str | None) -> str:
    """The country code of a region; "" for none."""
    return str(phonenumbers.country_code_for_region(region)) if region is not None else ""


def looks_like_mobile_abroad(digits: str) -> bool:
    """Whether digits look like an ordinary mobile that begins with a country's code.

    Quick, and good enough to see what a column is made of.
    """
    return _is_mobile_abroad(digits, shared=True)


def _is_mobile_abroad(digits: str, *, shared: bool = False) -> bool:
    """True for an ordinary mobile with its country code; False says nothing: ask phonenumbers."""
    found = _abroad_of(digits[:3], shared=shared)
    return found is not None and len(digits) in found.lengths and found.one.fullmatch(digits) is not None


def _abroad_of(start: str, *, shared: bool) -> _Abroad | None:
    return _abroad(start, shared) if len(start) == 3 and start.isascii() and start.isdecimal() else None


def _standing(text: str, region: str | None) -> Standing:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return Standing.NOT_POSSIBLE
    if phonenumbers.is_valid_number(number):
        return Standing.VALID
    return Standing.NOT_VALID if phonenumbers.is_possible_number(number) else Standing.NOT_POSSIBLE


def read_mobile(text: str, region: str | None, written: PhoneFormat | None = None) -> MobileRead:
    """A mobile as a file has it, with its standing; `number` is "" when the text is no number at all.

    `number` is what `canonical_mobile` makes of it. What carries `+` or `00` is international. Plain digits are as
    `written` says; without that they are a valid number of the region, else a valid one that begins with a country
    code, else one that begins with the region's own code; anything else is `UNPLACED`.
    """
    if text.isascii() and text.isdecimal() and not text.startswith("00"):
        digits = text
        if (fast := plain_mobile(digits, region, written)) is not None:
            return MobileRead(fast, Standing.VALID, fast != digits)
    else:
        found = _bare_digits(text)
        if found is None:
            return MobileRead("", Standing.NOT_POSSIBLE)
        plus, digits = found
        if plus or digits.startswith("00"):
            return _read_with_code(_place(plus, digits, region))
    if written is PhoneFormat.INTERNATIONAL:
        return _read_with_code(_read_international(digits) or digits)
    if region is not None and (home := _read_national(digits, region)) is not None:
        return MobileRead(home, Standing.VALID, home != digits)
    if written is PhoneFormat.NATIONAL and region is not None:
        return _read_at_home(digits, region)
    if is_valid_abroad(digits):
        return MobileRead(digits, Standing.VALID)
    if region is not None and (plan := _regional(region)) is not None and digits.startswith(plan.code):
        standing = _standing(f"+{digits}", None)
        if standing is Standing.NOT_VALID and len(digits) - len(plan.code) in plan.lengths:
            return MobileRead(digits, standing)
    return MobileRead(digits, Standing.UNPLACED)


def _read_with_code(digits: str) -> MobileRead:
    return MobileRead(digits, _standing(f"+{digits}", None))


def _read_at_home(digits: str, region: str) -> MobileRead:
    """Plain digits of which somebody said that they lack the country code: as long as a mobile of the region."""
    plan = _regional(region)
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return MobileRead(digits, Standing.NOT_POSSIBLE)
    length = len(phonenumbers.national_significant_number(number))
    if plan is None or length not in plan.lengths or not phonenumbers.is_possible_number(number):
        return MobileRead(digits, Standing.NOT_POSSIBLE)
    placed = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]
    return MobileRead(placed, Standing.NOT_VALID, placed != digits)
