"""Orders through workers: lane → cap → pace → begin (durable) → POST → classify → settle → policy.

Owns the scheduling of a live run: which order is next, who waits for what, when to stop. It decides nothing about
answers (`core.classify`, `core.policy`), waits only through the clock, and never posts a call twice: each round has a new key.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum

from runner import retrying
from runner.core.classify import classify
from runner.core.codes import CodeTable
from runner.core.guards import Cap
from runner.core.keys import call_key
from runner.core.model import (
    CallStart,
    CallState,
    CustomerFacts,
    Identifier,
    Order,
    Outcome,
    Reason,
    Settlement,
)
from runner.core.orders import missing_of, next_quantity
from runner.core.pacing import Pace, customer_wait, reach_wait, series_wait
from runner.core.policy import SeriesState, SeriesTrack, Step, Verdict, judge
from runner.errors import CouponRunnerError
from runner.ports import Beat, Clock, CouponApi, Ledger, Progress


class StopKind(StrEnum):
    """Why a run ended before everything was asked for."""

    GUARD = "guard"
    LIMIT = "limit"
    THROTTLED = "throttled"
    REQUESTED = "requested"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    FAILED = "failed"


EXIT_OF_STOP = {
    StopKind.GUARD: 4,
    StopKind.LIMIT: 75,
    StopKind.THROTTLED: 75,
    StopKind.REQUESTED: 75,
    StopKind.REFUSED: 6,
    StopKind.UNREACHABLE: 6,
    StopKind.FAILED: 6,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The end of a run before its time: kind, a sentence for people, and the error behind it, if any."""

    kind: StopKind
    message: str
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How a run is driven. Budgets in seconds. `doubts_in_a_row`: by completion, before the API is probed with a read."""

    run: int
    nonce: str
    concurrency: int = 16
    max_coupons: int | None = None
    spent: int = 0
    limit: int | None = None
    target: int = 0
    issued: int = 0
    in_doubt: int = 0
    queue_budget_seconds: float = 3 * 3600.0
    reach_budget_seconds: float = 600.0
    throttle_budget_seconds: float = 900.0
    customer_rounds: int = retrying.CUSTOMER_ROUNDS
    doubts_in_a_row: int = 20


@dataclass(eq=False, slots=True)
class _Series:
    """One series of the run: its track, the orders read ahead of its cursor, and those begun that ask again (`admitted`)."""

    number: int
    track: SeriesTrack = field(default_factory=SeriesTrack)
    buffer: deque[Order] = field(default_factory=deque)
    admitted: deque[Order] = field(default_factory=deque)
    after: int = 0
    read_all: bool = False
    reading: bool = False
    last_coupon: float = 0.0


@dataclass(eq=False, slots=True)
class _Ticket:
    """An order that goes ahead of the queues, with whoever waits for what becomes of it. `past_gate`: even while the run pauses."""

    order: Order
    past_gate: bool
    answered: asyncio.Future[tuple[Verdict, Order]]


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
    ) -> None:
        self._ledger = ledger
        self._api = api
        self._clock = clock
        self._progress = progress
        self._pace = pace
        self._codes = codes
        self._names_of = names_of
        self._options = options
        self._cap = Cap(options.max_coupons, options.spent)
        self._series: dict[int, _Series] = {}
        self._turns: deque[_Series] = deque()
        self._tickets: deque[_Ticket] = deque()
        self._lanes: set[int] = set()
        self._sending: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._buffered = 0
        self._waiting = 0
        self._in_flight = 0
        self._gate: int | None = 1  # how many calls may be in flight; the run's first call goes alone
        self._capped = False
        self._started: set[int] = set()
        self._stop: Stop | None = None
        self._stopped = asyncio.Event()
        self._awake: deque[asyncio.Future[None]] = deque()
        self._pausing = False
        self._doubts = 0
        self._fresh_tokens: set[str] = set()
        self._throttled_since: float | None = None
        self._began = clock.now()
        self._calls = 0
        self._issued = options.issued
        self._in_doubt = options.in_doubt
        self._failed = 0
        self._state = "issuing"

    # ── from outside ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> Stop | None:
        """Ask for everything that is missing of the run; None when nothing is left to ask, else why it stopped.

        Calls in flight are always answered and settled before it returns, unless it is cancelled: what is then under way
        stays "sending" in the ledger and becomes in doubt.
        """
        for number in await self._ledger.open_series(self._options.run):
            series = _Series(number, last_coupon=self._clock.now())
            self._series[number] = series
            self._turns.append(series)
        beats = asyncio.create_task(self._beat_regularly())
        workers = [asyncio.create_task(self._work()) for _ in range(self._options.concurrency)]
        try:
            stopping = asyncio.create_task(self._cancel_idle_when_stopped(workers))
            await asyncio.gather(*workers, return_exceptions=True)
            stopping.cancel()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._stop is None or self._stop.kind is not StopKind.FAILED:
                await self._ledger.flush()
        finally:
            beats.cancel()
            for task in [*workers, *self._tasks]:
                task.cancel()
            self._state = "finishing"
            self._progress.beat(self.snapshot())
        for worker in workers:
            if not worker.cancelled() and (error := worker.exception()) is not None and self._stop is None:
                raise error
        if (
            self._stop is not None
            and self._stop.error is not None
            and not isinstance(self._stop.error, CouponRunnerError)
        ):
            raise self._stop.error
        return self._stop

    def stop(self, stop: Stop) -> None:
        """Begin no further call; those in flight finish. The first reason given is kept."""
        if self._stop is None:
            self._stop = stop
            self._stopped.set()
            self._state = "finishing"
            self._wake_all()

    def snapshot(self) -> Beat:
        """The run's state now."""
        elapsed = max(1e-9, self._clock.now() - self._began)
        rate = self._calls / elapsed
        missing = max(0, self._options.target - self._issued - self._in_doubt)
        gained = self._issued - self._options.issued + self._in_doubt - self._options.in_doubt
        eta = missing * elapsed / gained if gained and missing else (0.0 if not missing else None)
        waiting = tuple(
            (series.number, series.track.code or "")
            for series in self._series.values()
            if series.track.state is SeriesState.PARKED
        )
        return Beat(
            target=self._options.target,
            issued=self._issued,
            in_doubt=self._in_doubt,
            missing=missing,
            failed_orders=self._failed,
            calls=self._calls,
            calls_per_second=rate,
            eta_seconds=eta,
            waiting=waiting,
            state=self._state,
            in_flight=len(self._sending),
        )

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
            series = self._series[order.series]
            self._in_flight += 1
            series.track.in_flight += 1
            try:
                verdict, order = await self._serve(order, series, task)
            except CouponRunnerError as error:
                self.stop(Stop(kind=StopKind.FAILED, message=error.message, error=error))
                if ticket is not None and not ticket.answered.done():
                    ticket.answered.cancel()
                return
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                self.stop(Stop(kind=StopKind.FAILED, message="internal error", error=error))
                raise
            finally:
                self._in_flight -= 1
                series.track.in_flight -= 1
                self._lanes.discard(lane)
            if ticket is not None:
                if not ticket.answered.done():
                    ticket.answered.set_result((verdict, order))
            else:
                self._follow(verdict, order, series)
            self._wake_all()

    def _take(self) -> tuple[Order, _Ticket | None] | None:
        """The next order that may be called now, its lane taken; None when there is none at this moment."""
        if self._stop is not None:
            return None
        open_gate = self._gate is None or self._in_flight < self._gate
        for _ in range(len(self._tickets)):
            ticket = self._tickets.popleft()
            if (open_gate or ticket.past_gate) and ticket.order.person not in self._lanes:
                self._lanes.add(ticket.order.person)
                return ticket.order, ticket
            self._tickets.append(ticket)
        if not open_gate:
            return None
        for _ in range(len(self._turns)):
            series = self._turns[0]
            self._turns.rotate(-1)
            if series.track.over:
                self._retire(series)
                continue
            if not series.track.may_start():
                continue
            order = self._first_free(series.admitted) if series.admitted else None
            if order is None and not self._capped:
                self._read_ahead(series)
                order = self._first_free(series.buffer)
                if order is not None and not self._admit(order, series):
                    order = None
            if order is not None:
                self._buffered -= 1
                self._lanes.add(order.person)
                return order, None
        return None

    def _retire(self, series: _Series) -> None:
        """A closed or exhausted series leaves the round; what it had read ahead stays in the ledger."""
        self._turns.remove(series)
        self._buffered -= len(series.buffer) + len(series.admitted)
        for order in series.admitted:
            self._cap.release(order.id)
        series.buffer.clear()
        series.admitted.clear()

    def _first_free(self, orders: deque[Order]) -> Order | None:
        """The first order whose customer has no call under way; the others keep their places."""
        lanes = self._lanes
        for index in range(len(orders)):
            if orders[0].person not in lanes:
                order = orders.popleft()
                orders.rotate(index)
                return order
            orders.rotate(-1)
        return None

    def _admit(self, order: Order, series: _Series) -> bool:
        """Reserve what an order needs before it may go: its place under the limit and its coupons under the cap."""
        limit = self._options.limit
        if limit is not None and len(self._started) >= limit and order.id not in self._started:
            stop = Stop(kind=StopKind.LIMIT, message=f"the limit of {limit:,} orders is reached (--limit)")
        elif not self._cap.reserve(order.id, missing_of(order.target, order.issued, order.held)):
            message = (
                f"the cap of {self._options.max_coupons:,} coupons leaves no room for the next order (--max-coupons)"
            )
            stop = Stop(kind=StopKind.GUARD, message=message)
        else:
            if limit is not None:
                self._started.add(order.id)
            return True
        series.buffer.appendleft(order)
        self._capped = True
        self._spawn(self._stop_when_idle(order, stop))
        return False

    async def _stop_when_idle(self, order: Order, stop: Stop) -> None:
        """Orders under way may still give back what they reserved: decide when none is left."""
        while self._in_flight or self._waiting or self._tickets or any(series.admitted for series in self._turns):
            await self._sleep_until_woken()
        if stop.kind is StopKind.GUARD and self._cap.reserve(
            order.id, missing_of(order.target, order.issued, order.held)
        ):
            self._cap.release(order.id)
            self._capped = False
            self._wake_all()
        else:
            self.stop(stop)

    def _put_back(self, order: Order, series: _Series) -> None:
        series.admitted.append(order)
        self._buffered += 1

    def _drained(self) -> bool:
        """Nothing is left to ask: every series read to its end and nothing under way, waiting or parked."""
        if self._in_flight or self._waiting or self._tickets or self._capped or self._pausing:
            return False
        return all(
            series.track.over or (series.read_all and not series.buffer and not series.admitted)
            for series in self._turns
        )

    # ── reading ahead ────────────────────────────────────────────────────────────────────────────────────────────────

    def _page(self) -> int:
        return max(1, 2 * self._options.concurrency // max(1, len(self._turns)))

    def _read_ahead(self, series: _Series) -> None:
        if series.reading or series.read_all or len(series.buffer) > self._page() // 2:
            return
        if self._buffered + self._waiting >= 2 * self._options.concurrency and series.buffer:
            return
        if self._waiting >= 2 * self._options.concurrency:
            return
        series.reading = True
        self._spawn(self._read(series))

    async def _read(self, series: _Series) -> None:
        page = self._page()
        orders = await self._ledger.open_orders(self._options.run, series.number, series.after, page)
        series.reading = False
        series.read_all = len(orders) < page
        if orders:
            series.after = orders[-1].id
            series.buffer.extend(orders)
            self._buffered += len(orders)
        self._wake_all()

    # ── one round ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _serve(self, order: Order, series: _Series, task: asyncio.Task[None]) -> tuple[Verdict, Order]:
        """One round of an order: pace, begin, post, classify, settle, judge."""
        pace, clock = self._pace, self._clock
        while (delay := pace.next_slot(clock.now()) - clock.now()) > 0:
            await clock.sleep(delay)
            if clock.now() >= pace.blocked_until:
                break  # the slot still holds; else the API throttled meanwhile
        quantity = next_quantity(order.target, order.issued, order.held)
        if not quantity:
            return Verdict(Step.DONE, None), order
        options = self._options
        key = call_key(order.key, order.calls + 1, options.nonce)
        self._sending.add(task)
        try:
            if not await self._ledger.begin(CallStart(key, order.id, order.calls + 1, quantity, options.run)):
                fresh = await self._ledger.order(order.id)
                again = (
                    not fresh.closed and fresh.id == order.id and next_quantity(fresh.target, fresh.issued, fresh.held)
                )
                return Verdict(Step.GO_ON if again else Step.DONE, None), fresh
            token = self._api.credentials_version()
            exchange = await self._api.issue(
                call_key=key, series=order.series, count=quantity, kind=order.kind.value, value=order.value
            )
            outcome = classify(exchange, asked=quantity, table=self._codes)
            names = self._new_names(order, outcome.customer) if outcome.customer is not None else ()
            self._ledger.settle(Settlement(key, order.id, order.person, options.run, outcome, names, exchange.seconds))
        finally:
            self._sending.discard(task)
        return await self._judge(order, series, outcome, token)

    def _new_names(self, order: Order, customer: CustomerFacts) -> tuple[Identifier, ...]:
        """What an answer names beyond the identifier that was sent: that one is known, and it is most of them."""
        sent = (order.kind.value, order.value)
        others = tuple(name for name in customer.identifiers if name != sent)
        return self._names_of(CustomerFacts(customer.id, others))

    async def _judge(self, order: Order, series: _Series, outcome: Outcome, token: str | None) -> tuple[Verdict, Order]:
        issued = len(outcome.coupons)
        order = order._replace(issued=order.issued + issued, held=order.held + outcome.held, calls=order.calls + 1)
        self._calls += 1
        self._issued += issued
        self._in_doubt += outcome.held
        self._cap.spend(order.id, issued + outcome.held)
        if issued:
            series.last_coupon = self._clock.now()
            self._throttled_since = None
        missing = missing_of(order.target, order.issued, order.held)
        verdict = judge(outcome, missing=missing, track=series.track)
        if verdict.step is Step.SLOW_DOWN:
            self._pace.throttled(self._clock.now(), outcome.retry_after_seconds)
        if verdict.step is Step.STOP_RUN and verdict.reason is not None:
            self.stop(Stop(kind=StopKind.REFUSED, message=f"{verdict.reason.code}: {verdict.reason.message}"))
        elif verdict.step is Step.RENEW_TOKEN and verdict.reason is not None:
            await self._renew_token(token, verdict.reason)
        elif token is not None and outcome.state is not CallState.NEVER_LEFT:
            self._fresh_tokens.discard(token)
        if verdict.step is not Step.PAUSE_RUN and self._gate == 1 and not self._pausing:
            self._gate = None
        self._count_doubts(outcome, series)
        return verdict, order

    async def _renew_token(self, token: str | None, reason: Reason) -> None:
        """A refused call under an older token follows with the current one; a refused fresh token stops the run."""
        refused = Stop(
            kind=StopKind.REFUSED,
            message=f"the API refuses the credentials ({reason.code}: {reason.message}); check the key, its rights and the cluster",
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

    def _follow(self, verdict: Verdict, order: Order, series: _Series) -> None:
        """Act on a verdict for an order that no ticket waits for."""
        step, reason = verdict
        if step is Step.DONE:
            self._cap.release(order.id)
        elif step in (Step.GO_ON, Step.RENEW_TOKEN, Step.STOP_RUN):
            self._put_back(order, series)
        elif step is Step.WAIT_CUSTOMER and reason is not None:
            self._waiting += 1
            self._spawn(self._wait_for_customer(order, series, reason))
        elif step is Step.PARK_SERIES and reason is not None:
            self._again_or_done(order, series)
            self._park(series, reason)
        elif step is Step.SLOW_DOWN and reason is not None:
            self._put_back(order, series)
            self._slow_down(reason)
        elif step is Step.PAUSE_RUN:
            self._put_back(order, series)
            self._pause_run(reason)
        elif reason is not None:
            self._close(order, series, step, reason)

    def _again_or_done(self, order: Order, series: _Series) -> None:
        if missing_of(order.target, order.issued, order.held):
            self._put_back(order, series)
        else:
            self._cap.release(order.id)

    def _close(self, order: Order, series: _Series, step: Step, reason: Reason) -> None:
        """Ask no more for an order; and for its whole series when the answer was final for that."""
        self._failed += 1
        self._cap.release(order.id)
        self._ledger.close_order(self._options.run, order.id, reason)
        if step is Step.CLOSE_SERIES:
            self._ledger.set_series(self._options.run, series.number, SeriesState.CLOSED.value, reason)
            self._progress.say(f"series {series.number} is closed for this run: {reason.code} {reason.message}")

    async def _through(self, order: Order, *, past_gate: bool = False) -> tuple[Verdict, Order]:
        """Send an order ahead of the queues and wait for what becomes of it."""
        ticket = _Ticket(order, past_gate, asyncio.get_running_loop().create_future())
        self._tickets.append(ticket)
        self._wake_all()
        return await ticket.answered

    async def _wait_for_customer(self, order: Order, series: _Series, reason: Reason) -> None:
        """Rounds of one order while its customer is busy elsewhere (521); out of retries after six without progress."""

        async def attempt() -> Verdict:
            nonlocal order
            if not series.track.may_start():
                return Verdict(Step.GO_ON, None)  # the series has something of its own: back into its queue
            verdict, order = await self._through(order)
            return verdict

        try:
            done, verdict = await retrying.until(
                attempt,
                first=Verdict(Step.WAIT_CUSTOMER, reason),
                settled=lambda verdict: verdict.step is not Step.WAIT_CUSTOMER,
                wait_seconds=lambda attempts, _: customer_wait(attempts, self._clock.chance()),
                give_up=lambda attempts, _: attempts >= self._options.customer_rounds,
                clock=self._clock,
            )
        finally:
            self._waiting -= 1
        if done:
            self._follow(verdict, order, series)
        else:
            self._close(order, series, Step.CLOSE_ORDER, verdict.reason or reason)
        self._wake_all()

    def _park(self, series: _Series, reason: Reason) -> None:
        """The series' queue is empty: one probe at a time, the others go on."""
        if series.track.state is SeriesState.PARKED or series.track.over:
            return
        series.track.state = SeriesState.PARKED
        series.track.code = reason.code
        self._ledger.set_series(self._options.run, series.number, SeriesState.PARKED.value, reason)
        self._progress.say(f"series {series.number} waits: {reason.code} {reason.message}")
        self._waiting += 1
        self._spawn(self._probe_series(series, reason))

    async def _probe_series(self, series: _Series, reason: Reason) -> None:
        """One probe at a time until a coupon comes; only coupons show that the queue is filled again."""

        async def attempt() -> bool:
            nonlocal reason
            order = await self._next_of(series)
            if order is None:
                return True
            had = order.issued
            verdict, order = await self._through(order)
            if verdict.step is Step.PARK_SERIES:
                reason = verdict.reason or reason
                self._again_or_done(order, series)
                return False
            self._follow(verdict, order, series)
            return order.issued > had or series.track.over

        try:
            alive, _ = await retrying.until(
                attempt,
                first=False,
                settled=bool,
                wait_seconds=lambda attempts, parked: series_wait(attempts, parked, self._clock.chance()),
                give_up=lambda _, __: self._clock.now() - series.last_coupon >= self._options.queue_budget_seconds,
                clock=self._clock,
            )
        finally:
            self._waiting -= 1
        if series.track.over:
            pass  # an answer closed it meanwhile
        elif alive:
            series.track.state = SeriesState.OPEN
            series.track.code = None
            self._ledger.set_series(self._options.run, series.number, SeriesState.OPEN.value, None)
            self._progress.say(f"series {series.number} gives coupons again")
        else:
            series.track.state = SeriesState.EXHAUSTED
            self._ledger.set_series(self._options.run, series.number, SeriesState.EXHAUSTED.value, reason)
            self._progress.say(f"series {series.number} gave no coupon for its whole budget; its rest is not sent")
        self._wake_all()

    async def _next_of(self, series: _Series) -> Order | None:
        """The series' next order that may go, read ahead if need be; None when nothing of it is left."""
        while True:
            order = self._first_free(series.admitted)
            if order is None and not self._capped:
                order = self._first_free(series.buffer)
                if order is not None and not self._admit(order, series):
                    return None
            if order is not None:
                self._buffered -= 1
                return order
            if not series.admitted and (self._capped or (series.read_all and not series.buffer)):
                return None
            if not series.buffer and not series.admitted and not series.reading:
                series.reading = True
                await self._read(series)
            else:
                await self._sleep_until_woken()

    def _slow_down(self, reason: Reason) -> None:
        """429 and 503/4001: the pace slows for everything; without any progress for its budget the run stops."""
        now = self._clock.now()
        if self._throttled_since is None:
            self._throttled_since = now
            self._progress.say(f"throttled by the API ({reason.code}): slowing down")
        elif now - self._throttled_since > self._options.throttle_budget_seconds:
            self.stop(Stop(kind=StopKind.THROTTLED, message="the API kept throttling and gave nothing (429)"))

    def _pause_run(self, reason: Reason | None) -> None:
        """Nothing leaves this machine: all wait, one call at a time finds out."""
        if self._pausing or self._stop is not None:
            return
        self._pausing = True
        self._gate = 0
        self._state = "pausing"
        why = reason.message if reason is not None else "the API cannot be reached"
        self._progress.say(f"pausing: {why}")
        self._spawn(self._probe_reach(why))

    async def _probe_reach(self, why: str) -> None:
        async def attempt() -> bool:
            order, series = await self._any_order()
            if order is None or series is None:
                return True
            verdict, order = await self._through(order, past_gate=True)
            if verdict.step is Step.PAUSE_RUN:
                self._put_back(order, series)
                return False
            self._follow(verdict, order, series)
            return True

        reached, _ = await retrying.until(
            attempt,
            first=False,
            settled=bool,
            wait_seconds=lambda attempts, _: reach_wait(attempts, self._clock.chance()),
            give_up=lambda _, seconds: seconds >= self._options.reach_budget_seconds,
            clock=self._clock,
        )
        self._resume_run(reached, Stop(kind=StopKind.UNREACHABLE, message=why))

    async def _any_order(self) -> tuple[Order | None, _Series | None]:
        for series in list(self._turns):
            if series.track.over or series.track.state is SeriesState.PARKED:
                continue
            order = await self._next_of(series)
            if order is not None:
                return order, series
        return None, None

    def _resume_run(self, reached: bool, otherwise: Stop) -> None:
        self._pausing = False
        if reached:
            self._gate = None
            self._state = "issuing"
            self._doubts = 0
            self._progress.say("the API answers again: going on")
        else:
            self.stop(otherwise)
        self._wake_all()

    def _count_doubts(self, outcome: Outcome, series: _Series) -> None:
        """After several doubts in a row a read probes the API, since each probing POST would be a new doubt."""
        if outcome.state is not CallState.IN_DOUBT:
            if outcome.state is not CallState.NEVER_LEFT:
                self._doubts = 0
            return
        self._doubts += 1
        if self._doubts < self._options.doubts_in_a_row or self._pausing or self._stop is not None:
            return
        self._pausing = True
        self._gate = 0
        self._state = "pausing"
        self._progress.say(f"{self._doubts} answers in a row were lost: pausing, and reading until the API answers")
        self._spawn(self._probe_by_reading(series.number))

    async def _probe_by_reading(self, series: int) -> None:
        async def attempt() -> bool:
            exchange = await self._api.read_series([series])
            return exchange.status is not None and exchange.status < 500 and exchange.complete

        answers, _ = await retrying.until(
            attempt,
            first=False,
            settled=bool,
            wait_seconds=lambda attempts, _: reach_wait(attempts, self._clock.chance()),
            give_up=lambda _, seconds: seconds >= self._options.reach_budget_seconds,
            clock=self._clock,
        )
        message = "the API lost the answers of many calls in a row and does not answer reads either"
        self._resume_run(answers, Stop(kind=StopKind.UNREACHABLE, message=message))

    # ── waking and ending ────────────────────────────────────────────────────────────────────────────────────────────

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._watch)

    def _watch(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
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

    async def _cancel_idle_when_stopped(self, workers: list[asyncio.Task[None]]) -> None:
        await self._stopped.wait()
        for worker in workers:
            if worker not in self._sending:
                worker.cancel()

    async def _beat_regularly(self) -> None:
        while True:
            self._progress.beat(self.snapshot())
            await self._clock.sleep(0.5)
