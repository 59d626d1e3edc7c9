"""What a plan finds wrong with its input: counted for the person, written as the check report, held against a limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from runner.adapters.check_report import write_check
from runner.adapters.ledger.staging import Staging
from runner.app.intake import Intake
from runner.core.check_tables import (
    MOST_ROWS,
    CheckedFile,
    CheckFacts,
    Judged,
    Repaired,
    file_of_record,
    judge,
)
from runner.core.checking import (
    DEFAULT_MAX_REJECTED,
    MaxRejected,
    ProblemKind,
    ProblemTally,
    commonest,
    in_order,
)
from runner.core.model import Place, Problem
from runner.core.notices import About, Notice
from runner.core.plan import Plan
from runner.core.probing import ProbeFound, say
from runner.core.workbook_tables import tell_time
from runner.errors import InputRefused
from runner.ports import Clock
from runner.settings import Options

if TYPE_CHECKING:
    from runner.app.conversation import Planned

LISTED = 10_000
"""Rejected rows, and repaired cells, that a plan lists for programs.

How many more there are is said, and the check report has them all.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFound:
    """What was found. `kinds`: of problems, commonest first. `rejected`: the rows themselves, where they were wanted.

    `report`: the files of the check report, none where it was not written. `probe`: of a few customers. `repaired`: the
    first `LISTED` cells that were repaired, with place and heading, of `repaired_cells`; known with the report.
    """

    kinds: tuple[ProblemKind, ...] = ()
    rejected: tuple[tuple[Place, tuple[Problem, ...]], ...] = ()
    report: tuple[Path, ...] = ()
    probe: ProbeFound | None = None
    repaired: tuple[tuple[Place, str, Repaired], ...] = ()
    repaired_cells: int = 0


@dataclass(slots=True)
class _Repairs:
    """Collects the repaired cells that pass by on their way into the report."""

    first: list[tuple[Place, str, Repaired]] = field(default_factory=list)
    cells: int = 0

    def seen(self, rows: Iterable[Judged], files: Sequence[CheckedFile]) -> Iterator[Judged]:
        for judged in rows:
            self.cells += len(judged.repaired)
            for one in judged.repaired[: max(0, LISTED - len(self.first))]:
                self.first.append((judged.place, files[judged.place.file].headings[one.at], one))
            yield judged


def count_problems(staging: Staging, options: Options) -> CheckFound:
    """Count the problems of all rejected rows by kind."""
    tally = ProblemTally()
    listed: list[tuple[Place, tuple[Problem, ...]]] = []
    for place, problems in staging.rejected_rows():
        tally.add(place, problems)
        if options.json_output and len(listed) < LISTED:
            listed.append((place, problems))
    return CheckFound(kinds=tally.kinds(), rejected=tuple(listed))


def limit_of(options: Options, *, present: bool, rehearsal: bool) -> MaxRejected | None:
    """How many rows may be rejected: as told; else the default, where nobody looks and it is no rehearsal.

    A plan code stands for a plan that was looked at, with its rejected rows.
    """
    text = options.max_rejected
    if text is None:
        if present or rehearsal or options.plan is not None:
            return None
        text = DEFAULT_MAX_REJECTED
    return MaxRejected.of(text)


def refuse_too_many(planned: Planned, staging: Staging, options: Options, clock: Clock, *, present: bool) -> None:
    """Refuse an input of which too much is rejected, with a check report that shows what.

    Raises:
        InputRefused: nothing of it may be sent.
    """
    plan = planned.plan
    limit = limit_of(options, present=present, rehearsal=planned.rehearsal)
    if limit is None or not limit.is_exceeded(plan.rejected, plan.rows):
        return
    raise InputRefused(
        f"{limit.sentence(plan.rejected, plan.rows)}: nothing was sent."
        f"{report_of_refused(planned, staging, options, clock)} Correct them; or let them through with a higher"
        " --max-rejected, or look at the plan and take it as it is with run --plan CODE.",
        again="the rows are corrected",
    )


def report_of_refused(planned: Planned, staging: Staging, options: Options, clock: Clock) -> str:
    """Write the check report of an input that is refused; a sentence that says where it is, with a blank in front."""
    found, problem = write_report(planned, staging, options, clock, unattended=False)
    return f" {found.report[0]} shows each of them." if problem is None else f" ({problem}.)"


