"""Files → staged rows: which campaign they belong to, what each column is, how customers are identified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from runner.adapters.containers import STDIN
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.runs import frozen_phone_format, newest_series_list
from runner.adapters.ledger.scopes import Org, Scope, find_scope, newest_scope, scope_of
from runner.adapters.ledger.staging import Staging
from runner.adapters.profiling import ColumnProfile
from runner.adapters.sheets import Table
from runner.app.input_files import Asker, ListRead, Told, list_of_record, open_input
from runner.app.staging_rows import StagedInput, stage_rows
from runner.app.understanding import understand
from runner.core.column_evidence import IdDamage
from runner.core.columns import Columns
from runner.core.identity import IDENTITY_VERSION, region_problem
from runner.core.keys import name_problem, scope_key
from runner.core.mobile_mix import Mixed
from runner.core.mobiles import PhoneFormat
from runner.core.model import Kind, Place
from runner.core.notices import Notice
from runner.core.refs import read_ref
from runner.core.rows import has_series_column
from runner.errors import InputRefused, LedgerVersion, SettingsError, UsageError
from runner.settings import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What was read. `files`: as the run records them. `notes`: sentences for the person. `understood`: per file.

    `phone_format`: how plain digits of mobiles are written. `noticed`: for each file what was repaired, is odd, or is
    no row of a customer. `first`: what has to be said before all else. `listed`: the list of series that holds for the
    campaign. `hidden`: what was decided about hidden rows, columns and sheets. `overrides`: decisions that the run
    records. `asked`: flag → value of what was answered. `restored`: row → heading → what a spreadsheet had made of an
    identifier.
    """

    campaign: str
    scope: Scope | None
    identify_by: tuple[Kind, ...]
    region: str | None
    mapping: dict[str, str]
    files: tuple[dict[str, object], ...]
    understood: tuple[tuple[str, tuple[ColumnProfile, ...]], ...]
    notes: tuple[str, ...]
    of_ours: bool
    phone_format: str | None = None
    noticed: tuple[tuple[str, tuple[Notice, ...]], ...] = ()
    first: tuple[str, ...] = ()
    listed: ListRead | None = None
    hidden: str | None = None
    overrides: tuple[dict[str, object], ...] = ()
    asked: Mapping[str, str] = field(default_factory=dict)
    restored: Mapping[Place, Mapping[str, str]] = field(default_factory=dict)


