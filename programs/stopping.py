"""When a vote has seen enough: policies as pure functions over the counts so far.

A policy never sees an answer, only how many votes each one has, so it cannot favour one; and it is
asked again after every wave, so any policy stops as early or late as its rule says.

Source: self-consistency after Wang et al. (2023), arXiv:2203.11171; the threshold after
DS²-Instruct (arXiv:2603.12932), section 3.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
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
    def tied(self) -> bool:
        """Return whether two answers share the first place."""
        return len(self.votes) > 1 and self.votes[0] == self.votes[1]


class Decision(NamedTuple):
    """What to do next: draw `draw` more answers, or stop with `accepted` and a reason.

    `reason` is `more` while drawing, and after stopping one of `majority`, `below_threshold`,
    `tie`, `unreadable`.
    """

    draw: int
    accepted: bool
    reason: Literal["more", "majority", "below_threshold", "tie", "unreadable"]


class Policy(Protocol):
    """A stopping rule.

    `decide` is a pure function: the same counts give the same decision, in any order of the draws.
    It asks for `draw >= 1` more answers or stops with `draw == 0`; it stops at the latest when
    `counts.draws >= max_draws`. `spec` writes the policy as text that `parse_policy` reads back.
    """

    @property
    def max_draws(self) -> int: ...

    @property
    def spec(self) -> str: ...

    def decide(self, counts: Counts) -> Decision: ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """Draw k answers, then accept the first if its share of all draws reaches the threshold.

    In symbols: accept iff v1 / n >= threshold and v1 > v2, where n counts unreadable draws. A tie
    for the first place is rejected at any threshold, for there is no majority answer to keep.
    Zero readable answers are rejected as `unreadable`.
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
        short = f"{self.threshold:g}"
        exact = short if float(short) == self.threshold else repr(self.threshold)
        return f"fixed({self.k}, {exact})"

    def decide(self, counts: Counts) -> Decision:
        """Return how many more to draw, or the verdict once k are there."""
        if counts.draws < self.k:
            return Decision(self.k - counts.draws, accepted=False, reason="more")
        if not counts.votes:
            return Decision(0, accepted=False, reason="unreadable")
        if counts.tied:
            return Decision(0, accepted=False, reason="tie")
        if counts.top / counts.draws >= self.threshold:
            return Decision(0, accepted=True, reason="majority")
        return Decision(0, accepted=False, reason="below_threshold")


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
    if k < 1:
        raise ConfigError.rule(
            "Building a voting policy failed",
            name="k",
            rule="be at least 1",
            value=k,
            todo="Draw one answer or more, such as fixed(5, 0.6).",
        )
    if not 0 < threshold <= 1:
        raise ConfigError.rule(
            "Building a voting policy failed",
            name="threshold",
            rule="be above 0 and at most 1",
            value=threshold,
            todo="Give the share of draws that must agree, such as 0.6.",
        )
    return Fixed(k, float(threshold))


def parse_policy(text: str) -> Policy:
    """Return the policy that `text` names, such as `fixed(5, 0.6)`.

    Raises:
        ConfigError: the text names no policy, or its numbers are out of range.
    """
    match = re.fullmatch(r"\s*fixed\(\s*(\d{1,4})\s*,\s*(\d*\.?\d+(?:e-?\d+)?)\s*\)\s*", text)
    if match is None:
        raise ConfigError.rule(
            "Reading a voting policy failed",
            name="policy",
            rule="be written as fixed(K, THRESHOLD)",
            value=text,
            todo="Write for example fixed(5, 0.6).",
        )
    return fixed(int(match.group(1)), float(match.group(2)))
