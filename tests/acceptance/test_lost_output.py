"""Whoever reads stdout goes away, or its disk is full, or Ctrl-C comes at once: a sensible code, never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.desk import ROOT, Desk


def shell(desk: Desk, words: str) -> subprocess.CompletedProcess[str]:
    """A line of a shell with the program in it."""
    line = words.replace("coupon-runner", f"{sys.executable} -m runner")
    environment = {**desk.environment, "PYTHONPATH": str(ROOT)}
    command = ["bash", "-o", "pipefail", "-c", line]
    return subprocess.run(command, env=environment, cwd=desk.folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("coupon-runner --version > /dev/full", 6),
        ("coupon-runner doctor --json > /dev/full", 6),
        ("coupon-runner completion bash > /dev/full", 6),
        ("coupon-runner --version >&-", 0),
        ("coupon-runner completion bash | true", 0),
    ],
)
def test_output_that_cannot_be_written_is_said_without_a_traceback(desk: Desk, words: str, code: int) -> None:
    """A full disk is told, with 6; nobody who reads is no failure."""
    ended = shell(desk, words)
    assert (ended.returncode, "Traceback" in ended.stderr, "Exception" in ended.stderr) == (code, False, False)
    assert ("could not be written to stdout" in ended.stderr) is (code == 6)


def test_ctrl_c_while_the_program_is_still_being_loaded_is_quiet(desk: Desk) -> None:
    """130 and not a word: nothing had begun."""
    script = """
import builtins, os, signal
real = builtins.__import__
def interrupting(name, *rest):
    if name == "runner.cli":
        os.kill(os.getpid(), signal.SIGINT)
    return real(name, *rest)
builtins.__import__ = interrupting
from runner.__main__ import main
main()
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (128 + signal.SIGINT, "", "")


def test_a_folder_for_reports_that_cannot_be_made_is_told_before_anything_is_sent(desk: Desk) -> None:
    """Exit 2 naming --out; no run is left behind, and the next one makes its folder for its user only."""
    (desk.folder / "occupied").write_text("")
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("list.csv", ["919000000001,7,1"])
        words: list[str | Path] = ["run", file, "--campaign", "may", "--yes", "--max-coupons", "9", "--reports", "csv"]
        refused = desk.run(*words, "--out", desk.folder / "occupied", expect=2)
        assert "--out" in refused.last_line
        assert "nothing was sent" in refused.last_line
        assert (server.posts(), desk.run("runs", "--json").json) == (0, [])
        reports = desk.issue(*words)
        assert reports.folder.stat().st_mode & 0o777 == 0o700


def test_find_tells_each_row_what_the_reports_tell_of_it(desk: Desk) -> None:
    """Rows that share an order, or repeat it, each have their own part: their sums are the order's."""
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("list.csv", ["919000000001,7,2", "919000000001,7,3", "919000000002,7,1"])
        words = ["--campaign", "may", "--yes", "--max-coupons", "9", "--reports", "csv", "--duplicates", "add"]
        reports = desk.issue("run", file, *words)
        found = desk.run("find", "919000000001", "--json").json["rows"]
        names = ("row", "status", "target", "issued", "missing")
        assert [[str(row[name]) for name in names] for row in found] == [
            [line[f"_{name}"] for name in names] for line in reports.results[:2]
        ]
        assert [row["issued"] for row in found] == [2, 3]
