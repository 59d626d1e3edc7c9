"""The tables of a run: which columns, which cells, and what `_ref` leads back to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.columns import Columns, assign_columns
from runner.core.model import Problem
from runner.core.neutralising import restore
from runner.core.refs import read_ref
from runner.core.report_lines import (
    HOLDS_NOTHING,
    CouponFacts,
    FileShape,
    Holding,
    RejectedLine,
    ReportLine,
    RowFacts,
    shape_file,
)
from runner.core.reporting import Cell, Tables, write_time
from runner.core.statuses import (
    CallFacts,
    Cause,
    LineVerdict,
    OrderState,
    deal,
    judge_duplicate,
    judge_line,
    judge_order,
)

KEY = bytes(range(32))
LEDGER = "0a1b2c3d4e5f"
ORDER = "a" * 24
MAPPING = {"Mobile No.": "mobile", "Series": "series_id", "Qty": "count"}
HEADERS = ("Mobile No.", "Name", "Series", "Qty")
CELLS = ("919000000001", "Ms One", "415446, 535521", "3")


def tables(*shapes: FileShape) -> Tables:
    return Tables(
        shapes or (shape_file("may.csv", HEADERS, MAPPING),),
        ledger_id=LEDGER,
        key=KEY,
        rehearsal=False,
        advise=lambda code: f"advice for {code}",
        again="resume asks for it",
    )


def call(known: int, held: int = 0, **facts: Any) -> CallFacts:
    values: dict[str, Any] = {
        "key": f"{ORDER}-1-0a1b2c",
        "order_id": 1,
        "run_id": 1,
        "number": 1,
        "quantity": 5,
        "state": "issued",
        "known": known,
        "held": held,
        "began": 1_790_000_000.25,
        "ended": 1_790_000_001.5,
        "http": 200,
        "code": None,
        "klass": None,
        "scope": None,
        "message": None,
        "flags": None,
        "request_id": "rq-1",
    }
    return CallFacts(**(values | facts))


def line(
    target: int,
    *calls: CallFacts,
    printed: int | None = 3,
    codes: int | None = None,
    cells: tuple[str, ...] = CELLS,
    closure: Cause | None = None,
    verdict: LineVerdict | None = None,
    **facts: Any,
) -> ReportLine:
    order = judge_order(OrderState(1, target, calls, closure, "", None))
    count = order.issued if codes is None else codes
    coupons = [CouponFacts(f"id{n}", f"C{n}", "key", "run-1", 1_790_000_001.5, "issued") for n in range(count)]
    judged = verdict or judge_line(deal([target], order)[0], order)
    values: dict[str, Any] = {
        "at": RowFacts(0, "", 2, cells),
        "series": 415446,
        "order_key": ORDER,
        "kind": "mobile",
        "customer": "919000000001",
        "printed": printed,
        "verdict": judged,
        "order": order,
        "speaks": bool(judged.share.missing),
        "first": True,
        "last": True,
        "rows": (2,),
        "starts_row": True,
        "holding": HOLDS_NOTHING if verdict else Holding(coupons if count <= 50 else None, (), 0, 0, (1,)),
    }
    return ReportLine(**(values | facts))


def result(one: ReportLine, made: Tables | None = None) -> dict[str, Cell]:
    made = made or tables()
    return dict(zip(made.result_header, made.result_row(one), strict=True))


def failure(one: ReportLine, made: Tables | None = None) -> dict[str, Cell]:
    made = made or tables()
    return dict(zip(made.failure_header, made.failure_row(one), strict=True))


def target_when_it_comes_back(printed: dict[str, Cell], heading: str) -> int:
    """What our own file asks for when it is fed back: base + the count printed, or the base alone."""
    ref = read_ref(str(printed["_ref"]), KEY, LEDGER)
    assert not isinstance(ref, str), ref
    assert ref.order == ORDER
    return ref.base if ref.whole else ref.base + int(printed[heading])


def test_results_keep_the_original_columns_first_and_unchanged() -> None:
    """The person's own table comes first, in its order; what we add stands behind it in a fixed order."""
    assert tables().result_header == [
        *HEADERS,
        *("_row", "_sheet", "_series", "_status", "_target", "_issued", "_issued_before", "_missing", "_in_doubt"),
        *("_revoked", "_codes", "_coupon_ids", "_error_code", "_error_message", "_advice", "_attempts", "_first_sent"),
        *("_last_answer", "_request_id", "_ref"),
    ]
    assert tables().result_row(line(3, call(3)))[:4] == list(CELLS)


