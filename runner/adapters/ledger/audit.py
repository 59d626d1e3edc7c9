# ruff: noqa: S608 — put together from fixed texts of this module; every value is a parameter
"""What an audit asks of the ledger: each check a few queries, which hold its tables against its history.

The history is replayed first (`audit_scratch`, `core.auditing`); every finding names the order, call or run that it is
about, so that somebody can look.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runner.adapters.ledger.audit_scratch import Chain, Scratch, Seen, open_scratch, parsed
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.loaded import CHUNK, input_digest, line_digests, overrides_digest
from runner.adapters.ledger.runs import is_lost
from runner.adapters.ledger.settling import NAME_BYTES
from runner.core.auditing import Check, Findings, Verdict, check
from runner.core.keys import order_key
from runner.core.statuses import FLAG_SENTENCES
from runner.core.wording import counted

NOT_COUNTED = "('resent', 'repeated')"


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
        parts = (_posted_once, _calls, _coupons, _coupon_ids, _counters, _targets, _people, _names, _closings)
        checks += [part(scratch) for part in (*parts, _evidence, _runs)]
        checks += _holdings(scratch)
        checks += [*_surprises(scratch), _doubts(scratch)]
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


def _collect(scratch: Scratch, findings: Findings, sql: str, sentence: str, values: Sequence[Any] = ()) -> None:
    """Every row of a query is a finding."""
    for row in scratch.ask(sql, values):
        findings.add(sentence.format(*row))


def _posted_once(scratch: Scratch) -> Check:
    findings = Findings()
    for problem in scratch.replay.problems.details:
        findings.add(problem)
    findings.count = max(findings.count, scratch.replay.problems.count)
    _collect(
        scratch, findings,
        "SELECT c.key, c.number, o.key FROM calls c LEFT JOIN orders o ON o.id = c.order_id"
        " WHERE o.key IS NULL OR substr(c.key, 1, length(o.key) + length(c.number) + 2) <> o.key || '-' || c.number"
        " || '-'",
        "call {0} (number {1}) stands with order {2}, which its key does not name",
    )  # fmt: skip
    _collect(
        scratch, findings,
        "SELECT o.key, o.calls, coalesce(s.calls, 0), coalesce(s.newest, 0) FROM orders o LEFT JOIN h_sums s"
        " ON s.order_id = o.id WHERE o.calls <> coalesce(s.newest, 0) OR (o.calls <> coalesce(s.calls, 0)"
        " AND o.id NOT IN (SELECT order_id FROM h_recovered))",
        "order {0} counts {1} calls, but {2} are recorded, the newest number {3}",
    )  # fmt: skip
    good = f"{scratch.replay.begun:,} calls were begun, each once, numbered without a gap"
    return check("no call twice", findings, good=good, bad="{count} contradictions about which calls were posted")


_SAME = " AND ".join(f"c.{name} IS h.{name}" for name in ("key", "run_id", "quantity", "state", "known", "held"))
_ANSWER = " AND ".join(f"c.{name} IS h.{name}" for name in ("http", "code", "request_id"))
_FLAGS = "(c.flags IS h.flags OR in_order(c.flags) IS h.flags)"


def _calls(scratch: Scratch) -> Check:
    findings = Findings()
    _collect(
        scratch, findings,
        "SELECT c.key, c.state, c.known, c.held, h.state, h.known, h.held FROM calls c JOIN h_calls h"
        f" ON h.order_id = c.order_id AND h.number = c.number WHERE NOT ({_SAME})",
        "call {0} is “{1}” with {2} known and {3} held; by the history it is “{4}” with {5} and {6}",
    )  # fmt: skip
    _collect(
        scratch, findings,
        "SELECT c.key, coalesce(c.http, 'none'), coalesce(c.code, 'none'), coalesce(c.flags, 'none') FROM calls c"
        " JOIN h_calls h ON h.order_id = c.order_id AND h.number = c.number"
        f" WHERE {_SAME} AND NOT ({_ANSWER} AND {_FLAGS})",
        "call {0}: its status ({1}), code ({2}), surprises ({3}) or request id are not those of its answer",
    )  # fmt: skip
    for side, other, sentence in (
        ("calls", "h_calls", "call {0} is recorded, but was never begun"),
        ("h_calls", "calls", "call {0} was begun, but is not recorded any more"),
    ):
        query = f"SELECT c.key FROM {side} c LEFT JOIN {other} x ON x.order_id = c.order_id AND x.number = c.number"
        _collect(scratch, findings, f"{query} WHERE x.key IS NULL", sentence)
    (count,) = scratch.one("SELECT count(*) FROM calls")
    good = f"states and quantities of {counted(count, 'call')} are those that the history tells"
    return check("calls", findings, good=good, bad="{count} calls are not what the history tells")


_NUMBER = "CAST(substr(k.call_key, instr(k.call_key, '-') + 1) AS INTEGER)"
"""The number of a coupon's call."""


