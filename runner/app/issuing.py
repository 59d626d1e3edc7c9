"""The commands that take files: `plan` says what would be issued, `run` issues it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.locks import ScopeLock
from runner.adapters.ledger.recovery import recover_scope
from runner.adapters.ledger.runs import outs_of_unfinished
from runner.adapters.ledger.scopes import Frozen, Org, find_scope, freeze_scope
from runner.adapters.ledger.staging import Staging
from runner.app.checking import count_problems, write_report
from runner.app.consent import agree
from runner.app.continuity import check_history
from runner.app.conversation import Conversation, Planned, Request
from runner.app.guarding import end_of
from runner.app.input_files import Asker
from runner.app.intake import Intake, take_in
from runner.app.job_checks import check_input, check_plan, job_at_work, notes_of
from runner.app.loading import load, override
from runner.app.lookups import look_up_customers
from runner.app.org_checks import check_same_api, check_same_org
from runner.app.place import Api, Place, api_of, open_ledger, open_org, place_of
from runner.app.planning import campaign_of, planned_of
from runner.app.preflighting import Preflight
from runner.app.probing import probe_customers
from runner.app.resuming import deal_with_unfinished
from runner.app.running import Ended, execute
from runner.app.settling import settle_before_run
from runner.core.identity import IDENTITY_VERSION
from runner.core.keys import scope_key
from runner.core.planned import Overlap
from runner.errors import InputRefused, NotNow
from runner.ports import Clock
from runner.settings import Options


def plan_files(paths: Sequence[Path], request: Request, *, clock: Clock, conversation: Conversation) -> Planned:
    """Read, validate and compare; send nothing and change nothing.

    Raises:
        UsageError, InputRefused and their kin: as the errors say.
    """
    options = request.options
    try:
        end_of(options, clock.wall())
    except NotNow as error:
        conversation.note(f"a run that began now would send nothing (exit 75): {error.message}")
    place = place_of(options, request.environment)
    with ExitStack() as stack:
        ledger, api = _open(stack, place, options, request, clock)
        org = open_org(ledger, options)
        preflight = Preflight(api=api, options=options, clock=clock, rehearsal=ledger.rehearsal)
        preflight.knock(options.series)
        staging = stack.enter_context(Staging(ledger, reissue_revoked=options.reissue_revoked))
        intake = take_in(paths, staging, ledger=ledger, org=org, options=options, asker=_asker(conversation))
        check_same_org(ledger, org, intake.scope, api, options)
        check_same_api(ledger, org.name, api, options)
        work = job_at_work(request.job, staging, intake, options, request.flags)
        check_input(work, staging, intake, org)
        check_plan(work, staging, campaign_of(org, intake, intake.scope), org, options, intake)
        _look_up(staging, intake, org, api, options, clock, conversation)
        plan = staging.plan(
            campaign_of(org, intake, intake.scope),
            identify_by=intake.identify_by,
            duplicates=options.duplicates_rule,
            overlap=options.overlap_rule,
            fall_back=options.fall_back,
        )
        for note in notes_of(work, staging):
            conversation.note(note)
        plan, findings = preflight.look(staging, plan)
        planned = planned_of(plan, findings, intake, org, ledger, api, options)
        found = count_problems(staging, options)
        if options.probe and not ledger.rehearsal:
            probe = probe_customers(staging, api=api, options=options, clock=clock, note=conversation.note)
            found = replace(found, probe=probe)
        found, problem = write_report(replace(planned, check=found), staging, options, clock, unattended=True)
        if problem is not None:
            conversation.note(problem)
        return replace(planned, check=found)


def run_files(
    paths: Sequence[Path], request: Request, *, clock: Clock, conversation: Conversation
) -> tuple[Planned, Ended]:
    """Plan, get consent, load, issue, report.

    Raises:
        UsageError, InputRefused, LockHeld, Fatal and their kin: as the errors say.
    """
    options = request.options
    end = end_of(options, clock.wall())
    place = place_of(options, request.environment)
    with ExitStack() as stack:
        ledger, api = _open(stack, place, options, request, clock)
        org = open_org(ledger, options)
        check_history(ledger, org.key, options.out, *map(Path, outs_of_unfinished(ledger, org.id)))
        preflight = Preflight(api=api, options=options, clock=clock, rehearsal=ledger.rehearsal)
        preflight.knock(options.series)
        staging = stack.enter_context(Staging(ledger, reissue_revoked=options.reissue_revoked))
        intake = take_in(paths, staging, ledger=ledger, org=org, options=options, asker=_asker(conversation))
        overrides = [{**override(str(one["what"]), clock), **one} for one in intake.overrides]
        if check_same_org(ledger, org, intake.scope, api, options):
            overrides.append(override("same_org", clock))
        if check_same_api(ledger, org.name, api, options):
            overrides.append(override("same_api", clock))
        work = job_at_work(request.job, staging, intake, options, request.flags)
        lock = stack.enter_context(
            ScopeLock.acquire(
                ledger.path, org=org.key, campaign=scope_key(intake.campaign), shown=intake.campaign, wall=clock.wall
            )
        )
        if intake.scope is None and find_scope(ledger, org, intake.campaign) is not None:
            raise InputRefused(
                f"Another process has just begun the campaign {intake.campaign!r}: run this again, so that it is"
                " compared."
            )
        if intake.scope is not None:
            recover_scope(ledger, intake.scope.id)
        own = intake.scope.id if intake.scope is not None else None
        settle_before_run(ledger, org, own, api, options, clock, conversation.note)
        if check_input(work, staging, intake, org):
            overrides.append(override("same_file", clock))
        check_plan(work, staging, campaign_of(org, intake, intake.scope), org, options, intake)
        resumed = None
        if intake.scope is not None:
            resumed = deal_with_unfinished(ledger, intake, api, request, clock, conversation, lock, preflight)
        _look_up(staging, intake, org, api, options, clock, conversation)
        planned, overlap = agree(staging, preflight, intake, org, ledger, api, options, clock, conversation)
        for note in notes_of(work, staging):
            conversation.note(note)
        frozen = Frozen(
            url=api.url,
            credentials=api.fingerprint,
            identity_version=IDENTITY_VERSION,
            identify_by=intake.identify_by,
            region=intake.region,
            mapping=intake.mapping,
        )
        if planned.plan.overlaps and overlap is Overlap.ALLOW:
            overrides.append(override("overlap", clock))
        if planned.plan.replaced:
            overrides.append(override("reissue_revoked", clock))
        if options.ignore_preflight and (planned.plan.held_back or planned.preflight.damage):
            overrides.append(override("ignore_preflight", clock))
        scope = freeze_scope(ledger, org, intake.campaign, frozen, at=clock.wall())
        run = load(staging, planned, scope, org, ledger, options, overlap, overrides, clock, conversation, work)
        lock.name_run(run.name)
        staging.close()  # a run may take days; what was staged is loaded
        with conversation.watching() as progress:
            ended = execute(
                ledger,
                run,
                options=options,
                api=api,
                clock=clock,
                progress=progress,
                conversation=conversation,
                end=end,
            )
        return planned, replace(ended, resumed=resumed)


def _open(stack: ExitStack, place: Place, options: Options, request: Request, clock: Clock) -> tuple[LedgerFile, Api]:
    """The ledger and the API of a command that plans. A rehearsal's API first, since `--fresh` forgets its ledger."""
    if place.rehearsal:
        api = stack.enter_context(api_of(options, place, request.environment))
        return open_ledger(place, clock), api
    return open_ledger(place, clock), stack.enter_context(api_of(options, place, request.environment))


def _asker(conversation: Conversation) -> Asker:
    return Asker(choose=conversation.choose if conversation.present else None)


def _look_up(
    staging: Staging, intake: Intake, org: Org, api: Api, options: Options, clock: Clock, conversation: Conversation
) -> None:
    look_up_customers(
        staging,
        campaign_of(org, intake, intake.scope),
        identify_by=intake.identify_by,
        api=api,
        options=options,
        clock=clock,
        note=conversation.note,
    )
