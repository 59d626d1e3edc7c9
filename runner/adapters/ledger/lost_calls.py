"""Calls that an older copy of the ledger has forgotten, written down again from what the API or old reports show.

A call that was found becomes a call of its order, posted at the time of its first coupon and settled by a read; the
history tells it like any other. Only for a recovery (`LedgerFile.mending`) that holds every campaign's lock.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from runner.adapters.ledger.events import Head, append_body, append_event, head_of
from runner.adapters.ledger.falling_back import name_found
from runner.adapters.ledger.files import COPIED, LedgerFile, transaction
from runner.adapters.ledger.loaded import evidence_told
from runner.adapters.ledger.merging import surviving_person
from runner.adapters.ledger.runs import RunState
from runner.adapters.ledger.schema import evidence, identity, lost_heads, meta, orders, persons, runs
from runner.adapters.ledger.settling import settle
from runner.adapters.ledger.witness import write_witness
from runner.core.keys import call_number, coupon_hash, name_hash, order_key
from runner.core.merging import FORGOTTEN, SAME_PERSON, CouponState
from runner.core.model import MAX_PER_CALL, CallState, Coupon, Identifier, Outcome, Settlement, Source
from runner.core.recovering import FOUND_AGAIN, Problem, read_call_key

METHOD = "recover"
"""In `evidence.method`."""

FROM_REPORTS = "known_from_reports"
"""In the arguments of a run that only its old reports tell of."""

_BEFORE = {
    CouponState.REDEEMED: [CouponState.ISSUED],
    CouponState.REVOKED: [CouponState.ISSUED],
    CouponState.REPLACED: [CouponState.ISSUED, CouponState.REVOKED],
}
"""State of a coupon by an old report → the states that it can have come from."""


class Customer(NamedTuple):
    """Somebody whose coupons are to be read: her number in the ledger, and how she is named to the API.

    `others`: (kind, value) that orders of hers may have been sent by, or were. `marked`: having read this is to have
    read her.
    """

    person: int
    kind: str
    value: str
    others: tuple[tuple[str, str], ...] = ()
    marked: bool = True

    @property
    def each(self) -> list[Customer]:
        """Her by each of her identifiers, the last of which marks her as read."""
        others = [self._replace(kind=kind, value=value, others=(), marked=False) for kind, value in self.others]
        return [*others, self._replace(others=())]


class FoundCall(NamedTuple):
    """What is known of a call again. `began`: seconds since the epoch, UTC; None when nothing tells.

    `held`: coupons that may have been issued beyond those.
    """

    key: str
    coupons: tuple[Coupon, ...]
    began: float | None
    held: int = 0


def customers_to_read(ledger: LedgerFile, org_id: int) -> list[Customer]:
    """The customers of an org whose coupons this recovery has not read yet."""
    query = """
SELECT p.id, o.kind, o.value FROM persons p JOIN orders o ON o.id = (
    SELECT i.id FROM orders i WHERE i.person_id = p.id AND i.value IS NOT NULL ORDER BY i.id DESC LIMIT 1)
WHERE p.org_id = ? AND p.merged_into IS NULL AND p.id NOT IN (SELECT person_id FROM recovered) ORDER BY p.id
"""
    falling_back = """
SELECT o.person_id, o.kind, o.value FROM orders o WHERE o.tried IS NOT NULL AND o.value IS NOT NULL
UNION SELECT o.person_id, j.value ->> 0, j.value ->> 1 FROM orders o, json_each(o.others) j WHERE o.others IS NOT NULL
ORDER BY 1, 2, 3
"""
    others: dict[int, list[tuple[str, str]]] = {}
    with closing(ledger.connect(readonly=True)) as conn:
        for person, kind, value in conn.exec_driver_sql(falling_back):
            others.setdefault(person, []).append((kind, value))
        return [
            Customer(person, kind, value, tuple(one for one in others.get(person, ()) if one != (kind, value)))
            for person, kind, value in conn.exec_driver_sql(query, (org_id,))
        ]


def nameless_customers(ledger: LedgerFile, org_id: int) -> int:
    """How many customers cannot be read, because their identifiers were purged. Those forgotten get nothing anyway."""
    query = """
SELECT count(*) FROM persons p WHERE p.org_id = ? AND p.merged_into IS NULL AND p.forgotten IS NULL
    AND EXISTS (SELECT 1 FROM orders o WHERE o.person_id = p.id)
    AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.person_id = p.id AND o.value IS NOT NULL)
