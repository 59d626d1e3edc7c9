"""What was agreed becomes a run of the ledger, compared once more under the organisation's lock."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.locks import OrgLock
from runner.adapters.ledger.runs import RunFacts, find_run, newest_run
from runner.adapters.ledger.scopes import Org, Scope
from runner.adapters.ledger.staged import NewRun, PlanChanged
from runner.adapters.ledger.staging import Staging
from runner.adapters.report_files import prepare_folder
from runner.app.conversation import Conversation, Planned
from runner.app.job_checks import JobAtWork, check_files
from runner.app.place import REHEARSAL, owner_of_process
from runner.app.planning import campaign_of
from runner.core.keys import scope_key
from runner.core.planned import Overlap
from runner.errors import InputRefused
from runner.ports import Clock
from runner.settings import Options


def override(what: str, clock: Clock) -> dict[str, object]:
    """A decision against the ordinary course, as a run records it: what, when, by whom."""
    return {"what": what, "at": clock.wall(), **owner_of_process()}


def load(
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
    campaign = campaign_of(org, intake, scope)
    began = after_the_newest(ledger, clock.wall())
    name = _run_name(intake.campaign, began, rehearsal=ledger.rehearsal)
    new = NewRun(
        name=name,
        started=began,
        args={
            **options.model_dump(mode="json", by_alias=True, exclude_none=True),
            "region": intake.region,
            "phone_format": intake.phone_format,
            "identify_by": list(intake.identify_by),
            **({"series_list": intake.listed.record()} if intake.listed is not None else {}),
            "preflight": planned.preflight.record(planned.plan.held_back),
            **work.args,
        },
        files=list(intake.files),
        owner={**owner_of_process(), "since": clock.wall()},
        out=str(options.out.absolute()),
        overrides=overrides,
    )
    plan = planned.plan
    folder = options.out.absolute() / name
    prepare_folder(folder)
    with _gone_if_not_loaded(folder), OrgLock.acquire(ledger.path, org=org.key, run=name, wall=clock.wall):
        check_files(work, staging, intake, org)  # again: another process may have loaded the same file meanwhile
        for _ in range(10):
            try:
                staging.load(new, campaign, plan)
                break
            except PlanChanged:
                plan = staging.plan(
                    campaign,
                    identify_by=intake.identify_by,
                    duplicates=options.duplicates_rule,
                    overlap=overlap,
                    fall_back=options.fall_back,
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


@contextlib.contextmanager
def _gone_if_not_loaded(folder: Path) -> Iterator[None]:
    """The folder of a run that was not loaded after all goes again, as long as it is empty."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            folder.rmdir()
        raise


def after_the_newest(ledger: LedgerFile, now: float) -> float:
    """When a run begins: now, or just after the ledger's newest run if the clock was set back by less than a day."""
    newest = newest_run(ledger)
    set_back = newest.started - now if newest is not None else 0.0
    return now + set_back + 1.0 if 0.0 < set_back < 86_400.0 else now


def _run_name(campaign: str, at: float, *, rehearsal: bool) -> str:
    """Sorts by time; begins with REHEARSAL where nothing is real."""
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    slug = re.sub(r"[^a-z0-9]+", "-", scope_key(campaign))[:30].strip("-") or "campaign"
    return f"{REHEARSAL + '-' if rehearsal else ''}{stamp}-{slug}-{secrets.token_hex(3)}"
