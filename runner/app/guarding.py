"""The guards of a run, put together from its options, its list of series and the ledger."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from runner.adapters.ledger.bounds import holders_above, missing_by_series, spent_by_series
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.runs import RunFacts, issued_by_series
from runner.app.input_files import list_of_record
from runner.core.guards import LeftOut, Threshold, leave_out, millionths, money, parse_threshold
from runner.core.hours import Hours, closes_at, ends_at, opens_at, parse_deadline, parse_hours
from runner.core.preflight import values_of_record
from runner.core.wording import counted, series_word
from runner.errors import NotNow, SettingsError, UsageError
from runner.settings import Options, zone_of
from runner.waiting import Stop, StopKind

DOUBTS_IN_A_ROW = 20
DOUBTS_SHARE = 0.01


# ── caps ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What bounds one execution of a run, as the engine needs it. Money in millionths.

    `left_out`: the orders that `--max-per-customer` leaves out.
    """

    series_limits: Mapping[int, int]
    series_issued: Mapping[int, int]
    max_value: int | None
    spent_value: int
    values: Mapping[int, int]
    left_out: LeftOut
    max_errors: Threshold
    doubts_in_a_row: int
    doubts_share: float


def bounds_of(ledger: LedgerFile, run: RunFacts, options: Options) -> Bounds:
    """The guards as they stand now: what was issued, or may have been, counts over all executions."""
    listed = list_of_record(run.args.get("series_list"))
    limits = listed.series.limits if listed is not None else {}
    most, values, spent_value = None, dict[int, int](), 0
    if options.max_value is not None:
        spent = spent_by_series(ledger, run.id)
        values = values_of(run)
        check_values(values, {*spent, *missing_by_series(ledger, run.id)})
        most, spent_value = millionths(options.max_value), sum(values[one] * count for one, count in spent.items())
    left_out = LeftOut()
    if options.max_per_customer is not None:
        holders = holders_above(ledger, run.id, run.scope_id, options.max_per_customer)
        left_out = leave_out(options.max_per_customer, holders)
    doubts = parse_threshold(options.max_in_doubt) if options.max_in_doubt is not None else Threshold(None, None)
    return Bounds(
        series_limits=limits,
        series_issued=issued_by_series(ledger, run.scope_id) if limits else {},
        max_value=most,
        spent_value=spent_value,
        values=values,
        left_out=left_out,
        max_errors=parse_threshold(options.max_errors),
        doubts_in_a_row=DOUBTS_IN_A_ROW if doubts.number is None else max(1, doubts.number),
        doubts_share=DOUBTS_SHARE if doubts.share is None else doubts.share,
    )


def values_of(run: RunFacts) -> dict[int, int]:
    """What one coupon of each series is worth, in millionths."""
    listed = list_of_record(run.args.get("series_list"))
    told = values_of_record(run.args.get("preflight"))
    return face_values(listed.series.values if listed is not None else {}, told)


def face_values(listed: Mapping[int, Decimal], told: Mapping[int, Decimal] | None = None) -> dict[int, int]:
    """Values by series out of the list and as the API tells them; where they differ the higher one counts."""
    found = {series: millionths(value) for series, value in listed.items()}
    for series, value in (told or {}).items():
        found[series] = max(found.get(series, 0), millionths(value))
    return found


def check_values(values: Mapping[int, int], series: Collection[int]) -> None:
    """Money can only be bounded where it is known.

    Raises:
        UsageError: a series that would be asked for has no value.
    """
    unknown = sorted(set(series) - values.keys())
    if unknown:
        shown = ", ".join(series_word(one, {}) for one in unknown[:10]) + (", …" if len(unknown) > 10 else "")
        raise UsageError(
            f"--max-value: what a coupon is worth is not known of {counted(len(unknown), 'series', 'series')}"
            f" ({shown}). Write it into the column value of the list of series (--series-file), or leave --max-value"
            " out; nothing was sent."
        )


def stop_of_guards(
    stop: Stop | None, bounds: Bounds, ledger: LedgerFile, run: RunFacts, options: Options
) -> Stop | None:
    """Why a run ends: what stopped it, else what a guard left out, with the flags that let it go on."""
    if stop is None and bounds.left_out.ids and options.max_per_customer is not None:
        flags = ("--max-per-customer", str(bounds.left_out.needed))
        return Stop(kind=StopKind.GUARD, message=bounds.left_out.sentence(options.max_per_customer), go_on=flags)
    if stop is not None and "--max-value" in stop.message:
        values = bounds.values
        worth = {"spent": spent_by_series(ledger, run.id), "missing": missing_by_series(ledger, run.id)}
        needed = sum(values[series] * count for one in worth.values() for series, count in one.items())
        return Stop(kind=stop.kind, message=stop.message, go_on=("--max-value", money(needed).replace(",", "")))
    return stop


# ── hours ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The moment after which a run begins no call, in seconds since the epoch, and why."""

    at: float
    stop: Stop


def end_of(options: Options, began: float) -> End | None:
    """When a run that began then is to end; None: when it is done.

    Raises:
        SettingsError: a time of day without a time zone. NotNow: it is outside the hours of `--between`.
    """
    ends = []
    if options.between is not None:
        zone, hours = _zone(options, "--between"), parse_hours(options.between)
        closing = closes_at(hours, began, zone)
        if closing is None:
            raise NotNow(
                f"It is {_clock(began, zone)} ({zone.key}), outside the hours {hours} (--between): nothing was sent.",
                again=f"it is {_clock(opens_at(hours, began, zone), zone)} ({zone.key})",
            )
        ends.append(_end_of_hours(hours, closing, zone))
    if options.deadline is not None:
        deadline = parse_deadline(options.deadline)
        zone = zone_of("UTC") if isinstance(deadline, float) else _zone(options, "--deadline")
        at = ends_at(deadline, began, zone)
        message = f"the deadline {_clock(at, zone)} ({zone.key}) is over (--deadline {options.deadline})"
        ends.append(End(at=at, stop=Stop(kind=StopKind.HOURS, message=message)))
    return min(ends, key=lambda end: end.at, default=None)


def _end_of_hours(hours: Hours, closing: float, zone: ZoneInfo) -> End:
    begin = _clock(opens_at(hours, closing, zone), zone)
    message = f"the hours {hours} ({zone.key}) are over (--between); they begin again {begin}"
    return End(at=closing, stop=Stop(kind=StopKind.HOURS, message=message))


def _zone(options: Options, flag: str) -> ZoneInfo:
    if options.timezone is None:
        raise SettingsError(
            f"{flag}: say in which time zone that is, such as --timezone Asia/Kolkata (or timezone in the job or"
            " settings); this machine's own is not guessed."
        )
    return zone_of(options.timezone)


def _clock(at: float, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(at, UTC).astimezone(zone):%Y-%m-%d %H:%M}"
