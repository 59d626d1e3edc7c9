"""Writes a run's reports: CSV tables, workbooks, summary.json, and manifest.json which vouches for them.

Everything is written under temporary names, synced, and renamed only when all of it is complete; the manifest comes
last. The tables are written in one pass over the run's lines, so memory does not grow with the run. The same state of
the ledger gives the same bytes.
"""

from __future__ import annotations

import errno
import gc
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.adapters.file_set import FULL_DISK, FileSet
from runner.adapters.ledger.reports import RunReader
from runner.adapters.manifests import MANIFEST, manifest_of, number_in, read_manifest
from runner.adapters.report_summary import summary_of
from runner.core.codes import CodeTable
from runner.core.face_value import values_of_run
from runner.core.report_lines import RejectedLine
from runner.core.reporting import (
    COUPON_COLUMNS,
    DOUBT_COLUMNS,
    FAILURE_COLUMNS,
    RESULT_COLUMNS,
    Advise,
    Cell,
    Tables,
)
from runner.core.series_list import names_of_record
from runner.core.totals import DoesNotAddUp, Tally, Totals, exit_codes, prove
from runner.core.workbook_summary import RunInWords
from runner.errors import Fatal, ForeignLedger, UsageError

if TYPE_CHECKING:
    from runner.adapters.report_workbook import Workbooks

SUMMARY = "summary.json"
ERASED = "-erased"
"""At the end of the name of a folder that stands beside reports which still hold what was erased."""

ATTEMPTS = 3
"""How often a report is tried while the ledger moves under it."""

