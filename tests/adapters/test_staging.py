"""Rows to orders through a real ledger: the same list gives the same orders, and nothing is durable before `load`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from runner.adapters.ledger.deciding import Deciding
from runner.adapters.ledger.files import LedgerFile, transaction
from runner.adapters.ledger.staged import EXAMPLES, PlanChanged
from runner.adapters.ledger.staging import Staging
from runner.core.model import Kind, Ref, RejectedRow, Row
from runner.core.planned import Duplicates, Overlap
from tests.adapters.staging_world import OTHER_SERIES, SERIES, World, rejected_row, row


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


LIST = ["m1 e1", "m2", "m3 x3", "e4", "m5 e5 x5"]


def _rows(names: list[str], *, first: int = 2, count: int = 2) -> list[Row]:
    return [row(number, one, count=count) for number, one in enumerate(names, start=first)]


# ── the same list again ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_list_again_finds_its_orders_and_misses_nothing(world: World):
    """Run again, the file asks only for what is missing."""
    first = world.load(_rows(LIST))
    assert (first.orders, first.target, first.missing, first.issued) == (5, 10, 10, 0)
    world.issue_all()
    orders = world.orders()
    again = world.load(_rows(LIST))
    assert (again.orders, again.target, again.missing, again.issued) == (5, 10, 0, 10)
    assert world.orders() == orders


@pytest.mark.parametrize(
    "changed",
    [
        LIST[::-1],
        LIST[2:] + LIST[:2],
        ["e1 m1", "m2", "x3", "e4", "x5"],
        ["e1", "m2 e2", "x3 m3", "e4 m4", "e5 x5"],
        [*LIST, "m5", "x3", "e1"],
    ],
    ids=["backwards", "re-sorted", "fewer identifiers", "other identifiers", "repeated under other names"],
)
def test_a_list_that_was_sorted_or_names_customers_otherwise_finds_the_same_orders(world: World, changed: list[str]):
    """Not the row number, the file or the column decides, but the person."""
    world.load(_rows(LIST))
    world.issue_all()
    keys = [order[0] for order in world.orders()]
    again = world.load(_rows(changed, first=20))
    assert again.missing == 0
    assert [order[0] for order in world.orders()] == keys


def test_two_fresh_ledgers_with_one_key_give_a_list_the_same_order_keys_however_it_is_sorted(world: World, tmp_path):
    """Keys depend on org, campaign, series and person only."""
    world.load(_rows([*LIST, "e1 x1"]))
    other = World(tmp_path / "other")
    other.file.key = world.file.key
    other.load(_rows(["x1 e1", *LIST[::-1]]))
    assert [order[0] for order in other.orders()] == [order[0] for order in world.orders()]


def test_a_raised_count_misses_the_difference_and_a_lowered_one_nothing(world: World):
    """2 raised to 5 issues 3; a target below what is issued changes nothing and is counted."""
    world.load([row(2, "m1", count=2), row(3, "m2", count=4)])
    world.issue_all()
    plan = world.load([row(2, "m1", count=5), row(3, "m2", count=1)])
    assert (plan.missing, plan.below) == (3, 1)
    assert sorted(order[2:] for order in world.orders()) == [(1, 4), (5, 2)]


def test_names_learnt_from_answers_lead_to_the_order(world: World):
    """The API said that customer1@example.com is the customer of the mobile: her e-mail alone finds the order."""
    world.load([row(2, "m1")])
    world.issue_all()
    world.learn("m1", "e1")
    plan = world.load([row(2, "e1")])
    assert (plan.orders, plan.missing) == (1, 0)
    assert world.counts()["orders"] == 1


def test_two_rows_with_different_names_of_one_known_person_are_one_order(world: World):
    """Connected through the identity table only."""
    world.load([row(2, "m1 e1")])
    plan = world.load([row(2, "m1"), row(900, "e1")])
    assert (plan.orders, plan.duplicate_rows, plan.missing) == (1, 1, 1)


def test_a_person_keeps_the_name_that_she_was_first_sent_by(world: World):
    """First known by e-mail, later listed with a mobile: an order of another series has the key that the name gives."""
    world.load([row(2, "e1")])
    world.load([row(2, "m1 e1", series=(OTHER_SERIES,))])
    twin = World(world.file.path.parent / "twin")
    twin.file.key = world.file.key
    twin.load([row(2, "e1", series=(SERIES, OTHER_SERIES))])
    assert [order[0] for order in twin.orders()] == [order[0] for order in world.orders()]


def test_what_is_sent_is_what_the_latest_file_says_kind_and_value_together(world: World):
    """A corrected mobile beside the same e-mail: the next call goes to the corrected one."""
    world.load([row(2, "m1 e1")])
    world.load([row(2, "m7 e1")])
    assert world.query("SELECT kind, value FROM orders") == [("mobile", "919000000007")]
    world.change("UPDATE orders SET value = NULL")
    world.load([row(2, "e1")])
    assert world.query("SELECT kind, value FROM orders") == [("email", "customer1@example.com")]


# ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("length", [3, 40])
def test_a_chain_of_shared_identifiers_is_one_cluster_wherever_its_rows_stand(world: World, length: int):
    """The chain runs against the order of the rows, so that each link must be followed."""
    texts = ["m1 e1", "e1 x1", "x1"] if length == 3 else [f"e{n}" for n in range(length, 0, -1)]
    if length > 3:
        # Linked through what the ledger knows: neighbours have one person after the other.
        world.load([row(2, f"m{n} e{n}") for n in range(1, length + 1)])
        texts = [f"m{n} e{n}" for n in range(length, 0, -1)] + [f"e{n}" for n in range(1, length + 1)]
    plan = world.load(_rows(texts, count=1))
    assert plan.rejected == 0
    assert plan.orders == (1 if length == 3 else length)


def test_a_chain_that_contradicts_itself_far_away_is_rejected_as_a_whole(world: World):
    """Rows at both ends of the file, with the links in between."""
    filler = [f"m{n}" for n in range(100, 150)]
    plan = world.look(_rows(["x1 m2", *filler, "e1 x1", *filler[:0], "m1 e1"]))
    assert plan.rejected == 3
    assert plan.orders == 50


def test_a_placeholder_shared_by_many_rows_rejects_them_and_no_other(world: World):
    """customer0@example.com stands in 30 rows of different mobiles."""
    plan = world.look(_rows([f"m{n} e0" for n in range(1, 31)] + ["m50 e50"]))
    assert (plan.rejected, plan.orders) == (30, 1)
    assert "customer0@example.com" in plan.examples[0][1][0].message


def test_a_row_whose_identifiers_belong_to_two_known_people_is_rejected_and_connects_nobody(world: World):
    """Nothing is learnt from a rejected row."""
    world.load([row(2, "m1"), row(3, "e2")])
    plan = world.load([row(2, "m1 e2"), row(3, "m3")])
    assert (plan.rejected, plan.orders) == (1, 1)
    assert world.person("m1") != world.person("e2")


def test_names_of_rejected_rows_are_not_learnt(world: World):
    """Whoever shares a placeholder stays unknown."""
    world.load(_rows(["m1 e0", "m2 e0", "m3"]))
    assert world.person("m3") is not None
    assert [world.person(text) for text in ("m1", "m2", "e0")] == [None, None, None]


# ── what a run loads ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_row_is_loaded_with_its_cells_and_its_lines_or_problems(world: World):
    """Rows of a run are the rows of the input, in their order."""
    rows: list[Row | RejectedRow] = [row(2, "m1", series=(SERIES, OTHER_SERIES)), rejected_row(3)]
    rows.append(row(4, "m1", sheet="May", file=1, count=9))
    plan = world.load([*rows, row(5, "m2", count=3), row(6, "m2", count=3)])
    assert (plan.rows, plan.rejected, plan.duplicate_rows, plan.lines, plan.used) == (5, 3, 1, 2, 1)
    loaded = world.query("SELECT file, sheet, row, rejected, problems IS NOT NULL FROM rows ORDER BY id")
    assert loaded == [(0, "", 2, 1, 1), (0, "", 3, 1, 1), (1, "May", 4, 1, 1), (0, "", 5, 0, 0), (0, "", 6, 0, 0)]
    lines = world.query("SELECT r.row, l.role, s.row FROM lines l JOIN rows r ON r.id = l.row_id"
                        " LEFT JOIN rows s ON s.id = l.same_as ORDER BY l.id")  # fmt: skip
    assert lines == [(5, "first", None), (6, "duplicate", 5)]


def test_a_line_knows_what_earlier_runs_had_issued(world: World):
    """`_issued_before` is what was there when this run was loaded."""
    world.load([row(2, "m1", count=2)])
    world.issue_all()
    world.load([row(2, "m1", count=5)])
    assert world.query("SELECT target, before FROM lines ORDER BY id") == [(2, 0), (5, 2)]


def test_loading_reopens_refused_orders_but_not_those_closed_for_good(world: World):
    """A new run asks again for all that is missing, but for what the API re-sent and who was forgotten."""
    world.load(_rows(["m1", "m2", "m3"], count=1))
    for name, code in (("m1", "701"), ("m2", "resent"), ("m3", "forgotten")):
        world.change("UPDATE orders SET closed = ? WHERE person_id = ?", code, world.person(name))
    plan = world.load(_rows(["m1", "m2", "m3"], count=1))
    assert plan.missing == 1
    assert sorted(str(one[0]) for one in world.query("SELECT closed FROM orders")) == ["None", "forgotten", "resent"]


def test_a_line_of_ours_fed_back_twice_misses_what_was_missing_once(world: World):
    """Through the ledger: base + count, found by the order's key."""
    world.load([row(2, "m1", count=5)])
    world.change("UPDATE orders SET issued = 2")
    key = world.orders()[0][0]
    line = row(2, "m1", count=3, ref=Ref(world.file.ledger_id, key, 2, False, False))
    assert world.load([line]).missing == 3
    world.issue_all()
    assert world.load([line]).missing == 0
    assert world.orders() == [(key, SERIES, 5, 5)]


