"""The flags of all commands: name, shape and one line of help each. What a flag means is in `settings.Options`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Settings = Annotated[Path | None, typer.Option("--settings", help="settings file (default: the user's config folder)")]
Org = Annotated[str | None, typer.Option(help="the organisation whose customers these are")]
Ledger = Annotated[
    str | None, typer.Option(help="path or sqlite:///path of the ledger (default: the user's state folder)")
]
Campaign = Annotated[str | None, typer.Option(help="each customer counts once per series within it")]
Series = Annotated[str | None, typer.Option(metavar="ID[,ID]", help="series for rows without a series column")]
SeriesFile = Annotated[
    Path | None,
    typer.Option(help="list of series (CSV or XLSX): series_id, and name, count, max_total, value if wanted"),
]
Sheet = Annotated[str | None, typer.Option(metavar="NAME", help="the sheet of the workbook that holds the customers")]
Hidden = Annotated[
    str | None,
    typer.Option(metavar="include|exclude", help="hidden rows, columns and sheets: read them too, or leave them out"),
]
Encoding = Annotated[
    str | None, typer.Option(metavar="NAME", help="encoding of text files, where it is not certain, e.g. windows-1250")
]
Count = Annotated[int | None, typer.Option(help="coupons per row and series without a count (default 1)")]
Map = Annotated[
    list[str] | None,
    typer.Option(metavar="ROLE=HEADING", help='which column is what, e.g. --map mobile="Ph No"; may be repeated'),
]
IdentifyBy = Annotated[
    str | None, typer.Option(metavar="KIND[,KIND]", help="the identifier that is sent: mobile, email or externalId")
]
FallBack = Annotated[
    bool | None,
    typer.Option(
        "--fall-back/--no-fall-back",
        help="name a customer whom the API does not know (701) by her row's next identifier (default no)",
    ),
]
Region = Annotated[str | None, typer.Option(help="country of mobiles written without country code, e.g. IN")]
PhoneFormat = Annotated[
    str | None,
    typer.Option(metavar="international|national", help="plain digits of mobiles have their country code, or lack it"),
]
MaxPerRow = Annotated[int | None, typer.Option(help="the largest count that a row may ask for (default 10000)")]
ShortIds = Annotated[
    str | None,
    typer.Option(metavar="refuse|accept", help="external ids shorter than the others, as lost zeros leave them"),
]
DuplicatesFlag = Annotated[
    str | None,
    typer.Option("--duplicates", metavar="agree|add", help="same customer and series twice: must agree, or add up"),
]
OverlapFlag = Annotated[
    str | None,
    typer.Option(
        "--overlap", metavar="ask|refuse|skip|allow", help="customers who hold the series from another campaign"
    ),
]
Unfinished = Annotated[
    str | None,
    typer.Option(
        metavar="resume|abandon|refuse", help="what to do first with the campaign's unfinished run (default resume)"
    ),
]
Limit = Annotated[int | None, typer.Option(help="at most N orders now, the rest later (exit 75)")]
RateFlag = Annotated[
    str | None, typer.Option("--rate", metavar="N/s|m|h", help="pace of all calls (default 100/m; none on loopback)")
]
Leave = Annotated[
    str | None, typer.Option(metavar="SHARE%", help="share of --rate that stays for whoever else uses the key")
]
Concurrency = Annotated[int | None, typer.Option(help="calls in flight at most (default 16)")]
MaxCoupons = Annotated[int | None, typer.Option(help="cap: this run and its resumes never issue more (exit 4)")]
MaxPerCustomer = Annotated[
    int | None, typer.Option(help="at most N coupons of this campaign for a customer, over all series (exit 4)")
]
MaxValue = Annotated[
    str | None, typer.Option(metavar="MONEY", help="cap on what the coupons are worth, by the series' values (exit 4)")
]
MaxErrors = Annotated[
    str | None,
    typer.Option(metavar="N|N%", help="stop when more answers refuse for good (exit 4; default 20% once 50 came)"),
]
MaxInDoubt = Annotated[
    str | None,
    typer.Option(metavar="N|N%", help="lost answers in a row, or of all: pause, settle, probe (default 20,1%)"),
]
Deadline = Annotated[
    str | None, typer.Option(metavar="3h|HH:MM", help="begin no call after it; the rest later (exit 75)")
]
Between = Annotated[
    str | None, typer.Option(metavar="HH:MM-HH:MM", help="calls within these hours of --timezone only (exit 75)")
]
Timezone = Annotated[str | None, typer.Option(metavar="ZONE", help="of --between and --deadline, e.g. Asia/Kolkata")]
Canary = Annotated[
    int | None, typer.Option(metavar="N", help="first N orders alone, read back and compared; then the rest (exit 4)")
]
MaxRejected = Annotated[
    str | None,
    typer.Option(
        "--max-rejected",
        metavar="N|N%",
        help="more rejected rows refuse the input (exit 3; default 10% where nobody is at the terminal)",
    ),
]
Probe = Annotated[
    bool | None,
    typer.Option("--probe/--no-probe", help="a plan looks up 20 customers spread over the input (default yes)"),
]
ApiUrl = Annotated[str | None, typer.Option(help="address of the API, e.g. https://eu.api.capillarytech.com")]
Sandbox = Annotated[
    bool | None,
    typer.Option("--sandbox", "--rehearse", help="rehearse against an API on this machine; nothing real is issued"),
]
Fresh = Annotated[bool | None, typer.Option("--fresh", help="with --sandbox: forget all earlier rehearsals first")]
SandboxConfig = Annotated[
    Path | None, typer.Option(help="with --sandbox: answers and faults by series or customer (TOML)")
]
SandboxAnswers = Annotated[
    Path | None, typer.Option("--sandbox-config", help="answers and faults by series or customer (TOML)")
]
LikeLive = Annotated[
    bool, typer.Option("--like-live", help="with the settings of real series, read by GET with the credentials")
]
LiveSeries = Annotated[
    str | None, typer.Option("--series", metavar="ID[,ID]", help="with --like-live: which series to copy")
]
PrintOpenApi = Annotated[bool, typer.Option("--openapi", help="print the OpenAPI description of it, and serve nothing")]
PrintConfig = Annotated[
    bool,
    typer.Option("--print-config", help="with --like-live: print them for --sandbox-config, and serve nothing"),
]
ReissueRevoked = Annotated[
    bool | None,
    typer.Option("--reissue-revoked", help="coupons revoked since count as issued no more: ask for them again"),
]
IgnorePreflight = Annotated[
    bool | None,
    typer.Option("--ignore-preflight", help="send also what the settings of the series say cannot succeed"),
]
MessagesOk = Annotated[
    bool | None,
    typer.Option("--messages-ok", help="series may send their messages at any hour while nobody is at the terminal"),
]
SameOrg = Annotated[
    bool | None, typer.Option("--same-org", help="the address or credentials changed, the customers did not")
]
SameApi = Annotated[
    bool | None, typer.Option("--same-api", help="other customers than those of the org with the same credentials")
]
Metadata = Annotated[
    bool | None, typer.Option("--metadata/--no-metadata", help="send the call's key as metadata (default yes)")
]
Attribution = Annotated[str | None, typer.Option(metavar="TYPE=CODE", help="attribute the issue, e.g. TILL=till.01")]
Timeout = Annotated[str | None, typer.Option(metavar="60s", help="deadline of a call; one that passes is in doubt")]
Grace = Annotated[str | None, typer.Option(metavar="25s", help="after the first Ctrl-C, for calls in flight")]
QueueBudget = Annotated[str | None, typer.Option(metavar="3h", help="give a series up after so long without a coupon")]
ReachBudget = Annotated[str | None, typer.Option(metavar="10m", help="give the API up after so long out of reach")]
SettleWait = Annotated[
    str | None, typer.Option(metavar="2m", help="read calls in doubt again for so long before giving them up (exit 5)")
]
SettleAfter = Annotated[
    str | None,
    typer.Option(metavar="15m", help="least time after a call before the API's showing nothing of it is a proof"),
]
SettleByTime = Annotated[
    bool | None,
    typer.Option("--settle-by-time", help="let the time of coupons settle doubts where the API shows no metadata"),
]
Out = Annotated[Path | None, typer.Option(help="folder of the reports (default ./coupon-runs)")]
Reports = Annotated[
    str | None, typer.Option(metavar="csv|all", help="CSV and JSON only, or the workbooks as well (default all)")
]
PlanCode = Annotated[str | None, typer.Option("--plan", metavar="CODE", help="consent to exactly this plan")]
Yes = Annotated[
    bool | None, typer.Option("--yes", "-y", help="do not ask; without a terminal a cap or plan code is needed too")
]
YesResume = Annotated[bool | None, typer.Option("--yes", "-y", help="do not ask; the run's cap is remembered")]
Json = Annotated[bool | None, typer.Option("--json", help="data as JSON on stdout")]
ProgressFlag = Annotated[
    str | None, typer.Option("--progress", metavar="auto|bar|plain|json|none", help="how a live run is shown")
]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        envvar="COUPON_RUNNER_VERBOSE",
        show_envvar=False,
        show_default=False,
        help="say first which settings file, ledger, API address and pace are used",
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", envvar="COUPON_RUNNER_QUIET", show_envvar=False, help="only the last line")
]
Job = Annotated[Path | None, typer.Option("--job", metavar="JOB.toml", help="a job file instead of FILE…")]
Date = Annotated[
    str | None,
    typer.Option("--date", metavar="YYYY-MM-DD", help="with --job: repeat that date (default: the last due)"),
]
Files = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="FILE…", help="workbooks (.xlsx .xlsm .xls .ods) and CSV, zip or gz; - for stdin", show_default=False
    ),
]
Follow = Annotated[
    bool, typer.Option("--follow", "-f", help="show it again and again until it ends; Ctrl-C leaves, the run goes on")
]
Run = Annotated[str | None, typer.Argument(metavar="RUN", help="run id (default: the newest one)", show_default=False)]
