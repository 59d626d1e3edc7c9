"""Job files on this machine: the lines of keys, variables, time zones, and which files an input names."""

from __future__ import annotations

import os
import tomllib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.adapters.jobfiles import find_inputs, lines_of, read_job, write_new
from runner.errors import UsageError

DAY = date(2026, 3, 9)


def _job(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "nightly.toml"
    path.write_bytes(text.encode())
    return path


# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────────────

AWKWARD = """
# a = 1
first = 1
text = \"\"\"
fake = 2
[fake]
\"\"\"
list = [
  1, # fake = [
  2,
]
[guards] # [fake]

max_coupons = 3
"quoted key" = 4
dotted.inner = 5
[[array]]
a = 6
[[array]]
b = 7
"""


def test_the_line_of_a_key_is_where_its_value_begins():
    """Whatever stands in texts, lists and comments; a key of several lines has its first."""
    lines = lines_of(AWKWARD)
    assert lines == {
        "first": 3, "text": 4, "list": 8, "guards": 12, "guards.max_coupons": 14, "guards.quoted key": 15,
        "guards.dotted": 16, "guards.dotted.inner": 16, "array": 17,
    }  # fmt: skip


@given(st.lists(st.sampled_from(["\n", "# x = 1\n", '"""\na = 1\n"""', "[\n1,\n\n2]", "'b = [' # ]", "{ c = 1 }"])))
def test_each_key_of_any_file_is_found_on_its_own_line(values):
    """Property: the text from a key's line on begins with that key."""
    text = "".join(value if value[0] in "\n#" else f"key{n} = {value}\n" for n, value in enumerate(values))
    lines = text.splitlines()
    found = lines_of(text)
    assert found.keys() - {f"key{n}.c" for n in range(len(values))} == tomllib.loads(text).keys()
    assert all(lines[line - 1].startswith(key.partition(".")[0] + " =") for key, line in found.items())


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("input = 'x'\ncampaign = may\n", "line 2, column 12"),
        ("input = 'x'\n\ninput = 'y'\n", "line 3"),
        ('input = """x\n', "at its end"),
        ("[guards\n", "line 1"),
    ],
)
def test_a_file_that_is_no_toml_says_where(tmp_path, text, where):
    """File, line and column."""
    with pytest.raises(UsageError) as caught:
        read_job(_job(tmp_path, text), {})
    assert f"nightly.toml, {where}" in caught.value.message
    assert "is not valid TOML" in caught.value.message


def test_a_file_that_is_no_text_or_not_there_says_so(tmp_path):
    """With the line of the first byte that is not UTF-8."""
    (tmp_path / "a.toml").write_bytes(b"input = 'x'\ncampaign = '\xff'\n")
    with pytest.raises(UsageError, match=r"a.toml, line 2: is not UTF-8"):
        read_job(tmp_path / "a.toml", {})
    with pytest.raises(UsageError, match="init --job NAME"):
        read_job(tmp_path / "b.toml", {})
    with pytest.raises(UsageError, match="is a folder"):
        read_job(tmp_path, {})


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    """As Windows editors write it."""
    job = read_job(_job(tmp_path, "\ufeffinput = 'x'\ncampaign = 'y'\n"), {})
    assert (job.name, job.problems) == ("nightly", [])


def test_problems_stand_in_the_order_of_their_lines(tmp_path):
    """What is missing comes first; zones and variables are among the others."""
    text = 'timezone = "Asia/Kolkatta"\nfoo = 1\ninput = "${NO_SUCH}/x"\n[reports]\nout = "${EMPTY}/x"\n'
    job = read_job(_job(tmp_path, text), {"EMPTY": ""})
    told = [problem.removeprefix(f"job file {job.path}") for problem in job.problems]
    assert told[0].startswith(": campaign is missing")
    assert told[1] == ', line 1: timezone: there is no time zone "Asia/Kolkatta"; did you mean Asia/Kolkata?'
    assert told[2].startswith(", line 2: foo: unknown key")
    assert told[3].startswith(", line 3: input: the environment variable NO_SUCH is not set, or empty")
    assert told[4].startswith(", line 5: reports.out: the environment variable EMPTY is not set, or empty")


@pytest.mark.parametrize("zone", ["../etc/passwd", "/etc/passwd", "Europe", "", "Mars/Base"])
def test_only_names_of_time_zones_are_time_zones(tmp_path, zone):
    """No path, no folder of zones."""
    job = read_job(_job(tmp_path, f'input = "x"\ncampaign = "y"\ntimezone = "{zone}"\n'), {})
    assert len(job.problems) == 1
    assert ", line 3: timezone" in job.problems[0]


