"""Mobiles in canonical form, through phonenumbers: who writes a number in two ways is one customer.

phonenumbers costs some 30 µs a number; where a region's own patterns leave no choice a fast path gives its verdict.
"""

from __future__ import annotations

import re
import unicodedata
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
