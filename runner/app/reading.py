"""Asking the API something harmless: at the key's pace, again when it is busy, under a new token when one ended.

A read changes nothing, so it may be asked again. Its answers are understood by pure functions of the core; what says
nothing comes back as `Unread`. Once no read of a kind can be answered, nobody else is asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from runner import retrying
from runner.core.classify import retry_after_seconds
from runner.core.coupon_reads import CouponDetail, CouponPage, CustomerCoupon, Unread, read_coupon_page, read_details
from runner.core.lookups import LookUp, read_lookup
from runner.core.model import Exchange
from runner.core.pacing import reach_wait
from runner.holding import Hold, until_turn
from runner.pace import Pace
from runner.ports import Clock

if TYPE_CHECKING:
    from runner.adapters.coupon_api import CouponApi

T = TypeVar("T")

TRIES = 4
"""How often one question is asked before it is given up."""

ALIKE = 3
"""Questions in a row without an answer, after which no other is asked."""

_PAGE = 100
_MOST_PAGES = 50


class ApiReader:
    """Reads through one open API. Decides nothing about what they say.

    Args:
        pace: of all calls of the key; each read takes a slot.
        tries: how often one question is asked at most.
        hold: of the run that it reads for; nothing is asked while that is paused.
    """

    def __init__(
        self, api: CouponApi, pace: Pace, clock: Clock, *, tries: int = TRIES, hold: Hold | None = None
    ) -> None:
        self._hold = hold or Hold(clock)
        self.api = api
        self.clock = self._hold.clock
        self._tries = tries
        self._pace = pace
        self._hopeless: dict[str, Unread] = {}
        self._unanswered = 0
        self.reads = 0
        self.last: Exchange | None = None

    async def ask(
        self, kind: str, question: Callable[[], Awaitable[Exchange]], read: Callable[[Exchange], T | Unread]
    ) -> T | Unread:
        """Put a question until it is answered, or cannot be.

        Args:
            kind: questions of one kind share their fate: when one cannot be answered for good, none is asked again.
            read: what an answer means.
        """
        if kind in self._hopeless:
            return self._hopeless[kind]
        _, answer = await retrying.until(
            lambda: self._ask_once(question, read),
            first=await self._ask_once(question, read),
            settled=lambda answer: not (isinstance(answer, Unread) and answer.again) or kind in self._hopeless,
            wait_seconds=lambda attempt, _: reach_wait(attempt, self.clock.chance()),
            give_up=lambda attempt, _: attempt >= self._tries,
            clock=self.clock,
        )
        unread = answer if isinstance(answer, Unread) else None
        self._unanswered = self._unanswered + 1 if unread is not None and unread.again else 0
        if unread is not None and (unread.for_all or self._unanswered >= ALIKE):
            self._hopeless[kind] = unread._replace(again=False)
        return answer

    def gave_up(self, kind: str) -> bool:
        """Whether no question of a kind is asked any more."""
        return kind in self._hopeless

    async def customer_id(self, kind: str, value: str) -> LookUp:
        """The customer id that an identifier leads to."""

        def read(exchange: Exchange) -> LookUp | Unread:
            found = read_lookup(exchange)
            if found.problem is None:
                return found
            return Unread(found.problem, again=found.again, for_all=found.for_all, token_ended=found.token_ended)

        answer = await self.ask("look-up", lambda: self.api.lookup(kind, value), read)
        if isinstance(answer, Unread):
            return LookUp(None, answer.problem, again=answer.again, for_all=answer.for_all)
        return answer

    async def customer_coupons(self, kind: str, value: str) -> CouponPage | Unread:
        """All coupons of a customer, over all pages.

        Coupons that come while the pages are read move the others: a coupon seen twice counts once, and a list whose
        length is not the total that the API names is `Unread`.
        """
        found: dict[tuple[str, str, int], CustomerCoupon] = {}
        listed: list[CustomerCoupon] = []
        customer, total, offset = None, None, 0
        for _ in range(_MOST_PAGES):
            question = partial(self.api.read_customer_coupons, kind, value, offset=offset, limit=_PAGE)
            page = await self.ask("coupons", question, read_coupon_page)
            if isinstance(page, Unread):
                return page
            if not page.known:
                return page
            customer, total = page.customer or customer, page.total
            for coupon in page.coupons:
                key = (coupon.id, coupon.code, coupon.series)
                if not coupon.id or key not in found:
                    found[key] = coupon
                    listed.append(coupon)
            offset += len(page.coupons)
            if not page.coupons or (total is not None and offset >= total) or (total is None and offset < _PAGE):
                break
        if total is not None and len(listed) < total:
            return Unread(f"the API lists {len(listed):,} of the {total:,} coupons that it counts", again=True)
        return CouponPage(customer, tuple(listed), total)

    async def details(self, customer: str) -> tuple[CouponDetail, ...] | Unread:
        """All coupons of a customer (by her id) with the keys of the calls that issued them."""
        return await self.ask("details", lambda: self.api.read_coupon_details([customer]), read_details)

    async def leave_a_gap(self) -> None:
        """Whoever calls next keeps its distance from the last read."""
        await until_turn(self._pace, self._hold)

    async def _ask_once(
        self, question: Callable[[], Awaitable[Exchange]], read: Callable[[Exchange], T | Unread]
    ) -> T | Unread:
        seen = self.api.credentials_version()
        answer = read(await self._exchange(question))
        ended = isinstance(answer, Unread) and answer.token_ended
        if ended and await self.api.refresh_credentials(seen=seen):
            answer = read(await self._exchange(question))
        return answer

    async def _exchange(self, question: Callable[[], Awaitable[Exchange]]) -> Exchange:
        self._pace.sent(await until_turn(self._pace, self._hold))
        exchange = await question()
        self.reads += 1
        self.last = exchange
        if exchange.status == 429:
            self._pace.throttled(self._hold.true_clock.now(), retry_after_seconds(exchange.headers))
        return exchange
