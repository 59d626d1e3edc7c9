"""The files as they are promised, the commands that only look, and secrets that appear nowhere."""

from __future__ import annotations

import hashlib
import json
import re
import stat

import pytest

from runner.settings import Options
from tests.acceptance.desk import PASSWORD, Reports, mobile

ADDED = [
    "_row",
    "_sheet",
    "_series",
    "_status",
    "_target",
    "_issued",
    "_issued_before",
    "_missing",
    "_in_doubt",
    "_revoked",
    "_codes",
    "_coupon_ids",
    "_error_code",
    "_error_message",
    "_advice",
    "_attempts",
    "_first_sent",
    "_last_answer",
    "_request_id",
    "_ref",
]
ROWS = [f"Ann,{mobile(1)},415446,2", f'"=1+1",{mobile(2)},415446,1', f"Cid,{mobile(3)},415446,5", "Dee,nobody,415446,1"]
HEADER = "name,mobile,series_id,count"
COMMANDS = [
    *("init", "plan", "run", "resume", "abandon", "reconcile", "resolve", "undo", "report", "runs", "show", "find"),
    *("audit", "backup", "recover", "forget", "purge", "sandbox", "template", "doctor", "completion"),
    *("pause", "stop", "set-rate"),
]


@pytest.fixture
def ran(desk):
    """A run with a row of every kind: issued, partial, in doubt, rejected."""
    config = desk.config(
        f'[[series]]\nid = 415446\nmax_per_customer = 3\n[[customers]]\nmobile = "{mobile(2)}"\nanswers = ["cut"]\n'
    )
    file = desk.write("list.csv", ROWS, header=HEADER)
    return desk.rehearse(file, "--sandbox-config", config, "--ignore-preflight", "--settle-wait", "0s", expect=5)


def test_the_columns_of_results_are_the_original_ones_and_then_the_promised_ones(ran):
    """Original cells unchanged but for neutralising; one line a line."""
    assert ran.header("results.csv") == [*HEADER.split(","), *ADDED]
    assert ran.statuses() == ["issued", "in_doubt", "partial", "rejected"]
    assert [row["_row"] for row in ran.results] == ["2", "3", "4", "5"]
    assert [row["name"] for row in ran.results] == ["Ann", "'=1+1", "Cid", "Dee"]
    assert (ran.folder / "results.csv").read_bytes().startswith(b"\xef\xbb\xbf")


def test_failures_hold_what_is_missing_and_what_is_rejected_but_no_doubt(ran):
    """series_id and count narrowed to the order and what is missing; rejected cells as they were."""
    rows = ran.table("failures.csv")
    assert [(row["_status"], row["mobile"], row["count"]) for row in rows] == [
        ("partial", mobile(3), "2"),
        ("rejected", "nobody", "1"),
    ]
    assert rows[0]["_ref"].startswith("REHEARSAL")
    assert rows[1]["_ref"] == ""


def test_coupons_and_doubts_have_a_line_each(desk, ran):
    """coupons.csv says what the truth says of its calls; in_doubt.csv names the call that is held."""
    codes = {row["code"] for row in ran.table("coupons.csv")}
    truth = desk.rehearsed_truth()
    real = {
        coupon["code"]
        for customer in truth["customers"].values()
        for series in customer["series"].values()
        for coupon in series["coupons"]
    }
    assert codes == real
    assert len(codes) == 5
    (doubt,) = ran.table("in_doubt.csv")
    assert doubt["call_key"] in truth["calls"]


def test_the_summary_holds_the_promised_keys_and_adds_up(ran):
    """RULES of summary.json: run, org, campaign, state, exit_code, exit_codes, rows, lines, coupons."""
    summary = ran.summary
    assert (summary["org"], summary["campaign"], summary["state"]) == ("sandbox", "list", "finished")
    assert (summary["exit_code"], summary["exit_codes"]) == (5, [5, 1])
    assert summary["rows"] == sum(summary["lines"].values()) == 4
    coupons = summary["coupons"]
    assert {"target", "issued", "before", "in_doubt", "missing", "revoked"} <= coupons.keys()
    assert coupons["target"] == coupons["issued"] + coupons["in_doubt"] + coupons["missing"] == 8
    assert summary["run"].startswith("REHEARSAL-")


