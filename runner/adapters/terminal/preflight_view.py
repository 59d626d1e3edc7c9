"""What the settings of the series say of a plan, for whoever is to agree: what is held back and where, what is odd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from rich.console import Console

from runner.adapters.terminal.screens import put, put_folded
from runner.adapters.terminal.texts import listed
from runner.core.model import Place
from runner.core.plan import Plan
from runner.core.preflight import Findings, HeldBack
from runner.core.wording import counted, series_word

ROWS_SHOWN = 8
REASONS_SHOWN = 12
SERIES_SHOWN = 12


def show_preflight(
    console: Console,
    held_back: Sequence[HeldBack],
    findings: Findings,
    files: Sequence[str],
    names: Mapping[int, str],
) -> None:
    """What is held back, by series and reason with its rows; then what else is to be known; nothing when all is well.

    `files`: names in the order of `Place.file`. `names`: of series, by id.
    """
    if findings.problem:
        put(console)
        put_folded(
            console,
            f"The settings of the series are not known: {findings.problem}. Whether they exist, have expired or have"
            " coupons left shows only when it is issued.",
            style="yellow",
        )
    if held_back:
        put(console)
        put_folded(console, held_back_sentence(held_back, findings), style="bold yellow")
    for one in held_back[:REASONS_SHOWN]:
        put_folded(
            console,
            f"Series {series_word(one.series, names)}: {counted(one.orders, 'order')}"
            f" ({counted(one.coupons, 'coupon')}), {one.sentence}; {tell_rows(one, files)}",
            first="- ",
        )
    if len(held_back) > REASONS_SHOWN:
        rest = held_back[REASONS_SHOWN:]
        put(console, f"- and {counted(sum(one.orders for one in rest), 'order')} for {len(rest):,} more reasons")
    if findings.remarks:
        put(console)
    for why, alike in groupby(sorted(findings.remarks, key=lambda one: (not one.damage, one.why)), lambda one: one.why):
        found = list(alike)
        for remark in found[:SERIES_SHOWN]:
            style = "bold yellow" if remark.damage else ""
            text = f"Series {series_word(remark.series, names)}: {remark.sentence}."
            put_folded(console, text, first="- ", style=style)
        if len(found) > SERIES_SHOWN:
            put(console, f"- and {len(found) - SERIES_SHOWN:,} more series of which the same is to be said ({why})")


def held_back_sentence(held_back: Sequence[HeldBack], findings: Findings) -> str:
    """How much cannot succeed, and what becomes of it."""
    orders = sum(one.orders for one in held_back)
    coupons = sum(one.coupons for one in held_back)
    text = f"{counted(orders, 'order')} ({counted(coupons, 'coupon')}) cannot succeed, as the series are set up"
    if findings.ignored:
        return f"{text}, and {'is' if orders == 1 else 'are'} sent nonetheless (--ignore-preflight)"
    return f"{text}: held back, not sent (--ignore-preflight sends {'it' if orders == 1 else 'them'})"


def tell_rows(one: HeldBack, files: Sequence[str]) -> str:
    """Which rows ask for what is held back, the first of them by number: "rows 3, 17 and 9 more"."""
    sheets = {(place.file, place.sheet) for place in one.rows}
    several = len(sheets) > 1

    def tell(place: Place) -> str:
        if not several:
            return str(place.row)
        where = files[place.file] if place.file < len(files) else ""
        return f"{place.row} of {' '.join(filter(None, (place.sheet, where)))}"

    shown = listed(map(tell, one.rows[:ROWS_SHOWN]), ROWS_SHOWN)
    rest = one.orders - min(len(one.rows), ROWS_SHOWN)
    more = f" and {rest:,} more" if rest else ""
    return f"row {shown}" if one.orders == 1 else f"rows {shown}{more}"


def preflight_json(plan: Plan, findings: Findings, files: Sequence[str]) -> dict[str, object]:
    """The same for programs, with the first rows of each reason."""
    held_back = [
        {
            **one.record(),
            "rows": [
                {"file": files[place.file] if place.file < len(files) else None, "sheet": place.sheet, "row": place.row}
                for place in one.rows
            ],
        }
        for one in plan.held_back
    ]
    return {**findings.record(), "held_back": held_back}
