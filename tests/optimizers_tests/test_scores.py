"""Scores, unscored outcomes, and intervals."""

from __future__ import annotations

import random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizers.scores import (
    Evaluation,
    Score,
    Unscored,
    _student,
    difference,
    paired,
    refuse_unscored,
    told_of_unscored,
)
from signatures.errors import StageError


def scored(*values: float | None) -> Evaluation:
    return Evaluation(tuple((Unscored("down") if v is None else Score(v, "said"),) for v in values))


def test_an_unscored_outcome_is_no_zero() -> None:
    found = scored(1.0, None, 0.5)
    assert (found.score, found.unscored) == (0.75, pytest.approx(1 / 3))
    assert found.values == (1.0, None, 0.5)
    assert scored().score is None
    assert scored(None).score is None


def test_draws_of_one_example_are_one_value() -> None:
    draws = (Score(1.0, ""), Score(0.0, ""), Unscored("down"))
    assert Evaluation((draws,)).values == (0.5,)


@pytest.mark.parametrize(("unscored", "refused"), [(0, False), (2, False), (3, True), (10, True)])
def test_more_than_a_fifth_unscored_fails_and_says_why(unscored: int, refused: bool) -> None:
    outcomes = [Unscored("no verdict")] * unscored + [Score(1.0, "")] * (10 - unscored)
    if not refused:
        refuse_unscored(outcomes, "it")
        return
    with pytest.raises(
        StageError, match=f"{unscored} of 10, {unscored} of them because no verdict"
    ):
        refuse_unscored(outcomes, "it")


def test_students_quantiles_are_those_of_the_tables() -> None:
    table = {1: 12.706, 2: 4.303, 5: 2.571, 10: 2.228, 30: 2.042, 1000: 1.962}
    for freedom, quantile in table.items():
        assert _student(0.975, freedom) == pytest.approx(quantile, rel=0.005)


@pytest.mark.parametrize("swapped", [False, True])
def test_what_floats_leave_above_nothing_is_no_gain(swapped: bool) -> None:
    # Means of three draws: what is lost on one is won on the other, but for a float.
    sides = [scored(*[1.0, 1 / 3] * 8), scored(*[2 / 3, 2 / 3] * 8)]
    before, after = reversed(sides) if swapped else sides
    gain = difference(before, after, alike=[place // 2 for place in range(16)], resamples=200)
    assert gain is not None
    assert [str(number) for number in gain] == ["0.0"] * 3
    assert not gain.is_gain


def test_a_difference_pairs_examples_and_leaves_out_what_one_side_lacks() -> None:
    gain = difference(scored(0.0, 0.0, None, 1.0), scored(1.0, 1.0, 1.0, None))
    assert gain is not None
    assert (gain.value, gain.low, gain.high, gain.is_gain) == (1.0, 1.0, 1.0, True)
    assert difference(scored(0.5), scored(1.0)) is None
    assert difference(scored(), scored()) is None


def test_nothing_gained_is_no_gain() -> None:
    gain = difference(scored(*[0.5] * 9), scored(*[0.5] * 9))
    assert gain is not None
    assert (gain.low, gain.high, gain.is_gain) == (0.0, 0.0, False)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=12))
def test_an_interval_holds_its_estimate_and_turns_with_the_sides(
    pairs: list[tuple[float, float]],
) -> None:
    old, new = zip(*pairs, strict=True)
    gain = difference(scored(*old), scored(*new), resamples=100)
    loss = difference(scored(*new), scored(*old), resamples=100)
    assert gain is not None
    assert loss is not None
    assert gain.low <= gain.value + 1e-9 <= gain.high + 2e-9
    assert gain.value == pytest.approx(-loss.value)


def test_where_there_is_no_gain_one_is_claimed_no_more_often_than_the_level_says() -> None:
    """Paired noise of 20 examples with three draws each: 2.5 % of 400, and three deviations."""
    rng = random.Random(1)
    claims = 0
    for seed in range(400):
        sides = []
        for _ in range(2):
            values = [sum(rng.random() < 0.5 for _ in range(3)) / 3 for _ in range(20)]
            sides.append(scored(*values))
        gain = difference(*sides, seed=seed, resamples=400)
        assert gain is not None
        claims += gain.is_gain
    most = 0.025 * 400 + 3 * (400 * 0.025 * 0.975) ** 0.5
    assert claims <= most


def test_the_normal_limit_is_the_normal_quantile() -> None:
    assert _student(0.975, 10**6) == pytest.approx(NormalDist().inv_cdf(0.975), rel=1e-5)


def test_what_asks_the_same_is_resampled_as_one() -> None:
    rng = random.Random(2)
    old, new = ([rng.random() for _ in range(9)] for _ in range(2))
    alone = difference(scored(*old), scored(*new), resamples=200)
    copies = [place for place in range(9) for _ in range(4)]
    times4 = [[side[place] for place in copies] for side in (old, new)]
    together = difference(*(scored(*side) for side in times4), alike=copies, resamples=200)
    assert together == pytest.approx(alone)
    apart = difference(*(scored(*side) for side in times4), resamples=200)
    assert alone is not None
    assert apart is not None
    assert apart.high - apart.low < 0.7 * (alone.high - alone.low)


def test_one_question_over_and_over_is_no_sample() -> None:
    assert difference(scored(0.0, 0.0), scored(1.0, 1.0), alike=(0, 0)) is None


def test_what_alone_the_new_prompts_could_not_do_is_told_and_counted_as_0() -> None:
    before, after = scored(1.0, 1.0, 0.0, 1.0), scored(None, 1.0, 1.0, 1.0)
    assert paired(before, after) == 3
    told = list(told_of_unscored(before, after))
    assert "0.0% before and 25.0% after" in told[0]
    assert "3 of 4 examples" in told[0]
    assert told[1].startswith("Counted as 0 after, the difference is +0.000 (")
    assert len(list(told_of_unscored(after, before))) == 1
    assert list(told_of_unscored(before, before)) == []