def _coupons(scratch: Scratch) -> Check:
    """The history counts each coupon once, the table takes it off again: what is left over does not agree."""
    findings = Findings()
    scratch.ask(
        "INSERT INTO h_coupons SELECT order_id, CAST(substr(call_key, instr(call_key, '-') + 1) AS INTEGER), hash,"
        " state, -1 FROM coupons WHERE true"
        " ON CONFLICT DO UPDATE SET n = n - 1"
    )
    whose = "LEFT JOIN orders o ON o.id = h.order_id"
    _collect(
        scratch, findings,
        f"SELECT -h.n, coalesce(o.key, h.order_id), h.number FROM h_coupons h {whose} WHERE h.n < 0",
        "{0} coupon(s) with order {1}, call number {2}, which no answer brought there",
    )  # fmt: skip
    _collect(
        scratch, findings,
        f"SELECT h.n, coalesce(o.key, h.order_id), h.number FROM h_coupons h {whose} WHERE h.n > 0",
        "{0} coupon(s) that an answer brought to order {1}, call number {2}, are not recorded there any more",
    )  # fmt: skip
    _collect(
        scratch, findings,
        "SELECT k.id, k.call_key FROM coupons k LEFT JOIN calls c ON c.order_id = k.order_id AND c.number ="
        " CAST(substr(k.call_key, instr(k.call_key, '-') + 1) AS INTEGER) AND c.key = k.call_key WHERE c.key IS NULL",
        "coupon number {0} of the ledger names call {1}, which is none of its order's",
    )  # fmt: skip
    _collect(
        scratch, findings,
        "SELECT id, call_key FROM coupons WHERE coalesce(coupon_id, code) NOT NULL"
        " AND coupon_of(coalesce(coupon_id, code)) <> hash",
        "coupon number {0} of the ledger, of call {1}, shows another id than the one that was recorded",
    )  # fmt: skip
    _collect(
        scratch, findings,
        "SELECT k.id, k.call_key FROM coupons k JOIN h_codes h ON h.order_id = k.order_id AND h.hash = k.hash"
        f" AND h.number = {_NUMBER} WHERE k.code NOT NULL AND k.coupon_id NOT NULL"
        " GROUP BY k.id HAVING sum(h.code = code_of(k.code)) = 0",
        "coupon number {0} of the ledger, of call {1}, shows another code than the one that was recorded",
    )  # fmt: skip
    count, counted = scratch.one(f"SELECT count(*), count(*) FILTER (WHERE state NOT IN {NOT_COUNTED}) FROM coupons")
    good = f"{count:,} coupons ({counted:,} that count) are those that answers and reads brought, each with one call"
    return check("coupons", findings, good=good, bad="{count} coupons are not what the history tells")


_REPEATED = f"""
SELECT k.hash, count(*), group_concat(k.call_key, ', '), max(coalesce(instr(c.flags, 'known_for_another'), 0))
FROM (SELECT hash FROM coupons GROUP BY hash HAVING count(*) > 1) AS many
JOIN coupons k ON k.hash = many.hash JOIN calls c ON c.order_id = k.order_id AND c.key = k.call_key
WHERE k.state NOT IN {NOT_COUNTED} AND k.coupon_id IS NOT NULL GROUP BY k.hash HAVING count(*) > 1
"""


def _coupon_ids(scratch: Scratch) -> Check:
    """An id counts once. That the API gave one to two customers is its doing, flagged when it came."""
    wrong, flagged = Findings(), Findings()
    for _, count, calls, told in scratch.ask(_REPEATED):
        (flagged if told else wrong).add(f"one coupon id counts {count} times: calls {calls}")
    if not wrong.count and flagged.count:
        return check(
            "coupon ids", flagged, good="", otherwise=Verdict.LIMIT,
            bad="the API gave {count} coupon ids to more than one customer; each was flagged when it came",
        )  # fmt: skip
    (count,) = scratch.one(f"SELECT count(*) FROM coupons WHERE coupon_id NOT NULL AND state NOT IN {NOT_COUNTED}")
    return check("coupon ids", wrong, good=f"{count:,} coupon ids, none of them twice", bad="{count} ids count twice")


