"""Rows that stand alone are decided by a short way, which gives what the long way gives."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.adapters.ledger import clusters, staging
from runner.adapters.ledger.deciding import Deciding
from runner.adapters.ledger.staging import Staging
from runner.core.model import RejectedRow, Row
from runner.core.planned import Overlap
from tests.adapters.staging_world import OTHER_SERIES, SERIES, World, rejected_row, row

TABLES = ("t_people", "t_known", "t_orders", "t_lines")

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["m1", "m2", "m3", "m4", "e5", "x6", "m7 e7", "e7", "m8 x8"]),
        st.sampled_from([(SERIES,), (OTHER_SERIES,), (SERIES, OTHER_SERIES)]),
        st.integers(1, 2),
    ),
    max_size=8,
)


def _rows(given_rows: Sequence[tuple[str, tuple[int, ...], int]]) -> list[Row]:
    return [
        row(number, names, series=series, count=count)
        for number, (names, series, count) in enumerate(given_rows, start=2)
    ]


def _decided(world: World, rows: list[Row], campaign: str, overlap: Overlap) -> tuple[object, ...]:
    with Staging(world.file) as stage:
        stage.add(rows)
        plan = world.plan(stage, world.campaign(campaign), overlap=overlap)
        connection = stage._connection
        return plan, *(connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1, 2").all() for table in TABLES)


@settings(max_examples=15, deadline=None)
@given(ROWS, ROWS, st.sampled_from(["May", "June"]), st.sampled_from(list(Overlap)))
def test_the_short_way_of_plain_rows_gives_what_the_long_way_gives(earlier, rows, campaign, overlap):
    """People, orders, lines and the plan with its digest, also where an earlier run knows some of the customers."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        world = World(Path(folder))
        if earlier:
            world.load(_rows(earlier))
            world.issue_all()
        ways = []
        for few in (1, 1_000):
            patch.setattr(clusters, "_FEW", few)
            ways.append(_decided(world, _rows(rows), campaign, overlap))
        patch.setattr(staging, "is_plain", lambda _: False)
        ways.append(_decided(world, _rows(rows), campaign, overlap))
        patch.setattr(clusters, "_is_plain", lambda _: False)
        long = _decided(world, _rows(rows), campaign, overlap)
        assert ways == [long] * 3


def test_only_rows_that_stand_alone_go_the_short_way(tmp_path):
    """Not those that share an identifier, name two, name two series, or are known: one of six here."""
    world = World(tmp_path)
    world.load(_rows([("m9", (SERIES,), 1)]))
    given_rows: list[tuple[str, tuple[int, ...], int]] = []
    given_rows += [("m1", (SERIES,), 1), ("m2", (SERIES,), 1), ("m3 e3", (SERIES,), 1), ("m9", (SERIES,), 1)]
    given_rows += [("m4", (SERIES, OTHER_SERIES), 1), ("m2", (OTHER_SERIES,), 1)]
    with Staging(world.file) as stage:
        stage.add(_rows(given_rows))
        world.plan(stage, world.campaign())
        plain = stage._connection.exec_driver_sql("SELECT seq FROM t_rows WHERE plain > 0").scalars().all()
    assert plain == [1]


def test_a_plan_made_again_gives_the_same(tmp_path):
    """After the ledger moved, or with orders held back meanwhile: rows that lost their short way give the same."""
    world = World(tmp_path)
    given_rows = _rows([(f"m{number}", (SERIES,), 1) for number in (1, 2, 3, 2, 4, 5)])
    with Staging(world.file) as stage:
        stage.add(given_rows)
        first = world.plan(stage, world.campaign())
        assert world.plan(stage, world.campaign()) == first
        stage.forget_rows()
        stage.add(given_rows)
        assert world.plan(stage, world.campaign()) == first
    assert (first.orders, first.duplicate_rows) == (5, 1)


def test_many_plain_rows_are_numbered_in_the_order_of_the_input(tmp_path):
    """Over the ends of pages and statements, with a customer of two rows and a rejected row between them."""
    world = World(tmp_path)
    rows: list[Row | RejectedRow] = [row(number + 1, f"m{number}") for number in range(1, 4_300)]
    rows[2_000:2_000] = [rejected_row(9_999), row(10_000, "m1"), row(10_001, "m7777 e7777")]
    world.load(rows)
    values = [value for (value,) in world.query("SELECT value FROM orders ORDER BY id")]
    numbers = [*range(1, 2_001), 7_777, *range(2_001, 4_300)]
    assert values == [f"91900{number:07}" for number in numbers]
    found = world.query("SELECT count(*), count(DISTINCT order_id), count(DISTINCT row_id) FROM lines")
    assert found == [(4_301, 4_300, 4_301)]


def test_runs_of_plain_rows_are_decided_a_few_thousand_at_a_time(tmp_path, monkeypatch):
    """So that memory does not grow with the file."""
    sizes: list[int] = []
    decide = Deciding._decide_batch

    def note(self, batch):
        sizes.append(sum(len(run.digests) for run in batch))
        decide(self, batch)

    monkeypatch.setattr(Deciding, "_decide_batch", note)
    assert World(tmp_path).look(row(number + 1, f"m{number}") for number in range(1, 9_001)).orders == 9_000
    assert sum(sizes) == 9_000
    assert max(sizes) <= 3_000
