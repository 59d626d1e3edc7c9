"""The life of a run in the ledger: ready → running → stopped ⇄ running → finished | abandoned."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson
import sqlalchemy as sa

from runner.adapters.ledger.events import Head, append_event, head_of, holds
from runner.adapters.ledger.files import LedgerFile, transaction
from runner.adapters.ledger.loaded import overrides_digest
from runner.adapters.ledger.schema import orgs, runs, scopes


class RunState(StrEnum):
    """`stopped` and the two before it are unfinished: `resume` goes on with them."""

    READY = "ready"
    RUNNING = "running"
    STOPPED = "stopped"
    FINISHED = "finished"
    ABANDONED = "abandoned"


UNFINISHED = (RunState.READY, RunState.RUNNING, RunState.STOPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """A run as the ledger has it. Times in seconds since the epoch, UTC; JSON columns as they were recorded.

    `mapping`: heading → role, of its campaign. `reason`: "" when none was recorded.
    """

    id: int
    name: str
    scope_id: int
    org_id: int
    org: str
    org_key: str
    campaign: str
    campaign_key: str
    state: RunState
    args: Mapping[str, Any]
    files: Sequence[Mapping[str, Any]]
    totals: Mapping[str, Any]
    started: float
    ended: float | None
    exit_code: int | None
    exit_codes: tuple[int, ...]
    reason: str
    owner: Mapping[str, Any]
    out: str
    overrides: Sequence[Mapping[str, Any]]
    mapping: Mapping[str, str]


_SELECT = (
    sa.select(
        runs,
        scopes.c.org_id,
        scopes.c.campaign,
        scopes.c.mapping,
        scopes.c.key.label("campaign_key"),
        orgs.c.name.label("org"),
        orgs.c.key.label("org_key"),
    )
    .join(scopes, scopes.c.id == runs.c.scope_id)
    .join(orgs, orgs.c.id == scopes.c.org_id)
)


def _facts(found: Mapping[str, Any]) -> RunFacts:
    return RunFacts(
        id=found["id"],
        name=found["name"],
        scope_id=found["scope_id"],
        org_id=found["org_id"],
        org=found["org"],
        org_key=found["org_key"],
        campaign=found["campaign"],
        campaign_key=found["campaign_key"],
        state=RunState(found["state"]),
        args=json.loads(found["args"]),
        files=json.loads(found["files"]),
        totals=json.loads(found["totals"]),
        started=found["started"],
        ended=found["ended"],
        exit_code=found["exit_code"],
        exit_codes=tuple(json.loads(found["exit_codes"] or "[]")),
        reason=found["reason"] or "",
        owner=json.loads(found["owner"] or "{}"),
        out=found["out"] or "",
        overrides=json.loads(found["overrides"] or "[]"),
        mapping=json.loads(found["mapping"]),
    )


def _first(ledger: LedgerFile, query: sa.Select[Any]) -> RunFacts | None:
    with closing(ledger.connect(readonly=True)) as connection:
        found = connection.execute(query.limit(1)).mappings().first()
    return _facts(dict(found)) if found else None


def read_run(conn: sa.Connection, name: str) -> RunFacts | None:
    """The run of exactly that id, on the caller's connection."""
    found = conn.execute(_SELECT.where(runs.c.name == name)).mappings().first()
    return _facts(dict(found)) if found else None


def find_run(ledger: LedgerFile, name: str) -> RunFacts | None:
    """The run of that id; a part of an id will do when only one run has it."""
    exact = _first(ledger, _SELECT.where(runs.c.name == name))
    if exact is not None or len(name) < 4:
        return exact
    with closing(ledger.connect(readonly=True)) as connection:
        found = connection.execute(_SELECT.where(runs.c.name.contains(name, autoescape=True)).limit(2)).mappings().all()
    return _facts(dict(found[0])) if len(found) == 1 else None


def newest_run(ledger: LedgerFile, *, org_id: int | None = None, unfinished: bool = False) -> RunFacts | None:
    """The newest run, of one org if given, unfinished if asked."""
    query = _SELECT.order_by(runs.c.id.desc())
    if org_id is not None:
        query = query.where(scopes.c.org_id == org_id)
    if unfinished:
        query = query.where(runs.c.state.in_([state.value for state in UNFINISHED]))
    return _first(ledger, query)


