from __future__ import annotations

import random

import pytest

from ds2.runtime.voteplay import PlayedVote, Voter, play_vote, remembering
from programs.sampling import Temperatures
from programs.stopping import parse_policy


def played(voter: Voter, policy: str = "lead(3, 9)", number: int = 60) -> list[PlayedVote]:
    rng = random.Random(0)
    return [play_vote(remembering(parse_policy(policy)), voter, rng) for _ in range(number)]


def mean(votes: list[PlayedVote], name: str) -> float:
    return sum(getattr(vote, name) for vote in votes) / len(votes)


def test_a_sure_model_needs_the_fewest_draws() -> None:
    assert set(played(Voter(0.999999))) == {PlayedVote(True, 3, 3, 1, 0)}
    unsure = played(Voter(0.3))
    assert mean(unsure, "draws") > 6
    assert not all(vote.accepted for vote in unsure)


def test_answers_worded_alike_are_compared_only_where_they_differ() -> None:
    assert mean(played(Voter(0.999999, worded=0.0)), "compared") == 0
    unsure = played(Voter(0.6, worded=0.0))
    assert 0 < mean(unsure, "compared") < mean(unsure, "draws")


def test_a_verdict_is_reused_and_equal_answers_meet_their_leader_first() -> None:
    # Nine wordings of one answer: each new one is compared with the one leader, and that is all.
    votes = played(Voter(0.999999, worded=1.0), "fixed(9, 0.6)")
    assert {(vote.draws, vote.compared) for vote in votes} == {(9, 8)}


def test_wordings_cost_comparisons_and_no_draws() -> None:
    none, some, all_ = (played(Voter(0.8, worded=share)) for share in (0.0, 0.3, 1.0))
    assert mean(none, "compared") < mean(some, "compared") < mean(all_, "compared")
    assert abs(mean(none, "draws") - mean(all_, "draws")) < 1
    # n answers in c clusters: at most n x c comparisons.
    assert all(vote.compared <= vote.draws * 4 for vote in all_)


@pytest.mark.parametrize(
    ("by", "seeded", "requests"),
    [("wave", False, 1), ("wave", True, 1), ("draw", False, 3), ("draw", True, 9)],
)
def test_draws_share_a_request_at_one_temperature_and_with_seeds_next_to_each_other(
    by: str, seeded: bool, requests: int
) -> None:
    voter = Voter(0.8, shares=True, seeded=seeded, temperatures=Temperatures(answers_by=by))
    assert {vote.requests for vote in played(voter, "fixed(9, 0.6)")} <= {requests}


def test_without_sharing_every_draw_is_a_request() -> None:
    assert all(vote.requests == vote.draws for vote in played(Voter(0.7)))
    shared = played(Voter(0.7, shares=True))
    assert all(vote.requests == vote.waves < vote.draws for vote in shared)
