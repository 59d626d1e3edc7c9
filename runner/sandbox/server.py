"""The HTTP server: routes, headers, and the server's life in a thread or as a process."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs

import orjson
from aiohttp import web

from runner.sandbox.answers import Answer, gateway_json
from runner.sandbox.asking import ISSUE_PATH, read_ask
from runner.sandbox.auth import Gate, Limiter
from runner.sandbox.catalogue import Catalogue
from runner.sandbox.config import SandboxConfig, Script
from runner.sandbox.damage import replaced
from runner.sandbox.evidence import read_truth
from runner.sandbox.issuing import Issuer
from runner.sandbox.openapi import OPENAPI_PATH, describe
from runner.sandbox.picking import Picker
from runner.sandbox.reading import Reader
from runner.sandbox.truth import Truth
from runner.sandbox.wire import deliver, response_of

REQUEST_ID = "X-CAP-REQUEST-ID"
TOKEN_PATH = "/v3/oauth/token/generate"  # noqa: S105 - a path
REVOKE_PATH = "/v2/coupon/revoke"
_READS = ("/v2/coupon/series", "/v2/customers/lookup", "/v2/coupon", "/v2/customers/coupons")
_METHODS = {
    **dict.fromkeys((ISSUE_PATH, TOKEN_PATH, REVOKE_PATH, "/_redeem"), "POST"),
    **dict.fromkeys((*_READS, "/_truth", OPENAPI_PATH), "GET"),
}


class _Service:
    """One running server: everything that lives in its event loop."""

    def __init__(
        self,
        *,
        truth_path: Path,
        config: SandboxConfig,
        seed: int,
        chaos: bool | int | None,
        code_prefix: str,
        clock: Callable[[], float],
    ) -> None:
        self.truth = Truth(truth_path, seed=seed, code_prefix=code_prefix)
        self.config = config
        self.clock = clock
        self.description = describe(config, chaos=chaos)
        self.stopping = asyncio.Event()
        catalogue = Catalogue(self.truth, config)
        self.picker = Picker(self.truth, config, seed=seed, chaos=chaos)
        self.gate = Gate(self.truth, config.auth, clock=clock)
        self.limiter = Limiter(config.limits, clock=clock)
        self.reader = Reader(self.truth, config, catalogue, clock=clock)
        self.issuer = Issuer(self.truth, config, catalogue, self.picker, clock=clock, stopping=self.stopping, seed=seed)
        self._http = web.Server(self.handle, access_log=None)
        self._listener: asyncio.Server | None = None
        self._reads: dict[str, Callable[[dict[str, list[str]]], Answer]] = {
            "/v2/coupon/series": self.reader.series,
            "/v2/customers/lookup": self.reader.lookup,
            "/v2/coupon": self.reader.coupon_details,
            "/v2/customers/coupons": self.reader.customer_coupons,
        }

    async def listen(self, host: str, port: int) -> str:
        """Open the port; gives the base URL."""
        self._listener = await asyncio.get_running_loop().create_server(self._http, host, port, backlog=1024)
        found = self._listener.sockets[0].getsockname()
        shown = f"[{found[0]}]" if ":" in found[0] else found[0]
        return f"http://{shown}:{found[1]}"

    async def close(self) -> None:
        """Refuse new connections, end what hangs, close the truth."""
        self.stopping.set()
        if self._listener is not None:
            self._listener.close()
        await self._http.shutdown(timeout=0.2)  # what hangs has been woken by now
        self.truth.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request."""
        path = request.path
        if path == ISSUE_PATH and request.method == "POST":
            return await self._issue(request)
        if path.startswith("/_"):
            return await self._own(request, path)
        sent = request.headers.get(REQUEST_ID)
        script: Script = ()
        repeat, refusal = False, None
        if path == TOKEN_PATH and request.method == "POST":
            script, repeat = self.config.auth.answers, self.config.auth.repeat_last
            refusal = self._content_type(request, path)
        elif path in self._reads and request.method == "GET":
            script, repeat = self.config.reading.answers, self.config.reading.repeat_last
            refusal = self._entry(request, path, body=False)
        elif path == REVOKE_PATH and request.method == "POST":
            script = self.config.revoking_answers
            refusal = self._entry(request, path, body=True)
        else:
            refusal = _no_such(path)
        fault = None if refusal else self.picker.turn(f"{request.method} {path}", script, repeat)
        answer = refusal
        raw = await request.read()
        if answer is None and (fault is None or fault.commit != "nothing"):
            if path == TOKEN_PATH:
                answer = self.gate.generate(raw)
            elif path == REVOKE_PATH:
                answer = self.reader.revoke(raw)
            else:
                answer = self._reads[path](parse_qs(request.query_string, keep_blank_values=True))
        if fault is not None:
            answer = replaced(fault, answer, path=path, now=self.clock(), times=self.config.times) or answer
        answer = answer or Answer(b"")
        answer.headers[REQUEST_ID] = sent or str(uuid.uuid4())
        return await deliver(request, answer, fault, self.config.times, self.stopping)

    async def _issue(self, request: web.BaseRequest) -> web.StreamResponse:
        sent = request.headers.get(REQUEST_ID)
        ask = read_ask(await request.read(), sent)
        ask.refusal = self._entry(request, ISSUE_PATH, body=True) or ask.refusal
        outcome = await self.issuer.issue(ask)
        outcome.answer.headers[REQUEST_ID] = sent or str(uuid.uuid4())
        return await deliver(request, outcome.answer, outcome.fault, outcome.times, self.stopping)

    def _entry(self, request: web.BaseRequest, path: str, *, body: bool) -> Answer | None:
        """The checks before anything is processed: credentials, rate, headers."""
        headers = request.headers
        refusal = self.gate.check(headers) or self.limiter.check(headers)
        if refusal is None and self.config.strict_headers:
            if "application/json" not in headers.get("Accept", ""):
                refusal = gateway_json(415, "Unsupported Media Type", path, "Accept must be application/json")
            elif body:
                refusal = self._content_type(request, path)
        return refusal

    def _content_type(self, request: web.BaseRequest, path: str) -> Answer | None:
        if self.config.strict_headers and request.content_type != "application/json":
            return gateway_json(415, "Unsupported Media Type", path, "Content-Type must be application/json")
        return None

    async def _own(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """The sandbox's own pages, which the real API does not have."""
        if path == "/_truth" and request.method == "GET":
            summary = "summary=1" in request.query_string
            loop = asyncio.get_running_loop()
            evidence = await loop.run_in_executor(None, lambda: read_truth(self.truth.path, summary=summary))
            return response_of(Answer(evidence))
        if path == OPENAPI_PATH and request.method == "GET":
            return response_of(Answer(self.description))
        if path == "/_redeem" and request.method == "POST":
            codes = _texts(await request.read(), "couponCodes")
            if codes is None:
                return response_of(gateway_json(400, "Bad Request", path, "couponCodes must be a list of texts"))
            return response_of(Answer({"redeemed": self.truth.redeem(codes, int(self.clock() * 1000))}))
        return response_of(_no_such(path))


def _no_such(path: str) -> Answer:
    """404, or 405 when the address is there for another method."""
    if path not in _METHODS:
        return gateway_json(404, "Not Found", path)
    answer = gateway_json(405, "Method Not Allowed", path)
    answer.headers["Allow"] = _METHODS[path]
    return answer


def _texts(raw: bytes, name: str) -> list[str] | None:
    """The list of texts under a name in a JSON object; ``None`` when there is none."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    found = body.get(name) if isinstance(body, dict) else None
    return found if isinstance(found, list) and all(isinstance(one, str) for one in found) else None


class Sandbox:
    """The API on this machine, in a thread of its own.

    ``truth_path``: the file that holds the truth, made when it is not there. ``seed`` decides codes and chance.
    ``chaos``: ``None`` as the configuration says, ``True`` a mix of all faults, a number the same with that seed,
    ``False`` none. ``code_prefix`` goes in front of every code. ``port`` 0 takes any free one. ``clock`` gives the
    seconds since 1970, for tests. No signal handler is installed.
    """

    def __init__(
        self,
        *,
        truth_path: Path,
        config: SandboxConfig,
        seed: int = 0,
        chaos: bool | int | None = None,
        code_prefix: str = "",
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.truth_path, self.config, self.seed, self.chaos = truth_path, config, seed, chaos
        self.code_prefix, self.host, self.port, self.clock = code_prefix, host, port, clock
        self.base_url = ""
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None

    def start_in_thread(self) -> str:
        """Serve until ``stop``; gives the base URL once the port is open."""
        if self._thread is not None:
            raise RuntimeError("the sandbox is running already")
        ready = threading.Event()
        self.base_url = ""
        failures: list[BaseException] = []

        async def main() -> None:
            self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()

            def opened(url: str) -> None:
                self.base_url = url
                ready.set()

            await self.serve_forever(opened, self._end)

        def body() -> None:
            try:
                with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                    runner.run(main())
            except BaseException as failure:  # noqa: BLE001 - handed to the thread that waits
                failures.append(failure)
            finally:
                ready.set()

        self._thread = threading.Thread(target=body, name="sandbox", daemon=True)
        self._thread.start()
        ready.wait()
        if failures and not self.base_url:
            self._thread = None
            raise failures[0]
        return self.base_url

    async def serve_forever(self, on_ready: Callable[[str], None], end: asyncio.Event) -> None:
        """Serve in the running loop until ``end`` is set."""
        service = _Service(
            truth_path=self.truth_path,
            config=self.config,
            seed=self.seed,
            chaos=self.chaos,
            code_prefix=self.code_prefix,
            clock=self.clock,
        )
        try:
            on_ready(await service.listen(self.host, self.port))
            await end.wait()
        finally:
            await service.close()

    def stop(self) -> None:
        """Stop and wait for the end; harmless when it does not run."""
        thread, loop, end = self._thread, self._loop, self._end
        self._thread = None
        if thread is None or loop is None or end is None:
            return
        if not loop.is_closed():
            loop.call_soon_threadsafe(end.set)
        thread.join()

    def __enter__(self) -> Sandbox:
        self.start_in_thread()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve(
    *,
    truth_path: Path,
    config: SandboxConfig,
    seed: int = 0,
    chaos: bool | int | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    code_prefix: str = "",
    on_ready: Callable[[str], None],
) -> None:
    """Serve in this thread until SIGINT or SIGTERM; ``on_ready`` gets the base URL. Only for the main thread."""
    sandbox = Sandbox(
        truth_path=truth_path, config=config, seed=seed, chaos=chaos, code_prefix=code_prefix, host=host, port=port
    )

    async def main() -> None:
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, end.set)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(end.set))
        await sandbox.serve_forever(on_ready, end)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