def unfinished_run_of(ledger: LedgerFile, scope_id: int) -> RunFacts | None:
    """The campaign's unfinished run: there is at most one, since the next begins by dealing with it."""
    query = _SELECT.where(runs.c.scope_id == scope_id, runs.c.state.in_([state.value for state in UNFINISHED]))
    return _first(ledger, query.order_by(runs.c.id.desc()))


def outs_of_unfinished(ledger: LedgerFile, org_id: int) -> list[str]:
    """The folders that an org's unfinished runs write their reports to."""
    query = sa.select(runs.c.out).join(scopes, scopes.c.id == runs.c.scope_id).distinct()
    unfinished = runs.c.state.in_([state.value for state in UNFINISHED])
    with closing(ledger.connect(readonly=True)) as connection:
        found = connection.execute(query.where(scopes.c.org_id == org_id, unfinished, runs.c.out.is_not(None)))
        return sorted(found.scalars())


def set_run_state(
    ledger: LedgerFile,
    run: RunFacts,
    state: RunState,
    *,
    at: float,
    exit_code: int | None = None,
    exit_codes: Sequence[int] | None = None,
    reason: str | None = None,
    owner: Mapping[str, Any] | None = None,
    override: Mapping[str, Any] | None = None,
) -> None:
    """Record that a run begins, ends or is abandoned, with an event. `owner` and `override` when given, appended to."""
    values: dict[str, Any] = {"state": state.value, "exit_code": exit_code, "reason": reason}
    values["exit_codes"] = orjson.dumps(list(exit_codes)).decode() if exit_codes is not None else None
    values["ended"] = None if state is RunState.RUNNING else at
    if owner is not None:
        values["owner"] = orjson.dumps(owner).decode()
    with closing(ledger.connect()) as connection, transaction(connection):
        if override is not None:
            earlier = connection.execute(sa.select(runs.c.overrides).where(runs.c.id == run.id)).scalar() or "[]"
            values["overrides"] = orjson.dumps([*json.loads(earlier), override]).decode()
        connection.execute(sa.update(runs).where(runs.c.id == run.id).values(**values))
        if state is RunState.ABANDONED:
            connection.execute(sa.update(orgs).where(orgs.c.id == run.org_id).values(revision=orgs.c.revision + 1))
        told: dict[str, Any] = {"state": state.value, "exit_code": exit_code, "exit_codes": exit_codes}
        if override is not None:
            told["overrides"] = overrides_digest(str(values["overrides"]))
        append_event(connection, run.id, told, at=at)


def add_override(ledger: LedgerFile, run: RunFacts, override: Mapping[str, Any], *, at: float) -> None:
    """Record that a person overrode a protection of a run, or settled something by their word, with an event."""
    with closing(ledger.connect()) as connection, transaction(connection):
        append_override(connection, run.id, override, at=at)


