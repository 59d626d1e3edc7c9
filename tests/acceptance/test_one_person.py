"""One person under two names, found out while a run goes on: what the next runs, the reports and `undo` make of it."""

from __future__ import annotations

from tests.acceptance.desk import Desk, mobile

HEADER = "mobile,email,series_id,count"
WORDS = ["--campaign", "may", "--yes", "--max-coupons", "100", "--reports", "csv", "--settle-wait", "0s"]


def test_two_mobiles_of_one_customer_issue_nothing_the_next_night(desk: Desk) -> None:
    """The same list again: no row is rejected, the later names the earlier, and nothing is issued, added up or not."""
    config = f'[[customers]]\nmobile = ["{mobile(7)}", "{mobile(8)}"]\n'
    with desk.serving(config) as server:
        desk.init(server)
        file = desk.write("list.csv", [f"{mobile(number)},7,2" for number in (5, 7, 8)])
        desk.issue("run", file, *WORDS, "--concurrency", "1")
        assert server.issued() == 4
        for more in ([], ["--duplicates", "add"]):
            again = desk.issue("run", file, *WORDS, *more)
            assert [line["_status"] for line in again.results] == ["issued", "issued", "duplicate"]
            assert again.results[2]["_error_message"] == "same person as row 3"
        assert server.issued() == 4


def test_a_surplus_names_the_undo_that_ends_it(desk: Desk) -> None:
    """Both names were issued before it was known: exit 1 with the `undo` line; after it, all is well."""
    config = f"""
[[customers]]
mobile = "{mobile(1)}"
email = "one@example.com"
answers = ["commit_then_cut"]
"""
    with desk.serving(config) as server:
        desk.init(server)
        rows = [f"{mobile(5)},,7,1", f"{mobile(1)},,7,2", ",one@example.com,7,2"]
        file = desk.write("list.csv", rows, header=HEADER)
        words = [*WORDS, "--identify-by", "mobile,email", "--concurrency", "1", "--timeout", "1s", "--json"]
        first = desk.run("run", file, *words, expect=1)
        run = first.json["run"]
        assert "1 row needs a person (1 surplus)" in first.last_line
        assert first.last_line.endswith(f"Next: coupon-runner undo {run} --row 4")
        again = desk.run("run", file, *words, expect=1)
        assert again.last_line.endswith(f"Next: coupon-runner undo {run} --row 4")
        desk.run("undo", run, "--row", "4", "--yes", "--reports", "csv")
        reports = desk.reports_of(first)
        assert reports.results[2]["_error_code"] == ""
        assert reports.summary["exit_codes"] == [0]
        desk.run("run", file, *words)
        assert server.issued() == 5
        assert desk.run("audit", "--json").json["exit_code"] == 0
