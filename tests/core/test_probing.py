"""Which customers a plan looks up, and what it says of the answers."""

from __future__ import annotations

from itertools import pairwise

import pytest

from runner.core.model import Place
from runner.core.probing import PROBED, Probe, say, spread, sum_up


@pytest.mark.parametrize(("total", "places"), [(0, []), (1, [0]), (3, [0, 1, 2]), (20, list(range(20)))])
def test_a_short_list_is_looked_up_whole(total, places):
    assert spread(total) == places


@pytest.mark.parametrize("total", [21, 39, 1_000, 3_000_000])
def test_a_long_list_is_looked_up_from_its_first_to_its_last_order_in_even_steps(total):
    """A file is often made of parts: a wrong part shows only where somebody looks."""
    places = spread(total)
    assert (len(places), len(set(places)), places[0], places[-1]) == (PROBED, PROBED, 0, total - 1)
    steps = [after - before for before, after in pairwise(places)]
    assert max(steps) - min(steps) <= 1


def probe(
    row: int, exists: bool | None = True, holds: int | None = 0, known: int = 0, *, falls_back: bool = False
) -> Probe:
    return Probe(Place(0, "", row), exists, holds, known, falls_back)


def said(*probes: Probe, problem: str | None = None) -> str:
    return " ".join(say(sum_up(probes, problem), ["list.csv"]))


def test_it_says_how_many_exist_and_who_holds_the_series_already():
    text = said(*[probe(n) for n in range(2, 18)], probe(18, holds=1), *[probe(n, False, None) for n in (19, 20, 21)])
    assert text.startswith(
        "Probe: 17 of 20 customers looked up exist, 1 already holds this series, not from this ledger."
    )
    assert "Not known to the API: row 19, row 20, row 21." in text
    assert "Holding the series from elsewhere: row 18." in text


def test_coupons_that_this_ledger_knows_of_are_no_surprise():
    assert "none of them holds the series from elsewhere" in said(probe(2, holds=2, known=2), probe(3))
    assert "1 already holds" in said(probe(2, holds=3, known=2), probe(3))


def test_a_list_of_which_nobody_exists_is_probably_written_in_another_way():
    text = said(*[probe(n, False, None) for n in (2, 3, 4)])
    assert "0 of 3 customers looked up exist" in text
    assert "--region" in text
    assert "--region" not in said(probe(2, False, None))


def test_what_could_not_be_read_is_one_sentence_and_no_finding():
    """An answer that says nothing is neither "exists" nor "does not exist"."""
    assert said(*[probe(n, None, None) for n in (2, 3)], problem="no answer came") == (
        "Probe: the customers could not be looked up (no answer came), so whether they exist is not known yet."
    )
    assert sum_up([probe(2), probe(3, None, None)]).unknown == ()
    text = said(probe(2), probe(3, None, None), problem="busy")
    assert "1 of 1 customer looked up exists" in text
    assert "1 more could not be looked up (busy)." in text


def test_with_several_files_a_row_names_its_file_and_not_everyone_is_named():
    probes = [Probe(Place(1, "May", n), False, None, 0) for n in range(2, 10)]
    text = " ".join(say(sum_up([*probes, probe(99)]), ["a.csv", "b.xlsx"]))
    assert "row 2 of sheet May of b.xlsx" in text
    assert "and 3 more" in text


def test_whoever_has_another_identifier_is_not_said_to_be_unknown():
    """Only the first identifier was looked up; whoever has no other is told apart."""
    text = said(probe(2), probe(3, False, None, falls_back=True), probe(4, False, None))
    assert "Not known to the API: row 4." in text
    assert "Not known by the identifier that is sent first, with another to fall back to: row 3." in text
    none = said(probe(3, False, None, falls_back=True), probe(4, False, None))
    assert "so none can get a coupon" not in none
    assert "by the identifier that is sent first" in none
