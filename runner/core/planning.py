"""From valid rows to orders: what each order's target is, and which rows cannot be used.

Works on one *cluster* at a time: the rows that are connected through shared identifiers, in the order of the input,
with what the ledger knows of their identifiers and orders. The whole file is never in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.core.model import Kind, Problem
from runner.core.orders import missing_of
from runner.core.people import connected, is_plain, label, labels, person_of, split_into_people
from runner.core.planned import (
    Decisions,
    Duplicates,
    Known,
    LineRole,
    OrderFacts,
    Overlap,
    PlannedLine,
    PlannedOrder,
    PlannedPerson,
    StagedRow,
)
from runner.core.statuses import SAME_PERSON_AS


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
        [list(cluster)]
        if len(cluster) == 1 and is_plain(cluster[0])
        else split_into_people(cluster, known, decisions.rejected)
    )
    for group in groups:
        _decide_person(group, known, decisions, identify_by, duplicates, overlap, fall_back=fall_back)
    return decisions


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
    person = person_of(group, identify_by, known)
    targets: dict[tuple[int, int], int] = {}
    left = _reject_misled(group, person, known, decisions.rejected, targets)
    # Rows that only the ledger links are never added up: their orders were merged once, and that took one of them.
    apart = {row.seq: number for number, rows in enumerate(connected(group, through_ledger=False)) for row in rows}
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
                note = f"{SAME_PERSON_AS} {label(first_row[series])}"
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
                f"{labels(several)} name the same customer and series {series} but ask for {counts}; correct the counts"
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
