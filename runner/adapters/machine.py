"""What this machine says of its file systems: what is mounted, how much is free, who may read and write."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

from runner.core.checks import Rights
from runner.core.mounts import Mount, read_mount_output, read_proc_mounts

_PROC_MOUNTS = Path("/proc/self/mounts")
_MOUNT = Path("/sbin/mount")


def mounts() -> list[Mount]:
    """Everything that is mounted; an empty list on a system that does not tell (Windows)."""
    try:
        return read_proc_mounts(_PROC_MOUNTS.read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError:
        pass
    if not _MOUNT.is_file():
        return []
    try:
        shown = subprocess.run(  # noqa: S603 - a fixed path
            [_MOUNT], capture_output=True, text=True, errors="replace", timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return read_mount_output(shown.stdout)


def existing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that is there, absolute and without links."""
    path = Path(os.path.realpath(path))
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def free_bytes(folder: Path) -> int | None:
    """What this user may still write there; None when it cannot be told."""
    try:
        return shutil.disk_usage(existing(folder)).free
    except OSError:
        return None


def rights_of(what: str, path: Path) -> Rights:
    """Who may use a file or folder that is there."""
    writable = os.access(path, os.W_OK | os.X_OK if path.is_dir() else os.W_OK)
    if os.name == "nt":  # its rights are lists of users, which the mode does not show
        return Rights(what, str(path), writable, "")
    mode = stat.S_IMODE(path.stat().st_mode)
    who = [name for name, bits in (("group", 0o070), ("everybody", 0o007)) if mode & bits]
    return Rights(what, str(path), writable, " and ".join(who))
