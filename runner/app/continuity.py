"""Whether the ledger in use is the newest there is: no witness and no report may know more history than it does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from runner.adapters import machine
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.runs import holds_link, newest_head
from runner.adapters.manifests import check_out_folder
from runner.core.checks import check_mount
from runner.core.mounts import Risk, mount_of, risk_of
from runner.errors import ForeignLedger, UsageError

NEVER = frozenset({"9p", "vboxsf", "prl_fs", "vmhgfs", "virtiofs"})
"""Kinds of file systems that another machine provides; `doctor` only warns of those a ledger could be read from."""


def check_history(ledger: LedgerFile, org_key: str, *outs: Path) -> None:
    """Refuse to issue with a ledger that was put back from an older copy: what it forgot would be issued again.

    Called before anything is added to the ledger, since its history would then be as long as it was, but another.
    A rehearsal's ledger is not looked at. `outs`: folders of reports.

    Raises:
        ForeignLedger: the witness beside the ledger, or a report in the folders, knows a history that it does not hold.
    """
    if ledger.rehearsal:
        return
    check_place(ledger.path)
    ledger.check_newest()
    holds = partial(holds_link, ledger)
    for out in dict.fromkeys(outs):
        try:
            check_out_folder(out, org_key, ledger.ledger_id, newest_head(ledger), holds=holds)
        except ForeignLedger:
            # Another process may have gone on and written its reports between the two looks; a second one is final.
            check_out_folder(out, org_key, ledger.ledger_id, newest_head(ledger), holds=holds)


def check_place(path: Path, note: Callable[[str], None] = lambda _: None) -> None:
    """Refuse a ledger on a network file system, whose locks and syncs nobody can rely on; `note` other doubts.

    Raises:
        UsageError: it lies on one.
    """
    real = str(machine.existing(path))
    mount = mount_of(real, machine.mounts())
    found = check_mount(real, mount)
    risk = risk_of(real, mount)
    if risk is Risk.NETWORK or (mount is not None and mount.kind in NEVER):
        raise UsageError(f"The ledger's file system cannot be used: {found.says}. {found.remedy} Nothing was changed.")
    if found.remedy:
        note(f"{found.says}. {found.remedy}")
