"""The limit finds what an endpoint can take, on endpoints simulated event by event."""

from __future__ import annotations

import random

import pytest
from endpoint_events import Endpoint, Latency, drive, even, long_tailed

from ds2.engines.congestion import Congestion, CongestionConfig

LATENCIES = pytest.mark.parametrize("latency", [even, long_tailed])


def control(ceiling: int = 256, start: int = 8) -> Congestion:
    return Congestion(CongestionConfig(start=start, ceiling=ceiling))


# Nothing to find.


@LATENCIES
@pytest.mark.parametrize("ceiling", [64, 256, 512])
@pytest.mark.parametrize("seed", range(3))
def test_an_endpoint_without_a_limit_is_brought_to_the_ceiling_within_seconds_and_left_there(
    latency: Latency, ceiling: int, seed: int
) -> None:
    found = control(ceiling)
    seen = drive(found, Endpoint(latency), seconds=20, warm_s=5, seed=seed)
    assert found.state == "at the ceiling"
    assert seen.limit == ceiling
    assert seen.replies_s > 0.93 * ceiling / 0.5


@LATENCIES
@pytest.mark.parametrize("share", [0.0002, 0.001, 0.01, 0.02])
@pytest.mark.parametrize("refusal_s", [0.01, None], ids=["at-once", "as-late-as-a-reply"])
def test_refusals_that_have_nothing_to_do_with_the_load_do_not_hold_it_down(
    latency: Latency, share: float, refusal_s: float | None
) -> None:
    found = control()
    endpoint = Endpoint(latency, refuses=share, refusal_s=refusal_s)
    seen = drive(found, endpoint, seconds=40, warm_s=8)
    assert 0 < seen.refused < 2 * share
    assert seen.limit >= 0.95 * 256


@LATENCIES
def test_a_refusal_in_twenty_costs_a_part_of_the_limit_at_most(latency: Latency) -> None:
    seen = drive(control(), Endpoint(latency, refuses=0.05), seconds=60, warm_s=15)
    assert seen.limit >= 0.8 * 256


@LATENCIES
@pytest.mark.parametrize("timeout_s", [5.0, 60.0])
def test_calls_that_hang_and_slow_ones_are_not_taken_for_an_endpoint_that_is_full(
    latency: Latency, timeout_s: float
) -> None:
    endpoint = Endpoint(latency, hangs=0.01, timeout_s=timeout_s, slow=0.02)
    found = control()
    seen = drive(found, endpoint, seconds=60, warm_s=8)
    assert (seen.limit, found.cuts) == (256, 0)


@LATENCIES
@pytest.mark.parametrize("seed", range(2))
def test_a_storm_leaves_the_limit_wide(latency: Latency, seed: int) -> None:
    """Six in a hundred are refused, a third of them with a pause for everyone; some are slow or hang."""
    endpoint = Endpoint(latency, hangs=0.01, slow=0.02, refuses=0.04, retry_after=0.02)
    seen = drive(control(), endpoint, seconds=90, warm_s=30, seed=seed)
    assert seen.limit >= 0.75 * 256


def test_an_idle_run_does_not_grow_its_limit() -> None:
    found = control(64)
    for step in range(100):
        limit = found.sent(step / 10, in_flight=2)
        found.replied(step / 10 + 0.05, step / 10, limit)
    assert found.limit == 8


class Slower(Endpoint):
    """All that is asked after the first second and a half takes three times as long."""

    def takes(self, now_s: float, rng: random.Random) -> tuple[float, str, float]:
        back_s, what, wait_s = super().takes(now_s, rng)
        return now_s + (back_s - now_s) * (1 if now_s < 1.5 else 3), what, wait_s


@LATENCIES
def test_answers_that_take_longer_than_the_first_calls_did_narrow_it_for_a_while_at_most(
    latency: Latency,
) -> None:
    """Keywords are short and answers are long, which looks like waiting while the limit grows."""
    seen = drive(control(), Slower(latency), seconds=70, warm_s=45)
    assert seen.limit == 256


# A limit that refuses.


