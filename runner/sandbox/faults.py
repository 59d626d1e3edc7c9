"""The faults that can be ordered: their names, what each commits, and how one is written in a configuration.

Owns the vocabulary only. What a fault does to a body is in ``damage``, what it does to a connection in ``wire``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

Commit = Literal["normal", "nothing", "part", "extra", "one_less"]
"""What is put into the truth: everything allowed; nothing; ``given``; one more than asked; one less than asked."""

Wire = Literal["send", "cut", "hang", "late", "half_body", "half_headers", "drip", "close_after"]
"""How the answer travels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """One kind of fault. ``takes`` names the number that may follow its name after a colon."""

    name: str
    meaning: str
    commit: Commit = "normal"
    wire: Wire = "send"
    takes: Literal["", "seconds", "given", "code"] = ""
    status: int = 0
    unknown_outcome: bool = False
    """Whether a caller cannot know if coupons were issued: then ``commit_then_<name>`` exists too."""
    waits_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One ordered answer. ``given`` in coupons, ``seconds`` in seconds; ``None`` = the kind's default."""

    kind: FaultKind
    commit_first: bool = False
    given: int | None = None
    seconds: float | None = None
    number: int = 0
    """The code or the HTTP status, of the kinds that take any."""

    @property
    def name(self) -> str:
        """The name as it is written in a configuration and kept in the truth."""
        if self.kind.name == "code":
            base = str(self.number)
            base = f"code_{base}" if base in KINDS or base in ALIASES else base
        elif self.kind.name == "http":
            base = f"http_{self.number}"
        else:
            base = self.kind.name
        return f"commit_then_{base}" if self.commit_first else base

    @property
    def commit(self) -> Commit:
        """What this order puts into the truth."""
        return "normal" if self.commit_first else self.kind.commit


