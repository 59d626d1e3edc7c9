"""Every exit code by a situation that really gives it, and a last line that says why and what to run next."""

from __future__ import annotations

import pytest

from tests.acceptance.desk import PASSWORD, mobile

AUTH = f'[auth]\nuser = "till.sample"\npassword = "{PASSWORD}"\n'


def rows(count, series=415446):
    return [f"{mobile(number)},{series},1" for number in range(1, count + 1)]


def test_0_when_all_is_issued(desk):
    """Nothing missing, nothing in doubt, nothing rejected."""
    done = desk.run("run", desk.write("list.csv", rows(3)), "--sandbox", "--yes")
    assert done.last_line.startswith("exit 0: 3 coupons issued in this run")
    assert "Next" not in done.last_line


def test_1_when_some_rows_need_a_person(desk):
    """And the line names the file to correct and the command to run then."""
    done = desk.run("run", desk.write("list.csv", [*rows(2), "nobody,415446,1"]), "--sandbox", "--yes", expect=1)
    assert done.last_line.startswith("exit 1: 1 row needs a person (1 rejected)")
    assert "failures.csv is corrected: coupon-runner run " in done.last_line


@pytest.mark.parametrize(
    ("words", "because"),
    [
        (["run", "list.csv"], "Which campaign is this?"),
        (["run", "list.csv", "--campaign", "c", "--count", "0"], "--count"),
        (["run", "list.csv", "--campaign", "c", "--colour", "red"], "No such option"),
        (["run", "list.csv", "--campaign", "c", "--rate", "fast"], "--rate"),
        (["run", "list.csv", "--campaign", "c"], "--yes and --max-coupons N, or --plan CODE"),
        (["run", "list.csv", "--campaign", "c", "--yes"], "--yes needs a cap"),
        (["run", "two.csv", "--campaign", "c", "--yes", "--max-coupons", "9"], "--identify-by mobile"),
        (["resume"], "Nothing to resume"),
        (["show", "20990101T000000Z-none-000000"], "knows no run"),
        (["jump"], "No such command"),
    ],
)  # fmt: skip
def test_2_when_the_command_cannot_start_as_it_was_given(desk, words, because):
    """Nothing is sent and nothing is begun; the sentence names the flag that is missing or wrong."""
    desk.write("list.csv", rows(1))
    desk.write("two.csv", [f"{mobile(1)},one@example.com,415446,1"], header="mobile,email,series_id,count")
    with desk.serving() as server:
        desk.init(server)
        refused = desk.run(*words, expect=2)
        assert because in refused.err
        assert refused.last_line.startswith("exit 2: ")
        assert server.posts() == 0
        assert desk.run("runs", "--json").json == []


def test_2_when_a_real_api_has_no_ledger(desk):
    """Earlier runs would be unknown, so none is created silently; `init` does that."""
    with desk.serving() as server:
        desk.environment |= {"COUPON_RUNNER_API_USER": "u", "COUPON_RUNNER_API_PASSWORD": "p"}
        words = ["--campaign", "c", "--org", "acme", "--api-url", server.url, "--yes", "--max-coupons", "5"]
        refused = desk.run("run", desk.write("list.csv", rows(1)), *words, expect=2)
        assert "earlier runs would be unknown" in refused.err
        assert not desk.ledger.exists()
        assert server.posts() == 0


def test_2_when_there_are_no_credentials(desk):
    """The variables that are missing are named."""
    with desk.serving() as server:
        desk.run("init", "--org", "acme", "--api-url", server.url)
        refused = desk.run("plan", desk.write("list.csv", rows(1)), "--campaign", "c", expect=2)
        assert "set COUPON_RUNNER_API_KEY and " in refused.last_line


def test_2_for_every_unknown_or_wrong_setting_at_once(desk):
    """A typing error in a variable is an error with the right name suggested, never ignored."""
    file = desk.write("list.csv", rows(1))
    refused = desk.run("plan", file, "--sandbox", expect=2, COUPON_RUNNER_CONCURENCY="3", COUPON_RUNNER_TIMEOUT="soon")
    assert "unknown variable COUPON_RUNNER_CONCURENCY (did you mean COUPON_RUNNER_CONCURRENCY?)" in refused.err
    assert "environment: timeout: write a duration" in refused.err
    assert "2 problems, listed above" in refused.last_line


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("mobile,series_id\nnobody,415446\n", "No row of the input is valid"),
        ("", "empty"),
        ("mobile,series_id,mobile\n1,2,3\n", "mobile"),
        ("mobile,series_id\n919000000001,415446,9\n", "row 2"),
    ],
)
def test_3_when_the_input_is_refused_and_nothing_was_sent(desk, text, because):
    """No valid row, an empty file, a heading twice, a row that is shifted."""
    (desk.folder / "list.csv").write_text(text)
    refused = desk.run("run", "list.csv", "--campaign", "c", "--sandbox", "--yes", expect=3)
    assert because in refused.err
    assert "nothing was sent" in refused.last_line.lower()


def test_4_when_the_cap_is_reached(desk):
    """--max-coupons is never exceeded, by the run and its resumes together."""
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("list.csv", rows(5))
        stopped = desk.run("run", file, "--campaign", "c", "--yes", "--max-coupons", "3", expect=4)
        assert "the cap of 3 coupons leaves no room" in stopped.last_line
        assert server.issued() == 3
        desk.run("resume", "--yes", expect=4)
        assert server.issued() == 3
        desk.run("resume", "--yes", "--max-coupons", "5")
        assert server.issued() == 5


