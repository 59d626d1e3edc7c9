"""What an exchange means: how many coupons are known, how many may exist besides, and why the rest is missing.

Owns the meaning of one exchange (API.md, "Responses" and "What a code means for the caller"; RULES.md 25). Never says
what follows: that is `policy`. Never raises, whatever came. What may have been issued is held and settled by reading:
a wrong "refused" would issue twice, a wrong "in doubt" only waits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from runner.core.answer import Answer, Entry, one_line, read_answer
from runner.core.codes import TWINS, CodeRule, CodeTable
from runner.core.model import CallState, CodeClass, Exchange, Outcome, Reason, Scope

ALIKE_CLOSE_SERIES = 3
"""Answers in a row with the same unlisted code, or with none, that close a series (API.md)."""

_STATUS_WINS = frozenset({307, 308, 401, 403, 405, 413, 415, 429, 498})  # over a code that the table does not list
_EXPLAINING_WARNINGS = frozenset(TWINS) | frozenset(TWINS.values())
_LIMIT = re.compile(
    r"(?=.*\b(?:max(?:imum)?|limit|exceed(?:s|ed)?)\b)"
    r"(?=.*\b(?:user|customer|day|week|month|coupons?|series|issuals?|vouchers?|store|till)\b)"
    r"(?!.*(?:time|rate|retry|again|request))",
    re.IGNORECASE | re.DOTALL,
)


def classify(exchange: Exchange, *, asked: int, table: CodeTable) -> Outcome:
    """The meaning of an exchange that asked for `asked` coupons (≥ 1) of one series for one customer.

    The body decides whenever it is a JSON object (even when its transfer broke off: the beginning of an object is no
    object, so it came whole), else the HTTP status. Coupons listed are known whatever else is said. `held` is between 0
    and `asked` less the coupons listed. Raises nothing.
    """
    status, headers = exchange.status, exchange.headers
    if not exchange.left:
        code = exchange.failure if exchange.failure in ("cancelled", "credentials") else "not_reached"
        reason = _reason(table, code, one_line(exchange.detail))
        return Outcome(state=CallState.NEVER_LEFT, reason=reason, status=status)
    answer = None if status is None else read_answer(exchange.body, headers)
    request_id = (headers.get("x-cap-request-id") or "")[:200]
    retry_after = retry_after_seconds(headers)
    if status is None or answer is None:
        reason = _without_body(exchange, table)
        unknown = reason.klass is CodeClass.UNKNOWN
        return Outcome(
            state=CallState.IN_DOUBT if unknown else CallState.REFUSED, held=asked if unknown else 0, reason=reason,
            status=status, retry_after_seconds=retry_after, request_id=request_id,
        )  # fmt: skip
    known = len(answer.coupons)
    if known == asked and not answer.errors and not answer.warnings and answer.success == asked and not answer.repeated:
        return Outcome(  # nearly every answer ends here
            state=CallState.ISSUED, coupons=answer.coupons, status=status, customer=answer.customer,
            retry_after_seconds=retry_after, request_id=request_id, flags=_flags(answer, asked),
        )  # fmt: skip
    held, why = _decide(answer, status, asked, table)
    entries = (*answer.errors, *answer.warnings, *answer.general)
    return Outcome(
        state=CallState.IN_DOUBT if held else CallState.ISSUED if known else CallState.REFUSED,
        coupons=answer.coupons, held=held, reason=why,
        codes=tuple(dict.fromkeys(entry.code for entry in entries if entry.code)),
        status=status, customer=answer.customer, retry_after_seconds=retry_after, request_id=request_id,
        flags=_flags(answer, asked),
    )  # fmt: skip


def _decide(answer: Answer, status: int, asked: int, table: CodeTable) -> tuple[int, Reason | None]:
    """How many may have been issued beyond those listed, and the principal reason for what is missing or in doubt."""
    known, success = len(answer.coupons), answer.success
    short = asked - known
    if short <= 0:
        return 0, None
    by_status = None if 200 <= status < 300 else _by_status(status, table, parsable=True, message=answer.message)
    explaining, unknown = _reasons(answer, status, by_status, table)
    claimed = min(short, max(0, success - known) if success is not None else answer.blurred)
    counted = _explained_by_counts(answer, asked)
    if explaining and unknown is None:
        held = claimed
    elif by_status is not None and unknown is None and known == 0:
        # Nothing but the status speaks. When it leaves the outcome open, counts in such a body prove nothing.
        held = short if by_status.klass is CodeClass.UNKNOWN else claimed
        explaining = [] if by_status.klass is CodeClass.UNKNOWN else [by_status]
        unknown = by_status if by_status.klass is CodeClass.UNKNOWN else None
    else:
        held = short - min(counted, short - claimed)
    if held and unknown is not None:
        return held, unknown
    if explaining and held < short:
        return held, min(explaining, key=_rank)
    if held:
        code = "no_counts"
        if success is not None and success > known:
            code = "count_above_list"
        elif known or success is not None or answer.failure is not None or answer.blurred:
            code = "short_answer"
        return held, _reason(table, code, answer.message)
    if unknown is not None:
        # The counts prove that the rest was not issued, so what the code left open is closed: it may be asked again.
        return 0, Reason(
            code=unknown.code, message=unknown.message, klass=CodeClass.RETRY, scope=Scope.CUSTOMER, agreeing=0
        )
    return 0, _reason(table, "unexplained", answer.message)


def _reasons(
    answer: Answer, status: int, by_status: Reason | None, table: CodeTable
) -> tuple[list[Reason], Reason | None]:
    """The codes that prove that the rest was not issued, and the first that leaves it open."""
    explaining, unknown = list[Reason](), None
    open_status = by_status is not None and by_status.klass is CodeClass.UNKNOWN
    # A gateway that failed may put any code there; 4001 beside 503 is documented.
    general = [entry for entry in answer.general if not open_status or (entry.code == "4001" and status == 503)]
    for entry in (*answer.errors, *general):
        rule = table.look_up(entry.code) if entry.code else None
        if rule is None:
            # Without coupons an unlisted code is a refusal (API.md); beside coupons only the counts explain the rest.
            if entry.code and not answer.coupons and not open_status and status not in _STATUS_WINS:
                explaining.append(_unlisted(entry, table))
        elif rule.klass is CodeClass.UNKNOWN:
            if rule.final_with_limit and _LIMIT.match(entry.message):
                explaining.append(_of_rule(rule, entry.message, CodeClass.FINAL))
            elif unknown is None:
                unknown = _of_rule(rule, entry.message)
        elif rule.proven or not (open_status or answer.coupons):
            explaining.append(_of_rule(rule, entry.message))
    for entry in answer.warnings:
        rule = table.look_up(entry.code) if entry.code else None
        if rule is None:
            continue
        if rule.klass is CodeClass.UNKNOWN:
            unknown = unknown or _of_rule(rule, entry.message)
        elif entry.code in _EXPLAINING_WARNINGS:
            explaining.append(_of_rule(rule, entry.message))
    return explaining, unknown


def _explained_by_counts(answer: Answer, asked: int) -> int:
    """How many of the coupons that are not listed were not issued, by the counts alone."""
    known, success, failure, total = len(answer.coupons), answer.success, answer.failure, answer.total
    short = asked - known
    if (success is not None and success < known) or (known and failure is not None and failure > short):
        return 0  # the counts deny a coupon that is listed: nothing in them can be trusted
    # All zeros are what an empty object looks like: a total of 0 accounts for nothing.
    whole = failure is None or (success or 0) + failure >= asked or (total and total == (success or 0) + failure)
    if success == known and not answer.blurred and whole:
        return short
    return min(failure or 0, short)


def _rank(reason: Reason) -> tuple[bool, int, int]:
    """Order of precedence: run > series > row > retry; among series codes the one that closes at once."""
    breadth = (Scope.RUN, Scope.SERIES, Scope.CUSTOMER, Scope.ROW).index(reason.scope)
    return reason.klass is CodeClass.RETRY, breadth, reason.agreeing or ALIKE_CLOSE_SERIES + 1


def _without_body(exchange: Exchange, table: CodeTable) -> Reason:
    """The reason when no body can be read: the status decides, or how the exchange broke."""
    status = exchange.status
    if status is not None and not 200 <= status < 300:
        return _by_status(status, table, parsable=False)
    if exchange.failure == "timeout":
        return _reason(table, "timeout")
    return _reason(table, "connection_lost" if status is None or not exchange.complete else "unreadable_answer")


def _by_status(status: int, table: CodeTable, *, parsable: bool, message: str = "") -> Reason:
    """What a status other than 2xx means by itself. `parsable`: the body is a JSON object, without a deciding code."""
    if status in (401, 429, 498):
        return _reason(table, str(status), message)
    if status in (307, 308):
        return _reason(table, "redirect", message)
    if status in (400, 422) and parsable:
        return _reason(table, "no_code", message)
    code = f"http_{status}"
    rule = table.look_up(code)
    if rule is not None:
        return _of_rule(rule, message)
    final = 400 <= status < 500
    return Reason(
        code=code, message=message or table.meaning(code), klass=CodeClass.FINAL if final else CodeClass.UNKNOWN,
        scope=Scope.ROW, agreeing=ALIKE_CLOSE_SERIES if final else 0,
    )  # fmt: skip


def _reason(table: CodeTable, code: str, message: str = "") -> Reason:
    rule = table.look_up(code)
    if rule is None:  # a table without this word: the careful reading
        return Reason(code=code, message=message, klass=CodeClass.UNKNOWN, scope=Scope.ROW)
    return _of_rule(rule, message)


def _of_rule(rule: CodeRule, message: str, klass: CodeClass | None = None) -> Reason:
    return Reason(
        code=rule.code, message=message or rule.meaning, klass=klass or rule.klass, scope=rule.scope,
        agreeing=rule.agreeing,
    )  # fmt: skip


def _unlisted(entry: Entry, table: CodeTable) -> Reason:
    return Reason(
        code=entry.code, message=entry.message or table.meaning(entry.code), klass=CodeClass.FINAL, scope=Scope.ROW,
        agreeing=ALIKE_CLOSE_SERIES,
    )  # fmt: skip


def _flags(answer: Answer, asked: int) -> tuple[str, ...]:
    """Surprises that are recorded and never absorbed."""
    known, success, failure, total = len(answer.coupons), answer.success, answer.failure, answer.total
    if known == asked == success and not failure and total in (None, asked) and not (answer.repeated or answer.blurred):
        return ()
    flags = []
    if known > asked:
        flags.append("more_than_asked")
    if (
        (success is not None and success != known)
        or (failure and known + failure > max(asked, known))
        or (success is not None and failure is not None and total is not None and success + failure != total)
    ):
        flags.append("counts_contradict")
    if answer.repeated:
        flags.append("repeated_coupon")
    if answer.blurred:
        flags.append("unreadable_coupon")
    return tuple(flags)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Seconds by `Retry-After`: a number, or a date against the answer's own `Date` (no clock here: else ignored)."""
    written = headers.get("retry-after")
    if written is None:
        return None
    written = written.strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", written, re.ASCII):
        return float(written)
    try:
        until, now = parsedate_to_datetime(written), parsedate_to_datetime(headers.get("date") or "")
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError, OverflowError):  # not a date, or one with and one without a zone
        return None
