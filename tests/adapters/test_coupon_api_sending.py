"""What a call sends, and that an answer is given back as it came, whatever it says."""

from __future__ import annotations

import itertools
import json
import socket

import pytest
from aiohttp.abc import ResolveResult

from runner.adapters.coupon_api import CouponApi
from runner.errors import SettingsError
from runner.ports import CouponApi as CouponApiPort
from tests.adapters.calling import CREDENTIALS, NoNames, answering, post, post_to, seen
from tests.adapters.raw_server import ANSWER, Peer, RawServer


async def test_one_call_is_one_post_with_exactly_the_documented_body_and_headers() -> None:
    """Body, path and headers as the API's reference has them; the call key goes along twice, to be found again."""
    stage = answering("200 OK", ANSWER, "X-CAP-REQUEST-ID: call-1", "Set-Cookie: a=b", "Content-Type: application/json")
    async with RawServer(stage) as server:
        async with CouponApi(server.url, CREDENTIALS, attribution=("TILL", "till.example")) as api:
            port: CouponApiPort = api
            exchange = await port.issue(
                call_key="call-1", series=415446, count=2, kind="externalId", value="000003873472"
            )
            await post(api, "call-2")
        request, second = server.requests
    assert request.line == "POST /v2/coupon/issue/multiple HTTP/1.1"
    assert json.loads(request.body) == {
        "seriesId": 415446,
        "count": 2,
        "customer": {"externalId": "000003873472"},
        "metadata": {"sourceType": "coupon-runner", "sourceId": "call-1"},
    }
    assert request.headers["content-type"] == request.headers["accept"] == "application/json"
    assert request.headers["x-cap-request-id"] == "call-1"
    assert request.headers["x-cap-api-attribution-entity-type"] == "TILL"
    assert request.headers["x-cap-api-attribution-entity-code"] == "till.example"
    assert request.headers["user-agent"].startswith("coupon-runner/")
    # md5("not-a-real-password"), then base64 of user:digest, worked out by hand with md5sum and base64.
    assert request.headers["authorization"] == ("Basic dGlsbC5leGFtcGxlOmFkZTZmNGM2OTU0N2FmNGM5MTdlOTJkNjU0OGMyMjlh")
    assert "cookie" not in second.headers
    assert seen(exchange) == (True, 200, True, None)
    assert exchange.body == ANSWER
    assert set(exchange.headers) == {"x-cap-request-id", "content-type"}
    assert 0 < exchange.seconds < 5


async def test_the_exchange_tells_how_long_the_call_had_to_wait_before_it_left() -> None:
    """The first one opens a connection, which takes a while by this clock of ticks; the second finds it open."""
    ticks = itertools.count()

    class SlowNames(NoNames):
        async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
            list(itertools.islice(ticks, 100))
            return await super().resolve(host, port, family)

    def now() -> float:
        return float(next(ticks))

    async with RawServer(answering()) as server:
        port = int(server.url.rsplit(":", 1)[1])
        names = SlowNames({"localhost": ("127.0.0.1", port)})
        async with CouponApi(f"http://localhost:{port}", CREDENTIALS, resolver=names, now=now) as api:
            first, second = await post(api, "call-1"), await post(api, "call-2")
    assert first.status == second.status == 200
    assert first.seconds > first.seconds_to_leave > 100
    assert 0 < second.seconds_to_leave < 10


async def test_metadata_can_be_switched_off() -> None:
    """Older clusters may not know it."""
    _, server = await post_to(answering(), metadata=False)
    assert "metadata" not in json.loads(server.requests[0].body)


async def test_reads_quote_what_they_ask_for() -> None:
    """Series by repeated `ids`; a plus sign in an address stays a plus sign."""
    async with RawServer(answering()) as server, CouponApi(server.url + "/", CREDENTIALS) as api:
        assert seen(await api.read_series([415446, 535521])) == (True, 200, True, None)
        assert seen(await api.lookup("email", "a+b@example.com")) == (True, 200, True, None)
    assert [request.line for request in server.requests] == [
        "GET /v2/coupon/series?ids=415446&ids=535521 HTTP/1.1",
        "GET /v2/customers/lookup?source=INSTORE&identifierName=email&identifierValue=a%2Bb%40example.com HTTP/1.1",
    ]


