"""What of a run is to be undone: series, customers and rows, as a person names them, become orders of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner.adapters.ledger import revoking
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.revoking import Choice
from runner.adapters.ledger.runs import RunFacts
from runner.core.identity import read_identifier
from runner.core.keys import name_hash
from runner.core.model import Kind
from runner.core.statuses import name_row
from runner.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoRequest:
    """What of a run is to be undone, as it was given. `rows`: such as "17", or "May!17" for one sheet or file."""

    run: str
    series: tuple[int, ...] = ()
    customers: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    even_in_doubt: bool = False


def choose(ledger: LedgerFile, run: RunFacts, asked: UndoRequest) -> Choice:
    """The orders of a run that are asked for; with several kinds of choice, those that fit them all.

    Raises:
        UsageError: a row or customer that the run does not have, and why.
    """
    orders: set[int] | None = None
    if asked.customers:
        orders = {one for text in asked.customers for one in _orders_of_customer(ledger, run, text)}
    if asked.rows:
        of_rows = _orders_of_rows(ledger, run, asked.rows)
        orders = of_rows if orders is None else orders & of_rows
    series = tuple(asked.series) or None
    choice = Choice(run.id, series, tuple(sorted(orders)) if orders is not None else None)
    if not revoking.series_of(ledger, choice):
        of_run = revoking.series_of(ledger, Choice(run.id))
        if not of_run:
            raise UsageError(f"The run {run.name} sent no call: there is nothing to undo.")
        known = ", ".join(map(str, of_run[:10]))
        raise UsageError(
            f"The run {run.name} sent no call for that: nothing was revoked. Check --series, --customer and --row; its"
            f" series are {known}.",
            next_command=f"coupon-runner show {run.name}",
        )
    return choice


def _orders_of_customer(ledger: LedgerFile, run: RunFacts, text: str) -> tuple[int, ...]:
    hashes = {name_hash(ledger.key, Kind.CUSTOMER_ID.value, text.strip())}
    for kind in (Kind.MOBILE, Kind.EMAIL, Kind.EXTERNAL_ID):
        for region in (None, run.args.get("region")):
            read = read_identifier(kind, text, region)
            if not isinstance(read, str):
                hashes.add(name_hash(ledger.key, kind.value, read.value))
    return revoking.orders_of_customer(ledger, run.org_key, hashes)


def _orders_of_rows(ledger: LedgerFile, run: RunFacts, rows: Sequence[str]) -> set[int]:
    """The orders of rows given as "17", or "May!17" where several sheets or files have a row 17.

    Raises:
        UsageError: every problem.
    """
    files = [str(file.get("name", "")) for file in run.files]
    named: dict[int, str] = {}
    orders: dict[int, set[int]] = {}
    shares: dict[int, str] = {}
    problems = []
    numbers = set()
    for text in rows:
        where, _, number = text.rpartition("!")
        if not (number.isascii() and number.isdigit()):
            problems.append(f"--row {text}: write a row number, such as 17, or SHEET!17")
            continue
        numbers.add(number)
        lines = [
            line
            for line in revoking.lines_of_row(ledger, run.id, int(number))
            if not where or where in (line.sheet, files[line.file])
        ]
        places = sorted({(line.file, line.sheet) for line in lines})
        if not lines:
            problems.append(f"--row {text}: the run {run.name} has no such row")
        elif len(places) > 1:
            shown = " or ".join(f"--row '{sheet or files[file]}!{number}'" for file, sheet in places)
            problems.append(f"--row {text}: several sheets or files have it; say {shown}")
        elif all(line.order_id is None for line in lines):
            problems.append(f"--row {text}: this row was rejected, nothing was issued for it")
        for line in lines if len(places) == 1 else ():
            if line.order_id is None:
                continue
            if line.role in ("duplicate", "elsewhere"):
                same = f"repeats {name_row(line.same_as, '')}" if line.same_as is not None else "is covered elsewhere"
                problems.append(f"--row {text}: this row {same} and holds no coupon of its own")
                continue
            orders.setdefault(line.order_id, set()).add(int(number))
            named[line.order_id] = text
            shares[line.order_id] = line.shares
    for order, of_rows in orders.items():
        others = {one.strip() for one in shares[order].split(",") if one.strip()} - {str(one) for one in of_rows}
        if others - numbers:
            rest = ", ".join(sorted(others - numbers, key=int))
            problems.append(
                f"--row {named[order]}: its coupons are one order with row {rest}; name these rows too, or the customer"
            )
    if problems:
        raise UsageError("\n".join(problems), next_command=f"coupon-runner show {run.name}")
    return set(orders)
