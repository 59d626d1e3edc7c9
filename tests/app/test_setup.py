"""`init`: settings and ledger for an organisation; what is there stays as it is."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.adapters.clock import SystemClock
from runner.adapters.ledger.files import LedgerFile
from runner.app.conversation import Conversation, Request
from runner.app.setup import Initialised, init_org
from runner.errors import SettingsError, UsageError
from runner.settings import Options, resolve

URL = "https://eu.api.capillarytech.com"
Init = Callable[..., Initialised]


class Somebody(Conversation):
    """Answers with what is suggested, or with what the test says."""

    present = True

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    def choose(self, question: str, suggestion: str) -> str:
        return self.answers.pop(0) if self.answers else suggestion


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CONFIG_HOME": str(tmp_path / "config")}


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    return tmp_path / "config" / "coupon-runner" / "settings.toml"


@pytest.fixture
def init(environment: dict[str, str], settings: Path, tmp_path: Path) -> Init:
    def run(somebody: Conversation | None = None, **options: Any) -> Initialised:
        given = Options(**({"out": tmp_path / "out"} | options))
        request = Request(options=given, flags=options, environment=environment, settings=settings)
        return init_org(request, clock=SystemClock(), conversation=somebody or Conversation())

    return run


def test_init_creates_ledger_org_and_settings(init: Init, settings: Path, environment: dict[str, str]):
    """The first org is the default one, and the settings file is nobody else's to read."""
    done = init(org="Acme", api_url=URL, region="IN", rate="50/m")
    assert done.ledger_created
    assert done.default
    assert done.ledger.is_file()
    assert settings.stat().st_mode & 0o077 == 0
    options = resolve({}, environment, settings)
    assert (options.org, options.api_url, options.region, options.rate) == ("Acme", URL, "IN", "50/m")


def test_init_is_idempotent(init: Init, settings: Path):
    """Again, it changes not a byte and not the ledger."""
    first = init(org="Acme", api_url=URL)
    before = settings.read_bytes()
    again = init(org="Acme", api_url=URL)
    assert settings.read_bytes() == before
    assert (again.ledger_created, again.settings_written) == (False, False)
    assert again.ledger == first.ledger


def test_a_second_org_is_added_and_is_not_the_default(init: Init, settings: Path):
    """What a person wrote into the file stays, comments included."""
    init(org="Acme", api_url=URL)
    settings.write_text(settings.read_text() + '# mine\nmap = { mobile = "Ph No" }\n')
    done = init(org='Other "Shop"', api_url="https://us.api.capillarytech.com")
    assert not done.default
    text = settings.read_text()
    assert "# mine" in text
    document = tomllib.loads(text)
    assert document["default_org"] == "Acme"
    assert set(document["orgs"]) == {"Acme", 'Other "Shop"'}


def test_an_org_that_is_set_up_otherwise_is_not_overwritten(init: Init, settings: Path):
    """A person edits the file; the message says what differs."""
    init(org="Acme", api_url=URL)
    before = settings.read_bytes()
    with pytest.raises(UsageError, match="another api_url"):
        init(org="acme", api_url="https://us.api.capillarytech.com")
    assert settings.read_bytes() == before


def test_a_person_is_asked_for_what_no_flag_says(init: Init):
    """Name and address."""
    assert init(Somebody("Acme", URL)).org == "Acme"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, UsageError),
        ({"org": "Acme"}, UsageError),
        ({"org": " ", "api_url": URL}, UsageError),
        ({"org": "Sandbox", "api_url": URL}, UsageError),
        ({"org": "Acme", "api_url": URL, "sandbox": True}, UsageError),
        ({"org": "Acme", "api_url": "http://eu.api.capillarytech.com"}, SettingsError),
        ({"org": "Acme", "api_url": "https://api.example.com"}, SettingsError),
        ({"org": "Acme", "api_url": URL, "region": "XX"}, SettingsError),
    ],
)
def test_a_wrong_init_leaves_nothing_behind(
    init: Init, settings: Path, tmp_path: Path, options: dict[str, Any], error: type[Exception]
):
    """No ledger and no settings."""
    with pytest.raises(error):
        init(**options)
    assert not settings.exists()
    assert not (tmp_path / "state").exists()


def test_an_existing_ledger_is_used_and_gets_the_org(init: Init, environment: dict[str, str], tmp_path: Path):
    """Two orgs may share a ledger."""
    path = tmp_path / "state" / "coupon-runner" / "ledger.db"
    made = LedgerFile.create(path, key_folder=tmp_path / "config" / "coupon-runner")
    done = init(org="Acme", api_url=URL)
    assert not done.ledger_created
    assert LedgerFile.open(path, key_folder=tmp_path / "config" / "coupon-runner").ledger_id == made.ledger_id