def test_lines_of_ours_list_no_leavers(world: World):
    """A file of `_ref` rows is a part of its campaign."""
    world.load(_rows(["m1", "m2"], count=1))
    world.issue_all()
    key = world.query("SELECT key FROM orders WHERE person_id = ?", world.person("m1"))[0][0]
    line = row(2, "m1", count=1, ref=Ref(world.file.ledger_id, key, 0, False, False))
    assert world.look([line]).leavers is None


def test_customers_who_left_the_file_but_hold_coupons_are_counted(world: World):
    """In doubt counts as holding; who never got anything has not left."""
    world.load(_rows(["m1", "m2", "m3", "m4"], count=1))
    world.change("UPDATE orders SET issued = 1 WHERE person_id = ?", world.person("m2"))
    world.change("UPDATE orders SET held = 1 WHERE person_id = ?", world.person("m3"))
    assert world.look(_rows(["m1"], count=1)).leavers == 2
    assert world.look(_rows(["m2", "m3"], count=1)).leavers == 0


def test_a_plan_shows_the_first_rejected_rows_with_their_problems(world: World):
    """Not all of a million."""
    plan = world.look([rejected_row(number, f"problem {number}") for number in range(2, 100)] + [row(100, "m1")])
    assert plan.rejected == 98
    assert len(plan.examples) == EXAMPLES
    assert plan.examples[0][0].row == 2
    assert plan.examples[0][1][0].message == "problem 2"


