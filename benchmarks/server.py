"""A fast local server of the one endpoint: a well-formed success with unique coupon and customer ids, nothing else.

Unique ids matter: with repeated ones the identity table would rightly take all customers for one person.
`python -m benchmarks.server` prints its base URL.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
from typing import cast

import uvloop

_CONFIG = (
    b'{"customPropertyMap":{},"id":0,"description":"Benchmark","discountCode":"NO_VALUE","info":"Benchmark","discountUpto":0,'
    b'"discountValue":500,"issueToLoyalty":false,"numUploadedNonIssued":0,"numUploadedTotal":0,"redemptionValidAfterDays":0,'
    b'"ownerId":0,"ownerValidity":0,"alphaNumeric":false,"shortCodeLength":0,"randomCodeLength":0,"fixedExpiryDate":0,'
    b'"numTotal":0,"latestIssualTime":0,"latestRedemptionTime":0,"discountOn":"BILL","discountType":"ABS",'
    b'"externalIssual":false,"updateProductData":false}'
)
_ASKED = re.compile(rb'"count":(\d+),"customer":{"(\w+)":"([^"]*)"')
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
_ANSWER = (
    b'{"coupons":[%b],"couponConfig":'
    + _CONFIG
    + b',"totalCount":%d,"failureCount":0,"successCount":%d,"customer":{"id":%d,"profiles":[{"firstName":"Sample",'
    b'"lastName":"Customer","fields":{},"allFields":{},"identifiers":[{"type":"%b","value":"%b"}],"commChannels":[],'
    b'"userId":%d,"accountId":"","autoUpdateTime":"2026-01-01T00:00:00Z",'
    b'"identifiersAll":[{"type":"%b","value":"%b"}]}]},"errors":[],"warnings":[]}'
)


class Endpoint(asyncio.Protocol):
    """One kept-alive connection."""

    coupon_ids = itertools.count(1_000_000_000)
    customer_ids = itertools.count(500_000_000)

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Answer each whole request; nearly always there is exactly one, in one piece."""
        received = self._received + data if self._received else data
        while (end := received.find(b"\r\n\r\n")) >= 0:
            at = received.find(b"Content-Length: ", 0, end)
            stop = end + 4 + (int(received[at + 16 : received.index(b"\r", at)]) if at >= 0 else 0)
            if len(received) < stop:
                break
            self._answer(received[end + 4 : stop])
            received = received[stop:]
        self._received = received

    def _answer(self, body: bytes) -> None:
        found = _ASKED.search(body)
        count, kind, value = (int(found[1]), found[2], found[3]) if found else (1, b"mobile", b"0")
        first = next(self.coupon_ids)
        coupons = b'{"code":"C%d","couponId":%d}' % (first, first)
        for _ in range(count - 1):
            number = next(self.coupon_ids)
            coupons += b',{"code":"C%d","couponId":%d}' % (number, number)
        customer = next(self.customer_ids)
        answer = _ANSWER % (coupons, count, count, customer, kind, value, customer, kind, value)
        assert self._transport is not None
        self._transport.write(_HEAD % (len(answer), answer))


async def serve() -> None:
    """Listen on any free port until killed."""
    server = await asyncio.get_running_loop().create_server(Endpoint, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(serve())
