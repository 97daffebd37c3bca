"""Made-up results of studies for `pubmedqa.py`: slots that hold them, and how they are read.

Every figure of a result is drawn together, so that an interval fits its estimate, an accuracy its
counts, and a prediction interval its heterogeneity. A result is shown as an abstract shows it and
read back exactly. The rule that makes it a yes, a no or a maybe stands in the abstract's methods.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from math import exp, sqrt
from random import Random
from typing import Any, NamedTuple

from ds2.engines.teacher.frame import Params, Solution, show
from signatures.bloom import BloomLevel

_Z = 1.96
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


class Estimate(NamedTuple):
    """An estimate with the bounds of its 95% confidence interval."""

    value: Fraction
    low: Fraction
    high: Fraction


class Pooled(NamedTuple):
    """A pooled ratio with its confidence interval, its prediction interval and I squared (percent)."""

    value: Fraction
    low: Fraction
    high: Fraction
    least: Fraction
    most: Fraction
    spread: int


class Share(NamedTuple):
    """A count out of a total, with the bounds in percent of its 95% interval after Wilson (1927)."""

    hits: int
    total: int
    low: Fraction
    high: Fraction


def wilson(hits: int, total: int) -> tuple[Fraction, Fraction]:
    """Return the 95% bounds of a share in percent, to one decimal."""
    share, square = hits / total, _Z * _Z
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = _Z * sqrt(share * (1 - share) / total + square / (4 * total**2)) / (1 + square / total)
    return _round(100 * (middle - half), 1), _round(100 * (middle + half), 1)


def _round(value: float, places: int) -> Fraction:
    return Fraction(f"{value:.{places}f}")


@dataclass(frozen=True, slots=True)
class Effect:
    """An `Estimate` shown as `3.1 (95% CI 1.2 to 5.0)`.

    Args:
        low: least estimate drawn (natural logarithm of it for a ratio).
        high: greatest estimate drawn, likewise.
        narrow: least half-width of the interval, likewise.
        wide: greatest half-width, likewise.
        ratio: the estimate is a ratio: its interval is symmetric in the logarithm, two decimals.
    """

    low: float
    high: float
    narrow: float
    wide: float
    ratio: bool = False

    @property
    def pattern(self) -> str:
        number = r"\d+\.\d{2}" if self.ratio else r"-?\d+\.\d"
        return rf"{number} \(95% CI {number} to {number}\)"

    def draw(self, rng: Random, taken: Collection[Any]) -> Estimate:  # noqa: ARG002
        middle, half = rng.uniform(self.low, self.high), rng.uniform(self.narrow, self.wide)
        drawn = (middle, middle - half, middle + half)
        if self.ratio:
            return Estimate(*(_round(exp(value), 2) for value in drawn))
        return Estimate(*(_round(value, 1) for value in drawn))

    def show(self, value: Estimate) -> str:
        places = 2 if self.ratio else 1
        shown = [show(number, places) for number in value]
        return "{} (95% CI {} to {})".format(*shown)

    def read(self, text: str) -> Estimate:
        value, _, low, high = (Fraction(number) for number in _NUMBER.findall(text))
        return Estimate(value, low, high)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A `Share` shown as `182 of 200 (91.0%; 95% CI 86.2% to 94.2%)`.

    Args:
        fewest: least total drawn.
        most: greatest total drawn.
        low: least underlying share.
        high: greatest underlying share.
    """

    fewest: int
    most: int
    low: float
    high: float

    @property
    def pattern(self) -> str:
        part = r"\d+\.\d%"
        return rf"\d+ of \d+ \({part}; 95% CI {part} to {part}\)"

    def draw(self, rng: Random, taken: Collection[Any]) -> Share:  # noqa: ARG002
        total = rng.randint(self.fewest, self.most)
        hits = round(total * rng.uniform(self.low, self.high))
        return Share(hits, total, *wilson(hits, total))

    def show(self, value: Share) -> str:
        share = show(Fraction(100 * value.hits, value.total), 1)
        low, high = show(value.low, 1), show(value.high, 1)
        return f"{value.hits} of {value.total} ({share}%; 95% CI {low}% to {high}%)"

    def read(self, text: str) -> Share:
        hits, total = (int(number) for number in _NUMBER.findall(text)[:2])
        return Share(hits, total, *wilson(hits, total))


