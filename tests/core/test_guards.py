"""The cap on coupons: reserved before anything is sent, so that calls under way never overrun it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.core.guards import Cap


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
