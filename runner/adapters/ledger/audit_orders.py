# ruff: noqa: S608 — put together from fixed texts of this module; every value is a parameter
"""What an audit asks of orders, people and runs: targets, names, closings, loads, and what each customer holds."""

from __future__ import annotations

from runner.adapters.ledger.audit_calls import NUMBER, collect
from runner.adapters.ledger.audit_scratch import Scratch, parsed
from runner.adapters.ledger.loaded import CHUNK, input_digest, line_digests, overrides_digest
from runner.adapters.ledger.settling import NAME_BYTES
from runner.core.auditing import Check, Findings, Verdict, check
from runner.core.keys import order_key
from runner.core.wording import counted

_TARGETS = """
SELECT o.key, o.target, coalesce(t.target, n.target), o.run_id, t.run_id, o.id, m.seq FROM orders o
LEFT JOIN h_targets t ON t.order_id = o.id LEFT JOIN h_made n ON n.order_id = o.id
LEFT JOIN (SELECT survivor, max(seq) AS seq FROM h_merges GROUP BY survivor) m ON m.survivor = o.id
WHERE o.merged_into IS NULL AND (m.seq NOT NULL OR o.target IS NOT coalesce(t.target, n.target, 0)
    OR (t.run_id NOT NULL AND o.run_id IS NOT t.run_id))
"""


def check_targets(scratch: Scratch) -> Check:
    """The target of every order is the one that its newest run loaded."""
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
    collect(
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


def check_people(scratch: Scratch) -> Check:
    """Every order is sent to whom the history says, and its key is made of her name."""
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
    collect(
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


def check_names(scratch: Scratch) -> Check:
    """Whom a name leads to decides who is who: every name is one that a load or an answer told of that person."""
    findings = Findings()
    collect(
        scratch, findings,
        "SELECT o.key, o.kind FROM orders o JOIN scopes s ON s.id = o.scope_id WHERE o.value NOT NULL AND NOT EXISTS"
        " (SELECT 1 FROM (SELECT o.person_id AS person) n JOIN identity i ON i.org_id = s.org_id"
        f" AND i.hash = name_of(o.kind, o.value) {_SAME_PERSON})",
        "order {0}: the customer whom its {1} names is not the one that the order is of",
    )  # fmt: skip
    collect(
        scratch, findings,
        "SELECT o.key, o.kind FROM orders o LEFT JOIN h_named h ON h.order_id = o.id"
        " WHERE (o.tried NOT NULL OR coalesce(h.tried, '[]') <> '[]') AND NOT (h.kind IS o.kind AND h.tried IS o.tried"
        f" AND (o.value IS NULL OR h.hash IS substr(name_of(o.kind, o.value), 1, {NAME_BYTES})))",
        "order {0}: the history does not tell that its customer is named by this {1}",
    )  # fmt: skip
    scratch.ask(f"INSERT INTO h_names SELECT org_id, substr(name, 1, {NAME_BYTES}), id FROM persons")
    collect(
        scratch, findings,
        "SELECT DISTINCT n.person FROM h_names n WHERE NOT EXISTS (SELECT 1 FROM identity i"
        f" INDEXED BY sqlite_autoindex_identity_1 {_SAME_PERSON} AND i.org_id = n.org_id"
        " AND i.hash BETWEEN n.hash AND up_to(n.hash))",
        "a name that was learnt of person number {0} no longer leads to her",
    )  # fmt: skip
    if scratch.replay.complete:
        collect(
            scratch, findings,
            "SELECT i.person_id, count(*) FROM identity i WHERE NOT EXISTS (SELECT 1 FROM h_names n"
            f" {_SAME_PERSON} AND n.org_id = i.org_id AND n.hash = substr(i.hash, 1, {NAME_BYTES})) GROUP BY 1",
            "{1} name(s) lead to person number {0} that neither a list nor an answer told of her",
        )  # fmt: skip
    (count,) = scratch.one("SELECT count(*) FROM identity")
    good = f"{count:,} names lead to the customers whom lists and answers told them of"
    return check("names", findings, good=good, bad="{count} names do not lead to whom they were told of")


def _names_of_merged(scratch: Scratch) -> dict[int, list[bytes]]:
    """Surviving person → name hashes of those who turned out to be her, and her own."""
    names: dict[int, list[bytes]] = {}
    for root, name in scratch.ask("SELECT r.root, p.name FROM h_roots r JOIN persons p ON p.id IN (r.person, r.root)"):
        names.setdefault(root, []).append(name)
    return names


def check_closings(scratch: Scratch) -> Check:
    """What is closed was closed by the history, and what was revoked was so by a journal."""
    findings = Findings()
    collect(
        scratch, findings,
        "SELECT k.run_id, k.order_id, k.code FROM closures k WHERE NOT EXISTS (SELECT 1 FROM h_closings h"
        " WHERE h.run_id = k.run_id AND h.order_id = k.order_id AND h.code = k.code)"
        " AND NOT (k.code = 'surplus' AND EXISTS (SELECT 1 FROM h_merges m WHERE m.surplus"
        " AND k.order_id IN (m.survivor, m.other)))"
        " AND NOT EXISTS (SELECT 1 FROM h_closings h JOIN h_merges m ON m.other = k.order_id WHERE h.code = k.code"
        " AND h.run_id = k.run_id)",
        "run number {0} closed order number {1} with {2}, which the history does not tell",
    )  # fmt: skip
    collect(
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
    collect(scratch, findings, _CLOSED, "order {0} is {1}; by the history that is not so")


def _revoked_coupons(scratch: Scratch, findings: Findings) -> None:
    """Which coupons a revocation was about, and what became of each."""
    rows = "FROM revocation_coupons x LEFT JOIN revocations v ON v.id = x.revocation_id LEFT JOIN coupons k"
    rows += " ON k.id = x.coupon"
    place = f"coalesce(v.key, x.revocation_id), coalesce(k.order_id, 0), coalesce({NUMBER}, 0), coalesce(k.hash, x'')"
    scratch.ask(f"INSERT INTO h_revoking SELECT {place}, -1 {rows} WHERE true ON CONFLICT DO UPDATE SET n = n - 1")
    collect(
        scratch, findings,
        "SELECT key, abs(n), CASE WHEN n > 0 THEN 'are not recorded with it any more' ELSE 'were never a part of it'"
        " END FROM h_revoking WHERE n <> 0",
        "revocation {0}: {1} coupon(s) {2}",
    )  # fmt: skip
    every = "1" if scratch.replay.complete else "v.key IN (SELECT key FROM h_fates)"
    collect(
        scratch, findings,
        f"SELECT v.key, x.coupon, x.outcome {rows} WHERE x.outcome NOT NULL AND {every} AND NOT EXISTS"
        " (SELECT 1 FROM h_fates h WHERE h.key = v.key AND h.order_id = k.order_id AND h.hash = k.hash"
        f" AND h.number = {NUMBER} AND h.fate = x.outcome)",
        "revocation {0}: coupon number {1} of the ledger is “{2}”, which no answer and no read said",
    )  # fmt: skip


_SCOPE = ("url", "credentials", "identity_version", "identify_by", "region")


_NAMED = ("org_id", "key", "campaign")


def check_runs(scratch: Scratch) -> Check:
    """Every run and campaign is what was loaded, with its lines, options and overrides."""
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


def check_holdings(scratch: Scratch) -> list[Check]:
    """Nobody holds more than the largest target that a list gave her; what the promise names as its limits, apart."""
    wrong, surplus, by_api, lowered = Findings(), Findings(), Findings(), 0
    collect(
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
