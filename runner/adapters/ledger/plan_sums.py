# ruff: noqa: S608 — put together from fixed texts of this module; every value is a parameter
"""A plan's sums, counted from the tables that hold what was decided."""

from __future__ import annotations

import json

import sqlalchemy as sa

from runner.adapters.ledger.holding_back import sum_up_held_back
from runner.adapters.ledger.staged import EXAMPLES, Campaign
from runner.core.model import Place, Problem
from runner.core.plan import OverlapSeen, Plan, SeriesPlan


def count_refs(connection: sa.Connection) -> tuple[int, int]:
    """How many valid rows carry a `_ref`, and how many do not."""
    query = "SELECT count(ref), count(*) - count(ref) FROM t_rows WHERE problems IS NULL"
    with_ref, without = connection.exec_driver_sql(query).one()
    return int(with_ref), int(without)


def sum_up(
    connection: sa.Connection,
    campaign: Campaign,
    *,
    rows: int,
    overlaps: tuple[OverlapSeen, ...],
    digest: int,
    fall_back: bool,
) -> Plan:
    """The plan that the decided tables make. `rows`: staged ones. `digest`: stands for every order."""
    by_series = connection.exec_driver_sql(
        "SELECT series, sum(missing > 0), sum(target), sum(issued), sum(held), sum(missing), sum(replaced),"
        " sum((missing + 499) / 500)"
        " FROM t_orders WHERE NOT skipped GROUP BY series ORDER BY series"
    ).all()
    back: dict[int, int] = {
        row[0]: row[1]
        for row in connection.exec_driver_sql(
            "SELECT t.series, sum(b.missing) FROM t_back b JOIN t_orders t ON t.no = b.no WHERE t.missing = 0"
            " GROUP BY 1"
        )
    }
    series = tuple(
        SeriesPlan(
            series=row[0],
            orders=row[1],
            target=row[2],
            issued=row[3],
            held=row[4],
            missing=row[5],
            calls=row[7],
            replaced=row[6],
            back=back.get(row[0], 0),
        )
        for row in by_series
    )
    rejected = connection.exec_driver_sql("SELECT count(*) FROM t_rows WHERE problems IS NOT NULL").scalar_one()
    duplicates = connection.exec_driver_sql(
        "SELECT count(*) FROM (SELECT seq FROM t_lines WHERE seq IN (SELECT seq FROM t_lines WHERE role IN"
        " ('duplicate', 'elsewhere')) GROUP BY seq HAVING min(role IN ('duplicate', 'elsewhere')))"
    ).scalar_one()
    orders, below, skipped, with_others = connection.exec_driver_sql(
        "SELECT count(*), coalesce(sum(target < issued), 0), coalesce(sum(skipped), 0),"
        " count(others) FILTER (WHERE missing > 0 AND issued + held = 0) FROM t_orders"
    ).one()
    examples = connection.exec_driver_sql(
        f"SELECT file, sheet, row, problems FROM t_rows WHERE problems IS NOT NULL ORDER BY seq LIMIT {EXAMPLES}"
    )
    return Plan(
        rows=rows,
        rejected=rejected,
        duplicate_rows=duplicates,
        lines=connection.exec_driver_sql("SELECT count(*) FROM t_lines").scalar_one(),
        orders=orders,
        target=sum(one.target for one in series),
        issued=sum(one.issued for one in series),
        held=sum(one.held for one in series),
        missing=sum(one.missing for one in series),
        calls=sum(one.calls for one in series),
        skipped=skipped,
        below=below,
        leavers=_leavers(connection, campaign),
        series=series,
        overlaps=overlaps,
        examples=tuple(
            (Place(row[0], row[1], row[2]), tuple(Problem(*one) for one in json.loads(row[3]))) for row in examples
        ),
        digest=f"{digest % 2**128:032x}",
        replaced=sum(one.replaced for one in series),
        back=sum(one.back for one in series),
        held_back=sum_up_held_back(connection),
        with_others=with_others if fall_back else None,
    )


def _leavers(connection: sa.Connection, campaign: Campaign) -> int | None:
    with_ref = "SELECT EXISTS (SELECT 1 FROM t_rows WHERE ref IS NOT NULL AND problems IS NULL)"
    if connection.exec_driver_sql(with_ref).scalar_one():
        return None
    if campaign.scope_id is None:
        return 0
    left: int = connection.exec_driver_sql(
        "SELECT count(*) FROM orders WHERE scope_id = ? AND issued + held > 0 AND merged_into IS NULL"
        " AND id NOT IN (SELECT existing FROM t_orders WHERE existing IS NOT NULL)",
        (campaign.scope_id,),
    ).scalar_one()
    return left
