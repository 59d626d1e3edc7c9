"""Organisations and campaigns in the ledger: how their names compare, and what a campaign freezes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.scopes import Frozen, create_org, find_org, find_scope, freeze_scope, newest_scope, scope_of
from runner.core.model import Kind
from tests.adapters.staging_world import World, row

FROZEN = Frozen(
    url="https://eu.example.com",
    credentials="f1",
    identity_version=1,
    identify_by=(Kind.EMAIL, Kind.MOBILE),
    region="IN",
    mapping={"Ph No": "mobile"},
)


@pytest.fixture
def ledger(tmp_path: Path) -> LedgerFile:
    return LedgerFile.create(tmp_path / "ledger.db", key_folder=tmp_path / "keys")


@pytest.mark.parametrize("name", ["Café Öst", "cafe\u0301 o\u0308st", "  CAFÉ   ÖST ", "caf\u00e9\u00a0öst"])
def test_names_of_orgs_and_campaigns_compare_normalised_trimmed_and_without_case(ledger: LedgerFile, name: str):
    """NFC, trimmed, case-folded: another spelling is not another campaign."""
    org = create_org(ledger, "Café Öst", at=1.0)
    assert find_org(ledger, name) == org
    assert create_org(ledger, name, at=2.0) == org
    scope = freeze_scope(ledger, org, "Café Öst", FROZEN, at=3.0)
    assert find_scope(ledger, org, name) == scope


def test_an_org_that_is_not_there_is_not_made_up(ledger: LedgerFile):
    """Nor is a campaign."""
    assert find_org(ledger, "acme") is None
    assert find_scope(ledger, create_org(ledger, "other", at=0.0), "May") is None
    assert newest_scope(ledger, create_org(ledger, "other", at=0.0)) is None


def test_a_campaign_remembers_what_it_froze(ledger: LedgerFile):
    """Address, credentials, kinds in their order, region, mapping, version of the rules of identity."""
    org = create_org(ledger, "Acme", at=0.0)
    made = freeze_scope(ledger, org, " May ", FROZEN, at=0.0)
    assert scope_of(ledger, made.id) == made
    assert (made.campaign, made.key, made.runs) == ("May", "may", 0)
    assert (made.url, made.credentials, made.identify_by) == ("https://eu.example.com", "f1", (Kind.EMAIL, Kind.MOBILE))
    assert (made.region, made.mapping, made.identity_version) == ("IN", {"Ph No": "mobile"}, 1)


def test_freezing_again_keeps_the_campaign_and_its_name(ledger: LedgerFile):
    """With `--same-org` the address changes; it is the same campaign with the same orders."""
    org = create_org(ledger, "Acme", at=0.0)
    made = freeze_scope(ledger, org, "May", FROZEN, at=0.0)
    again = freeze_scope(ledger, org, "MAY", Frozen(**{**_values(FROZEN), "url": "https://us.example.com"}), at=1.0)
    assert (again.id, again.campaign, again.url) == (made.id, "May", "https://us.example.com")


def _values(frozen: Frozen) -> dict[str, Any]:
    return {name: getattr(frozen, name) for name in Frozen.__dataclass_fields__}


def test_two_orgs_may_have_a_campaign_of_one_name(ledger: LedgerFile):
    """Scope = org + campaign."""
    scopes = [freeze_scope(ledger, create_org(ledger, org, at=0.0), "May", FROZEN, at=0.0) for org in ("one", "two")]
    assert scopes[0].id != scopes[1].id


def test_the_newest_scope_is_that_of_the_newest_run(tmp_path: Path):
    """What the org was last reached by: not the campaign that was created last."""
    world = World(tmp_path)
    world.load([row(2, "m1")], campaign="May")
    world.campaign("June")
    found = newest_scope(world.file, world.org)
    assert found is not None
    assert (found.campaign, found.runs) == ("May", 1)
    world.load([row(2, "m2")], campaign="June")
    newest = newest_scope(world.file, world.org)
    assert newest is not None
    assert newest.campaign == "June"
