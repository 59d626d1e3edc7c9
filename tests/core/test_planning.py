"""From rows to orders: who is one person, what the target is, which rows cannot be used. Each test is a rule."""

from __future__ import annotations

import pytest

from runner.core.model import Kind
from runner.core.planned import Duplicates, LineRole, Name, Overlap
from tests.core.planning_rows import (
    OTHER_SERIES,
    SERIES,
    decided,
    known,
    name_of,
    order,
    reasons,
    ref,
    staged,
    targets,
)

# ── one row ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_row_is_an_order_for_each_series_that_it_names():
    """A row naming two series has two lines."""
    found = decided(staged(1, "m1", series=(SERIES, OTHER_SERIES), count=3))
    assert targets(found) == {(b"m1", SERIES): 3, (b"m1", OTHER_SERIES): 3}
    assert [(line.seq, line.order, line.role) for line in found.lines] == [
        (1, 0, LineRole.FIRST),
        (1, 1, LineRole.FIRST),
    ]
    assert len(found.people) == 1


@pytest.mark.parametrize(
    ("issued", "held", "missing"), [(0, 0, 5), (2, 0, 3), (2, 2, 1), (3, 2, 0), (0, 5, 0), (9, 0, 0), (4, 4, 0)]
)
def test_a_run_asks_only_for_what_is_neither_issued_nor_in_doubt(issued: int, held: int, missing: int):
    """missing = max(0, target − issued − in doubt): 2 raised to 5 issues 3, a target below what is issued nothing."""
    ledger = known(order(1, 7, target=2, issued=issued, held=held))
    found = decided(staged(1, "m1", count=5, people={"m1": 7}), ledger=ledger)
    assert found.orders[0].target == 5
    assert found.orders[0].missing == missing


def test_a_target_below_what_is_issued_is_kept_as_the_file_says_and_asks_for_nothing():
    """The file is the target; nothing is taken back by lowering it."""
    found = decided(staged(1, "m1", count=1, people={"m1": 7}), ledger=known(order(1, 7, target=5, issued=4)))
    assert (found.orders[0].target, found.orders[0].missing) == (1, 0)
    assert not found.rejected


@pytest.mark.parametrize("closed", ["resent", "forgotten"])
def test_an_order_closed_for_good_is_never_asked_for_again(closed: str):
    """A coupon that the API re-sent, and a forgotten person, close an order for every run."""
    ledger = known(order(1, 7, closed=closed))
    assert decided(staged(1, "m1", count=4, people={"m1": 7}), ledger=ledger).orders[0].missing == 0


def test_a_refused_order_is_asked_for_again_by_a_new_run():
    """A new run asks again for all that is missing, refused orders too."""
    ledger = known(order(1, 7, closed="701"))
    assert decided(staged(1, "m1", count=4, people={"m1": 7}), ledger=ledger).orders[0].missing == 4


# ── who is one person ────────────────────────────────────────────────────────────────────────────────────────────────


def test_rows_sharing_an_identifier_but_differing_in_another_are_all_rejected_naming_the_shared_value():
    """Everybody na@example.com is not one customer: no row of them is merged, and none is used."""
    found = decided(staged(1, "m1 e0"), staged(2, "m2 e0"), staged(3, "m3 e0"))
    assert set(found.rejected) == {1, 2, 3}
    assert not found.orders
    assert not found.people
    for seq in (1, 2, 3):
        assert "e0" in reasons(found, seq)
        assert "mobile" in reasons(found, seq)
        assert "rows 2, 3, 4" in reasons(found, seq)


def test_a_row_with_nothing_but_the_shared_value_is_rejected_with_the_others():
    """Whose it is cannot be told for this row either."""
    found = decided(staged(1, "m1 e0"), staged(2, "m2 e0"), staged(3, "e0"))
    assert set(found.rejected) == {1, 2, 3}


