"""The commands that plan and issue: plan, run, resume, abandon."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.locks import OrgLock, ScopeLock
from runner.adapters.ledger.recovery import recover_scope
from runner.adapters.ledger.runs import (
    UNFINISHED,
    RunCounts,
    RunFacts,
    RunState,
    count_run,
    find_run,
    issued_by_series,
    newest_run,
    set_run_state,
    unfinished_run_of,
)
from runner.adapters.ledger.scopes import Frozen, Org, Scope, find_org, find_scope, freeze_scope, newest_scope, scope_of
from runner.adapters.ledger.staging import Campaign, NewRun, PlanChanged, Staging
from runner.app.continuity import check_history
from runner.app.input_files import Asker
from runner.app.intake import Intake, take_in
from runner.app.job_checks import JobAtWork, check_files, check_input, check_plan, job_at_work, notes_of
from runner.app.lookups import look_up_customers
from runner.app.place import (
    REHEARSAL,
    Api,
    Place,
    open_ledger,
    open_org,
    owner_of_process,
    place_of,
    real_api,
    rehearsal_api,
)
from runner.app.running import Ended, execute, finish
from runner.core.guards import short_of
from runner.core.identity import IDENTITY_VERSION
from runner.core.jobspec import DatedJob
from runner.core.keys import scope_key
from runner.core.planning import Overlap, Plan
from runner.errors import InputRefused, UsageError
from runner.ports import Beat, Clock, Progress
from runner.settings import Options, resolve

NOT_REMEMBERED = frozenset(
    {"yes", "plan", "fresh", "same_org", "json", "progress", "unfinished", "limit", "job", "series_list"}
)
"""Options that belong to one execution and are not taken over by `resume`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan as it is shown. `code`: consent to exactly this. `unfinished`: the campaign's run that comes first.

    `short`: by how many coupons the list's limits of series fall short of what is to be issued.
    """

    plan: Plan
    code: str
    intake: Intake
    org: Org
    rehearsal: bool
    unfinished: RunFacts | None
    rate: str | None
    cap: int | None
    concurrency: int
    short: Mapping[int, int]


class Conversation:
    """What the commands say to and ask of a person; the command line implements it. Nobody there.

    `present` is False.
    """

    present: bool = False

    def show_plan(self, planned: Planned) -> None:
        """Show what a run would do."""

    def show_resume(self, run: RunFacts, counts: RunCounts) -> None:
        """Show what is left of an unfinished run, and whose it is."""

    def note(self, sentence: str) -> None:
        """Say something worth a line."""

    def confirm(self, question: str) -> bool:
        """Yes or no; only asked when somebody is present."""
        del question
        return False

    def choose(self, question: str, suggestion: str) -> str:
        """A word; only asked when somebody is present."""
        del question
        return suggestion

    @contextmanager
    def watching(self) -> Iterator[Progress]:
        """Watch a run while it is live."""
        yield _Unwatched()


class _Unwatched:
    def beat(self, beat: Beat) -> None:
        """Nobody watches."""

    def say(self, message: str) -> None:
        """Nobody listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A command as it came: the flags given, the environment, the settings file, and the options that they make.

    `job`: of `--job`, for its date.
    """

    options: Options
    flags: Mapping[str, Any]
    environment: Mapping[str, str]
    settings: Path
    job: DatedJob | None = None


def plan_files(paths: Sequence[Path], request: Request, *, clock: Clock, conversation: Conversation) -> Planned:
    """Read, validate and compare; send nothing and change nothing.

    Raises:
        UsageError, InputRefused and their kin: as the errors say.
    """
    options = request.options
    place = place_of(options, request.environment)
    with ExitStack() as stack:
        ledger, api = _open(stack, place, options, request, clock)
        org = open_org(ledger, options)
        staging = stack.enter_context(Staging(ledger))
        intake = take_in(paths, staging, ledger=ledger, org=org, options=options, asker=_asker(conversation))
        _check_same_org(ledger, org, intake.scope, api, options)
        work = job_at_work(request.job, staging, intake, options, request.flags)
        check_input(work, staging, intake, org)
        check_plan(work, staging, _campaign(org, intake, intake.scope), org, options, intake)
        _look_up(staging, intake, org, api, options, clock, conversation)
        plan = staging.plan(
            _campaign(org, intake, intake.scope),
            identify_by=intake.identify_by,
            duplicates=options.duplicates_rule,
            overlap=options.overlap_rule,
        )
        for note in notes_of(work, staging):
            conversation.note(note)
        return _planned(plan, intake, org, ledger, api, options)


def run_files(
    paths: Sequence[Path], request: Request, *, clock: Clock, conversation: Conversation
) -> tuple[Planned, Ended]:
    """Plan, get consent, load, issue, report.

    Raises:
        UsageError, InputRefused, LockHeld, Fatal and their kin: as the errors say.
    """
    options = request.options
    place = place_of(options, request.environment)
    with ExitStack() as stack:
        ledger, api = _open(stack, place, options, request, clock)
        org = open_org(ledger, options)
        check_history(ledger, org.key, options.out)
        staging = stack.enter_context(Staging(ledger))
        intake = take_in(paths, staging, ledger=ledger, org=org, options=options, asker=_asker(conversation))
        overrides = [{**_override(str(one["what"]), clock), **one} for one in intake.overrides]
        if _check_same_org(ledger, org, intake.scope, api, options):
            overrides.append(_override("same_org", clock))
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
        if check_input(work, staging, intake, org):
            overrides.append(_override("same_file", clock))
        check_plan(work, staging, _campaign(org, intake, intake.scope), org, options, intake)
        resumed = None
        if intake.scope is not None:
            resumed = _deal_with_unfinished(ledger, intake, api, request, clock, conversation)
        _look_up(staging, intake, org, api, options, clock, conversation)
        planned, overlap = _agree(staging, intake, org, ledger, api, options, conversation)
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
            overrides.append(_override("overlap", clock))
        scope = freeze_scope(ledger, org, intake.campaign, frozen, at=clock.wall())
        run = _load(staging, planned, scope, org, ledger, options, overlap, overrides, clock, conversation, work)
        lock.name_run(run.name)
        staging.close()  # a run may take days; what was staged is loaded
        with conversation.watching() as progress:
            ended = execute(ledger, run, options=options, api=api, clock=clock, progress=progress)
        return planned, replace(ended, resumed=resumed)


def resume_run(name: str | None, request: Request, *, clock: Clock, conversation: Conversation) -> Ended:
    """Go on with an unfinished run, without its file.

    Raises:
        UsageError: there is nothing to resume, the run was abandoned, nobody consents, or the address or credentials
            changed. ForeignLedger: the ledger is an older copy. LockHeld: another process is at it.
    """
    place = place_of(request.options, request.environment, run=name)
    with ExitStack() as stack:
        ledger = open_ledger(place, clock)
        run = _find_unfinished(ledger, name, request.options)
        _check_not_abandoned(run)
        check_history(ledger, run.org_key, Path(run.out))
        counts = count_run(ledger, run.id)
        if run.state not in UNFINISHED and not counts.open_orders:
            raise UsageError(
                f"The run {run.name} is {run.state.value}: nothing of it is left to ask.",
                next_command="coupon-runner run FILE… to start a new one",
            )
        options = _remembered(run, request)
        api = _api_of(stack, place, options, request)
        org, scope = find_org(ledger, run.org), scope_of(ledger, run.scope_id)
        assert org is not None and scope is not None  # noqa: S101, PT018 - a run has both
        moved = _check_same_org(ledger, org, scope, api, options)
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
        run = _reread(ledger, run)
        _check_not_abandoned(run)
        counts = count_run(ledger, run.id)
        conversation.show_resume(run, counts)
        if not options.yes and counts.open_orders:
            if not conversation.present:
                raise UsageError(f"Nobody is here to agree: add --yes to go on with {run.name}.", add_flags=("--yes",))
            if not conversation.confirm(f"Go on with {counts.missing:,} coupons?"):
                raise InputRefused("Not agreed: nothing was sent.")
        if moved:
            _record_moved(ledger, run, org, scope, api, clock)
        with conversation.watching() as progress:
            return execute(ledger, run, options=options, api=api, clock=clock, progress=progress)


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
    with ScopeLock.acquire(
        ledger.path, org=run.org_key, campaign=run.campaign_key, run=run.name, shown=run.campaign, wall=clock.wall
    ):
        run = _reread(ledger, run)
        if run.state not in UNFINISHED:
            raise UsageError(f"The run {run.name} has ended already ({run.state.value}).")
        ended = finish(ledger, run, options=request.options, clock=clock)
        set_run_state(
            ledger,
            run,
            RunState.ABANDONED,
            at=clock.wall(),
            exit_code=ended.exit_code,
            exit_codes=ended.codes,
            reason=why,
            override={**_override("abandon", clock), "why": why},
        )
        return ended


# ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _open(stack: ExitStack, place: Place, options: Options, request: Request, clock: Clock) -> tuple[LedgerFile, Api]:
    """The ledger and the API of a command that plans. A rehearsal's API first, since `--fresh` forgets its ledger."""
    if place.rehearsal:
        api = stack.enter_context(rehearsal_api(options, place))
        return open_ledger(place, clock), api
    return open_ledger(place, clock), real_api(options, request.environment)


