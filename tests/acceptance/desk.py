"""A desk to work at: folders of its own, the command as a process, a sandbox beside it, and what all of them say."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.sandbox import held_by_identifier, read_truth

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "sample_inputs"
USER, PASSWORD = "till.sample", "open-sesame-9000001"
PATIENCE_SECONDS = 60.0
"""How long anything may take before the test gives up."""


def mobile(number: int) -> str:
    """An artificial mobile."""
    return f"919{number:09d}"


def until(holds: Callable[[], object], what: str) -> None:
    """Wait until something holds; fail with its name if it never does."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    idle = threading.Event()
    while not holds():
        assert time.monotonic() < give_up, f"never came true: {what}"
        idle.wait(0.01)


class Starter:
    """Where processes come from: forked from one that has imported the program, or `python -m` each time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "starter"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.starter", str(self._path)],
            cwd=ROOT,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # so that it forks from one thread
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def start(
        self, module: str, arguments: list[str], *, environment: Mapping[str, str], cwd: Path, streams: list[int]
    ) -> socket.socket:
        """Start a process; the socket tells its id and, at its end, its exit status."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(self._path))
        request = {"module": module, "arguments": arguments, "environment": dict(environment), "cwd": str(cwd)}
        socket.send_fds(connection, [json.dumps(request).encode()], streams)
        return connection

    def close(self) -> None:
        """End the starter; what it started goes on."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(PATIENCE_SECONDS)


def launch(
    module: str, arguments: list[str], *, starter: Starter | None, environment: Mapping[str, str], cwd: Path,
    streams: list[int],
) -> tuple[int, Callable[[], int]]:  # fmt: skip
    """Start a process: its id, and what waits for its exit status (negative when a signal ended it)."""
    if starter is None:
        stdin, stdout, stderr = streams
        command = [sys.executable, "-m", module, *arguments]
        own = {**environment, "PYTHONPATH": str(ROOT)}
        popen = subprocess.Popen(
            command, env=own, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
        )
        return popen.pid, lambda: popen.wait(PATIENCE_SECONDS)
    connection = starter.start(module, arguments, environment=environment, cwd=cwd, streams=streams)
    connection.settimeout(PATIENCE_SECONDS)
    line = connection.makefile("r")
    connection.close()  # the file keeps it open

    def wait() -> int:
        with line:
            return int(line.readline())

    return int(line.readline()), wait


class Process:
    """One process of ours, its outputs in files."""

    def __init__(
        self, module: str, arguments: list[str], *, starter: Starter | None, environment: Mapping[str, str], cwd: Path,
        outputs: Path,
    ) -> None:  # fmt: skip
        self.arguments = arguments
        self._out, self._err = outputs.with_suffix(".out"), outputs.with_suffix(".err")
        self._code: int | None = None
        with self._out.open("wb") as out, self._err.open("wb") as err, Path(os.devnull).open("rb") as nothing:
            streams = [nothing.fileno(), out.fileno(), err.fileno()]
            self.pid, self._wait = launch(
                module, arguments, starter=starter, environment=environment, cwd=cwd, streams=streams
            )

    def wait(self) -> int:
        """The exit status: negative when a signal ended it."""
        if self._code is None:
            self._code = self._wait()
        return self._code

    def signal(self, number: int) -> None:
        """Send a signal to it, if it is still there."""
        if self._code is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass  # it has ended by itself

    @property
    def out(self) -> str:
        """What it wrote to stdout so far."""
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        """What it wrote to stderr so far."""
        return self._err.read_text(encoding="utf-8")

    @property
    def last_line(self) -> str:
        """The last line on stderr."""
        lines = self.err.splitlines()
        return lines[-1] if lines else ""

    @property
    def json(self) -> Any:
        """Its stdout as JSON."""
        return json.loads(self.out)


class Terminal:
    """A command on a pseudo-terminal without colour, with everything typed ahead."""

    def __init__(self, desk: Desk, *words: str | Path, columns: int = 80, typed: str = "") -> None:
        self._ours, its = os.openpty()
        more = {"NO_COLOR": "1", "COLUMNS": str(columns), "TERM": "xterm"}
        arguments, environment = [str(word) for word in words], {**desk.environment, **more}
        _, self._wait = launch(
            "runner", arguments, starter=desk.starter, environment=environment, cwd=desk.folder, streams=[its] * 3
        )
        os.close(its)
        os.write(self._ours, typed.encode())

    @property
    def shows(self) -> bool:
        """Whether something of it waits to be read."""
        return bool(select.select([self._ours], [], [], 0)[0])

    def end(self) -> tuple[int, str]:
        """Its exit code and all that it showed."""
        shown = b""
        try:
            while part := os.read(self._ours, 4096):
                shown += part
        except OSError:
            pass  # Linux says so when nobody holds the other end any more
        os.close(self._ours)
        return self._wait(), shown.decode()


@dataclass
class Reports:
    """The files of one run."""

    folder: Path

    def table(self, name: str) -> list[dict[str, str]]:
        """The rows of a CSV."""
        with (self.folder / name).open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    def header(self, name: str) -> list[str]:
        """The headings of a CSV."""
        with (self.folder / name).open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file))

    @property
    def results(self) -> list[dict[str, str]]:
        """The lines of results.csv."""
        return self.table("results.csv")

    @property
    def summary(self) -> dict[str, Any]:
        """summary.json."""
        return dict(json.loads((self.folder / "summary.json").read_text(encoding="utf-8")))

    @property
    def manifest(self) -> dict[str, Any]:
        """manifest.json."""
        return dict(json.loads((self.folder / "manifest.json").read_text(encoding="utf-8")))

    def statuses(self) -> list[str]:
        """Status of every line, in order."""
        return [line["_status"] for line in self.results]

    def lines(self) -> dict[str, int]:
        """Status → number of lines, without zeros."""
        return {status: count for status, count in self.summary["lines"].items() if count}

    def digests(self) -> dict[str, str]:
        """Name → sha256 of each CSV."""
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(self.folder.glob("*.csv"))}


class Server:
    """The sandbox as a process of its own."""

    def __init__(self, process: Process, truth: Path) -> None:
        self.process, self.truth_path = process, truth
        until(lambda: "\n" in process.out or process_has_ended(process), "the sandbox is listening")
        self.url = process.out.strip()
        assert self.url.startswith("http://127.0.0.1:"), process.err

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.url.rsplit(":", 1)[1])

    def truth(self) -> dict[str, Any]:
        """Who really holds what, and every POST."""
        return read_truth(self.truth_path)

    def posts(self) -> int:
        """How many calls came."""
        return int(read_truth(self.truth_path, summary=True)["totals"]["posts"])

    def issued(self) -> int:
        """How many coupons were really issued."""
        return int(read_truth(self.truth_path, summary=True)["totals"]["coupons"])

    def stop(self) -> None:
        """End it."""
        self.process.signal(15)
        self.process.wait()


def process_has_ended(process: Process) -> bool:
    """Whether there is no such process any more."""
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    return False


@dataclass
class Desk:
    """Everything of one user: state, settings, files, reports."""

    folder: Path
    starter: Starter | None
    environment: dict[str, str] = field(default_factory=dict)
    _started: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "outputs").mkdir(exist_ok=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "TZ": "UTC",
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "COVERAGE_PROCESS_START": os.environ.get("COVERAGE_PROCESS_START", ""),
            **self.environment,
        }

    @property
    def ledger(self) -> Path:
        """The ledger that real runs use."""
        return self.folder / "state" / "coupon-runner" / "ledger.db"

    def write(self, name: str, rows: Iterable[str], *, header: str = "mobile,series_id,count") -> Path:
        """A CSV."""
        path = self.folder / name
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return path

    def config(self, text: str, name: str = "sandbox.toml") -> Path:
        """A configuration of the sandbox."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def start(self, *words: str | Path, module: str = "runner", **variables: str) -> Process:
        """Start a command; `variables` are added to its environment."""
        process = Process(
            module,
            [str(word) for word in words],
            starter=self.starter,
            environment={**self.environment, **variables},
            cwd=self.folder,
            outputs=self.folder / "outputs" / f"{len(self._started):03d}",
        )
        self._started.append(process)
        return process

    def run(self, *words: str | Path, expect: int | None = 0, **variables: str) -> Process:
        """Run a command to its end and check its exit code."""
        process = self.start(*words, **variables)
        code = process.wait()
        assert expect is None or code == expect, f"{process.arguments}: exit {code}\n{process.out}\n{process.err}"
        return process

    def issue(self, *words: str | Path, expect: int | None = 0, **variables: str) -> Reports:
        """`run` or `resume` to its end; its reports."""
        return self.reports_of(self.run(*words, "--json", expect=expect, **variables))

    def rehearse(self, *words: str | Path, expect: int | None = 0) -> Reports:
        """`run` against the embedded sandbox, agreed to; its reports."""
        return self.issue("run", *words, "--sandbox", "--yes", expect=expect)

    def reports_of(self, process: Process) -> Reports:
        """The reports of a run that printed its summary."""
        return Reports(self.folder / "coupon-runs" / process.json["run"])

    def init(self, server: Server) -> None:
        """Settings and ledger for an organisation on a sandbox, and its credentials."""
        self.run("init", "--org", "acme", "--api-url", server.url)
        self.environment |= {"COUPON_RUNNER_API_USER": USER, "COUPON_RUNNER_API_PASSWORD": PASSWORD}

    @contextmanager
    def serving(self, config: str = "", *, port: int = 0, truth: str = "truth.db", seed: int = 0) -> Iterator[Server]:
        """A sandbox beside the desk, as a process of its own."""
        path = self.config(config, f"server{len(self._started)}.toml")
        words = ["--truth", str(self.folder / truth), "--port", str(port), "--config", str(path), "--seed", str(seed)]
        server = Server(self.start(*words, module="runner.sandbox"), self.folder / truth)
        try:
            yield server
        finally:
            server.stop()

    def until_posts(self, server: Server, count: int) -> None:
        """Wait until so many calls have come."""
        until(lambda: server.posts() >= count, f"{count} calls have come")

    def rehearsed_truth(self) -> dict[str, Any]:
        """The truth of the embedded sandbox."""
        return read_truth(self.folder / "state" / "coupon-runner" / "rehearsal" / "ledger.db.truth")

    def rehearsed_holdings(self) -> dict[str, dict[int, int]]:
        """Identifier → series → coupons, by the truth of the embedded sandbox."""
        return held_by_identifier(self.rehearsed_truth())

    def end(self) -> None:
        """Leave no process behind."""
        for process in self._started:
            process.signal(9)
            process.wait()
