"""Organisations and campaigns in the ledger: who was set up, and what a campaign froze at its first run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import orjson
import sqlalchemy as sa

from runner.adapters.ledger.events import append_event
from runner.adapters.ledger.files import LedgerFile, transaction
from runner.adapters.ledger.schema import orgs, runs, scopes
from runner.core.keys import scope_key
from runner.core.model import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Org:
    """An organisation that the ledger knows."""

    id: int
    key: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A campaign of an org, with what it froze. `runs`: how many it had; before the first nothing is frozen yet."""

    id: int
    org_id: int
    key: str
    campaign: str
    url: str
    credentials: str
    identity_version: int
    identify_by: tuple[Kind, ...]
    region: str | None
    mapping: Mapping[str, str]
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """What a campaign's first run settles: the address and credentials in use, and how customers are identified."""

    url: str
    credentials: str
    identity_version: int
    identify_by: Sequence[Kind]
    region: str | None
    mapping: Mapping[str, str]

    def values(self) -> dict[str, object]:
        """As columns of the scopes table."""
        return {
            "url": self.url,
            "credentials": self.credentials,
            "identity_version": self.identity_version,
            "identify_by": orjson.dumps([kind.value for kind in self.identify_by]).decode(),
            "region": self.region,
            "mapping": orjson.dumps(dict(self.mapping), option=orjson.OPT_SORT_KEYS).decode(),
        }


def find_org(ledger: LedgerFile, name: str) -> Org | None:
    """The organisation of that name, compared as `scope_key` says."""
    with closing(ledger.connect(readonly=True)) as connection:
        found = connection.execute(sa.select(orgs).where(orgs.c.key == scope_key(name))).mappings().first()
    return Org(id=found["id"], key=found["key"], name=found["name"]) if found else None


def create_org(ledger: LedgerFile, name: str, *, at: float) -> Org:
    """Set up an organisation; one that is there already is given back as it is."""
    known = find_org(ledger, name)
    if known is not None:
        return known
    key = scope_key(name)
    with closing(ledger.connect()) as connection, transaction(connection):
        org_id = connection.execute(
            sa.insert(orgs).values(key=key, name=name.strip()).returning(orgs.c.id)
        ).scalar_one()
        append_event(connection, None, {"org": org_id, "org_name": name.strip(), "org_key": key}, at=at)
    return Org(id=org_id, key=key, name=name.strip())


def find_scope(ledger: LedgerFile, org: Org, campaign: str) -> Scope | None:
    """The campaign of that name in an org."""
    return _one(ledger, (scopes.c.org_id == org.id) & (scopes.c.key == scope_key(campaign)))


def scope_of(ledger: LedgerFile, scope_id: int) -> Scope | None:
    """A campaign by its number."""
    return _one(ledger, scopes.c.id == scope_id)


def newest_scope(ledger: LedgerFile, org: Org) -> Scope | None:
    """The org's campaign that was run last: its address and credentials are what the org was last reached by."""
    with closing(ledger.connect(readonly=True)) as connection:
        newest = connection.execute(
            sa.select(scopes.c.id)
            .join(runs, runs.c.scope_id == scopes.c.id)
            .where(scopes.c.org_id == org.id)
            .order_by(runs.c.id.desc())
            .limit(1)
        ).scalar()
    return scope_of(ledger, newest) if newest is not None else None


def orgs_reached_by(ledger: LedgerFile, url: str, credentials: str) -> list[Org]:
    """The organisations of which a campaign was run at this address with these credentials."""
    query = (
        sa.select(orgs)
        .where(
            orgs.c.id.in_(
                sa.select(scopes.c.org_id)
                .join(runs, runs.c.scope_id == scopes.c.id)
                .where(scopes.c.url == url, scopes.c.credentials == credentials)
            )
        )
        .order_by(orgs.c.id)
    )
    with closing(ledger.connect(readonly=True)) as connection:
        return [
            Org(id=one["id"], key=one["key"], name=one["name"]) for one in connection.execute(query).mappings().all()
        ]


def _one(ledger: LedgerFile, condition: sa.ColumnElement[bool]) -> Scope | None:
    with closing(ledger.connect(readonly=True)) as connection:
        found = connection.execute(sa.select(scopes).where(condition)).mappings().first()
        if found is None:
            return None
        count = connection.execute(
            sa.select(sa.func.count()).select_from(runs).where(runs.c.scope_id == found["id"])
        ).scalar_one()
    return Scope(
        id=found["id"],
        org_id=found["org_id"],
        key=found["key"],
        campaign=found["campaign"],
        url=found["url"],
        credentials=found["credentials"],
        identity_version=found["identity_version"],
        identify_by=tuple(Kind(kind) for kind in json.loads(found["identify_by"])),
        region=found["region"],
        mapping=json.loads(found["mapping"]),
        runs=count,
    )


def freeze_scope(ledger: LedgerFile, org: Org, campaign: str, frozen: Frozen, *, at: float) -> Scope:
    """Create a campaign, or record anew what it was run with; the caller has checked that this is allowed."""
    known = find_scope(ledger, org, campaign)
    values = frozen.values()
    with closing(ledger.connect()) as connection, transaction(connection):
        if known is None:
            scope_id = connection.execute(
                sa.insert(scopes)
                .values(org_id=org.id, key=scope_key(campaign), campaign=campaign.strip(), created=at, **values)
                .returning(scopes.c.id)
            ).scalar_one()
        else:
            scope_id = known.id
            connection.execute(sa.update(scopes).where(scopes.c.id == scope_id).values(**values))
        shown = campaign.strip() if known is None else known.campaign
        named = {"scope": scope_id, "org_id": org.id, "key": scope_key(campaign), "campaign": shown}
        append_event(connection, None, {**named, **values, "mapping": len(frozen.mapping)}, at=at)
    scope = scope_of(ledger, scope_id)
    assert scope is not None  # noqa: S101 - written above
    return scope
