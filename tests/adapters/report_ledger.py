"""A ledger filled by hand for the tests of reports: rows, lines, orders, calls and coupons just as a test says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from runner.adapters.ledger import schema
from runner.adapters.ledger.files import LedgerFile, transaction
from runner.core.keys import name_hash

START = 1_790_000_000.0
HEADINGS = ("Mobile", "Name", "Series", "Qty")
MAPPING = {"Mobile": "mobile", "Series": "series_id", "Qty": "count"}


class ReportLedger:
    """Builds a ledger step by step. Run 1 exists from the start; numbers of rows, lines and orders are given back."""

    def __init__(self, folder: Path, *, headings: Sequence[str] = HEADINGS, rehearsal: bool = False) -> None:
        self.file = LedgerFile.create(folder / "ledger.db", key_folder=folder / "keys", rehearsal=rehearsal)
        self.conn = self.file.connect()
        self._calls = 0
        self.insert(schema.orgs, id=1, key="acme", name="Acme")
        self.insert(
            schema.scopes,
            id=1,
            org_id=1,
            key="may",
            campaign="May",
            url="https://eu.api.capillarytech.com",
            credentials="f",
            identity_version=1,
            identify_by='["mobile"]',
            mapping=orjson.dumps(MAPPING).decode(),
            created=START,
        )
        self.run(1, headings=headings)

    def insert(self, table: sa.Table, **values: Any) -> int:
        with transaction(self.conn):
            inserted = self.conn.execute(sa.insert(table).values(**values)).inserted_primary_key or (0,)
        return inserted[0] if isinstance(inserted[0], int) else 0

    def update(self, table: sa.Table, key: int, **values: Any) -> None:
        with transaction(self.conn):
            self.conn.execute(sa.update(table).where(table.c.id == key).values(**values))

    def run(
        self,
        number: int,
        *,
        headings: Sequence[str] = HEADINGS,
        files: Sequence[dict[str, Any]] | None = None,
        state: str = "finished",
        **values: Any,
    ) -> str:
        name = f"2026112{number}T000000Z-may-000{number}"
        files = files or [{"name": "may.csv", "sha256": "0" * 64, "sheet": "", "headers": list(headings), "rows": 9}]
        self.insert(
            schema.runs,
            id=number,
            name=name,
            scope_id=1,
            state=state,
            args="{}",
            files=orjson.dumps(files).decode(),
            totals="{}",
            started=START + number * 86_400,
            **values,
        )
        return name

    def row(
        self, row: int, cells: Sequence[str], *, run: int = 1, sheet: str = "", file: int = 0, **values: Any
    ) -> int:
        text = orjson.dumps(list(cells)).decode()
        return self.insert(schema.rows, run_id=run, file=file, sheet=sheet, row=row, cells=text, **values)

    def reject(self, row: int, cells: Sequence[str], *problems: Sequence[str | None], **values: Any) -> int:
        text = orjson.dumps([list(problem) for problem in problems]).decode()
        return self.row(row, cells, rejected=1, problems=text, **values)

    def order(
        self, number: int, *, target: int = 1, series: int = 415446, scope: int = 1, mobile: str = "", **values: Any
    ) -> int:
        mobile = mobile or f"91900000{number:04}"
        digest = name_hash(self.file.key, "mobile", mobile)
        if values.get("person_id") is None:
            values["person_id"] = self.insert(schema.persons, org_id=1, name=digest)
            self.conn.execute(sa.insert(schema.identity).values(org_id=1, hash=digest, person_id=values["person_id"]))
        return self.insert(
            schema.orders,
            **{"id": number, "scope_id": scope, "key": f"{number:024x}", "series": series, "kind": "mobile"}
            | {"value": mobile, "target": target, "run_id": 1}
            | values,
        )

    def line(self, row_id: int, order: int, *, target: int, run: int = 1, role: str = "first", **values: Any) -> int:
        facts = {"requested": target, "before": 0, "counted": 1} | values
        return self.insert(schema.lines, run_id=run, row_id=row_id, order_id=order, target=target, role=role, **facts)

    def simple(self, row: int, *, target: int = 1, series: int = 415446, run: int = 1, **values: Any) -> int:
        """A row of its own with an order of its own; returns the order's number, which is the row's."""
        cells = (f"91900000{row:04}", f"Customer {row}", str(series), str(target))
        row_id = self.row(row, cells, run=run)
        self.order(row, target=target, series=series, **values)
        self.line(row_id, row, target=target, run=run)
        return row

    def call(
        self,
        order: int,
        codes: Sequence[str] = (),
        *,
        state: str = "issued",
        quantity: int | None = None,
        held: int = 0,
        run: int = 1,
        states: Sequence[str] = (),
        **values: Any,
    ) -> str:
        """A call that brought `codes` (their ids are `id-<code>`); `states`: of the coupons, all issued by default."""
        self._calls += 1
        number, began = self._calls, START + run * 86_400 + self._calls
        key = f"{order:024x}-{number}-0a1b2c"
        states = list(states) or ["issued"] * len(codes)
        known = sum(state not in ("resent", "repeated") for state in states)
        asked = quantity if quantity is not None else max(1, len(codes) + held)
        facts = {"key": key, "order_id": order, "run_id": run, "number": number, "quantity": asked, "state": state}
        facts |= {"known": known, "held": held, "began": began, "ended": began + 0.25, "http": 200, "request_id": key}
        self.insert(schema.calls, **(facts | {name.rstrip("_"): value for name, value in values.items()}))
        for position, (code, coupon_state) in enumerate(zip(codes, states, strict=True)):
            self.insert(
                schema.coupons,
                call_key=key,
                order_id=order,
                position=position,
                coupon_id=f"id-{code}",
                code=code,
                hash=b"0" * 16,
                state=coupon_state,
            )
        with transaction(self.conn):
            orders = schema.orders
            self.conn.execute(
                sa.update(orders)
                .where(orders.c.id == order)
                .values(issued=orders.c.issued + known, held=orders.c.held + held, calls=orders.c.calls + 1)
            )
        return key

    def close_order(self, order: int, code: str, message: str, *, run: int = 1) -> None:
        self.update(schema.orders, order, closed=code)
        self.insert(schema.closures, run_id=run, order_id=order, code=code, message=message)

    def series(self, series: int, state: str, code: str | None, message: str | None, *, run: int = 1) -> None:
        facts = {"run_id": run, "series": series, "state": state, "code": code, "message": message, "since": START}
        self.insert(schema.series_states, **facts)
