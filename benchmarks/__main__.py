"""`make bench`: what safety costs, and what the key's quota is spent on; each beside its control, in the same run.

    speed     orders/s from the first begin to the last settle, and of the whole command from file to CSV
              reports, as ratios to a bare loop's calls/s; medians of interleaved pairs      5 min
    memory    peak resident size of the command at 10,000 and at 300,000 orders              2 min
    planning  seconds and peak of `plan`, to a bare read of the same CSV file or workbook    7 min
    pace      how much of a key's limit is used, and that it is never exceeded               3 min
    storm     one of ten series runs dry for a minute, and what that costs the nine others  11 min
    waste     calls for a bad series and with wrong credentials                              2 min

Times are for an idle machine with two cores; all of it takes half an hour. `--only pace storm` measures just these; the
last three have options of their own: python -m benchmarks.pace --help, and so on.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import planning

ALONE = {"pace": ["--seconds", "60"], "storm": ["--pairs", "5"], "waste": []}
"""Parts that are commands of their own, and how long they measure here."""

PARTS = ("speed", "memory", "planning", *ALONE)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument("--orders", type=int, default=100_000, help="of the part speed")
    parser.add_argument("--pairs", type=int, default=5, help="of the parts speed and planning")
    parser.add_argument("--concurrency", type=int, default=256, help="of the parts speed and memory")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="coupon-runner-bench-"))

    def measure(part: str) -> None:
        if part in ALONE:
            subprocess.run([sys.executable, "-m", f"benchmarks.{part}", *ALONE[part]], check=True)
        elif part == "planning":
            planning.measure(folder, options.pairs)
        elif part == "memory":
            _served(lambda url: _memory(folder, url, options.concurrency))
        else:
            _served(lambda url: _compare(folder, url, options.orders, options.pairs, options.concurrency))

    try:
        for part in PARTS:
            if part in options.only:
                print(f"── {part} ──", flush=True)
                began = time.monotonic()
                measure(part)
                print(f"({part} took {time.monotonic() - began:.0f} s)\n", flush=True)
    finally:
        shutil.rmtree(folder)


def _served(work: Callable[[str], None]) -> None:
    """Do something with the address of a fast server that runs meanwhile."""
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.server"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        work(server.stdout.readline().strip())
    finally:
        server.kill()
        server.wait()


def _compare(folder: Path, url: str, orders: int, pairs: int, concurrency: int) -> None:
    print(f"{orders:,} orders, concurrency {concurrency}, {pairs} interleaved pairs (bare loop, then coupon-runner)")
    print(
        f"{'pair':>4} {'bare calls/s':>13} {'orders/s':>9} {'ratio':>6} {'whole run/s':>12} {'ratio':>6} "
        f"{'wall s':>7} {'peak MB':>8}"
    )
    ratios, whole_ratios = [], []
    for pair in range(1, pairs + 1):
        bare = _bare(url, orders, concurrency)
        rate, wall, peak = _run(folder / f"pair-{pair}", url, orders, concurrency)
        ratios.append(rate / bare)
        whole_ratios.append(orders / wall / bare)
        print(
            f"{pair:>4} {bare:>13,.0f} {rate:>9,.0f} {ratios[-1]:>6.2f} {orders / wall:>12,.0f} "
            f"{whole_ratios[-1]:>6.2f}"
            f" {wall:>7.1f} {peak:>8.0f}",
            flush=True,
        )
    print(
        f"median ratio, first begin to last settle: {statistics.median(ratios):.2f} (at least 0.50; the goal is 0.90)"
    )
    print(f"median ratio, whole run from file to CSV reports: {statistics.median(whole_ratios):.2f} (at least 0.35)")


def _memory(folder: Path, url: str, concurrency: int) -> None:
    peaks = {}
    for orders in (10_000, 300_000):
        _, _, peaks[orders] = _run(folder / f"memory-{orders}", url, orders, concurrency)
        print(f"peak memory at {orders:,} orders: {peaks[orders]:.0f} MB", flush=True)
    print(f"ratio: {peaks[300_000] / peaks[10_000]:.2f} (at most 1.20, and below 400 MB)")


def _bare(url: str, calls: int, concurrency: int) -> float:
    command = [sys.executable, "-m", "benchmarks.bare", url, str(calls), str(concurrency)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _run(folder: Path, url: str, orders: int, concurrency: int) -> tuple[float, float, float]:
    """One whole run in a process of its own: orders/s from first begin to last settle, wall seconds, peak MB."""
    folder.mkdir()
    source = folder / "customers.csv"
    with source.open("w", encoding="utf-8") as stream:
        stream.write("mobile,series_id,count,name\n")
        stream.writelines(f"{91_900_000_000 + number}7,415446,1,Customer {number}\n" for number in range(orders))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("COUPON_RUNNER_")},
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "COUPON_RUNNER_API_USER": "bench",
        "COUPON_RUNNER_API_PASSWORD": "bench",
    }
    base = [sys.executable, "-m", "runner"]
    out = ["--out", str(folder / "out")]
    subprocess.run(
        [*base, "init", "--org", "bench", "--api-url", url, *out], env=environment, check=True, capture_output=True
    )
    command = [
        *base,
        "run",
        str(source),
        "--campaign",
        "bench",
        "--yes",
        "--reports",
        "csv",
        "--max-coupons",
        str(orders),
        "--progress",
        "none",
    ]
    command += ["--concurrency", str(concurrency), "--quiet", *out]
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"the run failed: {said.decode()}")
    with sqlite3.connect(folder / "state" / "coupon-runner" / "ledger.db") as ledger:
        calls, first, last = ledger.execute("SELECT count(*), min(began), max(ended) FROM calls").fetchone()
        issued = ledger.execute("SELECT sum(issued) FROM orders").fetchone()[0]
    if (calls, issued) != (orders, orders):
        raise SystemExit(f"the run is not what was to be measured: {calls} calls, {issued} issued of {orders}")
    shutil.rmtree(folder)
    return calls / (last - first), wall, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