def test_an_issued_line_tells_its_codes_and_times() -> None:
    """Codes and ids stand side by side, times are UTC with a Z."""
    row = result(line(2, call(2)))
    assert (row["_codes"], row["_coupon_ids"]) == ("C0; C1", "id0; id1")
    assert row["_first_sent"] == "2026-09-21T14:13:20.250Z"
    assert row["_last_answer"] == "2026-09-21T14:13:21.500Z"
    assert (row["_status"], row["_target"], row["_issued"], row["_advice"]) == ("issued", 2, 2, "")


def test_more_than_fifty_codes_are_in_coupons_only() -> None:
    """A cell lists up to 50 codes, then says where they are."""
    assert str(result(line(50, call(50)))["_codes"]).count(";") == 49
    assert result(line(51, call(51)))["_codes"] == "see coupons"


def test_cells_that_would_run_as_a_formula_are_neutralised_and_come_back() -> None:
    """The input's cells, headings, codes and the API's own words alike; a phone's + is no formula."""
    cells = ("+919000000001", "=1+1", "@x", "-3")
    row = tables().result_row(line(1, call(1), cells=cells))
    assert row[:4] == ["+919000000001", "'=1+1", "'@x", "-3"]
    assert [restore(str(cell)) for cell in row[:4]] == list(cells)
    evil = line(1, closure=Cause("677", "=cmd()"), cells=cells)
    assert result(evil)["_error_message"] == "'=cmd()"
    formula = shape_file("may.csv", ("Mobile No.", "=A1"), MAPPING)
    assert tables(formula).result_header[1] == "'=A1"


@given(target=st.integers(1, 900), issued=st.integers(0, 900), printed=st.none() | st.integers(1, 900))
def test_any_of_our_files_asks_for_the_same_target_when_it_comes_back(
    target: int, issued: int, printed: int | None
) -> None:
    """`_ref` holds base = target − the count printed on that line, so feeding a file back is harmless."""
    one = line(target, call(issued), printed=printed, codes=0, cells=("919000000001", "", "415446", str(printed or "")))
    assert target_when_it_comes_back(result(one), "Qty") == target
    if issued < target:
        assert target_when_it_comes_back(failure(one), "Qty") == target


@pytest.mark.parametrize("count", ["", " ", "\u00a0"])
def test_a_default_count_is_not_printed_so_the_reference_holds_the_whole_target(count: str) -> None:
    """A blank count cell comes back blank: base = target, marked as whole, and the row is not rejected."""
    row = result(line(4, call(1), printed=4, cells=("919000000001", "", "415446", count)))
    ref = read_ref(str(row["_ref"]), KEY, LEDGER)
    assert not isinstance(ref, str)
    assert (ref.base, ref.whole) == (4, True)


def test_a_duplicate_leads_to_the_same_order_and_target() -> None:
    """Both rows of our results come back as one order: their sums agree."""
    repeated = line(3, verdict=judge_duplicate("row 2"), printed=3)
    assert target_when_it_comes_back(result(repeated), "Qty") == 3
    assert result(repeated)["_error_message"] == "same as row 2"
    assert [result(repeated)[name] for name in ("_target", "_issued", "_attempts")] == [0, 0, 0]


def test_failures_are_narrowed_to_the_order_and_what_is_missing() -> None:
    """The input's own series and count columns are narrowed; nothing is added beside them."""
    row = failure(line(3, call(1, code="5005", klass="retry", scope="series", message="none left")))
    assert (row["Series"], row["Qty"]) == (415446, 2)
    assert "series_id" not in row
    assert "count" not in row
    assert (row["_status"], row["_error_code"], row["_advice"]) == ("partial", "5005", "advice for 5005")


def test_failures_gain_series_and_count_when_the_input_had_none() -> None:
    """What came from flags is written down, so that the file can be fed back without them."""
    made = tables(shape_file("may.csv", ("Mobile No.",), MAPPING))
    row = failure(line(3, cells=("919000000001",), printed=None), made)
    assert list(row)[:3] == ["Mobile No.", "series_id", "count"]
    assert (row["series_id"], row["count"]) == (415446, 3)
    assert (row["_status"], row["_advice"]) == ("not_sent", "resume asks for it")


def test_failures_and_results_can_be_read_again() -> None:
    """Headings that we write are understood by our own reader: each role has one column, ours are not the person's."""
    first = shape_file("a.csv", ("Mobile No.", "Series", "Qty", "Shop"), MAPPING)
    second = shape_file("b.csv", ("Phone", "Shop", "Coupon Series"), MAPPING)
    made = tables(first, second)
    for header in (made.result_header, made.failure_header):
        columns = assign_columns([restore(heading) for heading in header], {})
        assert isinstance(columns, Columns), columns
        assert columns.original_headers == ("Mobile No.", "Series", "Qty", "Shop")


