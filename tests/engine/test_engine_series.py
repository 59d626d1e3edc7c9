"""What an answer means for its series: parked and probed while others go on, exhausted, doubtful, closed."""

from __future__ import annotations

import pytest

from runner.core.model import Exchange
from tests.engine.world import OTHER, SERIES, Fault, World, drive, line, mobile
from tests.fakes.scripted_api import Posted, Script, ScriptedApi
from tests.fakes.virtual_clock import VirtualClock


class CodingApi(ScriptedApi):
    """Answers with a code of the test's choice: for each call a code, or None to issue."""

    def __init__(self, clock: VirtualClock, codes: Script, choose) -> None:
        super().__init__(clock, codes)
        self.choose = choose

    async def issue(self, *, call_key: str, series: int, count: int, kind: str, value: str) -> Exchange:
        code = self.choose(len(self.posts), series)
        before = self._choose
        self._choose = lambda _: Fault.NONE if code is None else Fault.ROW_REFUSED
        try:
            answered = await super().issue(call_key=call_key, series=series, count=count, kind=kind, value=value)
        finally:
            self._choose = before
        if code is None:
            return answered
        body = b'{"errors": [{"status": false, "code": %d, "message": "no"}]}' % code
        return Exchange(left=True, status=200, body=body, complete=True, seconds=answered.seconds)


def _dry(series: int, began: float, seconds: float, clock: VirtualClock):
    """A script: the queue of a series is empty for so long."""

    def answer(post: Posted) -> Fault:
        empty = post.series == series and began <= clock.now() < began + seconds
        return Fault.EMPTY_QUEUE if empty else Fault.NONE

    return answer


def test_an_empty_queue_parks_only_its_series() -> None:
    """The other series is done long before the queue is filled again; then the dry one is issued in full."""

    async def scenario(clock: VirtualClock) -> None:
        began = clock.now()
        lines = [line(n, series) for n in range(50) for series in (SERIES, OTHER)]
        world = World(clock, lines, _dry(SERIES, began, 600, clock))
        assert await world.go() is None
        assert max(post.ended or 0.0 for post in world.posts(series=OTHER)) < began + 10
        assert all(world.held(n) == 1 for n in range(50))
        assert world.series_state() == "open"
        assert any("415446" in said and "5005" in said for said in world.progress.said)

    drive(scenario)


