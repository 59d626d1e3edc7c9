"""`undo`: what a run issued is revoked, by code, once, and by nothing but consent; two books compared at the end."""

from __future__ import annotations

import http.client
import json
import random
import signal
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.desk import Desk, Process, Reports, Server, mobile, process_has_ended, until

SERIES = (500001, 500002, 500003)
QUICK = ["--reports", "csv", "--timeout", "0.4s"]


def rows_of(customers: int) -> list[str]:
    """Each customer has three coupons of one of the series."""
    return [f"{mobile(number)},{SERIES[number % 3]},3" for number in range(1, customers + 1)]


def issue(desk: Desk, server: Server, customers: int = 100) -> Reports:
    """A run that issued everything."""
    desk.init(server)
    file = desk.write("list.csv", rows_of(customers))
    return desk.issue("run", file, "--campaign", "may", "--yes", "--max-coupons", "10000", *QUICK)


def redeem(server: Server, codes: list[str]) -> None:
    """As a shop would."""
    body = json.dumps({"couponCodes": codes}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("POST", "/_redeem", body)
    assert json.load(connection.getresponse()) == {"redeemed": len(codes)}
    connection.close()


def really(truth: Path) -> dict[str, tuple[int, str]]:
    """Coupon id → its series, and whether it is held, redeemed or revoked, by the truth of a sandbox."""
    query = """SELECT id, series_id, CASE WHEN revoked_ms IS NOT NULL THEN 'revoked'
        WHEN redeemed_ms IS NOT NULL THEN 'redeemed' ELSE 'held' END FROM coupons"""
    with closing(sqlite3.connect(f"file:{truth}?mode=ro", uri=True, timeout=10)) as conn:
        return {str(coupon): (series, state) for coupon, series, state in conn.execute(query)}


def states(server: Server) -> Counter[str]:
    """How many coupons are held, redeemed, revoked."""
    return Counter(state for _, state in really(server.truth_path).values())


def agree(server: Server, reports: Reports) -> Counter[str]:
    """The states in coupons.csv, which must be those of the truth, coupon by coupon."""
    truth = really(server.truth_path)
    told = {line["coupon_id"]: line["state"] for line in reports.table("coupons.csv")}
    assert {coupon: "held" if state == "issued" else state for coupon, state in told.items()} == {
        coupon: state for coupon, (_, state) in truth.items()
    }
    return Counter(told.values())


def test_an_undo_leaves_nothing_but_what_was_redeemed(desk: Desk) -> None:
    """Exit 1 says so; `_revoked`, coupon states and sums tell it; nothing went by customer; a second one is exit 0."""
    with desk.serving() as server:
        reports = issue(desk, server)
        run = reports.folder.name
        redeemed = [line["code"] for line in reports.table("coupons.csv")[10:17]]
        redeem(server, redeemed)
        done = desk.run("undo", run, "--yes", "--json", *QUICK, expect=1)
        assert done.json["coupons"] | {"revoked": 293, "redeemed": 7, "refused": 0} == done.json["coupons"]
        assert done.json["refusals"] == [{"code": "711", "message": "Coupon is already used", "coupons": 7}]
        assert "293 coupons revoked; 7 had been redeemed" in done.last_line
        assert states(server) == {"revoked": 293, "redeemed": 7}
        assert server.truth()["totals"]["revokes_without_codes"] == 0
        assert agree(server, reports) == {"revoked": 293, "redeemed": 7}
        assert sum(int(line["_revoked"]) for line in reports.results) == 293
        sums = reports.summary["coupons"]
        assert (sums["issued"], sums["revoked"], sums["missing"]) == (300, 293, 0)
        assert reports.manifest["revision"] == 2
        again = desk.run("undo", run, "--json", *QUICK)
        assert (again.json["calls"], again.json["coupons"]["revocable"]) == (0, 0)
        assert "nothing of it is left to revoke" in again.last_line
        assert desk.run("audit", "--json").json["exit_code"] == 0


def test_nothing_is_revoked_without_consent(desk: Desk) -> None:
    """Without a terminal and without --yes it shows what it would do, and names the command that does it."""
    with desk.serving() as server:
        run = issue(desk, server, 9).folder.name
        shown = desk.run("undo", run, "--series", "500001", *QUICK)
        assert states(server) == {"held": 27}
        assert "9 coupons would be revoked; nothing was revoked yet" in shown.last_line
        assert shown.last_line.endswith(f"Next: coupon-runner undo {run} --series 500001 --yes")
        assert "Messages are out already" in shown.err
        assert "500001  generated        9" in shown.err


def test_only_what_is_chosen_is_revoked(desk: Desk) -> None:
    """By series, by customer however she is written, by row; and what the run does not have is refused."""
    with desk.serving() as server:
        run = issue(desk, server, 9).folder.name

        def held() -> Counter[int]:
            return Counter(series for series, state in really(server.truth_path).values() if state == "held")

        desk.run("undo", run, "--customer", f"+{mobile(1)}", "--yes", *QUICK)
        assert held() == {500001: 9, 500002: 6, 500003: 9}
        desk.run("undo", run, "--row", "4,5", "--yes", *QUICK)  # the third and fourth customer
        assert held() == {500001: 6, 500002: 3, 500003: 9}
        desk.run("undo", run, "--series", "500003,500001", "--row", "2", "--yes", *QUICK, expect=2)
        desk.run("undo", run, "--series", "500003", "--yes", *QUICK)
        assert held() == {500001: 6, 500002: 3}
        for words, said in (
            (["--row", "99"], "has no such row"),
            (["--row", "x"], "write a row number"),
            (["--series", "7"], "sent no call for that"),
            (["--customer", mobile(77)], "sent no call for that"),
            (["--series", "seven"], "write the ids of series"),
        ):
            refused = desk.run("undo", run, *words, "--yes", *QUICK, expect=2)
            assert said in refused.last_line
        assert held() == {500001: 6, 500002: 3}


def test_a_shared_code_and_a_coupon_held_before_are_never_revoked(desk: Desk) -> None:
    """A generic series is refused in words; a re-sent coupon belongs to whoever got it first."""
    config = '[[series]]\nid = 7\nkind = "generic"\n[[series]]\nid = 9\nresend_existing = true\n'
    with desk.serving(config) as server:
        desk.init(server)
        words = ["--yes", "--max-coupons", "100", "--overlap", "allow", *QUICK]
        desk.issue("run", desk.write("first.csv", [f"{mobile(1)},9,1"]), "--campaign", "first", *words)
        file = desk.write(
            "second.csv", [f"{mobile(1)},9,1", f"{mobile(1)},7,1", f"{mobile(2)},7,1", f"{mobile(2)},8,1"]
        )
        second = desk.issue("run", file, "--campaign", "second", *words, expect=None)
        done = desk.run("undo", second.folder.name, "--yes", "--json", *QUICK, expect=1)
        assert done.json["coupons"] | {"generic": 2, "resent": 1, "revoked": 1} == done.json["coupons"]
        assert states(server) == {"held": 3, "revoked": 1}
        assert "2 cannot be revoked" in done.last_line
        assert "all customers share one code" in done.err


def test_calls_in_doubt_are_settled_first_or_refuse_it(desk: Desk) -> None:
    """What may still be issued cannot be undone: exit 5, unless it is left out on purpose."""
    config = f'[reading]\nlag_seconds = 9999\n[[customers]]\nmobile = "{mobile(2)}"\nanswers = ["cut"]\n'
    with desk.serving(config) as server:
        desk.init(server)
        file = desk.write("list.csv", [f"{mobile(1)},8,1", f"{mobile(2)},8,1"])
        words = ["--settle-wait", "0s", *QUICK]
        reports = desk.issue("run", file, "--campaign", "may", "--yes", "--max-coupons", "9", *words, expect=5)
        run = reports.folder.name
        refused = desk.run("undo", run, "--yes", *words, expect=5)
        assert "1 call of what is to be undone is in doubt and may have issued 1 coupon" in refused.last_line
        assert refused.last_line.endswith(f"Next: coupon-runner reconcile {run}")
        assert states(server)["revoked"] == 0
        desk.run("undo", run, "--customer", mobile(1), "--yes", *words)  # nothing of hers is in doubt
        assert states(server)["revoked"] == 1
        left = desk.run("undo", run, "--yes", "--json", *words, expect=5)
        assert left.json["doubts"] == {"calls": 1, "coupons": 1}
        assert "1 call of it in doubt" in left.last_line
        desk.run("undo", run, "--yes", "--even-in-doubt", *words)


def test_a_revoked_coupon_counts_as_issued_until_it_is_to_be_replaced(desk: Desk) -> None:
    """The same list again issues nothing; with --reissue-revoked exactly what was revoked, and only once."""
    with desk.serving() as server:
        first = issue(desk, server, 12)
        words = ["--campaign", "may", "--yes", "--max-coupons", "1000", *QUICK]
        desk.run("undo", first.folder.name, "--series", "500002", "--yes", *QUICK)
        file = desk.folder / "list.csv"
        assert (
            desk.issue("run", file, *words).summary["coupons"] | {"before": 36, "revoked": 12}
            == (desk.issue("run", file, *words).summary["coupons"])
        )
        assert server.issued() == 36
        planned = desk.run("plan", file, "--campaign", "may", "--reissue-revoked", "--json").json
        sums = {"target": 36, "issued_before": 24, "in_doubt": 0, "held_back": 0, "to_issue": 12, "replaced": 12}
        assert planned["coupons"] == sums
        again = desk.issue("run", file, "--reissue-revoked", *words)
        assert server.issued() == 48
        sums = again.summary["coupons"]
        assert (sums["issued"], sums["before"], sums["missing"], sums["revoked"]) == (36, 24, 0, 0)
        assert [one["what"] for one in again.summary["overrides"]] == ["reissue_revoked"]
        desk.issue("run", file, "--reissue-revoked", *words)
        assert server.issued() == 48
        # The report of the run that was undone still tells what it gave: the replacement is another run's.
        desk.run("report", first.folder.name, "--reports", "csv")
        sums = first.summary["coupons"]
        assert (sums["issued"], sums["revoked"], sums["missing"]) == (36, 12, 0)
        assert Counter(one["state"] for one in again.table("coupons.csv")) == {"issued": 36, "replaced": 12}
        assert states(server) == {"held": 36, "revoked": 12}
        assert desk.run("audit", "--json").json["exit_code"] == 0


def test_an_undo_waits_for_nobody_who_holds_the_campaign(desk: Desk) -> None:
    """Exit 7: one process at a time works on a campaign."""
    with desk.serving("latency_seconds = [5, 5]\n") as server:
        desk.init(server)
        file = desk.write("list.csv", rows_of(3))
        live = desk.start("run", file, "--campaign", "may", "--yes", "--max-coupons", "10", "--timeout", "30s")
        desk.until_posts(server, 1)
        run = desk.run("runs", "--json").json[0]["run"]
        assert "is in use" in desk.run("undo", run, "--yes", *QUICK, expect=7).last_line
        live.signal(signal.SIGKILL)
        live.wait()


def kill_when(process: Process, server: Server, wanted: int) -> None:
    """Kill it as soon as so many coupons are revoked."""
    idle = threading.Event()
    while states(server)["revoked"] < wanted and not process_has_ended(process):
        idle.wait(0.001)
    process.signal(signal.SIGKILL)
    process.wait()


def test_a_signal_ends_it_after_the_revocation_under_way(desk: Desk) -> None:
    """Exit 130, with reports and the command that goes on; nothing is left in doubt."""
    with desk.serving() as server:
        reports = issue(desk, server, 100)
        run = reports.folder.name
        slow = desk.start("undo", run, "--yes", "--rate", "4/s", *QUICK)
        until(lambda: states(server)["revoked"] > 0, "something is revoked")
        slow.signal(signal.SIGINT)
        assert slow.wait() == 130, slow.err
        assert slow.last_line.endswith(f"Next: coupon-runner undo {run} --yes")
        done = agree(server, reports)
        assert 0 < done["revoked"] < 300
        again = desk.run("undo", run, "--yes", "--json", *QUICK)
        assert again.json["coupons"]["revoked"] == 300 - done["revoked"]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in (1, 2))])