"""
    with closing(ledger.connect(readonly=True)) as conn:
        return int(conn.exec_driver_sql(query, (org_id,)).scalar_one())


def silent_series(ledger: LedgerFile, org_id: int) -> frozenset[int]:
    """Series of campaigns that had a run without metadata."""
    query = """
SELECT DISTINCT o.series FROM orders o WHERE o.scope_id IN (
    SELECT r.scope_id FROM runs r JOIN scopes s ON s.id = r.scope_id
    WHERE s.org_id = ? AND json_extract(r.args, '$.metadata') = 0)
"""
    with closing(ledger.connect(readonly=True)) as conn:
        return frozenset(conn.exec_driver_sql(query, (org_id,)).scalars())


def known_ids(ledger: LedgerFile, ids: Iterable[str]) -> frozenset[str]:
    """Those of some coupon ids (or codes) that the ledger knows."""
    digests = {coupon_hash(ledger.key, one): one for one in ids}
    found = set()
    with closing(ledger.connect(readonly=True)) as conn:
        for digest, one in digests.items():
            if conn.exec_driver_sql("SELECT 1 FROM coupons WHERE hash = ? LIMIT 1", (digest,)).first() is not None:
                found.add(one)
    return frozenset(found)


def known_keys(ledger: LedgerFile, keys: Iterable[str]) -> frozenset[str]:
    """Those of some keys that are the key of a call of the ledger that is known to have issued."""
    found = set()
    with closing(ledger.connect(readonly=True)) as conn:
        for key in set(keys):
            name = read_call_key(key)
            if name is not None and _call_of(conn, name.order, name.number, key) is not None:
                found.add(key)
    return frozenset(found)


def _call_of(conn: sa.Connection, order: str, number: int, key: str) -> Any:
    return conn.exec_driver_sql(
        "SELECT c.order_id FROM orders o JOIN calls c ON c.order_id = o.id AND c.number = ?"
        " WHERE o.key = ? AND c.key = ? AND c.known > 0",
        (number, order, key),
    ).first()


def record_found(
    ledger: LedgerFile,
    found: Sequence[FoundCall],
    *,
    done: int | None,
    why: str,
    at: float,
    read_by: tuple[str, str] | None = None,
) -> tuple[int, list[Problem]]:
    """Write down calls, in one transaction with their events.

    Args:
        done: the person whose coupons have been read with this; None: nobody's.
        why: what shows it, for the evidence.
        read_by: kind and value that the customer was read by: where an order has it among those that it may fall back
            to, it has done so.

    Returns:
        How many coupons are known again, and what could not be written down.
    """
    problems: list[Problem] = []
    coupons = 0
    with closing(ledger.connect()) as conn, transaction(conn):
        for call in found:
            problem = _record(conn, ledger, call, why=why, at=at, read_by=read_by)
            if problem is None:
                coupons += len(call.coupons)
            else:
                problems.append(problem)
        if done is not None and not problems:
            conn.exec_driver_sql("INSERT OR REPLACE INTO recovered (person_id, at) VALUES (?, ?)", (done, at))
    return coupons, problems


def _record(
    conn: sa.Connection,
    ledger: LedgerFile,
    call: FoundCall,
    *,
    why: str,
    at: float,
    read_by: tuple[str, str] | None,
) -> Problem | None:
    name = read_call_key(call.key)
    if name is None:
        return Problem("a coupon came by a call whose key is not one of ours", call.key)
    order = conn.exec_driver_sql(
        "SELECT o.id, o.person_id, coalesce(root.run_id, o.run_id, (SELECT max(r.id) FROM runs r"
        "   WHERE r.scope_id = o.scope_id)) AS run_id"
        " FROM orders o LEFT JOIN orders root ON root.id = o.merged_into WHERE o.key = ?",
        (name.order,),
    ).first()
    if order is None:
        return Problem("a coupon came by a call of an order that this copy of the ledger does not know", call.key)
    known = conn.exec_driver_sql(
        "SELECT key, state, held, known, run_id FROM calls WHERE order_id = ? AND number = ?", (order.id, name.number)
    ).first()
    if known is not None and known.key == call.key:
        call = _name_those_told(conn, ledger, call, order.id, run=int(known.run_id), at=at)
    count = len(call.coupons)
    if known is None:
        if not 1 <= count + call.held <= MAX_PER_CALL:
            return Problem("a call cannot have issued as many coupons as are shown for it", call.key)
        run, held = int(order.run_id), call.held
        _begin(conn, call, order.id, run, name.number, count + call.held, at=at)
        if not count:
            return None  # it stays in doubt
    else:
        if known.key != call.key:
            return Problem("a coupon came by a call whose number another call of its order has here", call.key)
        if known.state == CallState.NEVER_LEFT:
            return Problem("a coupon came by a call that is recorded as never sent", call.key)
        run, held = int(known.run_id), max(0, known.held - count)
        if not count:
            return None
    state = CallState.IN_DOUBT if held else CallState.ISSUED
    outcome = Outcome(state=state, coupons=call.coupons, held=held, flags=(FOUND_AGAIN,))
    settlement = Settlement(call.key, order.id, order.person_id, run, outcome, (), 0.0)
    payload = settle(conn, [settlement], key=ledger.key, at=at, by=Source.READ)
    told = {
        "order_id": order.id, "number": name.number, "at": at, "by": Source.READ.value, "method": METHOD,
        "verdict": state.value, "found": count, "why": why,
    }  # fmt: skip
    conn.execute(sa.insert(evidence).values(**told))
    body: dict[str, Any] = {"settle": orjson.Fragment(payload), "by": Source.READ.value, "method": METHOD}
    body["evidence"] = [evidence_told(told)]
    if read_by is not None and (named := name_found(conn, order.id, read_by, key=ledger.key)) is not None:
        body["named_by"] = [named]
    append_body(conn, run, orjson.dumps(body), at=at)
    return None


def _name_those_told(
    conn: sa.Connection, ledger: LedgerFile, call: FoundCall, order_id: int, *, run: int, at: float
) -> FoundCall:
    """Found coupons that take the place of coupons which the call has without an id; gives back the others.

    A person's word counts coupons without id and code, an answer may have told a code only: these are the same coupons,
    not more of them. A coupon that was erased has a digest of its own id, so it is never taken for one of those.
    """
    recorded: dict[bytes, list[int]] = {}
    query = "SELECT hash, id FROM coupons WHERE order_id = ? AND +call_key = ? ORDER BY id"
    for digest, number in conn.exec_driver_sql(query, (order_id, call.key)):
        recorded.setdefault(bytes(digest), []).append(int(number))
    told = [coupon_hash(ledger.key, f"{call.key}:{place}") for place in range(MAX_PER_CALL)]
    nameless = [(digest, number) for digest in told for number in recorded.get(digest, ())]
    named, left = [], []
    for coupon in call.coupons:
        of_code = coupon_hash(ledger.key, coupon.code) if coupon.id and coupon.code else b""
        if recorded.get(of_code):
            before, number = of_code, recorded[of_code].pop(0)
        elif nameless:
            before, number = nameless.pop(0)
        else:
            left.append(coupon)
            continue
        after = coupon_hash(ledger.key, coupon.id or coupon.code)
        found = conn.exec_driver_sql(
            "UPDATE coupons SET coupon_id = ?, code = ?, hash = ? WHERE id = ? RETURNING state",
            (coupon.id or None, coupon.code or None, after, number),
        ).scalar_one()
        named.append([order_id, call_number(call.key), before.hex(), found, after.hex()])
    if named:
        append_event(conn, run, {"named": named, "method": METHOD}, at=at)
    return call._replace(coupons=tuple(left))


def _begin(
    conn: sa.Connection, call: FoundCall, order_id: int, run: int, number: int, quantity: int, *, at: float
) -> None:
    """The call as it was before anybody knew its answer: in doubt, holding what it may have issued."""
    began = call.began if call.began is not None else at
    conn.exec_driver_sql(
        "INSERT INTO calls (order_id, number, key, run_id, quantity, state, known, held, began, code, class, scope,"
        " message) VALUES (?, ?, ?, ?, ?, 'in_doubt', 0, ?, ?, ?, 'unknown', 'row', ?)",
        (order_id, number, call.key, run, quantity, quantity, began, METHOD, "Known again by a recovery."),
    )
    conn.exec_driver_sql(
        "UPDATE orders SET held = held + ? WHERE id = (SELECT coalesce(merged_into, id) FROM orders WHERE id = ?)",
        (quantity, order_id),
    )
    conn.exec_driver_sql("UPDATE orders SET calls = max(calls, ?) WHERE id = ?", (number, order_id))
    append_event(conn, run, {"begin": [[call.key, order_id, run, number, quantity]], "method": METHOD}, at=at)
    append_event(conn, run, {"interrupted": [call.key], "method": METHOD}, at=at)


# ── what old reports tell ────────────────────────────────────────────────────────────────────────────────────────────


def add_run(
    ledger: LedgerFile, scope_id: int, name: str, *, files: Sequence[str], out: str, started: float, at: float
) -> int:
    """A run that only its reports tell of: ended, with nothing left to ask. One that is known is given back."""
    with closing(ledger.connect()) as conn, transaction(conn):
        known = conn.execute(sa.select(runs.c.id).where(runs.c.name == name)).scalar()
        if known is not None:
            return int(known)
        number = conn.execute(
            sa.insert(runs)
            .values(
                name=name, scope_id=scope_id, state=RunState.ABANDONED.value, started=started, ended=at, out=out,
                args=orjson.dumps({FROM_REPORTS: True}).decode(), totals="{}",
                files=orjson.dumps([{"name": one} for one in files]).decode(), owner="{}", overrides="[]",
                reason="known from its reports only: the ledger was put back from an older copy",
            )
            .returning(runs.c.id)
        ).scalar_one()  # fmt: skip
        append_event(conn, number, {"state": RunState.ABANDONED.value, "method": METHOD}, at=at)
    return int(number)


def add_order(
    ledger: LedgerFile,
    *,
    org_id: int,
    org_key: str,
    scope_id: int,
    campaign_key: str,
    run: int,
    series: int,
    customer: Identifier,
    wanted: str,
    target: int,
    at: float,
) -> Problem | None:
    """See to it that an order is there which old reports name. Its key proves whose it is: it is a keyed digest.

    Of a customer who turned out to be another it is that one's; where she has an order of the series in the campaign
    already, this one is merged into it.

    Args:
        wanted: the order's key by those reports.
        target: for an order that is not known: what it had, so that nothing of it is missing.
    """
    with closing(ledger.connect()) as conn, transaction(conn):
        if conn.execute(sa.select(orders.c.id).where(orders.c.key == wanted)).first() is not None:
            return None
        digest = name_hash(ledger.key, customer.kind, customer.value)
        known = conn.execute(
            sa.select(identity.c.person_id).where(identity.c.org_id == org_id, identity.c.hash == digest)
        ).scalar()
        person = surviving_person(conn, known) if known is not None else None
        names = [digest] if person is None else _names_of_family(conn, person)
        if wanted not in {order_key(ledger.key, org_key, campaign_key, series, name) for name in names}:
            return Problem("a coupon of an old report belongs to an order whose customer cannot be told")
        if person is None:
            person = conn.execute(
                sa.insert(persons).values(org_id=org_id, name=digest).returning(persons.c.id)
            ).scalar_one()
            conn.execute(sa.insert(identity).values(org_id=org_id, hash=digest, person_id=person))
        forgotten = conn.execute(sa.select(persons.c.forgotten).where(persons.c.id == person)).scalar() is not None
        survivor = conn.execute(
            sa.select(orders.c.id).where(
                orders.c.person_id == person,
                orders.c.scope_id == scope_id,
                orders.c.series == series,
                orders.c.merged_into.is_(None),
            )
        ).scalar()
        target = target if survivor is None else 0
        order_id = conn.execute(
            sa.insert(orders)
            .values(
                scope_id=scope_id, key=wanted, series=series, person_id=person, kind=customer.kind.value,
                value=None if forgotten else customer.written, target=target, run_id=run, merged_into=survivor,
                closed=FORGOTTEN if forgotten else None if survivor is None else SAME_PERSON,
            )
            .returning(orders.c.id)
        ).scalar_one()  # fmt: skip
        told = {"order": order_id, "person": person, "target": target, "method": METHOD}
        append_event(conn, run, told if survivor is None else {**told, "into": survivor}, at=at)
    return None


def record_states(ledger: LedgerFile, told: Iterable[tuple[str, str, str]], *, run: int, at: float) -> None:
    """What became of coupons later, by old reports: revoked, redeemed, replaced; in one transaction with an event.

    Args:
        told: key of the call, id (or code) of the coupon, its state. A coupon that is not known is left alone.
        run: the run whose report tells; a replaced coupon counts as replaced by it.
    """
    changes: list[Any] = []
    with closing(ledger.connect()) as conn, transaction(conn):
        for key, coupon, state in told:
            name = read_call_key(key)
            if name is None:
                continue
            digest = coupon_hash(ledger.key, coupon)
            found = conn.exec_driver_sql(
                "SELECT k.id, k.order_id, k.state FROM coupons k JOIN orders o ON o.id = k.order_id WHERE o.key = ?"
                " AND k.call_key = ? AND k.hash = ? AND k.state IN (SELECT value FROM json_each(?)) LIMIT 1",
                (name.order, key, digest, orjson.dumps(_BEFORE[CouponState(state)]).decode()),
            ).first()
            if found is None:
                continue
            number, order, before = found
            replaced = state == CouponState.REPLACED
            conn.exec_driver_sql(
                "UPDATE coupons SET state = ?, replaced_by = ? WHERE id = ?", (state, run if replaced else None, number)
            )
            if replaced:  # it counts no more: another took its place
                conn.exec_driver_sql(
                    "UPDATE orders SET issued = issued - 1"
                    " WHERE id = (SELECT coalesce(merged_into, id) FROM orders WHERE id = ?)",
                    (order,),
                )
            changes.append([order, name.number, digest.hex(), before, state])
        if changes:
            append_event(conn, run, {"coupons": changes, "method": METHOD}, at=at)


def _names_of_family(conn: sa.Connection, root: int) -> list[bytes]:
    """The names of a person and of everybody who was merged into her: an order's key is made of one of them."""
    family = conn.exec_driver_sql(
        "WITH RECURSIVE down(id) AS (SELECT ? UNION SELECT p.id FROM down CROSS JOIN persons p"
        " ON p.merged_into = down.id) SELECT p.name FROM down JOIN persons p ON p.id = down.id",
        (root,),
    )
    return [bytes(name) for name in family.scalars()]


