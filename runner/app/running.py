"""Executing a loaded run: engine, signals, the end of it, its state and its reports."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.adapters.ledger.engine_ledger import SqliteLedger
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.recovery import recover_scope
from runner.adapters.ledger.reports import RunReader
from runner.adapters.ledger.runs import RunFacts, RunState, count_run, issued_by_series, set_run_state
from runner.adapters.report_files import WorkbookOptions, Written, write_reports
from runner.app.input_files import list_of_record
from runner.app.place import Api, code_table, open_api, owner_of_process
from runner.core.codes import CodeTable
from runner.core.identity import names_of_answer
from runner.core.model import CustomerFacts, Identifier
from runner.core.pacing import Pace
from runner.core.totals import STOPS, principal_exit
from runner.engine import EXIT_OF_STOP, Engine, EngineOptions, Stop, StopKind
from runner.errors import Fatal
from runner.ports import Clock, Progress
from runner.settings import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run ended: its exit codes (the principal one first), what was written, why it stopped early if it did.

    `resumed`: the unfinished run of the campaign that came first, if there was one.
    """

    run: RunFacts
    codes: tuple[int, ...]
    written: Written
    stop: Stop | None
    resumed: Ended | None = None

    @property
    def why(self) -> str:
        """What its last line says beside the sums: the unfinished run that came first, and what stopped it early."""
        parts = []
        if self.resumed is not None:
            coupons = self.resumed.written.totals.coupons
            parts.append(
                f"first the rest of {self.resumed.run.name}, now {coupons.issued:,} of {coupons.target:,} issued"
            )
        if self.stop is not None:
            parts.append(self.stop.message)
        return "; ".join(parts)

    @property
    def exit_code(self) -> int:
        """The code that the command returns."""
        return self.codes[0]


def execute(
    ledger: LedgerFile, run: RunFacts, *, options: Options, api: Api, clock: Clock, progress: Progress
) -> Ended:
    """Issue everything that is missing of a run, and account for it. The caller holds the campaign's lock.

    Returns when nothing is left to ask, a guard or a signal stopped it, or nothing more can be done; always with
    reports.
    """
    set_run_state(ledger, run, RunState.RUNNING, at=clock.wall(), owner={**owner_of_process(), "since": clock.wall()})
    signals: list[int] = []
    counts = count_run(ledger, run.id)
    stop: Stop | None = None
    if counts.open_orders:
        stop = _in_loop(_drive(ledger, run, options, api, clock, progress, signals))
    with _reports_first(signals):
        return finish(ledger, run, options=options, clock=clock, stop=stop, signals=signals)


def finish(
    ledger: LedgerFile,
    run: RunFacts,
    *,
    options: Options,
    clock: Clock,
    stop: Stop | None = None,
    signals: Sequence[int] = (),
) -> Ended:
    """Settle what was left under way as in doubt, record the state, prove the sums, write the reports."""
    recover_scope(ledger, run.scope_id)
    left = count_run(ledger, run.id).open_orders
    state = RunState.STOPPED if left else RunState.FINISHED
    stopped = [128 + number for number in signals[:1]]
    if stop is not None and EXIT_OF_STOP[stop.kind] in STOPS:
        stopped.append(EXIT_OF_STOP[stop.kind])
    reason = stop.message if stop is not None else None
    # First how it was stopped, since the reports read that from the ledger; then what they proved.
    set_run_state(ledger, run, state, at=clock.wall(), exit_codes=stopped, reason=reason)
    codes = code_table(options)
    try:
        with RunReader(ledger, run.name) as reader:
            written = write_reports(reader, folder_of(run), advise=codes.advice, workbooks=workbooks_of(options, codes))
    except Fatal as error:
        # The ledger holds everything: only the reports are missing, and can be written once there is room.
        error.next_command = error.next_command or f"coupon-runner report {run.name}"
        set_run_state(ledger, run, state, at=clock.wall(), exit_code=error.exit_code, exit_codes=[error.exit_code])
        raise
    found = written.exit_codes
    set_run_state(ledger, run, state, at=clock.wall(), exit_code=principal_exit(found), exit_codes=found, reason=reason)
    return Ended(run=run, codes=tuple(found), written=written, stop=stop)


def workbooks_of(options: Options, codes: CodeTable) -> WorkbookOptions | None:
    """What the workbooks need; None when the reports are CSV only."""
    return WorkbookOptions(codes=codes) if options.reports == "all" else None


def folder_of(run: RunFacts) -> Path:
    """Where a run's reports are: `<out>/<run id>/`; a rehearsal's id says what it is."""
    return Path(run.out) / run.name


async def _drive(
    ledger: LedgerFile,
    run: RunFacts,
    options: Options,
    api: Api,
    clock: Clock,
    progress: Progress,
    signals: list[int],
) -> Stop | None:
    counts = count_run(ledger, run.id)
    region = run.args.get("region")
    listed = list_of_record(run.args.get("series_list"))
    limits = listed.series.limits if listed is not None else {}

    def names_of(facts: CustomerFacts) -> tuple[Identifier, ...]:
        return names_of_answer(facts, region)

    async with SqliteLedger(ledger) as live, open_api(options, api) as coupon_api:
        engine = Engine(
            ledger=live,
            api=coupon_api,
            clock=clock,
            progress=progress,
            pace=Pace(options.parsed_rate(loopback=api.loopback)),
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
                limit=options.limit,
                target=counts.target,
                issued=counts.issued,
                in_doubt=counts.held,
                queue_budget_seconds=options.queue_budget,
                reach_budget_seconds=options.reach_budget,
                customer_rounds=options.customer_rounds,
            ),
        )
        task = asyncio.create_task(engine.run())
        with _signals(engine, task, options.grace, signals, progress):
            try:
                return await task
            except asyncio.CancelledError:
                message = f"{options.grace:g} s of grace were over with calls still unanswered"
                return Stop(kind=StopKind.REQUESTED, message=message)


@contextlib.contextmanager
def _reports_first(before: Sequence[int]) -> Iterator[None]:
    """The first signal of a run waits until its reports are written, since nothing is sent any more; the next does not.

    `before`: signals that the run has had already.
    """
    seen = list(before)

    def receive(number: int, _: object) -> None:
        if seen:
            sys.stderr.write("\nleaving at once: `coupon-runner report` writes the reports\n")
            sys.stderr.flush()
            os._exit(128 + seen[0])
        seen.append(number)
        name = signal.Signals(number).name
        sys.stderr.write(f"\n{name}: nothing is sent any more, the reports are being written (again: leave at once)\n")
        sys.stderr.flush()

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # only the main thread may say what a signal does
    earlier = {number: signal.getsignal(number) for number in numbers}
    earlier = {number: handler for number, handler in earlier.items() if handler not in (signal.SIG_IGN, None)}
    for number in earlier:
        signal.signal(number, receive)
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _signals(
    engine: Engine, task: asyncio.Task[Stop | None], grace_seconds: float, seen: list[int], progress: Progress
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
        engine.stop(Stop(kind=StopKind.REQUESTED, message=f"stopped by {name}"))
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
