"""A real ledger for the tests of staging: rows by names, campaigns by name, runs loaded in one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from runner.adapters.ledger.files import LedgerFile, transaction
from runner.adapters.ledger.scopes import Frozen, create_org, freeze_scope
from runner.adapters.ledger.staged import Campaign, NewRun
from runner.adapters.ledger.staging import Staging
from runner.core.keys import name_hash, scope_key
from runner.core.model import Identifier, Kind, Place, Problem, Ref, RejectedRow, Row
from runner.core.plan import Plan
from runner.core.planned import Duplicates, Overlap

SERIES, OTHER_SERIES = 415446, 535521
KINDS = {"m": Kind.MOBILE, "e": Kind.EMAIL, "x": Kind.EXTERNAL_ID, "i": Kind.CUSTOMER_ID}
IDENTIFY_BY = (Kind.MOBILE, Kind.EMAIL, Kind.EXTERNAL_ID)


def identifier(text: str) -> Identifier:
    """`m1` is the mobile 919000000001, `e1` customer1@example.com, `x1` the externalId X0001, `i1` the id 1."""
    number = int(text[1:])
    value = {
        "m": f"91900{number:07}",
        "e": f"customer{number}@example.com",
        "x": f"X{number:04}",
        "i": str(number),
    }[text[0]]
    return Identifier(KINDS[text[0]], value, value)


def row(
    number: int,
    names: str,
    *,
    series: Sequence[int] = (SERIES,),
    count: int = 1,
    file: int = 0,
    sheet: str = "",
    ref: Ref | None = None,
) -> Row:
    """Row `number` as the spreadsheet shows it, with the identifiers `names`; the first by `IDENTIFY_BY` is sent."""
    identifiers = tuple(identifier(text) for text in names.split())
    sent = next(one for kind in IDENTIFY_BY for one in identifiers if one.kind is kind)
    cells = (*(one.written for one in identifiers), ",".join(map(str, series)), str(count))
    return Row(Place(file, sheet, number), cells, identifiers, sent, tuple(series), count, ref)


def rejected_row(number: int, why: str = "no customer") -> RejectedRow:
    """A row that could not be read."""
    return RejectedRow(Place(0, "", number), ("", "x"), (Problem("mobile", "", why),), str(SERIES), "1")


class World:
    """One org with campaigns in one ledger file."""

    def __init__(self, folder: Path) -> None:
        self.file = LedgerFile.create(folder / "ledger.db", key_folder=folder / "keys")
        self.org = create_org(self.file, "Acme", at=0.0)
        self._runs = 0

    def campaign(self, name: str = "May") -> Campaign:
        """A campaign, created when it is not there."""
        frozen = Frozen(
            url="http://127.0.0.1",
            credentials="-",
            identity_version=1,
            identify_by=IDENTIFY_BY,
            region=None,
            mapping={},
        )
        scope = freeze_scope(self.file, self.org, name, frozen, at=0.0)
        return Campaign(org_key=self.org.key, campaign_key=scope_key(name), org_id=self.org.id, scope_id=scope.id)

    def new_run(self, name: str | None = None) -> NewRun:
        self._runs += 1
        name = name or f"2026112{self._runs}T000000Z-run"
        return NewRun(name=name, started=1e9, args={}, files=[{"name": "may.csv"}], owner={}, out="out", overrides=[])

    def plan(self, staging: Staging, campaign: Campaign, **rules: Any) -> Plan:
        rules = {"identify_by": IDENTIFY_BY, "duplicates": Duplicates.AGREE, "overlap": Overlap.ALLOW} | rules
        return staging.plan(campaign, **rules)

    def look(self, rows: Iterable[Row | RejectedRow], *, campaign: str = "May", **rules: Any) -> Plan:
        """The plan of an input, loading nothing."""
        with Staging(self.file) as staging:
            staging.add(rows)
            return self.plan(staging, self.campaign(campaign), **rules)

    def load(self, rows: Iterable[Row | RejectedRow], *, campaign: str = "May", **rules: Any) -> Plan:
        """Plan an input and load it as a run."""
        where = self.campaign(campaign)
        with Staging(self.file) as staging:
            staging.add(rows)
            plan = self.plan(staging, where, **rules)
            staging.load(self.new_run(), where, plan)
            return plan

    def query(self, sql: str, *values: object) -> list[Any]:
        with closing(self.file.connect(readonly=True)) as connection:
            return list(connection.exec_driver_sql(sql, values))

    def change(self, sql: str, *values: object) -> None:
        with closing(self.file.connect()) as connection, transaction(connection):
            connection.exec_driver_sql(sql, values)

    def issue_all(self) -> None:
        """As if every order had been issued; runs are finished."""
        self.change("UPDATE orders SET issued = target")
        self.change("UPDATE runs SET state = 'finished'")

    def learn(self, known: str, learnt: str) -> None:
        """As if an answer had named the customer of `known` by `learnt` too."""
        self.change(
            "INSERT INTO identity(org_id, hash, person_id) SELECT org_id, ?, person_id FROM identity WHERE hash = ?",
            self.hash(learnt),
            self.hash(known),
        )

    def hash(self, text: str) -> bytes:
        one = identifier(text)
        return name_hash(self.file.key, one.kind, one.value)

    def person(self, text: str) -> int | None:
        """Whom the ledger knows by a name."""
        found = self.query("SELECT person_id FROM identity WHERE hash = ?", self.hash(text))
        return int(found[0][0]) if found else None

    def orders(self) -> list[tuple[str, int, int, int]]:
        """(key, series, target, issued) of all orders."""
        return [tuple(one) for one in self.query("SELECT key, series, target, issued FROM orders ORDER BY key")]

    def counts(self) -> dict[str, int]:
        tables = ("runs", "rows", "lines", "orders", "persons", "identity")
        return {name: self.query(f"SELECT count(*) FROM {name}")[0][0] for name in tables}
