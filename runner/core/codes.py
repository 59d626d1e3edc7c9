"""The code table: what each code of the API means for an order, whom it concerns, and what a person can do about it.

Owns the codes as data (API.md, "What a code means for the caller"; the seed document's table of codes) and the rules by
which a configuration may change them. Never decides what an answer as a whole means: that is `classify`.

A code is a number as the API writes it ("5005"), an HTTP status where no code decides ("http_504"), or a pseudo-code of
this program ("timeout"). A change by configuration can make the runner more careful, never less: nothing here can turn
a call that may have issued into one that is asked for again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self, TypeVar

from runner.core.model import CodeClass, Scope
from runner.errors import SettingsError

TWINS: Mapping[str, str] = MappingProxyType({"702": "5005", "679": "5004", "626": "5001", "621": "5002", "678": "5006"})
"""Warning code → the error code that says the same (the seed's table; holds on this endpoint only)."""

SUCCESS_CODES = frozenset({"0", "700"})
"""Codes by which the vendor says that all went well, beside 200 to 299: no reason for anything missing."""


class Fixer(StrEnum):
    """Who can do something about it."""

    MARKETING = "marketing"
    SERIES = "whoever owns the series settings"
    KEY = "whoever owns the key"
    SUPPORT = "Capillary support"
    NOBODY = "nobody: the runner deals with it"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRule:
    """What one code means. `agreeing`: answers in a row that close the series (1 at once, 0 never by itself).

    `final_with_limit`: an unknown outcome that is final for the row when the message names a limit (730).
    `proven`: it means what it says in any answer; otherwise (an unlisted code that a configuration added) it is
    believed only where an unlisted code is: without coupons, and not beside a status that leaves the outcome open.
    """

    code: str
    klass: CodeClass
    scope: Scope
    agreeing: int = 0
    meaning: str
    advice: str
    fixer: Fixer
    final_with_limit: bool = False
    proven: bool = True


class CodeTable:
    """The rules by code. Unlisted codes have none: `look_up` gives None, `advice` a general sentence."""

    __slots__ = ("_rules",)

    def __init__(self, rules: Mapping[str, CodeRule]) -> None:
        self._rules = dict(rules)

    @classmethod
    def default(cls) -> Self:
        """The table of API.md."""
        return cls(_DEFAULT)

    @property
    def rules(self) -> Mapping[str, CodeRule]:
        """Every rule by its code, twins left out."""
        return MappingProxyType(self._rules)

    def look_up(self, code: str) -> CodeRule | None:
        """The rule of a code, a twin's being that of its error code; None when it is not listed."""
        return self._rules.get(code) or self._rules.get(TWINS.get(code, ""))

    def meaning(self, code: str) -> str:
        """What the code says, in a few plain words."""
        rule = self.look_up(code)
        return rule.meaning if rule else _unlisted(code)[0]

    def advice(self, code: str) -> str:
        """What to do about it, in one sentence."""
        rule = self.look_up(code)
        return rule.advice if rule else _unlisted(code)[1]

    def fixer(self, code: str) -> Fixer:
        """Who can do it."""
        rule = self.look_up(code)
        return rule.fixer if rule else Fixer.SUPPORT

    def with_overrides(self, overrides: Mapping[str, Mapping[str, Any]]) -> Self:
        """A table changed by configuration: code → `class`, `scope`, `agreeing`, `meaning`, `advice`, `nothing_issued`.

        Raises `SettingsError` with every problem, one a line. What could issue a coupon twice is refused: an unknown
        outcome is never retried; it may be called final only with `nothing_issued = true`, by which the owner says that
        Capillary confirmed it for this code, and never for a time-out, a lost connection or an HTTP status.
        """
        rules, problems = dict(self._rules), list[str]()
        for code, change in ((str(code), change) for code, change in overrides.items()):
            try:
                rules[code] = self._changed(code, change)
            except _Refused as refused:
                problems.append(f'codes."{code}": {refused}')
        if problems:
            raise SettingsError("\n".join(problems))
        return type(self)(rules)

    def _changed(self, code: str, change: Any) -> CodeRule:
        if not isinstance(change, Mapping):
            raise _Refused(f'expected a table such as {{class = "final", scope = "row"}}, not {change!r}')
        old = self._rules.get(code)
        if code in TWINS:
            raise _Refused(f"{code} is the warning twin of {TWINS[code]}; set {TWINS[code]} instead")
        if code in SUCCESS_CODES or re.fullmatch(r"2\d\d", code):
            raise _Refused("this code reports success and cannot be made an error")
        if old is None and not re.fullmatch(r"[0-9]{1,9}|http_4[0-9][0-9]", code):
            raise _Refused('no code of the API; a code is a number in quotes, such as "5005", or http_404')
        unknown = sorted(set(change) - _KEYS)
        if unknown:
            raise _Refused(f"unknown key {', '.join(unknown)}; possible: {', '.join(sorted(_KEYS))}")
        for key, kind, example in _KINDS:
            value = change.get(key)
            if key in change and (not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool)):
                raise _Refused(f"{key} = {value!r}: write {example}")
        klass = _word(change, "class", CodeClass, old.klass if old else None)
        scope = _word(change, "scope", Scope, old.scope if old else None)
        confirmed = bool(change.get("nothing_issued", False))
        changes_meaning = old is None or klass is not old.klass or scope is not old.scope
        if old is not None and changes_meaning and code in _FIXED:
            raise _Refused(
                "this word of the runner itself cannot change its class or scope; its meaning and advice can"
            )
        sentence = _may_issue_twice(code, old, klass, confirmed)
        if sentence:
            raise _Refused(sentence)
        if klass is CodeClass.RETRY and scope is Scope.ROW:
            raise _Refused('a retry needs to know what waits: scope = "customer", "series" or "run"')
        agreeing = change.get("agreeing", old.agreeing if old and scope is old.scope else 3 * (scope is Scope.SERIES))
        if not 0 <= agreeing <= 100 or (klass is CodeClass.FINAL and scope is Scope.SERIES and agreeing == 0):
            raise _Refused(f"agreeing = {agreeing}: write how many answers in a row close the series, 1 to 100")
        if old is None:
            meaning, advice = _unlisted(code)
            old = CodeRule(
                code=code, klass=klass, scope=scope, meaning=meaning, advice=advice, fixer=Fixer.SUPPORT,
                proven=confirmed or klass is CodeClass.UNKNOWN,
            )  # fmt: skip
        return replace(
            old, klass=klass, scope=scope, agreeing=agreeing if klass is CodeClass.FINAL else 0,
            meaning=change.get("meaning", old.meaning), advice=change.get("advice", old.advice),
            final_with_limit=old.final_with_limit and klass is old.klass,
        )  # fmt: skip


