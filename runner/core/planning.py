"""From valid rows to orders: who is one person, what each order's target is, and which rows cannot be used.

Works on one *cluster* at a time: the rows that are connected through shared identifiers, in the order of the input,
with what the ledger knows of their identifiers and orders. The whole file is never in memory.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from runner.core.model import Kind, Place, Problem, Ref
from runner.core.orders import missing_of
from runner.core.preflight import HeldBack
from runner.core.statuses import SAME_PERSON_AS


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


def decide(
    cluster: Sequence[StagedRow],
    known: Known,
    *,
    identify_by: Sequence[Kind],
    duplicates: Duplicates = Duplicates.AGREE,
    overlap: Overlap = Overlap.ASK,
    fall_back: bool = False,
) -> Decisions:
    """Decide a cluster: people, orders with their targets, lines, and rejected rows with reasons.

    Never merges rows that share one identifier but differ in another of the same kind, never guesses between two known
    people, never adds up lines that carry a `_ref`. Overlap is listed in `PlannedOrder.elsewhere`; with `skip` the
    whole order is left out. `fall_back`: orders learn by which other identifiers their customers may be named.
    """
    decisions = Decisions()
    groups = (
        [list(cluster)] if len(cluster) == 1 and _is_plain(cluster[0]) else _people(cluster, known, decisions.rejected)
    )
    for group in groups:
        _decide_person(group, known, decisions, identify_by, duplicates, overlap, fall_back=fall_back)
    return decisions


def _is_plain(row: StagedRow) -> bool:
    return len(row.names) == 1


def _label(row: StagedRow) -> str:
    sheet = f" of sheet {row.place.sheet}" if row.place.sheet else ""
    return f"row {row.place.row}{sheet}"


def _labels(rows: Sequence[StagedRow], limit: int = 5) -> str:
    shown = ", ".join(str(row.place.row) for row in rows[:limit])
    more = f" and {len(rows) - limit:,} more" if len(rows) > limit else ""
    return f"rows {shown}{more}" if len(rows) > 1 else _label(rows[0])


def _people(cluster: Sequence[StagedRow], known: Known, rejected: dict[int, list[Problem]]) -> list[list[StagedRow]]:
    """Split a cluster into people; rows that would force a guess are rejected."""
    _reject_shared(cluster, rejected)
    _reject_two_known(cluster, rejected)
    _reject_other_than_sent(cluster, known, rejected)
    groups = []
    for group in _components([row for row in cluster if row.seq not in rejected]):
        values: dict[Kind, set[str]] = {}
        persons = set()
        for row in group:
            for name in row.names:
                values.setdefault(name.kind, set()).add(name.value)
                if name.person is not None:
                    persons.add(name.person)
        hers = _known_as_hers(group, persons, known)
        several = next((kind for kind, seen in values.items() if len(seen) > 1 and not seen <= hers), None)
        if several is not None:
            reason = (
                f"{_labels(group)} are linked through shared identifiers but name {len(values[several])} different"
                f" {several.value} values; keep only the identifiers that belong together"
            )
        elif len(persons) > 1:
            reason = (
                f"{_labels(group)} are linked through shared identifiers, but these belong to {len(persons)} different"
                " customers known from earlier runs; keep only the identifiers that belong together"
            )
        else:
            groups.append(group)
            continue
        for row in group:
            rejected.setdefault(row.seq, []).append(Problem(None, None, reason))
    return groups


def _known_as_hers(group: Sequence[StagedRow], persons: Collection[int], known: Known) -> set[str]:
    """The values that the ledger knows as one person's who has coupons, or may have: several of a kind are no riddle.

    Only while no row of the group names another value beside two of hers: what the file links is never merged.
    """
    if len(persons) != 1 or not known.sent_as.get(next(iter(persons))):
        return set()
    by_file = _components(group, through_ledger=False)
    if any(len({name.value for row in some for name in row.names if name.kind is kind}) > 1
           for some in by_file for kind in {name.kind for row in some for name in row.names}):  # fmt: skip
        return set()
    return {name.value for row in group for name in row.names if name.person is not None}


def _reject_shared(cluster: Sequence[StagedRow], rejected: dict[int, list[Problem]]) -> None:
    """Rows that share one identifier but differ in another of the same kind (everybody na@example.com).

    All rejected.
    """
    by_hash: dict[bytes, list[StagedRow]] = {}
    for row in cluster:
        for name in row.names:
            by_hash.setdefault(name.hash, []).append(row)
    for digest, rows in by_hash.items():
        if len(rows) < 2:
            continue
        seen: dict[Kind, bytes] = {}
        differing: set[Kind] = set()
        shared: Name | None = None
        for row in rows:
            for name in row.names:
                if name.hash == digest:
                    shared = name
                elif seen.setdefault(name.kind, name.hash) != name.hash:
                    differing.add(name.kind)
        if shared is None or not differing:
            continue
        kinds = " and ".join(sorted(kind.value for kind in differing))
        if shared.kind is Kind.CUSTOMER_ID:
            reason = (
                f"{_labels(rows)} are one customer to the API (id {shared.value}) but differ in {kinds}:"
                " keep the row that is meant, or write the same identifiers in all of them"
            )
        else:
            reason = (
                f"{_labels(rows)} share the {shared.kind.value} {shared.value} but differ in {kinds}: whose it is "
                "cannot be"
                " told; remove it where it is a placeholder, or correct it"
            )
        for row in rows:
            rejected.setdefault(row.seq, []).append(Problem(None, shared.value, reason))


def _reject_two_known(cluster: Sequence[StagedRow], rejected: dict[int, list[Problem]]) -> None:
    for row in cluster:
        persons = {name.person for name in row.names if name.person is not None}
        if len(persons) > 1:
            kinds = ", ".join(name.kind.value for name in row.names if name.person is not None)
            reason = (
                f"the identifiers of this row ({kinds}) belong to {len(persons)} different customers known from "
                "earlier runs;"
                " keep only those that belong together"
            )
            rejected.setdefault(row.seq, []).append(Problem(None, None, reason))


def _reject_other_than_sent(cluster: Sequence[StagedRow], known: Known, rejected: dict[int, list[Problem]]) -> None:
    """Rows led to a customer by one identifier, whose coupons went to another value of a kind that the row has too.

    The same as within a file: a shared placeholder would take a stranger for a customer who has her coupons. A value
    that the ledger knows as hers (answers named both) is none.
    """
    for row in cluster:
        leading = next((name for name in row.names if name.person is not None), None)
        sent = known.sent_as.get(leading.person, ()) if leading is not None and leading.person is not None else ()
        if leading is None or not sent:
            continue
        for name in row.names:
            others = [value for kind, value in sent if kind is name.kind]
            if name.person is None and others and name.value not in [_comparable(name.kind, value) for value in others]:
                reason = (
                    f"the {leading.kind.value} {leading.value} belongs to a customer whose coupons went to another"
                    f" {name.kind.value} in an earlier run: remove the {leading.kind.value} where it is a placeholder,"
                    f" or write the {name.kind.value} that was used before"
                )
                rejected.setdefault(row.seq, []).append(Problem(None, leading.value, reason))
                break


def _comparable(kind: Kind, sent: str) -> str:
    """A value as it was sent, in the form in which it is compared."""
    return sent.lower() if kind is Kind.EMAIL else sent


def _components(rows: Sequence[StagedRow], *, through_ledger: bool = True) -> list[list[StagedRow]]:
    """Connected components by shared identifiers, and through the same known person; input order is kept.

    `through_ledger`: False leaves out what only the ledger links.
    """
    if len(rows) <= 1:
        return [list(rows)] if rows else []
    parent = list(range(len(rows)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    owner: dict[bytes | int, int] = {}
    for index, row in enumerate(rows):
        for name in row.names:
            for mark in (name.hash, name.person if through_ledger else None):
                if mark is None:
                    continue
                first = root(owner.setdefault(mark, index))
                here = root(index)
                if first != here:
                    parent[max(first, here)] = min(first, here)
    groups: dict[int, list[StagedRow]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(root(index), []).append(row)
    return list(groups.values())


def _person_of(group: Sequence[StagedRow], identify_by: Sequence[Kind], known: Known) -> PlannedPerson:
    """The person's name is the identifier of the first kind of `identify_by` that any of her rows has.

    Of several of that kind, one that her coupons went to. So it does not depend on the order of the rows: the same
    list, re-sorted, gives the same order keys.
    """
    names: dict[bytes, Name] = {}
    person: int | None = None
    for row in group:
        for name in row.names:
            names.setdefault(name.hash, name)
            if name.person is not None:
                person = name.person
    sent = {(kind, _comparable(kind, value)) for kind, value in known.sent_as.get(person or 0, ())}
    for kind in identify_by:
        of_kind = [name for name in names.values() if name.kind is kind]
        if of_kind:
            chosen = min(of_kind, key=lambda name: ((name.kind, name.value) not in sent, name.value))
            break
    else:
        chosen = next(iter(names.values()))
    return PlannedPerson(person, chosen, tuple(names.values()))


def _decide_person(
    group: Sequence[StagedRow],
    known: Known,
    decisions: Decisions,
    identify_by: Sequence[Kind],
    duplicates: Duplicates,
    overlap: Overlap,
    *,
    fall_back: bool,
) -> None:
    person = _person_of(group, identify_by, known)
    targets: dict[tuple[int, int], int] = {}
    left = _reject_misled(group, person, known, decisions.rejected, targets)
    # Rows that only the ledger links are never added up: their orders were merged once, and that took one of them.
    apart = {row.seq: number for number, rows in enumerate(_components(group, through_ledger=False)) for row in rows}
    left, totals = _agree(left, duplicates, targets, decisions.rejected, apart)
    if not left:
        return
    decisions.people.append(person)
    index_of: dict[int, int] = {}
    first_row: dict[int, StagedRow] = {}
    for row in left:
        for series in row.series:
            note = None
            if series not in index_of:
                index_of[series] = len(decisions.orders)
                first_row[series] = row
                order = _plan_order(person, group, row, series, totals[series], known, overlap)
                if fall_back:
                    order.others = _others_of(left, order.kind, identify_by)
                decisions.orders.append(order)
                decisions.order_people.append(len(decisions.people) - 1)
                role, same_as = LineRole.FIRST, None
            elif apart[row.seq] != apart[first_row[series].seq]:
                role, same_as = LineRole.DUPLICATE, first_row[series].seq
                note = f"{SAME_PERSON_AS} {_label(first_row[series])}"
            elif duplicates is Duplicates.ADD and row.ref is None and first_row[series].ref is None:
                role, same_as = LineRole.ADDED, first_row[series].seq
            else:
                role, same_as = LineRole.DUPLICATE, first_row[series].seq
            order = decisions.orders[index_of[series]]
            if order.skipped:
                role, note = LineRole.ELSEWHERE, order.elsewhere[0].other
            decisions.lines.append(
                PlannedLine(row.seq, index_of[series], row.asks(series), row.counted, role, same_as, note)
            )


def _plan_order(
    person: PlannedPerson,
    group: Sequence[StagedRow],
    row: StagedRow,
    series: int,
    target: int,
    known: Known,
    overlap: Overlap,
) -> PlannedOrder:
    facts = known.orders.get((person.person, series), ()) if person.person is not None else ()
    existing = next((order for order in facts if order.other is None), None)
    elsewhere = tuple(order for order in facts if order.other is not None and _counts_elsewhere(order))
    senders = [other for other in group if other.sent_kind is person.name.kind]
    sender = next((other for other in senders if other.sent_hash == person.name.hash), senders[0] if senders else row)
    return PlannedOrder(
        person=person.person,
        name=person.name,
        kind=sender.sent_kind,
        value=sender.sent_value,
        series=series,
        target=target,
        existing=existing,
        elsewhere=elsewhere,
        skipped=bool(elsewhere) and overlap is Overlap.SKIP,
        forgotten=person.person is not None and person.person in known.forgotten,
    )


def _others_of(rows: Sequence[StagedRow], sent: Kind, identify_by: Sequence[Kind]) -> tuple[tuple[Kind, str], ...]:
    """By what else the API may be told who a person is: the kinds of `identify_by` after the one that is sent.

    A kind of which her rows hold several values is left out: which of them is hers would be a guess.
    """
    others = []
    for kind in identify_by[identify_by.index(sent) + 1 :] if sent in identify_by else ():
        of_kind = {name.value: name for row in rows for name in row.names if name.kind is kind}
        if len(of_kind) == 1:
            ((value, name),) = of_kind.items()
            others.append((kind, name.written or value))
    return tuple(others)


def _counts_elsewhere(order: OrderFacts) -> bool:
    """Whether another campaign's order has coupons, may have some, or is still to get some from an unfinished run."""
    coming = order.unfinished and order.closed is None
    return order.issued + order.held > 0 or (coming and missing_of(order.target, order.issued, order.held) > 0)


