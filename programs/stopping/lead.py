"""`lead`: stop when the first is far enough ahead of the second.

Source: the rule is the sequential test of Wald (1945) for which of two answers is likelier, whose
bounds are a constant difference of counts; for votes of language models see also Aggarwal et al.
(2023), arXiv:2305.11860.
"""

from __future__ import annotations

from dataclasses import dataclass

from programs.stopping.policy import Counts, Decision, accept, check, hardest, more, reject


@dataclass(frozen=True, slots=True)
class Lead:
    """Accept when v1 - v2 >= lead; give up when that cannot happen within max_draws any more.

    With r draws left it gives up when v1 + r - v2 < lead. Unreadable draws use up draws and help
    nobody.
    """

    lead: int
    max_draws: int

    @property
    def spec(self) -> str:
        """Return the policy as text, such as `lead(3, 9)`."""
        return f"lead({self.lead}, {self.max_draws})"

    def decide(self, counts: Counts) -> Decision:
        """Return the fewest draws that can settle it, or the verdict."""
        ahead = counts.top - counts.second
        left = self.max_draws - counts.draws
        if ahead >= self.lead:
            return accept("lead")
        if ahead + left < self.lead:
            return reject(counts, "no_lead")
        return more(min(self.lead - ahead, self._to_reject(counts, left)))

    def _to_reject(self, counts: Counts, left: int) -> int:
        for draws in range(1, left + 1):
            after = hardest(counts, draws)
            if after.top - after.second + left - draws < self.lead:
                return draws
        return left


def lead(by: int, max_draws: int) -> Lead:
    """Return the policy that wants the first `by` votes ahead within `max_draws` draws.

    Args:
        by: votes that the first must be ahead of the second, at least 1.
        max_draws: most answers to draw, at least `by`.

    Raises:
        ConfigError: a number is out of its range.

    Example:
        >>> lead(3, 9).decide(Counts(votes=(4, 1)))
        Decision(draw=0, accepted=True, reason='lead')
    """
    check("the lead", by, by >= 1, "be at least 1", "Write for example lead(3, 9).")
    check(
        "the most draws",
        max_draws,
        max_draws >= by,
        f"be at least the lead of {by}",
        "Allow more draws, such as lead(3, 9).",
    )
    return Lead(by, max_draws)
