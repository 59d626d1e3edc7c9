"""Calls of which no byte left, each staged on a real socket: only these may be followed by another without a doubt."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runner.adapters.coupon_api import CouponApi
from tests.adapters.calling import CREDENTIALS, SHORT_SECONDS, NoNames, answering, post, post_to, seen
from tests.adapters.raw_server import Peer, RawServer, unused_port
from tests.adapters.self_signed import server_context, write_certificate


async def test_a_refused_connection_means_that_it_never_left() -> None:
    """Nothing listens on the port."""
    async with CouponApi(f"http://127.0.0.1:{unused_port()}", CREDENTIALS) as api:
        exchange = await post(api)
    assert seen(exchange) == (False, None, False, "refused")
    assert "ConnectorError" in exchange.detail


async def test_a_name_that_is_not_found_means_that_it_never_left() -> None:
    """DNS is gone; the resolver is a stub, so that nothing outside is asked."""
    resolver = NoNames()
    async with CouponApi(
        "https://api.example.invalid", CREDENTIALS, allowed_hosts=["api.example.invalid"], resolver=resolver
    ) as api:
        exchange = await post(api)
    assert seen(exchange) == (False, None, False, "dns")
    assert resolver.asked == ["api.example.invalid"]


async def test_a_certificate_that_nobody_vouches_for_means_that_it_never_left(tmp_path: Path) -> None:
    """TLS is verified: a self-signed server gets no byte of the call, so no credentials either."""
    tls = server_context(*write_certificate(tmp_path))
    async with RawServer(answering(), tls=tls) as server, CouponApi(server.url, CREDENTIALS) as api:
        exchange = await post(api)
    assert seen(exchange) == (False, None, False, "tls")
    assert "self-signed" in exchange.detail.replace("self signed", "self-signed")
    assert server.requests == []


async def test_a_server_that_speaks_no_tls_means_that_it_never_left() -> None:
    """Plain text in answer to a handshake."""

    async def stage(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.hang()

    async with RawServer(stage) as server, CouponApi(server.url.replace("http", "https"), CREDENTIALS) as api:
        exchange = await post(api)
    assert seen(exchange)[:1] + seen(exchange)[3:] == (False, "tls")
    assert server.requests == []


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
async def test_a_ca_bundle_from_the_environment_is_trusted(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same server is accepted once its certificate is named by the usual variable."""
    certificate, key = write_certificate(tmp_path)
    monkeypatch.setenv(variable, str(certificate))
    tls = server_context(certificate, key)
    async with RawServer(answering(), tls=tls) as server, CouponApi(server.url, CREDENTIALS) as api:
        assert seen(await post(api)) == (True, 200, True, None)


async def test_a_call_that_waits_for_a_connection_beyond_its_deadline_never_leaves_later() -> None:
    """The only connection is taken: the second call ends as never left, and is not sent when the connection is free."""
    release = asyncio.Event()

    async def stage(peer: Peer) -> None:
        while await peer.read_request():
            await release.wait()
            await peer.answer()

    async with RawServer(stage) as server, CouponApi(server.url, CREDENTIALS, concurrency=1) as api:
        first = asyncio.create_task(post(api, "call-1"))
        await server.arrived.wait()
        api._deadline_seconds = SHORT_SECONDS
        assert seen(await post(api, "call-2")) == (False, None, False, "timeout")
        api._deadline_seconds = 60.0
        release.set()
        assert seen(await first) == (True, 200, True, None)
        assert seen(await post(api, "call-3")) == (True, 200, True, None)
    assert [request.headers["x-cap-request-id"] for request in server.requests] == ["call-1", "call-3"]


async def test_reads_get_through_while_every_call_hangs() -> None:
    """A probe has connections of its own."""

    async def stage(peer: Peer) -> None:
        request = await peer.read_request()
        if request is not None and request.line.startswith("GET"):
            await peer.answer()
        await peer.hang()

    async with RawServer(stage) as server, CouponApi(server.url, CREDENTIALS, concurrency=1, deadline_seconds=5) as api:
        hanging = asyncio.create_task(post(api))
        await server.arrived.wait()
        assert seen(await api.read_series([415446])) == (True, 200, True, None)
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging


async def test_a_closed_adapter_sends_nothing_more() -> None:
    """Closed before or after its first call: what comes later never leaves."""
    async with RawServer(answering()) as server:
        never_used, used = CouponApi(server.url, CREDENTIALS), CouponApi(server.url, CREDENTIALS)
        await post(used)
        for api in (never_used, used):
            await api.close()
            assert seen(await post(api, "call-2"))[0] is False
    assert len(server.requests) == 1


async def test_a_proxy_that_refuses_to_connect_means_that_it_never_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy sees a CONNECT without our credentials, and its own password is in no text of ours."""
    async with RawServer(answering("407 Proxy Authentication Required", b"")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://someone:proxy-password@127.0.0.1:{proxy.port}")
        async with CouponApi("https://eu.api.capillarytech.com", CREDENTIALS, resolver=NoNames()) as api:
            exchange = await post(api)
            shown = repr(api) + repr(exchange)
    assert seen(exchange) == (False, None, False, "refused")
    assert [request.line for request in proxy.requests] == ["CONNECT eu.api.capillarytech.com:443 HTTP/1.1"]
    assert "authorization" not in proxy.requests[0].headers
    assert "407" in exchange.detail
    assert "proxy-password" not in shown


async def test_a_proxy_that_cannot_be_reached_means_that_it_never_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{unused_port()}")
    async with CouponApi("https://eu.api.capillarytech.com", CREDENTIALS, resolver=NoNames()) as api:
        assert seen(await post(api)) == (False, None, False, "refused")


async def test_a_call_goes_through_the_proxys_tunnel_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CONNECT, then TLS with the API itself: the proxy reads nothing of the call."""
    certificate, key = write_certificate(tmp_path, "eu.api.capillarytech.com")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async def stage(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await peer.start_tls(server_context(certificate, key))
        await peer.read_request()
        await peer.answer()

    async with RawServer(stage) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with CouponApi("https://eu.api.capillarytech.com", CREDENTIALS, resolver=NoNames()) as api:
            assert seen(await post(api)) == (True, 200, True, None)
    connect, request = proxy.requests
    assert connect.line.startswith("CONNECT ")
    assert "authorization" not in connect.headers
    assert request.line == "POST /v2/coupon/issue/multiple HTTP/1.1"


async def test_loopback_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_port()}")
    exchange, _ = await post_to(answering())
    assert seen(exchange) == (True, 200, True, None)
