"""Whether mobiles are written both with and without their country code, which would make two people of one customer.

Only asked where no region says whose numbers those without it are. Numbers are looked at by length and first digits, so
that memory and time do not grow with the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import phonenumbers

_FIRST = 3


class Mixed(NamedTuple):
    """So many numbers begin with a country's code, and so many would be valid there without it."""

    code: int
    region: str
    with_code: int
    without: int

    def sentence(self) -> str:
        """What is wrong, for a person."""
        return (
            f"{self.with_code:,} of the mobiles {'begins' if self.with_code == 1 else 'begin'} with the country code"
            f" {self.code} and {self.without:,} {'seems' if self.without == 1 else 'seem'} to lack it: a customer who"
            " is written both ways would be two people, and get everything twice"
        )


class MobileMix:
    """Sees canonical mobiles that no region was used for."""

    def __init__(self) -> None:
        self._groups: dict[tuple[int, str], list[str | int]] = {}

    def see(self, number: str) -> None:
        """One mobile, in digits."""
        group = self._groups.get(key := (len(number), number[:_FIRST]))
        if group is None:
            self._groups[key] = [number, 1]
        else:
            group[1] += 1  # type: ignore[operator]  # the second is the count

    def see_all(self, numbers: Sequence[str]) -> None:
        """Mobiles that follow each other: as `see` would see them one by one."""
        lengths, starts = set(map(len, numbers)), {number[:_FIRST] for number in numbers}
        if len(lengths) == len(starts) == 1:
            self.see(numbers[0])
            self._groups[lengths.pop(), starts.pop()][1] += len(numbers) - 1  # type: ignore[operator]  # as in `see`
            return
        for number in numbers:
            self.see(number)

    def found(self) -> Mixed | None:
        """The country whose code some numbers have and others lack; that of the most numbers, if there are several."""
        with_code: dict[tuple[int, int], int] = {}
        for number, count in self._examples():
            parsed = _international(number)
            if parsed is not None:
                key = (parsed.country_code or 0, len(number))
                with_code[key] = with_code.get(key, 0) + count
        best: Mixed | None = None
        for (code, length), many in sorted(with_code.items()):
            region = phonenumbers.region_code_for_country_code(code)
            wanted = length - len(str(code))
            without = sum(
                count
                for number, count in self._examples()
                if len(number) == wanted and _international(number) is None and _national(number, region)
            )
            if without and (best is None or many > best.with_code):
                best = Mixed(code, region, many, without)
        return best

    def _examples(self) -> Iterator[tuple[str, int]]:
        for number, count in self._groups.values():
            yield str(number), int(count)


def _international(number: str) -> phonenumbers.PhoneNumber | None:
    """A number that is valid as it stands, read with its country code in front."""
    try:
        parsed = phonenumbers.parse(f"+{number}", None)
    except phonenumbers.NumberParseException:
        return None
    return parsed if phonenumbers.is_valid_number(parsed) else None


def _national(number: str, region: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False
