"""Which rows of a cluster are one person's, and which cannot be told: these are rejected, with the reason."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from runner.core.model import Kind, Problem
from runner.core.planned import Known, Name, PlannedPerson, StagedRow


def is_plain(row: StagedRow) -> bool:
    """Whether a row has one identifier: nothing in it can contradict anything else in it."""
    return len(row.names) == 1


def label(row: StagedRow) -> str:
    """A row by its number, and its sheet where there is one."""
    sheet = f" of sheet {row.place.sheet}" if row.place.sheet else ""
    return f"row {row.place.row}{sheet}"


def labels(rows: Sequence[StagedRow], limit: int = 5) -> str:
    """Rows by their numbers, the first `limit` of them."""
    shown = ", ".join(str(row.place.row) for row in rows[:limit])
    more = f" and {len(rows) - limit:,} more" if len(rows) > limit else ""
    return f"rows {shown}{more}" if len(rows) > 1 else label(rows[0])


def split_into_people(
    cluster: Sequence[StagedRow], known: Known, rejected: dict[int, list[Problem]]
) -> list[list[StagedRow]]:
    """Split a cluster into people; rows that would force a guess are rejected."""
    _reject_shared(cluster, rejected)
    _reject_two_known(cluster, rejected)
    _reject_other_than_sent(cluster, known, rejected)
    groups = []
    for group in connected([row for row in cluster if row.seq not in rejected]):
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
                f"{labels(group)} are linked through shared identifiers but name {len(values[several])} different"
                f" {several.value} values; keep only the identifiers that belong together"
            )
        elif len(persons) > 1:
            reason = (
                f"{labels(group)} are linked through shared identifiers, but these belong to {len(persons)} different"
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
    by_file = connected(group, through_ledger=False)
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
                f"{labels(rows)} are one customer to the API (id {shared.value}) but differ in {kinds}:"
                " keep the row that is meant, or write the same identifiers in all of them"
            )
        else:
            reason = (
                f"{labels(rows)} share the {shared.kind.value} {shared.value} but differ in {kinds}: whose it is "
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


def connected(rows: Sequence[StagedRow], *, through_ledger: bool = True) -> list[list[StagedRow]]:
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


def person_of(group: Sequence[StagedRow], identify_by: Sequence[Kind], known: Known) -> PlannedPerson:
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