def _asker(conversation: Conversation) -> Asker:
    return Asker(choose=conversation.choose if conversation.present else None)


def _campaign(org: Org, intake: Intake, scope: Scope | None) -> Campaign:
    return Campaign(
        org_key=org.key,
        campaign_key=scope_key(intake.campaign),
        org_id=org.id,
        scope_id=scope.id if scope is not None else None,
    )


def _look_up(
    staging: Staging, intake: Intake, org: Org, api: Api, options: Options, clock: Clock, conversation: Conversation
) -> None:
    look_up_customers(
        staging,
        _campaign(org, intake, intake.scope),
        identify_by=intake.identify_by,
        api=api,
        options=options,
        clock=clock,
        note=conversation.note,
    )


def _override(what: str, clock: Clock) -> dict[str, object]:
    return {"what": what, "at": clock.wall(), **owner_of_process()}


def _check_same_org(ledger: LedgerFile, org: Org, scope: Scope | None, api: Api, options: Options) -> bool:
    """Whether `--same-org` was needed.

    The address or the credentials are not those that the org was last reached by.
    """
    if ledger.rehearsal:
        return False
    last = scope if scope is not None and scope.runs else newest_scope(ledger, org)
    if last is None or (last.url == api.url and last.credentials == api.fingerprint):
        return False
    what = [
        word
        for word, changed in (("address", last.url != api.url), ("credentials", last.credentials != api.fingerprint))
        if changed
    ]
    if not options.same_org:
        raise UsageError(
            f"The {' and the '.join(what)} of the API changed since the last run of {org.name} ({last.url} "
            f"before, {api.url} now)."
            " If these are still the same organisation's customers, say so with --same-org; else use another --org."
        )
    return True


