"""Cells that a spreadsheet would run as a formula, made harmless in the files that we write, and restored from them.

`restore(neutralise(cell)) == cell` for every text: a cell that already looks neutralised gets one more apostrophe.
"""

from __future__ import annotations

import re

_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")  # noqa: RUF001 - the full-width forms are run too
"""What a spreadsheet takes for the start of a formula (OWASP, "CSV Injection"); white space in front does not help."""

_HARMLESS = re.compile(
    r"[+-]?(?:\d+(?:[.,]\d+)*|[.,]\d+)(?:[eE][+-]?\d+)?%?"  # a number
    r"|\+\d[\d ().\u00a0-]{3,30}"  # a phone number
    r"|-+"  # the dash for "nothing"
)


def _is_formula(cell: str) -> bool:
    return _FORMULA.match(cell) is not None and _HARMLESS.fullmatch(cell) is None


def neutralise(cell: str) -> str:
    """The cell as it may be written: with an apostrophe in front when it would be run, or would be restored wrongly."""
    if not cell or cell[0].isalnum():
        return cell
    return "'" + cell if _is_formula(cell.lstrip("'")) else cell


def restore(cell: str) -> str:
    """The cell as it was before `neutralise`; a cell that was never neutralised comes back as it is."""
    return cell[1:] if cell[:1] == "'" and _is_formula(cell.lstrip("'")) else cell