def test_a_row_beside_a_shared_placeholder_is_used_when_it_does_not_hold_it():
    """Only the rows that hold the shared value are in question."""
    found = decided(staged(1, "m1 e0"), staged(2, "m2 e0"), staged(3, "m2 x3"))
    assert set(found.rejected) == {1, 2}
    assert targets(found) == {(b"m2", SERIES): 1}


def test_a_long_list_of_rows_in_a_reason_is_cut_and_counted():
    """A placeholder in a thousand rows does not write a thousand numbers into each."""
    found = decided(*(staged(seq, f"m{seq} e0") for seq in range(1, 1001)))
    assert len(found.rejected) == 1000
    assert "and 995 more" in reasons(found, 500)
    assert len(reasons(found, 500)) < 300


def test_rows_that_agree_on_what_they_share_are_one_person():
    """One person under two names: what no row contradicts belongs together."""
    found = decided(staged(1, "m1 e1"), staged(2, "e1 x1"), staged(3, "x1"))
    assert not found.rejected
    assert len(found.people) == len(found.orders) == 1
    assert {name.value for name in found.people[0].names} == {"m1", "e1", "x1"}
    assert [line.same_as for line in found.lines] == [None, 1, 1]


def test_a_chain_that_ends_in_two_values_of_one_kind_is_rejected_as_a_whole():
    """No two rows contradict each other, all together they do."""
    found = decided(staged(1, "m1 e1"), staged(2, "e1 x1"), staged(3, "x1 m2"))
    assert set(found.rejected) == {1, 2, 3}
    assert "2 different mobile values" in reasons(found, 2)


def test_a_row_whose_identifiers_belong_to_two_known_people_is_rejected():
    """There is no guess between two known customers."""
    found = decided(staged(1, "m1 e2", people={"m1": 7, "e2": 8}), ledger=known(order(1, 7), order(2, 8)))
    assert "2 different customers" in reasons(found, 1)
    assert not found.orders


def test_rows_linked_through_a_new_identifier_to_two_known_people_are_rejected():
    """The new identifier would make one person of two that the ledger keeps apart."""
    people = {"m1": 7, "x1": 8}
    found = decided(staged(1, "m1 e1", people=people), staged(2, "e1 x1", people=people))
    assert set(found.rejected) == {1, 2}
    assert "2 different customers known" in reasons(found, 1)


def test_a_row_that_names_two_known_people_does_not_take_the_others_with_it():
    """Each of the two keeps her own row."""
    people = {"m1": 7, "e2": 8}
    found = decided(staged(1, "m1 e2", people=people), staged(2, "m1", people=people), staged(3, "e2", people=people))
    assert set(found.rejected) == {1}
    assert [person.person for person in found.people] == [7, 8]


def test_two_rows_with_different_identifiers_of_one_known_person_are_one_order():
    """An order is found through any name that the ledger knows."""
    people = {"m1": 7, "e1": 7}
    found = decided(staged(1, "m1", people=people), staged(2, "e1", people=people), ledger=known(order(1, 7)))
    assert len(found.orders) == 1
    assert found.orders[0].existing is not None
    assert [(line.role, line.same_as) for line in found.lines] == [(LineRole.FIRST, None), (LineRole.DUPLICATE, 1)]


HERS = {"m1": 7, "m2": 7, "e1": 7}
SENT_TO_M2 = known(order(1, 7, target=2, issued=2))._replace(sent_as={7: [(Kind.MOBILE, "m2")]})


@pytest.mark.parametrize("duplicates", list(Duplicates))
def test_two_mobiles_that_only_the_ledger_links_are_one_order_and_never_added_up(duplicates: Duplicates):
    """Answers named both as hers: the same list again issues nothing, and the later line names the earlier one."""
    rows = [staged(number, name, count=2, people=HERS) for number, name in enumerate(("m1", "m2"), 1)]
    found = decided(*rows, ledger=SENT_TO_M2, duplicates=duplicates)
    assert not found.rejected
    assert [(one.target, one.missing, one.value) for one in found.orders] == [(2, 0, "m2")]
    assert [(line.role, line.same_as, line.note) for line in found.lines] == [
        (LineRole.FIRST, None, None),
        (LineRole.DUPLICATE, 1, "same person as row 2"),
    ]