@pytest.mark.parametrize("seed", range(8))
def test_a_series_dry_for_a_minute_costs_at_most_14_probes_and_goes_on_within_8_seconds(seed: int) -> None:
    """One probe at a time, further and further apart."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(30)], concurrency=8)
        dry = {"from": float("inf")}

        def answer(post: Posted) -> Fault:
            if len(world.api.posts) == 9:  # eight are under way by then, and meet the empty queue too
                dry["from"] = clock.now()
            return Fault.EMPTY_QUEUE if dry["from"] <= clock.now() < dry["from"] + 60 else Fault.NONE

        world.api._choose = answer
        assert await world.go() is None
        empty = [post for post in world.posts() if post.fault is Fault.EMPTY_QUEUE]
        probes = [post for post in empty if post.began > dry["from"] + 0.5]
        assert len(empty) - len(probes) <= 8
        assert 1 <= len(probes) <= 14
        assert world.most_at_once(probes) == 1
        issued = [post.began for post in world.posts() if post.fault is Fault.NONE and post.began >= dry["from"] + 60]
        assert min(issued) <= dry["from"] + 68
        assert sum(world.held(n) for n in range(30)) == 30

    drive(scenario, seed=seed)


def test_a_probe_that_is_issued_in_part_does_not_open_the_series() -> None:
    """Its queue is empty again; a full answer opens it."""

    async def scenario(clock: VirtualClock) -> None:
        lines = [line(n, target=8) for n in range(12)]
        world = World(clock, lines, [Fault.EMPTY_QUEUE, Fault.PARTIAL_ERROR, Fault.PARTIAL_TWIN])
        assert await world.go() is None
        assert world.most_at_once(world.posts()[:4]) == 1
        assert world.posts()[2].began - world.posts()[1].began > 1
        assert all(world.held(n) == 8 for n in range(12))

    drive(scenario)


def test_a_series_whose_budget_is_over_is_left_and_its_rest_is_not_sent() -> None:
    """Nothing is closed: the orders may be asked for again as they are."""

    async def scenario(clock: VirtualClock) -> None:
        began = clock.now()
        lines = [line(n, series) for n in range(6) for series in (SERIES, OTHER)]
        world = World(clock, lines, _dry(SERIES, began, 1e9, clock), queue_budget_seconds=3600.0)
        assert await world.go() is None
        assert 3600 <= clock.now() - began <= 3601  # as it was told, not at the next probe
        assert world.series_state() == "exhausted"
        assert all(world.closed(n) is None for n in range(6))
        assert sum(world.held(n, OTHER) for n in range(6)) == 6
        assert len(world.posts(series=SERIES)) < 110
        said = [line for line in world.progress.said if "budget" in line]
        assert len(said) == 1

    drive(scenario)


def test_the_budget_of_a_series_counts_from_its_first_empty_answer_and_anew_after_each_coupon() -> None:
    """A series whose turn came late, or that drips, is not given up."""

    async def scenario(clock: VirtualClock) -> None:
        began = clock.now()
        drips = iter(range(1, 100))

        def answer(post: Posted) -> Fault:
            if post.series == OTHER:
                return Fault.NONE
            return Fault.NONE if clock.now() >= began + 500 * next_drip[0] and advance() else Fault.EMPTY_QUEUE

        def advance() -> bool:
            next_drip[0] = next(drips)
            return True

        next_drip = [next(drips)]
        lines = [*(line(n, OTHER) for n in range(1, 3)), *(line(n) for n in range(10, 13))]
        world = World(clock, lines, answer, queue_budget_seconds=600.0)
        assert await world.go() is None
        assert sum(world.held(n) for n in range(10, 13)) == 3
        assert clock.now() - began > 1500

    drive(scenario)


def test_a_series_that_comes_late_to_its_first_call_has_its_whole_budget() -> None:
    """The first call of the run took longer than the budget of a queue."""

    async def scenario(clock: VirtualClock) -> None:
        began = clock.now()
        world = World(
            clock,
            [line(1, OTHER), line(2)],
            _dry(SERIES, began, 1030, clock),
            seconds=lambda post: 1000.0 if post.series == OTHER else 0.1,
            queue_budget_seconds=600.0,
            concurrency=1,
        )
        assert await world.go() is None
        assert world.held(2) == 1

    drive(scenario)


def test_a_file_sorted_by_a_dry_series_starves_nobody() -> None:
    """Two thousand rows of it stand first, and the others are issued at once."""

    async def scenario(clock: VirtualClock) -> None:
        began = clock.now()
        lines = [*(line(n) for n in range(2000)), *(line(n, OTHER) for n in range(100))]
        world = World(clock, lines, _dry(SERIES, began, 3000, clock))
        assert await world.go() is None
        assert max(post.ended or 0.0 for post in world.posts(series=OTHER)) < began + 10
        assert world.api.total_held() == 2100

    drive(scenario)


def test_a_series_that_does_not_exist_is_closed_by_one_answer() -> None:
    """707: one call, one order refused, and the rest is not asked for."""

    async def scenario(clock: VirtualClock) -> None:
        lines = [line(n, series) for n in range(30) for series in (SERIES, OTHER)]
        world = World(clock, lines, lambda post: Fault.SERIES_REFUSED if post.series == SERIES else Fault.NONE)
        assert await world.go() is None
        assert len(world.posts(series=SERIES)) == 1
        assert world.series_state() == "closed"
        assert [world.closed(n) for n in range(30)] == ["707", *[None] * 29]
        assert sum(world.held(n, OTHER) for n in range(30)) == 30

    drive(scenario)


@pytest.mark.parametrize("code", [713, 4242])
def test_a_series_is_closed_by_three_answers_alike(code: int) -> None:
    """An expired series, and a code that nobody lists: one call at a time from the first such answer on."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(30)], concurrency=8)
        world.api = CodingApi(clock, (), lambda posted, _: code if posted >= 1 else None)
        assert await world.go() is None
        refused = [n for n in range(30) if world.closed(n) == str(code)]
        assert world.series_state() == "closed"
        assert world.held(0) == 1
        assert len(world.posts()) == 1 + len(refused)
        assert 3 <= len(refused) <= 8  # those under way together, and none after
        assert len([said for said in world.progress.said if "closed" in said]) == 1

    drive(scenario)


def test_an_untested_series_that_refuses_with_three_codes_alike_costs_three_calls() -> None:
    """One call at a time: the third closes it."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(30)], concurrency=8)
        world.api = CodingApi(clock, (), lambda *_: 713)
        assert await world.go() is None
        assert len(world.posts()) == 3
        assert world.most_at_once() == 1

    drive(scenario)


def test_codes_that_do_not_agree_close_no_series() -> None:
    """Each refuses its own row only; a coupon in between starts the count anew."""

    async def scenario(clock: VirtualClock) -> None:
        codes = [713, 714, 713, 713, None, 713, 713, None, 714]
        world = World(clock, [line(n) for n in range(20)], concurrency=1)
        world.api = CodingApi(clock, (), lambda posted, _: codes[posted] if posted < len(codes) else None)
        assert await world.go() is None
        assert world.series_state() is None
        assert len([n for n in range(20) if world.closed(n)]) == 7
        assert sum(world.held(n) for n in range(20)) == 13

    drive(scenario)


def test_what_was_under_way_when_its_series_closed_gives_back_its_reservation() -> None:
    """An order that was issued in part while another answer closed the series leaves its room under the cap."""

    async def scenario(clock: VirtualClock) -> None:
        lines = [line(1, target=2), line(2, target=100), line(3, target=2), line(4, OTHER, 100)]
        faults = {mobile(2): Fault.PARTIAL_ERROR}

        def answer(post: Posted) -> Fault:
            if post.customer.endswith(mobile(3)):
                return Fault.SERIES_REFUSED
            return faults.get(post.customer.removeprefix("mobile:"), Fault.NONE)

        def seconds(post: Posted) -> float:
            return {2: 3.0, 3: 1.0, 4: 60.0}.get(int(post.customer[-1]), 0.1)

        world = World(clock, lines, answer, seconds=seconds, max_coupons=300)
        assert await world.go() is None
        assert world.engine is not None
        assert world.engine.reserved == 0
        assert world.held(4, OTHER) == 100

    drive(scenario)