def _counters(scratch: Scratch) -> Check:
    findings = Findings()
    # Calls stay with the order that they were made for; the sums belong to the one that survived.
    scratch.ask(
        "INSERT INTO h_sums SELECT o.merged_into, sum(s.known), sum(s.held), 0, 0 FROM orders o JOIN h_sums s"
        " ON s.order_id = o.id WHERE o.merged_into NOT NULL GROUP BY o.merged_into"
        " ON CONFLICT DO UPDATE SET known = known + excluded.known, held = held + excluded.held"
    )
    scratch.ask(
        "UPDATE h_sums SET known = known - r.n FROM (SELECT coalesce(o.merged_into, o.id) AS id, count(*) AS n"
        " FROM coupons k JOIN orders o ON o.id = k.order_id WHERE k.state = 'replaced' GROUP BY 1) AS r"
        " WHERE r.id = h_sums.order_id"
    )
    _collect(
        scratch, findings,
        "SELECT o.key, o.issued, o.held, coalesce(s.known, 0), coalesce(s.held, 0) FROM orders o LEFT JOIN h_sums s"
        " ON s.order_id = o.id WHERE o.merged_into IS NULL"
        " AND (o.issued <> coalesce(s.known, 0) OR o.held <> coalesce(s.held, 0))",
        "order {0} counts {1} issued and {2} in doubt; its calls add up to {3} and {4}",
    )  # fmt: skip
    _collect(
        scratch, findings,
        "SELECT key, issued, held, target FROM orders WHERE merged_into NOT NULL AND (issued OR held OR target)",
        "order {0} was merged away, but still counts {1} issued, {2} in doubt, target {3}",
    )  # fmt: skip
    _collect(
        scratch, findings,
        "SELECT c.key, c.known, count(k.id) FROM calls c LEFT JOIN coupons k ON k.order_id = c.order_id"
        f" AND k.call_key = c.key AND k.state NOT IN {NOT_COUNTED} GROUP BY c.order_id, c.number"
        " HAVING c.known <> count(k.id)",
        "call {0} counts {1} coupons, {2} are recorded",
    )  # fmt: skip
    issued, held = scratch.one("SELECT coalesce(sum(issued), 0), coalesce(sum(held), 0) FROM orders")
    good = f"counters of orders and calls equal their sums: {issued:,} issued, {held:,} in doubt or under way"
    return check("counters", findings, good=good, bad="{count} counters are not the sum of what they count")


_TARGETS = """
SELECT o.key, o.target, coalesce(t.target, n.target), o.run_id, t.run_id, o.id, m.seq FROM orders o
LEFT JOIN h_targets t ON t.order_id = o.id LEFT JOIN h_made n ON n.order_id = o.id
LEFT JOIN (SELECT survivor, max(seq) AS seq FROM h_merges GROUP BY survivor) m ON m.survivor = o.id
WHERE o.merged_into IS NULL AND (m.seq NOT NULL OR o.target IS NOT coalesce(t.target, n.target, 0)
    OR (t.run_id NOT NULL AND o.run_id IS NOT t.run_id))
"""


