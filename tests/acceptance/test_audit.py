"""The audit says "ok" of whatever the program did, and finds whatever somebody else did to the ledger."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner.adapters.clock import SystemClock
from runner.adapters.ledger.witness import witness_path
from runner.app.auditing import AuditAsked, audit
from runner.app.conversation import Request
from runner.settings import resolve, settings_path
from tests.acceptance.desk import Desk, Starter, mobile

CONFIG = f"""
[[series]]
id = 8
answers = ["ok", "709"]
[[customers]]
mobile = "{mobile(1)}"
email = "one@example.com"
[[customers]]
mobile = "{mobile(3)}"
answers = ["cut"]
[[customers]]
mobile = "{mobile(4)}"
answers = ["more_coupons"]
"""
ROWS = [f"{mobile(1)},,7,2", ",one@example.com,7,2", f"{mobile(2)},,7,3", f"{mobile(3)},,7,1", f"{mobile(4)},,7,2",
        f"{mobile(5)},,8,1", f"{mobile(8)},,8,1", f"{mobile(6)},,7,1"]  # fmt: skip
RAISED = [f"{mobile(2)},,7,4", f"{mobile(6)},,7,1"]


@dataclass
class Copy:
    """A copy of a ledger with all that is beside it, to be edited."""

    folder: Path
    ledger: Path

    def edit(self, *statements: str) -> None:
        """As somebody with `sqlite3` would."""
        with closing(sqlite3.connect(self.ledger)) as connection:
            for statement in statements:
                assert connection.execute(statement).rowcount != 0, f"changed nothing: {statement}"
            connection.commit()

    def audit(self, **asked: Any) -> dict[str, Any]:
        """What the audit says of it, as `--json` does."""
        environment = {"XDG_STATE_HOME": str(self.folder / "state"), "XDG_CONFIG_HOME": str(self.folder / "config")}
        settings = settings_path(None, environment)
        flags = {"ledger": str(self.ledger), "sandbox": True, "out": str(self.folder / "coupon-runs")}
        request = Request(
            options=resolve(flags, environment, settings), flags=flags, environment=environment, settings=settings
        )
        return audit(request, AuditAsked(**asked), clock=SystemClock(), note=lambda _: None).document()

    def wrong(self, **asked: Any) -> dict[str, list[str]]:
        """The checks that are WRONG, with their findings."""
        checks: Any = self.audit(**asked)["checks"]
        return {one["name"]: one["details"] for one in checks if one["verdict"] == "WRONG"}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, starter: Starter | None) -> Iterator[Desk]:
    """A ledger to which much has happened: two runs, a merge, a doubt, a refusal, a coupon too many, an override."""
    desk = Desk(tmp_path_factory.mktemp("lived") / "desk", starter)
    config = desk.config(CONFIG)
    words: list[str | Path] = [
        "--sandbox-config",
        config,
        "--identify-by",
        "mobile,email",
        "--settle-wait",
        "0s",
        "--campaign",
        "may",
    ]
    header = "mobile,email,series_id,count"
    desk.rehearse(desk.write("list.csv", ROWS, header=header), *words, expect=5)
    shutil.copytree(desk.folder / "state", desk.folder / "older")
    desk.rehearse(desk.write("raised.csv", RAISED, header=header), *words)
    desk.rehearse(
        desk.write("june.csv", [f"{mobile(2)},,7,1"], header=header), *words[:-1], "june", "--overlap", "allow"
    )
    yield desk
    desk.end()


@pytest.fixture
def copy(lived: Desk, tmp_path: Path) -> Copy:
    folder = tmp_path / "copy"
    shutil.copytree(lived.folder / "state", folder / "state")
    ledger = folder / "state" / "coupon-runner" / "rehearsal" / "ledger.db"
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        # Reports are looked for where the runs wrote them: the copy has copies.
        shutil.copytree(lived.folder / "coupon-runs", folder / "coupon-runs")
        connection.execute("UPDATE runs SET out = ?", (str(folder / "coupon-runs"),))
        connection.commit()
    return Copy(folder, ledger)


def _verdicts(document: dict[str, Any]) -> set[str]:
    return {one["verdict"] for one in document["checks"]}


def test_a_ledger_that_only_the_program_wrote_to_is_right(copy: Copy) -> None:
    """Nothing is WRONG after merges, doubts, refusals, surprises and overrides; the limits of the promise are told."""
    document = copy.audit()
    assert {one["name"] for one in document["checks"] if one["verdict"] == "known limit"} >= {"in doubt", "surprise"}
    assert copy.wrong() == {}
    assert document["wrong"] == 0


TOLD = "SELECT hash FROM identity WHERE hash NOT IN (SELECT name FROM persons) ORDER BY person_id LIMIT 1"
COUPON = "INSERT INTO coupons (call_key, order_id, position, coupon_id, code, hash, state) "
EDITS: dict[str, tuple[list[str], str]] = {
    "a coupon added": (
        [COUPON + "SELECT call_key, order_id, 9, 'x', 'X', randomblob(16), 'issued' FROM coupons WHERE id = 1"],
        "coupons",
    ),
    "a coupon removed": (["DELETE FROM coupons WHERE id = 1"], "coupons"),
    "a coupon moved to another order": (
        ["UPDATE coupons SET order_id = (SELECT max(id) FROM orders) WHERE id = 1"], "coupons"
    ),
    "a coupon moved to another call": (
        ["UPDATE coupons SET call_key = (SELECT key FROM calls WHERE key <> call_key LIMIT 1) WHERE id = 1"], "coupons"
    ),
    "a coupon exchanged for another": (["UPDATE coupons SET hash = randomblob(16) WHERE id = 1"], "coupons"),
    "a call's state": (["UPDATE calls SET state = 'refused', held = 0 WHERE state = 'in_doubt'"], "calls"),
    "a call's state with the counters put right": (
        [
            "UPDATE orders SET held = 0 WHERE id IN (SELECT order_id FROM calls WHERE state = 'in_doubt')",
            "UPDATE calls SET state = 'refused', held = 0 WHERE state = 'in_doubt'",
        ],
        "calls",
    ),
    "a call removed": (["DELETE FROM calls WHERE state = 'in_doubt'"], "calls"),
    "a call added": (
        [
            ("INSERT INTO calls (order_id, number, key, run_id, quantity, state, known, held, began) SELECT id, 2,"
            " key || '-2-aaaaaa', 1, 1, 'refused', 0, 0, 1.0 FROM orders WHERE calls = 1 LIMIT 1"),
            "UPDATE orders SET calls = 2 WHERE id IN (SELECT order_id FROM calls WHERE number = 2)",
        ],
        "calls",
    ),
    "a target of an order": (["UPDATE orders SET target = target + 1 WHERE merged_into IS NULL"], "targets"),
    "a target of a line": (["UPDATE lines SET target = target + 1 WHERE id = 1"], "targets"),
    "a target of order and line": (
        [
            "UPDATE orders SET target = 9 WHERE id = 2",
            "UPDATE lines SET target = 9, requested = 9 WHERE order_id = 2",
        ],
        "targets",
    ),
    "a line removed": (["DELETE FROM lines WHERE id = 2"], "targets"),
    "a line added": (
        [
            ("INSERT INTO lines (run_id, row_id, order_id, requested, target, before, counted, role)"
            " SELECT run_id, row_id, order_id, requested, target, before, counted, role FROM lines WHERE id = 1")
        ],
        "targets",
    ),
    "a row removed": (["DELETE FROM rows WHERE id = 1"], "targets"),
    "an order given to an older run": (["UPDATE orders SET run_id = 1 WHERE run_id = 2"], "targets"),
    "a counter of an order": (["UPDATE orders SET issued = issued - 1 WHERE issued > 0"], "counters"),
    "an order moved to another person": (
        ["UPDATE orders SET person_id = (SELECT max(id) FROM persons) WHERE id = 1"], "people"
    ),
    "an order moved to another series": (["UPDATE orders SET series = 9 WHERE id = 1"], "people"),
    "a merge undone": (["UPDATE persons SET merged_into = NULL WHERE merged_into NOT NULL"], "people"),
    "a merged order revived": (["UPDATE orders SET merged_into = NULL WHERE merged_into NOT NULL"], "people"),
    "a name unlearnt": (["DELETE FROM identity WHERE hash = (SELECT name FROM persons WHERE id = 2)"], "people"),
    "a closing removed": (["DELETE FROM closures WHERE code <> 'surplus'"], "closings"),
    "a run's state": (["UPDATE runs SET state = 'abandoned' WHERE id = 1"], "runs"),
    "an override forgotten": (["UPDATE runs SET overrides = NULL WHERE overrides LIKE '%overlap%'"], "runs"),
    "another address of a campaign": (["UPDATE scopes SET url = 'http://127.0.0.1:1'"], "runs"),
    "whom an order is sent to": (["UPDATE orders SET value = '919999999999' WHERE id = 2"], "names"),
    "whom an order is sent to, another customer": (
        ["UPDATE orders SET value = (SELECT value FROM orders WHERE id = 2) WHERE id = 3"], "names"
    ),
    "the kind of an identifier": (["UPDATE orders SET kind = 'email' WHERE id = 3"], "names"),
    "a name moved to another person": (["UPDATE identity SET person_id = 3 WHERE person_id = 2"], "names"),
    "a name that an answer told moved": ([f"UPDATE identity SET person_id = 3 WHERE hash = ({TOLD})"], "names"),
    "a name that an answer told removed": ([f"DELETE FROM identity WHERE hash = ({TOLD})"], "names"),
    "a name added": (["INSERT INTO identity SELECT org_id, randomblob(16), 3 FROM identity LIMIT 1"], "names"),
    "an order closed for good": (["UPDATE orders SET closed = 'resent' WHERE id = 3"], "closings"),
    "an order closed as forgotten": (["UPDATE orders SET closed = 'forgotten' WHERE id = 3"], "closings"),
    "a closed order opened": (["UPDATE orders SET closed = NULL WHERE closed = '709'"], "closings"),
    "a coupon's code": (["UPDATE coupons SET code = 'X' WHERE id = 1"], "coupons"),
    "a coupon's id": (["UPDATE coupons SET coupon_id = '99' WHERE id = 1"], "coupons"),
    "a call's code": (["UPDATE calls SET code = '707' WHERE code = '709'"], "calls"),
    "a call's surprises": (["UPDATE calls SET flags = '[\"resent\"]' WHERE flags IS NULL"], "calls"),
    "a call's surprise removed": (["UPDATE calls SET flags = NULL WHERE flags NOT NULL"], "calls"),
    "a call's request id": (["UPDATE calls SET request_id = 'x' WHERE state = 'issued'"], "calls"),
    "a run's options": (["UPDATE runs SET args = json_set(args, '$.max_coupons', 999999999)"], "runs"),
    "a run's files": (["UPDATE runs SET files = '[]'"], "runs"),
    "a run's name": (["UPDATE runs SET name = '20200101T000000Z-x-000000' WHERE id = 1"], "runs"),
    "a run's exit code": (["UPDATE runs SET exit_code = 0 WHERE exit_code <> 0"], "runs"),
    "a run's exit codes": (["UPDATE runs SET exit_codes = '[0]' WHERE exit_code <> 0"], "runs"),
    "the name of a campaign": (["UPDATE scopes SET campaign = 'july' WHERE campaign = 'may'"], "runs"),
    "the name of the organisation": (["UPDATE orgs SET name = 'Other'"], "runs"),
    "the sign of this ledger in its keys": (["UPDATE meta SET value = 'abcdef' WHERE name = 'nonce'"], "runs"),
    "an event changed": (["UPDATE events SET body = body || ' ' WHERE seq = 5"], "history"),
    "an event's time changed": (["UPDATE events SET at = at + 1 WHERE seq = 5"], "history"),
    "an event removed": (["DELETE FROM events WHERE seq = 5"], "history"),
    "the tail cut": (
        ["DELETE FROM events WHERE seq > (SELECT max(seq) - 4 FROM events)"], "memory of others"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", EDITS)
def test_every_edit_by_hand_is_found(copy: Copy, what: str) -> None:
    """Each table that matters, edited as somebody with `sqlite3` would: the check that is meant to says WRONG."""
    statements, name = EDITS[what]
    copy.edit(*statements)
    wrong = copy.wrong()
    assert name in wrong
    assert wrong[name], "somebody must be able to look"


EVIDENCE_AND_UNDO: dict[str, tuple[str, str]] = {
    "why a call was settled": ("UPDATE evidence SET why = 'the API said so'", "evidence"),
    "who settled a call": ("UPDATE evidence SET \"by\" = 'read', who = NULL WHERE \"by\" = 'person'", "evidence"),
    "evidence that decided nothing": ("UPDATE evidence SET why = 'x' WHERE verdict = 'in_doubt'", "evidence"),
    "evidence removed": ("DELETE FROM evidence", "evidence"),
    "evidence added": (
        (
            "INSERT INTO evidence (order_id, number, at, \"by\", method, verdict, found, why)"
            " SELECT order_id, number, at, \"by\", method, verdict, found, 'more' FROM evidence LIMIT 1"
        ),
        "evidence",
    ),
    "what became of a revoked coupon": ("UPDATE revocation_coupons SET outcome = 'refused'", "closings"),
    "a coupon taken out of a revocation": ("DELETE FROM revocation_coupons WHERE coupon = 1", "closings"),
    "a coupon put into a revocation": (
        (
            "INSERT INTO revocation_coupons (revocation_id, coupon, shown, outcome)"
            " SELECT revocation_id, 3, 1, outcome FROM revocation_coupons LIMIT 1"
        ),
        "closings",
    ),
    "an order of somebody forgotten opened": ("UPDATE orders SET closed = NULL WHERE closed = 'forgotten'", "closings"),
    "somebody's being forgotten": ("UPDATE persons SET forgotten = NULL", "people"),
}  # fmt: skip


def test_edits_of_what_was_settled_undone_and_forgotten_are_found(desk: Desk) -> None:
    """Evidence of reads and of a person's word, revocations, and orders that are closed for good."""
    config = f'[[customers]]\nmobile = "{mobile(3)}"\nanswers = ["cut"]\n'
    with desk.serving(config) as server:
        desk.init(server)
        file = desk.write("list.csv", [f"{mobile(1)},7,2", f"{mobile(2)},7,1", f"{mobile(3)},7,1"])
        words = ["--campaign", "c", "--yes", "--max-coupons", "9", "--settle-wait", "0s"]
        desk.run("run", file, *words, expect=None)
        name = max((desk.folder / "coupon-runs").glob("*/summary.json")).parent.name
        with closing(sqlite3.connect(desk.ledger)) as connection:
            ((key,),) = connection.execute("SELECT key FROM calls WHERE state = 'in_doubt'").fetchall()
        desk.run("resolve", name, key, "--issued", "1", "--why", "ticket 1", expect=None)
        desk.run("undo", name, "--customer", mobile(1), "--yes", expect=None)
        desk.run("forget", mobile(2), "--yes")
    assert _wrong_of(desk) == {}
    with closing(sqlite3.connect(desk.ledger)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = desk.ledger.read_bytes()
    for what, (statement, check) in EVIDENCE_AND_UNDO.items():
        with closing(sqlite3.connect(desk.ledger)) as connection:
            assert connection.execute(statement).rowcount > 0, what
            connection.commit()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert _wrong_of(desk).get(check), what
        for path in desk.ledger.parent.glob(desk.ledger.name + "-*"):
            path.unlink()
        desk.ledger.write_bytes(whole)


def _wrong_of(desk: Desk) -> dict[str, list[str]]:
    checks = desk.run("audit", "--json", expect=None).json["checks"]
    return {one["name"]: one["details"] for one in checks if one["verdict"] == "WRONG"}


def test_an_older_copy_put_back_is_found(copy: Copy, lived: Desk) -> None:
    """By the witness; and without it by the reports on disk, which know a run that the ledger lacks."""
    older = lived.folder / "older" / "coupon-runner" / "rehearsal"
    for path in older.glob("ledger.db*"):
        if path.name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
            shutil.copy(path, copy.ledger.parent / path.name)
    with closing(sqlite3.connect(copy.ledger)) as connection:
        connection.execute("UPDATE runs SET out = ?", (str(copy.folder / "coupon-runs"),))
        connection.commit()
    assert "its end was cut off" in copy.wrong()["memory of others"][-1]
    witness_path(copy.ledger).unlink()
    wrong = copy.wrong()
    assert "memory of others" in wrong
    assert any("which the ledger lacks" in finding for finding in wrong["reports"])


def test_a_history_written_anew_does_not_pass_a_manifest_kept_elsewhere(copy: Copy) -> None:
    """`--against`: every hash of the chain is right, and it is another chain."""
    kept = copy.folder / "kept.json"
    manifest = min((copy.folder / "coupon-runs").glob("*/manifest.json"))
    shutil.copy(manifest, kept)
    assert copy.wrong(against=kept) == {}
    _write_the_chain_anew(copy.ledger)
    shutil.rmtree(copy.folder / "coupon-runs")
    witness_path(copy.ledger).unlink()
    assert "history" not in copy.wrong()
    assert "memory of others" in copy.wrong(against=kept)


def _write_the_chain_anew(path: Path) -> None:
    from runner.adapters.ledger.events import START, link_hash

    with closing(sqlite3.connect(path)) as connection:
        before = START
        for seq, run, at, body in connection.execute(
            "SELECT seq, run_id, at, body FROM events ORDER BY seq"
        ).fetchall():
            at = at + 0.5
            before = link_hash(before, seq, run, at, body.encode())
            connection.execute("UPDATE events SET at = ?, hash = ? WHERE seq = ?", (at, before, seq))
        connection.commit()


def test_a_manifest_of_another_ledger_is_refused(copy: Copy) -> None:
    """It vouches for nothing here."""
    manifest = min((copy.folder / "coupon-runs").glob("*/manifest.json"))
    content = json.loads(manifest.read_text())
    other = copy.folder / "other.json"
    other.write_text(json.dumps({**content, "ledger": "ffffffffffff"}))
    assert "vouches for ledger ffffffffffff" in copy.wrong(against=other)["manifest"][0]


def test_a_report_that_was_changed_is_found_and_one_that_was_corrected_is_not_blamed(copy: Copy) -> None:
    """results.csv is evidence; failures.csv is there to be corrected in place. Missing folders are said."""
    runs = sorted(path.parent for path in (copy.folder / "coupon-runs").glob("*/manifest.json"))
    for name in ("failures.csv", "results.csv"):
        with (runs[0] / name).open("a") as file:
            file.write("x\n")
    shutil.rmtree(runs[-1])
    wrong = copy.wrong()
    assert [Path(finding.split(" was ")[0]).name for finding in wrong.pop("reports")] == ["results.csv"]
    assert wrong == {}
    with (runs[0] / "results.csv").open("rb+") as file:
        file.truncate((runs[0] / "results.csv").stat().st_size - 2)
    sentence = next(one["sentence"] for one in copy.audit()["checks"] if one["name"] == "reports")
    assert "1 files of failures were edited" in sentence
    assert "1 runs have no reports" in sentence


def test_overrides_are_told_with_who_and_when(copy: Copy) -> None:
    """The overlap that was allowed, and by whom."""
    overrides: Any = copy.audit()["overrides"]
    assert [(one["what"], one["campaign"]) for one in overrides] == [("overlap", "june")]
    assert overrides[0]["who"]
    assert overrides[0]["at"].endswith("Z")


def test_a_certificate_is_one_page_a_campaign_that_holds_sums_head_checks_and_overrides(copy: Copy) -> None:
    """Readable without anything else, escaped, for its owner only."""
    document = copy.audit(certificate=True)
    paths = [Path(path) for path in document["certificates"]]
    assert len(paths) == 2
    pages = [path.read_text(encoding="utf-8") for path in paths]
    for page, path in zip(pages, paths, strict=True):
        assert document["head"]["hash"] in page
        assert "REHEARSAL" in page
        assert "nobody above target" in page
        assert path.stat().st_mode & 0o777 == 0o600
        assert "http" not in page.replace("http://127.0.0.1", ""), "it needs nothing from elsewhere"
    assert "overlap" in pages[1]
    assert "None." in pages[0]


def test_the_command_exits_0_or_1_and_says_why(lived: Desk) -> None:
    """`ok`, `known limit`, `WRONG`; the last line says what to do. The rehearsal's API counts nothing of others."""
    done = lived.run("audit", "--sandbox", "--live")
    assert "known limit" in done.out
    assert "all coupons of 2 series were issued by this ledger" in done.out
    assert "known limit" in done.last_line or "known limits" in done.last_line
    lived.run("audit", "--sandbox", "--against", "nowhere.json", expect=2)


def test_what_was_revoked_issued_anew_and_forgotten_is_right_too(desk: Desk) -> None:
    """`undo`, `run --reissue-revoked` and `forget` leave a ledger whose tables still follow from its history."""
    file = desk.write("list.csv", [f"{mobile(1)},7,2", f"{mobile(2)},7,1"])
    words = ["--campaign", "c", "--yes", "--max-coupons", "9"]
    with desk.serving() as server:
        desk.init(server)
        first = desk.issue("run", file, *words)
        desk.run("undo", first.folder.name, "--customer", mobile(1), "--yes")
        assert desk.issue("run", file, *words, "--reissue-revoked").summary["coupons"]["issued"] == 3
        desk.run("forget", mobile(2), "--yes")
        document = desk.run("audit", "--live", "--json").json
    assert [one for one in document["checks"] if one["verdict"] == "WRONG"] == []
    assert document["campaigns"][0]["revoked"] == 2
    assert (document["campaigns"][0]["issued"], server.issued()) == (3, 5)


def test_a_changed_ledger_makes_the_command_exit_1(desk: Desk) -> None:
    """And says that nothing more may be issued with it."""
    desk.rehearse(desk.write("list.csv", [f"{mobile(1)},7,1"]))
    path = desk.folder / "state" / "coupon-runner" / "rehearsal" / "ledger.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE orders SET target = 5")
        connection.commit()
    done = desk.run("audit", "--sandbox", expect=1)
    assert "issue nothing with this ledger" in done.last_line
    assert "target 5; the newest list that names it says 1" in " ".join(done.out.split())


