"""A command loads what it needs, and not what others need: it answers at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

BOOKS = {"numpy", "openpyxl", "pandas"}
CALLS = {"aiohttp", "uvloop"}
LEDGER = {"sqlalchemy", "sqlite3"}


def loaded_by(code: str, home: Path) -> set[str]:
    """The modules that a process has loaded once it has done this."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT)}
    told = f"{code}; sys.stdout.write('\\n' + ' '.join(sys.modules))"
    process = subprocess.run(
        [sys.executable, "-c", f"import sys; {told}"],
        env=environment, cwd=home, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return set(process.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["run", "--help"]])
def test_version_and_help_load_nothing_that_only_work_needs(words: list[str], tmp_path: Path) -> None:
    """Neither tables nor workbooks, calls or the ledger."""
    loaded = loaded_by(f"from runner.cli import run_command; run_command({words})", tmp_path)
    assert "runner.cli.running" in loaded
    assert loaded & (BOOKS | CALLS | LEDGER) == set()


def test_who_only_looks_at_the_ledger_loads_neither_workbooks_nor_calls(tmp_path: Path) -> None:
    """`runs` finds no ledger here; all that it needs is loaded by then."""
    loaded = loaded_by("from runner.cli import run_command; run_command(['runs'])", tmp_path)
    assert loaded >= {"runner.app.looking", *LEDGER}
    assert loaded & (BOOKS | CALLS) == set()


def test_who_issues_loads_neither_workbooks_nor_pandas_before_a_file_asks_for_them(tmp_path: Path) -> None:
    """`--reports csv` does not pay for openpyxl, and a list that needs no profile by pandas does not for that."""
    loaded = loaded_by("import runner.app.jobs, runner.app.resuming, runner.adapters.report_files", tmp_path)
    assert {"runner.app.issuing", "runner.app.intake", "runner.engine"} <= loaded
    assert loaded & BOOKS == set()
