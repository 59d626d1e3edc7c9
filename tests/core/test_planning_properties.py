"""What holds for any rows: their order in the file, and how they were gathered into clusters, change nothing."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from runner.core.model import Kind
from runner.core.planned import Decisions, Duplicates, Known, LineRole, OrderFacts, Overlap, StagedRow
from tests.core.planning_rows import IDENTIFY_BY, OTHER_SERIES, SERIES, decided, known, order, ref, staged

NAMES = [f"{kind}{number}" for kind in "mex" for number in range(4)]
APRIL = "campaign April, run 1, file april.csv, 2026-04-01"


@st.composite
def _people(draw: st.DrawFn) -> dict[str, int]:
    """Whom the ledger knows by some of the names: few people, so that rows meet them often."""
    return draw(st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3), max_size=6))


@st.composite
def _orders(draw: st.DrawFn, people: dict[str, int]) -> Known:
    found: list[OrderFacts] = []
    for person in sorted(set(people.values())):
        for series in (SERIES, OTHER_SERIES):
            for other in (None, APRIL):
                if draw(st.booleans()):
                    target, issued, held = (draw(st.integers(0, 4)) for _ in range(3))
                    number = len(found) + 1
                    facts = order(number, person, series=series, target=target, issued=issued, held=held, other=other)
                    found.append(facts._replace(unfinished=draw(st.booleans())))
    sent = {person: [(Kind.MOBILE, f"m{draw(st.integers(0, 3))}")] for person in people.values() if draw(st.booleans())}
    return known(*found)._replace(sent_as=sent)


@st.composite
def _inputs(draw: st.DrawFn) -> tuple[list[StagedRow], Known]:
    people = draw(_people())
    ledger = draw(_orders(people))
    rows = []
    for seq in range(1, draw(st.integers(1, 7)) + 1):
        # At most one value of each kind: a row has one cell for each.
        names = [f"{kind}{draw(st.integers(0, 3))}" for kind in draw(st.sets(st.sampled_from("mex"), min_size=1))]
        series = draw(st.sampled_from([(SERIES,), (OTHER_SERIES,), (SERIES, OTHER_SERIES)]))
        count, of = draw(st.integers(1, 3)), None
        if ledger.by_key and draw(st.integers(0, 3)) == 0:
            printed = draw(st.sampled_from(sorted(ledger.by_key)))
            of, series = ref(int(printed.removeprefix("key")), draw(st.integers(-1, 3))), series[:1]
        rows.append(staged(seq, " ".join(names), series=series, count=count, ref=of, people=people))
    return rows, ledger


@st.composite
def _shuffled(draw: st.DrawFn) -> tuple[list[StagedRow], list[StagedRow], Known]:
    rows, ledger = draw(_inputs())
    mixed = [row._replace(seq=seq) for seq, row in enumerate(draw(st.permutations(rows)), start=1)]
    return rows, mixed, ledger


RULES = {"duplicates": st.sampled_from(Duplicates), "overlap": st.sampled_from([Overlap.ASK, Overlap.SKIP])}


def _orders_of(found: Decisions) -> dict[tuple[bytes, int], tuple[object, ...]]:
    """Orders by what their key is made of; the order of the rows may not be seen in any of it."""
    return {
        (one.name.hash, one.series): (
            *(one.target, one.missing, one.skipped, one.kind, one.value, one.person),
            one.existing,
            frozenset(one.elsewhere),
        )
        for one in found.orders
    }


def _by_content(rows: Sequence[StagedRow], seqs: Sequence[int]) -> list[tuple[object, ...]]:
    contents = {row.seq: row[2:] for row in rows}
    return sorted((contents[seq] for seq in seqs), key=repr)


@given(inputs=_shuffled(), **RULES)
def test_sorting_the_file_changes_neither_orders_nor_targets_nor_which_rows_are_rejected(
    inputs: tuple[list[StagedRow], list[StagedRow], Known], duplicates: Duplicates, overlap: Overlap
):
    """Re-sorted, the same list asks for the same, by the same names."""
    rows, mixed, ledger = inputs
    one = decided(*rows, ledger=ledger, duplicates=duplicates, overlap=overlap)
    other = decided(*mixed, ledger=ledger, duplicates=duplicates, overlap=overlap)
    assert _orders_of(one) == _orders_of(other)
    assert _by_content(rows, list(one.rejected)) == _by_content(mixed, list(other.rejected))


def _connected(rows: Sequence[StagedRow]) -> list[list[StagedRow]]:
    """Rows that share a name or a known person, found the slow and obvious way."""
    clusters: list[list[StagedRow]] = []
    for row in rows:
        marks = {name.hash for name in row.names} | {name.person for name in row.names} - {None}
        touching: list[list[StagedRow]] = []
        apart: list[list[StagedRow]] = []
        for cluster in clusters:
            met = any(marks & ({n.hash for n in one.names} | {n.person for n in one.names}) for one in cluster)
            (touching if met else apart).append(cluster)
        clusters = [*apart, sorted([row, *(one for cluster in touching for one in cluster)], key=lambda one: one.seq)]
    return clusters


@given(inputs=_inputs(), **RULES)
def test_deciding_rows_together_or_cluster_by_cluster_is_the_same(
    inputs: tuple[list[StagedRow], Known], duplicates: Duplicates, overlap: Overlap
):
    """A cluster may hold more than what is connected: nothing crosses from one person to another."""
    rows, ledger = inputs
    together = decided(*rows, ledger=ledger, duplicates=duplicates, overlap=overlap)
    orders: dict[tuple[bytes, int], tuple[object, ...]] = {}
    rejected: set[int] = set()
    lines = []
    for cluster in _connected(rows):
        apart = decided(*cluster, ledger=ledger, duplicates=duplicates, overlap=overlap)
        orders |= _orders_of(apart)
        rejected |= set(apart.rejected)
        lines += [(line.seq, line.role, line.same_as or 0, line.requested) for line in apart.lines]
    assert _orders_of(together) == orders
    assert set(together.rejected) == rejected
    assert sorted(lines) == sorted((line.seq, line.role, line.same_as or 0, line.requested) for line in together.lines)


@given(inputs=_inputs(), **RULES)
def test_every_row_is_either_rejected_with_a_reason_or_has_a_line_for_each_of_its_series(
    inputs: tuple[list[StagedRow], Known], duplicates: Duplicates, overlap: Overlap
):
    """No row is lost and none is counted twice."""
    rows, ledger = inputs
    found = decided(*rows, ledger=ledger, duplicates=duplicates, overlap=overlap)
    lines = [(line.seq, found.orders[line.order].series) for line in found.lines]
    wanted = [(row.seq, series) for row in rows if row.seq not in found.rejected for series in row.series]
    assert sorted(lines) == sorted(wanted)
    assert all(problems and all(one.message for one in problems) for problems in found.rejected.values())
    firsts = [line.order for line in found.lines if line.role in (LineRole.FIRST, LineRole.ELSEWHERE)]
    assert set(firsts) == set(range(len(found.orders)))


@given(inputs=_inputs(), **RULES)
def test_a_person_has_one_value_of_each_kind_and_no_value_has_two_people(
    inputs: tuple[list[StagedRow], Known], duplicates: Duplicates, overlap: Overlap
):
    """Rows that share one identifier but differ in another of the same kind are never merged.

    But several values that are all known to be hers are, when her coupons went to one of them.
    """
    rows, ledger = inputs
    found = decided(*rows, ledger=ledger, duplicates=duplicates, overlap=overlap)
    owners: dict[bytes, int] = {}
    for number, person in enumerate(found.people):
        hers = person.person is not None and bool(ledger.sent_as.get(person.person))
        kinds = [name.kind for name in person.names if not hers or name.person is None]
        kinds += {name.kind for name in person.names if hers and name.person is not None}
        assert len(kinds) == len(set(kinds))
        assert {name.person for name in person.names} <= {None, person.person}
        for name in person.names:
            assert owners.setdefault(name.hash, number) == number
    known_people = [person.person for person in found.people if person.person is not None]
    assert len(known_people) == len(set(known_people))


@given(inputs=_inputs(), **RULES)
def test_nothing_is_ever_asked_for_beyond_target_less_issued_less_in_doubt(
    inputs: tuple[list[StagedRow], Known], duplicates: Duplicates, overlap: Overlap
):
    """The invariant, over anything the planner may be given."""
    rows, ledger = inputs
    for one in decided(*rows, ledger=ledger, duplicates=duplicates, overlap=overlap).orders:
        issued, held = (one.existing.issued, one.existing.held) if one.existing else (0, 0)
        assert 0 <= one.missing <= max(0, one.target - issued - held)
        assert one.target >= 0


@given(
    names=st.lists(st.sets(st.sampled_from("mex"), min_size=1), min_size=1, max_size=6),
    identify_by=st.permutations(IDENTIFY_BY),
    data=st.data(),
)
def test_what_names_a_person_does_not_depend_on_the_order_of_her_rows(
    names: list[set[str]], identify_by: list[Kind], data: st.DataObject
):
    """So the same list gives the same order keys."""
    texts = [" ".join(sorted(f"{kind}1" for kind in kinds)) for kinds in names] + ["m1 e1 x1"]
    mixed = data.draw(st.permutations(texts))
    one, other = (
        decided(*(staged(n, text, identify_by=identify_by) for n, text in enumerate(some, 1)), identify_by=identify_by)
        for some in (texts, mixed)
    )
    assert [person.name for person in one.people] == [person.name for person in other.people]
    assert one.people[0].name.kind is identify_by[0]
