"""`sandbox --like-live`: real series' settings, read by GET from the configured API, as the sandbox's configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.app.place import Api, open_api, pace_of, real_api
from runner.app.reading import ApiReader
from runner.core.coupon_reads import Unread
from runner.core.live_series import LiveSeries, read_live_series, toml_of
from runner.errors import ApiRefusesAll, UsageError
from runner.ports import Clock
from runner.settings import Options

_AT_ONCE = 50
"""Series in one GET."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was read. `config`: keys and tables of the sandbox's configuration. `notes`: what the API left open."""

    api: str
    config: dict[str, Any]
    notes: tuple[str, ...]

    def as_toml(self) -> str:
        """The same as a configuration file."""
        settings = {name: value for name, value in self.config.items() if name != "series"}
        return toml_of(settings, self.config["series"])


def copy_live_series(options: Options, environment: Mapping[str, str], *, clock: Clock) -> Copied:
    """Read the settings of `--series` from the real API. Sends GETs only (and, for OAuth, asks for a token).

    Raises:
        UsageError: no series is named, or the API does not know one.
        SettingsError: no address, or no credentials.
        ApiRefusesAll: the API does not answer.
    """
    if not options.series:
        raise UsageError("--like-live copies the settings of named series: give --series ID[,ID].")
    api = real_api(options, environment)
    found = asyncio.run(_read_all(api, options, clock))
    known = {one.id for one in found}
    missing = [str(number) for number in dict.fromkeys(options.series) if number not in known]
    if missing:
        plural = "series" if len(missing) == 1 else "these series:"
        raise UsageError(
            f"The API at {api.url} does not know {plural} {', '.join(missing)}. Correct --series; the ids are shown in"
            " the campaign's coupon settings."
        )
    config: dict[str, Any] = {"series": [one.settings for one in found]}
    if found[0].org is not None:
        config = {"org_id": found[0].org, **config}
    return Copied(api=api.url, config=config, notes=tuple(note for one in found for note in one.open))


async def _read_all(api: Api, options: Options, clock: Clock) -> list[LiveSeries]:
    numbers = list(dict.fromkeys(options.series))
    found: list[LiveSeries] = []
    async with open_api(options, api) as coupon_api:
        await coupon_api.sign_in()
        reader = ApiReader(coupon_api, pace_of(options, api, clock), clock)
        for start in range(0, len(numbers), _AT_ONCE):
            found += await _read(reader, numbers[start : start + _AT_ONCE], api)
    return found


async def _read(reader: ApiReader, numbers: Sequence[int], api: Api) -> tuple[LiveSeries, ...]:
    answer = await reader.ask(
        "series", lambda: reader.api.read_series(numbers), lambda exchange: read_live_series(exchange, numbers)
    )
    if isinstance(answer, Unread):
        raise ApiRefusesAll(
            f"The settings of the series could not be read from {api.url}: {answer.problem}. Check the address and the"
            " credentials, and that they may read series; nothing was changed there."
        )
    return answer
