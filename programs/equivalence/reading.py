"""What it means to have read an answer: `Reading`, the `Reader` of a format, the limits on work."""

from __future__ import annotations

from typing import NamedTuple, Protocol

MAX_CANDIDATE = 1_000
"""Characters of one candidate answer; a longer one is searched for marks, never read as a whole."""

MAX_TEXT = 16_000
"""Characters of a reply that are searched, counted from its end."""

MAX_DIGITS = 100
"""Digits of one written number; a longer run is a model that does not stop."""

MAX_EXPONENT = 308
"""Largest power of ten that is computed; beyond it a number is refused, not approximated."""

NOTHING = "no answer found"
"""The problem of a candidate that holds no answer at all, so that the next one may be tried."""


class Reading(NamedTuple):
    """One answer as it was read.

    Args:
        answer: the answer as people are shown it; None when unreadable.
        key: what the vote compares: two answers are the same exactly when their keys are equal,
            which makes comparing reflexive, symmetric and transitive; None when unreadable.
        problem: why no answer could be read; None when one was.
    """

    answer: str | None
    key: str | None
    problem: str | None


class Reader(Protocol):
    """How one answer format finds an answer. No method raises, whatever the text."""

    def read(self, candidate: str) -> Reading:
        """Read a candidate that is meant to be the answer and nothing else."""
        ...

    def lead(self, clause: str) -> Reading:
        """Read the answer that a sentence gives first, as after `the answer is`."""
        ...

    def last(self, text: str) -> Reading:
        """Read the answer that a text without any mark ends with."""
        ...


def readable(answer: str, key: str) -> Reading:
    """Return the reading of an answer that was found."""
    return Reading(answer, key, None)


def unreadable(problem: str) -> Reading:
    """Return a reading that says why there is none."""
    return Reading(None, None, problem)
