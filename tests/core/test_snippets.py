"""What `doctor --job` prints: a crontab line, systemd units and a CronJob that follow one policy of exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import Any

import pytest

from runner.core.snippets import (
    ALARMS,
    UnattendedJob,
    cron_job,
    crontab,
    kubernetes,
    systemd_service,
    systemd_timer,
    to_yaml,
)

JOB = UnattendedJob(
    name="nightly",
    file="/srv/coupons/jobs/nightly.toml",
    program=["/opt/coupon-runner/bin/coupon-runner"],
    folder="/srv/coupons",
    settings="/home/ops/.config",
    state="/home/ops/.local/state",
    user="ops",
    zone="Asia/Kolkata",
    due=time(22, 30),
    cap=5000,
    oauth=True,
    variables={"COUPON_IN": "/data/in"},
)
PROGRAM = """#!/bin/sh
echo "$@" >> log
test "$SECRET-$COUPON_IN" = "known-/data/100%" || exit 99
read code < codes
sed -i 1d codes
echo "exit $code: so it is" >&2
exit "$code"
"""


def line_of(text: str) -> list[str]:
    """The five fields of the crontab's line and its command, as cron reads them: \\% is %, a bare % is a new line."""
    (line,) = [line for line in text.splitlines() if re.match(r"\d", line)]
    fields = line.split(" ", 5)
    assert re.search(r"(?<!\\)%", fields[5]) is None
    return [*fields[:5], fields[5].replace("\\%", "%")]


@pytest.fixture
def machine(tmp_path):
    """A folder with blanks and a percent sign in its name, a program that exits as told, a `sleep` that does not."""
    folder = tmp_path / "a 100% folder"
    (folder / "coupon-runner").mkdir(parents=True)
    (folder / "bin").mkdir()
    for name, text in (("program", PROGRAM), ("bin/sleep", '#!/bin/sh\necho "$@" >> slept\n')):
        (folder / name).write_text(text)
        (folder / name).chmod(0o700)
    (folder / "coupon-runner" / "nightly.env").write_text("SECRET=known\n")
    job = replace(
        JOB,
        program=[str(folder / "program")],
        folder=str(folder),
        settings=str(folder),
        variables={"COUPON_IN": "/data/100%"},
    )
    return folder, job


def mailed(folder: Path, job: UnattendedJob, *codes: int) -> tuple[str, list[str], list[str]]:
    """What cron would mail, the commands that ran, and the pauses, when the program exits so."""
    (folder / "codes").write_text("".join(f"{code}\n" for code in codes))
    for name in ("log", "slept"):
        (folder / name).unlink(missing_ok=True)
    environment = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    command = line_of(crontab(job))[5]
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, env=environment, timeout=30)
    assert done.stderr == ""
    ran = [line.split()[0] for line in (folder / "log").read_text().splitlines()]
    return done.stdout, ran, (folder / "slept").read_text().split()


def test_the_crontab_line_starts_ten_minutes_after_due_in_the_jobs_zone():
    """So that the list is there, and the date is certain; past midnight the hour wraps."""
    assert line_of(crontab(JOB))[:5] == ["40", "22", "*", "*", "*"]
    assert "\nCRON_TZ=Asia/Kolkata\n" in crontab(JOB)
    assert line_of(crontab(replace(JOB, due=time(23, 55))))[:2] == ["5", "0"]
    assert line_of(crontab(replace(JOB, due=None)))[:2] == ["0", "6"]
    assert "CRON_TZ=" not in crontab(replace(JOB, zone=None)).replace("CRON_TZ:", "")


@pytest.mark.parametrize(
    ("codes", "mail", "pauses"),
    [
        ([0], "", ["0"]),
        ([7], "", ["0"]),
        ([75, 0], "", ["0", "900"]),
        ([75, 75, 75], "exit 75: so it is\n", ["0", "900", "3600"]),
        ([75, 1], "exit 1: so it is\n", ["0", "900"]),
        *(([code], f"exit {code}: so it is\n", ["0"]) for code in (*ALARMS, 143)),
    ],
)
def test_cron_mails_only_what_a_person_must_see(machine, codes, mail, pauses):
    """Really run by a shell: 75 is tried again, 0 and 7 are silent, everything else prints its last line."""
    folder, job = machine
    assert mailed(folder, job, *codes) == (mail, ["run"] * len(codes), pauses)


def test_with_reconcile_cron_settles_doubts_before_it_calls_anybody(machine):
    """5, then settled: silence. 5, then not issued after all (75): the job goes on. 5, and still 5: mail."""
    folder, job = machine
    job = replace(job, reconcile=True)
    assert mailed(folder, job, 5, 0) == ("", ["run", "reconcile"], ["0"])
    assert mailed(folder, job, 5, 75, 0) == ("", ["run", "reconcile", "run"], ["0", "900"])
    assert mailed(folder, job, 5, 5)[0] == "exit 5: so it is\n"
    assert mailed(folder, job, 1) == ("exit 1: so it is\n", ["run"], ["0"])


def test_a_folder_that_is_gone_is_mailed(machine):
    """Nothing is run in another one."""
    folder, job = machine
    command = line_of(crontab(replace(job, folder="/nowhere/at/all")))[5]
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=30)
    assert "/nowhere/at/all" in done.stderr
    assert not (folder / "log").exists()


