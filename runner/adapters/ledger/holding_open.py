# ruff: noqa: S608 — put together from fixed texts of this module; every value is a parameter
"""What an unfinished run still asks for, and which of that the check before a resume holds back.

Found in temporary tables of a connection of its own: nothing of the ledger changes here. Which orders cannot succeed is
decided in `core.preflight`.
"""

from __future__ import annotations

from collections.abc import Iterator

from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.holding_back import HoldingBack, add_reason, excluded_of, held_by, newest_by
from runner.adapters.ledger.staged import EXAMPLES, temporary
from runner.core.model import MAX_PER_CALL, CodeClass, Place, Reason, Scope
from runner.core.preflight import HELD_BACK, Asked, HeldBack

_TABLES = (
    "CREATE TEMP TABLE t_reasons(no INTEGER PRIMARY KEY, series INT, why TEXT, sentence TEXT)",
    "CREATE TEMP TABLE t_back(no INTEGER PRIMARY KEY, reason INT, missing INT)",
)
_OPEN = """
FROM orders t WHERE t.run_id = :run AND t.closed IS NULL AND t.target > t.issued + t.held AND t.merged_into IS NULL
    AND t.series NOT IN (SELECT series FROM series_states WHERE run_id = :run AND state = 'closed')
"""
_WANTED_AND_HELD = f"""
SELECT t.person_id, t.id, t.series, 1 {_OPEN}
    AND t.series IN (SELECT value FROM json_each(:series)) AND t.id NOT IN (SELECT no FROM t_back)
UNION ALL
SELECT o.person_id, 0, o.series, 0 FROM orders o WHERE o.issued > 0 AND o.merged_into IS NULL
    AND o.series IN (SELECT value FROM json_each(:series)) AND o.person_id IN (SELECT t.person_id {_OPEN})
ORDER BY 1, 4, 2
"""
_PAGE = 1000


class OpenOrders:
    """The orders of an unfinished run that may still be asked for. Use as a context manager.

    The caller holds the campaign's lock, so that none of them changes meanwhile.
    """

    def __init__(self, ledger: LedgerFile, run_id: int) -> None:
        self._connection = ledger.connect()
        self._run = {"run": run_id}
        self._but = ""
        with temporary(self._connection):
            for statement in _TABLES:
                self._connection.exec_driver_sql(statement)

    def __enter__(self) -> OpenOrders:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def asked(self) -> list[Asked]:
        """What is asked of each series, without what is held back."""
        found = self._connection.exec_driver_sql(
            f"SELECT t.series, sum(t.target - t.issued - t.held) {_OPEN} {self._but} GROUP BY 1 ORDER BY 1",
            self._run,
        )
        return [Asked(int(series), int(missing)) for series, missing in found]

    def calls(self) -> int:
        """How many calls that takes."""
        found = self._connection.exec_driver_sql(
            f"SELECT coalesce(sum((t.target - t.issued - t.held + :most - 1) / :most), 0) {_OPEN} {self._but}",
            {**self._run, "most": MAX_PER_CALL},
        )
        return int(found.scalar_one())

    def hold_back(self, told: HoldingBack) -> tuple[HeldBack, ...]:
        """Find the orders that cannot succeed: by reason, how many orders and coupons, and the first rows.

        They are left out of `asked` and `calls` from now on, unless they are sent nonetheless.
        """
        with temporary(self._connection):
            for hold in told.holds:
                reason = add_reason(self._connection, hold.series, hold.why, hold.sentence)
                conditions, values = "", dict[str, object]()
                if hold.most is not None:
                    conditions += f" AND t.target - t.issued + {held_by('t.person_id')} > :most"
                    values["most"] = hold.most
                if hold.newest_after is not None:
                    conditions += f" AND {newest_by('t.person_id', ':after')}"
                    values["after"] = hold.newest_after
                self._connection.exec_driver_sql(
                    "INSERT OR IGNORE INTO t_back SELECT t.id, :reason, t.target - t.issued - t.held"
                    f" {_OPEN} AND t.series = :series{conditions}",
                    {**self._run, "reason": reason, "series": hold.series, **values},
                )
            if told.exclusions:
                self._hold_back_excluded(told)
        self._but = "" if told.send else "AND t.id NOT IN (SELECT no FROM t_back)"
        return self._sum_up()

    def held_back(self) -> Iterator[tuple[int, Reason]]:
        """The orders that are held back, each with why."""
        after = 0
        while True:
            page = self._connection.exec_driver_sql(
                "SELECT b.no, r.sentence FROM t_back b JOIN t_reasons r ON r.no = b.reason WHERE b.no > ?"
                " ORDER BY b.no LIMIT ?",
                (after, _PAGE),
            ).all()
            for order, sentence in page:
                why = Reason(code=HELD_BACK, klass=CodeClass.FINAL, scope=Scope.ROW, message=sentence)
                yield int(order), why
            if len(page) < _PAGE:
                return
            after = int(page[-1][0])

    def _hold_back_excluded(self, told: HoldingBack) -> None:
        def read(series: str) -> Iterator[tuple[int, int, int, int]]:
            rows = self._connection.exec_driver_sql(_WANTED_AND_HELD, {**self._run, "series": series})
            yield from ((int(one[0]), int(one[1]), int(one[2]), int(one[3])) for one in rows)

        found = excluded_of(self._connection, read, told.exclusions)
        if found:
            self._connection.exec_driver_sql(
                "INSERT INTO t_back SELECT id, ?, target - issued - held FROM orders WHERE id = ?", found
            )

    def _sum_up(self) -> tuple[HeldBack, ...]:
        found = self._connection.exec_driver_sql(
            "SELECT r.no, r.series, r.why, r.sentence, count(*), sum(b.missing) FROM t_back b"
            " JOIN t_reasons r ON r.no = b.reason GROUP BY r.no ORDER BY r.series, r.no"
        ).all()
        return tuple(
            HeldBack(series, why, sentence, orders, coupons, self._first_rows(no))
            for no, series, why, sentence, orders, coupons in found
        )

    def _first_rows(self, reason: int) -> tuple[Place, ...]:
        rows = self._connection.exec_driver_sql(
            "SELECT w.file, w.sheet, w.row FROM"
            " (SELECT no FROM t_back WHERE reason = :reason ORDER BY no LIMIT :most) b"
            " JOIN lines l ON l.order_id = b.no AND l.run_id = :run AND l.role = 'first'"
            " JOIN rows w ON w.id = l.row_id ORDER BY w.id",
            {**self._run, "reason": reason, "most": EXAMPLES},
        )
        return tuple(Place(file, sheet, row) for file, sheet, row in rows)
