"""`runs`, `show RUN` and `find CUSTOMER` as text, from the same plain rows that `--json` prints.

On a terminal the columns fit its width, times are local and numbers grouped. For a pipe (width None) each row is one
line of aligned columns, with times in UTC and numbers ungrouped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo

from runner.adapters.terminal.layout import Column, fold, tabulate
from runner.adapters.terminal.texts import moment, one_line, utc

Rows = Sequence[Mapping[str, object]]

_TIMES = frozenset({"started", "ended", "time", "since", "first_sent", "last_answer"})
_AMOUNTS = frozenset({"rows", "lines", "orders", "target", "issued", "issued_before", "in_doubt", "missing", "revoked"})

RUN_COLUMNS = (
    Column("run", "run"),
    Column("state", "state"),
    Column("exit_code", "exit", right=True),
    Column("target", "wanted", right=True),
    Column("issued", "issued", right=True),
    Column("in_doubt", "in doubt", right=True),
    Column("missing", "missing", right=True),
    Column("started", "started"),
    Column("org", "org"),
    Column("campaign", "campaign"),
    Column("reason", "reason", wraps=True),
)
FOUND_COLUMNS = (
    Column("row", "row", right=True),
    Column("series", "series", right=True),
    Column("status", "status"),
    Column("target", "wanted", right=True),
    Column("issued", "issued", right=True),
    Column("in_doubt", "in doubt", right=True),
    Column("missing", "missing", right=True),
    Column("run", "run"),
    Column("campaign", "campaign"),
    Column("started", "started"),
    Column("file", "file"),
    Column("sheet", "sheet"),
    Column("code", "code"),
    Column("message", "why", wraps=True),
    Column("codes", "coupons", wraps=True),
)
LIVE_COLUMNS = (
    Column("series", "series", right=True),
    Column("code", "code"),
    Column("whose", "whose"),
    Column("state", "state"),
    Column("created", "created"),
    Column("row", "row", right=True),
    Column("sheet", "sheet"),
    Column("run", "run"),
    Column("campaign", "campaign"),
    Column("file", "file"),
    Column("source", "issued by", wraps=True),
)
SERIES_COLUMNS = (
    Column("series", "series"),
    Column("state", "state"),
    Column("target", "wanted", right=True),
    Column("issued", "issued", right=True),
    Column("in_doubt", "in doubt", right=True),
    Column("missing", "missing", right=True),
    Column("code", "code"),
    Column("message", "why", wraps=True),
)


def runs_text(rows: Rows, *, width: int | None, zone: tzinfo | None = None) -> str:
    """One row a run. Keys: run, org, campaign, state, started, exit_code, target, issued, in_doubt, missing, reason."""
    if not rows:
        return "No run is recorded in this ledger."
    one_org = width is not None and len({str(row.get("org", "")) for row in rows}) == 1
    columns = [column for column in RUN_COLUMNS if not (one_org and column.key == "org")]
    return table_text(rows, columns, width=width, zone=zone)


def find_text(rows: Rows, *, width: int | None, zone: tzinfo | None = None) -> str:
    """One row a line that the customer was in. Keys: those of `FOUND_COLUMNS`; `codes` is a list of coupon codes."""
    if not rows:
        return "This customer is in no run of this ledger."
    return table_text(rows, FOUND_COLUMNS, width=width, zone=zone)


def live_text(found: Mapping[str, object], *, width: int | None, zone: tzinfo | None = None) -> str:
    """The coupons that the API shows of a customer, each marked ours or not; then what could not be read."""
    live, problem = found.get("live"), str(found.get("live_problem") or "")
    lines = ["What the API shows of this customer:"]
    if isinstance(live, list) and live:
        ours = sum(coupon["whose"] == "ours" for coupon in live)
        lines[0] = f"What the API shows of this customer: {len(live):,} coupons, {ours:,} of them ours"
        lines.append(table_text(live, LIVE_COLUMNS, width=width, zone=zone))
    elif not problem:
        lines.append("no coupon")
    return "\n".join([*lines, problem] if problem else lines)


def show_text(run: Mapping[str, object], *, width: int | None, zone: tzinfo | None = None) -> str:
    """One run: its facts as label and value in the order given, then its tables.

    A mapping (rows by status, coupons) is one line of pairs; a list of mappings is a table under its own name, `series`
    with the columns of `SERIES_COLUMNS`; any other list is joined by commas.
    """
    facts = {key: value for key, value in run.items() if not _is_table(value)}
    label = max((len(_words(key)) for key in facts), default=0) + 2
    lines: list[str] = []
    for key, value in facts.items():
        text = _fact(key, value, width, zone)
        if text:
            first = f"{_words(key):<{label}}"
            lines += [first + one_line(text)] if width is None else fold(text, width, first=first)
    for key, value in run.items():
        if _is_table(value) and isinstance(value, list):
            columns = SERIES_COLUMNS if key == "series" else _columns_of(value)
            lines += ["", _words(key), table_text(value, columns, width=width, zone=zone, indent="  ")]
    return "\n".join(lines)


def table_text(
    rows: Rows, columns: Sequence[Column], *, width: int | None, zone: tzinfo | None = None, indent: str = ""
) -> str:
    """Any rows under the given columns, heading first."""
    cells = [
        {column.key: _cell(column.key, row.get(column.key), width is None, zone) for column in columns} for row in rows
    ]
    table = tabulate(cells, columns, width=width, indent=indent)
    return "\n".join((table.heading, *table.lines))


def _cell(key: str, value: object, plain: bool, zone: tzinfo | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if key in _TIMES:
        return utc(value) if plain and isinstance(value, int | float) else str(value) if plain else moment(value, zone)
    if key in _AMOUNTS and isinstance(value, int) and not plain:
        return f"{value:,}"
    return str(value)


def _fact(key: str, value: object, width: int | None, zone: tzinfo | None) -> str:
    if isinstance(value, Mapping):
        amounts = {
            str(name): f"{one:,}" if isinstance(one, int) and width is not None else str(one)
            for name, one in value.items()
        }
        return ", ".join(f"{amount} {_words(name)}" for name, amount in amounts.items())
    return _cell(key, value, width is None, zone)


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _columns_of(rows: Rows) -> list[Column]:
    """Columns for rows of any keys, in the order in which the keys first come."""
    keys = dict.fromkeys(key for row in rows for key in row)
    numeric = {key for key in keys if all(isinstance(row.get(key, 0), int) for row in rows)}
    return [Column(key, _words(key), right=key in numeric) for key in keys]


def _words(key: str) -> str:
    return key.replace("_", " ")
