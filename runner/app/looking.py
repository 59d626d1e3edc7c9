"""The commands that look and change nothing: report, runs, show, find."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.finding import FoundOrder, FoundRow, find_customer
from runner.adapters.ledger.history import list_runs, show_run
from runner.adapters.ledger.locks import ScopeLock
from runner.adapters.ledger.reports import RunReader
from runner.adapters.ledger.runs import find_run, newest_run
from runner.adapters.report_files import Written, write_reports
from runner.app.issuing import Request
from runner.app.place import code_table, open_ledger, open_org, place_of
from runner.app.running import folder_of, workbooks_of
from runner.core.codes import CodeTable
from runner.core.identity import read_identifier
from runner.core.keys import name_hash, scope_key
from runner.core.model import Kind
from runner.core.reporting import write_time
from runner.errors import UsageError
from runner.ports import Clock


def rewrite_reports(name: str | None, request: Request, *, clock: Clock) -> tuple[str, Written]:
    """Write a run's reports again from the ledger alone; the newest run's when none is named.

    Raises:
        UsageError: no such run.
    """
    ledger = _ledger(request, clock, name)
    run = find_run(ledger, name) if name is not None else newest_run(ledger)
    if run is None:
        raise UsageError(_no_run(name), next_command="coupon-runner runs")
    folder = folder_of(run) if "out" not in request.flags else Path(request.options.out) / run.name
    codes = code_table(request.options)
    with RunReader(ledger, run.name) as reader:
        written = write_reports(reader, folder, advise=codes.advice, workbooks=workbooks_of(request.options, codes))
        return run.name, written


def list_of_runs(request: Request, *, clock: Clock, limit: int) -> list[dict[str, object]]:
    """The newest runs first, of one org if it is named."""
    ledger = _ledger(request, clock, None)
    org_key = scope_key(request.options.org) if request.options.org and not ledger.rehearsal else None
    found = []
    for entry in list_runs(ledger, org_key=org_key, limit=limit):
        figures = show_run(ledger, entry.name)
        sums = {
            key: sum(getattr(one, key) for one in figures.series) for key in ("target", "issued", "in_doubt", "missing")
        }
        found.append(
            {
                "run": entry.name,
                "state": entry.state,
                "exit_code": entry.exit_code,
                **sums,
                "rows": figures.rows,
                "started": write_time(entry.started),
                "ended": write_time(entry.ended),
                "org": entry.org,
                "campaign": entry.campaign,
                "reason": figures.run.reason,
                "files": list(entry.files),
                "out": str(Path(entry.out) / entry.name),
            }
        )
    return found


def show_of_run(name: str | None, request: Request, *, clock: Clock) -> dict[str, object]:
    """One run as it stands at this moment, live or not.

    Raises:
        UsageError: no such run.
    """
    ledger = _ledger(request, clock, name)
    run = find_run(ledger, name) if name is not None else newest_run(ledger)
    if run is None:
        raise UsageError(_no_run(name), next_command="coupon-runner runs")
    figures = show_run(ledger, run.name)
    codes = code_table(request.options)
    holder = ScopeLock.holder_of(ledger.path, org=run.org_key, campaign=run.campaign_key)
    live = str(holder) if holder is not None and holder.run == run.name else ""
    keys = ("target", "issued", "before", "in_doubt", "missing")
    return {
        "run": run.name,
        "state": run.state.value,
        "live": live,
        "exit_code": run.exit_code,
        "reason": run.reason or "",
        "org": run.org,
        "campaign": run.campaign,
        "started": write_time(run.started),
        "ended": write_time(run.ended),
        "newest_answer": write_time(figures.newest_answer),
        "owner": "{user} on {host}, process {pid}".format_map({"user": "", "host": "", "pid": "", **figures.owner}),
        "files": ", ".join(str(file.get("name", "")) for file in run.files),
        "rows": figures.rows,
        "rejected": figures.rejected,
        "coupons": {key: sum(getattr(one, key) for one in figures.series) for key in keys},
        "calls": dict(figures.calls),
        "series": [
            {
                "series": one.series,
                "state": one.state,
                "orders": one.orders,
                "target": one.target,
                "issued": one.issued,
                "in_doubt": one.in_doubt,
                "missing": one.missing,
                "code": one.code,
                "message": codes.meaning(one.code) if one.code else "",
            }
            for one in figures.series
        ],
        "reports": str(folder_of(run)),
    }


def find_of_customer(text: str, request: Request, *, clock: Clock) -> dict[str, object]:
    """Every row a customer was in, what became of it, and every coupon she got, over all campaigns of the org."""
    ledger = _ledger(request, clock, None)
    org = open_org(ledger, request.options)
    hashes = set()
    for kind in (Kind.MOBILE, Kind.EMAIL, Kind.EXTERNAL_ID):
        for region in {None, request.options.region}:
            read = read_identifier(kind, text, region)
            if not isinstance(read, str):
                hashes.add(name_hash(ledger.key, kind.value, read.value))
    hashes.add(name_hash(ledger.key, Kind.CUSTOMER_ID.value, text.strip()))
    found = find_customer(ledger, org.key, hashes=hashes, text=text)
    codes = code_table(request.options)
    return {
        "customer": text,
        "people": found.persons,
        "orders": [_order(order) for order in found.orders],
        "rows": [row for order in found.orders for row in _rows_of(order, codes)]
        + [_row(row) for row in found.other_rows],
    }


def _ledger(request: Request, clock: Clock, run: str | None) -> LedgerFile:
    return open_ledger(place_of(request.options, request.environment, run=run), clock)


def _no_run(name: str | None) -> str:
    if name is None:
        return "The ledger has no run yet."
    return f"The ledger knows no run {name!r}."


def _order(order: FoundOrder) -> dict[str, object]:
    return {
        "order": order.key,
        "campaign": order.campaign,
        "series": order.series,
        "customer": order.customer,
        "target": order.target,
        "issued": order.issued,
        "in_doubt": order.in_doubt,
        "closed": order.closed,
        "coupons": [
            {"code": coupon.code, "coupon_id": coupon.id, "call": coupon.call_key, "state": coupon.state}
            for coupon in order.coupons
        ],
        "calls": [
            {
                "call": call.key,
                "run": call.run,
                "state": call.state,
                "quantity": call.quantity,
                "known": call.known,
                "in_doubt": call.in_doubt,
                "began": write_time(call.began),
                "ended": write_time(call.ended),
                "code": call.code,
                "message": call.message,
                "request_id": call.request_id,
            }
            for call in order.calls
        ],
    }


def _rows_of(order: FoundOrder, codes: CodeTable) -> Iterable[dict[str, object]]:
    """One line for each row of an order; the order's coupons stand with its first row."""
    missing = max(0, order.target - order.issued - order.in_doubt)
    last = next((call for call in reversed(order.calls) if call.code), None)
    for number, row in enumerate(order.rows):
        status = "duplicate" if row.role in ("duplicate", "elsewhere") or order.merged else None
        if status is None:
            status = (
                "in_doubt"
                if order.in_doubt
                else "issued"
                if not missing
                else "partial"
                if order.issued
                else "not issued"
            )
        code = order.closed or (last.code if last is not None and (missing or order.in_doubt) else "")
        yield {
            **_row(row),
            "series": order.series,
            "status": status,
            "target": order.target,
            "issued": order.issued,
            "in_doubt": order.in_doubt,
            "missing": missing,
            "campaign": order.campaign,
            "code": code,
            "message": row.note or (codes.meaning(code) if code else ""),
            "codes": ", ".join(coupon.code for coupon in order.coupons) if number == 0 else "",
        }


def _row(row: FoundRow) -> dict[str, object]:
    return {
        "row": row.row,
        "sheet": row.sheet,
        "file": row.file,
        "run": row.run,
        "status": row.role,
        "message": "; ".join(problem.message for problem in row.problems) or row.note,
    }
