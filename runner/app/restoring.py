"""Lines that we wrote and a spreadsheet damaged: their identifiers, restored from the ledger before a row is read."""

from __future__ import annotations

from collections.abc import Sequence

from runner.adapters.delimited import Record
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.originals import originals_of
from runner.core.columns import IDENTIFIERS, Columns, Role
from runner.core.mending import looks_damaged, mend, name_mended
from runner.core.refs import read_ref

SHOWN = 10
"""Restored cells that the note names; the others are counted."""


class Restorer:
    """Restores damaged identifiers of one table, a chunk at a time, and remembers which."""

    def __init__(self, ledger: LedgerFile, columns: Columns) -> None:
        self._ledger = ledger
        self._headers = columns.headers
        self._ref_at = columns.roles.get(Role.REF)
        self._identifiers = tuple((columns.roles[role], role) for role in IDENTIFIERS if role in columns.roles)
        self._mended: list[tuple[int, str, str]] = []

    def restored(self, chunk: Sequence[Record]) -> Sequence[Record]:
        """The records, those with an intact `_ref` and a damaged identifier mended."""
        if self._ref_at is None:
            return chunk
        orders = {place: order for place, (_, cells) in enumerate(chunk) if (order := self._order(cells)) is not None}
        if not orders:
            return chunk
        originals = originals_of(self._ledger, set(orders.values()))
        records = list(chunk)
        for place, order in orders.items():
            row, cells = records[place]
            mended = list(cells)
            for index, role in self._identifiers:
                if looks_damaged(cells[index]):
                    original = mend(cells[index], originals.get(order, {}).get(role, ()))
                    if original is not None:
                        self._mended.append((row, self._headers[index], cells[index]))
                        mended[index] = original
            records[place] = (row, mended)
        return records

    def _order(self, cells: Sequence[str]) -> str | None:
        """The order of a record that may need mending; None when there is nothing to mend, or nothing to go by."""
        if self._ref_at is None or len(cells) != len(self._headers):
            return None
        if not any(looks_damaged(cells[index]) for index, _ in self._identifiers):
            return None
        ref = read_ref(cells[self._ref_at], self._ledger.key, self._ledger.ledger_id)
        return None if isinstance(ref, str) else ref.order

    def note(self, file: str) -> str | None:
        """What was restored, in a sentence; None when nothing was."""
        return f"{file}: {name_mended(self._mended, SHOWN)}" if self._mended else None

    def by_row(self) -> dict[int, dict[str, str]]:
        """What was restored: row → heading → the damaged text."""
        found: dict[int, dict[str, str]] = {}
        for row, heading, text in self._mended:
            found.setdefault(row, {})[heading] = text
        return found
