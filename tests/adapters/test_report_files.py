"""The files of a report: complete or absent, private, reproducible, vouched for by the manifest."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.adapters import file_set
from runner.adapters.ledger import schema
from runner.adapters.ledger.events import Head, append_event
from runner.adapters.ledger.files import transaction
from runner.adapters.ledger.reports import RunReader
from runner.adapters.manifests import check_out_folder
from runner.adapters.report_files import Written, write_reports
from runner.core.totals import DoesNotAddUp
from runner.errors import Fatal, ForeignLedger
from tests.adapters.report_ledger import ReportLedger

RUN = "20261121T000000Z-may-0001"
NAMES = {"results.csv", "failures.csv", "in_doubt.csv", "coupons.csv", "summary.json", "manifest.json"}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[ReportLedger]:
    made = ReportLedger(tmp_path)
    made.simple(2, target=2)
    made.call(2, ["A", "=B"])
    made.simple(3, target=3)
    made.call(3, ["C"], held=1, quantity=2, state="in_doubt", code="timeout", message="no answer")
    made.simple(4)
    made.reject(5, ("9.19E+11", 'Ms, "Five"\nof Ealing', "415446", "1"), ("Mobile", "9.19E+11", "digits were lost"))
    yield made
    made.conn.close()


def write(ledger: ReportLedger, folder: Path) -> Written:
    with RunReader(ledger.file, RUN) as reader:
        return write_reports(reader, folder, advise=lambda code: f"advice for {code}")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def test_a_report_tells_every_row_and_adds_up(ledger: ReportLedger, tmp_path: Path) -> None:
    """Results have a line for each row; failures, doubts and coupons only theirs."""
    written = write(ledger, tmp_path / "out")
    assert {path.name for path in written.files} == NAMES
    results = rows_of(tmp_path / "out" / "results.csv")
    assert [row["_status"] for row in results] == ["issued", "in_doubt", "not_sent", "rejected"]
    assert [row["_row"] for row in rows_of(tmp_path / "out" / "failures.csv")] == ["4", "5"]
    assert [row["in_doubt"] for row in rows_of(tmp_path / "out" / "in_doubt.csv")] == ["1"]
    coupons = rows_of(tmp_path / "out" / "coupons.csv")
    assert [(row["row"], row["code"], row["coupon_id"], row["state"]) for row in coupons] == [
        ("2", "A", "id-A", "issued"),
        ("2", "'=B", "id-=B", "issued"),
        ("3", "C", "id-C", "issued"),
    ]
    assert len(coupons) == sum(int(row["_issued"] or 0) for row in results) == written.totals.coupons.issued
    assert written.exit_codes == (5, 1, 75)


def test_cells_with_quotes_commas_and_line_breaks_survive(ledger: ReportLedger, tmp_path: Path) -> None:
    """Quoted only where it is needed, CRLF at the end of each record, UTF-8 with a byte order mark."""
    write(ledger, tmp_path / "out")
    content = (tmp_path / "out" / "results.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbfMobile,Name,Series,Qty,_row")
    assert b'"Ms, ""Five""\nof Ealing"' in content
    assert content.count(b"\r\n") == 5
    assert rows_of(tmp_path / "out" / "results.csv")[3]["Name"] == 'Ms, "Five"\nof Ealing'


@pytest.mark.parametrize("cell", ["plain", "a,b", 'a"b', "a\nb", "a\rb", "", " x", "a\\b", "é", "\x00", "'", ";\t"])
def test_fast_joining_writes_what_the_csv_module_would(tmp_path: Path, cell: str) -> None:
    """The short way of writing a row gives the same bytes as the long one."""
    with file_set.FileSet(tmp_path) as files:
        table = files.open_table("t.csv")
        table.write([[cell, 1, cell], [cell]])
        files.publish()
    with (tmp_path / "expected.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([[cell, 1, cell], [cell]])
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()


def test_the_same_ledger_gives_the_same_bytes(ledger: ReportLedger, tmp_path: Path) -> None:
    """Reports derive from the ledger alone; writing them again changes the manifest's revision and nothing else."""
    first = write(ledger, tmp_path / "out")
    before = {name: (tmp_path / "out" / name).read_bytes() for name in NAMES}
    second = write(ledger, tmp_path / "out")
    assert (first.revision, second.revision) == (1, 2)
    changed = {name for name in NAMES if (tmp_path / "out" / name).read_bytes() != before[name]}
    assert changed == {"manifest.json"}