@pytest.mark.parametrize("duplicates", list(Duplicates))
def test_counts_that_disagree_across_what_only_the_ledger_links_are_a_persons_to_settle(duplicates: Duplicates):
    """Neither row may win by its place in the file; the reason says why they are one customer's."""
    found = decided(
        staged(1, "m1", count=2, people=HERS), staged(2, "m2", people=HERS), ledger=SENT_TO_M2, duplicates=duplicates
    )
    assert set(found.rejected) == {1, 2}
    assert "ask for 1 and 2" in reasons(found, 1)
    assert "earlier runs showed that their identifiers are one customer's" in reasons(found, 2)


def test_two_mobiles_of_one_known_person_that_the_file_links_itself_are_rejected():
    """A shared e-mail in the file, or a mobile that is not known as hers, may be a placeholder."""
    shared = decided(staged(1, "m1 e1", people=HERS), staged(2, "m2 e1", people=HERS), ledger=SENT_TO_M2)
    assert set(shared.rejected) == {1, 2}
    new = decided(staged(1, "m2", people=HERS), staged(2, "m3 e1", people=HERS), ledger=SENT_TO_M2)
    assert 2 in new.rejected
    nothing_sent = decided(staged(1, "m1", people=HERS), staged(2, "m2", people=HERS), ledger=known(order(1, 7)))
    assert set(nothing_sent.rejected) == {1, 2}


def test_the_ledgers_order_is_found_through_any_identifier_of_the_row():
    """The row's mobile is new, its e-mail leads to the order."""
    found = decided(staged(1, "m9 e1", people={"e1": 7}), ledger=known(order(3, 7, issued=1)))
    assert found.orders[0].existing is not None
    assert found.orders[0].existing.id == 3
    assert found.orders[0].missing == 0


def test_a_persons_name_is_of_the_first_kind_of_identify_by_that_any_row_has():
    """The same list, re-sorted, gives the same order keys."""
    rows = [staged(1, "e1"), staged(2, "e1 x1"), staged(3, "x1 m1")]
    for some in (rows, rows[::-1], rows[1:] + rows[:1]):
        assert decided(*some).people[0].name.value == "m1"
        assert decided(*some, identify_by=(Kind.EXTERNAL_ID, Kind.MOBILE)).people[0].name.value == "x1"


def test_what_is_sent_is_of_the_kind_that_names_the_person():
    """A row that lacks the mobile is sent by the mobile that another of her rows has."""
    found = decided(staged(1, "e1"), staged(2, "m1 e1"))
    assert (found.orders[0].kind, found.orders[0].value) == (Kind.MOBILE, "m1")


# ── another identifier ───────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_may_fall_back_to_the_kinds_after_the_one_that_is_sent():
    """In the order of identify_by, whatever the row's; without the option to none."""
    row = staged(1, "x1 e1 m1")
    assert decided(row, fall_back=True).orders[0].others == ((Kind.EMAIL, "e1"), (Kind.EXTERNAL_ID, "x1"))
    assert decided(row, fall_back=True, identify_by=(Kind.MOBILE, Kind.EXTERNAL_ID)).orders[0].others == (
        (Kind.EXTERNAL_ID, "x1"),
    )
    assert decided(staged(1, "e1 x1"), fall_back=True).orders[0].others == ((Kind.EXTERNAL_ID, "x1"),)
    assert decided(row).orders[0].others == ()


def test_an_address_is_fallen_back_to_as_it_was_written():
    """It compares in lower case, and is sent as it stands in the cell."""
    row = staged(1, "m1 e1")
    row = row._replace(names=(row.names[0], row.names[1]._replace(written="E1")))
    assert decided(row, fall_back=True).orders[0].others == ((Kind.EMAIL, "E1"),)


