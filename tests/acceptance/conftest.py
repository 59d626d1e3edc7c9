"""A desk for each test, and one starter of processes for all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.desk import Desk, Starter


@pytest.fixture(scope="session")
def starter() -> Iterator[Starter | None]:
    if os.environ.get("ACCEPTANCE_START") == "python":
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="cr-") as folder:  # a socket's path must be short
        starter = Starter(Path(folder))
        yield starter
        starter.close()


@pytest.fixture
def desk(request: pytest.FixtureRequest, tmp_path: Path, starter: Starter | None) -> Iterator[Desk]:
    """Its runs write no workbooks, which take half of a small run's time, but where the module has `WORKBOOKS`."""
    workbooks = getattr(request.module, "WORKBOOKS", False)
    desk = Desk(tmp_path / "desk", starter, environment={} if workbooks else {"COUPON_RUNNER_REPORTS": "csv"})
    yield desk
    desk.end()
