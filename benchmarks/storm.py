# ruff: noqa: ARG002 - a port has the arguments that it has
"""`python -m benchmarks.storm`: one of ten series runs dry for a minute, and what that costs it and the nine others.

    others     seconds until the nine others are issued, with and without the storm (median of the pairs)
    refused    calls that met the empty queue, and how many were under way when the first answer said so
    resumed    seconds from the queue's return to the first coupon of the dry series

Beside it a control, a plain loop with a tenacity retry on each row, against the same API. Without --virtual the whole
command runs against a local server (about 90 s a pair); with it the engine runs on the virtual clock of the tests.
Options: --pairs N --orders N --virtual.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import aiohttp
import orjson
import tenacity

from benchmarks.server import Endpoint
from runner.core.codes import CodeTable
from runner.core.keys import call_key
from runner.core.model import CallStart, Exchange, FallBack, Kind, Order, Reason, Settlement
from runner.engine import Engine, EngineOptions
from runner.pace import Pace
from runner.ports import Beat, Clock

ORDERS = 10_000
SERIES = range(415_440, 415_450)
DRY = SERIES[6]
LATENCY_SECONDS = 0.02
CONCURRENCY = 32
DRY_FROM_SECONDS = 1.0
DRY_SECONDS = 60.0


@dataclass
class Weather:
    """The queue of the dry series, and everything that came. Moments on one clock; `storm`: whether it dries at all."""

    storm: bool
    orders: int = ORDERS
    began: float | None = None
    arrived: list[tuple[int, float]] = field(default_factory=list)
    issued: list[tuple[int, float]] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    under_way: dict[int, int] = field(default_factory=dict)
    under_way_when_dry: int | None = None

    def arrive(self, series: int, now: float) -> None:
        """A call came."""
        self.began = now if self.began is None else self.began
        self.arrived.append((series, now))
        self.under_way[series] = self.under_way.get(series, 0) + 1

    def answer(self, series: int, now: float) -> bool:
        """It is carried out: whether there is a coupon."""
        if series == DRY and self._is_over(now) and now < self._returns:
            self.refused.append(now)
            return False
        self.issued.append((series, now))
        return True

    def delivered(self, series: int) -> None:
        """Its answer is out: the first that tells of the empty queue is what one can know of it."""
        if series == DRY and self.refused and self.under_way_when_dry is None:
            self.under_way_when_dry = self.under_way[series]
        self.under_way[series] -= 1

    def _is_over(self, now: float) -> bool:
        return self.storm and self.began is not None and now >= self.began + DRY_FROM_SECONDS

    @property
    def _returns(self) -> float:
        return (self.began or 0.0) + DRY_FROM_SECONDS + DRY_SECONDS

    def figures(self) -> Figures:
        """What happened, once all is issued."""
        if len(self.issued) != self.orders:
            raise SystemExit(f"not what was to be measured: {len(self.issued):,} of {self.orders:,} issued")
        began = self.began or 0.0
        later = [at for series, at in self.issued if series == DRY and at >= self._returns]
        return Figures(
            calls=len(self.arrived),
            others=max(at for series, at in self.issued if series != DRY) - began,
            refused=len(self.refused),
            under_way=self.under_way_when_dry or 0,
            resumed=min(later) - self._returns if self.storm and later else 0.0,
        )


@dataclass(frozen=True)
class Figures:
    """One run: calls, seconds of the nine others, refused, under way at the first refusal, seconds to resume."""

    calls: int
    others: float
    refused: int
    under_way: int
    resumed: float


def _series_of(number: int) -> int:
    return SERIES[number % len(SERIES)]


# ── on the virtual clock ─────────────────────────────────────────────────────────────────────────────────────────────


class LeanLedger:
    """`ports.Ledger` in memory, for as many orders as a storm needs; it refuses what no order misses."""

    nonce = "aaaaaa"

    def __init__(self, orders: int) -> None:
        self._orders = {
            number: Order(number, f"{number:024x}", _series_of(number), number, Kind.MOBILE, f"{number}", 1, 0, 0, 0)
            for number in range(1, orders + 1)
        }
        self._by_series = {one: [i for i in self._orders if _series_of(i) == one] for one in SERIES}

    async def open_series(self, run: int) -> Mapping[int, int]:
        """All of them."""
        return {series: len(orders) for series, orders in self._by_series.items() if orders}

    async def open_orders(self, run: int, series: int, after: int, limit: int) -> Sequence[Order]:
        """The next ones that miss something."""
        orders = self._by_series[series]
        first = bisect_right(orders, after)
        found: list[Order] = []
        while first < len(orders) and len(found) < limit:
            order = self._orders[orders[first]]
            found += [order] if order.target > order.issued + order.held else []
            first += 1
        return found

    async def order(self, order_id: int) -> Order:
        """As it stands."""
        return self._orders[order_id]

    async def begin(self, start: CallStart) -> bool:
        """Hold it."""
        order = self._orders[start.order_id]
        if order.target - order.issued - order.held < start.quantity or start.number <= order.calls:
            return False
        self._orders[start.order_id] = order._replace(held=start.quantity, calls=start.number)
        return True

    def settle(self, settlement: Settlement) -> None:
        """Let it go."""
        order, outcome = self._orders[settlement.order_id], settlement.outcome
        issued = order.issued + len(outcome.coupons)
        self._orders[settlement.order_id] = order._replace(issued=issued, held=outcome.held)

    async def fall_back(self, item: FallBack) -> Order:
        """Each of its customers has one identifier: the order stays as it is."""
        return await self.order(item.order_id)

    def close_order(self, run: int, order_id: int, reason: Reason) -> None:
        """None is to be closed here."""
        raise AssertionError(f"closed: {reason}")

    def set_series(self, run: int, series: int, state: str, reason: Reason | None) -> None:
        """Not kept."""

    async def flush(self) -> None:
        """Nothing is queued."""


class VirtualApi:
    """`ports.CouponApi` under a weather."""

    def __init__(self, clock: Clock, weather: Weather) -> None:
        self._clock = clock
        self._weather = weather

    async def issue(self, *, call_key: str, series: int, count: int, kind: str, value: str) -> Exchange:
        """Carried out half way."""
        self._weather.arrive(series, self._clock.now())
        await self._clock.sleep(LATENCY_SECONDS / 2)
        issued = self._weather.answer(series, self._clock.now())
        await self._clock.sleep(LATENCY_SECONDS / 2)
        self._weather.delivered(series)
        body = _EMPTY
        if issued:
            number = len(self._weather.issued)
            body = orjson.dumps({"coupons": [{"code": f"C{number}", "couponId": number}], "errors": [], "warnings": []})
        headers = {"content-type": "application/json"}
        return Exchange(left=True, status=200, headers=headers, body=body, complete=True, seconds=LATENCY_SECONDS)

    async def read_series(self, series: Sequence[int]) -> Exchange:
        """Not asked for here."""
        raise AssertionError("a read")

    async def refresh_credentials(self, *, seen: str | None) -> bool:
        """There is no token."""
        return False

    def credentials_version(self) -> str | None:
        """There is no token."""
        return None


_EMPTY = orjson.dumps({"errors": [{"status": False, "code": 5005, "message": "Coupon queue is empty"}]})


class _Silent:
    def beat(self, beat: Beat) -> None:
        """Nobody watches."""

    def say(self, message: str) -> None:
        """Nobody listens."""


async def virtual_run(clock: Clock, *, storm: bool, orders: int = ORDERS) -> Figures:
    """The engine through a storm, or without one."""
    weather, ledger = Weather(storm, orders), LeanLedger(orders)
    engine = Engine(
        ledger=ledger,
        api=VirtualApi(clock, weather),
        clock=clock,
        progress=_Silent(),
        pace=Pace(None, clock),
        codes=CodeTable.default(),
        names_of=lambda _: (),
        options=EngineOptions(run=1, nonce=ledger.nonce, concurrency=CONCURRENCY, target=orders),
    )
    if (stop := await engine.run()) is not None:
        raise SystemExit(f"the run stopped: {stop.message}")
    return weather.figures()


async def virtual_control(clock: Clock, *, storm: bool, orders: int = ORDERS) -> Figures:
    """The plain loop through the same."""
    weather = Weather(storm, orders)
    api = VirtualApi(clock, weather)

    async def post(number: int, attempt: int) -> bool:
        key = call_key(f"{number:024x}", attempt, "aaaaaa")
        exchange = await api.issue(call_key=key, series=_series_of(number), count=1, kind="mobile", value=str(number))
        return exchange.body != _EMPTY

    await plain_loop(orders, post, clock.sleep)
    return weather.figures()


async def plain_loop(
    orders: int, post: Callable[[int, int], Awaitable[bool]], sleep: Callable[[float], Awaitable[None]]
) -> None:
    """What one writes first: a worker takes the next row and tries it once a second until it is issued."""
    rows = iter(range(1, orders + 1))

    async def work() -> None:
        for row in rows:
            retrying = tenacity.AsyncRetrying(
                wait=tenacity.wait_fixed(1), sleep=sleep, retry=tenacity.retry_if_result(bool)
            )
            await retrying(_refused, post, row, retrying.statistics)

    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))


async def _refused(post: Callable[[int, int], Awaitable[bool]], row: int, tries: dict[str, Any]) -> bool:
    return not await post(row, int(tries.get("attempt_number", 1)))


# ── over sockets ─────────────────────────────────────────────────────────────────────────────────────────────────────

_ASKED = re.compile(rb'"seriesId":(\d+)')
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


class StormyEndpoint(Endpoint):
    """The benchmarks' server, slower, and with one series that runs dry."""

    weather: Weather

    def _answer(self, body: bytes) -> None:
        found = _ASKED.search(body)
        if found is None:  # a read, which this server does not know
            super()._answer(body)
            return
        loop, series = asyncio.get_running_loop(), int(found[1])
        self.weather.arrive(series, loop.time())
        loop.call_later(LATENCY_SECONDS, self._finish, series, body)

    def _finish(self, series: int, body: bytes) -> None:
        assert self._transport is not None
        if self.weather.answer(series, asyncio.get_running_loop().time()):
            super()._answer(body)
        else:
            self._transport.write(_HEAD % (len(_EMPTY), _EMPTY))
        self.weather.delivered(series)


