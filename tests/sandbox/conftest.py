"""A sandbox on a free port, and a client that shows exactly what came over the wire."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from runner.sandbox import Sandbox, describe, parse_config, read_truth
from tests.sandbox.described import Described

ISSUE = "/v2/coupon/issue/multiple"
JSON_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
MOBILE = "919000000001"


@dataclass
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def codes(self) -> list[Any]:
        return [entry["code"] for entry in self.json["errors"]]


class Clock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@dataclass
class Client:
    """A plain client that follows nothing, repeats nothing, and holds every answer against the OpenAPI page."""

    sandbox: Sandbox
    clock: Clock
    url: str = ""
    page: Described = field(default_factory=lambda: Described(describe()))
    keys: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def send(self, method: str, path: str, body: Any = None, *, timeout: float = 5, **headers: str) -> Reply:
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=timeout)
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        named = JSON_HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, raw, named)
            response = connection.getresponse()
            reply = Reply(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()
        assert self.page.problem(method, path, reply.status, reply.headers, reply.raw) is None
        return reply

    def get(self, path: str, query: Any = (), **headers: Any) -> Reply:
        return self.send("GET", f"{path}?{urlencode(query)}", **headers)

    def ask(self, series: Any = 1, count: Any = 1, customer: Any = None, key: str = "") -> dict[str, Any]:
        body = {
            "seriesId": series,
            "count": count,
            "customer": customer if customer is not None else {"mobile": MOBILE},
            "metadata": {"sourceId": key or f"key-{next(self.keys)}"},
        }
        return {name: value for name, value in body.items() if value is not ...}

    def issue(
        self, series: Any = 1, count: Any = 1, customer: Any = None, *, key: str = "", timeout: float = 5
    ) -> Reply:
        body = self.ask(series, count, customer, key)
        return self.send("POST", ISSUE, body, timeout=timeout, X_CAP_REQUEST_ID=body["metadata"]["sourceId"])

    def raw_issue(self, series: int = 1, count: int = 1, *, timeout: float = 5) -> bytes:
        """Every byte that comes until the connection ends or ``timeout`` has passed without one."""
        body = json.dumps(self.ask(series, count)).encode()
        lines = [f"POST {ISSUE} HTTP/1.1", "Host: sandbox", "Connection: close", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in JSON_HEADERS.items()]
        parts = urlsplit(self.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=timeout) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            found = b""
            try:
                while piece := connection.recv(65536):
                    found += piece
            except (ConnectionResetError, TimeoutError):
                pass
            return found

    def truth(self) -> dict[str, Any]:
        return read_truth(self.sandbox.truth_path)

    def issued(self) -> int:
        """Coupons in the truth."""
        return int(read_truth(self.sandbox.truth_path, summary=True)["totals"]["coupons"])


Start = Callable[..., Client]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a sandbox with the configuration given as a mapping."""
    running: list[Sandbox] = []

    def make(config: dict[str, Any] | None = None, **options: Any) -> Client:
        clock = Clock()
        sandbox = Sandbox(
            truth_path=options.pop("truth_path", tmp_path / "truth.db"),
            config=parse_config(config or {}),
            **({"clock": clock} | options),
        )
        running.append(sandbox)
        page = Described(describe(sandbox.config, chaos=sandbox.chaos))
        return Client(sandbox, clock, sandbox.start_in_thread(), page)

    yield make
    for sandbox in running:
        sandbox.stop()
