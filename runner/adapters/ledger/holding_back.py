# ruff: noqa: S608 — put together from fixed texts of this module; every value is a parameter
"""Orders that the check before a run holds back: found in the staged tables, loaded closed, told to the history.

Which orders cannot succeed is decided in `core.preflight`; here it is found out which they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import groupby
from typing import NamedTuple

import sqlalchemy as sa

from runner.adapters.ledger.staged import EXAMPLES
from runner.core.model import Place
from runner.core.preflight import (
    HELD_BACK,
    HeldBack,
    Hold,
    WantedOrder,
    Why,
    excluded_sentence,
    find_excluded,
)


def held_by(person: str) -> str:
    """Coupons of the series of `t` that a customer holds by this ledger, from whichever campaign, as SQL.

    `person`: the column that names her.
    """
    return f"""
coalesce((SELECT sum(o.issued) FROM orders o WHERE o.person_id = {person} AND o.series = t.series
    AND o.merged_into IS NULL), 0)
- coalesce((SELECT count(*) FROM orders o JOIN coupons k ON k.order_id = o.id AND k.state = 'revoked'
    WHERE o.person_id = {person} AND o.series = t.series), 0)
"""


def newest_by(person: str, after: str) -> str:
    """Whether a customer got a coupon of the series of `t` after a moment, as SQL; as `held_by`."""
    return f"""
EXISTS (SELECT 1 FROM orders o JOIN calls c ON c.order_id = o.id WHERE o.person_id = {person}
    AND o.series = t.series AND c.known > 0 AND coalesce(c.ended, c.began) > {after})
"""


_WANTED_AND_HELD = """
SELECT t.person_no, t.no, t.series, 1 FROM t_orders t
WHERE t.missing > 0 AND t.series IN (SELECT value FROM json_each(:series)) AND t.no NOT IN (SELECT no FROM t_back)
UNION ALL
SELECT p.no, 0, o.series, 0 FROM t_people p JOIN orders o ON o.person_id = p.person_id
WHERE o.issued > 0 AND o.merged_into IS NULL AND o.series IN (SELECT value FROM json_each(:series))
ORDER BY 1, 4, 2
"""


class HoldingBack(NamedTuple):
    """What holds orders back. `exclusions`: as `core.preflight` gives them. `send`: they are told, and sent."""

    holds: Sequence[Hold]
    exclusions: Mapping[int, frozenset[int]]
    send: bool


def hold_back(connection: sa.Connection, told: HoldingBack) -> int:
    """Take the orders out of what is missing, and note why; returns what stands for them in the plan's digest."""
    connection.exec_driver_sql(
        "UPDATE t_orders SET missing = b.missing FROM t_back b WHERE b.no = t_orders.no AND t_orders.missing = 0"
    )
    connection.exec_driver_sql("DELETE FROM t_back")
    connection.exec_driver_sql("DELETE FROM t_reasons")
    for hold in told.holds:
        reason = add_reason(connection, hold.series, hold.why, hold.sentence)
        conditions, values = "", list[object]()
        if hold.most is not None:
            conditions += f" AND t.missing + t.held + {held_by('p.person_id')} > ?"
            values.append(hold.most)
        if hold.newest_after is not None:
            conditions += f" AND {newest_by('p.person_id', '?')}"
            values.append(hold.newest_after)
        connection.exec_driver_sql(
            "INSERT OR IGNORE INTO t_back SELECT t.no, ?, t.missing FROM t_orders t"
            f" JOIN t_people p ON p.no = t.person_no WHERE t.series = ? AND t.missing > 0{conditions}",
            (reason, hold.series, *values),
        )
    if told.exclusions:
        _hold_back_excluded(connection, told.exclusions)
    if told.send:
        return 0
    connection.exec_driver_sql("UPDATE t_orders SET missing = 0 WHERE no IN (SELECT no FROM t_back)")
    keys = connection.exec_driver_sql("SELECT t.key FROM t_back b JOIN t_orders t ON t.no = b.no")
    return sum(int.from_bytes(blake2b(f"{key}:{HELD_BACK}".encode(), digest_size=16).digest()) for (key,) in keys)


def add_reason(connection: sa.Connection, series: int, why: Why, sentence: str) -> int:
    """Note a reason; its number in `t_reasons`."""
    added = connection.exec_driver_sql(
        "INSERT INTO t_reasons(series, why, sentence) VALUES (?, ?, ?) RETURNING no", (series, why.value, sentence)
    )
    return int(added.scalar_one())


