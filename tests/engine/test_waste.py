"""What a series that cannot issue costs: a call or three, however many orders name it and however many work at once."""

from __future__ import annotations

import pytest

from runner.core.model import Exchange
from tests.engine.world import World, drive, line
from tests.fakes.scripted_api import ScriptedApi
from tests.fakes.virtual_clock import VirtualClock

SERIES = range(1, 11)
BAD = 7
ORDERS = 100


class OneBadSeries(ScriptedApi):
    """Issues from every series but one, which it refuses with a code."""

    code = 707

    async def issue(self, *, call_key: str, series: int, count: int, kind: str, value: str) -> Exchange:
        answered = await super().issue(call_key=call_key, series=series, count=count, kind=kind, value=value)
        if series != BAD:
            return answered
        body = b'{"errors": [{"status": false, "code": %d, "message": "no"}]}' % self.code
        return Exchange(left=True, status=200, body=body, complete=True, seconds=answered.seconds)


@pytest.mark.parametrize(("code", "most"), [(707, 1), (713, 3)])
def test_a_bad_series_among_ten_costs_no_more_calls_than_prove_it(code: int, most: int) -> None:
    """1 call for 707, 3 for 713, with 32 at once; the nine others are issued in full."""

    async def scenario(clock: VirtualClock) -> None:
        lines = [line(10 * n + series, series) for n in range(ORDERS) for series in SERIES]
        world = World(clock, lines, concurrency=32)
        api = OneBadSeries(clock, ())
        api.code = code
        world.api = api
        assert await world.go() is None
        assert 1 <= len(world.posts(series=BAD)) <= most
        assert len(world.posts()) == 9 * ORDERS + len(world.posts(series=BAD))
        assert world.series_state(BAD) == "closed"

    drive(scenario)


def test_credentials_that_are_refused_cost_one_call() -> None:
    """The very first call goes alone, so a thousand orders and 32 workers make one POST."""

    async def scenario(clock: VirtualClock) -> None:
        world = World(clock, [line(n) for n in range(1000)], concurrency=32)

        class Refusing(ScriptedApi):
            async def issue(self, **call) -> Exchange:
                await super().issue(**call)
                return Exchange(left=True, status=403, body=b'{"errors": []}', complete=True)

        world.api = Refusing(clock, ())
        stop = await world.go()
        assert stop is not None
        assert stop.kind.value == "refused"
        assert len(world.api.posts) == 1

    drive(scenario)
