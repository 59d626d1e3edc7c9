"""`--fall-back`: whom the API does not know by mobile is named by her row's e-mail, and nobody gets more for it."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from typing import Any

from runner.sandbox import held_by_identifier
from tests.acceptance.desk import Desk, Server, mobile, until
from tests.acceptance.test_care import copy_of, forget_reports, put_back

HEADER = "mobile,email,series_id,count"
BY = ("--identify-by", "mobile,email")
RUN = (
    *("--campaign", "may", "--yes", "--max-coupons", "100", "--reports", "csv"),
    *("--settle-wait", "2s", "--settle-after", "0s"),
)
ON = (*BY, "--fall-back", *RUN)


def address(number: int) -> str:
    return f"person{number}@example.com"


def unknown(*numbers: int) -> str:
    """Mobiles that the API does not know."""
    return "".join(f'[[customers]]\nmobile = "{mobile(number)}"\nunknown = true\n' for number in numbers)


def rows(*numbers: int, count: int = 2) -> list[str]:
    return [f"{mobile(number)},{address(number)},7,{count}" for number in numbers]


def held(server: Server) -> dict[str, int]:
    """Identifier → coupons, by the truth."""
    return {name: sum(series.values()) for name, series in held_by_identifier(server.truth()).items() if series}


def ask(desk: Desk, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(desk.ledger, timeout=10)) as conn, conn:
        return conn.execute(query).fetchall()


def test_a_run_says_who_was_found_by_which_identifier(desk: Desk) -> None:
    """The plan counts whom it may name otherwise; results and `find` say who was; failures say what was tried."""
    nobody = f'[[customers]]\nemail = "{address(3)}"\nunknown = true\n'
    with desk.serving(unknown(2, 3, 4) + nobody) as server:
        desk.init(server)
        file = desk.write("list.csv", [*rows(1, 2, 3), f"{mobile(4)},,7,2"], header=HEADER)
        plan = desk.run("plan", file, "--campaign", "may", *BY, "--fall-back")
        said = " ".join(plan.err.split())
        assert "3 orders have another identifier to fall back to" in said
        assert "Not known by the identifier that is sent first, with another to fall back to: row 3, row 4." in said
        assert "Not known to the API: row 5." in said
        reports = desk.issue("run", file, *ON, expect=1)
        assert reports.statuses() == ["issued", "issued", "failed", "failed"]
        messages = [line["_error_message"] for line in reports.results]
        assert messages[:2] == ["", "issued by email, since the mobile was not found (701)"]
        assert messages[2].endswith("(not found by mobile nor email)")
        assert "not found by" not in messages[3]
        assert [line["_error_code"] for line in reports.results] == ["", "", "701", "701"]
        assert [line["_attempts"] for line in reports.results] == ["1", "2", "1", "1"]
        failures = {line["mobile"]: line["_error_message"] for line in reports.table("failures.csv")}
        assert failures[mobile(3)].endswith("(not found by mobile nor email)")
        assert held(server) == {f"mobile:{mobile(1)}": 2, f"email:{address(2)}": 2}
        assert "issued by email, since the mobile was not found (701)" in desk.run("find", mobile(2), "--json").out
        live = desk.run("find", mobile(2), "--live", "--json").json["live"]
        assert [coupon["whose"] for coupon in live] == ["ours", "ours"]
        assert desk.run("audit", "--json").json["exit_code"] == 0


def test_a_raised_count_goes_to_the_same_customer(desk: Desk) -> None:
    """2 raised to 5 issues 3, by e-mail at once, whether or not the option is given again; one order, one key."""
    with desk.serving(unknown(1)) as server:
        desk.init(server)
        desk.issue("run", desk.write("a.csv", rows(1), header=HEADER), *ON)
        before = ask(desk, "SELECT id, key FROM orders")
        for count, words, posts in ((5, ON, 3), (6, (*BY, *RUN), 4)):
            more = desk.write("b.csv", rows(1, count=count), header=HEADER)
            assert desk.issue("run", more, *words).statuses() == ["issued"]
            assert (server.posts(), held(server)) == (posts, {f"email:{address(1)}": count})
        assert ask(desk, "SELECT id, key FROM orders") == before
        desk.run("audit")


def test_without_the_option_nobody_is_named_otherwise(desk: Desk) -> None:
    """A 701 is final for the row, no other identifier is kept, and the plan says nothing of any."""
    with desk.serving(unknown(1)) as server:
        desk.init(server)
        file = desk.write("list.csv", rows(1, 2), header=HEADER)
        words = ("plan", file, "--campaign", "may", *BY)
        plan = desk.run(*words)
        assert "fall back" not in plan.err
        assert desk.run(*words, "--no-fall-back").out == plan.out
        assert desk.run(*words, "--fall-back").out != plan.out, "a plan code stands for the option too"
        assert desk.run(*words, COUPON_RUNNER_FALL_BACK="1").out == desk.run(*words, "--fall-back").out
        assert desk.issue("run", file, *BY, *RUN, expect=1).statuses() == ["failed", "issued"]
        assert (server.posts(), held(server)) == (2, {f"mobile:{mobile(2)}": 2})
        assert ask(desk, "SELECT DISTINCT others, tried FROM orders") == [(None, None)]


def test_a_customer_who_got_hers_by_another_row_is_not_issued_to_again(desk: Desk) -> None:
    """Her answer named the e-mail of a row whose mobile nobody has: the rows are one person's, and say so.

    In the next run too, and also when the option is left out.
    """
    ann = f'[[customers]]\nmobile = "{mobile(1)}"\nemail = "{address(2)}"\n'
    with desk.serving(unknown(2) + ann) as server:
        desk.init(server)
        file = desk.write("list.csv", [f"{mobile(1)},,7,2", *rows(2)], header=HEADER)
        for words in (ON, ON, (*BY, *RUN)):
            reports = desk.issue("run", file, *words, "--concurrency", "1", expect=None)
            assert reports.results[0]["_status"] == "issued"
            assert held(server) == {f"mobile:{mobile(1)}": 2, f"email:{address(2)}": 2}, "one customer, two names"
            assert server.issued() == 2
        desk.run("audit")


def test_a_killed_run_goes_on_by_the_identifier_that_was_asked_last(desk: Desk) -> None:
    """Killed while the call by e-mail has no answer: its doubt is read by e-mail, found, and nothing is sent again."""
    hanging = f'[[customers]]\nemail = "{address(1)}"\nanswers = ["commit_then_hang"]\n'
    with desk.serving(unknown(1) + hanging) as server:
        desk.init(server)
        file = desk.write("list.csv", rows(1), header=HEADER)
        process = desk.start("run", file, *ON, "--json")
        until(lambda: server.issued() == 2, "the call by e-mail is carried out")
        process.signal(signal.SIGKILL)
        process.wait()
        assert ask(desk, "SELECT kind, held FROM orders") == [("email", 2)]
        reports = desk.issue("resume", "--yes", "--settle-after", "0s", "--settle-wait", "5s")
        assert reports.statuses() == ["issued"]
        assert (server.posts(), held(server)) == (2, {f"email:{address(1)}": 2})
        desk.run("audit")


def test_undo_and_reconcile_name_the_customer_who_got_the_coupons(desk: Desk) -> None:
    """What was issued by e-mail is read and revoked as such."""
    lost = f'[[customers]]\nemail = "{address(1)}"\nanswers = ["commit_then_cut"]\n'
    with desk.serving(unknown(1) + lost) as server:
        desk.init(server)
        file = desk.write("list.csv", rows(1), header=HEADER)
        reports = desk.issue("run", file, *ON)
        assert reports.statuses() == ["issued"]
        desk.run("undo", reports.summary["run"], "--yes", "--reports", "csv")
        assert reports.results[0]["_revoked"] == "2"
        desk.run("audit")


def test_falling_back_takes_two_kinds(desk: Desk) -> None:
    """A campaign that identifies by mobile only has nothing to fall back to: said, and nothing is read further."""
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("list.csv", rows(1), header=HEADER)
        refused = desk.run("plan", file, "--campaign", "may", "--identify-by", "mobile", "--fall-back", expect=2)
        assert "--fall-back needs a second kind of identifier" in refused.last_line + refused.err


def test_forget_erases_what_she_might_have_been_named_by(desk: Desk) -> None:
    """No identifier of hers is left in the file, tried or not."""
    with desk.serving(unknown(1)) as server:
        desk.init(server)
        file = desk.write("list.csv", rows(1, 2), header=HEADER)
        desk.issue("run", file, *ON)
        for number in (1, 2):
            desk.run("forget", mobile(number), "--yes")
        assert ask(desk, "SELECT DISTINCT value, others FROM orders") == [(None, None)]
        assert b"@example.com" not in desk.ledger.read_bytes()
        desk.run("audit")


def test_the_audit_sees_an_order_that_was_made_to_name_somebody_else(desk: Desk) -> None:
    """The history tells which identifier an order fell back to; a table that says otherwise was edited."""
    with desk.serving(unknown(1)) as server:
        desk.init(server)
        desk.issue("run", desk.write("list.csv", rows(1), header=HEADER), *ON)
        desk.run("audit")
        for change in (f"kind = 'mobile', value = '{mobile(1)}'", "tried = NULL", "tried = '[\"externalId\"]'"):
            ask(desk, "CREATE TABLE IF NOT EXISTS kept AS SELECT kind, value, tried FROM orders")
            ask(desk, f"UPDATE orders SET {change}")
            assert "does not tell that its customer is named by this" in desk.run("audit", expect=1).out
            ask(desk, "UPDATE orders SET (kind, value, tried) = (SELECT kind, value, tried FROM kept)")
        ask(desk, "DROP TABLE kept")
        desk.run("audit")


def test_a_recovery_reads_by_every_identifier_that_may_have_been_used(desk: Desk) -> None:
    """The older copy names her by mobile; what went to the e-mail since is found, and nothing is issued again."""
    nobody = f'[[customers]]\nemail = "{address(1)}"\nunknown = true\n'
    file = desk.write("list.csv", rows(1), header=HEADER)
    with desk.serving(unknown(1) + nobody) as server:
        desk.init(server)
        desk.issue("run", file, *ON, expect=1)
        copy, port = copy_of(desk), server.port
    with desk.serving(unknown(1), port=port) as server:
        desk.issue("run", file, *ON)
        assert held(server) == {f"email:{address(1)}": 2}
        put_back(desk, copy)
        forget_reports(desk)
        desk.run("recover", "--yes")
        assert ask(desk, "SELECT kind, issued, held, tried FROM orders") == [("email", 2, 0, '["mobile"]')]
        assert desk.issue("run", file, *ON).statuses() == ["issued"]
        more = desk.write("more.csv", rows(1, count=3), header=HEADER)
        assert desk.issue("run", more, *ON).statuses() == ["issued"]
        assert held(server) == {f"email:{address(1)}": 3}
        desk.run("audit")
