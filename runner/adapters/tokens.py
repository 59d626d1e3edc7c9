"""OAuth tokens: one at a time, asked for by one request however many calls wait, renewed before they end.

Knows when a token is due and what an answer to "give me a token" means; how the question travels is handed in.
A token is never shown: not in a repr, a message or a version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import orjson

from runner.core.model import Exchange

RENEW_AT = 0.8
"""Share of a token's life after which the next one is asked for, while calls still go out under this one."""

_SAFETY_SECONDS = 5.0  # a token in its last seconds could end between our check and theirs
_ASK_AGAIN_SECONDS = 5.0  # after an early renewal that failed: the token in hand still serves
_UNSTATED_LIFE_SECONDS = 300.0
_REFUSED_CODE = "320001"
_NOT_A_REFUSAL = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Token:
    """A token and, in monotonic seconds, when to ask for the next one and when to stop using it."""

    value: str = field(repr=False)
    renew_at: float
    ends_at: float


@dataclass(frozen=True, slots=True)
class NoToken:
    """Why there is no token: `refused` for good, or for now (`failure` is a word of `Exchange.failure`)."""

    refused: bool
    failure: str
    detail: str


class TokenKeeper:
    """Keeps the token that calls are sent under.

    Args:
        ask: sends one request for a token and gives back what was seen.
        now: monotonic seconds.
    """

    def __init__(self, ask: Callable[[], Awaitable[Exchange]], now: Callable[[], float]) -> None:
        self._ask = ask
        self._now = now
        self._token: Token | None = None
        self._granted = 0
        self._asking: asyncio.Task[Token | NoToken] | None = None
        self._ask_again_at = 0.0

    @property
    def version(self) -> str:
        """The number of the last token granted, from "1"; "0" before the first. Tells tokens apart, reveals nothing."""
        return str(self._granted)

    async def token(self) -> Token | NoToken:
        """The token to send a call under; waits only when there is none that still lives."""
        token = self._token
        if token is not None:
            now = self._now()
            if now < token.renew_at:
                return token
            if now < token.ends_at:
                if self._asking is None and now >= self._ask_again_at:
                    self._ask_again_at = now + _ASK_AGAIN_SECONDS
                    self._start_asking()
                return token
        return await self._next_token()

    async def replace(self, seen: str | None) -> Token | NoToken:
        """A token newer than `seen`, which the API has refused: the one that is there already, or a new one."""
        if self._token is not None and self.version != seen:
            return self._token
        # Dropped before asking: if asking fails, no call may go out under the refused one and be taken for a refusal
        # of its successor.
        self._token = None
        return await self._next_token()

    async def close(self) -> None:
        """End a request that is under way; whoever waits for it gets no token."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    async def _next_token(self) -> Token | NoToken:
        task = self._asking or self._start_asking()
        # Not `await task`: a call that is cancelled while it waits must not take the token away from the others.
        await asyncio.wait({task})
        if task.cancelled():
            return NoToken(refused=False, failure="cancelled", detail="closed while asking for a token")
        return task.result()

    def _start_asking(self) -> asyncio.Task[Token | NoToken]:
        self._asking = asyncio.create_task(self._ask_once())
        return self._asking

    async def _ask_once(self) -> Token | NoToken:
        try:
            asked_at = self._now()
            answer = read_token(await self._ask())
            if isinstance(answer, NoToken):
                return answer
            value, life = answer
            # Counted from the asking, not from the answer: the API's count may have begun at any moment between.
            token = Token(
                value, renew_at=asked_at + RENEW_AT * life, ends_at=asked_at + max(0.9 * life, life - _SAFETY_SECONDS)
            )
            self._token = token
            self._granted += 1
            return token
        finally:
            self._asking = None


def read_token(exchange: Exchange) -> tuple[str, float] | NoToken:
    """What an answer to the request for a token means: the token and its life in seconds, or why there is none.

    Refused for good: code 320001, or a 4xx other than 408, 425 and 429. Anything else may pass.

    Source: API.md, "Authentication and headers".
    """
    if exchange.status is None or not exchange.complete:
        return NoToken(
            refused=False,
            failure=exchange.failure or "protocol",
            detail=f"no answer to the request for a token ({exchange.failure or 'protocol'}: {exchange.detail})",
        )
    try:
        document = orjson.loads(exchange.body)
    except orjson.JSONDecodeError:
        document = None
    codes = _codes(document)
    if _REFUSED_CODE in codes or (400 <= exchange.status < 500 and exchange.status not in _NOT_A_REFUSAL):
        said = f"code {', '.join(codes)}" if codes else f"HTTP {exchange.status}"
        return NoToken(refused=True, failure="credentials", detail=f"the request for a token was refused ({said})")
    data = document.get("data") if isinstance(document, dict) else None
    if exchange.status // 100 == 2 and isinstance(data, dict):
        value = data.get("accessToken")
        # It becomes a header: a line break in it would become a header of its own.
        if isinstance(value, str) and value.isascii() and value.isprintable() and value.strip():
            return value, _life_seconds(data.get("ttlSeconds"))
    said = f"HTTP {exchange.status}" + (f", code {', '.join(codes)}" if codes else "")
    detail = f"the request for a token was answered without one ({said})"
    return NoToken(refused=False, failure="protocol", detail=detail)


def _codes(document: object) -> list[str]:
    errors = document.get("errors") if isinstance(document, dict) else None
    found = errors if isinstance(errors, list) else [errors]
    codes = [error.get("code") for error in found if isinstance(error, dict)]
    return [str(code)[:20] for code in codes if isinstance(code, int | str)]


def _life_seconds(stated: object) -> float:
    if isinstance(stated, int | float | str):
        try:
            seconds = float(stated)
        except ValueError:
            return _UNSTATED_LIFE_SECONDS
        if 1.0 <= seconds < float("inf"):
            return seconds
    return _UNSTATED_LIFE_SECONDS
