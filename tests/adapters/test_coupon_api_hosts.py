"""Where credentials may go: the vendor's hosts, this machine, and hosts that the owner names; never by a trick."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.adapters.credentials import BasicCredentials, Credentials, OAuthCredentials
from runner.adapters.hosts import check_url, is_loopback, proxy_for, tls_context
from runner.errors import SettingsError


@pytest.mark.parametrize(
    ("written", "base"),
    [
        ("https://eu.api.capillarytech.com", "https://eu.api.capillarytech.com"),
        ("HTTPS://EU.API.CapillaryTech.com:443/", "https://eu.api.capillarytech.com"),
        ("https://apac2.intouch.capillarytech.com.", "https://apac2.intouch.capillarytech.com"),
        ("https://eu.api.capillarytech.com:8443", "https://eu.api.capillarytech.com:8443"),
        ("https://gateway.example.com/coupons/eu/", "https://gateway.example.com/coupons/eu"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.9.9.9/", "http://127.9.9.9"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://localhost:8443", "https://localhost:8443"),
    ],
)
def test_a_good_address_has_one_spelling(written: str, base: str) -> None:
    """Case, default port, trailing dot and slash do not make another address."""
    assert check_url(written, ["Gateway.Example.com"]) == base
    assert check_url(base, ["gateway.example.com"]) == base


@pytest.mark.parametrize(
    "url",
    [
        "http://eu.api.capillarytech.com",  # unencrypted
        "http://gateway.example.com",  # unencrypted, though allowed
        "https://capillarytech.com",  # not below the domain
        "https://evilcapillarytech.com",
        "https://eu.api.capillarytech.com.example.com",
        "https://eu.api.capillarytech.com@example.com",
        "https://user:pass@eu.api.capillarytech.com",
        "https://@eu.api.capillarytech.com",
        "https://example.com\\@eu.api.capillarytech.com",
        "https://example.com\\.capillarytech.com",
        "https://example.com/.capillarytech.com",
        "https://example.com#.capillarytech.com",
        "https://example.com?.capillarytech.com",
        "https://example.com%2f.capillarytech.com",
        "https://example.com;.capillarytech.com",
        "https://example.com\t.capillarytech.com",
        "https://eu.api.capillarytech.com ",
        "https://eu.api.capillarytech.com\n",
        "https://eu.api.capillarytech.com/?a=b",
        "https://eu.api.capillarytech.com/#a",
        "https://eu.api.capillarytech.com/a/../b",
        "https://eu.api.capillarytech.com/%2e%2e/b",
        "https://eu.api.capillarytech.com/a//b",
        "https://eu.api.capillarytech.com/v2/coupon/issue/multiple",
        "https://eu.api.capillarytech.com/v2",
        "https://eu.api.capillarytech.com:0",
        "https://eu.api.capillarytech.com:99999",
        "https://eu.api.capillarytech.com:x",
        "https://eu.api.сapillarytech.com",  # noqa: RUF001 - a Cyrillic letter: looks the same, is not
        "https://.capillarytech.com",
        "https://-x.capillarytech.com",
        "https://x..capillarytech.com",
        "https:eu.api.capillarytech.com",
        "https:///eu.api.capillarytech.com",
        "//eu.api.capillarytech.com",
        "eu.api.capillarytech.com",
        "ftp://eu.api.capillarytech.com",
        "file:///etc/passwd",
        "https://",
        "",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://127.1",
        "http://0x7f.0.0.1",
        "http://2130706433",
        "http://0.0.0.0",
        "http://[::ffff:127.0.0.1]",
        "http://[::1%25lo]",
        "https://10.0.0.1",
        "https://[::1",
    ],
)
def test_every_other_address_is_refused_in_a_sentence(url: str) -> None:
    """Each of these could lead credentials astray, or does not lead anywhere."""
    with pytest.raises(SettingsError) as caught:
        check_url(url, ["gateway.example.com"])
    assert caught.value.message.startswith("The API address ")
    assert caught.value.message.rstrip().endswith((".", "]."))
    assert "pass@" not in caught.value.message


def test_a_host_is_allowed_by_its_exact_name_only() -> None:
    """Not its subdomains, and the sentence says what to add."""
    assert check_url("https://10.0.0.1", ["10.0.0.1"]) == "https://10.0.0.1"
    with pytest.raises(SettingsError, match=r'allowed_hosts = \["x.gateway.example.com"\]'):
        check_url("https://x.gateway.example.com", ["gateway.example.com"])


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "10.0.0.0x1"])
def test_a_number_in_disguise_is_no_host_even_if_it_is_allowed(host: str) -> None:
    """The resolver would make an address of it that is not the one a person reads."""
    with pytest.raises(SettingsError, match="plain host name"):
        check_url(f"https://{host}", [host])


@pytest.mark.parametrize(
    "entry", ["*", "*.example.com", "https://gateway.example.com", "gateway.example.com:443", "", "."]
)
def test_allowed_hosts_takes_host_names_only(entry: str) -> None:
    """A pattern or an address would allow more, or less, than its author thinks."""
    with pytest.raises(SettingsError, match="host names only"):
        check_url("https://gateway.example.com", [entry])


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.200.0.7", True),
        ("http://[::1]:1/x", True),
        ("https://LOCALHOST", True),
        ("https://eu.api.capillarytech.com", False),
        ("http://128.0.0.1", False),
        ("http://0.0.0.0", False),
        ("http://localhost.example.com", False),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_real_is_whatever_is_not_loopback(url: str, local: bool) -> None:
    assert is_loopback(url) is local


def test_the_proxy_comes_from_the_usual_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY, then ALL_PROXY; NO_PROXY and loopback go directly."""
    url = "https://eu.api.capillarytech.com"
    assert proxy_for(url) is None
    monkeypatch.setenv("ALL_PROXY", "proxy.example.com:3128")
    assert proxy_for(url) == "http://proxy.example.com:3128"
    monkeypatch.setenv("https_proxy", "http://other.example.com:3128")
    assert proxy_for(url) == "http://other.example.com:3128"
    assert proxy_for("https://localhost:8443") is None
    monkeypatch.setenv("NO_PROXY", "example.org,.capillarytech.com")
    assert proxy_for(url) is None


