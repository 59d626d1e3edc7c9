"""What the ledger knows of a job: its earlier runs, and whether the staged input brings it anything new."""

from __future__ import annotations

import json
from collections.abc import Sequence

import orjson
import sqlalchemy as sa

from runner.core.jobspec import EarlierRun, JobMark, mark_of


def earlier_runs(connection: sa.Connection, org_id: int, mark: JobMark) -> list[EarlierRun]:
    """The runs of the job with this campaign template in an org, the oldest first, whatever their date."""
    found = connection.exec_driver_sql(
        "SELECT r.id, r.name, r.scope_id, s.campaign, json_extract(r.args, '$.job.date'), r.files FROM runs r"
        " JOIN scopes s ON s.id = r.scope_id WHERE s.org_id = ? AND json_extract(r.args, '$.job.name') = ?"
        " AND json_extract(r.args, '$.job.template') = ? ORDER BY r.id",
        (org_id, mark.name, mark.template),
    )
    return [
        EarlierRun(run_id, name, scope, campaign, day, frozenset(file["sha256"] for file in json.loads(files)))
        for run_id, name, scope, campaign, day, files in found
    ]


def mark_of_campaign(connection: sa.Connection, scope_id: int) -> JobMark | None:
    """The job that the campaign's newest run belongs to; None when it was started by hand."""
    args = connection.exec_driver_sql(
        "SELECT args FROM runs WHERE scope_id = ? ORDER BY id DESC LIMIT 1", (scope_id,)
    ).scalar()
    return mark_of(json.loads(args).get("job")) if args is not None else None


def series_texts(connection: sa.Connection) -> list[str]:
    """The series of the staged rows, as the run would use them; those of rejected rows too."""
    return [text for (text,) in connection.exec_driver_sql("SELECT DISTINCT series_text FROM t_rows")]


def count_new_orders(connection: sa.Connection, day: str, before: Sequence[int]) -> int:
    """The planned orders that no earlier date had: neither in this campaign, nor in the runs `before`."""
    found = connection.exec_driver_sql(
        "SELECT count(*) FROM t_orders t JOIN t_people p ON p.no = t.person_no WHERE NOT t.skipped"
        " AND NOT EXISTS (SELECT 1 FROM lines l JOIN runs r ON r.id = l.run_id WHERE l.order_id = t.existing"
        "   AND json_extract(r.args, '$.job.date') IS NOT ?)"
        " AND NOT EXISTS (SELECT 1 FROM orders o JOIN lines l ON l.order_id = o.id WHERE o.person_id = p.person_id"
        "   AND o.series = t.series AND l.run_id IN (SELECT value FROM json_each(?)))",
        (day, orjson.dumps(list(before)).decode()),
    )
    return int(found.scalar_one())


def count_of_other_dates(connection: sa.Connection, scopes: Sequence[int]) -> int:
    """The planned orders whose customers hold the series from one of these campaigns."""
    found = connection.exec_driver_sql(
        "SELECT count(*) FROM t_orders t JOIN t_people p ON p.no = t.person_no WHERE EXISTS (SELECT 1 FROM orders o"
        " WHERE o.person_id = p.person_id AND o.series = t.series AND o.merged_into IS NULL AND o.issued + o.held > 0"
        " AND o.scope_id IN (SELECT value FROM json_each(?)))",
        (orjson.dumps(list(scopes)).decode(),),
    )
    return int(found.scalar_one())
