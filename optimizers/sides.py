"""The three sides that a stage is tried on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import dspy

from optimizers.devsets import TRAIN, VAL
from signatures.records import content_id


class Examples(NamedTuple):
    """The three sides, and what a reader should know of them."""

    train: tuple[dspy.Example, ...]
    val: tuple[dspy.Example, ...]
    test: tuple[dspy.Example, ...]
    notices: tuple[str, ...] = ()

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Return how many examples each side has."""
        return len(self.train), len(self.val), len(self.test)


def sides_of(made: Sequence[dspy.Example]) -> Examples:
    """Cut examples in three sides, in the order of a hash of what they ask."""
    order = sorted(made, key=_hash)
    first, second = round(TRAIN * len(order)), round((TRAIN + VAL) * len(order))
    return Examples(tuple(order[:first]), tuple(order[first:second]), tuple(order[second:]))


def _hash(example: dspy.Example) -> str:
    return content_id(example.toDict())