def test_calls_are_counted_by_500_an_order(world: World):
    """1,200 → 500, 500, 200."""
    plan = world.look([row(2, "m1", count=1200), row(3, "m2", count=500), row(4, "m3", series=(OTHER_SERIES,))])
    assert plan.calls == 5
    assert [(one.series, one.calls, one.missing) for one in plan.series] == [(SERIES, 4, 1700), (OTHER_SERIES, 1, 1)]


# ── overlap ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_overlap_names_campaign_run_file_date_and_rows(world: World):
    """Every campaign of the org is compared."""
    world.load(_rows(["m1", "m2"], count=1), campaign="April")
    world.issue_all()
    plan = world.look([row(7, "m1"), row(8, "m3")], campaign="May", overlap=Overlap.ASK)
    assert [(one.orders, one.rows) for one in plan.overlaps] == [(1, (7,))]
    for part in ("campaign April", "run 20261121T000000Z-run", "file may.csv", "2001-09-09"):
        assert part in plan.overlaps[0].where


def test_skip_loads_the_order_without_a_target_and_its_lines_as_elsewhere(world: World):
    """The whole order is left out, and the row still has a line."""
    world.load([row(2, "m1")], campaign="April")
    plan = world.load([row(2, "m1", count=5), row(3, "m2")], campaign="May", overlap=Overlap.SKIP)
    assert (plan.missing, plan.skipped, plan.orders, plan.duplicate_rows) == (1, 1, 2, 1)
    lines = world.query("SELECT role, note FROM lines WHERE run_id = 2 ORDER BY id")
    assert lines[0][0] == "elsewhere"
    assert "campaign April" in lines[0][1]
    assert world.query("SELECT count(*) FROM orders WHERE run_id = 2 AND target > issued + held") == [(1,)]


