"""The machine fails: no room on the disk, a ledger that cannot be read or written, credentials that end, kills.

Each has its sentence and its exit code, never a traceback; what was sent is recorded, and the run goes on afterwards.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from runner.sandbox import keys_seen_again
from tests.acceptance.desk import ROOT, Desk, Server, mobile

WORDS = ["--campaign", "c", "--yes", "--max-coupons", "9999", "--settle-wait", "0s"]


def rows(count: int, series: int = 415446) -> list[str]:
    """A coupon for each of so many customers."""
    return [f"{mobile(number)},{series},1" for number in range(1, count + 1)]


def books_agree(desk: Desk, server: Server) -> tuple[int, int, int]:
    """No call twice, none that the ledger does not know, and for every order issued ≤ truth ≤ issued + in doubt.

    Returns issued, in doubt and truth.
    """
    truth = server.truth()
    with closing(sqlite3.connect(f"file:{desk.ledger}?mode=ro", uri=True)) as ledger:
        orders = ledger.execute("SELECT value, series, issued, held FROM orders").fetchall()
        calls = {key for (key,) in ledger.execute("SELECT key FROM calls")}
    assert keys_seen_again(truth) == {}
    assert set(truth["calls"]) <= calls
    held = {
        (name.partition(":")[2], int(series)): entry["issued"]
        for name, owner in truth["identifiers"].items()
        for series, entry in truth["customers"][str(owner)]["series"].items()
    }
    for value, series, issued, in_doubt in orders:
        assert issued <= held.get((value, series), 0) <= issued + in_doubt
    return sum(order[2] for order in orders), sum(order[3] for order in orders), truth["totals"]["coupons"]


def no_traceback(text: str) -> bool:
    """Whether a person was spared the program's insides."""
    return "Traceback" not in text and "sqlite3." not in text and "Error:" not in text


# ---------------------------------------------------------------- no room on the disk


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process: Linux only")
def test_no_room_for_the_ledger_ends_the_run_with_exit_6_and_resume_finishes_it(desk):
    """The file may not grow any more while calls are under way: nothing is sent after that, nothing is lost."""
    with desk.serving("latency_seconds = 0.02\n") as server:
        desk.init(server)
        file = desk.write("list.csv", rows(400))
        live = desk.start("run", file, *WORDS, "--concurrency", "4", "--reports", "csv")
        desk.until_posts(server, 5)
        log = desk.ledger.with_name("ledger.db-wal")
        room = log.stat().st_size + 60_000
        resource.prlimit(live.pid, resource.RLIMIT_FSIZE, (room, room))
        assert live.wait() == 6
        assert no_traceback(live.err)
        assert str(desk.ledger) in live.last_line
        assert "coupon-runner resume" in live.last_line
        stopped = server.posts()
        assert 5 <= stopped < 400
        desk.run("resume", "--yes", "--settle-wait", "0s", "--concurrency", "16", expect=None)
        issued, in_doubt, truth = books_agree(desk, server)
        assert issued + in_doubt == 400
        assert in_doubt <= 4
        assert truth <= 400
        assert server.posts() == 400


