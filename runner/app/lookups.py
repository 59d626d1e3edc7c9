"""Rows that are sent by another identifier than the campaign's first one are looked up before anything is decided.

So a customer whom the campaign issued to by mobile is not issued to again by e-mail. Only reads are sent, at the run's
pace; a row whose customer cannot be told is rejected with the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from runner.adapters.ledger.staged import Asked, Campaign
from runner.adapters.ledger.staging import Staging
from runner.app.place import Api, open_api, pace_of
from runner.app.reading import ApiReader
from runner.core.lookups import LookUp
from runner.core.model import Kind
from runner.ports import Clock
from runner.settings import Options

AT_ONCE = 4
"""Look-ups in flight."""

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
        reader = ApiReader(coupon_api, pace_of(options, api, clock), clock)
        after = 0
        while page := staging.unmet(after, _PAGE):
            after = page[-1].number
            found = await _ask_all(reader, page)
            staging.answer_lookups((asked, answer.customer, answer.problem) for asked, answer in found)
        await reader.leave_a_gap()


async def _ask_all(reader: ApiReader, page: Sequence[Asked]) -> list[tuple[Asked, LookUp]]:
    """Ask about a page of customers, several at once."""
    answers: dict[int, LookUp] = {}
    left = iter(page)

    async def worker() -> None:
        for asked in left:
            answers[asked.number] = await reader.customer_id(asked.kind, asked.value)

    async with asyncio.TaskGroup() as workers:
        for _ in range(min(AT_ONCE, len(page))):
            workers.create_task(worker())
    return [(asked, answers[asked.number]) for asked in page]
