"""Each fault does what its name says, and the truth knows what was issued under it."""

from __future__ import annotations

import http.client
import time
from email.utils import parsedate_to_datetime

import pytest

from runner.sandbox import fault_names, parse_config
from runner.sandbox.faults import GROUPS, KINDS, parse_fault

ASKED = 4
TIMES = {"hang_seconds": 0.1, "late_seconds": 0.05, "drip_seconds": 0.05}


def run(start, *answers, **config):
    return start({"answers": list(answers), "faults": TIMES} | config)


@pytest.mark.parametrize(
    ("fault", "status", "issued"),
    [
        ("500_html", 500, 0), ("500_json", 500, 0), ("502_html", 502, 0), ("503_html", 503, 0), ("504_html", 504, 0),
        ("504", 504, 0), ("503_4001", 503, 0), ("400_unparsable", 400, 0), ("401_xml", 401, 0), ("429", 429, 0),
        ("301", 301, 0), ("302", 302, 0), ("303", 303, 0), ("307", 307, 0), ("308", 308, 0), ("http_520", 520, 0),
        ("commit_then_500_html", 500, ASKED), ("commit_then_504_html", 504, ASKED), ("commit_then_302", 302, ASKED),
        ("commit_then_502_html", 502, ASKED), ("commit_then_500_json", 500, ASKED), ("commit_then_504", 504, ASKED),
        ("empty_200", 200, 0), ("html_200", 200, 0), ("empty_object", 200, 0), ("cut_json", 200, 0),
        ("gzip_garbage", 200, 0), ("commit_then_empty_200", 200, ASKED), ("commit_then_gzip_garbage", 200, ASKED),
        ("commit_then_cut_json", 200, ASKED), ("commit_then_empty_object", 200, ASKED), ("748", 200, 0),
        ("commit_then_748", 200, ASKED), ("722", 200, 0), ("722_half", 200, 2), ("722_counts", 200, 2),
        ("partial", 200, 2), ("partial:3", 200, 3), ("partial:0", 200, 0), ("partial_warning:1", 200, 1),
        ("partial_201", 201, 2), ("partial_unexplained:1", 200, 1), ("partial_unexplained:0", 200, 0),
        ("nulls", 200, ASKED), ("codes_as_strings", 200, 2), ("no_counts", 200, ASKED), ("count_above", 200, ASKED),
        ("more_coupons", 200, ASKED + 1), ("repeated_coupon", 200, ASKED - 1), ("late", 200, ASKED),
        ("late_commit", 200, ASKED), ("slow_drip", 200, ASKED), ("close_after", 200, ASKED), ("ok", 200, ASKED),
        ("5005", 200, 0), ("code_500", 200, 0), ("521", 200, 0), ("huge_body", 200, ASKED),
    ],
)  # fmt: skip
def test_the_truth_records_what_was_issued_under_a_fault(start, fault, status, issued):
    """Status as ordered, coupons in the truth as the name says, the post recorded with its fault."""
    client = run(start, fault)
    assert client.issue(1, ASKED).status == status
    assert client.issued() == issued
    (post,) = client.truth()["posts"]
    assert post["issued"] == issued
    assert post["status"] == status
    assert post["fault"]


@pytest.mark.parametrize(
    ("fault", "issued"),
    [("cut", 0), ("cut_before_commit", 0), ("commit_then_cut", ASKED), ("hang", 0), ("commit_then_hang", ASKED)],
)
def test_a_lost_answer_is_silence_whether_or_not_coupons_were_issued(start, fault, issued):
    client = run(start, fault)
    assert client.raw_issue(1, ASKED) == b""
    assert client.issued() == issued
    assert client.truth()["posts"][0]["status"] is None


def test_half_a_body_is_shorter_than_its_content_length(start):
    client = run(start, "half_body")
    with pytest.raises(http.client.IncompleteRead):
        client.issue(1, ASKED)
    assert client.issued() == ASKED


