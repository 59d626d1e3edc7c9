"""Which series and customers exist: what the configuration names, and what has been seen."""

from __future__ import annotations

from dataclasses import replace

from runner.sandbox.config import CustomerConfig, SandboxConfig, SeriesConfig
from runner.sandbox.truth import Truth


class Catalogue:
    """Looks series and customers up; creates customers when they are first seen, if that is allowed."""

    def __init__(self, truth: Truth, config: SandboxConfig) -> None:
        self._truth, self._config = truth, config
        self._unnamed: dict[int, SeriesConfig] = {}
        self._customers = {pair: one for one in config.customers for pair in one.identifiers}
        for one in config.customers:
            if one.unknown:
                continue
            owner = truth.tie(one.identifiers, one.id, one.first_name, one.last_name)
            self._customers["id", str(owner)] = one

    def series(self, series_id: int) -> SeriesConfig:
        """The settings of a series; one that is not named has the defaults."""
        found = self._config.series.get(series_id)
        if found is None:
            found = self._unnamed.get(series_id)
            if found is None:
                if len(self._unnamed) > 10_000:
                    self._unnamed.clear()
                found = self._unnamed[series_id] = replace(self._config.series_defaults, id=series_id)
        return found

    def series_exists(self, series_id: int) -> bool:
        """Whether the API knows a series."""
        return self._config.unknown_series == "accept" or series_id in self._config.series

    def customer(self, kind: str, value: str) -> CustomerConfig | None:
        """What the configuration says about a customer, by any of its identifiers."""
        return self._customers.get((kind, value)) if self._customers else None

    def find_or_create(self, kind: str, value: str) -> int | None:
        """The customer's id; ``None`` for one that the API does not know. Call it inside a transaction."""
        named = self.customer(kind, value)
        if named is not None and named.unknown:
            return None
        found = self._truth.find_customer(kind, value)
        if found is None and kind != "id" and self._config.unknown_customers == "accept":
            found = self._truth.create_customer([(kind, value)])
        return found
