"""What a read proves about a call in doubt. A wrong "not issued" would issue twice: nothing here may come to that."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.core.coupon_reads import CouponDetail, CustomerCoupon
from runner.core.model import CallState
from runner.core.reconciling import (
    LATE_SECONDS,
    Doubt,
    Measures,
    Method,
    Rules,
    Shown,
    Surroundings,
    contradiction,
    judge,
    outcome_of,
    unexplained_of,
    waits_until,
)

SERIES = 415446
BEGAN = 1_795_403_700.0
KEY = "5f0c5f0c5f0c5f0c5f0c5f0c-1-0a1b2c"
OTHER = "5f0c5f0c5f0c5f0c5f0c5f0c-9-0a1b2c"
LATER = BEGAN + 3600
PROVEN = Measures(metadata=True, shown_after=BEGAN + 600, listed_after=BEGAN + 600, lag_seconds=5)
ALONE = Surroundings(generic=False)


def doubt(quantity: int = 2, known: int = 0, ended: float | None = BEGAN + 60) -> Doubt:
    return Doubt(KEY, SERIES, quantity, known, BEGAN, ended)


def coupon(number: int, *, at: float | None = BEGAN + 1, series: int = SERIES) -> CustomerCoupon:
    return CustomerCoupon(str(number), f"CODE{number}", series, at, redeemed=False)


def detail(number: int, source: str | None, *, series: int = SERIES) -> CouponDetail:
    return CouponDetail(f"CODE{number}", series, "coupon-runner" if source else None, source)


def settle(shown: Shown, *, of: Doubt | None = None, measures: Measures = PROVEN, now: float = LATER, **more: object):
    surroundings = more.pop("surroundings", ALONE)
    return judge(of or doubt(), shown, measures, surroundings, Rules(**more), now=now)  # type: ignore[arg-type]


def test_coupons_that_carry_the_calls_key_are_issued_with_their_ids() -> None:
    """The key is proof at once, without any waiting; ids come from the customer's list."""
    shown = Shown([coupon(1), coupon(2), coupon(3)], [detail(1, KEY), detail(2, KEY), detail(3, OTHER)])
    found = settle(shown, measures=Measures(), now=BEGAN + 61)
    assert (found.state, found.held, found.method) == (CallState.ISSUED, 0, Method.METADATA)
    assert [(one.id, one.code) for one in found.coupons] == [("1", "CODE1"), ("2", "CODE2")]


def test_a_coupon_of_another_series_with_the_same_key_is_not_this_calls() -> None:
    """Key and series must agree."""
    shown = Shown([coupon(1, series=9)], [detail(1, KEY, series=9)])
    assert settle(shown, measures=Measures()).state is CallState.IN_DOUBT


def test_none_shown_is_a_proof_when_all_conditions_hold() -> None:
    """Keys of known calls are shown, one of a later call too, and the settling time has passed."""
    found = settle(Shown([], []))
    assert (found.state, found.coupons, found.held) == (CallState.REFUSED, (), 0)


@pytest.mark.parametrize(
    ("measures", "now", "lacking"),
    [
        (PROVEN._replace(metadata=False), LATER, "key"),
        (PROVEN._replace(shown_after=None), LATER, "issued after this call"),
        (PROVEN._replace(shown_after=BEGAN + 59.9), LATER, "issued after this call"),
        (PROVEN, BEGAN + 899, "settling time"),
        (PROVEN._replace(lag_seconds=1300), LATER, "settling time"),
        (PROVEN, BEGAN - 10, "settling time"),
    ],
)
def test_none_shown_proves_nothing_while_a_condition_is_missing(measures: Measures, now: float, lacking: str) -> None:
    """Each of the three conditions alone keeps the call in doubt; a clock that stepped back keeps it too."""
    found = settle(Shown([], []), measures=measures, now=now)
    assert (found.state, found.held) == (CallState.IN_DOUBT, 2)
    if measures.metadata:
        assert lacking in found.why


def test_a_killed_calls_later_coupon_must_have_begun_after_it() -> None:
    """Without an end of the exchange its beginning counts."""
    measures = PROVEN._replace(shown_after=BEGAN)
    assert settle(Shown([], []), of=doubt(ended=None), measures=measures).state is CallState.IN_DOUBT
    measures = PROVEN._replace(shown_after=BEGAN + 0.1)
    assert settle(Shown([], []), of=doubt(ended=None), measures=measures).state is CallState.REFUSED


def test_details_that_leave_out_a_coupon_the_customer_holds_prove_nothing() -> None:
    """Who shows a part may hide the part that matters."""
    shown = Shown([coupon(7, at=BEGAN - 900)], [])
    assert settle(shown).state is CallState.IN_DOUBT
    shown = Shown([coupon(7, at=BEGAN - 900)], [detail(7, None)])
    assert settle(shown).state is CallState.REFUSED


