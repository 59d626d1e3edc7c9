"""What is wasted on calls that cannot succeed, beside a control: a plain loop with a tenacity retry on each row.

    python -m benchmarks.waste [--orders 1000] [--concurrency 32] [--rows 1000000]

Ten series with `--orders` orders each, one of them bad: calls that named it, with `--ignore-preflight` and without.
Then wrong credentials with a list of `--rows` rows: seconds until the command ends, and calls. Everything runs on this
machine against the sandbox.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import aiohttp
import tenacity

from runner.sandbox import read_truth

SERIES = range(1, 11)
BAD = 7
CODES = {707: "external = true", 713: "valid_till = 2020-01-01"}
ISSUE_PATH = "/v2/coupon/issue/multiple"
_JSON = {"Content-Type": "application/json", "Accept": "application/json", "Authorization": "Basic YmVuY2g6YmVuY2g="}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.waste", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="coupon-runner-waste-") as folder:
        print(f"{len(SERIES)} series, {options.orders:,} orders each, one bad; concurrency {options.concurrency}")
        print(f"{'code':>4} {'calls of a plain loop':>22} {'with --ignore-preflight':>24} {'with the preflight':>19}")
        for code in CODES:
            place = Path(folder) / str(code)
            place.mkdir()
            control, ignoring, checking = _bad_series(place, code, options.orders, options.concurrency)
            print(f"{code:>4} {control:>22,} {ignoring:>24,} {checking:>19,}", flush=True)
        _wrong_credentials(Path(folder), options.rows, options.concurrency)


def _bad_series(folder: Path, code: int, orders: int, concurrency: int) -> tuple[int, int, int]:
    """Calls that named the bad series: by the plain loop, by us when told to send it, by us."""
    config = f"[[series]]\nid = {BAD}\n{CODES[code]}\n"
    rows = [(919_000_000_000 + len(SERIES) * n + one, one) for n in range(orders) for one in SERIES]
    file = folder / "list.csv"
    file.write_text("mobile,series_id\n" + "".join(f"{mobile},{one}\n" for mobile, one in rows), encoding="utf-8")
    counts = []
    for name in ("control", "ignoring", "checking"):
        with _sandbox(folder / name, config) as (url, truth):
            if name == "control":
                asyncio.run(_plain_loop(url, rows, concurrency))
            else:
                flags = ["--ignore-preflight"] if name == "ignoring" else []
                words = ["--max-coupons", str(len(rows)), "--concurrency", str(concurrency), "--max-errors", "100%"]
                _run(
                    folder / name, url, "run", file, "--campaign", "waste", "--yes", "--reports", "csv", *words, *flags
                )
            posts = read_truth(truth)["posts"]
            counts.append(sum(post["series"] == BAD for post in posts))
            issued = read_truth(truth, summary=True)["totals"]["coupons"]
            if issued != len(rows) - orders:
                raise SystemExit(f"{name}: {issued:,} coupons issued, not {len(rows) - orders:,}")
    return counts[0], counts[1], counts[2]


def _wrong_credentials(folder: Path, rows: int, concurrency: int) -> None:
    file = folder / "long.csv"
    with file.open("w", encoding="utf-8") as stream:
        stream.write("mobile,series_id\n")
        stream.writelines(f"{919_000_000_000 + number},1\n" for number in range(rows))
    with _refusing() as (url, counts):
        (folder / "wrong").mkdir()
        words = ["--yes", "--max-coupons", str(rows)]
        said, seconds = _run(folder / "wrong", url, "run", file, "--campaign", "wrong", *words, expect=6)
        gets, posts = counts["GET"], counts["POST"]
        asyncio.run(_plain_loop(url, [(919_000_000_000 + number, 1) for number in range(1000)], concurrency))
    print(f"wrong credentials, {rows:,} rows: exit 6 after {seconds:.1f} s, {gets} GET, {posts} POST")
    print(f"(the plain loop: {counts['POST'] - posts:,} POSTs for its first 1,000 rows)")
    print(said.strip().splitlines()[-1])


@contextmanager
def _refusing() -> Iterator[tuple[str, Counter[str]]]:
    """An API that knows nobody's credentials: its address, and what was asked of it."""
    counts: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._refuse()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._refuse()

        def _refuse(self) -> None:
            counts[self.command] += 1
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", counts
    finally:
        server.shutdown()
        server.server_close()


async def _plain_loop(url: str, rows: list[tuple[int, int]], concurrency: int) -> None:
    """Post every row, and again up to three times while it fails: what one writes first."""
    left = iter(rows)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:

        @tenacity.retry(
            stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_none(), retry_error_callback=lambda _: None
        )
        async def post(mobile: int, series: int) -> None:
            body = {"seriesId": series, "count": 1, "customer": {"mobile": str(mobile)}}
            async with session.post(url + ISSUE_PATH, data=json.dumps(body), headers=_JSON) as response:
                response.raise_for_status()
                if (await response.json())["errors"]:
                    raise RuntimeError("refused")

        async def work() -> None:
            for mobile, series in left:
                await post(mobile, series)

        await asyncio.gather(*(work() for _ in range(concurrency)))


@contextmanager
def _sandbox(folder: Path, config: str) -> Iterator[tuple[str, Path]]:
    """A sandbox as a process of its own: its address and its truth."""
    folder.mkdir()
    (folder / "sandbox.toml").write_text(config, encoding="utf-8")
    truth = folder / "truth.db"
    command = ["-m", "runner.sandbox", "--truth", str(truth), "--config", str(folder / "sandbox.toml"), "--port", "0"]
    server = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip(), truth
    finally:
        server.terminate()
        server.wait()


def _run(folder: Path, url: str, *words: object, expect: int | None = None) -> tuple[str, float]:
    """A command of ours, after `init`; what it said, and how many seconds it took."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("COUPON_RUNNER_")},
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "COUPON_RUNNER_API_USER": "bench",
        "COUPON_RUNNER_API_PASSWORD": "bench",
    }
    base = [sys.executable, "-m", "runner"]
    out = ["--out", str(folder / "out")]
    init = [*base, "init", "--org", "bench", "--api-url", url, *out]
    subprocess.run(init, env=environment, check=True, capture_output=True)
    began = time.perf_counter()
    done = subprocess.run([*base, *map(str, words), *out], env=environment, capture_output=True, text=True, check=False)
    if expect is not None and done.returncode != expect:
        raise SystemExit(f"exit {done.returncode} instead of {expect}: {done.stderr}")
    return done.stderr, time.perf_counter() - began


if __name__ == "__main__":
    main()
