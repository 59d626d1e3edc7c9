"""The control: a bare aiohttp + uvloop loop that only posts and reads. No ledger, no answers looked at, nothing safe.

`python -m benchmarks.bare URL CALLS CONCURRENCY` prints calls per second.
"""

from __future__ import annotations

import asyncio
import sys
import time

import aiohttp
import orjson
import uvloop

ISSUE_PATH = "/v2/coupon/issue/multiple"


async def post_all(base_url: str, calls: int, concurrency: int) -> float:
    """Post that many calls; returns the seconds from the first to the last answer."""
    numbers = iter(range(calls))
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Authorization": "Basic YmVuY2g6YmVuY2g=",
    }
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def work() -> None:
            for number in numbers:
                body = orjson.dumps(
                    {"seriesId": 415446, "count": 1, "customer": {"mobile": str(919_000_000_000 + number)}}
                )
                async with session.post(base_url + ISSUE_PATH, data=body, headers=headers) as response:
                    await response.read()

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(concurrency)))
        return time.perf_counter() - began


if __name__ == "__main__":
    url, calls, concurrency = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        seconds = loop.run(post_all(url, calls, concurrency))
    sys.stdout.write(f"{calls / seconds:.1f}\n")
