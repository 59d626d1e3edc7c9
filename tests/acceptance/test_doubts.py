"""Lost answers are settled by reading the API at a run's end, before the next one, by `reconcile`; or by a person."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from urllib.request import Request, urlopen

from tests.acceptance.desk import mobile, until

AGREED = ["--campaign", "c", "--yes", "--max-coupons", "99", "--reports", "csv"]
AT_ONCE = ["--settle-after", "0s", "--settle-wait", "2s"]
NO_WAIT = ["--settle-wait", "0s"]


def answers(*of_first: str) -> str:
    """The first customer's calls are answered like this."""
    listed = ", ".join(f'"{one}"' for one in of_first)
    return f'[[customers]]\nmobile = "{mobile(1)}"\nanswers = [{listed}]\n'


def rows(count: int, first: int = 1) -> list[str]:
    return [f"{mobile(number)},415446,1" for number in range(first, first + count)]


def doubt_of(reports) -> dict[str, str]:
    (row,) = reports.table("in_doubt.csv")
    return row


def test_a_lost_answer_that_issued_is_found_at_the_end_of_the_run(desk):
    """By the call's own key; with the coupon's code and id, in the same run, without a second call."""
    with desk.serving(answers("commit_then_cut")) as server:
        desk.init(server)
        reports = desk.issue("run", desk.write("list.csv", rows(3)), *AGREED)
        assert reports.statuses() == ["issued"] * 3
        assert all(row["code"] and row["coupon_id"] for row in reports.table("coupons.csv"))
        assert (server.posts(), server.issued()) == (3, 3)


def test_a_lost_answer_that_issued_nothing_is_proven_and_asked_for_again_by_the_same_run(desk):
    """Later coupons of others are shown, the settling time has passed, nothing carries the key: a new call follows."""
    with desk.serving(answers("cut")) as server:
        desk.init(server)
        reports = desk.issue("run", desk.write("list.csv", rows(3)), *AGREED, *AT_ONCE)
        assert reports.statuses() == ["issued"] * 3
        assert (server.posts(), server.issued()) == (4, 3)


def test_nothing_is_called_not_issued_within_the_settling_time(desk):
    """A quarter of an hour by default: until then it may still appear."""
    with desk.serving(answers("cut")) as server:
        desk.init(server)
        reports = desk.issue("run", desk.write("list.csv", rows(3)), *AGREED, expect=5)
        assert reports.statuses() == ["in_doubt", "issued", "issued"]
        assert "settling time" in doubt_of(reports)["evidence"]
        assert desk.run("reconcile", "--json", *NO_WAIT, expect=5).json["calls"][0]["state"] == "in_doubt"
        assert (server.posts(), server.issued()) == (3, 2)


def test_reconcile_settles_and_resume_asks_for_what_was_found_missing(desk):
    """The reports are written again; the finished run can be resumed, and its last line says so."""
    with desk.serving(answers("cut")) as server:
        desk.init(server)
        run = desk.issue("run", desk.write("list.csv", rows(3)), *AGREED, *NO_WAIT, expect=5).summary["run"]
        settled = desk.run("reconcile", run, "--settle-after", "0s")
        assert "1 call in doubt read: 1 not issued" in settled.last_line
        assert f"coupon-runner resume {run}" in settled.last_line
        document = desk.run("show", run, "--json").json
        assert (document["state"], document["coupons"]["in_doubt"], document["coupons"]["missing"]) == ("stopped", 0, 1)
        reports = desk.issue("resume", run, "--yes")
        assert reports.statuses() == ["issued"] * 3
        assert "no call is in doubt" in desk.run("reconcile").last_line
        assert (server.posts(), server.issued()) == (4, 3)


def test_every_run_settles_the_other_campaigns_of_its_org_first(desk):
    """A campaign whose lock is free is settled; one that is being run is named and left alone."""
    with desk.serving(answers("commit_then_cut") + '[[series]]\nid = 5\nanswers = ["hang:30"]\n') as server:
        desk.init(server)
        first = desk.write("list.csv", rows(2))
        desk.run("run", first, *AGREED, "--settle-wait", "0s", "--timeout", "20s", expect=None)
        _put_in_doubt_again(desk)
        live = desk.start("run", desk.write("b.csv", ["919000000050,5,1"]), "--campaign", "b", *AGREED[2:])
        desk.until_posts(server, 3)
        with closing(sqlite3.connect(desk.ledger)) as ledger:
            states = {row[0] for row in ledger.execute("SELECT state FROM calls")}
        assert states == {"issued", "sending"}, "the other campaign was settled first"
        assert "1 call in doubt read: 1 issued" in live.err
        later = desk.run("run", desk.write("d.csv", rows(1, 60)), "--campaign", "d", *AGREED[2:])
        assert "1 unsettled call of b is left to its owner" in later.err


