"""Consent to a plan: shown, asked, or covered by `--yes` and a cap, or by a code that stands for exactly this plan."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.scopes import Org
from runner.adapters.ledger.staging import Staging
from runner.app.checking import count_problems, refuse_too_many, report_of_refused
from runner.app.conversation import Conversation, Planned
from runner.app.guarding import check_values, face_values
from runner.app.intake import Intake
from runner.app.place import Api
from runner.app.planning import campaign_of, planned_of
from runner.app.preflighting import Preflight
from runner.core.planned import Overlap
from runner.core.preflight import Findings, Why
from runner.errors import InputRefused, UsageError
from runner.ports import Clock
from runner.settings import Options


def agree(
    staging: Staging,
    preflight: Preflight,
    intake: Intake,
    org: Org,
    ledger: LedgerFile,
    api: Api,
    options: Options,
    clock: Clock,
    conversation: Conversation,
) -> tuple[Planned, Overlap]:
    """Plan, settle the question of overlap, show, and get consent."""
    overlap = options.overlap_rule
    campaign = campaign_of(org, intake, intake.scope)

    def decide(rule: Overlap) -> Planned:
        plan = staging.plan(
            campaign,
            identify_by=intake.identify_by,
            duplicates=options.duplicates_rule,
            overlap=rule,
            fall_back=options.fall_back,
        )
        plan, findings = preflight.look(staging, plan)
        planned = planned_of(plan, findings, intake, org, ledger, api, options)
        return replace(planned, check=count_problems(staging, options))

    planned = decide(overlap)
    if planned.plan.rows == planned.plan.rejected:
        conversation.show_plan(planned)
        report = report_of_refused(planned, staging, options, clock)
        raise InputRefused(f"No row of the input is valid: nothing was sent.{report} Correct the rows and run again.")
    conversation.show_plan(planned)
    refuse_too_many(planned, staging, options, clock, present=conversation.present)
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
    check_value(planned, options)
    _consent(planned, options, conversation)
    return planned, overlap


def check_value(planned: Planned, options: Options) -> None:
    """`--max-value` bounds what a plan issues only where every series has a value. Raises `UsageError`."""
    if options.max_value is not None:
        listed = planned.intake.listed
        values = face_values(listed.series.values if listed is not None else {}, planned.preflight.money)
        check_values(values, [one.series for one in planned.plan.series if one.missing])


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
    agree_to_findings(planned.preflight, options, conversation, rehearsal=planned.rehearsal)
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


def agree_to_findings(
    findings: Findings,
    options: Options,
    conversation: Conversation,
    *,
    rehearsal: bool,
    agreed: Collection[tuple[int, str]] = (),
) -> None:
    """What the check before a run found is agreed to at the terminal, or by a flag: never by silence.

    Args:
        agreed: series and reasons that were known, and agreed to, when the run was begun.

    Raises:
        InputRefused, UsageError: somebody has to decide, and nobody is here.
    """
    attended = conversation.present and not options.yes
    damage = [one for one in findings.damage if (one.series, one.why.value) not in agreed]
    if damage and not attended and not options.ignore_preflight:
        found = "; ".join(f"series {one.series}: {one.sentence}" for one in damage)
        raise InputRefused(
            f"Some customers would go without: {found}. Nothing was sent. Mend the series, or say --ignore-preflight to"
            " issue as far as it goes.",
            add_flags=("--ignore-preflight",),
        )
    messages = [number for number in findings.messages if (number, Why.MESSAGES.value) not in agreed]
    if messages and not attended and not rehearsal and not options.messages_ok and options.between is None:
        which = ", ".join(map(str, messages))
        raise UsageError(
            f"Series {which} {'sends' if len(messages) == 1 else 'send'} each customer a message with her coupon, at"
            " whatever hour this runs: say when that may be (--between 09:00-21:00 with --timezone), or that any hour"
            " will do (--messages-ok, or messages_ok under [guards] of a job). Nothing was sent.",
            add_flags=("--messages-ok",),
        )


def _customers(planned: Planned) -> str:
    orders = sum(one.orders for one in planned.plan.series)
    return f"{orders:,} orders" if orders != 1 else "1 order"