def test_killed_in_the_middle_the_same_command_goes_on(desk: Desk, seed: int) -> None:
    """kill -9 again and again: at the end the two books agree, coupon by coupon, and only the redeemed are left."""
    chance = random.Random(seed)
    with desk.serving("latency_seconds = [0.0, 0.01]\n", seed=seed) as server:
        reports = issue(desk, server, 120)
        run = reports.folder.name
        codes = [line["code"] for line in reports.table("coupons.csv")]
        redeem(server, chance.sample(codes, 9))
        words: list[str | Path] = ["undo", run, "--yes", *QUICK]
        for _ in range(3):
            kill_when(desk.start(*words), server, min(350, states(server)["revoked"] + chance.randint(1, 120)))
        done = desk.run(*words, "--json", expect=None)
        assert done.wait() in (0, 1), done.err
        assert states(server) == {"revoked": 351, "redeemed": 9}
        assert agree(server, reports) == {"revoked": 351, "redeemed": 9}
        assert desk.run("audit", "--json").json["exit_code"] == 0


def test_a_rehearsal_is_undone_on_the_sandbox(desk: Desk) -> None:
    """A run id that begins with REHEARSAL leads to its own ledger and truth by itself."""
    reports = desk.rehearse(desk.write("list.csv", rows_of(3)), *QUICK)
    done = desk.run("undo", reports.folder.name, "--yes", "--json", *QUICK)
    assert done.json["coupons"]["revoked"] == 9
    truth = really(desk.folder / "state" / "coupon-runner" / "rehearsal" / "ledger.db.truth")
    assert Counter(state for _, state in truth.values()) == {"revoked": 9}
