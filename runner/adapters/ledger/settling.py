"""What becomes of calls: states, counters, coupons and the names that answers tell, for a whole batch at a time.

Runs inside the writer's transaction. What a coupon counts as is decided in `core.merging`; here it is looked up and
written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from runner.adapters.ledger import statements as sql
from runner.adapters.ledger.merging import merge_persons
from runner.core.keys import call_number, code_hash, coupon_hash, name_hash
from runner.core.merging import RESENT_REASON, CouponState, Seen, only_resent, settled_state, sort_coupons
from runner.core.model import CallState, FallBack, Reason, Settlement, Source
from runner.errors import LedgerFailed

NAME_BYTES = 8
"""Of a name's digest: what the history keeps."""


class Closing(NamedTuple):
    """An order to be asked no more in a run."""

    run: int
    order_id: int
    reason: Reason


class Uneven(Exception):
    """Items of a batch meet in one row (one order, one coupon): it is applied again, one item at a time."""


def settle(
    conn: sa.Connection, settlements: Sequence[Settlement], *, key: bytes, at: float, by: Source = Source.ANSWER
) -> bytes:
    """Move calls, orders and coupons.

    Args:
        key: the ledger's key, for the digests of coupons.
        at: seconds since the epoch, UTC: when the calls ended.
        by: who says so; a read or a person may change what an answer may not.

    Returns:
        What the history records, as JSON: settlements as `statements.SETTLE_CALLS` reads them.

    Raises:
        Uneven: apply the batch one item at a time, after a rollback.
        LedgerFailed: a settlement found no call in a state that allows it.
    """
    count = len(settlements)
    if count > 1 and len({s.order_id for s in settlements}) < count:
        raise Uneven
    digests = digests_of(settlements, key)
    known = _known_before(conn, settlements)
    seen = _look_for_coupons(conn, settlements, digests, known)
    told = describe(settlements, digests, key=key, seen=seen, known=known)
    payload = orjson.dumps(told.calls)
    _write_calls(conn, payload.decode(), count, told.calls[0], at, by)
    if told.messages:
        conn.exec_driver_sql(sql.SETTLE_MESSAGES, (orjson.dumps(told.messages).decode(),))
    if told.coupons:
        conn.exec_driver_sql(sql.ADD_COUPONS, (orjson.dumps(told.coupons).decode(), b"".join(told.hashes)))
    for closing in told.closings:
        close_order(conn, closing)
    return payload


class Described(NamedTuple):
    """Settlements as rows for the statements: `hashes` are the digests of `coupons`, in the same order."""

    calls: list[Any]
    messages: list[Any]
    coupons: list[Any]
    hashes: list[bytes]
    closings: list[Closing]


def digests_of(settlements: Sequence[Settlement], key: bytes) -> list[list[bytes]]:
    """For each settlement the digests of the coupons that it lists.

    A coupon of which a person only said that it was issued has neither id nor code: its place in the call names it.
    """
    return [
        [coupon_hash(key, c.id or c.code or f"{s.call_key}:{n}") for n, c in enumerate(s.outcome.coupons)]
        for s in settlements
    ]


