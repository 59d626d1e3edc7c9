"""The truth: committed before the answer leaves, kept through restarts and kills, readable by anyone."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from runner.sandbox import TruthError, held_by_identifier, keys_seen_again, read_truth
from runner.sandbox.truth import CODE_LENGTH, Truth, code_for

ISSUE = "/v2/coupon/issue/multiple"
JSON_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
ROOT = Path(__file__).parents[2]


def test_the_truth_tells_per_customer_and_series_and_per_call_key(start):
    """The shape that docs/sandbox.md describes; the page is what the helper reads from the file."""
    client = start()
    client.issue(11, 2, key="first")
    client.issue(22, 1, key="second")
    page = client.get("/_truth").json
    assert page == client.truth()
    owner = str(page["identifiers"]["mobile:919000000001"])
    assert page["customers"][owner]["identifiers"] == {"mobile": ["919000000001"]}
    entry = page["customers"][owner]["series"]["11"]
    assert (entry["issued"], entry["held"]) == (2, 2)
    assert set(entry["coupons"][0]) == {"couponId", "code", "call", "post", "created", "revoked", "redeemed"}
    assert entry["coupons"][0]["call"] == "first"
    assert page["calls"] == {"first": 1, "second": 1}
    assert page["totals"]["issued_by_series"] == {"11": 2, "22": 1}
    assert held_by_identifier(page) == {"mobile:919000000001": {11: 2, 22: 1}}


def test_a_summary_holds_only_totals(start):
    client = start()
    client.issue()
    page = client.get("/_truth", {"summary": 1}).json
    assert list(page) == ["totals"]
    assert page["totals"]["coupons"] == page["totals"]["posts"] == page["totals"]["keys"] == 1


def test_a_call_key_posted_twice_is_seen_twice(start):
    """The sandbox has no idempotency: the second one issues again, and the truth tells."""
    client = start()
    client.issue(key="same")
    client.issue(key="same")
    assert keys_seen_again(client.truth()) == {"same": 2}
    assert client.issued() == 2


def test_refused_posts_are_seen_too(start):
    client = start({"limits": {"limit": 1}})
    client.issue(key="a")
    client.issue(key="b")
    client.send("POST", ISSUE, b"nonsense", X_CAP_REQUEST_ID="c")
    assert client.truth()["calls"] == {"a": 1, "b": 1, "c": 1}
    assert [post["status"] for post in client.truth()["posts"]] == [200, 429, 429]


def test_several_identifiers_can_be_one_customer(start):
    client = start(
        {"customers": [{"mobile": ["919000000001", "919000000002"], "email": "One@example.com", "external_id": "01"}]}
    )
    names = [{"mobile": "919000000001"}, {"mobile": "919000000002"}, {"email": "ONE@EXAMPLE.COM"}, {"externalId": "01"}]
    assert len({client.issue(1, 1, name).json["customer"]["id"] for name in names}) == 1
    assert client.truth()["totals"]["customers"] == 1


def test_tying_identifiers_later_merges_the_customers(start):
    """Two customers become one at a restart with another configuration; the coupons move along."""
    client = start()
    ids = {
        client.issue(1, 1, name).json["customer"]["id"] for name in ({"mobile": "919000000001"}, {"externalId": "1"})
    }
    client.sandbox.stop()
    again = start({"customers": [{"mobile": "919000000001", "external_id": "1"}]})
    assert len(ids) == 2
    assert again.issue(1, 1, {"externalId": "1"}).json["customer"]["id"] == min(ids)
    assert again.truth()["customers"][str(min(ids))]["series"]["1"]["issued"] == 3


def test_the_truth_survives_a_restart(start):
    client = start()
    first = client.issue(1, 3).json
    client.sandbox.stop()
    again = start()
    second = again.issue(1, 3).json
    assert again.issued() == 6
    assert first["customer"]["id"] == second["customer"]["id"]
    ids = {coupon["couponId"] for body in (first, second) for coupon in body["coupons"]}
    codes = {coupon["code"] for body in (first, second) for coupon in body["coupons"]}
    assert len(ids) == len(codes) == 6


def spawn(truth: Path, *more: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "runner.sandbox", "--truth", str(truth), *more],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_no_answered_coupon_is_lost_when_the_process_is_killed(tmp_path):
    """Whatever a client has read is in the file, whenever SIGKILL comes; and a new process goes on with it."""
    truth = tmp_path / "truth.db"
    told: list[int] = []
    for kill_after in (3, 17):
        process, url = spawn(truth)
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
        reached = threading.Event()

        def pound(connection=connection, reached=reached, kill_after=kill_after) -> None:
            body = json.dumps({"seriesId": 1, "count": 3, "customer": {"mobile": "919000000001"}}).encode()
            try:
                for n in range(100_000):
                    connection.request("POST", ISSUE, body, JSON_HEADERS)
                    told.extend(c["couponId"] for c in json.loads(connection.getresponse().read())["coupons"])
                    if n >= kill_after:
                        reached.set()
            except (OSError, http.client.HTTPException):
                pass

        thread = threading.Thread(target=pound)
        thread.start()
        assert reached.wait(10)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        thread.join(10)
        connection.close()
    evidence = read_truth(truth)
    kept = [
        coupon["couponId"]
        for customer in evidence["customers"].values()
        for series in customer["series"].values()
        for coupon in series["coupons"]
    ]
    assert len(kept) == len(set(kept))
    assert set(told) <= set(kept)
    assert len(kept) - len(told) in (0, 3, 6), "at most the one call in flight at each kill"
    assert evidence["totals"]["coupons"] == 3 * evidence["totals"]["posts"]


def test_the_process_ends_cleanly_on_sigterm_and_prefixes_its_codes(tmp_path):
    """The first line of its output is the base URL."""
    process, url = spawn(tmp_path / "truth.db", "--code-prefix", "REHEARSAL-", "--seed", "4")
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    body = json.dumps({"seriesId": 1, "customer": {"mobile": "919000000001"}})
    connection.request("POST", ISSUE, body, JSON_HEADERS)
    code = json.loads(connection.getresponse().read())["coupons"][0]["code"]
    process.terminate()
    process.communicate(timeout=5)
    assert process.returncode == 0
    connection.close()
    assert code.startswith("REHEARSAL-")
    assert len(code) == len("REHEARSAL-") + CODE_LENGTH


def test_a_wrong_configuration_ends_the_process_with_its_sentences(tmp_path):
    config = tmp_path / "sandbox.toml"
    config.write_text('colour = "blue"\n')
    done = subprocess.run(
        [sys.executable, "-m", "runner.sandbox", "--truth", str(tmp_path / "t.db"), "--config", str(config)],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "sandbox.toml: colour: unknown key" in done.stderr
    assert "Traceback" not in done.stderr


def test_codes_of_different_coupons_differ():
    codes = {code_for(coupon_id, 12345) for coupon_id in range(1_237_000_000, 1_237_050_000)}
    assert len(codes) == 50_000
    assert all(len(code) == CODE_LENGTH for code in codes)


def test_a_file_that_is_no_truth_is_refused_with_a_sentence(tmp_path):
    other = tmp_path / "notes.txt"
    other.write_text("this is not a database, but somebody's notes\n" * 40)
    with pytest.raises(TruthError, match=r"notes\.txt"):
        Truth(other)
    assert other.read_text().startswith("this is not")


@pytest.mark.skipif(os.name == "nt", reason="other permissions")
def test_only_its_owner_can_read_the_truth(tmp_path):
    """A rehearsal writes the identifiers of real customers into it."""
    with Truth(tmp_path / "new" / "truth.db"):
        modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()}
    assert modes == {0o600}


def test_a_missing_truth_is_not_created_by_reading(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_truth(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
