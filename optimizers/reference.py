"""What a judge says most often: labels for a dev set that has none."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

import dspy
from dspy.utils.exceptions import LMError

from optimizers.stages import failure
from programs.loop import run_sync

REFERENCE_DRAWS = 15
ROLLOUT = 128  # and those after it, which no optimizer and no other check uses

T = TypeVar("T")


def verdicts(judge: dspy.Module, lm: dspy.LM, **inputs: Any) -> list[dspy.Prediction]:
    """Return fifteen verdicts on one example, fewer where the endpoint refuses this one.

    Raises:
        SearchStopped: the endpoint is broken.
    """

    async def one(number: int) -> dspy.Prediction | None:
        with dspy.context(lm=lm.copy(rollout_id=ROLLOUT + number)):
            try:
                return await judge.acall(**inputs)
            except LMError as error:
                failure(error)
                return None

    found = run_sync(gathered(one(number) for number in range(REFERENCE_DRAWS)))
    return [verdict for verdict in found if verdict is not None]


def majority(values: Iterable[Any]) -> Any:
    """Return the value that more than half of fifteen verdicts have, or None; None is no value."""
    counted = Counter(value for value in values if value is not None).most_common(1)
    return next((value for value, count in counted if count > REFERENCE_DRAWS / 2), None)


async def gathered(work: Iterable[Awaitable[T]]) -> list[T]:
    """Return what all come to, in order; where one fails, once all have ended.

    Raises:
        BaseException: of several failures one that stops everything goes before an ordinary one.
    """
    found = await asyncio.gather(*work, return_exceptions=True)
    failures = [result for result in found if isinstance(result, BaseException)]
    for error in sorted(failures, key=lambda error: isinstance(error, Exception)):
        raise error
    return [result for result in found if not isinstance(result, BaseException)]
