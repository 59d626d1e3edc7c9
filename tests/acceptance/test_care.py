"""Care of the ledger at the desk: an older copy put back, recovering, backups, forgetting and purging."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from runner.adapters.ledger.locks import ScopeLock
from runner.sandbox import held_by_identifier
from tests.acceptance.desk import Desk, Reports, Server, mobile, until

SERIES = 415446
RUN = ("--yes", "--max-coupons", "1000", "--overlap", "allow")


def copy_of(desk: Desk) -> Path:
    """A consistent copy of the ledger as it is now."""
    copy = desk.folder / "older.db"
    with closing(sqlite3.connect(desk.ledger)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def put_back(desk: Desk, copy: Path, *, hours: float = 1.0) -> None:
    """The older copy takes the ledger's place, hours after the lost history was last written to."""
    for beside in desk.ledger.parent.glob("ledger.db-*"):
        beside.unlink()
    shutil.copy(copy, desk.ledger)
    age(desk, hours)


def age(desk: Desk, hours: float) -> None:
    """What tells when the history was last written to says: hours ago."""
    files = [*desk.ledger.parent.glob("ledger.db.witness"), *desk.folder.glob("coupon-runs/*/manifest.json")]
    for file in files:
        then = file.stat().st_mtime - hours * 3600
        os.utime(file, (then, then))


def forget_reports(desk: Desk) -> None:
    """No report is left to learn from."""
    shutil.rmtree(desk.folder / "coupon-runs")


def most_held(server: Server) -> int:
    """The most coupons that one customer holds of one series, by the truth."""
    return max(count for held in held_by_identifier(server.truth()).values() for count in held.values())


def codes_of(desk: Desk) -> list[str]:
    """Every coupon code that a report lists."""
    folders = [Reports(path) for path in sorted(desk.folder.glob("coupon-runs/*"))]
    return [line["code"] for reports in folders for line in reports.table("coupons.csv")]


def nonce(desk: Desk) -> str:
    with closing(sqlite3.connect(desk.ledger)) as conn:
        return str(conn.execute("SELECT value FROM meta WHERE name = 'nonce'").fetchone()[0])


def test_an_older_copy_is_read_and_not_written(desk: Desk) -> None:
    """Whatever changes something is refused with the way out; whoever reads is told."""
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("list.csv", [f"{mobile(1)},{SERIES},1"])
        desk.run("run", file, "--campaign", "may", *RUN)
        copy = copy_of(desk)
        desk.run("run", desk.write("more.csv", [f"{mobile(2)},{SERIES},1"]), "--campaign", "may", *RUN)
        put_back(desk, copy)
        before = desk.ledger.read_bytes()
        reports = {path: path.read_bytes() for path in desk.folder.glob("coupon-runs/*/*")}
        for words in (
            ("run", file, "--campaign", "june", *RUN),
            ("plan", file, "--campaign", "june"),
            ("resume", "--yes"),
            ("report",),
            ("reconcile",),
            ("forget", mobile(1), "--yes"),
            ("purge", "--older-than", "0d", "--yes"),
        ):
            refused = desk.run(*words, expect=2)
            assert "older copy" in refused.last_line, words
            assert "coupon-runner recover" in refused.last_line, words
        for words in (("runs",), ("show",), ("find", mobile(1))):
            assert "older copy" in desk.run(*words).err, words
        assert desk.ledger.read_bytes() == before
        assert {path: path.read_bytes() for path in desk.folder.glob("coupon-runs/*/*")} == reports
        assert server.issued() == 2


