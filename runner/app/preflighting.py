"""The check before a run: one harmless read before the files are read, then the settings of the series of the plan.

Asks and passes on; what the answers mean is decided in `core.preflight`, and which orders that concerns is found in the
staged tables, or for an unfinished run in its own. A read that nobody may make is said, and the run goes on without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from runner.adapters.ledger.holding_back import HoldingBack
from runner.adapters.ledger.holding_open import OpenOrders
from runner.adapters.ledger.staging import Staging
from runner.app.place import Api, open_api, pace_of
from runner.app.reading import ApiReader
from runner.core.coupon_reads import Unread
from runner.core.model import Exchange
from runner.core.plan import Plan
from runner.core.preflight import (
    NOT_CHECKED,
    Asked,
    Findings,
    HeldBack,
    Hold,
    Remark,
    exclusions_of,
    find_holds,
    find_remarks,
    least_seconds,
    refusal_of,
)
from runner.core.series_settings import SeriesSettings, read_series_settings
from runner.errors import ApiRefusesAll
from runner.ports import Clock
from runner.settings import Options

AT_ONCE = 50
"""Series in one read."""

HARMLESS = 1
"""The series that is asked for when none is known yet: whatever comes back, nothing follows for it."""

_TRIES = 2
_DEADLINE_SECONDS = 10.0
"""A plan waits no longer for an answer that it can do without."""


@dataclass(slots=True, kw_only=True)
class Preflight:
    """The check of one command."""

    api: Api
    options: Options
    clock: Clock
    rehearsal: bool = False
    _settings: dict[int, SeriesSettings] = field(default_factory=dict)
    _asked: set[int] = field(default_factory=set)
    _problem: str = ""
    _away: bool = False

    def knock(self, series: Sequence[int] = ()) -> None:
        """Ask something harmless before anything is read: what would refuse every call ends the command here.

        A rehearsal's API is this program's own and refuses nothing. An API that is away may be back when it is needed.

        Args:
            series: those that are known already; else one that nobody is interested in.

        Raises:
            ApiRefusesAll: credentials, address or request are refused.
        """
        if self.rehearsal:
            return
        known = list(dict.fromkeys(series))[:AT_ONCE]
        unread = asyncio.run(self._read(known or [HARMLESS], tries=1))
        self._away = unread is not None and unread.again
        self._problem = unread.problem if unread is not None and unread.for_all else ""
        if not known:
            self._settings.clear()
            self._asked.clear()

    def look(self, staging: Staging, plan: Plan) -> tuple[Plan, Findings]:
        """Check the series of a plan, and hold back what cannot succeed; the plan of what is left, and what was found.

        Raises:
            ApiRefusesAll: credentials, address or request are refused.
        """
        wanted = [one.series for one in plan.series if one.missing or one.back]
        settings = self._settings_of(wanted)
        if settings is None or not wanted:
            return plan, Findings(problem=self._problem) if wanted else NOT_CHECKED
        now = self.clock.wall()
        holds = find_holds(wanted, settings, now=now, end=self._end(now, plan.calls))
        plan = staging.hold_back(HoldingBack(holds, exclusions_of(settings), send=self.options.ignore_preflight))
        asked = [Asked(one.series, one.missing) for one in plan.series]
        end, cap = self._end(now, plan.calls), self.options.max_coupons
        remarks = find_remarks(asked, settings, now=now, end=end, cap=cap)
        return plan, self._found(settings, holds, remarks)

    def look_again(self, orders: OpenOrders, *, spent: int) -> tuple[tuple[HeldBack, ...], Findings]:
        """Check the series of what is left of an unfinished run; what of it cannot succeed, and what else was found.

        Args:
            orders: what may still be asked for; what cannot succeed is noted there, unless it is sent nonetheless.
            spent: coupons that count under the run's cap already.

        Raises:
            ApiRefusesAll: credentials, address or request are refused.
        """
        wanted = [one.series for one in orders.asked()]
        settings = self._settings_of(wanted)
        if settings is None or not wanted:
            return (), Findings(problem=self._problem) if wanted else NOT_CHECKED
        now, most = self.clock.wall(), self.options.max_coupons
        holds = find_holds(wanted, settings, now=now, end=self._end(now, orders.calls()))
        held_back = orders.hold_back(HoldingBack(holds, exclusions_of(settings), send=self.options.ignore_preflight))
        end, cap = self._end(now, orders.calls()), max(0, most - spent) if most is not None else None
        remarks = find_remarks(orders.asked(), settings, now=now, end=end, cap=cap)
        return held_back, self._found(settings, holds, remarks)

    def _settings_of(self, wanted: Sequence[int]) -> Mapping[int, SeriesSettings] | None:
        """The settings of these series, of those that the API knows; None when they cannot be read."""
        left = [number for number in wanted if number not in self._asked]
        if left and not self._problem:
            unread = asyncio.run(self._read(left, tries=1 if self._away else _TRIES))
            self._problem = unread.problem if unread is not None else ""
        if self._problem:
            return None
        return {number: self._told(self._settings[number]) for number in wanted if number in self._settings}

    def _end(self, now: float, calls: int) -> float:
        """When so many calls are done at the earliest."""
        return now + least_seconds(calls, self.options.parsed_rate(loopback=self.api.loopback))

    def _found(
        self, settings: Mapping[int, SeriesSettings], holds: tuple[Hold, ...], remarks: tuple[Remark, ...]
    ) -> Findings:
        ignored = self.options.ignore_preflight
        return Findings(settings=settings, holds=holds, remarks=remarks, checked=True, ignored=ignored)

    def _told(self, settings: SeriesSettings) -> SeriesSettings:
        """A rehearsal that was told nothing of the series makes their values up: these are not shown."""
        made_up = self.rehearsal and self.options.sandbox_config is None
        return replace(settings, value=None) if made_up else settings

    async def _read(self, series: Sequence[int], *, tries: int) -> Unread | None:
        """Read the settings of some series; why that cannot be done, if so."""
        patient = self.options.model_copy(update={"timeout": min(self.options.timeout, _DEADLINE_SECONDS)})
        async with open_api(patient, self.api) as api:
            pace = pace_of(self.options, self.api, self.clock)
            reader = ApiReader(api, pace, self.clock, tries=tries)
            for start in range(0, len(series), AT_ONCE):
                unread = await self._read_some(reader, series[start : start + AT_ONCE])
                if unread is not None:
                    return unread
            await reader.leave_a_gap()
        return None

    async def _read_some(self, reader: ApiReader, series: Sequence[int]) -> Unread | None:
        """One read; where it says nothing of several series at once, one for each of them."""
        answer = await reader.ask("series", lambda: reader.api.read_series(series), read_series_settings)
        if isinstance(answer, Unread):
            refused = refusal_of(reader.last, answer)
            if refused is not None:
                raise ApiRefusesAll(_refusal(self.api.url, refused, reader.last))
            if answer.again or answer.for_all or len(series) == 1:
                return answer
        if isinstance(answer, Unread) or (not answer and len(series) > 1):
            for number in series:
                unread = await self._read_some(reader, [number])
                if unread is not None:
                    return unread
            return None
        self._settings.update({number: answer[number] for number in series if number in answer})
        self._asked.update(series)
        return None


def _refusal(url: str, why: str, last: Exchange | None) -> str:
    detail = f" ({last.detail})" if last is not None and last.status is None and last.detail else ""
    return (
        f"The API at {url} refuses every call: {why}{detail}. Check the credentials (COUPON_RUNNER_API_KEY and"
        " _API_SECRET, or _API_USER and _API_PASSWORD), that they belong to this address, and --api-url; nothing was"
        " sent."
    )
