"""Every fault of the wire, before and after the server committed: what the ledger says, what was posted, what is true.

One order for two coupons, driven through the real engine, adapter and ledger over real sockets. A server beside it
keeps the truth: what was committed under which call's key. The first call meets the fault, later ones are answered.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from runner.adapters.coupon_api import CouponApi
from runner.adapters.ledger.engine_ledger import SqliteLedger
from runner.core.codes import CodeTable
from runner.core.model import Identifier, Kind
from runner.engine import Engine, EngineOptions, Stop, StopKind
from runner.pace import Pace
from runner.ports import Beat
from tests.adapters.calling import CREDENTIALS, SHORT_SECONDS, NoNames
from tests.adapters.ledger_world import SqliteWorld
from tests.adapters.raw_server import Peer, RawServer, Request, unused_port
from tests.adapters.self_signed import server_context, write_certificate
from tests.fakes.memory_ledger import CallFacts, Line, Snapshot

SERIES, TARGET, MOBILE = 415446, 2, "919000000001"
HASTE = 100.0
"""Waits pass this much faster than they say."""

HTML = b"<html><body><h1>Bad Gateway</h1></body></html>"
XML = b"<response><status><code>401</code><message>Invalid token</message></status></response>"
Strike = Callable[[Peer, bytes], Awaitable[None]]


# ---------------------------------------------------------------- the faults


async def reset(peer: Peer, answer: bytes) -> None:
    peer.reset()


async def close(peer: Peer, answer: bytes) -> None:
    """Nothing is said, and the connection ends."""


async def half_close(peer: Peer, answer: bytes) -> None:
    await peer.half_close()
    await peer.hang()


async def hang(peer: Peer, answer: bytes) -> None:
    await peer.hang()


async def drip_without_end(peer: Peer, answer: bytes) -> None:
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        await peer.send(b" ")
        await asyncio.sleep(0.005)


async def drip(peer: Peer, answer: bytes) -> None:
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer))
    for start in range(0, len(answer), 25):
        await peer.send(answer[start : start + 25])
        await asyncio.sleep(0.002)


async def cut_header(peer: Peer, answer: bytes) -> None:
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Ty")


async def cut_body(peer: Peer, answer: bytes) -> None:
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer[: len(answer) // 2])


async def cut_chunked_body(peer: Peer, answer: bytes) -> None:
    part = answer[: len(answer) // 2]
    await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(part) + part + b"\r\n")


async def cut_after_the_last_brace(peer: Peer, answer: bytes) -> None:
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(answer) + 9) + answer)


async def no_http(peer: Peer, answer: bytes) -> None:
    await peer.send(b"SSH-2.0-surprise\r\n\r\n")


async def interim_then_close(peer: Peer, answer: bytes) -> None:
    await peer.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")


async def interim_then_answer(peer: Peer, answer: bytes) -> None:
    await peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    await peer.answer("200 OK", answer)


async def created(peer: Peer, answer: bytes) -> None:
    await peer.answer("201 Created", answer)


def saying(status: str, body: bytes = b"", *headers: str) -> Strike:
    async def strike(peer: Peer, answer: bytes) -> None:
        await peer.answer(status, body, *headers)

    return strike


def throttling(*, seconds: int) -> Strike:
    """429 with Retry-After as a date, by the server's own clock."""

    async def strike(peer: Peer, answer: bytes) -> None:
        now = time.time() + 86_400  # a clock of its own: a day ahead of ours
        dates = f"Date: {formatdate(now, usegmt=True)}", f"Retry-After: {formatdate(now + seconds, usegmt=True)}"
        await peer.answer("429 Too Many Requests", HTML, *dates)

    return strike


