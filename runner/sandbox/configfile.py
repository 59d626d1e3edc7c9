"""Reading the configuration file. All problems of a file are reported together, each with its remedy."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

from runner.sandbox.config import (
    AuthConfig,
    ChaosConfig,
    CustomerConfig,
    FaultTimes,
    LimitConfig,
    ReadingConfig,
    SandboxConfig,
    SandboxConfigError,
    Script,
    SeriesConfig,
    SeriesKind,
)
from runner.sandbox.faults import GROUPS, parse_fault
from runner.sandbox.tables import Table


def load_config(path: Path | None, *, beneath: Mapping[str, Any] | None = None) -> SandboxConfig:
    """Read a file; ``None`` gives the defaults. Raises ``SandboxConfigError`` with every problem found.

    ``beneath``: settings that come from elsewhere. What the file says wins, key by key, also within a series.
    """
    data = {} if path is None else _read(path)
    if path is None and not beneath:
        return SandboxConfig()
    return parse_config(_over(data, beneath or {}), file=str(path or "settings"))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SandboxConfigError([f"{path}: cannot be read ({error.strerror}); check the path"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SandboxConfigError([f"{path}: is not valid TOML: {error}; mend that place"]) from error


def _over(data: Mapping[str, Any], beneath: Mapping[str, Any]) -> dict[str, Any]:
    """Both in one; series with the same number become one table."""
    own = data.get("series", [])
    if not isinstance(own, list) or not all(isinstance(one, dict) for one in own):
        return {**beneath, **data}  # told as a problem of the file
    under = {one.get("id"): one for one in beneath.get("series", ())}
    named = {one.get("id") for one in own}
    series = [{**under.get(one.get("id"), {}), **one} for one in own]
    series += [one for number, one in under.items() if number not in named]
    return {**beneath, **data, "series": series}


def parse_config(data: Mapping[str, Any], *, file: str = "sandbox configuration") -> SandboxConfig:
    """The same from a mapping, for tests and callers that have no file."""
    problems: list[str] = []
    top = Table(problems, file, "", data)
    defaults = top.table("series_defaults")
    base = _series(defaults, SeriesConfig(), named=False)
    series: dict[int, SeriesConfig] = {}
    for table in top.tables("series"):
        one = _series(table, base, named=True)
        if one.id in series:
            table.problem("id", f"series {one.id} is there twice; keep one")
        series[one.id] = one
    config = SandboxConfig(
        org_id=top.integer("org_id", 100, least=1),
        unknown_series=top.choice("unknown_series", "accept", ("accept", "refuse")),
        unknown_customers=top.choice("unknown_customers", "accept", ("accept", "refuse")),
        partial_in=top.choice("partial_in", "errors", ("errors", "warnings")),
        strict_headers=top.flag("strict_headers", True),
        latency_seconds=top.latency("latency_seconds"),
        answers=top.script(),
        repeat_last=top.flag("repeat_last", False),
        series_defaults=base,
        series=series,
        customers=_customers(top.tables("customers")),
        auth=_auth(top.table("auth")),
        limits=_limits(top.table("limits")),
        reading=_reading(top.table("reading")),
        revoking_answers=_revoking(top.table("revoking")),
        times=_times(top.table("faults"), FaultTimes()),
        chaos=_chaos(top.table("chaos")) if top.has("chaos") else None,
    )
    top.known.append("chaos")
    top.done()
    if problems:
        raise SandboxConfigError(problems)
    return config


def _series(table: Table, base: SeriesConfig, *, named: bool) -> SeriesConfig:
    if named and not table.has("id"):
        table.problem("id", "is missing; every [[series]] needs its number")
    kind = cast(SeriesKind, table.choice("kind", base.kind, ("generated", "uploaded", "generic")))
    valid_till = table.moment("valid_till")
    one = SeriesConfig(
        id=table.integer("id", 0, least=1) if named else 0,
        kind=kind,
        description=table.text("description", base.description),
        discount_type=table.choice("discount_type", base.discount_type, ("ABS", "PERC")),
        discount_value=table.number("discount_value", base.discount_value),
        code=table.text("code", base.code),
        stock=table.integer("stock", base.stock, least=-1),
        max_create=table.integer("max_create", base.max_create, least=-1),
        issued_before=table.integer("issued_before", base.issued_before, least=0),
        max_per_customer=table.integer("max_per_customer", base.max_per_customer, least=-1),
        allow_multiple=table.flag("allow_multiple", base.allow_multiple),
        resend_existing=table.flag("resend_existing", base.resend_existing),
        min_days=table.integer("min_days", base.min_days, least=-1),
        excludes=table.integers("excludes") or base.excludes,
        excluded_code=table.integer("excluded_code", base.excluded_code, least=1),
        valid_till=valid_till or base.valid_till,
        expiry_type=table.text("expiry_type", base.expiry_type),
        expiry_value=table.integer("expiry_value", base.expiry_value, least=0),
        fixed_expiry=table.moment("fixed_expiry") or base.fixed_expiry,
        campaign_id=table.integer("campaign_id", base.campaign_id, least=-1),
        messages=table.flag("messages", base.messages),
        external=table.flag("external", base.external),
        exhausted_code=table.integer("exhausted_code", base.exhausted_code, least=1),
        partial_in=cast(
            Literal["", "errors", "warnings"], table.choice("partial_in", base.partial_in, ("errors", "warnings"))
        ),
        dry_for_seconds=table.number("dry_for_seconds", base.dry_for_seconds),
        answers=table.script() or base.answers,
        repeat_last=table.flag("repeat_last", base.repeat_last),
    )
    table.done()
    return one


def _customers(tables: list[Table]) -> tuple[CustomerConfig, ...]:
    found: list[CustomerConfig] = []
    owners: dict[object, str] = {}
    for table in tables:
        identifiers = [
            (kind, value.lower() if kind == "email" else value)
            for key, kind in (("mobile", "mobile"), ("email", "email"), ("external_id", "externalId"))
            for value in table.texts(key)
        ]
        one = CustomerConfig(
            id=table.integer("id", 0, least=1),
            identifiers=tuple(identifiers),
            first_name=table.text("first_name", "Sample"),
            last_name=table.text("last_name", "Customer"),
            unknown=table.flag("unknown", False),
            answers=table.script(),
            repeat_last=table.flag("repeat_last", False),
        )
        table.done()
        if not identifiers:
            table.problem("mobile", "give at least one of mobile, email, external_id")
        for name in [*identifiers, *([one.id] if one.id else [])]:
            if name in owners:
                table.problem("mobile", f"{name} belongs to {owners[name]} already; keep it in one place")
            owners[name] = table.where
        found.append(one)
    return tuple(found)


def _auth(table: Table) -> AuthConfig:
    user, password = table.text("user"), table.text("password")
    key, secret = table.text("key"), table.text("secret")
    if bool(user) != bool(password):
        table.problem("user", "user and password go together; give both or neither")
    if bool(key) != bool(secret):
        table.problem("key", "key and secret go together; give both or neither")
    auth = AuthConfig(
        required=table.flag("required", bool(user or key)),
        user=user,
        password=password,
        key=key,
        secret=secret,
        ttl_seconds=table.integer("ttl_seconds", 86400, least=1),
        ended=table.choice("ended", "498", ("498", "http_498", "401")),
        answers=table.script(),
        repeat_last=table.flag("repeat_last", False),
    )
    table.done()
    return auth


def _limits(table: Table) -> LimitConfig:
    window = table.number("window_seconds", 60)
    if window <= 0:
        table.problem("window_seconds", "must be more than 0")
    limits = LimitConfig(
        limit=table.integer("limit", 0, least=0),
        window_seconds=window,
        kind=table.choice("kind", "sliding", ("sliding", "fixed")),
        retry_after=table.choice("retry_after", "none", ("none", "seconds", "date")),
    )
    table.done()
    return limits


def _reading(table: Table) -> ReadingConfig:
    reading = ReadingConfig(
        lag_seconds=table.number("lag_seconds", 0),
        ignore_issued_to_ids=table.flag("ignore_issued_to_ids", False),
        drop_metadata=table.flag("drop_metadata", False),
        page_limit=table.integer("page_limit", 100, least=1),
        answers=table.script(),
        repeat_last=table.flag("repeat_last", False),
    )
    table.done()
    return reading


def _revoking(table: Table) -> Script:
    script = table.script()
    table.done()
    return script


def _times(table: Table, base: FaultTimes, *, finish: bool = True) -> FaultTimes:
    times = FaultTimes(
        hang_seconds=table.number("hang_seconds", base.hang_seconds),
        late_seconds=table.number("late_seconds", base.late_seconds),
        drip_seconds=table.number("drip_seconds", base.drip_seconds),
        retry_after_seconds=table.number("retry_after_seconds", base.retry_after_seconds),
    )
    if finish:
        table.done()
    return times


def _chaos(table: Table) -> ChaosConfig:
    seed = table.integer("seed", 0, least=0) if table.has("seed") else None
    times = _times(table, ChaosConfig().times, finish=False)
    rates: list[tuple[str, float]] = []
    for name in list(table.left):
        try:
            if name not in GROUPS:
                parse_fault(name)
        except ValueError as error:
            table.take(name)
            table.problem(name, str(error))
            continue
        rates.append((name, table.number(name, 0, most=1)))
    if sum(rate for _, rate in rates) > 1:
        table.problem("rates", "add up to more than 1; lower some")
    return ChaosConfig(seed=seed, rates=tuple(rates), times=times)
