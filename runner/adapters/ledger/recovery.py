"""What a process finds that has just acquired a campaign's lock: calls that somebody was posting when they died.

Opening or reading never does this: a live run's calls are its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

from runner.adapters.ledger.events import append_event
from runner.adapters.ledger.files import LedgerFile, transaction
from runner.core.merging import INTERRUPTED

# The first condition is there for the partial index of unsettled calls, which names both states.
_TO_DOUBT = """
UPDATE calls SET state = 'in_doubt', code = ?, class = 'unknown', scope = 'row',
    message = 'The program ended before the answer was recorded.'
WHERE state IN ('sending', 'in_doubt') AND state = 'sending' AND run_id IN (SELECT id FROM runs WHERE scope_id = ?)
RETURNING key
"""


def recover_scope(ledger: LedgerFile, scope_id: int, *, wall: Callable[[], float] = time.time) -> int:
    """Put every call of the campaign that is `sending` in doubt; what it holds stays held. One event tells it.

    Only for the process that has just acquired the campaign's lock, before it begins a call of its own.

    Returns:
        How many calls came in doubt.

    Raises:
        LedgerFailed: the ledger cannot be written.
    """
    with closing(ledger.connect()) as conn, transaction(conn):
        keys = sorted(conn.exec_driver_sql(_TO_DOUBT, (INTERRUPTED, scope_id)).scalars())
        if keys:
            append_event(conn, None, {"interrupted": keys, "scope": scope_id}, at=wall())
    return len(keys)
