"""The breaker as a function of what came back and when; no test here waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2.engines.breaker import Breaker, BreakerConfig


def heard(**config: float) -> Breaker:
    """Return the breaker of an endpoint that has answered."""
    breaker = Breaker(BreakerConfig(**config))  # type: ignore[arg-type]
    assert not breaker.replied()
    return breaker


def fail(breaker: Breaker, now_s: float = 0.0, *, probe: bool = False, full: bool = False) -> bool:
    return breaker.failed(now_s, "503 (down)", probe=probe, full=full, jitter=1.0)


def opened(at_s: float = 0.0, **config: float) -> Breaker:
    breaker = heard(**config)
    assert [fail(breaker, at_s) for _ in range(breaker.config.burst)][-1]
    return breaker


def test_a_burst_of_failures_opens_it_and_one_less_does_not() -> None:
    breaker = heard()
    assert [fail(breaker) for _ in range(9)] == [False] * 9
    assert breaker.admits(0.0)
    assert fail(breaker)
    assert (breaker.is_open, breaker.words, breaker.admits(0.0)) == (True, "503 (down)", False)


def test_one_reply_in_between_begins_the_count_anew() -> None:
    breaker = heard()
    for _ in range(5):
        assert not any(fail(breaker) for _ in range(9))
        breaker.replied()
    assert breaker.state == "closed"


def test_a_lone_call_whose_tries_take_their_time_opens_it_before_it_gives_up() -> None:
    breaker = heard()
    # The shortest waits of the default retries: a half of 0.5, 1, 2, 4 seconds.
    moments = [0.0, 0.25, 0.75, 1.75, 3.75]
    assert [fail(breaker, at) for at in moments] == [False] * 4 + [True]


@pytest.mark.parametrize(("full", "opens"), [(False, False), (True, True)])
def test_an_endpoint_that_never_answered_opens_nothing_unless_it_says_that_it_is_full(
    full: bool, opens: bool
) -> None:
    breaker = Breaker()
    assert any(fail(breaker, at, full=full) for at in range(60)) is opens


def test_after_the_pause_one_call_alone_looks_and_a_reply_closes_it() -> None:
    breaker = opened()
    assert not breaker.admits(0.99)
    assert breaker.admits(1.0)
    assert breaker.left()
    assert not breaker.admits(100.0)
    assert breaker.replied()
    assert breaker.admits(1.1)
    assert not breaker.left()


def test_pauses_double_up_to_the_longest() -> None:
    breaker, now_s, pauses = opened(longest_s=10.0), 0.0, []
    for _ in range(6):
        pauses.append(breaker.until_s - now_s)
        now_s = breaker.until_s
        breaker.left()
        assert fail(breaker, now_s, probe=True)
    assert pauses == [1, 2, 4, 8, 10, 10]


def test_stragglers_from_before_the_pause_move_nothing() -> None:
    breaker = opened()
    assert not any(fail(breaker, 0.5) for _ in range(100))
    assert breaker.until_s == 1.0


def test_a_straggler_that_was_answered_closes_it() -> None:
    assert opened().replied()


def test_a_probe_that_was_cancelled_lets_another_go() -> None:
    breaker = opened()
    breaker.left()
    breaker.abandoned()
    assert breaker.admits(1.0)


def test_an_outage_that_outlasts_the_patience_is_given_up_at_its_end_and_not_before() -> None:
    breaker, now_s = opened(patience_s=20.0), 0.0
    for _ in range(50):
        now_s = breaker.until_s
        breaker.left()
        if not fail(breaker, now_s, probe=True):
            break
    assert (breaker.state, now_s, breaker.outage_s(now_s)) == ("given up", 20.0, 20.0)
    assert breaker.admits(now_s)


def test_without_patience_the_first_probe_decides() -> None:
    breaker = opened(5.0, patience_s=0.0)
    assert breaker.admits(5.0)
    breaker.left()
    assert not fail(breaker, 5.0, probe=True)
    assert breaker.state == "given up"


@given(
    st.lists(
        st.tuples(st.floats(0, 30), st.sampled_from(["reply", "fail", "full", "cancel"])),
        max_size=80,
    ),
    st.floats(0, 1),
)
def test_whatever_comes_a_call_is_let_through_within_the_longest_pause(
    story: list[tuple[float, str]], jitter: float
) -> None:
    breaker, now_s = Breaker(BreakerConfig(patience_s=1e9)), 0.0
    for passed_s, what in story:
        now_s += passed_s
        probe = breaker.admits(now_s) and breaker.left()
        if what == "reply":
            breaker.replied()
            assert breaker.admits(now_s)
        elif what == "cancel":
            breaker.abandoned()
        else:
            breaker.failed(now_s, "down", probe=probe, full=what == "full", jitter=jitter)
        assert breaker.state != "probing" or not probe
        assert breaker.until_s <= now_s + breaker.config.longest_s
