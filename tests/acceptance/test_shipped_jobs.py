"""The jobs of `jobs/` do what their comments say, started from the root of the project or a copy of it."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.acceptance.desk import ROOT, SAMPLES, Desk, mobile

WORKBOOKS = True

JOBS = ROOT / "jobs"
COMMAND = re.compile(r"coupon-runner (run --job .*?)(?:  |$)", re.MULTILINE)


@pytest.fixture
def project(desk) -> Desk:
    """A desk that looks like the root of the project."""
    (desk.folder / "jobs").symlink_to(JOBS)
    (desk.folder / "sample_inputs").symlink_to(SAMPLES)
    desk.environment["COUPON_RUNNER_REPORTS"] = "csv"
    return desk


def _command(name: str) -> list[str]:
    """The first command in the comments of a job."""
    found = COMMAND.search((JOBS / f"{name}.toml").read_text(encoding="utf-8"))
    assert found is not None
    return shlex.split(found[1])


def test_every_shipped_job_has_a_test_here():
    """The three uses and the demo."""
    assert {path.stem for path in JOBS.glob("*.toml")} == {"marketing-upload", "nightly", "backfill", "demo"}


def test_the_demo_job_is_the_demo(project):
    """As a rehearsal: exit 1, since some rows of the sample need a person on purpose."""
    done = project.run(*_command("demo"), expect=1)
    assert "job demo, campaign demo" in done.err
    assert project.rehearsed_truth()["totals"]["coupons"] > 30


def test_the_marketing_job_shows_a_plan_and_issues_what_was_agreed(project):
    """Nobody is at a terminal in a test, so the agreement is the plan's code; a strange series refuses the list."""
    with project.serving() as server:
        project.init(server)
        (project.folder / "uploads").mkdir()
        rows = [f"Sample 1,{mobile(1)},1", f"Sample 2,{mobile(2)},2"]
        project.write("uploads/customers.csv", rows, header="Name,Ph No,Qty")
        (project.folder / "uploads" / "~$customers.csv").write_bytes(b"\0")
        words = _command("marketing-upload")
        assert "add --yes" in project.run(*words, expect=2).last_line
        code = project.run("plan", *words[1:]).out.strip()
        project.run(*words, "--plan", code)
        assert server.issued() == 3
        project.write("uploads/customers.csv", [f"Sample 3,{mobile(3)},600709"], header="Name,Ph No,series")
        assert "allows only 415446, 535521" in project.run(*words, "--yes", expect=3).last_line
        assert server.issued() == 3


def test_the_nightly_job_runs_as_the_crontab_calls_it(project):
    """Without a list it is a good day; with one it is issued, and a retry issues nothing twice."""
    with project.serving() as server:
        project.init(server)
        incoming = project.folder / "incoming"
        incoming.mkdir()
        environment = {"COUPON_IN": str(incoming)}
        words = [*_command("nightly"), "--date", "2025-03-03"]
        assert "nothing to issue" in project.run(*words, **environment).last_line
        project.write("incoming/birthdays-2025-03-03.csv", [f"{mobile(1)},415446,1", f"90000 00002,{535521},2"])
        project.run(*words, **environment)
        assert project.run(*words, **environment).last_line.startswith("exit 0: nothing new was issued")
        assert server.issued() == 3


def test_the_backfill_job_goes_on_where_it_was_stopped(project):
    """With the job, or with `resume`; who holds the series from another campaign is left out."""
    with project.serving() as server:
        project.init(server)
        environment = {"COUPON_IN": str(project.folder)}
        other = project.write("spring.csv", [f"{mobile(3)},415446,1"])
        project.run("run", other, "--campaign", "spring", "--yes", "--max-coupons", "1")
        project.write("backfill.csv", [f"{mobile(number)},415446,1" for number in range(1, 6)])
        words = [*_command("backfill"), "--rate", "none"]
        project.run(*words, "--limit", "1", expect=75, **environment)
        project.run("resume", "--yes", "--limit", "1", expect=75)
        project.run(*words, **environment)
        assert server.issued() == 5
        posts = server.posts()
        assert "nothing new was issued" in project.run(*words, **environment).last_line
        assert server.posts() == posts == 5