def append_override(connection: sa.Connection, run_id: int, override: Mapping[str, Any], *, at: float) -> None:
    """The same inside a write transaction."""
    earlier = connection.execute(sa.select(runs.c.overrides).where(runs.c.id == run_id)).scalar() or "[]"
    overrides = orjson.dumps([*json.loads(earlier), override]).decode()
    connection.execute(sa.update(runs).where(runs.c.id == run_id).values(overrides=overrides))
    append_event(connection, run_id, {"overrides": overrides_digest(overrides)}, at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCounts:
    """Coupons of a run's orders now. `missing`: that may still be asked for. `spent`.

    Issued or in doubt by its own calls.
    """

    target: int
    issued: int
    held: int
    missing: int
    open_orders: int
    spent: int


def count_run(ledger: LedgerFile, run_id: int) -> RunCounts:
    """Sum up a run's orders, leaving out what is closed in it."""
    with closing(ledger.connect(readonly=True)) as connection:
        target, issued, held = connection.exec_driver_sql(
            "SELECT coalesce(sum(target), 0), coalesce(sum(issued), 0), coalesce(sum(held), 0) FROM orders WHERE "
            "run_id = ?",
            (run_id,),
        ).one()
        open_orders, missing = connection.exec_driver_sql(
            "SELECT count(*), coalesce(sum(target - issued - held), 0) FROM orders"
            " WHERE run_id = ? AND closed IS NULL AND target > issued + held AND merged_into IS NULL"
            " AND series NOT IN (SELECT series FROM series_states WHERE run_id = ? AND state = 'closed')",
            (run_id, run_id),
        ).one()
        spent = connection.exec_driver_sql(
            "SELECT coalesce(sum(known + held), 0) FROM calls WHERE run_id = ?", (run_id,)
        ).scalar_one()
    return RunCounts(target=target, issued=issued, held=held, missing=missing, open_orders=open_orders, spent=spent)


def newest_series_list(ledger: LedgerFile, scope_id: int) -> dict[str, Any] | None:
    """The list of series that a campaign's runs had last, as it was recorded; None when none had one."""
    with closing(ledger.connect(readonly=True)) as connection:
        found = connection.exec_driver_sql(
            "SELECT json_extract(args, '$.series_list') FROM runs WHERE scope_id = ?"
            " AND json_extract(args, '$.series_list') IS NOT NULL ORDER BY id DESC LIMIT 1",
            (scope_id,),
        ).scalar()
    return dict(json.loads(found)) if found is not None else None


def frozen_phone_format(ledger: LedgerFile, scope_id: int) -> str | None:
    """How plain digits of mobiles were written in a campaign, as its newest run recorded it; None: as found out."""
    with closing(ledger.connect(readonly=True)) as connection:
        found = connection.exec_driver_sql(
            "SELECT json_extract(args, '$.phone_format') FROM runs WHERE scope_id = ? ORDER BY id DESC LIMIT 1",
            (scope_id,),
        ).scalar()
    return None if found is None else str(found)


def issued_by_series(ledger: LedgerFile, scope_id: int) -> dict[int, int]:
    """Coupons issued or in doubt of each series, over all runs of a campaign."""
    with closing(ledger.connect(readonly=True)) as connection:
        found = connection.exec_driver_sql(
            "SELECT series, sum(issued + held) FROM orders WHERE scope_id = ? AND merged_into IS NULL GROUP BY series",
            (scope_id,),
        ).all()
    return {int(series): int(total) for series, total in found}


def series_left(ledger: LedgerFile, run_id: int) -> frozenset[int]:
    """The series that a run asks no more: closed, or without a coupon for their whole budget."""
    with closing(ledger.connect(readonly=True)) as connection:
        found = connection.exec_driver_sql(
            "SELECT series FROM series_states WHERE run_id = ? AND state IN ('closed', 'exhausted')", (run_id,)
        )
        return frozenset(int(series) for series in found.scalars())


def series_closed(ledger: LedgerFile, run_id: int) -> frozenset[int]:
    """The series whose lines have failed for good in a run: whoever resumes it asks nothing of them."""
    with closing(ledger.connect(readonly=True)) as connection:
        found = connection.exec_driver_sql(
            "SELECT series FROM series_states WHERE run_id = ? AND state = 'closed'", (run_id,)
        )
        return frozenset(int(series) for series in found.scalars())


def newest_head(ledger: LedgerFile) -> Head:
    """The newest link of the ledger's history."""
    with closing(ledger.connect(readonly=True)) as connection:
        return head_of(connection)


def holds_link(ledger: LedgerFile, link: Head) -> bool:
    """Whether that link is a part of the ledger's history, or of one that a recovery has accounted for."""
    with closing(ledger.connect(readonly=True)) as connection:
        return holds(connection, link)


def is_lost(ledger: LedgerFile, link: Head) -> bool:
    """Whether that link is of a history that was lost, and that a recovery has accounted for."""
    with closing(ledger.connect(readonly=True)) as connection:
        found = connection.exec_driver_sql(
            "SELECT EXISTS (SELECT 1 FROM lost_heads WHERE seq = ? AND hash = ?)", (link.seq, link.hash)
        ).scalar_one()
    return bool(found)
