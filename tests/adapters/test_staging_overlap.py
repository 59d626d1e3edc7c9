"""Which run an overlap names: the one whose call issued, not the one that loaded the order last."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from runner.adapters.ledger.files import transaction
from runner.adapters.ledger.merging import merge_persons
from runner.adapters.ledger.staged import NewRun
from runner.adapters.ledger.staging import Staging
from runner.core.model import Row
from tests.adapters.staging_world import World, row

DAY = 86_400.0


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def _load(world: World, rows: list[Row], *, day: int, files: tuple[str, ...]) -> str:
    """A run of the campaign April, begun on a day of January 1970; gives back its id."""
    name = f"197001{day:02}T000000Z-april"
    with Staging(world.file) as staging:
        staging.add(rows)
        campaign = world.campaign("April")
        plan = world.plan(staging, campaign)
        named = [{"name": file} for file in files]
        new = NewRun(
            name=name, started=(day - 1) * DAY, args={}, files=named, owner={}, out="out", overrides=[]
        )  # fmt: skip
        staging.load(new, campaign, plan)
    world.change("UPDATE runs SET state = 'finished'")
    return name


def _call(world: World, run: str, name: str, *, issued: int = 0, held: int = 0, at: float = 0.0) -> None:
    """A call of a run, for the order of the customer named `name`."""
    world.change(
        "INSERT INTO calls(order_id, number, key, run_id, quantity, state, known, held, began)"
        " SELECT o.id, o.calls + 1, 'k-' || (o.calls + 1) || '-n', (SELECT id FROM runs WHERE name = ?), 1,"
        " iif(?, 'in_doubt', 'issued'), ?, ?, ? FROM orders o WHERE o.person_id = ? AND o.merged_into IS NULL",
        run, held, issued, held, at, world.person(name),
    )  # fmt: skip
    world.change(
        "UPDATE orders SET issued = issued + ?, held = held + ?, calls = calls + 1"
        " WHERE person_id = ? AND merged_into IS NULL",
        issued, held, world.person(name),
    )  # fmt: skip


def test_an_overlap_names_the_run_that_issued_and_not_a_later_one_that_had_nothing_to_do(world: World):
    """Whoever asks "who gave her this coupon?" is led to the run, file and date of the call."""
    first = _load(world, [row(2, "m1")], day=3, files=("first.csv",))
    _call(world, first, "m1", issued=1)
    _load(world, [row(2, "m1"), row(3, "m2")], day=9, files=("again.csv",))
    (seen,) = world.look([row(5, "m1")], campaign="May").overlaps
    assert seen.where == f"campaign April, run {first}, file first.csv, 1970-01-03"


def test_an_overlap_names_the_file_of_the_customers_own_row(world: World):
    """A run of several files: the one that she was in."""
    run = _load(world, [row(2, "m1", file=0), row(2, "m2", file=1)], day=3, files=("north.csv", "south.csv"))
    _call(world, run, "m1", issued=1)
    _call(world, run, "m2", issued=1)
    found = {seen.where: seen.rows for seen in world.look([row(5, "m1"), row(6, "m2")], campaign="May").overlaps}
    assert found == {
        f"campaign April, run {run}, file north.csv, 1970-01-03": (5,),
        f"campaign April, run {run}, file south.csv, 1970-01-03": (6,),
    }


def test_an_overlap_prefers_the_run_that_issued_to_a_later_one_in_doubt(world: World):
    """A doubt is named only where nothing is certain."""
    first = _load(world, [row(2, "m1")], day=3, files=("first.csv",))
    _call(world, first, "m1", issued=1, at=2 * DAY)
    second = _load(world, [row(2, "m1", count=2), row(3, "m2")], day=9, files=("second.csv",))
    _call(world, second, "m1", held=1, at=8 * DAY)
    _call(world, second, "m2", held=1, at=8 * DAY)
    plan = world.look([row(5, "m1"), row(6, "m2")], campaign="May")
    named = {rows: seen.where for seen in plan.overlaps for rows in seen.rows}
    assert f"run {first}," in named[5]
    assert f"run {second}," in named[6]


def test_an_overlap_of_an_order_without_coupons_names_the_unfinished_run_that_is_to_issue_them(world: World):
    """Nothing issued yet, but it will be."""
    _load(world, [row(2, "m1")], day=3, files=("first.csv",))
    second = _load(world, [row(2, "m1")], day=9, files=("second.csv",))
    world.change("UPDATE runs SET state = 'stopped' WHERE name = ?", second)
    (seen,) = world.look([row(5, "m1")], campaign="May").overlaps
    assert seen.where == f"campaign April, run {second}, file second.csv, 1970-01-09"


def test_an_overlap_with_a_customer_of_two_names_names_the_run_that_issued_to_either(world: World):
    """Calls stay with the order that they were made for, when two orders turn out to be one person's."""
    _load(world, [row(2, "m1")], day=3, files=("first.csv",))
    second = _load(world, [row(2, "m2")], day=9, files=("second.csv",))
    _call(world, second, "m2", issued=1)
    _load(world, [row(2, "m1")], day=12, files=("third.csv",))
    one, other = world.person("m1"), world.person("m2")
    assert one is not None
    assert other is not None
    with closing(world.file.connect()) as connection, transaction(connection):
        assert merge_persons(connection, one, other) is not None
    (seen,) = world.look([row(5, "m1")], campaign="May").overlaps
    assert seen.where == f"campaign April, run {second}, file second.csv, 1970-01-09"
