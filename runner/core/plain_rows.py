"""Ordinary rows of a chunk, read whole columns at a time, exactly as `RowReader` reads them one by one.

A row is plain when it has one identifier, sent as it compares, one series and no `_ref`, and nothing is to be said of
it. Whatever else a row holds, the careful way reads it: to be left to that is always right, only slower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from runner.core.column_evidence import ColumnEvidence
from runner.core.mobiles import PhoneFormat, are_mobiles_abroad
from runner.core.model import Kind
from runner.core.series_cells import repaired_count, repaired_series
from runner.core.sheet_cells import doubt_of
from runner.core.template import EXAMPLES
from runner.core.trimming import trim
from runner.core.values import ROUNDED_MOBILE, read_plain

_REMEMBERED = 20_000
"""Different cells whose reading is kept: series and counts repeat."""

Record = tuple[int, Sequence[str]]


class PlainRows(NamedTuple):
    """Plain rows that follow each other, by columns: numbers of the rows, their cells, identifiers, series and counts.

    `file`, `sheet`: as in `Place`. `kind`: of the identifiers. `as_written`: they are the texts of their cells.
    """

    file: int
    sheet: str
    kind: Kind
    numbers: Sequence[int]
    cells: Sequence[Sequence[str]]
    values: Sequence[str]
    series: Sequence[int]
    counts: Sequence[int]
    as_written: bool


class PlainReader:
    """Finds the plain rows of one table.

    Args:
        kind, at: the one column of identifiers.
        series_at, count_at: the columns of series and counts, None without one.
        read_series, read_count: what a cell says, as `RowReader` has it.
        evidence, see_mobiles: are shown what `RowReader` shows them.
    """

    def __init__(
        self,
        *,
        file: int,
        sheet: str,
        width: int,
        kind: Kind,
        at: int,
        region: str | None,
        written: PhoneFormat | None,
        series_at: int | None,
        count_at: int | None,
        default_series: Sequence[int],
        default_count: int,
        listed_counts: Mapping[int, int],
        read_series: Callable[[str], tuple[int, ...] | str],
        read_count: Callable[[str], int | str],
        evidence: ColumnEvidence,
        see_mobiles: Callable[[Sequence[str]], None] | None,
    ) -> None:
        self._file = file
        self._sheet = sheet
        self._width = width
        self._kind = kind
        self._at = at
        self._region = region
        self._written = written
        self._series_at = series_at
        self._count_at = count_at
        self._only_series = default_series[0] if series_at is None and len(default_series) == 1 else None
        self._default_count = default_count
        self._listed_counts = listed_counts
        self._read_series = read_series
        self._read_count = read_count
        self._evidence = evidence if kind in evidence.kinds else None
        self._see_mobiles = see_mobiles if kind is Kind.MOBILE and region is None else None
        self._known_series: dict[str, int] = {}
        self._known_counts: dict[str, int] = {}

    def read(self, chunk: Sequence[Record]) -> Iterator[PlainRows | Record]:
        """The rows of a chunk in order: plain ones together, every other one by itself, as it came."""
        numbers = [number for number, _ in chunk]
        rows = [cells for _, cells in chunk]
        if set(map(len, rows)) != {self._width} or (self._series_at is None and self._only_series is None):
            yield from chunk
            return
        found = self._columns(rows)
        if all(found.plain):
            yield self._part(found, numbers, rows, slice(None))
            return
        first = 0
        for at in (*(at for at, plain in enumerate(found.plain) if not plain), len(chunk)):
            if first < at:
                yield self._part(found, numbers, rows, slice(first, at))
            if at < len(chunk):
                yield chunk[at]
            first = at + 1

    def _part(self, found: _Columns, numbers: Sequence[int], rows: Sequence[Sequence[str]], part: slice) -> PlainRows:
        ids, values = found.ids[part], found.values[part]
        self._show(ids, values)
        return PlainRows(
            self._file,
            self._sheet,
            self._kind,
            numbers[part],
            rows[part],
            values,
            found.series[part],
            found.counts[part],
            as_written=ids == values,
        )

    def _columns(self, rows: Sequence[Sequence[str]]) -> _Columns:
        ids = [cells[self._at] for cells in rows]
        values = self._values(ids)
        if self._series_at is None:
            series = [self._only_series or 0] * len(rows)
        else:
            column = [cells[self._series_at] for cells in rows]
            series = self._numbers(column, self._known_series, self._series_of)
        if self._count_at is None:
            counts = [0] * len(rows)
        else:
            column = [cells[self._count_at] for cells in rows]
            counts = self._numbers(column, self._known_counts, self._count_of)
        if 0 in counts:  # blank
            listed, default = self._listed_counts, self._default_count
            counts = [count or listed.get(one, default) for count, one in zip(counts, series, strict=True)]
        plain = [
            bool(value and one > 0 and count > 0) for value, one, count in zip(values, series, counts, strict=True)
        ]
        return _Columns(plain, ids, values, series, counts)

    def _values(self, ids: Sequence[str]) -> Sequence[str]:
        """The canonical forms of cells that are identifiers and are sent so; "" for those that are not plain."""
        if set(map(type, ids)) == {str} and self._are_mobiles(ids):
            return ids
        return list(map(self._value, ids))

    def _are_mobiles(self, ids: Sequence[str]) -> bool:
        """True for a column of ordinary mobiles with their country codes; False says nothing."""
        if self._kind is not Kind.MOBILE or self._evidence is not None:
            return False
        if self._region is not None and self._written is not PhoneFormat.INTERNATIONAL:
            return False
        lines = "\n".join(ids)
        if not lines.isascii() or not "".join(ids).isdecimal() or f"{ROUNDED_MOBILE}\n" in f"{lines}\n":
            return False
        return are_mobiles_abroad(ids)

    def _value(self, cell: str) -> str:
        if type(cell) is not str or doubt_of(cell) is not None:
            return ""
        found = read_plain(self._kind, cell, self._region, self._written)
        if found is None or found.value != found.written or found.value in EXAMPLES or cell in EXAMPLES:
            return ""
        return found.value

    def _numbers(self, column: Sequence[str], known: dict[str, int], read: Callable[[str], int]) -> list[int]:
        """What the cells of a column say, -1 where that is not plain. `known`: cells read before."""
        if set(map(type, column)) != {str}:
            return [read(cell) if type(cell) is str else -1 for cell in column]
        for cell in set(column).difference(known):
            if len(known) >= _REMEMBERED:
                return list(map(read, column))
            known[cell] = read(cell)
        return list(map(known.__getitem__, column))

    def _series_of(self, cell: str) -> int:
        if repaired_series(cell):
            return -1
        found = self._read_series(cell) if doubt_of(cell, series=True) is None else ()
        return found[0] if not isinstance(found, str) and len(found) == 1 else -1

    def _count_of(self, cell: str) -> int:
        if not trim(cell):
            return 0
        if repaired_count(cell):
            return -1
        found = self._read_count(cell) if doubt_of(cell) is None else -1
        return -1 if isinstance(found, str) else found

    def _show(self, ids: Sequence[str], values: Sequence[str]) -> None:
        if self._evidence is not None:
            for cell, value in zip(ids, values, strict=True):
                self._evidence.see(self._kind, cell, value != cell)
        if self._see_mobiles is not None:
            self._see_mobiles(ids)


class _Columns(NamedTuple):
    plain: Sequence[bool]
    ids: Sequence[str]
    values: Sequence[str]
    series: Sequence[int]
    counts: Sequence[int]
