"""One call against a staged server, and what came of it in one line: what the adapter's tests have in common."""

from __future__ import annotations

import socket
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from runner.adapters.coupon_api import CouponApi
from runner.adapters.credentials import BasicCredentials
from runner.core.model import Exchange
from tests.adapters.raw_server import ANSWER, Peer, RawServer, Stage

CREDENTIALS = BasicCredentials("till.example", "not-a-real-password")
SHORT_SECONDS = 0.15


class NoNames(AbstractResolver):
    """A resolver that knows the names it was given and fails for every other, as an unplugged machine does."""

    def __init__(self, known: dict[str, tuple[str, int]] | None = None) -> None:
        self.known = known or {}
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        self.asked.append(host)
        if host not in self.known:
            raise OSError(None, "no such name")
        address, its_port = self.known[host]
        return [ResolveResult(hostname=host, host=address, port=its_port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is open."""


async def post(api: CouponApi, call_key: str = "call-1") -> Exchange:
    return await api.issue(call_key=call_key, series=415446, count=2, kind="mobile", value="919000000001")


async def post_to(stage: Stage, **options: Any) -> tuple[Exchange, RawServer]:
    """One call to a server that plays `stage`."""
    async with RawServer(stage) as server, CouponApi(server.url, CREDENTIALS, **options) as api:
        return await post(api), server


def seen(exchange: Exchange) -> tuple[bool, int | None, bool, str | None]:
    return exchange.left, exchange.status, exchange.complete, exchange.failure


def answering(status: str = "200 OK", body: bytes = ANSWER, *headers: str, version: str = "1.1") -> Stage:
    async def stage(peer: Peer) -> None:
        while await peer.read_request():
            await peer.answer(status, body, *headers, version=version)

    return stage
