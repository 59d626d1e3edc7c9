"""`recover`: an older copy of the ledger learns from reports and from the API what it has forgotten, and goes on.

First the reports on disk that know more than it does, then the coupons of every customer, by the keys of the calls that
issued them. Until all of that is done the ledger is only read from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from runner.adapters.ledger import lost_calls
from runner.adapters.ledger.erasing import compact
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.forgotten import forget_again
from runner.adapters.ledger.locks import ScopeLock
from runner.adapters.ledger.lost_calls import Customer, FoundCall, record_found
from runner.adapters.ledger.recovery import recover_scope
from runner.adapters.ledger.runs import add_override, holds_link, newest_run
from runner.adapters.ledger.scopes import Frozen, Org, Scope, find_scope, freeze_scope, newest_scope
from runner.adapters.ledger.witness import read_witness, witness_path
from runner.adapters.old_reports import OldCoupon, OldReport, old_reports
from runner.app.conversation import Conversation, Request
from runner.app.loading import override
from runner.app.org_checks import check_same_org
from runner.app.place import Api, beside_ledger, open_api, open_ledger, open_org, pace_of, place_of, real_api
from runner.app.reading import ApiReader
from runner.core.coupon_reads import CouponPage, CustomerCoupon, Unread
from runner.core.identity import IDENTITY_VERSION, read_identifier
from runner.core.keys import scope_key
from runner.core.model import Coupon, Identifier, Kind
from runner.core.recovering import (
    LATER_STATES,
    OURS,
    Problem,
    Reads,
    read_call_key,
    reads_of,
    shows_known_key,
    sort_unknown,
    sum_up,
)
from runner.core.reporting import write_time
from runner.core.wording import counted
from runner.errors import InputRefused, UsageError
from runner.ports import Clock
from runner.settings import Options

AT_ONCE = 4
"""Customers read at a time."""

NEEDS_A_PERSON = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a person says beside: `anyway`: that this ledger was put back from an older copy; `accept_loss`: that it may
    go on with what is not known, and `why`.
    """

    anyway: bool = False
    accept_loss: bool = False
    why: str | None = None


