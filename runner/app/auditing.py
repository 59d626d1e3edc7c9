"""The audit: the ledger against its own history, witness and reports, and, if wanted, against what the API says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from runner.adapters.certificate import Certificate, write_certificate
from runner.adapters.ledger.audit import Audited, CampaignSums, Override, audit_ledger
from runner.adapters.ledger.audit_scratch import Seen
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.witness import read_witness
from runner.adapters.report_proofs import Manifest, Proof, manifests_in, prove_files, read_manifest
from runner.app.conversation import Request
from runner.app.live import issued_elsewhere
from runner.app.place import open_ledger, place_of
from runner.core.auditing import Check, Findings, Verdict, check
from runner.core.reporting import write_time
from runner.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditAsked:
    """What an audit is to do beside reading the ledger: compare a manifest, write certificates, read the API."""

    against: Path | None = None
    certificate: bool = False
    live: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What an audit found. `certificates`: pages that were written. Times in seconds since the epoch, UTC."""

    ledger: Path
    ledger_id: str
    rehearsal: bool
    at: float
    audited: Audited
    checks: tuple[Check, ...]
    certificates: tuple[Path, ...]

    @property
    def wrong(self) -> int:
        """How many lines are WRONG."""
        return sum(one.verdict is Verdict.WRONG for one in self.checks)

    def document(self) -> dict[str, object]:
        """The same, for programs."""
        return {
            "ledger": str(self.ledger),
            "ledger_id": self.ledger_id,
            "rehearsal": self.rehearsal,
            "at": write_time(self.at),
            "head": {"seq": self.audited.chain.head.seq, "hash": self.audited.chain.head.hash.hex()},
            "wrong": self.wrong,
            "checks": [
                {"name": one.name, "verdict": one.verdict.value, "sentence": one.sentence, "details": list(one.details)}
                for one in self.checks
            ],
            "overrides": [override_document(one) for one in self.audited.overrides],
            "campaigns": [campaign_document(one) for one in self.audited.campaigns],
            "certificates": [str(path) for path in self.certificates],
        }


def override_document(override: Override) -> dict[str, object]:
    """One overridden protection, for programs and people."""
    at = write_time(override.at) if isinstance(override.at, int | float) else str(override.at or "")
    return {
        "run": override.run,
        "campaign": override.campaign,
        "what": override.what,
        "who": override.who,
        "at": at,
        "why": override.why,
    }


def campaign_document(sums: CampaignSums) -> dict[str, object]:
    """One campaign's sums, for programs."""
    return {
        "org": sums.org,
        "campaign": sums.campaign,
        "runs": list(sums.runs),
        "first": write_time(sums.first),
        "last": write_time(sums.last),
        "customers": sums.people,
        "orders": sums.orders,
        "target": sums.target,
        "issued": sums.issued,
        "in_doubt": sums.in_doubt,
        "missing": sums.missing,
        "revoked": sums.revoked,
        "calls": sums.calls,
        "series": [{"series": one[0], "target": one[1], "issued": one[2], "in_doubt": one[3]} for one in sums.series],
    }


def audit(request: Request, asked: AuditAsked, *, clock: Clock, note: Callable[[str], None]) -> AuditReport:
    """Prove or refute the promise, line by line. Changes nothing; a run may go on meanwhile.

    Raises:
        NoLedger: there is none. UsageError: `against` is no manifest. LedgerFailed: the ledger cannot be read.
    """
    ledger = open_ledger(place_of(request.options, request.environment), clock)
    against = read_manifest(asked.against) if asked.against is not None else None
    outs = [*_outs_of(ledger), Path(request.options.out)]
    manifests = list(manifests_in(outs, ledger.ledger_id))
    audited = audit_ledger(ledger, _remembered(ledger, against, manifests), note=note)
    checks = list(audited.checks)
    checks[2:2] = _against(ledger, against)
    note("comparing the reports on disk")
    checks.append(_reports(ledger, manifests))
    if asked.live:
        checks.append(issued_elsewhere(ledger, request, clock=clock))
    now = clock.wall()
    written: Sequence[Path] = ()
    if asked.certificate:
        pages = [
            Certificate(
                campaign=one,
                ledger=ledger.ledger_id,
                rehearsal=ledger.rehearsal,
                at=now,
                head_seq=audited.chain.head.seq,
                head=audited.chain.head.hash.hex(),
                checks=tuple(checks),
                overrides=tuple(
                    override_document(override) for override in audited.overrides if override.run in one.runs
                ),
            )
            for one in audited.campaigns
        ]
        written = [write_certificate(page, Path(request.options.out) / "certificates") for page in pages]
    return AuditReport(
        ledger=ledger.path,
        ledger_id=ledger.ledger_id,
        rehearsal=ledger.rehearsal,
        at=now,
        audited=audited,
        checks=tuple(checks),
        certificates=tuple(written),
    )


def _outs_of(ledger: LedgerFile) -> list[Path]:
    with closing(ledger.connect(readonly=True)) as conn:
        found = conn.exec_driver_sql("SELECT DISTINCT out FROM runs WHERE out IS NOT NULL").scalars()
        return [Path(out) for out in found]


def _remembered(ledger: LedgerFile, against: Manifest | None, manifests: Sequence[Manifest]) -> list[Seen]:
    """What knows how far the history had come; read before the ledger is, since a live run goes on."""
    found = [Seen(one.head, f"the report of run {one.run}") for one in manifests]
    if against is not None and against.ledger == ledger.ledger_id:
        found.append(Seen(against.head, str(against.path)))
    witness = read_witness(ledger.path, ledger_id=ledger.ledger_id, key=ledger.key)
    if witness is not None:
        found.append(Seen(witness, "the witness beside the ledger"))
    return found


def _against(ledger: LedgerFile, against: Manifest | None) -> list[Check]:
    if against is None:
        return []
    findings = Findings()
    if against.ledger != ledger.ledger_id:
        findings.add(f"{against.path} vouches for ledger {against.ledger}; this one is {ledger.ledger_id}")
    proof = prove_files(against)
    for name in proof.changed:
        findings.add(f"{name} beside {against.path} was changed")
    good = f"{against.path} is of this ledger, event {against.head.seq:,}; {len(proof.same):,} files beside it match"
    return [check("manifest", findings, good=good, bad="{count} contradictions to the manifest")]


def _reports(ledger: LedgerFile, manifests: Sequence[Manifest]) -> Check:
    """Changed reports are WRONG; what was moved away, or edited as it is meant to be, is said."""
    findings = Findings()
    with closing(ledger.connect(readonly=True)) as conn:
        runs = set(conn.exec_driver_sql("SELECT name FROM runs").scalars())
    proofs: list[Proof] = []
    for manifest in manifests:
        proof = prove_files(manifest)
        proofs.append(proof)
        for name in proof.changed:
            findings.add(f"{manifest.path.parent / name} was changed since it was written")
        if manifest.run not in runs:
            findings.add(f"{manifest.path.parent} holds the reports of run {manifest.run}, which the ledger lacks")
    same, edited, gone = (sum(len(getattr(one, kind)) for one in proofs) for kind in ("same", "edited", "gone"))
    good = f"{same:,} files of {len(proofs):,} runs match their manifests"
    absent = len(runs - {proof.manifest.run for proof in proofs})
    asides = (
        (edited, "{:,} files of failures were edited, as they are meant to be"),
        (gone, "{:,} files are not there any more"),
        (absent, "{:,} runs have no reports where they were written (moved, or never finished)"),
    )
    good = "; ".join([good, *(text.format(number) for number, text in asides if number)])
    return check("reports", findings, good=good, bad="{count} reports are not as they were written")
