"""Requests and tokens a minute, by a clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2.engines.pace import Bucket, Estimate, Pace


def busiest_minute(times: list[float]) -> int:
    """Return the most events in any half-open minute."""
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= 60:
            first += 1
        most = max(most, last - first + 1)
    return most


def leaving(per_minute: int, gaps: list[float]) -> list[float]:
    """Return when calls leave that arrive after these gaps and wait as long as they must."""
    bucket, now_s, times = Bucket(per_minute), 0.0, []
    for gap in gaps:
        now_s += gap
        while (wait_s := bucket.wait_s(now_s, 1)) > 0:
            now_s += wait_s
        bucket.take(now_s, 1)
        times.append(now_s)
    return times


@settings(max_examples=60)
@given(
    st.integers(1, 3000), st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.1, 7.0, 90.0]), max_size=300)
)
def test_no_minute_ever_sees_more_than_the_limit(per_minute: int, gaps: list[float]) -> None:
    assert busiest_minute(leaving(per_minute, gaps)) <= per_minute


@pytest.mark.parametrize("per_minute", [1, 2, 7, 60, 600, 601, 3000, 30_000])
def test_who_always_waits_gets_nearly_all_of_it(per_minute: int) -> None:
    number = min(3 * per_minute, 5000)
    took_s = leaving(per_minute, [0.0] * number)[-1]
    assert took_s <= (number - 1) * 60 / per_minute / 0.99 + 1e-6


def test_a_call_larger_than_the_bucket_leaves_and_is_paid_for_by_those_after_it() -> None:
    bucket = Bucket(60_000)  # 100 at once, some 1,000 a second
    assert bucket.wait_s(0, 5000) == 0
    bucket.take(0, 5000)
    assert bucket.wait_s(0, 5000) == pytest.approx(5.0, rel=0.01)


def test_an_empty_bucket_still_lets_what_costs_nothing_through() -> None:
    bucket = Bucket(60)
    bucket.take(0, 1)
    assert bucket.wait_s(0, 0) == 0
    assert bucket.wait_s(0, 1) == pytest.approx(1.0)


def test_a_clock_that_goes_back_fills_nothing_and_breaks_nothing() -> None:
    bucket = Bucket(60)
    bucket.take(100, 1)
    assert bucket.wait_s(50, 1) == pytest.approx(1.0)


def test_usage_settles_what_was_reserved_in_both_directions() -> None:
    pace = Pace(tpm=60_000)
    pace.take(0, 1000)
    pace.settle(0, 1000, 100)
    assert pace.wait_s(0, 100) == pytest.approx(0.1, rel=0.01)
    pace.settle(0, 100, 1100)
    assert pace.wait_s(0, 100) == pytest.approx(1.1, rel=0.01)


def test_a_call_that_never_left_costs_nothing() -> None:
    pace = Pace(rpm=1, tpm=600)
    pace.take(0, 50)
    assert pace.wait_s(0, 50) > 0
    pace.give_back(0, 50)
    assert pace.wait_s(0, 50) == 0


def test_without_limits_nobody_waits() -> None:
    pace = Pace()
    for _ in range(100):
        assert pace.wait_s(0, 1e9) == 0
        pace.take(0, 1e9)


def test_what_a_call_takes_is_learnt_from_the_calls_before() -> None:
    estimate = Estimate()
    for _ in range(200):
        estimate.learn(1000, 250, 80)
    assert estimate.of(2000) == pytest.approx(500 + 80, rel=0.02)
    assert estimate.of(2000, choices=5) == pytest.approx(500 + 400, rel=0.02)
    estimate.learn(0, 7, None)
    estimate.learn(10, None, None)
    assert estimate.of(2000) == pytest.approx(500 + 80, rel=0.02)
