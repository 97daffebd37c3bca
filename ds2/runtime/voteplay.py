"""A vote on a made-up question, played by the policy itself: its draws, requests and comparisons.

Answers that a judge compares are merged in the order of `programs.meaning`, verdicts reused, by a
judge that is always right.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from ds2.engines.coalescing import MOST
from programs.sampling import Temperatures
from programs.stopping import Policy
from programs.stopping.policy import Counts, Decision

_WRONG = 3  # different answers that a draw which strays may give
_ALIKE = 4  # draws that what is known of a question's agreement is worth


@dataclass(frozen=True, slots=True)
class Voter:
    """How a model answers, and how it is asked.

    Args:
        agreement: chance that a draw gives the answer most draws give, a mean over questions.
        worded: chance that a draw words its answer in a way of its own, for a judge to compare; None
            where no model compares.
        shares: draws of a wave at one temperature share a request.
        seeded: sample numbers go out as seeds, so that only consecutive draws can.
        temperatures: of the draws.
    """

    agreement: float
    worded: float | None = None
    shares: bool = False
    seeded: bool = False
    temperatures: Temperatures = field(default_factory=Temperatures)


class PlayedVote(NamedTuple):
    """What a vote took: whether it passed, draws, requests, waves, answers compared by a model."""

    accepted: bool
    draws: int
    requests: int
    waves: int
    compared: int


class _Key(NamedTuple):
    """An answer as it is worded; keys are compared in the order of their text, which is chance."""

    text: float
    answer: int


Decide = Callable[[Counts], Decision]


def remembering(policy: Policy) -> Decide:
    """Return what a policy decides, remembered: thousands of votes pass through a few hundred counts."""
    return lru_cache(maxsize=65_536)(policy.decide)


def play_vote(decide: Decide, voter: Voter, rng: random.Random) -> PlayedVote:
    """Return how a vote on a made-up question goes, by what a policy decides.

    How much the draws agree differs from question to question: Beta with mean `voter.agreement` and
    the weight of four draws.
    """
    sure = rng.betavariate(_ALIKE * voter.agreement, _ALIKE * (1 - voter.agreement))
    usual = [_Key(rng.random(), answer) for answer in range(1 + _WRONG)]
    drawn: list[_Key] = []
    votes = [0] * (1 + _WRONG)
    compared: set[tuple[_Key, _Key]] = set()
    requests = waves = 0
    while True:
        if voter.worded is not None:
            _compare(set(drawn), compared)
        decision = decide(Counts(tuple(sorted(filter(None, votes), reverse=True))))
        if decision.draw == 0:
            return PlayedVote(decision.accepted, len(drawn), requests, waves, len(compared))
        requests += _requests(voter, wave=waves, first=len(drawn), draws=decision.draw)
        waves += 1
        for _ in range(decision.draw):
            key = usual[0 if rng.random() < sure else rng.randrange(1, 1 + _WRONG)]
            votes[key.answer] += 1
            own = rng.random() < (voter.worded or 0.0)
            drawn.append(key._replace(text=rng.random()) if own else key)


def _compare(keys: set[_Key], compared: set[tuple[_Key, _Key]]) -> None:
    """Compare each key with the leaders before it until one is the same, as `Equivalence.merge` does."""
    leaders: list[_Key] = []
    for key in sorted(keys):
        for leader in leaders:
            compared.add((leader, key))
            if leader.answer == key.answer:
                break
        else:
            leaders.append(key)


def _requests(voter: Voter, *, wave: int, first: int, draws: int) -> int:
    """Return the requests of one wave; see `ds2.engines.coalescing.Coalescer`."""
    if not voter.shares:
        return draws
    heats = [voter.temperatures.answer(wave=wave, draw=first + i) for i in range(draws)]
    if voter.seeded:
        return _runs(heats)
    return sum(-(-number // MOST) for number in Counter(heats).values())


def _runs(heats: Sequence[float | None]) -> int:
    """Return how many requests consecutive draws of one temperature take."""
    requests = length = 0
    for at, heat in enumerate(heats):
        if at == 0 or heat != heats[at - 1] or length == MOST:
            requests, length = requests + 1, 0
        length += 1
    return requests
