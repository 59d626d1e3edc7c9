"""Revoking through the API: portion by portion, each durable before it is posted, unanswered ones asked for again.

One revocation is under way at a time, so nothing is ever in flight twice. Only for the process that holds the lock of
the run's campaign.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from runner import retrying
from runner.adapters.ledger import revoking
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.revoking import Choice, OpenRevocation, RunCoupon
from runner.adapters.ledger.runs import UNFINISHED, RunFacts
from runner.app.conversation import Conversation
from runner.app.place import Api, open_api, pace_of
from runner.app.reading import ApiReader
from runner.app.reconciling import Settling, rules_of
from runner.core.classify import retry_after_seconds
from runner.core.coupon_reads import CouponDetail, Unread, read_details, read_revocation
from runner.core.model import Exchange
from runner.core.pacing import reach_wait
from runner.core.series_settings import read_handling
from runner.core.undoing import (
    MOST_AT_ONCE,
    Fate,
    Judged,
    RevocationState,
    SeriesUndo,
    Standing,
    Survey,
    Waits,
    foreign_codes,
    judge_by_reading,
    portions,
    standing_of,
    understand,
)
from runner.ports import Clock
from runner.settings import Options

if TYPE_CHECKING:
    from runner.adapters.coupon_api import CouponApi

TRIES = 6
"""How often one portion is posted anew before the API is given up, as long as it certainly did nothing."""

ROUNDS = 3
"""How often what is in doubt or was left over is read, and asked for again, in one execution."""


class Revoking:
    """One undo at work.

    `account`: how the chosen coupons stood, and what became of them. `refusals`: (code, message) of the API → coupons
    that it did not revoke. `calls`: revocations posted. `stop`: why it ended early, "" if it did not.
    """

    def __init__(
        self,
        ledger: LedgerFile,
        run: RunFacts,
        choice: Choice,
        api: Api,
        options: Options,
        clock: Clock,
        conversation: Conversation,
    ) -> None:
        self._ledger = ledger
        self._run = run
        self._choice = choice
        self._api = api
        self._options = options
        self._clock = clock
        self._talk = conversation
        self._pace = pace_of(options, api, clock, conversation.note)
        # Whatever a server is still doing with a request is over a while after we gave it up.
        self._waits = Waits(answered=2 * options.timeout, settled=max(options.settle_after, 2 * options.timeout))
        self.account = Survey(run.name, run.campaign, run.org, run.state in UNFINISHED)
        self.refusals: Counter[tuple[str, str]] = Counter()
        self._refused: set[int] = set()
        self._foreign: set[str] = set()
        self._renewed = False
        self.calls = 0
        self.stop = ""

    # ------------------------------------------------------------ looking

    async def survey(self) -> Survey:
        """Settle what is in doubt of the run as far as reading does, then count how its coupons stand."""
        async with open_api(self._options, self._api) as coupon_api:
            reader = ApiReader(coupon_api, self._pace, self._clock)
            if revoking.doubtful_coupons(self._ledger, self._choice)[0]:
                url = "" if self._ledger.rehearsal else self._api.url
                settling = Settling(self._ledger, reader, url=url, rules=rules_of(self._options), note=self._talk.note)
                settled = await settling.settle([self._run.scope_id], run=self._run.id)
                self._talk.note(settled.sentence())
            self.account.unread = await self._read_kinds(reader)
        for coupons, standings in self._standings():
            for coupon, standing in zip(coupons, standings, strict=True):
                self.account.series[coupon.series].standing[standing] += 1
        self.account.doubts = revoking.doubtful_coupons(self._ledger, self._choice)
        return self.account

    async def _read_kinds(self, reader: ApiReader) -> str:
        """Ask of which kind the series are; why that cannot be read, "" when it can."""
        unread = ""
        for some in portions(revoking.series_of(self._ledger, self._choice)):
            answer = await reader.ask("series", lambda some=some: reader.api.read_series(some), read_handling)  # type: ignore[misc]
            kinds = {} if isinstance(answer, Unread) else answer
            unread = answer.problem if isinstance(answer, Unread) else unread
            for number in some:
                self.account.series[number] = SeriesUndo(number, kinds.get(number, ""))
        return unread

    def _standings(self) -> Iterator[tuple[list[RunCoupon], list[Standing]]]:
        """The chosen coupons, page by page, and what may be done with each."""
        for page in revoking.coupons_of(self._ledger, self._choice):
            shared = revoking.shared_codes(self._ledger, {one.code for one in page if one.code})
            yield (
                page,
                [
                    standing_of(
                        one.state,
                        one.code,
                        under_way=one.under_way,
                        handling=self.account.series[one.series].handling,
                        shared=one.code in shared or one.code in self._foreign,
                    )
                    for one in page
                ],
            )

    # ------------------------------------------------------------ revoking

    async def revoke_all(self, signals: Sequence[int]) -> None:
        """Revoke what may be revoked, and ask again for what was not answered, once nothing of it is under way."""
        async with open_api(self._options, self._api) as coupon_api:
            reader = ApiReader(coupon_api, self._pace, self._clock)
            began = self._clock.now()
            for _ in range(ROUNDS):
                await self._settle_open(coupon_api, reader, signals, until=began + self._options.settle_wait)
                before = self.calls
                await self._revoke_once(coupon_api, reader, signals)
                if self.stop or signals or self.calls == before:
                    break  # what is unanswered now stays in doubt: a read would not tell, only another answer

    async def _revoke_once(self, api: CouponApi, reader: ApiReader, signals: Sequence[int]) -> None:
        waiting: dict[int, list[RunCoupon]] = {}
        for page, standings in self._standings():
            for coupon, standing in zip(page, standings, strict=True):
                # What the API refused in this execution is not asked for again in it.
                if standing is Standing.REVOCABLE and coupon.id not in self._refused:
                    waiting.setdefault(coupon.series, []).append(coupon)
            for series, coupons in waiting.items():
                while len(coupons) >= MOST_AT_ONCE and not self.stop and not signals:
                    await self._revoke(api, reader, series, coupons[:MOST_AT_ONCE])
                    del coupons[:MOST_AT_ONCE]
            if self.stop or signals:
                return
        for series, coupons in waiting.items():
            if coupons and not self.stop and not signals:
                await self._revoke(api, reader, series, coupons)

    async def _revoke(self, api: CouponApi, reader: ApiReader, series: int, coupons: Sequence[RunCoupon]) -> None:
        """Revoke one portion, posted anew as long as it certainly did nothing and may be tried again."""
        codes = [coupon.code or "" for coupon in coupons]
        details = await self._details(api, reader, codes)
        foreign = foreign_codes(codes, details, series)
        if foreign:
            self._foreign |= foreign
            stays = [one for one in coupons if one.code in foreign]
            self.account.series[series].standing[Standing.REVOCABLE] -= len(stays)
            self.account.series[series].standing[Standing.SHARED] += len(stays)
            coupons = [one for one in coupons if one.code not in foreign]
            if not coupons:
                return
        there = {detail.code for detail in details}
        shown = {coupon.id for coupon in coupons if coupon.code in there}
        settled, unread = await retrying.until(
            lambda: self._post(api, reader, series, coupons, shown),
            first=await self._post(api, reader, series, coupons, shown),
            settled=lambda unread: unread is None or not unread.again,
            wait_seconds=lambda attempt, _: reach_wait(attempt, self._clock.chance()),
            give_up=lambda attempt, seconds: attempt >= TRIES or seconds > self._options.reach_budget,
            clock=self._clock,
        )
        if unread is not None and (unread.for_all or not settled):
            self.stop = f"the API revokes nothing now: {unread.problem}"

    async def _post(
        self, api: CouponApi, reader: ApiReader, series: int, coupons: Sequence[RunCoupon], shown: set[int]
    ) -> Unread | None:
        """One POST, recorded before and after; None when it was answered or is in doubt."""
        await reader.leave_a_gap()
        begun = revoking.begin_revocation(
            self._ledger, self._run.id, series, coupons, shown=shown, at=self._clock.wall()
        )
        self.calls += 1
        seen = api.credentials_version()
        exchange = await api.revoke(request_id=begun.key, series=series, codes=[one.code or "" for one in coupons])
        if exchange.status == 429:
            self._pace.throttled(self._clock.now(), retry_after_seconds(exchange.headers))
        said = read_revocation(exchange)
        state, by_code = understand([one.code or "" for one in coupons], said)
        judged = {one.id: by_code[one.code or ""] for one in coupons}
        self._record(begun, state, judged, exchange)
        if not isinstance(said, Unread):
            self._renewed = False
            return None
        if said.token_ended and not self._renewed and await api.refresh_credentials(seen=seen):
            self._renewed = True  # only a refusal of a fresh token is the last word
            return said._replace(again=True, for_all=False)
        return said

    def _record(
        self, begun: revoking.Begun, state: RevocationState, judged: Mapping[int, Judged], exchange: Exchange | None
    ) -> None:
        first = next((one for one in judged.values() if one.code or one.message), Judged(None))
        revoking.record_revocation(
            self._ledger,
            self._run.id,
            begun,
            state,
            judged,
            at=self._clock.wall(),
            http=exchange.status if exchange is not None else None,
            code=first.code,
            message=first.message,
            request_id=exchange.headers.get("x-cap-request-id", begun.key) if exchange is not None else "",
        )
        fates = self.account.series[begun.series].fates if begun.series in self.account.series else Counter[Fate]()
        for coupon, one in judged.items():
            if one.fate is None or one.fate is Fate.LEFT:
                continue
            fates[one.fate] += 1
            if one.fate is not Fate.REVOKED:
                self.refusals[one.code, one.message] += 1
                self._refused.add(coupon)

    # ------------------------------------------------------------ settling

    async def _settle_open(self, api: CouponApi, reader: ApiReader, signals: Sequence[int], *, until: float) -> None:
        """Read the coupons of unanswered revocations, until they may be asked for again or waiting takes too long."""
        while not signals and not self.stop:
            open_ones = revoking.open_revocations(self._ledger, self._run.id)
            wait = None
            for one in open_ones:
                wait = self._sooner(wait, await self._settle(api, reader, one))
            if wait is None or self._clock.now() + wait > until:
                return
            self._talk.note(f"waiting {wait:,.0f} s: an unanswered revocation may still be under way")
            await self._clock.sleep(wait)

    @staticmethod
    def _sooner(one: float | None, other: float | None) -> float | None:
        return other if one is None else one if other is None else min(one, other)

    async def _settle(self, api: CouponApi, reader: ApiReader, one: OpenRevocation) -> float | None:
        """Read one; the seconds after which reading again settles more, None when it is settled or nobody can tell."""
        by_code = {coupon.code: coupon for coupon in one.begun.coupons if coupon.code}
        details = await self._read(api, reader, list(by_code))
        if isinstance(details, Unread) or not by_code:
            return None
        age = self._clock.wall() - one.began
        shown = {code: coupon.id in one.shown for code, coupon in by_code.items()}
        found = judge_by_reading(shown, details, series=one.begun.series, age=age, waits=self._waits)
        judged = {by_code[code].id: fate for code, fate in found.items()}
        left = [fate for fate in judged.values() if fate.fate is None]
        if len(left) < len(judged):
            whole = not left and len(by_code) == len(one.begun.coupons)
            self._record(one.begun, RevocationState.DONE if whole else RevocationState.IN_DOUBT, judged, None)
        if not left:
            return None
        due = self._waits.answered if self._waits.answered > age else self._waits.settled
        return max(0.1, due - age)

    async def _read(self, api: CouponApi, reader: ApiReader, codes: Sequence[str]) -> tuple[CouponDetail, ...] | Unread:
        return await reader.ask("codes", lambda: api.read_details_of_codes(codes), read_details)

    async def _details(self, api: CouponApi, reader: ApiReader, codes: Sequence[str]) -> tuple[CouponDetail, ...]:
        """What the API shows of some codes; nothing when it cannot be read."""
        answer = await self._read(api, reader, codes)
        return () if isinstance(answer, Unread) else answer
