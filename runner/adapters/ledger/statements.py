# ruff: noqa: S608 — put together from constants of this file and the core's table; every value is a parameter
"""The statements of the hot path: one for each kind of change and batch, over a JSON array, so that SQLite works on
the whole batch without giving the interpreter lock back and forth on every row.

Each WHERE guards the same transition that the core's table allows. Columns that hold bytes take them from one blob of
16-byte digests beside the array, because JSON carries no bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

from runner.core.model import CallState
from runner.core.orders import ALLOWED, ALLOWED_BY_READ

HASH_BYTES = 16


def _allowed(state: str, following: str, table: Mapping[CallState, frozenset[CallState]]) -> str:
    """The guard of a transition, from the core's table."""
    branches = []
    for new in CallState:
        before = sorted(old for old, follow in table.items() if new in follow)
        if before:
            branches.append(f"WHEN '{new}' THEN {state} IN ({', '.join(repr(str(old)) for old in before)})")
    return f"CASE {following} {' '.join(branches)} ELSE 0 END"


def at(position: int, source: str = "j.value") -> str:
    """One element of an array of the batch."""
    return f"json_extract({source}, '$[{position}]')"


# A begin: [key, order, run, number, quantity]
BEGIN_CALLS = f"""
INSERT INTO calls (key, order_id, run_id, number, quantity, state, known, held, began)
SELECT {at(0)}, o.id, {at(2)}, {at(3)}, {at(4)}, 'sending', 0, {at(4)}, ?2
FROM json_each(?1) AS j CROSS JOIN orders AS o ON o.id = {at(1)}
WHERE o.target - o.issued - o.held >= {at(4)} AND o.closed IS NULL AND o.merged_into IS NULL AND o.calls < {at(3)}
"""

BEGIN_ORDERS = f"""
UPDATE orders SET held = held + m.quantity, calls = m.number
FROM (SELECT {at(1)} AS id, {at(3)} AS number, {at(4)} AS quantity FROM json_each(?1) AS j) AS m
WHERE orders.id = m.id AND orders.target - orders.issued - orders.held >= m.quantity
    AND orders.closed IS NULL AND orders.merged_into IS NULL AND orders.calls < m.number
"""

BEGUN = f"""
SELECT j.key FROM json_each(?1) AS j
WHERE EXISTS (SELECT 1 FROM calls AS c WHERE c.order_id = {at(1)} AND c.number = {at(3)} AND c.key = {at(0)})
"""

# A settlement: [key, order, state, held, new coupons, seconds, http, code, class, scope, codes, flags, request id,
# coupons, number];
# what follows is for the history only.
# Grouped because calls of two merged orders may end in one batch; it also makes SQLite start from the batch.
SETTLE_ORDERS = f"""
UPDATE orders SET held = orders.held + m.held, issued = orders.issued + m.new
FROM (
    SELECT coalesce(o.merged_into, o.id) AS id, sum({at(3)} - c.held) AS held, sum({at(4)}) AS new
    FROM json_each(?1) AS j CROSS JOIN calls AS c ON c.order_id = {at(1)} AND c.number = {at(14)} AND c.key = {at(0)}
    CROSS JOIN orders AS o ON o.id = c.order_id
    GROUP BY 1
) AS m
WHERE orders.id = m.id
"""

# `ended` stays that of the first exchange: a later read is told by its evidence. Surprises stay, whatever comes later.
_SETTLE = f"""
UPDATE calls SET state = m.state, held = m.held, known = known + m.new, ended = coalesce(ended, ?2),
    seconds = m.seconds, http = m.http, code = m.code, class = m.class, scope = m.scope, codes = m.codes,
    message = NULL,
    flags = CASE WHEN m.flags IS NULL THEN calls.flags WHEN calls.flags IS NULL THEN m.flags ELSE (
        SELECT json_group_array(value) FROM (
            SELECT value FROM json_each(calls.flags) UNION SELECT value FROM json_each(m.flags))) END,
    request_id = m.request_id
FROM (
    SELECT {at(0)} AS key, {at(14)} AS number, {at(1)} AS order_id, {at(2)} AS state,
        {at(3)} AS held, {at(4)} AS new,
        {at(5)} AS seconds, {at(6)} AS http, {at(7)} AS code, {at(8)} AS class, {at(9)} AS scope,
        {at(10)} AS codes, {at(11)} AS flags, {at(12)} AS request_id
    FROM json_each(?1) AS j
) AS m
WHERE calls.order_id = m.order_id AND calls.number = m.number AND calls.key = m.key
    AND """

SETTLE_CALLS = _SETTLE + _allowed("calls.state", "m.state", ALLOWED)
SETTLE_CALLS_BY_READ = _SETTLE + _allowed("calls.state", "m.state", ALLOWED_BY_READ)

