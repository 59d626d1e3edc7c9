"""The history replayed: what the ledger's tables must hold by their events, and the words of an audit.

`Replay` takes the events one after the other and tells what they add up to; nothing of the tables is read for it, so
that a table which was edited by hand cannot agree with itself. Memory: the calls in flight and the page at hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from runner.core.merging import INTERRUPTED, SURPLUS
from runner.core.model import CallState, Source
from runner.core.orders import ALLOWED, ALLOWED_BY_READ
from runner.core.preflight import HELD_BACK

DETAILS = 20
"""Findings of one check that are told one by one; the others are counted."""


class Verdict(StrEnum):
    """What one line of an audit says. A known limit of the promise is told apart from a ledger that was changed."""

    OK = "ok"
    WRONG = "WRONG"
    LIMIT = "known limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of an audit: a short name, what was found in one sentence with figures, and findings one by one."""

    name: str
    verdict: Verdict
    sentence: str
    details: tuple[str, ...] = ()


@dataclass(slots=True)
class Findings:
    """Findings of one check while they come in: all are counted, the first `DETAILS` are kept."""

    count: int = 0
    details: list[str] = field(default_factory=list)

    def add(self, sentence: str) -> None:
        """One more."""
        self.count += 1
        if len(self.details) < DETAILS:
            self.details.append(sentence)

    def told(self) -> tuple[str, ...]:
        """The findings kept, and how many more there are."""
        rest = self.count - len(self.details)
        return (*self.details, f"and {rest:,} more") if rest else tuple(self.details)


def check(name: str, findings: Findings, *, good: str, bad: str, otherwise: Verdict = Verdict.WRONG) -> Check:
    """A line that is ok when nothing was found. `bad`: a sentence that holds {count}."""
    if not findings.count:
        return Check(name=name, verdict=Verdict.OK, sentence=good)
    sentence = bad.format(count=f"{findings.count:,}")
    return Check(name=name, verdict=otherwise, sentence=sentence, details=findings.told())


class CallPlace(NamedTuple):
    """Which call: its order's number in the ledger, and its own in the order."""

    order: int
    number: int


class CallSoFar(NamedTuple):
    """A call as the events told it until now. `flags`: a JSON list in order, None when there is none."""

    key: str
    run: int
    quantity: int
    state: str
    known: int
    held: int
    http: int | None = None
    code: str | None = None
    request_id: str | None = None
    flags: str | None = None


class CouponTold(NamedTuple):
    """A coupon that an event recorded for a call: its keyed hash, in hexadecimal, and what it counted as.

    `code`: the keyed hash of its code, where it has an id beside it and the event tells it.
    """

    call: CallPlace
    digest: str
    state: str
    code: str | None = None


class Changed(NamedTuple):
    """A recorded coupon that came to another state later: revoked, redeemed, replaced.

    `named`: its digest from then on, once its id became known; "" when that stays.
    """

    call: CallPlace
    digest: str
    before: str
    state: str
    named: str = ""


class Loaded(NamedTuple):
    """What a run's load recorded of its rows and lines. `digests`: None for a run loaded before they were recorded."""

    seq: int
    run: int
    rows: int
    rejected: int
    first: int
    last: int
    digests: tuple[str, ...] | None


class NamedBy(NamedTuple):
    """By what an order's customer is named from an event on, after its first identifier failed or stands again.

    `digest`: the beginning of the name's keyed hash, in hexadecimal. `tried`: a JSON list of the kinds that failed.
    """

    order: int
    kind: str
    digest: str
    tried: str


class MergedOrder(NamedTuple):
    """Two orders that became one: the survivor's target from then on, and whether both had been issued."""

    seq: int
    survivor: int
    other: int
    target: int
    surplus: bool