def _hold_back_excluded(connection: sa.Connection, exclusions: Mapping[int, frozenset[int]]) -> None:
    def read(series: str) -> Iterable[Sequence[int]]:
        return connection.execute(sa.text(_WANTED_AND_HELD), {"series": series})

    found = excluded_of(connection, read, exclusions)
    if found:
        connection.exec_driver_sql("INSERT INTO t_back SELECT no, ?, missing FROM t_orders WHERE no = ?", found)


def excluded_of(
    connection: sa.Connection,
    read: Callable[[str], Iterable[Sequence[int]]],
    exclusions: Mapping[int, frozenset[int]],
) -> list[tuple[int, int]]:
    """The orders that another series of their customer excludes: numbers of the reason, which is noted, and the order.

    `read`: of a JSON list of series, (customer, order, series, whether it asks: 1 or 0) in the order of customers, and
    of each what she holds before what she asks for.
    """
    numbers = sorted({*exclusions, *(other for others in exclusions.values() for other in others)})
    rows = read(f"[{','.join(map(str, numbers))}]")
    reasons: dict[tuple[int, int], int] = {}
    found: list[tuple[int, int]] = []
    for _, of_person in groupby(rows, key=lambda row: row[0]):
        part = list(of_person)
        wanted = [WantedOrder(no, series) for _, no, series, asks in part if asks]
        if not wanted:
            continue
        series_of = dict(wanted)
        held = [series for _, _, series, asks in part if not asks]
        for no, other in find_excluded(wanted, held, exclusions).items():
            pair = (series_of[no], other)
            if pair not in reasons:
                reasons[pair] = add_reason(connection, pair[0], Why.EXCLUDED, excluded_sentence(other))
            found.append((reasons[pair], no))
    return found


def sum_up_held_back(connection: sa.Connection) -> tuple[HeldBack, ...]:
    """By reason: how many orders and coupons, and the first rows that ask for them."""
    found = connection.exec_driver_sql(
        "SELECT r.no, r.series, r.why, r.sentence, count(*), sum(b.missing) FROM t_back b"
        " JOIN t_reasons r ON r.no = b.reason GROUP BY r.no ORDER BY r.series, r.no"
    ).all()
    if found:
        connection.exec_driver_sql("CREATE INDEX IF NOT EXISTS temp.t_lines_order ON t_lines(order_no)")
    return tuple(
        HeldBack(series, why, sentence, orders, coupons, _first_rows(connection, no))
        for no, series, why, sentence, orders, coupons in found
    )


def _first_rows(connection: sa.Connection, reason: int) -> tuple[Place, ...]:
    rows = connection.exec_driver_sql(
        "SELECT w.file, w.sheet, w.row FROM (SELECT no FROM t_back WHERE reason = ? ORDER BY no LIMIT ?) b"
        " JOIN t_lines l ON l.order_no = b.no AND l.role = 'first' JOIN t_rows w ON w.seq = l.seq ORDER BY w.seq",
        (reason, EXAMPLES),
    )
    return tuple(Place(file, sheet, row) for file, sheet, row in rows)


def close_held_back(connection: sa.Connection, run_id: int, orders0: int) -> list[list[int]]:
    """Inside the loading transaction: close what is held back, for this run; returns the orders as ranges of numbers.

    Args:
        orders0: what is added to a planned order's number to make it that of a new order in the ledger.
    """
    if not connection.exec_driver_sql("SELECT EXISTS (SELECT 1 FROM t_back)").scalar_one():
        return []
    ids = (
        "SELECT coalesce(t.existing, :orders0 + t.no) FROM t_back b JOIN t_orders t ON t.no = b.no WHERE t.missing = 0"
    )
    values = {"orders0": orders0, "run": run_id, "code": HELD_BACK}
    connection.execute(sa.text(f"UPDATE orders SET closed = :code WHERE id IN ({ids})"), values)
    connection.execute(
        sa.text(
            "INSERT INTO closures(run_id, order_id, code, message)"
            " SELECT :run, coalesce(t.existing, :orders0 + t.no), :code, r.sentence FROM t_back b"
            " JOIN t_orders t ON t.no = b.no JOIN t_reasons r ON r.no = b.reason WHERE t.missing = 0"
        ),
        values,
    )
    closed = connection.execute(sa.text("SELECT order_id FROM closures WHERE run_id = :run ORDER BY 1"), values)
    ranges: list[list[int]] = []
    for (order,) in closed:
        if ranges and order == ranges[-1][1] + 1:
            ranges[-1][1] = order
        else:
            ranges.append([order, order])
    return ranges
