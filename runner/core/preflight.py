"""What the settings of series mean for a plan: orders that cannot succeed, and what a person must know before agreeing.

Decides nothing about a single answer, and never cuts an order to fit: one that cannot be issued whole is held back
whole. What cannot be told holds nothing back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from runner.core.coupon_reads import Unread
from runner.core.model import Exchange, Place
from runner.core.pacing import Rate
from runner.core.series_settings import GENERIC, Moment, SeriesSettings
from runner.core.wording import counted

HELD_BACK = "held_back"
"""The code of the runner that closes an order which the check before the run held back."""

DAY = 86_400.0


class Why(StrEnum):
    """Why orders are held back, or what else is to be known of a series."""

    UNKNOWN = "unknown"
    EXTERNAL = "external"
    EXPIRED = "expired"
    EMPTY = "empty"
    GENERIC = "generic"
    TOO_MANY = "too_many"
    TOO_SOON = "too_soon"
    EXCLUDED = "excluded"
    SHORT = "short"
    EXPIRING = "expiring"
    COUPONS_EXPIRING = "coupons_expiring"
    RESENDS = "resends"
    MIN_DAYS = "min_days"
    EXCLUDES = "excludes"
    MESSAGES = "messages"


DAMAGE = frozenset({Why.SHORT, Why.EXPIRING, Why.COUPONS_EXPIRING})
"""What would leave some customers of a list without what the others get: nobody agrees to it by silence."""


class Hold(NamedTuple):
    """Orders of a series that cannot succeed, and why.

    Which: those whose customer would hold more than `most` of it (None: whatever she holds) and, with `newest_after`,
    those whose customer got one of it since then (seconds since the epoch).
    """

    series: int
    why: Why
    sentence: str
    most: int | None = None
    newest_after: float | None = None


class Remark(NamedTuple):
    """Something to be known of a series before agreeing."""

    series: int
    why: Why
    sentence: str

    @property
    def damage(self) -> bool:
        """Whether somebody has to agree to it."""
        return self.why in DAMAGE


class HeldBack(NamedTuple):
    """Orders of a plan that a reason holds back. `rows`: the first of those that ask for them."""

    series: int
    why: str
    sentence: str
    orders: int
    coupons: int
    rows: tuple[Place, ...]

    def record(self) -> dict[str, object]:
        """The same as JSON values, without the rows."""
        sums = {"orders": self.orders, "coupons": self.coupons}
        return {"series": self.series, "why": self.why, "message": self.sentence, **sums}


class Asked(NamedTuple):
    """What a plan asks of a series: coupons that are missing."""

    series: int
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the check before a run found. `problem`: why it could not be made ("" when it was).

    `settings`: of the series that the API knows. `ignored`: what is held back is sent nonetheless.
    """

    settings: Mapping[int, SeriesSettings] = field(default_factory=dict)
    holds: tuple[Hold, ...] = ()
    remarks: tuple[Remark, ...] = ()
    problem: str = ""
    checked: bool = False
    ignored: bool = False

    @property
    def damage(self) -> tuple[Remark, ...]:
        """What nobody agrees to by silence."""
        return tuple(remark for remark in self.remarks if remark.damage)

    @property
    def messages(self) -> tuple[int, ...]:
        """Series that send their customers a message with each coupon."""
        return tuple(sorted(number for number, one in self.settings.items() if one.messages))

    @property
    def money(self) -> dict[int, Decimal]:
        """What a coupon is worth, of the series where it is money."""
        return {number: one.money for number, one in self.settings.items() if one.money is not None}

    @property
    def percentages(self) -> dict[int, Decimal]:
        """What a coupon takes off in percent, of the series where it does."""
        return {number: one.percentage for number, one in self.settings.items() if one.percentage is not None}

    def code_parts(self) -> list[list[object]]:
        """What a plan code covers beside the orders held back: which reasons there are, not how much of each."""
        return sorted([remark.series, remark.why.value] for remark in self.remarks)

    def record(self, held_back: Iterable[HeldBack] = ()) -> dict[str, object]:
        """The same as JSON values, for programs and for the run that follows. `held_back`: of the plan."""
        return {
            "checked": self.checked,
            "problem": self.problem,
            "ignored": self.ignored,
            "held_back": [one.record() for one in held_back],
            "remarks": [
                {"series": one.series, "why": one.why.value, "message": one.sentence, "damage": one.damage}
                for one in self.remarks
            ],
            "values": {str(number): f"{value:f}" for number, value in sorted(self.money.items())},
            "percentages": {str(number): f"{value:f}" for number, value in sorted(self.percentages.items())},
        }