# ── input files ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _files(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x", encoding="utf-8")


def test_a_wildcard_takes_files_in_order_and_no_lock_or_dot_files(tmp_path):
    """Spreadsheet programs and editors leave those beside an open file; folders are no files either."""
    _files(tmp_path, "b.csv", "a.csv", "c.txt", "~$a.csv", ".~lock.a.csv#", ".a.csv", ".~lock.a.csv", "d.csv/in.csv")
    assert find_inputs([f"{tmp_path}/*.csv"], None, {}) == [tmp_path / "a.csv", tmp_path / "b.csv"]
    assert find_inputs([f"{tmp_path}/*"], None, {}) == [tmp_path / name for name in ("a.csv", "b.csv", "c.txt")]
    assert find_inputs([f"{tmp_path}/.*.csv"], None, {}) == []
    assert find_inputs([f"{tmp_path}/?$*.csv"], None, {}) == []


def test_several_patterns_keep_their_order_and_a_file_is_taken_once(tmp_path):
    """`**` goes into folders."""
    _files(tmp_path, "z.csv", "a.csv", "deep/er/m.csv")
    found = find_inputs([f"{tmp_path}/z.csv", f"{tmp_path}/**/*.csv"], None, {})
    assert found == [tmp_path / "z.csv", tmp_path / "a.csv", tmp_path / "deep/er/m.csv"]


def test_dates_and_variables_are_filled_in(tmp_path):
    """A variable's text is taken as it is, wildcards in it too."""
    folder = tmp_path / "in [1]"
    _files(folder, "list-2026-03-09-a.csv", "list-2026-03-08-a.csv")
    _files(tmp_path / "in 1", "list-2026-03-09-b.csv")
    environment = {"IN": str(folder), "WILD": str(folder / "*")}
    assert find_inputs(["${IN}/list-{date}*.csv"], DAY, environment) == [folder / "list-2026-03-09-a.csv"]
    assert find_inputs(["${WILD}"], DAY, environment) == []


def test_a_file_whose_name_holds_wildcards_is_found_by_its_name(tmp_path):
    """`list [1].csv`, as browsers call a second download."""
    _files(tmp_path, "list [1].csv", "list 1.csv")
    assert find_inputs([f"{tmp_path}/list [1].csv"], None, {}) == [tmp_path / "list [1].csv"]


def test_a_dated_folder_may_be_missing_but_not_the_one_it_stands_in(tmp_path):
    """No folder of the day is an empty day; a share that is not mounted is no empty day."""
    assert find_inputs([f"{tmp_path}/{{date}}/*.csv"], DAY, {}) == []
    assert find_inputs([f"{tmp_path}/list.csv"], DAY, {}) == []
    for pattern in (
        f"{tmp_path}/gone/*.csv",
        f"{tmp_path}/gone/list.csv",
        f"{tmp_path}/gone/x-{{date}}/list.csv",
        "${A}",
    ):
        with pytest.raises(UsageError, match=r"gone of the job's input .* is not there"):
            find_inputs([pattern], DAY, {"A": f"{tmp_path}/gone/list.csv"})


def test_a_folder_as_input_is_refused(tmp_path):
    """Otherwise it would be an empty night for ever."""
    with pytest.raises(UsageError, match="is the folder"):
        find_inputs([str(tmp_path)], None, {})


def test_paths_start_where_the_command_is_started(tmp_path, monkeypatch):
    """Without a folder it is that one."""
    _files(tmp_path, "list.csv")
    monkeypatch.chdir(tmp_path)
    assert find_inputs(["list.csv", "*.csv", "./l*.csv"], None, {}) == [Path("list.csv")]


def test_a_file_is_written_once_and_never_over_another(tmp_path):
    """Whatever stands there stays."""
    path = tmp_path / "jobs" / "a.toml"
    write_new(path, "one\n")
    with pytest.raises(UsageError, match="was not changed"):
        write_new(path, "two\n")
    assert path.read_bytes() == b"one\n"
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be made"):
        write_new(tmp_path / "file" / "a.toml", "x")
    if os.name != "nt":
        link = tmp_path / "jobs" / "b.toml"
        link.symlink_to(tmp_path / "nowhere.toml")
        with pytest.raises(UsageError, match="was not changed"):
            write_new(link, "x")
