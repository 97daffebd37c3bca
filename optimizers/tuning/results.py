"""What trials came to: the Pareto front of the feasible ones, and the one for a wanted trade-off."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, sqrt
from typing import Any, Literal, NamedTuple

from optimizers.tuning.space import Settings
from signatures.errors import ConfigError

Preference = Literal["cheap", "balanced", "precise"]
_LEAST = 1e-9
PREFERENCES: tuple[Preference, ...] = ("cheap", "balanced", "precise")


class Objective(NamedTuple):
    """One thing to be good at.

    Args:
        name: of the measured value.
        higher: higher is better; otherwise lower.
        title: with its unit, for tables and pictures.
    """

    name: str
    higher: bool
    title: str


class Tried(NamedTuple):
    """One complete trial.

    Args:
        number: of the trial in the study.
        settings: what was tried.
        values: the objectives, in their order.
        facts: what else was measured.
        feasible: every constraint held.
        baseline: the name of the baseline that it is, or empty.
    """

    number: int
    settings: Settings
    values: tuple[float, ...]
    facts: dict[str, Any]
    feasible: bool
    baseline: str = ""


def front(tried: Sequence[Tried], objectives: Sequence[Objective]) -> list[Tried]:
    """Return the feasible trials that no feasible trial beats in one objective and matches in all.

    Of trials with the same values the first stands for all. Sorted by the last objectives first, so
    that the cheapest comes first.
    """
    feasible = sorted((t for t in tried if t.feasible), key=lambda t: t.number)
    first: dict[tuple[float, ...], Tried] = {}
    for one in feasible:
        first.setdefault(one.values, one)
    distinct = list(first.values())
    best = [
        one
        for one in distinct
        if not any(other is not one and _as_good(other, one, objectives) for other in distinct)
    ]
    return sorted(best, key=lambda t: (_losses(t, objectives)[1:], t.number))


def choose(found: Sequence[Tried], objectives: Sequence[Objective], prefer: Preference) -> Tried:
    """Return the trial of a front for a trade-off.

    `precise` is the best in the first objective, `cheap` the best in the second; where two are alike
    the other objectives decide, in their order. `balanced` is nearest to the best of everything, each
    objective scaled to 0 to 1 over the front (Euclid), costs by their logarithm: twice the cost is as
    far from 5 to 10 as from 50 to 100, and one dear point does not make all others look alike.

    Args:
        found: the front, not empty.
        objectives: quality first, then cost.
        prefer: the trade-off.

    Raises:
        ConfigError: no such preference.
    """
    check_preference(prefer)
    losses = {one.number: _losses(one, objectives) for one in found}
    if prefer != "balanced":
        first = 0 if prefer == "precise" else 1
        return min(found, key=lambda t: (losses[t.number][first], losses[t.number], t.number))
    places = {number: _scaled(values, objectives) for number, values in losses.items()}
    spans = [(min(column), max(column)) for column in zip(*places.values(), strict=True)]

    def distance(one: Tried) -> float:
        parts = (
            (loss - low) / (high - low) if high > low else 0.0
            for loss, (low, high) in zip(places[one.number], spans, strict=True)
        )
        return sqrt(sum(part * part for part in parts))

    return min(found, key=lambda t: (distance(t), t.number))


def check_preference(prefer: str) -> None:
    """Raise for an unknown preference."""
    if prefer not in PREFERENCES:
        raise ConfigError.rule(
            "Tuning failed",
            name="--prefer",
            rule=f"be one of {', '.join(PREFERENCES)}",
            value=prefer,
            todo="Leave it out for balanced.",
        )


def _losses(one: Tried, objectives: Sequence[Objective]) -> tuple[float, ...]:
    pairs = zip(one.values, objectives, strict=True)
    return tuple(-value if objective.higher else value for value, objective in pairs)


def _scaled(losses: Sequence[float], objectives: Sequence[Objective]) -> list[float]:
    pairs = zip(losses, objectives, strict=True)
    return [loss if wanted.higher else log(max(loss, _LEAST)) for loss, wanted in pairs]


def _as_good(one: Tried, other: Tried, objectives: Sequence[Objective]) -> bool:
    pairs = zip(_losses(one, objectives), _losses(other, objectives), strict=True)
    return all(mine <= theirs for mine, theirs in pairs)
