"""What old reports on disk tell an older copy of the ledger of the calls that it has forgotten."""

from __future__ import annotations

from collections.abc import Sequence

from runner.adapters.ledger import lost_calls
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.lost_calls import FoundCall, record_found
from runner.adapters.ledger.scopes import Frozen, Org, Scope, find_scope, freeze_scope, newest_scope
from runner.adapters.old_reports import OldCoupon, OldReport
from runner.app.place import Api
from runner.core.identity import IDENTITY_VERSION, read_identifier
from runner.core.keys import scope_key
from runner.core.model import Coupon, Identifier, Kind
from runner.core.recovering import LATER_STATES, Problem, read_call_key
from runner.settings import Options


def take_report(
    ledger: LedgerFile, org: Org, report: OldReport, api: Api | None, options: Options, at: float
) -> tuple[int, list[Problem]]:
    """Record what a report on disk tells of calls that the ledger does not know: orders, coupons, doubts.

    Returns:
        How many coupons it told of, and what could not be taken from it.
    """
    if report.problem:
        return 0, [Problem(report.problem)]
    if not report.lines:
        return 0, []
    told, problems = 0, list[Problem]()
    scope = find_scope(ledger, org, report.campaign) or _campaign(ledger, org, report, api, options, at)
    run = lost_calls.add_run(
        ledger,
        scope.id,
        report.run,
        files=report.files,
        out=str(report.folder.parent),
        started=report.started,
        at=at,
    )
    by_order: dict[str, list[OldCoupon]] = {}
    for line in report.lines:
        name = read_call_key(line.call)
        if name is None:
            problems.append(Problem(f"{report.folder}: a line names a call that is none", line.call))
            continue
        by_order.setdefault(name.order, []).append(line)
    for order, lines in by_order.items():
        first = lines[0]
        problem = lost_calls.add_order(
            ledger,
            org_id=org.id,
            org_key=org.key,
            scope_id=scope.id,
            campaign_key=scope_key(report.campaign),
            run=run,
            series=first.series,
            customer=_identifier(first),
            wanted=order,
            target=sum(line.held or 1 for line in lines),
            at=at,
        )
        if problem is not None:
            problems.append(problem)
            continue
        coupons, left = record_found(
            ledger, _calls_of(ledger, lines), done=None, why=f"the report of run {report.run} lists the coupons", at=at
        )
        told += coupons
        problems += left
        later = [(line.call, line.id or line.code, line.state) for line in lines if line.state in LATER_STATES]
        lost_calls.record_states(ledger, later, run=run, at=at)
    return told, problems


def _calls_of(ledger: LedgerFile, lines: Sequence[OldCoupon]) -> list[FoundCall]:
    """The calls of some lines, with the coupons that the ledger does not know."""
    known = lost_calls.known_ids(ledger, [line.id or line.code for line in lines if line.id or line.code])
    calls: dict[str, list[OldCoupon]] = {}
    for line in lines:
        if line.held or (line.id or line.code) not in known:
            calls.setdefault(line.call, []).append(line)
    return [
        FoundCall(
            key,
            tuple(Coupon(line.id, line.code) for line in of_call if line.id or line.code),
            min((line.at for line in of_call if line.at is not None), default=None),
            sum(line.held for line in of_call),
        )
        for key, of_call in calls.items()
    ]


def _identifier(line: OldCoupon) -> Identifier:
    kind = Kind(line.kind)
    read = read_identifier(kind, line.customer, None)
    return Identifier(kind, line.customer, line.customer) if isinstance(read, str) else read


def _campaign(ledger: LedgerFile, org: Org, report: OldReport, api: Api | None, options: Options, at: float) -> Scope:
    """A campaign that only its reports tell of, frozen as the org's newest one is."""
    newest = newest_scope(ledger, org)
    url = newest.url if newest is not None else api.url if api is not None else ""
    credentials = newest.credentials if newest is not None else api.fingerprint if api is not None else ""
    frozen = Frozen(
        url=url,
        credentials=credentials,
        identity_version=IDENTITY_VERSION,
        identify_by=tuple(dict.fromkeys(Kind(line.kind) for line in report.lines)),
        region=options.region or (newest.region if newest is not None else None),
        mapping={},
    )
    return freeze_scope(ledger, org, report.campaign, frozen, at=at)