def take_in(
    paths: Sequence[Path], staging: Staging, *, ledger: LedgerFile, org: Org, options: Options, asker: Asker
) -> Intake:
    """Read all files into the staging area, in order.

    Raises:
        UsageError: no campaign, no or a changed way to identify customers. InputRefused: a file that cannot be used.
    """
    opened = open_input(paths, options=options, asker=asker, told=_told(ledger, org, options))
    tables, notes = opened.tables, opened.notes
    campaign, scope = _find_campaign(paths, tables, ledger, org, options, asker)
    if scope is not None and scope.identity_version != IDENTITY_VERSION:
        raise LedgerVersion(
            f"The campaign {scope.campaign!r} names customers by the rules of version {scope.identity_version}, "
            "this program"
            f" by version {IDENTITY_VERSION}: who is who could change. Use the program version that ran it before."
        )
    listed = in_force = opened.listed
    if listed is None and scope is not None:
        # Its limits hold for the whole campaign; its names and counts only for lines that came from it.
        in_force = list_of_record(newest_series_list(ledger, scope.id))
        listed = in_force if all(table.ours for table in tables) else None
    frozen = scope if scope is not None and scope.runs else None
    understood = understand(tables, options=options, frozen=frozen, ledger=ledger, org=org, asker=asker)
    columns = understood.columns
    notes += understood.notes
    opened.asked.update(understood.asked)
    mapping = _merge_mapping(tables, columns, frozen)
    region = _region(options, frozen, newest_scope(ledger, org), notes)
    identify_by = _identify_by(columns, options, frozen, asker)
    if options.fall_back and len(identify_by) < 2:
        raise UsageError(
            f"--fall-back needs a second kind of identifier to fall back to, but customers are identified by"
            f" {identify_by[0]} only: name several, such as --identify-by mobile,email, or say --no-fall-back."
        )
    first = _every_series(tables, columns, listed, options)
    written = _phone_format(options, ledger, frozen)
    damaged: dict[int, IdDamage] = {}

    def read() -> StagedInput:
        return stage_rows(
            tables,
            columns,
            staging,
            ledger,
            identify_by=identify_by,
            region=region,
            listed=listed.series if listed is not None else None,
            written=written,
            damaged=damaged,
            options=options,
        )

    rows = read()
    if (mixed := rows.mixed) is not None:
        answer = _region_of_mixed(mixed, frozen, asker)
        if answer is not None:
            region = opened.asked["region"] = answer
            staging.forget_rows()
            rows = read()
        else:
            first = (*first, f"{mixed.sentence()}: {_REJECTED}.")
            opened.overrides.append({"what": "mixed_mobiles"})
    if rows.ambiguous:
        answer = _format_of_ambiguous(rows.ambiguous, frozen, asker)
        written = PhoneFormat(answer)
        opened.asked["phone_format"] = answer
    if rows.damaged:
        damaged.update(rows.damaged)
    if rows.ambiguous or rows.damaged:
        staging.forget_rows()
        rows = read()
    notes += rows.notes
    leading = staging.scopes_of_refs()
    if any(scope_id != (scope.id if scope else None) for scope_id, _ in leading):
        names = ", ".join(sorted({name for _, name in leading} | {campaign}))
        raise InputRefused(
            f"The lines that we wrote (_ref) belong to different campaigns ({names}): run each by itself."
        )
    return Intake(
        campaign=campaign,
        scope=scope,
        identify_by=identify_by,
        region=region,
        phone_format=written.value if written is not None else None,
        mapping=mapping,
        files=tuple(rows.files),
        understood=tuple(rows.understood),
        notes=tuple(notes),
        of_ours=any(table.ours for table in tables),
        first=first,
        listed=in_force,
        hidden=opened.hidden,
        overrides=tuple(opened.overrides),
        asked=opened.asked,
        restored=rows.restored,
        noticed=tuple(rows.noticed),
    )


_REJECTED = "those without it are rejected"


def _phone_format(options: Options, ledger: LedgerFile, frozen: Scope | None) -> PhoneFormat | None:
    """How plain digits of mobiles are written: as in the campaign so far, or told.

    Raises:
        UsageError: told otherwise than in the campaign so far.
    """
    told = PhoneFormat(options.phone_format) if options.phone_format is not None else None
    if frozen is None:
        return told
    before = frozen_phone_format(ledger, frozen.id)
    if told is not None and told.value != before:
        raise UsageError(
            f"--phone-format {told}: the campaign {frozen.campaign!r} reads mobiles"
            f" {f'as {before}' if before else 'without one'}; another would change who is who."
        )
    return None if before is None else PhoneFormat(before)


def _format_of_ambiguous(why: str, frozen: Scope | None, asker: Asker) -> str:
    """How mobiles in plain digits are written, where both would make sense.

    Raises:
        UsageError: nobody is there to tell, or the answer is no format. InputRefused: the campaign began without one.
    """
    if frozen is not None:
        raise InputRefused(
            f"{why}. The campaign {frozen.campaign!r} began without --phone-format, which would change who is who now:"
            " write these numbers with + and their country code."
        )
    if asker.choose is None:
        raise UsageError(
            f"{why}. Say whether plain digits have their country code, --phone-format international, or lack it,"
            " --phone-format national; or write every number with + and its country code.",
        )
    answer = asker.choose(
        f"{why}. Do plain digits have their country code (international) or lack it (national)", "international"
    )
    if answer not in tuple(PhoneFormat):
        raise UsageError(f"{answer!r} is none of international, national.")
    return answer