def test_5_when_calls_remain_in_doubt(desk):
    """A lost answer is held: named in in_doubt.csv, not in failures.csv, and never asked for again."""
    hidden = "[reading]\nlag_seconds = 3600\n"
    with desk.serving(hidden + f'[[customers]]\nmobile = "{mobile(1)}"\nanswers = ["commit_then_cut"]\n') as server:
        desk.init(server)
        file = desk.write("list.csv", rows(3))
        ended = desk.run(
            "run", file, "--campaign", "c", "--yes", "--max-coupons", "9", "--settle-wait", "0s", "--json", expect=5
        )
        reports = desk.reports_of(ended)
        assert reports.statuses() == ["in_doubt", "issued", "issued"]
        assert [(row["customer"], row["in_doubt"]) for row in reports.table("in_doubt.csv")] == [(mobile(1), "1")]
        assert reports.table("failures.csv") == []
        assert "in_doubt.csv" in ended.last_line
        desk.run("run", file, "--campaign", "c", "--yes", "--max-coupons", "9", "--settle-wait", "0s", expect=5)
        assert (server.posts(), server.issued()) == (3, 3)


def test_6_when_the_api_refuses_the_credentials(desk):
    """One harmless read before anything is sent tells; the same command is the one to run next."""
    with desk.serving(AUTH + "required = true\n") as server:
        desk.init(server)
        words = ["run", desk.write("list.csv", rows(20)), "--campaign", "c", "--yes", "--max-coupons", "20"]
        refused = desk.run(*words, expect=6, COUPON_RUNNER_API_PASSWORD="another-word")
        assert "refuses the credentials" in refused.last_line
        assert "Next, when that is mended: coupon-runner run " in refused.last_line
        assert server.posts() == 0


def test_6_when_the_api_refuses_the_first_call(desk):
    """A key that may read and not issue: the first call goes alone, so one refusal is enough; then `resume`."""
    with desk.serving('answers = ["403"]\nrepeat_last = true\n') as server:
        desk.init(server)
        words = ["run", desk.write("list.csv", rows(20)), "--campaign", "c", "--yes", "--max-coupons", "20"]
        refused = desk.run(*words, expect=6)
        assert "coupon-runner resume " in refused.last_line
        assert server.posts() == 1


def test_6_when_the_api_is_out_of_reach_and_nothing_left_this_machine(desk):
    """No call is in doubt, since nothing was sent; with the API back `resume` issues all."""
    with desk.serving() as server:
        desk.init(server)
        port = server.port
    file = desk.write("list.csv", rows(3))
    words = ["--campaign", "c", "--yes", "--max-coupons", "9", "--reach-budget", "0s", "--json"]
    ended = desk.run("run", file, *words, expect=6)
    assert "exit 6: the API cannot be reached (" in ended.last_line
    assert desk.reports_of(ended).summary["coupons"]["in_doubt"] == 0
    with desk.serving(port=port) as server:
        desk.run("resume", "--yes")
        assert server.issued() == 3


def test_7_when_another_process_holds_the_campaign(desk):
    """The holder is named; it is not disturbed; another campaign may run beside it."""
    with desk.serving("[[series]]\nid = 415446\nanswers = ['late:1.5']\n") as server:
        desk.init(server)
        file = desk.write("list.csv", rows(2))
        live = desk.start("run", file, "--campaign", "c", "--yes", "--max-coupons", "9", "--json")
        desk.until_posts(server, 1)
        held = desk.run("run", file, "--campaign", "C ", "--yes", "--max-coupons", "9", expect=7)
        assert str(live.pid) in held.last_line
        other = desk.write("other.csv", [f"{mobile(8)},535521,1"])
        desk.run("run", other, "--campaign", "d", "--yes", "--max-coupons", "9")
        assert live.wait() == 0
        assert held.last_line.startswith("exit 7: ")
        assert server.issued() == 3


def test_75_when_the_limit_is_reached(desk):
    """--limit: so many orders now, the rest by `resume`, which does not remember the limit."""
    file = desk.write("list.csv", rows(5))
    stopped = desk.run("run", file, "--sandbox", "--yes", "--limit", "2", "--json", expect=75)
    run = stopped.json["run"]
    assert desk.reports_of(stopped).lines() == {"issued": 2, "not_sent": 3}
    assert stopped.last_line.endswith(f"Next: coupon-runner resume {run} --sandbox")
    desk.run("resume", run, "--sandbox", "--yes")
    assert desk.rehearsed_truth()["totals"]["coupons"] == 5


def test_75_when_the_queue_of_a_series_stays_empty(desk):
    """Other series go on; its rows are not_sent with 5005 and what to do, and can be sent again as they are."""
    dry = desk.config('[[series]]\nid = 535521\nanswers = ["5005"]\nrepeat_last = true\n')
    file = desk.write("list.csv", [*rows(3), *rows(2, 535521)])
    words = ["run", file, "--sandbox", "--yes", "--sandbox-config", dry, "--json"]
    ended = desk.run(*words, "--queue-budget", "1s", expect=75)
    assert "exit 75: series 535521 gave no coupon for 1 s (5005); 2 rows not sent. Next: " in ended.last_line
    reports = desk.reports_of(ended)
    assert reports.statuses() == ["issued"] * 3 + ["not_sent"] * 2
    assert {line["_error_code"] for line in reports.results[3:]} == {"5005"}
    assert all(line["_advice"] for line in reports.results[3:])
    assert desk.rehearse(file).statuses() == ["issued"] * 5