def test_recover_reads_lost_coupons_back_and_nothing_is_issued_twice(desk: Desk) -> None:
    """Raised targets that the copy knows nothing of are found by the calls' keys; the next run asks for none of it."""
    with desk.serving() as server:
        desk.init(server)
        rows = [f"{mobile(n)},{SERIES},1" for n in range(1, 9)]
        desk.run("run", desk.write("list.csv", rows), "--campaign", "may", *RUN)
        copy, before = copy_of(desk), nonce(desk)
        more = desk.write("more.csv", [f"{mobile(n)},{SERIES},3" for n in range(1, 9)])
        desk.run("run", more, "--campaign", "may", *RUN)
        put_back(desk, copy)
        forget_reports(desk)
        done = desk.run("recover", "--yes", "--json").json
        assert (done["done"], done["coupons"]["from_api"], done["problems"]) == (True, 16, [])
        assert done["customers"] == 8
        assert nonce(desk) != before
        again = desk.issue("run", more, "--campaign", "may", *RUN)
        assert (again.summary["coupons"]["issued"], again.summary["coupons"]["before"]) == (24, 24)
        assert (server.issued(), most_held(server)) == (24, 3)
        assert desk.run("audit").err


def test_recover_says_what_it_costs_before_it_reads(desk: Desk) -> None:
    """Dry until somebody agrees: customers, reads, time; and what cannot be found."""
    with desk.serving() as server:
        desk.init(server)
        rows = [f"{mobile(n)},{SERIES},1" for n in range(1, 5)]
        desk.run("run", desk.write("list.csv", rows), "--campaign", "may", *RUN)
        copy = copy_of(desk)
        desk.run("run", desk.write("more.csv", [f"{mobile(9)},{SERIES},1"]), "--campaign", "may", *RUN)
        put_back(desk, copy)
        dry = desk.run("recover", "--rate", "60/m", expect=2)
        assert "4 customers of acme to read: 4 to 8 reads, at most 8 s" in dry.err
        assert "cannot be found" in dry.err
        assert "--yes" in dry.last_line


def test_reports_tell_of_customers_whom_the_copy_never_knew(desk: Desk) -> None:
    """A campaign was run after the copy was made: its reports prove whose each coupon is, and nothing is repeated."""
    with desk.serving() as server:
        desk.init(server)
        desk.run("run", desk.write("list.csv", [f"{mobile(1)},{SERIES},1"]), "--campaign", "may", *RUN)
        copy = copy_of(desk)
        june = desk.write("june.csv", [f"{mobile(n)},{SERIES},2" for n in range(2, 7)])
        lost = desk.issue("run", june, "--campaign", "june", *RUN)
        before = {path.name: path.read_bytes() for path in lost.folder.iterdir()}
        put_back(desk, copy)
        done = desk.run("recover", "--yes", "--json").json
        assert (done["done"], done["coupons"]["from_reports"], done["coupons"]["from_api"]) == (True, 10, 0)
        again = desk.issue("run", june, "--campaign", "june", *RUN)
        assert again.summary["coupons"]["before"] == 10
        assert server.issued() == 11
        desk.run("audit")
        refused = desk.run("report", lost.folder.name, expect=2)
        assert "known from its reports only" in refused.last_line
        assert {path.name: path.read_bytes() for path in lost.folder.iterdir()} == before


def test_a_report_that_was_edited_proves_nothing(desk: Desk) -> None:
    """The ledger stays read-only, and says which file it is."""
    with desk.serving() as server:
        desk.init(server)
        desk.run("run", desk.write("list.csv", [f"{mobile(1)},{SERIES},1"]), "--campaign", "may", *RUN)
        copy = copy_of(desk)
        lost = desk.issue("run", desk.write("june.csv", [f"{mobile(2)},{SERIES},2"]), "--campaign", "june", *RUN)
        put_back(desk, copy)
        coupons = lost.folder / "coupons.csv"
        coupons.write_bytes(b"\r\n".join(coupons.read_bytes().split(b"\r\n")[:2]))
        refused = desk.run("recover", "--yes", "--json", expect=1)
        assert "was changed since it was written" in refused.json["problems"][0]["problem"]
        assert "older copy" in desk.run("resume", "--yes", expect=2).last_line


