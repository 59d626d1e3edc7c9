"""`completion` prints a script by which a shell really completes commands and flags."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from runner.cli import run_command
from tests.acceptance.desk import ROOT

WORDS = """
eval "$(coupon-runner completion bash)"
complete -p coupon-runner
ask() {
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    _coupon_runner_completion coupon-runner "${COMP_WORDS[$COMP_CWORD]}" "${COMP_WORDS[$COMP_CWORD - 1]}"
    echo "${COMPREPLY[*]}"
}
ask coupon-runner fin
ask coupon-runner show --fol
ask coupon-runner completion z
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="this machine has no bash")
def test_bash_completes_commands_flags_and_choices(tmp_path):
    """The printed script in a real bash, asking the real program."""
    program = tmp_path / "coupon-runner"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m runner "$@"\n')
    program.chmod(0o700)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    shell = ["bash", "--noprofile", "--norc", "-c", WORDS]
    done = subprocess.run(shell, capture_output=True, text=True, env=environment, timeout=60)
    assert done.stdout.splitlines()[1:] == ["find", "--follow", "zsh"], done.stderr
    assert done.stdout.splitlines()[0].endswith("-F _coupon_runner_completion coupon-runner")


@pytest.mark.parametrize(
    ("shell", "sign"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete --command")]
)
def test_each_shell_has_its_script_and_nothing_else_is_printed(shell, sign, capsys):
    assert run_command(["completion", shell]) == 0
    printed = capsys.readouterr()
    assert sign in printed.out
    assert printed.err == ""


def test_a_shell_that_is_not_known_is_refused_with_those_that_are(capsys):
    assert run_command(["completion", "tcsh"]) == 2
    assert "bash" in capsys.readouterr().err
