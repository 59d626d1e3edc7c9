"""An audit of the ledger: its tables held against its history, check by check, and what an auditor wants to see of it.

The history is replayed first (`audit_scratch`, `core.auditing`); every finding names the order, call or run that it is
about, so that somebody can look.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runner.adapters.ledger.audit_calls import (
    check_calls,
    check_counters,
    check_coupon_ids,
    check_coupons,
    check_doubts,
    check_evidence,
    check_posted_once,
)
from runner.adapters.ledger.audit_orders import (
    check_closings,
    check_holdings,
    check_names,
    check_people,
    check_runs,
    check_targets,
)
from runner.adapters.ledger.audit_scratch import Chain, Scratch, Seen, open_scratch, parsed
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.runs import is_lost
from runner.core.auditing import Check, Findings, Verdict, check
from runner.core.statuses import FLAG_SENTENCES
from runner.core.wording import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A protection that somebody overrode. `at`: as it was recorded, ISO 8601 or seconds since the epoch."""

    run: str
    campaign: str
    what: str
    who: str
    at: Any
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSums:
    """A campaign's figures. Times in seconds since the epoch, UTC."""

    id: int
    org: str
    campaign: str
    runs: tuple[str, ...]
    first: float | None
    last: float | None
    orders: int
    people: int
    target: int
    issued: int
    in_doubt: int
    missing: int
    calls: int
    revoked: int
    series: tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """All that the ledger alone tells an auditor."""

    chain: Chain
    checks: tuple[Check, ...]
    overrides: tuple[Override, ...]
    campaigns: tuple[CampaignSums, ...]


def audit_ledger(
    ledger: LedgerFile, remembered: Sequence[Seen], *, note: Callable[[str], None] = lambda _: None
) -> Audited:
    """Hold the ledger's tables against its history, as of one moment.

    Args:
        remembered: links that the witness, manifests and the like know; read before this is called. Those of a history
            that was lost, and that a recovery has accounted for, are left out.
        note: told what is being done, for a large ledger.

    Raises:
        LedgerFailed: the ledger cannot be read.
    """
    remembered = [seen for seen in remembered if not is_lost(ledger, seen.head)]
    with open_scratch(ledger) as scratch:
        note("replaying the history")
        chain = scratch.walk(remembered)
        note("comparing the tables")
        checks = [_chain_check(chain), _remembered_check(chain, remembered, scratch.replay.lost)]
        parts = (
            *(check_posted_once, check_calls, check_coupons, check_coupon_ids, check_counters),
            *(check_targets, check_people, check_names, check_closings),
            *(check_evidence, check_runs),
        )
        checks += [part(scratch) for part in parts]
        checks += check_holdings(scratch)
        checks += [*_surprises(scratch), check_doubts(scratch)]
        overrides = tuple(_overrides(scratch))
        campaigns = tuple(_campaigns(scratch))
    return Audited(chain=chain, checks=tuple(checks), overrides=overrides, campaigns=campaigns)


def _chain_check(chain: Chain) -> Check:
    findings = Findings()
    for problem in chain.problems:
        findings.add(problem)
    good = f"{chain.head.seq:,} events form an unbroken chain up to {chain.head.hash.hex()}"
    return check("history", findings, good=good, bad="the chain of events is broken")


def _remembered_check(chain: Chain, remembered: Sequence[Seen], lost: Collection[int]) -> Check:
    """`lost`: events of a history that an older copy took the place of, as a recovery recorded them."""
    name = "memory of others"
    findings, accounted = Findings(), Findings()
    for _, sentence in chain.denied:
        findings.add(sentence)
    for seen, sentence in chain.lost:
        (accounted if seen.head.seq in lost else findings).add(sentence)
    if not remembered:
        sentence = "there is no witness beside the ledger and no report: a history cut at its end could not be told"
        return Check(name=name, verdict=Verdict.LIMIT, sentence=sentence)
    if accounted.count and not findings.count:
        bad = "{count} links are of a history that was lost when an older copy was put back; a recovery accounts for it"
        return check(name, accounted, good="", bad=bad, otherwise=Verdict.LIMIT)
    newest = max(seen.head.seq for seen in remembered)
    good = f"{counted(len(remembered), 'link')} that the witness and reports know, up to event {newest:,}, hold"
    return check(name, findings, good=good, bad="{count} links that others remember are not in the history")