@pytest.mark.parametrize("reading", ["drop_metadata = true", "ignore_issued_to_ids = true"])
def test_without_metadata_the_copy_stays_read_only_until_somebody_accepts_the_loss(desk: Desk, reading: str) -> None:
    """Nobody can tell whose the coupons are: said, and a person's decision with a reason is recorded."""
    with desk.serving(f"[reading]\n{reading}\n") as server:
        desk.init(server)
        desk.run("run", desk.write("list.csv", [f"{mobile(1)},{SERIES},1"]), "--campaign", "may", *RUN)
        copy = copy_of(desk)
        desk.run("run", desk.write("more.csv", [f"{mobile(1)},{SERIES},2"]), "--campaign", "may", *RUN)
        put_back(desk, copy)
        forget_reports(desk)
        left = desk.run("recover", "--yes", "--json", expect=1)
        assert "does not show who issued" in left.json["problems"][0]["problem"]
        assert "older copy" in desk.run("run", desk.folder / "list.csv", "--campaign", "x", *RUN, expect=2).last_line
        assert "--why" in desk.run("recover", "--yes", "--accept-loss", expect=2).last_line
        desk.run("recover", "--yes", "--accept-loss", "--why", "the list is over")
        assert desk.run("resume", "--yes", expect=2).last_line.count("older copy") == 0
        (overrides,) = (run["overrides"] for run in [desk.run("show", "--json").json])
        assert any("accept_loss" in str(one) for one in overrides)


def test_recover_is_not_too_early(desk: Desk) -> None:
    """An API may show a coupon late: the message says from when on."""
    with desk.serving() as server:
        desk.init(server)
        desk.run("run", desk.write("list.csv", [f"{mobile(1)},{SERIES},1"]), "--campaign", "may", *RUN)
        copy = copy_of(desk)
        desk.run("run", desk.write("more.csv", [f"{mobile(1)},{SERIES},2"]), "--campaign", "may", *RUN)
        put_back(desk, copy, hours=0)
        assert "show a coupon late" in desk.run("recover", "--yes", expect=2).last_line


def test_a_backup_that_is_put_back_elsewhere_is_known_for_one(desk: Desk) -> None:
    """Without witness and reports, as on a new machine: the copy itself says that it is one."""
    with desk.serving() as server:
        desk.init(server)
        desk.run("run", desk.write("list.csv", [f"{mobile(1)},{SERIES},1"]), "--campaign", "may", *RUN)
        told = desk.run("backup", desk.folder / "safe" / "one.backup", "--json").json
        desk.run("run", desk.write("more.csv", [f"{mobile(1)},{SERIES},2"]), "--campaign", "may", *RUN)
        assert Path(told["key"]).is_file()
        put_back(desk, Path(told["backup"]))
        desk.ledger.with_name("ledger.db.witness").unlink()
        forget_reports(desk)
        assert "backup" in desk.run("run", desk.folder / "more.csv", "--campaign", "may", *RUN, expect=2).last_line
        desk.run("recover", "--yes")
        desk.run("run", desk.folder / "more.csv", "--campaign", "may", *RUN)
        assert server.issued() == 2


def test_recover_without_a_reason_does_nothing(desk: Desk) -> None:
    """Nothing shows an older copy: exit 0, and the word for who knows better."""
    with desk.serving() as server:
        desk.init(server)
        desk.run("run", desk.write("list.csv", [f"{mobile(1)},{SERIES},1"]), "--campaign", "may", *RUN)
        before = nonce(desk)
        assert "--anyway" in desk.run("recover", "--yes").last_line
        assert nonce(desk) == before
        age(desk, 1)
        desk.run("recover", "--yes", "--anyway")
        assert nonce(desk) != before


