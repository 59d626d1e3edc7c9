"""What the history keeps of a load: digests of a run's lines and of its overrides, which an audit makes again.

Lines never change but for their note, whatever is issued, merged or erased later: so their targets can be proven for as
long as the ledger lasts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any

CHUNK = 1_000
"""Lines that one digest covers."""

_EXTENT = "SELECT coalesce(min(id), 0), coalesce(max(id), -1) FROM lines WHERE run_id = ?"
_ROWS = "SELECT count(*), coalesce(sum(rejected), 0) FROM rows WHERE run_id = ?"
_CHUNK = """
SELECT group_concat(id || ',' || row_id || ',' || order_id || ',' || requested || ',' || target || ',' || before || ','
    || counted || ',' || role || ',' || coalesce(same_as, ''), ';')
FROM (SELECT * FROM lines WHERE id BETWEEN ? AND ? AND +run_id = ? ORDER BY id)
"""

Ask = Callable[[str, tuple[Any, ...]], Iterable[Any]]
"""One statement with its values → rows."""


def line_digests(ask: Ask, run: int, first: int, last: int) -> list[str]:
    """For each `CHUNK` numbers from the first line of a run to its last the digest of what these lines say."""
    found = []
    for start in range(first, last + 1, CHUNK):
        ((text,),) = ask(_CHUNK, (start, min(start + CHUNK - 1, last), run))
        found.append(blake2b((text or "").encode(), digest_size=16, person=b"lines").hexdigest())
    return found


def describe_load(ask: Ask, run: int) -> dict[str, Any]:
    """What the event of a load says of rows and lines, inside the transaction that loads them."""
    ((first, last),) = ask(_EXTENT, (run,))
    ((rows, rejected),) = ask(_ROWS, (run,))
    lines = {"first": first, "last": last, "digests": line_digests(ask, run, first, last)}
    return {"rows": rows, "rejected": rejected, "lines": lines}


def overrides_digest(overrides: str | None) -> str:
    """Of the overrides of a run as its column holds them: they name who decided, which no event may."""
    told = json.dumps(json.loads(overrides or "[]"), sort_keys=True, separators=(",", ":"))
    return blake2b(told.encode(), digest_size=16, person=b"overrides").hexdigest()
