# ruff: noqa: S608 — put together from constants of this file; every value is a parameter
"""Calls in doubt as the ledger has them, what it knows around them, and how they are settled by a read or a person.

The decision is `core.reconciling`. Every settlement is one transaction with its evidence and one link of the history.
Only for the process that holds the campaign's lock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from runner.adapters.ledger.events import append_body, append_event
from runner.adapters.ledger.files import LedgerFile, transaction
from runner.adapters.ledger.loaded import evidence_told
from runner.adapters.ledger.runs import RunState
from runner.adapters.ledger.schema import api_facts, evidence
from runner.adapters.ledger.settling import learn_names, settle
from runner.core.keys import coupon_hash
from runner.core.model import CallState, Coupon, Identifier, Kind, Outcome, Settlement, Source
from runner.core.reconciling import APPEARED_LATER, NOT_FOUND_CODE, Doubt

_FACTS_LAST_SECONDS = 7 * 86_400.0
"""After a week what was measured of an API says nothing about it any more."""


_CANDIDATES = 50
"""Of how many of the newest settled calls those are chosen that the API is asked about."""


class OpenCall(NamedTuple):
    """A call to be settled, with what is needed to ask about it and to record what is found.

    `kind` and `value`: how its customer is named to the API; `value` is "" once it was erased. `run`: whose call it is.
    """

    doubt: Doubt
    state: CallState
    order_id: int
    number: int
    person: int
    run: int
    org: int
    scope: int
    kind: Kind
    value: str
    code: str
    message: str

    @property
    def key(self) -> str:
        """The call's key."""
        return self.doubt.call


class DoubtfulScope(NamedTuple):
    """A campaign of an org that has calls in doubt (or sending, by a process that may be dead)."""

    id: int
    key: str
    campaign: str
    calls: int


class KnownCall(NamedTuple):
    """A settled call whose coupons the API should show. Times in seconds since the epoch, UTC."""

    call: str
    person: int
    kind: Kind
    value: str
    began: float
    ended: float


_COLUMNS = """
SELECT c.key, o.series, c.quantity, c.known, c.began, c.ended, c.state, c.order_id, c.number, o.person_id, c.run_id,
    s.org_id, s.id, o.kind, coalesce(o.value, ''), coalesce(c.code, ''), coalesce(c.message, ''),
    coalesce(json_extract(r.args, '$.metadata'), 1)
"""
_OF_CALL = (
    "JOIN orders AS o ON o.id = c.order_id JOIN scopes AS s ON s.id = o.scope_id JOIN runs AS r ON r.id = c.run_id"
)
_SELECT = f"{_COLUMNS} FROM calls AS c {_OF_CALL}"


def doubts_of(ledger: LedgerFile, scope: int, *, run: int | None = None) -> list[OpenCall]:
    """Every call in doubt of a campaign, or of one of its runs."""
    # "state IN (…)" names the partial index of unsettled calls.
    query = _SELECT + (
        " WHERE c.state IN ('sending', 'in_doubt') AND c.state = 'in_doubt' AND o.scope_id = ?"
        " AND (? IS NULL OR c.run_id = ?) ORDER BY c.began, c.key"
    )
    with closing(ledger.connect(readonly=True)) as conn:
        return [_open_call(row) for row in conn.exec_driver_sql(query, (scope, run, run))]


def find_call(ledger: LedgerFile, key: str) -> OpenCall | None:
    """One call by its key."""
    with closing(ledger.connect(readonly=True)) as conn:
        order, _, _ = key.partition("-")
        row = conn.exec_driver_sql(
            _SELECT + " WHERE o.id IN (SELECT id FROM orders WHERE key = ?) AND c.key = ?", (order, key)
        ).first()
    return _open_call(row) if row is not None else None


def settled_as_missing(ledger: LedgerFile, scope: int, *, since: float) -> list[OpenCall]:
    """Calls of a campaign that reads settled as not (or not wholly) issued since a time: they are read again."""
    query = f"""
        {_COLUMNS} FROM (SELECT DISTINCT order_id, number FROM evidence WHERE "by" = 'read' AND at >= ?) AS e
        CROSS JOIN calls AS c ON c.order_id = e.order_id AND c.number = e.number {_OF_CALL}
        WHERE o.scope_id = ? AND c.code = ? AND c.state <> 'in_doubt' ORDER BY c.began, c.key
    """
    with closing(ledger.connect(readonly=True)) as conn:
        return [_open_call(row) for row in conn.exec_driver_sql(query, (since, scope, NOT_FOUND_CODE))]