def test_half_the_headers_are_cut_before_their_end(start):
    client = run(start, "half_headers")
    found = client.raw_issue(1, ASKED)
    assert found.startswith(b"HTTP/1.1 200")
    assert b"\r\n\r\n" not in found
    assert client.issued() == ASKED


def test_a_hanging_call_ends_when_the_sandbox_stops(start):
    """No test and no process waits for ``hang_seconds``."""
    client = start({"answers": ["commit_then_hang"]})
    assert client.raw_issue(timeout=0.1) == b""
    began = time.monotonic()
    client.sandbox.stop()
    assert time.monotonic() - began < 1.5


def test_throttling_names_no_time_seconds_or_a_date(start):
    client = run(start, "429", "429_seconds:7", "429_date:60")
    replies = [client.issue() for _ in range(3)]
    assert [reply.status for reply in replies] == [429, 429, 429]
    assert "Retry-After" not in replies[0].headers
    assert replies[1].headers["Retry-After"] == "7"
    ahead = parsedate_to_datetime(replies[2].headers["Retry-After"]).timestamp() - client.clock.now
    assert 58 <= ahead <= 61


def test_a_redirect_leads_to_itself(start):
    """A client that follows 307 or 308 posts the call again."""
    client = run(start, "307")
    assert client.issue().headers["Location"] == "/v2/coupon/issue/multiple"


def test_an_unauthorized_answer_is_xml_and_a_gateway_answer_html(start):
    client = run(start, "401_xml", "504_html")
    assert client.issue().raw.startswith(b"<?xml")
    reply = client.issue()
    assert reply.headers["Content-Type"].startswith("text/html")
    assert b"<html>" in reply.raw


def test_nulls_stand_among_coupons_errors_and_for_warnings(start):
    body = run(start, "nulls").issue(1, 2).json
    assert body["coupons"][0] is None
    assert len(body["coupons"]) == 3
    assert body["errors"] == [None]
    assert body["warnings"] is None


def test_codes_as_strings(start):
    body = run(start, "codes_as_strings").issue(1, 2).json
    assert body["errors"][0]["code"] == "5005"
    assert isinstance(body["coupons"][0]["couponId"], str)


def test_counts_may_be_missing_or_above_what_is_listed(start):
    client = run(start, "no_counts", "count_above")
    assert not {"totalCount", "successCount", "failureCount"} & set(client.issue(1, 2).json)
    body = client.issue(1, 2).json
    assert (body["successCount"], len(body["coupons"])) == (2, 1)


def test_a_short_answer_may_explain_nothing(start):
    body = run(start, "partial_unexplained:1").issue(1, 3).json
    assert len(body["coupons"]) == 1
    assert body["errors"] == []
    assert body["warnings"] == []
    assert "totalCount" not in body


def test_a_coupon_may_be_listed_twice(start):
    coupons = run(start, "repeated_coupon").issue(1, 3).json["coupons"]
    assert len(coupons) == 3
    assert len({coupon["couponId"] for coupon in coupons}) == 2


def test_722_comes_alone_or_with_counts(start):
    client = run(start, "722_half", "722_counts")
    assert "totalCount" not in client.issue(1, 4).json
    body = client.issue(1, 4).json
    assert (body["successCount"], body["failureCount"], body["errors"][0]["code"]) == (2, 2, 722)


def test_a_slow_answer_comes_whole(start):
    assert run(start, "slow_drip").issue(1, 20).json["successCount"] == 20


def test_garbage_is_marked_gzip(start):
    reply = run(start, "gzip_garbage").issue()
    assert reply.headers["Content-Encoding"] == "gzip"


def test_a_huge_body_is_larger_than_eight_megabytes(start):
    assert len(run(start, "huge_body").issue().raw) > 8 * 2**20


def test_answers_are_used_up_one_per_call_and_then_all_is_normal(start):
    client = start({"series": [{"id": 1, "answers": ["5005", "5005", "ok"]}]})
    assert [bool(client.issue().json["errors"]) for _ in range(5)] == [True, True, False, False, False]