class Replay:
    """Events in their order, added up. `calls` holds the calls that the page at hand speaks of, and those in flight."""

    def __init__(self) -> None:
        self.calls: dict[CallPlace, CallSoFar] = {}
        self.coupons: list[CouponTold] = []
        self.changed: list[Changed] = []
        self.problems = Findings()
        self.begun = 0
        self.settled = 0
        self.loads: dict[int, Loaded] = {}
        self.states: dict[int, tuple[str, int | None]] = {}
        self.overrides: dict[int, str] = {}
        self.scopes: dict[int, Mapping[str, Any]] = {}
        self.series: dict[tuple[int, int], tuple[str, str | None]] = {}
        self.persons: dict[int, int] = {}
        self.merged: dict[int, int] = {}
        self.merges: list[MergedOrder] = []
        self.closings: list[tuple[int, int, str]] = []
        self.names: list[tuple[int, int, str]] = []
        self.named: list[NamedBy] = []
        self.evidence: list[tuple[int, int, str]] = []
        self.revoking: list[tuple[str, int, int, str]] = []
        self.fates: list[tuple[str, int, int, str, str]] = []
        self.exit_codes: dict[int, Sequence[int] | None] = {}
        self.inputs: dict[int, str] = {}
        self.orgs: dict[int, Mapping[str, Any]] = {}
        self.nonce: str | None = None
        self.complete = False
        self.revocations: dict[str, str] = {}
        self.forgotten: set[int] = set()
        self.made: dict[int, int] = {}
        self.recovered: set[int] = set()
        self.lost: set[int] = set()
        self._in_flight: dict[str, CallPlace] = {}

    def wanted(self, bodies: Iterable[Mapping[str, Any]]) -> set[CallPlace]:
        """The calls that a page of events speaks of and that are not at hand: to be put into `calls` if known."""
        places = set[CallPlace]()
        for body in bodies:
            places.update(CallPlace(call[1], call[14]) for call in body.get("settle", ()))
            places.update(CallPlace(call[1], call[3]) for call in body.get("begin", ()))
        return places - self.calls.keys()

    def let_go(self) -> None:
        """A page is done and was kept elsewhere: only what is in flight stays at hand."""
        self.calls = {place: self.calls[place] for place in self._in_flight.values()}
        self.coupons.clear()
        for told in (self.changed, self.closings, self.names, self.named, self.evidence, self.revoking, self.fates):
            told.clear()

    def apply(self, seq: int, run: int | None, body: Mapping[str, Any]) -> None:
        """Add one event. What it cannot have meant is told in `problems`."""
        if "load" in body and run is not None:
            self._load(seq, run, body["load"])
        if "overrides" in body and run is not None:
            self.overrides[run] = body["overrides"]
        if "state" in body:
            for of in body.get("runs", () if run is None else (run,)):
                before = self.states.get(of, ("", None))
                self.states[of] = (body["state"], body.get("exit_code", before[1]))
                if "exit_codes" in body:
                    self.exit_codes[of] = body["exit_codes"]
        if "url" in body and "scope" in body:
            self.scopes[body["scope"]] = body
        source = Source(body.get("by", Source.ANSWER))
        for call in body.get("settle", ()):
            self._settle(seq, call, source)
        for merge in body.get("merge", ()):
            self._merge(seq, merge)
        for closing_run, order, code in body.get("close", ()):
            self.closings.append((closing_run, self.merged.get(order, order), code))
        for series_run, series, state, code in body.get("series", ()):
            self.series[series_run, series] = (state, code)
        for key in body.get("interrupted", ()):
            self._interrupt(seq, key, body.get("method", INTERRUPTED))
        for call in body.get("begin", ()):
            self._begin(seq, call)
            if "method" in body:  # found by a recovery: the calls before it may be lost
                self.recovered.add(call[1])
        for order, number, digest, before, after in body.get("coupons", ()):
            self.changed.append(Changed(CallPlace(order, number), digest, before, after))
        for order, number, digest, state, named in body.get("named", ()):
            self.changed.append(Changed(CallPlace(order, number), digest, state, state, named))
        self._apply_rare(body)

    def _apply_rare(self, body: Mapping[str, Any]) -> None:
        """What names, evidence, undo, forget, recover and the setting up tell."""
        self.names += [(org, person, digests) for org, person, digests in body.get("names", ())]
        for order, kind, digest, tried in body.get("named_by", ()):
            self.named.append(NamedBy(order, kind, digest, json.dumps(tried, separators=(",", ":"))))
        self.evidence += [(order, number, digest) for order, number, digest in body.get("evidence", ())]
        if "created" in body:
            self.complete = "nonce" in body
        self.nonce = body.get("nonce", self.nonce)
        if "org" in body and "org_name" in body:
            self.orgs[body["org"]] = body
        if "revoking" in body:
            key, _, coupons = body["revoking"]
            self.revocations[key] = "sending"
            self.revoking += [(key, order, number, digest) for order, number, digest in coupons]
        if "revocation" in body:
            key, _, state = body["revocation"]
            self.revocations[key] = state
            self.fates += [(key, *told) for told in body.get("fates", ())]
        for key in body.get("revocations_interrupted", ()):
            self.revocations[key] = "in_doubt"
        self.forgotten.update(body.get("forget", {}).get("persons", ()))
        if "order" in body and "target" in body:
            self.made[body["order"]] = body["target"]
            if "into" in body:
                self.merged[body["order"]] = body["into"]
        self.lost.update(body.get("recovered", {}).get("lost", ()))

    def _begin(self, seq: int, call: Sequence[Any]) -> None:
        key, order, run, number, quantity = call[:5]
        place = CallPlace(order, number)
        self.begun += 1
        if place in self.calls:
            self.problems.add(f"call {key} was begun twice, the second time in event {seq}")
            return
        self.calls[place] = CallSoFar(key, run, quantity, CallState.SENDING, 0, quantity)
        self._in_flight[key] = place

    def _settle(self, seq: int, call: Sequence[Any], source: Source) -> None:
        key, order, state, held, new = call[:5]
        place = CallPlace(order, call[14])
        so_far = self.calls.get(place)
        if so_far is None or so_far.key != key:
            self.problems.add(f"event {seq} settles call {key}, which was never begun")
            return
        allowed = ALLOWED if source is Source.ANSWER else ALLOWED_BY_READ
        if CallState(state) not in allowed.get(CallState(so_far.state), frozenset()):
            self.problems.add(f"event {seq} turns call {key} from “{so_far.state}” to “{state}”, which nothing may do")
        self.settled += so_far.state == CallState.SENDING
        self.calls[place] = so_far._replace(
            state=state, held=held, known=so_far.known + new, http=call[6], code=call[7], request_id=call[12],
            flags=_with_flags(so_far.flags, call[11]),
        )  # fmt: skip
        self._in_flight.pop(key, None)
        self.coupons += [CouponTold(place, *told) for told in call[13]]
        if call[7] == "resent":
            self.closings.append((so_far.run, self.merged.get(order, order), "resent"))

    def _interrupt(self, seq: int, key: str, code: str) -> None:
        place = self._in_flight.pop(key, None)
        if place is None:
            self.problems.add(f"event {seq} puts call {key} in doubt, which was not under way")
            return
        self.settled += 1
        self.calls[place] = self.calls[place]._replace(state=CallState.IN_DOUBT, code=code)

    def _merge(self, seq: int, merge: Sequence[Any]) -> None:
        older, younger, orders, *forgotten = merge
        self.persons[younger] = older
        if younger in self.forgotten:  # whoever was forgotten under one name is forgotten under all
            self.forgotten.add(older)
        if forgotten:
            self.forgotten.update((older, younger))
        for survivor, other, target, _, _, code in orders:
            self.merged = {one: survivor if at == other else at for one, at in self.merged.items()}
            self.merged[other] = survivor
            self.merges.append(MergedOrder(seq, survivor, other, target, code == SURPLUS))

    def _load(self, seq: int, run: int, load: Mapping[str, Any]) -> None:
        lines = load.get("lines")
        self.states[run] = ("ready", None)
        if "input" in load:
            self.inputs[run] = load["input"]
        for first, last in load.get("held_back", ()):
            self.closings += [(run, order, HELD_BACK) for order in range(first, last + 1)]
        if lines is None:
            self.loads[run] = Loaded(seq, run, 0, 0, 0, 0, None)
            return
        digests = tuple(lines["digests"])
        self.loads[run] = Loaded(seq, run, load["rows"], load["rejected"], lines["first"], lines["last"], digests)


def _with_flags(before: str | None, more: Sequence[str] | None) -> str | None:
    """Surprises stay, whatever comes later: a JSON list in order, as the ledger keeps it."""
    if not more:
        return before
    return json.dumps(sorted({*json.loads(before or "[]"), *more}), separators=(",", ":"))
