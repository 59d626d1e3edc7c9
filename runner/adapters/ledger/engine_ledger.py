"""`SqliteLedger`: the port `Ledger` on a ledger file, as the engine uses it while a run is live.

Changes go through the writer's thread, reads through a second connection in a thread of its own. Decides nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import orjson

from runner.adapters.ledger import statements as sql
from runner.adapters.ledger.batches import SeriesChange
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.settling import Closing
from runner.adapters.ledger.writer import Writer
from runner.core.model import FallBack, Kind, Order, Reason
from runner.errors import LedgerFailed


class SqliteLedger:
    """A ledger file at work. Create it within a running event loop; `close` it, or use `async with`.

    Args:
        file: the open ledger; the caller holds the lock of each campaign that is written to.
        wall: seconds since the epoch, UTC.
    """

    def __init__(self, file: LedgerFile, *, wall: Callable[[], float] = time.time) -> None:
        self._file = file
        self._loop = asyncio.get_running_loop()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="ledger-reader")
        self._conn = file.connect(readonly=True)
        self._writer = Writer(file, wall=wall)
        # The hot ones go to the writer without a frame in between.
        self.begin = self._writer.begin
        self.settle = self._writer.settle

    async def open_series(self, run: int) -> Mapping[int, int]:
        return {series: int(missing) for series, missing in await self._read(sql.OPEN_SERIES, (run,))}

    async def open_orders(self, run: int, series: int, after: int, limit: int) -> Sequence[Order]:
        return [_order(row) for row in await self._read(sql.OPEN_ORDERS, (run, series, after, limit))]

    async def order(self, order_id: int) -> Order:
        await self._writer.flush()
        rows = await self._read(sql.ONE_ORDER, (order_id,))
        if not rows:
            raise LedgerFailed(f"The ledger {self._file.path} has no order {order_id}. Keep it; report this fault.")
        return _order(rows[0])

    async def fall_back(self, item: FallBack) -> Order:
        await self._writer.fall_back(item)
        return await self.order(item.order_id)

    def close_order(self, run: int, order_id: int, reason: Reason) -> None:
        self._writer.close_order(Closing(run, order_id, reason))

    def set_series(self, run: int, series: int, state: str, reason: Reason | None) -> None:
        self._writer.set_series(SeriesChange(run, series, state, reason))

    async def flush(self) -> None:
        await self._writer.flush()

    async def close(self) -> None:
        """Write everything queued, then let go of the file.

        Raises:
            LedgerFailed: something queued could not be written.
        """
        try:
            await self._writer.close()
        finally:
            if not self._conn.closed:
                await self._loop.run_in_executor(self._reader, self._conn.close)
                self._reader.shutdown()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _read(self, statement: str, arguments: tuple[int, ...]) -> list[Any]:
        self._writer.check()
        return await self._loop.run_in_executor(self._reader, self._fetch, statement, arguments)

    def _fetch(self, statement: str, arguments: tuple[int, ...]) -> list[Any]:
        return list(self._conn.exec_driver_sql(statement, arguments).all())


def _order(row: Any) -> Order:
    (number, key, series, person, kind, value, target, issued, held, calls, closed, others, tried) = row
    order = Order(number, key, series, person, Kind(kind), value, target, issued, held, calls, bool(closed))
    if others is None and tried is None:
        return order
    return order._replace(
        others=tuple((Kind(kind), value) for kind, value in orjson.loads(others or "[]")),
        tried=tuple(map(Kind, orjson.loads(tried or "[]"))),
    )