def test_a_finished_run_that_issued_nothing_is_no_overlap_but_an_unfinished_one_is(world: World):
    """What an unfinished run still misses may come at any moment."""
    world.load([row(2, "m1")], campaign="April")
    assert len(world.look([row(2, "m1")], campaign="May").overlaps) == 1
    world.change("UPDATE runs SET state = 'abandoned'")
    assert world.look([row(2, "m1")], campaign="May").overlaps == ()


# ── between plan and load ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_loaded_meanwhile_changes_the_plan(world: World):
    """Comparing and loading are one step for each org; the customer is known, so nothing but the run has changed."""
    world.load([row(2, "m1")], campaign="March")
    world.change("UPDATE runs SET state = 'abandoned'")
    with Staging(world.file) as staging:
        staging.add([row(2, "m1")])
        campaign = world.campaign("May")
        plan = world.plan(staging, campaign)
        world.load([row(2, "m1")], campaign="April")
        before = world.counts()
        with pytest.raises(PlanChanged):
            staging.load(world.new_run(), campaign, plan)
        assert world.counts() == before
        assert len(world.plan(staging, campaign).overlaps) == 1
        staging.load(world.new_run(), campaign, plan)


def test_a_run_that_would_ask_for_something_else_than_its_plan_is_not_loaded(world: World):
    """What was agreed to and what is open once it is loaded are compared to the coupon."""
    with Staging(world.file) as staging:
        staging.add([row(2, "m1", count=3)])
        campaign = world.campaign("May")
        plan = world.plan(staging, campaign)
        before = world.counts()
        with pytest.raises(PlanChanged):
            staging.load(world.new_run(), campaign, replace(plan, missing=plan.missing - 1))
        assert world.counts() == before
        staging.load(world.new_run(), campaign, plan)


@pytest.mark.parametrize("moved", ["learnt", "merged"])
def test_an_identifier_that_leads_to_somebody_else_meanwhile_changes_the_plan(world: World, moved: str):
    """A live run of another campaign learns who is who at any moment."""
    world.load([row(2, "m1"), row(3, "m2")], campaign="April")
    with Staging(world.file) as staging:
        staging.add([row(2, "m2 e9")])
        campaign = world.campaign("May")
        plan = world.plan(staging, campaign)
        if moved == "learnt":
            world.learn("m1", "e9")
        else:
            world.change("UPDATE persons SET merged_into = ? WHERE id = ?", world.person("m1"), world.person("m2"))
        with pytest.raises(PlanChanged):
            staging.load(world.new_run(), campaign, plan)
        again = world.plan(staging, campaign)
        if moved == "learnt":
            assert again.rejected == 1
        else:
            staging.load(world.new_run(), campaign, again)


def test_planning_twice_gives_the_same_plan(world: World):
    """A second decision forgets the first one, rejections included."""
    with Staging(world.file) as staging:
        staging.add([*_rows(["m1 e0", "m2 e0", "m3", "m3"]), rejected_row(9)])
        campaign = world.campaign()
        assert world.plan(staging, campaign) == world.plan(staging, campaign)
        added = world.plan(staging, campaign, duplicates=Duplicates.ADD)
        assert (added.target, added.rejected) == (4, 3)


def test_planning_holds_no_write_lock_on_the_ledger(world: World, monkeypatch: pytest.MonkeyPatch):
    """Another campaign's live run writes while a large file is compared."""
    written = []
    decide_batch = Deciding._decide_batch

    def meanwhile(self: Deciding, *args: object) -> None:
        with closing(world.file.connect()) as other:
            other.exec_driver_sql("PRAGMA busy_timeout = 0")
            with transaction(other):
                other.exec_driver_sql("UPDATE meta SET value = value")
            written.append(True)
        decide_batch(self, *args)  # type: ignore[arg-type]  # passes on what it was given

    monkeypatch.setattr(Deciding, "_decide_batch", meanwhile)
    world.load(_rows(LIST))
    assert written


