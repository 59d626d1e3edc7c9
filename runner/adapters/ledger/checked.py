# ruff: noqa: S608 — put together from fixed texts of this module; every value is a parameter
"""The staged rows of a plan with what was decided about each, for its check report: streamed, a page at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import sqlalchemy as sa

from runner.adapters.ledger.staged import AS_WRITTEN, temporary
from runner.core.columns import Role
from runner.core.model import Kind, Place, Problem
from runner.core.statuses import name_row


class CheckedRow(NamedTuple):
    """A row of the input as the plan has it. `names`: the identifiers of a valid row, as they are used.

    `repeats`: "" or what the row repeats, in words.
    """

    place: Place
    cells: tuple[str, ...]
    problems: tuple[Problem, ...]
    names: Mapping[Kind, str]
    repeats: str


class Probed(NamedTuple):
    """An order that somebody could be looked up for: where its first row stands, how she is named, which series.

    `known`: coupons of the series that this ledger knows of, issued or in doubt, in any campaign. `falls_back`: she has
    another identifier to be named by.
    """

    place: Place
    kind: str
    value: str
    series: int
    known: int
    falls_back: bool


def rejected_rows(connection: sa.Connection) -> Iterator[tuple[Place, tuple[Problem, ...]]]:
    """Every rejected row with its problems, in the order of the input."""
    found = connection.exec_driver_sql(
        "SELECT file, sheet, row, problems FROM t_rows WHERE problems IS NOT NULL ORDER BY seq"
    )
    for file, sheet, row, problems in found:
        yield Place(file, sheet, row), tuple(Problem(*one) for one in json.loads(problems))


def checked_rows(
    connection: sa.Connection,
    columns: Mapping[int, Mapping[Role, int]],
    *,
    every: bool,
    restored: Iterable[Place] = (),
) -> Iterator[CheckedRow]:
    """The rows in the order of the input.

    Args:
        columns: number of a file → what is read → index of its cell.
        every: all rows; else only those that are rejected, were `restored`, or hold a cell that may have been repaired.
    """
    with temporary(connection):
        connection.exec_driver_sql("DROP TABLE IF EXISTS temp.t_repeats")
        connection.exec_driver_sql(
            "CREATE TEMP TABLE t_repeats AS SELECT seq, min(same_as) AS same_as, max(note) AS note FROM t_lines"
            f" WHERE {int(every)} GROUP BY seq HAVING min(role IN ('duplicate', 'elsewhere'))"  # else for nothing
        )
        connection.exec_driver_sql("CREATE UNIQUE INDEX temp.t_repeats_seq ON t_repeats(seq)")
    condition, values = ("1", ()) if every else _worth_a_look(columns, restored)
    found = connection.exec_driver_sql(
        "SELECT r.file, r.sheet, r.row, r.cells, r.problems,"
        " CASE WHEN r.problems IS NULL THEN"
        "   CASE WHEN r.plain > 0 THEN json_array(json_array(r.kind, r.value)) ELSE"
        "   (SELECT json_group_array(json_array(n.kind, n.value)) FROM t_names n WHERE n.seq = r.seq) END END,"
        " r.kind, r.value, d.note, o.file, o.sheet, o.row"
        " FROM t_rows r LEFT JOIN t_repeats d ON d.seq = r.seq LEFT JOIN t_rows o ON o.seq = d.same_as"
        f" WHERE {condition} ORDER BY r.seq",
        values,
    )
    known = {kind.value: kind for kind in Kind}
    for file, sheet, row, cells, problems, names, kind, value, note, *other in found:
        identifiers = {known[word]: text for word, text in json.loads(names)} if names else {}
        if names:
            identifiers[known[kind]] = value  # as it is sent, which an address in capitals is in capitals
        repeats = note or ""
        if not repeats and other[2] is not None:
            repeats = f"same as {name_row(other[2], other[1] if other[1] != sheet else '')}"
            repeats += " of another file" if other[0] != file else ""
        yield CheckedRow(
            Place(file, sheet, row),
            tuple(json.loads(cells)),
            tuple(Problem(*one) for one in json.loads(problems)) if problems else (),
            identifiers,
            repeats,
        )


_ODD: Mapping[Role, Sequence[str]] = MappingProxyType(
    {
        Role.MOBILE: ("*[^0-9 +()./-]*", "*.0"),
        Role.EMAIL: ("*[^!-~]*", "[Mm][Aa][Ii][Ll][Tt][Oo]:*", "'*"),
        Role.EXTERNAL_ID: ("*[^!-~]*", "'*"),
        Role.SERIES: ("*[^0-9,; ]*",),
        Role.COUNT: ("*[^0-9]*",),
    }
)
"""Patterns of SQLite that every repaired cell fits, and hardly another."""


def _worth_a_look(
    columns: Mapping[int, Mapping[Role, int]], restored: Iterable[Place]
) -> tuple[str, tuple[object, ...]]:
    """Rejected rows, restored ones, and those with a cell that may have been repaired: told by SQLite, the fastest way.

    A row whose identifier is the text of its cell was read by whole columns, so there is nothing to be said of it.
    """
    parts: list[str] = []
    values: list[object] = [json.dumps([[one.file, one.sheet, one.row] for one in restored])]
    for file, roles in columns.items():
        for role, index in roles.items():
            for pattern in _ODD[role]:
                parts.append("(r.file = ? AND json_extract(r.cells, ?) GLOB ?)")
                values += [file, f"$[{index}]", pattern]
    odd = f" OR (r.plain <> {AS_WRITTEN} AND ({' OR '.join(parts)}))" if parts else ""
    listed = "SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]')"
    return f"r.problems IS NOT NULL OR (r.file, r.sheet, r.row) IN ({listed} FROM json_each(?)){odd}", tuple(values)


def count_orders_to_issue(connection: sa.Connection) -> int:
    """The planned orders that a run would ask for."""
    found: int = connection.exec_driver_sql("SELECT count(*) FROM t_orders WHERE missing > 0").scalar_one()
    return found


def orders_at(connection: sa.Connection, places: Sequence[int]) -> list[Probed]:
    """The orders to be issued at these places (from 0, rising) in the order of the input."""
    if not places:
        return []
    chosen = connection.exec_driver_sql(
        "SELECT no FROM (SELECT no, row_number() OVER (ORDER BY no) - 1 AS place FROM t_orders WHERE missing > 0)"
        f" WHERE place IN ({','.join('?' * len(places))}) ORDER BY no",
        tuple(places),
    )
    numbers = [int(row[0]) for row in chosen]
    found = connection.exec_driver_sql(
        "WITH first AS (SELECT order_no, min(seq) AS seq FROM t_lines"
        f" WHERE order_no IN ({','.join('?' * len(numbers))}) GROUP BY order_no)"
        " SELECT r.file, r.sheet, r.row, w.kind, w.value, w.series, w.others NOT NULL AND w.issued + w.held = 0,"
        "  coalesce((SELECT sum(o.issued + o.held) FROM t_people p JOIN orders o ON o.person_id = p.person_id"
        "   WHERE p.no = w.person_no AND o.series = w.series AND o.merged_into IS NULL), 0)"
        " FROM first f JOIN t_orders w ON w.no = f.order_no JOIN t_rows r ON r.seq = f.seq ORDER BY r.seq",
        tuple(numbers),
    )
    return [
        Probed(Place(file, sheet, row), kind, value, series, known, bool(falls_back))
        for file, sheet, row, kind, value, series, falls_back, known in found
    ]