def _put_in_doubt_again(desk) -> None:
    """As if the first call had not been settled yet: its coupon is not known."""
    with closing(sqlite3.connect(desk.ledger)) as ledger, ledger:
        ((order, key),) = ledger.execute(
            "SELECT c.order_id, c.key FROM calls c JOIN orders o ON o.id = c.order_id WHERE o.value = ?", (mobile(1),)
        ).fetchall()
        ledger.execute("UPDATE calls SET state = 'in_doubt', held = 1, known = 0 WHERE key = ?", (key,))
        ledger.execute("DELETE FROM coupons WHERE call_key = ?", (key,))
        ledger.execute("DELETE FROM evidence WHERE order_id = ?", (order,))
        ledger.execute("UPDATE orders SET issued = 0, held = 1 WHERE id = ?", (order,))


def test_reads_that_fail_or_come_back_as_html_decide_nothing(desk):
    """The doubt stays as it is, and the run says so."""
    pages = '[reading]\nanswers = ["html_200"]\nrepeat_last = true\n'
    with desk.serving(pages + answers("commit_then_cut")) as server:
        desk.init(server)
        reports = desk.issue("run", desk.write("list.csv", rows(2)), *AGREED, *AT_ONCE, expect=5)
        assert reports.statuses() == ["in_doubt", "issued"]
        assert server.posts() == 2


def test_without_metadata_exactly_the_quantity_is_found_by_its_time(desk):
    """The API keeps no metadata: the customer's only coupon from that moment is the call's."""
    with desk.serving("[reading]\ndrop_metadata = true\n" + answers("commit_then_cut")) as server:
        desk.init(server)
        reports = desk.issue("run", desk.write("list.csv", rows(2)), *AGREED)
        assert reports.statuses() == ["issued", "issued"]
        assert server.posts() == 2


def test_without_metadata_none_stays_for_a_person_unless_the_owner_lets_time_settle(desk):
    """`--settle-by-time` is the owner's word for it."""
    with desk.serving("[reading]\nignore_issued_to_ids = true\n" + answers("cut")) as server:
        desk.init(server)
        file = desk.write("list.csv", rows(2))
        reports = desk.issue("run", file, *AGREED, *AT_ONCE, expect=5)
        assert reports.statuses() == ["in_doubt", "issued"]
        assert desk.run("reconcile", *AT_ONCE, expect=5)
        assert server.posts() == 2


def test_what_appears_after_it_was_settled_is_recorded_and_flagged(desk):
    """A call that was too slow even for the settling time: its coupon is counted, and the surplus is told."""
    with desk.serving(answers("late_commit:2")) as server:
        desk.init(server)
        file = desk.write("list.csv", rows(2))
        desk.issue("run", file, *AGREED, *AT_ONCE, "--timeout", "0.3s", expect=None)
        until(lambda: server.issued() == 3, "the slow call has issued after all")
        desk.run("reconcile", expect=None)
        with closing(sqlite3.connect(desk.ledger)) as ledger:
            calls = ledger.execute(
                "SELECT c.state, c.flags, o.issued, o.target FROM calls c JOIN orders o ON o.id = c.order_id"
                " WHERE o.value = ? ORDER BY c.number",
                (mobile(1),),
            ).fetchall()
        assert calls[0][0] == calls[-1][0] == "issued"
        assert calls[0][2:] == (2, 1)
        assert "appeared_later" in calls[0][1]


def shown_by(server, number: str) -> bool:
    """Whether the API's list of a customer holds a coupon by now."""
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    question = Request(f"{server.url}/v2/customers/coupons?mobile={number}", headers=headers)  # noqa: S310 - loopback
    with urlopen(question) as answer:  # noqa: S310 - loopback
        return bool(json.load(answer)["entity"]["pagination"]["total"])


def test_what_an_earlier_settling_called_missing_is_read_again_by_reconcile_and_by_the_next_run(desk):
    """For a day: neither a finished campaign nor a settling before the run is forgotten."""
    with desk.serving(answers("late_commit:1")) as server:
        desk.init(server)
        run = desk.issue("run", desk.write("list.csv", rows(2)), *AGREED, *NO_WAIT, "--timeout", "0.2s", expect=5)
        desk.run("reconcile", "--settle-after", "0s", "--settle-wait", "0s", expect=None)
        until(lambda: server.issued() == 2, "the slow call has issued after all")
        until(lambda: shown_by(server, mobile(1)), "the API shows the coupon")
        desk.run("reconcile", expect=None)
        document = desk.run("show", run.summary["run"], "--json").json
        assert (document["coupons"]["issued"], document["coupons"]["missing"]) == (2, 0)
        assert server.posts() == 2