def test_a_customer_may_be_named_by_what_another_of_her_rows_says():
    """Rows of one person are one order; each series has the same identifiers."""
    found = decided(staged(1, "m1"), staged(2, "m1 e1", series=(SERIES, OTHER_SERIES)), fall_back=True)
    assert [one.others for one in found.orders] == [((Kind.EMAIL, "e1"),)] * 2


def test_identifiers_of_rejected_rows_are_never_fallen_back_to():
    """Two rows that share a mobile and differ in the e-mail are nobody's; nor is what a customer id stands for sent."""
    found = decided(staged(1, "m1 e1"), staged(2, "m1 e2"), staged(3, "m3 e3"), fall_back=True)
    assert set(found.rejected) == {1, 2}
    assert [one.others for one in found.orders] == [((Kind.EMAIL, "e3"),)]
    row = staged(1, "m1 e1")
    row = row._replace(names=(*row.names, Name(Kind.CUSTOMER_ID, "77", b"77", None)))
    assert decided(row, fall_back=True).orders[0].others == ((Kind.EMAIL, "e1"),)


def test_of_several_values_of_a_kind_none_is_fallen_back_to():
    """The ledger knows both addresses as hers: which one to send would be a guess."""
    people = {"m1": 1, "e1": 1, "e2": 1}
    rows = [staged(1, "m1 e1", people=people), staged(2, "m1 e2", people=people)]
    for some in (rows, rows[::-1]):
        for one in decided(*some, fall_back=True).orders:
            assert one.others == ()


# ── duplicates ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_rows_that_agree_on_the_count_are_one_order_and_the_later_ones_name_the_first():
    """Same person and series twice: one order, the later rows are duplicates."""
    found = decided(staged(1, "m1", count=2), staged(2, "m1", count=2), staged(3, "m1", count=2))
    assert targets(found) == {(b"m1", SERIES): 2}
    assert [(line.role, line.same_as) for line in found.lines] == [
        (LineRole.FIRST, None),
        (LineRole.DUPLICATE, 1),
        (LineRole.DUPLICATE, 1),
    ]


def test_rows_that_disagree_on_the_count_are_all_rejected():
    """None of them is taken for the right one."""
    found = decided(staged(1, "m1", count=2), staged(2, "m1", count=3), staged(3, "m1", count=2))
    assert set(found.rejected) == {1, 2, 3}
    assert not found.orders
    assert "2 and 3" in reasons(found, 1)
    assert "--duplicates add" in reasons(found, 1)


def test_with_duplicates_add_the_counts_of_the_rows_are_added_up():
    """2 and 3 are 5, and each row keeps a line of its own."""
    rows = staged(1, "m1", count=2), staged(2, "m1", count=3)
    found = decided(*rows, duplicates=Duplicates.ADD)
    assert targets(found) == {(b"m1", SERIES): 5}
    assert [(line.role, line.requested, line.same_as) for line in found.lines] == [
        (LineRole.FIRST, 2, None),
        (LineRole.ADDED, 3, 1),
    ]


def test_with_duplicates_add_a_second_run_of_the_file_asks_for_nothing():
    """The sum is the target, not an addition to what is there."""
    people, ledger = {"m1": 7}, known(order(1, 7, target=5, issued=5))
    rows = staged(1, "m1", count=2, people=people), staged(2, "m1", count=3, people=people)
    assert decided(*rows, ledger=ledger, duplicates=Duplicates.ADD).orders[0].missing == 0


def test_one_series_that_disagrees_rejects_the_whole_row():
    """The row's other series is not issued either, until somebody has corrected the row."""
    found = decided(staged(1, "m1", series=(SERIES, OTHER_SERIES), count=2), staged(2, "m1", series=(SERIES,), count=3))
    assert set(found.rejected) == {1, 2}
    assert not found.orders


def test_a_row_of_another_series_stays_when_rows_of_the_same_person_disagree():
    """Only rows that disagree are rejected."""
    found = decided(
        staged(1, "m1", count=2), staged(2, "m1", count=3), staged(3, "m1", series=(OTHER_SERIES,), count=4)
    )
    assert set(found.rejected) == {1, 2}
    assert targets(found) == {(b"m1", OTHER_SERIES): 4}