def _record_moved(ledger: LedgerFile, run: RunFacts, org: Org, scope: Scope, api: Api, clock: Clock) -> None:
    """The campaign goes on elsewhere or as somebody else, and a person answers for it with `--same-org`."""
    frozen = Frozen(
        url=api.url,
        credentials=api.fingerprint,
        identity_version=scope.identity_version,
        identify_by=scope.identify_by,
        region=scope.region,
        mapping=scope.mapping,
    )
    freeze_scope(ledger, org, scope.campaign, frozen, at=clock.wall())
    set_run_state(ledger, run, RunState.RUNNING, at=clock.wall(), override=_override("same_org", clock))


def _check_not_abandoned(run: RunFacts) -> None:
    if run.state is RunState.ABANDONED:
        raise UsageError(
            f"The run {run.name} was abandoned ({run.reason}): nothing more of it is issued.",
            next_command="coupon-runner run FILE… to issue what is still wanted",
        )


def _planned(plan: Plan, intake: Intake, org: Org, ledger: LedgerFile, api: Api, options: Options) -> Planned:
    rate = options.parsed_rate(loopback=api.loopback)
    return Planned(
        plan=plan,
        code=_plan_code(plan, intake, org, ledger, api, options),
        intake=intake,
        org=org,
        rehearsal=ledger.rehearsal,
        unfinished=unfinished_run_of(ledger, intake.scope.id) if intake.scope is not None else None,
        rate=options.rate if options.rate is not None else ("100/m" if rate is not None else None),
        cap=options.max_coupons,
        concurrency=options.concurrency,
        short=_short(plan, intake, ledger),
    )


def _short(plan: Plan, intake: Intake, ledger: LedgerFile) -> dict[int, int]:
    limits = intake.listed.series.limits if intake.listed is not None else {}
    issued = issued_by_series(ledger, intake.scope.id) if limits and intake.scope is not None else {}
    return short_of(limits, issued, {one.series: one.missing for one in plan.series})