def doubtful_scopes(ledger: LedgerFile, org: int) -> list[DoubtfulScope]:
    """The campaigns of an org with calls whose outcome is not recorded."""
    with closing(ledger.connect(readonly=True)) as conn:
        found = conn.exec_driver_sql(
            "SELECT s.id, s.key, s.campaign, count(*) FROM calls AS c JOIN runs AS r ON r.id = c.run_id"
            " JOIN scopes AS s ON s.id = r.scope_id WHERE c.state IN ('sending', 'in_doubt') AND s.org_id = ?"
            " GROUP BY s.id ORDER BY s.id",
            (org,),
        )
        return [DoubtfulScope(*row) for row in found]


def scopes_to_read_again(ledger: LedgerFile, org: int, *, since: float) -> list[DoubtfulScope]:
    """The campaigns of an org in which reads settled calls as missing since a time."""
    with closing(ledger.connect(readonly=True)) as conn:
        found = conn.exec_driver_sql(
            """SELECT s.id, s.key, s.campaign, count(*)
            FROM (SELECT DISTINCT order_id, number FROM evidence WHERE "by" = 'read' AND at >= ?) AS e
            CROSS JOIN calls AS c ON c.order_id = e.order_id AND c.number = e.number
            JOIN orders AS o ON o.id = c.order_id JOIN scopes AS s ON s.id = o.scope_id
            WHERE s.org_id = ? AND c.code = ? AND c.state <> 'in_doubt' GROUP BY s.id ORDER BY s.id""",
            (since, org, NOT_FOUND_CODE),
        )
        return [DoubtfulScope(*row) for row in found]


def known_calls(ledger: LedgerFile, org: int, *, url: str, newest: int, before: float, older: int) -> list[KnownCall]:
    """Settled calls whose coupons the API at `url` should show: the newest few, and a few that ended before a time.

    `url`: "" for the one API that all calls of the ledger went to, whatever its address was (a rehearsal's).

    Left out are calls with a coupon that is revoked, and those that a read or a person settled.
    """
    # One walk over the calls; what is dearer to find out is asked of the newest only.
    query = f"""
        SELECT n.key, n.person_id, n.kind, n.value, n.began, n.ended FROM (
            SELECT c.key, c.order_id, c.number, o.person_id, o.kind, o.value, c.began, c.ended
            FROM calls AS c CROSS JOIN runs AS r ON r.id = c.run_id CROSS JOIN orders AS o ON o.id = c.order_id
            WHERE c.state = 'issued' AND c.known = c.quantity AND c.ended < ? AND o.value IS NOT NULL
                AND r.scope_id IN (SELECT id FROM scopes WHERE org_id = ? AND ? IN ('', url))
            ORDER BY c.began DESC LIMIT {_CANDIDATES}
        ) AS n
        WHERE NOT EXISTS (SELECT 1 FROM evidence AS e WHERE e.order_id = n.order_id AND e.number = n.number)
            AND NOT EXISTS (SELECT 1 FROM coupons AS p WHERE p.order_id = n.order_id AND p.state <> 'issued')
        ORDER BY n.began DESC LIMIT ?
    """
    found: dict[str, KnownCall] = {}
    with closing(ledger.connect(readonly=True)) as conn:
        for limit, ended_before in ((newest, float("inf")), (older, before)):
            for row in conn.exec_driver_sql(query, (ended_before, org, url, limit)):
                found[row[0]] = KnownCall(row[0], row[1], Kind(row[2]), row[3], row[4], row[5])
    return list(found.values())


def claimed_of(ledger: LedgerFile, person: int, coupons: Sequence[Coupon]) -> frozenset[str]:
    """Those of some coupons (by id, else by code) that are recorded for a customer, whatever call they came by.

    A coupon that was recorded before its id was known is found by its code, as often as it was recorded.
    """
    if not coupons:
        return frozenset()
    with closing(ledger.connect(readonly=True)) as conn:
        rows = conn.exec_driver_sql(
            "SELECT c.hash, c.coupon_id IS NULL FROM orders AS o CROSS JOIN coupons AS c ON c.order_id = o.id"
            " WHERE o.person_id = ?",
            (person,),
        ).all()
    recorded = {bytes(row[0]) for row in rows}
    nameless = Counter(bytes(row[0]) for row in rows if row[1])
    claimed = set()
    for one in coupons:
        by_code = coupon_hash(ledger.key, one.code)
        if coupon_hash(ledger.key, one.id or one.code) in recorded:
            claimed.add(one.id or one.code)
        elif nameless[by_code] > 0:
            nameless[by_code] -= 1
            claimed.add(one.id or one.code)
    return frozenset(claimed)