NOT_CHECKED = Findings()


def values_of_record(record: object) -> dict[int, Decimal]:
    """What a coupon is worth by series, out of what a run recorded; empty where nothing was."""
    values = record.get("values") if isinstance(record, dict) else None
    return {int(number): Decimal(str(value)) for number, value in values.items()} if isinstance(values, dict) else {}


def remarks_of_record(record: object) -> frozenset[tuple[int, str]]:
    """Series and reasons that were told when a run was agreed to, out of what it recorded; empty where nothing was."""
    remarks = record.get("remarks") if isinstance(record, dict) else None
    return frozenset((int(one["series"]), str(one["why"])) for one in remarks or ())


def least_seconds(calls: int, rate: Rate | None) -> float:
    """How long so many calls take at least, by the pace alone; 0 without one."""
    return calls * rate.window_seconds / rate.calls if rate is not None else 0.0


def find_holds(
    series: Iterable[int], settings: Mapping[int, SeriesSettings], *, now: float, end: float
) -> tuple[Hold, ...]:
    """What of these series cannot succeed. A series without settings is one that the API does not know.

    Args:
        now, end: of the run, by its pace; seconds since the epoch.
    """
    found: list[Hold] = []
    for number in series:
        one = settings.get(number)
        if one is None:
            text = "the organisation has no such series: correct the series id"
            found.append(Hold(number, Why.UNKNOWN, text))
        elif one.external:
            text = "another system manages the series, so nothing is issued from it here: name another series"
            found.append(Hold(number, Why.EXTERNAL, text))
        elif one.valid_till is not None and one.valid_till.latest < now:
            text = f"the series expired on {tell(one.valid_till)}: extend it, or name another series"
            found.append(Hold(number, Why.EXPIRED, text))
        elif one.stock == 0:
            text = "the series has no coupon left: upload or create more, or name another series"
            found.append(Hold(number, Why.EMPTY, text))
        else:
            found += _of_orders(one, end)
    return tuple(found)


def _of_orders(one: SeriesSettings, end: float) -> Iterable[Hold]:
    """What a well series cannot give to everybody."""
    if one.handling == GENERIC and (one.cap is None or one.cap > 1):
        text = "the series has one code for everybody, so a customer can get one coupon of it: ask for 1"
        yield Hold(one.id, Why.GENERIC, text, most=1)
    if one.cap is not None:
        each = f"at most {counted(one.cap, 'coupon')} of the series" if one.cap != 1 else "one coupon of the series"
        text = f"a customer may hold {each}, and would hold more: lower the count, or change the series' settings"
        yield Hold(one.id, Why.TOO_MANY, text, most=one.cap)
    if one.min_days is not None:
        text = (
            f"the customer got a coupon of the series less than {counted(one.min_days, 'day')} before, and the series"
            " asks for so many between two: run the same file again later"
        )
        yield Hold(one.id, Why.TOO_SOON, text, newest_after=end - one.min_days * DAY)


