"""Before anything is sent: what cannot succeed is told and held back, damage needs a word, a refusal costs one read."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.desk import Desk, Server, mobile

ACCESS = '[auth]\nuser = "till.sample"\npassword = "open-sesame-9000001"\n'
SERIES = """
[[series]]
id = 1
valid_till = 2020-01-01
[[series]]
id = 2
max_per_customer = 3
discount_value = 50
[[series]]
id = 3
discount_type = "PERC"
discount_value = 10
"""
ROWS = [
    f"{mobile(1)},1,1",
    f"{mobile(2)},2,2",
    f"{mobile(3)},2,4",
    f"{mobile(4)},3,1",
    f"{mobile(5)},4,1",
]
CAP = ("--yes", "--max-coupons", "100")


def test_the_plan_tells_which_orders_cannot_succeed_and_the_run_does_not_send_them(desk: Desk) -> None:
    """By series, reason and row; 0 attempts, failed with the code of the runner; fed back after a change they go."""
    with desk.serving(SERIES) as server:
        desk.init(server)
        file = desk.write("list.csv", ROWS)
        planned = desk.run("plan", file, "--campaign", "may", "--json", expect=1).json
        assert server.posts() == 0
        held = {
            (one["series"], one["why"]): [row["row"] for row in one["rows"]]
            for one in planned["preflight"]["held_back"]
        }
        assert held == {(1, "expired"): [2], (2, "too_many"): [4]}
        assert planned["coupons"] == {
            "target": 9, "issued_before": 0, "in_doubt": 0, "to_issue": 4, "replaced": 0, "held_back": 5,
        }  # fmt: skip
        worth = {one["series"]: (one["face_value"], one["percent"]) for one in planned["series"]}
        assert worth == {1: ("0", None), 2: ("100", None), 3: (None, "10"), 4: ("100", None)}
        reports = desk.issue("run", file, "--campaign", "may", "--plan", planned["plan_code"], expect=1)
        assert server.posts() == 3
        lines = [(line["_row"], line["_status"], line["_error_code"], line["_attempts"]) for line in reports.results]
        assert lines == [
            ("2", "failed", "held_back", "0"),
            ("3", "issued", "", "1"),
            ("4", "failed", "held_back", "0"),
            ("5", "issued", "", "1"),
            ("6", "issued", "", "1"),
        ]
        assert "the series expired on 2020-01-01" in reports.results[0]["_error_message"]
        assert reports.summary["preflight"]["checked"] is True
        assert [one["orders"] for one in reports.summary["preflight"]["held_back"]] == [1, 1]
        assert reports.summary["series"]["2"]["face_value"] == "100"
        assert reports.summary["overrides"] == []
        lowered = (reports.folder / "failures.csv").read_text(encoding="utf-8-sig").replace(",2,4,", ",2,3,")
        (reports.folder / "failures.csv").write_text(lowered, encoding="utf-8")
        again = desk.issue("run", reports.folder / "failures.csv", *CAP, expect=1)
        assert [(line["_row"], line["_status"]) for line in again.results] == [("2", "failed"), ("3", "issued")]
        desk.run("audit", "--org", "acme")


def test_held_back_orders_are_sent_when_somebody_says_so_and_that_is_recorded(desk: Desk) -> None:
    """One call each at most tells what the API thinks of them."""
    with desk.serving(SERIES) as server:
        desk.init(server)
        file = desk.write("list.csv", ROWS[:3])
        reports = desk.issue("run", file, "--campaign", "may", *CAP, "--ignore-preflight", expect=1)
        assert [line["_error_code"] for line in reports.results] == ["713", "", "5002"]
        assert [one["what"] for one in reports.summary["overrides"]] == ["ignore_preflight"]
        assert server.issued() == 5


def test_a_plan_is_stale_once_the_settings_of_its_series_say_otherwise(desk: Desk) -> None:
    """The code covers what was held back, not how much stock there was."""
    file = desk.write("list.csv", ROWS[1:2])
    with desk.serving("[[series]]\nid = 2\nmax_create = 1000\n") as server:
        desk.init(server)
        code = desk.run("plan", file, "--campaign", "may").out.strip()
        port = server.port
    words: list[str | Path] = ["run", file, "--campaign", "may", "--plan", code]
    with desk.serving("[[series]]\nid = 2\nmax_per_customer = 1\n", port=port) as server:
        assert "is stale" in desk.run(*words, expect=3).last_line
        assert server.posts() == 0
    with desk.serving("[[series]]\nid = 2\nmax_create = 1\n", port=port) as server:
        assert "is stale" in desk.run(*words, expect=3).last_line
        assert server.posts() == 0
    with desk.serving("[[series]]\nid = 2\nmax_create = 999\n", port=port):
        desk.run(*words)


def test_too_little_stock_stops_an_unattended_run_before_anybody_goes_without(desk: Desk) -> None:
    """Exit 3 and nothing sent; a flag lets it issue as far as it goes; what is empty is held back, and others go."""
    config = '[[series]]\nid = 1\nkind = "uploaded"\nstock = 2\n[[series]]\nid = 2\nmax_create = 7\nissued_before = 7\n'
    with desk.serving(config) as server:
        desk.init(server)
        file = desk.write("list.csv", [f"{mobile(n)},1,1" for n in (1, 2, 3)] + [f"{mobile(4)},2,1"])
        words: list[str | Path] = ["run", file, "--campaign", "may", *CAP]
        stopped = desk.run(*words, expect=3)
        assert "series 1: 2 coupons are left of it and 3 are to be issued: 1 would be refused" in stopped.last_line
        assert "--ignore-preflight" in stopped.last_line
        assert server.posts() == 0
        code = desk.run("plan", file, "--campaign", "may", expect=1).out.strip()
        reports = desk.issue("run", file, "--campaign", "may", "--plan", code, expect=1)
        assert server.issued() == 2
        assert [line["_error_code"] for line in reports.results][2:] == ["5001", "held_back"]


def test_messages_at_any_hour_need_a_word_where_nobody_is_at_the_terminal(desk: Desk) -> None:
    """Hours or an acknowledgement; a rehearsal sends none and needs neither."""
    config = "[[series]]\nid = 1\nmessages = true\n"
    file = desk.write("list.csv", [f"{mobile(1)},1,1"])
    with desk.serving(config) as server:
        desk.init(server)
        words: list[str | Path] = ["run", file, "--campaign", "may", *CAP]
        refused = desk.run(*words, expect=2)
        assert "Series 1 sends each customer a message" in refused.last_line
        assert "--messages-ok" in refused.last_line
        assert server.posts() == 0
        desk.run(*words, "--messages-ok")
        hours = ["--between", "00:00-23:59", "--timezone", "UTC"]
        desk.run("run", desk.write("b.csv", [f"{mobile(2)},1,1"]), "--campaign", "june", *CAP, *hours)
        assert server.issued() == 2
    desk.rehearse(file, "--sandbox-config", desk.config(config))


def test_wrong_credentials_end_a_run_before_its_file_is_even_opened(desk: Desk) -> None:
    """Exit 6 after one read and no call; the file, which nobody could read, is not reached."""
    broken = desk.folder / "list.xlsx"
    broken.write_bytes(b"PK\x03\x04 no workbook at all")
    with desk.serving(ACCESS) as server:
        desk.init(server)
        ended = desk.run("run", broken, "--campaign", "may", *CAP, expect=6, COUPON_RUNNER_API_PASSWORD="wrong")
        assert "refuses the credentials" in ended.last_line
        assert server.posts() == 0
        assert "list.xlsx" in desk.run("run", broken, "--campaign", "may", *CAP, expect=3).last_line


CHANGED = """
[[series]]
id = 1
valid_till = 2020-01-01
[[series]]
id = 2
max_per_customer = 1
[[series]]
id = 3
messages = true
"""
REST = [
    f"{mobile(n)},{series},{count}" for series, count in ((1, 1), (2, 2), (3, 1)) for n in (2 * series, 20 * series)
]


def _begun(desk: Desk, server: Server) -> str:
    """A run of which one order of each series was sent; its id."""
    desk.init(server)
    file = desk.write("list.csv", REST)
    return str(desk.issue("run", file, "--campaign", "may", *CAP, "--limit", "3", expect=75).summary["run"])


def test_resume_looks_again_and_does_not_send_what_cannot_succeed_by_now(desk: Desk) -> None:
    """Told with reason and rows before anything; failed with 0 attempts; messages still need a word."""
    with desk.serving() as server:
        run = _begun(desk, server)
        assert server.posts() == 3
        port = server.port
    with desk.serving(CHANGED, port=port) as server:
        refused = desk.run("resume", "--yes", expect=2)
        assert "Series 3 sends each customer a message" in refused.last_line
        assert desk.run("show", run, "--json").json["coupons"]["missing"] == 4
        reports = desk.issue("resume", "--yes", "--messages-ok", expect=1)
        assert server.posts() == 4
        told = desk.run("show", run, "--json").json
        assert told["state"] == "finished"
        lines = [(line["_series"], line["_status"], line["_error_code"], line["_attempts"]) for line in reports.results]
        assert lines == [
            ("1", "issued", "", "1"),
            ("1", "failed", "held_back", "0"),
            ("2", "issued", "", "1"),
            ("2", "failed", "held_back", "0"),
            ("3", "issued", "", "1"),
            ("3", "issued", "", "1"),
        ]
        assert "the series expired on 2020-01-01" in reports.results[1]["_error_message"]
        desk.run("audit", "--org", "acme")


def test_resume_tells_what_it_holds_back_and_sends_it_when_somebody_says_so(desk: Desk) -> None:
    """Each is tried once; that somebody said so is recorded."""
    with desk.serving() as server:
        _begun(desk, server)
        port = server.port
    with desk.serving(CHANGED, port=port) as server:
        sent = desk.run("resume", "--yes", "--ignore-preflight", "--messages-ok", "--json", expect=1)
        assert "2 orders (3 coupons) cannot succeed" in sent.err
        assert "Series 1: 1 order (1 coupon), the series expired on 2020-01-01" in " ".join(sent.err.split())
        assert server.posts() == 6
        reports = desk.reports_of(sent)
        assert [line["_error_code"] for line in reports.results if line["_error_code"]] == ["713", "5002"]
        assert [one["what"] for one in reports.summary["overrides"]] == ["ignore_preflight"]


def test_a_stock_that_shrank_since_stops_an_unattended_resume_and_the_same_file_again(desk: Desk) -> None:
    """Exit 3 and nothing sent, whether it is resumed or comes first when its campaign runs again."""
    with desk.serving() as server:
        _begun(desk, server)
        port = server.port
    config = '[[series]]\nid = 2\nkind = "uploaded"\nstock = 3\n'  # 2 of which are issued
    with desk.serving(config, port=port) as server:
        for words in (["resume", "--yes"], ["run", desk.folder / "list.csv", "--campaign", "may", *CAP]):
            stopped = desk.run(*words, expect=3)
            assert "series 2: 1 coupon is left of it and 2 are to be issued: 1 would be refused" in stopped.last_line
        assert server.posts() == 3
        desk.run("resume", "--yes", "--ignore-preflight", expect=1)
        assert server.issued() == 4 + 3


def test_what_was_known_when_a_run_was_agreed_to_does_not_stop_its_resume(desk: Desk) -> None:
    """Too little stock was agreed to by a flag: the rest goes on without asking for it again."""
    config = '[[series]]\nid = 2\nkind = "uploaded"\nstock = 3\n'
    with desk.serving(config) as server:
        desk.init(server)
        file = desk.write("list.csv", [f"{mobile(n)},2,2" for n in (1, 2)])
        desk.run("run", file, "--campaign", "may", *CAP, "--ignore-preflight", "--limit", "1", expect=75)
        desk.run("resume", "--yes", expect=1)
        assert server.issued() == 3


def test_refused_credentials_end_a_resume_after_one_read(desk: Desk) -> None:
    """Exit 6, no call, and nothing of the run has changed."""
    with desk.serving(ACCESS) as server:
        run = _begun(desk, server)
        ended = desk.run("resume", "--yes", "--same-org", expect=6, COUPON_RUNNER_API_PASSWORD="wrong")
        assert "refuses the credentials" in ended.last_line
        assert server.posts() == 3
        assert desk.run("show", run, "--json").json["state"] == "stopped"
        desk.run("resume", "--yes")
        assert server.issued() == 8
