"""How little any policy over counts could cost on recorded votes: the bound that `frontier.py` shows.

All that a policy sees is the counts. Over all orders of a question's samples, the counts after the
next draw depend on the counts before it alone, so the recorded votes of the very questions judged give
the exact chance of each next state, and of the first being right; no order is sampled here. Backward
induction over these states (`programs.calibration.induction`) then gives the best policy for any price
of a wrong row and of a sample. With the value v(c, m) of a vote at the prices c and m, a wanted
precision 1 - e and a wanted yield Y, every policy and every mixture of policies pays at least

    (1 - (1 + c) e - v(c, m) / Y) / m

samples an accepted row, whatever c and m (weak duality); the bound is the largest of these. What a
fitted policy can reach on questions of its own lies above it, for it has not seen them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import comb, prod, sqrt
from typing import NamedTuple

from programs.ballots import NOBODY, UNREADABLE, Ballot, Figures
from programs.calibration.induction import Action, Prices, Problem, solve
from programs.stopping import Counts, Policy

_WRONG = tuple(0.5 * 1.2**step for step in range(38))
_SAMPLE = tuple(0.005 * 1.12**step for step in range(32))
_GOLDEN = (sqrt(5) - 1) / 2
_STEPS = 30


class Votes(NamedTuple):
    """Recorded votes as a problem of optimal stopping.

    Args:
        problem: by state from the end, as `solve` wants it.
        states: the counts by their place in it.
    """

    problem: Problem
    states: tuple[Counts, ...]


def lay_out(ballots: Sequence[Ballot], max_draws: int) -> Votes:
    """Return the votes of labelled questions as the problem of stopping within `max_draws`.

    Args:
        ballots: the votes, each of `max_draws` samples at least.
        max_draws: most draws.
    """
    passed: dict[Counts, float] = defaultdict(float)
    right: dict[Counts, float] = defaultdict(float)
    after: dict[Counts, dict[Counts, float]] = defaultdict(lambda: defaultdict(float))
    for ballot in ballots:
        for drawn, chance in _drawn(ballot, max_draws):
            state, leader = _seen(drawn)
            passed[state] += chance
            right[state] += chance * (leader == ballot.right)
            left = Counter(ballot.answers)
            left.subtract(drawn)
            for answer, times in left.items() if state.draws < max_draws else ():
                if times:
                    then, _ = _seen(drawn + Counter([answer]))
                    after[state][then] += chance * times / left.total()
    states = sorted(passed, key=lambda state: state.draws)
    place = {state: at for at, state in enumerate(states)}
    rows = []
    for state in reversed(states):
        moved = sum(after[state].values())
        ways = tuple((place[then], chance / moved) for then, chance in after[state].items())
        certain = state.top > state.second
        rows.append((place[state], right[state] / passed[state], certain, True, ways))
    return Votes(Problem(tuple(rows)), tuple(states))


def _drawn(ballot: Ballot, max_draws: int) -> Iterator[tuple[Counter[int], float]]:
    """Yield every choice of samples, as answers with their numbers, and its chance among its size."""
    held = Counter(ballot.answers)
    for taken in product(*(range(times + 1) for times in held.values())):
        if sum(taken) <= max_draws:
            chance = prod(map(comb, held.values(), taken)) / comb(held.total(), sum(taken))
            yield Counter(dict(zip(held, taken, strict=True))), chance


def _seen(drawn: Counter[int]) -> tuple[Counts, int]:
    """Return what a policy sees of the drawn samples, and which answer is the first."""
    votes = {answer: n for answer, n in drawn.items() if n and answer != UNREADABLE}
    counts = Counts(tuple(sorted(votes.values(), reverse=True)), drawn[UNREADABLE])
    first = NOBODY if counts.tied or not votes else max(votes, key=votes.__getitem__)
    return counts, first


def value(problem: Problem, prices: Prices) -> float:
    """Return what a vote is worth at these prices, where a right row earns 1."""
    values = [0.0] * len(problem.rows)
    for at, right, acceptable, _, ways in problem.rows:
        kept = right - prices.wrong * (1 - right) if acceptable else 0.0
        on = sum(share * values[way] for way, share in ways) - prices.sample if ways else 0.0
        values[at] = max(0.0, kept, on)
    return values[0]


def bound(problem: Problem, precision: float, yielded: float) -> float:
    """Return the fewest samples an accepted row that any policy or mixture could pay.

    Args:
        problem: the votes.
        precision: wanted at least, 0 to 1.
        yielded: wanted at least, above 0.
    """
    wrong = 1 - precision

    def least(row: float, error: float) -> float:
        # In samples: `row` is what an accepted row is worth, `error` what a wrong one costs. In
        # these the bound is concave, so that the two searches find its top.
        prices = Prices(error / row - 1, 1 / row)
        return row - error * wrong - row * value(problem, prices) / yielded

    return _top(lambda row: _top(lambda error: least(row, error), 0, 5000), 1, 200)


def _top(of: Callable[[float], float], low: float, high: float) -> float:
    """Return the largest value of a concave function, by golden section."""
    inner, outer = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_inner, at_outer = of(inner), of(outer)
    for _ in range(_STEPS):
        if at_inner > at_outer:
            high, outer, at_outer = outer, inner, at_inner
            inner = high - _GOLDEN * (high - low)
            at_inner = of(inner)
        else:
            low, inner, at_inner = inner, outer, at_outer
            outer = low + _GOLDEN * (high - low)
            at_outer = of(outer)
    return max(at_inner, at_outer)


def best_tables(problem: Problem) -> list[Figures]:
    """Return what the best policies for the scanned prices do to the votes they were fitted to."""
    prices = (Prices(wrong, sample) for wrong in _WRONG for sample in _SAMPLE)
    return [followed(problem, table) for table in {bytes(solve(problem, p)) for p in prices}]


def judge(votes: Votes, policy: Policy) -> Figures:
    """Return what a policy does to the votes, over all orders; it must ask for one draw at a time or
    for a wave that nothing in between could have ended."""
    actions = []
    for state in votes.states:
        decision = policy.decide(state)
        ended = Action.ACCEPT if decision.accepted else Action.REJECT
        actions.append(Action.DRAW if decision.draw else ended)
    return followed(votes.problem, actions)


def followed(problem: Problem, actions: Sequence[int]) -> Figures:
    """Return yield, precision and cost of a table of actions."""
    share = [0.0] * len(problem.rows)
    share[0] = 1.0
    accepted = right = draws = 0.0
    for at, chance, _, _, ways in reversed(problem.rows):
        if actions[at] == Action.ACCEPT:
            accepted += share[at]
            right += share[at] * chance
        elif actions[at] == Action.DRAW:
            draws += share[at]
            for way, part in ways:
                share[way] += share[at] * part
    return Figures(
        yielded=accepted,
        precision=right / accepted if accepted else None,
        samples=draws,
        samples_per_accepted=draws / accepted if accepted else None,
    )


def cheapest(points: list[Figures], precision: float, yielded: float) -> float | None:
    """Return the fewest samples an accepted row among points as precise and as rich as wanted."""
    costs = [
        point.samples_per_accepted
        for point in points
        if point.samples_per_accepted is not None
        and point.precision is not None
        and point.precision >= precision
        and point.yielded >= yielded
    ]
    return min(costs, default=None)
