"""Recorded votes as plain numbers: random orders of the samples, and what a policy does to them.

Answers are numbered and readings are done before, so that judging a policy is a walk over states
that were counted once. Everything here is pure; the same seed gives the same orders, to every
policy, so that policies are compared on the same draws.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

from programs.stopping.policy import Counts, Decision, Policy

UNREADABLE = -1
"""The number of a sample whose answer could not be read."""

NOBODY = -1
"""The number of the first while nobody is first, or two are."""

_Z = 1.959964


class Ballot(NamedTuple):
    """The recorded samples of one question.

    Args:
        answers: the number of each sample's answer, equal numbers for equal answers, UNREADABLE
            where none could be read.
        right: the number of the right answer, at least 0, even where no sample gives it; None where
            it is unknown.
    """

    answers: tuple[int, ...]
    right: int | None


class Walk(NamedTuple):
    """One order of a question's samples: after 0, 1, 2 ... draws.

    Args:
        states: the place of the counts in `Orders.states`.
        leaders: the number of the first; NOBODY while nobody is first, or two are.
    """

    states: tuple[int, ...]
    leaders: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Orders:
    """Random orders of recorded samples: `walks[question][repeat]`, over the counts in `states`.

    `right` holds the right answer of each question; None where it is unknown.
    """

    states: tuple[Counts, ...]
    walks: tuple[tuple[Walk, ...], ...]
    right: tuple[int | None, ...]

    @property
    def repeats(self) -> int:
        """Return how many orders each question has."""
        return len(self.walks[0]) if self.walks else 0


class Outcome(NamedTuple):
    """What a policy did to one question, summed over its orders.

    Args:
        accepted: orders in which it accepted.
        right: orders in which it accepted the right answer.
        draws: samples drawn.
        ran_out: orders in which it asked for more samples than were recorded; they count as drawn
            to the end and not accepted.
        waves: times it asked for samples.
    """

    accepted: int
    right: int
    draws: int
    ran_out: int
    waves: int


class Figures(NamedTuple):
    """Yield, precision and cost of a policy.

    Args:
        yielded: accepted / questions.
        precision: right / accepted, of the questions whose right answer is known; None without any.
        samples: mean samples drawn a question.
        samples_per_accepted: samples drawn / accepted; None where nothing was accepted.
        waves: mean waves of draws a question, each of which is a round trip; None where not counted.
    """

    yielded: float
    precision: float | None
    samples: float
    samples_per_accepted: float | None
    waves: float | None = None


class Interval(NamedTuple):
    """A 95 % interval; both ends None where there is nothing to measure."""

    low: float | None
    high: float | None


def random_orders(ballots: Sequence[Ballot], *, repeats: int = 1, seed: int = 0) -> Orders:
    """Return `repeats` random orders of the samples of each question.

    The orders of a question depend on the seed and on its place alone; more repeats add orders and
    change none.
    """
    states: list[Counts] = []
    known: dict[Counts, int] = {}
    walks = []
    for place, ballot in enumerate(ballots):
        rng = random.Random(f"{seed}/{place}")
        size = len(ballot.answers)
        walks.append(
            tuple(_walk(rng.sample(ballot.answers, size), known, states) for _ in range(repeats))
        )
    return Orders(tuple(states), tuple(walks), tuple(ballot.right for ballot in ballots))


def outcomes(policy: Policy, orders: Orders) -> tuple[Outcome, ...]:
    """Return what `policy` does to each question."""
    decisions: list[Decision | None] = [None] * len(orders.states)
    return tuple(
        _outcome(policy, walks, right, orders.states, decisions)
        for walks, right in zip(orders.walks, orders.right, strict=True)
    )


def figures(done: Sequence[Outcome], orders: Orders) -> Figures:
    """Return yield, precision and cost over all questions and orders; at least one of each."""
    tries = len(done) * orders.repeats
    accepted = sum(outcome.accepted for outcome in done)
    draws = sum(outcome.draws for outcome in done)
    judged = sum(o.accepted for o, r in zip(done, orders.right, strict=True) if r is not None)
    right = sum(outcome.right for outcome in done)
    return Figures(
        yielded=accepted / tries,
        precision=right / judged if judged else None,
        samples=draws / tries,
        samples_per_accepted=draws / accepted if accepted else None,
        waves=sum(outcome.waves for outcome in done) / tries,
    )


def wilson(share: float | None, total: float) -> Interval:
    """Return the 95 % Wilson interval of a share of `total`; of none where there is no share.

    `total` may be a mean: judged over several orders it stays the number of questions, for more
    orders of the same answers are no new evidence.

    Example:
        >>> [round(end, 3) for end in wilson(1.0, 100)]
        [0.963, 1.0]
    """
    if share is None or total <= 0:
        return Interval(None, None)
    spread = _Z * _Z / total
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * sqrt(share * (1 - share) / total + spread / total / 4) / (1 + spread)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def bootstrap(
    done: Sequence[Outcome], orders: Orders, *, resamples: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Return 95 % percentile intervals of the fields of `Figures` but `waves`, by resampling questions.

    A question is drawn with all of its orders, for they share its answers. Resamples that accept
    nothing have no precision and are left out of its interval.
    """
    rng = random.Random(seed)
    drawn: dict[str, list[float]] = {name: [] for name in Figures._fields if name != "waves"}
    rows = [
        (o.accepted, o.right, o.draws, 0 if right is None else o.accepted)
        for o, right in zip(done, orders.right, strict=True)
    ]
    tries = len(rows) * orders.repeats
    for _ in range(resamples):
        accepted, right, draws, judged = map(sum, zip(*rng.choices(rows, k=len(rows)), strict=True))
        drawn["yielded"].append(accepted / tries)
        drawn["samples"].append(draws / tries)
        if judged:
            drawn["precision"].append(right / judged)
        if accepted:
            drawn["samples_per_accepted"].append(draws / accepted)
    return {name: _middle(values) for name, values in drawn.items()}


