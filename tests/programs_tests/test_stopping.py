from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from programs.stopping import Counts, Decision, Policy, fixed, parse_policy
from signatures.errors import ConfigError

MORE = Decision(4, accepted=False, reason="more")

policies = st.builds(fixed, st.integers(1, 40), st.floats(0, 1, exclude_min=True))


def counts_of(draws: list[int | None]) -> Counts:
    readable = [d for d in draws if d is not None]
    votes = sorted((readable.count(a) for a in set(readable)), reverse=True)
    return Counts(tuple(votes), unreadable=len(draws) - len(readable))


@pytest.mark.parametrize(
    ("counts", "accepted", "reason"),
    [
        pytest.param(Counts((3, 1), 1), True, "majority", id="just-reached"),
        pytest.param(Counts((5,)), True, "majority", id="all"),
        pytest.param(Counts((2, 1), 2), False, "below_threshold", id="unreadable-counts"),
        pytest.param(Counts((2, 2, 1)), False, "tie", id="tie"),
        pytest.param(Counts((1, 1, 1, 1, 1)), False, "tie", id="scattered"),
        pytest.param(Counts((), 5), False, "unreadable", id="unreadable"),
        pytest.param(Counts((1,), 4), False, "below_threshold", id="one-readable"),
    ],
)
def test_five_draws_at_a_share_of_60_percent(counts: Counts, accepted: bool, reason: str) -> None:
    assert fixed(5, 0.6).decide(counts) == Decision(0, accepted, reason)  # type: ignore[arg-type]


def test_a_vote_begins_with_all_of_its_draws() -> None:
    assert fixed(5, 0.6).decide(Counts(())) == Decision(5, accepted=False, reason="more")
    assert fixed(5, 0.6).decide(Counts((), 1)) == MORE


def test_one_draw_is_its_own_majority() -> None:
    assert fixed(1, 1.0).decide(Counts((1,))).accepted


def test_a_tie_is_rejected_at_any_threshold() -> None:
    assert fixed(4, 0.1).decide(Counts((2, 2))).reason == "tie"


@given(policies, st.lists(st.none() | st.integers(0, 3), max_size=40))
def test_a_decision_is_pure_and_blind_to_the_order_of_draws(
    policy: Policy, draws: list[int | None]
) -> None:
    draws = draws[: policy.max_draws]
    decision = policy.decide(counts_of(draws))
    shuffled = random.Random(0).sample(draws, len(draws))
    assert policy.decide(counts_of(draws)) == decision
    assert policy.decide(counts_of(shuffled)) == decision


@given(policies, st.lists(st.none() | st.integers(0, 3), min_size=40, max_size=40))
def test_a_policy_asks_for_more_until_it_stops_and_stops_in_time(
    policy: Policy, supply: list[int | None]
) -> None:
    drawn = 0
    while (decision := policy.decide(counts_of(supply[:drawn]))).draw:
        assert decision.draw >= 1
        assert (decision.accepted, decision.reason) == (False, "more")
        drawn += decision.draw
        assert drawn <= policy.max_draws
    assert decision.reason != "more"
    assert decision.accepted == (decision.reason == "majority")


@given(policies)
def test_a_policy_is_read_back_as_it_was_written(policy: Policy) -> None:
    assert parse_policy(policy.spec) == policy


def test_two_thirds_survive_being_written_down() -> None:
    policy = parse_policy(fixed(3, 2 / 3).spec)
    assert policy.decide(Counts((2, 1))).accepted


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("fixed(5, 0.6)", "fixed(5, 0.6)"),
        (" fixed( 3 ,.5 ) ", "fixed(3, 0.5)"),
        ("fixed(1,1)", "fixed(1, 1)"),
    ],
)
def test_a_policy_is_read_from_text(text: str, spec: str) -> None:
    assert parse_policy(text).spec == spec


@pytest.mark.parametrize(
    "text",
    ["", "fixed", "fixed(5)", "fixed(0, 0.6)", "fixed(5, 0)", "fixed(5, 1.1)", "fixed(-1, 0.5)",
     "fixed(5, 0.6", "lead(5, 2)", "fixed(5.5, 0.6)", "fixed(5, nan)", "fixed(5, 0.6) x"],
)  # fmt: skip
def test_a_policy_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"Write for example|such as"):
        parse_policy(text)


@pytest.mark.parametrize(
    ("k", "threshold"), [(0, 0.5), (-3, 0.5), (5, 0), (5, 1.01), (5, float("nan")), (5, -0.1)]
)
def test_numbers_out_of_range_are_refused(k: int, threshold: float) -> None:
    with pytest.raises(ConfigError, match="Building a voting policy failed"):
        fixed(k, threshold)