def _targets(scratch: Scratch) -> Check:
    findings = Findings()
    unproven = 0
    ask = scratch.ask
    for run, load in sorted(scratch.replay.loads.items()):
        (name,) = ask("SELECT name FROM runs WHERE id = ?", (run,)).fetchone() or (f"number {run}",)
        if load.digests is None:
            unproven += 1
            continue
        found = line_digests(ask, run, load.first, load.last)
        for part, (now, then) in enumerate(zip(found, load.digests, strict=True)):
            if now != then:
                first = load.first + part * CHUNK
                last = min(first + CHUNK - 1, load.last)
                findings.add(f"run {name}: among its lines {first} to {last} of the ledger are others than were loaded")
        (others,) = scratch.one(
            "SELECT count(*) FROM lines WHERE run_id = ? AND id NOT BETWEEN ? AND ?", (run, load.first, load.last)
        )
        if others:
            findings.add(f"run {name}: {others:,} lines were added since it was loaded")
        rows, rejected = scratch.one("SELECT count(*), coalesce(sum(rejected), 0) FROM rows WHERE run_id = ?", (run,))
        if (rows, rejected) != (load.rows, load.rejected):
            findings.add(
                f"run {name}: {rows:,} rows, {rejected:,} rejected; {load.rows:,} and {load.rejected:,} were loaded"
            )
    for key, target, loaded, run_id, loaded_run, order, merged in ask(_TARGETS).fetchall():
        wanted = loaded or 0
        if merged is not None:
            wanted = _target_after_merge(scratch, order, merged, wanted, loaded_run)
        if target != wanted:
            findings.add(f"order {key}: target {target:,}; the newest list that names it says {wanted:,}")
        elif merged is None and run_id != loaded_run:
            findings.add(f"order {key}: stands with run number {run_id}; run number {loaded_run} loaded it last")
    _collect(
        scratch, findings,
        "SELECT o.key FROM orders o WHERE NOT EXISTS (SELECT 1 FROM lines l WHERE l.order_id = o.id)"
        " AND o.id NOT IN (SELECT order_id FROM h_made)",
        "order {0} belongs to no line of any list",
    )  # fmt: skip
    lines, orders = scratch.one("SELECT (SELECT count(*) FROM lines), (SELECT count(*) FROM orders)")
    good = f"targets of {orders:,} orders and {lines:,} lines are those that were loaded"
    if unproven and not findings.count:
        sentence = f"{good}, but for {unproven:,} runs of an older version, which recorded no digests of their lines"
        return Check(name="targets", verdict=Verdict.LIMIT, sentence=sentence)
    return check("targets", findings, good=good, bad="{count} targets or lines are not what was loaded")


def _target_after_merge(scratch: Scratch, order: int, merged: int, loaded: int, loaded_run: int | None) -> int:
    """For a survivor of a merge: its newest target, by the merge or by a list that was loaded after it."""
    load = scratch.replay.loads.get(loaded_run) if loaded_run is not None else None
    if load is not None and load.seq > merged:
        return loaded
    (target,) = scratch.one("SELECT target FROM h_merges WHERE survivor = ? AND seq = ?", (order, merged))
    return int(target)


def _people(scratch: Scratch) -> Check:
    findings = Findings()
    persons = dict(scratch.ask("SELECT id, merged_into FROM persons WHERE merged_into NOT NULL").fetchall())
    for person in sorted(persons.keys() | scratch.replay.persons.keys()):
        now, then = persons.get(person), scratch.replay.persons.get(person)
        if now != then:
            findings.add(
                f"person number {person} is merged into {now or 'nobody'}; by the history into {then or 'nobody'}"
            )
    merged = dict(scratch.ask("SELECT id, merged_into FROM orders WHERE merged_into NOT NULL").fetchall())
    for order in sorted(merged.keys() | scratch.replay.merged.keys()):
        now, then = merged.get(order), scratch.replay.merged.get(order)
        if now != then:
            findings.add(f"order number {order} is merged into {now or 'none'}; by the history into {then or 'none'}")
    _collect(
        scratch, findings,
        "SELECT p.id FROM persons p LEFT JOIN identity i ON i.org_id = p.org_id AND i.hash = p.name"
        " WHERE i.person_id IS NULL",
        "person number {0} is no longer found by the name that she was first sent by",
    )  # fmt: skip
    forgotten = set(scratch.ask("SELECT id FROM persons WHERE forgotten NOT NULL").fetchall())
    for (person,) in sorted(forgotten ^ {(one,) for one in scratch.replay.forgotten}):
        findings.add(f"person number {person}: that she was forgotten, or was not, is not what the history tells")
    names = _names_of_merged(scratch)
    query = (
        "SELECT o.id, o.key, g.key, s.key, o.series, coalesce(r.root, o.person_id), p.name FROM orders o"
        " LEFT JOIN scopes s ON s.id = o.scope_id LEFT JOIN orgs g ON g.id = s.org_id"
        " LEFT JOIN h_roots r ON r.person = o.person_id LEFT JOIN persons p ON p.id = o.person_id"
    )
    secret = scratch.ledger.key
    for order, key, org, campaign, series, person, name in scratch.ask(query):
        known = [name, *names.get(person, ())]
        if org is None or not any(
            one is not None and order_key(secret, org, campaign, series, one) == key for one in known
        ):
            findings.add(
                f"order number {order} ({key}) is not of the person, campaign and series that its key is made of"
            )
    (count,) = scratch.one("SELECT count(*) FROM persons WHERE merged_into IS NULL")
    good = (
        f"{count:,} customers; {len(persons):,} turned out to be another and were merged; every order is its person's"
    )
    return check("people", findings, good=good, bad="{count} persons or orders are not whose they were")