def _region_of_mixed(mixed: Mixed, frozen: Scope | None, asker: Asker) -> str | None:
    """The country of mobiles without country code, for a campaign that mixes them; None: without it they are rejected.

    A campaign that began without a region goes on so: another reading would change who is who.

    Raises:
        UsageError: nobody is there to tell, or the answer is no country.
    """
    if frozen is not None:
        return None
    if asker.choose is None:
        raise UsageError(
            f"{mixed.sentence()}. Say which country those without it are from, --region {mixed.region}, or write every"
            " number with its country code.",
            add_flags=("--region", mixed.region),
        )
    answer = asker.choose(
        f"{mixed.sentence()}. Country of those without it (two letters), or none to reject those rows",
        mixed.region,
    )
    if answer.strip().casefold() == "none":
        return None
    if (problem := region_problem(answer.strip().upper())) is not None:
        raise UsageError(problem)
    return answer.strip().upper()


def _told(ledger: LedgerFile, org: Org, options: Options) -> Told:
    """The headings that somebody said the meaning of: now, or when the campaign began."""
    scope = find_scope(ledger, org, options.campaign) if options.campaign is not None else None
    now = [(heading, role) for role, heading in options.map.items()]
    return Told.of([*now, *(scope.mapping.items() if scope is not None else ())])


def _every_series(
    tables: Sequence[Table], columns: Sequence[Columns], listed: ListRead | None, options: Options
) -> tuple[str, ...]:
    """What to say first where customers without a series column get every series of the list."""
    if listed is None or options.series:
        return ()
    naming = [has_series_column(assigned) for assigned in columns]
    if all(naming):
        return ()
    if any(naming):
        with_column, without = (tables[naming.index(value)].name for value in (True, False))
        raise InputRefused(
            f"{with_column} has a series column and {without} has none, so it is not certain whether the customers of "
            f"{without} are to get every series of the list. Add the column, give --series ID, or run the files one by "
            "one."
        )
    entries = listed.series.entries
    names = ", ".join(f"{entry.id} {entry.name}".strip() for entry in entries[:5])
    more = f" and {len(entries) - 5:,} more" if len(entries) > 5 else ""
    sentence = (
        f"The customers have no series column, so EACH CUSTOMER GETS EVERY SERIES of the list in {listed.name}:"
        f" {len(entries):,} series ({names}{more})."
    )
    return (sentence,)


def _find_campaign(
    paths: Sequence[Path],
    tables: Sequence[Table],
    ledger: LedgerFile,
    org: Org,
    options: Options,
    asker: Asker,
) -> tuple[str, Scope | None]:
    """Lines that we wrote stay in their campaign; else it is named, asked, or, in a rehearsal, the file's stem."""
    printed = next((scope for table in tables if (scope := _printed_campaign(table, ledger, org)) is not None), None)
    if printed is not None:
        if options.campaign is not None and scope_key(options.campaign) != printed.key:
            raise UsageError(
                f"The file's lines belong to the campaign {printed.campaign!r}, not {options.campaign!r}: leave "
                "--campaign"
                " out, or remove the _ref column to make them rows of another campaign."
            )
        return printed.campaign, printed
    path = paths[0].with_suffix("") if paths[0].suffix.lower() == ".gz" else paths[0]
    stem = "stdin" if path == STDIN else path.stem
    campaign = options.campaign
    if campaign is None and ledger.rehearsal:
        campaign = stem
    if campaign is None and asker.choose is not None:
        campaign = asker.choose("Each customer counts once within", stem)
    if campaign is None or not scope_key(campaign):
        raise UsageError(
            "Which campaign is this? Each customer counts once per series within it, whatever the file is called."
            f" Give --campaign NAME, for example --campaign {stem}"
        )
    if (problem := name_problem(campaign)) is not None:
        raise UsageError(f"The campaign cannot be called {campaign!r}: {problem}. Give --campaign NAME.")
    return campaign, find_scope(ledger, org, campaign)


