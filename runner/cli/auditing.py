"""The command that proves or refutes the promise: audit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from runner.adapters.clock import SystemClock
from runner.adapters.terminal.endings import last_line
from runner.cli import flags as f
from runner.cli.printing import print_json, print_text
from runner.cli.requests import app, request_of, talk_of
from runner.core.totals import ALL_ISSUED, NEEDS_A_PERSON
from runner.core.wording import counted


@app.command("audit")
def audit_command(
    against: Annotated[
        Path | None,
        typer.Option(metavar="MANIFEST", help="a manifest.json kept elsewhere: the history must still hold its head"),
    ] = None,
    certificate: Annotated[
        bool, typer.Option("--certificate", help="write one page a campaign, to print, into <out>/certificates")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="ask the API too how many coupons of each series others issued")
    ] = False,
    org: f.Org = None,
    sandbox: f.Sandbox = None,
    sandbox_config: f.SandboxConfig = None,
    api_url: f.ApiUrl = None,
    rate: f.RateFlag = None,
    timeout: f.Timeout = None,
    out: f.Out = None,
    ledger: f.Ledger = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
    quiet: f.Quiet = False,
) -> int:
    """Prove or refute: nobody holds too many, no call was sent twice, nothing was changed by hand. Changes nothing.

    Exit 0 when every line is "ok" or a known limit, 1 when one is WRONG.

    Example: coupon-runner audit --against backups/manifest.json
    """
    request = request_of(locals())
    talk = talk_of(request, quiet=quiet)
    from runner.adapters.terminal.audit_view import audit_text
    from runner.adapters.terminal.screens import width_of
    from runner.app.auditing import AuditAsked, audit
    from runner.core.auditing import Verdict

    asked = AuditAsked(against=against, certificate=certificate, live=live)
    found = audit(request, asked, clock=SystemClock(), note=talk.note if not quiet else lambda _: None)
    code = NEEDS_A_PERSON if found.wrong else ALL_ISSUED
    document = found.document()
    if request.options.json_output:
        print_json({**document, "exit_code": code})
    else:
        print_text(audit_text(document, width=width_of(sys.stdout)))
    if found.wrong:
        why = (
            f"{counted(found.wrong, 'check is', 'checks are')} WRONG: issue nothing with this ledger, keep it as it is"
        )
    else:
        limits = sum(one.verdict is Verdict.LIMIT for one in found.checks)
        why = f"all {len(found.checks):,} checks hold"
        why += f"; {counted(limits, 'names a known limit', 'name known limits')}" if limits else ""
    sys.stderr.write(last_line(code, why=why) + "\n")
    return code
