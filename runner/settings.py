"""Flags, environment, job and settings file → one frozen value, built once: nothing reads the environment later.

Precedence: flag > environment (`COUPON_RUNNER_<FLAG>`) > job file > settings of the org > settings file > default.
Unknown keys are errors, and all problems are reported together. Secrets come from the environment or from files that it
names, only.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from platformdirs import PlatformDirs
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from runner.core.guards import ERRORS, parse_threshold
from runner.core.hours import parse_deadline, parse_hours
from runner.core.input_limits import InputLimits, read_size
from runner.core.keys import name_problem
from runner.core.model import Kind
from runner.core.pacing import Rate, leave_share, parse_leave, parse_rate
from runner.core.planned import Duplicates, Overlap
from runner.core.series_cells import MAX_COUNT, MAX_PER_ROW
from runner.core.text_encoding import check_encoding
from runner.core.wording import closest
from runner.errors import SettingsError, UsageError

PREFIX = "COUPON_RUNNER_"

SECRETS = ("API_KEY", "API_SECRET", "API_USER", "API_PASSWORD")
"""Credentials, each with a `…_FILE` twin; never a flag, never in the settings file."""

REAL_RATE = "100/m"
"""The default pace of a real host: what demo and testing clusters allow (API.md, Limits)."""

_DIRECTORIES = PlatformDirs("coupon-runner", appauthor=False)


def config_folder(environment: Mapping[str, str]) -> Path:
    """Where the settings file and the ledgers' keys are; XDG_CONFIG_HOME counts on every system."""
    base = environment.get("XDG_CONFIG_HOME")
    return Path(base) / "coupon-runner" if base else Path(_DIRECTORIES.user_config_dir)


def state_folder(environment: Mapping[str, str]) -> Path:
    """Where the ledger is by default; XDG_STATE_HOME counts on every system."""
    base = environment.get("XDG_STATE_HOME")
    return Path(base) / "coupon-runner" if base else Path(_DIRECTORIES.user_state_dir)


