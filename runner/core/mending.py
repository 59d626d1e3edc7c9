"""Identifiers that a spreadsheet damaged, restored where the original is known and rounds to what is left of it.

A spreadsheet that takes an identifier for a number shows 9.19E+11, keeps fifteen digits, and drops zeros and a plus in
front. Nothing is guessed: what is restored is the one original that the line's `_ref` leads to, and only if that very
damage makes the cell out of it. A cell that somebody corrected says something else and stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal, localcontext

from runner.core.trimming import trim

_NUMBER = re.compile(r"\+?\d{1,40}", re.ASCII)
_SCIENTIFIC = re.compile(r"(\d(?:[.,]\d{1,30})?)[eE]\+?(\d{1,2})", re.ASCII)
_POINT_ZERO = re.compile(r"(\d{1,40})[.,]0+", re.ASCII)
_KEPT = 15
"""Digits that a spreadsheet's numbers have."""


def looks_damaged(cell: str) -> bool:
    """Whether a cell could be what a spreadsheet left of a number: worth asking what it was."""
    text = trim(cell)
    return bool(
        _SCIENTIFIC.fullmatch(text) or _POINT_ZERO.fullmatch(text) or (_NUMBER.fullmatch(text) and text[0] != "+")
    )


def mend(cell: str, originals: Iterable[str]) -> str | None:
    """The original that a spreadsheet made this cell of; None when the cell is whole, or says something else.

    `originals`: what the ledger knows that the cell was. When different numbers fit, none is chosen; of different ways
    to write one number, the first.
    """
    text = trim(cell)
    known = [trim(original) for original in originals]
    if text in known:
        return None
    fitting = [original for original in known if _is_damage(text, original)]
    numbers = {original.lstrip("+0") for original in fitting}
    return fitting[0] if len(numbers) == 1 else None


def _is_damage(text: str, original: str) -> bool:
    if not _NUMBER.fullmatch(original):
        return False
    digits = original.removeprefix("+")
    if scientific := _SCIENTIFIC.fullmatch(text):
        return _rounds_to(digits, scientific[1].replace(",", "."), int(scientific[2]))
    if point := _POINT_ZERO.fullmatch(text):
        text = point[1]
    if not _NUMBER.fullmatch(text):
        return False
    number = digits.lstrip("0")
    if text == digits or text.lstrip("0") == number:
        return True  # a plus, zeros in front, or ".0"
    # Excel cuts what does not fit into fifteen digits, others round it.
    return len(number) > _KEPT and len(text) == len(number) and text in (_cut(number), _round(number))


def _rounds_to(digits: str, mantissa: str, exponent: int) -> bool:
    """Whether the number shows as mantissa × 10^exponent: no further from it than half of the last digit shown."""
    with localcontext() as context:
        context.prec = 80
        shown = Decimal(mantissa).scaleb(exponent)
        unit = Decimal(1).scaleb(exponent - len(mantissa.partition(".")[2]))
        return abs(Decimal(digits) - shown) * 2 <= unit


def _cut(number: str) -> str:
    return number[:_KEPT] + "0" * (len(number) - _KEPT)


def _round(number: str) -> str:
    unit = 10 ** (len(number) - _KEPT)
    return str((int(number) + unit // 2) // unit * unit)


def name_mended(found: Sequence[tuple[int, str, str]], shown: int) -> str:
    """Restored cells (row, heading, the damaged text) in a sentence that shows no whole identifier."""
    listed = "; ".join(f"row {row}, {heading}: {_shortened(text)}" for row, heading, text in found[:shown])
    more = f"; and {len(found) - shown:,} more" if len(found) > shown else ""
    cells = f"{len(found):,} cells that a spreadsheet had damaged were"
    if len(found) == 1:
        cells = "1 cell that a spreadsheet had damaged was"
    return f"{cells} restored from the ledger ({listed}{more})"


def _shortened(text: str) -> str:
    return text if _SCIENTIFIC.fullmatch(trim(text)) else f"…{trim(text)[-4:]}"
