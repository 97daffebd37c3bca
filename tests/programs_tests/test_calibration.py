"""Fitting a voting policy: the states, the estimates, the induction, and what comes of them."""

from __future__ import annotations

import random
from collections import defaultdict
from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from programs.ballots import UNREADABLE, Ballot, figures, outcomes, random_orders
from programs.calibration import fit_policy
from programs.calibration.estimates import VARIANTS, Estimates, estimate, isotonic, look
from programs.calibration.induction import PATIENCE, Action, Prices, problem, solve, waves
from programs.calibration.smoothing import smooth_beliefs
from programs.calibration.states import Event, event_between, space
from programs.stopping import Counts, fixed, lead
from signatures.errors import ConfigError

FEW = space(4)


def questions(number: int, seed: int, samples: int = 10) -> list[Ballot]:
    """Return votes of three kinds: easy, hard and hopeless; answer 0 is right."""
    rng = random.Random(seed)
    made = []
    for _ in range(number):
        chance = rng.choice((0.97, 0.9, 0.6, 0.2))
        slips = (1, 1, 2, 3, 4, UNREADABLE)
        draws = [0 if rng.random() < chance else rng.choice(slips) for _ in range(samples)]
        made.append(Ballot(tuple(draws), 0))
    return made


@lru_cache(maxsize=1)
def small_fit() -> tuple[list[Ballot], object]:
    ballots = questions(120, seed=1)
    return ballots, fit_policy(ballots, 0.97, 6, repeats=8, folds=3)


def test_the_space_holds_every_state_once() -> None:
    for most in range(1, 7):
        found = space(most)
        assert len(set(found.states)) == len(found.states) == len(found.place)
        # Partitions of 0 to n votes, for each number n of readable draws and the rest unreadable.
        partitions = [1, 1, 2, 3, 5, 7, 11]
        assert len(found.states) == sum(sum(partitions[: n + 1]) for n in range(most + 1))
        assert [state.draws for state in found.states] == sorted(s.draws for s in found.states)


def test_the_ways_on_from_a_state_are_whole_and_told_apart_by_the_event() -> None:
    found = space(6)
    for state, steps in zip(found.states, found.steps, strict=True):
        shares: dict[Event, float] = defaultdict(float)
        for step in steps:
            after = found.states[step.state]
            assert after.draws == state.draws + 1
            assert event_between(state, after) is step.event
            shares[step.event] += step.share
        assert all(share == pytest.approx(1) for share in shares.values())
        assert bool(steps) == (state.draws < 6)


def test_a_vote_for_one_of_two_firsts_is_one_for_the_first() -> None:
    assert event_between(Counts((2, 2)), Counts((3, 2))) is Event.FIRST
    assert event_between(Counts((3, 1, 1)), Counts((3, 2, 1))) is Event.SECOND
    assert event_between(Counts((3, 2, 1)), Counts((3, 2, 2))) is Event.OTHER
    assert event_between(Counts((3,)), Counts((3, 1))) is Event.NEW
    assert event_between(Counts(()), Counts((), 1)) is Event.UNREADABLE


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 9)), max_size=12))
def test_an_isotonic_fit_rises_and_keeps_the_mean(points: list[tuple[float, float]]) -> None:
    values = isotonic(points)
    assert values == sorted(values)
    weights = [weight for _, weight in points]
    before = sum(value * weight for value, weight in points)
    after = sum(value * weight for value, weight in zip(values, weights, strict=True))
    assert after == pytest.approx(before)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_estimates_are_probabilities_for_every_state_seen_or_not(variant: object) -> None:
    ballots = questions(40, seed=2, samples=5)
    orders = random_orders(ballots, repeats=4)
    seen = [
        look(ballot, walks, orders.states, 4)
        for ballot, walks in zip(ballots, orders.walks, strict=True)
    ]
    found = estimate(seen, FEW, variant)  # type: ignore[arg-type]
    assert all(0 <= right <= 1 for right in found.right)
    followed = [events for events, steps in zip(found.events, FEW.steps, strict=True) if steps]
    assert all(sum(events) == pytest.approx(1) for events in followed)
    strong, split = FEW.place[Counts((4,))], FEW.place[Counts((2, 1, 1))]
    assert found.right[strong] > found.right[split]