def test_several_files_share_columns_by_role_and_rows_name_their_file() -> None:
    """A row of the second file stands under the first file's headings; `_file` tells where it is."""
    first = shape_file("a.csv", ("Mobile No.", "Series", "Qty", "Shop"), MAPPING)
    second = shape_file("b.csv", ("Phone", "Shop", "Town"), MAPPING)
    made = tables(first, second)
    row = result(line(1, call(1), at=RowFacts(1, "", 2, ("919000000002", "North", "Here")), printed=None), made)
    assert {name: row[name] for name in ("Mobile No.", "Series", "Qty", "Shop", "Town", "_file", "_row")} == {
        "Mobile No.": "919000000002",
        "Series": 415446,
        "Qty": "",
        "Shop": "North",
        "Town": "Here",
        "_file": "b.csv",
        "_row": 2,
    }
    assert "_file" not in tables(first).result_header


def test_a_rejected_row_keeps_its_cells_and_lists_all_problems() -> None:
    """One line a row in both files, with no `_ref`; added columns hold what the run would have used."""
    bad = RejectedLine(
        RowFacts(0, "", 7, ("9.19E+11", "=x", "", "two")),
        [Problem("Mobile No.", "9.19E+11", "digits were lost"), Problem(None, None, "no customer")],
        "415446",
        "two",
    )
    made = tables()
    row = dict(zip(made.result_header, made.rejected_result_row(bad), strict=True))
    assert (row["_status"], row["_ref"], row["Mobile No."], row["Name"]) == ("rejected", "", "9.19E+11", "'=x")
    assert row["_error_message"] == "Mobile No.: digits were lost; no customer"
    row = dict(zip(made.failure_header, made.rejected_failure_row(bad), strict=True))
    assert (row["Series"], row["Qty"], row["_ref"], row["_status"]) == ("", "two", "", "rejected")
    made = tables(shape_file("may.csv", ("Mobile No.", "Name"), MAPPING))
    row = dict(zip(made.failure_header, made.rejected_failure_row(bad), strict=True))
    assert (row["series_id"], row["count"]) == ("415446", "two")


@pytest.mark.parametrize("cells", [(), ("919000000001",), ("919000000001", "a", "415446", "1", "more", "more")])
def test_erased_and_ragged_rows_keep_the_columns_in_place(cells: tuple[str, ...]) -> None:
    """A row with fewer or more cells than headings moves no other column."""
    made = tables()
    assert len(made.result_row(line(1, call(1), cells=cells))) == len(made.result_header)
    row = failure(line(1, cells=cells))
    assert (row["Series"], row["Qty"], row["_row"]) == (415446, 1, 2)


def test_a_doubtful_call_is_written_with_all_that_support_needs() -> None:
    """Who, which call, how many, when, and what came back."""
    lost = call(1, 2, state="in_doubt", code="timeout", message="no answer", http=None, request_id="rq-9")
    lost = lost._replace(evidence="the API shows nothing of it yet")
    made = tables()
    (cells,) = made.doubt_rows(line(5, lost), {1: "run-1"})
    row = dict(zip(made.doubt_header, cells, strict=True))
    assert row == {
        "rows": 2,
        "sheet": "",
        "file": "may.csv",
        "series": 415446,
        "kind": "mobile",
        "customer": "919000000001",
        "call_key": f"{ORDER}-1-0a1b2c",
        "run": "run-1",
        "state": "in_doubt",
        "quantity": 5,
        "known": 1,
        "in_doubt": 2,
        "began": "2026-09-21T14:13:20.250Z",
        "ended": "2026-09-21T14:13:21.500Z",
        "http": "",
        "code": "timeout",
        "message": "no answer",
        "request_id": "rq-9",
        "evidence": "the API shows nothing of it yet",
        "resolve_issued": "",
        "resolve_why": "",
    }


def test_lines_that_share_an_order_fail_as_one_and_name_all_rows() -> None:
    """One line an order: the count is what the whole order misses, the rows stand in one cell."""
    row = failure(line(5, call(1), rows=(2, 9)))
    assert (row["_row"], row["Qty"]) == ("2; 9", 4)


def test_a_file_of_ours_has_only_the_columns_of_the_person() -> None:
    """Columns that we added to a file which came back are not its own, and roles point at the cells that are kept."""
    shape = shape_file("failures.csv", (*HEADERS, "_row", "_status", "_ref"), MAPPING)
    assert shape.headings == HEADERS
    assert {role.value: index for role, index in shape.roles.items()} == {"mobile": 0, "series_id": 2, "count": 3}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1.9996, "1970-01-01T00:00:02.000Z"),
        (59.25, "1970-01-01T00:00:59.250Z"),
    ],
)
def test_times_are_utc_with_milliseconds(seconds: float | None, text: str) -> None:
    """ISO 8601 with a Z; nothing for a time that never was."""
    assert write_time(seconds) == text