@dataclass(frozen=True, slots=True)
class Synthesis:
    """A `Pooled` risk ratio of `trials` studies, its spread drawn from none to large."""

    trials: tuple[int, int]

    @property
    def pattern(self) -> str:
        number = r"\d+\.\d{2}"
        span = f"{number} to {number}"
        return rf"{number} \(95% CI {span}; 95% prediction interval {span}; I2 \d+%\)"

    def draw(self, rng: Random, taken: Collection[Any]) -> Pooled:  # noqa: ARG002
        trials = rng.randint(*self.trials)
        spread = rng.choice((0, 0, 10, 20, 35, 50, 65, 75))
        within = rng.uniform(0.1, 0.4)
        between = within * sqrt(spread / (100 - spread))
        error = sqrt((within**2 + between**2) / trials)
        middle = rng.uniform(-0.6, 0.08)
        half, wide = _Z * error, _Z * sqrt(error**2 + between**2)
        points = (middle, middle - half, middle + half, middle - wide, middle + wide)
        value, low, high, least, most = (_round(exp(point), 2) for point in points)
        return Pooled(value, low, high, least, most, spread)

    def show(self, value: Pooled) -> str:
        middle, low, high, least, most = (show(number, 2) for number in value[:5])
        return (
            f"{middle} (95% CI {low} to {high}; 95% prediction interval {least} to {most}; "
            f"I2 {value.spread}%)"
        )

    def read(self, text: str) -> Pooled:
        # The 95 of each interval's name stands at 1 and 4; the 2 of I2 at 7.
        found = [Fraction(number) for number in _NUMBER.findall(text)]
        return Pooled(found[0], found[2], found[3], found[5], found[6], int(found[8]))


@dataclass(frozen=True, slots=True)
class Doses:
    """Mean changes at three rising doses, such as `1.2, 2.3 and 3.1`; more than half rise throughout."""

    @property
    def pattern(self) -> str:
        return r"\d+\.\d, \d+\.\d and \d+\.\d"

    def draw(self, rng: Random, taken: Collection[Any]) -> tuple[Fraction, ...]:  # noqa: ARG002
        changes = rng.sample(range(8, 80), 3)
        if rng.random() < 0.5:
            changes.sort()
        return tuple(Fraction(change, 10) for change in changes)

    def show(self, value: tuple[Fraction, ...]) -> str:
        return "{}, {} and {}".format(*(show(change, 1) for change in value))

    def read(self, text: str) -> tuple[Fraction, ...]:
        return tuple(Fraction(change) for change in _NUMBER.findall(text))


@dataclass(frozen=True, slots=True)
class PValue:
    """A P value with three decimals, a share of them (`below`) under `bar` (in thousandths)."""

    bar: int
    below: float = 0.5

    @property
    def pattern(self) -> str:
        return r"0\.\d{3}"

    def draw(self, rng: Random, taken: Collection[Any]) -> Fraction:  # noqa: ARG002
        bounds = (1, self.bar - 1) if rng.random() < self.below else (self.bar + 1, 900)
        drawn = rng.randint(*bounds)
        return Fraction(drawn, 1000)

    def show(self, value: Fraction) -> str:
        return show(value, 3)

    def read(self, text: str) -> Fraction:
        return Fraction(text)


_MISREAD = {"yes": ("maybe", "no"), "no": ("maybe", "yes"), "maybe": ("yes", "no")}


def _decided(label: str, *steps: str) -> Solution:
    return Solution(label, _MISREAD[label], (*steps, f"So the answer is {label}."))


def trial(p: Params, level: BloomLevel) -> Solution:  # noqa: ARG001
    """Yes where the whole interval reaches the relevant difference, no where it stays below."""
    _, low, high = p.effect
    steps = f"The interval runs from {show(low, 1)} to {show(high, 1)}; relevant is {p.relevant} or more."
    if low >= p.relevant:
        return _decided("yes", steps, "Even its lower bound is relevant.")
    if high < p.relevant:
        return _decided("no", steps, "Even its upper bound falls short of that.")
    return _decided("maybe", steps, "It holds relevant and irrelevant differences alike.")