def test_plain_estimates_are_the_shares_that_were_seen() -> None:
    ballots = [Ballot((0, 0), 0)] * 3 + [Ballot((1, 1), 0)]
    orders = random_orders(ballots)
    seen = [
        look(ballot, walks, orders.states, 2)
        for ballot, walks in zip(ballots, orders.walks, strict=True)
    ]
    found = estimate(seen, space(2), VARIANTS[0])
    place = space(2).place[Counts((2,))]
    assert (found.right[place], found.support[place]) == (0.75, 4)
    assert found.events[space(2).place[Counts((1,))]][Event.FIRST] == 1


def test_what_the_whole_vote_says_of_an_answer_rises_with_its_share() -> None:
    ballots = [*questions(80, seed=3), Ballot((0,) * 9 + (1,), 0), Ballot((1,) * 9 + (0,), 0)]
    *_, clear, misled = smooth_beliefs(ballots)
    assert clear[0] > 0.8 > 0.2 > clear[1]
    # The label does not reach through: the same vote gets the same belief, right or wrong.
    assert misled[1] == pytest.approx(clear[0])
    assert smooth_beliefs([Ballot((UNREADABLE,), 0)]) == [{}]


def test_beliefs_stay_finite_where_every_answer_is_right() -> None:
    (belief, *_) = smooth_beliefs([Ballot((0, 0, 0), 0)] * 20)
    assert 0.9 < belief[0] <= 1


RIGHT = st.lists(st.floats(0, 1), min_size=len(FEW.states), max_size=len(FEW.states))
EVENTS = st.lists(
    st.lists(st.floats(0.01, 1), min_size=5, max_size=5).map(
        lambda parts: tuple(part / sum(parts) for part in parts)
    ),
    min_size=len(FEW.states),
    max_size=len(FEW.states),
)


def ways_on(place: int, of: Estimates) -> list[tuple[int, float]]:
    """The events that the state can have, made whole."""
    possible = {step.event for step in FEW.steps[place]}
    whole = sum(of.events[place][event] for event in possible)
    return [
        (step.state, of.events[place][step.event] * step.share / whole) for step in FEW.steps[place]
    ]


def value_of(place: int, of: Estimates, prices: Prices) -> float:
    """The value of a state by the definition, from the front, without a table."""
    state = FEW.states[place]
    options = [] if state.draws < PATIENCE else [0.0]
    if state.votes and not state.tied:
        options.append(of.right[place] - prices.wrong * (1 - of.right[place]))
    if FEW.steps[place]:
        options.append(
            sum(chance * value_of(after, of, prices) for after, chance in ways_on(place, of))
            - prices.sample
        )
    return max(options)


@given(RIGHT, EVENTS, st.floats(0, 20), st.floats(0, 0.3))
def test_the_induction_gains_what_the_definition_says(
    right: list[float], events: list[tuple[float, ...]], wrong: float, sample: float
) -> None:
    of = Estimates(right, events, [1.0] * len(right))
    prices = Prices(wrong, sample)
    actions = solve(problem(of, FEW), prices)

    def gain(place: int) -> float:
        if actions[place] is Action.REJECT:
            return 0.0
        if actions[place] is Action.ACCEPT:
            return right[place] - wrong * (1 - right[place])
        return -sample + sum(chance * gain(after) for after, chance in ways_on(place, of))

    assert gain(0) == pytest.approx(value_of(0, of, prices))


def test_a_wave_is_the_fewest_draws_that_could_stop() -> None:
    actions = [
        Action.ACCEPT if state == Counts((3,)) else
        Action.REJECT if state.draws == 4 else Action.DRAW
        for state in FEW.states
    ]  # fmt: skip
    found = waves(actions, FEW)
    assert found[FEW.place[Counts(())]] == 3
    assert found[FEW.place[Counts((1, 1))]] == 2
    assert found[FEW.place[Counts((2,))]] == 1
    assert found[FEW.place[Counts((3,))]] == 0


