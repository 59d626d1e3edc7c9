"""One record of a table as a valid row, or as a rejected one with all its problems: cells are read here, nowhere else.

Nothing is guessed and nothing is dropped: a cell that could mean two things rejects its row, with the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from runner.core.column_evidence import ColumnEvidence, IdDamage
from runner.core.columns import IDENTIFIERS, SERIES_COLUMN, Columns, Role
from runner.core.identity import region_problem
from runner.core.mobiles import PhoneFormat
from runner.core.model import Identifier, Kind, Place, Problem, Ref, RejectedRow, Row
from runner.core.neutralising import restore
from runner.core.notices import About, Notices
from runner.core.plain_rows import PlainReader
from runner.core.refs import REF_COLUMN, read_ref
from runner.core.series_cells import (
    MAX_COUNT,
    MAX_SERIES,
    read_count,
    read_series,
    repaired_count,
    repaired_series,
)
from runner.core.series_list import SeriesList, SeriesNames
from runner.core.sheet_cells import doubt_of, marked
from runner.core.table_finding import is_total, no_customer
from runner.core.trimming import trim
from runner.core.values import read_cell, read_plain
from runner.core.wording import counted
from runner.errors import InputRefused, UsageError

_REMEMBERED = 20_000
"""Different series and count cells whose reading is kept: files repeat the same few."""

Value = TypeVar("Value")


def has_series_column(columns: Columns) -> bool:
    """Whether the rows of a table name their series themselves."""
    return Role.SERIES in columns.roles or SERIES_COLUMN in columns.added


def _is_words(cell: str) -> bool:
    """Whether a cell could be words of a note, though an externalId may hold anything."""
    return " " in cell.strip() or ":" in cell


class RowReader:
    """Reads the records of one table. Built once per table, from what is the same for all its rows.

    `identify_by`: the kinds that may name the customer to the API; the first one that a row has is sent. `region`: for
    mobiles without country code. `default_series`, `default_count`: `--series` and `--count`. `ledger_id`, `key`: of
    the ledger in use, for `_ref`. `ours`: we wrote the file, so cells are restored before they are read (None: as
    `columns` says). `series_list`: the series that rows may name, by id or name, and their counts; without a series
    column and default series a row gets every one of them. `max_per_row`: the largest count that a cell may ask for.
    `written`: how plain digits of mobiles are written, None as `read_mobile` finds out. `damaged`: what a first reading
    found out about the column of ids. `short_ids`: ids of any length are right. `see_mobile`: is shown the digits of
    each mobile that no region placed.

    `evidence` holds what the columns have shown so far, `notices` what is to be said of rows that are used or are none.

    Raises:
        InputRefused: no series column, default series or list, or no column for any kind of `identify_by`.
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
        series_list: SeriesList | None = None,
        max_per_row: int = MAX_COUNT,
        written: PhoneFormat | None = None,
        damaged: IdDamage | None = None,
        short_ids: bool = False,
        see_mobile: Callable[[str], None] | None = None,
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
        if not has_series_column(columns) and not default_series:
            if series_list is None:
                raise InputRefused(
                    "No column names the coupon series. Give --series ID, add a column series_id, or say which column "
                    'it is with --map series_id="Heading".'
                )
            default_series = series_list.ids
        if series_list is not None and (unlisted := [one for one in default_series if one not in series_list.ids]):
            raise UsageError(
                f"--series {','.join(map(str, unlisted))}: the list of series does not have it. Correct the flag, or "
                "add the series to the list."
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
        self._read_at = tuple(sorted(roles.values()))
        self._line_series_at = columns.added.get(SERIES_COLUMN)
        self._default_series = tuple(default_series)
        self._default_count = default_count
        self._listed = series_list
        self._read_cell = read_series if series_list is None else SeriesNames(series_list).read
        self._listed_counts = {} if series_list is None else series_list.counts
        self._most = max_per_row
        self._written = written
        self._damaged = damaged
        self._see_mobile = see_mobile if region is None else None
        self.evidence = ColumnEvidence(region, short_ids=short_ids, written=written)
        self._looked_at = self.evidence.kinds
        self.notices = Notices()
        self._by_id_only = set(columns.kinds) == {Kind.EXTERNAL_ID}
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
        identifiers = self._read_identifiers(place.row, cells, problems)
        sent = self._choose(identifiers)
        if sent is None and not problems:
            problems.append(self._nobody(identifiers))
        ref = None
        one_line = self._ref_at is not None and trim(cells[self._ref_at]) != ""
        if one_line and self._ref_at is not None:
            ref = self._read_ref(cells[self._ref_at], problems)
        series = self._read_series(cells, one_line, problems)
        count, counted = self._read_count(cells, ref, one_line, problems)
        if self._series_at is not None and series:
            self._see_repaired(self._series_at, repaired_series(cells[self._series_at]), place.row)
        if self._count_at is not None and count:
            self._see_repaired(self._count_at, repaired_count(cells[self._count_at]), place.row)
        if sent is None or problems:
            return self._reject(place, cells, problems)
        counts: tuple[int, ...] = ()
        if count is None:
            counts = tuple(self._listed_counts.get(one, self._default_count) for one in series)
            count, counts = counts[0], counts if len(set(counts)) > 1 else ()
        return Row(place, self._originals(cells), tuple(identifiers), sent, series, count, ref, counted, counts)

    def plain(self, file: int, sheet: str, see_mobiles: Callable[[Sequence[str]], None] | None) -> PlainReader | None:
        """What finds rows that need no `read`, where the table can have any.

        `file`, `sheet`: where they stand. `see_mobiles`: `see_mobile` for many.
        """
        if len(self._identifiers) != 1 or self._ours or self._ref_at is not None or not self._only_originals:
            return None
        ((at, kind),) = self._identifiers
        if self._line_series_at is not None or (self._damaged is not None and kind is Kind.EXTERNAL_ID):
            return None
        return PlainReader(
            file=file,
            sheet=sheet,
            width=self._width,
            kind=kind,
            at=at,
            region=self._region,
            written=self._written,
            series_at=self._series_at,
            count_at=self._count_at,
            default_series=self._default_series,
            default_count=self._default_count,
            listed_counts=self._listed_counts,
            read_series=self._read_cell,
            read_count=self._read_count_cell,
            evidence=self.evidence,
            see_mobiles=see_mobiles,
        )

    def no_customer(self, cells: Sequence[str], row: Row | RejectedRow) -> str | None:
        """Why a record is none of a customer (a total, a note, the headings again), else None: then it is a row.

        `row`: what `read` made of it. A line of ours is always a customer's.
        """
        if isinstance(row, Row) and not (self._by_id_only and (row.sent.value.isalpha() or _is_words(row.sent.value))):
            return None
        if self._ref_at is not None and self._ref_at < len(cells) and trim(cells[self._ref_at]):
            return None
        named = False
        for index, kind in self._identifiers:
            cell = cells[index] if index < len(cells) else ""
            if trim(cell) and not is_total(trim(cell)) and doubt_of(cell) is None:
                found = read_cell(kind, cell, self._region, self._written).found
                named = named or (isinstance(found, Identifier) and not (kind is Kind.EXTERNAL_ID and _is_words(cell)))
        return no_customer(cells, self._headers, named=named)

    def _read_identifiers(self, row: int, cells: Sequence[str], problems: list[Problem]) -> list[Identifier]:
        identifiers: list[Identifier] = []
        for index, kind in self._identifiers:
            cell = cells[index]
            if not cell or not trim(cell):
                continue
            if (doubt := doubt_of(cell)) is not None:
                problems.append(Problem(self._headers[index], cell, doubt))
                continue
            if self._see_mobile is not None and kind is Kind.MOBILE and cell.isdecimal():
                self._see_mobile(cell)
            found: Identifier | str | None = read_plain(kind, cell, self._region, self._written)
            code_added = found is not None and found[1] != cell
            if found is None:
                read = read_cell(kind, cell, self._region, self._written)
                found, code_added = read.found, read.code_added
                for about, what in ((About.REPAIRED, read.repaired), (About.WARNING, read.warning)):
                    if what:
                        self.notices.see(about, self._headers[index], what, row)
            if self._damaged is not None and kind is Kind.EXTERNAL_ID and not isinstance(found, str):
                found = self._damaged.problem(found.value) or found
            if isinstance(found, str):
                problems.append(Problem(self._headers[index], cell, found))
                continue
            if kind in self._looked_at:
                self.evidence.see(kind, cell, code_added)
            identifiers.append(found)
        return identifiers

    def _see_repaired(self, column: int, what: str, row: int) -> None:
        if what:
            self.notices.see(About.REPAIRED, self._headers[column], what, row)

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
        if cell is not None and (doubt := doubt_of(cell, series=True)) is not None:
            problems.append(Problem(heading, cell, doubt))
            return ()
        series = self._default_series if cell is None else self._remember(self._known_series, cell, self._read_cell)
        if isinstance(series, str):
            problems.append(Problem(heading, cell, series))
            return ()
        if not one_line or len(series) == 1:
            return series
        line = self._remember(self._known_series, line_cell, self._read_cell)
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
    ) -> tuple[int | None, bool]:
        """(count, whether the row prints one). None: the row names none, so each series has its default."""
        cell = None if self._count_at is None else cells[self._count_at]
        heading = None if self._count_at is None else self._headers[self._count_at]
        if cell is None or not trim(cell):
            if not one_line:
                return None, True
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
        if (doubt := doubt_of(cell)) is not None:
            problems.append(Problem(heading, cell, doubt))
            return 0, True
        count = self._remember(self._known_counts, cell, self._read_count_cell)
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

    def _read_count_cell(self, cell: str) -> int | str:
        return read_count(cell, self._most)

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
        if has < width:
            why = "Separators are missing, so it is not certain which cell belongs to which column: add them."
        elif any(map(trim, cells[width:])):
            why = "A comma or other separator inside a cell may have split it: put that cell in double quotes."
        else:
            why = "Those beyond the header are blank: delete the separators too many, here at the end of the row."
        return Problem(None, None, f"This row has {counted(has, 'cell')}, but the header has {width}. {why}")

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
        count = count or self._count_instead_of_blank(series)
        for index in self._read_at:
            if index < len(cells):
                cells = [*cells[:index], marked(cells[index], series=index == self._series_at), *cells[index + 1 :]]
        return RejectedRow(place, self._originals(cells), tuple(problems), series, count)

    def _count_instead_of_blank(self, series: str) -> str:
        """The default count of the series that a rejected row names; "" where they differ, or cannot be read."""
        if not self._listed_counts:
            return str(self._default_count)
        named = self._read_cell(series)
        if isinstance(named, str):
            return ""
        counts = {self._listed_counts.get(one, self._default_count) for one in named}
        return str(counts.pop()) if len(counts) == 1 else ""