def describe(
    settlements: Sequence[Settlement],
    digests: Sequence[Sequence[bytes]],
    *,
    key: bytes,
    seen: Mapping[int, Mapping[int, set[Seen]]] = MappingProxyType({}),
    known: Mapping[str, int] = MappingProxyType({}),
) -> Described:
    """What to write for settlements.

    Args:
        key: the ledger's, for the digests of codes.
        seen: where coupons of a settlement are recorded already, as `_look_for_coupons` found them.
        known: coupons recorded for a call by an earlier answer.
    """
    calls: list[Any] = []
    coupons: list[Any] = []
    hashes: list[bytes] = []
    messages: list[Any] = []
    closings: list[Closing] = []
    for index, settlement in enumerate(settlements):
        call, order, _, run, outcome, _, seconds = settlement
        state, reason, flags, listed = outcome.state, outcome.reason, outcome.flags, outcome.coupons
        states: Sequence[CouponState | None] = (CouponState.ISSUED,) * len(listed)
        new = len(listed)
        resent = False
        if index in seen:
            states, more = sort_coupons(listed, seen[index])
            flags = tuple(sorted({*flags, *more}))
            new = states.count(CouponState.ISSUED)
            resent = only_resent(states)
            if resent:
                reason = RESENT_REASON
                closings.append(Closing(run, order, reason))
        if resent or call in known:
            state = settled_state(outcome, known_before=known.get(call, 0), new=new, resent=resent)
        recorded: list[tuple[str, ...]] = []
        for position, what in enumerate(states):
            if what is not None:
                coupon, digest = listed[position], digests[index][position]
                coupons.append((call, order, position, coupon.id or None, coupon.code or None, what))
                hashes.append(digest)
                if coupon.id and coupon.code:  # the digest is of the id
                    recorded.append((digest.hex(), what, code_hash(key, coupon.code)))
                else:
                    recorded.append((digest.hex(), what))
        code = klass = scope = None
        if reason is not None:
            code, klass, scope = reason.code, reason.klass, reason.scope
            messages.append((order, call_number(call), reason.message))
        calls.append(
            (call, order, state, outcome.held, new, round(seconds, 6), outcome.status, code, klass, scope,
             outcome.codes or None, flags or None, outcome.request_id or None, recorded, call_number(call))
        )  # fmt: skip
    return Described(calls, messages, coupons, hashes, closings)


def _write_calls(conn: sa.Connection, payload: str, count: int, first: Sequence[Any], at: float, by: Source) -> None:
    """Counters first: they need to know what each call held until now."""
    conn.exec_driver_sql(sql.SETTLE_ORDERS, (payload,))
    statement = sql.SETTLE_CALLS if by is Source.ANSWER else sql.SETTLE_CALLS_BY_READ
    if conn.exec_driver_sql(statement, (payload, at)).rowcount != count:
        if count > 1:
            raise Uneven  # one at a time shows which
        raise LedgerFailed(
            f"The call {first[0]} cannot become “{first[2]}”: the ledger does not hold it as a call of this order that "
            "waits for an answer. Nothing more is sent. Keep the ledger and report this fault."
        )


def _known_before(conn: sa.Connection, settlements: Sequence[Settlement]) -> dict[str, int]:
    """Call → coupons recorded for it by an earlier answer, for those calls where that would matter."""
    asked = [
        (s.order_id, call_number(s.call_key))
        for s in settlements
        if s.outcome.state is CallState.REFUSED or any(not coupon.id for coupon in s.outcome.coupons)
    ]
    if not asked:
        return {}
    return {row[0]: row[1] for row in conn.exec_driver_sql(sql.KNOWN_BEFORE, (orjson.dumps(asked).decode(),))}


def _look_for_coupons(
    conn: sa.Connection,
    settlements: Sequence[Settlement],
    digests: Sequence[Sequence[bytes]],
    known: Mapping[str, int],
) -> dict[int, dict[int, set[Seen]]]:
    """For settlements that list a coupon which is recorded already, or one id twice: position → where it is recorded.

    Settlements with nothing but new coupons, nearly all of them, are absent.
    """
    found: dict[int, dict[int, set[Seen]]] = {}
    places: list[tuple[int, int]] = []
    flat: list[bytes] = []
    for index, settlement in enumerate(settlements):
        for position, coupon in enumerate(settlement.outcome.coupons):
            if coupon.id:
                places.append((index, position))
                flat.append(digests[index][position])
        if settlement.call_key in known:
            found[index] = _recorded_codes(conn, settlement, digests[index])
    if not flat:
        return found
    if len(set(flat)) < len(flat):
        owners: dict[bytes, int] = {}
        for (index, _), digest in zip(places, flat, strict=True):
            if owners.setdefault(digest, index) != index:
                raise Uneven  # the second of the two must see the first one's coupon recorded
            found.setdefault(index, {})
    numbers = orjson.dumps([0] * len(flat)).decode()
    for number in conn.exec_driver_sql(sql.SEEN_HASHES, (numbers, b"".join(flat))).scalars().all():
        index, position = places[number]
        where = found.setdefault(index, {}).setdefault(position, set())
        order, call = settlements[index].order_id, settlements[index].call_key
        holders = [row[0] for row in conn.exec_driver_sql(sql.SEEN_BY_CUSTOMER, (order, flat[number]))]
        if call in holders:
            where.add(Seen.SAME_CALL)
        elif holders:
            where.add(Seen.SAME_CUSTOMER)
        else:
            where.add(Seen.ANOTHER)
    return found


