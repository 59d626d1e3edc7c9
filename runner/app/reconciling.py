"""Settling calls in doubt by reading the API: which customers are asked about, in which order, and for how long.

What the answers prove is `core.reconciling`; here known calls are read first, to learn what this API shows and how
late. Only for the process that holds the lock of the campaigns concerned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from runner.adapters.ledger import doubts as ledger_doubts
from runner.adapters.ledger.doubts import KnownCall, OpenCall, doubts_of, settled_as_missing
from runner.adapters.ledger.files import LedgerFile
from runner.app.reading import ApiReader
from runner.core.coupon_reads import CouponPage, CustomerCoupon, Unread, skew_of
from runner.core.model import CallState, Coupon, Identifier, Kind, Source
from runner.core.reconciling import (
    LAGS,
    LATE_SECONDS,
    SLACK_SECONDS,
    Finding,
    Measures,
    Method,
    Rules,
    Shown,
    Surroundings,
    judge,
    outcome_of,
    unexplained_of,
    waits_until,
)
from runner.core.series_settings import read_handling
from runner.settings import Options

_LAG_FACT = "lag_seconds"
_KNOWN_NEWEST = 2
_KNOWN_OLDER = 1
_BELIEVABLE_LAG_SECONDS = 3600.0
"""A known coupon that is not shown after longer than this is hidden for another reason than lag."""

_SOON_SECONDS = 2.0
"""Reading again sooner than this after the answer was lost may still find what is being written."""

_UNMEASURED_SECONDS = 10.0
"""The same while no known call has shown how late this API is."""

_MOST_WAIT_SECONDS = 8.0


def rules_of(options: Options) -> Rules:
    """The settings that decide when a read is a proof."""
    return Rules(settle_after_seconds=options.settle_after, by_time=options.settle_by_time)


class Account(NamedTuple):
    """A call that was read: what it was, and what is known of it now."""

    call: OpenCall
    finding: Finding


@dataclass(slots=True)
class Settled:
    """What a settling did. `accounts`: the newest finding of each call, by key. `problem`: why reading ended early."""

    accounts: dict[str, Account] = field(default_factory=dict)
    reads: int = 0
    problem: str = ""

    def count(self, *states: CallState) -> int:
        """How many calls came to one of these states."""
        return sum(account.finding.state in states for account in self.accounts.values())

    @property
    def open(self) -> list[Account]:
        """The calls that stay in doubt."""
        return [account for account in self.accounts.values() if account.finding.state is CallState.IN_DOUBT]

    @property
    def missing_again(self) -> int:
        """Coupons that were found not to be issued, and may be asked for again."""
        return sum(
            account.call.doubt.quantity - len(account.finding.coupons)
            for account in self.accounts.values()
            if account.finding.state in (CallState.ISSUED, CallState.REFUSED)
        )

    def sentence(self) -> str:
        """What happened, in a line."""
        if not self.accounts:
            return "no call is in doubt"
        found, none = self.count(CallState.ISSUED), self.count(CallState.REFUSED)
        parts = [
            f"{number:,} {word}"
            for number, word in ((found, "issued"), (none, "not issued"), (len(self.open), "still in doubt"))
            if number
        ]
        plural = "call" if len(self.accounts) == 1 else "calls"
        sentence = f"{len(self.accounts):,} {plural} in doubt read: {', '.join(parts)}"
        return f"{sentence} ({self.problem})" if self.problem else sentence


class Settling:
    """Settles the doubts of campaigns of one org through one API.

    Args:
        url: the API's address, to which what is measured of it belongs.
        stopped: whether the owner wants to leave.
        note: says something worth a line.
    """

    def __init__(
        self,
        ledger: LedgerFile,
        reader: ApiReader,
        *,
        url: str,
        rules: Rules,
        note: Callable[[str], None],
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self._clock = reader.clock
        self._url = url
        self._rules = rules
        self._note = note
        self._stopped = stopped
        self._measures = Measures()
        self._hidden: set[str] = set()
        self._generic: dict[int, bool | None] = {}

    async def settle(self, scopes: Sequence[int], *, run: int | None = None, wait_seconds: float = 0.0) -> Settled:
        """Read everything in doubt of some campaigns, and again while waiting up to `wait_seconds` may settle more."""
        calls = [call for scope in scopes for call in doubts_of(self._ledger, scope, run=run)]
        settled = Settled()
        if not calls:
            return settled
        before = self._reader.reads
        began = self._clock.now()
        attempt = 0
        known = self._known_calls(calls[0].org)
        while calls and not self._stopped():
            await self._measure(known)
            await self._read_all(calls, settled)
            calls = [account.call for account in settled.open]
            wait = self._useful_wait(calls, attempt, left=wait_seconds - (self._clock.now() - began))
            if wait is None or settled.problem:
                break
            await self._clock.sleep(wait)
            attempt += 1
        settled.reads = self._reader.reads - before
        return settled

    async def read_again(self, scopes: Sequence[int], *, since: float) -> list[Account]:
        """Read calls once more that were settled as missing since a time; those of which something has appeared."""
        appeared = []
        for call in [one for scope in scopes for one in settled_as_missing(self._ledger, scope, since=since)]:
            if self._stopped():
                break
            if not call.value:
                continue
            shown, page = await self._show(call)
            if shown is None and self._unread_for_all:
                break
            if shown is None:
                continue
            finding = self._judge(call, shown, Surroundings())
            if len(finding.coupons) > call.doubt.known:
                self._record(call, finding._replace(state=CallState.ISSUED, held=0), shown, page)
                appeared.append(Account(call, finding))
        return appeared

    async def look(self, call: OpenCall) -> tuple[Finding, list[CustomerCoupon]] | Unread:
        """What the API shows of one call beyond what is recorded, and the coupons that nothing explains.

        Nothing is recorded.
        """
        await self._measure(self._known_calls(call.org))
        shown, _ = await self._show(call)
        if shown is None:
            return Unread(self._unread, for_all=self._unread_for_all)
        finding = self._judge(call, shown, await self._surroundings(call))
        new = tuple(one for one in finding.coupons if (one.id or one.code) not in shown.claimed)
        return finding._replace(coupons=new), unexplained_of(call.doubt, shown, self._measures)

    # ── what this API shows of known calls ───────────────────────────────────────────────────────────────────────────

    def _known_calls(self, org: int) -> list[KnownCall]:
        before = self._clock.wall() - self._rules.settle_after_seconds
        return ledger_doubts.known_calls(
            self._ledger, org, url=self._url, newest=_KNOWN_NEWEST, before=before, older=_KNOWN_OLDER
        )

    async def _measure(self, known: Sequence[KnownCall]) -> None:
        """Read a few known calls, before the doubts: whether their keys are shown, and how late."""
        now = self._clock.wall()
        stored = ledger_doubts.read_fact(self._ledger, self._url, _LAG_FACT, now=now) or 0.0
        self._measures = self._measures._replace(lag_seconds=max(stored, self._measures.lag_seconds))
        for one in known:
            if self._stopped() or (self._measures.shown_after or 0.0) >= one.began:
                continue
            page = await self._reader.customer_coupons(one.kind.value, one.value)
            self._learn_skew()
            if isinstance(page, Unread) or page.customer is None:
                continue
            self._look_at_list(one, page)
            details = await self._reader.details(page.customer)
            if not isinstance(details, Unread) and any(detail.source == one.call for detail in details):
                self._saw_key(one.began)

    def _look_at_list(self, known: KnownCall, page: CouponPage) -> None:
        """Whether a customer's list shows a known call's coupon by now: if not, the look-up lags at least so much."""
        since = known.began + self._measures.skew_seconds - SLACK_SECONDS
        listed = [Coupon(one.id, one.code) for one in page.coupons if one.created is not None and one.created >= since]
        age = self._clock.wall() - known.ended
        if ledger_doubts.claimed_of(self._ledger, known.person, listed):
            if known.call in self._hidden:
                self._learn_lag(age)
            newest = self._measures.listed_after
            self._measures = self._measures._replace(listed_after=max(known.began, newest or known.began))
        elif 0 <= age <= _BELIEVABLE_LAG_SECONDS:
            self._hidden.add(known.call)
            self._learn_lag(age)

    def _saw_key(self, began: float) -> None:
        """The look-up showed the key of a call that began then."""
        newest = self._measures.shown_after
        self._measures = self._measures._replace(metadata=True, shown_after=max(began, newest or began))

    def _learn_lag(self, seconds: float) -> None:
        if seconds > self._measures.lag_seconds:
            self._measures = self._measures._replace(lag_seconds=seconds)
            ledger_doubts.write_fact(self._ledger, self._url, _LAG_FACT, seconds, at=self._clock.wall())

    def _learn_skew(self) -> None:
        exchange = self._reader.last
        if exchange is None:
            return
        skew = skew_of(exchange, started=self._clock.wall() - exchange.seconds)
        if skew is not None:
            self._measures = self._measures._replace(skew_seconds=skew)

    # ── the doubts ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _read_all(self, calls: Sequence[OpenCall], settled: Settled) -> None:
        for call in calls:
            if self._stopped():
                settled.problem = "stopped"
                return
            if not call.value:
                why = "the customer's identifier was erased"
                finding = Finding(CallState.IN_DOUBT, (), call.doubt.quantity - call.doubt.known, Method.METADATA, why)
                settled.accounts[call.key] = Account(call, finding)
                continue
            shown, page = await self._show(call)
            if shown is None:
                why = f"it could not be read: {self._unread}"
                finding = Finding(CallState.IN_DOUBT, (), call.doubt.quantity - call.doubt.known, Method.METADATA, why)
                settled.accounts[call.key] = Account(call, finding)
                if self._unread_for_all:
                    settled.problem = self._unread
                    for other in calls:
                        settled.accounts.setdefault(other.key, Account(other, finding))
                    return
                continue
            finding = self._judge(call, shown, await self._surroundings(call))
            self._record(call, finding, shown, page)
            if finding.state is CallState.ISSUED and any(d.source == call.key for d in shown.details or ()):
                self._saw_key(call.doubt.began)
            settled.accounts[call.key] = Account(call, finding)

    async def _show(self, call: OpenCall) -> tuple[Shown | None, CouponPage | None]:
        """Read a call's customer; None when her coupons cannot be read (`_unread` says why)."""
        page = await self._reader.customer_coupons(call.kind.value, call.value)
        self._learn_skew()
        if isinstance(page, Unread):
            self._unread, self._unread_for_all = page.problem, page.for_all or self._reader.gave_up("coupons")
            return None, None
        if page.known and page.customer is None:
            found = await self._reader.customer_id(call.kind.value, call.value)
            if found.problem is not None:
                self._unread, self._unread_for_all = found.problem, found.for_all or self._reader.gave_up("look-up")
                return None, None
            page = page._replace(customer=found.customer)
        claimed = ledger_doubts.claimed_of(
            self._ledger, call.person, [Coupon(coupon.id, coupon.code) for coupon in page.coupons]
        )
        if page.customer is None:
            return Shown((), (), claimed=claimed), page
        details = await self._reader.details(page.customer)
        if isinstance(details, Unread):
            return Shown(page.coupons, None, details.problem, claimed), page
        return Shown(page.coupons, details, claimed=claimed), page

    _unread = ""
    _unread_for_all = False

    def _judge(self, call: OpenCall, shown: Shown, surroundings: Surroundings) -> Finding:
        return judge(call.doubt, shown, self._measures, surroundings, self._rules, now=self._clock.wall())

    async def _surroundings(self, call: OpenCall) -> Surroundings:
        """What happened around a call; read only where its time must settle it."""
        if self._measures.metadata:
            return Surroundings(generic=None)
        doubt = call.doubt
        end = (doubt.ended if doubt.ended is not None else doubt.began) + LATE_SECONDS
        return Surroundings(
            generic=await self._is_generic(doubt.series),
            rivals=ledger_doubts.rivals_of(self._ledger, call),
            others_active=ledger_doubts.others_active(self._ledger, call, start=doubt.began, end=end),
        )

    async def _is_generic(self, series: int) -> bool | None:
        if series not in self._generic:
            answer = await self._reader.ask("series", lambda: self._reader.api.read_series([series]), read_handling)
            known = None if isinstance(answer, Unread) else answer.get(series)
            self._generic[series] = None if known is None else known == "GENERIC"
        return self._generic[series]

    def _record(self, call: OpenCall, finding: Finding, shown: Shown, page: CouponPage | None) -> None:
        names: tuple[Identifier, ...] = ()
        if page is not None and page.customer is not None:
            names = (Identifier(Kind.CUSTOMER_ID, page.customer, page.customer),)
        ledger_doubts.record_finding(
            self._ledger,
            call,
            outcome_of(finding, call.doubt),
            source=Source.READ,
            method=finding.method.value,
            why=finding.why,
            seen=_seen(call, shown),
            at=self._clock.wall(),
            names=names,
        )

    def _useful_wait(self, calls: Sequence[OpenCall], attempt: int, *, left: float) -> float | None:
        """Seconds after which reading again may settle more; None when it would not within what is left."""
        now = self._clock.wall()
        waits = []
        for call in calls:
            doubt = call.doubt
            due = waits_until(doubt, self._measures, self._rules) - now
            if 0 < due <= left and self._measures.metadata:
                waits.append(due)
            later_shown = (self._measures.shown_after or 0.0) > (doubt.ended or doubt.began)
            soon = _SOON_SECONDS if later_shown else _UNMEASURED_SECONDS
            age = now - (doubt.ended or doubt.began)
            if 0 <= age < max(LAGS * self._measures.lag_seconds, soon):
                waits.append(min(_MOST_WAIT_SECONDS, 0.5 * 2**attempt))
        wait = min(waits, default=None)
        return wait if wait is not None and wait <= left else None


def _seen(call: OpenCall, shown: Shown) -> dict[str, object]:
    """What is kept of the reads: the customer's coupons of the series."""
    series = call.doubt.series
    return {
        "coupons": [(one.id, one.code, one.created) for one in shown.coupons if one.series == series],
        "details": None
        if shown.details is None
        else [(one.code, one.source) for one in shown.details if one.series == series],
    }
