"""Small things that a person reads: names that can be seen, numbers with their nouns, overrides, what to run next."""

from __future__ import annotations

import shlex

import pytest

from runner.core.keys import name_problem
from runner.core.wording import counted
from tests.acceptance.desk import PASSWORD, USER, mobile

ROWS = [f"{mobile(1)},415446,1", f"{mobile(2)},415446,2"]
CAP = ["--yes", "--max-coupons", "99", "--reports", "csv"]


@pytest.mark.parametrize("sign", ["\n", "\t", "\x1b[31m", "\x7f", "\u2028"])
def test_a_campaign_or_an_organisation_that_cannot_be_seen_is_refused_in_one_line(desk, sign):
    """Such a name would be another one wherever it is shown, and could command a terminal."""
    file = desk.write("list.csv", ROWS)
    for flag in ("--campaign", "--org"):
        refused = desk.run("plan", file, "--sandbox", flag, f"a{sign}b", expect=2)
        assert len(refused.err.splitlines()) == 1
        assert refused.last_line.startswith(f"exit 2: {flag}: a name is one line of visible text")
    (desk.folder / f"a{sign}b.csv").write_text(file.read_text())
    stem = desk.run("plan", desk.folder / f"a{sign}b.csv", "--sandbox", expect=2)
    assert "The campaign cannot be called" in stem.last_line


def test_names_of_every_script_are_names_and_a_nul_is_none():
    """Joiners that a script needs, and blanks, are a part of a name."""
    assert name_problem("Диwali — जन्मदिन क्\u200dष 2026-11") is None
    for sign in "\u200b\u202e\u2066\u00ad\ufeff\u3164\u2800":
        assert name_problem(f"may{sign}") is not None, f"U+{ord(sign):04X}"
    assert name_problem("may\u200d") is not None
    assert name_problem("a\0b") == "a name is one line of visible text, and this one holds a NUL"


def test_a_rehearsal_on_a_real_ledger_is_refused_with_just_that(desk):
    """And a real run on a rehearsal's; with --fresh too; nothing is changed."""
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("list.csv", ROWS)
        before = desk.ledger.read_bytes()
        words = ["run", file, "--sandbox", "--yes", "--ledger", desk.ledger]
        assert "is a real organisation's" in desk.run(*words, expect=2).last_line
        assert "is a real ledger" in desk.run(*words, "--fresh", expect=2).last_line
        assert desk.ledger.read_bytes() == before
        desk.run("run", file, "--sandbox", "--yes", "--reports", "csv")
        rehearsals = desk.folder / "state" / "coupon-runner" / "rehearsal" / "ledger.db"
        real = desk.run("run", file, "--campaign", "c", *CAP, "--ledger", rehearsals, expect=2)
        assert "is a rehearsal's" in real.last_line
        assert server.posts() == 0


def test_without_credentials_the_next_command_is_the_one_that_was_typed(desk):
    """Once they are set it works as printed."""
    with desk.serving() as server:
        desk.run("init", "--org", "acme", "--api-url", server.url)
        refused = desk.run("plan", desk.write("list.csv", ROWS), "--campaign", "c", expect=2)
        assert "COUPON_RUNNER_API_KEY and _API_SECRET" in refused.last_line
        assert ". Next, once they are set: coupon-runner plan " in refused.last_line
        words = shlex.split(refused.last_line.rpartition(": coupon-runner ")[2])
        desk.run(*words, COUPON_RUNNER_API_USER=USER, COUPON_RUNNER_API_PASSWORD=PASSWORD)
        half = desk.run(*words, expect=2, COUPON_RUNNER_API_USER=USER)
        assert "set COUPON_RUNNER_API_PASSWORD;" in half.last_line
        assert "once it is set: " in half.last_line


def test_show_tells_what_a_run_was_started_with_and_what_was_overridden(desk):
    """Overlap, hidden parts, the same organisation with other credentials: what, when, by whom."""
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("list.csv", ROWS)
        desk.run("run", file, "--campaign", "c", *CAP)
        somebody = {"COUPON_RUNNER_API_USER": "till.other"}
        desk.run("run", file, "--campaign", "d", *CAP, "--overlap", "allow", "--same-org", **somebody)
        shown = desk.run("show", "--json").json
        assert [one["what"] for one in shown["overrides"]] == ["same_org", "overlap"]
        assert all(one["time"].endswith("Z") and " on " in one["by"] for one in shown["overrides"])
        assert {"--overlap allow", "--max-coupons 99"} <= set(shown["started_with"])
        text = desk.run("show").out
        assert "started with" in text
        assert "same_org" in text


def test_org_chooses_among_the_runs_of_one_ledger(desk):
    """show and report take the newest of that org; a run of another one is refused rather than shown as its."""
    with desk.serving() as server, desk.serving(truth="other.db") as other:
        desk.init(server)
        desk.run("init", "--org", "umbrella", "--api-url", other.url)
        file = desk.write("list.csv", ROWS)
        mine = desk.issue("run", file, "--campaign", "c", *CAP).summary["run"]
        desk.run("run", file, "--campaign", "c", "--org", "umbrella", *CAP)
        assert desk.run("show", "--org", "acme", "--json").json["run"] == mine
        assert desk.run("show", "--org", "umbrella", "--json").json["org"] == "umbrella"
        assert desk.run("report", "--org", "acme", "--reports", "csv", "--json").json["run"] == mine
        assert {run["org"] for run in desk.run("runs", "--org", "umbrella", "--json").json} == {"umbrella"}
        refused = desk.run("show", mine, "--org", "umbrella", expect=2)
        assert "is one of acme, not of umbrella" in refused.last_line
        stopped = desk.run("run", desk.write("more.csv", [f"{mobile(7)},1,1", f"{mobile(8)},1,1"]), "--campaign", "e",
                           *CAP, "--limit", "1", "--json", expect=75).json["run"]  # fmt: skip
        wrong = desk.run("abandon", stopped, "--org", "umbrella", "--why", "a mistake", expect=2)
        assert "is one of acme, not of umbrella" in wrong.last_line
        desk.run("abandon", stopped, "--org", "acme", "--why", "wrong list")


def test_one_of_a_thing_is_said_in_the_singular(desk):
    """In the reasons of a stop and in the words of a plan."""
    assert (counted(1, "order"), counted(2, "order"), counted(1_200, "coupon is", "coupons are")) == (
        "1 order",
        "2 orders",
        "1,200 coupons are",
    )
    file = desk.write("list.csv", ROWS)
    limited = desk.run("run", file, "--sandbox", "--yes", "--limit", "1", "--reports", "csv", expect=75)
    assert "the limit of 1 order is reached" in limited.last_line
    one = desk.write("one.csv", ROWS[:1])
    assert "1 coupon would be issued" in desk.run("plan", one, "--sandbox", "--campaign", "x").last_line
    bad = desk.write("bad.csv", [ROWS[0], "nobody,415446,1"])
    assert "1 of 2 rows is rejected" in desk.run("plan", bad, "--sandbox", "--campaign", "y", expect=1).last_line
