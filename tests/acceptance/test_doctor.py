"""`doctor` finds what is wrong before a run does, says what to do, changes nothing, and fits the terminal."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from runner.adapters.terminal.doctor_view import checks_sum, checks_text
from runner.core.checks import Check, Level
from tests.acceptance.desk import PASSWORD, USER, mobile

AUTH = f'[auth]\nuser = "{USER}"\npassword = "{PASSWORD}"\nrequired = true\n'
LINES = [
    "settings",
    "ledger",
    "key",
    "organisation",
    "rights",
    "file system",
    "disk",
    "reports",
    "API",
    "reach",
    "clock",
]


def levels(process) -> dict[str, str]:
    """Name → level of each check."""
    return {check["name"]: check["level"] for check in process.json["checks"]}


def says(process, name: str) -> dict[str, Any]:
    """One check."""
    (check,) = [check for check in process.json["checks"] if check["name"] == name]
    return dict(check)


def content(folder: Path) -> dict[str, str]:
    """Every file below, with its digest; the shared memory of readers apart."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal", ".lock"))]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_machine_on_which_all_is_well_ends_with_0_and_nothing_was_changed_or_issued(desk):
    """Every check is there and none fails; only reads were sent; the credentials are shown nowhere."""
    with desk.serving(AUTH) as server:
        desk.init(server)
        before = content(desk.folder / "state") | content(desk.folder / "config")
        well = desk.run("doctor", "--json")
        assert list(levels(well)) == [*LINES, "credentials"]
        assert set(levels(well).values()) <= {"ok", "warn"}
        assert {name for name, level in levels(well).items() if level == "warn"} <= {"file system"}
        assert (well.json["exit_code"], well.json["next"], well.json["snippets"]) == (0, None, None)
        assert content(desk.folder / "state") | content(desk.folder / "config") == before
        assert server.posts() == 0
        assert PASSWORD not in well.out + well.err
        assert desk.run("doctor").last_line.startswith("exit 0: ")


def test_each_illness_has_its_own_line_and_a_remedy(desk):
    """No ledger, no credentials, refused credentials, an address that is none, an unknown organisation."""
    with desk.serving(AUTH) as server:
        desk.init(server)
        without = desk.run("doctor", "--json", "--ledger", desk.folder / "none.db", expect=2)
        assert (levels(without)["ledger"], without.json["exit_code"]) == ("fail", 2)
        assert says(without, "ledger")["command"].startswith("coupon-runner init")
        assert without.json["next"].startswith("coupon-runner init")
        nobody = desk.run("doctor", "--json", expect=2, COUPON_RUNNER_API_USER="", COUPON_RUNNER_API_PASSWORD="")
        assert "COUPON_RUNNER_API_KEY" in says(nobody, "credentials")["says"]
        wrong = desk.run("doctor", "--json", expect=2, COUPON_RUNNER_API_PASSWORD="another-word")
        assert "refuses them" in says(wrong, "credentials")["says"]
        assert wrong.json["next"] == "coupon-runner doctor"
        other = desk.run("doctor", "--json", "--org", "umbrella", "--api-url", server.url, expect=2)
        assert "does not know the organisation" in says(other, "organisation")["says"]
        elsewhere = desk.run("doctor", "--json", "--api-url", "https://example.com", expect=2)
        assert "example.com" in says(elsewhere, "API")["says"]
    gone = desk.run("doctor", "--json", expect=2)
    assert "refuses the connection" in says(gone, "reach")["says"]
    assert levels(gone)["clock"] == levels(gone)["credentials"] == "warn"
    for process in (without, nobody, wrong, other, elsewhere, gone):
        for check in process.json["checks"]:
            assert check["level"] == "ok" or check["remedy"] or check["command"] or "set COUPON" in check["says"], check


def test_oauth_credentials_are_tried_with_a_token_and_a_get(desk):
    """Key and secret that are refused fail; the right ones are accepted."""
    with desk.serving('[auth]\nkey = "k-900"\nsecret = "s-900"\nrequired = true\n') as server:
        desk.run("init", "--org", "acme", "--api-url", server.url)
        key = {"COUPON_RUNNER_API_KEY": "k-900"}
        assert levels(desk.run("doctor", "--json", COUPON_RUNNER_API_SECRET="s-900", **key))["credentials"] == "ok"
        wrong = desk.run("doctor", "--json", expect=2, COUPON_RUNNER_API_SECRET="s-901", **key)
        assert levels(wrong)["credentials"] == "fail"
        assert "key and secret" in says(wrong, "credentials")["says"]


def test_a_ledger_without_its_key_a_damaged_one_and_an_open_one_are_found(desk):
    """The key is what tells who was issued what; others must not read it."""
    with desk.serving() as server:
        desk.init(server)
        (key,) = (desk.folder / "config" / "coupon-runner").glob("*.key")
        key.chmod(0o644)
        assert "chmod go=" in says(desk.run("doctor", "--json"), "rights")["remedy"]
        key.rename(key.with_suffix(".away"))
        assert "key" in says(desk.run("doctor", "--json", expect=2), "ledger")["says"]
        key.with_suffix(".away").rename(key)
        desk.ledger.write_bytes(b"nothing of ours" * 100)
        assert levels(desk.run("doctor", "--json", expect=2))["ledger"] == "fail"