def test_the_manifest_has_size_and_sha256_of_each_file(ran):
    """And nothing else lies in the folder."""
    files = ran.manifest["files"]
    assert {path.name for path in ran.folder.iterdir()} == {*files, "manifest.json"}
    for name, entry in files.items():
        content = (ran.folder / name).read_bytes()
        assert entry == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_files_are_for_their_owner_only(desk, ran):
    """Reports, ledger, key and truth 0600; their folders 0700."""
    files = list(ran.folder.iterdir())
    state = desk.folder / "state" / "coupon-runner"
    files += [path for path in state.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"results.csv", "ledger.db", "ledger.db.truth"}
    assert {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in files} == {
        path.name: "0o600" for path in files
    }
    for folder in (ran.folder, ran.folder.parent, state, state / "rehearsal"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder


def test_report_writes_byte_identical_csvs_from_the_ledger_alone(desk, ran):
    """Also into another folder, and without the input file."""
    before, revision = ran.digests(), ran.manifest["revision"]
    (desk.folder / "list.csv").unlink()
    run = ran.summary["run"]
    desk.run("report", run, "--out", desk.folder / "elsewhere")
    assert Reports(desk.folder / "elsewhere" / run).digests() == before
    for path in ran.folder.iterdir():
        path.unlink()
    desk.run("report", run)
    assert ran.digests() == before
    assert ran.manifest["revision"] >= revision


def test_show_find_and_runs_tell_the_same_as_the_reports(desk, ran):
    """As text for people and as JSON for programs."""
    run = ran.summary["run"]
    shown = desk.run("show", run, "--json").json
    assert shown["coupons"] == {key: ran.summary["coupons"][key] for key in shown["coupons"]}
    assert (shown["state"], shown["live"]) == ("finished", "")
    (listed,) = desk.run("runs", "--sandbox", "--json").json
    assert (listed["run"], listed["exit_code"], listed["rows"]) == (run, 5, 4)
    found = desk.run("find", mobile(3), "--sandbox", "--json").json
    assert [(row["row"], row["status"]) for row in found["rows"]] == [(4, "partial")]
    assert {coupon["code"] for order in found["orders"] for coupon in order["coupons"]} == set(
        ran.results[2]["_codes"].split("; ")
    )
    rejected = desk.run("find", "nobody", "--sandbox", "--json").json
    assert [row["status"] for row in rejected["rows"]] == ["rejected"]
    for words in (["show", run], ["runs", "--sandbox"], ["find", mobile(3), "--sandbox"]):
        assert desk.run(*words).out.strip()
    assert "no row" in desk.run("find", "919999999999", "--sandbox").err


def test_looking_and_reporting_beside_a_live_run_disturb_nothing(desk):
    """They say that it is live; nothing it has under way becomes in doubt by being looked at."""
    with desk.serving(f'[[customers]]\nmobile = "{mobile(2)}"\nanswers = ["late:1.5"]\n') as server:
        desk.init(server)
        file = desk.write("list.csv", [f"{mobile(n)},415446,1" for n in (1, 2, 3)])
        live = desk.start("run", file, "--campaign", "c", "--yes", "--max-coupons", "9", "--json")
        desk.until_posts(server, 3)
        shown = desk.run("show", "--json").json
        assert str(live.pid) in shown["live"]
        assert shown["state"] == "running"
        desk.run("runs")
        (order,) = desk.run("find", mobile(2), "--json").json["orders"]
        assert [call["state"] for call in order["calls"]] == ["sending"]
        desk.run("report", "--out", desk.folder / "meanwhile")
        assert live.wait() == 0
        assert desk.reports_of(live).statuses() == ["issued"] * 3


def test_progress_as_json_lines_ends_with_all_issued(desk):
    """--progress json: one object a line on stderr, beside the sentences for people."""
    done = desk.run("run", desk.write("list.csv", ROWS[:2], header=HEADER), "--sandbox", "--yes", "--progress", "json")
    beats = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    assert beats[-1]["issued"] == 3


def test_quiet_says_only_the_last_line(desk):
    """-q: for a log that wants one line."""
    done = desk.run("run", desk.write("list.csv", ROWS[:2], header=HEADER), "--sandbox", "--yes", "-q")
    assert done.out == ""
    assert done.err.splitlines() == [done.last_line]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(desk, command):
    """Its example is a command that begins with the program's name."""
    text = desk.run(command, "--help").out
    assert f"Example: coupon-runner {command}" in re.sub(r"\s+", " ", text)


def test_the_help_lists_every_command(desk):
    """And nothing that does not work yet."""
    listed = re.findall(r"^  ([a-z][a-z-]+)  ", desk.run("--help").out, re.MULTILINE)
    assert listed == COMMANDS or sorted(listed) == sorted(COMMANDS)
    assert desk.run("--version").out.startswith("coupon-runner ")


def test_every_flag_of_run_is_a_setting_and_a_variable(desk):
    """Each may stand in the environment as COUPON_RUNNER_<FLAG>; none is unknown there."""
    flags = set(re.findall(r"--([a-z-]+)", desk.run("run", "--help").out))
    names = {name.replace("-", "_") for name in flags}
    settings = {field.alias or name for name, field in Options.model_fields.items()}
    # Said otherwise: another name of --sandbox, the opposite of a flag, or a choice of this one command.
    own = {"rehearse", "dry_run", "job", "date", "settings", "verbose", "quiet", "help"}
    assert names - settings == own | {"no_metadata", "no_probe", "no_fall_back"}
    variables = {f"COUPON_RUNNER_{name.upper()}": "" for name in names & settings}
    desk.run("run", desk.write("list.csv", ROWS[:1], header=HEADER), "--sandbox", "--yes", **variables)


def test_a_setting_counts_flag_before_environment_before_settings_file(desk):
    """Precedence: flag > environment > settings file > default."""
    settings = desk.config("campaign = 'from-file'\n", "settings.toml")
    file = desk.write("list.csv", ROWS[:1], header=HEADER)
    words = ["run", file, "--sandbox", "--yes", "--settings", settings, "--overlap", "allow"]
    assert desk.issue(*words).summary["campaign"] == "from-file"
    variables = {"COUPON_RUNNER_CAMPAIGN": "from-environment"}
    assert desk.issue(*words, **variables).summary["campaign"] == "from-environment"
    assert desk.issue(*words, "--campaign", "from-flag", **variables).summary["campaign"] == "from-flag"


@pytest.mark.parametrize("twin", ["", "_FILE"])
def test_secrets_appear_nowhere(desk, twin):
    """Neither in an output, a report, the ledger nor the settings: not as they are, not as the md5 that is sent."""
    auth = f'[auth]\nuser = "till.sample"\npassword = "{PASSWORD}"\nrequired = true\n'
    with desk.serving(auth) as server:
        desk.init(server)
        secret = desk.config(PASSWORD, "secret") if twin else PASSWORD
        desk.environment.pop("COUPON_RUNNER_API_PASSWORD")
        desk.environment[f"COUPON_RUNNER_API_PASSWORD{twin}"] = str(secret)
        file = desk.write("list.csv", ROWS, header=HEADER)
        words = ["--campaign", "c", "--yes", "--max-coupons", "9", "--max-rejected", "1"]
        desk.run("run", file, *words, "-v", expect=1)
        refused = {"COUPON_RUNNER_API_USER": "stranger"}
        desk.run(
            "run",
            desk.write("b.csv", [f"Eve,{mobile(9)},1,1"], header=HEADER),
            *words,
            "--same-org",
            expect=6,
            **refused,
        )
        desk.run("show")
    needles = [
        needle.encode() for needle in (PASSWORD, hashlib.md5(PASSWORD.encode(), usedforsecurity=False).hexdigest())
    ]
    ours = ("secret", "server0.toml")
    searched = [path for path in desk.folder.rglob("*") if path.is_file() and path.name not in ours]
    assert len(searched) > 15
    for path in searched:
        content = path.read_bytes()
        assert not any(needle in content for needle in needles), path
