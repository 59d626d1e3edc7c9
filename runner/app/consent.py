"""Consent to a plan: shown, asked, or covered by `--yes` and a cap, or by a code that stands for exactly this plan."""

from __future__ import annotations

from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.scopes import Org
from runner.adapters.ledger.staging import Staging
from runner.app.conversation import Conversation, Planned
from runner.app.intake import Intake
from runner.app.place import Api
from runner.app.planning import campaign_of, planned_of
from runner.core.planning import Overlap
from runner.errors import InputRefused, UsageError
from runner.settings import Options


def agree(
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
    campaign = campaign_of(org, intake, intake.scope)

    def decide(rule: Overlap) -> Planned:
        plan = staging.plan(campaign, identify_by=intake.identify_by, duplicates=options.duplicates_rule, overlap=rule)
        return planned_of(plan, intake, org, ledger, api, options)

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