TABLES = ("results.csv", "failures.csv", "in_doubt.csv", "coupons.csv")
WORKBOOKS = ("report.xlsx", "failures.xlsx")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkbookOptions:
    """What workbooks need beside the ledger: what codes mean, and the zone of their times (None: the machine's)."""

    codes: CodeTable
    zone: tzinfo | None = None

    def local(self, seconds: float) -> datetime:
        """A time in the zone of the workbooks."""
        return datetime.fromtimestamp(seconds, UTC).astimezone(self.zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The reports as they now stand: their folder, the files in it, and the sums that they were proved by."""

    folder: Path
    files: tuple[Path, ...]
    totals: Totals
    exit_codes: tuple[int, ...]
    revision: int


def write_reports(
    reader: RunReader,
    folder: Path,
    *,
    advise: Advise,
    workbooks: WorkbookOptions | None = None,
    over_fuller: bool = False,
) -> Written:
    """Write all reports of a run, proved to add up, into `folder` (0700; files 0600).

    Where the reports there still hold what was erased from the ledger since, they are kept, and these are written
    beside them, into a folder whose name ends in `ERASED`; `over_fuller`: a person wants them replaced.

    `advise`: code → what to do about it, in one sentence. `workbooks`: None for CSV and JSON only; workbooks that an
    earlier report left are then removed, unless somebody has worked in them. While the run is still going on its sums
    may move between the lines and the calls; then they are not held against each other.

    Raises:
        DoesNotAddUp: the lines' sums and the ledger's disagree; nothing was replaced.
        ForeignLedger: the folder holds reports of another ledger.
        Fatal: the files cannot be written.
        LedgerFailed: the ledger cannot be read.
    """
    with _spoken_errors(folder, reader.run.name):
        erased = reader.erased()
        earlier = read_manifest(folder / MANIFEST)
        ours = earlier is not None and earlier.get("ledger") == reader.ledger.ledger_id
        if earlier is not None and ours and not over_fuller and erased > number_in(earlier.get("erased")):
            folder = folder.with_name(folder.name + ERASED)
            earlier = read_manifest(folder / MANIFEST)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        if earlier is not None and earlier.get("ledger") != reader.ledger.ledger_id:
            raise ForeignLedger(
                f"The folder {folder} holds reports of another ledger ({earlier.get('ledger')}; the one in use is "
                f"{reader.ledger.ledger_id}). Choose another folder with --out."
            )
        revision = int(earlier.get("revision", 0)) + 1 if earlier is not None else 1
        for attempt in range(1, ATTEMPTS + 1):
            head = reader.head()
            try:
                told = {"head": {"seq": head.seq, "hash": head.hash.hex()}, "erased": erased}
                return _write_once(reader, folder, advise, workbooks, told, revision, earlier or {})
            except DoesNotAddUp:
                # A later run of the campaign may have found two people to be one while the pages went by.
                if attempt == ATTEMPTS or reader.head() == head:
                    raise
    raise AssertionError("the last attempt returns or raises")


def prepare_folder(folder: Path) -> None:
    """Make the folder of a run's reports, before anything is sent that could not be reported.

    Raises:
        UsageError: it cannot be made, or nothing can be written to it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UsageError(
            f"The reports cannot be written to {folder} ({error.strerror or type(error).__name__}): nothing was sent."
            " Choose a folder that can be made and written to with --out, or mend this one."
        ) from None


def _write_once(
    reader: RunReader,
    folder: Path,
    advise: Advise,
    workbooks: WorkbookOptions | None,
    told: Mapping[str, Any],
    revision: int,
    earlier: Mapping[str, Any],
) -> Written:
    live = reader.is_live()
    with FileSet(folder) as files, _no_collector():
        tables = _tables_of(reader, advise)
        books = _open_workbooks(reader, tables, files, workbooks, live) if workbooks is not None else None
        with closing(books) if books is not None else nullcontext():
            tally = _write_tables(reader, tables, files, books)
            totals = reader.totals(tally)
            if not live:
                prove(totals)
            codes = exit_codes(totals, reader.run.exit_codes)
            saved = books.finish(totals, codes) if books is not None else {}
            for name, book in saved.items():
                book.save(files.open_stream(name))
        for name in WORKBOOKS:
            if name not in saved and _untouched(folder / name, earlier):
                files.retire(name)
        files.write_json(SUMMARY, summary_of(reader, totals, codes, live, [*saved, *TABLES]))
        files.write_json(MANIFEST, manifest_of(reader, files, told, revision))
        paths = sorted(files.publish(), key=lambda path: path.name not in WORKBOOKS)  # first what people open
    return Written(folder=folder, files=tuple(paths), totals=totals, exit_codes=codes, revision=revision)


def _untouched(path: Path, earlier: Mapping[str, Any]) -> bool:
    """Whether a file is still what the earlier manifest vouches for: nobody has worked in it."""
    entry = earlier.get("files", {}).get(path.name)
    if not isinstance(entry, dict) or not path.is_file() or path.stat().st_size != entry.get("size"):
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == entry.get("sha256")


# ---------------------------------------------------------------- tables


def _tables_of(reader: RunReader, advise: Advise) -> Tables:
    return Tables(
        reader.shapes,
        ledger_id=reader.ledger.ledger_id,
        key=reader.ledger.key,
        rehearsal=reader.ledger.rehearsal,
        advise=advise,
        again=f"Nothing is wrong with it: `coupon-runner resume {reader.run.name}` asks for it.",
    )


def _open_workbooks(
    reader: RunReader, tables: Tables, files: FileSet, workbooks: WorkbookOptions, live: bool
) -> Workbooks:
    from runner.adapters.report_workbook import Workbooks

    run = reader.run
    several = len(reader.shapes) > 1
    ours = (len(RESULT_COLUMNS) + several, len(FAILURE_COLUMNS) + several, len(DOUBT_COLUMNS), len(COUPON_COLUMNS))
    headers = (tables.result_header, tables.failure_header, tables.doubt_header, tables.coupon_header)
    return Workbooks(
        RunInWords(
            name=run.name,
            org=run.org,
            campaign=run.campaign,
            state=run.state,
            reason=run.reason,
            files=run.files,
            owner=run.owner,
            started=run.started,
            ended=run.ended,
            live=live,
            rehearsal=reader.ledger.rehearsal,
            series_names=names_of_record(run.args.get("series_list")),
            values=values_of_run(run.args),
            preflight=run.args.get("preflight") or {},
        ),
        codes=workbooks.codes,
        local=workbooks.local,
        headers=dict(zip(TABLES, zip(headers, ours, strict=True), strict=True)),
        lines=reader.line_count(),
        scratch=files.scratch,
    )


class _Target:
    """Where a table's rows go: its CSV file, and the workbooks if there are any."""

    def __init__(self, name: str, header: Sequence[Cell], files: FileSet, books: Workbooks | None) -> None:
        self._name = name
        self._books = books
        self._table = files.open_table(name)
        self._table.write([header])

    def write(self, rows: Sequence[Sequence[Cell]]) -> None:
        self._table.write(rows)
        if self._books is not None and rows:
            self._books.write(self._name, rows)


def _write_tables(reader: RunReader, tables: Tables, files: FileSet, books: Workbooks | None) -> Tally:
    headers = (tables.result_header, tables.failure_header, tables.doubt_header, tables.coupon_header)
    results, failures, doubts, coupons = (
        _Target(name, header, files, books) for name, header in zip(TABLES, headers, strict=True)
    )
    tally = Tally()
    for page in reader.pages():
        result_rows: list[list[Cell]] = []
        failure_rows: list[list[Cell]] = []
        coupon_rows: list[list[Cell]] = []
        for line in page:
            if isinstance(line, RejectedLine):
                result_rows.append(tables.rejected_result_row(line))
                failure_rows.append(tables.rejected_failure_row(line))
                if books is not None:
                    books.reject(line)
                continue
            result_rows.append(tables.result_row(line))
            if line.speaks:
                failure_rows.append(tables.failure_row(line))
            if line.first and line.order.doubts:
                doubts.write(list(tables.doubt_rows(line, reader.run_names)))
            if line.holding.coupons is None:
                coupons.write(coupon_rows)
                coupon_rows.clear()
            for some in reader.coupons(line):
                coupon_rows += tables.coupon_rows(line, some)
                if line.holding.coupons is None:
                    coupons.write(coupon_rows)
                    coupon_rows.clear()
        results.write(result_rows)
        failures.write(failure_rows)
        coupons.write(coupon_rows)
        tally.add_page(page)
    return tally


# ---------------------------------------------------------------- around it


@contextmanager
def _no_collector() -> Iterator[None]:
    """Lines hold no cycles and die page by page; the collector would walk all of them in vain (a tenth of the time)."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _spoken_errors(folder: Path, run_name: str) -> Iterator[None]:
    """What the operating system says about the files, as a sentence."""
    try:
        yield
    except OSError as error:
        again = f"Nothing that was issued is lost; `coupon-runner report {run_name}` writes the reports again."
        if error.errno in FULL_DISK:
            what = f"The disk of {folder} is full, so the reports were not written. Free some space."
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            what = (
                f"The reports may not be written to {folder}. Close the file if it is open in a spreadsheet, give your "
                "user the right to write there, or name another --out."
            )
        else:
            what = f"The reports could not be written to {folder} ({error.strerror or type(error).__name__})."
        raise Fatal(f"{what} {again}", next_command=f"coupon-runner report {run_name}") from error
