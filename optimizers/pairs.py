"""Pairs of answers for the judge of answers, drawn and labelled where a dev set holds none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import dspy

from optimizers.devsets import DevRow
from optimizers.reference import REFERENCE_DRAWS, ROLLOUT, verdicts
from programs.meaning import Judge, Pair
from programs.stopping import fixed
from programs.synthesis import ChainConfig, DS2Instruct
from programs.voting import SelfConsistency

PAIR_DRAWS = 5


class _Apart:
    """Merges nothing."""

    name = "apart"

    async def same(self, pair: Pair) -> bool:  # noqa: ARG002
        return False


def reference_pairs(
    program: DS2Instruct, lm: dspy.LM, rows: Sequence[DevRow], judge: Judge
) -> list[tuple[str, str, bool] | None]:
    """Return two answers to each row that a run would have compared, and whether they say the same.

    Of five draws the two answers given most often, their keys being different; the verdict is the
    majority of fifteen of `judge`. None where all draws have one key, or no verdict could be had.
    """
    config = ChainConfig(
        policy=fixed(PAIR_DRAWS, 0.5),
        temperatures=program.config.temperatures,
        thinking=program.config.thinking,
        merger=_Apart(),
    )
    vote = DS2Instruct(program.task, config).vote
    return [_reference_pair(vote, judge, lm, row) for row in rows]


def _reference_pair(
    vote: SelfConsistency, judge: Judge, lm: dspy.LM, row: DevRow
) -> tuple[str, str, bool] | None:
    asked: dict[str, Any] = {"question": row.question}
    if row.context:
        asked["context"] = row.context
    with dspy.context(lm=lm.copy(rollout_id=ROLLOUT)):
        samples = vote(**asked).vote.samples
    said = {s.key: s.answer for s in samples if s.key is not None and s.answer is not None}
    often = Counter(s.key for s in samples if s.key is not None).most_common(2)
    if len(often) < 2:
        return None
    first, second = (str(said[key]) for key in sorted(str(key) for key, _ in often))
    said_of = {"question": compared(row), "first": first, "second": second}
    found = verdicts(judge, lm, **said_of)
    if not found:
        return None
    return first, second, sum(verdict.same for verdict in found) > REFERENCE_DRAWS / 2


def compared(row: DevRow) -> str:
    """Return the question of a row as a judge of answers sees it in a run."""
    return f"{row.context}\n{row.question}".strip()