def rivals_of(ledger: LedgerFile, call: OpenCall) -> bool:
    """Whether another call of this customer and series is in doubt, in any campaign."""
    with closing(ledger.connect(readonly=True)) as conn:
        found = conn.exec_driver_sql(
            "SELECT EXISTS (SELECT 1 FROM orders AS o CROSS JOIN calls AS c ON c.order_id = o.id"
            " WHERE o.person_id = ? AND o.series = ? AND c.state IN ('sending', 'in_doubt') AND c.key <> ?)",
            (call.person, call.doubt.series, call.key),
        ).scalar_one()
    return bool(found)


def others_active(ledger: LedgerFile, call: OpenCall, *, start: float, end: float) -> bool:
    """Whether another campaign of the org had a run under way between two times."""
    with closing(ledger.connect(readonly=True)) as conn:
        found = conn.exec_driver_sql(
            "SELECT EXISTS (SELECT 1 FROM runs AS r JOIN scopes AS s ON s.id = r.scope_id WHERE s.org_id = ?"
            " AND s.id <> ? AND r.started <= ? AND coalesce(r.ended, 9e12) >= ?)",
            (call.org, call.scope, end, start),
        ).scalar_one()
    return bool(found)


def record_finding(
    ledger: LedgerFile,
    call: OpenCall,
    outcome: Outcome,
    *,
    source: Source,
    method: str,
    why: str,
    seen: object,
    at: float,
    names: Sequence[Identifier] = (),
    who: dict[str, object] | None = None,
) -> bool:
    """Settle a call, or what is found of it, with its evidence. One transaction, one link of the history.

    Args:
        outcome: as `core.reconciling.outcome_of` or a person says.
        seen: JSON: what the reads showed; erasable.
        names: of the customer, learnt by the reads (her id).
        who: a person's user, host and pid.

    Returns:
        Whether anything of the call changed: evidence of an unchanged doubt is kept only when it says something new.

    Raises:
        LedgerFailed: the call is no longer in the state that it was read in, or the ledger cannot be written.
    """
    before = call.state
    stays = outcome.state is CallState.IN_DOUBT and len(outcome.coupons) <= call.doubt.known
    if before is not CallState.IN_DOUBT:
        outcome = _later(outcome)
    with closing(ledger.connect()) as conn, transaction(conn):
        told = {
            "order_id": call.order_id, "number": call.number, "at": at, "by": source.value, "method": method,
            "verdict": outcome.state.value, "found": len(outcome.coupons), "why": why,
            "who": orjson.dumps(who).decode() if who is not None else None,
            "seen": orjson.dumps(seen).decode() if seen is not None else None,
        }  # fmt: skip
        if stays:
            newest = conn.execute(
                sa.select(evidence.c.why)
                .where(evidence.c.order_id == call.order_id, evidence.c.number == call.number)
                .order_by(evidence.c.id.desc())
                .limit(1)
            ).scalar()
            if newest != why:
                conn.execute(sa.insert(evidence).values(**told))
                append_event(conn, call.run, {"evidence": [evidence_told(told)]}, at=at)
            return False
        outcome = replace(outcome, coupons=_not_recorded(conn, call, outcome.coupons, ledger.key))
        settlement = Settlement(
            call_key=call.key, order_id=call.order_id, person=call.person, run=call.run, outcome=outcome,
            names=tuple(names), seconds=0.0,
        )  # fmt: skip
        payload = settle(conn, [settlement], key=ledger.key, at=at, by=source)
        learnt = learn_names(conn, [settlement], key=ledger.key, orgs={call.run: call.org})
        conn.execute(sa.insert(evidence).values(**told))
        body: dict[str, Any] = {"settle": orjson.Fragment(payload), "by": source.value, "method": method}
        body["evidence"] = [evidence_told(told)]
        if learnt.names:
            body["names"] = learnt.names
        if learnt.merges:
            body["merge"] = learnt.merges
        resumable = _make_resumable(conn, call.order_id)
        if resumable:
            body["state"] = RunState.STOPPED.value
            body["runs"] = resumable
        append_body(conn, call.run, orjson.dumps(body), at=at)
    return True


