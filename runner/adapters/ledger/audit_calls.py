# ruff: noqa: S608 — put together from fixed texts of this module; every value is a parameter
"""What an audit asks of calls and coupons: what was posted, what came of it, what is counted, and what is in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runner.adapters.ledger.audit_scratch import Scratch
from runner.core.auditing import Check, Findings, Verdict, check
from runner.core.wording import counted

NOT_COUNTED = "('resent', 'repeated')"


def collect(scratch: Scratch, findings: Findings, sql: str, sentence: str, values: Sequence[Any] = ()) -> None:
    """Every row of a query is a finding."""
    for row in scratch.ask(sql, values):
        findings.add(sentence.format(*row))


def check_posted_once(scratch: Scratch) -> Check:
    """No call was sent twice, and none that was sent was forgotten: the replay met no contradiction."""
    findings = Findings()
    for problem in scratch.replay.problems.details:
        findings.add(problem)
    findings.count = max(findings.count, scratch.replay.problems.count)
    collect(
        scratch, findings,
        "SELECT c.key, c.number, o.key FROM calls c LEFT JOIN orders o ON o.id = c.order_id"
        " WHERE o.key IS NULL OR substr(c.key, 1, length(o.key) + length(c.number) + 2) <> o.key || '-' || c.number"
        " || '-'",
        "call {0} (number {1}) stands with order {2}, which its key does not name",
    )  # fmt: skip
    collect(
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


def check_calls(scratch: Scratch) -> Check:
    """Every call is as the history left it."""
    findings = Findings()
    collect(
        scratch, findings,
        "SELECT c.key, c.state, c.known, c.held, h.state, h.known, h.held FROM calls c JOIN h_calls h"
        f" ON h.order_id = c.order_id AND h.number = c.number WHERE NOT ({_SAME})",
        "call {0} is “{1}” with {2} known and {3} held; by the history it is “{4}” with {5} and {6}",
    )  # fmt: skip
    collect(
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
        collect(scratch, findings, f"{query} WHERE x.key IS NULL", sentence)
    (count,) = scratch.one("SELECT count(*) FROM calls")
    good = f"states and quantities of {counted(count, 'call')} are those that the history tells"
    return check("calls", findings, good=good, bad="{count} calls are not what the history tells")


NUMBER = "CAST(substr(k.call_key, instr(k.call_key, '-') + 1) AS INTEGER)"
"""The number of a coupon's call."""


