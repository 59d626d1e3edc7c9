"""Everything a ledger knows about one customer: every row she was in, why, every call made and every coupon she got.

She is found through the keyed hashes of her identifiers, over all campaigns of the organisation and through every
merge, and by text in the cells of rows, which also finds rows that were rejected.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import orjson
import sqlalchemy as sa

from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.report_coupons import as_json, reading
from runner.core.model import Problem
from runner.core.report_lines import CouponFacts

_PERSONS = """
SELECT person_id FROM identity WHERE hash = ? AND org_id IN (SELECT id FROM orgs WHERE key = ?)
"""
_SURVIVOR = """
WITH RECURSIVE up(id, next) AS (
    SELECT id, merged_into FROM persons WHERE id = ?
    UNION ALL SELECT p.id, p.merged_into FROM persons p JOIN up ON p.id = up.next)
SELECT id FROM up WHERE next IS NULL
"""
_ORDERS = """
SELECT o.id, o.key, o.series, s.campaign, o.kind, coalesce(o.value, ''), o.target, o.issued, o.held,
    coalesce(o.closed, ''), o.merged_into
FROM orders o JOIN scopes s ON s.id = o.scope_id
WHERE o.person_id IN (SELECT value FROM json_each(?)) ORDER BY o.id
"""
_LINES = """
SELECT l.order_id, r.id, u.name, u.files, r.file, r.sheet, r.row, r.cells, l.role, l.requested, coalesce(l.note, '')
FROM lines l JOIN rows r ON r.id = l.row_id JOIN runs u ON u.id = l.run_id
WHERE l.order_id IN (SELECT value FROM json_each(?)) ORDER BY l.run_id, l.row_id, l.id
"""
_CALLS = """
SELECT c.order_id, c.key, u.name, c.state, c.quantity, c.known, c.held, c.began, c.ended, coalesce(c.code, ''),
    coalesce(c.message, ''), coalesce(c.request_id, '')
FROM calls c JOIN runs u ON u.id = c.run_id
WHERE c.order_id IN (SELECT value FROM json_each(?)) ORDER BY c.began, c.number
"""
_COUPONS = """
SELECT p.order_id, coalesce(p.coupon_id, ''), coalesce(p.code, ''), p.call_key, u.name, coalesce(c.ended, c.began),
    p.state
