"""What the API itself says: which of a customer's coupons are ours, and how many of a series were issued elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import closing

from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.ownership import Owner, owners_of
from runner.app.conversation import Request
from runner.app.place import Api, api_of, open_api, pace_of, place_of
from runner.app.reading import ApiReader
from runner.core.auditing import Check, Findings, Verdict, check
from runner.core.coupon_reads import CouponDetail, CouponPage, CustomerCoupon, Unread
from runner.core.identity import read_identifier
from runner.core.model import Kind
from runner.core.reporting import write_time
from runner.core.series_settings import read_issued
from runner.errors import CouponRunnerError
from runner.ports import Clock
from runner.settings import Options

ELSEWHERE = "issued elsewhere"
_SERIES_AT_ONCE = 20
_KINDS = (Kind.MOBILE, Kind.EMAIL, Kind.EXTERNAL_ID)


# ── a customer's coupons ─────────────────────────────────────────────────────────────────────────────────────────────


def coupons_of_customer(
    text: str, orders: Sequence[Mapping[str, object]], ledger: LedgerFile, request: Request, *, clock: Clock
) -> dict[str, object]:
    """Each coupon that the API shows of a customer, marked ours (run, file, row) or not ours.

    Args:
        text: as she was looked for.
        orders: hers, as `find` gives them.

    Returns:
        `live`: the coupons; `live_problem`: why they are not, or not all, known; "" when they are.

    Raises:
        SettingsError: no address or credentials. LockHeld: a rehearsal is under way.
    """
    names = [(str(one["kind"]), str(one["customer"])) for one in orders if one["customer"]]
    if not names:
        read = [(kind, read_identifier(kind, text, request.options.region)) for kind in _KINDS]
        names = [(kind.value, name.written) for kind, name in read if not isinstance(name, str)]
    place = place_of(request.options, request.environment)
    with api_of(request.options, place, request.environment) as api:
        coupons, details, problem = asyncio.run(_read_customer(api, request.options, list(dict.fromkeys(names)), clock))
    sources = {(detail.series, detail.code): detail for detail in details}
    keys = [str(one["order"]) for one in orders]
    owners = owners_of(ledger, keys, [(coupon.id, coupon.code) for coupon in coupons])
    return {
        "live": [
            _coupon(coupon, owners[coupon.id, coupon.code], sources.get((coupon.series, coupon.code)))
            for coupon in coupons
        ],
        "live_problem": problem,
    }


def _coupon(coupon: CustomerCoupon, owner: Owner, detail: CouponDetail | None) -> dict[str, object]:
    owned = owner.owned
    if owned is not None:
        whose = "ours"
    elif owner.elsewhere:
        whose = "recorded for another customer"
    else:
        whose = "not ours"
    source = " ".join(filter(None, (detail.source_type, detail.source))) if detail is not None else ""
    return {
        "code": coupon.code,
        "coupon_id": coupon.id,
        "series": coupon.series,
        "created": write_time(coupon.created),
        "redeemed": coupon.redeemed,
        "whose": whose,
        "state": owned.state if owned else "",
        "campaign": owned.campaign if owned else "",
        "run": owned.run if owned else "",
        "file": owned.file if owned else "",
        "sheet": owned.sheet if owned else "",
        "row": owned.row if owned else None,
        "call": owned.call if owned else owner.elsewhere,
        "source": source,
    }


async def _read_customer(
    api: Api, options: Options, names: Sequence[tuple[str, str]], clock: Clock
) -> tuple[list[CustomerCoupon], Sequence[CouponDetail], str]:
    """The coupons under all her names, once each; the metadata of their calls; and what could not be read."""
    found: dict[tuple[str, str], CustomerCoupon] = {}
    customers, problems, known = list[str](), list[str](), False
    details: list[CouponDetail] = []
    async with open_api(options, api) as opened:
        reader = ApiReader(opened, pace_of(options, api, clock), clock)
        for kind, value in names:
            page = await reader.customer_coupons(kind, value)
            if isinstance(page, Unread):
                problems.append(page.problem)
                continue
            known = known or page.known
            _add(page, found, customers)
        for customer in customers:
            told = await reader.details(customer)
            if isinstance(told, Unread):
                problems.append(f"what issued them is not known: {told.problem}")
            else:
                details += told
    if not known and not problems:
        problems.append("the API knows no such customer")
    return list(found.values()), details, "; ".join(dict.fromkeys(problems))


def _add(page: CouponPage, found: dict[tuple[str, str], CustomerCoupon], customers: list[str]) -> None:
    if page.customer is not None and page.customer not in customers:
        customers.append(page.customer)
    for coupon in page.coupons:
        found.setdefault((coupon.id, coupon.code), coupon)


# ── issued elsewhere ─────────────────────────────────────────────────────────────────────────────────────────────────


def issued_elsewhere(ledger: LedgerFile, request: Request, *, clock: Clock) -> Check:
    """How many coupons of each series were issued by others than this ledger; in words why not, when nobody tells."""
    with closing(ledger.connect(readonly=True)) as conn:
        rows = conn.exec_driver_sql(
            "SELECT o.series, count(*) FROM coupons k JOIN orders o ON o.id = k.order_id"
            " WHERE k.state NOT IN ('resent', 'repeated') GROUP BY o.series ORDER BY o.series"
        ).all()
    ours = {int(series): int(count) for series, count in rows}
    if not ours:
        return Check(name=ELSEWHERE, verdict=Verdict.OK, sentence="this ledger has issued nothing yet")
    try:
        with api_of(request.options, place_of(request.options, request.environment), request.environment) as api:
            found = asyncio.run(_read_issued(api, request.options, list(ours), clock))
    except CouponRunnerError as error:
        return _not_looked(error.message)
    return _not_looked(found.problem) if isinstance(found, Unread) else judge_elsewhere(ours, found)


def judge_elsewhere(ours: Mapping[int, int], told: Mapping[int, int]) -> Check:
    """What the API's counts mean beside ours. Fewer than we hold is WRONG: it denies coupons that it gave us."""
    wrong, others = Findings(), Findings()
    for series, count in ours.items():
        total = told.get(series)
        if total is None:
            others.add(f"series {series}: the API does not say how many were issued; {count:,} by this ledger")
        elif total < count:
            wrong.add(f"series {series}: the API counts {total:,} issued, this ledger holds {count:,}")
        elif total > count:
            others.add(
                f"series {series}: {total - count:,} of {total:,} coupons were issued by others than this ledger"
            )
    if not wrong.count and others.count:
        bad = "of {count} series others issued coupons too, or it is not known"
        return check(ELSEWHERE, others, good="", bad=bad, otherwise=Verdict.LIMIT)
    good = f"all coupons of {len(ours):,} series were issued by this ledger"
    return check(ELSEWHERE, wrong, good=good, bad="{count} series count fewer coupons than this ledger holds")


def _not_looked(why: str) -> Check:
    return Check(name=ELSEWHERE, verdict=Verdict.LIMIT, sentence=f"not known: {why}")


async def _read_issued(api: Api, options: Options, series: Sequence[int], clock: Clock) -> dict[int, int] | Unread:
    found: dict[int, int] = {}
    async with open_api(options, api) as opened:
        reader = ApiReader(opened, pace_of(options, api, clock), clock)
        for start in range(0, len(series), _SERIES_AT_ONCE):
            part = series[start : start + _SERIES_AT_ONCE]
            answer = await reader.ask("series", lambda part=part: opened.read_series(part), read_issued)  # type: ignore[misc]
            if isinstance(answer, Unread):
                return answer
            found |= answer
    return found
