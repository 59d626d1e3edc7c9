"""The two kinds of credentials that the API knows, as values that never show their secret.

Nothing here reads the environment or a file: whoever composes the program hands the text in.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field

from runner.errors import SettingsError

_FINGERPRINT_ROUNDS = 200_000


@dataclass(frozen=True, slots=True)
class BasicCredentials:
    """User and password of a till or an API user; `repr` shows neither.

    Raises:
        SettingsError: one of them is empty, or the user holds a colon, which would end it early.

    Source: API.md, "Authentication and headers".
    """

    user: str = field(repr=False)
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        _require_text(self.user, "The API user", "COUPON_RUNNER_API_USER")
        _require_text(self.password, "The API password", "COUPON_RUNNER_API_PASSWORD")
        if ":" in self.user:
            raise SettingsError("The API user contains a colon, which Basic authentication cannot carry; correct it.")

    def authorization(self) -> str:
        """The value of the `Authorization` header: Basic base64(user ":" md5hex(password)), md5 in lower case."""
        # The vendor's scheme, not a way to protect the password: TLS does that.
        digest = hashlib.md5(self.password.encode(), usedforsecurity=False).hexdigest()
        return "Basic " + base64.b64encode(f"{self.user}:{digest}".encode()).decode("ascii")

    def fingerprint(self) -> str:
        """Twelve hex digits that change when user or password do, and from which neither can be had."""
        return _fingerprint("basic", self.user, self.password)


@dataclass(frozen=True, slots=True)
class OAuthCredentials:
    """Key and secret that are exchanged for tokens; `repr` shows neither.

    Raises:
        SettingsError: one of them is empty.

    Source: API.md, "Authentication and headers".
    """

    key: str = field(repr=False)
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        _require_text(self.key, "The API key", "COUPON_RUNNER_API_KEY")
        _require_text(self.secret, "The API secret", "COUPON_RUNNER_API_SECRET")

    def fingerprint(self) -> str:
        """Twelve hex digits that change when key or secret do, and from which neither can be had."""
        return _fingerprint("oauth", self.key, self.secret)


Credentials = BasicCredentials | OAuthCredentials


def _require_text(value: str, name: str, variable: str) -> None:
    if not value.strip():
        raise SettingsError(f"{name} is empty; set {variable}, or {variable}_FILE to the file that holds it.")


def _fingerprint(scheme: str, public: str, secret: str) -> str:
    # It is written into the ledger, which others may read. A plain digest of a short password could be guessed back at
    # millions of tries a second; the many rounds (about 0.1 s, once a run) and the cut to 48 bits prevent that.
    salt = f"coupon-runner/{scheme}/{public}".encode()
    return hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, _FINGERPRINT_ROUNDS)[:6].hex()