def _split(value: object) -> object:
    """A list given as text: parts between commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _pairs(value: object) -> object:
    """A mapping given as text or list: role=heading, one or several."""
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, list | tuple):
        pairs = {}
        for part in value:
            role, equals, heading = str(part).partition("=")
            if not equals:
                raise ValueError(f'write role=heading, for example mobile="Ph No", not {part!r}')
            pairs[role.strip()] = heading.strip()
        return pairs
    return value


_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def read_duration(value: object) -> object:
    """A duration in seconds: a number, or a number with s, m, min, h or d (`25s`, `90m`, `3h`)."""
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?\s*", value)
        if found is None:
            raise ValueError("write a duration such as 25s, 10m or 3h")
        return float(found[1]) * _UNITS[found[2] or "s"]
    return value


def _read_by(parse: Callable[[str], object]) -> Callable[[object], object]:
    """A text that is kept as it was written, once `parse` has understood it."""

    def read(value: object) -> object:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str):
            try:
                parse(value)
            except UsageError as error:  # a problem among others, all told together
                raise ValueError(error.message) from None
        return value

    return read


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its name. Raises `UsageError`."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # no such zone; no name of a zone; a folder of zones
        known = {zone.casefold(): zone for zone in available_timezones()}
        close = closest(name.strip().casefold(), known)
        hint = f"did you mean {known[close]}?" if close else "write a name such as Asia/Kolkata or UTC"
        raise UsageError(f'there is no time zone "{name}"; {hint}') from None


def _name(value: str) -> str:
    if (problem := name_problem(value)) is not None:
        raise ValueError(problem)
    return value


Name = Annotated[str, AfterValidator(_name)]
Bytes = Annotated[int, BeforeValidator(read_size), Field(ge=1)]
Seconds = Annotated[float, BeforeValidator(read_duration), Field(ge=0)]


class Options(BaseModel):
    """Every setting by its name; a flag is the name with dashes. Durations in seconds, `rate` as it was written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    org: Name | None = None
    campaign: Name | None = None
    api_url: str | None = None
    allowed_hosts: Annotated[tuple[str, ...], BeforeValidator(_split)] = ()
    ledger: str | None = None
    out: Path = Path("coupon-runs")
    reports: Literal["csv", "all"] = "all"
    series: Annotated[tuple[Annotated[int, Field(gt=0)], ...], BeforeValidator(_split)] = ()
    series_file: Path | None = None
    sheet: str | None = None
    hidden: Literal["include", "exclude"] | None = None
    encoding: Annotated[str, AfterValidator(check_encoding)] | None = None
    max_unpacked: Bytes = InputLimits().unpacked
    max_rows: Annotated[int, Field(ge=1)] = InputLimits().rows
    count: Annotated[int, Field(ge=1)] = 1
    max_per_row: Annotated[int, Field(ge=1, le=MAX_COUNT)] = MAX_PER_ROW
    map: Annotated[dict[str, str], BeforeValidator(_pairs)] = Field(default_factory=dict)
    identify_by: Annotated[tuple[Literal["mobile", "email", "externalId"], ...], BeforeValidator(_split)] = ()
    fall_back: bool = False
    region: Annotated[str | None, Field(pattern=r"^[A-Za-z]{2}$")] = None
    phone_format: Literal["international", "national"] | None = None
    short_ids: Literal["refuse", "accept"] = "refuse"
    headings: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    duplicates: Literal["agree", "add"] = "agree"
    overlap: Literal["ask", "refuse", "skip", "allow"] = "ask"
    unfinished: Literal["resume", "abandon", "refuse"] | None = None
    limit: Annotated[int | None, Field(ge=1)] = None
    rate: Annotated[str | None, BeforeValidator(_read_by(parse_rate))] = None
    leave: Annotated[str | None, BeforeValidator(_read_by(parse_leave))] = None
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 16
    max_coupons: Annotated[int | None, Field(ge=1)] = None
    max_rejected: Annotated[str | None, BeforeValidator(_read_by(parse_threshold))] = None
    max_per_customer: Annotated[int | None, Field(ge=1)] = None
    max_value: Annotated[Decimal | None, Field(gt=0, lt=10**15, decimal_places=6)] = None
    max_errors: Annotated[str, BeforeValidator(_read_by(parse_threshold))] = ERRORS
    max_in_doubt: Annotated[str | None, BeforeValidator(_read_by(parse_threshold))] = None
    deadline: Annotated[str | None, BeforeValidator(_read_by(parse_deadline))] = None
    between: Annotated[str | None, BeforeValidator(_read_by(parse_hours))] = None
    timezone: Annotated[str | None, BeforeValidator(_read_by(zone_of))] = None
    canary: Annotated[int | None, Field(ge=0)] = None
    plan: str | None = None
    sandbox: bool = False
    fresh: bool = False
    sandbox_config: Path | None = None
    probe: bool = True
    ignore_preflight: bool = False
    messages_ok: bool = False
    reissue_revoked: bool = False
    same_org: bool = False
    same_api: bool = False
    metadata: bool = True
    attribution: str | None = None
    timeout: Seconds = 60.0
    grace: Seconds = 25.0
    queue_budget: Seconds = 3 * 3600.0
    reach_budget: Seconds = 600.0
    customer_rounds: Annotated[int, Field(ge=1, le=1000)] = 6
    retention: Seconds | None = None
    settle_wait: Seconds = 120.0
    settle_after: Seconds = 900.0
    settle_again: Seconds = 86_400.0
    settle_by_time: bool = False
    codes: dict[str, dict[str, Any]] = Field(default_factory=dict)
    yes: bool = False
    json_output: Annotated[bool, Field(alias="json")] = False
    progress: Literal["auto", "bar", "plain", "json", "none"] = "auto"

    @property
    def input_limits(self) -> InputLimits:
        """How much of the input is unpacked and read."""
        return InputLimits(unpacked=self.max_unpacked, rows=self.max_rows)

    def parsed_rate(self, *, loopback: bool) -> Rate | None:
        """The pace of all calls: the key's limit without what is left to others (`leave`); None: no limit."""
        limit = self.key_limit(loopback=loopback)
        return leave_share(limit, self.leave_share) if limit is not None else None

    def key_limit(self, *, loopback: bool) -> Rate | None:
        """The limit of the key: as given, else the default of a real host; None on loopback."""
        if self.rate is not None:
            return parse_rate(self.rate)
        return None if loopback else parse_rate(REAL_RATE)

    @property
    def leave_share(self) -> float:
        """Which share of the limit stays for whoever else uses the key."""
        return parse_leave(self.leave) if self.leave is not None else 0.0

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """`identify_by` as kinds."""
        return tuple(Kind(kind) for kind in self.identify_by)

    @property
    def duplicates_rule(self) -> Duplicates:
        """`duplicates` as the planner's word."""
        return Duplicates(self.duplicates)

    @property
    def overlap_rule(self) -> Overlap:
        """`overlap` as the planner's word."""
        return Overlap(self.overlap)