def test_a_forgotten_customer_is_nowhere_and_gets_nothing_more(desk: Desk) -> None:
    """No cell, name or code of hers is in the ledger's bytes; a file that names her issues nothing, in any campaign."""
    with desk.serving() as server:
        desk.init(server)
        email = "erased.person@example.com"
        header = "mobile,email,name,series_id,count"
        rows = [f"{mobile(1)},{email},Erased Person,{SERIES},2", f"{mobile(2)},kept@example.com,Kept,{SERIES},1"]
        bad = f"{mobile(1)},{email},Erased Person,{SERIES},many"
        file = desk.write("list.csv", rows, header=header)
        desk.run("run", file, "--campaign", "may", "--identify-by", "mobile", *RUN)
        again = desk.write("bad.csv", [bad], header=header)
        desk.run("run", again, "--campaign", "other", "--identify-by", "mobile", *RUN, expect=3)
        desk.run("run", again, file, "--campaign", "may", *RUN, expect=None)
        first = Reports(min(desk.folder.glob("coupon-runs/*-may-*")))
        hers_before = [line["code"] for line in first.table("coupons.csv") if line["customer"] == mobile(1)]
        assert len(hers_before) == 2
        refused = desk.run("forget", mobile(1), expect=2)
        assert "--yes" in refused.last_line
        done = desk.run("forget", mobile(1), "--yes", "--json")
        assert done.json["clean"] is True
        assert str(desk.folder / "coupon-runs") in done.json["holding"][0]
        bytes_left = b"".join(path.read_bytes() for path in desk.ledger.parent.rglob("*") if path.is_file())
        for text in (mobile(1), email, "Erased Person", *hers_before):
            assert text.encode() not in bytes_left, text
        assert b"kept@example.com" in bytes_left
        found = desk.run("find", email)
        assert "was forgotten on" in found.err
        desk.run("audit")
        for campaign in ("may", "june"):
            reports = desk.issue("run", file, "--campaign", campaign, "--identify-by", "mobile", *RUN, expect=None)
            hers, kept = reports.results
            assert "forgotten" in hers["_error_message"] or hers["_status"] == "issued", hers
            assert int(hers["_issued"]) == (2 if campaign == "may" else 0)
            assert kept["_status"] == "issued"
        assert server.issued() == 4
        desk.run("audit")


def test_who_is_in_doubt_is_not_forgotten(desk: Desk) -> None:
    """What was erased could not be settled any more: exit 2, with what to do first."""
    answers = f'[[customers]]\nmobile = "{mobile(1)}"\nanswers = ["cut"]\n[reading]\nlag_seconds = 600\n'
    with desk.serving(answers) as server:
        desk.init(server)
        file = desk.write("list.csv", [f"{mobile(1)},{SERIES},1"])
        desk.run("run", file, "--campaign", "may", "--settle-wait", "0", *RUN, expect=5)
        refused = desk.run("forget", mobile(1), "--yes", expect=2)
        assert "1 call for this customer is in doubt" in refused.last_line
        assert "coupon-runner reconcile" in refused.last_line
        assert "no run is old enough" in desk.run("purge", "--older-than", "0d", "--yes").last_line


def test_who_is_being_run_is_not_forgotten(desk: Desk) -> None:
    """Exit 7, and who it is; afterwards it works."""
    with desk.serving() as server:
        desk.init(server)
        desk.run("run", desk.write("list.csv", [f"{mobile(1)},{SERIES},1"]), "--campaign", "may", *RUN)
        with ScopeLock.acquire(desk.ledger, org="acme", campaign="may", run="20261123T031500Z-may-4f9a1c"):
            refused = desk.run("forget", mobile(1), "--yes", expect=7)
            assert "20261123T031500Z-may-4f9a1c" in refused.last_line
        desk.run("forget", mobile(1), "--yes")
        again = desk.run("forget", mobile(1), "--yes")
        assert "had been forgotten on" in again.last_line


def read_back(desk: Desk) -> int:
    """How many customers a recovery has read until now."""
    with closing(sqlite3.connect(desk.ledger)) as conn:
        return int(conn.execute("SELECT count(*) FROM recovered").fetchone()[0])


