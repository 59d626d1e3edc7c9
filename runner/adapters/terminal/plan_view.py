"""A plan as a person needs it before saying yes: what was understood, both sums, the series, and what is odd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from rich.console import Console

from runner.adapters.terminal.layout import Column, tabulate
from runner.adapters.terminal.preflight_view import preflight_json, show_preflight
from runner.adapters.terminal.rejections import ReasonCount, reason_counts, show_rejected
from runner.adapters.terminal.screens import put, put_folded, put_table
from runner.adapters.terminal.texts import listed
from runner.core.checking import ProblemKind
from runner.core.face_value import FaceValue, tell_worth
from runner.core.forecast import NOT_KNOWN, Forecast, Limit, decided_words
from runner.core.plan import OverlapSeen, Plan, SeriesPlan
from runner.core.preflight import NOT_CHECKED, Findings
from runner.core.wording import counted, duration, series_word

SERIES_SHOWN = 12
OVERLAPS_SHOWN = 10
ROWS_SHOWN = 5

REHEARSAL_BANNER = (
    "REHEARSAL on the sandbox of this machine: it checks the file, not whether the customers or the series exist in"
    " your organisation. No coupon is issued to anyone."
)


class ColumnSeen(NamedTuple):
    """What was understood of one column: its heading, its role, and in words what its cells look like."""

    heading: str
    role: str
    profile: str


class SeriesSeen(NamedTuple):
    """What the list of series, else the API, says of one: its name, what a coupon is worth, how many there may be.

    `short`: by how many coupons `max_total` falls short of what is to be issued. `percent`: what a coupon takes off,
    where it is no money.
    """

    name: str = ""
    value: Decimal | None = None
    max_total: int | None = None
    short: int = 0
    percent: Decimal | None = None


NO_LIST: Mapping[int, SeriesSeen] = MappingProxyType({})


def show_plan(
    plan: Plan,
    *,
    console: Console,
    campaign: str,
    org: str,
    rehearsal: bool,
    files: Sequence[str],
    columns: Sequence[ColumnSeen],
    rate: str = "",
    pace_advice: str = "",
    until: str = "",
    ahead: Forecast = NOT_KNOWN,
    unfinished: str = "",
    cap: int | None = None,
    reasons: Mapping[str, int] | None = None,
    first: Sequence[str] = (),
    listed_series: Mapping[int, SeriesSeen] = NO_LIST,
    kinds: Sequence[ProblemKind] | None = None,
    report: Sequence[str] = (),
    probe: Sequence[str] = (),
    findings: Findings = NOT_CHECKED,
) -> None:
    """Show what a run would do, in the fewest lines that leave nothing out.

    `files`: names in the order of `Place.file`. `rate`, `until`: such as "100/m" and "16:42 IST"; `ahead`: how
    long that is.
    `unfinished`: a sentence about an unfinished run of the campaign. `cap`: the most coupons this run may issue.
    `reasons`: rows by reason over *all* rejected rows; without it the reasons of `plan.examples` are counted, and it is
    said that they are only the first. `first`: what has to be read before all else. `listed_series`: what the list of
    series says, by id. `kinds`: the problems of all rejected rows, commonest first. `report`: the check report's files.
    `probe`: what a probe of the customers found, in sentences. `findings`: what the settings of the series say.
    """
    if rehearsal:
        put_folded(console, REHEARSAL_BANNER, style="bold yellow")
        put(console)
    for sentence in first:
        put_folded(console, sentence, style="bold yellow")
        put(console)
    put_folded(console, f"{campaign} (of {org})", first="Campaign  ", style="bold")
    put_folded(console, listed(files, 6), first="Files     " if len(files) > 1 else "File      ")
    _show_columns(console, columns)
    put(console)
    put_folded(console, rows_sum(plan), first="Rows      ", style="bold")
    put_folded(console, coupons_sum(plan), first="Coupons   ", style="bold")
    if worth := worth_sentence(plan.series, listed_series):
        put_folded(console, worth, first="Worth     ", style="bold")
    put_folded(console, effort(plan, rate, until, ahead), first="Calls     ")
    if pace_advice:
        put_folded(console, pace_advice, first="Note      ", style="yellow")
    if cap is not None:
        put_folded(console, _cap_sentence(plan, cap), first="Cap       ", style="yellow" if plan.missing > cap else "")
    if unfinished:
        put_folded(console, unfinished, first="Note      ", style="yellow")
    _show_series(console, plan.series, listed_series)
    _show_limits(console, plan.series, listed_series)
    show_preflight(
        console, plan.held_back, findings, files, {number: seen.name for number, seen in listed_series.items()}
    )
    _show_remarks(console, plan)
    _show_overlaps(console, plan.overlaps)
    show_rejected(console, plan, files, reasons, kinds)
    if probe:
        put(console)
    for number, sentence in enumerate(probe):
        put_folded(console, sentence, style="" if number == 0 else "bold yellow")
    if report:
        put(console)
        put_folded(console, " and ".join(report), first="Check report  ", style="bold")


def rows_sum(plan: Plan) -> str:
    """ "12,000 rows = 11,640 used + 300 rejected + 60 duplicates"."""
    return (
        f"{counted(plan.rows, 'row')} = {plan.used:,} used + {plan.rejected:,} rejected"
        f" + {counted(plan.duplicate_rows, 'duplicate')}"
    )


def coupons_sum(plan: Plan) -> str:
    """What the customers are to hold, less what they hold and what is in doubt, is what is to be issued.

    Orders that hold more than their target, and closed ones, which ask for nothing, make a term of their own.
    """
    text = f"{plan.target:,} wanted - {plan.issued:,} issued before - {plan.held:,} in doubt"
    if plan.back:
        text += f" - {plan.back:,} held back"
    beside = plan.missing - (plan.target - plan.issued - plan.held - plan.back)
    if beside > 0:
        text += f" + {beside:,} held above their target"
    elif beside < 0:
        text += f" - {-beside:,} not to be asked for again"
    return f"{text} = {plan.missing:,} to issue"


def effort(plan: Plan, rate: str = "", until: str = "", ahead: Forecast = NOT_KNOWN) -> str:
    """How many calls, at what pace; where that is worth saying, how long it takes, what decides it, until when."""
    if not plan.missing:
        return "none: nothing is missing"
    orders = sum(one.orders for one in plan.series)
    text = f"at least {counted(plan.calls, 'call')} for {counted(orders, 'order')}"
    if not until or ahead.seconds is None:
        return text + (f", at most {rate}" if rate else "") + (f", until {until}" if until else "")
    pace = f" at {'' if ahead.limit is Limit.PACE else 'most '}{rate}" if rate else ""
    return f"{text}; about {duration(ahead.seconds)}{pace}, {decided_words(str(ahead))}; until {until}"


def remarks(plan: Plan) -> list[str]:
    """What is odd about the plan, a sentence each."""
    sentences = []
    if plan.below:
        sentences.append(
            f"{counted(plan.below, 'order asks', 'orders ask')} for fewer coupons than were issued already: nothing is"
            " taken back and nothing more is issued for them."
        )
    if plan.replaced:
        sentences.append(
            f"{counted(plan.replaced, 'revoked coupon')} of these customers"
            f" {'counts' if plan.replaced == 1 else 'count'} as issued no more (--reissue-revoked): what is missing by"
            " that is issued anew."
        )
    if plan.leavers:
        sentences.append(
            f"{counted(plan.leavers, 'order')} of earlier runs of this campaign"
            f" {'holds' if plan.leavers == 1 else 'hold'} coupons, but {'is' if plan.leavers == 1 else 'are'} in no row"
            " now: what was issued stays issued."
        )
    if plan.skipped:
        sentences.append(
            f"{counted(plan.skipped, 'order is', 'orders are')} skipped, because another campaign gave these customers"
            " the series already (--overlap skip)."
        )
    if plan.with_others is not None:
        sentences.append(
            f"{counted(plan.with_others, 'order has', 'orders have')} another identifier to fall back to, should the"
            " API not know the first (--fall-back)."
        )
    if plan.lines > plan.used + plan.duplicate_rows:
        sentences.append(
            f"Some rows name several series: {counted(plan.rows - plan.rejected, 'valid row')} make"
            f" {counted(plan.lines, 'line')}, one for each row and series."
        )
    return sentences


def _cap_sentence(plan: Plan, cap: int) -> str:
    if plan.missing > cap:
        return f"at most {counted(cap, 'coupon')} in this run: {plan.missing - cap:,} of those to issue will be left"
    return f"at most {counted(cap, 'coupon')} in this run"


def _show_columns(console: Console, columns: Sequence[ColumnSeen]) -> None:
    if not columns:
        return
    table = tabulate(
        [{"heading": one.heading, "role": one.role, "profile": one.profile} for one in columns],
        [
            Column("heading", "column of the file"),
            Column("role", "understood as"),
            Column("profile", "holds", wraps=True),
        ],
        width=console.width,
        indent="  ",
    )
    put(console)
    put_table(console, table)


_SERIES_COLUMNS = (
    Column("series", "series"),
    Column("orders", "orders", right=True),
    Column("target", "wanted", right=True),
    Column("issued", "issued", right=True),
    Column("held", "in doubt", right=True),
    Column("missing", "to issue", right=True),
    Column("calls", "calls", right=True),
)


def _show_series(
    console: Console, series: Sequence[SeriesPlan], listed_series: Mapping[int, SeriesSeen] = NO_LIST
) -> None:
    """The series, those with most to issue first; beyond twelve the rest as one line that still adds up."""
    if not series:
        return
    shown = sorted(series, key=lambda one: (-one.missing, one.series)) if len(series) > SERIES_SHOWN else list(series)
    shown, rest = shown[:SERIES_SHOWN], shown[SERIES_SHOWN:]
    rows = [_series_row(_name(one.series, listed_series), (one,), listed_series) for one in shown]
    if rest:
        rows.append(_series_row(f"{len(rest):,} more", rest, listed_series))
    if len(series) > 1:
        rows.append(_series_row(f"all {len(series):,}", series, listed_series))
    valued = any(one.value is not None or one.percent is not None for one in listed_series.values())
    columns = (*_SERIES_COLUMNS, Column("worth", "face value", right=True)) if valued else _SERIES_COLUMNS
    if any(one.back for one in series):
        columns = (*columns[:5], Column("back", "held back", right=True), *columns[5:])
    put(console)
    put_table(console, tabulate(rows, columns, width=console.width, indent="  "))


def _name(series: int, listed_series: Mapping[int, SeriesSeen]) -> str:
    seen = listed_series.get(series)
    return series_word(series, {series: seen.name} if seen is not None else {})


def _series_row(name: str, several: Sequence[SeriesPlan], listed_series: Mapping[int, SeriesSeen]) -> dict[str, str]:
    keys = ("orders", "target", "issued", "held", "back", "missing")
    sums = {key: sum(getattr(one, key) for one in several) for key in keys}
    worth = face_value(several, listed_series)
    percent = listed_series.get(several[0].series, SeriesSeen()).percent if len(several) == 1 else None
    return {"series": name, **{key: f"{value:,}" for key, value in sums.items()}} | {
        "calls": f"{sum(one.calls for one in several):,}",
        "worth": f"{percent:f} %" if worth is None and percent is not None else "" if worth is None else f"{worth:,f}",
    }


def worth_sentence(series: Sequence[SeriesPlan], listed_series: Mapping[int, SeriesSeen]) -> str:
    """What is to be issued is worth; "" when that is not known."""
    values = {number: FaceValue(seen.value, seen.percent) for number, seen in listed_series.items()}
    return tell_worth({one.series: one.missing for one in series}, values)


def face_value(series: Sequence[SeriesPlan], listed_series: Mapping[int, SeriesSeen]) -> Decimal | None:
    """What the coupons to be issued are worth; None unless each of these series has a value."""
    worth = Decimal(0)
    for one in series:
        seen = listed_series.get(one.series)
        if seen is None or seen.value is None:
            return None
        worth += one.missing * seen.value
    return worth


def _show_limits(console: Console, series: Sequence[SeriesPlan], listed_series: Mapping[int, SeriesSeen]) -> None:
    short = [(one.series, listed_series[one.series]) for one in series if one.series in listed_series]
    short = [(number, seen) for number, seen in short if seen.short]
    if short:
        put(console)
    for number, seen in short:
        put_folded(
            console,
            f"Series {_name(number, listed_series)}: its limit of {seen.max_total or 0:,} coupons in this campaign"
            f" (max_total) does not suffice, {counted(seen.short, 'coupon')} of those to issue will be left.",
            first="- ",
            style="yellow",
        )


def _show_remarks(console: Console, plan: Plan) -> None:
    sentences = remarks(plan)
    if sentences:
        put(console)
    for sentence in sentences:
        put_folded(console, sentence, first="- ")


def _show_overlaps(console: Console, overlaps: Sequence[OverlapSeen]) -> None:
    if not overlaps:
        return
    orders = sum(one.orders for one in overlaps)
    put(console)
    put_folded(
        console,
        f"Already issued elsewhere: {counted(orders, 'order')} whose customer has the series from another campaign",
        style="bold yellow",
    )
    for one in sorted(overlaps, key=lambda one: -one.orders)[:OVERLAPS_SHOWN]:
        rows = listed(map(str, one.rows), ROWS_SHOWN)
        which = f", for example row {rows}" if len(one.rows) == 1 else f", for example rows {rows}" if rows else ""
        put_folded(console, f"{counted(one.orders, 'order')}: {one.where}{which}", first="- ")
    if len(overlaps) > OVERLAPS_SHOWN:
        rest = sorted(overlaps, key=lambda one: -one.orders)[OVERLAPS_SHOWN:]
        orders_left = sum(one.orders for one in rest)
        put(console, f"- and {counted(orders_left, 'more order')} in {counted(len(rest), 'more place')}")


def plan_json(
    plan: Plan,
    *,
    campaign: str,
    org: str,
    rehearsal: bool,
    files: Sequence[str],
    columns: Sequence[ColumnSeen],
    rate: str = "",
    pace_advice: str = "",
    until: str = "",
    ahead: Forecast = NOT_KNOWN,
    unfinished: str = "",
    cap: int | None = None,
    reasons: Mapping[str, int] | None = None,
    first: Sequence[str] = (),
    listed_series: Mapping[int, SeriesSeen] = NO_LIST,
    findings: Findings = NOT_CHECKED,
) -> dict[str, object]:
    """The same for programs, whole: every series and overlap, and all examples that the plan holds."""
    counts = [ReasonCount(*item) for item in reasons.items()] if reasons is not None else reason_counts(plan.examples)
    return {
        "org": org,
        "campaign": campaign,
        "rehearsal": rehearsal,
        "files": list(files),
        "first": list(first),
        "columns": [one._asdict() for one in columns],
        "rows": {
            "total": plan.rows,
            "used": plan.used,
            "rejected": plan.rejected,
            "duplicates": plan.duplicate_rows,
        },
        "lines": plan.lines,
        "orders": plan.orders,
        "coupons": {
            "target": plan.target,
            "issued_before": plan.issued,
            "in_doubt": plan.held,
            "to_issue": plan.missing,
            "replaced": plan.replaced,
            "held_back": plan.back,
        },
        "calls": plan.calls,
        "below_issued": plan.below,
        "leavers": plan.leavers,
        "with_others": plan.with_others,
        "skipped": plan.skipped,
        "series": [
            {
                "series": one.series,
                "orders": one.orders,
                "target": one.target,
                "issued_before": one.issued,
                "in_doubt": one.held,
                "held_back": one.back,
                "to_issue": one.missing,
                "calls": one.calls,
                **_listed_json(one, listed_series),
            }
            for one in plan.series
        ],
        "overlaps": [{"where": one.where, "orders": one.orders, "rows": list(one.rows)} for one in plan.overlaps],
        "rejected_examples": [
            {
                "file": files[place.file] if place.file < len(files) else None,
                "sheet": place.sheet,
                "row": place.row,
                "problems": [{"column": one.column, "message": one.message} for one in problems],
            }
            for place, problems in plan.examples
        ],
        "preflight": preflight_json(plan, findings, files),
        "reasons": [{"reason": one.reason, "rows": one.rows} for one in counts],
        "reasons_of_all": reasons is not None or len(plan.examples) >= plan.rejected,
        "rate": rate,
        "pace_advice": pace_advice,
        "until": until,
        "seconds": None if ahead.seconds is None else round(ahead.seconds, 1),
        "decided_by": str(ahead),
        "unfinished": unfinished,
        "max_coupons": cap,
        "digest": plan.digest,
    }


def _listed_json(one: SeriesPlan, listed_series: Mapping[int, SeriesSeen]) -> dict[str, object]:
    seen = listed_series.get(one.series, SeriesSeen())
    worth = face_value((one,), listed_series)
    return {
        "name": seen.name,
        "value": None if seen.value is None else str(seen.value),
        "face_value": None if worth is None else str(worth),
        "percent": None if seen.percent is None else f"{seen.percent:f}",
        "max_total": seen.max_total,
        "short": seen.short,
    }