def answering(status: int, code: object = None) -> Strike:
    """A status with a JSON body: a gateway's own, or one in the API's shape with a code."""
    gateway = {"timestamp": "2026-11-23T03:15:00Z", "status": status, "error": "failed", "path": "/v2/coupon/issue"}
    api = {"entity": None, "errors": [{"status": False, "code": code, "message": "failed"}], "warnings": []}
    body = json.dumps(gateway if code is None else api).encode()
    return saying(f"{status} Failed", body, "Content-Type: application/json")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A fault, and the state in which it leaves its call.

    `waits`: seconds before the next call at least. `stops`: why the run ends then and there. `closes`: the order is
    not asked for again in this run. `short`: the deadline of a call passes.
    """

    strike: Strike
    state: str
    waits: float = 0.0
    stops: StopKind | None = None
    closes: bool = False
    short: bool = False


GATEWAY_STATUSES = (500, 502, 503, 504, 520, 521, 522, 523, 524)

UNANSWERED: dict[str, Row] = {
    "reset after the request": Row(strike=reset, state="in_doubt"),
    "closed after the request": Row(strike=close, state="in_doubt"),
    "half-closed": Row(strike=half_close, state="in_doubt"),
    "silence": Row(strike=hang, state="in_doubt", short=True),
    "a drip without end": Row(strike=drip_without_end, state="in_doubt", short=True),
    "a cut header": Row(strike=cut_header, state="in_doubt"),
    "a cut body": Row(strike=cut_body, state="in_doubt"),
    "a cut chunked body": Row(strike=cut_chunked_body, state="in_doubt"),
    "an empty 200": Row(strike=saying("200 OK"), state="in_doubt"),
    "a 204": Row(strike=saying("204 No Content"), state="in_doubt"),
    "an empty object": Row(strike=saying("200 OK", b"{}"), state="in_doubt"),
    "HTML with 200": Row(strike=saying("200 OK", HTML), state="in_doubt"),
    "gzip garbage": Row(strike=saying("200 OK", b"no gzip", "Content-Encoding: gzip"), state="in_doubt"),
    "no HTTP": Row(strike=no_http, state="in_doubt"),
    "1xx and no answer": Row(strike=interim_then_close, state="in_doubt"),
    "408": Row(strike=saying("408 Request Timeout", HTML), state="in_doubt"),
    "408 JSON": Row(strike=answering(408), state="in_doubt"),
    "748 in the body": Row(strike=answering(200, 748), state="in_doubt"),
    **{
        str(status): Row(strike=saying(f"{status} Elsewhere", HTML, "Location: /elsewhere"), state="in_doubt")
        for status in (300, 301, 302, 303, 304, 305, 306)
    },
    **{f"{status} HTML": Row(strike=saying(f"{status} Failed", HTML), state="in_doubt") for status in GATEWAY_STATUSES},
    **{f"{status} JSON": Row(strike=answering(status), state="in_doubt") for status in GATEWAY_STATUSES},
    **{f"{status} and 9999": Row(strike=answering(status, 9999), state="in_doubt") for status in GATEWAY_STATUSES},
}
"""The answer says nothing: before and after the commit the call is in doubt, and nothing is sent again."""

ANSWERED: dict[str, Row] = {
    "a drip in time": Row(strike=drip, state="issued"),
    "1xx before the answer": Row(strike=interim_then_answer, state="issued"),
    "201": Row(strike=created, state="issued"),
    "a cut after the last brace": Row(strike=cut_after_the_last_brace, state="issued"),
}
"""The whole answer came, however oddly: it counts."""

BELIEVED: dict[str, Row] = {
    "307": Row(strike=saying("307 Elsewhere", b"", "Location: /elsewhere"), state="refused", stops=StopKind.REFUSED),
    "308": Row(strike=saying("308 Elsewhere", b"", "Location: /elsewhere"), state="refused", stops=StopKind.REFUSED),
    "401 XML": Row(strike=saying("401 Unauthorized", XML), state="refused", stops=StopKind.REFUSED),
    "403": Row(strike=saying("403 Forbidden", HTML), state="refused", stops=StopKind.REFUSED),
    "403 JSON": Row(strike=answering(403), state="refused", stops=StopKind.REFUSED),
    "429": Row(strike=saying("429 Too Many Requests", HTML), state="refused", waits=1.0),
    "429 with seconds": Row(strike=saying("429 Slow Down", HTML, "Retry-After: 3"), state="refused", waits=3.0),
    "429 with a date": Row(strike=throttling(seconds=3), state="refused", waits=3.0),
    "503 with code 4001": Row(strike=answering(503, 4001), state="refused", waits=1.0),
    "701 with any status": Row(strike=answering(500, 701), state="refused", closes=True),
}
"""The API's own word that nothing was issued (docs/safety.md names these): a new call, or the end of run or order."""


