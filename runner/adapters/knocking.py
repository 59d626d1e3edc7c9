"""One GET without credentials, to see whether an address can be reached, and what time it is there."""

from __future__ import annotations

import asyncio
import time

import aiohttp

from runner import __version__
from runner.adapters.failures import describe_failure
from runner.adapters.hosts import proxy_for, tls_context
from runner.core.model import Exchange

_SECONDS = 15.0


async def knock(base_url: str) -> Exchange:
    """Ask for `base_url`, which has passed `hosts.check_url`, by the way that calls take: proxy, certificates.

    Returns what was seen, without a body. Raises nothing but `asyncio.CancelledError`.

    Raises:
        SettingsError: the proxy or the certificate file that the environment names cannot be used.
    """
    proxy = proxy_for(base_url)
    tls = tls_context() if base_url.startswith("https:") else True
    began = time.monotonic()
    try:
        async with asyncio.timeout(_SECONDS):
            connector = aiohttp.TCPConnector(ssl=tls)
            headers = {"User-Agent": f"coupon-runner/{__version__}"}
            async with (
                aiohttp.ClientSession(connector=connector, headers=headers, proxy=proxy) as session,
                session.get(base_url + "/", allow_redirects=False) as answer,
            ):
                kept = {"date": answer.headers.get("Date", "")}
                seconds = time.monotonic() - began
                return Exchange(left=True, status=answer.status, headers=kept, complete=True, seconds=seconds)
    except Exception as error:  # noqa: BLE001 - whatever broke is what is to be told
        failure, detail = describe_failure(error)
        return Exchange(left=True, failure=failure, detail=detail, seconds=time.monotonic() - began)
