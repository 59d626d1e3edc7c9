"""One record of a table as a valid row, or as a rejected one with all its problems: cells are read here, nowhere else.

Nothing is guessed and nothing is dropped: a cell that could mean two things rejects its row, with the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from runner.core.columns import IDENTIFIERS, SERIES_COLUMN, Columns, Role
from runner.core.identity import read_identifier, region_problem
from runner.core.model import Identifier, Kind, Place, Problem, Ref, RejectedRow, Row
from runner.core.neutralising import restore
from runner.core.refs import REF_COLUMN, read_ref
from runner.core.trimming import trim
from runner.errors import InputRefused, UsageError

MAX_SERIES = 2**31 - 1
"""The API documents `seriesId` as an integer; above this a spreadsheet has run two ids into one number."""

MAX_COUNT = 1_000_000
"""Coupons for one person from one series: more is a mistake in the file, not a campaign."""

_REMEMBERED = 20_000
"""Different series and count cells whose reading is kept: files repeat the same few."""

_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+|\d{1,2}(?:,\d{2})+,\d{3}")
"""One number with its digits grouped, in thousands or in lakhs."""

_SEPARATORS = re.compile(r"[\s,;]+")
_COUNT = re.compile(r"(\d{1,12})(?:\.0+)?")

Value = TypeVar("Value")


def read_series(text: str) -> tuple[int, ...] | str:
    """The series ids of a cell, in their order, or a sentence. Several are separated by comma, semicolon or blank.

    `415446,535521` is two; `415,446` may be one with its thousands grouped or two, and is refused.
    """
    text = trim(text).removeprefix("'")
    if _GROUPED.fullmatch(text):
        joined, listed = text.replace(",", ""), text.replace(",", "; ")
        return f"This can be one series or several. Write {joined} for the one, or {listed} for several."
    series: list[int] = []
    for part in _SEPARATORS.split(text):
        if not part:
            continue
        if not part.isdecimal() or not part.strip("0０"):  # noqa: RUF001 - the full-width zero
            return (
                f"'{part}' is not a series id. It is a positive whole number such as 415446, without sign or decimals."
            )
        number = int(part) if len(part) <= 40 else MAX_SERIES + 1
        if number > MAX_SERIES:
            return (
                "This number is too large for a series id. A spreadsheet makes one number of two ids such as "
                "415446,535521: format the column as text and write 415446; 535521."
            )
        if number in series:
            return f"Series {number} stands twice in this cell. Name it once, and use the count for more coupons."
        series.append(number)
    return tuple(series) if series else "This cell names no series. Write the series id, for example 415446."


def read_count(text: str) -> int | str:
    """The coupons that a count cell asks for, or a sentence. `2.0`, as programs write it, is 2."""
    found = _COUNT.fullmatch(trim(text).removeprefix("'"))
    if found is None:
        return "This is not a count. Write a positive whole number such as 2, or leave the cell empty for the default."
    count = int(found[1])
    if count < 1:
        return "A count is at least 1. Delete the row if this customer is to get no coupon."
    if count > MAX_COUNT:
        return f"This count is above {MAX_COUNT:,}. Check the cell: it may hold an identifier or a date."
    return count


class RowReader:
    """Reads the records of one table. Built once per table, from what is the same for all its rows.

    `identify_by`: the kinds that may name the customer to the API; the first one that a row has is sent. `region`: for
    mobiles without country code. `default_series`, `default_count`: `--series` and `--count`. `ledger_id`, `key`: of
    the ledger in use, for `_ref`. `ours`: we wrote the file, so cells are restored before they are read (None: as
    `columns` says).

    Raises:
        InputRefused: no series column and no default series, or no column for any kind of `identify_by`.
        UsageError: a default or the region is not valid.
    """

    def __init__(
        self,
        columns: Columns,
        *,
        identify_by: Sequence[Kind],
        region: str | None,
        default_series: Sequence[int],
        default_count: int,
        ledger_id: str,
        key: bytes,
        ours: bool | None = None,
    ) -> None:
        if (problem := region_problem(region)) is not None:
            raise UsageError(problem)
        if not 1 <= default_count <= MAX_COUNT:
            raise UsageError(f"--count takes a whole number from 1 to {MAX_COUNT:,}, not {default_count}.")
        if len(set(default_series)) < len(default_series) or not all(0 < s <= MAX_SERIES for s in default_series):
            raise UsageError("--series takes series ids, each once: positive whole numbers such as 415446.")
        if not set(identify_by) & set(columns.kinds):
            raise InputRefused(
                f"Customers are to be identified by {' or '.join(identify_by) or 'nothing'}, but the file names them "
                f"by {' or '.join(columns.kinds) or 'nothing'}. Choose one of the file's kinds with --identify-by, or "
                "say with --map which column it is."
            )
        roles = columns.roles
        if Role.SERIES not in roles and SERIES_COLUMN not in columns.added and not default_series:
            raise InputRefused(
                "No column names the coupon series. Give --series ID, add a column series_id, or say which column it "
                'is with --map series_id="Heading".'
            )
        self._columns = columns
        self._headers = columns.headers
        self._width = len(columns.headers)
        self._only_originals = len(columns.originals) == self._width
        self._ours = columns.ours if ours is None else ours
        self._region = region
        self._ledger_id = ledger_id
        self._key = key
        self._identifiers = tuple((roles[role], kind) for role, kind in IDENTIFIERS.items() if role in roles)
        self._identify_by = tuple(identify_by)
        self._series_at = roles.get(Role.SERIES)
        self._count_at = roles.get(Role.COUNT)
        self._ref_at = roles.get(Role.REF)
        self._line_series_at = columns.added.get(SERIES_COLUMN)
        self._default_series = tuple(default_series)
        self._default_count = default_count
        self._known_series: dict[str, tuple[int, ...] | str] = {}
        self._known_counts: dict[str, int | str] = {}

    def read(self, place: Place, cells: Sequence[str]) -> Row | RejectedRow:
        """One record. `cells`: the texts of all columns as they stand in the file. Raises nothing, whatever they hold.

        The row's `cells` are those of the person's own columns (`Columns.original_headers`), restored; a record with
        more cells than headings keeps the others after them.
        """
        if self._ours:
            cells = [restore(cell) for cell in cells]
        if len(cells) != self._width:
            return self._reject(place, cells, [self._ragged(cells)])
        problems: list[Problem] = []
        identifiers = self._read_identifiers(cells, problems)
        sent = self._choose(identifiers)
        if sent is None and not problems:
            problems.append(self._nobody(identifiers))
        ref = None
        one_line = self._ref_at is not None and trim(cells[self._ref_at]) != ""
        if one_line and self._ref_at is not None:
            ref = self._read_ref(cells[self._ref_at], problems)
        series = self._read_series(cells, one_line, problems)
        count, counted = self._read_count(cells, ref, one_line, problems)
        if sent is None or problems:
            return self._reject(place, cells, problems)
        return Row(place, self._originals(cells), tuple(identifiers), sent, series, count, ref, counted)

    def _read_identifiers(self, cells: Sequence[str], problems: list[Problem]) -> list[Identifier]:
        identifiers: list[Identifier] = []
        for index, kind in self._identifiers:
            cell = cells[index]
            if not cell or not trim(cell):
                continue
            found = read_identifier(kind, cell, self._region)
            if isinstance(found, str):
                problems.append(Problem(self._headers[index], cell, found))
            else:
                identifiers.append(found)
        return identifiers

    def _choose(self, identifiers: Sequence[Identifier]) -> Identifier | None:
        for kind in self._identify_by:
            for identifier in identifiers:
                if identifier.kind is kind:
                    return identifier
        return None

    def _nobody(self, identifiers: Sequence[Identifier]) -> Problem:
        wanted = " or ".join(self._identify_by)
        if identifiers:
            return Problem(
                None,
                None,
                f"This row names its customer by {' and '.join(i.kind for i in identifiers)} only, but customers are "
                f"identified by {wanted}. Fill that cell in.",
            )
        return Problem(None, None, f"This row names no customer. Fill in {wanted}, or delete the row.")

    def _read_ref(self, cell: str, problems: list[Problem]) -> Ref | None:
        ref = read_ref(cell, self._key, self._ledger_id)
        if isinstance(ref, str):
            problems.append(Problem(REF_COLUMN, cell, ref))
            return None
        return ref

    def _read_series(self, cells: Sequence[str], one_line: bool, problems: list[Problem]) -> tuple[int, ...]:
        """The row's series. A line with a `_ref` stands for one: `_series` says which where the cell holds several."""
        line_cell = "" if self._line_series_at is None else trim(cells[self._line_series_at])
        if self._series_at is not None:
            heading, cell = self._headers[self._series_at], cells[self._series_at]
        elif line_cell:
            heading, cell = SERIES_COLUMN, line_cell
        elif self._default_series:
            heading, cell = None, None
        else:
            problems.append(
                Problem(SERIES_COLUMN, "", "This row names no series. Write one here, or give --series ID.")
            )
            return ()
        series = self._default_series if cell is None else self._remember(self._known_series, cell, read_series)
        if isinstance(series, str):
            problems.append(Problem(heading, cell, series))
            return ()
        if not one_line or len(series) == 1:
            return series
        line = self._remember(self._known_series, line_cell, read_series)
        if isinstance(line, str) or len(line) != 1 or line[0] not in series:
            problems.append(
                Problem(
                    heading,
                    cell,
                    "This line comes from a file that the program wrote and stands for one series, but it names "
                    f"several and its {SERIES_COLUMN} cell is none of them. Keep the one that is meant.",
                )
            )
            return ()
        return line

    def _read_count(
        self, cells: Sequence[str], ref: Ref | None, one_line: bool, problems: list[Problem]
    ) -> tuple[int, bool]:
        """(count, whether the row prints one)."""
        cell = None if self._count_at is None else cells[self._count_at]
        heading = None if self._count_at is None else self._headers[self._count_at]
        if cell is None or not trim(cell):
            if not one_line:
                return self._default_count, True
            if ref is not None and not ref.whole:
                problems.append(
                    Problem(
                        heading,
                        cell,
                        "The count of this line was deleted, and it was part of what the customer is to hold. Write "
                        "how many coupons this line still asks for, or delete the row.",
                    )
                )
            return 0, False
        count = self._remember(self._known_counts, cell, read_count)
        if isinstance(count, str):
            problems.append(Problem(heading, cell, count))
            return 0, True
        if ref is not None and ref.whole:
            problems.append(
                Problem(
                    heading,
                    cell,
                    "This line had no count when the program wrote it, so it is not clear whether this one is the "
                    "total or comes on top. Empty the cell, and change the count in the original file.",
                )
            )
        return count, True

    @staticmethod
    def _remember(known: dict[str, Value], cell: str, read: Callable[[str], Value]) -> Value:
        found = known.get(cell)
        if found is None:
            found = read(cell)
            if len(known) < _REMEMBERED:
                known[cell] = found
        return found

    def _ragged(self, cells: Sequence[str]) -> Problem:
        has, width = len(cells), self._width
        why = (
            "A comma or other separator inside a cell may have split it: put that cell in double quotes."
            if has > width
            else "Separators are missing, so it is not certain which cell belongs to which column: add them."
        )
        return Problem(None, None, f"This row has {has} cells, but the header has {width}. {why}")

    def _originals(self, cells: Sequence[str]) -> tuple[str, ...]:
        if self._only_originals:
            return tuple(cells)
        kept = [cells[index] for index in self._columns.originals if index < len(cells)]
        return (*kept, *cells[self._width :])

    def _reject(self, place: Place, cells: Sequence[str], problems: Sequence[Problem]) -> RejectedRow:
        """`series_text` and `count_text`: what the run would have used, the cell's text or the default."""
        series = "" if self._series_at is None or self._series_at >= len(cells) else trim(cells[self._series_at])
        if self._series_at is None:
            series = ",".join(map(str, self._default_series))
            if self._line_series_at is not None and self._line_series_at < len(cells):
                series = trim(cells[self._line_series_at]) or series
        count = "" if self._count_at is None or self._count_at >= len(cells) else trim(cells[self._count_at])
        return RejectedRow(place, self._originals(cells), tuple(problems), series, count or str(self._default_count))
