"""The rows of an input's tables, read one table after the other and staged; what is to be said of them is collected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runner.adapters.delimited import Record
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.staging import Staging
from runner.adapters.profiling import ColumnProfile, Profiler
from runner.adapters.sheets import EmptyTable, Table
from runner.app.restoring import Restorer
from runner.core.column_contents import contents_problem
from runner.core.column_evidence import IdDamage
from runner.core.columns import Columns
from runner.core.mobile_mix import Mixed, MobileMix
from runner.core.mobiles import PhoneFormat
from runner.core.model import Kind, Place, RejectedRow, Row
from runner.core.notices import About, Notice
from runner.core.plain_rows import PlainReader, PlainRows
from runner.core.rows import RowReader
from runner.core.series_list import SeriesList
from runner.core.template import is_example, left_out, may_hold_example, without_example
from runner.errors import InputRefused
from runner.settings import Options


@dataclass(slots=True)
class StagedInput:
    """What reading all rows brought. `mixed`: mobiles with and without country code, where no region places them.

    `ambiguous`: why the country of some mobiles is not certain. `damaged`: number of the table → what a spreadsheet did
    to its ids, when that was not known while they were read.
    """

    understood: list[tuple[str, tuple[ColumnProfile, ...]]] = field(default_factory=list)
    files: list[dict[str, object]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    mixed: Mixed | None = None
    ambiguous: str = ""
    damaged: dict[int, IdDamage] = field(default_factory=dict)
    noticed: list[tuple[str, tuple[Notice, ...]]] = field(default_factory=list)
    restored: dict[Place, dict[str, str]] = field(default_factory=dict)


def stage_rows(
    tables: Sequence[Table],
    columns: Sequence[Columns],
    staging: Staging,
    ledger: LedgerFile,
    *,
    identify_by: Sequence[Kind],
    region: str | None,
    listed: SeriesList | None,
    written: PhoneFormat | None,
    damaged: Mapping[int, IdDamage],
    options: Options,
) -> StagedInput:
    """Stage the rows of all tables, in order."""
    done = StagedInput()
    mix = MobileMix() if region is None else None
    for number, (table, assigned) in enumerate(zip(tables, columns, strict=True)):
        reader = RowReader(
            assigned,
            identify_by=identify_by,
            region=region,
            default_series=options.series,
            default_count=options.count,
            ledger_id=ledger.ledger_id,
            key=ledger.key,
            series_list=listed,
            max_per_row=options.max_per_row,
            written=written,
            damaged=damaged.get(number),
            short_ids=options.short_ids == "accept",
            see_mobile=None if mix is None else mix.see,
        )
        looked_at = table.ours
        plain = reader.plain(number, table.sheet, None if mix is None else mix.see_all)
        profiler = Profiler(assigned)
        restorer = Restorer(ledger, assigned)
        before = staging.rows
        examples: list[int] = []
        for chunk in map(restorer.restored, table.rows()):
            if may_hold_example(cells for _, cells in chunk) and (
                found := [row for row, cells in chunk if is_example(assigned, cells)]
            ):
                examples += found
                chunk = [record for record in chunk if record[0] not in found]  # noqa: PLW2901
            if not looked_at:
                looked_at = True
                if problems := contents_problem(assigned, [cells for _, cells in chunk]):
                    raise InputRefused("\n".join(f"{table.name}: {problem}" for problem in problems))
            profiler.add(chunk)
            staging.add(_customers(reader, plain, number, table.sheet, chunk, assigned))
        done.understood.append((table.name, profiler.profiles()))
        if (restored := restorer.note(table.name)) is not None:
            done.notes.append(restored)
            done.restored |= {Place(number, table.sheet, row): texts for row, texts in restorer.by_row().items()}
        noticed = reader.notices.all()
        done.notes += [f"{table.name}: {notice.sentence()}" for notice in noticed]
        done.noticed.append((table.name, noticed))
        if (why := reader.evidence.ambiguous_mobiles()) is not None:
            done.ambiguous = done.ambiguous or f"{table.name}: {why}"
        if number not in damaged and not table.ours and (damage := reader.evidence.damage()) is not None:
            done.damaged[number] = damage
        if examples:
            done.notes.append(f"{table.name}: {left_out(examples)}")
            if not staging.rows and number == len(tables) - 1:
                raise EmptyTable(f"{table.name} holds nothing but the template's example row: fill in your customers.")
        if assigned.uncertain:
            names = ", ".join(assigned.uncertain)
            done.notes.append(f"{table.name}: not used, since nobody said what it is: {names} (say it with --map)")
        default_count = options.count if listed is None else None
        if (unread := assigned.unread_sentence(default_count)) is not None:
            done.notes.append(f"{table.name}: {unread}")
        done.files.append(
            {
                "name": table.name,
                "sha256": table.sha256,
                "sheet": table.sheet,
                "headers": list(assigned.original_headers),
                "roles": assigned.mapping,
                "rows": staging.rows - before,
                "left_out": [
                    [one.what, one.count, list(one.rows)] for one in noticed if one.about is About.NO_CUSTOMER
                ],
            }
        )
    done.mixed = mix.found() if mix is not None else None
    return done


def _customers(
    reader: RowReader,
    plain: PlainReader | None,
    number: int,
    sheet: str,
    chunk: Sequence[Record],
    columns: Columns,
) -> Iterator[Row | RejectedRow | PlainRows]:
    """The rows of a chunk; what is none of a customer (totals, notes) is noticed and left out."""
    for record in plain.read(chunk) if plain is not None else chunk:
        if isinstance(record, PlainRows):
            yield record
            continue
        row, cells = record
        found = reader.read(Place(number, sheet, row), cells)
        if (why := reader.no_customer(cells, found)) is None:
            yield without_example(found, columns)
        else:
            reader.notices.take_back(row)
            reader.notices.see(About.NO_CUSTOMER, None, why, row)