def check_coupons(scratch: Scratch) -> Check:
    """The history counts each coupon once, the table takes it off again: what is left over does not agree."""
    findings = Findings()
    scratch.ask(
        "INSERT INTO h_coupons SELECT order_id, CAST(substr(call_key, instr(call_key, '-') + 1) AS INTEGER), hash,"
        " state, -1 FROM coupons WHERE true"
        " ON CONFLICT DO UPDATE SET n = n - 1"
    )
    whose = "LEFT JOIN orders o ON o.id = h.order_id"
    collect(
        scratch, findings,
        f"SELECT -h.n, coalesce(o.key, h.order_id), h.number FROM h_coupons h {whose} WHERE h.n < 0",
        "{0} coupon(s) with order {1}, call number {2}, which no answer brought there",
    )  # fmt: skip
    collect(
        scratch, findings,
        f"SELECT h.n, coalesce(o.key, h.order_id), h.number FROM h_coupons h {whose} WHERE h.n > 0",
        "{0} coupon(s) that an answer brought to order {1}, call number {2}, are not recorded there any more",
    )  # fmt: skip
    collect(
        scratch, findings,
        "SELECT k.id, k.call_key FROM coupons k LEFT JOIN calls c ON c.order_id = k.order_id AND c.number ="
        " CAST(substr(k.call_key, instr(k.call_key, '-') + 1) AS INTEGER) AND c.key = k.call_key WHERE c.key IS NULL",
        "coupon number {0} of the ledger names call {1}, which is none of its order's",
    )  # fmt: skip
    collect(
        scratch, findings,
        "SELECT id, call_key FROM coupons WHERE coalesce(coupon_id, code) NOT NULL"
        " AND coupon_of(coalesce(coupon_id, code)) <> hash",
        "coupon number {0} of the ledger, of call {1}, shows another id than the one that was recorded",
    )  # fmt: skip
    collect(
        scratch, findings,
        "SELECT k.id, k.call_key FROM coupons k JOIN h_codes h ON h.order_id = k.order_id AND h.hash = k.hash"
        f" AND h.number = {NUMBER} WHERE k.code NOT NULL AND k.coupon_id NOT NULL"
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


def check_coupon_ids(scratch: Scratch) -> Check:
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


def check_counters(scratch: Scratch) -> Check:
    """Each order's counters are the sums of its calls and coupons."""
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
    collect(
        scratch, findings,
        "SELECT o.key, o.issued, o.held, coalesce(s.known, 0), coalesce(s.held, 0) FROM orders o LEFT JOIN h_sums s"
        " ON s.order_id = o.id WHERE o.merged_into IS NULL"
        " AND (o.issued <> coalesce(s.known, 0) OR o.held <> coalesce(s.held, 0))",
        "order {0} counts {1} issued and {2} in doubt; its calls add up to {3} and {4}",
    )  # fmt: skip
    collect(
        scratch, findings,
        "SELECT key, issued, held, target FROM orders WHERE merged_into NOT NULL AND (issued OR held OR target)",
        "order {0} was merged away, but still counts {1} issued, {2} in doubt, target {3}",
    )  # fmt: skip
    collect(
        scratch, findings,
        "SELECT c.key, c.known, count(k.id) FROM calls c LEFT JOIN coupons k ON k.order_id = c.order_id"
        f" AND k.call_key = c.key AND k.state NOT IN {NOT_COUNTED} GROUP BY c.order_id, c.number"
        " HAVING c.known <> count(k.id)",
        "call {0} counts {1} coupons, {2} are recorded",
    )  # fmt: skip
    issued, held = scratch.one("SELECT coalesce(sum(issued), 0), coalesce(sum(held), 0) FROM orders")
    good = f"counters of orders and calls equal their sums: {issued:,} issued, {held:,} in doubt or under way"
    return check("counters", findings, good=good, bad="{count} counters are not the sum of what they count")


def check_evidence(scratch: Scratch) -> Check:
    """Each row as it was written, but for what is erasable: the history counts it, the table takes it off again."""
    findings = Findings()
    scratch.ask(
        'INSERT INTO h_evidence SELECT order_id, number, told_of(at, "by", method, verdict, found, why, who), -1'
        " FROM evidence WHERE true ON CONFLICT DO UPDATE SET n = n - 1"
    )
    which = "FROM h_evidence h LEFT JOIN orders o ON o.id = h.order_id"
    collect(
        scratch, findings,
        f"SELECT coalesce(o.key, h.order_id), h.number, h.n {which} WHERE h.n > 0",
        "order {0}, call number {1}: evidence was changed or removed since it was written",
    )  # fmt: skip
    if scratch.replay.complete:
        collect(
            scratch, findings,
            f"SELECT coalesce(o.key, h.order_id), h.number, h.n {which} WHERE h.n < 0",
            "order {0}, call number {1}: there is evidence that no read and no person gave",
        )  # fmt: skip
    (count,) = scratch.one("SELECT count(*) FROM evidence")
    good = f"what reads and persons said of calls is as it was written ({counted(count, 'entry', 'entries')})"
    return check("evidence", findings, good=good, bad="{count} pieces of evidence are not as they were written")


def check_doubts(scratch: Scratch) -> Check:
    """How many calls are in doubt, which is a limit that is known."""
    count, held = scratch.one("SELECT count(*), coalesce(sum(held), 0) FROM calls WHERE state = 'in_doubt'")
    (flying,) = scratch.one("SELECT count(*) FROM calls WHERE state = 'sending'")
    going = f"; {flying:,} calls are under way" if flying else ""
    if not count:
        return Check(name="in doubt", verdict=Verdict.OK, sentence=f"the outcome of every call is known{going}")
    sentence = f"{count:,} calls may have issued {held:,} coupons more; these are held and not asked for again{going}"
    return Check(name="in doubt", verdict=Verdict.LIMIT, sentence=sentence)
