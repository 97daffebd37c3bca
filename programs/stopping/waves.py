"""`waves`: another policy, with at least so many draws at once.

A policy asks for the fewest draws that could settle its vote, so that a vote takes several waves, one
after another. Larger waves are fewer round trips; draws that the policy would have done without are
the price. They count: the verdict is that of the policy on all that was drawn, so that the rows depend
on the size of a wave and on nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from programs.stopping.calibrated import Calibrated
from programs.stopping.policy import Counts, Decision, Policy, check, more


@dataclass(frozen=True, slots=True)
class Waves:
    """Decide as `policy` does; where it wants d more draws, ask for max(d, size), to its cap at most."""

    policy: Policy
    size: int

    @property
    def max_draws(self) -> int:
        """Return the most draws of the policy."""
        return self.policy.max_draws

    @property
    def spec(self) -> str:
        """Return the policy as text, such as `waves(lead(3, 9), 5)`."""
        return f"waves({self.policy.spec}, {self.size})"

    def decide(self, counts: Counts) -> Decision:
        """Return the size of the next wave, or the verdict of the policy."""
        decision = self.policy.decide(counts)
        if decision.draw == 0:
            return decision
        return more(min(max(decision.draw, self.size), self.max_draws - counts.draws))


def waves(policy: Policy, size: int) -> Waves:
    """Return `policy` with at least `size` draws a wave.

    Of `fixed` nothing changes, of `curtailed` only the samples: its verdicts are those of all draws
    anyway. `lead` and `posterior` may accept or reject otherwise, for they see more before they look.

    Args:
        policy: any but `calibrated`, whose table knows no state but those of its own waves.
        size: fewest draws that go out at once, at least 1, which changes nothing.

    Raises:
        ConfigError: the size is out of its range, or the policy takes none.

    Example:
        >>> from programs.stopping import lead
        >>> waves(lead(3, 9), 5).decide(Counts(())).draw
        5
    """
    todo = "Write for example waves(lead(3, 9), 5)."
    check("the wave", size, size >= 1, "be at least 1", todo)
    fits = not isinstance(policy, Calibrated | Waves)
    rule = "be a policy that has no waves of its own: fixed, curtailed, lead or posterior"
    check("the policy in waves", policy.spec, fits, rule, todo)
    return Waves(policy, size)
