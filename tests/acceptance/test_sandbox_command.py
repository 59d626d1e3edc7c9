"""`coupon-runner sandbox` describes itself, and plays real series without touching them."""

from __future__ import annotations

import json
import tomllib
import urllib.request
from typing import Any

import pytest

from runner.sandbox import describe
from tests.acceptance.desk import PASSWORD, USER, Server, mobile

LIVE = """
unknown_series = "refuse"
auth = { user = "%s", password = "%s" }

[[series]]
id = 415446
kind = "uploaded"
stock = 1000
issued_before = 998
description = "Sample voucher"
""" % (USER, PASSWORD)  # noqa: UP031 - braces are TOML's
CREDENTIALS = {"COUPON_RUNNER_API_USER": USER, "COUPON_RUNNER_API_PASSWORD": PASSWORD}


def get(url: str) -> Any:
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - as above
        return json.loads(response.read())


def test_it_prints_the_page_that_it_would_serve(desk):
    """Plain, and with faults when some are ordered; nothing is served."""
    plain = json.loads(desk.run("sandbox", "--openapi").out)
    assert "x-faults" not in plain
    faulty = desk.config('answers = ["5005"]\n')
    with_faults = json.loads(json.dumps(describe()))
    for words in (["--chaos", "7"], ["--sandbox-config", faulty]):
        assert json.loads(desk.run("sandbox", "--openapi", *words).out) == with_faults
    by_variable = desk.run("sandbox", "--openapi", COUPON_RUNNER_SANDBOX_CONFIG=str(faulty))
    assert json.loads(by_variable.out) == with_faults


def test_it_plays_real_series_with_what_they_have_left(desk):
    """Started with --like-live it says of a series what the real API says; the real one issues nothing."""
    with desk.serving(LIVE) as live:
        words = ["sandbox", "--like-live", "--series", "415446", "--api-url", live.url, "--port", "0"]
        played = Server(
            desk.start(*words, "--truth", desk.folder / "played.db", **CREDENTIALS), desk.folder / "played.db"
        )
        (series,) = get(f"{played.url}/v2/coupon/series?ids=415446")["entity"]
        assert (series["numUploadedTotal"], series["numUploadedNonIssued"]) == (1000, 2)
        assert series["description"] == "Sample voucher"
        played.stop()
        assert live.truth()["totals"]["posts"] == 0


def test_a_rehearsal_meets_the_limits_of_the_real_series(desk):
    """Settings printed once, then rehearsed with: two codes are left for three customers."""
    with desk.serving(LIVE) as live:
        asked = ["sandbox", "--like-live", "--series", "415446", "--api-url", live.url, "--print-config"]
        printed = desk.run(*asked, **CREDENTIALS).out
    assert tomllib.loads(printed)["series"][0]["issued_before"] == 998
    file = desk.write("list.csv", [f"{mobile(n)},415446,1" for n in range(1, 4)])
    words = [file, "--sandbox-config", desk.config(printed, "live.toml")]
    assert "1 would be refused" in desk.run("run", *words, "--sandbox", "--yes", expect=3).last_line
    reports = desk.rehearse(*words, "--ignore-preflight", expect=1)
    assert sorted(reports.statuses()) == ["failed", "issued", "issued"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--like-live"], "give --series"),
        (["--like-live", "--series", "415446"], "No API address"),
        (["--like-live", "--series", "415446", "--api-url", "https://eu.api.capillarytech.com"], "No credentials"),
        (["--series", "415446"], "go with --like-live"),
        (["--print-config"], "go with --like-live"),
    ],
)
def test_what_it_needs_to_copy_is_said(desk, words, sentence):
    refused = desk.run("sandbox", *words, expect=2)
    assert sentence in refused.last_line
    assert not (desk.folder / "state").exists()