# ── surprises ────────────────────────────────────────────────────────────────────────────────────────────────────────

Surprising = Callable[[Desk], Any]


def _with(config: str, *rows: str, expect: int, header: str = "mobile,series_id,count") -> Surprising:
    def make(desk: Desk) -> Any:
        file = desk.write("list.csv", rows, header=header)
        words: list[str | Path] = ["--sandbox-config", desk.config(config), "--settle-wait", "0s"]
        words += ["--identify-by", "mobile,email"] if "email" in header else []
        return desk.run("run", file, *words, "--sandbox", "--yes", expect=expect)

    return make


def _resent(desk: Desk) -> Any:
    config = desk.config("[[series]]\nid = 7\nresend_existing = true\nallow_multiple = true\n")
    file = desk.write("list.csv", [f"{mobile(1)},7,1"])
    words: list[str | Path] = ["--sandbox-config", config, "--sandbox", "--yes"]
    desk.run("run", file, "--campaign", "first", *words)
    return desk.run("run", file, "--campaign", "second", "--overlap", "allow", *words, expect=1)


def _two_names(answers: str) -> str:
    return f'[[customers]]\nmobile = "{mobile(1)}"\nemail = "one@example.com"\n{answers}'


SURPRISES: dict[str, Surprising] = {
    "more_than_asked": _with(
        '[[series]]\nid = 7\nanswers = ["more_coupons"]\n', f"{mobile(1)},7,2", expect=1
    ),
    "repeated_coupon": _with('[[series]]\nid = 7\nanswers = ["repeated_coupon"]\n', f"{mobile(1)},7,2", expect=5),
    "resent": _resent,
    "same_person": _with(
        _two_names('answers = ["ok", "5005"]'), f"{mobile(1)},,7,1", ",one@example.com,7,1", expect=0,
        header="mobile,email,series_id,count",
    ),
}  # fmt: skip