_SAME_PERSON = (
    "LEFT JOIN h_roots a ON a.person = n.person LEFT JOIN h_roots b ON b.person = i.person_id"
    " WHERE coalesce(a.root, n.person) = coalesce(b.root, i.person_id)"
)


def _names(scratch: Scratch) -> Check:
    """Whom a name leads to decides who is who: every name is one that a load or an answer told of that person."""
    findings = Findings()
    _collect(
        scratch, findings,
        "SELECT o.key, o.kind FROM orders o JOIN scopes s ON s.id = o.scope_id WHERE o.value NOT NULL AND NOT EXISTS"
        " (SELECT 1 FROM (SELECT o.person_id AS person) n JOIN identity i ON i.org_id = s.org_id"
        f" AND i.hash = name_of(o.kind, o.value) {_SAME_PERSON})",
        "order {0}: the customer whom its {1} names is not the one that the order is of",
    )  # fmt: skip
    _collect(
        scratch, findings,
        "SELECT o.key, o.kind FROM orders o LEFT JOIN h_named h ON h.order_id = o.id"
        " WHERE (o.tried NOT NULL OR coalesce(h.tried, '[]') <> '[]') AND NOT (h.kind IS o.kind AND h.tried IS o.tried"
        f" AND (o.value IS NULL OR h.hash IS substr(name_of(o.kind, o.value), 1, {NAME_BYTES})))",
        "order {0}: the history does not tell that its customer is named by this {1}",
    )  # fmt: skip
    scratch.ask(f"INSERT INTO h_names SELECT org_id, substr(name, 1, {NAME_BYTES}), id FROM persons")
    _collect(
        scratch, findings,
        "SELECT DISTINCT n.person FROM h_names n WHERE NOT EXISTS (SELECT 1 FROM identity i"
        f" INDEXED BY sqlite_autoindex_identity_1 {_SAME_PERSON} AND i.org_id = n.org_id"
        " AND i.hash BETWEEN n.hash AND up_to(n.hash))",
        "a name that was learnt of person number {0} no longer leads to her",
    )  # fmt: skip
    if scratch.replay.complete:
        _collect(
            scratch, findings,
            "SELECT i.person_id, count(*) FROM identity i WHERE NOT EXISTS (SELECT 1 FROM h_names n"
            f" {_SAME_PERSON} AND n.org_id = i.org_id AND n.hash = substr(i.hash, 1, {NAME_BYTES})) GROUP BY 1",
            "{1} name(s) lead to person number {0} that neither a list nor an answer told of her",
        )  # fmt: skip
    (count,) = scratch.one("SELECT count(*) FROM identity")
    good = f"{count:,} names lead to the customers whom lists and answers told them of"
    return check("names", findings, good=good, bad="{count} names do not lead to whom they were told of")


def _evidence(scratch: Scratch) -> Check:
    """Each row as it was written, but for what is erasable: the history counts it, the table takes it off again."""
    findings = Findings()
    scratch.ask(
        'INSERT INTO h_evidence SELECT order_id, number, told_of(at, "by", method, verdict, found, why, who), -1'
        " FROM evidence WHERE true ON CONFLICT DO UPDATE SET n = n - 1"
    )
    which = "FROM h_evidence h LEFT JOIN orders o ON o.id = h.order_id"
    _collect(
        scratch, findings,
        f"SELECT coalesce(o.key, h.order_id), h.number, h.n {which} WHERE h.n > 0",
        "order {0}, call number {1}: evidence was changed or removed since it was written",
    )  # fmt: skip
    if scratch.replay.complete:
        _collect(
            scratch, findings,
            f"SELECT coalesce(o.key, h.order_id), h.number, h.n {which} WHERE h.n < 0",
            "order {0}, call number {1}: there is evidence that no read and no person gave",
        )  # fmt: skip
    (count,) = scratch.one("SELECT count(*) FROM evidence")
    good = f"what reads and persons said of calls is as it was written ({counted(count, 'entry', 'entries')})"
    return check("evidence", findings, good=good, bad="{count} pieces of evidence are not as they were written")


