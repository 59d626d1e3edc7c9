"""What a run would do, counted: the plan as it is shown, agreed to and held against its code."""

from __future__ import annotations

from dataclasses import dataclass

from runner.core.model import Place, Problem
from runner.core.preflight import HeldBack


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPlan:
    """What a run would ask of one series.

    `missing` coupons in at least `calls` calls for `orders` orders with missing > 0. `replaced`: revoked coupons that
    count as issued no more. `back`: what is missing besides, of orders that are held back.
    """

    series: int
    orders: int
    target: int
    issued: int
    held: int
    missing: int
    calls: int
    replaced: int = 0
    back: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapSeen:
    """Orders whose persons hold the same series from another campaign: where, how many, and some rows of this input."""

    where: str
    orders: int
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run would do, counted. rows = used + rejected + duplicate_rows; coupons: target, issued, held, missing.

    `below`: orders whose target is below what is issued already. `leavers`: orders of earlier runs of the campaign
    that hold
    coupons and are in no row now (None for a file of our own lines, which lists none). `digest`: of every order with
    its target and what is missing. `examples`: rejected rows (file, sheet, row, problems), the first few. `replaced`:
    revoked coupons that are no part of `issued` any more, since they are to be asked for again. `held_back`: orders
    that cannot succeed, by reason; `back`: their coupons, unless they are sent nonetheless. `with_others`: orders to be
    issued whose customers have another identifier to fall back to (None: nobody falls back).
    """

    rows: int
    rejected: int
    duplicate_rows: int
    lines: int
    orders: int
    target: int
    issued: int
    held: int
    missing: int
    calls: int
    skipped: int
    below: int
    leavers: int | None
    series: tuple[SeriesPlan, ...]
    overlaps: tuple[OverlapSeen, ...]
    examples: tuple[tuple[Place, tuple[Problem, ...]], ...]
    digest: str
    replaced: int = 0
    back: int = 0
    held_back: tuple[HeldBack, ...] = ()
    with_others: int | None = None

    @property
    def used(self) -> int:
        """Rows that stand for orders: neither rejected nor only a repetition."""
        return self.rows - self.rejected - self.duplicate_rows
