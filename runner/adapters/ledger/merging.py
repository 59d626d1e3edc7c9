"""Two persons of an org turn out to be one: what the tables become. The decision is `core.merging.merge_orders`.

The older person (lower id) survives. Where both have an order of one campaign and series, the older person's survives
and takes over counters and target; other orders of the younger person change hands and keep their keys. Calls, coupons
and lines stay with the order that they were made for: `orders.merged_into` leads from there to the survivor, in one
step. Whoever was forgotten under one of the names is forgotten under both.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from runner.adapters.ledger.erasing import erase_settled
from runner.adapters.ledger.schema import closures, lines, orders, persons, rows
from runner.core.merging import FOR_GOOD, FORGOTTEN, SURPLUS, Half, Merged, merge_orders, root_of


def surviving_person(conn: sa.Connection, person: int) -> int:
    """The person that every merge of `person` leads to."""
    chain: dict[int, int] = {}
    at = person
    while True:
        following = conn.execute(sa.select(persons.c.merged_into).where(persons.c.id == at)).scalar()
        if following is None:
            return root_of(person, chain)
        chain[at] = at = int(following)


def merge_persons(conn: sa.Connection, one: int, other: int) -> list[Any] | None:
    """Make one person of two, inside the caller's write transaction.

    Returns:
        What the history records: [older person, younger person, [[surviving order, other order, target, issued,
        held, code], …]], and, when she was forgotten under one of her names, the orders that this closed; None when
        both were one person already.
    """
    one, other = surviving_person(conn, one), surviving_person(conn, other)
    if one == other:
        return None
    older, younger = min(one, other), max(one, other)
    conn.execute(sa.update(persons).where(persons.c.id == younger).values(merged_into=older))
    theirs = _orders_of(conn, younger)
    mine: dict[tuple[int, int], Any] = {}
    for order in _orders_of(conn, older):
        mine.setdefault((order.scope_id, order.series), order)
    record = []
    for order in theirs:
        survivor = mine.get((order.scope_id, order.series))
        if survivor is not None:
            record.append(_merge(conn, survivor, order))
    # Orders merged away earlier follow too, so that a person's calls and coupons are found through one person id.
    conn.execute(sa.update(orders).where(orders.c.person_id == younger).values(person_id=older))
    forgotten = _forget_both(conn, older, younger)
    return [older, younger, record] if forgotten is None else [older, younger, record, forgotten]


def _forget_both(conn: sa.Connection, older: int, younger: int) -> list[int] | None:
    """Whoever was forgotten under one name is forgotten under all: every order closed for good, and erased.

    Returns:
        The orders that were closed by this; None when she was not forgotten under either name.
    """
    since = conn.execute(sa.select(sa.func.min(persons.c.forgotten)).where(persons.c.id.in_((older, younger)))).scalar()
    if since is None:
        return None
    conn.execute(
        sa.update(persons)
        .where(persons.c.id.in_((older, younger)), persons.c.forgotten.is_(None))
        .values(forgotten=since)
    )
    hers = orders.c.person_id == older
    is_open = sa.and_(orders.c.merged_into.is_(None), orders.c.closed.is_distinct_from(FORGOTTEN))
    closed = conn.execute(sa.update(orders).where(hers, is_open).values(closed=FORGOTTEN).returning(orders.c.id))
    numbers = sorted(int(order) for order in closed.scalars())
    erase_settled(conn, conn.execute(sa.select(orders.c.id).where(hers)).scalars().all())
    return numbers


def _orders_of(conn: sa.Connection, person: int) -> list[Any]:
    """A person's orders that are not merged away, oldest first."""
    select = sa.select(orders).where(orders.c.person_id == person, orders.c.merged_into.is_(None))
    return list(conn.execute(select.order_by(orders.c.id)))


def _merge(conn: sa.Connection, survivor: Any, other: Any) -> list[Any]:
    first_of_survivor, first_of_other = _first_line(conn, survivor), _first_line(conn, other)
    decision = merge_orders(_half(survivor, first_of_survivor), _half(other, first_of_other))
    conn.execute(
        sa.update(orders)
        .where(orders.c.id == survivor.id)
        .values(
            target=decision.target,
            issued=decision.issued,
            held=decision.held,
            closed=decision.closed,
            run_id=decision.run or None,
        )
    )
    # A target of 0 keeps every sum over orders right, whether or not it leaves merged ones out.
    away = {"merged_into": survivor.id, "target": 0, "issued": 0, "held": 0}
    closed = other.closed if other.closed in FOR_GOOD else decision.other_code
    conn.execute(sa.update(orders).where(orders.c.id == other.id).values(**away, closed=closed))
    conn.execute(
        sa.update(orders)
        .where(orders.c.person_id == other.person_id, orders.c.merged_into == other.id)
        .values(merged_into=survivor.id)
    )
    _say_so(conn, survivor, other, first_of_survivor, first_of_other, decision)
    return [survivor.id, other.id, decision.target, decision.issued, decision.held, decision.other_code]


def _first_line(conn: sa.Connection, order: Any) -> Any:
    """The first row of the order in the newest run that loaded it, or None."""
    return conn.execute(
        sa.select(lines.c.run_id, rows.c.id, rows.c.row, rows.c.sheet)
        .join(rows, rows.c.id == lines.c.row_id)
        .where(lines.c.order_id == order.id, lines.c.run_id == order.run_id)
        .order_by(rows.c.id)
        .limit(1)
    ).first()


def _half(order: Any, line: Any) -> Half:
    return Half(
        target=order.target,
        issued=order.issued,
        held=order.held,
        closed=order.closed,
        run=order.run_id or 0,
        line=None if line is None else (line.run_id, line.id),
    )


def _say_so(conn: sa.Connection, survivor: Any, other: Any, of_survivor: Any, of_other: Any, decision: Merged) -> None:
    """Note on the later lines which earlier row is the same person's; a surplus has a closure of its own."""
    later, place = (other, of_survivor) if decision.older_line_first else (survivor, of_other)
    where = "another row" if place is None else f"row {place.row}" + (f" of sheet {place.sheet}" if place.sheet else "")
    note = f"same person as {where}"
    if later.run_id is not None:
        conn.execute(
            sa.update(lines).where(lines.c.order_id == later.id, lines.c.run_id == later.run_id).values(note=note)
        )
    if decision.surplus and decision.run:
        message = f"Issued twice before it was known: {note}."
        at = {"run_id": decision.run, "order_id": later.id}
        conn.execute(sa.delete(closures).where(closures.c.run_id == decision.run, closures.c.order_id == later.id))
        conn.execute(sa.insert(closures).values(**at, code=SURPLUS, message=message))
