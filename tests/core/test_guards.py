"""The cap on coupons: reserved before anything is sent, so that calls under way never overrun it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.core.guards import Bound, Cap, Guards, short_of


def test_an_order_fits_whole_or_not_at_all() -> None:
    """Room for three is no room for four."""
    cap = Cap(10, spent=7)
    assert not cap.reserve(1, 4)
    assert cap.reserve(2, 3)
    assert not cap.reserve(3, 1)


def test_what_was_reserved_and_not_used_is_free_again() -> None:
    """Two of five were issued: three are free."""
    cap = Cap(5)
    assert cap.reserve(1, 5)
    cap.spend(1, 2)
    assert cap.reserved == 3
    assert not cap.reserve(2, 1)
    cap.release(1)
    assert cap.reserve(2, 3)
    assert not cap.reserve(3, 1)


def test_an_order_that_has_its_reservation_need_not_fit_again() -> None:
    """The second call of a large order goes under the reservation of the first."""
    cap = Cap(1200)
    assert cap.reserve(1, 1200)
    cap.spend(1, 500)
    assert cap.reserve(1, 700)
    assert cap.reserved == 700


def test_an_order_that_misses_more_than_it_reserved_needs_room_for_the_rest() -> None:
    """Another row turned out to be the same person's."""
    cap = Cap(10)
    assert cap.reserve(1, 4)
    assert not cap.reserve(1, 11)
    assert cap.reserved == 4
    assert cap.reserve(1, 6)
    assert cap.reserved == 6
    assert not cap.reserve(2, 5)


def test_without_a_cap_everything_fits() -> None:
    """And nothing is counted."""
    cap = Cap(None)
    assert cap.reserve(1, 10**9)
    cap.spend(1, 10**9)
    cap.release(1)
    assert cap.reserved == 0


_STEPS = st.lists(
    st.tuples(st.sampled_from(["reserve", "spend", "release"]), st.integers(1, 4), st.integers(0, 40)), max_size=40
)


@given(limit=st.integers(0, 100), steps=_STEPS)
def test_spent_and_reserved_never_pass_the_cap(limit: int, steps: list[tuple[str, int, int]]) -> None:
    """As long as nobody spends more than was reserved, whatever the order of things."""
    cap, mine, spent = Cap(limit), dict[int, int](), 0
    for what, order, quantity in steps:
        if what == "reserve" and cap.reserve(order, quantity):
            mine[order] = max(quantity, mine.get(order, 0))
        elif what == "spend":
            used = min(quantity, mine.get(order, 0))
            cap.spend(order, used)
            spent += used
            if used:
                mine[order] -= used
        elif what == "release":
            cap.release(order)
            mine.pop(order, None)
        assert cap.reserved == sum(mine.values())
        assert spent + cap.reserved <= limit


def test_an_order_reserves_under_the_cap_of_the_run_and_of_its_series_or_under_neither() -> None:
    """What the series refuses takes no room of the run, and the other way round."""
    guards = Guards(10, limits={7: 3, 8: 100}, issued={7: 1})
    assert guards.reserve(1, 7, 3) is Bound.SERIES
    assert guards.reserved == 0
    assert guards.reserve(2, 7, 2) is None
    assert guards.reserve(3, 8, 9) is Bound.RUN
    assert guards.reserve(4, 8, 8) is None
    assert guards.reserve(5, 9, 1) is Bound.RUN


def test_what_an_order_gives_back_is_free_under_both_caps() -> None:
    """One of two was issued, the other is free again; coupons in doubt stay spent."""
    guards = Guards(2, limits={7: 2})
    assert guards.reserve(1, 7, 2) is None
    guards.spend(1, 7, 1)
    guards.release(1, 7)
    assert guards.reserve(2, 7, 2) is Bound.SERIES
    assert guards.reserve(2, 7, 1) is None
    guards.spend(2, 7, 1)
    assert guards.reserve(3, 7, 1) is Bound.SERIES
    assert guards.reserve(3, 8, 1) is Bound.RUN


def test_a_series_without_a_limit_is_bound_by_the_run_only() -> None:
    """And without a cap of the run by nothing."""
    guards = Guards(None, limits={7: 1})
    assert guards.reserve(1, 8, 10**9) is None
    guards.spend(1, 8, 10**9)
    guards.release(1, 8)


def test_a_plan_says_by_how_much_the_limits_fall_short() -> None:
    """What other runs of the campaign issued counts; a limit that is passed already leaves no room."""
    limits, issued = {7: 10, 8: 10, 9: 10}, {7: 4, 9: 12}
    assert short_of(limits, issued, {7: 7, 8: 10, 9: 1, 6: 99}) == {7: 1, 9: 1}


@given(limit=st.integers(0, 60), most=st.integers(0, 30), steps=_STEPS)
def test_no_cap_is_passed_whatever_the_order_of_things(
    limit: int, most: int, steps: list[tuple[str, int, int]]
) -> None:
    """Two series, of which one has a limit: its coupons never pass it, and all together never the cap."""
    guards, mine, spent = Guards(limit, limits={1: most}), dict[int, int](), {0: 0, 1: 0}
    for what, order, quantity in steps:
        series = order % 2
        if what == "reserve" and guards.reserve(order, series, quantity) is None:
            mine[order] = max(quantity, mine.get(order, 0))
        elif what == "spend":
            used = min(quantity, mine.get(order, 0))
            guards.spend(order, series, used)
            spent[series] += used
            mine[order] = mine.get(order, 0) - used
        elif what == "release":
            guards.release(order, series)
            mine.pop(order, None)
        of_series = sum(left for other, left in mine.items() if other % 2 == 1)
        assert spent[1] + of_series <= most
        assert sum(spent.values()) + sum(mine.values()) <= limit
