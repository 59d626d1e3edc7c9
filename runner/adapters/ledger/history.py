"""What a ledger knows beyond one report: its runs, one run's live figures, and everything about one customer.

Nothing here takes a lock or holds a transaction for longer than one statement: a live run is not disturbed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.report_coupons import reading
from runner.adapters.ledger.reports import run_of
from runner.adapters.ledger.runs import RunFacts
from runner.adapters.ledger.schema import orgs, runs, scopes


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEntry:
    """One run in the list of runs. Times in seconds since the epoch, UTC; `files`: their names."""

    name: str
    org: str
    campaign: str
    state: str
    started: float
    ended: float | None
    exit_code: int | None
    files: tuple[str, ...]
    out: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFigures:
    """Coupons of one series in one run, counted over its orders. `state`, `code`: how the run left the series, "" if
    unsaid.
    """

    series: int
    orders: int
    target: int
    issued: int
    before: int
    in_doubt: int
    missing: int
    state: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """A run as it stands at this moment. `calls`: POSTs by state, of this run alone. `owner`: who runs or ran it."""

    run: RunFacts
    owner: Mapping[str, Any]
    rows: int
    rejected: int
    calls: Mapping[str, int]
    series: tuple[SeriesFigures, ...]
    newest_answer: float | None


def list_runs(ledger: LedgerFile, *, org_key: str | None = None, limit: int = 100) -> list[RunEntry]:
    """The newest runs first. `org_key`: only of this organisation."""
    newest = (
        sa.select(runs, orgs.c.name.label("org"), scopes.c.campaign)
        .join(scopes, scopes.c.id == runs.c.scope_id)
        .join(orgs, orgs.c.id == scopes.c.org_id)
        .order_by(runs.c.id.desc())
        .limit(limit)
    )
    if org_key is not None:
        newest = newest.where(orgs.c.key == org_key)
    with ledger.connect(readonly=True) as conn:
        return [
            RunEntry(
                name=run.name,
                org=run.org,
                campaign=run.campaign,
                state=run.state,
                started=run.started,
                ended=run.ended,
                exit_code=run.exit_code,
                files=tuple(str(file.get("name", "")) for file in orjson.loads(run.files)),
                out=run.out or "",
            )
            for run in conn.execute(newest)
        ]


_SECONDS_A_CALL = """
SELECT avg(c.seconds) FROM (
    SELECT order_id, seconds FROM calls WHERE seconds NOT NULL ORDER BY order_id DESC LIMIT 500) AS c
JOIN orders o ON o.id = c.order_id JOIN scopes s ON s.id = o.scope_id WHERE :url IS NULL OR s.url = :url
"""


def seconds_a_call(ledger: LedgerFile, url: str | None) -> float | None:
    """How long calls to an API took of late, on average; None when it was not called lately. `url` None: to any."""
    with ledger.connect(readonly=True) as conn:
        found = conn.execute(sa.text(_SECONDS_A_CALL), {"url": url}).scalar()
    return float(found) if found is not None else None


# Each family of merged orders counts once, against the target of its first line, as in the reports.
_FIGURES = """
WITH own AS MATERIALIZED (
    SELECT min(l.id) AS line_id, coalesce(o.merged_into, o.id) AS id
    FROM lines l JOIN orders o ON o.id = l.order_id
    WHERE l.run_id = :run AND l.role = 'first' GROUP BY 2),
member AS (
    SELECT id, id AS order_id FROM own
    UNION ALL SELECT merged_into, id FROM orders
    WHERE scope_id = :scope AND merged_into IS NOT NULL AND merged_into IN (SELECT id FROM own)),
replaced AS MATERIALIZED (
    SELECT coalesce(o.merged_into, o.id) AS id, count(*) AS coupons
    FROM coupons p INDEXED BY coupons_replaced JOIN orders o ON o.id = p.order_id
    WHERE p.replaced_by IS NOT NULL AND p.replaced_by <= :run GROUP BY 1),
sums AS (
    SELECT m.id, coalesce(sum(c.known), 0) - coalesce(max(x.coupons), 0) AS issued, coalesce(sum(c.held), 0) AS held,
        coalesce(sum(c.known) FILTER (WHERE c.run_id < :run), 0) - coalesce(max(x.coupons), 0) AS before
    FROM member m LEFT JOIN calls c ON c.order_id = m.order_id AND c.run_id <= :run
    LEFT JOIN replaced x ON x.id = m.id GROUP BY m.id)
SELECT o.series, count(*), sum(l.target), sum(s.issued), sum(s.before), sum(s.held),
    sum(max(0, l.target - s.issued - s.held)), coalesce(max(t.state), ''), coalesce(max(t.code), '')
FROM own JOIN lines l ON l.id = own.line_id JOIN orders o ON o.id = own.id JOIN sums s ON s.id = own.id
LEFT JOIN series_states t ON t.run_id = :run AND t.series = o.series
GROUP BY o.series ORDER BY o.series
"""


def show_run(ledger: LedgerFile, run_name: str) -> RunFigures:
    """A run's figures at this moment, counted by the database: about 3 µs an order, while others write.

    Raises:
        UsageError: the ledger has no such run.
    """
    with ledger.connect(readonly=True) as conn, reading(conn):
        run = run_of(conn, run_name)
        owner = conn.execute(sa.select(runs.c.owner).where(runs.c.id == run.id)).scalar_one()
        rows, rejected = conn.exec_driver_sql(
            "SELECT count(*), coalesce(sum(rejected), 0) FROM rows WHERE run_id = ?", (run.id,)
        ).one()
        calls = conn.exec_driver_sql(
            "SELECT state, count(*), max(ended) FROM calls WHERE run_id = ? GROUP BY state", (run.id,)
        ).all()
        figures = conn.execute(sa.text(_FIGURES), {"run": run.id, "scope": run.scope_id}).all()
    return RunFigures(
        run=run,
        owner=orjson.loads(owner or "{}"),
        rows=rows,
        rejected=rejected,
        calls={state: number for state, number, _ in calls},
        series=tuple(
            SeriesFigures(
                **dict(zip(("series", "orders", "target", "issued", "before"), row[:5], strict=True)),
                in_doubt=row[5],
                missing=row[6],
                state=row[7],
                code=row[8],
            )
            for row in figures
        ),
        newest_answer=max((ended for _, _, ended in calls if ended is not None), default=None),
    )
