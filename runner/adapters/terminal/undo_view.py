"""An undo on the screen: before it, what would be revoked and what stays; after it, what became of the coupons."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console

from runner.adapters.terminal.layout import Column, tabulate
from runner.adapters.terminal.screens import put, put_folded, put_table
from runner.core.undoing import STANDING_WORDS, Fate, Standing, Survey
from runner.core.wording import counted

MESSAGES_ARE_OUT = (
    "Messages are out already: whoever was told her code is not told that it ends. Say so to your customers yourself."
)
FACE_VALUE = "What these coupons are worth is not known here."

_KINDS: Mapping[str, str] = {"DISC_CODE": "generated", "DISC_CODE_PIN": "uploaded", "GENERIC": "generic"}
_BEFORE = (
    Column("series", "series", right=True),
    Column("kind", "kind"),
    Column("coupons", "coupons", right=True),
    Column("revocable", "to revoke", right=True),
    Column("revoked", "revoked before", right=True),
    Column("redeemed", "redeemed", right=True),
    Column("stays", "stay", right=True),
)
_AFTER = (
    Column("series", "series", right=True),
    Column("revoked", "revoked now", right=True),
    Column("redeemed", "were redeemed", right=True),
    Column("refused", "refused", right=True),
)
_REMARKS = (
    Standing.IN_DOUBT,
    Standing.GENERIC,
    Standing.UNKNOWN_SERIES,
    Standing.SHARED,
    Standing.ERASED,
    Standing.RESENT,
)


def show_survey(survey: Survey, *, console: Console, rehearsal: bool) -> None:
    """What would be revoked, series by series, and whatever is odd about it."""
    if rehearsal:
        put_folded(console, "REHEARSAL: these coupons exist on this machine only.", style="bold yellow")
    put(console, f"Undo      {survey.run}", "bold")
    put_folded(console, f"{survey.campaign} (of {survey.org})", first="Campaign  ")
    would = f"{counted(survey.to_revoke, 'coupon')} to revoke" if survey.to_revoke else "nothing to revoke"
    put_folded(console, would, first="Coupons   ", style="bold")
    put(console)
    lines = []
    for one in sorted(survey.series.values(), key=lambda one: one.series):
        count = one.standing
        to_revoke = count[Standing.REVOCABLE] + count[Standing.IN_DOUBT]
        before = count[Standing.REVOKED] + count[Standing.REDEEMED]
        lines.append(
            {
                "series": str(one.series),
                "kind": _KINDS.get(one.handling, "not known"),
                "coupons": f"{one.coupons:,}",
                "revocable": f"{to_revoke:,}",
                "revoked": f"{count[Standing.REVOKED]:,}",
                "redeemed": f"{count[Standing.REDEEMED]:,}",
                "stays": f"{one.coupons - to_revoke - before:,}",
            }
        )
    put_table(console, tabulate(lines, _BEFORE, width=console.width))
    put(console)
    for sentence in remarks(survey):
        put_folded(console, sentence, first="- ")


def remarks(survey: Survey) -> list[str]:
    """What a person must know before agreeing, a sentence each."""
    sentences = [
        f"{counted(count, 'coupon')}: {STANDING_WORDS[standing]}."
        for standing in _REMARKS
        if (count := survey.count(standing))
    ]
    if survey.unread:
        sentences.append(f"The kinds of the series cannot be read: {survey.unread}.")
    calls, held = survey.doubts
    if calls:
        sentences.append(f"{counted(calls, 'call')} in doubt may have issued {counted(held, 'coupon')} more.")
    if survey.unfinished:
        sentences.append(
            "The run is unfinished: `resume` would issue what is still missing. Abandon it if it is not to go on."
        )
    if survey.to_revoke:
        sentences += [MESSAGES_ARE_OUT, FACE_VALUE]
    return sentences


def show_undone(
    survey: Survey, *, console: Console, in_doubt: int, refusals: Mapping[tuple[str, str], int], out: str
) -> None:
    """What became of the coupons, and why some were not revoked."""
    lines = [
        {
            "series": str(one.series),
            "revoked": f"{one.fates[Fate.REVOKED]:,}",
            "redeemed": f"{one.fates[Fate.REDEEMED]:,}",
            "refused": f"{one.fates[Fate.REFUSED]:,}",
        }
        for one in sorted(survey.series.values(), key=lambda one: one.series)
    ]
    put(console)
    put_table(console, tabulate(lines, _AFTER, width=console.width))
    for (code, message), count in sorted(refusals.items(), key=lambda item: -item[1]):
        told = f"{code}: {message}" if code else message
        put_folded(console, f"{counted(count, 'coupon')} not revoked: {told}", first="- ", style="yellow")
    if in_doubt:
        sentence = f"{counted(in_doubt, 'coupon')} in doubt: their revocation was not answered"
        put_folded(console, sentence, first="- ", style="yellow")
    put_folded(console, out, first="Reports   ")
