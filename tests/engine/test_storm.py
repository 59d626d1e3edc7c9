"""One of ten series runs dry for a minute: what that costs, on the virtual clock, beside a plain loop with retries."""

from __future__ import annotations

from benchmarks.storm import DRY_SECONDS, Figures, virtual_control, virtual_run
from tests.fakes.virtual_clock import run_virtually


def _run(*, storm: bool, seed: int = 0) -> Figures:
    return run_virtually(lambda clock: virtual_run(clock, storm=storm), seed=seed)


def test_a_dry_series_costs_a_few_probes_and_holds_up_nobody() -> None:
    """10,000 orders: at most 14 probes, the nine others within 10 % of their time, back within 8 s of its return."""
    calm, storm = _run(storm=False), _run(storm=True)
    assert storm.refused - storm.under_way <= 14
    assert storm.others <= 1.10 * calm.others
    assert 0 < storm.resumed <= 8
    assert (calm.calls, storm.calls) == (10_000, 10_000 + storm.refused)


def test_a_plain_loop_with_retries_spends_a_thousand_calls_and_holds_up_all() -> None:
    """The same measure shows it where it is so: otherwise the figures above would say nothing."""
    control = run_virtually(lambda clock: virtual_control(clock, storm=True))
    assert control.refused > 1_000
    assert control.others > DRY_SECONDS
