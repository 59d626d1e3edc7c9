"""An audit on the terminal: one line a check, its findings below it, then what was overridden by whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runner.adapters.terminal.layout import Column, fold
from runner.adapters.terminal.tables import table_text
from runner.core.auditing import Verdict

_OVERRIDES = (
    Column("at", "when"),
    Column("run", "run"),
    Column("what", "what", wraps=True),
    Column("who", "who", wraps=True),
    Column("why", "why", wraps=True),
)
_WORD = max(len(verdict.value) for verdict in Verdict) + 2


def audit_text(document: Mapping[str, Any], *, width: int | None) -> str:
    """The document of `audit --json` as lines. WRONG lines come last, so that they stay in sight."""
    checks: Sequence[Mapping[str, Any]] = document["checks"]
    order = {Verdict.OK.value: 0, Verdict.LIMIT.value: 1, Verdict.WRONG.value: 2}
    lines = [f"Ledger    {document['ledger']} ({document['ledger_id']})"]
    lines += [f"History   event {document['head']['seq']:,}, {document['head']['hash']}", ""]
    for one in sorted(checks, key=lambda one: order[one["verdict"]]):
        first = f"{one['verdict']:<{_WORD}}{one['name']}: "
        lines += _fold(one["sentence"], width, first)
        for detail in one["details"]:
            lines += _fold(detail, width, " " * _WORD + "- ")
    if document["overrides"]:
        lines += ["", "Protections that were overridden"]
        lines.append(table_text(document["overrides"], _OVERRIDES, width=width, indent="  "))
    if document["certificates"]:
        lines += ["", *(f"certificate  {path}" for path in document["certificates"])]
    return "\n".join(lines)


def _fold(text: str, width: int | None, first: str) -> list[str]:
    if width is None:
        return [first + text]
    return fold(text, width, first=first, then=" " * (_WORD + 2))
