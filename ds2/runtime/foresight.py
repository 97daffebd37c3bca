"""What a run will ask: calls, tokens, money and time by stage, each with an interval.

A forecast is many possible runs. For each, a *profile* of the units is drawn (their yield, and what an
accepted and a rejected one uses): from a pilot's units by the Bayesian bootstrap, or from stated
assumptions. Then quotas are filled as the scheduler fills them (`ds2.runtime.runahead`), and what is
already in the log is added as it is. The interval holds the middle 90 % of those runs.

Source: the Bayesian bootstrap is Rubin (1981), Annals of Statistics 9(1).
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from ds2.config import STAGES
from ds2.engines.prices import Price
from ds2.runtime.duration import Bound, Limits, Load, duration
from ds2.runtime.runahead import Started, start_units
from ds2.runtime.scheduler import PRIOR_ACCEPTED, PRIOR_DECIDED

LEVEL = 0.9
RUNS = 200
_ALIKE = 25.0  # units that a level's own yield is worth: the larger, the more alike levels are

_AT_ONCE = 0.75  # power of the calls of a unit that its time grows with
_SLOWEST = 4.0
_RARE = 0.5  # weight of what a pilot was too small to see
_FIELDS = 5


class StageUse(NamedTuple):
    """What a stage uses: calls, their tokens, and the seconds they took, one after the other."""

    calls: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    reasoning_tokens: float = 0.0
    seconds: float = 0.0

    def plus(self, other: StageUse) -> StageUse:
        """Return both together."""
        return StageUse(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def less(self, other: StageUse) -> StageUse:
        """Return what is left of this without the other, never below 0."""
        return StageUse(*(max(0.0, mine - his) for mine, his in zip(self, other, strict=True)))

    def times(self, number: float) -> StageUse:
        """Return so many times as much."""
        return StageUse(*[number * value for value in self])


Use = Mapping[str, StageUse]
_Vector = tuple[float, ...]


class UnitSample(NamedTuple):
    """One decided unit: whether it gave a row, and what it used by stage."""

    accepted: bool
    use: Use


class Interval(NamedTuple):
    """The middle of a forecast and the ends of its interval."""

    low: float
    mid: float
    high: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run is to reach, and how wide it works.

    Args:
        quotas: rows wanted of each group of units.
        candidates: most units that may be decided.
        limits: what holds calls back, their number in flight among it.
    """

    quotas: Mapping[str, int]
    candidates: int
    limits: Limits


@dataclass(frozen=True, slots=True)
class Known:
    """What a run's log holds already.

    Args:
        use: by stage, but for that of units which are still to be decided.
        accepted: rows of each group.
        decided: units decided.
        surplus: units that became surplus.
        spent: all that was used, by stage.
        grown: the keyword bank is there.
    """

    use: Use
    accepted: Mapping[str, int]
    decided: int
    surplus: int
    spent: Use
    grown: bool = False

    @property
    def calls(self) -> int:
        """Return the calls in the log."""
        return int(sum(use.calls for use in self.spent.values()))


class Moments(NamedTuple):
    """Mean and variance of what a unit uses, stage by stage and field by field."""

    mean: _Vector
    variance: _Vector


class Profile(NamedTuple):
    """What is believed of the units of one possible run.

    Args:
        rate: their yield, above 0 to 1.
        good, bad: what an accepted and a rejected unit uses.
        before: what the keywords use that are not in the log.
        rounds: of keywords that are still to come, one after the other.
        shared: requests for each call of a stage, where draws share one; 1 where it is not named.
    """

    rate: float
    good: Moments
    bad: Moments
    before: Use
    rounds: float = 0.0
    shared: Mapping[str, float] = MappingProxyType({})


ProfileDraw = Callable[[random.Random], Profile]


class PossibleRun(NamedTuple):
    """One run that may come.

    Args:
        use: in all, by stage.
        units: started.
        rows: accepted.
        seconds: still to go.
        stage_seconds: the part of them that each stage takes.
        bound: what sets the pace.
    """

    use: Mapping[str, StageUse]
    units: float
    rows: int
    seconds: float
    stage_seconds: Mapping[str, float]
    bound: Bound


