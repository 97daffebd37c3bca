"""What recorded votes say of each state: how likely the first is right, and what comes next.

Many states are rare, so an estimate is made by classes, fine to coarse. A class with n effective
questions and the raw share r, whose coarser class has the estimate e, gets

    (n * r + strength * e) / (n + strength)

and a state that no question passed through takes the estimate of its coarser class. n is Kish's
effective number, (sum w)^2 / sum w^2 over questions, with w the share of a question's orders that
pass through the class: orders of one question are one piece of evidence, not many.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from programs.ballots import NOBODY, Ballot, Walk
from programs.calibration.smoothing import hard_beliefs, smooth_beliefs
from programs.calibration.states import Event, Space, event_between
from programs.stopping.policy import Counts


def _draws(state: Counts) -> Hashable:
    return state.draws


def _lead(state: Counts) -> Hashable:
    return state.draws, state.top - state.second


def _two(state: Counts) -> Hashable:
    return state.draws, state.top, state.second


def _spread(state: Counts) -> Hashable:
    third = state.votes[2] if len(state.votes) > 2 else 0
    return state.draws, state.top, state.second, third, state.unreadable


_Level = Callable[[Counts], Hashable]


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to estimate.

    Args:
        name: how reports call it.
        levels: classes of states, coarse to fine.
        strength: how many questions the coarser class is worth; 0 uses it for unseen states only.
        monotone: make the probability rise with the votes of the first, at equal draws and votes of
            the second (isotonic regression, weighted by effective questions).
        smooth: judge an answer by the whole recorded vote, not by its own label (see `smoothing`).
    """

    name: str
    levels: tuple[_Level, ...]
    strength: float
    monotone: bool = False
    smooth: bool = False


VARIANTS = (
    Variant("plain", (_draws, _lead, _two), 0.0),
    Variant("rich", (_draws, _lead, _two, _spread), 0.0),
    Variant("shrunk", (_draws, _lead, _two, _spread), 8.0),
    Variant("monotone", (_draws, _lead, _two), 3.0, monotone=True),
    Variant("smoothed", (_draws, _lead, _two, _spread), 8.0, smooth=True),
)


class Seen(NamedTuple):
    """What one question's orders showed.

    Args:
        ballot: the whole vote.
        passed: by state, the share of the orders that pass through it.
        led: by state, the share of the orders that pass with each answer as the first.
        events: by state, the shares of what was drawn next, in the order of `Event`.
    """

    ballot: Ballot
    passed: dict[Counts, float]
    led: dict[Counts, dict[int, float]]
    events: dict[Counts, list[float]]


class Estimates(NamedTuple):
    """By place in the space.

    Args:
        right: how likely the first is the right answer, 0 to 1.
        events: the probabilities of `Event`, in its order.
        support: effective questions of the finest class.
    """

    right: list[float]
    events: list[tuple[float, ...]]
    support: list[float]


class _Evidence(NamedTuple):
    question: Seen
    right: dict[Counts, float]


class _Class(NamedTuple):
    right: float
    events: tuple[float, ...]
    support: float


