"""What planning costs, against a bare read of the same file: time and memory of `plan`, in processes of its own."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from openpyxl import Workbook

CSV_ROWS, MANY_ROWS, XLSX_ROWS = 1_000_000, 3_000_000, 200_000

_BARE_CSV = """
import csv, sys, time
began = time.perf_counter()
with open(sys.argv[1], encoding="utf-8", newline="") as stream:
    for row in csv.reader(stream): pass
print(time.perf_counter() - began)
"""
_BARE_CALAMINE = """
import sys, time
from python_calamine import CalamineWorkbook
began = time.perf_counter()
for row in CalamineWorkbook.from_path(sys.argv[1]).get_sheet_by_index(0).iter_rows(): pass
print(time.perf_counter() - began)
"""


def measure(folder: Path, pairs: int) -> None:
    """Print the figures; pairs are interleaved, medians compared."""
    small, large, book = folder / "million.csv", folder / "millions.csv", folder / "list.xlsx"
    write_csv(small, CSV_ROWS)
    write_xlsx(book, XLSX_ROWS)
    _compare(f"{CSV_ROWS:,} CSV rows", small, _BARE_CSV, pairs, most=40)
    _compare(f"{XLSX_ROWS:,} XLSX rows", book, _BARE_CALAMINE, pairs, most=8)
    write_csv(large, MANY_ROWS)
    peaks = [plan(folder, path)[1] for path in (small, large)]
    print(
        f"peak memory of plan at {CSV_ROWS:,} rows: {peaks[0]:.0f} MB, at {MANY_ROWS:,}: {peaks[1]:.0f} MB, ratio "
        f"{peaks[1] / peaks[0]:.2f} (at most 1.20, and below 500 MB)",
        flush=True,
    )
    for path in (small, large, book):
        path.unlink()


def _compare(what: str, path: Path, bare: str, pairs: int, *, most: int) -> None:
    ratios, times = [], []
    for _ in range(pairs):
        found = subprocess.run([sys.executable, "-c", bare, str(path)], check=True, capture_output=True, text=True)
        seconds = float(found.stdout)
        wall, _ = plan(path.parent, path)
        times.append((seconds, wall))
        ratios.append(wall / seconds)
    shown = ", ".join(f"{wall:.1f} s of {seconds:.2f} s" for seconds, wall in times)
    print(f"plan of {what} to a bare read: {statistics.median(ratios):.1f} (at most {most}; {shown})", flush=True)


def plan(folder: Path, path: Path) -> tuple[float, float]:
    """One `plan` as a rehearsal: wall seconds of the whole command, and its peak in MB."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COUPON_RUNNER_")}
    environment |= {"XDG_STATE_HOME": str(folder / "state"), "XDG_CONFIG_HOME": str(folder / "config")}
    command = [sys.executable, "-m", "runner", "plan", str(path), "--sandbox", "--fresh", "--campaign", "bench", "-q"]
    command += ["--out", str(folder / "out")]
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit(f"the plan failed: {said.decode()}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def write_csv(path: Path, rows: int) -> None:
    """A list of as many customers."""
    with path.open("w", encoding="utf-8") as stream:
        stream.write("mobile,series_id,count,name\n")
        stream.writelines(f"{919_000_000_001 + number},415446,1,Customer {number}\n" for number in range(rows))


def write_xlsx(path: Path, rows: int) -> None:
    """The same as a workbook."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Customers")
    sheet.append(["mobile", "series_id", "count", "name"])
    for number in range(rows):
        sheet.append([919_000_000_001 + number, 415446, 1, f"Customer {number}"])
    book.save(path)
