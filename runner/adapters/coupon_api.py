"""The API over HTTP: one POST a call, given back uninterpreted, whatever happened to it.

Never retries, never follows a redirect, never interprets an answer, never logs. Foreign exceptions become an `Exchange`
here and nowhere else. What makes `left` trustworthy: a request marks its body when it has got its connection, *before*
aiohttp writes the first byte, so only the absence of the mark proves that nothing left; the class of an exception
proves nothing.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver
from aiohttp.connector import Connection
from yarl import URL

from runner import __version__
from runner.adapters.credentials import BasicCredentials, Credentials, OAuthCredentials
from runner.adapters.failures import describe_failure
from runner.adapters.hosts import check_url, proxy_for, tls_context
from runner.adapters.tokens import NoToken, TokenKeeper
from runner.core.model import Exchange
from runner.errors import ApiRefusesAll

ISSUE_PATH = "/v2/coupon/issue/multiple"
SERIES_PATH = "/v2/coupon/series"
LOOKUP_PATH = "/v2/customers/lookup"
DETAILS_PATH = "/v2/coupon"
CUSTOMER_COUPONS_PATH = "/v2/customers/coupons"
REVOKE_PATH = "/v2/coupon/revoke"
TOKEN_PATH = "/v3/oauth/token/generate"  # noqa: S105 - a path, no secret

BODY_LIMIT_BYTES = 8 * 1024 * 1024
"""500 coupons take about 40 KB; an answer above this is not one that could be understood."""

SOURCE_TYPE = "coupon-runner"

MOST_REVOKED = 50
"""Codes that one revocation may name (the endpoint's documented maximum)."""

_COUPONS_PARAMETER = {"externalId": "external_Id"}
"""Kind → the parameter's name, where it is another."""

_READS_AT_ONCE = 4
# Servers and load balancers close idle connections after 5 seconds at the earliest (Node's default; AWS 60, nginx 75).
# A POST written to a connection that is just being closed meets a reset, and is in doubt although nobody read it: so we
# let go of an idle connection first.
_KEEPALIVE_SECONDS = 4.0
_REQUEST_ID = "X-CAP-REQUEST-ID"
_TOKEN_HEADER = "X-CAP-API-OAUTH-TOKEN"  # noqa: S105 - the header's name
_KEPT_HEADERS = ("Retry-After", "Date", _REQUEST_ID, "Content-Type")


class CouponApi:
    """`ports.CouponApi` on aiohttp, with the customer look-up beside it.

    Args:
        base_url: the API's address; checked by `hosts.check_url`.
        credentials: Basic or OAuth.
        allowed_hosts: hosts beside the vendor's that credentials may go to.
        concurrency: calls in flight at most; a call above it waits for a connection within its deadline.
        deadline_seconds: for a whole exchange, waiting for a token and a connection included.
        connect_seconds: for TCP and TLS.
        metadata: whether the body carries `metadata` (older clusters may not know it).
        attribution: entity type and code to whom the issue is attributed, e.g. ("TILL", "till.01").
        resolver: names to addresses, for tests; None: the machine's.
        now: monotonic seconds.

    Raises:
        SettingsError: address, proxy or certificate file cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        *,
        allowed_hosts: Collection[str] = (),
        concurrency: int = 16,
        deadline_seconds: float = 60.0,
        connect_seconds: float = 10.0,
        metadata: bool = True,
        attribution: tuple[str, str] | None = None,
        resolver: AbstractResolver | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base_url = check_url(base_url, allowed_hosts)
        self._credentials = credentials
        self._concurrency = concurrency
        self._deadline_seconds = deadline_seconds
        self._connect_seconds = connect_seconds
        self._metadata = metadata
        self._resolver = resolver
        self._now = now
        self._proxy = proxy_for(self.base_url)
        self._tls: ssl.SSLContext | bool = tls_context() if self.base_url.startswith("https:") else True
        self._issue_url = URL(self.base_url + ISSUE_PATH)
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": f"coupon-runner/{__version__}",
        }
        if attribution is not None:
            entity_type, entity_code = attribution
            self._headers["X-CAP-API-ATTRIBUTION-ENTITY-TYPE"] = entity_type
            self._headers["X-CAP-API-ATTRIBUTION-ENTITY-CODE"] = entity_code
        self._tokens: TokenKeeper | None = None
        if isinstance(credentials, OAuthCredentials):
            self._tokens = TokenKeeper(self._ask_for_token, now)
        self._posts: aiohttp.ClientSession | None = None
        self._reads: aiohttp.ClientSession | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"CouponApi({self.base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections. Exchanges under way end as if the connection were lost; later ones never leave."""
        self._closed = True
        if self._tokens is not None:
            await self._tokens.close()
        for session in (self._posts, self._reads):
            if session is not None:
                await session.close()

    async def sign_in(self) -> None:
        """Get the first token, so that wrong credentials show before a run begins; nothing to do for Basic.

        Raises:
            ApiRefusesAll: the credentials are refused, or the API gives no token now.
        """
        token = await self._tokens.token() if self._tokens is not None else None
        if not isinstance(token, NoToken):
            return
        if token.refused:
            said = "refuses the key and secret"
            advice = "Check COUPON_RUNNER_API_KEY and COUPON_RUNNER_API_SECRET, and that they belong to this address."
        else:
            said = "gives no token now"
            advice = "Nothing was sent; check the network and the address, then start again."
        raise ApiRefusesAll(f"The API at {self.base_url} {said}: {token.detail}. {advice}")

    async def issue(self, *, call_key: str, series: int, count: int, kind: str, value: str) -> Exchange:
        """Post one call: at most `count` coupons of `series` for the customer named by `kind` and `value`.

        Returns what was seen, whatever happens. Raises nothing but `asyncio.CancelledError`; a call that was cancelled
        is in doubt, since nobody can say any more whether it was read.
        """
        document: dict[str, object] = {"seriesId": series, "count": count, "customer": {kind: value}}
        if self._metadata:
            document["metadata"] = {"sourceType": SOURCE_TYPE, "sourceId": call_key}
        return await self._exchange(self._post_session, "POST", self._issue_url, {_REQUEST_ID: call_key}, document)

    async def read_series(self, series: Sequence[int]) -> Exchange:
        """GET the settings of some series, on a connection that calls cannot occupy. Raises as `issue` does."""
        query = urlencode([("ids", number) for number in series])
        return await self._read(f"{SERIES_PATH}?{query}")

    async def lookup(self, kind: str, value: str) -> Exchange:
        """GET the customer id that an identifier leads to. Raises as `issue` does."""
        query = urlencode({"source": "INSTORE", "identifierName": kind, "identifierValue": value}, quote_via=quote)
        return await self._read(f"{LOOKUP_PATH}?{query}")

    async def read_coupon_details(self, customer_ids: Sequence[str]) -> Exchange:
        """GET the coupons of some customers (by the API's ids) with the metadata of the calls that issued them.

        Raises as `issue` does.
        """
        query = urlencode([*(("issuedToIds", one) for one in customer_ids), ("includeIssualDetails", "true")])
        return await self._read(f"{DETAILS_PATH}?{query}")

    async def read_details_of_codes(self, codes: Sequence[str]) -> Exchange:
        """GET the coupons of some codes with the metadata of the calls that issued them. Raises as `issue` does."""
        query = urlencode([*(("couponCodes", one) for one in codes), ("includeIssualDetails", "true")], quote_via=quote)
        return await self._read(f"{DETAILS_PATH}?{query}")

    async def read_customer_coupons(self, kind: str, value: str, *, offset: int = 0, limit: int = 100) -> Exchange:
        """GET one page of a customer's coupons, newest first. Raises as `issue` does.

        Args:
            kind: `id`, `mobile`, `email` or `externalId`.
            offset, limit: in coupons; at most 100 a page.
        """
        page = {_COUPONS_PARAMETER.get(kind, kind): value, "limit": limit, "offset": offset, "sort_order": "DESC"}
        return await self._read(f"{CUSTOMER_COUPONS_PATH}?{urlencode(page, quote_via=quote)}")

    async def revoke(self, *, request_id: str, series: int, codes: Sequence[str]) -> Exchange:
        """Post one revocation of at most 50 codes of one series, never without codes: that would revoke them all.

        Returns what was seen, whatever happens; raises as `issue` does.
        """
        if not codes or len(codes) > MOST_REVOKED:
            raise ValueError(f"a revocation names 1 to {MOST_REVOKED} codes")
        document: dict[str, object] = {"couponSeriesId": series, "couponCodes": list(codes)}
        url = URL(self.base_url + REVOKE_PATH)
        return await self._exchange(self._post_session, "POST", url, {_REQUEST_ID: request_id}, document)

    async def refresh_credentials(self, *, seen: str | None) -> bool:
        """Replace the token `seen`, which the API refused, by one new one however many callers wait for it.

        False: the API refuses the credentials themselves (always so for Basic). True also when no token can be had
        just now: the next call then does not leave, and says why.
        """
        if self._tokens is None:
            return False
        token = await self._tokens.replace(seen)
        return not (isinstance(token, NoToken) and token.refused)

    def credentials_version(self) -> str | None:
        """The number of the token that calls are sent under now ("0" before the first); None for Basic."""
        return self._tokens.version if self._tokens is not None else None

    async def _read(self, path: str) -> Exchange:
        # encoded=True: a plus sign or a percent sign of an e-mail address stays exactly as it was quoted.
        return await self._exchange(self._read_session, "GET", URL(self.base_url + path, encoded=True), {}, None)

    async def _ask_for_token(self) -> Exchange:
        assert isinstance(self._credentials, OAuthCredentials)  # noqa: S101 - only such have a TokenKeeper
        document = {"key": self._credentials.key, "secret": self._credentials.secret}
        url = URL(self.base_url + TOKEN_PATH)
        return await self._exchange(self._read_session, "POST", url, {}, document, signed=False)

    async def _exchange(
        self,
        session_of: Callable[[], aiohttp.ClientSession],
        method: str,
        url: URL,
        headers: dict[str, str],
        document: Mapping[str, object] | None,
        *,
        signed: bool = True,
    ) -> Exchange:
        started = self._now()
        body: _Body | None = None
        status: int | None = None
        kept: dict[str, str] = {}
        chunks: list[bytes] = []
        size = 0
        failure: str | None = None
        detail = ""
        complete = False
        try:
            # Our own deadline around everything: `sock_read` starts anew with each byte, and a request that waits for a
            # connection could outlive its time and still be sent.
            async with asyncio.timeout(self._deadline_seconds):
                if document is not None:
                    body = _Body(orjson.dumps(document), self._now)
                if self._tokens is not None and signed:
                    token = await self._tokens.token()
                    if isinstance(token, NoToken):
                        seconds = self._now() - started
                        return Exchange(left=False, failure=token.failure, detail=token.detail, seconds=seconds)
                    headers[_TOKEN_HEADER] = token.value
                response = await session_of().request(
                    method,
                    url,
                    data=body,
                    headers=headers,
                    allow_redirects=False,  # aiohttp would post again, by itself, on a 307 or 308
                )
                try:
                    status = response.status
                    kept = {name.lower(): response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
                    while chunk := await response.content.readany():
                        chunks.append(chunk)
                        size += len(chunk)
                        if size > BODY_LIMIT_BYTES:
                            failure, detail = "too_large", f"above {BODY_LIMIT_BYTES} bytes"
                            response.close()
                            break
                    else:
                        complete = True
                except BaseException:
                    response.close()
                    raise
        except Exception as error:  # noqa: BLE001 - whatever broke, the caller must learn whether the call left
            failure, detail = describe_failure(error)
        return Exchange(
            # A read changes nothing and has no body: `left` then says the careful thing.
            left=body.left if body is not None else document is None,
            status=status,
            headers=kept,
            body=chunks[0] if len(chunks) == 1 else b"".join(chunks),
            complete=complete,
            failure=failure,
            detail=detail,
            seconds=self._now() - started,
            seconds_to_leave=body.left_at - started if body is not None and body.left_at is not None else 0.0,
        )

    def _post_session(self) -> aiohttp.ClientSession:
        if self._posts is None:
            self._posts = self._open(self._concurrency)
        return self._posts

    def _read_session(self) -> aiohttp.ClientSession:
        # Apart from the calls: a probe or a token must get through while every call hangs.
        if self._reads is None:
            self._reads = self._open(_READS_AT_ONCE)
        return self._reads

    def _open(self, limit: int) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("the API was closed and is used again")
        headers = dict(self._headers)
        if isinstance(self._credentials, BasicCredentials):
            headers["Authorization"] = self._credentials.authorization()
        connector = aiohttp.TCPConnector(
            limit=limit, keepalive_timeout=_KEEPALIVE_SECONDS, ssl=self._tls, resolver=self._resolver
        )
        # trust_env stays off: it would ask for the proxy in a thread on each request, and read passwords from .netrc.
        return aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            proxy=self._proxy,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_seconds),
            request_class=_MarkedRequest,
        )


class _Body(aiohttp.BytesPayload):
    """The body of one POST, which remembers when aiohttp began to write the request; None while it has not."""

    def __init__(self, content: bytes, now: Callable[[], float]) -> None:
        super().__init__(content)
        self.now = now
        self.left_at: float | None = None

    @property
    def left(self) -> bool:
        """Whether a byte of it may have left."""
        return self.left_at is not None


class _MarkedRequest(aiohttp.ClientRequest):
    """A request that marks its body just before anything of it is written.

    `send` runs when the request has its connection; before it, and so in its absence, no byte can have left. The
    documented way, the trace signal `on_request_headers_sent`, says the same at three times the cost of the whole mark.
    """

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if isinstance(self._body, _Body):
            self._body.left_at = self._body.now()
        return await super().send(conn)
