"""One instruction from one keyword or a pair, at one of Bloom's levels."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import dspy

from programs.loop import run_sync
from programs.redraw import Drawn, draw
from signatures.bloom import BloomLevel
from signatures.errors import ConfigError
from signatures.instructions import instruction_signature, notes_line, task_line
from signatures.records import Instruction, Passage, Rejection
from signatures.task import AnswerKind, TaskSpec

DRAWS_A_VISIT = 16  # sample numbers that one visit of a cell may use
_SHOWN = 500  # characters of a reply that a rejection keeps

_LETTERED = re.compile(
    r"^\s*\**(?:[\[(](?P<inside>[A-Za-z])[\])][.:]?|(?P<letter>[A-Za-z])\s?[.):])\**\s+(?P<text>\S.*)$",
    re.DOTALL,
)


class InstructionWriter(dspy.Module):
    """Write one instruction of a task from its keywords and a level.

    A reply that was cut or does not parse gets one more chance (see `programs.redraw`).

    Args:
        task: what is written for.
        temperature: with what to draw; None where the model fixes its own.
        max_tokens_cap: up to which limit a reply that was cut may grow; None for twice the limit.

    Returns (of a call): a `dspy.Prediction` with `instruction` (an `Instruction`, or None) and
    `rejection` (why not: `unparsable`, `refused`, `truncated`, `moderated`, `empty`, `options`), and
    the fields the model wrote.

    Raises (of a call):
        ConfigError: there are neither one nor two keywords, or a passage is missing or too many.
    """

    def __init__(
        self,
        task: TaskSpec,
        *,
        temperature: float | None = 0.9,
        max_tokens_cap: int | None = None,
    ) -> None:
        super().__init__()
        self.task = task
        self.temperature = temperature
        self.max_tokens_cap = max_tokens_cap
        self.single = dspy.Predict(instruction_signature(task, 1))
        self.pair = dspy.Predict(instruction_signature(task, 2))

    async def aforward(
        self,
        keywords: Sequence[str],
        level: BloomLevel | str,
        visit: int = 0,
        passage: Passage | None = None,
    ) -> dspy.Prediction:
        """Return what was written.

        Args:
            keywords: one or two.
            level: one of Bloom's six.
            visit: counts earlier visits of the same keywords and level.
            passage: what the question is about, where the task's context is a passage.
        """
        level = bloom_level(level)
        predict, inputs = self._inputs(keywords, level)
        if passage is not None:
            inputs["context"] = passage.text
        if ("context" in predict.signature.input_fields) != (passage is not None):
            raise ConfigError.rule(
                "Writing an instruction failed",
                unit=self.task.name,
                name="passage",
                rule="be given where the task's context is `passage`, and only there",
                value=passage and passage.id,
                todo="Give ChainConfig(retriever=...) or `ds2 run --corpus PATH`.",
            )
        sample = visit * DRAWS_A_VISIT
        drawn = await draw(
            self,
            lambda config: predict.acall(**inputs, config=config),
            sample=sample,
            again=sample + 1,
            temperature=self.temperature,
            cap=self.max_tokens_cap,
        )
        written = _written(predict, drawn)
        outcome = self._judge(tuple(keywords), level, written, drawn)
        if passage is not None and isinstance(outcome, Instruction):
            grounds = {"context": passage.text, "passage_id": passage.id}
            outcome = outcome.model_copy(update=grounds)
        return dspy.Prediction(
            **written,
            instruction=outcome if isinstance(outcome, Instruction) else None,
            rejection=outcome if isinstance(outcome, Rejection) else None,
        )

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Return the same as `aforward`, for callers without an event loop."""
        return run_sync(self.aforward(**inputs))

    def read(
        self, keywords: Sequence[str], level: BloomLevel, drawn: Drawn
    ) -> Instruction | Rejection:
        """Return what a reply says, without the passage that it was asked about (pure)."""
        predict, _ = self._inputs(keywords, level)
        return self._judge(tuple(keywords), level, _written(predict, drawn), drawn)

    def _inputs(
        self, keywords: Sequence[str], level: BloomLevel
    ) -> tuple[dspy.Predict, dict[str, str]]:
        inputs = {
            "task": task_line(self.task),
            "level": level.value,
            "demand": level.demand,
            "notes": notes_line(self.task),
            "language": self.task.language,
        }
        if isinstance(keywords, str) or len(keywords) not in (1, 2):
            raise ConfigError.rule(
                "Writing an instruction failed",
                unit=self.task.name,
                name="keywords",
                rule="be a list of one or two keywords",
                value=keywords,
                todo="Give for example keywords=['unit rate'].",
            )
        if len(keywords) == 1:
            return self.single, {**inputs, "keyword": keywords[0]}
        return self.pair, {**inputs, "first_keyword": keywords[0], "second_keyword": keywords[1]}

    def _judge(
        self,
        keywords: tuple[str, ...],
        level: BloomLevel,
        written: dict[str, Any],
        drawn: Drawn,
    ) -> Instruction | Rejection:
        if drawn.cut:
            detail = f"The reply was cut at the token limit: {drawn.text[:_SHOWN]!r}"
            return Rejection(stage="writer", reason="truncated", detail=detail)
        if drawn.withheld:
            return Rejection(stage="writer", reason="moderated", detail="The reply was withheld.")
        if not written:
            reason = "refused" if drawn.refused else "unparsable"
            detail = f"The reply was: {drawn.text[:_SHOWN]!r}"
            return Rejection(stage="writer", reason=reason, detail=detail)
        question = str(written.get("question") or "").strip()
        context = str(written.get("context") or "").strip()
        if not question or ("context" in written and not context):
            return Rejection(stage="writer", reason="empty", detail="A field was left empty.")
        options = tuple(_plain_options(written.get("options") or ()))
        problem = self._option_problem(options)
        if problem:
            return Rejection(stage="writer", reason="options", detail=problem)
        return Instruction(
            keywords=keywords, level=level, question=question, options=options, context=context
        )

    def _option_problem(self, options: tuple[str, ...]) -> str:
        if self.task.answer.kind is not AnswerKind.CHOICE:
            return ""
        sizes = self.task.answer.options
        if len(options) not in sizes:
            wanted = " or ".join(str(size) for size in sizes)
            return f"{len(options)} options were written, {wanted} were asked for."
        if len({_folded(option) for option in options}) < len(options):
            return "Two options say the same."
        return "" if all(options) else "An option is empty."


