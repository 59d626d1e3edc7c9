"""Plan codes, runs that were left unfinished, organisations that may have changed.

Nothing goes on unless it was meant.
"""

from __future__ import annotations

import json
import shutil

from tests.acceptance.desk import mobile

ROWS = [f"{mobile(1)},415446,1", f"{mobile(2)},415446,2", f"{mobile(3)},415446,3"]


def test_a_plan_sends_nothing_and_its_code_is_consent_to_exactly_this(desk):
    """`run --plan CODE` needs no cap; once anything has changed the code is stale."""
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("list.csv", ROWS)
        planned = desk.run("plan", file, "--campaign", "c")
        code = planned.out.strip()
        assert code.startswith("plan-")
        assert f"--plan {code}" in planned.last_line
        assert server.posts() == 0
        assert desk.run("run", file, "--campaign", "c", "--dry-run").out.strip() == code
        other = desk.run("run", file, "--campaign", "c", "--series", "9", "--plan", code, expect=3)
        assert "is stale" in other.last_line
        desk.write("list.csv", [*ROWS, f"{mobile(4)},415446,1"])
        assert "is stale" in desk.run("run", file, "--campaign", "c", "--plan", code, expect=3).last_line
        assert server.posts() == 0
        desk.write("list.csv", ROWS)
        desk.run("run", file, "--campaign", "c", "--plan", code)
        assert server.issued() == 6
        assert "is stale" in desk.run("run", file, "--campaign", "c", "--plan", code, expect=3).last_line


def test_a_plan_of_a_rehearsal_says_so_and_its_command_works_as_it_is_printed(desk):
    """Its code begins with REHEARSAL; a plan with rejected rows ends with 1."""
    file = desk.write("list.csv", [*ROWS, "nobody,415446,1"])
    planned = desk.run("plan", file, "--sandbox", "--campaign", "spring sale", expect=1)
    assert planned.out.startswith("REHEARSAL-")
    _, _, printed = planned.last_line.partition("Next: coupon-runner ")
    words = [word.strip("'") for word in printed.replace("'spring sale'", "spring\0sale").split()]
    desk.run(*[word.replace("\0", " ") for word in words], expect=1)
    assert desk.rehearsed_truth()["totals"]["coupons"] == 6


def test_the_plan_as_json_holds_code_and_sums(desk):
    """For whoever reads it by program."""
    plan = desk.run("plan", desk.write("list.csv", ROWS), "--sandbox", "--json").json
    assert plan["plan_code"].startswith("REHEARSAL-")
    assert json.dumps(plan).count("415446") > 0


def test_an_unfinished_run_comes_first(desk):
    """By default its rest is issued before the new file, which then asks for what is missing beyond it."""
    old = desk.write("old.csv", ROWS)
    desk.rehearse(old, "--campaign", "c", "--limit", "1", expect=75)
    new = desk.write("new.csv", [f"{mobile(4)},415446,1", f"{mobile(1)},415446,2"])
    desk.rehearse(new, "--campaign", "c")
    holdings = desk.rehearsed_holdings()
    assert {name: series[415446] for name, series in holdings.items()} == {
        f"mobile:{mobile(1)}": 2, f"mobile:{mobile(2)}": 2, f"mobile:{mobile(3)}": 3, f"mobile:{mobile(4)}": 1,
    }  # fmt: skip
    states = {run["campaign"]: run["state"] for run in desk.run("runs", "--sandbox", "--json").json}
    assert states == {"c": "finished"}


def test_an_unfinished_run_may_be_refused_or_abandoned(desk):
    """refuse: exit 3 with the command to resume it; abandon: its rest is never issued."""
    desk.rehearse(desk.write("old.csv", ROWS), "--campaign", "c", "--limit", "1", expect=75)
    new = desk.write("new.csv", [f"{mobile(4)},415446,1"])
    words = ["run", new, "--campaign", "c", "--sandbox", "--yes"]
    refused = desk.run(*words, "--unfinished", "refuse", expect=3)
    assert "coupon-runner resume " in refused.last_line
    assert desk.rehearsed_truth()["totals"]["posts"] == 1
    desk.run(*words, "--unfinished", "abandon")
    assert desk.rehearsed_truth()["totals"]["posts"] == 2
    assert [run["state"] for run in desk.run("runs", "--sandbox", "--json").json] == ["finished", "abandoned"]
    nothing = desk.run("resume", "--sandbox", "--yes", expect=2)
    assert "Nothing to resume" in nothing.last_line


def test_abandon_ends_a_run_for_good_with_its_reason(desk):
    """What it issued stays; the same file run again asks for what is missing, as a new run."""
    file = desk.write("old.csv", ROWS)
    run = desk.rehearse(file, "--limit", "1", expect=75).summary["run"]
    summary = desk.run("abandon", run, "--why", "wrong list", "--json").json
    assert (summary["state"], summary["reason"]) == ("abandoned", "wrong list")
    assert [(one["what"], one["why"]) for one in summary["overrides"]] == [("abandon", "wrong list")]
    assert desk.run("show", run, "--json").json["reason"] == "wrong list"
    assert "has ended already" in desk.run("abandon", run, "--why", "again", expect=2).last_line
    assert desk.rehearsed_truth()["totals"]["posts"] == 1
    desk.rehearse(file)
    assert desk.rehearsed_truth()["totals"]["coupons"] == 6


def test_other_credentials_or_another_address_need_same_org(desk):
    """The ledger cannot know whether these are still the same customers; saying so is recorded."""
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("list.csv", ROWS)
        words = ["run", file, "--campaign", "c", "--yes", "--max-coupons", "9"]
        desk.run(*words)
        other = {"COUPON_RUNNER_API_PASSWORD": "another-word"}
        refused = desk.run(*words, expect=2, **other)
        assert "The credentials of the API changed" in refused.last_line
        moved = desk.run(*words, "--api-url", server.url.replace("127.0.0.1", "localhost"), expect=2)
        assert "The address of the API changed" in moved.last_line
        assert desk.issue(*words, "--same-org", **other).summary["overrides"][0]["what"] == "same_org"
        desk.run(*words, **other)
        assert server.issued() == 6


def test_init_is_idempotent(desk):
    """The second time nothing is new; another address for the same org is refused, not overwritten."""
    words = ["init", "--org", "acme", "--api-url", "https://eu.api.capillarytech.com", "--region", "IN", "--json"]
    first, settings = desk.run(*words), desk.folder / "config" / "coupon-runner" / "settings.toml"
    before = settings.read_bytes()
    again = desk.run(*words)
    assert (first.json["ledger_created"], again.json["ledger_created"]) == (True, False)
    assert first.json["default"] is True
    assert settings.read_bytes() == before
    changed = desk.run("init", "--org", "acme", "--api-url", "https://us.api.capillarytech.com", expect=2)
    assert "with another api_url" in changed.last_line
    assert settings.read_bytes() == before


def test_init_refuses_a_new_ledger_beside_reports_of_an_older_one(desk):
    """A ledger that was lost is not replaced by an empty one, which would issue everything again."""
    with desk.serving() as server:
        desk.init(server)
        words = ["run", desk.write("list.csv", ROWS), "--campaign", "c", "--yes", "--max-coupons", "9"]
        desk.run(*words)
        shutil.rmtree(desk.ledger.parent)
        desk.run(*words, expect=2)
        refused = desk.run("init", "--org", "acme", "--api-url", server.url, expect=2)
        assert "coupon-runs" in refused.err
        assert server.issued() == 6