def _reject_misled(
    group: Sequence[StagedRow],
    person: PlannedPerson,
    known: Known,
    rejected: dict[int, list[Problem]],
    targets: dict[tuple[int, int], int],
) -> list[StagedRow]:
    """Find each line's own target, and reject rows whose `_ref` was printed for another order that holds coupons."""
    left = []
    for row in group:
        if row.ref is None:
            for series in row.series:
                targets[row.seq, series] = row.asks(series)
            left.append(row)
            continue
        order = known.by_key.get(row.ref.order)
        if order is None:
            problem = "the line's _ref names no order of this campaign; remove the _ref cell to treat it as a new row"
            rejected.setdefault(row.seq, []).append(Problem("_ref", None, problem))
            continue
        same = person.person is not None and order.person == person.person and order.series in row.series
        if same:
            targets[row.seq, order.series] = max(0, row.ref.base + row.count)
            left.append(row._replace(series=(order.series,)))
        elif order.issued or order.held:
            problem = (
                f"this line was printed for another customer or series, which already has {order.issued:,} coupons"
                f" ({order.held:,} in doubt): put the identifiers and series back, or enter the correction as a "
                "new row without _ref"
            )
            rejected.setdefault(row.seq, []).append(Problem("_ref", None, problem))
        elif not row.counted:
            problem = "the corrected line needs a count, since it leads to a new order"
            rejected.setdefault(row.seq, []).append(Problem("count", None, problem))
        else:
            for series in row.series:
                targets[row.seq, series] = row.asks(series)
            left.append(row._replace(ref=None))
    return left


