"""What each column is: told, remembered from the org's earlier runs, meant by its heading, or asked; never assumed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.scopes import Org, Scope
from runner.adapters.sheets import Table
from runner.app.input_files import Asker
from runner.core.check_tables import CHECK_COLUMN
from runner.core.columns import Columns, Role, assign_columns, is_uncertain, own_headings, role_of, squeeze
from runner.core.trimming import trim
from runner.errors import InputRefused, SettingsError
from runner.settings import Options

_LOOKED_BACK = 200
"""Runs of the org whose headings are remembered."""


@dataclass(slots=True)
class Understood:
    """The columns of each table, what is said of them, and flag → value of what was answered."""

    columns: list[Columns] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    asked: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Remembered:
    run: str
    roles: dict[str, str]


def understand(
    tables: Sequence[Table], *, options: Options, frozen: Scope | None, ledger: LedgerFile, org: Org, asker: Asker
) -> Understood:
    """Give each column of each table its role.

    Raises:
        InputRefused: a role has no column, or several. SettingsError: `headings` of the settings cannot be used.
    """
    own = own_headings(options.headings)
    if isinstance(own, list):
        raise SettingsError("\n".join(own))
    done = Understood()
    problems: list[str] = []
    memory = _memory(ledger, org)
    for table in tables:
        told = dict(options.map)
        if frozen is not None:
            for heading, role in frozen.mapping.items():
                if role not in told and heading in table.headers:
                    told[role] = heading
        remembered = memory.get(_key(table.headers))
        recalled = _recall(table, told, remembered)
        if recalled and remembered is not None:
            shown = ", ".join(f"{heading!r} is the {role}" for role, heading in recalled.items())
            done.notes.append(f"{table.name}: {shown}, as in the run {remembered.run} with the same headings")
            told |= recalled
        elif remembered is None and frozen is None:
            told |= _ask(table, told, asker, done)
        if CHECK_COLUMN in map(trim, table.headers) and not table.ours:
            problems.append(f"{table.name} is the check report of a list. Correct the list itself, and give that.")
            continue
        result = assign_columns(table.headers, told, own)
        if isinstance(result, list):
            problems += [f"{table.name}: {problem}" for problem in result]
        else:
            done.columns.append(result)
    if problems:
        raise InputRefused("\n".join(problems))
    return done


def _key(headers: Sequence[str]) -> tuple[str, ...]:
    """What two tables with the same set of headings have in common."""
    return tuple(sorted(filter(None, map(squeeze, headers))))


def _memory(ledger: LedgerFile, org: Org) -> dict[tuple[str, ...], _Remembered]:
    """Set of headings → what its columns were in the org's newest run that had it: a run is what somebody agreed to."""
    with closing(ledger.connect(readonly=True)) as connection:
        found = connection.exec_driver_sql(
            "SELECT r.name, r.files FROM runs r JOIN scopes s ON s.id = r.scope_id WHERE s.org_id = ?"
            " ORDER BY r.id DESC LIMIT ?",
            (org.id, _LOOKED_BACK),
        ).all()
    memory: dict[tuple[str, ...], _Remembered] = {}
    for run, files in found:
        for file in json.loads(files):
            if file.get("roles") and file.get("headers"):
                memory.setdefault(_key(file["headers"]), _Remembered(run=run, roles=dict(file["roles"])))
    return memory


def _recall(table: Table, told: dict[str, str], remembered: _Remembered | None) -> dict[str, str]:
    """Role → heading of what is remembered and does not follow from the headings themselves."""
    if remembered is None:
        return {}
    named = {squeeze(role) for role in told}
    taken = {squeeze(heading) for heading in told.values()}
    return {
        role: heading
        for heading, role in remembered.roles.items()
        if squeeze(role) not in named
        and squeeze(heading) not in taken
        and heading in table.headers
        and (role_of(heading) != role or sum(role_of(other) == role for other in table.headers) > 1)
    }


def _ask(table: Table, told: dict[str, str], asker: Asker, done: Understood) -> dict[str, str]:
    """Ask whether a customer id or user id is the externalId."""
    taken = {squeeze(heading) for heading in told.values()}
    has_id = Role.EXTERNAL_ID in told or any(role_of(heading) is Role.EXTERNAL_ID for heading in table.headers)
    if asker.choose is None or table.ours or has_id:
        return {}
    for heading in dict.fromkeys(map(trim, table.headers)):
        if not is_uncertain(heading) or squeeze(heading) in taken:
            continue
        answer = asker.choose(
            f"{table.name}: the column {heading!r} may be the externalId, or the id of another system. Is it the"
            " externalId (yes or no)",
            "no",
        )
        if answer.strip().casefold() in ("yes", "y"):
            pairs = [f"{role}={column}" for role, column in told.items()]
            done.asked["map"] = "\n".join([*pairs, f"{Role.EXTERNAL_ID}={heading}"])
            return {str(Role.EXTERNAL_ID): heading}
    return {}
