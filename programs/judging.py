"""Judges as DSPy modules: the level of a question, a question, a list of keywords.

Each is one predictor that can be compiled like any other. A verdict that cannot be read is None
with a reason, never a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from programs.loop import run_sync
from programs.sampling import call_config
from signatures.bloom import BloomLevel
from signatures.judging import BloomLevelOf, KeywordCheck, QuestionCheck
from signatures.records import KeywordOrigin

TRIES = 2  # the first draw, and one more where it gives no verdict
JUDGE_TEMPERATURE = 0.1
FAULTS = ("off_task", "wrong_direction", "wrong_grain")  # of a keyword, the gravest first
_WANTED = {
    KeywordOrigin.CORE: "core keywords of the field",
    KeywordOrigin.PREREQUISITE: "prerequisites of these keywords: ",
    KeywordOrigin.ADVANCED: "advanced keywords that build on these: ",
}


class _Judge(dspy.Module):
    """One predictor, asked once more where its reply does not parse.

    Args:
        temperature: with what it is drawn; None where the model fixes its own.
    """

    def __init__(
        self, signature: type[dspy.Signature], temperature: float | None = JUDGE_TEMPERATURE
    ) -> None:
        super().__init__()
        self.predict = dspy.Predict(signature)
        self.temperature = temperature

    async def ask(self, **inputs: Any) -> dspy.Prediction:
        """Return the verdict; with `unscored`, the reason why there is none."""
        for sample in range(TRIES):
            config = call_config(self, sample=sample, temperature=self.temperature)
            try:
                verdict = await self.predict.acall(**inputs, config=config)
            except AdapterParseError:
                continue
            return dspy.Prediction(**dict(verdict), unscored=None)
        empty = dict.fromkeys(self.predict.signature.output_fields)
        return dspy.Prediction(**empty, unscored="the judge's reply could not be read")

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Return the same as `aforward`, for callers without an event loop."""
        return run_sync(self.aforward(**inputs))


class LevelJudge(_Judge):
    """Read the level of a question, blind to the one that was asked for.

    Returns (of a call): a `dspy.Prediction` with `level` (a `BloomLevel`, or None), `reason`, and
    `unscored` (why there is no level, or None).
    """

    def __init__(self, temperature: float | None = JUDGE_TEMPERATURE) -> None:
        super().__init__(BloomLevelOf, temperature)

    async def aforward(self, question: str) -> dspy.Prediction:
        """Return the level of a question as the student sees it (`Instruction.text`)."""
        verdict = await self.ask(question=question)
        if verdict.level is not None:
            verdict["level"] = BloomLevel(verdict.level)
        return verdict


class QuestionJudge(_Judge):
    """Check that a question uses its keywords and is self-contained.

    Returns (of a call): a `dspy.Prediction` with `keywords_used` (all, some, none), `self_contained`
    (yes, no), `reason`, and `unscored`.
    """

    def __init__(self, temperature: float | None = JUDGE_TEMPERATURE) -> None:
        super().__init__(QuestionCheck, temperature)

    async def aforward(self, question: str, keywords: Sequence[str]) -> dspy.Prediction:
        """Return the verdict on a question and the keywords it was written for."""
        return await self.ask(question=question, keywords="\n".join(keywords))


class KeywordJudge(_Judge):
    """Check a list of keywords for task, direction and grain.

    Returns (of a call): a `dspy.Prediction` with the keywords that fail: `off_task`,
    `wrong_direction`, `wrong_grain`, and `unscored`.
    """

    def __init__(self, temperature: float | None = JUDGE_TEMPERATURE) -> None:
        super().__init__(KeywordCheck, temperature)

    async def aforward(self, task: str, wanted: str, keywords: Sequence[str]) -> dspy.Prediction:
        """Return the verdict on the keywords of one list."""
        return await self.ask(task=task, wanted=wanted, keywords="\n".join(keywords))


def wanted_line(origin: KeywordOrigin, seeds: Sequence[str]) -> str:
    """Return what a list was asked for, as a judge of keywords is told it."""
    return _WANTED[origin] + ", ".join(seeds)


def faults_of(keywords: Sequence[str], verdict: dspy.Prediction) -> tuple[str, ...]:
    """Return the fault of each keyword by a verdict of `KeywordJudge`, the first of `FAULTS` that it
    is listed under, or an empty string for a sound one; case and spaces around it do not count."""
    listed = {
        name: {str(text).strip().casefold() for text in verdict[name] or ()} for name in FAULTS
    }
    return tuple(
        next((name for name in FAULTS if text.strip().casefold() in listed[name]), "")
        for text in keywords
    )