def _not_recorded(conn: sa.Connection, call: OpenCall, coupons: Sequence[Coupon], key: bytes) -> tuple[Coupon, ...]:
    """Without those that are recorded for this call already under their code, or by a person's word, without an id."""
    rows = conn.exec_driver_sql(
        "SELECT hash, code IS NULL FROM coupons WHERE order_id = ? AND call_key = ? AND coupon_id IS NULL",
        (call.order_id, call.key),
    ).all()
    by_code = Counter(bytes(row[0]) for row in rows if not row[1])
    untold = sum(row[1] for row in rows)
    left = []
    for one in coupons:
        digest = coupon_hash(key, one.code)
        if one.id and by_code[digest] > 0:
            by_code[digest] -= 1
        elif one.code and untold > 0:
            untold -= 1
        else:
            left.append(one)
    return tuple(left)


def _make_resumable(conn: sa.Connection, order_id: int) -> list[int]:
    """A finished run of which something is missing again, and not closed, can be resumed (RULES.md 16); its number."""
    changed = conn.exec_driver_sql(
        "UPDATE runs SET state = ?, reason = 'a call in doubt was settled as not issued' WHERE state = ? AND id ="
        " (SELECT f.run_id FROM orders AS o JOIN orders AS f ON f.id = coalesce(o.merged_into, o.id) WHERE o.id = ?"
        "  AND f.closed IS NULL AND f.target > f.issued + f.held) RETURNING id",
        (RunState.STOPPED.value, RunState.FINISHED.value, order_id),
    )
    return [int(run) for run in changed.scalars()]


def _later(outcome: Outcome) -> Outcome:
    """What appears of a call that had been settled without it is flagged."""
    return replace(outcome, flags=tuple(sorted({*outcome.flags, APPEARED_LATER})))


def runs_of_call(ledger: LedgerFile, call: OpenCall) -> list[str]:
    """The ids of the runs whose reports tell of a call: its own, and later ones that loaded its order."""
    with closing(ledger.connect(readonly=True)) as conn:
        found = conn.exec_driver_sql(
            "SELECT name FROM runs WHERE id = ? OR id IN (SELECT l.run_id FROM lines AS l WHERE l.order_id = ?"
            " AND l.run_id >= ?) ORDER BY id",
            (call.run, call.order_id, call.run),
        )
        return [str(name) for name in found.scalars()]


def evidence_of(ledger: LedgerFile, call: OpenCall) -> list[dict[str, Any]]:
    """What reads and persons said of a call, oldest first, as the table has it."""
    with closing(ledger.connect(readonly=True)) as conn:
        rows = conn.execute(
            sa.select(evidence)
            .where(evidence.c.order_id == call.order_id, evidence.c.number == call.number)
            .order_by(evidence.c.id)
        )
        return [dict(row) for row in rows.mappings()]


def read_fact(ledger: LedgerFile, url: str, name: str, *, now: float) -> float | None:
    """What was measured of an API within the last week; None when nothing was."""
    with closing(ledger.connect(readonly=True)) as conn:
        row = conn.execute(
            sa.select(api_facts.c.value, api_facts.c.at).where(api_facts.c.url == url, api_facts.c.name == name)
        ).first()
    return float(row.value) if row is not None and abs(now - row.at) <= _FACTS_LAST_SECONDS else None


def write_fact(ledger: LedgerFile, url: str, name: str, value: float, *, at: float) -> None:
    """Keep what was measured of an API."""
    with closing(ledger.connect()) as conn, transaction(conn):
        conn.exec_driver_sql(
            "INSERT INTO api_facts (url, name, value, at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (url, name) DO UPDATE SET value = excluded.value, at = excluded.at",
            (url, name, repr(value), at),
        )


def _open_call(row: Any) -> OpenCall:
    (key, series, quantity, known, began, ended, state, order_id, number, person, run, org, scope, kind, value, code,
     message, keyed) = row  # fmt: skip
    doubt = Doubt(key, series, quantity, known, began, ended, bool(keyed))
    return OpenCall(
        doubt, CallState(state), order_id, number, person, run, org, scope, Kind(kind), value, code, message
    )