def _surprises(scratch: Scratch) -> Iterator[Check]:
    """What answers contained that nobody asked for, by kind, with the calls."""
    found: dict[str, Findings] = {}
    for key, flags in scratch.ask("SELECT key, flags FROM calls WHERE flags NOT NULL"):
        for flag in parsed(flags) or ():
            found.setdefault(str(flag), Findings()).add(f"call {key}")
    for flag, findings in sorted(found.items()):
        yield check(
            "surprise", findings, good="", otherwise=Verdict.LIMIT,
            bad="{count} times " + FLAG_SENTENCES.get(flag, flag.replace("_", " ")).replace("{", "{{"),
        )  # fmt: skip


def _overrides(scratch: Scratch) -> Iterator[Override]:
    query = (
        "SELECT r.name, s.campaign, r.overrides FROM runs r JOIN scopes s ON s.id = r.scope_id"
        " WHERE r.overrides NOT NULL ORDER BY r.id"
    )
    for run, campaign, text in scratch.ask(query):
        for one in parsed(text) or ():
            if isinstance(one, dict):
                yield Override(
                    run=run, campaign=campaign, what=str(one.get("what", "")), who=_who(one), at=one.get("at"),
                    why=str(one.get("why") or one.get("choice") or ""),
                )  # fmt: skip
    query = (
        "SELECT r.name, s.campaign, c.key, e.who, e.at, e.why, e.verdict FROM evidence e JOIN calls c"
        " ON c.order_id = e.order_id AND c.number = e.number JOIN runs r ON r.id = c.run_id"
        " JOIN scopes s ON s.id = r.scope_id WHERE e.\"by\" = 'person' ORDER BY e.id"
    )
    for run, campaign, key, who, at, why, verdict in scratch.ask(query):
        what = f"call {key} settled as {verdict.replace('_', ' ')}"
        yield Override(run=run, campaign=campaign, what=what, who=_who(parsed(who) or {}), at=at, why=why)


def _who(told: dict[str, Any]) -> str:
    inner = told.get("who", told)
    if isinstance(inner, dict):
        user, host = str(inner.get("user", "")), str(inner.get("host", ""))
        return f"{user} on {host}" if user and host else user or host
    return str(inner)


def _campaigns(scratch: Scratch) -> Iterator[CampaignSums]:
    for scope, org, campaign in scratch.ask(
        "SELECT s.id, g.name, s.campaign FROM scopes s JOIN orgs g ON g.id = s.org_id ORDER BY s.id"
    ).fetchall():
        runs = scratch.ask("SELECT name, started, ended FROM runs WHERE scope_id = ? ORDER BY id", (scope,)).fetchall()
        sums = scratch.one(
            "SELECT count(*), count(DISTINCT person_id), coalesce(sum(target), 0), coalesce(sum(issued), 0),"
            " coalesce(sum(held), 0), coalesce(sum(max(0, target - issued - held)), 0) FROM orders"
            " WHERE scope_id = ? AND merged_into IS NULL",
            (scope,),
        )
        (calls,) = scratch.one("SELECT coalesce(sum(calls), 0) FROM orders WHERE scope_id = ?", (scope,))
        (revoked,) = scratch.one(
            "SELECT count(*) FROM orders o JOIN coupons k ON k.order_id = o.id WHERE o.scope_id = ?"
            " AND k.state IN ('revoked', 'replaced')",
            (scope,),
        )
        series = scratch.ask(
            "SELECT series, sum(target), sum(issued), sum(held) FROM orders WHERE scope_id = ? AND merged_into IS NULL"
            " GROUP BY series ORDER BY series",
            (scope,),
        ).fetchall()
        times = [time for run in runs for time in run[1:] if time is not None]
        yield CampaignSums(
            id=scope, org=org, campaign=campaign, runs=tuple(run[0] for run in runs),
            first=min(times, default=None), last=max(times, default=None),
            orders=sums[0], people=sums[1], target=sums[2], issued=sums[3], in_doubt=sums[4], missing=sums[5],
            calls=calls, revoked=revoked, series=tuple((one[0], one[1], one[2], one[3]) for one in series),
        )  # fmt: skip
