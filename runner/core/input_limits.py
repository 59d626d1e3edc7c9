"""How much of an input is unpacked and how many rows are read: limits that settings may move."""

from __future__ import annotations

import re
from typing import NamedTuple

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


class InputLimits(NamedTuple):
    """`unpacked`: bytes that an archive, a workbook or standard input may come to. `rows`: rows of one table."""

    unpacked: int = 3 * 10**9
    rows: int = 10_000_000

    def too_large(self, name: str) -> str:
        """The sentence for what unpacks to more."""
        return (
            f"{name} unpacks to more than {show_size(self.unpacked)} (max_unpacked in the settings), so nothing more "
            "of it was read. Split the list, or delete what does not belong to it; raise max_unpacked only for a file "
            "whose origin you know."
        )

    def too_many(self, where: str) -> str:
        """The sentence for a table with more rows."""
        return (
            f"{where} has more than {self.rows:,} rows (max_rows in the settings). Split the list, delete what does "
            "not belong to it, or raise max_rows."
        )


def read_size(value: object) -> object:
    """A size in bytes: a number, or a number with kB, MB, GB or TB (powers of a thousand).

    Raises:
        ValueError: it is a text that says something else.
    """
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKmMgGtT]?[bB])?\s*", value)
        if found is None:
            raise ValueError("write a size such as 500MB or 3GB")
        return int(float(found[1]) * _UNITS[(found[2] or "B").upper()])
    return value


def show_size(size: int) -> str:
    """A size as a person writes it."""
    for unit in ("TB", "GB", "MB", "kB"):
        if size >= (step := _UNITS[unit.upper()]):
            return f"{size / step:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size:,} bytes"