@pytest.mark.parametrize("flag", SURPRISES)
def test_every_surprise_reaches_the_person_in_every_report(desk: Desk, flag: str) -> None:
    """Terminal, summary.json and report.xlsx name it with a sentence and the row; the audit names it too."""
    desk.environment["COUPON_RUNNER_REPORTS"] = "all"
    done = SURPRISES[flag](desk)
    folder = max((desk.folder / "coupon-runs").glob("*/summary.json")).parent
    summary = json.loads((folder / "summary.json").read_text())
    told = {one["flag"]: one for one in summary["surprises"]}
    assert told[flag]["count"] == summary["flags"][flag] == 1
    assert told[flag]["where"].startswith("row ")
    sentence = told[flag]["sentence"]
    assert sentence
    assert "Worth a look" in done.err
    assert sentence in " ".join(done.err.split())
    from openpyxl import load_workbook

    sheet = load_workbook(folder / "report.xlsx").worksheets[0]
    cells = [str(cell) for row in sheet.iter_rows(values_only=True) for cell in row if cell is not None]
    assert "Surprises" in cells
    assert any(sentence in cell for cell in cells)
    assert told[flag]["where"] in cells
    audited = desk.run("audit", "--sandbox").out
    assert flag == "same_person" or sentence in " ".join(audited.split())