def test_the_manifest_vouches_for_each_file(ledger: ReportLedger, tmp_path: Path) -> None:
    """Size and sha256 of every file, ledger, org, run, and the newest link of the ledger's history."""
    write(ledger, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert set(manifest["files"]) == NAMES - {"manifest.json"}
    for name, facts in manifest["files"].items():
        content = (tmp_path / "out" / name).read_bytes()
        assert facts == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    with RunReader(ledger.file, RUN) as reader:
        assert manifest["head"] == {"seq": reader.head().seq, "hash": reader.head().hash.hex()}
    assert (manifest["ledger"], manifest["org_key"], manifest["run"]) == (ledger.file.ledger_id, "acme", RUN)


def test_the_summary_holds_the_sums(ledger: ReportLedger, tmp_path: Path) -> None:
    """What a machine asks for: exit codes, rows, lines by status, coupons, series."""
    ledger.update(schema.runs, 1, exit_codes="[4, 1]", ended=1_790_100_000.0, reason="guard")
    write(ledger, tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_bytes())
    assert (summary["schema"], summary["run"], summary["org"], summary["campaign"]) == (1, RUN, "Acme", "May")
    assert (summary["exit_code"], summary["exit_codes"]) == (4, [4, 5, 1, 75])
    assert summary["rows"] == 4
    assert summary["lines"] == {
        "rejected": 1,
        "duplicate": 0,
        "in_doubt": 1,
        "issued": 1,
        "partial": 0,
        "failed": 0,
        "not_sent": 1,
    }
    assert summary["coupons"] == {
        "target": 6,
        "issued": 3,
        "before": 0,
        "in_doubt": 1,
        "missing": 2,
        "revoked": 0,
        "above": 0,
    }
    assert summary["series"]["415446"]["missing"] == 2
    assert (summary["state"], summary["ended"], summary["errors"]) == (
        "finished",
        "2026-09-22T18:00:00.000Z",
        {"timeout": 1},
    )


def test_a_run_that_goes_on_has_no_exit_code_yet(ledger: ReportLedger, tmp_path: Path) -> None:
    """A report of a live run says so instead of guessing its end."""
    ledger.update(schema.runs, 1, state="running")
    write(ledger, tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_bytes())
    assert (summary["state"], summary["exit_code"], summary["exit_codes"]) == ("running", None, [])


@pytest.mark.skipif(os.name == "nt", reason="rights of this kind exist on POSIX systems only")
def test_reports_are_private(ledger: ReportLedger, tmp_path: Path) -> None:
    """Folder 0700, files 0600, whatever the umask allows."""
    old = os.umask(0)
    try:
        write(ledger, tmp_path / "out")
    finally:
        os.umask(old)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o600}


def test_a_full_disk_is_a_sentence_and_leaves_the_old_reports(
    ledger: ReportLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing half-written: the earlier files stand untouched, and no part of the new ones is left behind."""
    write(ledger, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    ledger.call(4, ["D"])
    with pytest.raises(Fatal, match=r"disk .* is full") as caught:
        write(ledger, tmp_path / "out")
    assert caught.value.next_command == f"coupon-runner report {RUN}"
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_folder_that_cannot_be_made_is_a_sentence(ledger: ReportLedger, tmp_path: Path) -> None:
    """A file where the folder should be, for example."""
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(Fatal, match="could not be written to"):
        write(ledger, tmp_path / "out")


def test_a_report_that_does_not_add_up_replaces_nothing(ledger: ReportLedger, tmp_path: Path) -> None:
    """The proof comes before the first rename."""
    write(ledger, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    ledger.row(9, ("919000000009", "", "415446", "1"))
    with pytest.raises(DoesNotAddUp):
        write(ledger, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_parts_left_by_a_killed_process_are_overwritten(ledger: ReportLedger, tmp_path: Path) -> None:
    """A part file of an earlier attempt neither stops the next one nor stays."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".results.csv.part").write_text("half a report")
    write(ledger, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == NAMES


def test_reports_of_another_ledger_are_not_overwritten(ledger: ReportLedger, tmp_path: Path) -> None:
    """Two ledgers never share a run's folder."""
    (tmp_path / "other").mkdir()
    other = ReportLedger(tmp_path / "other")
    with RunReader(other.file, RUN) as reader:
        write_reports(reader, tmp_path / "out", advise=str)
    other.conn.close()
    with pytest.raises(ForeignLedger, match="another ledger"):
        write(ledger, tmp_path / "out")


def test_an_out_folder_tells_that_another_ledger_knows_this_organisation(ledger: ReportLedger, tmp_path: Path) -> None:
    """`init` and a first run refuse it: coupons of earlier runs would be unknown and issued again."""
    out = tmp_path / "coupon-runs"
    write(ledger, out / RUN)
    with RunReader(ledger.file, RUN) as reader:
        head = reader.head()
    check_out_folder(out, "acme", ledger.file.ledger_id, head)
    check_out_folder(out, "another org", "ffffffffffff", None)
    check_out_folder(tmp_path / "nothing here", "acme", "ffffffffffff", None)
    with pytest.raises(ForeignLedger, match="from another ledger"):
        check_out_folder(out, "acme", "ffffffffffff", None)


def test_an_out_folder_tells_that_the_ledger_was_put_back_from_an_old_copy(
    ledger: ReportLedger, tmp_path: Path
) -> None:
    """A later head in the manifest, or another hash at the same place, means that something is forgotten."""
    out = tmp_path / "coupon-runs"
    with RunReader(ledger.file, RUN) as reader:
        old = reader.head()
    with transaction(ledger.conn):
        head = append_event(ledger.conn, 1, {"note": "later"}, at=1_790_000_000.0)
    write(ledger, out / RUN)
    check_out_folder(out, "acme", ledger.file.ledger_id, head)
    for earlier in (old, None, Head(head.seq, bytes(16))):
        with pytest.raises(ForeignLedger, match="older copy"):
            check_out_folder(out, "acme", ledger.file.ledger_id, earlier)


def test_somebody_elses_manifest_is_left_alone(tmp_path: Path) -> None:
    """A manifest.json that is not ours says nothing about a ledger."""
    for name, content in (("a", "not json"), ("b", "[]"), ("c", '{"name": "a web page"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(content)
    check_out_folder(tmp_path, "acme", "ffffffffffff", None)
