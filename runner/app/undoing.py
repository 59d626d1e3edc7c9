"""`undo`: what a run issued is revoked, by code and by nothing else, after a person has seen what that would be.

Run again after whatever stopped it, it goes on with what is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.locks import ScopeLock
from runner.adapters.ledger.recovery import recover_scope
from runner.adapters.ledger.reports import RunReader
from runner.adapters.ledger.revoking import open_revocations, recover_revocations
from runner.adapters.ledger.runs import RunFacts, add_override, find_run
from runner.adapters.ledger.scopes import find_org, scope_of
from runner.adapters.report_files import Written, write_reports
from runner.app.continuity import check_history
from runner.app.conversation import Conversation, Request
from runner.app.loading import override
from runner.app.org_checks import check_same_org
from runner.app.place import api_of, code_table, open_ledger, place_of
from runner.app.resuming import remembered
from runner.app.revoking import Revoking
from runner.app.running import folder_of, workbooks_of
from runner.app.stopping import first_signal_waits
from runner.app.undo_choice import UndoRequest, choose
from runner.core.totals import ALL_ISSUED, FATAL, IN_DOUBT, NEEDS_A_PERSON, principal_exit
from runner.core.undoing import STAYS, Standing, Survey
from runner.core.wording import counted
from runner.errors import InputRefused, StillInDoubt, UsageError
from runner.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What an undo did. `dry`: nothing was asked of the API but reads. `in_doubt`: coupons of unanswered revocations.

    `refusals`: (code, message) of the API → coupons that it did not revoke. `stop`: why it ended early.
    """

    survey: Survey
    run: RunFacts
    dry: bool
    in_doubt: int
    calls: int
    refusals: Mapping[tuple[str, str], int]
    stop: str
    codes: tuple[int, ...]
    written: Written | None

    @property
    def exit_code(self) -> int:
        """The code that the command returns."""
        return principal_exit(self.codes)


def undo_run(
    asked: UndoRequest, request: Request, *, clock: Clock, conversation: Conversation, show: Callable[[Survey], None]
) -> Undone:
    """Show what would be revoked of a run; once that is agreed to, revoke it and write the run's reports again.

    Raises:
        UsageError: no such run, row or customer in it, or the address or credentials changed. InputRefused: a "no".
        StillInDoubt: calls of what is to be undone are in doubt. LockHeld: another process holds the campaign.
    """
    place = place_of(request.options, request.environment, run=asked.run)
    with ExitStack() as stack:
        ledger = open_ledger(place, clock)
        run = find_run(ledger, asked.run)
        if run is None:
            raise UsageError(f"The ledger knows no run {asked.run!r}.", next_command="coupon-runner runs")
        check_history(ledger, run.org_key, Path(run.out))
        choice = choose(ledger, run, asked)
        options = remembered(run, request)
        api = stack.enter_context(api_of(options, place, request.environment))
        org, scope = find_org(ledger, run.org), scope_of(ledger, run.scope_id)
        assert org is not None  # noqa: S101 - a run has one
        moved = check_same_org(ledger, org, scope, api, options)
        stack.enter_context(
            ScopeLock.acquire(
                ledger.path, org=run.org_key, campaign=run.campaign_key, run=run.name, shown=run.campaign,
                wall=clock.wall,
            )
        )  # fmt: skip
        recover_scope(ledger, run.scope_id)
        recover_revocations(ledger, run.scope_id, at=clock.wall())
        run = find_run(ledger, run.name) or run
        work = Revoking(ledger, run, choice, api, options, clock, conversation)
        survey = asyncio.run(work.survey())
        show(survey)
        agreed = survey.to_revoke > 0 and _agreed(asked, request, conversation, survey)
        if survey.to_revoke and not agreed:
            return Undone(
                survey=survey, run=run, dry=True, in_doubt=survey.count(Standing.IN_DOUBT), calls=0,
                refusals={}, stop="",
                codes=(ALL_ISSUED,), written=None,
            )  # fmt: skip
        if agreed and moved:
            add_override(ledger, run, override("same_org", clock), at=clock.wall())
        if agreed and survey.doubts[0]:
            add_override(ledger, run, override("undo_in_doubt", clock), at=clock.wall())
        signals: list[int] = []
        with first_signal_waits(
            signals,
            first="no new revocation; the reports are being written",
            leaving="a revocation under way is in doubt; the same command goes on",
        ):
            if agreed:
                asyncio.run(work.revoke_all(signals))
            codes = code_table(options)
            with RunReader(ledger, run.name) as reader:
                written = write_reports(
                    reader, folder_of(run), advise=codes.advice, workbooks=workbooks_of(options, codes)
                )
        return _account(ledger, run, work, written, signals, leaves_doubts=asked.even_in_doubt)


def _agreed(asked: UndoRequest, request: Request, conversation: Conversation, survey: Survey) -> bool:
    """Whether a person agrees; `--yes` does, and without a terminal nothing else.

    Raises:
        StillInDoubt, InputRefused.
    """
    if not request.options.yes and not conversation.present:
        return False
    calls, held = survey.doubts
    if calls and not asked.even_in_doubt:
        raise StillInDoubt(
            f"{counted(calls, 'call')} of what is to be undone {'is' if calls == 1 else 'are'} in doubt and may have"
            f" issued {counted(held, 'coupon')}: nothing was revoked. Settle them first, or leave them out with"
            " --even-in-doubt.",
            next_command=f"coupon-runner reconcile {survey.run}",
        )
    if request.options.yes:
        return True
    if conversation.confirm(f"Revoke {counted(survey.to_revoke, 'coupon')}? This cannot be taken back."):
        return True
    raise InputRefused("Not agreed: nothing was revoked.")


def _account(
    ledger: LedgerFile,
    run: RunFacts,
    work: Revoking,
    written: Written,
    signals: Sequence[int],
    *,
    leaves_doubts: bool,
) -> Undone:
    """What this execution did, and the exit codes that hold. `leaves_doubts`: calls in doubt were left on purpose."""
    in_doubt = sum(len(one.begun.coupons) for one in open_revocations(ledger, run.id))
    codes = {128 + signals[0]} if signals else set()
    if work.stop:
        codes.add(FATAL)
    if in_doubt or (work.account.doubts[0] and not leaves_doubts):
        codes.add(IN_DOUBT)
    if work.account.count(*STAYS) or work.refusals:
        codes.add(NEEDS_A_PERSON)
    return Undone(
        survey=work.account,
        run=run,
        dry=False,
        in_doubt=in_doubt,
        calls=work.calls,
        refusals=dict(work.refusals),
        stop=work.stop,
        codes=tuple(codes or {ALL_ISSUED}),
        written=written,
    )