def test_a_recover_that_is_killed_is_gone_on_with(desk: Desk) -> None:
    """The copy stays read-only; the next recover reads who is left, and nobody again."""
    with desk.serving() as server:
        desk.init(server)
        rows = [f"{mobile(n)},{SERIES},1" for n in range(1, 13)]
        desk.run("run", desk.write("list.csv", rows), "--campaign", "may", *RUN)
        copy = copy_of(desk)
        desk.run("run", desk.write("more.csv", [row[:-1] + "2" for row in rows]), "--campaign", "may", *RUN)
        put_back(desk, copy)
        forget_reports(desk)
        live = desk.start("recover", "--yes", "--rate", "20/s")
        until(lambda: read_back(desk) > 1, "some customers are read back")
        live.signal(9)
        live.wait()
        read = read_back(desk)
        assert 1 < read < 12
        assert "older copy" in desk.run("resume", "--yes", expect=2).last_line
        done = desk.run("recover", "--yes", "--json").json
        assert (done["done"], done["customers"], done["coupons"]["from_api"]) == (True, 12 - read, 12 - read)
        desk.run("run", desk.folder / "more.csv", "--campaign", "may", *RUN)
        assert server.issued() == 24
        desk.run("audit")


def test_purge_erases_what_is_old_and_keeps_what_protects(desk: Desk) -> None:
    """Cells, identifiers and codes go; the same file again issues nothing."""
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("list.csv", [f"{mobile(n)},{SERIES},2" for n in range(1, 4)])
        desk.run("run", file, "--campaign", "may", *RUN)
        assert "--older-than 400d" in desk.run("purge", expect=2).last_line
        assert "no run is old enough" in desk.run("purge", "--older-than", "400d", "--yes").last_line
        done = desk.run("purge", "--older-than", "0d", "--yes", "--json").json
        assert (len(done["runs"]), done["rows"], done["coupons"], done["clean"]) == (1, 3, 6, True)
        bytes_left = b"".join(path.read_bytes() for path in desk.ledger.parent.rglob("*") if path.is_file())
        for text in [mobile(1), *codes_of(desk)]:
            assert text.encode() not in bytes_left
        desk.run("audit")
        again = desk.issue("run", file, "--campaign", "may", *RUN)
        assert again.summary["coupons"]["before"] == 6
        assert server.issued() == 6


def test_a_retention_is_a_setting_and_what_is_due_is_said(desk: Desk) -> None:
    """`runs` says it, `purge` without an age uses it."""
    with desk.serving() as server:
        desk.init(server)
        desk.run("run", desk.write("list.csv", [f"{mobile(1)},{SERIES},2"]), "--campaign", "may", *RUN)
        assert "purge" not in desk.run("runs").err
        settings = desk.folder / "config" / "coupon-runner" / "settings.toml"
        settings.write_text('retention = "0s"\n' + settings.read_text())
        assert "coupon-runner purge" in desk.run("runs").err
        assert "1 run purged" in desk.run("purge", "--yes").last_line


def test_everything_is_its_owners_only(desk: Desk) -> None:
    """Files 0600 and folders 0700, whatever the umask says; and the ledger's own folder when it was there before."""
    (desk.folder / "state" / "coupon-runner").mkdir(parents=True)
    (desk.folder / "state" / "coupon-runner").chmod(0o755)
    before = os.umask(0)
    try:
        with desk.serving() as server:
            desk.init(server)
            desk.run("run", desk.write("list.csv", [f"{mobile(1)},{SERIES},1"]), "--campaign", "may", *RUN)
            desk.run("backup", desk.folder / "safe" / "one.backup")
    finally:
        os.umask(before)
    ours = [desk.folder / "config", desk.folder / "safe", desk.folder / "coupon-runs", desk.ledger.parent]
    for path in [each for folder in ours for each in (folder, *folder.rglob("*"))]:
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
