"""How latency answers to load, from replies alone."""

from __future__ import annotations

import random

import pytest

from ds2.engines.elasticity import Elasticity


def after(replies: int, elasticity: float, *, sigma: float = 0.1, seed: int = 0) -> Elasticity:
    rng, made = random.Random(seed), Elasticity()
    for _ in range(replies):
        load = rng.uniform(20, 80)
        made.add(load, 0.1 * load**elasticity * rng.lognormvariate(0, sigma), memory=1000)
    return made


def test_nothing_is_sure_of_no_replies_or_few_or_at_one_load() -> None:
    same = Elasticity()
    for _ in range(100):
        same.add(8, 0.5, memory=320)
    for made in (Elasticity(), after(15, 1), same):
        assert not made.surely_above(0, 0)
        assert not made.surely_below(1, 0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_a_thousand_replies_tell_waiting_from_work(sigma: float, seed: int) -> None:
    waiting, working = (after(1000, b, sigma=sigma, seed=seed) for b in (1, 0))
    assert waiting.surely_above(0.5, 2)
    assert not waiting.surely_below(0.5, 2)
    assert working.surely_below(0.5, 2)
    assert not working.surely_above(0.5, 2)


def test_what_was_long_ago_is_forgotten() -> None:
    made, rng = after(500, 1), random.Random(1)
    for _ in range(5000):
        made.add(rng.uniform(20, 80), 0.5, memory=320)
    assert made.surely_below(0.1, 2)


@pytest.mark.parametrize("knee", [20, 40, 80])
def test_the_knee_is_found_within_a_third(knee: float) -> None:
    rng, made = random.Random(0), Elasticity()
    for _ in range(3000):
        load = 10 * 10 ** rng.random()
        made.add(load, 0.5 * max(1.0, load / knee), memory=10_000)
    assert knee / 1.34 <= made.knee() <= knee * 1.34
