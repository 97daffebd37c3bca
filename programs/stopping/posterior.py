"""`posterior`: stop when the first is likely to stay the first.

Source: Aggarwal et al. (2023), Let's Sample Step by Step, arXiv:2305.11860, the Beta criterion.
Deviation: at the cap a vote that is not confident is rejected, where the paper takes the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import comb

from programs.stopping.policy import Counts, Decision, accept, check, exact, hardest, more, reject


@dataclass(frozen=True, slots=True)
class Posterior:
    """Accept when P(p1 > 1/2 | v1, v2) >= confidence under a uniform prior between the two.

    The probability is that of a Beta(v1 + 1, v2 + 1) variable above one half, computed exactly.
    Rejected when the cap is reached, or when not even all draws left could be enough.
    """

    confidence: float
    max_draws: int

    @property
    def spec(self) -> str:
        """Return the policy as text, such as `posterior(0.95, 10)`."""
        return f"posterior({exact(self.confidence)}, {self.max_draws})"

    def decide(self, counts: Counts) -> Decision:
        """Return the fewest draws after which the first could be sure, or the verdict."""
        needed = self._to_accept(counts)
        if needed is None:
            return reject(counts, "unsure")
        if needed == 0:
            return accept("confident")
        hopeless = (d for d in range(1, needed) if self._to_accept(hardest(counts, d)) is None)
        return more(next(hopeless, needed))

    def _to_accept(self, counts: Counts) -> int | None:
        """Return how many more votes the first needs to be sure; None where the cap forbids it."""
        for votes in range(self.max_draws - counts.draws + 1):
            if stays_first(counts.top + votes, counts.second) >= self.confidence:
                return votes
        return None


@lru_cache(maxsize=4096)
def stays_first(first: int, second: int) -> float:
    """Return P(Beta(first + 1, second + 1) > 1/2), 0.5 for equal counts.

    With integers this is a binomial tail: the chance of at most `first` heads in first + second + 1
    tosses.

    Example:
        >>> stays_first(3, 0)
        0.9375
    """
    tosses = first + second + 1
    return sum(comb(tosses, heads) for heads in range(first + 1)) / 2**tosses


def posterior(confidence: float, max_draws: int) -> Posterior:
    """Return the policy that wants the first to stay the first with this probability.

    Args:
        confidence: 0.5 < confidence < 1.
        max_draws: most answers to draw, at least 1.

    Raises:
        ConfigError: a number is out of its range, or no vote of `max_draws` could be so sure.

    Example:
        >>> posterior(0.95, 10).decide(Counts(votes=(4,)))
        Decision(draw=0, accepted=True, reason='confident')
    """
    check(
        "confidence",
        confidence,
        0.5 < confidence < 1,
        "be above 0.5 and below 1",
        "Write for example posterior(0.95, 10).",
    )
    check("the most draws", max_draws, max_draws >= 1, "be at least 1", "Draw one answer or more.")
    check(
        "confidence",
        confidence,
        stays_first(max_draws, 0) >= confidence,
        f"be reachable: {max_draws} draws that all agree give {stays_first(max_draws, 0):.4f}",
        "Allow more draws, or ask for less.",
    )
    return Posterior(float(confidence), max_draws)
