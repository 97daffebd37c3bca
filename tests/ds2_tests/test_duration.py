from __future__ import annotations

import pytest

from ds2.runtime.duration import Limits, Load, duration

LOADS = {
    "keywords": Load(6, 6, 3000, 6.0),
    "writer": Load(100, 100, 50_000, 100.0),
    "answers": Load(500, 500, 200_000, 500.0),
}


def of(**limits: object) -> object:
    return duration(LOADS, Limits(**{"concurrency": 10, **limits}), rounds=3)


def test_calls_in_flight_set_the_pace_where_nothing_else_does() -> None:
    took = of()
    assert took.bound == "concurrency"
    assert took.stages["keywords"] == 3  # rounds of one second wait for each other
    assert 60 < took.seconds - 3 < 66


@pytest.mark.parametrize(
    ("limits", "bound", "least_s"),
    [({"rpm": 60}, "rpm", 600 + 6), ({"tpm": 50_000}, "tpm", 300 + 3.6)],
    ids=["requests", "tokens"],
)
def test_a_limit_by_hand_is_a_floor(limits: dict[str, int], bound: str, least_s: float) -> None:
    took = of(**limits)
    assert took.bound == bound
    assert least_s <= took.seconds < least_s + 5
    assert of(**dict.fromkeys(limits, 10**9)).seconds == of().seconds


def test_the_tighter_of_two_limits_binds() -> None:
    assert of(rpm=60, tpm=50_000).bound == "rpm"
    assert of(rpm=6000, tpm=50_000).bound == "tpm"


def test_each_endpoint_has_limits_of_its_own() -> None:
    apart = of(rpm=60, places={"answers": "another"})
    assert 500 <= apart.seconds - apart.stages["keywords"] < 505
    assert apart.stages["writer"] == 0  # in the shadow of the answers


def test_draws_that_share_a_request_wait_once_for_the_limit() -> None:
    shared = {**LOADS, "answers": Load(500, 250, 200_000, 250.0)}
    took = duration(shared, Limits(10, rpm=60))
    assert took.bound == "rpm"
    assert 350 <= took.seconds - took.stages["keywords"] < 360
    assert shared["answers"].latency_s == 1


def test_stages_add_up_to_the_whole() -> None:
    for limits in ({}, {"rpm": 60}, {"tpm": 1000}, {"ramp": True}):
        took = of(**limits)
        assert sum(took.stages.values()) == pytest.approx(took.seconds)


def test_without_latency_our_own_work_sets_the_pace() -> None:
    free = {stage: load._replace(seconds=0.0) for stage, load in LOADS.items()}
    took = duration(free, Limits(64))
    assert took.bound == "processor"
    assert 0 < took.seconds < 1


def test_a_run_that_is_done_takes_no_time() -> None:
    assert duration({}, Limits(64, rpm=1)).seconds == 0
    assert duration(dict.fromkeys(LOADS, Load()), Limits(64, rpm=1)).seconds == 0


def test_slow_start_costs_the_most_where_the_width_is_large() -> None:
    assert of(ramp=True, concurrency=8).seconds == of(concurrency=8).seconds
    assert of(ramp=True, concurrency=256).seconds > of(concurrency=256).seconds
