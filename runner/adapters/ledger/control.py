"""Words to a live run, left in the ledger by other processes, and what its own process answered to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import orjson
import sqlalchemy as sa

from runner.adapters.ledger.files import LedgerFile, transaction
from runner.adapters.ledger.runs import RunFacts, append_override
from runner.adapters.ledger.schema import control
from runner.core.steering import Command, Told

_NEXT = "SELECT coalesce(max(seq), 0) + 1 FROM control WHERE run_id = ?"
_TAKE_BACK = "UPDATE control SET done_at = ? WHERE run_id = ? AND seq = ? AND done_at IS NULL"
_ANSWER = "UPDATE control SET done_at = ?, answer = ? WHERE run_id = ? AND seq = ? AND done_at IS NULL"


def tell(
    ledger: LedgerFile, run_id: int, command: Command, argument: str, *, by: Mapping[str, object], at: float
) -> int:
    """Leave a word for a run; its number."""
    with closing(ledger.connect()) as conn, transaction(conn):
        seq = int(conn.exec_driver_sql(_NEXT, (run_id,)).scalar_one())
        values = {"run_id": run_id, "seq": seq, "command": command.value, "argument": argument, "at": at}
        conn.execute(sa.insert(control).values(**values, by=orjson.dumps(dict(by)).decode()))
    return seq


def take_back(ledger: LedgerFile, run_id: int, seq: int, *, at: float) -> bool:
    """Take a word back that was not answered; False: the run has answered just now."""
    with closing(ledger.connect()) as conn, transaction(conn):
        return bool(conn.exec_driver_sql(_TAKE_BACK, (at, run_id, seq)).rowcount)


def words_to(ledger: LedgerFile, run_id: int) -> list[Told]:
    """All words that were left for a run, the oldest first."""
    return _read(ledger, sa.select(control).where(control.c.run_id == run_id))


def unanswered(ledger: LedgerFile, run_id: int) -> list[Told]:
    """The words that a run has to answer, the oldest first."""
    return _read(ledger, sa.select(control).where(control.c.run_id == run_id, control.c.done_at.is_(None)))


def word(ledger: LedgerFile, run_id: int, seq: int) -> Told:
    """One word as it stands."""
    return _read(ledger, sa.select(control).where(control.c.run_id == run_id, control.c.seq == seq))[0]


def answer(
    ledger: LedgerFile, run: RunFacts, seq: int, said: str, *, override: Mapping[str, Any] | None, at: float
) -> bool:
    """Record what the run says to a word, and with it, in the history, that it is carried out.

    Args:
        override: what is carried out, by whom; None when the word changes nothing.

    Returns:
        False, and nothing recorded, when it was taken back: it must not be carried out.
    """
    with closing(ledger.connect()) as conn, transaction(conn):
        if not conn.exec_driver_sql(_ANSWER, (at, said, run.id, seq)).rowcount:
            return False
        if override is not None:
            append_override(conn, run.id, override, at=at)
    return True


def _read(ledger: LedgerFile, query: sa.Select[Any]) -> list[Told]:
    with closing(ledger.connect(readonly=True)) as conn:
        return [
            Told(
                seq=row.seq,
                command=Command(row.command),
                argument=row.argument,
                at=row.at,
                by=json.loads(row.by),
                done_at=row.done_at,
                answer=row.answer,
            )
            for row in conn.execute(query.order_by(control.c.seq))
        ]
