"""The check before a run against APIs that answer it, refuse it or know nothing: which of them ends the command."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from runner.adapters.credentials import BasicCredentials, OAuthCredentials
from runner.adapters.ledger.holding_open import OpenOrders
from runner.adapters.ledger.staging import Staging
from runner.app.place import Api
from runner.app.preflighting import AT_ONCE, Preflight
from runner.core.plan import Plan
from runner.core.preflight import Findings, HeldBack, Why
from runner.errors import ApiRefusesAll
from runner.sandbox import Sandbox, parse_config
from runner.settings import Options
from tests.adapters.staging_world import OTHER_SERIES, SERIES, World, row
from tests.app.test_lookups import JumpingClock

ROWS = [row(2, "m1"), row(3, "m2", count=5), row(4, "m3", series=(OTHER_SERIES,))]


class Answered(NamedTuple):
    """What the API answers to a GET of these series."""

    status: int
    body: Any
    headers: tuple[tuple[str, str], ...] = ()


class Scripted:
    """An API that answers reads of series by a function, and counts everything that is asked of it."""

    def __init__(self, answer: Callable[[list[int]], Answered]) -> None:
        self.gets: list[list[int]] = []
        self.posts = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                query = self.path.partition("?")[2]
                asked = [int(part.partition("=")[2]) for part in query.split("&") if part]
                outer.gets.append(asked)
                status, body, headers = answer(asked)
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in (*headers, ("Content-Length", str(len(data)))):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self) -> None:
                outer.posts += 1
                self.rfile.read(int(self.headers["Content-Length"]))
                data = b'{"data":null,"errors":[{"code":320001,"message":"Invalid key/secret"}]}'
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Silence."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def entity(number: int, **changes: Any) -> dict[str, Any]:
    return {"id": number, "clientHandlingType": "DISC_CODE", "maxCreate": -1, "numIssued": 0, **changes}


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[list[int]], Answered]], Scripted]]:
    running: list[Scripted] = []

    def start(answer: Callable[[list[int]], Answered]) -> Scripted:
        running.append(Scripted(answer))
        return running[-1]

    yield start
    for one in running:
        one.close()


def preflight(url: str, *, oauth: bool = False, rehearsal: bool = False, **options: Any) -> Preflight:
    credentials: Any = OAuthCredentials("key", "secret") if oauth else BasicCredentials("u", "p")
    api = Api(url=url, credentials=credentials, fingerprint="-")
    told = Options.model_validate({"api_url": url, "timeout": 5, **options})
    return Preflight(api=api, options=told, clock=JumpingClock(), rehearsal=rehearsal)


def look(folder: Path, check: Preflight, rows: Any = ROWS) -> tuple[Plan, Findings]:
    world = World(folder)
    with Staging(world.file) as staging:
        staging.add(rows)
        return check.look(staging, world.plan(staging, world.campaign()))


def test_the_sandbox_is_asked_once_for_all_series_and_what_cannot_succeed_is_held_back(tmp_path):
    """Whatever the embedded API says of its series: the settings, the reasons, what is left of the plan."""
    config = {"unknown_series": "refuse", "series": [{"id": SERIES, "max_per_customer": 3, "messages": True}]}
    with Sandbox(truth_path=tmp_path / "truth.db", config=parse_config(config)) as sandbox:
        plan, findings = look(tmp_path, preflight(sandbox.base_url))
    assert findings.checked
    assert [(one.series, one.why, one.orders) for one in plan.held_back] == [
        (SERIES, "too_many", 1),
        (OTHER_SERIES, "unknown", 1),
    ]
    assert plan.missing == 1
    assert findings.messages == (SERIES,)
    assert [one.why for one in findings.remarks] == [Why.MESSAGES]


def test_a_rehearsal_that_was_told_nothing_of_the_series_shows_no_made_up_values(tmp_path):
    """The sandbox's default of 100 is nobody's money."""
    with Sandbox(truth_path=tmp_path / "truth.db", config=parse_config({})) as sandbox:
        _, findings = look(tmp_path, preflight(sandbox.base_url, rehearsal=True))
        assert findings.money == {}
        told = preflight(sandbox.base_url, rehearsal=True, sandbox_config="told.toml")
        (tmp_path / "two").mkdir()
        assert look(tmp_path / "two", told)[1].money.keys() == {SERIES, OTHER_SERIES}


@pytest.mark.parametrize(
    "answered",
    [
        Answered(401, b"<response><status>false</status></response>"),
        Answered(498, {"errors": [{"code": 498, "message": "token ended"}]}),
        Answered(200, {"errors": [{"code": 401, "message": "no such user"}]}),
        Answered(415, {"error": "Unsupported Media Type"}),
        Answered(302, b"", (("Location", "https://example.com/"),)),
        Answered(308, b"", (("Location", "https://example.com/"),)),
    ],
)
def test_what_would_refuse_every_call_ends_the_command_after_one_read(serve, answered):
    """Exit 6; the message names the address and what to check. Nothing is posted."""
    api = serve(lambda _: answered)
    with pytest.raises(ApiRefusesAll) as raised:
        preflight(api.url).knock()
    assert api.url in raised.value.message
    assert "nothing was sent" in raised.value.message
    assert raised.value.exit_code == 6
    assert (len(api.gets), api.posts) == (1, 0)


def test_a_wrong_pair_of_key_and_secret_ends_it_with_no_read_at_all(serve):
    """One request for a token, which is refused."""
    api = serve(lambda _: Answered(200, {"entity": []}))
    with pytest.raises(ApiRefusesAll, match="320001"):
        preflight(api.url, oauth=True).knock()
    assert (len(api.gets), api.posts) == (0, 1)


@pytest.mark.parametrize("status", [403, 404, 405])
def test_without_access_to_the_read_it_is_said_once_and_the_plan_is_as_it_was(serve, tmp_path, status):
    """A key may issue and not read: a warning, no second try, nothing held back."""
    api = serve(lambda _: Answered(status, {"errors": []}))
    check = preflight(api.url)
    check.knock()
    plan, findings = look(tmp_path, check)
    assert f"HTTP {status}" in findings.problem
    assert (plan.missing, plan.held_back, findings.checked) == (7, (), False)
    assert len(api.gets) == 1


@pytest.mark.parametrize("answered", [Answered(503, b"<html>busy"), Answered(200, b"<html>maintenance")])
def test_an_api_that_is_away_does_not_end_the_command(serve, tmp_path, answered):
    """It may be back when it is needed; asked once before the files and once after, since it was away."""
    api = serve(lambda _: answered)
    check = preflight(api.url)
    check.knock()
    plan, findings = look(tmp_path, check)
    assert findings.problem
    assert plan.missing == 7
    assert len(api.gets) == 2


def test_series_that_are_known_already_are_not_asked_for_again(serve, tmp_path):
    """The read before the files counts, when --series told their ids."""
    api = serve(lambda asked: Answered(200, {"entity": [entity(number) for number in asked]}))
    check = preflight(api.url)
    check.knock([SERIES, OTHER_SERIES])
    _, findings = look(tmp_path, check)
    assert findings.checked
    assert api.gets == [[SERIES, OTHER_SERIES]]


def test_nothing_follows_from_the_harmless_read(serve, tmp_path):
    """Series 1 is nobody's business unless the plan names it; then it is asked for like any other."""
    api = serve(lambda asked: Answered(200, {"entity": [entity(number) for number in asked]}))
    check = preflight(api.url)
    check.knock()
    plan, findings = look(tmp_path, check, [*ROWS, row(5, "m4", series=(1,))])
    assert findings.settings.keys() == {1, SERIES, OTHER_SERIES}
    assert plan.held_back == ()
    assert api.gets == [[1], [1, SERIES, OTHER_SERIES]]