def test_each_snippet_names_cap_zone_secrets_ledger_and_the_policy():
    """Filled in, nothing left to guess; a missing cap is said loudly."""
    for text in (crontab(JOB), systemd_service(JOB), kubernetes(JOB)):
        for word in ("at most 5,000 coupons a run", "Asia/Kolkata", "COUPON_RUNNER_API_SECRET", "COUPON_IN", "75", "7"):
            assert word in text
        assert "XDG_STATE_HOME" in text
        assert text.isascii()
        assert "reconcile" not in text
        assert "API_PASSWORD" not in text
    assert "NO CAP" in crontab(replace(JOB, cap=None))
    assert "COUPON_RUNNER_API_PASSWORD" in kubernetes(replace(JOB, oauth=False))


def unit(text: str) -> dict[str, list[str]]:
    """The settings of a unit file, without comments."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_systemd_tries_75_again_takes_7_as_success_and_leaves_the_rest_to_a_person():
    service, timer = unit(systemd_service(JOB)), unit(systemd_timer(JOB))
    assert service["RestartForceExitStatus"] == ["75"]
    assert service["SuccessExitStatus"] == ["7"]
    assert service["RestartPreventExitStatus"] == ["1 2 3 4 5 6"]
    assert service["ExecStart"] == [f"{JOB.program[0]} run --job {JOB.file} --yes"]
    assert timer["OnCalendar"] == ["*-*-* 22:40:00 Asia/Kolkata"]


def test_a_unit_quotes_blanks_and_doubles_what_systemd_would_fill_in():
    text = systemd_service(replace(JOB, program=["/opt/a b/100%/$x"], folder="/srv/100%"))
    assert 'ExecStart="/opt/a b/100%%/$$x" run' in text
    assert "WorkingDirectory=/srv/100%%" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd-analyze")
def test_systemd_itself_finds_nothing_wrong_with_the_units(tmp_path):
    """With and without `reconcile`."""
    for reconcile in (False, True):
        folder = tmp_path / f"units{reconcile}"
        folder.mkdir()
        job = replace(JOB, program=[sys.executable], folder=str(folder), user="root", reconcile=reconcile)
        (folder / f"{job.slug}.service").write_text(systemd_service(job))
        (folder / f"{job.slug}.timer").write_text(systemd_timer(job))
        words = ["systemd-analyze", "verify", "--man=no", *(str(path) for path in sorted(folder.iterdir()))]
        checked = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert (checked.returncode, [line for line in checked.stderr.splitlines() if job.slug in line]) == (0, [])


# ── YAML ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


_KEY = r' *(?:\w+|"(?:[^"\\]|\\.)*"):(?: |$)'


def read_yaml(text: str) -> Any:
    """YAML in blocks of two blanks with plain or JSON scalars: all that is written, read by its own rules."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]

    def scalar(written: str) -> Any:
        return json.loads(written) if re.match(r'["\d\[{]|true$|false$', written) else written

    def block(indent: int) -> Any:
        if lines[0][indent:].startswith("- "):
            items = []
            while lines and lines[0].startswith(" " * indent + "- "):
                lines[0] = " " * (indent + 2) + lines[0][indent + 2 :]
                items.append(block(indent + 2) if re.match(_KEY, lines[0]) else scalar(lines.pop(0).strip()))
            return items
        found = {}
        while lines and re.match(rf" {{{indent}}}[^ -]", lines[0]):
            name, _, rest = lines.pop(0)[indent:].partition(":")
            found[scalar(name)] = scalar(rest.strip()) if rest.strip() else block(indent + 2)
        return found

    parsed = block(0)
    assert lines == []
    return parsed


def test_the_manifest_reads_back_as_what_was_meant():
    """Volume claim and CronJob, the comments apart."""
    documents = [read_yaml(part) for part in kubernetes(JOB).split("---\n")[1:]]
    assert [document["kind"] for document in documents] == ["PersistentVolumeClaim", "CronJob"]
    assert documents[1] == cron_job(JOB)


@pytest.mark.parametrize("text", ["yes", "NO", "null", "1:30", "- a", "a: b", "#x", "", " a", "0x1", "a\nb", "Ümlaut"])
def test_a_text_that_yaml_would_misread_is_quoted(text):
    assert to_yaml({"key": text}) == f"key: {json.dumps(text)}\n"
    assert read_yaml(to_yaml({"key": [text, {"a": text}]})) == {"key": [text, {"a": text}]}


def test_kubernetes_fails_at_once_on_what_no_retry_mends_and_never_runs_two_at_a_time():
    """7 becomes success in the shell, since a retry for it would be an alarm in the end; 75 is left to be retried."""
    spec: Any = cron_job(JOB)["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("40 22 * * *", "Asia/Kolkata", "Forbid")
    job = spec["jobTemplate"]["spec"]
    rule = job["podFailurePolicy"]["rules"][0]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [1, 2, 3, 4, 5, 6])
    pod = job["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # a podFailurePolicy needs it
    (container,) = pod["containers"]
    names = {one["name"]: one.get("value") for one in container["env"]}
    assert names["XDG_STATE_HOME"].startswith(container["volumeMounts"][0]["mountPath"])
    assert names["XDG_CONFIG_HOME"].startswith(container["volumeMounts"][0]["mountPath"])
    assert (names["COUPON_RUNNER_API_KEY"], names["COUPON_IN"]) == (None, "/data/in")
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "coupon-runner-nightly"


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (7, 0), (75, 75), (5, 5), (1, 1)])
def test_the_pods_script_exits_as_its_policy_needs(tmp_path, code, ends):
    """Really run by a shell."""
    program = tmp_path / "coupon-runner"
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    program.chmod(0o700)
    spec: Any = cron_job(JOB)["spec"]
    (container,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert subprocess.run(container["command"], env=environment, timeout=30).returncode == ends
