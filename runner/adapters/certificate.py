"""A campaign's certificate: one page of HTML, which any browser shows and prints, and which needs no other file."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from runner.adapters.ledger.audit import CampaignSums
from runner.core.auditing import Check, Verdict
from runner.core.reporting import write_time
from runner.errors import Fatal

_STYLE = """
body { font: 10.5pt/1.45 system-ui, sans-serif; color: #1a1a1a; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 16pt; margin: 0 } h2 { font-size: 11.5pt; margin: 1.4rem 0 .3rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid #ddd }
td.n, th.n { text-align: right } td.v { white-space: nowrap; font-weight: 600 }
.wrong { color: #b00020 } code { font-size: 9pt; overflow-wrap: anywhere } .mark { color: #b00020; font-weight: 700 }
@media print { body { margin: 0; max-width: none } }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a page says. `overrides`: of this campaign, as `app.auditing.override_document` gives them."""

    campaign: CampaignSums
    ledger: str
    rehearsal: bool
    at: float
    head_seq: int
    head: str
    checks: tuple[Check, ...]
    overrides: tuple[Mapping[str, object], ...]


def write_certificate(certificate: Certificate, folder: Path) -> Path:
    """Write the page of a campaign (0600, folder 0700), named by campaign and event; it appears whole.

    Raises:
        Fatal: it cannot be written.
    """
    sums = certificate.campaign
    stem = re.sub(r"[^\w.-]+", "-", sums.campaign).strip("-.") or "campaign"
    mark = "REHEARSAL-" if certificate.rehearsal else ""
    path = folder / f"{mark}{stem[:80]}-{sums.id}-event-{certificate.head_seq}.html"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, unfinished = tempfile.mkstemp(dir=folder, prefix=".certificate-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(page_of(certificate).encode("utf-8", "backslashreplace"))
                file.flush()
                os.fsync(file.fileno())
            Path(unfinished).replace(path)
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise Fatal(f"The certificate {path} cannot be written: {error.strerror}. Nothing else was changed.") from None
    return path


def page_of(certificate: Certificate) -> str:
    """The page as text."""
    sums = certificate.campaign
    wrong = sum(one.verdict is Verdict.WRONG for one in certificate.checks)
    limits = sum(one.verdict is Verdict.LIMIT for one in certificate.checks)
    verdict = (
        f"{wrong:,} of {len(certificate.checks):,} checks are WRONG: these figures cannot be relied on."
        if wrong
        else f"All {len(certificate.checks):,} checks hold" + (f"; {limits:,} name a known limit." if limits else ".")
    )
    facts = [
        ("Campaign", sums.campaign),
        ("Organisation", sums.org),
        ("Runs", ", ".join(sums.runs) or "none"),
        ("From", write_time(sums.first)),
        ("Until", write_time(sums.last)),
        ("Ledger", certificate.ledger),
        ("Audited", write_time(certificate.at)),
        ("Head of the history", f"event {certificate.head_seq:,}: {certificate.head}"),
    ]
    figures = [
        ("Customers", sums.people), ("Orders", sums.orders), ("Coupons wanted", sums.target), ("Issued", sums.issued),
        ("In doubt", sums.in_doubt), ("Missing", sums.missing), ("Revoked since", sums.revoked), ("Calls", sums.calls),
    ]  # fmt: skip
    series = [*(one for one in sums.series)]
    checks = [(one.verdict.value, one.name, "; ".join((one.sentence, *one.details[:5]))) for one in certificate.checks]
    overrides = [[one[name] for name in ("at", "run", "what", "who", "why")] for one in certificate.overrides]
    rehearsal = '<p class="mark">REHEARSAL: these coupons exist on the machine that rehearsed only.</p>\n'
    head = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f"<title>Certificate: {escape(sums.campaign)}</title>\n<style>{_STYLE}</style></head>\n"
        f"<body>\n<h1>Coupons of {escape(sums.campaign)}</h1>\n"
    )
    return "".join(
        (
            head,
            rehearsal if certificate.rehearsal else "",
            f"<p{' class=wrong' if wrong else ''}><strong>{escape(verdict)}</strong></p>\n",
            _table((), facts),
            "<h2>Figures</h2>\n",
            _table([name for name, _ in figures], [[value for _, value in figures]]),
            "<h2>Series</h2>\n",
            _table(("Series", "Wanted", "Issued", "In doubt"), [(str(one[0]), *one[1:]) for one in series]),
            "<h2>Checks of the whole ledger</h2>\n",
            _table(("", "Check", "Found"), checks),
            "<h2>Protections that were overridden</h2>\n",
            _table(("When", "Run", "What", "Who", "Why"), overrides) if overrides else "<p>None.</p>\n",
            "</body></html>\n",
        )
    )


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    lines = [f"<tr>{head}</tr>"] if headings else []
    lines += ["<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows]
    return "<table>\n" + "\n".join(lines) + "\n</table>\n"


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f'<td class="n">{value:,}</td>'
    text = str(value)
    if text in tuple(Verdict):
        return f'<td class="v{" wrong" if text == Verdict.WRONG else ""}">{escape(text)}</td>'
    return f"<td>{escape(text)}</td>"
