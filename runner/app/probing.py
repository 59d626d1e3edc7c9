"""Looks up a few customers of a plan, so that a wrong number format shows before a coupon is spent: reads only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from runner.adapters.ledger.checked import Probed
from runner.adapters.ledger.staging import Staging
from runner.app.place import Api, open_api, pace_of
from runner.app.reading import ApiReader
from runner.core.coupon_reads import Unread
from runner.core.probing import Probe, ProbeFound, spread, sum_up
from runner.core.wording import counted
from runner.ports import Clock
from runner.settings import Options

AT_ONCE = 4
"""Look-ups in flight."""

_DEADLINE_SECONDS = 10.0
"""A plan waits no longer for an answer that it can do without, and asks nothing twice."""


def probe_customers(
    staging: Staging, *, api: Api, options: Options, clock: Clock, note: Callable[[str], None]
) -> ProbeFound | None:
    """Look up customers spread over the orders that a run would ask for; None when there are none.

    What cannot be read is said in the outcome and stops nothing.
    """
    chosen = staging.orders_at(spread(staging.count_orders_to_issue()))
    if not chosen:
        return None
    rate = options.rate or ("" if api.loopback else "100/m")
    pace = f" at {rate}" if rate and rate != "none" else ""
    note(f"looking up {counted(len(chosen), 'customer')} spread over the input{pace} (--no-probe leaves this out)")
    return asyncio.run(_probe_all(chosen, api, options, clock))


async def _probe_all(chosen: Sequence[Probed], api: Api, options: Options, clock: Clock) -> ProbeFound:
    patient = options.model_copy(update={"timeout": min(options.timeout, _DEADLINE_SECONDS)})
    found: dict[int, Probe] = {}
    problems: list[str] = []
    async with open_api(patient, api) as coupon_api:
        reader = ApiReader(coupon_api, pace_of(options, api, clock), clock, tries=1)
        left = iter(enumerate(chosen))

        async def worker() -> None:
            for number, one in left:
                found[number] = await _probe(reader, one, problems)

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(AT_ONCE, len(chosen))):
                workers.create_task(worker())
    return sum_up([found[number] for number in range(len(chosen))], problems[0] if problems else None)


async def _probe(reader: ApiReader, one: Probed, problems: list[str]) -> Probe:
    """One customer: whether she exists, and how many coupons of the row's series the API shows."""
    answer = await reader.customer_id(one.kind, one.value)
    if answer.problem is None and answer.customer is None:
        return Probe(one.place, False, None, one.known, one.falls_back)
    exists = True if answer.problem is None else None
    page = await reader.customer_coupons(one.kind, one.value)
    if isinstance(page, Unread):
        problems.append(answer.problem or page.problem)
        return Probe(one.place, exists, None, one.known)
    if exists is None:  # these credentials may not look up, but the list of coupons tells as well
        exists = page.known
    shown = sum(coupon.series == one.series for coupon in page.coupons)
    return Probe(one.place, exists, shown, one.known, one.falls_back)