async def test_what_cannot_be_written_as_json_never_leaves() -> None:
    """A lone surrogate is no text: the call ends before a connection is opened, without an exception."""
    async with RawServer(answering()) as server, CouponApi(server.url, CREDENTIALS) as api:
        exchange = await api.issue(call_key="call-1", series=1, count=1, kind="email", value="\ud800@example.com")
    assert seen(exchange) == (False, None, False, "protocol")
    assert server.connections == 0


@pytest.mark.parametrize(
    "status", ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 P"]
)
async def test_a_redirect_is_never_followed(status: str) -> None:
    """aiohttp would post again by itself on 307 and 308: the server must see one request, whatever it answers."""

    async def stage(peer: Peer) -> None:
        while await peer.read_request():
            await peer.answer(status, b"", f"Location: {server.url}/v2/coupon/issue/multiple?again")

    async with RawServer(stage) as server, CouponApi(server.url, CREDENTIALS) as api:
        exchange = await post(api)
        assert seen(exchange) == (True, int(status[:3]), True, None)
        assert seen(await api.read_series([1]))[1] == int(status[:3])
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        ("200 OK", b"", {}),
        ("204 No Content", b"", {}),
        ("401 Unauthorized", b"<response><status>401</status></response>", {"content-type": "application/xml"}),
        ("429 Too Many Requests", b"", {"retry-after": "7"}),
        ("429 Too Many Requests", b"", {"retry-after": "Mon, 23 Nov 2026 03:16:00 GMT"}),
        ("500 Internal Server Error", b'{"errors":[]}', {"date": "Mon, 23 Nov 2026 03:15:00 GMT"}),
        ("503 Service Unavailable", b"<html>", {"content-type": "text/html"}),
        ("504 Gateway Time-out", b"<html>", {"content-type": "text/html"}),
        ("524 A Timeout Occurred", b"", {}),
    ],
)
async def test_an_answer_is_given_back_as_it_came(status: str, body: bytes, headers: dict[str, str]) -> None:
    """No status is an exception, no body is parsed, the headers that decide are kept."""
    exchange, server = await post_to(answering(status, body, *(f"{name}: {value}" for name, value in headers.items())))
    assert seen(exchange) == (True, int(status[:3]), True, None)
    assert exchange.body == body
    assert exchange.headers == headers
    assert len(server.requests) == 1


@pytest.mark.parametrize("hint", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"])
async def test_interim_answers_are_passed_over(hint: bytes) -> None:
    """A 1xx is not the answer; the one after it is."""

    async def stage(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(hint + hint)
        await peer.answer("201 Created")

    exchange, server = await post_to(stage)
    assert seen(exchange) == (True, 201, True, None)
    assert len(server.requests) == 1


async def test_an_http_1_0_answer_without_a_length_is_read_to_its_end() -> None:
    async def stage(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.0 200 OK\r\n\r\n" + ANSWER)

    exchange, server = await post_to(stage)
    assert seen(exchange) == (True, 200, True, None)
    assert exchange.body == ANSWER
    assert len(server.requests) == 1


def test_an_address_that_may_not_have_credentials_is_refused() -> None:
    with pytest.raises(SettingsError, match="allowed_hosts"):
        CouponApi("https://api.example.com", CREDENTIALS)


def test_neither_the_adapter_nor_its_credentials_show_a_secret() -> None:
    """repr, str and the exceptions of construction."""
    api = CouponApi("http://localhost:1", CREDENTIALS)
    shown = f"{api!r} {api} {CREDENTIALS!r} {CREDENTIALS} {vars(api)!r}"
    for secret in ("not-a-real-password", "ade6f4c69547af4c917e92d6548c229a", "dGlsbC5leGFtcGxl"):
        assert secret not in shown