def test_an_id_that_is_known_for_another_customer_is_told(desk: Desk) -> None:
    """Two servers with one seed give the same ids to different customers, as an API must not."""
    with desk.serving(truth="one.db") as server:
        desk.init(server)
        port = server.port
        words = ["--campaign", "c", "--yes", "--max-coupons", "9"]
        desk.issue("run", desk.write("a.csv", [f"{mobile(1)},7,1"]), *words)
    with desk.serving(truth="two.db", port=port):
        done = desk.run("run", desk.write("b.csv", [f"{mobile(2)},7,1"]), *words, expect=None)
    assert "another customer" in " ".join(done.err.split())
    audited = desk.run("audit").out
    assert "more than one customer" in " ".join(audited.split())


# ── find --live ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_find_live_marks_each_coupon_of_the_api_ours_or_not_ours(desk: Desk) -> None:
    """Ours with run, file and row; another tool's is not ours; the same from a ledger that knows nothing of her."""
    with desk.serving() as server:
        desk.init(server)
        words = ["--yes", "--max-coupons", "9"]
        other = Desk(desk.folder / "other", desk.starter)
        other.init(server)
        other.issue("run", other.write("theirs.csv", [f"{mobile(1)},7,2"]), "--campaign", "theirs", *words)
        other.end()
        desk.issue("run", desk.write("ours.csv", [f"{mobile(2)},7,1", f"{mobile(1)},7,1"]), "--campaign", "c", *words)
        found = desk.run("find", mobile(1), "--live", "--json").json
        assert sorted((one["whose"], one["file"], one["row"]) for one in found["live"] if one["row"]) == [
            ("ours", "ours.csv", 3)
        ]
        assert sorted(one["whose"] for one in found["live"]) == ["not ours", "not ours", "ours"]
        assert found["live_problem"] == ""
        text = desk.run("find", mobile(1), "--live").out
        assert "3 coupons, 1 of them ours" in text
        stranger = desk.run("find", mobile(9), "--live").out
        assert "no coupon" in stranger or "knows no such customer" in stranger
        audited = desk.run("audit", "--live", "--json").json
    checks = {one["name"]: one for one in audited["checks"]}
    assert checks["issued elsewhere"]["verdict"] == "known limit"
    assert checks["issued elsewhere"]["details"] == ["series 7: 2 of 4 coupons were issued by others than this ledger"]


def test_without_credentials_the_audit_says_what_it_could_not_ask(desk: Desk) -> None:
    """It is no finding: the ledger is right all the same."""
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("list.csv", [f"{mobile(1)},7,1"])
        desk.issue("run", file, "--campaign", "c", "--yes", "--max-coupons", "9")
    for name in ("COUPON_RUNNER_API_USER", "COUPON_RUNNER_API_PASSWORD"):
        del desk.environment[name]
    text = " ".join(desk.run("audit", "--live").out.split())
    assert "issued elsewhere: not known: No credentials for the API" in text
