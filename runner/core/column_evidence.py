"""What a whole column tells that no cell does: ids that lost zeros in front or digits at the end, ambiguous mobiles.

Counts only, so that memory does not grow with the file, and the verdict is the same whatever the order of the rows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from runner.core.mobiles import PhoneFormat, country_code, looks_like_mobile_abroad
from runner.core.model import Kind
from runner.core.values import KEPT_DIGITS, rounded_sentence

_LEAST_WIDTH = 6
"""Shorter ids are counted up from 1 as often as not."""

_LEAST_IDS = 3
_MOST_LOST = 3
_LEAST_ROUNDED = 3


class IdDamage(NamedTuple):
    """What happened to a column of ids. `width`: digits that they all had, 0 when none were lost.

    `rounded`: ids of more than fifteen digits all end in zeros.
    """

    width: int
    rounded: bool

    def problem(self, text: str) -> str | None:
        """Why an id of the column is not what was entered, else None."""
        if not text.isdecimal():
            return None
        if self.rounded and len(text) > KEPT_DIGITS and not text[KEPT_DIGITS:].strip("0"):
            return rounded_sentence(len(text))
        if self.width and len(text) < self.width:
            return (
                f"The other ids of this column have {self.width} digits and this one has {len(text)}: a spreadsheet "
                "has probably dropped zeros in front. Format the column as text and enter it again from its source; "
                "if short ids are right, say so with --short-ids accept."
            )
        return None


@dataclass(slots=True)
class ColumnEvidence:
    """Sees the identifiers of one table. `short_ids`: somebody said that ids of any length are right.

    Mobiles in plain digits, while nobody has said how they are written: `foreign` ones begin with another country's
    code, `own` ones with the region's; `home` ones lack it; `both` lack it, or begin with another's.
    """

    region: str | None
    short_ids: bool = False
    written: PhoneFormat | None = None
    widths: Counter[int] = field(default_factory=Counter)
    long_ids: int = 0
    zero_ended: int = 0
    foreign: int = 0
    own: int = 0
    home: int = 0
    both: int = 0
    _code: str = ""

    def __post_init__(self) -> None:
        self._code = country_code(self.region)

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of identifier of which something is to be seen."""
        mobiles = {Kind.MOBILE} if self.region is not None and self.written is None else set()
        return frozenset({Kind.EXTERNAL_ID} | mobiles)

    def see(self, kind: Kind, cell: str, code_added: bool) -> None:
        """A cell that is an identifier of one of `kinds`. `code_added`: a mobile got the region's country code."""
        if kind is Kind.EXTERNAL_ID:
            if cell.isdecimal():
                self.widths[len(cell)] += 1
                if len(cell) > KEPT_DIGITS:
                    self.long_ids += 1
                    self.zero_ended += not cell[KEPT_DIGITS:].strip("0")
        elif kind is Kind.MOBILE and cell.isdecimal():
            if not code_added:
                own = cell.startswith(self._code)
                self.own += own
                self.foreign += not own
            elif looks_like_mobile_abroad(cell):
                self.both += 1
            else:
                self.home += 1

    def damage(self) -> IdDamage | None:
        """What happened to the ids, else None."""
        rounded = self.long_ids >= _LEAST_ROUNDED and self.long_ids == self.zero_ended
        width = 0 if self.short_ids else self._width()
        return IdDamage(width, rounded) if width or rounded else None

    def _width(self) -> int:
        """The one width of ids of which a few are shorter; 0 when they differ more than lost zeros explain."""
        if len(self.widths) < 2:
            return 0
        widest, total = max(self.widths), self.widths.total()
        full = self.widths[widest]
        if widest < _LEAST_WIDTH or full < _LEAST_IDS or full * 4 < total * 3:
            return 0
        return widest if min(self.widths) >= widest - _MOST_LOST else 0

    def ambiguous_mobiles(self) -> str | None:
        """Why the country of some mobiles is not certain, else None: a column that is written both ways."""
        if not self.both or not (self.foreign or (self.own and not self.home)):
            return None
        one, coded = self.both == 1, self.foreign + self.own
        return (
            f"{self.both:,} of the mobiles {'is a number' if one else 'are numbers'} of {self.region} without country"
            f" code and, read with one, of another country, and {coded:,} in this column"
            f" {'begins' if coded == 1 else 'begin'} with a country code: whose {'it is' if one else 'they are'} is not"
            " certain"
        )