def test_a_burst_of_refusals_cuts_once() -> None:
    found = control(100, start=100)
    cuts = [found.overloaded(1.0 + i / 1000, sent_s=0.5) for i in range(50)]
    assert cuts.count(True) == 1
    assert found.limit == 75
    cuts = [found.overloaded(2.0 + i / 1000, sent_s=1.9) for i in range(50)]
    assert cuts.count(True) == 1
    assert found.limit == 56


def test_a_refusal_alone_cuts_nothing() -> None:
    found = control(100, start=100)
    for step in range(300):
        limit = found.sent(float(step), in_flight=100)
        found.replied(step + 0.5, step, limit)
        assert step % 30 or not found.overloaded(step + 0.6, step)
    assert (found.limit, found.cuts) == (100, 0)


def test_the_limit_never_falls_below_one() -> None:
    found = control(4, start=1)
    for step in range(200):
        found.overloaded(step + 1.0, sent_s=step + 0.9)
    assert found.limit == 1
    assert found.cuts > 10


CAPS = [  # calls at once, seconds until a refusal, share refused at most
    (8, 0.01, 0.1),
    (50, 0.01, 0.03),
    (200, 0.01, 0.03),
    (8, None, 0.2),
    (50, None, 0.11),
    (200, None, 0.1),
]


@pytest.mark.parametrize("ceiling", [256, 512])
@pytest.mark.parametrize(("most", "refusal_s", "refused"), CAPS)
def test_a_hard_cap_is_found_and_kept_near_with_few_refusals(
    most: int, refusal_s: float | None, refused: float, ceiling: int
) -> None:
    endpoint = Endpoint(most=lambda _: most, refusal_s=refusal_s)
    seen = drive(control(ceiling), endpoint, seconds=80, warm_s=15)
    assert 0.8 * most <= seen.limit <= 1.15 * most
    assert seen.replies_s >= 0.84 * most / 0.5
    assert seen.refused <= refused


@pytest.mark.parametrize("refusal_s", [0.01, None], ids=["at-once", "as-late-as-a-reply"])
def test_a_cap_that_moves_is_followed_down_and_up(refusal_s: float | None) -> None:
    def most(now_s: float) -> float:
        return 40 if 40 <= now_s < 80 else 200

    seen = drive(control(512), Endpoint(most=most, refusal_s=refusal_s), seconds=130)
    assert 0.8 * 200 <= seen.between(20, 40) <= 1.2 * 200
    assert 0.75 * 40 <= seen.between(50, 80) <= 1.2 * 40
    assert 0.8 * 200 <= seen.between(100, 130) <= 1.2 * 200


def test_a_cap_a_minute_is_used_up() -> None:
    seen = drive(control(), Endpoint(a_minute=3000), seconds=600, warm_s=120)
    assert seen.replies_s >= 0.95 * 50
    assert seen.refused <= 0.25


# A server that only queues.


@LATENCIES
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("workers", [16, 64])
def test_a_server_that_only_queues_is_not_flooded(
    workers: int, seed: int, latency: Latency
) -> None:
    found = control(512)
    endpoint = Endpoint(latency, workers=lambda _: workers)
    seen = drive(found, endpoint, seconds=180, warm_s=40, seed=seed)
    assert 0.8 * workers <= seen.limit <= 2.3 * workers
    assert seen.replies_s > 0.7 * workers / 0.5
    assert found.cuts == 0


def test_a_server_that_gets_more_workers_or_fewer_is_tried_again() -> None:
    def workers(now_s: float) -> float:
        return 16 if 120 <= now_s < 300 else 64

    seen = drive(control(512), Endpoint(workers=workers), seconds=420)
    assert 0.8 * 64 <= seen.between(60, 120) <= 2 * 64
    assert seen.between(240, 300) <= 2 * 16
    assert 0.8 * 64 <= seen.between(360, 420) <= 2 * 64


def test_a_server_that_queues_says_so() -> None:
    found = control(512)
    seen = drive(found, Endpoint(workers=lambda _: 16), seconds=30)
    assert {state for _, _, state in seen.limits} == {"slow start", "growing", "saturated"}
