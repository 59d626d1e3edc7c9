"""Every exception that aiohttp knows has its word, so that a new one in a later version does not pass unseen."""

from __future__ import annotations

import http.client
import inspect
import ssl
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import client_exceptions, http_exceptions
from yarl import URL

from runner.adapters.failures import WORDS, describe_failure

EXPECTED = {
    "ClientConnectionError": "reset",
    "ClientConnectionResetError": "reset",
    "ClientConnectorCertificateError": "tls",
    "ClientConnectorDNSError": "dns",
    "ClientConnectorError": "refused",
    "ClientConnectorSSLError": "tls",
    "ClientError": None,  # never raised as such
    "ClientHttpProxyError": "refused",
    "ClientOSError": "reset",
    "ClientPayloadError": "reset",
    "ClientProxyConnectionError": "refused",
    "ClientResponseError": "protocol",
    "ClientSSLError": "tls",
    "ConnectionTimeoutError": "timeout",
    "ContentTypeError": "protocol",
    "InvalidURL": "protocol",
    "InvalidUrlClientError": "protocol",
    "InvalidUrlRedirectClientError": "protocol",
    "NonHttpUrlClientError": "protocol",
    "NonHttpUrlRedirectClientError": "protocol",
    "RedirectClientError": "protocol",
    "ServerConnectionError": "reset",
    "ServerDisconnectedError": "reset",
    "ServerFingerprintMismatch": "tls",
    "ServerTimeoutError": "timeout",
    "SocketTimeoutError": "timeout",
    "TooManyRedirects": "protocol",
    "UnixClientConnectorError": "refused",
    "UploadAbortedError": "reset",
    "WSServerHandshakeError": "protocol",
}


def _tree(root: type[BaseException]) -> set[type[BaseException]]:
    return {root}.union(*(_tree(child) for child in root.__subclasses__() if child.__module__.startswith("aiohttp.")))


def test_each_exception_of_aiohttp_has_the_word_decided_for_it() -> None:
    """A class that is not in the list above is new: look at what raises it, then give it a word."""
    found = {klass.__name__: klass for klass in _tree(aiohttp.ClientError)}
    assert set(found) - set(EXPECTED) == set()
    assert {client_exceptions.ClientError} | set(found.values()) >= set(_public_classes())
    for name, klass in found.items():
        fitting = [word for root, word in WORDS if issubclass(klass, root)]
        assert (fitting[0] if fitting else None) == EXPECTED[name], name


def test_each_exception_of_the_parser_has_a_word() -> None:
    for klass in _tree(http_exceptions.HttpProcessingError):
        assert [word for root, word in WORDS if issubclass(klass, root)][:1] == ["protocol"], klass


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (TimeoutError(), "timeout"),
        (ConnectionResetError(104, "x"), "reset"),
        (ConnectionRefusedError(111, "x"), "refused"),
        (BrokenPipeError(32, "x"), "reset"),
        (ssl.SSLError(1, "x"), "tls"),
        (OSError("x"), "reset"),
        (RuntimeError("Session is closed"), "protocol"),
        (http.client.HTTPException("x"), "protocol"),
        (Exception(), "protocol"),
    ],
)
def test_other_exceptions_have_a_word_too(error: Exception, word: str) -> None:
    """Nothing escapes: what nobody thought of is `protocol`, with its class as the detail."""
    assert describe_failure(error)[0] == word
    assert type(error).__name__ in describe_failure(error)[1]


def test_a_detail_never_quotes_an_exceptions_text() -> None:
    """An address in it may hold a customer's identifier, a proxy's a password; a server's first line is anybody's."""
    private = "919000000001"
    url = URL(f"http://proxy-user:proxy-password@localhost/?identifierValue={private}")
    request = aiohttp.RequestInfo(url, "GET", Mock(), url)
    key = Mock(host="localhost", port=1, ssl=True)
    errors: list[Exception] = [
        aiohttp.InvalidURL(url),
        aiohttp.NonHttpUrlClientError(url),
        aiohttp.ClientResponseError(request, (), status=400, message=private),
        aiohttp.ClientHttpProxyError(request, (), status=407, message=private),
        aiohttp.ClientOSError(104, private),
        aiohttp.ClientConnectorError(key, OSError(111, private)),
        aiohttp.ClientConnectorDNSError(key, OSError(None, private)),
        aiohttp.ServerDisconnectedError(private),
        aiohttp.ClientPayloadError(private),
        ValueError(private),
    ]
    for error in errors:
        word, detail = describe_failure(error)
        assert word
        assert type(error).__name__ in detail
        assert private not in detail
        assert "proxy-" not in detail


def _public_classes() -> list[type[BaseException]]:
    return [
        klass
        for _, klass in inspect.getmembers(client_exceptions, inspect.isclass)
        if issubclass(klass, aiohttp.ClientError)
    ]