class _Refused(Exception):
    """Why one override is not taken."""


_Word = TypeVar("_Word", CodeClass, Scope)
_KEYS = frozenset({"class", "scope", "agreeing", "meaning", "advice", "nothing_issued"})
_KINDS: tuple[tuple[str, type, str], ...] = (
    ("agreeing", int, "a whole number, such as agreeing = 3"),
    ("meaning", str, "a few words in quotes"),
    ("advice", str, "a sentence in quotes"),
    ("nothing_issued", bool, "nothing_issued = true, or leave it out"),
)


def _word(change: Mapping[str, Any], key: str, words: type[_Word], present: _Word | None) -> _Word:
    """The enum value of `change[key]`, else the present one. Raises `_Refused`."""
    value = change.get(key, present)
    if value is None:
        raise _Refused(f"is not in the table yet, so {key} is needed: {', '.join(words)}")
    if not isinstance(value, str) or value not in list(words):
        raise _Refused(f"unknown {key} {value!r}; write {', '.join(words)}")
    return words(value)


def _may_issue_twice(code: str, old: CodeRule | None, klass: CodeClass, confirmed: bool) -> str | None:
    """Why a change could issue a coupon twice; None when it cannot."""
    if klass is CodeClass.UNKNOWN:
        return None
    if old is None:
        if klass is CodeClass.RETRY and not confirmed:
            return (
                "retrying a code that the table does not list could issue twice, should it ever come after an issue;"
                " if Capillary confirmed that nothing is issued with it, add nothing_issued = true"
            )
        return None
    if old.klass is not CodeClass.UNKNOWN:
        return None
    if not code.isdigit() or code in _OPEN_STATUSES:
        return "its outcome is not known: a coupon may have been issued, so it stays unknown and is settled by reading"
    if klass is CodeClass.RETRY:
        return "its outcome is not known: asking again could issue twice; leave it unknown, it is settled by reading"
    if not confirmed:
        return (
            "its outcome is not known: as final, a later run would ask again and could issue twice; if Capillary"
            " confirmed that nothing is issued with this code, add nothing_issued = true"
        )
    return None


