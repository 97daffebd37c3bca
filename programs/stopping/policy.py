"""What a stopping policy is: the counts it sees, the decision it gives, the Protocol."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

from signatures.errors import ConfigError


class Counts(NamedTuple):
    """The state of a vote.

    Args:
        votes: votes for each different answer, most first; empty when nothing was readable.
        unreadable: draws whose answer could not be read.
    """

    votes: tuple[int, ...]
    unreadable: int = 0

    @property
    def draws(self) -> int:
        """Return how many answers were drawn, unreadable ones counted."""
        return sum(self.votes) + self.unreadable

    @property
    def top(self) -> int:
        """Return the votes of the first, 0 when nothing was readable."""
        return self.votes[0] if self.votes else 0

    @property
    def second(self) -> int:
        """Return the votes of the second, 0 when there is none."""
        return self.votes[1] if len(self.votes) > 1 else 0

    @property
    def tied(self) -> bool:
        """Return whether two answers share the first place."""
        return self.second > 0 and self.top == self.second


Reason = Literal[
    "more",
    "majority",
    "lead",
    "confident",
    "below_threshold",
    "no_lead",
    "unsure",
    "tie",
    "unreadable",
]


class Decision(NamedTuple):
    """What to do next: draw `draw` more answers, or stop with `accepted` and a reason.

    `reason` is `more` while drawing. A vote is accepted by `majority`, `lead` or `confident`
    (after the policy), and rejected as `unreadable` (nothing could be read), `tie` (two answers
    share the first place), or `below_threshold`, `no_lead`, `unsure` (after the policy).
    """

    draw: int
    accepted: bool
    reason: Reason


class Policy(Protocol):
    """A stopping rule.

    `decide` is a pure function: the same counts give the same decision, in any order of the draws.
    It asks for `draw >= 1` more answers, the smallest number after which it could decide (or more, in
    `waves`), or stops with `draw == 0`; it stops at the latest when `counts.draws >= max_draws`.
    `spec` writes the policy as text that `parse_policy` reads back.
    """

    @property
    def max_draws(self) -> int: ...

    @property
    def spec(self) -> str: ...

    def decide(self, counts: Counts) -> Decision: ...


def hardest(counts: Counts, draws: int) -> Counts:
    """Return the counts after `draws` more that help the first least: the second catches up with it.

    What is left over once they are level goes to both in turn, an odd one to nobody.
    """
    to_catch_up = min(draws, counts.top - counts.second)
    each, odd = divmod(draws - to_catch_up, 2)
    first, second = counts.top + each, counts.second + to_catch_up + each
    return Counts((first, second, *counts.votes[2:]), counts.unreadable + odd)


def exact(value: float) -> str:
    """Return a number as the shortest text that reads back as the same number."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def more(draws: int) -> Decision:
    """Return the decision to draw on."""
    return Decision(draws, accepted=False, reason="more")


def accept(reason: Reason) -> Decision:
    """Return the decision to keep the first."""
    return Decision(0, accepted=True, reason=reason)


def reject(counts: Counts, reason: Reason) -> Decision:
    """Return the decision to give up: as unreadable or tied where that is so, else with `reason`."""
    if not counts.votes:
        reason = "unreadable"
    elif counts.tied:
        reason = "tie"
    return Decision(0, accepted=False, reason=reason)


def check(name: str, value: object, ok: bool, rule: str, todo: str) -> None:
    """Raise a `ConfigError` about a policy's parameter unless `ok`."""
    if not ok:
        raise ConfigError.rule(
            "Building a voting policy failed", name=name, rule=rule, value=value, todo=todo
        )
