# ruff: noqa: S608 — put together from fixed texts of this module; every value is a parameter
"""Which rows of an input belong together, through what they share and through what the ledger knows of it."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import sqlalchemy as sa

from runner.adapters.ledger.staged import Campaign, make_careful
from runner.core.model import Kind, Place, Ref
from runner.core.planned import Name, StagedRow

_AT_ONCE = 2_000
_FEW = 16
"""Plain rows in a row from which on they are decided together."""

_KINDS = {kind.value: kind for kind in Kind}


def find_clusters(connection: sa.Connection, org_id: int | None) -> None:
    """Give connected rows one number: the least `seq` among them, spread until it rests.

    Rows are connected by an identifier that they share, or by identifiers that the ledger knows to be one person's.
    Plain rows that are connected with nothing are left out.
    """
    _sort_out(connection, org_id)
    connection.exec_driver_sql("INSERT INTO t_links SELECT hash, seq FROM t_names")
    connection.exec_driver_sql(
        "INSERT INTO t_links SELECT coalesce(m.root, i.person_id), n.seq FROM t_names n"
        " JOIN identity i ON i.org_id = ? AND i.hash = n.hash LEFT JOIN t_merged m ON m.person = i.person_id",
        (org_id if org_id is not None else -1,),
    )
    connection.exec_driver_sql("CREATE INDEX IF NOT EXISTS temp.t_links_mark ON t_links(mark, seq)")
    connection.exec_driver_sql("CREATE INDEX IF NOT EXISTS temp.t_names_seq ON t_names(seq)")
    connection.exec_driver_sql("UPDATE t_rows SET cluster = seq WHERE plain = 0 AND cluster <> seq")
    # `INSERT INTO t_moves` first, since sqlite3 does not count what an UPDATE after WITH changes.
    while True:
        connection.exec_driver_sql("DELETE FROM t_moves")
        connection.exec_driver_sql(
            "INSERT INTO t_moves WITH least AS (SELECT k.mark, min(r.cluster) AS c FROM t_links k"
            "   JOIN t_rows r ON r.seq = k.seq GROUP BY k.mark HAVING count(*) > 1 AND min(r.cluster) < "
            "max(r.cluster))"
            " SELECT k.seq, min(l.c) FROM least l JOIN t_links k ON k.mark = l.mark GROUP BY k.seq"
        )
        moved = connection.exec_driver_sql(
            "UPDATE t_rows SET cluster = m.cluster FROM t_moves m WHERE m.seq = t_rows.seq AND m.cluster < "
            "t_rows.cluster"
        ).rowcount
        if not moved:
            return


def _sort_out(connection: sa.Connection, org_id: int | None) -> None:
    """Plain rows whose identifier another row has too, or the ledger knows, are plain no more."""
    connection.exec_driver_sql("CREATE INDEX IF NOT EXISTS temp.t_rows_plain ON t_rows(hash, plain)")
    shared = [
        (
            "SELECT r.seq FROM (SELECT hash FROM t_rows WHERE plain > 0 GROUP BY hash HAVING count(*) > 1) s"
            " CROSS JOIN t_rows r ON r.hash = s.hash WHERE r.plain > 0"
        ),
        "SELECT r.seq FROM t_names n CROSS JOIN t_rows r ON r.hash = n.hash WHERE r.plain > 0",
    ]
    known = "SELECT EXISTS (SELECT 1 FROM identity WHERE org_id = ?)"
    if org_id is not None and connection.exec_driver_sql(known, (org_id,)).scalar_one():
        shared.append(
            "SELECT r.seq FROM t_rows r INDEXED BY t_rows_plain CROSS JOIN identity i ON i.hash = r.hash"
            f" AND i.org_id = {org_id:d} WHERE r.plain > 0"
        )
    for found in shared:
        connection.exec_driver_sql(f"INSERT OR IGNORE INTO t_shared {found}")
    make_careful(connection)


class PlainRun(NamedTuple):
    """Plain rows without one between them that is not: `first` and those that follow it at once."""

    first: int
    digests: Sequence[bytes]
    series: Sequence[int]
    counts: Sequence[int]


class PlainRow(NamedTuple):
    """A row that stands alone: one identifier that no other row and no earlier run has, one series, no `_ref`.

    By far the most rows are. What `core.planning.decide` makes of one is known beforehand: a new customer with one
    order, whose target is the count.
    """

    seq: int
    kind: str
    value: str
    digest: bytes
    name: bytes
    series: int
    asked: int
    counted: int


def read_clusters(connection: sa.Connection, campaign: Campaign) -> Iterator[list[StagedRow] | PlainRow | PlainRun]:
    """The rows of each cluster together, in the order of the input, with the people whom the ledger knows by them."""
    clusters = _connected(connection, campaign)
    ahead = next(clusters, None)
    for page in _plain_pages(connection):
        at = 0
        while at < len(page):
            end = len(page) if ahead is None else bisect_left(page, ahead[0], at, key=itemgetter(0))
            yield from _runs(connection, page[at:end])
            at = end
            if at < len(page) and ahead is not None:
                yield ahead[1]
                ahead = next(clusters, None)
    if ahead is not None:
        yield ahead[1]
    for _, cluster in clusters:
        yield cluster


def _plain_pages(connection: sa.Connection) -> Iterator[Sequence[Sequence[Any]]]:
    """(seq, hash, series, count) of plain rows, in the order of the input."""
    after = 0
    query = (
        "SELECT seq, hash, CAST(series AS INT), count FROM t_rows WHERE seq > ? AND plain > 0"
        f" ORDER BY seq LIMIT {_AT_ONCE}"
    )
    while page := connection.exec_driver_sql(query, (after,)).cursor.fetchall():
        yield page
        after = page[-1][0]


def _runs(connection: sa.Connection, rows: Sequence[Sequence[Any]]) -> Iterator[PlainRow | PlainRun]:
    """Rows that follow each other at once together; where that are few, one by one."""
    if rows and len(rows) > _FEW and rows[-1][0] - rows[0][0] == len(rows) - 1:
        seqs, digests, series, counts = zip(*rows, strict=True)
        yield PlainRun(seqs[0], digests, series, counts)
        return
    for _, part in groupby(enumerate(rows), key=lambda numbered: numbered[1][0] - numbered[0]):
        run = [row for _, row in part]
        if len(run) < _FEW:
            named = connection.exec_driver_sql(
                "SELECT kind, value FROM t_rows WHERE seq BETWEEN ? AND ? ORDER BY seq", (run[0][0], run[-1][0])
            )
            for (seq, digest, series, count), (kind, value) in zip(run, named.all(), strict=True):
                yield PlainRow(seq, kind, value, digest, digest, series, count, 1)
        else:
            seqs, digests, series, counts = zip(*run, strict=True)
            yield PlainRun(seqs[0], digests, series, counts)


def _connected(connection: sa.Connection, campaign: Campaign) -> Iterator[tuple[int, list[StagedRow] | PlainRow]]:
    """The other rows of each cluster, by its number, which is its first row's."""
    rows = connection.exec_driver_sql(
        "SELECT r.cluster, r.seq, r.file, r.sheet, r.row, r.kind, r.value, r.hash, r.series, r.count, "
        "r.counted, r.ref, r.counts,"
        " n.kind, n.value, n.hash, coalesce(m.root, i.person_id), n.written"
        " FROM t_rows r JOIN t_names n ON n.seq = r.seq"
        " LEFT JOIN identity i ON i.org_id = ? AND i.hash = n.hash LEFT JOIN t_merged m ON m.person = i.person_id"
        " WHERE r.hash IS NOT NULL AND r.plain = 0 ORDER BY r.cluster, r.seq",
        (campaign.org_id if campaign.org_id is not None else -1,),
    )
    cluster: list[Sequence[Any]] = []
    while some := rows.cursor.fetchmany(_AT_ONCE):
        for row in some:
            if cluster and row[0] != cluster[0][0]:
                yield cluster[0][0], _decidable(cluster)
                cluster = []
            cluster.append(row)
    if cluster:
        yield cluster[0][0], _decidable(cluster)