# ---------------------------------------------------------------- the server's truth


class Bank:
    """Who was issued what, by the key of the call, and when which call came."""

    def __init__(self, clock: Hasty) -> None:
        self._clock = clock
        self.committed: Counter[str] = Counter()
        self.came: list[tuple[str, float]] = []

    def note(self, request: Request) -> str:
        key = request.headers["x-cap-request-id"]
        assert json.loads(request.body)["metadata"]["sourceId"] == key
        self.came.append((key, self._clock.now()))
        return key

    def commit(self, key: str, count: int = TARGET) -> bytes:
        """Issue, and the answer that says so."""
        first = sum(self.committed.values())
        self.committed[key] += count
        coupons = [{"code": f"CODE{number}", "couponId": number} for number in range(first, first + count)]
        counts = {"totalCount": count, "successCount": count, "failureCount": 0}
        return json.dumps({"customer": {"id": 7}, "coupons": coupons, "errors": [], "warnings": [], **counts}).encode()

    def stage(self, row: Row | None, *, commits: bool = True) -> Callable[[Peer], Coroutine[Any, Any, None]]:
        """The first call meets the fault, if there is one, with or without a commit; the others are carried out."""

        async def play(peer: Peer) -> None:
            while request := await peer.read_request():
                key = self.note(request)
                if row is None or len(self.came) > 1:
                    await peer.answer("200 OK", self.commit(key))
                    continue
                await row.strike(peer, self.commit(key) if commits else b"")
                if row.state == "in_doubt" or row.strike is cut_after_the_last_brace:
                    return

        return play


class Hasty:
    """`ports.Clock`, a hundred times as fast."""

    def now(self) -> float:
        return time.monotonic() * HASTE

    def wall(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / HASTE)

    def chance(self) -> float:
        return 0.5


@dataclass
class Watching:
    """`ports.Progress` that tells of the first event."""

    said: list[str] = field(default_factory=list)
    spoke: asyncio.Event = field(default_factory=asyncio.Event)

    def beat(self, beat: Beat) -> None:
        pass

    def say(self, message: str) -> None:
        self.said.append(message)
        self.spoke.set()


@dataclass
class Books:
    """Both books at the end of a run."""

    bank: Bank
    ledger: Snapshot
    stop: Stop | None
    said: list[str]

    @property
    def calls(self) -> list[CallFacts]:
        """The ledger's calls in order of their numbers."""
        return [facts for _, facts in sorted(self.ledger.calls.items(), key=lambda item: int(item[0].split("-")[1]))]

    def check(self) -> None:
        """What holds whatever happened."""
        (order,) = self.ledger.orders.values()
        posts = Counter(key for key, _ in self.bank.came)
        truth = sum(self.bank.committed.values())
        assert all(count == 1 for count in posts.values()), "a call was posted twice"
        assert set(posts) <= set(self.ledger.calls), "a call was posted that the ledger does not know"
        assert order.issued <= truth <= order.issued + order.held
        assert truth <= order.target == TARGET
        for key, call in self.ledger.calls.items():
            assert call.known <= self.bank.committed[key] <= call.known + call.held


@asynccontextmanager
async def order(folder: Path, api: CouponApi, watching: Watching) -> AsyncIterator[tuple[Engine, SqliteWorld]]:
    """One order for two coupons in a fresh ledger, and the engine that is to issue it."""
    world = SqliteWorld(folder)
    world.load(1, [Line((Identifier(Kind.MOBILE, MOBILE, MOBILE),), SERIES, TARGET)])
    ledger: SqliteLedger = world.ledger
    try:
        yield (
            Engine(
                ledger=ledger,
                api=api,
                clock=Hasty(),
                progress=watching,
                pace=Pace(None, Hasty()),
                codes=CodeTable.default(),
                names_of=lambda _: (),
                options=EngineOptions(run=1, nonce=world.nonce, concurrency=2, target=TARGET),
            ),
            world,
        )
    finally:
        await ledger.close()


