"""An unfinished run: gone on with by `resume`, given up by `abandon`, or first in line when its campaign runs again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from runner.adapters.ledger.bounds import missing_by_series
from runner.adapters.ledger.engine_ledger import SqliteLedger
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.holding_open import OpenOrders
from runner.adapters.ledger.locks import ScopeLock
from runner.adapters.ledger.recovery import recover_scope
from runner.adapters.ledger.runs import (
    UNFINISHED,
    RunCounts,
    RunFacts,
    RunState,
    add_override,
    count_run,
    find_run,
    newest_run,
    unfinished_run_of,
)
from runner.adapters.ledger.scopes import find_org, scope_of
from runner.app.consent import agree_to_findings
from runner.app.continuity import check_history
from runner.app.conversation import Conversation, Request
from runner.app.guarding import check_values, end_of, values_of
from runner.app.intake import Intake
from runner.app.loading import override
from runner.app.org_checks import check_run_of_org, check_same_org, record_moved
from runner.app.place import Api, api_of, open_ledger, open_org, place_of
from runner.app.preflighting import Preflight
from runner.app.running import Ended, execute, finish
from runner.app.settling import settle_before_run
from runner.core.preflight import remarks_of_record
from runner.core.steering import Command
from runner.core.wording import counted
from runner.errors import InputRefused, UsageError
from runner.ports import Clock
from runner.settings import Options, resolve

NOT_REMEMBERED = frozenset(
    {"yes", "plan", "fresh", "same_org", "same_api", "json", "progress", "unfinished", "limit", "job", "series_list"}
    | {"reissue_revoked", "ignore_preflight", "preflight"}
)
"""Options that belong to one execution and are not taken over by `resume`."""

_CLOSED_AT_ONCE = 1000
"""Orders that are queued for the ledger before it is waited for."""


def resume_run(name: str | None, request: Request, *, clock: Clock, conversation: Conversation) -> Ended:
    """Go on with an unfinished run, without its file.

    Raises:
        UsageError: there is nothing to resume, the run was abandoned, nobody consents, or the address or credentials
            changed. ForeignLedger: the ledger is an older copy. LockHeld: another process is at it.
    """
    place = place_of(request.options, request.environment, run=name)
    with ExitStack() as stack:
        ledger = open_ledger(place, clock)
        ledger.check_newest()  # whether anything is unfinished, an older copy cannot know
        run = _find_unfinished(ledger, name, request.options)
        check_run_of_org(run, request, ledger)
        _check_not_abandoned(run)
        check_history(ledger, run.org_key, Path(run.out))
        counts = count_run(ledger, run.id)
        if run.state not in UNFINISHED and not counts.open_orders and not counts.held:
            raise UsageError(
                f"The run {run.name} is {run.state.value}: nothing of it is left to ask.",
                next_command="coupon-runner run FILE… to start a new one",
            )
        options = remembered(run, request)
        end = end_of(options, clock.wall())
        if options.max_value is not None:
            check_values(values_of(run), missing_by_series(ledger, run.id))
        api = stack.enter_context(api_of(options, place, request.environment))
        preflight = Preflight(api=api, options=options, clock=clock, rehearsal=ledger.rehearsal)
        preflight.knock(list(missing_by_series(ledger, run.id)))
        org, scope = find_org(ledger, run.org), scope_of(ledger, run.scope_id)
        assert org is not None and scope is not None  # noqa: S101, PT018 - a run has both
        moved = check_same_org(ledger, org, scope, api, options)
        stack.enter_context(
            ScopeLock.acquire(
                ledger.path,
                org=run.org_key,
                campaign=run.campaign_key,
                run=run.name,
                shown=run.campaign,
                wall=clock.wall,
            )
        )
        recover_scope(ledger, run.scope_id)
        settle_before_run(ledger, org, run.scope_id, api, options, clock, conversation.note)
        run = _reread(ledger, run)
        _check_not_abandoned(run)
        counts = count_run(ledger, run.id)
        conversation.show_resume(run, counts)
        if counts.open_orders and not options.yes and not conversation.present:
            raise UsageError(f"Nobody is here to agree: add --yes to go on with {run.name}.", add_flags=("--yes",))

        def agree(left: int) -> None:
            if left and not options.yes and not conversation.confirm(f"Go on with {counted(left, 'coupon')}?"):
                raise InputRefused("Not agreed: nothing was sent.")

        _check_again(ledger, run, counts, preflight, conversation, agree)
        if moved:
            record_moved(ledger, run, org, scope, api, clock)
        with conversation.watching() as progress:
            return execute(
                ledger,
                run,
                options=options,
                api=api,
                clock=clock,
                progress=progress,
                conversation=conversation,
                end=end,
            )


def _check_again(
    ledger: LedgerFile,
    run: RunFacts,
    counts: RunCounts,
    preflight: Preflight,
    conversation: Conversation,
    agree: Callable[[int], None],
) -> None:
    """Check the series of what is left: what cannot succeed by now is told and, once all is agreed to, held back.

    Args:
        agree: is told how many coupons are left to issue, and raises when somebody does not want that.

    Raises:
        InputRefused, UsageError: there is something that was not known when the run was agreed to, and nobody is here
            to decide. ApiRefusesAll: credentials, address or request are refused.
    """
    if not counts.open_orders:
        return
    options = preflight.options
    with OpenOrders(ledger, run.id) as orders:
        held_back, findings = preflight.look_again(orders, spent=counts.spent)
        conversation.show_check(run, held_back, findings)
        if options.ignore_preflight:
            agree(counts.missing)
            if held_back or findings.damage:
                clock = preflight.clock
                add_override(ledger, run, override("ignore_preflight", clock), at=clock.wall())
            return
        left = sum(one.missing for one in orders.asked())
        if left:
            agreed = remarks_of_record(run.args.get("preflight"))
            agree_to_findings(findings, options, conversation, rehearsal=ledger.rehearsal, agreed=agreed)
        agree(left)
        if held_back:
            asyncio.run(_hold_back(ledger, run, orders))


async def _hold_back(ledger: LedgerFile, run: RunFacts, orders: OpenOrders) -> None:
    """Close what cannot succeed, for this run: 0 calls, and failed with the reason."""
    async with SqliteLedger(ledger) as live:
        for number, (order, reason) in enumerate(orders.held_back(), start=1):
            live.close_order(run.id, order, reason)
            if number % _CLOSED_AT_ONCE == 0:
                await live.flush()


def abandon_run(name: str, why: str, request: Request, *, clock: Clock) -> Ended:
    """End an unfinished run for good; what it issued and what is in doubt stays as it is.

    Raises:
        UsageError: no such run, or it has ended. LockHeld: a process is running it.
    """
    place = place_of(request.options, request.environment, run=name)
    ledger = open_ledger(place, clock)
    run = find_run(ledger, name)
    if run is None:
        raise UsageError(f"The ledger knows no run {name!r}.", next_command="coupon-runner runs")
    check_run_of_org(run, request, ledger)
    with ScopeLock.acquire(
        ledger.path, org=run.org_key, campaign=run.campaign_key, run=run.name, shown=run.campaign, wall=clock.wall
    ):
        run = _reread(ledger, run)
        if run.state not in UNFINISHED:
            raise UsageError(f"The run {run.name} has ended already ({run.state.value}).")
        abandoned = {**override("abandon", clock), "why": why}
        return finish(ledger, run, options=request.options, clock=clock, abandoned=abandoned)


def deal_with_unfinished(
    ledger: LedgerFile,
    intake: Intake,
    api: Api,
    request: Request,
    clock: Clock,
    conversation: Conversation,
    lock: ScopeLock,
    preflight: Preflight,
) -> Ended | None:
    """The campaign's unfinished run comes first: its rest is issued, or it is abandoned, or this run is refused."""
    if intake.scope is None:
        return None
    unfinished = unfinished_run_of(ledger, intake.scope.id)
    if unfinished is None:
        return None
    counts = count_run(ledger, unfinished.id)
    if not counts.open_orders:
        finish(ledger, unfinished, options=request.options, clock=clock)
        return None
    choice = request.options.unfinished
    if choice is None and intake.of_ours:
        choice = "resume"
    if choice is None and conversation.present and not request.options.yes:
        conversation.show_resume(unfinished, counts)
        choice = conversation.choose(
            "First its rest (resume), never its rest (abandon), or stop here (refuse)", "resume"
        )  # type: ignore[assignment]
    if choice == "refuse":
        raise InputRefused(
            f"The campaign has an unfinished run, {unfinished.name} ({counts.missing:,} coupons left).",
            next_command=f"coupon-runner resume {unfinished.name}",
        )
    if choice == "abandon":
        if intake.of_ours:
            raise UsageError(
                "Lines that we wrote are a part of their campaign and abandon nothing: leave --unfinished out."
            )
        abandoned = {**override("abandon", clock), "why": "--unfinished abandon"}
        finish(ledger, unfinished, options=request.options, clock=clock, abandoned=abandoned)
        return None
    if choice not in (None, "resume"):
        raise UsageError(f"{choice!r} is none of resume, abandon, refuse.")
    options = remembered(unfinished, request)
    end = end_of(options, clock.wall())
    if options.max_value is not None:
        check_values(values_of(unfinished), missing_by_series(ledger, unfinished.id))
    if not (request.options.yes or request.options.plan or conversation.present):
        raise UsageError(
            f"Nobody is here to agree: add --yes to go on with the unfinished run {unfinished.name} first.",
            add_flags=("--yes",),
        )
    conversation.note(f"first the rest of the unfinished run {unfinished.name}: {counts.missing:,} coupons")
    _check_again(ledger, unfinished, counts, replace(preflight, options=options), conversation, lambda _: None)
    lock.name_run(unfinished.name)
    with conversation.watching() as progress:
        ended = execute(
            ledger,
            unfinished,
            options=options,
            api=api,
            clock=clock,
            progress=progress,
            conversation=conversation,
            end=end,
        )
    lock.name_run("")
    if ended.stop is not None:
        raise _StoppedFirst(ended)
    return ended


