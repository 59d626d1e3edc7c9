"""Which date a job is for, and what becomes of the dates in its texts."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

_FIELD = re.compile(r"\{([^{}]*)\}")
_VARIABLE = re.compile(r"\$\{[^{}]*\}")
DATE_SIGNS = "YymdjbBaAGVu"
"""What may follow % in {date:…}: parts of a date, never of a time."""


def _without_variables(text: str) -> str:
    return _VARIABLE.sub("", text)


def uses_date(text: str) -> bool:
    """Whether a text holds {date}."""
    return "{date" in _without_variables(text)


def date_problem(text: str) -> str | None:
    """What is wrong with the braces of a text, or None."""
    plain = _without_variables(text)
    for field in _FIELD.findall(plain):
        name, colon, form = field.partition(":")
        if name != "date" or (colon and not form):
            return f"{{{field}}} is not known: write {{date}}, or {{date:%Y-%m}} for a part of it"
        if wrong := [
            sign for sign in re.findall(r"%(.?)", form.replace("%%", "")) if sign not in DATE_SIGNS or not sign
        ]:
            known = " ".join(f"%{sign}" for sign in DATE_SIGNS)
            return f"%{wrong[0]} in {{{field}}} is no part of a date; known are {known}"
        if form and "%" not in form.replace("%%", ""):
            return f"{{{field}}} holds no part of the date: write for example {{date:%Y-%m}}"
    if "{" in _FIELD.sub("", plain) or "}" in _FIELD.sub("", plain):
        return "a brace is not closed: write {date} or {date:%Y-%m}"
    return None


def fill_date(text: str, day: date | None) -> str:
    """The text with its dates. `day` may be None for a text without any."""
    if day is None:
        return text
    kept: list[str] = []

    def put_aside(match: re.Match[str]) -> str:
        kept.append(match[0])
        return "\0"

    def put_date(match: re.Match[str]) -> str:
        form = match[1].partition(":")[2]
        return day.strftime(form) if form else day.isoformat()

    filled = _FIELD.sub(put_date, _VARIABLE.sub(put_aside, text))
    return re.sub("\0", lambda _: kept.pop(0), filled)


def read_day(text: str) -> date | None:
    """A date written YYYY-MM-DD; None when it is none."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII) is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def due_date(start: float, zone: tzinfo, due: time | None) -> date:
    """The day of the last due moment at or before the start (seconds since the epoch), in the job's time zone.

    Without `due` it is the calendar day. A due time that the clocks skip falls on the moment after the gap, one that
    comes twice on its first.
    """
    here = datetime.fromtimestamp(start, UTC).astimezone(zone)
    if due is None:
        return here.date()
    day = here.date()
    while datetime.combine(day, due, tzinfo=zone).astimezone(UTC).timestamp() > start:
        day -= timedelta(days=1)
    return day
