# ruff: noqa: S608 — put together from fixed texts of this module; every value is a parameter
"""A decided input becomes a run: one transaction, so that a process killed while loading has loaded nothing."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from runner.adapters.ledger.events import append_event
from runner.adapters.ledger.falling_back import (
    KIND_OF_LOAD,
    OTHERS_OF_LOAD,
    TRIED_OF_LOAD,
    VALUE_OF_LOAD,
    tell_set_back,
)
from runner.adapters.ledger.files import transaction
from runner.adapters.ledger.holding_back import close_held_back
from runner.adapters.ledger.loaded import describe_load, input_digest, names_of_load, overrides_digest
from runner.adapters.ledger.replacing import replace_revoked
from runner.adapters.ledger.staged import Campaign, NewRun, PlanChanged, as_json, current_revision, follow_merged
from runner.core.plan import Plan
from runner.core.undoing import portions

_NAMES_IN_AN_EVENT = 1_000

_NOT_FORGOTTEN = (
    "closed IS NOT 'forgotten' AND (SELECT f.forgotten FROM persons f WHERE f.id = orders.person_id) IS NULL"
)

LOADING = (
    "INSERT INTO persons(id, org_id, name) SELECT :persons0 + no, :org, name FROM t_people WHERE person_id IS NULL",
    (
        "INSERT OR IGNORE INTO identity(org_id, hash, person_id)"
        " SELECT :org, hash, coalesce(person_id, :persons0 + no) FROM t_known ORDER BY hash"
    ),
    (
        "UPDATE orders SET target = t.target, run_id = :run,"
        " closed = CASE WHEN (SELECT f.forgotten FROM persons f WHERE f.id = orders.person_id) IS NOT NULL"
        f" THEN 'forgotten' WHEN closed IN ('resent', 'forgotten') THEN closed END, kind = {KIND_OF_LOAD},"
        f" value = CASE WHEN {_NOT_FORGOTTEN} THEN {VALUE_OF_LOAD} END,"
        f" others = CASE WHEN {_NOT_FORGOTTEN} THEN {OTHERS_OF_LOAD} END, tried = {TRIED_OF_LOAD}"
        " FROM t_orders t WHERE t.existing = orders.id AND NOT t.skipped"
    ),
    (
        "INSERT INTO orders(id, scope_id, key, series, person_id, kind, value, target, run_id, closed, others)"
        " SELECT :orders0 + t.no, :scope, t.key, t.series, coalesce(p.person_id, :persons0 + p.no), t.kind,"
        " CASE WHEN f.id IS NULL THEN t.value END, CASE WHEN t.skipped THEN 0 ELSE t.target END, :run,"
        " CASE WHEN f.id IS NOT NULL THEN 'forgotten' END, CASE WHEN f.id IS NULL THEN t.others END"
        " FROM t_orders t JOIN t_people p ON p.no = t.person_no"
        " LEFT JOIN persons f ON f.id = p.person_id AND f.forgotten IS NOT NULL"
        " WHERE t.existing IS NULL ORDER BY t.no"
    ),
    (
        "INSERT INTO rows(id, run_id, file, sheet, row, cells, problems, rejected, series_text, count_text)"
        " SELECT :rows0 + seq, :run, file, sheet, row, cells, problems, problems IS NOT NULL, series_text, count_text"
        " FROM t_rows ORDER BY seq"
    ),
    (
        "INSERT INTO lines(run_id, row_id, order_id, requested, target, before, counted, role, same_as, note)"
        " SELECT :run, :rows0 + l.seq, coalesce(o.existing, :orders0 + o.no), l.requested, o.target, o.issued, "
        "l.counted, l.role,"
        " :rows0 + l.same_as, l.note FROM t_lines l JOIN t_orders o ON o.no = l.order_no ORDER BY l.seq, l.order_no"
    ),
    "UPDATE orgs SET revision = revision + 1 WHERE id = :org",
)

OPEN = """
SELECT coalesce(sum(target - issued - held), 0) FROM orders
WHERE run_id = :run AND closed IS NULL AND target > issued + held AND merged_into IS NULL
"""
"""What a run that has just been loaded asks for: it must be what its plan says, to the coupon."""


def load_run(
    connection: sa.Connection, run: NewRun, campaign: Campaign, plan: Plan, *, revision: int | None, key: bytes
) -> int:
    """Load the decided input as a run in state `ready`, in one transaction; returns its number in the ledger.

    `key`: the ledger's, for the digests of names. Raises PlanChanged, with nothing written, when the ledger has moved
    since `revision` in a way that could change it, or when what the run would ask for is not what the plan says.
    """
    org_id, scope_id = campaign.org_id, campaign.scope_id
    with transaction(connection):
        if current_revision(connection, org_id) != revision or _people_moved(connection, org_id):
            raise PlanChanged
        run_id = connection.execute(
            sa.text(
                "INSERT INTO runs(name, scope_id, state, args, files, totals, started, owner, out, overrides)"
                " VALUES (:name, :scope, 'ready', :args, :files, :totals, :started, :owner, :out, "
                ":overrides) RETURNING id"
            ),
            {
                "name": run.name,
                "scope": scope_id,
                "args": as_json(run.args),
                "files": as_json(list(run.files)),
                "totals": as_json(
                    {"rows": plan.rows, "lines": plan.lines, "missing": plan.missing, "leavers": plan.leavers}
                ),
                "started": run.started,
                "owner": as_json(run.owner),
                "out": run.out,
                "overrides": as_json(list(run.overrides)),
            },
        ).scalar_one()
        base = {
            name: connection.exec_driver_sql(f"SELECT coalesce(max(id), 0) FROM {name}").scalar_one()
            for name in ("persons", "orders", "rows")
        }
        values = {"org": org_id, "scope": scope_id, "run": run_id, **{f"{name}0": at for name, at in base.items()}}
        replace_revoked(connection, run_id, at=run.started)
        names = names_of_load(connection, {"org": org_id, "persons0": base["persons"]})
        for some in portions(names, _NAMES_IN_AN_EVENT):
            append_event(connection, run_id, {"names": some}, at=run.started)
        tell_set_back(connection, run_id, key=key, at=run.started)
        for statement in LOADING:
            connection.execute(sa.text(statement), values)
        counts = {"orders": plan.orders, "target": plan.target, "missing": plan.missing}
        told: dict[str, Any] = {"load": {**counts, **describe_load(connection.exec_driver_sql, run_id)}}
        if held_back := close_held_back(connection, run_id, base["orders"]):
            told["load"]["held_back"] = held_back
        if connection.execute(sa.text(OPEN), values).scalar_one() != plan.missing:
            raise PlanChanged  # what would be asked for is not what was agreed to
        if run.overrides:
            told["overrides"] = overrides_digest(as_json(list(run.overrides)))
        inputs = connection.exec_driver_sql("SELECT name, args, files FROM runs WHERE id = ?", (run_id,)).one()
        told["load"]["input"] = input_digest(*inputs)
        append_event(connection, run_id, told, at=run.started)
    return int(run_id)


def _people_moved(connection: sa.Connection, org_id: int | None) -> bool:
    """Whether an identifier of the input leads to another person now than when it was decided."""
    follow_merged(connection, org_id)
    moved = connection.exec_driver_sql(
        "SELECT EXISTS (SELECT 1 FROM t_known k JOIN identity i ON i.org_id = ? AND i.hash = k.hash"
        " LEFT JOIN t_merged m ON m.person = i.person_id WHERE coalesce(m.root, i.person_id) IS NOT k.person_id)",
        (org_id,),
    ).scalar_one()
    return bool(moved)
