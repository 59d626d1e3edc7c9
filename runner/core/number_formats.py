"""What a person sees of a whole number under a spreadsheet's number format, and which formats make a date of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

BUILTIN_FORMATS = {
    0: "General",
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    9: "0%",
    10: "0.00%",
    11: "0.00E+00",
    12: "# ?/?",
    13: "# ??/??",
    37: "#,##0 ;(#,##0)",
    38: "#,##0 ;[Red](#,##0)",
    39: "#,##0.00;(#,##0.00)",
    40: "#,##0.00;[Red](#,##0.00)",
    48: "##0.0E+0",
    49: "@",
    59: "0",
    60: "0.00",
    61: "#,##0",
    62: "#,##0.00",
    67: "0%",
    68: "0.00%",
    69: "# ?/?",
    70: "# ??/??",
}
"""The formats that workbooks name by number only; all others below 82 are dates or the national form of money."""

_DATES = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59), *range(71, 82)))

_TOKENS = re.compile(
    r'"(?P<quoted>[^"]*)"?'  # "text"
    r"|\\(?P<escaped>.)"  # \x
    r"|_.|\*."  # as wide as x; filled with x
    r"|\[(?P<bracket>[^\]]*)\]"  # colour, currency and locale, condition, elapsed time
    r"|(?P<short>[Ee][+\-])"  # 9.2E+11
    r"|(?P<sign>.)",
    re.DOTALL,
)
_CONDITION = re.compile(r"(<=|>=|<>|<|>|=)\s*(-?\d+(?:\.\d+)?)")
_ELAPSED = re.compile(r"[hms]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Section:
    """One part of a format between semicolons: its condition, and its signs as (is it a literal, text)."""

    condition: tuple[str, float] | None
    signs: tuple[tuple[bool, str], ...]
    elapsed: bool

    @property
    def code(self) -> str:
        """What is no literal."""
        return "".join(sign for literal, sign in self.signs if not literal)


def format_of(number: int, custom: str | None) -> str:
    """The code of a format: as the workbook writes it, else by its number; "date" for the built-in dates."""
    if custom is not None:
        return custom
    if number in _DATES:
        return "date"
    return BUILTIN_FORMATS.get(number, "General")


@lru_cache(maxsize=256)
def is_date_format(code: str) -> bool:
    """Whether a number under this format is shown as a date, a time or a duration."""
    if code == "date":
        return True
    section = _sections(code)[0]
    if section.elapsed:
        return True
    plain = section.code.casefold()
    return "general" not in plain and "e+" not in plain and any(sign in plain for sign in "ymdhs")


@lru_cache(maxsize=256)
def is_grouped(code: str) -> bool:
    """Whether digits are shown in groups: 415446 as 415,446."""
    return re.search(r"[0#?],+[0#?]", _sections(code)[0].code) is not None


def shown_integer(value: int, code: str) -> str | None:
    """The digits of a whole number as its format shows them, or None where the format shows another number.

    Leading zeros and literals belong to what is seen. Groups, decimals and the short scientific form do not: they
    say how much room there was, and the whole number is in the cell.
    """
    section = _section_for(value, code)
    plain = section.code
    folded = plain.casefold()
    if not plain or "general" in folded or "@" in plain or "e+" in folded:
        return str(value)
    if "%" in plain or "/" in plain or re.search(r"[0#?],+(?:\.|$)", plain.rstrip()) or is_date_format(code):
        return None
    return _fill(value, section)


def _fill(value: int, section: _Section) -> str:
    """Digits into the places before the decimal point, from the right; what is left over goes before the first."""
    signs: list[tuple[bool, str]] = []
    decimals = False
    for literal, sign in section.signs:
        if not literal and sign == ".":
            decimals = True
        elif not literal and (sign == "," or (decimals and sign in "0#?")):
            continue
        elif not decimals or literal:
            signs.append((literal, sign))
    places = [index for index, (literal, sign) in enumerate(signs) if not literal and sign in "0#?"]
    if not places:
        return str(value)
    digits = str(abs(value))
    shown = [sign if literal or sign not in "0#?" else "" for literal, sign in signs]
    for index in reversed(places):
        if index == places[0]:
            shown[index] = digits or ("0" if signs[index][1] == "0" else "")
            digits = ""
        elif digits:
            shown[index], digits = digits[-1], digits[:-1]
        elif signs[index][1] == "0":
            shown[index] = "0"
    text = "".join(shown).strip()
    return f"-{text}" if value < 0 else text


def _section_for(value: int, code: str) -> _Section:
    sections = _sections(code)
    if any(section.condition is not None for section in sections[:2]):
        for section in sections:
            if section.condition is None or _holds(value, section.condition):
                return section
        return sections[-1]
    if value < 0 and len(sections) > 1:
        return sections[1]
    if value == 0 and len(sections) > 2:
        return sections[2]
    return sections[0]


def _holds(value: int, condition: tuple[str, float]) -> bool:
    sign, bound = condition
    return {
        "<": value < bound,
        "<=": value <= bound,
        ">": value > bound,
        ">=": value >= bound,
        "=": value == bound,
        "<>": value != bound,
    }[sign]


@lru_cache(maxsize=256)
def _sections(code: str) -> tuple[_Section, ...]:
    sections: list[_Section] = []
    signs: list[tuple[bool, str]] = []
    condition: tuple[str, float] | None = None
    elapsed = False
    for found in _TOKENS.finditer(code):
        if found["quoted"] is not None:
            signs.append((True, found["quoted"]))
        elif found["escaped"] is not None:
            signs.append((True, found["escaped"]))
        elif found["bracket"] is not None:
            inside = found["bracket"]
            if (bound := _CONDITION.fullmatch(inside.strip())) is not None:
                condition = (bound[1], float(bound[2]))
            elif _ELAPSED.fullmatch(inside):
                elapsed = True
            elif inside.startswith("$"):
                signs.append((True, inside[1:].partition("-")[0]))
        elif found["short"] is not None:
            signs.append((False, "E+"))
        elif found["sign"] == ";":
            sections.append(_Section(condition, tuple(signs), elapsed))
            signs, condition, elapsed = [], None, False
        elif found["sign"] is not None:
            sign = found["sign"]
            # In a number's format these stand for themselves.
            signs.append((sign in " -+()$€£¥:'", sign))
    sections.append(_Section(condition, tuple(signs), elapsed))
    return tuple(sections)
