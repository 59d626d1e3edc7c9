"""The command that begins it all: template."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from runner.adapters.clock import SystemClock
from runner.adapters.terminal.endings import last_line
from runner.cli import flags as f
from runner.cli.printing import print_json, print_text
from runner.cli.requests import app, request_of
from runner.core.model import Kind


@app.command("template")
def template_command(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="what to write (default: customers-template.xlsx, or .csv)", show_default=False
        ),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV instead of a workbook")] = False,
    identify_by: f.IdentifyBy = None,
    settings: f.Settings = None,
    json_output: f.Json = None,
) -> int:
    """Write an empty spreadsheet to fill in: cells of text, an example row, a list of series, notes.

    The example row is not issued when it comes back. A file that is there already is never touched.

    Example: coupon-runner template birthday.xlsx --identify-by mobile
    """
    request = request_of(locals())
    path = file or Path("customers-template.csv" if as_csv else "customers-template.xlsx")
    as_csv = as_csv or path.suffix.lower() == ".csv"
    from runner.adapters.template_files import write_template

    write_template(path, request.options.kinds or (Kind.MOBILE,), as_csv=as_csv, at=SystemClock().wall())
    if request.options.json_output:
        print_json({"template": str(path), "error": None, "exit_code": 0, "next": None})
    else:
        print_text(str(path))
    sys.stderr.write(last_line(0, why="fill it in, save it, and plan it: nothing is sent by a plan") + "\n")
    return 0