FROM coupons p JOIN calls c ON c.order_id = p.order_id AND c.key = p.call_key JOIN runs u ON u.id = c.run_id
WHERE p.order_id IN (SELECT value FROM json_each(?)) ORDER BY p.id
"""
_BY_TEXT = """
SELECT r.id, u.name, u.files, r.file, r.sheet, r.row, r.cells, r.problems, r.rejected
FROM rows r JOIN runs u ON u.id = r.run_id JOIN scopes s ON s.id = u.scope_id
WHERE s.org_id = (SELECT id FROM orgs WHERE key = ?) AND r.id > ? AND {condition} ORDER BY r.id LIMIT 200
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRow:
    """A row in which the customer was, with its run and file. `role`: of its line ("rejected" for a rejected row).

    `id`: its number in the ledger.
    """

    id: int
    run: str
    file: str
    sheet: str
    row: int
    cells: tuple[str, ...]
    role: str
    requested: int
    note: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCall:
    """A call made for the customer. Times in seconds since the epoch, UTC; quantities in coupons."""

    key: str
    run: str
    state: str
    quantity: int
    known: int
    in_doubt: int
    began: float
    ended: float | None
    code: str
    message: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundOrder:
    """An order of the customer as it stands now, over all runs. `merged`: another order took over its figures."""

    key: str
    campaign: str
    series: int
    kind: str
    customer: str
    target: int
    issued: int
    in_doubt: int
    closed: str
    merged: bool
    rows: tuple[FoundRow, ...]
    calls: tuple[FoundCall, ...]
    coupons: tuple[CouponFacts, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All about one customer. `persons`: how many people of the ledger the identifiers lead to (more than one: say so).

    `other_rows`: rows whose cells hold the text and that belong to none of `orders`, rejected ones among them.
    """

    persons: int
    orders: tuple[FoundOrder, ...]
    other_rows: tuple[FoundRow, ...]


def find_customer(ledger: LedgerFile, org_key: str, *, hashes: Collection[bytes] = (), text: str = "") -> Found:
    """Look a customer up. `hashes`: `core.keys.name_hash` of what the text may mean, as a mobile, an e-mail, an id.

    `text`: looked for in the cells of all rows of the organisation, whatever its case; "" leaves that out. Digits are
    found in cells of rejected rows however they are spaced. Cells that were erased are not found, orders still are.
    """
    with ledger.connect(readonly=True) as conn:
        with reading(conn):
            persons = people_of(conn, org_key, hashes)
            orders, row_ids = _orders(conn, persons)
        other = tuple(_rows_with(conn, org_key, text, row_ids)) if text.strip() else ()
    return Found(persons=len(persons), orders=orders, other_rows=other)


def people_of(conn: sa.Connection, org_key: str, hashes: Collection[bytes]) -> list[int]:
    """The people that the hashes lead to, after all merges; whoever survives a merge has taken over all orders."""
    survivors = {
        int(conn.exec_driver_sql(_SURVIVOR, (person,)).scalar_one())
        for digest in hashes
        for person in conn.exec_driver_sql(_PERSONS, (digest, org_key)).scalars().all()
    }
    return sorted(survivors)


def _orders(conn: sa.Connection, persons: Sequence[int]) -> tuple[tuple[FoundOrder, ...], set[int]]:
    if not persons:
        return (), set()
    found = conn.exec_driver_sql(_ORDERS, (as_json(persons),)).all()
    ids = as_json([order[0] for order in found])
    rows: dict[int, list[FoundRow]] = {}
    calls: dict[int, list[FoundCall]] = {}
    coupons: dict[int, list[CouponFacts]] = {}
    row_ids = set()
    for order_id, row_id, run, files, file, sheet, row, cells, role, requested, note in conn.exec_driver_sql(
        _LINES, (ids,)
    ):
        row_ids.add(row_id)
        rows.setdefault(order_id, []).append(
            FoundRow(
                id=row_id,
                run=run,
                file=_file_name(files, file),
                sheet=sheet,
                row=row,
                cells=tuple(orjson.loads(cells or "[]")),
                role=role,
                requested=requested,
                note=note,
                problems=(),
            )
        )
    for order_id, *call in conn.exec_driver_sql(_CALLS, (ids,)):
        names = (
            "key",
            "run",
            "state",
            "quantity",
            "known",
            "in_doubt",
            "began",
            "ended",
            "code",
            "message",
            "request_id",
        )
        calls.setdefault(order_id, []).append(FoundCall(**dict(zip(names, call, strict=True))))
    for order_id, *coupon in conn.exec_driver_sql(_COUPONS, (ids,)):
        coupons.setdefault(order_id, []).append(CouponFacts(*coupon))
    orders = tuple(
        FoundOrder(
            key=key,
            campaign=campaign,
            series=series,
            kind=kind,
            customer=value,
            target=target,
            issued=issued,
            in_doubt=held,
            closed=closed,
            merged=merged_into is not None,
            rows=tuple(rows.get(order_id, ())),
            calls=tuple(calls.get(order_id, ())),
            coupons=tuple(coupons.get(order_id, ())),
        )
        for order_id, key, series, campaign, kind, value, target, issued, held, closed, merged_into in found
    )
    return orders, row_ids


def _rows_with(conn: sa.Connection, org_key: str, text: str, known: Collection[int]) -> Iterator[FoundRow]:
    """Rows whose cells hold the text, in pages. The database narrows down, Python decides on the cells themselves."""
    wanted = text.strip().casefold()
    digits = "".join(sign for sign in wanted if sign.isdecimal())
    # Cells are JSON: the text is looked for as it is written there, in either way of writing what is not ASCII.
    patterns = {_like(json.dumps(text.strip(), ensure_ascii=ascii_only)[1:-1]) for ascii_only in (True, False)}
    condition = " OR ".join(["r.cells LIKE ? ESCAPE '\\'"] * len(patterns))
    values: list[object] = list(patterns)
    if len(digits) >= 7:
        bare = "replace(replace(replace(replace(replace(r.cells, ' ', ''), '-', ''), '(', ''), ')', ''), '.', '')"
        condition += f" OR (r.rejected AND {bare} LIKE ?)"
        values.append(f"%{digits}%")
    if not wanted.isascii():
        condition += " OR 1"  # SQLite folds the case of ASCII letters only
    sql = _BY_TEXT.format(condition=f"({condition})")
    after = 0
    while page := conn.exec_driver_sql(sql, (org_key, after, *values)).all():
        after = page[-1][0]
        for row_id, run, files, file, sheet, row, cells, problems, rejected in page:
            texts = tuple(orjson.loads(cells or "[]"))
            if row_id in known or not _holds(texts, wanted, digits if rejected else ""):
                continue
            yield FoundRow(
                id=row_id,
                run=run,
                file=_file_name(files, file),
                sheet=sheet,
                row=row,
                cells=texts,
                role="rejected" if rejected else "",
                requested=0,
                note="",
                problems=tuple(Problem(*problem) for problem in orjson.loads(problems or "[]")),
            )


def _holds(cells: Sequence[str], wanted: str, digits: str) -> bool:
    if any(wanted in cell.casefold() for cell in cells):
        return True
    return len(digits) >= 7 and any(digits in "".join(s for s in cell if s.isdecimal()) for cell in cells)


def _like(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _file_name(files: str, number: int) -> str:
    names = orjson.loads(files)
    return str(names[number].get("name", "")) if number < len(names) else ""