def _kinds() -> Iterator[FaultKind]:
    def lost(name: str, meaning: str, wire: Wire = "send", status: int = 200) -> FaultKind:
        return FaultKind(
            name=name, meaning=meaning, commit="nothing", wire=wire, status=status, unknown_outcome=True,
            takes="seconds" if wire == "hang" else "",
        )  # fmt: skip

    def told(name: str, meaning: str, status: int, takes: Literal["", "seconds"] = "") -> FaultKind:
        return FaultKind(name=name, meaning=meaning, commit="nothing", status=status, takes=takes)

    def spoilt(name: str, meaning: str, **more: Any) -> FaultKind:
        return FaultKind(name=name, meaning=meaning, **more)

    yield FaultKind(name="ok", meaning="the normal answer, and no random fault for this call")
    yield FaultKind(
        name="code", meaning="this code alone in the body, HTTP 200, nothing issued (any number)", commit="nothing",
        takes="code", unknown_outcome=True,
    )  # fmt: skip
    yield FaultKind(
        name="http", meaning="this HTTP status with an HTML page, nothing issued (http_418)", commit="nothing",
        takes="code", unknown_outcome=True,
    )  # fmt: skip
    # Some coupons, with the reason.
    yield spoilt("partial", "`given` coupons (default half), the rest in `errors`", commit="part", takes="given")
    yield spoilt("partial_warning", "the same with the twin code in `warnings`", commit="part", takes="given")
    yield spoilt("partial_201", "the same as `partial` with HTTP 201", commit="part", takes="given", status=201)
    yield spoilt(
        "partial_unexplained", "`given` coupons; no error, no warning, no counts", commit="part", takes="given"
    )
    yield spoilt("722_half", "issues `given`, answers 722 alone, without counts", commit="part", takes="given")
    yield spoilt("722_counts", "issues `given`, answers 722 with coupons and counts", commit="part", takes="given")
    # The connection.
    yield lost("cut", "the connection is cut", "cut")
    yield lost("hang", "silence for `seconds`, then the connection is cut", "hang")
    yield FaultKind(name="late", meaning="issues, answers `seconds` later", wire="late", takes="seconds")
    yield FaultKind(
        name="late_commit", meaning="waits `seconds`, and only then issues and answers", takes="seconds",
        waits_first=True,
    )  # fmt: skip
    yield spoilt("half_body", "issues; Content-Length is larger than what is sent, then a cut", wire="half_body")
    yield spoilt("half_headers", "issues; cut inside the headers", wire="half_headers")
    yield spoilt("slow_drip", "issues; the body comes in small pieces over `seconds`", wire="drip", takes="seconds")
    yield spoilt("close_after", "issues and answers, then closes the kept-alive connection", wire="close_after")
    # Answers that leave the outcome open.
    yield lost("500_html", "HTTP 500 with an HTML page", status=500)
    yield lost("500_json", "HTTP 500 with JSON, no `errors`", status=500)
    yield lost("502_html", "HTTP 502 with an HTML page", status=502)
    yield lost("503_html", "HTTP 503 with an HTML page", status=503)
    yield lost("504_html", "HTTP 504 with an HTML page", status=504)
    yield lost("empty_200", "HTTP 200 without a body")
    yield lost("html_200", "HTTP 200 that is an HTML page")
    yield lost("empty_object", "HTTP 200 with `{}`")
    yield lost("gzip_garbage", "HTTP 200 marked gzip, whose bytes are not")
    yield lost("cut_json", "HTTP 200 whose JSON stops in the middle")
    yield lost("301", "redirect to itself", status=301)
    yield lost("302", "redirect to itself", status=302)
    yield lost("303", "redirect to itself", status=303)
    # Answers that say that nothing was issued.
    yield told("307", "redirect to itself, the POST to be repeated", 307)
    yield told("308", "redirect to itself, the POST to be repeated", 308)
    yield told("400_unparsable", "HTTP 400 whose body is not JSON", 400)
    yield told("401_xml", "HTTP 401 in XML", 401)
    yield told("429", "HTTP 429 without Retry-After", 429)
    yield told("429_seconds", "HTTP 429 with Retry-After in `seconds`", 429, "seconds")
    yield told("429_date", "HTTP 429 with Retry-After as an HTTP date, `seconds` ahead", 429, "seconds")
    yield told("503_4001", "HTTP 503 with code 4001 in the body", 503)
    # Bodies that are odd.
    yield spoilt("nulls", "null among the coupons and errors, null for the warnings")
    yield spoilt("codes_as_strings", "issues `given`; the code and the coupon ids are strings", commit="part",
                 takes="given")  # fmt: skip
    yield spoilt("no_counts", "totalCount, successCount and failureCount are missing")
    yield spoilt("count_above", "issues all, successCount says so, the last coupon is not listed")
    yield spoilt("more_coupons", "issues and lists one coupon more than asked", commit="extra")
    yield spoilt("repeated_coupon", "issues one less, lists the first coupon twice", commit="one_less")
    yield spoilt("huge_body", "the normal answer and 9 MB of blanks")


KINDS: dict[str, FaultKind] = {kind.name: kind for kind in _kinds()}
"""Every kind by name."""

ALIASES: dict[str, str] = {
    "cut_before_commit": "cut",
    "hang_before_commit": "hang",
    "commit_then_late": "late",
    "partial_error": "partial",
    "504": "504_html",
    "502": "502_html",
    "500": "500_html",
    "503": "503_html",
    "401": "401_xml",
    "400": "400_unparsable",
    "429_no_retry_after": "429",
    "722_no_counts": "722_half",
    "success_count_above": "count_above",
}
"""Other spellings of the same. A bare number is a code in the body, but for the HTTP statuses listed here."""