def _agree(
    rows: Sequence[StagedRow],
    duplicates: Duplicates,
    targets: Mapping[tuple[int, int], int],
    rejected: dict[int, list[Problem]],
    apart: Mapping[int, int],
) -> tuple[list[StagedRow], dict[int, int]]:
    """Targets by series of the rows that agree; the others are rejected whole, all those that disagree at once.

    `apart`: seq → a number that rows have in common which the file itself links.
    """
    left = list(rows)
    while True:
        by_series: dict[int, list[StagedRow]] = {}
        for row in left:
            for series in row.series:
                by_series.setdefault(series, []).append(row)
        totals: dict[int, int] = {}
        bad: dict[int, list[Problem]] = {}
        for series, several in by_series.items():
            wanted = _targets_of(several, series, duplicates, targets, apart)
            if len(wanted) == 1:
                totals[series] = wanted[0]
                continue
            counts = " and ".join(f"{value:,}" for value in wanted)
            reason = (
                f"{_labels(several)} name the same customer and series {series} but ask for {counts};"
                " correct the counts"
            )
            if len({apart[row.seq] for row in several}) > 1:
                reason += " (earlier runs showed that their identifiers are one customer's)"
            elif duplicates is Duplicates.AGREE and all(row.ref is None for row in several):
                reason += ", or use --duplicates add to add them up"
            for row in several:
                bad.setdefault(row.seq, []).append(Problem("count", None, reason))
        if not bad:
            return left, totals
        for seq, problems in bad.items():
            rejected.setdefault(seq, []).extend(problems)
        left = [row for row in left if row.seq not in bad]


