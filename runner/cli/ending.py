"""How run, resume and plan end: what is shown last, and the exit code."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from runner.adapters.terminal.endings import command_line, last_line
from runner.cli.printing import print_json
from runner.cli.requests import lasting_flags
from runner.core.totals import GUARD
from runner.core.wording import counted
from runner.errors import InputRefused

if TYPE_CHECKING:
    from runner.adapters.sheets import EmptyTable
    from runner.app.conversation import Planned, Request
    from runner.app.running import Ended
    from runner.cli.conversation import TerminalConversation


def end_run(ended: Ended, request: Request, talk: TerminalConversation, *, began: float, quiet: bool) -> int:
    """Show a run's outcome: summary to stderr (or JSON to stdout), then the last line."""
    written = ended.written
    why = ended.why
    from runner.adapters.terminal.summary_view import show_summary
    from runner.app.place import REHEARSAL, code_table
    from runner.core.face_value import values_of_run
    from runner.core.series_list import names_of_record

    if request.options.json_output:
        sys.stdout.write((written.folder / "summary.json").read_text(encoding="utf-8"))
    elif not quiet:
        show_summary(
            written.totals,
            console=talk.console,
            run=ended.run.name,
            campaign=ended.run.campaign,
            org=ended.run.org,
            rehearsal=ended.run.name.startswith(REHEARSAL),
            out=str(written.folder),
            reports=[path.name for path in written.files],
            why=why,
            seconds=time.monotonic() - began,
            codes=code_table(request.options),
            series_names=names_of_record(ended.run.args.get("series_list")),
            values=values_of_run(ended.run.args),
        )
    options = lasting_flags(request)
    if ended.run.name.startswith(REHEARSAL):
        options.append("--sandbox")
    if ended.exit_code == GUARD and "--max-coupons" in why:
        sums = written.totals.coupons  # the cap is remembered: without a higher one the run would stop there again
        options += ["--max-coupons", str(sums.issued - sums.before + sums.in_doubt + sums.missing)]
    if ended.exit_code == GUARD and ended.stop is not None:
        options += ended.stop.go_on
    line = last_line(
        ended.exit_code,
        why=why,
        totals=written.totals,
        run=ended.run.name,
        out=str(written.folder),
        campaign=ended.run.campaign,
        options=options,
        failures=_failures_of(ended),
    )
    sys.stderr.write(line + "\n")
    return ended.exit_code


def _failures_of(ended: Ended) -> str:
    """The file of failures to be corrected: a workbook for whoever brought one, where it was written."""
    workbook = any(file.get("sheet") for file in ended.run.files)
    written = {path.name for path in ended.written.files}
    return "failures.xlsx" if workbook and "failures.xlsx" in written else "failures.csv"


def end_plan(planned: Planned, request: Request, what: list[str]) -> int:
    """0, or 1 when some rows are rejected, 3 when no row is valid or an overlap would be refused. `what`: to be run."""
    from runner.cli.conversation import plan_document
    from runner.core.checking import MaxRejected

    plan = planned.plan
    document = plan_document(planned) if request.options.json_output else {}
    if plan.rows == plan.rejected:
        raise InputRefused("No row of the input is valid. Correct the rows and plan again.", details=document)
    if not document:
        sys.stdout.write(f"{planned.code}\n")
    if request.options.max_rejected is not None:
        limit = MaxRejected.of(request.options.max_rejected)
        if limit.is_exceeded(plan.rejected, plan.rows):
            raise InputRefused(f"{limit.sentence(plan.rejected, plan.rows)}.", details=document)
    if plan.overlaps and request.options.overlap == "refuse":
        raise InputRefused(
            "Customers hold the same series from another campaign (listed above), and --overlap refuse is set.",
            details=document,
        )
    back = sum(one.orders for one in plan.held_back) if not planned.preflight.ignored else 0
    code = 1 if plan.rejected or back else 0
    words = ["run", *what]
    for name, value in {**request.flags, **planned.intake.asked}.items():
        if name in ("yes", "json", "fresh", "progress", "plan", "probe"):
            continue
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif name == "map":
            pairs = value.splitlines() if isinstance(value, str) else value  # asked, or given
            words += [word for pair in pairs for word in (flag, pair)]
        elif value is not False:
            words += [flag, str(value)]
        elif name == "metadata":
            words.append("--no-metadata")
    why = f"{counted(plan.missing, 'coupon')} would be issued"
    if plan.rejected:
        why = f"{plan.rejected:,} of {counted(plan.rows, 'row')} {'is' if plan.rejected == 1 else 'are'} rejected"
    if back:
        why += f"; {counted(back, 'order')} cannot succeed and would be held back"
    following = command_line(*words, "--plan", planned.code)
    if document:
        print_json({**document, "error": None, "exit_code": code, "next": following})
    sys.stderr.write(last_line(code, why=why, next_command=following) + "\n")
    return code


def end_nothing(why: str, request: Request) -> int:
    """Nothing to do is no failure of this job: said plainly."""
    if request.options.json_output:
        print_json({"run": None, "exit_code": 0, "reason": why})
    sys.stderr.write(last_line(0, why=why) + "\n")
    return 0


def end_empty(error: EmptyTable, request: Request) -> int:
    """Our own file without a row says that all is well; anybody else's was probably exported wrongly."""
    if not error.ours:
        raise error
    return end_nothing(error.message, request)
