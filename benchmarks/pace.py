"""How close to a key's limit the runner stays, and that it never exceeds it, over real sockets and in real time.

    python -m benchmarks.pace [--rate 60/6s] [--seconds 60] [--latency 0.05] [--beside 4]

The sandbox enforces the limit, with a sliding window and with fixed ones; it also says when each call came. Runs: one
process; two processes with two campaigns on one key; one that is killed in the middle and resumed (the gap is left
out). Beside each the control: a plain loop, a tenacity retry on each row, which knows no pace.

Of the eight runs four go side by side, each with a sandbox, a key and a ledger of its own, begun one after another: at
such a limit they hardly need the processor, and what they disturb each other only makes it harder. The command takes
2 x (--seconds + 30 s); with --beside 1, for limits of hundreds of calls a second or a busy machine, 8 x.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import aiohttp
from tenacity import AsyncRetrying, retry_if_result, wait_exponential_jitter

from runner.adapters.credentials import BasicCredentials
from runner.core.pacing import Rate, parse_rate
from runner.sandbox import read_truth

USER, PASSWORD = "bench", "bench"
ISSUE_PATH = "/v2/coupon/issue/multiple"
LEAST_USED = 0.95
LATE_SECONDS = 0.2
START_SECONDS = 3.0
"""Between the starts of runs that go side by side: each needs the processor only then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the server saw: calls let through, 429s, calls in the fullest window, the share of the limit used."""

    calls: int
    refused: int
    fullest: int
    used: float


def fullest_window(times: Sequence[float], seconds: float) -> int:
    """The most moments in any window of that length, its end left out."""
    ordered = sorted(times)
    return max((bisect.bisect_left(ordered, start + seconds) - at for at, start in enumerate(ordered)), default=0)


def share_used(times: Sequence[float], rate: Rate, stretches: Sequence[tuple[float, float]]) -> float:
    """Calls as a share of what the limit allows in these stretches of time."""
    inside = sum(any(begin <= one <= end for begin, end in stretches) for one in times)
    allowed = sum(end - begin for begin, end in stretches) * rate.calls / rate.window_seconds
    return (inside - len(stretches)) / allowed if allowed else 0.0


def posts_of(truth: Path) -> list[tuple[float, int]]:
    """When each call came, in seconds since 1970, and the status of its answer."""
    posts = read_truth(truth)["posts"]
    return sorted((datetime.fromisoformat(post["at"]).timestamp(), post["status"]) for post in posts)


def measure(truth: Path, rate: Rate, gaps: Sequence[tuple[float, float]] = ()) -> Measured:
    """What the truth of a sandbox says of all calls. `gaps`: from kill to resume, in seconds since 1970."""
    posts = posts_of(truth)
    came = [at for at, status in posts if status == 200]
    refused = sum(status == 429 for _, status in posts)
    if not came:
        return Measured(calls=0, refused=refused, fullest=0, used=0.0)
    stretches, begin = [], came[0]
    for gone, back in gaps:
        before = max((one for one in came if one <= gone), default=begin)
        stretches.append((begin, before))
        begin = min(one for one in came if one >= back)
    stretches.append((begin, came[-1]))
    return Measured(
        calls=len(came),
        refused=refused,
        fullest=fullest_window([at for at, _ in posts], rate.window_seconds),
        used=share_used(came, rate, stretches),
    )


class Bench:
    """One sandbox that enforces a limit, and a user with a ledger beside it."""

    def __init__(self, folder: Path, rate: Rate, *, kind: str, latency: float) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.truth = folder / "truth.db"
        config = folder / "sandbox.toml"
        config.write_text(
            f"latency_seconds = {latency}\n[limits]\nlimit = {rate.calls}\nwindow_seconds = {rate.window_seconds}\n"
            f'kind = "{kind}"\n',
            encoding="utf-8",
        )
        words = ["--truth", str(self.truth), "--port", "0", "--config", str(config)]
        self.server = subprocess.Popen(
            [sys.executable, "-m", "runner.sandbox", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.server.stdout is not None
        self.url = next(word for word in self.server.stdout.readline().split() if word.startswith("http://"))
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("COUPON_RUNNER_")},
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "COUPON_RUNNER_API_USER": USER,
            "COUPON_RUNNER_API_PASSWORD": PASSWORD,
        }
        self._command("init", "--org", "bench", "--api-url", self.url).wait()

    def start(self, campaign: str, orders: int, rate: str, *, concurrency: int = 32) -> subprocess.Popen[bytes]:
        """Start a run of so many orders."""
        source = self.folder / f"{campaign}.csv"
        first = 91_900_000_000 + 1_000_000 * len(list(self.folder.glob("*.csv")))
        rows = [f"{first + number}7,415446,1" for number in range(orders)]
        source.write_text("\n".join(["mobile,series_id,count", *rows]) + "\n", encoding="utf-8")
        words = ["--campaign", campaign, "--rate", rate, "--concurrency", str(concurrency), "--yes", "--reports", "csv"]
        words += ["--max-coupons", str(orders), "--progress", "none", "--overlap", "allow"]
        return self._command("run", str(source), *words)

    def resume(self) -> subprocess.Popen[bytes]:
        """Go on with the unfinished run."""
        return self._command("resume", "--yes", "--progress", "none")

    def posts(self) -> int:
        """Calls so far."""
        return int(read_truth(self.truth, summary=True)["totals"]["posts"]) if self.truth.exists() else 0

    def until_posts(self, count: int) -> None:
        """Wait until so many calls have come."""
        while self.posts() < count:
            time.sleep(0.1)

    def close(self) -> None:
        """End the server."""
        self.server.kill()
        self.server.wait()
        assert self.server.stdout is not None
        self.server.stdout.close()

    def _command(self, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "runner", *words]
        if words[0] in ("init", "run"):
            command += ["--out", str(self.folder / "out")]
        output = self.folder / "output.txt"
        with output.open("ab") as stream:
            return subprocess.Popen(command, env=self.environment, stdout=stream, stderr=stream)


def ended(process: subprocess.Popen[bytes], bench: Bench) -> None:
    """Wait for a run that must end well."""
    if (code := process.wait()) != 0:
        raise SystemExit(f"a run ended with exit code {code}:\n{(bench.folder / 'output.txt').read_text()[-2000:]}")


def alone(bench: Bench, orders: int, rate: str) -> Sequence[tuple[float, float]]:
    """One process."""
    ended(bench.start("one", orders, rate), bench)
    return ()


def two(bench: Bench, orders: int, rate: str) -> Sequence[tuple[float, float]]:
    """Two processes, two campaigns, one key."""
    first, second = bench.start("one", orders // 2, rate), bench.start("two", orders - orders // 2, rate)
    ended(first, bench)
    ended(second, bench)
    return ()


def killed(bench: Bench, orders: int, rate: str) -> Sequence[tuple[float, float]]:
    """Killed in the middle, and resumed."""
    process = bench.start("one", orders, rate)
    bench.until_posts(orders // 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    gone = time.time() + LATE_SECONDS  # what the kill caught under way may still arrive
    process = bench.resume()
    process.wait()  # the call that the kill caught may stay in doubt: exit 5
    back = min((at for at, _ in posts_of(bench.truth) if at > gone), default=None)
    if back is None:
        raise SystemExit(f"nothing came after the kill:\n{(bench.folder / 'output.txt').read_text()[-2000:]}")
    return [(gone, back)]


async def plain_loop(url: str, orders: int, concurrency: int) -> None:
    """The control: as fast as it goes, and each row again until it has its coupon."""
    numbers = iter(range(orders))
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Authorization": BasicCredentials(USER, PASSWORD).authorization(),
    }
    async with aiohttp.ClientSession(headers=headers) as session:

        async def post(number: int) -> int:
            customer = {"mobile": str(919_000_000_000 + number)}
            body = {"seriesId": 415446, "count": 1, "customer": customer}
            async with session.post(url + ISSUE_PATH, json=body) as response:
                await response.read()
                return response.status

        async def work() -> None:
            for number in numbers:
                again = AsyncRetrying(
                    retry=retry_if_result(lambda status: status == 429), wait=wait_exponential_jitter(max=2.0)
                )
                await again(post, number)

        await asyncio.gather(*(work() for _ in range(concurrency)))


def control(bench: Bench, orders: int, rate: str) -> Sequence[tuple[float, float]]:
    """The plain loop."""
    del rate
    asyncio.run(plain_loop(bench.url, orders, 32))
    return ()


CONTROL = "plain loop"
SCENES: dict[str, Callable[[Bench, int, str], Sequence[tuple[float, float]]]] = {
    "one process": alone,
    "two processes": two,
    "killed, resumed": killed,
    CONTROL: control,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pace", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rate", default="60/6s")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each run takes at the limit")
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--beside", type=int, default=4, help="how many runs go side by side")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rate = parse_rate(options.rate)
    assert rate is not None
    orders = int(options.seconds * rate.calls / rate.window_seconds)
    folder = Path(tempfile.mkdtemp(prefix="coupon-runner-pace-"))

    def run(number: int, kind: str, name: str) -> Measured:
        if number < options.beside:
            time.sleep(START_SECONDS * number)
        bench = Bench(folder / f"{kind} {name}", rate, kind=kind, latency=options.latency)
        try:
            gaps = SCENES[name](bench, orders, options.rate)
        finally:
            bench.close()
        return measure(bench.truth, rate, gaps)

    if not options.json:
        how = f"{options.beside} runs side by side"
        print(f"{orders:,} orders a run at {options.rate}, answers after {options.latency * 1000:.0f} ms, {how}")
        print(
            f"{'server':<8} {'run':<16} {'calls':>6} {'429s':>6} {'fullest window':>15} {'of the limit':>13}",
            flush=True,
        )
    pairs = itertools.product(("sliding", "fixed"), SCENES)
    runs = [(number, kind, name) for number, (kind, name) in enumerate(pairs)]
    ours, controls = list[Measured](), list[Measured]()
    with ThreadPoolExecutor(max_workers=options.beside) as threads:
        try:
            for (_, kind, name), found in zip(runs, threads.map(run, *zip(*runs, strict=True)), strict=True):
                _show(kind, name, found, as_json=options.json)
                (controls if name == CONTROL else ours).append(found)
        finally:
            threads.shutdown(cancel_futures=True)
            shutil.rmtree(folder)
    if not options.json:
        print("\n".join(conclusion(ours, controls, rate)))


def conclusion(ours: Sequence[Measured], controls: Iterable[Measured], rate: Rate) -> Sequence[str]:
    """The figures that count, each with what it is to be."""
    over = sum(one.fullest > rate.calls for one in ours)
    lines = [
        f"of the limit used: at least {min(one.used for one in ours):.1%} (at least {LEAST_USED:.0%})",
        f"runs with a window above {rate.calls}: {over} of {len(ours)} (0)",
        f"429s: {sum(one.refused for one in ours):,} (0)",
    ]
    return [
        *lines,
        *(f"control, a plain loop: {one.refused:,} 429s, fullest window {one.fullest:,}" for one in controls),
    ]


def _show(kind: str, name: str, found: Measured, *, as_json: bool) -> None:
    if as_json:
        told = {"server": kind, "run": name, "calls": found.calls, "refused": found.refused, "used": found.used}
        print(json.dumps({**told, "fullest": found.fullest}), flush=True)
        return
    print(
        f"{kind:<8} {name:<16} {found.calls:>6,} {found.refused:>6,} {found.fullest:>15,} {found.used:>13.1%}",
        flush=True,
    )


if __name__ == "__main__":
    main()