OPTION_NAMES = frozenset(field.alias or name for name, field in Options.model_fields.items())
"""Every setting's name, as flags (with dashes), environment and files have it."""

_PER_RUN = frozenset(
    {"yes", "plan", "fresh", "reissue_revoked", "same_org", "same_api", "json", "sheet", "hidden", "series_file"}
    | {"ignore_preflight"}
)
"""Choices that must be made for each run: neither the settings file nor a lasting default may make them."""

_ENVIRONMENT_OWN = frozenset(
    {"SETTINGS", "VERBOSE", "QUIET"} | {f"{name}{twin}" for name in SECRETS for twin in ("", "_FILE")}
)

_OTHER_NAMES = {"rehearse": "sandbox"}
"""Flags that are another name of a setting."""

_TRUE = ("1", "true", "t", "yes", "y", "on")


def settings_path(flag: Path | None, environment: Mapping[str, str]) -> Path:
    """The settings file: `--settings`, else COUPON_RUNNER_SETTINGS, else the user's config folder."""
    if flag is not None:
        return flag
    named = environment.get(f"{PREFIX}SETTINGS")
    return Path(named) if named else config_folder(environment) / "settings.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLayer:
    """What a job file says of the settings. `told`: where a setting stands in it. `problems`: the file's own."""

    values: Mapping[str, Any]
    told: Callable[[str], str]
    problems: Sequence[str] = ()


def resolve(
    flags: Mapping[str, Any], environment: Mapping[str, str], path: Path, job: JobLayer | None = None
) -> Options:
    """Merge the layers and check them.

    Args:
        flags: those given, by name (dashes as underscores).
        environment: of the process.
        path: the settings file; it need not exist.
        job: of `--job`, between environment and settings file.

    Raises:
        SettingsError: every problem of all layers, one a line.
    """
    problems: list[str] = list(job.problems) if job is not None else []
    of_job = dict(job.values) if job is not None else {}
    document = _read_settings(path, problems)
    organisations = document.pop("orgs", {})
    if not isinstance(organisations, dict) or not all(isinstance(own, dict) for own in organisations.values()):
        problems.append(f"settings file {path}: orgs holds a table for each organisation, such as [orgs.main]")
        organisations = {}
    default_org = document.pop("default_org", None)
    layers = [(f"settings file {path}", document)]
    from_environment = _read_environment(environment, problems)
    given = {name: value for name, value in flags.items() if value is not None}
    org = given.get("org") or from_environment.get("org") or of_job.get("org") or document.get("org") or default_org
    rehearsal = given.get("sandbox") or str(from_environment.get("sandbox", "")).lower() in _TRUE
    if not rehearsal and org is not None:
        wanted = str(org).casefold()
        own: dict[str, Any] = next((table for name, table in organisations.items() if name.casefold() == wanted), {})
        layers.append((f"settings file {path}, [orgs.{org}]", own))
        document["org"] = org
    for where, layer in layers:
        problems += [f"{where}: {name} is for a single run only: give it as a flag" for name in layer.keys() & _PER_RUN]
    layers += [("job", of_job), ("environment", from_environment), ("flags", given)]
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for where, layer in layers:
        for name, value in layer.items():
            if name not in OPTION_NAMES:
                problems.append(f"{where}: unknown key {name}{_suggest(name, OPTION_NAMES)}")
                continue
            merged[name] = value
            origin[name] = where
    try:
        options = Options.model_validate(merged)
    except ValidationError as error:
        told = {name: job.told(name) for name, where in origin.items() if where == "job"} if job is not None else {}
        problems += [_explain(item, origin, told) for item in error.errors()]
        options = None
    problems += _hidden_problems(from_environment, given)
    if problems or options is None:
        raise SettingsError("\n".join(dict.fromkeys(problems)))
    return options


