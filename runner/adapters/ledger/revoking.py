"""Revocations in the ledger: which coupons a run received, and the journal of what was asked and answered.

A revocation is durable before it is posted, as a call is, and no coupon is ever in two at once (a unique index sees to
it). What may be revoked is decided in `core.undoing`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from typing import NamedTuple

import sqlalchemy as sa

from runner.adapters.ledger.events import append_event
from runner.adapters.ledger.files import LedgerFile, transaction
from runner.adapters.ledger.finding import people_of
from runner.adapters.ledger.report_coupons import as_json
from runner.core.keys import call_number
from runner.core.undoing import STATE_AFTER, Judged, RevocationState

_PAGE = 5_000

_OF_CHOICE = """
FROM calls c JOIN orders o ON o.id = c.order_id
WHERE c.run_id = :run AND (:series IS NULL OR o.series IN (SELECT value FROM json_each(:series)))
    AND (:orders IS NULL OR o.id IN (SELECT value FROM json_each(:orders)))
"""
_COUPONS = """
SELECT p.id, p.order_id, p.call_key, p.hash, o.series, p.code, p.state,
    EXISTS (SELECT 1 FROM revocation_coupons x WHERE x.coupon = p.id AND x.outcome IS NULL)
FROM coupons p JOIN calls c ON c.order_id = p.order_id AND c.key = p.call_key JOIN orders o ON o.id = p.order_id
WHERE p.id > :after AND c.run_id = :run
    AND (:series IS NULL OR o.series IN (SELECT value FROM json_each(:series)))
    AND (:orders IS NULL OR o.id IN (SELECT value FROM json_each(:orders)))
ORDER BY p.id LIMIT :page
"""
_SHARED = """
SELECT code FROM coupons WHERE code IN (SELECT value FROM json_each(?)) GROUP BY code HAVING count(DISTINCT hash) > 1
"""
_LINES = """
SELECT l.order_id, l.role, r.row, r.sheet, r.file, same.row,
    (SELECT group_concat(other.row, ', ') FROM lines m JOIN rows other ON other.id = m.row_id
     WHERE m.order_id = l.order_id AND m.run_id = l.run_id AND m.id <> l.id AND m.role IN ('first', 'added'))
