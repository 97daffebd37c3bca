"""Which searches a stage falls into: one for each prompt, where an example asks one prompt alone.

A list of keywords is asked for by one of three prompts, an instruction by one of two. Searched in one
piece, a better wording of one of two prompts moves half of the examples, and the outcomes of the other
half are noise upon it; demos are counted over all prompts, and a round goes to prompts that no example
asks. The score of the whole is the mean over the examples of each prompt, so that the best of each is
the best of all: each is searched by its own examples, for the same runs.
"""

from __future__ import annotations

from typing import NamedTuple

import dspy

from optimizers.search import Kind, suffices
from optimizers.sides import Examples
from optimizers.stages import Stage


class Branch(NamedTuple):
    """One search.

    Args:
        predictor: the one prompt that may change, by its name; None for all of the stage.
        examples: those that are searched by; the test side is left as it is.
    """

    predictor: str | None
    examples: Examples


def branches(stage: Stage, examples: Examples, kind: Kind) -> tuple[Branch, ...]:
    """Return the searches of a stage, in the order of its prompts.

    Rule: one for each prompt that examples ask, if each example asks one prompt alone and each prompt
    has as many examples of train and val as the optimizer needs; else one for the whole stage. A prompt
    that no example asks is left as it is in the first case.
    """
    sides = (examples.train, examples.val)
    asked = {stage.asks(example) for side in sides for example in side}
    names = [name for name, _ in stage.named_predictors()]
    parts = tuple(
        Branch(name, examples._replace(train=train, val=val))
        for name in names
        if name in asked
        for train, val in [_asking(stage, name, examples)]
    )
    apart = len(names) > 1 and asked <= set(names)
    if apart and all(suffices(part.examples.sizes, kind) for part in parts):
        return parts
    return (Branch(None, examples),)


def _asking(
    stage: Stage, name: str, examples: Examples
) -> tuple[tuple[dspy.Example, ...], tuple[dspy.Example, ...]]:
    train, val = (
        tuple(example for example in side if stage.asks(example) == name)
        for side in (examples.train, examples.val)
    )
    return train, val


def student_of(stage: Stage, branch: Branch) -> Stage:
    """Return a copy of the stage that shows an optimizer the prompts of one search."""
    student = stage.deepcopy()
    student.only = branch.predictor
    return student


def together(stage: Stage, found: list[Stage]) -> Stage:
    """Return a copy of the stage with the prompts that the searches have found."""
    whole = stage.deepcopy()
    ours = dict(whole.named_predictors())
    for part in found:
        for name, predictor in part.named_predictors():
            ours[name].signature, ours[name].demos = predictor.signature, list(predictor.demos)
    return whole
