"""What the history keeps of a load: digests of a run's lines and of its overrides, which an audit makes again.

Lines never change but for their note, whatever is issued, merged or erased later: so their targets can be proven for as
long as the ledger lasts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

import sqlalchemy as sa

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


_NAMES = """
SELECT :org, coalesce(k.person_id, :persons0 + k.no), hex(substr(k.hash, 1, 8)) FROM t_known k
JOIN t_people p ON p.no = k.no AND (p.person_id NOT NULL OR p.name IS NOT k.hash)
WHERE NOT EXISTS (SELECT 1 FROM identity i WHERE i.org_id = :org AND i.hash = k.hash) ORDER BY 2
"""


def names_of_load(connection: sa.Connection, values: Mapping[str, object]) -> Iterator[tuple[int, int, str]]:
    """The names that a load is about to learn, as the history records names; those that persons are made with apart.

    The table of persons has these.
    """
    for org, person, digest in connection.execute(sa.text(_NAMES), values):
        yield org, person, digest.lower()


def overrides_digest(overrides: str | None) -> str:
    """Of the overrides of a run as its column holds them: they name who decided, which no event may."""
    told = json.dumps(json.loads(overrides or "[]"), sort_keys=True, separators=(",", ":"))
    return blake2b(told.encode(), digest_size=16, person=b"overrides").hexdigest()


def input_digest(name: str, args: str, files: str) -> str:
    """Of a run's name, options and files, as its columns hold them."""
    return _digest_of("input", name, args, files)


_TOLD = ("by", "method", "verdict", "found", "why", "who")


def evidence_told(row: Mapping[str, Any]) -> tuple[int, int, str]:
    """Of a row of evidence what the history keeps: whose call it is, and a digest of all that is never erased."""
    return row["order_id"], row["number"], _digest_of("evidence", float(row["at"]), *map(row.get, _TOLD))


def _digest_of(person: str, *parts: object) -> str:
    text = json.dumps(parts, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=16, person=person.encode()).hexdigest()