def test_the_digest_of_a_plan_depends_on_orders_and_not_on_the_order_of_rows(world: World):
    """The plan code covers what would be asked for."""
    assert world.look(_rows(LIST)).digest == world.look(_rows(LIST[::-1])).digest
    assert world.look(_rows(LIST)).digest != world.look(_rows(LIST, count=3)).digest
    assert world.look(_rows(LIST)).digest != world.look(_rows(LIST[1:])).digest


# ── durable or not at all ────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_in_the_ledger_before_it_is_loaded(world: World):
    """Reading and planning leave no trace."""
    campaign = world.campaign()
    before = world.counts()
    with Staging(world.file) as staging:
        staging.add(_rows(LIST))
        world.plan(staging, campaign)
        assert world.counts() == before
    assert world.counts() == before


KILLED_WHILE_LOADING = """
import os, signal, sys
from pathlib import Path
from runner.adapters.ledger import loading
from runner.adapters.ledger.files import LedgerFile
from tests.adapters.staging_world import World, row

world = World(Path(sys.argv[1]))
world.load([row(2, "m1")])
at = int(sys.argv[2])
statements = list(loading.LOADING)
assert at < len(statements)

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

connect = LedgerFile.connect
def watched(self, *, readonly=False):
    connection = connect(self, readonly=readonly)
    if not readonly:
        connection.connection.driver_connection.create_function("kill_now", 0, kill)
    return connection
LedgerFile.connect = watched
statements.insert(at + 1, "SELECT kill_now()")
loading.LOADING = tuple(statements)
world.load([row(2, "m1", count=9), row(3, "m2")])
print("survived")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on Windows")
@pytest.mark.parametrize("statement", [0, 3, 6])
def test_a_process_killed_while_loading_has_loaded_nothing(tmp_path: Path, statement: int):
    """A real process, a real kill, after the first, a middle and the last statement of loading."""
    script = textwrap.dedent(KILLED_WHILE_LOADING)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(statement)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    world = World.__new__(World)
    world.file = LedgerFile.open(tmp_path / "ledger.db", key_folder=tmp_path / "keys")
    assert world.counts() == {"runs": 1, "rows": 1, "lines": 1, "orders": 1, "persons": 1, "identity": 1}
    assert world.query("SELECT target, issued, run_id FROM orders") == [(1, 0, 1)]
    assert world.query("SELECT revision FROM orgs") == [(1,)]


# ── size ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

MEMORY = """
import resource, sys
from pathlib import Path
from runner.adapters.ledger.staging import Staging
from tests.adapters.staging_world import World, row

world = World(Path(sys.argv[1]))
campaign = world.campaign()
with Staging(world.file) as staging:
    for first in range(0, int(sys.argv[2]), 2000):
        staging.add(row(number + 2, f"m{number} e{number}") for number in range(first, first + 2000))
    plan = world.plan(staging, campaign)
    staging.load(world.new_run(), campaign, plan)
assert plan.orders == int(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.soak
@pytest.mark.skipif(sys.platform == "win32", reason="counts the memory of a process the Unix way")
def test_memory_does_not_grow_with_the_file(tmp_path: Path):
    """40,000 rows take hardly more than 4,000: what grows is a temporary file and SQLite's bounded cache."""
    peaks = [_peak_of(tmp_path / str(rows), rows) for rows in (4_000, 40_000)]
    unit = 1 if sys.platform == "darwin" else 1024
    # The page cache of a connection is capped at 64 MB; 40,000 rows held in Python would take 100 MB beside it.
    assert (peaks[1] - peaks[0]) * unit < 60_000_000


def _peak_of(folder: Path, rows: int) -> int:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(folder), str(rows)],
        capture_output=True,
        text=True,
        timeout=100,
        env=environment,
        check=True,
    )
    return int(done.stdout)


def test_several_batches_of_clusters_are_decided_like_one(world: World, monkeypatch: pytest.MonkeyPatch):
    """People and orders get their numbers over all batches."""
    monkeypatch.setattr("runner.adapters.ledger.deciding.BATCH", 2)
    rows = _rows(["m1 e1", "m2", "e1", "m3", "m4 e4", "m5", "m2"])
    plan = world.load(rows)
    assert (plan.orders, plan.duplicate_rows, plan.missing) == (5, 2, 10)
    world.issue_all()
    assert world.load(rows[::-1]).missing == 0