def test_a_proxy_of_another_kind_is_refused_without_showing_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://someone:proxy-password@proxy.example.com")
    with pytest.raises(SettingsError, match="socks5") as caught:
        proxy_for("https://eu.api.capillarytech.com")
    assert "proxy-password" not in caught.value.message


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_a_ca_bundle_that_cannot_be_read_is_said(
    variable: str, content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL by itself would pass over a missing file, and every call would fail with a riddle."""
    named = tmp_path / "bundle.pem"
    if content is not None:
        named.write_text(content)
    monkeypatch.setenv(variable, str(named))
    with pytest.raises(SettingsError, match=variable):
        tls_context()


def test_a_fingerprint_changes_with_each_part_and_reveals_none() -> None:
    """User, secret and scheme all count; the same credentials give the same twelve digits on every machine."""
    same = BasicCredentials("till.example", "not-a-real-password")
    assert same.fingerprint() == BasicCredentials("till.example", "not-a-real-password").fingerprint() == "8bbecef4944d"
    others: list[Credentials] = [
        BasicCredentials("till.other", "not-a-real-password"),
        BasicCredentials("till.example", "another-password"),
        OAuthCredentials("till.example", "not-a-real-password"),
    ]
    assert len({one.fingerprint() for one in (same, *others)}) == 4


@pytest.mark.parametrize(
    ("make", "variable"),
    [
        (lambda: BasicCredentials("", "p"), "COUPON_RUNNER_API_USER"),
        (lambda: BasicCredentials("u", " "), "COUPON_RUNNER_API_PASSWORD"),
        (lambda: OAuthCredentials("", "s"), "COUPON_RUNNER_API_KEY"),
        (lambda: OAuthCredentials("k", ""), "COUPON_RUNNER_API_SECRET"),
        (lambda: BasicCredentials("a:b", "p"), "colon"),
    ],
)
def test_credentials_that_cannot_work_are_refused_by_name(make: object, variable: str) -> None:
    assert callable(make)
    with pytest.raises(SettingsError, match=variable):
        make()