def _written(predict: dspy.Predict, drawn: Drawn) -> dict[str, Any]:
    prediction = drawn.prediction
    if prediction is None:
        return {}
    return {name: prediction[name] for name in predict.signature.output_fields}


def _plain_options(options: Sequence[Any]) -> list[str]:
    """Return options without the letters A, B, C... that a model put before them all."""
    texts = [str(option).strip() for option in options]
    matches = [_LETTERED.match(text) for text in texts]
    letters = [(m["letter"] or m["inside"]).upper() if m else "" for m in matches]
    if texts and letters == [chr(65 + i) for i in range(len(texts))]:
        return [match.group("text").strip() for match in matches if match]
    return texts


def _folded(option: str) -> str:
    """Return what two spellings of one option share; case and signs tell options apart (mW, -5)."""
    return " ".join(unicodedata.normalize("NFC", option).split()).rstrip(".")


def bloom_level(level: BloomLevel | str) -> BloomLevel:
    """Return one of Bloom's levels by its name.

    Raises:
        ConfigError: there is none of that name.
    """
    try:
        return BloomLevel(level)
    except ValueError as error:
        raise ConfigError.rule(
            "Writing an instruction failed",
            name="level",
            rule=f"be one of {', '.join(BloomLevel)}",
            value=level,
            todo="Give one of Bloom's six levels, such as level='Apply'.",
        ) from error
