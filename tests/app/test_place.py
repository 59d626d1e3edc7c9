"""Where a command works: which ledger, which org, which API; a rehearsal never meets the real ones."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runner.adapters.clock import SystemClock
from runner.adapters.credentials import BasicCredentials, OAuthCredentials
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.scopes import create_org
from runner.app.place import (
    Place,
    api_of,
    open_ledger,
    open_org,
    pace_of,
    place_of,
    read_credentials,
    real_api,
    rehearsal_api,
)
from runner.errors import LockHeld, NoLedger, SettingsError, UsageError
from runner.settings import Options


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CONFIG_HOME": str(tmp_path / "config")}


def test_a_real_ledger_is_in_the_state_folder_and_its_key_beside_the_settings(environment: dict[str, str], tmp_path):
    """Not where the command was started, and not in one folder with its key."""
    place = place_of(Options(), environment)
    assert place.ledger == tmp_path / "state" / "coupon-runner" / "ledger.db"
    assert place.keys == tmp_path / "config" / "coupon-runner"
    assert not place.rehearsal


def test_a_rehearsal_has_a_ledger_of_its_own(environment: dict[str, str]):
    """By the flag, or because the run that is named was one."""
    by_flag = place_of(Options(sandbox=True), environment)
    by_run = place_of(Options(), environment, run="REHEARSAL-20261123T031500Z-may-4f9a1c")
    assert by_flag == by_run
    assert by_flag.rehearsal
    assert by_flag.ledger != place_of(Options(), environment).ledger
    assert by_flag.keys == by_flag.ledger.parent


@pytest.mark.parametrize(
    ("written", "path"),
    [("sqlite:///a/b.db", "a/b.db"), ("sqlite:////a/b.db", "/a/b.db"), ("/a/b.db", "/a/b.db"), ("b.db", "b.db")],
)
def test_a_ledger_is_named_by_a_path_or_an_sqlite_address(environment: dict[str, str], written: str, path: str):
    """As it is written."""
    assert place_of(Options(ledger=written), environment).ledger == Path(path)


@pytest.mark.parametrize("written", ["postgresql://host/db", "sqlite://b.db", "sqlite:///", "https://example.com/l.db"])
def test_another_kind_of_ledger_is_refused(environment: dict[str, str], written: str):
    """With what may be written."""
    with pytest.raises(UsageError, match="write a path"):
        place_of(Options(ledger=written), environment)


def pace_files(folder: Path) -> list[str]:
    """Where paces are kept below a folder."""
    return [str(path.parent.relative_to(folder)) for path in sorted(folder.rglob("*.pace"))]


def test_whatever_the_ledger_a_key_has_one_pace_for_all_processes_of_a_user(environment: dict[str, str], tmp_path):
    """In the user's state folder; another key has another one; without a limit, and in a rehearsal, none is kept."""
    keyed = {**environment, **BASIC}
    options = Options(api_url="https://eu.api.capillarytech.com")
    for name in ("one.db", "two.db"):
        place = place_of(options.model_copy(update={"ledger": str(tmp_path / name)}), keyed)
        with api_of(options, place, keyed) as api:
            asyncio.run(pace_of(options, api, SystemClock()).turn())
    assert pace_files(tmp_path) == ["state/coupon-runner/pace"]
    other = real_api(options, {**keyed, "COUPON_RUNNER_API_USER": "till.other"})
    pace_of(options, other, SystemClock()).close()
    assert len(pace_files(tmp_path)) == 2
    pace_of(
        Options(api_url="http://127.0.0.1:8080"),
        real_api(Options(api_url="http://127.0.0.1:8080"), keyed),
        SystemClock(),
    )
    rehearsed = Options(rate="10/s")
    with api_of(rehearsed, place_of(Options(sandbox=True), keyed), keyed) as api:
        pace_of(rehearsed, api, SystemClock())
    assert len(pace_files(tmp_path)) == 2


def test_where_the_state_folder_cannot_be_used_the_pace_is_kept_beside_the_ledger_and_it_is_said(
    environment: dict[str, str], tmp_path
):
    """A read-only home with a ledger elsewhere: nobody is stopped, and who does not share it is named."""
    keyed = {**environment, **BASIC}
    (tmp_path / "state").write_text("in the way")
    options = Options(api_url="https://eu.api.capillarytech.com", ledger=str(tmp_path / "data" / "ledger.db"))
    said: list[str] = []
    with api_of(options, place_of(options, keyed), keyed) as api:
        asyncio.run(pace_of(options, api, SystemClock(), said.append).turn())
    assert pace_files(tmp_path) == ["data/ledger.db.locks"]
    (sentence,) = said
    assert str(tmp_path / "state" / "coupon-runner" / "pace") in sentence
    assert "runs with another ledger do not share it" in sentence


def test_a_missing_real_ledger_is_never_created(environment: dict[str, str]):
    """Earlier runs would be unknown, and their coupons issued again."""
    place = place_of(Options(), environment)
    with pytest.raises(NoLedger, match="init"):
        open_ledger(place, SystemClock())
    assert not place.ledger.exists()


