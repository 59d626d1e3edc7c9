"""Rows that are sent by another identifier than the first are looked up, in a sandbox that answers for real."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from runner.adapters.credentials import BasicCredentials, OAuthCredentials
from runner.adapters.ledger.staging import Staging
from runner.app.lookups import look_up_customers
from runner.app.place import Api
from runner.app.reading import ALIKE, TRIES
from runner.core.model import Kind
from runner.core.plan import Plan
from runner.sandbox import Sandbox, parse_config
from runner.settings import Options
from tests.adapters.staging_world import World, row

TWO_NAMES = {"id": 77, "mobile": "919000000001", "email": "customer1@example.com"}


class JumpingClock:
    """`ports.Clock` that waits by setting itself forward: waits are counted, not spent."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)

    def chance(self) -> float:
        return 0.5


class LookUps:
    """A ledger, a sandbox, and what look-ups did in them."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.world = World(folder)
        self.clock = JumpingClock()
        self.notes: list[str] = []
        self.credentials: Any = BasicCredentials("u", "p")
        self.sandbox = Sandbox(truth_path=folder / "truth.db", config=parse_config(config))
        self.url = self.sandbox.start_in_thread()

    def plan(
        self, rows: Sequence[Any], *, identify_by: Sequence[Kind] = (Kind.MOBILE, Kind.EMAIL), **options: Any
    ) -> Plan:
        campaign = self.world.campaign()
        with Staging(self.world.file) as staging:
            staging.add(rows)
            look_up_customers(
                staging,
                campaign,
                identify_by=identify_by,
                api=Api(url=self.url, credentials=self.credentials, fingerprint="f"),
                options=Options(**({"timeout": 5} | options)),
                clock=self.clock,
                note=self.notes.append,
            )
            plan = self.world.plan(staging, campaign, identify_by=identify_by)
            staging.load(self.world.new_run(), campaign, plan)
            return plan


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    running: list[LookUps] = []

    def make(config: dict[str, Any] | None = None) -> LookUps:
        running.append(LookUps(tmp_path / str(len(running)), config or {}))
        return running[-1]

    yield make
    for one in running:
        one.sandbox.stop()


def _issued_by_mobile(lookups: LookUps) -> None:
    """The campaign issued to the mobile, and the answer named the customer's id."""
    lookups.world.load([row(2, "m1")])
    lookups.world.issue_all()
    lookups.world.learn("m1", "i77")


def test_a_row_sent_by_e_mail_meets_the_order_that_was_sent_by_mobile(start: Any):
    """Nobody gets two because a later file names her otherwise."""
    lookups = start({"customers": [TWO_NAMES]})
    _issued_by_mobile(lookups)
    plan = lookups.plan([row(2, "e1")])
    assert (plan.orders, plan.issued, plan.missing) == (1, 1, 0)
    assert "1 customer is named by another identifier than mobile" in lookups.notes[0]


def test_without_a_look_up_the_same_row_would_be_issued_again(start: Any):
    """What the look-up is for."""
    lookups = start({"customers": [TWO_NAMES]})
    _issued_by_mobile(lookups)
    assert lookups.plan([row(2, "e1")], identify_by=(Kind.EMAIL,)).missing == 1


def test_a_customer_whom_the_api_does_not_know_stays_a_row_of_its_own(start: Any):
    """8015: the row is used as it is."""
    lookups = start({"unknown_customers": "refuse"})
    plan = lookups.plan([row(2, "e1")])
    assert (plan.rejected, plan.missing) == (0, 1)


def test_rows_sent_by_the_first_kind_are_not_looked_up(start: Any):
    """Nor are those of a campaign that knows one kind only."""
    lookups = start({"reading": {"answers": ["4000"], "repeat_last": True}})
    assert lookups.plan([row(2, "m1 e1"), row(3, "m2")]).rejected == 0
    assert lookups.plan([row(2, "e3")], identify_by=(Kind.EMAIL,)).rejected == 0
    assert lookups.notes == []


def test_without_access_every_such_row_is_rejected_with_the_reason_and_the_others_are_not(start: Any):
    """One refusal is enough to know: nobody else is asked."""
    lookups = start({"reading": {"answers": ["4000"], "repeat_last": True}})
    plan = lookups.plan([row(number, f"e{number}") for number in range(2, 40)] + [row(40, "m1")])
    assert (plan.rejected, plan.missing) == (38, 1)
    assert "no access to the look-up (4000" in plan.examples[0][1][0].message


def test_a_busy_api_is_asked_again_and_not_given_up_at_once(start: Any):
    """429 and 503 say nothing about the customer."""
    lookups = start({"customers": [TWO_NAMES], "reading": {"answers": ["503", "429"]}})
    _issued_by_mobile(lookups)
    plan = lookups.plan([row(2, "e1")])
    assert (plan.rejected, plan.issued, plan.missing) == (0, 1, 0)
    assert lookups.clock.waits


def test_an_api_that_never_answers_is_given_up_after_a_few_customers(start: Any):
    """Every row is rejected, none is lost, and a million customers are not each waited for."""
    lookups = start({"reading": {"answers": ["500"], "repeat_last": True}})
    plan = lookups.plan([row(number, f"e{number}") for number in range(2, 60)])
    assert plan.rejected == 58
    assert len([wait for wait in lookups.clock.waits if wait >= 0.9]) <= (ALIKE + 4) * TRIES


def test_look_ups_keep_to_the_rate(start: Any):
    """100/m: thirteen look-ups and the gap before the first call take at least 13 × 0.6 s."""
    lookups = start({"unknown_customers": "refuse"})
    before = lookups.clock.time
    lookups.plan([row(number, f"e{number}") for number in range(2, 15)], rate="100/m")
    assert lookups.clock.time - before >= 13 * 0.6
    assert lookups.notes == ["13 customers are named by another identifier than mobile: looking them up at 100/m"]


def test_an_ended_token_is_renewed_once_for_the_look_ups(start: Any):
    """The sandbox ends the token at the first read; the answer comes under the new one."""
    lookups = start({"customers": [TWO_NAMES], "auth": {"key": "k", "secret": "s"}, "reading": {"answers": ["498"]}})
    lookups.credentials = OAuthCredentials("k", "s")
    _issued_by_mobile(lookups)
    plan = lookups.plan([row(2, "e1")])
    assert (plan.rejected, plan.issued, plan.missing) == (0, 1, 0)


def test_wrong_credentials_reject_the_rows_that_need_a_look_up(start: Any):
    """The reason says what the API refuses."""
    lookups = start({"auth": {"user": "somebody", "password": "else"}})
    plan = lookups.plan([row(2, "e1"), row(3, "m2")])
    assert (plan.rejected, plan.missing) == (1, 1)
    assert "refuses the credentials" in plan.examples[0][1][0].message


def test_a_row_whose_names_the_api_gives_to_two_known_customers_is_rejected(start: Any):
    """Her e-mail was issued to under its own name before: there is no guess between the two."""
    lookups = start({"customers": [TWO_NAMES]})
    _issued_by_mobile(lookups)
    lookups.world.load([row(2, "e1")])
    lookups.world.change("UPDATE runs SET state = 'finished'")
    plan = lookups.plan([row(2, "e1")])
    assert plan.rejected == 1
    assert "2 different customers" in plan.examples[0][1][0].message