async def serve(weather: Weather) -> None:
    """Print the base URL, serve until SIGTERM, print the figures."""
    StormyEndpoint.weather = weather
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    server = await loop.create_server(StormyEndpoint, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await over.wait()
    print(json.dumps(weather.figures().__dict__), flush=True)


def real(work: Callable[[str, int], None], *, storm: bool, orders: int) -> Figures:
    """Serve a weather in a process of its own while `work` issues."""
    words = [sys.executable, "-m", "benchmarks.storm", "--serve", "storm" if storm else "calm", "--orders", str(orders)]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        work(server.stdout.readline().strip(), orders)
        server.terminate()
        return Figures(**json.loads(server.stdout.readline()))
    finally:
        server.kill()
        server.wait()


def command(url: str, orders: int) -> None:
    """The whole command."""
    folder = Path(tempfile.mkdtemp(prefix="coupon-runner-storm-"))
    source = folder / "customers.csv"
    with source.open("w", encoding="utf-8") as stream:
        stream.write("mobile,series_id\n")
        stream.writelines(f"{919_000_000_000 + number},{_series_of(number)}\n" for number in range(1, orders + 1))
    own = {name: value for name, value in os.environ.items() if not name.startswith("COUPON_RUNNER_")}
    own |= {"XDG_STATE_HOME": str(folder / "state"), "XDG_CONFIG_HOME": str(folder / "config")}
    own |= {"COUPON_RUNNER_API_USER": "bench", "COUPON_RUNNER_API_PASSWORD": "bench"}
    base, out = [sys.executable, "-m", "runner"], ["--out", str(folder / "out")]
    words = ["run", str(source), "--campaign", "storm", "--yes", "--max-coupons", str(orders), "--reports", "csv", *out]
    words += ["--concurrency", str(CONCURRENCY), "--progress", "none", "--quiet"]
    try:
        subprocess.run([*base, "init", "--org", "b", "--api-url", url, *out], env=own, check=True, capture_output=True)
        done = subprocess.run([*base, *words], env=own, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"the run failed: {done.stderr}")
    finally:
        shutil.rmtree(folder)


def control(url: str, orders: int) -> None:
    """The plain loop over aiohttp."""
    asyncio.run(_control(url, orders))


async def _control(url: str, orders: int) -> None:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY)) as session:

        async def post(number: int, attempt: int) -> bool:
            del attempt
            body = {"seriesId": _series_of(number), "count": 1, "customer": {"mobile": str(919_000_000_000 + number)}}
            target = f"{url}/v2/coupon/issue/multiple"
            async with session.post(target, data=orjson.dumps(body), headers=headers) as response:
                return await response.read() != _EMPTY

        await plain_loop(orders, post, asyncio.sleep)


