"""manifest.json: of which ledger, and of which state of it, a folder of reports is, and what vouches for its files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runner.adapters.file_set import FileSet
from runner.adapters.ledger.events import Head
from runner.adapters.ledger.reports import RunReader
from runner.errors import ForeignLedger

MANIFEST = "manifest.json"
MANIFEST_SCHEMA = 1


def manifest_of(reader: RunReader, files: FileSet, told: Mapping[str, Any], revision: int) -> dict[str, Any]:
    """What vouches for a run's files. `told`: the ledger's head, and how much of it is erased."""
    run = reader.run
    return {
        "schema": MANIFEST_SCHEMA,
        "revision": revision,
        "run": run.name,
        "org": run.org,
        "org_key": run.org_key,
        "campaign": run.campaign,
        "rehearsal": reader.ledger.rehearsal,
        "ledger": reader.ledger.ledger_id,
        **told,
        "files": files.sizes_and_digests(),
    }


def read_manifest(path: Path) -> dict[str, Any] | None:
    """A manifest of ours; None when there is none, or when the file is somebody else's."""
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return content if isinstance(content, dict) and {"ledger", "head", "revision"} <= content.keys() else None


def _head_of(manifest: Mapping[str, Any]) -> tuple[int, str]:
    head = manifest["head"]
    return (int(head.get("seq", 0)), str(head.get("hash", ""))) if isinstance(head, dict) else (0, "")


def number_in(value: object) -> int:
    """A count as a manifest tells it; 0 where it does not."""
    return value if isinstance(value, int) else 0


def _link(seq: int, digest: str) -> Head:
    """A link as a manifest names it; a digest that somebody has spoilt is nobody's."""
    try:
        return Head(seq, bytes.fromhex(digest))
    except ValueError:
        return Head(seq, b"")


def check_out_folder(
    out: Path, org_key: str, ledger_id: str, head: Head | None, *, holds: Callable[[Head], bool] | None = None
) -> None:
    """Refuse a folder whose reports show that this ledger is not the one that knows the organisation's earlier runs.

    `org_key`: as `core.keys.scope_key` gives it. `head`: the newest link of the ledger in use; None for one that is
    about to be created. `holds`: whether a link is a part of the ledger's history; without it only the newest is
    compared.

    Raises:
        ForeignLedger: a manifest there names another ledger for this organisation, or a later head of this one.
    """
    for path in sorted(out.glob("*/" + MANIFEST)) if out.is_dir() else ():
        manifest = read_manifest(path)
        if manifest is None or manifest.get("org_key") != org_key:
            continue
        run = manifest.get("run")
        if manifest.get("ledger") != ledger_id:
            raise ForeignLedger(
                f"{path.parent} holds the reports of run {run} of this organisation, from another ledger "
                f"({manifest.get('ledger')}): its coupons would be unknown here and issued again. Use that ledger "
                "(--ledger), or choose another folder with --out if it is not yours."
            )
        seq, digest = _head_of(manifest)
        if holds is not None:  # also a later one: a recovery may have accounted for a lost history that was longer
            known = holds(_link(seq, digest))
        else:
            known = head is not None and (seq < head.seq or (seq == head.seq and digest == head.hash.hex()))
        if not known:
            raise ForeignLedger(
                f"{path.parent} holds the reports of run {run}, written when this ledger had {seq:,} events; it has "
                f"{head.seq if head else 0:,} now. It was put back from an older copy, and what was issued since would "
                "be issued again. Put the newest copy in its place, or read back what can still be told with "
                "`coupon-runner recover --anyway`."
            )
