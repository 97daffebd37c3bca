"""Is a set of answers balanced? Pearson's chi-square against the uniform distribution, with its p value.

    chi2 = sum over answers of (count - n / k)^2 / (n / k),  k - 1 degrees of freedom

The p value is the chance of a value at least as large if all k answers were equally likely: the upper
regularised incomplete gamma function Q(df / 2, chi2 / 2), by its series below df / 2 + 1 and its
continued fraction above. Source: Pearson (1900); Press et al., Numerical Recipes (2007), 6.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

_STEPS = 10_000
_TINY = 1e-300
_EPSILON = 1e-15


class ChiSquare(NamedTuple):
    """The statistic, its degrees of freedom, and the chance of one as large under balance, 0 to 1."""

    statistic: float
    degrees: int
    p_value: float


def chi_square(counts: Sequence[int]) -> ChiSquare | None:
    """Return how far counts are from equal; None with fewer than two answers or no count at all.

    Args:
        counts: how often each possible answer came, those that never came included. The
            approximation is good from some five expected of each.

    Example:
        >>> chi_square([30, 25, 20, 25])
        ChiSquare(statistic=2.0, degrees=3, p_value=0.5724)
    """
    total = sum(counts)
    if len(counts) < 2 or total <= 0:
        return None
    expected = total / len(counts)
    statistic = sum((count - expected) ** 2 for count in counts) / expected
    degrees = len(counts) - 1
    return ChiSquare(
        round(statistic, 4), degrees, round(_upper_gamma(degrees / 2, statistic / 2), 4)
    )


def _upper_gamma(a: float, x: float) -> float:
    """Return Q(a, x) = Gamma(a, x) / Gamma(a)."""
    if x <= 0:
        return 1.0
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        for i in range(1, _STEPS):
            term *= x / (a + i)
            total += term
            if term < total * _EPSILON:
                break
        return max(0.0, 1 - total * scale)
    b = x + 1 - a
    c, d = 1 / _TINY, 1 / b
    fraction = d
    for i in range(1, _STEPS):
        factor = -i * (i - a)
        b += 2
        d = 1 / (factor * d + b or _TINY)
        c = b + factor / c or _TINY
        fraction *= d * c
        if abs(d * c - 1) < _EPSILON:
            break
    return min(1.0, scale * fraction)
