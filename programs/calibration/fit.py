"""Fit a calibrated policy: estimate, solve, and choose by cross-validation split by question.

The frontier of each variant is scanned over the prices of a wrong row and of a sample. Every point
is judged on the folds that its table was not fitted to; the cheapest point (samples an accepted
row) that keeps the precision and the yield asked for is fitted again to all questions. So what the
file expects of itself was measured on questions left out, though the choice of the point has seen
them: judge it on questions of their own before you believe it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import NamedTuple

from programs.ballots import (
    Ballot,
    Figures,
    Orders,
    Outcome,
    bootstrap,
    figures,
    outcomes,
)
from programs.calibration.crossing import Data, frontier, gather, left_out
from programs.calibration.estimates import VARIANTS, Estimates, Variant, estimate
from programs.calibration.induction import Prices, problem, reachable, solve, waves
from programs.calibration.states import Space
from programs.stopping.calibrated import Calibrated, Entry, Expected, Measured, Provenance
from programs.stopping.policy import Counts, Policy
from programs.stopping.share import fixed
from signatures.errors import ConfigError
from signatures.records import content_id

MAX_DRAWS = 16
"""The most draws that are fitted; the states of a vote grow fast with them."""

MIN_QUESTIONS = 20
"""The fewest questions that a policy is fitted to."""

KEPT_YIELD = 0.95
"""The share of the fixed vote's yield that is kept where no yield is asked for."""


class Tried(NamedTuple):
    """The best that one variant came to, on questions left out.

    Args:
        variant: its name.
        prices: of its cheapest point; None where no point kept what was asked for.
        figures: of that point; None likewise.
    """

    variant: str
    prices: Prices | None
    figures: Figures | None


class Fit(NamedTuple):
    """A fitted policy and how it was chosen.

    Args:
        policy: the policy.
        tried: each variant at its best.
        target_precision: the precision that was asked for.
        min_yield: the yield that was asked for, or that follows from the fixed vote.
    """

    policy: Calibrated
    tried: tuple[Tried, ...]
    target_precision: float
    min_yield: float


class _Goal(NamedTuple):
    precision: float
    yielded: float


def fit_policy(
    ballots: Sequence[Ballot],
    target: float | Policy,
    max_draws: int = 10,
    *,
    min_yield: float | None = None,
    margin: float = 0.0,
    folds: int = 5,
    repeats: int = 40,
    seed: int = 0,
    source: str = "",
) -> Fit:
    """Return the cheapest policy that keeps a precision, fitted to recorded votes.

    Args:
        ballots: recorded votes; those whose right answer is unknown are left out.
        target: the precision wanted, 0 < target < 1; or a policy, whose precision on these votes is
            wanted.
        max_draws: most answers to draw, 2 to 16 and at most what was recorded.
        min_yield: the smallest share of questions to accept. None asks for 0.95 of the yield of the
            fixed vote: of `target` where that is a policy, else of the vote of `max_draws` at the
            lowest share that keeps the precision.
        margin: how far above the precision wanted the cross-validated one must be.
        folds: folds of the cross-validation, split by question.
        repeats: random orders of each question's samples.
        seed: of the orders and the folds.
        source: where the votes come from, for the provenance.

    Returns:
        The policy, and the best of each variant.

    Raises:
        ConfigError: there are too few questions or samples, a number is out of its range, or no
            point keeps the precision and the yield; it says how far one comes.
    """
    labelled = [ballot for ballot in ballots if ballot.right is not None]
    _check_numbers(target, min_yield, folds, repeats)
    _check_votes(labelled, max_draws, folds)
    data = gather(labelled, max_draws, folds, repeats, seed)
    goal = _goal(target, min_yield, max_draws, data.orders)
    frontiers = {variant: frontier(variant, data) for variant in VARIANTS}
    tried = tuple(_best(v, points, goal, margin) for v, points in frontiers.items())
    best = min(tried, key=_cost)
    if best.prices is None:
        raise _out_of_reach(goal, [f for points in frontiers.values() for f in points.values()])
    variant = next(v for v in VARIANTS if v.name == best.variant)
    policy = fit_at(labelled, data, variant, best.prices, precision=goal.precision, source=source)
    return Fit(policy, tried, goal.precision, goal.yielded)


def fit_at(
    ballots: Sequence[Ballot],
    data: Data,
    variant: Variant,
    prices: Prices,
    *,
    precision: float,
    source: str = "",
) -> Calibrated:
    """Return the policy of a variant at given prices, fitted to all questions.

    Args:
        ballots: the labelled votes that `data` was gathered from.
        data: the same, laid out by `gather`.
        variant: how probabilities are estimated.
        prices: of a wrong row and of a sample.
        precision: what it is fitted for, as its file shall say.
        source: where the votes come from, for the provenance.
    """
    return Calibrated(
        precision,
        data.space.states[-1].draws,
        table(estimate(data.seen, data.space, variant), data.space, prices),
        expected=_expected(left_out(variant, prices, data), data.orders),
        provenance=Provenance(
            source=source,
            ballots=content_id([[list(b.answers), b.right] for b in ballots]),
            questions=len(ballots),
            samples=sum(len(ballot.answers) for ballot in ballots),
            variant=variant.name,
            wrong_price=prices.wrong,
            sample_price=prices.sample,
            folds=len(data.folds),
            repeats=data.orders.repeats,
            seed=data.seed,
        ),
    )


