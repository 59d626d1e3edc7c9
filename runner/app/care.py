"""Care of the ledger: `backup`, `forget` and `purge`. Nothing here sends anything; nothing is lost that protects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from runner.adapters.ledger.backup import Copied, back_up
from runner.adapters.ledger.erasing import (
    Erased,
    OldRun,
    PersonFacts,
    cells_of_rows,
    compact,
    forget,
    identity_hashes,
    old_runs,
    person_facts,
    purge,
    rejected_rows_with,
)
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.forgotten import remember
from runner.adapters.ledger.keyfile import key_path
from runner.adapters.ledger.locks import ScopeLock
from runner.adapters.ledger.scopes import Org
from runner.app.conversation import Conversation, Request
from runner.app.place import open_ledger, open_org, place_of
from runner.core.identity import read_identifier
from runner.core.keys import name_hash
from runner.core.model import Kind
from runner.core.reporting import write_time
from runner.core.wording import counted
from runner.errors import InputRefused, LockHeld, UsageError
from runner.ports import Clock

SUGGESTED = "400d"
"""What is suggested to who has set no retention: a campaign of last year can still be looked up when it comes again."""


def hashes_of(text: str, key: bytes, regions: Sequence[str | None]) -> set[bytes]:
    """The keyed hashes of everything that a text may mean as the name of a customer."""
    hashes = {name_hash(key, Kind.CUSTOMER_ID, text.strip())} if text.strip() else set()
    for kind in (Kind.MOBILE, Kind.EMAIL, Kind.EXTERNAL_ID):
        for region in {None, *regions}:
            read = read_identifier(kind, text, region)
            if not isinstance(read, str):
                hashes.add(name_hash(key, kind, read.value))
    return hashes


# ── backup ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """A backup, and the file without which it is of no use."""

    copy: Copied
    key: Path


def back_up_ledger(target: Path | None, request: Request, *, clock: Clock) -> BackedUp:
    """Copy the ledger while others work on it. `target`: a file or a folder; None: a new file beside the ledger.

    Raises:
        UsageError: there is a file already. LedgerFailed: it cannot be read or written.
    """
    place = place_of(request.options, request.environment)
    ledger = open_ledger(place, clock)
    name = f"{ledger.path.name}.{datetime.fromtimestamp(clock.wall(), UTC):%Y%m%dT%H%M%SZ}.backup"
    if target is None:
        target = ledger.path.with_name(name)
    elif target.is_dir():
        target = target / name
    return BackedUp(copy=back_up(ledger, target), key=key_path(place.keys, ledger.ledger_id))


# ── forget ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What `forget` did. `before`: when she had been forgotten already, None when not.

    `erased.clean`: none of it is left in the ledger's files. `holding`: folders of reports and copies of the ledger
    that still name her.
    """

    people: int
    erased: Erased
    before: float | None
    holding: tuple[str, ...]


def forget_customer(text: str, request: Request, *, clock: Clock, conversation: Conversation) -> Forgotten:
    """Erase a customer over all campaigns of the org, and see to it that she is never issued to again.

    Raises:
        UsageError: nobody is known by this; several people are; something of hers is in doubt; nobody agrees.
        LockHeld: one of her campaigns is being run.
    """
    options = request.options
    place = place_of(options, request.environment)
    ledger, keys = open_ledger(place, clock), place.keys
    ledger.check_newest()
    org = open_org(ledger, options)
    regions = [options.region, *regions_of(ledger, org)]
    found = person_facts(ledger, org.id, hashes_of(text, ledger.key, regions))
    if not found:
        raise UsageError(
            "The ledger knows no customer of this organisation by that. Give a mobile with its country code, an e-mail"
            " or an external id, as `coupon-runner find` finds her.",
            next_command="coupon-runner find CUSTOMER",
        )
    if len(found) > 1:
        raise UsageError(
            f"That leads to {len(found)} different customers. Give an identifier that only the one to be forgotten has."
        )
    facts = found[0]
    _check_settled(facts)
    if not options.yes:
        _ask_to_forget(facts, conversation)
    with ExitStack() as stack:
        for key, campaign in facts.scopes.items():
            stack.enter_context(
                ScopeLock.acquire(ledger.path, org=org.key, campaign=key, run="forget", shown=campaign, wall=clock.wall)
            )
        # Read again under the locks: a run that has just ended may have added to it.
        facts = next(one for one in person_facts(ledger, org.id, hashes_of(text, ledger.key, regions)))
        _check_settled(facts)
        more = _rejected_rows_of(ledger, org, facts, text, regions)
        remember(keys, ledger, org.key, identity_hashes(ledger, facts.persons))
        rows, orders, coupons = forget(ledger, facts, more, at=clock.wall())
    clean = compact(ledger)
    return Forgotten(
        people=1,
        erased=Erased(rows=rows, orders=orders, coupons=coupons, clean=clean),
        before=facts.forgotten,
        holding=_still_holding(ledger, facts.runs),
    )


def regions_of(ledger: LedgerFile, org: Org) -> list[str | None]:
    """The countries that the org's campaigns read mobiles by."""
    with ledger.connect(readonly=True) as conn:
        return list(conn.exec_driver_sql("SELECT DISTINCT region FROM scopes WHERE org_id = ?", (org.id,)).scalars())


def _check_settled(facts: PersonFacts) -> None:
    if facts.doubts:
        raise UsageError(
            f"{counted(facts.doubts, 'call')} for this customer {'is' if facts.doubts == 1 else 'are'} in doubt: what"
            " was erased could not be settled any more. Settle that first.",
            next_command="coupon-runner reconcile",
        )


