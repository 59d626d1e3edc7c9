"""Executing a loaded run: engine, signals, the end of it, its state and its reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.adapters.ledger.bounds import missing_by_series
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.recovery import recover_scope
from runner.adapters.ledger.reports import RunReader
from runner.adapters.ledger.runs import RunFacts, RunState, count_run, series_left, set_run_state
from runner.adapters.report_files import WorkbookOptions, Written, prepare_folder, write_reports
from runner.app.canary import Canary
from runner.app.conversation import Conversation
from runner.app.driving import drive
from runner.app.guarding import End
from runner.app.place import Api, code_table, owner_of_process
from runner.app.stopping import first_signal_waits
from runner.core.codes import CodeTable
from runner.core.totals import STOPS, principal_exit
from runner.core.wording import duration
from runner.engine import EXIT_OF_STOP, Stop
from runner.errors import Fatal
from runner.ports import Clock, Progress
from runner.settings import Options

_DRY_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run ended: its exit codes (the principal one first), what was written, why it stopped early if it did.

    `resumed`: the unfinished run of the campaign that came first, if there was one. `dry`: the series that were given
    up since their queues stayed empty, and for how many seconds that was waited for.
    """

    run: RunFacts
    codes: tuple[int, ...]
    written: Written
    stop: Stop | None
    resumed: Ended | None = None
    dry: tuple[int, ...] = ()
    dry_seconds: float = 0.0

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
        elif self.dry:
            which = ", ".join(map(str, self.dry[:_DRY_SHOWN])) + (", …" if len(self.dry) > _DRY_SHOWN else "")
            waited = f" for {duration(self.dry_seconds)}" if self.dry_seconds else ""
            parts.append(f"series {which} gave no coupon{waited} (5005)")
        return "; ".join(parts)

    @property
    def exit_code(self) -> int:
        """The code that the command returns."""
        return self.codes[0]


def execute(
    ledger: LedgerFile,
    run: RunFacts,
    *,
    options: Options,
    api: Api,
    clock: Clock,
    progress: Progress,
    conversation: Conversation | None = None,
    end: End | None = None,
) -> Ended:
    """Issue everything that is missing of a run, and account for it. The caller holds the campaign's lock.

    Returns when nothing is left to ask, a guard or a signal stopped it, or nothing more can be done; always with
    reports. `conversation`: who is asked whether the run goes on after its canary. `end`: no call begins after it.
    """
    prepare_folder(folder_of(run))
    set_run_state(ledger, run, RunState.RUNNING, at=clock.wall(), owner={**owner_of_process(), "since": clock.wall()})
    signals: list[int] = []
    counts = count_run(ledger, run.id)
    stop: Stop | None = None
    if counts.open_orders:
        if options.canary:
            canary = Canary(ledger, run, options, api, clock, progress, conversation or Conversation())
            stop, options = canary.send(signals, end)
        if stop is None:
            stop = drive(
                ledger, run, options=options, api=api, clock=clock, progress=progress, signals=signals, end=end
            )
    with first_signal_waits(
        list(signals),
        first="nothing is sent any more, the reports are being written",
        leaving="`coupon-runner report` writes the reports",
    ):
        return finish(ledger, run, options=options, clock=clock, stop=stop, signals=signals)


def finish(
    ledger: LedgerFile,
    run: RunFacts,
    *,
    options: Options,
    clock: Clock,
    stop: Stop | None = None,
    signals: Sequence[int] = (),
    abandoned: Mapping[str, object] | None = None,
) -> Ended:
    """Settle what was left under way as in doubt, record the state, prove the sums, write the reports.

    `abandoned`: who gave the run up and `why`, for the record.
    """
    recover_scope(ledger, run.scope_id)
    left = count_run(ledger, run.id).open_orders
    state = RunState.STOPPED if left else RunState.FINISHED
    stopped = [128 + number for number in signals[:1]]
    if stop is not None and EXIT_OF_STOP[stop.kind] in STOPS:
        stopped.append(EXIT_OF_STOP[stop.kind])
    reason = stop.message if stop is not None else None
    if abandoned is not None:
        state, reason = RunState.ABANDONED, str(abandoned["why"])
    # First how it was stopped, since the reports read that from the ledger; then what they proved.
    set_run_state(ledger, run, state, at=clock.wall(), exit_codes=stopped, reason=reason, override=abandoned)
    codes = code_table(options)
    try:
        with RunReader(ledger, run.name) as reader:
            written = write_reports(reader, folder_of(run), advise=codes.advice, workbooks=workbooks_of(options, codes))
    except Fatal as error:
        # The ledger holds everything: only the reports are missing, and can be written once there is room.
        error.next_command = error.next_command or f"coupon-runner report {run.name}"
        set_run_state(ledger, run, state, at=clock.wall(), exit_code=error.exit_code, exit_codes=[error.exit_code])
        raise
    dry = tuple(sorted(series_left(ledger, run.id) & missing_by_series(ledger, run.id).keys()))
    found = written.exit_codes
    # Last of all a connection that writes: it folds the ledger's log into its file.
    set_run_state(ledger, run, state, at=clock.wall(), exit_code=principal_exit(found), exit_codes=found, reason=reason)
    return Ended(run=run, codes=tuple(found), written=written, stop=stop, dry=dry, dry_seconds=options.queue_budget)


def workbooks_of(options: Options, codes: CodeTable) -> WorkbookOptions | None:
    """What the workbooks need; None when the reports are CSV only."""
    return WorkbookOptions(codes=codes) if options.reports == "all" else None


def folder_of(run: RunFacts) -> Path:
    """Where a run's reports are: `<out>/<run id>/`; a rehearsal's id says what it is."""
    return Path(run.out) / run.name
