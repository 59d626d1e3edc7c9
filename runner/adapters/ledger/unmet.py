"""The customers of an input who may be known under another name, and what look-ups said of them."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from runner.adapters.ledger.staged import Asked, Campaign, as_json, follow_merged, make_careful, temporary
from runner.core.keys import name_hash
from runner.core.model import Kind, Problem


def find_unmet(connection: sa.Connection, campaign: Campaign, *, first: Kind) -> int:
    """List the customers that are named by another kind than `first` and may be known under another name; how many.

    Left out are those whose coupons came: the answers named their customer ids, so a look-up would add nothing.
    """
    org = campaign.org_id if campaign.org_id is not None else -1
    with temporary(connection):
        follow_merged(connection, campaign.org_id)
        connection.exec_driver_sql("DELETE FROM t_lookups")
        connection.exec_driver_sql(
            "INSERT INTO t_lookups(hash, kind, value) SELECT r.hash, r.kind, min(r.value) FROM t_rows r"
            " LEFT JOIN identity i ON i.org_id = ? AND i.hash = r.hash LEFT JOIN t_merged m ON m.person = "
            "i.person_id"
            " WHERE r.hash IS NOT NULL AND r.kind <> ? AND NOT EXISTS (SELECT 1 FROM orders o"
            "   WHERE o.person_id = coalesce(m.root, i.person_id) AND o.issued > 0)"
            " GROUP BY r.hash ORDER BY min(r.seq)",
            (org, first.value),
        )
        connection.exec_driver_sql("CREATE INDEX IF NOT EXISTS temp.t_rows_hash ON t_rows(hash)")
        connection.exec_driver_sql("CREATE INDEX IF NOT EXISTS temp.t_names_seq ON t_names(seq)")
        return int(connection.exec_driver_sql("SELECT count(*) FROM t_lookups").scalar_one())


def unmet(connection: sa.Connection, after: int, limit: int) -> list[Asked]:
    """The next customers to be looked up, above number `after`."""
    found = connection.exec_driver_sql(
        "SELECT no, hash, kind, value FROM t_lookups WHERE no > ? ORDER BY no LIMIT ?", (after, limit)
    )
    return [Asked(*row) for row in found]


def answer_lookups(
    connection: sa.Connection, key: bytes, answers: Iterable[tuple[Asked, str | None, str | None]]
) -> None:
    """Take in what look-ups said: (who was asked for, her customer id or None, why it cannot be told or None)."""
    known, unknown = [], []
    for asked, customer, problem in answers:
        if problem is not None:
            reason = (
                f"it cannot be told whether this customer got her coupons under another identifier: {problem};"
                " run again when the look-up works, or fill in the identifier that the campaign sends"
            )
            unknown.append((as_json([Problem(None, None, reason)]), asked.digest))
        elif customer is not None:
            digest = name_hash(key, Kind.CUSTOMER_ID.value, customer)
            known.append((digest, Kind.CUSTOMER_ID.value, customer, asked.digest))
    with temporary(connection):
        for digests in (known, unknown):
            if digests:
                connection.exec_driver_sql(
                    "INSERT OR IGNORE INTO t_shared SELECT seq FROM t_rows WHERE hash = ?",
                    [one[-1:] for one in digests],
                )
        make_careful(connection)
        for statement, values in (
            ("INSERT INTO t_names SELECT ?, seq, ?, ?, NULL FROM t_rows WHERE hash = ?", known),
            (
                "DELETE FROM t_names WHERE seq IN (SELECT seq FROM t_rows WHERE hash = ?)",
                [one[1:] for one in unknown],
            ),
            ("UPDATE t_rows SET problems = ?, hash = NULL WHERE hash = ?", unknown),
        ):
            if values:
                connection.exec_driver_sql(statement, values)
