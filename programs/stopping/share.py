"""Policies that want a share of k draws: `fixed`, and `curtailed`, its cheaper twin.

Source: self-consistency after Wang et al. (2023), arXiv:2203.11171; the threshold after
DS²-Instruct (arXiv:2603.12932), section 3.3; curtailment after Wald (1945), whose simplest case it
is: stop when the verdict of the full sample is certain.
"""

from __future__ import annotations

from dataclasses import dataclass

from programs.stopping.policy import Counts, Decision, accept, check, exact, more, reject


@dataclass(frozen=True, slots=True)
class Fixed:
    """Draw k answers, then accept the first if its share of all draws reaches the threshold.

    In symbols: accept iff v1 / n >= threshold and v1 > v2, where n counts unreadable draws. A tie
    for the first place is rejected at any threshold, for there is no majority answer to keep.
    """

    k: int
    threshold: float

    @property
    def max_draws(self) -> int:
        """Return k."""
        return self.k

    @property
    def spec(self) -> str:
        """Return the policy as text, such as `fixed(5, 0.6)`."""
        return f"fixed({self.k}, {exact(self.threshold)})"

    def decide(self, counts: Counts) -> Decision:
        """Return how many more to draw, or the verdict once k are there."""
        if counts.draws < self.k:
            return more(self.k - counts.draws)
        if counts.votes and not counts.tied and counts.top / counts.draws >= self.threshold:
            return accept("majority")
        return reject(counts, "below_threshold")


@dataclass(frozen=True, slots=True)
class Curtailed:
    """`Fixed`, stopped as soon as no further draw can change its verdict or its winner.

    In symbols, with r draws left and m the fewest votes whose share of k reaches the threshold:
    accept when v1 >= m and v1 > v2 + r (a new answer counts as v2 = 0); reject when v1 + r < m, or
    when r = 0. On every sequence it accepts exactly what `Fixed` accepts, with the same winner.
    """

    k: int
    threshold: float

    @property
    def max_draws(self) -> int:
        """Return k."""
        return self.k

    @property
    def spec(self) -> str:
        """Return the policy as text, such as `curtailed(5, 0.6)`."""
        return f"curtailed({self.k}, {exact(self.threshold)})"

    def decide(self, counts: Counts) -> Decision:
        """Return the fewest draws that can settle the verdict, or the verdict."""
        left = self.k - counts.draws
        needed = self._needed()
        if counts.top >= needed and counts.top > counts.second + max(left, 0):
            return accept("majority")
        if left <= 0 or counts.top + left < needed:
            return reject(counts, "below_threshold")
        # To accept, the first needs d more with v1 + d >= m and v1 + d > v2 + (r - d).
        to_accept = max(needed - counts.top, (counts.second + left - counts.top) // 2 + 1)
        to_reject = counts.top + left - needed + 1
        return more(max(1, min(to_accept, to_reject, left)))

    def _needed(self) -> int:
        # By the very comparison that `Fixed` makes, so that rounding cannot part the two.
        return next((m for m in range(self.k + 1) if m / self.k >= self.threshold), self.k + 1)


def fixed(k: int, threshold: float) -> Fixed:
    """Return the paper's policy: k draws, and a majority share of at least `threshold`.

    Args:
        k: answers to draw, at least 1.
        threshold: smallest share of the draws that the winner must have, 0 < threshold <= 1.

    Raises:
        ConfigError: k or the threshold is out of its range.

    Example:
        >>> fixed(5, 0.6).decide(Counts(votes=(3, 1), unreadable=1))
        Decision(draw=0, accepted=True, reason='majority')
    """
    _check_share(k, threshold)
    return Fixed(k, float(threshold))


def curtailed(k: int, threshold: float) -> Curtailed:
    """Return `fixed(k, threshold)` without the draws that cannot change what it says.

    Raises:
        ConfigError: k or the threshold is out of its range.

    Example:
        >>> curtailed(5, 0.6).decide(Counts(votes=(3,)))
        Decision(draw=0, accepted=True, reason='majority')
    """
    _check_share(k, threshold)
    return Curtailed(k, float(threshold))


def _check_share(k: int, threshold: float) -> None:
    check("k", k, k >= 1, "be at least 1", "Draw one answer or more, such as fixed(5, 0.6).")
    check(
        "threshold",
        threshold,
        0 < threshold <= 1,
        "be above 0 and at most 1",
        "Give the share of draws that must agree, such as 0.6.",
    )
