"""The file is the target: run again, re-sorted, renamed, corrected or fed back, only what is missing is asked for."""

from __future__ import annotations

from tests.acceptance.desk import mobile

ROWS = [f"{mobile(1)},415446,2", f"{mobile(2)},415446,1", f'{mobile(3)},"415446,535521",1', f"{mobile(4)},415446,1200"]


def test_the_same_file_again_issues_nothing_and_says_so(desk):
    """The second run sends no POST, every line is issued before, and the last line says that nothing new was issued."""
    file = desk.write("list.csv", ROWS)
    desk.rehearse(file)
    posts = desk.rehearsed_truth()["totals"]["posts"]
    again = desk.run("run", file, "--sandbox", "--yes", "--json")
    assert "nothing new was issued" in again.last_line
    assert desk.rehearsed_truth()["totals"]["posts"] == posts
    reports = desk.reports_of(again)
    assert reports.statuses() == ["issued"] * 5
    assert [line["_issued_before"] for line in reports.results] == ["2", "1", "1", "1", "1200"]


def test_re_sorted_renamed_and_one_count_raised_issues_the_difference(desk):
    """2 raised to 5 issues 3, whatever the file is called and however it is sorted."""
    desk.rehearse(desk.write("list.csv", ROWS), "--campaign", "spring")
    raised = desk.write("other-name.csv", [*ROWS[:0:-1], f"{mobile(1)},415446,5"])
    reports = desk.rehearse(raised, "--campaign", " Spring ")
    assert reports.summary["coupons"] | {"above": 0} == {
        "target": 1208, "issued": 1208, "before": 1205, "in_doubt": 0, "missing": 0, "revoked": 0, "above": 0,
    }  # fmt: skip
    assert desk.rehearsed_holdings()[f"mobile:{mobile(1)}"] == {415446: 5}
    assert desk.rehearsed_truth()["totals"]["coupons"] == 1208


def test_1200_coupons_of_one_row_take_calls_of_500_500_and_200(desk):
    """No call asks for more than 500."""
    reports = desk.rehearse(desk.write("list.csv", [f"{mobile(1)},415446,1200"]))
    assert [post["asked"] for post in desk.rehearsed_truth()["posts"]] == [500, 500, 200]
    assert reports.results[0]["_codes"] == "see coupons"
    assert len({coupon["code"] for coupon in reports.table("coupons.csv")}) == 1200


def test_failures_fed_back_twice_issue_exactly_what_was_missing_once(desk):
    """After the first feed nothing is missing, so the second issues nothing; an edited count counts."""
    limited = desk.config("[[series]]\nid = 415446\nmax_per_customer = 3\n", "limited.toml")
    file = desk.write("list.csv", [f"{mobile(1)},415446,5", f"{mobile(2)},415446,2", f"{mobile(3)},415446,4"])
    first = desk.rehearse(file, "--sandbox-config", limited, "--ignore-preflight", expect=1)
    assert first.lines() == {"issued": 1, "partial": 2}
    failures = first.folder / "failures.csv"
    assert [(row["mobile"], row["count"]) for row in first.table("failures.csv")] == [
        (mobile(1), "2"),
        (mobile(3), "1"),
    ]
    assert desk.rehearse(failures).summary["coupons"]["issued"] == 9
    second = desk.run("run", failures, "--sandbox", "--yes", "--json")
    assert "nothing new was issued" in second.last_line
    assert desk.rehearsed_truth()["totals"]["coupons"] == 11
    failures.write_text(
        failures.read_text(encoding="utf-8-sig").replace(f"{mobile(3)},415446,1", f"{mobile(3)},415446,3")
    )
    desk.rehearse(failures)
    assert desk.rehearsed_holdings()[f"mobile:{mobile(3)}"] == {415446: 6}
    assert desk.rehearsed_truth()["totals"]["coupons"] == 13


def test_a_rejected_row_of_failures_is_issued_once_it_is_corrected(desk):
    """Its cells stand in failures.csv as they were; corrected there, it becomes an order of the same campaign."""
    file = desk.write("list.csv", [f"{mobile(1)},415446,1", "no number,415446,2"])
    first = desk.rehearse(file, expect=1)
    failures = first.folder / "failures.csv"
    failures.write_text(failures.read_text(encoding="utf-8-sig").replace("no number", mobile(2)), encoding="utf-8")
    desk.rehearse(failures, "--campaign", "list")
    assert desk.rehearsed_holdings() == {f"mobile:{mobile(1)}": {415446: 1}, f"mobile:{mobile(2)}": {415446: 2}}


def test_results_fed_back_issue_nothing(desk):
    """results.csv is our own file: its lines belong to their orders, whatever the file is called."""
    first = desk.rehearse(desk.write("list.csv", ROWS))
    copy = desk.folder / "copied.csv"
    copy.write_bytes((first.folder / "results.csv").read_bytes())
    again = desk.run("run", copy, "--sandbox", "--yes", "--json")
    assert "nothing new was issued" in again.last_line
    assert desk.rehearsed_truth()["totals"]["coupons"] == 1205


def test_our_lines_stay_in_their_campaign(desk):
    """Another --campaign with a file of ours is refused, and nothing is sent."""
    first = desk.rehearse(desk.write("list.csv", ROWS[:2]))
    refused = desk.run("run", first.folder / "results.csv", "--campaign", "other", "--sandbox", "--yes", expect=2)
    assert "belong to the campaign 'list'" in refused.last_line


