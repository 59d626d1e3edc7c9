"""What coupons are worth: by the list of series, else by the API; a percentage is no sum of money."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from runner.core.wording import counted


class FaceValue(NamedTuple):
    """Of one coupon of a series: what it is worth in money, or what it takes off in percent; None: not known."""

    money: Decimal | None = None
    percent: Decimal | None = None


NO_VALUE = FaceValue()


def values_of_run(args: Mapping[str, Any]) -> dict[int, FaceValue]:
    """The values of series as a run remembers them: of its list of series, else of the API's settings then."""
    told = args.get("preflight") or {}
    found = {int(number): FaceValue(percent=Decimal(value)) for number, value in told.get("percentages", {}).items()}
    found |= {int(number): FaceValue(Decimal(value)) for number, value in told.get("values", {}).items()}
    for number, _, _, _, value, _ in (args.get("series_list") or {}).get("entries", ()):
        if value is not None:
            found[int(number)] = FaceValue(Decimal(value))
    return found


def worth_of(coupons: int, value: FaceValue) -> Decimal | None:
    """What so many coupons are worth; None when they are no money, or nobody knows."""
    return coupons * value.money if value.money is not None else None


def tell_worth(coupons: Mapping[int, int], values: Mapping[int, FaceValue]) -> str:
    """What coupons by series are worth: "48,120 coupons, worth 2,406,000"; what is no money, apart; "" if not known."""
    money, percent, others, worth = 0, 0, 0, Decimal(0)
    for series, count in coupons.items():
        value = values.get(series, NO_VALUE)
        if value.money is not None:
            money += count
            worth += count * value.money
        elif value.percent is not None:
            percent += count
        else:
            others += count
    parts = []
    if money:
        parts.append(f"{counted(money, 'coupon')}, worth {worth:,f}")
    if percent:
        parts.append(f"{counted(percent, 'coupon')} that {'takes' if percent == 1 else 'take'} off a percentage")
    if parts and others:
        parts.append(f"{counted(others, 'coupon')} of series whose value is not known")
    return "; ".join(parts)
