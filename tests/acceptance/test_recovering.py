"""What a ledger keeps to after somebody was forgotten, after an older copy was put back, and after a purge."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox import held_by_identifier
from tests.acceptance.desk import Desk, Server, mobile
from tests.acceptance.test_care import age, copy_of, put_back

RUN = ("--yes", "--max-coupons", "10000", "--reports", "csv", "--timeout", "1s", "--settle-wait", "0s")
BOTH = "mobile,external_id,series_id,count"
EMAIL = "mobile,email,series_id,count"


def ask(desk: Desk, query: str) -> list[tuple[Any, ...]]:
    """A query on the ledger, or a change of it."""
    with closing(sqlite3.connect(desk.ledger, timeout=10)) as conn, conn:
        return conn.execute(query).fetchall()


def of_customer(server: Server, number: int) -> int:
    """Coupons that a customer really holds."""
    return sum(held_by_identifier(server.truth()).get(f"mobile:{mobile(number)}", {}).values())


def test_whoever_is_forgotten_under_one_name_gets_nothing_under_the_other(desk: Desk) -> None:
    """The younger name is forgotten; the first answer shows that both are one person: from then on she is nobody's."""
    both = f'[[customers]]\nmobile = "{mobile(1)}"\nexternal_id = "X1"\nanswers = ["701", "701"]\n'
    names = ("--identify-by", "mobile,externalId")
    with desk.serving(both) as server:
        desk.init(server)
        older = desk.write("a.csv", [f"{mobile(1)},,7,1000"], header=BOTH)
        desk.run("run", older, "--campaign", "may", *names, *RUN, expect=1)
        desk.run("run", desk.write("b.csv", [",X1,8,1"], header=BOTH), "--campaign", "june", *names, *RUN, expect=1)
        desk.run("forget", "X1", "--yes")
        desk.run("run", older, "--campaign", "may", *RUN, expect=1)
        assert of_customer(server, 1) == 500, "one call's worth, whose answer told who she is"
        assert ask(desk, "SELECT DISTINCT closed, value FROM orders") == [("forgotten", None)]
        assert ask(desk, "SELECT count(*) FROM coupons WHERE code IS NOT NULL") == [(0,)]
        desk.run("audit")
        ask(desk, "UPDATE orders SET closed = NULL WHERE merged_into IS NULL RETURNING 1")  # as it once was left
        more = desk.write("more.csv", [f"{mobile(1)},,7,1700"], header=BOTH)
        desk.run("run", more, "--campaign", "may", *RUN, expect=1)
        assert of_customer(server, 1) == 500


def test_after_a_recovery_the_ledger_can_be_used_however_long_the_lost_history_was(desk: Desk) -> None:
    """Nights that issued nothing made it longer than what is there afterwards; their reports refuse nothing."""
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("a.csv", [f"{mobile(1)},7,1"])
        desk.run("run", file, "--campaign", "may", *RUN)
        copy = copy_of(desk)
        for _ in range(2):
            desk.run("run", file, "--campaign", "may", *RUN)
        (lost,) = ask(desk, "SELECT max(seq) FROM events")
        put_back(desk, copy)
        desk.run("recover", "--yes")
        assert ask(desk, "SELECT max(seq) FROM events") < [lost]
        desk.run("run", file, "--campaign", "may", *RUN)
        assert server.issued() == 1


def test_a_coupon_that_a_person_told_of_is_the_one_that_is_found(desk: Desk) -> None:
    """`resolve --issued` counted it without its id; reading it back gives it its id, and counts it no second time."""
    cut = f'[[customers]]\nmobile = "{mobile(1)}"\nanswers = ["commit_then_cut"]\n'
    with desk.serving(cut + "[reading]\nlag_seconds = 600\n") as server:
        desk.init(server)
        file = desk.write("a.csv", [f"{mobile(1)},7,1"])
        told = desk.run("run", file, "--campaign", "may", "--json", *RUN, expect=5).json
        ((key,),) = ask(desk, "SELECT key FROM calls")
        desk.run("resolve", told["run"], key, "--issued", "1", "--why", "ticket 1")
        assert ask(desk, "SELECT coupon_id FROM coupons") == [(None,)]
        copy = copy_of(desk)
        desk.run("run", desk.write("b.csv", [f"{mobile(2)},7,1"]), "--campaign", "may", *RUN)
        put_back(desk, copy)
        port = int(server.url.rsplit(":", 1)[1].strip("/"))
        server.stop()
    with desk.serving(port=port) as server:
        desk.run("recover", "--yes")
        counted = "SELECT o.issued, count(k.coupon_id) FROM orders o JOIN coupons k ON k.order_id = o.id GROUP BY o.id"
        assert ask(desk, counted) == [(1, 1), (1, 1)]
        desk.run("audit")
        desk.run("run", desk.write("c.csv", [f"{mobile(1)},7,2"]), "--campaign", "may", *RUN)
        assert of_customer(server, 1) == 2