# ── a person's word ──────────────────────────────────────────────────────────────────────────────────────────────────


def _in_doubt(desk, server, **more):
    """A run with one call in doubt; its id and the call's key."""
    desk.init(server)
    reports = desk.issue("run", desk.write("list.csv", rows(2)), *AGREED, *NO_WAIT, expect=5)
    return reports, reports.summary["run"], doubt_of(reports)["call_key"]


def test_a_person_settles_a_doubt_with_a_reason_that_is_kept(desk):
    """Not issued: what is missing may be asked for again. Who said it, why and when stand in the ledger."""
    with desk.serving(answers("cut")) as server:
        _, run, call = _in_doubt(desk, server)
        ended = desk.run("resolve", run, call, "--not-issued", "--why", "ticket 4711")
        assert f"coupon-runner resume {run}" in ended.last_line
        with closing(sqlite3.connect(desk.ledger)) as ledger:
            kept = ledger.execute('SELECT "by", method, verdict, why, who FROM evidence ORDER BY id DESC').fetchone()
        assert kept[:4] == ("person", "word", "refused", "ticket 4711")
        assert '"user"' in kept[4]
        assert desk.issue("resume", run, "--yes").statuses() == ["issued", "issued"]
        assert server.issued() == 2


def test_a_word_that_the_api_contradicts_is_refused(desk):
    """It shows the coupon: `reconcile` records it, and "not issued" would issue a second one."""
    with desk.serving("[reading]\nlag_seconds = 1\n" + answers("commit_then_cut")) as server:
        _, run, call = _in_doubt(desk, server)
        until(lambda: shown_by(server, mobile(1)), "the API shows the coupon")
        refused = desk.run("resolve", run, call, "--not-issued", "--why", "I think so", expect=3)
        assert "the API shows 1 coupon of this call, not 0" in refused.err
        assert "1 issued" in desk.run("reconcile", run).last_line


def test_not_issued_is_refused_while_a_coupon_from_that_time_is_unexplained(desk):
    """Without keys nobody can tell whose it is: it may be this call's."""
    config = "[reading]\ndrop_metadata = true\n[[series]]\nid = 415446\nkind = 'generic'\n"
    with desk.serving(config + answers("commit_then_cut")) as server:
        _, run, call = _in_doubt(desk, server)
        refused = desk.run("resolve", run, call, "--not-issued", "--why", "I think so", expect=3)
        assert "which nothing explains" in refused.err
        desk.run("resolve", run, call, "--issued", "1", "--why", "seen in the vendor's console")
        reports = desk.issue("run", desk.folder / "list.csv", *AGREED)
        assert reports.statuses() == ["issued", "issued"]
        assert server.posts() == 2


def test_many_doubts_are_settled_from_the_file_that_the_run_wrote(desk):
    """in_doubt.csv with two columns filled in; lines left blank stay as they are."""
    with desk.serving('answers = ["cut", "cut", "cut", "ok"]\n') as server:
        desk.init(server)
        reports = desk.issue("run", desk.write("list.csv", rows(4)), *AGREED, *NO_WAIT, expect=5)
        lines = reports.table("in_doubt.csv")
        assert len(lines) == 3
        lines[0] |= {"resolve_issued": "0", "resolve_why": "ticket 1"}
        lines[2] |= {"resolve_issued": "0", "resolve_why": "ticket 2"}
        file = desk.folder / "settled.csv"
        with file.open("w", encoding="utf-8-sig", newline="") as out:
            writer = csv.DictWriter(out, list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)
        run = reports.summary["run"]
        assert "2 calls settled by your word" in desk.run("resolve", run, "--from", file).last_line
        assert desk.run("show", run, "--json").json["coupons"]["in_doubt"] == 1


def test_a_word_about_another_call_or_too_many_coupons_settles_nothing(desk):
    """All problems are told together, and nothing is recorded while there is one."""
    with desk.serving(answers("cut")) as server:
        _, run, call = _in_doubt(desk, server)
        for words, said in (
            ([call, "--issued", "2", "--why", "x"], "2 cannot be right: it asked for 1"),
            (["nobody-1-0", "--not-issued", "--why", "x"], "no call of"),
            ([call, "--why", "x"], "Say what became of it"),
            ([call, "--not-issued"], "Say how you know"),
        ):
            refused = desk.run("resolve", run, *words, expect=2)
            assert said in refused.err
        assert desk.run("show", run, "--json").json["coupons"]["in_doubt"] == 1