# A message: [order, number, text]
SETTLE_MESSAGES = f"""
UPDATE calls SET message = m.message
FROM (SELECT {at(0)} AS order_id, {at(1)} AS number, {at(2)} AS message FROM json_each(?1) AS j) AS m
WHERE calls.order_id = m.order_id AND calls.number = m.number
"""

# A coupon: [call, order, position, id, code, state]; ?2: its digests
ADD_COUPONS = f"""
INSERT INTO coupons (call_key, order_id, position, coupon_id, code, hash, state)
SELECT {at(0)}, {at(1)}, {at(2)}, {at(3)}, {at(4)}, substr(?2, j.key * {HASH_BYTES} + 1, {HASH_BYTES}), {at(5)}
FROM json_each(?1) AS j
"""

# Positions of the digests (?1: a JSON array as long as ?2 has digests) that some recorded coupon has.
SEEN_HASHES = f"""
SELECT j.key FROM json_each(?1) AS j
WHERE EXISTS (SELECT 1 FROM coupons AS c WHERE c.hash = substr(?2, j.key * {HASH_BYTES} + 1, {HASH_BYTES}))
"""

# The calls of one customer and series, over all campaigns, that list a coupon with this digest. The plus sign keeps
# SQLite off the index of digests: a generic code has a million rows there, a customer has a few.
SEEN_BY_CUSTOMER = """
SELECT c.call_key, count(*) FROM orders AS mine
CROSS JOIN orders AS o ON o.person_id = mine.person_id AND o.series = mine.series
CROSS JOIN coupons AS c ON c.order_id = o.id AND +c.hash = ?2
WHERE mine.id = ?1 GROUP BY c.call_key
"""

# A name: [org, person]; ?2: its digests
ADD_NAMES = f"""
INSERT OR IGNORE INTO identity (org_id, hash, person_id)
SELECT {at(0)}, substr(?2, j.key * {HASH_BYTES} + 1, {HASH_BYTES}), {at(1)} FROM json_each(?1) AS j
"""

FOREIGN_NAMES = f"""
SELECT {at(1)}, i.person_id
FROM json_each(?1) AS j CROSS JOIN identity AS i
    ON i.org_id = {at(0)} AND i.hash = substr(?2, j.key * {HASH_BYTES} + 1, {HASH_BYTES})
WHERE i.person_id <> {at(1)}
"""

CLOSE_ORDER = """
UPDATE orders SET closed = ?2
WHERE id = (SELECT coalesce(merged_into, id) FROM orders WHERE id = ?1)
    AND (closed IS NULL OR closed NOT IN ('resent', 'forgotten'))
"""

ADD_CLOSURE = """
INSERT INTO closures (run_id, order_id, code, message)
SELECT ?1, coalesce(merged_into, id), ?3, ?4 FROM orders WHERE id = ?2
ON CONFLICT (run_id, order_id) DO UPDATE SET code = excluded.code, message = excluded.message
"""

SET_SERIES = """
INSERT INTO series_states (run_id, series, state, code, message, since) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (run_id, series) DO UPDATE
SET state = excluded.state, code = excluded.code, message = excluded.message, since = excluded.since
"""

# ?1: a JSON array of [order, number]
KNOWN_BEFORE = f"""
SELECT c.key, c.known FROM json_each(?1) AS j CROSS JOIN calls AS c ON c.order_id = {at(0)} AND c.number = {at(1)}
WHERE c.known > 0
"""

CODES_OF_CALL = """
SELECT hash, count(*) FROM coupons WHERE order_id = ? AND +call_key = ? AND coupon_id IS NULL GROUP BY hash
"""

ORG_OF_RUN = "SELECT s.org_id FROM runs AS r JOIN scopes AS s ON s.id = r.scope_id WHERE r.id = ?"

_COLUMNS = (
    "id, key, series, person_id, kind, coalesce(value, ''), target, issued, held, calls, closed IS NOT NULL,"
    " others, tried"
)

OPEN_SERIES = """
SELECT series, sum(target - issued - held) FROM orders
WHERE run_id = ? AND closed IS NULL AND target > issued + held AND merged_into IS NULL GROUP BY series
"""

OPEN_ORDERS = f"""
SELECT {_COLUMNS} FROM orders INDEXED BY orders_open
WHERE run_id = ? AND series = ? AND id > ? AND closed IS NULL AND target > issued + held AND merged_into IS NULL
ORDER BY id LIMIT ?
"""

ONE_ORDER = f"""
SELECT {_COLUMNS} FROM orders WHERE id = (SELECT coalesce(merged_into, id) FROM orders WHERE id = ?)
"""
