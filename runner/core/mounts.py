"""Which file system a path lies on, and whether a ledger may lie there: pure decisions over a list of mounts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple


class Mount(NamedTuple):
    """Something mounted: what, where, and the kind of file system."""

    source: str
    point: str
    kind: str


class Risk(StrEnum):
    """What is wrong with a file system that is to hold a ledger."""

    NETWORK = "network"
    SHARED = "shared"
    MEMORY = "memory"
    CONTAINER = "container"
    CLEANED = "cleaned"
    READ_ONLY = "read-only"


_KINDS: tuple[tuple[Risk, frozenset[str]], ...] = (
    (Risk.NETWORK, frozenset({"nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afp", "afpfs", "afs"})),
    (Risk.NETWORK, frozenset({"glusterfs", "ceph", "lustre", "gpfs", "beegfs", "gfs", "gfs2", "ocfs2", "orangefs"})),
    (Risk.NETWORK, frozenset({"ncp", "ncpfs", "coda", "panfs", "davfs", "webdav", "sshfs"})),
    (Risk.SHARED, frozenset({"9p", "virtiofs", "vboxsf", "prl_fs", "vmhgfs", "drvfs", "osxfs", "grpcfuse"})),
    (Risk.MEMORY, frozenset({"tmpfs", "ramfs", "devtmpfs", "rootfs", "hugetlbfs"})),
    (Risk.CONTAINER, frozenset({"overlay", "overlayfs", "aufs", "unionfs", "fuse-overlayfs"})),
    (Risk.READ_ONLY, frozenset({"squashfs", "iso9660", "erofs", "cramfs", "udf"})),
)

_FUSE_NETWORK = ("sshfs", "ssh", "s3", "gcs", "rclone", "dav", "gluster", "ceph", "nfs", "smb", "goofys", "blob")
"""Parts of the names of programs that show what lies elsewhere (fuse.sshfs, fuse.rclone, fuse.blobfuse2 …)."""

_LOCAL_FUSE = frozenset({"fuseblk", "lxcfs", "gocryptfs", "encfs", "ntfs-3g"})

_CLEANED = ("/tmp", "/var/tmp", "/private/tmp", "/private/var/tmp")  # noqa: S108 - folders to warn of


def read_proc_mounts(text: str) -> list[Mount]:
    """The lines of /proc/mounts; blanks in names are written there as octal escapes."""
    parts = (line.split(" ") for line in text.splitlines())
    return [Mount(_plain(part[0]), _plain(part[1]), part[2]) for part in parts if len(part) >= 3]


def read_mount_output(text: str) -> list[Mount]:
    """The lines of the command `mount` where there is no /proc/mounts: "source on /point (kind, …)"."""
    found = (re.fullmatch(r"(.*) on (/.*) \(([^,)]+).*\)", line) for line in text.splitlines())
    return [Mount(line[1], line[2], line[3].strip()) for line in found if line is not None]


def _plain(name: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), name)


def mount_of(path: str, mounts: Sequence[Mount]) -> Mount | None:
    """What an absolute path without links lies on: the deepest mount above it, of several there the last one."""
    best: Mount | None = None
    for mount in mounts:
        point = mount.point.rstrip("/")
        if (path == mount.point or path.startswith(f"{point}/")) and (
            best is None or len(point) >= len(best.point.rstrip("/"))
        ):
            best = mount
    return best


def risk_of(path: str, mount: Mount | None) -> Risk | None:
    """Why a ledger should not lie at this path, or None. `mount`: what it lies on, None when that is not known."""
    if path.startswith(("\\\\", "//")):
        return Risk.NETWORK  # a share of Windows
    if mount is not None:
        kind = mount.kind.lower()
        own = kind.removeprefix("fuse.").removeprefix("fuseblk.")
        for risk, kinds in _KINDS:
            if own in kinds:
                return risk
        if kind.startswith("fuse") and own not in _LOCAL_FUSE:
            return Risk.NETWORK if any(part in own for part in _FUSE_NETWORK) else Risk.SHARED
    if any(path == folder or path.startswith(f"{folder}/") for folder in _CLEANED):
        return Risk.CLEANED
    return None
