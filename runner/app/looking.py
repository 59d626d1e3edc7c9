"""The commands that look and change nothing: report, runs, show, find."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from runner.adapters.ledger.control import words_to
from runner.adapters.ledger.erasing import person_facts
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.finding import FoundOrder, FoundRow, find_customer
from runner.adapters.ledger.history import list_runs, show_run
from runner.adapters.ledger.locks import ScopeLock
from runner.adapters.ledger.lost_calls import FROM_REPORTS
from runner.adapters.ledger.reports import RunReader
from runner.adapters.ledger.runs import RunFacts, find_run, newest_run
from runner.adapters.report_files import Written, write_reports
from runner.app.care import hashes_of, regions_of
from runner.app.conversation import Request
from runner.app.live import coupons_of_customer
from runner.app.org_checks import check_run_of_org
from runner.app.place import code_table, open_ledger, open_org, place_of
from runner.app.running import folder_of, workbooks_of
from runner.core.codes import CodeTable
from runner.core.keys import scope_key
from runner.core.report_lines import ReportLine
from runner.core.reporting import write_time
from runner.core.steering import paused
from runner.errors import UsageError
from runner.ports import Clock
from runner.settings import Options


def named_run(name: str | None, request: Request, *, clock: Clock) -> tuple[LedgerFile, RunFacts]:
    """The ledger in use, and the run of that name in it; without a name the newest run, of the org if there is one.

    Raises:
        UsageError: no such run, or it is another organisation's than --org says.
    """
    ledger = _ledger(request, clock, name)
    options = request.options
    if name is None:
        org = open_org(ledger, options) if options.org is not None and not ledger.rehearsal else None
        run = newest_run(ledger, org_id=org.id if org is not None else None)
    else:
        run = find_run(ledger, name)
    if run is None:
        raise UsageError(_no_run(name), next_command="coupon-runner runs")
    check_run_of_org(run, request, ledger)
    return ledger, run


def rewrite_reports(
    name: str | None, request: Request, *, clock: Clock, over_fuller: bool = False
) -> tuple[str, Written]:
    """Write a run's reports again from the ledger alone; the newest run's when none is named.

    `over_fuller`: also over reports that still hold what was erased from the ledger since.

    Raises:
        UsageError: no such run.
    """
    ledger, run = named_run(name, request, clock=clock)
    folder = folder_of(run) if "out" not in request.flags else Path(request.options.out) / run.name
    codes = code_table(request.options)
    ledger.check_newest()  # reports of an older copy would take the place of those that know more
    if run.args.get(FROM_REPORTS):
        raise UsageError(
            f"The run {run.name} is known from its reports only, and the ledger has none of its rows: keep them."
        )
    with RunReader(ledger, run.name) as reader:
        books = workbooks_of(request.options, codes)
        written = write_reports(reader, folder, advise=codes.advice, workbooks=books, over_fuller=over_fuller)
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
    ledger, run = named_run(name, request, clock=clock)
    figures = show_run(ledger, run.name)
    codes = code_table(request.options)
    holder = ScopeLock.holder_of(ledger.path, org=run.org_key, campaign=run.campaign_key)
    live = str(holder) if holder is not None and holder.run == run.name else ""
    keys = ("target", "issued", "before", "in_doubt", "missing")
    return {
        "run": run.name,
        "state": run.state.value,
        "live": live,
        "paused": _paused(ledger, run, live=bool(live)),
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
        "started_with": _started_with(run),
        "overrides": [_override(one) for one in run.overrides],
        "reports": str(folder_of(run)),
    }


def _paused(ledger: LedgerFile, run: RunFacts, *, live: bool) -> str:
    """Who paused a live run, and since when; "" when it is not paused."""
    state = paused(words_to(ledger, run.id), since=float(run.owner.get("since") or 0.0)) if live else None
    return f"by {state.by} since {write_time(state.since)}" if state is not None else ""


_WORTH_SAYING = (
    *("overlap", "duplicates", "unfinished", "hidden", "identify_by", "fall_back", "region", "count"),
    *("max_coupons", "limit"),
    *("max_per_customer", "max_value", "max_errors", "max_in_doubt", "deadline", "between", "timezone", "canary"),
    *("rate", "leave", "concurrency", "metadata", "attribution", "queue_budget", "reach_budget"),
)
"""Options that explain why a run did what it did, when they were not left as they are."""


def _started_with(run: RunFacts) -> list[str]:
    """The options that the run was started with, as flags, where they differ from the defaults."""
    defaults = Options().model_dump(mode="json", by_alias=True)
    found = []
    for name in _WORTH_SAYING:
        value = run.args.get(name)
        if value is None or value == defaults.get(name) or value == []:
            continue
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            found.append(flag if value else f"--no-{flag[2:]}")
        else:
            found.append(f"{flag} {','.join(map(str, value)) if isinstance(value, list) else value}")
    return found


def _override(record: Mapping[str, object]) -> dict[str, object]:
    """One protection that was overridden: what, when, by whom, and what was said with it."""
    told = {key: value for key, value in record.items() if key not in ("what", "at", "user", "host", "pid")}
    at = record.get("at")
    return {
        "what": record.get("what", ""),
        "time": write_time(at if isinstance(at, int | float) else None),
        "by": f"{record.get('user', 'unknown')} on {record.get('host', 'unknown')}",
        "detail": ", ".join(f"{key} {value}" for key, value in told.items()),
    }


def find_of_customer(text: str, request: Request, *, clock: Clock, live: bool = False) -> dict[str, object]:
    """Every row a customer was in, what became of it, and every coupon she got, over all campaigns of the org.

    `live`: and every coupon that the API shows of her.
    """
    ledger = _ledger(request, clock, None)
    org = open_org(ledger, request.options)
    hashes = hashes_of(text, ledger.key, [request.options.region, *regions_of(ledger, org)])
    forgotten = [one.forgotten for one in person_facts(ledger, org.id, hashes) if one.forgotten is not None]
    found = find_customer(ledger, org.key, hashes=hashes, text=text)
    codes = code_table(request.options)
    orders = [_order(order) for order in found.orders]
    judged = _judged(ledger, found.orders)
    return {
        "customer": text,
        "people": found.persons,
        "forgotten": write_time(max(forgotten, default=None)),
        "orders": orders,
        "rows": [row for order in found.orders for row in _rows_of(order, judged, codes)]
        + [_row(row) for row in found.other_rows],
        **(coupons_of_customer(text, orders, ledger, request, clock=clock) if live else {}),
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
        "kind": order.kind,
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


def _judged(ledger: LedgerFile, orders: Iterable[FoundOrder]) -> dict[tuple[int, int], ReportLine]:
    """What the reports say of the rows of some orders, by row and series: each against the target of its own run."""
    of_run: dict[str, list[int]] = {}
    for order in orders:
        for row in order.rows:
            of_run.setdefault(row.run, []).append(row.id)
    judged: dict[tuple[int, int], ReportLine] = {}
    for run, row_ids in of_run.items():
        with RunReader(ledger, run) as reader:
            judged.update(reader.of_rows(sorted(set(row_ids))))
    return judged


def _rows_of(
    order: FoundOrder, judged: Mapping[tuple[int, int], ReportLine], codes: CodeTable
) -> Iterable[dict[str, object]]:
    """One line for each row of an order, as the reports have it; the order's coupons stand with its first row."""
    for number, row in enumerate(order.rows):
        line = judged[row.id, order.series]
        share, cause = line.verdict.share, line.verdict.cause
        code = cause.code or order.closed
        yield {
            **_row(row),
            "series": order.series,
            "status": line.verdict.status.value,
            "target": share.target,
            "issued": share.issued,
            "in_doubt": share.held,
            "missing": share.missing,
            "campaign": order.campaign,
            "code": code,
            "message": cause.message or row.note or (codes.meaning(code) if code else ""),
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
