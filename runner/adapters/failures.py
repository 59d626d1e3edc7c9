"""The one door where exceptions of aiohttp, asyncio and the machine become the short words of `Exchange.failure`.

The word is for people and statistics. It never says whether a request left: no exception's class tells that.
"""

from __future__ import annotations

import os
import socket
import ssl

import aiohttp
from aiohttp import http_exceptions

WORDS: tuple[tuple[type[BaseException], str], ...] = (
    # The first class that fits wins, so special ones stand before what they derive from.
    (TimeoutError, "timeout"),  # our deadline, and aiohttp's ConnectionTimeoutError and SocketTimeoutError
    (aiohttp.ClientConnectorDNSError, "dns"),
    (aiohttp.ClientSSLError, "tls"),
    (aiohttp.ServerFingerprintMismatch, "tls"),
    (ssl.SSLError, "tls"),
    (ssl.CertificateError, "tls"),
    (aiohttp.ClientHttpProxyError, "refused"),  # the proxy did not connect us
    (aiohttp.ClientConnectorError, "refused"),  # ClientProxyConnectionError and UnixClientConnectorError too
    (aiohttp.ClientConnectionError, "reset"),  # ServerDisconnectedError, ClientOSError, ClientConnectionResetError …
    (aiohttp.ClientPayloadError, "reset"),  # the body broke off; garbage in it is told apart below
    (aiohttp.UploadAbortedError, "reset"),
    (aiohttp.ClientResponseError, "protocol"),  # what came is no HTTP
    (aiohttp.InvalidURL, "protocol"),
    (aiohttp.NonHttpUrlClientError, "protocol"),
    (aiohttp.RedirectClientError, "protocol"),
    (http_exceptions.HttpProcessingError, "protocol"),
    (ConnectionRefusedError, "refused"),
    (socket.gaierror, "dns"),
    (OSError, "reset"),
)

_GARBAGE = http_exceptions.ContentEncodingError  # a body that claims to be compressed and is not


def describe_failure(error: Exception) -> tuple[str, str]:
    """The word for what broke, and a detail: class names and the machine's own error text, never the exception's.

    An exception's text may quote the address asked for, and with it a customer's identifier or a proxy's password.
    """
    return _word(error), _detail(error)


def _word(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientPayloadError) and isinstance(error.__cause__, _GARBAGE):
        return "protocol"
    for klass, word in WORDS:
        if isinstance(error, klass):
            return word
    return "protocol"


def _detail(error: Exception) -> str:
    said = [type(error).__name__]
    if isinstance(error, aiohttp.ClientResponseError) and error.status:
        said.append(f"status {error.status}")
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error.__cause__
    if cause is not None:
        said.append(type(cause).__name__)
    said.extend(_machine_text(found) for found in (error, cause))
    return ": ".join(dict.fromkeys(part for part in said if part))


def _machine_text(found: BaseException | None) -> str:
    if isinstance(found, ssl.SSLError | ssl.CertificateError):
        # By getattr: aiohttp's connector errors derive from those of ssl without having their attributes.
        return str(getattr(found, "verify_message", "") or getattr(found, "reason", "") or "")
    if isinstance(found, OSError) and found.errno is not None and found.errno > 0:
        return os.strerror(found.errno)
    return ""