def table(estimates: Estimates, of: Space, prices: Prices) -> dict[Counts, Entry]:
    """Return what to do in each state that the optimal vote can come to."""
    actions = solve(problem(estimates, of), prices)
    draws = waves(actions, of)
    return {
        of.states[place]: Entry(
            do=actions[place].word,
            draw=draws[place],
            right=round(estimates.right[place], 6),
            support=round(estimates.support[place], 2),
        )
        for place in reachable(actions, of)
    }


def _best(variant: Variant, points: Mapping[Prices, Figures], goal: _Goal, margin: float) -> Tried:
    met = [
        (found.samples_per_accepted, prices)
        for prices, found in points.items()
        if found.precision is not None
        and found.samples_per_accepted is not None
        and found.precision >= goal.precision + margin
        and found.yielded >= goal.yielded
    ]
    if not met:
        return Tried(variant.name, None, None)
    prices = min(met)[1]
    return Tried(variant.name, prices, points[prices])


def _cost(tried: Tried) -> float:
    cost = None if tried.figures is None else tried.figures.samples_per_accepted
    return inf if cost is None else cost


def _expected(done: Sequence[Outcome], orders: Orders) -> Expected:
    values, intervals = figures(done, orders), bootstrap(done, orders)
    measured = {
        name: Measured(value=getattr(values, name), low=interval.low, high=interval.high)
        for name, interval in intervals.items()
    }
    return Expected(**measured)


def _goal(target: float | Policy, min_yield: float | None, max_draws: int, orders: Orders) -> _Goal:
    if isinstance(target, int | float):
        precision, reference = float(target), None
        if min_yield is None:
            reference = _fixed_at(precision, max_draws, orders)
    else:
        reference = figures(outcomes(target, orders), orders)
        if reference.precision is None:
            raise ConfigError.rule(
                "Fitting a policy failed",
                name="target",
                rule="be a policy that accepts something of the recorded votes",
                value=target.spec,
                todo="Give another policy, or a precision such as 0.95.",
            )
        precision = reference.precision
    if min_yield is None:
        min_yield = KEPT_YIELD * reference.yielded if reference else 0.0
    return _Goal(precision, min_yield)


def _fixed_at(precision: float, k: int, orders: Orders) -> Figures | None:
    """Return the fixed vote of k at the lowest share that keeps the precision, if there is one."""
    for votes in range(1, k + 1):
        found = figures(outcomes(fixed(k, votes / k), orders), orders)
        if found.precision is not None and found.precision >= precision:
            return found
    return None


def _check_numbers(
    target: float | Policy, min_yield: float | None, folds: int, repeats: int
) -> None:
    _require(
        "target precision",
        target if isinstance(target, int | float) else target.spec,
        not isinstance(target, int | float) or 0 < target < 1,
        "be above 0 and below 1",
        "Ask for a share such as 0.95.",
    )
    _require(
        "the least yield",
        min_yield,
        min_yield is None or 0 <= min_yield <= 1,
        "be from 0 to 1",
        "Ask for a share of the questions such as 0.8.",
    )
    _require("folds", folds, folds >= 2, "be at least 2", "Use 5.")
    _require("repeats", repeats, repeats >= 1, "be at least 1", "Use 40.")


def _check_votes(ballots: Sequence[Ballot], max_draws: int, folds: int) -> None:
    least = max(MIN_QUESTIONS, folds)
    _require(
        "the recorded votes",
        len(ballots),
        len(ballots) >= least,
        f"hold at least {least} questions with a known answer",
        "Record more questions, or use a policy that needs no fit, such as lead(3, 9).",
    )
    most = min(MAX_DRAWS, max(len(ballot.answers) for ballot in ballots))
    _require(
        "the most draws",
        max_draws,
        2 <= max_draws <= most,
        f"be from 2 to {most} (the most samples of a question, {MAX_DRAWS} at most)",
        "Allow fewer draws, or record more samples of each question.",
    )


def _require(name: str, value: object, ok: bool, rule: str, todo: str) -> None:
    if not ok:
        raise ConfigError.rule(
            "Fitting a policy failed", name=name, rule=rule, value=value, todo=todo
        )


def _out_of_reach(goal: _Goal, points: Sequence[Figures]) -> ConfigError:
    enough = [f for f in points if f.precision is not None and f.yielded >= goal.yielded]
    best = max((f.precision or 0.0 for f in enough), default=None)
    reached = (
        "no policy accepts so many"
        if best is None
        else f"{best:.4f} is the most at a yield of {goal.yielded:.3f}"
    )
    return ConfigError.rule(
        "Fitting a policy failed",
        name="target precision",
        rule=f"be reachable at a yield of {goal.yielded:.3f} on questions left out; {reached}",
        value=round(goal.precision, 4),
        todo="Ask for less precision, a smaller --min-yield, or allow more draws.",
    )
