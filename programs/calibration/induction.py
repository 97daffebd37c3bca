"""Optimal stopping by backward induction, for given prices of a wrong row and of a sample.

With p the probability that the first is right, c the price of accepting a wrong answer and m the
price of a sample (a right row earns 1), the value of a state is

    V(s) = max(0, p(s) - c (1 - p(s)), -m + sum over draws d of P(d | s) V(s + d))

for rejecting, accepting and drawing; equal values stop, and reject before they accept. A tie has
no first and cannot be accepted. Before `PATIENCE` draws nothing is rejected: otherwise one unlucky
first draw ends a vote, and no vote can begin with a wave. Scanning c and m walks along the frontier
of precision, yield and cost: they are the multipliers of that constrained problem.

Source: backward induction for Bayes sequential decisions after Arrow, Blackwell and Girshick (1949).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from math import inf
from typing import Literal, NamedTuple

from programs.calibration.estimates import Estimates
from programs.calibration.states import Space

PATIENCE = 3
"""The fewest draws after which a vote is given up."""


class Action(IntEnum):
    """What to do in a state."""

    DRAW = 0
    ACCEPT = 1
    REJECT = 2

    @property
    def word(self) -> Literal["draw", "accept", "reject"]:
        """Return the action as a policy's file writes it."""
        return _WORDS[self]


_WORDS: tuple[Literal["draw"], Literal["accept"], Literal["reject"]] = ("draw", "accept", "reject")


class Prices(NamedTuple):
    """What a right row, which earns 1, is weighed against.

    Args:
        wrong: the price of a wrong row.
        sample: the price of a sample.
    """

    wrong: float
    sample: float


class Problem(NamedTuple):
    """Estimates laid out for solving many times: by state from the end.

    Args:
        rows: (place, p, whether it can be accepted, whether it can be rejected, the ways on as
            (place, probability)).
    """

    rows: tuple[tuple[int, float, bool, bool, tuple[tuple[int, float], ...]], ...]


def problem(estimates: Estimates, space: Space) -> Problem:
    """Return the estimates laid out for `solve`."""
    rows = []
    for place in range(len(space.states) - 1, -1, -1):
        state, events = space.states[place], estimates.events[place]
        # A coarser class knows events that this state cannot have; what it can have makes up the whole.
        total = sum(events[event] for event in {step.event for step in space.steps[place]})
        ways = tuple(
            (step.state, events[step.event] * step.share / total)
            for step in space.steps[place]
            if events[step.event] > 0
        )
        rejectable = state.draws >= PATIENCE or not space.steps[place]
        rows.append((place, estimates.right[place], state.top > state.second, rejectable, ways))
    return Problem(tuple(rows))


def solve(of: Problem, prices: Prices) -> list[Action]:
    """Return what to do in each state, by place."""
    wrong, sample = prices
    # An enum's members are slow to reach, and this is done very often.
    draw, accept, reject = Action.DRAW, Action.ACCEPT, Action.REJECT
    values = [0.0] * len(of.rows)
    actions = [reject] * len(of.rows)
    for place, right, acceptable, rejectable, ways in of.rows:
        best, action = (0.0, reject) if rejectable else (-inf, draw)
        if acceptable:
            gain = right - wrong * (1 - right)
            if gain > best:
                best, action = gain, accept
        if ways or not rejectable:
            gain = -sample
            for after, chance in ways:
                gain += chance * values[after]
            if gain > best:
                best, action = gain, draw
        values[place] = best
        actions[place] = action
    return actions


def waves(actions: Sequence[Action], space: Space) -> list[int]:
    """Return, by place, the fewest draws after which some outcome stops; 0 where it has stopped."""
    fewest = [0] * len(space.states)
    for place in range(len(space.states) - 1, -1, -1):
        if actions[place] is Action.DRAW:
            fewest[place] = 1 + min(fewest[step.state] for step in space.steps[place])
    return fewest


def reachable(actions: Sequence[Action], space: Space) -> list[int]:
    """Return the places that a vote can come to, whatever is drawn, in order."""
    found = {0}
    for place in range(len(space.states)):
        if place in found and actions[place] is Action.DRAW:
            found.update(step.state for step in space.steps[place])
    return sorted(found)
