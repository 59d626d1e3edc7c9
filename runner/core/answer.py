"""What the body of an answer says, read out of JSON that may hold anything.

Owns the shapes: coupons, counts, codes, customer (the seed's samples; API.md, "Responses"), with nulls, wrong types and
numbers as text. Never decides what they mean (that is `classify`) and never raises, whatever the body holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from runner.core.codes import SUCCESS_CODES
from runner.core.model import Coupon, CustomerFacts

ANY_NUMBER = 10**6
"""Coupons that a list may stand for when it is neither a list nor an object."""

_MESSAGE_LENGTH = 300
_EXACT = 2**53  # a larger whole number that the fast parser made a float has lost digits


class _Rounded(Exception):
    """A number that identifies somebody or something came out of the fast parser as a rounded float."""


class Entry(NamedTuple):
    """One element of `errors` or `warnings`; `code` is "" when it has none."""

    code: str
    message: str


class Answer(NamedTuple):
    """What a body says. `blurred`: elements of the coupon list that may be coupons and cannot be read as one.

    `general`: codes at the top of the object, by which a gateway speaks of the request as a whole.
    """

    coupons: tuple[Coupon, ...]
    blurred: int
    repeated: bool
    success: int | None
    failure: int | None
    total: int | None
    errors: tuple[Entry, ...]
    warnings: tuple[Entry, ...]
    customer: CustomerFacts | None
    message: str
    general: tuple[Entry, ...]


def read_answer(body: bytes, headers: Mapping[str, str]) -> Answer | None:
    """What the body says; None when it is no JSON object."""
    try:
        parsed = orjson.loads(body)
        return _answer(parsed) if type(parsed) is dict else None
    except (orjson.JSONDecodeError, _Rounded):
        parsed = _parse_exactly(body, headers)
        return _answer(parsed) if type(parsed) is dict else None


def _parse_exactly(body: bytes, headers: Mapping[str, str]) -> Any:
    """The body by the slower parser, which keeps every digit; None when it is no JSON.

    It also takes a byte order mark, NaN, lone surrogates, and a character set that the header names.
    """
    named = re.search(r"charset=\"?([\w.:-]+)", headers.get("content-type") or "", re.IGNORECASE)
    for charset in ("utf-8-sig", named.group(1) if named else "utf-8"):
        try:
            return json.loads(body.decode(charset), parse_float=_whole, parse_constant=str)
        except (ValueError, LookupError, RecursionError):
            continue
    return None


def _whole(number: str) -> str:
    """A decimal number as it is written, 7.0 as 7."""
    whole, _, fraction = number.partition(".")
    return number if fraction.strip("0") else whole


def _answer(body: dict[str, Any]) -> Answer:
    coupons, blurred, repeated = _coupons(body.get("coupons"))
    listed, warned = body.get("errors"), body.get("warnings")
    errors = tuple(_entries(listed)) if listed else ()
    message = next((entry.message for entry in errors if entry.message), "") or one_line(body.get("message"))
    return Answer(
        coupons, blurred, repeated, _count(body.get("successCount")), _count(body.get("failureCount")),
        _count(body.get("totalCount")), errors, tuple(_entries(warned)) if warned else (),
        _customer(body.get("customer")), message, () if errors or coupons else tuple(_general_codes(body)),
    )  # fmt: skip


def _coupons(listed: Any) -> tuple[tuple[Coupon, ...], int, bool]:
    """The coupons of a list, each id once; how many elements may be coupons besides; whether one was repeated."""
    if not listed:
        return (), 0, False
    if type(listed) is dict:
        listed = [listed]
    elif type(listed) is not list:
        return (), ANY_NUMBER, False
    found, codes, nameless, blurred = dict[str, Coupon](), set[str](), list[str](), 0
    for item in listed:
        if type(item) is not dict:
            blurred += 1
            continue
        id_ = _text(item.get("couponId", item.get("id")))
        code = _text(item.get("code"))
        if id_ and id_ not in ("0", "-1"):  # placeholders, which would make one coupon of many
            found.setdefault(id_, Coupon(id_, code))
            codes.add(code)
        elif code:
            nameless.append(code)
        else:
            blurred += 1
    repeated = len(found) + len(nameless) + blurred < len(listed)
    coupons = list(found.values())
    for code in nameless:
        if code in codes:
            blurred += 1  # said twice, or two coupons of one generic code: without ids nobody can tell
        else:
            codes.add(code)
            coupons.append(Coupon("", code))
    return tuple(coupons), blurred, repeated


def _entries(listed: Any) -> Iterator[Entry]:
    """The codes and messages of `errors` or `warnings`, without those that report success."""
    if type(listed) is dict:
        listed = [listed] if "code" in listed or "message" in listed else list(listed.values())
    for item in listed if type(listed) is list else [listed]:
        if type(item) is dict:
            code, message = _code(item.get("code")), one_line(item.get("message"))
            if item.get("status") is True or code in SUCCESS_CODES or (len(code) == 3 and code.startswith("2")):
                continue
            if code or message:
                yield Entry(code, message)
        elif type(item) in (int, float, str) and item != "":
            code = _code(item)
            yield Entry(code, "") if code.isdigit() else Entry("", one_line(item))


def _general_codes(body: dict[str, Any]) -> Iterator[Entry]:
    """Codes at the top of the object, only those that no coupon could explain."""
    for place in (body, body.get("status"), body.get("error")):
        if type(place) is dict and "couponId" not in place:
            code = _code(place.get("code"))
            if code in ("401", "403", "429", "498", "4000", "4001", "320001"):
                yield Entry(code, one_line(place.get("message")))


def _customer(customer: Any) -> CustomerFacts | None:
    if type(customer) is not dict:
        return None
    id_ = _text(customer.get("id"))
    profiles, identifiers = customer.get("profiles"), dict[tuple[str, str], None]()
    for profile in profiles if type(profiles) is list else [profiles]:
        if type(profile) is not dict:
            continue
        for key in ("identifiers", "identifiersAll"):
            listed = profile.get(key)
            if key == "identifiersAll" and listed == profile.get("identifiers"):
                break  # as in every sample
            for item in listed if type(listed) is list else ():
                if type(item) is dict:
                    kind, value = _text(item.get("type")), _text(item.get("value"))
                    if kind and value:
                        identifiers[kind, value] = None
    return CustomerFacts("" if id_ in ("0", "-1") else id_, tuple(identifiers))


def _text(value: Any) -> str:
    """A string or number as text that can be stored and shown; "" for anything else."""
    if type(value) is str:
        value = value.strip()
        return value if value.isprintable() else _escaped(value)
    if type(value) is int:
        return str(value)
    if type(value) is float:
        if not -_EXACT < value < _EXACT:
            raise _Rounded
        return str(int(value)) if value.is_integer() else repr(value)
    return ""


def _escaped(value: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in value)


def _code(value: Any) -> str:
    """A code as text: 5005, "5005", 5005.0 and "5005.0" are one."""
    code = _text(value)[:50]
    return code[:-2] if code.endswith(".0") and code[:-2].isdigit() else code


def _count(value: Any) -> int | None:
    if type(value) is int:
        return value if 0 <= value < 10**9 else None
    text = _code(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def one_line(value: Any) -> str:
    """A message in one line, of bearable length."""
    if type(value) is not str or not value:
        return ""
    text = " ".join(value[: 4 * _MESSAGE_LENGTH].split())
    text = text if text.isprintable() else _escaped(text)
    return text if len(text) <= _MESSAGE_LENGTH else text[: _MESSAGE_LENGTH - 1] + "…"
