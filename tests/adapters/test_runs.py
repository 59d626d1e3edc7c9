"""The life of a run in the ledger: how it is found, how it ends, what is left of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.adapters.ledger.runs import (
    UNFINISHED,
    RunState,
    count_run,
    find_run,
    newest_head,
    newest_run,
    set_run_state,
    unfinished_run_of,
)
from tests.adapters.staging_world import OTHER_SERIES, SERIES, World, row


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def _run(world: World, name: str):
    run = find_run(world.file, name)
    assert run is not None
    return run


def test_a_run_is_found_by_its_id_or_by_a_part_that_no_other_has(world: World):
    """A part of three signs or less, or of two runs, finds nothing."""
    world.load([row(2, "m1")])
    world.load([row(2, "m1")])
    assert _run(world, "20261121T000000Z-run").id == 1
    assert _run(world, "20261122").id == 2
    assert find_run(world.file, "2026112") is None
    assert find_run(world.file, "122") is None
    assert find_run(world.file, "%%%%") is None
    assert find_run(world.file, "nothing") is None


def test_a_loaded_run_is_ready_and_carries_what_it_was_begun_with(world: World):
    """No call of it before that."""
    world.load([row(2, "m1", count=3)])
    run = _run(world, "20261121T000000Z-run")
    assert run.state is RunState.READY
    assert (run.org, run.campaign, run.campaign_key) == ("Acme", "May", "may")
    assert [file["name"] for file in run.files] == ["may.csv"]
    assert run.totals == {"rows": 1, "lines": 1, "missing": 3, "leavers": 0}
    assert (run.ended, run.exit_code) == (None, None)


@pytest.mark.parametrize("state", list(RunState))
def test_ready_running_and_stopped_are_unfinished(world: World, state: RunState):
    """The campaign's next run deals with such a run first."""
    world.load([row(2, "m1")])
    run = _run(world, "20261121T000000Z-run")
    set_run_state(world.file, run, state, at=5.0)
    unfinished = state in UNFINISHED
    assert (unfinished_run_of(world.file, run.scope_id) is not None) is unfinished
    assert (newest_run(world.file, unfinished=True) is not None) is unfinished
    assert newest_run(world.file) is not None


def test_the_newest_run_may_be_asked_for_one_org(world: World):
    """Another org's run is not resumed by accident."""
    world.load([row(2, "m1")])
    newest = newest_run(world.file, org_id=world.org.id)
    assert newest is not None
    assert newest_run(world.file, org_id=world.org.id + 1) is None


def test_an_end_is_recorded_with_its_reason_codes_and_time_and_forgotten_when_the_run_goes_on(world: World):
    """Running again, it has not ended."""
    world.load([row(2, "m1")])
    run = _run(world, "20261121T000000Z-run")
    before = newest_head(world.file)
    set_run_state(world.file, run, RunState.STOPPED, at=7.0, exit_code=75, exit_codes=[75, 1], reason="paused")
    stopped = _run(world, run.name)
    assert (stopped.state, stopped.ended, stopped.exit_code, stopped.reason) == (RunState.STOPPED, 7.0, 75, "paused")
    assert newest_head(world.file) != before
    set_run_state(world.file, stopped, RunState.RUNNING, at=8.0, owner={"pid": 1})
    live = _run(world, run.name)
    assert (live.ended, live.exit_code, live.owner) == (None, None, {"pid": 1})


def test_overrides_are_added_and_never_replaced(world: World):
    """Which protections were overridden, by whom, when: for the auditor."""
    world.load([row(2, "m1")])
    run = _run(world, "20261121T000000Z-run")
    for what in ("overlap", "abandon"):
        set_run_state(world.file, run, RunState.STOPPED, at=7.0, override={"what": what})
    stored = world.query("SELECT overrides FROM runs")[0][0]
    assert [one["what"] for one in json.loads(stored)] == ["overlap", "abandon"]


def test_abandoning_a_run_changes_what_other_plans_rest_on(world: World):
    """What it missed no longer counts as overlap, so a plan made before must be made again."""
    world.load([row(2, "m1")])
    run = _run(world, "20261121T000000Z-run")
    before = world.query("SELECT revision FROM orgs")[0][0]
    set_run_state(world.file, run, RunState.STOPPED, at=7.0)
    assert world.query("SELECT revision FROM orgs")[0][0] == before
    set_run_state(world.file, run, RunState.ABANDONED, at=8.0)
    assert world.query("SELECT revision FROM orgs")[0][0] == before + 1


def test_what_is_left_of_a_run_leaves_out_what_is_closed_in_it(world: World):
    """Closed orders, closed series, merged orders and those whose target is below what is issued are not asked for."""
    names = ["m1", "m2", "m3", "m4", "m5"]
    world.load([row(n, name, count=10) for n, name in enumerate(names, 2)] + [row(9, "m6", series=(OTHER_SERIES,))])
    for name, change in (
        ("m1", "issued = 4, held = 1"),
        ("m2", "closed = '701'"),
        ("m3", "merged_into = 1, target = 0"),
        ("m4", "issued = 12"),
    ):
        world.change(f"UPDATE orders SET {change} WHERE person_id = ?", world.person(name))
    counts = count_run(world.file, 1)
    assert (counts.target, counts.issued, counts.held) == (41, 16, 1)
    assert (counts.open_orders, counts.missing) == (3, 5 + 10 + 1)
    world.change("INSERT INTO series_states VALUES (1, ?, 'closed', '707', NULL, 0)", OTHER_SERIES)
    world.change("INSERT INTO series_states VALUES (1, ?, 'parked', '5005', NULL, 0)", SERIES)
    assert count_run(world.file, 1).open_orders == 2


def test_a_run_has_spent_what_its_own_calls_issued_or_hold(world: World):
    """The cap of a run counts its own calls, not those of earlier ones."""
    world.load([row(2, "m1", count=10)])
    world.load([row(2, "m1", count=10)])
    insert = (
        "INSERT INTO calls(key, order_id, run_id, number, quantity, state, known, held, began)"
        " VALUES (?, 1, ?, ?, 9, ?, ?, ?, 0)"
    )
    world.change(insert, "a-1-n", 1, 1, "issued", 3, 0)
    world.change(insert, "a-2-n", 2, 2, "issued", 2, 0)
    world.change(insert, "a-3-n", 2, 3, "in_doubt", 0, 4)
    assert count_run(world.file, 1).spent == 3
    assert count_run(world.file, 2).spent == 6
