"""An identifier's kind is a part of its name: the same digits as a mobile and as an externalId are two customers."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from runner.core.keys import name_hash
from runner.core.model import Identifier, Kind, Place, Row
from tests.adapters.staging_world import SERIES, World

DIGITS = "919000000001"


def _row(number: int, *identifiers: Identifier) -> Row:
    return Row(Place(0, "", number), (DIGITS,), identifiers, identifiers[0], (SERIES,), 1, None)


@pytest.mark.parametrize(("one", "other"), list(combinations(Kind, 2)), ids=lambda kind: kind.value)
def test_the_same_text_under_two_kinds_has_two_hashes(one: Kind, other: Kind):
    """The hash covers the kind, so that the table of identities needs no column for it."""
    key = bytes(32)
    assert name_hash(key, one, DIGITS) != name_hash(key, other, DIGITS)
    assert name_hash(key, one, DIGITS) == name_hash(key, one.value, DIGITS)


def test_a_mobile_and_an_external_id_of_the_same_digits_are_two_customers_with_an_order_each(tmp_path: Path):
    """In one file, and when one of them comes later: neither takes the other's coupon away."""
    world = World(tmp_path)
    mobile, external = (Identifier(kind, DIGITS, DIGITS) for kind in (Kind.MOBILE, Kind.EXTERNAL_ID))
    both = world.load([_row(2, mobile), _row(3, external)])
    assert (both.orders, both.duplicate_rows, both.rejected) == (2, 0, 0)
    assert world.counts()["persons"] == world.counts()["identity"] == 2
    world.issue_all()
    assert world.load([_row(2, mobile), _row(3, external)]).missing == 0
    assert world.look([_row(9, Identifier(Kind.EMAIL, DIGITS, DIGITS))]).missing == 1
