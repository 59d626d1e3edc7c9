"""Where a ledger may lie: never on a file system of other machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.adapters import machine
from runner.app.continuity import check_place
from runner.errors import UsageError


def mounts(kind: str, at: Path) -> str:
    """A machine whose folder lies on another kind of file system."""
    escaped = str(at).replace(" ", "\\040")
    return f"/dev/sda1 / ext4 rw 0 0\nserver:/share {escaped} {kind} rw 0 0\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "a home"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "virtiofs"])
def test_a_ledger_on_a_network_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The sentence names the place, the kind and the way out; the file need not be there yet."""
    told = home / "mounts"
    told.write_text(mounts(kind, home))
    monkeypatch.setattr(machine, "_PROC_MOUNTS", told)
    with pytest.raises(UsageError, match=rf"{kind}.*local disk.*Nothing was changed") as refused:
        check_place(home / "state" / "ledger.db")
    assert str(home) in refused.value.message


@pytest.mark.parametrize("kind", ["tmpfs", "overlay"])
def test_a_ledger_that_may_vanish_is_warned_of(home: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """It is the person's choice."""
    told = home / "mounts"
    told.write_text(mounts(kind, home))
    monkeypatch.setattr(machine, "_PROC_MOUNTS", told)
    said: list[str] = []
    check_place(home / "ledger.db", said.append)
    assert len(said) == 1
    assert kind in said[0]
