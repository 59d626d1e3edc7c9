"""What reading, deciding and loading an input share: its temporary tables, and the values that go in and out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import orjson
import sqlalchemy as sa

from runner.core.merging import root_of

EXAMPLES = 20
"""Rejected rows and overlapping rows that a plan shows by number."""


TEMPORARY = """
CREATE TEMP TABLE t_rows(seq INTEGER PRIMARY KEY, file INT, sheet TEXT, row INT, cells TEXT, problems TEXT,
    series_text TEXT, count_text TEXT, kind TEXT, value TEXT, hash BLOB, series TEXT, count INT,
    counted INT, ref TEXT, cluster INT, counts TEXT, plain INT NOT NULL DEFAULT 0);
CREATE INDEX temp.t_rows_rejected ON t_rows(seq) WHERE problems IS NOT NULL;
CREATE INDEX temp.t_rows_with_ref ON t_rows(seq) WHERE ref IS NOT NULL;
CREATE INDEX temp.t_rows_careful ON t_rows(seq) WHERE plain = 0;
CREATE TEMP TABLE t_names(hash BLOB, seq INT, kind TEXT, value TEXT, written TEXT);
CREATE TEMP TABLE t_shared(seq INTEGER PRIMARY KEY);
CREATE TEMP TABLE t_links(mark, seq INT);
CREATE TEMP TABLE t_merged(person INTEGER PRIMARY KEY, root INT);
CREATE TEMP TABLE t_moves(seq INTEGER PRIMARY KEY, cluster INT);
CREATE TEMP TABLE t_people(no INTEGER PRIMARY KEY, person_id INT, name BLOB);
CREATE TEMP TABLE t_known(hash BLOB, no INT, person_id INT);
CREATE TEMP TABLE t_orders(no INTEGER PRIMARY KEY, person_no INT, existing INT, key TEXT, series INT, kind TEXT,
    value TEXT, target INT, issued INT, held INT, missing INT, skipped INT, replaced INT, others TEXT);
CREATE TEMP TABLE t_reasons(no INTEGER PRIMARY KEY, series INT, why TEXT, sentence TEXT);
CREATE TEMP TABLE t_back(no INTEGER PRIMARY KEY, reason INT, missing INT);
CREATE TEMP TABLE t_lookups(no INTEGER PRIMARY KEY, hash BLOB, kind TEXT, value TEXT);
CREATE TEMP TABLE t_lines(seq INT, order_no INT, requested INT, counted INT, role TEXT, same_as INT, note TEXT);
"""


AS_WRITTEN, AS_READ = 1, 2
"""What `t_rows.plain` says of a row with one identifier, one series and no `_ref`, whose name is not in `t_names` then.

Its identifier is the text of its cell, or may be written otherwise. 0: any other row.
"""


class PlanChanged(Exception):
    """Another run of the organisation was loaded, or customers turned out to be one, since the input was decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """The scope that an input is planned for. Keys as `core.keys.scope_key` gives them.

    Ids None while unknown to the ledger.
    """

    org_key: str
    campaign_key: str
    org_id: int | None
    scope_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to be loaded: its id as people see it and what is recorded with it (JSON values)."""

    name: str
    started: float
    args: Mapping[str, object]
    files: Sequence[Mapping[str, object]]
    owner: Mapping[str, object]
    out: str
    overrides: Sequence[Mapping[str, object]]


class Asked(NamedTuple):
    """A customer to be looked up: `kind` and `value` as they are sent, `digest` of the name, `number` in the list."""

    number: int
    digest: bytes
    kind: str
    value: str


def as_json(value: object) -> str:
    """A value for a column of JSON; named tuples are written as lists."""
    return orjson.dumps(value, default=list).decode()


def create_tables(connection: sa.Connection) -> None:
    """The temporary tables of one input, which live as long as the connection."""
    with temporary(connection):
        for statement in TEMPORARY.split(";"):
            if statement.strip():
                connection.exec_driver_sql(statement)


@contextmanager
def temporary(connection: sa.Connection) -> Iterator[None]:
    """A transaction over temporary tables only.

    Never a lock on the ledger, whose state it sees as of one moment.
    """
    connection.exec_driver_sql("BEGIN")
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def make_careful(connection: sa.Connection) -> None:
    """The rows whose `seq` is in `t_shared` are plain no more: they have their names in `t_names`, as all others."""
    connection.exec_driver_sql(
        "INSERT INTO t_names SELECT r.hash, r.seq, r.kind, r.value, NULL FROM t_shared s JOIN t_rows r ON r.seq = s.seq"
        " WHERE r.plain > 0"
    )
    connection.exec_driver_sql(
        "UPDATE t_rows SET plain = 0, cluster = seq WHERE plain > 0 AND seq IN (SELECT seq FROM t_shared)"
    )
    connection.exec_driver_sql("DELETE FROM t_shared")


def current_revision(connection: sa.Connection, org_id: int | None) -> int | None:
    """How many runs of the organisation were loaded so far; None while the ledger does not know it."""
    if org_id is None:
        return None
    found = connection.execute(sa.text("SELECT revision FROM orgs WHERE id = :id"), {"id": org_id})
    return int(found.scalar_one())


def follow_merged(connection: sa.Connection, org_id: int | None) -> None:
    """People who turned out to be another: few, and `identity` still leads to who they were."""
    pairs = connection.exec_driver_sql(
        "SELECT id, merged_into FROM persons WHERE org_id = ? AND merged_into IS NOT NULL", (org_id or -1,)
    )
    into = {int(person): int(other) for person, other in pairs}
    roots = [(person, root_of(person, into)) for person in into]
    connection.exec_driver_sql("DELETE FROM t_merged")
    if roots:
        connection.exec_driver_sql("INSERT INTO t_merged VALUES (?, ?)", roots)