@dataclass(frozen=True, slots=True)
class Forecast:
    """Possible runs, and the part of each that is in the log already."""

    runs: tuple[PossibleRun, ...]
    known: Known

    def over(self, measure: Callable[[PossibleRun], float]) -> Interval:
        """Return the interval of anything that can be read from a run."""
        return interval([measure(run) for run in self.runs])

    def stage(self, name: str, field: str) -> Interval:
        """Return the interval of one field of a stage's use."""
        return self.over(lambda run: getattr(run.use[name], field))

    def total(self, *fields: str) -> Interval:
        """Return the interval of the sum of some fields over all stages."""
        return self.over(
            lambda run: sum(getattr(use, field) for use in run.use.values() for field in fields)
        )

    def minutes(self, stage: str | None = None) -> Interval:
        """Return the minutes that are still to go, or the part of them that a stage takes."""
        if stage is None:
            return self.over(lambda run: run.seconds / 60)
        return self.over(lambda run: run.stage_seconds[stage] / 60)

    @property
    def bound(self) -> Bound:
        """Return what most often sets the pace."""
        return Counter(run.bound for run in self.runs).most_common(1)[0][0]

    def cost_usd(self, prices: Mapping[str, Price | None], *stages: str) -> Interval | None:
        """Return what the named stages, or all, cost; None where a price is not known."""
        chosen = [s for s in (stages or STAGES) if self.stage(s, "calls").high > 0]
        if any(prices.get(stage) is None for stage in chosen):
            return None
        return self.over(lambda run: sum(_cost(run.use[s], prices[s]) for s in chosen))


def forecast(
    wanted: Wanted, known: Known, draw: ProfileDraw, *, runs: int = RUNS, seed: int = 0
) -> Forecast:
    """Return the forecast of a run.

    Args:
        wanted: what it is to reach.
        known: what its log holds.
        draw: draws a profile; `from_pilot` and `from_assumptions` make one.
        runs: possible runs to draw.
        seed: of the drawing.
    """
    rng = random.Random(f"{seed}/foresight")
    needs = [max(0, n - known.accepted.get(group, 0)) for group, n in wanted.quotas.items()]
    return Forecast(tuple(_possible(wanted, known, needs, draw, rng) for _ in range(runs)), known)


def from_pilot(
    units: Sequence[UnitSample], shared: Mapping[str, float] = MappingProxyType({})
) -> ProfileDraw:
    """Return what draws profiles from the decided units of a pilot.

    Each unit gets a random weight, Exp(1) (the Bayesian bootstrap). To their yield comes what the
    scheduler believes before anything is decided, three units of four: so twelve of twelve does not
    mean always, and few of twelve not that it stays so.

    Args:
        units: at least one.
        shared: requests for each call of a stage, where draws share one.
    """
    good = [_vector(unit.use) for unit in units if unit.accepted]
    bad = [_vector(unit.use) for unit in units if not unit.accepted]
    every = good + bad
    # A few writer's calls show no reply that is asked for again, though there will be some.
    unseen = all(unit.use.get("writer", StageUse()).calls <= 1 for unit in units)

    def draw(rng: random.Random) -> Profile:
        heavy = [rng.expovariate(1) for _ in good]
        light = [rng.expovariate(1) for _ in bad]
        for_good = sum(heavy) + rng.gammavariate(PRIOR_ACCEPTED, 1)
        for_bad = sum(light) + rng.gammavariate(PRIOR_DECIDED - PRIOR_ACCEPTED, 1)
        whole = _moments(every, heavy + light)
        again = rng.betavariate(_RARE, 2 * len(units)) if unseen else 0.0
        return Profile(
            min(1.0, max(1e-3, for_good / (for_good + for_bad))),
            _rewritten(_moments(good, heavy) if good else whole, again),
            _rewritten(_moments(bad, light) if bad else whole, again),
            {},
            shared=shared,
        )

    return draw


def _rewritten(moments: Moments, again: float) -> Moments:
    """Return the moments where the writer is asked again for this share of its replies."""
    first = STAGES.index("writer") * _FIELDS
    mean = [
        value * (1 + again) if first <= at < first + _FIELDS else value
        for at, value in enumerate(moments.mean)
    ]
    return moments._replace(mean=tuple(mean))


def interval(values: Sequence[float]) -> Interval:
    """Return the median of some values and the ends of their middle 90 %."""
    ordered = sorted(values)
    tail = (1 - LEVEL) / 2
    low, mid, high = (ordered[round(q * (len(ordered) - 1))] for q in (tail, 0.5, 1 - tail))
    return Interval(low, mid, high)


