"""Whether the ledger in use is the newest there is: no witness and no report may know more history than it does."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.runs import holds_link, newest_head
from runner.adapters.ledger.witness import read_witness, witness_path
from runner.adapters.report_files import check_out_folder
from runner.errors import ForeignLedger


def check_history(ledger: LedgerFile, org_key: str, *outs: Path) -> None:
    """Refuse to issue with a ledger that was put back from an older copy: what it forgot would be issued again.

    Called before anything is added to the ledger, since its history would then be as long as it was, but another.
    A rehearsal's ledger is not looked at. `outs`: folders of reports.

    Raises:
        ForeignLedger: the witness beside the ledger, or a report in the folders, knows a history that it does not hold.
    """
    if ledger.rehearsal:
        return
    witness = read_witness(ledger.path, ledger_id=ledger.ledger_id, key=ledger.key)
    if witness is not None and not holds_link(ledger, witness):
        raise ForeignLedger(
            f"The ledger {ledger.path} had {witness.seq:,} events when {witness_path(ledger.path).name} beside it was"
            f" written; it has {newest_head(ledger).seq:,} now, or others. It was put back from an older copy, and what"
            " was issued since would be issued again. Put the newest copy in its place, with the file ending in -wal if"
            " there is one; nothing was sent."
        )
    holds = partial(holds_link, ledger)
    for out in dict.fromkeys(outs):
        try:
            check_out_folder(out, org_key, ledger.ledger_id, newest_head(ledger), holds=holds)
        except ForeignLedger:
            # Another process may have gone on and written its reports between the two looks; a second one is final.
            check_out_folder(out, org_key, ledger.ledger_id, newest_head(ledger), holds=holds)