def _plan_code(plan: Plan, intake: Intake, org: Org, ledger: LedgerFile, api: Api, options: Options) -> str:
    """Covers the files' bytes, all resolved options, caps, and every order with its target and what is missing."""
    resolved = options.model_dump(
        mode="json",
        by_alias=True,
        exclude={
            *("yes", "plan", "fresh", "json_output", "progress", "out", "reports"),
            *("sheet", "hidden", "series_file"),  # what came of them, told or asked, is covered below
        },
    )
    content = {
        "files": [[file["sha256"], file["sheet"]] for file in intake.files],
        "hidden": intake.hidden,
        "series_list": intake.listed.record() if intake.listed is not None else None,
        "org": org.key,
        "campaign": scope_key(intake.campaign),
        "identify_by": list(intake.identify_by),
        "region": intake.region,
        "mapping": intake.mapping,
        "url": "" if ledger.rehearsal else api.url,
        "options": resolved,
        "ledger": ledger.ledger_id,
        "totals": [plan.rows, plan.rejected, plan.orders, plan.target, plan.missing, plan.skipped],
        "overlaps": [[one.where, one.orders] for one in plan.overlaps],
        "orders": plan.digest,
    }
    digest = blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=5).hexdigest()
    return f"{REHEARSAL if ledger.rehearsal else 'plan'}-{digest}"


