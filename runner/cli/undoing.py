"""The command that takes back what a run issued: undo."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from runner.adapters.clock import SystemClock
from runner.adapters.terminal.endings import command_line, last_line
from runner.cli import flags as f
from runner.cli.printing import print_json
from runner.cli.requests import app, lasting_flags, request_of, talk_of
from runner.core.totals import PRECEDENCE
from runner.core.wording import counted
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.app.undoing import Undone
    from runner.core.undoing import SeriesUndo

UndoYes = Annotated[
    bool | None, typer.Option("--yes", "-y", help="revoke without asking; without a terminal nothing else does")
]


@app.command("undo")
def undo_command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="run id")],
    of_series: Annotated[
        list[str] | None, typer.Option("--series", metavar="ID[,ID]", help="only coupons of these series")
    ] = None,
    customer: Annotated[
        list[str] | None,
        typer.Option("--customer", metavar="CUSTOMER", help="only hers: mobile, e-mail, external id or customer id"),
    ] = None,
    row: Annotated[
        list[str] | None,
        typer.Option("--row", metavar="ROW[,ROW]", help="only of these rows, such as 17, or 'May!17' for one sheet"),
    ] = None,
    even_in_doubt: Annotated[
        bool, typer.Option("--even-in-doubt", help="leave out calls in doubt, instead of refusing because of them")
    ] = False,
    yes: UndoYes = None,
    rate: f.RateFlag = None,
    settle_wait: f.SettleWait = None,
    same_org: f.SameOrg = None,
    api_url: f.ApiUrl = None,
    sandbox: f.Sandbox = None,
    sandbox_config: f.SandboxConfig = None,
    timeout: f.Timeout = None,
    reports: f.Reports = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
    verbose: f.Verbose = 0,
    quiet: f.Quiet = False,
) -> int:
    """Revoke coupons that a run received. Shows what would be revoked; nothing is until that is agreed to.

    Only by code, never a coupon that the customer held before, never of a generic series. Run it again after whatever
    stopped it: it goes on with what is left.

    Example: coupon-runner undo 20261123T031500Z-birthday-4f9a1c --series 415446
    """
    from runner.adapters.terminal.undo_view import show_survey, show_undone
    from runner.app.undo_choice import UndoRequest
    from runner.app.undoing import undo_run

    asked = UndoRequest(
        run=run,
        series=tuple(_series(part) for part in _parts(of_series)),
        customers=tuple(customer or ()),
        rows=_parts(row),
        even_in_doubt=even_in_doubt,
    )
    request = request_of(locals())
    talk = talk_of(request, quiet=quiet, verbose=verbose)
    done = undo_run(
        asked,
        request,
        clock=SystemClock(),
        conversation=talk,
        show=lambda survey: (
            None if quiet else show_survey(survey, console=talk.console, rehearsal=_rehearsal(survey.run))
        ),
    )
    words = ["undo", done.run.name]
    for name, values in (("series", map(str, asked.series)), ("customer", asked.customers), ("row", asked.rows)):
        words += [word for value in values for word in (f"--{name}", value)]
    words += ["--even-in-doubt"] if even_in_doubt else []
    again = command_line(*words, *lasting_flags(request), "--yes")
    following = again if done.dry or done.exit_code not in (0, 1) else None
    if done.exit_code == 1:
        following = command_line("show", done.run.name, *lasting_flags(request))
    if request.options.json_output:
        print_json({**_document(done), "error": None, "next": following})
    elif not quiet and not done.dry and done.calls and done.written is not None:
        show_undone(
            done.survey,
            console=talk.console,
            in_doubt=done.in_doubt,
            refusals=done.refusals,
            out=str(done.written.folder),
        )
    sys.stderr.write(last_line(done.exit_code, why=_why(done), next_command=following) + "\n")
    return done.exit_code


def _parts(texts: list[str] | None) -> tuple[str, ...]:
    """Values that may be given several times, and several at a time with commas."""
    return tuple(part.strip() for text in texts or () for part in text.split(",") if part.strip())


def _series(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise UsageError(f"--series {text}: write the ids of series, such as 415446 or 415446,535521.")
    return int(text)


def _rehearsal(run: str) -> bool:
    from runner.app.place import REHEARSAL

    return run.startswith(REHEARSAL)


def _why(done: Undone) -> str:
    survey = done.survey
    if done.dry:
        return f"{counted(survey.to_revoke, 'coupon')} would be revoked; nothing was revoked yet"
    from runner.core.undoing import Fate, Standing

    revoked = survey.became(Fate.REVOKED)
    if not survey.to_revoke and not done.calls:
        parts = ["nothing of it is left to revoke"]
    else:
        parts = [f"{counted(revoked, 'coupon')} revoked"]
    if survey.became(Fate.REDEEMED):
        parts.append(f"{survey.became(Fate.REDEEMED):,} had been redeemed")
    if survey.became(Fate.REFUSED):
        parts.append(f"{survey.became(Fate.REFUSED):,} refused by the API")
    stays = survey.count(Standing.GENERIC, Standing.UNKNOWN_SERIES, Standing.SHARED, Standing.ERASED)
    if stays:
        parts.append(f"{stays:,} cannot be revoked")
    if done.in_doubt:
        parts.append(f"{done.in_doubt:,} in doubt: their revocation was not answered")
    elif done.exit_code == 5:
        parts.append(f"{counted(survey.doubts[0], 'call')} of it in doubt")
    if done.stop:
        parts.append(done.stop)
    return "; ".join(parts)


def _document(done: Undone) -> dict[str, object]:
    """What a program is told of an undo."""
    survey = done.survey
    series = [_of_series(one) for one in sorted(survey.series.values(), key=lambda one: one.series)]
    from runner.core.undoing import SeriesUndo

    names = [name for name in _of_series(SeriesUndo(0, "")) if name not in ("series", "kind")]
    return {
        "run": survey.run,
        "org": survey.org,
        "campaign": survey.campaign,
        "dry": done.dry,
        "coupons": {name: sum(one[name] for one in series) for name in names},  # type: ignore[misc]
        "series": series,
        "doubts": {"calls": survey.doubts[0], "coupons": survey.doubts[1]},
        "in_doubt": done.in_doubt,
        "calls": done.calls,
        "refusals": [
            {"code": code, "message": message, "coupons": count} for (code, message), count in done.refusals.items()
        ],
        "stopped": done.stop,
        "reports": str(done.written.folder) if done.written is not None else None,
        "exit_code": done.exit_code,
        "exit_codes": sorted(done.codes, key=PRECEDENCE.index),
    }


def _of_series(one: SeriesUndo) -> dict[str, int | str]:
    standing = one.standing
    from runner.core.undoing import Fate, Standing

    return {
        "series": one.series,
        "kind": one.handling,
        "received": one.coupons,
        "revocable": standing[Standing.REVOCABLE],
        "unanswered": standing[Standing.IN_DOUBT],
        "revoked_before": standing[Standing.REVOKED],
        "redeemed_before": standing[Standing.REDEEMED],
        "resent": standing[Standing.RESENT],
        "generic": standing[Standing.GENERIC],
        "unknown_series": standing[Standing.UNKNOWN_SERIES],
        "shared": standing[Standing.SHARED],
        "erased": standing[Standing.ERASED],
        "revoked": one.fates[Fate.REVOKED],
        "redeemed": one.fates[Fate.REDEEMED],
        "refused": one.fates[Fate.REFUSED],
    }