async def meet(folder: Path, row: Row, *, commits: bool, tls: ssl.SSLContext | None = None) -> Books:
    """The order's first call meets a fault; the run goes on to its end."""
    bank, watching = Bank(Hasty()), Watching()
    deadline = SHORT_SECONDS if row.short else 60.0
    async with (
        RawServer(bank.stage(row, commits=commits), tls=tls) as server,
        CouponApi(server.url, CREDENTIALS, deadline_seconds=deadline) as api,
        order(folder, api, watching) as (engine, world),
    ):
        async with asyncio.timeout(10):
            stop = await engine.run()
        return Books(bank, world.snapshot(), stop, watching.said)


def loop_of_real_runs() -> asyncio.AbstractEventLoop:
    """uvloop's, where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def run(work: Coroutine[Any, Any, Books]) -> Books:
    """In the event loop that real runs use."""
    with asyncio.Runner(loop_factory=loop_of_real_runs) as runner:
        books = runner.run(work)
    books.check()
    return books


# ---------------------------------------------------------------- the matrix


@pytest.mark.parametrize("commits", [False, True], ids=["before the commit", "after the commit"])
@pytest.mark.parametrize("name", UNANSWERED)
def test_an_answer_that_says_nothing_leaves_one_doubt_and_one_post(name: str, commits: bool, tmp_path: Path) -> None:
    """In doubt with all it asked for, whether or not the server committed; the order is not asked for again."""
    books = run(meet(tmp_path, UNANSWERED[name], commits=commits))
    (call,) = books.calls
    assert (call.state, call.quantity, call.known, call.held) == ("in_doubt", TARGET, 0, TARGET)
    assert len(books.bank.came) == 1
    assert sum(books.bank.committed.values()) == (TARGET if commits else 0)
    assert books.stop is None


@pytest.mark.parametrize("name", ANSWERED)
def test_an_answer_that_came_whole_counts_however_it_came(name: str, tmp_path: Path) -> None:
    """Issued by one call, nothing held."""
    books = run(meet(tmp_path, ANSWERED[name], commits=True))
    (call,) = books.calls
    assert (call.state, call.known, call.held) == ("issued", TARGET, 0)
    assert len(books.bank.came) == 1
    assert books.stop is None


@pytest.mark.parametrize("name", BELIEVED)
def test_a_refusal_is_believed_and_what_follows_is_a_new_call(name: str, tmp_path: Path) -> None:
    """Before a commit: the call is refused and holds nothing. The run waits as told and asks anew, or ends there."""
    row = BELIEVED[name]
    books = run(meet(tmp_path, row, commits=False))
    first, *others = books.calls
    assert (first.state, first.known, first.held) == ("refused", 0, 0)
    if row.stops is not None or row.closes:
        assert (books.stop.kind if books.stop else None) is row.stops
        assert (len(books.bank.came), others) == (1, [])
        return
    assert books.stop is None
    assert [call.state for call in others] == ["issued"]
    assert sum(books.bank.committed.values()) == TARGET
    (_, first_at), (_, second_at) = books.bank.came
    assert second_at - first_at >= row.waits


def test_a_connection_reset_before_the_request_was_read_is_a_doubt(tmp_path: Path) -> None:
    """Bytes may have been written by then; only proof that none was would make it never left."""

    async def reset_at_once(peer: Peer) -> None:
        peer.reset()

    async def scenario() -> Books:
        bank, watching = Bank(Hasty()), Watching()
        async with (
            RawServer(reset_at_once) as server,
            CouponApi(server.url, CREDENTIALS) as api,
            order(tmp_path, api, watching) as (engine, world),
        ):
            stop = await engine.run()
            return Books(bank, world.snapshot(), stop, watching.said)

    books = run(scenario())
    assert [(call.state, call.held) for call in books.calls] == [("in_doubt", TARGET)]


@pytest.mark.parametrize("name", ["reset after the request", "a cut body"])
@pytest.mark.parametrize("commits", [False, True], ids=["before the commit", "after the commit"])
def test_the_same_under_tls(name: str, commits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handshake was well: what breaks after the request is a doubt there too."""
    certificate, key = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    books = run(meet(tmp_path, UNANSWERED[name], commits=commits, tls=server_context(certificate, key)))
    assert [call.state for call in books.calls] == ["in_doubt"]
    assert len(books.bank.came) == 1


