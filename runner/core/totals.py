"""A run's sums, the proof that they add up, and the exit codes that follow from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from runner.core.merging import SAME_PERSON, SURPLUS
from runner.core.report_lines import RejectedLine, ReportLine
from runner.core.statuses import SAME_PERSON_AS, LineStatus, LineVerdict, OrderVerdict, Share, name_row
from runner.errors import Fatal

ALL_ISSUED = 0
NEEDS_A_PERSON = 1
USAGE = 2
INPUT_REFUSED = 3
GUARD = 4
IN_DOUBT = 5
FATAL = 6
LOCKED = 7
SEND_AGAIN = 75
SIGNALS = (129, 130, 143)

STOPS = (*SIGNALS, FATAL, GUARD)
"""Exit codes that say how a run was stopped. They are recorded with it; all others follow from its lines."""

PRECEDENCE = (*SIGNALS, LOCKED, USAGE, INPUT_REFUSED, FATAL, GUARD, IN_DOUBT, NEEDS_A_PERSON, SEND_AGAIN, ALL_ISSUED)
"""Which code is returned when several hold: signal > 6 > 4 > 5 > 1 > 75 > 0; 7, 2 and 3 come before any call."""

PERSON_FLAGS = frozenset({"more_than_asked"})
"""Surprises that a person must look at: a customer holds more than she was to get."""


PLACES = 10
"""Rows that are named with each surprise; the reports have all of them."""


class DoesNotAddUp(Fatal):
    """The reports' sums disagree with the ledger's: they must not be trusted, nothing was sent or lost by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupons:
    """Coupons of a run's orders, each counted once however many rows name it.

    `before`: the part of `issued` that came from earlier runs. `revoked`: the part of `issued` that was revoked since.
    `above`: issued or in doubt beyond the target (a lowered target, surplus), so that always
    target + above = issued + in_doubt + missing.
    """

    target: int = 0
    issued: int = 0
    before: int = 0
    in_doubt: int = 0
    missing: int = 0
    revoked: int = 0
    above: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The sums of one run.

    `rows`, `line_count`, `rejected`: as the ledger counts them. `rows_seen`: rows that the report met. `lines`: lines
    by status, rejected rows among them. `again`: lines that can be sent again as they are. `for_a_person`: lines that a
    person must look at. `errors`: lines by code, of those that miss something or surprise. `flags`: surprises, by name.
    `surprises`: the first rows of each of them, as `name_row` says it.
    `undo`: the run and row whose coupons are a surplus to be revoked, the first one.
    `ledger_issued` and `ledger_in_doubt`: summed over the calls, apart from any line.
    """

    rows: int
    line_count: int
    rejected: int
    rows_seen: int
    lines: Mapping[str, int]
    coupons: Coupons
    series: Mapping[int, Coupons]
    again: int
    for_a_person: int
    errors: Mapping[str, int]
    flags: Mapping[str, int]
    ledger_issued: int
    ledger_in_doubt: int
    surprises: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    undo: tuple[str, str] | None = None


@dataclass(slots=True)
class Tally:
    """Adds lines up while they pass by; it holds a few counters per series and code, whatever the number of lines."""

    lines: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    again: int = 0
    for_a_person: int = 0
    rows_seen: int = 0
    places: dict[str, list[str]] = field(default_factory=dict)
    _series: dict[int, list[int]] = field(default_factory=dict)

    def add_page(self, page: Iterable[ReportLine | RejectedLine]) -> None:
        """Lines and rejected rows, in the order of the input."""
        for line in page:
            if isinstance(line, RejectedLine):
                self.add_rejected()
                continue
            self.rows_seen += line.starts_row
            self.add_line(line.series, line.verdict, line.holding.revoked)
            if line.verdict.status is LineStatus.DUPLICATE:
                self._meet_same_person(line)
            elif line.first and line.order.flags:
                self.add_flags(line.order)
                for flag in set(line.order.flags):
                    self._place(flag, line)

    def _meet_same_person(self, line: ReportLine) -> None:
        """A line whose customer turned out, while a run went on, to be another line's."""
        code, message = line.verdict.cause
        if code == SURPLUS:
            self._place(SURPLUS, line)
        elif message.startswith(SAME_PERSON_AS):
            self.flags[SAME_PERSON] += 1
            self._place(SAME_PERSON, line)

    def _place(self, flag: str, line: ReportLine) -> None:
        places = self.places.setdefault(flag, [])
        if len(places) < PLACES:
            places.append(name_row(line.at.row, line.at.sheet))

    def add_rejected(self) -> None:
        """One rejected row."""
        self.lines[LineStatus.REJECTED] += 1
        self.rows_seen += 1
        self.for_a_person += 1

    def add_line(self, series: int, verdict: LineVerdict, revoked: int) -> None:
        """One line with its word and its share."""
        status, share, cause, again = verdict
        self.lines[status] += 1
        if cause.code:
            self.errors[cause.code] += 1
        if status is not LineStatus.ISSUED or cause.code:
            if again:
                self.again += 1
            elif status in (LineStatus.FAILED, LineStatus.PARTIAL) or cause.code == SURPLUS:
                self.for_a_person += 1
            if cause.code == SURPLUS:
                self.flags[SURPLUS] += 1
            if status is LineStatus.DUPLICATE:
                return
        self._add_share(series, share, revoked)

    def _add_share(self, series: int, share: Share, revoked: int) -> None:
        sums = self._series.get(series)
        if sums is None:
            sums = self._series[series] = [0, 0, 0, 0, 0, 0]
        sums[0] += share.target
        sums[1] += share.issued
        sums[2] += share.before
        sums[3] += share.held
        sums[4] += share.missing
        sums[5] += revoked

    def add_flags(self, order: OrderVerdict) -> None:
        """The surprises of one order, once per order."""
        self.flags.update(order.flags)
        if PERSON_FLAGS.intersection(order.flags):
            self.for_a_person += 1

    def totals(self, *, rows: int, line_count: int, rejected: int, ledger_issued: int, ledger_in_doubt: int) -> Totals:
        """The sums, beside what the ledger counts by itself."""
        series = {number: _coupons(sums) for number, sums in sorted(self._series.items())}
        return Totals(
            rows=rows,
            line_count=line_count,
            rejected=rejected,
            rows_seen=self.rows_seen,
            lines={str(status): self.lines[status] for status in LineStatus},
            coupons=_coupons([sum(column) for column in zip(*self._series.values(), strict=True)] or [0] * 6),
            series=series,
            again=self.again,
            for_a_person=self.for_a_person,
            errors=dict(sorted(self.errors.items())),
            flags=dict(sorted(self.flags.items())),
            ledger_issued=ledger_issued,
            ledger_in_doubt=ledger_in_doubt,
            surprises={flag: tuple(places) for flag, places in sorted(self.places.items())},
        )