@dataclass(slots=True)
class Recovered:
    """What a recovery did. `done`: the ledger can be written to again. `needed`: whether there was anything to do.

    `from_reports` and `from_api`: coupons known again. `others`: coupons of other issuers, left alone. `left`:
    customers not read yet. `problems`: sentence → how often; `calls`: keys that could not be written down.
    `other_orgs`: organisations of this ledger whose customers are still to be read.
    """

    needed: bool = True
    done: bool = False
    customers: int = 0
    reads: int = 0
    from_reports: int = 0
    from_api: int = 0
    others: int = 0
    left: int = 0
    nameless: int = 0
    stopped: str = ""
    problems: list[Problem] = field(default_factory=list)
    other_orgs: list[str] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 when the ledger can be used again, 1 when that needs a person."""
        return 0 if self.done or not self.needed else NEEDS_A_PERSON

    def reasons(self) -> dict[str, int]:
        """Why the ledger stays read-only: sentence → how often."""
        return dict(sum_up(self.problems))


def recover(choices: Choices, request: Request, *, clock: Clock, conversation: Conversation) -> Recovered:
    """Read back what an older copy of the ledger does not know, and open it for use again.

    Raises:
        UsageError: nobody says that it is an older copy; nobody agrees; too early; no reason given. LockHeld: a
            campaign is in use. SettingsError: no address or credentials.
    """
    options = request.options
    if choices.accept_loss and not (choices.why or "").strip():
        raise UsageError("--accept-loss needs a reason, for the record: --why TEXT.")
    place = place_of(options, request.environment)
    if place.rehearsal:
        raise UsageError("A rehearsal has nothing to recover: begin anew with --fresh.")
    ledger = open_ledger(place, clock)
    org = open_org(ledger, options)
    outs = [options.out, *(Path(out) for out in lost_calls.out_folders(ledger))]
    reports = old_reports(outs, ledger.ledger_id, partial(holds_link, ledger))
    if not ledger.behind and not reports and not choices.anyway:
        return Recovered(needed=False)
    _check_late_enough(ledger, reports, options, clock)
    with ExitStack() as stack:
        scopes = lost_calls.all_campaigns(ledger)
        for _, org_key, key, campaign in scopes:
            stack.enter_context(
                ScopeLock.acquire(
                    ledger.path, org=org_key, campaign=key, run="recover", shown=campaign, wall=clock.wall
                )
            )
        api = None if choices.accept_loss and options.api_url is None else real_api(options, request.environment)
        if api is not None:
            api = beside_ledger(api, ledger.path)
            check_same_org(ledger, org, None, api, options)
        nameless = lost_calls.nameless_customers(ledger, org.id)
        _agree(ledger, org, reports, api, options, conversation, nameless)
        ledger.mending = True
        try:
            for scope_id, *_ in scopes:
                recover_scope(ledger, scope_id)
            return _recover(ledger, org, reports, api, choices, options, clock, conversation, keys=place.keys)
        finally:
            ledger.mending = False


def _check_late_enough(ledger: LedgerFile, reports: Sequence[OldReport], options: Options, clock: Clock) -> None:
    """What was issued last may be shown late: no customer is read before the API has had time to show it."""
    witness = witness_path(ledger.path)
    times = [witness.stat().st_mtime] if witness.is_file() else []
    times += [report.folder.joinpath("manifest.json").stat().st_mtime for report in reports]
    ready = max(times, default=0.0) + options.settle_after
    if clock.wall() < ready:
        raise UsageError(
            f"The lost history was written to until {write_time(max(times))[:19]}Z, and an API may show a coupon late:"
            f" recover from {write_time(ready)[:19]}Z on. Nothing was changed."
        )


def _agree(
    ledger: LedgerFile,
    org: Org,
    reports: Sequence[OldReport],
    api: Api | None,
    options: Options,
    conversation: Conversation,
    nameless: int,
) -> None:
    """Say what it takes before anything is read, and ask."""
    if ledger.behind:
        conversation.note(ledger.behind)
    for report in reports:
        conversation.note(
            f"reports that know more: run {report.run}, campaign {report.campaign}"
            + (f" ({report.problem})" if report.problem else f", {counted(len(report.lines), 'line')} of evidence")
        )
    customers = len(lost_calls.customers_to_read(ledger, org.id))
    reads = _reads(customers, api, options)
    if api is not None:
        conversation.note(
            f"{counted(customers, 'customer')} of {org.name} to read: {reads.least:,} to {reads.most:,} reads"
            + (f", at most {_duration(reads.seconds)} at the key's pace" if reads.seconds >= 1 else "")
        )
    conversation.note(
        "Customers whom neither this copy nor a report names cannot be found"
        + (f", nor {counted(nameless, 'customer')} whose identifiers were purged" if nameless else "")
        + ": before an input is run that may have been run already, look whether the reports of that run are somewhere"
        " (name their folder with --out)."
    )
    if options.yes:
        return
    if not conversation.present:
        raise UsageError("Nobody is here to agree, so nothing was read yet: add --yes.", add_flags=("--yes",))
    if not conversation.confirm("Read them now?"):
        raise InputRefused("Not agreed: nothing was changed.")


def _reads(customers: int, api: Api | None, options: Options) -> Reads:
    rate = options.parsed_rate(loopback=api is not None and api.loopback)
    return reads_of(customers, rate.calls / rate.window_seconds if rate is not None else None)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} minutes" if seconds < 5400 else f"{seconds / 3600:,.1f} hours"


def _recover(
    ledger: LedgerFile,
    org: Org,
    reports: Sequence[OldReport],
    api: Api | None,
    choices: Choices,
    options: Options,
    clock: Clock,
    conversation: Conversation,
    *,
    keys: Path,
) -> Recovered:
    result = Recovered(reports=[str(report.folder) for report in reports])
    for report in reports:
        if report.org_key == org.key:
            _take_report(ledger, org, report, api, options, clock, result)
    if api is not None:
        asyncio.run(_read_customers(ledger, org, api, options, clock, conversation.note, result))
    result.left = len(lost_calls.customers_to_read(ledger, org.id))
    result.nameless = lost_calls.nameless_customers(ledger, org.id)
    result.other_orgs = lost_calls.other_orgs_to_read(ledger, org.id)
    forgotten = forget_again(ledger, keys, at=clock.wall())  # last: what was read back of them is erased as well
    if forgotten:
        compact(ledger)
        conversation.note(f"{counted(forgotten, 'customer')} forgotten again: this copy did not know of it")
    complete = not (result.left or result.problems or result.other_orgs)
    if complete or choices.accept_loss:
        if not complete:
            run = newest_run(ledger, org_id=org.id)
            if run is not None:
                told = {**override("accept_loss", clock), "why": choices.why, "left": result.left}
                add_override(ledger, run, told, at=clock.wall())
        _finish(ledger, reports, result, accepted=not complete, clock=clock)
    return result


def _finish(
    ledger: LedgerFile, reports: Sequence[OldReport], result: Recovered, *, accepted: bool, clock: Clock
) -> None:
    lost = {report.head for report in reports}
    witness = read_witness(ledger.path, ledger_id=ledger.ledger_id, key=ledger.key)
    if witness is not None and not holds_link(ledger, witness):
        lost.add(witness)
    told = {
        "coupons": result.from_reports + result.from_api,
        "customers": result.customers,
        "left": result.left,
        "accepted_loss": accepted,
    }
    lost_calls.finish_recovery(ledger, lost, told=told, at=clock.wall())
    result.done = True


# ── the API ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Reading:
    """Reads customers, several at a time, and writes down what is found of each before the next."""

    def __init__(
        self, ledger: LedgerFile, reader: ApiReader, clock: Clock, silent: frozenset[int], result: Recovered
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self._clock = clock
        self._silent = silent
        self._result = result
        self._proven = False
        self._waiting: list[tuple[Customer, str, CouponPage, tuple[CustomerCoupon, ...]]] = []
        self.hopeless = ""

    async def read_all(self, customers: Sequence[Customer], note: Callable[[str], None]) -> None:
        """Read every customer; those whose coupons could not be told apart once more, when more is known of the API."""
        left = iter(customers)
        every = max(1, len(customers) // 10)

        async def worker() -> None:
            for customer in left:
                if self.hopeless:
                    return
                await self._read(customer)
                self._result.customers += 1
                if self._result.customers % every == 0 and len(customers) >= 1000:
                    note(f"{self._result.customers:,} of {counted(len(customers), 'customer')} read")

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(AT_ONCE, len(customers))):
                workers.create_task(worker())
        for customer, number, page, unknown in self._waiting:
            if self.hopeless:
                break
            await self._explain(customer, number, page, unknown, last=True)
        self._result.stopped = self.hopeless

    async def _read(self, customer: Customer) -> None:
        page = await self._reader.customer_coupons(customer.kind, customer.value)
        if isinstance(page, Unread):
            self._unread(page)
            return
        known = lost_calls.known_ids(self._ledger, [one.id or one.code for one in page.coupons])
        unknown = tuple(one for one in page.coupons if (one.id or one.code) not in known)
        if not unknown:
            self._record(customer, {})
            return
        number = page.customer
        if number is None:
            found = await self._reader.customer_id(customer.kind, customer.value)
            number = found.customer
            if number is None:
                self._result.problems.append(Problem("a customer has coupons that are not known, and no id to ask by"))
                return
        await self._explain(customer, number, page, unknown, last=False)

    async def _explain(
        self,
        customer: Customer,
        number: str,
        page: CouponPage,
        unknown: tuple[CustomerCoupon, ...],
        *,
        last: bool,
    ) -> None:
        details = await self._reader.details(number)
        if isinstance(details, Unread):
            self._unread(details)
            return
        if not self._proven:
            told = [one.source for one in details if one.source_type == OURS and one.source is not None]
            self._proven = shows_known_key(details, lost_calls.known_keys(self._ledger, told))
        found = sort_unknown(unknown, page.coupons, details, proven=self._proven, silent=self._silent)
        if found.unexplained and not last and not self._proven:
            self._waiting.append((customer, number, page, unknown))
            return
        self._result.others += found.others
        for _ in found.unexplained:
            self._result.problems.append(
                Problem("a customer holds a coupon of which the API does not show who issued it")
            )
        if not found.unexplained:
            self._record(customer, found.calls)

    def _record(self, customer: Customer, calls: dict[str, list[CustomerCoupon]]) -> None:
        found = [
            FoundCall(
                key,
                tuple(Coupon(one.id, one.code) for one in coupons),
                min((one.created for one in coupons if one.created is not None), default=None),
            )
            for key, coupons in calls.items()
        ]
        coupons, problems = record_found(
            self._ledger,
            found,
            done=customer.person,
            why="the API shows the coupons with this call's key",
            at=self._clock.wall(),
        )
        self._result.from_api += coupons
        self._result.problems += problems

    def _unread(self, unread: Unread) -> None:
        if unread.for_all:
            self.hopeless = unread.problem
        self._result.problems.append(Problem(f"a customer's coupons could not be read: {unread.problem}"))


async def _read_customers(
    ledger: LedgerFile,
    org: Org,
    api: Api,
    options: Options,
    clock: Clock,
    note: Callable[[str], None],
    result: Recovered,
) -> None:
    customers = lost_calls.customers_to_read(ledger, org.id)
    async with open_api(options, api) as coupon_api:
        reader = ApiReader(coupon_api, pace_of(options, api, clock), clock)
        reading = _Reading(ledger, reader, clock, lost_calls.silent_series(ledger, org.id), result)
        await reading.read_all(customers, note)
        result.reads = reader.reads


# ── old reports ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _take_report(
    ledger: LedgerFile, org: Org, report: OldReport, api: Api | None, options: Options, clock: Clock, result: Recovered
) -> None:
    """What a report on disk tells of calls that the ledger does not know: its orders, its coupons, its doubts."""
    if report.problem:
        result.problems.append(Problem(report.problem))
        return
    if not report.lines:
        return
    at = clock.wall()
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
            result.problems.append(Problem(f"{report.folder}: a line names a call that is none", line.call))
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
            result.problems.append(problem)
            continue
        coupons, problems = record_found(
            ledger, _calls_of(ledger, lines), done=None, why=f"the report of run {report.run} lists the coupons", at=at
        )
        result.from_reports += coupons
        result.problems += problems
        later = [(line.call, line.id or line.code, line.state) for line in lines if line.state in LATER_STATES]
        lost_calls.record_states(ledger, later, run=run, at=at)


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
