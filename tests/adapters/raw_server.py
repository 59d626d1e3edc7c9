"""A server on loopback that is scripted byte by byte, to stage on a real socket whatever can go wrong with a call."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Self

ANSWER = b'{"coupons":[{"code":"C1","couponId":1}],"errors":[],"warnings":[]}'


class Request(NamedTuple):
    """One request as it was read: first line, headers with lower-case names, body."""

    line: str
    headers: dict[str, str]
    body: bytes


class Peer:
    """One connection, seen from the server. A stage reads and writes as it likes; the connection closes at its end."""

    def __init__(self, server: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer

    async def read_request(self) -> Request | None:
        """Read one whole request and note it; None when the client closed instead."""
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        line, *fields = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(line, headers, body)
        self._server.requests.append(request)
        self._server.arrived.set()
        return request

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self, status: str = "200 OK", body: bytes = ANSWER, *headers: str, version: str = "1.1") -> None:
        """A whole answer; `Content-Length` is added unless a header frames the body already."""
        framed = any(header.lower().startswith(("content-length", "transfer-encoding")) for header in headers)
        lines = [f"HTTP/{version} {status}", *headers, *(() if framed else (f"Content-Length: {len(body)}",))]
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def half_close(self) -> None:
        """Say that nothing more will be sent, and go on reading."""
        self._writer.write_eof()
        await asyncio.sleep(0)

    async def hang(self) -> None:
        """Do nothing until the client closes or the server ends."""
        try:
            while await self._reader.read(65536):
                continue
        except ConnectionError:
            return

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Go on encrypted, as behind a proxy's CONNECT."""
        await self._writer.start_tls(context)


Stage = Callable[[Peer], Awaitable[None]]


class RawServer:
    """Listens on 127.0.0.1 (any free port, unless one is given) and plays `stage` on each connection."""

    def __init__(self, stage: Stage, *, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._stage = stage
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.requests: list[Request] = []
        self.connections = 0
        self.arrived = asyncio.Event()
        """Set once the first request has been read."""
        self.port = port

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._stage(Peer(self, reader, writer))
        except (ConnectionError, asyncio.CancelledError, ssl.SSLError):
            pass  # the client went away, or the test is over
        finally:
            self._tasks.discard(task)
            writer.close()


def unused_port() -> int:
    """A port of loopback on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
