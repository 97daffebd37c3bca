"""The three sides that a stage is tried on, and which of their examples ask nearly the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import dspy

from optimizers.devsets import TRAIN, VAL
from optimizers.similarity import clusters
from signatures.records import canonical_json, content_id

# Inputs that say which draw of the same question an example is.
_DRAWS = frozenset({"number", "visit"})


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

    @property
    def different(self) -> tuple[int, int, int]:
        """Return how many examples each side has, those that ask nearly the same counted once."""
        train, val, test = (len(set(alike(side))) for side in (self.train, self.val, self.test))
        return train, val, test


def alike(examples: Sequence[dspy.Example]) -> list[int]:
    """Return for each example the place of the first one that asks the same, or nearly.

    Rule: questions are alike as in `optimizers.similarity`, with their context; cells and keyword lists
    only where they ask the same, whichever draw of it they are.
    """
    if all("question" in example for example in examples):
        return clusters([f"{e.get('context', '')} {e.question}".strip() for e in examples])
    first: dict[str, int] = {}
    return [first.setdefault(asked(example), place) for place, example in enumerate(examples)]


def sides_of(made: Sequence[dspy.Example]) -> Examples:
    """Cut examples in three sides, in the order of a hash of what they ask.

    Of examples that ask the same only the first is kept, with a notice.
    """
    distinct: dict[str, dspy.Example] = {}
    for example in made:
        distinct.setdefault(content_id(asked(example)), example)
    order = [distinct[key] for key in sorted(distinct)]
    first, second = cuts(len(order))
    repeats = len(made) - len(order)
    notices = (f"{repeats} of {len(made)} examples that ask the same as another one left out.",)
    sides = tuple(order[:first]), tuple(order[first:second]), tuple(order[second:])
    return Examples(*sides, notices if repeats else ())


def cuts(count: int) -> tuple[int, int]:
    """Return where train and val end among so many examples."""
    return round(TRAIN * count), round((TRAIN + VAL) * count)


def asked(example: dspy.Example) -> str:
    """Return what an example asks, as one text; in which draw, and of two keywords the order, aside."""
    inputs: dict[str, Any] = {
        name: value for name, value in example.inputs().toDict().items() if name not in _DRAWS
    }
    if "level" in inputs:
        inputs["keywords"] = sorted(inputs["keywords"])
    return canonical_json(inputs)