# ── the end of it ────────────────────────────────────────────────────────────────────────────────────────────────────


def finish_recovery(ledger: LedgerFile, lost: Collection[Head], *, told: Mapping[str, Any], at: float) -> None:
    """Go on with this copy as the ledger: another nonce, so that no key is ever used again, and a new witness.

    Args:
        lost: links of the lost history that witness and reports name: no reason for a refusal any more.
        told: counts for the history.
    """
    nonce = ledger.nonce
    while nonce == ledger.nonce:
        nonce = secrets.token_hex(3)
    with closing(ledger.connect()) as conn, transaction(conn):
        for link in lost:
            values = {"seq": link.seq, "hash": link.hash, "at": at}
            conn.execute(sa.insert(lost_heads).prefix_with("OR IGNORE").values(values))
        conn.execute(sa.update(meta).where(meta.c.name == "nonce").values(value=nonce))
        conn.execute(sa.delete(meta).where(meta.c.name == COPIED))
        conn.exec_driver_sql("DELETE FROM recovered")
        conn.exec_driver_sql("UPDATE orgs SET revision = revision + 1")  # plans made before are out of date
        append_event(
            conn, None, {"recovered": {**told, "lost": sorted(link.seq for link in lost)}, "nonce": nonce}, at=at
        )
        head = head_of(conn)
    write_witness(ledger.path, ledger_id=ledger.ledger_id, key=ledger.key, head=head, anew=True)
    ledger.nonce = nonce
    ledger.behind = ""
    ledger.mending = False