# ── lines that we wrote ──────────────────────────────────────────────────────────────────────────────────────────────

AT_TWO_OF_FIVE = known(order(1, 7, target=5, issued=2))
PEOPLE = {"m1": 7}


def test_the_target_of_a_line_with_a_ref_is_base_plus_count():
    """A failures line printed `3` on base 2: fed back it asks for the 3 that are missing."""
    found = decided(staged(1, "m1", count=3, ref=ref(1, 2), people=PEOPLE), ledger=AT_TWO_OF_FIVE)
    assert (found.orders[0].target, found.orders[0].missing) == (5, 3)


def test_feeding_a_line_with_a_ref_twice_is_harmless():
    """After the first time the order is full; the same line then asks for nothing."""
    full = known(order(1, 7, target=5, issued=5))
    assert decided(staged(1, "m1", count=3, ref=ref(1, 2), people=PEOPLE), ledger=full).orders[0].missing == 0


def test_an_edited_count_beside_a_ref_changes_the_target_by_the_difference():
    """3 edited to 4: one more than the file asked for in the first place."""
    found = decided(staged(1, "m1", count=4, ref=ref(1, 2), people=PEOPLE), ledger=AT_TWO_OF_FIVE)
    assert (found.orders[0].target, found.orders[0].missing) == (6, 4)


def test_a_line_that_printed_no_count_has_its_base_for_target():
    """`w` in the reference: nothing is added to it."""
    line = staged(1, "m1", count=0, counted=False, ref=ref(1, 5, whole=True), people=PEOPLE)
    assert decided(line, ledger=AT_TWO_OF_FIVE).orders[0].target == 5


def test_a_target_never_falls_below_nothing():
    """A count edited far down, beside a base below zero, asks for nothing and is no fault of the ledger."""
    found = decided(staged(1, "m1", count=1, ref=ref(1, -3), people=PEOPLE), ledger=AT_TWO_OF_FIVE)
    assert (found.orders[0].target, found.orders[0].missing) == (0, 0)


def test_a_corrected_mobile_has_base_0_and_is_an_order_of_its_own():
    """The cells lead to somebody else, and nothing was issued for the line: it counts as a new row."""
    ledger = known(order(1, 7, target=3))
    found = decided(staged(1, "m2", count=3, ref=ref(1, 0), people=PEOPLE), ledger=ledger)
    assert not found.rejected
    assert found.orders[0].existing is None
    assert targets(found) == {(b"m2", SERIES): 3}


def test_a_corrected_mobile_never_carries_a_base_over():
    """Base 2 meant coupons of the old order; the new order begins at its own count."""
    ledger = known(order(1, 7, target=5))
    found = decided(staged(1, "m2", count=3, ref=ref(1, 2), people=PEOPLE), ledger=ledger)
    assert targets(found) == {(b"m2", SERIES): 3}


@pytest.mark.parametrize(("issued", "held"), [(1, 0), (0, 1), (2, 3)])
def test_a_corrected_mobile_is_refused_when_the_old_order_holds_something(issued: int, held: int):
    """Issued or in doubt: the coupons may be the same person's."""
    ledger = known(order(1, 7, target=5, issued=issued, held=held))
    found = decided(staged(1, "m2", count=3, ref=ref(1, 2), people=PEOPLE), ledger=ledger)
    assert "printed for another customer or series" in reasons(found, 1)
    assert not found.orders


def test_a_changed_series_beside_a_ref_counts_as_another_order():
    """The same rule as for a corrected mobile."""
    line = staged(1, "m1", series=(OTHER_SERIES,), count=1, ref=ref(1, 2), people=PEOPLE)
    assert "another customer or series" in reasons(decided(line, ledger=AT_TWO_OF_FIVE), 1)


def test_a_corrected_line_without_a_count_is_rejected():
    """Its count was part of the old order's target."""
    line = staged(1, "m2", count=0, counted=False, ref=ref(1, 1, whole=True), people=PEOPLE)
    assert "needs a count" in reasons(decided(line, ledger=known(order(1, 7))), 1)


