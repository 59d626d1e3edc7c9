"""The journal of revocations, and revoked coupons that a run replaces: tables, counters and history move together."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import orjson
import pytest

from runner.adapters.ledger.files import transaction
from runner.adapters.ledger.known_orders import KnownOrders
from runner.adapters.ledger.replacing import replace_revoked
from runner.adapters.ledger.revoking import (
    Choice,
    begin_revocation,
    coupons_of,
    open_revocations,
    record_revocation,
    recover_revocations,
    shared_codes,
)
from runner.adapters.ledger.staged import Campaign, create_tables
from runner.core.undoing import Fate, Judged, RevocationState
from tests.adapters.report_ledger import ReportLedger

SERIES = 415446


@pytest.fixture
def built(tmp_path: Path) -> ReportLedger:
    return ReportLedger(tmp_path)


def events(built: ReportLedger) -> list[dict[str, object]]:
    with closing(built.file.connect(readonly=True)) as conn:
        return [orjson.loads(body) for body in conn.exec_driver_sql("SELECT body FROM events ORDER BY seq").scalars()]


def table(built: ReportLedger, query: str) -> list[tuple[object, ...]]:
    with closing(built.file.connect(readonly=True)) as conn:
        return [tuple(row) for row in conn.exec_driver_sql(query)]


def test_whoever_gets_the_lock_puts_what_was_under_way_in_doubt(built: ReportLedger) -> None:
    """Only revocations of that campaign that were sending; the history names them."""
    built.call(built.simple(2), ["A"])
    begun = begin_revocation(built.file, 1, SERIES, next(coupons_of(built.file, Choice(1))), shown=set(), at=1.0)
    assert recover_revocations(built.file, 2, at=2.0) == 0
    assert table(built, "SELECT state FROM revocations") == [("sending",)]
    assert recover_revocations(built.file, 1, at=2.0) == 1
    assert table(built, "SELECT state, code FROM revocations") == [("in_doubt", "interrupted")]
    assert events(built)[-1] == {"revocations_interrupted": [begun.key], "scope": 1}
    assert recover_revocations(built.file, 1, at=3.0) == 0


def test_what_became_of_each_coupon_is_told_without_its_code(built: ReportLedger) -> None:
    """States in the tables, keyed hashes in the history; a coupon without a fate stays under way."""
    order = built.simple(2)
    built.call(order, ["A", "B", "C"])
    coupons = next(coupons_of(built.file, Choice(1)))
    begun = begin_revocation(built.file, 1, SERIES, coupons, shown={coupons[0].id}, at=1.0)
    fates = [Judged(Fate.REVOKED), Judged(Fate.REDEEMED, "711", "used"), Judged(None)]
    judged = {coupon.id: fate for coupon, fate in zip(coupons, fates, strict=True)}
    record_revocation(built.file, 1, begun, RevocationState.IN_DOUBT, judged, at=2.0, http=200)
    assert table(built, "SELECT code, state FROM coupons") == [("A", "revoked"), ("B", "redeemed"), ("C", "issued")]
    (left,) = open_revocations(built.file, 1)
    assert [one.code for one in left.begun.coupons] == ["C"]
    assert left.shown == set()
    assert table(built, "SELECT issued FROM orders") == [(3,)]
    digest = ("0" * 32).replace("0", "30")[:32]
    assert events(built)[-1] == {
        "revocation": [begun.key, SERIES, "in_doubt"],
        "coupons": [[order, 1, digest, "issued", "revoked"], [order, 1, digest, "issued", "redeemed"]],
        "fates": [[order, 1, digest, "revoked"], [order, 1, digest, "redeemed"]],
    }
    assert not any(f'"{code}"' in str(events(built)[-2:]) for code in "ABC")


def test_a_code_that_stands_for_two_coupons_is_found(built: ReportLedger) -> None:
    """In whatever run or series the other one is."""
    built.call(built.simple(2), ["A"])
    built.call(built.simple(3), ["A", "B"])
    with closing(built.file.connect()) as conn:
        conn.exec_driver_sql("UPDATE coupons SET hash = x'01' WHERE order_id = 3")
    assert shared_codes(built.file, {"A", "B"}) == {"A"}


def test_only_calls_of_the_run_are_chosen(built: ReportLedger) -> None:
    """Coupons that earlier and later runs received are theirs."""
    order = built.simple(2, target=2)
    built.call(order, ["A"])
    built.run(2)
    built.call(order, ["B"], run=2)
    assert [one.code for page in coupons_of(built.file, Choice(2)) for one in page] == ["B"]
    assert [one.code for page in coupons_of(built.file, Choice(1, (7,))) for one in page] == []
    assert [one.code for page in coupons_of(built.file, Choice(1, None, (2,))) for one in page] == ["A"]


def test_what_is_replaced_is_stamped_and_counts_no_more_through_merges_too(built: ReportLedger) -> None:
    """Coupons of the order that was merged away are the survivor's; other customers' revoked ones stay as they are."""
    for row in (2, 3, 4):
        built.simple(row)
    built.call(2, ["A", "B"], states=["issued", "revoked"])
    built.call(3, ["C"], states=["revoked"])
    built.call(4, ["D"], states=["revoked"])
    with closing(built.file.connect()) as conn, transaction(conn):
        conn.exec_driver_sql("UPDATE orders SET merged_into = 2, issued = 0, person_id = (SELECT person_id FROM orders"
                             " WHERE id = 2) WHERE id = 3")  # fmt: skip
        conn.exec_driver_sql("UPDATE orders SET issued = 3 WHERE id = 2")
    campaign = Campaign(org_key="acme", campaign_key="may", org_id=1, scope_id=1)
    with closing(built.file.connect()) as conn:
        for reissue, expected in ((False, [(2, 3, 0)]), (True, [(2, 1, 2)])):
            known = KnownOrders(conn, campaign, frozenset(), reissue_revoked=reissue)
            found = known._facts("o.id IN (SELECT value FROM json_each(?))", [2])
            assert [(one.id, one.issued, one.replaced) for one in found] == expected
        create_tables(conn)
        conn.exec_driver_sql("INSERT INTO t_orders (no, existing, skipped, replaced) VALUES (1, 2, 0, 2), (2, 4, 0, 0)")
        with transaction(conn):
            replace_revoked(conn, 9, at=5.0)
    assert table(built, "SELECT code, state, replaced_by FROM coupons") == [
        ("A", "issued", None),
        ("B", "replaced", 9),
        ("C", "replaced", 9),
        ("D", "revoked", None),
    ]
    assert table(built, "SELECT id, issued FROM orders") == [(2, 1), (3, 0), (4, 1)]
    told = events(built)[-1]
    assert (told["replaced"], len(told["coupons"])) == (9, 2)  # type: ignore[arg-type]
