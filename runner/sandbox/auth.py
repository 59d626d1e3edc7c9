"""Who may call: Basic, OAuth tokens, and how many calls a key has."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from email.utils import formatdate
from math import ceil

import orjson

from runner.sandbox.answers import Answer, error_answer, gateway_json, throttled, unauthorized_xml
from runner.sandbox.config import AuthConfig, LimitConfig
from runner.sandbox.truth import Truth

TOKEN_HEADER = "X-CAP-API-OAUTH-TOKEN"  # noqa: S105 - a header's name
BAD_PAIR = 320001


class Gate:
    """Checks credentials, and issues tokens (``POST /v3/oauth/token/generate``)."""

    def __init__(self, truth: Truth, config: AuthConfig, *, clock: Callable[[], float]) -> None:
        self._truth, self._config, self._clock = truth, config, clock

    def check(self, headers: Mapping[str, str]) -> Answer | None:
        """``None`` when the call may pass, else the refusal (nothing was processed)."""
        token = headers.get(TOKEN_HEADER)
        if token is not None:
            ends_ms = self._truth.token_ends_ms(_digest(token))
            if ends_ms is not None:
                return None if self._clock() * 1000 < ends_ms else self._ended()
            return self._ended() if self._config.required else None
        if not self._config.required:
            return None
        return None if self._basic(headers.get("Authorization", "")) else unauthorized_xml()

    def generate(self, raw: bytes) -> Answer:
        """A new token for a key and a secret. It lasts ``ttl_seconds``; no refresh token exists."""
        try:
            body = orjson.loads(raw)
            key, secret = body["key"], body["secret"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            key, secret = None, None
        if not isinstance(key, str) or not isinstance(secret, str):
            return gateway_json(400, "Bad Request", "/v3/oauth/token/generate", "key and secret are needed, as texts")
        wanted = (self._config.key, self._config.secret)
        if wanted[0] and not (_same(key, wanted[0]) and _same(secret, wanted[1])):
            return _no_token()
        if not key or not secret or (self._config.user and not wanted[0]):
            return _no_token()
        token = secrets.token_urlsafe(48)
        self._truth.add_token(_digest(token), int((self._clock() + self._config.ttl_seconds) * 1000))
        return Answer({"data": {"accessToken": token, "ttlSeconds": self._config.ttl_seconds}, "errors": None})

    def _ended(self) -> Answer:
        if self._config.ended == "401":
            return unauthorized_xml()
        return error_answer(498, status=498 if self._config.ended == "http_498" else 200)

    def _basic(self, header: str) -> bool:
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            user, colon, digest = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        if len(digest) != 32 or not colon or digest != digest.lower():
            return False
        if self._config.user:
            wanted = hashlib.md5(self._config.password.encode(), usedforsecurity=False).hexdigest()
            return _same(user, self._config.user) and _same(digest, wanted)
        return not self._config.key  # with only a key configured, Basic is not among the ways in


class Limiter:
    """Calls per key and window; a refused call does not count."""

    def __init__(self, config: LimitConfig, *, clock: Callable[[], float]) -> None:
        self._config, self._clock = config, clock
        self._sliding: dict[str, deque[float]] = {}
        self._fixed: dict[str, tuple[int, int]] = {}

    def check(self, headers: Mapping[str, str]) -> Answer | None:
        """``None`` when the call may pass, else 429."""
        if not self._config.limit:
            return None
        key = headers.get("Authorization") or headers.get(TOKEN_HEADER) or ""
        wait_seconds = self._slide(key) if self._config.kind == "sliding" else self._fix(key)
        if wait_seconds is None:
            return None
        seconds = max(1, ceil(wait_seconds))
        match self._config.retry_after:
            case "seconds":
                return throttled(str(seconds))
            case "date":
                return throttled(formatdate(self._clock() + seconds, usegmt=True))
            case _:
                return throttled()

    def _slide(self, key: str) -> float | None:
        now, window = self._clock(), self._config.window_seconds
        times = self._sliding.setdefault(key, deque())
        while times and times[0] <= now - window:
            times.popleft()
        if len(times) >= self._config.limit:
            return times[0] + window - now
        times.append(now)
        return None

    def _fix(self, key: str) -> float | None:
        now, window = self._clock(), self._config.window_seconds
        number = int(now // window)
        known, used = self._fixed.get(key, (number, 0))
        if known != number:
            used = 0
        if used >= self._config.limit:
            return (number + 1) * window - now
        self._fixed[key] = (number, used + 1)
        return None


def _no_token() -> Answer:
    return Answer(
        {"data": None, "errors": [{"code": BAD_PAIR, "message": "Invalid key or secret"}]},
    )


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