def find_remarks(
    asked: Sequence[Asked], settings: Mapping[int, SeriesSettings], *, now: float, end: float, cap: int | None = None
) -> tuple[Remark, ...]:
    """What is to be known of the series that a plan still asks for, once what cannot succeed is held back.

    Args:
        now, end: of the run, by its pace; seconds since the epoch.
        cap: the most coupons that the run may issue.
    """
    found: list[Remark] = []
    here = {number for number, missing in asked if missing}
    for number, missing in asked:
        one = settings.get(number)
        if one is None or not missing:
            continue
        wanted = missing if cap is None else min(missing, cap)
        if one.stock is not None and 0 < one.stock < wanted:
            text = (
                f"{counted(one.stock, 'coupon is', 'coupons are')} left of it and {wanted:,} are to be issued:"
                f" {wanted - one.stock:,} would be refused"
            )
            found.append(Remark(number, Why.SHORT, text))
        if one.valid_till is not None and one.valid_till.earliest <= end and one.valid_till.latest >= now:
            text = f"it expires on {tell(one.valid_till)}, and the run may last until {tell(Moment(end, end))}"
            found.append(Remark(number, Why.EXPIRING, text))
        if one.coupons_end is not None and one.coupons_end.earliest <= end:
            text = f"its coupons themselves expire on {tell(one.coupons_end)}, before the run has ended"
            found.append(Remark(number, Why.COUPONS_EXPIRING, text))
        if one.resends:
            text = (
                "who holds a coupon of it already is sent that one again: nothing new is issued to her, and she is not"
                " asked for again"
            )
            found.append(Remark(number, Why.RESENDS, text))
        if one.min_days is not None:
            text = f"it refuses whoever got a coupon of it in the last {counted(one.min_days, 'day')}, also from others"
            found.append(Remark(number, Why.MIN_DAYS, text))
        if others := sorted(one.excludes - here):
            text = f"it refuses whoever holds a coupon of series {', '.join(map(str, others))}"
            found.append(Remark(number, Why.EXCLUDES, text))
        if one.messages:
            found.append(Remark(number, Why.MESSAGES, "each customer is sent a message with her coupon"))
    return tuple(found)


def exclusions_of(settings: Mapping[int, SeriesSettings]) -> dict[int, frozenset[int]]:
    """Series → the series whose holders get none of it, of those that have any."""
    return {number: one.excludes for number, one in settings.items() if one.excludes}


class WantedOrder(NamedTuple):
    """An order of one customer that misses something. `no`: its number, by its first row."""

    no: int
    series: int


def find_excluded(
    orders: Sequence[WantedOrder], held: Iterable[int], exclusions: Mapping[int, frozenset[int]]
) -> dict[int, int]:
    """Orders of one customer that cannot succeed beside what she holds or is to get first: number → the other series.

    Args:
        orders: hers that miss something, in the order of their rows; of two that exclude each other the earlier is
            kept, since the sequence of calls is nobody's choice.
        held: series of which she holds a coupon.
        exclusions: as `exclusions_of` gives them.
    """
    holding, kept, found = set(held), list[int](), dict[int, int]()
    for order in orders:
        own = exclusions.get(order.series, frozenset())
        other = next((one for one in sorted(own & holding) if one != order.series), None)
        if other is None:
            other = next(
                (one for one in kept if one in own or order.series in exclusions.get(one, frozenset())),
                None,
            )
        if other is None:
            kept.append(order.series)
        else:
            found[order.no] = other
    return found


def excluded_sentence(other: int) -> str:
    """Why an order is held back beside another series."""
    return f"the series goes to nobody who holds a coupon of series {other}, or is to get one: leave one of them out"


def refusal_of(exchange: Exchange | None, unread: Unread) -> str | None:
    """Why the answer to a read is final for every call of a run; None when it is not.

    No access to this read alone (403, 404, 405) says nothing about the calls. A redirect does: credentials follow none.
    """
    if unread.token_ended or (unread.for_all and not unread.again and (exchange is None or exchange.status is None)):
        return unread.problem
    status = exchange.status if exchange is not None and exchange.complete else None
    if status is not None and 300 <= status < 400:
        return f"it sends calls on to another address (HTTP {status}), and none is followed: correct --api-url"
    return unread.problem if status in (413, 415) else None


def tell(moment: Moment) -> str:
    """A time in UTC; only its day where the API told no more."""
    at = datetime.fromtimestamp((moment.earliest + moment.latest) / 2, UTC)
    return f"{at:%Y-%m-%d}" if moment.latest != moment.earliest else f"{at:%Y-%m-%d %H:%M} UTC"