def test_a_fitted_policy_is_as_precise_and_cheaper_on_new_questions() -> None:
    ballots = questions(300, seed=4)
    fit = fit_policy(ballots, fixed(8, 0.5), 8, repeats=10)
    orders = random_orders(questions(600, seed=5), repeats=4)
    ours = figures(outcomes(fit.policy, orders), orders)
    full = figures(outcomes(fixed(8, 0.5), orders), orders)
    assert ours.precision is not None
    assert full.precision is not None
    assert ours.precision > full.precision - 0.02
    assert ours.yielded > 0.9 * full.yielded
    assert ours.samples_per_accepted < 0.65 * full.samples_per_accepted  # type: ignore[operator]


def test_a_fit_reports_every_variant_and_what_to_expect() -> None:
    _, fit = small_fit()
    assert [tried.variant for tried in fit.tried] == [v.name for v in VARIANTS]  # type: ignore[attr-defined]
    policy = fit.policy  # type: ignore[attr-defined]
    made = policy.provenance
    assert made.variant in {tried.variant for tried in fit.tried if tried.figures}  # type: ignore[attr-defined]
    assert (made.questions, made.samples, made.folds) == (120, 1200, 3)
    for measured in (policy.expected.yielded, policy.expected.precision, policy.expected.samples):
        assert measured.low <= measured.value <= measured.high
    assert policy.expected.precision.value >= 0.97
    assert policy.expected.yielded.value >= fit.min_yield  # type: ignore[attr-defined]


def test_a_fit_depends_on_the_votes_and_the_seed_alone() -> None:
    ballots, fit = small_fit()
    again = fit_policy([*ballots, Ballot((0, 0), None)], 0.97, 6, repeats=8, folds=3)
    assert again.policy == fit.policy  # type: ignore[attr-defined]
    assert again.policy.provenance == fit.policy.provenance  # type: ignore[attr-defined]
    other = fit_policy(questions(120, seed=9), 0.97, 6, repeats=8, folds=3)
    assert other.policy.provenance.ballots != again.policy.provenance.ballots


def test_nothing_is_given_up_before_three_draws() -> None:
    policy = small_fit()[1].policy  # type: ignore[attr-defined]
    early = [c for c, entry in policy.states.items() if entry.do == "reject" and c.draws < PATIENCE]
    assert early == []


@pytest.mark.parametrize(
    ("target", "max_draws", "number", "message"),
    [
        pytest.param(1.2, 5, 40, "target precision", id="above-one"),
        pytest.param(0.0, 5, 40, "target precision", id="zero"),
        pytest.param(float("nan"), 5, 40, "target precision", id="nan"),
        pytest.param(0.9, 1, 40, "most draws", id="one-draw"),
        pytest.param(0.9, 11, 40, "most draws", id="more-than-recorded"),
        pytest.param(0.9, 5, 19, "at least 20 questions", id="too-few"),
        pytest.param(0.9, 5, 0, "at least 20 questions", id="none"),
        pytest.param(0.9999, 3, 40, "be reachable", id="out-of-reach"),
        pytest.param(lead(10, 10), 5, 40, "accepts something", id="accepts-nothing"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    target: object, max_draws: int, number: int, message: str
) -> None:
    ballots = [Ballot((0, 1, 2, 3, 4, 0, 1, 2, 3, 0), place % 2) for place in range(number)]
    with pytest.raises(ConfigError, match=message):
        fit_policy(ballots, target, max_draws, repeats=2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_yield": 1.1}, "least yield"),
        ({"min_yield": float("nan")}, "least yield"),
        ({"folds": 1}, "folds"),
        ({"repeats": 0}, "repeats"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit_policy(questions(30, seed=1), 0.9, 4, **options)  # type: ignore[arg-type]


def test_a_yield_that_cannot_be_had_is_refused() -> None:
    with pytest.raises(ConfigError, match="no policy accepts so many"):
        fit_policy(questions(40, seed=1), 0.5, 4, min_yield=1.0, repeats=2)