# ── the figures ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Runs(Protocol):
    """How a storm is run: by which program, with or without the storm."""

    def __call__(self, who: str, *, storm: bool) -> Figures: ...


def measure(run: Runs, pairs: int) -> Iterator[str]:
    """Lines of figures."""
    yield f"{'pair':>4} {'calm s':>7} {'storm s':>8} {'ratio':>6} {'refused':>8} {'under way':>10} {'resumed s':>10}"
    ratios, found = [], []
    for pair in range(1, pairs + 1):
        calm, storm = run("runner", storm=False), run("runner", storm=True)
        ratios.append(storm.others / calm.others)
        found.append(storm)
        yield (
            f"{pair:>4} {calm.others:>7.2f} {storm.others:>8.2f} {ratios[-1]:>6.3f} {storm.refused:>8}"
            f" {storm.under_way:>10} {storm.resumed:>10.2f}"
        )
    worst = max(one.refused - one.under_way for one in found)
    yield f"the nine others: {statistics.median(ratios):.3f} x their time without the storm (median; at most 1.10)"
    yield f"calls that met the empty queue, beyond those under way: at most {worst} (at most 14)"
    resumed = max(one.resumed for one in found)
    yield f"seconds from the queue's return to its first coupon: at most {resumed:.2f} (below 8)"
    calm, storm = run("control", storm=False), run("control", storm=True)
    yield (
        f"control, a plain loop with a tenacity retry on each row: the nine others {storm.others / calm.others:.1f} x"
        f" their time, {storm.refused:,} calls met the empty queue, resumed after {storm.resumed:.2f} s"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.storm", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--orders", type=int, default=ORDERS)
    parser.add_argument("--virtual", action="store_true")
    parser.add_argument("--serve", choices=("storm", "calm"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(Weather(options.serve == "storm", options.orders)))
        return
    began = time.monotonic()

    def over_sockets(who: str, *, storm: bool) -> Figures:
        return real(command if who == "runner" else control, storm=storm, orders=options.orders)

    seeds = itertools.count()

    def virtually(who: str, *, storm: bool) -> Figures:
        from tests.fakes.virtual_clock import run_virtually

        one = virtual_run if who == "runner" else virtual_control
        return run_virtually(
            lambda clock: one(cast(Clock, clock), storm=storm, orders=options.orders), seed=next(seeds)
        )

    how = "on the virtual clock" if options.virtual else "the whole command over sockets"
    print(f"{options.orders:,} orders over {len(SERIES)} series, latency {LATENCY_SECONDS * 1000:g} ms, concurrency")
    print(f"{CONCURRENCY}, one series dry for {DRY_SECONDS:g} s after {DRY_FROM_SECONDS:g} s; {how}")
    for line in measure(virtually if options.virtual else over_sockets, options.pairs):
        print(line, flush=True)
    print(f"took {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