def _ask_to_forget(facts: PersonFacts, conversation: Conversation) -> None:
    what = (
        f"{counted(len(facts.rows), 'row')}, {counted(len(facts.orders), 'order')} and"
        f" {counted(facts.issued, 'coupon')} of {counted(len(facts.scopes), 'campaign')}"
    )
    if not conversation.present:
        raise UsageError(
            f"To forget a customer cannot be undone ({what}), and nobody is here to agree: add --yes.",
            add_flags=("--yes",),
        )
    conversation.note(f"{what} would lose every name, cell and code; her coupons stay valid, and she gets no others.")
    if not conversation.confirm("Forget this customer for good?"):
        raise InputRefused("Not agreed: nothing was erased.")


def _rejected_rows_of(
    ledger: LedgerFile, org: Org, facts: PersonFacts, text: str, regions: Sequence[str | None]
) -> list[int]:
    """Rows that were rejected, and so lead to nobody, in which one of her identifiers stands."""
    hers = identity_hashes(ledger, facts.persons) | hashes_of(text, ledger.key, regions)
    seen: dict[str, bool] = {}

    def is_her_cell(cell: str) -> bool:
        if cell not in seen:
            if len(seen) > 100_000:
                seen.clear()
            seen[cell] = bool(cell.strip()) and not hers.isdisjoint(hashes_of(cell, ledger.key, regions))
        return seen[cell]

    names = {cell for cells in cells_of_rows(ledger, facts.rows) for cell in cells if is_her_cell(cell)} | {text}

    def is_hers(cells: Sequence[str]) -> bool:
        return any(cell in names or is_her_cell(cell) for cell in cells)

    return rejected_rows_with(ledger, org.id, is_hers)


def _still_holding(ledger: LedgerFile, runs: Mapping[str, str]) -> tuple[str, ...]:
    """Folders of reports that are still there, and copies of the ledger beside it. They are not touched."""
    folders = [Path(out) / name for name, out in runs.items() if out]
    copies = sorted(ledger.path.parent.glob(f"{ledger.path.name}.*backup"))
    return tuple(str(path) for path in [*folders, *copies] if path.exists())


# ── purge ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """What `purge` did. `runs`: their ids. `busy`: campaigns left out because they are being run."""

    runs: tuple[str, ...]
    busy: tuple[str, ...]
    erased: Erased
    holding: tuple[str, ...]


def purge_runs(
    older_than_seconds: float | None, request: Request, *, clock: Clock, conversation: Conversation
) -> Purged:
    """Erase cells, identifiers and codes of runs that ended long ago and have nothing in doubt or left to ask.

    Raises:
        UsageError: no age is given or set, or nobody agrees.
    """
    options = request.options
    age = older_than_seconds if older_than_seconds is not None else options.retention
    if age is None:
        raise UsageError(
            f"How old? Give --older-than {SUGGESTED}, or set a retention for good in the settings file:"
            f' retention = "{SUGGESTED}". Cells, identifiers and codes of runs that ended longer ago are erased.',
            add_flags=("--older-than", SUGGESTED),
        )
    ledger = open_ledger(place_of(options, request.environment), clock)
    ledger.check_newest()
    org = open_org(ledger, options)
    before = clock.wall() - age
    found = old_runs(ledger, org.id, before=before)
    if found and not options.yes:
        _ask_to_purge(found, conversation)
    with ExitStack() as stack:
        free, busy = _free(stack, ledger, org, found, clock)
        chosen = [run for run in old_runs(ledger, org.id, before=before) if run.scope_key in free]
        counts = purge(ledger, chosen, at=clock.wall()) if chosen else (0, 0, 0)
    return Purged(
        runs=tuple(run.name for run in chosen),
        busy=tuple(busy),
        erased=Erased(rows=counts[0], orders=counts[1], coupons=counts[2], clean=compact(ledger)),
        holding=_still_holding(ledger, {run.name: run.out for run in chosen}),
    )


def overdue(request: Request, *, clock: Clock) -> str:
    """A sentence when runs are older than the retention that is set; "" when none is, or none is set."""
    options = request.options
    if options.retention is None or options.sandbox:
        return ""
    ledger = open_ledger(place_of(options, request.environment), clock)
    if options.org is None or ledger.behind:
        return ""
    runs = old_runs(ledger, open_org(ledger, options).id, before=clock.wall() - options.retention)
    if not runs:
        return ""
    return (
        f"{counted(len(runs), 'run')} ended longer ago than the retention that is set: `coupon-runner purge` erases"
        " their cells, identifiers and codes"
    )


def _free(
    stack: ExitStack, ledger: LedgerFile, org: Org, runs: Sequence[OldRun], clock: Clock
) -> tuple[set[str], list[str]]:
    """The campaigns of these runs whose locks are free, now held, and a sentence for each that is busy."""
    free, busy = set(), []
    for key, campaign in {run.scope_key: run.campaign for run in runs}.items():
        try:
            stack.enter_context(
                ScopeLock.acquire(ledger.path, org=org.key, campaign=key, run="purge", shown=campaign, wall=clock.wall)
            )
        except LockHeld as held:
            busy.append(held.message)
            continue
        free.add(key)
    return free, busy


def _ask_to_purge(runs: Sequence[OldRun], conversation: Conversation) -> None:
    what = (
        f"{counted(len(runs), 'run')} with {counted(sum(run.rows for run in runs), 'row')}, the newest of"
        f" {write_time(max(run.ended for run in runs))[:10]}"
    )
    if not conversation.present:
        raise UsageError(
            f"Purging cannot be undone ({what}), and nobody is here to agree: add --yes.", add_flags=("--yes",)
        )
    conversation.note(f"{what}: cells, identifiers and codes would be erased; what was issued stays known.")
    if not conversation.confirm("Erase them for good?"):
        raise InputRefused("Not agreed: nothing was erased.")
