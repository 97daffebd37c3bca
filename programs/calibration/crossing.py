"""Judge tables on questions they were not fitted to: cross-validation, split by question."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from programs.ballots import Ballot, Figures, Orders, Outcome, outcomes, random_orders
from programs.calibration.estimates import Seen, Variant, estimate, look
from programs.calibration.induction import Action, Prices, problem, solve
from programs.calibration.states import Space, space
from programs.stopping.policy import Counts, Decision, accept, more, reject

_WRONG = (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 28, 34, 40, 50, 70, 100, 150, 250)
_SAMPLE = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.12, 0.15)
PRICES = tuple(Prices(wrong, sample) for wrong in _WRONG for sample in _SAMPLE)


class Fold(NamedTuple):
    """Questions left out together, and what the others showed.

    Args:
        members: their places.
        paths: their orders as places in the space, with whether the first is right, and how many
            orders go that way.
        others: what the questions of the other folds showed.
    """

    members: tuple[int, ...]
    paths: tuple[tuple[tuple[int, ...], tuple[bool, ...], int], ...]
    others: tuple[Seen, ...]


class Data(NamedTuple):
    """Recorded votes, laid out for fitting."""

    orders: Orders
    seen: tuple[Seen, ...]
    folds: tuple[Fold, ...]
    space: Space
    seed: int


def gather(ballots: Sequence[Ballot], max_draws: int, folds: int, repeats: int, seed: int) -> Data:
    """Return labelled votes with their orders, what they show, and their folds."""
    orders = random_orders(ballots, repeats=repeats, seed=seed)
    seen = tuple(
        look(ballot, walks, orders.states, max_draws)
        for ballot, walks in zip(ballots, orders.walks, strict=True)
    )
    places = list(range(len(ballots)))
    random.Random(seed).shuffle(places)
    states = space(max_draws)
    parts = []
    for fold in range(folds):
        members = tuple(sorted(places[fold::folds]))
        apart = set(members)
        others = tuple(s for place, s in enumerate(seen) if place not in apart)
        parts.append(Fold(members, _paths(members, orders, states, max_draws), others))
    return Data(orders, seen, tuple(parts), states, seed)


def _paths(
    members: Sequence[int], orders: Orders, states: Space, max_draws: int
) -> tuple[tuple[tuple[int, ...], tuple[bool, ...], int], ...]:
    found: Counter[tuple[tuple[int, ...], tuple[bool, ...]]] = Counter()
    for question in members:
        for walk in orders.walks[question]:
            path = (states.place[orders.states[at]] for at in walk.states[: max_draws + 1])
            right = (leader == orders.right[question] for leader in walk.leaders[: max_draws + 1])
            found[tuple(path), tuple(right)] += 1
    return tuple((*way, times) for way, times in found.items())


def apart(data: Data, orders: Orders) -> Data:
    """Return other questions, to be judged by the table that all of `data` give, as one fold.

    Args:
        data: what tables are fitted to.
        orders: of the other questions.
    """
    members = tuple(range(len(orders.walks)))
    paths = _paths(members, orders, data.space, data.space.states[-1].draws)
    return data._replace(orders=orders, folds=(Fold(members, paths, data.seen),))


class Crossed:
    """A variant judged at any prices, each fold by a table fitted to the others; laid out once."""

    def __init__(self, variant: Variant, data: Data) -> None:
        self._problems = [
            problem(estimate(fold.others, data.space, variant), data.space) for fold in data.folds
        ]
        self._known: list[dict[bytes, tuple[int, int, int]]] = [{} for _ in data.folds]
        self._data = data

    def figures(self, prices: Prices) -> Figures:
        """Return yield, precision and cost at these prices, on questions left out."""
        accepted = right = draws = 0
        for of, known, fold in zip(self._problems, self._known, self._data.folds, strict=True):
            actions = bytes(solve(of, prices))
            if actions not in known:
                known[actions] = _judge(actions, fold)
            parts = known[actions]
            accepted, right, draws = accepted + parts[0], right + parts[1], draws + parts[2]
        tries = len(self._data.orders.walks) * self._data.orders.repeats
        return Figures(
            accepted / tries,
            right / accepted if accepted else None,
            draws / tries,
            draws / accepted if accepted else None,
        )


def frontier(variant: Variant, data: Data) -> dict[Prices, Figures]:
    """Return the figures at all prices, each fold judged by a table fitted to the others."""
    crossed = Crossed(variant, data)
    return {prices: crossed.figures(prices) for prices in PRICES}


def _judge(actions: bytes, fold: Fold) -> tuple[int, int, int]:
    """Return orders accepted, accepted right, and samples drawn; one draw at a time, which is exact
    because a wave is never longer than the way to the next state that stops."""
    accepted = rights = draws = 0
    for path, right, times in fold.paths:
        drawn = 0
        for drawn, place in enumerate(path):  # noqa: B007 - the last is read below
            if actions[place]:
                break
        if actions[place] == Action.ACCEPT:
            accepted += times
            rights += times * right[drawn]
        draws += times * drawn
    return accepted, rights, draws


def left_out(variant: Variant, prices: Prices, data: Data) -> tuple[Outcome, ...]:
    """Return what happens to each question under the table that was not fitted to it."""
    found: dict[int, Outcome] = {}
    for fold in data.folds:
        actions = solve(problem(estimate(fold.others, data.space, variant), data.space), prices)
        rule = _Rule(actions, data.space)
        part = Orders(
            data.orders.states,
            tuple(data.orders.walks[place] for place in fold.members),
            tuple(data.orders.right[place] for place in fold.members),
        )
        found.update(zip(fold.members, outcomes(rule, part), strict=True))
    return tuple(found[place] for place in range(len(data.seen)))


class _Rule:
    """The actions of one fold as a policy, one draw at a time."""

    spec = "fold"

    def __init__(self, actions: Sequence[Action], of: Space) -> None:
        self._actions = actions
        self._space = of
        self.max_draws = of.states[-1].draws

    def decide(self, counts: Counts) -> Decision:
        action = self._actions[self._space.place[counts]]
        if action is Action.DRAW:
            return more(1)
        return accept("confident") if action is Action.ACCEPT else reject(counts, "unsure")