def look(ballot: Ballot, walks: Sequence[Walk], states: Sequence[Counts], most: int) -> Seen:
    """Return what one question's orders show in the first `most` draws."""
    passed: dict[Counts, float] = defaultdict(float)
    led: dict[Counts, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    events: dict[Counts, list[float]] = defaultdict(lambda: [0.0] * len(Event))
    part = 1 / len(walks)
    for walk in walks:
        path = [states[place] for place in walk.states[: most + 1]]
        for state, leader in zip(path, walk.leaders, strict=False):
            passed[state] += part
            if leader != NOBODY:
                led[state][leader] += part
        for before, after in pairwise(path):
            events[before][event_between(before, after)] += part
    return Seen(ballot, dict(passed), dict(led), dict(events))


def estimate(seen: Sequence[Seen], space: Space, variant: Variant) -> Estimates:
    """Return the estimates of a variant from what some questions showed."""
    evidence = _evidence(seen, variant.smooth)
    coarser: dict[Hashable, _Class] = {}
    parent: _Level | None = None
    for level in variant.levels:
        classes = _classes(evidence, level, coarser, parent, variant.strength)
        for state in space.states:
            if level(state) not in classes:
                classes[level(state)] = _inherited(coarser, parent, state)
        coarser, parent = classes, level
    if variant.monotone:
        _make_monotone(coarser)
    found = [coarser[variant.levels[-1](state)] for state in space.states]
    return Estimates(
        right=[c.right for c in found],
        events=[c.events for c in found],
        support=[c.support for c in found],
    )


def _inherited(coarser: dict[Hashable, _Class], parent: _Level | None, state: Counts) -> _Class:
    if parent is None:
        # No question was recorded this far: nothing is likely, so nothing is accepted.
        return _Class(0.0, (0.0,) * len(Event), 0.0)
    return coarser[parent(state)]._replace(support=0.0)


def _evidence(seen: Sequence[Seen], smooth: bool) -> list[_Evidence]:
    ballots = [question.ballot for question in seen]
    beliefs = smooth_beliefs(ballots) if smooth else [hard_beliefs(ballot) for ballot in ballots]
    return [
        _Evidence(
            question,
            {
                state: sum(share * belief.get(answer, 0.0) for answer, share in leaders.items())
                for state, leaders in question.led.items()
            },
        )
        for question, belief in zip(seen, beliefs, strict=True)
    ]


def _classes(
    evidence: Sequence[_Evidence],
    level: _Level,
    coarser: dict[Hashable, _Class],
    parent: _Level | None,
    strength: float,
) -> dict[Hashable, _Class]:
    total: dict[Hashable, float] = defaultdict(float)
    squares: dict[Hashable, float] = defaultdict(float)
    right: dict[Hashable, float] = defaultdict(float)
    events: dict[Hashable, list[float]] = defaultdict(lambda: [0.0] * len(Event))
    member: dict[Hashable, Counts] = {}
    for question, rights in evidence:
        own: dict[Hashable, float] = defaultdict(float)
        for state, share in question.passed.items():
            key = level(state)
            member[key] = state
            own[key] += share
            right[key] += rights.get(state, 0.0)
            if state in question.events:
                for event, part in enumerate(question.events[state]):
                    events[key][event] += part
        for key, share in own.items():
            total[key] += share
            squares[key] += share * share
    classes = {}
    for key, weight in total.items():
        above = _inherited(coarser, parent, member[key])
        support = weight * weight / squares[key]
        pull = strength if parent is not None else 0.0
        moved = sum(events[key])
        classes[key] = _Class(
            (support * right[key] / weight + pull * above.right) / (support + pull),
            tuple(
                (support * part / moved + pull * old) / (support + pull) if moved else old
                for part, old in zip(events[key], above.events, strict=True)
            ),
            support,
        )
    return classes


def _make_monotone(classes: dict[Hashable, _Class]) -> None:
    """Pool adjacent violators along the votes of the first; classes are (draws, first, second)."""
    chains: dict[Hashable, list[tuple[int, int, int]]] = defaultdict(list)
    for key, found in classes.items():
        if isinstance(key, tuple) and found.support > 0 and key[1] > key[2]:
            chains[key[0], key[2]].append(key)
    for chain in chains.values():
        chain.sort()
        values = isotonic([(classes[key].right, classes[key].support) for key in chain])
        for key, value in zip(chain, values, strict=True):
            classes[key] = classes[key]._replace(right=value)


def isotonic(points: Sequence[tuple[float, float]]) -> list[float]:
    """Return the rising sequence nearest to (value, weight) points in weighted squares.

    Example:
        >>> isotonic([(0.25, 1), (1.0, 1), (0.5, 1)])
        [0.25, 0.75, 0.75]
    """
    blocks: list[tuple[float, float, int]] = []
    for value, weight in points:
        block = (value, weight, 1)
        while blocks and blocks[-1][0] > block[0]:
            before = blocks.pop()
            both = before[1] + block[1]
            mean = (before[0] * before[1] + block[0] * block[1]) / both
            block = (mean, both, before[2] + block[2])
        blocks.append(block)
    return [value for value, _, size in blocks for _ in range(size)]
