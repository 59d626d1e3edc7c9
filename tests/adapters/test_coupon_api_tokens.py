"""OAuth: one new token however many calls wait, renewed before it ends, and refused credentials said plainly."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from runner.adapters.coupon_api import CouponApi
from runner.adapters.credentials import OAuthCredentials
from runner.adapters.tokens import NoToken, read_token
from runner.core.model import Exchange
from runner.errors import ApiRefusesAll
from tests.adapters.calling import CREDENTIALS, post, seen
from tests.adapters.raw_server import Peer, RawServer, Request, unused_port

OAUTH = OAuthCredentials("key-of-a-test", "secret-of-a-test")
REFUSED = b'{"data":null,"errors":[{"code":320001,"message":"Invalid client"}]}'


class OAuthServer(RawServer):
    """Grants token-1, token-2, … with a life of 1000 seconds; answers every call with 200."""

    def __init__(self) -> None:
        super().__init__(self._play)
        self.token_answer: tuple[str, bytes] | None = None
        self.drop_token_requests = False
        self.may_answer_tokens = asyncio.Event()
        self.may_answer_tokens.set()
        self.granted = 0

    @property
    def token_requests(self) -> list[Request]:
        return [request for request in self.requests if "/oauth/" in request.line]

    @property
    def calls(self) -> list[Request]:
        return [request for request in self.requests if "/issue/" in request.line]

    async def _play(self, peer: Peer) -> None:
        while request := await peer.read_request():
            if "/oauth/" not in request.line:
                await peer.answer()
                continue
            await self.may_answer_tokens.wait()
            if self.drop_token_requests:
                peer.reset()
                return
            if self.token_answer is not None:
                await peer.answer(*self.token_answer)
                continue
            self.granted += 1
            data = {"accessToken": f"token-{self.granted}", "ttlSeconds": 1000}
            await peer.answer("200 OK", json.dumps({"data": data, "errors": None}).encode())


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 50.0

    def now(self) -> float:
        return self.seconds


def _api(server: OAuthServer, **options: Any) -> CouponApi:
    return CouponApi(server.url, OAUTH, concurrency=100, **options)


def _tokens_sent(server: OAuthServer) -> list[str]:
    return [request.headers["x-cap-api-oauth-token"] for request in server.calls]


async def test_a_hundred_calls_at_once_ask_for_one_token() -> None:
    """All wait for the same request, whose body is key and secret and nothing else."""
    async with OAuthServer() as server, _api(server) as api:
        assert api.credentials_version() == "0"
        exchanges = await asyncio.gather(*(post(api, f"call-{number}") for number in range(100)))
        assert api.credentials_version() == "1"
    assert {seen(exchange) for exchange in exchanges} == {(True, 200, True, None)}
    assert len(server.token_requests) == 1
    assert server.token_requests[0].line == "POST /v3/oauth/token/generate HTTP/1.1"
    assert json.loads(server.token_requests[0].body) == {"key": "key-of-a-test", "secret": "secret-of-a-test"}
    assert _tokens_sent(server) == ["token-1"] * 100
    assert all("authorization" not in request.headers for request in server.requests)


async def test_a_hundred_refused_calls_get_one_new_token() -> None:
    """The token ended: whoever comes late finds the newer one and asks for none."""
    async with OAuthServer() as server, _api(server) as api:
        await post(api)
        renewed = await asyncio.gather(*(api.refresh_credentials(seen="1") for _ in range(100)))
        assert await api.refresh_credentials(seen="1") is True
        assert api.credentials_version() == "2"
        await post(api, "call-2")
    assert renewed == [True] * 100
    assert len(server.token_requests) == 2
    assert _tokens_sent(server) == ["token-1", "token-2"]


async def test_a_call_that_is_cancelled_while_it_waits_takes_the_token_from_nobody() -> None:
    async with OAuthServer() as server, _api(server) as api:
        server.may_answer_tokens.clear()
        first, second = asyncio.create_task(post(api, "call-1")), asyncio.create_task(post(api, "call-2"))
        await server.arrived.wait()
        first.cancel()
        await asyncio.wait([first])
        server.may_answer_tokens.set()
        assert seen(await second) == (True, 200, True, None)
        assert first.cancelled()
    assert len(server.token_requests) == 1
    assert [request.headers["x-cap-request-id"] for request in server.calls] == ["call-2"]


async def test_a_token_is_renewed_at_four_fifths_of_its_life_and_calls_go_on_meanwhile() -> None:
    """Before 80 % nothing is asked; after it one request, while calls still go out under the token that lives."""
    hands = Hands()
    async with OAuthServer() as server, _api(server, now=hands.now) as api:
        await post(api)
        hands.seconds += 799
        await post(api)
        assert len(server.token_requests) == 1
        hands.seconds += 2
        server.may_answer_tokens.clear()
        await asyncio.gather(*(post(api) for _ in range(5)))
        assert _tokens_sent(server) == ["token-1"] * 7
        server.may_answer_tokens.set()
        assert await api.refresh_credentials(seen="1") is True
        await post(api)
    assert _tokens_sent(server)[-1] == "token-2"
    assert len(server.token_requests) == 2


async def test_a_token_that_has_ended_is_not_sent() -> None:
    """The machine slept through the renewal: the next call waits for a new token."""
    hands = Hands()
    async with OAuthServer() as server, _api(server, now=hands.now) as api:
        await post(api)
        hands.seconds += 5000
        await post(api)
    assert _tokens_sent(server) == ["token-1", "token-2"]


async def test_an_early_renewal_that_fails_is_not_repeated_with_every_call() -> None:
    """The token in hand still serves; the question is put again after some seconds."""
    hands = Hands()
    async with OAuthServer() as server, _api(server, now=hands.now) as api:
        await post(api)
        server.drop_token_requests = True
        hands.seconds += 801
        for _ in range(20):
            assert seen(await post(api)) == (True, 200, True, None)
    assert len(server.token_requests) == 2


async def test_a_network_that_fails_while_asking_for_a_token_means_that_the_call_never_left() -> None:
    async with CouponApi(f"http://127.0.0.1:{unused_port()}", OAUTH) as api:
        exchange = await post(api)
        assert seen(exchange) == (False, None, False, "refused")
        assert "token" in exchange.detail
        with pytest.raises(ApiRefusesAll, match="gives no token now"):
            await api.sign_in()


async def test_a_refused_token_is_not_sent_again_when_no_new_one_can_be_had() -> None:
    """Else its next refusal would be taken for one of a fresh token, and would stop the run for a network fault."""
    async with OAuthServer() as server, _api(server) as api:
        await post(api)
        server.drop_token_requests = True
        assert await api.refresh_credentials(seen="1") is True
        assert seen(await post(api)) == (False, None, False, "reset")
        server.drop_token_requests = False
        assert seen(await post(api)) == (True, 200, True, None)
    assert _tokens_sent(server) == ["token-1", "token-2"]


@pytest.mark.parametrize(
    ("status", "body"),
    [("200 OK", REFUSED), ("400 Bad Request", REFUSED), ("401 Unauthorized", b"<xml/>"), ("403 Forbidden", b"")],
)
async def test_refused_credentials_are_said_at_the_start_and_stop_every_call(status: str, body: bytes) -> None:
    """A sentence that names the variables and no secret; no call leaves."""
    async with OAuthServer() as server, _api(server) as api:
        server.token_answer = (status, body)
        with pytest.raises(ApiRefusesAll) as caught:
            await api.sign_in()
        assert "COUPON_RUNNER_API_KEY" in caught.value.message
        assert "of-a-test" not in caught.value.message
        assert seen(await post(api)) == (False, None, False, "credentials")
        assert await api.refresh_credentials(seen=None) is False
    assert server.calls == []


async def test_signing_in_asks_for_the_token_that_the_first_call_uses() -> None:
    async with OAuthServer() as server, _api(server) as api:
        await api.sign_in()
        await post(api)
    assert len(server.token_requests) == 1


async def test_basic_credentials_have_no_version_and_cannot_be_renewed() -> None:
    async with OAuthServer() as server, CouponApi(server.url, CREDENTIALS) as api:
        await api.sign_in()
        assert api.credentials_version() is None
        assert await api.refresh_credentials(seen=None) is False
    assert server.requests == []


async def test_closing_ends_a_request_for_a_token() -> None:
    async with OAuthServer() as server:
        api = _api(server)
        server.may_answer_tokens.clear()
        waiting = asyncio.create_task(post(api))
        await server.arrived.wait()
        await api.close()
        assert seen(await waiting) == (False, None, False, "cancelled")


async def test_no_secret_reaches_a_log_or_a_repr(caplog: pytest.LogCaptureFixture) -> None:
    """Not key, not secret, not token, at the most talkative level of every library."""
    caplog.set_level(logging.DEBUG)
    async with OAuthServer() as server, _api(server) as api:
        exchange = await post(api)
        assert api._tokens is not None
        token = await api._tokens.token()
        shown = f"{api!r} {vars(api)!r} {OAUTH!r} {exchange!r} {token!r} {vars(api._tokens)!r} {caplog.text}"
    for secret in ("key-of-a-test", "secret-of-a-test", "token-1"):
        assert secret not in shown


def _answer(body: object, status: int = 200) -> Exchange:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Exchange(left=True, status=status, body=raw, complete=True)


@pytest.mark.parametrize(
    ("ttl", "life"),
    [
        (3600, 3600.0),
        ("3600", 3600.0),
        (1e9, 1e9),
        (None, 300.0),
        (0, 300.0),
        (-5, 300.0),
        ("soon", 300.0),
        ([], 300.0),
    ],
)
def test_the_life_of_a_token_is_what_the_answer_says_or_else_short(ttl: object, life: float) -> None:
    assert read_token(_answer({"data": {"accessToken": "t", "ttlSeconds": ttl}, "errors": None})) == ("t", life)


@pytest.mark.parametrize(
    "exchange",
    [
        _answer(b"<html>", 200),
        _answer(b"", 200),
        _answer(b"[1]", 200),
        _answer({"data": None, "errors": [{"code": 500}]}),
        _answer({"data": {"accessToken": ""}}),
        _answer({"data": {"accessToken": "a\r\nX-Evil: 1"}}),
        _answer({"data": {"accessToken": 7}}),
        _answer({"data": {"accessToken": "t"}}, 500),
        _answer(b"", 307),
        _answer(b"", 429),
        _answer(b"", 503),
        Exchange(left=True, status=200, body=b'{"data":', complete=False, failure="reset"),
    ],
)
def test_an_answer_without_a_usable_token_may_pass(exchange: Exchange) -> None:
    """Only a refusal is for good; a gateway's page, a throttle or a cut answer are asked again."""
    found = read_token(exchange)
    assert isinstance(found, NoToken)
    assert found.refused is False
