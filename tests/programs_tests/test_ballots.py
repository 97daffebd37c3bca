"""Recorded votes in random orders: against drawing the same samples one by one."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from programs.ballots import (
    UNREADABLE,
    Ballot,
    bootstrap,
    figures,
    outcomes,
    random_orders,
    wilson,
)
from programs.stopping import Counts, Policy, curtailed, fixed, lead, posterior, waves

ANSWERS = st.lists(st.integers(UNREADABLE, 3), min_size=0, max_size=12).map(tuple)
BALLOTS = st.lists(
    st.builds(Ballot, ANSWERS, st.none() | st.integers(0, 4)), min_size=1, max_size=6
)
POLICIES = st.sampled_from(
    [fixed(5, 0.6), curtailed(7, 0.5), lead(2, 6), posterior(0.8, 6), waves(lead(2, 6), 4)]
)


def counts_of(answers: tuple[int, ...]) -> Counts:
    votes = Counter(answer for answer in answers if answer != UNREADABLE)
    return Counts(tuple(sorted(votes.values(), reverse=True)), answers.count(UNREADABLE))


@given(ANSWERS, st.integers(0, 9))
def test_a_walk_counts_what_was_drawn_so_far(answers: tuple[int, ...], seed: int) -> None:
    orders = random_orders([Ballot(answers, 0)], repeats=3, seed=seed)
    for walk in orders.walks[0]:
        states = [orders.states[place] for place in walk.states]
        assert states[0] == Counts(())
        assert [state.draws for state in states] == list(range(len(answers) + 1))
        assert states[-1] == counts_of(answers)


@given(st.integers(0, 9))
def test_a_walk_knows_who_is_first_and_that_a_tie_has_none(seed: int) -> None:
    orders = random_orders([Ballot((1, 1, 1, 2, 2, UNREADABLE), 1)], repeats=4, seed=seed)
    for walk in orders.walks[0]:
        for place, leader in zip(walk.states, walk.leaders, strict=True):
            state = orders.states[place]
            assert (leader == -1) == (state.tied or not state.votes)
        assert walk.leaders[-1] == 1


@given(BALLOTS, POLICIES)
def test_outcomes_are_those_of_drawing_wave_by_wave(ballots: list[Ballot], policy: Policy) -> None:
    """The walk is rebuilt from its own states, so only the counting is taken on trust."""
    orders = random_orders(ballots, repeats=2, seed=1)
    for done, walks, right in zip(
        outcomes(policy, orders), orders.walks, orders.right, strict=True
    ):
        accepted = hits = draws = short = asked = 0
        for walk in walks:
            drawn = 0
            while (decision := policy.decide(orders.states[walk.states[drawn]])).draw:
                asked += 1
                drawn += decision.draw
                if drawn >= len(walk.states):
                    short += 1
                    drawn = len(walk.states) - 1
                    break
            else:
                accepted += decision.accepted
                hits += decision.accepted and walk.leaders[drawn] == right
            draws += drawn
        assert done == (accepted, hits, draws, short, asked)


def test_the_same_seed_gives_every_policy_the_same_orders_and_more_repeats_change_none() -> None:
    ballots = [Ballot((0, 1, 2, 0, 1), 0), Ballot((0, 0, 3), 0)]
    few, many = random_orders(ballots, repeats=2), random_orders(ballots, repeats=5)
    for before, after in zip(few.walks, many.walks, strict=True):
        shown = [[few.states[place] for place in walk.states] for walk in before]
        assert shown == [[many.states[place] for place in walk.states] for walk in after[:2]]
    assert random_orders(ballots, repeats=5) == many
    assert random_orders(ballots, repeats=5, seed=1) != many


def test_figures_of_votes_that_can_be_worked_out_by_hand() -> None:
    ballots = [
        Ballot((0, 0, 0), 0),
        Ballot((1, 1, 1), 0),
        Ballot((1, 2, 3), 0),
        Ballot((5,) * 3, None),
    ]
    orders = random_orders(ballots, repeats=2)
    found = figures(outcomes(fixed(3, 0.6), orders), orders)
    assert (found.yielded, found.precision, found.samples) == (0.75, 0.5, 3.0)
    assert found.samples_per_accepted == 4.0


def test_nothing_accepted_has_no_precision_and_no_cost_of_a_row() -> None:
    orders = random_orders([Ballot((UNREADABLE,) * 3, 0), Ballot((), 0)])
    done = outcomes(lead(2, 3), orders)
    found = figures(done, orders)
    assert (found.precision, found.samples_per_accepted) == (None, None)
    assert bootstrap(done, orders, resamples=20)["precision"] == (None, None)


def test_too_few_samples_are_told_and_not_accepted() -> None:
    orders = random_orders([Ballot((0, 0), 0)])
    assert outcomes(fixed(3, 0.5), orders) == ((0, 0, 2, 1, 1),)
    assert outcomes(curtailed(3, 0.5), orders) == ((1, 1, 2, 0, 1),)


@pytest.mark.parametrize(
    ("share", "total", "low", "high"),
    [
        pytest.param(0.0, 10, 0.0, 0.2775, id="none-right"),
        pytest.param(1.0, 10, 0.7225, 1.0, id="all-right"),
        pytest.param(0.5, 100, 0.4038, 0.5962, id="half"),
    ],
)
def test_the_wilson_interval(share: float, total: int, low: float, high: float) -> None:
    assert wilson(share, total) == pytest.approx((low, high), abs=1e-4)


def test_a_share_of_nothing_has_no_interval() -> None:
    assert wilson(None, 10) == wilson(0.5, 0) == (None, None)


def test_the_bootstrap_holds_the_figures_and_narrows_with_more_questions() -> None:
    ballots = [Ballot((0, 0, 0) if place % 3 else (1, 1, 1), 0) for place in range(30)]
    widths = []
    for times in (1, 20):
        orders = random_orders(ballots * times)
        done = outcomes(fixed(3, 0.6), orders)
        low, high = bootstrap(done, orders, resamples=300)["precision"]
        assert low is not None
        assert high is not None
        assert low < figures(done, orders).precision < high  # type: ignore[operator]
        widths.append(high - low)
    assert widths[1] < widths[0] / 3