def _hidden_problems(from_environment: Mapping[str, Any], flags: Mapping[str, Any]) -> list[str]:
    """What is wrong with variables that a flag outweighs: they will count as soon as the flag is left out."""
    hidden = {name: value for name, value in from_environment.items() if name in flags}
    try:
        Options.model_validate(hidden)
    except ValidationError as error:
        origin = dict.fromkeys(hidden, "environment")
        return [_explain(item, origin, {}) for item in error.errors() if item["loc"] and item["loc"][0] in hidden]
    return []


def _read_settings(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"settings file {path} cannot be read: {error}")
    except tomllib.TOMLDecodeError as error:
        problems.append(f"settings file {path} is not valid TOML: {error}")
    return {}


def _read_environment(environment: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, value in environment.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable[len(PREFIX) :]
        if name in _ENVIRONMENT_OWN:
            continue
        option = _OTHER_NAMES.get(name.lower(), name.lower())
        if option not in OPTION_NAMES:
            known = {other.upper() for other in OPTION_NAMES | _OTHER_NAMES.keys()} | _ENVIRONMENT_OWN
            problems.append(f"environment: unknown variable {variable}{_suggest(name, known, before=PREFIX)}")
        elif value and found.setdefault(option, value) != value:
            twins = [other for other, meant in _OTHER_NAMES.items() if meant == option] + [option]
            names = " and ".join(f"{PREFIX}{twin.upper()}" for twin in twins)
            problems.append(f"environment: {names} say different things; keep one of them")
    return found


def _suggest(name: str, known: Iterable[str], *, before: str = "") -> str:
    """What was probably meant; only the name counts, and not what all have `before` it."""
    close = closest(name, sorted(known))
    return f" (did you mean {before}{close}?)" if close else ""


_PLAIN = {
    "int_parsing": "write a whole number",
    "int_from_float": "write a whole number",
    "float_parsing": "write a number",
    "bool_parsing": "write true or false",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "write one of {expected}",
    "string_pattern_mismatch": "write the country as two letters, such as IN",
}


class _Limits(dict[str, Any]):
    """What a message needs of a rule; a word that the rule does not have stays as it is."""

    def __missing__(self, name: str) -> str:
        return "{" + name + "}"


def _explain(item: Mapping[str, Any], origin: Mapping[str, str], told: Mapping[str, str]) -> str:
    name = str(item["loc"][0])
    message = str(item["msg"]).removeprefix("Value error, ")
    message = _PLAIN.get(str(item["type"]), message[0].lower() + message[1:]).format_map(_Limits(item.get("ctx") or {}))
    shown = f"--{name.replace('_', '-')}" if origin.get(name) == "flags" else f"{origin.get(name, 'settings')}: {name}"
    shown = told.get(name, shown)
    value = item.get("input")
    if isinstance(value, str) and not value.isprintable():
        value = repr(value)
    return f"{shown}: {message}" + (f" (given: {value})" if isinstance(value, str | int | float) else "")


def secret(name: str, environment: Mapping[str, str]) -> str | None:
    """A secret from its variable, or from the file that the `…_FILE` twin names; None when neither is set.

    Raises:
        SettingsError: both are set, or the file cannot be read.
    """
    variable = f"{PREFIX}{name}"
    value, path = environment.get(variable), environment.get(f"{variable}_FILE")
    if value and path:
        raise SettingsError(f"both {variable} and {variable}_FILE are set; keep one of them")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"{variable}_FILE names {path}, which cannot be read: {os.strerror(getattr(error, 'errno', 0) or 5)}"
            ) from None
    return value or None
