"""The limit finds what an endpoint can take, on endpoints simulated event by event."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

import pytest

from ds2.engines.congestion import Congestion, CongestionConfig


def drive(
    control: Congestion,
    latency_s: Callable[[int, random.Random], float],
    *,
    replies: int,
    turned_away_above: int | None = None,
    seed: int = 0,
) -> tuple[float, list[int]]:
    """Keep the endpoint as busy as allowed; return the seconds it took and the limit over time."""
    rng = random.Random(seed)
    now_s, done, limits = 0.0, 0, []
    flights: list[tuple[float, float, bool]] = []
    while done < replies:
        while len(flights) < control.limit:
            refused = turned_away_above is not None and len(flights) >= turned_away_above
            wait_s = 0.01 if refused else latency_s(len(flights) + 1, rng)
            heapq.heappush(flights, (now_s + wait_s, now_s, refused))
        now_s, sent_s, refused = heapq.heappop(flights)
        if refused:
            control.overloaded(now_s, sent_s)
        else:
            control.replied(now_s, len(flights) + 1)
            done += 1
        limits.append(control.limit)
    return now_s, limits


def constant(_: int, rng: random.Random) -> float:
    return 0.4 + 0.2 * rng.random()


def test_an_endpoint_that_takes_everything_is_brought_to_the_ceiling_within_a_few_round_trips() -> (
    None
):
    control = Congestion(CongestionConfig(start=8, ceiling=256))
    seconds, limits = drive(control, constant, replies=2000)
    assert control.state == "at the ceiling"
    assert limits.index(256) < 600
    assert 2000 / seconds > 0.6 * 256 / 0.5


@pytest.mark.parametrize("seed", range(5))
def test_a_hard_cap_is_found_and_kept_near(seed: int) -> None:
    control = Congestion(CongestionConfig(start=8, ceiling=512))
    seconds, limits = drive(control, constant, replies=4000, turned_away_above=40, seed=seed)
    settled = limits[len(limits) // 2 :]
    assert 25 <= sum(settled) / len(settled) <= 60
    assert 4000 / seconds > 0.7 * 40 / 0.5


def test_a_burst_of_refusals_cuts_once() -> None:
    control = Congestion(CongestionConfig(start=100, ceiling=100))
    cuts = [control.overloaded(1.0 + i / 1000, sent_s=0.5) for i in range(50)]
    assert cuts.count(True) == 1
    assert control.limit == 70
    assert control.overloaded(2.0, sent_s=1.9)
    assert control.limit == 49


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("slots", [16, 48])
def test_a_server_that_only_queues_is_not_flooded(slots: int, seed: int) -> None:
    """It works on `slots` calls at once and never says 429; all above that only wait."""

    def queueing(in_flight: int, rng: random.Random) -> float:
        return constant(in_flight, rng) * max(1.0, in_flight / slots)

    control = Congestion(CongestionConfig(start=8, ceiling=512))
    seconds, limits = drive(control, queueing, replies=6000, seed=seed)
    settled = limits[len(limits) // 2 :]
    assert sum(settled) / len(settled) <= 5 * slots
    assert 6000 / seconds > 0.75 * slots / 0.5


def test_an_idle_run_does_not_grow_its_limit() -> None:
    control = Congestion(CongestionConfig(start=8, ceiling=64))
    for step in range(100):
        control.replied(step / 10, in_flight=2)
    assert control.limit == 8


def test_the_limit_never_falls_below_one() -> None:
    control = Congestion(CongestionConfig(start=1, ceiling=4))
    for step in range(20):
        control.overloaded(step + 1.0, sent_s=step + 0.9)
    assert control.limit == 1


@pytest.mark.parametrize("seed", range(5))
def test_a_slow_beginning_is_not_taken_for_an_endpoint_that_is_full(seed: int) -> None:
    rng = random.Random(seed)
    control = Congestion(CongestionConfig(start=8, ceiling=256))
    now_s = 0.0
    # A few long lists first, as a run has while it grows its keywords: never as many as allowed.
    for burst in (1, 8, 3, 8, 2, 8, 4, 8, 1):
        ends = sorted(now_s + rng.lognormvariate(-1.2, 1) for _ in range(burst))
        for left, now_s in zip(range(burst, 0, -1), ends, strict=True):
            control.replied(now_s, left)
    drive(control, lambda _, rng: rng.lognormvariate(-1.2, 1), replies=3000, seed=seed)
    assert control.state == "at the ceiling"
