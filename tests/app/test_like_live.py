"""`sandbox --like-live` against a second sandbox that plays the real API: what is copied, and what is refused."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.adapters.clock import SystemClock
from runner.app.like_live import Copied, copy_live_series
from runner.errors import ApiRefusesAll, SettingsError, UsageError
from runner.sandbox import Sandbox, SandboxConfig, load_config, parse_config, read_truth
from runner.settings import Options

KEY = {"COUPON_RUNNER_API_KEY": "key", "COUPON_RUNNER_API_SECRET": "secret"}
JSON = {"Content-Type": "application/json", "Accept": "application/json"}
LIVE: dict[str, Any] = {
    "org_id": 4711,
    "unknown_series": "refuse",
    "auth": {"key": "key", "secret": "secret"},
    "series": [
        {"id": 1, "max_create": 100, "max_per_customer": 3, "min_days": 2, "valid_till": "2035-05-05"},
        {"id": 2, "kind": "uploaded", "stock": 9, "issued_before": 4, "allow_multiple": False},
        {"id": 3, "kind": "generic", "discount_type": "PERC", "discount_value": 10, "resend_existing": True},
        {"id": 4, "excludes": [1, 2], "campaign_id": 77, "expiry_type": "DAYS", "expiry_value": 30},
        {"id": 5, "external": True, "fixed_expiry": "2031-01-01", "description": 'Sample "voucher"\n\x7f ü'},
    ],
}

Serve = Callable[[SandboxConfig], Sandbox]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    running: list[Sandbox] = []

    def start(config: SandboxConfig) -> Sandbox:
        sandbox = Sandbox(truth_path=tmp_path / f"{len(running)}.db", config=config)
        running.append(sandbox)
        sandbox.start_in_thread()
        return sandbox

    yield start
    for sandbox in running:
        sandbox.stop()


def copy(live: Sandbox, *series: int, environment: dict[str, str] | None = None) -> Copied:
    options = Options(api_url=live.base_url, series=series, timeout=5)
    return copy_live_series(options, KEY if environment is None else environment, clock=SystemClock())


def ask(sandbox: Sandbox, path: str, body: Any = None, **headers: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(sandbox.base_url + path, data, {**JSON, **headers})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310 - as above
        return json.loads(response.read())


def settings(sandbox: Sandbox, series: range = range(1, 6)) -> Any:
    """What a sandbox says of its series."""
    path = "/v2/coupon/series?" + "&".join(f"ids={number}" for number in series)
    headers = {}
    if sandbox.config.auth.key:
        token = ask(sandbox, "/v3/oauth/token/generate", {"key": "key", "secret": "secret"})["data"]["accessToken"]
        headers["X-CAP-API-OAUTH-TOKEN"] = token
    return ask(sandbox, path, **headers)


def test_a_copy_says_of_its_series_what_the_real_api_says(serve):
    """Every field of every kind of series, what was issued and what is left, also over a file of settings."""
    live = serve(parse_config(LIVE))
    copied = copy(live, 1, 2, 3, 4, 5)
    assert copied.notes == ()
    direct = serve(parse_config(copied.config))
    assert settings(direct) == settings(live)
    file = live.truth_path.with_name("copied.toml")
    file.write_text(copied.as_toml(), encoding="utf-8")
    assert load_config(file) == direct.config


def test_copying_sends_nothing_that_could_change_the_real_api(serve):
    """No POST to issue, no revocation, no customer looked up, no coupon made."""
    live = serve(parse_config(LIVE))
    copy(live, 1, 2, 3, 4, 5)
    totals = read_truth(live.truth_path)["totals"]
    assert {name: count for name, count in totals.items() if count} == {}


def test_a_copy_goes_on_from_the_stock_that_is_left(serve):
    """Five of nine uploaded codes are left; the copy gives five, and the real one keeps all of them."""
    live = serve(parse_config(LIVE))
    sandbox = serve(parse_config(copy(live, 2).config))
    issued = [
        len(ask(sandbox, "/v2/coupon/issue/multiple", {"seriesId": 2, "customer": {"mobile": f"91900000000{n}"}})
            .get("coupons", []))
        for n in range(7)
    ]  # fmt: skip
    assert issued == [1, 1, 1, 1, 1, 0, 0]
    assert ask(sandbox, "/v2/coupon/series?ids=2")["entity"][0]["numUploadedNonIssued"] == 0
    assert read_truth(live.truth_path)["totals"]["coupons"] == 0


def test_what_the_file_says_of_a_series_wins_over_the_copy(serve, tmp_path):
    """Answers and faults can be added to real settings; the rest of the series stays as it was copied."""
    live = serve(parse_config(LIVE))
    file = tmp_path / "sandbox.toml"
    file.write_text('[[series]]\nid = 1\nmax_per_customer = 1\nanswers = ["5005"]\n[[series]]\nid = 8\n')
    config = load_config(file, beneath=copy(live, 1, 2).config)
    assert sorted(config.series) == [1, 2, 8]
    assert (config.series[1].max_per_customer, config.series[1].max_create, config.org_id) == (1, 100, 4711)
    assert [answer.name for answer in config.series[1].answers] == ["5005"]  # type: ignore[union-attr]


def test_basic_credentials_are_as_good(serve):
    live = serve(parse_config({**LIVE, "auth": {"user": "till.sample", "password": "open-sesame"}}))
    basic = {"COUPON_RUNNER_API_USER": "till.sample", "COUPON_RUNNER_API_PASSWORD": "open-sesame"}
    assert copy(live, 1, environment=basic).config["series"][0]["id"] == 1


def test_more_series_than_one_question_takes_are_asked_for_in_several(serve):
    live = serve(parse_config({"series": [{"id": number} for number in range(1, 121)]}))
    copied = copy(live, *range(1, 121), 5)
    assert [series["id"] for series in copied.config["series"]] == list(range(1, 121))


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"series": ()}, UsageError, "--like-live copies the settings of named series: give --series ID[,ID]."),
        ({"api_url": None}, SettingsError, "No API address: give --api-url"),
        ({"series": (1, 9, 8)}, UsageError, "does not know these series: 9, 8. Correct --series"),
        ({"series": (9,)}, UsageError, "does not know series 9. Correct --series"),
        ({"api_url": "https://example.com"}, SettingsError, "example.com"),
    ],
)
def test_what_cannot_be_copied_is_refused_in_a_sentence(serve, change, error, sentence):
    live = serve(parse_config(LIVE))
    options = Options(**({"api_url": live.base_url, "series": (1,)} | change))
    with pytest.raises(error) as refused:
        copy_live_series(options, KEY, clock=SystemClock())
    assert sentence in refused.value.message


def test_without_credentials_nothing_is_asked(serve):
    live = serve(parse_config(LIVE))
    with pytest.raises(SettingsError, match="No credentials for the API: set COUPON_RUNNER_API_KEY"):
        copy(live, 1, environment={})


@pytest.mark.parametrize(
    ("config", "environment", "sentence"),
    [
        ({}, {**KEY, "COUPON_RUNNER_API_SECRET": "other"}, "refuses the key and secret"),
        ({"reading": {"answers": ["http_403"], "repeat_last": True}}, KEY, "have no access to this read"),
        ({"reading": {"answers": ["empty_object"], "repeat_last": True}}, KEY, "holds no list of series"),
        ({"reading": {"answers": ["401_xml"], "repeat_last": True}}, KEY, "refuses the credentials"),
    ],
)
def test_an_api_that_does_not_answer_ends_it_with_what_it_said(serve, config, environment, sentence):
    live = serve(parse_config(LIVE | config))
    with pytest.raises(ApiRefusesAll) as refused:
        copy(live, 1, environment=environment)
    assert sentence in refused.value.message
    assert "secret" not in refused.value.message.replace("key and secret", "").replace("_API_SECRET", "")
