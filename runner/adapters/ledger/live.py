"""A run while it goes on, read in short pages: no read lasts long enough to hold up the log of a live ledger."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from runner.adapters.ledger.files import LedgerFile

PAGE_ROWS = 5_000
"""Rows of the input read at once: some hundredths of a second."""

# A line whose order was found to be another one's of this run does not count again.
_PAGE = """
SELECT coalesce(sum(l.target), 0), coalesce(sum(o.issued), 0), coalesce(sum(o.held), 0),
    coalesce(sum(max(0, l.target - o.issued - o.held)), 0), coalesce(sum(o.calls), 0),
    coalesce(sum(o.closed IS NOT NULL AND l.target > o.issued + o.held), 0),
    coalesce(sum(max(0, l.target - o.issued - o.held)) FILTER (WHERE o.closed IS NULL AND o.series NOT IN (
        SELECT series FROM series_states WHERE run_id = :run AND state IN ('closed', 'exhausted'))), 0)
FROM lines l JOIN orders own ON own.id = l.order_id JOIN orders o ON o.id = coalesce(own.merged_into, own.id)
WHERE l.run_id = :run AND l.row_id > :after AND l.row_id <= :until AND l.role = 'first'
    AND (own.merged_into IS NULL OR NOT EXISTS (
        SELECT 1 FROM lines s WHERE s.order_id = own.merged_into AND s.run_id = :run AND s.role = 'first'))
"""
_NEXT = "SELECT max(id) FROM (SELECT id FROM rows WHERE run_id = ? AND id > ? ORDER BY id LIMIT ?)"

# Both conditions, since the first is how the index calls_unsettled is known by.
_UNDERWAY = """
SELECT count(*), coalesce(sum(held), 0) FROM calls
WHERE run_id = ? AND state IN ('sending', 'in_doubt') AND state = 'sending'
"""
_PARKED = """
SELECT series, coalesce(code, ''), since FROM series_states WHERE run_id = ? AND state = 'parked' ORDER BY series
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFigures:
    """A run as it stands, each page at its own moment. Coupons, but for `calls`, `failed_orders` and `in_flight`.

    `open`: what is missing and may still be asked for in this run. `waiting`: parked series with the reason's code and
    since when.
    """

    target: int
    issued: int
    in_doubt: int
    missing: int
    open: int
    calls: int
    failed_orders: int
    in_flight: int
    waiting: tuple[tuple[int, str, float], ...]


def read_live(ledger: LedgerFile, run_id: int, *, page_rows: int = PAGE_ROWS) -> LiveFigures:
    """The run's figures now, in as many short reads as its rows have pages."""
    sums = [0] * 7
    after = 0
    with closing(ledger.connect(readonly=True)) as conn:
        while True:
            until = conn.exec_driver_sql(_NEXT, (run_id, after, page_rows)).scalar()
            if until is None:
                break
            page = conn.exec_driver_sql(_PAGE, {"run": run_id, "after": after, "until": until}).one()
            sums = [total + part for total, part in zip(sums, page, strict=True)]
            after = until
        in_flight, underway = conn.exec_driver_sql(_UNDERWAY, (run_id,)).one()
        parked = conn.exec_driver_sql(_PARKED, (run_id,)).all()
    target, issued, held, missing, calls, failed, still_open = sums
    return LiveFigures(
        target=target,
        issued=issued,
        in_doubt=max(0, held - underway),
        missing=missing + min(held, underway),
        open=still_open + min(held, underway),
        calls=calls,
        failed_orders=failed,
        in_flight=in_flight,
        waiting=tuple((series, code, since) for series, code, since in parked),
    )