def _names_of_merged(scratch: Scratch) -> dict[int, list[bytes]]:
    """Surviving person → name hashes of those who turned out to be her, and her own."""
    names: dict[int, list[bytes]] = {}
    for root, name in scratch.ask("SELECT r.root, p.name FROM h_roots r JOIN persons p ON p.id IN (r.person, r.root)"):
        names.setdefault(root, []).append(name)
    return names


def _closings(scratch: Scratch) -> Check:
    findings = Findings()
    _collect(
        scratch, findings,
        "SELECT k.run_id, k.order_id, k.code FROM closures k WHERE NOT EXISTS (SELECT 1 FROM h_closings h"
        " WHERE h.run_id = k.run_id AND h.order_id = k.order_id AND h.code = k.code)"
        " AND NOT (k.code = 'surplus' AND EXISTS (SELECT 1 FROM h_merges m WHERE m.surplus"
        " AND k.order_id IN (m.survivor, m.other)))"
        " AND NOT EXISTS (SELECT 1 FROM h_closings h JOIN h_merges m ON m.other = k.order_id WHERE h.code = k.code"
        " AND h.run_id = k.run_id)",
        "run number {0} closed order number {1} with {2}, which the history does not tell",
    )  # fmt: skip
    _collect(
        scratch, findings,
        "SELECT h.run_id, h.order_id, h.code FROM h_closings h WHERE NOT EXISTS (SELECT 1 FROM closures k"
        " WHERE k.run_id = h.run_id AND k.order_id = h.order_id)",
        "run number {0} closed order number {1} with {2}, which is not recorded any more",
    )  # fmt: skip
    _closed_orders(scratch, findings)
    recorded = {
        (run, series): (state, code)
        for run, series, state, code in scratch.ask("SELECT run_id, series, state, code FROM series_states")
    }
    for run, series in sorted(recorded.keys() | scratch.replay.series.keys()):
        is_now, was_then = recorded.get((run, series)), scratch.replay.series.get((run, series))
        if is_now != was_then:
            findings.add(
                f"series {series} of run number {run} is {is_now[0] if is_now else 'not recorded'}; by the history"
                f" {was_then[0] if was_then else 'it has no state'}"
            )
    revocations = dict(scratch.ask("SELECT key, state FROM revocations").fetchall())
    for key in sorted(revocations.keys() | scratch.replay.revocations.keys()):
        now, then = revocations.get(key, "not recorded"), scratch.replay.revocations.get(key, "never begun")
        if now != then:
            findings.add(f"revocation {key} is {now}; by the history {then}")
    _revoked_coupons(scratch, findings)
    (count,) = scratch.one("SELECT count(*) FROM closures")
    good = f"{count:,} closings of orders and {len(recorded):,} states of series are those that the history tells"
    if revocations:
        good += f", and so are {counted(len(revocations), 'revocation')}"
    return check("closings", findings, good=good, bad="{count} closings are not what the history tells")


_CLOSED = """
SELECT o.key, coalesce(o.closed, 'open') FROM orders o JOIN persons p ON p.id = o.person_id
WHERE o.merged_into IS NULL AND CASE
    WHEN p.forgotten NOT NULL THEN o.closed IS NOT 'forgotten'
    WHEN o.closed = 'forgotten' THEN 1
    WHEN EXISTS (SELECT 1 FROM h_closed h WHERE h.order_id = o.id AND h.code = 'resent') THEN o.closed IS NOT 'resent'
    WHEN o.closed NOT NULL THEN NOT EXISTS (SELECT 1 FROM h_closed h WHERE h.order_id = o.id AND h.code = o.closed)
    ELSE EXISTS (SELECT 1 FROM h_closed h WHERE h.order_id = o.id AND h.run_id = o.run_id)
        AND NOT EXISTS (SELECT 1 FROM h_merges m WHERE m.survivor = o.id)
END
"""


def _closed_orders(scratch: Scratch, findings: Findings) -> None:
    """An order is asked no more if and only if something closed it."""
    scratch.ask(
        "INSERT OR IGNORE INTO h_closed SELECT coalesce(o.merged_into, o.id), h.run_id, h.code FROM h_closings h"
        " JOIN orders o ON o.id = h.order_id"
    )
    _collect(scratch, findings, _CLOSED, "order {0} is {1}; by the history that is not so")


