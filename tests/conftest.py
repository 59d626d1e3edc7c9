"""Profiles of hypothesis: `HYPOTHESIS_PROFILE=soak pytest …` tries many times as many examples as `make test`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}

settings.register_profile("default", max_examples=100, **_COMMON)  # type: ignore[arg-type]  # the keys vary in type
settings.register_profile("soak", max_examples=1000, **_COMMON)  # type: ignore[arg-type]  # as above
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