def test_a_ref_of_no_order_of_the_campaign_is_rejected_with_the_remedy():
    """It stays in its campaign whatever the file is called."""
    line = staged(1, "m1", ref=ref(99, 0), people=PEOPLE)
    assert "remove the _ref cell" in reasons(decided(line, ledger=AT_TWO_OF_FIVE), 1)


@pytest.mark.parametrize("duplicates", list(Duplicates))
def test_lines_with_a_ref_are_never_added_up(duplicates: Duplicates):
    """The same line from two of our files is one order; sums that differ are rejected."""
    line = staged(1, "m1", count=3, ref=ref(1, 2), people=PEOPLE)
    same = decided(line, line._replace(seq=2), ledger=AT_TWO_OF_FIVE, duplicates=duplicates)
    assert (same.orders[0].target, same.lines[1].role) == (5, LineRole.DUPLICATE)
    edited = line._replace(seq=2, count=4)
    assert set(decided(line, edited, ledger=AT_TWO_OF_FIVE, duplicates=duplicates).rejected) == {1, 2}


def test_different_bases_that_give_the_same_sum_are_a_duplicate():
    """An old and a newer failures file of the same order: 1 + 4 is 2 + 3."""
    older = staged(1, "m1", count=4, ref=ref(1, 1), people=PEOPLE)
    newer = staged(2, "m1", count=3, ref=ref(1, 2), people=PEOPLE)
    found = decided(older, newer, ledger=AT_TWO_OF_FIVE)
    assert (found.orders[0].target, found.orders[0].missing) == (5, 3)


@pytest.mark.parametrize("duplicates", list(Duplicates))
def test_a_line_with_a_ref_agrees_with_a_plain_row_on_the_target(duplicates: Duplicates):
    """A plain row says the whole target, the line says base and rest; with `add` the plain ones are summed first."""
    line = staged(1, "m1", count=3, ref=ref(1, 2), people=PEOPLE)
    agreeing = staged(2, "m1", count=5, people=PEOPLE)
    found = decided(line, agreeing, ledger=AT_TWO_OF_FIVE, duplicates=duplicates)
    assert targets(found) == {(b"m1", SERIES): 5}
    assert found.lines[1].role is LineRole.DUPLICATE
    disagreeing = staged(2, "m1", count=3, people=PEOPLE)
    assert set(decided(line, disagreeing, ledger=AT_TWO_OF_FIVE, duplicates=duplicates).rejected) == {1, 2}


# ── overlap ──────────────────────────────────────────────────────────────────────────────────────────────────────────

APRIL = "campaign April, run 20260401T000000Z-april-0a1b2c, file april.csv, 2026-04-01"


@pytest.mark.parametrize(
    "facts",
    [{"issued": 1}, {"held": 1}, {"unfinished": True}],
    ids=["issued", "in doubt", "still missed by an unfinished run"],
)
def test_an_order_of_another_campaign_overlaps_by_what_is_issued_in_doubt_or_still_coming(facts: dict[str, int]):
    """Overlap is listed with run, file and date; the order itself is planned as usual."""
    ledger = known(order(1, 7, other=APRIL, **facts))  # type: ignore[arg-type]
    found = decided(staged(1, "m1", people=PEOPLE), ledger=ledger)
    assert [one.other for one in found.orders[0].elsewhere] == [APRIL]
    assert found.orders[0].existing is None
    assert found.orders[0].missing == 1


@pytest.mark.parametrize(
    "facts",
    [{}, {"unfinished": True, "closed": "701"}, {"series": OTHER_SERIES, "issued": 1}],
    ids=["nothing, run over", "refused there", "another series"],
)
def test_an_order_of_another_campaign_that_holds_nothing_and_expects_nothing_is_no_overlap(facts: dict[str, int]):
    """Nobody loses a coupon here because another campaign tried and failed."""
    ledger = known(order(1, 7, other=APRIL, **facts))  # type: ignore[arg-type]
    assert decided(staged(1, "m1", people=PEOPLE), ledger=ledger, overlap=Overlap.SKIP).orders[0].elsewhere == ()


