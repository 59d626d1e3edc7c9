"""Staged rows for the tests of planning: written as names, series and counts; people known to the ledger by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.core.model import Kind, Place, Ref
from runner.core.planned import Decisions, Duplicates, Known, Name, OrderFacts, Overlap, StagedRow
from runner.core.planning import decide

SERIES, OTHER_SERIES = 415446, 535521
KINDS = {"m": Kind.MOBILE, "e": Kind.EMAIL, "x": Kind.EXTERNAL_ID}
IDENTIFY_BY = (Kind.MOBILE, Kind.EMAIL, Kind.EXTERNAL_ID)


def name_of(text: str, people: Mapping[str, int] | None = None) -> Name:
    """`m1` is a mobile, `e1` an e-mail, `x1` an externalId; `people`: whom the ledger knows by it."""
    return Name(KINDS[text[0]], text, text.encode(), (people or {}).get(text))


def staged(
    seq: int,
    names: str,
    *,
    series: Sequence[int] = (SERIES,),
    count: int = 1,
    ref: Ref | None = None,
    counted: bool = True,
    people: Mapping[str, int] | None = None,
    identify_by: Sequence[Kind] = IDENTIFY_BY,
) -> StagedRow:
    """Row `seq` of the input, which the spreadsheet shows as row `seq + 1`."""
    known = tuple(name_of(text, people) for text in names.split())
    sent = next(name for kind in identify_by for name in known if name.kind is kind)
    place = Place(0, "", seq + 1)
    return StagedRow(seq, place, known, sent.kind, sent.value, sent.hash, tuple(series), count, counted, ref)


def order(
    number: int,
    person: int,
    *,
    series: int = SERIES,
    target: int = 1,
    issued: int = 0,
    held: int = 0,
    closed: str | None = None,
    unfinished: bool = False,
    other: str | None = None,
) -> OrderFacts:
    """An order of the ledger; its key is `key<number>`. `other`: where it stands when not in this campaign."""
    return OrderFacts(number, f"key{number}", person, series, target, issued, held, closed, unfinished, other)


def known(*orders: OrderFacts) -> Known:
    """What the ledger knows: these orders."""
    by_person: dict[tuple[int, int], list[OrderFacts]] = {}
    for one in orders:
        by_person.setdefault((one.person, one.series), []).append(one)
    return Known(by_person, {one.key: one for one in orders if one.other is None})


def ref(number: int, base: int, *, whole: bool = False) -> Ref:
    """The `_ref` of a line that was printed for order `number`."""
    return Ref("0a1b2c", f"key{number}", base, whole, False)


def decided(
    *rows: StagedRow,
    ledger: Known | None = None,
    duplicates: Duplicates = Duplicates.AGREE,
    overlap: Overlap = Overlap.ASK,
    identify_by: Sequence[Kind] = IDENTIFY_BY,
    fall_back: bool = False,
) -> Decisions:
    """`decide` with what most tests do not care about."""
    return decide(
        rows,
        ledger or known(),
        identify_by=identify_by,
        duplicates=duplicates,
        overlap=overlap,
        fall_back=fall_back,
    )


def reasons(decisions: Decisions, seq: int) -> str:
    """Why a row is rejected, all problems in one text."""
    return " | ".join(problem.message for problem in decisions.rejected[seq])


def targets(decisions: Decisions) -> dict[tuple[bytes, int], int]:
    """Target by person's name and series."""
    return {(one.name.hash, one.series): one.target for one in decisions.orders}
