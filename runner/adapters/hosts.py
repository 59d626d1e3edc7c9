"""Which addresses credentials may go to, and by which way: address check, proxy, certificates.

Nothing here opens a connection. Every address that a request goes to has passed `check_url`.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from collections.abc import Collection
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from runner.errors import SettingsError

VENDOR_DOMAIN = "capillarytech.com"
"""Credentials may go to any host *below* this domain."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_EXAMPLE = "an address looks like https://eu.api.capillarytech.com"
_DEFAULT_PORTS = {"https": 443, "http": 80}


def check_url(url: str, allowed_hosts: Collection[str] = ()) -> str:
    """The API's base address in one spelling, once it is certain that credentials may go there.

    A base path is allowed (`https://gateway.example.com/coupons`, for an API behind a gateway) as long as it is made of
    plain segments. The result has no slash at its end and is put together from the parts that were checked, so that no
    other reader of addresses can find another host in it. `allowed_hosts`: exact host names beside the vendor's.

    Raises:
        SettingsError: not https (http is for this machine only), a host that is neither the vendor's, this machine nor
            allowed, or anything in the address that could hide where it leads.

    Source: PRODUCT.md, "Commands" (secrets); RULES.md 21.
    """
    parts, port = _split(url)
    host = (parts.hostname or "").removesuffix(".")
    shown = f"The API address names the host {host!r}"
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise SettingsError(
            "The API address holds a user name or password (the part before @); remove it. Credentials come from "
            "COUPON_RUNNER_API_KEY and COUPON_RUNNER_API_SECRET, or from COUPON_RUNNER_API_USER and "
            "COUPON_RUNNER_API_PASSWORD."
        )
    if not host or not (_is_ip(host) or (_HOST_NAME.fullmatch(host) and not _is_numeric(host))):
        raise SettingsError(f"{shown}, which is not a plain host name; {_EXAMPLE}.")
    if "?" in url or "#" in url:
        raise SettingsError(f"The API address has a part after ? or #; remove it: {_EXAMPLE}.")
    path = parts.path.rstrip("/")
    if not _PATH.fullmatch(path):
        raise SettingsError(f"The API address has an unusual path (dots, empty or encoded parts); {_EXAMPLE}.")
    if re.search(r"/v\d+(/|$)", path):
        raise SettingsError(f"The API address holds a path of the API itself (/v2/…); leave it out: {_EXAMPLE}.")
    loopback = _is_loopback_host(host)
    if parts.scheme == "http" and not loopback:
        raise SettingsError(
            f"{shown} by http, which would send the credentials unencrypted; begin it with https. Only an API on this "
            "machine (localhost) may use http."
        )
    if not (loopback or host.endswith("." + VENDOR_DOMAIN) or host in _checked_hosts(allowed_hosts)):
        raise SettingsError(
            f"{shown}. Credentials go only to hosts below {VENDOR_DOMAIN} and to this machine; if this host is "
            f'meant, add it to the settings: allowed_hosts = ["{host}"].'
        )
    netloc = f"[{host}]" if ":" in host else host
    if port is not None and port != _DEFAULT_PORTS[parts.scheme]:
        netloc += f":{port}"
    return f"{parts.scheme}://{netloc}{path}"


def is_loopback(url: str) -> bool:
    """Whether an address leads to this machine: 127.0.0.0/8, ::1 or the name localhost; whatever is not is real."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return _is_loopback_host(host)


def proxy_for(base: str) -> str | None:
    """The proxy for an address, by HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY; None for a direct connection.

    Loopback never goes through one. It may hold a user name and password, so it must never be shown.

    Raises:
        SettingsError: the proxy is not an http:// one, the only kind that is supported.
    """
    if is_loopback(base):
        return None
    proxies = getproxies_environment()
    parts = urlsplit(base)
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc):  # goes by NO_PROXY whenever the environment names a proxy
        return None
    if "://" not in proxy:
        proxy = "http://" + proxy
    scheme = urlsplit(proxy).scheme.lower()
    if scheme != "http":
        raise SettingsError(
            f"The environment names a proxy that is spoken to by {scheme}; only http:// proxies are supported. "
            "Correct HTTPS_PROXY, or add the API's host to NO_PROXY."
        )
    return proxy


def tls_context() -> ssl.SSLContext:
    """Verifying TLS settings with the machine's certificates, or those of REQUESTS_CA_BUNDLE or SSL_CERT_FILE.

    Raises:
        SettingsError: the file that a variable names is missing or holds no certificates.
    """
    for variable in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        named = os.environ.get(variable)
        if not named:
            continue
        place = Path(named)
        try:
            # OpenSSL would pass over a missing file in silence, and every connection would fail with a riddle.
            if place.is_dir():
                return ssl.create_default_context(capath=named)
            return ssl.create_default_context(cafile=named)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"{variable} names {named}, which cannot be read as certificates ({type(error).__name__}); "
                "correct or unset it."
            ) from None
    return ssl.create_default_context()


def _split(url: str) -> tuple[SplitResult, int | None]:
    # Programs disagree on blanks, control characters and backslashes; letters beyond ASCII look alike.
    if not url or not url.isascii() or re.search(r"[\x00-\x20\x7f\\]", url):
        raise SettingsError(f"The API address is empty or holds blanks or unusual characters; {_EXAMPLE}.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingsError(f"The API address cannot be understood; {_EXAMPLE}.") from None
    if parts.scheme not in _DEFAULT_PORTS or "://" not in url:
        raise SettingsError(f"The API address does not begin with https://; {_EXAMPLE}.")
    if port == 0:
        raise SettingsError(f"The API address has port 0, which nothing can listen on; {_EXAMPLE}.")
    return parts, port


def _checked_hosts(allowed_hosts: Collection[str]) -> set[str]:
    hosts = set()
    for entry in allowed_hosts:
        host = entry.strip().lower().removesuffix(".")
        if not (_is_ip(host) or _HOST_NAME.fullmatch(host)):
            raise SettingsError(
                f"allowed_hosts holds {entry!r}; it takes host names only, without https://, port, path or *, "
                "such as gateway.example.com."
            )
        hosts.add(host)
    return hosts


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def _is_numeric(host: str) -> bool:
    # 127.1, 0x7f.1 and 2130706433 are addresses to the resolver, though not to whoever reads them.
    return re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.rsplit(".", 1)[-1]) is not None


def _is_loopback_host(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    if not _is_ip(host):
        return False
    address = ipaddress.ip_address(host)
    # Python versions differ on whether ::ffff:127.0.0.1 is loopback; nobody needs it.
    return address.is_loopback and getattr(address, "ipv4_mapped", None) is None