def profile_of(
    units: Sequence[UnitSample],
    *,
    before: Use,
    rounds: float = 0.0,
    shared: Mapping[str, float] = MappingProxyType({}),
) -> Profile:
    """Return the profile of units that are taken as they are.

    Args:
        units: at least one.
        before: what the keywords use, in so many `rounds`.
        rounds, shared: as in `Profile`.
    """
    good = [_vector(unit.use) for unit in units if unit.accepted]
    bad = [_vector(unit.use) for unit in units if not unit.accepted]
    every = _moments(good + bad, [1.0] * len(units))
    return Profile(
        max(1e-3, len(good) / len(units)),
        _moments(good, [1.0] * len(good)) if good else every,
        _moments(bad, [1.0] * len(bad)) if bad else every,
        before,
        rounds,
        shared,
    )


def _possible(
    wanted: Wanted, known: Known, needs: Sequence[int], draw: ProfileDraw, rng: random.Random
) -> PossibleRun:
    profile = draw(rng)
    # Levels differ in their yield, more than a small pilot can show.
    rates = [_level_rate(profile.rate, rng) for _ in needs]
    accepted = sum(known.accepted.values())
    started = start_units(
        needs,
        rates,
        concurrency=wanted.limits.concurrency,
        most=max(0, wanted.candidates - known.decided),
        known=(accepted, known.decided),
        slower=_slower(profile, wanted.limits),
        rng=rng,
    )
    new = _used(started, profile, rng)
    before = {} if known.grown else profile.before
    for name, use in before.items():
        new[name] = new[name].plus(use.less(known.use.get(name, StageUse())))
    loads = {name: _load(use, profile.shared.get(name, 1.0)) for name, use in new.items()}
    takes = duration(loads, wanted.limits, rounds=profile.rounds if before else 0.0)
    whole = {name: use.plus(known.use.get(name, StageUse())) for name, use in new.items()}
    units = known.decided + known.surplus + started.accepted + started.rejected + started.surplus
    rows = accepted + started.accepted
    return PossibleRun(whole, units, rows, takes.seconds, takes.stages, takes.bound)


def _load(use: StageUse, shared: float) -> Load:
    tokens = use.input_tokens + use.output_tokens
    return Load(use.calls, use.calls * shared, tokens, use.seconds * shared)


def _slower(profile: Profile, limits: Limits) -> float:
    """Return how many times as long a unit without a row takes, by its calls.

    Those of a wave go out at once, so time grows less than they do, unless a limit by hand lets them
    out one by one.
    """
    good, bad = (sum(m.mean[::_FIELDS]) for m in (profile.good, profile.bad))
    power = _AT_ONCE if limits.rpm is None and limits.tpm is None else 1.0
    return min(_SLOWEST, (bad / good) ** power) if good and bad else 1.0


def _level_rate(rate: float, rng: random.Random) -> float:
    return max(1e-3, rng.betavariate(rate * _ALIKE + 1e-9, (1 - rate) * _ALIKE + 1e-9))


def _used(started: Started, profile: Profile, rng: random.Random) -> dict[str, StageUse]:
    """Return what the units use; one draw of luck moves all fields together."""
    luck = rng.gauss()
    good = started.accepted + started.surplus * profile.rate
    bad = started.rejected + started.surplus * (1 - profile.rate)
    values = [
        max(0.0, good * a + bad * b + luck * math.sqrt(good * va + bad * vb))
        for a, b, va, vb in zip(
            profile.good.mean,
            profile.bad.mean,
            profile.good.variance,
            profile.bad.variance,
            strict=True,
        )
    ]
    return {
        stage: StageUse(*values[i * _FIELDS : (i + 1) * _FIELDS]) for i, stage in enumerate(STAGES)
    }


def _cost(use: StageUse, price: Price | None) -> float:
    if price is None:
        raise AssertionError("an unknown price was asked for")
    return price.cost_usd(use.input_tokens, use.output_tokens, use.reasoning_tokens)


def _vector(use: Use) -> _Vector:
    return tuple(value for stage in STAGES for value in use.get(stage, StageUse()))


def _moments(vectors: Sequence[_Vector], weights: Sequence[float]) -> Moments:
    whole = sum(weights)
    means, variances = [], []
    for column in _columns(vectors):
        if not any(column):  # most fields of most stages
            means.append(0.0)
            variances.append(0.0)
            continue
        mean = sum([w * x for w, x in zip(weights, column, strict=True)]) / whole
        square = sum([w * (x - mean) ** 2 for w, x in zip(weights, column, strict=True)]) / whole
        means.append(mean)
        variances.append(square)
    return Moments(tuple(means), tuple(variances))


def _columns(vectors: Sequence[_Vector]) -> Iterator[tuple[float, ...]]:
    return zip(*vectors, strict=True)