def test_the_last_answer_repeats_when_told_to(start):
    client = start({"series": [{"id": 1, "answers": ["ok", "5005"], "repeat_last": True}]})
    assert [bool(client.issue().json["errors"]) for _ in range(4)] == [False, True, True, True]


def test_a_customers_answers_come_before_the_series_and_those_for_every_call(start):
    client = start(
        {
            "answers": ["503_html"],
            "series": [{"id": 1, "answers": ["504_html"]}],
            "customers": [{"mobile": "919000000001", "answers": ["502_html"]}],
        }
    )
    assert [client.issue().status for _ in range(4)] == [502, 504, 503, 200]


def test_the_place_in_a_list_survives_a_restart(start):
    config = {"series": [{"id": 1, "answers": ["5005", "ok", "707"]}]}
    client = start(config)
    assert client.issue().codes == [5005]
    client.sandbox.stop()
    again = start(config)
    assert again.issue().codes == []
    assert again.issue().codes == [707]


def test_a_queue_may_be_empty_for_a_time(start):
    """5005 from the first call on, for ``dry_for_seconds``."""
    client = start({"series": [{"id": 1, "dry_for_seconds": 30}]})
    assert client.issue().codes == [5005]
    client.clock.now += 29
    assert client.issue().codes == [5005]
    client.clock.now += 2
    assert client.issue().codes == []


def test_a_commit_after_the_client_has_gone_is_in_the_truth(start):
    """The worst of all: nothing is there when the client first looks."""
    client = run(start, "late_commit:0.15")
    assert client.raw_issue(timeout=0.02) == b""
    assert client.issued() == 0
    deadline = time.monotonic() + 2
    while not client.issued() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert client.issued() == 1


def test_chaos_repeats_with_its_seed_whatever_the_order_of_calls(start, tmp_path):
    """The fault depends on seed, customer, series and how often they were seen."""
    customers = [{"mobile": f"9190000000{n:02}"} for n in range(60)]

    def faults(name, order, seed):
        config = {"chaos": {"short": 0.3, "gateway": 0.2, "throttled": 0.1}}
        client = start(config, truth_path=tmp_path / name, chaos=seed)
        for customer in order:
            client.issue(1, 3, customer)
        return {post["who"]: (post["fault"], post["issued"]) for post in client.truth()["posts"]}

    first = faults("a.db", customers, 5)
    assert first == faults("b.db", customers[::-1], 5)
    assert first != faults("c.db", customers, 6)
    assert {fault for fault, _ in first.values()} > {None}


def test_chaos_without_rates_is_a_mix_and_false_switches_it_off(start, tmp_path):
    mixed = start({"chaos": {"hang_seconds": 0.01, "late_seconds": 0, "drip_seconds": 0}}, chaos=3)
    for n in range(40):
        mixed.raw_issue(n + 1, 2, timeout=1)
        if len(mixed.truth()["totals"]["posts_by_fault"]) > 3:
            break
    assert len(mixed.truth()["totals"]["posts_by_fault"]) > 3
    truth = mixed.truth()
    assert sum(post["issued"] for post in truth["posts"]) == truth["totals"]["coupons"]
    calm = start({"chaos": {"lost": 1.0}}, chaos=False, truth_path=tmp_path / "calm.db")
    assert calm.issue().status == 200


def test_every_name_can_be_read_and_every_group_holds_known_names():
    for name in fault_names():
        parse_fault(name)
    for members in GROUPS.values():
        for member in members:
            assert not isinstance(parse_fault(member), str)
    assert {"cut_before_commit", "commit_then_cut", "commit_then_hang", "lost", "short"} <= set(fault_names())
    assert all(kind.meaning for kind in KINDS.values())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("comit_then_cut", "Did you mean 'commit_then_cut'"),
        ("nonsense", "504_html"),
        ("commit_then_429", "write '429'"),
        ("partial:many", "number of given"),
        ("504_html:3", "takes no number"),
        ("http_200", "from 300 to 599"),
    ],
)
def test_an_unknown_fault_is_a_sentence_that_helps(text, says):
    with pytest.raises(ValueError, match=says):
        parse_config({"answers": [text]})
