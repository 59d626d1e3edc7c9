"""What the identifiers of an order once were: the cells of its rows, and the name that is sent to the API."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import closing
from typing import Any

import orjson

from runner.adapters.ledger.files import LedgerFile
from runner.core.columns import IDENTIFIERS

_ROWS = """
SELECT o.key, r.run_id, r.file, r.cells FROM orders o
JOIN lines l ON l.order_id = o.id JOIN rows r ON r.id = l.row_id
WHERE o.key IN (SELECT value FROM json_each(?)) AND r.cells IS NOT NULL ORDER BY r.id DESC
"""
_NAMES = "SELECT key, kind, value FROM orders WHERE value IS NOT NULL AND key IN (SELECT value FROM json_each(?))"
_FILES = "SELECT id, files FROM runs WHERE id IN (SELECT value FROM json_each(?))"

Originals = Mapping[str, Mapping[str, list[str]]]
"""Order key → role of an identifier column → what its cell was, the newest row's first. Erased ones are not there."""


def originals_of(ledger: LedgerFile, order_keys: Collection[str]) -> Originals:
    """The identifiers of these orders, as they once stood in their rows."""
    found: dict[str, dict[str, list[str]]] = {}
    keys = json.dumps(sorted(order_keys))
    with closing(ledger.connect(readonly=True)) as connection:
        rows = connection.exec_driver_sql(_ROWS, (keys,)).all()
        names = connection.exec_driver_sql(_NAMES, (keys,)).all()
        run_ids = json.dumps(sorted({row.run_id for row in rows}))
        columns = {
            (run, number): _identifier_columns(file)
            for run, files in connection.exec_driver_sql(_FILES, (run_ids,))
            for number, file in enumerate(orjson.loads(files))
        }
    for key, run_id, file, cells in rows:
        texts = orjson.loads(cells)
        for index, role in columns.get((run_id, file), ()):
            if index < len(texts) and texts[index]:
                found.setdefault(key, {}).setdefault(role, []).append(texts[index])
    for key, kind, value in names:
        found.setdefault(key, {}).setdefault(kind, []).append(value)
    return found


def _identifier_columns(file: Mapping[str, Any]) -> list[tuple[int, str]]:
    """(index of its cell, role) for each column of a run's file that named customers."""
    roles = file.get("roles") or {}
    headings = enumerate(file.get("headers", ()))
    return [(index, roles[heading]) for index, heading in headings if roles.get(heading) in IDENTIFIERS]
