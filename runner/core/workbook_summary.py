"""The first sheet of a report: what a run did and what is to be done, in sentences, sums and small tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.core.codes import CodeTable
from runner.core.face_value import FaceValue, tell_worth
from runner.core.model import Problem
from runner.core.statuses import FLAG_SENTENCES, STATUS_WORDS
from runner.core.totals import (
    ALL_ISSUED,
    FATAL,
    GUARD,
    IN_DOUBT,
    NEEDS_A_PERSON,
    SEND_AGAIN,
    SIGNALS,
    Coupons,
    Totals,
    coupon_sums,
    principal_exit,
    tell_places,
)
from runner.core.wording import counted, series_word
from runner.core.workbook_tables import MAX_LINES, Changes, Local, name_zone, tell_time

REHEARSAL = "REHEARSAL"
SERIES_SHOWN = 200
CODES_SHOWN = 100
REASONS_SHOWN = 12
REASONS_KEPT = 1_000
"""Different reasons that are counted one by one; what comes after them is "other reasons"."""

EXIT_WORDS: Mapping[int, str] = {
    ALL_ISSUED: "everything that was wanted is issued",
    NEEDS_A_PERSON: "some rows need a person",
    GUARD: "by a guard",
    IN_DOUBT: "some calls are in doubt",
    FATAL: "credentials, API or disk",
    SEND_AGAIN: "what is left can be sent again as it is",
    **dict.fromkeys(SIGNALS, "by a signal"),
}

SHEETS = ("Summary", "Results", "Failures", "Coupons", "In doubt")


@dataclass(slots=True)
class Reasons:
    """Why rows were rejected, counted while they pass by. Cells are not part of a reason."""

    rows: Counter[str] = field(default_factory=Counter)

    def add(self, problems: Sequence[Problem]) -> None:
        """The problems of one row: each reason counts once for it."""
        for text in {f"{one.column}: {one.message}" if one.column else one.message for one in problems}:
            known = text in self.rows or len(self.rows) < REASONS_KEPT
            self.rows[text if known else "other reasons"] += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A small table: title, a sentence under it, headings, rows, whether its last row is the sum of the others.

    `chart`: "status", "series" or "" for none; `charted`: rows in it.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str | int, ...], ...]
    sentence: str = ""
    summed: bool = False
    chart: str = ""
    charted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All that the first sheet says, from top to bottom. `facts`: label and text. `notes`: what is left out."""

    sheet: str
    title: str
    banner: str
    headline: str
    steps: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    blocks: tuple[Block, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInWords:
    """What a run is, as far as its summary says it. Times in seconds since the epoch.

    `series_names`: of the series whose names a list of series told. `values`: of one coupon, by series. `preflight`:
    what the check before the run found, as it was recorded.
    """

    name: str
    org: str
    campaign: str
    state: str
    reason: str
    files: Sequence[Mapping[str, Any]]
    owner: Mapping[str, Any]
    started: float
    ended: float | None
    live: bool
    rehearsal: bool
    series_names: Mapping[int, str] = field(default_factory=dict)
    values: Mapping[int, FaceValue] = field(default_factory=dict)
    preflight: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much the sheets hold. `held`: sheet → rows written; `there`: sheet → rows that there are."""

    held: Mapping[str, int]
    there: Mapping[str, int]
    csv: Mapping[str, str]
    failures_file: bool


def summarise(
    run: RunInWords,
    totals: Totals,
    exit_codes: Sequence[int],
    *,
    codes: CodeTable,
    reasons: Reasons,
    changes: Changes,
    extent: Extent,
    local: Local,
) -> Summary:
    """The first sheet, in words. `exit_codes`: those that hold, the principal one first."""
    mark = f"{REHEARSAL}: " if run.rehearsal else ""
    return Summary(
        sheet=f"{REHEARSAL} {SHEETS[0]}" if run.rehearsal else SHEETS[0],
        title=f"{mark}Coupons for {run.campaign}",
        banner=(
            "These coupons exist on the machine that rehearsed only. A rehearsal checks the file, not "
            "whether customers exist."
            if run.rehearsal
            else ""
        ),
        headline=_headline(totals, run.live),
        steps=_steps(run, totals, extent),
        facts=_facts(run, totals, exit_codes, local),
        blocks=tuple(
            block
            for block in (
                _coupons_block(totals.coupons),
                _status_block(totals),
                _series_block(totals.series, run.series_names),
                _surprises_block(totals),
                _codes_block(totals.errors, codes),
                _reasons_block(reasons),
            )
            if block is not None
        ),
        notes=_notes(totals, changes, extent),
    )


def _headline(totals: Totals, live: bool) -> str:
    coupons = totals.coupons
    if coupons.above:
        wanted = counted(coupons.target, "was", "were")
        text = f"{counted(coupons.issued, 'coupon is', 'coupons are')} issued; {wanted} wanted."
    else:
        share = f" ({100 * coupons.issued // coupons.target}%)" if coupons.target else ""
        text = f"{coupons.issued:,} of {counted(coupons.target, 'coupon is', 'coupons are')} issued{share}."
    return f"The run was still going on when this was written. {text}" if live else text


def _steps(run: RunInWords, totals: Totals, extent: Extent) -> tuple[str, ...]:
    steps = []
    file = "failures.xlsx" if extent.failures_file else "failures.csv"
    if totals.for_a_person:
        steps.append(
            f"{_rows(totals.for_a_person, 'needs', 'need')} a person. The sheet Failures says why. Correct {file} and "
            "run it: it asks for exactly what is missing, however often."
        )
    if totals.coupons.in_doubt:
        steps.append(
            f"{_many(totals.coupons.in_doubt, 'coupon is', 'coupons are')} in doubt: sent, and the answer was lost. "
            "They are held and never asked for again by themselves. The sheet In doubt names the calls."
        )
    if totals.again and not run.live:
        steps.append(
            f"{_rows(totals.again, 'can', 'can')} be sent again as {'it is' if totals.again == 1 else 'they are'}: "
            f"coupon-runner resume {run.name}"
        )
    steps += [
        f"Worth a look: {count:,} × {FLAG_SENTENCES.get(flag, flag.replace('_', ' '))}."
        for flag, count in totals.flags.items()
    ]
    return tuple(steps) or (() if run.live else ("There is nothing left to do.",))


def _facts(run: RunInWords, totals: Totals, exit_codes: Sequence[int], local: Local) -> tuple[tuple[str, str], ...]:
    user, host = str(run.owner.get("user", "")), str(run.owner.get("host", ""))
    zone = name_zone(local(run.started))
    outcome = run.state
    if not run.live:
        code = principal_exit(exit_codes)
        outcome += f": {EXIT_WORDS.get(code, '')} (exit code {code})"
    facts = [
        ("Campaign", run.campaign),
        ("Organisation", run.org),
        ("Run", run.name),
        ("Outcome", outcome),
        ("Stopped because", run.reason),
        ("Files" if len(run.files) > 1 else "File", "\n".join(map(_file, run.files))),
        ("Issued", tell_worth({series: coupons.issued for series, coupons in totals.series.items()}, run.values)),
        ("Held back", _held_back(run.preflight)),
        ("Started by", f"{user} on {host}" if user and host else user or host),
        ("Started", tell_time(run.started, local)),
        ("Ended", tell_time(run.ended, local) if run.ended is not None else ""),
        ("Times are in", zone if zone == "UTC" else f"{zone}; the CSV files have UTC"),
    ]
    return tuple((label, text) for label, text in facts if text)


def _held_back(preflight: Mapping[str, Any]) -> str:
    """What the check before the run found to be impossible, a reason a line."""
    reasons = preflight.get("held_back", ())
    if preflight.get("problem"):
        return f"the settings of the series were not known: {preflight['problem']}"
    lines = [
        f"{_many(one['orders'], 'order', 'orders')} of series {one['series']}: {one['message']}" for one in reasons
    ]
    if lines and preflight.get("ignored"):
        lines.insert(0, "nothing (--ignore-preflight), although it was known that these cannot succeed:")
    return "\n".join(lines[:REASONS_SHOWN])


def _file(file: Mapping[str, Any]) -> str:
    rows = file.get("rows")
    text = str(file.get("name", ""))
    if file.get("sheet"):
        text += f", sheet {file['sheet']}"
    return f"{text} ({_rows(rows)})" if isinstance(rows, int) else text


def _coupons_block(coupons: Coupons) -> Block:
    columns = [("Wanted", coupons.target), ("Issued", coupons.issued)]
    columns += [("In doubt", coupons.in_doubt), ("Missing", coupons.missing)]
    columns += [("Before this run", coupons.before)] if coupons.before else []
    columns += [("Revoked since", coupons.revoked)] if coupons.revoked else []
    columns += [("Above target", coupons.above)] if coupons.above else []
    return Block(
        title="Coupons",
        sentence="\n".join(coupon_sums(coupons)),
        headings=("", *(name for name, _ in columns)),
        rows=(("All series", *(number for _, number in columns)),),
    )


def _status_block(totals: Totals) -> Block:
    total = sum(totals.lines.values())
    shown = [(status, totals.lines.get(status, 0)) for status in STATUS_WORDS if totals.lines.get(status)]
    sentence = f"{_rows(totals.rows)} of input"
    if total != totals.rows:
        sentence += f"; a row that names several series counts once for each of them: {total:,}"
    words = " + ".join(f"{count:,} {word_of(status)}" for status, count in shown)
    sentence += f" = {words}" if words else ""
    rows = [(word_of(status), count, STATUS_WORDS[status]) for status, count in shown]
    return Block(
        title="Rows",
        sentence=sentence,
        headings=("Status", "Rows", "Meaning"),
        rows=(*rows, ("all", total, "")),
        summed=True,
        chart="status" if len(rows) > 1 else "",
        charted=len(rows),
    )


def word_of(status: str) -> str:
    """A status as people read it."""
    return str(status).replace("_", " ")


def _series_block(series: Mapping[int, Coupons], names: Mapping[int, str]) -> Block | None:
    if not series:
        return None
    ordered = sorted(series.items(), key=lambda item: (-item[1].missing - item[1].in_doubt, item[0]))
    rows = [_series_row(series_word(number, names), [coupons]) for number, coupons in ordered[:SERIES_SHOWN]]
    charted = min(len(rows), 12)
    if len(ordered) > SERIES_SHOWN:
        rest = [coupons for _, coupons in ordered[SERIES_SHOWN:]]
        rows.append(_series_row(f"{len(rest):,} more", rest))
    if len(rows) > 1:
        rows.append(_series_row("all", list(series.values())))
    several = len(series) > 1
    return Block(
        title="Series",
        sentence="Those with something missing or in doubt first." if several else "",
        headings=("Series", "Wanted", "Issued", "In doubt", "Missing"),
        rows=tuple(rows),
        summed=several,
        chart="series" if several else "",
        charted=charted,
    )


def _series_row(name: str, several: Sequence[Coupons]) -> tuple[str | int, ...]:
    return (
        name,
        sum(one.target for one in several),
        sum(one.issued for one in several),
        sum(one.in_doubt for one in several),
        sum(one.missing for one in several),
    )


def _surprises_block(totals: Totals) -> Block | None:
    if not totals.flags:
        return None
    rows: list[tuple[str | int, ...]] = [
        (flag.replace("_", " "), count, FLAG_SENTENCES.get(flag, ""), tell_places(totals, flag))
        for flag, count in totals.flags.items()
    ]
    return Block(
        title="Surprises",
        sentence="What answers held that nobody asked for, and names that turned out to be one customer.",
        headings=("Surprise", "Orders", "What it means", "Where"),
        rows=tuple(rows),
    )


def _codes_block(errors: Mapping[str, int], codes: CodeTable) -> Block | None:
    if not errors:
        return None
    ordered = sorted(errors.items(), key=lambda item: (-item[1], item[0]))
    rows: list[tuple[str | int, ...]] = [
        (code, count, codes.meaning(code), codes.advice(code), str(codes.fixer(code)))
        for code, count in ordered[:CODES_SHOWN]
    ]
    rest = ordered[CODES_SHOWN:]
    if rest:
        rows.append((f"{len(rest):,} more", sum(count for _, count in rest), "see Failures", "", ""))
    return Block(
        title="Reasons, by code",
        headings=("Code", "Rows", "What it means", "What to do", "Who can do it"),
        rows=tuple(rows),
    )


def _reasons_block(reasons: Reasons) -> Block | None:
    if not reasons.rows:
        return None
    ordered = sorted(reasons.rows.items(), key=lambda item: (-item[1], item[0]))
    rows: list[tuple[str | int, ...]] = [("rejected", count, text) for text, count in ordered[:REASONS_SHOWN]]
    rest = ordered[REASONS_SHOWN:]
    if rest:
        rows.append(("rejected", sum(count for _, count in rest), f"{len(rest):,} more reasons: see Failures"))
    return Block(
        title="Why rows were rejected",
        sentence="Nothing was sent for them. A row can have several reasons.",
        headings=("Status", "Rows", "Reason"),
        rows=tuple(rows),
    )


def _notes(totals: Totals, changes: Changes, extent: Extent) -> tuple[str, ...]:
    notes = []
    lines = sum(totals.lines.values())
    if lines > MAX_LINES:
        notes.append(
            f"{lines:,} lines are more than {MAX_LINES:,}: this workbook holds summary, failures and in doubt only. "
            "Every line is in results.csv, every coupon in coupons.csv."
        )
    for sheet, there in extent.there.items():
        held = extent.held.get(sheet)
        if held is None and lines <= MAX_LINES:
            notes.append(f"{there:,} coupons are more than {MAX_LINES:,}: they are in {extent.csv[sheet]} only.")
        elif held is not None and held < there:
            notes.append(
                f"The sheet {sheet} holds the first {held:,} of {there:,} rows: all are in {extent.csv[sheet]}."
            )
    if not extent.failures_file:
        notes.append("There is no failures.xlsx, since a part of the failures would mislead: correct failures.csv.")
    if changes.controls:
        notes.append(
            f"{_many(changes.controls, 'cell', 'cells')} held control characters, which a workbook cannot hold: they "
            "are left out here and stand in the CSV files."
        )
    if changes.cut:
        notes.append(
            f"{_many(changes.cut, 'cell', 'cells')} held more than a workbook's cell can and "
            f"{'is' if changes.cut == 1 else 'are'} cut, with a mark at the end: the CSV files have the whole text."
        )
    return tuple(notes)


def _many(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"


def _rows(count: int, verb: str = "", verbs: str = "") -> str:
    return f"{_many(count, 'row', 'rows')} {verb if count == 1 else verbs}".strip()