NEAR_NULL = (Fraction("0.83"), Fraction("1.20"))


def cohort(p: Params, level: BloomLevel) -> Solution:  # noqa: ARG001
    """Yes where the interval excludes 1, no where it lies within `NEAR_NULL`, else maybe."""
    _, low, high = p.hazard
    steps = f"The interval of the hazard ratio runs from {show(low, 2)} to {show(high, 2)}."
    if low > 1 or high < 1:
        return _decided("yes", steps, "It excludes 1, which counts as an association.")
    if NEAR_NULL[0] <= low and high <= NEAR_NULL[1]:
        return _decided(
            "no", steps, "It holds 1 and lies within 0.83 to 1.20, which counts as no association."
        )
    return _decided("maybe", steps, "It holds 1 but reaches beyond 0.83 to 1.20: inconclusive.")


def accuracy(p: Params, level: BloomLevel) -> Solution:  # noqa: ARG001
    """Yes where both lower bounds reach what is required, no where an upper bound fails to."""
    lows, highs = (p.sens.low, p.spec.low), (p.sens.high, p.spec.high)
    steps = (
        f"Required are {p.needed}%. The interval of sensitivity is {show(lows[0], 1)}% to "
        f"{show(highs[0], 1)}%, that of specificity {show(lows[1], 1)}% to {show(highs[1], 1)}%."
    )
    if min(lows) >= p.needed:
        return _decided("yes", steps, "Both lower bounds reach the requirement.")
    if min(highs) < p.needed:
        return _decided("no", steps, "An upper bound lies below the requirement.")
    return _decided("maybe", steps, "No interval fails, but not every lower bound is high enough.")


def dose_response(p: Params, level: BloomLevel) -> Solution:  # noqa: ARG001
    """Yes where the trend is significant and every step rises, no where neither, else maybe."""
    trend = p.trend < Fraction(1, 20)
    rising = p.changes[0] < p.changes[1] < p.changes[2]
    steps = (
        f"P for trend is {show(p.trend, 3)}, {'below' if trend else 'not below'} 0.05.",
        f"The changes {Doses().show(p.changes)} {'rise' if rising else 'do not rise'} at every step.",
    )
    if trend and rising:
        return _decided("yes", *steps, "Both conditions hold.")
    if not trend and not rising:
        return _decided("no", *steps, "Neither condition holds.")
    return _decided("maybe", *steps, "Only one of the two conditions holds.")


def crossover(p: Params, level: BloomLevel) -> Solution:  # noqa: ARG001
    """Maybe where the first treatment carries over; else yes where the interval lies above 0."""
    carried = p.carry < Fraction(1, 10)
    steps = f"P for carry-over is {show(p.carry, 3)}, {'below' if carried else 'not below'} 0.10."
    if carried:
        return _decided("maybe", steps, "With carry-over the comparison cannot be read.")
    _, low, high = p.gain
    span = f"The interval of the gain runs from {show(low, 1)} to {show(high, 1)}."
    if low > 0:
        return _decided("yes", steps, span, "It lies above 0 throughout.")
    return _decided("no", steps, span, "It does not lie above 0 throughout.")


def review(p: Params, level: BloomLevel) -> Solution:  # noqa: ARG001
    """Yes where both intervals lie below 1, no where the confidence interval reaches 1."""
    pooled = p.pooled
    steps = (
        f"The confidence interval runs from {show(pooled.low, 2)} to {show(pooled.high, 2)}, the "
        f"prediction interval from {show(pooled.least, 2)} to {show(pooled.most, 2)}."
    )
    if pooled.high >= 1:
        return _decided("no", steps, "The confidence interval reaches 1.")
    if pooled.most < 1:
        return _decided("yes", steps, "Both lie below 1 throughout.")
    return _decided("maybe", steps, "Only the confidence interval lies below 1 throughout.")