def test_a_missing_rehearsal_ledger_is_created_with_its_org(environment: dict[str, str]):
    """Only `--sandbox` needs no `init`."""
    ledger = open_ledger(place_of(Options(sandbox=True), environment), SystemClock())
    assert ledger.rehearsal
    assert open_org(ledger, Options(org="somebody else")).name == "sandbox"
    assert open_ledger(place_of(Options(sandbox=True), environment), SystemClock()).ledger_id == ledger.ledger_id


@pytest.mark.parametrize("rehearsal", [True, False])
def test_a_rehearsal_never_opens_a_real_ledger_nor_the_other_way_round(tmp_path: Path, rehearsal: bool):
    """Named by `--ledger`, too."""
    path = tmp_path / "l.db"
    LedgerFile.create(path, key_folder=tmp_path, rehearsal=not rehearsal)
    with pytest.raises(UsageError, match="cannot be used"):
        open_ledger(Place(ledger=path, keys=tmp_path, rehearsal=rehearsal), SystemClock())


def test_fresh_clears_a_rehearsal_and_never_a_real_ledger(tmp_path: Path):
    """Its ledger and truth begin anew."""
    real = Place(ledger=tmp_path / "real.db", keys=tmp_path, rehearsal=True)
    LedgerFile.create(real.ledger, key_folder=tmp_path)
    with pytest.raises(UsageError, match="real ledger"), rehearsal_api(Options(fresh=True, sandbox=True), real):
        pass
    assert real.ledger.exists()
    place = Place(ledger=tmp_path / "r" / "ledger.db", keys=tmp_path / "r", rehearsal=True)
    first = open_ledger(place, SystemClock()).ledger_id
    with rehearsal_api(Options(sandbox=True), place):
        assert open_ledger(place, SystemClock()).ledger_id == first
    with rehearsal_api(Options(fresh=True, sandbox=True), place):
        assert open_ledger(place, SystemClock()).ledger_id != first


def test_one_rehearsal_at_a_time(tmp_path: Path):
    """Its truth has one writer."""
    place = Place(ledger=tmp_path / "ledger.db", keys=tmp_path, rehearsal=True)
    with rehearsal_api(Options(sandbox=True), place), pytest.raises(LockHeld), rehearsal_api(Options(), place):
        pass


def test_a_rehearsal_s_api_is_on_this_machine(tmp_path: Path):
    """And needs no credentials of anybody."""
    place = Place(ledger=tmp_path / "ledger.db", keys=tmp_path, rehearsal=True)
    with rehearsal_api(Options(sandbox=True), place) as api:
        assert api.loopback


def test_an_org_must_be_named_and_known_to_the_ledger(tmp_path: Path):
    """An org that was never set up is not made up: its earlier runs would be unknown."""
    ledger = LedgerFile.create(tmp_path / "l.db", key_folder=tmp_path)
    create_org(ledger, "Acme", at=0.0)
    assert open_org(ledger, Options(org=" ACME ")).name == "Acme"
    with pytest.raises(UsageError, match="Which organisation"):
        open_org(ledger, Options())
    with pytest.raises(NoLedger, match="init --org other"):
        open_org(ledger, Options(org="other"))


BASIC = {"COUPON_RUNNER_API_USER": "till.sample", "COUPON_RUNNER_API_PASSWORD": "open-sesame"}


def test_credentials_are_one_whole_pair():
    """Key and secret are OAuth, user and password Basic."""
    assert isinstance(read_credentials(BASIC), BasicCredentials)
    oauth = {"COUPON_RUNNER_API_KEY": "k", "COUPON_RUNNER_API_SECRET": "s"}
    assert isinstance(read_credentials(oauth), OAuthCredentials)


def test_a_real_api_needs_an_address_that_credentials_may_go_to():
    """Capillary's hosts and loopback, others by `allowed_hosts`."""
    with pytest.raises(SettingsError, match="No API address"):
        real_api(Options(), BASIC)
    with pytest.raises(SettingsError):
        real_api(Options(api_url="https://api.example.com"), BASIC)
    with pytest.raises(SettingsError):
        real_api(Options(api_url="http://eu.api.capillarytech.com"), BASIC)
    assert not real_api(Options(api_url="https://eu.api.capillarytech.com"), BASIC).loopback
    assert real_api(Options(api_url="http://127.0.0.1:8080"), BASIC).loopback
    allowed = Options(api_url="https://api.example.com", allowed_hosts=("api.example.com",))
    assert real_api(allowed, BASIC).url == "https://api.example.com"


def test_the_fingerprint_of_credentials_changes_with_them_and_shows_nothing():
    """It is recorded with the campaign: a change asks for `--same-org`."""
    options = Options(api_url="http://127.0.0.1:1")
    one = real_api(options, BASIC)
    other = real_api(options, {**BASIC, "COUPON_RUNNER_API_USER": "till.other"})
    assert one.fingerprint == real_api(options, BASIC).fingerprint
    assert one.fingerprint != other.fingerprint
    assert "sesame" not in repr(one)
    assert "sesame" not in one.fingerprint
