"""The values that reports are made of: the files of a run, its rows, its judged lines and their coupons.

Who reads the ledger makes them, `core.reporting` turns them into tables, `core.totals` adds them up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from runner.core.columns import Columns, Role, assign_columns
from runner.core.model import Problem
from runner.core.statuses import LineVerdict, OrderVerdict

CODES_IN_A_CELL = 50
"""Coupons of one line that a cell lists; a line with more says "see coupons"."""


class FileShape(NamedTuple):
    """One file of a run: the headings of its rows' cells (columns that we added are gone), and role → index of its
    column.
    """

    name: str
    headings: tuple[str, ...]
    roles: Mapping[Role, int]


class CouponFacts(NamedTuple):
    """A coupon as the ledger stores it; `code` and `id` are "" once erased. `at`: seconds since the epoch, UTC."""

    id: str
    code: str
    call_key: str
    run: str
    at: float | None
    state: str


class RowFacts(NamedTuple):
    """Where a row stands and what it holds: number of its file, sheet, row as shown, cells (empty once erased)."""

    file: int
    sheet: str
    row: int
    cells: Sequence[str]


class RejectedLine(NamedTuple):
    """A rejected row, its problems, and the series and count that the run would have used."""

    at: RowFacts
    problems: Sequence[Problem]
    series_text: str
    count_text: str


class Holding(NamedTuple):
    """What a line holds of its order's coupons.

    `coupons`: those dealt to it (None: more than fit in a cell). `uncounted`: re-sent and repeated ones, which its
    order's last line lists. `revoked`: how many of its coupons were revoked since. `offset`: how many were dealt to
    lines before it. `order_ids`: the order and those merged with it.
    """

    coupons: Sequence[CouponFacts] | None
    uncounted: Sequence[CouponFacts]
    revoked: int
    offset: int
    order_ids: tuple[int, ...]


HOLDS_NOTHING = Holding((), (), 0, 0, ())


class ReportLine(NamedTuple):
    """One row × one order, judged.

    `order_key`: of the order that a `_ref` is to lead to ("" when the line gets none). `kind`, `customer`: the
    identifier as sent ("" once erased). `printed`: the count that the row asks for (None: a `_ref` row that names
    none). `order`: the order's figures. `speaks`: this line stands for its order in failures. `first`, `last`: it
    is the first, the last of the lines that share the order's coupons; doubts are listed with the first. `rows`:
    row numbers of these lines. `starts_row`: it is the first line of its row.
    """

    at: RowFacts
    series: int
    order_key: str
    kind: str
    customer: str
    printed: int | None
    verdict: LineVerdict
    order: OrderVerdict
    speaks: bool
    first: bool
    last: bool
    rows: tuple[int, ...]
    holding: Holding
    starts_row: bool


def shape_file(name: str, headers: Sequence[str], mapping: Mapping[str, str]) -> FileShape:
    """The shape of a file as it was read. `mapping`: heading → role, as the campaign froze it."""
    told = {role: heading for heading, role in mapping.items() if heading in headers}
    columns = assign_columns(headers, told)
    if isinstance(columns, Columns):
        place = {index: position for position, index in enumerate(columns.originals)}
        roles = {role: place[index] for role, index in columns.roles.items() if index in place}
        return FileShape(name, columns.original_headers, roles)
    # Read under other rules than today's: what was frozen still holds, the rest are just columns.
    known = {role.value: role for role in Role}
    found = {known[word]: list(headers).index(heading) for word, heading in told.items() if word in known}
    return FileShape(name, tuple(headers), found)


def merge_columns(
    files: Sequence[FileShape],
) -> tuple[list[str], list[list[int | None]], dict[Role, int]]:
    """The union of the files' columns in order; each column's source in each file; and the column of each role.

    Columns are the same when they have the same role, or else the same heading (its nth column of that heading).
    """
    headings: list[str] = []
    columns: dict[tuple[str, int], int] = {}
    role_columns: dict[Role, int] = {}
    places: list[dict[int, int]] = []
    for shape in files:
        role_of = {index: role for role, index in shape.roles.items()}
        seen: dict[str, int] = {}
        place: dict[int, int] = {}
        for index, heading in enumerate(shape.headings):
            role = role_of.get(index)
            column = None
            if role is not None:
                column = role_columns.get(role)
            else:
                seen[heading] = seen.get(heading, 0) + 1
                column = columns.get((heading, seen[heading]))
            if column is None:
                column = len(headings)
                headings.append(heading)
                if role is not None:
                    role_columns[role] = column
                else:
                    columns[heading, seen[heading]] = column
            place[column] = index
        places.append(place)
    sources = [[place.get(column) for column in range(len(headings))] for place in places]
    return headings, sources, role_columns
