"""What a reader of a compile's result should know beside its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from optimizers.budget import tried_on_rows
from optimizers.devsets import left_out
from optimizers.scores import told_of_unscored
from optimizers.search import KINDS
from optimizers.sides import Examples, alike

if TYPE_CHECKING:
    from optimizers.compile import Compiled, Job

# Stages whose labels may be a model's.
_LABELLED = {"answers", "answer-judge", "question-judge", "keyword-judge"}


def notices(result: Compiled, job: Job, examples: Examples) -> Iterator[str]:
    """Return what a reader should know, a sentence or two each."""
    yield from examples.notices
    alone = alike(examples.test)
    yield from told_of_unscored(result.before, result.after, alike=alone, seed=job.seed)
    devset = job.devset
    by_labels = job.stage in _LABELLED and job.labelled
    if devset is not None and devset.labelled_by and by_labels:
        yield (
            f"The dev set is self-labelled ({devset.labelled_by}): the score is agreement with those "
            "labels, not accuracy."
        )
    yield from () if devset is None else left_out(devset)
    if devset is not None and job.stage == "chain" and not tried_on_rows(job.stage, devset):
        yield (
            "The dev set was not used: the chain is tried on rows that name keywords and level, else on "
            "cells of the task's own keywords."
        )
    if not result.diff:
        yield f"{job.optimizer} found nothing better than the prompts it began with."
    if result.candidates < 2 and job.optimizer != "bootstrap":
        why = "no outcome was good enough for a demo"
        if KINDS[job.optimizer].proposes:
            why = "the proposer gave nothing usable, or was never asked"
        yield f"The search tried no prompt but the one it began with: {why}."
    if result.unscored:
        yield f"{result.unscored:.1%} of the outcomes in the search could not be scored."
    if not result.above_floor:
        yield f"The precision of the rows is {result.precision:.2f}, below the floor: no gain counts."