def _decidable(cluster: Sequence[Sequence[Any]]) -> list[StagedRow] | PlainRow:
    return _plain(cluster[0]) if len(cluster) == 1 and _is_plain(cluster[0]) else _staged(cluster)


def _is_plain(row: Sequence[Any]) -> bool:
    return row[16] is None and row[11] is None and row[12] is None and "," not in row[8]


def _plain(row: Sequence[Any]) -> PlainRow:
    return PlainRow(row[1], row[5], row[6], row[7], row[15], int(row[8]), row[9], row[10])


def _staged(in_cluster: Sequence[Sequence[Any]]) -> list[StagedRow]:
    cluster = []
    for seq, same_row in groupby(in_cluster, key=lambda row: row[1]):
        parts = list(same_row)
        _, _, file, sheet, number, kind, value, digest, series, count, counted, ref, counts = parts[0][:13]
        cluster.append(
            StagedRow(
                seq=seq,
                place=Place(file, sheet, number),
                names=tuple(Name(_KINDS[part[13]], *part[14:18]) for part in parts),
                sent_kind=_KINDS[kind],
                sent_value=value,
                sent_hash=digest,
                series=tuple(int(one) for one in series.split(",")),
                count=count,
                counted=bool(counted),
                ref=Ref(*json.loads(ref)) if ref is not None else None,
                counts=tuple(json.loads(counts)) if counts is not None else (),
            )
        )
    return cluster
