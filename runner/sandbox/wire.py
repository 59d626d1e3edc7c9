"""How an answer travels: whole, late, in drops, halved, or not at all."""

from __future__ import annotations

import asyncio

from aiohttp import web

from runner.sandbox.answers import Answer
from runner.sandbox.config import FaultTimes
from runner.sandbox.faults import Fault

_DRIPS = 10


async def wait(seconds: float, stopping: asyncio.Event) -> None:
    """Sleep, but not beyond the server's end."""
    if seconds <= 0 or stopping.is_set():
        return
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        pass


async def deliver(
    request: web.BaseRequest, answer: Answer, fault: Fault | None, times: FaultTimes, stopping: asyncio.Event
) -> web.StreamResponse:
    """Send an answer as its fault would have it."""
    wire = fault.kind.wire if fault is not None else "send"
    if fault is None or wire == "send":
        return response_of(answer)
    seconds = fault.seconds
    match wire:
        case "late":
            await wait(times.late_seconds if seconds is None else seconds, stopping)
            return response_of(answer)
        case "hang":
            await _hang(request, times.hang_seconds if seconds is None else seconds, stopping)
            return _cut(request)
        case "half_body":
            _write(request, _head(answer) + answer.encoded()[: len(answer.encoded()) // 2])
            return _gone()
        case "half_headers":
            head = _head(answer)
            _write(request, head[: len(head) // 2])
            return _gone()
        case "drip":
            return await _drip(request, answer, times.drip_seconds if seconds is None else seconds, stopping)
        case "close_after":
            response = response_of(answer)
            await response.prepare(request)
            await response.write_eof()
            if request.transport is not None:
                request.transport.close()
            return response
        case _:
            return _cut(request)


def response_of(answer: Answer) -> web.Response:
    """The plain response."""
    return web.Response(
        body=answer.encoded(), status=answer.status, content_type=answer.content_type, headers=answer.headers or None
    )


def _gone() -> web.Response:
    return web.Response()  # never sent: the connection is closed


def _cut(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return _gone()


def _write(request: web.BaseRequest, data: bytes) -> None:
    transport = request.transport
    if transport is not None:
        transport.write(data)
        transport.close()  # after what was written has left


def _head(answer: Answer) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} OK",
        f"Content-Type: {answer.content_type}; charset=utf-8",
        f"Content-Length: {len(answer.encoded())}",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


async def _hang(request: web.BaseRequest, seconds: float, stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end and not stopping.is_set():
        if request.transport is None or request.transport.is_closing():
            return
        await wait(min(0.25, end - loop.time()), stopping)


async def _drip(
    request: web.BaseRequest, answer: Answer, seconds: float, stopping: asyncio.Event
) -> web.StreamResponse:
    body = answer.encoded()
    response = web.StreamResponse(status=answer.status, headers=answer.headers or None)
    response.content_type = answer.content_type
    response.content_length = len(body)
    await response.prepare(request)
    step = max(1, -(-len(body) // _DRIPS))
    for start in range(0, len(body), step):
        await response.write(body[start : start + step])
        await wait(seconds / _DRIPS, stopping)
    await response.write_eof()
    return response
