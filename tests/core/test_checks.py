"""What doctor concludes: a level, what was found, and a remedy wherever something is to be done."""

from __future__ import annotations

import pytest

from runner.core.checks import (
    Check,
    Level,
    Rights,
    check_answer,
    check_clock,
    check_mount,
    check_reach,
    check_rights,
    check_space,
    exit_of,
    split_message,
)
from runner.core.model import Exchange
from runner.core.mounts import Mount

NOON = 1_795_435_200.0  # 2026-11-23 12:00:00 UTC
DATE = "Mon, 23 Nov 2026 12:00:00 GMT"
MEGABYTE = 1024**2


def answered(status: int, body: str = "{}", **headers: str) -> Exchange:
    return Exchange(left=True, status=status, headers=headers, body=body.encode(), complete=True, seconds=0.2)


def error(code: int) -> str:
    return f'{{"errors":[{{"status":false,"code":{code},"message":"so it is"}}]}}'


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        ("ext4", Level.OK),
        ("nfs4", Level.FAIL),
        ("tmpfs", Level.FAIL),
        ("squashfs", Level.FAIL),
        ("overlay", Level.WARN),
        ("9p", Level.WARN),
    ],
)
def test_a_ledger_where_it_would_be_lost_or_shared_is_told_with_its_remedy(kind, level):
    """What is certainly lost or certainly unsafe fails; what may be is warned of."""
    check = check_mount("/srv/ledger.db", Mount("x", "/srv", kind))
    assert check.level is level
    assert kind in check.says
    assert bool(check.remedy) is (level is not Level.OK)


def test_a_rehearsals_ledger_may_be_lost_but_not_lie_on_a_network():
    """Nothing in it was issued; its locks count all the same."""
    assert check_mount("/tmp/l.db", Mount("x", "/tmp", "tmpfs"), rehearsal=True).level is Level.OK
    assert check_mount("/srv/l.db", Mount("x", "/srv", "nfs"), rehearsal=True).level is Level.FAIL


def test_a_system_that_tells_no_mounts_is_taken_at_its_word():
    """Windows: nothing is claimed of it."""
    check = check_mount("C:\\l.db", None)
    assert (check.level, "not told" in check.says) == (Level.OK, True)


@pytest.mark.parametrize(
    ("free", "level"),
    [
        (None, Level.FAIL),
        (99 * MEGABYTE, Level.FAIL),
        (100 * MEGABYTE, Level.WARN),
        (1023 * MEGABYTE, Level.WARN),
        (1024 * MEGABYTE, Level.OK),
    ],
)
def test_little_room_warns_and_no_room_fails(free, level):
    assert check_space("disk", "/srv", free).level is level


def test_what_cannot_be_written_fails_and_what_others_may_read_warns_with_the_command_to_close_it():
    mine = Rights("the ledger", "/srv/l.db", True, "")
    wide = Rights("its key", "/srv/l.key", True, "group and everybody")
    locked = Rights("its folder", "/srv", False, "everybody")
    assert check_rights([mine]).level is Level.OK
    assert (check_rights([mine, wide]).level, check_rights([mine, wide]).remedy) == (
        Level.WARN,
        "Close them: chmod go= '/srv/l.key'",
    )
    assert check_rights([mine, wide, locked]).says == "cannot be written: its folder /srv"


@pytest.mark.parametrize("failure", ["dns", "tls", "refused", "timeout", "reset", "protocol", "unheard-of"])
def test_a_host_out_of_reach_fails_and_names_the_layer(failure):
    """DNS, TLS and HTTP each have their own remedy."""
    check = check_reach("api.example.com", Exchange(left=True, failure=failure, detail="X"))
    assert (check.level, "api.example.com" in check.says or failure == "unheard-of") == (Level.FAIL, True)
    assert check.remedy


@pytest.mark.parametrize("status", [200, 401, 404, 503])
def test_any_answer_by_http_is_reach(status):
    assert check_reach("api.example.com", answered(status)).level is Level.OK


@pytest.mark.parametrize(
    ("ahead", "level", "words"),
    [
        (0.0, Level.OK, "agrees"),
        (60.0, Level.OK, "agrees"),
        (-60.0, Level.OK, "agrees"),
        (62.0, Level.WARN, "62 seconds ahead of"),
        (-3600.0, Level.WARN, "3,600 seconds behind"),
    ],
)
def test_a_clock_that_is_off_by_more_than_a_minute_is_warned_of(ahead, level, words):
    """By the Date of the answer, half a round trip old."""
    check = check_clock(answered(200, date=DATE), NOON + 0.1 + ahead)
    assert (check.level, words in check.says) == (level, True)


@pytest.mark.parametrize("told", ["", "yesterday", "Mon, 99 Nov 2026 12:00:00 GMT"])
def test_a_clock_that_cannot_be_compared_is_not_called_right(told):
    assert check_clock(answered(200, date=told), NOON).level is Level.WARN
    assert check_clock(Exchange(left=True, failure="dns"), NOON).level is Level.WARN


@pytest.mark.parametrize(
    ("exchange", "level", "words"),
    [
        (answered(200, '{"entity":[],"warnings":[]}'), Level.OK, "accepted"),
        (answered(400, error(1)), Level.OK, "accepted"),
        (answered(401, "<xml/>"), Level.FAIL, "refuses them"),
        (answered(200, error(498)), Level.FAIL, "refuses them"),
        (answered(200, error(320001)), Level.FAIL, "refuses them"),
        (answered(403, error(403)), Level.WARN, "does not let them read"),
        (answered(200, error(4000)), Level.WARN, "does not let them read"),
        (answered(429), Level.WARN, "used up"),
        (answered(503, error(4001)), Level.FAIL, "not well"),
        (answered(302), Level.FAIL, "not the API's"),
        (answered(404), Level.FAIL, "not the API's"),
        (answered(200, "<html>Sign in</html>"), Level.FAIL, "not the API"),
        (Exchange(left=True, failure="timeout"), Level.FAIL, "not tried"),
        (Exchange(left=True, status=200, body=b"{", complete=False, failure="reset"), Level.FAIL, "not tried"),
    ],
)
def test_only_an_answer_of_the_api_itself_says_that_the_credentials_are_accepted(exchange, level, words):
    check = check_answer(exchange)
    assert (check.level, words in check.says) == (level, True), check
    assert bool(check.remedy) is (level is not Level.OK)


def test_the_exit_is_2_when_something_fails_and_0_when_it_only_warns():
    ok, warn, fail = (Check("x", level, "") for level in Level)
    assert (exit_of([ok, warn]), exit_of([ok, fail, warn])) == (0, 2)


def test_a_message_is_split_into_what_is_wrong_and_what_to_do():
    assert split_message("It is so. Do this. And that.") == ("It is so", "Do this. And that.")
    assert split_message("It is so.") == ("It is so", "")
