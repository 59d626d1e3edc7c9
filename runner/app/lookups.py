"""Rows that are sent by another identifier than the campaign's first one are looked up before anything is decided.

So a customer whom the campaign issued to by mobile is not issued to again by e-mail. Only reads are sent, at the run's
pace; a row whose customer cannot be told is rejected with the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from runner import retrying
from runner.adapters.ledger.staging import Asked, Campaign, Staging
from runner.app.place import Api, open_api
from runner.core.lookups import LookUp, read_lookup
from runner.core.model import Exchange, Kind
from runner.core.pacing import Pace, reach_wait
from runner.ports import Clock
from runner.settings import Options

if TYPE_CHECKING:
    from runner.adapters.coupon_api import CouponApi

TRIES = 4
"""How often one customer is asked for before her row is given up: it is a read, so asking again does no harm."""

AT_ONCE = 4
"""Look-ups in flight."""

ALIKE = 3
"""Customers in a row without an answer, after which nobody else is asked."""

_PAGE = 500


def look_up_customers(
    staging: Staging,
    campaign: Campaign,
    *,
    identify_by: Sequence[Kind],
    api: Api,
    options: Options,
    clock: Clock,
    note: Callable[[str], None],
) -> None:
    """Ask the API who the customers are that a row names by another kind than the first of `identify_by`.

    The customer id found joins the row's names; "not found" leaves the row as it is; anything else rejects it.
    """
    count = staging.find_unmet(campaign, first=identify_by[0]) if len(identify_by) > 1 else 0
    if not count:
        return
    rate = options.rate or ("" if api.loopback else "100/m")
    pace_told = f" at {rate}" if rate and rate != "none" else ""
    plural = "customers are" if count > 1 else "customer is"
    note(f"{count:,} {plural} named by another identifier than {identify_by[0]}: looking them up{pace_told}")
    asyncio.run(_look_up_all(staging, api, options, clock))


async def _look_up_all(staging: Staging, api: Api, options: Options, clock: Clock) -> None:
    async with open_api(options, api) as coupon_api:
        asker = _Asker(coupon_api, Pace(options.parsed_rate(loopback=api.loopback)), clock)
        after = 0
        while page := staging.unmet(after, _PAGE):
            after = page[-1].number
            found = await asker.ask_all(page)
            staging.answer_lookups((asked, answer.customer, answer.problem) for asked, answer in found)
        await asker.leave_a_gap()


class _Asker:
    """Asks about customers, several at once, never faster than the pace; stops asking once no answer can be had."""

    def __init__(self, api: CouponApi, pace: Pace, clock: Clock) -> None:
        self._api, self._pace, self._clock = api, pace, clock
        self._hopeless: LookUp | None = None
        self._unanswered = 0

    async def ask_all(self, page: Sequence[Asked]) -> list[tuple[Asked, LookUp]]:
        answers: dict[int, LookUp] = {}
        left = iter(page)

        async def worker() -> None:
            for asked in left:
                answers[asked.number] = await self._ask(asked)

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(AT_ONCE, len(page))):
                workers.create_task(worker())
        return [(asked, answers[asked.number]) for asked in page]

    async def leave_a_gap(self) -> None:
        """The run's first call keeps its distance from the last look-up."""
        await self._wait_for_slot()

    async def _ask(self, asked: Asked) -> LookUp:
        if self._hopeless is not None:
            return self._hopeless
        _, answer = await retrying.until(
            lambda: self._ask_once(asked),
            first=await self._ask_once(asked),
            settled=lambda answer: not answer.again or self._hopeless is not None,
            wait_seconds=lambda attempt, _: reach_wait(attempt, self._clock.chance()),
            give_up=lambda attempt, _: attempt >= TRIES,
            clock=self._clock,
        )
        self._unanswered = self._unanswered + 1 if answer.again else 0
        if answer.for_all or self._unanswered >= ALIKE:
            self._hopeless = answer._replace(again=False)
        return answer

    async def _ask_once(self, asked: Asked) -> LookUp:
        seen = self._api.credentials_version()
        answer = read_lookup(await self._exchange(asked))
        if answer.token_ended and await self._api.refresh_credentials(seen=seen):
            answer = read_lookup(await self._exchange(asked))
        return answer

    async def _exchange(self, asked: Asked) -> Exchange:
        await self._wait_for_slot()
        exchange = await self._api.lookup(asked.kind, asked.value)
        if exchange.status == 429:
            after = exchange.headers.get("retry-after", "")
            self._pace.throttled(self._clock.now(), float(after) if after.isdecimal() else None)
        return exchange

    async def _wait_for_slot(self) -> None:
        while True:
            now = self._clock.now()
            slot = self._pace.next_slot(now)
            if slot > now:
                await self._clock.sleep(slot - now)
            if self._clock.now() >= self._pace.blocked_until:
                return
