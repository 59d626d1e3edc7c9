"""Nothing to do and nothing to look at: said in one sentence on the last line, with exit code 0."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from runner.cli import run_command
from tests.books import save_book

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _at_a_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, folder in (("HOME", "."), ("XDG_STATE_HOME", "state"), ("XDG_CONFIG_HOME", "config")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.chdir(tmp_path)


def _run(said: Said, *words: str | Path, expect: int = 0) -> tuple[str, str]:
    """A command's stdout, and the last line of its stderr."""
    said.readouterr()
    code = run_command([str(word) for word in words])
    out, err = said.readouterr()
    assert code == expect, err
    return out, err.splitlines()[-1] if err else ""


def _failures(said: Said, name: str) -> Path:
    """The file of failures of a run that has none."""
    Path("list.csv").write_text("mobile,series_id,count\n919000000001,415446,1\n")
    _run(said, "run", "list.csv", "--sandbox", "--yes")
    (path,) = Path().glob(f"coupon-runs/*/{name}")
    return path


@pytest.mark.parametrize("name", ["failures.csv", "failures.xlsx"])
def test_failures_of_a_clean_run_fed_back_are_nothing_to_do(name: str, capsys: Said):
    """All is issued, so exit 0: whoever feeds failures back every morning needs no exception for a good day."""
    path = _failures(capsys, name)
    for command in (["plan"], ["run", "--yes"]):
        out, last = _run(capsys, command[0], path, "--sandbox", *command[1:])
        assert last.startswith(f"exit 0: {name}")
        assert "lists no failed rows: nothing to do" in last
        assert out == ""
    out, _ = _run(capsys, "run", path, "--sandbox", "--yes", "--json")
    assert (json.loads(out)["run"], json.loads(out)["exit_code"]) == (None, 0)


def test_failures_of_a_clean_run_beside_a_list_are_only_said(capsys: Said):
    """The list is issued."""
    path = _failures(capsys, "failures.csv")
    Path("more.csv").write_text("mobile,series_id,count\n919000000002,415446,1\n")
    _, last = _run(capsys, "run", path, "more.csv", "--campaign", "more", "--sandbox", "--yes")
    assert last.startswith("exit 0: 1 coupon issued")


@pytest.mark.parametrize("beside", [False, True])
def test_anybody_elses_list_without_a_row_is_refused(beside: bool, capsys: Said):
    """It was probably exported wrongly."""
    ours = [_failures(capsys, "failures.csv")] if beside else []
    Path("empty.csv").write_text("mobile,series_id,count\n")
    _, last = _run(capsys, "run", *ours, "empty.csv", "--campaign", "c", "--sandbox", "--yes", expect=3)
    assert "empty.csv has a header in row 1 and no rows below it" in last


def test_what_is_found_speaks_for_itself_and_what_is_not_is_said(capsys: Said):
    """The commands that look: data on stdout and a silent stderr, or the sentence as the last line, with --json too."""
    for words in (["runs"], ["runs", "--json"]):
        out, last = _run(capsys, *words, "--sandbox")
        assert last == "exit 0: no run is recorded in this ledger"
        assert out.strip() == ("[]" if "--json" in words else "")
    _failures(capsys, "failures.csv")
    for words in (["runs"], ["show"], ["find", "919000000001"]):
        out, last = _run(capsys, *words, "--sandbox")
        assert (bool(out), last) == (True, "")
    for more in ([], ["--json"]):
        out, last = _run(capsys, "find", "919000000009", "--sandbox", *more)
        assert last.startswith("exit 0: this customer is in no row of any run of the organisation. Next: coupon-runner")
        assert bool(out) == bool(more)
    _, last = _run(capsys, "runs", "--sandbox", "--last", "0", expect=2)
    assert "--last" in last


def test_whoever_brought_a_workbook_is_led_to_the_workbook_of_failures(tmp_path: Path, capsys: Said):
    """The printed command works as it stands; a list of series tells the names on the plan and in the report."""
    customers = [
        ("mobile", "series"),
        ("919000000001", "Welcome"),
        ("91900000000O", "Welcome"),
        ("919000000002", "Big"),
    ]
    series = [("series_id", "name"), (415446, "Welcome"), (535521, "Big")]
    book = save_book(tmp_path / "list.xlsx", {"customers": customers, "series": series})
    capsys.readouterr()
    assert run_command(["run", str(book), "--sandbox", "--yes"]) == 1
    err = capsys.readouterr().err
    assert err.count("415446 Welcome") == err.count("535521 Big") == 2, "on the plan and in the summary"
    last = err.splitlines()[-1]
    assert ", once failures.xlsx is corrected: " in last
    printed = shlex.split(last.rpartition(": coupon-runner ")[2])
    assert printed[1].endswith("failures.xlsx")
    _, again = _run(capsys, *printed, "--yes", expect=3)
    assert "No row of the input is valid" in again
    assert _report_says(tmp_path) == {"415446 Welcome", "535521 Big"}
    _, last = _run(capsys, "run", book, "--sandbox", "--yes", "--reports", "csv", expect=1)
    assert ", once failures.csv is corrected: " in last, "no workbook was written this time"


def _report_says(folder: Path) -> set[str]:
    """The series by the first sheet of the report."""
    from tests.adapters.workbook_reading import open_book

    (path,) = folder.glob("coupon-runs/*/report.xlsx")
    texts = [str(cell.value) for row in open_book(path).worksheets[0].iter_rows() for cell in row if cell.value]
    return {text for text in texts if text.startswith(("415446", "535521"))}
