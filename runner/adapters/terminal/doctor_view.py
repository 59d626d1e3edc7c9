"""The checks of `doctor` as text: a word, a name, what was found, and below it what to do."""

from __future__ import annotations

from collections.abc import Sequence

from runner.adapters.terminal.layout import fold
from runner.adapters.terminal.texts import one_line
from runner.core.checks import Check, Level
from runner.core.wording import counted


def checks_text(checks: Sequence[Check], *, width: int | None) -> str:
    """One check a line, folded within `width` cells; None (a pipe): one line each, the remedy behind `To do:`."""
    room = max((len(check.name) for check in checks), default=0)
    lines: list[str] = []
    for check in checks:
        first = f"{check.level:<4}  {check.name:<{room}}  "
        if width is None:
            remedy = f". To do: {check.remedy}" if check.remedy else ""
            lines.append(first + one_line(check.says.rstrip(".") + remedy))
            continue
        lines += fold(check.says, width, first=first)
        if check.remedy:
            lines += fold(check.remedy, width, first=" " * len(first))
    return "\n".join(lines)


def checks_sum(checks: Sequence[Check]) -> str:
    """How they ended: "2 of 11 checks fail (ledger, credentials), 1 warns (clock)"."""
    failing = [check.name for check in checks if check.level is Level.FAIL]
    warning = [check.name for check in checks if check.level is Level.WARN]
    parts = []
    if failing:
        verb = "fails" if len(failing) == 1 else "fail"
        parts.append(f"{len(failing)} of {counted(len(checks), 'check')} {verb} ({', '.join(dict.fromkeys(failing))})")
    if warning:
        verb = "warns" if len(warning) == 1 else "warn"
        parts.append(f"{len(warning)} {verb} ({', '.join(dict.fromkeys(warning))})")
    return ", ".join(parts) or f"{counted(len(checks), 'check')}, nothing to be done"