def _unlisted(code: str) -> tuple[str, str]:
    if code.startswith("http_"):
        return (
            f"The API answered with HTTP status {code[5:]}.",
            "Ask Capillary support what this status means here, with the request id of the row.",
        )
    return (
        f"The API refused with code {code}, which its documentation does not list.",
        "Read the API's own message beside it, and ask Capillary support with the request id of the row.",
    )


_IN_DOUBT = (
    "Look up in Capillary whether the customer holds the coupon: it may have been issued, so it is not asked for again."
)
_RETRY, _FINAL, _UNKNOWN = CodeClass.RETRY, CodeClass.FINAL, CodeClass.UNKNOWN
_ROW, _CUSTOMER, _SERIES, _RUN = Scope.ROW, Scope.CUSTOMER, Scope.SERIES, Scope.RUN

# codes | class | scope | agreeing | fixer | meaning | advice
_Line = tuple[str, CodeClass, Scope, int, Fixer, str, str]

_OF_THE_API: tuple[_Line, ...] = (
    ("5005", _RETRY, _SERIES, 0, Fixer.SERIES, "The queue of the series is empty.",
     "Check the stock of the series and upload or create more coupons, then run the same file again."),
    ("521", _RETRY, _CUSTOMER, 0, Fixer.NOBODY, "Another action for this customer is under way.",
     "Run the file again later; if it persists, find out what else works on these customers at the same time."),
    ("429", _RETRY, _RUN, 0, Fixer.KEY, "The key's limit of calls is used up.",
     "Lower --rate, or ask for a key of its own for this work; nothing was issued, the rest can be sent again."),
    ("4001", _RETRY, _RUN, 0, Fixer.SUPPORT, "The service is not available for the moment.",
     "Run the file again later; if it lasts, ask Capillary support."),
    ("677", _FINAL, _ROW, 0, Fixer.SUPPORT, "The API does not accept this count.",
     "The runner asks for 1 to 500 at a time; ask Capillary support whether your cluster has a lower limit."),
    ("701 8015", _FINAL, _ROW, 0, Fixer.MARKETING, "The customer does not exist in this organisation.",
     "Correct the mobile (with country code), e-mail or external id, or register the customer first."),
    ("709", _FINAL, _ROW, 0, Fixer.MARKETING, "The customer has a coupon already, or it could not be processed.",
     "Leave the row out, or ask whoever owns the series to allow several coupons for one customer."),
    ("740 742 750", _FINAL, _ROW, 0, Fixer.SERIES, "The series' settings do not allow this coupon for this customer.",
     "Read the API's own message beside it, and compare the row with the settings of the series."),
    ("721", _FINAL, _ROW, 0, Fixer.MARKETING, "The customer is not valid for issuing.",
     "Check this customer's record (merged, blocked or incomplete), then send the row again."),
    ("756", _FINAL, _ROW, 0, Fixer.MARKETING, "A value that must be set is missing or not valid.",
     "Check the series and the count of the row; the API's message names the value."),
    ("5002", _FINAL, _ROW, 0, Fixer.SERIES, "The customer holds as many coupons of the series as it allows.",
     "Leave the row out, or raise the maximum per customer in the settings of the series."),
    ("5004", _FINAL, _ROW, 0, Fixer.SERIES, "The series gives only one coupon to a customer.",
     "Set the count to 1, or allow several coupons per customer in the settings of the series."),
    ("5006", _FINAL, _ROW, 0, Fixer.SERIES, "Some of the coupons asked for could not be issued.",
     "Check the stock and the limits of the series, then run the same file again."),
    ("707", _FINAL, _SERIES, 1, Fixer.MARKETING, "The series does not exist in this organisation.",
     "Correct the series id in the file; the id is shown in the campaign's coupon settings."),
    ("712 713", _FINAL, _SERIES, 3, Fixer.SERIES, "The series or its campaign has expired.",
     "Extend the validity of the series or name another one, then run the same file again."),
    ("714", _FINAL, _SERIES, 3, Fixer.SERIES, "The campaign of the series is over.",
     "Extend the campaign or name another series, then run the same file again."),
    ("5001", _FINAL, _SERIES, 3, Fixer.SERIES, "The series has reached its maximum.",
     "Raise the maximum of the series or name another one, then run the same file again."),
    ("777 788 795 799", _FINAL, _SERIES, 3, Fixer.SERIES, "The series cannot issue as it is set up.",
     "Read the API's own message beside it, and correct the settings of the series."),
    ("401 498", _FINAL, _RUN, 0, Fixer.KEY, "The API does not accept the credentials, or the token has ended.",
     "Check key and secret (or user and password) then resume."),
    ("403 http_403", _FINAL, _RUN, 0, Fixer.KEY, "The key may not issue coupons.",
     "Give the key access to coupon issuing, and check that this machine's address is allowed, then resume."),
    ("320001", _FINAL, _RUN, 0, Fixer.KEY, "Key and secret do not belong together.",
     "Set both from the same place in Capillary, then resume."),
    ("4000", _FINAL, _RUN, 0, Fixer.SUPPORT, "The API does not understand the request.",
     "Check --api-url; if it is right, ask Capillary support with the request id."),
    ("404 http_404", _FINAL, _RUN, 0, Fixer.KEY, "There is no such address at this host.",
     "Check --api-url: host and region must be those of your organisation's cluster."),
    ("405 413 415 http_405 http_413 http_415", _FINAL, _RUN, 0, Fixer.SUPPORT,
     "The host does not accept this kind of request.",
     "Check --api-url and any proxy in between; if they are right, ask Capillary support with the request id."),
    ("715 735", _FINAL, _RUN, 0, Fixer.KEY, "Key and series do not belong to the same organisation.",
     "Use the key of the organisation that owns the series."),
    ("http_400 http_422", _FINAL, _RUN, 0, Fixer.SUPPORT, "The request was refused without a readable reason.",
     "Check --api-url and any proxy in between; if they are right, ask Capillary support with the request id."),
    ("http_402 http_406 http_407 http_410 http_411 http_414 http_421 http_426 http_428 http_431 http_451", _FINAL,
     _RUN, 0, Fixer.KEY, "The host refuses every request of this kind.",
     "Check --api-url, the proxy and its credentials, then resume."),
    ("722 786 787 789 790 791 792 793 794 796 797 798", _UNKNOWN, _ROW, 0, Fixer.SUPPORT,
     "The API could not finish issuing, and does not say how far it came.",
     _IN_DOUBT),
    ("730", _UNKNOWN, _ROW, 0, Fixer.SERIES,
     "The API could not finish issuing, or a limit named in its message is reached.",
     f"If its message names a limit, check that limit. {_IN_DOUBT}"),
    ("748", _UNKNOWN, _ROW, 0, Fixer.SUPPORT, "The coupon service took too long inside the API.",
     _IN_DOUBT),
    ("704 724", _UNKNOWN, _ROW, 0, Fixer.SUPPORT, "The message to the customer failed; the coupon may exist.",
     _IN_DOUBT),
    ("408 500 502 503 504 520 522 523 524", _UNKNOWN, _ROW, 0, Fixer.SUPPORT,
     "The API failed while it worked on the call.",
     _IN_DOUBT),
    ("http_408 http_460 http_499", _UNKNOWN, _ROW, 0, Fixer.SUPPORT, "The host stopped waiting for the call.",
     _IN_DOUBT),
    ("http_301 http_302 http_303", _UNKNOWN, _ROW, 0, Fixer.KEY, "The host pointed elsewhere after the call.",
     f"{_IN_DOUBT} Correct --api-url: it should not redirect."),
    ("http_500 http_502 http_503 http_504 http_520 http_521 http_522 http_523 http_524", _UNKNOWN, _ROW, 0,
     Fixer.SUPPORT, "The API or a gateway before it failed while the call was under way.",
     _IN_DOUBT),
)  # fmt: skip

