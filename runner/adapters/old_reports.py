"""Reports that know more than the ledger in use: which there are, and the coupons and doubts that they tell of.

Only files that their manifest vouches for are read. Whose a line is, its order's key proves to the ledger, not we.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from runner.adapters.ledger.events import Head
from runner.core.neutralising import restore


class OldCoupon(NamedTuple):
    """One line of coupons.csv, or of in_doubt.csv (then `code` and `id` are "" and `held` is what is in doubt).

    `state`: what became of the coupon later, by that report: revoked, redeemed, replaced; issued when nothing did.
    """

    series: int
    kind: str
    customer: str
    call: str
    id: str
    code: str
    at: float | None
    held: int = 0
    state: str = "issued"


@dataclass(slots=True)
class OldReport:
    """The reports of one run. `problem`: "" or why they cannot be used, in one sentence."""

    run: str
    org_key: str
    campaign: str
    folder: Path
    head: Head
    started: float = 0.0
    files: tuple[str, ...] = ()
    lines: list[OldCoupon] = field(default_factory=list)
    problem: str = ""


def old_reports(outs: Iterable[Path], ledger_id: str, holds: Callable[[Head], bool]) -> list[OldReport]:
    """The reports of this ledger, in some folders, that were written at a time which it does not know of."""
    found = []
    for out in dict.fromkeys(path.absolute() for path in outs):
        for path in sorted(out.glob("*/manifest.json")) if out.is_dir() else ():
            manifest = _read(path)
            if manifest is None or manifest.get("ledger") != ledger_id:
                continue
            head = _head(manifest)
            if head is None or holds(head):
                continue
            found.append(_report(path.parent, manifest, head))
    return found


def _report(folder: Path, manifest: dict[str, Any], head: Head) -> OldReport:
    report = OldReport(
        run=str(manifest.get("run")),
        org_key=str(manifest.get("org_key")),
        campaign=str(manifest.get("campaign")),
        folder=folder,
        head=head,
    )
    summary = _read(folder / "summary.json") or {}
    report.started = _seconds(summary.get("started")) or 0.0
    report.files = tuple(str(one.get("name", "")) for one in summary.get("files", ()) if isinstance(one, dict))
    for name, read in (("coupons.csv", _coupon), ("in_doubt.csv", _doubt)):
        path = folder / name
        entry = manifest.get("files", {}).get(name)
        try:
            content = path.read_bytes()
        except OSError:
            report.problem = f"{path} is gone: what run {report.run} issued cannot be read from it"
            return report
        if not isinstance(entry, dict) or hashlib.sha256(content).hexdigest() != entry.get("sha256"):
            report.problem = f"{path} was changed since it was written, so it proves nothing"
            return report
        for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig", "replace"), newline="")):
            line = read({key: restore(value or "") for key, value in row.items() if key is not None})
            if line is not None:
                report.lines.append(line)
    return report


def _coupon(row: dict[str, str]) -> OldCoupon | None:
    if row.get("state") in ("resent", "repeated") or not row.get("call_key"):
        return None
    return OldCoupon(
        int(row["series"]), row["kind"], row["customer"], row["call_key"], row["coupon_id"], row["code"],
        _seconds(row.get("time")), state=row.get("state") or "issued",
    )  # fmt: skip


def _doubt(row: dict[str, str]) -> OldCoupon | None:
    if not row.get("call_key"):
        return None
    return OldCoupon(
        int(row["series"]), row["kind"], row["customer"], row["call_key"], "", "", _seconds(row.get("began")),
        held=int(row.get("in_doubt") or 0),
    )  # fmt: skip


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _head(manifest: dict[str, Any]) -> Head | None:
    try:
        return Head(int(manifest["head"]["seq"]), bytes.fromhex(manifest["head"]["hash"]))
    except (KeyError, TypeError, ValueError):
        return None


def _seconds(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None