GROUPS: dict[str, tuple[str, ...]] = {
    "lost": (
        "cut", "commit_then_cut", "hang", "commit_then_hang", "late", "late_commit", "half_body", "half_headers",
        "504_html", "commit_then_504_html",
    ),
    "short": ("partial", "partial_warning", "5005"),
    "throttled": ("429", "429_seconds", "429_date"),
    "busy": ("521",),
    "gateway": ("500_html", "commit_then_500_json", "502_html", "commit_then_502_html", "503_html", "503_4001"),
    "garbled": (
        "empty_200", "commit_then_html_200", "commit_then_empty_object", "commit_then_gzip_garbage",
        "commit_then_cut_json", "nulls", "codes_as_strings", "no_counts", "count_above", "repeated_coupon",
        "partial_201", "partial_unexplained", "722_counts", "722_half", "748", "commit_then_748",
    ),
    "slow": ("slow_drip", "close_after"),
}  # fmt: skip
"""Groups of faults, of which one is drawn: for ``[chaos]`` and for lists of answers."""

DEFAULT_CHAOS: dict[str, float] = {
    "lost": 0.12,
    "short": 0.18,
    "throttled": 0.03,
    "busy": 0.03,
    "gateway": 0.04,
    "garbled": 0.06,
    "slow": 0.02,
}
"""Share of calls for each group under ``--chaos`` when the configuration names no rates."""

_N = TypeVar("_N", int, float)
PREFIX = "commit_then_"
_NUMBER = re.compile(r"\d{1,6}")
_CODE = re.compile(r"code_(\d{1,6})")
_HTTP = re.compile(r"http_(\d{3})")


def fault_names() -> list[str]:
    """Every name that a configuration may use, sorted; beside them any number."""
    kinds = [kind for kind in KINDS.values() if kind.name not in ("code", "http")]
    names = {kind.name for kind in kinds} | set(ALIASES) | set(GROUPS)
    return sorted(names | {PREFIX + kind.name for kind in kinds if kind.unknown_outcome})


def parse_fault(text: str) -> Fault | str:
    """Read ``name`` or ``name:number``. A group stays a name, to be drawn from at each call.

    Raises ``ValueError`` with a sentence that lists the names.
    """
    name, _, argument = text.strip().partition(":")
    name = ALIASES.get(name, name)
    if name in GROUPS and not argument:
        return name
    commit_first = name.startswith(PREFIX)
    base = name.removeprefix(PREFIX)
    base = ALIASES.get(base, base)
    number = 0
    if base in KINDS and base not in ("code", "http"):
        kind = KINDS[base]
    elif match := _HTTP.fullmatch(base):
        kind, number = KINDS["http"], int(match.group(1))
        if not 300 <= number <= 599:
            raise ValueError(f"{text!r}: http_N takes a status from 300 to 599")
    elif match := _CODE.fullmatch(base):
        kind, number = KINDS["code"], int(match.group(1))
    elif _NUMBER.fullmatch(base):
        kind, number = KINDS["code"], int(base)
    else:
        near = difflib.get_close_matches(name, fault_names(), 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{text!r} is no known answer.{hint} Known: a code by its number, {', '.join(fault_names())}")
    if commit_first and not kind.unknown_outcome:
        raise ValueError(f"{text!r}: {base!r} says by itself whether coupons are issued; write {base!r}")
    fault = Fault(kind=kind, commit_first=commit_first, number=number)
    return _with_argument(fault, argument, text) if argument else fault


def _with_argument(fault: Fault, argument: str, text: str) -> Fault:
    takes = fault.kind.takes
    try:
        if takes == "given":
            return replace(fault, given=_at_least_zero(int(argument)))
        if takes == "seconds":
            return replace(fault, seconds=_at_least_zero(float(argument)))
    except ValueError:
        raise ValueError(f"{text!r}: what follows the colon must be a number of {takes}, 0 or more") from None
    raise ValueError(f"{text!r}: {fault.name!r} takes no number after a colon")


def _at_least_zero(value: _N) -> _N:
    if not value >= 0 or value == float("inf"):
        raise ValueError
    return value
