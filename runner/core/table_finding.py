"""Where the table stands in a sheet: the row of its headings below titles, and the rows below it that are no customers.

A row is taken for a total or a note only when it names no customer in any column, so that nobody is left out by it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from typing import NamedTuple

from runner.core.columns import IDENTIFIERS, is_uncertain, looks_like_data, role_of, squeeze
from runner.core.refs import REF_COLUMN
from runner.core.trimming import trim

LOOKED_AT = 50
"""Records at the top of a sheet among which its headings are looked for."""

Record = tuple[int, Sequence[str]]


class Found(NamedTuple):
    """The headings: of records `first` to `last` (numbers as shown, different where cells were merged).

    `above`: the numbers of records above them, which are titles.
    """

    headers: tuple[str, ...]
    first: int
    last: int
    above: tuple[int, ...] = ()


def find_headings(top: Sequence[Record], told: Collection[str] = ()) -> Found:
    """The headings of a sheet, whose first filled records are `top`; `told`: headings that `--map` names.

    They are the first record where a heading names a customer and nothing looks like data; without one the first
    record, whatever it holds. Two rows of headings, as merged cells make them, are read as one.
    """
    wanted = {trim(heading) for heading in told}
    best, best_score = 0, (0, 0)
    for at, (_, cells) in enumerate(top[:LOOKED_AT]):
        score = _score(cells, wanted)
        if score > best_score and (best_score == (0, 0) or _continues(top, best, at)):
            best, best_score = at, score
    number, cells = top[best]
    headers, first, last = tuple(map(str, cells)), number, number
    if best_score == (0, 0):
        return Found(headers, first, last)
    above = best
    if best and _is_upper_row(top, best):
        headers, first, above = _joined(top[best - 1][1], headers), top[best - 1][0], best - 1
    if best + 1 < len(top) and _is_lower_row(top, best, wanted):
        headers, last = _joined(headers, top[best + 1][1]), top[best + 1][0]
    return Found(headers, first, last, tuple(number for number, _ in top[:above]))


def _score(cells: Sequence[str], wanted: Collection[str]) -> tuple[int, int]:
    """How much a record is one of headings: (whether it names customers, headings that mean something)."""
    names = [trim(cell) for cell in cells]
    if any(looks_like_data(name) for name in names):
        return (0, 0)
    if REF_COLUMN in names:
        return (2, len(names))
    roles = [role_of(name) for name in names]
    meant = sum(role is not None for role in roles) + sum(name in wanted for name in names)
    naming = any(role in IDENTIFIERS for role in roles) or any(name in wanted for name in names)
    if not naming and not (any(map(is_uncertain, names)) and sum(map(bool, names)) > 1):
        return (0, 0)
    return (1, meant)


def _continues(top: Sequence[Record], upper: int, lower: int) -> bool:
    """Whether a record follows another at once, and says more of the same headings: then it is the one."""
    return lower == upper + 1 and _narrow(top[upper][1]) and not _narrow(top[lower][1])


def _narrow(cells: Sequence[str]) -> bool:
    """One filled cell: a title, even if it says 'Mobile'."""
    return sum(bool(trim(cell)) for cell in cells) == 1


def _is_upper_row(top: Sequence[Record], at: int) -> bool:
    """Whether the record above holds headings of cells that are blank in this one, as merged cells leave them."""
    above, cells = top[at - 1][1], top[at][1]
    if top[at - 1][0] != top[at][0] - 1 or len(above) != len(cells):
        return False
    blank = [trim(upper) for upper, own in zip(above, cells, strict=True) if not trim(own)]
    return any(role_of(name) is not None for name in blank) and not any(map(looks_like_data, map(trim, above)))


def _is_lower_row(top: Sequence[Record], at: int, wanted: Collection[str]) -> bool:
    """Whether the record below only goes on with headings: nothing stands under the identifiers, and no data at all."""
    cells, below = top[at][1], top[at + 1][1]
    if top[at + 1][0] != top[at][0] + 1 or len(below) != len(cells):
        return False
    names = [trim(cell) for cell in below]
    if not any(role_of(name) is not None or name in wanted for name in names) or any(map(looks_like_data, names)):
        return False
    if any(name and name.isdecimal() for name in names):
        return False
    return not any(
        name and (role_of(trim(heading)) in IDENTIFIERS or trim(heading) in wanted) and role_of(name) is None
        for heading, name in zip(cells, names, strict=True)
    )


def _joined(upper: Sequence[str], lower: Sequence[str]) -> tuple[str, ...]:
    return tuple(low if trim(low) else up for up, low in zip(upper, lower, strict=True))


_TOTALS = frozenset(
    squeeze(word)
    for word in (
        *("total", "totals", "grand total", "sub total", "sum", "total customers", "total count", "total rows"),
        *("total coupons", "total records", "total no of customers", "no of customers", "number of customers"),
        *("customers", "records", "summe", "gesamt", "gesamtsumme", "somme", "total general", "total général"),
        *("suma", "totale", "soma", "jumlah", "итого", "всего", "toplam", "कुल", "योग", "合計", "总计", "合计"),
        "المجموع",
    )
)
_NOTE = re.compile(
    r"(?P<word>(?:prepared|checked|approved|verified|reviewed|created|generated|exported|printed|signed|submitted|sent|"
    r"requested|compiled|downloaded|updated)\s+(?:by|on|at|from)\b"
    r"|(?:notes?|remarks?|n\.?b\.?|source|disclaimer|confidential|date|signature|comments?|legend|p\.?s\.?)\s*:"
    r"|(?:end\s+of\s+(?:report|list|file|data|document)|page\s+\d+\s+(?:of|/)\s*\d+)"
    r"|(?:erstellt\s+von|élaboré\s+par|préparé\s+par|preparado\s+por|elaborado\s+por|hinweis\s*:))",
    re.IGNORECASE,
)
_FRAME = re.compile(r"[\s*=\-_–—.#]+")
_FEW = 3


def no_customer(cells: Sequence[str], headers: Sequence[str], *, named: bool) -> str | None:
    """Why a row that cannot be used is none of a customer: a total, a note, the headings again; None: it may be one.

    `named`: a cell of it is an identifier that could be somebody's; then only the headings again are none.
    """
    filled = [text for text in map(trim, cells) if text]
    if not filled:
        return None
    if len(cells) == len(headers) and filled == [text for text in map(trim, headers) if text]:
        return "the headings once more"
    if named or len(filled) > max(_FEW, len(headers) // 2 + 1):
        return None
    if any(is_total(text) for text in filled) and all(is_total(text) or _is_figure(text) for text in filled):
        return "a total"
    words = _FRAME.sub(" ", filled[0]).strip()
    if len(filled) <= 2 and (note := _NOTE.match(words)):
        return f"a note, {' '.join(note['word'].split())!r}"
    if len(filled) == 1 and not any(unicodedata.category(sign)[0] in "LN" for sign in filled[0]):
        return "a line of signs"
    return None


def is_total(text: str) -> bool:
    """Whether a cell says that its row is a total."""
    return len(text) <= 40 and squeeze(text) in _TOTALS


def _is_figure(text: str) -> bool:
    """A number such as totals are, and no identifier."""
    return "@" not in text and re.fullmatch(r"[^\w@]{0,4}[\d.,\s  ]{1,20}[^\w@]{0,3}", text) is not None
