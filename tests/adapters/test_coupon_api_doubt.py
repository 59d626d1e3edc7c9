"""Calls that left, or may have, and whose answer is missing or damaged: posted once, never again by the adapter."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from typing import Any

import pytest

from runner.adapters.coupon_api import BODY_LIMIT_BYTES, CouponApi
from tests.adapters.calling import CREDENTIALS, SHORT_SECONDS, answering, post, post_to, seen
from tests.adapters.raw_server import ANSWER, Peer, RawServer, Stage


async def _reset_at_once(peer: Peer) -> None:
    peer.reset()


async def _reset_after_the_request(peer: Peer) -> None:
    await peer.read_request()
    peer.reset()


async def _close_after_the_request(peer: Peer) -> None:
    await peer.read_request()


async def _half_close(peer: Peer) -> None:
    await peer.read_request()
    await peer.half_close()
    await peer.hang()


async def _cut_the_header(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Ty")


async def _no_http(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"SSH-2.0-surprise\r\n\r\n")


async def _hang(peer: Peer) -> None:
    await peer.read_request()
    await peer.hang()


async def _early_hints_then_close(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")


@pytest.mark.parametrize(
    ("stage", "failure"),
    [
        (_reset_after_the_request, "reset"),
        (_close_after_the_request, "reset"),
        (_half_close, "reset"),
        (_cut_the_header, "reset"),
        (_early_hints_then_close, "reset"),
        (_no_http, "protocol"),
        (_hang, "timeout"),
    ],
)
async def test_a_call_without_an_answer_has_left_and_is_never_posted_again(stage: Stage, failure: str) -> None:
    """Whatever ends the connection after the request: it left, nothing is known, and the server saw it once."""
    exchange, server = await post_to(stage, deadline_seconds=SHORT_SECONDS if stage is _hang else 60.0)
    assert seen(exchange) == (True, None, False, failure)
    assert exchange.detail
    assert (len(server.requests), server.connections) == (1, 1)


async def test_a_connection_reset_before_the_request_was_read_counts_as_left() -> None:
    """The bytes may have been written when the reset comes: only proof would make it never left."""
    exchange, server = await post_to(_reset_at_once)
    assert seen(exchange) == (True, None, False, "reset")
    assert server.connections == 1


async def test_a_kept_connection_closed_by_the_server_gives_a_doubt_and_no_second_post() -> None:
    """The server reads the second call of a connection and closes: not sent again on another connection."""

    async def stage(peer: Peer) -> None:
        await peer.read_request()
        await peer.answer()
        await peer.read_request()
        peer.reset()

    async with RawServer(stage) as server, CouponApi(server.url, CREDENTIALS) as api:
        assert seen(await post(api, "call-1")) == (True, 200, True, None)
        assert seen(await post(api, "call-2")) == (True, None, False, "reset")
    assert server.connections == 1
    assert [request.headers["x-cap-request-id"] for request in server.requests] == ["call-1", "call-2"]


async def test_a_connection_closed_while_it_was_idle_is_not_used() -> None:
    """The server closed before the second call: it goes out on a fresh connection, once."""
    answered = asyncio.Event()

    async def stage(peer: Peer) -> None:
        await peer.read_request()
        await peer.answer()
        answered.set()

    async with RawServer(stage) as server, CouponApi(server.url, CREDENTIALS) as api:
        assert seen(await post(api, "call-1")) == (True, 200, True, None)
        await answered.wait()
        await _until(lambda: not any(kept[0].is_connected() for kept in _idle_connections(api)))
        assert seen(await post(api, "call-2")) == (True, 200, True, None)
    assert (server.connections, len(server.requests)) == (2, 2)


async def test_idle_connections_are_let_go_before_a_server_would_close_them() -> None:
    """Below 5 seconds, the shortest usual idle time of servers: else a race makes a doubt of a call nobody read."""
    async with RawServer(answering()) as server, CouponApi(server.url, CREDENTIALS) as api:
        await post(api)
        assert api._posts is not None
        connector: Any = api._posts.connector
        assert 0 < connector._keepalive_timeout < 5


async def test_the_deadline_covers_an_answer_that_drips() -> None:
    """Each byte comes in time, the whole never does."""

    async def stage(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            await peer.send(b"x")
            await asyncio.sleep(0.005)

    exchange, server = await post_to(stage, deadline_seconds=SHORT_SECONDS)
    assert seen(exchange) == (True, 200, False, "timeout")
    assert SHORT_SECONDS <= exchange.seconds < 5
    assert 0 < len(exchange.body) < 100_000
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "frame",
    [
        b"Content-Length: 1000\r\n\r\n" + ANSWER,
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(ANSWER) + ANSWER + b"\r\n",
    ],
    ids=["content-length", "chunked"],
)
async def test_a_body_that_breaks_off_is_given_back_as_incomplete(frame: bytes) -> None:
    """What came is kept as evidence, and said not to be all."""

    async def stage(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\n" + frame)

    exchange, server = await post_to(stage)
    assert seen(exchange) == (True, 200, False, "reset")
    assert exchange.body == ANSWER
    assert len(server.requests) == 1


async def test_garbage_that_claims_to_be_compressed_is_no_answer() -> None:
    exchange, server = await post_to(answering("200 OK", b"no gzip at all", "Content-Encoding: gzip"))
    assert seen(exchange) == (True, 200, False, "protocol")
    assert len(server.requests) == 1


async def test_a_compressed_answer_is_read() -> None:
    exchange, _ = await post_to(answering("200 OK", gzip.compress(ANSWER), "Content-Encoding: gzip"))
    assert seen(exchange) == (True, 200, True, None)
    assert exchange.body == ANSWER


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip bomb"])
async def test_an_answer_above_the_limit_is_dropped_unread(compressed: bool) -> None:
    """Memory stays bounded, also when a small answer unpacks to a huge one."""
    body = b"x" * (BODY_LIMIT_BYTES + 1_000_000)
    stage = (
        answering("200 OK", gzip.compress(body, 1), "Content-Encoding: gzip")
        if compressed
        else answering("200 OK", body)
    )
    exchange, server = await post_to(stage)
    assert seen(exchange) == (True, 200, False, "too_large")
    assert len(exchange.body) < BODY_LIMIT_BYTES + 1_000_000
    assert len(server.requests) == 1


async def test_an_answer_at_the_limit_is_complete() -> None:
    exchange, _ = await post_to(answering("200 OK", b"x" * BODY_LIMIT_BYTES))
    assert seen(exchange) == (True, 200, True, None)
    assert len(exchange.body) == BODY_LIMIT_BYTES


async def test_a_cancelled_call_raises_and_is_not_sent_again() -> None:
    """Cancellation is the one thing that is raised; whoever cancels holds the call as in doubt."""
    async with RawServer(_hang) as server, CouponApi(server.url, CREDENTIALS) as api:
        task = asyncio.create_task(post(api))
        await server.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(server.requests) == 1


def _idle_connections(api: CouponApi) -> list[Any]:
    assert api._posts is not None
    connector: Any = api._posts.connector
    return [kept for pool in connector._conns.values() for kept in pool]


async def _until(condition: Callable[[], bool]) -> None:
    """Let the loop work until a condition of ours holds; a test that never gets there is stopped by its timeout."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is awaited is inside aiohttp and sets no event
            await asyncio.sleep(0.001)
