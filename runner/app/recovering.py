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
from runner.adapters.ledger.scopes import Org
from runner.adapters.ledger.witness import read_witness, witness_path
from runner.adapters.old_reports import OldReport, old_reports
from runner.app.conversation import Conversation, Request
from runner.app.loading import override
from runner.app.org_checks import check_same_org
from runner.app.place import Api, beside_ledger, open_api, open_ledger, open_org, pace_of, place_of, real_api
from runner.app.reading import ApiReader
from runner.app.recovering_reports import take_report
from runner.core.coupon_reads import CouponPage, CustomerCoupon, Unread
from runner.core.model import Coupon
from runner.core.recovering import (
    OURS,
    Problem,
    Reads,
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
    to_read = lost_calls.customers_to_read(ledger, org.id)
    customers = len(to_read)
    reads = _reads(sum(1 + len(one.others) for one in to_read), api, options)
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
            coupons, problems = take_report(ledger, org, report, api, options, clock.wall())
            result.from_reports += coupons
            result.problems += problems
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
        """By all identifiers that she was, or may have been, named by; she is read when each of them is."""
        read = True
        for one in customer.each:
            read = await self._read_by(one._replace(marked=one.marked and read)) and read

    async def _read_by(self, customer: Customer) -> bool:
        """By one identifier; whether all that it shows is written down."""
        page = await self._reader.customer_coupons(customer.kind, customer.value)
        if isinstance(page, Unread):
            return self._unread(page)
        known = lost_calls.known_ids(self._ledger, [one.id or one.code for one in page.coupons])
        unknown = tuple(one for one in page.coupons if (one.id or one.code) not in known)
        if not unknown:
            return self._record(customer, {})
        number = page.customer
        if number is None:
            found = await self._reader.customer_id(customer.kind, customer.value)
            number = found.customer
            if number is None:
                self._result.problems.append(Problem("a customer has coupons that are not known, and no id to ask by"))
                return False
        return await self._explain(customer, number, page, unknown, last=False)

    async def _explain(
        self,
        customer: Customer,
        number: str,
        page: CouponPage,
        unknown: tuple[CustomerCoupon, ...],
        *,
        last: bool,
    ) -> bool:
        details = await self._reader.details(number)
        if isinstance(details, Unread):
            return self._unread(details)
        if not self._proven:
            told = [one.source for one in details if one.source_type == OURS and one.source is not None]
            self._proven = shows_known_key(details, lost_calls.known_keys(self._ledger, told))
        found = sort_unknown(unknown, page.coupons, details, proven=self._proven, silent=self._silent)
        if found.unexplained and not last and not self._proven:
            self._waiting.append((customer, number, page, unknown))
            return False
        self._result.others += found.others
        for _ in found.unexplained:
            self._result.problems.append(
                Problem("a customer holds a coupon of which the API does not show who issued it")
            )
        return not found.unexplained and self._record(customer, found.calls)

    def _record(self, customer: Customer, calls: dict[str, list[CustomerCoupon]]) -> bool:
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
            done=customer.person if customer.marked else None,
            read_by=(customer.kind, customer.value),
            why="the API shows the coupons with this call's key",
            at=self._clock.wall(),
        )
        self._result.from_api += coupons
        self._result.problems += problems
        return not problems

    def _unread(self, unread: Unread) -> bool:
        if unread.for_all:
            self.hopeless = unread.problem
        self._result.problems.append(Problem(f"a customer's coupons could not be read: {unread.problem}"))
        return False


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
