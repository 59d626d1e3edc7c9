"""Whatever the API shows, late, partly or without keys, nothing is settled wrongly."""

from __future__ import annotations

import pytest

from tests.acceptance.doubting import APIS, doubt_trial


@pytest.mark.parametrize("api", ["shows them two seconds late"])
def test_no_doubt_is_settled_wrongly(desk, api):
    """A few dozen lost answers of each kind; the ledger's book and the sandbox's truth agree."""
    figures = doubt_trial(desk, api=api, seed=1, orders=60, rounds=1)
    assert figures.doubts >= 10, figures


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("api", list(APIS))
def test_no_doubt_is_settled_wrongly_in_the_long_run(desk, api, seed):
    """Hundreds of lost answers against each kind of API."""
    figures = doubt_trial(desk, api=api, seed=seed, orders=200, rounds=2)
    print(f"{api}: {figures}")
    assert figures.doubts >= 100, figures
