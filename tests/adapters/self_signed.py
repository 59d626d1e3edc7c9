"""A self-signed certificate for 127.0.0.1 and chosen names, made anew on each run, so that no private key is kept here.

Plain Python (P-256, DER), since the test tools must be had from the package index and openssl may be missing.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import ssl
from pathlib import Path

_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_Point = tuple[int, int] | None


def write_certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    """Write `certificate.pem` and `key.pem` for 127.0.0.1 and `names`; valid from 2020 to 2049."""
    private = secrets.randbelow(_N - 1) + 1
    public = _multiply(private, _G)
    assert public is not None
    point = b"\x04" + public[0].to_bytes(32, "big") + public[1].to_bytes(32, "big")
    ec_key = _sequence(_oid("1.2.840.10045.2.1"), _oid("1.2.840.10045.3.1.7"))
    signature = _sequence(_oid("1.2.840.10045.4.3.2"))
    name = _sequence(_der(0x31, _sequence(_oid("2.5.4.3"), _der(0x0C, b"coupon-runner test"))))
    alternatives = [_der(0x87, bytes([127, 0, 0, 1])), *(_der(0x82, text.encode()) for text in names)]
    extensions = _sequence(
        _sequence(_oid("2.5.29.17"), _der(0x04, _sequence(*alternatives))),
        _sequence(_oid("2.5.29.19"), _der(0x01, b"\xff"), _der(0x04, _sequence(_der(0x01, b"\xff")))),
    )
    body = _sequence(
        _der(0xA0, _integer(2)),
        _integer(secrets.randbelow(2**64)),
        signature,
        name,
        _sequence(_der(0x17, b"200101000000Z"), _der(0x17, b"491231235959Z")),
        name,
        _sequence(ec_key, _der(0x03, b"\x00" + point)),
        _der(0xA3, extensions),
    )
    certificate = _sequence(body, signature, _der(0x03, b"\x00" + _sign(private, body)))
    key = _sequence(
        _integer(1),
        _der(0x04, private.to_bytes(32, "big")),
        _der(0xA0, _oid("1.2.840.10045.3.1.7")),
        _der(0xA1, _der(0x03, b"\x00" + point)),
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_text(_pem("CERTIFICATE", certificate))
    paths[1].write_text(_pem("EC PRIVATE KEY", key))
    return paths


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS settings of a server that shows the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _add(a: _Point, b: _Point) -> _Point:
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % _P == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, _P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, _P)
    x = (slope * slope - a[0] - b[0]) % _P
    return x, (slope * (a[0] - x) - a[1]) % _P


def _multiply(factor: int, point: _Point) -> _Point:
    total: _Point = None
    while factor:
        if factor & 1:
            total = _add(total, point)
        point = _add(point, point)
        factor >>= 1
    return total


def _sign(private: int, message: bytes) -> bytes:
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    nonce = secrets.randbelow(_N - 1) + 1
    point = _multiply(nonce, _G)
    assert point is not None
    r = point[0] % _N
    return _sequence(_integer(r), _integer(pow(nonce, -1, _N) * (digest + r * private) % _N))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _sequence(*parts: bytes) -> bytes:
    return _der(0x30, b"".join(parts))


def _integer(number: int) -> bytes:
    return _der(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _oid(dotted: str) -> bytes:
    first, second, *rest = (int(part) for part in dotted.split("."))
    encoded = bytearray([first * 40 + second])
    for number in rest:
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(0x80 | (number & 0x7F))
        encoded.extend(reversed(groups))
    return _der(0x06, bytes(encoded))


def _pem(label: str, content: bytes) -> str:
    text = base64.encodebytes(content).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n"
