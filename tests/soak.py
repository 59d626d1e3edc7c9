"""`python -m tests.soak --minutes N`: kills, lies and random files until the time is over.

Two kinds take turns: a kill trial (120 orders, 40 kills, a new seed each time, every command a process of its own) and
the property tests of one file, the next one each time, under the long hypothesis profile. The first failure ends it
with exit code 1 and says how to repeat it; nothing is tried twice.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.desk import ROOT, Desk
from tests.acceptance.killing import kill_trial

KILLS = 40
MARKERS = "hypothesis or soak"


@dataclass
class Passed:
    """One thing that went well, in words."""

    words: str


def main(arguments: list[str] | None = None) -> int:
    """Take turns until the time is over; 0 when nothing failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (at least one kill trial is made)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--kills", type=int, default=KILLS, help="kills in each trial")
    parser.add_argument("--only", choices=("kills", "properties"), help="only one of the two kinds")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    ends = began + 60 * options.minutes
    kinds: dict[str, Callable[[int, float], Passed]] = {
        "kills": lambda seed, _: _kills(seed, options.kills),
        "properties": _properties,
    }
    turns = [kinds[options.only]] if options.only else list(kinds.values())
    passed, seed = 0, options.seed
    while not passed or time.monotonic() < ends:
        for turn in turns:
            left = ends - time.monotonic()
            if passed and left <= 0:
                break
            try:
                print(f"seed {seed}: {turn(seed, left).words}", flush=True)
            except Exception as error:
                print(f"seed {seed}: FAILED: {error}", flush=True)
                print(f"{passed} passed, 1 failed in {time.monotonic() - began:.0f} s", flush=True)
                return 1
            passed += 1
        seed += 1
    print(f"{passed} passed, 0 failed in {time.monotonic() - began:.0f} s", flush=True)
    return 0


def _kills(seed: int, kills: int) -> Passed:
    """One kill trial. A failed one leaves its folder: ledger, truth and every output."""
    folder = Path(tempfile.mkdtemp(prefix="coupon-runner-soak-"))
    desk = Desk(folder, starter=None)
    try:
        figures = kill_trial(desk, seed=seed, kills=kills, undo=True)
    except Exception as error:
        repeat = f"python -m tests.soak --only kills --seed {seed} --kills {kills} --minutes 0"
        raise AssertionError(f"{error}\nKept for a look: {folder}\nTo repeat: {repeat}") from error
    finally:
        desk.end()
    shutil.rmtree(folder)
    return Passed(f"kills: {figures}")


def _property_files() -> list[str]:
    """The test files with properties or long tests: first what only runs here, then those of the whole program."""
    long = re.compile(r"@given|RuleBasedState|mark\.soak")
    texts = {path: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    files = [path for path, text in texts.items() if long.search(text)]
    first = {"engine": 0, "app": 1, "adapters": 2}
    ordered = sorted(files, key=lambda path: ("mark.soak" not in texts[path], first.get(path.parent.name, 3), path))
    return [str(path.relative_to(ROOT)) for path in ordered]


def _properties(seed: int, seconds_left: float) -> Passed:
    """The property tests of one file with many examples; when the time is over they are ended, which is no failure."""
    files = _property_files()
    file = files[(seed - 1) % len(files)]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", MARKERS, "-p", "no:cacheprovider"]
    command += [f"--hypothesis-seed={seed}", file]
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        environment = {**os.environ, "HYPOTHESIS_PROFILE": "soak"}
        tests = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            code = tests.wait(max(30.0, seconds_left))
        except subprocess.TimeoutExpired:
            tests.kill()
            tests.wait()
            return Passed(f"properties: {file}: no failure in {time.monotonic() - began:.0f} s, ended with the time")
        output.seek(0)
        text = output.read()
    if code != 0:
        repeat = "HYPOTHESIS_PROFILE=soak " + shlex.join(["python", *command[1:]])
        raise AssertionError(f"{file} ended with exit code {code}\n{text}\nTo repeat: {repeat}")
    return Passed(f"properties: {file}: {text.strip().splitlines()[-1]}")


if __name__ == "__main__":
    sys.exit(main())
