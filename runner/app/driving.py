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
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from runner.adapters.ledger.doubts import doubts_of
from runner.adapters.ledger.engine_ledger import SqliteLedger
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.runs import RunFacts, count_run, series_closed, series_left
from runner.app.guarding import Bounds, End, bounds_of, stop_of_guards
from runner.app.listening import Helm, Listener
from runner.app.place import Api, code_table, open_api, pace_of
from runner.app.reading import ApiReader
from runner.app.reconciling import Settled, Settling, rules_of
from runner.core.forecast import Ahead, Limit, forecast
from runner.core.identity import names_of_answer
from runner.core.model import CustomerFacts, Identifier
from runner.engine import Engine, EngineOptions, Stop, StopKind
from runner.holding import Hold
from runner.ports import Beat, Clock, Progress
from runner.settings import Options

if TYPE_CHECKING:
    from runner.adapters.coupon_api import CouponApi

_NO_READING_AFTER = frozenset({StopKind.REFUSED, StopKind.UNREACHABLE, StopKind.FAILED, StopKind.REQUESTED})
"""Ends after which the API is not asked about doubts: it refuses, is away, or the owner wants to leave."""

_BEAT_SECONDS = 0.5


def drive(
    ledger: LedgerFile,
    run: RunFacts,
    *,
    options: Options,
    api: Api,
    clock: Clock,
    progress: Progress,
    signals: list[int],
    end: End | None = None,
    only: Mapping[int, frozenset[int]] | None = None,
) -> Stop | None:
    """Issue what is missing of a run and settle what came in doubt; None when nothing is left to ask.

    Args:
        signals: those that came are added.
        end: no call is begun after it.
        only: the orders that are asked for, by series.
    """
    return _in_loop(_Drive(ledger, run, options, api, clock, progress, signals, end, only).go())


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
        end: End | None,
        only: Mapping[int, frozenset[int]] | None,
    ) -> None:
        self._end = end
        self._only = only
        self._over: Stop | None = None
        self._bounds: Bounds | None = None
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
        self._pace = pace_of(options, api, clock, progress.say)
        self._hold = Hold(clock)
        self._last: Beat | None = None
        self._task: asyncio.Task[Stop | None] | None = None
        self._begun = 0
        self._given_back = 0

    async def go(self) -> Stop | None:
        """The whole of it."""
        async with SqliteLedger(self._ledger) as live, open_api(self._options, self._api) as coupon_api:
            task = self._task = asyncio.create_task(self._in_turns(live, coupon_api))
            listening = asyncio.create_task(self._listener().listen())
            watch = asyncio.create_task(self._watch_the_end())
            task.add_done_callback(lambda _: watch.cancel())
            with _signals(self.stop, task, self._options.grace, self._signals, self._progress):
                try:
                    return await task
                except asyncio.CancelledError:
                    message = f"{self._options.grace:g} s of grace were over with calls still unanswered"
                    return Stop(kind=StopKind.REQUESTED, message=message)
                finally:
                    self._leave_pace()
                    listening.cancel()
                    await asyncio.gather(listening, return_exceptions=True)

    def _leave_pace(self) -> None:
        """Say what the API's throttling taught; other processes of the key have it to themselves."""
        if (told := self._pace.throttling_told()) is not None:
            self._progress.say(told)
        self._pace.close()

    def stop(self, stop: Stop) -> None:
        """Begin nothing more: no call, and no read."""
        self._stop = self._stop or stop
        if self._engine is not None:
            self._engine.stop(stop)
        if self._settling is not None:
            self._settling.cancel()

    def _listener(self) -> Listener:
        helm = Helm(
            hold=self._hold,
            pace=self._pace,
            under_way=lambda: self._engine.under_way if self._engine is not None else 0,
            stopping=lambda: self._stop is not None,
            stop=self._stop_by_word,
            wake=lambda: self._engine.wake() if self._engine is not None else None,
            grace_seconds=self._options.grace,
        )
        return Listener(self._ledger, self._run, helm, clock=self._clock, progress=self._progress)

    def _stop_by_word(self, why: str) -> None:
        """As a first signal does it."""
        self.stop(Stop(kind=StopKind.REQUESTED, message=why))
        if self._task is not None:
            asyncio.get_running_loop().call_later(self._options.grace, self._task.cancel)

    async def _watch_the_end(self) -> None:
        """At the end of its time no further call begins; what is in doubt is read all the same."""
        if self._end is None:
            return
        while (left := self._end.at - self._clock.wall()) > 0:
            await self._clock.sleep(min(left, 1.0))  # the machine may sleep, or its clock be set
        self._over = self._end.stop
        self._progress.say(f"{self._over.message}: no new calls")
        if self._engine is not None:
            self._engine.stop(self._over)

    async def _in_turns(self, live: SqliteLedger, coupon_api: CouponApi) -> Stop | None:
        stop = await self._issue_and_settle(live, coupon_api)
        if self._bounds is None or self._only is not None:
            return stop
        return stop_of_guards(stop, self._bounds, self._ledger, self._run, self._options)

    async def _issue_and_settle(self, live: SqliteLedger, coupon_api: CouponApi) -> Stop | None:
        reader = ApiReader(coupon_api, self._pace, self._clock, hold=self._hold)
        settling = Settling(
            self._ledger,
            reader,
            url="" if self._ledger.rehearsal else self._api.url,
            rules=rules_of(self._options),
            note=self._progress.say,
            stopped=lambda: self._stop is not None,
        )
        left = series_closed(self._ledger, self._run.id)
        while True:
            self._engine = self._make_engine(live, reader, left, settling)
            stop = await self._engine.run()
            self._begun += self._engine.begun
            self._last, self._engine = self._engine.snapshot(ended=True), None
            if self._stop is not None or (stop is not None and stop.kind in _NO_READING_AFTER):
                return stop or self._stop
            left = series_left(self._ledger, self._run.id)
            settled = await self._settle(settling)
            if settled is None:
                return self._stop
            # Only what reading gave back is asked for again; a stop, or a limit that was reached, still holds.
            given_back, self._given_back = self._given_back + settled.missing_again, 0
            if stop is not None or not given_back:
                return stop
            if self._over is not None:
                return self._over

    async def _settle(self, settling: Settling) -> Settled | None:
        """Read what is in doubt; None when the owner wants to leave meanwhile."""
        scope = [self._run.scope_id]
        self._settling = asyncio.create_task(settling.settle(scope, wait_seconds=self._options.settle_wait))
        shown = asyncio.create_task(self._show_settling())
        await asyncio.wait({self._settling})
        shown.cancel()
        await asyncio.gather(shown, return_exceptions=True)
        if self._settling.cancelled():
            return None
        settled = self._settling.result()
        if settled.accounts:
            self._progress.say(settled.sentence())
        for account in await settling.read_again(scope, since=self._clock.wall() - self._options.settle_again):
            self._progress.say(
                f"call {account.call.key}: {len(account.finding.coupons)} coupons appeared after it had been settled"
                " without them; they are recorded"
            )
        return settled

    async def _show_settling(self) -> None:
        """Beats while doubts are read, since the engine's own are over; the last one tells what came of it."""
        doubts = len(doubts_of(self._ledger, self._run.scope_id))
        if self._last is None or not doubts:
            return
        began = self._hold.now()
        try:
            while True:
                ahead = forecast(
                    Ahead(calls=0, pace_per_second=self._pace.calls_per_second, answers_per_second=None, doubts=doubts)
                )
                left = (ahead.seconds or 0.0) - (self._hold.now() - began)
                paused = self._hold.paused
                self._progress.beat(
                    replace(
                        self._last,
                        state="settling" if paused is None else "paused",
                        eta_seconds=left if left > 0 else None,
                        decided_by=Limit.READS,
                        paused_by=paused.by if paused is not None else "",
                        paused_since=paused.since if paused is not None else None,
                    )
                )
                await self._clock.sleep(_BEAT_SECONDS)
        finally:
            counts = count_run(self._ledger, self._run.id)
            missing = max(0, counts.target - counts.issued - counts.held)
            self._progress.beat(replace(self._last, issued=counts.issued, in_doubt=counts.held, missing=missing))

    def _make_engine(self, live: SqliteLedger, reader: ApiReader, left: frozenset[int], settling: Settling) -> Engine:
        ledger, run, options = self._ledger, self._run, self._options
        counts = count_run(ledger, run.id)
        region = run.args.get("region")
        bounds = self._bounds = bounds_of(ledger, run, options)

        def names_of(facts: CustomerFacts) -> tuple[Identifier, ...]:
            return names_of_answer(facts, region)

        async def settle() -> str:
            settled = await settling.settle([run.scope_id], run=run.id)
            self._given_back += settled.missing_again
            return settled.sentence()

        return Engine(
            ledger=live,
            api=reader.api,
            clock=self._clock,
            progress=self._progress,
            pace=self._pace,
            codes=code_table(options),
            names_of=names_of,
            look_up=reader.customer_id,
            options=EngineOptions(
                run=run.id,
                nonce=ledger.nonce,
                concurrency=options.concurrency,
                max_coupons=options.max_coupons,
                spent=counts.spent,
                series_limits=bounds.series_limits,
                series_issued=bounds.series_issued,
                max_value=bounds.max_value,
                spent_value=bounds.spent_value,
                values=bounds.values,
                max_errors=bounds.max_errors,
                doubts_in_a_row=bounds.doubts_in_a_row,
                doubts_share=bounds.doubts_share,
                left_out=bounds.left_out.ids,
                ends_at=self._end.at if self._end is not None else None,
                only=self._only,
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
            hold=self._hold,
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
