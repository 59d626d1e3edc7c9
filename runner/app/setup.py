"""`init`: settings and ledger for an organisation. Safe to run again: what is there stays as it is."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runner.adapters.hosts import check_url
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.runs import holds_link, newest_head
from runner.adapters.ledger.scopes import create_org, find_org
from runner.adapters.manifests import check_out_folder
from runner.app.continuity import check_place
from runner.app.conversation import Conversation, Request
from runner.app.org_checks import check_new_org
from runner.app.place import place_of
from runner.core.identity import region_problem
from runner.core.keys import scope_key
from runner.errors import SettingsError, UsageError
from runner.ports import Clock
from runner.settings import config_folder, state_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """What `init` found or made."""

    org: str
    settings: Path
    ledger: Path
    ledger_created: bool
    settings_written: bool
    default: bool


def init_org(request: Request, *, clock: Clock, conversation: Conversation) -> Initialised:
    """Create the ledger if there is none, set up the org in it, and write the org's settings.

    Raises:
        UsageError: no org or address is given and nobody is there to ask; an existing setting says otherwise.
        ForeignLedger: the report folder shows that another ledger knows this org's earlier runs.
    """
    options = request.options
    if options.sandbox:
        raise UsageError("A rehearsal needs no init: run with --sandbox.")
    name, url, region = options.org, options.api_url, options.region
    if name is None and conversation.present:
        name = conversation.choose("Name of the organisation whose customers these are", "main")
    if url is None and conversation.present:
        url = conversation.choose("Address of its API", "https://eu.api.capillarytech.com")
    if name is None or url is None or not scope_key(name):
        raise UsageError("init needs --org NAME and --api-url URL, for example https://eu.api.capillarytech.com")
    if scope_key(name) == "sandbox":
        raise UsageError("The name sandbox is the rehearsals' own; choose another.")
    url = check_url(url, options.allowed_hosts)
    if region is not None and (problem := region_problem(region)) is not None:
        raise SettingsError(f"--region: {problem}")
    place = place_of(options, request.environment)
    created = not place.ledger.exists()
    check_place(place.ledger, conversation.note)
    for folder in (state_folder(request.environment), config_folder(request.environment)):
        _close_to_others(folder)
    if created:
        check_out_folder(options.out, scope_key(name), "(none yet)", None)
        ledger = LedgerFile.create(place.ledger, key_folder=place.keys)
    else:
        ledger = LedgerFile.open(place.ledger, key_folder=place.keys)
        if find_org(ledger, name) is None:
            check_new_org(ledger, name, url, request.environment, options)
            check_out_folder(
                options.out, scope_key(name), ledger.ledger_id, newest_head(ledger), holds=partial(holds_link, ledger)
            )
    values: dict[str, object] = {"api_url": url, "region": region, "ledger": options.ledger}
    values["allowed_hosts"] = list(options.allowed_hosts) or None
    values["rate"] = options.rate
    written, default = _write_settings(
        request.settings, name.strip(), {k: v for k, v in values.items() if v is not None}
    )
    org = create_org(ledger, name, at=clock.wall())
    return Initialised(
        org=org.name,
        settings=request.settings,
        ledger=place.ledger,
        ledger_created=created,
        settings_written=written,
        default=default,
    )


def _close_to_others(folder: Path) -> None:
    """A folder of ours (it bears our name) that is there already, however it came to be."""
    if folder.is_dir():
        folder.chmod(0o700)


def _write_settings(path: Path, org: str, values: dict[str, object]) -> tuple[bool, bool]:
    """Add the org's table to the settings file, and make the first org the default one."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    document = tomllib.loads(text)
    known = next((table for name, table in document.get("orgs", {}).items() if name.casefold() == org.casefold()), None)
    default = document.get("default_org")
    if known is not None:
        different = [name for name, value in values.items() if known.get(name, value) != value]
        if different:
            raise UsageError(
                f"The settings file {path} has [orgs.{org}] already, with another {', '.join(different)}: edit it "
                "there."
            )
        return False, default == org
    lines = [f"[orgs.{json.dumps(org)}]"] + [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    head = "" if default is not None else f"default_org = {json.dumps(org)}\n\n"
    body = f"{head}{text.rstrip()}\n\n" if text.strip() else head
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(body + "\n".join(lines) + "\n", encoding="utf-8")
    temporary.chmod(0o600)
    temporary.replace(path)
    return True, default is None
