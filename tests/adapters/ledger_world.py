"""A ledger on SQLite as the contract suite sees it: loading lines without a plan, and reading everything back.

The twin of what `tests.fakes.memory_ledger.MemoryLedger` offers by itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa

from runner.adapters.ledger import schema as tables
from runner.adapters.ledger.engine_ledger import SqliteLedger
from runner.adapters.ledger.falling_back import TOUCHED
from runner.adapters.ledger.files import LedgerFile, transaction
from runner.adapters.ledger.merging import surviving_person
from runner.adapters.ledger.recovery import recover_scope
from runner.core.keys import name_hash, order_key
from runner.core.merging import FOR_GOOD
from runner.core.model import Identifier
from tests.fakes.memory_ledger import CallFacts, CouponFacts, Line, OrderFacts, Snapshot

ORG = 1
NOW = 1_780_000_000.0


class SqliteWorld:
    """One ledger file in a folder, and the `SqliteLedger` at work on it (create within a running loop)."""

    def __init__(self, folder: Path) -> None:
        self.file = LedgerFile.create(folder / "state" / "ledger.db", key_folder=folder / "keys", wall=lambda: NOW)
        self.nonce = self.file.nonce
        with closing(self.file.connect()) as conn, transaction(conn):
            conn.execute(sa.insert(tables.orgs).values(id=ORG, key="acme", name="Acme"))
        self.ledger = SqliteLedger(self.file, wall=lambda: NOW)

    def load(self, run: int, lines: Sequence[Line], *, scope: int = 1) -> list[int]:
        ids = []
        with closing(self.file.connect()) as conn, transaction(conn):
            self._prepare(conn, run, scope)
            for number, line in enumerate(lines, start=2):
                ids.append(self._load(conn, run, scope, number, line))
        return ids

    def _prepare(self, conn: sa.Connection, run: int, scope: int) -> None:
        if conn.execute(sa.select(tables.scopes.c.id).where(tables.scopes.c.id == scope)).first() is None:
            conn.execute(
                sa.insert(tables.scopes).values(
                    id=scope,
                    org_id=ORG,
                    key=f"may {scope}",
                    campaign=f"May {scope}",
                    url="http://127.0.0.1",
                    credentials="-",
                    identity_version=1,
                    identify_by='["mobile"]',
                    mapping="{}",
                    created=NOW,
                )
            )
        conn.execute(
            sa.insert(tables.runs).values(
                id=run,
                name=f"run-{run}",
                scope_id=scope,
                state="running",
                args="{}",
                files="[]",
                totals="{}",
                started=NOW,
            )
        )

    def _person(self, conn: sa.Connection, names: Sequence[Identifier]) -> int:
        identity = tables.identity.c
        hashes = [name_hash(self.file.key, name.kind, name.value) for name in names]
        person = None
        for digest in hashes:
            person = conn.execute(sa.select(identity.person_id).where(identity.hash == digest)).scalar()
            if person is not None:
                break
        if person is None:
            person = conn.execute(sa.insert(tables.persons).values(org_id=ORG, name=hashes[0])).lastrowid
        for digest in hashes:
            row = {"org_id": ORG, "hash": digest, "person_id": person}
            conn.execute(sa.insert(tables.identity).prefix_with("OR IGNORE").values(row))
        return surviving_person(conn, person)

    def _load(self, conn: sa.Connection, run: int, scope: int, number: int, line: Line) -> int:
        person = self._person(conn, line.names)
        orders = tables.orders.c
        found = conn.execute(
            sa.select(orders.id, orders.closed)
            .where(orders.scope_id == scope, orders.person_id == person, orders.series == line.series)
            .where(orders.merged_into.is_(None))
            .order_by(orders.id)
        ).first()
        if found is None:
            sent = line.names[0]
            digest = name_hash(self.file.key, sent.kind, sent.value)
            values = {
                "scope_id": scope,
                "key": order_key(self.file.key, "acme", f"may {scope}", line.series, digest),
                "series": line.series,
                "person_id": person,
                "kind": sent.kind,
                "value": sent.written,
                "target": line.target,
                "run_id": run,
                "others": _others(line),
            }
            order = conn.execute(sa.insert(tables.orders).values(values)).lastrowid
        else:
            order = found.id
            closed = found.closed if found.closed in FOR_GOOD else None
            first = line.names[0]
            named: dict[str, object] = {
                "kind": first.kind,
                "value": first.written,
                "others": _others(line),
                "tried": None,
            }
            kept = sa.text(f"orders.tried IS NOT NULL AND {TOUCHED}")
            if conn.execute(sa.select(orders.id).where(orders.id == order, kept)).first() is not None:
                named = {"others": None}
            known = {"target": line.target, "run_id": run, "closed": closed, **named}
            conn.execute(sa.update(tables.orders).where(orders.id == order).values(known))
        row = conn.execute(sa.insert(tables.rows).values(run_id=run, file=0, sheet="", row=number)).lastrowid
        conn.execute(
            sa.insert(tables.lines).values(
                run_id=run,
                row_id=row,
                order_id=order,
                requested=line.target,
                target=line.target,
                before=0,
                counted=1,
                role="first",
            )
        )
        return int(order)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is queued inside becomes one batch: the writer is kept busy with another one until the end."""
        with closing(self.file.connect()) as conn, transaction(conn):
            self.ledger.set_series(1, 0, "open", None)
            while not self.ledger._writer._queue.empty():
                time.sleep(0)  # gives the writer's thread its turn
            yield

    def recover(self, *, scope: int = 1) -> int:
        return recover_scope(self.file, scope, wall=lambda: NOW)

    def snapshot(self) -> Snapshot:
        with closing(self.file.connect(readonly=True)) as conn:
            o, c, k = tables.orders.c, tables.calls.c, tables.coupons.c
            coupons: dict[str, list[CouponFacts]] = {}
            for call, position, coupon, state in conn.execute(sa.select(k.call_key, k.position, k.coupon_id, k.state)):
                coupons.setdefault(call, []).append(CouponFacts(position, coupon or "", state))
            return Snapshot(
                {
                    row[0]: OrderFacts(
                        *row[1:10],
                        (row[10], row[11]),
                        len(json.loads(row[12] or "[]")),
                        tuple(json.loads(row[13] or "[]")),
                    )
                    for row in conn.execute(
                        sa.select(
                            o.id,
                            o.person_id,
                            o.series,
                            o.target,
                            o.issued,
                            o.held,
                            o.calls,
                            o.closed,
                            o.merged_into,
                            o.run_id,
                            o.kind,
                            o.value,
                            o.others,
                            o.tried,
                        )
                    )
                },
                {
                    row[0]: CallFacts(*row[1:8], tuple(json.loads(row[8] or "[]")))
                    for row in conn.execute(
                        sa.select(c.key, c.order_id, c.run_id, c.state, c.quantity, c.known, c.held, c.code, c.flags)
                    )
                },
                {call: tuple(sorted(found)) for call, found in coupons.items()},
                {
                    (run, order): code
                    for run, order, code in conn.execute(
                        sa.select(tables.closures.c.run_id, tables.closures.c.order_id, tables.closures.c.code)
                    )
                },
                {
                    (run, series): state
                    for run, series, state in conn.execute(
                        sa.select(
                            tables.series_states.c.run_id, tables.series_states.c.series, tables.series_states.c.state
                        )
                    )
                },
                {
                    (run, order): note
                    for run, order, note in conn.execute(
                        sa.select(tables.lines.c.run_id, tables.lines.c.order_id, tables.lines.c.note).where(
                            tables.lines.c.note.is_not(None)
                        )
                    )
                },
            )


def _others(line: Line) -> str | None:
    return json.dumps([(one.kind, one.written) for one in line.others]) if line.others else None