def test_an_api_that_refuses_a_list_with_one_bad_series_is_asked_for_each(serve, tmp_path):
    """So that one wrong id is told, and not taken for all."""

    def answer(asked: list[int]) -> Answered:
        if OTHER_SERIES in asked:
            return Answered(200, {"errors": [{"code": 707, "message": "Coupon Series ID is invalid"}]})
        return Answered(200, {"entity": [entity(number) for number in asked]})

    api = serve(answer)
    plan, findings = look(tmp_path, preflight(api.url))
    assert [(one.series, one.why) for one in plan.held_back] == [(OTHER_SERIES, "unknown")]
    assert findings.settings.keys() == {SERIES}
    assert len(api.gets) == 3


def test_many_series_are_read_in_lists(serve, tmp_path):
    """At most so many in one read."""
    api = serve(lambda asked: Answered(200, {"entity": [entity(number) for number in asked]}))
    rows = [row(2 + n, f"m{n + 1}", series=(1000 + n,)) for n in range(AT_ONCE + 1)]
    _, findings = look(tmp_path, preflight(api.url), rows)
    assert len(findings.settings) == AT_ONCE + 1
    assert [len(asked) for asked in api.gets] == [AT_ONCE, 1]


def test_what_is_sent_nonetheless_is_found_and_not_held_back(serve, tmp_path):
    """`--ignore-preflight`: the reasons are told, the plan is whole."""
    api = serve(lambda _: Answered(200, {"entity": []}))
    plan, findings = look(tmp_path, preflight(api.url, ignore_preflight=True))
    assert findings.ignored
    assert (plan.missing, plan.back) == (7, 0)
    assert {one.why for one in plan.held_back} == {"unknown"}


def look_again(folder: Path, check: Preflight, *, spent: int = 0) -> tuple[tuple[HeldBack, ...], Findings]:
    """The check of a run that was loaded and stopped."""
    world = World(folder)
    world.load(ROWS)
    with OpenOrders(world.file, 1) as orders:
        return check.look_again(orders, spent=spent)


def test_what_is_left_of_an_unfinished_run_is_checked_as_a_plan_is(serve, tmp_path):
    """The series may have changed since: one is gone, the other has too little left."""
    api = serve(lambda _: Answered(200, {"entity": [entity(SERIES, maxCreate=100, numIssued=98)]}))
    held_back, findings = look_again(tmp_path, preflight(api.url))
    assert [(one.series, one.why, one.orders) for one in held_back] == [(OTHER_SERIES, "unknown", 1)]
    assert [(one.series, one.why) for one in findings.damage] == [(SERIES, Why.SHORT)]
    assert api.gets == [[SERIES, OTHER_SERIES]]


def test_what_the_cap_of_a_run_leaves_of_it_is_compared_with_the_stock(serve, tmp_path):
    """Ten may be issued by this run and eight are: two coupons are enough."""
    api = serve(lambda asked: Answered(200, {"entity": [entity(one, maxCreate=100, numIssued=98) for one in asked]}))
    _, findings = look_again(tmp_path, preflight(api.url, max_coupons=10), spent=8)
    assert findings.damage == ()


def test_without_access_to_the_read_an_unfinished_run_goes_on(serve, tmp_path):
    """Said, and nothing held back."""
    api = serve(lambda _: Answered(403, {"errors": []}))
    held_back, findings = look_again(tmp_path, preflight(api.url))
    assert held_back == ()
    assert "HTTP 403" in findings.problem
    assert findings.damage == findings.messages == ()
