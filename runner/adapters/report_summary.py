"""summary.json: a run's sums, exit codes, surprises and overrides, for programs."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from runner.adapters.ledger.reports import RunReader
from runner.core.face_value import NO_VALUE, values_of_run, worth_of
from runner.core.preflight import NOT_CHECKED
from runner.core.reporting import write_time
from runner.core.statuses import FLAG_SENTENCES, LineStatus
from runner.core.totals import Coupons, Totals, principal_exit, tell_places

SUMMARY_SCHEMA = 1


def summary_of(
    reader: RunReader, totals: Totals, codes: Sequence[int], live: bool, reports: Sequence[str]
) -> dict[str, Any]:
    """The summary of a run. `codes`: the exit codes that hold. `live`: it is still going on. `reports`: the files."""
    run = reader.run
    values = values_of_run(run.args)
    throttled, before = reader.throttled()
    return {
        "schema": SUMMARY_SCHEMA,
        "run": run.name,
        "org": run.org,
        "campaign": run.campaign,
        "rehearsal": reader.ledger.rehearsal,
        "ledger": reader.ledger.ledger_id,
        "state": run.state,
        "reason": run.reason,
        "exit_code": None if live else principal_exit(codes),
        "exit_codes": [] if live else list(codes),
        "started": write_time(run.started),
        "ended": write_time(run.ended) or None,
        "rows": totals.rows,
        "lines": {status: totals.lines[status] for status in LineStatus},
        "coupons": _coupons(totals.coupons),
        "series": {
            str(series): {
                **_coupons(coupons),
                "face_value": _text(worth_of(coupons.issued, values.get(series, NO_VALUE))),
            }
            for series, coupons in totals.series.items()
        },
        "errors": dict(totals.errors),
        "throttled": {"calls": throttled, "in_the_minute_before": before},
        "flags": dict(totals.flags),
        "surprises": [
            {"flag": flag, "count": count, "sentence": FLAG_SENTENCES.get(flag, ""), "where": tell_places(totals, flag)}
            for flag, count in totals.flags.items()
        ],
        "preflight": run.args.get("preflight") or NOT_CHECKED.record(),
        "overrides": [{**one, "at": write_time(one.get("at"))} for one in run.overrides],
        "files": [{name: file.get(name) for name in ("name", "sha256", "sheet", "rows")} for file in run.files],
        "reports": list(reports),
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def _coupons(coupons: Coupons) -> dict[str, int]:
    return {
        "target": coupons.target,
        "issued": coupons.issued,
        "before": coupons.before,
        "in_doubt": coupons.in_doubt,
        "missing": coupons.missing,
        "revoked": coupons.revoked,
        "above": coupons.above,
    }
