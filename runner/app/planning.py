"""A plan as it is shown and agreed on, with the code that stands for exactly this plan."""

from __future__ import annotations

from hashlib import blake2b

import orjson

from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.history import seconds_a_call
from runner.adapters.ledger.runs import issued_by_series, unfinished_run_of
from runner.adapters.ledger.scopes import Org, Scope
from runner.adapters.ledger.staged import Campaign
from runner.app.conversation import Planned
from runner.app.intake import Intake
from runner.app.place import REHEARSAL, Api
from runner.core.forecast import Ahead, answers_per_second
from runner.core.guards import short_of
from runner.core.keys import scope_key
from runner.core.pacing import Rate, tills_refused, write_rate
from runner.core.plan import Plan
from runner.core.preflight import Findings
from runner.settings import Options


def campaign_of(org: Org, intake: Intake, scope: Scope | None) -> Campaign:
    """What the staged input is planned for. `scope`: None while the ledger does not know the campaign."""
    return Campaign(
        org_key=org.key,
        campaign_key=scope_key(intake.campaign),
        org_id=org.id,
        scope_id=scope.id if scope is not None else None,
    )


def planned_of(
    plan: Plan, findings: Findings, intake: Intake, org: Org, ledger: LedgerFile, api: Api, options: Options
) -> Planned:
    """What is shown of a plan, with its code."""
    rate, limit = options.parsed_rate(loopback=api.loopback), options.key_limit(loopback=api.loopback)
    return Planned(
        plan=plan,
        code=_plan_code(plan, findings, intake, org, ledger, api, options),
        intake=intake,
        org=org,
        rehearsal=ledger.rehearsal,
        unfinished=unfinished_run_of(ledger, intake.scope.id) if intake.scope is not None else None,
        rate=write_rate(rate) if rate is not None else options.rate,
        pace_advice=tills_refused(plan.calls, limit, rate) if options.leave is None and not api.loopback else "",
        cap=options.max_coupons,
        concurrency=options.concurrency,
        short=_short(plan, intake, ledger),
        preflight=findings,
        ahead=_ahead(plan, rate, ledger, api, options),
        options=options,
    )


def _ahead(plan: Plan, rate: Rate | None, ledger: LedgerFile, api: Api, options: Options) -> Ahead:
    """How fast the plan's calls can go: by the pace, and by how long calls to this API took of late."""
    pace = rate.calls / rate.window_seconds if rate is not None else None
    return Ahead(
        calls=plan.calls,
        pace_per_second=pace,
        answers_per_second=answers_per_second(
            concurrency=options.concurrency,
            latency_seconds=seconds_a_call(ledger, None if ledger.rehearsal else api.url),
            pace_per_second=pace,
            calls=0,
            seconds=0.0,
        ),
    )


def _short(plan: Plan, intake: Intake, ledger: LedgerFile) -> dict[int, int]:
    limits = intake.listed.series.limits if intake.listed is not None else {}
    issued = issued_by_series(ledger, intake.scope.id) if limits and intake.scope is not None else {}
    return short_of(limits, issued, {one.series: one.missing for one in plan.series})


def _plan_code(
    plan: Plan, findings: Findings, intake: Intake, org: Org, ledger: LedgerFile, api: Api, options: Options
) -> str:
    """Covers the files' bytes, all resolved options, caps, and every order with its target and what is missing."""
    resolved = options.model_dump(
        mode="json",
        by_alias=True,
        exclude={
            *("yes", "plan", "fresh", "json_output", "progress", "out", "reports", "probe", "messages_ok"),
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
        "phone_format": intake.phone_format,
        "mapping": intake.mapping,
        "url": "" if ledger.rehearsal else api.url,
        "options": resolved,
        "ledger": ledger.ledger_id,
        "totals": [plan.rows, plan.rejected, plan.orders, plan.target, plan.missing, plan.skipped],
        "overlaps": [[one.where, one.orders] for one in plan.overlaps],
        "orders": plan.digest,
        "preflight": findings.code_parts(),
    }
    digest = blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=5).hexdigest()
    return f"{REHEARSAL if ledger.rehearsal else 'plan'}-{digest}"