def test_duplicates_that_agree_are_one_order_and_name_the_first_row(desk):
    """Over two files of one run, too."""
    one = desk.write("one.csv", [f"{mobile(1)},415446,2", f"{mobile(2)},415446,1", f"{mobile(1)},415446,2"])
    two = desk.write("two.csv", [f"{mobile(2)},415446,1"])
    reports = desk.rehearse(one, two, "--campaign", "both")
    assert reports.statuses() == ["issued", "issued", "duplicate", "duplicate"]
    assert "row 2" in reports.results[2]["_error_message"]
    assert desk.rehearsed_truth()["totals"]["coupons"] == 3


def test_duplicates_that_disagree_are_all_rejected_and_harm_no_other(desk):
    """Nobody knows which count was meant, so none is issued."""
    file = desk.write("list.csv", [f"{mobile(1)},415446,2", f"{mobile(2)},415446,1", f"{mobile(1)},415446,3"])
    reports = desk.rehearse(file, expect=1)
    assert reports.statuses() == ["rejected", "issued", "rejected"]
    assert desk.rehearsed_holdings() == {f"mobile:{mobile(2)}": {415446: 1}}


def test_duplicates_add_adds_the_counts_up(desk):
    """One order with two lines; issued coupons are allotted to them in row order."""
    file = desk.write("list.csv", [f"{mobile(1)},415446,2", f"{mobile(1)},415446,3"])
    reports = desk.rehearse(file, "--duplicates", "add")
    assert [(line["_status"], line["_issued"]) for line in reports.results] == [("issued", "2"), ("issued", "3")]
    assert desk.rehearsed_holdings() == {f"mobile:{mobile(1)}": {415446: 5}}


def test_one_person_written_in_three_ways_is_one_order(desk):
    """A plus sign, blanks or the region's short form: the same mobile."""
    file = desk.write("list.csv", ["+91 90000 00001,415446,1", "919000000001,415446,1", "90000 00001,415446,1"])
    reports = desk.rehearse(file, "--region", "IN")
    assert reports.lines() == {"issued": 1, "duplicate": 2}
    assert desk.rehearsed_truth()["totals"]["coupons"] == 1


def test_rejected_rows_harm_no_other(desk):
    """Each says all its problems; the valid rows are issued; the counts add up."""
    rows = [
        f"{mobile(1)},415446,1",
        "91900O,415446,0",
        f"{mobile(2)},,1",
        f"{mobile(3)},415446,two",
        f"{mobile(4)},415446,2",
    ]
    reports = desk.rehearse(desk.write("list.csv", rows), expect=1)
    assert reports.statuses() == ["issued", "rejected", "rejected", "rejected", "issued"]
    message = reports.results[1]["_error_message"]
    assert "mobile" in message
    assert "count" in message
    assert reports.summary["rows"] == 5
    assert desk.rehearsed_truth()["totals"]["coupons"] == 3


def test_overlap_with_another_campaign_is_refused_listed_skipped_or_allowed(desk):
    """Without a terminal nobody can be asked: refused, with campaign and run named; skip and allow are choices."""
    file = desk.write("list.csv", [f"{mobile(1)},415446,1", f"{mobile(2)},415446,1"])
    desk.rehearse(file, "--campaign", "spring")
    both = desk.write("more.csv", [f"{mobile(2)},415446,1", f"{mobile(3)},415446,1"])
    for words in ([], ["--overlap", "refuse"]):
        refused = desk.run("run", both, "--campaign", "summer", "--sandbox", "--yes", *words, expect=3)
        assert "from another campaign" in refused.last_line
        assert "spring" in refused.err
    assert desk.rehearsed_truth()["totals"]["coupons"] == 2
    skipped = desk.rehearse(both, "--campaign", "summer", "--overlap", "skip")
    assert skipped.statuses() == ["duplicate", "issued"]
    assert "spring" in skipped.results[0]["_error_message"]
    assert desk.rehearsed_truth()["totals"]["coupons"] == 3
    allowed = desk.rehearse(both, "--campaign", "summer", "--overlap", "allow")
    assert allowed.statuses() == ["issued", "issued"]
    assert desk.rehearsed_holdings()[f"mobile:{mobile(2)}"] == {415446: 2}
    assert allowed.summary["overrides"][0]["what"] == "overlap"


def test_identical_files_in_one_run_are_read_once_and_it_is_said(desk):
    """Even with --duplicates add."""
    one = desk.write("one.csv", ROWS[:2])
    two = desk.write("two.csv", ROWS[:2])
    done = desk.run("run", one, two, "--campaign", "c", "--duplicates", "add", "--sandbox", "--yes")
    assert "byte for byte: read once" in done.err.replace("\n", " ")
    assert desk.rehearsed_truth()["totals"]["coupons"] == 3


def test_a_line_of_another_ledger_is_rejected(desk):
    """--fresh forgets all earlier rehearsals; their lines are of a ledger that is gone."""
    first = desk.rehearse(desk.write("list.csv", ROWS[:1]))
    stale = desk.run(
        "run", first.folder / "results.csv", "--campaign", "list", "--sandbox", "--fresh", "--yes", expect=3
    )
    assert "nothing was sent" in stale.last_line