def _recorded_codes(conn: sa.Connection, settlement: Settlement, digests: Sequence[bytes]) -> dict[int, set[Seen]]:
    """Coupons without an id that an earlier answer of the same call listed already: as many of a code as it listed."""
    codes = conn.exec_driver_sql(sql.CODES_OF_CALL, (settlement.order_id, settlement.call_key))
    left: Counter[bytes] = Counter({row[0]: row[1] for row in codes})
    found: dict[int, set[Seen]] = {}
    for position, coupon in enumerate(settlement.outcome.coupons):
        if not coupon.id and left[digests[position]] > 0:
            left[digests[position]] -= 1
            found[position] = {Seen.SAME_CALL}
    return found


def close_order(conn: sa.Connection, closing: Closing) -> None:
    """Ask no more for an order, or for the one that it was merged into, and say why."""
    conn.exec_driver_sql(sql.CLOSE_ORDER, (closing.order_id, closing.reason.code))
    conn.exec_driver_sql(sql.ADD_CLOSURE, (closing.run, closing.order_id, closing.reason.code, closing.reason.message))


def names_of(
    told: Sequence[Settlement | FallBack], key: bytes, orgs: Mapping[int, int]
) -> tuple[list[tuple[int, int]], list[bytes]]:
    """The names that answers and look-ups told, as [org, person], and their digests in the same order."""
    names: list[tuple[int, int]] = []
    hashes: list[bytes] = []
    for one in told:
        entry = (orgs[one.run], one.person)
        for name in one.names:
            names.append(entry)
            hashes.append(name_hash(key, name.kind, name.value))
    return names, hashes


def names_told(names: Sequence[tuple[int, int]], hashes: Sequence[bytes]) -> list[tuple[int, int, str]]:
    """What the history records of names: [org, person, the beginnings of her names' digests, one after the other]."""
    told: dict[tuple[int, int], str] = {}
    for entry, digest in zip(names, hashes, strict=True):
        told[entry] = told.get(entry, "") + digest[:NAME_BYTES].hex()
    return [(org, person, digests) for (org, person), digests in told.items()]


class Learnt(NamedTuple):
    """What the history records of names that answers told, and of the merges that followed."""

    names: list[tuple[int, int, str]]
    merges: list[Any]


def learn_names(
    conn: sa.Connection, told: Sequence[Settlement | FallBack], *, key: bytes, orgs: Mapping[int, int]
) -> Learnt:
    """Add the names that answers and look-ups told to the identity table; persons who turn out to be one are merged.

    Args:
        orgs: run → org.
    """
    names, hashes = names_of(told, key, orgs)
    if not names:
        return Learnt([], [])
    arguments = (orjson.dumps(names).decode(), b"".join(hashes))
    conn.exec_driver_sql(sql.ADD_NAMES, arguments)
    merges = []
    for one, other in conn.exec_driver_sql(sql.FOREIGN_NAMES, arguments).all():
        merged = merge_persons(conn, one, other)
        if merged is not None:
            merges.append(merged)
    return Learnt(names_told(names, hashes), merges)
