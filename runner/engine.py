"""Orders through workers: lane → cap → pace → begin (durable) → POST → classify → settle → policy.

Owns a live run: who works, what follows from an answer, when the run ends. It decides nothing about answers
(`core.classify`, `core.policy`), waits only through the clock, and never posts a call twice: each round has a new key.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

from runner import retrying
from runner.core.classify import classify
from runner.core.codes import CodeTable
from runner.core.concurrency import Concurrency
from runner.core.forecast import Ahead, Forecast, Parked, answers_per_second, forecast
from runner.core.guards import ERRORS, Bound, Errors, Guards, Threshold, money, parse_threshold
from runner.core.keys import call_key
from runner.core.lookups import LookUp
from runner.core.model import (
    CallStart,
    CallState,
    CustomerFacts,
    FallBack,
    Identifier,
    Order,
    Outcome,
    Reason,
    Settlement,
)
from runner.core.orders import missing_of, next_quantity
from runner.core.pacing import CUSTOMER_ROUNDS, customer_wait, series_wait
from runner.core.policy import SeriesState, Step, Verdict, fall_back, judge, nobody_knows
from runner.core.wording import counted
from runner.errors import CouponRunnerError, LedgerFailed
from runner.holding import Hold, until_turn
from runner.pace import Pace
from runner.ports import Beat, Clock, CouponApi, Ledger, Progress, Waiting
from runner.queues import Queues, SeriesQueue
from runner.waiting import Patience, Pauses, Stop, StopKind, slept_seconds

__all__ = ["EXIT_OF_STOP", "Engine", "EngineOptions", "Stop", "StopKind"]

EXIT_OF_STOP = {
    StopKind.GUARD: 4,
    StopKind.LIMIT: 75,
    StopKind.HOURS: 75,
    StopKind.THROTTLED: 75,
    StopKind.REQUESTED: 75,
    StopKind.REFUSED: 6,
    StopKind.UNREACHABLE: 6,
    StopKind.FAILED: 6,
}

_BEAT_SECONDS = 0.5
_BEATS_REMEMBERED = 120
_MOST_WAITING = 1000
"""Orders that may wait for busy customers before no other is begun: so many that they hardly hold anybody up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How a run is driven. Budgets in seconds.

    `doubts_in_a_row`: as the answers complete, before a read finds out whether the API answers; so also when more than
    `doubts_share` of at least `doubts_after` calls are in doubt. `series_limits`: the most coupons of a series in the
    campaign; `series_issued`: those issued or in doubt there already. `max_value`, `spent_value`, `values`: money in
    millionths, as `Guards` has them. `left_out`: orders that are not asked for, sorted. `only`: no others are, by
    series; whoever would have to wait is left for later then. `ends_at`: when a guard ends the run, by the wall clock.
    """

    run: int
    nonce: str
    concurrency: int = 16
    max_coupons: int | None = None
    spent: int = 0
    series_limits: Mapping[int, int] = field(default_factory=dict)
    series_issued: Mapping[int, int] = field(default_factory=dict)
    max_value: int | None = None
    spent_value: int = 0
    values: Mapping[int, int] = field(default_factory=dict)
    max_errors: Threshold = field(default_factory=lambda: parse_threshold(ERRORS))
    left_out: Sequence[int] = ()
    only: Mapping[int, frozenset[int]] | None = None
    limit: int | None = None
    ends_at: float | None = None
    left_series: frozenset[int] = frozenset()
    target: int = 0
    issued: int = 0
    in_doubt: int = 0
    queue_budget_seconds: float = 3 * 3600.0
    reach_budget_seconds: float = 600.0
    throttle_budget_seconds: float = 900.0
    customer_rounds: int = CUSTOMER_ROUNDS
    doubts_in_a_row: int = 20
    doubts_share: float = 0.01
    doubts_after: int = 200


@dataclass(eq=False, slots=True)
class _Ticket:
    """An order that goes ahead of the queues, with whoever waits for its answer (None: it could not go any more).

    `probe`: although its series is parked.
    """

    order: Order
    probe: bool
    answered: asyncio.Future[tuple[Verdict, Order] | None]


class Engine:
    """Drives one run to its end. Create one for each execution; `await run()` once."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        api: CouponApi,
        clock: Clock,
        progress: Progress,
        pace: Pace,
        codes: CodeTable,
        names_of: Callable[[CustomerFacts], tuple[Identifier, ...]],
        options: EngineOptions,
        look_up: Callable[[str, str], Awaitable[LookUp]] | None = None,
        settle: Callable[[], Awaitable[str]] | None = None,
        hold: Hold | None = None,
    ) -> None:
        """`look_up`: who a customer is by a kind and a value; without it no order falls back to another identifier.

        `settle`: reads what became of the run's calls in doubt and says it; used while nothing is sent.

        `hold`: pauses the run from outside; while it does, nothing begins and no budget is used up.
        """
        self._hold = hold or Hold(clock)
        self._true_clock, clock = clock, self._hold.clock
        self._ledger = ledger
        self._api = api
        self._clock = clock
        self._progress = progress
        self._pace = pace
        self._codes = codes
        self._names_of = names_of
        self._look_up = look_up
        self._options = options
        self._guards = Guards(
            options.max_coupons,
            options.spent,
            limits=options.series_limits,
            issued=options.series_issued,
            most_value=options.max_value,
            spent_value=options.spent_value,
            values=options.values,
        )
        self._errors = Errors(options.max_errors)
        self._concurrency = Concurrency(options.concurrency)
        self._queues = Queues(
            ledger,
            run=options.run,
            concurrency=options.concurrency,
            spawn=self._spawn,
            wake=self._wake_all,
            left=options.left_series,
            left_out=options.left_out,
            only=options.only,
        )
        self._pauses = Pauses(
            api=api,
            clock=clock,
            progress=progress,
            patience=Patience(
                reach_budget_seconds=options.reach_budget_seconds,
                throttle_budget_seconds=options.throttle_budget_seconds,
                doubts_in_a_row=options.doubts_in_a_row,
                doubts_share=options.doubts_share,
                doubts_after=options.doubts_after,
            ),
            spawn=self._spawn,
            wake=self._wake_all,
            stop=self.stop,
            settle=settle,
            turn=pace.turn,
        )
        self._tickets: deque[_Ticket] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._sending: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._awake: deque[asyncio.Future[None]] = deque()
        self._in_flight = 0
        self._waiting = 0
        self._rounds: dict[int, int] = {}
        self._started: set[int] = set()
        self._capped = False
        self._held_back: Stop | None = None
        self._stop: Stop | None = None
        self._fresh_tokens: set[str] = set()
        self._began = clock.now()
        self._calls = 0
        self._issued = options.issued
        self._in_doubt = options.in_doubt
        self._doubts = 0
        self._failed = 0
        self._seconds_a_call: float | None = None
        self._lately: deque[tuple[float, int]] = deque(maxlen=_BEATS_REMEMBERED)

    # ── from outside ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> Stop | None:
        """Ask for everything that is missing of the run; None when nothing is left to ask, else why it stopped.

        Calls in flight are always answered and settled before it returns, unless it is cancelled: what is then under
        way stays "sending" in the ledger and becomes in doubt.
        """
        await self._queues.open()
        beats = asyncio.create_task(self._beat_regularly())
        self._workers.update(asyncio.create_task(self._work()) for _ in range(self._options.concurrency))
        try:
            await asyncio.gather(*self._workers, return_exceptions=True)
        finally:
            others = [beats, *self._workers, *self._tasks]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            self._progress.beat(self.snapshot(ended=True))
        if self._stop is None or self._stop.kind is not StopKind.FAILED:
            await self._ledger.flush()
        elif self._stop.error is not None and not isinstance(self._stop.error, CouponRunnerError):
            raise self._stop.error
        return self._stop or self._held_back

    def stop(self, stop: Stop) -> None:
        """Begin no further call; those in flight finish. The first reason given is kept."""
        if self._stop is not None:
            return
        self._stop = stop
        asker = asyncio.current_task()
        for worker in self._workers:
            if worker not in self._sending and worker is not asker:
                worker.cancel()
        self._wake_all()

    def wake(self) -> None:
        """What kept calls back from outside has changed: look again which may go, and how fast."""
        self._lately.clear()
        self._wake_all()

    @property
    def under_way(self) -> int:
        """Calls that were begun and have no answer yet."""
        return len(self._sending)

    @property
    def begun(self) -> int:
        """Orders that counted under the limit so far."""
        return len(self._started)

    @property
    def reserved(self) -> int:
        """Coupons that orders under way may still need, of those that the cap allows."""
        return self._guards.reserved

    def snapshot(self, *, ended: bool = False) -> Beat:
        """The run's state now."""
        elapsed = max(1e-9, self._clock.now() - self._began)
        missing = max(0, self._options.target - self._issued - self._in_doubt)
        ahead = self._forecast()
        paused = self._hold.paused
        return Beat(
            target=self._options.target,
            issued=self._issued,
            in_doubt=self._in_doubt,
            missing=missing,
            failed_orders=self._failed,
            calls=self._calls,
            calls_per_second=self._calls / elapsed,
            eta_seconds=ahead.seconds,
            decided_by=str(ahead),
            waiting=tuple(self._waiting_since(one) for one in self._queues if one.track.state is SeriesState.PARKED),
            state="finishing"
            if ended or self._stop
            else "paused"
            if paused
            else "pausing"
            if self._pauses.pausing
            else "issuing",
            in_flight=len(self._sending),
            paused_by=paused.by if paused is not None else "",
            paused_since=paused.since if paused is not None else None,
        )

    def _forecast(self) -> Forecast:
        """When the run ends, as far as that is known."""
        now, options = self._clock.now(), self._options
        going = [one for one in self._queues if not one.track.over and one.missing > 0]
        parked = [one for one in going if one.track.state is SeriesState.PARKED and one.dry_since is not None]
        gained = self._issued - options.issued + self._in_doubt - options.in_doubt
        coupons = sum(one.missing for one in going if one not in parked)
        since, calls = self._lately[0] if self._lately else (self._began, 0)
        pace = self._pace.calls_per_second
        return forecast(
            Ahead(
                calls=coupons * self._calls / gained if gained > 0 else coupons,
                pace_per_second=pace,
                answers_per_second=answers_per_second(
                    concurrency=options.concurrency,
                    latency_seconds=self._seconds_a_call,
                    pace_per_second=pace,
                    calls=self._calls - calls,
                    seconds=now - since,
                ),
                parked=[
                    Parked(one.number, options.queue_budget_seconds - (now - (one.dry_since or now))) for one in parked
                ],
                doubts=self._doubts,
                open_seconds=None if options.ends_at is None else max(0.0, options.ends_at - self._clock.wall()),
            )
        )

    def _waiting_since(self, series: SeriesQueue) -> Waiting:
        code = series.reason.code if series.reason is not None else ""
        if series.dry_since is None:
            return Waiting(series.number, code)
        since = self._clock.wall() - (self._clock.now() - series.dry_since)
        return Waiting(series.number, code, since, since + self._options.queue_budget_seconds)

    # ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a worker always runs as a task
        while self._stop is None:
            taken = self._take()
            if taken is None:
                if self._drained():
                    self._wake_all()
                    return
                await self._sleep_until_woken()
                continue
            order, ticket = taken
            lane = order.person
            series = self._queues[order.series]
            self._queues.lanes.add(lane)
            self._in_flight += 1
            series.track.in_flight += 1
            try:
                verdict, order = await self._serve(order, series, task)
            except Exception as error:  # noqa: BLE001 - whatever it is, the run must not go on as if nothing had been
                self._fail(error)
                return
            finally:
                self._in_flight -= 1
                series.track.in_flight -= 1
                self._queues.lanes.discard(lane)
            if ticket is None:
                self._follow(verdict, order, series)
            elif not ticket.answered.done():
                ticket.answered.set_result((verdict, order))
            self._wake_all()

    def _take(self) -> tuple[Order, _Ticket | None] | None:
        """The next order that may be called now; None when there is none at this moment."""
        if not self._pauses.lets_through(self._in_flight):
            return None
        if self._in_flight >= self._concurrency.allowed:
            return None
        for _ in range(len(self._tickets)):
            ticket = self._tickets.popleft()
            order, track = ticket.order, self._queues[ticket.order.series].track
            if track.over or not (ticket.probe or track.may_start()) or not self._admit(order):
                if not ticket.answered.done():
                    ticket.answered.set_result(None)
            elif order.person in self._queues.lanes:
                self._tickets.append(ticket)
            else:
                return order, ticket
        taken = self._queues.take(self._admit, fresh=self._may_begin())
        return None if taken is None else (taken, None)

    def _may_begin(self) -> bool:
        """Whether orders that were not begun yet may be."""
        return not self._capped and self._waiting < _MOST_WAITING

    def _admit(self, order: Order) -> bool:
        """Reserve what an order needs before it may go: its place under the limit and its coupons under the cap."""
        limit = self._options.limit
        if limit is not None and len(self._started) >= limit and order.id not in self._started:
            stop = Stop(kind=StopKind.LIMIT, message=f"the limit of {counted(limit, 'order')} is reached (--limit)")
        else:
            bound = self._reserve(order)
            if bound is None:
                if limit is not None:
                    self._started.add(order.id)
                return True
            if bound is Bound.SERIES:
                series = self._queues[order.series]
                if not series.capped:
                    series.capped = True
                    self._spawn(self._leave_when_idle(order, series))
                return False
            stop = Stop(kind=StopKind.GUARD, message=self._no_room(bound))
        if not self._capped:
            self._capped = True
            self._spawn(self._stop_when_idle(order, stop))
        return False

    async def _stop_when_idle(self, order: Order, stop: Stop) -> None:
        """Orders under way may still give back what they reserved: decide when none is left."""
        while self._in_flight or self._waiting or self._tickets or self._queues.asking_again:
            await self._sleep_until_woken()
        if stop.kind is StopKind.GUARD and self._reserve(order) not in (Bound.RUN, Bound.VALUE):
            self._guards.release(order.id, order.series)
            self._capped = False
            self._wake_all()
        else:
            self.stop(stop)

    def _no_room(self, bound: Bound) -> str:
        if bound is Bound.VALUE:
            most = money(self._options.max_value or 0)
            return f"the cap of {most} in money leaves no room for the next order (--max-value)"
        most = counted(self._options.max_coupons or 0, "coupon")
        return f"the cap of {most} leaves no room for the next order (--max-coupons)"

    def _reserve(self, order: Order) -> Bound | None:
        return self._guards.reserve(order.id, order.series, missing_of(order.target, order.issued, order.held))

    async def _leave_when_idle(self, order: Order, series: SeriesQueue) -> None:
        """A series' own cap has no room for an order: leave the series when none of it can give anything back."""
        while series.track.in_flight or series.waiting or series.again:
            await self._sleep_until_woken()
        if series.left:
            return
        if self._reserve(order) is not Bound.SERIES:
            self._guards.release(order.id, order.series)
            series.capped = False
        else:
            most = self._options.series_limits[series.number]
            message = (
                f"the limit of {counted(most, 'coupon')} of series {series.number} leaves no room (max_total; a list"
                " that allows more counts for its own run: give it with --unfinished abandon)"
            )
            self._set_aside(series)
            self._held_back = self._held_back or Stop(kind=StopKind.GUARD, message=message)
            self._progress.say(f"{message}; its rest is not sent")
        self._wake_all()

    def _drained(self) -> bool:
        """Nothing is left to ask: every series read to its end and nothing under way, waiting or parked."""
        under_way = self._in_flight or self._waiting or self._tickets or self._capped
        return not under_way and self._queues.empty

    # ── one round ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _serve(self, order: Order, series: SeriesQueue, task: asyncio.Task[None]) -> tuple[Verdict, Order]:
        """One round of an order: pace, begin, post, classify, settle, judge."""
        turn = await until_turn(self._pace, self._hold)
        quantity = next_quantity(order.target, order.issued, order.held)
        if not quantity:
            return Verdict(Step.DONE, None), order
        options = self._options
        key = call_key(order.key, order.calls + 1, options.nonce)
        self._sending.add(task)
        try:
            if not await self._ledger.begin(CallStart(key, order.id, order.calls + 1, quantity, options.run)):
                return await self._read_again(order)
            token = self._api.credentials_version()
            began = self._true_clock.now()
            self._pace.sent(turn)
            exchange = await self._api.issue(
                call_key=key, series=order.series, count=quantity, kind=order.kind.value, value=order.value
            )
            self._pace.sent(turn, at=began + exchange.seconds_to_leave)
            self._note_seconds(exchange.seconds)
            outcome = classify(exchange, asked=quantity, table=self._codes)
            names = self._new_names(order, outcome.customer) if outcome.customer is not None else ()
            self._ledger.settle(Settlement(key, order.id, order.person, options.run, outcome, names, exchange.seconds))
        finally:
            self._sending.discard(task)
        verdict, order = await self._judge(order, series, outcome, token)
        self._concurrency.answered(
            exchange.seconds,
            self._true_clock.now(),
            under_way=self._in_flight,
            throttled=verdict.step is Step.SLOW_DOWN,
            busy=verdict.step is Step.WAIT_CUSTOMER,
            per_second=self._pace.calls_per_second,
        )
        if verdict.step is Step.FALL_BACK and verdict.reason is not None and self._look_up is not None:
            return await self._fall_back(order, verdict.reason, self._look_up)
        return verdict, order

    async def _fall_back(
        self, order: Order, reason: Reason, look_up: Callable[[str, str], Awaitable[LookUp]]
    ) -> tuple[Verdict, Order]:
        """Name the customer by the next identifier that the API knows, once the ledger has it; else it is over.

        She is looked up first, so that she meets an order that she has under another name.
        """
        tried, problem = [*order.tried, order.kind], None
        for skipped, (kind, value) in enumerate(order.others):
            found = await look_up(kind.value, value)
            if found.customer is not None:
                names = self._names_of(CustomerFacts(found.customer, ()))
                item = FallBack(order.id, order.person, self._options.run, order.calls, skipped, names)
                fresh = await self._ledger.fall_back(item)
                if (fresh.id, fresh.kind, fresh.value) == (order.id, kind, value):
                    return Verdict(Step.FALL_BACK, reason), fresh
                if fresh.id != order.id or fresh.closed or not next_quantity(fresh.target, fresh.issued, fresh.held):
                    return self._go_on_with(order, fresh)
                break
            if found.problem is not None:
                problem = f"who the {kind} leads to cannot be told: {found.problem}"
                break
            tried.append(kind)
        verdict = Verdict(Step.CLOSE_ORDER, nobody_knows(reason, tried, problem))
        if self._errors.saw(verdict, lost=False):
            self.stop(Stop(kind=StopKind.GUARD, message=self._errors.sentence()))
        return verdict, order

    def _note_seconds(self, seconds: float) -> None:
        """How long calls take: an average that forgets."""
        known = self._seconds_a_call
        self._seconds_a_call = seconds if known is None else known + 0.05 * (seconds - known)

    async def _read_again(self, order: Order) -> tuple[Verdict, Order]:
        """The ledger refused to begin: the order changed, was closed, or is another one's now, which may miss some."""
        fresh = await self._ledger.order(order.id)
        if fresh == order:  # asking again would go on for ever
            raise LedgerFailed(f"The ledger refuses a call of the order {order.key}, and does not show why.")
        return self._go_on_with(order, fresh)

    def _go_on_with(self, order: Order, fresh: Order) -> tuple[Verdict, Order]:
        """An order is over, or goes on as it stands now, or as another one."""
        self._release(order)
        if fresh.closed or not next_quantity(fresh.target, fresh.issued, fresh.held):
            return Verdict(Step.DONE, None), order
        return Verdict(Step.GO_ON, None), fresh

    def _new_names(self, order: Order, customer: CustomerFacts) -> tuple[Identifier, ...]:
        """What an answer names beyond the identifier that was sent: that one is known, and it is most of them."""
        sent = (order.kind.value, order.value)
        others = tuple(name for name in customer.identifiers if name != sent)
        return self._names_of(CustomerFacts(customer.id, others))

    async def _judge(
        self, order: Order, series: SeriesQueue, outcome: Outcome, token: str | None
    ) -> tuple[Verdict, Order]:
        """Count what came, and find out what follows for the order, its series and the run."""
        issued = len(outcome.coupons)
        order = order._replace(issued=order.issued + issued, held=order.held + outcome.held, calls=order.calls + 1)
        self._calls += 1
        self._issued += issued
        self._in_doubt += outcome.held
        self._doubts += outcome.state is CallState.IN_DOUBT
        series.missing -= issued + outcome.held
        self._guards.spend(order.id, order.series, issued + outcome.held)
        if issued:
            series.dry_since = None
        missing = missing_of(order.target, order.issued, order.held)
        verdict = judge(outcome, missing=missing, track=series.track)
        if self._look_up is not None:
            verdict = fall_back(verdict, outcome, order)
        step, reason = verdict
        if step is Step.SLOW_DOWN:
            self._pace.throttled(self._true_clock.now(), outcome.retry_after_seconds)
        if step is Step.STOP_RUN and reason is not None:
            self.stop(Stop(kind=StopKind.REFUSED, message=f"{reason.code}: {reason.message}"))
        elif step is Step.RENEW_TOKEN and reason is not None:
            await self._renew_token(token, reason)
        elif token is not None and outcome.state is not CallState.NEVER_LEFT:
            self._fresh_tokens.discard(token)
        self._pauses.saw(outcome, verdict, series.number)
        if self._errors.saw(verdict, lost=outcome.state is CallState.IN_DOUBT):
            self.stop(Stop(kind=StopKind.GUARD, message=self._errors.sentence()))
        return verdict, order

    async def _renew_token(self, token: str | None, reason: Reason) -> None:
        """A refused call under an older token follows with the current one; a refused fresh token stops the run."""
        refused = Stop(
            kind=StopKind.REFUSED,
            message=(
                f"the API refuses the credentials ({reason.code}: {reason.message}); check the key, its "
                "rights and the cluster"
            ),
        )
        if token is None or token in self._fresh_tokens:
            self.stop(refused)
        elif await self._api.refresh_credentials(seen=token):
            current = self._api.credentials_version()
            if current is not None and current != token:
                self._fresh_tokens.add(current)
        else:
            self.stop(refused)

    # ── what follows ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _follow(self, verdict: Verdict, order: Order, series: SeriesQueue) -> None:
        """Act on a verdict: the order asks again, waits, or is over."""
        step, reason = verdict
        patient = self._options.only is None
        over = step is Step.DONE or not missing_of(order.target, order.issued, order.held)
        if over or (step is Step.WAIT_CUSTOMER and not patient):
            self._release(order)
        elif step is Step.WAIT_CUSTOMER and reason is not None:
            self._waiting += 1
            series.waiting += 1
            self._spawn(self._wait_for_customer(order, series, reason))
        elif step in (Step.CLOSE_ORDER, Step.DOUBT_SERIES, Step.CLOSE_SERIES) and reason is not None:
            self._close(order, reason)
        elif not self._queues.put_back(order, series):
            self._release(order)
        if step is Step.PARK_SERIES and not patient:
            self._set_aside(series)
        elif step is Step.PARK_SERIES and reason is not None:
            self._park(series, reason)
        elif step is Step.CLOSE_SERIES and reason is not None:
            self._leave(series, SeriesState.CLOSED, reason)

    def _release(self, order: Order) -> None:
        """The order asks no more for now."""
        self._guards.release(order.id, order.series)
        self._rounds.pop(order.id, None)

    def _close(self, order: Order, reason: Reason) -> None:
        """Ask no more for an order in this run."""
        self._failed += 1
        self._queues[order.series].missing -= missing_of(order.target, order.issued, order.held)
        self._release(order)
        self._ledger.close_order(self._options.run, order.id, reason)

    def _leave(self, series: SeriesQueue, state: SeriesState, reason: Reason) -> None:
        """Ask no more for a whole series in this run; said once, however many answers say so."""
        if series.left:
            return
        series.left = True
        series.track.state = state
        for order in self._queues.drop(series):
            self._release(order)
        self._ledger.set_series(self._options.run, series.number, state.value, reason)
        if state is SeriesState.CLOSED:
            self._progress.say(f"series {series.number} is closed for this run: {reason.code} {reason.message}")
        else:
            self._progress.say(f"series {series.number} gave no coupon for its whole budget; its rest is not sent")

    def _set_aside(self, series: SeriesQueue) -> None:
        """Ask no more for a series now, and nothing of it is over: the ledger is told nothing."""
        series.left = True
        series.track.state = SeriesState.CAPPED
        for order in self._queues.drop(series):
            self._release(order)

    async def _through(self, order: Order, *, probe: bool = False) -> tuple[Verdict, Order] | None:
        """Send an order ahead of the queues; its answer, or None when its series or the cap does not let it go now."""
        ticket = _Ticket(order, probe, asyncio.get_running_loop().create_future())
        self._tickets.append(ticket)
        self._wake_all()
        return await ticket.answered

    # ── a busy customer, an empty queue ──────────────────────────────────────────────────────────────────────────────

    async def _wait_for_customer(self, order: Order, series: SeriesQueue, reason: Reason) -> None:
        """Rounds of one order while its customer is busy elsewhere (521); given up after six without progress.

        When anything else comes between, the rounds so far are remembered.
        """
        rounds = self._rounds.get(order.id, 0) + 1
        had = order.issued

        async def attempt() -> Verdict:
            nonlocal order, rounds
            answered = await self._through(order)
            if answered is None:
                return Verdict(Step.GO_ON, None)
            verdict, order = answered
            rounds = rounds + 1 if verdict.step is Step.WAIT_CUSTOMER else rounds
            return verdict

        try:
            done, verdict = await retrying.until(
                attempt,
                first=Verdict(Step.WAIT_CUSTOMER, reason),
                settled=lambda verdict: verdict.step is not Step.WAIT_CUSTOMER,
                wait_seconds=lambda *_: customer_wait(rounds, self._clock.chance()),
                give_up=lambda *_: rounds >= self._options.customer_rounds,
                clock=self._clock,
            )
        finally:
            self._waiting -= 1
            series.waiting -= 1
        self._rounds[order.id] = 0 if order.issued > had else rounds
        if done:
            self._follow(verdict, order, series)
        else:
            self._close(order, verdict.reason or reason)
        self._wake_all()

    def _park(self, series: SeriesQueue, reason: Reason) -> None:
        """The series' queue is empty: one probe at a time, the others go on."""
        series.reason = reason
        if series.dry_since is None:
            series.dry_since = self._clock.now()
        if series.track.state is SeriesState.PARKED or series.track.over:
            return
        series.track.state = SeriesState.PARKED
        self._ledger.set_series(self._options.run, series.number, SeriesState.PARKED.value, reason)
        self._progress.say(f"series {series.number} waits: {reason.code} {reason.message}")
        self._waiting += 1
        self._spawn(self._probe_series(series, reason))

    async def _probe_series(self, series: SeriesQueue, reason: Reason) -> None:
        """One probe at a time until one is not told of an empty queue: only coupons show that it is filled again."""
        filled = False

        async def attempt() -> bool:
            nonlocal filled
            order = await self._next_of(series)
            if order is None:  # closed meanwhile, or nothing of it is left to ask, now or ever
                idle = not series.track.in_flight and not series.waiting
                return series.track.over or (idle and (series.finished or self._capped))
            had = order.issued
            answered = await self._through(order, probe=True)
            verdict, order = answered or (Verdict(Step.GO_ON, None), order)
            filled = verdict.step is not Step.PARK_SERIES and order.issued > had
            self._follow(verdict, order, series)
            return filled or series.track.over

        def budget_left() -> float:
            dry = self._clock.now() - series.dry_since if series.dry_since is not None else 0.0
            return self._options.queue_budget_seconds - dry

        try:
            alive, _ = await retrying.until(
                attempt,
                first=False,
                settled=bool,
                # The last probe comes when the budget is over, as it was told.
                wait_seconds=lambda attempts, parked: min(
                    series_wait(attempts, parked, self._clock.chance()), max(0.0, budget_left())
                ),
                give_up=lambda *_: budget_left() <= 0,
                clock=self._clock,
            )
        finally:
            self._waiting -= 1
        if not alive:
            self._leave(series, SeriesState.EXHAUSTED, series.reason or reason)
        elif not series.track.over:
            series.track.state = SeriesState.OPEN
            self._ledger.set_series(self._options.run, series.number, SeriesState.OPEN.value, None)
            if filled:
                self._progress.say(f"series {series.number} gives coupons again")
        self._wake_all()

    async def _next_of(self, series: SeriesQueue) -> Order | None:
        """The series' next order that may go, read ahead if need be.

        None when there is nothing of it to ask for now.
        """
        while not series.track.over:
            order = self._queues.first_of(series, self._admit, fresh=self._may_begin())
            if order is not None or series.finished or not (series.again or self._may_begin()):
                return order
            await self._sleep_until_woken()
        return None

    # ── waking and ending ────────────────────────────────────────────────────────────────────────────────────────────

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._watch)

    def _watch(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        message = error.message if isinstance(error, CouponRunnerError) else "internal error"
        self.stop(Stop(kind=StopKind.FAILED, message=message, error=error))

    async def _sleep_until_woken(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awake.append(waiter)
        await waiter

    def _wake_all(self) -> None:
        while self._awake:
            waiter = self._awake.popleft()
            if not waiter.done():
                waiter.set_result(None)

    async def _beat_regularly(self) -> None:
        clock = self._true_clock
        while True:
            earlier = clock.now(), clock.wall()
            beat = self.snapshot()
            self._pace.expect(beat.missing)
            self._progress.beat(beat)
            self._lately.append((self._clock.now(), self._calls))
            await clock.sleep(_BEAT_SECONDS)
            if slept := slept_seconds(earlier, (clock.now(), clock.wall()), _BEAT_SECONDS):
                self._pauses.woke(slept, next((series.number for series in self._queues if not series.left), None))