def _revoked_coupons(scratch: Scratch, findings: Findings) -> None:
    """Which coupons a revocation was about, and what became of each."""
    rows = "FROM revocation_coupons x LEFT JOIN revocations v ON v.id = x.revocation_id LEFT JOIN coupons k"
    rows += " ON k.id = x.coupon"
    place = f"coalesce(v.key, x.revocation_id), coalesce(k.order_id, 0), coalesce({_NUMBER}, 0), coalesce(k.hash, x'')"
    scratch.ask(f"INSERT INTO h_revoking SELECT {place}, -1 {rows} WHERE true ON CONFLICT DO UPDATE SET n = n - 1")
    _collect(
        scratch, findings,
        "SELECT key, abs(n), CASE WHEN n > 0 THEN 'are not recorded with it any more' ELSE 'were never a part of it'"
        " END FROM h_revoking WHERE n <> 0",
        "revocation {0}: {1} coupon(s) {2}",
    )  # fmt: skip
    every = "1" if scratch.replay.complete else "v.key IN (SELECT key FROM h_fates)"
    _collect(
        scratch, findings,
        f"SELECT v.key, x.coupon, x.outcome {rows} WHERE x.outcome NOT NULL AND {every} AND NOT EXISTS"
        " (SELECT 1 FROM h_fates h WHERE h.key = v.key AND h.order_id = k.order_id AND h.hash = k.hash"
        f" AND h.number = {_NUMBER} AND h.fate = x.outcome)",
        "revocation {0}: coupon number {1} of the ledger is “{2}”, which no answer and no read said",
    )  # fmt: skip


_SCOPE = ("url", "credentials", "identity_version", "identify_by", "region")
_NAMED = ("org_id", "key", "campaign")


def _runs(scratch: Scratch) -> Check:
    findings = Findings()
    states, loads, digests = scratch.replay.states, scratch.replay.loads, scratch.replay.overrides
    seen = set()
    columns = "id, name, state, exit_code, overrides, exit_codes, args, files"
    for run, name, state, code, overrides, codes, args, files in scratch.ask(f"SELECT {columns} FROM runs"):
        seen.add(run)
        then = states.get(run)
        if then is None:
            findings.add(f"run {name} is recorded, but was never loaded")
        elif then[0] != state:
            findings.add(f"run {name} is {state}; by the history {then[0]}")
        elif then[1] != code:
            findings.add(f"run {name} ended with exit code {code}; by the history {then[1]}")
        elif run in scratch.replay.exit_codes and parsed(codes) != scratch.replay.exit_codes[run]:
            findings.add(f"run {name}: the exit codes that hold for it were changed")
        if scratch.replay.inputs.get(run) not in (None, input_digest(name, args, files)):
            findings.add(f"run {name}: its name, its options or what it records of its files was changed")
        load = loads.get(run)
        old = load is not None and load.digests is None
        held = digests.get(run)
        if (held is None and (parsed(overrides) or []) and not old) or (
            held is not None and (parsed(overrides) is None or overrides_digest(overrides) != held)
        ):
            findings.add(f"run {name}: what it records of overridden protections was changed")
    for run in sorted(states.keys() - seen):
        findings.add(f"run number {run} was loaded, but is not recorded any more")
    for scope, told in sorted(scratch.replay.scopes.items()):
        named = [*_SCOPE, *(name for name in _NAMED if name in told)]
        row = scratch.ask(f"SELECT {', '.join(named)} FROM scopes WHERE id = ?", (scope,)).fetchone()
        if row is None or any(told.get(name) != value for name, value in zip(named, row, strict=True)):
            findings.add(f"campaign number {scope}: what its first run settled was changed")
    for org, told in sorted(scratch.replay.orgs.items()):
        found = scratch.ask("SELECT name, key FROM orgs WHERE id = ?", (org,)).fetchone()
        if found is None or tuple(found) != (told["org_name"], told["org_key"]):
            findings.add(f"organisation number {org}: its name was changed")
    (nonce,) = scratch.ask("SELECT value FROM meta WHERE name = 'nonce'").fetchone() or (None,)
    if scratch.replay.nonce not in (None, nonce):
        findings.add(f"keys of calls are made with “{nonce}”; by the history with “{scratch.replay.nonce}”")
    good = f"{len(seen):,} runs are in the state that the history tells, with their overrides"
    return check("runs", findings, good=good, bad="{count} runs or campaigns are not what the history tells")