def _printed_campaign(table: Table, ledger: LedgerFile, org: Org) -> Scope | None:
    """The campaign of the first readable `_ref` of a file that we wrote."""
    if not table.ours:
        return None
    at = next(index for index, heading in enumerate(table.headers) if heading.strip() == "_ref")
    for chunk in table.rows():
        for _, cells in chunk:
            ref = read_ref(cells[at], ledger.key, ledger.ledger_id) if at < len(cells) and cells[at].strip() else ""
            if not isinstance(ref, str):
                scope_id = _scope_of_order(ledger, ref.order)
                scope = scope_of(ledger, scope_id) if scope_id is not None else None
                if scope is not None and scope.org_id == org.id:
                    return scope
    return None


def _scope_of_order(ledger: LedgerFile, order: str) -> int | None:
    with closing(ledger.connect(readonly=True)) as connection:
        found = connection.exec_driver_sql("SELECT scope_id FROM orders WHERE key = ?", (order,)).scalar()
    return int(found) if found is not None else None


def _merge_mapping(tables: Sequence[Table], columns: Sequence[Columns], frozen: Scope | None) -> dict[str, str]:
    """Heading → role over all files; a heading that meant something else when the campaign began is refused."""
    mapping = dict(frozen.mapping) if frozen is not None else {}
    for table, assigned in zip(tables, columns, strict=True):
        for heading, role in assigned.mapping.items():
            before = mapping.setdefault(heading, role)
            if before != role:
                when = "in this campaign so far" if frozen is not None else "in another file of this run"
                raise UsageError(
                    f"{table.name}: the heading {heading!r} would be the {role}, but it was the {before} {when}."
                    f" Rename the heading, or say what it is with --map {before}={heading!r}."
                )
    return mapping


def _region(options: Options, frozen: Scope | None, last: Scope | None, notes: list[str]) -> str | None:
    """The region of mobiles.

    The campaign's, or told, or that of the org's last campaign, so that campaigns see each other.
    """
    region = options.region.upper() if options.region is not None else None
    if region is not None and (problem := region_problem(region)) is not None:
        raise SettingsError(f"--region: {problem}")
    if frozen is None:
        if last is None or region == last.region:
            return region
        if region is None:
            notes.append(f"mobiles are read with the region {last.region}, as in the campaign {last.campaign!r}")
            return last.region
        before = f"the region {last.region}" if last.region else "no region"
        notes.append(
            f"mobiles are read with the region {region}, but with {before} in the campaign {last.campaign!r}: one"
            " written without country code there and here may be two customers, whose coupons are not compared"
        )
        return region
    if region is not None and region != frozen.region:
        raise UsageError(
            f"--region {region}: the campaign {frozen.campaign!r} reads mobiles with"
            f" {'the region ' + frozen.region if frozen.region else 'no region'}; another would change who is who."
        )
    return frozen.region


def _identify_by(columns: Sequence[Columns], options: Options, frozen: Scope | None, asker: Asker) -> tuple[Kind, ...]:
    """Which identifier is sent: frozen, told, the only one there is, or asked."""
    kinds = tuple(dict.fromkeys(kind for assigned in columns for kind in assigned.kinds))
    told = options.kinds
    if frozen is not None:
        if told and told != frozen.identify_by:
            raise UsageError(
                f"--identify-by {','.join(told)}: the campaign {frozen.campaign!r} identifies customers by"
                f" {','.join(frozen.identify_by)}, and that is fixed with its first run."
            )
        return frozen.identify_by
    if told:
        return told
    if len(kinds) == 1:
        return kinds
    names = ", ".join(kinds)
    if asker.choose is not None:
        answer = asker.choose(f"The file has several identifiers ({names}). Which one is sent to the API", kinds[0])
        if answer not in kinds:
            raise UsageError(f"{answer!r} is none of {names}.")
        return (Kind(answer),)
    raise UsageError(
        f"The file has several identifiers ({names}): say which one is sent to the API, --identify-by {kinds[0]}, or"
        f" --identify-by {','.join(kinds)} for the first that a row has.",
        add_flags=("--identify-by", kinds[0]),
    )