def test_no_room_for_the_reports_leaves_the_old_ones_and_report_writes_them_when_there_is(desk):
    """Exit 6 with the command to run; the ledger holds everything."""
    reports = desk.rehearse(desk.write("list.csv", rows(700)), "--reports", "csv")
    before = reports.digests()
    words = [sys.executable, "-m", "runner", "report", "--sandbox"]
    small = subprocess.run(
        words,
        cwd=desk.folder,
        env={**desk.environment, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert small.returncode == 6, small.stderr
    assert "The disk of " in small.stderr
    assert "is full" in small.stderr
    assert "coupon-runner report " in small.stderr.splitlines()[-1]
    assert no_traceback(small.stderr)
    assert reports.digests() == before
    assert not list(reports.folder.glob(".*"))
    desk.run("report", "--sandbox")
    assert reports.digests() == before


# ---------------------------------------------------------------- a ledger that cannot be used


def flip(start: int, length: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        begin = start % len(content)
        for index in range(begin, min(begin + length, len(content))):
            content[index] ^= 0xFF
        path.write_bytes(content)

    return damage


def cut(share: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        os.truncate(path, int(path.stat().st_size * share))

    return damage


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (flip(0, 100), "is not a ledger"),
        (flip(100, 4000), "is damaged"),
        (flip(4096, 1 << 30), "is damaged"),
        (cut(0.5), "is damaged"),
        (cut(0.0), "is not a ledger"),
        (cut(0.003), "is "),
    ],
    ids=["header", "first page", "all but the first page", "half is gone", "empty", "a few bytes left"],
)
def test_a_damaged_ledger_is_a_sentence_and_sends_nothing(desk, damage, says):
    """Bytes flipped or cut off: exit 6 (2 where it is no ledger at all), the path, and what to do."""
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("list.csv", rows(60))
        desk.run("run", file, *WORDS)
        assert not desk.ledger.with_name("ledger.db-wal").exists()
        damage(desk.ledger)
        more = desk.write("more.csv", rows(80))
        for words in (["run", more, *WORDS], ["find", mobile(1)]):
            ended = desk.run(*words, expect=None)
            assert ended.wait() in (2, 6), ended.err
            assert no_traceback(ended.err), ended.err
            assert says in ended.err
            assert str(desk.ledger) in ended.err
        assert (server.posts(), server.issued()) == (60, 60)


def as_its_owner_only() -> list[str]:
    """What makes a command of root's obey the rights of files; nothing for an ordinary user."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root may write everything, and there is no setpriv to give that up")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_ledger_that_may_not_be_written_is_a_sentence_and_sends_nothing(desk, what):
    """The file or its folder is read-only: exit 6 with what to give rights to, and nothing is posted."""
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("list.csv", rows(3))
        path = desk.ledger if what == "file" else desk.ledger.parent
        path.chmod(0o400 if what == "file" else 0o500)
        try:
            ended = subprocess.run(
                [*as_its_owner_only(), sys.executable, "-m", "runner", "run", str(file), *WORDS],
                cwd=desk.folder,
                env={**desk.environment, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            path.chmod(0o700)
        assert ended.returncode == 6, ended.stderr
        assert no_traceback(ended.stderr), ended.stderr
        assert str(desk.ledger) in ended.stderr
        assert server.posts() == 0
        desk.run("run", file, *WORDS)
        assert server.issued() == 3


# ---------------------------------------------------------------- credentials


def test_credentials_that_end_in_the_middle_stop_the_run_and_resume_goes_on(desk):
    """User and password answer 401 from the 11th call on: exit 6, no second try, nothing in doubt."""
    answers = ", ".join(['"ok"'] * 10 + ['"401_xml"'])
    with desk.serving(f"answers = [{answers}]\nrepeat_last = true\n") as server:
        desk.init(server)
        port = server.port
        file = desk.write("list.csv", rows(40))
        ended = desk.run("run", file, *WORDS, "--concurrency", "1", expect=6)
        assert "refuses the credentials" in ended.last_line
        assert (server.posts(), server.issued()) == (11, 10)
    with desk.serving(port=port) as server:
        desk.run("resume", "--yes")
        assert books_agree(desk, server) == (40, 0, 40)


def test_a_key_that_is_given_no_token_sends_nothing_at_all(desk):
    """Key and secret do not belong together: exit 6 before the list is read; the same command goes on when they do."""
    with desk.serving('[auth]\nrequired = true\nkey = "k-sample"\nsecret = "s-sample"\n') as server:
        desk.init(server)
        for name in ("USER", "PASSWORD"):
            del desk.environment[f"COUPON_RUNNER_API_{name}"]
        file = desk.write("list.csv", rows(5))
        keys = {"COUPON_RUNNER_API_KEY": "k-sample", "COUPON_RUNNER_API_SECRET": "another"}
        refused = desk.run("run", file, *WORDS, expect=6, **keys)
        assert "credentials" in refused.last_line
        assert server.posts() == 0
        desk.run("run", file, *WORDS, **{**keys, "COUPON_RUNNER_API_SECRET": "s-sample"})
        assert server.issued() == 5


# ---------------------------------------------------------------- an API that loses its answers


def test_an_api_that_loses_answers_for_a_while_is_read_and_gone_on_with(desk):
    """Twenty in a row: pause, a read, one call alone, the doubts settled by reading, and on. Each coupon once."""
    answers = ", ".join(['"ok"'] * 5 + ['"commit_then_504"'] * 20 + ['"ok"'] * 40)
    with desk.serving(f"answers = [{answers}]\n") as server:
        desk.init(server)
        file = desk.write("list.csv", rows(40))
        ended = desk.run("run", file, *WORDS, "--concurrency", "1")
        assert "20 answers in a row were lost: pausing" in ended.err
        assert "the API answers again: 20 calls in doubt, settling" in ended.err
        assert ended.err.index("20 calls in doubt read: 20 issued") < ended.err.index("going on")
        assert books_agree(desk, server) == (40, 0, 40)
        assert server.posts() == 40


# ---------------------------------------------------------------- two processes


def test_the_second_process_on_a_campaign_is_told_who_holds_it_and_since_when(desk):
    """Exit 7 with process, user, machine, time and run, and how to look; it sends nothing."""
    with desk.serving("[[series]]\nid = 415446\nanswers = ['late:3.0']\n") as server:
        desk.init(server)
        file = desk.write("list.csv", rows(2))
        live = desk.start("run", file, *WORDS, "--json")
        desk.until_posts(server, 1)
        live.signal(signal.SIGSTOP)  # it holds its campaign for as long as the others take
        for words in (["run", file, *WORDS], ["resume", "--yes"]):
            held = desk.run(*words, expect=7)
            assert f"process {live.pid} of " in held.last_line
            assert ", since 20" in held.last_line
            assert "coupon-runner show " in held.last_line
        live.signal(signal.SIGCONT)
        assert live.wait() == 0
        assert server.posts() == 2


# ---------------------------------------------------------------- killed


def test_reports_appear_whole_whenever_their_writer_is_killed(desk):
    """SIGKILL at any moment of `report`: every file is a whole old or a whole new one, and `report` mends the set."""
    reports = desk.rehearse(desk.write("list.csv", rows(300)), "--reports", "csv")
    before = reports.digests()
    chance = random.Random(5)
    idle = threading.Event()
    for _ in range(4):
        process = desk.start("report", "--sandbox")
        idle.wait(chance.uniform(0.0, 0.6))
        process.signal(signal.SIGKILL)
        process.wait()
        assert reports.digests() == before  # the ledger is the same, so the tables are
        assert reports.manifest["files"].keys() >= before.keys()
        assert {name: entry["sha256"] for name, entry in reports.manifest["files"].items() if name in before} == before
    desk.run("report", "--sandbox")
    assert reports.digests() == before
    assert not list(reports.folder.glob(".*"))


MIGRATE_AND_DIE = """
import os, sys
from pathlib import Path
from runner.adapters.ledger import migrations
from runner.adapters.ledger.files import LedgerFile
where, path, keys = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
die = lambda *_: os._exit(9)
step, back_up = migrations.MIGRATIONS[1], migrations._back_up
def stepping(conn):
    step(conn)
    if where == "before its commit":
        die()
def backing_up(*arguments):
    if where == "during the backup":
        Path.replace = die
    back_up(*arguments)
migrations.MIGRATIONS = {**migrations.MIGRATIONS, 1: stepping}
migrations._back_up = backing_up
LedgerFile.open(path, key_folder=keys)
os._exit(0 if where == "afterwards" else 1)
"""


@pytest.mark.parametrize("where", ["during the backup", "before its commit", "afterwards"])
def test_a_migration_that_is_killed_leaves_the_old_ledger_or_the_new_one(desk, where):
    """Never something in between; the next command does it again, and every coupon is still known."""
    with desk.serving() as server:
        desk.init(server)
        file = desk.write("list.csv", rows(5))
        desk.run("run", file, *WORDS)
        with closing(sqlite3.connect(desk.ledger)) as ledger:
            ledger.executescript(first_schema_lacks())
        keys = desk.folder / "config" / "coupon-runner"
        words = [sys.executable, "-c", MIGRATE_AND_DIE, where, str(desk.ledger), str(keys)]
        died = subprocess.run(
            words,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            check=False,
            capture_output=True,
        )
        assert died.returncode == (0 if where == "afterwards" else 9), died.stderr
        with closing(sqlite3.connect(desk.ledger)) as ledger:
            version = ledger.execute("PRAGMA user_version").fetchone()[0]
            tables = {name for (name,) in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert ("evidence" in tables) == (version > 1) == (where == "afterwards")
        desk.run("run", file, *WORDS)
        assert (server.posts(), server.issued()) == (5, 5)


def first_schema_lacks() -> str:
    """The statements that make a ledger of version 1 out of one of today."""
    from tests.adapters.test_ledger_files import FIRST_SCHEMA_LACKS

    return FIRST_SCHEMA_LACKS
