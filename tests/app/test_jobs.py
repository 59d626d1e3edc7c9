"""Two dates of a job at the same moment: what one loads while the other is being agreed on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.adapters.clock import SystemClock
from runner.app.conversation import Conversation, Planned, Request
from runner.app.jobs import request_of_job
from runner.app.running import Ended
from runner.app.setup import init_org
from runner.errors import InputRefused
from runner.sandbox import Sandbox, load_config, read_truth
from runner.settings import resolve

JOB = """
input = "{folder}/list-{{date}}.csv"
campaign = "night-{{date}}"
timezone = "UTC"
[guards]
max_coupons = 9
[reports]
out = "{folder}/out"
files = "csv"
"""


class Meanwhile(Conversation):
    """Nobody is there; something else happens after the plan was made."""

    def __init__(self, then: Callable[[], object] | None = None) -> None:
        self._then = then

    def show_plan(self, planned: Planned) -> None:
        if self._then is not None:
            self._then()


class Nights:
    """A job with an organisation on a sandbox of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.environment = {
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "COUPON_RUNNER_API_USER": "till.sample",
            "COUPON_RUNNER_API_PASSWORD": "open-sesame-9000001",
        }
        self.settings = folder / "config" / "coupon-runner" / "settings.toml"
        self.job = folder / "nightly.toml"
        self.job.write_text(JOB.format(folder=folder), encoding="utf-8")
        flags = {"org": "acme", "api_url": url}
        options = resolve(flags, self.environment, self.settings)
        request = Request(options=options, flags=flags, environment=self.environment, settings=self.settings)
        init_org(request, clock=SystemClock(), conversation=Conversation())

    def bring(self, day: int, *mobiles: int) -> None:
        """The list of a day."""
        rows = "".join(f"919{number:09d},415446,1\n" for number in mobiles)
        (self.folder / f"list-2025-03-{day:02d}.csv").write_text(f"mobile,series_id,count\n{rows}", encoding="utf-8")

    def night(self, day: int, meanwhile: Callable[[], object] | None = None) -> Ended | str:
        """The job of that day."""
        asked = request_of_job(
            self.job,
            f"2025-03-{day:02d}",
            flags={"yes": True},
            environment=self.environment,
            settings=self.settings,
            clock=SystemClock(),
        )
        return asked.run(clock=SystemClock(), conversation=Meanwhile(meanwhile))

    def issued(self) -> int:
        """How many coupons were really issued."""
        return int(read_truth(self.folder / "truth.db", summary=True)["totals"]["coupons"])


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    with Sandbox(truth_path=tmp_path / "truth.db", config=load_config(None)) as sandbox:
        yield Nights(tmp_path, sandbox.base_url)


def test_the_same_file_is_refused_when_another_date_loads_it_at_that_moment(nights: Nights):
    """Comparing and loading are one step: what was no repetition when it was planned may be one when it is loaded."""
    nights.bring(3, 1)
    nights.night(3)
    nights.bring(4, 2, 3)
    nights.bring(3, 2, 3)  # corrected into what the next date brings, too
    with pytest.raises(InputRefused, match="byte for byte"):
        nights.night(4, meanwhile=lambda: nights.night(3))
    assert nights.issued() == 3


def test_an_overlap_with_another_date_that_appears_at_that_moment_is_expected_too(nights: Nights):
    """As if that date had been first: both customers get theirs for either date."""
    nights.bring(3, 1, 2)
    nights.bring(4, 2, 3)
    nights.night(4, meanwhile=lambda: nights.night(3))
    assert nights.issued() == 4
