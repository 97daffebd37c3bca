"""Scores, what could not be scored, and what a difference of two of them is worth (pure)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, pi, sqrt, tan
from statistics import NormalDist, fmean
from typing import NamedTuple

from signatures.errors import StageError

MOST_UNSCORED = 0.2
LEVEL = 0.95
RESAMPLES = 4000
_DIGITS = 12  # scores of draws are added as floats: 1e-18 above 0 is 0, not a gain


@dataclass(frozen=True, slots=True)
class Score:
    """How good one outcome is.

    Args:
        value: 0 (useless) to 1 (nothing to mend).
        feedback: what to mend, in words; an optimizer may read it.
        parts: what the value is made of, by name.
    """

    value: float
    feedback: str
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unscored:
    """An outcome that could not be judged: it says nothing of the prompt, and is never a 0."""

    reason: str


Outcome = Score | Unscored


class Interval(NamedTuple):
    """An estimate with its interval."""

    value: float
    low: float
    high: float

    @property
    def is_gain(self) -> bool:
        """Return whether the whole interval lies above 0."""
        return self.low > 0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The outcomes of one program on some examples, in their order.

    Args:
        outcomes: for each example, its outcomes in repeated draws.
    """

    outcomes: tuple[tuple[Outcome, ...], ...]

    @property
    def values(self) -> tuple[float | None, ...]:
        """Return the mean score of each example; None where no draw of it could be scored."""
        means = []
        for draws in self.outcomes:
            scored = [draw.value for draw in draws if isinstance(draw, Score)]
            means.append(fmean(scored) if scored else None)
        return tuple(means)

    @property
    def scored(self) -> tuple[float, ...]:
        """Return the scores of all draws that have one."""
        every = (draw for draws in self.outcomes for draw in draws)
        return tuple(draw.value for draw in every if isinstance(draw, Score))

    @property
    def score(self) -> float | None:
        """Return the mean over the examples that were scored; None where there is none."""
        scored = [value for value in self.values if value is not None]
        return fmean(scored) if scored else None

    @property
    def unscored(self) -> float:
        """Return the share of outcomes that could not be scored."""
        every = [draw for draws in self.outcomes for draw in draws]
        return sum(isinstance(draw, Unscored) for draw in every) / len(every) if every else 0.0

    def part(self, name: str) -> float | None:
        """Return the sum of one part over all scored draws; None where none has it."""
        found = [
            draw.parts[name]
            for draws in self.outcomes
            for draw in draws
            if isinstance(draw, Score) and name in draw.parts
        ]
        return sum(found) if found else None

    def require_scored(self, what: str) -> None:
        """Refuse an evaluation of which more than a fifth could not be scored.

        Raises:
            StageError: it is so; the most frequent reason is named.
        """
        refuse_unscored([draw for draws in self.outcomes for draw in draws], what)


def refuse_unscored(outcomes: Sequence[Outcome], what: str) -> None:
    """Raise a `StageError` where more than a fifth of the outcomes could not be scored."""
    reasons = Counter(o.reason for o in outcomes if isinstance(o, Unscored))
    if reasons.total() > MOST_UNSCORED * len(outcomes):
        reason, times = reasons.most_common(1)[0]
        raise StageError.rule(
            f"Judging {what} failed",
            name="outcomes that could not be scored",
            rule=f"be at most {MOST_UNSCORED:.0%}",
            value=f"{reasons.total()} of {len(outcomes)}, {times} of them because {reason}",
            todo="An unscored outcome is not a score of 0: mend its cause, or take another "
            "--judge-model.",
        )


def difference(
    before: Evaluation,
    after: Evaluation,
    *,
    alike: Sequence[int] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval | None:
    """Return the mean gain of `after` over `before` on the same examples, with its 95 % interval.

    Rule: examples scored on both sides are paired. Their differences are resampled with replacement,
    all examples that ask nearly the same as one (`resamples` times, seeded), and the percentiles of
    the means taken, expanded for small samples so that they are as wide as Student's interval would be
    with n such clusters: a' = Phi(-sqrt(n / (n - 1)) t(a / 2, n - 1)). All three numbers are rounded to
    twelve decimals.
    Source: Hesterberg (2015), What Teachers Should Know About the Bootstrap, section 5.3; clusters as
    the unit: Davison and Hinkley (1997), Bootstrap Methods and their Application, section 3.8.

    Args:
        before: the one side.
        after: the other, on the same examples.
        alike: for each example the cluster that it is of; None where all are different.
        seed: of the resampling.
        resamples: how many.

    Returns:
        None with fewer than two clusters that were scored on both sides.
    """
    of = range(len(before.values)) if alike is None else alike
    gains: dict[int, list[float]] = {}
    for old, new, cluster in zip(before.values, after.values, of, strict=True):
        if old is not None and new is not None:
            gains.setdefault(cluster, []).append(new - old)
    count = len(gains)
    if count < 2:
        return None
    sums = [(sum(found), len(found)) for found in gains.values()]
    rng = random.Random(f"difference/{seed}")
    means = sorted(_mean(rng.choices(sums, k=count)) for _ in range(resamples))
    tail = NormalDist().cdf(-sqrt(count / (count - 1)) * _student((1 + LEVEL) / 2, count - 1))
    low = means[max(0, floor(tail * resamples))]
    high = means[min(resamples - 1, ceil((1 - tail) * resamples) - 1)]
    return Interval(*(round(number, _DIGITS) + 0.0 for number in (_mean(sums), low, high)))


def paired(before: Evaluation, after: Evaluation) -> int:
    """Return how many examples were scored on both sides."""
    pairs = zip(before.values, after.values, strict=True)
    return sum(old is not None and new is not None for old, new in pairs)


def told_of_unscored(
    before: Evaluation, after: Evaluation, *, alike: Sequence[int] | None = None, seed: int = 0
) -> Iterator[str]:
    """Return what a reader should know where held-out outcomes could not be scored.

    A prompt that overflows the context window is worth nothing there, so that the difference is told
    once more with the unscored draws of `after` as 0.
    """
    if not before.unscored and not after.unscored:
        return
    yield (
        f"Of the held-out outcomes {before.unscored:.1%} before and {after.unscored:.1%} after could "
        f"not be scored; the difference is of the {paired(before, after)} of {len(after.values)} "
        "examples with a score on both sides, the scores are of all that have one."
    )
    if after.unscored:
        zeros = tuple(
            tuple(Score(0.0, o.reason) if isinstance(o, Unscored) else o for o in draws)
            for draws in after.outcomes
        )
        worst = difference(before, Evaluation(zeros), alike=alike, seed=seed)
        if worst is not None:
            yield (
                f"Counted as 0 after, the difference is {worst.value:+.3f} "
                f"({worst.low:+.3f} to {worst.high:+.3f})."
            )


def _mean(sums: Sequence[tuple[float, int]]) -> float:
    """Return the mean over all examples of some clusters, given by their sums and sizes."""
    return sum(total for total, _ in sums) / sum(size for _, size in sums)


def _student(probability: float, freedom: int) -> float:
    """Return Student's quantile.

    Source: Hill (1970), the Cornish-Fisher expansion to the third term (Abramowitz and Stegun
    26.7.5); exact for one and two degrees of freedom.
    """
    if freedom == 1:
        return tan(pi * (probability - 0.5))
    if freedom == 2:
        q = 2 * probability - 1
        return q * sqrt(2 / (1 - q * q))
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom ** (i + 1) for i, term in enumerate(terms))