def _deal_with_unfinished(
    ledger: LedgerFile,
    intake: Intake,
    api: Api,
    request: Request,
    clock: Clock,
    conversation: Conversation,
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
        finish(ledger, unfinished, options=request.options, clock=clock)
        override = {**_override("abandon", clock), "why": "--unfinished abandon"}
        set_run_state(
            ledger, unfinished, RunState.ABANDONED, at=clock.wall(), reason="--unfinished abandon", override=override
        )
        return None
    if choice not in (None, "resume"):
        raise UsageError(f"{choice!r} is none of resume, abandon, refuse.")
    options = _remembered(unfinished, request)
    if not (request.options.yes or request.options.plan or conversation.present):
        raise UsageError(
            f"Nobody is here to agree: add --yes to go on with the unfinished run {unfinished.name} first.",
            add_flags=("--yes",),
        )
    conversation.note(f"first the rest of the unfinished run {unfinished.name}: {counts.missing:,} coupons")
    with conversation.watching() as progress:
        ended = execute(ledger, unfinished, options=options, api=api, clock=clock, progress=progress)
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


def _agree(
    staging: Staging,
    intake: Intake,
    org: Org,
    ledger: LedgerFile,
    api: Api,
    options: Options,
    conversation: Conversation,
) -> tuple[Planned, Overlap]:
    """Plan, settle the question of overlap, show, and get consent."""
    overlap = options.overlap_rule
    campaign = _campaign(org, intake, intake.scope)

    def decide(rule: Overlap) -> Planned:
        plan = staging.plan(campaign, identify_by=intake.identify_by, duplicates=options.duplicates_rule, overlap=rule)
        return _planned(plan, intake, org, ledger, api, options)

    planned = decide(overlap)
    if planned.plan.rows == planned.plan.rejected:
        conversation.show_plan(planned)
        raise InputRefused("No row of the input is valid: nothing was sent. Correct the rows and run again.")
    conversation.show_plan(planned)
    if planned.plan.overlaps and overlap in (Overlap.ASK, Overlap.REFUSE):
        if overlap is Overlap.REFUSE or not conversation.present or options.plan is not None:
            count = sum(one.orders for one in planned.plan.overlaps)
            forget = ", or forget earlier rehearsals with --fresh" if planned.rehearsal else ""
            raise InputRefused(
                f"{count:,} orders are of customers who hold the same series from another campaign of {org.name}"
                " already (listed above). Decide with --overlap skip (leave them out) or --overlap allow (issue again)"
                f"{forget}; nothing was sent.",
                add_flags=("--overlap", "skip"),
            )
        answer = conversation.choose("These customers hold the series already: skip, allow or refuse", "skip")
        if answer not in (Overlap.SKIP, Overlap.ALLOW):
            raise InputRefused("Overlap refused: nothing was sent.")
        overlap = Overlap(answer)
        planned = decide(overlap)
        conversation.show_plan(planned)
    _consent(planned, options, conversation)
    return planned, overlap


def _consent(planned: Planned, options: Options, conversation: Conversation) -> None:
    if options.plan is not None:
        if options.plan != planned.code:
            raise InputRefused(
                f"The plan {options.plan} is stale: file, options, ledger or series are no longer what was planned"
                f" (now: {planned.code}). Look at the new plan; nothing was sent."
            )
        return
    if not planned.plan.missing:
        return
    if conversation.present:
        if options.yes or conversation.confirm(f"Issue {planned.plan.missing:,} coupons to {_customers(planned)}?"):
            return
        raise InputRefused("Not agreed: nothing was sent.")
    if not options.yes:
        raise UsageError(
            "Nobody is here to agree: add --yes and --max-coupons N, or --plan CODE from `coupon-runner plan`.",
            add_flags=("--plan", planned.code),
        )
    if options.max_coupons is None and not planned.rehearsal:
        raise UsageError(
            f"Without a terminal --yes needs a cap: add --max-coupons N (the plan issues {planned.plan.missing:,}),"
            " or max_coupons under [guards] of a job, or use --plan CODE.",
            add_flags=("--max-coupons", str(planned.plan.missing)),
        )


def _customers(planned: Planned) -> str:
    orders = sum(one.orders for one in planned.plan.series)
    return f"{orders:,} orders" if orders != 1 else "1 order"


def _load(
    staging: Staging,
    planned: Planned,
    scope: Scope,
    org: Org,
    ledger: LedgerFile,
    options: Options,
    overlap: Overlap,
    overrides: list[dict[str, object]],
    clock: Clock,
    conversation: Conversation,
    work: JobAtWork,
) -> RunFacts:
    """Load what was agreed. Comparing and loading are one step per org.

    If anything moved since, it is compared again.
    """
    intake = planned.intake
    campaign = _campaign(org, intake, scope)
    name = _run_name(intake.campaign, clock.wall(), rehearsal=ledger.rehearsal)
    new = NewRun(
        name=name,
        started=clock.wall(),
        args={
            **options.model_dump(mode="json", by_alias=True, exclude_none=True),
            "region": intake.region,
            "identify_by": list(intake.identify_by),
            **({"series_list": intake.listed.record()} if intake.listed is not None else {}),
            **work.args,
        },
        files=list(intake.files),
        owner={**owner_of_process(), "since": clock.wall()},
        out=str(options.out.absolute()),
        overrides=overrides,
    )
    plan = planned.plan
    with OrgLock.acquire(ledger.path, org=org.key, run=name, wall=clock.wall):
        check_files(work, staging, intake, org)  # again: another process may have loaded the same file meanwhile
        for _ in range(10):
            try:
                staging.load(new, campaign, plan)
                break
            except PlanChanged:
                plan = staging.plan(
                    campaign, identify_by=intake.identify_by, duplicates=options.duplicates_rule, overlap=overlap
                )
            if (plan.digest, plan.overlaps) != (planned.plan.digest, planned.plan.overlaps):
                raise InputRefused(
                    "While the plan was being agreed on, another run changed what it would issue. Look at the "
                    "new plan and"
                    " agree again; nothing was sent."
                )
        else:
            raise InputRefused("Customers kept changing while the file was being loaded; nothing was sent. Run again.")
    conversation.note(f"run {name}")
    run = find_run(ledger, name)
    assert run is not None  # noqa: S101 - loaded above
    return run


def _run_name(campaign: str, at: float, *, rehearsal: bool) -> str:
    """Sorts by time; begins with REHEARSAL where nothing is real."""
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    slug = re.sub(r"[^a-z0-9]+", "-", scope_key(campaign))[:30].strip("-") or "campaign"
    return f"{REHEARSAL + '-' if rehearsal else ''}{stamp}-{slug}-{secrets.token_hex(3)}"


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


def _remembered(run: RunFacts, request: Request) -> Options:
    """The options that a run was begun with, under whatever is given now."""
    remembered = {name: value for name, value in run.args.items() if name not in NOT_REMEMBERED}
    remembered["out"] = run.out
    return resolve({**remembered, **request.flags}, request.environment, request.settings)


def _api_of(stack: ExitStack, place: Place, options: Options, request: Request) -> Api:
    if place.rehearsal:
        return stack.enter_context(rehearsal_api(options, place))
    return real_api(options, request.environment)
