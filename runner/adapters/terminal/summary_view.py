"""What became of a run, for the person who started it: the sums, the words of the rows, the reasons, the reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rich.console import Console

from runner.adapters.terminal.layout import Column, tabulate
from runner.adapters.terminal.screens import put, put_folded, put_table
from runner.core.codes import CodeTable, Fixer
from runner.core.face_value import FaceValue, tell_worth
from runner.core.statuses import FLAG_SENTENCES, STATUS_WORDS, LineStatus
from runner.core.totals import Coupons, Totals, coupon_sums, tell_places
from runner.core.wording import counted, duration, series_word

CODES_SHOWN = 10
SERIES_SHOWN = 12
_IN_FAILURES = (LineStatus.REJECTED, LineStatus.FAILED, LineStatus.PARTIAL, LineStatus.NOT_SENT)

NO_NAMES: Mapping[int, str] = MappingProxyType({})

NO_VALUES: Mapping[int, FaceValue] = MappingProxyType({})

REPORT_WORDS: Mapping[str, str] = {
    "report.xlsx": "all of it, made to be read: open this first",
    "failures.xlsx": "what is missing and why; correct it and run it again",
    "results.csv": "every row and what became of it",
    "failures.csv": "what is missing and why; correct it and run it again",
    "in_doubt.csv": "calls whose outcome is not known",
    "coupons.csv": "every coupon",
    "summary.json": "these sums, for programs",
    "manifest.json": "size and checksum of each file",
}


def show_summary(
    totals: Totals,
    *,
    console: Console,
    run: str,
    campaign: str,
    org: str,
    rehearsal: bool,
    out: str,
    reports: Sequence[str],
    why: str = "",
    seconds: float | None = None,
    codes: CodeTable | None = None,
    surprises: Sequence[str] = (),
    series_names: Mapping[int, str] = NO_NAMES,
    values: Mapping[int, FaceValue] = NO_VALUES,
) -> None:
    """Show a run's outcome.

    `why`: why it ended before its time, "" if it did not. `seconds`: how long this execution took. `out`: the folder of
    the reports, `reports`: the names of those that were written. `surprises`: further sentences worth a look.
    `series_names`: of the series whose names a list of series told. `values`: of one coupon, by series.
    """
    codes = codes or CodeTable.default()
    if rehearsal:
        put_folded(console, "REHEARSAL: these coupons exist on this machine only.", style="bold yellow")
    put(console, f"Run       {run}", "bold")
    put_folded(console, f"{campaign} (of {org})", first="Campaign  ")
    if seconds is not None:
        put_folded(console, duration(seconds), first="Took      ")
    if why:
        put_folded(console, why.removeprefix("stopped "), first="Stopped   ", style="bold yellow")
    put(console)
    for index, sentence in enumerate(coupon_sums(totals.coupons)):
        put_folded(
            console, sentence, first="Coupons   " if index == 0 else " " * 10, style="bold" if index == 0 else ""
        )
    if worth := tell_worth({series: coupons.issued for series, coupons in totals.series.items()}, values):
        put_folded(console, worth, first="Issued    ")
    put_folded(console, _rows_words(totals), first="Rows      ", style="bold")
    put(console)
    _show_statuses(console, totals)
    _show_series(console, totals.series, series_names)
    _show_codes(console, totals.errors, codes)
    _show_surprises(console, totals, surprises)
    _show_reports(console, out, reports, totals)


def _rows_words(totals: Totals) -> str:
    """How many rows, and what the table below counts: a row that names several series counts once for each of them."""
    total = sum(totals.lines.values())
    text = counted(totals.rows, "row")
    if total == totals.rows:
        return text
    return f"{text}; a row that names several series counts once for each of them below: {total:,}"


def _word(status: LineStatus) -> str:
    return status.value.replace("_", " ")


def _show_statuses(console: Console, totals: Totals) -> None:
    """The rows by their word, and their sum."""
    rows = [
        {"status": _word(status), "rows": f"{totals.lines[status]:,}", "meaning": meaning}
        for status, meaning in STATUS_WORDS.items()
        if totals.lines.get(status)
    ]
    if len(rows) > 1:
        rows.append({"status": "all", "rows": f"{sum(totals.lines.values()):,}"})
    columns = [Column("status", "status"), Column("rows", "rows", right=True), Column("meaning", "meaning", wraps=True)]
    put_table(console, tabulate(rows, columns, width=console.width, indent="  "))


def _show_series(console: Console, series: Mapping[int, Coupons], names: Mapping[int, str]) -> None:
    """The series of a run of several, those with something missing or in doubt first."""
    if len(series) < 2:
        return
    ordered = sorted(series.items(), key=lambda item: (-item[1].missing - item[1].in_doubt, item[0]))
    shown, rest = (ordered[:SERIES_SHOWN], ordered[SERIES_SHOWN:]) if len(ordered) > SERIES_SHOWN else (ordered, [])
    rows = [_series_row(series_word(number, names), (coupons,)) for number, coupons in shown]
    if rest:
        rows.append(_series_row(f"{len(rest):,} more", [coupons for _, coupons in rest]))
    table = tabulate(
        rows,
        [
            Column("series", "series"),
            Column("target", "wanted", right=True),
            Column("issued", "issued", right=True),
            Column("in_doubt", "in doubt", right=True),
            Column("missing", "missing", right=True),
        ],
        width=console.width,
        indent="  ",
    )
    put(console)
    put_table(console, table)


def _series_row(name: str, several: Sequence[Coupons]) -> dict[str, str]:
    keys = ("target", "issued", "in_doubt", "missing")
    return {"series": name} | {key: f"{sum(getattr(one, key) for one in several):,}" for key in keys}


def _show_codes(console: Console, errors: Mapping[str, int], codes: CodeTable) -> None:
    """The commonest reasons, each with what to do about it and who can."""
    if not errors:
        return
    ordered = sorted(errors.items(), key=lambda item: (-item[1], item[0]))
    rows = [
        {"code": code, "rows": f"{count:,}", "advice": _advice(code, codes)} for code, count in ordered[:CODES_SHOWN]
    ]
    table = tabulate(
        rows,
        [Column("code", "code"), Column("rows", "rows", right=True), Column("advice", "what to do", wraps=True)],
        width=console.width,
        indent="  ",
    )
    put(console)
    put_table(console, table)
    rest = ordered[CODES_SHOWN:]
    if rest:
        left = sum(count for _, count in rest)
        put_folded(
            console,
            f"and {counted(len(rest), 'more code')} on {counted(left, 'row')}: see the reports",
            first="  ",
        )


def _advice(code: str, codes: CodeTable) -> str:
    fixer = codes.fixer(code)
    text = f"{codes.meaning(code)} {codes.advice(code)}"
    return text if fixer is Fixer.NOBODY else f"{text} ({fixer})"


def _show_surprises(console: Console, totals: Totals, surprises: Sequence[str]) -> None:
    sentences = []
    for flag, count in totals.flags.items():
        where = tell_places(totals, flag)
        sentence = f"{count:,} x {FLAG_SENTENCES.get(flag, flag.replace('_', ' '))}"
        sentences.append(f"{sentence}: {where}" if where else sentence)
    sentences += surprises
    if not sentences:
        return
    put(console)
    put(console, "Worth a look", "bold yellow")
    for sentence in sentences:
        put_folded(console, sentence, first="- ")


def _show_reports(console: Console, out: str, reports: Sequence[str], totals: Totals) -> None:
    if not out:
        return
    words = dict(REPORT_WORDS)
    if not totals.coupons.in_doubt:
        words["in_doubt.csv"] = "empty: nothing is in doubt"
    if not any(totals.lines.get(status) for status in _IN_FAILURES):
        words["failures.csv"] = words["failures.xlsx"] = "empty: nothing is to be corrected or sent again"
    put(console)
    put(console, f"Reports   {out}", "bold")
    table = tabulate(
        [{"name": name, "what": words.get(name, "")} for name in reports],
        [Column("name", ""), Column("what", "", wraps=True)],
        width=console.width,
        indent="  ",
    )
    for line in table.lines:
        put(console, line)
