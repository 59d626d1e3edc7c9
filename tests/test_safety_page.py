"""docs/safety.md names tests as evidence: each of them exists, and none of the promise's lines is without one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line and "`test_" in line]


def every_test() -> dict[str, bool]:
    """Every test of the project, and whether only the soak run runs it."""
    found: dict[str, bool] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found[node.name] = any("mark.soak" in ast.unparse(mark) for mark in node.decorator_list)
    return found


TESTS = every_test()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", PAGE))))
def test_each_test_that_is_named_as_evidence_exists(name: str) -> None:
    """And where only the soak run has it, the page says so."""
    assert name in TESTS
    assert (f"`{name}` (soak)" in PAGE) == TESTS[name]


def test_no_line_of_the_promise_is_without_evidence() -> None:
    """Each row of the tables has a test in its last column."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "| --- |" not in line]
    headings = [line for line in rows if "the test that shows it" in line]
    assert len(headings) == 2
    assert len(rows) - len(headings) == len(ROWS) >= 20
    for row in ROWS:
        assert "`test_" in row.rstrip("| ").rpartition(" | ")[2]
