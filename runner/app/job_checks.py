"""What a job refuses before anything is sent, and what it expects: its series, its earlier dates, its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runner.adapters.ledger.scopes import Org
from runner.adapters.ledger.staged import Campaign
from runner.adapters.ledger.staging import Staging
from runner.app.intake import Intake
from runner.core.jobspec import DatedJob, JobMark, repeated_file, runs_before, series_beyond
from runner.core.wording import counted
from runner.errors import InputRefused
from runner.settings import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAtWork:
    """A job while it is planned or run. `mark`: None when the input belongs to no job, and nothing is checked.

    `same_file_allowed`: a person said so with a flag.
    """

    mark: JobMark | None
    job: DatedJob | None
    same_file_allowed: bool

    @property
    def args(self) -> Mapping[str, object]:
        """What the ledger is to remember with the run."""
        return {"job": self.mark.record()} if self.mark is not None else {}


def job_at_work(
    job: DatedJob | None, staging: Staging, intake: Intake, options: Options, flags: Mapping[str, object]
) -> JobAtWork:
    """Which job the input belongs to. Lines that we wrote stay with the job that their campaign was run by."""
    mark = job.mark if job is not None and options.campaign == job.campaign else None
    if intake.of_ours and intake.scope is not None:
        mark = staging.mark_of_campaign(intake.scope.id)
    return JobAtWork(mark=mark, job=job, same_file_allowed=flags.get("overlap") == "allow")


def check_input(work: JobAtWork, staging: Staging, intake: Intake, org: Org) -> bool:
    """Refuse series that the job does not allow, and files that it had on another date.

    Says whether such a file was let through, since a person had allowed it. From here on overlap with the job's other
    dates is expected.

    Raises:
        InputRefused: nothing of the input may be sent.
    """
    job = work.job
    if job is not None and job.allowed_series is not None:
        beyond = series_beyond(staging.series_texts(), job.allowed_series)
        if beyond:
            raise InputRefused(
                f"The input names {_series(beyond)}, and the job {job.mark.name} allows only"
                f" {', '.join(map(str, job.allowed_series))}: nothing was sent. Correct the file, or allowed_series of"
                " the job if that is meant."
            )
    return check_files(work, staging, intake, org)


def check_files(work: JobAtWork, staging: Staging, intake: Intake, org: Org) -> bool:
    """Refuse files that the job had on another date, byte for byte; see `check_input`."""
    if work.mark is None:
        return False
    earlier = staging.earlier_runs(org.id, work.mark)
    here = intake.scope.id if intake.scope is not None else None
    staging.expect_overlap(frozenset(run.scope for run in earlier if run.scope != here))
    files = {str(file["sha256"]): str(file["name"]) for file in intake.files}
    found = repeated_file(files, here, earlier)
    if found is None or work.same_file_allowed:
        return found is not None
    name, run = found
    day = f"{run.date}, " if run.date is not None else ""
    raise InputRefused(
        f"{name} is byte for byte the file that the job {work.mark.name} had before ({day}campaign {run.campaign}, run"
        f" {run.run}): its customers would get their coupons twice, and nothing was sent. Bring the new file, or say"
        " --overlap allow if the same list is meant again."
    )


def check_plan(
    work: JobAtWork, staging: Staging, campaign: Campaign, org: Org, options: Options, intake: Intake
) -> None:
    """Refuse an input with fewer new orders than the job asks for.

    Raises:
        InputRefused: it is probably the file of an earlier date.
    """
    job, mark = work.job, work.mark
    if job is None or mark is None or mark.date is None or job.min_new is None:
        return
    staging.plan(
        campaign,
        identify_by=intake.identify_by,
        duplicates=options.duplicates_rule,
        overlap=options.overlap_rule,
        fall_back=options.fall_back,
    )
    new = staging.count_new_orders(mark.date, runs_before(mark.date, staging.earlier_runs(org.id, mark)))
    if new < job.min_new:
        raise InputRefused(
            f"Only {counted(new, 'order of the input is', 'orders of the input are')} new since the last date of the"
            f" job {mark.name}, and min_new = {job.min_new}: it is probably an earlier file again, and nothing of it"
            " was sent. Bring the new file, or lower min_new in the job."
        )


def notes_of(work: JobAtWork, staging: Staging) -> list[str]:
    """What a person should know of the job beside its plan."""
    if work.mark is None:
        return []
    count = staging.count_expected_overlap()
    if not count:
        return []
    who = "1 order is of a customer who holds" if count == 1 else f"{count:,} orders are of customers who hold"
    return [f"job {work.mark.name}: {who} the series from another date of this job, as expected"]


def _series(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    more = f" and {len(numbers) - 5:,} more" if len(numbers) > 5 else ""
    return f"the series {shown}{more}"
