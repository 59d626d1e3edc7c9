"""A probe of a plan: which customers are looked up before a coupon is spent, and what is said of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from runner.core.model import Place
from runner.core.statuses import name_row

PROBED = 20
"""Customers that are looked up: enough to see a wrong number format, few enough to be done in half a minute."""

_ROWS_NAMED = 5
_FEW = 3


class Probe(NamedTuple):
    """One customer who was looked up.

    `exists`: None when that could not be told. `holds`: coupons of the row's series that the API shows (None: not
    told). `known`: those of them that this ledger knows of. `falls_back`: asked for by the identifier that is sent
    first, and the row has another.
    """

    place: Place
    exists: bool | None
    holds: int | None
    known: int
    falls_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFound:
    """What a probe found. `asked` customers, of whom `told` could be told; the others are named by `problem`.

    `unknown`: rows of those whom the API does not know. `falling_back`: those of whom it does not know the identifier
    that is sent first, and who have another to fall back to. `holding`: rows of those who hold the series already, and
    not from this ledger.
    """

    asked: int
    told: int
    exist: int
    unknown: tuple[Place, ...]
    holding: tuple[Place, ...]
    problem: str | None
    falling_back: tuple[Place, ...] = ()


def spread(total: int, wanted: int = PROBED) -> list[int]:
    """Places (from 0) spread evenly over so many orders, the first and the last among them."""
    if total <= wanted:
        return list(range(max(0, total)))
    return [index * (total - 1) // (wanted - 1) for index in range(wanted)]


def sum_up(probes: Sequence[Probe], problem: str | None = None) -> ProbeFound:
    """What was found. `problem`: why somebody could not be looked up, if so."""
    return ProbeFound(
        asked=len(probes),
        told=sum(one.exists is not None for one in probes),
        exist=sum(one.exists is True for one in probes),
        unknown=tuple(one.place for one in probes if one.exists is False and not one.falls_back),
        falling_back=tuple(one.place for one in probes if one.exists is False and one.falls_back),
        holding=tuple(one.place for one in probes if one.holds is not None and one.holds > one.known),
        problem=problem,
    )


def say(found: ProbeFound, files: Sequence[str]) -> list[str]:
    """The findings in sentences, what matters most first. `files`: names in the order of `Place.file`."""
    if not found.told:
        why = f" ({found.problem})" if found.problem else ""
        return [f"Probe: the customers could not be looked up{why}, so whether they exist is not known yet."]
    sentences = []
    who = "1 customer" if found.told == 1 else f"{found.told:,} customers"
    held = len(found.holding)
    text = f"Probe: {found.exist:,} of {who} looked up {'exists' if found.exist == 1 else 'exist'}, "
    text += f"{held:,} already {'holds' if held == 1 else 'hold'} this series, not from this ledger" if held else (
        "none of them holds the series from elsewhere" if found.exist else
        "by the identifier that is sent first" if found.falling_back else "so none can get a coupon"
    )  # fmt: skip
    sentences.append(f"{text}.")
    if not found.exist and found.told >= _FEW:
        sentences.append(
            "Not one of them is known to the API: the identifiers are probably written in another way than your"
            " organisation stores them (a country code too many or too few: see --region), or these are another"
            " organisation's customers."
        )
    elif found.unknown:
        sentences.append(f"Not known to the API: {_named(found.unknown, files)}.")
    if found.falling_back:
        sentences.append(
            "Not known by the identifier that is sent first, with another to fall back to:"
            f" {_named(found.falling_back, files)}."
        )
    if found.holding:
        sentences.append(
            f"Holding the series from elsewhere: {_named(found.holding, files)}. If another program or an earlier"
            " campaign gave these coupons to the same list, the others may hold them too."
        )
    if found.told < found.asked:
        why = f" ({found.problem})" if found.problem else ""
        sentences.append(f"{found.asked - found.told:,} more could not be looked up{why}.")
    return sentences


def _named(places: Sequence[Place], files: Sequence[str]) -> str:
    several = len(files) > 1
    shown = [
        name_row(one.row, one.sheet, files[one.file] if several and one.file < len(files) else "")
        for one in places[:_ROWS_NAMED]
    ]
    more = f" and {len(places) - _ROWS_NAMED:,} more" if len(places) > _ROWS_NAMED else ""
    return ", ".join(shown) + more
