"""What goes into planning and what comes out of it: staged rows, what the ledger knows, planned people and orders."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from runner.core.model import Kind, Place, Problem, Ref
from runner.core.orders import missing_of


class Duplicates(StrEnum):
    """What two rows of one person and series mean: one order if they agree on the count, or counts to add up."""

    AGREE = "agree"
    ADD = "add"


class Overlap(StrEnum):
    """What to do with an order whose person holds the series from another campaign of the org already."""

    ASK = "ask"
    REFUSE = "refuse"
    SKIP = "skip"
    ALLOW = "allow"


class Name(NamedTuple):
    """An identifier of a staged row with its keyed hash and the person whom the ledger knows by it.

    `written`: how it is sent; None: as it compares.
    """

    kind: Kind
    value: str
    hash: bytes
    person: int | None
    written: str | None = None


class StagedRow(NamedTuple):
    """A valid row without its cells. `seq`: its number in the run's input, from 1, over all files.

    `counts`: what it asks of each of its series where these differ, else ().
    """

    seq: int
    place: Place
    names: tuple[Name, ...]
    sent_kind: Kind
    sent_value: str
    sent_hash: bytes
    series: tuple[int, ...]
    count: int  # type: ignore[assignment]  # shadows tuple.count, which nobody calls on a row
    counted: bool
    ref: Ref | None
    counts: tuple[int, ...] = ()

    def asks(self, series: int) -> int:
        """What the row itself asks of one of its series."""
        return self.counts[self.series.index(series)] if self.counts else self.count


class OrderFacts(NamedTuple):
    """An order that the ledger has. `other`: None in this campaign, else where it stands ("campaign X, run Y, …").

    `replaced`: its revoked coupons that are to be asked for again; they are no part of `issued` then.
    """

    id: int
    key: str
    person: int
    series: int
    target: int
    issued: int
    held: int
    closed: str | None
    unfinished: bool
    other: str | None
    replaced: int = 0


class LineRole(StrEnum):
    """What a line is to its order."""

    FIRST = "first"
    DUPLICATE = "duplicate"
    ADDED = "added"
    ELSEWHERE = "elsewhere"


class PlannedLine(NamedTuple):
    """A line as a run will load it. `order`: index into `Decisions.orders`. `same_as`: seq of the row it repeats."""

    seq: int
    order: int
    requested: int
    counted: bool
    role: LineRole
    same_as: int | None
    note: str | None


@dataclass(slots=True)
class PlannedOrder:
    """An order as a run will load it. `existing`: the ledger's facts when it is known. `person`: None for a new one.

    `others`: (kind, value as sent) of her other identifiers, in the order in which they are fallen back to.
    """

    person: int | None
    name: Name
    kind: Kind
    value: str
    series: int
    target: int
    existing: OrderFacts | None
    elsewhere: tuple[OrderFacts, ...] = ()
    skipped: bool = False
    forgotten: bool = False
    others: tuple[tuple[Kind, str], ...] = ()

    @property
    def missing(self) -> int:
        """What the run would ask for."""
        if self.skipped or self.forgotten:
            return 0
        if self.existing is None:
            return self.target
        if self.existing.closed in ("resent", "forgotten"):
            return 0
        return missing_of(self.target, self.existing.issued, self.existing.held)


class PlannedPerson(NamedTuple):
    """A person of the cluster with all her identifiers. `person`: the ledger's, None for a new one."""

    person: int | None
    name: Name
    names: tuple[Name, ...]


@dataclass(slots=True)
class Decisions:
    """What becomes of a cluster. `rejected`: seq → all problems.

    People and orders are in the order of their first row.
    """

    people: list[PlannedPerson] = field(default_factory=list)
    orders: list[PlannedOrder] = field(default_factory=list)
    order_people: list[int] = field(default_factory=list)
    lines: list[PlannedLine] = field(default_factory=list)
    rejected: dict[int, list[Problem]] = field(default_factory=dict)


class Known(NamedTuple):
    """What the ledger knows for a cluster.

    Orders by (person, series) over all campaigns, and this campaign's by key. `sent_as`: the identifiers (kind, value
    as sent) under which a person's coupons were issued or are in doubt, over all campaigns. `forgotten`: people who
    were erased at their request: nothing is issued to them, in any campaign.
    """

    orders: Mapping[tuple[int, int], Sequence[OrderFacts]]
    by_key: Mapping[str, OrderFacts]
    sent_as: Mapping[int, Collection[tuple[Kind, str]]] = MappingProxyType({})
    forgotten: Collection[int] = ()


NOTHING_KNOWN = Known({}, {})