_OF_THE_RUNNER: tuple[_Line, ...] = (
    ("timeout", _UNKNOWN, _ROW, 0, Fixer.NOBODY, "No answer came in time.",
     _IN_DOUBT),
    ("connection_lost", _UNKNOWN, _ROW, 0, Fixer.NOBODY, "The connection was lost before the answer came.",
     _IN_DOUBT),
    ("unreadable_answer", _UNKNOWN, _ROW, 0, Fixer.NOBODY, "The API accepted the call, but its answer cannot be read.",
     _IN_DOUBT),
    ("no_counts", _UNKNOWN, _ROW, 0, Fixer.NOBODY, "The answer names neither coupons nor a reason.",
     _IN_DOUBT),
    ("short_answer", _UNKNOWN, _ROW, 0, Fixer.NOBODY, "Fewer coupons came than were asked for, and nothing says why.",
     _IN_DOUBT),
    ("count_above_list", _UNKNOWN, _ROW, 0, Fixer.NOBODY, "The answer counts more coupons than it lists.",
     _IN_DOUBT),
    ("unexplained", _RETRY, _CUSTOMER, 0, Fixer.SUPPORT, "The API says that some were not issued, but not why.",
     "Run the file again later; if it persists, ask Capillary support with the request id."),
    ("not_found", _RETRY, _CUSTOMER, 0, Fixer.NOBODY, "The answer was lost, and the API shows that nothing was issued.",
     "Resume the run: it is asked for again."),
    ("person", _RETRY, _CUSTOMER, 0, Fixer.NOBODY, "The answer was lost, and a person settled that nothing was issued.",
     "Resume the run: it is asked for again."),
    ("no_code", _FINAL, _ROW, 3, Fixer.SUPPORT, "The request was refused without a code.",
     "Read the API's own message beside it, and ask Capillary support with the request id."),
    ("redirect", _FINAL, _RUN, 0, Fixer.KEY, "The host asks to send the call to another address.",
     "Set --api-url to the address that it names, if that is a host of Capillary, then resume."),
    ("not_reached", _RETRY, _RUN, 0, Fixer.KEY, "The API could not be reached; nothing was sent.",
     "Check the network, the proxy and --api-url, then resume."),
    ("credentials", _FINAL, _RUN, 0, Fixer.KEY, "The API grants no token for the key and secret; nothing was sent.",
     "Check key and secret, and that they belong to the address of --api-url, then resume."),
    ("cancelled", _RETRY, _CUSTOMER, 0, Fixer.NOBODY, "The run was stopped before the call was sent.",
     "Resume the run: nothing was sent for this call."),
    ("customer_busy", _FINAL, _ROW, 0, Fixer.NOBODY, "Other actions for this customer did not end in six rounds.",
     "Run the file again later, when nothing else works on these customers."),
    ("resent", _FINAL, _ROW, 0, Fixer.SERIES, "The series sent again a coupon that the customer already held.",
     "Nothing new was issued and it is not asked again; switch off re-sending in the series if new coupons are meant."),
    ("surplus", _FINAL, _ROW, 0, Fixer.MARKETING, "Two rows turned out to be one customer, and both had been issued.",
     "Decide whether the later coupon is to be revoked: `undo RUN --row N`."),
    ("held_back", _FINAL, _ROW, 0, Fixer.SERIES,
     "The check before the run showed that this cannot succeed; it was not sent.",
     "Correct what the plan names, then run the same file again."),
)  # fmt: skip


def _rules(lines: Iterable[_Line]) -> dict[str, CodeRule]:
    return {
        code: CodeRule(
            code=code, klass=klass, scope=scope, agreeing=agreeing, meaning=meaning, advice=advice, fixer=fixer,
            final_with_limit=code == "730",
        )
        for codes, klass, scope, agreeing, fixer, meaning, advice in lines
        for code in codes.split()
    }  # fmt: skip


_FIXED = frozenset(_rules(_OF_THE_RUNNER)) - {"no_code", "unexplained"}
_OPEN_STATUSES = frozenset({"408", "500", "502", "503", "504", "520", "522", "523", "524", "748"})
_DEFAULT = _rules((*_OF_THE_API, *_OF_THE_RUNNER))
