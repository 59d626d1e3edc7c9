"""Whatever the API shows, late, partly or without keys, nothing is settled wrongly."""

from __future__ import annotations

import pytest

from tests.acceptance.doubting import APIS, doubt_trial


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("api", list(APIS))
def test_no_doubt_is_settled_wrongly(desk, api, seed):
    """Hundreds of lost answers of each kind of API; the ledger's book and the sandbox's truth agree."""
    figures = doubt_trial(desk, api=api, seed=seed, orders=200, rounds=2)
    print(f"{api}: {figures}")
    assert figures.doubts >= 100, figures
