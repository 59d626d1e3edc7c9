"""Ordinary rows are read whole columns at a time, with the verdicts that reading them one by one gives."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.column_evidence import IdDamage
from runner.core.columns import Columns, assign_columns
from runner.core.mobile_mix import MobileMix
from runner.core.mobiles import PhoneFormat
from runner.core.model import Identifier, Kind, Place, RejectedRow, Row
from runner.core.plain_rows import PlainRows
from runner.core.rows import RowReader
from runner.core.series_list import ListedSeries, SeriesList
from runner.core.sheet_cells import DoubtfulCell
from runner.core.template import EXAMPLE_IDENTIFIERS, without_example

LIST = SeriesList(
    (
        ListedSeries(415446, "Gold", 3, None, None, 2),
        ListedSeries(535521, "Silver", None, None, None, 3),
        ListedSeries(600709, "#? Odd", None, None, None, 4),
    )
)

MOBILES = ["919000000001", "919000000002", "9000000003", "09000000003", "447700900123", "4915112345678", "919000000000"]
ODD = ["", " ", "x", "12", "9.19E+11", "0" * 12, "９１９", "919000000001\n", "#? 919000000001", "'919000000001"]  # noqa: RUF001
EMAILS = ["a@example.com", "A@example.com", "b.c@example.org", "mailto:a@example.com", "a@localhost", "@"]
IDS = ["X0001", "12345", "0012345", "123456", "total", "1" * 16, "1234567890123456", "C 7"]
ALL_IDENTIFIERS = [*MOBILES, *ODD, *EMAILS, *IDS, *EXAMPLE_IDENTIFIERS.values()]
ALL_SERIES = [
    "415446",
    "535521",
    "415,446",
    "415446;535521",
    "Gold",
    "#? Odd",
    "",
    "0",
    " 415446",
    "99999999999",
    "４１５",  # noqa: RUF001
]
ALL_COUNTS = ["1", "2", "2.0", "", " ", "0", "-1", "two", "1,200", "10001", "#? 2"]


def _doubtful(text: str) -> st.SearchStrategy[str]:
    return st.sampled_from([text] * 9 + [DoubtfulCell(text, "because", series_only=text == "415446")])


IDENTIFIERS = st.one_of(
    st.sampled_from(ALL_IDENTIFIERS),
    st.integers(919_000_000_000, 919_999_999_999).map(str),
    st.from_regex(r"[a-z0-9]{1,8}@[a-z]{1,6}\.com", fullmatch=True),
    st.text(max_size=14),
).flatmap(_doubtful)
SERIES = st.sampled_from(["415446"] * 9 + ALL_SERIES).flatmap(_doubtful)
COUNTS = st.sampled_from(["1"] * 9 + ALL_COUNTS).flatmap(_doubtful)
RECORDS = st.lists(st.tuples(IDENTIFIERS, SERIES, COUNTS, st.text(max_size=3)), min_size=1, max_size=30)


def _reader(kind: Kind, options: dict[str, Any], mix: MobileMix | None, *, with_cells: bool) -> RowReader:
    headers = [kind.value, "series_id", "count", "note"] if with_cells else [kind.value, "a", "b", "note"]
    columns = assign_columns(headers, {})
    assert isinstance(columns, Columns)
    told: dict[str, Any] = {
        "region": None,
        "default_series": () if with_cells else (415446,),
        "default_count": 2,
        **options,
    }
    see = mix.see if mix is not None and told["region"] is None else None
    return RowReader(columns, identify_by=(kind,), ledger_id="0a1b", key=b"k" * 32, see_mobile=see, **told)


def _expanded(rows: PlainRows) -> list[Row]:
    made = []
    columns = (rows.numbers, rows.cells, rows.values, rows.series, rows.counts)
    for number, cells, value, series, count in zip(*columns, strict=True):
        sent = Identifier(rows.kind, value, value)
        made.append(Row(Place(rows.file, rows.sheet, number), tuple(cells), (sent,), sent, (series,), count))
        assert not rows.as_written or value in cells
    return made


def _read(
    kind: Kind, options: dict[str, Any], chunks: Sequence[Sequence[Sequence[str]]], *, fast: bool, with_cells: bool
) -> tuple[object, ...]:
    """Everything that reading leaves behind, by columns or one by one."""
    mix = MobileMix()
    reader = _reader(kind, options, mix, with_cells=with_cells)
    plain = reader.plain(3, "May", mix.see_all) if fast else None
    rows: list[Row | RejectedRow] = []
    left_out, number = [], 1
    for chunk in chunks:
        records = [(number + at, list(cells)) for at, cells in enumerate(chunk, start=1)]
        number += len(records)
        for record in plain.read(records) if plain is not None else records:
            if isinstance(record, PlainRows):
                rows += _expanded(record)
                continue
            found = reader.read(Place(3, "May", record[0]), record[1])
            why = reader.no_customer(record[1], found)
            if why is None:
                rows.append(without_example(found, reader._columns))
            else:
                left_out.append((record[0], why))
    evidence = reader.evidence
    return rows, left_out, reader.notices.all(), evidence.damage(), evidence, mix._groups, mix.found()


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "region": st.sampled_from(["IN", "GB"]),
        "written": st.sampled_from(list(PhoneFormat)),
        "series_list": st.just(LIST),
        "max_per_row": st.sampled_from([1, 10_000]),
        "damaged": st.just(IdDamage(7, rounded=False)),
    },
)


@given(
    st.sampled_from([Kind.MOBILE, Kind.MOBILE, Kind.EMAIL, Kind.EXTERNAL_ID]),
    OPTIONS,
    st.lists(RECORDS, min_size=1, max_size=3),
    st.booleans(),
)
def test_rows_read_by_columns_are_those_read_one_by_one(kind, options, chunks, with_cells):
    """The same rows, problems, repairs and warnings, in the same order, and the same evidence of their columns."""
    slow = _read(kind, options, chunks, fast=False, with_cells=with_cells)
    assert _read(kind, options, chunks, fast=True, with_cells=with_cells) == slow


@pytest.mark.parametrize("listed", [None, LIST])
@pytest.mark.parametrize("region", [None, "IN"])
@pytest.mark.parametrize("kind", [Kind.MOBILE, Kind.EMAIL, Kind.EXTERNAL_ID])
def test_every_odd_cell_gets_the_verdict_of_the_careful_way(kind, region, listed):
    """By itself, where a whole column is looked at, and beside ordinary rows; trusted and doubtful."""
    good = {Kind.MOBILE: "919000000001", Kind.EMAIL: "a@example.com", Kind.EXTERNAL_ID: "X0001"}[kind]
    rows = [[cell, "415446", "1", ""] for cell in ALL_IDENTIFIERS]
    rows += [[good, cell, "1", ""] for cell in ALL_SERIES] + [[good, "415446", cell, ""] for cell in ALL_COUNTS]
    rows += [[good, "535521", "", ""]]
    rows += [[DoubtfulCell(cell, "because") for cell in cells] for cells in rows]
    rows += [[good, DoubtfulCell("415446", "because", series_only=only), "1", ""] for only in (True, False)]
    rows += [[good, "415446", DoubtfulCell("1", "because", series_only=only), ""] for only in (True, False)]
    options = {"region": region} if listed is None else {"region": region, "series_list": listed}
    for chunks in ([rows], [[cells] for cells in rows], [[[good, "415446", "1", ""], cells] for cells in rows]):
        slow = _read(kind, options, chunks, fast=False, with_cells=True)
        assert _read(kind, options, chunks, fast=True, with_cells=True) == slow


@given(
    st.sampled_from([None, "IN"]),
    st.lists(st.sampled_from([*MOBILES, "919000000003"]), min_size=1, max_size=12),
    st.lists(st.lists(st.text(max_size=3), min_size=2, max_size=5), max_size=2),
)
def test_ragged_rows_and_their_neighbours_are_read_as_one_by_one(region, mobiles, ragged):
    """A record with more or fewer cells than headings is left to the careful way, and so is its whole chunk."""
    chunk = [[mobile, "415446", "1", "note"] for mobile in mobiles] + ragged
    slow = _read(Kind.MOBILE, {"region": region}, [chunk], fast=False, with_cells=True)
    assert _read(Kind.MOBILE, {"region": region}, [chunk], fast=True, with_cells=True) == slow


@pytest.mark.parametrize(
    ("kind", "cells", "options"),
    [
        (Kind.MOBILE, ["919000000001", "919000000002"], {}),
        (Kind.MOBILE, ["9000000001", "9000000002"], {"region": "IN"}),
        (Kind.MOBILE, ["919000000001", "4915112345678"], {"region": "IN", "written": PhoneFormat.INTERNATIONAL}),
        (Kind.EMAIL, ["a@example.com", "b@example.com"], {}),
        (Kind.EXTERNAL_ID, ["X0001", "X0002"], {}),
    ],
)
def test_ordinary_rows_need_no_second_look(kind, cells, options):
    """A whole chunk of them comes back as one; only what is odd comes back by itself."""
    plain = _reader(kind, options, None, with_cells=True).plain(0, "", None)
    assert plain is not None
    records = [(number, [cell, "415446", "1", "x"]) for number, cell in enumerate(cells, start=2)]
    [found] = plain.read(records)
    assert isinstance(found, PlainRows)
    assert (found.numbers, found.series, found.counts) == ([2, 3], [415446, 415446], [1, 1])
    first, odd, second = plain.read([records[0], (9, [cells[0], "415,446", "1", "x"]), records[1]])
    assert odd == (9, [cells[0], "415,446", "1", "x"])
    assert isinstance(first, PlainRows)
    assert isinstance(second, PlainRows)


def test_tables_with_two_kinds_of_identifier_or_of_ours_are_read_one_by_one():
    """What could connect rows, or was written by this program, is never plain."""
    for headers in (["mobile", "email", "series_id"], ["mobile", "series_id", "_ref"]):
        columns = assign_columns(headers, {})
        assert isinstance(columns, Columns)
        reader = RowReader(
            columns,
            identify_by=(Kind.MOBILE,),
            region=None,
            default_series=(),
            default_count=1,
            ledger_id="0a1b",
            key=b"k" * 32,
        )
        assert reader.plain(0, "", None) is None
