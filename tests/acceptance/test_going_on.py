"""What `resume` refuses to go on with: an older copy of the ledger, an abandoned run, customers who may be others'."""

from __future__ import annotations

import shutil

from tests.acceptance.desk import mobile

ROWS = [f"{mobile(number)},415446,1" for number in range(1, 7)]
CAP = ["--yes", "--max-coupons", "99", "--reports", "csv"]


def _begun(desk, server):
    """A run of which two of six orders are issued; its id."""
    desk.init(server)
    file = desk.write("list.csv", ROWS)
    return desk.issue("run", file, "--campaign", "c", *CAP, "--limit", "2", expect=75).summary["run"]


def test_a_ledger_put_back_from_an_older_copy_is_refused_by_its_witness(desk):
    """The witness beside it knows a longer history: going on would issue again what was issued since."""
    with desk.serving() as server:
        _begun(desk, server)
        copy = desk.folder / "copy.db"
        shutil.copy(desk.ledger, copy)
        desk.run("resume", "--yes", "--limit", "2", expect=75)
        shutil.copy(copy, desk.ledger)
        refused = desk.run("resume", "--yes", expect=2)
        assert "put back from an older copy" in refused.last_line
        elsewhere = ["--out", desk.folder / "elsewhere"]
        desk.run("run", desk.folder / "list.csv", "--campaign", "c", *CAP, *elsewhere, expect=2)
        assert server.issued() == 4


def test_resume_refuses_an_older_copy_that_brought_its_own_witness(desk):
    """The whole folder was put back: the reports that the run wrote since know of it."""
    with desk.serving() as server:
        _begun(desk, server)
        shutil.copytree(desk.ledger.parent, desk.folder / "copy")
        desk.run("resume", "--yes", "--limit", "2", expect=75)
        shutil.rmtree(desk.ledger.parent)
        shutil.copytree(desk.folder / "copy", desk.ledger.parent)
        assert "put back from an older copy" in desk.run("resume", "--yes", expect=2).last_line
        assert server.issued() == 4


def test_a_run_that_would_first_go_on_with_another_looks_at_that_ones_reports_too(desk):
    """The unfinished run wrote its reports elsewhere: they know what an older copy of the ledger forgot."""
    with desk.serving() as server:
        desk.init(server)
        file, first = desk.write("list.csv", ROWS), ["--out", desk.folder / "first"]
        desk.run("run", file, "--campaign", "c", *CAP, "--limit", "2", *first, expect=75)
        shutil.copytree(desk.ledger.parent, desk.folder / "copy")
        desk.run("resume", "--yes", "--limit", "2", expect=75)
        shutil.rmtree(desk.ledger.parent)
        shutil.copytree(desk.folder / "copy", desk.ledger.parent)
        again = desk.run("run", file, "--campaign", "c", *CAP, "--out", desk.folder / "second", expect=2)
        assert "put back from an older copy" in again.last_line
        other = desk.run("run", file, "--campaign", "d", *CAP, "--out", desk.folder / "second", expect=2)
        assert "put back from an older copy" in other.last_line
        assert server.issued() == 4


def test_an_abandoned_run_is_never_resumed(desk):
    """Its rest was given up for good, and other campaigns have been compared without it since."""
    with desk.serving() as server:
        run = _begun(desk, server)
        desk.run("abandon", run, "--why", "wrong list")
        refused = desk.run("resume", run, "--yes", expect=2)
        assert "was abandoned (wrong list)" in refused.last_line
        assert server.issued() == 2
        assert desk.run("show", run, "--json").json["state"] == "abandoned"


def test_resume_at_another_address_or_with_other_credentials_needs_same_org(desk):
    """The rest of a list may not go to another organisation's customers; saying that it does not is recorded."""
    with desk.serving() as server, desk.serving(truth="other.db") as other:
        run = _begun(desk, server)
        moved = desk.run("resume", "--yes", "--api-url", other.url, expect=2)
        assert "The address of the API changed" in moved.last_line
        somebody = {"COUPON_RUNNER_API_USER": "till.other"}
        assert "The credentials of the API changed" in desk.run("resume", "--yes", expect=2, **somebody).last_line
        assert (server.issued(), other.posts()) == (2, 0)
        ended = desk.issue("resume", run, "--yes", "--same-org", **somebody)
        assert [override["what"] for override in ended.summary["overrides"]] == ["same_org"]
        desk.run("run", desk.folder / "list.csv", "--campaign", "c", *CAP, **somebody)
        assert server.issued() == 6


def test_resume_asks_nothing_of_a_series_whose_lines_have_failed_for_good(desk):
    """It issues what it said it would: whoever mended the series runs the file of failures."""
    rows = [f"{mobile(10 * series + number)},{series},1" for number in range(1, 5) for series in (1, 2)]
    with desk.serving("[[series]]\nid = 2\nexternal = true\n") as server:
        desk.init(server)
        flags = ["--limit", "3", "--ignore-preflight"]
        desk.run("run", desk.write("list.csv", rows), "--campaign", "c", *CAP, *flags, expect=1)
        port, issued, posts = server.port, server.issued(), server.posts()
    with desk.serving(port=port) as server:
        ended = desk.run("resume", "--yes", "--json", expect=1)
        assert f"{4 - issued} left to issue" in ended.err
        assert (server.issued(), server.posts()) == (4, posts + 4 - issued)
        reports = desk.reports_of(ended)
        assert reports.lines() == {"issued": 4, "failed": 4}
        desk.run("run", reports.folder / "failures.csv", *CAP)
        assert server.issued() == 8