def _targets_of(
    rows: Sequence[StagedRow],
    series: int,
    duplicates: Duplicates,
    targets: Mapping[tuple[int, int], int],
    apart: Mapping[int, int],
) -> list[int]:
    """The different targets that lines of one order name: one element when they agree."""
    wanted = {targets[row.seq, series] for row in rows if row.ref is not None}
    sums: dict[int, int] = {}
    for row in rows:
        if row.ref is None and duplicates is Duplicates.ADD:
            sums[apart[row.seq]] = sums.get(apart[row.seq], 0) + targets[row.seq, series]
        elif row.ref is None:
            wanted.add(targets[row.seq, series])
    wanted.update(sums.values())
    return sorted(wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPlan:
    """What a run would ask of one series.

    `missing` coupons in at least `calls` calls for `orders` orders with missing > 0. `replaced`: revoked coupons that
    count as issued no more. `back`: what is missing besides, of orders that are held back.
    """

    series: int
    orders: int
    target: int
    issued: int
    held: int
    missing: int
    calls: int
    replaced: int = 0
    back: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapSeen:
    """Orders whose persons hold the same series from another campaign: where, how many, and some rows of this input."""

    where: str
    orders: int
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run would do, counted. rows = used + rejected + duplicate_rows; coupons: target, issued, held, missing.

    `below`: orders whose target is below what is issued already. `leavers`: orders of earlier runs of the campaign
    that hold
    coupons and are in no row now (None for a file of our own lines, which lists none). `digest`: of every order with
    its target and what is missing. `examples`: rejected rows (file, sheet, row, problems), the first few. `replaced`:
    revoked coupons that are no part of `issued` any more, since they are to be asked for again. `held_back`: orders
    that cannot succeed, by reason; `back`: their coupons, unless they are sent nonetheless. `with_others`: orders to be
    issued whose customers have another identifier to fall back to (None: nobody falls back).
    """

    rows: int
    rejected: int
    duplicate_rows: int
    lines: int
    orders: int
    target: int
    issued: int
    held: int
    missing: int
    calls: int
    skipped: int
    below: int
    leavers: int | None
    series: tuple[SeriesPlan, ...]
    overlaps: tuple[OverlapSeen, ...]
    examples: tuple[tuple[Place, tuple[Problem, ...]], ...]
    digest: str
    replaced: int = 0
    back: int = 0
    held_back: tuple[HeldBack, ...] = ()
    with_others: int | None = None

    @property
    def used(self) -> int:
        """Rows that stand for orders: neither rejected nor only a repetition."""
        return self.rows - self.rejected - self.duplicate_rows
