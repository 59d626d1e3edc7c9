"""What the guards of a run need to know of the ledger: money spent and missing, customers who would get too many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import groupby

from runner.adapters.ledger.files import LedgerFile
from runner.core.guards import Holder

_SPENT = """
SELECT o.series, sum(c.known + c.held) FROM calls c JOIN orders o ON o.id = c.order_id WHERE c.run_id = ? GROUP BY 1
"""

_OPEN = """
FROM orders WHERE run_id = :run AND closed IS NULL AND target > issued + held AND merged_into IS NULL
    AND series NOT IN (SELECT series FROM series_states WHERE run_id = :run AND state = 'closed')
"""

_MISSING = f"SELECT series, sum(target - issued - held) {_OPEN} GROUP BY 1"

_HOLDERS = f"""
WITH open AS (SELECT id, person_id, target - issued - held AS missing {_OPEN}),
asking AS (
    SELECT person_id, sum(missing) AS missing, (
        SELECT coalesce(sum(p.issued + p.held), 0) FROM orders p
        WHERE p.person_id = open.person_id AND p.scope_id = :scope AND p.merged_into IS NULL
    ) AS held FROM open GROUP BY person_id
)
SELECT a.person_id, a.held, o.id, o.missing FROM asking a JOIN open o ON o.person_id = a.person_id
WHERE a.held + a.missing > :most ORDER BY a.person_id, o.id
"""  # noqa: S608 - as above


def spent_by_series(ledger: LedgerFile, run_id: int) -> dict[int, int]:
    """Coupons issued or in doubt by a run's own calls, by series."""
    with closing(ledger.connect(readonly=True)) as conn:
        return {int(series): int(count) for series, count in conn.exec_driver_sql(_SPENT, (run_id,))}


def missing_by_series(ledger: LedgerFile, run_id: int) -> dict[int, int]:
    """Coupons that a run may still ask for, by series."""
    with closing(ledger.connect(readonly=True)) as conn:
        return {int(series): int(count) for series, count in conn.exec_driver_sql(_MISSING, {"run": run_id})}


def holders_above(ledger: LedgerFile, run_id: int, scope_id: int, most: int) -> Iterator[Holder]:
    """The customers whom a run's open orders would bring above so many coupons of the campaign."""
    with closing(ledger.connect(readonly=True)) as conn:
        found = conn.exec_driver_sql(_HOLDERS, {"run": run_id, "scope": scope_id, "most": most})
        for (_, held), orders in groupby(found, key=lambda row: (row[0], row[1])):
            yield Holder(int(held), [(int(order), int(missing)) for _, _, order, missing in orders])