def write_report(
    planned: Planned, staging: Staging, options: Options, clock: Clock, *, unattended: bool
) -> tuple[CheckFound, str | None]:
    """Write the check report into `--out`.

    Args:
        unattended: it is to say, too, whether a run without anybody at the terminal would be refused.

    Returns:
        What was found, with the report's files; and a sentence when it could not be written.
    """
    intake, plan, found = planned.intake, planned.plan, planned.check
    files = [file_of_record(record, intake.mapping) for record in intake.files]
    every = plan.rows <= MOST_ROWS
    now = clock.wall()
    facts = CheckFacts(
        campaign=intake.campaign,
        org=planned.org.name,
        rehearsal=planned.rehearsal,
        written=tell_time(now, _local),
        probe=say(found.probe, [file.name for file in files]) if found.probe is not None else (),
        limit=limit_of(options, present=False, rehearsal=planned.rehearsal) if unattended else None,
        noticed=[(name, one) for name, notices in intake.noticed for one in notices if one.about is not About.REPAIRED],
    )
    repairs = _Repairs()
    rows = repairs.seen(_judged(staging, files, intake, every=every), files)
    try:
        report = write_check(
            options.out,
            rows,
            plan=plan,
            kinds=found.kinds,
            files=files,
            facts=facts,
            every=every,
            workbook=options.reports == "all",
            at=now,
            local=_local,
        )
    except OSError as error:
        why = error.strerror or type(error).__name__
        for _ in rows:  # those that are left are counted all the same
            pass
        return replace(found, repaired=tuple(repairs.first), repaired_cells=repairs.cells), (
            f"the check report could not be written to {options.out} ({why}): close it if it is open in a spreadsheet,"
            " or name another folder with --out"
        )
    return replace(found, report=report, repaired=tuple(repairs.first), repaired_cells=repairs.cells), None


def check_document(
    found: CheckFound, plan: Plan, files: Sequence[str], noticed: Sequence[tuple[str, Sequence[Notice]]]
) -> dict[str, object]:
    """What was found, for programs. `files`: names in the order of `Place.file`. `noticed`: of each file."""
    names = dict(enumerate(files))
    probe = found.probe
    return {
        "check": {
            "report": [str(path) for path in found.report],
            "problems": commonest(found.kinds, names),
            "rejected": [
                {
                    **_place(place, names),
                    "problems": [one._asdict() for one in in_order(problems)],
                }
                for place, problems in found.rejected
            ],
            "rejected_left_out": plan.rejected - len(found.rejected),
            "repaired": [
                {**_place(place, names), "column": column, "value": one.cell, "read_as": one.read, "what": one.what}
                for place, column, one in found.repaired
            ],
            "repaired_left_out": found.repaired_cells - len(found.repaired),
            "noticed": [
                {
                    "file": name,
                    "about": one.about.value,
                    "column": one.column,
                    "what": one.what,
                    "rows": one.count,
                    "examples": list(one.rows),
                }
                for name, notices in noticed
                for one in notices
            ],
        },
        "probe": None
        if probe is None
        else {
            "asked": probe.asked,
            "told": probe.told,
            "exist": probe.exist,
            "unknown": [_place(place, names) for place in probe.unknown],
            "falling_back": [_place(place, names) for place in probe.falling_back],
            "holding": [_place(place, names) for place in probe.holding],
            "problem": probe.problem,
        },
    }


def _place(place: Place, names: Mapping[int, str]) -> dict[str, object]:
    return {"file": names.get(place.file), "sheet": place.sheet, "row": place.row}


def _judged(staging: Staging, files: Sequence[CheckedFile], intake: Intake, *, every: bool) -> Iterator[Judged]:
    columns = {number: {role: index for index, role in file.places.items()} for number, file in enumerate(files)}
    restored: Mapping[Place, Mapping[str, str]] = intake.restored
    for row in staging.checked_rows(columns, every=every, restored=restored):
        judged = judge(
            row.place,
            row.cells,
            row.problems,
            row.names,
            row.repeats,
            files[row.place.file],
            restored.get(row.place, {}),
        )
        if every or judged.problems or judged.repaired:
            yield judged


def _local(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).astimezone()