def _coupons(sums: list[int]) -> Coupons:
    target, issued, before, in_doubt, missing, revoked = sums
    return Coupons(
        target=target,
        issued=issued,
        before=before,
        in_doubt=in_doubt,
        missing=missing,
        revoked=revoked,
        above=issued + in_doubt + missing - target,
    )


def tell_places(totals: Totals, flag: str) -> str:
    """Where a surprise is: its first rows, and how many more there are; "" when no row is known."""
    places = totals.surprises.get(flag, ())
    rest = totals.flags.get(flag, 0) - len(places)
    return ", ".join(places) + (f" and {rest:,} more" if places and rest > 0 else "")


def coupon_sums(coupons: Coupons) -> list[str]:
    """What was wanted is issued, in doubt or missing; and how much of it this run issued."""
    text = f"{coupons.target:,} wanted"
    if coupons.above:
        text += f" + {coupons.above:,} held above their target"
    text += f" = {coupons.issued:,} issued + {coupons.in_doubt:,} in doubt + {coupons.missing:,} missing"
    own = f"{coupons.issued:,} issued = {coupons.issued - coupons.before:,} in this run + {coupons.before:,} before"
    if coupons.revoked:
        own += f"; {coupons.revoked:,} of them revoked since"
    return [text, own]


def prove(totals: Totals) -> None:
    """Every line has one word, every row was met, every coupon counts once; else `DoesNotAddUp` names both sums."""
    coupons = totals.coupons
    for one, what, other, counted in (
        (sum(totals.lines.values()), "lines by status", totals.line_count + totals.rejected, "lines and rejected rows"),
        (totals.lines[LineStatus.REJECTED], "lines with status rejected", totals.rejected, "rejected rows"),
        (totals.rows_seen, "rows with an outcome", totals.rows, "rows loaded"),
        (coupons.issued, "coupons issued by line", totals.ledger_issued, "coupons issued by call"),
        (coupons.in_doubt, "coupons in doubt by line", totals.ledger_in_doubt, "coupons in doubt by call"),
    ):
        if one != other:
            raise DoesNotAddUp(
                f"The report does not add up: {one:,} {what}, but {other:,} {counted}. Nothing was sent or lost by "
                "this: do not rely on these figures, run nothing more with this ledger, keep it and report this fault."
            )
    if (
        coupons.above < 0
        or coupons.before > coupons.issued
        or min(coupons.target, coupons.issued, coupons.before, coupons.in_doubt, coupons.missing, coupons.revoked) < 0
    ):
        raise DoesNotAddUp(
            f"The report does not add up: a target of {coupons.target:,} coupons, but {coupons.issued:,} issued "
            f"+ {coupons.in_doubt:,} in doubt + {coupons.missing:,} missing. Do not rely on these "
            "figures, run nothing more with this ledger, keep it and report this fault."
        )


def exit_codes(totals: Totals, stopped: Collection[int] = ()) -> tuple[int, ...]:
    """All exit codes that hold for a run, the principal one first.

    `stopped`: how it was stopped, as exit codes: a signal, 6 (fatal), 4 (a guard). Others among them are ignored, since
    they follow from the lines: 5 while calls are in doubt, 1 when rows need a person, 75 when what is left can be sent
    again as it is, 0 when nothing else holds.
    """
    codes = {code for code in stopped if code in STOPS}
    if totals.coupons.in_doubt:
        codes.add(IN_DOUBT)
    if totals.for_a_person:
        codes.add(NEEDS_A_PERSON)
    if totals.again:
        codes.add(SEND_AGAIN)
    return tuple(sorted(codes or {ALL_ISSUED}, key=PRECEDENCE.index))


def principal_exit(codes: Collection[int]) -> int:
    """The code that a command returns when several hold; 0 when none does. ValueError for a code it does not know."""
    return min(codes, key=PRECEDENCE.index, default=ALL_ISSUED)