def test_skip_leaves_out_the_whole_order_and_names_where_it_stands():
    """Not only what the other campaign holds: all of it."""
    ledger = known(order(1, 7, issued=1, other=APRIL))
    found = decided(staged(1, "m1", count=5, people=PEOPLE), ledger=ledger, overlap=Overlap.SKIP)
    assert found.orders[0].skipped
    assert found.orders[0].missing == 0
    assert (found.lines[0].role, found.lines[0].note) == (LineRole.ELSEWHERE, APRIL)


@pytest.mark.parametrize("overlap", [Overlap.ASK, Overlap.REFUSE, Overlap.ALLOW])
def test_only_skip_leaves_an_overlapping_order_out(overlap: Overlap):
    """Whether the run may go on at all is asked once for all orders, not here."""
    ledger = known(order(1, 7, issued=1, other=APRIL))
    found = decided(staged(1, "m1", count=5, people=PEOPLE), ledger=ledger, overlap=overlap)
    assert (found.orders[0].skipped, found.orders[0].missing) == (False, 5)


def test_skip_leaves_the_persons_other_series_in():
    """An order is campaign × person × series."""
    ledger = known(order(1, 7, issued=1, other=APRIL))
    row = staged(1, "m1", series=(SERIES, OTHER_SERIES), people=PEOPLE)
    found = decided(row, ledger=ledger, overlap=Overlap.SKIP)
    assert [(one.series, one.skipped) for one in found.orders] == [(SERIES, True), (OTHER_SERIES, False)]


# ── a shared identifier over several runs ────────────────────────────────────────────────────────────────────────────


def test_a_placeholder_of_an_earlier_run_makes_nobody_a_customer_who_has_her_coupons():
    """The e-mail leads to a customer whose coupon went to another mobile: the row is rejected, naming the e-mail."""
    ledger = known(order(1, 7, issued=1))._replace(sent_as={7: [(Kind.MOBILE, name_of("m1", None).value)]})
    found = decided(staged(1, "m2 e1", people={"e1": 7}), ledger=ledger)
    assert not found.orders
    assert "e-mail" in reasons(found, 1) or "email" in reasons(found, 1)


def test_a_second_mobile_that_answers_have_named_is_hers():
    """What the API said of a customer is known: no placeholder, and nothing is issued again."""
    ledger = known(order(1, 7, issued=1))._replace(sent_as={7: [(Kind.MOBILE, name_of("m1", None).value)]})
    found = decided(staged(1, "m2 e1", people={"m2": 7, "e1": 7}), ledger=ledger)
    assert [one.missing for one in found.orders] == [0]


def test_a_corrected_mobile_beside_the_same_e_mail_is_used_as_long_as_nothing_was_issued():
    """The first mobile was refused (701): the correction leads to the same order, sent by the new one."""
    found = decided(staged(1, "m2 e1", people={"e1": 7}), ledger=known(order(1, 7)))
    assert [(one.existing is not None, one.value) for one in found.orders] == [(True, name_of("m2", None).value)]


def test_a_row_may_ask_each_of_its_series_for_another_count():
    """Where a list of series gives each its own: targets, lines and duplicates all go by it."""
    both = staged(1, "m1", series=(SERIES, OTHER_SERIES), count=2)._replace(counts=(2, 5))
    found = decided(both, staged(2, "m1", series=(OTHER_SERIES,), count=5))
    assert targets(found) == {(b"m1", SERIES): 2, (b"m1", OTHER_SERIES): 5}
    assert [(line.seq, line.requested, line.role) for line in found.lines] == [
        (1, 2, LineRole.FIRST),
        (1, 5, LineRole.FIRST),
        (2, 5, LineRole.DUPLICATE),
    ]
    assert set(decided(both, staged(2, "m1", series=(OTHER_SERIES,), count=2)).rejected) == {1, 2}