# ---------------------------------------------------------------- no byte left


def never_left(books: Books) -> None:
    """The first call is proved not to have left; after a pause a new one was issued, and the server saw that one."""
    first, *tries, last = books.calls
    assert {call.state for call in (first, *tries)} == {"never_left"}
    assert (first.known, first.held) == (0, 0)
    assert (last.state, last.known) == ("issued", TARGET)
    assert len(books.bank.came) == 1
    assert books.said[0].startswith("pausing: ")
    assert books.said[-1] == "the API answers again: going on"
    assert books.stop is None


def test_a_refused_connection_is_waited_for(tmp_path: Path) -> None:
    """Nothing listens at first."""

    async def scenario() -> Books:
        bank, watching, port = Bank(Hasty()), Watching(), unused_port()
        async with (
            CouponApi(f"http://127.0.0.1:{port}", CREDENTIALS) as api,
            order(tmp_path, api, watching) as (engine, world),
        ):
            going = asyncio.create_task(engine.run())
            await watching.spoke.wait()
            async with RawServer(bank.stage(None), port=port):
                stop = await going
            return Books(bank, world.snapshot(), stop, watching.said)

    never_left(run(scenario()))


def test_a_name_that_is_not_found_for_a_minute_is_waited_for(tmp_path: Path) -> None:
    """DNS is gone, and comes back after a minute of the run's time."""

    async def scenario() -> Books:
        clock = Hasty()
        bank, watching, resolver = Bank(clock), Watching(), NoNames()
        async with (
            RawServer(bank.stage(None)) as server,
            CouponApi("http://localhost", CREDENTIALS, resolver=resolver) as api,
            order(tmp_path, api, watching) as (engine, world),
        ):
            going = asyncio.create_task(engine.run())
            await clock.sleep(60.0)
            resolver.known["localhost"] = ("127.0.0.1", server.port)
            stop = await going
            assert 4 <= len(resolver.asked) <= 12
            return Books(bank, world.snapshot(), stop, watching.said)

    never_left(run(scenario()))


@pytest.mark.parametrize("what", ["a certificate that nobody vouches for", "no TLS at all"])
def test_a_handshake_that_fails_is_waited_for(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No byte of the call is written to a server that did not prove who it is."""
    trusted, foreign = tmp_path / "trusted", tmp_path / "foreign"
    trusted.mkdir()
    foreign.mkdir()
    good = server_context(*write_certificate(trusted))
    bad = server_context(*write_certificate(foreign))
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted / "certificate.pem"))

    async def scenario() -> Books:
        bank, watching = Bank(Hasty()), Watching()

        async def stage(peer: Peer) -> None:
            if not watching.said:
                if what == "no TLS at all":
                    await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    return
                await peer.start_tls(bad)
            else:
                await peer.start_tls(good)
            await bank.stage(None)(peer)

        async with (
            RawServer(stage) as server,
            CouponApi(server.url.replace("http:", "https:"), CREDENTIALS) as api,
            order(tmp_path, api, watching) as (engine, world),
        ):
            stop = await engine.run()
            return Books(bank, world.snapshot(), stop, watching.said)

    never_left(run(scenario()))


def test_the_page_names_exactly_the_answers_that_are_believed() -> None:
    """docs/safety.md lists what is taken at its word, so that nobody takes the limit for a proof."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "safety.md").read_text(encoding="utf-8")
    (listed,) = [line for line in page.splitlines() if line.startswith("- **The API's word.**")]
    for name in BELIEVED:
        assert name.split()[0] in listed
