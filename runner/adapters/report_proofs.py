"""Reports on disk held against the manifests that vouch for them: size and sha256 of every file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.adapters.ledger.events import Head
from runner.adapters.manifests import MANIFEST
from runner.errors import UsageError

MEANT_TO_BE_EDITED = frozenset({"failures.csv", "failures.xlsx"})
"""Whoever corrects these in place and runs them does as told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest as it lies on disk. `files`: name → (size, sha256)."""

    path: Path
    ledger: str
    run: str
    head: Head
    revision: int
    files: dict[str, tuple[int, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What became of the files of one manifest: names that are as they were, changed, edited as intended, or gone."""

    manifest: Manifest
    same: tuple[str, ...]
    changed: tuple[str, ...]
    edited: tuple[str, ...]
    gone: tuple[str, ...]


def read_manifest(path: Path) -> Manifest:
    """A manifest that somebody names, or the one in a folder that somebody names.

    Raises:
        UsageError: there is none, or it is no manifest of a run.
    """
    if path.is_dir():
        path = path / MANIFEST
    try:
        found = _parse(path, json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise UsageError(f"There is no file {path}. Name the manifest.json in the folder of a run's reports.") from None
    except OSError as error:
        raise UsageError(f"The file {path} cannot be read: {error.strerror}.") from None
    except ValueError:
        found = None
    if found is None:
        raise UsageError(f"The file {path} is no manifest of a run's reports, or was changed: name another.")
    return found


def manifests_in(folders: Iterable[Path], ledger: str) -> Iterator[Manifest]:
    """The manifests of a ledger's runs in folders of reports (one folder a run)."""
    for folder in dict.fromkeys(folder.absolute() for folder in folders):
        for path in sorted(folder.glob(f"*/{MANIFEST}")) if folder.is_dir() else ():
            try:
                found = read_manifest(path)
            except UsageError:
                continue
            if found.ledger == ledger:
                yield found


def prove_files(manifest: Manifest) -> Proof:
    """Hold every file against its manifest. A report that is written again meanwhile is looked at once more."""
    proof = _prove(manifest)
    if proof.changed or proof.gone:
        newer = read_manifest(manifest.path)
        if newer.revision != manifest.revision:
            return _prove(newer)
    return proof


def _prove(manifest: Manifest) -> Proof:
    found: dict[str, list[str]] = {"same": [], "changed": [], "edited": [], "gone": []}
    for name, (size, digest) in sorted(manifest.files.items()):
        path = manifest.path.parent / name
        if not path.is_file():
            found["gone"].append(name)
        elif path.stat().st_size == size and _sha256(path) == digest:
            found["same"].append(name)
        else:
            found["edited" if name in MEANT_TO_BE_EDITED else "changed"].append(name)
    return Proof(manifest=manifest, **{name: tuple(names) for name, names in found.items()})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parse(path: Path, content: Any) -> Manifest | None:
    try:
        head = Head(int(content["head"]["seq"]), bytes.fromhex(content["head"]["hash"]))
        files = {Path(name).name: (int(file["size"]), str(file["sha256"])) for name, file in content["files"].items()}
        return Manifest(
            path=path, ledger=str(content["ledger"]), run=str(content["run"]), head=head,
            revision=int(content["revision"]), files=files,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