def test_an_older_ledger_is_told_and_left_as_it_is(desk):
    """Only a command that works with it migrates it."""
    with desk.serving() as server:
        desk.init(server)
        with sqlite3.connect(desk.ledger) as older:
            older.execute("PRAGMA user_version = 1")
        older.close()
        told = says(desk.run("doctor", "--json"), "ledger")
        assert (told["level"], "has schema 1" in told["says"]) == ("warn", True)
        with sqlite3.connect(desk.ledger) as still:
            assert still.execute("PRAGMA user_version").fetchone() == (1,)
        still.close()
        assert list(desk.ledger.parent.glob("*.backup")) == []


def test_settings_that_cannot_be_read_are_all_told(desk):
    """Each problem is a line; nothing is claimed of the rest."""
    sick = desk.run("doctor", "--json", expect=2, COUPON_RUNNER_TIMEOUT="soon", COUPON_RUNNER_CONCURENCY="3")
    assert [check["level"] for check in sick.json["checks"]] == ["fail", "fail", "warn"]
    assert "COUPON_RUNNER_CONCURRENCY" in sick.out


@pytest.mark.parametrize("width", [60, 80, 120])
def test_on_a_terminal_no_line_is_wider_than_it_and_every_level_is_a_word(width):
    """Levels do not depend on colour; the remedy stands below what is wrong."""
    checks = [
        Check("settings", Level.OK, "a file"),
        Check("file system", Level.WARN, "lies on something " * 9, "Move it. " * 20),
        Check("ledger", Level.FAIL, "none", "Make one."),
    ]
    lines = checks_text(checks, width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["ok", "warn", "fail"]
    assert lines[-1].strip() == "Make one."
    assert len(checks_text(checks, width=None).splitlines()) == 3
    assert checks_sum(checks) == "1 of 3 checks fails (ledger), 1 warns (file system)"


# ── with a job ───────────────────────────────────────────────────────────────────────────────────────────────────────

JOB = 'input = "in/l-{date}*.csv"\ncampaign = "c-{date}"\ntimezone = "Asia/Kolkata"\ndue = "22:30"\nempty = "ok"\n'


@pytest.fixture
def job(desk):
    """A job file and the folder of its input."""
    (desk.folder / "in").mkdir()
    path = desk.folder / "nightly.toml"
    path.write_text(JOB + "[guards]\nmax_coupons = 700\n")
    return path


def test_with_a_job_its_own_needs_are_checked_and_three_ways_to_start_it_are_printed(desk, job):
    """The snippets are the data; the checks are a message beside them."""
    with desk.serving() as server:
        desk.init(server)
        told = desk.run("doctor", "--job", job)
        for heading in (
            "# ---- crontab",
            "# ---- systemd, the service",
            "# ---- systemd, the timer",
            "# ---- Kubernetes",
        ):
            assert heading in told.out
        assert "\n40 22 * * * cd " in told.out
        assert f"--job {job} " in told.out
        assert f"XDG_STATE_HOME={desk.folder / 'state'}" in told.out
        assert "at most 700 coupons" in told.out
        assert "ok    cap" in told.err
        assert told.last_line.endswith(f"Next: coupon-runner plan --job {job}")
        printed = desk.run("doctor", "--job", job, "--json").json
        assert set(printed["snippets"]) == {"crontab", "systemd_service", "systemd_timer", "kubernetes"}
        assert {"job", "cap", "input"} <= {check["name"] for check in printed["checks"]}


def test_what_keeps_a_job_from_starting_unattended_fails(desk, job):
    """No cap; a folder of input that is not there; a mistake in the file with its line; no such file."""
    with desk.serving() as server:
        desk.init(server)
        (desk.folder / "in").rmdir()
        job.write_text(JOB)
        sick = desk.run("doctor", "--job", job, "--json", expect=2)
        assert (levels(sick)["cap"], levels(sick)["input"]) == ("fail", "fail")
        job.write_text(JOB + "colour = 3\n")
        wrong = desk.run("doctor", "--job", job, "--json", expect=2)
        assert "line 6" in wrong.out
        assert wrong.json["snippets"] is None
        assert "There is no job file" in desk.run("doctor", "--job", "none.toml", expect=2).last_line


def test_the_printed_crontab_line_really_runs_the_job(desk, job):
    """Started by a shell that knows nothing else, as cron does: the coupons are issued, and nothing is mailed."""
    import re
    import subprocess

    with desk.serving() as server:
        desk.init(server)
        for name in (
            desk.run("doctor", "--job", job, "--json", "--api-url", server.url).json["snippets"]["crontab"].splitlines()
        ):
            if re.match(r"\d", name):
                command = name.split(" ", 5)[5].replace("\\%", "%")
        (desk.folder / "config" / "coupon-runner" / "nightly.env").write_text(
            f"COUPON_RUNNER_API_USER={USER}\nCOUPON_RUNNER_API_PASSWORD={PASSWORD}\n"
        )
        day = re.search(r"date (\S+),", desk.run("doctor", "--job", job).err)
        assert day is not None
        desk.write(f"in/l-{day[1]}.csv", [f"{mobile(1)},415446,2"])
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            capture_output=True,
            text=True,
            timeout=60,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        )
        assert (done.stdout, done.stderr, server.issued()) == ("", "", 2)
