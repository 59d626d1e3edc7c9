"""Where a ledger may lie: local disks yes; networks, memory, containers and folders that are cleaned no."""

from __future__ import annotations

import pytest

from runner.core.mounts import Mount, Risk, mount_of, read_mount_output, read_proc_mounts, risk_of

PROC = """/dev/sda1 / ext4 rw,relatime 0 0
tmpfs /run tmpfs rw 0 0
files:/export /srv/shared nfs4 rw,vers=4.2 0 0
/dev/sdb1 /srv/shared/local\\040disk xfs rw 0 0
overlay / overlay rw 0 0
half-a line
"""
MAC = """/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
//ops@files/export on /Volumes/export (smbfs, nodev, nosuid)
"""


def test_a_path_lies_on_the_deepest_mount_above_it_and_on_the_last_of_several():
    """A name that merely begins like a mount's is not below it; blanks are written as octal escapes."""
    mounts = read_proc_mounts(PROC)
    assert [mount.kind for mount in mounts] == ["ext4", "tmpfs", "nfs4", "xfs", "overlay"]
    found = {
        path: mount_of(path, mounts) for path in ("/srv/shared/a/b", "/srv/shared/local disk/l.db", "/srv/sharedX")
    }
    assert [mount.kind if mount else "" for mount in found.values()] == ["nfs4", "xfs", "overlay"]
    assert mount_of("/run", mounts) == Mount("tmpfs", "/run", "tmpfs")
    assert mount_of("C:\\ledger.db", mounts) is None


def test_what_the_command_mount_prints_on_a_mac_is_understood():
    """There is no /proc/mounts there."""
    assert read_mount_output(MAC) == [
        Mount("/dev/disk3s1s1", "/", "apfs"),
        Mount("//ops@files/export", "/Volumes/export", "smbfs"),
    ]


@pytest.mark.parametrize(
    ("kind", "risk"),
    [
        *((kind, None) for kind in ("ext4", "xfs", "btrfs", "zfs", "apfs", "fuseblk", "fuse.gocryptfs", "unheard-of")),
        *(
            (kind, Risk.NETWORK)
            for kind in ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuse.rclone", "CIFS", "ceph")
        ),
        *((kind, Risk.SHARED) for kind in ("9p", "virtiofs", "vboxsf", "fuse.something")),
        *((kind, Risk.MEMORY) for kind in ("tmpfs", "ramfs")),
        *((kind, Risk.CONTAINER) for kind in ("overlay", "aufs", "fuse.fuse-overlayfs")),
        ("squashfs", Risk.READ_ONLY),
    ],
)
def test_each_kind_of_file_system_has_its_risk(kind, risk):
    """A kind that nobody knows counts as local: a warning that is always there is read by nobody."""
    assert risk_of("/srv/ledger.db", Mount("x", "/", kind)) is risk


@pytest.mark.parametrize(
    ("path", "risk"),
    [
        ("/tmp/ledger.db", Risk.CLEANED),
        ("/var/tmp/a/ledger.db", Risk.CLEANED),
        ("/private/tmp/ledger.db", Risk.CLEANED),
        ("/tmpx/ledger.db", None),
        ("\\\\files\\share\\ledger.db", Risk.NETWORK),
    ],
)
def test_some_paths_are_a_risk_whatever_they_lie_on(path, risk):
    """Folders for temporary files, and the shares of Windows, which no list of mounts shows."""
    assert risk_of(path, Mount("x", "/", "ext4")) is risk
    assert risk_of(path, None) is risk
