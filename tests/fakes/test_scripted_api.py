"""The fake API tells its truth by its own count, and notices what no caller may do."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from runner.core.model import Exchange
from runner.ports import CouponApi
from tests.fakes.scripted_api import CARRIED_OUT, Fault, Posted, ScriptedApi
from tests.fakes.virtual_clock import VirtualClock, run_virtually

MOBILE = "919000000001"


async def _post(api: CouponApi, key: str, count: int = 4, value: str = MOBILE) -> Exchange:
    return await api.issue(call_key=key, series=415446, count=count, kind="mobile", value=value)


@pytest.mark.parametrize("fault", list(Fault))
def test_the_truth_is_what_the_fault_says_and_an_answer_never_claims_more(fault: Fault) -> None:
    """What is listed was issued; only faults that carry out issue; only one never leaves."""

    async def scenario(clock: VirtualClock) -> None:
        api = ScriptedApi(clock, [fault])
        exchange = await _post(api, "a")
        held = api.held("mobile", MOBILE, 415446)
        assert exchange.left is (fault is not Fault.NEVER_LEFT)
        assert (held > 0) is (fault in CARRIED_OUT)
        assert held == api.issued_by("a") == api.total_held()
        if exchange.status == 200 and exchange.complete:
            listed = [str(coupon["couponId"]) for coupon in orjson.loads(exchange.body).get("coupons", [])]
            assert listed == api.truth.get((f"mobile:{MOBILE}", 415446), [])
        assert exchange.seconds == pytest.approx(0.05)
        assert (await _post(api, "b")).status == 200  # the script is over
        assert api.held("mobile", MOBILE, 415446) == held + 4
        assert api.breaches == []

    run_virtually(scenario)


def test_what_no_caller_may_do_is_noticed() -> None:
    """A key posted twice, two calls of one customer at once (also under two names), more than 500."""

    async def scenario(clock: VirtualClock) -> None:
        one = {("mobile", MOBILE): "asha", ("mobile", "919000000002"): "asha"}
        api = ScriptedApi(clock, same_person=one)
        await _post(api, "a")
        await _post(api, "a")
        assert [sentence for sentence in api.breaches if "posted 2 times" in sentence]
        api.breaches.clear()
        await asyncio.gather(_post(api, "b"), _post(api, "c", value="919000000002"))
        assert len(api.breaches) == 1
        api.breaches.clear()
        await asyncio.gather(_post(api, "d"), _post(api, "e", value="919000000003"))
        assert api.breaches == []
        await _post(api, "f", count=501)
        assert len(api.breaches) == 1

    run_virtually(scenario)


def test_a_caller_that_gives_up_does_not_stop_the_server() -> None:
    """A cancelled call is carried out all the same, once."""

    async def scenario(clock: VirtualClock) -> None:
        api = ScriptedApi(clock, seconds=10)
        for before, key in ((1, "a"), (6, "b")):
            task = asyncio.create_task(_post(api, key))
            await clock.sleep(before)
            task.cancel()
            await asyncio.wait([task])
            assert api.issued_by(key) == 4
        assert api.breaches == []

    run_virtually(scenario)


def test_a_script_may_be_a_function_and_a_post_may_be_watched() -> None:
    """The function sees each call; `on_post` runs before anything is carried out."""

    async def scenario(clock: VirtualClock) -> None:
        seen: list[tuple[str, int]] = []

        def choose(post: Posted) -> Fault:
            return Fault.EMPTY_QUEUE if post.count > 3 else Fault.NONE

        def watch(post: Posted) -> None:
            seen.append((post.key, api.total_held()))

        api = ScriptedApi(clock, choose, on_post=watch, seconds=lambda post: float(post.count))
        assert (await _post(api, "a", count=4)).seconds == 4.0
        await _post(api, "b", count=3)
        assert seen == [("a", 0), ("b", 0)]
        assert api.total_held() == 3

    run_virtually(scenario)


def test_a_token_is_renewed_once_for_whoever_saw_the_old_one() -> None:
    async def scenario(clock: VirtualClock) -> None:
        api = ScriptedApi(clock, oauth=True)
        assert api.credentials_version() == "1"
        assert await asyncio.gather(*(api.refresh_credentials(seen="1") for _ in range(5))) == [True] * 5
        assert (api.refreshes, api.credentials_version()) == (1, "2")
        api.refuse_credentials = True
        assert await api.refresh_credentials(seen="2") is False
        assert ScriptedApi(clock).credentials_version() is None
        assert (await api.read_series([1, 2])).status == 200

    run_virtually(scenario)