def test_a_lost_order_of_a_merged_customer_is_hers_again(desk: Desk) -> None:
    """The report names her as the file did; the order's key is made of the name that she was first known by."""
    both = f'[[customers]]\nmobile = "{mobile(1)}"\nemail = "one@example.com"\n'
    names = ("--identify-by", "mobile,email", "--overlap", "allow")
    with desk.serving(both) as server:
        desk.init(server)
        twice = desk.write("a.csv", [f"{mobile(1)},,7,2", ",one@example.com,7,2"], header=EMAIL)
        desk.run("run", twice, "--campaign", "may", *names, "--concurrency", "1", *RUN)
        copy = copy_of(desk)
        file = desk.write("b.csv", [",one@example.com,7,3"], header=EMAIL)
        desk.run("run", file, "--campaign", "june", *names, *RUN)
        put_back(desk, copy)
        assert desk.run("recover", "--yes", "--json").json["coupons"]["from_reports"] == 3
        assert ask(desk, "SELECT person_id, issued FROM orders WHERE scope_id = 2") == [(1, 3)]
        desk.run("run", file, "--campaign", "june", "--overlap", "allow", *RUN)
        assert of_customer(server, 1) == 5
        desk.run("audit")


def test_whoever_was_forgotten_after_the_copy_was_made_stays_forgotten(desk: Desk) -> None:
    """A list of hashes beside the key tells the copy, of a customer whom it never knew as well."""
    with desk.serving() as server:
        desk.init(server)
        desk.run("run", desk.write("a.csv", [f"{mobile(1)},7,1"]), "--campaign", "may", *RUN)
        copy = copy_of(desk)
        lost = desk.issue("run", desk.write("b.csv", [f"{mobile(2)},7,1"]), "--campaign", "may", *RUN)
        for number in (1, 2):
            desk.run("forget", mobile(number), "--yes")
        (listed,) = desk.folder.rglob("*.forgotten")
        assert listed.stat().st_mode & 0o777 == 0o600
        assert mobile(1) not in listed.read_text()
        for file in lost.folder.iterdir():
            file.unlink()
        put_back(desk, copy)
        assert "2 customers forgotten again" in desk.run("recover", "--yes").err
        assert mobile(1).encode() not in desk.ledger.read_bytes()
        more = desk.write("c.csv", [f"{mobile(number)},7,2" for number in (1, 2)])
        desk.run("run", more, "--campaign", "may", *RUN, expect=1)
        assert (of_customer(server, 1), of_customer(server, 2)) == (1, 1)
        desk.run("audit")


def test_what_was_revoked_and_replaced_after_the_copy_was_made_is_known_again(desk: Desk) -> None:
    """Reports tell it: a coupon that another took the place of counts no more."""
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("a.csv", [f"{mobile(1)},7,1", f"{mobile(2)},7,1"])
        run = desk.run("run", file, "--campaign", "may", "--json", *RUN).json["run"]
        copy = copy_of(desk)
        desk.run("undo", run, "--customer", mobile(1), "--yes")
        desk.run("run", file, "--campaign", "may", "--reissue-revoked", *RUN)
        desk.run("undo", run, "--customer", mobile(2), "--yes")
        states = "SELECT order_id, state FROM coupons ORDER BY 1, 2"
        assert ask(desk, states) == [(1, "issued"), (1, "replaced"), (2, "revoked")]
        put_back(desk, copy)
        desk.run("recover", "--yes")
        assert ask(desk, states) == [(1, "issued"), (1, "replaced"), (2, "revoked")]
        assert ask(desk, "SELECT issued FROM orders") == [(1,), (1,)]
        desk.run("audit")


@pytest.mark.parametrize("word", ["report", "undo"])
def test_reports_that_hold_what_was_purged_are_not_written_over(desk: Desk, word: str) -> None:
    """What is written after a purge stands beside them; only --replace takes their place."""
    with desk.serving() as server:
        desk.init(server)
        reports = desk.issue("run", desk.write("a.csv", [f"{mobile(1)},7,1"]), "--campaign", "may", *RUN)
        age(desk, 1)
        before = {path: path.read_bytes() for path in reports.folder.iterdir()}
        desk.run("purge", "--older-than", "0s", "--yes")
        done = desk.run(word, reports.folder.name, *(("--yes",) if word == "undo" else ()), expect=None)
        assert {path: path.read_bytes() for path in reports.folder.iterdir()} == before
        beside = Path(f"{reports.folder}-erased")
        assert (beside / "manifest.json").is_file(), done.err
        if word == "report":
            assert "--replace" in done.last_line
            desk.run(word, reports.folder.name, "--replace")
            assert mobile(1) not in (reports.folder / "results.csv").read_text()
