"""A run while it is live: the engine and the settling of doubts in turns, and what a signal does to them.

What turns out not to have been issued is asked for again by the same run; a series that the run has left stays left.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator

from runner.adapters.coupon_api import CouponApi
from runner.adapters.ledger.engine_ledger import SqliteLedger
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.runs import RunFacts, count_run, issued_by_series, series_left
from runner.app.input_files import list_of_record
from runner.app.place import Api, code_table, open_api
from runner.app.reading import ApiReader
from runner.app.reconciling import Settled, Settling, rules_of
from runner.core.identity import names_of_answer
from runner.core.model import CustomerFacts, Identifier
from runner.core.pacing import Pace
from runner.engine import Engine, EngineOptions, Stop, StopKind
from runner.ports import Clock, Progress
from runner.settings import Options

_NO_READING_AFTER = frozenset({StopKind.REFUSED, StopKind.UNREACHABLE, StopKind.FAILED, StopKind.REQUESTED})
"""Ends after which the API is not asked about doubts: it refuses, is away, or the owner wants to leave."""


def drive(
    ledger: LedgerFile,
    run: RunFacts,
    *,
    options: Options,
    api: Api,
    clock: Clock,
    progress: Progress,
    signals: list[int],
) -> Stop | None:
    """Issue what is missing of a run and settle what came in doubt; None when nothing is left to ask.

    Args:
        signals: those that came are added.
    """
    return _in_loop(_Drive(ledger, run, options, api, clock, progress, signals).go())


class _Drive:
    """One execution of a run."""

    def __init__(
        self,
        ledger: LedgerFile,
        run: RunFacts,
        options: Options,
        api: Api,
        clock: Clock,
        progress: Progress,
        signals: list[int],
    ) -> None:
        self._ledger = ledger
        self._run = run
        self._options = options
        self._api = api
        self._clock = clock
        self._progress = progress
        self._signals = signals
        self._engine: Engine | None = None
        self._settling: asyncio.Task[Settled] | None = None
        self._stop: Stop | None = None
        self._pace = Pace(options.parsed_rate(loopback=api.loopback))
        self._begun = 0
        self._given_back = 0

    async def go(self) -> Stop | None:
        """The whole of it."""
        async with SqliteLedger(self._ledger) as live, open_api(self._options, self._api) as coupon_api:
            task = asyncio.create_task(self._in_turns(live, coupon_api))
            with _signals(self.stop, task, self._options.grace, self._signals, self._progress):
                try:
                    return await task
                except asyncio.CancelledError:
                    message = f"{self._options.grace:g} s of grace were over with calls still unanswered"
                    return Stop(kind=StopKind.REQUESTED, message=message)

    def stop(self, stop: Stop) -> None:
        """Begin nothing more: no call, and no read."""
        self._stop = self._stop or stop
        if self._engine is not None:
            self._engine.stop(stop)
        if self._settling is not None:
            self._settling.cancel()

    async def _in_turns(self, live: SqliteLedger, coupon_api: CouponApi) -> Stop | None:
        began = self._clock.wall()
        settling = Settling(
            self._ledger,
            ApiReader(coupon_api, self._pace, self._clock),
            url="" if self._ledger.rehearsal else self._api.url,
            rules=rules_of(self._options),
            note=self._progress.say,
            stopped=lambda: self._stop is not None,
        )
        left: frozenset[int] = frozenset()
        while True:
            self._engine = self._make_engine(live, coupon_api, left, settling)
            stop = await self._engine.run()
            self._begun += self._engine.begun
            self._engine = None
            if self._stop is not None or (stop is not None and stop.kind in _NO_READING_AFTER):
                return stop or self._stop
            left = series_left(self._ledger, self._run.id)
            settled = await self._settle(settling, began)
            if settled is None:
                return self._stop
            # Only what reading gave back is asked for again; a stop, or a limit that was reached, still holds.
            given_back, self._given_back = self._given_back + settled.missing_again, 0
            if stop is not None or not given_back:
                return stop

    async def _settle(self, settling: Settling, began: float) -> Settled | None:
        """Read what is in doubt; None when the owner wants to leave meanwhile."""
        scope = [self._run.scope_id]
        self._settling = asyncio.create_task(settling.settle(scope, wait_seconds=self._options.settle_wait))
        await asyncio.wait({self._settling})
        if self._settling.cancelled():
            return None
        settled = self._settling.result()
        if settled.accounts:
            self._progress.say(settled.sentence())
        for account in await settling.read_again(scope, since=began):
            self._progress.say(
                f"call {account.call.key}: {len(account.finding.coupons)} coupons appeared after it had been settled"
                " without them; they are recorded"
            )
        return settled

    def _make_engine(
        self, live: SqliteLedger, coupon_api: CouponApi, left: frozenset[int], settling: Settling
    ) -> Engine:
        ledger, run, options = self._ledger, self._run, self._options
        counts = count_run(ledger, run.id)
        region = run.args.get("region")
        listed = list_of_record(run.args.get("series_list"))
        limits = listed.series.limits if listed is not None else {}

        def names_of(facts: CustomerFacts) -> tuple[Identifier, ...]:
            return names_of_answer(facts, region)

        async def settle() -> str:
            settled = await settling.settle([run.scope_id], run=run.id)
            self._given_back += settled.missing_again
            return settled.sentence()

        return Engine(
            ledger=live,
            api=coupon_api,
            clock=self._clock,
            progress=self._progress,
            pace=self._pace,
            codes=code_table(options),
            names_of=names_of,
            options=EngineOptions(
                run=run.id,
                nonce=ledger.nonce,
                concurrency=options.concurrency,
                max_coupons=options.max_coupons,
                spent=counts.spent,
                series_limits=limits,
                series_issued=issued_by_series(ledger, run.scope_id) if limits else {},
                limit=None if options.limit is None else options.limit - self._begun,
                left_series=left,
                target=counts.target,
                issued=counts.issued,
                in_doubt=counts.held,
                queue_budget_seconds=options.queue_budget,
                reach_budget_seconds=options.reach_budget,
                customer_rounds=options.customer_rounds,
            ),
            settle=settle,
        )


@contextlib.contextmanager
def _signals(
    stop: Callable[[Stop], None],
    task: asyncio.Task[Stop | None],
    grace_seconds: float,
    seen: list[int],
    progress: Progress,
) -> Iterator[None]:
    """The first signal stops new calls and gives those in flight `grace_seconds`; the second leaves at once."""
    loop = asyncio.get_running_loop()

    def receive(number: int) -> None:
        if seen:
            sys.stderr.write("\nleaving at once: calls in flight are in doubt\n")
            sys.stderr.flush()
            os._exit(128 + seen[0])
        seen.append(number)
        name = signal.Signals(number).name
        progress.say(f"{name}: no new calls; those in flight have {grace_seconds:g} s to finish (again: leave at once)")
        stop(Stop(kind=StopKind.REQUESTED, message=f"stopped by {name}"))
        loop.call_later(grace_seconds, task.cancel)

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    undo: list[Callable[[], object]] = []
    for number in numbers:
        if before[number] is signal.SIG_IGN:
            continue  # e.g. nohup: who ignores a signal for us means it
        try:
            loop.add_signal_handler(number, receive, number)
            undo.append(lambda number=number: loop.remove_signal_handler(number))  # type: ignore[misc]
            undo.append(lambda number=number: signal.signal(number, before[number]))  # type: ignore[misc]
        except (NotImplementedError, RuntimeError):  # Windows: no loop handlers
            signal.signal(number, lambda number, _: loop.call_soon_threadsafe(receive, number))
            undo.append(lambda number=number: signal.signal(number, before[number]))  # type: ignore[misc]
    try:
        yield
    finally:
        for step in undo:
            step()


def _in_loop(work: Coroutine[None, None, Stop | None]) -> Stop | None:
    """Run to the end in uvloop's event loop where there is one (it is faster; Windows has none).

    What lives already (modules, the plan) is taken out of the garbage collector's sight: looking through it again and
    again cost a tenth of the pace.
    """
    gc.collect()
    gc.freeze()
    try:
        return _run_loop(work)
    finally:
        gc.unfreeze()


def _run_loop(work: Coroutine[None, None, Stop | None]) -> Stop | None:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        return loop.run(work)
