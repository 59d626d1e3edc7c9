"""The sandbox's settings: what can be set, with its default and unit. ``configfile`` reads them from TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from runner.sandbox.faults import Fault

Policy = Literal["accept", "refuse"]
SeriesKind = Literal["generated", "uploaded", "generic"]
Script = tuple["Fault | str", ...]
"""Answers given one per call; a text is the name of a group of faults to draw from."""


class SandboxConfigError(ValueError):
    """The sandbox's configuration is wrong; the message names file, key and remedy, one problem a line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesConfig:
    """One coupon series. Numbers of coupons use −1 for "no limit", as the API does."""

    id: int = 0
    kind: SeriesKind = "generated"
    description: str = ""
    discount_type: Literal["ABS", "PERC"] = "ABS"
    discount_value: float = 100
    code: str = ""
    """The shared code of a generic series; default ``GENERIC<id>``."""
    stock: int = -1
    """Uploaded series: how many codes were uploaded (−1: a million)."""
    max_create: int = -1
    """Generated and generic series: how many coupons may ever be created."""
    issued_before: int = 0
    """Coupons that the series had issued before this truth began: told in ``numIssued``, and gone from its stock."""
    max_per_customer: int = -1
    allow_multiple: bool = True
    resend_existing: bool = False
    """A customer who holds a coupon gets that one again, and the answer calls it a success."""
    min_days: int = -1
    """Least days between two issues to one customer."""
    excludes: tuple[int, ...] = ()
    """Series that exclude this one: who holds a coupon of theirs gets none of this."""
    excluded_code: int = 742
    """What such a customer is answered (inferred)."""
    valid_till: datetime | None = None
    expiry_type: str = "SERIES_EXPIRY"
    """Told, and nothing follows from it here; the same for the next three."""
    expiry_value: int = 0
    fixed_expiry: datetime | None = None
    campaign_id: int = 0
    messages: bool = False
    """A template of a message is set, and messages are not switched off. Told; none is sent."""
    external: bool = False
    exhausted_code: int = 5001
    """What an exhausted series answers (inferred: undocumented)."""
    partial_in: Literal["", "errors", "warnings"] = ""
    """Where a partial success puts its reason; "" as for every series."""
    dry_for_seconds: float = 0
    """From the first call on, the queue is empty (5005) for so long."""
    answers: Script = ()
    repeat_last: bool = False

    @property
    def looks_at_holdings(self) -> bool:
        """Whether what a customer holds already matters."""
        return not self.allow_multiple or self.resend_existing or self.max_per_customer >= 0 or self.min_days > 0

    @property
    def looks_at_stock(self) -> bool:
        """Whether what was issued from it already matters."""
        return (self.stock if self.kind == "uploaded" else self.max_create) >= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerConfig:
    """One customer with all the identifiers that lead to it; ``unknown`` makes the API not know it (701)."""

    id: int = 0
    identifiers: tuple[tuple[str, str], ...] = ()
    first_name: str = "Sample"
    last_name: str = "Customer"
    unknown: bool = False
    answers: Script = ()
    repeat_last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthConfig:
    """Credentials. ``required`` follows from any credential being set, unless it is given."""

    required: bool = False
    user: str = ""
    password: str = ""
    key: str = ""
    secret: str = ""
    ttl_seconds: int = 86400
    ended: Literal["498", "http_498", "401"] = "498"
    """An ended token is answered with code 498 in HTTP 200, with HTTP 498, or with 401 in XML."""
    answers: Script = ()
    repeat_last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitConfig:
    """Requests per key (``limit`` in ``window_seconds``; 0 = no limit)."""

    limit: int = 0
    window_seconds: float = 60
    kind: Literal["sliding", "fixed"] = "sliding"
    retry_after: Literal["none", "seconds", "date"] = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingConfig:
    """How the two reads of coupons behave; ``lag_seconds`` = how late new coupons appear in them."""

    lag_seconds: float = 0
    ignore_issued_to_ids: bool = False
    drop_metadata: bool = False
    page_limit: int = 100
    answers: Script = ()
    repeat_last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultTimes:
    """Seconds that faults take when they name none themselves."""

    hang_seconds: float = 75
    late_seconds: float = 1
    drip_seconds: float = 1
    retry_after_seconds: float = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosConfig:
    """Random faults: share of calls (0–1) by fault or group, and the times for faults drawn this way."""

    seed: int | None = None
    rates: tuple[tuple[str, float], ...] = ()
    times: FaultTimes = field(
        default_factory=lambda: FaultTimes(hang_seconds=2, late_seconds=0.2, drip_seconds=0.2, retry_after_seconds=1)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """Everything that can be set. The default accepts every customer and every series and has no faults."""

    org_id: int = 100
    unknown_series: Policy = "accept"
    unknown_customers: Policy = "accept"
    partial_in: Literal["errors", "warnings"] = "errors"
    """Where a partial success by the series' own limits puts its reason."""
    strict_headers: bool = True
    latency_seconds: tuple[float, float] = (0.0, 0.0)
    """Least and most time between the arrival of a POST and its commit; the customer is busy for that long."""
    answers: Script = ()
    repeat_last: bool = False
    series_defaults: SeriesConfig = field(default_factory=SeriesConfig)
    series: Mapping[int, SeriesConfig] = field(default_factory=dict)
    customers: tuple[CustomerConfig, ...] = ()
    auth: AuthConfig = field(default_factory=AuthConfig)
    limits: LimitConfig = field(default_factory=LimitConfig)
    reading: ReadingConfig = field(default_factory=ReadingConfig)
    revoking_answers: Script = ()
    times: FaultTimes = field(default_factory=FaultTimes)
    chaos: ChaosConfig | None = None