def _middle(values: list[float]) -> Interval:
    if not values:
        return Interval(None, None)
    values.sort()
    last = len(values) - 1
    return Interval(values[round(0.025 * last)], values[round(0.975 * last)])


def _walk(answers: Sequence[int], known: dict[Counts, int], states: list[Counts]) -> Walk:
    votes: dict[int, int] = {}
    unreadable = 0
    places, leaders = [], []
    leader = NOBODY
    for answer in (None, *answers):
        if answer == UNREADABLE:
            unreadable += 1
        elif answer is not None:
            votes[answer] = votes.get(answer, 0) + 1
            # Only the answer just given can have become the first.
            leader = answer if votes[answer] >= votes.get(leader, 0) else leader
        counts = Counts(tuple(sorted(votes.values(), reverse=True)), unreadable)
        place = known.setdefault(counts, len(states))
        if place == len(states):
            states.append(counts)
        places.append(place)
        leaders.append(NOBODY if counts.tied else leader)
    return Walk(tuple(places), tuple(leaders))


def _outcome(
    policy: Policy,
    walks: Sequence[Walk],
    answer: int | None,
    states: Sequence[Counts],
    decisions: list[Decision | None],
) -> Outcome:
    accepted = right = draws = ran_out = waves = 0
    for walk in walks:
        drawn, last = 0, len(walk.states) - 1
        while True:
            place = walk.states[drawn]
            decision = decisions[place]
            if decision is None:
                decision = decisions[place] = policy.decide(states[place])
            if decision.draw == 0:
                accepted += decision.accepted
                right += decision.accepted and walk.leaders[drawn] == answer
                break
            waves += 1
            if drawn + decision.draw > last:
                drawn = last
                ran_out += 1
                break
            drawn += decision.draw
        draws += drawn
    return Outcome(accepted, right, draws, ran_out, waves)
