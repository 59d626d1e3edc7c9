"""The heart of the product.

Whatever the API does and whenever the process dies, nobody is issued more than the target.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.core.model import CallStart, Identifier, Kind, Settlement
from runner.core.orders import missing_of
from tests.engine.world import OTHER, SERIES, THIRD, World, drive, mobile
from tests.fakes.memory_ledger import Line
from tests.fakes.scripted_api import Fault, Posted
from tests.fakes.virtual_clock import VirtualClock

EXAMPLES = 5 * settings.default.max_examples if settings.default is not None else 500
"""Of each of four concurrencies: 2,000 together in the default profile."""


@dataclass(frozen=True)
class Execution:
    """One start of the program: the file as it is then, what befalls its calls, and the step at which it dies, if any.

    A step is each moment around a begin or a settlement: before and after it is recorded. `anew`: a new run of the file
    (else the run before is resumed). `unknown`: customers whom the API does not know by an identifier of this kind.
    """

    targets: dict[tuple[int, int], int]
    faults: list[Fault]
    dies_at: int | None
    anew: bool
    unknown: frozenset[tuple[int, Kind]] = frozenset()


_QUANTITIES = st.one_of(st.integers(1, 4), st.sampled_from([499, 500, 501, 1200]))
_SERIES = [SERIES, OTHER, THIRD]
_FAULTS = st.lists(st.sampled_from([Fault.NONE, *Fault]), max_size=14)


@st.composite
def histories(draw: st.DrawFn) -> list[Execution]:
    """Two to five executions; between them counts are changed, rows come and go."""
    keys = draw(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(_SERIES)), min_size=1, max_size=6, unique=True))
    targets = {key: draw(_QUANTITIES) for key in keys}
    executions = []
    for number in range(draw(st.integers(1, 4))):
        anew = number == 0 or draw(st.booleans())
        if anew and number:
            targets = dict(targets)
            for key in draw(st.lists(st.sampled_from(keys), max_size=3)):
                if draw(st.booleans()):
                    targets[key] = draw(_QUANTITIES)
                elif len(targets) > 1:
                    targets.pop(key, None)
        dies_at = draw(st.none() | st.integers(1, 30))
        executions.append(Execution(targets, draw(_FAULTS), dies_at, anew))
    return executions


@st.composite
def histories_of_unknown_customers(draw: st.DrawFn) -> list[Execution]:
    """The same, of customers some of whose identifiers the API does not know, or knows only later."""
    never = draw(st.sets(st.integers(1, 4), max_size=3))
    executions = []
    for execution in draw(histories()):
        some = draw(st.sets(st.tuples(st.integers(1, 4), st.sampled_from([Kind.MOBILE, Kind.EMAIL])), max_size=4))
        unknown = frozenset(some | {(number, Kind.MOBILE) for number in never})
        executions.append(replace(execution, unknown=unknown))
    return executions


def _names(number: int) -> tuple[Identifier, ...]:
    address = f"person{number}@example.com"
    return (Identifier(Kind.MOBILE, mobile(number), mobile(number)), Identifier(Kind.EMAIL, address, address))


def _lines(targets: dict[tuple[int, int], int], *, fall_back: bool = False) -> list[Line]:
    return [
        Line(_names(number) if fall_back else _names(number)[:1], series, target, fall_back)
        for (number, series), target in targets.items()
    ]


class _Process:
    """One process on the ledger: notes each step, and dies at the one it is told to."""

    def __init__(self, world: World, dies_at: int | None, most: dict[tuple[str, int], int]) -> None:
        self.world = world
        self.dies_at = dies_at
        self.most = most
        self.steps = 0
        self.posts = 0
        self.task: asyncio.Task[object] | None = None
        self.dead = False

    async def on_begin(self, start: CallStart) -> None:
        self._step()
        order = self.world.ledger.orders[start.order_id]
        assert 1 <= start.quantity <= 500
        assert order.merged_into is None

    def on_settle(self, _: Settlement) -> None:
        self._step()

    def on_post(self, post: Posted) -> None:
        """The call is durable, holds its quantity and asks for nothing that is not missing."""
        self.posts += 1
        call = self.world.ledger.calls[post.key]
        assert call.state == "sending"
        assert call.quantity == call.held == post.count
        order = self.world.ledger.orders[call.order]
        assert order.issued + order.held <= order.target
        assert missing_of(order.target, order.issued, order.held - call.held) >= post.count
        held = len(self.world.api.truth.get((post.customer, post.series), ()))
        assert held + post.count <= self.most[post.customer, post.series]
        self.world.check()
        self._step()

    def _step(self) -> None:
        if self.dead:
            raise asyncio.CancelledError
        self.world.check()
        self.steps += 1
        if self.steps == self.dies_at:
            self._die()

    def _die(self) -> NoReturn:
        self.dead = True
        if self.task is not None:
            self.task.cancel()
        raise asyncio.CancelledError


async def _execute(world: World, process: _Process, concurrency: int) -> object:
    """Run the process to its end or death; what was queued and not durable is lost with it."""
    before = len(world.api.posts)
    world.ledger.on_begin, world.ledger.on_settle = process.on_begin, process.on_settle
    world.api._on_post = process.on_post
    try:
        async with asyncio.timeout(12 * 3600):
            process.task = asyncio.create_task(world.build(concurrency=concurrency).run())
            return await process.task
    except asyncio.CancelledError:
        assert process.dead
        return None
    finally:
        if process.dead:
            world.ledger.crash()
        world.ledger.recover()
        assert process.posts == len(world.api.posts) - before
        world.check()


@pytest.mark.parametrize("concurrency", [1, 2, 3, 8])
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_nobody_is_issued_more_than_the_target_whatever_happens(concurrency: int, data: st.DataObject) -> None:
    """Any targets × faults × deaths × changed files.

    The truth stays within the ledger's bounds, and all is issued in the end.
    """
    history = data.draw(histories())
    pace = data.draw(st.sampled_from([0.02, 0.5, 7.0]))
    oauth = data.draw(st.booleans())
    _live_through(history, pace, oauth, concurrency)


@pytest.mark.parametrize("concurrency", [3])
@given(history=histories_of_unknown_customers(), pace=st.sampled_from([0.02, 0.5]))
def test_nor_is_anybody_who_is_named_by_another_identifier(
    concurrency: int, history: list[Execution], pace: float
) -> None:
    """Customers whose mobile, or e-mail, is not known, or known only later, through faults, deaths and changed files.

    Every coupon of an order went to the identifier by which the ledger names its customer.
    """
    _live_through(history, pace, False, concurrency, fall_back=True)


def _live_through(
    history: list[Execution], pace: float, oauth: bool, concurrency: int, *, fall_back: bool = False
) -> None:
    async def scenario(clock: VirtualClock) -> None:
        faults: list[Fault] = []

        def answer(_: Posted) -> Fault:
            return faults.pop(0) if faults else Fault.NONE

        world = World(clock, answer=answer, seconds=lambda post: pace * (1 + len(world.api.posts) % 3), oauth=oauth)

        def unknown_to_the_api(unknown: frozenset[tuple[int, Kind]]) -> set[tuple[str, str]]:
            return {(one.kind.value, one.value) for n, kind in unknown for one in _names(n) if one.kind is kind}

        most: dict[tuple[str, int], int] = {}
        for execution in history:
            for (number, series), target in execution.targets.items():
                for one in _names(number):
                    key = (f"{one.kind}:{one.value}", series)
                    most[key] = max(most.get(key, 0), target)
            world.api.unknown = unknown_to_the_api(execution.unknown)
            if execution.anew:
                world.load(_lines(execution.targets, fall_back=fall_back))
            faults[:] = execution.faults
            await _execute(world, _Process(world, execution.dies_at, most), concurrency)
        faults.clear()
        last = history[-1].targets
        world.api.unknown = unknown_to_the_api(frozenset(one for one in history[-1].unknown if one[1] is Kind.MOBILE))
        ids = world.load(_lines(last, fall_back=fall_back))
        stop = await _execute(world, _Process(world, None, most), concurrency)
        assert stop is None
        for number, target in zip(ids, last.values(), strict=True):
            order = world.ledger.orders[number]
            assert order.target == target
            if (order.sent.kind.value, order.sent.value) in world.api.unknown:
                # What was or may have been issued by an identifier that is not known any more is never named otherwise.
                assert any(call.known + call.held for call in world.ledger.calls.values() if call.order == number)
                continue
            assert missing_of(order.target, order.issued, order.held) == 0
            assert order.closed is None
        for (customer, series), coupons in world.api.truth.items():
            assert len(coupons) <= most[customer, series]
        for (number, series), target in last.items():
            held = [world.api.held(one.kind.value, one.value, series) for one in _names(number)]
            assert 0 in held
            assert sum(held) <= max(target, most[f"mobile:{mobile(number)}", series])
        doubtful = {call.order for call in world.ledger.calls.values() if call.state == "in_doubt"}
        for number, order in world.ledger.orders.items():
            if number not in doubtful:
                assert order.held == 0
                assert order.issued == world.api.held(order.sent.kind.value, order.sent.value, order.series)

    drive(scenario)
