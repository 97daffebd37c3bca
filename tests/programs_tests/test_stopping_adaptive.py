"""The policies that stop early: what they promise, held by laws."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import product
from math import factorial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from programs.stopping import (
    Counts,
    Decision,
    Policy,
    curtailed,
    fixed,
    lead,
    parse_policy,
    posterior,
    waves,
)
from programs.stopping.posterior import stays_first
from signatures.errors import ConfigError

# None is an unreadable draw; answers are small numbers.
DRAWS = st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=0, max_size=30)
SHARES = st.tuples(st.integers(1, 12), st.floats(0.01, 1.0))

POLICIES = st.one_of(
    SHARES.map(lambda p: fixed(*p)),
    SHARES.map(lambda p: curtailed(*p)),
    st.integers(1, 4).flatmap(lambda by: st.builds(lead, st.just(by), st.integers(by, 12))),
    st.builds(posterior, st.floats(0.6, 0.97), st.integers(5, 15)),
)


def counts_of(draws: list[int | None]) -> Counts:
    readable = [draw for draw in draws if draw is not None]
    votes = sorted(Counter(readable).values(), reverse=True)
    return Counts(tuple(votes), unreadable=len(draws) - len(readable))


def play(policy: Policy, draws: list[int | None]) -> tuple[Decision, int | None, int]:
    """Draw by waves from `draws`, then unreadable ones; return verdict, winner, draws used."""
    supply = [*draws, *[None] * policy.max_draws]
    used = 0
    while True:
        decision = policy.decide(counts_of(supply[:used]))
        if decision.draw == 0:
            readable = Counter(draw for draw in supply[:used] if draw is not None)
            winner = readable.most_common(1)[0][0] if decision.accepted else None
            return decision, winner, used
        used += decision.draw


@given(SHARES, DRAWS)
def test_curtailed_accepts_what_fixed_accepts_and_pays_no_more(
    share: tuple[int, float], draws: list[int | None]
) -> None:
    full, full_winner, full_used = play(fixed(*share), draws)
    early, early_winner, early_used = play(curtailed(*share), draws)
    assert early.accepted == full.accepted
    assert early_winner == full_winner
    assert early_used <= full_used


def test_curtailed_is_fixed_on_every_sequence_of_five_draws() -> None:
    for threshold in (0.2, 0.4, 0.5, 0.6, 0.8, 1.0):
        for sequence in product((None, 0, 1, 2), repeat=5):
            draws = list(sequence)
            full, winner, _ = play(fixed(5, threshold), draws)
            early, early_winner, _ = play(curtailed(5, threshold), draws)
            assert (early.accepted, early_winner) == (full.accepted, winner)


@given(st.integers(1, 7), st.floats(0.01, 1.0), DRAWS)
def test_curtailed_stops_no_later_than_the_moment_it_is_certain(
    k: int, threshold: float, draws: list[int | None]
) -> None:
    """After each single draw: if every continuation gives one verdict, it has stopped."""
    policy, full = curtailed(k, threshold), fixed(k, threshold)
    draws = draws[: min(k, 4)]
    for used in range(len(draws) + 1):
        seen = draws[:used]
        if policy.decide(counts_of(seen)).draw == 0 or k - used > 4:
            continue
        answers = [*{d for d in seen if d is not None}, 100, 101, None]
        verdicts = {
            play(full, [*seen, *rest])[:2] if play(full, [*seen, *rest])[0].accepted else None
            for rest in product(answers, repeat=k - used)
        }
        assert len(verdicts) > 1


@given(POLICIES, DRAWS)
def test_a_policy_stops_within_its_draws(policy: Policy, draws: list[int | None]) -> None:
    decision, winner, used = play(policy, draws)
    assert used <= policy.max_draws
    assert (winner is not None) == decision.accepted


@given(POLICIES, DRAWS, st.randoms())
def test_the_order_of_the_draws_does_not_matter(
    policy: Policy, draws: list[int | None], rng: object
) -> None:
    seen = draws[: policy.max_draws]
    before = policy.decide(counts_of(seen))
    rng.shuffle(seen)  # type: ignore[attr-defined]
    assert policy.decide(counts_of(seen)) == before


@given(POLICIES, DRAWS)
def test_no_smaller_wave_could_have_decided(policy: Policy, draws: list[int | None]) -> None:
    """The wave asked for is the fewest draws after which some outcome settles the matter."""
    seen = draws[: policy.max_draws]
    wave = policy.decide(counts_of(seen)).draw
    if not 1 < wave <= 4:
        return
    answers = [*{d for d in seen if d is not None}, 100, 101, None]
    for rest in product(answers, repeat=wave - 1):
        assert policy.decide(counts_of([*seen, *rest])).draw > 0


@given(POLICIES)
def test_a_policy_is_read_back_as_written(policy: Policy) -> None:
    assert parse_policy(policy.spec) == policy


@given(st.integers(1, 4), st.integers(4, 12), DRAWS)
def test_lead_accepts_only_a_first_that_is_ahead(
    by: int, most: int, draws: list[int | None]
) -> None:
    decision, _, used = play(lead(by, most), draws)
    counts = counts_of([*draws, *[None] * most][:used])
    assert decision.accepted == (counts.top - counts.second >= by)


@pytest.mark.parametrize(
    ("votes", "draw", "accepted", "reason"),
    [
        pytest.param((), 3, False, "more", id="empty"),
        pytest.param((3,), 0, True, "lead", id="three-ahead"),
        pytest.param((2, 1), 2, False, "more", id="one-ahead"),
        pytest.param((4, 4), 0, False, "tie", id="tie-that-cannot-be-broken"),
        pytest.param((5, 3), 1, False, "more", id="one-left"),
        pytest.param((5, 4), 0, False, "no_lead", id="too-late"),
    ],
)
def test_lead_three_of_nine(votes: tuple[int, ...], draw: int, accepted: bool, reason: str) -> None:
    assert lead(3, 9).decide(Counts(votes)) == Decision(draw, accepted, reason)  # type: ignore[arg-type]


def test_unreadable_draws_use_up_the_draws_of_lead() -> None:
    assert lead(3, 9).decide(Counts((), 7)).reason == "unreadable"
    assert lead(3, 9).decide(Counts((2,), 7)).reason == "no_lead"


@given(st.integers(0, 20), st.integers(0, 20))
def test_the_posterior_is_the_integral_of_the_beta_density(first: int, second: int) -> None:
    """Against the integral from 1/2 to 1, expanded term by term in exact fractions."""
    total = Fraction(0)
    for j in range(second + 1):
        power = first + j + 1
        binomial = factorial(second) // (factorial(j) * factorial(second - j))
        total += (-1) ** j * binomial * (1 - Fraction(1, 2**power)) / power
    norm = Fraction(factorial(first + second + 1), factorial(first) * factorial(second))
    assert stays_first(first, second) == pytest.approx(float(total * norm))


def test_posterior_wants_more_where_the_second_is_near() -> None:
    policy = posterior(0.95, 10)
    assert policy.decide(Counts((4,))).accepted
    assert not policy.decide(Counts((4, 1))).accepted
    assert policy.decide(Counts((5, 4), 1)).reason == "unsure"
    assert policy.decide(Counts((5, 5))).reason == "tie"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("lead(0, 9)", "lead"),
        ("lead(5, 4)", "draws"),
        ("posterior(0.5, 10)", "confidence"),
        ("posterior(1.0, 10)", "confidence"),
        ("posterior(0.999, 5)", "confidence"),
        ("curtailed(0, 0.5)", "k"),
        ("curtailed(5, 1.5)", "threshold"),
        ("curtailed(5, 0)", "threshold"),
        ("leads(3, 9)", "policy"),
        ("lead(3)", "policy"),
    ],
)
def test_a_policy_that_cannot_be_met_is_refused(text: str, name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        parse_policy(text)


# Larger waves.


@given(POLICIES, st.integers(1, 16), DRAWS)
def test_a_wave_is_never_smaller_than_its_size_but_for_the_cap(
    policy: Policy, size: int, draws: list[int | None]
) -> None:
    supply = [*draws, *[None] * policy.max_draws]
    waved, used = waves(policy, size), 0
    assert waved.max_draws == policy.max_draws
    while (decision := waved.decide(counts_of(supply[:used]))).draw:
        wanted = policy.decide(counts_of(supply[:used])).draw
        left = policy.max_draws - used
        assert decision.draw == min(max(size, wanted), left) >= min(wanted, left)
        used += decision.draw
    assert decision == policy.decide(counts_of(supply[:used]))
    assert used <= policy.max_draws


@given(SHARES, st.integers(1, 16), DRAWS)
def test_waves_of_a_curtailed_vote_change_its_samples_alone(
    share: tuple[int, float], size: int, draws: list[int | None]
) -> None:
    plain, winner, used = play(curtailed(*share), draws)
    waved, waved_winner, waved_used = play(waves(curtailed(*share), size), draws)
    assert (waved.accepted, waved_winner) == (plain.accepted, winner)
    assert waved_used >= used


@given(POLICIES, st.integers(1, 64))
def test_waves_are_read_back_as_they_were_written(policy: Policy, size: int) -> None:
    assert parse_policy(waves(policy, size).spec) == waves(policy, size)


@given(POLICIES, DRAWS)
def test_a_wave_of_one_is_the_policy_itself(policy: Policy, draws: list[int | None]) -> None:
    assert play(waves(policy, 1), draws) == play(policy, draws)


@pytest.mark.parametrize(
    "text",
    ["waves(lead(3, 9), 0)", "waves(waves(lead(3, 9), 4), 5)", "waves(lead(3, 9))", "waves(3, 9)",
     "waves(lead(9, 3), 4)"],
)  # fmt: skip
def test_waves_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"Write for example|such as"):
        parse_policy(text)