_ABOVE = """
SELECT o.key, o.issued + o.held,
    (SELECT max(t.most) FROM orders f JOIN h_targets t ON t.order_id = f.id WHERE f.id = o.id OR f.merged_into = o.id),
    (SELECT sum(t.most) FROM orders f JOIN h_targets t ON t.order_id = f.id WHERE f.id = o.id OR f.merged_into = o.id),
    EXISTS (SELECT 1 FROM h_merges m WHERE m.surplus AND (m.survivor = o.id OR m.other IN
        (SELECT f.id FROM orders f WHERE f.merged_into = o.id))),
    EXISTS (SELECT 1 FROM orders f JOIN calls c ON c.order_id = f.id WHERE (f.id = o.id OR f.merged_into = o.id)
        AND (c.known + c.held > c.quantity OR instr(c.flags, 'appeared_later') OR instr(c.flags, 'found_again')))
FROM orders o WHERE o.merged_into IS NULL AND o.issued + o.held > o.target
"""


def _holdings(scratch: Scratch) -> list[Check]:
    """Nobody holds more than the largest target that a list gave her; what the promise names as its limits, apart."""
    wrong, surplus, by_api, lowered = Findings(), Findings(), Findings(), 0
    _collect(
        scratch, wrong,
        "SELECT coalesce(r.root, o.person_id), o.series, o.scope_id, count(*), group_concat(o.key, ', ') FROM orders o"
        " LEFT JOIN h_roots r ON r.person = o.person_id WHERE o.merged_into IS NULL GROUP BY 1, 2, 3"
        " HAVING count(*) > 1",
        "person number {0} has {3} orders of series {1} in one campaign (number {2}): {4}",
    )  # fmt: skip
    for key, holds, most, together, twice, beyond in scratch.ask(_ABOVE):
        told = f"order {key}: {holds:,} issued or in doubt, {most or 0:,} wanted at most"
        if holds <= (most or 0):
            lowered += 1
        elif twice and holds <= (together or 0):
            surplus.add(told)
        elif beyond:
            by_api.add(told)
        else:
            wrong.add(told)
    people, orders = scratch.one(
        "SELECT count(DISTINCT person_id), count(*) FROM orders WHERE merged_into IS NULL AND issued + held > 0"
    )
    good = f"none of {people:,} customers holds more than her target ({orders:,} orders, in doubt counted as held)"
    if lowered:
        good += f"; {lowered:,} targets were lowered after the coupons were out"
    checks = [check("nobody above target", wrong, good=good, bad="{count} orders hold more than any list wanted")]
    if surplus.count:
        checks.append(
            check(
                "surplus", surplus, good="", otherwise=Verdict.LIMIT,
                bad="{count} customers were issued under two names before these were known to be one",
            )
        )  # fmt: skip
    if by_api.count:
        checks.append(
            check(
                "more than asked", by_api, good="", otherwise=Verdict.LIMIT,
                bad="{count} orders hold more because the API issued more than was asked for, or showed it too late",
            )
        )  # fmt: skip
    (several,) = scratch.one(
        "SELECT count(*) FROM (SELECT 1 FROM orders o LEFT JOIN h_roots r ON r.person = o.person_id"
        " WHERE o.issued + o.held > 0 GROUP BY coalesce(r.root, o.person_id), o.series"
        " HAVING count(DISTINCT o.scope_id) > 1)"
    )
    if several:
        sentence = (
            f"{several:,} times a customer holds one series from more than one campaign: allowed by an override"
            " listed below, or dates of one job"
        )
        checks.append(Check(name="several campaigns", verdict=Verdict.LIMIT, sentence=sentence))
    return checks


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


def _doubts(scratch: Scratch) -> Check:
    count, held = scratch.one("SELECT count(*), coalesce(sum(held), 0) FROM calls WHERE state = 'in_doubt'")
    (flying,) = scratch.one("SELECT count(*) FROM calls WHERE state = 'sending'")
    going = f"; {flying:,} calls are under way" if flying else ""
    if not count:
        return Check(name="in doubt", verdict=Verdict.OK, sentence=f"the outcome of every call is known{going}")
    sentence = f"{count:,} calls may have issued {held:,} coupons more; these are held and not asked for again{going}"
    return Check(name="in doubt", verdict=Verdict.LIMIT, sentence=sentence)


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
