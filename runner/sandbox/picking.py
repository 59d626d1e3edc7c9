"""Which fault a call meets: the lists of answers first, chance second.

Order: the customer's list, the series' list, the list for every call, then chaos. Places in lists are kept in the
truth. Chance depends on seed, customer, series and how many calls were seen for them, not on the order of arrival:
the same seed gives the same faults however many calls run at once.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace

from runner.sandbox.config import ChaosConfig, CustomerConfig, FaultTimes, SandboxConfig, Script, SeriesConfig
from runner.sandbox.faults import DEFAULT_CHAOS, GROUPS, Fault, parse_fault
from runner.sandbox.truth import Truth


class Picker:
    """Draws a fault for each call."""

    def __init__(self, truth: Truth, config: SandboxConfig, *, seed: int, chaos: bool | int | None) -> None:
        self._truth = truth
        self._config = config
        self._seed = seed
        found = config.chaos
        if chaos is False:
            found = None
        elif chaos is not None and found is None:
            found = ChaosConfig()
        if found is not None and not found.rates:
            found = replace(found, rates=tuple(DEFAULT_CHAOS.items()))
        self._chaos = found
        if found is not None:
            truth.prepare_posts_of()
        if self._chaos is not None and self._chaos.seed is not None:
            self._seed = self._chaos.seed
        if chaos is not None and not isinstance(chaos, bool):
            self._seed = chaos

    def pick(
        self, who: str, series_id: int, count: int, customer: CustomerConfig | None, series: SeriesConfig
    ) -> tuple[Fault | None, FaultTimes]:
        """The fault for one issue call, and the times that go with it."""
        scripts: list[tuple[str, Script, bool]] = []
        if customer is not None and customer.answers:
            scripts.append((f"customer {customer.identifiers}", customer.answers, customer.repeat_last))
        if series.answers:
            scripts.append((f"series {series_id}", series.answers, series.repeat_last))
        if self._config.answers:
            scripts.append(("every call", self._config.answers, self._config.repeat_last))
        for scope, script, repeat_last in scripts:
            found = self.turn(scope, script, repeat_last)
            if found is not None:
                return found, self._config.times
        if self._chaos is not None:
            nth = self._truth.posts_of(who, series_id)
            return self._draw(f"{who}|{series_id}|{nth}", count, self._chaos), self._chaos.times
        return None, self._config.times

    def turn(self, scope: str, script: Script, repeat_last: bool) -> Fault | None:
        """The next answer of a list, or ``None`` when it is used up."""
        if not script:
            return None
        digest = hashlib.sha256(repr(script).encode()).hexdigest()[:12]  # an edited list starts anew
        place = self._truth.take_turn(f"{scope} {digest}")
        if place >= len(script):
            if not repeat_last:
                return None
            place = len(script) - 1
        return self._resolve(script[place], random.Random(f"{self._seed}|{scope}|{place}"))

    def _draw(self, what: str, count: int, chaos: ChaosConfig) -> Fault | None:
        rng = random.Random(f"{self._seed}|{what}")
        mark = rng.random()
        for name, rate in chaos.rates:
            if mark < rate:
                fault = self._resolve(name, rng)
                if fault.kind.takes == "given" and fault.given is None:
                    fault = replace(fault, given=rng.randrange(max(1, count)))
                return fault
            mark -= rate
        return None

    @staticmethod
    def _resolve(named: Fault | str, rng: random.Random) -> Fault:
        while isinstance(named, str):
            named = parse_fault(rng.choice(GROUPS[named])) if named in GROUPS else parse_fault(named)
        return named
