"""The ledger's only writer in this process: one thread with one connection, committing whatever has queued up.

Begins and fall backs wait for their commit, everything else is queued with them in one first-in-first-out queue. After
the first failure nothing is written any more: whoever waits and whoever comes later gets the same `LedgerFailed`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from queue import SimpleQueue
from typing import Any

import sqlalchemy as sa

from runner.adapters.ledger import statements as sql
from runner.adapters.ledger.batches import Applied, Batch, SeriesChange, apply_batch
from runner.adapters.ledger.events import Head, head_of
from runner.adapters.ledger.failures import through_the_door, translate
from runner.adapters.ledger.files import LedgerFile, transaction
from runner.adapters.ledger.one_statement import OneStatement
from runner.adapters.ledger.settling import Closing, Uneven
from runner.adapters.ledger.witness import write_witness
from runner.core.model import CallStart, CallState, FallBack, Outcome, Settlement
from runner.errors import LedgerFailed

_MOST_ITEMS = 2_000
_WITNESS_SECONDS = 1.0

_BEGIN, _SETTLE, _CLOSE, _FALL_BACK, _SERIES, _FLUSH, _STOP = range(7)

_Future = asyncio.Future[bool]


class Writer:
    """The writer's thread, as the event loop that started it uses it.

    Args:
        file: the ledger.
        wall: seconds since the epoch, UTC; asked once a batch.
    """

    def __init__(self, file: LedgerFile, *, wall: Callable[[], float]) -> None:
        self._file = file
        self._wall = wall
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[tuple[int, Any, _Future | None]] = SimpleQueue()
        self._failure: LedgerFailed | None = None
        self._closed = False
        self._orgs: dict[int, int] = {}
        self._witnessed = 0.0
        self._thread = threading.Thread(target=self._work, name="ledger-writer", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------ called on the event loop

    def check(self) -> None:
        """Raise what the writer failed with, if it has."""
        if self._failure is not None:
            raise LedgerFailed(self._failure.message) from self._failure
        if self._closed:
            raise LedgerFailed(f"The ledger {self._file.path} was closed while work went on; nothing more is sent.")

    async def begin(self, start: CallStart) -> bool:
        """See `ports.Ledger.begin`. A begin that is cancelled is taken back: its caller has sent nothing."""
        self.check()
        future: _Future = self._loop.create_future()
        self._queue.put((_BEGIN, start, future))
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None and future.result():
                self._take_back(start)
            raise

    def settle(self, settlement: Settlement) -> None:
        """See `ports.Ledger.settle`."""
        self.check()
        self._queue.put((_SETTLE, settlement, None))

    def close_order(self, closing: Closing) -> None:
        """See `ports.Ledger.close_order`."""
        self.check()
        self._queue.put((_CLOSE, closing, None))

    async def fall_back(self, item: FallBack) -> None:
        """Return when it is durable, or when it was found out that it must not be. See `ports.Ledger.fall_back`."""
        self.check()
        future: _Future = self._loop.create_future()
        self._queue.put((_FALL_BACK, item, future))
        await future

    def set_series(self, state: SeriesChange) -> None:
        """See `ports.Ledger.set_series`."""
        self.check()
        self._queue.put((_SERIES, state, None))

    async def flush(self) -> None:
        """See `ports.Ledger.flush`."""
        self.check()
        future: _Future = self._loop.create_future()
        self._queue.put((_FLUSH, None, future))
        await future

    async def close(self) -> None:
        """Write what is queued and end the thread. Raises `LedgerFailed` when it could not be written."""
        if not self._closed:
            self._closed = True
            future: _Future = self._loop.create_future()
            self._queue.put((_STOP, None, future))
            await future
            await asyncio.to_thread(self._thread.join)
        if self._failure is not None:
            raise LedgerFailed(self._failure.message) from self._failure

    def _take_back(self, start: CallStart) -> None:
        """Release a call that was recorded for a caller who had gone: nothing of it was ever sent."""
        if self._failure is None and not self._closed:
            outcome = Outcome(state=CallState.NEVER_LEFT)
            self._queue.put((_SETTLE, Settlement(start.key, start.order_id, 0, start.run, outcome, (), 0.0), None))

    def _resolve(
        self, begins: Sequence[tuple[CallStart, _Future]], begun: Sequence[bool], others: list[_Future]
    ) -> None:
        for (start, future), result in zip(begins, begun, strict=True):
            if not future.cancelled():
                future.set_result(result)
            elif result:
                self._take_back(start)
        for future in others:
            if not future.cancelled():
                future.set_result(True)

    def _reject(self, futures: list[_Future], failure: LedgerFailed) -> None:
        for future in futures:
            if not future.done():
                future.set_exception(LedgerFailed(failure.message))

    # ------------------------------------------------------------ on the writer's thread

    def _work(self) -> None:
        waiting: list[_Future] = []
        stop: _Future | None = None
        try:
            with self._file.connect() as conn:
                head = head_of(conn)
                one_statement = OneStatement(conn.connection.driver_connection, key=self._file.key)  # type: ignore[arg-type]
                while stop is None:
                    batch, begins, others, stop = self._collect()
                    waiting = [*(future for _, future in begins), *others]
                    begun: Sequence[bool] = ()
                    if batch.run is not None:
                        begun, head = self._commit(conn, one_statement, batch, head)
                    self._tell(self._resolve, begins, begun, others)
                    waiting = []
                    self._witness(head, now=stop is not None)
        except Exception as error:  # noqa: BLE001 — whatever it is, nobody may go on sending without a ledger
            self._failure = translate(error, self._file.path)
            if not isinstance(error, LedgerFailed):
                self._failure.__cause__ = error
        if self._failure is not None:
            self._fail(waiting, self._failure, stop)
        elif stop is not None:
            self._tell(self._resolve, (), (), [stop])

    def _collect(self) -> tuple[Batch, list[tuple[CallStart, _Future]], list[_Future], _Future | None]:
        """What is queued, or the first thing to come: always a prefix of the queue, so that nothing overtakes."""
        batch = Batch()
        begins: list[tuple[CallStart, _Future]] = []
        others: list[_Future] = []
        stop = None
        get = self._queue.get
        item = get()
        for left in range(min(self._queue.qsize(), _MOST_ITEMS), -1, -1):
            kind, payload, future = item
            if kind == _SETTLE:
                batch.settlements.append(payload)
            elif kind == _BEGIN and future is not None:
                if not future.cancelled():
                    batch.begins.append(payload)
                    begins.append((payload, future))
            elif kind == _CLOSE:
                batch.closings.append(payload)
            elif kind == _FALL_BACK and future is not None:
                batch.fall_backs.append(payload)
                others.append(future)
            elif kind == _SERIES:
                batch.series.append(payload)
            elif kind == _FLUSH and future is not None:
                others.append(future)
            else:
                stop = future
                break
            if left:
                item = get()
        return batch, begins, others, stop

    def _commit(self, conn: sa.Connection, one_statement: OneStatement, batch: Batch, head: Head) -> Applied:
        at = self._wall()
        items: Iterator[Settlement | FallBack] = chain(batch.settlements, batch.fall_backs)
        for item in items:
            if item.run not in self._orgs:
                self._orgs[item.run] = conn.exec_driver_sql(sql.ORG_OF_RUN, (item.run,)).scalar_one()
        with through_the_door(self._file.path):
            ordinary = one_statement.apply(batch, orgs=self._orgs, at=at, before=head)
        if ordinary is not None:
            return ordinary
        try:
            with transaction(conn):
                return apply_batch(conn, batch, key=self._file.key, orgs=self._orgs, at=at)
        except Uneven:
            pass
        begun: list[bool] = []
        with transaction(conn):
            head = head_of(conn)
            for single in batch.singly():
                applied = apply_batch(conn, single, key=self._file.key, orgs=self._orgs, at=at)
                begun.extend(applied.begun)
                head = applied.head
        return Applied(begun, head)

    def _witness(self, head: Head, *, now: bool) -> None:
        monotonic = time.monotonic()
        if now or monotonic - self._witnessed >= _WITNESS_SECONDS:
            self._witnessed = monotonic
            write_witness(self._file.path, ledger_id=self._file.ledger_id, key=self._file.key, head=head)

    def _fail(self, waiting: list[_Future], failure: LedgerFailed, stop: _Future | None) -> None:
        """Refuse everything from now on. The thread stays until `close`, so that nobody waits for ever."""
        self._tell(self._reject, waiting, failure)
        while stop is None:
            kind, _, future = self._queue.get()
            if kind == _STOP:
                stop = future
            elif future is not None:
                self._tell(self._reject, [future], failure)
        self._tell(self._resolve, (), (), [stop])

    def _tell(self, call: Callable[..., None], *arguments: Any) -> None:
        """One call into the event loop for a whole batch."""
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            pass  # the loop is closed: nobody waits any more