class _StoppedFirst(UsageError):
    """The unfinished run that came first was stopped: the new file was not begun."""

    def __init__(self, ended: Ended) -> None:
        why = ended.stop.message if ended.stop is not None else "it was stopped"
        super().__init__(
            f"The unfinished run {ended.run.name} comes first and stopped again ({why}); the new file was not begun.",
            next_command=f"coupon-runner resume {ended.run.name}",
        )
        self.exit_code = ended.exit_code


def _check_not_abandoned(run: RunFacts) -> None:
    if run.state is RunState.ABANDONED:
        raise UsageError(
            f"The run {run.name} was abandoned ({run.reason}): nothing more of it is issued.",
            next_command="coupon-runner run FILE… to issue what is still wanted",
        )


def _find_unfinished(ledger: LedgerFile, name: str | None, options: Options) -> RunFacts:
    if name is not None:
        run = find_run(ledger, name)
        if run is None:
            raise UsageError(f"The ledger knows no run {name!r}.", next_command="coupon-runner runs")
        return run
    org = open_org(ledger, options)
    run = newest_run(ledger, org_id=org.id, unfinished=True)
    if run is None:
        raise UsageError(
            f"Nothing to resume: no run of {org.name} is unfinished.", next_command="coupon-runner run FILE…"
        )
    return run


def _reread(ledger: LedgerFile, run: RunFacts) -> RunFacts:
    return find_run(ledger, run.name) or run


def remembered(run: RunFacts, request: Request) -> Options:
    """The options that a run was begun with, under whatever is given now."""
    remembered = {name: value for name, value in run.args.items() if name not in NOT_REMEMBERED}
    remembered["out"] = run.out
    changed = [one["choice"] for one in run.overrides if one.get("what") == Command.SET_RATE]
    if changed:
        remembered["rate"] = changed[-1]
    return resolve({**remembered, **request.flags}, request.environment, request.settings)