FROM rows r LEFT JOIN lines l ON l.run_id = r.run_id AND l.row_id = r.id LEFT JOIN rows same ON same.id = l.same_as
WHERE r.run_id = ? AND r.row = ? ORDER BY r.id, l.id
"""
_OPEN = """
SELECT v.id, v.key, v.series, v.began, p.id, p.order_id, p.call_key, p.hash, p.code, x.shown
FROM revocations v JOIN revocation_coupons x ON x.revocation_id = v.id JOIN coupons p ON p.id = x.coupon
WHERE v.state IN ('sending', 'in_doubt') AND v.run_id = ? AND x.outcome IS NULL ORDER BY v.id, p.id
"""


class Choice(NamedTuple):
    """What of a run is to be undone. `series`, `orders`: None for all. `run`: its number in the ledger."""

    run: int
    series: tuple[int, ...] | None = None
    orders: tuple[int, ...] | None = None

    def values(self) -> dict[str, object]:
        """As parameters of a statement."""
        return {
            "run": self.run,
            "series": as_json(self.series) if self.series is not None else None,
            "orders": as_json(self.orders) if self.orders is not None else None,
        }


class RunCoupon(NamedTuple):
    """A coupon that a run received. `code`: None once erased. `under_way`: a revocation of it is unanswered."""

    id: int
    order_id: int
    call_key: str
    digest: bytes
    series: int
    code: str | None
    state: str
    under_way: bool


class RowLine(NamedTuple):
    """One line of a row (`order_id` None: the row was rejected). `shares`: other rows of its order, as shown."""

    order_id: int | None
    role: str
    row: int
    sheet: str
    file: int
    same_as: int | None
    shares: str


class Begun(NamedTuple):
    """A revocation that may be posted. `key` names its request."""

    id: int
    key: str
    series: int
    coupons: tuple[RunCoupon, ...]


class OpenRevocation(NamedTuple):
    """A revocation whose outcome is not known. `coupons`: those in doubt; `shown`: ids that a read showed before."""

    begun: Begun
    began: float
    shown: frozenset[int]


def orders_of_customer(ledger: LedgerFile, org_key: str, hashes: Collection[bytes]) -> tuple[int, ...]:
    """All orders of the people to whom the hashes of an identifier lead, those merged away among them."""
    with closing(ledger.connect(readonly=True)) as conn:
        people = people_of(conn, org_key, hashes)
        found = conn.exec_driver_sql(
            "SELECT id FROM orders WHERE person_id IN (SELECT value FROM json_each(?)) ORDER BY id", (as_json(people),)
        )
        return tuple(int(order) for order in found.scalars())


def lines_of_row(ledger: LedgerFile, run: int, row: int) -> list[RowLine]:
    """The lines of every row of a run that has this number, over all files and sheets."""
    with closing(ledger.connect(readonly=True)) as conn:
        found = conn.exec_driver_sql(_LINES, (run, row)).all()
    return [RowLine._make((one[0], one[1] or "rejected", *one[2:6], one[6] or "")) for one in found]


def doubtful_coupons(ledger: LedgerFile, choice: Choice) -> tuple[int, int]:
    """How many calls of the chosen orders are in doubt, and how many coupons they hold."""
    query = f"SELECT count(*), coalesce(sum(c.held), 0) {_OF_CHOICE} AND c.state IN ('sending', 'in_doubt')"
    with closing(ledger.connect(readonly=True)) as conn:
        calls, held = conn.execute(sa.text(query), choice.values()).one()
    return int(calls), int(held)


def series_of(ledger: LedgerFile, choice: Choice) -> list[int]:
    """The series of the chosen calls."""
    query = f"SELECT DISTINCT o.series {_OF_CHOICE} ORDER BY 1"
    with closing(ledger.connect(readonly=True)) as conn:
        return [int(series) for series in conn.execute(sa.text(query), choice.values()).scalars()]


def coupons_of(ledger: LedgerFile, choice: Choice) -> Iterator[list[RunCoupon]]:
    """The chosen coupons, page by page, each page read at its own moment."""
    after = 0
    while True:
        with closing(ledger.connect(readonly=True)) as conn:
            values = {**choice.values(), "after": after, "page": _PAGE}
            rows = conn.execute(sa.text(_COUPONS), values).all()
        if not rows:
            return
        after = rows[-1][0]
        yield [RunCoupon._make((*row[:7], bool(row[7]))) for row in rows]


def shared_codes(ledger: LedgerFile, codes: Collection[str]) -> frozenset[str]:
    """Those of some codes that are recorded for more than one coupon."""
    with closing(ledger.connect(readonly=True)) as conn:
        return frozenset(conn.exec_driver_sql(_SHARED, (as_json(list(codes)),)).scalars())  # type: ignore[arg-type]


def recover_revocations(ledger: LedgerFile, scope_id: int, *, at: float) -> int:
    """Put every revocation of a campaign that is `sending` in doubt. Only for whoever has just acquired its lock."""
    with closing(ledger.connect()) as conn, transaction(conn):
        keys = sorted(
            conn.exec_driver_sql(
                "UPDATE revocations SET state = 'in_doubt', code = 'interrupted'"
                " WHERE state IN ('sending', 'in_doubt') AND state = 'sending'"
                " AND run_id IN (SELECT id FROM runs WHERE scope_id = ?) RETURNING key",
                (scope_id,),
            ).scalars()
        )
        if keys:
            append_event(conn, None, {"revocations_interrupted": keys, "scope": scope_id}, at=at)
    return len(keys)


def open_revocations(ledger: LedgerFile, run: int) -> list[OpenRevocation]:
    """The revocations of a run whose outcome is not known, oldest first."""
    found: dict[int, tuple[str, int, float, list[RunCoupon], set[int]]] = {}
    with closing(ledger.connect(readonly=True)) as conn:
        for number, key, series, began, coupon, order, call, digest, code, shown in conn.exec_driver_sql(_OPEN, (run,)):
            entry = found.setdefault(number, (key, series, began, [], set()))
            entry[3].append(RunCoupon(coupon, order, call, digest, series, code, "issued", True))
            if shown:
                entry[4].add(coupon)
    return [
        OpenRevocation(Begun(number, key, series, tuple(coupons)), began, frozenset(shown))
        for number, (key, series, began, coupons, shown) in found.items()
    ]


def begin_revocation(
    ledger: LedgerFile, run: int, series: int, coupons: Sequence[RunCoupon], *, shown: Collection[int], at: float
) -> Begun:
    """Durably record a revocation as sending; synced when this returns, so that it may be posted.

    Args:
        shown: ids of those coupons that a read has just shown.

    Raises:
        LedgerFailed: a coupon is in another revocation, or the ledger cannot be written.
    """
    with closing(ledger.connect()) as conn, transaction(conn):
        number = int(conn.exec_driver_sql("SELECT coalesce(max(id), 0) + 1 FROM revocations").scalar_one())
        key = f"undo-{number}-{ledger.nonce}"
        conn.exec_driver_sql(
            "INSERT INTO revocations (id, key, run_id, series, state, quantity, began) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (number, key, run, series, RevocationState.SENDING.value, len(coupons), at),
        )
        conn.exec_driver_sql(
            "INSERT INTO revocation_coupons (revocation_id, coupon, shown) VALUES (?, ?, ?)",
            [(number, coupon.id, int(coupon.id in shown)) for coupon in coupons],
        )
        told = [[one.order_id, call_number(one.call_key), one.digest.hex()] for one in coupons]
        append_event(conn, run, {"revoking": [key, series, told]}, at=at)
    return Begun(number, key, series, tuple(coupons))


def record_revocation(
    ledger: LedgerFile,
    run: int,
    begun: Begun,
    state: RevocationState,
    judged: Mapping[int, Judged],
    *,
    at: float,
    http: int | None = None,
    code: str = "",
    message: str = "",
    request_id: str = "",
) -> None:
    """Record what became of a revocation, or what a later read tells of it. One transaction, one link of the history.

    Args:
        state: of the POST as a whole; IN_DOUBT while something of it is not known.
        judged: coupon id → its fate; those without a fate stay in doubt.
    """
    coupons = {coupon.id: coupon for coupon in begun.coupons}
    changes = [
        (STATE_AFTER[one.fate].value, coupon)
        for coupon, one in judged.items()
        if one.fate is not None and one.fate in STATE_AFTER
    ]
    told = [
        [coupons[one].order_id, call_number(coupons[one].call_key), coupons[one].digest.hex(), "issued", after]
        for after, one in changes
    ]
    with closing(ledger.connect()) as conn, transaction(conn):
        conn.exec_driver_sql(
            "UPDATE revocations SET state = ?, ended = coalesce(ended, ?), http = coalesce(?, http), code = ?,"
            " message = ?, request_id = coalesce(?, request_id) WHERE id = ?",
            (state.value, at, http, code or None, message or None, request_id or None, begun.id),
        )
        settled = [(one.fate.value, one.code or None, one.message or None, begun.id, coupon)
                   for coupon, one in judged.items() if one.fate is not None]  # fmt: skip
        if settled:
            conn.exec_driver_sql(
                "UPDATE revocation_coupons SET outcome = ?, code = ?, message = ?"
                " WHERE revocation_id = ? AND coupon = ?",
                settled,
            )
        if changes:
            conn.exec_driver_sql("UPDATE coupons SET state = ? WHERE id = ? AND state = 'issued'", changes)
        fates = [
            [coupons[one].order_id, call_number(coupons[one].call_key), coupons[one].digest.hex(), found.fate.value]
            for one, found in judged.items()
            if found.fate is not None
        ]
        body = {"revocation": [begun.key, begun.series, state.value], "coupons": told, "fates": fates}
        append_event(conn, run, body, at=at)