def all_campaigns(ledger: LedgerFile) -> list[tuple[int, str, str, str]]:
    """Every campaign: its number, org key, key and name; what a recovery must hold the locks of."""
    with closing(ledger.connect(readonly=True)) as conn:
        return [
            (int(row[0]), row[1], row[2], row[3])
            for row in conn.exec_driver_sql(
                "SELECT s.id, o.key, s.key, s.campaign FROM scopes s JOIN orgs o ON o.id = s.org_id ORDER BY s.id"
            )
        ]


def other_orgs_to_read(ledger: LedgerFile, org_id: int) -> list[str]:
    """Names of the other orgs whose customers this recovery has not read yet."""
    query = """
SELECT DISTINCT g.name FROM orgs g JOIN persons p ON p.org_id = g.id JOIN orders o ON o.person_id = p.id
WHERE g.id <> ? AND p.merged_into IS NULL AND o.value IS NOT NULL AND p.id NOT IN (SELECT person_id FROM recovered)
"""
    with closing(ledger.connect(readonly=True)) as conn:
        return list(conn.exec_driver_sql(query, (org_id,)).scalars())


def out_folders(ledger: LedgerFile) -> list[str]:
    """The folders that runs wrote their reports to."""
    with closing(ledger.connect(readonly=True)) as conn:
        return list(conn.exec_driver_sql("SELECT DISTINCT out FROM runs WHERE out IS NOT NULL").scalars())
