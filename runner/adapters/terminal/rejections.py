"""The rejected rows of a plan: which, why, and which reasons are the commonest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.console import Console

from runner.adapters.terminal.screens import put, put_folded
from runner.core.checking import Example, ProblemKind, percent, shown_value, widespread
from runner.core.model import Place, Problem
from runner.core.plan import Plan
from runner.core.statuses import name_row
from runner.core.wording import counted

REJECTED_SHOWN = 10
REASONS_SHOWN = 10
_VARIES = re.compile(r"'[^']*'|\d[\d,.]*")
"""What differs between two sentences that give the same reason: quoted cells and numbers."""


class ReasonCount(NamedTuple):
    """A reason for rejecting rows: a sentence that stands for all of its kind, and the rows that have it."""

    reason: str
    rows: int


def show_rejected(
    console: Console,
    plan: Plan,
    files: Sequence[str],
    reasons: Mapping[str, int] | None,
    kinds: Sequence[ProblemKind] | None = None,
) -> None:
    """The first ten rejected rows. With more than ten, each says it in a sentence and the reasons follow in full.

    `kinds`: the problems of all rejected rows; with more than ten rows the ten commonest are shown, with examples.
    """
    if not plan.rejected:
        return
    put(console)
    put_folded(
        console,
        f"{counted(plan.rejected, 'row')} rejected; the others are not harmed by it",
        style="bold yellow",
    )
    several = plan.rejected > REJECTED_SHOWN
    if several and kinds:
        _show_kinds(console, plan, files, kinds)
        return
    shown = plan.examples[:REJECTED_SHOWN]
    for place, problems in shown:
        name = files[place.file] if len(files) > 1 and place.file < len(files) else ""
        texts = [problem_text(one, short=several, cell=True) for one in problems] or ["not valid"]
        text = "; ".join([text.rstrip(".") for text in texts[:-1]] + texts[-1:])
        put_folded(console, text, first=f"- {name_row(place.row, place.sheet, name)}: ", then="    ")
    if plan.rejected > len(shown):
        put_folded(console, f"- and {counted(plan.rejected - len(shown), 'more row', 'more rows')}")
    if several:
        _show_reasons(console, plan, reasons)


def _show_kinds(console: Console, plan: Plan, files: Sequence[str], kinds: Sequence[ProblemKind]) -> None:
    """The ten commonest problems with their examples; first the one that may make all others moot."""
    common = widespread(kinds, plan.rows)
    if common is not None:
        put_folded(
            console,
            f"{percent(common.rows, plan.rows)} of all rows have one and the same problem, so it is probably one"
            " mistake and not many: look at that one first",
            style="bold",
        )
    width = max(len(f"{one.rows:,}") for one in kinds[:REASONS_SHOWN])
    indent = " " * (width + 5)
    for one in kinds[:REASONS_SHOWN]:
        put_folded(console, one.text, first=f"  {one.rows:>{width},} x ", then=indent)
        shown = "; ".join(example_text(example, files) for example in one.examples)
        put_folded(console, shown, first=f"{indent}e.g. ", then=indent)
    if len(kinds) > REASONS_SHOWN:
        rest = kinds[REASONS_SHOWN:]
        put_folded(console, f"  and {counted(len(rest), 'rarer problem')}; the check report shows every row")


def example_text(example: Example, files: Sequence[str]) -> str:
    """A row that stands for others: "row 17, Ph No …E+11". What may be somebody's number or address is shortened."""
    place = example.place
    name = files[place.file] if len(files) > 1 and place.file < len(files) else ""
    where = name_row(place.row, place.sheet, name)
    if example.value is None:
        return where
    return f"{where}, {f'{example.column} ' if example.column else ''}{shown_value(example.value)}"


def _show_reasons(console: Console, plan: Plan, reasons: Mapping[str, int] | None) -> None:
    """Which reasons are the commonest, over all rejected rows where that is known."""
    if reasons is None:
        counts = reason_counts(plan.examples)
        counted_all = len(plan.examples) >= plan.rejected
    else:
        counts = [ReasonCount(*item) for item in sorted(reasons.items(), key=lambda item: -item[1])]
        counted_all = True
    if not counts:
        return
    among = "" if counted_all else f" among the first {counted(len(plan.examples), 'rejected row')}"
    put(console)
    put_folded(console, f"Commonest reasons{among} (a row can have several)", style="bold")
    width = max(len(f"{one.rows:,}") for one in counts[:REASONS_SHOWN])
    for one in counts[:REASONS_SHOWN]:
        put_folded(console, one.reason, first=f"  {one.rows:>{width},} x ")
    if len(counts) > REASONS_SHOWN:
        put(console, f"  and {counted(len(counts) - REASONS_SHOWN, 'more reason')}")


def reason_counts(examples: Sequence[tuple[Place, tuple[Problem, ...]]]) -> list[ReasonCount]:
    """The reasons of rejected rows, commonest first. Sentences that differ only in cells and numbers are one."""
    rows: Counter[str] = Counter()
    sentences: dict[str, str] = {}
    for _, problems in examples:
        kinds = {_VARIES.sub("#", sentence): sentence for sentence in map(problem_text, problems)}
        rows.update(kinds.keys())
        for kind, sentence in kinds.items():
            sentences.setdefault(kind, sentence)
    return [ReasonCount(sentences[kind], count) for kind, count in rows.most_common()]


def problem_text(problem: Problem, *, short: bool = False, cell: bool = False) -> str:
    """A problem: "Qty: …". `short`: its first sentence. `cell`: with the cell, "Qty 'two': …".

    What may be somebody's number or address is shortened.
    """
    message = problem.message
    if short:
        end = message.find(". ")
        message = message if end < 0 else message[: end + 1]
    if not problem.column:
        return message
    return f"{problem.column}{f' {shown_value(problem.value)}' if cell and problem.value else ''}: {message}"
