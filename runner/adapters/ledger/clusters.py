"""Which rows of an input belong together, through what they share and through what the ledger knows of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby

import sqlalchemy as sa

from runner.adapters.ledger.staged import Campaign
from runner.core.model import Kind, Place, Ref
from runner.core.planning import Name, StagedRow


def find_clusters(connection: sa.Connection, org_id: int | None) -> None:
    """Give connected rows one number: the least `seq` among them, spread until it rests.

    Rows are connected by an identifier that they share, or by identifiers that the ledger knows to be one person's.
    """
    connection.exec_driver_sql("INSERT INTO t_links SELECT hash, seq FROM t_names")
    connection.exec_driver_sql(
        "INSERT INTO t_links SELECT coalesce(m.root, i.person_id), n.seq FROM t_names n"
        " JOIN identity i ON i.org_id = ? AND i.hash = n.hash LEFT JOIN t_merged m ON m.person = i.person_id",
        (org_id if org_id is not None else -1,),
    )
    connection.exec_driver_sql("CREATE INDEX IF NOT EXISTS temp.t_links_mark ON t_links(mark, seq)")
    connection.exec_driver_sql("CREATE INDEX IF NOT EXISTS temp.t_names_seq ON t_names(seq)")
    connection.exec_driver_sql("UPDATE t_rows SET cluster = seq")
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


def read_clusters(connection: sa.Connection, campaign: Campaign) -> Iterator[list[StagedRow]]:
    """The rows of each cluster together, in the order of the input, with the people whom the ledger knows by them."""
    rows = connection.exec_driver_sql(
        "SELECT r.cluster, r.seq, r.file, r.sheet, r.row, r.kind, r.value, r.hash, r.series, r.count, "
        "r.counted, r.ref, r.counts,"
        " n.kind, n.value, n.hash, coalesce(m.root, i.person_id)"
        " FROM t_rows r JOIN t_names n ON n.seq = r.seq"
        " LEFT JOIN identity i ON i.org_id = ? AND i.hash = n.hash LEFT JOIN t_merged m ON m.person = i.person_id"
        " WHERE r.hash IS NOT NULL ORDER BY r.cluster, r.seq",
        (campaign.org_id if campaign.org_id is not None else -1,),
    )
    kinds = {kind.value: kind for kind in Kind}
    for _, in_cluster in groupby(rows, key=lambda row: row[0]):
        cluster = []
        for seq, same_row in groupby(in_cluster, key=lambda row: row[1]):
            parts = list(same_row)
            _, _, file, sheet, number, kind, value, digest, series, count, counted, ref, counts = parts[0][:13]
            cluster.append(
                StagedRow(
                    seq=seq,
                    place=Place(file, sheet, number),
                    names=tuple(Name(kinds[part[13]], part[14], part[15], part[16]) for part in parts),
                    sent_kind=kinds[kind],
                    sent_value=value,
                    sent_hash=digest,
                    series=tuple(int(one) for one in series.split(",")),
                    count=count,
                    counted=bool(counted),
                    ref=Ref(*json.loads(ref)) if ref is not None else None,
                    counts=tuple(json.loads(counts)) if counts is not None else (),
                )
            )
        yield cluster
