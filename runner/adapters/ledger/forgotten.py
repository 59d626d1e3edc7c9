"""Who was forgotten, as a list of keyed hashes beside the ledger's key: an older copy of the ledger is told by it.

`<ledger id>.forgotten` holds a line for each person: a keyed digest of her organisation, and the keyed hashes of her
identifiers. Without the ledger's key nobody can find out from it who that is.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from runner.adapters.ledger.erasing import forget, person_facts
from runner.adapters.ledger.events import append_event
from runner.adapters.ledger.files import LedgerFile, transaction
from runner.adapters.ledger.schema import identity, persons
from runner.adapters.ledger.settling import names_told
from runner.errors import LedgerFailed


class ForgottenOne(NamedTuple):
    """One line of the list: whose organisation, and the hashes of all identifiers that were known to be hers."""

    org: str
    names: frozenset[bytes]


def list_path(keys: Path, ledger_id: str) -> Path:
    """Where the list of a ledger lies."""
    return keys / f"{ledger_id}.forgotten"


def org_digest(key: bytes, org_key: str) -> str:
    """What stands for an organisation in the list."""
    return blake2b(org_key.encode(), digest_size=16, key=key, person=b"forgotten").hexdigest()


def read_list(keys: Path, ledger_id: str) -> list[ForgottenOne]:
    """Everybody on the list; nobody when there is none.

    Raises:
        LedgerFailed: the list cannot be read, or somebody has edited it.
    """
    path = list_path(keys, ledger_id)
    found = []
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise LedgerFailed(f"The list {path} of those who were forgotten cannot be read: {error}.") from error
    for number, line in enumerate(lines, 1):
        org, *names = line.split()
        try:
            found.append(ForgottenOne(org, frozenset(bytes.fromhex(name) for name in names)))
        except ValueError:
            raise LedgerFailed(
                f"Line {number} of {path}, the list of those who were forgotten, was edited: {line[:40]!r} is no list"
                " of hashes. Put the list back from your backup."
            ) from None
    return found


def remember(keys: Path, ledger: LedgerFile, org_key: str, names: Collection[bytes]) -> None:
    """Add a person to the list, synced, before she is erased; whoever is on it already is not added again.

    Raises:
        LedgerFailed: it cannot be read or written; nothing was added.
    """
    one = ForgottenOne(org_digest(ledger.key, org_key), frozenset(names))
    there = read_list(keys, ledger.ledger_id)
    if any(one.org == other.org and one.names <= other.names for other in there):
        return
    path = list_path(keys, ledger.ledger_id)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            for org, hashes in (*there, one):
                file.write(" ".join([org, *sorted(name.hex() for name in hashes)]) + "\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise LedgerFailed(
            f"The list {path} of those who were forgotten cannot be written ({error.strerror}), so nothing was erased:"
            " a backup that is put back would not know of it."
        ) from error


def forget_again(ledger: LedgerFile, keys: Path, *, at: float) -> int:
    """Forget in an older copy whom the list names; returns how many it did not know to be forgotten.

    Whoever the copy does not know is entered as forgotten, so that she is not taken for somebody new. What is in doubt
    keeps what it takes to find out. Only for a recovery (`LedgerFile.mending`) that holds every campaign's lock.

    Raises:
        LedgerFailed: the list or the ledger cannot be read or written.
    """
    with closing(ledger.connect(readonly=True)) as conn:
        orgs = {org_digest(ledger.key, key): number for number, key in conn.exec_driver_sql("SELECT id, key FROM orgs")}
    count = 0
    for one in read_list(keys, ledger.ledger_id):
        if one.org not in orgs:
            continue
        people = person_facts(ledger, orgs[one.org], one.names)
        for facts in people:
            if facts.forgotten is None:
                forget(ledger, facts, (), at=at, leave_doubts=True)
                count += 1
        count += _enter(ledger, orgs[one.org], one.names, people[0].persons[0] if people else None, at=at)
    return count


def _enter(ledger: LedgerFile, org_id: int, names: Collection[bytes], person: int | None, *, at: float) -> int:
    """See to it that all names lead to a forgotten person; 1 when she had to be entered anew."""
    with closing(ledger.connect()) as conn, transaction(conn):
        of_org = sa.select(identity.c.hash).where(identity.c.org_id == org_id, identity.c.hash.in_(list(names)))
        missing = sorted(set(names) - {bytes(one) for one in conn.execute(of_org).scalars()})
        if not missing:
            return 0
        number = person
        if number is None:
            number = conn.execute(
                sa.insert(persons).values(org_id=org_id, name=missing[0], forgotten=at).returning(persons.c.id)
            ).scalar_one()
            append_event(conn, None, {"forget": {"persons": [number], "orders": []}, "method": "recover"}, at=at)
        for digest in missing:
            conn.execute(sa.insert(identity).values(org_id=org_id, hash=digest, person_id=number))
        told = names_told([(org_id, number)] * len(missing), missing)
        append_event(conn, None, {"names": told, "method": "recover"}, at=at)
    return int(person is None)
