"""Revoking against an API that loses answers, is busy, or dies: the ledger never believes more than what is true."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.adapters.ledger import revoking as journal
from runner.adapters.ledger import schema
from runner.adapters.ledger.events import verify_chain
from runner.adapters.ledger.files import transaction
from runner.adapters.ledger.revoking import Choice
from runner.adapters.ledger.runs import find_run
from runner.app import revoking
from runner.app.conversation import Conversation
from runner.app.place import Api
from runner.app.revoking import Revoking
from runner.core.keys import coupon_hash
from runner.core.model import Exchange
from runner.core.undoing import Fate, Standing
from runner.settings import Options
from tests.adapters.report_ledger import START, ReportLedger
from tests.fakes.virtual_clock import VirtualClock, run_virtually

SERIES = 415446
LOST = Exchange(left=True, failure="timeout")


class FakeApi:
    """Coupons by code, and what the next revocations do: `script` names a behaviour for each; then all is well."""

    def __init__(self, codes: Sequence[str], script: Sequence[str] = (), *, redeemed: Sequence[str] = ()) -> None:
        self.there = set(codes)
        self.redeemed = set(redeemed)
        self.script = list(script)
        self.posts: list[tuple[str, ...]] = []
        self.keys: list[str] = []
        self.handling = "DISC_CODE"
        self.hidden = False
        self.foreign: set[str] = set()
        self.late: list[tuple[str, ...]] = []
        self.tokens = 0
        self.before_post: Callable[[], None] = lambda: None

    async def __aenter__(self) -> FakeApi:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def credentials_version(self) -> str:
        return str(self.tokens)

    async def refresh_credentials(self, *, seen: str | None) -> bool:
        self.tokens += 1
        return True

    async def read_series(self, series: Sequence[int]) -> Exchange:
        return answer({"entity": [{"id": one, "clientHandlingType": self.handling} for one in series]})

    async def read_details_of_codes(self, codes: Sequence[str]) -> Exchange:
        if self.hidden:
            return answer({"data": []})
        shown = [
            {"code": code, "seriesId": 8 if code in self.foreign else SERIES} for code in codes if code in self.there
        ]
        return answer({"data": shown})

    async def revoke(self, *, request_id: str, series: int, codes: Sequence[str]) -> Exchange:
        self.before_post()
        self.posts.append(tuple(codes))
        self.keys.append(request_id)
        what = self.script.pop(0) if self.script else "ok"
        if what == "never left":
            return Exchange(left=False, failure="refused")
        if what == "lost before":
            return LOST
        if what == "busy":
            return Exchange(left=True, status=429, headers={"retry-after": "7"}, body=b"{}", complete=True)
        if what == "token":
            return Exchange(left=True, status=401, body=b"<response/>", complete=True)
        if what == "no access":
            return Exchange(left=True, status=403, body=b"{}", complete=True)
        done = self._revoke(codes)
        if what == "lost after":
            return LOST
        if what == "half":
            body = orjson.dumps({"entity": done})
            return Exchange(left=True, status=200, body=body[: len(body) // 2], complete=False, failure="reset")
        return answer({"entity": done})

    def _revoke(self, codes: Sequence[str]) -> dict[str, Any]:
        revoked, failed = [], []
        for code in codes:
            if code in self.redeemed:
                failed.append({"errorCode": 711, "errorMessage": "Coupon is already used", "couponCodes": [code]})
            elif code in self.there:
                self.there.discard(code)
                revoked.append({"couponCode": code})
            else:
                failed.append({"errorCode": 660, "errorMessage": "Coupon code has been revoked", "couponCodes": [code]})
        return {"revokedCoupons": revoked, "failedToRevoke": failed}


def answer(document: dict[str, Any]) -> Exchange:
    return Exchange(left=True, status=200, body=orjson.dumps(document), complete=True)


class World:
    """A ledger whose run 1 received some coupons, and an undo of it."""

    def __init__(self, folder: Path, codes: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = ReportLedger(folder).file
        person = {"org_id": 1, "name": b"0" * 16}
        order = {"scope_id": 1, "series": SERIES, "kind": "mobile", "target": 1, "issued": 1, "calls": 1, "run_id": 1}
        call = {"run_id": 1, "number": 1, "quantity": 1, "state": "issued", "known": 1, "held": 0, "began": START}
        coupon = {"position": 0, "state": "issued"}
        with closing(self.file.connect()) as conn, transaction(conn):
            for number, code in enumerate(codes, start=1):
                key, digest = f"{number:024x}", coupon_hash(self.file.key, f"id-{code}")
                person_id = conn.execute(sa.insert(schema.persons).values(**person)).lastrowid
                conn.execute(sa.insert(schema.orders).values(id=number, key=key, person_id=person_id, **order))
                conn.execute(sa.insert(schema.calls).values(key=f"{key}-1-0a1b2c", order_id=number, **call))
                own = {"call_key": f"{key}-1-0a1b2c", "order_id": number, "coupon_id": f"id-{code}", "code": code}
                conn.execute(sa.insert(schema.coupons).values(hash=digest, **own, **coupon))
        self.run = find_run(self.file, "20261121T000000Z-may-0001")
        self.notes: list[str] = []
        self.monkeypatch = monkeypatch

    def undo(self, api: FakeApi, clock: VirtualClock, **options: Any) -> Revoking:
        assert self.run is not None
        talk = Conversation()
        self.monkeypatch.setattr(talk, "note", self.notes.append)
        self.monkeypatch.setattr(revoking, "open_api", lambda *_: api)
        place = Api(url="http://127.0.0.1:9", credentials=None, fingerprint="f")  # type: ignore[arg-type]
        return Revoking(self.file, self.run, Choice(1), place, Options(**options), clock, talk)

    def execute(self, api: FakeApi, signals: Sequence[int] = (), **options: Any) -> Revoking:
        """What one command does: recover, look, revoke."""

        async def scenario(clock: VirtualClock) -> Revoking:
            journal.recover_revocations(self.file, 1, at=clock.wall())
            work = self.undo(api, clock, **options)
            await work.survey()
            await work.revoke_all(signals)
            return work

        return run_virtually(scenario)

    def states(self) -> dict[str, str]:
        with closing(self.file.connect(readonly=True)) as conn:
            return dict(conn.exec_driver_sql("SELECT code, state FROM coupons").all())

    def revoked(self) -> set[str]:
        return {code for code, state in self.states().items() if state == "revoked"}


def codes_of(count: int) -> list[str]:
    return [f"CODE{number:03}" for number in range(count)]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    return lambda count=3: World(tmp_path, codes_of(count), monkeypatch)


def test_codes_go_out_by_fifty_each_once_and_are_recorded_first(world: Callable[..., World]) -> None:
    """Before a revocation is posted, the ledger says durably which coupons it names."""
    here = world(120)
    api = FakeApi(codes_of(120))
    seen: list[int] = []

    def look() -> None:
        with closing(here.file.connect(readonly=True)) as conn:
            query = "SELECT count(*) FROM revocation_coupons WHERE outcome IS NULL"
            seen.append(conn.exec_driver_sql(query).scalar_one())

    api.before_post = look
    work = here.execute(api)
    assert [len(post) for post in api.posts] == [50, 50, 20] == seen
    assert sorted(code for post in api.posts for code in post) == codes_of(120)
    assert (work.calls, work.account.became(Fate.REVOKED), here.revoked()) == (3, 120, set(codes_of(120)))
    assert len(set(api.keys)) == 3


@pytest.mark.parametrize(
    ("script", "posts"),
    [
        (["lost after"], 2),
        (["half"], 2),
        (["lost before"], 2),
        (["never left"], 2),
        (["busy"], 2),
        (["token"], 2),
        (["lost before", "lost after"], 3),
    ],
)
def test_an_unanswered_revocation_is_settled_by_asking_again(
    world: Callable[..., World], script: list[str], posts: int
) -> None:
    """Gone or still there, once it is over for sure: asked for again, with another key, and the answer tells."""
    here = world()
    api = FakeApi(codes_of(3), script)
    work = here.execute(api, timeout=5.0)
    assert (len(api.posts), len(set(api.keys)), api.there) == (posts, posts, set())
    assert here.revoked() == set(codes_of(3))
    assert (work.account.became(Fate.REVOKED), work.stop, journal.open_revocations(here.file, 1)) == (3, "", [])


def test_a_read_that_shows_nothing_any_more_never_means_revoked(world: Callable[..., World]) -> None:
    """Shown before a revocation that was lost on its way, and not after it: still there, and asked for again."""
    here = world()
    api = FakeApi(codes_of(3), ["lost before", "lost before", "lost before"])
    api.before_post = lambda: setattr(api, "hidden", True)
    work = here.execute(api, timeout=5.0)
    assert (here.revoked(), api.there) == (set(), set(codes_of(3)))
    assert (work.account.became(Fate.REVOKED), len(journal.open_revocations(here.file, 1))) == (0, 1)
    api.hidden = False
    here.execute(api, timeout=5.0, settle_after=0.0)
    assert (here.revoked(), api.there) == (set(codes_of(3)), set())


def test_what_no_read_ever_showed_stays_in_doubt_until_it_can_be_asked_again(world: Callable[..., World]) -> None:
    """A look-up that shows nothing proves nothing."""
    here = world()
    api = FakeApi(codes_of(3), ["lost before"])
    api.hidden = True
    here.execute(api, timeout=5.0)
    assert (len(api.posts), here.revoked()) == (1, set())
    assert len(journal.open_revocations(here.file, 1)) == 1
    again = here.execute(api, timeout=5.0)  # the same moment of the virtual clock: too early
    assert (again.calls, again.account.count(Standing.IN_DOUBT)) == (0, 3)
    here.execute(api, timeout=5.0, settle_after=0.0)  # as if the settling time had passed
    assert (len(api.posts), here.revoked()) == (2, set(codes_of(3)))


def test_a_fresh_token_that_is_refused_too_and_no_access_end_it(world: Callable[..., World]) -> None:
    """Nothing was revoked, and it is said why; a later execution goes on."""
    here = world()
    for script, posts in ((["token", "token"], 2), (["no access"], 1)):
        api = FakeApi(codes_of(3), script)
        work = here.execute(api)
        assert (len(api.posts), here.revoked()) == (posts, set())
        assert "the API revokes nothing now" in work.stop
    assert here.execute(FakeApi(codes_of(3))).account.became(Fate.REVOKED) == 3


def test_an_api_that_is_busy_for_ever_is_given_up(world: Callable[..., World]) -> None:
    """After six tries of one portion, with its pauses kept; nothing stays under way."""
    here = world()
    api = FakeApi(codes_of(3), ["busy"] * 50)
    work = here.execute(api)
    assert (len(api.posts), work.stop != "", journal.open_revocations(here.file, 1)) == (6, True, [])


def test_a_kind_that_cannot_be_read_and_a_code_of_another_series_are_left_alone(world: Callable[..., World]) -> None:
    """Whoever shares a code must not lose it."""
    here = world()
    api = FakeApi(codes_of(3))
    api.handling = ""
    assert here.execute(api).account.count(Standing.UNKNOWN_SERIES) == 3
    api.handling = "DISC_CODE"
    api.foreign = {"CODE001"}
    work = here.execute(api)
    assert (api.posts, work.account.count(Standing.SHARED)) == ([("CODE000", "CODE002")], 1)


def test_a_signal_ends_it_between_two_revocations(world: Callable[..., World]) -> None:
    """Whatever was posted is recorded; the rest is for the next execution."""
    here = world(120)
    signals: list[int] = []
    api = FakeApi(codes_of(120))
    api.before_post = lambda: signals.append(15)
    here.execute(api, signals)
    assert len(here.revoked()) == 50
    assert here.execute(FakeApi(sorted(api.there))).account.became(Fate.REVOKED) == 70


class Dies(Exception):
    """The process ends here."""


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000))
def test_whatever_goes_wrong_the_two_books_agree_in_the_end(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Lost answers, half ones, 429, deaths before and after the POST: never more is believed revoked than is gone.

    And no coupon is in two revocations at once; when the trouble ends, everything that was not redeemed is revoked.
    """
    chance = random.Random(seed)
    monkeypatch.setattr(revoking, "MOST_AT_ONCE", 5)
    codes = codes_of(chance.randint(1, 17))
    here = World(tmp_path_factory.mktemp("world"), codes, monkeypatch)
    api = FakeApi(codes, redeemed=[code for code in codes if chance.random() < 0.1])
    kinds = ["ok", "lost before", "lost after", "half", "busy", "never left", "token"]
    for _ in range(chance.randint(1, 4)):
        api.script = [chance.choice(kinds) for _ in range(chance.randint(0, 6))]
        dies = iter([False] * chance.randint(0, 4) + [True])

        def perhaps(dies: Any = dies) -> None:
            if next(dies, False):
                raise Dies

        api.before_post = perhaps
        try:
            here.execute(api, timeout=5.0)
        except Dies:
            pass
        assert not here.revoked() & api.there, "believed revoked, and still there"
        assert api.redeemed & here.revoked() == set()
    api.script, api.before_post = [], lambda: None
    for _ in range(2):
        here.execute(api, timeout=5.0, settle_after=0.0)
    assert here.revoked() == set(codes) - api.redeemed
    assert {code for code, state in here.states().items() if state == "redeemed"} == api.redeemed
    assert len(set(api.keys)) == len(api.keys)
    with closing(here.file.connect(readonly=True)) as conn:
        assert verify_chain(conn).problem is None


def test_a_coupon_is_never_in_two_revocations(world: Callable[..., World]) -> None:
    """The ledger itself refuses the second one."""
    here = world()
    page = next(iter(journal.coupons_of(here.file, Choice(1))))
    journal.begin_revocation(here.file, 1, SERIES, page[:2], shown=set(), at=1.0)
    with pytest.raises(Exception, match="ledger"):
        journal.begin_revocation(here.file, 1, SERIES, page[1:], shown=set(), at=2.0)
    assert [len(one.begun.coupons) for one in journal.open_revocations(here.file, 1)] == [2]
