"""One table of a TOML file, taken out key by key: wrong values and unknown keys become sentences, all collected."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from runner.sandbox.config import Script
from runner.sandbox.faults import Fault, parse_fault


class Table:
    """One table of the file; takes keys out one by one, so that what is left over is unknown."""

    def __init__(self, problems: list[str], file: str, where: str, values: Mapping[str, Any]) -> None:
        self.problems, self.file, self.where = problems, file, where
        self.left = dict(values)
        self.known: list[str] = []

    def problem(self, key: str, text: str) -> None:
        name = f"{self.where}.{key}" if self.where else key
        self.problems.append(f"{self.file}: {name}: {text}")

    def take(self, key: str) -> Any:
        self.known.append(key)
        return self.left.pop(key, None)

    def has(self, key: str) -> bool:
        return key in self.left

    def text(self, key: str, default: str = "") -> str:
        value = self.take(key)
        if value is None:
            return default
        if not isinstance(value, str) or not value.strip():
            self.problem(key, f"must be text in quotes, not {value!r}")
            return default
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.take(key)
        values = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(one, str) and one.strip() for one in values):
            self.problem(key, f"must be text in quotes, or a list of texts, not {value!r}; quote numbers")
            return ()
        return tuple(values)

    def flag(self, key: str, default: bool) -> bool:
        value = self.take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.problem(key, f"must be true or false, not {value!r}")
            return default
        return value

    def integer(self, key: str, default: int, *, least: int) -> int:
        value = self.take(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or value < least or value > 2**53:
            self.problem(key, f"must be a whole number, {least} or more, not {value!r}")
            return default
        return value

    def integers(self, key: str) -> tuple[int, ...]:
        value = self.take(key)
        values = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(one, int) and not isinstance(one, bool) and 0 < one < 2**53 for one in values):
            self.problem(key, f"must be a list of whole numbers, such as [415446, 535521], not {value!r}")
            return ()
        return tuple(values)

    def number(self, key: str, default: float, *, most: float = 1e9) -> float:
        value = self.take(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
            self.problem(key, f"must be a number from 0 to {most:g}, not {value!r}")
            return default
        return float(value)

    def choice(self, key: str, default: str, options: tuple[str, ...]) -> Any:
        value = self.take(key)
        if value is None:
            return default
        if str(value) not in options:
            self.problem(key, f"must be one of {', '.join(options)}, not {value!r}")
            return default
        return str(value)

    def moment(self, key: str) -> datetime | None:
        value = self.take(key)
        if isinstance(value, str):
            try:
                value = date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
            except ValueError:
                self.problem(key, f"must be a date such as 2030-12-31 or 2030-12-31T23:59:59Z, not {value!r}")
                return None
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, date):
            return datetime.combine(value, time(23, 59, 59), UTC)
        if value is not None:
            self.problem(key, f"must be a date such as 2030-12-31, not {value!r}")
        return None

    def latency(self, key: str) -> tuple[float, float]:
        value = self.take(key)
        pair = value if isinstance(value, list) else [value, value] if value is not None else [0, 0]
        good = len(pair) == 2 and all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in pair)
        if not good or not 0 <= pair[0] <= pair[1] <= 3600:
            self.problem(key, f"must be seconds, or [least, most] seconds, not {value!r}")
            return (0.0, 0.0)
        return (float(pair[0]), float(pair[1]))

    def script(self, key: str = "answers") -> Script:
        value = self.take(key)
        if value is None:
            return ()
        found: list[Fault | str] = []
        if not isinstance(value, list):
            self.problem(key, f'must be a list, such as ["5005", "ok"], not {value!r}')
            return ()
        for one in value:
            try:
                found.append(parse_fault(str(one)) if not isinstance(one, (dict, list, bool)) else _no_answer(one))
            except ValueError as error:
                self.problem(key, str(error))
        return tuple(found)

    def table(self, key: str) -> Table:
        value = self.take(key)
        if value is not None and not isinstance(value, dict):
            self.problem(key, f"must be a table, written [{key}]")
            value = None
        return Table(self.problems, self.file, f"[{key}]", value or {})

    def tables(self, key: str) -> list[Table]:
        value = self.take(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self.problem(key, f"must be written as [[{key}]], once for each")
            return []
        return [Table(self.problems, self.file, f"[[{key}]] number {n}", one) for n, one in enumerate(value, 1)]

    def done(self) -> None:
        for key in self.left:
            near = difflib.get_close_matches(key, self.known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(self.known))}"
            self.problem(key, f"unknown key; {hint}")


def _no_answer(value: object) -> Fault:
    raise ValueError(f"an answer is a name or a number in quotes, not {value!r}")