def test_a_coupon_without_a_key_from_that_time_keeps_the_call_in_doubt() -> None:
    """It may be the call's, its metadata lost: only exactly the quantity, alone, would say so."""
    shown = Shown([coupon(1), coupon(2), coupon(3)], [detail(n, None) for n in (1, 2, 3)])
    assert settle(shown).state is CallState.IN_DOUBT
    explained = Shown([coupon(1), coupon(2), coupon(3)], [detail(n, OTHER) for n in (1, 2, 3)])
    assert settle(explained).state is CallState.REFUSED


def test_a_part_with_the_key_counts_at_once_and_the_rest_waits_for_the_proof() -> None:
    """Two of three: one stays held until the conditions hold, and is then missing."""
    shown = Shown([coupon(1), coupon(2)], [detail(1, KEY), detail(2, KEY)])
    early = settle(shown, of=doubt(3), now=BEGAN + 61)
    assert (early.state, len(early.coupons), early.held) == (CallState.IN_DOUBT, 2, 1)
    late = settle(shown, of=doubt(3))
    assert (late.state, len(late.coupons), late.held) == (CallState.ISSUED, 2, 0)
    assert outcome_of(late, doubt(3)).reason is not None


def test_more_coupons_than_asked_are_all_recorded_and_flagged() -> None:
    """Nothing that the API shows is thrown away."""
    shown = Shown([coupon(n) for n in (1, 2, 3)], [detail(n, KEY) for n in (1, 2, 3)])
    found = settle(shown)
    assert (found.state, len(found.coupons), found.flags) == (CallState.ISSUED, 3, ("more_than_asked",))


def test_fewer_coupons_than_the_call_is_known_to_have_issued_prove_nothing() -> None:
    """The API contradicts its own answer: a person must look."""
    assert settle(Shown([], []), of=doubt(3, known=1)).held == 2
    shown = Shown([coupon(1)], [detail(1, KEY)])
    assert settle(shown, of=doubt(3, known=2)).state is CallState.IN_DOUBT


def test_a_call_that_carried_no_key_is_never_called_not_issued_for_want_of_it() -> None:
    """Other calls' keys are shown, but this one was sent without metadata: only its time can tell."""
    unkeyed = doubt()._replace(keyed=False)
    assert settle(Shown([], []), of=unkeyed).state is CallState.IN_DOUBT


def test_a_keyless_coupon_from_after_the_window_keeps_the_call_in_doubt() -> None:
    """It may have been written very late: "none" needs every coupon of that series since then explained."""
    shown = Shown([coupon(1, at=BEGAN + 3000)], [detail(1, None)])
    assert settle(shown).state is CallState.IN_DOUBT
    assert settle(Shown([coupon(1, at=BEGAN + 3000)], [detail(1, OTHER)])).state is CallState.REFUSED


NO_KEYS = Measures(metadata=False, listed_after=BEGAN + 600, skew_seconds=7200)


def window(*numbers: int, at: float = BEGAN + 7201, claimed: frozenset[str] = frozenset()) -> Shown:
    coupons = [coupon(number, at=at) for number in numbers]
    return Shown(coupons, [detail(number, None) for number in numbers], claimed=claimed)


def test_without_metadata_exactly_the_quantity_from_the_calls_window_is_its() -> None:
    """By the API's own clock: the skew is taken into account. Coupons that are recorded already do not count."""
    found = settle(window(1, 2), measures=NO_KEYS)
    assert (found.state, found.method, len(found.coupons)) == (CallState.ISSUED, Method.WINDOW, 2)
    assert settle(window(1, 2, at=BEGAN + 1), measures=NO_KEYS).state is CallState.IN_DOUBT
    found = settle(window(1, 2, 3, claimed=frozenset({"3"})), of=doubt(3, known=1), measures=NO_KEYS)
    assert (found.state, [one.id for one in found.coupons]) == (CallState.ISSUED, ["1", "2"])
    assert outcome_of(found, doubt(3, known=1)).reason is None


@pytest.mark.parametrize("numbers", [(), (1,), (1, 2, 3)])
def test_without_metadata_none_some_and_too_many_stay_for_a_person(numbers: tuple[int, ...]) -> None:
    """Only `--settle-by-time` lets the time settle none and some, and nothing settles too many."""
    assert settle(window(*numbers), measures=NO_KEYS).state is CallState.IN_DOUBT
    allowed = settle(window(*numbers), measures=NO_KEYS, by_time=True)
    expected = {0: CallState.REFUSED, 1: CallState.ISSUED, 3: CallState.IN_DOUBT}[len(numbers)]
    assert allowed.state is expected
    assert settle(window(*numbers), measures=NO_KEYS, by_time=True, now=BEGAN + 300).state is CallState.IN_DOUBT
    blind = NO_KEYS._replace(listed_after=None)
    assert settle(window(*numbers), measures=blind, by_time=True).state is CallState.IN_DOUBT


@pytest.mark.parametrize(
    "surroundings",
    [Surroundings(), Surroundings(generic=True), ALONE._replace(rivals=True), ALONE._replace(others_active=True)],
)
def test_without_metadata_nothing_is_settled_when_it_could_be_somebody_elses(surroundings: Surroundings) -> None:
    """A shared code, an unknown kind of series, another doubtful call, another campaign at that time."""
    found = settle(window(1, 2), measures=NO_KEYS, surroundings=surroundings, by_time=True)
    assert found.state is CallState.IN_DOUBT