# ── looking customers up ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def staging(world: World) -> Iterator[Staging]:
    with Staging(world.file) as staging:
        yield staging


def test_customers_named_by_another_kind_than_the_first_are_listed_once_each(world: World, staging: Staging):
    """In the order of the file, as they are sent; rejected rows are not asked about."""
    staging.add([row(2, "m1 e1"), row(3, "e2"), row(4, "x3"), row(5, "e2", series=(OTHER_SERIES,)), rejected_row(6)])
    assert staging.find_unmet(world.campaign(), first=Kind.MOBILE) == 2
    found = staging.unmet(0, 10)
    assert [(one.kind, one.value) for one in found] == [("email", "customer2@example.com"), ("externalId", "X0003")]
    assert staging.unmet(found[0].number, 10) == found[1:]


def test_a_customer_whose_coupons_came_is_not_looked_up(world: World, staging: Staging):
    """The answer named her customer id already."""
    world.load([row(2, "e1"), row(3, "e2")])
    world.change("UPDATE orders SET issued = 1 WHERE person_id = ?", world.person("e1"))
    staging.add([row(2, "e1"), row(3, "e2")])
    assert staging.find_unmet(world.campaign(), first=Kind.MOBILE) == 1
    assert staging.unmet(0, 10)[0].value == "customer2@example.com"


def test_a_customer_id_that_was_looked_up_leads_to_the_order(world: World, staging: Staging):
    """The campaign issued to her by mobile, and the answer named her id: her e-mail meets that order."""
    world.load([row(2, "m1")])
    world.issue_all()
    world.learn("m1", "i77")
    staging.add([row(2, "e1"), row(3, "e2")])
    campaign = world.campaign()
    staging.find_unmet(campaign, first=Kind.MOBILE)
    one, two = staging.unmet(0, 10)
    staging.answer_lookups([(one, "77", None), (two, None, None)])
    plan = world.plan(staging, campaign)
    assert (plan.orders, plan.issued, plan.missing) == (2, 1, 1)
    staging.load(world.new_run(), campaign, plan)
    assert world.person("e1") == world.person("m1") == world.person("i77")


def test_a_customer_who_cannot_be_looked_up_is_rejected_with_the_reason(world: World, staging: Staging):
    """All her rows, in every plan from then on."""
    staging.add([row(2, "e1"), row(3, "m2"), row(4, "e1", series=(OTHER_SERIES,))])
    campaign = world.campaign()
    staging.find_unmet(campaign, first=Kind.MOBILE)
    staging.answer_lookups([(staging.unmet(0, 1)[0], None, "no access (HTTP 403)")])
    for _ in range(2):
        plan = world.plan(staging, campaign)
        assert (plan.rejected, plan.orders) == (2, 1)
        assert "no access (HTTP 403)" in plan.examples[0][1][0].message
    staging.load(world.new_run(), campaign, plan)
    assert world.query("SELECT row FROM rows WHERE rejected ORDER BY row") == [(2,), (4,)]
    assert world.person("e1") is None


def test_two_names_of_one_customer_id_are_not_merged_by_a_look_up(world: World, staging: Staging):
    """Two e-mails of one customer in one file: a person says which row is meant."""
    staging.add([row(2, "e1"), row(3, "e2")])
    campaign = world.campaign()
    staging.find_unmet(campaign, first=Kind.MOBILE)
    staging.answer_lookups([(asked, "77", None) for asked in staging.unmet(0, 10)])
    plan = world.plan(staging, campaign)
    assert plan.rejected == 2
    assert "one customer to the API (id 77)" in plan.examples[0][1][0].message


def test_a_row_that_asks_each_series_for_another_count_is_loaded_so(world: World):
    """Through the temporary tables and into orders and lines."""
    plan = world.load([row(2, "m1", series=(SERIES, OTHER_SERIES), count=2)._replace(counts=(2, 5))])
    assert plan.target == 7
    assert [order[1:3] for order in sorted(world.orders(), key=lambda order: order[1])] == [
        (SERIES, 2),
        (OTHER_SERIES, 5),
    ]
    assert sorted(world.query("SELECT requested FROM lines")) == [(2,), (5,)]
