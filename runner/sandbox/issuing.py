"""``POST /v2/coupon/issue/multiple``: who may have how many, committed before anything is answered."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import orjson

from runner.sandbox.answers import (
    GENERIC_ONCE,
    TOO_SOON,
    TWINS,
    Answer,
    Body,
    coupon_config,
    customer_body,
    entry,
    error_answer,
    error_body,
    issued_body,
)
from runner.sandbox.asking import ISSUE_PATH, Ask
from runner.sandbox.catalogue import Catalogue
from runner.sandbox.config import FaultTimes, SandboxConfig, SeriesConfig
from runner.sandbox.damage import pad, replaced, spoil
from runner.sandbox.faults import Fault
from runner.sandbox.picking import Picker
from runner.sandbox.truth import Truth
from runner.sandbox.wire import wait

DAY_MS = 86_400_000
_REFUSES_ALL = "nothing"


@dataclass(slots=True)
class Outcome:
    """What was decided for one call: the answer, how it is to travel, what was issued."""

    answer: Answer
    fault: Fault | None
    times: FaultTimes


@dataclass(frozen=True, slots=True)
class Room:
    """How many coupons a customer may get now, and the reason that holds back the others."""

    coupons: int
    code: int = 0
    message: str | None = None


def room_for(series: SeriesConfig, count: int, *, held: int, newest_ms: int, issued: int, now_ms: int) -> Room:
    """The series' own rules (codes from the seed's samples; the order of the checks is inferred).

    ``held`` = the customer's unrevoked coupons of the series, ``issued`` = all that were ever issued from it.
    """
    if series.external:
        return Room(0, 707)
    if series.valid_till is not None and series.valid_till.timestamp() * 1000 < now_ms:
        return Room(0, 713)
    if series.kind == "generic" and count > 1:
        return Room(0, 5004, GENERIC_ONCE)
    if held and not series.allow_multiple:
        return Room(0, 709)
    if held and series.min_days > 0 and now_ms - newest_ms < series.min_days * DAY_MS:
        return Room(0, 709, TOO_SOON)
    room = Room(count)
    if not series.allow_multiple and count > 1:
        room = Room(1, 5004)
    if series.max_per_customer >= 0 and series.max_per_customer - held < room.coupons:
        room = Room(max(0, series.max_per_customer - held), 5002)
    left = stock_left(series, issued)
    if left is not None and left < room.coupons:
        room = Room(left, series.exhausted_code)
    return room


def stock_left(series: SeriesConfig, issued: int) -> int | None:
    """Coupons that a series can still give; ``None`` = without end."""
    most = series.stock if series.kind == "uploaded" else series.max_create
    return None if most < 0 else max(0, most - series.issued_before - issued)


class Issuer:
    """Carries out issue calls. One call of a customer at a time: an overlapping one is refused with 521."""

    def __init__(
        self,
        truth: Truth,
        config: SandboxConfig,
        catalogue: Catalogue,
        picker: Picker,
        *,
        clock: Callable[[], float],
        stopping: asyncio.Event,
        seed: int,
    ) -> None:
        self._truth, self._config, self._catalogue, self._picker = truth, config, catalogue, picker
        self._clock, self._stopping = clock, stopping
        self._busy: set[object] = set()
        self._rng = random.Random(seed)

    async def issue(self, ask: Ask) -> Outcome:
        """Decide, commit, and say what to answer."""
        if ask.refusal is not None:
            return self._refused(ask, ask.refusal, None)
        who = ask.who or ""
        customer_id = self._truth.find_customer(ask.kind, ask.value)
        lane: object = customer_id or who
        if lane in self._busy:
            return self._refused(ask, error_answer(521), "overlap")
        series = self._catalogue.series(ask.series_id)
        fault, times = self._picker.pick(
            who, ask.series_id, ask.count, self._catalogue.customer(ask.kind, ask.value), series
        )
        pause = self._pause(fault, times)
        if not pause:
            with self._truth.transaction():
                return self._carry_out(ask, series, fault, times, self._record(ask, fault))
        self._busy.add(lane)
        try:
            post = self._record(ask, fault)
            await wait(pause, self._stopping)
            with self._truth.transaction():
                return self._carry_out(ask, series, fault, times, post)
        finally:
            self._busy.discard(lane)

    def _pause(self, fault: Fault | None, times: FaultTimes) -> float:
        least, most = self._config.latency_seconds
        pause = self._rng.uniform(least, most) if most else 0.0
        if fault is not None and fault.kind.waits_first:
            pause += times.late_seconds if fault.seconds is None else fault.seconds
        return pause

    def _record(self, ask: Ask, fault: Fault | None, name: str | None = None) -> int:
        return self._truth.record_post(
            request_id=ask.request_id,
            source_id=ask.source_id,
            metadata=orjson.dumps(ask.metadata).decode() if ask.metadata else None,
            who=ask.who,
            series_id=ask.series_id or None,
            asked=ask.count if ask.series_id else None,
            at_ms=self._now_ms(),
            fault=fault.name if fault is not None else name,
        )

    def _refused(self, ask: Ask, answer: Answer, name: str | None) -> Outcome:
        with self._truth.transaction():
            post = self._record(ask, None, name)
            self._truth.finish_post(post, status=answer.status, codes=answer.codes(), issued=0)
        return Outcome(answer, None, self._config.times)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _carry_out(self, ask: Ask, series: SeriesConfig, fault: Fault | None, times: FaultTimes, post: int) -> Outcome:
        """Inside a transaction: issue, record, and shape the answer."""
        issued, resent, answer = 0, 0, Answer(b"")
        real: Answer | None = None
        if fault is None or fault.commit != _REFUSES_ALL:
            issued, resent, body = self._issue(ask, series, fault, post)
            if fault is not None:
                spoil(fault, body)
            answer = real = Answer(body, 201 if fault is not None and fault.name == "partial_201" and issued else 200)
        if fault is not None:
            answer = replaced(fault, real, path=ISSUE_PATH, now=self._clock(), times=times) or answer
            if fault.name == "huge_body":
                pad(answer)
        silent = fault is not None and fault.kind.wire in ("cut", "hang")
        self._truth.finish_post(
            post, status=None if silent else answer.status, codes=answer.codes(), issued=issued, resent=resent
        )
        return Outcome(answer, fault, times)

    def _issue(self, ask: Ask, series: SeriesConfig, fault: Fault | None, post: int) -> tuple[int, int, Body]:
        """Coupons issued, coupons re-sent, body."""
        now_ms = self._now_ms()
        if not self._catalogue.series_exists(ask.series_id):
            return 0, 0, error_body(707)
        customer_id = self._catalogue.find_or_create(ask.kind, ask.value)
        if customer_id is None:
            return 0, 0, error_body(701)
        if any(self._truth.held(customer_id, other)[0] for other in series.excludes):
            return 0, 0, error_body(series.excluded_code)
        held, newest_ms = self._truth.held(customer_id, ask.series_id) if series.looks_at_holdings else (0, 0)
        if series.resend_existing and held:
            again = self._truth.held_coupons(customer_id, ask.series_id, ask.count)
            short = Room(len(again), 5004 if len(again) < ask.count else 0)
            return 0, len(again), self._body(ask, series, customer_id, again, short, now_ms, warn=False)
        dry = series.dry_for_seconds
        if dry and self._truth.since_first(f"dry {ask.series_id}", now_ms) < dry * 1000:
            return 0, 0, error_body(5005)
        issued = self._truth.series_issued(ask.series_id) if series.looks_at_stock else 0
        room = room_for(series, ask.count, held=held, newest_ms=newest_ms, issued=issued, now_ms=now_ms)
        room, warn = self._faulty_room(room, ask.count, fault, series.partial_in or self._config.partial_in)
        if not room.coupons and room.code:
            return 0, 0, error_body(room.code, room.message)
        coupons = self._truth.add_coupons(
            customer_id=customer_id,
            series_id=ask.series_id,
            count=room.coupons,
            post=post,
            now_ms=now_ms,
            shared_code=(series.code or f"GENERIC{ask.series_id}") if series.kind == "generic" else None,
        )
        body = self._body(ask, series, customer_id, coupons, room, now_ms, warn=warn)
        return len(coupons), 0, body

    def _faulty_room(self, room: Room, count: int, fault: Fault | None, partial_in: str) -> tuple[Room, bool]:
        """The room as a fault would have it, and whether the reason goes to the warnings."""
        warn = partial_in == "warnings"
        if fault is None or not room.coupons:
            return room, warn
        if fault.commit == "part":
            given = min(room.coupons, count // 2 if fault.given is None else fault.given)
            code = 722 if fault.name.startswith("722") else 5005
            if fault.name == "partial_unexplained":
                return Room(given), False
            return Room(given, code if given < count else 0), fault.name == "partial_warning"
        if fault.commit == "extra" and room.coupons == count:
            return Room(count + 1), warn
        if fault.commit == "one_less" and room.coupons == count and count > 1:
            return Room(count - 1), warn
        return room, warn

    def _body(
        self,
        ask: Ask,
        series: SeriesConfig,
        customer_id: int,
        coupons: list[tuple[int, str]],
        room: Room,
        now_ms: int,
        *,
        warn: bool,
    ) -> Body:
        reasons = [entry(room.code, room.message)] if room.code else []
        twins = [entry(TWINS.get(room.code, room.code), room.message or reasons[0]["message"])] if reasons else []
        first, last, identifiers = self._truth.customer(customer_id)
        return issued_body(
            coupons=coupons,
            asked=ask.count,
            config=coupon_config(
                series.description or f"Series {ask.series_id}",
                series.discount_type,
                whole(series.discount_value),
                series.external,
            ),
            customer=customer_body(customer_id, first, last, identifiers, moment(now_ms // 1000)),
            errors=[] if warn else reasons,
            warnings=twins if warn else [],
        )


def whole(value: float) -> float:
    """500.0 as 500, as the API writes it."""
    return int(value) if value == int(value) else value


@lru_cache(maxsize=4)
def moment(seconds: int) -> str:
    """Seconds since 1970 as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