def test_a_coupon_whose_time_is_not_told_settles_nothing() -> None:
    """It may be of any time."""
    shown = Shown([coupon(1, at=None), coupon(2, at=None)], [detail(1, None), detail(2, None)])
    assert settle(shown, measures=NO_KEYS, by_time=True).state is CallState.IN_DOUBT


def test_details_that_cannot_be_read_leave_the_window_only() -> None:
    """No access to the details is like an API without metadata."""
    shown = Shown([coupon(1, at=BEGAN + 1), coupon(2, at=BEGAN + 1)], None, "no access")
    assert settle(shown, measures=Measures()).state is CallState.ISSUED
    assert settle(Shown([], None, "no access")).state is CallState.IN_DOUBT


def test_a_persons_word_against_what_the_api_shows_is_refused() -> None:
    """More shown than said, or "none" while something from that time is unexplained."""
    assert "reconcile" in contradiction(KEY, 1, shown=2, unexplained=[])
    assert "CODE3" in contradiction(KEY, 0, shown=0, unexplained=[coupon(3)])
    assert contradiction(KEY, 0, shown=0, unexplained=[]) == ""
    assert contradiction(KEY, 2, shown=0, unexplained=[coupon(3)]) == ""


def test_the_settling_time_is_three_lags_and_never_below_the_setting() -> None:
    """RULES: counted from the POST."""
    assert waits_until(doubt(), Measures(lag_seconds=10), Rules()) == BEGAN + 900
    assert waits_until(doubt(), Measures(lag_seconds=1000), Rules()) == BEGAN + 3000


# ── a world in which the truth is known ──────────────────────────────────────────────────────────────────────────────


@dataclass
class World:
    """One customer of an API that is late, hides metadata or ignores the question, with other issuers about."""

    chance: random.Random
    lag: float
    keys: bool
    answers_ids: bool
    others: bool
    commit_delay: float
    made: list[tuple[float, int, str | None]] = field(default_factory=list)

    def issue(self, at: float, count: int, source: str | None) -> None:
        for _ in range(count):
            self.made.append((at, len(self.made) + 1, source))

    def shown(self, now: float) -> Shown:
        seen = [(at, number, source) for at, number, source in self.made if at + self.lag <= now]
        coupons = [coupon(number, at=float(int(at))) for at, number, _ in seen]
        details = [detail(number, source if self.keys else None) for _, number, source in seen]
        return Shown(coupons, details if self.answers_ids else [])


@settings(max_examples=1500)
@given(st.integers(0, 2**32), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_nothing_is_ever_settled_wrongly(seed: int, keys: bool, answers_ids: bool, others: bool, by_time: bool) -> None:
    """Against the truth: what is called not issued was not, what is called issued was.

    The API may lag (three lags are waited), drop metadata or answer nothing to the question; other tools issue too,
    but not to this customer within the window when the time alone decides.
    """
    chance = random.Random(seed)
    lag = chance.choice((0.0, 0.5, 5.0, 60.0, 250.0))
    world = World(chance, lag, keys, answers_ids, others, chance.choice((0.0, 0.1, 30.0)))
    quantity = chance.randint(1, 5)
    really = chance.choice((0, quantity, chance.randint(0, quantity)))
    if others:
        world.issue(BEGAN - chance.uniform(10, 10_000), chance.randint(0, 3), None)
        world.issue(BEGAN + LATE_SECONDS + 60 + chance.uniform(100, 500), chance.randint(0, 3), OTHER)
    world.issue(BEGAN + world.commit_delay, really, KEY)
    now = BEGAN + chance.choice((1.0, 61.0, 400.0, 905.0, 5000.0))
    # What known calls of other customers showed, as late as everything else of this API.
    later = BEGAN + chance.uniform(61, 300)
    visible = later + lag <= now
    measures = Measures(
        metadata=keys and answers_ids and visible,
        shown_after=later if visible and keys and answers_ids else None,
        listed_after=later if visible else None,
        lag_seconds=lag,
    )
    call = Doubt(KEY, SERIES, quantity, 0, BEGAN, BEGAN + 60)
    claimed = frozenset(str(number) for _, number, source in world.made if source == OTHER)
    shown = world.shown(now)._replace(claimed=claimed)
    found = judge(call, shown, measures, ALONE, Rules(by_time=by_time), now=now)
    if found.state is not CallState.IN_DOUBT:
        assert len(found.coupons) == really
        assert {one.id for one in found.coupons} == {str(n) for _, n, source in world.made if source == KEY}
    else:
        assert len(found.coupons) <= really <= len(found.coupons) + found.held
    unexplained = unexplained_of(call, shown, measures)
    if not found.coupons and really and len(shown.coupons) and not keys and now - BEGAN > world.commit_delay + lag:
        assert contradiction(KEY, 0, shown=0, unexplained=unexplained)
